//! `tracediff serve`: takes spans in over OTLP, keeps them, and takes snapshots and diffs of saved queries.

use std::path::Path;
use std::process::ExitCode;

use anyhow::bail;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracediff_catalog::{Catalog, Place};
use tracediff_core::diff::text;
use tracediff_server::{Access, Addresses, Config, Retention, Tls, bind};
use tracediff_store::{Recovery, Settings, Store};

use crate::args::{AccessArg, ServeArgs};
use crate::config::File;
use crate::telemetry;

/// Runs the command until the process is told to end.
pub(crate) fn run(args: &ServeArgs, file: &File) -> anyhow::Result<ExitCode> {
    run_with(args, file, |_, _| ())
}

/// The same, with something that begins when clients may connect, and ends when the token says so.
pub(crate) fn run_with(
    args: &ServeArgs,
    file: &File,
    started: impl FnOnce(Addresses, CancellationToken),
) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let served = runtime.block_on(serve(args, file, started));
    // A diff that is in the middle is done again after the next start.
    runtime.shutdown_background();
    served?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(
    args: &ServeArgs,
    file: &File,
    started: impl FnOnce(Addresses, CancellationToken),
) -> anyhow::Result<()> {
    let config = config_of(args, file)?;
    let scheme = if config.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let signals = [SignalKind::terminate(), SignalKind::interrupt()].map(signal);
    let [terminate, interrupt] = signals;
    let stop = CancellationToken::new();
    tokio::spawn(cancel_when_told(terminate?, interrupt?, stop.clone()));
    let server = bind(config).await?;
    let addresses = server.addresses();
    let telemetry = telemetry::start(args.log_format, args.log_level, addresses)?;
    let settings = Settings {
        segments: args.segments.clone(),
        durability: args.durability,
        head_bytes: args.head_bytes,
        head_age: args.head_age,
        min_free_bytes: args.min_free_bytes,
        retention_age: args.retention_age,
        retention_bytes: args.retention_bytes,
        ..Settings::new(&args.data_dir)
    };
    let (store, recovery) = Store::open(settings).await?;
    tell(&recovery);
    let catalog = Catalog::open(&catalog_place(&args.data_dir, args.catalog.as_deref())).await?;
    if server.needs_tokens() && file.tokens()?.is_empty() && catalog.tokens().await?.is_empty() {
        tracing::warn!(
            "every request needs a token, and there is none yet: make one with `tracediff token create --role ingest --name NAME` (roles: ingest, read, write)"
        );
    }
    anstream::println!("OTLP/gRPC  {}", addresses.otlp_grpc);
    anstream::println!("OTLP/HTTP  {scheme}://{}", addresses.otlp_http);
    anstream::println!("API        {scheme}://{}", addresses.main);
    if let Some(url) = &args.segments {
        anstream::println!("segments   {url}");
    }
    anstream::println!("data       {}", args.data_dir.display());
    if let Some(path) = &file.path {
        anstream::println!("settings   {}", path.display());
    }
    started(addresses, stop.clone());
    let stopped = server.serve(store.clone(), catalog.clone(), stop).await?;
    if stopped.cut_off > 0 {
        tracing::warn!(
            "{} cut off: their requests did not end in time",
            text::counted(stopped.cut_off as u64, "connection")
        );
    }
    catalog.close().await;
    tokio::task::spawn_blocking(move || store.close()).await?;
    tokio::task::spawn_blocking(move || telemetry.stop()).await?;
    Ok(())
}

/// What the ports are told, of settings that go together.
pub(crate) fn config_of(args: &ServeArgs, file: &File) -> anyhow::Result<Config> {
    let tls = match (&args.tls_cert, &args.tls_key) {
        (Some(certificate), Some(key)) => Some(Tls::read(certificate, key)?),
        (None, None) => None,
        _ => bail!("`tls_cert` and `tls_key` are given together or not at all"),
    };
    Ok(Config {
        listen: args.listen,
        otlp_grpc: args.otlp_grpc,
        otlp_http: args.otlp_http,
        access: match args.access {
            AccessArg::Guarded => Access::Guarded,
            AccessArg::Tokens => Access::Tokens,
            AccessArg::Open => Access::Open,
        },
        tokens: file.tokens()?,
        cors_origins: args.cors_origins.clone(),
        tls,
        retention: Retention {
            age: args.snapshot_retention_age,
            per_query: args.snapshots_per_query,
        },
        policy: file.policy()?,
        ..Config::default()
    })
}

/// Where queries, snapshots, diffs and tokens are kept.
pub(crate) fn catalog_place(data_dir: &Path, url: Option<&str>) -> Place {
    match url {
        Some(url) => Place::Postgres(url.to_owned()),
        None => Place::Sqlite(data_dir.join("catalog.db")),
    }
}

async fn cancel_when_told(mut terminate: Signal, mut interrupt: Signal, stop: CancellationToken) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    stop.cancel();
}

/// Says what was found in the log of a process that did not end by itself.
fn tell(recovery: &Recovery) {
    if recovery.requests > 0 {
        tracing::info!(
            "recovered {} of {} from the log",
            text::counted(recovery.spans, "span"),
            text::counted(recovery.requests, "request")
        );
    }
    for damage in &recovery.damage {
        tracing::error!("damaged: {damage}");
    }
}
