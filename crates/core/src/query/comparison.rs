//! The clause that a key, an operator and one value make: what a value must be depends on the key.

use std::ops::Range;

use super::ast::{Clause, Comparison, Literal};
use super::error::Problem;
use super::key::{Key, SpanKind, SpanStatus};
use super::number::{Number, parse_duration};
use crate::model::{SpanId, TraceId};

/// A value of a clause and where it stands.
pub(super) struct Value {
    pub(super) text: String,
    pub(super) quoted: bool,
    pub(super) span: Range<usize>,
}

/// The clause of `key operator value`; a problem is one of the value.
pub(super) fn compare(key: Key, comparison: Comparison, value: Value) -> Result<Clause, Problem> {
    let negated = match comparison {
        Comparison::Equal => false,
        Comparison::NotEqual => true,
        Comparison::Order(order) => {
            return match key {
                Key::Attribute(attribute) => Ok(Clause::Compares {
                    attribute,
                    order,
                    number: number(value, comparison)?,
                }),
                Key::Duration => duration(comparison, value),
                key => Err(Problem::NoOrder {
                    key: key.name().to_owned(),
                }),
            };
        }
    };
    match key {
        Key::Duration => duration(comparison, value),
        Key::Kind => Ok(Clause::Kind {
            negated,
            kind: choice("kind", value, SpanKind::NAMES, SpanKind::from_name)?,
        }),
        Key::Status => Ok(Clause::Status {
            negated,
            status: choice("status", value, SpanStatus::NAMES, SpanStatus::from_name)?,
        }),
        Key::Error => Ok(Clause::Error(truth("error", value)? != negated)),
        Key::Root => Ok(Clause::Root(truth("root", value)? != negated)),
        key => {
            let bad_id = match key {
                Key::TraceId | Key::LightstepTraceId => {
                    TraceId::parse_lenient(value.text.as_bytes()).err()
                }
                Key::SpanId | Key::LightstepSpanId => {
                    SpanId::parse_lenient(value.text.as_bytes()).err()
                }
                _ => None,
            };
            if let Some(reason) = bad_id {
                return Err(Problem::Id { reason });
            }
            let number = (!value.quoted && matches!(key, Key::Attribute(_)))
                .then(|| Number::parse(&value.text))
                .flatten();
            Ok(Clause::Equals {
                key,
                negated,
                value: number.map_or(Literal::Text(value.text), Literal::Number),
            })
        }
    }
}

fn duration(comparison: Comparison, value: Value) -> Result<Clause, Problem> {
    Ok(Clause::Duration {
        comparison,
        duration_ns: parse_duration(&value.text)?,
    })
}

fn number(value: Value, comparison: Comparison) -> Result<Number, Problem> {
    Number::parse(&value.text).ok_or_else(|| Problem::NotANumber {
        operator: comparison.symbol(),
        advice: if parse_duration(&value.text).is_ok() {
            "; only `duration` is compared with a unit"
        } else {
            ""
        },
        found: shortened(&value.text),
    })
}

fn choice<T>(
    key: &'static str,
    value: Value,
    choices: &'static str,
    from_name: fn(&str) -> Option<T>,
) -> Result<T, Problem> {
    from_name(&value.text).ok_or_else(|| Problem::NotAChoice {
        key,
        found: shortened(&value.text),
        choices,
    })
}

fn truth(key: &'static str, value: Value) -> Result<bool, Problem> {
    choice(key, value, "true or false", |text| {
        text.to_ascii_lowercase().parse().ok()
    })
}

/// A text as an error shows it.
pub(super) fn shortened(text: &str) -> String {
    const SHOWN_CHARS: usize = 40;
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
