//! Mistakes in the file that show in the light of the columns that there will be: found before anything runs.
//!
//! The columns of sources are those of their files on the disk; those of SQL steps follow from them. What programs make
//! is not known beforehand: what uses it is looked at when it is there.

use std::collections::BTreeMap;
use std::sync::Arc;

use custody_engine::{ContractError, Engine, EngineError, Layout, Table};
use custody_types::Problem;

use crate::file::{Contract, PipelineFile, Place, Source, Sql, Step, Wrong};
use crate::graph::Graph;
use crate::memory::{InMemory, MadeFile};
use crate::run::Runner;

impl Runner {
    /// Looks at every step whose inputs' columns are known.
    ///
    /// # Errors
    /// A [`Problem`] with the place in the file.
    pub(crate) fn preflight(&self, file: &PipelineFile, graph: &Graph) -> Result<(), Problem> {
        let engine = &self.workshop()?.engine;
        let mut known: BTreeMap<String, Layout> = BTreeMap::new();
        for name in &graph.order {
            let place = |step: &Step| Place::step(name).key(step.action());
            let wrong = match file.steps.get(name) {
                Some(Step::Source(source)) => {
                    known.extend(
                        self.columns(engine, source)
                            .map(|made| (source.output.clone(), made)),
                    );
                    Ok(())
                }
                Some(step @ Step::Check(contract)) => {
                    known.get(&contract.input).map_or(Ok(()), |layout| {
                        examine(engine, layout, contract, &place(step))
                    })
                }
                Some(step @ Step::Sql(sql)) => query(engine, sql, &mut known, &place(step)),
                Some(step @ Step::Evaluate(evaluate)) => {
                    let names = |artifact: &String| {
                        let columns = known.get(artifact)?.columns().into_iter();
                        Some(columns.map(|column| column.name).collect::<Vec<_>>())
                    };
                    names(&evaluate.data).map_or(Ok(()), |columns| {
                        evaluate.check_columns(&columns, &place(step))
                    })
                }
                _ => Ok(()),
            };
            wrong.map_err(|wrong| wrong.problem(&file.text))?;
        }
        Ok(())
    }

    /// Returns the columns of a source that is a table; what is wrong with its file is for the step to tell.
    fn columns(&self, engine: &Engine, source: &Source) -> Option<Layout> {
        let bytes = self.read_file(&source.file).ok()?;
        let made = MadeFile {
            path: "data.parquet".parse().ok()?,
            executable: false,
            bytes,
        };
        let table = Table {
            name: source.output.clone(),
            files: Arc::new(InMemory::new(vec![made])),
        };
        engine.layout(&table).ok()
    }
}

fn examine(
    engine: &Engine,
    layout: &Layout,
    contract: &Contract,
    place: &Place,
) -> Result<(), Wrong> {
    match engine.examine(layout, &contract.checks, contract.key.as_deref()) {
        Err(ContractError::Mistaken { check, fault }) => Err(Wrong::new(
            Contract::place(place, check, &fault.path),
            fault.because,
        )),
        _ => Ok(()),
    }
}

/// Plans the queries of a step whose inputs are all known, and notes what they make.
fn query(
    engine: &Engine,
    sql: &Sql,
    known: &mut BTreeMap<String, Layout>,
    place: &Place,
) -> Result<(), Wrong> {
    let inputs = sql
        .inputs
        .iter()
        .map(|(name, artifact)| Some((name.clone(), known.get(artifact)?.clone())));
    let Some(inputs) = inputs.collect::<Option<Vec<_>>>() else {
        return Ok(());
    };
    for (artifact, query) in &sql.outputs {
        match engine.layout_of(&inputs, query) {
            Ok(layout) => drop(known.insert(artifact.clone(), layout)),
            Err(error @ (EngineError::Plan(_) | EngineError::NotAllowed(_))) => {
                let place = place.key("outputs").key(artifact);
                return Err(Wrong::new(place, error.to_string()));
            }
            Err(_) => {}
        }
    }
    Ok(())
}
