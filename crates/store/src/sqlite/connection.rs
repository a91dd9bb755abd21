//! SQLite's side of [`Sql`]: statements that stay prepared with their connection.

use std::ops::ControlFlow;

use rusqlite::{
    Connection, ToSql, params_from_iter,
    types::{FromSql, ToSqlOutput, ValueRef},
};

use crate::sql::{Columns, Dialect, EachRow, Result, Row, Sql, Value};

impl Sql for Connection {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn execute(&self, text: &str, values: &[Value<'_>]) -> Result<u64> {
        Ok(self.prepare_cached(text)?.execute(params_from_iter(values))? as u64)
    }

    fn each(&self, text: &str, values: &[Value<'_>], row: &mut EachRow<'_>) -> Result<()> {
        let mut statement = self.prepare_cached(text)?;
        let mut rows = statement.query(params_from_iter(values))?;
        while let Some(next) = rows.next()? {
            if row(&Row(next))? == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let value = match self {
            Value::Int(number) => number.map(ValueRef::Integer),
            Value::Real(number) => number.map(ValueRef::Real),
            Value::Text(text) => text.as_deref().map(|text| ValueRef::Text(text.as_bytes())),
            Value::Bytes(bytes) => bytes.as_deref().map(ValueRef::Blob),
        };
        Ok(ToSqlOutput::Borrowed(value.unwrap_or(ValueRef::Null)))
    }
}

impl Columns for rusqlite::Row<'_> {
    fn int(&self, column: usize) -> Result<Option<i64>> {
        read(self, column)
    }

    fn real(&self, column: usize) -> Result<Option<f64>> {
        read(self, column)
    }

    fn text(&self, column: usize) -> Result<Option<&str>> {
        Ok(self
            .get_ref(column)?
            .as_str_or_null()
            .map_err(rusqlite::Error::from)?)
    }

    fn bytes(&self, column: usize) -> Result<Option<&[u8]>> {
        Ok(self
            .get_ref(column)?
            .as_blob_or_null()
            .map_err(rusqlite::Error::from)?)
    }
}

fn read<T: FromSql>(row: &rusqlite::Row<'_>, column: usize) -> Result<Option<T>> {
    Ok(row.get(column)?)
}
