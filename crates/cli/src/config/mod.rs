//! `tracediff.toml`: settings of the server in a file. Environment variables stand above it, and options above those.
//!
//! The keys are the options of `serve`, so that there is one list of settings, with one kind of value and one text
//! about each: a setting of the file becomes the default of its option.

mod file;
mod show;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ArgMatches, Command, CommandFactory as _, FromArgMatches as _};

use crate::args::{Args, ConfigCommand};
pub(crate) use file::File;

/// The file that is read where no other is named, if it is there.
const USUAL: &str = "tracediff.toml";
/// Commands that a server's settings are for.
const OF_SERVERS: [&str; 3] = ["serve", "token", "config"];

/// What was typed, over what the environment says, over what the file says.
pub(crate) struct Given {
    pub(crate) args: Args,
    pub(crate) file: File,
    /// Of the command, with where each value comes from.
    pub(crate) matches: ArgMatches,
}

/// Reads the arguments and the file; help and wrong usage end the process here.
pub(crate) fn given() -> anyhow::Result<Given> {
    let typed: Vec<OsString> = std::env::args_os().collect();
    let matches = Args::command().get_matches_from(&typed);
    let path: Vec<&str> = names(&matches);
    let file = match path.first().is_some_and(|name| OF_SERVERS.contains(name)) {
        true => File::read(place(leaf(&matches)).as_deref())?,
        false => File::default(),
    };
    let command = with_defaults(Args::command(), &file, &path);
    let matches = command.get_matches_from(&typed);
    let args = Args::from_arg_matches(&matches).map_err(|error| error.exit())?;
    Ok(Given {
        args,
        file,
        matches: leaf(&matches).clone(),
    })
}

/// Runs `config`.
pub(crate) fn run(
    command: &ConfigCommand,
    file: &File,
    matches: &ArgMatches,
) -> anyhow::Result<ExitCode> {
    match command {
        ConfigCommand::Check(args) => {
            crate::serve::config_of(args, file)?;
            anstream::println!("{}", show::checked(file));
        }
        ConfigCommand::Show(args) => {
            crate::serve::config_of(args, file)?;
            anstream::print!("{}", show::settings(file, matches));
        }
        ConfigCommand::Reference => anstream::print!("{}", show::reference()),
    }
    Ok(ExitCode::SUCCESS)
}

/// The file that is to be read.
fn place(matches: &ArgMatches) -> Option<PathBuf> {
    let named = matches.try_get_one::<PathBuf>("config").ok().flatten();
    let usual = || Some(PathBuf::from(USUAL)).filter(|path: &PathBuf| Path::exists(path));
    named.cloned().or_else(usual)
}

/// The commands that were typed, one within the other.
fn names(matches: &ArgMatches) -> Vec<&str> {
    let names = std::iter::successors(matches.subcommand(), |(_, inner)| inner.subcommand());
    names.map(|(name, _)| name).collect()
}

/// What was given to the innermost of them.
fn leaf(matches: &ArgMatches) -> &ArgMatches {
    match matches.subcommand() {
        Some((_, inner)) => leaf(inner),
        None => matches,
    }
}

/// The command with what the file says as defaults of its options.
fn with_defaults(mut command: Command, file: &File, path: &[&str]) -> Command {
    for setting in &file.settings {
        let has = command
            .get_arguments()
            .any(|arg| arg.get_id() == &setting.key);
        if has {
            let values = setting.values.clone();
            command = command.mut_arg(&setting.key, |arg| arg.default_values(values));
        }
    }
    match path {
        [name, inner @ ..] => command.mut_subcommand(name, |c| with_defaults(c, file, inner)),
        [] => command,
    }
}
