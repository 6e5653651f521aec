//! Ports and their connections: binding with an error that helps, accepting within a limit, and ending without cutting
//! off a request that runs.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;

use crate::config::Limits;
use crate::metrics::Metrics;
use crate::stream::Bounded;
use crate::tls::Tls;

/// How long to wait where the system has no more file descriptors: the next attempt would fail as well.
const PAUSE_AFTER_ACCEPT_ERROR: Duration = Duration::from_millis(100);

/// What a port is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Main,
    OtlpGrpc,
    OtlpHttp,
}

impl Purpose {
    /// One word for metrics.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::OtlpGrpc => "otlp_grpc",
            Self::OtlpHttp => "otlp_http",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Main => "the API",
            Self::OtlpGrpc => "OTLP over gRPC",
            Self::OtlpHttp => "OTLP over HTTP",
        }
    }

    /// The setting that moves it.
    fn setting(self) -> &'static str {
        match self {
            Self::Main => "listen",
            Self::OtlpGrpc => "otlp-grpc",
            Self::OtlpHttp => "otlp-http",
        }
    }
}

/// An address that cannot be listened on.
#[derive(Debug, Error)]
#[error("cannot listen on {address} for {}: {hint}", .purpose.title())]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    purpose: Purpose,
    hint: String,
    source: io::Error,
}

impl BindError {
    fn new(address: SocketAddr, purpose: Purpose, source: io::Error) -> Self {
        let setting = purpose.setting();
        let hint = match source.kind() {
            io::ErrorKind::AddrInUse => format!(
                "something listens there already; stop that, or set `{setting}` to another port (0 picks a free one)"
            ),
            io::ErrorKind::PermissionDenied => {
                format!("this needs privileges; set `{setting}` to a port from 1024 on")
            }
            io::ErrorKind::AddrNotAvailable => {
                format!("this host has no such address; set `{setting}` to one of its own")
            }
            _ => format!("set `{setting}` to another address"),
        };
        Self {
            address,
            purpose,
            hint,
            source,
        }
    }
}

/// A port that is bound but not served yet: what connects to it waits.
#[derive(Debug)]
pub(crate) struct Port {
    purpose: Purpose,
    listener: TcpListener,
    pub(crate) address: SocketAddr,
}

impl Port {
    pub(crate) async fn bind(purpose: Purpose, address: SocketAddr) -> Result<Self, BindError> {
        let failed = |source| BindError::new(address, purpose, source);
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self {
            purpose,
            listener,
            address,
        })
    }

    /// Serves until `stop`, lets running requests finish until `abort`, and returns how many connections were cut off
    /// then.
    pub(crate) async fn serve(
        self,
        router: Router,
        tls: Option<Tls>,
        limits: &Limits,
        metrics: &Metrics,
        stop: CancellationToken,
        abort: CancellationToken,
    ) -> usize {
        let builder = build_protocol(self.purpose, limits);
        let slots = Arc::new(Semaphore::new(limits.connections));
        let open = metrics.open_connections(self.purpose);
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        loop {
            let (stream, slot) = tokio::select! {
                () = stop.cancelled() => break,
                Some(_) = connections.join_next() => continue,
                accepted = accept(&self.listener, &slots) => accepted,
            };
            let service = TowerToHyperService::new(router.clone());
            let secured = secure(stream, self.purpose, tls.clone(), limits.header_timeout);
            let (builder, stop) = (builder.clone(), stop.clone());
            let (header_timeout, write_timeout) = (limits.header_timeout, limits.write_timeout);
            let watcher = graceful.watcher();
            let counted = open.one_more();
            connections.spawn(async move {
                let secured = tokio::select! {
                    () = stop.cancelled() => None,
                    secured = secured => secured.ok(),
                };
                if let Some(stream) = secured {
                    let io = TokioIo::new(Bounded::new(stream, header_timeout, write_timeout));
                    let connection = builder.serve_connection(io, service).into_owned();
                    // What ends a connection early (a reset, a timeout, bytes that are no HTTP) is the client's affair.
                    let _ = watcher.watch(connection).await;
                }
                drop((counted, slot));
            });
        }
        drop(self.listener);
        tokio::select! {
            () = graceful.shutdown() => 0,
            () = abort.cancelled() => {
                while connections.try_join_next().is_some() {}
                let cut_off = connections.len();
                connections.shutdown().await;
                cut_off
            }
        }
    }
}

/// The stream as HTTP goes over it: as it is, or within TLS once both sides have agreed on that in time.
async fn secure(
    stream: TcpStream,
    purpose: Purpose,
    tls: Option<Tls>,
    timeout: Duration,
) -> io::Result<Either<TcpStream, TlsStream<TcpStream>>> {
    let Some(tls) = tls else {
        return Ok(Either::Left(stream));
    };
    let accepted = tls.accept(stream, purpose == Purpose::OtlpGrpc);
    Ok(Either::Right(
        tokio::time::timeout(timeout, accepted).await??,
    ))
}

/// The next connection. A slot comes first: past the limit, connections wait in the listener's queue.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    // The semaphore is never closed, so there is always a permit to wait for.
    let slot = slots.clone().acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Answers are small and complete: waiting for more to send only delays them.
                let _ = stream.set_nodelay(true);
                return (stream, slot);
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(_) => tokio::time::sleep(PAUSE_AFTER_ACCEPT_ERROR).await,
        }
    }
}

/// Whether only the connection that was being accepted is gone.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

fn build_protocol(purpose: Purpose, limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_per_connection)
        .keep_alive_interval(limits.ping_interval)
        .keep_alive_timeout(limits.ping_timeout);
    match purpose {
        Purpose::OtlpGrpc => builder.http2_only(),
        Purpose::Main | Purpose::OtlpHttp => builder,
    }
}
