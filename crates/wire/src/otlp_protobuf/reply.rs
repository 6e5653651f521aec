//! What a receiver answers, as protobuf: the export response, and the status that an error carries.
//!
//! Source: opentelemetry-proto 1.9, `collector/trace/v1/trace_service.proto`; googleapis, `google/rpc/status.proto`.

use super::shape::wire_type::{LEN, VARINT};
use super::write::Writer;

/// `ExportTraceServiceResponse.partial_success`.
const PARTIAL_SUCCESS: u32 = 1 << 3 | LEN;
/// `ExportTracePartialSuccess.rejected_spans`.
const REJECTED_SPANS: u32 = 1 << 3 | VARINT;
/// `ExportTracePartialSuccess.error_message`.
const ERROR_MESSAGE: u32 = 2 << 3 | LEN;
/// `google.rpc.Status.code`.
const STATUS_CODE: u32 = 1 << 3 | VARINT;
/// `google.rpc.Status.message`.
const STATUS_MESSAGE: u32 = 2 << 3 | LEN;

/// An `ExportTraceServiceResponse`. It is empty where no span was rejected and nothing is to be said: OTLP forbids to
/// set `partial_success` then.
pub fn encode_export_response(rejected_spans: u64, message: &str) -> Vec<u8> {
    let mut writer = Writer::default();
    if rejected_spans > 0 || !message.is_empty() {
        writer.message_field(PARTIAL_SUCCESS, |writer| {
            if rejected_spans > 0 {
                writer.varint_field(REJECTED_SPANS, rejected_spans);
            }
            writer.text_field(ERROR_MESSAGE, message);
        });
    }
    writer.0
}

/// A `google.rpc.Status` without details; `code` is one of gRPC's.
pub fn encode_status(code: u32, message: &str) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.varint_field(STATUS_CODE, u64::from(code));
    writer.text_field(STATUS_MESSAGE, message);
    writer.0
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceResponse,
    };
    use prost::Message as _;

    use super::*;

    #[test]
    fn the_response_is_what_prost_writes() {
        let check = |rejected_spans: u64, error_message: &str| {
            let response = ExportTraceServiceResponse {
                partial_success: Some(ExportTracePartialSuccess {
                    rejected_spans: rejected_spans as i64,
                    error_message: error_message.to_owned(),
                }),
            };
            assert_eq!(
                encode_export_response(rejected_spans, error_message),
                response.encode_to_vec()
            );
        };
        check(3, "byte 7: traceId");
        check(300, &"long ".repeat(100));
        check(1, "");
        check(0, "a warning");
        assert!(encode_export_response(0, "").is_empty());
    }

    #[test]
    fn a_status_has_its_code_and_message() {
        assert_eq!(encode_status(3, "no"), [8, 3, 18, 2, b'n', b'o']);
        assert_eq!(encode_status(14, ""), [8, 14]);
    }
}
