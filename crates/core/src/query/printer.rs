//! Writes a query as canonical text, which parses to an equal query. Clauses of the original language are written in
//! the original language. No parentheses are written that the parsed text did not need: they count against the
//! depth that a query may have.

use std::fmt::{self, Display, Formatter, Write as _};

use super::ast::{Clause, Expr, Literal, Query};
use super::key::Key;
use super::lexer::{is_word_char, unescape};
use super::number::duration_text;
use super::parser::is_keyword;

impl Display for Query {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.expr().fmt(f)
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(parts) => separated(f, parts, " AND ", |f, part| match part {
                Self::Or(_) => write!(f, "({part})"),
                part => part.fmt(f),
            }),
            Self::Or(parts) => separated(f, parts, " OR ", |f, part| part.fmt(f)),
            Self::Not(inner) => match &**inner {
                Self::Clause(clause @ Clause::Exists(_)) => write!(f, "NOT {clause}"),
                inner => write!(f, "NOT ({inner})"),
            },
            Self::Clause(clause) => clause.fmt(f),
        }
    }
}

/// Items with a text between each two of them.
fn separated<T>(
    f: &mut Formatter<'_>,
    items: impl IntoIterator<Item = T>,
    separator: &str,
    write: impl Fn(&mut Formatter<'_>, T) -> fmt::Result,
) -> fmt::Result {
    for (i, item) in items.into_iter().enumerate() {
        if i > 0 {
            f.write_str(separator)?;
        }
        write(f, item)?;
    }
    Ok(())
}

impl Display for Clause {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let not = |negated: bool| if negated { "NOT " } else { "" };
        let equals = |negated: bool| if negated { "!=" } else { "=" };
        match self {
            Self::In {
                key,
                negated,
                values,
            } => {
                write!(f, "{key} {}IN ", not(*negated))?;
                list(f, values.iter().map(String::as_str))
            }
            Self::Matches {
                key,
                negated,
                patterns,
            } => {
                write!(f, "{key} {}MATCHES REGEXP ", not(*negated))?;
                list(f, patterns.iter().map(|pattern| pattern.as_str()))
            }
            Self::Equals {
                key,
                negated,
                value,
            } => {
                write!(f, "{key} {} ", equals(*negated))?;
                match value {
                    Literal::Text(text) => write_quoted(f, text),
                    Literal::Number(number) => f.write_str(number.as_str()),
                }
            }
            Self::Compares {
                attribute,
                order,
                number,
            } => {
                write_attribute(f, attribute)?;
                write!(f, " {} {}", order.symbol(), number.as_str())
            }
            Self::Duration {
                comparison,
                duration_ns,
            } => {
                let duration = duration_text(*duration_ns);
                write!(f, "duration {} {duration}", comparison.symbol())
            }
            Self::Kind { negated, kind } => write!(f, "kind {} {}", equals(*negated), kind.name()),
            Self::Status { negated, status } => {
                write!(f, "status {} {}", equals(*negated), status.name())
            }
            Self::Error(is_error) => write!(f, "error = {is_error}"),
            Self::Root(is_root) => write!(f, "root = {is_root}"),
            Self::Exists(key) => write!(f, "EXISTS {key}"),
        }
    }
}

impl Display for Key {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attribute(name) => write_attribute(f, name),
            key => f.write_str(key.name()),
        }
    }
}

/// An attribute's key, in quotes where it would read as something else without.
fn write_attribute(f: &mut Formatter<'_>, name: &str) -> fmt::Result {
    let is_bareword = name.chars().all(is_word_char)
        && !name.is_empty()
        && !is_keyword(name)
        && matches!(Key::from_text(name.to_owned(), false), Key::Attribute(_));
    if is_bareword {
        f.write_str(name)
    } else {
        write_quoted(f, name)
    }
}

fn list<'a>(f: &mut Formatter<'_>, values: impl Iterator<Item = &'a str>) -> fmt::Result {
    f.write_char('(')?;
    separated(f, values, ", ", write_quoted)?;
    f.write_char(')')
}

/// A text in straight double quotes. A backslash is doubled only where it would not stand for itself, which leaves
/// regular expressions as people write them.
fn write_quoted(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\n' => f.write_str("\\n")?,
            '\t' => f.write_str("\\t")?,
            '\r' => f.write_str("\\r")?,
            '\\' => {
                let stands_for_itself = chars
                    .peek()
                    .is_some_and(|next| unescape(*next).is_none() && !next.is_control());
                f.write_str(if stands_for_itself { "\\" } else { "\\\\" })?;
            }
            c => f.write_char(c)?,
        }
    }
    f.write_char('"')
}
