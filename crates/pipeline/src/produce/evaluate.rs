//! Measures a model.

use std::sync::Arc;

use custody_engine::{EngineError, Table};
use custody_stats::{Attribute, Evaluation, Guard, Scored, evaluate};
use custody_types::{ExitCode, Problem};
use serde_json::json;

use super::{Given, Product, Workshop, engine};
use crate::file::Evaluate;
use crate::memory::InMemory;

impl Workshop {
    pub(super) fn evaluate(
        &self,
        name: &str,
        step: &Evaluate,
        given: &Given,
        said: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Product, Problem> {
        let argv = ["python", "-m", "custody._score"]
            .map(ToOwned::to_owned)
            .to_vec();
        let output = "scores".to_owned();
        let mut scored = self.confined(
            name,
            argv,
            "{}",
            std::slice::from_ref(&output),
            custody_sandbox::Limits::default(),
            given,
            said,
        )?;
        let scores = Table {
            name: "scores".to_owned(),
            files: Arc::new(InMemory::new(
                scored.outputs.remove(&output).unwrap_or_default(),
            )),
        };
        let data = Table {
            name: "data".to_owned(),
            files: given.input("data")?.clone(),
        };
        let failed = |error: EngineError| engine(name, &error);
        let scores = self.engine.numbers(&scores, "score").map_err(failed)?;
        let labels = self.engine.numbers(&data, &step.label).map_err(failed)?;
        let missing = || {
            Problem::new(
                "CUS-RUN-010",
                ExitCode::No,
                format!(
                    "the step `{name}` cannot measure: the label `{}` is not 0 or 1 in every row",
                    step.label
                ),
            )
            .hint("name a column without nulls that is 0 or 1, or make one in SQL")
        };
        let scores: Vec<f64> = scores
            .into_iter()
            .collect::<Option<_>>()
            .ok_or_else(missing)?;
        let labels: Vec<bool> = labels
            .into_iter()
            .map(|label| match label {
                Some(0.0) => Some(false),
                Some(1.0) => Some(true),
                _ => None,
            })
            .collect::<Option<_>>()
            .ok_or_else(missing)?;
        let mut columns = Vec::new();
        for group in &step.groups {
            let values = self.engine.texts(&data, group).map_err(failed)?;
            columns.push((
                group,
                values
                    .into_iter()
                    .map(|value| value.unwrap_or_else(|| "null".to_owned()))
                    .collect::<Vec<_>>(),
            ));
        }
        let attributes: Vec<_> = columns
            .iter()
            .map(|(name, values)| Attribute { name, values })
            .collect();
        let measured = evaluate(
            &Scored {
                labels: &labels,
                scores: &scores,
                threshold: step.threshold,
            },
            &attributes,
            Guard::default(),
        )
        .map_err(|error| {
            Problem::new(
                "CUS-RUN-011",
                ExitCode::No,
                format!("the step `{name}` cannot measure"),
            )
            .because(error)
        })?;
        let mut product = Product {
            enforced: scored.enforced,
            notes: told(&measured),
            ..Product::default()
        };
        product
            .byproducts
            .push(json!({"name": "evaluation", "rows": measured.n}));
        product.add_json("report", "evaluation.json", &measured)?;
        Ok(product)
    }
}

fn told(evaluation: &Evaluation) -> Vec<String> {
    let shown = [
        "accuracy",
        "roc_auc",
        "log_loss",
        "brier_score",
        "expected_calibration_error",
    ];
    let names = shown.iter().map(|name| (*name).to_owned());
    let gaps = evaluation
        .metric_names()
        .into_iter()
        .filter(|name| name.ends_with("_difference"));
    let figure = |name: String| {
        evaluation
            .metric(&name)?
            .value
            .map(|value| format!("{name} {value:.4}"))
    };
    names.chain(gaps).filter_map(figure).collect()
}
