//! The ways to reach the API.

use std::convert::Infallible;
use std::io;

use bytes::Bytes;
use custody_wire::stream::Piece;
use http::{Request, Response};
use http_body_util::BodyExt;
use tokio::sync::mpsc;
use tower::ServiceExt;

pub(crate) use axum::body::Body;

use crate::PieceBytes;

/// A way to reach the API.
#[derive(Debug, Clone)]
pub enum Transport {
    /// Calls the router in this process.
    InProcess(axum::Router),
}

impl Transport {
    pub(crate) async fn send(&self, request: Request<Body>) -> Response<Body> {
        match self {
            Self::InProcess(router) => {
                let answer: Result<_, Infallible> = router.clone().oneshot(request).await;
                match answer {
                    Ok(response) => response,
                    Err(never) => match never {},
                }
            }
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
