//! Old and new semantic-convention names of one thing answer to each other.
//!
//! Source: OpenTelemetry semantic conventions, the migration guides for HTTP, database, messaging, deployment and
//! code attributes. Only pairs whose values mean the same are here.

/// New name first, then what it was called before.
static RENAMED: &[(&str, &[&str])] = &[
    ("client.address", &["http.client_ip"]),
    ("code.file.path", &["code.filepath"]),
    ("code.function.name", &["code.function"]),
    ("code.line.number", &["code.lineno"]),
    (
        "db.collection.name",
        &[
            "db.sql.table",
            "db.mongodb.collection",
            "db.cassandra.table",
        ],
    ),
    ("db.namespace", &["db.name"]),
    ("db.operation.name", &["db.operation"]),
    ("db.query.text", &["db.statement"]),
    ("db.system.name", &["db.system"]),
    ("deployment.environment.name", &["deployment.environment"]),
    ("http.request.body.size", &["http.request_content_length"]),
    ("http.request.method", &["http.method"]),
    ("http.response.body.size", &["http.response_content_length"]),
    ("http.response.status_code", &["http.status_code"]),
    ("messaging.destination.name", &["messaging.destination"]),
    ("messaging.operation.type", &["messaging.operation"]),
    (
        "network.peer.address",
        &["net.sock.peer.addr", "net.peer.ip"],
    ),
    ("network.peer.port", &["net.sock.peer.port"]),
    (
        "network.protocol.name",
        &["net.protocol.name", "net.app.protocol.name"],
    ),
    (
        "network.protocol.version",
        &[
            "http.flavor",
            "net.protocol.version",
            "net.app.protocol.version",
        ],
    ),
    ("server.address", &["net.peer.name", "net.host.name"]),
    ("server.port", &["net.peer.port", "net.host.port"]),
    ("url.full", &["http.url"]),
    ("url.scheme", &["http.scheme"]),
    ("user_agent.original", &["http.user_agent"]),
];

/// The newest name of the thing that `key` names: `key` itself where it never changed.
pub fn canonical(key: &str) -> &str {
    RENAMED
        .iter()
        .find(|(_, old)| old.contains(&key))
        .map_or(key, |(new, _)| new)
}

/// All names of the thing that `key` names, newest first.
pub fn names(key: &str) -> Vec<&str> {
    let newest = canonical(key);
    let older = RENAMED
        .iter()
        .find(|(new, _)| *new == newest)
        .map_or(&[][..], |(_, old)| old);
    std::iter::once(newest)
        .chain(older.iter().copied())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_name_leads_to_both() {
        assert_eq!(canonical("http.status_code"), "http.response.status_code");
        assert_eq!(names("http.method"), ["http.request.method", "http.method"]);
        assert_eq!(names("app.tier"), ["app.tier"]);
    }

    #[test]
    fn no_name_stands_twice() {
        let mut all: Vec<&str> = RENAMED
            .iter()
            .flat_map(|(new, old)| std::iter::once(*new).chain(old.iter().copied()))
            .collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
