//! The demonstration as a client of its own server: sends spans over OTLP/HTTP, saves queries, and tells what the
//! server finds.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use tracediff_core::model::SpanBatch;
use tracediff_server::Addresses;
use tracediff_wire::encode_otlp_protobuf;

/// What is saved: name, query, keys to group by.
const QUERIES: [(&str, &str, &[&str]); 3] = [
    (
        "demo: the whole shop",
        "service = frontend",
        &["app.customer.tier"],
    ),
    (
        "demo: checkout",
        "service = checkout",
        &["app.payment.method", "app.customer.tier"],
    ),
    (
        "demo: pages with prices",
        "service = pricing",
        &["app.currency"],
    ),
];

/// A diff that the server made, in short.
pub(super) struct Found {
    pub(super) name: String,
    pub(super) sentence: String,
}

pub(super) struct Sender {
    agent: ureq::Agent,
    addresses: Addresses,
    known: BTreeSet<String>,
}

impl Sender {
    pub(super) fn new(addresses: Addresses) -> Self {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(30)))
            .build();
        Self {
            agent: agent.into(),
            addresses,
            known: BTreeSet::new(),
        }
    }

    /// Sends spans as one request.
    pub(super) fn send(&self, batch: &SpanBatch) -> anyhow::Result<()> {
        let url = format!("http://{}/v1/traces", self.addresses.otlp_http);
        self.agent
            .post(&url)
            .header("content-type", "application/x-protobuf")
            .send(encode_otlp_protobuf(batch))
            .context("could not send the shop's spans")?;
        Ok(())
    }

    /// Saves the queries that are not there yet.
    pub(super) fn save_queries(&self, interval: Duration) -> anyhow::Result<()> {
        let saved = self.get("queries")?;
        let is_saved = |name: &str| values(&saved).any(|query| query["name"] == name);
        for (name, query, keys) in QUERIES {
            if is_saved(name) {
                continue;
            }
            let query = json!({
                "name": name,
                "query": query,
                "groupByKeys": keys,
                "interval": format!("{}s", interval.as_secs()),
                "settle": "5s",
            });
            self.agent
                .post(self.api("queries"))
                .send(query.to_string())
                .with_context(|| format!("could not save the query `{name}`"))?;
        }
        Ok(())
    }

    /// Diffs that were not told before, oldest first.
    pub(super) fn found(&mut self) -> anyhow::Result<Vec<Found>> {
        let diffs = self.get("diffs?limit=20")?;
        let text = |of: &Value, key: &str| of[key].as_str().unwrap_or_default().to_owned();
        let new = values(&diffs).filter(|diff| self.known.insert(text(diff, "_id")));
        let found = new.map(|diff| Found {
            name: text(diff, "name"),
            sentence: text(diff, "sentence"),
        });
        Ok(found.collect())
    }

    fn get(&self, path: &str) -> anyhow::Result<Value> {
        let mut answer = self
            .agent
            .get(self.api(path))
            .call()
            .with_context(|| format!("could not read /api/{path}"))?;
        Ok(serde_json::from_str(&answer.body_mut().read_to_string()?)?)
    }

    fn api(&self, path: &str) -> String {
        format!("http://{}/api/{path}", self.addresses.main)
    }
}

fn values(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}
