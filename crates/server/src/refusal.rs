//! Why a request is refused, and what that becomes: a status of HTTP, a code of gRPC, a delay. The one place where
//! errors of the store and of reading turn into answers.

use std::time::Duration;

use axum::http::StatusCode;
use thiserror::Error;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};
use tracediff_store::AppendError;

use crate::access::Denied;

/// Why a request is refused, in words for the producer's log.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Refusal {
    /// It can never be read: send something else.
    #[error("{0}")]
    Malformed(String),
    /// Who sends it may not.
    #[error("{0}")]
    Denied(Denied),
    /// Its content type or encoding is not understood.
    #[error("{0}")]
    Unsupported(String),
    /// It is larger than a request may be.
    #[error(
        "the request has more than {limit_bytes} bytes{}: send fewer spans at a time",
        if *.decompressed { " when decompressed" } else { "" }
    )]
    TooLarge {
        /// What a request may have.
        limit_bytes: usize,
        /// Whether that is counted after decompression.
        decompressed: bool,
    },
    /// Its columns would take more memory than a request's may: fewer spans at a time would not.
    #[error("{0}")]
    TooWide(String),
    /// It did not arrive in time.
    #[error("the request's body did not arrive: {0}")]
    TooSlow(String),
    /// The connection ended before the request did.
    #[error("the connection ended before the request's body did")]
    Interrupted,
    /// There is nothing at this path.
    #[error("{0}")]
    NotFound(String),
    /// The path is right, the method is not.
    #[error("{0}")]
    MethodNotAllowed(String),
    /// A bound was reached; the same request may be sent again.
    #[error("{reason}")]
    Busy {
        /// Which bound.
        reason: String,
        /// When.
        retry_after: Duration,
    },
    /// Spans cannot be kept now; the same request may be sent again.
    #[error("{reason}")]
    Unavailable {
        /// Why.
        reason: String,
        /// When.
        retry_after: Duration,
    },
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Unavailable => Self::Unavailable {
                reason: denied.to_string(),
                retry_after: Duration::from_secs(1),
            },
            denied => Self::Denied(denied),
        }
    }
}

impl From<AppendError> for Refusal {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Malformed(error) => Self::Malformed(error.to_string()),
            AppendError::TooLarge(error) => Self::TooWide(error.problem),
            AppendError::Busy {
                reason,
                retry_after,
            } => Self::Busy {
                reason,
                retry_after,
            },
            AppendError::Unavailable {
                reason,
                retry_after,
            } => Self::Unavailable {
                reason,
                retry_after,
            },
        }
    }
}

impl Refusal {
    /// The status of the HTTP response.
    pub(crate) fn http_status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) | Self::Interrupted => StatusCode::BAD_REQUEST,
            Self::Denied(Denied::WrongRole { .. }) => StatusCode::FORBIDDEN,
            Self::Denied(_) => StatusCode::UNAUTHORIZED,
            Self::Unsupported(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge { .. } | Self::TooWide(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow(_) => StatusCode::REQUEST_TIMEOUT,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Busy { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// gRPC's code, which the `Status` in an HTTP body has too.
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Malformed(_) => Code::InvalidArgument,
            Self::Denied(Denied::WrongRole { .. }) => Code::PermissionDenied,
            Self::Denied(_) => Code::Unauthenticated,
            Self::Unsupported(_) | Self::MethodNotAllowed(_) => Code::Unimplemented,
            Self::TooLarge { .. } | Self::TooWide(_) | Self::Busy { .. } => Code::ResourceExhausted,
            Self::TooSlow(_) => Code::DeadlineExceeded,
            Self::Interrupted => Code::Cancelled,
            Self::NotFound(_) => Code::NotFound,
            Self::Unavailable { .. } => Code::Unavailable,
        }
    }

    /// When the same request may be sent again; `None` where that would not help.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } | Self::Unavailable { retry_after, .. } => {
                Some(*retry_after)
            }
            _ => None,
        }
    }

    /// The same in whole seconds, at least one, as the header `Retry-After` has it.
    pub(crate) fn retry_after_seconds(&self) -> Option<u64> {
        self.retry_after().map(|delay| {
            let begun = u64::from(delay.subsec_nanos() > 0);
            delay.as_secs().saturating_add(begun).max(1)
        })
    }

    /// The gRPC status. OTLP's clients try again on `RESOURCE_EXHAUSTED` only where `RetryInfo` says when.
    pub(crate) fn grpc_status(&self) -> Status {
        match self.retry_after() {
            Some(delay) => Status::with_error_details(
                self.code(),
                self.to_string(),
                ErrorDetails::with_retry_info(Some(delay)),
            ),
            None => Status::new(self.code(), self.to_string()),
        }
    }

    /// One word for metrics.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Denied(_) => "denied",
            Self::Unsupported(_) => "unsupported",
            Self::TooLarge { .. } => "too_large",
            Self::TooWide(_) => "too_wide",
            Self::TooSlow(_) => "too_slow",
            Self::Interrupted => "interrupted",
            Self::NotFound(_) => "not_found",
            Self::MethodNotAllowed(_) => "method_not_allowed",
            Self::Busy { .. } => "busy",
            Self::Unavailable { .. } => "unavailable",
        }
    }
}

#[cfg(test)]
mod tests {
    use tracediff_wire::{DecodeError, ErrorKind, Position};

    use super::*;

    /// HTTP status, gRPC code, `Retry-After`, delay of `RetryInfo`, message.
    fn check(
        refusal: impl Into<Refusal>,
        expected: (u16, Code, Option<u64>, Option<Duration>, &str),
    ) {
        let refusal = refusal.into();
        let status = refusal.grpc_status();
        let delay = status
            .get_details_retry_info()
            .and_then(|info| info.retry_delay);
        let seen = (
            refusal.http_status().as_u16(),
            status.code(),
            refusal.retry_after_seconds(),
            delay,
            status.message(),
        );
        assert_eq!(seen, expected);
    }

    fn busy(retry_after: Duration) -> AppendError {
        AppendError::Busy {
            reason: "the log is full".to_owned(),
            retry_after,
        }
    }

    #[test]
    fn the_stores_errors_become_answers() {
        let millis = Duration::from_millis;
        let exhausted = Code::ResourceExhausted;
        check(
            AppendError::Malformed(DecodeError::malformed(
                Position::Byte(7),
                "traceId: odd".to_owned(),
            )),
            (
                400,
                Code::InvalidArgument,
                None,
                None,
                "byte 7: traceId: odd",
            ),
        );
        check(
            busy(millis(2001)),
            (
                429,
                exhausted,
                Some(3),
                Some(millis(2001)),
                "the log is full",
            ),
        );
        check(
            busy(millis(2000)),
            (
                429,
                exhausted,
                Some(2),
                Some(millis(2000)),
                "the log is full",
            ),
        );
        check(
            busy(Duration::ZERO),
            (
                429,
                exhausted,
                Some(1),
                Some(Duration::ZERO),
                "the log is full",
            ),
        );
        check(
            AppendError::Unavailable {
                reason: "the disk is full".to_owned(),
                retry_after: millis(30_000),
            },
            (
                503,
                Code::Unavailable,
                Some(30),
                Some(millis(30_000)),
                "the disk is full",
            ),
        );
    }

    #[test]
    fn what_will_never_pass_has_no_delay() {
        let too_wide = DecodeError {
            position: Position::Byte(0),
            problem: "its columns are large".to_owned(),
            kind: ErrorKind::TooLarge,
        };
        let exhausted = Code::ResourceExhausted;
        check(
            AppendError::from(too_wide),
            (413, exhausted, None, None, "its columns are large"),
        );
        let too_large = |decompressed| Refusal::TooLarge {
            limit_bytes: 5,
            decompressed,
        };
        let message = "the request has more than 5 bytes: send fewer spans at a time";
        check(
            too_large(false),
            (413, Code::ResourceExhausted, None, None, message),
        );
        let message =
            "the request has more than 5 bytes when decompressed: send fewer spans at a time";
        check(
            too_large(true),
            (413, Code::ResourceExhausted, None, None, message),
        );
        let text = || "x".to_owned();
        check(
            Refusal::Unsupported(text()),
            (415, Code::Unimplemented, None, None, "x"),
        );
        check(
            Refusal::NotFound(text()),
            (404, Code::NotFound, None, None, "x"),
        );
        check(
            Refusal::MethodNotAllowed(text()),
            (405, Code::Unimplemented, None, None, "x"),
        );
        let message = "the request's body did not arrive: x";
        check(
            Refusal::TooSlow(text()),
            (408, Code::DeadlineExceeded, None, None, message),
        );
    }
}
