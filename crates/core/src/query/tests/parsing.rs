//! What is read, as the canonical text it prints to, and that this text reads back.

use proptest::prelude::*;

use super::trees::any_query;
use crate::query::{
    MAX_DEPTH, MAX_PATTERN_TEXT_BYTES, MAX_PATTERNS, MAX_QUERY_BYTES, MAX_VALUES, Problem, Query,
};

fn check(text: &str, canonical: &str) {
    let query = Query::parse(text).unwrap_or_else(|error| panic!("{}", error.render(text)));
    assert_eq!(query.to_string(), canonical);
    assert_eq!(Query::parse(canonical), Ok(query), "{canonical}");
}

/// The text is canonical.
fn same(text: &str) {
    check(text, text);
}

#[test]
fn the_original_language_is_printed_as_it_was() {
    same(r#"service IN ("android")"#);
    same(r#"operation IN ("api/v1/charge") AND customer_id NOT IN ("test0")"#);
    same(r#"service IN ("web") AND ignore.github.repo NOT IN ("o/r", "p/q")"#);
    same(r#"http.url MATCHES REGEXP ("api/v\d+\.json", "^/x$")"#);
    same(r#"lightstep.span_id IN ("a1") AND lightstep.trace_id NOT IN ("b2")"#);
    same(r#"lightstep.tracer_id NOT MATCHES REGEXP ("x")"#);
    check(r#"service in (web)"#, r#"service IN ("web")"#);
    check(
        "SERVICE\tNot\nIn(web,\u{a0}api:1/-x_2.3)",
        r#"SERVICE NOT IN ("web", "api:1/-x_2.3")"#,
    );
    check(
        r#""customer_id" not Matches regexp ("test0")"#,
        r#"customer_id NOT MATCHES REGEXP ("test0")"#,
    );
    check(
        r#""service" IN ("a") and "operation" IN ("b")"#,
        r#"service IN ("a") AND operation IN ("b")"#,
    );
    check(r#"x IN (AND, not, "(")"#, r#"x IN ("AND", "not", "(")"#);
}

#[test]
fn a_keyword_before_an_operator_is_a_key() {
    check(r#"exists IN (x)"#, r#""exists" IN ("x")"#);
    check(r#"NOT IN (x)"#, r#""NOT" IN ("x")"#);
    check(r#"not NOT IN (x)"#, r#""not" NOT IN ("x")"#);
    check(
        r#"a IN (x) AND and MATCHES REGEXP (y)"#,
        r#"a IN ("x") AND "and" MATCHES REGEXP ("y")"#,
    );
    check("NOT not = 5", r#"NOT ("not" = 5)"#);
}

#[test]
fn connectives_nest() {
    check(
        "a=1 or b=2 AND c=3 or (d=4)",
        "a = 1 OR b = 2 AND c = 3 OR d = 4",
    );
    check(
        "(a=1 or b=2) and (c=3 and (d=4 and e=5))",
        "(a = 1 OR b = 2) AND c = 3 AND d = 4 AND e = 5",
    );
    check("a=1 or (b=2 or c=3)", "a = 1 OR b = 2 OR c = 3");
    check("not a=1 and b=2", "NOT (a = 1) AND b = 2");
    check("not (a=1 and b=2)", "NOT (a = 1 AND b = 2)");
    check("not not ((a=1))", "NOT (NOT (a = 1))");
    check("not (exists a)", "NOT EXISTS a");
}

#[test]
fn one_value_is_compared() {
    check("service = frontend", r#"service = "frontend""#);
    check("service.name != frontend", r#"service != "frontend""#);
    check(r#"a='x "y"'"#, r#"a = "x \"y\"""#);
    check("service = 42", r#"service = "42""#);
    same("a = -1.5e-3 AND a != 007");
    same(r#"a = "200" AND a != "-1""#);
    check(
        "a<5 and a<=5 and a>.5 and a>=-5",
        "a < 5 AND a <= 5 AND a > .5 AND a >= -5",
    );
    check(r#"a >= "5""#, "a >= 5");
    check("a = true", r#"a = "true""#);
    check("a = 1e999", r#"a = "1e999""#);
    check("exists http.url", "EXISTS http.url");
    check("trace_id = A1", r#"trace_id = "A1""#);
    same(r#""trace_id" = "no id""#);
}

#[test]
fn a_span_has_fields_of_its_own() {
    check(
        "kind = SERVER and kind != span_kind_client",
        "kind = server AND kind != client",
    );
    check(
        "status = Error or status != STATUS_CODE_UNSET",
        "status = error OR status != unset",
    );
    check(
        "error = true and error != TRUE",
        "error = true AND error = false",
    );
    check(r#"root != "false""#, "root = true");
    same(r#""kind" = "server" AND "duration" > 5 AND EXISTS "root""#);
    same(r#"kind IN ("server") AND "kind" NOT IN ("client")"#);
}

#[test]
fn durations_have_units() {
    check("duration>250ms", "duration > 250ms");
    check("duration >= 1.5s", "duration >= 1500ms");
    check("duration < 1m30s", "duration < 90s");
    check("duration <= 1h", "duration <= 1h");
    check(
        "duration = 250 us and a = ms",
        r#"duration = 250us AND a = "ms""#,
    );
    check("duration != 250\u{b5}s", "duration != 250us");
    check("duration != 250\u{3bc}s", "duration != 250us");
    check("duration > 0s", "duration > 0ns");
    check("duration > 0.000000001s", "duration > 1ns");
    check(r#"duration > "60s""#, "duration > 1m");
    check(
        "duration > 18446744073709551615ns",
        "duration > 18446744073709551615ns",
    );
}

#[test]
fn texts_are_quoted_in_many_ways() {
    check(
        "a IN (“x”, ”y“, „z”, ‘v’, 'w')",
        r#"a IN ("x", "y", "z", "v", "w")"#,
    );
    check(r#"a IN ("say “hi” 'you'")"#, r#"a IN ("say “hi” 'you'")"#);
    check(
        r#"a IN ('it\'s', "\"", "“")"#,
        r#"a IN ("it's", "\"", "“")"#,
    );
    check(
        r#"a IN ("\\", "\\\\", "\d", "\\d", "x\\")"#,
        r#"a IN ("\\", "\\\\", "\d", "\d", "x\\")"#,
    );
    check("a IN (\"1\n2\t3\r\")", r#"a IN ("1\n2\t3\r")"#);
    check("a IN (\"\\\n\")", r#"a IN ("\\\n")"#);
    check(r#"a IN ("1\n2\t3\r", "")"#, r#"a IN ("1\n2\t3\r", "")"#);
    check(
        r#""a b" = x AND "a“b" = y"#,
        r#""a b" = "x" AND "a“b" = "y""#,
    );
    check("größe = \"1\" \u{feff}", "größe = \"1\"");
}

#[test]
fn the_original_language_is_known() {
    let check = |text: &str, expected: bool| {
        assert_eq!(
            Query::parse(text).unwrap().is_original(),
            expected,
            "{text}"
        );
    };
    check("service IN (a)", true);
    check(
        "service IN (a) AND x NOT MATCHES REGEXP (b) AND kind IN (c)",
        true,
    );
    check("(service IN (a))", true);
    check("x IN (a) AND x IN (b)", false);
    check("service IN (a) OR x IN (b)", false);
    check("NOT (x IN (a))", false);
    check("x = a", false);
    check("x IN (a) AND (y IN (b) OR z IN (c))", false);
}

#[test]
fn the_examples_of_the_documentation_are_queries() {
    let page = include_str!("../../../../../docs/query-language.md");
    let examples = page.split("```").nth(1).unwrap().trim();
    assert!(examples.lines().count() >= 5);
    for example in examples.lines() {
        Query::parse(example).unwrap_or_else(|error| panic!("{}", error.render(example)));
    }
    assert!(
        page.contains(
            &Query::parse("service in frontend")
                .unwrap_err()
                .render("service in frontend")
        )
    );
}

#[test]
fn limits_hold() {
    let nested = |levels: usize, open: &str| {
        let text = format!(
            "{}a = 1 OR b = 2 AND c = 3{}",
            open.repeat(levels),
            ")".repeat(levels)
        );
        Query::parse(&text)
    };
    for open in ["(", "NOT ("] {
        let query = nested(MAX_DEPTH, open).unwrap();
        assert_eq!(Query::parse(&query.to_string()), Ok(query));
        assert_eq!(
            nested(MAX_DEPTH + 1, open).unwrap_err().problem(),
            &Problem::TooDeep
        );
    }
    let nots = format!("{}a = 1", "NOT ".repeat(MAX_DEPTH));
    let query = Query::parse(&nots).unwrap();
    assert_eq!(Query::parse(&query.to_string()), Ok(query));
    assert_eq!(
        nested(30_000, "(").unwrap_err().problem(),
        &Problem::TooDeep
    );

    let values = |count: usize| Query::parse(&format!("a IN ({})", vec!["x"; count].join(",")));
    assert!(values(MAX_VALUES).is_ok());
    assert_eq!(
        values(MAX_VALUES + 1).unwrap_err().problem(),
        &Problem::TooManyValues
    );

    let patterns = |count: usize| {
        Query::parse(&format!(
            "a MATCHES REGEXP ({})",
            vec!["x"; count].join(",")
        ))
    };
    assert!(patterns(MAX_PATTERNS).is_ok());
    assert_eq!(
        patterns(MAX_PATTERNS + 1).unwrap_err().problem(),
        &Problem::TooManyPatterns
    );

    let pattern =
        |length: usize| Query::parse(&format!("a MATCHES REGEXP ({})", "x".repeat(length)));
    assert!(pattern(MAX_PATTERN_TEXT_BYTES).is_ok());
    let error = pattern(MAX_PATTERN_TEXT_BYTES + 1).unwrap_err();
    assert_eq!(error.problem(), &Problem::TooLongPatterns);

    let long = |length: usize| Query::parse(&format!("a = \"{}\"", "ä".repeat((length - 6) / 2)));
    assert!(long(MAX_QUERY_BYTES).is_ok());
    let error = long(MAX_QUERY_BYTES + 2).unwrap_err();
    assert!(matches!(error.problem(), Problem::TooLong { .. }));
}

proptest! {
    #[test]
    fn what_is_printed_reads_back(query in any_query()) {
        prop_assert_eq!(Query::parse(&query.to_string()), Ok(query));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>()) {
        if let Err(error) = Query::parse(&text) {
            error.render(&text);
        }
    }

    #[test]
    fn no_row_of_tokens_makes_the_parser_panic(tokens in prop::collection::vec(token(), 0..20)) {
        let text = tokens.join(" ");
        match Query::parse(&text) {
            Ok(query) => prop_assert_eq!(Query::parse(&query.to_string()), Ok(query)),
            Err(error) => {
                prop_assert!(text.is_char_boundary(error.span().end));
                error.render(&text);
            }
        }
    }
}

fn token() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "a", "service", "duration", "kind", "error", "(", ")", ",", "=", "!=", "<", ">=", "AND",
        "OR", "NOT", "IN", "MATCHES", "REGEXP", "EXISTS", "5", "5ms", "ms", "true", "server",
        "\"x\"", "\"", "“ü”", "\\", "\n", "&&",
    ])
}
