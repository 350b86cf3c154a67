//! Conditions in SQL, computed row by row with everything else.

use std::sync::Arc;

use custody_stats::Fault;
use custody_stats::contract::SqlCheck;
use datafusion::arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::context::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};

use crate::error::{EngineError, planning};
use crate::query::{Engine, quoted};
use crate::schema::Layout;

/// The rows whose condition could not be computed that are counted before a unit gives up.
const UNCOMPUTED: u64 = 1_000;

/// A condition, ready to be computed on some columns of a table.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    expression: Arc<dyn PhysicalExpr>,
    /// The columns that the expression reads, in its order, by their places.
    pub(super) columns: Vec<usize>,
    schema: Arc<Schema>,
}

impl Engine {
    /// Plans a condition on a table called `name` that has these columns.
    pub(super) fn condition(
        &self,
        name: &str,
        whole: &SchemaRef,
        check: &SqlCheck,
    ) -> Result<Condition, Fault> {
        let wrong = |because: String| Fault {
            path: vec!["sql".to_owned(), "condition".to_owned()],
            because,
        };
        self.block(async {
            let told = |error: EngineError| match error {
                EngineError::Plan(because) | EngineError::NotAllowed(because) => wrong(because),
                other => wrong(other.to_string()),
            };
            let layout = [(name.to_owned(), Layout(whole.clone()))];
            let context = self.context_of(&layout).map_err(told)?;
            let from = quoted(name);
            let sql = format!("SELECT ({}\n) AS condition FROM {from}", check.condition);
            let plan = self.plan(&context, &sql).await.map_err(told)?;
            let (expression, scan) = parted(&plan).ok_or_else(|| {
                wrong("it must be a condition on the columns of one row, without another query, an aggregate or a window".to_owned())
            })?;
            if !has_column(&expression) {
                return Err(wrong(
                    "it names no column: it says nothing about the data".to_owned(),
                ));
            }
            let properties = ExecutionProps::new();
            let expression = create_physical_expr(
                &expression,
                scan.schema(),
                &properties,
                &PhysicalPlanningContext::default(),
            )
            .map_err(|error| told(planning(&error)))?;
            let schema = scan.schema().as_arrow();
            match expression.data_type(schema) {
                Ok(DataType::Boolean | DataType::Null) => {}
                Ok(other) => {
                    let kind = crate::schema::word(&other);
                    return Err(wrong(format!(
                        "it gives {kind}, not whether something holds"
                    )));
                }
                Err(error) => return Err(told(planning(&error))),
            }
            let columns = schema
                .fields()
                .iter()
                .map(|field| whole.index_of(field.name()))
                .collect::<Result<_, _>>()
                .map_err(|_| wrong("it names a column that is not there".to_owned()))?;
            Ok(Condition {
                expression,
                columns,
                schema: Arc::new(schema.clone()),
            })
        })
    }
}

/// Takes a plan apart that computes one expression on the rows of the table.
fn parted(plan: &LogicalPlan) -> Option<(Expr, &LogicalPlan)> {
    match plan {
        LogicalPlan::Projection(projection) => {
            let [expression] = projection.expr.as_slice() else {
                return None;
            };
            matches!(projection.input.as_ref(), LogicalPlan::TableScan(_))
                .then(|| (expression.clone().unalias(), projection.input.as_ref()))
        }
        _ => None,
    }
}

fn has_column(expression: &Expr) -> bool {
    let mut found = false;
    let looked = expression.apply(|part| {
        found |= matches!(part, Expr::Column(_));
        Ok(if found {
            TreeNodeRecursion::Stop
        } else {
            TreeNodeRecursion::Continue
        })
    });
    looked.is_ok() && found
}

/// How a condition came out for a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Broken,
    /// It could not be computed: a value did not convert, a division by zero.
    Uncomputed,
}

impl Condition {
    /// Returns the same for a batch that has the columns at other places.
    pub(super) fn placed(mut self, place: &dyn Fn(usize) -> Option<usize>) -> Self {
        self.columns = self.columns.into_iter().filter_map(place).collect();
        self
    }

    /// Computes the condition for each row and tells those for which it does not hold; returns whether all were looked
    /// at.
    pub(super) fn look(
        &self,
        batch: &RecordBatch,
        before: u64,
        mut tell: impl FnMut(usize, Outcome),
    ) -> Result<bool, EngineError> {
        let columns = batch
            .project(&self.columns)
            .and_then(|own| own.with_schema(self.schema.clone()))
            .map_err(|_| EngineError::Failed("a column of a table is not there"))?;
        if let Some(holds) = self.holds(&columns) {
            for at in 0..columns.num_rows() {
                if !is_true(&holds, at) {
                    tell(at, Outcome::Broken);
                }
            }
            return Ok(true);
        }
        // Some row cannot be computed: one by one, so that only those count as such.
        let mut uncomputed = before;
        for at in 0..columns.num_rows() {
            match self.holds(&columns.slice(at, 1)) {
                Some(holds) if is_true(&holds, 0) => {}
                Some(_) => tell(at, Outcome::Broken),
                None => {
                    uncomputed += 1;
                    tell(at, Outcome::Uncomputed);
                    if uncomputed >= UNCOMPUTED {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }

    fn holds(&self, columns: &RecordBatch) -> Option<BooleanArray> {
        let value = self.expression.evaluate(columns).ok()?;
        let array = value.into_array(columns.num_rows()).ok()?;
        match array.data_type() {
            DataType::Boolean => array.as_boolean_opt().cloned(),
            _ => Some(BooleanArray::new_null(columns.num_rows())),
        }
    }
}

fn is_true(holds: &BooleanArray, at: usize) -> bool {
    holds.is_valid(at) && holds.value(at)
}
