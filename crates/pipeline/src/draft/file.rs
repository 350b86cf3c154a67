//! The pipeline file of a draft, written so that a person can read it.

use std::fmt::Write as _;

use custody_types::ProjectName;

use super::contract;
use super::field::Field;
use super::plan::Plan;
use super::task::Task;
use super::words::{sql, text, yaml};

/// What the file is written from.
pub(super) struct Content<'a> {
    pub(super) project: &'a ProjectName,
    /// The data as the file names it.
    pub(super) source: &'a str,
    /// How text with delimiters is read, on one line.
    pub(super) csv: Option<String>,
    /// The format, where it was declared.
    pub(super) format: Option<&'static str>,
    /// The columns with their types, where the file does not say them itself.
    pub(super) columns: Vec<(String, String)>,
    pub(super) fields: &'a [Field],
    pub(super) key: Option<&'a str>,
    pub(super) plan: Option<&'a Plan<'a>>,
}

impl Content<'_> {
    fn is_personal(&self) -> bool {
        self.fields.iter().any(Field::is_personal)
    }

    /// Writes the file.
    pub(super) fn write(&self) -> String {
        let rows = self.fields.first().map_or(0, |field| field.rows);
        let mut out = format!(
            "# A first project, written by `custody new` from {}: {rows} rows, {} columns. It is yours: change what you like.\n\
             # `custody status` says what a change would run again, and why.\n\
             project: {}\n",
            text(self.source),
            self.fields.len(),
            yaml(self.project.as_str()),
        );
        if self.is_personal() {
            out.push_str("# For what the steps read personal data; `custody policy show` lists what may be stated.\npurpose: model-development\n");
        }
        if self.plan.is_some() {
            out.push_str(
                "\n# What the steps' programs run with. Packages: add them to requirements.in, then\n\
                 # `uv pip compile --generate-hashes requirements.in --output-file requirements.lock`.\n\
                 environment:\n  python: \"3.11\"\n  lock: requirements.lock\n",
            );
        }
        out.push_str("\nsteps:\n");
        self.source(&mut out);
        self.contract(&mut out);
        if let Some(plan) = self.plan {
            prepare(plan, &mut out);
            split(plan, &mut out);
            train(plan, self.is_personal(), &mut out);
            evaluation(plan, self.project, self.fields, &mut out);
            release(plan, &mut out);
        }
        out
    }

    fn source(&self, out: &mut String) {
        let _infallible = writeln!(
            out,
            "  collect:\n    source:\n      file: {}\n      output: raw",
            yaml(self.source)
        );
        if let Some(format) = self.format {
            let _infallible = writeln!(out, "      format: {format}");
        }
        if let Some(csv) = &self.csv {
            let _infallible = writeln!(out, "      csv: {csv}");
        }
        if !self.columns.is_empty() {
            out.push_str("      # The types that hold every row; a later row that does not fit is an error with its line.\n      columns:\n");
            for (name, word) in &self.columns {
                let _infallible = writeln!(out, "        {}: {}", yaml(name), yaml(word));
            }
        }
        out.push_str(
            "      # Where the data come from: they are part of the proof, so fill them in.\n",
        );
        out.push_str("      origin:\n        publisher: to be filled in\n        url: to be filled in\n        licence: to be filled in\n        legal_basis: to be filled in\n");
        if self.is_personal() {
            let named = self
                .fields
                .iter()
                .filter(|field| field.names_a_person() || field.is_attribute() || field.is_age());
            let named: Vec<_> = named.map(|field| text(&field.name)).collect();
            let _infallible = writeln!(
                out,
                "        # {} look as if they were about persons. Health, religion and the like: `special`.\n        classification: personal",
                named.join(", ")
            );
            out.push_str("      purposes: [model-development]\n");
        } else {
            out.push_str("        # public, internal, confidential, personal or special\n        classification: internal\n");
        }
    }

    fn contract(&self, out: &mut String) {
        out.push_str(
            "\n  # What the next delivery must be like as well. Bounds have a tenth of the span as room; lists are the values\n\
             \x20 # of this file. Tighten what you know better. What breaks it goes into quarantine, and nothing uses it.\n\
             \x20 contract:\n    check:\n      input: raw\n",
        );
        if let Some(key) = self.key {
            let _infallible = writeln!(out, "      key: {}", yaml(key));
        }
        out.push_str("      checks:\n");
        let label = self.plan.map(|plan| plan.label.name.as_str());
        for line in contract::checks(self.fields, self.key, label) {
            let _infallible = writeln!(out, "        {line}");
        }
    }
}

fn prepare(plan: &Plan<'_>, out: &mut String) {
    out.push_str("\n  # What the model may see: numbers as DOUBLE, categories as texts with a word for what is missing.\n");
    for (field, why) in &plan.left_out {
        let _infallible = writeln!(out, "  # Left out: {}, {why}.", text(&field.name));
    }
    if plan.label.nulls + plan.label.nans > 0 {
        let _infallible = writeln!(
            out,
            "  # Left out too: {} rows without a label. They teach nothing, and nothing can be measured on them.",
            plan.label.nulls + plan.label.nans
        );
    }
    let _infallible = writeln!(
        out,
        "  prepare:\n    sql:\n      inputs: {{raw: raw}}\n      outputs:\n        prepared: {}",
        sql(&plan.prepared(), 8)
    );
}

fn split(plan: &Plan<'_>, out: &mut String) {
    let (train, holdout) = plan.halves();
    let _infallible = writeln!(
        out,
        "\n  # Seven tenths to train on, three to measure on: {}.\n  split:\n    sql:\n      inputs: {{prepared: prepared}}\n      outputs:\n        train: {}\n        holdout: {}",
        plan.split_by(),
        sql(&train, 8),
        sql(&holdout, 8)
    );
}

fn train(plan: &Plan<'_>, personal: bool, out: &mut String) {
    let depth = if plan.task == Task::Regression { 2 } else { 3 };
    out.push_str("\n  train:\n    run:\n      command: [python, /code/train.py]\n      code: [train.py]\n      inputs: {train: train}\n      outputs:\n");
    if personal {
        out.push_str(
            "        # What is made of personal data is personal too. Where the model tells nothing of persons, whoever may decide it\n        # adds `classification: internal`.\n",
        );
    }
    let _infallible = writeln!(
        out,
        "        model: {{artifact: candidate, kind: model}}\n      parameters: {{trees: 100, depth: {depth}, learning_rate: 0.1, subsample: 0.6, seed: 7}}\n      limits: {{time_s: 3600, memory_mib: 6144}}"
    );
}

fn evaluation(plan: &Plan<'_>, project: &ProjectName, fields: &[Field], out: &mut String) {
    let _infallible = writeln!(
        out,
        "\n  # Every figure with its formula: docs/reference/evaluation.md. `custody metrics {}/evaluation` prints them.\n  evaluation:\n    evaluate:\n      kind: {}\n      model: candidate\n      data: holdout",
        project, plan.task
    );
    if let Some(key) = plan.key {
        let _infallible = writeln!(out, "      key: {}", yaml(&key.name));
    }
    let _infallible = writeln!(out, "      label: {}", yaml(&plan.label.name));
    if let Some(positive) = plan.positive() {
        let _infallible = writeln!(
            out,
            "      # The class that recall, precision and the like are about.\n      positive: {positive}"
        );
    }
    let is_used = |field: &&Field| {
        plan.features
            .iter()
            .any(|(used, _)| used.name == field.name)
    };
    let groups = fields
        .iter()
        .filter(|field| field.is_attribute())
        .filter(is_used);
    let groups: Vec<_> = groups
        .filter(|field| field.distinct <= 10)
        .map(|field| yaml(&field.name))
        .collect();
    let example = if groups.is_empty() {
        "COLUMN".to_owned()
    } else {
        groups.join(", ")
    };
    let _infallible = writeln!(
        out,
        "      # Does it treat groups of people alike? Each group is measured, and each two are compared:\n      # groups: [{example}]"
    );
}

fn release(plan: &Plan<'_>, out: &mut String) {
    let bound = match plan.task {
        Task::Multiclass => {
            #[expect(clippy::cast_precision_loss, reason = "classes are few")]
            let chance = 1.0 / plan.label.distinct as f64;
            format!(
                "balanced_accuracy: {{min: {:.2}}}",
                chance + (1.0 - chance) / 10.0
            )
        }
        Task::Regression => "r2: {min: 0.05}".to_owned(),
        Task::Binary | Task::None => "roc_auc: {min: 0.55}".to_owned(),
    };
    let more = match plan.task {
        Task::Multiclass => "macro.f1: {min: 0.8}",
        Task::Regression => "mae: {max: 10}",
        Task::Binary | Task::None => "expected_calibration_error: {max: 0.05}",
    };
    let _infallible = writeln!(
        out,
        "\n  # No more than that it beats guessing. Look at the first evaluation, then ask for what you need, as well:\n  # `{more}`; with groups, `fairness.COLUMN.…`.\n  release:\n    gate:\n      model: candidate\n      evaluation: evaluation\n      require:\n        {bound}\n\n  register:\n    register:\n      model: candidate\n      gate: release\n      output: model"
    );
}
