//! A running server, and what the tests send it.

pub(crate) mod http1;
pub(crate) mod raw_grpc;
pub(crate) mod spans;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tracediff_catalog::{Catalog, Place};
use tracediff_server::{Addresses, Config, Limits, Stopped, bind};
use tracediff_store::{Settings, Store};

use http1::{Client, get};

/// A server on ports of its own over a store of its own.
pub(crate) struct Running {
    pub(crate) at: Addresses,
    pub(crate) stop: CancellationToken,
    pub(crate) catalog: Catalog,
    task: JoinHandle<Stopped>,
    _folder: TempDir,
}

impl Running {
    pub(crate) async fn start() -> Self {
        Self::with(|_| ()).await
    }

    /// With other bounds than the usual ones.
    pub(crate) async fn with(change: impl FnOnce(&mut Limits)) -> Self {
        Self::configured(|config| change(&mut config.limits)).await
    }

    /// With another configuration than the usual one.
    pub(crate) async fn configured(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data_dir = folder.path().to_owned();
        let (store, _) = Store::open(Settings::new(data_dir)).await.unwrap();
        let catalog = Place::Sqlite(folder.path().join("catalog.db"));
        let catalog = Catalog::open(&catalog).await.unwrap();
        let server = bind(config(change)).await.unwrap();
        let at = server.addresses();
        let stop = CancellationToken::new();
        let serve = server.serve(store, catalog.clone(), stop.clone());
        let task = tokio::spawn(async { serve.await.unwrap() });
        Self {
            at,
            stop,
            catalog,
            task,
            _folder: folder,
        }
    }

    /// The value of a line of the metrics; 0 where there is none.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let text = get(self.at.main, "/metrics").await.text();
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
            .unwrap_or_default()
    }

    /// Waits until a metric has a value that is wanted.
    pub(crate) async fn until(&self, name: &str, wanted: impl Fn(f64) -> bool) {
        let wait = async {
            while !wanted(self.metric(name).await) {
                tokio::task::yield_now().await;
            }
        };
        in_time(wait).await;
    }

    /// A connection of HTTP/1 to the OTLP/HTTP port.
    pub(crate) async fn http(&self) -> Client {
        Client::connect(self.at.otlp_http).await
    }

    /// A connection of gRPC.
    pub(crate) async fn grpc(&self) -> Channel {
        let address = format!("http://{}", self.at.otlp_grpc);
        Channel::from_shared(address)
            .unwrap()
            .connect()
            .await
            .unwrap()
    }

    /// Stops it and says how that went.
    pub(crate) async fn stop(self) -> Stopped {
        self.stop.cancel();
        in_time(self.task).await.unwrap()
    }
}

/// What takes longer than this never ends.
pub(crate) async fn in_time<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(30), future).await.unwrap()
}

pub(crate) fn config(change: impl FnOnce(&mut Config)) -> Config {
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut config = Config {
        listen: free,
        otlp_grpc: free,
        otlp_http: free,
        ..Config::default()
    };
    change(&mut config);
    config
}
