//! The rows to measure: their truth, their groups, and what the model said.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use custody_engine::{EngineError, Table, Values, file_values};
use custody_stats::ModelKind;
use custody_types::{Problem, VersionFiles, code, nearest};
use serde::Deserialize;
use serde_json::json;

use super::Measuring;
use crate::file::Scalar;
use crate::memory::{InMemory, Made, MadeFile};
use crate::produce::{StepInputs, StepReport, engine, fault, read_json};

/// The output of the program that applies the model.
const SCORES: &str = "scores";
/// What names the columns that make a model's inputs.
const FEATURES: &str = "features.json";
/// What predictions call the column of a class.
const CLASS_PREFIX: &str = "score_";

/// The rows to measure, all in one order.
pub(super) struct Rows {
    pub(super) label: Values,
    pub(super) groups: Vec<Values>,
    /// `rows × width`, row by row.
    pub(super) scores: Vec<f64>,
    pub(super) width: usize,
    /// The class of each column, where it is known.
    pub(super) classes: Option<Vec<Scalar>>,
    /// Whether the scores were made in single precision.
    pub(super) single: bool,
}

/// What the program says about the model.
#[derive(Deserialize)]
struct Signature {
    classes: Option<Vec<Scalar>>,
    single: bool,
    columns: usize,
}

/// Why the program could not apply the model.
#[derive(Deserialize)]
struct Refusal {
    because: String,
    hint: String,
    detail: Option<String>,
}

#[derive(Default, Deserialize)]
struct Features {
    #[serde(default)]
    features: Vec<String>,
    #[serde(default)]
    inputs: BTreeMap<String, Vec<String>>,
}

impl Measuring<'_> {
    /// Reads the rows of the input `role`, and applies the model or takes what was `predicted`.
    pub(super) fn rows(
        &self,
        role: &str,
        predicted: &str,
        report: &mut StepReport,
        said: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Rows, Problem> {
        if self.step.predictions.is_some() {
            self.joined(role, predicted)
        } else {
            self.applied(role, report, said)
        }
    }

    pub(super) fn failed(&self, error: &EngineError) -> Problem {
        engine(self.name, error)
    }

    pub(super) fn table(&self, role: &str) -> Result<Table, Problem> {
        Ok(Table {
            name: "data".to_owned(),
            files: self.given.input(role)?.clone(),
        })
    }

    pub(super) fn names(&self, table: &Table) -> Result<Vec<String>, Problem> {
        let columns = self.workshop.engine.layout(table);
        let columns = columns.map_err(|error| self.failed(&error))?;
        Ok(columns
            .columns()
            .into_iter()
            .map(|column| column.name)
            .collect())
    }

    /// Builds the problem of a column that is not there.
    fn missing(&self, what: &str, column: &str, of: &str, known: &[String]) -> Problem {
        let hint = match nearest(column, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("it has {}", known.join(", ")),
        };
        Problem::new(
            code::RUN_023,
            format!(
                "the step `{}` cannot measure: `{of}` has no column `{column}`",
                self.name
            ),
        )
        .because(format!("it is named as {what}"))
        .hint(hint)
    }

    /// Applies the model in the sandbox.
    fn applied(
        &self,
        role: &str,
        report: &mut StepReport,
        said: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Rows, Problem> {
        let table = self.table(role)?;
        let known = self.names(&table)?;
        let has = |what: &str, column: &str| {
            if known.iter().any(|one| one == column) {
                Ok(())
            } else {
                Err(self.missing(what, column, role, &known))
            }
        };
        has("the label", &self.step.label)?;
        for group in &self.step.groups {
            has("an attribute", group)?;
        }
        let model = self.given.input("model")?;
        let described = model
            .files()
            .iter()
            .any(|file| file.path.as_str() == FEATURES);
        let features: Features = if described {
            read_json(model.as_ref(), FEATURES)?
        } else {
            Features::default()
        };
        let mut wanted: Vec<&String> = features
            .features
            .iter()
            .chain(features.inputs.values().flatten())
            .collect();
        for feature in &wanted {
            has("a feature of the model", feature)?;
        }
        if wanted.is_empty() {
            wanted.extend(&known);
        }
        wanted.push(&self.step.label);
        wanted.extend(&self.step.groups);
        let mut columns: Vec<&str> = Vec::new();
        for column in wanted {
            if !columns.contains(&column.as_str()) {
                columns.push(column);
            }
        }
        let file = self.one_file(&table, &columns)?;
        let bytes = bytes::Bytes::from(file.bytes.clone());
        let own: Vec<&str> = std::iter::once(self.step.label.as_str())
            .chain(self.step.groups.iter().map(String::as_str))
            .collect();
        let mut values = file_values(bytes, &own)
            .map_err(|error| self.failed(&error))?
            .into_iter();
        let label = values
            .next()
            .ok_or_else(|| fault("the label was not read"))?;
        let (matrix, signature) = self.scores(file, report, said)?;
        let width = matrix.len();
        let scores = by_row(&matrix, label.len());
        Ok(Rows {
            label,
            groups: values.collect(),
            scores,
            width,
            classes: self.classes(signature.classes, width)?,
            single: signature.single,
        })
    }

    /// Writes columns of a table as one file, whose order of rows everything else follows.
    fn one_file(&self, table: &Table, columns: &[&str]) -> Result<MadeFile, Problem> {
        let list: Vec<_> = columns
            .iter()
            .map(|column| format!("\"{}\"", column.replace('"', "\"\"")))
            .collect();
        let sql = format!("SELECT {} FROM \"{}\"", list.join(", "), table.name);
        let mut bytes = Vec::new();
        self.workshop
            .engine
            .query_to_parquet(std::slice::from_ref(table), &sql, &mut bytes)
            .map_err(|error| self.failed(&error))?;
        let path = "data.parquet"
            .parse()
            .map_err(|error: custody_types::NameError| fault(&error.to_string()))?;
        Ok(MadeFile {
            path,
            executable: false,
            bytes,
        })
    }

    fn scores(
        &self,
        data: MadeFile,
        report: &mut StepReport,
        said: &mut (dyn FnMut(&str) + Send),
    ) -> Result<(Vec<Values>, Signature), Problem> {
        let argv = ["python", "-m", "custody._score"].map(ToOwned::to_owned);
        let inputs: [(String, Arc<dyn VersionFiles>); 2] = [
            ("model".to_owned(), self.given.input("model")?.clone()),
            ("data".to_owned(), Arc::new(InMemory::new(vec![data]))),
        ];
        let inside = StepInputs {
            inputs: inputs.into(),
            code: None,
            environment: self.given.environment.clone(),
            show_log: self.given.show_log,
            egress: None,
            interrupt: self.given.interrupt.clone(),
            fewest_rows: self.given.fewest_rows,
            file: None,
            project: self.given.project.clone(),
        };
        let mut made = Made::default();
        let confined = self.workshop.confined(
            self.name,
            argv.to_vec(),
            &json!({"kind": self.step.kind, "output": self.step.output}).to_string(),
            &[SCORES.to_owned()],
            custody_sandbox::Limits::default(),
            &inside,
            &mut made,
            said,
        )?;
        report.enforced = confined.enforced;
        let files = InMemory::new(made.0);
        if files
            .files()
            .iter()
            .any(|file| file.path.as_str() == "problem.json")
        {
            let refusal: Refusal = read_json(&files, "problem.json")?;
            let mut problem = Problem::new(
                code::RUN_017,
                format!(
                    "the step `{}` cannot apply the model `{}`",
                    self.name, self.step.model
                ),
            )
            .because(refusal.because);
            // What the runtime says may repeat values: it is what the program prints.
            if let Some(detail) = refusal.detail.filter(|_| self.given.show_log) {
                problem = problem.because(detail);
            }
            return Err(problem.hint(refusal.hint));
        }
        let signature: Signature = read_json(&files, "signature.json")?;
        let names: Vec<_> = (0..signature.columns)
            .map(|number| format!("s{number}"))
            .collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let matrix = file_values(whole(&files, "scores.parquet")?, &names)
            .map_err(|error| self.failed(&error))?;
        Ok((matrix, signature))
    }

    /// Returns the class of each score: as the model says, or as the file says where the model does not.
    fn classes(
        &self,
        of_model: Option<Vec<Scalar>>,
        width: usize,
    ) -> Result<Option<Vec<Scalar>>, Problem> {
        let declared = &self.step.classes;
        if let (Some(declared), Some(known)) = (declared, &of_model)
            && declared != known
        {
            let list = |classes: &[Scalar]| {
                let names: Vec<_> = classes
                    .iter()
                    .map(|class| format!("`{}`", class.name()))
                    .collect();
                names.join(", ")
            };
            return Err(self.unmeasured(
                format!(
                    "the model says that its classes are {}, and `classes` says {}",
                    list(known),
                    list(declared)
                ),
                "leave `classes` out: the model says them",
            ));
        }
        let classes = of_model.or_else(|| declared.clone());
        // One column of two classes is the score of the second, which is the positive one.
        match classes {
            Some(classes) if width == 1 && self.step.kind == ModelKind::Binary => Ok(Some(classes)),
            Some(classes) if classes.len() != width => Err(self.unmeasured(
                format!(
                    "the model gives {width} scores a row, and there are {} classes",
                    classes.len()
                ),
                "name another `output`, or correct `classes`",
            )),
            other => Ok(other),
        }
    }

    /// Joins what was predicted to the rows by key.
    fn joined(&self, role: &str, predicted: &str) -> Result<Rows, Problem> {
        let key = self
            .step
            .key
            .as_deref()
            .ok_or_else(|| fault("there is no key"))?;
        let (data, said) = (self.table(role)?, self.table(predicted)?);
        let (data_columns, said_columns) = (self.names(&data)?, self.names(&said)?);
        for (table, columns) in [(role, &data_columns), (predicted, &said_columns)] {
            if !columns.iter().any(|column| column == key) {
                return Err(self.missing("the key", key, table, columns));
            }
        }
        let wanted: Vec<&str> = std::iter::once(self.step.label.as_str())
            .chain(self.step.groups.iter().map(String::as_str))
            .collect();
        let here = |column: &&str| data_columns.iter().any(|one| one == *column);
        let (of_data, of_said): (Vec<&str>, Vec<&str>) =
            wanted.iter().copied().partition(|column| here(column));
        if let Some(column) = of_said
            .iter()
            .find(|column| !said_columns.iter().any(|one| one == **column))
        {
            let what = if **column == self.step.label {
                "the label"
            } else {
                "an attribute"
            };
            return Err(self.missing(what, column, role, &data_columns));
        }
        let (score_columns, classes) = self.score_columns(predicted, &said_columns)?;
        let read = |table: &Table, columns: Vec<&str>| {
            let values = self.workshop.engine.values(table, &columns);
            values.map_err(|error| self.failed(&error))
        };
        let data = read(&data, [&[key], of_data.as_slice()].concat())?;
        let scores = score_columns.iter().map(String::as_str);
        let columns = [key]
            .into_iter()
            .chain(of_said.iter().copied())
            .chain(scores)
            .collect();
        let said = read(&said, columns)?;
        let places = self.join(role, predicted, &data, &said)?;
        let (mut label, mut groups) = (None, Vec::new());
        for (number, column) in wanted.iter().enumerate() {
            let find = |names: &[&str]| {
                names
                    .iter()
                    .position(|one| one == column)
                    .map(|place| place + 1)
            };
            let values = match find(&of_data).and_then(|place| data.get(place)) {
                Some(values) => values.clone(),
                None => find(&of_said)
                    .and_then(|place| said.get(place))
                    .map(|values| values.pick(&places))
                    .ok_or_else(|| fault("a column was not read"))?,
            };
            if number == 0 {
                label = Some(values);
            } else {
                groups.push(values);
            }
        }
        let matrix: Vec<_> = said
            .iter()
            .skip(1 + of_said.len())
            .map(|values| values.pick(&places))
            .collect();
        self.check_numbers(&matrix, &score_columns)?;
        let single = !matrix.is_empty()
            && matrix
                .iter()
                .all(|values| matches!(values, Values::Doubles { single: true, .. }));
        Ok(Rows {
            label: label.ok_or_else(|| fault("the label was not read"))?,
            groups,
            scores: by_row(&matrix, places.len()),
            width: matrix.len(),
            classes,
            single,
        })
    }

    /// Returns which columns of the predictions are scores, and of which class each is.
    fn score_columns(
        &self,
        table: &str,
        known: &[String],
    ) -> Result<(Vec<String>, Option<Vec<Scalar>>), Problem> {
        let (columns, classes) = match self.step.kind {
            ModelKind::Binary => (
                vec![
                    self.step
                        .score
                        .clone()
                        .unwrap_or_else(|| "score".to_owned()),
                ],
                None,
            ),
            ModelKind::Regression => (
                vec![
                    self.step
                        .score
                        .clone()
                        .unwrap_or_else(|| "prediction".to_owned()),
                ],
                None,
            ),
            ModelKind::MultiClass => {
                let classes = match &self.step.classes {
                    Some(classes) => classes.clone(),
                    None if !self.step.class_scores.is_empty() => self
                        .step
                        .class_scores
                        .keys()
                        .cloned()
                        .map(Scalar::Text)
                        .collect(),
                    None => known
                        .iter()
                        .filter_map(|column| column.strip_prefix(CLASS_PREFIX))
                        .map(|class| Scalar::Text(class.to_owned()))
                        .collect(),
                };
                if classes.len() < 2 {
                    return Err(self.unmeasured(
                        format!(
                            "`{table}` has no columns `{CLASS_PREFIX}CLASS`, one for each class"
                        ),
                        "write one, or name them with `class_scores: {CLASS: COLUMN}`",
                    ));
                }
                let column = |class: &Scalar| {
                    let name = class.name();
                    let named = self.step.class_scores.get(&name).cloned();
                    named.unwrap_or_else(|| format!("{CLASS_PREFIX}{name}"))
                };
                (classes.iter().map(column).collect(), Some(classes))
            }
        };
        match columns.iter().find(|column| !known.contains(column)) {
            Some(column) => Err(self.missing("a score", column, table, known)),
            None => Ok((columns, classes)),
        }
    }

    /// Finds for each row of the data the row of the predictions with its key.
    fn join(
        &self,
        role: &str,
        predicted: &str,
        data: &[Values],
        said: &[Values],
    ) -> Result<Vec<usize>, Problem> {
        let key = self.step.key.as_deref().unwrap_or_default();
        let (Some(data), Some(said)) = (data.first(), said.first()) else {
            return Err(fault("the key was not read"));
        };
        let wrong = |because: String| {
            Err(Problem::new(
                code::RUN_018,
                format!(
                    "the predictions of the step `{}` do not fit its rows",
                    self.name
                ),
            )
            .because(because)
            .hint("write one row of predictions for each row of the data, with its key"))
        };
        let index = |table: &str, values: &Values| {
            let (mut found, mut twice, mut none) = (HashMap::new(), 0_u64, 0_u64);
            for row in 0..values.len() {
                if values.is_missing(row) {
                    none += 1;
                    continue;
                }
                let mut identity = String::new();
                values.identity(row, &mut identity);
                twice += u64::from(found.insert(identity, row).is_some());
            }
            if none > 0 {
                return Err(format!("{none} rows of `{table}` have no `{key}`"));
            }
            if twice > 0 {
                return Err(format!(
                    "{twice} rows of `{table}` have a `{key}` that another row has"
                ));
            }
            Ok(found)
        };
        let (said_rows, data_rows) = std::thread::scope(|scope| {
            let said_rows = scope.spawn(|| index(predicted, said));
            let data_rows = index(role, data);
            (said_rows.join(), data_rows)
        });
        let said_rows = said_rows.map_err(|_| fault("the predictions could not be joined"))?;
        let (said_rows, data_rows) = match (said_rows, data_rows) {
            (Ok(said_rows), Ok(data_rows)) => (said_rows, data_rows),
            (Err(because), _) | (_, Err(because)) => return wrong(because),
        };
        let mut places = vec![None; data.len()];
        for (identity, row) in &data_rows {
            if let Some(place) = places.get_mut(*row) {
                *place = said_rows.get(identity).copied();
            }
        }
        let without = places.iter().filter(|place| place.is_none()).count();
        if without > 0 {
            let types = if data.word() == said.word() {
                String::new()
            } else {
                format!(
                    " (`{key}` is {} there and {} in the predictions)",
                    data.word(),
                    said.word()
                )
            };
            return wrong(format!(
                "{without} of {} rows of `{role}` have no prediction{types}",
                data.len()
            ));
        }
        let beside = said.len() - data.len();
        if beside > 0 {
            return wrong(format!(
                "{beside} predictions have a `{key}` that no row of `{role}` has"
            ));
        }
        Ok(places.into_iter().flatten().collect())
    }

    fn check_numbers(&self, matrix: &[Values], columns: &[String]) -> Result<(), Problem> {
        for (values, column) in matrix.iter().zip(columns) {
            if !matches!(
                values,
                Values::Integers(_) | Values::Doubles { .. } | Values::Decimals { .. }
            ) {
                return Err(self.unmeasured(
                    format!(
                        "`{column}` of the predictions is {}, and scores are numbers",
                        values.word()
                    ),
                    "write numbers",
                ));
            }
        }
        Ok(())
    }
}

/// Puts columns of numbers into one matrix; what is missing is not a number, and refused by who measures.
fn by_row(columns: &[Values], rows: usize) -> Vec<f64> {
    (0..rows)
        .flat_map(|row| {
            columns.iter().map(move |values| match values {
                Values::Doubles { values, .. } => {
                    values.get(row).copied().flatten().unwrap_or(f64::NAN)
                }
                other => other.number(row).unwrap_or(f64::NAN),
            })
        })
        .collect()
}

fn whole(files: &InMemory, path: &str) -> Result<bytes::Bytes, Problem> {
    let file = files.files().iter().find(|file| file.path.as_str() == path);
    let file = file.ok_or_else(|| fault(&format!("the program left no `{path}`")))?;
    let read = files.read(&file.path, 0..file.size.bytes());
    read.map_err(|error| crate::produce::unreadable(&error))
}
