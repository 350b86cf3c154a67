//! `custody login` and `custody logout`.

use std::io::{BufRead, IsTerminal};

use custody_backends::user_files;
use custody_client::{Address, Client, Transport, unreachable_server};
use custody_host::user_files_problem;
use custody_types::{ExitCode, Problem, ProblemKind, code};
use custody_wire::ListQuery;

use crate::args::LoginArgs;
use crate::context::Context;
use crate::login::{self, Login, unknown};

pub(crate) fn login(context: &Context, args: &LoginArgs) -> Result<ExitCode, Problem> {
    let address: Address = args.address.parse().map_err(unknown)?;
    let root = match (&args.root, &args.fingerprint) {
        (Some(path), _) => login::root(&context.settings.here.join(path))?,
        (None, Some(fingerprint)) => {
            let seen = address.certificates();
            let seen = seen.map_err(|error| unreachable_server(&format!("`{address}`"), &error))?;
            custody_tls::root_of(&seen, fingerprint).ok_or_else(|| {
                let what =
                    format!("`{address}` shows no certificate with the fingerprint {fingerprint}");
                unknown(what).because("it is another server, or somebody is in between")
            })?
        }
        (None, None) => return Err(unknown("neither a root nor its fingerprint is named")),
    };
    let kept = Login {
        address: address.to_string(),
        root,
        token: token(context)?,
    };
    let client = Client::new(Transport::Server(login::server_of(&kept)?))
        .map_err(|error| Problem::new(code::CLI_030, "no threads can be started").because(error))?;
    let asked = client.list(&ListQuery {
        limit: Some(1),
        ..ListQuery::default()
    });
    match asked {
        // Who may not list is known nevertheless.
        Err(problem) if problem.kind() != ProblemKind::Denied => return Err(problem),
        _ => {}
    }
    let path = login::file(&context.settings);
    let text = serde_json::to_string_pretty(&kept).map_err(|error| {
        Problem::new(code::CLI_011, "the login cannot be written").because(error)
    })?;
    let write = || {
        user_files::make_folder(&context.settings.config)?;
        user_files::write_private_file(&path, text.as_bytes())
    };
    write().map_err(|error| user_files_problem(&error))?;
    context.output.note(&format!(
        "commands work with `{address}` where there is no workspace; kept in `{}`",
        path.display()
    ));
    Ok(ExitCode::Done)
}

pub(crate) fn logout(context: &Context) -> Result<ExitCode, Problem> {
    let path = login::file(&context.settings);
    if login::is_kept(&context.settings) {
        user_files::remove_file(&path).map_err(|error| user_files_problem(&error))?;
        context.output.note(
            "the login is forgotten; its token goes on to count until `custody token revoke`",
        );
    } else {
        context.output.note("nobody was logged in");
    }
    Ok(ExitCode::Done)
}

/// Reads the token, which no terminal shows.
fn token(context: &Context) -> Result<String, Problem> {
    if let Some(token) = &context.settings.token {
        return Ok(token.clone());
    }
    let missing = |because: &str| {
        unknown("there is no token")
            .because(because)
            .hint("set CUSTODY_TOKEN, or give it on standard input: `custody login … <token.txt`")
    };
    if std::io::stdin().is_terminal() {
        return Err(missing(
            "this program does not ask for secrets on a terminal that shows them",
        ));
    }
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    read.map_err(|error| missing(&error.to_string()))?;
    match line.trim() {
        "" => Err(missing("the line was empty")),
        token => Ok(token.to_owned()),
    }
}
