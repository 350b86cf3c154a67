//! Evaluates what comes as JSON on standard input and writes the evaluation as JSON, so that other
//! implementations of the same measures can be held against it.
//!
//! Input: `{"labels": [true], "scores": [0.5], "threshold": 0.5, "attributes":
//! [{"name": "SEX", "values": ["1"]}], "guard": {"min_rows": 30, "min_positives": 10}}`; with `"classes": ["a", "b"]`
//! the labels are places in it and the scores are rows; with `"predicted": [1.5]` there is `"truth"` beside it;
//! with `"rule"` the threshold is chosen by it, and is the whole answer.

use std::error::Error;
use std::io;

use custody_stats::{
    Attribute, Bootstrap, Classified, Guard, Predicted, Said, Scored, Settings, ThresholdRule,
    choose, evaluate,
};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(default)]
struct Request {
    labels: Vec<f64>,
    scores: Vec<f64>,
    threshold: f64,
    probabilities: bool,
    single: bool,
    classes: Option<Vec<String>>,
    truth: Vec<f64>,
    predicted: Option<Vec<f64>>,
    attributes: Vec<Column>,
    guard: Guard,
    bootstrap: Option<Bootstrap>,
    rule: Option<ThresholdRule>,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            labels: Vec::new(),
            scores: Vec::new(),
            threshold: 0.5,
            probabilities: true,
            single: false,
            classes: None,
            truth: Vec::new(),
            predicted: None,
            attributes: Vec::new(),
            guard: Guard::default(),
            bootstrap: None,
            rule: None,
        }
    }
}

#[derive(Deserialize)]
struct Column {
    name: String,
    values: Vec<Option<String>>,
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "labels are small whole numbers"
)]
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
    let truths: Vec<bool> = request.labels.iter().map(|label| *label > 0.0).collect();
    if let Some(rule) = request.rule {
        let threshold = choose(rule, &truths, &request.scores)?;
        serde_json::to_writer(io::stdout().lock(), &threshold)?;
        return Ok(());
    }
    let places: Vec<usize> = request.labels.iter().map(|label| *label as usize).collect();
    let said = match (&request.classes, &request.predicted) {
        (Some(classes), _) => Said::MultiClass(Classified {
            classes,
            labels: &places,
            scores: &request.scores,
            probabilities: request.probabilities,
        }),
        (None, Some(predicted)) => Said::Regression(Predicted {
            truth: &request.truth,
            predicted,
        }),
        (None, None) => Said::Binary(Scored {
            labels: &truths,
            scores: &request.scores,
            threshold: request.threshold,
            probabilities: request.probabilities,
            single: request.single,
        }),
    };
    let settings = Settings {
        guard: request.guard,
        bootstrap: request.bootstrap,
        threads: std::thread::available_parallelism()?,
    };
    let evaluation = evaluate(&said, &attributes, settings)?;
    serde_json::to_writer(io::stdout().lock(), &evaluation)?;
    Ok(())
}
