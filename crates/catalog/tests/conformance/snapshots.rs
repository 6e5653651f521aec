//! Snapshots.

use std::collections::BTreeSet;

use tracediff_catalog::{CatalogError, DiffState, Page, Place, Snapshot, State, new_id};

use crate::{examples, open};
use examples::{NOW, SECOND, ready, snapshot};

pub(crate) async fn come_back_as_they_were(place: Place) {
    let catalog = open(&place).await;
    let full = Snapshot {
        reason: Some("it is full".into()),
        is_pinned: true,
        progress: 0.123_456,
        diff_state: DiffState::Done,
        ..ready(Some("q"), NOW)
    };
    let bare = Snapshot {
        group_by_keys: vec![],
        diff_state: DiffState::None,
        ..snapshot(None, NOW)
    };
    for wanted in [full, bare] {
        assert_eq!(
            catalog.add_snapshot(&wanted).await.unwrap(),
            (wanted.clone(), true)
        );
        assert_eq!(catalog.snapshot(&wanted.id).await.unwrap(), Some(wanted));
    }
    for (at, state) in (1..).zip([
        State::Pending,
        State::Collecting,
        State::Ready,
        State::Failed,
        State::Cancelled,
    ]) {
        let wanted = Snapshot {
            state,
            ..snapshot(None, NOW + at)
        };
        assert_eq!(catalog.add_snapshot(&wanted).await.unwrap(), (wanted, true));
    }
    assert_eq!(catalog.snapshot("nobody").await.unwrap(), None);
    for (progress, stored) in [(-1.0, 0.0), (7.0, 1.0), (f64::NAN, 0.0)] {
        let given = Snapshot {
            progress,
            ..snapshot(Some(&new_id()), NOW)
        };
        assert_eq!(
            catalog.add_snapshot(&given).await.unwrap().0.progress,
            stored
        );
    }
}

pub(crate) async fn of_one_window_there_is_one(place: Place) {
    let catalog = open(&place).await;
    for query_id in [Some("q"), None] {
        let first = snapshot(query_id, NOW);
        catalog.add_snapshot(&first).await.unwrap();
        let same = Snapshot {
            name: "another".into(),
            settings: "1".into(),
            due_ns: 5,
            ..snapshot(query_id, NOW)
        };
        assert_eq!(
            catalog.add_snapshot(&same).await.unwrap(),
            (first.clone(), false)
        );
        let others = [
            Snapshot {
                query_id: Some("other".into()),
                ..snapshot(query_id, NOW)
            },
            Snapshot {
                query: "other".into(),
                ..snapshot(query_id, NOW)
            },
            Snapshot {
                group_by_keys: vec!["other".into()],
                ..snapshot(query_id, NOW)
            },
            Snapshot {
                from_ns: 1,
                ..snapshot(query_id, NOW)
            },
            Snapshot {
                to_ns: NOW + 1,
                ..snapshot(query_id, NOW)
            },
        ];
        for other in others.iter().skip(usize::from(query_id.is_none())) {
            assert_eq!(
                catalog.add_snapshot(other).await.unwrap(),
                (other.clone(), true)
            );
        }
        let error = catalog
            .add_snapshot(&Snapshot {
                to_ns: NOW + 2,
                ..first
            })
            .await
            .unwrap_err();
        assert!(matches!(error, CatalogError::Conflict { .. }), "{error:?}");
    }
}

pub(crate) async fn of_one_window_there_is_one_however_many_ask(place: Place) {
    let catalogs = [open(&place).await, open(&place).await];
    for round in 0..4 {
        let tasks: Vec<_> = (0..16)
            .map(|task| {
                let catalog = catalogs[task % 2].clone();
                tokio::spawn(async move {
                    catalog
                        .add_snapshot(&snapshot(Some("q"), NOW + round))
                        .await
                        .unwrap()
                })
            })
            .collect();
        let mut ids = BTreeSet::new();
        let mut added_count = 0;
        for task in tasks {
            let (snapshot, is_added) = task.await.unwrap();
            ids.insert(snapshot.id);
            added_count += usize::from(is_added);
        }
        assert_eq!((ids.len(), added_count), (1, 1));
    }
}

pub(crate) async fn failed_and_cancelled_ones_begin_anew(place: Place) {
    let catalog = open(&place).await;
    for (at, state) in [(0, State::Failed), (1, State::Cancelled)] {
        let over = Snapshot {
            state,
            reason: Some("no room".into()),
            diff_state: DiffState::None,
            is_pinned: at == 1,
            ..ready(Some("q"), NOW + at)
        };
        catalog.add_snapshot(&over).await.unwrap();
        let again = Snapshot {
            name: "again".into(),
            settings: "2".into(),
            due_ns: 3,
            origin: "request".into(),
            created_ns: 4,
            ..snapshot(Some("q"), NOW + at)
        };
        let expected = Snapshot {
            id: over.id,
            is_pinned: at == 1,
            ..again.clone()
        };
        assert_eq!(
            catalog.add_snapshot(&again).await.unwrap(),
            (expected.clone(), true)
        );
        assert_eq!(
            catalog.add_snapshot(&again).await.unwrap(),
            (expected.clone(), false)
        );
        let claimed = catalog
            .claim_snapshot("me", NOW, NOW + SECOND)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            claimed,
            Snapshot {
                state: State::Collecting,
                attempts: 1,
                ..expected
            }
        );
    }
}

pub(crate) async fn pages(place: Place) {
    let catalog = open(&place).await;
    let mut all = Vec::new();
    for at in 0..10 {
        let query_id = if at % 2 == 0 { "even" } else { "odd" };
        // The later it was asked for, the earlier its window: lists are in the order of asking.
        let snapshot = if at % 3 == 0 {
            ready(Some(query_id), NOW - at)
        } else {
            snapshot(Some(query_id), NOW - at)
        };
        all.push(catalog.add_snapshot(&snapshot).await.unwrap().0);
    }
    let page = |limit, before: Option<usize>, query_id: Option<&str>, status: Option<&str>| Page {
        limit,
        before: before.map(|at: usize| all[at].id.clone()),
        query_id: query_id.map(str::to_owned),
        status: status.map(str::to_owned),
    };
    let cases: [(Page, &[usize]); 8] = [
        (page(3, None, None, None), &[7, 8, 9]),
        (page(3, Some(7), None, None), &[4, 5, 6]),
        (page(3, Some(1), None, None), &[0]),
        (page(100, None, Some("even"), None), &[0, 2, 4, 6, 8]),
        (page(2, Some(8), Some("even"), None), &[4, 6]),
        (page(2, None, None, Some("ready")), &[6, 9]),
        (page(9, Some(9), Some("odd"), Some("ready")), &[3]),
        (page(9, None, None, Some("nothing")), &[]),
    ];
    for (page, expected) in cases {
        let expected: Vec<Snapshot> = expected.iter().map(|&at| all[at].clone()).collect();
        assert_eq!(
            catalog.snapshots(&page).await.unwrap(),
            expected,
            "{page:?}"
        );
    }
    assert_eq!(
        catalog.snapshots(&page(0, None, None, None)).await.unwrap(),
        []
    );
}

pub(crate) async fn the_one_before(place: Place) {
    let catalog = open(&place).await;
    let (early, late) = (ready(Some("q"), NOW), ready(Some("q"), NOW + 100));
    // Added the other way round.
    for snapshot in [
        &late,
        &early,
        &ready(Some("other"), NOW + 50),
        &snapshot(Some("q"), NOW + 60),
        &ready(None, NOW + 70),
    ] {
        catalog.add_snapshot(snapshot).await.unwrap();
    }
    for (to_ns, expected) in [
        (NOW - 1, None),
        (NOW, Some(&early)),
        (NOW + 99, Some(&early)),
        (NOW + 100, Some(&late)),
        (i64::MAX, Some(&late)),
    ] {
        assert_eq!(
            catalog
                .ready_snapshot_before("q", to_ns)
                .await
                .unwrap()
                .as_ref(),
            expected
        );
    }
}

pub(crate) async fn the_one_nearest(place: Place) {
    let catalog = open(&place).await;
    let (early, late) = (ready(Some("q"), NOW), ready(Some("q"), NOW + 100));
    for snapshot in [
        &late,
        &early,
        &ready(Some("other"), NOW + 50),
        &snapshot(Some("q"), NOW + 40),
    ] {
        catalog.add_snapshot(snapshot).await.unwrap();
    }
    let cases = [
        (NOW, 0, Some(&early)),
        (NOW + 10, 9, None),
        (NOW + 10, 10, Some(&early)),
        (NOW - 10, 10, Some(&early)),
        (NOW + 49, 1000, Some(&early)),
        (NOW + 50, 1000, Some(&early)),
        (NOW + 51, 1000, Some(&late)),
        (NOW + 110, 10, Some(&late)),
        (NOW, -1, None),
        (i64::MIN, i64::MAX, None),
        (i64::MAX, i64::MAX, Some(&late)),
    ];
    for (to_ns, tolerance_ns, expected) in cases {
        assert_eq!(
            catalog
                .ready_snapshot_at("q", to_ns, tolerance_ns)
                .await
                .unwrap()
                .as_ref(),
            expected,
            "{to_ns} {tolerance_ns}"
        );
    }
}

pub(crate) async fn pin_cancel_delete(place: Place) {
    let catalog = open(&place).await;
    let pending = snapshot(Some("q"), NOW);
    catalog.add_snapshot(&pending).await.unwrap();
    for is_pinned in [true, false] {
        assert!(catalog.set_pinned(&pending.id, is_pinned).await.unwrap());
        assert_eq!(
            catalog
                .snapshot(&pending.id)
                .await
                .unwrap()
                .unwrap()
                .is_pinned,
            is_pinned
        );
    }
    assert!(!catalog.set_pinned("nobody", true).await.unwrap());

    assert!(catalog.cancel_snapshot(&pending.id).await.unwrap());
    assert_eq!(
        catalog.snapshot(&pending.id).await.unwrap().unwrap().state,
        State::Cancelled
    );
    assert!(!catalog.cancel_snapshot(&pending.id).await.unwrap());
    let ready = ready(Some("q"), NOW + 1);
    catalog.add_snapshot(&ready).await.unwrap();
    assert!(!catalog.cancel_snapshot(&ready.id).await.unwrap());
    assert_eq!(
        catalog
            .claim_snapshot("me", NOW + 1, NOW + 2)
            .await
            .unwrap(),
        None
    );

    let diff = examples::diff(None, &ready.id, "x");
    catalog.add_diff(&diff).await.unwrap();
    assert_eq!(
        catalog.delete_snapshot(&ready.id).await.unwrap(),
        Some(ready.clone())
    );
    assert_eq!(catalog.delete_snapshot(&ready.id).await.unwrap(), None);
    assert_eq!(catalog.diff(&diff.id).await.unwrap(), Some(diff));
    // The window is free again.
    assert!(catalog.add_snapshot(&ready).await.unwrap().1);
}
