//! What was typed for a server: its settings, which `tracediff.toml` has too, and its tokens.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use tracediff_server::{HeaderValue, Role};
use tracediff_store::Durability;

use super::{parse_bytes, parse_duration};

#[derive(Debug, Parser)]
#[command(args_override_self = true)]
pub(crate) struct ServeArgs {
    /// A file with settings (`docs/reference/config.md` has all of them) [default: tracediff.toml, where there is one]
    #[arg(long, value_name = "FILE", env = "TRACEDIFF_CONFIG")]
    pub(crate) config: Option<PathBuf>,

    /// The folder that spans are kept in; it is made where it is missing
    #[arg(
        long,
        value_name = "FOLDER",
        default_value = "tracediff-data",
        env = "TRACEDIFF_DATA_DIR"
    )]
    pub(crate) data_dir: PathBuf,

    /// A bucket of S3, or of storage that speaks S3, that segments are kept in: s3://BUCKET/PREFIX. What was received last,
    /// in the log, stays in the folder, which remembers the bucket. AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID,
    /// AWS_SECRET_ACCESS_KEY and AWS_ALLOW_HTTP say how it is reached [default: the folder]
    #[arg(long, value_name = "URL", env = "TRACEDIFF_SEGMENTS")]
    pub(crate) segments: Option<String>,

    /// A PostgreSQL database that saved queries, snapshots and diffs are kept in: postgres://USER@HOST/NAME [default: SQLite,
    /// catalog.db in the folder]
    #[arg(
        long,
        value_name = "URL",
        env = "TRACEDIFF_CATALOG",
        hide_env_values = true
    )]
    pub(crate) catalog: Option<String>,

    /// Where the API listens; port 0 picks a free one
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:4000",
        env = "TRACEDIFF_LISTEN"
    )]
    pub(crate) listen: SocketAddr,

    /// Where OTLP over gRPC listens
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:4317",
        env = "TRACEDIFF_OTLP_GRPC"
    )]
    pub(crate) otlp_grpc: SocketAddr,

    /// Where OTLP over HTTP, and Zipkin, listen
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:4318",
        env = "TRACEDIFF_OTLP_HTTP"
    )]
    pub(crate) otlp_http: SocketAddr,

    /// When tokens are asked for: `guarded` (as soon as one port listens elsewhere than on loopback), `tokens` (always) or
    /// `open` (never: something else guards the ports)
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = AccessArg::Guarded, env = "TRACEDIFF_ACCESS")]
    pub(crate) access: AccessArg,

    /// An origin whose pages may call the API and send spans over HTTP, e.g. `https://shop.example`; may be given several
    /// times
    #[arg(long = "cors-origin", value_name = "ORIGIN", value_parser = parse_origin, value_delimiter = ',', env = "TRACEDIFF_CORS_ORIGIN")]
    pub(crate) cors_origins: Vec<HeaderValue>,

    /// A file with the certificate that the ports show (PEM, those that signed it behind): they speak TLS then
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_key",
        env = "TRACEDIFF_TLS_CERT"
    )]
    pub(crate) tls_cert: Option<PathBuf>,

    /// A file with its private key (PEM)
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_cert",
        env = "TRACEDIFF_TLS_KEY"
    )]
    pub(crate) tls_key: Option<PathBuf>,

    /// When a request is acknowledged: when it is synced to disk (fsync), when it is written and synced that much later
    /// (interval=200ms), or when it is written (none)
    #[arg(long, value_name = "HOW", default_value = "fsync", value_parser = parse_durability, env = "TRACEDIFF_DURABILITY")]
    pub(crate) durability: Durability,

    /// Spans are moved from memory into a segment when their requests have this many bytes, e.g. 48MiB
    #[arg(long, value_name = "BYTES", default_value = "48MiB", value_parser = parse_bytes, env = "TRACEDIFF_HEAD_BYTES")]
    pub(crate) head_bytes: u64,

    /// The same when the first of them is this old
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = parse_duration, env = "TRACEDIFF_HEAD_AGE")]
    pub(crate) head_age: Duration,

    /// Requests are refused while the disk of the folder has less room than this: what is in memory and in the log must
    /// still fit when it is moved into segments
    #[arg(long, value_name = "BYTES", default_value = "512MiB", value_parser = parse_bytes, env = "TRACEDIFF_MIN_FREE_BYTES")]
    pub(crate) min_free_bytes: u64,

    /// Spans older than this go, e.g. 7d [default: never]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, env = "TRACEDIFF_RETENTION_AGE")]
    pub(crate) retention_age: Option<Duration>,

    /// The oldest spans go while all take more, e.g. 50GiB [default: never]
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, env = "TRACEDIFF_RETENTION_BYTES")]
    pub(crate) retention_bytes: Option<u64>,

    /// Snapshots that were completed longer ago than this go, with their diffs, e.g. 90d; not those that are pinned, or
    /// that a query is always compared with [default: never]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, env = "TRACEDIFF_SNAPSHOT_RETENTION_AGE")]
    pub(crate) snapshot_retention_age: Option<Duration>,

    /// Of each query so many snapshots are kept, the newest [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..), env = "TRACEDIFF_SNAPSHOTS_PER_QUERY")]
    pub(crate) snapshots_per_query: Option<u32>,

    /// How lines on standard error are written
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = LogFormat::Text, env = "TRACEDIFF_LOG_FORMAT")]
    pub(crate) log_format: LogFormat,

    /// What is told there, and what is worse
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t = LogLevel::Info, env = "TRACEDIFF_LOG_LEVEL")]
    pub(crate) log_level: LogLevel,
}

/// How lines on standard error are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// What is told on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
}

/// When tokens are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AccessArg {
    Guarded,
    Tokens,
    Open,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Say whether the settings can be used, and if not, what is wrong where
    Check(Box<ServeArgs>),
    /// Print the settings that are in force, and where each comes from
    Show(Box<ServeArgs>),
    /// Print every setting and what it means, as Markdown
    Reference,
}

/// Where a server keeps its tokens; the server may run meanwhile.
#[derive(Debug, Parser)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    pub(crate) command: TokenCommand,

    /// The settings of the server [default: tracediff.toml, where there is one]
    #[arg(long, value_name = "FILE", env = "TRACEDIFF_CONFIG", global = true)]
    pub(crate) config: Option<PathBuf>,

    /// The folder of the server
    #[arg(
        long,
        value_name = "FOLDER",
        default_value = "tracediff-data",
        env = "TRACEDIFF_DATA_DIR",
        global = true
    )]
    pub(crate) data_dir: PathBuf,

    /// The PostgreSQL database of the server, where it has one
    #[arg(
        long,
        value_name = "URL",
        env = "TRACEDIFF_CATALOG",
        hide_env_values = true,
        global = true
    )]
    pub(crate) catalog: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token, and show it this once
    Create {
        /// What it allows: ingest (send spans), read, or write (read, and change queries, snapshots and diffs)
        #[arg(long, value_name = "ROLE")]
        role: Role,
        /// Whose it is
        #[arg(long, value_name = "NAME")]
        name: String,
    },
    /// List tokens, without their secrets
    List,
    /// Remove a token: within five seconds it is good for nothing
    Rm {
        /// Its id, as `token list` shows it
        id: String,
    },
}

/// Scheme, host and port, as a browser sends them.
fn parse_origin(text: &str) -> Result<HeaderValue, String> {
    let is_origin = text.split_once("://").is_some_and(|(_, authority)| {
        !authority.is_empty() && !authority.contains(['/', '*', ' '])
    });
    let value = HeaderValue::from_str(text).ok().filter(|_| is_origin);
    value.ok_or_else(|| {
        "expected a scheme, a host and perhaps a port, such as https://shop.example".to_owned()
    })
}

/// `fsync`, `interval=DURATION` or `none`.
fn parse_durability(text: &str) -> Result<Durability, String> {
    match (text, text.split_once('=')) {
        ("fsync", _) => Ok(Durability::Fsync),
        ("none", _) => Ok(Durability::None),
        (_, Some(("interval", interval))) => parse_duration(interval).map(Durability::Interval),
        _ => Err("expected fsync, interval=DURATION or none".to_owned()),
    }
}
