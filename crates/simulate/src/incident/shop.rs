//! Incidents in the shop: a place for each kind, where it shows well.

use super::{Incident, IncidentKind, Place};
use crate::edit::Target;

impl Incident {
    /// An incident of that kind at its place in [`Topology::shop`](crate::Topology::shop), with a strength of 1.
    pub fn in_shop(kind: IncidentKind) -> Self {
        use IncidentKind as Kind;
        let place = match kind {
            Kind::Healthy | Kind::SamplingRate => Place::System,
            Kind::SlowService => service("pricing"),
            Kind::CpuStarvation => service("checkout"),
            Kind::LostInstrumentation => service("ads"),
            Kind::SlowDependency => Place::Dependency {
                service: "search".to_owned(),
                dependency: "opensearch".to_owned(),
            },
            Kind::AddedCall => search_calls("pricing", "shop.Pricing/QuoteMany"),
            Kind::NPlusOne => search_calls("catalog", "shop.Catalog/GetProducts"),
            Kind::RemovedCache => Place::Step {
                service: "catalog".to_owned(),
                operation: "shop.Catalog/ListProducts".to_owned(),
                target: Target::Query {
                    dependency: "postgres-catalog".to_owned(),
                    operation: "SELECT".to_owned(),
                },
            },
            Kind::RetryStorm => operation("inventory", "shop.Inventory/Reserve"),
            Kind::EarlyReturn => operation("search", "GET /search"),
            Kind::ErrorAtOrigin => operation("pricing", "shop.Pricing/Quote"),
            Kind::AbsorbedError => operation("recommendation", "shop.Recommendation/List"),
            Kind::MixShift => operation("frontend", "GET /search"),
            Kind::Rename => operation("inventory", "shop.Inventory/GetStock"),
            Kind::Wrap => operation("catalog", "shop.Catalog/GetProduct"),
            Kind::SlowLink => Place::Link {
                caller: "frontend".to_owned(),
                callee: "pricing".to_owned(),
            },
        };
        Self {
            kind,
            place,
            strength: 1.0,
        }
    }
}

fn service(name: &str) -> Place {
    Place::Service(name.to_owned())
}

fn operation(service: &str, operation: &str) -> Place {
    Place::Operation {
        service: service.to_owned(),
        operation: operation.to_owned(),
    }
}

fn search_calls(service: &str, operation: &str) -> Place {
    Place::Step {
        service: "search".to_owned(),
        operation: "GET /search".to_owned(),
        target: Target::Call {
            service: service.to_owned(),
            operation: operation.to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Topology;
    use crate::trial::Trial;

    #[test]
    fn places_in_the_shop_are_good_ones() {
        let shop = Topology::shop();
        let before = Trial::run(&shop).unwrap();
        for kind in IncidentKind::ALL {
            let incident = Incident::in_shop(kind);
            let places = Place::candidates(&shop, kind);
            assert!(places.contains(incident.place()), "{kind}: {places:?}");
            assert!(incident.is_visible(&shop, &before).unwrap(), "{kind}");
            let at = Incident::at(kind, incident.place().clone(), 1.0);
            assert_eq!(at, Ok(incident));
        }
    }

    #[test]
    fn failures_that_somebody_stops_are_no_errors_at_their_origin() {
        let places = Place::candidates(&Topology::shop(), IncidentKind::ErrorAtOrigin);
        let goes_up = |service, name| places.contains(&operation(service, name));
        assert!(goes_up("payment", "shop.Payment/Charge"));
        assert!(goes_up("frontend", "GET /"));
        // Absorbed, tried again, and below what is absorbed.
        assert!(!goes_up("recommendation", "shop.Recommendation/List"));
        assert!(!goes_up("inventory", "shop.Inventory/Reserve"));
        assert!(!goes_up("cart", "DELETE /carts/{cart_id}"));
        assert!(!goes_up("catalog", "shop.Catalog/GetProduct"));
    }
}
