//! `custody login` and `custody logout`.

use std::time::Duration;

use custody_backends::machine::SystemEntropy;
use custody_backends::user_files;
use custody_client::{Address, Client, Transport, unreachable_server};
use custody_crypto::totp::Authenticator;
use custody_host::user_files_problem;
use custody_types::{ExitCode, Problem, ProblemKind, code};
use custody_wire::{
    DevicePollRequest, DeviceRequest, EnrolRequest, ListQuery, SessionReply, SignInRequest,
};

use crate::args::LoginArgs;
use crate::context::Context;
use crate::login::{self, Login, unknown};
use crate::secrets;

/// How long a terminal waits at least and at most before it asks again whether its code was confirmed.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_mins(1);

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
    let mut kept = Login {
        address: address.to_string(),
        root,
        token: String::new(),
        user: args.user.clone(),
    };
    if let Some(provider) = &args.oidc {
        let session = confirm(context, &client(&kept)?, provider)?;
        kept.user = Some(session.account.to_string());
        kept.token = session.token;
    }
    kept.token = match &args.user {
        None if args.oidc.is_some() => kept.token,
        None => token(context)?,
        Some(user) if args.invited => enrol(context, &client(&kept)?, user)?.token,
        Some(user) => sign_in(&client(&kept)?, user)?.token,
    };
    let client = client(&kept)?;
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

/// Returns a way to the server of a login.
fn client(login: &Login) -> Result<Client, Problem> {
    Client::new(Transport::Server(login::server_of(login)?))
        .map_err(|error| Problem::new(code::CLI_030, "no threads can be started").because(error))
}

pub(crate) fn logout(context: &Context) -> Result<ExitCode, Problem> {
    let path = login::file(&context.settings);
    let Some(login) = login::kept(&context.settings)? else {
        context.output.note("nobody was logged in");
        return Ok(ExitCode::Done);
    };
    let ended = match &login.user {
        None => {
            Ok("the login is forgotten; its token goes on to count until `custody token revoke`")
        }
        Some(_) => client(&login)
            .and_then(|client| client.sign_out())
            .map(|_| "the session has ended, and the login is forgotten"),
    };
    user_files::remove_file(&path).map_err(|error| user_files_problem(&error))?;
    // Where the server does not answer the session ends by itself.
    context.output.note(ended.unwrap_or(
        "the login is forgotten; the server does not answer, and the session ends after an hour without a request",
    ));
    Ok(ExitCode::Done)
}

fn sign_in(client: &Client, user: &str) -> Result<SessionReply, Problem> {
    client.sign_in(&SignInRequest {
        account: user.to_owned(),
        password: ask("password")?,
        code: ask("code of the authenticator")?,
    })
}

/// Shows a code, and waits until its person confirmed it at an identity provider.
fn confirm(context: &Context, client: &Client, provider: &str) -> Result<SessionReply, Problem> {
    let provider = Some(provider.to_owned()).filter(|name| !name.is_empty());
    let begun = client.begin_device(&DeviceRequest { provider })?;
    context.output.note(&format!(
        "open {} and type the code {}\n  until {}; nobody but you yourself, at this terminal, gives you a code to type there",
        begun.address,
        begun.user_code,
        begun.expires.to_seconds_text()
    ));
    let request = DevicePollRequest {
        pending: begun.pending,
    };
    let mut wait = Duration::from_millis(begun.wait_ms);
    loop {
        pause(context, wait)?;
        let reply = client.poll_device(&request)?;
        if let Some(session) = reply.session {
            let mut told = format!("signed in as `{}`", session.account);
            if !session.roles.is_empty() {
                let roles = session.roles.join(", ");
                told = format!("{told}; by your groups, until the session ends: {roles}");
            }
            context.output.note(&told);
            return Ok(session);
        }
        wait = Duration::from_millis(reply.wait_ms).clamp(SHORTEST, LONGEST);
    }
}

/// Waits, unless somebody ends the program.
fn pause(context: &Context, mut left: Duration) -> Result<(), Problem> {
    const PIECE: Duration = Duration::from_millis(100);
    while !left.is_zero() {
        if context.interrupt.is_raised() {
            return Err(unknown("nobody signed in: the command was interrupted"));
        }
        let piece = left.min(PIECE);
        std::thread::sleep(piece);
        left -= piece;
    }
    Ok(())
}

/// Sets a password and an authenticator, whose secret is shown once.
fn enrol(context: &Context, client: &Client, user: &str) -> Result<SessionReply, Problem> {
    let invitation = ask("invitation")?;
    let password = ask("new password, of 12 characters or more")?;
    if ask("the same password again")? != password {
        return Err(unknown("the two passwords differ").hint("log in again"));
    }
    let authenticator = Authenticator::draw(&SystemEntropy);
    let url = authenticator.to_url("Custody", user);
    let url = url.map_err(|error| unknown("no authenticator can be set").because(error))?;
    context.output.note(&format!(
        "take this into an authenticator app (RFC 6238): {}\n  {}",
        *authenticator.to_text(),
        *url
    ));
    client.enrol(&EnrolRequest {
        account: user.to_owned(),
        invitation,
        password,
        authenticator: authenticator.to_text().to_string(),
        code: ask("code that it shows")?,
    })
}

/// Asks for what somebody signs in by.
fn ask(what: &str) -> Result<String, Problem> {
    secrets::ask(what, code::SERVE_004).map(|secret| secret.to_string())
}

/// Reads the token: that of the environment, or one that is given now.
fn token(context: &Context) -> Result<String, Problem> {
    match &context.settings.token {
        Some(token) => Ok(token.clone()),
        None => ask("token").map_err(|problem| {
            problem.hint(
                "set CUSTODY_TOKEN, or give it on standard input: `custody login … <token.txt`",
            )
        }),
    }
}
