//! The server that commands work with: the one that the environment names, or that somebody logged in to.

use std::path::PathBuf;

use custody_backends::user_files;
use custody_client::{Address, Server};
use custody_host::user_files_problem;
use custody_types::{Problem, code};
use serde::{Deserialize, Serialize};

use crate::settings::Settings;

/// How many bytes a file of certificates, or of a login, has at most.
const LIMIT: u64 = 1 << 20;

/// What is kept of a login, in a file that its user alone may read.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    /// `https://host:port`.
    pub(crate) address: String,
    /// The root of the server's certificate, in PEM.
    pub(crate) root: String,
    /// The token, of an account or of a session.
    pub(crate) token: String,
    /// The account of the person whose session it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
}

pub(crate) fn unknown(what: impl Into<String>) -> Problem {
    Problem::new(code::SERVE_004, what).hint(
        "log in with what the server printed at its start: `custody login ADDRESS --fingerprint …`",
    )
}

/// Returns where a login is kept.
pub(crate) fn file(settings: &Settings) -> PathBuf {
    settings.config.join("server.json")
}

pub(crate) fn is_kept(settings: &Settings) -> bool {
    file(settings).is_file()
}

pub(crate) fn kept(settings: &Settings) -> Result<Option<Login>, Problem> {
    let path = file(settings);
    if !path.is_file() {
        return Ok(None);
    }
    let text = user_files::read_text(&path, LIMIT).map_err(|error| user_files_problem(&error))?;
    let login = serde_json::from_str(&text);
    login
        .map(Some)
        .map_err(|error| unknown(format!("`{}` cannot be read", path.display())).because(error))
}

/// Reads certificates in PEM.
pub(crate) fn root(path: &std::path::Path) -> Result<String, Problem> {
    user_files::read_text(path, LIMIT).map_err(|error| user_files_problem(&error))
}

/// Returns the server of a login.
pub(crate) fn server_of(login: &Login) -> Result<Server, Problem> {
    let address: Address = login.address.parse().map_err(unknown)?;
    Server::new(&address, &login.root, &login.token)
        .map_err(|because| unknown(format!("`{address}` cannot be used")).because(because))
}

/// Returns the server that commands work with.
pub(crate) fn server(settings: &Settings) -> Result<Server, Problem> {
    let kept = kept(settings)?;
    let Some(address) = &settings.server else {
        let login = kept.ok_or_else(|| unknown("nobody logged in to a server"))?;
        return server_of(&login);
    };
    let parsed: Address = address.parse().map_err(unknown)?;
    // What was learnt at a login counts for the same server.
    let known = kept.filter(|login| login.address == parsed.to_string());
    let missing = |name: &str| {
        unknown(format!(
            "{name} is not set, and nobody logged in to `{parsed}`"
        ))
    };
    let named = settings.server_root.as_deref().map(root).transpose()?;
    let root = named.or_else(|| known.as_ref().map(|login| login.root.clone()));
    let token = settings
        .token
        .clone()
        .or_else(|| known.map(|login| login.token));
    server_of(&Login {
        address: parsed.to_string(),
        root: root.ok_or_else(|| missing("CUSTODY_SERVER_ROOT"))?,
        token: token.ok_or_else(|| missing("CUSTODY_TOKEN"))?,
        user: None,
    })
}
