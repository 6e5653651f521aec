//! Saved queries of a running server: snapshots on request and by the clock, diffs, and what outlives the process.

use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};
use tracediff_testkit::{Connection, Server};

use super::shop::sandbox;
use super::stored::{recorded, served};

const BINARY: &str = env!("CARGO_BIN_EXE_tracediff");
/// When the recorded traces begin, in Unix seconds; the incident begins two minutes later.
pub(super) const START: i64 = 1_767_607_200;

pub(super) fn ask(server: &Server, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let mut connection = Connection::open(&server.api).unwrap();
    connection.json(method, path, &body).unwrap()
}

pub(super) fn got(server: &Server, path: &str) -> Value {
    let (status, body) = ask(server, "GET", path, &Value::Null);
    assert_eq!(status, 200, "{body}");
    body
}

/// What a path answers as soon as it is as wanted.
pub(super) fn until(server: &Server, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let body = got(server, path);
        if wanted(&body) {
            return body;
        }
        assert!(Instant::now() < deadline, "{body}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub(super) fn id(of: &Value) -> String {
    of["_id"].as_str().unwrap().to_owned()
}

#[test]
fn a_query_has_snapshots_and_a_diff_which_outlive_the_process() {
    let sandbox = recorded();
    let server = served(&sandbox);
    let query = json!({
        "name": "pricing",
        "query": "service IN (\"pricing\")",
        "groupByKeys": ["app.currency"],
        "scheduled": false,
    });
    let (status, query) = ask(&server, "POST", "/api/queries", &query);
    assert_eq!((status, &query["name"]), (201, &json!("pricing")));
    assert_eq!(got(&server, "/api/queries"), json!([query]));
    let query_id = id(&query);

    let take = |from: i64| {
        let path = format!("/api/queries/{query_id}/snapshots");
        let window = json!({ "from": from, "to": from + 120 });
        let (status, snapshot) = ask(&server, "POST", &path, &window);
        assert_eq!(status, 202, "{snapshot}");
        let ready = |snapshot: &Value| snapshot["status"] == "ready";
        until(&server, &format!("/api/snapshots/{}", id(&snapshot)), ready)
    };
    let snapshots = [take(START), take(START + 120)];
    assert_eq!(
        id(&take(START)),
        id(&snapshots[0]),
        "the same window is taken once"
    );
    assert_eq!(got(&server, "/api/snapshots"), json!(snapshots));
    assert_eq!(snapshots[1]["counts"]["orphanSpans"], 0);
    assert_ne!(snapshots[1]["counts"]["traces"], 0);

    let path = format!("/api/diffs?queryId={query_id}");
    let diffs = until(&server, &path, |diffs| diffs[0].is_object());
    let diff = &diffs[0];
    assert_eq!(diff["linkA"], snapshots[0]["link"]);
    assert_eq!(diff["linkB"], snapshots[1]["link"]);
    assert_eq!(diff["verdict"], "regressed", "{diff}");
    assert_eq!(diff["diffs"][0]["key"], "service");
    assert_eq!(diff["diffs"][2]["key"], "app.currency");
    // The same as the command says of the same windows of what was sent.
    let line = "compare before.jsonl after.jsonl --where 'service = pricing' --format json";
    let of_files = sandbox.run(line).json();
    assert_eq!(diff["culprits"][0], of_files["culprits"][0]["service"]);
    let whole = got(&server, &format!("/api/diffs/{}", id(diff)));
    let document = &whole["document"];
    assert_eq!(document["sentence"], diff["sentence"]);
    assert!(
        document["findings"][0]["explanation"].is_object(),
        "it is explained"
    );
    assert!(!document["traces"].as_array().unwrap().is_empty());
    let summary = got(&server, &format!("/api/diffs/{}?summary=1", id(diff)));
    assert_eq!(&summary, diff);
    let verdict = got(&server, &format!("/api/verdict?queryId={query_id}"));
    assert_eq!(verdict["isRegressed"], true);
    let pair = json!({ "baseline": id(&snapshots[0]), "candidate": id(&snapshots[1]) });
    let (_, again) = ask(&server, "POST", "/api/diffs", &pair);
    assert_eq!(&again, diff, "a pair is compared once");

    // What a query found before it was changed is nothing to compare with.
    let change = json!({ "query": "service = cart", "scheduled": false });
    let path = format!("/api/queries/{query_id}");
    let (status, query) = ask(&server, "PUT", &path, &change);
    assert_eq!((status, id(&query)), (200, query_id.clone()));
    let take_minute = |from: i64| {
        let path = format!("/api/queries/{query_id}/snapshots");
        let window = json!({ "from": from, "to": from + 60 });
        id(&ask(&server, "POST", &path, &window).1)
    };
    let minutes = [take_minute(START + 120), take_minute(START + 180)];
    let path = format!("/api/diffs?queryId={query_id}");
    let diffs = until(&server, &path, |diffs| diffs[1].is_object());
    assert_eq!(diffs.as_array().unwrap().len(), 2);
    assert_eq!(diffs[1]["baselineId"], minutes[0]);
    assert_eq!(diffs[1]["candidateId"], minutes[1]);
    let snapshots = got(&server, "/api/snapshots");

    server.kill();
    let server = Server::start(BINARY, &sandbox.folder().join("data"), &[]);
    assert_eq!(got(&server, "/api/queries"), json!([query]));
    assert_eq!(got(&server, "/api/snapshots"), snapshots);
    assert_eq!(got(&server, &format!("/api/diffs/{}", id(diff))), whole);
    for (kind, of) in [
        ("diffs", diff),
        ("snapshots", &snapshots[0]),
        ("queries", &query),
    ] {
        let path = format!("/api/{kind}/{}", id(of));
        let (status, answer) = ask(&server, "DELETE", &path, &Value::Null);
        assert_eq!((status, id(&answer["msg"])), (200, id(of)));
        assert_eq!(ask(&server, "GET", &path, &Value::Null).0, 404);
    }
    assert!(server.stop());
}

/// Sends spans, one request a line.
fn send(server: &Server, spans: &str) {
    let mut connection = Connection::open(&server.otlp_http).unwrap();
    for line in spans.lines() {
        let answer = connection.post("/v1/traces", "application/json", line.as_bytes());
        assert_eq!(answer.unwrap().0, 200);
    }
}

#[test]
fn snapshots_are_taken_by_the_clock_and_compared() {
    let sandbox = sandbox();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let start = jiff::Timestamp::from_second(now.unwrap().as_secs() as i64 - 58).unwrap();
    let line = format!("simulate --out now.jsonl --minutes 1 --start {start}");
    sandbox.run(&line).expect_code(0);
    let server = Server::start(BINARY, &sandbox.folder().join("data"), &[]);
    send(&server, &sandbox.read("now.jsonl"));
    let query = json!({ "query": "service = cart", "interval": "10s", "settle": "0s" });
    let (_, query) = ask(&server, "POST", "/api/queries", &query);
    assert_eq!(query["name"], "service = cart");
    let path = format!("/api/diffs?queryId={}", id(&query));
    let diffs = until(&server, &path, |diffs| diffs[0].is_object());
    let ready = got(&server, "/api/snapshots?status=ready");
    let ready = ready.as_array().unwrap();
    let windows: Vec<i64> = ready
        .iter()
        .map(|snapshot| snapshot["toNs"].as_str().unwrap().parse().unwrap())
        .collect();
    assert!(
        windows.iter().all(|ns| ns % 10_000_000_000 == 0),
        "{windows:?}"
    );
    assert!(
        ready
            .iter()
            .all(|snapshot| snapshot["origin"] == "schedule")
    );
    assert!(
        ready
            .iter()
            .any(|snapshot| snapshot["_id"] == diffs[0]["baselineId"])
    );
    assert!(server.stop());
}

/// The first diff of a query, and both of its snapshots.
fn first_diff(server: &Server, path: &str) -> (Value, [Value; 2]) {
    let diffs = until(server, path, |diffs| diffs[0].is_object());
    let diff = diffs[0].clone();
    let sides = ["linkA", "linkB"].map(|link| got(server, diff[link].as_str().unwrap()));
    (diff, sides)
}

#[test]
fn two_values_of_a_key_are_compared_within_one_window() {
    let sandbox = recorded();
    let server = served(&sandbox);
    let split = json!({ "key": "app.currency", "baseline": "EUR", "candidate": "USD" });
    let query = json!({
        "query": "service = pricing",
        "scheduled": false,
        "baseline": { "split": split },
    });
    let (status, query) = ask(&server, "POST", "/api/queries", &query);
    assert_eq!((status, &query["baseline"]["split"]), (201, &split));
    let path = format!("/api/queries/{}/snapshots", id(&query));
    let window = json!({ "from": START, "to": START + 120 });
    let (status, candidate) = ask(&server, "POST", &path, &window);
    assert_eq!(status, 202, "{candidate}");
    let (diff, [baseline, of_diff]) = first_diff(&server, "/api/diffs");
    assert_eq!(id(&of_diff), id(&candidate));
    let has = |snapshot: &Value, value: &str| {
        let text = format!(r#"(service = pricing) AND app.currency IN ("{value}")"#);
        assert_eq!(snapshot["query"], text);
        assert_eq!(
            (&snapshot["fromNs"], &snapshot["status"]),
            (&candidate["fromNs"], &json!("ready"))
        );
        assert_ne!(snapshot["counts"]["traces"], 0);
    };
    has(&baseline, "EUR");
    has(&of_diff, "USD");
    assert_eq!(diff["queryId"], query["_id"]);
    let sentence = diff["sentence"].as_str().unwrap();
    assert!(!sentence.contains("app.currency"), "{sentence}");
    assert_eq!(got(&server, "/api/diffs").as_array().unwrap().len(), 1);

    // Around a deployment it is the whole that is compared.
    let change = json!({ "query": "service = pricing", "scheduled": false, "window": "1m", "baseline": query["baseline"] });
    let path = format!("/api/queries/{}", id(&query));
    assert_eq!(ask(&server, "PUT", &path, &change).0, 200);
    let deployed = json!({ "service": "pricing", "version": "2", "time": START + 120 });
    let (status, deployed) = ask(&server, "POST", "/api/deployments", &deployed);
    assert_eq!(status, 201, "{deployed}");
    let around = &deployed["snapshots"][0];
    let diffs = until(&server, "/api/diffs", |diffs| diffs[1].is_object());
    assert_eq!(
        (&diffs[1]["baselineId"], &diffs[1]["candidateId"]),
        (&around["before"], &around["after"])
    );
    assert_eq!(diffs[1]["query"], "service = pricing");
}

#[test]
fn any_two_windows_are_compared() {
    let sandbox = recorded();
    let server = served(&sandbox);
    let side = |from: i64| json!({ "query": "service = pricing", "from": from, "to": from + 120 });
    let pair = json!({ "baseline": side(START), "candidate": side(START + 120) });
    let (status, taken) = ask(&server, "POST", "/api/diffs", &pair);
    assert_eq!(status, 202, "{taken}");
    let (diff, [baseline, candidate]) = first_diff(&server, "/api/diffs");
    assert_eq!(
        (id(&baseline), id(&candidate)),
        (id(&taken["baseline"]), id(&taken["candidate"]))
    );
    assert_eq!(
        (&diff["verdict"], &diff["queryId"]),
        (&json!("regressed"), &Value::Null)
    );
    let (status, again) = ask(&server, "POST", "/api/diffs", &pair);
    assert_eq!(
        (status, again),
        (201, diff),
        "the same pair is compared once"
    );
}

#[test]
fn a_baseline_that_is_too_old_is_not_compared_with() {
    let sandbox = recorded();
    let server = served(&sandbox);
    let query =
        json!({ "query": "service = pricing", "scheduled": false, "maxBaselineAge": "30s" });
    let (_, query) = ask(&server, "POST", "/api/queries", &query);
    let take = |from: i64| {
        let path = format!("/api/queries/{}/snapshots", id(&query));
        let window = json!({ "from": from, "to": from + 60 });
        let path = format!(
            "/api/snapshots/{}",
            id(&ask(&server, "POST", &path, &window).1)
        );
        until(&server, &path, |snapshot| snapshot["status"] == "ready")
    };
    // A minute lies between the first two, nothing between the last.
    let [_, second, third] = [START, START + 120, START + 180].map(take);
    let (_, [baseline, candidate]) = first_diff(&server, "/api/diffs");
    assert_eq!((id(&baseline), id(&candidate)), (id(&second), id(&third)));
}

#[test]
fn windows_end_when_a_cron_expression_says() {
    let sandbox = sandbox();
    let now = jiff::Timestamp::now();
    let start = now - jiff::SignedDuration::from_secs(3_000);
    let line = format!("simulate --out now.jsonl --minutes 50 --rate 0.2 --start {start}");
    sandbox.run(&line).expect_code(0);
    let server = Server::start(BINARY, &sandbox.folder().join("data"), &[]);
    send(&server, &sandbox.read("now.jsonl"));
    let query = json!({ "query": "service = cart", "cron": "*/15 * * * *", "settle": "0s" });
    let (status, query) = ask(&server, "POST", "/api/queries", &query);
    assert_eq!((status, &query["cron"]), (201, &json!("*/15 * * * *")));
    let (_, sides) = first_diff(&server, "/api/diffs");
    let ns = |side: &Value, name: &str| side[name].as_str().unwrap().parse::<i64>().unwrap();
    const QUARTER_NS: i64 = 900_000_000_000;
    for side in &sides {
        assert_eq!(ns(side, "toNs") - ns(side, "fromNs"), QUARTER_NS);
        assert_eq!(ns(side, "toNs") % QUARTER_NS, 0);
    }
    assert_eq!(ns(&sides[0], "toNs"), ns(&sides[1], "fromNs"));
}

#[test]
fn what_cannot_be_done_is_a_problem_document() {
    let sandbox = sandbox();
    let server = Server::start(BINARY, &sandbox.folder().join("data"), &[]);
    let check = |method: &str, path: &str, body: Value, status: u16, code: &str, detail: &str| {
        let (found, problem) = ask(&server, method, path, &body);
        assert_eq!(
            (found, &problem["status"]),
            (status, &json!(status)),
            "{problem}"
        );
        assert_eq!(problem["code"], code);
        let told = problem["detail"].as_str().unwrap();
        assert!(told.contains(detail), "{told}");
    };
    let post = |body: Value, code: &str, detail: &str| {
        check("POST", "/api/queries", body, 400, code, detail);
    };
    post(json!([]), "invalid_json", "expected a map");
    post(json!({}), "invalid_field", "`query` is missing");
    post(
        json!({ "query": 5 }),
        "invalid_field",
        "`query` must be a text",
    );
    post(json!({ "query": "service =" }), "invalid_query", "^");
    let named = |field: &str, value: Value| json!({ "query": "service = a", field: value });
    post(
        named("intervall", json!("1m")),
        "invalid_field",
        "unknown field `intervall`",
    );
    post(
        named("interval", json!("1s")),
        "invalid_field",
        "from 10s to 31d",
    );
    post(
        named("cron", json!("61 * * * *")),
        "invalid_field",
        "`cron`",
    );
    let split = json!({ "split": { "key": "a", "baseline": "b", "candidate": "b" } });
    post(
        named("baseline", split),
        "invalid_field",
        "`baseline.split`",
    );
    let side = json!({ "query": "service = a", "last": "5m" });
    let both = json!({ "query": "service = a", "queryId": "a", "last": "5m" });
    for (side, other, status, code, detail) in [
        (
            &json!(5),
            &side,
            400,
            "invalid_json",
            "a side is the id of a snapshot",
        ),
        (
            &json!({ "last": "5m" }),
            &side,
            400,
            "invalid_field",
            "`queryId` or `query`",
        ),
        (
            &json!({ "query": "service =" }),
            &side,
            400,
            "invalid_query",
            "^",
        ),
        (
            &json!({ "queryId": "none" }),
            &side,
            404,
            "not_found",
            "none",
        ),
        (&both, &side, 404, "not_found", "`a`"),
    ] {
        let pair = json!({ "baseline": side, "candidate": other });
        check("POST", "/api/diffs", pair, status, code, detail);
    }
    post(
        named("interval", json!("soon")),
        "invalid_field",
        "no length of time",
    );
    post(
        named("policy", json!({ "max_q": 2 })),
        "invalid_field",
        "`max_q` is 2",
    );
    for path in ["queries", "snapshots", "diffs"] {
        let path = format!("/api/{path}/none");
        check("GET", &path, Value::Null, 404, "not_found", "`none`");
        check("DELETE", &path, Value::Null, 404, "not_found", "`none`");
    }
    let body = json!({ "query": "service = a", "scheduled": false });
    let (_, query) = ask(&server, "POST", "/api/queries", &body);
    let path = format!("/api/queries/{}/snapshots", id(&query));
    for window in [
        json!({ "last": "1m", "from": 5 }),
        json!({ "from": 5 }),
        json!({ "from": 7, "to": 5 }),
        json!({ "from": -1e300, "to": 1e300 }),
        json!({ "last": "9000d" }),
        json!({ "from": 4e9, "to": 4e9 + 60.0 }),
    ] {
        check("POST", &path, window, 400, "invalid_window", "");
    }
    let parameter = "invalid_parameter";
    check(
        "GET",
        "/api/diffs?limit=0",
        Value::Null,
        400,
        parameter,
        "from 1 to 1000",
    );
    check(
        "GET",
        "/api/snapshots?status=odd",
        Value::Null,
        400,
        parameter,
        "`odd`",
    );
    check(
        "GET",
        "/api/diffs?colour=red",
        Value::Null,
        400,
        parameter,
        "unknown field `colour`",
    );
    check(
        "GET",
        "/api/verdict?queryId=none",
        Value::Null,
        404,
        "not_found",
        "`none`",
    );
    check(
        "PATCH",
        "/api/queries",
        Value::Null,
        405,
        "method_not_allowed",
        "PATCH",
    );
    let (_, answer) = ask(
        &server,
        "POST",
        "/api/query/validate",
        &json!({ "query": "a = 1" }),
    );
    assert_eq!(answer["valid"], true);
    let (_, answer) = ask(
        &server,
        "POST",
        "/api/query/validate",
        &json!({ "query": "a = " }),
    );
    assert_eq!(answer["valid"], false);
    assert!(server.stop());
}

#[test]
fn old_snapshots_go_with_their_diffs_and_pinned_ones_stay() {
    let sandbox = recorded();
    drop(served(&sandbox));
    let data = sandbox.folder().join("data");
    let server = Server::start(BINARY, &data, &["--snapshots-per-query", "2"]);
    let query = json!({ "query": "service = pricing", "scheduled": false });
    let query_id = id(&ask(&server, "POST", "/api/queries", &query).1);
    let take = |minute: i64| {
        let path = format!("/api/queries/{query_id}/snapshots");
        let from = START + minute * 60;
        let window = json!({ "from": from, "to": from + 60 });
        let taken = id(&ask(&server, "POST", &path, &window).1);
        until(&server, &format!("/api/snapshots/{taken}"), |snapshot| {
            snapshot["status"] == "ready"
        });
        taken
    };
    let first = take(0);
    let path = format!("/api/snapshots/{first}/pin");
    assert_eq!(ask(&server, "POST", &path, &Value::Null).0, 200);
    let [_, third, fourth] = [1, 2, 3].map(take);

    let ids = |list: &Value, key: &str| -> Vec<String> {
        let list = list.as_array().unwrap().iter();
        list.map(|of| of[key].as_str().unwrap().to_owned())
            .collect()
    };
    let kept = [&first, &third, &fourth].map(String::clone);
    until(&server, "/api/snapshots", |list| ids(list, "_id") == kept);
    until(&server, "/api/diffs", |list| {
        ids(list, "candidateId") == kept[1..]
    });
    let objects = std::fs::read_dir(data.join("data/kept")).unwrap();
    assert_eq!(
        objects.count(),
        5,
        "facts of three snapshots, and two diffs"
    );
}
