//! `make eval`: how often the comparison is right, on simulated and on labelled real traces.

mod null;

use clap::Parser;

#[derive(Debug, Parser)]
struct Args {
    /// Pairs of fault-free windows
    #[arg(long, default_value_t = 500)]
    pairs: u64,
    /// Minutes of a window
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// Requests per second
    #[arg(long, default_value_t = 3.0)]
    rate: f64,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    println!("{}", null::evaluate(args.pairs, args.minutes, args.rate)?);
    Ok(())
}
