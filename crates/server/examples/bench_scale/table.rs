//! What was measured, by database: a table for people, and the same as JSON.

use std::fmt;

use serde_json::{Map, Value, json};

use crate::place::Kind;

/// Rows in the order in which they are measured; what only one database has comes after what it had measured before.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<Row>,
    /// Where a new row comes.
    next: usize,
}

struct Row {
    key: String,
    label: String,
    values: Vec<(Kind, f64)>,
}

impl Table {
    /// Keeps a value. `key` is its name in the JSON, `label` says what it is, its unit at the end.
    pub(crate) fn set(&mut self, kind: Kind, key: &str, label: &str, value: f64) {
        eprintln!("{kind:<12}{label:<64}{:>12}", shown(value));
        let index = match self.rows.iter().position(|row| row.key == key) {
            Some(index) => index,
            None => {
                let (key, label) = (key.to_owned(), label.to_owned());
                let values = Vec::new();
                self.rows.insert(self.next, Row { key, label, values });
                self.next
            }
        };
        self.rows[index].values.push((kind, value));
        self.next = index + 1;
    }

    pub(crate) fn get(&self, kind: Kind, key: &str) -> Option<f64> {
        self.rows.iter().find(|row| row.key == key)?.of(kind)
    }

    /// An object for each database.
    pub(crate) fn to_json(&self) -> Map<String, Value> {
        let figures = |kind| {
            let rows = self.rows.iter();
            let set = rows.filter_map(|row| Some((row.key.clone(), json!(rounded(row.of(kind)?)))));
            set.collect::<Map<_, _>>()
        };
        Kind::ALL
            .into_iter()
            .map(|kind| (kind.to_string().to_lowercase(), figures(kind).into()))
            .collect()
    }
}

impl Row {
    fn of(&self, kind: Kind) -> Option<f64> {
        self.values
            .iter()
            .find(|(of, _)| *of == kind)
            .map(|(_, value)| *value)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<64}", "")?;
        for kind in Kind::ALL {
            write!(f, "{:>12}", kind.to_string())?;
        }
        writeln!(f)?;
        for row in &self.rows {
            write!(f, "{:<64}", row.label)?;
            for kind in Kind::ALL {
                write!(f, "{:>12}", row.of(kind).map_or("-".to_owned(), shown))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// A value with as many digits as say something.
fn shown(value: f64) -> String {
    match value.abs() {
        0.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => grouped(value.round() as usize),
    }
}

/// A value as it stands in the JSON.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// A whole number as people write it: 1,000,000.
pub(crate) fn grouped(number: usize) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", grouped(number / 1000), number % 1000),
    }
}
