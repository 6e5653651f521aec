//! A server that is asked over HTTP, and what its answers and refusals mean to who types.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::http::Request;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// How long a server may take to begin to answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// The most bytes of an answer that is read at once.
const ANSWER_BYTES: u64 = 1 << 30;
/// The token that is shown to servers.
const TOKEN: &str = "TRACEDIFF_TOKEN";
/// Certificates that servers are checked by, in place of those that the machine trusts.
const CA_CERT: &str = "TRACEDIFF_CA_CERT";

/// A client of HTTP, or of HTTPS with the certificates that the environment names; without a bound, an answer may be as
/// long as it is.
pub(crate) fn agent(is_secret: bool, bound: Option<Duration>) -> anyhow::Result<ureq::Agent> {
    let mut config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_recv_response(Some(PATIENCE))
        .timeout_global(bound);
    if is_secret {
        config = config.tls_config(tls()?);
    }
    Ok(config.build().into())
}

/// A server. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    url: String,
    agent: ureq::Agent,
    token: Option<String>,
}

impl Server {
    /// The server at `http://…` or `https://…`. Whom it trusts and what it shows is in the environment.
    pub(crate) fn at(url: &str) -> anyhow::Result<Self> {
        let is_secret = url.starts_with("https://");
        if !is_secret && !url.starts_with("http://") {
            bail!("`{url}` is no server: give http://HOST:PORT or https://HOST:PORT");
        }
        let token = std::env::var(TOKEN).ok().filter(|token| !token.is_empty());
        Ok(Self {
            url: url.trim_end_matches('/').to_owned(),
            agent: agent(is_secret, None)?,
            token,
        })
    }

    /// The body of an answer that is no refusal.
    pub(crate) fn get(&self, path: &str) -> anyhow::Result<Box<dyn Read>> {
        self.ask("GET", path, None)
    }

    /// What a `GET` answers in JSON.
    pub(crate) fn answer<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.json("GET", path, None)
    }

    /// An answer of JSON.
    pub(crate) fn json<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<T> {
        let mut text = String::new();
        let answer = self.ask(method, path, body)?;
        answer.take(ANSWER_BYTES).read_to_string(&mut text)?;
        serde_json::from_str(&text)
            .with_context(|| format!("{} does not answer as a tracediff server does", self.url))
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> anyhow::Result<Box<dyn Read>> {
        let url = format!("{}{path}", self.url);
        let mut request = Request::builder().method(method).uri(&url);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let request = request
            .body(body.map(Value::to_string).unwrap_or_default())
            .with_context(|| format!("`{}` is no address, or {TOKEN} no token", self.url))?;
        let response = self
            .agent
            .run(request)
            .map_err(|error| self.unreached(error))?;
        let status = response.status();
        let mut body = response.into_body().into_reader();
        if status.is_success() {
            return Ok(Box::new(body));
        }
        let mut text = String::new();
        body.by_ref().take(ANSWER_BYTES).read_to_string(&mut text)?;
        let problem: Value = serde_json::from_str(&text).unwrap_or_default();
        let detail = problem["detail"].as_str().unwrap_or(&text);
        Err(match status.as_u16() {
            401 => anyhow!("{detail}: set {TOKEN} to one that `tracediff token create` made"),
            403 => anyhow!("{detail}: the token in {TOKEN} may not do this"),
            400 | 404 | 409 if problem["code"].is_string() => anyhow!("{detail}"),
            _ => anyhow!("{url} answered {status}: {detail}"),
        })
    }

    fn unreached(&self, error: ureq::Error) -> anyhow::Error {
        let is_refused = matches!(&error, ureq::Error::Io(e) if e.kind() == std::io::ErrorKind::ConnectionRefused)
            || matches!(error, ureq::Error::ConnectionFailed);
        let error = anyhow::Error::from(error);
        let url = &self.url;
        match is_refused {
            true => error.context(format!(
                "nothing listens at {url}: is `tracediff serve` running there?"
            )),
            false => error.context(format!("{url} cannot be asked")),
        }
    }
}

/// The certificates of the machine, or those of a file.
fn tls() -> anyhow::Result<TlsConfig> {
    let found: Vec<_> = match std::env::var_os(CA_CERT) {
        Some(file) => {
            let name = file.display();
            let read = rustls::pki_types::CertificateDer::pem_file_iter(&file);
            let read = read.and_then(Iterator::collect::<Result<Vec<_>, _>>);
            read.with_context(|| format!("{CA_CERT} names {name}, which cannot be read as PEM"))?
        }
        None => rustls_native_certs::load_native_certs().certs,
    };
    let roots: Vec<_> = found
        .iter()
        .map(|certificate| Certificate::from_der(certificate).to_owned())
        .collect();
    Ok(TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
        .root_certs(RootCerts::new_with_certs(&roots))
        .build())
}
