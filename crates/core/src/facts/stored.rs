//! The form in which facts are kept: eight bytes that say what it is and which version, then the fields in order, as
//! `postcard` writes them (numbers of variable length, no names). Whoever keeps it compresses it and guards it against
//! damage.

use thiserror::Error;

use super::Facts;

const MAGIC: [u8; 7] = *b"tdfacts";
/// Grows by one with every change of a stored type. An older version is read by code that knows it, or taken again.
const VERSION: u8 = 1;

/// Why bytes are no facts.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StoredFactsError {
    /// They are something else.
    #[error("these are no stored facts")]
    Other,
    /// They are of a version that this program does not know.
    #[error(
        "the facts are stored in form {0}, and this program knows form {VERSION}; take the snapshot again"
    )]
    Version(u8),
    /// They break off, or hold what facts cannot hold.
    #[error("the stored facts are damaged; take the snapshot again")]
    Damaged(#[source] postcard::Error),
    /// They name a slice that they do not have.
    #[error("the stored facts name a slice of time that they do not have; take the snapshot again")]
    Slice,
}

impl Facts {
    /// The facts as bytes, in the newest form.
    pub fn to_bytes(&self) -> Result<Vec<u8>, StoredFactsError> {
        let start = MAGIC.into_iter().chain([VERSION]).collect();
        postcard::to_extend(self, start).map_err(StoredFactsError::Damaged)
    }

    /// The facts that these bytes are.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StoredFactsError> {
        let (magic, rest) = bytes
            .split_at_checked(MAGIC.len())
            .ok_or(StoredFactsError::Other)?;
        let (version, fields) = rest.split_first().ok_or(StoredFactsError::Other)?;
        if magic != MAGIC {
            return Err(StoredFactsError::Other);
        }
        if *version != VERSION {
            return Err(StoredFactsError::Version(*version));
        }
        let facts: Self = postcard::from_bytes(fields).map_err(StoredFactsError::Damaged)?;
        if facts.has_slices_of_its_own() {
            Ok(facts)
        } else {
            Err(StoredFactsError::Slice)
        }
    }

    /// Whether every number of a slice that occurs is one: they are used as places later.
    fn has_slices_of_its_own(&self) -> bool {
        let slices = self.slicing.slices().len();
        let groups = self.keys.values().flat_map(|key| key.groups.values());
        let groups = groups.chain(self.calls.values()).chain(self.graph.values());
        let mut of_groups = groups.chain([&self.all]).flat_map(|group| group.cells());
        let mut paths = self.paths.nodes().values();
        self.slice_traces.len() == slices
            && of_groups.all(|(slice, _)| slice < slices)
            && paths.all(|node| node.has_slices_below(slices))
    }
}
