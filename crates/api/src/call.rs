//! One call: who asks, with which query and body, and how it is answered.

use std::io::{self, Read, Write};

use axum::body::Body;
use custody_guard::Session;
use custody_types::{ExitCode, Problem};
use custody_wire::stream::{Piece, PieceReader, PieceWriter, channel};
use custody_wire::{Document, Schema};
use http::{Response, StatusCode, header};
use http_body_util::BodyExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

/// The largest document that a request may carry.
const DOCUMENT_BYTES: u64 = 16 << 20;

/// One call, on a thread that may block.
#[derive(Debug)]
pub(crate) struct Call {
    /// Who asks.
    pub(crate) session: Session,
    query: String,
    body: PieceReader,
}

impl Call {
    pub(crate) fn new(session: Session, query: String, body: PieceReader) -> Self {
        Self {
            session,
            query,
            body,
        }
    }

    /// Reads the query string.
    pub(crate) fn query<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        serde_urlencoded::from_str(&self.query).map_err(|error| malformed(&error))
    }

    /// Reads the body as a JSON document.
    pub(crate) fn document<T: DeserializeOwned>(self) -> Result<T, Problem> {
        let mut bytes = Vec::new();
        self.body
            .take(DOCUMENT_BYTES)
            .read_to_end(&mut bytes)
            .map_err(|error| malformed(&error))?;
        serde_json::from_slice(&bytes).map_err(|error| malformed(&error))
    }

    /// Hands out the body as a stream of bytes.
    pub(crate) fn into_stream(self) -> PieceReader {
        self.body
    }
}

fn malformed(error: &dyn std::fmt::Display) -> Problem {
    Problem::new(
        "CUS-API-010",
        ExitCode::Usage,
        "the request cannot be understood",
    )
    .because(error)
}

/// Answers with a document.
pub(crate) fn reply<T: Serialize + Schema>(body: T) -> Result<Response<Body>, Problem> {
    let bytes = serde_json::to_vec(&Document::new(body)).map_err(|error| unwritable(&error))?;
    Response::builder()
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(bytes))
        .map_err(|error| unwritable(&error))
}

/// Answers with a stream that `write` produces on a thread of its own.
pub(crate) fn stream(
    content_type: &str,
    write: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()> + Send + 'static,
) -> Result<Response<Body>, Problem> {
    let (sender, receiver) = channel();
    tokio::task::spawn_blocking(move || {
        let mut writer = PieceWriter::new(sender);
        match write(&mut writer) {
            Ok(()) => writer.finish().unwrap_or_default(),
            Err(error) => writer.fail(error),
        }
    });
    Response::builder()
        .header(header::CONTENT_TYPE, content_type)
        .body(body_of(receiver))
        .map_err(|error| unwritable(&error))
}

/// Answers with a problem, under the status that fits it.
pub(crate) fn problem(problem: &Problem) -> Response<Body> {
    let status = match problem.exit {
        ExitCode::Done => StatusCode::OK,
        ExitCode::Usage => StatusCode::BAD_REQUEST,
        ExitCode::Denied => StatusCode::FORBIDDEN,
        ExitCode::NotFound => StatusCode::NOT_FOUND,
        ExitCode::No | ExitCode::Approval => StatusCode::CONFLICT,
        ExitCode::Later | ExitCode::Isolation | ExitCode::Interrupted => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        ExitCode::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        ExitCode::Integrity | ExitCode::Fault => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let bytes = serde_json::to_vec(problem).unwrap_or_default();
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    response
}

fn unwritable(error: &dyn std::fmt::Display) -> Problem {
    Problem::new(
        "CUS-API-011",
        ExitCode::Fault,
        "the answer cannot be written",
    )
    .because(error)
}

fn body_of(receiver: mpsc::Receiver<Piece>) -> Body {
    Body::from_stream(futures::stream::unfold(receiver, async |mut receiver| {
        let piece = receiver.recv().await?;
        Some((piece, receiver))
    }))
}

/// Hands the pieces of a request's body to a blocking reader.
pub(crate) fn reader_of(mut body: Body) -> PieceReader {
    let (sender, receiver) = channel();
    tokio::spawn(async move {
        while let Some(frame) = body.frame().await {
            let piece = match frame {
                Ok(frame) => frame
                    .into_data()
                    .map_err(|_| io::Error::other("trailers are not expected")),
                Err(error) => Err(io::Error::other(error)),
            };
            if sender.send(piece).await.is_err() {
                return;
            }
        }
    });
    PieceReader::new(receiver)
}
