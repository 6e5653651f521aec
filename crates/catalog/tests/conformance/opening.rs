//! Opening, migrating, refusing.

use sqlx::any::AnyConnectOptions;
use sqlx::{AnyConnection, ConnectOptions, Connection};
use tracediff_catalog::{Catalog, CatalogError, Place};

use crate::{chain, examples, open};

/// A connection beside the catalog's.
pub(crate) async fn connect(place: &Place) -> AnyConnection {
    sqlx::any::install_default_drivers();
    let url = match place {
        Place::Sqlite(path) => format!("sqlite://{}?mode=rwc", path.display()),
        Place::Postgres(url) => url.clone(),
    };
    url.parse::<AnyConnectOptions>()
        .unwrap()
        .connect()
        .await
        .unwrap()
}

pub(crate) async fn execute(place: &Place, statement: &'static str) {
    let mut connection = connect(place).await;
    sqlx::raw_sql(statement)
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

pub(crate) async fn twice_keeps_what_is_there(place: Place) {
    let query = examples::query();
    let catalog = open(&place).await;
    catalog.create_query(&query).await.unwrap();
    catalog.close().await;
    assert_eq!(open(&place).await.queries().await.unwrap(), [query]);
    let mut connection = connect(&place).await;
    let versions = sqlx::query("SELECT version FROM schema_version")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    assert_eq!(versions.len(), 1);
}

pub(crate) async fn many_at_once(place: Place) {
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let place = place.clone();
            tokio::spawn(async move {
                let catalog = open(&place).await;
                catalog.create_query(&examples::query()).await.unwrap();
                catalog
            })
        })
        .collect();
    let mut catalogs = Vec::new();
    for task in tasks {
        catalogs.push(task.await.unwrap());
    }
    assert_eq!(catalogs[3].queries().await.unwrap().len(), 8);
}

pub(crate) async fn a_newer_version_is_refused(place: Place) {
    open(&place).await.close().await;
    execute(&place, "INSERT INTO schema_version (version) VALUES (77)").await;
    let error = Catalog::open(&place).await.unwrap_err();
    assert!(
        matches!(
            error,
            CatalogError::NewerVersion {
                found: 77,
                known: 1,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(error.to_string().contains("has version 77"), "{error}");
}

pub(crate) async fn a_failed_migration_leaves_nothing(place: Place) {
    // The last table of version 1 is in the way.
    execute(&place, "CREATE TABLE seen (id BIGINT)").await;
    let error = Catalog::open(&place).await.unwrap_err();
    assert!(
        chain(&error).contains("already exists"),
        "{}",
        chain(&error)
    );
    execute(&place, "DROP TABLE seen").await;
    assert_eq!(open(&place).await.queries().await.unwrap(), []);
}

pub(crate) async fn debug_tells_no_password(place: Place) {
    let catalog = open(&place).await;
    let text = format!("{catalog:?} {place:?} {place}");
    assert!(!text.contains("correct-horse"), "{text}");
    assert!(text.contains("debug_tells_no_password"), "{text}");
}
