//! Snapshots around a deployment: of the window that ends when it went live, and of the one that begins then.

use serde::Serialize;
use tracediff_catalog::{Page, Query, State};
use tracediff_core::facts::SERVICE;
use tracediff_core::model::Window;
use tracediff_core::paths::GraphItem;

use super::{Baseline, SnapshotError, Snapshots};

/// What a snapshot after a deployment is taken for: it is compared with the one before.
pub(super) const AFTER: &str = "after deployment";
const BEFORE: &str = "before deployment";

/// The snapshots of one query around a deployment.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Around {
    query_id: String,
    before: String,
    after: String,
}

impl Snapshots {
    /// Has snapshots taken before and after a time, for the queries that touch a service.
    pub(crate) async fn around(
        &self,
        service: &str,
        at_ns: i64,
    ) -> Result<Vec<Around>, SnapshotError> {
        let mut taken = Vec::new();
        for query in self.catalog.queries().await? {
            let mut settings = self.settings_of(&query.settings)?;
            // Before and after are compared, not the two values.
            if let Baseline::Split(_) = settings.baseline {
                settings.baseline = Baseline::Previous;
            }
            if !self.touches(&query, service).await? {
                continue;
            }
            let window_ns = settings.window().ns();
            let before = Window::new(at_ns.saturating_sub(window_ns), at_ns)?;
            let after = Window::new(at_ns, at_ns.saturating_add(window_ns))?;
            let before = self.add(&query, &settings, before, BEFORE).await?;
            let after = self.add(&query, &settings, after, AFTER).await?;
            taken.push(Around {
                query_id: query.id,
                before: before.id,
                after: after.id,
            });
        }
        Ok(taken)
    }

    /// Whether the traces of a query's newest snapshot have the service; a query without a snapshot may have any.
    async fn touches(&self, query: &Query, service: &str) -> Result<bool, SnapshotError> {
        let newest = Page {
            limit: 1,
            query_id: Some(query.id.clone()),
            status: Some(State::Ready.as_str().to_owned()),
            ..Page::default()
        };
        let Some(snapshot) = self.catalog.snapshots(&newest).await?.pop() else {
            return Ok(true);
        };
        let facts = match self.facts_of(&snapshot).await {
            Ok(facts) => facts,
            Err(SnapshotError::NotReady(_)) => return Ok(true),
            Err(error) => return Err(error),
        };
        let is_group = facts
            .keys()
            .get(SERVICE)
            .is_some_and(|key| key.groups.contains_key(service));
        Ok(is_group
            || facts
                .graph()
                .contains_key(&GraphItem::Service(service.to_owned())))
    }
}
