//! What was typed.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use tracediff_simulate::{Incident, IncidentKind, Scenario};

use crate::client::{DiffArgs, QueryArgs, SnapshotArgs, VerdictArgs};

mod serve;

pub(crate) use serve::{
    AccessArg, ConfigCommand, LogFormat, LogLevel, ServeArgs, TokenArgs, TokenCommand,
};

/// Compares two sets of OpenTelemetry traces as populations and says what changed, how big it is and how sure that is.
#[derive(Debug, Parser)]
#[command(name = "tracediff", version, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Compare two sets of traces: what is new, gone, slower or fails more
    Compare(CompareArgs),
    /// Serve with a simulated shop that sends traces, and an incident every few minutes
    Demo(DemoArgs),
    /// Take spans in over OTLP, keep them, and take snapshots and diffs of saved queries
    Serve(ServeArgs),
    /// Save, list, show and remove the queries of a server
    Query(QueryArgs),
    /// Take, list, show, pin and remove the snapshots of a server
    Snapshot(SnapshotArgs),
    /// List, show and make the diffs of a server
    Diff(DiffArgs),
    /// Say what the newest diff of a query of a server comes to, for gates
    Verdict(VerdictArgs),
    /// Make, list and remove the tokens that clients of a server show
    Token(TokenArgs),
    /// Check and show the settings of `serve`, from `tracediff.toml` and elsewhere
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Count spans of a store, or write them to a file
    #[command(subcommand)]
    Spans(SpansCommand),
    /// Write the spans of a simulated shop, before or after an incident, as OTLP
    Simulate(SimulateArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page (roff)
    Man,
    /// Print the JSON Schema of `compare --format json`
    Schema {
        /// The OpenAPI document of the API of `serve` instead
        #[arg(long)]
        api: bool,
    },
}

const COMPARE_EXAMPLES: &str = "\
Input:
  A file holds OTLP (JSON, one request a line, or protobuf), Jaeger, Zipkin v2 or Lightstep stored traces, plain, gzip
  or zstd; what it is, is told from its content. A folder or a quoted glob stands for all its files, - for stdin.

Examples:
  Yesterday's recording against today's:
    tracediff compare before.jsonl after.jsonl
  Only traces that go through checkout, also by customer tier, as a pull-request comment:
    tracediff compare before/ after/ --where 'service = checkout' --by app.customer.tier --format markdown
  Two windows of one recording, counted from its end:
    tracediff compare traces.jsonl --baseline-window -30m/-15m --candidate-window -15m/end
  Two versions that ran at the same time:
    tracediff compare traces.jsonl --split service.version=1.4.2,1.5.0
  Fail a build when something got worse:
    tracediff compare main.jsonl branch.jsonl --fail-on regressed

Exit code:
  0 nothing that --fail-on asks about, 1 found, 2 bad input or usage";

#[derive(Debug, Parser)]
#[command(after_long_help = COMPARE_EXAMPLES)]
pub(crate) struct CompareArgs {
    /// The baseline and the candidate: a file, folder, glob or - each; with windows or --split, the files that hold
    /// both
    #[arg(value_name = "BASELINE CANDIDATE | FILES", required_unless_present_all = ["baseline", "candidate"], required_unless_present_any = ["source"])]
    pub(crate) paths: Vec<String>,

    /// A server (http://HOST:PORT) or the data folder of one that has ended, whose traces of two windows are compared
    #[arg(long, value_name = "URL|FOLDER", conflicts_with_all = ["paths", "baseline", "candidate"])]
    pub(crate) source: Option<String>,

    /// More of the baseline; may be given several times
    #[arg(long, value_name = "PATH")]
    pub(crate) baseline: Vec<String>,

    /// More of the candidate; may be given several times
    #[arg(long, value_name = "PATH")]
    pub(crate) candidate: Vec<String>,

    /// Only traces with a span that matches, e.g. 'service = cart AND duration > 250ms'
    #[arg(
        long = "where",
        value_name = "QUERY",
        help_heading = "What is compared"
    )]
    pub(crate) query: Option<String>,

    /// A key to group by, beside service and operation; may be given several times
    #[arg(long = "by", value_name = "KEY", help_heading = "What is compared")]
    pub(crate) keys: Vec<String>,

    /// What a matching span brings in: all spans of its trace, or only itself
    #[arg(long, value_enum, default_value_t = ScopeArg::Trace, help_heading = "What is compared")]
    pub(crate) scope: ScopeArg,

    /// The baseline's time, FROM/TO: RFC 3339 times, or relative to the data's ends: -30m, end, start+5m
    #[arg(
        long,
        value_name = "FROM/TO",
        requires = "candidate_window",
        allow_hyphen_values = true,
        help_heading = "What is compared"
    )]
    pub(crate) baseline_window: Option<String>,

    /// The candidate's time, written like --baseline-window
    #[arg(
        long,
        value_name = "FROM/TO",
        requires = "baseline_window",
        allow_hyphen_values = true,
        help_heading = "What is compared"
    )]
    pub(crate) candidate_window: Option<String>,

    /// Two values of one attribute as the two sides, e.g. service.version=1.4,1.5
    #[arg(long, value_name = "KEY=BASELINE,CANDIDATE", conflicts_with_all = ["baseline_window", "candidate_window", "baseline", "candidate"], help_heading = "What is compared")]
    pub(crate) split: Option<String>,

    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Table, help_heading = "Output")]
    pub(crate) format: Format,

    /// Write the result to a file instead of standard output
    #[arg(long, short, value_name = "FILE", help_heading = "Output")]
    pub(crate) out: Option<PathBuf>,

    /// Rows of each part of a table
    #[arg(long, value_name = "N", default_value_t = 10, help_heading = "Output")]
    pub(crate) top: usize,

    /// Keep up to N of either side's traces whole in the JSON document: those that explanations name, then one of
    /// each kind of request
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Output")]
    pub(crate) exemplars: usize,

    /// What makes the exit code 1: a confirmed regression, any confirmed finding, or nothing
    #[arg(long, value_enum, default_value_t = FailOn::Never, help_heading = "Judgement")]
    pub(crate) fail_on: FailOn,

    /// Thresholds, as TOML (`docs/policy.md` has all of them)
    #[arg(long, value_name = "FILE", help_heading = "Judgement")]
    pub(crate) policy: Option<PathBuf>,

    /// Stop at the first damaged line or message instead of skipping it
    #[arg(long, help_heading = "Judgement")]
    pub(crate) strict: bool,

    /// Memory to use for spans, e.g. 2GiB; more input than fits is read in several passes [default: half of what is
    /// free]
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, env = "TRACEDIFF_MEMORY_LIMIT")]
    pub(crate) memory_limit: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScopeArg {
    /// All spans of every trace that has a matching span
    Trace,
    /// Only the spans that match
    Match,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For a terminal: one sentence, then tables
    Table,
    /// The full document (`tracediff schema` prints its JSON Schema)
    Json,
    /// For a pull-request comment
    Markdown,
    /// The service graph for Graphviz: what is new, gone or changed in who calls whom
    Dot,
    /// The service graph for Mermaid, which code hosts draw inside Markdown
    Mermaid,
    /// The shape of the trace differ's API: new, missing and differences per key
    Compat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    /// A confirmed regression of latency or errors: the outcome `regressed`
    Regressed,
    /// Any confirmed finding
    Any,
    /// Nothing
    Never,
}

/// The scenarios of the shop, then the incidents that are no scenario, each with what it does.
fn scenarios() -> PossibleValuesParser {
    let scenarios = Scenario::ALL.map(|s| (s.name(), s.description().to_owned()));
    let incidents = IncidentKind::ALL.map(|kind| {
        let incident = Incident::in_shop(kind);
        let help = format!("{} ({})", kind.description(), incident.place());
        (kind.name(), help)
    });
    let is_scenario = |name: &str| name.parse::<Scenario>().is_ok();
    let others = incidents.into_iter().filter(|(name, _)| !is_scenario(name));
    let value = |(name, help)| PossibleValue::new(name).help(help);
    PossibleValuesParser::new(scenarios.into_iter().chain(others).map(value))
}

#[derive(Debug, Parser)]
pub(crate) struct SimulateArgs {
    /// The file to write; - for standard output. Protobuf for .pb, gzip for .gz, else OTLP JSON, one request a line
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: String,

    /// What happens in the shop
    #[arg(long, value_name = "NAME", default_value = "healthy", value_parser = scenarios())]
    pub(crate) scenario: String,

    /// The same seed gives the same spans
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,

    /// Length in minutes
    #[arg(long, value_name = "M", default_value_t = 10.0)]
    pub(crate) minutes: f64,

    /// Requests per second
    #[arg(long, value_name = "R", default_value_t = 10.0)]
    pub(crate) rate: f64,

    /// Share of traces that is kept, by consistent probability sampling (`ot=th:` in tracestate)
    #[arg(long, value_name = "P")]
    pub(crate) sampling: Option<f64>,

    /// When it begins (RFC 3339)
    #[arg(long, value_name = "TIME", default_value = "2026-01-05T10:00:00Z")]
    pub(crate) start: String,
}

#[derive(Debug, Parser)]
pub(crate) struct DemoArgs {
    /// The folder that spans are kept in [default: a temporary one, which is removed at the end]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data_dir: Option<PathBuf>,

    /// Where the API listens; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4000", value_parser = parse_loopback)]
    pub(crate) listen: SocketAddr,

    /// Where OTLP over gRPC listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4317", value_parser = parse_loopback)]
    pub(crate) otlp_grpc: SocketAddr,

    /// Where OTLP over HTTP, and Zipkin, listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4318", value_parser = parse_loopback)]
    pub(crate) otlp_http: SocketAddr,

    /// From one snapshot to the next, and the length of their windows, in whole seconds from 10s on
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_interval)]
    pub(crate) interval: Duration,

    /// Requests per second to the simulated shop
    #[arg(long, value_name = "R", default_value_t = 40.0)]
    pub(crate) rate: f64,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SpansCommand {
    /// Count the spans that match, and their traces
    Count(SpansArgs),
    /// Write all spans of the traces that have a matching span
    Export {
        #[command(flatten)]
        args: SpansArgs,
        /// The file to write; - for standard output. Protobuf for .pb, gzip for .gz, else OTLP JSON, one request a line
        #[arg(long, short, value_name = "FILE")]
        out: String,
    },
}

#[derive(Debug, Parser)]
pub(crate) struct SpansArgs {
    /// A server (http://HOST:PORT), or the data folder of one that has ended
    #[arg(
        long,
        value_name = "URL|FOLDER",
        default_value = "http://127.0.0.1:4000",
        env = "TRACEDIFF_SOURCE"
    )]
    pub(crate) source: String,

    /// Only spans that match, e.g. 'service = cart AND duration > 250ms'
    #[arg(long = "where", value_name = "QUERY")]
    pub(crate) query: Option<String>,

    /// Only spans that start in this time before the end of the data, e.g. 15m
    #[arg(long, value_name = "DURATION", conflicts_with = "window")]
    pub(crate) last: Option<String>,

    /// Only spans that start in this time, FROM/TO: RFC 3339 times, or relative to the data's ends: -30m, end, start+5m
    #[arg(long, value_name = "FROM/TO", allow_hyphen_values = true)]
    pub(crate) window: Option<String>,
}

/// An address that only this machine reaches: who watches a demonstration has no token.
fn parse_loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text
        .parse()
        .map_err(|_| "expected an address such as 127.0.0.1:4000".to_owned())?;
    match address.ip().is_loopback() {
        true => Ok(address),
        false => Err("a demonstration listens on loopback only".to_owned()),
    }
}

/// Whole seconds that a query may have as its interval.
fn parse_interval(text: &str) -> Result<Duration, String> {
    let interval = parse_duration(text)?;
    let is_whole = interval.subsec_nanos() == 0 && (10..=3_600).contains(&interval.as_secs());
    match is_whole {
        true => Ok(interval),
        false => Err("expected whole seconds from 10s to 1h".to_owned()),
    }
}

/// A duration such as `200ms`, `15m` or `7d`.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let span: Result<jiff::Span, _> = text.parse();
    let days = jiff::SpanRelativeTo::days_are_24_hours();
    let duration = span.and_then(|span| span.to_duration(days));
    duration
        .ok()
        .and_then(|duration| Duration::try_from(duration).ok())
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "expected a duration such as 200ms, 15m or 7d".to_owned())
}

/// A size with an optional binary or decimal unit.
fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: f64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "kib" | "k" => 1024.0,
        "mib" | "m" => 1024.0 * 1024.0,
        "gib" | "g" => 1024.0 * 1024.0 * 1024.0,
        _ => {
            return Err(format!(
                "`{unit}` is not a unit; write bytes, KiB, MiB, GiB, KB, MB or GB"
            ));
        }
    };
    let number: f64 = number
        .parse()
        .map_err(|_| "expected a number such as 2GiB".to_owned())?;
    Ok((number * factor) as u64)
}
