//! What the file says: options of `serve`, the policy of queries that have none of their own, and tokens.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, CommandFactory as _};
use serde::Deserialize;
use toml::de::{DeTable, DeValue};
use tracediff_core::diff::Policy;
use tracediff_server::{FixedToken, Role, Secret};

use crate::args::Args;

/// Parts of the file that are no options.
pub(super) const TABLES: [&str; 2] = ["policy", "tokens"];
/// Options that the file cannot have.
const NOT_IN_FILE: [&str; 3] = ["config", "help", "version"];
/// A secret that is shorter can be guessed.
const LEAST_SECRET: usize = 24;

/// The file, read and checked.
#[derive(Debug, Default)]
pub(crate) struct File {
    pub(crate) path: Option<PathBuf>,
    pub(super) settings: Vec<Setting>,
    pub(crate) tables: Tables,
}

/// One key of the file that is an option.
#[derive(Debug)]
pub(super) struct Setting {
    /// The id of the option.
    pub(super) key: String,
    pub(super) values: Vec<String>,
    line: usize,
}

/// What is no option.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Tables {
    /// What counts as a change, for queries that do not say so themselves.
    pub(super) policy: Option<Policy>,
    pub(super) tokens: Vec<GivenToken>,
}

/// A token that needs no catalog.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GivenToken {
    pub(super) name: String,
    #[serde(deserialize_with = "role")]
    pub(super) role: Role,
    /// What clients send …
    secret: Option<String>,
    /// … or its SHA-256 in hexadecimal, so that the file says nothing.
    sha256: Option<String>,
}

impl File {
    /// Reads the file of a path; nothing without one.
    pub(super) fn read(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        let name = path.display();
        let cannot = || format!("the configuration `{name}` cannot be used");
        let text = std::fs::read_to_string(path).with_context(cannot)?;
        let tables: Tables = toml::from_str(&text).with_context(cannot)?;
        let settings = settings(&text).with_context(cannot)?;
        check_values(&settings).with_context(cannot)?;
        let file = Self {
            path: Some(path.to_owned()),
            settings,
            tables,
        };
        file.policy().with_context(cannot)?;
        file.tokens().with_context(cannot)?;
        Ok(file)
    }

    /// The policy of queries that have none of their own.
    pub(crate) fn policy(&self) -> anyhow::Result<Policy> {
        let policy = self.tables.policy.clone().unwrap_or_default();
        policy.check().context("`policy`")?;
        Ok(policy)
    }

    /// The tokens, of which only hashes go on.
    pub(crate) fn tokens(&self) -> anyhow::Result<Vec<FixedToken>> {
        let token = |given: &GivenToken| {
            let hash = given
                .hash()
                .with_context(|| format!("the token `{}`", given.name))?;
            Ok(FixedToken {
                role: given.role,
                hash,
            })
        };
        self.tables.tokens.iter().map(token).collect()
    }
}

impl GivenToken {
    fn hash(&self) -> anyhow::Result<String> {
        match (&self.secret, &self.sha256) {
            (Some(secret), None) if secret.len() < LEAST_SECRET => bail!(
                "its `secret` has {} characters, but needs {LEAST_SECRET}: `openssl rand -hex 32` makes a good one",
                secret.len()
            ),
            (Some(secret), None) => Ok(Secret::from(secret.clone()).hash()),
            (None, Some(hash))
                if hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()) =>
            {
                Ok(hash.to_ascii_lowercase())
            }
            (None, Some(_)) => bail!("its `sha256` is not 64 hexadecimal digits"),
            _ => bail!("give either `secret` or `sha256`"),
        }
    }
}

fn role<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Role, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

/// The options of `serve` that the file can have.
pub(super) fn options(serve: &Command) -> impl Iterator<Item = &Arg> {
    let can_be = |arg: &&Arg| !NOT_IN_FILE.contains(&arg.get_id().as_str());
    serve.get_arguments().filter(can_be)
}

/// `serve`, of which the options are the keys.
pub(super) fn serve() -> Command {
    let command = Args::command();
    let serve = command.find_subcommand("serve").cloned();
    serve.unwrap_or_default().no_binary_name(true)
}

/// The keys of the file that are options, with their values as they would be typed.
fn settings(text: &str) -> anyhow::Result<Vec<Setting>> {
    let table = DeTable::parse(text)?;
    let serve = serve();
    let mut settings = Vec::new();
    for (key, value) in table.get_ref() {
        let name = key.get_ref().as_ref();
        if TABLES.contains(&name) {
            continue;
        }
        let line = line_of(text, key.span().start);
        if !options(&serve).any(|arg| arg.get_id() == name) {
            let known = options(&serve).map(|arg| arg.get_id().as_str());
            let known: Vec<_> = known.chain(TABLES).collect();
            bail!(
                "line {line}: there is no setting `{name}`; there are {}",
                known.join(", ")
            );
        }
        let values = match value.get_ref() {
            DeValue::Array(values) => values.iter().map(|v| typed(v.get_ref())).collect(),
            value => typed(value).map(|value| vec![value]),
        };
        let values = values.ok_or_else(|| {
            anyhow!("line {line}: `{name}` must be a text, a number or a list of texts")
        })?;
        settings.push(Setting {
            key: name.to_owned(),
            values,
            line,
        });
    }
    Ok(settings)
}

fn typed(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(is_so) => Some(is_so.to_string()),
        _ => None,
    }
}

/// Has the options look at their values, as if they had been typed.
fn check_values(settings: &[Setting]) -> anyhow::Result<()> {
    let serve = serve();
    let long = |key: &str| {
        let arg = options(&serve).find(|arg| arg.get_id() == key);
        format!("--{}", arg.and_then(Arg::get_long).unwrap_or(key))
    };
    let typed = settings.iter().flat_map(|setting| {
        let long = long(&setting.key);
        setting
            .values
            .iter()
            .map(move |value| format!("{long}={value}"))
    });
    let typed: Vec<String> = typed.collect();
    let error = match serve.clone().try_get_matches_from(typed) {
        Ok(_) => return Ok(()),
        // What it needs beside it may be typed, or in the environment.
        Err(error) if error.kind() == ErrorKind::MissingRequiredArgument => return Ok(()),
        Err(error) => error,
    };
    let Some(ContextValue::String(arg)) = error.get(ContextKind::InvalidArg) else {
        bail!("{error}");
    };
    let is_it = |setting: &&Setting| arg.split(' ').next() == Some(&long(&setting.key));
    let Some(setting) = settings.iter().find(is_it) else {
        bail!("{error}");
    };
    let mut text = format!(
        "line {}: `{}` is `{}`",
        setting.line,
        setting.key,
        setting.values.join(", ")
    );
    if let Some(source) = std::error::Error::source(&error) {
        let _ = write!(text, ": {source}");
    } else if let Some(ContextValue::Strings(values)) = error.get(ContextKind::ValidValue) {
        let _ = write!(text, ", but must be one of {}", values.join(", "));
    }
    bail!(text)
}

/// From 1.
fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}
