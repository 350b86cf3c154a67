//! Running SQL.

use std::collections::HashSet;
use std::io::Write;
use std::sync::Arc;

use custody_types::ByteSize;
use datafusion::arrow::array::{Array, Float64Array, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::TableReference;
use datafusion::datasource::empty::EmptyTable;
use datafusion::error::DataFusionError;
use datafusion::execution::disk_manager::DiskManagerBuilder;
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SendableRecordBatchStream, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::{Optimizer, OptimizerRule};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::Compression;
use datafusion::parquet::file::properties::WriterProperties;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use futures::StreamExt;

use crate::error::{EngineError, planning, running};
use crate::parts::Parts;
use crate::schema::{Column, Layout, columns, plain_field};
use crate::spill::Spill;
use crate::table::{NoStores, Rows, Table};
use crate::{apart, bucket, exact, extremes, sum, windows};

/// Functions whose answer depends on when or where they run.
pub(crate) const CHANGING: &[&str] = &[
    "random",
    "uuid",
    "now",
    "current_timestamp",
    "current_date",
    "current_time",
    "today",
    "version",
    "arrow_metadata",
];
/// Rows in a row group of what is written, at most.
const GROUP_ROWS: usize = 1 << 20;
/// Bytes of encoded columns at which a row group ends: so much of what is written is in memory.
const GROUP_BYTES: usize = 1 << 27;

/// What a query wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// How many rows.
    pub rows: u64,
    /// The columns.
    pub columns: Vec<Column>,
}

/// Runs SQL. Each call has a context of its own, so that no query sees another's tables. Calls block.
#[derive(Debug)]
pub struct Engine {
    runtime: tokio::runtime::Runtime,
    pool: rayon::ThreadPool,
    memory: ByteSize,
    spill: Spill,
    /// The key under which values are told apart.
    secret: [u8; 16],
}

fn pool(threads: usize) -> Result<rayon::ThreadPool, EngineError> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|number| format!("engine-{number}"))
        .build()
        .map_err(|_| EngineError::Failed("no threads could be started"))
}

impl Engine {
    /// Starts an engine whose queries may use `memory` each, and spill what does not fit.
    ///
    /// # Errors
    /// [`EngineError::Failed`] when the machine gives no threads.
    pub fn new(memory: ByteSize, spill: Spill) -> Result<Self, EngineError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("engine")
            .build()
            .map_err(|_| EngineError::Failed("no threads could be started"))?;
        Ok(Self {
            runtime,
            pool: pool(0)?,
            memory,
            secret: spill.secret(),
            spill,
        })
    }

    /// Returns the same engine with another number of threads for checks; by default there is one for each core.
    ///
    /// # Errors
    /// [`EngineError::Failed`] when the machine gives no threads.
    pub fn with_threads(mut self, threads: usize) -> Result<Self, EngineError> {
        self.pool = pool(threads)?;
        Ok(self)
    }

    pub(crate) const fn pool(&self) -> &rayon::ThreadPool {
        &self.pool
    }

    pub(crate) const fn memory(&self) -> ByteSize {
        self.memory
    }

    pub(crate) const fn secret(&self) -> [u8; 16] {
        self.secret
    }

    pub(crate) fn block<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    pub(crate) fn running(&self, error: &DataFusionError) -> EngineError {
        running(error, &self.memory.to_string())
    }

    /// Builds a context that knows `tables` and nothing else.
    pub(crate) fn context(&self, tables: &[Table]) -> Result<SessionContext, EngineError> {
        let context = self.empty()?;
        for table in tables {
            let rows = Rows(Arc::new(Parts::open(table)?));
            register(&context, &table.name, Arc::new(rows))?;
        }
        Ok(context)
    }

    /// Builds a context that knows tables of these columns, without rows.
    pub(crate) fn context_of(
        &self,
        layouts: &[(String, Layout)],
    ) -> Result<SessionContext, EngineError> {
        let context = self.empty()?;
        for (name, layout) in layouts {
            register(&context, name, Arc::new(EmptyTable::new(layout.0.clone())))?;
        }
        Ok(context)
    }

    fn empty(&self) -> Result<SessionContext, EngineError> {
        let memory = usize::try_from(self.memory.bytes()).unwrap_or(usize::MAX);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(GreedyMemoryPool::new(memory)))
            .with_disk_manager_builder(
                DiskManagerBuilder::default().with_temp_file_factory(self.spill.of_one_query()),
            )
            .with_object_store_registry(Arc::new(NoStores))
            .build_arc()
            .map_err(|error| planning(&error))?;
        let mut config = SessionConfig::new()
            .with_target_partitions(1)
            .with_information_schema(false)
            .with_create_default_catalog_and_schema(true);
        // Columns are named as they are written: `AGEP` is not `agep`.
        config.options_mut().sql_parser.enable_ident_normalization = false;
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime)
            .with_default_features()
            .with_optimizer_rules(logical_rules())
            .with_physical_optimizer_rules(physical_rules())
            .build();
        let context = SessionContext::new_with_state(state);
        for name in CHANGING {
            context.deregister_udf(name);
        }
        context.register_udf(bucket::function());
        context.register_udaf(sum::function());
        for function in extremes::functions() {
            context.register_udaf(function);
        }
        for function in windows::functions() {
            context.register_udaf(function);
        }
        Ok(context)
    }

    /// Plans a query whose answer is right or an error ([`exact`]).
    pub(crate) async fn plan(
        &self,
        context: &SessionContext,
        sql: &str,
    ) -> Result<LogicalPlan, EngineError> {
        let told = |error: DataFusionError| planning(&error);
        let state = context.state();
        let plan = match state.create_logical_plan(sql).await {
            Err(error) if apart::is_doubled(&error) => {
                let apart = apart::plan(context, sql).await;
                apart.ok_or(error)
            }
            other => other,
        };
        let plan = plan.map_err(told)?;
        SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false)
            .verify_plan(&plan)
            .map_err(told)?;
        let plan = exact::casts(plan).map_err(told)?;
        let analyzer = state.analyzer();
        let plan = analyzer.execute_and_check(plan, state.config_options(), |_, _| {});
        let plan = exact::arithmetic(plan.map_err(told)?).map_err(told)?;
        let plan = state.optimize(&plan).map_err(told)?;
        exact::guard(plan).map_err(told)
    }

    /// Starts a planned query.
    pub(crate) async fn execute(
        &self,
        context: &SessionContext,
        plan: &LogicalPlan,
    ) -> Result<SendableRecordBatchStream, EngineError> {
        let state = context.state();
        let planner = state.query_planner();
        let plan = planner.create_physical_plan(plan, &state).await;
        let plan = plan.map_err(|error| planning(&error))?;
        execute_stream(plan, context.task_ctx()).map_err(|error| self.running(&error))
    }

    /// Runs `sql` over `tables` and writes its rows to `out` as one Parquet file.
    ///
    /// # Errors
    /// [`EngineError`]; what was written to `out` by then is of no use.
    pub fn query_to_parquet(
        &self,
        tables: &[Table],
        sql: &str,
        out: &mut (dyn Write + Send),
    ) -> Result<Written, EngineError> {
        self.block(async {
            let context = self.context(tables)?;
            let plan = self.plan(&context, sql).await?;
            let mut rows = self.execute(&context, &plan).await?;
            let schema = rows.schema();
            refuse_doubled(&schema)?;
            let properties = WriterProperties::builder()
                .set_created_by("custody".to_owned())
                .set_compression(Compression::UNCOMPRESSED)
                .set_max_row_group_row_count(Some(GROUP_ROWS))
                .build();
            let write = |error: datafusion::parquet::errors::ParquetError| {
                EngineError::Write(error.to_string())
            };
            let mut writer =
                ArrowWriter::try_new(out, schema.clone(), Some(properties)).map_err(write)?;
            let mut count = 0;
            while let Some(batch) = rows.next().await {
                let batch = batch.map_err(|error| self.running(&error))?;
                count += batch.num_rows() as u64;
                writer.write(&batch).map_err(write)?;
                if writer.in_progress_size() >= GROUP_BYTES {
                    writer.flush().map_err(write)?;
                }
            }
            writer.close().map_err(write)?;
            Ok(Written {
                rows: count,
                columns: columns(&schema),
            })
        })
    }

    /// Returns the columns of a table.
    ///
    /// # Errors
    /// [`EngineError::Table`] when its files cannot be read.
    pub fn layout(&self, table: &Table) -> Result<Layout, EngineError> {
        Ok(Layout(Parts::open(table)?.schema))
    }

    /// Returns the columns that a query makes from tables of these columns, without reading a row.
    ///
    /// # Errors
    /// [`EngineError`] when the query is mistaken.
    pub fn layout_of(
        &self,
        layouts: &[(String, Layout)],
        sql: &str,
    ) -> Result<Layout, EngineError> {
        self.block(async {
            let plan = self.plan(&self.context_of(layouts)?, sql).await?;
            let fields = plan.schema().as_arrow().fields().iter();
            let fields: Vec<_> = fields.map(|field| plain_field(field)).collect();
            let schema = Arc::new(Schema::new(fields));
            refuse_doubled(&schema)?;
            Ok(Layout(schema))
        })
    }
}

pub(crate) fn texts_of(
    array: &Arc<dyn Array>,
    values: &mut Vec<Option<String>>,
) -> Result<(), EngineError> {
    let failed = |_| EngineError::Failed("a value could not be written as text");
    if let Some(numbers) = array.as_any().downcast_ref::<Float64Array>() {
        // Display writes a number without a fraction as an integer.
        values.extend(
            numbers
                .iter()
                .map(|number| number.map(|number| number.to_string())),
        );
        return Ok(());
    }
    let texts = cast(array, &DataType::Utf8).map_err(failed)?;
    let texts = texts
        .as_any()
        .downcast_ref::<StringArray>()
        .ok_or(EngineError::Failed("a value could not be written as text"))?;
    values.extend(texts.iter().map(|text| text.map(ToOwned::to_owned)));
    Ok(())
}

/// Returns an identifier as SQL quotes it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn register(
    context: &SessionContext,
    name: &str,
    table: Arc<dyn TableProvider>,
) -> Result<(), EngineError> {
    context
        .register_table(TableReference::bare(name), table)
        .map(drop)
        .map_err(|error| planning(&error))
}

/// Refuses a result in which two columns have one name.
fn refuse_doubled(schema: &SchemaRef) -> Result<(), EngineError> {
    let mut names = HashSet::new();
    match schema
        .fields()
        .iter()
        .find(|field| !names.insert(field.name()))
    {
        Some(field) => Err(EngineError::Plan(format!(
            "the result has two columns `{}`: give one another name with AS",
            field.name()
        ))),
        None => Ok(()),
    }
}

/// The planner's rules without those that compute a part of an expression before it is known to be needed.
fn logical_rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    const WITHOUT: [&str; 3] = [
        "common_sub_expression_eliminate",
        "extract_leaf_expressions",
        "push_down_leaf_projections",
    ];
    let rules = Optimizer::new().rules.into_iter();
    rules
        .filter(|rule| !WITHOUT.contains(&rule.name()))
        .collect()
}

/// The planner's rules without those that move conditions or answer from what a table says of itself.
fn physical_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    const WITHOUT: [&str; 3] = [
        "FilterPushdown",
        "FilterPushdown(Post)",
        "aggregate_statistics",
    ];
    let rules = PhysicalOptimizer::new().rules.into_iter();
    rules
        .filter(|rule| !WITHOUT.contains(&rule.name()))
        .collect()
}
