//! Checks a dataset against its contract.

use custody_engine::{ContractError, NAMED, Table};
use custody_stats::contract::{ContractReport, FailingRow};
use custody_types::{Problem, code};
use serde_json::json;

use super::{StepExecutor, StepInputs, StepReport, engine};
use crate::file::{Contract, Place, Wrong};
use crate::outputs::Outputs;

impl StepExecutor {
    pub(super) fn check(
        &self,
        name: &str,
        contract: &Contract,
        given: &StepInputs,
        outputs: &mut dyn Outputs,
    ) -> Result<StepReport, Problem> {
        let table = Table {
            name: "data".to_owned(),
            files: given.input("data")?.clone(),
        };
        let report = self
            .engine
            .check(&table, &contract.checks, contract.key.as_deref())
            .map_err(|error| mistaken(name, error, given))?;
        let passed = report.checks.iter().filter(|check| check.passed).count();
        // Without keys: the statement may be read by whoever may list versions.
        let broken: Vec<_> = report
            .checks
            .iter()
            .filter(|check| !check.passed)
            .map(|check| {
                let observed = (report.rows >= given.fewest_rows).then_some(&check.observed);
                json!({"check": check.check, "expected": check.expected, "observed": observed})
            })
            .collect();
        let files = match report.files.len() {
            1 => String::new(),
            files => format!(" in {files} files"),
        };
        outputs.json("report", "report.json", &report)?;
        Ok(StepReport {
            notes: vec![format!(
                "{passed} of {} checks hold on {} rows{files}",
                report.checks.len(),
                report.rows,
            )],
            refused: (!report.ok).then(|| broken_contract(contract, &report)),
            byproducts: vec![
                json!({"name": "test-result", "result": if report.ok { "PASSED" } else { "FAILED" }, "checks": report.checks.len(), "passed": passed, "broken": broken}),
            ],
            ..StepReport::default()
        })
    }
}

/// Tells a mistake in the contract with its place in the file. It says nothing about the data.
fn mistaken(name: &str, error: ContractError, given: &StepInputs) -> Problem {
    match error {
        ContractError::Engine(error) => engine(name, &error),
        ContractError::Mistaken { check, fault } => {
            let place = Contract::place(&Place::step(name).key("check"), check, &fault.path);
            Wrong::new(place, fault.because).problem(given.file.as_deref().unwrap_or_default())
        }
    }
}

fn broken_contract(contract: &Contract, report: &ContractReport) -> Problem {
    let (dataset, key) = (&contract.input, contract.key.as_deref());
    let mut problem = Problem::new(
        code::RUN_003,
        format!("the dataset `{dataset}` breaks its contract"),
    );
    for check in report.checks.iter().filter(|check| !check.passed) {
        let share = check
            .share
            .map_or_else(String::new, |share| format!(" ({:.2} %)", share * 100.0));
        problem = problem.because(format!(
            "{}: {}{share}, expected {}{}",
            check.check,
            check.observed,
            check.expected,
            rows(key.unwrap_or("key"), &check.rows)
        ));
    }
    problem.hint("the batch is in quarantine: see `custody ls --quarantine`; correct the source or the contract and run again, or let somebody who may approve it decide: `custody approve`")
}

/// Names the first rows that break a check: by their keys where there is a key, and by file and row.
fn rows(key: &str, rows: &[FailingRow]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let named: Vec<_> = rows
        .iter()
        .map(|row| match &row.key {
            Some(value) => format!("{key} {value} ({} row {})", row.file, row.row),
            None => format!("{} row {}", row.file, row.row),
        })
        .collect();
    let first = if rows.len() < NAMED {
        ""
    } else {
        "the first: "
    };
    format!("; {first}{}", named.join(", "))
}
