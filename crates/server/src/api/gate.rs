//! What every request to the main port passes: whose page it comes from, its token, and a bound on heavy work.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use tokio::sync::Semaphore;
use tower_http::timeout::RequestBodyTimeoutLayer;

use super::problem::Problem;
use crate::access::{
    Denied, Guard, Role, cross_origin, host, is_of_another_name, is_of_another_page,
};

/// Requests at a time that go through spans.
const HEAVY_AT_A_TIME: usize = 8;
/// How long one waits for its turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(10);

/// Who may come to the main port.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gate {
    /// Knows the tokens.
    pub(crate) guard: Guard,
    /// Pages of other origins that may call.
    pub(crate) origins: Arc<[HeaderValue]>,
    /// Whether this machine is called by its own name only.
    pub(crate) own_name_only: bool,
    /// How long a body may send nothing.
    pub(crate) body_idle_timeout: Duration,
}

#[derive(Debug, Clone)]
struct Passing {
    gate: Gate,
    turns: Arc<Semaphore>,
}

impl Gate {
    /// Puts the gate before all paths of a router.
    pub(crate) fn before(self, router: Router) -> Router {
        let cors = cross_origin(&self.origins);
        let body_timeout = RequestBodyTimeoutLayer::new(self.body_idle_timeout);
        let passing = Passing {
            gate: self,
            turns: Arc::new(Semaphore::new(HEAVY_AT_A_TIME)),
        };
        let router = router
            .layer(body_timeout)
            .layer(middleware::from_fn_with_state(passing, pass));
        match cors {
            Some(cors) => router.layer(cors),
            None => router,
        }
    }
}

async fn pass(State(passing): State<Passing>, request: Request, next: Next) -> Response {
    let is_api = request.uri().path().starts_with("/api/");
    let mut response = match passing.let_through(request, next).await {
        Ok(response) => response,
        Err(refusal) => refusal,
    };
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if is_api {
        headers
            .entry(CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("no-store"));
    }
    response
}

impl Passing {
    async fn let_through(&self, request: Request, next: Next) -> Result<Response, Response> {
        let gate = &self.gate;
        let (headers, uri) = (request.headers(), request.uri());
        let host = host(headers, uri);
        if is_of_another_page(headers, host, &gate.origins) {
            let detail = "the page that calls is of another origin; set `cors-origin` to let it";
            return Err(forbidden("cross_origin", detail));
        }
        let needed = needed_role(request.method(), uri.path());
        if needed.is_some() && gate.own_name_only && is_of_another_name(host) {
            let detail = "this machine is called by a name other than localhost; ask for tokens \
                (`access = tokens`), or say that something else guards the port (`access = open`)";
            return Err(forbidden("other_host", detail));
        }
        if let Some(role) = needed {
            gate.guard.check(headers, role).await.map_err(denied)?;
        }
        if !is_heavy(request.method(), uri.path()) {
            return Ok(next.run(request).await);
        }
        let turn = tokio::time::timeout(TURN_TIMEOUT, Arc::clone(&self.turns).acquire_owned());
        let Ok(Ok(turn)) = turn.await else {
            return Err(busy());
        };
        let response = next.run(request).await;
        // What is complete needs no more work, and keeps its length.
        if response.body().size_hint().exact().is_some() {
            return Ok(response);
        }
        // Of others, the turn is over when the last is sent.
        let hold = move |body: Body| {
            Body::new(body.map_frame(move |frame| {
                let _turn = &turn;
                frame
            }))
        };
        Ok(response.map(hold))
    }
}

/// Who may call this; `None`: everybody. A path is what it is to the router, undecoded.
fn needed_role(method: &Method, path: &str) -> Option<Role> {
    if !path.starts_with("/api/") && path != "/metrics" {
        return None;
    }
    let reads = matches!(*method, Method::GET | Method::HEAD) || path == "/api/query/validate";
    Some(if reads { Role::Read } else { Role::Write })
}

/// Whether it may go through all spans there are.
fn is_heavy(method: &Method, path: &str) -> bool {
    const READS: [&str; 6] = [
        "/api/spans",
        "/api/count",
        "/api/traces/",
        "/api/services",
        "/api/operations",
        "/api/attributes",
    ];
    READS.iter().any(|heavy| path.starts_with(heavy))
        || (path == "/api/diffs" && *method == Method::POST)
        || (path.starts_with("/api/diffs/") && path.ends_with("/paths"))
}

fn forbidden(code: &'static str, detail: &str) -> Response {
    Problem::new(StatusCode::FORBIDDEN, code, detail).into_response()
}

fn busy() -> Response {
    let detail = "too many requests go through spans: try again";
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail);
    let mut response = problem.into_response();
    let headers = response.headers_mut();
    headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

fn denied(denied: Denied) -> Response {
    let (status, code) = match denied {
        Denied::NoToken | Denied::UnknownToken => (StatusCode::UNAUTHORIZED, "unauthorized"),
        Denied::WrongRole { .. } => (StatusCode::FORBIDDEN, "forbidden"),
        Denied::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    };
    let mut response = Problem::new(status, code, denied.to_string()).into_response();
    if status == StatusCode::UNAUTHORIZED {
        let scheme = HeaderValue::from_static("Bearer realm=\"tracediff\"");
        response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_has_its_role() {
        let check = |method: Method, path: &str, expected: Option<Role>| {
            assert_eq!(needed_role(&method, path), expected, "{method} {path}");
        };
        check(Method::GET, "/healthz", None);
        check(Method::GET, "/", None);
        check(Method::GET, "/metrics", Some(Role::Read));
        check(Method::GET, "/api/queries", Some(Role::Read));
        check(Method::HEAD, "/api/queries", Some(Role::Read));
        check(Method::POST, "/api/query/validate", Some(Role::Read));
        check(Method::POST, "/api/queries", Some(Role::Write));
        check(Method::DELETE, "/api/diffs/1", Some(Role::Write));
        check(Method::PATCH, "/api/nothing", Some(Role::Write));
    }
}
