//! The full document: its schema, its version, and that the same traces always give the same bytes.

use tracediff_testkit::Traces;

use super::shop::{sandbox, sandbox_of, shop, small, values};

#[test]
fn the_document_is_valid_by_its_own_schema() {
    let schema = sandbox().run("schema").json();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let shops = sandbox_of(&shop(10, 40), &shop(10, 90));
    for sandbox in [small(), shops] {
        let mut document = sandbox
            .run("compare before.jsonl after.jsonl --format json")
            .json();
        let errors: Vec<String> = validator
            .iter_errors(&document)
            .map(|e| format!("{}: {e}", e.instance_path))
            .collect();
        assert_eq!(errors, Vec::<String>::new());
        // The schema is not so lax that everything is valid.
        document["keys"][0]["role"] = "none".into();
        assert!(!validator.is_valid(&document));
    }
}

#[test]
fn the_document_of_single_traces_is_valid_too() {
    let one = Traces::parse("web: GET / 5ms");
    let validator = jsonschema::validator_for(&sandbox().run("schema").json()).unwrap();
    let output = sandbox_of(&one, &one).run("compare before.jsonl after.jsonl --format json");
    let document = output.json();
    let errors: Vec<String> = validator
        .iter_errors(&document)
        .map(|e| format!("{}: {e}", e.instance_path))
        .collect();
    assert_eq!(errors, Vec::<String>::new());
}

#[test]
fn the_document_has_a_version_and_all_its_parts() {
    let document = small()
        .run("compare before.jsonl after.jsonl --format json")
        .json();
    assert_eq!(document["version"], 1);
    let mut names: Vec<&String> = document.as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(
        names,
        [
            "attribution",
            "culprits",
            "findings",
            "graph",
            "keys",
            "left_out",
            "outcome",
            "policy",
            "quality",
            "requests",
            "sentence",
            "structure",
            "traces",
            "version"
        ]
    );
    assert_eq!(
        values(&document, "app.tier"),
        [vec![], vec!["silver".to_owned()], vec!["gold".to_owned()]],
        "an attribute that nobody asked for"
    );
}

#[test]
fn two_runs_give_the_same_bytes() {
    let sandbox = sandbox_of(&shop(10, 40), &shop(10, 90));
    let run = || sandbox.run("compare before.jsonl after.jsonl --format json");
    let first = run();
    assert!(first.expect_code(0).contains("\"regressed\""));
    assert_eq!(first, run());
}

#[test]
fn the_order_of_lines_does_not_matter() {
    let traces = [shop(10, 40), shop(10, 90)];
    let sandbox = sandbox_of(&traces[0], &traces[1]);
    let sorted = sandbox.run("compare before.jsonl after.jsonl --format json");
    for (name, traces) in ["before.jsonl", "after.jsonl"].into_iter().zip(&traces) {
        sandbox.write(name, shuffled(traces));
    }
    let shuffled = sandbox.run("compare before.jsonl after.jsonl --format json");
    assert_eq!(sorted.expect_code(0), shuffled.stdout);
}

#[test]
fn an_order_in_which_roots_come_last_does_not_matter() {
    // There are more children than spans in a batch, so that the first batch has no root at all.
    let (before, after) = (shop(150, 40), shop(150, 90));
    let sandbox = sandbox_of(&before, &after);
    let sorted = sandbox.run("compare before.jsonl after.jsonl --format json");
    for (name, mut traces) in [("before.jsonl", before), ("after.jsonl", after)] {
        traces
            .spans
            .sort_by_key(|span| (span.parent == 0, span.trace));
        sandbox.write(name, traces.otlp_json_lines());
    }
    let roots_last = sandbox.run("compare before.jsonl after.jsonl --format json");
    assert_eq!(sorted.expect_code(0), roots_last.stdout);
}

/// One span a line, in an order that has nothing to do with traces or time.
fn shuffled(traces: &Traces) -> String {
    let mut lines: Vec<String> = traces
        .spans
        .iter()
        .map(|span| {
            Traces {
                spans: vec![span.clone()],
            }
            .otlp_json_lines()
        })
        .collect();
    lines.sort_by_cached_key(|line| {
        line.bytes()
            .fold(7u64, |hash, byte| {
                hash.wrapping_mul(31).wrapping_add(byte.into())
            })
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
    });
    lines.concat()
}

#[test]
fn swapping_the_sides_swaps_new_and_missing() {
    let sandbox = small();
    let document = |line: &str| sandbox.run(line).json();
    let there = document("compare before.jsonl after.jsonl --format json");
    let back = document("compare after.jsonl before.jsonl --format json");
    let [new, missing, both] = values(&there, "operation");
    assert_eq!((new.len(), missing.len(), both.len()), (1, 0, 2));
    assert_eq!(values(&back, "operation"), [missing, new, both]);
}

#[test]
fn a_set_compared_with_itself_has_no_findings() {
    let sandbox = sandbox_of(&shop(10, 40), &Traces::default());
    let document = sandbox
        .run("compare before.jsonl before.jsonl --format json")
        .json();
    assert_eq!(document["findings"].as_array().unwrap().len(), 0);
    assert_eq!(document["quality"]["can_confirm"], true);
}

#[test]
fn every_finding_leads_to_traces_that_are_in_the_input() {
    let sandbox = sandbox_of(&shop(10, 40), &shop(10, 90));
    let document = sandbox
        .run("compare before.jsonl after.jsonl --format json")
        .json();
    let finding = &document["findings"][0];
    assert_eq!(finding["verdict"], "regressed");
    let keys = document["keys"].as_array().unwrap();
    let key = keys.iter().find(|k| k["key"] == finding["key"]).unwrap();
    let groups = key["groups"].as_array().unwrap();
    let group = groups
        .iter()
        .find(|g| g["value"] == finding["value"])
        .unwrap();
    for (side, file) in [("baseline", "before.jsonl"), ("candidate", "after.jsonl")] {
        let slowest = group[side]["exemplars"]["slowest"].as_array().unwrap();
        assert!(!slowest.is_empty());
        let content = sandbox.read(file);
        for id in slowest {
            assert!(content.contains(id.as_str().unwrap()), "{id} in {file}");
        }
    }
}
