//! A first project drafted from somebody's table: what `custody new` writes.
//!
//! The draft is a proposal for a person to read and change: it may hold values of the table (lists of what is allowed,
//! bounds) and is written nowhere but where the person says. It runs as it is.

mod contract;
mod field;
mod file;
mod otherwise;
mod plan;
mod task;
mod words;

use bytes::Bytes;
use custody_engine::file_values;
use custody_tabular::{ColumnType, Csv, Declared, Format};
use custody_types::{Problem, ProjectName, code};

use crate::collect::{self, Collected};
use crate::ports::Folder;
use crate::produce::fault;
use field::{Field, Sort};
use file::Content;
use plan::Plan;
pub use task::Task;

/// The program that trains, before it is filled in.
const TRAIN: &str = include_str!("draft/train.py");
/// The packages that it needs. The example's environment: installed once for both.
const PACKAGES: &str = include_str!("../../../examples/employment/requirements.in");
const LOCK: &str = include_str!("../../../examples/employment/requirements.lock");
/// Fewer rows than these are told to be few.
const FEW_ROWS: usize = 200;

/// What somebody wants.
#[derive(Debug)]
pub struct Wish {
    /// The file with the table, as the project's folder calls it.
    pub source: String,
    /// What is declared about it.
    pub declared: Declared,
    /// The project's name; without it, that of the file.
    pub project: Option<ProjectName>,
    /// The column with the truth; without it there is no model.
    pub label: Option<String>,
    /// What the model is to say; without it, what the label tells.
    pub task: Option<Task>,
}

/// A project that is not written yet.
#[derive(Debug)]
pub struct Draft {
    /// Its name.
    pub project: ProjectName,
    /// What its model says.
    pub task: Task,
    /// The files with their content.
    pub files: Vec<(&'static str, String)>,
    /// What was found and decided, in words.
    pub notes: Vec<String>,
}

/// Drafts a project from a table.
///
/// # Errors
/// A [`Problem`] when the file is no table, has no such label, or what the model is to say is not clear.
pub fn draft(folder: &dyn Folder, wish: &Wish) -> Result<Draft, Problem> {
    let project = project(wish)?;
    let collected = table(folder, wish)?;
    let Some(survey) = &collected.table else {
        return Err(no_table(&wish.source));
    };
    let fields = fields(&collected)?;
    let rows = fields.first().map_or(0, |field| field.rows);
    if rows == 0 {
        return Err(
            Problem::new(code::NEW_007, format!("`{}` has no rows", wish.source))
                .hint("name a file with data: the contract is suggested from them"),
        );
    }
    let (label, task) = task(&fields, wish)?;
    let read_otherwise = if survey.csv == Csv::default() {
        Vec::new()
    } else {
        read_otherwise(&fields, &wish.declared.csv)
    };
    let plan = label.map(|label| Plan::new(&fields, label, task));
    if let Some(plan) = &plan
        && plan.features.is_empty()
    {
        let why = plan
            .left_out
            .iter()
            .map(|(field, why)| format!("{}: {why}", words::text(&field.name)));
        let problem = Problem::new(
            code::NEW_005,
            "there is nothing from which a model could tell the label",
        )
        .because(why.collect::<Vec<_>>().join("; "));
        let problem = read_otherwise.into_iter().fold(problem, Problem::because);
        return Err(problem.hint("begin without a model: `--kind none`"));
    }
    let key = match &plan {
        Some(plan) => plan.key,
        None => plan::key(&fields, None),
    };
    let told = collected.made().is_some() && !is_arrow(&wish.source, wish.declared.format);
    let declarable = |kind: &ColumnType| !matches!(kind, ColumnType::Other(_));
    let columns = survey
        .columns
        .0
        .iter()
        .filter(|(_, column)| told && declarable(&column.data_type));
    let csv = serde_json::to_value(&survey.csv)
        .map_err(|_| fault("the way a table is read could not be written"))?;
    let content = Content {
        project: &project,
        source: &wish.source,
        csv: csv
            .as_object()
            .filter(|csv| told && !csv.is_empty())
            .map(one_line),
        format: wish.declared.format.map(Format::word),
        columns: columns
            .map(|(name, column)| (name.clone(), column.data_type.to_string()))
            .collect(),
        fields: &fields,
        key: key.map(|key| key.name.as_str()),
        plan: plan.as_ref(),
    };
    let mut files = vec![(crate::file::NAME, content.write())];
    if let Some(plan) = &plan {
        files.push(("train.py", program(plan)));
        files.push(("requirements.in", PACKAGES.to_owned()));
        files.push(("requirements.lock", LOCK.to_owned()));
    }
    crate::file::PipelineFile::parse(
        files
            .first()
            .map(|(_, text)| text.as_str())
            .unwrap_or_default(),
    )
    .map_err(|problem| {
        Problem::new(code::NEW_006, "the draft does not hold up").because(problem)
    })?;
    let mut notes = vec![format!("{rows} rows, {} columns", fields.len())];
    notes.extend(survey.notes.iter().cloned());
    notes.extend(read_otherwise);
    notes.extend(of_persons(&fields));
    notes.extend(
        plan.as_ref()
            .map_or_else(|| without_model(&fields), with_model),
    );
    Ok(Draft {
        project,
        task,
        files,
        notes,
    })
}

/// Tells which columns are texts that would be something else if the file were read otherwise, and how to say so.
fn read_otherwise(fields: &[Field], csv: &Csv) -> Vec<String> {
    let found = || {
        let fields = fields.iter();
        fields.filter_map(|field| Some((field, field.otherwise.as_ref()?)))
    };
    let mut told: Vec<_> = found()
        .map(|(field, otherwise)| {
            format!(
                "read as text: {}, which holds {}",
                words::text(&field.name),
                otherwise.what
            )
        })
        .collect();
    let points = fields
        .iter()
        .any(|field| field.sort == Sort::Number && !field.whole);
    let columns = found().map(|(_, otherwise)| otherwise);
    let declared =
        otherwise::declared(csv, columns, points).and_then(|csv| serde_json::to_value(csv).ok());
    if let Some(csv) = declared.as_ref().and_then(serde_json::Value::as_object) {
        told.push(format!(
            "to read it as what it holds, begin with `--csv '{}'`",
            one_line(csv)
        ));
    }
    if points && found().any(|(_, otherwise)| otherwise.has_comma()) {
        told.push("other columns have decimal points, and a file has one decimal mark: turn the commas into points in a `sql` step".to_owned());
    }
    told
}

/// Tells which columns look as if they were about persons, and what that means.
fn of_persons(fields: &[Field]) -> Option<String> {
    let named = fields.iter().filter(|field| field.is_personal());
    let named: Vec<_> = named.map(|field| words::text(&field.name)).collect();
    (!named.is_empty()).then(|| {
        format!(
            "classified as personal, and so is what is made of it: {} look as if they were about persons",
            named.join(", ")
        )
    })
}

/// Writes what is declared of a text on one line.
fn one_line(csv: &serde_json::Map<String, serde_json::Value>) -> String {
    let parts: Vec<_> = csv
        .iter()
        .map(|(key, value)| format!("{key}: {value}"))
        .collect();
    format!("{{{}}}", parts.join(", "))
}

fn project(wish: &Wish) -> Result<ProjectName, Problem> {
    if let Some(project) = &wish.project {
        return Ok(project.clone());
    }
    let name = wish.source.rsplit('/').next().unwrap_or_default();
    let stem = name.split('.').next().unwrap_or_default();
    words::project(stem)
        .parse()
        .map_err(|error: custody_types::NameError| {
            Problem::new(code::NEW_001, error.to_string()).hint("name it with `--project`")
        })
}

fn no_table(source: &str) -> Problem {
    Problem::new(
        code::NEW_002,
        format!("`{source}` is not read as one table"),
    )
    .because("a project begins with one file of Parquet, CSV, TSV, JSON lines or Arrow")
    .hint("name one such file, or say what it is: `--format csv`; where a folder holds more of them, begin with one and change `file:` to the folder or a pattern afterwards")
}

fn table(folder: &dyn Folder, wish: &Wish) -> Result<Collected, Problem> {
    let found = folder.find(&wish.source)?;
    if found.len() != 1 {
        return Err(no_table(&wish.source));
    }
    let files = collect::hashed(found)?;
    let mut looked = collect::look(&wish.source, &wish.declared, files)?;
    looked.collected.pop().ok_or_else(|| no_table(&wish.source))
}

fn is_arrow(source: &str, format: Option<Format>) -> bool {
    let name = source.to_lowercase();
    format == Some(Format::Arrow)
        || [".arrow", ".arrows", ".feather", ".ipc"]
            .iter()
            .any(|end| name.ends_with(end))
}

/// Looks at the values, a column at a time. The table is held in memory, as Parquet.
fn fields(collected: &Collected) -> Result<Vec<Field>, Problem> {
    let unreadable = || {
        Problem::new(
            code::NEW_008,
            format!("`{}` cannot be read", collected.from.entry.path),
        )
        .hint("see that it is whole, and that nothing writes to it")
    };
    let mut bytes = Vec::new();
    match collected.made() {
        Some(table) => collected.write(table, &mut bytes)?,
        None => {
            let (mut original, _) = collected.from.standing.open()?;
            original
                .read_to_end(&mut bytes)
                .map_err(|error| unreadable().because(error))?;
        }
    }
    let bytes = Bytes::from(bytes);
    let columns = collected
        .table
        .as_ref()
        .map(|table| table.columns.0.as_slice())
        .unwrap_or_default();
    let (mut rows, mut read) = (0, Vec::new());
    for (name, column) in columns {
        let values = file_values(bytes.clone(), &[name.as_str()])
            .ok()
            .and_then(|mut values| values.pop());
        if let Some(values) = &values {
            rows = values.len();
        }
        let field = Field::of(name, &column.data_type, rows, values.as_ref());
        read.push(field);
    }
    if read.iter().all(|field| field.sort == Sort::Other) {
        return Err(unreadable().because("no column has a type that can be looked at"));
    }
    // A column that could not be looked at has as many rows as the others.
    for field in &mut read {
        field.rows = rows;
    }
    Ok(read)
}

/// Finds the label and what the model is to say.
fn task<'a>(fields: &'a [Field], wish: &Wish) -> Result<(Option<&'a Field>, Task), Problem> {
    let Some(name) = &wish.label else {
        return match wish.task {
            None | Some(Task::None) => Ok((None, Task::None)),
            Some(task) => Err(Problem::new(
                code::NEW_009,
                format!("{task} needs a column with the truth"),
            )
            .hint("name it with `--label COLUMN`")),
        };
    };
    let Some(label) = fields.iter().find(|field| field.name == *name) else {
        let names: Vec<_> = fields
            .iter()
            .map(|field| words::text(&field.name))
            .collect();
        return Err(Problem::new(
            code::NEW_004,
            format!("`{}` has no column `{name}`", wish.source),
        )
        .because(format!("its columns are {}", names.join(", ")))
        .hint("names are as they are written: `Paid` is not `paid`"));
    };
    let task = task::settle(label, wish.task)?;
    Ok(((task != Task::None).then_some(label), task))
}

/// Fills in the program that trains.
fn program(plan: &Plan<'_>) -> String {
    let regression = plan.task == Task::Regression;
    let mut names = vec!["LABEL".to_owned()];
    names.extend(
        [plan.key, plan.together]
            .into_iter()
            .flatten()
            .map(|field| words::text(&field.name)),
    );
    let (estimator, score, options, y) = if regression {
        (
            "GradientBoostingRegressor",
            "train_r2",
            "",
            "table[LABEL].to_numpy(zero_copy_only=False).astype(np.float64)",
        )
    } else {
        (
            "GradientBoostingClassifier",
            "train_accuracy",
            ", options={id(model): {\"zipmap\": False}}",
            "table[LABEL].to_numpy(zero_copy_only=False)",
        )
    };
    let values = [
        ("Estimator", estimator.to_owned()),
        ("SCORE", score.to_owned()),
        ("OPTIONS", options.to_owned()),
        ("Y", y.to_owned()),
        ("NOT_FEATURES", format!("[{}]", names.join(", "))),
        ("LABEL", words::text(&plan.label.name)),
    ];
    // Part by part: a name of a column that looks like a mark is none.
    let parts = TRAIN.split('@').map(|part| {
        let value = values.iter().find(|(mark, _)| *mark == part);
        value.map_or(part, |(_, value)| value.as_str())
    });
    parts.collect()
}

fn with_model(plan: &Plan<'_>) -> Vec<String> {
    let label = words::text(&plan.label.name);
    let mut notes = vec![match (plan.task, task::positive(plan.label)) {
        (Task::Binary, Some(positive)) => {
            format!("binary: does {label} say {}?", plan.label.value(positive))
        }
        (Task::Multiclass, _) => format!(
            "multiclass: which of {} classes does {label} say?",
            plan.label.distinct
        ),
        (task, _) => format!("{task}: which number does {label} say?"),
    }];
    if plan.label.nulls + plan.label.nans > 0 {
        notes.push(format!(
            "{} rows have no label: they are left out",
            plan.label.nulls + plan.label.nans
        ));
    }
    notes.push(format!("split seven to three, {}", plan.split_by()));
    notes.push(match plan.features.len() {
        1 => "1 feature".to_owned(),
        count => format!("{count} features"),
    });
    notes.extend(
        plan.left_out
            .iter()
            .map(|(field, why)| format!("left out {}: {why}", words::text(&field.name))),
    );
    if plan.label.filled() < FEW_ROWS {
        notes.push(format!(
            "{} rows with a label are few: figures of so few say little",
            plan.label.filled()
        ));
    }
    let rare = plan
        .label
        .few
        .iter()
        .map(|(_, count)| *count)
        .min()
        .unwrap_or(FEW_ROWS);
    if plan.task != Task::Regression && rare < 10 {
        notes.push(format!(
            "a class has {rare} rows only: it may be missing on one side of the split"
        ));
    }
    notes
}

fn without_model(fields: &[Field]) -> Vec<String> {
    let could = fields.iter().filter(|field| {
        task::settle(field, None).is_ok() && !field.is_unique() && !field.names_a_person()
    });
    let could: Vec<_> = could
        .take(8)
        .map(|field| words::text(&field.name))
        .collect();
    let mut notes = vec!["no label: source and contract alone".to_owned()];
    if !could.is_empty() {
        notes.push(format!(
            "a model could be about {}: `--label COLUMN`",
            could.join(", ")
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read};
    use std::path::Path;
    use std::sync::Arc;

    use custody_tabular::Original;

    use super::*;
    use crate::file::{PipelineFile, Step};
    use crate::ports::{Code, Commit, FoundFile, Standing};

    /// A folder with one file.
    #[derive(Debug)]
    struct One(String);

    impl Folder for One {
        fn root(&self) -> Option<&Path> {
            None
        }

        fn open(&self, _: &str) -> Result<Box<dyn Read>, Problem> {
            Ok(Box::new(Cursor::new(self.0.clone())))
        }

        fn gather(&self, _: &str) -> Result<Code, Problem> {
            Ok(Code::default())
        }

        fn commit(&self) -> Option<Commit> {
            None
        }

        fn find(&self, what: &str) -> Result<Vec<FoundFile>, Problem> {
            Ok(vec![FoundFile {
                standing: Arc::new(Self(self.0.clone())),
                path: what.parse().unwrap(),
            }])
        }
    }

    impl Standing for One {
        fn open(&self) -> Result<(Box<dyn Original>, bool), Problem> {
            Ok((Box::new(Cursor::new(self.0.clone().into_bytes())), false))
        }
    }

    fn wish(label: &str) -> Wish {
        Wish {
            source: "loans.csv".to_owned(),
            declared: Declared::default(),
            project: None,
            label: Some(label.to_owned()),
            task: None,
        }
    }

    fn rows(header: &str, row: impl Fn(usize) -> String) -> One {
        let lines: Vec<_> = (0..60).map(row).collect();
        One(format!("{header}\n{}\n", lines.join("\n")))
    }

    fn text(draft: &Draft, name: &str) -> String {
        let file = draft.files.iter().find(|(file, _)| *file == name);
        file.unwrap().1.clone()
    }

    /// Names that are none of a language's words when they are written rightly.
    const NASTY: &[&str] = &[
        "select",
        "from",
        "y",
        "null",
        "a b",
        "a: b",
        "- a",
        "#",
        "say \"so\"",
        "it's",
        "Größe",
        "{x}",
        "*",
        "a\\b",
        "@LABEL@",
        "|",
        "%d",
        "two\nlines",
    ];

    #[test]
    fn any_name_of_a_column_is_written_rightly() {
        for label in NASTY {
            let quoted = |name: &&str| format!("\"{}\"", name.replace('"', "\"\""));
            let names: Vec<_> = NASTY.iter().map(quoted).collect();
            let table = rows(&names.join(","), |row| {
                let values = NASTY.iter().map(|name| match (name == label, row % 3) {
                    (true, 0) => "yes".to_owned(),
                    (true, 1) => "no".to_owned(),
                    (true, _) => String::new(),
                    (false, value) => format!("v{value}"),
                });
                values.collect::<Vec<_>>().join(",")
            });
            let draft =
                draft(&table, &wish(label)).unwrap_or_else(|problem| panic!("{label}: {problem}"));
            let file = PipelineFile::parse(&text(&draft, "custody.yaml")).unwrap();
            let Some(Step::Evaluate(evaluate)) = file.steps.get("evaluation") else {
                panic!("{label}");
            };
            assert_eq!(evaluate.label, *label);
            let Some(Step::Sql(prepare)) = file.steps.get("prepare") else {
                panic!("{label}");
            };
            let sql = &prepare.outputs["prepared"];
            assert!(
                sql.contains(&format!("WHERE {} IS NOT NULL", words::column(label))),
                "{sql}"
            );
            let program = text(&draft, "train.py");
            assert!(
                program.contains(&format!("\nLABEL = {}\n", words::text(label))),
                "{program}"
            );
        }
    }

    #[test]
    fn the_parts_of_columns_are_found() {
        let table = rows("loan_id,customer_id,name,amount,city,paid", |row| {
            format!(
                "L{row},{},P{row},{}.5,{},{}",
                row % 55,
                row * 7,
                ["here", "there"][row % 2],
                row % 2
            )
        });
        let draft = draft(&table, &wish("paid")).unwrap();
        assert_eq!(
            (draft.project.as_str(), draft.task),
            ("loans", Task::Binary)
        );
        let file = text(&draft, "custody.yaml");
        for part in [
            "unique: [loan_id]",
            "key: loan_id",
            "CAST(\"customer_id\" AS VARCHAR), 10) < 7",
            "# Left out: \"name\", it looks as if it named a person.",
            "classification: personal",
            "allowed: {column: city, values: [\"here\", \"there\"]}",
            "kind: binary",
        ] {
            assert!(file.contains(part), "{part}:\n{file}");
        }
        assert!(!file.contains("positive:"), "0 and 1 need none");
        assert!(!file.contains("P17"), "a name is no suggestion");
        assert!(
            text(&draft, "train.py")
                .contains("NOT_FEATURES = [LABEL, \"loan_id\", \"customer_id\"]")
        );
    }

    #[test]
    fn what_would_be_numbers_is_told_with_how_to_say_so() {
        let table = rows("id;income;score;when;paid", |row| {
            let income = ["1234,5", "17,25", "NaN"][row % 3];
            let when = format!("{:02}.12.{}", row % 28 + 1, 1900 + row);
            format!("{row};{income};{row};{when};{}", row % 2)
        });
        let mut wish = wish("paid");
        let told = draft(&table, &wish).unwrap();
        let line =
            "begin with `--csv '{nulls: [\"\",\"NaN\"], decimal: \",\", dates: [\"%d.%m.%Y\"]}'`";
        assert!(
            told.notes.iter().any(|note| note.contains(line)),
            "{:?}",
            told.notes
        );
        wish.declared.csv.nulls = Some(vec![String::new(), "NaN".to_owned()]);
        wish.declared.csv.decimal = Some(",".to_owned());
        wish.declared.csv.dates = vec!["%d.%m.%Y".to_owned()];
        let read = draft(&table, &wish).unwrap();
        assert!(!read.notes.iter().any(|note| note.contains("read as text")));
        let file = text(&read, "custody.yaml");
        assert!(
            file.contains("income: double") && file.contains("when: date"),
            "{file}"
        );
    }

    #[test]
    fn what_cannot_be_drafted_is_refused() {
        let check = |table: &One, label: &str, told: &str| {
            let problem = draft(table, &wish(label)).unwrap_err().to_string();
            assert!(problem.contains(told), "{problem}");
        };
        check(
            &rows("a,b", |row| format!("{row},{}", row % 2)),
            "c",
            "its columns are \"a\", \"b\"",
        );
        check(
            &rows("id,b", |row| format!("{row},{}", row % 2)),
            "b",
            "there is nothing from which",
        );
        let mut empty = wish("a");
        empty.declared.csv.header = Some(true);
        let problem = draft(&One("a,b\n".to_owned()), &empty).unwrap_err();
        assert!(problem.to_string().contains("has no rows"), "{problem}");
    }
}
