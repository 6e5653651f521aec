//! What concerns SQLite's file alone, and URLs that lead nowhere.

#![expect(clippy::unwrap_used, reason = "tests may fail, and then say where")]

use std::path::Path;

use sqlx::any::AnyConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tracediff_catalog::{
    Catalog, CatalogError, Diff, DiffState, Page, Place, Query, Seen, Snapshot, State, new_id,
};

const SECOND: i64 = 1_000_000_000;
/// The time at which the golden files begin.
const BEGIN: i64 = 1_767_607_200 * SECOND;
const SERVICE: &str = "service = \"checkout\"";

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}

async fn execute(path: &Path, statements: &'static str) {
    sqlx::any::install_default_drivers();
    let options: AnyConnectOptions = format!("sqlite://{}?mode=rwc", path.display())
        .parse()
        .unwrap();
    let mut connection = options.connect().await.unwrap();
    sqlx::raw_sql(statements)
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn version_1_reads_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalog.sqlite");
    execute(&path, include_str!("golden/version_1.sql")).await;
    let catalog = Catalog::open(&Place::Sqlite(path)).await.unwrap();

    let query_id = "01989c0000007000800000000000000a";
    let query = Query {
        id: query_id.into(),
        name: "checkout".into(),
        query: SERVICE.into(),
        group_by_keys: vec!["service".into(), "http.route".into()],
        settings: r#"{"schedule":{"every":"10m"}}"#.into(),
        created_ns: BEGIN,
        updated_ns: BEGIN + 1,
        scheduled_to_ns: Some(BEGIN + 600 * SECOND),
    };
    assert_eq!(catalog.queries().await.unwrap(), [query]);

    let ready = Snapshot {
        id: "01989c00000170008000000000000001".into(),
        query_id: Some(query_id.into()),
        name: "checkout".into(),
        query: SERVICE.into(),
        group_by_keys: vec!["service".into()],
        settings: "{}".into(),
        from_ns: BEGIN,
        to_ns: BEGIN + 600 * SECOND,
        due_ns: BEGIN + 630 * SECOND,
        state: State::Ready,
        reason: None,
        origin: "schedule".into(),
        is_pinned: true,
        created_ns: BEGIN + 600 * SECOND,
        completed_ns: Some(BEGIN + 640 * SECOND),
        progress: 1.0,
        summary: r#"{"spans":12}"#.into(),
        diff_state: DiffState::Done,
        object: Some("snapshots/1".into()),
        attempts: 1,
    };
    let all = catalog.snapshots(&Page::default()).await.unwrap();
    assert_eq!(all[0], ready);
    let states: Vec<State> = all.iter().map(|snapshot| snapshot.state).collect();
    assert_eq!(
        states,
        [
            State::Ready,
            State::Collecting,
            State::Failed,
            State::Pending
        ]
    );
    assert_eq!((all[1].progress, all[1].attempts), (0.25, 2));
    assert_eq!(
        (all[2].query_id.as_deref(), all[2].reason.as_deref()),
        (None, Some("the source does not answer"))
    );
    // Windows are recognised, leases count.
    let same = Snapshot {
        id: new_id(),
        name: "another".into(),
        ..ready.clone()
    };
    assert_eq!(
        catalog.add_snapshot(&same).await.unwrap(),
        (ready.clone(), false)
    );
    assert_eq!(
        catalog
            .claim_snapshot("me", BEGIN + 1299 * SECOND, i64::MAX)
            .await
            .unwrap(),
        None
    );
    let claimed = catalog
        .claim_snapshot("me", BEGIN + 1300 * SECOND, i64::MAX)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((&claimed.id, claimed.attempts), (&all[1].id, 3));

    let diff = Diff {
        id: "01989c00000670008000000000000005".into(),
        query_id: Some(query_id.into()),
        name: "checkout".into(),
        query: SERVICE.into(),
        baseline_id: all[2].id.clone(),
        candidate_id: ready.id,
        calculated_ns: BEGIN + 641 * SECOND,
        verdict: "regressed".into(),
        sentence: "checkout's p95 went up".into(),
        summary: r#"{"findings":2}"#.into(),
        object: "diffs/1".into(),
    };
    assert_eq!(catalog.diffs(&Page::default()).await.unwrap(), [diff]);
    let token = &catalog.tokens().await.unwrap()[0];
    assert_eq!(
        (
            token.name.as_str(),
            token.role.as_str(),
            token.hash.as_str()
        ),
        ("ci", "read", "5e884898da28047151d0e56f8dc62927")
    );
    let deployment = &catalog.deployments(&Page::default()).await.unwrap()[0];
    assert_eq!(
        (
            deployment.service.as_str(),
            deployment.version.as_str(),
            deployment.at_ns
        ),
        ("cart", "1.5", BEGIN + 5)
    );
    let seen = |last_ns| Seen {
        kind: "service".into(),
        name: "cart".into(),
        details: "{}".into(),
        first_ns: BEGIN,
        last_ns,
    };
    assert_eq!(catalog.seen(None, None).await.unwrap(), [seen(BEGIN + 9)]);
    catalog.note_seen(&[seen(BEGIN + 10)]).await.unwrap();
    assert_eq!(catalog.seen(None, None).await.unwrap(), [seen(BEGIN + 10)]);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    let notes = "these are notes, and not a database at all\n".repeat(100);
    std::fs::write(&path, &notes).unwrap();
    let error = Catalog::open(&Place::Sqlite(path.clone()))
        .await
        .unwrap_err();
    assert_eq!(
        chain(&error),
        format!(
            "cannot open the catalog in {}: file is not a database",
            path.display()
        )
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), notes);
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none/catalog.sqlite");
    let error = Catalog::open(&Place::Sqlite(path.clone()))
        .await
        .unwrap_err();
    assert_eq!(
        chain(&error),
        format!(
            "cannot open the catalog in {}: unable to open database file",
            path.display()
        )
    );
}

#[tokio::test]
async fn a_path_may_have_any_characters() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a b?mode=ro#é%20&.sqlite");
    Catalog::open(&Place::Sqlite(path.clone()))
        .await
        .unwrap()
        .close()
        .await;
    assert!(path.is_file());
}

#[tokio::test]
async fn a_damaged_value_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalog.sqlite");
    execute(&path, include_str!("golden/version_1.sql")).await;
    let catalog = Catalog::open(&Place::Sqlite(path.clone())).await.unwrap();
    let id = "01989c00000170008000000000000001";
    for (statement, column) in [
        ("UPDATE snapshots SET state = 'lost'", "state"),
        (
            "UPDATE snapshots SET state = 'ready', is_pinned = 2",
            "is_pinned",
        ),
        (
            "UPDATE snapshots SET is_pinned = 0, group_by_keys = '{'",
            "group_by_keys",
        ),
        (
            "UPDATE snapshots SET group_by_keys = '[]', to_ns = 'noon'",
            "to_ns",
        ),
    ] {
        execute(&path, statement).await;
        let error = catalog.snapshot(id).await.unwrap_err();
        let text = error.to_string();
        assert!(
            matches!(
                error,
                CatalogError::Damaged {
                    table: "snapshots",
                    ..
                }
            ),
            "{error:?}"
        );
        assert!(
            text.contains(&format!("column {column}, id {id}: ")),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_url_that_leads_nowhere_tells_no_password() {
    for (url, expected) in [
        (
            "postgres://me:hunter2@127.0.0.1:1/traces",
            "cannot open the catalog in postgres://me@127.0.0.1:1/traces: Connection refused",
        ),
        (
            "postgres://me@127.0.0.1:1/traces?password=hunter2",
            "cannot open the catalog in postgres://me@127.0.0.1:1/traces: Connection refused",
        ),
        (
            "postgres://me:hunter2@host:many/traces",
            "cannot open the catalog in PostgreSQL, by a URL that cannot be read: invalid port number",
        ),
        (
            "mysql://me:hunter2@host/traces",
            "a URL must begin with postgres:// or postgresql://",
        ),
        (
            "hunter2",
            "a URL must begin with postgres:// or postgresql://",
        ),
    ] {
        let place = Place::Postgres(url.into());
        let error = Catalog::open(&place).await.unwrap_err();
        let text = chain(&error);
        assert!(matches!(error, CatalogError::Open { .. }), "{error:?}");
        assert!(text.contains(expected), "{text}");
        assert!(
            !format!("{text} {error:?} {place:?}").contains("hunter2"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn what_is_busy_may_pass() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalog.sqlite");
    let catalog = Catalog::open(&Place::Sqlite(path.clone())).await.unwrap();
    let options: AnyConnectOptions = format!("sqlite://{}", path.display()).parse().unwrap();
    let mut other = options.connect().await.unwrap();
    let writing = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    // Reading goes on; writing waits, and says so in the end.
    assert_eq!(catalog.queries().await.unwrap(), []);
    let error = catalog.delete_query("any").await.unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    assert_eq!(
        chain(&error),
        "the catalog cannot be reached to delete a query: database is locked"
    );
    writing.rollback().await.unwrap();
    assert_eq!(catalog.delete_query("any").await.unwrap(), None);
}

#[test]
fn ids_are_in_order() {
    let ids: Vec<String> = (0..10_000).map(|_| new_id()).collect();
    assert!(ids.is_sorted() && ids.windows(2).all(|pair| pair[0] != pair[1]));
    assert!(
        ids.iter()
            .all(|id| id.len() == 32 && id.bytes().all(|byte| b"0123456789abcdef".contains(&byte)))
    );
}
