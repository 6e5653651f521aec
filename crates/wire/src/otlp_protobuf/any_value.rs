//! `AnyValue` and `KeyValue`, read; lists and maps of values become compact JSON text.

use tracediff_core::model::{ValueRef, base64_text, double_text};

use super::message::{Failure, Located, Message};
use super::shape::{self, AttributeShape, Shape};

/// Lists and maps inside each other that a value may have.
pub(super) const MAX_DEPTH: usize = 64;

/// A value as it stands on the wire.
#[derive(Debug, Clone, Copy)]
pub(super) enum AnyValue<'a> {
    /// Nothing is set: OpenTelemetry's empty value.
    Empty,
    Scalar(ValueRef<'a>),
    /// The `ArrayValue`, not read yet.
    Array(Located<'a>),
    /// The `KeyValueList`, not read yet.
    Map(Located<'a>),
}

/// A key and its value.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeyValue<'a> {
    pub(super) key: &'a [u8],
    pub(super) value: AnyValue<'a>,
}

/// Reads a pair that is as nearly all are: the key before the value, both short. Half the time of a span goes into
/// these. `None` for any other, malformed ones among them.
#[inline(always)]
pub(super) fn read_plain_key_value<'a>(message: Message<'a>) -> Option<(&'a [u8], ValueRef<'a>)> {
    const KEY: u8 = shape::key_value::KEY as u8;
    const VALUE: u8 = shape::key_value::VALUE as u8;
    const STRING: u8 = shape::any_value::STRING as u8;
    const INT: u8 = shape::any_value::INT as u8;
    const BOOL: u8 = shape::any_value::BOOL as u8;
    const DOUBLE: u8 = shape::any_value::DOUBLE as u8;

    let [KEY, key_length @ ..0x80, rest @ ..] = message.rest() else {
        return None;
    };
    let (key, rest) = rest.split_at_checked(usize::from(*key_length))?;
    let [VALUE, value_length @ ..0x80, value @ ..] = rest else {
        return None;
    };
    if value.len() != usize::from(*value_length) {
        return None;
    }
    let value = match value {
        [STRING, length @ ..0x80, text @ ..] if text.len() == usize::from(*length) => {
            ValueRef::String(text)
        }
        [INT, number @ ..0x80] => ValueRef::Int(i64::from(*number)),
        [INT, low @ 0x80..=0xff, high @ ..0x80] => {
            ValueRef::Int(i64::from(low & 0x7f) | i64::from(*high) << 7)
        }
        [BOOL, truth @ ..2] => ValueRef::Bool(*truth == 1),
        [DOUBLE, bits @ ..] => ValueRef::Double(f64::from_le_bytes(bits.try_into().ok()?)),
        _ => return None,
    };
    Some((key, value))
}

/// Reads a pair of any form. A value that stands twice counts as the last that is set.
pub(super) fn read_key_value<'a>(
    mut message: Message<'a>,
    value_shape: &'static Shape,
) -> Result<KeyValue<'a>, Failure> {
    let mut pair = KeyValue {
        key: b"",
        value: AnyValue::Empty,
    };
    while let Some(tag) = message.next_tag()? {
        match tag {
            shape::key_value::KEY => pair.key = message.bytes()?,
            shape::key_value::VALUE => {
                read_any_value(message.child(value_shape)?, &mut pair.value)?;
            }
            _ => message.skip()?,
        }
    }
    Ok(pair)
}

/// Reads a value; one without anything set leaves `value` as it is, which is how protobuf merges.
fn read_any_value<'a>(mut message: Message<'a>, value: &mut AnyValue<'a>) -> Result<(), Failure> {
    while let Some(tag) = message.next_tag()? {
        *value = match tag {
            shape::any_value::STRING => AnyValue::Scalar(ValueRef::String(message.bytes()?)),
            shape::any_value::INT => AnyValue::Scalar(ValueRef::Int(message.varint()? as i64)),
            shape::any_value::BOOL => AnyValue::Scalar(ValueRef::Bool(message.varint()? != 0)),
            shape::any_value::DOUBLE => {
                AnyValue::Scalar(ValueRef::Double(f64::from_bits(message.fixed64()?)))
            }
            shape::any_value::BYTES => AnyValue::Scalar(ValueRef::Bytes(message.bytes()?)),
            shape::any_value::ARRAY => AnyValue::Array(message.located_bytes()?),
            shape::any_value::MAP => AnyValue::Map(message.located_bytes()?),
            _ => {
                message.skip()?;
                continue;
            }
        };
    }
    Ok(())
}

/// Writes a list of values as a JSON array.
pub(super) fn write_array(
    json: &mut String,
    list: Located<'_>,
    depth: usize,
) -> Result<(), Failure> {
    let mut list = Message::new(list.bytes, list.offset, &shape::LIST);
    check_depth(&list, depth)?;
    json.push('[');
    let mut first = true;
    while let Some(tag) = list.next_tag()? {
        if tag != shape::list::VALUES {
            list.skip()?;
            continue;
        }
        separate(json, &mut first);
        let mut value = AnyValue::Empty;
        read_any_value(list.child(&shape::LIST_ELEMENT)?, &mut value)?;
        write_value(json, value, depth)?;
    }
    json.push(']');
    Ok(())
}

/// Writes a list of pairs as a JSON object, in the order of the wire.
pub(super) fn write_map(json: &mut String, list: Located<'_>, depth: usize) -> Result<(), Failure> {
    let mut list = Message::new(list.bytes, list.offset, &shape::LIST);
    check_depth(&list, depth)?;
    let AttributeShape { pair, value } = &shape::LIST_PAIR;
    json.push('{');
    let mut first = true;
    while let Some(tag) = list.next_tag()? {
        if tag != shape::list::VALUES {
            list.skip()?;
            continue;
        }
        separate(json, &mut first);
        let pair = read_key_value(list.child(pair)?, value)?;
        write_text(json, pair.key);
        json.push(':');
        write_value(json, pair.value, depth)?;
    }
    json.push('}');
    Ok(())
}

fn check_depth(list: &Message<'_>, depth: usize) -> Result<(), Failure> {
    if depth < MAX_DEPTH {
        return Ok(());
    }
    let problem = format!("values are nested more than {MAX_DEPTH} deep");
    Err(list.fail_in(0, list.offset(), problem))
}

fn separate(json: &mut String, first: &mut bool) {
    if !std::mem::take(first) {
        json.push(',');
    }
}

fn write_value(json: &mut String, value: AnyValue<'_>, depth: usize) -> Result<(), Failure> {
    match value {
        AnyValue::Empty => json.push_str("null"),
        AnyValue::Array(list) => write_array(json, list, depth + 1)?,
        AnyValue::Map(list) => write_map(json, list, depth + 1)?,
        AnyValue::Scalar(ValueRef::String(text)) => write_text(json, text),
        AnyValue::Scalar(ValueRef::Double(number)) => write_double(json, number),
        AnyValue::Scalar(ValueRef::Bytes(bytes)) => {
            json.push_str("{\"bytesValue\":\"");
            json.push_str(&base64_text(bytes));
            json.push_str("\"}");
        }
        AnyValue::Scalar(scalar) => json.push_str(&scalar.text()),
    }
    Ok(())
}

/// JSON has no number for what is not finite, so these are texts, spelt as protobuf's JSON mapping does.
fn write_double(json: &mut String, number: f64) {
    if number.is_finite() {
        json.push_str(&double_text(number));
    } else if number.is_nan() {
        json.push_str("\"NaN\"");
    } else if number > 0.0 {
        json.push_str("\"Infinity\"");
    } else {
        json.push_str("\"-Infinity\"");
    }
}

fn write_text(json: &mut String, text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    json.push_str(&serde_json::Value::from(text.as_ref()).to_string());
}
