//! Where a catalog is.

use std::fmt;
use std::path::PathBuf;

/// Where a catalog is. Neither `Debug` nor `Display` tells the password of a URL.
#[derive(Clone, PartialEq, Eq)]
pub enum Place {
    /// A file, made if it is not there; its folder must be. For one machine.
    Sqlite(PathBuf),
    /// A database by its URL, `postgres://USER:PASSWORD@HOST:PORT/DATABASE`. For several replicas.
    Postgres(String),
}

impl fmt::Debug for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Sqlite(path) => write!(formatter, "SQLite file {}", path.display()),
            Place::Postgres(_) => formatter.write_str("PostgreSQL"),
        }
    }
}
