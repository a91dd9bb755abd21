//! PostgreSQL's side of [`Sql`]: one connection, driven to the end of each statement on the thread that asks.

use std::{borrow::Cow, cell::RefCell, collections::HashMap, ops::ControlFlow, time::Duration};

use sqlx::{
    AssertSqlSafe, Executor, PgConnection, Postgres, Row as _, SqlSafeStr, SqlStr,
    postgres::{PgArguments, PgRow},
    query::Query,
};
use tokio::{runtime::Runtime, time::timeout};

use crate::sql::{Columns, Dialect, EachRow, Result, Row, Sql, SqlError, Value};

/// A connection and the thread's runtime that drives it.
pub(crate) struct Connection<'c> {
    pub(super) runtime: &'c Runtime,
    pub(super) connection: RefCell<&'c mut PgConnection>,
    pub(super) texts: &'c Texts,
    /// How long a statement may take; one that takes longer leaves the connection unusable.
    pub(super) patience: Duration,
}

impl Connection<'_> {
    /// Runs statements that take no values and give no rows: `BEGIN`, a migration.
    pub(super) fn run(&self, text: &str) -> Result<()> {
        let mut connection = self.connection.borrow_mut();
        let run = sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut **connection);
        self.wait(run).map(|_| ())
    }

    fn wait<T>(&self, answer: impl Future<Output = sqlx::Result<T>>) -> Result<T> {
        let answer = self
            .runtime
            .block_on(async { timeout(self.patience, answer).await });
        Ok(answer.map_err(|_| SqlError::Silent(self.patience.as_secs()))??)
    }
}

impl Sql for Connection<'_> {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn execute(&self, text: &str, values: &[Value<'_>]) -> Result<u64> {
        let query = query(self.texts.of(text), values);
        let mut connection = self.connection.borrow_mut();
        Ok(self.wait(connection.execute(query))?.rows_affected())
    }

    fn each(&self, text: &str, values: &[Value<'_>], row: &mut EachRow<'_>) -> Result<()> {
        let query = query(self.texts.of(text), values);
        let rows = {
            let mut connection = self.connection.borrow_mut();
            self.wait(connection.fetch_all(query))?
        };
        for next in &rows {
            if row(&Row(next))? == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }
}

fn query<'q>(text: SqlStr, values: &[Value<'_>]) -> Query<'q, Postgres, PgArguments> {
    let query = sqlx::query(text);
    values.iter().fold(query, |query, value| match value {
        Value::Int(number) => query.bind(*number),
        Value::Real(number) => query.bind(*number),
        Value::Text(text) => query.bind(text.as_deref().map(storable)),
        Value::Bytes(bytes) => query.bind(bytes.as_deref().map(<[u8]>::to_vec)),
    })
}

/// PostgreSQL keeps every character but U+0000. It comes in what receivers of webhooks answer and in what people write
/// about an endpoint, and is kept as the sign for what cannot be shown.
fn storable(text: &str) -> String {
    match text.contains('\0') {
        true => text.replace('\0', "\u{FFFD}"),
        false => text.to_owned(),
    }
}

/// What statements are to PostgreSQL, so that each is rewritten once for a connection.
#[derive(Default)]
pub(super) struct Texts(RefCell<HashMap<String, SqlStr>>);

impl Texts {
    fn of(&self, text: &str) -> SqlStr {
        let mut texts = self.0.borrow_mut();
        if let Some(known) = texts.get(text) {
            return known.clone();
        }
        let rewritten: std::sync::Arc<str> = rewritten(text).into();
        let rewritten = AssertSqlSafe(rewritten).into_sql_str();
        texts.insert(text.to_owned(), rewritten.clone());
        rewritten
    }
}

/// `?1` becomes `$1`, and what stands in a comment that begins with `pg` is no comment any more. No statement of ours has
/// a question mark or a comment's sign in a literal.
fn rewritten(text: &str) -> Cow<'_, str> {
    let text = text.replace('?', "$");
    if !text.contains("/*pg") {
        return text.into();
    }
    text.replace("/*pg", "").replace("*/", "").into()
}

impl Columns for PgRow {
    fn int(&self, column: usize) -> Result<Option<i64>> {
        Ok(self.try_get(column)?)
    }

    fn real(&self, column: usize) -> Result<Option<f64>> {
        Ok(self.try_get(column)?)
    }

    fn text(&self, column: usize) -> Result<Option<&str>> {
        Ok(self.try_get(column)?)
    }

    fn bytes(&self, column: usize) -> Result<Option<&[u8]>> {
        Ok(self.try_get(column)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_put_in_postgresqls_words() {
        let check = |text: &str, expected: &str| assert_eq!(rewritten(text), expected);
        check("SELECT 1", "SELECT 1");
        check(
            "SELECT a WHERE b = ?1 AND c > ?12",
            "SELECT a WHERE b = $1 AND c > $12",
        );
        check("SELECT a /*pg FOR UPDATE */", "SELECT a  FOR UPDATE ");
    }
}
