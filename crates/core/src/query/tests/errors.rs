//! What a person reads after a mistake: the place, what was found there, and what would be right.

use crate::query::Query;

fn render(text: &str) -> String {
    match Query::parse(text) {
        Ok(query) => panic!("this is a query: {query}"),
        Err(error) => error.render(text),
    }
}

#[test]
fn the_place_is_told_in_bytes_and_characters() {
    let text = "größe = 1\nAND  x";
    let error = Query::parse(text).unwrap_err();
    assert_eq!((error.line(), error.column()), (2, 7));
    assert_eq!(error.span(), text.len()..text.len());
    let error = Query::parse("größe in x").unwrap_err();
    assert_eq!(
        (error.line(), error.column(), error.span()),
        (1, 10, 11..12)
    );
}

#[test]
fn another_text_than_the_one_parsed_is_rendered_too() {
    let error = Query::parse("service = web\nAND kind in server").unwrap_err();
    for other in ["", "ü", "service\nü", "\n\n"] {
        assert!(error.render(other).contains("expected `(`"));
    }
}

#[test]
fn an_empty_query() {
    insta::assert_snapshot!(render(""), @r#"

    ^ column 1: the query is empty; to match every span write `EXISTS service`
    "#);
    insta::assert_snapshot!(render("   "), @r#"

    ^ column 1: the query is empty; to match every span write `EXISTS service`
    "#);
}

#[test]
fn lists_need_parentheses() {
    insta::assert_snapshot!(render("service in frontend"), @r#"
    service in frontend
               ^^^^^^^^ column 12: expected `(` after IN, found `frontend`; write IN ("frontend")
    "#);
    insta::assert_snapshot!(render(r#"service NOT IN "a b""#), @r#"
    service NOT IN "a b"
                   ^^^^^ column 16: expected `(` after IN, found `"a b"`; write IN ("a b")
    "#);
    insta::assert_snapshot!(render("service MATCHES REGEXP x"), @r#"
    service MATCHES REGEXP x
                           ^ column 24: expected `(` after MATCHES REGEXP, found `x`; write MATCHES REGEXP ("x")
    "#);
    insta::assert_snapshot!(render("service IN = x"), @r#"
    service IN = x
               ^ column 12: expected `(` after IN, found `=`
    "#);
    insta::assert_snapshot!(render("service IN"), @r#"
    service IN
              ^ column 11: expected `(` after IN, found the end
    "#);
    insta::assert_snapshot!(render("service IN (a b)"), @r#"
    service IN (a b)
                  ^ column 15: expected `,` or `)` after a value, found `b`
    "#);
    insta::assert_snapshot!(render("service IN (a,)"), @r#"
    service IN (a,)
                  ^ column 15: expected a value, found `)`
    "#);
    insta::assert_snapshot!(render("service IN (a, b"), @r#"
    service IN (a, b
                    ^ column 17: expected `,` or `)` after a value, found the end
    "#);
    insta::assert_snapshot!(render("service IN ()"), @r#"
    service IN ()
               ^^ column 12: the list of values is empty; it needs at least one
    "#);
    insta::assert_snapshot!(render("a IN [x]"), @r#"
    a IN [x]
         ^ column 6: `[` cannot stand outside quotes; a list of values stands in parentheses
    "#);
}

#[test]
fn a_key_needs_an_operator() {
    insta::assert_snapshot!(render("service"), @r#"
    service
           ^ column 8: expected an operator (IN, NOT IN, MATCHES REGEXP, NOT MATCHES REGEXP, =, !=, <, <=, >, >=), found the end
    "#);
    insta::assert_snapshot!(render("service frontend"), @r#"
    service frontend
            ^^^^^^^^ column 9: expected an operator (IN, NOT IN, MATCHES REGEXP, NOT MATCHES REGEXP, =, !=, <, <=, >, >=), found `frontend`
    "#);
    insta::assert_snapshot!(render(r#"service LIKE "x""#), @r#"
    service LIKE "x"
            ^^^^ column 9: expected an operator (IN, NOT IN, MATCHES REGEXP, NOT MATCHES REGEXP, =, !=, <, <=, >, >=), found `LIKE`
    "#);
    insta::assert_snapshot!(render(r#"service MATCHES "x""#), @r#"
    service MATCHES "x"
                    ^^^ column 17: expected REGEXP after MATCHES, found `"x"`
    "#);
    insta::assert_snapshot!(render(r#"service NOT "x""#), @r#"
    service NOT "x"
                ^^^ column 13: expected IN or MATCHES REGEXP after NOT, found `"x"`
    "#);
    insta::assert_snapshot!(render("service EXISTS"), @r#"
    service EXISTS
            ^^^^^^ column 9: expected an operator (IN, NOT IN, MATCHES REGEXP, NOT MATCHES REGEXP, =, !=, <, <=, >, >=), found `EXISTS`; EXISTS stands before its key: `EXISTS service`
    "#);
    insta::assert_snapshot!(render(r#""" = 5"#), @r#"
    "" = 5
    ^^ column 1: a key cannot be empty
    "#);
}

#[test]
fn exists_needs_a_key() {
    insta::assert_snapshot!(render("EXISTS"), @r#"
    EXISTS
          ^ column 7: expected a key after EXISTS, found the end
    "#);
    insta::assert_snapshot!(render("EXISTS (service)"), @r#"
    EXISTS (service)
           ^ column 8: expected a key after EXISTS, found `(`
    "#);
    insta::assert_snapshot!(render("EXISTS in AND a = 1"), @r#"
    EXISTS in AND a = 1
           ^^ column 8: expected a key after EXISTS, found `in`; a key of that name needs quotes: `"in"`
    "#);
}

#[test]
fn one_value_after_a_comparison() {
    insta::assert_snapshot!(render("service ="), @r#"
    service =
             ^ column 10: expected a value after `=`, found the end
    "#);
    insta::assert_snapshot!(render("service = (a, b)"), @r#"
    service = (a, b)
              ^ column 11: `=` takes one value; for a list write `IN (…)`
    "#);
    insta::assert_snapshot!(render("service != (a)"), @r#"
    service != (a)
               ^ column 12: `!=` takes one value; for a list write `NOT IN (…)`
    "#);
}

#[test]
fn operators_of_other_languages() {
    insta::assert_snapshot!(render("service == web"), @r#"
    service == web
            ^^ column 9: `==` is not an operator; use `=`
    "#);
    insta::assert_snapshot!(render("a = 1 && b = 2"), @r#"
    a = 1 && b = 2
          ^^ column 7: `&&` is not an operator; use AND
    "#);
    insta::assert_snapshot!(render("a = 1 || b = 2"), @r#"
    a = 1 || b = 2
          ^^ column 7: `||` is not an operator; use OR
    "#);
    insta::assert_snapshot!(render("a = 1 | b = 2"), @r#"
    a = 1 | b = 2
          ^ column 7: `|` is not an operator; use OR
    "#);
    insta::assert_snapshot!(render(r#"a =~ "x""#), @r#"
    a =~ "x"
      ^^ column 3: `=~` is not an operator; use MATCHES REGEXP (…)
    "#);
    insta::assert_snapshot!(render("a <> 5"), @r#"
    a <> 5
      ^^ column 3: `<>` is not an operator; use `!=`
    "#);
    insta::assert_snapshot!(render("!a = 5"), @r#"
    !a = 5
    ^ column 1: `!` cannot stand outside quotes; use NOT or `!=`
    "#);
    insta::assert_snapshot!(render("a ~ x"), @r#"
    a ~ x
      ^ column 3: `~` cannot stand outside quotes; use MATCHES REGEXP (…)
    "#);
    insta::assert_snapshot!(render("a = 1; b = 2"), @r#"
    a = 1; b = 2
         ^ column 6: `;` cannot stand outside quotes; clauses are joined by AND
    "#);
    insta::assert_snapshot!(render("url = /x?y=1"), @r#"
    url = /x?y=1
            ^ column 9: `?` cannot stand outside quotes; put the value or key in "double quotes"
    "#);
}

#[test]
fn clauses_are_joined() {
    insta::assert_snapshot!(render("a = 1 b = 2"), @r#"
    a = 1 b = 2
          ^ column 7: expected AND, OR or the end, found `b`
    "#);
    insta::assert_snapshot!(render("a = 1 AND"), @r#"
    a = 1 AND
             ^ column 10: expected a clause such as `service IN ("frontend")`, found the end
    "#);
    insta::assert_snapshot!(render("a = 1 OR AND b = 2"), @r#"
    a = 1 OR AND b = 2
             ^^^ column 10: expected a clause such as `service IN ("frontend")`, found `AND`
    "#);
    insta::assert_snapshot!(render("AND a = 1"), @r#"
    AND a = 1
    ^^^ column 1: expected a clause such as `service IN ("frontend")`, found `AND`
    "#);
    insta::assert_snapshot!(render("NOT"), @r#"
    NOT
       ^ column 4: expected a clause such as `service IN ("frontend")`, found the end
    "#);
}

#[test]
fn parentheses_are_balanced() {
    insta::assert_snapshot!(render("()"), @r#"
    ()
     ^ column 2: expected a clause such as `service IN ("frontend")`, found `)`
    "#);
    insta::assert_snapshot!(render("(a = 1 AND (b = 2)"), @r#"
    (a = 1 AND (b = 2)
                      ^ column 19: expected AND, OR or the `)` to the `(` at column 1, found the end
    "#);
    insta::assert_snapshot!(render(r#"(a IN (x) AND b = "1""#), @r#"
    (a IN (x) AND b = "1"
                         ^ column 22: expected AND, OR or the `)` to the `(` at column 1, found the end
    "#);
    insta::assert_snapshot!(render("a = 1)"), @r#"
    a = 1)
         ^ column 6: expected AND, OR or the end, found `)`; no `(` is open here
    "#);
    insta::assert_snapshot!(render("(service = web\nAND\tkind = server"), @r#"
    AND kind = server
                     ^ line 2, column 18: expected AND, OR or the `)` to the `(` at column 1, found the end
    "#);
}

#[test]
fn quotes_are_closed() {
    insta::assert_snapshot!(render(r#"a = "x"#), @r#"
    a = "x
        ^^ column 5: the text that starts here with `"` has no closing quote
    "#);
    insta::assert_snapshot!(render(r#"a = “x""#), @r#"
    a = “x"
        ^^^ column 5: the text that starts here with `“` has no closing quote; a curly quote does not close a straight one, nor the other way round
    "#);
    insta::assert_snapshot!(render(r#"a = "x”"#), @r#"
    a = "x”
        ^^^ column 5: the text that starts here with `"` has no closing quote; a curly quote does not close a straight one, nor the other way round
    "#);
}

#[test]
fn durations_are_sound() {
    insta::assert_snapshot!(render("duration > 250"), @r#"
    duration > 250
               ^^^ column 12: `250` has no unit; write `250ms`, or another of ns, us, ms, s, m, h
    "#);
    insta::assert_snapshot!(render("duration > fast"), @r#"
    duration > fast
               ^^^^ column 12: `fast` is not a duration; write a number and a unit, such as `250ms`
    "#);
    insta::assert_snapshot!(render("duration > 250mss"), @r#"
    duration > 250mss
               ^^^^^^ column 12: `mss` is not a unit of duration; use ns, us, ms, s, m or h
    "#);
    insta::assert_snapshot!(render("duration > 250 MS"), @r#"
    duration > 250 MS
               ^^^^^^ column 12: `MS` is not a unit of duration; use ns, us, ms, s, m or h
    "#);
    insta::assert_snapshot!(render("duration > 1m30"), @r#"
    duration > 1m30
               ^^^^ column 12: `30` has no unit; write `30ms`, or another of ns, us, ms, s, m, h
    "#);
    insta::assert_snapshot!(render("duration > -5ms"), @r#"
    duration > -5ms
               ^^^^ column 12: `-5ms` is negative, and no span lasts less than no time
    "#);
    insta::assert_snapshot!(render("duration > 0.5ns"), @r#"
    duration > 0.5ns
               ^^^^^ column 12: a duration has no part smaller than a nanosecond
    "#);
    insta::assert_snapshot!(render("duration > 6000000h"), @r#"
    duration > 6000000h
               ^^^^^^^^ column 12: a duration of more than 584 years is too long
    "#);
    insta::assert_snapshot!(render("http.status_code > 250ms"), @r#"
    http.status_code > 250ms
                       ^^^^^ column 20: `250ms` is not a number, and `>` compares numbers; only `duration` is compared with a unit
    "#);
}

#[test]
fn values_fit_their_key() {
    insta::assert_snapshot!(render("http.status_code >= ok"), @r#"
    http.status_code >= ok
                        ^^ column 21: `ok` is not a number, and `>=` compares numbers
    "#);
    insta::assert_snapshot!(render("service > web"), @r#"
    service > web
              ^^^ column 11: `service` has no order; use `=` or `!=`
    "#);
    insta::assert_snapshot!(render("kind > server"), @r#"
    kind > server
           ^^^^^^ column 8: `kind` has no order; use `=` or `!=`
    "#);
    insta::assert_snapshot!(render("kind = sever"), @r#"
    kind = sever
           ^^^^^ column 8: `sever` is not a value of `kind`; it is internal, server, client, producer, consumer or unspecified
    "#);
    insta::assert_snapshot!(render("status = 2"), @r#"
    status = 2
             ^ column 10: `2` is not a value of `status`; it is error, ok or unset
    "#);
    insta::assert_snapshot!(render("error = yes"), @r#"
    error = yes
            ^^^ column 9: `yes` is not a value of `error`; it is true or false
    "#);
    insta::assert_snapshot!(render("trace_id = xyz"), @r#"
    trace_id = xyz
               ^^^ column 12: this is no id: `x` at position 0 is not a hex digit
    "#);
    insta::assert_snapshot!(render("span_id = 00000000000000a10"), @r#"
    span_id = 00000000000000a10
              ^^^^^^^^^^^^^^^^^ column 11: this is no id: expected 16 hex digits, found 17 characters
    "#);
    insta::assert_snapshot!(render("service = web\nAND kind = sever"), @r#"
    AND kind = sever
               ^^^^^ line 2, column 12: `sever` is not a value of `kind`; it is internal, server, client, producer, consumer or unspecified
    "#);
}

#[test]
fn regular_expressions_compile() {
    insta::assert_snapshot!(render(r#"a MATCHES REGEXP ("ok", "(x")"#), @r#"
    a MATCHES REGEXP ("ok", "(x")
                            ^^^^ column 25: the regular expression is not valid: unclosed group
    "#);
    insta::assert_snapshot!(render(r#"a MATCHES REGEXP ("\w{5000}")"#), @r#"
    a MATCHES REGEXP ("\w{5000}")
                      ^^^^^^^^^^ column 19: the regular expression is not valid: it needs more than 1048576 bytes of memory
    "#);
    insta::assert_snapshot!(render(r#"a MATCHES REGEXP ("*")"#), @r#"
    a MATCHES REGEXP ("*")
                      ^^^ column 19: the regular expression is not valid: repetition operator missing expression
    "#);
    insta::assert_snapshot!(render(r#"a MATCHES REGEXP ("x(?=y)")"#), @r#"
    a MATCHES REGEXP ("x(?=y)")
                      ^^^^^^^^ column 19: the regular expression is not valid: look-around, including look-ahead and look-behind, is not supported
    "#);
}

#[test]
fn a_long_line_is_cut() {
    let (before, after) = ("v".repeat(70), " AND b = 2".repeat(9));
    let text = format!("a IN (\"{before}\") AND größe IN x{after}");
    insta::assert_snapshot!(render(&text), @r#"
    …vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv") AND größe IN x AND b = 2 AND b = 2 AND b = 2 AND b = 2 AND b = 2 AND b = 2…
                                                                 ^ column 94: expected `(` after IN, found `x`; write IN ("x")
    "#);
}
