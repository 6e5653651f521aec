//! Opening and closing, and how statements run.

use std::fmt;
use std::time::Duration;

use sqlx::any::{Any, AnyArguments, AnyPoolOptions, AnyRow};
use sqlx::query::Query;
use sqlx::{AnyConnection, AnyPool, Connection, Transaction};

use crate::error::{cause, refused};
use crate::migration::migrate;
use crate::{CatalogError, Place};

/// How many connections one process has to PostgreSQL at most.
const POSTGRES_CONNECTIONS: u32 = 8;
/// How long a call waits for a connection.
const WAIT: Duration = Duration::from_secs(30);
/// How many times SQLite is asked to change its journal, and how long it rests between.
const JOURNAL_TRIES: u32 = 500;
const JOURNAL_REST: Duration = Duration::from_millis(20);

/// The catalog, open. Clones share its connections.
#[derive(Clone)]
pub struct Catalog {
    pool: AnyPool,
    place: Place,
}

impl fmt::Debug for Catalog {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Catalog")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl Catalog {
    /// Opens the catalog, makes it if there is none, and brings an older one up to date.
    ///
    /// # Errors
    /// [`CatalogError::Open`], [`CatalogError::NewerVersion`].
    pub async fn open(place: &Place) -> Result<Catalog, CatalogError> {
        sqlx::any::install_default_drivers();
        let options = place
            .connect_options()
            .map_err(|source| CatalogError::Open {
                place: place.to_string(),
                source,
            })?;
        let failed = |error| CatalogError::Open {
            place: place.to_string(),
            source: cause(error),
        };

        // Not one of the pool's: it would keep trying a server that is not there, and then say only that time is up.
        let mut connection = AnyConnection::connect_with(&options)
            .await
            .map_err(failed)?;
        prepare(&mut connection, place).await.map_err(failed)?;
        migrate(&mut connection, place).await?;
        connection.close().await.map_err(failed)?;

        let prepared = place.clone();
        let pool = AnyPoolOptions::new()
            // SQLite has one writer at a time anyway. With one connection, those that wait do so in order.
            .max_connections(if let Place::Sqlite(_) = place {
                1
            } else {
                POSTGRES_CONNECTIONS
            })
            .acquire_timeout(WAIT)
            .after_connect(move |connection, _| {
                let place = prepared.clone();
                Box::pin(async move { prepare(connection, &place).await })
            })
            .connect_lazy_with(options);
        Ok(Catalog {
            pool,
            place: place.clone(),
        })
    }

    /// Waits for what is under way and closes all connections, of all clones.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Begins a transaction that will write.
    pub(crate) async fn begin(
        &self,
        doing: &'static str,
    ) -> Result<Transaction<'static, Any>, CatalogError> {
        let begin = match self.place {
            Place::Sqlite(_) => "BEGIN IMMEDIATE",
            Place::Postgres(_) => "BEGIN",
        };
        self.pool
            .begin_with(begin)
            .await
            .map_err(|error| refused(doing, error))
    }

    /// All rows of a statement. Statements that write and return one row come here too: a statement that is left before its end may
    /// not tell that it failed.
    pub(crate) async fn rows(
        &self,
        doing: &'static str,
        statement: Query<'_, Any, AnyArguments>,
    ) -> Result<Vec<AnyRow>, CatalogError> {
        statement
            .fetch_all(&self.pool)
            .await
            .map_err(|error| refused(doing, error))
    }

    /// Whether a statement changed a row.
    pub(crate) async fn changed(
        &self,
        doing: &'static str,
        statement: Query<'_, Any, AnyArguments>,
    ) -> Result<bool, CatalogError> {
        let result = statement
            .execute(&self.pool)
            .await
            .map_err(|error| refused(doing, error))?;
        Ok(result.rows_affected() > 0)
    }
}

/// Makes a new connection what the catalog relies on.
async fn prepare(connection: &mut AnyConnection, place: &Place) -> Result<(), sqlx::Error> {
    match place {
        Place::Sqlite(_) => {
            for pragma in [
                "PRAGMA busy_timeout = 10000",
                "PRAGMA synchronous = FULL",
                "PRAGMA foreign_keys = ON",
            ] {
                sqlx::query(pragma).execute(&mut *connection).await?;
            }
            // Changing the journal of a new file does not wait for another process that does the same, whatever the timeout.
            let mut tries = 0;
            loop {
                match sqlx::query("PRAGMA journal_mode = WAL")
                    .execute(&mut *connection)
                    .await
                {
                    Err(sqlx::Error::Database(error))
                        if error.code().as_deref() == Some("5") && tries < JOURNAL_TRIES =>
                    {
                        tries += 1;
                        tokio::time::sleep(JOURNAL_REST).await;
                    }
                    other => return other.map(|_| ()),
                }
            }
        }
        // A process that is cut off in the middle of a transaction holds up the others this long at most.
        Place::Postgres(_) => {
            sqlx::query("SET idle_in_transaction_session_timeout = '60s'")
                .execute(&mut *connection)
                .await?;
            Ok(())
        }
    }
}
