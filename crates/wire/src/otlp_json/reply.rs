//! What a receiver answers, as JSON: the export response, and the status that an error carries.

use crate::json::text::push_string;

/// An `ExportTraceServiceResponse`: `{}` where no span was rejected and nothing is to be said.
pub fn encode_export_response_json(rejected_spans: u64, message: &str) -> String {
    if rejected_spans == 0 && message.is_empty() {
        return "{}".to_owned();
    }
    // Protobuf's JSON mapping writes 64-bit integers as strings.
    let mut out = format!(r#"{{"partialSuccess":{{"rejectedSpans":"{rejected_spans}""#);
    if !message.is_empty() {
        out.push_str(r#","errorMessage":"#);
        push_string(&mut out, message);
    }
    out.push_str("}}");
    out
}

/// A `google.rpc.Status` without details; `code` is one of gRPC's.
pub fn encode_status_json(code: u32, message: &str) -> String {
    let mut out = format!(r#"{{"code":{code},"message":"#);
    push_string(&mut out, message);
    out.push('}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_json() {
        assert_eq!(encode_export_response_json(0, ""), "{}");
        assert_eq!(
            encode_export_response_json(3, "line 1: \"x\""),
            r#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"line 1: \"x\""}}"#
        );
        assert_eq!(
            encode_export_response_json(2, ""),
            r#"{"partialSuccess":{"rejectedSpans":"2"}}"#
        );
        assert_eq!(
            encode_status_json(3, "byte 7"),
            r#"{"code":3,"message":"byte 7"}"#
        );
    }
}
