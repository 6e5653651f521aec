//! What is told of the evidence: what bad traces have in common, whole traces, how requests are made up, the graph.

use tracediff_testkit::{Traces, Value};

use super::shop::{sandbox_of, shop};

/// The shop with the cart's calls on one of four pods; on the third they take `cart_ms`.
fn pods(cart_ms: u64) -> Traces {
    shop(10, 40).edit(|span| {
        let pod = (span.trace.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) % 4;
        if span.service == "cart" {
            let name = Value::Text(format!("cart-{pod}"));
            span.resource.push(("k8s.pod.name".to_owned(), name));
        }
        if pod == 2 {
            span.end_ns += (cart_ms - 40) * 1_000_000;
        }
    })
}

#[test]
fn the_table_says_what_slow_traces_have_in_common() {
    let sandbox = sandbox_of(&pods(40), &pods(300));
    let output = sandbox.run("compare before.jsonl after.jsonl");
    let table = output.expect_code(0);
    let start = table.find("WHERE TO START").unwrap();
    let end = table.find("WHAT CHANGED").unwrap();
    let section = &table[start..end];
    assert!(section.contains("1. cart: +"), "{section}");
    assert!(
        section.contains("confined to k8s.pod.name=cart-2 of cart: 100 % of it in 2"),
        "{section}"
    );
    assert!(section.contains("look at trace "), "{section}");
    let markdown = sandbox.run("compare before.jsonl after.jsonl --format markdown");
    let markdown = markdown.expect_code(0);
    assert!(
        markdown.contains("   - confined to k8s.pod.name=cart-2 of cart: 100 % of it in 2"),
        "{markdown}"
    );
}

#[test]
fn named_traces_are_kept_whole_on_request() {
    let sandbox = sandbox_of(&pods(40), &pods(300));
    let document = |options: &str| {
        let command = format!("compare before.jsonl after.jsonl --format json {options}");
        sandbox.run(&command).json()
    };
    let plain = document("");
    assert_eq!(plain["traces"], serde_json::json!([]));
    let explanation = &plain["culprits"][0]["explanation"];
    let kept = document("--exemplars 1");
    let traces = kept["traces"].as_array().unwrap();
    let sides: Vec<_> = traces.iter().map(|t| &t["side"]).collect();
    assert_eq!(sides, ["baseline", "candidate"]);
    assert_eq!(traces[0]["trace_id"], explanation["matched"]);
    assert_eq!(traces[1]["trace_id"], explanation["typical"]);
    let spans = traces[1]["spans"].as_array().unwrap();
    let pod = &spans[1]["attributes"];
    assert!(pod.to_string().contains("cart-2"), "{pod}");
    let critical: i64 = spans
        .iter()
        .map(|s| s["critical_ns"].as_i64().unwrap())
        .sum();
    assert_eq!(Some(critical), spans[0]["duration_ns"].as_i64());
    // Where nothing is to be explained, requests have their examples all the same.
    let same = sandbox_of(&pods(40), &pods(40));
    let quiet = same.run("compare before.jsonl after.jsonl --format json --exemplars 1");
    assert_eq!(quiet.json()["traces"].as_array().unwrap().len(), 2);
}

#[test]
fn several_passes_explain_the_same() {
    let sandbox = sandbox_of(&pods(40), &pods(300));
    let command = "compare before.jsonl after.jsonl --format json --exemplars 2";
    let whole = sandbox.run(command).json();
    let passes = sandbox
        .run(&format!("{command} --memory-limit 1MiB"))
        .json();
    assert_eq!(
        whole["culprits"][0]["explanation"],
        passes["culprits"][0]["explanation"]
    );
    assert_eq!(whole["traces"], passes["traces"]);
}

#[test]
fn new_calls_are_told_in_both_sections() {
    let with_call = |text: &str| {
        let text = format!(
            "web: GET /cart 60ms server\n  web: ask 40ms client @5ms\n    cart: load 30ms server @5ms{text}"
        );
        Traces::parse(&format!("\n{text}")).repeat(300, std::time::Duration::from_secs(1))
    };
    let before = with_call("");
    let after =
        with_call("\n      cart: call 10ms client @5ms\n        stock: check 5ms server @2ms");
    let output = sandbox_of(&before, &after).run("compare before.jsonl after.jsonl");
    let table = output.expect_code(0);
    assert!(
        table.contains("~ cart load now calls stock check (300 traces)"),
        "{table}"
    );
    assert!(
        table.contains("SERVICE GRAPH\n~ new: stock\n~ new calls: cart → stock\n"),
        "{table}"
    );
}
