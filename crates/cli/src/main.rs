//! The binary `custody`: the command line, and the composition of the whole.
//!
//! Enter at [`args`] for the grammar, [`commands`] for what each command does, and [`context`] for how
//! the parts are put together. The same file is the launcher of sandboxed steps: started with the
//! word that [`custody_sandbox::LAUNCHER_WORD`] names, it is nothing else.
#![forbid(unsafe_code)]
#![allow(
    clippy::doc_markdown,
    reason = "doc comments of arguments are the help that is printed"
)]
#![allow(
    clippy::unnecessary_wraps,
    reason = "one shape for everything that writes to the terminal"
)]

mod args;
mod commands;
mod completions;
mod context;
mod interrupt;
mod login;
mod output;
mod panics;
mod progress;
mod sealed;
mod secrets;
mod settings;
mod sharing;
mod trial;

use std::process::ExitCode;

use clap::Parser;
use custody_types::Problem;

use crate::args::Cli;
use crate::context::Context;
use crate::output::Output;
use crate::settings::Settings;

fn main() -> ExitCode {
    if std::env::args_os()
        .nth(1)
        .is_some_and(|word| word == custody_sandbox::LAUNCHER_WORD)
    {
        return custody_sandbox::launcher_main(&[custody_host::STEP]);
    }
    leave_no_core();
    panics::note();
    completions::answer_shell();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return bad_usage(&error),
    };
    let json = cli.global.json;
    let context = Context::new(Settings::read(), Some(cli.global), json);
    let exit = match panics::caught(|| commands::dispatch(&context, cli.command)) {
        Ok(exit) => exit,
        Err(problem) => {
            context.output.problem(&problem);
            problem.exit()
        }
    };
    ExitCode::from(exit.number())
}

/// Forbids core files and foreign debuggers: this process holds keys and plaintext in its memory.
fn leave_no_core() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    // Neither call fails for these values; were one refused, the other still holds.
    let _ = setrlimit(Resource::Core, none);
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// Tells what is wrong with the arguments, or prints the help that was asked for.
fn bad_usage(error: &clap::Error) -> ExitCode {
    let json = std::env::args_os().any(|argument| argument == "--json");
    if !json || !error.use_stderr() {
        // A closed pipe is no reason to say anything else.
        let _ = error.print();
        return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
    }
    let text = error.render().to_string();
    let mut lines = text.lines();
    let what = lines.next().unwrap_or_default();
    let problem = Problem::new(
        custody_types::code::CLI_001,
        what.trim_start_matches("error: "),
    )
    .hint("see `custody --help`");
    Output::new(true, true).problem(&problem);
    ExitCode::from(problem.exit().number())
}
