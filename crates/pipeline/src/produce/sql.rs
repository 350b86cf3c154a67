//! Makes datasets by SQL.

use custody_engine::Table;
use custody_types::Problem;
use serde_json::json;

use super::{StepExecutor, StepInputs, StepOutputs, engine};
use crate::file::Sql;
use crate::run::ROWS;

impl StepExecutor {
    pub(super) fn sql(&self, sql: &Sql, given: &StepInputs) -> Result<StepOutputs, Problem> {
        let tables: Vec<_> = given
            .inputs
            .iter()
            .map(|(name, files)| Table {
                name: name.clone(),
                files: files.clone(),
            })
            .collect();
        let mut product = StepOutputs::default();
        for (artifact, query) in &sql.outputs {
            let mut bytes = Vec::new();
            let written = self
                .engine
                .query_to_parquet(&tables, query, &mut bytes)
                .map_err(|error| engine(artifact, &error))?;
            product.notes.push(format!(
                "{artifact}: {} rows, {} columns",
                written.rows,
                written.columns.len()
            ));
            product
                .byproducts
                .push(json!({"name": ROWS, "artifact": artifact, "rows": written.rows}));
            product.add(artifact, "data.parquet", bytes)?;
        }
        Ok(product)
    }
}
