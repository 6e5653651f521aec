//! The receivers without ports, for the fuzz targets: requests go straight to the routers. Only built for fuzzing.

use std::sync::Arc;

use axum::Router;
use tracediff_store::Store;

use crate::access::Guard;
use crate::app::ServeError;
use crate::config::Limits;
use crate::intake::Intake;
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::{grpc, http};

/// OTLP over HTTP and gRPC, and Zipkin.
#[derive(Debug)]
pub struct Receivers {
    /// What is behind the port of OTLP over HTTP.
    pub http: Router,
    /// What is behind the port of OTLP over gRPC.
    pub grpc: Router,
    memory: Memory,
    bytes: usize,
}

impl Receivers {
    /// Receivers over a store.
    pub async fn new(store: Store, limits: Limits) -> Result<Self, ServeError> {
        let bytes = limits.in_flight_bytes;
        let memory = Memory::new(bytes);
        let metrics = Arc::new(Metrics::new(store.clone(), memory.clone()));
        let intake = Intake::new(
            store,
            memory.clone(),
            metrics,
            Arc::new(limits),
            Guard::default(),
        );
        let (grpc, _) = grpc::router(intake.clone())
            .await
            .map_err(ServeError::Reflection)?;
        Ok(Self {
            http: http::router(intake),
            grpc,
            memory,
            bytes,
        })
    }

    /// What requests in flight have taken of the memory that they may take together.
    pub fn taken_bytes(&self) -> usize {
        self.bytes - self.memory.free_bytes()
    }
}
