//! A query as a tree: what the parser makes, the printer writes and the matcher runs.

use std::collections::HashSet;
use std::str::FromStr;

use regex::{Regex, RegexBuilder};

use super::error::QueryError;
use super::key::{Key, SpanKind, SpanStatus};
use super::number::Number;
use super::{MAX_PATTERN_BYTES, parser};

/// A condition on a span. Made from text by [`Query::parse`]; its `Display` is the canonical text, which parses to an
/// equal query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    expr: Expr,
}

impl Query {
    /// Reads a query. The error tells where and what would be right there.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        parser::parse(text).map(Self::new)
    }

    /// The query that a key has a value: `"key" IN ("value")`.
    pub fn has_value(key: &str, value: &str) -> Self {
        let key = Key::from_text(key.to_owned(), true);
        Self::new(Expr::Clause(Clause::In {
            key,
            negated: false,
            values: vec![value.to_owned()],
        }))
    }

    pub(super) fn new(expr: Expr) -> Self {
        Self { expr }
    }

    /// The tree.
    pub fn expr(&self) -> &Expr {
        &self.expr
    }

    /// Whether the query is one in the original language, Lightstep's: IN, NOT IN, MATCHES REGEXP and NOT MATCHES
    /// REGEXP joined by AND, each key once. The query's canonical text is then in the original language too.
    pub fn is_original(&self) -> bool {
        let clauses = match &self.expr {
            Expr::And(parts) => &parts[..],
            one => std::slice::from_ref(one),
        };
        let mut keys = HashSet::new();
        clauses.iter().all(|expr| match expr {
            Expr::Clause(Clause::In { key, .. } | Clause::Matches { key, .. }) => keys.insert(key),
            _ => false,
        })
    }
}

impl FromStr for Query {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        Self::parse(text)
    }
}

/// A condition: a clause, or conditions joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// All hold. At least two, none of them an `And`.
    And(Vec<Expr>),
    /// One or more hold. At least two, none of them an `Or`.
    Or(Vec<Expr>),
    /// The condition does not hold.
    Not(Box<Expr>),
    /// A condition on one key.
    Clause(Clause),
}

/// A condition on one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Clause {
    /// `key IN (…)`: the text is one of the values; `NOT IN` where negated.
    In {
        /// Of any kind.
        key: Key,
        /// Whether it is `NOT IN`.
        negated: bool,
        /// At least one.
        values: Vec<String>,
    },
    /// `key MATCHES REGEXP (…)`: a part of the text matches one of the patterns; `NOT MATCHES REGEXP` where negated.
    Matches {
        /// Of any kind.
        key: Key,
        /// Whether it is `NOT MATCHES REGEXP`.
        negated: bool,
        /// At least one.
        patterns: Vec<Pattern>,
    },
    /// `key = value`, `key != value` where negated.
    Equals {
        /// A key with a text: none of duration, kind, status, error, root.
        key: Key,
        /// Whether it is `!=`.
        negated: bool,
        /// The value. A number only where the key is an attribute.
        value: Literal,
    },
    /// `attribute < number` and its like.
    Compares {
        /// The attribute's key.
        attribute: String,
        /// How the attribute's value is to stand to the number.
        order: Order,
        /// The bound.
        number: Number,
    },
    /// `duration > 250ms` and its like.
    Duration {
        /// How the span's duration is to stand to the bound.
        comparison: Comparison,
        /// The bound, in nanoseconds.
        duration_ns: u64,
    },
    /// `kind = server`, `kind != server` where negated.
    Kind {
        /// Whether it is `!=`.
        negated: bool,
        /// The kind.
        kind: SpanKind,
    },
    /// `status = ok`, `status != ok` where negated.
    Status {
        /// Whether it is `!=`.
        negated: bool,
        /// The status.
        status: SpanStatus,
    },
    /// `error = true`: whether the status is an error. `error != true` is the same as `error = false`.
    Error(bool),
    /// `root = true`: whether the span has no parent.
    Root(bool),
    /// `EXISTS key`: the span has a value for the key. All spans have what is no attribute.
    Exists(Key),
}

/// The value in `key = value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Literal {
    /// Equal to the same text.
    Text(String),
    /// An unquoted number: equal to the same text, and to an integer or double of the same value.
    Number(Number),
}

/// An order between numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Order {
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Order {
    /// The operator as it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    /// Whether it holds between two things that stand so to each other.
    pub(super) fn holds(self, ordering: std::cmp::Ordering) -> bool {
        match self {
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        }
    }
}

/// An operator between a key and one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`, `<=`, `>`, `>=`
    Order(Order),
}

impl Comparison {
    /// The operator as it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Order(order) => order.symbol(),
        }
    }

    /// Whether it holds between two things that stand so to each other.
    pub(super) fn holds(self, ordering: std::cmp::Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::NotEqual => ordering.is_ne(),
            Self::Order(order) => order.holds(ordering),
        }
    }
}

/// A regular expression that compiled; equal to another of the same text.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Compiles a pattern within [`MAX_PATTERN_BYTES`]; the error is the reason in short.
    pub(super) fn compile(text: &str) -> Result<Self, String> {
        let built = RegexBuilder::new(text)
            .size_limit(MAX_PATTERN_BYTES)
            .dfa_size_limit(MAX_PATTERN_BYTES)
            .build();
        built.map(Self).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => {
                format!("it needs more than {MAX_PATTERN_BYTES} bytes of memory")
            }
            // The crate draws the place over several lines and says the reason in the last.
            error => {
                let text = error.to_string();
                let reason = text.lines().last().unwrap_or_default();
                reason.strip_prefix("error: ").unwrap_or(reason).to_owned()
            }
        })
    }

    /// The pattern's text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The compiled expression.
    pub fn regex(&self) -> &Regex {
        &self.0
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Pattern {}
