//! Lock files of Python environments: every package with its version and the hashes of the files that it may be
//! installed from.
//!
//! Source: pip's [requirements file format](https://pip.pypa.io/en/stable/reference/requirements-file-format/), the
//! part of it that `pip-compile --generate-hashes` and `uv pip compile --generate-hashes` write.

use std::collections::{BTreeMap, BTreeSet};

use custody_types::Digest;

use crate::package::{PackageId, shown};
use crate::{AttestError, malformed};

/// The longest lock file, in bytes.
pub const MAX_BYTES: usize = 16 << 20;
/// The most packages.
pub const MAX_PACKAGES: usize = 10_000;
/// Options that say where packages come from or which files may be taken; they change no package.
const OPTIONS: [&str; 8] = [
    "--index-url",
    "--extra-index-url",
    "--find-links",
    "--no-index",
    "--only-binary",
    "--no-binary",
    "--prefer-binary",
    "-i",
];

/// The packages of a lock file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lock(BTreeMap<PackageId, BTreeSet<Digest>>);

impl Lock {
    /// Reads a lock file.
    ///
    /// # Errors
    /// [`AttestError::Malformed`] naming the line that has no exact version or no SHA-256, names a package that stands
    /// there already, or is of another kind, such as an included file or an address; and for a file longer than
    /// [`MAX_BYTES`] or with more than [`MAX_PACKAGES`].
    pub fn parse(text: &str) -> Result<Self, AttestError> {
        if text.len() > MAX_BYTES {
            return Err(wrong(format!("it is longer than {MAX_BYTES} bytes")));
        }
        let mut lock = Self::default();
        for (number, line) in logical_lines(text) {
            let at = |because: &dyn std::fmt::Display| wrong(format!("line {number}: {because}"));
            let Some((package, hashes)) = requirement(&line).map_err(|because| at(&because))?
            else {
                continue;
            };
            if lock.0.len() == MAX_PACKAGES {
                return Err(wrong(format!("it has more than {MAX_PACKAGES} packages")));
            }
            let again = format!("`{package}` stands there already");
            if lock.0.insert(package, hashes).is_some() {
                return Err(at(&again));
            }
        }
        Ok(lock)
    }

    /// Returns the packages in the order of their names, each with the SHA-256 of the files that it may be installed
    /// from: one for each platform that it is built for.
    pub fn packages(&self) -> impl Iterator<Item = (&PackageId, &BTreeSet<Digest>)> {
        self.0.iter()
    }

    /// Returns the SHA-256 of the file that a package is installed from, where the lock leaves but one.
    pub fn only_hash(&self, package: &PackageId) -> Option<Digest> {
        let hashes = self.0.get(package)?;
        match hashes.len() {
            1 => hashes.first().copied(),
            _ => None,
        }
    }
}

/// Joins continued lines and cuts comments off; gives each with the number of its first line.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (line, number) in text.lines().zip(1_usize..) {
        let comment = line.trim_start().starts_with('#');
        let line = if comment { "" } else { line };
        let line = line.split(" #").next().unwrap_or_default();
        let (part, continues) = match line.strip_suffix('\\') {
            Some(part) => (part, true),
            None => (line, false),
        };
        let (first, mut whole) = open.take().unwrap_or((number, String::new()));
        whole.push_str(part);
        if continues {
            whole.push(' ');
            open = Some((first, whole));
        } else {
            lines.push((first, whole));
        }
    }
    lines.extend(open);
    lines
}

/// Reads `name[extra,…]==version ; marker --hash=sha256:…`; nothing for an empty line and a harmless option.
fn requirement(line: &str) -> Result<Option<(PackageId, BTreeSet<Digest>)>, String> {
    let line = line.trim();
    let first = line.split_ascii_whitespace().next().unwrap_or_default();
    let option = first.split('=').next().unwrap_or_default();
    if first.is_empty() || OPTIONS.contains(&option) {
        return Ok(None);
    }
    let (requirement, mut options) = match line.split_once(" --") {
        Some((requirement, options)) => (requirement, options.split(" --")),
        None => return Err(format!("{} has no hash", shown(line))),
    };
    let requirement = requirement.split(';').next().unwrap_or_default();
    let (name, version) = requirement
        .split_once("==")
        .ok_or_else(|| format!("{} has no exact version", shown(requirement)))?;
    let name = match name.split_once('[') {
        Some((name, extras)) if extras.trim_end().ends_with(']') => name,
        Some(_) => return Err(format!("{} is no package", shown(name))),
        None => name,
    };
    let package = PackageId::new(name.trim(), version.trim()).map_err(|error| error.to_string())?;
    let hashes = options.try_fold(BTreeSet::new(), |mut hashes, option| {
        let hash = option.trim().strip_prefix("hash=");
        let digest = hash.and_then(|hash| hash.parse::<Digest>().ok());
        hashes.insert(digest.ok_or_else(|| format!("{} is no SHA-256", shown(option)))?);
        Ok::<_, String>(hashes)
    })?;
    Ok(Some((package, hashes)))
}

fn wrong(because: impl std::fmt::Display) -> AttestError {
    malformed("lock file", because)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hash(text: &str) -> String {
        format!("--hash={}", Digest::of(text.as_bytes()))
    }

    #[test]
    fn packages_are_read_with_their_hashes() {
        let text = format!(
            "# made by hand\n--index-url https://a.org/simple\n--only-binary=:all:\n\nNumPy==2.4.6 \\\n    {} \\\n    {}\n    # via scipy\n\
            ruamel.yaml[x,y]==1.0 ; python_version < \"3.12\" {}  # here\r\ncryptography==50 \\\n# between\n    {}\n",
            hash("a"),
            hash("b"),
            hash("c"),
            hash("d"),
        );
        let broken = Lock::parse(&text).unwrap_err().to_string();
        assert!(broken.contains("line 10: `cryptography==50"), "{broken}");
        let lock = Lock::parse(&text.replace("# between\n", "")).unwrap();
        let found: Vec<_> = lock
            .packages()
            .map(|(package, hashes)| format!("{package} {}", hashes.len()))
            .collect();
        assert_eq!(
            found,
            ["cryptography==50 1", "numpy==2.4.6 2", "ruamel-yaml==1.0 1"]
        );
        let only =
            |name: &str, version: &str| lock.only_hash(&PackageId::new(name, version).unwrap());
        assert_eq!(only("numpy", "2.4.6"), None);
        assert_eq!(only("Ruamel_Yaml", "1.0"), Some(Digest::of(b"c")));
        assert_eq!(only("ruamel-yaml", "2.0"), None);
    }

    #[test]
    fn the_locks_of_this_repository_are_read() {
        for (text, packages) in [
            (
                include_str!("../../../tests/python/requirements.lock"),
                ["numpy", "cyclonedx-python-lib"],
            ),
            (
                include_str!("../../../examples/employment/requirements.lock"),
                ["numpy", "scikit-learn"],
            ),
        ] {
            let lock = Lock::parse(text).unwrap();
            let names: Vec<_> = lock.packages().map(|(package, _)| package.name()).collect();
            assert_eq!(names.len(), text.matches("==").count());
            assert!(
                packages.iter().all(|name| names.contains(name)),
                "{names:?}"
            );
        }
    }

    #[test]
    fn what_leaves_a_choice_is_refused() {
        let good = hash("a");
        for (line, because) in [
            ("numpy==2.4.6".to_owned(), "has no hash"),
            (format!("numpy>=2 {good}"), "has no exact version"),
            (format!("numpy {good}"), "has no exact version"),
            (format!("numpy==2.* {good}"), "package's version"),
            (format!("numpy===2==3 {good}"), "package's version"),
            (format!("num[x==2 {good}"), "is no package"),
            ("numpy==2 --hash=md5:abc".to_owned(), "is no SHA-256"),
            ("numpy==2 --hash=sha256:abc".to_owned(), "is no SHA-256"),
            (format!("numpy==2 {good} --pre"), "is no SHA-256"),
            ("-r other.txt".to_owned(), "has no hash"),
            ("-e .".to_owned(), "has no hash"),
            ("--pre".to_owned(), "has no hash"),
            (
                format!("https://a.org/x.whl {good}"),
                "has no exact version",
            ),
            (
                format!("x @ https://a.org/x.whl {good}"),
                "has no exact version",
            ),
            (
                format!("a-b==1 {good}\nA_B==1 {good}"),
                "line 2: `a-b==1` stands there already",
            ),
        ] {
            let error = Lock::parse(&line).unwrap_err().to_string();
            assert!(error.contains(because), "{line}: {error}");
        }
        let long = " ".repeat(MAX_BYTES + 1);
        assert!(Lock::parse(&long).is_err());
        let many: Vec<_> = (0..=MAX_PACKAGES)
            .map(|number| format!("p{number}==1 {good}"))
            .collect();
        assert!(Lock::parse(&many.join("\n")).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(numpy==1|[ -~\n\\\\#]| --hash=sha256:){0,40}") {
            if let Ok(lock) = Lock::parse(&text) {
                prop_assert!(lock.packages().all(|(_, hashes)| !hashes.is_empty()));
            }
        }
    }
}
