//! Who may do what: tokens with roles on every port, and which web pages may call.
//!
//! Nothing is asked of who comes over loopback, unless that is set. A browser on the same machine comes over loopback
//! too, whatever page it shows: so requests that another page's script sends are refused, with or without tokens.

mod browser;
mod token;

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use subtle::ConstantTimeEq as _;
use thiserror::Error;
use tracediff_catalog::Catalog;

pub(crate) use browser::{cross_origin, host, is_of_another_name, is_of_another_page};
pub use token::{FixedToken, Role, Secret};

/// How long a token that was removed may still be used, and one that is new may be unknown.
const REREAD_AFTER: Duration = Duration::from_secs(5);
/// A token that nobody knows has the tokens read again, but no more often than this.
const REREAD_UNKNOWN_AFTER: Duration = Duration::from_millis(500);

/// When tokens are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Access {
    /// As soon as one port listens elsewhere than on loopback.
    #[default]
    Guarded,
    /// Always.
    Tokens,
    /// Never: something else guards the ports.
    Open,
}

impl Access {
    /// Whether tokens are asked for where these are listened on.
    pub fn needs_tokens(self, addresses: &[SocketAddr]) -> bool {
        match self {
            Self::Guarded => addresses
                .iter()
                .any(|address| !address.ip().to_canonical().is_loopback()),
            Self::Tokens => true,
            Self::Open => false,
        }
    }
}

/// Why a client may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Denied {
    #[error("a token is needed: send it as `Authorization: Bearer TOKEN`")]
    NoToken,
    #[error("the token is not known, or was removed")]
    UnknownToken,
    #[error("this needs a token with the role `{needed}`, and the one that was sent has `{has}`")]
    WrongRole { needed: Role, has: Role },
    #[error("tokens cannot be checked now, because the catalog does not answer: try again")]
    Unavailable,
}

/// Checks tokens. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Guard(Option<Arc<Tokens>>);

#[derive(Debug)]
struct Tokens {
    catalog: Catalog,
    /// Those of the configuration.
    fixed: Vec<(Role, String)>,
    known: RwLock<Option<Known>>,
    reading: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone)]
struct Known {
    tokens: Arc<[(Role, String)]>,
    read_at: Instant,
}

impl Guard {
    /// One that asks for the tokens that a catalog has, or one of these.
    pub(crate) fn of(catalog: Catalog, fixed: &[FixedToken]) -> Self {
        let fixed = fixed.iter().map(|token| (token.role, token.hash.clone()));
        Self(Some(Arc::new(Tokens {
            catalog,
            fixed: fixed.collect(),
            known: RwLock::default(),
            reading: tokio::sync::Mutex::default(),
        })))
    }

    /// Whether who sends these headers may do what the role allows.
    pub(crate) async fn check(&self, headers: &HeaderMap, needed: Role) -> Result<(), Denied> {
        let Some(tokens) = &self.0 else {
            return Ok(());
        };
        let secret = bearer(headers).ok_or(Denied::NoToken)?;
        let hash = token::hash(secret);
        let has = tokens.role_of(&hash).await?.ok_or(Denied::UnknownToken)?;
        if has.allows(needed) {
            Ok(())
        } else {
            Err(Denied::WrongRole { needed, has })
        }
    }
}

impl Tokens {
    async fn role_of(&self, hash: &str) -> Result<Option<Role>, Denied> {
        if let Some(role) = role_of(hash, &self.fixed) {
            return Ok(Some(role));
        }
        match role_of(hash, &self.known(REREAD_AFTER).await?) {
            Some(role) => Ok(Some(role)),
            None => Ok(role_of(hash, &self.known(REREAD_UNKNOWN_AFTER).await?)),
        }
    }

    /// The tokens, as they were at most that long ago. Where the catalog does not answer, those that were known before.
    async fn known(&self, at_most: Duration) -> Result<Arc<[(Role, String)]>, Denied> {
        let last = || {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            known.clone()
        };
        let fresh = |known: &Known| known.read_at.elapsed() <= at_most;
        if let Some(known) = last().filter(fresh) {
            return Ok(known.tokens);
        }
        // Who waits here finds what the one before has read.
        let _reading = self.reading.lock().await;
        if let Some(known) = last().filter(fresh) {
            return Ok(known.tokens);
        }
        let tokens = match (self.catalog.tokens().await, last()) {
            (Ok(tokens), _) => tokens
                .into_iter()
                // A role that this version does not know allows nothing.
                .filter_map(|token| Some((token.role.parse().ok()?, token.hash)))
                .collect(),
            (Err(_), Some(known)) => known.tokens,
            (Err(_), None) => return Err(Denied::Unavailable),
        };
        let read = Known {
            tokens: Arc::clone(&tokens),
            read_at: Instant::now(),
        };
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(read);
        Ok(tokens)
    }
}

/// Compares in a time that says nothing about how much of a hash was right.
fn role_of(hash: &str, tokens: &[(Role, String)]) -> Option<Role> {
    let is_it = |known: &str| bool::from(known.as_bytes().ct_eq(hash.as_bytes()));
    let found = tokens.iter().filter(|(_, known)| is_it(known));
    found.map(|(role, _)| *role).next_back()
}

/// The token of `Authorization: Bearer TOKEN`. Source: RFC 6750, section 2.1; the scheme in any case by RFC 9110, 11.1.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_bearer(value: &'static str, token: Option<&str>) {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, axum::http::HeaderValue::from_static(value));
        assert_eq!(bearer(&headers), token);
    }

    #[test]
    fn the_header_is_read_as_the_rfc_has_it() {
        check_bearer("Bearer abc", Some("abc"));
        check_bearer("bearer  abc ", Some("abc"));
        check_bearer("Basic abc", None);
        check_bearer("Bearer ", None);
        check_bearer("abc", None);
    }

    #[test]
    fn tokens_are_needed_off_loopback() {
        let check = |access: Access, address: &str, expected: bool| {
            let local = "127.0.0.1:4000".parse().unwrap();
            let addresses = [local, address.parse().unwrap()];
            assert_eq!(access.needs_tokens(&addresses), expected, "{address}");
        };
        check(Access::Guarded, "127.0.0.1:1", false);
        check(Access::Guarded, "127.8.0.1:1", false);
        check(Access::Guarded, "[::1]:1", false);
        check(Access::Guarded, "[::ffff:127.0.0.1]:1", false);
        check(Access::Guarded, "0.0.0.0:1", true);
        check(Access::Guarded, "[::]:1", true);
        check(Access::Guarded, "10.0.0.1:1", true);
        check(Access::Tokens, "127.0.0.1:1", true);
        check(Access::Open, "0.0.0.0:1", false);
    }
}
