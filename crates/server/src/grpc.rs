//! OTLP over gRPC, with health and reflection beside it.
//!
//! `TraceService/Export` is answered by hand: its message is never turned into objects here, a zstd message goes to the
//! store as it came, and reading and decompressing have the same bounds as over HTTP. What it takes of gRPC is little:
//! one message in a frame, one back, and a status behind it. Source: gRPC over HTTP/2, "PROTOCOL-HTTP2.md".

mod frame;
mod health;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use axum::routing::post;
use http_body_util::{BodyExt as _, Full};
use tokio::time::Instant;
use tonic::service::Routes;
use tracediff_store::{Appended, Encoding};
use tracediff_wire::encode_export_response;

use crate::compression::Compression;
use crate::intake::{Intake, rejection_message};
use crate::metrics::Channel;
use crate::refusal::Refusal;
pub(crate) use health::Health;

/// The service's name, by which health is asked too.
const TRACE_SERVICE: &str = "opentelemetry.proto.collector.trace.v1.TraceService";
/// What reflection lists.
const SERVICES: [&str; 4] = [
    TRACE_SERVICE,
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
];
const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const CHANNEL: Channel = Channel {
    protocol: "grpc",
    encoding: "protobuf",
};
const CONTENT_TYPE_GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// The port's services, and the health that they report.
pub(crate) async fn router(
    intake: Intake,
) -> Result<(Router, Health), tonic_reflection::server::Error> {
    let (health, health_service) = Health::new().await;
    // OTLP's descriptions are of all signals: only what is served is named.
    let reflection = || {
        let builder = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(opentelemetry_proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
        SERVICES
            .into_iter()
            .fold(builder, |builder, name| builder.with_service_name(name))
    };
    let router = Routes::new(health_service)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?)
        .into_axum_router()
        .merge(Router::new().route(EXPORT, post(export)).with_state(intake));
    Ok((router, health))
}

async fn export(State(intake): State<Intake>, request: Request) -> Response {
    let started = Instant::now();
    let (head, mut body) = request.into_parts();
    if !is_grpc(&head.headers) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return response;
    }
    let outcome = receive(&intake, &head.headers, &mut body).await;
    intake.answered(CHANNEL, started, &outcome);
    let mut response = match outcome {
        Ok(appended) => exported(&appended),
        Err(refusal) => refusal.grpc_status().into_http(),
    };
    let understood = HeaderValue::from_static(Compression::UNDERSTOOD);
    response
        .headers_mut()
        .insert("grpc-accept-encoding", understood);
    response
}

async fn receive(
    intake: &Intake,
    headers: &HeaderMap,
    body: &mut Body,
) -> Result<Appended, Refusal> {
    intake.admit(headers).await?;
    let compression = Compression::parse(headers.get("grpc-encoding").map(HeaderValue::as_bytes))?;
    let mut received = intake
        .read(CHANNEL, body, compression, frame::HEADER_BYTES)
        .await?;
    let (compression, message) = frame::read(received.bytes, compression)?;
    received.bytes = message;
    intake
        .append(Encoding::OtlpProtobuf, compression, received)
        .await
}

fn exported(appended: &Appended) -> Response {
    let message = encode_export_response(appended.rejected, &rejection_message(appended));
    let body = Full::new(frame::write(&message)).with_trailers(async {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        Some(Ok(trailers))
    });
    let mut response = Response::new(Body::new(body));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, CONTENT_TYPE_GRPC);
    response
}

/// Whether the content type is `application/grpc`, which may say that messages are protobuf.
fn is_grpc(headers: &HeaderMap) -> bool {
    let value = headers
        .get(CONTENT_TYPE)
        .map_or(&b""[..], HeaderValue::as_bytes);
    let name = value.split(|byte| *byte == b';').next().unwrap_or_default();
    matches!(
        name.trim_ascii(),
        b"application/grpc" | b"application/grpc+proto"
    )
}
