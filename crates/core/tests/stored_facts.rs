//! Facts as they are kept: what was written by any version of this program stays readable.

#![expect(
    clippy::unwrap_used,
    reason = "facts that cannot be taken have nothing to say"
)]

use std::time::Duration;

use tracediff_core::diff::{Policy, compare};
use tracediff_core::facts::{Facts, StoredFactsError};
use tracediff_core::model::SpanBatch;
use tracediff_core::snapshot::{Selection, take};
use tracediff_simulate::{Settings, Simulation};
use tracediff_testkit::{Traces, plan_of};

/// Facts of version 1 in hex digits, 64 bytes a line. Never edited: a newer form gets a file of its own.
const VERSION_1: &str = include_str!("golden/facts-1.hex");

const TEXT: &str = "
web: GET-/cart 20ms kind=server
  web: call-cart 15ms kind=client
    cart: get 10ms kind=server error
      cart: SELECT 3ms kind=client db.system=postgresql
";

fn facts(batches: &[SpanBatch]) -> Facts {
    take(batches, &plan_of(batches), &Selection::default()).facts
}

fn few() -> Facts {
    facts(&[Traces::parse(TEXT)
        .repeat(3, Duration::from_secs(20))
        .batch()])
}

fn hex(bytes: &[u8]) -> String {
    let line = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    bytes.chunks(64).map(line).collect::<Vec<_>>().join("\n") + "\n"
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

#[test]
fn facts_come_back_as_they_were() {
    let settings = Settings {
        minutes: 2.0,
        rate_per_second: 5.0,
        ..Settings::default()
    };
    let batches = Simulation::new(&settings).unwrap().into_batches().unwrap();
    let facts = facts(&batches);
    assert!(facts.quality.spans > 5_000 && !facts.paths().nodes().is_empty());
    let stored = facts.to_bytes().unwrap();
    let again = Facts::from_bytes(&stored).unwrap();
    assert_eq!(again, facts);
    assert_eq!(again.to_bytes().unwrap(), stored);
    let policy = Policy::default();
    assert_eq!(
        compare(&facts, &again, &policy),
        compare(&facts, &facts, &policy)
    );
}

#[test]
fn version_1_stays_readable() {
    let facts = Facts::from_bytes(&bytes(VERSION_1)).unwrap();
    assert_eq!((facts.quality.traces, facts.quality.spans), (3, 12));
    assert_eq!(facts.keys()["service"].groups["cart"].spans(), 6);
    assert_eq!(
        facts.keys()["db.system.name"].groups["postgresql"].traces(),
        3
    );
    assert_eq!(facts.paths().nodes().len(), 5);
    assert_eq!(facts.all().exemplars.slowest().len(), 3);
}

#[test]
fn the_form_is_the_one_of_its_version() {
    // Where this fails without a change of what facts say, a stored type has changed: a new version and a new file.
    assert_eq!(hex(&few().to_bytes().unwrap()), VERSION_1);
}

#[test]
fn what_is_no_facts_is_refused() {
    let stored = few().to_bytes().unwrap();
    let refused = |bytes: &[u8]| Facts::from_bytes(bytes).unwrap_err();
    assert_eq!(refused(b""), StoredFactsError::Other);
    assert_eq!(refused(b"something else"), StoredFactsError::Other);
    let mut newer = stored.clone();
    newer[7] = 9;
    assert_eq!(refused(&newer), StoredFactsError::Version(9));
    for length in (8..stored.len()).step_by(97) {
        let error = refused(&stored[..length]);
        assert!(matches!(error, StoredFactsError::Damaged(_)), "{length}");
    }
    let cut = stored.windows(8).position(|bytes| bytes == b"postgres");
    let mut changed = stored.clone();
    changed[cut.unwrap()] = 0xff;
    assert!(
        matches!(refused(&changed), StoredFactsError::Damaged(_)),
        "no UTF-8"
    );
}
