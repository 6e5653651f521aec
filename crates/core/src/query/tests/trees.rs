//! Random queries: every tree that the parser can make, over keys and values that random batches have too.

use proptest::prelude::*;

use crate::query::key::Key;
use crate::query::{
    Clause, Comparison, Expr, Literal, Number, Order, Pattern, Query, SpanKind, SpanStatus,
};

/// Keys of random batches' attributes.
pub(super) const ATTRIBUTES: [&str; 9] = [
    "http.status_code",
    "http.response.status_code",
    "kind",
    "error",
    "span_id",
    "duration",
    "x",
    "service.instance.id",
    "lightstep.guid",
];

/// Texts that are values in random batches, or nearly.
pub(super) const TEXTS: [&str; 14] = [
    "200",
    "200.0",
    "5",
    "-5",
    "abc",
    "",
    "true",
    "server",
    "unset",
    "inf",
    "NaN",
    "9007199254740993",
    "00000000000000a1",
    "A1",
];

pub(super) fn any_query() -> impl Strategy<Value = Query> {
    let leaf = any_clause().prop_map(Expr::Clause);
    let expr = leaf.prop_recursive(4, 24, 4, |inner| {
        let parts = prop::collection::vec(inner.clone(), 2..5);
        prop_oneof![
            parts.clone().prop_map(and),
            parts.prop_map(or),
            inner.prop_map(|expr| Expr::Not(Box::new(expr))),
        ]
    });
    expr.prop_map(Query::new)
}

fn and(parts: Vec<Expr>) -> Expr {
    let take_apart = |part| match part {
        Expr::And(inner) => inner,
        other => vec![other],
    };
    Expr::And(parts.into_iter().flat_map(take_apart).collect())
}

fn or(parts: Vec<Expr>) -> Expr {
    let take_apart = |part| match part {
        Expr::Or(inner) => inner,
        other => vec![other],
    };
    Expr::Or(parts.into_iter().flat_map(take_apart).collect())
}

fn any_attribute() -> impl Strategy<Value = String> {
    let strange = any::<String>().prop_filter("an attribute", |text| {
        !text.is_empty() && matches!(Key::from_text(text.clone(), true), Key::Attribute(_))
    });
    prop_oneof![
        8 => prop::sample::select(&ATTRIBUTES[..]).prop_map(str::to_owned),
        1 => prop::sample::select(vec!["and", "Not", "EXISTS", "a b", "-", "5", "root"]).prop_map(str::to_owned),
        1 => strange,
    ]
}

fn any_key() -> impl Strategy<Value = Key> {
    let words = vec![
        "service",
        "operation",
        "lightstep.span_id",
        "lightstep.trace_id",
        "lightstep.tracer_id",
        "span_id",
        "trace_id",
        "duration",
        "kind",
        "status",
        "error",
        "root",
    ];
    prop_oneof![
        any_attribute().prop_map(Key::Attribute),
        prop::sample::select(words).prop_map(|word| Key::from_text(word.to_owned(), false)),
    ]
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::sample::select(&TEXTS[..]).prop_map(str::to_owned),
        1 => any::<String>(),
        1 => "[\\\\\"'ntrd“’\\n\\r\\t ]{0,6}",
    ]
}

fn any_pattern() -> impl Strategy<Value = Pattern> {
    let patterns = vec![
        "", "0", "^2", "\\d+$", "\\\\", "s.r", "(?i)A", "^$", "a\"|\n", "e{2}",
    ];
    prop_oneof![
        prop::sample::select(patterns).prop_map(str::to_owned),
        any::<String>().prop_map(|text| regex::escape(&text)),
    ]
    .prop_map(|text| Pattern::compile(&text).unwrap())
}

fn any_number() -> impl Strategy<Value = Number> {
    prop_oneof![
        prop::sample::select(vec![
            "200",
            "5",
            "-5.0",
            "0.5",
            "1e3",
            "9007199254740992",
            "007",
            "-0"
        ])
        .prop_map(str::to_owned),
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>()
            .prop_filter("finite", |n| n.is_finite())
            .prop_map(|n| format!("{n:?}")),
    ]
    .prop_map(|text| Number::parse(&text).unwrap())
}

fn any_order() -> impl Strategy<Value = Order> {
    prop::sample::select(vec![
        Order::Less,
        Order::LessOrEqual,
        Order::Greater,
        Order::GreaterOrEqual,
    ])
}

fn any_comparison() -> impl Strategy<Value = Comparison> {
    prop_oneof![
        Just(Comparison::Equal),
        Just(Comparison::NotEqual),
        any_order().prop_map(Comparison::Order),
    ]
}

fn any_equals() -> impl Strategy<Value = Clause> {
    let literal = prop_oneof![
        any_text().prop_map(Literal::Text),
        any_number().prop_map(Literal::Number),
    ];
    let of_attribute = (any_attribute().prop_map(Key::Attribute), literal);
    let text_keys =
        prop::sample::select(vec![Key::Service, Key::Operation, Key::LightstepTracerId]);
    let of_text = (text_keys, any_text().prop_map(Literal::Text));
    let id_keys = vec![
        Key::SpanId,
        Key::LightstepSpanId,
        Key::TraceId,
        Key::LightstepTraceId,
    ];
    let ids = prop::sample::select(vec!["a1", "A2", "00000000000000a1", "b1"]);
    let of_id = (
        prop::sample::select(id_keys),
        ids.prop_map(|id| Literal::Text(id.to_owned())),
    );
    (
        prop_oneof![3 => of_attribute, 1 => of_text, 1 => of_id],
        any::<bool>(),
    )
        .prop_map(|((key, value), negated)| Clause::Equals {
            key,
            negated,
            value,
        })
}

fn any_clause() -> impl Strategy<Value = Clause> {
    let negated = any::<bool>;
    let values = prop::collection::vec(any_text(), 1..4);
    let patterns = prop::collection::vec(any_pattern(), 1..3);
    let duration_ns = prop_oneof![any::<u64>(), (0..4u64).prop_map(|n| n * 1_000_000)];
    prop_oneof![
        4 => (any_key(), negated(), values).prop_map(|(key, negated, values)| Clause::In { key, negated, values }),
        3 => (any_key(), negated(), patterns)
            .prop_map(|(key, negated, patterns)| Clause::Matches { key, negated, patterns }),
        4 => any_equals(),
        4 => (any_attribute(), any_order(), any_number())
            .prop_map(|(attribute, order, number)| Clause::Compares { attribute, order, number }),
        1 => (any_comparison(), duration_ns)
            .prop_map(|(comparison, duration_ns)| Clause::Duration { comparison, duration_ns }),
        1 => (negated(), prop::sample::select(&SpanKind::ALL[..]))
            .prop_map(|(negated, kind)| Clause::Kind { negated, kind }),
        1 => (negated(), prop::sample::select(&SpanStatus::ALL[..]))
            .prop_map(|(negated, status)| Clause::Status { negated, status }),
        1 => any::<bool>().prop_map(Clause::Error),
        1 => any::<bool>().prop_map(Clause::Root),
        1 => any_key().prop_map(Clause::Exists),
    ]
}
