//! What a browser says about the page that calls.
//!
//! Sources: Fetch, section "Origin header"; RFC 6454; for why the name of the host is looked at, "DNS rebinding": a page's
//! own name that is made to point to this machine.

use std::net::IpAddr;

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderValue, Method, Uri};
use tower_http::cors::{AllowOrigin, CorsLayer};

/// Answers what browsers ask before they let pages of other origins call; `None`: no page may.
pub(crate) fn cross_origin(origins: &[HeaderValue]) -> Option<CorsLayer> {
    let methods = [Method::GET, Method::POST, Method::PUT, Method::DELETE];
    (!origins.is_empty()).then(|| {
        CorsLayer::new()
            .allow_origin(AllowOrigin::list(origins.iter().cloned()))
            .allow_methods(methods)
            .allow_headers([AUTHORIZATION, CONTENT_TYPE])
    })
}

/// Whether a browser sends this for a page that is neither this server's nor among those that may.
pub(crate) fn is_of_another_page(
    headers: &HeaderMap,
    host: Option<&str>,
    origins: &[HeaderValue],
) -> bool {
    let Some(origin) = headers.get(ORIGIN) else {
        return false;
    };
    let authority = origin
        .to_str()
        .ok()
        .and_then(|origin| origin.split_once("://"))
        .map(|(_, authority)| authority);
    let is_own = authority.is_some() && authority == host;
    !is_own && !origins.contains(origin)
}

/// Whether this machine is called by a name that is not `localhost`, nor an address.
pub(crate) fn is_of_another_name(host: Option<&str>) -> bool {
    let Some(host) = host else {
        return false;
    };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let name = name.to_ascii_lowercase();
    let is_local = name == "localhost" || name.ends_with(".localhost");
    !is_local && name.parse::<IpAddr>().is_err()
}

/// The host that is called, with its port: of HTTP/1 in a header, of HTTP/2 in the address.
pub(crate) fn host<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Option<&'a str> {
    let of_address = uri.authority().map(|authority| authority.as_str());
    of_address.or_else(|| headers.get(HOST)?.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_page(origin: Option<&'static str>, expected: bool) {
        let mut headers = HeaderMap::new();
        if let Some(origin) = origin {
            headers.insert(ORIGIN, HeaderValue::from_static(origin));
        }
        let may = [HeaderValue::from_static("https://pages.example")];
        let found = is_of_another_page(&headers, Some("localhost:4000"), &may);
        assert_eq!(found, expected, "{origin:?}");
    }

    #[test]
    fn pages_of_others_are_told_by_their_origin() {
        check_page(None, false);
        check_page(Some("http://localhost:4000"), false);
        check_page(Some("https://pages.example"), false);
        check_page(Some("http://localhost:5173"), true);
        check_page(Some("https://evil.example"), true);
        check_page(Some("null"), true);
    }

    #[test]
    fn names_that_point_here_are_told_from_this_machine() {
        let check = |host: &str, expected: bool| {
            assert_eq!(is_of_another_name(Some(host)), expected, "{host}");
        };
        check("localhost:4000", false);
        check("LOCALHOST", false);
        check("demo.localhost:80", false);
        check("127.0.0.1:4000", false);
        check("[::1]:4000", false);
        check("192.168.1.7:4000", false);
        check("evil.example:4000", true);
        check("localhost.evil.example", true);
        check("", true);
        assert!(!is_of_another_name(None));
    }
}
