//! What an operation's name says: method and route, service and method, destination.

use super::error::TopologyError;
use super::{Attribute, attribute};
use crate::topology::{Interface, Operation, Service};

/// What spans on both sides of an interface say.
pub(super) fn interface_attributes(
    service: &Service,
    operation: &Operation,
) -> Result<Vec<Attribute>, TopologyError> {
    Ok(match operation.interface {
        Interface::Http => {
            let (method, _) = http_parts(service, operation)?;
            vec![attribute("http.request.method", method)]
        }
        Interface::Grpc => {
            let parts = operation.name.rsplit_once('/');
            let (package, method) =
                parts.ok_or_else(|| bad_name(service, operation, "`shop.Catalog/GetProduct`"))?;
            vec![
                attribute("rpc.system", "grpc"),
                attribute("rpc.service", package),
                attribute("rpc.method", method),
            ]
        }
        Interface::Queue => vec![
            attribute("messaging.system", "kafka"),
            attribute(
                "messaging.destination.name",
                destination(service, operation)?,
            ),
        ],
    })
}

/// Method and route.
pub(super) fn http_parts<'o>(
    service: &Service,
    operation: &'o Operation,
) -> Result<(&'o str, &'o str), TopologyError> {
    let parts = operation.name.split_once(' ');
    parts.ok_or_else(|| bad_name(service, operation, "`GET /product/{id}`"))
}

pub(super) fn destination<'o>(
    service: &Service,
    operation: &'o Operation,
) -> Result<&'o str, TopologyError> {
    let destination = operation.name.strip_prefix("process ");
    destination.ok_or_else(|| bad_name(service, operation, "`process orders`"))
}

pub(super) fn bad_name(
    service: &Service,
    operation: &Operation,
    expected: &'static str,
) -> TopologyError {
    TopologyError::Name {
        service: service.name.clone(),
        name: operation.name.clone(),
        expected,
    }
}
