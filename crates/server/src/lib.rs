//! The network edge: who connects speaks TLS 1.3 and HTTP/1.1, within limits.
//!
//! [`serve`] takes connections and hands their requests to a router, each with the [`Peer`] that it came from. What is asked
//! and whether it is allowed is the router's business.
#![forbid(unsafe_code)]

mod watched;

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use custody_api::Peer;
use custody_observe::{Event, Observer, Refusal};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use crate::watched::{Connected, Watched};

/// What every answer says: nothing of it is kept on the way, taken for what it is not, or asked for without TLS.
const HEADERS: [(HeaderName, &str); 3] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::STRICT_TRANSPORT_SECURITY, "max-age=63072000"),
];

/// How much of a body that nobody asks for is read, and for how long: who sends it still hears the answer. A connection that is
/// closed while something is sent is reset, and what was answered may be lost (RFC 9112, section 9.6).
const LINGER_BYTES: u64 = 1 << 20;
const LINGER: Duration = Duration::from_secs(5);

/// How much who connects may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many connections are open at once.
    pub connections: usize,
    /// How long it may take until TLS is spoken.
    pub handshake: Duration,
    /// How long the head of a request may take, from when the connection waits for one.
    pub head: Duration,
    /// How many fields the head of a request may have.
    pub fields: usize,
    /// How many bytes the head of a request may have.
    pub head_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(30),
            fields: 64,
            head_bytes: 16 << 10,
        }
    }
}

/// What ends a server: it takes no more connections, answers the requests that it has, and is done. Dropping it does that.
#[derive(Debug)]
pub struct Stopping(watch::Sender<()>);

impl Stopping {
    /// Returns it, and what [`serve`] waits for.
    pub fn new() -> (Self, watch::Receiver<()>) {
        let (sender, receiver) = watch::channel(());
        (Self(sender), receiver)
    }

    /// Ends it.
    pub fn stop(self) {
        drop(self.0);
    }
}

/// Takes connections until `stopped`, and returns once all of them have ended. `observer` is told of each connection and request.
pub async fn serve(
    listener: TcpListener,
    config: Arc<ServerConfig>,
    router: Router,
    limits: Limits,
    stopped: watch::Receiver<()>,
    observer: Observer,
) {
    let acceptor = TlsAcceptor::from(config);
    let room = Arc::new(Semaphore::new(limits.connections));
    let mut open = JoinSet::new();
    let mut stopping = stopped.clone();
    loop {
        let next = async {
            let permit = room.clone().acquire_owned().await;
            (permit, listener.accept().await)
        };
        tokio::select! {
            // It is stopped by being dropped, which is a change too.
            _ = stopping.changed() => break,
            (permit, accepted) = next => match accepted {
                Ok((stream, peer)) => {
                    let connected = Connected::new(&observer);
                    let (acceptor, router, stopped) = (acceptor.clone(), router.clone(), stopped.clone());
                    let observer = observer.clone();
                    open.spawn(async move {
                        let _permit = permit;
                        let _connected = connected;
                        // What goes wrong with it, the other side is told.
                        let _ = converse(stream, Peer(peer.ip()), acceptor, (router, observer), limits, stopped).await;
                    });
                }
                // Too many open files, most often; some will be closed.
                Err(_) => {
                    observer.note(&Event::Refused(Refusal::Accept));
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = open.join_next() => {}
        }
    }
    drop(listener);
    while open.join_next().await.is_some() {}
}

/// Speaks with one who connected, to the end of the connection.
async fn converse(
    stream: TcpStream,
    peer: Peer,
    acceptor: TlsAcceptor,
    (router, observer): (Router, Observer),
    limits: Limits,
    mut stopped: watch::Receiver<()>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let refused = |why| observer.note(&Event::Refused(why));
    let spoken = timeout(limits.handshake, acceptor.accept(stream)).await;
    let spoken = spoken.inspect_err(|_| refused(Refusal::Time))?;
    let stream = spoken.inspect_err(|_| refused(Refusal::Tls))?;
    let watching = observer.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let (router, observer) = (router.clone(), watching.clone());
        async move { answer(request, peer, router, &observer).await }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_headers(limits.fields)
        .max_buf_size(limits.head_bytes)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        ended = &mut connection => return ended.map_err(ended_by(&observer)),
        _ = stopped.changed() => connection.as_mut().graceful_shutdown(),
    }
    connection.await.map_err(ended_by(&observer))
}

/// Tells of a connection that ended since what came was no request.
fn ended_by(observer: &Observer) -> impl FnOnce(hyper::Error) -> io::Error {
    |error| {
        if error.is_parse() || error.is_parse_too_large() {
            observer.note(&Event::Refused(Refusal::Head));
        }
        io::Error::other(error)
    }
}

async fn answer(
    mut request: Request<Incoming>,
    peer: Peer,
    router: Router,
    observer: &Observer,
) -> Result<Response<Body>, Infallible> {
    let watched = Watched::begin(observer, &mut request);
    let mut response = if is_clear(request.headers()) {
        // Who waits to be told to go on sends nothing that would have to be read.
        let waits = request.headers().contains_key(header::EXPECT);
        let mut request = if waits {
            request.map(Body::new)
        } else {
            request.map(|body| Body::new(Lingering(Some(body))))
        };
        if let Some(watched) = &watched {
            request = request.map(|body| watched.counted(body));
        }
        request.extensions_mut().insert(peer);
        router.oneshot(request).await?
    } else {
        let mut refused = Response::new(Body::empty());
        *refused.status_mut() = StatusCode::BAD_REQUEST;
        let close = HeaderValue::from_static("close");
        refused.headers_mut().insert(header::CONNECTION, close);
        refused
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        // What may be kept says so itself.
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    Ok(match watched {
        Some(watched) => watched.answer(response),
        None => response,
    })
}

/// The body of a request. What is left of it when it is let go is read all the same, within limits.
#[derive(Debug)]
struct Lingering(Option<Incoming>);

impl http_body::Body for Lingering {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.0 {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0
            .as_ref()
            .map_or_else(SizeHint::default, http_body::Body::size_hint)
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let body = self.0.take().filter(|body| !body.is_end_stream());
        let (Some(mut body), Ok(runtime)) = (body, Handle::try_current()) else {
            return;
        };
        runtime.spawn(timeout(LINGER, async move {
            let mut left = LINGER_BYTES;
            while let Some(Ok(frame)) = body.frame().await {
                let size = frame.data_ref().map_or(0, Bytes::len);
                match left.checked_sub(size as u64) {
                    Some(less) => left = less,
                    None => break,
                }
            }
        }));
    }
}

/// Whether a head is read by everybody alike: it names one host (RFC 9112, section 3.2), and one length of its body
/// (section 6.3).
fn is_clear(headers: &HeaderMap) -> bool {
    let hosts = headers.get_all(header::HOST).iter().count();
    let lengths = headers.get_all(header::CONTENT_LENGTH).iter().count();
    let coded = headers.contains_key(header::TRANSFER_ENCODING);
    hosts == 1 && lengths <= usize::from(!coded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_that_may_be_read_in_two_ways_is_refused() {
        let read = |fields: &[(HeaderName, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.append(name, HeaderValue::from_static(value));
            }
            is_clear(&headers)
        };
        let host = (header::HOST, "localhost");
        let length = (header::CONTENT_LENGTH, "6");
        let coded = (header::TRANSFER_ENCODING, "chunked");
        assert!(read(std::slice::from_ref(&host)));
        assert!(read(&[host.clone(), length.clone()]) && read(&[host.clone(), coded.clone()]));
        for unclear in [
            vec![],
            vec![host.clone(), (header::HOST, "other")],
            vec![host.clone(), length.clone(), coded],
            vec![host, length.clone(), length],
        ] {
            assert!(!read(&unclear), "{unclear:?}");
        }
    }
}
