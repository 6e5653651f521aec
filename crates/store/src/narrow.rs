//! Segments with no more columns than can be merged: a producer that puts ids into the *keys* of attributes would make one
//! column for each of them. The rarest share one.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arrow_array::Array;
use arrow_schema::{Field, Schema, SchemaRef};
use tracediff_core::model::SpanBatch;

/// Attribute columns that a segment may have; as many as a batch that is received.
const MAX_COLUMNS: usize = 1_024;

/// What tells a column from another: its name, and what its metadata says.
type Identity = (String, BTreeMap<String, String>);

fn identity(field: &Field) -> Identity {
    let metadata = field.metadata().clone().into_iter().collect();
    (field.name().clone(), metadata)
}

/// A schema with no more attribute columns than a segment may have: those with the greatest weights. `None` where it has no
/// more already.
pub(crate) fn narrow_schema<'a>(
    schema: &SchemaRef,
    weights: impl Iterator<Item = (&'a Field, u64)>,
) -> Option<SchemaRef> {
    let is_attribute = |field: &&Arc<Field>| !field.metadata().is_empty();
    if schema.fields().iter().filter(is_attribute).count() <= MAX_COLUMNS {
        return None;
    }
    let mut weight_of: HashMap<Identity, u64> = HashMap::new();
    for (field, weight) in weights.filter(|(field, _)| !field.metadata().is_empty()) {
        *weight_of.entry(identity(field)).or_default() += weight;
    }
    let mut ranked: Vec<(u64, Identity)> = weight_of
        .into_iter()
        .map(|(identity, weight)| (u64::MAX - weight, identity))
        .collect();
    ranked.sort_unstable();
    ranked.truncate(MAX_COLUMNS);
    let kept: HashSet<Identity> = ranked.into_iter().map(|(_, identity)| identity).collect();
    let stays =
        |field: &&Arc<Field>| field.metadata().is_empty() || kept.contains(&identity(field));
    let fields: Vec<Arc<Field>> = schema.fields().iter().filter(stays).cloned().collect();
    Some(Arc::new(Schema::new(fields)))
}

/// Batches without the columns that a schema does not have, whose values go to the column that they share; `None` where
/// that would take too much.
pub(crate) fn narrow(batches: &[SpanBatch], schema: &SchemaRef) -> Option<Vec<SpanBatch>> {
    let kept: HashSet<Identity> = schema.fields().iter().map(|f| identity(f)).collect();
    let narrow = |batch: &SpanBatch| batch.narrowed(|field| kept.contains(&identity(field)));
    batches.iter().map(narrow).collect()
}

/// The columns of batches, and how many values each has.
pub(crate) fn values(schemas: &[SchemaRef], batches: &[SpanBatch]) -> Vec<(Arc<Field>, u64)> {
    let columns = schemas.iter().zip(batches).flat_map(|(schema, batch)| {
        let columns = batch.record_batch().columns().iter();
        schema.fields().iter().zip(columns)
    });
    columns
        .map(|(field, column)| {
            let values = column.len() - column.null_count();
            (Arc::clone(field), values as u64)
        })
        .collect()
}
