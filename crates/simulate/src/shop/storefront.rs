//! The services behind browsing: the gateway, catalog, search, recommendation, ads, accounts.

use crate::steps::{Call, Failure, FailureKind, Step};
use crate::topology::{Operation, Service};

pub(super) fn services() -> Vec<Service> {
    vec![
        frontend(),
        catalog(),
        search(),
        recommendation(),
        ads(),
        accounts(),
    ]
}

const VISITOR: &[&str] = &["session.id", "app.customer.tier", "app.client.platform"];

fn render(page: &str, median_us: f64) -> Step {
    Step::internal(&format!("render {page}"), vec![Step::work(median_us, 0.3)])
}

fn recommend() -> Step {
    Call::new("recommendation", "shop.Recommendation/List")
        .absorbed()
        .into()
}

fn advertise() -> Step {
    Call::new("ads", "shop.Ads/GetAds").absorbed().into()
}

fn frontend() -> Service {
    let page = |name: &str, steps: Vec<Step>| {
        Operation::http(name, steps)
            .records(VISITOR)
            .fails(Failure::new(
                0.0005,
                FailureKind::Internal,
                "TypeError",
                "cannot read properties of undefined",
            ))
    };
    let unknown_product = Failure::new(0.006, FailureKind::NotFound, "", "");
    Service::new("frontend", "3.8.1", "nodejs")
        .instances(3)
        .operation(page(
            "GET /",
            vec![
                Step::work(900.0, 0.35),
                Step::Parallel(vec![
                    Call::new("catalog", "shop.Catalog/ListProducts")
                        .retries(1)
                        .into(),
                    recommend(),
                    advertise(),
                ]),
                render("home", 2_200.0),
            ],
        ))
        .operation(
            page(
                "GET /product/{id}",
                vec![
                    Step::work(800.0, 0.35),
                    Call::new("catalog", "shop.Catalog/GetProduct")
                        .retries(1)
                        .into(),
                    Step::Parallel(vec![
                        Step::call("pricing", "shop.Pricing/Quote"),
                        Call::new("inventory", "shop.Inventory/GetStock")
                            .absorbed()
                            .into(),
                        recommend(),
                        Step::maybe(0.5, advertise()),
                    ]),
                    render("product", 1_800.0),
                ],
            )
            .records(&["app.product.id"])
            .fails(unknown_product),
        )
        .operation(page(
            "GET /search",
            vec![
                Step::work(900.0, 0.35),
                Call::new("search", "GET /search").retries(1).into(),
                Step::call("pricing", "shop.Pricing/QuoteMany"),
                Step::maybe(0.3, advertise()),
                render("results", 2_500.0),
            ],
        ))
        .operation(page(
            "GET /cart",
            vec![
                Step::work(700.0, 0.35),
                Step::call("cart", "GET /carts/{cart_id}"),
                Step::Parallel(vec![
                    Step::call("pricing", "shop.Pricing/QuoteMany"),
                    Step::maybe(0.6, Call::new("shipping", "POST /quotes").absorbed().into()),
                ]),
                render("cart", 1_500.0),
            ],
        ))
        .operation(
            page(
                "POST /cart",
                vec![
                    Step::work(700.0, 0.35),
                    Step::call("cart", "POST /carts/{cart_id}/items"),
                ],
            )
            .records(&["app.product.id"]),
        )
        .operation(
            page(
                "POST /checkout",
                vec![
                    Step::work(1_200.0, 0.35),
                    Step::call("accounts", "GET /sessions/{session_id}"),
                    Step::call("checkout", "shop.Checkout/PlaceOrder"),
                    render("receipt", 1_500.0),
                ],
            )
            .records(&["app.order.id", "app.payment.method", "app.currency"]),
        )
        .operation(page(
            "POST /login",
            vec![
                Step::work(600.0, 0.35),
                Step::call("accounts", "POST /sessions"),
            ],
        ))
}

fn catalog() -> Service {
    let cached = |miss: f64, read: Step| {
        let store = Step::query("redis-catalog", "SET", "", 300.0, 0.4);
        vec![
            Step::work(500.0, 0.4),
            Step::query("redis-catalog", "GET", "", 350.0, 0.4),
            Step::maybe(miss, Step::Sequence(vec![read, store])),
            Step::work(250.0, 0.4),
        ]
    };
    let select = |median_us| Step::query("postgres-catalog", "SELECT", "products", median_us, 0.5);
    Service::new("catalog", "1.4.2", "go")
        .instances(3)
        .operation(
            Operation::grpc("shop.Catalog/GetProduct", cached(0.15, select(1_800.0)))
                .records(&["app.product.id"])
                .fails(Failure::new(
                    0.001,
                    FailureKind::Unavailable,
                    "ConnectionReset",
                    "connection reset by peer",
                )),
        )
        .operation(Operation::grpc(
            "shop.Catalog/ListProducts",
            cached(0.1, select(4_500.0)),
        ))
        .operation(Operation::grpc(
            "shop.Catalog/GetProducts",
            cached(0.25, select(3_000.0)),
        ))
}

fn search() -> Service {
    Service::new("search", "0.19.0", "java")
        .instances(2)
        .operation(
            Operation::http(
                "GET /search",
                vec![
                    Step::work(600.0, 0.4),
                    Step::internal("parse query", vec![Step::work(400.0, 0.5)]),
                    Step::query("opensearch", "search", "products", 7_000.0, 0.55),
                    Step::call("catalog", "shop.Catalog/GetProducts"),
                    Step::internal("rank results", vec![Step::work(1_500.0, 0.5)]),
                ],
            )
            .fails(
                Failure::new(
                    0.002,
                    FailureKind::Timeout,
                    "SearchTimeout",
                    "the index did not answer in time",
                )
                .after(60_000.0, 0.1),
            ),
        )
}

fn recommendation() -> Service {
    Service::new("recommendation", "2.2.0", "python")
        .instances(2)
        .operation(
            Operation::grpc(
                "shop.Recommendation/List",
                vec![
                    Step::work(900.0, 0.4),
                    Step::query("redis-recommendation", "ZRANGE", "", 400.0, 0.4),
                    Step::internal("rank products", vec![Step::work(2_000.0, 0.5)]),
                    Step::maybe(0.4, Step::call("catalog", "shop.Catalog/GetProducts")),
                ],
            )
            .records(&["feature_flag.result.variant", "app.customer.tier"])
            .fails(Failure::new(
                0.003,
                FailureKind::Internal,
                "ModelNotLoaded",
                "no model in memory",
            )),
        )
}

fn ads() -> Service {
    Service::new("ads", "1.0.7", "java").instances(2).operation(
        Operation::grpc(
            "shop.Ads/GetAds",
            vec![
                Step::work(700.0, 0.45),
                Step::query("redis-ads", "SRANDMEMBER", "", 350.0, 0.4),
                Step::work(500.0, 0.45),
            ],
        )
        .records(&["app.client.platform"])
        .fails(Failure::new(
            0.002,
            FailureKind::Unavailable,
            "NoInventory",
            "no campaign is running",
        )),
    )
}

fn accounts() -> Service {
    Service::new("accounts", "4.1.0", "ruby")
        .instances(2)
        .operation(Operation::http(
            "GET /sessions/{session_id}",
            vec![
                Step::work(500.0, 0.4),
                Step::query("redis-sessions", "GET", "", 350.0, 0.4),
            ],
        ))
        .operation(
            Operation::http(
                "POST /sessions",
                vec![
                    Step::work(600.0, 0.4),
                    Step::query("postgres-accounts", "SELECT", "users", 1_500.0, 0.5),
                    Step::internal("verify password", vec![Step::work(18_000.0, 0.15)]),
                    Step::query("redis-sessions", "SET", "", 350.0, 0.4),
                ],
            )
            .records(&["app.client.platform"])
            .fails(Failure::new(0.04, FailureKind::Rejected, "", "")),
        )
}
