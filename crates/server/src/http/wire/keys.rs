//! API keys on the wire: what they may do, and, once, their secret.

use kinora_domain::KeyId;
use kinora_store::{Key, Scope};
use serde::Serialize;
use utoipa::ToSchema;

use super::{json::JsonMembers, members::Members as _, request::FieldError, schema};

/// The longest name of a key, in characters.
const NAME_CHARS_MAX: usize = 100;

/// What keys can be allowed.
pub(super) const SCOPES: [Scope; 2] = [Scope::Full, Scope::Read];

/// A key to be made.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// What people call it.
    #[schema(min_length = 1, max_length = 100)]
    pub name: String,
    /// What it may do: everything, or only look. `full` unless it is said.
    #[schema(schema_with = schema::scopes, required = false)]
    pub scope: Option<String>,
}

/// Reads a key's name and scope out of a body, and everything that is wrong with their values.
pub(in crate::http) fn new_key(members: &mut JsonMembers) -> (String, Scope, Vec<FieldError>) {
    let mut problems = Vec::new();
    let mut refuse = |field: &str, message: String| {
        problems.push(FieldError {
            field: field.to_owned(),
            message,
        });
    };
    let name = members.text("name").unwrap_or_default();
    let chars = name.chars().count();
    if name.trim().is_empty() {
        refuse("name", "is missing; what people call the key is taken".to_owned());
    } else if chars > NAME_CHARS_MAX {
        refuse(
            "name",
            format!("has {chars} characters; at most {NAME_CHARS_MAX} are taken"),
        );
    } else if name.chars().any(char::is_control) {
        refuse(
            "name",
            "contains a control character; printable text is taken".to_owned(),
        );
    }
    let word = members.text("scope");
    let word = word.as_deref().unwrap_or(Scope::Full.as_str());
    let scope = SCOPES.into_iter().find(|scope| scope.as_str() == word);
    if scope.is_none() {
        let shown: String = word.chars().take(40).collect();
        let taken = SCOPES.map(Scope::as_str).join(", ");
        refuse("scope", format!("is {shown:?}; one of {taken} is taken"));
    }
    let scope = scope.unwrap_or(Scope::Read);
    problems.extend(members.unknown());
    (name, scope, problems)
}

/// An API key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct KeyView {
    /// Its id.
    #[schema(schema_with = schema::key_id)]
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What it may do.
    #[schema(schema_with = schema::scopes)]
    pub scope: &'static str,
    /// Whether it is the one that asks.
    pub current: bool,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it was revoked; null while it is good.
    #[schema(schema_with = schema::nullable_text, required = true)]
    pub revoked_at: Option<String>,
    /// What clients send: shown when the key is made, and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub key: Option<String>,
}

impl KeyView {
    /// A key, as shown to the one who asks with `current`.
    pub fn new(key: &Key, current: KeyId) -> KeyView {
        let Key {
            id,
            account: _,
            name,
            hash: _,
            scope,
            created_at,
            revoked_at,
        } = key;
        KeyView {
            id: id.to_string(),
            name: name.clone(),
            scope: scope.as_str(),
            current: *id == current,
            created_at: created_at.to_string(),
            revoked_at: revoked_at.map(|at| at.to_string()),
            key: None,
        }
    }
}

/// A workspace's keys, oldest first, revoked ones included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct KeyList {
    /// The keys.
    pub data: Vec<KeyView>,
}
