//! Another name for an operation, wherever it is named.

use crate::plan::TopologyError;
use crate::steps::Step;
use crate::topology::Topology;
use crate::walk::each_step_mut;

impl Topology {
    pub(super) fn rename(
        &mut self,
        service: &str,
        operation: &str,
        to: &str,
    ) -> Result<(), TopologyError> {
        self.find_operation(service, operation)?.name = to.to_owned();
        let rename = |named: &mut String, of: &str| {
            if of == service && named == operation {
                *named = to.to_owned();
            }
        };
        for entry in &mut self.entries {
            rename(&mut entry.operation, &entry.service);
        }
        for operation in self.services.iter_mut().flat_map(|s| &mut s.operations) {
            each_step_mut(&mut operation.steps, &mut |step| match step {
                Step::Call(call) => rename(&mut call.operation, &call.service),
                Step::Produce(produce) => rename(&mut produce.operation, &produce.service),
                _ => {}
            });
        }
        Ok(())
    }
}
