//! Filling the folder of an environment: the interpreter, its standard library, the packages of the lock file.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use custody_types::is_no_room;

use super::{EnvironmentError, EnvironmentSpec, io_at};

/// What of the standard library is left out: tests, editors and what only builds or installs.
const LEFT_OUT: &[&str] = &[
    "__pycache__",
    "test",
    "tests",
    "idlelib",
    "turtledemo",
    "tkinter",
    "ensurepip",
    "lib2to3",
    "site-packages",
    "dist-packages",
];

/// Returns whether a Python program says that the disk is full: ENOSPC, EDQUOT, EFBIG.
fn tells_no_room(output: &[u8]) -> bool {
    let text = String::from_utf8_lossy(output);
    let told = ["[Errno 28]", "[Errno 122]", "[Errno 27]"];
    told.iter().any(|error| text.contains(error))
}

pub(super) fn copy_interpreter(
    spec: &EnvironmentSpec,
    folder: &Path,
) -> Result<(), EnvironmentError> {
    let interpreter = &spec.interpreter;
    let bin = folder.join("bin");
    fs::create_dir_all(&bin).map_err(io_at(&bin))?;
    copy_file(&interpreter.executable, &folder.join(spec.python()))?;
    fs::hard_link(folder.join(spec.python()), bin.join("python3")).map_err(io_at(&bin))?;
    let library = folder.join(spec.library_folder());
    copy_library(&interpreter.stdlib, &library)?;
    if let Some(shared) = &interpreter.library
        && let Some(name) = shared.file_name()
    {
        copy_file(shared, &folder.join("lib").join(name))?;
    }
    Ok(())
}

pub(super) fn copy_library(from: &Path, to: &Path) -> Result<(), EnvironmentError> {
    fs::create_dir_all(to).map_err(io_at(to))?;
    for entry in fs::read_dir(from).map_err(io_at(from))? {
        let entry = entry.map_err(io_at(from))?;
        let name = entry.file_name();
        let Some(text) = name.to_str() else { continue };
        if LEFT_OUT.contains(&text) || text.starts_with("config-") {
            continue;
        }
        // Follows links: Debian links some modules to files elsewhere. A dead link is left out.
        let Ok(metadata) = fs::metadata(entry.path()) else {
            continue;
        };
        if metadata.is_dir() {
            copy_library(&entry.path(), &to.join(&name))?;
        } else if metadata.is_file() {
            copy_file(&entry.path(), &to.join(&name))?;
        }
    }
    Ok(())
}

pub(super) fn copy_file(from: &Path, to: &Path) -> Result<(), EnvironmentError> {
    let copied = fs::copy(from, to).map(drop);
    copied.map_err(|error| {
        let place = if is_no_room(&error) { to } else { from };
        io_at(place)(error)
    })
}

pub(super) fn install_packages(
    spec: &EnvironmentSpec,
    folder: &Path,
) -> Result<(), EnvironmentError> {
    let site = folder.join(spec.library_folder()).join("site-packages");
    fs::create_dir_all(&site).map_err(io_at(&site))?;
    let mut lock = tempfile::Builder::new()
        .suffix(".txt")
        .tempfile()
        .map_err(io_at(folder))?;
    lock.write_all(spec.lock.as_bytes())
        .map_err(io_at(folder))?;
    let answer = Command::new(&spec.interpreter.executable)
        .args([
            "-m",
            "pip",
            "install",
            "--require-hashes",
            "--no-deps",
            "--only-binary",
            ":all:",
        ])
        .args([
            "--no-compile",
            "--no-input",
            "--disable-pip-version-check",
            "--quiet",
        ])
        .args(["--root-user-action", "ignore", "--target"])
        .arg(&site)
        .arg("-r")
        .arg(lock.path())
        .stdin(Stdio::null())
        .output()
        .map_err(io_at(&spec.interpreter.executable))?;
    if !answer.status.success() {
        let text = String::from_utf8_lossy(&answer.stderr);
        if tells_no_room(&answer.stderr) {
            return Err(EnvironmentError::NoRoom { path: site });
        }
        if text.contains("No module named pip") {
            return Err(EnvironmentError::NoPip {
                python: spec.interpreter.executable.clone(),
            });
        }
        return Err(not_installed(spec, &text));
    }
    drop_launchers(&site)
}

/// Tells why the installer refused; `text`: what it wrote. It decides on all packages before it takes the first, so
/// that nothing was installed, and no program of a package ran.
pub(super) fn not_installed(spec: &EnvironmentSpec, text: &str) -> EnvironmentError {
    const LINES: usize = 6;
    const MISSING: &str = "No matching distribution found for ";
    let missing = text.lines().find_map(|line| line.split_once(MISSING));
    if let Some((_, package)) = missing {
        let package = package.split_ascii_whitespace().next().unwrap_or_default();
        let files = unusable_files(spec, package).unwrap_or_default();
        if !files.is_empty() {
            return EnvironmentError::NoWheel {
                package: package.to_owned(),
                platform: spec.interpreter.platform.clone(),
                python: spec.interpreter.version.clone(),
                files,
            };
        }
    }
    let lines: Vec<_> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let last = lines.iter().skip(lines.len().saturating_sub(LINES));
    EnvironmentError::Install(last.copied().collect::<Vec<_>>().join("\n"))
}

/// Asks the index which files of a package there are that cannot be installed here as they are. Takes none of them.
pub(super) fn unusable_files(spec: &EnvironmentSpec, package: &str) -> io::Result<Vec<String>> {
    const MOST: usize = 5;
    let version = package.split_once("==").map_or("", |(_, version)| version);
    let folder = tempfile::tempdir()?;
    let wanted = folder.path().join("wanted.txt");
    let places = spec.lock.lines().filter(|line| {
        [
            "--index-url",
            "--extra-index-url",
            "--find-links",
            "--no-index",
            "-i",
        ]
        .iter()
        .any(|option| line.trim_start().starts_with(option))
    });
    let text: String = places
        .chain([package])
        .flat_map(|line| [line, "\n"])
        .collect();
    fs::write(&wanted, text)?;
    let answer = Command::new(&spec.interpreter.executable)
        .args([
            "-m",
            "pip",
            "download",
            "-vv",
            "--no-deps",
            "--only-binary",
            ":all:",
        ])
        .args(["--no-input", "--disable-pip-version-check", "--dest"])
        .arg(folder.path())
        .arg("-r")
        .arg(&wanted)
        .stdin(Stdio::null())
        .output()?;
    let told = String::from_utf8_lossy(&answer.stdout);
    let mut files = skipped_files(&told, version);
    files.truncate(MOST);
    Ok(files)
}

/// Reads from what the installer tells which files of a version it passes over: sources, and what was built for others.
pub(super) fn skipped_files(told: &str, version: &str) -> Vec<String> {
    told.lines()
        .filter_map(|line| line.split_once("Skipping link: ")?.1.rsplit_once(": "))
        .filter(|(why, _)| why.contains("No sources permitted") || why.contains("tags"))
        .filter_map(|(_, link)| {
            let address = link.split(['#', ' ']).next()?;
            address.rsplit('/').next()
        })
        .filter(|file| file.contains(version))
        .map(ToOwned::to_owned)
        .collect()
}

/// Removes the programs that the installer made for the host's interpreter, and their mention: their
/// first line names a path of this machine, and a step starts modules, not programs.
pub(super) fn drop_launchers(site: &Path) -> Result<(), EnvironmentError> {
    let bin = site.join("bin");
    if bin.is_dir() {
        fs::remove_dir_all(&bin).map_err(io_at(&bin))?;
    }
    for entry in fs::read_dir(site).map_err(io_at(site))? {
        let record = entry.map_err(io_at(site))?.path().join("RECORD");
        if let Ok(text) = fs::read_to_string(&record) {
            let kept: String = text
                .split_inclusive('\n')
                .filter(|line| !line.starts_with("../") && !line.starts_with("bin/"))
                .collect();
            fs::write(&record, kept).map_err(io_at(&record))?;
        }
    }
    Ok(())
}

/// Compiles every module to byte code that does not depend on times and paths of this machine. What
/// does not compile (templates, other versions' syntax) is left as it is; what found no room is not: the
/// environment would be another one.
pub(super) fn compile(spec: &EnvironmentSpec, folder: &Path) -> Result<(), EnvironmentError> {
    let answer = Command::new(&spec.interpreter.executable)
        .args([
            "-I",
            "-m",
            "compileall",
            "-q",
            "-j",
            "0",
            "--invalidation-mode",
            "unchecked-hash",
        ])
        .arg("-s")
        .arg(folder)
        .args(["-p", "/env"])
        .arg(folder.join(spec.library_folder()))
        .stdin(Stdio::null())
        .output()
        .map_err(io_at(&spec.interpreter.executable))?;
    if tells_no_room(&answer.stdout) || tells_no_room(&answer.stderr) {
        return Err(EnvironmentError::NoRoom {
            path: folder.to_owned(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As pip 23.2 tells it.
    #[test]
    fn what_cannot_be_installed_as_it_is_is_named() {
        let told = "0 location(s) to search for versions of foo:
          Skipping link: No sources permitted for foo: https://files.example.org/a/foo-1.0.tar.gz#sha256=00 (from https://pypi.example.org/simple/foo/) (requires-python:>=3.8)
          Skipping link: No sources permitted for foo: file:///links/foo-0.9.tar.gz
          Skipping link: none of the wheel's tags (cp27-none-win32) are compatible (run pip debug --verbose to show compatible tags): file:///links/foo-1.0-cp27-none-win32.whl
          Skipping link: unsupported archive format: .exe: file:///links/foo-1.0.exe";
        assert_eq!(
            skipped_files(told, "1.0"),
            ["foo-1.0.tar.gz", "foo-1.0-cp27-none-win32.whl"]
        );
    }
}
