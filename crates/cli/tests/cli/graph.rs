//! The service graph, drawn: what is new, gone and changed, whatever services are called.

use std::time::Duration;

use tracediff_testkit::{Sandbox, Traces};

use super::shop::sandbox_of;

/// Two minutes with a trace a second, whose durations vary a little.
fn many(text: &str) -> Traces {
    let traces = Traces::parse(text).repeat(120, Duration::from_secs(1));
    traces.edit(|span| {
        let noise = (span.trace * 7_919 + span.id * 104_729) % 101;
        span.end_ns += (span.end_ns - span.start_ns) * noise / 2_000;
    })
}

/// Ads are gone, mail is new, the cart is called twice, and its database got slower.
fn changed() -> Sandbox {
    let before = many(
        "
         web: GET /cart 100ms server
           web: call 20ms client
             cart: load 10ms server
               cart: query 2ms client db.system.name=redis
           web: call 20ms client @40ms
             ads: list 10ms server",
    );
    let after = many(
        "
         web: GET /cart 100ms server
           web: call 20ms client
             cart: load 14ms server
               cart: query 6ms client db.system.name=redis
               cart: send 0.1ms producer @5ms
                 mail: receive 10ms consumer
           web: call 20ms client @40ms
             cart: load 14ms server
               cart: query 6ms client db.system.name=redis",
    );
    sandbox_of(&before, &after)
}

fn drawn(sandbox: &Sandbox, format: &str) -> String {
    let output = sandbox.run(&format!(
        "compare before.jsonl after.jsonl --format {format}"
    ));
    output.expect_code(0).to_owned()
}

/// The drawing without the diff's sentence, which has tests of its own.
fn drawn_without_sentence(sandbox: &Sandbox, format: &str) -> String {
    let json = sandbox
        .run("compare before.jsonl after.jsonl --format json")
        .json();
    drawn(sandbox, format).replace(json["sentence"].as_str().unwrap(), "SENTENCE")
}

#[test]
fn dot_marks_what_changed_by_word_colour_and_line() {
    insta::assert_snapshot!(drawn_without_sentence(&changed(), "dot"), @r##"
    digraph services {
      graph [rankdir=LR, labelloc=t, fontname="sans-serif", fontsize=12, nodesep=0.3, ranksep=0.9, label="before.jsonl → after.jsonl\nSENTENCE\n33.3 % of the calls are the same\nservices and dependencies (1 new, 1 gone, 2 changed, 1 unchanged)\ncalls between them (1 new, 1 gone, 2 changed)\nnew = green, bold; gone = red, dashed; changed = orange; numbers are calls per trace"];
      node [shape=box, style=rounded, fontname="sans-serif", fontsize=12, color="#6b7280"];
      edge [fontname="sans-serif", fontsize=10, color="#6b7280"];
      n0 [label="ads\ngone, was 1", color="#b91c1c", fontcolor="#b91c1c", penwidth=1.5, style="rounded,dashed"];
      n1 [label="cart\nchanged, calls 1 → 2", color="#c2410c", fontcolor="#c2410c", penwidth=2, style="rounded,solid"];
      n2 [label="mail\nnew, 1", color="#15803d", fontcolor="#15803d", penwidth=2.5, style="rounded,bold"];
      n3 [label="redis\nchanged, calls 1 → 2\nmedian 2.05 ms → 6.15 ms\np95 2.11 ms → 6.3 ms", shape=cylinder, color="#c2410c", fontcolor="#c2410c", penwidth=2, style="solid"];
      n4 [label="web\n1"];
      n1 -> n2 [label="message\nnew, 1", arrowhead=empty, color="#15803d", fontcolor="#15803d", penwidth=2.5, style="bold"];
      n1 -> n3 [label="changed, calls 1 → 2\nmedian 2.05 ms → 6.15 ms\np95 2.11 ms → 6.3 ms", color="#c2410c", fontcolor="#c2410c", penwidth=2, style="solid"];
      n4 -> n0 [label="gone, was 1", color="#b91c1c", fontcolor="#b91c1c", penwidth=1.5, style="dashed"];
      n4 -> n1 [label="changed, calls 1 → 2\ngap median 10.3 ms → 6.21 ms\ngap p95 10.6 ms → 6.41 ms", color="#c2410c", fontcolor="#c2410c", penwidth=2, style="solid"];
    }
    "##);
}

#[test]
fn mermaid_marks_what_changed_by_word_colour_and_line() {
    insta::assert_snapshot!(drawn_without_sentence(&changed(), "mermaid"), @r##"
    flowchart LR
      %% before.jsonl → after.jsonl
      %% SENTENCE
      %% 33.3 % of the calls are the same
      %% services and dependencies (1 new, 1 gone, 2 changed, 1 unchanged)
      %% calls between them (1 new, 1 gone, 2 changed)
      %% new = green, bold; gone = red, dashed; changed = orange; numbers are calls per trace
      n0["ads<br/>gone, was 1"]
      n1["cart<br/>changed, calls 1 → 2"]
      n2["mail<br/>new, 1"]
      n3[("redis<br/>changed, calls 1 → 2<br/>median 2.05 ms → 6.15 ms<br/>p95 2.11 ms → 6.3 ms")]
      n4["web<br/>1"]
      n1 -.->|"message<br/>new, 1"| n2
      n1 -->|"changed, calls 1 → 2<br/>median 2.05 ms → 6.15 ms<br/>p95 2.11 ms → 6.3 ms"| n3
      n4 -->|"gone, was 1"| n0
      n4 -->|"changed, calls 1 → 2<br/>gap median 10.3 ms → 6.21 ms<br/>gap p95 10.6 ms → 6.41 ms"| n1
      classDef new stroke:#15803d,stroke-width:3px
      class n2 new
      classDef gone stroke:#b91c1c,stroke-dasharray:6 4
      class n0 gone
      classDef changed stroke:#c2410c,stroke-width:2px
      class n1,n3 changed
      linkStyle 0 stroke:#15803d,stroke-width:3px
      linkStyle 2 stroke:#b91c1c,stroke-dasharray:6 4
      linkStyle 1,3 stroke:#c2410c,stroke-width:2px
    "##);
}

#[test]
fn the_same_traces_are_drawn_the_same() {
    let sandbox = changed();
    for format in ["dot", "mermaid"] {
        assert_eq!(drawn(&sandbox, format), drawn(&sandbox, format));
    }
}

#[test]
fn no_name_breaks_a_drawing() {
    let nasty = [
        "quote\"d",
        "back\\slash\\",
        "line\nbreak",
        "a\"]; evil [label=\"x",
        "[brackets](and) {braces} <b>&amp;</b>",
        "#35; %%{init: x}%% `md` |pipe|",
        "größe → 日本 \u{202e}",
        "end",
        "",
    ];
    let mut traces = many(
        "
         web: GET /cart 100ms server
           web: call 20ms client
             cart: load 10ms server",
    );
    for span in &mut traces.spans {
        if span.service == "cart" {
            span.service = nasty[span.trace as usize % nasty.len()].to_owned();
        }
    }
    let sandbox = sandbox_of(&traces, &traces);
    let dot = drawn(&sandbox, "dot");
    let mut nodes = 0;
    for line in dot.lines().skip(4).filter(|line| line.starts_with("  n")) {
        // Outside of its quoted strings a line is only what this program writes.
        let bare = outside_of_strings(line);
        let is_own = |c: char| c.is_ascii_alphanumeric() || " []=,;->\"".contains(c);
        assert!(bare.chars().all(is_own), "{line}");
        nodes += usize::from(!bare.contains("->"));
    }
    assert_eq!(nodes, nasty.len() + 1, "{dot}");
    let mermaid = drawn(&sandbox, "mermaid");
    let nodes = mermaid.lines().filter(|line| line.ends_with("\"]"));
    assert_eq!(nodes.count(), nasty.len() + 1, "{mermaid}");
    for line in mermaid.lines().filter(|line| line.starts_with("  n")) {
        let inside: Vec<&str> = line.split('"').collect();
        assert_eq!(inside.len(), 3, "{line}");
        let text = inside[1].replace("<br/>", "");
        assert!(
            !text.contains(['[', ']', '{', '}', '<', '>', '`', '%', '|', '&', ':']),
            "{line}"
        );
    }
}

/// The line with every quoted string emptied.
fn outside_of_strings(line: &str) -> String {
    let (mut bare, mut is_inside, mut is_escaped) = (String::new(), false, false);
    for c in line.chars() {
        match c {
            '"' if !is_escaped => {
                is_inside = !is_inside;
                bare.push(c);
            }
            c if !is_inside => bare.push(c),
            _ => {}
        }
        is_escaped = is_inside && c == '\\' && !is_escaped;
    }
    assert!(!is_inside, "{line}");
    bare
}
