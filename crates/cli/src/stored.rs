//! Spans in a span store: of a folder that this process opens, or of a server that is asked over HTTP.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use tracediff_core::model::{SpanBatch, Window};
use tracediff_store::{Settings, Store};

/// Spans that are read from a folder at a time.
const PART_SPANS: u64 = 500_000;
/// How long a server may take to begin to answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// How much before and after a window spans are read, so that traces that begin in it are whole.
const BEFORE_NS: i64 = 60_000_000_000;
const AFTER_NS: i64 = 300_000_000_000;

/// A span store.
#[derive(Debug, Clone)]
pub(crate) struct StoredTraces {
    name: String,
    access: Access,
}

#[derive(Debug, Clone)]
enum Access {
    Folder(Arc<OpenFolder>),
    Server(String),
}

#[derive(Debug)]
struct OpenFolder {
    runtime: tokio::runtime::Runtime,
    store: Store,
}

/// Spans of a store that start in a window.
#[derive(Debug, Clone)]
pub(crate) struct StoredSpans {
    of: StoredTraces,
    window: Window,
}

impl StoredTraces {
    /// The store behind a URL (`http://…`) or in a folder.
    pub(crate) fn open(text: &str) -> anyhow::Result<Self> {
        let access = if text.starts_with("http://") {
            Access::Server(text.trim_end_matches('/').to_owned())
        } else if text.contains("://") {
            bail!(
                "`{text}` cannot be asked; give http://HOST:PORT of a server, or its data folder"
            );
        } else {
            Access::Folder(Arc::new(open_folder(Path::new(text))?))
        };
        Ok(Self {
            name: text.to_owned(),
            access,
        })
    }

    /// Earliest and latest start of a span, in nanoseconds since the epoch.
    pub(crate) fn extent_ns(&self) -> anyhow::Result<(i64, i64)> {
        let extent = match &self.access {
            Access::Folder(folder) => folder.store.extent_ns(),
            Access::Server(url) => {
                #[derive(serde::Deserialize)]
                struct Status {
                    first_start_ns: Option<i64>,
                    last_start_ns: Option<i64>,
                }
                let mut text = String::new();
                get(&format!("{url}/api/status"))?.read_to_string(&mut text)?;
                let status: Status = serde_json::from_str(&text)
                    .with_context(|| format!("{url} does not answer as a tracediff server does"))?;
                status.first_start_ns.zip(status.last_start_ns)
            }
        };
        extent.ok_or_else(|| anyhow!("{} holds no spans", self.name))
    }

    /// The spans of these windows and around them, no span twice.
    pub(crate) fn around(&self, windows: &[Window]) -> anyhow::Result<Vec<StoredSpans>> {
        let mut around: Vec<(i64, i64)> = windows
            .iter()
            .map(|window| {
                (
                    window.from_ns().saturating_sub(BEFORE_NS),
                    window.to_ns().saturating_add(AFTER_NS),
                )
            })
            .collect();
        around.sort_unstable();
        let mut joined: Vec<(i64, i64)> = Vec::new();
        for (from_ns, to_ns) in around {
            match joined.last_mut() {
                Some(last) if from_ns <= last.1 => last.1 = last.1.max(to_ns),
                _ => joined.push((from_ns, to_ns)),
            }
        }
        let spans = joined
            .into_iter()
            .map(|(from_ns, to_ns)| Ok(self.spans(Window::new(from_ns, to_ns)?)));
        spans.collect()
    }

    /// The spans that start in a window.
    pub(crate) fn spans(&self, window: Window) -> StoredSpans {
        StoredSpans {
            of: self.clone(),
            window,
        }
    }
}

impl StoredSpans {
    pub(crate) fn name(&self) -> &str {
        &self.of.name
    }

    /// Whether they come over HTTP.
    pub(crate) fn is_remote(&self) -> bool {
        matches!(self.of.access, Access::Server(_))
    }

    /// The spans of a server, as length-delimited OTLP requests.
    pub(crate) fn open(&self) -> anyhow::Result<Box<dyn Read>> {
        let Access::Server(url) = &self.of.access else {
            bail!("{} is read without HTTP", self.of.name);
        };
        let (from_ns, to_ns) = (self.window.from_ns(), self.window.to_ns());
        get(&format!("{url}/api/spans?from_ns={from_ns}&to_ns={to_ns}"))
    }

    /// The spans of a folder, batch by batch.
    pub(crate) fn read(
        &self,
        take: &mut dyn FnMut(SpanBatch) -> anyhow::Result<()>,
    ) -> anyhow::Result<u64> {
        let Access::Folder(folder) = &self.of.access else {
            bail!("{} is read over HTTP", self.of.name);
        };
        let mut spans = 0;
        let reading = folder
            .runtime
            .block_on(folder.store.read(self.window, PART_SPANS))?;
        for number in 0..reading.parts() {
            for batch in folder.runtime.block_on(reading.part(number))? {
                spans += batch.len() as u64;
                take(batch)?;
            }
        }
        Ok(spans)
    }
}

fn open_folder(folder: &Path) -> anyhow::Result<OpenFolder> {
    // Opening makes what is missing, and this is only to be read.
    if !Store::is_in(folder) {
        bail!(
            "`{}` is no data folder; give that of a server that has ended, or http://HOST:PORT of one that runs",
            folder.display()
        );
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let (store, _) = runtime.block_on(Store::open(Settings::new(folder)))?;
    Ok(OpenFolder { runtime, store })
}

/// The body of an answer that is no error.
fn get(url: &str) -> anyhow::Result<Box<dyn Read>> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_recv_response(Some(PATIENCE))
        .build()
        .into();
    let response = agent
        .get(url)
        .call()
        .with_context(|| format!("{url} cannot be asked"))?;
    let status = response.status();
    let mut body = response.into_body().into_reader();
    if status.is_success() {
        return Ok(Box::new(body));
    }
    let mut text = String::new();
    body.read_to_string(&mut text)?;
    bail!("{url} answered {status}: {text}")
}
