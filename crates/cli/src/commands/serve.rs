//! `custody serve`.

use std::io::Write;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use custody_api::Budget;
use custody_backends::machine::SystemClock;
use custody_backends::user_files;
use custody_host::user_files_problem;
use custody_observe::{Event, Observer};
use custody_server::{Limits, Stopping};
use custody_tls::{Authority, Name, Shown};
use custody_types::{Clock, Digest, ExitCode, Problem, Timestamp, code};
use custody_wire::Schema;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::runtime::Builder;

use crate::args::{Budgeted, Serve};
use crate::commands::{providers, watching};
use crate::context::{Context, Served};
use crate::interrupt;
use crate::output::Text;

/// How often it is looked whether another certificate is to be shown.
const EVERY: Duration = Duration::from_secs(5);
/// How often a server that ends looks whether a run goes on.
const PAUSE: Duration = Duration::from_millis(100);
/// How many bytes a file of certificates or a key has at most.
const LIMIT: u64 = 1 << 20;
/// Under which names a server is reached that is given none.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// That the server takes connections.
#[derive(Debug, Clone, Serialize)]
struct Serving {
    /// Where.
    address: String,
    /// The SHA-256 of the root that clients trust, where the server makes its own certificates.
    fingerprint: Option<Digest>,
    /// That root, in PEM.
    root: Option<String>,
    /// Where the private key of a new root was written.
    root_key: Option<String>,
    /// The invitation of the owner, at the first start.
    invitation: Option<String>,
}

/// That the server waits for the passphrase.
#[derive(Debug, Clone, Serialize)]
struct Sealed {
    /// Where it will take connections.
    address: SocketAddr,
}

impl Schema for Sealed {
    const NAME: &'static str = "custody/sealed/1";
}

impl Schema for Serving {
    const NAME: &'static str = "custody/serving/1";
}

fn unlistenable(address: SocketAddr, error: &std::io::Error) -> Problem {
    Problem::new(
        code::SERVE_001,
        format!("the server cannot listen at `{address}`"),
    )
    .because(error)
    .hint("name another address with `--listen`")
}

fn unusable(because: impl std::fmt::Display) -> Problem {
    Problem::new(code::SERVE_002, "the certificate cannot be used").because(because)
}

pub(crate) fn run(context: &Context, args: &Serve) -> Result<ExitCode, Problem> {
    let runtime = Builder::new_multi_thread().enable_all().build();
    let runtime = runtime
        .map_err(|error| Problem::new(code::CLI_030, "no threads can be started").because(error))?;
    let telemetry = watching::start(context, &args.watching)?;
    let observer = telemetry.observer();
    observer.note(&Event::Started);
    let (stopping, stopped) = Stopping::new();
    let watcher = observer.clone();
    let stop = move || {
        watcher.note(&Event::Stopping);
        stopping.stop();
    };
    interrupt::listen_after(Some(stop), &context.interrupt)?;
    // Who cannot listen opens nothing.
    let listener = runtime.block_on(TcpListener::bind(args.listen));
    let listener = listener.map_err(|error| unlistenable(args.listen, &error))?;
    let address = listener.local_addr().unwrap_or(args.listen);
    let listener = Arc::new(listener);
    let mut closing = None;
    let sealed = || {
        observer.note(&Event::Sealed);
        closing = Some(runtime.spawn(turn_away(listener.clone())));
        context.output.answer(Sealed { address }, |_, text| {
            text.line("the server is sealed: it waits for the passphrase of its key file, and answers nothing");
            text.line("  unseal it on this machine: custody unseal");
            Ok(())
        })?;
        // Whoever waits for the line gets it.
        let _closed = std::io::stdout().flush();
        Ok(())
    };
    let here = &context.settings.here;
    let root_key = args
        .certificate
        .is_none()
        .then(|| here.join(&args.root_key));
    let Served {
        door,
        authority,
        invited,
        runner,
        router,
    } = context.serve(
        root_key.as_deref(),
        known_names(args),
        budget(args),
        observer.clone(),
        sealed,
        &|| stopped.has_changed().is_err(),
    )?;
    if let Some(closing) = closing {
        closing.abort();
        let _aborted = runtime.block_on(closing);
    }
    let listener = Arc::into_inner(listener)
        .ok_or_else(|| unlistenable(address, &std::io::Error::other("it is listened at twice")))?;
    let is_new = authority.as_ref().is_some_and(|(_, is_new)| *is_new);
    let source = match authority {
        Some((authority, _)) => Source::own(args, authority)?,
        None => Source::files(context, args)?,
    };
    let mut serving = source.serving(address);
    door.let_providers_in(providers::access(
        context,
        &args.providers,
        source.is_named().then_some(serving.address.as_str()),
    )?);
    let place = root_key.filter(|_| is_new);
    serving.root_key = place.map(|place| place.display().to_string());
    serving.invitation = invited.map(|invited| invited.code);
    let shown = Arc::new(Shown::new(source.certificate()?));
    let config = custody_tls::server(shown.clone()).map_err(unusable)?;
    context.output.answer(serving, told)?;
    // Whoever waits for the line gets it before the first connection.
    let _closed = std::io::stdout().flush();
    observer.note(&Event::Listening {
        port: address.port(),
    });
    renew(source, shown, observer.clone());
    runtime.block_on(custody_server::serve(
        listener,
        Arc::new(config),
        router,
        Limits::default(),
        stopped,
        observer.clone(),
    ));
    while !runner.is_idle() {
        std::thread::sleep(PAUSE);
    }
    observer.note(&Event::Stopped);
    Ok(ExitCode::Done)
}

/// Returns what each account may take.
fn budget(args: &Serve) -> Budget {
    let Budgeted {
        requests,
        concurrent,
        mebibytes,
        strangers,
    } = args.budget;
    Budget {
        requests: NonZeroU32::new(requests),
        concurrent: concurrent.into(),
        bytes: NonZeroU32::new(mebibytes.saturating_mul(1 << 20)),
        strangers: NonZeroU32::new(strangers),
    }
}

/// Ends each connection at once: who comes learns that nobody answers yet, and holds nothing.
async fn turn_away(listener: Arc<TcpListener>) {
    loop {
        if listener.accept().await.is_err() {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Returns the names under which the server is known: those that were given, or those of its own certificate. A certificate of
/// files has names that only it knows.
fn known_names(args: &Serve) -> Option<Vec<String>> {
    if !args.names.is_empty() {
        return Some(args.names.clone());
    }
    let own = args.certificate.is_none();
    own.then(|| NAMES.map(ToOwned::to_owned).to_vec())
}

fn told(serving: &Serving, text: &mut Text) -> std::io::Result<()> {
    text.line(format!("serving at {}", serving.address));
    text.line(format!("  pages for a browser: {}/", serving.address));
    let Some(fingerprint) = &serving.fingerprint else {
        return Ok(());
    };
    text.line(format!("  root of its certificate: {fingerprint}"));
    if let Some(path) = &serving.root_key {
        text.line(format!(
            "  the private key of the root is in `{path}`: keep it away from this machine; it is needed for the next authority alone"
        ));
    }
    text.line(format!(
        "  log in: custody login {} --fingerprint {fingerprint}",
        serving.address
    ));
    if let Some(code) = &serving.invitation {
        text.line("  with `--user OWNER --invited`, and this invitation of the owner, which counts once, for a day:");
        text.line(format!("    {code}"));
    }
    text.line("  others are invited here: custody account invite NAME; programs have tokens: custody token create --for service:NAME");
    Ok(())
}

/// Where the certificate comes from.
enum Source {
    /// The server's own authority makes it.
    Own {
        authority: Box<Authority>,
        names: Vec<Name>,
    },
    /// It is in files.
    Files { certificate: PathBuf, key: PathBuf },
}

impl Source {
    fn files(context: &Context, args: &Serve) -> Result<Self, Problem> {
        let at = |file: &Option<PathBuf>| {
            let file = file.as_ref().map(|file| context.settings.here.join(file));
            file.ok_or_else(|| unusable("it is named without its key"))
        };
        Ok(Self::Files {
            certificate: at(&args.certificate)?,
            key: at(&args.certificate_key)?,
        })
    }

    fn own(args: &Serve, authority: Authority) -> Result<Self, Problem> {
        let given = args.names.iter().map(String::as_str);
        let names: Vec<_> = if args.names.is_empty() {
            NAMES.to_vec()
        } else {
            given.collect()
        };
        let names = names.into_iter().map(str::parse);
        Ok(Self::Own {
            authority: Box::new(authority),
            names: names.collect::<Result<_, _>>().map_err(unusable)?,
        })
    }

    /// Whether the server knows by which name it is reached.
    const fn is_named(&self) -> bool {
        matches!(self, Self::Own { .. })
    }

    fn serving(&self, address: SocketAddr) -> Serving {
        let (host, root) = match self {
            Self::Own {
                authority, names, ..
            } => (
                names.first().map(ToString::to_string),
                Some((authority.fingerprint(), authority.root())),
            ),
            Self::Files { .. } => (None, None),
        };
        let host = host.map(|host| {
            if host.contains(':') {
                format!("[{host}]")
            } else {
                host
            }
        });
        let place = host.map_or_else(
            || address.to_string(),
            |host| format!("{host}:{}", address.port()),
        );
        let (fingerprint, root) = root.unzip();
        Serving {
            address: format!("https://{place}"),
            fingerprint,
            root,
            root_key: None,
            invitation: None,
        }
    }

    fn certificate(&self) -> Result<custody_tls::CertifiedKey, Problem> {
        match self {
            Self::Own {
                authority, names, ..
            } => {
                let leaf = authority.leaf(names, SystemClock::start().now());
                leaf.map(|(leaf, _)| leaf).map_err(unusable)
            }
            Self::Files { certificate, key } => {
                let read = |path: &PathBuf| user_files::read_bytes(path, LIMIT);
                let files = read(certificate).and_then(|chain| Ok((chain, read(key)?)));
                let (chain, key) = files.map_err(|error| unusable(user_files_problem(&error)))?;
                custody_tls::given(&chain, &zeroize::Zeroizing::new(key)).map_err(unusable)
            }
        }
    }

    /// Returns what changes when another certificate is to be shown: a third of the time of the leaf, or the files.
    fn mark(&self, begun: Timestamp) -> Mark {
        match self {
            Self::Own { .. } => {
                let seconds =
                    (SystemClock::start().now().unix_micros() - begun.unix_micros()) / 1_000_000;
                Mark::Span(seconds / (10 * 24 * 60 * 60))
            }
            Self::Files { certificate, key } => {
                let modified = |path: &PathBuf| user_files::modified(path);
                Mark::Files([modified(certificate), modified(key)])
            }
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Mark {
    Span(i64),
    Files([Option<SystemTime>; 2]),
}

/// Shows another certificate from the next connection on, once there is one; one that cannot be used leaves the last.
fn renew(source: Source, shown: Arc<Shown>, observer: Observer) {
    let begun = SystemClock::start().now();
    let mut mark = source.mark(begun);
    let mut unusable = None;
    // It ends with the program.
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(EVERY);
            let now = source.mark(begun);
            if now == mark {
                continue;
            }
            if let Ok(certificate) = source.certificate() {
                shown.replace(certificate);
                mark = now;
                observer.note(&Event::Certificate { ok: true });
            } else if unusable.as_ref() != Some(&now) {
                // It is tried again each time, and told once.
                unusable = Some(now);
                observer.note(&Event::Certificate { ok: false });
            }
        }
    });
}
