//! The step `run`.

use std::collections::{BTreeMap, BTreeSet};

use custody_types::{Classification, Endpoint, Kind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Place, Wrong};

/// Runs a program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// The command and its arguments.
    pub command: Vec<String>,
    /// The files and folders of the project that it may read, relative to the pipeline file. Of a folder everything is
    /// taken but what `.custodyignore` names and the usual suspects (`.env`, `.git`, `.venv`, keys, caches).
    #[serde(default)]
    pub code: Vec<String>,
    /// The environment among `environments` [default: `environment`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// What it reads, by the names of the inputs: artifacts that steps make, or versions that are there already
    /// (`raw@3`, `raw@production`, `credit/raw@3`).
    #[serde(default)]
    pub inputs: BTreeMap<String, String>,
    /// What it makes, by the names of the outputs.
    pub outputs: BTreeMap<String, Output>,
    /// What it is told.
    #[serde(default)]
    pub parameters: BTreeMap<String, serde_json::Value>,
    /// What it may connect to, each a host and a port: `api.example.com:443`. Without it, it has no network. What it sends
    /// there is out of the system: the policy decides (`connect`), and each connection is entered in the ledger.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub network: Vec<Endpoint>,
    /// Whether what it made before with the same inputs is reused although it has a network, so that what it is answered may
    /// be something else today. Without it, it runs each time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reuse: bool,
    /// How much it may use.
    #[serde(default)]
    pub limits: Limits,
}

/// What a program makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// The artifact that it becomes a version of.
    pub artifact: String,
    /// What it is: `model`, `dataset`, `features`, `report`.
    #[schemars(with = "String")]
    pub kind: Kind,
    /// How sensitive it is. Without it: as the most sensitive input. Less than that is decided by the policy
    /// (`declassify`) and entered in the ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub classification: Option<Classification>,
}

/// How much a step may use; what is not given has a generous default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// The memory of all its processes together, `/dev/shm` and memory files included, and the address space of each of
    /// them, in MiB.
    #[serde(default)]
    pub memory_mib: Option<u32>,
    /// The time, in seconds.
    #[serde(default)]
    pub time_s: Option<u64>,
    /// The number of processes and threads that there may be.
    #[serde(default)]
    pub processes: Option<u32>,
    /// The number of threads that compute at once: the processors that the step sees, and what libraries are
    /// told. One if it is not given, for figures may differ by the number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threads: Option<u32>,
    /// The size of each output, in MiB: what its files would be without holes.
    #[serde(default)]
    pub output_mib: Option<u32>,
    /// The number of files and folders in each output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_files: Option<u32>,
    /// What it may send to its endpoints and be sent by them, together, in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_mib: Option<u32>,
    /// The number of connections that it may make in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<u32>,
}

/// The most endpoints that a step may declare.
const MOST_ENDPOINTS: usize = 32;

impl Run {
    pub(super) fn check(&self, place: &Place) -> Result<(), Wrong> {
        if self.command.is_empty() {
            return Err(Wrong::new(place.key("command"), "the step has no command"));
        }
        one_variable_each(self.inputs.keys(), "INPUT", &place.key("inputs"))?;
        one_variable_each(self.outputs.keys(), "OUTPUT", &place.key("outputs"))?;
        for (name, value) in &self.parameters {
            if !is_exact(value) {
                let place = place.key("parameters").key(name);
                return Err(Wrong::new(place, INEXACT));
            }
        }
        self.check_network(place)?;
        let limits = [
            ("memory_mib", self.limits.memory_mib.map(u64::from)),
            ("time_s", self.limits.time_s),
            ("processes", self.limits.processes.map(u64::from)),
            ("threads", self.limits.threads.map(u64::from)),
            ("output_mib", self.limits.output_mib.map(u64::from)),
            ("output_files", self.limits.output_files.map(u64::from)),
            ("network_mib", self.limits.network_mib.map(u64::from)),
            ("connections", self.limits.connections.map(u64::from)),
        ];
        match limits.iter().find(|(_, limit)| *limit == Some(0)) {
            Some((word, _)) => Err(Wrong::new(
                place.key("limits").key(word),
                format!("`{word}` must be at least 1"),
            )),
            None => Ok(()),
        }
    }
}

impl Run {
    /// Checks that each endpoint is there once: an address by its own name, and a name beside none of its addresses is what
    /// [`Endpoint`] sees to.
    fn check_network(&self, place: &Place) -> Result<(), Wrong> {
        let mut seen = BTreeSet::new();
        for (number, endpoint) in self.network.iter().enumerate() {
            if !seen.insert(endpoint) {
                let place = place.key("network").item(number);
                return Err(Wrong::new(place, format!("`{endpoint}` is there twice")));
            }
        }
        let count = self.network.len();
        if count > MOST_ENDPOINTS {
            return Err(Wrong::new(
                place.key("network"),
                format!("there are {count} endpoints: a step may declare {MOST_ENDPOINTS}"),
            ));
        }
        let limits = [
            ("network_mib", self.limits.network_mib),
            ("connections", self.limits.connections),
        ];
        let without = limits.iter().find(|(_, limit)| limit.is_some());
        let place = match without {
            Some((word, _)) => place.key("limits").key(word),
            None if self.reuse => place.key("reuse"),
            None => return Ok(()),
        };
        if self.network.is_empty() {
            return Err(Wrong::new(
                place,
                "it is for steps with `network` alone, and this one has none",
            ));
        }
        Ok(())
    }
}

/// Returns the variable that tells a program where an input or output is: `CUSTODY_INPUT_TRAIN`.
pub(crate) fn variable(kind: &str, name: &str) -> String {
    let name = name.to_uppercase().replace(['-', '.'], "_");
    format!("CUSTODY_{kind}_{name}")
}

/// Refuses two names that would have one variable, which can name only one place.
fn one_variable_each<'a>(
    names: impl Iterator<Item = &'a String>,
    kind: &str,
    place: &Place,
) -> Result<(), Wrong> {
    let mut seen = BTreeMap::new();
    for name in names {
        let variable = variable(kind, name);
        if let Some(other) = seen.insert(variable.clone(), name) {
            return Err(Wrong::new(
                place.key(name),
                format!(
                    "`{other}` and `{name}` would have the same variable, `{variable}`: rename one of them"
                ),
            ));
        }
    }
    Ok(())
}

/// Why a number is refused.
pub(crate) const INEXACT: &str =
    "an integer beyond 2^53 is not the same number everywhere: put it in quotes";

/// Whether every number in a value is the same where all numbers are doubles, as in the signed statement about a step.
pub(crate) fn is_exact(value: &serde_json::Value) -> bool {
    const MOST: u64 = 1 << 53;
    match value {
        serde_json::Value::Number(number) => {
            let whole = number.as_u64().or(number.as_i64().map(i64::unsigned_abs));
            whole.is_none_or(|whole| whole <= MOST)
        }
        serde_json::Value::Array(items) => items.iter().all(is_exact),
        serde_json::Value::Object(fields) => fields.values().all(is_exact),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Place, is_exact, one_variable_each};
    use crate::file::PipelineFile;

    #[test]
    fn names_that_share_a_variable_are_refused() {
        let check = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(ToString::to_string).collect();
            one_variable_each(names.iter(), "OUTPUT", &Place::default())
        };
        assert!(check(&["a-b", "ab", "a"]).is_ok());
        for (one, other) in [("a-b", "a_b"), ("a.b", "a-b"), ("model", "Model")] {
            let because = check(&[one, other]).unwrap_err().because;
            assert!(
                because.contains(&format!("`{one}` and `{other}`")),
                "{because}"
            );
        }
    }

    #[test]
    fn a_network_is_a_list_of_endpoints_each_of_which_is_there_once() {
        let parse = |more: &str| {
            let file = format!(
                "project: p\nsteps:\n  s:\n    run:\n      command: [x]\n      outputs: {{o: {{artifact: o, kind: report}}}}\n      {more}\n"
            );
            PipelineFile::parse(&file)
        };
        let many = |count: usize| {
            let all: Vec<_> = (0..count)
                .map(|number| format!("h{number}.example:1"))
                .collect();
            format!("network: [{}]", all.join(", "))
        };
        for good in [
            "network: []",
            "network: [api.example.com:443, api.example.com:80, \"[::1]:80\"]",
            "network: [a.example:1]\n      reuse: true\n      limits: {network_mib: 1, connections: 1}",
            &many(32),
        ] {
            parse(good).unwrap();
        }
        for (wrong, because) in [
            (
                "network: [a.example:1, b.example:1, a.example:1]",
                "`a.example:1` is there twice",
            ),
            ("network: [A.example:1]", "no capital letter"),
            ("network: ['*.example:443']", "no pattern"),
            ("network: [a.example]", "write `host:port`"),
            ("network: [a.example:0]", "the port is a number"),
            ("network: [localhost:80]", "in full"),
            ("network: a.example:1", "a list is expected"),
            (&many(33), "a step may declare 32"),
            ("reuse: true", "for steps with `network` alone"),
            ("limits: {connections: 5}", "for steps with `network` alone"),
            (
                "network: [a.example:1]\n      limits: {network_mib: 0}",
                "at least 1",
            ),
        ] {
            let told = parse(wrong).unwrap_err().because.join(" ");
            // With the line, and a mark.
            assert!(
                told.contains(because) && told.contains('^') && told.contains(" | "),
                "{told}"
            );
        }
        // What says nothing of a network is declared as it was before there were any.
        let step = serde_json::to_value(&parse("network: []").unwrap().steps["s"]).unwrap();
        assert!(step["run"].get("network").is_none() && step["run"].get("reuse").is_none());
    }

    #[test]
    fn numbers_that_a_statement_would_change_are_not_exact() {
        for (value, exact) in [
            (json!(9_007_199_254_740_992_u64), true),
            (json!(9_007_199_254_740_993_u64), false),
            (json!(-9_007_199_254_740_993_i64), false),
            (json!({"a": [1, 0.1, "9007199254740993", null]}), true),
            (json!({"a": [1, i64::MIN]}), false),
            (json!(u64::MAX), false),
        ] {
            assert_eq!(is_exact(&value), exact, "{value}");
        }
    }
}
