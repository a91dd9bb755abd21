//! A PostgreSQL for a test, and in it a schema for each store: an empty database that costs next to nothing.
//!
//! `KINORA_TEST_POSTGRES` names a server that is there already, as `cargo xtask test` starts one for all tests. Without
//! it the test starts its own.

#![allow(dead_code, reason = "each test uses its own part")]

use std::{
    env,
    sync::{Mutex, OnceLock},
    thread,
};

use sqlx::{AssertSqlSafe, Connection, PgConnection};

#[path = "../postgres_server/mod.rs"]
pub(crate) mod postgres_server;

use kinora_store::postgres::PostgresUrl;
use postgres_server::Server;

/// The server for all stores of this process. It ends with the process.
fn server_url() -> &'static str {
    static OWN: OnceLock<Server> = OnceLock::new();
    static URL: OnceLock<String> = OnceLock::new();
    URL.get_or_init(|| {
        env::var("KINORA_TEST_POSTGRES")
            .unwrap_or_else(|_| OWN.get_or_init(|| Server::start().unwrap()).url())
    })
}

/// Makes schemas. They are left to the server, which is a temporary one: to drop them takes longer than to fill them.
pub(crate) struct Schemas {
    server: String,
    made: Mutex<Vec<String>>,
}

impl Default for Schemas {
    fn default() -> Schemas {
        Schemas::on(server_url())
    }
}

impl Schemas {
    /// On that server.
    pub(crate) fn on(server: &str) -> Schemas {
        Schemas {
            server: server.to_owned(),
            made: Mutex::default(),
        }
    }

    /// The URL of a new, empty one.
    pub(crate) fn fresh(&self) -> PostgresUrl {
        let name = format!("kinora_{:016x}", rand::random::<u64>());
        execute(&self.server, &format!("CREATE SCHEMA {name}"));
        self.made.lock().unwrap().push(name.clone());
        self.text_of(&name).parse().unwrap()
    }

    /// The text of the URL of the newest one.
    pub(crate) fn newest(&self) -> String {
        let made = self.made.lock().unwrap();
        self.text_of(made.last().expect("one was made"))
    }

    fn text_of(&self, name: &str) -> String {
        let separator = if self.server.contains('?') { '&' } else { '?' };
        format!("{}{separator}options=-csearch_path%3D{name}", self.server)
    }
}

/// Runs statements, wherever it is called from: on a thread of its own.
pub(crate) fn execute(url: &str, statements: &str) {
    if let Err(error) = try_execute(url, statements) {
        panic!("{statements}: {error}");
    }
}

/// Runs statements; tells how many rows the last of them changed.
pub(crate) fn try_execute(url: &str, statements: &str) -> sqlx::Result<u64> {
    let (url, statements) = (url.to_owned(), statements.to_owned());
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let mut connection = PgConnection::connect(&url).await?;
            let done = sqlx::raw_sql(AssertSqlSafe(statements))
                .execute(&mut connection)
                .await?;
            connection.close().await?;
            Ok(done.rows_affected())
        })
    };
    thread::spawn(run).join().unwrap()
}
