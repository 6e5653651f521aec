//! The matcher against a slow reading of the same query, row by row over texts.

use std::cmp::Ordering;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;

use super::trees::{ATTRIBUTES, any_query};
use crate::model::{
    Origin, SpanBatch, SpanBatchBuilder, SpanCore, SpanId, TraceId, ValueRef, ValueType, semconv,
};
use crate::query::{
    Clause, Comparison, Expr, Key, Literal, Matcher, Number, Order, Query, SpanKind, SpanStatus,
};

/// The value of the first name that has one, the span's own before what it shares.
fn attribute(batch: &SpanBatch, row: usize, names: &[&str]) -> Option<(String, ValueType)> {
    let attributes = batch.attributes(row);
    let nearest_first = [Origin::Span, Origin::Event, Origin::Scope, Origin::Resource];
    names.iter().find_map(|name| {
        nearest_first.iter().find_map(|origin| {
            let found = attributes
                .iter()
                .find(|a| a.key == *name && a.origin == *origin)?;
            Some((found.text.to_owned(), found.value_type))
        })
    })
}

/// What a key means with `=` and in EXISTS.
fn value(batch: &SpanBatch, row: usize, key: &Key) -> Option<(String, ValueType)> {
    let text = match key {
        Key::Attribute(name) => return attribute(batch, row, &semconv::names(name)),
        Key::LightstepTracerId => {
            let names = [
                "lightstep.tracer_id",
                "lightstep.guid",
                "service.instance.id",
            ];
            return attribute(batch, row, &names);
        }
        Key::Service => batch.service().text(row)?.to_owned(),
        Key::Operation => batch.operation().text(row)?.to_owned(),
        Key::SpanId | Key::LightstepSpanId => batch.span_id(row).to_string(),
        Key::TraceId | Key::LightstepTraceId => batch.trace_id(row).to_string(),
        Key::Kind => SpanKind::ALL[usize::from(batch.kind(row))]
            .name()
            .to_owned(),
        Key::Status => SpanStatus::ALL[usize::from(batch.status(row))]
            .name()
            .to_owned(),
        Key::Error => batch.is_error(row).to_string(),
        Key::Root => batch.parent_span_id(row).is_none().to_string(),
        Key::Duration => return None,
    };
    Some((text, ValueType::String))
}

/// What a key means with the original's operators: an attribute, where our own word is one.
fn original_value(batch: &SpanBatch, row: usize, key: &Key) -> Option<String> {
    let ours = [
        "span_id", "trace_id", "duration", "kind", "status", "error", "root",
    ];
    let own = || value(batch, row, key);
    let found = if ours.contains(&key.name()) && !matches!(key, Key::Attribute(_)) {
        attribute(batch, row, &[key.name()]).or_else(own)
    } else {
        own()
    };
    found.map(|(text, _)| text)
}

/// Ids are the same in either case and without leading zeros.
fn same_text(key: &Key, value: &str, wanted: &str) -> bool {
    let padded = |width: usize| format!("{:0>width$}", wanted.to_lowercase());
    value == wanted
        || match key {
            Key::SpanId | Key::LightstepSpanId => !wanted.is_empty() && value == padded(16),
            Key::TraceId | Key::LightstepTraceId => !wanted.is_empty() && value == padded(32),
            _ => false,
        }
}

fn ordering(value: &str, value_type: ValueType, number: &Number) -> Option<Ordering> {
    let is_number = value_type == ValueType::Double
        || value
            .bytes()
            .all(|b| b.is_ascii_digit() || b"-.eE".contains(&b));
    if !is_number {
        return None;
    }
    if let (Ok(value), Ok(number)) = (value.parse::<i64>(), number.as_str().parse::<i64>()) {
        return Some(value.cmp(&number));
    }
    value
        .parse::<f64>()
        .ok()?
        .partial_cmp(&number.as_str().parse().unwrap())
}

fn holds(order: Order, ordering: Ordering) -> bool {
    match order {
        Order::Less => ordering == Ordering::Less,
        Order::LessOrEqual => ordering != Ordering::Greater,
        Order::Greater => ordering == Ordering::Greater,
        Order::GreaterOrEqual => ordering != Ordering::Less,
    }
}

fn clause_matches(clause: &Clause, batch: &SpanBatch, row: usize) -> bool {
    match clause {
        Clause::In {
            key,
            negated,
            values,
        } => {
            let found = original_value(batch, row, key);
            let is_in = found.is_some_and(|text| values.iter().any(|v| same_text(key, &text, v)));
            is_in != *negated
        }
        Clause::Matches {
            key,
            negated,
            patterns,
        } => {
            let found = original_value(batch, row, key);
            found.is_some_and(|text| patterns.iter().any(|p| p.regex().is_match(&text))) != *negated
        }
        Clause::Equals {
            key,
            negated,
            value: wanted,
        } => {
            let equal = value(batch, row, key).is_some_and(|(text, value_type)| match wanted {
                Literal::Text(wanted) => same_text(key, &text, wanted),
                Literal::Number(number) => {
                    let is_typed = matches!(value_type, ValueType::Int | ValueType::Double);
                    text == number.as_str()
                        || is_typed && ordering(&text, value_type, number) == Some(Ordering::Equal)
                }
            });
            equal != *negated
        }
        Clause::Compares {
            attribute,
            order,
            number,
        } => {
            let found = value(batch, row, &Key::Attribute(attribute.clone()));
            found
                .and_then(|(text, value_type)| ordering(&text, value_type, number))
                .is_some_and(|ordering| holds(*order, ordering))
        }
        Clause::Duration {
            comparison,
            duration_ns,
        } => {
            let found = batch.duration_ns(row);
            match comparison {
                Comparison::Equal => found == *duration_ns,
                Comparison::NotEqual => found != *duration_ns,
                Comparison::Order(order) => holds(*order, found.cmp(duration_ns)),
            }
        }
        Clause::Kind { negated, kind } => (batch.kind(row) == *kind as u8) != *negated,
        Clause::Status { negated, status } => (batch.status(row) == *status as u8) != *negated,
        Clause::Error(is_error) => batch.is_error(row) == *is_error,
        Clause::Root(is_root) => batch.parent_span_id(row).is_none() == *is_root,
        Clause::Exists(Key::Duration) => true,
        Clause::Exists(key) => value(batch, row, key).is_some(),
    }
}

fn matches(expr: &Expr, batch: &SpanBatch, row: usize) -> bool {
    match expr {
        Expr::And(parts) => parts.iter().all(|part| matches(part, batch, row)),
        Expr::Or(parts) => parts.iter().any(|part| matches(part, batch, row)),
        Expr::Not(inner) => !matches(inner, batch, row),
        Expr::Clause(clause) => clause_matches(clause, batch, row),
    }
}

const VALUES: [ValueRef<'static>; 14] = [
    ValueRef::String(b"200"),
    ValueRef::String(b"200.0"),
    ValueRef::String(b"abc"),
    ValueRef::String(b"server"),
    ValueRef::String(b"inf"),
    ValueRef::String(b""),
    ValueRef::Int(200),
    ValueRef::Int(-5),
    ValueRef::Int(9_007_199_254_740_993),
    ValueRef::Double(200.0),
    ValueRef::Double(0.5),
    ValueRef::Double(f64::INFINITY),
    ValueRef::Double(f64::NAN),
    ValueRef::Bool(true),
];

#[derive(Debug, Clone)]
struct Row {
    service: usize,
    operation: usize,
    number: u8,
    is_root: bool,
    duration_ms: u64,
    /// Index of the key, of the origin, and of the value.
    attributes: Vec<(usize, usize, usize)>,
}

fn any_row() -> impl Strategy<Value = Row> {
    let attribute = (0..ATTRIBUTES.len(), 0..3usize, 0..VALUES.len());
    let attributes = prop::collection::vec(attribute, 0..6);
    (
        0..3usize,
        0..3usize,
        any::<u8>(),
        any::<bool>(),
        0..4u64,
        attributes,
    )
        .prop_map(
            |(service, operation, number, is_root, duration_ms, mut attributes)| {
                attributes.sort_unstable();
                attributes.dedup_by_key(|(key, origin, _)| (*key, *origin));
                Row {
                    service,
                    operation,
                    number,
                    is_root,
                    duration_ms,
                    attributes,
                }
            },
        )
}

/// A batch of the rows. Keys that come after the first `fillers` may find no column left.
fn batch(rows: &[Row], fillers: usize) -> SpanBatch {
    let mut builder = SpanBatchBuilder::new();
    let texts = ["abc", "200", "server"];
    for filler in 0..fillers {
        builder.span_attribute(format!("filler.{filler}").as_bytes(), ValueRef::Bool(true));
    }
    for row in rows {
        builder.begin_resource();
        builder.resource_attribute(
            b"service.name",
            ValueRef::String(texts[row.service].as_bytes()),
        );
        builder.begin_scope();
        for (key, origin, value) in &row.attributes {
            let (key, value) = (ATTRIBUTES[*key].as_bytes(), VALUES[*value]);
            match origin {
                0 => builder.resource_attribute(key, value),
                1 => builder.scope_attribute(key, value),
                _ => builder.span_attribute(key, value),
            }
        }
        builder.end_span(&SpanCore {
            trace_id: TraceId::parse_lenient(&[b'a', b'1' + row.number % 3]).unwrap(),
            span_id: SpanId::parse_lenient(&[b'a', b'1' + row.number % 5]).unwrap(),
            parent_span_id: if row.is_root {
                SpanId::default()
            } else {
                SpanId([1; 8])
            },
            operation: texts[row.operation].as_bytes(),
            kind: row.number % 6,
            status: row.number % 3,
            end_ns: row.duration_ms * 1_000_000,
            ..SpanCore::default()
        });
    }
    builder.commit().unwrap();
    builder.finish().remove(0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn the_matcher_agrees_with_the_reference(
        rows in prop::collection::vec(any_row(), 1..20),
        fillers in prop::sample::select(vec![0, 0, 1_015, 1_024]),
        from in any::<prop::sample::Index>(),
        query in any_query(),
    ) {
        let whole = batch(&rows, fillers);
        let from = from.index(rows.len());
        let part = whole.record_batch().slice(from, rows.len() - from);
        let part = SpanBatch::try_from(part).unwrap();
        let matcher = Matcher::new(&query);
        for batch in [whole, part] {
            let expected: Vec<bool> =
                (0..batch.len()).map(|row| matches(query.expr(), &batch, row)).collect();
            let found: Vec<bool> = matcher.matching_rows(&batch).iter().collect();
            prop_assert_eq!(found, expected, "{}", &query);
        }
    }
}

/// The reference would agree with anything if no query told rows apart.
#[test]
fn random_queries_tell_rows_apart() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut told_apart = 0;
    for _ in 0..200 {
        let rows = prop::collection::vec(any_row(), 20)
            .new_tree(&mut runner)
            .unwrap()
            .current();
        let query: Query = any_query().new_tree(&mut runner).unwrap().current();
        let batch = batch(&rows, 0);
        let count = Matcher::new(&query).matching_rows(&batch).count_set_bits();
        told_apart += usize::from(0 < count && count < batch.len());
    }
    assert!(told_apart > 60, "{told_apart} of 200");
}
