//! The project's own chores: `cargo xtask layers`, `cargo xtask generate`.
#![forbid(unsafe_code)]

mod layers;

use std::io::Write;
use std::process::ExitCode;

use serde_json::Value;

fn main() -> ExitCode {
    let command = std::env::args().nth(1).unwrap_or_default();
    let done = match command.as_str() {
        "layers" => check_layers(),
        _ => Err("usage: cargo xtask layers".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            let _closed = writeln!(std::io::stderr(), "{message}");
            ExitCode::FAILURE
        }
    }
}

fn check_layers() -> Result<(), String> {
    let found = layers::violations(&metadata()?);
    if found.is_empty() {
        Ok(())
    } else {
        Err(found.join("\n"))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a chore of the project, not the product"
)]
fn metadata() -> Result<Value, String> {
    let output = std::process::Command::new("cargo")
        .args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--offline",
        ])
        .output()
        .map_err(|error| format!("cargo metadata: {error}"))?;
    serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))
}
