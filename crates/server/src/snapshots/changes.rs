//! What changes, told to whoever listens: pages that show it live.

use serde::Serialize;
use tokio::sync::broadcast;

/// Changes that one who listens may be behind; past that it is told that it missed some.
const BEHIND: usize = 1_000;

/// What kind of thing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Kind {
    Query,
    Snapshot,
    Diff,
    Deployment,
}

/// Something is there, is other than before, or is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Change {
    pub(crate) kind: Kind,
    pub(crate) id: String,
}

/// Tells everybody who listens in this process. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Changes(broadcast::Sender<Change>);

impl Default for Changes {
    fn default() -> Self {
        Self(broadcast::Sender::new(BEHIND))
    }
}

impl Changes {
    pub(crate) fn tell(&self, kind: Kind, id: &str) {
        let change = Change {
            kind,
            id: id.to_owned(),
        };
        // An error means that nobody listens.
        let _ = self.0.send(change);
    }

    pub(crate) fn listen(&self) -> broadcast::Receiver<Change> {
        self.0.subscribe()
    }
}
