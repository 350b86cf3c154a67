//! Versions as tables, and nothing else that a query could read.

use std::sync::Arc;

use custody_types::VersionFiles;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::object_store::ObjectStoreRegistry;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::stream;
use object_store::ObjectStore;
use url::Url;

use crate::parts::Parts;

/// A version under the name that SQL calls it.
#[derive(Debug, Clone)]
pub struct Table {
    /// The name.
    pub name: String,
    /// The version; its files make the table.
    pub files: Arc<dyn VersionFiles>,
}

/// The rows of a table in the order of its files. It tells the planner nothing of its values and filters nothing.
#[derive(Debug)]
pub(crate) struct Rows(pub(crate) Arc<Parts>);

#[async_trait::async_trait]
impl TableProvider for Rows {
    fn schema(&self) -> SchemaRef {
        self.0.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all = || (0..self.0.schema.fields().len()).collect();
        let columns: Vec<usize> = projection.cloned().unwrap_or_else(all);
        let schema = Arc::new(self.0.schema.project(&columns)?);
        let stream = Projected {
            parts: self.0.clone(),
            schema: schema.clone(),
            columns,
        };
        let plan =
            StreamingTableExec::try_new(schema, vec![Arc::new(stream)], None, [], false, limit)?;
        Ok(Arc::new(plan))
    }
}

/// Some columns of a table.
#[derive(Debug)]
struct Projected {
    parts: Arc<Parts>,
    schema: SchemaRef,
    columns: Vec<usize>,
}

impl PartitionStream for Projected {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (parts, columns) = (self.parts.clone(), self.columns.clone());
        let units = self.parts.units.clone().into_iter();
        let batches = units
            .flat_map(move |unit| parts.read(unit, &columns))
            .map(|batch| batch.map_err(|error| DataFusionError::External(Box::new(error))));
        Box::pin(RecordBatchStreamAdapter::new(
            self.schema.clone(),
            stream::iter(batches),
        ))
    }
}

/// Knows no store: a query reads its tables, and no file or address that it names.
#[derive(Debug)]
pub(crate) struct NoStores;

impl ObjectStoreRegistry for NoStores {
    fn register_store(&self, _: &Url, _: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        None
    }

    fn get_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        Err(DataFusionError::Plan(format!(
            "`{}` is not allowed: only the step's inputs are tables",
            url.scheme()
        )))
    }
}
