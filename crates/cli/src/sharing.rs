//! One workspace, several processes of one user.
//!
//! One process at a time works in a workspace; it holds the ledger's lock. While it does, others hand their
//! requests to it over a socket ([`meeting`]), and it answers them through the same door. What they ask is
//! decided and entered as theirs. A connection that was greeted is served until the other side closes it;
//! this process ends after that.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use custody_backends::meeting;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// How long a command works before others are let in: most have ended by then.
const SHARED_AFTER: Duration = Duration::from_millis(200);
/// How long the end may take before it is said why.
const TOLD_AFTER: Duration = Duration::from_secs(1);
/// How long a greeting may take.
const GREETED_WITHIN: Duration = Duration::from_secs(1);
/// What is said to who connects: both sides must be the same program.
const GREETING: &[u8] = concat!("custody ", env!("CARGO_PKG_VERSION"), "\n").as_bytes();

/// Lets other processes in until it is dropped, and then waits for those that are.
#[derive(Debug)]
pub(crate) struct Sharing {
    /// Dropped to end it.
    stop: Option<oneshot::Sender<()>>,
    ended: mpsc::Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

impl Sharing {
    /// Starts soon. `ledger`: the ledger's folder, which this process holds.
    pub(crate) fn start(ledger: PathBuf, router: Router) -> io::Result<Self> {
        Self::start_after(SHARED_AFTER, ledger, router).map(|(sharing, _)| sharing)
    }

    /// Starts, and returns once others can come in.
    ///
    /// # Errors
    /// Where there are no sockets.
    pub(crate) fn start_now(ledger: PathBuf, router: Router) -> io::Result<Self> {
        let (sharing, listening) = Self::start_after(Duration::ZERO, ledger, router)?;
        listening.recv().map_err(io::Error::other)?;
        Ok(sharing)
    }

    fn start_after(
        after: Duration,
        ledger: PathBuf,
        router: Router,
    ) -> io::Result<(Self, mpsc::Receiver<()>)> {
        let (listens, listening) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let (ending, ended) = mpsc::channel();
        let thread = std::thread::Builder::new().name("sharing".to_owned());
        let thread = thread.spawn(move || {
            // Where there are no sockets, others wait until this process has ended.
            let _ = serve(&ledger, router, after, listens, stopped);
            let _ = ending.send(());
        })?;
        let sharing = Self {
            stop: Some(stop),
            ended,
            thread: Some(thread),
        };
        Ok((sharing, listening))
    }
}

impl Drop for Sharing {
    fn drop(&mut self) {
        drop(self.stop.take());
        if self.ended.recv_timeout(TOLD_AFTER) == Err(mpsc::RecvTimeoutError::Timeout) {
            // Where nobody reads it, nobody waits for it.
            let _closed = writeln!(
                io::stderr(),
                "waiting for another command that works in this workspace through this one"
            );
        }
        if let Some(thread) = self.thread.take() {
            // One that panicked lets nobody in any more.
            let _ = thread.join();
        }
    }
}

fn serve(
    ledger: &Path,
    router: Router,
    after: Duration,
    listens: mpsc::Sender<()>,
    mut stopped: oneshot::Receiver<()>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        tokio::select! {
            _ = &mut stopped => return Ok(()),
            () = tokio::time::sleep(after) => {}
        }
        let listener = meeting::listen(ledger)?;
        listener.set_nonblocking(true)?;
        let mut listener = UnixListener::from_std(listener)?;
        // Most do not wait for it.
        let _ = listens.send(());
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                _ = &mut stopped => break,
                stream = next(&mut listener) => {
                    connections.spawn(answer(stream, router.clone()));
                }
                Some(_) = connections.join_next() => {}
            }
        }
        meeting::leave(ledger);
        drop(listener);
        while connections.join_next().await.is_some() {}
        Ok(())
    })
}

/// Waits for the next process of this user.
async fn next(listener: &mut UnixListener) -> tokio::net::UnixStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let own = rustix::process::geteuid().as_raw();
                if stream.peer_cred().is_ok_and(|peer| peer.uid() == own) {
                    return stream;
                }
            }
            // Too many open files, most often; some will be closed.
            Err(_) => tokio::time::sleep(SHARED_AFTER).await,
        }
    }
}

async fn answer(mut stream: tokio::net::UnixStream, router: Router) {
    if stream.write_all(GREETING).await.is_ok() {
        let service = TowerToHyperService::new(router);
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        // What goes wrong with it, the other side is told.
        let _ = connection.await;
    }
}

/// What came of a try to reach the process that works in the workspace.
pub(crate) enum Reached {
    /// It answers.
    Open(UnixStream),
    /// It lets nobody in, ends, or is another version of this program.
    Closed,
    /// It is there and says nothing, as one that was stopped.
    Silent,
}

/// Connects to the process that works in the workspace.
pub(crate) fn connect(ledger: &Path) -> Reached {
    let Ok(mut stream) = meeting::connect(ledger) else {
        return Reached::Closed;
    };
    let mut greeting = [0; GREETING.len()];
    let greeted = stream
        .set_read_timeout(Some(GREETED_WITHIN))
        .and_then(|()| stream.read_exact(&mut greeting))
        .and_then(|()| stream.set_read_timeout(None));
    match greeted {
        Ok(()) if greeting == GREETING => Reached::Open(stream),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
            ) =>
        {
            Reached::Silent
        }
        _ => Reached::Closed,
    }
}
