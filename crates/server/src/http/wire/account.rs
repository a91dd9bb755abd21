//! Credits on the wire: balances, amounts, the ledger.

use kinora_domain::{Split, ledger::EntryType};
use kinora_store::{Balance, Entry, Page};
use serde::Serialize;
use utoipa::ToSchema;

use super::schema;

/// Credits set aside or spent, by pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Usage {
    /// The sum of the two pools.
    #[schema(minimum = 0)]
    pub total: i64,
    /// Of the monthly pool.
    #[schema(minimum = 0)]
    pub subscription: i64,
    /// Of the purchased packs.
    #[schema(minimum = 0)]
    pub permanent: i64,
}

impl From<Split> for Usage {
    fn from(split: Split) -> Usage {
        let Split {
            subscription,
            permanent,
        } = split;
        Usage {
            total: split.total(),
            subscription,
            permanent,
        }
    }
}

/// Credits moved by an entry, by pool; negative takes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Amount {
    /// The sum of the two pools.
    pub total: i64,
    /// Of the monthly pool.
    pub subscription: i64,
    /// Of the purchased packs.
    pub permanent: i64,
}

impl From<Split> for Amount {
    fn from(split: Split) -> Amount {
        let Split {
            subscription,
            permanent,
        } = split;
        Amount {
            total: split.total(),
            subscription,
            permanent,
        }
    }
}

/// What an account can spend, and what its live generations have set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct CreditsView {
    /// What can be spent, of both pools.
    #[schema(minimum = 0)]
    pub total: i64,
    /// What can be spent of the monthly pool.
    #[schema(minimum = 0)]
    pub subscription: i64,
    /// What can be spent of the purchased packs.
    #[schema(minimum = 0)]
    pub permanent: i64,
    /// What is set aside.
    pub held: Usage,
}

impl CreditsView {
    /// A balance, as shown.
    pub fn new(balance: Balance) -> CreditsView {
        let Balance { available, held } = balance;
        let Usage {
            total,
            subscription,
            permanent,
        } = available.into();
        CreditsView {
            total,
            subscription,
            permanent,
            held: held.into(),
        }
    }
}

/// One entry of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct EntryView {
    /// Its id.
    #[schema(pattern = "^ent_[0-7][0-9A-HJKMNP-TV-Z]{25}$")]
    pub id: String,
    /// When.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// What it records.
    #[serde(rename = "type")]
    #[schema(schema_with = schema::entry_types)]
    pub entry_type: &'static str,
    /// The generation it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub generation_id: Option<String>,
    /// What it moves. A capture moves what was held to what is spent: 0, or the surplus that it frees.
    pub amount: Amount,
}

impl EntryView {
    /// An entry, as shown.
    pub fn new(entry: &Entry) -> EntryView {
        let Entry {
            id,
            position: _,
            entry_type,
            generation,
            amount,
            note: _,
            created_at,
        } = entry;
        EntryView {
            id: id.to_string(),
            created_at: created_at.to_string(),
            entry_type: EntryType::as_str(*entry_type),
            generation_id: generation.map(|id| id.to_string()),
            amount: (*amount).into(),
        }
    }
}

/// One page of the ledger, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct EntryList {
    /// The entries.
    pub data: Vec<EntryView>,
    /// Whether there are older ones.
    pub has_more: bool,
    /// What to send as `cursor` for the next page.
    #[schema(schema_with = schema::nullable_text, required = true)]
    pub next_cursor: Option<String>,
}

impl EntryList {
    /// A page, as shown.
    pub fn new(page: Page<Entry>) -> EntryList {
        let Page { items, has_more } = page;
        let next_cursor = items
            .last()
            .filter(|_| has_more)
            .map(|last| last.position.to_string());
        EntryList {
            data: items.iter().map(EntryView::new).collect(),
            has_more,
            next_cursor,
        }
    }
}
