//! Values that are plain JSON, as tags of Jaeger, Zipkin and Lightstep are.

use std::borrow::Cow;

use serde::de::Deserializer;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tracediff_core::model::{Attribute, ValueRef, ValueType, double_text};

/// A JSON value; what is nested is compact text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Any<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    String(Cow<'a, str>),
    Array(String),
    Map(String),
}

impl<'de: 'a, 'a> Deserialize<'de> for Any<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&'a RawValue>::deserialize(deserializer).map(|raw| Self::of(raw.get()))
    }
}

impl<'a> Any<'a> {
    /// The value of a sound JSON text.
    fn of(text: &'a str) -> Self {
        match text.as_bytes().first() {
            Some(b'"') => Self::String(string(text)),
            Some(b'[') => Self::Array(compact(text)),
            Some(b'{') => Self::Map(compact(text)),
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'n') | None => Self::Null,
            Some(_) => match text.parse() {
                Ok(value) => Self::Int(value),
                Err(_) => text.parse().map_or(Self::Null, Self::Double),
            },
        }
    }

    /// The value as text, whatever its type; empty for null.
    pub(crate) fn text(&self) -> Cow<'a, str> {
        match self {
            Self::String(text) => text.clone(),
            Self::Array(text) | Self::Map(text) => Cow::Owned(text.clone()),
            Self::Bool(value) => Cow::Borrowed(if *value { "true" } else { "false" }),
            Self::Int(value) => Cow::Owned(value.to_string()),
            Self::Double(value) => Cow::Owned(double_text(*value)),
            Self::Null => Cow::Borrowed(""),
        }
    }

    /// As the builder takes it; `None` for null.
    pub(crate) fn borrow(&self) -> Option<ValueRef<'_>> {
        Some(match self {
            Self::Null => return None,
            Self::Bool(value) => ValueRef::Bool(*value),
            Self::Int(value) => ValueRef::Int(*value),
            Self::Double(value) => ValueRef::Double(*value),
            Self::String(text) => ValueRef::String(text.as_bytes()),
            Self::Array(text) => ValueRef::Array(text),
            Self::Map(text) => ValueRef::Map(text),
        })
    }
}

/// The text between the quotes, without its escapes.
fn string(text: &str) -> Cow<'_, str> {
    if text.contains('\\') {
        // A lone surrogate cannot be a text; it stays as it was written.
        serde_json::from_str(text).map_or(Cow::Borrowed(text), Cow::Owned)
    } else {
        Cow::Borrowed(text.trim_matches('"'))
    }
}

/// Sound JSON without the white space between its tokens.
fn compact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut inside, mut escaped) = (false, false);
    for c in text.chars() {
        if inside {
            inside = escaped || c != '"';
            escaped = !escaped && c == '\\';
        } else if c.is_ascii_whitespace() {
            continue;
        } else {
            inside = c == '"';
        }
        out.push(c);
    }
    out
}

/// Text that borrows even inside an `Option`, as it is behind [`null_as_default`].
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// A value on its way out.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum AnyOut<'a> {
    Bool(bool),
    Int(i64),
    Double(f64),
    String(&'a str),
    Nested(Box<RawValue>),
}

impl<'a> AnyOut<'a> {
    /// The value of an attribute as plain JSON. Bytes and doubles that are not finite become text; so does what is
    /// not what its type says, which only a foreign batch can hold.
    pub(crate) fn of(attribute: &Attribute<'a>) -> Self {
        let text = attribute.text;
        let value = match attribute.value_type {
            ValueType::String | ValueType::Bytes => None,
            ValueType::Int => text.parse().ok().map(Self::Int),
            ValueType::Double => text
                .parse()
                .ok()
                .filter(|value: &f64| value.is_finite())
                .map(Self::Double),
            ValueType::Bool => text.parse().ok().map(Self::Bool),
            ValueType::Array | ValueType::Map => RawValue::from_string(text.to_owned())
                .ok()
                .map(Self::Nested),
        };
        value.unwrap_or(Self::String(text))
    }
}

/// A field that may be null as if it were missing, for `#[serde(deserialize_with)]`.
pub(crate) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_what_they_look_like() {
        let check = |json: &str, expected: Any<'_>| {
            assert_eq!(serde_json::from_str::<Any<'_>>(json).unwrap(), expected);
        };
        check("null", Any::Null);
        check("-5", Any::Int(-5));
        check("5.0", Any::Double(5.0));
        check(
            "18446744073709551616",
            Any::Double(18_446_744_073_709_551_616.0),
        );
        check(r#""a b""#, Any::String(Cow::Borrowed("a b")));
        check(r#""\"""#, Any::String(Cow::Borrowed("\"")));
        check(r#""\ud800""#, Any::String(Cow::Borrowed(r#""\ud800""#)));
        check(
            r#"[ 1, " \" ,", {"a" : [ ] } ]"#,
            Any::Array(r#"[1," \" ,",{"a":[]}]"#.to_owned()),
        );
    }
}
