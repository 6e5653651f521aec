//! Health and reflection, as tools ask for them.

use tonic::codegen::tokio_stream;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::{v1, v1alpha};

use crate::support::Running;

const TRACE_SERVICE: &str = "opentelemetry.proto.collector.trace.v1.TraceService";

fn ask(service: &str) -> HealthCheckRequest {
    let service = service.to_owned();
    HealthCheckRequest { service }
}

#[tokio::test]
async fn health_is_serving_until_the_end() {
    let server = Running::start().await;
    let mut client = HealthClient::new(server.grpc().await);
    for service in ["", TRACE_SERVICE] {
        let answer = client.check(ask(service)).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service}");
    }
    let status = client.check(ask("other")).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::NotFound);

    let mut watched = Vec::new();
    for service in ["", TRACE_SERVICE] {
        let mut watch = client.watch(ask(service)).await.unwrap().into_inner();
        let first = watch.message().await.unwrap().unwrap();
        assert_eq!(first.status(), ServingStatus::Serving, "{service}");
        watched.push(watch);
    }
    server.stop.cancel();
    for mut watch in watched {
        let last = watch.message().await.unwrap().unwrap();
        assert_eq!(last.status(), ServingStatus::NotServing);
        assert_eq!(watch.message().await.unwrap(), None);
    }
    assert_eq!(server.stop().await.cut_off, 0);
}

#[tokio::test]
async fn reflection_lists_the_services() {
    let server = Running::start().await;
    let channel = server.grpc().await;

    let request = v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(v1::server_reflection_request::MessageRequest::ListServices(
            String::new(),
        )),
    };
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(channel.clone());
    let requests = tokio_stream::iter([request]);
    let mut answers = client
        .server_reflection_info(requests)
        .await
        .unwrap()
        .into_inner();
    let answer = answers.message().await.unwrap().unwrap();
    let Some(v1::server_reflection_response::MessageResponse::ListServicesResponse(list)) =
        answer.message_response
    else {
        panic!("{answer:?}");
    };
    let mut names: Vec<_> = list.service.iter().map(|s| &s.name[..]).collect();
    names.sort_unstable();
    let reflection = "grpc.reflection.v1";
    assert_eq!(
        names,
        [
            "grpc.health.v1.Health".to_owned(),
            format!("{reflection}.ServerReflection"),
            format!("{reflection}alpha.ServerReflection"),
            TRACE_SERVICE.to_owned(),
        ]
    );
}

#[tokio::test]
async fn reflection_describes_the_services() {
    let server = Running::start().await;
    let channel = server.grpc().await;
    for (symbol, file) in [
        ("grpc.health.v1.Health", "health.proto"),
        (
            TRACE_SERVICE,
            "opentelemetry/proto/collector/trace/v1/trace_service.proto",
        ),
        (
            "opentelemetry.proto.trace.v1.Span",
            "opentelemetry/proto/trace/v1/trace.proto",
        ),
    ] {
        let described = describe(channel.clone(), symbol).await;
        // A description begins with the field of the file's name: tag, length, text.
        let name = &described[2..2 + usize::from(described[1])];
        assert_eq!(std::str::from_utf8(name).unwrap(), file);
    }
}

/// The description of the file that has a symbol.
async fn describe(channel: Channel, symbol: &str) -> Vec<u8> {
    let request = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(
            v1alpha::server_reflection_request::MessageRequest::FileContainingSymbol(
                symbol.to_owned(),
            ),
        ),
    };
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(channel);
    let requests = tokio_stream::iter([request]);
    let mut answers = client
        .server_reflection_info(requests)
        .await
        .unwrap()
        .into_inner();
    let answer = answers.message().await.unwrap().unwrap();
    let Some(v1alpha::server_reflection_response::MessageResponse::FileDescriptorResponse(files)) =
        answer.message_response
    else {
        panic!("{answer:?}");
    };
    files.file_descriptor_proto[0].clone()
}
