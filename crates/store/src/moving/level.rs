//! Makes the rows of one database what they are in another, or shows where they differ.
//!
//! Both are read in the order of their keys, side by side, so that a row that is the same in both costs a reading: what an
//! interrupted move has copied is not copied again, and what changes while a server runs is caught up with in a second go.

use std::{cmp::Ordering, collections::VecDeque};

use super::{
    Progress, Step,
    tables::{Column, TABLES, Table, Values, columns, count, page, put, remove},
};
use crate::{
    Result, StoreError,
    sql::{Dialect, Sql, Value},
};

/// How many rows are read at once.
const PAGE: i64 = 500;

/// What there was between two databases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Differences {
    /// Rows that were missing, that differed, or that were too many.
    pub(super) rows: u64,
    /// The first of them that cannot be mended: a table and a key.
    pub(super) beyond: Option<String>,
}

/// What is done about differences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// The target becomes what the source is.
    Copy,
    /// They are counted.
    Compare,
}

/// Looks at every row of both.
pub(super) fn level(
    source: &dyn Sql,
    target: &dyn Sql,
    way: Way,
    progress: &dyn Fn(Progress),
) -> Result<Differences> {
    let mut found = Differences::default();
    let step = match way {
        Way::Copy => Step::Copy,
        Way::Compare => Step::Compare,
    };
    // What is gone goes first, and before what it refers to: a URL that was forgotten may be there again as another row.
    if way == Way::Copy {
        for table in TABLES.iter().rev() {
            if count(target, table)? == 0 {
                continue;
            }
            let columns = key_columns(table, shared_columns(source, target, table)?);
            let mut pair = Pair::of(source, target, table, &columns);
            while let Some(next) = pair.next()? {
                if let Next::Extra(row) = next {
                    match table.is_ledger {
                        true => found.cannot_mend(table, &row),
                        false => remove(target, table, &row)?,
                    }
                    found.rows += 1;
                }
            }
        }
    }
    for table in TABLES {
        let columns = shared_columns(source, target, table)?;
        let of = count(source, table)?;
        let mut pair = Pair::of(source, target, table, &columns);
        let mut waiting = Vec::new();
        let mut rows = 0;
        while let Some(next) = pair.next()? {
            rows += 1;
            let row = match next {
                Next::Same => None,
                Next::Missing(row) => Some(row),
                Next::Different(row) => {
                    if table.is_ledger {
                        found.cannot_mend(table, &row);
                    }
                    Some(row)
                }
                Next::Extra(row) => {
                    found.rows += u64::from(way == Way::Compare);
                    found.cannot_mend(table, &row);
                    None
                }
            };
            if let Some(row) = row {
                found.rows += 1;
                waiting.push(row);
            }
            if found.beyond.is_some() {
                // Whatever else there is, it is not what was to be moved.
                return Ok(found);
            }
            if waiting.len() as i64 == PAGE {
                if way == Way::Copy {
                    put(target, table, &columns, &waiting)?;
                }
                waiting.clear();
            }
            if rows % (PAGE as u64) == 0 {
                progress(Progress {
                    step,
                    table: table.name,
                    rows,
                    of,
                });
            }
        }
        if way == Way::Copy {
            put(target, table, &columns, &waiting)?;
        }
        progress(Progress {
            step,
            table: table.name,
            rows,
            of,
        });
    }
    Ok(found)
}

impl Differences {
    fn cannot_mend(&mut self, table: &Table, row: &[Value<'static>]) {
        let key: Vec<String> = row[..table.key.len()].iter().map(shown).collect();
        self.beyond
            .get_or_insert_with(|| format!("{} {}", table.name, key.join(", ")));
    }
}

/// The columns of a table, which both must have.
fn shared_columns(source: &dyn Sql, target: &dyn Sql, table: &Table) -> Result<Vec<Column>> {
    let (here, there) = (columns(source, table)?, columns(target, table)?);
    match here.is_empty() || here != there {
        true => Err(StoreError::database("find the same columns in both")(format!(
            "{}: {here:?} and {there:?}",
            table.name
        ))),
        false => Ok(here),
    }
}

fn key_columns(table: &Table, mut columns: Vec<Column>) -> Vec<Column> {
    columns.truncate(table.key.len());
    columns
}

/// A row of two databases.
enum Next {
    /// It is the same in both.
    Same,
    /// It is in the source alone.
    Missing(Values),
    /// It is in both, and this is what it is in the source.
    Different(Values),
    /// It is in the target alone.
    Extra(Values),
}

/// The rows of a table, in both databases, side by side.
struct Pair<'s> {
    source: Rows<'s>,
    target: Rows<'s>,
    key: usize,
}

impl<'s> Pair<'s> {
    fn of(source: &'s dyn Sql, target: &'s dyn Sql, table: &'s Table, columns: &'s [Column]) -> Pair<'s> {
        // PostgreSQL keeps no U+0000; see there.
        let without_zeros = target.dialect() == Dialect::Postgres;
        let rows = |sql, without_zeros| Rows {
            sql,
            table,
            columns,
            without_zeros,
            read: VecDeque::new(),
            behind: None,
            is_over: false,
        };
        Pair {
            source: rows(source, without_zeros),
            target: rows(target, false),
            key: table.key.len(),
        }
    }

    fn next(&mut self) -> Result<Option<Next>> {
        let order = match (self.source.first()?, self.target.first()?) {
            (None, None) => return Ok(None),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(here), Some(there)) => here[..self.key]
                .partial_cmp(&there[..self.key])
                .unwrap_or(Ordering::Less),
        };
        Ok(match order {
            Ordering::Less => self.source.read.pop_front().map(Next::Missing),
            Ordering::Greater => self.target.read.pop_front().map(Next::Extra),
            Ordering::Equal => {
                let (here, there) = (self.source.read.pop_front(), self.target.read.pop_front());
                match here == there {
                    true => Some(Next::Same),
                    false => here.map(Next::Different),
                }
            }
        })
    }
}

/// The rows of a table, a page at a time.
struct Rows<'s> {
    sql: &'s dyn Sql,
    table: &'s Table,
    columns: &'s [Column],
    without_zeros: bool,
    read: VecDeque<Values>,
    behind: Option<Values>,
    is_over: bool,
}

impl Rows<'_> {
    fn first(&mut self) -> Result<Option<&Values>> {
        if self.read.is_empty() && !self.is_over {
            let page = page(self.sql, self.table, self.columns, self.behind.as_deref(), PAGE)?;
            self.is_over = (page.len() as i64) < PAGE;
            if let Some(last) = page.last() {
                self.behind = Some(last[..self.table.key.len()].to_vec());
            }
            self.read.extend(page);
            if self.without_zeros {
                self.read.iter_mut().flatten().for_each(replace_zeros);
            }
        }
        Ok(self.read.front())
    }
}

fn replace_zeros(value: &mut Value<'static>) {
    if let Value::Text(Some(text)) = value
        && text.contains('\0')
    {
        *text = text.replace('\0', "\u{FFFD}").into();
    }
}

fn shown(value: &Value<'_>) -> String {
    match value {
        Value::Int(Some(number)) => number.to_string(),
        Value::Text(Some(text)) => text.to_string(),
        Value::Int(None) | Value::Text(None) | Value::Real(_) | Value::Bytes(_) => "?".to_owned(),
    }
}
