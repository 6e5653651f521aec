//! Commands that are clients of a running server: what its API can do, for people and for scripts.

use std::process::ExitCode;

use anyhow::{anyhow, bail};
use serde_json::Value;

mod args;
mod columns;
mod diffs;
mod http;
mod queries;
mod snapshots;

pub(crate) use args::{DiffArgs, QueryArgs, SnapshotArgs, VerdictArgs};
use args::{ServerArgs, Show, WhichArgs};
pub(crate) use diffs::{run as run_diff, verdict as run_verdict};
pub(crate) use http::{Server, agent};
pub(crate) use queries::run as run_query;
pub(crate) use snapshots::run as run_snapshot;

/// The most that a list has.
const MOST_LISTED: u32 = 1_000;

/// A server, and how its answers are shown.
struct Client {
    server: Server,
    show: Show,
}

impl Client {
    fn of(args: &ServerArgs) -> anyhow::Result<Self> {
        Ok(Self {
            server: Server::at(&args.server)?,
            show: args.format,
        })
    }

    fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.server.json("GET", path, None)
    }

    fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.server.json("POST", path, Some(body))
    }

    fn delete(&self, path: &str) -> anyhow::Result<Value> {
        self.server.json("DELETE", path, None)
    }

    /// Prints an answer: as it is, or as a table makes it.
    fn print(
        &self,
        answer: &Value,
        table: impl FnOnce(&Value) -> String,
    ) -> anyhow::Result<ExitCode> {
        match self.show {
            Show::Json => anstream::println!("{answer:#}"),
            Show::Table => anstream::print!("{}", table(answer)),
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The saved query with this id, this name, or the only one whose id ends like this.
    fn query(&self, wanted: &str) -> anyhow::Result<Value> {
        let all = self.get("/api/queries")?;
        let named: Vec<&Value> = rows(&all).filter(|query| query["name"] == wanted).collect();
        match named[..] {
            [one] => Ok(one.clone()),
            [] => one_of("query", "query list", rows(&all), wanted),
            _ => bail!("{} queries are called `{wanted}`: give the id", named.len()),
        }
    }

    /// The id of a snapshot or diff, of which the end may be given.
    fn id(&self, kind: &str, plural: &str, wanted: &str) -> anyhow::Result<String> {
        if wanted.len() >= 32 {
            return Ok(wanted.to_owned());
        }
        let newest = self.get(&format!("/api/{plural}?limit={MOST_LISTED}"))?;
        let found = one_of(kind, &format!("{kind} list"), rows(&newest), wanted)?;
        Ok(columns::text(&found, "_id"))
    }

    /// The address of a part of a list; `filter` is a parameter and its value.
    fn listed(
        &self,
        plural: &str,
        which: &WhichArgs,
        status: Option<&str>,
    ) -> anyhow::Result<Value> {
        let mut parameters = form_urlencoded::Serializer::new(String::new());
        parameters.append_pair("limit", &which.limit.to_string());
        if let Some(query) = &which.query {
            let query = self.query(query)?;
            parameters.append_pair("queryId", &columns::text(&query, "_id"));
        }
        if let Some(status) = status {
            parameters.append_pair("status", status);
        }
        self.get(&format!("/api/{plural}?{}", parameters.finish()))
    }
}

fn rows(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// The only one whose id is this or ends like this: ids that were made in one moment begin alike.
fn one_of<'a>(
    kind: &str,
    command: &str,
    all: impl Iterator<Item = &'a Value>,
    wanted: &str,
) -> anyhow::Result<Value> {
    let is_like = |row: &&Value| row["_id"].as_str().is_some_and(|id| id.ends_with(wanted));
    let mut found = all.filter(is_like);
    let first = found.next().filter(|_| !wanted.is_empty());
    let first = first.ok_or_else(|| {
        anyhow!("there is no {kind} `{wanted}`: `tracediff {command}` shows them")
    })?;
    if found.next().is_some() {
        bail!("the id of more than one {kind} ends in `{wanted}`: give more of it");
    }
    Ok(first.clone())
}

/// The end of an id that tables show: enough to tell a list's rows apart.
fn short(of: &Value, field: &str) -> String {
    const SHOWN: usize = 10;
    let id = columns::text(of, field);
    id.get(id.len().saturating_sub(SHOWN)..)
        .unwrap_or(&id)
        .to_owned()
}
