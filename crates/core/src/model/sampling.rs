//! OpenTelemetry consistent probability sampling: from `tracestate` to the adjusted count of a span.
//!
//! Source: OpenTelemetry specification, "TraceState: Probability Sampling" (`ot=th:`, `ot=rv:`), and its
//! predecessor with powers of two (`ot=p:`).

/// Number of distinct thresholds: 2^56.
pub const THRESHOLD_RANGE: u64 = 1 << 56;

/// The adjusted count (1 / sampling probability) told by a W3C `tracestate`; `None` where it tells nothing.
///
/// `th` (hex, trailing zeros removed) gives 2^56 / (2^56 − T). The older `p:k` gives 2^k, and 63 means zero, which a
/// recorded span cannot have, so it is read as unknown.
pub fn adjusted_count(trace_state: &str) -> Option<f64> {
    let vendor = trace_state
        .split(',')
        .find_map(|member| member.trim().strip_prefix("ot="))?;
    let mut from_power = None;
    for field in vendor.split(';') {
        if let Some(threshold) = field.strip_prefix("th:") {
            return parse_threshold(threshold).map(weight_of_threshold);
        }
        if let Some(power) = field.strip_prefix("p:") {
            from_power = power
                .parse::<u32>()
                .ok()
                .filter(|k| *k < 63)
                .map(|k| 2f64.powi(k as i32));
        }
    }
    from_power
}

/// The threshold T from its hex digits, right-padded to 14.
pub fn parse_threshold(digits: &str) -> Option<u64> {
    if digits.is_empty() || digits.len() > 14 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let value = u64::from_str_radix(digits, 16).ok()?;
    Some(value << (4 * (14 - digits.len())))
}

/// The threshold as `th` writes it: hex without trailing zeros, `0` for none.
pub fn threshold_text(threshold: u64) -> String {
    let text = format!("{threshold:014x}");
    let trimmed = text.trim_end_matches('0');
    if trimmed.is_empty() {
        "0".to_owned()
    } else {
        trimmed.to_owned()
    }
}

/// The threshold that keeps a share `probability` (0–1] of all traces.
pub fn threshold_of_probability(probability: f64) -> u64 {
    let kept = (probability.clamp(0.0, 1.0) * THRESHOLD_RANGE as f64).round() as u64;
    THRESHOLD_RANGE - kept.clamp(1, THRESHOLD_RANGE)
}

/// The adjusted count of a span kept under threshold T: 2^56 / (2^56 − T).
pub fn weight_of_threshold(threshold: u64) -> f64 {
    THRESHOLD_RANGE as f64 / (THRESHOLD_RANGE - threshold.min(THRESHOLD_RANGE - 1)) as f64
}

/// The 56-bit randomness R of a trace: the last 7 bytes of its id.
pub fn randomness(trace_id: &super::TraceId) -> u64 {
    trace_id.0[9..]
        .iter()
        .fold(0, |r, byte| r << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_become_weights() {
        let check = |state: &str, expected: Option<f64>| {
            assert_eq!(adjusted_count(state), expected, "{state}")
        };
        check("ot=th:0", Some(1.0));
        check("ot=th:8", Some(2.0));
        check("congo=t61rcWkgMzE, ot=rv:9b8233f7e3a151;th:c", Some(4.0));
        check("ot=p:3;r:5", Some(8.0));
        check("ot=p:63", None);
        check("ot=th:zz", None);
        check("congo=th:8", None);
        check("", None);
    }

    #[test]
    fn threshold_text_reads_back() {
        for probability in [1.0, 0.5, 0.25, 0.1, 0.01] {
            let threshold = threshold_of_probability(probability);
            assert_eq!(parse_threshold(&threshold_text(threshold)), Some(threshold));
            assert!(
                (weight_of_threshold(threshold) - 1.0 / probability).abs() < 1e-9 / probability
            );
        }
    }
}
