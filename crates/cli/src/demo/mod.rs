//! `tracediff demo`: a server, and a simulated shop that sends it traces over its real port, with an incident every few
//! minutes.

mod sender;
mod shop;

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use clap::Parser as _;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tracediff_server::Addresses;

use crate::args::{DemoArgs, ServeArgs};
use crate::config::File;
use crate::serve;
use sender::Sender;
use shop::{Shop, Traffic};

/// Windows of history that are sent at once: the last is the first with an incident.
const HISTORY_WINDOWS: u64 = 4;
/// How far spans are behind: a request is over when it is sent.
const BEHIND: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Runs the command until the process is told to end.
pub(crate) fn run(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let temporary = match &args.data_dir {
        Some(_) => None,
        None => Some(
            tempfile::Builder::new()
                .prefix("tracediff-demo-")
                .tempdir()
                .context("cannot make a temporary folder; give one with --data-dir")?,
        ),
    };
    let kept = args.data_dir.as_deref();
    let folder = temporary.as_ref().map(tempfile::TempDir::path).or(kept);
    // As if it had been typed, so that a demonstration shows what `serve` does.
    let mut typed: Vec<std::ffi::OsString> = vec!["serve".into()];
    let addresses = [
        ("--listen", args.listen),
        ("--otlp-grpc", args.otlp_grpc),
        ("--otlp-http", args.otlp_http),
    ];
    for (flag, address) in addresses {
        typed.extend([flag.into(), address.to_string().into()]);
    }
    if let Some(folder) = folder {
        typed.extend(["--data-dir".into(), folder.into()]);
    }
    typed.extend(["--log-level", "warn"].map(Into::into));
    typed.extend(["--retention-age", "1h", "--snapshot-retention-age", "1d"].map(Into::into));
    let serving = ServeArgs::try_parse_from(typed)?;

    anstream::println!(
        "A demonstration: a simulated shop sends its traces to this server. None of it is real traffic."
    );
    let (interval, rate) = (args.interval, args.rate);
    serve::run_with(&serving, &File::default(), move |addresses, stop| {
        std::thread::spawn(move || {
            if let Err(error) = play(addresses, interval, rate, &stop)
                && !stop.is_cancelled()
            {
                anstream::eprintln!("the demonstration ends: {error:#}");
                stop.cancel();
            }
        });
    })
}

/// Sends the shop's traces in time, and tells what happens and what the server says of it.
fn play(
    addresses: Addresses,
    interval: Duration,
    rate: f64,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let window_ns = u64::try_from(interval.as_nanos())?;
    let mut window = now_ns()? / window_ns;
    let shop = Shop {
        first_incident: window - 1,
        window_ns,
        rate,
    };
    let mut sender = Sender::new(addresses);
    for window in window - HISTORY_WINDOWS..window {
        send(&sender, &mut shop.traffic(window)?, u64::MAX, stop)?;
    }
    sender.save_queries(interval)?;
    anstream::println!(
        "\nSnapshots are taken every {} s and compared with the one before. What is found is told here, with all evidence at\n\
         http://{}/api/diffs and http://{}/api/diffs/ID\n",
        interval.as_secs(),
        addresses.main,
        addresses.main
    );
    tell_window(&shop, window - 1);
    let mut traffic = shop.traffic(window)?;
    while !stop.is_cancelled() {
        let by_ns = now_ns()?.saturating_sub(BEHIND.as_nanos() as u64);
        send(&sender, &mut traffic, by_ns, stop)?;
        for found in sender.found()? {
            tell(&format!("{}: {}", found.name, found.sentence));
        }
        if by_ns / window_ns > window {
            window += 1;
            traffic = shop.traffic(window)?;
            if shop.incident(window) != shop.incident(window - 1) {
                tell_window(&shop, window);
            }
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

fn send(
    sender: &Sender,
    traffic: &mut Traffic,
    by_ns: u64,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    while !stop.is_cancelled() {
        let batches = traffic.until(by_ns)?;
        if batches
            .iter()
            .all(tracediff_core::model::SpanBatch::is_empty)
        {
            break;
        }
        for batch in &batches {
            sender.send(batch)?;
        }
    }
    Ok(())
}

/// Says what is wrong in the shop from a window on.
fn tell_window(shop: &Shop, window: u64) {
    tell(&match shop.incident(window) {
        Some(incident) => format!(
            "INCIDENT in the simulated shop: {} ({})",
            incident.kind().description(),
            incident.place()
        ),
        None => "the incident is over: all is well in the simulated shop".to_owned(),
    });
}

fn tell(text: &str) {
    let now = Timestamp::now().strftime("%H:%M:%SZ");
    anstream::println!("{now}  {text}");
}

fn now_ns() -> anyhow::Result<u64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(u64::try_from(since.as_nanos())?)
}
