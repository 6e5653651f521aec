//! The one binary: reads arguments, runs a command, prints errors once, decides the exit code.

mod args;
mod client;
mod compare;
mod config;
mod demo;
mod harmless;
mod references;
mod serve;
mod simulate;
mod span_file;
mod spans;
mod stored;
mod telemetry;
mod token;

use std::process::ExitCode;

use args::Command;
use config::Given;

/// Exit code for bad input or usage.
const BAD_INPUT: u8 = 2;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("{}error:{:#} {}", ERROR, ERROR, chain(&error));
            ExitCode::from(BAD_INPUT)
        }
    }
}

fn run() -> anyhow::Result<ExitCode> {
    let Given {
        args,
        file,
        matches,
    } = config::given()?;
    match args.command {
        Command::Compare(args) => compare::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Serve(args) => serve::run(&args, &file),
        Command::Query(args) => client::run_query(&args),
        Command::Snapshot(args) => client::run_snapshot(&args),
        Command::Diff(args) => client::run_diff(&args),
        Command::Verdict(args) => client::run_verdict(&args),
        Command::Token(args) => token::run(&args),
        Command::Config(command) => config::run(&command, &file, &matches),
        Command::Spans(command) => spans::run(&command),
        Command::Simulate(args) => simulate::run(&args),
        Command::Completions { shell } => references::print_completions(shell),
        Command::Man => references::print_man_page(),
        Command::Schema { api } => references::print_schema(api),
    }
}

const ERROR: anstyle::Style = anstyle::AnsiColor::Red.on_default().bold();

/// The error and what caused it, on one line each.
fn chain(error: &anyhow::Error) -> String {
    // A query with a caret under it has lines of its own.
    let lines = |text: String| text.split('\n').map(harmless::harmless).collect::<Vec<_>>();
    let causes: Vec<String> = error
        .chain()
        .map(|c| lines(c.to_string()).join("\n"))
        .collect();
    causes.join("\n  because: ")
}

/// The reader of a pipe went away (`tracediff … | head`): nothing to complain about.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
    })
}
