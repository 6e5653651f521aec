//! Tokens, deployments, what was seen.

use tracediff_catalog::{CatalogError, Deployment, Page, Place, Seen, Token, new_id};

use crate::open;

pub(crate) async fn tokens(place: Place) {
    let catalog = open(&place).await;
    let token = |name: &str, created_ns| Token {
        id: new_id(),
        name: name.into(),
        role: "read".into(),
        hash: format!("hash of {name}"),
        created_ns,
    };
    let (late, early) = (token("late", 2), token("early", 1));
    catalog.add_token(&late).await.unwrap();
    catalog.add_token(&early).await.unwrap();
    assert_eq!(
        catalog.tokens().await.unwrap(),
        [early.clone(), late.clone()]
    );
    for twin in [
        Token {
            id: early.id.clone(),
            ..token("other", 3)
        },
        Token {
            hash: early.hash.clone(),
            ..token("other", 3)
        },
    ] {
        let error = catalog.add_token(&twin).await.unwrap_err();
        assert!(matches!(error, CatalogError::Conflict { .. }), "{error:?}");
    }
    assert!(catalog.delete_token(&early.id).await.unwrap());
    assert!(!catalog.delete_token(&early.id).await.unwrap());
    assert_eq!(catalog.tokens().await.unwrap(), [late]);
}

pub(crate) async fn deployments(place: Place) {
    let catalog = open(&place).await;
    let mut all = Vec::new();
    for at in 0..4 {
        let deployment = Deployment {
            id: new_id(),
            service: "cart".into(),
            version: format!("1.{at}"),
            at_ns: 100 - at,
            created_ns: at,
            details: "{}".into(),
        };
        catalog.add_deployment(&deployment).await.unwrap();
        all.push(deployment);
    }
    assert_eq!(catalog.deployments(&Page::default()).await.unwrap(), all);
    let page = Page {
        limit: 2,
        before: Some(all[3].id.clone()),
        query_id: Some("q".into()),
        status: Some("s".into()),
    };
    assert_eq!(catalog.deployments(&page).await.unwrap(), all[1..3]);
    assert_eq!(
        catalog.deployment(&all[2].id).await.unwrap().as_ref(),
        Some(&all[2])
    );
    assert_eq!(catalog.deployment("nobody").await.unwrap(), None);
    let error = catalog.add_deployment(&all[0]).await.unwrap_err();
    assert!(matches!(error, CatalogError::Conflict { .. }), "{error:?}");
}

fn seen(kind: &str, name: &str, details: &str, first_ns: i64, last_ns: i64) -> Seen {
    Seen {
        kind: kind.into(),
        name: name.into(),
        details: details.into(),
        first_ns,
        last_ns,
    }
}

pub(crate) async fn seen_widens(place: Place) {
    let catalog = open(&place).await;
    catalog.note_seen(&[]).await.unwrap();
    catalog
        .note_seen(&[
            seen("service", "b", "1", 10, 20),
            seen("edge", "b", "e", 1, 2),
        ])
        .await
        .unwrap();
    // The same thing twice in one call, an older sighting, another case of letters.
    catalog
        .note_seen(&[
            seen("service", "b", "2", 15, 30),
            seen("service", "b", "0", 5, 6),
            seen("service", "B", "3", 40, 50),
            seen("service", "é", "4", 40, 50),
        ])
        .await
        .unwrap();
    catalog
        .note_seen(&[seen("service", "b", "old", 4, 29)])
        .await
        .unwrap();
    let all = [
        seen("edge", "b", "e", 1, 2),
        seen("service", "B", "3", 40, 50),
        seen("service", "b", "2", 4, 30),
        seen("service", "é", "4", 40, 50),
    ];
    assert_eq!(catalog.seen(None, None).await.unwrap(), all);
    assert_eq!(catalog.seen(Some(2), Some(4)).await.unwrap(), all[..1]);
    assert_eq!(catalog.seen(Some(3), Some(5)).await.unwrap(), all[2..3]);
    assert_eq!(catalog.seen(Some(30), Some(40)).await.unwrap(), all[2..3]);
    assert_eq!(
        catalog.seen(Some(31), None).await.unwrap(),
        [all[1].clone(), all[3].clone()]
    );
    // Names as producers may send them.
    let odd = [
        seen("service", "a\0b", "5", 0, 0),
        seen("service", &"long ".repeat(9_000), "6", 0, 0),
    ];
    catalog.note_seen(&odd).await.unwrap();
    let names: Vec<String> = catalog
        .seen(Some(0), Some(1))
        .await
        .unwrap()
        .into_iter()
        .map(|seen| seen.name)
        .collect();
    assert_eq!(names, ["a\u{fffd}b".to_owned(), odd[1].name.clone()]);
}

pub(crate) async fn seen_by_many_at_once(place: Place) {
    let catalogs = [open(&place).await, open(&place).await];
    let tasks: Vec<_> = (0..8)
        .map(|task: i64| {
            let catalog = catalogs[task as usize % 2].clone();
            tokio::spawn(async move {
                let mut batch: Vec<Seen> = (0..500)
                    .map(|name| {
                        seen(
                            "endpoint",
                            &format!("{name:04}"),
                            "{}",
                            100 - task,
                            100 + task,
                        )
                    })
                    .collect();
                // Half of them go the other way round, which must not lock the others out.
                if task % 4 < 2 {
                    batch.reverse();
                }
                catalog.note_seen(&batch).await.unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let all = catalogs[0].seen(None, None).await.unwrap();
    assert_eq!(all.len(), 500);
    assert!(
        all.iter()
            .all(|seen| (seen.first_ns, seen.last_ns) == (93, 107))
    );
}
