//! Answers of OTLP over HTTP: in the request's own encoding, errors with a `google.rpc.Status`.

use axum::body::Body;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use tracediff_store::Appended;
use tracediff_wire::{
    encode_export_response, encode_export_response_json, encode_status, encode_status_json,
};

use super::{JSON, PROTOBUF, media_type};
use crate::compression::Compression;
use crate::intake::rejection_message;
use crate::refusal::Refusal;

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    Protobuf,
    Json,
}

impl Reply {
    /// As the request was; JSON where that is not understood, because a person may read it.
    pub(super) fn to(headers: &HeaderMap) -> Self {
        match media_type(headers).as_deref() {
            Some(PROTOBUF) => Self::Protobuf,
            _ => Self::Json,
        }
    }

    /// The answer to an OTLP request.
    pub(super) fn exported(self, outcome: Result<Appended, Refusal>) -> Response {
        match outcome {
            Ok(appended) => self.response(StatusCode::OK, self.export_response(&appended)),
            Err(refusal) => self.refused(&refusal),
        }
    }

    /// The answer to a Zipkin request: 202 without a body, as Zipkin's server has it; what was left out is told all
    /// the same.
    pub(super) fn collected(self, outcome: Result<Appended, Refusal>) -> Response {
        match outcome {
            Ok(appended) if appended.rejected > 0 => {
                self.response(StatusCode::ACCEPTED, self.export_response(&appended))
            }
            Ok(_) => {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::ACCEPTED;
                response
            }
            Err(refusal) => self.refused(&refusal),
        }
    }

    /// The answer to a request that is refused.
    pub(super) fn refused(self, refusal: &Refusal) -> Response {
        let (code, message) = (refusal.code() as u32, refusal.to_string());
        let body = match self {
            Self::Protobuf => encode_status(code, &message),
            Self::Json => encode_status_json(code, &message).into_bytes(),
        };
        let mut response = self.response(refusal.http_status(), body);
        let headers = response.headers_mut();
        if let Some(seconds) = refusal.retry_after_seconds() {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if refusal.http_status() == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer realm=\"tracediff\"");
            headers.insert(WWW_AUTHENTICATE, scheme);
        }
        if matches!(refusal, Refusal::Unsupported(_)) {
            let understood = HeaderValue::from_static(Compression::UNDERSTOOD);
            headers.insert(ACCEPT_ENCODING, understood);
        }
        response
    }

    fn export_response(self, appended: &Appended) -> Vec<u8> {
        let message = rejection_message(appended);
        match self {
            Self::Protobuf => encode_export_response(appended.rejected, &message),
            Self::Json => encode_export_response_json(appended.rejected, &message).into_bytes(),
        }
    }

    fn response(self, status: StatusCode, body: Vec<u8>) -> Response {
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let content_type = HeaderValue::from_static(match self {
            Self::Protobuf => PROTOBUF,
            Self::Json => JSON,
        });
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        response
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt as _;

    use super::*;

    async fn check(reply: Reply, refusal: Refusal, status: u16, retry_after: &str, body: &[u8]) {
        let response = reply.refused(&refusal);
        let (head, found) = response.into_parts();
        assert_eq!(head.status.as_u16(), status);
        assert_eq!(head.headers[RETRY_AFTER], retry_after);
        assert_eq!(found.collect().await.unwrap().to_bytes(), body);
    }

    #[tokio::test]
    async fn what_may_come_again_says_when() {
        let unavailable = Refusal::Unavailable {
            reason: "full".to_owned(),
            retry_after: Duration::from_millis(4200),
        };
        let body = br#"{"code":14,"message":"full"}"#;
        check(Reply::Json, unavailable.clone(), 503, "5", body).await;
        let body = b"\x08\x0e\x12\x04full";
        check(Reply::Protobuf, unavailable, 503, "5", body).await;
        let busy = Refusal::Busy {
            reason: "busy".to_owned(),
            retry_after: Duration::ZERO,
        };
        let body = b"\x08\x08\x12\x04busy";
        check(Reply::Protobuf, busy, 429, "1", body).await;
    }
}
