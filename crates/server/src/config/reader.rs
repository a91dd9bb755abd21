//! Values checked one by one: what is not taken is noted with its key, its value, its source, and what would be
//! taken. Reading goes on with the default, so that all mistakes are told at once.

use std::{collections::BTreeSet, ops::RangeInclusive};

use kinora_engine::Secret;
use toml::Value;

use super::layers::{ConfigError, Entry, Layers};

/// Reads the laid-out configuration key by key.
pub(super) struct Reader {
    layers: Layers,
    read: BTreeSet<&'static str>,
}

/// Stands for a value that is refused and must not be seen.
const NOT_SHOWN: &str = " (not shown)";

impl Reader {
    pub(super) fn new(layers: Layers) -> Reader {
        Reader {
            layers,
            read: BTreeSet::new(),
        }
    }

    /// A whole number in `range`.
    pub(super) fn number(&mut self, key: &'static str, range: RangeInclusive<u64>) -> u64 {
        let takes = format!("{} to {}", range.start(), range.end());
        self.value(key, &takes, |value| {
            let number = u64::try_from(value.as_integer()?).ok()?;
            range.contains(&number).then_some(number)
        })
    }

    /// A text that `parse` takes.
    pub(super) fn text<T>(&mut self, key: &'static str, takes: &str, parse: impl Fn(&str) -> Option<T>) -> T {
        self.value(key, takes, |value| parse(value.as_str()?))
    }

    /// A key that must not be seen, not even where it is refused; `None` where there is none.
    pub(super) fn secret(&mut self, key: &'static str) -> Option<Secret> {
        self.hidden(key).map(Secret::new)
    }

    /// As [`Reader::secret`], for who hides it by other means.
    pub(super) fn hidden(&mut self, key: &'static str) -> Option<String> {
        // A header takes visible characters only, and such a key could not be sent.
        self.unseen(key, "a key of visible ASCII characters, or nothing", |text| {
            text.chars()
                .all(|c| c.is_ascii_graphic())
                .then(|| (!text.is_empty()).then(|| text.to_owned()))
        })
    }

    /// As [`Reader::text`], told without the value where it is refused: there may be a secret in it.
    pub(super) fn unseen<T>(
        &mut self,
        key: &'static str,
        takes: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> T {
        if let Some(entry) = self.layers.entries.get_mut(key)
            && entry.value.as_str().is_none_or(|text| parse(text).is_none())
        {
            entry.value = Value::String(NOT_SHOWN.to_owned());
        }
        self.text(key, takes, |text| {
            (text != NOT_SHOWN).then(|| parse(text)).flatten()
        })
    }

    /// A switch.
    pub(super) fn flag(&mut self, key: &'static str) -> bool {
        self.value(key, "true or false", |value| match value {
            Value::Boolean(flag) => Some(*flag),
            Value::String(text) => text.parse().ok(),
            _ => None,
        })
    }

    /// A list of texts that `parse` takes.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        takes: &str,
        parse: impl Fn(&[&str]) -> Option<T>,
    ) -> T {
        self.value(key, &format!("a list of {takes}"), |value| {
            let texts: Option<Vec<&str>> = value.as_array()?.iter().map(Value::as_str).collect();
            parse(&texts?)
        })
    }

    /// Numbers in `range`, each below the one before it.
    pub(super) fn falling(&mut self, key: &'static str, range: RangeInclusive<f64>) -> Vec<f64> {
        let takes = format!("a list of falling numbers, {} to {}", range.start(), range.end());
        self.value(key, &takes, |value| {
            let number = |value: &Value| match value {
                Value::Integer(number) => Some(*number as f64),
                Value::Float(number) => Some(*number),
                Value::String(text) => text.parse().ok(),
                _ => None,
            };
            let numbers: Option<Vec<f64>> = value.as_array()?.iter().map(number).collect();
            let numbers = numbers?;
            let is_falling = numbers.is_sorted_by(|before, after| before > after);
            (is_falling && numbers.iter().all(|number| range.contains(number))).then_some(numbers)
        })
    }

    /// Everything that is not taken, if there is anything.
    pub(super) fn finish(self) -> Result<(), ConfigError> {
        let unread: Vec<&String> = self
            .layers
            .entries
            .keys()
            .filter(|key| !self.read.contains(key.as_str()))
            .collect();
        debug_assert!(
            unread.is_empty(),
            "keys of the defaults that nothing reads: {unread:?}"
        );
        match self.layers.problems {
            problems if problems.is_empty() => Ok(()),
            problems => Err(ConfigError::Refused { problems }),
        }
    }

    fn value<T>(&mut self, key: &'static str, takes: &str, convert: impl Fn(&Value) -> Option<T>) -> T {
        self.read.insert(key);
        let Entry { value, default, .. } = self.entry(key);
        if let Some(taken) = convert(value) {
            return taken;
        }
        let usual = convert(default).expect("a test reads the defaults");
        self.refuse(key, takes);
        usual
    }

    /// Notes that a key's value is not taken, where that shows only beside other keys.
    pub(super) fn refuse(&mut self, key: &'static str, takes: &str) {
        let Entry { value, origin, .. } = self.entry(key);
        let problem = format!("{key} = {value} {origin}: takes {takes}");
        self.layers.problems.push(problem);
    }

    fn entry(&self, key: &'static str) -> &Entry {
        self.layers
            .entries
            .get(key)
            .expect("a test reads every key from the defaults")
    }
}
