//! `make eval`: how often the comparison is right, on simulated and on labelled real traces.

mod conservation;
mod incidents;
mod nezha;
mod null;
mod ranking;
mod scenarios;
mod sides;

use std::path::PathBuf;

use clap::Parser;
use tracediff_simulate::Load;

/// How many times more requests, in as many times fewer pairs, busy windows have.
const BUSY: u64 = 5;

#[derive(Debug, Parser)]
struct Args {
    /// Pairs of fault-free windows
    #[arg(long, default_value_t = 500)]
    pairs: u64,
    /// Minutes of a fault-free window
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// Requests per second in a fault-free window
    #[arg(long, default_value_t = 3.0)]
    rate: f64,
    /// Pairs of every simulated incident
    #[arg(long, default_value_t = 20)]
    seeds: u64,
    /// Cases of every kind of incident in random systems
    #[arg(long, default_value_t = 40)]
    cases: u64,
    /// Random systems
    #[arg(long, default_value_t = 20)]
    systems: u64,
    /// Seed of the first case in random systems; take another than the default to see what was not seen in development
    #[arg(long, default_value_t = 5_000_000)]
    first_seed: u64,
    /// A folder with labelled real traces (Nezha), which are not part of this project; left out without
    #[arg(long, env = "NEZHA")]
    nezha: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    // The simulator's own load, and one that lasts much longer from minute to minute.
    let lasting = Load {
        sigma: 0.08,
        service_sigma: 0.04,
        persistence: 0.3,
        ..Load::default()
    };
    for load in [Load::default(), lasting] {
        println!(
            "{}",
            null::evaluate(args.pairs, args.minutes, args.rate, load)?
        );
    }
    // Windows with errors enough to tell how they scatter.
    println!(
        "{}",
        null::evaluate(
            args.pairs / BUSY,
            args.minutes,
            args.rate * BUSY as f64,
            Load::default()
        )?
    );
    println!("{}", scenarios::evaluate(args.seeds)?);
    println!(
        "{}",
        incidents::evaluate(args.cases, args.systems, args.first_seed)?
    );
    match &args.nezha {
        Some(folder) => println!("{}", nezha::evaluate(folder)?),
        None => println!("### Labelled real traces\n\nLeft out: no `--nezha FOLDER` was given."),
    }
    Ok(())
}
