//! `tracediff query`: saved queries.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::args::{AddArgs, QueryArgs, QueryCommand};
use super::columns::{fields, second, table, text};
use super::{Client, rows, short};

/// Runs the command.
pub(crate) fn run(args: &QueryArgs) -> anyhow::Result<ExitCode> {
    let client = Client::of(&args.server)?;
    match &args.command {
        QueryCommand::Add(args) => {
            let answer = client.post("/api/queries", &body(args)?)?;
            client.print(&answer, one)
        }
        QueryCommand::List => {
            let answer = client.get("/api/queries")?;
            client.print(&answer, list)
        }
        QueryCommand::Show { query } => {
            let answer = client.query(query)?;
            client.print(&answer, one)
        }
        QueryCommand::Rm { query } => {
            let id = text(&client.query(query)?, "_id");
            let answer = client.delete(&format!("/api/queries/{id}"))?;
            client.print(&answer, |answer| {
                format!("removed {}\n", text(&answer["msg"], "name"))
            })
        }
    }
}

fn body(args: &AddArgs) -> anyhow::Result<Value> {
    let mut body = json!({ "query": args.query, "groupByKeys": args.keys });
    let texts = [
        ("name", &args.name),
        ("interval", &args.interval),
        ("window", &args.window),
        ("settle", &args.settle),
        ("cron", &args.cron),
        ("maxBaselineAge", &args.max_baseline_age),
    ];
    for (field, given) in texts {
        if let Some(given) = given {
            body[field] = json!(given);
        }
    }
    body["scheduled"] = json!(!args.unscheduled);
    if let Some(split) = &args.split {
        let parts = split.split_once('=');
        let parts = parts.and_then(|(key, values)| Some((key, values.split_once(',')?)));
        let (key, (baseline, candidate)) = parts.with_context(|| {
            format!(
                "`{split}` is no split: write KEY=BASELINE,CANDIDATE, e.g. service.version=1.4,1.5"
            )
        })?;
        let split = json!({ "key": key, "baseline": baseline, "candidate": candidate });
        body["baseline"] = json!({ "split": split });
        return Ok(body);
    }
    body["baseline"] = match args.baseline.split_once('=') {
        None if args.baseline == "previous" => json!("previous"),
        Some(("ago", duration)) => json!({ "ago": duration }),
        Some(("snapshot", id)) => json!({ "snapshot": id }),
        _ => bail!(
            "`{}` is no baseline: give previous, ago=7d or snapshot=ID",
            args.baseline
        ),
    };
    Ok(body)
}

fn list(queries: &Value) -> String {
    if rows(queries).next().is_none() {
        return "there is no query: save one with `tracediff query add 'service = cart'`\n"
            .to_owned();
    }
    let row = |query: &Value| {
        let is_scheduled = query["scheduled"] != json!(false);
        let interval = match (is_scheduled, query["cron"].as_str()) {
            (true, Some(cron)) => cron.to_owned(),
            (true, None) => text(query, "interval"),
            (false, _) => "on request".to_owned(),
        };
        vec![
            short(query, "_id"),
            text(query, "name"),
            interval,
            text(query, "query"),
        ]
    };
    let all: Vec<_> = rows(queries).map(row).collect();
    table(&["ID", "NAME", "EVERY", "QUERY"], &all)
}

/// A line for each field.
fn one(query: &Value) -> String {
    let keys = rows(&query["groupByKeys"]).filter_map(Value::as_str);
    let keys = keys.collect::<Vec<_>>().join(", ");
    let baseline = match &query["baseline"] {
        Value::String(text) => text.clone(),
        Value::Null => "previous".to_owned(),
        other => other.to_string(),
    };
    let mut lines = vec![
        ("id", text(query, "_id")),
        ("name", text(query, "name")),
        ("query", text(query, "query")),
        ("by", keys),
        ("cron", text(query, "cron")),
        ("interval", text(query, "interval")),
        ("window", text(query, "window")),
        ("settle", text(query, "settle")),
        ("baseline", baseline),
        ("max age", text(query, "maxBaselineAge")),
        ("scheduled", text(query, "scheduled")),
        ("made", second(query, "createdAt")),
    ];
    lines.retain(|(_, value)| !value.is_empty());
    fields(&lines)
}
