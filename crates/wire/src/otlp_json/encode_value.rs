//! Attribute values back to `AnyValue`, from their type and text.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use tracediff_core::model::ValueType;

use crate::json::text::{push_comma, push_double, push_string};

/// Appends a value of that type and text.
pub(super) fn push_any_value(out: &mut String, value_type: ValueType, text: &str) {
    let from = out.len();
    let written = match value_type {
        ValueType::String => false,
        ValueType::Int => text.parse().map(|value| push_int(out, value)).is_ok(),
        ValueType::Double => text
            .parse()
            .map(|value| push_double_value(out, value))
            .is_ok(),
        ValueType::Bool => text.parse().map(|value| push_bool(out, value)).is_ok(),
        ValueType::Bytes => {
            push_wrapped_string(out, "bytesValue", text);
            true
        }
        ValueType::Array | ValueType::Map => {
            let mut deserializer = serde_json::Deserializer::from_str(text);
            Nested(out).deserialize(&mut deserializer).is_ok()
        }
    };
    if !written {
        // A string; or text that is not what its type says, which only a foreign batch can have.
        out.truncate(from);
        push_wrapped_string(out, "stringValue", text);
    }
}

fn push_wrapped_string(out: &mut String, field: &str, text: &str) {
    out.push_str(&format!(r#"{{"{field}":"#));
    push_string(out, text);
    out.push('}');
}

fn push_int(out: &mut String, value: i64) {
    out.push_str(&format!(r#"{{"intValue":"{value}"}}"#));
}

fn push_double_value(out: &mut String, value: f64) {
    out.push_str(r#"{"doubleValue":"#);
    push_double(out, value);
    out.push('}');
}

fn push_bool(out: &mut String, value: bool) {
    out.push_str(&format!(r#"{{"boolValue":{value}}}"#));
}

/// Reads the compact JSON text of an array or map and appends it as an `AnyValue`.
struct Nested<'o>(&'o mut String);

impl<'de> DeserializeSeed<'de> for Nested<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Nested<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.0.push_str("{}");
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        push_bool(self.0, value);
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        push_int(self.0, value);
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        match i64::try_from(value) {
            Ok(value) => push_int(self.0, value),
            Err(_) => push_double_value(self.0, value as f64),
        }
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        push_double_value(self.0, value);
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        push_wrapped_string(self.0, "stringValue", text);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let out = self.0;
        out.push_str(r#"{"arrayValue":{"values":["#);
        loop {
            let end = out.len();
            if !out.ends_with('[') {
                out.push(',');
            }
            if seq.next_element_seed(Nested(out))?.is_none() {
                out.truncate(end);
                break;
            }
        }
        out.push_str("]}}");
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let out = self.0;
        let from = out.len();
        out.push_str(r#"{"kvlistValue":{"values":["#);
        let mut entries = 0;
        let mut bytes = None;
        while let Some(key) = map.next_key::<Key<'de>>()? {
            push_comma(out, &mut (entries == 0));
            entries += 1;
            out.push_str(r#"{"key":"#);
            push_string(out, &key.0);
            out.push_str(r#","value":"#);
            let value_from = out.len();
            map.next_value_seed(Nested(out))?;
            if key.0 == "bytesValue"
                && let Some(string) = out[value_from..].strip_prefix(r#"{"stringValue":"#)
            {
                bytes = Some(string.to_owned());
            }
            out.push('}');
        }
        out.push_str("]}}");
        if let (Some(bytes), 1) = (bytes, entries) {
            out.truncate(from);
            out.push_str(r#"{"bytesValue":"#);
            out.push_str(&bytes);
        }
        Ok(())
    }
}

#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);
