//! Where a PostgreSQL is. The URL may hold a password, so that all that is ever shown of it is who is asked, and where.

use std::{fmt, str::FromStr};

use sqlx::postgres::PgConnectOptions;
use thiserror::Error;

/// The URL of a database: `postgres://user:password@host:5432/database`. What else may stand in it (`sslmode`,
/// `sslrootcert`, `host` with the folder of a socket, `options`) is libpq's; so are the variables `PGPASSWORD` and
/// others that fill in what is missing.
#[derive(Clone)]
pub struct PostgresUrl {
    options: Box<PgConnectOptions>,
}

/// Why a URL cannot be used. Never holds any part of it.
#[derive(Debug, Error)]
#[error("no URL of a PostgreSQL database: {0}")]
pub struct PostgresUrlError(String);

impl PostgresUrl {
    pub(super) fn options(&self) -> &PgConnectOptions {
        &self.options
    }
}

impl FromStr for PostgresUrl {
    type Err = PostgresUrlError;

    fn from_str(text: &str) -> Result<PostgresUrl, PostgresUrlError> {
        if !["postgres://", "postgresql://"]
            .iter()
            .any(|scheme| text.starts_with(scheme))
        {
            return Err(PostgresUrlError("it begins with postgres://".to_owned()));
        }
        match text.parse::<PgConnectOptions>() {
            Ok(options) => Ok(PostgresUrl {
                options: Box::new(options),
            }),
            // The parser's own words may quote what it could not read.
            Err(_) => Err(PostgresUrlError(
                "it is read as postgres://user:password@host:port/database?sslmode=…, with what is no letter or digit \
                 of a password written as %40 and the like"
                    .to_owned(),
            )),
        }
    }
}

/// Who is asked, and where; never the password.
impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = &self.options;
        let database = options.get_database().unwrap_or(options.get_username());
        let place = match options.get_socket() {
            Some(folder) => folder.display().to_string(),
            None => format!("{}:{}", options.get_host(), options.get_port()),
        };
        write!(f, "postgres://{}@{place}/{database}", options.get_username())
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_never_shown() {
        let url: PostgresUrl = "postgres://kinora:s3cr%40t@db.example:5433/videos?sslmode=require"
            .parse()
            .unwrap();
        assert_eq!(url.to_string(), "postgres://kinora@db.example:5433/videos");
        assert_eq!(format!("{url:?}"), url.to_string());
        for wrong in [
            "postgres://kinora:s3cret@db.example:port/videos",
            "postgres://kinora:s3cret@db.example/videos?sslmode=s3cret",
            "mysql://kinora:s3cret@db.example/videos",
            "kinora.db",
        ] {
            let error = wrong.parse::<PostgresUrl>().unwrap_err();
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
        }
    }
}
