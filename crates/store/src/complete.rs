//! What there is to ask about, with counts: services, operations, keys of attributes and their values, as a person who
//! types a query wants them offered.

use arrow_array::Array as _;
use foldhash::fast::RandomState;
use futures::TryStreamExt as _;
use hashbrown::HashMap;
use tracediff_core::model::{Projection, SpanBatch, TextColumn, Window};

use crate::read::{ReadError, failed};
use crate::segment::{Segment, Sought};
use crate::store::Store;

/// Distinct texts that are counted. A key with more holds ids, which nobody picks from a list.
const MOST_TEXTS: usize = 100_000;

/// Which texts are wanted.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Spans that start in here are counted.
    pub window: Window,
    /// How a text begins, whatever its case.
    pub prefix: String,
    /// Texts that are given back: those of the most spans.
    pub limit: usize,
}

/// A text and the spans that have it. What was sent again counts again until segments are merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// The text.
    pub text: String,
    /// Spans that have it.
    pub spans: u64,
}

/// Texts, those of the most spans first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offer {
    /// The texts.
    pub texts: Vec<Counted>,
    /// Whether there are more: beyond the limit, or too many to count.
    pub has_more: bool,
}

impl Store {
    /// The services.
    pub async fn services(&self, ask: &Ask) -> Result<Offer, ReadError> {
        let projection = Projection::default().with_core(&["service"]);
        let mut texts = Texts::default();
        self.each(ask.window, &projection, |batch| {
            texts.add_column(&batch, batch.service(), |_| true);
        })
        .await?;
        Ok(texts.offer(ask))
    }

    /// The operations, of one service or of all.
    pub async fn operations(&self, service: Option<&str>, ask: &Ask) -> Result<Offer, ReadError> {
        let projection = Projection::default().with_core(&["service", "operation"]);
        let mut texts = Texts::default();
        self.each(ask.window, &projection, |batch| {
            let is_of = |row| service.is_none_or(|name| batch.service().text(row) == Some(name));
            texts.add_column(&batch, batch.operation(), is_of);
        })
        .await?;
        Ok(texts.offer(ask))
    }

    /// The keys of attributes, as producers wrote them. Where a segment reaches beyond the window all of its spans count:
    /// what it tells of its columns is enough, and nothing else of it is read.
    pub async fn attribute_keys(&self, ask: &Ask) -> Result<Offer, ReadError> {
        let window = ask.window;
        let (segments, head) = self.view().snapshot();
        let mut texts = Texts::default();
        for segment in segments.iter().filter(|s| s.overlaps(window)) {
            let known = segment.known().await.map_err(failed(segment))?;
            for (key, spans) in known.attribute_keys() {
                texts.add(&key, spans);
            }
            if known.has_other_attributes() {
                let projection = Projection::default().with_core(&["other_attributes"]);
                each_of(segment, window, &projection, |batch| {
                    add_other_keys(&batch, &mut texts);
                })
                .await?;
            }
        }
        for batch in &head {
            for column in batch.attribute_columns() {
                let rows = (0..batch.len()).filter(|row| column.column.code(*row).is_some());
                texts.add(&column.key, rows.count() as u64);
            }
            add_other_keys(batch, &mut texts);
        }
        Ok(texts.offer(ask))
    }

    /// The values of an attribute, or of `service`, `operation`.
    pub async fn attribute_values(&self, key: &str, ask: &Ask) -> Result<Offer, ReadError> {
        match key {
            "service" | "service.name" => return self.services(ask).await,
            "operation" => return self.operations(None, ask).await,
            _ => {}
        }
        let names = tracediff_core::model::semconv::names(key);
        let projection = Projection::default().with_attributes(names.iter().copied());
        let mut texts = Texts::default();
        self.each(ask.window, &projection, |batch| {
            let columns = batch.columns_of(key);
            // The first that a span has answers.
            for (number, column) in columns.iter().enumerate() {
                let is_first = |row: usize| {
                    let before = &columns[..number];
                    before.iter().all(|c| c.column.code(row).is_none())
                };
                texts.add_column(&batch, &column.column, is_first);
            }
            if !batch.has_other_attributes() {
                return;
            }
            for row in 0..batch.len() {
                let others = batch.other_attributes(row);
                let other = others.iter().find(|a| names.contains(&a.key));
                if let Some(other) = other
                    && columns.iter().all(|c| c.column.code(row).is_none())
                {
                    texts.add(other.text, 1);
                }
            }
        })
        .await?;
        Ok(texts.offer(ask))
    }

    /// Hands out columns of all spans that start in a window.
    async fn each(
        &self,
        window: Window,
        projection: &Projection,
        mut take: impl FnMut(SpanBatch),
    ) -> Result<(), ReadError> {
        let (segments, head) = self.view().snapshot();
        for segment in segments.iter().filter(|s| s.overlaps(window)) {
            each_of(segment, window, projection, &mut take).await?;
        }
        for batch in head {
            let keep: Vec<bool> = (0..batch.len())
                .map(|row| window.contains(batch.start_ns(row)))
                .collect();
            if keep.iter().all(|keep| *keep) {
                take(batch);
            } else if keep.contains(&true) {
                take(batch.filter(&keep));
            }
        }
        Ok(())
    }
}

async fn each_of(
    segment: &Segment,
    window: Window,
    projection: &Projection,
    mut take: impl FnMut(SpanBatch),
) -> Result<(), ReadError> {
    let failed = failed(segment);
    let sought = Sought {
        window: Some(window),
        traces: None,
    };
    let known = segment.known().await.map_err(&failed)?;
    // One column at least, so that there are rows.
    let projection = projection.clone().with_core(&["start"]);
    let scan = segment.scan(std::iter::once(0..known.rows()), &projection, &sought);
    let mut batches = scan.await.map_err(&failed)?;
    while let Some(batch) = batches.try_next().await.map_err(&failed)? {
        take(batch);
    }
    Ok(())
}

fn add_other_keys(batch: &SpanBatch, texts: &mut Texts) {
    if !batch.has_other_attributes() {
        return;
    }
    for row in 0..batch.len() {
        for attribute in batch.other_attributes(row) {
            texts.add(attribute.key, 1);
        }
    }
}

/// Texts while they are counted.
#[derive(Debug, Default)]
struct Texts {
    spans: HashMap<String, u64, RandomState>,
    are_too_many: bool,
}

impl Texts {
    fn add(&mut self, text: &str, spans: u64) {
        if spans == 0 {
            return;
        }
        if let Some(known) = self.spans.get_mut(text) {
            *known += spans;
        } else if self.spans.len() < MOST_TEXTS {
            self.spans.insert(text.to_owned(), spans);
        } else {
            self.are_too_many = true;
        }
    }

    /// The texts of a column's rows, those for which `counts` is true: by code, so that a text is looked up once a batch.
    fn add_column(
        &mut self,
        batch: &SpanBatch,
        column: &TextColumn,
        counts: impl Fn(usize) -> bool,
    ) {
        let mut by_code = vec![0; column.values().len()];
        for row in 0..batch.len() {
            if let Some(code) = column.code(row)
                && counts(row)
            {
                by_code[code] += 1;
            }
        }
        for (code, spans) in by_code.into_iter().enumerate() {
            if spans > 0 {
                self.add(column.values().value(code), spans);
            }
        }
    }

    fn offer(self, ask: &Ask) -> Offer {
        let prefix = ask.prefix.to_lowercase();
        let mut texts: Vec<Counted> = self
            .spans
            .into_iter()
            .filter(|(text, _)| text.to_lowercase().starts_with(&prefix))
            .map(|(text, spans)| Counted { text, spans })
            .collect();
        texts.sort_by(|a, b| b.spans.cmp(&a.spans).then_with(|| a.text.cmp(&b.text)));
        let has_more = self.are_too_many || texts.len() > ask.limit;
        texts.truncate(ask.limit);
        Offer { texts, has_more }
    }
}
