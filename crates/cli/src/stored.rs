//! Spans in a span store: of a folder that this process opens, or of a server that is asked over HTTP.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use anyhow::{anyhow, bail};
use tracediff_core::model::{SpanBatch, TraceId, Window};
use tracediff_core::query::Query;
use tracediff_store::{Counts, Reading, Settings, Store, Wanted, once};

use crate::client::Server;

/// Spans that are read from a folder at a time, at most.
const PART_SPANS: u64 = 1_000_000;
/// What a span needs while it is worked on, with all its columns and a share of the index.
const SPAN_BYTES: u64 = 1_000;
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
    Server(Server),
}

#[derive(Debug)]
pub(crate) struct OpenFolder {
    runtime: tokio::runtime::Runtime,
    store: Store,
}

/// Spans of a store that start in `around`, of the traces that a query touches in `window`.
#[derive(Debug, Clone)]
pub(crate) struct StoredSpans {
    of: StoredTraces,
    window: Window,
    around: Window,
    query: Option<Query>,
}

impl StoredTraces {
    /// The store behind a URL (`http://…`) or in a folder.
    pub(crate) fn open(text: &str) -> anyhow::Result<Self> {
        let access = if text.starts_with("http://") || text.starts_with("https://") {
            Access::Server(Server::at(text)?)
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
            Access::Server(server) => {
                #[derive(serde::Deserialize)]
                struct Status {
                    first_start_ns: Option<i64>,
                    last_start_ns: Option<i64>,
                }
                let status: Status = server.answer("/api/status")?;
                status.first_start_ns.zip(status.last_start_ns)
            }
        };
        extent.ok_or_else(|| anyhow!("{} holds no spans", self.name))
    }

    /// The folder, where it is one.
    pub(crate) fn folder(&self) -> Option<&Arc<OpenFolder>> {
        match &self.access {
            Access::Folder(folder) => Some(folder),
            Access::Server(_) => None,
        }
    }

    /// How many spans start in a window and match.
    pub(crate) fn count(&self, query: Option<Query>, window: Window) -> anyhow::Result<Counts> {
        match &self.access {
            Access::Folder(folder) => {
                Ok(folder.runtime.block_on(folder.store.count(query, window))?)
            }
            Access::Server(server) => {
                server.answer(&with_window("/api/count", window, query.as_ref()))
            }
        }
    }

    /// The spans of these windows and around them, no span twice.
    pub(crate) fn around(&self, windows: &[Window]) -> anyhow::Result<Vec<StoredSpans>> {
        let spans = |window| StoredSpans {
            of: self.clone(),
            window,
            around: window,
            query: None,
        };
        Ok(joined(windows)?.into_iter().map(spans).collect())
    }

    /// The spans of the traces that a query touches in a window.
    pub(crate) fn touched(
        &self,
        window: Window,
        query: Option<Query>,
    ) -> anyhow::Result<StoredSpans> {
        Ok(StoredSpans {
            of: self.clone(),
            window,
            around: around(window)?,
            query,
        })
    }
}

/// Where spans of traces that begin in a window may start.
pub(crate) fn around(window: Window) -> anyhow::Result<Window> {
    let (from_ns, to_ns) = (window.from_ns(), window.to_ns());
    Ok(Window::new(
        from_ns.saturating_sub(BEFORE_NS),
        to_ns.saturating_add(AFTER_NS),
    )?)
}

/// The windows and what is around them, as windows that do not overlap.
pub(crate) fn joined(windows: &[Window]) -> anyhow::Result<Vec<Window>> {
    let mut around = windows
        .iter()
        .map(|window| self::around(*window))
        .collect::<anyhow::Result<Vec<Window>>>()?;
    around.sort_unstable_by_key(|window| (window.from_ns(), window.to_ns()));
    let mut joined: Vec<Window> = Vec::new();
    for window in around {
        match joined.last_mut() {
            Some(last) if window.from_ns() <= last.to_ns() => {
                *last = Window::new(last.from_ns(), last.to_ns().max(window.to_ns()))?;
            }
            _ => joined.push(window),
        }
    }
    Ok(joined)
}

/// A request for spans in a window.
fn with_window(url: &str, window: Window, query: Option<&Query>) -> String {
    let (from_ns, to_ns) = (window.from_ns(), window.to_ns());
    let mut url = format!("{url}?from_ns={from_ns}&to_ns={to_ns}");
    if let Some(query) = query {
        url.push_str("&where=");
        url.extend(form_urlencoded::byte_serialize(
            query.to_string().as_bytes(),
        ));
    }
    url
}

impl OpenFolder {
    /// Traces, in such parts that as many as there are cores fit into `limit_bytes`.
    pub(crate) fn read(&self, wanted: Wanted, limit_bytes: u64) -> anyhow::Result<Reading> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as u64;
        let part_spans = (limit_bytes / cores / SPAN_BYTES).clamp(10_000, PART_SPANS);
        let wanted = Wanted {
            part_spans,
            ..wanted
        };
        Ok(self.runtime.block_on(self.store.read(wanted))?)
    }

    /// The spans of one part.
    pub(crate) fn part(&self, reading: &Reading, number: usize) -> anyhow::Result<Vec<SpanBatch>> {
        Ok(self.runtime.block_on(reading.part(number))?)
    }

    /// The spans of a trace.
    pub(crate) fn trace(&self, id: TraceId) -> anyhow::Result<Vec<SpanBatch>> {
        Ok(self.runtime.block_on(self.store.trace(id))?)
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
        let Access::Server(server) = &self.of.access else {
            bail!("{} is read without HTTP", self.of.name);
        };
        let path = with_window("/api/spans", self.window, self.query.as_ref());
        let before_ns = self.window.from_ns() - self.around.from_ns();
        let after_ns = self.around.to_ns() - self.window.to_ns();
        server.get(&format!("{path}&before_ns={before_ns}&after_ns={after_ns}"))
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
        let reading = folder.read(
            Wanted {
                query: self.query.clone(),
                around: self.around,
                ..Wanted::all(self.window, PART_SPANS)
            },
            u64::MAX,
        )?;
        for number in 0..reading.parts() {
            for batch in once(folder.part(&reading, number)?) {
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
