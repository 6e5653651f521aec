//! `tracediff diff` and `tracediff verdict`: what changed, as a server has calculated it.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::args::{DiffArgs, DiffCommand, VerdictArgs};
use super::columns::{second, table, text};
use super::{Client, rows, short};
use crate::args::FailOn;
use crate::harmless::harmless;

/// Findings and traces of each kind that are shown.
const SHOWN: usize = 10;

/// Runs `tracediff diff`.
pub(crate) fn run(args: &DiffArgs) -> anyhow::Result<ExitCode> {
    let client = Client::of(&args.server)?;
    let whole = |id: &str| client.get(&format!("/api/diffs/{id}"));
    match &args.command {
        DiffCommand::List { which, verdict } => {
            let answer = client.listed("diffs", which, verdict.as_deref())?;
            client.print(&answer, list)
        }
        DiffCommand::Show { diff } => {
            let answer = whole(&client.id("diff", "diffs", diff)?)?;
            client.print(&answer, one)
        }
        DiffCommand::Now {
            baseline,
            candidate,
        } => {
            let id = |wanted| client.id("snapshot", "snapshots", wanted);
            let body = json!({ "baseline": id(baseline)?, "candidate": id(candidate)? });
            let made = client.post("/api/diffs", &body)?;
            client.print(&whole(&text(&made, "_id"))?, one)
        }
        DiffCommand::Rm { diff } => {
            let id = client.id("diff", "diffs", diff)?;
            let answer = client.delete(&format!("/api/diffs/{id}"))?;
            client.print(&answer, |answer| {
                format!("removed {}\n", text(&answer["msg"], "_id"))
            })
        }
    }
}

/// Runs `tracediff verdict`.
pub(crate) fn verdict(args: &VerdictArgs) -> anyhow::Result<ExitCode> {
    let client = Client::of(&args.server)?;
    let id = text(&client.query(&args.query)?, "_id");
    let answer = client.get(&format!("/api/verdict?queryId={id}"))?;
    client.print(&answer, |verdict| {
        let sentence = harmless(&text(verdict, "sentence"));
        let at = second(verdict, "calculatedAt");
        format!(
            "{sentence}\n{} · diff {} · {at}\n",
            word(verdict),
            short(verdict, "diffId")
        )
    })?;
    let is_found = match args.fail_on {
        FailOn::Never => false,
        FailOn::Regressed => answer["verdict"] == "regressed",
        FailOn::Any => matches!(
            answer["verdict"].as_str(),
            Some("regressed" | "improved" | "changed")
        ),
    };
    Ok(ExitCode::from(u8::from(is_found)))
}

/// A verdict in words.
fn word(of: &Value) -> String {
    text(of, "verdict").replace('_', " ")
}

fn list(diffs: &Value) -> String {
    if rows(diffs).next().is_none() {
        return "there is no diff: there must be two snapshots of a query first\n".to_owned();
    }
    let row = |diff: &Value| {
        let (name, at) = (text(diff, "name"), second(diff, "calculatedAt"));
        vec![
            short(diff, "_id"),
            name,
            at,
            word(diff),
            text(diff, "sentence"),
        ]
    };
    let all: Vec<_> = rows(diffs).map(row).collect();
    table(
        &["ID", "QUERY", "CALCULATED", "VERDICT", "WHAT CHANGED"],
        &all,
    )
}

/// The sentence, the culprits, the findings, and the traces that show them.
fn one(diff: &Value) -> String {
    let document = &diff["document"];
    let mut lines = vec![text(diff, "sentence"), String::new()];
    let sides = format!(
        "{} → {}",
        short(diff, "baselineId"),
        short(diff, "candidateId")
    );
    lines.push(format!(
        "{} · {} · snapshots {sides}",
        text(diff, "name"),
        word(diff)
    ));
    let mut part = |title: &str, of: Vec<String>| {
        if !of.is_empty() {
            lines.push(String::new());
            lines.push(title.to_owned());
            lines.extend(of.into_iter().map(|line| format!("  {line}")));
        }
    };
    let culprits = rows(&document["culprits"]).enumerate().take(SHOWN);
    part(
        "Where to look first",
        culprits
            .map(|(i, c)| format!("{}. {}", i + 1, text(c, "sentence")))
            .collect(),
    );
    let findings = rows(&document["findings"]).filter(|finding| finding["same_as"].is_null());
    let told = findings.map(|finding| match finding["strength"].as_str() {
        Some("suggestive") => format!("{} (perhaps)", text(finding, "text")),
        _ => text(finding, "text"),
    });
    let told: Vec<String> = told.collect();
    let more = told.len().saturating_sub(SHOWN);
    let mut told: Vec<String> = told.into_iter().take(SHOWN).collect();
    if more > 0 {
        told.push(format!("… {more} more (--format json has all)"));
    }
    part("Findings", told);
    let traces = rows(&document["traces"]).take(SHOWN);
    part(
        "Traces",
        traces
            .map(|trace| format!("{}  {}", text(trace, "trace_id"), text(trace, "side")))
            .collect(),
    );
    let lines: Vec<String> = lines.iter().map(|line| harmless(line)).collect();
    lines.join("\n") + "\n"
}
