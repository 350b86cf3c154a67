//! One call: who asks, with which query and body, and how it is answered.

use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::time::Duration;

use axum::body::Body;
use custody_observe::carried;
use custody_types::{ByteSize, Problem, code};
use custody_wire::stream::{Piece, PieceReader, PieceWriter, channel};
use custody_wire::{Document, PROBLEM_JSON, ProblemDetails, Schema};
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::BodyExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::time::timeout;
use zeroize::Zeroizing;

/// The largest document that a request may carry.
const DOCUMENT_BYTES: u64 = 16 << 20;
/// That of who is not known yet.
const ARRIVAL_BYTES: u64 = 16 << 10;

/// What a request carries, on a thread that may block.
#[derive(Debug)]
pub(crate) struct Call {
    /// What the path names.
    id: Option<String>,
    query: String,
    /// What the body says that it is.
    media_type: Option<String>,
    body: PieceReader,
    /// The largest document that is read.
    most: u64,
}

impl Call {
    pub(crate) fn new(
        id: Option<String>,
        query: &str,
        media_type: Option<&str>,
        body: PieceReader,
    ) -> Self {
        Self {
            id,
            query: query.to_owned(),
            media_type: media_type.map(ToOwned::to_owned),
            body,
            most: DOCUMENT_BYTES,
        }
    }

    /// Of who is not known yet, small documents are read.
    pub(crate) fn of_a_stranger(self) -> Self {
        Self {
            most: ARRIVAL_BYTES,
            ..self
        }
    }

    /// Takes what the path names.
    pub(crate) fn id(&mut self) -> Result<String, Problem> {
        let id = self.id.take();
        id.ok_or_else(|| malformed(&"the path names nothing"))
    }

    /// Takes the query as it came.
    pub(crate) fn raw_query(&mut self) -> String {
        std::mem::take(&mut self.query)
    }

    /// Reads the query.
    pub(crate) fn query<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        serde_urlencoded::from_str(&self.query).map_err(|error| malformed(&error))
    }

    /// Reads the body as a JSON document.
    pub(crate) fn document<T: DeserializeOwned>(self) -> Result<T, Problem> {
        let Self { most, .. } = self;
        let body = self.body_of_type("application/json")?;
        let mut bytes = Zeroizing::new(Vec::new());
        body.take(most + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| malformed(&error))?;
        if u64::try_from(bytes.len()).is_ok_and(|size| size > most) {
            let what = format!("the request has more than {}", ByteSize::from_bytes(most));
            return Err(Problem::new(code::API_018, what).hint("ask for less at once"));
        }
        serde_json::from_slice(&bytes).map_err(|error| malformed(&error))
    }

    /// Takes the body, which says that it is of `media_type`: what is not what it says is not guessed at (RFC 9110, section
    /// 8.3). Parameters say nothing of these types.
    pub(crate) fn body_of_type(self, media_type: &str) -> Result<PieceReader, Problem> {
        let said = self.media_type.as_deref().map(|said| {
            let (said, _) = said.split_once(';').unwrap_or((said, ""));
            said.trim().to_ascii_lowercase()
        });
        if said.as_deref() == Some(media_type) {
            return Ok(self.body);
        }
        let what = format!("the body of the request is no `{media_type}`");
        let because = match said {
            None => "it does not say what it is".to_owned(),
            Some(said) => format!("it says that it is `{said}`"),
        };
        Err(Problem::new(code::API_024, what)
            .because(because)
            .hint(format!("send it with `Content-Type: {media_type}`")))
    }

    /// Checks that there is no body.
    pub(crate) fn no_body(mut self) -> Result<(), Problem> {
        match self.body.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(malformed(&"this request has no body")),
            Err(error) => Err(malformed(&error)),
        }
    }
}

/// Somebody who is not known yet.
#[derive(Debug)]
pub(crate) struct Visitor {
    /// Where they come from.
    pub(crate) address: IpAddr,
    /// What they show, if anything.
    pub(crate) token: Option<String>,
    /// What a browser keeps of the sign-in that it began, if anything.
    pub(crate) cookie: Option<String>,
}

pub(crate) fn malformed(error: &dyn std::fmt::Display) -> Problem {
    Problem::new(code::API_010, "the request cannot be understood").because(error)
}

/// Answers with a document.
pub(crate) fn reply<T: Serialize + Schema>(body: T) -> Result<Response<Body>, Problem> {
    let bytes = serde_json::to_vec(&Document::new(body)).map_err(|error| unwritable(&error))?;
    answer(StatusCode::OK, "application/json", Body::from(bytes))
}

pub(crate) fn answer(
    status: StatusCode,
    media_type: &str,
    body: Body,
) -> Result<Response<Body>, Problem> {
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, media_type)
        .body(body)
        .map_err(|error| unwritable(&error))
}

/// Answers with a stream that `write` produces on a thread of its own.
pub(crate) fn stream(
    media_type: &str,
    write: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()> + Send + 'static,
) -> Result<Response<Body>, Problem> {
    let (sender, receiver) = channel();
    tokio::task::spawn_blocking(carried(move || {
        let mut writer = PieceWriter::new(sender);
        match write(&mut writer) {
            Ok(()) => writer.finish().unwrap_or_default(),
            Err(error) => writer.fail(error),
        }
    }));
    answer(StatusCode::OK, media_type, body_of(receiver))
}

/// Answers with a problem, under the status that fits it.
pub fn problem(problem: &Problem) -> Response<Body> {
    let details = ProblemDetails::from(problem);
    let bytes = serde_json::to_vec(&details).unwrap_or_default();
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() =
        StatusCode::from_u16(details.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.extensions_mut().insert(details);
    let json = HeaderValue::from_static(PROBLEM_JSON);
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    if response.status() == StatusCode::UNAUTHORIZED {
        let bearer = HeaderValue::from_static("Bearer");
        let headers = response.headers_mut();
        headers.insert(header::WWW_AUTHENTICATE, bearer);
    }
    response
}

pub(crate) fn unwritable(error: &dyn std::fmt::Display) -> Problem {
    Problem::new(code::API_011, "the answer cannot be written").because(error)
}

fn body_of(receiver: mpsc::Receiver<Piece>) -> Body {
    Body::from_stream(futures::stream::unfold(receiver, async |mut receiver| {
        let piece = receiver.recv().await?;
        Some((piece, receiver))
    }))
}

/// Hands the pieces of a request's body to a blocking reader. `patience`: how long it waits for the next one; `None`: for
/// ever.
pub(crate) fn reader_of(mut body: Body, patience: Option<Duration>) -> PieceReader {
    let (sender, receiver) = channel();
    tokio::spawn(async move {
        loop {
            let next = match patience {
                None => Ok(body.frame().await),
                Some(patience) => timeout(patience, body.frame()).await,
            };
            let piece = match next {
                Ok(None) => return,
                Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut)),
                Ok(Some(Ok(frame))) => frame
                    .into_data()
                    .map_err(|_| io::Error::other("trailers are not expected")),
                Ok(Some(Err(error))) => Err(io::Error::other(error)),
            };
            let is_last = piece.is_err();
            if sender.send(piece).await.is_err() || is_last {
                return;
            }
        }
    });
    PieceReader::new(receiver)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(body: Vec<u8>) -> Call {
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            let mut writer = PieceWriter::new(sender);
            writer.write_all(&body).and_then(|()| writer.finish())
        });
        let media_type = Some("Application/JSON; charset=utf-8");
        Call::new(None, "", media_type, PieceReader::new(receiver))
    }

    #[test]
    fn a_document_has_a_limit_that_is_told() {
        let largest = usize::try_from(DOCUMENT_BYTES).unwrap();
        for (more, code) in [(0, code::API_010), (1, code::API_018)] {
            let problem = call(vec![b' '; largest + more])
                .document::<u8>()
                .unwrap_err();
            assert_eq!(problem.code, code, "{problem}");
        }
        let problem = call(vec![b' '; largest + 1]).document::<u8>().unwrap_err();
        assert!(problem.what.contains("16.0 MiB"), "{problem}");
    }

    #[test]
    fn every_problem_is_answered_under_the_status_of_its_kind() {
        for code in code::ALL {
            let answer = problem(&Problem::new(*code, "it failed"));
            assert_eq!(answer.status().as_u16(), code.kind().status());
            assert!(answer.status().is_client_error() || answer.status().is_server_error());
            assert_eq!(answer.headers()[header::CONTENT_TYPE], PROBLEM_JSON);
        }
    }
}
