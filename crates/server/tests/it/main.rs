//! What a server tells of connections and requests, over TLS.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::get;
use custody_backends::machine::{SystemClock, SystemEntropy};
use custody_observe::{Gauges, Observer};
use custody_server::{Limits, Stopping};
use custody_telemetry::{Format, Level, Settings, Telemetry, tell_panics};
use custody_tls::{Authority, Name, Shown};
use custody_types::Clock;
use futures::{StreamExt, stream};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsConnector;

const CANARY: &str = "c4n4ry";

/// Where lines of the log are kept.
#[derive(Debug, Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn telemetry(kept: &Kept) -> Telemetry {
    let settings = Settings {
        version: "1",
        level: Level::Debug,
        format: Format::Json,
        log: Box::new(kept.clone()),
        traces: None,
        clock: Arc::new(SystemClock::start()),
        entropy: Arc::new(SystemEntropy),
    };
    Telemetry::start(settings).unwrap()
}

/// A body that breaks off after its first piece, once somebody has that.
fn broken(taken: Arc<Notify>) -> Body {
    let first = stream::once(async { Ok(Bytes::from_static(b"one")) });
    let then = stream::once(async move {
        taken.notified().await;
        Err(io::Error::other(CANARY))
    });
    Body::from_stream(first.chain(then))
}

fn routes(taken: Arc<Notify>) -> Router {
    Router::new()
        .route("/piece", get(async || "a piece"))
        .route("/broken", get(async move || broken(taken)))
        .route(
            "/fault",
            get(async || -> &'static str { panic!("{CANARY} is what the data says") }),
        )
}

/// Serves, does `work` with a way to ask, and ends.
async fn served<F: Future<Output = ()>>(observer: &Observer, work: impl FnOnce(Asking) -> F) {
    let authority = Authority::create("w", SystemClock::start().now())
        .unwrap()
        .authority;
    let names = ["localhost".parse::<Name>().unwrap()];
    let (leaf, _) = authority.leaf(&names, SystemClock::start().now()).unwrap();
    let config = custody_tls::server(Arc::new(Shown::new(leaf))).unwrap();
    let client = custody_tls::trusting(&authority.root()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let taken = Arc::new(Notify::new());
    let (stopping, stopped) = Stopping::new();
    let serving = custody_server::serve(
        listener,
        Arc::new(config),
        routes(taken.clone()),
        Limits::default(),
        stopped,
        observer.clone(),
    );
    let serving = tokio::spawn(serving);
    let config = Arc::new(client);
    work(Asking {
        port,
        config,
        taken,
    })
    .await;
    stopping.stop();
    serving.await.unwrap();
}

/// Asks a server.
struct Asking {
    port: u16,
    config: Arc<rustls::ClientConfig>,
    /// Told that a piece of an answer was taken.
    taken: Arc<Notify>,
}

impl Asking {
    /// Asks on a connection of its own; returns the id of the request, and the body as far as it comes. Nothing: the other side
    /// went.
    async fn ask(&self, path: &str) -> Option<(String, Vec<u8>)> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let connector = TlsConnector::from(self.config.clone());
        let stream = connector.connect(name, stream).await.unwrap();
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(connection);
        let request = http::Request::get(path).header("host", "localhost");
        let request = request
            .header("x-secret", CANARY)
            .body(Empty::<Bytes>::new());
        let mut answer = sender.send_request(request.unwrap()).await.ok()?;
        let id = answer.headers()["custody-request-id"].to_str().unwrap();
        let id = id.to_owned();
        let mut body = Vec::new();
        while let Some(Ok(frame)) = answer.frame().await {
            body.extend_from_slice(frame.data_ref().unwrap());
            self.taken.notify_one();
        }
        drop(sender);
        let _ = connection.await;
        Some((id, body))
    }
}

#[tokio::test]
async fn what_became_of_each_request_is_told_faults_by_their_place_alone() {
    let kept = Kept::default();
    let telemetry = telemetry(&kept);
    let observer = telemetry.observer().clone();
    tell_panics(observer.clone());
    let mut ids = Vec::new();
    served(&observer, async |server: Asking| {
        for (path, expect) in [("/broken", "one"), ("/piece", "a piece")] {
            let (id, body) = server.ask(path).await.unwrap();
            assert_eq!(body, expect.as_bytes());
            ids.push(id);
        }
        assert_eq!(server.ask("/fault").await, None);
        let none = format!("/{CANARY}?{CANARY}");
        ids.push(server.ask(&none).await.unwrap().0);
    })
    .await;
    let metrics = observer.metrics(&Gauges::default()).unwrap();
    drop(telemetry);
    for line in [
        // The router of this test names no operations.
        "custody_http_requests_total{operation=\"none\",status=\"200\"} 2",
        "custody_http_requests_total{operation=\"none\",status=\"404\"} 1",
        "custody_http_requests_total{operation=\"none\",status=\"none\"} 1",
        "custody_http_requests_in_flight 0",
        "custody_connections_open 0",
        "custody_connections_total 4",
        "custody_panics_total 1",
        "custody_http_sent_bytes_total 10",
    ] {
        assert!(metrics.lines().any(|one| one == line), "{line}: {metrics}");
    }
    let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
    assert!(
        !text.contains(CANARY) && !metrics.contains(CANARY),
        "{text}"
    );
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let fault = lines.iter().find(|line| line["event"] == "fault").unwrap();
    let at = fault["at"].as_str().unwrap();
    assert!(at.contains("crates/server/tests/it/main.rs:"), "{at}");
    let of = |id: &str| lines.iter().find(|line| line["request"] == id).unwrap();
    assert_eq!(of(&ids[1])["sent_bytes"], 7);
    assert_eq!(of(&ids[1]).get("whole"), None);
    assert_eq!(
        (&of(&ids[0])["sent_bytes"], &of(&ids[0])["whole"]),
        (&3.into(), &false.into())
    );
    assert_eq!(of(&ids[2])["status"], 404);
    let nobody = lines.iter().find(|line| line["level"] == "warn").unwrap();
    assert_eq!(
        (nobody.get("status"), &nobody["whole"]),
        (None, &false.into())
    );
}
