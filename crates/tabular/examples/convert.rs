//! Converts a file to Parquet as JSON on standard input says, and writes what was found as JSON, so that other
//! readers can be held against this one.
//!
//! Input: `{"file": "a.csv", "out": "a.parquet", "format": "csv", "csv": {}, "columns": {}}`.

use std::error::Error;
use std::fs::File;
use std::io::{self, Write};

use custody_tabular::{
    Columns, Csv, Declared, Format, Recognised, TabularError, recognise, survey, write_parquet,
};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
struct Request {
    file: String,
    out: String,
    #[serde(default)]
    format: Option<Format>,
    #[serde(default)]
    csv: Csv,
    #[serde(default)]
    columns: Columns,
}

fn main() -> Result<(), Box<dyn Error>> {
    let request: Request = serde_json::from_reader(io::stdin().lock())?;
    let answer = match convert(&request) {
        Ok(answer) => answer,
        Err(TabularError::Refused(refusal)) => json!({
            "refused": refusal.because,
            "hint": refusal.hint,
            "line": refusal.place.as_ref().map(|place| place.line),
            "column": refusal.place.as_ref().and_then(|place| place.column.clone()),
            "character": refusal.place.as_ref().and_then(|place| place.character),
            "data": refusal.data,
        }),
        Err(other) => return Err(other.into()),
    };
    serde_json::to_writer(io::stdout().lock(), &answer)?;
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "an example that writes the file it is told to write"
)]
fn convert(request: &Request) -> Result<serde_json::Value, TabularError> {
    let declared = Declared {
        format: request.format,
        csv: request.csv.clone(),
        columns: request.columns.clone(),
    };
    let mut file = File::open(&request.file).map_err(TabularError::Read)?;
    let Recognised::Table { table, packing } = recognise(&request.file, &mut file, request.format)?
    else {
        return Ok(json!({"table": false}));
    };
    let found = survey(&mut file, table, packing, &declared)?;
    let mut out = io::BufWriter::new(File::create(&request.out).map_err(TabularError::Write)?);
    let written = write_parquet(&mut file, &found, &mut out)?;
    out.flush().map_err(TabularError::Write)?;
    let types: Vec<_> = found
        .columns
        .0
        .iter()
        .map(|(name, column)| json!([name, column]))
        .collect();
    Ok(json!({
        "rows": written.rows,
        "columns": types,
        "pinned": found.pinned(),
        "csv": found.csv,
        "notes": found.notes,
    }))
}
