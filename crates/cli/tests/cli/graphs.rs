//! What a running server shows beside diffs: service graphs, call trees, exemplar traces, the architecture over time,
//! deployments, and changes as they happen.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use tracediff_testkit::{Connection, Server};

use super::snapshots::{START, ask, got, id, until};
use super::stored::{recorded, served};

/// A query for all, and a deployment of pricing at the time of the incident: snapshots before and after, and their diff.
fn deployed(server: &Server) -> (Value, Value) {
    let query =
        json!({ "name": "all", "query": "EXISTS service", "window": "2m", "scheduled": false });
    let (status, query) = ask(server, "POST", "/api/queries", &query);
    assert_eq!(status, 201, "{query}");
    let deployment = json!({ "service": "pricing", "version": "1.5", "time": START + 120 });
    let (status, deployment) = ask(server, "POST", "/api/deployments", &deployment);
    assert_eq!(status, 201, "{deployment}");
    let path = format!("/api/diffs?queryId={}", id(&query));
    let diffs = until(server, &path, |diffs| diffs[0].is_object());
    (deployment, diffs[0].clone())
}

fn names(items: &Value) -> Vec<&str> {
    let items = items.as_array().unwrap().iter();
    items.map(|item| item["name"].as_str().unwrap()).collect()
}

#[test]
fn a_deployment_is_looked_at_before_and_after() {
    let sandbox = recorded();
    let server = served(&sandbox);
    let mut events = Events::listen(&server);
    let (deployment, diff) = deployed(&server);
    assert_eq!(got(&server, "/api/deployments"), json!([deployment]));
    let taken = &deployment["snapshots"][0];
    assert_eq!(
        (&diff["baselineId"], &diff["candidateId"]),
        (&taken["before"], &taken["after"])
    );
    assert_eq!(
        (&diff["verdict"], &diff["culprits"][0]),
        (&json!("regressed"), &json!("pricing"))
    );
    let told = events.until(|event| event["kind"] == "diff");
    assert_eq!(told["id"], diff["_id"]);
    let kinds: Vec<&Value> = events.seen.iter().map(|event| &event["kind"]).collect();
    assert_eq!(kinds[0], "query");
    assert!(kinds.contains(&&json!("snapshot")) && kinds.contains(&&json!("deployment")));

    // Nothing of a service that the query does not find.
    let other = json!({ "service": "elsewhere", "version": "1", "time": START + 60 });
    let (_, other) = ask(&server, "POST", "/api/deployments", &other);
    assert_eq!(other["snapshots"], json!([]));
    for wrong in [
        json!({ "service": " ", "version": "1" }),
        json!({ "service": "a", "version": "" }),
        json!({ "service": "a" }),
        json!({ "service": "a", "version": "1", "time": 1e300 }),
        json!({ "service": "a", "version": "1", "colour": "red" }),
    ] {
        let (status, answer) = ask(&server, "POST", "/api/deployments", &wrong);
        assert_eq!(status, 400, "{wrong}: {answer}");
    }
    assert!(server.stop());
    // It ends with the server, rather than keep it from stopping.
    while events.next().is_some() {}
}

#[test]
fn graphs_trees_and_traces_of_snapshots_and_diffs() {
    let sandbox = recorded();
    let server = served(&sandbox);
    let (_, diff) = deployed(&server);
    let diff_id = id(&diff);
    let baseline = diff["baselineId"].as_str().unwrap();

    let graph = got(&server, &format!("/api/diagram?snapshot={baseline}"));
    assert!(names(&graph["nodes"]).contains(&"pricing"));
    let edges = graph["edges"].as_array().unwrap();
    let is_call = |edge: &&Value| edge["callee"] == "pricing";
    let edge = edges.iter().find(is_call).unwrap();
    assert!(edge["snapshot"]["calls"].as_u64().unwrap() > 0, "{edge}");
    let both = got(&server, &format!("/api/diagram?diff={diff_id}"));
    assert_eq!(
        both,
        got(&server, &format!("/api/diffs/{diff_id}"))["document"]["graph"]
    );
    for of in [format!("snapshot={baseline}"), format!("diff={diff_id}")] {
        let mut connection = Connection::open(&server.api).unwrap();
        let path = format!("/api/diagram?{of}&format=dot");
        let (status, dot) = connection.get(&path).unwrap();
        let dot = String::from_utf8(dot).unwrap();
        assert_eq!(status, 200, "{dot}");
        assert!(dot.contains("-> \"service pricing\" ["), "{dot}");
    }

    let tree = got(&server, &format!("/api/diffs/{diff_id}/paths"));
    let paths = tree["paths"].as_array().unwrap();
    let is_slower =
        |path: &&Value| path["isSignificant"] == true && path["changeNs"].as_f64() > Some(0.0);
    let slower: Vec<&Value> = paths.iter().filter(is_slower).collect();
    assert!(
        slower.iter().any(|path| path["service"] == "pricing"),
        "{slower:?}"
    );
    for (place, path) in paths.iter().enumerate() {
        assert_eq!(path["id"], place);
        assert!(
            path["parent"]
                .as_u64()
                .is_none_or(|parent| (parent as usize) < place)
        );
    }

    let traces = got(&server, &format!("/api/snapshots/{baseline}/traces"));
    let first = &traces["traces"][0];
    let mut of = first["exampleOf"].as_array().unwrap().iter();
    assert!(of.any(|of| of["why"] == "slowest"), "{first}");
    let path = format!("/api/traces/{}", first["traceId"].as_str().unwrap());
    assert!(got(&server, &path)["resourceSpans"].is_array());

    let check = |path: &str, status: u16, code: &str| {
        let (found, answer) = ask(&server, "GET", path, &Value::Null);
        assert_eq!(
            (found, &answer["code"]),
            (status, &json!(code)),
            "{path}: {answer}"
        );
    };
    check("/api/diagram", 400, "invalid_parameter");
    check("/api/diagram?snapshot=a&diff=b", 400, "invalid_parameter");
    check(
        &format!("/api/diagram?diff={diff_id}&format=png"),
        400,
        "invalid_parameter",
    );
    check("/api/diagram?snapshot=a", 404, "not_found");
    check("/api/diffs/a/paths", 404, "not_found");
    check("/api/snapshots/a/traces", 404, "not_found");
    ask(
        &server,
        "DELETE",
        &format!("/api/snapshots/{baseline}"),
        &Value::Null,
    );
    check(&format!("/api/diffs/{diff_id}/paths"), 404, "not_found");
    assert!(server.stop());
}

#[test]
fn the_architecture_is_what_snapshots_saw() {
    let sandbox = recorded();
    let server = served(&sandbox);
    assert_eq!(got(&server, "/api/architecture")["items"], json!([]));
    deployed(&server);
    let all = got(&server, "/api/architecture");
    let items = all["items"].as_array().unwrap();
    let pricing = |kind: &str, name: &str| {
        let found = |item: &&Value| item["kind"] == kind && item["name"] == name;
        let item = items.iter().find(found);
        item.unwrap_or_else(|| panic!("no {kind} {name} in {all}"))
    };
    let service = pricing("service", "pricing");
    let ns = |second: i64| json!((second * 1_000_000_000).to_string());
    assert_eq!(service["firstSeenNs"], ns(START));
    assert_eq!(service["lastSeenNs"], ns(START + 240));
    assert_eq!(all["gone"], json!([]));
    assert!(
        items
            .iter()
            .any(|item| item["kind"] == "edge" && item["callee"] == "pricing")
    );
    assert!(items.iter().any(|item| item["kind"] == "endpoint"));
    let between = format!("/api/architecture?from={}&to={}", START + 500, START + 600);
    assert_eq!(got(&server, &between)["items"], json!([]));
    let backwards = ask(
        &server,
        "GET",
        "/api/architecture?from=2&to=1",
        &Value::Null,
    );
    assert_eq!(
        (backwards.0, &backwards.1["code"]),
        (400, &json!("invalid_window"))
    );
}

/// Server-sent events.
struct Events {
    lines: BufReader<TcpStream>,
    seen: Vec<Value>,
}

impl Events {
    fn listen(server: &Server) -> Self {
        let mut stream = TcpStream::connect(&server.api).unwrap();
        let head = format!("GET /api/events HTTP/1.1\r\nHost: {}\r\n\r\n", server.api);
        stream.write_all(head.as_bytes()).unwrap();
        let patience = Some(Duration::from_secs(60));
        stream.set_read_timeout(patience).unwrap();
        let (lines, seen) = (BufReader::new(stream), Vec::new());
        let mut events = Self { lines, seen };
        // From the first on, nothing escapes who listens.
        assert_eq!(events.next(), Some(json!({})));
        events
    }

    /// What the next event tells; `None` at the end.
    fn next(&mut self) -> Option<Value> {
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if let Some(data) = line.strip_prefix("data: ") {
                return Some(serde_json::from_str(data).unwrap());
            }
        }
    }

    fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let event = self.next().unwrap();
            self.seen.push(event.clone());
            if wanted(&event) {
                return event;
            }
        }
    }
}
