//! gRPC's health service: serving from the start until the process is to stop.

use tonic_health::ServingStatus;
use tonic_health::pb::health_server;
use tonic_health::server::{HealthReporter, HealthService};

use super::TRACE_SERVICE;

/// What health is asked by: everything together, and the one service.
const NAMES: [&str; 2] = ["", TRACE_SERVICE];

/// Says how the services are.
#[derive(Debug)]
pub(crate) struct Health(HealthReporter);

impl Health {
    pub(super) async fn new() -> (Self, health_server::HealthServer<HealthService>) {
        let reporter = HealthReporter::new();
        for name in NAMES {
            reporter
                .set_service_status(name, ServingStatus::Serving)
                .await;
        }
        let service = HealthService::from_health_reporter(reporter.clone());
        (Self(reporter), health_server::HealthServer::new(service))
    }

    /// Tells all who watch that nothing is served any more. Forgetting the services ends these streams, which would
    /// keep their connections open otherwise.
    pub(crate) async fn stop(mut self) {
        for name in NAMES {
            self.0
                .set_service_status(name, ServingStatus::NotServing)
                .await;
        }
        for name in NAMES {
            self.0.clear_service_status(name).await;
        }
    }
}
