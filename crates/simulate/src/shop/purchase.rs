//! The services behind buying: cart, pricing, checkout, payment, inventory, shipping, and what happens afterwards.

use crate::steps::{Call, Failure, FailureKind, Latency, Produce, Query, Step};
use crate::topology::{Operation, Service};

pub(super) fn services() -> Vec<Service> {
    vec![
        cart(),
        pricing(),
        checkout(),
        payment(),
        inventory(),
        shipping(),
        order_processor(),
        email_worker(),
    ]
}

fn cart() -> Service {
    let touch = |command: &str| Step::query("redis-cart", command, "", 400.0, 0.4);
    Service::new("cart", "2.6.3", "dotnet")
        .instances(3)
        .operation(
            Operation::http(
                "GET /carts/{cart_id}",
                vec![Step::work(400.0, 0.4), touch("HGETALL")],
            )
            .records(&["app.cart.items"])
            .fails(Failure::new(
                0.0005,
                FailureKind::Internal,
                "System.NullReferenceException",
                "object reference not set",
            )),
        )
        .operation(Operation::http(
            "POST /carts/{cart_id}/items",
            vec![
                Step::work(500.0, 0.4),
                Call::new("catalog", "shop.Catalog/GetProduct")
                    .retries(1)
                    .into(),
                touch("HSET"),
                touch("EXPIRE"),
            ],
        ))
        .operation(Operation::http(
            "DELETE /carts/{cart_id}",
            vec![Step::work(300.0, 0.4), touch("DEL")],
        ))
}

fn pricing() -> Service {
    Service::new("pricing", "5.0.4", "java")
        .instances(2)
        .operation(
            Operation::grpc(
                "shop.Pricing/Quote",
                vec![
                    Step::work(2_500.0, 0.4),
                    Step::query("redis-pricing", "GET", "", 350.0, 0.4),
                    Step::maybe(
                        0.1,
                        Step::query("postgres-pricing", "SELECT", "prices", 1_600.0, 0.5),
                    ),
                    Step::work(1_500.0, 0.4),
                ],
            )
            .records(&["app.currency", "app.customer.tier"])
            .fails(Failure::new(
                0.0005,
                FailureKind::Internal,
                "PriceNotFoundException",
                "no price in this currency",
            )),
        )
        .operation(
            Operation::grpc(
                "shop.Pricing/QuoteMany",
                vec![
                    Step::work(2_000.0, 0.4),
                    Step::query("redis-pricing", "MGET", "", 500.0, 0.4),
                    Step::maybe(
                        0.2,
                        Step::query("postgres-pricing", "SELECT", "prices", 2_500.0, 0.5),
                    ),
                    Step::internal("apply discounts", vec![Step::work(3_500.0, 0.4)]),
                ],
            )
            .records(&["app.currency", "app.customer.tier"]),
        )
}

fn checkout() -> Service {
    let prepare = vec![
        Step::call("cart", "GET /carts/{cart_id}"),
        Step::Parallel(vec![
            Step::call("pricing", "shop.Pricing/QuoteMany"),
            Step::Sequence(vec![
                Call::new("inventory", "shop.Inventory/Reserve")
                    .retries(2)
                    .into(),
            ]),
            Call::new("shipping", "POST /quotes").retries(1).into(),
        ]),
        Step::work(600.0, 0.4),
    ];
    let place_order = vec![
        Step::work(900.0, 0.4),
        Step::internal("prepare order", prepare),
        Step::call("payment", "shop.Payment/Charge"),
        Call::new("shipping", "POST /shipments").retries(2).into(),
        Step::query("postgres-orders", "INSERT", "orders", 1_900.0, 0.5),
        Step::Produce(Produce {
            service: "order-processor".to_owned(),
            operation: "process orders".to_owned(),
            latency: Latency::new(900.0, 0.4),
            delay: Latency::new(40_000.0, 0.8),
            new_trace: false,
        }),
        Call::new("cart", "DELETE /carts/{cart_id}")
            .absorbed()
            .into(),
        Step::work(400.0, 0.4),
    ];
    Service::new("checkout", "7.12.0", "go")
        .instances(2)
        .operation(
            Operation::grpc("shop.Checkout/PlaceOrder", place_order).records(&[
                "app.order.id",
                "app.payment.method",
                "app.currency",
                "app.customer.tier",
                "app.cart.items",
            ]),
        )
}

fn payment() -> Service {
    let charge = Query {
        dependency: "api.bank.example".to_owned(),
        operation: "POST /v2/charges".to_owned(),
        collection: String::new(),
        latency: Latency::new(45_000.0, 0.35),
        failures: Vec::new(),
    };
    Service::new("payment", "1.9.3", "java")
        .instances(2)
        .operation(
            Operation::grpc(
                "shop.Payment/Charge",
                vec![
                    Step::work(1_200.0, 0.4),
                    Step::internal("check fraud rules", vec![Step::work(2_500.0, 0.5)]),
                    Step::query("postgres-payment", "INSERT", "charges", 1_800.0, 0.5),
                    Step::Query(charge),
                    Step::query("postgres-payment", "UPDATE", "charges", 1_500.0, 0.5),
                ],
            )
            .records(&["app.payment.method", "app.currency", "app.order.id"])
            .fails(Failure::new(
                0.003,
                FailureKind::Internal,
                "CardProcessorException",
                "the card processor refused the connection",
            )),
        )
}

fn inventory() -> Service {
    Service::new("inventory", "0.8.5", "python")
        .instances(2)
        .operation(
            Operation::grpc(
                "shop.Inventory/GetStock",
                vec![
                    Step::work(700.0, 0.4),
                    Step::query("redis-inventory", "GET", "", 350.0, 0.4),
                ],
            )
            .records(&["app.product.id"]),
        )
        .operation(
            Operation::grpc(
                "shop.Inventory/Reserve",
                vec![
                    Step::work(900.0, 0.4),
                    Step::repeat(
                        1,
                        3,
                        Step::query("postgres-inventory", "UPDATE", "stock", 1_700.0, 0.5),
                    ),
                ],
            )
            .fails(
                Failure::new(
                    0.02,
                    FailureKind::Unavailable,
                    "psycopg.errors.SerializationFailure",
                    "could not serialize access due to concurrent update",
                )
                .after(1_500.0, 0.3),
            ),
        )
        .operation(Operation::grpc(
            "shop.Inventory/Commit",
            vec![
                Step::work(700.0, 0.4),
                Step::query("postgres-inventory", "UPDATE", "stock", 1_700.0, 0.5),
            ],
        ))
}

fn shipping() -> Service {
    let parcel = Query {
        dependency: "api.parcel.example".to_owned(),
        operation: "POST /labels".to_owned(),
        collection: String::new(),
        latency: Latency::new(28_000.0, 0.4),
        failures: vec![
            Failure::new(
                0.004,
                FailureKind::Unavailable,
                "reqwest::Error",
                "connection closed before message completed",
            )
            .after(3_000.0, 0.5),
        ],
    };
    Service::new("shipping", "3.3.0", "rust")
        .instances(2)
        .operation(Operation::http(
            "POST /quotes",
            vec![Step::work(1_100.0, 0.35)],
        ))
        .operation(Operation::http(
            "POST /shipments",
            vec![Step::work(900.0, 0.35), Step::Query(parcel)],
        ))
}

fn order_processor() -> Service {
    let fulfil = vec![
        Call::new("inventory", "shop.Inventory/Commit")
            .retries(2)
            .into(),
        Step::work(1_500.0, 0.4),
    ];
    Service::new("order-processor", "2.0.1", "java")
        .instances(2)
        .operation(
            Operation::queue(
                "process orders",
                vec![
                    Step::work(800.0, 0.4),
                    Step::query("postgres-orders", "UPDATE", "orders", 1_700.0, 0.5),
                    Step::internal("fulfil order", fulfil),
                    Step::Produce(Produce {
                        service: "email-worker".to_owned(),
                        operation: "process emails".to_owned(),
                        latency: Latency::new(900.0, 0.4),
                        delay: Latency::new(300_000.0, 0.8),
                        new_trace: true,
                    }),
                ],
            )
            .records(&["app.order.id"]),
        )
}

fn email_worker() -> Service {
    let send = Query {
        dependency: "api.mail.example".to_owned(),
        operation: "POST /v3/send".to_owned(),
        collection: String::new(),
        latency: Latency::new(80_000.0, 0.4),
        failures: vec![
            Failure::new(
                0.01,
                FailureKind::Timeout,
                "requests.exceptions.ReadTimeout",
                "read timed out",
            )
            .after(400_000.0, 0.05),
        ],
    };
    Service::new("email-worker", "1.1.9", "python")
        .instances(2)
        .operation(
            Operation::queue(
                "process emails",
                vec![
                    Step::work(900.0, 0.4),
                    Step::internal("render email", vec![Step::work(4_000.0, 0.4)]),
                    Step::Query(send),
                ],
            )
            .records(&["app.order.id", "app.customer.tier"]),
        )
}
