//! The shop: fourteen services that sell things, the topology that scenarios act on.
//!
//! Nothing here depends on a seed: it is the population, of which every simulation is a sample.

mod purchase;
mod storefront;

use crate::property::Property;
use crate::topology::{Dependency, Entry, Topology};

impl Topology {
    /// The shop. `docs/simulator.md` has its picture.
    pub fn shop() -> Self {
        let mut services = storefront::services();
        services.extend(purchase::services());
        Self {
            namespace: "shop".to_owned(),
            environment: "production".to_owned(),
            zones: ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
                .map(str::to_owned)
                .to_vec(),
            hosts: 6,
            services,
            dependencies: dependencies(),
            properties: properties(),
            entries: entries(),
        }
    }
}

fn entries() -> Vec<Entry> {
    [
        ("GET /", 26.0),
        ("GET /product/{id}", 33.0),
        ("GET /search", 16.0),
        ("GET /cart", 7.0),
        ("POST /cart", 9.0),
        ("POST /checkout", 6.0),
        ("POST /login", 3.0),
    ]
    .map(|(operation, weight)| Entry::new("frontend", operation, weight))
    .to_vec()
}

fn properties() -> Vec<Property> {
    vec![
        Property::one_of(
            "app.customer.tier",
            &[("free", 70.0), ("plus", 22.0), ("business", 8.0)],
        ),
        Property::one_of(
            "app.client.platform",
            &[("web", 55.0), ("android", 25.0), ("ios", 20.0)],
        ),
        Property::one_of(
            "app.payment.method",
            &[
                ("card", 62.0),
                ("paypal", 20.0),
                ("invoice", 13.0),
                ("gift-card", 5.0),
            ],
        ),
        Property::one_of(
            "app.currency",
            &[
                ("EUR", 52.0),
                ("USD", 28.0),
                ("GBP", 12.0),
                ("CHF", 5.0),
                ("SEK", 3.0),
            ],
        ),
        Property::one_of(
            "feature_flag.result.variant",
            &[("off", 90.0), ("on", 10.0)],
        ),
        Property::one_of(
            "app.cart.items",
            &[
                (1i64, 40.0),
                (2, 25.0),
                (3, 15.0),
                (4, 10.0),
                (6, 6.0),
                (9, 4.0),
            ],
        ),
        Property::ranked("app.product.id", "sku-", 150),
        Property::identifier("app.order.id", "ord-"),
        Property::identifier("session.id", ""),
    ]
}

fn dependencies() -> Vec<Dependency> {
    vec![
        Dependency::database("redis-catalog", 6379, "redis", "0"),
        Dependency::database("postgres-catalog", 5432, "postgresql", "catalog"),
        Dependency::database("opensearch", 9200, "opensearch", "products"),
        Dependency::database("redis-cart", 6379, "redis", "0"),
        Dependency::database("redis-pricing", 6379, "redis", "1"),
        Dependency::database("postgres-pricing", 5432, "postgresql", "pricing"),
        Dependency::database("postgres-orders", 5432, "postgresql", "orders"),
        Dependency::database("postgres-payment", 5432, "postgresql", "payment"),
        Dependency::database("redis-inventory", 6379, "redis", "0"),
        Dependency::database("postgres-inventory", 5432, "postgresql", "inventory"),
        Dependency::database("redis-recommendation", 6379, "redis", "0"),
        Dependency::database("redis-ads", 6379, "redis", "0"),
        Dependency::database("redis-sessions", 6379, "redis", "2"),
        Dependency::database("postgres-accounts", 5432, "postgresql", "accounts"),
        Dependency::http("api.bank.example"),
        Dependency::http("api.parcel.example"),
        Dependency::http("api.mail.example"),
    ]
}
