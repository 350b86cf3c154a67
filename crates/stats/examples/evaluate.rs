//! Evaluates what comes as JSON on standard input and writes the evaluation as JSON, so that other
//! implementations of the same measures can be held against it.
//!
//! Input: `{"labels": [true], "scores": [0.5], "threshold": 0.5, "attributes":
//! [{"name": "SEX", "values": ["1"]}], "guard": {"min_rows": 30, "min_positives": 10}}`.

use std::error::Error;
use std::io;

use custody_stats::{Attribute, Guard, Scored, evaluate};
use serde::Deserialize;

#[derive(Deserialize)]
struct Request {
    labels: Vec<bool>,
    scores: Vec<f64>,
    threshold: f64,
    #[serde(default)]
    attributes: Vec<Column>,
    #[serde(default)]
    guard: Guard,
}

#[derive(Deserialize)]
struct Column {
    name: String,
    values: Vec<String>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let request: Request = serde_json::from_reader(io::stdin().lock())?;
    let attributes: Vec<Attribute<'_>> = request
        .attributes
        .iter()
        .map(|column| Attribute {
            name: &column.name,
            values: &column.values,
        })
        .collect();
    let scored = Scored {
        labels: &request.labels,
        scores: &request.scores,
        threshold: request.threshold,
    };
    let evaluation = evaluate(&scored, &attributes, request.guard)?;
    serde_json::to_writer(io::stdout().lock(), &evaluation)?;
    Ok(())
}
