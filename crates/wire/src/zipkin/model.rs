//! The shape of Zipkin v2 JSON as it is read.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};

use crate::json::any::{Any, Text, null_as_default};
use crate::json::scalar::microseconds_as_ns;

/// The service at the other end.
pub(super) const PEER_SERVICE: &str = "peer.service";
/// The address at the other end.
pub(super) const PEER_ADDRESS: &str = "network.peer.address";
/// The port at the other end.
pub(super) const PEER_PORT: &str = "network.peer.port";
/// The span's own address.
pub(super) const LOCAL_ADDRESS: &str = "network.local.address";
/// The span's own port.
pub(super) const LOCAL_PORT: &str = "network.local.port";
/// True where client and server share one span id.
pub(super) const SHARED: &str = "zipkin.shared";
/// The tag whose presence says that the span failed, and whose text says why.
pub(super) const ERROR: &str = "error";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", expecting = "a span")]
pub(super) struct Span<'a> {
    #[serde(borrow, default)]
    pub(super) trace_id: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) id: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    pub(super) parent_id: Text<'a>,
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    pub(super) kind: Text<'a>,
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    pub(super) name: Text<'a>,
    #[serde(rename = "timestamp", default, deserialize_with = "microseconds_as_ns")]
    pub(super) start_ns: u64,
    #[serde(rename = "duration", default, deserialize_with = "microseconds_as_ns")]
    pub(super) duration_ns: u64,
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    pub(super) local_endpoint: Endpoint<'a>,
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    pub(super) remote_endpoint: Endpoint<'a>,
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    pub(super) annotations: Vec<Annotation<'a>>,
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    pub(super) tags: BTreeMap<Cow<'a, str>, Any<'a>>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub(super) shared: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an endpoint")]
pub(super) struct Endpoint<'a> {
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    pub(super) service_name: Text<'a>,
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    pub(super) ipv4: Text<'a>,
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    pub(super) ipv6: Text<'a>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub(super) port: i64,
}

impl Endpoint<'_> {
    /// Either of the addresses, empty for none.
    pub(super) fn address(&self) -> &str {
        if self.ipv4.0.is_empty() {
            &self.ipv6.0
        } else {
            &self.ipv4.0
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(expecting = "an annotation with `timestamp` and `value`")]
pub(super) struct Annotation<'a> {
    #[serde(rename = "timestamp", default, deserialize_with = "microseconds_as_ns")]
    pub(super) time_ns: u64,
    #[serde(borrow, default)]
    pub(super) value: Cow<'a, str>,
}

/// A trace inside an array of traces, or a span of an array of spans.
#[derive(Debug)]
pub(super) enum Element<'a> {
    Span(Box<Span<'a>>),
    Trace(Vec<Span<'a>>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Element<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ElementVisitor(std::marker::PhantomData))
    }
}

struct ElementVisitor<'a>(std::marker::PhantomData<&'a ()>);

impl<'de: 'a, 'a> Visitor<'de> for ElementVisitor<'a> {
    type Value = Element<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a span or an array of spans")
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Element<'a>, A::Error> {
        let span = Span::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
        Ok(Element::Span(Box::new(span)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Element<'a>, A::Error> {
        Vec::deserialize(serde::de::value::SeqAccessDeserializer::new(seq)).map(Element::Trace)
    }
}
