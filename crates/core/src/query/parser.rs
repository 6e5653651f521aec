//! Reads tokens into a tree, by recursive descent. Its depth is bounded, so that no text overflows the stack.

use std::ops::Range;

use super::ast::{Clause, Comparison, Expr, Pattern};
use super::comparison::{Value, compare, shortened};
use super::error::{Place, Problem, QueryError};
use super::key::Key;
use super::lexer::{Token, TokenKind, lex};
use super::number::{Number, is_unit};
use super::{MAX_DEPTH, MAX_PATTERN_TEXT_BYTES, MAX_PATTERNS, MAX_QUERY_BYTES, MAX_VALUES};

const KEYWORDS: [&str; 7] = ["AND", "OR", "NOT", "IN", "MATCHES", "REGEXP", "EXISTS"];
const OPERATORS: &str =
    "an operator (IN, NOT IN, MATCHES REGEXP, NOT MATCHES REGEXP, =, !=, <, <=, >, >=)";
const CLAUSE: &str = "a clause such as `service IN (\"frontend\")`";

/// Whether a word is a keyword, in any case.
pub(super) fn is_keyword(word: &str) -> bool {
    KEYWORDS.iter().any(|k| word.eq_ignore_ascii_case(k))
}

type Parsed<T> = Result<T, QueryError>;

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token<'a>>,
    at: usize,
    depth: usize,
    value_count: usize,
    pattern_count: usize,
    pattern_text_bytes: usize,
}

pub(super) fn parse(text: &str) -> Parsed<Expr> {
    if text.len() > MAX_QUERY_BYTES {
        let length_bytes = text.len();
        let start = text.floor_char_boundary(MAX_QUERY_BYTES);
        return Err(QueryError::new(
            text,
            start..length_bytes,
            Problem::TooLong { length_bytes },
        ));
    }
    let mut parser = Parser {
        text,
        tokens: lex(text),
        at: 0,
        depth: 0,
        value_count: 0,
        pattern_count: 0,
        pattern_text_bytes: 0,
    };
    if parser.current().kind == TokenKind::End {
        return Err(QueryError::new(text, 0..0, Problem::Empty));
    }
    let expr = parser.disjunction()?;
    match parser.current().kind {
        TokenKind::End => Ok(expr),
        TokenKind::Close => Err(parser.unexpected("AND, OR or the end", "; no `(` is open here")),
        _ => Err(parser.unexpected("AND, OR or the end", "")),
    }
}

impl<'a> Parser<'a> {
    /// The token `offset` places ahead; past the end, the last.
    fn token(&self, offset: usize) -> &Token<'a> {
        let last = self.tokens.len() - 1;
        &self.tokens[(self.at + offset).min(last)]
    }

    fn current(&self) -> &Token<'a> {
        self.token(0)
    }

    fn advance(&mut self) {
        self.at += 1;
    }

    fn is_keyword_at(&self, offset: usize, keyword: &str) -> bool {
        matches!(self.token(offset).kind, TokenKind::Word(word) if word.eq_ignore_ascii_case(keyword))
    }

    fn take_keyword(&mut self, keyword: &str) -> bool {
        let found = self.is_keyword_at(0, keyword);
        if found {
            self.advance();
        }
        found
    }

    fn error(&self, span: Range<usize>, problem: Problem) -> QueryError {
        QueryError::new(self.text, span, problem)
    }

    /// The current token is not what should stand here.
    fn unexpected(&self, expected: &str, advice: &str) -> QueryError {
        let token = self.current();
        if let TokenKind::Bad(problem) = &token.kind {
            return self.error(token.span.clone(), problem.clone());
        }
        let found = match &token.kind {
            TokenKind::End => "the end".to_owned(),
            _ => format!("`{}`", shortened(&self.text[token.span.clone()])),
        };
        let problem = Problem::Unexpected {
            expected: expected.to_owned(),
            found,
            advice: advice.to_owned(),
        };
        self.error(token.span.clone(), problem)
    }

    fn disjunction(&mut self) -> Parsed<Expr> {
        let mut parts = vec![self.conjunction()?];
        while self.take_keyword("OR") {
            parts.push(self.conjunction()?);
        }
        Ok(flatten(parts, Expr::Or, |part| match part {
            Expr::Or(inner) => Ok(inner),
            other => Err(other),
        }))
    }

    fn conjunction(&mut self) -> Parsed<Expr> {
        let mut parts = vec![self.unary()?];
        while self.take_keyword("AND") {
            parts.push(self.unary()?);
        }
        Ok(flatten(parts, Expr::And, |part| match part {
            Expr::And(inner) => Ok(inner),
            other => Err(other),
        }))
    }

    /// A clause, a group in parentheses, or NOT and one of these. `NOT (` is one level of depth, as it is printed.
    fn unary(&mut self) -> Parsed<Expr> {
        let is_not = self.is_keyword_at(0, "NOT") && !self.is_key();
        let is_group = self.current().kind == TokenKind::Open;
        if !is_not && !is_group {
            return self.clause().map(Expr::Clause);
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error(self.current().span.clone(), Problem::TooDeep));
        }
        let expr = if is_group {
            self.group()?
        } else {
            self.advance();
            let inner = if self.current().kind == TokenKind::Open {
                self.group()?
            } else {
                self.unary()?
            };
            Expr::Not(Box::new(inner))
        };
        self.depth -= 1;
        Ok(expr)
    }

    fn group(&mut self) -> Parsed<Expr> {
        let open = self.current().span.start;
        self.advance();
        let expr = self.disjunction()?;
        if self.current().kind != TokenKind::Close {
            let open = Place::of(self.text, open);
            let expected = format!("AND, OR or the `)` to the `(` at {open}");
            return Err(self.unexpected(&expected, ""));
        }
        self.advance();
        Ok(expr)
    }

    /// Whether the current word is followed by an operator, and so is a key even if it spells a keyword: the original
    /// had fewer of them.
    fn is_key(&self) -> bool {
        let is_list_operator = |from: usize| {
            self.is_keyword_at(from, "IN") && self.token(from + 1).kind == TokenKind::Open
                || self.is_keyword_at(from, "MATCHES") && self.is_keyword_at(from + 1, "REGEXP")
        };
        matches!(self.token(1).kind, TokenKind::Operator(_))
            || is_list_operator(1)
            || self.is_keyword_at(1, "NOT") && is_list_operator(2)
    }

    fn clause(&mut self) -> Parsed<Clause> {
        if self.is_keyword_at(0, "EXISTS") && !self.is_key() {
            self.advance();
            return self.key("a key after EXISTS").map(Clause::Exists);
        }
        let key = self.key(CLAUSE)?;
        if let TokenKind::Operator(comparison) = self.current().kind {
            self.advance();
            return self.comparison(key, comparison);
        }
        let negated = self.take_keyword("NOT");
        if self.take_keyword("IN") {
            let values = self.list("IN")?;
            let values = values.into_iter().map(|value| value.text).collect();
            return Ok(Clause::In {
                key,
                negated,
                values,
            });
        }
        if self.take_keyword("MATCHES") {
            if !self.take_keyword("REGEXP") {
                return Err(self.unexpected("REGEXP after MATCHES", ""));
            }
            let values = self.list("MATCHES REGEXP")?;
            let patterns = values.into_iter().map(|value| self.pattern(value));
            return Ok(Clause::Matches {
                key,
                negated,
                patterns: patterns.collect::<Parsed<_>>()?,
            });
        }
        let advice = if self.is_keyword_at(0, "EXISTS") {
            format!("; EXISTS stands before its key: `EXISTS {key}`")
        } else {
            String::new()
        };
        let expected = if negated {
            "IN or MATCHES REGEXP after NOT"
        } else {
            OPERATORS
        };
        Err(self.unexpected(expected, &advice))
    }

    fn key(&mut self, expected: &str) -> Parsed<Key> {
        let token = self.current();
        let key = match &token.kind {
            TokenKind::Word(word) if is_keyword(word) && !self.is_key() => {
                let is_connective = ["AND", "OR"].iter().any(|k| word.eq_ignore_ascii_case(k));
                let advice = if is_connective {
                    String::new()
                } else {
                    format!("; a key of that name needs quotes: `\"{word}\"`")
                };
                return Err(self.unexpected(expected, &advice));
            }
            TokenKind::Word(word) => Key::from_text((*word).to_owned(), false),
            TokenKind::Quoted(text) if text.is_empty() => {
                return Err(self.error(token.span.clone(), Problem::EmptyKey));
            }
            TokenKind::Quoted(text) => Key::from_text(text.clone(), true),
            _ => return Err(self.unexpected(expected, "")),
        };
        self.advance();
        Ok(key)
    }

    /// A word or a quoted text in the place of a value; `None` for anything else.
    fn take_value(&mut self) -> Option<Value> {
        let token = self.current();
        let (text, quoted) = match &token.kind {
            TokenKind::Word(word) => ((*word).to_owned(), false),
            TokenKind::Quoted(text) => (text.clone(), true),
            _ => return None,
        };
        let span = token.span.clone();
        self.advance();
        Some(Value { text, quoted, span })
    }

    fn list(&mut self, operator: &str) -> Parsed<Vec<Value>> {
        let open = self.current().span.clone();
        if self.current().kind != TokenKind::Open {
            let advice = match &self.current().kind {
                TokenKind::Word(word) => format!("; write {operator} (\"{}\")", shortened(word)),
                TokenKind::Quoted(_) => {
                    let text = &self.text[self.current().span.clone()];
                    format!("; write {operator} ({})", shortened(text))
                }
                _ => String::new(),
            };
            return Err(self.unexpected(&format!("`(` after {operator}"), &advice));
        }
        self.advance();
        if self.current().kind == TokenKind::Close {
            let span = open.start..self.current().span.end;
            return Err(self.error(span, Problem::EmptyList));
        }
        let mut values = Vec::new();
        loop {
            let value = self
                .take_value()
                .ok_or_else(|| self.unexpected("a value", ""))?;
            self.value_count += 1;
            if self.value_count > MAX_VALUES {
                return Err(self.error(value.span, Problem::TooManyValues));
            }
            values.push(value);
            match self.current().kind {
                TokenKind::Comma => self.advance(),
                TokenKind::Close => break,
                _ => return Err(self.unexpected("`,` or `)` after a value", "")),
            }
        }
        self.advance();
        Ok(values)
    }

    fn pattern(&mut self, value: Value) -> Parsed<Pattern> {
        self.pattern_count += 1;
        if self.pattern_count > MAX_PATTERNS {
            return Err(self.error(value.span, Problem::TooManyPatterns));
        }
        self.pattern_text_bytes += value.text.len();
        if self.pattern_text_bytes > MAX_PATTERN_TEXT_BYTES {
            return Err(self.error(value.span, Problem::TooLongPatterns));
        }
        Pattern::compile(&value.text)
            .map_err(|reason| self.error(value.span, Problem::Regex { reason }))
    }

    /// The clause of a key, an operator, and the one value that stands here.
    fn comparison(&mut self, key: Key, comparison: Comparison) -> Parsed<Clause> {
        let operator = comparison.symbol();
        let Some(value) = self.take_value() else {
            if self.current().kind == TokenKind::Open {
                let list = match comparison {
                    Comparison::NotEqual => "NOT IN",
                    _ => "IN",
                };
                let problem = Problem::ListAfterComparison { operator, list };
                return Err(self.error(self.current().span.clone(), problem));
            }
            return Err(self.unexpected(&format!("a value after `{operator}`"), ""));
        };
        let value = match key {
            Key::Duration => self.with_unit(value),
            _ => value,
        };
        let span = value.span.clone();
        compare(key, comparison, value).map_err(|problem| self.error(span, problem))
    }

    /// A number and a unit that stands apart, `250 ms`, as one value. A unit in the wrong case is told later.
    fn with_unit(&mut self, mut value: Value) -> Value {
        if let TokenKind::Word(unit) = self.current().kind
            && is_unit(&unit.to_ascii_lowercase())
            && Number::parse(&value.text).is_some()
        {
            value.text.push_str(unit);
            value.span.end = self.current().span.end;
            self.advance();
        }
        value
    }
}

/// One part as it is; several joined, with parts of the same connective taken apart.
fn flatten(
    parts: Vec<Expr>,
    join: fn(Vec<Expr>) -> Expr,
    take_apart: fn(Expr) -> Result<Vec<Expr>, Expr>,
) -> Expr {
    let mut flat = Vec::with_capacity(parts.len());
    for part in parts {
        match take_apart(part) {
            Ok(inner) => flat.extend(inner),
            Err(other) => flat.push(other),
        }
    }
    if flat.len() > 1 {
        return join(flat);
    }
    flat.pop().unwrap_or_else(|| join(Vec::new()))
}
