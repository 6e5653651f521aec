//! Numbers and durations as queries write them.

use std::cmp::Ordering;

use super::error::Problem;
use crate::model::ValueType;

/// A decimal number, kept as it was written: `200`, `-0.5`, `1e6`.
#[derive(Debug, Clone)]
pub struct Number {
    text: String,
    quantity: Quantity,
}

/// Integers keep all their digits: an id-like 19-digit integer must not equal its neighbour.
#[derive(Debug, Clone, Copy)]
enum Quantity {
    Integer(i64),
    Double(f64),
}

impl Number {
    /// The number that a text is; `None` for anything that is not decimal, or past the range of a double.
    pub fn parse(text: &str) -> Option<Self> {
        Some(Self {
            quantity: Quantity::parse(text)?,
            text: text.to_owned(),
        })
    }

    /// The number as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How an attribute's value stands to this number; `None` where the value is not a number. Text counts as a
    /// number where it is decimal, because some formats carry every attribute as text.
    pub(super) fn ordering_of(&self, value: &str, value_type: ValueType) -> Option<Ordering> {
        let value = Quantity::parse(value).or_else(|| {
            let infinite = value_type == ValueType::Double;
            infinite
                .then(|| value.parse().ok().map(Quantity::Double))
                .flatten()
        })?;
        value.partial_cmp(&self.quantity)
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Number {}

impl Quantity {
    fn parse(text: &str) -> Option<Self> {
        if !is_decimal(text) {
            return None;
        }
        if let Ok(integer) = text.parse() {
            return Some(Self::Integer(integer));
        }
        text.parse()
            .ok()
            .filter(|value: &f64| value.is_finite())
            .map(Self::Double)
    }

    fn double(self) -> f64 {
        match self {
            Self::Integer(value) => value as f64,
            Self::Double(value) => value,
        }
    }

    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match (*self, *other) {
            (Self::Integer(a), Self::Integer(b)) => Some(a.cmp(&b)),
            (a, b) => a.double().partial_cmp(&b.double()),
        }
    }
}

/// Whether a text is `[-]digits[.digits][e[-]digits]` with a digit before the exponent. Narrower than Rust's floats:
/// no `inf`, `NaN` or `+`.
fn is_decimal(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let exponent_is_sound = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix('-').unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    whole.len() + fraction.len() > 0 && digits(whole) && digits(fraction) && exponent_is_sound
}

/// Units of duration in nanoseconds, longest first. Of two spellings the first is printed.
const UNITS: [(&str, u64); 8] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    // The micro sign and the Greek letter mu.
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ns", 1),
];

/// Whether a word is a unit of duration.
pub(super) fn is_unit(word: &str) -> bool {
    UNITS.iter().any(|(name, _)| *name == word)
}

/// The nanoseconds of `250ms`, `1.5s` or `1m30s`.
pub(super) fn parse_duration(text: &str) -> Result<u64, Problem> {
    let not_a_duration = || Problem::NotADuration {
        found: text.to_owned(),
    };
    if text.starts_with('-') && is_decimal(text.trim_end_matches(char::is_alphabetic)) {
        return Err(Problem::NegativeDuration {
            found: text.to_owned(),
        });
    }
    let mut total_ns = 0u64;
    let mut rest = text;
    loop {
        let number_end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, tail) = rest.split_at(number_end);
        if !is_decimal(number) {
            return Err(not_a_duration());
        }
        let unit_end = tail
            .find(|c: char| !c.is_alphabetic())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        if unit.is_empty() {
            return Err(if tail.is_empty() {
                Problem::MissingUnit {
                    found: number.to_owned(),
                }
            } else {
                not_a_duration()
            });
        }
        let Some((_, unit_ns)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(Problem::UnknownUnit {
                found: unit.to_owned(),
            });
        };
        total_ns = scale(number, *unit_ns)?
            .checked_add(total_ns)
            .ok_or(Problem::LongDuration)?;
        if tail.is_empty() {
            return Ok(total_ns);
        }
        rest = tail;
    }
}

/// A decimal number of units, exactly.
fn scale(number: &str, unit_ns: u64) -> Result<u64, Problem> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let fraction = fraction.trim_end_matches('0');
    let digits_ns = |digits: &str| -> Result<u128, Problem> {
        let digits = if digits.is_empty() { "0" } else { digits };
        let value: u64 = digits.parse().map_err(|_| Problem::LongDuration)?;
        Ok(u128::from(value) * u128::from(unit_ns))
    };
    // A unit has at most 14 decimal digits of nanoseconds, so a longer fraction is finer than one of them.
    let parts = 10u128
        .checked_pow(fraction.len() as u32)
        .filter(|_| fraction.len() <= 18)
        .ok_or(Problem::FineDuration)?;
    let fraction_ns = digits_ns(fraction)?;
    if fraction_ns % parts != 0 {
        return Err(Problem::FineDuration);
    }
    u64::try_from(digits_ns(whole)? + fraction_ns / parts).map_err(|_| Problem::LongDuration)
}

/// A duration in the longest unit that needs no fraction.
pub(super) fn duration_text(duration_ns: u64) -> String {
    let unit = UNITS
        .iter()
        .find(|(_, unit_ns)| duration_ns != 0 && duration_ns.is_multiple_of(*unit_ns));
    match unit {
        Some((name, unit_ns)) => format!("{}{name}", duration_ns / unit_ns),
        None => format!("{duration_ns}ns"),
    }
}
