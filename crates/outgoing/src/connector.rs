//! Asking one thing.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use custody_oidc::{Answer, Ask, Form, Unreached, Web};
use http::request::Builder;
use http::{HeaderName, HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use crate::reach::Reach;

/// How much is waited for, and how much is taken.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long it may take until an address answers, and until TLS is spoken.
    pub connection: Duration,
    /// How long all of it may take.
    pub whole: Duration,
    /// How many bytes an answer may have.
    pub bytes: usize,
    /// How much is asked at once.
    pub at_once: usize,
    /// How many addresses of a name are tried.
    pub addresses: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connection: Duration::from_secs(4),
            whole: Duration::from_secs(8),
            bytes: 1 << 20,
            at_once: 16,
            addresses: 4,
        }
    }
}

/// Finds the addresses of a name.
pub trait Resolve: Send + Sync + fmt::Debug {
    /// Finds them.
    fn addresses<'a>(
        &'a self,
        name: &'a str,
        port: u16,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;
}

/// As the system does.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

impl Resolve for System {
    fn addresses<'a>(
        &'a self,
        name: &'a str,
        port: u16,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name, port)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// Whose certificates are trusted.
#[derive(Debug, Clone)]
pub enum Trust {
    /// Those below a root that the system trusts.
    System,
    /// Those below a root of this text in PEM.
    Roots(String),
}

/// No root is trusted: the system has none, or the text has none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no root of certificates can be used: {0}")]
pub struct TrustError(String);

/// Asks things of others.
#[derive(Debug)]
pub struct Connector {
    reach: Reach,
    limits: Limits,
    config: Arc<ClientConfig>,
    resolve: Arc<dyn Resolve>,
    room: Semaphore,
}

/// What a connection is, whether or not TLS is spoken.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl Connector {
    /// Makes one.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn new(
        reach: Reach,
        trust: &Trust,
        limits: Limits,
        resolve: Arc<dyn Resolve>,
    ) -> Result<Self, TrustError> {
        let unusable = |error: rustls::Error| TrustError(error.to_string());
        let config = match trust {
            Trust::Roots(text) => custody_tls::trusting(text).map_err(unusable)?,
            Trust::System => {
                let mut roots = RootCertStore::empty();
                let found = rustls_native_certs::load_native_certs();
                roots.add_parsable_certificates(found.certs);
                if roots.is_empty() {
                    return Err(TrustError("the system has none".to_owned()));
                }
                custody_tls::client(roots).map_err(unusable)?
            }
        };
        Ok(Self {
            reach,
            config: Arc::new(config),
            resolve,
            room: Semaphore::new(limits.at_once),
            limits,
        })
    }

    /// Sends `body` by `POST`, with `fields` in the head, and returns what came back, whatever its status. It blocks.
    ///
    /// # Errors
    /// [`Unreached`].
    pub fn post(
        &self,
        url: &Url,
        fields: &[(HeaderName, HeaderValue)],
        body: Bytes,
    ) -> Result<Answer, Unreached> {
        let mut request = head(url, Method::POST)?;
        for (name, value) in fields {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(body));
        self.exchange(url, request.map_err(|_| Unreached::Broken)?)
    }

    /// Sends a request and waits for its answer.
    fn exchange(&self, url: &Url, request: Request<Full<Bytes>>) -> Result<Answer, Unreached> {
        // Nobody waits for their turn: who would is told at once.
        let _room = self.room.try_acquire().map_err(|_| Unreached::Busy)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|_| Unreached::Busy)?;
        let answered = runtime.block_on(async {
            let answered = timeout(self.limits.whole, self.answer(url, request)).await;
            answered.unwrap_or(Err(Unreached::Time))
        });
        // A name that is still looked for is not waited for.
        runtime.shutdown_background();
        answered
    }

    async fn answer(&self, url: &Url, request: Request<Full<Bytes>>) -> Result<Answer, Unreached> {
        let is_plain = match url.scheme() {
            "https" => false,
            "http" if self.reach.plain.contains(&origin(url)) => true,
            _ => return Err(Unreached::Scheme),
        };
        let stream = self.connect(url, is_plain).await?;
        let mut stream: Box<dyn Stream> = Box::new(stream);
        if !is_plain {
            let host = url.host_str().unwrap_or_default();
            let name = host.trim_matches(['[', ']']).to_owned();
            let name = ServerName::try_from(name).map_err(|_| Unreached::Name)?;
            let spoken = TlsConnector::from(self.config.clone()).connect(name, stream);
            let spoken = timeout(self.limits.connection, spoken).await;
            let spoken = spoken.map_err(|_| Unreached::Time)?;
            stream = Box::new(spoken.map_err(|_| Unreached::Tls)?);
        }
        let broken = |_: hyper::Error| Unreached::Broken;
        let (mut sender, connection) = http1::Builder::new()
            .max_headers(64)
            .max_buf_size(64 << 10)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        let talk = async {
            let response = sender.send_request(request).await.map_err(broken)?;
            self.read(response).await
        };
        tokio::pin!(talk);
        tokio::pin!(connection);
        tokio::select! {
            read = &mut talk => read,
            // It may have ended with the last piece of the answer, which is read still.
            _ = &mut connection => talk.await,
        }
    }

    /// Connects to an address of the host that is reached. What is connected to was judged: it is not resolved again.
    async fn connect(&self, url: &Url, is_plain: bool) -> Result<TcpStream, Unreached> {
        let port = url.port_or_known_default().ok_or(Unreached::Scheme)?;
        let addresses = match url.host() {
            Some(Host::Ipv4(address)) => vec![IpAddr::V4(address)],
            Some(Host::Ipv6(address)) => vec![IpAddr::V6(address)],
            Some(Host::Domain(name)) => {
                let found = self.resolve.addresses(name, port).await;
                found.map_err(|_| Unreached::Name)?
            }
            None => return Err(Unreached::Scheme),
        };
        let mut told = Unreached::Name;
        for address in addresses.into_iter().take(self.limits.addresses) {
            // What is asked without TLS was named by its address.
            let is_reached = self.reach.includes(address) || is_plain && address.is_loopback();
            if !is_reached {
                told = Unreached::Network;
                continue;
            }
            let place = SocketAddr::new(address, port);
            match timeout(self.limits.connection, TcpStream::connect(place)).await {
                Ok(Ok(stream)) if stream.peer_addr().is_ok_and(|peer| peer == place) => {
                    return Ok(stream);
                }
                Ok(_) => told = Unreached::Connection,
                Err(_) => told = Unreached::Time,
            }
        }
        Err(told)
    }

    /// Reads an answer as far as it may go.
    async fn read(&self, response: Response<Incoming>) -> Result<Answer, Unreached> {
        let status = response.status();
        if status.is_redirection() {
            return Err(Unreached::Redirect);
        }
        let mut body = response.into_body();
        let most = self.limits.bytes;
        if body.size_hint().lower() > u64::try_from(most).unwrap_or(u64::MAX) {
            return Err(Unreached::Size);
        }
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Unreached::Broken)?;
            if let Ok(piece) = frame.into_data() {
                if bytes.len() + piece.len() > most {
                    return Err(Unreached::Size);
                }
                bytes.extend_from_slice(&piece);
            }
        }
        Ok(Answer {
            status: status.as_u16(),
            body: bytes,
        })
    }
}

impl Web for Connector {
    fn ask(&self, ask: &Ask<'_>) -> Result<Answer, Unreached> {
        self.exchange(ask.url, request(ask)?)
    }
}

/// Returns scheme, host and port, as operators name them.
fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// Begins a request, with what each has.
fn head(url: &Url, method: Method) -> Result<Builder, Unreached> {
    let place = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let host = match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => return Err(Unreached::Scheme),
    };
    let request = Request::builder().method(method).uri(place);
    Ok(request
        .header(header::HOST, host)
        .header(header::CONNECTION, "close"))
}

fn request(ask: &Ask<'_>) -> Result<Request<Full<Bytes>>, Unreached> {
    let method = ask.form.map_or(Method::GET, |_| Method::POST);
    let mut request = head(ask.url, method)?.header(header::ACCEPT, "application/json");
    if ask.form.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    }
    if let Some(field) = ask.form.and_then(Form::authorization) {
        let mut field = HeaderValue::from_str(field).map_err(|_| Unreached::Broken)?;
        field.set_sensitive(true);
        request = request.header(header::AUTHORIZATION, field);
    }
    let body = ask.form.map_or_else(Bytes::new, |form| {
        Bytes::copy_from_slice(form.body().as_bytes())
    });
    request.body(Full::new(body)).map_err(|_| Unreached::Broken)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpListener};
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Answers whoever connects with these bytes, until it is dropped with the process. Returns its port.
    fn answering(with: &'static [u8]) -> (u16, Arc<AtomicUsize>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                counted.fetch_add(1, Ordering::SeqCst);
                let mut stream = stream.unwrap();
                let mut head = [0; 4096];
                let _ = stream.read(&mut head);
                let _ = stream.write_all(with);
                // Who says nothing says it for as long as the other side listens.
                if with.is_empty() {
                    let _ = stream.read(&mut head);
                }
            }
        });
        (port, asked)
    }

    const ROOT: &str = include_str!("../tests/root.pem");

    fn connector(plain: &[String], resolve: Arc<dyn Resolve>) -> Connector {
        let reach = Reach {
            networks: Vec::new(),
            plain: plain.iter().cloned().collect::<BTreeSet<_>>(),
        };
        let limits = Limits {
            connection: Duration::from_millis(300),
            whole: Duration::from_millis(600),
            bytes: 1000,
            at_once: 2,
            addresses: 2,
        };
        Connector::new(reach, &Trust::Roots(ROOT.to_owned()), limits, resolve).unwrap()
    }

    fn asked(connector: &Connector, url: &str) -> Result<Answer, Unreached> {
        let url = Url::parse(url).unwrap();
        connector.ask(&Ask {
            url: &url,
            form: None,
        })
    }

    #[test]
    fn an_answer_is_taken_whole_and_within_its_limits() {
        let long: &'static [u8] = Box::leak(
            [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'x'; 2000]]
                .concat()
                .into_boxed_slice(),
        );
        for (bytes, expect) in [
            (&b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"[..], Ok(200)),
            (b"HTTP/1.1 200 OK\r\n\r\n{}", Ok(200)),
            (b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n", Ok(400)),
            (b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n", Err(Unreached::Redirect)),
            (b"HTTP/1.1 307 x\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", Err(Unreached::Redirect)),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", Err(Unreached::Size)),
            (long, Err(Unreached::Size)),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", Err(Unreached::Broken)),
            (b"220 smtp ready\r\n", Err(Unreached::Broken)),
            (b"", Err(Unreached::Time)),
        ] {
            let (port, _) = answering(bytes);
            let origin = format!("http://127.0.0.1:{port}");
            let connector = connector(std::slice::from_ref(&origin), Arc::new(System));
            let told = asked(&connector, &format!("{origin}/a?b=c")).map(|answer| answer.status);
            assert_eq!(told, expect, "{}", String::from_utf8_lossy(&bytes[..bytes.len().min(40)]));
        }
    }

    #[test]
    fn what_is_posted_goes_as_it_is() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let got = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut got, mut piece) = (Vec::new(), [0; 1024]);
            while !got.ends_with(b"\0\xffbody") {
                let read = stream.read(&mut piece).unwrap();
                assert!(read > 0, "it broke off");
                got.extend_from_slice(&piece[..read]);
            }
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            stream.write_all(answer).unwrap();
            String::from_utf8_lossy(&got).into_owned()
        });
        let connector = connector(std::slice::from_ref(&origin), Arc::new(System));
        let url = Url::parse(&format!("{origin}/v1/traces")).unwrap();
        let field = (
            header::AUTHORIZATION,
            HeaderValue::from_static("Bearer secret"),
        );
        let answer = connector.post(&url, &[field], Bytes::from_static(b"\0\xffbody"));
        assert_eq!(answer.unwrap().body, b"ok");
        let got = got.join().unwrap();
        assert!(got.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{got}");
        for field in ["authorization: Bearer secret", "content-length: 6"] {
            assert!(got.contains(field), "{field}: {got}");
        }
        let elsewhere = Url::parse("http://127.0.0.1:1/v1/traces").unwrap();
        let told = connector.post(&elsewhere, &[], Bytes::new());
        assert_eq!(told, Err(Unreached::Scheme));
    }

    #[test]
    fn nothing_is_asked_of_what_was_not_meant() {
        let (port, count) = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
        let origin = format!("http://127.0.0.1:{port}");
        let connector = connector(std::slice::from_ref(&origin), Arc::new(System));
        for (url, expect) in [
            (format!("http://127.0.0.2:{port}/"), Unreached::Scheme),
            ("http://127.0.0.1:1/".to_owned(), Unreached::Scheme),
            ("http://example.com/".to_owned(), Unreached::Scheme),
            ("file:///etc/passwd".to_owned(), Unreached::Scheme),
            (format!("https://127.0.0.1:{port}/"), Unreached::Network),
            (format!("https://2130706433:{port}/"), Unreached::Network),
            (format!("https://0x7f000001:{port}/"), Unreached::Network),
            (format!("https://0.0.0.0:{port}/"), Unreached::Network),
            (format!("https://localhost:{port}/"), Unreached::Network),
            (format!("https://[::1]:{port}/"), Unreached::Network),
            (
                format!("https://[::ffff:127.0.0.1]:{port}/"),
                Unreached::Network,
            ),
            (
                format!("https://[64:ff9b::7f00:1]:{port}/"),
                Unreached::Network,
            ),
            (
                "https://169.254.169.254/latest".to_owned(),
                Unreached::Network,
            ),
            ("https://100.64.0.1/".to_owned(), Unreached::Network),
            ("https://10.0.0.1/".to_owned(), Unreached::Network),
        ] {
            assert_eq!(asked(&connector, &url), Err(expect), "{url}");
        }
        assert_eq!(count.load(Ordering::SeqCst), 0);
        // What is reached must speak TLS, and show a certificate that is trusted.
        let reach = Reach {
            networks: vec!["127.0.0.0/8".parse().unwrap()],
            plain: BTreeSet::new(),
        };
        let near = Connector { reach, ..connector };
        let told = asked(&near, &format!("https://127.0.0.1:{port}/"));
        assert_eq!(told, Err(Unreached::Tls));
        assert_eq!(
            asked(&near, "https://127.0.0.1:1/"),
            Err(Unreached::Connection)
        );
    }

    /// Says another address each time that it is asked, as one does who wants to be let through.
    #[derive(Debug, Default)]
    struct Flipping(Mutex<usize>);

    impl Resolve for Flipping {
        fn addresses<'a>(
            &'a self,
            _: &'a str,
            _: u16,
        ) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>> {
            let mut asked = self.0.lock().unwrap();
            *asked += 1;
            let found = if *asked == 1 {
                // That may be asked; nobody listens there.
                IpAddr::from([127, 0, 0, 2])
            } else {
                IpAddr::V4(Ipv4Addr::LOCALHOST)
            };
            Box::pin(async move { Ok(vec![found]) })
        }
    }

    #[test]
    fn a_name_that_is_resolved_to_another_address_later_leads_nowhere() {
        let (port, count) = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        let flipping = Arc::new(Flipping::default());
        let reach = Reach {
            networks: vec!["127.0.0.2/32".parse().unwrap()],
            plain: BTreeSet::new(),
        };
        let connector = Connector {
            reach,
            ..connector(&[], flipping.clone())
        };
        let url = format!("https://flips.example:{port}/");
        // Each question is resolved once, and what it is resolved to is judged.
        assert_eq!(asked(&connector, &url), Err(Unreached::Connection));
        assert_eq!(*flipping.0.lock().unwrap(), 1);
        assert_eq!(asked(&connector, &url), Err(Unreached::Network));
        assert_eq!(count.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn no_more_is_asked_at_once_than_may_be() {
        let (port, _) = answering(b"");
        let origin = format!("http://127.0.0.1:{port}");
        let connector = connector(std::slice::from_ref(&origin), Arc::new(System));
        let told = std::thread::scope(|scope| {
            let asking = || scope.spawn(|| asked(&connector, &origin).unwrap_err());
            let all: Vec<_> = (0..6).map(|_| asking()).collect();
            all.into_iter()
                .map(|one| one.join().unwrap())
                .collect::<Vec<_>>()
        });
        let busy = told.iter().filter(|one| **one == Unreached::Busy).count();
        assert_eq!(busy, 4, "{told:?}");
    }
}
