//! What happens in the demonstration's shop, window by window: calm, or one incident after the other.

use tracediff_core::model::{SpanBatch, SpanBatchBuilder};
use tracediff_simulate::{Incident, IncidentKind, Load, Settings, Simulation, Topology};

/// Windows from the start of one incident to that of the next.
const CYCLE: u64 = 8;
/// Windows that one lasts.
const INCIDENT_WINDOWS: u64 = 3;
/// Spans of one request to the server.
const REQUEST_SPANS: usize = 2_000;
/// One after the other; each has one right answer that shows in traces.
const INCIDENTS: [IncidentKind; 5] = [
    IncidentKind::SlowService,
    IncidentKind::ErrorAtOrigin,
    IncidentKind::NPlusOne,
    IncidentKind::RemovedCache,
    IncidentKind::SlowLink,
];

/// The shop, whose first incident begins with a window that is chosen. Windows are counted from 1970.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shop {
    /// The window that the first incident begins with.
    pub(super) first_incident: u64,
    /// The length of a window.
    pub(super) window_ns: u64,
    /// Requests per second.
    pub(super) rate: f64,
}

impl Shop {
    /// What is wrong in a window, if anything.
    pub(super) fn incident(&self, window: u64) -> Option<Incident> {
        let since = window.checked_sub(self.first_incident)?;
        let kind = INCIDENTS[(since / CYCLE) as usize % INCIDENTS.len()];
        (since % CYCLE < INCIDENT_WINDOWS).then(|| Incident::in_shop(kind))
    }

    /// The traffic of a window.
    pub(super) fn traffic(&self, window: u64) -> anyhow::Result<Traffic> {
        let settings = Settings {
            seed: window,
            start_ns: window * self.window_ns,
            minutes: self.window_ns as f64 / 60e9,
            rate_per_second: self.rate,
            // Load that is drawn per window would be a true difference between windows: here only incidents are.
            load: Load::none(),
            ..Settings::default()
        };
        let simulation = match self.incident(window) {
            Some(incident) => incident.candidate(&Topology::shop(), &settings)?,
            None => Simulation::new(&settings)?,
        };
        Ok(Traffic {
            simulation,
            builder: SpanBatchBuilder::new(),
            next_start_ns: 0,
        })
    }
}

/// Requests of a window that were not sent yet.
pub(super) struct Traffic {
    simulation: Simulation,
    builder: SpanBatchBuilder,
    /// When the request that was made last, and waits in the builder, came in.
    next_start_ns: u64,
}

impl Traffic {
    /// The spans of requests that came in by then, in parts that fit into one request each; none: no more for now.
    pub(super) fn until(&mut self, now_ns: u64) -> anyhow::Result<Vec<SpanBatch>> {
        while self.next_start_ns <= now_ns && self.builder.rows() < REQUEST_SPANS {
            match self.simulation.write_next(&mut self.builder) {
                Some(written) => self.next_start_ns = written.start_ns,
                None => break,
            }
            self.builder.commit()?;
        }
        Ok(self.builder.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incidents_come_one_after_the_other_with_calm_between() {
        let shop = Shop {
            first_incident: 100,
            window_ns: 30_000_000_000,
            rate: 1.0,
        };
        let kind = |window| shop.incident(window).map(|incident| incident.kind());
        let kinds: Vec<_> = (97..112).map(kind).collect();
        let (slow, failing) = (IncidentKind::SlowService, IncidentKind::ErrorAtOrigin);
        let mut expected = vec![None; 15];
        expected[3..6].fill(Some(slow));
        expected[11..14].fill(Some(failing));
        assert_eq!(kinds, expected);
        assert_eq!(kind(100 + 5 * CYCLE), Some(slow));
    }

    #[test]
    fn traffic_comes_when_its_time_has_come() {
        let shop = Shop {
            first_incident: 0,
            window_ns: 30_000_000_000,
            rate: 5.0,
        };
        let mut traffic = shop.traffic(10).unwrap();
        let mut sent = |until_s: u64| {
            let mut rows = 0;
            loop {
                let batches = traffic.until(until_s * 1_000_000_000).unwrap();
                if batches.iter().all(SpanBatch::is_empty) {
                    return rows;
                }
                rows += batches.iter().map(SpanBatch::len).sum::<usize>();
            }
        };
        let (first_half, second_half) = (sent(315), sent(330));
        assert!(
            first_half > 100 && second_half > 100,
            "{first_half} {second_half}"
        );
        assert_eq!(sent(1000), 0);
    }
}
