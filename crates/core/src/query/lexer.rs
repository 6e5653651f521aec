//! Cuts a query's text into tokens. What cannot be cut becomes a last, bad token, so that the parser reports the
//! first mistake of the text, whichever of the two finds it.

use std::ops::Range;

use super::ast::{Comparison, Order};
use super::error::Problem;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TokenKind<'a> {
    /// A bareword: a keyword, a key or a value.
    Word(&'a str),
    /// A quoted text without its quotes, escapes resolved.
    Quoted(String),
    Open,
    Close,
    Comma,
    Operator(Comparison),
    Bad(Problem),
    End,
}

#[derive(Debug, Clone)]
pub(super) struct Token<'a> {
    pub(super) kind: TokenKind<'a>,
    pub(super) span: Range<usize>,
}

/// The tokens of a text; the last is `End` or `Bad`.
pub(super) fn lex(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    loop {
        let rest = text[at..].trim_start_matches(is_blank);
        at = text.len() - rest.len();
        let (kind, length) = next_token(rest);
        let is_last = matches!(kind, TokenKind::End | TokenKind::Bad(_));
        let span = at..at + length;
        at = span.end;
        tokens.push(Token { kind, span });
        if is_last {
            return tokens;
        }
    }
}

/// White space, and the invisible characters that come along when text is copied from a page.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{feff}' | '\u{200b}')
}

/// Whether a character can stand in a bareword.
pub(super) fn is_word_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | ':')
}

/// Slips from other languages and what they are here; the longer before its own beginning.
const SYMBOLS: [(&str, &str); 10] = [
    ("==", "`=`"),
    ("=~", "MATCHES REGEXP (…)"),
    ("!~", "NOT MATCHES REGEXP (…)"),
    ("<>", "`!=`"),
    ("=>", "`>=`"),
    ("=<", "`<=`"),
    ("&&", "AND"),
    ("||", "OR"),
    ("&", "AND"),
    ("|", "OR"),
];

const OPERATORS: [(&str, Comparison); 6] = [
    ("!=", Comparison::NotEqual),
    ("<=", Comparison::Order(Order::LessOrEqual)),
    (">=", Comparison::Order(Order::GreaterOrEqual)),
    ("=", Comparison::Equal),
    ("<", Comparison::Order(Order::Less)),
    (">", Comparison::Order(Order::Greater)),
];

/// The token that a text starts with, and its length in bytes.
fn next_token(rest: &str) -> (TokenKind<'_>, usize) {
    let Some(first) = rest.chars().next() else {
        return (TokenKind::End, 0);
    };
    let single = match first {
        '(' => Some(TokenKind::Open),
        ')' => Some(TokenKind::Close),
        ',' => Some(TokenKind::Comma),
        _ => None,
    };
    if let Some(kind) = single {
        return (kind, 1);
    }
    if is_word_char(first) {
        let length = rest.find(|c: char| !is_word_char(c)).unwrap_or(rest.len());
        return (TokenKind::Word(&rest[..length]), length);
    }
    if is_quote(first) {
        return quoted(rest, first);
    }
    if let Some((found, instead)) = SYMBOLS.iter().find(|(found, _)| rest.starts_with(found)) {
        let problem = Problem::Symbol { found, instead };
        return (TokenKind::Bad(problem), found.len());
    }
    if let Some((symbol, comparison)) = OPERATORS.iter().find(|(s, _)| rest.starts_with(s)) {
        return (TokenKind::Operator(*comparison), symbol.len());
    }
    let advice = match first {
        '!' => "; use NOT or `!=`",
        '~' => "; use MATCHES REGEXP (…)",
        '{' | '[' => "; a list of values stands in parentheses",
        ';' => "; clauses are joined by AND",
        _ => "; put the value or key in \"double quotes\"",
    };
    let problem = Problem::Character {
        found: first,
        advice,
    };
    (TokenKind::Bad(problem), first.len_utf8())
}

/// Straight and curly quotes: all may stand around a text.
pub(super) fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\'') || is_curly_double(c) || is_curly_single(c)
}

fn is_curly_double(c: char) -> bool {
    matches!(c, '“' | '”' | '„' | '‟')
}

fn is_curly_single(c: char) -> bool {
    matches!(c, '‘' | '’' | '‚' | '‛')
}

/// Whether a text opened by one quote is closed by another. A straight quote closes only itself, so that curly ones
/// may stand inside; pages set curly quotes in several ways, so any closes any.
fn closes(open: char, close: char) -> bool {
    open == close
        || is_curly_double(open) && is_curly_double(close)
        || is_curly_single(open) && is_curly_single(close)
}

/// The character that a backslash and `c` stand for; `None` where the backslash stands for itself, as it must in
/// front of the classes of regular expressions (`\d`, `\.`).
pub(super) fn unescape(c: char) -> Option<char> {
    match c {
        'n' => Some('\n'),
        't' => Some('\t'),
        'r' => Some('\r'),
        '\\' => Some('\\'),
        c if is_quote(c) => Some(c),
        _ => None,
    }
}

fn quoted(rest: &str, open: char) -> (TokenKind<'_>, usize) {
    let mut value = String::new();
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if closes(open, c) {
            return (TokenKind::Quoted(value), at + c.len_utf8());
        }
        let escaped = chars
            .peek()
            .filter(|_| c == '\\')
            .and_then(|(_, next)| unescape(*next));
        if escaped.is_some() {
            chars.next();
        }
        value.push(escaped.unwrap_or(c));
    }
    let other_kind = |c: char| is_quote(c) && !closes(open, c);
    let advice = if value.contains(other_kind) {
        "; a curly quote does not close a straight one, nor the other way round"
    } else {
        ""
    };
    let problem = Problem::UnterminatedQuote {
        quote: open,
        advice,
    };
    (TokenKind::Bad(problem), rest.len())
}
