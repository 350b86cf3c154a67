//! The grammar of serving a workspace, and of working with a server.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use custody_types::{Action, Digest, ProjectName, Purpose};
use custody_wire::Party;

/// Serve the workspace over HTTPS, to whoever has a token
///
/// TLS 1.3 alone. Without files, the server makes a certificate of its own authority; its root is what clients trust, and
/// the root's private key is written once, for you to keep elsewhere. Projects come to the server as versions: it reads no
/// folder. Where the key file is under a passphrase that CUSTODY_PASSPHRASE does not give, the server starts sealed, and waits for
/// `custody unseal`. The first signal to end lets what runs finish, the second ends it.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody serve\n  custody serve --listen 0.0.0.0:8443 --name custody.example.org\n  custody serve --certificate chain.pem --certificate-key key.pem\n  custody serve --log-file /var/log/custody.log --otlp https://collector.example.org:4318"
)]
pub(crate) struct Serve {
    /// The address to listen at
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8443")]
    pub(crate) listen: SocketAddr,
    /// A name by which clients reach the server, for its certificate; may be repeated [default: localhost, 127.0.0.1, ::1]
    #[arg(long = "name", value_name = "NAME", conflicts_with = "certificate")]
    pub(crate) names: Vec<String>,
    /// The server's certificate and those above it, in PEM; read again when the file changes
    #[arg(long, value_name = "FILE", requires = "certificate_key")]
    pub(crate) certificate: Option<PathBuf>,
    /// The private key of the certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub(crate) certificate_key: Option<PathBuf>,
    /// Where to write the private key of a new root [default: custody-root.key in this folder]
    #[arg(long, value_name = "FILE", default_value = "custody-root.key")]
    pub(crate) root_key: PathBuf,
    #[command(flatten)]
    pub(crate) budget: Budgeted,
    #[command(flatten)]
    pub(crate) providers: Providers,
    #[command(flatten)]
    pub(crate) watching: Watching,
}

/// What the server tells of its work, and to whom.
#[derive(Debug, Args)]
#[command(next_help_heading = "Log and traces")]
pub(crate) struct Watching {
    /// How lines of the log look [default: text on a terminal, else json]
    #[arg(long = "log", value_name = "FORMAT")]
    pub(crate) log: Option<LogFormat>,
    /// How much is told
    #[arg(long = "log-level", value_name = "LEVEL", default_value = "info")]
    pub(crate) log_level: LogLevel,
    /// The file to which lines are added [default: standard error]
    #[arg(long = "log-file", value_name = "FILE")]
    pub(crate) log_file: Option<PathBuf>,
    /// A collector of traces that takes OTLP over HTTP, as `https://host:4318`; without TLS on this machine alone, as
    /// `http://127.0.0.1:4318`
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) otlp: Option<String>,
    /// What share of all traces is sent, from 0 to 1
    #[arg(
        long = "otlp-share",
        value_name = "SHARE",
        default_value_t = 1.0,
        requires = "otlp"
    )]
    pub(crate) otlp_share: f64,
    /// A file of fields that the collector asks for, such as a token, each on a line: `Name: value`
    #[arg(long = "otlp-headers", value_name = "FILE", requires = "otlp")]
    pub(crate) otlp_headers: Option<PathBuf>,
    /// A network that the collector may lie in besides the public one; may be repeated
    #[arg(long = "otlp-network", value_name = "NETWORK", requires = "otlp")]
    pub(crate) otlp_networks: Vec<String>,
    /// The roots below which the collector's certificate is, in PEM [default: those that the system trusts]
    #[arg(long = "otlp-root", value_name = "FILE", requires = "otlp")]
    pub(crate) otlp_root: Option<PathBuf>,
}

/// How lines of the log look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// A JSON object each
    Json,
    /// For people
    Text,
}

/// How much the log tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
    /// What somebody must look into
    Error,
    /// What may need somebody
    Warn,
    /// What is done
    Info,
    /// How it is done
    Debug,
}

/// Commands on what a server tells of itself.
#[derive(Debug, Subcommand)]
pub(crate) enum ServerCommand {
    /// Print what the server counts of its work, in the format of OpenMetrics, as its `/metrics` does
    #[command(after_help = "Example:\n  custody server metrics")]
    Metrics,
}

/// What each account may take of the server.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Budget of each account")]
pub(crate) struct Budgeted {
    /// Requests a second, ten times as many at once; 0: any number
    #[arg(long = "budget-requests", value_name = "NUMBER", default_value_t = 100)]
    pub(crate) requests: u32,
    /// Requests that are answered at the same time
    #[arg(
        long = "budget-concurrent",
        value_name = "NUMBER",
        default_value_t = 64,
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    pub(crate) concurrent: u16,
    /// Mebibytes a second, sent and received, at most 4095; 0: any number
    #[arg(
        long = "budget-mib",
        value_name = "NUMBER",
        default_value_t = 0,
        value_parser = clap::value_parser!(u32).range(..4096)
    )]
    pub(crate) mebibytes: u32,
    /// Requests a second from an address by who is not known, twenty times as many at once; 0: any number
    #[arg(long = "budget-strangers", value_name = "NUMBER", default_value_t = 50)]
    pub(crate) strangers: u32,
}

/// How the server asks the identity providers that `settings.json` declares.
#[derive(Debug, Args)]
#[command(next_help_heading = "Identity providers")]
pub(crate) struct Providers {
    /// The secret that an identity provider gave the server, in a file; may be repeated
    #[arg(long = "oidc-secret", value_name = "PROVIDER=FILE")]
    pub(crate) secrets: Vec<String>,
    /// A network that an identity provider may lie in besides the public one; may be repeated
    #[arg(long = "oidc-network", value_name = "NETWORK")]
    pub(crate) networks: Vec<String>,
    /// An identity provider on this machine that is asked without TLS, as `http://127.0.0.1:PORT`; may be repeated
    #[arg(long = "oidc-plain", value_name = "ADDRESS")]
    pub(crate) plain: Vec<String>,
    /// The roots below which the certificates of identity providers are, in PEM [default: those that the system trusts]
    #[arg(long = "oidc-root", value_name = "FILE")]
    pub(crate) root: Option<PathBuf>,
    /// Where browsers reach the server, as `https://host:port`, to come back from an identity provider [default: the first
    /// `--name`]
    #[arg(long = "oidc-address", value_name = "ADDRESS")]
    pub(crate) address: Option<String>,
}

/// Work with a server from now on, where there is no workspace in this folder or above
///
/// A person signs in with `--user`: by a password and the code of an authenticator, for twelve hours at most. Whoever was invited
/// sets both with `--invited`. With `--oidc` they sign in at their organisation's identity provider, in any browser. Without either a token is shown, which comes from CUSTODY_TOKEN or from standard input. What
/// opens the server is kept, with its address and the root of its certificate, in a file that only you can read. Secrets are
/// asked for at a terminal, or come from standard input, a line each. CUSTODY_SERVER, CUSTODY_TOKEN and CUSTODY_SERVER_ROOT do
/// the same for programs, without a login.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody login https://custody.example.org:8443 --fingerprint sha256:9f86… --user ada\n  custody login https://custody.example.org:8443 --fingerprint sha256:9f86… --user ada --invited\n  custody login https://custody.example.org:8443 --fingerprint sha256:9f86… --oidc\n  custody login https://localhost:8443 --root root.pem <token.txt"
)]
pub(crate) struct LoginArgs {
    /// The server, as `https://host:port`
    pub(crate) address: String,
    /// The SHA-256 of the root of its certificate, which the server prints at its start
    #[arg(
        long,
        value_name = "SHA256",
        conflicts_with = "root",
        required_unless_present = "root"
    )]
    pub(crate) fingerprint: Option<Digest>,
    /// The root of its certificate, in PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) root: Option<PathBuf>,
    /// The account of the person who signs in
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) user: Option<String>,
    /// Sign in at an identity provider of the server: shows an address and a code, which you type there. Without a name, at the
    /// only one
    #[arg(
        long,
        value_name = "PROVIDER",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "",
        conflicts_with = "user"
    )]
    pub(crate) oidc: Option<String>,
    /// Set a password and an authenticator by an invitation
    #[arg(long, requires = "user")]
    pub(crate) invited: bool,
}

/// Commands on tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// List the tokens that count, without their secrets
    #[command(after_help = "Example:\n  custody token ls")]
    Ls,
    Create(TokenCreate),
    /// Take a token back: it opens nothing from then on
    #[command(after_help = "Example:\n  custody token revoke 4nVqgfY0B5hQ3k8ZrYxT1c")]
    Revoke(TokenRevoke),
}

/// Make a token by which an account is known over the network
///
/// It is shown once. Nobody decides on versions, changes policies or accounts, or makes tokens with one.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody token create --for ada --days 30 --note laptop\n  custody token create --for service:nightly --project employment --network 192.0.2.0/24"
)]
pub(crate) struct TokenCreate {
    /// The account [default: yours]
    #[arg(long = "for", value_name = "ACCOUNT")]
    pub(crate) account: Option<Party>,
    /// How many days it counts, at most 90
    #[arg(long, default_value_t = 30)]
    pub(crate) days: u32,
    /// What it is for
    #[arg(long, default_value = "")]
    pub(crate) note: String,
    /// An action that may be done with it, as `docs/reference/policies.md` lists them; may be repeated [default: all that
    /// the account may]
    #[arg(long = "action", value_name = "ACTION")]
    pub(crate) actions: Vec<Action>,
    /// A project in which it counts; may be repeated [default: all]
    #[arg(long = "project", value_name = "PROJECT")]
    pub(crate) projects: Vec<ProjectName>,
    /// The one purpose that may be stated with it
    #[arg(long = "only-for", value_name = "PURPOSE")]
    pub(crate) purpose: Option<Purpose>,
    /// A network from which it counts; may be repeated [default: all]
    #[arg(long = "network", value_name = "NETWORK")]
    pub(crate) networks: Vec<String>,
}

impl TokenCreate {
    /// Returns the networks, each once.
    pub(crate) fn networks(&self) -> BTreeSet<String> {
        self.networks.iter().cloned().collect()
    }
}

/// The name of a token.
#[derive(Debug, Args)]
pub(crate) struct TokenRevoke {
    /// Its name, as `custody token ls` lists it
    pub(crate) id: String,
}

/// Commands on keys.
#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Show which keys are in use: their ids and epochs
    #[command(after_help = "Example:\n  custody keys status")]
    Status,
    Rotate(KeysRotate),
    Passphrase(KeysPassphrase),
}

/// Let new keys take the place of those in use, while everything goes on
///
/// Draws a new key-encryption key into the key file, wraps all keys of the workspace under it, destroys the old one there, and
/// gives each project a new content key, under which everything is encrypted that is stored from then on. What is stored is not
/// written again. Copies of the workspace from before open only with copies of the key file from before: keep them together, or
/// destroy them together.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody keys rotate\n  custody keys rotate --project employment"
)]
pub(crate) struct KeysRotate {
    /// The project whose content key alone is new
    #[arg(long)]
    pub(crate) project: Option<ProjectName>,
}

/// Put the key file under another passphrase; the data is not touched
///
/// The old one comes from CUSTODY_PASSPHRASE, the new one from CUSTODY_NEW_PASSPHRASE, or it is asked for.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  custody keys passphrase\n  custody keys passphrase --none")]
pub(crate) struct KeysPassphrase {
    /// Put it under none: whoever reads the file has the key
    #[arg(long)]
    pub(crate) none: bool,
}
