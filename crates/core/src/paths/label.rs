//! What a node of the call tree stands for, and how span names become operations.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a node of the call tree is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    /// All requests of one type: root service and operation, and what they call first in another service.
    Request,
    /// A part of a trace whose parent did not arrive.
    Fragment,
    /// Work of a service in one of its operations.
    Work,
    /// A call from one service to another: the client span, whose time of its own is the way there and back.
    Edge,
    /// A call to something that sends no spans: a database, a third party.
    Dependency,
}

/// A node's label. Equal labels under one parent are one node.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct Label {
    /// What it is.
    pub kind: NodeKind,
    /// Whether the parent does not wait for it.
    pub is_async: bool,
    /// The service that the span is of; of an edge or a dependency the caller.
    pub service: String,
    /// The service or dependency that is called; of a request what it calls first; else empty.
    pub peer: String,
    /// The operation, without ids and numbers; of an edge the callee's.
    pub operation: String,
}

impl Label {
    /// Whether it is the same call, waited for or not.
    pub fn is_same_call(&self, other: &Self) -> bool {
        self.kind == other.kind
            && self.operation == other.operation
            && self.service == other.service
            && self.peer == other.peer
    }
}

/// Names that say only which method was used.
const BARE: [&str; 9] = [
    "GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT",
];

/// The HTTP method, where the name says nothing else.
pub(super) fn bare_method(name: &str) -> Option<&str> {
    let method = name.strip_prefix("HTTP ").unwrap_or(name);
    (BARE.contains(&method) || name == "HTTP").then_some(method)
}

/// The most bytes of an operation.
const MAX_BYTES: usize = 160;

/// A span name without what differs from request to request: uuids, long hexadecimal numbers, numbers, addresses.
pub fn normalized(name: &str) -> Cow<'_, str> {
    let has_digit = name.bytes().any(|b| b.is_ascii_digit());
    if !has_digit && !name.contains('@') && name.len() <= MAX_BYTES {
        return name.into();
    }
    let mut out = String::with_capacity(name.len());
    for (i, piece) in pieces(name).enumerate() {
        if i > 0 && out.len() > MAX_BYTES {
            out.push('…');
            break;
        }
        out.push_str(&placeholder(piece));
    }
    if out.len() > MAX_BYTES {
        out.truncate(out.floor_char_boundary(MAX_BYTES));
        out.push('…');
    }
    out.into()
}

/// The words of a name and what is between them.
fn pieces(name: &str) -> impl Iterator<Item = &str> {
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '@' | '.' | '+' | '=');
    let mut rest = name;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let end = rest
            .find(|c| is_word(c) != is_word(first))
            .unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(piece)
    })
}

fn placeholder(piece: &str) -> Cow<'_, str> {
    if piece.contains('@') && piece.contains('.') && piece.len() > 4 {
        return "{email}".into();
    }
    if !piece.bytes().any(|b| b.is_ascii_digit()) {
        return piece.into();
    }
    let hex = piece.bytes().filter(|b| *b != b'-');
    if hex.clone().count() >= 8 && hex.clone().all(|b| b.is_ascii_hexdigit()) {
        let number = piece.bytes().all(|b| b.is_ascii_digit());
        return if number { "{n}" } else { "{id}" }.into();
    }
    // Long and mixed: a token rather than a word.
    let digits = piece.bytes().filter(u8::is_ascii_digit).count();
    if piece.len() >= 20 && digits >= 4 {
        return "{id}".into();
    }
    numbers(piece).into()
}

/// Runs of digits as `{n}`, but for those that belong to a word: `v2`, `s3`, `utf8`.
fn numbers(piece: &str) -> String {
    let mut out = String::with_capacity(piece.len());
    let mut rest = piece;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let end = rest[start..]
            .find(|c: char| !c.is_ascii_digit())
            .map_or(rest.len(), |n| start + n);
        let is_word = rest[..start].ends_with(|c: char| c.is_alphabetic()) && end - start <= 2;
        out.push_str(&rest[..start]);
        out.push_str(if is_word { &rest[start..end] } else { "{n}" });
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_what_differs_from_request_to_request() {
        let check = |name: &str, expected: &str| assert_eq!(normalized(name), expected, "{name}");
        check("GET /cart", "GET /cart");
        check("GET /orders/123/items/7", "GET /orders/{n}/items/{n}");
        check("GET /api/v2/users", "GET /api/v2/users");
        check(
            "/user/550e8400-e29b-41d4-a716-446655440000/edit",
            "/user/{id}/edit",
        );
        check("job-1699999999", "job-{n}");
        check("blob deadbeef12", "blob {id}");
        check("mail to jo@example.org", "mail to {email}");
        check("s3 PutObject", "s3 PutObject");
        check(
            "hipstershop.CartService/GetCart",
            "hipstershop.CartService/GetCart",
        );
        assert!(normalized(&"x".repeat(5_000)).len() <= MAX_BYTES + 3);
        assert!(normalized(&"ä1/".repeat(5_000)).len() <= MAX_BYTES + 3);
    }

    #[test]
    fn a_bare_method_is_no_operation() {
        assert_eq!(bare_method("GET"), Some("GET"));
        assert_eq!(bare_method("HTTP POST"), Some("POST"));
        assert_eq!(bare_method("GET /cart"), None);
    }
}
