//! The side of the program: starts the launcher, feeds it, takes the outputs.
#![expect(
    clippy::disallowed_methods,
    reason = "this is where processes are started and the kernel's files are written"
)]

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::fchown;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use custody_types::{ByteSize, FilePath, VersionFiles};

use crate::LAUNCHER_WORD;
use crate::event::{Observe, Observed};
use crate::network::Network;
use crate::observer::Observer;
use crate::processors;
use crate::spec::{Exit, Finished, OutputFile, SandboxError, Spec, TakeOutput};
use crate::sys;
use crate::wire::{self, FRAME, Orders, Report};

/// What of a step's printing is kept: so much of its beginning, and of its end.
const LOG: usize = 512 << 10;
/// The user of the host that a step of root is mapped to: far above those that systems hand out.
const UNUSED: u32 = 231_072;
/// The user inside.
const INSIDE: u32 = 1000;

fn broken(error: io::Error) -> SandboxError {
    SandboxError::Broken(error.to_string())
}

/// Runs a step and waits for its end. `launcher` is a program that calls [`crate::launcher_main`] when its
/// first argument is [`LAUNCHER_WORD`]: `/proc/self/exe`. `said` gets what the step prints, as it comes;
/// `take` gets what it wrote, which is never whole in memory here.
///
/// # Errors
/// [`SandboxError::Unavailable`] when the kernel does not give what is needed;
/// [`SandboxError::BadOutput`]; [`SandboxError::OverLimit`]; [`SandboxError::NotTaken`]; [`SandboxError::Input`];
/// [`SandboxError::Interrupted`]; [`SandboxError::Broken`]. After some of them `take` has had files already.
pub fn run(
    launcher: &Path,
    spec: &Spec,
    said: &mut (dyn FnMut(&[u8]) + Send),
    take: &mut TakeOutput<'_>,
) -> Result<Finished, SandboxError> {
    let (ours, theirs) = UnixStream::pair().map_err(broken)?;
    let watched = spec.interrupt.watch(&ours).map_err(broken)?;
    let (log, log_end) = io::pipe().map_err(broken)?;
    let (uid, gid) = outside();
    // So that the step may open its own output again, by `/dev/stdout`. Who may not give it away does without.
    let _ = fchown(&log_end, Some(uid), Some(gid));
    let claim = processors::claim(spec.limits.threads);
    let mut child = start(launcher, theirs, log_end).map_err(broken)?;
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || read_log(log, said));
        let mut observer = None;
        let outcome = serve(spec, claim.processors(), &child, ours, &mut observer, take);
        let interrupted = outcome.is_err() && spec.interrupt.is_raised();
        // Whatever happened: the launcher and all below it end here, and with them the log. An interrupted
        // launcher ends by itself, when no process of the step is left.
        if !interrupted {
            let _ = child.kill();
        }
        let _ = child.wait();
        drop(watched);
        let observed = seen(spec, observer);
        let log = reader.join().unwrap_or_default();
        if interrupted {
            return Err(SandboxError::Interrupted);
        }
        let finished = outcome?;
        Ok(Finished {
            log,
            observed: observed?,
            ..finished
        })
    })
}

/// Takes what the observer saw.
fn seen(spec: &Spec, observer: Option<Observer>) -> Result<Observed, SandboxError> {
    match (observer, &spec.observe) {
        (None, Observe::Nothing) => Ok(Observed::default()),
        (Some(observer), _) => observer
            .finish()
            .ok_or_else(|| SandboxError::Broken("the observer broke off".to_owned())),
        (None, _) => Err(SandboxError::Broken(
            "it did not say where calls are told".to_owned(),
        )),
    }
}

fn start(launcher: &Path, socket: UnixStream, log: io::PipeWriter) -> io::Result<Child> {
    let mut command = Command::new(launcher);
    command
        .arg0("custody-step")
        .arg(LAUNCHER_WORD)
        // The interrupt key of a terminal is for the supervisor, which then ends the step.
        .process_group(0)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(OwnedFd::from(socket)))
        .stdout(Stdio::from(log.try_clone()?))
        .stderr(Stdio::from(log));
    command.spawn()
}

fn read_log(mut log: io::PipeReader, said: &mut (dyn FnMut(&[u8]) + Send)) -> Vec<u8> {
    let (mut kept, mut buffer) = (Log::default(), vec![0; 64 << 10]);
    while let Ok(count @ 1..) = log.read(&mut buffer) {
        let bytes = buffer.get(..count).unwrap_or_default();
        kept.take(bytes);
        said(bytes);
    }
    kept.bytes()
}

/// The beginning and the end of what a step printed.
#[derive(Debug, Default)]
struct Log {
    first: Vec<u8>,
    last: VecDeque<u8>,
    left_out: u64,
}

impl Log {
    fn take(&mut self, bytes: &[u8]) {
        let room = LOG.saturating_sub(self.first.len()).min(bytes.len());
        let (first, rest) = bytes.split_at(room);
        self.first.extend_from_slice(first);
        self.last.extend(rest);
        let surplus = self.last.len().saturating_sub(LOG);
        self.last.drain(..surplus);
        self.left_out += surplus as u64;
    }

    fn bytes(self) -> Vec<u8> {
        let mut all = self.first;
        if self.left_out > 0 {
            let told = format!("\n[{} bytes are left out here]\n", self.left_out);
            all.extend_from_slice(told.as_bytes());
        }
        all.extend(self.last);
        all
    }
}

fn orders(spec: &Spec, processors: &[u32]) -> Orders {
    let code = spec
        .code
        .iter()
        .map(|files| ("/code".to_owned(), files.files().to_vec()));
    let inputs = spec
        .inputs
        .iter()
        .map(|(name, files)| (format!("/in/{name}"), files.files().to_vec()));
    Orders {
        argv: spec.argv.clone(),
        env: spec.env.clone(),
        environment: spec.environment.clone(),
        trees: code.chain(inputs).collect(),
        outputs: spec.outputs.clone(),
        endpoints: spec
            .network
            .iter()
            .flat_map(|network| network.endpoints.clone())
            .collect(),
        limits: spec.limits,
        uid: INSIDE,
        processors: processors.to_vec(),
        swap: std::fs::read_to_string("/proc/swaps").is_ok_and(|text| text.lines().count() > 1),
        observe: spec.observe != Observe::Nothing,
    }
}

/// Returns which user and group of the host a step is.
fn outside() -> (u32, u32) {
    match sys::effective_ids() {
        (0, _) => (UNUSED, UNUSED),
        ordinary => ordinary,
    }
}

/// Writes the mapping of users: one user inside, which outside is nobody (for root) or the caller.
fn map_users(child: &Child) -> io::Result<()> {
    let (outer_uid, outer_gid) = outside();
    let folder = format!("/proc/{}", child.id());
    std::fs::write(format!("{folder}/setgroups"), "deny")?;
    std::fs::write(
        format!("{folder}/gid_map"),
        format!("{INSIDE} {outer_gid} 1\n"),
    )?;
    std::fs::write(
        format!("{folder}/uid_map"),
        format!("{INSIDE} {outer_uid} 1\n"),
    )
}

fn serve(
    spec: &Spec,
    processors: &[u32],
    child: &Child,
    mut socket: UnixStream,
    observer: &mut Option<Observer>,
    take: &mut TakeOutput<'_>,
) -> Result<Finished, SandboxError> {
    let unavailable = |missing: String| SandboxError::Unavailable { missing };
    wire::tell(&mut socket, &orders(spec, processors)).map_err(broken)?;
    match wire::hear(&mut socket).map_err(broken)? {
        Report::Unshared => {}
        Report::Unavailable(missing) => return Err(unavailable(missing)),
        other => return Err(SandboxError::Broken(format!("it said {other:?}"))),
    }
    map_users(child).map_err(|error| {
        unavailable(format!("the user namespace could not be mapped ({error})"))
    })?;
    wire::send(&mut socket, b"mapped").map_err(broken)?;
    if let Some(network) = spec
        .network
        .as_ref()
        .filter(|network| !network.endpoints.is_empty())
    {
        match wire::hear(&mut socket).map_err(broken)? {
            Report::Listening => hand_over(&socket, network).map_err(broken)?,
            Report::Unavailable(missing) => return Err(unavailable(missing)),
            other => return Err(SandboxError::Broken(format!("it said {other:?}"))),
        }
    }
    let mut trees: BTreeMap<String, &Arc<dyn VersionFiles>> = BTreeMap::new();
    trees.extend(spec.code.iter().map(|files| ("/code".to_owned(), files)));
    trees.extend(
        spec.inputs
            .iter()
            .map(|(name, files)| (format!("/in/{name}"), files)),
    );
    for files in trees.values() {
        if let Err(error) = feed(&mut socket, files.as_ref()) {
            // The launcher may have said why it stopped listening.
            return match (error, wire::hear(&mut socket)) {
                (SandboxError::Broken(_), Ok(Report::Unavailable(missing))) => {
                    Err(unavailable(missing))
                }
                (error, _) => Err(error),
            };
        }
    }
    hear(&mut socket, &spec.observe, observer, take)
}

/// Gives the carrier the listeners that the launcher opened.
fn hand_over(socket: &UnixStream, network: &Network) -> io::Result<()> {
    let endpoints = network.endpoints.iter();
    let listeners = endpoints.map(|_| sys::receive_descriptor(socket).map(TcpListener::from));
    network.carrier.carry(listeners.collect::<io::Result<_>>()?)
}

/// Sends every file in frames. The launcher knows the sizes.
fn feed(socket: &mut UnixStream, files: &dyn VersionFiles) -> Result<(), SandboxError> {
    for file in files.files() {
        let (mut at, size) = (0, file.size.bytes());
        while at < size {
            let end = size.min(at + FRAME as u64);
            let bytes = files.read(&file.path, at..end)?;
            socket.write_all(&bytes).map_err(broken)?;
            at = end;
        }
    }
    Ok(())
}

/// Hears how the step goes, to its end.
fn hear(
    socket: &mut UnixStream,
    observe: &Observe,
    observer: &mut Option<Observer>,
    take: &mut TakeOutput<'_>,
) -> Result<Finished, SandboxError> {
    let mut finished = Finished {
        exit: Exit::Code(-1),
        log: Vec::new(),
        enforced: Vec::new(),
        observed: Observed::default(),
    };
    loop {
        match wire::hear(socket).map_err(broken)? {
            Report::Listener => {
                let listener = sys::receive_descriptor(socket).map_err(broken)?;
                *observer = Some(Observer::start(listener, observe.clone()));
            }
            Report::Started(enforced) => finished.enforced = enforced,
            Report::Ended(exit) => finished.exit = exit,
            Report::File {
                output,
                path,
                executable,
                size,
            } => {
                let path: FilePath = path.parse().map_err(|_| SandboxError::BadOutput {
                    output: output.clone(),
                    path: path.clone(),
                    because: "has a name that cannot be kept".to_owned(),
                })?;
                let named = path.to_string();
                let mut content = Read::by_ref(socket).take(size);
                let taken = take(OutputFile {
                    output: &output,
                    path,
                    executable,
                    size: ByteSize::from_bytes(size),
                    content: &mut content,
                });
                taken.map_err(|source| SandboxError::NotTaken {
                    output,
                    path: named,
                    source,
                })?;
                io::copy(&mut content, &mut io::sink()).map_err(broken)?;
            }
            Report::BadOutput {
                output,
                path,
                because,
            } => {
                return Err(SandboxError::BadOutput {
                    output,
                    path,
                    because,
                });
            }
            Report::OverLimit { output, over } => {
                return Err(SandboxError::OverLimit { output, over });
            }
            Report::Unavailable(missing) => return Err(SandboxError::Unavailable { missing }),
            Report::NoCommand(because) => return Err(SandboxError::NoCommand { because }),
            Report::Done => return Ok(finished),
            Report::Unshared | Report::Listening => {
                return Err(SandboxError::Broken("it began twice".to_owned()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_and_the_end_of_a_log_are_kept() {
        let mut short = Log::default();
        short.take(b"all of ");
        short.take(b"it");
        assert_eq!(short.bytes(), b"all of it");
        let mut long = Log::default();
        long.take(b"begins");
        for _ in 0..40 {
            long.take(&vec![b'.'; 64 << 10]);
        }
        long.take(b"Traceback");
        let kept = long.bytes();
        assert!(kept.starts_with(b"begins.") && kept.ends_with(b".Traceback"));
        assert!(kept.len() < 2 * LOG + 100);
        assert!(
            String::from_utf8(kept)
                .unwrap()
                .contains("[1572879 bytes are left out here]")
        );
    }
}
