//! Writing JSON text.

use tracediff_core::model::double_text;

/// Appends a JSON string, with the same escapes as serde_json, so that equal values have equal text.
pub(crate) fn push_string(out: &mut String, text: &str) {
    out.push('"');
    let mut from = 0;
    for (i, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0x08 => "\\b",
            0x0c => "\\f",
            0..0x20 => "",
            _ => continue,
        };
        out.push_str(&text[from..i]);
        out.push_str(escape);
        if escape.is_empty() {
            out.push_str(&format!("\\u{byte:04x}"));
        }
        from = i + 1;
    }
    out.push_str(&text[from..]);
    out.push('"');
}

/// Appends a double: always with a point or an exponent; what is not finite becomes a string, as protobuf's JSON
/// mapping has it.
pub(crate) fn push_double(out: &mut String, value: f64) {
    if value.is_finite() {
        out.push_str(&double_text(value));
    } else {
        push_string(out, non_finite(value));
    }
}

fn non_finite(value: f64) -> &'static str {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

/// Appends a comma unless this is the first element.
pub(crate) fn push_comma(out: &mut String, first: &mut bool) {
    if !std::mem::take(first) {
        out.push(',');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_what_serde_json_writes() {
        for text in [
            "",
            "plain",
            "\"q\" \\ \n\r\t\u{8}\u{c}\u{1}\u{1f}",
            "grüße 🦀",
        ] {
            let mut out = String::new();
            push_string(&mut out, text);
            assert_eq!(out, serde_json::to_string(text).unwrap());
        }
    }

    #[test]
    fn doubles_never_look_like_integers() {
        let check = |value: f64, expected: &str| {
            let mut out = String::new();
            push_double(&mut out, value);
            assert_eq!(out, expected);
        };
        check(1.0, "1.0");
        check(1e21, "1e21");
        check(-0.1, "-0.1");
        check(f64::NAN, "\"NaN\"");
        check(f64::NEG_INFINITY, "\"-Infinity\"");
    }
}
