//! Leases.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::sync::Barrier;
use tracediff_catalog::{Catalog, DiffState, Place, Snapshot, State};

use crate::{examples, open};
use examples::{NOW, ready, snapshot};

/// Claims from two catalogs with several tasks each, until there is nothing; gives how many times each id was claimed.
async fn claim_all(place: &Place, is_diff: bool) -> BTreeMap<String, usize> {
    let catalogs = [open(place).await, open(place).await];
    let barrier = Arc::new(Barrier::new(12));
    let tasks: Vec<_> = (0..12)
        .map(|task| {
            let (catalog, barrier) = (catalogs[task % 2].clone(), barrier.clone());
            tokio::spawn(async move {
                let owner = format!("worker-{task}");
                let mut ids = Vec::new();
                barrier.wait().await;
                loop {
                    let claimed = if is_diff {
                        catalog.claim_diff(&owner, NOW, NOW + 1).await
                    } else {
                        catalog.claim_snapshot(&owner, NOW, NOW + 1).await
                    };
                    match claimed.unwrap() {
                        Some(claimed) => ids.push(claimed.id),
                        None => return ids,
                    }
                }
            })
        })
        .collect();
    let mut counts = BTreeMap::new();
    for task in tasks {
        for id in task.await.unwrap() {
            *counts.entry(id).or_default() += 1;
        }
    }
    counts
}

pub(crate) async fn each_is_claimed_once(place: Place) {
    let catalog = open(&place).await;
    for at in 0..60 {
        catalog
            .add_snapshot(&snapshot(Some("q"), NOW - at))
            .await
            .unwrap();
    }
    let counts = claim_all(&place, false).await;
    assert_eq!(counts.len(), 60);
    for (id, count) in counts {
        assert_eq!(count, 1, "{id}");
        let claimed = catalog.snapshot(&id).await.unwrap().unwrap();
        assert_eq!((claimed.state, claimed.attempts), (State::Collecting, 1));
    }
}

pub(crate) async fn diffs_are_claimed_once(place: Place) {
    let catalog = open(&place).await;
    for at in 0..40 {
        catalog
            .add_snapshot(&ready(Some("q"), NOW - at))
            .await
            .unwrap();
        catalog
            .add_snapshot(&Snapshot {
                diff_state: DiffState::Done,
                ..ready(Some("q"), NOW - 100 - at)
            })
            .await
            .unwrap();
        catalog
            .add_snapshot(&Snapshot {
                diff_state: DiffState::None,
                ..ready(Some("q"), NOW - 200 - at)
            })
            .await
            .unwrap();
        catalog
            .add_snapshot(&snapshot(Some("q"), NOW - 300 - at))
            .await
            .unwrap();
    }
    let counts = claim_all(&place, true).await;
    assert_eq!(counts.len(), 40);
    assert!(counts.values().all(|&count| count == 1), "{counts:?}");
}

pub(crate) async fn a_lease_runs_out_for_one(place: Place) {
    let catalogs = [open(&place).await, open(&place).await];
    catalogs[0]
        .add_snapshot(&snapshot(Some("q"), NOW))
        .await
        .unwrap();
    let claimed = catalogs[0]
        .claim_snapshot("first", NOW, NOW + 10)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        catalogs[1]
            .claim_snapshot("second", NOW + 9, NOW + 20)
            .await
            .unwrap(),
        None
    );
    assert!(
        catalogs[0]
            .renew(&claimed.id, "first", NOW + 15)
            .await
            .unwrap()
    );
    assert_eq!(
        catalogs[1]
            .claim_snapshot("second", NOW + 14, NOW + 20)
            .await
            .unwrap(),
        None
    );
    // It runs out, again and again; each time one of many gets it.
    for round in 1..=5 {
        let tasks: Vec<_> = (0..10)
            .map(|task| {
                let catalog = catalogs[task % 2].clone();
                tokio::spawn(async move {
                    catalog
                        .claim_snapshot(
                            &format!("{round}-{task}"),
                            NOW + 15 * round,
                            NOW + 15 * (round + 1),
                        )
                        .await
                        .unwrap()
                })
            })
            .collect();
        let mut attempts = Vec::new();
        for task in tasks {
            attempts.extend(task.await.unwrap().map(|claimed| claimed.attempts));
        }
        assert_eq!(attempts, [round + 1]);
    }
}

/// Whatever there is, claims come by the time it was due, and only of what may be claimed.
pub(crate) async fn claims_are_in_order(place: Place) {
    let catalog = open(&place).await;
    let states = prop::sample::select(vec![
        State::Pending,
        State::Collecting,
        State::Ready,
        State::Failed,
        State::Cancelled,
    ]);
    let jobs = prop::collection::vec((states, -5..5_i64, -5..5_i64), 0..12);
    let runtime = tokio::runtime::Handle::current();
    tokio::task::block_in_place(|| {
        TestRunner::new(Config {
            cases: 24,
            failure_persistence: None,
            ..Config::default()
        })
        .run(&jobs, |jobs| runtime.block_on(check_order(&catalog, &jobs)))
        .unwrap();
    });
}

async fn check_order(catalog: &Catalog, jobs: &[(State, i64, i64)]) -> Result<(), TestCaseError> {
    let mut ids = Vec::new();
    let mut expected = Vec::new();
    for (at, &(state, due_ns, lease_until_ns)) in (0..).zip(jobs) {
        // A collecting one is made by claiming it at once.
        let is_claimed = state == State::Collecting;
        let given = Snapshot {
            state: if is_claimed { State::Pending } else { state },
            due_ns: NOW + due_ns,
            ..snapshot(None, at)
        };
        let added = catalog.add_snapshot(&given).await.unwrap().0;
        ids.push((added.id, is_claimed, due_ns, lease_until_ns, state));
    }
    for (id, is_claimed, due_ns, lease_until_ns, state) in &ids {
        let may_be_claimed = if *is_claimed {
            *lease_until_ns <= 0
        } else {
            *state == State::Pending && *due_ns <= 0
        };
        if may_be_claimed {
            expected.push((*due_ns, id.clone()));
        }
    }
    // Claims everything there is, then gives back what is to be pending and sets the leases of the rest.
    while catalog
        .claim_snapshot("setup", NOW + 10, NOW + 11)
        .await
        .unwrap()
        .is_some()
    {}
    for (id, is_claimed, _, lease_until_ns, state) in &ids {
        if *is_claimed {
            catalog
                .renew(id, "setup", NOW + lease_until_ns)
                .await
                .unwrap();
        } else if *state == State::Pending {
            catalog.give_back(id, "setup").await.unwrap();
        }
    }
    expected.sort();
    let mut claimed = Vec::new();
    while let Some(snapshot) = catalog.claim_snapshot("me", NOW, NOW + 100).await.unwrap() {
        claimed.push((snapshot.due_ns - NOW, snapshot.id));
    }
    for (id, ..) in ids {
        catalog.delete_snapshot(&id).await.unwrap();
    }
    prop_assert_eq!(claimed, expected);
    Ok(())
}

pub(crate) async fn a_snapshot_goes_its_way(place: Place) {
    let catalog = open(&place).await;
    let wanted = snapshot(Some("q"), NOW);
    catalog.add_snapshot(&wanted).await.unwrap();
    assert_eq!(
        catalog.claim_snapshot("me", NOW - 1, NOW).await.unwrap(),
        None
    );
    assert_eq!(catalog.claim_diff("me", NOW, NOW + 1).await.unwrap(), None);
    let collecting = Snapshot {
        state: State::Collecting,
        attempts: 1,
        ..wanted
    };
    assert_eq!(
        catalog.claim_snapshot("me", NOW, NOW + 10).await.unwrap(),
        Some(collecting.clone())
    );
    assert!(
        catalog
            .set_progress(&collecting.id, "me", 0.5)
            .await
            .unwrap()
    );
    assert_eq!(
        catalog.snapshot(&collecting.id).await.unwrap(),
        Some(Snapshot {
            progress: 0.5,
            ..collecting.clone()
        })
    );
    assert!(
        catalog
            .finish_snapshot(&collecting.id, "me", NOW + 5, "facts/1", r#"{"a":1}"#)
            .await
            .unwrap()
    );
    let finished = Snapshot {
        state: State::Ready,
        completed_ns: Some(NOW + 5),
        progress: 1.0,
        object: Some("facts/1".into()),
        summary: r#"{"a":1}"#.into(),
        ..collecting
    };
    assert_eq!(
        catalog.snapshot(&finished.id).await.unwrap(),
        Some(finished.clone())
    );
    // Its diff is due, at once.
    assert_eq!(
        catalog.claim_diff("other", NOW, NOW + 1).await.unwrap(),
        Some(finished.clone())
    );
    assert!(!catalog.end_diff(&finished.id, "me").await.unwrap());
    assert!(catalog.renew(&finished.id, "other", NOW + 2).await.unwrap());
    assert!(catalog.end_diff(&finished.id, "other").await.unwrap());
    assert!(!catalog.end_diff(&finished.id, "other").await.unwrap());
    assert_eq!(
        catalog
            .claim_diff("other", NOW + 100, NOW + 101)
            .await
            .unwrap(),
        None
    );
    assert_eq!(
        catalog.snapshot(&finished.id).await.unwrap(),
        Some(Snapshot {
            diff_state: DiffState::Done,
            ..finished
        })
    );
}

/// All that somebody may do who thinks that a snapshot is theirs; whether any of it was taken.
async fn anything(catalog: &Catalog, id: &str, owner: &str) -> bool {
    let taken = [
        catalog.set_progress(id, owner, 0.9).await.unwrap(),
        catalog.give_back(id, owner).await.unwrap(),
        catalog.fail_snapshot(id, owner, NOW, "no").await.unwrap(),
        catalog
            .finish_snapshot(id, owner, NOW, "o", "{}")
            .await
            .unwrap(),
        catalog.renew(id, owner, NOW + 1_000_000).await.unwrap(),
        catalog.end_diff(id, owner).await.unwrap(),
    ];
    taken.contains(&true)
}

pub(crate) async fn a_lost_lease_changes_nothing(place: Place) {
    let catalog = open(&place).await;
    let id = catalog
        .add_snapshot(&snapshot(Some("q"), NOW))
        .await
        .unwrap()
        .0
        .id;
    assert!(!anything(&catalog, &id, "first").await);
    catalog
        .claim_snapshot("first", NOW, NOW + 10)
        .await
        .unwrap()
        .unwrap();
    // It ran out, and nobody else came: still the first one's.
    assert!(catalog.set_progress(&id, "first", 0.3).await.unwrap());
    let claimed = catalog
        .claim_snapshot("second", NOW + 10, NOW + 20)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((claimed.attempts, claimed.progress), (2, 0.0));
    assert!(!anything(&catalog, &id, "first").await);
    assert_eq!(catalog.snapshot(&id).await.unwrap(), Some(claimed));
    assert!(
        catalog
            .fail_snapshot(&id, "second", NOW + 12, "the disk is full")
            .await
            .unwrap()
    );
    let failed = catalog.snapshot(&id).await.unwrap().unwrap();
    assert_eq!(
        (failed.state, failed.reason.as_deref(), failed.completed_ns),
        (State::Failed, Some("the disk is full"), Some(NOW + 12))
    );
    assert!(!anything(&catalog, &id, "second").await);
    assert!(!anything(&catalog, "nobody", "second").await);
    assert_eq!(catalog.snapshot(&id).await.unwrap(), Some(failed));
}

pub(crate) async fn cancelled_while_collected(place: Place) {
    let catalog = open(&place).await;
    let id = catalog
        .add_snapshot(&snapshot(Some("q"), NOW))
        .await
        .unwrap()
        .0
        .id;
    catalog
        .claim_snapshot("me", NOW, NOW + 10)
        .await
        .unwrap()
        .unwrap();
    assert!(catalog.cancel_snapshot(&id).await.unwrap());
    assert!(!anything(&catalog, &id, "me").await);
    assert_eq!(
        catalog
            .claim_snapshot("me", NOW + 100, NOW + 110)
            .await
            .unwrap(),
        None
    );
    assert_eq!(
        catalog.snapshot(&id).await.unwrap().unwrap().state,
        State::Cancelled
    );
    // Deleted is as good as cancelled.
    let id = catalog
        .add_snapshot(&snapshot(Some("q"), NOW + 1))
        .await
        .unwrap()
        .0
        .id;
    catalog
        .claim_snapshot("me", NOW + 1, NOW + 10)
        .await
        .unwrap()
        .unwrap();
    catalog.delete_snapshot(&id).await.unwrap().unwrap();
    assert!(!anything(&catalog, &id, "me").await);
}

pub(crate) async fn given_back(place: Place) {
    let catalog = open(&place).await;
    let wanted = catalog
        .add_snapshot(&snapshot(Some("q"), NOW))
        .await
        .unwrap()
        .0;
    catalog
        .claim_snapshot("me", NOW, NOW + 10)
        .await
        .unwrap()
        .unwrap();
    catalog.set_progress(&wanted.id, "me", 0.5).await.unwrap();
    assert!(!catalog.give_back(&wanted.id, "other").await.unwrap());
    assert!(catalog.give_back(&wanted.id, "me").await.unwrap());
    assert_eq!(
        catalog.snapshot(&wanted.id).await.unwrap(),
        Some(wanted.clone())
    );
    assert!(!anything(&catalog, &wanted.id, "me").await);
    assert_eq!(
        catalog
            .claim_snapshot("other", NOW, NOW + 10)
            .await
            .unwrap()
            .unwrap()
            .attempts,
        1
    );
}

pub(crate) async fn a_diff_that_nobody_ended(place: Place) {
    let catalog = open(&place).await;
    let (late, early) = (ready(Some("q"), NOW), ready(Some("q"), NOW - 50));
    for snapshot in [&late, &early] {
        catalog.add_snapshot(snapshot).await.unwrap();
    }
    let claim = async |owner: &str, now_ns| {
        catalog
            .claim_diff(owner, now_ns, now_ns + 10)
            .await
            .unwrap()
            .map(|claimed| claimed.id)
    };
    assert_eq!(claim("one", NOW).await.as_ref(), Some(&early.id));
    assert_eq!(claim("two", NOW).await.as_ref(), Some(&late.id));
    assert_eq!(claim("three", NOW + 9).await, None);
    assert_eq!(claim("three", NOW + 10).await.as_ref(), Some(&early.id));
    assert!(!catalog.end_diff(&early.id, "one").await.unwrap());
    assert!(catalog.end_diff(&late.id, "two").await.unwrap());
    assert!(catalog.end_diff(&early.id, "three").await.unwrap());
    assert_eq!(claim("four", NOW + 1000).await, None);
}
