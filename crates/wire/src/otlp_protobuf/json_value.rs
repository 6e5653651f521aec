//! The JSON text of a list or map, read back and written as an `AnyValue`.

use std::fmt;

use base64::Engine as _;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::any_value::MAX_DEPTH;
use super::shape;
use super::write::Writer;

/// A JSON value that keeps the order of keys, keys that stand twice, and whether a number has a point.
#[derive(Debug)]
enum Json {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(String),
    Array(Vec<Json>),
    Map(Vec<(String, Json)>),
}

/// Writes `text` as the content of an `AnyValue` message; text that is not JSON, or nested deeper than a decoder
/// takes, is written as a string.
pub(super) fn write_json(writer: &mut Writer, text: &str) {
    match serde_json::from_str::<Json>(text) {
        Ok(json) if json.depth() <= MAX_DEPTH => json.write(writer),
        _ => writer.bytes_field(shape::any_value::STRING, text.as_bytes()),
    }
}

impl Json {
    fn depth(&self) -> usize {
        match self {
            Self::Array(values) => 1 + values.iter().map(Self::depth).max().unwrap_or(0),
            Self::Map(pairs) => 1 + pairs.iter().map(|(_, v)| v.depth()).max().unwrap_or(0),
            _ => 0,
        }
    }

    fn write(&self, writer: &mut Writer) {
        match self {
            Self::Null => {}
            Self::Bool(truth) => {
                writer.varint_field(shape::any_value::BOOL, u64::from(*truth));
            }
            Self::Int(number) => writer.varint_field(shape::any_value::INT, *number as u64),
            Self::Double(number) => {
                writer.fixed64_field(shape::any_value::DOUBLE, number.to_bits());
            }
            Self::Text(text) => writer.bytes_field(shape::any_value::STRING, text.as_bytes()),
            Self::Array(values) => writer.message_field(shape::any_value::ARRAY, |writer| {
                for value in values {
                    writer.message_field(shape::list::VALUES, |writer| value.write(writer));
                }
            }),
            Self::Map(pairs) => match bytes_of(pairs) {
                Some(bytes) => writer.bytes_field(shape::any_value::BYTES, &bytes),
                None => write_map(writer, pairs),
            },
        }
    }
}

fn write_map(writer: &mut Writer, pairs: &[(String, Json)]) {
    writer.message_field(shape::any_value::MAP, |writer| {
        for (key, value) in pairs {
            writer.message_field(shape::list::VALUES, |writer| {
                writer.text_field(shape::key_value::KEY, key);
                writer.message_field(shape::key_value::VALUE, |writer| value.write(writer));
            });
        }
    });
}

/// The bytes that `{"bytesValue":"<base64>"}` stands for.
fn bytes_of(pairs: &[(String, Json)]) -> Option<Vec<u8>> {
    match pairs {
        [(key, Json::Text(text))] if key == "bytesValue" => {
            base64::engine::general_purpose::STANDARD.decode(text).ok()
        }
        _ => None,
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Json, E> {
        Ok(Json::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        Ok(Json::Int(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(i64::try_from(number).map_or(Json::Double(number as f64), Json::Int))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json, E> {
        Ok(Json::Double(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Json, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = sequence.next_element()? {
            values.push(value);
        }
        Ok(Json::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Json::Map(pairs))
    }
}
