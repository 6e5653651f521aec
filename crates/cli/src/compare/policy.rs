//! Reads the policy file.

use std::path::Path;

use anyhow::Context as _;
use tracediff_core::diff::Policy;

/// The policy of a TOML file; the default without one.
pub(crate) fn read(path: Option<&Path>) -> anyhow::Result<Policy> {
    let Some(path) = path else {
        return Ok(Policy::default());
    };
    let name = || format!("the policy `{}` cannot be used", path.display());
    let text = std::fs::read_to_string(path).with_context(name)?;
    let policy: Policy = toml::from_str(&text).with_context(name)?;
    policy.check().with_context(name)?;
    Ok(policy)
}
