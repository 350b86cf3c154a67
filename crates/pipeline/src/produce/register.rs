//! Registers a model that passed its gate.

use custody_types::{Problem, code};
use serde_json::Value;

use super::{StepInputs, StepOutputs, read_json, unreadable};
use crate::memory::MadeFile;

pub(super) fn register(given: &StepInputs) -> Result<StepOutputs, Problem> {
    let gate: Value = read_json(given.input("gate")?.as_ref(), "decision.json")?;
    if gate.get("passed") != Some(&Value::Bool(true)) {
        return Err(Problem::new(
            code::RUN_012,
            "the model did not pass its gate",
        ));
    }
    let model = given.input("model")?;
    let mut product = StepOutputs::default();
    for file in model.files() {
        let bytes = model
            .read(&file.path, 0..file.size.bytes())
            .map_err(|error| unreadable(&error))?;
        let made = MadeFile {
            path: file.path.clone(),
            executable: file.executable,
            bytes: bytes.to_vec(),
        };
        product
            .outputs
            .entry("model".to_owned())
            .or_default()
            .push(made);
    }
    product
        .notes
        .push("signed in the OpenSSF model-signing format".to_owned());
    Ok(product)
}
