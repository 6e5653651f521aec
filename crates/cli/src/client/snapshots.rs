//! `tracediff snapshot`: snapshots of saved queries.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use serde_json::{Value, json};
use tracediff_core::diff::text::count;

use super::args::{SnapshotArgs, SnapshotCommand};
use super::columns::{fields, second, table, text, window};
use super::{Client, rows, short};

/// How often it is asked whether a snapshot is ready.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Runs the command.
pub(crate) fn run(args: &SnapshotArgs) -> anyhow::Result<ExitCode> {
    let client = Client::of(&args.server)?;
    let path = |wanted: &str| -> anyhow::Result<String> {
        Ok(format!(
            "/api/snapshots/{}",
            client.id("snapshot", "snapshots", wanted)?
        ))
    };
    match &args.command {
        SnapshotCommand::Take {
            query,
            last,
            from,
            to,
            wait,
        } => {
            let id = text(&client.query(query)?, "_id");
            let mut body = json!({});
            if let Some(last) = last {
                body["last"] = json!(last);
            }
            if let (Some(from), Some(to)) = (from, to) {
                body["from"] = json!(from.as_nanosecond() as f64 / 1e9);
                body["to"] = json!(to.as_nanosecond() as f64 / 1e9);
            }
            let mut answer = client.post(&format!("/api/queries/{id}/snapshots"), &body)?;
            if *wait {
                answer = ready(&client, answer)?;
            }
            client.print(&answer, one)
        }
        SnapshotCommand::List { which, status } => {
            let answer = client.listed("snapshots", which, status.as_deref())?;
            client.print(&answer, list)
        }
        SnapshotCommand::Show { snapshot } => {
            let answer = client.get(&path(snapshot)?)?;
            client.print(&answer, one)
        }
        SnapshotCommand::Pin { snapshot } => {
            let answer = client.post(&format!("{}/pin", path(snapshot)?), &json!({}))?;
            client.print(&answer, one)
        }
        SnapshotCommand::Unpin { snapshot } => {
            let answer = client.delete(&format!("{}/pin", path(snapshot)?))?;
            client.print(&answer, one)
        }
        SnapshotCommand::Rm { snapshot } => {
            let answer = client.delete(&path(snapshot)?)?;
            client.print(&answer, |answer| {
                format!("removed {}\n", text(&answer["msg"], "_id"))
            })
        }
    }
}

/// The snapshot when it is not worked on any more.
fn ready(client: &Client, mut snapshot: Value) -> anyhow::Result<Value> {
    loop {
        match snapshot["status"].as_str() {
            Some("pending" | "collecting") => std::thread::sleep(LOOK_EVERY),
            Some("ready") => return Ok(snapshot),
            _ => bail!(
                "the snapshot is {}: {}",
                text(&snapshot, "status"),
                text(&snapshot, "reason")
            ),
        }
        snapshot = client.get(&format!("/api/snapshots/{}", text(&snapshot, "_id")))?;
    }
}

fn list(snapshots: &Value) -> String {
    if rows(snapshots).next().is_none() {
        return "there is no snapshot\n".to_owned();
    }
    let row = |snapshot: &Value| {
        vec![
            short(snapshot, "_id"),
            text(snapshot, "name"),
            window(snapshot),
            status(snapshot),
            number(&snapshot["counts"], "traces"),
            number(&snapshot["counts"], "spans"),
        ]
    };
    let all: Vec<_> = rows(snapshots).map(row).collect();
    table(
        &["ID", "QUERY", "WINDOW", "STATUS", "TRACES", "SPANS"],
        &all,
    )
}

fn status(snapshot: &Value) -> String {
    let status = text(snapshot, "status");
    let progress = snapshot["progress"].as_f64().unwrap_or(0.0);
    match status.as_str() {
        "collecting" => format!("collecting {:.0} %", progress * 100.0),
        "ready" if snapshot["isPinned"] == true => "ready, pinned".to_owned(),
        _ => status,
    }
}

fn number(of: &Value, field: &str) -> String {
    of[field].as_u64().map(count).unwrap_or_default()
}

fn one(snapshot: &Value) -> String {
    let counts = &snapshot["counts"];
    let mut lines = vec![
        ("id", text(snapshot, "_id")),
        ("name", text(snapshot, "name")),
        ("query", text(snapshot, "query")),
        ("window", window(snapshot)),
        ("status", status(snapshot)),
        ("reason", text(snapshot, "reason")),
        ("traces", number(counts, "traces")),
        ("spans", number(counts, "spans")),
        ("errors", number(counts, "errors")),
        ("orphans", number(counts, "orphanSpans")),
        ("duplicates", number(counts, "duplicateSpans")),
        ("taken by", text(snapshot, "origin")),
        ("ready at", second(snapshot, "completeTime")),
    ];
    lines.retain(|(_, value)| !value.is_empty());
    fields(&lines)
}
