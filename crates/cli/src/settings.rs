//! The settings, read once: environment variables and folders of the user.
#![expect(
    clippy::disallowed_methods,
    reason = "this is the one place where the environment is read"
)]

use std::env;
use std::path::PathBuf;

/// What the environment says.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The folder in which the command was typed.
    pub(crate) here: PathBuf,
    /// `CUSTODY_KEY_FILE`: the key file.
    pub(crate) key_file: Option<PathBuf>,
    /// `CUSTODY_PASSPHRASE`: the passphrase of the key file.
    pub(crate) passphrase: Option<String>,
    /// `CUSTODY_NEW_PASSPHRASE`: the passphrase that the key file shall be under.
    pub(crate) new_passphrase: Option<String>,
    /// `CUSTODY_SERVER`: the address of the server to work with.
    pub(crate) server: Option<String>,
    /// `CUSTODY_TOKEN`: the token that opens it.
    pub(crate) token: Option<String>,
    /// `CUSTODY_SERVER_ROOT`: the file with the root of its certificate.
    pub(crate) server_root: Option<PathBuf>,
    /// The folder of the user's settings: `XDG_CONFIG_HOME` or `~/.config`, with `custody` below.
    pub(crate) config: PathBuf,
    /// The folder of what can be made again: `XDG_CACHE_HOME` or `~/.cache`, with `custody` below.
    pub(crate) cache: PathBuf,
    /// The folder of what this user has seen: `XDG_STATE_HOME` or `~/.local/state`, with `custody` below.
    pub(crate) state: PathBuf,
    /// `PATH`: where the interpreter of an environment is looked for.
    pub(crate) search_path: String,
    /// The account name of the user.
    pub(crate) account: String,
    /// `NO_COLOR` or `CI` is set: plain text only.
    pub(crate) plain: bool,
}

impl Settings {
    /// Reads the environment.
    pub(crate) fn read() -> Self {
        let home = env::var_os("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from);
        let below_home = |variable: &str, default: &str| {
            env::var_os(variable)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
                .unwrap_or_else(|| home.join(default))
                .join("custody")
        };
        Self {
            here: env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
            key_file: env::var_os("CUSTODY_KEY_FILE").map(PathBuf::from),
            passphrase: env::var("CUSTODY_PASSPHRASE").ok(),
            new_passphrase: env::var("CUSTODY_NEW_PASSPHRASE").ok(),
            server: env::var("CUSTODY_SERVER").ok(),
            token: env::var("CUSTODY_TOKEN").ok(),
            server_root: env::var_os("CUSTODY_SERVER_ROOT").map(PathBuf::from),
            config: below_home("XDG_CONFIG_HOME", ".config"),
            cache: below_home("XDG_CACHE_HOME", ".cache"),
            state: below_home("XDG_STATE_HOME", ".local/state"),
            search_path: env::var("PATH").unwrap_or_default(),
            account: custody_backends::machine::account_name(),
            plain: env::var_os("NO_COLOR").is_some() || env::var_os("CI").is_some(),
        }
    }
}
