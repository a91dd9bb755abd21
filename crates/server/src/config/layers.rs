//! The sources of the configuration, laid over each other: every key has one value and knows where it is from.
//!
//! The defaults say which keys there are and of what type each is. What a value means is left to the reader.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt, fs, io,
    path::{Path, PathBuf},
};

use thiserror::Error;
use toml::{Table, Value};

/// The defaults, which are the manual.
const DEFAULTS: &str = include_str!("../../../../config.default.toml");
const VARIABLE_PREFIX: &str = "KINORA_";

/// A flag of the command line that stands for a key.
#[derive(Debug, Clone)]
pub struct Flag {
    /// As it is typed: `--listen`.
    pub name: &'static str,
    /// The key it stands for: `server.listen`.
    pub key: &'static str,
    /// What was given.
    pub value: String,
}

/// Why there is no configuration.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file named with `--config` cannot be read.
    #[error("the configuration {} cannot be read", path.display())]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is no TOML.
    #[error("the configuration {} is no TOML", path.display())]
    ParseFile {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// Keys or values that are not taken, all of them.
    #[error("the configuration is refused:\n{}", problems.join("\n"))]
    Refused {
        /// One sentence each.
        problems: Vec<String>,
    },
}

/// Where a value is from.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    Defaults,
    File(PathBuf),
    Variable(String),
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Defaults => f.write_str("in the defaults"),
            Origin::File(path) => write!(f, "in {}", path.display()),
            Origin::Variable(name) => write!(f, "in the environment variable {name}"),
            Origin::Flag(name) => write!(f, "given as {name}"),
        }
    }
}

/// A key's value, and the default it was laid over.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) value: Value,
    pub(super) origin: Origin,
    pub(super) default: Value,
}

/// Every key with its value.
#[derive(Debug)]
pub(super) struct Layers {
    /// By `section.key`.
    pub(super) entries: BTreeMap<String, Entry>,
    /// Keys that are not taken.
    pub(super) problems: Vec<String>,
}

impl Layers {
    pub(super) fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        flags: impl IntoIterator<Item = Flag>,
    ) -> Result<Layers, ConfigError> {
        let mut layers = Layers::defaults();
        if let Some(path) = file {
            layers.lay_file(path)?;
        }
        for (name, value) in environment {
            layers.lay_variable(&name, &value);
        }
        for Flag { name, key, value } in flags {
            layers.lay_text(key, &value, Origin::Flag(name));
        }
        Ok(layers)
    }

    fn defaults() -> Layers {
        let table: Table = DEFAULTS.parse().expect("a test parses the defaults");
        let mut entries = BTreeMap::new();
        for (section, keys) in table {
            let Value::Table(keys) = keys else { continue };
            for (key, value) in keys {
                let entry = Entry {
                    value: value.clone(),
                    origin: Origin::Defaults,
                    default: value,
                };
                entries.insert(format!("{section}.{key}"), entry);
            }
        }
        Layers {
            entries,
            problems: Vec::new(),
        }
    }

    fn lay_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::ReadFile {
            path: path.to_owned(),
            source,
        })?;
        let table: Table = text.parse().map_err(|source| ConfigError::ParseFile {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        let origin = Origin::File(path.to_owned());
        for (section, keys) in table {
            match keys {
                Value::Table(keys) => {
                    for (key, value) in keys {
                        self.lay(&format!("{section}.{key}"), value, origin.clone());
                    }
                }
                // A key before the first section.
                value => self.lay(&section, value, origin.clone()),
            }
        }
        Ok(())
    }

    /// Takes `KINORA_SECTION__KEY`. Variables without the double underscore are not meant for the configuration:
    /// container platforms set some of that form for a service that is called kinora.
    fn lay_variable(&mut self, name: &OsString, value: &OsString) {
        let Some(name) = name.to_str() else { return };
        let Some((section, key)) = name
            .strip_prefix(VARIABLE_PREFIX)
            .and_then(|rest| rest.split_once("__"))
        else {
            return;
        };
        let key = format!("{}.{}", section.to_lowercase(), key.to_lowercase());
        let origin = Origin::Variable(name.to_owned());
        match value.to_str() {
            Some(text) => self.lay_text(&key, text, origin),
            None => self.problems.push(format!("{key} {origin}: is not UTF-8")),
        }
    }

    /// Text becomes what the default is; what cannot is kept as text, for the reader to refuse.
    fn lay_text(&mut self, key: &str, text: &str, origin: Origin) {
        let value = match self.entries.get(key).map(|entry| &entry.default) {
            Some(Value::Integer(_)) => text.trim().parse().map_or_else(|_| text.into(), Value::Integer),
            Some(Value::Array(_)) if text.trim().is_empty() => Value::Array(Vec::new()),
            Some(Value::Array(_)) => text.split(',').map(str::trim).collect::<Vec<_>>().into(),
            Some(_) | None => text.into(),
        };
        self.lay(key, value, origin);
    }

    fn lay(&mut self, key: &str, value: Value, origin: Origin) {
        if let Some(entry) = self.entries.get_mut(key) {
            (entry.value, entry.origin) = (value, origin);
            return;
        }
        self.problems
            .push(format!("{key} {origin}: is no key; {}", self.keys_near(key)));
    }

    /// The keys of the same section or, where there is no such section, the sections.
    fn keys_near(&self, key: &str) -> String {
        let section = key.split_once('.').map_or(key, |(section, _)| section);
        let known = self.entries.keys().filter_map(|known| known.split_once('.'));
        let keys: Vec<&str> = known
            .clone()
            .filter(|(s, _)| *s == section)
            .map(|(_, key)| key)
            .collect();
        if !keys.is_empty() {
            return format!("[{section}] takes {}", keys.join(", "));
        }
        let mut sections: Vec<String> = known.map(|(section, _)| format!("[{section}]")).collect();
        sections.dedup();
        format!("the sections are {}", sections.join(", "))
    }
}
