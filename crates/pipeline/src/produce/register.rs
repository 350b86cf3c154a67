//! Registers a model that passed its gate.

use custody_types::{Problem, code};
use serde_json::Value;

use super::{StepInputs, StepReport, fault, read_json, unreadable};
use crate::outputs::Outputs;

/// How much of a file is in memory at once.
const PIECE: u64 = 1 << 20;

pub(super) fn register(
    given: &StepInputs,
    outputs: &mut dyn Outputs,
) -> Result<StepReport, Problem> {
    let gate: Value = read_json(given.input("gate")?.as_ref(), "decision.json")?;
    if gate.get("passed") != Some(&Value::Bool(true)) {
        return Err(Problem::new(
            code::RUN_012,
            "the model did not pass its gate",
        ));
    }
    let model = given.input("model")?;
    for file in model.files() {
        outputs.file("model", file.path.clone(), file.executable, &mut |out| {
            let (mut at, size) = (0, file.size.bytes());
            while at < size {
                let end = size.min(at + PIECE);
                let bytes = model
                    .read(&file.path, at..end)
                    .map_err(|error| unreadable(&error))?;
                out.write_all(&bytes)
                    .map_err(|error| fault(&error.to_string()))?;
                at = end;
            }
            Ok(())
        })?;
    }
    Ok(StepReport {
        notes: vec!["signed in the OpenSSF model-signing format".to_owned()],
        ..StepReport::default()
    })
}
