//! What is generated from the program itself: completions, the manual page, the JSON Schema.

use std::io::Write as _;
use std::process::ExitCode;

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::args::Args;

pub(crate) fn print_completions(shell: Shell) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "tracediff", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn print_man_page() -> anyhow::Result<ExitCode> {
    let mut page = Vec::new();
    let command = Args::command();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    // One page for all commands: each follows under its own name.
    for sub in command.get_subcommands().filter(|c| c.get_name() != "help") {
        clap_mangen::Man::new(sub.clone()).render(&mut page)?;
    }
    std::io::stdout().write_all(&page)?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn print_schema(of_api: bool) -> anyhow::Result<ExitCode> {
    let text = match of_api {
        true => serde_json::to_string_pretty(&tracediff_server::openapi())?,
        false => serde_json::to_string_pretty(&schemars::schema_for!(tracediff_core::diff::Diff))?,
    };
    writeln!(std::io::stdout(), "{text}")?;
    Ok(ExitCode::SUCCESS)
}
