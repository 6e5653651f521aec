//! `AnyValue`: the value of an attribute, and how arrays and maps become compact JSON text.
//!
//! The text holds strings, numbers (doubles always with a point or an exponent), truth values, arrays and objects as
//! JSON does; bytes are `{"bytesValue":"<base64>"}`, nothing is `null`, doubles that are not finite are strings.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, MapAccess, SeqAccess, Visitor};
use tracediff_core::model::{ValueRef, base64_text};

use crate::json::message::{Elements, Message, Read, ReadAll, skip};
use crate::json::scalar::{Double, OrNull, Signed, Text, Whole, parse_base64, seed};
use crate::json::text::{push_comma, push_double, push_string};

/// A value on its way to the builder.
#[derive(Debug)]
pub(super) enum Value<'de> {
    String(Cow<'de, [u8]>),
    Int(i64),
    Double(f64),
    Bool(bool),
    Bytes(Vec<u8>),
    Array(String),
    Map(String),
}

impl Value<'_> {
    /// As the builder takes it.
    pub(super) fn borrow(&self) -> ValueRef<'_> {
        match self {
            Self::String(text) => ValueRef::String(text),
            Self::Int(value) => ValueRef::Int(*value),
            Self::Double(value) => ValueRef::Double(*value),
            Self::Bool(value) => ValueRef::Bool(*value),
            Self::Bytes(bytes) => ValueRef::Bytes(bytes),
            Self::Array(text) => ValueRef::Array(text),
            Self::Map(text) => ValueRef::Map(text),
        }
    }

    /// Appends the value as compact JSON.
    fn push_to(&self, out: &mut String) {
        match self {
            Self::String(text) => push_string(out, &String::from_utf8_lossy(text)),
            Self::Int(value) => out.push_str(&value.to_string()),
            Self::Double(value) => push_double(out, *value),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Bytes(bytes) => {
                out.push_str(r#"{"bytesValue":""#);
                out.push_str(&base64_text(bytes));
                out.push_str(r#""}"#);
            }
            Self::Array(text) | Self::Map(text) => out.push_str(text),
        }
    }
}

/// Reads an `AnyValue`; `None` where it holds nothing.
#[derive(Debug, Default)]
pub(super) struct AnyValue<'de>(Option<Value<'de>>);

impl<'de> Message<'de> for AnyValue<'de> {
    type Value = Option<Value<'de>>;
    const EXPECTED: &'static str = "an attribute value such as {\"stringValue\":\"…\"}";

    fn field<A: MapAccess<'de>>(&mut self, name: &[u8], map: &mut A) -> Result<(), A::Error> {
        self.0 = match name {
            b"stringValue" | b"string_value" => {
                map.next_value_seed(OrNull(Text))?.map(Value::String)
            }
            b"intValue" | b"int_value" => {
                map.next_value_seed(OrNull(Signed))?
                    .map(|value| match value {
                        Whole::Fits(value) => Value::Int(value),
                        Whole::TooLarge(value) => Value::Double(value),
                    })
            }
            b"doubleValue" | b"double_value" => {
                map.next_value_seed(OrNull(Double))?.map(Value::Double)
            }
            b"boolValue" | b"bool_value" => map.next_value::<Option<_>>()?.map(Value::Bool),
            b"bytesValue" | b"bytes_value" => {
                map.next_value_seed(OrNull(Base64))?.map(Value::Bytes)
            }
            b"arrayValue" | b"array_value" => {
                let mut text = String::from("[");
                let items = Read(Values {
                    out: &mut text,
                    keyed: false,
                });
                let read = map.next_value_seed(OrNull(items))?;
                text.push(']');
                read.map(|()| Value::Array(text))
            }
            b"kvlistValue" | b"kvlist_value" => {
                let mut text = String::from("{");
                let items = Read(Values {
                    out: &mut text,
                    keyed: true,
                });
                let read = map.next_value_seed(OrNull(items))?;
                text.push('}');
                read.map(|()| Value::Map(text))
            }
            _ => return skip(map),
        };
        Ok(())
    }

    fn end<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(self.0)
    }
}

/// A key and its value.
#[derive(Debug, Default)]
pub(super) struct KeyValue<'de> {
    pub(super) key: Cow<'de, [u8]>,
    pub(super) value: Option<Value<'de>>,
}

impl<'de> Message<'de> for KeyValue<'de> {
    type Value = Self;
    const EXPECTED: &'static str = "an attribute such as {\"key\":\"…\",\"value\":{…}}";

    fn field<A: MapAccess<'de>>(&mut self, name: &[u8], map: &mut A) -> Result<(), A::Error> {
        match name {
            b"key" => self.key = map.next_value_seed(Text)?,
            b"value" => self.value = map.next_value_seed(Read(AnyValue::default()))?,
            _ => skip(map)?,
        }
        Ok(())
    }

    fn end<E: de::Error>(self) -> Result<Self, E> {
        Ok(self)
    }
}

/// `{"values":[…]}`, as `ArrayValue` and `KeyValueList` are, appended as JSON elements.
struct Values<'o> {
    out: &'o mut String,
    keyed: bool,
}

impl<'de> Message<'de> for Values<'_> {
    type Value = ();
    const EXPECTED: &'static str = "an object with `values`";

    fn field<A: MapAccess<'de>>(&mut self, name: &[u8], map: &mut A) -> Result<(), A::Error> {
        let (out, first) = (&mut *self.out, true);
        match name {
            b"values" if self.keyed => map.next_value_seed(ReadAll(MapItems { out, first })),
            b"values" => map.next_value_seed(ReadAll(ArrayItems { out, first })),
            _ => skip(map),
        }
    }

    fn end<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }
}

struct ArrayItems<'o> {
    out: &'o mut String,
    first: bool,
}

impl<'de> Elements<'de> for ArrayItems<'_> {
    const EXPECTED: &'static str = "an array of values";

    fn next<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        let Some(value) = seq.next_element_seed(Read(AnyValue::default()))? else {
            return Ok(false);
        };
        push_comma(self.out, &mut self.first);
        push_value(self.out, value.as_ref());
        Ok(true)
    }
}

struct MapItems<'o> {
    out: &'o mut String,
    first: bool,
}

impl<'de> Elements<'de> for MapItems<'_> {
    const EXPECTED: &'static str = "an array of keys and values";

    fn next<A: SeqAccess<'de>>(&mut self, seq: &mut A) -> Result<bool, A::Error> {
        let Some(item) = seq.next_element_seed(Read(KeyValue::default()))? else {
            return Ok(false);
        };
        push_comma(self.out, &mut self.first);
        push_string(self.out, &String::from_utf8_lossy(&item.key));
        self.out.push(':');
        push_value(self.out, item.value.as_ref());
        Ok(true)
    }
}

fn push_value(out: &mut String, value: Option<&Value<'_>>) {
    match value {
        Some(value) => value.push_to(out),
        None => out.push_str("null"),
    }
}

/// Bytes in base64.
struct Base64;
seed!(Base64, Vec<u8>, deserialize_any);

impl Visitor<'_> for Base64 {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes in base64")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<u8>, E> {
        parse_base64(text.as_bytes())
            .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Vec<u8>, E> {
        Ok(Vec::new())
    }
}
