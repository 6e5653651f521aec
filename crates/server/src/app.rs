//! Everything put together: three ports over one store, from binding to the end of the last request.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::http::HeaderValue;
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use tracediff_catalog::Catalog;
use tracediff_core::diff::Policy;
use tracediff_store::Store;

use crate::access::{Access, FixedToken, Guard, cross_origin};
use crate::api::Gate;
use crate::config::{Config, Limits};
pub use crate::connections::BindError;
use crate::connections::{Port, Purpose};
use crate::grpc::Health;
use crate::intake::Intake;
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::snapshots::{Retention, Snapshots};
use crate::tls::Tls;
use crate::{api, grpc, http};

/// Where the ports are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// Health, metrics and traces by id.
    pub main: SocketAddr,
    /// OTLP over gRPC.
    pub otlp_grpc: SocketAddr,
    /// OTLP over HTTP, and Zipkin.
    pub otlp_http: SocketAddr,
}

/// How serving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// Connections that were cut off because their requests did not finish in time.
    pub cut_off: usize,
}

/// Why serving could not begin.
#[derive(Debug, Error)]
pub enum ServeError {
    /// gRPC's reflection could not read a service's description.
    #[error("gRPC reflection cannot describe the services")]
    Reflection(#[source] tonic_reflection::server::Error),
}

/// Three ports, bound: clients may connect, and wait until [`serve`](Server::serve).
#[derive(Debug)]
pub struct Server {
    main: Port,
    otlp_grpc: Port,
    otlp_http: Port,
    access: Access,
    tokens: Vec<FixedToken>,
    cors_origins: Vec<HeaderValue>,
    tls: Option<Tls>,
    retention: Retention,
    policy: Policy,
    limits: Limits,
}

/// Binds all ports, or none.
pub async fn bind(config: Config) -> Result<Server, BindError> {
    Ok(Server {
        main: Port::bind(Purpose::Main, config.listen).await?,
        otlp_grpc: Port::bind(Purpose::OtlpGrpc, config.otlp_grpc).await?,
        otlp_http: Port::bind(Purpose::OtlpHttp, config.otlp_http).await?,
        access: config.access,
        tokens: config.tokens,
        cors_origins: config.cors_origins,
        tls: config.tls,
        retention: config.retention,
        policy: config.policy,
        limits: config.limits,
    })
}

impl Server {
    /// Where the ports are: with the numbers that were picked where the configuration had 0.
    pub fn addresses(&self) -> Addresses {
        Addresses {
            main: self.main.address,
            otlp_grpc: self.otlp_grpc.address,
            otlp_http: self.otlp_http.address,
        }
    }

    /// Whether who comes has to show a token.
    pub fn needs_tokens(&self) -> bool {
        let Addresses {
            main,
            otlp_grpc,
            otlp_http,
        } = self.addresses();
        self.access.needs_tokens(&[main, otlp_grpc, otlp_http])
    }

    /// Serves until `stop` is cancelled and running requests have finished, or `shutdown_grace` is over. The store and
    /// the catalog stay open: who opened them closes them then.
    pub async fn serve(
        self,
        store: Store,
        catalog: Catalog,
        stop: CancellationToken,
    ) -> Result<Stopped, ServeError> {
        let guard = match self.needs_tokens() {
            true => Guard::of(catalog.clone(), &self.tokens),
            false => Guard::default(),
        };
        let gate = Gate {
            guard: guard.clone(),
            own_name_only: self.access == Access::Guarded && !self.needs_tokens(),
            origins: self.cors_origins.into(),
            body_idle_timeout: self.limits.body_idle_timeout,
        };
        let memory = Memory::new(self.limits.in_flight_bytes);
        let metrics = Arc::new(Metrics::new(store.clone(), memory.clone()));
        let limits = Arc::new(self.limits);
        let intake = Intake::new(
            store.clone(),
            memory,
            metrics.clone(),
            limits.clone(),
            guard.clone(),
        );

        let snapshots = Snapshots::new(store.clone(), catalog, self.retention, &self.policy);
        let cors = cross_origin(&gate.origins);
        let main_router = gate.before(api::router(
            store,
            snapshots.clone(),
            metrics.clone(),
            stop.clone(),
        ));
        let http_router = http::router(intake.clone());
        let http_router = match cors {
            Some(cors) => http_router.layer(cors),
            None => http_router,
        };
        let (grpc_router, health) = grpc::router(intake).await.map_err(ServeError::Reflection)?;

        let abort = CancellationToken::new();
        let received = CancellationToken::new();
        let serve = |port: Port, router, stop: &CancellationToken| {
            port.serve(
                router,
                self.tls.clone(),
                &limits,
                &metrics,
                stop.clone(),
                abort.clone(),
            )
        };
        let ports = async {
            let receivers = async {
                let cut_off = tokio::join!(
                    serve(self.otlp_grpc, grpc_router, &stop),
                    serve(self.otlp_http, http_router, &stop),
                );
                received.cancel();
                cut_off.0 + cut_off.1
            };
            // The main port ends last: until the receivers have, it tells who asks that it is not ready.
            let (of_receivers, of_main, ()) = tokio::join!(
                receivers,
                serve(self.main, main_router, &received),
                snapshots.run(stop.clone()),
            );
            of_receivers + of_main
        };
        let cut_off = tokio::select! {
            cut_off = ports => cut_off,
            never = impatience(&stop, health, &limits, &abort) => match never {},
        };
        Ok(Stopped { cut_off })
    }
}

/// From `stop` on: says that nothing is served any more, and cuts off what does not finish in time.
async fn impatience(
    stop: &CancellationToken,
    health: Health,
    limits: &Limits,
    abort: &CancellationToken,
) -> std::convert::Infallible {
    stop.cancelled().await;
    health.stop().await;
    tokio::time::sleep(limits.shutdown_grace).await;
    abort.cancel();
    std::future::pending().await
}
