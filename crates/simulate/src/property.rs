//! Properties: what is drawn once per request and told by the spans of the operations that record it.

use tracediff_core::model::ValueRef;

/// An attribute's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Text.
    Text(String),
    /// An integer.
    Int(i64),
    /// A truth value.
    Bool(bool),
}

impl Value {
    pub(crate) fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Self::Text(text) => ValueRef::String(text.as_bytes()),
            Self::Int(number) => ValueRef::Int(*number),
            Self::Bool(truth) => ValueRef::Bool(*truth),
        }
    }

    /// The text by which the value compares in a diff.
    pub fn text(&self) -> String {
        self.as_ref().text().into_owned()
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

/// Something drawn once per request, independent of all else.
#[derive(Debug, Clone, PartialEq)]
pub struct Property {
    /// The attribute's key.
    pub key: String,
    /// The values it can have.
    pub values: Values,
}

/// The values that a property can have.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// One of a few, with weights relative to each other.
    OneOf(Vec<(Value, f64)>),
    /// A text of its own for every request: this prefix and 16 hex digits.
    Identifier(String),
}

impl Property {
    /// One of a few values, with weights relative to each other.
    pub fn one_of<V: Into<Value> + Clone>(key: &str, values: &[(V, f64)]) -> Self {
        let values = values.iter().map(|(v, w)| (v.clone().into(), *w));
        Self {
            key: key.to_owned(),
            values: Values::OneOf(values.collect()),
        }
    }

    /// One of `count` values, the n-th `prefix` and n from 1, with weight 1/n (Zipf's law).
    pub fn ranked(key: &str, prefix: &str, count: u32) -> Self {
        let values = (1..=count).map(|n| (Value::Text(format!("{prefix}{n}")), 1.0 / f64::from(n)));
        Self {
            key: key.to_owned(),
            values: Values::OneOf(values.collect()),
        }
    }

    /// A value of its own for every request.
    pub fn identifier(key: &str, prefix: &str) -> Self {
        Self {
            key: key.to_owned(),
            values: Values::Identifier(prefix.to_owned()),
        }
    }
}
