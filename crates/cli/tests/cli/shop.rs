//! What most tests compare: a small shop, and the sandbox that holds it.

use std::time::Duration;

use tracediff_testkit::{Output, Sandbox, Traces};

/// An empty sandbox for the binary under test.
pub(crate) fn sandbox() -> Sandbox {
    Sandbox::new(env!("CARGO_BIN_EXE_tracediff"))
}

/// A sandbox with these traces as `before.jsonl` and `after.jsonl`.
pub(crate) fn sandbox_of(before: &Traces, after: &Traces) -> Sandbox {
    let sandbox = sandbox();
    sandbox
        .write("before.jsonl", before.otlp_json_lines())
        .write("after.jsonl", after.otlp_json_lines());
    sandbox
}

/// Two traces and two others: enough where the numbers do not matter.
pub(crate) fn small() -> Sandbox {
    sandbox_of(
        &Traces::parse(
            "
             web: GET /cart 120ms server app.tier=gold
               cart: load 40ms client
             web: GET /cart 100ms server app.tier=silver",
        ),
        &Traces::parse(
            "
             web: GET /cart 150ms server error app.tier=gold
               cart: load 90ms client
             web: GET /pay 80ms server app.tier=gold",
        ),
    )
}

/// `minutes` of a shop, a trace a second, in which the cart takes about `cart_ms`. Durations vary, but are the same in
/// every run.
pub(crate) fn shop(minutes: u64, cart_ms: u64) -> Traces {
    let text = format!(
        "
         web: GET /cart {}ms server resource:service.version=1.4 app.tier=gold
           cart: load {cart_ms}ms client @2ms resource:service.version=1.4",
        cart_ms + 10
    );
    Traces::parse(&text)
        .repeat(60 * minutes, Duration::from_secs(1))
        .edit(|span| {
            let noise = (span.trace * 7_919) % 101;
            span.end_ns += (span.end_ns - span.start_ns) * noise / 200;
        })
}

/// The warnings of a run with `--format json`, each as `code: message` on a line.
#[track_caller]
pub(crate) fn warnings(output: &Output) -> String {
    let json = output.json();
    let warnings = json["quality"]["warnings"].as_array().unwrap();
    let lines: Vec<String> = warnings
        .iter()
        .map(|w| {
            format!(
                "{}: {}",
                w["code"].as_str().unwrap(),
                w["message"].as_str().unwrap()
            )
        })
        .collect();
    lines.join("\n")
}

/// The values of a key in the document: `[new, missing, both]`.
pub(crate) fn values(json: &serde_json::Value, key: &str) -> [Vec<String>; 3] {
    let keys = json["keys"].as_array().unwrap();
    let key = keys.iter().find(|k| k["key"] == key).unwrap();
    ["new", "missing", "groups"].map(|list| {
        let values = key[list].as_array().unwrap().iter();
        values
            .map(|v| v["value"].as_str().unwrap().to_owned())
            .collect()
    })
}
