//! Makes datasets by SQL.

use custody_engine::Table;
use custody_types::{FilePath, NameError, Problem};
use serde_json::json;

use super::{StepExecutor, StepInputs, StepReport, engine, fault};
use crate::file::Sql;
use crate::outputs::Outputs;
use crate::run::ROWS;

impl StepExecutor {
    pub(super) fn sql(
        &self,
        sql: &Sql,
        given: &StepInputs,
        outputs: &mut dyn Outputs,
    ) -> Result<StepReport, Problem> {
        let tables: Vec<_> = given
            .inputs
            .iter()
            .map(|(name, files)| Table {
                name: name.clone(),
                files: files.clone(),
            })
            .collect();
        let path: FilePath = "data.parquet"
            .parse()
            .map_err(|error: NameError| fault(&error.to_string()))?;
        let mut report = StepReport::default();
        for (artifact, query) in &sql.outputs {
            let mut written = None;
            outputs.file(artifact, path.clone(), false, &mut |out| {
                let made = self.engine.query_to_parquet(&tables, query, out);
                written = Some(made.map_err(|error| engine(artifact, &error))?);
                Ok(())
            })?;
            let written = written.ok_or_else(|| fault("a query was not asked"))?;
            report.notes.push(format!(
                "{artifact}: {} rows, {} columns",
                written.rows,
                written.columns.len()
            ));
            report
                .byproducts
                .push(json!({"name": ROWS, "artifact": artifact, "rows": written.rows}));
        }
        Ok(report)
    }
}
