//! Running SQL.

use std::collections::HashSet;
use std::io::Write;
use std::sync::Arc;

use custody_types::ByteSize;
use datafusion::arrow::array::{Array, Float64Array, RecordBatch, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::TableReference;
use datafusion::error::DataFusionError;
use datafusion::execution::disk_manager::DiskManagerBuilder;
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SendableRecordBatchStream, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::Compression;
use datafusion::parquet::file::properties::WriterProperties;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use futures::{StreamExt, TryStreamExt};

use crate::error::{EngineError, planning, running};
use crate::parts::Parts;
use crate::schema::{Column, columns};
use crate::spill::Spill;
use crate::table::{NoStores, Rows, Table};
use crate::{bucket, exact, sum};

/// Functions whose answer depends on when or where they run.
const CHANGING: &[&str] = &[
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
/// Rows in a row group of what is written.
const GROUP_ROWS: usize = 1 << 20;

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
    memory: ByteSize,
    spill: Spill,
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
            memory,
            spill,
        })
    }

    pub(crate) fn block<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    pub(crate) fn running(&self, error: &DataFusionError) -> EngineError {
        running(error, &self.memory.to_string())
    }

    /// Builds a context that knows `tables` and nothing else.
    pub(crate) async fn context(&self, tables: &[Table]) -> Result<SessionContext, EngineError> {
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
            .with_physical_optimizer_rules(physical_rules())
            .build();
        let context = SessionContext::new_with_state(state);
        for name in CHANGING {
            context.deregister_udf(name);
        }
        context.register_udf(bucket::function());
        context.register_udaf(sum::function());
        for table in tables {
            let rows = Rows(Arc::new(Parts::open(table)?));
            context
                .register_table(TableReference::bare(table.name.as_str()), Arc::new(rows))
                .map_err(|error| planning(&error))?;
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
        let plan = state.create_logical_plan(sql).await.map_err(told)?;
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
            let context = self.context(tables).await?;
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
    pub fn columns(&self, table: &Table) -> Result<Vec<Column>, EngineError> {
        Ok(columns(&Parts::open(table)?.schema))
    }

    pub(crate) async fn collect(
        &self,
        context: &SessionContext,
        sql: &str,
    ) -> Result<Vec<RecordBatch>, EngineError> {
        let plan = self.plan(context, sql).await?;
        let rows = self.execute(context, &plan).await?;
        rows.try_collect()
            .await
            .map_err(|error| self.running(&error))
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

/// The planner's rules without those that move conditions or answer from what a table says of itself.
fn physical_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    PhysicalOptimizer::new()
        .rules
        .into_iter()
        .filter(|rule| {
            ![
                "FilterPushdown",
                "FilterPushdown(Post)",
                "aggregate_statistics",
            ]
            .contains(&rule.name())
        })
        .collect()
}
