//! What the transactions ask of a database: statements with typed values, and rows to read.
//!
//! The transactions are written once, as plain functions over `&dyn` [`Sql`], in SQL that SQLite and PostgreSQL both
//! read. Where PostgreSQL needs more words, they stand in a comment that begins with `pg`: SQLite skips it, and
//! PostgreSQL's back end takes the comment's signs away. All that is left to tell apart is [`Dialect`].

use std::{borrow::Cow, ops::ControlFlow, str::FromStr};

use kinora_domain::{Phase, Stage};
use sqlx::postgres::PgDatabaseError;
use thiserror::Error;

/// A connection, inside a transaction where something is to be written.
pub(crate) trait Sql {
    /// Whose words it understands.
    fn dialect(&self) -> Dialect;
    /// Runs a statement; tells how many rows it changed.
    fn execute(&self, text: &str, values: &[Value<'_>]) -> Result<u64>;
    /// Hands over the rows of an answer, until `row` breaks off.
    fn each(&self, text: &str, values: &[Value<'_>], row: &mut EachRow<'_>) -> Result<()>;
}

/// Takes one row after the other.
pub(crate) type EachRow<'a> = dyn FnMut(&Row<'_>) -> Result<ControlFlow<()>> + 'a;

/// A result of a statement.
pub(crate) type Result<T, E = SqlError> = std::result::Result<T, E>;

/// What the two databases call differently where a comment does not help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// One connection writes at a time, so that no row needs a lock.
    Sqlite,
    /// Many write at a time; who changes rows locks them first, in one order everywhere.
    Postgres,
}

/// Why a statement failed.
#[derive(Debug, Error)]
pub(crate) enum SqlError {
    /// SQLite says so.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// PostgreSQL says so, or could not be asked.
    #[error(transparent)]
    Postgres(#[from] sqlx::Error),
    /// The database has not answered for so long that nobody waits any more.
    #[error("there was no answer for {0} s")]
    Silent(u64),
    /// A column holds what no program of this version has written.
    #[error("column {column} of a row cannot be read: {problem}")]
    Column {
        /// Its place in the row.
        column: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A row that must be there is not.
    #[error("a row is missing")]
    NoRow,
}

/// What the tables of an installation that moves away say to whoever writes to them; PostgreSQL says the code, too.
pub(crate) const SEALED: &str = "what is here moves to another database, and is not changed any more";
pub(crate) const SEALED_CODE: &str = "KN001";

impl SqlError {
    /// Whether the database is not there for the moment, or for nobody: nothing is wrong with what was asked of it.
    pub(crate) fn is_absence(&self) -> bool {
        match self {
            SqlError::Sqlite(error) => is_busy(error),
            SqlError::Postgres(
                sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed,
            )
            | SqlError::Silent(_) => true,
            // Connections broken off (08), too many of them (53300), a server that starts, stops or crashed (57P), a
            // session that was ended for being idle (25P03).
            SqlError::Postgres(_) => self.postgres_code().is_some_and(|code| {
                code.starts_with("08") || code.starts_with("57P") || code == "53300" || code == "25P03"
            }),
            SqlError::Column { .. } | SqlError::NoRow => false,
        }
    }

    /// Whether the tables refuse every change.
    pub(crate) fn is_seal(&self) -> bool {
        match self {
            SqlError::Sqlite(rusqlite::Error::SqliteFailure(_, Some(message))) => message == SEALED,
            _ => self.postgres_code() == Some(SEALED_CODE),
        }
    }

    /// What PostgreSQL calls it.
    pub(crate) fn postgres_code(&self) -> Option<&str> {
        self.of_postgres().map(PgDatabaseError::code)
    }

    /// What PostgreSQL itself has said.
    pub(crate) fn of_postgres(&self) -> Option<&PgDatabaseError> {
        match self {
            SqlError::Postgres(sqlx::Error::Database(error)) => error.try_downcast_ref(),
            _ => None,
        }
    }
}

/// Whether another process has kept a SQLite database locked for longer than anybody waits.
pub(crate) fn is_busy(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked};
    matches!(error.sqlite_error_code(), Some(DatabaseBusy | DatabaseLocked))
}

/// A value of a statement, or its type's NULL.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
pub(crate) enum Value<'a> {
    /// Every number that is counted, and every yes (1) and no (0).
    Int(Option<i64>),
    /// A fraction.
    Real(Option<f64>),
    /// Text.
    Text(Option<Cow<'a, str>>),
    /// A hash, a secret, a picture.
    Bytes(Option<Cow<'a, [u8]>>),
}

/// The values of a statement, in order.
macro_rules! params {
    ($($value:expr),* $(,)?) => {
        [$(crate::sql::IntoValue::into_value($value)),*]
    };
}
pub(crate) use params;

/// What can stand in a statement.
pub(crate) trait IntoValue<'a> {
    /// As it stands there.
    fn into_value(self) -> Value<'a>;
}

macro_rules! whole_numbers {
    ($($number:ty),*) => {$(
        impl<'a> IntoValue<'a> for $number {
            fn into_value(self) -> Value<'a> {
                Value::Int(Some(i64::from(self)))
            }
        }
        impl<'a> IntoValue<'a> for &$number {
            fn into_value(self) -> Value<'a> {
                Value::Int(Some(i64::from(*self)))
            }
        }
        impl<'a> IntoValue<'a> for Option<$number> {
            fn into_value(self) -> Value<'a> {
                Value::Int(self.map(i64::from))
            }
        }
        impl<'a> IntoValue<'a> for &Option<$number> {
            fn into_value(self) -> Value<'a> {
                Value::Int(self.map(i64::from))
            }
        }
    )*};
}
whole_numbers!(bool, u8, u16, u32, i32, i64);

impl<'a> IntoValue<'a> for f64 {
    fn into_value(self) -> Value<'a> {
        Value::Real(Some(self))
    }
}

impl<'a> IntoValue<'a> for String {
    fn into_value(self) -> Value<'a> {
        Value::Text(Some(Cow::Owned(self)))
    }
}

impl<'a> IntoValue<'a> for &'a str {
    fn into_value(self) -> Value<'a> {
        Value::Text(Some(Cow::Borrowed(self)))
    }
}

impl<'a> IntoValue<'a> for &'a String {
    fn into_value(self) -> Value<'a> {
        Value::Text(Some(Cow::Borrowed(self)))
    }
}

impl<'a> IntoValue<'a> for Option<String> {
    fn into_value(self) -> Value<'a> {
        Value::Text(self.map(Cow::Owned))
    }
}

impl<'a> IntoValue<'a> for &'a Option<String> {
    fn into_value(self) -> Value<'a> {
        Value::Text(self.as_deref().map(Cow::Borrowed))
    }
}

impl<'a> IntoValue<'a> for Option<&'a str> {
    fn into_value(self) -> Value<'a> {
        Value::Text(self.map(Cow::Borrowed))
    }
}

impl<'a> IntoValue<'a> for &'a [u8; 32] {
    fn into_value(self) -> Value<'a> {
        Value::Bytes(Some(Cow::Borrowed(self)))
    }
}

impl<'a> IntoValue<'a> for &'a [u8] {
    fn into_value(self) -> Value<'a> {
        Value::Bytes(Some(Cow::Borrowed(self)))
    }
}

impl<'a> IntoValue<'a> for Option<[u8; 32]> {
    fn into_value(self) -> Value<'a> {
        Value::Bytes(self.map(|bytes| Cow::Owned(bytes.to_vec())))
    }
}

/// What every connection can do.
impl dyn Sql + '_ {
    /// All rows.
    pub(crate) fn all<T>(
        &self,
        text: &str,
        values: &[Value<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut all = Vec::new();
        self.each(text, values, &mut |row| {
            all.push(read(row)?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(all)
    }

    /// The first row, if there is one.
    pub(crate) fn first<T>(
        &self,
        text: &str,
        values: &[Value<'_>],
        read: impl Fn(&Row<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        let mut first = None;
        self.each(text, values, &mut |row| {
            first = Some(read(row)?);
            Ok(ControlFlow::Break(()))
        })?;
        Ok(first)
    }

    /// The one row that must be there.
    pub(crate) fn one<T>(
        &self,
        text: &str,
        values: &[Value<'_>],
        read: impl Fn(&Row<'_>) -> Result<T>,
    ) -> Result<T> {
        self.first(text, values, read)?.ok_or(SqlError::NoRow)
    }

    /// Whether there is a row.
    pub(crate) fn exists(&self, text: &str, values: &[Value<'_>]) -> Result<bool> {
        Ok(self.first(text, values, |_| Ok(()))?.is_some())
    }

    /// Runs a statement that does nothing but lock rows, where rows are locked.
    pub(crate) fn lock(&self, text: &str, values: &[Value<'_>]) -> Result<()> {
        match self.dialect() {
            Dialect::Sqlite => Ok(()),
            Dialect::Postgres => self.each(text, values, &mut |_| Ok(ControlFlow::Continue(()))),
        }
    }
}

/// One row of an answer.
pub(crate) struct Row<'r>(pub(crate) &'r dyn Columns);

/// The columns of a row by their places; `None` is NULL.
pub(crate) trait Columns {
    /// A whole number.
    fn int(&self, column: usize) -> Result<Option<i64>>;
    /// A fraction.
    fn real(&self, column: usize) -> Result<Option<f64>>;
    /// Text.
    fn text(&self, column: usize) -> Result<Option<&str>>;
    /// A hash, a secret, a picture.
    fn bytes(&self, column: usize) -> Result<Option<&[u8]>>;
}

impl Row<'_> {
    /// What stands in a column.
    pub(crate) fn get<T: FromRow>(&self, column: usize) -> Result<T> {
        T::from_row(self, column)
    }

    /// The text in a column.
    pub(crate) fn text(&self, column: usize) -> Result<&str> {
        self.0.text(column)?.ok_or_else(|| null(column))
    }

    /// Whether there is no text in a column of text.
    pub(crate) fn is_null(&self, column: usize) -> Result<bool> {
        Ok(self.0.text(column)?.is_none())
    }

    /// What the text in a column reads as: an id, a word.
    pub(crate) fn parsed<T: FromStr>(&self, column: usize) -> Result<T> {
        let text = self.text(column)?;
        text.parse().map_err(|_| unknown(column, text))
    }

    /// A stage.
    pub(crate) fn stage(&self, column: usize) -> Result<Stage> {
        self.one_of(&Stage::ALL, Stage::as_str, column)
    }

    /// A phase.
    pub(crate) fn phase(&self, column: usize) -> Result<Phase> {
        self.one_of(&Phase::ALL, Phase::as_str, column)
    }

    /// The one of `all` whose word stands in a column.
    pub(crate) fn one_of<T: Copy>(
        &self,
        all: &[T],
        as_str: fn(T) -> &'static str,
        column: usize,
    ) -> Result<T> {
        let text = self.text(column)?;
        all.iter()
            .copied()
            .find(|value| as_str(*value) == text)
            .ok_or_else(|| unknown(column, text))
    }
}

/// What a column, or an empty one, can be read as.
pub(crate) trait FromRow: Sized {
    /// Reads it.
    fn from_row(row: &Row<'_>, column: usize) -> Result<Self>;
}

/// What a column that is not empty can be read as.
pub(crate) trait FromColumn: Sized {
    /// Reads it; `None` is NULL.
    fn from_column(row: &Row<'_>, column: usize) -> Result<Option<Self>>;
}

impl<T: FromColumn> FromRow for T {
    fn from_row(row: &Row<'_>, column: usize) -> Result<T> {
        T::from_column(row, column)?.ok_or_else(|| null(column))
    }
}

impl<T: FromColumn> FromRow for Option<T> {
    fn from_row(row: &Row<'_>, column: usize) -> Result<Option<T>> {
        T::from_column(row, column)
    }
}

macro_rules! out_of_whole_numbers {
    ($($number:ty),*) => {$(
        impl FromColumn for $number {
            fn from_column(row: &Row<'_>, column: usize) -> Result<Option<$number>> {
                let number = row.0.int(column)?;
                number
                    .map(|number| number.try_into().map_err(|_| unknown(column, &number.to_string())))
                    .transpose()
            }
        }
    )*};
}
out_of_whole_numbers!(u8, u16, u32, u64, i32, i64);

impl FromColumn for bool {
    fn from_column(row: &Row<'_>, column: usize) -> Result<Option<bool>> {
        Ok(row.0.int(column)?.map(|number| number != 0))
    }
}

impl FromColumn for f32 {
    fn from_column(row: &Row<'_>, column: usize) -> Result<Option<f32>> {
        Ok(row.0.real(column)?.map(|number| number as f32))
    }
}

impl FromColumn for String {
    fn from_column(row: &Row<'_>, column: usize) -> Result<Option<String>> {
        Ok(row.0.text(column)?.map(str::to_owned))
    }
}

impl FromColumn for Vec<u8> {
    fn from_column(row: &Row<'_>, column: usize) -> Result<Option<Vec<u8>>> {
        Ok(row.0.bytes(column)?.map(<[u8]>::to_vec))
    }
}

impl FromColumn for [u8; 32] {
    fn from_column(row: &Row<'_>, column: usize) -> Result<Option<[u8; 32]>> {
        let bytes = row.0.bytes(column)?;
        bytes
            .map(|bytes| bytes.try_into().map_err(|_| unknown(column, "of another length")))
            .transpose()
    }
}

/// A column that does not say what it should.
pub(crate) fn unreadable(column: usize, problem: String) -> SqlError {
    SqlError::Column { column, problem }
}

fn unknown(column: usize, found: &str) -> SqlError {
    unreadable(column, format!("{found:?} is unknown"))
}

fn null(column: usize) -> SqlError {
    unreadable(column, "it is empty".to_owned())
}
