//! Saved queries.

use tracediff_catalog::{CatalogError, Place, Query, State};

use crate::{examples, open};

pub(crate) async fn come_back_as_they_were(place: Place) {
    let catalog = open(&place).await;
    let younger = examples::query();
    let older = Query {
        id: "0".into(),
        created_ns: younger.created_ns - 1,
        group_by_keys: vec![],
        scheduled_to_ns: None,
        ..examples::query()
    };
    catalog.create_query(&younger).await.unwrap();
    catalog.create_query(&older).await.unwrap();
    assert_eq!(
        catalog.query(&younger.id).await.unwrap(),
        Some(younger.clone())
    );
    assert_eq!(catalog.query("nobody").await.unwrap(), None);
    assert_eq!(catalog.queries().await.unwrap(), [older, younger]);
}

pub(crate) async fn change_and_go(place: Place) {
    let catalog = open(&place).await;
    let query = examples::query();
    catalog.create_query(&query).await.unwrap();
    let wanted = Query {
        id: query.id.clone(),
        name: "cart".into(),
        query: "service = \"cart\"".into(),
        group_by_keys: vec!["a".into()],
        settings: "[]".into(),
        created_ns: 1,
        updated_ns: 2,
        scheduled_to_ns: None,
    };
    assert!(catalog.update_query(&wanted).await.unwrap());
    let changed = Query {
        created_ns: query.created_ns,
        scheduled_to_ns: query.scheduled_to_ns,
        ..wanted.clone()
    };
    assert_eq!(
        catalog.query(&query.id).await.unwrap(),
        Some(changed.clone())
    );
    assert!(
        !catalog
            .update_query(&Query {
                id: "nobody".into(),
                ..wanted
            })
            .await
            .unwrap()
    );

    let other = examples::query();
    catalog.create_query(&other).await.unwrap();
    let pending = examples::snapshot(Some(&query.id), examples::NOW);
    let ready = examples::ready(Some(&query.id), examples::NOW + 1);
    let others = examples::snapshot(Some(&other.id), examples::NOW);
    for snapshot in [&pending, &ready, &others] {
        catalog.add_snapshot(snapshot).await.unwrap();
    }
    let diff = examples::diff(Some(&query.id), "a", "b");
    catalog.add_diff(&diff).await.unwrap();
    assert_eq!(
        catalog.delete_query(&query.id).await.unwrap(),
        Some(changed)
    );
    assert_eq!(catalog.delete_query(&query.id).await.unwrap(), None);
    assert_eq!(catalog.queries().await.unwrap(), [other]);
    for (id, state) in [
        (&pending.id, State::Cancelled),
        (&ready.id, State::Ready),
        (&others.id, State::Pending),
    ] {
        assert_eq!(catalog.snapshot(id).await.unwrap().unwrap().state, state);
    }
    assert_eq!(catalog.diff(&diff.id).await.unwrap(), Some(diff));
}

pub(crate) async fn a_second_one_with_an_id_is_a_conflict(place: Place) {
    let catalog = open(&place).await;
    let query = examples::query();
    catalog.create_query(&query).await.unwrap();
    let error = catalog
        .create_query(&Query {
            name: "other".into(),
            ..query.clone()
        })
        .await
        .unwrap_err();
    assert!(matches!(error, CatalogError::Conflict { .. }), "{error:?}");
    assert_eq!(catalog.queries().await.unwrap(), [query]);
}

pub(crate) async fn the_schedule_never_moves_back(place: Place) {
    let catalog = open(&place).await;
    let query = Query {
        scheduled_to_ns: None,
        ..examples::query()
    };
    catalog.create_query(&query).await.unwrap();
    for (to_ns, then) in [(10, 10), (30, 30), (20, 30)] {
        catalog.set_scheduled(&query.id, to_ns).await.unwrap();
        assert_eq!(
            catalog
                .query(&query.id)
                .await
                .unwrap()
                .unwrap()
                .scheduled_to_ns,
            Some(then)
        );
    }
    catalog.set_scheduled("nobody", 1).await.unwrap();
}

pub(crate) async fn odd_texts_come_back(place: Place) {
    let catalog = open(&place).await;
    let query = Query {
        name: "it's \"quoted\"; DROP TABLE queries; -- $1 ? % \\ 🦀 \n\t \u{1}".into(),
        query: "x".repeat(300_000),
        group_by_keys: vec!["a,b".into(), String::new(), "\"".into(), "\u{0}".into()],
        settings: String::new(),
        created_ns: i64::MIN,
        updated_ns: i64::MAX,
        ..examples::query()
    };
    catalog.create_query(&query).await.unwrap();
    // The one character that PostgreSQL does not keep.
    let mut expected = query.clone();
    expected.group_by_keys[3] = "\u{fffd}".into();
    assert_eq!(catalog.query(&query.id).await.unwrap(), Some(expected));
    assert_eq!(catalog.query("\0").await.unwrap(), None);
    // Too long for an index of PostgreSQL, and nothing that compresses.
    let long: String = (0..20_000_u64)
        .map(|n| format!("{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
        .collect();
    let snapshot = tracediff_catalog::Snapshot {
        query: long,
        ..examples::snapshot(Some(&query.id), 7)
    };
    assert_eq!(
        catalog.add_snapshot(&snapshot).await.unwrap(),
        (snapshot, true)
    );
}
