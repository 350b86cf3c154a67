//! Whether the files of a model are those that were signed.

use std::collections::BTreeMap;

use custody_attest::oms::manifest::{Manifest, Method, Resource};
use custody_attest::oms::{DEFAULT_IGNORED, FILE, is_within};

use super::{Differences, NotCovered, Options, Unlisted, Verified, VerifyError};
use crate::hash::{self, Scheme};
use crate::tree::{ModelFile, Tree, default_ignored};

/// Refuses a signer that left out more than every signer does and the caller allows.
pub(super) fn check_left_out(
    manifest: &Manifest,
    signature: Option<&str>,
    options: &Options,
) -> Result<(), VerifyError> {
    let allowed = |path: &&String| {
        DEFAULT_IGNORED.contains(&path.as_str())
            || path.as_str() == FILE
            || signature == Some(path.as_str())
            || options.may_leave_out.contains(path)
    };
    let others: Vec<_> = manifest
        .ignore_paths
        .iter()
        .filter(|path| !allowed(path))
        .cloned()
        .collect();
    if others.is_empty() {
        Ok(())
    } else {
        Err(VerifyError::LeavesOut(others))
    }
}

/// Returns which paths are not looked at: the default ones unless they were signed, the signature, and
/// what the signer left out with the caller's leave. A `model.sig` beside the signature in use is not
/// among them: it is a file like any other.
pub(super) fn rules(
    manifest: &Manifest,
    signature: Option<String>,
    options: &Options,
) -> Vec<String> {
    let mut rules = default_ignored(signature);
    let resources = manifest.resources();
    rules.retain(|rule| !resources.iter().any(|one| is_within(&one.path, rule)));
    let left_out = manifest.ignore_paths.iter();
    rules.extend(
        left_out
            .filter(|path| options.may_leave_out.contains(path))
            .cloned(),
    );
    rules
}

pub(super) fn left_out(tree: &Tree<'_>, signature: Option<&str>) -> Vec<(String, NotCovered)> {
    let why = |path: &str| {
        if signature == Some(path) {
            NotCovered::Signature
        } else if DEFAULT_IGNORED.contains(&path) {
            NotCovered::Default
        } else {
            NotCovered::LeftOut
        }
    };
    tree.left_out
        .iter()
        .map(|path| (path.clone(), why(path)))
        .collect()
}

/// Compares names and sizes first, then the bytes.
pub(super) fn compare(
    manifest: &Manifest,
    tree: &Tree<'_>,
    options: &Options,
    progress: &(dyn Fn(u64) + Sync),
    verified: &mut Verified,
) -> Result<(), VerifyError> {
    let expected = expected(manifest, tree);
    let by_path = tree.by_path();
    let mut differences = Differences::default();
    for path in expected.keys() {
        if !by_path.contains_key(path) {
            differences.missing.push((*path).to_owned());
        }
    }
    for file in &tree.files {
        if expected.contains_key(file.path.as_str()) {
            continue;
        }
        if manifest.method != Method::Files && file.size == 0 {
            verified
                .not_covered
                .push((file.path.clone(), NotCovered::Empty));
        } else if options.unlisted == Unlisted::Allow {
            verified
                .not_covered
                .push((file.path.clone(), NotCovered::Unlisted));
        } else {
            differences.unlisted.push(file.path.clone());
        }
    }
    let files: Vec<&ModelFile> = tree
        .files
        .iter()
        .filter(|file| expected.contains_key(file.path.as_str()))
        .collect();
    if differences.is_empty() {
        differences.changed = changed(manifest, tree, &files, &expected, progress)?;
    }
    if !differences.is_empty() {
        return Err(VerifyError::Files(differences));
    }
    verified.covered = files.iter().map(|file| file.path.clone()).collect();
    verified.covered_bytes = files.iter().map(|file| file.size).sum();
    Ok(())
}

type Expected<'a> = BTreeMap<&'a str, BTreeMap<Option<(u64, u64)>, &'a [u8]>>;

/// Groups what was signed by file. A model of one file is called `.` by `model_signing` 1.x, and by its
/// name in the specification.
fn expected<'a>(manifest: &'a Manifest, tree: &'a Tree<'_>) -> Expected<'a> {
    let only = tree.files.first().filter(|_| tree.single);
    let mut expected: Expected<'a> = BTreeMap::new();
    for Resource {
        path,
        range,
        digest,
    } in manifest.resources()
    {
        let path = match only {
            Some(file) if path == "." => file.path.as_str(),
            _ => path,
        };
        expected.entry(path).or_default().insert(*range, digest);
    }
    expected
}

/// Returns the files whose bytes are not those that were signed.
fn changed(
    manifest: &Manifest,
    tree: &Tree<'_>,
    files: &[&ModelFile],
    expected: &Expected<'_>,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Vec<String>, VerifyError> {
    let scheme = Scheme {
        method: manifest.method,
        hash: manifest.hash,
    };
    // A file that grew or shrank has other shards: it need not be read.
    let length = |ranges: &BTreeMap<Option<(u64, u64)>, &[u8]>| {
        ranges.keys().flatten().map(|(_, end)| *end).max()
    };
    let (same, other): (Vec<&ModelFile>, Vec<&ModelFile>) =
        files.iter().copied().partition(|file| {
            manifest.method == Method::Files
                || expected.get(file.path.as_str()).and_then(length) == Some(file.size)
        });
    let mut changed: Vec<_> = other.iter().map(|file| file.path.clone()).collect();
    if changed.is_empty() {
        for found in hash::resources(tree, &same, scheme, progress)? {
            let signed = expected
                .get(found.path.as_str())
                .and_then(|ranges| ranges.get(&found.range));
            if signed != Some(&found.digest.as_slice()) {
                changed.push(found.path);
            }
        }
    }
    changed.sort();
    changed.dedup();
    Ok(changed)
}
