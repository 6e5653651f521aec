//! The table and the Markdown, loosely: their layout has tests of its own.

use super::shop::{sandbox_of, shop, small};

const ESCAPE: char = '\u{1b}';

#[test]
fn the_first_line_is_the_sentence() {
    let sandbox = sandbox_of(&shop(10, 40), &shop(10, 90));
    let table = sandbox.run("compare before.jsonl after.jsonl");
    let json = sandbox
        .run("compare before.jsonl after.jsonl --format json")
        .json();
    let sentence = json["sentence"].as_str().unwrap();
    assert!(sentence.contains("GET /cart"), "{sentence}");
    let first = table.expect_code(0).split("\n\n").next().unwrap();
    assert_eq!(
        first.split_whitespace().collect::<Vec<_>>().join(" "),
        sentence
    );
    let markdown = sandbox.run("compare before.jsonl after.jsonl --format markdown");
    assert!(markdown.expect_code(0).starts_with("**"), "{markdown}");
}

#[test]
fn colours_are_for_terminals_only() {
    let sandbox = sandbox_of(&shop(10, 40), &shop(10, 90));
    let run = |environment: &[(&str, &str)]| {
        sandbox
            .run_with("compare before.jsonl after.jsonl", environment, b"")
            .expect_code(0)
            .to_owned()
    };
    let plain = run(&[]);
    assert!(!plain.contains(ESCAPE));
    let coloured = run(&[("CLICOLOR_FORCE", "1")]);
    assert!(coloured.contains(ESCAPE));
    assert_eq!(run(&[("NO_COLOR", "1")]), plain);
    assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), plain);
}

#[test]
fn lines_fit_the_width() {
    let long = shop(1, 40).edit(|span| span.operation = format!("GET /{}", "long/".repeat(60)));
    let sandbox = sandbox_of(&long, &shop(1, 90));
    let output = sandbox.run("compare before.jsonl after.jsonl");
    for line in output.expect_code(0).lines() {
        assert!(unicode_width::UnicodeWidthStr::width(line) <= 110, "{line}");
    }
}

#[test]
fn change_is_told_by_word_as_well_as_colour() {
    let sandbox = sandbox_of(&shop(10, 40), &shop(10, 90));
    let output = sandbox.run("compare before.jsonl after.jsonl");
    assert!(
        output.stdout.contains("slower") && output.stdout.contains('▲'),
        "{output}"
    );
    let output = sandbox.run("compare after.jsonl before.jsonl");
    assert!(
        output.stdout.contains("faster") && output.stdout.contains('▼'),
        "{output}"
    );
}

#[test]
fn top_bounds_the_rows() {
    let many = |from: u64| {
        shop(1, 40).edit(move |span| span.operation = format!("op{}", from + span.trace % 30))
    };
    let sandbox = sandbox_of(&many(0), &many(0));
    let rows = |arguments: &str| {
        let output = sandbox.run(&format!("compare before.jsonl after.jsonl {arguments}"));
        let text = output.expect_code(0).to_owned();
        (0..30)
            .filter(|n| text.contains(&format!(" op{n} ")))
            .count()
    };
    assert_eq!((rows("--top 3"), rows("--top 100")), (3, 30));
}

#[test]
fn nothing_but_errors_goes_to_standard_error() {
    for format in ["table", "json", "markdown", "compat"] {
        let output = small().run(&format!(
            "compare before.jsonl after.jsonl --format {format}"
        ));
        assert_eq!(output.stderr, "");
        assert!(output.expect_code(0).ends_with('\n'));
    }
}

#[test]
fn markdown_stays_short_whatever_the_input() {
    let wide = shop(10, 40).edit(|span| {
        span.operation = format!("{} {}", span.trace, "x".repeat(300));
    });
    let sandbox = sandbox_of(&wide, &wide);
    let output =
        sandbox.run("compare before.jsonl after.jsonl --format markdown --top 10000 --by service");
    let text = output.expect_code(0);
    assert!(text.len() < 65_536, "{} bytes", text.len());
    assert!(
        text.contains("left out to keep this comment short"),
        "{text}"
    );
}
