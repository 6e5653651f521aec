//! Diffs.

use tracediff_catalog::{CatalogError, Diff, Page, Place};

use crate::{examples, open};
use examples::diff;

pub(crate) async fn come_back_as_they_were(place: Place) {
    let catalog = open(&place).await;
    for wanted in [diff(Some("q"), "a", "b"), diff(None, "b", "a")] {
        assert_eq!(
            catalog.add_diff(&wanted).await.unwrap(),
            (wanted.clone(), true)
        );
        assert_eq!(
            catalog.diff(&wanted.id).await.unwrap(),
            Some(wanted.clone())
        );
        assert_eq!(
            catalog
                .diff_of(&wanted.baseline_id, &wanted.candidate_id)
                .await
                .unwrap(),
            Some(wanted)
        );
    }
    assert_eq!(catalog.diff("nobody").await.unwrap(), None);
    assert_eq!(catalog.diff_of("a", "a").await.unwrap(), None);
}

pub(crate) async fn are_found_by_their_candidate(place: Place) {
    let catalog = open(&place).await;
    let [first, second, other] =
        [("a", "c"), ("b", "c"), ("c", "a")].map(|(a, b)| diff(None, a, b));
    for diff in [&first, &second, &other] {
        catalog.add_diff(diff).await.unwrap();
    }
    let of_candidate = catalog.diffs_of_candidate("c").await.unwrap();
    assert_eq!(of_candidate, [first, second]);
    assert_eq!(catalog.diffs_of_candidate("b").await.unwrap(), []);
}

pub(crate) async fn of_two_snapshots_there_is_one(place: Place) {
    let catalogs = [open(&place).await, open(&place).await];
    let tasks: Vec<_> = (0..12)
        .map(|task| {
            let catalog = catalogs[task % 2].clone();
            tokio::spawn(async move { catalog.add_diff(&diff(None, "a", "b")).await.unwrap() })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    let first = &answers[0].0;
    assert!(answers.iter().all(|(diff, _)| diff == first));
    assert_eq!(answers.iter().filter(|(_, is_added)| *is_added).count(), 1);
    let error = catalogs[0]
        .add_diff(&Diff {
            baseline_id: "c".into(),
            ..first.clone()
        })
        .await
        .unwrap_err();
    assert!(matches!(error, CatalogError::Conflict { .. }), "{error:?}");

    assert_eq!(
        catalogs[0].delete_diff(&first.id).await.unwrap().as_ref(),
        Some(first)
    );
    assert_eq!(catalogs[0].delete_diff(&first.id).await.unwrap(), None);
    assert!(catalogs[0].add_diff(first).await.unwrap().1);
}

pub(crate) async fn pages(place: Place) {
    let catalog = open(&place).await;
    let mut all = Vec::new();
    for at in 0..6 {
        let verdict = if at % 2 == 0 { "regressed" } else { "same" };
        let wanted = Diff {
            verdict: verdict.into(),
            ..diff(Some(if at < 3 { "q" } else { "r" }), "a", &format!("{at}"))
        };
        all.push(catalog.add_diff(&wanted).await.unwrap().0);
    }
    let cases: [(Page, &[usize]); 4] = [
        (Page::default(), &[0, 1, 2, 3, 4, 5]),
        (
            Page {
                limit: 2,
                before: Some(all[4].id.clone()),
                ..Page::default()
            },
            &[2, 3],
        ),
        (
            Page {
                query_id: Some("q".into()),
                ..Page::default()
            },
            &[0, 1, 2],
        ),
        (
            Page {
                query_id: Some("q".into()),
                status: Some("regressed".into()),
                limit: 1,
                ..Page::default()
            },
            &[2],
        ),
    ];
    for (page, expected) in cases {
        let expected: Vec<Diff> = expected.iter().map(|&at| all[at].clone()).collect();
        assert_eq!(catalog.diffs(&page).await.unwrap(), expected, "{page:?}");
    }
}
