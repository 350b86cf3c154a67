//! A server that is sealed: it has its workspace and no keys, until somebody gives it the passphrase.
//!
//! It is given by the socket of the workspace alone, by a process of the same user, who may read the key file too. Over the
//! network nothing is answered, so a stranger has nothing to try, to hold, or to learn.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use custody_api::problem_response;
use custody_types::{Problem, code};
use custody_wire::{Document, UnsealReply, UnsealRequest};
use http::{Method, Request, Response};
use tokio::sync::oneshot;
use tower::ServiceExt;
use zeroize::Zeroizing;

/// How often it is looked whether the server shall end.
const PAUSE: Duration = Duration::from_millis(100);
/// The largest request that is read.
const LIMIT: usize = 16 << 10;

type Answer = Result<UnsealReply, Problem>;

/// A passphrase that somebody gives, and who waits to hear what came of it.
pub(crate) struct Attempt {
    passphrase: Zeroizing<String>,
    answer: oneshot::Sender<Answer>,
}

/// What stands at the socket of a server, sealed or not.
pub(crate) struct Gate {
    opened: Arc<OnceLock<Router>>,
    attempts: Receiver<Attempt>,
}

impl Gate {
    /// Returns it, and what answers at the socket.
    pub(crate) fn new() -> (Self, Router) {
        let opened = Arc::new(OnceLock::new());
        // One is tried at a time, and one waits.
        let (sender, attempts) = sync_channel(1);
        let behind = opened.clone();
        let router = Router::new().fallback(move |request: Request<Body>| {
            let (behind, sender) = (behind.clone(), sender.clone());
            async move { answer(&behind, sender, request).await }
        });
        (Self { opened, attempts }, router)
    }

    /// Waits for a passphrase that opens; returns what it opened, and who gave it. Who gives a wrong one is told so.
    pub(crate) fn wait<T>(
        &self,
        open: impl Fn(&str) -> Result<T, Problem>,
        is_ending: &dyn Fn() -> bool,
    ) -> Result<(T, Attempt), Problem> {
        loop {
            match self.attempts.recv_timeout(PAUSE) {
                Ok(attempt) => match open(&attempt.passphrase) {
                    Ok(opened) => return Ok((opened, attempt)),
                    // Who does not listen any more may try again.
                    Err(problem) => drop(attempt.answer.send(Err(problem))),
                },
                Err(RecvTimeoutError::Timeout) if !is_ending() => {}
                Err(_) => {
                    let what = "the server was ended before it was unsealed";
                    return Err(Problem::new(code::SERVE_006, what));
                }
            }
        }
    }

    /// Lets `router` answer from now on, and tells who gave the passphrase by which entry; or why not.
    ///
    /// # Errors
    /// The problem that `entered` is.
    pub(crate) fn open(
        &self,
        router: Router,
        attempt: Attempt,
        entered: Result<u64, Problem>,
    ) -> Result<(), Problem> {
        let told = entered.clone().map(|entry| UnsealReply { entry });
        if told.is_ok() {
            let _ = self.opened.set(router);
        }
        let _ = attempt.answer.send(told);
        entered.map(drop)
    }
}

async fn answer(
    opened: &OnceLock<Router>,
    sender: SyncSender<Attempt>,
    request: Request<Body>,
) -> Response<Body> {
    if let Some(router) = opened.get() {
        let Ok(response) = router.clone().oneshot(request).await;
        return response;
    }
    if request.method() != Method::POST || request.uri().path() != "/v1/unseal" {
        return problem_response(&sealed());
    }
    match attempt(sender, request).await {
        Ok(reply) => match serde_json::to_vec(&Document::new(reply)) {
            Ok(bytes) => Response::new(Body::from(bytes)),
            Err(error) => problem_response(&sealed().because(error)),
        },
        Err(problem) => problem_response(&problem),
    }
}

async fn attempt(sender: SyncSender<Attempt>, request: Request<Body>) -> Answer {
    let malformed = |error: &dyn std::fmt::Display| {
        Problem::new(code::API_010, "the request cannot be understood").because(error)
    };
    let bytes = to_bytes(request.into_body(), LIMIT).await;
    let bytes = Zeroizing::new(bytes.map_err(|error| malformed(&error))?.to_vec());
    let UnsealRequest { passphrase } =
        serde_json::from_slice(&bytes).map_err(|error| malformed(&error))?;
    let (answer, answered) = oneshot::channel();
    let attempt = Attempt {
        passphrase: Zeroizing::new(passphrase),
        answer,
    };
    // Others are being tried; or the server ends.
    sender.try_send(attempt).map_err(|_| sealed())?;
    answered.await.unwrap_or_else(|_| {
        let what = "it was not tried: another passphrase opened the server, or it ended";
        Err(Problem::new(code::SERVE_006, what).hint("see what the server says"))
    })
}

fn sealed() -> Problem {
    Problem::new(
        code::SERVE_006,
        "the server that works in this workspace is sealed",
    )
    .hint("unseal it with `custody unseal`, as the user that runs it")
}

/// Says that there is nothing to unseal.
pub(crate) fn not_sealed() -> Problem {
    Problem::new(code::SERVE_007, "no sealed server works in this workspace")
        .hint("start one with `custody serve`; one that has the passphrase needs no unsealing")
}
