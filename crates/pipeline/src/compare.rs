//! What tells two models or runs apart: parameters, figures, data, code, environment.

use std::collections::{BTreeMap, BTreeSet};

use custody_guard::{ResourceRef, Session, Trace};
use custody_types::{Digest, Kind, Problem};
use custody_wire::{CompareReply, CompareRequest, Compared, Section};
use serde_json::{Value, json};

use crate::evidence::{Link, closure, reference};
use crate::figures::{Measured, declared, is_run, made_in, no_run};
use crate::pieces::{PIECES, Pieces};
use crate::run::{COMMIT, Runner, with_size};

/// How many hexadecimal digits of a digest are shown.
const DIGITS: usize = 12;

/// What there is to say of one of the two, by respect and name.
#[derive(Default)]
struct Side {
    parameters: BTreeMap<String, Value>,
    figures: BTreeMap<String, Value>,
    data: BTreeMap<String, Value>,
    code: BTreeMap<String, Value>,
    environment: BTreeMap<String, Value>,
    withheld: Vec<String>,
}

impl Runner {
    /// Compares two versions, or all that two runs made.
    ///
    /// # Errors
    /// A [`Problem`] when there is no such version or run.
    pub fn compare(
        &self,
        session: &Session,
        request: &CompareRequest,
    ) -> Result<CompareReply, Problem> {
        let a = self.side(session, &request.a)?;
        let b = self.side(session, &request.b)?;
        let sections = [
            ("parameters", a.parameters, b.parameters),
            ("figures", a.figures, b.figures),
            ("data", a.data, b.data),
            ("code", a.code, b.code),
            ("environment", a.environment, b.environment),
        ];
        let withheld: BTreeSet<_> = a.withheld.into_iter().chain(b.withheld).collect();
        Ok(CompareReply {
            a: request.a.clone(),
            b: request.b.clone(),
            sections: sections.map(|(name, a, b)| section(name, &a, &b)).into(),
            withheld: withheld.into_iter().collect(),
        })
    }

    fn side(&self, session: &Session, text: &str) -> Result<Side, Problem> {
        let project = is_run(text).then(|| self.project_of(session, text));
        let project = project.transpose()?;
        let target = match &project {
            Some(project) => ResourceRef::Project(project.clone()),
            None => ResourceRef::Named(reference(text)?),
        };
        let grant = self.door.ask::<Trace>(session, target)?;
        let measured = Measured {
            runner: self,
            session,
            evidence: grant.evidence(),
        };
        let roots = if let Some(project) = &project {
            let made = made_in(&measured.evidence, project, text)?;
            if made.is_empty() {
                return Err(no_run(text));
            }
            made
        } else {
            vec![grant.version()?.clone()]
        };
        let mut side = Side::default();
        for root in roots {
            let figures = measured.of(&root)?;
            let values = figures.figures.into_iter();
            side.figures
                .extend(values.map(|(name, value)| (name, json!(value))));
            side.withheld.extend(figures.withheld);
            for link in closure(&measured.evidence, root)?.links {
                side.add(&measured, &link);
            }
        }
        grant.finish()?;
        Ok(side)
    }
}

impl Side {
    fn add(&mut self, measured: &Measured<'_>, link: &Link) {
        let record = &link.version.record;
        if matches!(record.kind, Kind::Dataset | Kind::Features) {
            let told = with_size(&measured.evidence, &link.version.name());
            let told = format!("{told}, {}", short(&record.digest));
            self.data.insert(record.artifact.to_string(), told.into());
        }
        let (Some(step), Some((kind, inner))) = (record.step.as_deref(), declared(link)) else {
            return;
        };
        match kind {
            "run" => {
                let parameters = inner.get("parameters").unwrap_or(&Value::Null);
                flatten(step, parameters, &mut self.parameters);
                let command = inner.get("command").cloned().unwrap_or_default();
                self.code.insert(format!("{step} (command)"), command);
            }
            "sql" => {
                for (output, sql) in inner
                    .get("outputs")
                    .and_then(Value::as_object)
                    .into_iter()
                    .flatten()
                {
                    let digest = Digest::of(sql.to_string().as_bytes());
                    let name = format!("{step} (SQL of {output})");
                    self.code.insert(name, short(&digest).into());
                }
            }
            "evaluate" => {
                for name in ["label", "groups", "threshold"] {
                    let value = inner.get(name).filter(|value| !value.is_null());
                    let named = value.map(|value| (format!("{step}.{name}"), value.clone()));
                    self.parameters.extend(named);
                }
            }
            _ => {}
        }
        let internal = link
            .provenance
            .as_ref()
            .map(|provenance| &provenance.build_definition.internal_parameters);
        let Some(internal) = internal else {
            return;
        };
        if let Some(commit) = internal.get(COMMIT) {
            self.code
                .insert("git commit".to_owned(), commit_text(commit).into());
        }
        let pieces = internal.get(PIECES).cloned().unwrap_or_default();
        let Ok(pieces) = serde_json::from_value::<Pieces>(pieces) else {
            return;
        };
        for (path, digest) in pieces.code {
            let digest = digest
                .split_once(':')
                .map_or(digest.as_str(), |(_, hex)| hex);
            let shown: String = digest.chars().take(DIGITS).collect();
            self.code.insert(format!("{step} {path}"), shown.into());
        }
        if let Some(environment) = pieces.environment {
            let prefix = environment
                .name
                .map_or_else(String::new, |name| format!("{name}: "));
            let own = [
                ("Python", environment.python),
                ("platform", environment.platform),
            ];
            let own = own.map(|(name, value)| (name.to_owned(), value));
            let all = own.into_iter().chain(environment.packages);
            self.environment
                .extend(all.map(|(name, value)| (format!("{prefix}{name}"), value.into())));
        }
    }
}

/// Tells a commit in a line, as statements have it.
pub(crate) fn commit_text(commit: &Value) -> String {
    let id = commit.get("id").and_then(Value::as_str).unwrap_or_default();
    let branch = commit.get("branch").and_then(Value::as_str);
    let branch = branch.map_or_else(String::new, |branch| format!(" on {branch}"));
    let dirty = match commit.get("dirty").and_then(Value::as_bool) {
        Some(true) => ", with changes that are not committed",
        _ => "",
    };
    format!("{id}{branch}{dirty}")
}

fn short(digest: &Digest) -> String {
    digest.to_hex().chars().take(DIGITS).collect()
}

/// Lists the leaves of a mapping, each under the path that leads to it.
fn flatten(path: &str, value: &Value, found: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(inner) => {
            for (name, value) in inner {
                flatten(&format!("{path}.{name}"), value, found);
            }
        }
        Value::Null => {}
        value => {
            found.insert(path.to_owned(), value.clone());
        }
    }
}

fn section(name: &str, a: &BTreeMap<String, Value>, b: &BTreeMap<String, Value>) -> Section {
    let names: BTreeSet<_> = a.keys().chain(b.keys()).collect();
    let row = |name: &String| Compared {
        name: name.clone(),
        a: a.get(name).cloned(),
        b: b.get(name).cloned(),
        equal: a.get(name) == b.get(name),
    };
    Section {
        name: name.to_owned(),
        rows: names.into_iter().map(row).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_one_has_is_told_and_null_is_nothing() {
        let mut side = BTreeMap::new();
        let parameters = json!({"C": 1.5, "model": {"depth": 3, "name": "x"}, "none": null});
        flatten("train", &parameters, &mut side);
        assert_eq!(
            side.keys().collect::<Vec<_>>(),
            ["train.C", "train.model.depth", "train.model.name"]
        );
        let mut other = side.clone();
        other.insert("train.C".to_owned(), json!(2));
        other.remove("train.model.depth");
        let section = section("parameters", &side, &other);
        let equal: Vec<_> = section.rows.iter().map(|row| row.equal).collect();
        assert_eq!(equal, [false, false, true]);
    }

    #[test]
    fn a_commit_is_told_in_a_line() {
        let check = |commit: Value, expected: &str| assert_eq!(commit_text(&commit), expected);
        check(json!({"id": "abc"}), "abc");
        check(
            json!({"id": "abc", "branch": "main", "dirty": false}),
            "abc on main",
        );
        check(
            json!({"id": "abc", "branch": "main", "dirty": true}),
            "abc on main, with changes that are not committed",
        );
    }
}
