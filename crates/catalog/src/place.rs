//! Where a catalog is.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sqlx::any::AnyConnectOptions;
use sqlx::postgres::PgConnectOptions;

use crate::error::{Cause, cause};

/// Where a catalog is. Neither `Debug` nor `Display` tells the password of a URL.
#[derive(Clone, PartialEq, Eq)]
pub enum Place {
    /// A file, made if it is not there; its folder must be. For one machine.
    Sqlite(PathBuf),
    /// A database by its URL, `postgres://USER:PASSWORD@HOST:PORT/DATABASE`. For several replicas.
    Postgres(String),
}

impl Place {
    /// How to connect.
    pub(crate) fn connect_options(&self) -> Result<AnyConnectOptions, Cause> {
        let url = match self {
            Place::Sqlite(path) => sqlite_url(path)?,
            Place::Postgres(url)
                if url.starts_with("postgres://") || url.starts_with("postgresql://") =>
            {
                url.clone()
            }
            Place::Postgres(_) => {
                return Err("a URL must begin with postgres:// or postgresql://".into());
            }
        };
        let options = AnyConnectOptions::from_str(&url).map_err(cause)?;
        if let Place::Postgres(url) = self {
            PgConnectOptions::from_str(url).map_err(cause)?;
        }
        Ok(options)
    }
}

/// The URL of a file, with all that means something in a URL escaped.
fn sqlite_url(path: &Path) -> Result<String, Cause> {
    let path = std::path::absolute(path)?;
    let path = path.to_str().ok_or("the path is not UTF-8")?;
    let mut url = String::from("sqlite://");
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    url.push_str("?mode=rwc");
    Ok(url)
}

impl fmt::Debug for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Sqlite(path) => path.display().fmt(formatter),
            // Put together again from what the driver understood, so that no part of the URL that holds a secret can slip through.
            Place::Postgres(url) => match PgConnectOptions::from_str(url) {
                Ok(options) => {
                    write!(formatter, "postgres://{}@", options.get_username())?;
                    match options.get_socket() {
                        Some(socket) => write!(formatter, "{}", socket.display())?,
                        None => formatter.write_str(options.get_host())?,
                    }
                    write!(
                        formatter,
                        ":{}/{}",
                        options.get_port(),
                        options.get_database().unwrap_or(options.get_username())
                    )
                }
                Err(_) => formatter.write_str("PostgreSQL, by a URL that cannot be read"),
            },
        }
    }
}
