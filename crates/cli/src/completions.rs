//! Shell completions, with the real names of artifacts and versions.

use std::ffi::OsStr;

use clap::CommandFactory;
use clap_complete::engine::CompletionCandidate;
use clap_complete::env::{CompleteEnv, Shells};
use custody_types::{ExitCode, Problem, code};
use custody_wire::{ListQuery, VersionView};

use crate::args::{Cli, Completions, ShellArg};
use crate::context::Context;
use crate::output::Output;
use crate::settings::Settings;

/// The variable by which the shell's script asks this program for candidates.
const VARIABLE: &str = "COMPLETE";

/// Answers a shell that asks for candidates, and ends the process then.
pub(crate) fn answer_shell() {
    CompleteEnv::with_factory(Cli::command)
        .var(VARIABLE)
        .bin("custody")
        .complete();
}

/// Prints the script that makes a shell ask.
pub(crate) fn print(args: &Completions) -> Result<ExitCode, Problem> {
    let name = match args.shell {
        ShellArg::Bash => "bash",
        ShellArg::Zsh => "zsh",
        ShellArg::Fish => "fish",
        ShellArg::Powershell => "powershell",
        ShellArg::Elvish => "elvish",
    };
    let mut script = Vec::new();
    if let Some(shell) = Shells::builtins().completer(name) {
        shell
            .write_registration(VARIABLE, "custody", "custody", "custody", &mut script)
            .map_err(|error| {
                Problem::new(
                    code::CLI_014,
                    format!("no script for {name} can be written"),
                )
                .because(error)
            })?;
    }
    Output::plain(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::Done)
}

/// The names of artifacts.
pub(crate) fn artifacts(typed: &OsStr) -> Vec<CompletionCandidate> {
    candidates(typed, |version| vec![version.name.artifact.to_string()])
}

/// The names of versions, by number and by alias.
pub(crate) fn references(typed: &OsStr) -> Vec<CompletionCandidate> {
    candidates(typed, |version| {
        let artifact = &version.name.artifact;
        let aliases = version
            .aliases
            .iter()
            .map(|alias| format!("{artifact}@{alias}"));
        std::iter::once(version.name.to_string())
            .chain(aliases)
            .collect()
    })
}

/// How many versions are looked at to complete a name.
const MOST_COMPLETED: u64 = 10_000;

/// Asks the workspace for its versions as any command does, decided and entered in the ledger; a
/// workspace that does not answer gives no candidates.
fn candidates(
    typed: &OsStr,
    names: impl Fn(&VersionView) -> Vec<String>,
) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    let context = Context::new(Settings::read(), None, false);
    let Ok(reply) = context.client().and_then(|client| {
        client.list(&ListQuery {
            limit: Some(MOST_COMPLETED),
            ..ListQuery::default()
        })
    }) else {
        return Vec::new();
    };
    let mut found: Vec<_> = reply
        .versions
        .iter()
        .flat_map(names)
        .filter(|name| name.starts_with(&*typed))
        .collect();
    found.sort();
    found.dedup();
    found.into_iter().map(CompletionCandidate::new).collect()
}
