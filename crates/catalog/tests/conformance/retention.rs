//! What may be let go.

use tracediff_catalog::{Catalog, Place, Snapshot, State};

use crate::{examples, open};
use examples::{NOW, diff, ready, snapshot};

async fn expired(
    catalog: &Catalog,
    older_than_ns: Option<i64>,
    keep_per_query: Option<u32>,
) -> Vec<String> {
    catalog
        .expired_snapshots(older_than_ns, keep_per_query)
        .await
        .unwrap()
        .into_iter()
        .map(|snapshot| snapshot.name)
        .collect()
}

async fn add(catalog: &Catalog, name: &str, snapshot: Snapshot) {
    catalog
        .add_snapshot(&Snapshot {
            name: name.into(),
            ..snapshot
        })
        .await
        .unwrap();
}

pub(crate) async fn by_age(place: Place) {
    let catalog = open(&place).await;
    // Completed five after its end.
    add(&catalog, "old", ready(Some("q"), NOW)).await;
    add(
        &catalog,
        "failed",
        Snapshot {
            state: State::Failed,
            ..ready(None, NOW + 1)
        },
    )
    .await;
    add(
        &catalog,
        "cancelled",
        Snapshot {
            state: State::Cancelled,
            created_ns: NOW,
            ..snapshot(None, NOW + 2)
        },
    )
    .await;
    add(
        &catalog,
        "pinned",
        Snapshot {
            is_pinned: true,
            ..ready(None, NOW + 3)
        },
    )
    .await;
    add(&catalog, "pending", snapshot(Some("q"), NOW + 4)).await;
    add(
        &catalog,
        "collecting",
        Snapshot {
            state: State::Collecting,
            ..snapshot(Some("q"), NOW + 5)
        },
    )
    .await;
    // Of an old window, collected late.
    add(
        &catalog,
        "late",
        Snapshot {
            completed_ns: Some(NOW + 100),
            ..ready(Some("q"), NOW + 6)
        },
    )
    .await;
    assert_eq!(
        expired(&catalog, Some(NOW + 50), None).await,
        ["old", "failed", "cancelled"]
    );
    assert_eq!(
        expired(&catalog, Some(NOW + 6), None).await,
        ["old", "cancelled"]
    );
    assert_eq!(expired(&catalog, None, None).await, [""; 0]);
}

pub(crate) async fn by_count(place: Place) {
    let catalog = open(&place).await;
    for at in [3, 1, 2, 4] {
        add(&catalog, &format!("q{at}"), ready(Some("q"), NOW + at)).await;
        add(
            &catalog,
            &format!("r{at}"),
            Snapshot {
                is_pinned: at == 4,
                ..ready(Some("r"), NOW + at)
            },
        )
        .await;
        add(&catalog, &format!("none{at}"), ready(None, NOW + at)).await;
    }
    // Failures do not push out facts.
    for at in 5..9 {
        add(
            &catalog,
            &format!("failed{at}"),
            Snapshot {
                state: State::Failed,
                ..ready(Some("q"), NOW + at)
            },
        )
        .await;
    }
    add(&catalog, "pending", snapshot(Some("q"), NOW + 10)).await;
    assert_eq!(expired(&catalog, None, Some(3)).await, ["q1", "failed5"]);
    assert_eq!(
        expired(&catalog, None, Some(2)).await,
        ["q1", "r1", "q2", "failed5", "failed6"]
    );
    assert_eq!(
        expired(&catalog, Some(NOW + 7), Some(3)).await,
        ["q1", "r1", "none1", "failed5"]
    );
    assert_eq!(expired(&catalog, None, Some(u32::MAX)).await, [""; 0]);
}

pub(crate) async fn objects(place: Place) {
    let catalog = open(&place).await;
    assert_eq!(catalog.objects_in_use().await.unwrap(), [""; 0]);
    let shared = Snapshot {
        object: Some("B".into()),
        ..ready(None, NOW)
    };
    for snapshot in [
        shared,
        Snapshot {
            object: Some("a".into()),
            ..ready(None, NOW + 1)
        },
        snapshot(None, NOW + 2),
    ] {
        catalog.add_snapshot(&snapshot).await.unwrap();
    }
    for (candidate, object) in [("x", "B"), ("y", "c")] {
        catalog
            .add_diff(&tracediff_catalog::Diff {
                object: object.into(),
                ..diff(None, "b", candidate)
            })
            .await
            .unwrap();
    }
    assert_eq!(catalog.objects_in_use().await.unwrap(), ["B", "a", "c"]);
}
