//! OTLP over HTTP, and Zipkin: `POST /v1/traces` and `POST /api/v2/spans`.
//!
//! Source: OTLP specification 1.9, section "OTLP/HTTP"; Zipkin API 2.

mod reply;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{ALLOW, CONTENT_ENCODING, CONTENT_TYPE, EXPECT};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Version};
use axum::response::Response;
use axum::routing::post;
use tokio::time::Instant;
use tracediff_store::{Appended, Encoding};

use crate::body;
use crate::compression::Compression;
use crate::config::Limits;
use crate::intake::Intake;
use crate::metrics::Channel;
use crate::refusal::Refusal;
use reply::Reply;

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// The port's paths.
pub(crate) fn router(intake: Intake) -> Router {
    Router::new()
        .route("/v1/traces", post(traces))
        .route("/api/v2/spans", post(zipkin))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(intake)
}

async fn traces(State(intake): State<Intake>, request: Request) -> Response {
    let encoding = match media_type(request.headers()).as_deref() {
        Some(PROTOBUF) => Ok(Encoding::OtlpProtobuf),
        Some(JSON) => Ok(Encoding::OtlpJson),
        other => Err(unsupported_type(other, &[PROTOBUF, JSON])),
    };
    let reply = Reply::to(request.headers());
    reply.exported(take(&intake, encoding, request).await)
}

async fn zipkin(State(intake): State<Intake>, request: Request) -> Response {
    // Zipkin's own server takes requests without a content type for JSON.
    let encoding = match media_type(request.headers()).as_deref() {
        None | Some(JSON) => Ok(Encoding::Zipkin),
        other => Err(unsupported_type(other, &[JSON])),
    };
    Reply::Json.collected(take(&intake, encoding, request).await)
}

/// Takes the request in, counts it, and leaves its connection so that the answer can be read.
async fn take(
    intake: &Intake,
    encoding: Result<Encoding, Refusal>,
    request: Request,
) -> Result<Appended, Refusal> {
    let started = Instant::now();
    let channel = Channel {
        protocol: "http",
        encoding: match encoding {
            Ok(Encoding::OtlpProtobuf) => "protobuf",
            Ok(Encoding::OtlpJson) => "json",
            Ok(Encoding::Zipkin) => "zipkin",
            Err(_) => "other",
        },
    };
    let (head, mut body) = request.into_parts();
    let outcome = match encoding {
        Ok(encoding) => receive(intake, channel, encoding, &head.headers, &mut body).await,
        Err(refusal) => Err(refusal),
    };
    intake.answered(channel, started, &outcome);
    if let Err(refusal) = &outcome
        && !matches!(refusal, Refusal::TooSlow(_) | Refusal::Interrupted)
    {
        let_it_read(&intake.limits, &head, &mut body).await;
    }
    outcome
}

/// Leaves the connection of a refused request so that its client reads the answer. HTTP/2 needs no help there, and a
/// client that asks before it sends a body reads the answer first.
async fn let_it_read(limits: &Limits, head: &Parts, body: &mut Body) {
    if head.version <= Version::HTTP_11 && !head.headers.contains_key(EXPECT) {
        body::discard(body, limits.compressed_bytes, limits).await;
    }
}

async fn receive(
    intake: &Intake,
    channel: Channel,
    encoding: Encoding,
    headers: &HeaderMap,
    body: &mut Body,
) -> Result<Appended, Refusal> {
    intake.admit(headers).await?;
    let compression = content_encoding(headers)?;
    let received = intake.read(channel, body, compression, 0).await?;
    intake.append(encoding, compression, received).await
}

fn content_encoding(headers: &HeaderMap) -> Result<Compression, Refusal> {
    let names: Vec<_> = headers.get_all(CONTENT_ENCODING).iter().collect();
    match names[..] {
        [] => Compression::parse(None),
        [name] => Compression::parse(Some(name.as_bytes())),
        _ => Compression::parse(Some(b"several at once")),
    }
}

/// The content type without its parameters, in lower case.
fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?.to_str().unwrap_or("not a text");
    let name = value.split(';').next().unwrap_or_default();
    Some(name.trim().to_ascii_lowercase())
}

fn unsupported_type(found: Option<&str>, understood: &[&str]) -> Refusal {
    let understood = understood.join(" or ");
    Refusal::Unsupported(match found {
        Some(found) => format!("the content type `{found}` is not understood: use {understood}"),
        None => format!("the request has no content type: use {understood}"),
    })
}

async fn not_found(State(intake): State<Intake>, request: Request) -> Response {
    let refusal = Refusal::NotFound(format!(
        "there is nothing at {}: spans are taken at /v1/traces (OTLP) and /api/v2/spans (Zipkin)",
        request.uri().path()
    ));
    refuse(&intake, request, &refusal).await
}

async fn method_not_allowed(State(intake): State<Intake>, request: Request) -> Response {
    let refusal = Refusal::MethodNotAllowed(format!(
        "{} is not understood at {}: use POST",
        request.method(),
        request.uri().path()
    ));
    let mut response = refuse(&intake, request, &refusal).await;
    let allowed = HeaderValue::from_static("POST");
    response.headers_mut().insert(ALLOW, allowed);
    response
}

async fn refuse(intake: &Intake, request: Request, refusal: &Refusal) -> Response {
    let (head, mut body) = request.into_parts();
    let_it_read(&intake.limits, &head, &mut body).await;
    Reply::to(&head.headers).refused(refusal)
}
