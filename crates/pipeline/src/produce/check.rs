//! Checks a dataset against its contract.

use custody_engine::Table;
use custody_stats::contract::ContractReport;
use custody_types::{ExitCode, Problem};
use serde_json::json;

use super::{Given, Product, Workshop, engine};
use crate::file::Contract;

impl Workshop {
    pub(super) fn check(
        &self,
        name: &str,
        contract: &Contract,
        given: &Given,
    ) -> Result<Product, Problem> {
        let table = Table {
            name: "data".to_owned(),
            files: given.input("data")?.clone(),
        };
        let report = self
            .engine
            .check(&table, &contract.checks, contract.key.as_deref())
            .map_err(|error| engine(name, &error))?;
        let passed = report.checks.iter().filter(|check| check.passed).count();
        // Without keys: the statement may be read by whoever may list versions.
        let broken: Vec<_> = report
            .checks
            .iter()
            .filter(|check| !check.passed)
            .map(|check| json!({"check": check.check, "expected": check.expected, "observed": check.observed}))
            .collect();
        let mut product = Product {
            notes: vec![format!(
                "{passed} of {} checks hold on {} rows ({} scans)",
                report.checks.len(),
                report.rows,
                report.scans
            )],
            refused: (!report.ok).then(|| broken_contract(&contract.input, &report)),
            byproducts: vec![
                json!({"name": "test-result", "result": if report.ok { "PASSED" } else { "FAILED" }, "checks": report.checks.len(), "passed": passed, "broken": broken}),
            ],
            ..Product::default()
        };
        product.add_json("report", "report.json", &report)?;
        Ok(product)
    }
}

fn broken_contract(dataset: &str, report: &ContractReport) -> Problem {
    let mut problem = Problem::new(
        "CUS-RUN-003",
        ExitCode::No,
        format!("the dataset `{dataset}` breaks its contract"),
    );
    for check in report.checks.iter().filter(|check| !check.passed) {
        let share = check
            .share
            .map_or_else(String::new, |share| format!(" ({:.2} %)", share * 100.0));
        let keys = if check.keys.is_empty() {
            String::new()
        } else {
            format!("; keys {}", check.keys.join(", "))
        };
        problem = problem.because(format!(
            "{}: {}{share}, expected {}{keys}",
            check.check, check.observed, check.expected
        ));
    }
    problem.hint("the batch is in quarantine: see it with `custody ls --quarantine`; correct the source or the contract and run again")
}
