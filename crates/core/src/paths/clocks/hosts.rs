//! Which host a span comes from: the machine whose clock it was timed by.

use super::UNKNOWN;
use crate::model::{Origin, SpanBatch, TextColumn};
use crate::trace::SpanRef;

/// Resource attributes that name a host, first answer wins; the service's name where there is none. A node comes first,
/// since what runs in a container may take the container for its host, and clocks are the node's.
const HOST_KEYS: [&str; 6] = [
    "k8s.node.name",
    "host.id",
    "host.name",
    "k8s.pod.name",
    "container.id",
    "service.instance.id",
];
const UNRESOLVED: u32 = u32::MAX - 1;
/// An empty name is none.
const EMPTY: u32 = u32::MAX - 2;

/// Finds hosts by the columns of batches, and looks at each name of a column once.
#[derive(Debug)]
pub(super) struct HostFinder {
    batches: Vec<Vec<HostColumn>>,
}

#[derive(Debug)]
struct HostColumn {
    column: TextColumn,
    /// The number of every code.
    numbers: Vec<u32>,
}

impl HostColumn {
    fn new(column: &TextColumn) -> Self {
        use arrow_array::Array as _;
        Self {
            column: column.clone(),
            numbers: vec![UNRESOLVED; column.values().len()],
        }
    }
}

impl HostFinder {
    pub(super) fn new(batches: &[SpanBatch]) -> Self {
        let columns = |batch: &SpanBatch| {
            let named = HOST_KEYS.iter().flat_map(|key| batch.columns_of(key));
            let of_resource = named.filter(|c| c.origin == Origin::Resource);
            let columns = of_resource.map(|c| &c.column).chain([batch.service()]);
            columns.map(HostColumn::new).collect()
        };
        Self {
            batches: batches.iter().map(columns).collect(),
        }
    }

    /// The number of a span's host, as `number` numbers names; [`UNKNOWN`] for a span that tells neither a host nor a
    /// service.
    pub(super) fn host(&mut self, at: SpanRef, mut number: impl FnMut(&str) -> u32) -> u32 {
        for HostColumn { column, numbers } in &mut self.batches[at.batch as usize] {
            let Some(code) = column.code(at.row as usize) else {
                continue;
            };
            if numbers[code] == UNRESOLVED {
                numbers[code] = match column.values().value(code) {
                    "" => EMPTY,
                    name => number(name),
                };
            }
            if numbers[code] != EMPTY {
                return numbers[code];
            }
        }
        UNKNOWN
    }
}
