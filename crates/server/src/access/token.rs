//! Tokens: what a role allows, how a secret is made, and what is kept of it.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// What every secret begins with, so that one that leaked is recognised.
const PREFIX: &str = "tracediff_";
/// Nobody guesses 256 bits, so that a fast hash without salt keeps them as well as a slow one.
const SECRET_BYTES: usize = 32;

/// What a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Sending spans, and nothing else.
    Ingest,
    /// Reading everything.
    Read,
    /// Reading everything, and changing queries, snapshots and diffs.
    Write,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ingest, Self::Read, Self::Write];

    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Read => "read",
            Self::Write => "write",
        }
    }

    /// Whether who has this role may do what `needed` asks for.
    pub fn allows(self, needed: Self) -> bool {
        self == needed || (self, needed) == (Self::Write, Self::Read)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let role = Self::ALL.into_iter().find(|role| role.word() == text);
        role.ok_or_else(|| format!("`{text}` is no role: ingest, read or write"))
    }
}

/// What a client shows. It is seen once, when it is made; only its hash is kept.
pub struct Secret(String);

impl Secret {
    /// One that nobody has.
    ///
    /// # Errors
    /// Where the system has no random bytes.
    pub fn random() -> Result<Self, std::io::Error> {
        let mut bytes = [0; SECRET_BYTES];
        getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
        Ok(Self(format!("{PREFIX}{}", hex(&bytes))))
    }

    /// The text that a client sends.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    pub fn hash(&self) -> String {
        hash(&self.0)
    }
}

impl From<String> for Secret {
    /// One that somebody has chosen.
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// A token that the configuration has, beside those of the catalog.
#[derive(Clone, PartialEq, Eq)]
pub struct FixedToken {
    /// What it allows.
    pub role: Role,
    /// [`Secret::hash`] of what clients show.
    pub hash: String,
}

impl fmt::Debug for FixedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FixedToken({}, …)", self.role)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// SHA-256 in hexadecimal.
pub(super) fn hash(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_allows_what_it_says() {
        let allowed = |role: Role| Role::ALL.map(|needed| role.allows(needed));
        assert_eq!(allowed(Role::Ingest), [true, false, false]);
        assert_eq!(allowed(Role::Read), [false, true, false]);
        assert_eq!(allowed(Role::Write), [false, true, true]);
    }

    #[test]
    fn a_secret_is_known_by_its_hash_only() {
        let (one, other) = (Secret::random().unwrap(), Secret::random().unwrap());
        assert_ne!(one.reveal(), other.reveal());
        assert_eq!(one.hash(), hash(one.reveal()));
        assert!(!format!("{one:?}").contains(one.reveal()));
        // FIPS 180-4's example.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash("abc"), abc);
    }
}
