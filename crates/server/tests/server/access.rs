//! Tokens over gRPC, and TLS on all ports, with real clients.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use rcgen::generate_simple_self_signed;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tonic::{Code, Request};
use tracediff_catalog::{Token, new_id};
use tracediff_server::{Access, Role, Secret, Tls};

use crate::support::Running;
use crate::support::spans::request;

/// A token that the server knows.
async fn token(server: &Running, role: Role) -> String {
    let secret = Secret::random().unwrap();
    let token = Token {
        id: new_id(),
        name: role.word().to_owned(),
        role: role.word().to_owned(),
        hash: secret.hash(),
        created_ns: 1,
    };
    server.catalog.add_token(&token).await.unwrap();
    secret.reveal().to_owned()
}

#[tokio::test]
async fn grpc_asks_for_a_token_that_may_send_spans() {
    let server = Running::configured(|config| config.access = Access::Tokens).await;
    let ingest = token(&server, Role::Ingest).await;
    let read = token(&server, Role::Read).await;
    let mut client = TraceServiceClient::new(server.grpc().await);
    let mut code = async |token: Option<&str>| {
        let mut request = Request::new(request(3, 0));
        if let Some(token) = token {
            let value = format!("Bearer {token}").parse().unwrap();
            request.metadata_mut().insert("authorization", value);
        }
        let answer = client.export(request).await;
        answer.map_or_else(|status| status.code(), |_| Code::Ok)
    };
    assert_eq!(code(None).await, Code::Unauthenticated);
    assert_eq!(code(Some("guess")).await, Code::Unauthenticated);
    assert_eq!(code(Some(&read)).await, Code::PermissionDenied);
    assert_eq!(code(Some(&ingest)).await, Code::Ok);
}

/// Connects as one who trusts the certificate and would speak these protocols.
async fn connect(
    certificate: &CertificateDer<'static>,
    address: SocketAddr,
    protocols: &[&[u8]],
) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(name, stream).await.unwrap()
}

#[tokio::test]
async fn all_ports_speak_tls() {
    let made = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let certificate = file("certificate.pem", made.cert.pem());
    let key = file("key.pem", made.signing_key.serialize_pem());
    let tls = Tls::read(&certificate, &key).unwrap();
    let server = Running::configured(|config| config.tls = Some(tls)).await;

    let trusted = made.cert.der();
    for address in [server.at.main, server.at.otlp_http] {
        let mut stream = connect(trusted, address, &[b"http/1.1"]).await;
        let request = b"GET /v1/traces HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 40"), "{answer}");
    }
    let stream = connect(trusted, server.at.otlp_grpc, &[b"http/1.1", b"h2"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));

    // What is no TLS is no request: it does not get an answer of HTTP.
    let mut plain = TcpStream::connect(server.at.main).await.unwrap();
    plain
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    drop((stream, plain));
    assert_eq!(server.stop().await.cut_off, 0);
}

#[test]
fn what_is_no_certificate_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let made = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let other = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = file("certificate.pem", &made.cert.pem());
    let key = file("key.pem", &made.signing_key.serialize_pem());
    let others = file("other.pem", &other.signing_key.serialize_pem());
    let empty = file("empty.pem", "");
    let none = folder.path().join("none");
    let said = |certificate, key| Tls::read(certificate, key).unwrap_err().to_string();
    assert!(said(&empty, &key).contains("no certificate in"));
    assert!(said(&certificate, &empty).contains("a private key from"));
    assert!(said(&none, &key).contains("a certificate from"));
    assert!(said(&certificate, &others).contains("cannot be used"));
}
