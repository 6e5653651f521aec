//! Scans of a segment: some columns of some of its rows, planned and run by DataFusion, which passes over pages that
//! cannot hold a row that is looked for.

use std::fmt;
use std::hash::Hash;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::{Array as _, BooleanArray, RecordBatch};
use arrow_buffer::BooleanBuffer;
use arrow_schema::{DataType, Schema};
use bytes::Bytes;
use datafusion_common::{DataFusionError, ScalarValue};
use datafusion_datasource::PartitionedFile;
use datafusion_datasource::file_scan_config::FileScanConfigBuilder;
use datafusion_datasource::source::DataSourceExec;
use datafusion_datasource_parquet::source::ParquetSource;
use datafusion_datasource_parquet::{ParquetFileReaderFactory, ParquetRowSelection};
use datafusion_execution::TaskContext;
use datafusion_execution::object_store::ObjectStoreUrl;
use datafusion_expr::{ColumnarValue, Operator};
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::expressions::{binary, col, lit};
use datafusion_physical_plan::ExecutionPlan as _;
use datafusion_physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt as _, StreamExt as _};
use object_store::ObjectStore;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, RowSelection};
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ParquetMetaData;
use tracediff_core::model::{Projection, SpanBatch, Window};

use super::file::SegmentFile;
use super::read::{BATCH_ROWS, Known, Segment};
use crate::read::TraceIds;

/// What every scan runs in.
pub(crate) struct Engine {
    url: ObjectStoreUrl,
    context: Arc<TaskContext>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Engine").field(&self.url).finish()
    }
}

impl Engine {
    pub(crate) fn new(store: Arc<dyn ObjectStore>) -> Self {
        let url = ObjectStoreUrl::local_filesystem();
        let context = Arc::new(TaskContext::default());
        let runtime = context.runtime_env();
        runtime.register_object_store(url.as_ref(), store);
        Self { url, context }
    }
}

/// Which rows of a segment are looked for. What cannot be told from its pages is told row by row.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sought {
    /// Those that start in here.
    pub(crate) window: Option<Window>,
    /// Those of these traces.
    pub(crate) traces: Option<Arc<TraceIds>>,
}

impl Segment {
    /// The columns that are wanted of those rows in `rows` that are sought. Columns that are not wanted hold nothing.
    pub(crate) async fn scan(
        &self,
        rows: impl Iterator<Item = Range<usize>>,
        projection: &Projection,
        sought: &Sought,
    ) -> Result<BoxStream<'static, Result<SpanBatch>>> {
        let known = self.known().await?;
        let rows = RowSelection::from_consecutive_ranges(rows, known.rows());
        let schema = known.metadata.schema();
        if !has_unique_names(schema) {
            return self.scan_all_columns(&known, rows, sought.clone());
        }
        let wanted: Vec<usize> = schema
            .fields()
            .iter()
            .enumerate()
            .filter(|(_, field)| projection.contains(field))
            .map(|(at, _)| at)
            .collect();
        let reader = FooterIsKnown {
            file: self.file(),
            metadata: Arc::clone(known.metadata.metadata()),
        };
        let mut source = ParquetSource::new(Arc::clone(schema))
            .with_parquet_file_reader_factory(Arc::new(reader))
            .with_pushdown_filters(true);
        if let Some(predicate) = self.predicate(schema, sought).map_err(external)? {
            source = source.with_predicate(predicate);
        }
        let file = PartitionedFile::new(self.meta.path(), self.meta.bytes)
            .with_extension(ParquetRowSelection::new(rows));
        let engine = self.engine();
        let scan = FileScanConfigBuilder::new(engine.url.clone(), Arc::new(source))
            .with_file(file)
            .with_projection_indices(Some(wanted))
            .map_err(external)?
            .with_batch_size(Some(BATCH_ROWS))
            .build();
        let plan = DataSourceExec::from_data_source(scan);
        let batches = plan
            .execute(0, Arc::clone(&engine.context))
            .map_err(external)?;
        let spans = batches.map(|batch| {
            SpanBatch::from_some_columns(&batch.map_err(external)?)
                .map_err(|e| ParquetError::General(e.to_string()))
        });
        Ok(spans.boxed())
    }

    /// The same where the text `code:int` and the number `code` are two columns with one name, which DataFusion does not
    /// tell apart.
    fn scan_all_columns(
        &self,
        known: &Known,
        rows: RowSelection,
        sought: Sought,
    ) -> Result<BoxStream<'static, Result<SpanBatch>>> {
        let batches = self.stream(known, rows)?;
        let spans = batches.map(move |batch| {
            let batch = batch?;
            let keep: Vec<bool> = (0..batch.len())
                .map(|row| {
                    let id = u128::from_be_bytes(batch.trace_id(row).0);
                    let window = sought.window.as_ref();
                    window.is_none_or(|window| window.contains(batch.start_ns(row)))
                        && sought.traces.as_ref().is_none_or(|of| of.contains(&id))
                })
                .collect();
            Ok(batch.filter(&keep))
        });
        Ok(spans.boxed())
    }

    /// What is sought, as far as not every row of the segment is.
    fn predicate(
        &self,
        schema: &Schema,
        sought: &Sought,
    ) -> Result<Option<Arc<dyn PhysicalExpr>>, DataFusionError> {
        let mut all: Vec<Arc<dyn PhysicalExpr>> = Vec::new();
        if let Some(traces) = &sought.traces {
            all.push(Arc::new(OfTraces {
                trace_id: col("trace_id", schema)?,
                traces: Arc::clone(traces),
            }));
        }
        if let Some(window) = sought.window {
            let time = |ns| {
                lit(ScalarValue::TimestampNanosecond(
                    Some(ns),
                    Some("UTC".into()),
                ))
            };
            let mut start = |operator, ns| {
                let start = col("start", schema)?;
                all.push(binary(start, operator, time(ns), schema)?);
                Ok::<_, DataFusionError>(())
            };
            if self.meta.first_start_ns < window.from_ns() {
                start(Operator::GtEq, window.from_ns())?;
            }
            if self.meta.last_start_ns >= window.to_ns() {
                start(Operator::Lt, window.to_ns())?;
            }
        }
        all.into_iter()
            .map(Ok)
            .reduce(|a, b| binary(a?, Operator::And, b?, schema))
            .transpose()
    }
}

fn has_unique_names(schema: &Schema) -> bool {
    let mut names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    names.sort_unstable();
    names.windows(2).all(|pair| pair[0] != pair[1])
}

fn external(error: DataFusionError) -> ParquetError {
    ParquetError::External(Box::new(error))
}

/// Opens a segment's file, whose footer was read before.
#[derive(Debug, Clone)]
struct FooterIsKnown {
    file: SegmentFile,
    metadata: Arc<ParquetMetaData>,
}

impl ParquetFileReaderFactory for FooterIsKnown {
    fn create_reader(
        &self,
        _partition_index: usize,
        _file: PartitionedFile,
        _metadata_size_hint: Option<usize>,
        _metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>, DataFusionError> {
        Ok(Box::new(self.clone()))
    }
}

impl AsyncFileReader for FooterIsKnown {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        self.file.get_bytes(range)
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>>> {
        self.file.get_byte_ranges(ranges)
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>>> {
        let metadata = Arc::clone(&self.metadata);
        async move { Ok(metadata) }.boxed()
    }
}

/// Whether a trace id is one of some.
#[derive(Debug)]
struct OfTraces {
    trace_id: Arc<dyn PhysicalExpr>,
    traces: Arc<TraceIds>,
}

impl fmt::Display for OfTraces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {} traces", self.trace_id, self.traces.len())
    }
}

/// The same set, not an equal one: sets are large.
impl PartialEq for OfTraces {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.traces, &other.traces) && self.trace_id.eq(&other.trace_id)
    }
}

impl Eq for OfTraces {}

impl Hash for OfTraces {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.trace_id.hash(state);
        Arc::as_ptr(&self.traces).hash(state);
    }
}

impl PhysicalExpr for OfTraces {
    fn data_type(&self, _schema: &Schema) -> Result<DataType, DataFusionError> {
        Ok(DataType::Boolean)
    }

    fn nullable(&self, _schema: &Schema) -> Result<bool, DataFusionError> {
        Ok(false)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue, DataFusionError> {
        let ids = self
            .trace_id
            .evaluate(batch)?
            .into_array(batch.num_rows())?;
        let ids = ids.as_fixed_size_binary();
        // Rows are in order of their ids: most often the answer is that of the row before.
        let mut last: Option<(&[u8], bool)> = None;
        let rows = BooleanBuffer::collect_bool(ids.len(), |row| {
            let id = ids.value(row);
            match last {
                Some((before, answer)) if before == id => answer,
                _ => {
                    let answer = id
                        .try_into()
                        .is_ok_and(|id| self.traces.contains(&u128::from_be_bytes(id)));
                    last = Some((id, answer));
                    answer
                }
            }
        });
        Ok(ColumnarValue::Array(Arc::new(BooleanArray::new(
            rows, None,
        ))))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.trace_id]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>, DataFusionError> {
        match (children.pop(), children.is_empty()) {
            (Some(trace_id), true) => Ok(Arc::new(Self {
                trace_id,
                traces: Arc::clone(&self.traces),
            })),
            _ => Err(DataFusionError::Internal(
                "one column is asked about".to_owned(),
            )),
        }
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
