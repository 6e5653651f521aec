//! Numbers as people read them.

/// A duration in its natural unit with three significant digits: `850 µs`, `12.4 ms`, `1.32 s`.
pub fn duration(ns: f64) -> String {
    let (value, unit) = match ns.abs() {
        0.0 => return "0 ms".to_owned(),
        a if a < 999.5 => (ns, "ns"),
        a if a < 999.5e3 => (ns / 1e3, "µs"),
        a if a < 999.5e6 => (ns / 1e6, "ms"),
        a if a < 120e9 => (ns / 1e9, "s"),
        a if a < 7_200e9 => (ns / 60e9, "min"),
        _ => (ns / 3_600e9, "h"),
    };
    format!("{} {unit}", significant(value))
}

/// A difference of durations with its sign.
pub fn duration_change(ns: f64) -> String {
    if ns < 0.0 {
        format!("−{}", duration(-ns))
    } else {
        format!("+{}", duration(ns))
    }
}

/// Three significant digits, without an exponent.
fn significant(value: f64) -> String {
    let digits = match value.abs() {
        a if a >= 99.95 => 0,
        a if a >= 9.995 => 1,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// A ratio (0–1) in percent: `0.42 %`, `7.8 %`, `100 %`.
pub fn percent(ratio: f64) -> String {
    format!("{} %", significant(ratio * 100.0))
}

/// A signed difference of two ratios (0–1): `+4.6 points`, percentage points.
pub fn points_change(difference: f64) -> String {
    let sign = if difference < 0.0 { "−" } else { "+" };
    format!("{sign}{} points", significant(difference.abs() * 100.0))
}

/// A factor as a signed change in percent, as a multiple from five-fold on: `+26 %`, `−8.1 %`, `7.2×`.
pub fn factor_change(factor: f64) -> String {
    if factor >= 5.0 {
        return format!("{}×", significant(factor));
    }
    let change = (factor - 1.0) * 100.0;
    let sign = if change < 0.0 { "−" } else { "+" };
    format!("{sign}{} %", significant(change.abs()))
}

/// A number with thin groups of thousands: `1 234 567`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// `1 trace`, `2 traces`.
pub fn counted(value: u64, word: &str) -> String {
    format!(
        "{} {word}{}",
        count(value),
        if value == 1 { "" } else { "s" }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let check = |ns: f64, expected: &str| assert_eq!(duration(ns), expected);
        check(0.0, "0 ms");
        check(850.0, "850 ns");
        check(12_400.0, "12.4 µs");
        check(999_600.0, "1 ms");
        check(8_123_456.0, "8.12 ms");
        check(36_400_000.0, "36.4 ms");
        check(1_320_000_000.0, "1.32 s");
        check(600e9, "10 min");
        assert_eq!(duration_change(-5e6), "−5 ms");
        assert_eq!(percent(0.0783), "7.83 %");
        assert_eq!(percent(1.0), "100 %");
        assert_eq!(points_change(-0.046), "−4.6 points");
        assert_eq!(factor_change(2.58), "+158 %");
        assert_eq!(factor_change(0.92), "−8 %");
        assert_eq!(factor_change(7.21), "7.21×");
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(counted(1, "trace"), "1 trace");
    }
}
