//! Tells which rows of a batch match a query. Texts are tested once per distinct value of a column, rows by their
//! code; only span and trace ids, which have no dictionary, are looked at row by row.

use arrow_buffer::BooleanBuffer;
use foldhash::fast::RandomState;
use hashbrown::HashSet;

use super::answers::{TextTest, attribute_rows, text_rows};
use super::ast::{Clause, Comparison, Expr, Literal, Pattern, Query};
use super::key::{Key, SpanKind, SpanStatus};
use crate::model::{Projection, SpanBatch, SpanId, TraceId, semconv};

/// A query made ready to run over many batches.
#[derive(Debug)]
pub struct Matcher {
    node: Node,
}

impl Matcher {
    /// Makes a query ready to run.
    pub fn new(query: &Query) -> Self {
        Self {
            node: Node::new(query.expr()),
        }
    }

    /// A bit for every row of the batch: whether the span matches.
    pub fn matching_rows(&self, batch: &SpanBatch) -> BooleanBuffer {
        self.node.rows(batch)
    }

    /// The columns that it looks at.
    pub fn projection(&self) -> Projection {
        self.node.projection()
    }
}

#[derive(Debug)]
enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Field(Field),
    Attribute {
        /// Names of the attribute, the preferred first.
        names: Vec<String>,
        test: TextTest,
        /// Answers where the span lacks the attribute; without it, such a span does not match.
        otherwise: Option<Field>,
    },
}

/// A condition on what every span has. Kind, status and root are tables by number.
#[derive(Debug)]
enum Field {
    Always,
    Service(TextTest),
    Operation(TextTest),
    TraceIdIn(HashSet<TraceId, RandomState>),
    SpanIdIn(HashSet<SpanId, RandomState>),
    TraceIdMatches(Vec<Pattern>),
    SpanIdMatches(Vec<Pattern>),
    Kind([bool; 6]),
    Status([bool; 3]),
    Root { root: bool, other: bool },
    Duration(Comparison, u64),
}

impl Node {
    fn new(expr: &Expr) -> Self {
        let nodes = |parts: &[Expr]| parts.iter().map(Self::new).collect();
        match expr {
            Expr::And(parts) => Self::All(nodes(parts)),
            Expr::Or(parts) => Self::Any(nodes(parts)),
            Expr::Not(inner) => Self::new(inner).negate(),
            Expr::Clause(clause) => Self::of_clause(clause),
        }
    }

    fn of_clause(clause: &Clause) -> Self {
        let text =
            |key: &Key, negated: bool, test: TextTest| Self::of_text(key, test).negate_if(negated);
        match clause {
            Clause::In {
                key,
                negated,
                values,
            } => text(
                key,
                *negated,
                TextTest::In(values.iter().cloned().collect()),
            ),
            Clause::Matches {
                key,
                negated,
                patterns,
            } => text(key, *negated, TextTest::Matches(patterns.clone())),
            Clause::Equals {
                key,
                negated,
                value,
            } => {
                let test = match value {
                    Literal::Text(text) => TextTest::In(HashSet::from_iter([text.clone()])),
                    Literal::Number(number) => TextTest::Equals(number.clone()),
                };
                let node = match (key.original_attribute(), Field::of_text(key, &test)) {
                    (Some(_), Some(field)) => Self::Field(field),
                    _ => Self::of_text(key, test),
                };
                node.negate_if(*negated)
            }
            Clause::Compares {
                attribute,
                order,
                number,
            } => Self::Attribute {
                names: owned(semconv::names(attribute)),
                test: TextTest::Compares(*order, number.clone()),
                otherwise: None,
            },
            Clause::Duration {
                comparison,
                duration_ns,
            } => Self::Field(Field::Duration(*comparison, *duration_ns)),
            Clause::Kind { negated, kind } => {
                Self::Field(Field::Kind(SpanKind::ALL.map(|k| (k == *kind) != *negated)))
            }
            Clause::Status { negated, status } => Self::Field(Field::Status(
                SpanStatus::ALL.map(|s| (s == *status) != *negated),
            )),
            Clause::Error(is_error) => Self::Field(Field::Status(
                SpanStatus::ALL.map(|s| (s == SpanStatus::Error) == *is_error),
            )),
            Clause::Root(is_root) => Self::Field(Field::Root {
                root: *is_root,
                other: !*is_root,
            }),
            Clause::Exists(key @ (Key::Attribute(_) | Key::LightstepTracerId)) => {
                Self::of_text(key, TextTest::Any)
            }
            Clause::Exists(_) => Self::Field(Field::Always),
        }
    }

    /// A test of a key's text, as the original's operators read the key.
    fn of_text(key: &Key, test: TextTest) -> Self {
        let names = match key {
            Key::Attribute(name) => semconv::names(name),
            Key::LightstepTracerId => Key::TRACER_ID_ATTRIBUTES.to_vec(),
            key => key.original_attribute().into_iter().collect(),
        };
        match Field::of_text(key, &test) {
            Some(field) if names.is_empty() => Self::Field(field),
            otherwise => Self::Attribute {
                names: owned(names),
                test,
                otherwise,
            },
        }
    }

    fn projection(&self) -> Projection {
        match self {
            Self::All(nodes) | Self::Any(nodes) => nodes
                .iter()
                .map(Self::projection)
                .fold(Projection::default(), Projection::or),
            Self::Not(node) => node.projection(),
            Self::Field(field) => field.projection(),
            Self::Attribute {
                names, otherwise, ..
            } => otherwise
                .as_ref()
                .map_or_else(Projection::default, Field::projection)
                .with_attributes(names.iter().map(String::as_str)),
        }
    }

    fn negate(self) -> Self {
        match self {
            Self::Not(inner) => *inner,
            node => Self::Not(Box::new(node)),
        }
    }

    fn negate_if(self, negated: bool) -> Self {
        if negated { self.negate() } else { self }
    }

    fn rows(&self, batch: &SpanBatch) -> BooleanBuffer {
        match self {
            Self::All(nodes) => {
                let mut rows = BooleanBuffer::new_set(batch.len());
                for node in nodes {
                    if rows.count_set_bits() == 0 {
                        break;
                    }
                    rows = &rows & &node.rows(batch);
                }
                rows
            }
            Self::Any(nodes) => {
                let mut rows = BooleanBuffer::new_unset(batch.len());
                for node in nodes {
                    if rows.count_set_bits() == rows.len() {
                        break;
                    }
                    rows = &rows | &node.rows(batch);
                }
                rows
            }
            Self::Not(node) => !&node.rows(batch),
            Self::Field(field) => field.rows(batch),
            Self::Attribute {
                names,
                test,
                otherwise,
            } => {
                let otherwise = match otherwise {
                    Some(field) => field.rows(batch),
                    None => BooleanBuffer::new_unset(batch.len()),
                };
                attribute_rows(batch, names, test, otherwise)
            }
        }
    }
}

impl Field {
    /// The test of the text that every span has for the key; `None` where it has none.
    fn of_text(key: &Key, test: &TextTest) -> Option<Self> {
        let holds = |text: &str| test.holds_for_text(text);
        let [yes, no] = ["true", "false"].map(holds);
        Some(match (key, test) {
            (Key::Service, _) => Self::Service(test.clone()),
            (Key::Operation, _) => Self::Operation(test.clone()),
            (Key::TraceId | Key::LightstepTraceId, TextTest::Matches(patterns)) => {
                Self::TraceIdMatches(patterns.clone())
            }
            (Key::SpanId | Key::LightstepSpanId, TextTest::Matches(patterns)) => {
                Self::SpanIdMatches(patterns.clone())
            }
            // A text that is no id is the id of no span.
            (Key::TraceId | Key::LightstepTraceId, TextTest::In(values)) => {
                let ids = values.iter().map(|v| TraceId::parse_lenient(v.as_bytes()));
                Self::TraceIdIn(ids.flatten().collect())
            }
            (Key::SpanId | Key::LightstepSpanId, TextTest::In(values)) => {
                let ids = values.iter().map(|v| SpanId::parse_lenient(v.as_bytes()));
                Self::SpanIdIn(ids.flatten().collect())
            }
            (Key::Kind, _) => Self::Kind(SpanKind::ALL.map(|kind| holds(kind.name()))),
            (Key::Status, _) => Self::Status(SpanStatus::ALL.map(|status| holds(status.name()))),
            (Key::Error, _) => Self::Status([no, no, yes]),
            (Key::Root, _) => Self::Root {
                root: yes,
                other: no,
            },
            _ => return None,
        })
    }

    fn projection(&self) -> Projection {
        let column = match self {
            Self::Always => return Projection::default(),
            Self::Service(_) => "service",
            Self::Operation(_) => "operation",
            Self::TraceIdIn(_) | Self::TraceIdMatches(_) => "trace_id",
            Self::SpanIdIn(_) | Self::SpanIdMatches(_) => "span_id",
            Self::Kind(_) => "kind",
            Self::Status(_) => "status",
            Self::Root { .. } => "parent_span_id",
            Self::Duration(..) => "duration",
        };
        Projection::default().with_core(&[column])
    }

    fn rows(&self, batch: &SpanBatch) -> BooleanBuffer {
        let len = batch.len();
        match self {
            Self::Always => BooleanBuffer::new_set(len),
            Self::Service(test) => text_rows(batch.service(), len, test),
            Self::Operation(test) => text_rows(batch.operation(), len, test),
            Self::TraceIdIn(ids) => {
                BooleanBuffer::collect_bool(len, |row| ids.contains(&batch.trace_id(row)))
            }
            Self::SpanIdIn(ids) => {
                BooleanBuffer::collect_bool(len, |row| ids.contains(&batch.span_id(row)))
            }
            Self::TraceIdMatches(patterns) => BooleanBuffer::collect_bool(len, |row| {
                let mut buffer = [0; 32];
                matches_any(patterns, hex(&batch.trace_id(row).0, &mut buffer))
            }),
            Self::SpanIdMatches(patterns) => BooleanBuffer::collect_bool(len, |row| {
                let mut buffer = [0; 32];
                matches_any(patterns, hex(&batch.span_id(row).0, &mut buffer))
            }),
            // A number that OpenTelemetry does not know says as much as none.
            Self::Kind(table) => BooleanBuffer::collect_bool(len, |row| {
                let kind = usize::from(batch.kind(row));
                table.get(kind).copied().unwrap_or(table[0])
            }),
            Self::Status(table) => BooleanBuffer::collect_bool(len, |row| {
                let status = usize::from(batch.status(row));
                table.get(status).copied().unwrap_or(table[0])
            }),
            Self::Root { root, other } => BooleanBuffer::collect_bool(len, |row| {
                if batch.parent_span_id(row).is_none() {
                    *root
                } else {
                    *other
                }
            }),
            Self::Duration(comparison, bound_ns) => BooleanBuffer::collect_bool(len, |row| {
                comparison.holds(batch.duration_ns(row).cmp(bound_ns))
            }),
        }
    }
}

fn owned(names: Vec<&str>) -> Vec<String> {
    names.into_iter().map(str::to_owned).collect()
}

fn matches_any(patterns: &[Pattern], text: &str) -> bool {
    patterns
        .iter()
        .any(|pattern| pattern.regex().is_match(text))
}

/// An id's hex digits, without an allocation for every row.
fn hex<'a>(id: &[u8], buffer: &'a mut [u8; 32]) -> &'a str {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in buffer.chunks_exact_mut(2).zip(id) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    // Digits are ASCII, so there is always a text.
    std::str::from_utf8(&buffer[..2 * id.len()]).unwrap_or_default()
}
