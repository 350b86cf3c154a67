//! The ways to reach the API.

use std::convert::Infallible;
use std::io;
use std::os::unix::net::UnixStream;

use bytes::Bytes;
use custody_wire::stream::Piece;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::sync::{Mutex, mpsc};
use tower::ServiceExt;

pub(crate) use axum::body::Body;

use crate::PieceBytes;

/// A way to reach the API.
#[derive(Debug)]
pub enum Transport {
    /// Calls the router in this process.
    InProcess(axum::Router),
    /// Calls the router of another process.
    Socket(Connection),
}

/// A connection to another process, kept for all requests.
#[derive(Debug)]
pub struct Connection(Mutex<State>);

#[derive(Debug)]
enum State {
    Connected(Option<UnixStream>),
    Speaking(SendRequest<Body>),
}

impl Connection {
    /// Speaks HTTP on a socket that is connected.
    pub fn new(stream: UnixStream) -> Self {
        Self(Mutex::new(State::Connected(Some(stream))))
    }

    async fn send(&self, request: Request<Body>) -> io::Result<Response<Body>> {
        let mut state = self.0.lock().await;
        if let State::Connected(stream) = &mut *state {
            let stream = stream.take().ok_or(io::ErrorKind::NotConnected)?;
            stream.set_nonblocking(true)?;
            let stream = TokioIo::new(tokio::net::UnixStream::from_std(stream)?);
            let (sender, connection) = handshake(stream).await.map_err(io::Error::other)?;
            tokio::spawn(connection);
            *state = State::Speaking(sender);
        }
        let State::Speaking(sender) = &mut *state else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        sender.ready().await.map_err(io::Error::other)?;
        let response = sender.send_request(request).await;
        Ok(response.map_err(io::Error::other)?.map(Body::new))
    }
}

impl Transport {
    pub(crate) async fn send(&self, request: Request<Body>) -> io::Result<Response<Body>> {
        match self {
            Self::InProcess(router) => {
                let answer: Result<_, Infallible> = router.clone().oneshot(request).await;
                match answer {
                    Ok(response) => Ok(response),
                    Err(never) => match never {},
                }
            }
            Self::Socket(connection) => connection.send(request).await,
        }
    }
}

/// Makes a body of the pieces that arrive in `receiver`.
pub(crate) fn pieces_body(receiver: mpsc::Receiver<Piece>) -> Body {
    Body::from_stream(futures::stream::unfold(receiver, async |mut receiver| {
        let piece = receiver.recv().await?;
        Some((piece, receiver))
    }))
}

/// Takes the next piece of a body; `None` at its end.
pub(crate) async fn next_piece(body: &mut Body) -> Option<PieceBytes> {
    loop {
        match body.frame().await? {
            Ok(frame) => {
                if let Ok(piece) = frame.into_data() {
                    return Some(Ok(piece));
                }
            }
            Err(error) => return Some(Err(error)),
        }
    }
}

/// Hands the pieces of a body to `sender` until either ends.
pub(crate) async fn pump(mut body: Body, sender: mpsc::Sender<Piece>) {
    while let Some(piece) = next_piece(&mut body).await {
        if sender.send(piece.map_err(io::Error::other)).await.is_err() {
            return;
        }
    }
}

/// Reads a whole body of at most `limit` bytes.
pub(crate) async fn read_to_end(body: Body, limit: usize) -> Result<Bytes, axum::Error> {
    axum::body::to_bytes(body, limit).await
}
