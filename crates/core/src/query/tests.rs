//! The language end to end; the parts of each file are reached through `Query` and `Matcher` alone.

mod errors;
mod matching;
mod parsing;
mod reference;
mod trees;
