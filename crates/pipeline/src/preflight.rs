//! Mistakes in the file that show in the light of the columns that there will be: found before anything runs.
//!
//! The columns of sources are those of their files on the disk, which are read whole where their types are not
//! declared; those of versions that are there are theirs; those of SQL steps follow from them. What programs make is not
//! known beforehand: what uses it is looked at when it is there.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use custody_engine::{ContractError, Engine, EngineError, Layout, Table};
use custody_types::{Digest, FileEntry, FilePath, Problem, ReadError, VersionFiles};

use crate::collect::{self, Looked, SourceFile};
use crate::file::{Contract, PipelineFile, Place, Source, Sql, Step, Wrong};
use crate::graph::Graph;
use crate::run::{Prepared, Runner};

impl Runner {
    /// Looks at every step of the file whose inputs' columns are known; keeps what was found out about sources.
    ///
    /// # Errors
    /// A [`Problem`] with the place in the file.
    pub(crate) fn preflight(
        &self,
        file: &PipelineFile,
        graph: &Graph,
        prepared: &mut Prepared,
    ) -> Result<(), Problem> {
        let engine = &self.workshop()?.engine;
        let mut known = std::mem::take(&mut prepared.layouts);
        for name in &graph.order {
            let place = |step: &Step| Place::step(name).key(step.action());
            let wrong = match file.steps.get(name) {
                Some(Step::Source(source)) => {
                    // What is wrong with its files is for the step to tell.
                    if let Ok(looked) = self.look(source) {
                        let layout = layout(engine, &looked);
                        known.extend(layout.map(|layout| (source.output.clone(), layout)));
                        prepared.sources.insert(name.clone(), Arc::new(looked));
                    }
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

    fn look(&self, source: &Source) -> Result<Looked, Problem> {
        let files = collect::find(self.folder.as_ref(), source)?;
        collect::look(&source.file, &source.declared(), files)
    }
}

/// Returns the columns that the version of a source will have.
fn layout(engine: &Engine, looked: &Looked) -> Option<Layout> {
    let mut tables = looked
        .collected
        .iter()
        .filter_map(|file| file.table.as_ref());
    if looked.collected.iter().all(|file| file.made().is_none()) {
        let table = Table {
            name: "source".to_owned(),
            files: Arc::new(OnDisk::new(&looked.files)),
        };
        return engine.layout(&table).ok();
    }
    let first = tables.next()?.schema()?;
    let same = tables.all(|table| table.schema().as_ref() == Some(&first));
    // A folder named `year=2024` would add a column.
    let flat = looked
        .files
        .iter()
        .all(|file| !file.entry.path.as_str().contains('='));
    (same && flat).then(|| Layout::of(&first)).flatten()
}

/// Files of a source, where they stand.
#[derive(Debug)]
struct OnDisk {
    files: Vec<SourceFile>,
    entries: Vec<FileEntry>,
}

impl OnDisk {
    fn new(files: &[SourceFile]) -> Self {
        let mut files = files.to_vec();
        files.sort_by(|a, b| a.entry.path.cmp(&b.entry.path));
        Self {
            entries: files.iter().map(|file| file.entry.clone()).collect(),
            files,
        }
    }
}

impl VersionFiles for OnDisk {
    fn digest(&self) -> Digest {
        collect::digest(&self.files)
    }

    fn files(&self) -> &[FileEntry] {
        &self.entries
    }

    fn read(&self, path: &FilePath, range: Range<u64>) -> Result<Bytes, ReadError> {
        let file = self.files.iter().find(|file| file.entry.path == *path);
        let file = file.ok_or_else(|| ReadError::NoSuchFile(path.clone()))?;
        let read = || {
            let (mut original, _) = file.standing.open().ok()?;
            original.seek(SeekFrom::Start(range.start)).ok()?;
            let length = range.end.checked_sub(range.start)?;
            let mut bytes = Vec::new();
            original.take(length).read_to_end(&mut bytes).ok()?;
            (bytes.len() as u64 == length).then(|| Bytes::from(bytes))
        };
        read().ok_or_else(|| ReadError::OutOfRange {
            path: path.clone(),
            start: range.start,
            end: range.end,
            size: file.entry.size.bytes(),
        })
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
