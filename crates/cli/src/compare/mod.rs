//! `tracediff compare`: reads both sides, takes their facts, compares them and prints the result.

mod columns;
mod dot;
mod evidence;
mod facts;
mod graph_text;
pub(crate) mod input;
mod markdown;
mod memory;
mod mermaid;
mod policy;
pub(crate) mod reading;
mod rows;
mod sides;
mod table;
pub(crate) mod window;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use tracediff_core::diff::{self, Diff, Outcome, Warning};
use tracediff_server::compat;

use crate::args::{CompareArgs, FailOn, Format};

/// Exit code when something was found that `--fail-on` asks about.
const FOUND: u8 = 1;

/// Runs the command.
pub(crate) fn run(args: &CompareArgs) -> anyhow::Result<ExitCode> {
    let policy = policy::read(args.policy.as_deref())?;
    let sides = sides::read(args)?;
    let mut diff = diff::compare(&sides.baseline, &sides.candidate, &policy);
    sides.traces.explain(&mut diff, args.exemplars)?;
    let mut warnings: Vec<Warning> = sides.warnings;
    warnings.append(&mut diff.quality.warnings);
    diff.quality.warnings = warnings;
    print(args, &diff, &sides.names)?;
    Ok(ExitCode::from(if is_found(&diff, args.fail_on) {
        FOUND
    } else {
        0
    }))
}

/// Whether the diff holds what `--fail-on` asks about. What is only suggestive does not fail a build.
fn is_found(diff: &Diff, fail_on: FailOn) -> bool {
    use Outcome::{Changed, Improved, Regressed};
    match fail_on {
        FailOn::Never => false,
        FailOn::Any => matches!(diff.outcome, Regressed | Improved | Changed),
        FailOn::Regressed => diff.outcome == Regressed,
    }
}

fn print(args: &CompareArgs, diff: &Diff, names: &[String; 2]) -> anyhow::Result<()> {
    let mut text = match args.format {
        Format::Json => serde_json::to_string_pretty(diff)?,
        Format::Compat => serde_json::to_string_pretty(&compat::document(diff, &args.keys))?,
        Format::Dot => dot::write(diff, names),
        Format::Mermaid => mermaid::write(diff, names),
        Format::Markdown => markdown::write(diff, names, args.top),
        Format::Table => {
            let is_terminal =
                args.out.is_none() && std::io::IsTerminal::is_terminal(&std::io::stdout());
            table::write(diff, names, args.top, table::width(is_terminal))
        }
    };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    let is_styled = matches!(args.format, Format::Table);
    match &args.out {
        Some(path) => {
            // A file gets no colours.
            let plain = if is_styled {
                anstream::adapter::strip_str(&text).to_string()
            } else {
                text
            };
            std::fs::write(path, plain)
                .with_context(|| format!("could not write `{}`", path.display()))
        }
        None if is_styled => Ok(anstream::stdout().write_all(text.as_bytes())?),
        // Only the table has colours; in anything else every character belongs to the data.
        None => Ok(std::io::stdout().write_all(text.as_bytes())?),
    }
}
