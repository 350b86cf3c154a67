//! A folder with a project, a home and a temporary folder of its own, and the program in it.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
}

impl World {
    /// Makes the folders, and no workspace.
    pub(crate) fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["project", "tmp"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        Self { folder }
    }

    /// Returns a path below the project's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("project").join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_custody"));
        command
            .args(arguments)
            .current_dir(self.path(""))
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.folder.path().join("home"))
            .env("TMPDIR", self.folder.path().join("tmp"))
            .env("CI", "1")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that must end with `code` and say `says`; returns all that it said.
    pub(crate) fn told(&self, arguments: &[&str], code: i32, says: &str) -> String {
        check(&self.run(arguments), code, says)
    }

    pub(crate) fn yes(&self, arguments: &[&str]) -> String {
        self.told(arguments, 0, "")
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[&["--json"], arguments].concat());
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!("{arguments:?}: {error}: {}", text(&output));
        })
    }

    /// Runs a script in which `$0` is the program, `$1` a folder that can be mounted upon and `$2` the project's.
    pub(crate) fn scripted(&self, script: &str) -> Output {
        let small = self.folder.path().join("small");
        fs::create_dir_all(&small).unwrap();
        let command = self.command(&[]);
        let environment = command.get_envs();
        Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount"])
            .args(["/bin/sh", "-c", script])
            .arg(command.get_program())
            .args([&small, &self.path("")])
            .current_dir(self.path(""))
            .env_clear()
            .envs(environment.filter_map(|(name, value)| Some((name, value?))))
            .output()
            .unwrap()
    }

    /// Runs the pipeline, and returns the reply: the last line.
    pub(crate) fn reply(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[&["--json", "run"], arguments].concat());
        let line = output.stdout.split(|byte| *byte == b'\n').rev().nth(1);
        let reply: Value = serde_json::from_slice(line.unwrap()).unwrap();
        assert_eq!(reply["event"], "finished", "{reply}");
        reply
    }
}

/// Returns all that a program said.
pub(crate) fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

pub(crate) fn assert_ok(output: &Output) {
    check(output, 0, "");
}

/// The program ended with `code` and said `says`; returns all that it said.
#[track_caller]
pub(crate) fn check(output: &Output, code: i32, says: &str) -> String {
    assert_says(output, code, &[says])
}

/// As [`check`], for several texts.
#[track_caller]
pub(crate) fn assert_says(output: &Output, code: i32, says: &[&str]) -> String {
    let told = text(output);
    assert_eq!(output.status.code(), Some(code), "{told}");
    for says in says {
        assert!(told.contains(says), "`{says}` is not in: {told}");
    }
    told
}
