//! Lock files of environments: what they pin, and what to do about one that leaves a choice.

use std::collections::BTreeMap;

use custody_attest::lock::Lock;
use custody_types::{Problem, code};

/// Options of a lock file by which a package would be built from its source.
const BUILDS: &[&str] = &["--no-binary", "--no-only-binary"];

/// Returns the version of each package of the lock file `path`, for Python `python`.
///
/// # Errors
/// A [`Problem`] that says what to run instead.
pub(crate) fn packages(
    path: &str,
    python: &str,
    text: &str,
) -> Result<BTreeMap<String, String>, Problem> {
    let what = format!("the lock file `{path}` does not pin what is installed");
    let lock = Lock::parse(text).map_err(|error| {
        Problem::new(code::ENV_006, &what)
            .because(error)
            .hint(hint(path, python, text))
    })?;
    let builds = text.lines().zip(1_usize..).find(|(line, _)| {
        let word = line.split(['=', ' ']).next().unwrap_or_default();
        BUILDS.contains(&word)
    });
    if let Some((line, number)) = builds {
        return Err(Problem::new(code::ENV_007, what)
            .because(format!("line {number}, `{}`, asks for source distributions, which run programs of theirs when they are built", line.trim()))
            .hint(format!("take built packages only: {}", hint(path, python, text))));
    }
    let packages = lock.packages();
    Ok(packages
        .map(|(package, _)| (package.name().to_owned(), package.version().to_owned()))
        .collect())
}

/// Tells which command makes a lock file of what is there.
fn hint(path: &str, python: &str, text: &str) -> String {
    let (folder, name) = match path.rsplit_once('/') {
        Some((folder, name)) => (format!("{folder}/"), name),
        None => (String::new(), path),
    };
    if name == "uv.lock" || text.contains("\n[[package]]") {
        return format!(
            "`uv export --format requirements-txt --no-emit-project --output-file {folder}requirements.lock`, then `lock: {folder}requirements.lock`"
        );
    }
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let (from, to) = match name.rsplit_once('.') {
        Some((_, "lock")) => (format!("{stem}.in"), name.to_owned()),
        Some((_, "toml")) => (name.to_owned(), "requirements.lock".to_owned()),
        _ => (name.to_owned(), format!("{stem}.lock")),
    };
    let then = if to == name {
        String::new()
    } else {
        format!(", then `lock: {folder}{to}`")
    };
    format!(
        "`uv pip compile --generate-hashes --only-binary :all: --python-version {python} {folder}{from} --output-file {folder}{to}`{then}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_leaves_a_choice_is_told_with_the_command_that_makes_one() {
        for (path, text, because, hint) in [
            (
                "requirements.txt",
                "numpy==2.0\n",
                "line 1: `numpy==2.0` has no hash",
                "`uv pip compile --generate-hashes --only-binary :all: --python-version 3.11 requirements.txt --output-file requirements.lock`, then `lock: requirements.lock`",
            ),
            (
                "env/requirements.lock",
                "numpy==2.0\n",
                "has no hash",
                "3.11 env/requirements.in --output-file env/requirements.lock`",
            ),
            (
                "uv.lock",
                "version = 1\n\n[[package]]\nname = \"numpy\"\n",
                "line 1",
                "`uv export --format requirements-txt",
            ),
            (
                "pyproject.toml",
                "[project]\n",
                "line 1",
                "3.11 pyproject.toml --output",
            ),
            (
                "r.lock",
                "--no-binary :all:\nsix==1.0 --hash=sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n",
                "line 1, `--no-binary :all:`, asks for source distributions",
                "take built packages only",
            ),
        ] {
            let problem = packages(path, "3.11", text).unwrap_err();
            assert!(problem.because.join("\n").contains(because), "{problem}");
            assert!(problem.hint.clone().unwrap().contains(hint), "{problem}");
        }
        let good = "six==1.16.0 --hash=sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n";
        let found = packages("r.lock", "3.11", good).unwrap();
        assert_eq!(
            found,
            BTreeMap::from([("six".to_owned(), "1.16.0".to_owned())])
        );
    }
}
