//! A server in memory, and a browser that does what browsers do.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use custody_api::{App, Budget, Budgets, Credentials, Entrance, Peer, router};
use custody_client::{Client, Transport};
use custody_guard::testing::World;
use custody_observe::Route;
use custody_pipeline::testing::runner;
use custody_types::{Classification, Clock, Kind};
use custody_web::Settings;
use custody_wire::{Change, EnrolRequest, OriginOfPut, PutQuery, Right, RoleBinding};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use tokio::runtime::Runtime;
use tower::ServiceExt;

pub(crate) const PASSWORD: &str = "tulpen aus amsterdam 1956";
pub(crate) const HOST: &str = "localhost:8443";
/// What stands in every free text that there is: it must come back as text.
pub(crate) const MARKUP: &str = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&";

/// A server of a workspace in memory, with pages.
pub(crate) struct Server {
    pub(crate) world: World,
    app: App,
    pub(crate) pages: Router,
    runtime: Runtime,
}

/// What came back.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: http::HeaderMap,
    pub(crate) text: String,
    /// Which page it was, as who watches over the server learns it.
    pub(crate) route: Option<&'static str>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Reads a hidden field of a form.
    pub(crate) fn field(&self, name: &str) -> String {
        let start = format!("name=\"{name}\" value=\"");
        let (_, rest) = self
            .text
            .split_once(&start)
            .unwrap_or_else(|| panic!("no {name}: {}", self.text));
        rest.split('"').next().unwrap().to_owned()
    }
}

impl Server {
    pub(crate) fn new() -> Self {
        let world = World::default();
        let door = world.open();
        let runner = Arc::new(runner(&world, &door, &[]));
        let app = App {
            door,
            runner,
            entrance: Entrance::Network(Budgets::new(Budget::default())),
        };
        let pages = custody_web::router(
            router(app.clone()),
            Settings {
                names: Some(vec!["localhost".to_owned()]),
                clock: world.clock.clone(),
                entropy: world.entropy.clone(),
            },
        );
        Self {
            world,
            app,
            pages,
            runtime: Runtime::new().unwrap(),
        }
    }

    /// The API, as somebody at the machine itself.
    pub(crate) fn here(&self, account: &str) -> Client {
        let account = account.to_owned();
        let app = App {
            entrance: Entrance::Machine(Credentials::OperatingSystem { account }),
            ..self.app.clone()
        };
        Client::new(Transport::InProcess(router(app))).unwrap()
    }

    /// Makes an account with a role in every project.
    pub(crate) fn add(&self, name: &str, role: Option<&str>) {
        let who: custody_wire::Party = name.parse().unwrap();
        let mut changes = vec![Change::Add { who: who.clone() }];
        changes.extend(role.map(|role| Change::Grant {
            who,
            right: Right::Role(RoleBinding::everywhere(role)),
            seconds: None,
        }));
        self.here("owner").change_identity(changes).unwrap();
    }

    /// Makes a version of one file.
    pub(crate) fn put(&self, account: &str, artifact: &str, kind: Kind, path: &str, text: &str) {
        let origin = (kind == Kind::Dataset).then(|| {
            let declared = serde_json::json!({
                "publisher": MARKUP, "url": "https://rows.example/<b>", "licence": MARKUP,
                "legal_basis": "contract", "classification": "internal", "description": MARKUP,
            });
            let origin = OriginOfPut {
                declared,
                what: "rows.csv".to_owned(),
                sha256: custody_types::Digest::of(b"rows"),
                files: Vec::new(),
            };
            serde_json::to_string(&origin).unwrap()
        });
        let query = PutQuery {
            artifact: artifact.parse().unwrap(),
            kind,
            classification: Classification::Internal,
            purposes: String::new(),
            origin,
        };
        let (path, bytes) = (path.to_owned(), text.as_bytes().to_vec());
        let write = move |out: &mut custody_wire::stream::PieceWriter| {
            let mut archive = tar::Builder::new(out);
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, &path, bytes.as_slice())?;
            archive.finish()
        };
        self.here(account).put(&query, write).unwrap();
    }

    /// Sends a request as it stands.
    pub(crate) fn send(&self, request: Request<Body>) -> Reply {
        let mut request = request;
        request
            .extensions_mut()
            .insert(Peer(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        self.runtime.block_on(async {
            let response = self.pages.clone().oneshot(request).await.unwrap();
            let (head, body) = response.into_parts();
            let bytes = body.collect().await.unwrap().to_bytes();
            Reply {
                status: head.status,
                headers: head.headers,
                text: String::from_utf8(bytes.to_vec()).unwrap(),
                route: head.extensions.get::<Route>().map(|route| route.path),
            }
        })
    }

    /// The code that an authenticator shows now.
    pub(crate) fn code(&self, secret: &str) -> String {
        let secret = totp_rs::Secret::try_from_base32(secret).unwrap();
        let app = totp_rs::Builder::new()
            .with_secret(secret)
            .with_account_name("x")
            .build()
            .unwrap();
        let seconds = self.world.clock.now().unix_micros() / 1_000_000;
        app.generate(u64::try_from(seconds).unwrap()).to_string()
    }

    /// Signs somebody in, whose password and authenticator are set at the API.
    pub(crate) fn browser(&self, name: &str) -> Browser<'_> {
        const SECRET: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
        let party = name.parse().unwrap();
        let request = custody_wire::InviteRequest { account: party };
        let invitation = self.here("owner").invite(&request).unwrap().code;
        let api = Client::new(Transport::InProcess(router(self.app.clone()))).unwrap();
        let api = api.carrying(Peer(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        let enrolled = EnrolRequest {
            account: name.to_owned(),
            invitation,
            password: PASSWORD.to_owned(),
            authenticator: SECRET.to_owned(),
            code: self.code(SECRET),
        };
        api.enrol(&enrolled).unwrap();
        // Each code counts once.
        self.world.clock.advance(30);
        let mut browser = Browser {
            server: self,
            cookie: None,
        };
        let form = browser.get("/sign-in");
        let code = self.code(SECRET);
        let fields = [
            ("token", form.field("token")),
            ("account", name.to_owned()),
            ("password", PASSWORD.to_owned()),
            ("code", code),
        ];
        let signed_in = browser.post("/sign-in", &fields);
        assert_eq!(
            signed_in.status,
            StatusCode::SEE_OTHER,
            "{}",
            signed_in.text
        );
        self.world.clock.advance(30);
        browser
    }
}

/// Keeps a cookie, and sends forms as pages of the server do.
pub(crate) struct Browser<'a> {
    pub(crate) server: &'a Server,
    pub(crate) cookie: Option<String>,
}

impl<'a> Browser<'a> {
    pub(crate) fn new(server: &'a Server) -> Self {
        Self {
            server,
            cookie: None,
        }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> http::request::Builder {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", HOST);
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        request
    }

    fn sent(&mut self, request: Request<Body>) -> Reply {
        let reply = self.server.send(request);
        for field in reply.headers.get_all("set-cookie") {
            let pair = field.to_str().unwrap().split(';').next().unwrap();
            self.cookie = Some(pair.to_owned()).filter(|pair| !pair.ends_with('='));
        }
        reply
    }

    pub(crate) fn get(&mut self, path: &str) -> Reply {
        let request = self.request(Method::GET, path).body(Body::empty()).unwrap();
        self.sent(request)
    }

    pub(crate) fn post(&mut self, path: &str, fields: &[(&str, String)]) -> Reply {
        let request = self
            .request(Method::POST, path)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("sec-fetch-site", "same-origin")
            .header("origin", "null")
            .body(Body::from(serde_urlencoded::to_string(fields).unwrap()))
            .unwrap();
        self.sent(request)
    }

    /// Returns what forms of this browser carry.
    pub(crate) fn token(&mut self) -> String {
        self.get("/own").field("token")
    }
}
