//! What the catalog promises, over SQLite and over a PostgreSQL that the test starts for itself. Where PostgreSQL is not installed its
//! part is skipped, which stderr says; with `TRACEDIFF_REQUIRE_POSTGRES=1` it fails instead.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests may fail, and then say where"
)]

mod diffs;
mod examples;
mod jobs;
mod opening;
mod others;
mod postgres;
mod queries;
mod retention;
mod snapshots;

use std::future::Future;
use std::pin::Pin;

use tracediff_catalog::{Catalog, Place};

use crate::postgres::Cluster;

type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A promise, kept in a fresh place.
struct Case {
    name: &'static str,
    run: fn(Place) -> Running,
}

macro_rules! cases {
    ($($module:ident::$name:ident),* $(,)?) => {
        &[$(Case { name: concat!(stringify!($module), "_", stringify!($name)), run: |place| Box::pin($module::$name(place)) }),*]
    };
}

const CASES: &[Case] = cases![
    opening::twice_keeps_what_is_there,
    opening::many_at_once,
    opening::a_newer_version_is_refused,
    opening::a_failed_migration_leaves_nothing,
    opening::debug_tells_no_password,
    queries::come_back_as_they_were,
    queries::change_and_go,
    queries::a_second_one_with_an_id_is_a_conflict,
    queries::the_schedule_never_moves_back,
    queries::odd_texts_come_back,
    snapshots::come_back_as_they_were,
    snapshots::of_one_window_there_is_one,
    snapshots::of_one_window_there_is_one_however_many_ask,
    snapshots::failed_and_cancelled_ones_begin_anew,
    snapshots::pages,
    snapshots::the_one_before,
    snapshots::the_one_nearest,
    snapshots::pin_cancel_delete,
    jobs::each_is_claimed_once,
    jobs::a_lease_runs_out_for_one,
    jobs::claims_are_in_order,
    jobs::a_snapshot_goes_its_way,
    jobs::a_lost_lease_changes_nothing,
    jobs::cancelled_while_collected,
    jobs::given_back,
    jobs::diffs_are_claimed_once,
    jobs::a_diff_that_nobody_ended,
    diffs::come_back_as_they_were,
    diffs::are_found_by_their_candidate,
    diffs::of_two_snapshots_there_is_one,
    diffs::pages,
    retention::by_age,
    retention::by_count,
    retention::objects,
    others::tokens,
    others::deployments,
    others::seen_widens,
    others::seen_by_many_at_once,
];

#[test]
fn over_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    check_all(|case| Place::Sqlite(folder.path().join(format!("{}.sqlite", case.name))));
}

#[test]
fn over_postgres() {
    let Some(mut cluster) = Cluster::start_or_skip() else {
        return;
    };
    check_all(|case| cluster.new_database(case.name));
    postgres::one_job_looked_at_by_two_goes_to_one(&cluster);
    postgres::migrations_wait_for_each_other(&cluster);
    postgres::refuses_a_wrong_password(&cluster);
    postgres::says_that_it_is_away(&mut cluster);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .unwrap()
}

/// Runs all cases and fails with the names of those that failed.
fn check_all(place: impl Fn(&Case) -> Place) {
    let runtime = runtime();
    let failed: Vec<&str> = CASES
        .iter()
        .filter(|case| {
            runtime
                .block_on(runtime.spawn((case.run)(place(case))))
                .is_err()
        })
        .map(|case| case.name)
        .collect();
    assert!(failed.is_empty(), "failed: {}", failed.join(", "));
}

async fn open(place: &Place) -> Catalog {
    Catalog::open(place).await.unwrap()
}

/// An error and all that lies behind it, as it is printed at the edge.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}
