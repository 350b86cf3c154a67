//! Which step needs which.

use std::collections::{BTreeMap, BTreeSet};

use custody_types::nearest;

use crate::file::{Input, PipelineFile, Place, Step, VALIDATION_PREDICTIONS, Wrong};

/// The steps in the order in which they run, and for each the steps before it that it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Graph {
    pub(crate) order: Vec<String>,
    pub(crate) needs: BTreeMap<String, BTreeSet<String>>,
}

/// Builds the graph: every input is made by a step, once, and no step needs itself.
pub(crate) fn build(file: &PipelineFile) -> Result<Graph, Wrong> {
    let mut makers: BTreeMap<String, String> = BTreeMap::new();
    for (name, step) in &file.steps {
        for output in step.outputs(name) {
            if let Some(other) = makers.insert(output.artifact.clone(), name.clone()) {
                return Err(Wrong::new(
                    step.output_place(name, &output.name),
                    format!(
                        "`{}` is made by two steps, `{other}` and `{name}`",
                        output.artifact
                    ),
                ));
            }
        }
    }
    let mut needs: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, step) in &file.steps {
        let mut before = BTreeSet::new();
        for (role, text) in step.inputs() {
            let place = step.input_place(name, &role);
            let input = file
                .input(&text)
                .map_err(|error| Wrong::new(place.clone(), error.to_string()))?;
            let Input::Made(artifact) = input else {
                continue;
            };
            let Some(maker) = makers.get(&artifact) else {
                return Err(nobody_makes(name, &artifact, place, &makers));
            };
            before.insert(maker.clone());
        }
        judged(file, name, step, &makers)?;
        before.extend(guards(file, name));
        needs.insert(name.clone(), before);
    }
    let order = sort(&needs)?;
    Ok(Graph { order, needs })
}

fn nobody_makes(
    name: &str,
    artifact: &str,
    place: Place,
    makers: &BTreeMap<String, String>,
) -> Wrong {
    let way = nearest(artifact, makers.keys().map(String::as_str)).map_or_else(
        || format!("; a version that is there already is named with `@`: `{artifact}@latest`, `{artifact}@1`"),
        |meant| format!("; did you mean `{meant}`?"),
    );
    let because = format!("no step makes `{artifact}`, which `{name}` needs{way}");
    Wrong::new(place, because)
}

/// Checks that a gate looks at a measurement of its own model, and that a model is registered by a gate that
/// looked at it: figures that a program wrote decide nothing.
fn judged(
    file: &PipelineFile,
    name: &str,
    step: &Step,
    makers: &BTreeMap<String, String>,
) -> Result<(), Wrong> {
    let maker = |artifact: &str| makers.get(artifact).and_then(|maker| file.steps.get(maker));
    match step {
        Step::Gate(gate) => match maker(&gate.evaluation) {
            Some(Step::Evaluate(evaluate)) if evaluate.model == gate.model => {
                gate.check_figures(evaluate, &Place::step(name).key("gate"))
            }
            _ => Err(Wrong::new(
                step.input_place(name, "evaluation"),
                format!(
                    "the gate `{name}` needs an `evaluate` step of its model `{}`; `{}` is none",
                    gate.model, gate.evaluation
                ),
            )),
        },
        Step::Evaluate(evaluate) => {
            let told = |role: &str, said: Option<&String>, data: &str| match said {
                Some(said) => said_of(
                    step.input_place(name, role),
                    maker(said),
                    said,
                    &evaluate.model,
                    data,
                ),
                None => Ok(()),
            };
            told("predictions", evaluate.predictions.as_ref(), &evaluate.data)?;
            evaluate.chosen().map_or(Ok(()), |chosen| {
                told(
                    VALIDATION_PREDICTIONS,
                    chosen.predictions.as_ref(),
                    &chosen.on,
                )
            })
        }
        Step::Register(register) => match maker(&register.gate) {
            Some(Step::Gate(gate)) if gate.model == register.model => Ok(()),
            _ => Err(Wrong::new(
                step.input_place(name, "gate"),
                format!(
                    "`{name}` needs a `gate` step of its model `{}`; `{}` is none",
                    register.model, register.gate
                ),
            )),
        },
        _ => Ok(()),
    }
}

/// Checks that predictions are what a program said that was given the model and the data, and no others' work.
fn said_of(
    place: Place,
    maker: Option<&Step>,
    said: &str,
    model: &str,
    data: &str,
) -> Result<(), Wrong> {
    let given =
        |run: &crate::file::Run, artifact: &str| run.inputs.values().any(|input| input == artifact);
    match maker {
        Some(Step::Run(run)) if given(run, model) && given(run, data) => Ok(()),
        _ => Err(Wrong::new(
            place,
            format!(
                "`{said}` proves nothing about `{model}`: predictions are made by a `run` step that has both the model `{model}` and the data `{data}` among its inputs"
            ),
        )),
    }
}

/// Lists the contracts of the datasets that a step uses: it waits for them.
pub(crate) fn guards(file: &PipelineFile, name: &str) -> Vec<String> {
    let Some(step) = file.steps.get(name).filter(|step| !step.is_check()) else {
        return Vec::new();
    };
    let inputs = |step: &Step| -> Vec<Input> {
        let texts = step.inputs().into_iter();
        texts
            .filter_map(|(_, text)| file.input(&text).ok())
            .collect()
    };
    let used = inputs(step);
    let checks = file.steps.iter().filter(|(_, step)| step.is_check());
    checks
        .filter(|(_, step)| inputs(step).iter().any(|input| used.contains(input)))
        .map(|(check, _)| check.clone())
        .collect()
}

fn sort(needs: &BTreeMap<String, BTreeSet<String>>) -> Result<Vec<String>, Wrong> {
    let mut order: Vec<String> = Vec::new();
    while order.len() < needs.len() {
        let next = needs.iter().find(|(name, before)| {
            !order.contains(name) && before.iter().all(|one| order.contains(one))
        });
        match next {
            Some((name, _)) => order.push(name.clone()),
            None => {
                let stuck: Vec<_> = needs
                    .keys()
                    .filter(|name| !order.contains(name))
                    .cloned()
                    .collect();
                let first = stuck.first().cloned().unwrap_or_default();
                return Err(Wrong::new(
                    Place::step(&first),
                    format!(
                        "the steps `{}` need one another in a circle",
                        stuck.join("`, `")
                    ),
                ));
            }
        }
    }
    Ok(order)
}

impl Graph {
    /// Returns the targets with everything that they need; without targets everything that is not manual.
    pub(crate) fn reach(
        &self,
        file: &PipelineFile,
        targets: &[String],
    ) -> Result<Vec<String>, String> {
        let mut wanted: BTreeSet<String> = BTreeSet::new();
        let mut open: Vec<String> = if targets.is_empty() {
            file.steps
                .iter()
                .filter(|(_, step)| !step.is_manual())
                .map(|(name, _)| name.clone())
                .collect()
        } else {
            targets.to_vec()
        };
        while let Some(name) = open.pop() {
            let needs = self.needs.get(&name).ok_or(name.clone())?;
            if wanted.insert(name) {
                open.extend(needs.iter().cloned());
            }
        }
        Ok(self
            .order
            .iter()
            .filter(|name| wanted.contains(*name))
            .cloned()
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "
project: p
steps:
  load:
    source: {file: a.parquet, output: raw, origin: {publisher: x, url: y, licence: z, legal_basis: w, classification: personal}}
  contract:
    check: {input: raw, checks: [{not_null: [id]}]}
  split:
    sql: {inputs: {raw: raw}, outputs: {train: SELECT * FROM raw}}
  measure:
    evaluate: {model: train, data: train, label: id}
  strict:
    gate: {model: train, evaluation: measure, require: {roc_auc: {min: 0.8}}, manual: true}
";

    fn problem(from: &str, to: &str) -> String {
        PipelineFile::parse(&FILE.replace(from, to))
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn what_uses_a_dataset_waits_for_its_contract() {
        let file = PipelineFile::parse(FILE).unwrap();
        let graph = build(&file).unwrap();
        assert_eq!(
            graph.reach(&file, &[]).unwrap(),
            ["load", "contract", "split", "measure"]
        );
        assert_eq!(
            graph.reach(&file, &["strict".to_owned()]).unwrap(),
            ["load", "contract", "split", "measure", "strict"]
        );
        assert!(graph.reach(&file, &["none".to_owned()]).is_err());
    }

    #[test]
    fn a_broken_file_is_told_with_its_place() {
        let text = problem("{raw: raw}", "{raw: rew}");
        assert!(
            text.contains("no step makes `rew`, which `split` needs; did you mean `raw`?")
                && text.contains("    9 |")
                && text.contains("^^^"),
            "{text}"
        );
        let text = problem("{raw: raw}", "{raw: fresh}");
        assert!(text.contains("`fresh@latest`"), "{text}");
        let text = problem("outputs: {train:", "outputs: {raw:");
        assert!(text.contains("made by two steps"), "{text}");
        let text = problem(
            "inputs: {raw: raw}, outputs: {train: SELECT * FROM raw}",
            "inputs: {raw: train}, outputs: {train: SELECT * FROM raw}",
        );
        assert!(text.contains("in a circle"), "{text}");
        let text = problem("input: raw,", "imput: raw,");
        assert!(text.contains("imput") && text.contains('7'), "{text}");
        assert!(problem("contract:", "Con tract:").contains("is no name for a step"));
        assert!(
            problem("evaluation: measure", "evaluation: contract").contains("`contract` is none")
        );
        assert!(
            problem("require: {roc_auc: {min: 0.8}}", "require: {}").contains("requires nothing")
        );
        let text = problem("roc_auc:", "roc_acu:");
        assert!(
            text.contains("did you mean `roc_auc`?")
                && text.contains("   13 |")
                && text.contains('^'),
            "{text}"
        );
        assert!(problem("label: id", "label: id, threshold: 2").contains("divides nothing"));
        assert!(problem("label: id", "label: id, predictions: raw").contains("by `key`"));
        let text = problem("label: id", "label: id, predictions: raw, key: id");
        assert!(
            text.contains("`raw` proves nothing about `train`"),
            "{text}"
        );
        assert!(problem("gate: {model: train", "gate: {model: raw").contains("`measure` is none"));
        assert!(problem("{raw: raw}", "{../raw: raw}").contains("is no name for an input"));
        assert!(problem("output: raw", "output: Raw").contains("Raw"));
        assert!(problem("project: p", "project: custody").contains("Custody's own"));
    }
}
