//! Same settings, same spans.

use tracediff_simulate::{Scenario, Settings, simulate};

use crate::spans::{Span, spans};

/// FNV-1a over the spans' debug text: everything that a span tells.
fn hash(spans: &[Span]) -> u64 {
    let text = spans
        .iter()
        .flat_map(|span| format!("{span:?}").into_bytes());
    text.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// These constants hold on every machine. A change of the shop or of the order of draws changes them, and that is all
/// right; a change without one is a defect.
#[test]
fn spans_are_pinned() {
    let check = |settings: Settings, count: usize, expected: u64| {
        let spans = spans(&settings);
        assert_eq!(
            (spans.len(), format!("{:#x}", hash(&spans))),
            (count, format!("{expected:#x}"))
        );
    };
    let small = Settings {
        minutes: 1.5,
        rate_per_second: 5.0,
        ..Settings::default()
    };
    check(small.clone(), 7_765, 0x0277_ad16_3929_4b43);
    let sampled = Settings {
        seed: 42,
        scenario: Scenario::FailingService,
        sampling_probability: Some(0.3),
        ..small
    };
    check(sampled, 2_730, 0x86f1_7f5a_a91e_96a1);
}

#[test]
fn the_same_settings_give_the_same_columns() {
    let settings = Settings {
        minutes: 0.5,
        ..Settings::default()
    };
    let columns = |settings: &Settings| -> Vec<_> {
        let batches = simulate(settings).unwrap();
        batches.iter().map(|b| b.record_batch().clone()).collect()
    };
    assert_eq!(columns(&settings), columns(&settings));
    let other = Settings {
        seed: 2,
        ..settings.clone()
    };
    assert_ne!(columns(&settings), columns(&other));
}

/// A later start moves every span and changes nothing else.
#[test]
fn the_start_only_moves_spans() {
    let settings = Settings {
        minutes: 0.5,
        ..Settings::default()
    };
    let day_ns = 86_400_000_000_000;
    let later = Settings {
        start_ns: settings.start_ns + day_ns,
        ..settings.clone()
    };
    let mut moved = spans(&settings);
    for span in &mut moved {
        span.start_ns += day_ns as i64;
    }
    assert_eq!(moved, spans(&later));
}
