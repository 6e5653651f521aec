//! Requests over gRPC as they are: bytes that were encoded before.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Buf as _, BufMut as _};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Status};

use crate::{CONNECTIONS, PAUSE};

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// Messages that are bytes already.
#[derive(Debug, Clone, Copy, Default)]
struct Raw;

/// A request's number among all.
type Numbered = (Arc<Vec<Vec<u8>>>, usize);

impl Codec for Raw {
    type Encode = Numbered;
    type Decode = ();
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Numbered;
    type Error = Status;

    fn encode(&mut self, item: Numbered, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        let (requests, number) = item;
        into.put_slice(&requests[number]);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        from.advance(from.remaining());
        Ok(Some(()))
    }
}

/// Sends every request as soon as the one before it on a connection was answered; how often one was refused.
pub(crate) fn send(address: &str, requests: &Arc<Vec<Vec<u8>>>) -> usize {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let next = Arc::new(AtomicUsize::new(0));
    let connections = (0..CONNECTIONS).map(|_| {
        let (requests, next) = (Arc::clone(requests), Arc::clone(&next));
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
        runtime.spawn(async move {
            let channel = endpoint.connect().await.expect("a connection");
            let mut client = tonic::client::Grpc::new(channel);
            let mut refused = 0;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= requests.len() {
                    return refused;
                }
                loop {
                    client.ready().await.expect("a connection that lasts");
                    let request = Request::new((Arc::clone(&requests), number));
                    let path = PathAndQuery::from_static(EXPORT);
                    match client.unary(request, path, Raw).await {
                        Ok(_) => break,
                        Err(status) => match status.code() {
                            Code::ResourceExhausted | Code::Unavailable => refused += 1,
                            _ => panic!("{status}"),
                        },
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        })
    });
    let connections: Vec<_> = connections.collect();
    let mut refused = 0;
    for connection in connections {
        refused += runtime.block_on(connection).expect("a task that ends");
    }
    refused
}
