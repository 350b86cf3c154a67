//! Findings as SARIF 2.1.0, which code hosts and editors show.
//!
//! Source: OASIS "Static Analysis Results Interchange Format (SARIF) Version 2.1.0".

use std::collections::BTreeMap;

use serde_json::{Value, json};

use custody_findings::{Finding, Severity, Summary, Verdict};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// Returns one run of the tool in `version` with all findings.
pub fn sarif(summary: &Summary, version: &str) -> Value {
    let findings: Vec<_> = summary
        .files
        .iter()
        .flat_map(|report| &report.findings)
        .collect();
    let mut rules: BTreeMap<&str, &Finding> = BTreeMap::new();
    for finding in &findings {
        rules.entry(&finding.rule).or_insert(finding);
    }
    let index: BTreeMap<_, _> = rules
        .keys()
        .enumerate()
        .map(|(at, rule)| (*rule, at))
        .collect();
    let packs: Vec<_> = summary
        .rules
        .iter()
        .map(|pack| {
            json!({
                "name": pack.name,
                "semanticVersion": pack.version,
                "properties": { "sha256": pack.sha256.to_hex() },
            })
        })
        .collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {
                "driver": {
                    "name": "custody scan",
                    "version": version,
                    "rules": rules.values().map(|finding| rule(finding)).collect::<Vec<_>>(),
                },
                "extensions": packs,
            },
            "invocations": [{
                "executionSuccessful": summary.verdict != Verdict::Unscannable,
                "properties": { "verdict": summary.verdict.word() },
            }],
            "results": findings
                .iter()
                .map(|finding| result(finding, index.get(finding.rule.as_str()).copied()))
                .collect::<Vec<_>>(),
        }],
    })
}

fn rule(finding: &Finding) -> Value {
    json!({
        "id": finding.rule,
        "shortDescription": { "text": finding.rule.replace('/', ": ").replace('-', " ") },
        "help": { "text": if finding.why.is_empty() { &finding.advice } else { &finding.why } },
        "defaultConfiguration": { "level": level(finding) },
    })
}

fn level(finding: &Finding) -> &'static str {
    match (finding.verdict, finding.severity) {
        (Verdict::Clean, _) => "note",
        (Verdict::Malicious, _) | (_, Severity::High | Severity::Critical) => "error",
        _ => "warning",
    }
}

fn result(finding: &Finding, rule_index: Option<usize>) -> Value {
    let place = &finding.place;
    let mut physical = json!({ "artifactLocation": { "uri": uri(&place.file) } });
    let mut location = serde_json::Map::new();
    if place.member.is_empty() {
        if let (Some(offset), Some(physical)) = (place.offset, physical.as_object_mut()) {
            physical.insert("region".to_owned(), json!({ "byteOffset": offset }));
        }
    } else {
        let member = json!([{ "fullyQualifiedName": place.member.join("!"), "kind": "member" }]);
        location.insert("logicalLocations".to_owned(), member);
    }
    location.insert("physicalLocation".to_owned(), physical);
    json!({
        "ruleId": finding.rule,
        "ruleIndex": rule_index,
        "level": level(finding),
        "message": { "text": finding.what },
        "locations": [location],
        "properties": {
            "verdict": finding.verdict.word(),
            "severity": finding.severity.word(),
            "offset": place.offset,
            "references": finding.references,
            "advice": finding.advice,
        },
    })
}

/// Percent-encodes what a URI may not have.
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_' | b'~') {
            uri.push(char::from(byte));
        } else {
            uri.push('%');
            uri.push_str(&hex::encode_upper([byte]));
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::scan;
    use custody_findings::Rules;

    #[test]
    fn a_finding_names_its_rule_place_and_level() {
        let rules = Rules::built_in().unwrap();
        let bytes = b"cos\nsystem\n(S'true'\ntR.".to_vec();
        let report = scan("a b.pkl", &bytes, &rules);
        let summary = Summary::of(vec![report], &rules);
        let document = sarif(&summary, "1.0.0");
        let result = &document["runs"][0]["results"][0];
        assert_eq!(result["ruleId"], "pickle/sink");
        assert_eq!(result["level"], "error");
        let location = &result["locations"][0]["physicalLocation"];
        assert_eq!(location["artifactLocation"]["uri"], "a%20b.pkl");
        assert_eq!(location["region"]["byteOffset"], 0);
        let at = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(
            document["runs"][0]["tool"]["driver"]["rules"][at]["id"],
            "pickle/sink"
        );
    }
}
