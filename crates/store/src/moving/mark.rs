//! What a database says about an installation that moves: a table of one row, `relocation`, that is there only then; and the
//! seal, by which the tables themselves refuse every change. Beside it stands whose mark it is, so that of two processes
//! that move one installation none builds on the other's seal.
//!
//! The seal is made of triggers, so that it holds for every process that has the database open, whatever its version, and
//! costs nothing at other times. Whoever commits before it is copied; whoever comes after it is refused.

use super::tables::{TABLES, Table};
use crate::{
    Result, StoreError,
    error::Relocation,
    sql::{self, Dialect, SEALED, SEALED_CODE, Sql, params, unreadable},
};

/// What stands there.
pub(crate) fn read(sql: &dyn Sql) -> Result<Option<Relocation>> {
    let look = || -> sql::Result<Option<Relocation>> {
        let is_there = match sql.dialect() {
            Dialect::Sqlite => "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'relocation'",
            Dialect::Postgres => {
                "SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'relocation'"
            }
        };
        if !sql.exists(is_there, &[])? {
            return Ok(None);
        }
        sql.first("SELECT state, other FROM relocation", &[], |row| {
            let other: String = row.get(1)?;
            match row.text(0)? {
                "leaving" => Ok(Relocation::Leaving(other)),
                "left" => Ok(Relocation::Left(other)),
                "arriving" => Ok(Relocation::Arriving(other)),
                state => Err(unreadable(0, format!("{state:?} is unknown"))),
            }
        })
    };
    look().map_err(StoreError::database("look whether it is being moved"))
}

/// Whose mark it is.
pub(super) fn mover(sql: &dyn Sql) -> Result<Option<String>> {
    sql.first("SELECT mover FROM relocation", &[], |row| row.get(0))
        .map_err(StoreError::database("look who moves it"))
}

/// Writes it in place of what stands there.
pub(super) fn write(sql: &dyn Sql, relocation: &Relocation, mover: &str) -> Result<()> {
    let (state, other) = match relocation {
        Relocation::Leaving(to) => ("leaving", to),
        Relocation::Left(to) => ("left", to),
        Relocation::Arriving(from) => ("arriving", from),
    };
    let keep = || -> sql::Result<()> {
        sql.execute(
            "CREATE TABLE IF NOT EXISTS relocation (state TEXT NOT NULL, other TEXT NOT NULL, mover TEXT NOT NULL)",
            &[],
        )?;
        sql.execute("DELETE FROM relocation", &[])?;
        sql.execute(
            "INSERT INTO relocation (state, other, mover) VALUES (?1, ?2, ?3)",
            &params![state, other, mover],
        )?;
        Ok(())
    };
    keep().map_err(StoreError::database("note that it is being moved"))
}

/// Takes it away.
pub(super) fn remove(sql: &dyn Sql) -> Result<()> {
    sql.execute("DROP TABLE IF EXISTS relocation", &[])
        .map(|_| ())
        .map_err(StoreError::database("note that it is not being moved"))
}

/// Has the tables refuse every change from the end of this transaction on.
pub(super) fn seal(sql: &dyn Sql) -> Result<()> {
    let close = || -> sql::Result<()> {
        if sql.dialect() == Dialect::Postgres {
            // Waits for every transaction that has written something, and keeps those away that would.
            let names: Vec<&str> = TABLES.iter().map(|table| table.name).collect();
            let lock = format!("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE", names.join(", "));
            sql.execute(&lock, &[])?;
            let refuse = format!(
                "CREATE OR REPLACE FUNCTION refuse_what_is_sealed() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN RAISE EXCEPTION '{SEALED}' USING ERRCODE = '{SEALED_CODE}'; END $$"
            );
            sql.execute(&refuse, &[])?;
        }
        for Table { name, .. } in TABLES {
            match sql.dialect() {
                Dialect::Sqlite => {
                    for change in CHANGES {
                        let refuse = format!(
                            "CREATE TRIGGER IF NOT EXISTS sealed_{name}_{change} BEFORE {change} ON {name}
                             BEGIN SELECT RAISE(ABORT, '{SEALED}'); END"
                        );
                        sql.execute(&refuse, &[])?;
                    }
                }
                Dialect::Postgres => {
                    sql.execute(&format!("DROP TRIGGER IF EXISTS sealed ON {name}"), &[])?;
                    let refuse = format!(
                        "CREATE TRIGGER sealed BEFORE INSERT OR UPDATE OR DELETE ON {name}
                         FOR EACH STATEMENT EXECUTE FUNCTION refuse_what_is_sealed()"
                    );
                    sql.execute(&refuse, &[])?;
                }
            }
        }
        Ok(())
    };
    close().map_err(StoreError::database("seal its tables"))
}

/// Lets the tables be changed again.
pub(super) fn unseal(sql: &dyn Sql) -> Result<()> {
    let open = || -> sql::Result<()> {
        for Table { name, .. } in TABLES {
            match sql.dialect() {
                Dialect::Sqlite => {
                    for change in CHANGES {
                        sql.execute(&format!("DROP TRIGGER IF EXISTS sealed_{name}_{change}"), &[])?;
                    }
                }
                Dialect::Postgres => {
                    sql.execute(&format!("DROP TRIGGER IF EXISTS sealed ON {name}"), &[])?;
                }
            }
        }
        Ok(())
    };
    open().map_err(StoreError::database("open its tables again"))
}

const CHANGES: [&str; 3] = ["insert", "update", "delete"];
