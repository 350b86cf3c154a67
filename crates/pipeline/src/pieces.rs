//! What decides whether a step was done before, taken apart, so that a later run can say what changed.
//!
//! The pieces stand in the statement about the step, beside its declaration and the versions that went in.

use std::collections::BTreeMap;

use custody_types::{ByteSize, Digest};
use serde::{Deserialize, Serialize};

use crate::memory::MadeFile;

/// Where a statement has the pieces.
pub(crate) const PIECES: &str = "pieces";

/// The pieces of a step that stand nowhere else in its statement.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Pieces {
    /// Its code: the SHA-256 of each file by path, followed by `+x` where it may be executed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) code: BTreeMap<String, String>,
    /// What its program ran with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) environment: Option<EnvironmentPieces>,
    /// The files that it collected.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) source: BTreeMap<String, SourcePiece>,
}

/// What an environment is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EnvironmentPieces {
    /// Its name in the pipeline file; `None`: the one that every step has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// The whole version of the interpreter.
    pub(crate) python: String,
    /// The platform.
    pub(crate) platform: String,
    /// The version of each package.
    pub(crate) packages: BTreeMap<String, String>,
    /// The lock file.
    pub(crate) lock: Digest,
}

/// A file that was collected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SourcePiece {
    /// Its SHA-256.
    pub(crate) sha256: Digest,
    /// Its size.
    pub(crate) size: ByteSize,
}

/// Returns the pieces of code.
pub(crate) fn code(files: &[MadeFile]) -> BTreeMap<String, String> {
    let piece = |file: &MadeFile| {
        let mark = if file.executable { "+x" } else { "" };
        (
            file.path.to_string(),
            format!("{}{mark}", Digest::of(&file.bytes)),
        )
    };
    files.iter().map(piece).collect()
}

impl EnvironmentPieces {
    /// Tells what makes it another environment than `before`, a line each.
    pub(crate) fn changes(&self, before: &Self) -> Vec<String> {
        let mut told = Vec::new();
        for (what, now, was) in [
            ("Python", &self.python, &before.python),
            ("the platform", &self.platform, &before.platform),
        ] {
            if now != was {
                told.push(format!("{what} is {now}, was {was}"));
            }
        }
        let mut packages = compare(&self.packages, &before.packages, "package", |version| {
            Some(version.clone())
        });
        if told.is_empty() && packages.is_empty() && self.lock != before.lock {
            packages
                .push("the lock file has other hashes or options for the same packages".to_owned());
        }
        told.extend(packages);
        told
    }
}

/// Tells what was added to, taken from and changed in a mapping, a line each; `show`: how a value is shown, if it may
/// be.
pub(crate) fn compare<T: PartialEq>(
    now: &BTreeMap<String, T>,
    was: &BTreeMap<String, T>,
    what: &str,
    show: impl Fn(&T) -> Option<String>,
) -> Vec<String> {
    let mut told = Vec::new();
    let names: std::collections::BTreeSet<_> = now.keys().chain(was.keys()).collect();
    for name in names {
        let with = |value: &T| {
            show(value)
                .map(|value| format!(" {value}"))
                .unwrap_or_default()
        };
        match (now.get(name), was.get(name)) {
            (Some(now), None) => told.push(format!("the {what} `{name}`{} is new", with(now))),
            (None, Some(was)) => told.push(format!("the {what} `{name}`{} is gone", with(was))),
            (Some(now), Some(was)) if now != was => {
                told.push(match (show(now), show(was)) {
                    (Some(now), Some(was)) => format!("the {what} `{name}` is {now}, was {was}"),
                    _ => format!("the {what} `{name}` changed"),
                });
            }
            _ => {}
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(python: &str, packages: &[(&str, &str)], lock: &str) -> EnvironmentPieces {
        EnvironmentPieces {
            name: None,
            python: python.to_owned(),
            platform: "linux-x86_64".to_owned(),
            packages: packages
                .iter()
                .map(|(name, version)| ((*name).to_owned(), (*version).to_owned()))
                .collect(),
            lock: Digest::of(lock.as_bytes()),
        }
    }

    #[test]
    fn what_makes_an_environment_another_is_named() {
        let before = environment("3.11.7", &[("numpy", "1.26.4"), ("six", "1.16.0")], "a");
        let check = |now: EnvironmentPieces, expected: &[&str]| {
            assert_eq!(now.changes(&before), expected);
        };
        check(before.clone(), &[]);
        check(
            environment("3.12.1", &[("numpy", "2.0.0"), ("scipy", "1.14")], "b"),
            &[
                "Python is 3.12.1, was 3.11.7",
                "the package `numpy` is 2.0.0, was 1.26.4",
                "the package `scipy` 1.14 is new",
                "the package `six` 1.16.0 is gone",
            ],
        );
        check(
            environment("3.11.7", &[("numpy", "1.26.4"), ("six", "1.16.0")], "b"),
            &["the lock file has other hashes or options for the same packages"],
        );
    }
}
