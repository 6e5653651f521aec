//! Scalars as producers write them: numbers as strings or numbers, texts that may not be UTF-8, null for nothing.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{self, DeserializeSeed, Deserializer, Visitor};
use tracediff_core::model::KIND_NAMES;

/// An unsigned integer; the text says what it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unsigned(pub(crate) &'static str);

/// A signed integer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signed;

/// A whole number. Those past 64 bits are none of OTLP's, but JavaScript's exporter writes large doubles so.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Whole {
    Fits(i64),
    TooLarge(f64),
}

/// A double.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Double;

/// What another seed reads, or `None` where there is `null`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OrNull<S>(pub(crate) S);

/// Text that should be UTF-8, as the bytes it has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text;

/// Makes a visitor its own seed, asking the deserializer with the method named.
macro_rules! seed {
    ($name:ty, $value:ty, $method:ident) => {
        impl<'de> serde::de::DeserializeSeed<'de> for $name {
            type Value = $value;

            fn deserialize<D: serde::Deserializer<'de>>(
                self,
                deserializer: D,
            ) -> Result<Self::Value, D::Error> {
                deserializer.$method(self)
            }
        }
    };
}
pub(crate) use seed;

seed!(Unsigned, u64, deserialize_any);
seed!(Signed, Whole, deserialize_any);
seed!(Double, f64, deserialize_any);
seed!(Text, Cow<'de, [u8]>, deserialize_option);

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for OrNull<S> {
    type Value = Option<S::Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for OrNull<S> {
    type Value = Option<S::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value or null")
    }

    fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        self.0.deserialize(deserializer).map(Some)
    }
}

impl Visitor<'_> for Unsigned {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} as a number or a string of digits", self.0)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<u64, E> {
        Ok(value)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<u64, E> {
        if (0.0..u64::MAX as f64).contains(&value) {
            Ok(value as u64)
        } else {
            Err(E::invalid_value(de::Unexpected::Float(value), &self))
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<u64, E> {
        text.parse()
            .map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_unit<E: de::Error>(self) -> Result<u64, E> {
        Ok(0)
    }
}

impl Visitor<'_> for Signed {
    type Value = Whole;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number, or a string of digits")
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Whole, E> {
        Ok(Whole::Fits(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Whole, E> {
        Ok(i64::try_from(value).map_or(Whole::TooLarge(value as f64), Whole::Fits))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Whole, E> {
        if value.fract() != 0.0 {
            return Err(E::invalid_value(de::Unexpected::Float(value), &self));
        }
        let fits = (-(2f64.powi(63))..2f64.powi(63)).contains(&value);
        Ok(if fits {
            Whole::Fits(value as i64)
        } else {
            Whole::TooLarge(value)
        })
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Whole, E> {
        if let Ok(value) = text.parse() {
            return Ok(Whole::Fits(value));
        }
        let digits = text.strip_prefix('-').unwrap_or(text);
        let are_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let value = text.parse().ok().filter(|_| are_digits);
        value
            .map(Whole::TooLarge)
            .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

impl Visitor<'_> for Double {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, or `NaN`, `Infinity` or `-Infinity` as a string")
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<f64, E> {
        Ok(value)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<f64, E> {
        Ok(value as f64)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<f64, E> {
        Ok(value as f64)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<f64, E> {
        text.parse()
            .map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

impl<'de> Visitor<'de> for Text {
    type Value = Cow<'de, [u8]>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(b""))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(b""))
    }

    /// As bytes, because whether text is UTF-8 is checked once per distinct value, by the builder.
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_bytes(self)
    }

    fn visit_borrowed_bytes<E: de::Error>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(bytes))
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        Ok(Cow::Owned(bytes.to_vec()))
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text.as_bytes()))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.as_bytes().to_vec()))
    }
}

/// Microseconds as nanoseconds, for `#[serde(deserialize_with)]`.
pub(crate) fn microseconds_as_ns<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<u64, D::Error> {
    let microseconds = deserializer.deserialize_any(Unsigned("microseconds"))?;
    Ok(microseconds.saturating_mul(1_000))
}

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::URL_SAFE, LENIENT);

/// Bytes from base64 as protobuf's JSON mapping reads it: either alphabet, with or without padding.
pub(crate) fn parse_base64(text: &[u8]) -> Option<Vec<u8>> {
    STANDARD
        .decode(text)
        .or_else(|_| URL_SAFE.decode(text))
        .ok()
}

/// The number of a span kind from its name, with or without `SPAN_KIND_` and in any case; 0 for any other name.
pub(crate) fn kind_of_name(name: &str) -> u8 {
    let suffix = match name.get(..10) {
        Some(prefix) if prefix.eq_ignore_ascii_case("SPAN_KIND_") => &name[10..],
        _ => name,
    };
    KIND_NAMES
        .iter()
        .position(|kind| suffix.eq_ignore_ascii_case(kind))
        .map_or(0, |index| index as u8)
}

/// The number of a status from its name, with or without `STATUS_CODE_` and in any case; 0 for any other name.
pub(crate) fn status_of_name(name: &str) -> u8 {
    let suffix = match name.get(..12) {
        Some(prefix) if prefix.eq_ignore_ascii_case("STATUS_CODE_") => &name[12..],
        _ => name,
    };
    if suffix.eq_ignore_ascii_case("OK") {
        1
    } else if suffix.eq_ignore_ascii_case("ERROR") {
        2
    } else {
        0
    }
}
