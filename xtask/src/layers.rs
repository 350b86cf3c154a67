//! The layers: which crate may depend on which.

use std::collections::BTreeMap;

use serde_json::Value;

/// The crates by rank, as ARCHITECTURE.md lists them; a crate depends on lower ranks only.
const RANKS: &[(&str, u8)] = &[
    ("custody-types", 0),
    ("custody-crypto", 1),
    ("custody-tlog", 1),
    ("custody-identity", 1),
    ("custody-tls", 1),
    ("custody-observe", 1),
    ("custody-oidc", 1),
    ("custody-policy", 2),
    ("custody-attest", 1),
    ("custody-findings", 1),
    ("custody-scan", 2),
    ("custody-stats", 1),
    ("custody-tabular", 1),
    ("custody-wire", 2),
    ("custody-outgoing", 2),
    ("custody-signing", 2),
    ("custody-drawing", 3),
    ("custody-store", 2),
    ("custody-ledger", 2),
    ("custody-telemetry", 3),
    ("custody-guard", 3),
    ("custody-backends", 3),
    ("custody-engine", 4),
    ("custody-sandbox", 4),
    ("custody-pipeline", 5),
    ("custody-host", 6),
    ("custody-api", 7),
    ("custody-client", 8),
    ("custody-server", 8),
    ("custody-web", 9),
    ("custody-cli", 10),
    ("custody-bench", 10),
    ("custody-fuzz", 10),
];

/// Outside crates that only the named crates of ours may use.
const CONFINED: &[(&str, &[&str])] = &[
    ("datafusion", &["custody-engine"]),
    ("cedar-policy", &["custody-policy"]),
    ("rusqlite", &["custody-backends"]),
    ("landlock", &["custody-sandbox"]),
    ("prometheus-client", &["custody-telemetry"]),
    ("prost", &["custody-telemetry"]),
    ("seccompiler", &["custody-sandbox"]),
    (
        "custody-store",
        &[
            "custody-guard",
            "custody-backends",
            "custody-host",
            "custody-bench",
            "custody-fuzz",
        ],
    ),
    (
        "custody-ledger",
        &[
            "custody-guard",
            "custody-backends",
            "custody-host",
            "custody-cli",
            "custody-bench",
            "custody-fuzz",
        ],
    ),
];

/// Finds what breaks the layers in the output of `cargo metadata --no-deps`, a sentence each.
pub(crate) fn violations(metadata: &Value) -> Vec<String> {
    let ranks: BTreeMap<_, _> = RANKS.iter().copied().collect();
    let mut found = Vec::new();
    for (package, dependency, development) in dependencies(metadata) {
        if package == "xtask" {
            continue;
        }
        let Some(rank) = ranks.get(package) else {
            found.push(format!("`{package}` has no rank"));
            continue;
        };
        let allowed = CONFINED.iter().find(|(name, _)| *name == dependency);
        if let Some((_, users)) = allowed
            && !development
            && !users.contains(&package)
        {
            found.push(format!(
                "`{package}` may not use `{dependency}`; only {users:?} may"
            ));
        }
        if let Some(below) = ranks.get(dependency)
            && below >= rank
            && !development
        {
            found.push(format!(
                "`{package}` (rank {rank}) may not depend on `{dependency}` (rank {below})"
            ));
        }
    }
    found.sort();
    found.dedup();
    found
}

/// Lists package, dependency, and whether it is for development alone.
fn dependencies(metadata: &Value) -> Vec<(&str, &str, bool)> {
    let packages = metadata
        .get("packages")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let mut found = Vec::new();
    for package in packages {
        let name = package
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        for dependency in package
            .get("dependencies")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let on = dependency
                .get("name")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let development = dependency.get("kind").and_then(Value::as_str) == Some("dev");
            found.push((name, on, development));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn metadata(package: &str, dependency: &str, kind: Option<&str>) -> Value {
        json!({ "packages": [{ "name": package, "dependencies": [{ "name": dependency, "kind": kind }] }] })
    }

    #[test]
    fn the_workspace_keeps_its_layers() {
        assert_eq!(
            violations(&crate::metadata().unwrap()),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_dependency_upwards_or_sideways_is_found() {
        assert_eq!(
            violations(&metadata("custody-types", "custody-store", None)).len(),
            2
        );
        assert_eq!(
            violations(&metadata("custody-tlog", "custody-crypto", None)).len(),
            1
        );
        assert_eq!(
            violations(&metadata("custody-pipeline", "datafusion", None)).len(),
            1
        );
        assert_eq!(violations(&metadata("custody-new", "serde", None)).len(), 1);
        assert_eq!(
            violations(&metadata("custody-guard", "custody-store", None)),
            Vec::<String>::new()
        );
        assert_eq!(
            violations(&metadata("custody-tlog", "custody-crypto", Some("dev"))),
            Vec::<String>::new()
        );
    }
}
