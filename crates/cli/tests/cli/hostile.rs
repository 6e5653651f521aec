//! Input that wants to do something to the terminal or the page it is shown on.

use tracediff_testkit::{Sandbox, Traces, Value};

use super::shop::{sandbox_of, shop, small};

/// Escape codes that clear the screen and set its title, a carriage return, a bell, a backspace, Markdown and HTML.
const HOSTILE: &str = "a\u{1b}[2J\u{1b}]0;title\u{7}\rb\u{8}cd\n| <img src=x> `e`";
/// The form of `ESC [` in one character, and DEL.
const CONTROL: &str = "f\u{9b}31mg\u{7f}h";
/// A right-to-left override, which lets text look like another.
const BIDIRECTIONAL: &str = "i\u{202e}j";

/// The shop with this in every service, operation and attribute, and a third of its calls orphaned.
fn shops_with(hostile: &str) -> Sandbox {
    let poison = |traces: Traces| {
        traces.edit(|span| {
            span.service = format!("s{hostile}");
            span.operation = format!("o{hostile}");
            let value = Value::Text(format!("v{hostile}"));
            span.attributes.push((format!("k{hostile}"), value));
            if span.parent != 0 && span.trace % 3 == 0 {
                span.parent = 99;
            }
        })
    };
    sandbox_of(&poison(shop(10, 40)), &poison(shop(10, 90)))
}

/// What the table itself writes: colours and styles, nothing else.
fn without_styles(text: &str) -> String {
    let mut clean = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("\u{1b}[") {
        clean.push_str(&rest[..at]);
        let code = &rest[at + 2..];
        let end = code
            .find(|c: char| !c.is_ascii_digit() && c != ';')
            .unwrap();
        assert_eq!(&code[end..=end], "m", "{code:.20}");
        rest = &code[end + 1..];
    }
    clean + rest
}

#[track_caller]
fn assert_harmless(text: &str) {
    let is_bad = |c: &char| {
        let is_override = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        c.is_control() && *c != '\n' || is_override
    };
    assert_eq!(text.chars().find(is_bad), None, "{text:?}");
}

#[track_caller]
fn check_table(hostile: &str) {
    let sandbox = shops_with(hostile);
    for environment in [&[][..], &[("CLICOLOR_FORCE", "1")]] {
        let output = sandbox.run_with("compare before.jsonl after.jsonl", environment, b"");
        assert_harmless(&without_styles(output.expect_code(0)));
    }
}

#[track_caller]
fn check_markdown(hostile: &str) {
    let output = shops_with(hostile).run_with(
        "compare before.jsonl after.jsonl --format markdown",
        &[("CLICOLOR_FORCE", "1")],
        b"",
    );
    assert_harmless(output.expect_code(0));
    // Inside code, between backticks, HTML is text.
    let outside: String = output.stdout.split('`').step_by(2).collect();
    assert!(!outside.contains("<img"), "{output}");
}

#[track_caller]
fn check_json(hostile: &str) {
    let sandbox = shops_with(hostile);
    for format in ["json", "compat"] {
        let output = sandbox.run(&format!(
            "compare before.jsonl after.jsonl --format {format}"
        ));
        assert!(!output.expect_code(0).contains('\u{1b}'));
        let value = serde_json::Value::from(format!("o{hostile}"));
        let keys = &output.json()[if format == "json" { "keys" } else { "diffs" }];
        let operation = keys
            .as_array()
            .unwrap()
            .iter()
            .find(|key| key["key"] == "operation")
            .unwrap();
        let groups = &operation[if format == "json" { "groups" } else { "diffs" }];
        assert_eq!(groups[0]["value"], value);
    }
}

#[test]
fn control_characters_do_not_reach_the_table() {
    check_table(HOSTILE);
    check_table(CONTROL);
}

#[test]
fn text_does_not_change_its_direction_in_the_table() {
    check_table(BIDIRECTIONAL);
}

#[test]
fn control_characters_do_not_reach_the_markdown() {
    check_markdown(HOSTILE);
    check_markdown(CONTROL);
}

#[test]
fn text_does_not_change_its_direction_in_the_markdown() {
    check_markdown(BIDIRECTIONAL);
}

#[test]
fn json_keeps_values_exactly_and_escapes_them() {
    check_json(HOSTILE);
    check_json(BIDIRECTIONAL);
}

#[test]
fn json_keeps_every_control_character() {
    check_json(CONTROL);
}

#[test]
fn control_characters_do_not_reach_standard_error() {
    let sandbox = small();
    sandbox.write("bad", "{\"a\u{1b}[2J\u{9b}b\": 1}\n");
    for line in [
        "compare bad after.jsonl",
        "compare before.jsonl after.jsonl --where 'a\u{1b}[2J = '",
        "compare before.jsonl 'no\u{1b}[2J\u{9b}such'",
    ] {
        let output = sandbox.run_with(line, &[("CLICOLOR_FORCE", "1")], b"");
        assert_eq!(output.expect_code(2), "");
        assert_harmless(&without_styles(&output.stderr));
    }
}
