//! The ways to reach the API.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::os::unix::net::UnixStream;
use std::str::FromStr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use custody_wire::stream::Piece;
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::BodyExt;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
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
    /// Calls a server over the network.
    Server(Server),
}

/// How long it may take until a server speaks TLS.
const CONNECTED_WITHIN: Duration = Duration::from_secs(20);

/// A server, which a token opens. Each request has a connection of its own.
pub struct Server {
    host: String,
    port: u16,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
    /// The field that shows the token.
    authorization: HeaderValue,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({}:{})", self.host, self.port)
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server `{}`", authority(&self.host, self.port))
    }
}

impl Server {
    /// Speaks to a server that shows a certificate below one of `roots`, in PEM.
    ///
    /// # Errors
    /// What is wrong with the address, the certificates or the token, in words.
    pub fn new(address: &Address, roots: &str, token: &str) -> Result<Self, String> {
        let config = custody_tls::trusting(roots).map_err(|error| error.to_string())?;
        let mut authorization = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| "the token has characters that no token has".to_owned())?;
        authorization.set_sensitive(true);
        Ok(Self {
            host: address.host.clone(),
            port: address.port,
            name: address.name()?,
            config: Arc::new(config),
            authorization,
        })
    }

    async fn send(&self, mut request: Request<Body>) -> io::Result<Response<Body>> {
        let stream = connect(&self.host, self.port, self.name.clone(), &self.config).await?;
        let (mut sender, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        tokio::spawn(connection);
        let host = HeaderValue::from_str(&authority(&self.host, self.port));
        let headers = request.headers_mut();
        headers.insert(header::HOST, host.map_err(io::Error::other)?);
        headers.insert(header::AUTHORIZATION, self.authorization.clone());
        let response = sender.send_request(request).await;
        Ok(response.map_err(io::Error::other)?.map(Body::new))
    }
}

/// Where a server is: `https://host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    host: String,
    port: u16,
}

impl Address {
    fn name(&self) -> Result<ServerName<'static>, String> {
        ServerName::try_from(self.host.clone())
            .map_err(|_| format!("`{}` is no name of a server", self.host))
    }

    /// Looks which certificates the server shows, and sends it nothing. Blocks.
    ///
    /// # Errors
    /// The machine's error, when it cannot be reached.
    pub fn certificates(&self) -> io::Result<Vec<CertificateDer<'static>>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let seen = Arc::default();
        let config = custody_tls::looking(Arc::clone(&seen)).map_err(io::Error::other)?;
        let name = self.name().map_err(io::Error::other)?;
        let config = Arc::new(config);
        let connected = runtime.block_on(connect(&self.host, self.port, name, &config));
        let seen = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
        match connected {
            Err(error) if seen.is_empty() => Err(error),
            _ => Ok(seen),
        }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("`{text}` is no address of a server: write `https://host:port`");
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let plain = matches!(uri.path(), "" | "/") && uri.query().is_none();
        if uri.scheme_str() != Some("https") || !plain || text.contains('@') {
            return Err(wrong());
        }
        let host = uri.host().ok_or_else(wrong)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let address = Self {
            host: host.to_ascii_lowercase(),
            port: uri.port_u16().unwrap_or(443),
        };
        address.name()?;
        Ok(address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}", authority(&self.host, self.port))
    }
}

fn authority(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

async fn connect(
    host: &str,
    port: u16,
    name: ServerName<'static>,
    config: &Arc<ClientConfig>,
) -> io::Result<TlsStream<TcpStream>> {
    let connected = async {
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        TlsConnector::from(Arc::clone(config))
            .connect(name, stream)
            .await
    };
    timeout(CONNECTED_WITHIN, connected).await?
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
            Self::Server(server) => server.send(request).await,
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
