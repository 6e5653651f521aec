//! The shape of stored traces as they are read.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use crate::json::any::{Any, Text, null_as_default};
use crate::json::scalar::microseconds_as_ns;

/// The tag that names a span's parent.
pub(super) const PARENT: &str = "parent_span_guid";
/// The reporter's attribute that names the service.
pub(super) const COMPONENT: &str = "lightstep.component_name";
/// The reporter's attribute that names the host.
pub(super) const HOSTNAME: &str = "lightstep.hostname";
/// What OpenTelemetry calls the host.
pub(super) const HOST_NAME: &str = "host.name";

/// Tags of a span or attributes of a reporter.
pub(super) type Tags<'a> = BTreeMap<Cow<'a, str>, Any<'a>>;

/// An answer of the API, or an entry by itself.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object with `data`, or an entry with `attributes` and `relationships`")]
pub(super) struct Document<'a> {
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    pub(super) data: OneOrMore<'a>,
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub(super) id: Text<'a>,
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    pub(super) attributes: Attributes<'a>,
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    pub(super) relationships: Relationships<'a>,
}

/// A trace.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an entry with `attributes` and `relationships`")]
pub(super) struct Entry<'a> {
    /// The trace's id, where the answer has it.
    #[serde(default, borrow, deserialize_with = "null_as_default")]
    pub(super) id: Text<'a>,
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    pub(super) attributes: Attributes<'a>,
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    pub(super) relationships: Relationships<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(expecting = "an object with `spans`")]
pub(super) struct Attributes<'a> {
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    pub(super) spans: Vec<Span<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(expecting = "an object with `reporters`")]
pub(super) struct Relationships<'a> {
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    pub(super) reporters: Vec<Reporter<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", expecting = "a span")]
pub(super) struct Span<'a> {
    #[serde(borrow, default)]
    pub(super) span_id: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    pub(super) trace_id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) span_name: Cow<'a, str>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub(super) is_error: bool,
    #[serde(
        rename = "start-time-micros",
        default,
        deserialize_with = "microseconds_as_ns"
    )]
    pub(super) start_ns: u64,
    #[serde(
        rename = "end-time-micros",
        default,
        deserialize_with = "microseconds_as_ns"
    )]
    pub(super) end_ns: u64,
    #[serde(borrow, default = "no_value")]
    pub(super) reporter_id: Any<'a>,
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    pub(super) tags: Tags<'a>,
}

/// What reported spans: a process with its service and host.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", expecting = "a reporter")]
pub(super) struct Reporter<'a> {
    #[serde(borrow, default = "no_value")]
    pub(super) reporter_id: Any<'a>,
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    pub(super) attributes: Tags<'a>,
}

fn no_value<'a>() -> Any<'a> {
    Any::Null
}

/// The reporters of an entry by id.
pub(super) fn reporters_by_id<'e, 'a>(entry: &'e Entry<'a>) -> HashMap<String, &'e Tags<'a>> {
    let reporters = entry.relationships.reporters.iter();
    reporters
        .map(|reporter| {
            (
                reporter.reporter_id.text().into_owned(),
                &reporter.attributes,
            )
        })
        .collect()
}

/// An entry or an array of entries.
#[derive(Debug, Default)]
pub(super) struct OneOrMore<'a>(pub(super) Vec<Entry<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for OneOrMore<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrMoreVisitor(std::marker::PhantomData))
    }
}

struct OneOrMoreVisitor<'a>(std::marker::PhantomData<&'a ()>);

impl<'de: 'a, 'a> Visitor<'de> for OneOrMoreVisitor<'a> {
    type Value = OneOrMore<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of stored traces")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<OneOrMore<'a>, A::Error> {
        Entry::deserialize(MapAccessDeserializer::new(map)).map(|entry| OneOrMore(vec![entry]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<OneOrMore<'a>, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(seq)).map(OneOrMore)
    }
}
