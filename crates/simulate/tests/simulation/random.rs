//! Random systems are sound, differ, and depend on their seed alone.

use std::collections::{BTreeMap, BTreeSet};

use tracediff_simulate::{Call, Incident, IncidentKind, Settings, Simulation, Step, Topology};

use crate::spans::{Span, read};

fn spans(topology: &Topology) -> Vec<Span> {
    let settings = Settings {
        minutes: 0.4,
        clock_skew_us: 0.0,
        ..Settings::default()
    };
    let made = Simulation::with_topology(&settings, topology).unwrap();
    read(&made.into_batches().unwrap())
}

fn calls<'t>(steps: &'t [Step], found: &mut Vec<&'t Call>) {
    for step in steps {
        match step {
            Step::Call(call) => found.push(call),
            Step::Internal { steps, .. } | Step::Parallel(steps) | Step::Sequence(steps) => {
                calls(steps, found);
            }
            Step::Maybe { step, .. } | Step::Repeat { step, .. } => {
                calls(std::slice::from_ref(step.as_ref()), found);
            }
            Step::Work(_) | Step::Query(_) | Step::Produce(_) => {}
        }
    }
}

/// The most services one after the other below a service.
fn depth<'t>(
    service: &'t str,
    callees: &BTreeMap<&'t str, BTreeSet<&'t str>>,
    known: &mut BTreeMap<&'t str, u32>,
) -> u32 {
    if let Some(depth) = known.get(service) {
        return *depth;
    }
    let below = callees.get(service).into_iter().flatten();
    let found = below
        .map(|s| 1 + depth(s, callees, known))
        .max()
        .unwrap_or(0);
    known.insert(service, found);
    found
}

#[test]
fn systems_have_what_was_asked_for() {
    let mut depths = BTreeSet::new();
    let mut sizes = BTreeSet::new();
    for seed in 0..60 {
        let topology = Topology::random(seed);
        assert_eq!(topology, Topology::random(seed));
        let count = topology.services.len();
        assert!((8..=20).contains(&count), "{seed}: {count} services");
        assert!((3..=6).contains(&topology.entries.len()));
        sizes.insert(count);
        let mut callees: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let mut all = Vec::new();
        for service in &topology.services {
            let mut own = Vec::new();
            for operation in &service.operations {
                calls(&operation.steps, &mut own);
            }
            callees
                .entry(&service.name)
                .or_default()
                .extend(own.iter().map(|c| c.service.as_str()));
            all.extend(own);
        }
        assert!(all.iter().any(|c| c.retries > 0) && all.iter().any(|c| c.absorbed));
        let mut known = BTreeMap::new();
        let deepest = topology
            .entries
            .iter()
            .map(|e| depth(&e.service, &callees, &mut known));
        let deepest = deepest.max().unwrap();
        assert!((2..=6).contains(&deepest), "{seed}: {deepest} deep");
        depths.insert(deepest);
    }
    assert_eq!(depths, (2..=6).collect());
    assert!(sizes.len() > 9, "{sizes:?}");
}

#[test]
fn spans_of_random_systems_are_those_of_their_services() {
    for seed in 0..12 {
        let topology = Topology::random(seed);
        let spans = spans(&topology);
        let seen: BTreeSet<&str> = spans.iter().map(|s| s.service.as_str()).collect();
        let named: BTreeSet<&str> = topology.services.iter().map(|s| s.name.as_str()).collect();
        assert!(seen.is_subset(&named));
        assert_eq!(seen.len(), named.len(), "{seed}: all are reached");
        let traces: BTreeSet<_> = spans.iter().map(|s| s.trace_id).collect();
        let mean = spans.len() as f64 / traces.len() as f64;
        assert!((4.0..120.0).contains(&mean), "{seed}: {mean} spans a trace");
        let roots: Vec<&Span> = spans.iter().filter(|s| s.parent.is_none()).collect();
        let errors = roots.iter().filter(|s| s.is_error).count() as f64;
        assert!(
            errors / (roots.len() as f64) < 0.04,
            "{seed}: {errors} errors"
        );
        for root in roots {
            let took_ms = root.duration_ns as f64 / 1e6;
            assert!((0.2..5_000.0).contains(&took_ms), "{seed}: {took_ms} ms");
        }
    }
}

/// Incidents of every kind find a place in nearly every system, always the same one.
#[test]
fn every_kind_happens() {
    let mut nowhere = Vec::new();
    for seed in 0..10 {
        let topology = Topology::random(seed);
        for kind in IncidentKind::ALL {
            let incident = Incident::at_random(&topology, kind, seed);
            if seed == 0 {
                assert_eq!(incident, Incident::at_random(&topology, kind, seed));
            }
            if incident.is_err() {
                nowhere.push((seed, kind));
            }
        }
    }
    assert_eq!(nowhere, []);
}

/// The constant holds on every machine; a change of how systems are drawn changes it.
#[test]
fn random_systems_are_pinned() {
    let text = format!("{:?}", Topology::random(1));
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    assert_eq!(format!("{hash:#x}"), "0x4eafa531d579424f");
}
