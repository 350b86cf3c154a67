//! A table from its file to Parquet.

use std::io::{self, SeekFrom, Write};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use crate::dialect::{self, Settled};
use crate::error::{Refusal, TabularError};
use crate::evidence::Guess;
use crate::options::{Csv, Declared};
use crate::output::Output;
use crate::recognise::{Original, Packing, Table};
use crate::types::{Columns, quoted};
use crate::{arrow, build, csv, json};

/// What is known of a file before it is read for good.
#[derive(Debug)]
pub struct Survey {
    /// The columns with their types.
    pub columns: Columns,
    /// How many rows there are, where that is known before they are read for good.
    pub rows: Option<u64>,
    /// What was found and not declared, in words; without any data.
    pub notes: Vec<String>,
    /// How text with delimiters is read: what was declared, with what was found added.
    pub csv: Csv,
    table: Table,
    packing: Packing,
    evidence: Evidence,
}

#[derive(Debug)]
enum Evidence {
    /// The file says its types itself.
    None,
    Text {
        settled: Box<Settled>,
        /// What the columns can be that are not declared.
        guesses: Vec<Option<Guess>>,
    },
    Json(Box<json::Seen>),
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// How many rows.
    pub rows: u64,
}

/// Looks at a file: at its beginning for what is not declared, and at all of its rows for the types of columns.
///
/// # Errors
/// [`TabularError::Refused`] when it is not what it should be, with the line.
pub fn survey(
    file: &mut dyn Original,
    table: Table,
    packing: Packing,
    declared: &Declared,
) -> Result<Survey, TabularError> {
    let mut found = Survey {
        columns: Columns::default(),
        rows: None,
        notes: Vec::new(),
        csv: declared.csv.clone(),
        table,
        packing,
        evidence: Evidence::None,
    };
    match table {
        Table::Parquet => {
            let (columns, rows) = arrow::parquet(file)?;
            same(&columns, &declared.columns)?;
            found.columns = columns;
            found.rows = Some(rows);
        }
        Table::ArrowFile | Table::ArrowStream => {
            found.columns = arrow::arrow(file, packing, table == Table::ArrowStream)?;
            same(&found.columns, &declared.columns)?;
        }
        Table::JsonLines => {
            let seen = json::see(file, packing)?;
            found.rows = Some(seen.rows);
            found.evidence = Evidence::Json(Box::new(seen));
        }
        Table::Text { tabs } => text(file, tabs, declared, &mut found)?,
    }
    found.settle(&declared.columns)?;
    Ok(found)
}

/// Compares what a file says with what is declared.
fn same(columns: &Columns, declared: &Columns) -> Result<(), Refusal> {
    for (name, column) in &declared.0 {
        match columns.find(name) {
            None => return Err(no_column(name, columns.0.iter().map(|(name, _)| name))),
            Some(found) if found != column => {
                return Err(Refusal::new(format!(
                    "the column `{name}` is `{}` in it, and declared as `{}`",
                    found.data_type, column.data_type
                ))
                .hint("declare what the file says, and cast it in SQL"));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn no_column<'a>(name: &str, there: impl Iterator<Item = &'a String>) -> Refusal {
    let there: Vec<_> = there.take(30).map(String::as_str).collect();
    Refusal::new(format!("the declared column `{name}` is not in it"))
        .hint(format!("there are {}", there.join(", ")))
}

fn text(
    file: &mut dyn Original,
    tabs: bool,
    declared: &Declared,
    found: &mut Survey,
) -> Result<(), TabularError> {
    let settled = dialect::settle(file, found.packing, tabs, &declared.csv)?;
    if let Some((name, _)) = declared
        .columns
        .0
        .iter()
        .find(|(name, _)| !settled.names.contains(name))
    {
        return Err(no_column(name, settled.names.iter()).into());
    }
    found.notes.clone_from(&settled.notes);
    found.csv = settled.csv.clone();
    let all = settled
        .names
        .iter()
        .all(|name| declared.columns.find(name).is_some());
    let guesses = if all && !settled.found_header {
        settled.names.iter().map(|_| None).collect()
    } else {
        let seen = csv::see(file, found.packing, &settled)?;
        found.rows = Some(seen.rows);
        let all_text = seen
            .guesses
            .iter()
            .all(|guess| guess.settle(&settled.csv).data_type == crate::ColumnType::Text);
        if settled.found_header && all_text && seen.like_name > 0 {
            return Err(Refusal::new("the first row could be names or data: every column is text, and words of the first row stand below it too")
                .hint("declare `csv: {header: true}` or `csv: {header: false}`")
                .into());
        }
        let guesses = settled.names.iter().zip(seen.guesses);
        guesses
            .map(|(name, guess)| declared.columns.find(name).is_none().then_some(guess))
            .collect()
    };
    found.evidence = Evidence::Text {
        settled: Box::new(settled),
        guesses,
    };
    Ok(())
}

impl Survey {
    /// Settles the types of the columns that are not declared.
    fn settle(&mut self, declared: &Columns) -> Result<(), TabularError> {
        match &self.evidence {
            Evidence::None => {}
            Evidence::Json(seen) => {
                let (columns, notes) = seen.settle(declared)?;
                self.columns = columns;
                self.notes.extend(notes);
            }
            Evidence::Text { settled, guesses } => {
                let mut columns = Vec::with_capacity(guesses.len());
                for (name, guess) in settled.names.iter().zip(guesses) {
                    let column = match (guess, declared.find(name)) {
                        (_, Some(column)) => column.clone(),
                        (Some(guess), None) => {
                            self.notes.extend(remarks(name, guess));
                            guess.settle(&settled.csv)
                        }
                        (None, None) => {
                            return Err(Refusal::new(format!(
                                "nothing is known of the column `{name}`"
                            ))
                            .into());
                        }
                    };
                    columns.push((name.clone(), column));
                }
                self.columns = Columns(columns);
            }
        }
        Ok(())
    }

    /// Returns whether the file stays as it is, byte for byte.
    pub fn stays(&self) -> bool {
        self.table == Table::Parquet
    }

    /// Returns the schema that the table gets; `None` where it has types that are not declared by words.
    pub fn schema(&self) -> Option<SchemaRef> {
        build::schema(&self.columns).ok()
    }

    /// Returns the line that declares everything that was found: `columns: {…}`.
    pub fn pinned(&self) -> String {
        format!("columns: {}", self.columns)
    }
}

/// Says what a person may want to know of a column.
fn remarks(name: &str, guess: &Guess) -> Vec<String> {
    let name = quoted(name);
    let mut notes = Vec::new();
    if guess.values == 0 && guess.nulls > 0 {
        notes.push(format!(
            "column `{name}` is null in every row: taken as text"
        ));
    }
    if guess.padded > 0 {
        notes.push(format!(
            "column `{name}`: {} values have blanks around them; `csv: {{trim: true}}` leaves them out",
            guess.padded
        ));
    }
    if guess.empty > 0 && guess.nulls == 0 {
        notes.push(format!(
            "column `{name}`: {} fields are the quoted empty text; `csv: {{quoted_nulls: true}}` makes them null",
            guess.empty
        ));
    }
    notes
}

/// Settles the types of the columns of several files of one table together: each has the type that holds the
/// values of all files.
///
/// # Errors
/// [`TabularError::Refused`] when the values have no common type.
pub fn unify(surveys: &mut [Survey], declared: &Declared) -> Result<(), TabularError> {
    let mut json: Option<json::Seen> = None;
    let mut guesses: Vec<(String, Guess)> = Vec::new();
    for survey in surveys.iter() {
        match &survey.evidence {
            Evidence::None => {}
            Evidence::Json(seen) => match &mut json {
                Some(known) => known.merge((**seen).clone()),
                None => json = Some((**seen).clone()),
            },
            Evidence::Text {
                settled,
                guesses: found,
            } => {
                for (name, guess) in settled.names.iter().zip(found) {
                    let Some(guess) = guess else { continue };
                    match guesses.iter_mut().find(|(known, _)| known == name) {
                        Some((_, known)) => known.merge(guess),
                        None => guesses.push((name.clone(), guess.clone())),
                    }
                }
            }
        }
    }
    for survey in surveys.iter_mut() {
        match &mut survey.evidence {
            Evidence::None => {}
            Evidence::Json(seen) => {
                if let Some(all) = &json {
                    **seen = all.clone();
                    survey.columns = seen.settle(&declared.columns)?.0;
                }
            }
            Evidence::Text {
                settled,
                guesses: own,
            } => {
                for ((name, column), own) in survey.columns.0.iter_mut().zip(own) {
                    let all = guesses.iter().find(|(known, _)| known == name);
                    if let (Some((_, all)), Some(own)) = (all, own) {
                        *own = all.clone();
                        *column = all.settle(&settled.csv);
                    }
                }
            }
        }
    }
    Ok(())
}

/// Writes the table as Parquet; a file that is Parquet already is copied as it is.
///
/// # Errors
/// [`TabularError`]; what was written to `out` by then is of no use.
pub fn write_parquet(
    file: &mut dyn Original,
    survey: &Survey,
    out: &mut (dyn Write + Send),
) -> Result<Written, TabularError> {
    if survey.stays() {
        file.seek(SeekFrom::Start(0)).map_err(TabularError::Read)?;
        io::copy(file, out).map_err(TabularError::Write)?;
        return Ok(Written {
            rows: survey.rows.unwrap_or(0),
        });
    }
    let mut sink = Sink {
        out: Some(out),
        output: None,
    };
    if !matches!(survey.table, Table::ArrowFile | Table::ArrowStream) {
        sink.begin(&build::schema(&survey.columns)?)?;
    }
    let mut take = |schema: &SchemaRef, batches| sink.take(schema, batches);
    match (&survey.table, &survey.evidence) {
        (Table::Text { .. }, Evidence::Text { settled, .. }) => {
            csv::read(file, survey.packing, settled, &survey.columns, &mut take)?;
        }
        (Table::JsonLines, _) => json::read(file, survey.packing, &survey.columns, &mut take)?,
        (Table::ArrowFile, _) => arrow::read(file, survey.packing, false, &mut take)?,
        (Table::ArrowStream, _) => arrow::read(file, survey.packing, true, &mut take)?,
        _ => return Err(Refusal::new("it was not looked at").into()),
    }
    let rows = match sink.output {
        Some(output) => output.finish()?,
        None => 0,
    };
    if survey.rows.is_some_and(|seen| seen != rows) {
        return Err(Refusal::new("it changed while it was read")
            .hint("read it again when nothing writes to it")
            .into());
    }
    Ok(Written { rows })
}

/// The output, begun when the schema is known.
struct Sink<'w> {
    out: Option<&'w mut (dyn Write + Send)>,
    output: Option<Output<'w>>,
}

impl Sink<'_> {
    fn begin(&mut self, schema: &SchemaRef) -> Result<(), TabularError> {
        if let Some(out) = self.out.take() {
            self.output = Some(Output::new(out, schema.clone())?);
        }
        Ok(())
    }

    fn take(
        &mut self,
        schema: &SchemaRef,
        batches: Vec<(RecordBatch, usize)>,
    ) -> Result<(), TabularError> {
        self.begin(schema)?;
        match &mut self.output {
            Some(output) => output.write(batches),
            None => Ok(()),
        }
    }
}
