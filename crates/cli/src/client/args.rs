//! What was typed of the commands that are clients of a server.

use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::Timestamp;

use crate::args::FailOn;

/// Which server is asked, and how its answers are shown.
#[derive(Debug, Args)]
pub(crate) struct ServerArgs {
    /// The server; a token for it is taken from TRACEDIFF_TOKEN
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:4000",
        env = "TRACEDIFF_URL",
        global = true
    )]
    pub(crate) server: String,

    /// A table for people, or the API's own answer
    #[arg(long, value_enum, default_value_t = Show::Table, global = true)]
    pub(crate) format: Show,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Show {
    /// A table
    Table,
    /// JSON, as the API answers
    Json,
}

#[derive(Debug, Parser)]
pub(crate) struct QueryArgs {
    #[command(subcommand)]
    pub(crate) command: QueryCommand,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum QueryCommand {
    /// Save a query: from now on it is taken snapshots of
    Add(Box<AddArgs>),
    /// List saved queries
    List,
    /// Show one
    Show {
        /// Its name or id
        query: String,
    },
    /// Remove one; its snapshots and diffs stay
    Rm {
        /// Its name or id
        query: String,
    },
}

#[derive(Debug, Parser)]
pub(crate) struct AddArgs {
    /// Which spans it looks at, e.g. 'service = cart'; every trace with one of them counts, whole
    pub(crate) query: String,
    /// What it is called [default: the query]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// A key to group by beside service and operation; may be given several times
    #[arg(long = "by", value_name = "KEY")]
    pub(crate) keys: Vec<String>,
    /// From one snapshot to the next, 10s to 31d [default: 10m]
    #[arg(long, value_name = "DURATION")]
    pub(crate) interval: Option<String>,
    /// The length of a window [default: the interval]
    #[arg(long, value_name = "DURATION")]
    pub(crate) window: Option<String>,
    /// How long after its end a window is looked at [default: 30s]
    #[arg(long, value_name = "DURATION")]
    pub(crate) settle: Option<String>,
    /// When windows end, in place of the interval, e.g. '0 6 * * MON-FRI Europe/Berlin'
    #[arg(long, value_name = "EXPRESSION", conflicts_with = "interval")]
    pub(crate) cron: Option<String>,
    /// What snapshots are compared with: previous, ago=7d (or any duration), or snapshot=ID
    #[arg(long, value_name = "BASELINE", default_value = "previous")]
    pub(crate) baseline: String,
    /// Compare spans of one window that have two values of an attribute, e.g. service.version=1.4,1.5
    #[arg(
        long,
        value_name = "KEY=BASELINE,CANDIDATE",
        conflicts_with = "baseline"
    )]
    pub(crate) split: Option<String>,
    /// Leave out baselines that ended longer than this before the window begins, e.g. 1h
    #[arg(long, value_name = "DURATION")]
    pub(crate) max_baseline_age: Option<String>,
    /// Take snapshots on request only
    #[arg(long)]
    pub(crate) unscheduled: bool,
}

#[derive(Debug, Parser)]
pub(crate) struct SnapshotArgs {
    #[command(subcommand)]
    pub(crate) command: SnapshotCommand,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotCommand {
    /// Take one of a query now: of the window that ends now, unless one is given
    Take {
        /// The query's name or id
        query: String,
        /// So long, up to now, e.g. 15m
        #[arg(long, value_name = "DURATION", conflicts_with_all = ["from", "to"])]
        last: Option<String>,
        /// Where the window begins, e.g. 2026-01-05T10:00:00Z
        #[arg(long, value_name = "TIME", requires = "to")]
        from: Option<Timestamp>,
        /// Where it ends
        #[arg(long, value_name = "TIME", requires = "from")]
        to: Option<Timestamp>,
        /// Come back when it is ready; the exit code is 2 where it failed
        #[arg(long)]
        wait: bool,
    },
    /// List snapshots, newest last
    List {
        #[command(flatten)]
        which: WhichArgs,
        /// Only those that are pending, collecting, ready, failed or cancelled
        #[arg(long)]
        status: Option<String>,
    },
    /// Show one
    Show {
        /// Its id, or the end of it
        snapshot: String,
    },
    /// Keep one whatever its age
    Pin {
        /// Its id, or the end of it
        snapshot: String,
    },
    /// Let one go again when it is old
    Unpin {
        /// Its id, or the end of it
        snapshot: String,
    },
    /// Remove one and its facts
    Rm {
        /// Its id, or the end of it
        snapshot: String,
    },
}

/// Which part of a list is wanted.
#[derive(Debug, Args)]
pub(crate) struct WhichArgs {
    /// Only those of this query: its name or id
    #[arg(long, value_name = "QUERY")]
    pub(crate) query: Option<String>,
    /// How many at most, the newest
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) limit: u32,
}

#[derive(Debug, Parser)]
pub(crate) struct DiffArgs {
    #[command(subcommand)]
    pub(crate) command: DiffCommand,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DiffCommand {
    /// List diffs, newest last
    List {
        #[command(flatten)]
        which: WhichArgs,
        /// Only those that are regressed, improved, changed, no_change_found or nothing_to_compare
        #[arg(long)]
        verdict: Option<String>,
    },
    /// Show one: what changed, where to look first, and the evidence
    Show {
        /// Its id, or the end of it
        diff: String,
    },
    /// Compare any two snapshots that are ready
    Now {
        /// The snapshot that is compared with: its id, or the end of it
        baseline: String,
        /// The snapshot that is compared: its id, or the end of it
        candidate: String,
    },
    /// Remove one
    Rm {
        /// Its id, or the end of it
        diff: String,
    },
}

const VERDICT_EXAMPLE: &str = "\
Exit code:
  0 nothing that --fail-on asks about, 1 found, 2 bad input, no diff yet, or a server that does not answer";

#[derive(Debug, Parser)]
#[command(after_long_help = VERDICT_EXAMPLE)]
pub(crate) struct VerdictArgs {
    /// The query's name or id
    pub(crate) query: String,
    /// What makes the exit code 1: a confirmed regression, any confirmed finding, or nothing
    #[arg(long, value_enum, default_value_t = FailOn::Regressed)]
    pub(crate) fail_on: FailOn,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}
