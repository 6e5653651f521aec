//! What one request, line or document held.

use crate::error::DecodeError;

/// What became of the spans of one request, line or document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decoded {
    /// Spans that are in the builder now.
    pub spans: u64,
    /// Spans left out because their ids are not valid.
    pub rejected: u64,
    /// Why the first of them was left out.
    pub first_rejection: Option<DecodeError>,
}

impl Decoded {
    /// Counts a span that was left out.
    pub(crate) fn reject(&mut self, why: DecodeError) {
        self.rejected += 1;
        self.first_rejection.get_or_insert(why);
    }
}
