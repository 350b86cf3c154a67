//! Why a step would run: what differs from the last time, piece by piece.

use std::collections::BTreeMap;

use custody_attest::slsa::{Provenance, ROLE};
use custody_guard::{Evidence, Reach, Version};
use custody_types::{Digest, Problem, Reference, Selector, VersionName};
use serde_json::{Value, json};

use super::{Context, RUNNER, Runner, artifact};
use crate::evidence::link;
use crate::file::Step;
use crate::graph::guards;
use crate::pieces::{PIECES, Pieces, compare};
use custody_guard::dependency;

/// How many reasons are told.
const MOST_REASONS: usize = 12;
/// How long a value may be that is shown.
const LONGEST_VALUE: usize = 40;
/// The role of a contract's decision, before the name of the step.
const CONTRACT: &str = "contract:";

/// The last time that a step made something.
pub(crate) struct Last {
    pub(crate) version: Version,
    provenance: Provenance,
}

impl Last {
    /// Returns what it went in as what, by role.
    fn inputs(&self) -> BTreeMap<String, (VersionName, Digest)> {
        let inputs = self.provenance.inputs().iter();
        inputs
            .filter_map(|input| Some((input.annotations.get(ROLE)?.clone(), dependency(input)?)))
            .collect()
    }

    fn internal(&self, name: &str) -> Option<&Value> {
        let internal = &self.provenance.build_definition.internal_parameters;
        internal.get(name)
    }

    pub(crate) fn pieces(&self) -> Option<Pieces> {
        serde_json::from_value(self.internal(PIECES)?.clone()).ok()
    }

    fn declared(&self) -> Value {
        let external = &self.provenance.build_definition.external_parameters;
        external.get("declared").cloned().unwrap_or_default()
    }
}

/// Finds the last time that a step made something.
pub(crate) fn last(
    context: &Context<'_>,
    name: &str,
    step: &Step,
) -> Result<Option<Last>, Problem> {
    let Some(makes) = step.outputs(name).into_iter().next() else {
        return Ok(None);
    };
    let latest = Reference {
        artifact: artifact(context.file, &makes.artifact)?,
        selector: Selector::Latest,
    };
    let Some(version) = context.evidence.find(&latest)? else {
        return Ok(None);
    };
    if version.record.step.as_deref() != Some(name) {
        return Ok(None);
    }
    let link = link(&context.evidence, version)?;
    Ok(link.provenance.map(|provenance| Last {
        version: link.version,
        provenance,
    }))
}

impl Runner {
    /// Tells why a step would run. `before`: the steps that run before it, whose outputs are not known yet; `pieces`:
    /// its own, where they were computed.
    pub(crate) fn reasons(
        &self,
        context: &Context<'_>,
        name: &str,
        step: &Step,
        before: &[String],
        pieces: Option<Pieces>,
    ) -> Result<Vec<String>, Problem> {
        let mut told: Vec<_> = before
            .iter()
            .map(|before| format!("`{before}` runs before it"))
            .collect();
        let Some(last) = last(context, name, step)? else {
            if told.is_empty() {
                told.push("it was never done".to_owned());
            }
            return Ok(told);
        };
        told.extend(declared(&canonical(&json!(step)), &last.declared()));
        let pieces = match pieces {
            Some(pieces) => pieces,
            None => self.pieces(context, name, step)?,
        };
        told.extend(changed_pieces(&pieces, &last));
        told.extend(changed_inputs(context, name, step, &last));
        if last
            .internal("runner")
            .is_some_and(|runner| *runner != json!(RUNNER))
        {
            told.push("this version of Custody runs steps in another way".to_owned());
        }
        if step.runs_each_time() {
            told.push("it has a network: what it is answered may be something else each time (`reuse: true` takes what it made)".to_owned());
        }
        if told.is_empty() {
            let version = last.version.name();
            told.push(if last.version.quarantined {
                format!("{version}, which it made, is in quarantine")
            } else {
                "its answer was no the last time, or what it made is gone".to_owned()
            });
        }
        if let Some(more) = told
            .len()
            .checked_sub(MOST_REASONS)
            .filter(|more| *more > 0)
        {
            told.truncate(MOST_REASONS);
            told.push(format!("{more} more"));
        }
        Ok(told)
    }
}

/// Returns a value as a statement has it, whose signed text writes 1.0 as 1.
fn canonical(value: &Value) -> Value {
    let text = serde_json_canonicalizer::to_vec(value).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Compares the declarations of a step.
fn declared(now: &Value, was: &Value) -> Vec<String> {
    let mut told = Vec::new();
    // The outermost key is the kind of step.
    let kind = |value: &Value| {
        let (kind, inner) = value.as_object()?.iter().next()?;
        Some((kind.clone(), inner.clone()))
    };
    match (kind(now), kind(was)) {
        (Some((now, _)), Some((was, _))) if now != was => {
            told.push(format!("it is a `{now}` step, was `{was}`"));
        }
        (Some((_, now)), Some((_, was))) => differ("", &now, &was, &mut told),
        _ => {}
    }
    told
}

fn differ(path: &str, now: &Value, was: &Value, told: &mut Vec<String>) {
    if now == was {
        return;
    }
    let named = match path.strip_prefix("parameters.") {
        Some(parameter) => format!("the parameter `{parameter}`"),
        None => format!("`{path}`"),
    };
    match (now, was) {
        (Value::Object(now), Value::Object(was)) => {
            let keys: std::collections::BTreeSet<_> = now.keys().chain(was.keys()).collect();
            for key in keys {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                let (now, was) = (now.get(key), was.get(key));
                differ(
                    &path,
                    now.unwrap_or(&Value::Null),
                    was.unwrap_or(&Value::Null),
                    told,
                );
            }
        }
        // What another version of the program did not know is not said otherwise.
        (Value::Null, empty) | (empty, Value::Null) if is_empty(empty) => {}
        (now, Value::Null) => told.push(format!("{named} is new{}", shown(now))),
        (Value::Null, _) => told.push(format!("{named} is gone")),
        (now, was) => match (short(now), short(was)) {
            (Some(now), Some(was)) => told.push(format!("{named} is {now}, was {was}")),
            _ => told.push(format!("{named} changed")),
        },
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(items) => items.values().all(is_empty),
        other => other.is_null(),
    }
}

fn shown(value: &Value) -> String {
    short(value).map_or_else(String::new, |value| format!(": {value}"))
}

fn short(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    (text.len() <= LONGEST_VALUE && !text.contains('\n')).then_some(text)
}

fn changed_pieces(now: &Pieces, last: &Last) -> Vec<String> {
    let Some(was) = last.pieces() else {
        return Vec::new();
    };
    let mut told = compare(&now.code, &was.code, "code file", |_| None);
    told.extend(compare(&now.source, &was.source, "file", |source| {
        Some(source.size.to_string())
    }));
    match (&now.environment, &was.environment) {
        (Some(now), Some(was)) => told.extend(now.changes(was)),
        (Some(_), None) => told.push("it has an environment now".to_owned()),
        (None, Some(_)) => told.push("it has no environment any more".to_owned()),
        (None, None) => {}
    }
    told
}

fn changed_inputs(context: &Context<'_>, name: &str, step: &Step, last: &Last) -> Vec<String> {
    let was = last.inputs();
    let mut told = Vec::new();
    for (role, text) in step.inputs() {
        let Some(now) = context.input(&text) else {
            continue;
        };
        match was.get(&role) {
            Some((_, digest)) if *digest == now.digest => {}
            Some((name, _)) => told.push(format!(
                "the input `{role}` is {}, was {}",
                with_size(&context.evidence, &now.name),
                with_size(&context.evidence, name)
            )),
            // A new input is a change of the declaration, and told there.
            None => {}
        }
    }
    for check in guards(context.file, name) {
        let Some(now) = context.made.get(&check) else {
            continue;
        };
        match was.get(&format!("{CONTRACT}{check}")) {
            Some((_, digest)) if *digest == now.digest => {}
            Some((was, _)) => told.push(format!(
                "the contract `{check}` was decided in {}, then in {was}",
                now.name
            )),
            None => told.push(format!("the contract `{check}` guards it now")),
        }
    }
    let gone = was.keys().filter_map(|role| role.strip_prefix(CONTRACT));
    let guards = guards(context.file, name);
    told.extend(
        gone.filter(|check| !guards.iter().any(|guard| guard == check))
            .map(|check| format!("the contract `{check}` guards it no more")),
    );
    told
}

/// Names a version with how much is in it: rows where its statement tells them, bytes otherwise.
pub(crate) fn with_size(evidence: &Evidence<'_>, name: &VersionName) -> String {
    match evidence.reach(name) {
        Ok(Reach::Version(version)) => {
            let much = rows(evidence, &version).map_or_else(
                || version.record.size.to_string(),
                |rows| format!("{rows} rows"),
            );
            format!("{name} ({much})")
        }
        _ => name.to_string(),
    }
}

/// Returns the number of rows of a version, where the statement about it tells.
fn rows(evidence: &Evidence<'_>, version: &Version) -> Option<u64> {
    let statement = evidence.statement(&version.record.statement?).ok()?;
    let told = statement.predicate.pointer("/runDetails/byproducts")?;
    let own = version.record.artifact.name();
    told.as_array()?.iter().find_map(|told| {
        let about = told.get("artifact").and_then(Value::as_str);
        if told.get("name")?.as_str()? != ROWS || about.is_some_and(|about| about != own) {
            return None;
        }
        told.get("rows")?.as_u64()
    })
}

/// The by-product that tells how many rows a step wrote.
pub(crate) const ROWS: &str = "rows";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_in_a_declaration_is_named() {
        let was = json!({"run": {"command": ["python", "a.py"], "parameters": {"C": 1.0, "deep": {"x": 1}}, "limits": {}, "outputs": {"m": {"kind": "model"}}}});
        let check = |pointer: &str, value: Value, expected: &[&str]| {
            let mut now = was.clone();
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            let parent = now.pointer_mut(parent).unwrap().as_object_mut().unwrap();
            parent.insert(key.to_owned(), value);
            assert_eq!(declared(&now, &was), expected, "{pointer}");
        };
        check("/run/command", was["run"]["command"].clone(), &[]);
        check(
            "/run/parameters/C",
            json!(0.1),
            &["the parameter `C` is 0.1, was 1.0"],
        );
        check(
            "/run/parameters/D",
            json!("x"),
            &["the parameter `D` is new: x"],
        );
        check(
            "/run/parameters/deep",
            json!({"x": 2}),
            &["the parameter `deep.x` is 2, was 1"],
        );
        check(
            "/run/command",
            json!(["python", "b.py"]),
            &[r#"`command` is ["python","b.py"], was ["python","a.py"]"#],
        );
        check("/run/limits", json!({"threads": null}), &[]);
        check("/run/inputs", json!({}), &[]);
        check("/run/outputs", json!({}), &["`outputs.m` is gone"]);
        assert_eq!(
            declared(&json!({"sql": {}}), &was),
            ["it is a `sql` step, was `run`"]
        );
        let long = "SELECT 1\nFROM x";
        assert_eq!(
            declared(
                &json!({"sql": {"outputs": {"t": long}}}),
                &json!({"sql": {"outputs": {"t": "SELECT 2"}}})
            ),
            ["`outputs.t` changed"]
        );
    }
}
