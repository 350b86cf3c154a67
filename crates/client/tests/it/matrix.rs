//! Who is answered what: every operation of the API, asked by everybody there may be. The answers stand in `matrix.txt`, where a
//! person reads them; an operation that is not asked here, or an answer that is another, fails.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use axum::body::Body;
use custody_api::{App, Budget, Budgets, Credentials, Entrance, OPERATIONS, Peer, router};
use custody_observe::Route;
use custody_types::{Classification, Kind};
use custody_wire::{Change, Right, RoleBinding, TokenRequest};
use http::{Method, Request};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::runs::Server;

/// Where the answers stand.
const PLACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/matrix.txt");
/// How long a token counts, in seconds.
const DAY: i64 = 24 * 60 * 60;

/// Who asks.
#[derive(Debug, Clone)]
enum Who {
    /// Somebody who signed in as a person, with this role everywhere, if any.
    Person(Option<String>),
    /// A data scientist of another project.
    Neighbour,
    /// A program with a token of the owner.
    Token,
    /// The same, after its end.
    Expired,
    /// The same, after it was taken back.
    Revoked,
    /// Nobody who is known.
    Stranger,
}

fn everybody() -> Vec<(String, Who)> {
    let roles = Server::new().client().policy().unwrap().roles;
    let first = [
        ("stranger", Who::Stranger),
        ("expired", Who::Expired),
        ("revoked", Who::Revoked),
        ("no role", Who::Person(None)),
        ("neighbour", Who::Neighbour),
        ("owner's token", Who::Token),
    ];
    let first = first.map(|(name, who)| (name.to_owned(), who));
    let roles = roles
        .into_iter()
        .map(|role| (role.clone(), Who::Person(Some(role))));
    first.into_iter().chain(roles).collect()
}

/// A workspace with something of everything, and the run that made some of it.
fn with_content() -> (Server, String) {
    let server = Server::new();
    let run = server.ran();
    let put = |artifact: &str, class| {
        server.put(artifact, Kind::Report, class, &[("a.txt", "text")]);
    };
    put("demo/personal", Classification::Personal);
    put("other/note", Classification::Internal);
    put("gone/note", Classification::Internal);
    (server, run)
}

/// Lets somebody in, and returns the API as they see it with the field that says who they are.
fn entered(server: &Server, who: &Who) -> (App, Option<String>) {
    let owner = server.client();
    let person = |account: &str| {
        let account = account.to_owned();
        App {
            entrance: Entrance::Machine(Credentials::OperatingSystem { account }),
            ..server.app.clone()
        }
    };
    let add = |right: Option<Right>| {
        let who: custody_wire::Party = "ada".parse().unwrap();
        let mut changes = vec![Change::Add { who: who.clone() }];
        changes.extend(right.map(|right| Change::Grant {
            who,
            right,
            seconds: None,
        }));
        owner.change_identity(changes).unwrap();
        (person("ada"), None)
    };
    let token = || {
        let request: TokenRequest = serde_json::from_value(json!({"days": 1})).unwrap();
        owner.create_token(&request).unwrap()
    };
    let network = App {
        entrance: Entrance::Network(Budgets::new(Budget::default())),
        ..server.app.clone()
    };
    match who {
        Who::Person(Some(role)) if role == "owner" => (person("owner"), None),
        Who::Person(role) => {
            let role = role.as_deref().map(RoleBinding::everywhere);
            add(role.map(Right::Role))
        }
        Who::Neighbour => {
            let mut binding = RoleBinding::everywhere("data_scientist");
            binding.project = Some("other".parse().unwrap());
            add(Some(Right::Role(binding)))
        }
        Who::Token => (network, Some(token().secret)),
        Who::Expired => {
            let made = token();
            server.world.clock.advance(DAY);
            (network, Some(made.secret))
        }
        Who::Revoked => {
            let made = token();
            owner.revoke_token(&made.token.id).unwrap();
            (network, Some(made.secret))
        }
        Who::Stranger => (network, None),
    }
}

/// What an operation is asked, as its query and its body.
fn asked(run: &str) -> BTreeMap<(Method, &'static str), (String, Value)> {
    let rows = "reference=demo%2Fsums%401";
    let of_rows = json!({"reference": "demo/sums@1", "reason": "a reason"});
    let sources = json!({"../rows/*.csv": "demo/collect-files@1"});
    let on_snapshot = json!({"snapshot": {"folder": "demo/snapshot@1", "sources": sources}});
    let get = |path, query: &str| ((Method::GET, path), (query.to_owned(), Value::Null));
    let post = |path, body: Value| ((Method::POST, path), (String::new(), body));
    let put = "artifact=demo%2Fnew&kind=report&classification=internal";
    BTreeMap::from([
        get("/v1/versions", "project=demo"),
        get("/v1/projects", ""),
        (
            (Method::POST, "/v1/versions"),
            (put.to_owned(), Value::Null),
        ),
        get("/v1/version", rows),
        get("/v1/files", rows),
        get("/v1/data/schema", rows),
        get("/v1/data/head", rows),
        get("/v1/data/profile", rows),
        post(
            "/v1/data/diff",
            json!({"before": "demo/sums@1", "after": "demo/sums@1", "key": ["amount"]}),
        ),
        post(
            "/v1/aliases",
            json!({"artifact": "demo/sums", "alias": "good", "to": 1}),
        ),
        get("/v1/trace", rows),
        get("/v1/bom", rows),
        get("/v1/claims", rows),
        post("/v1/verify", json!({"reference": "demo/sums@1"})),
        post("/v1/reproduce", json!({"reference": "demo/sums@1"})),
        post("/v1/runs", on_snapshot.clone()),
        get("/v1/runs", ""),
        get("/v1/runs/{id}", run),
        get("/v1/runs/{id}/events", run),
        post("/v1/runs/{id}/cancel", Value::Null),
        post("/v1/status", on_snapshot),
        post("/v1/metrics", json!({"references": ["demo/sums@1"]})),
        get("/v1/evaluation", rows),
        post(
            "/v1/compare",
            json!({"a": "demo/sums@1", "b": "demo/sums@1"}),
        ),
        get("/v1/ledger/entries", ""),
        get("/v1/ledger/entries/{index}", "0"),
        post("/v1/ledger/verify", Value::Null),
        post(
            "/v1/ledger/rollback",
            json!({"workspace": "w", "reason": "none"}),
        ),
        get("/v1/ledger/export", ""),
        get("/v1/policy", ""),
        post("/v1/policy", json!([])),
        get("/v1/policy/proposals", ""),
        post(
            "/v1/policy/approvals",
            json!({"reference": "custody/changes@1"}),
        ),
        post(
            "/v1/policy/break-glass",
            json!({"workspace": "w", "reason": "none"}),
        ),
        post("/v1/policy/validations", json!({"sources": []})),
        post("/v1/policy/tests", json!({"sources": []})),
        post("/v1/policy/differences", json!({"sources": []})),
        post(
            "/v1/policy/explanations",
            json!({"question": {"action": "list", "resource": "demo"}}),
        ),
        post("/v1/policy/replays", json!({"sources": []})),
        get("/v1/identity", ""),
        post(
            "/v1/identity",
            json!({"changes": [{"change": "add", "who": "eve"}]}),
        ),
        get("/v1/tokens", ""),
        post("/v1/tokens", json!({"days": 1})),
        post("/v1/invitations", json!({"account": "eve"})),
        post("/v1/tokens/revocations", json!({"id": "none"})),
        post("/v1/scans", json!({})),
        get("/v1/approvals", ""),
        post("/v1/approvals", of_rows.clone()),
        post("/v1/rejections", of_rows.clone()),
        post("/v1/removals", json!({"reference": "demo/sums@1"})),
        post(
            "/v1/shreddings",
            json!({"project": "gone", "reason": "none"}),
        ),
        get("/metrics", ""),
        get("/v1/keys", ""),
        post("/v1/keys/rotate", json!({})),
        post("/v1/keys/passphrase", json!({})),
        post("/v1/rules", json!([])),
        post("/v1/signatures", json!({"reference": "demo/sums@1"})),
        post("/v1/index/rebuild", Value::Null),
    ])
}

/// Asks everything, and returns the status of each answer.
async fn answers(app: App, shown: Option<&str>, run: &str) -> Vec<u16> {
    let asked = asked(run);
    let known: Vec<_> = OPERATIONS
        .iter()
        .map(|one| (one.method.clone(), one.path))
        .collect();
    for key in &known {
        assert!(asked.contains_key(key), "{} {} is not asked", key.0, key.1);
    }
    assert_eq!(asked.len(), known.len());
    let router = router(app);
    let mut answers = Vec::new();
    for (method, path) in known {
        let (query, body) = &asked[&(method.clone(), path)];
        let is_named = path.contains('{');
        let mut uri = path.replace("{id}", run).replace("{index}", "0");
        if !is_named && !query.is_empty() {
            uri = format!("{uri}?{query}");
        }
        let (media_type, body) = match (body, path) {
            (_, "/v1/versions") if method == Method::POST => {
                (Some("application/x-tar"), Body::from(archive()))
            }
            (Value::Null, _) => (None, Body::empty()),
            (body, _) => {
                let body = serde_json::to_vec(body).unwrap();
                (Some("application/json"), Body::from(body))
            }
        };
        let mut request = Request::builder().method(&method).uri(uri);
        if let Some(media_type) = media_type {
            request = request.header("content-type", media_type);
        }
        if let Some(shown) = shown {
            request = request.header("authorization", format!("Bearer {shown}"));
        }
        let mut request = request.body(body).unwrap();
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        request.extensions_mut().insert(Peer(address));
        let answer = router.clone().oneshot(request).await.unwrap();
        answers.push(answer.status().as_u16());
        // Who watches over a server learns which operation it was, whatever became of it.
        let route = answer.extensions().get::<Route>().copied();
        assert_eq!(
            route.map(|route| (route.method, route.path)),
            Some((method.as_str(), path))
        );
        // What is still being told ends before the next is asked.
        let _ = axum::body::to_bytes(answer.into_body(), 16 << 20).await;
    }
    answers
}

/// One file, as it is sent.
fn archive() -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(4);
    header.set_mode(0o644);
    archive
        .append_data(&mut header, "a.txt", b"text".as_slice())
        .unwrap();
    archive.into_inner().unwrap()
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the table is written anew where somebody asks for it"
)]
fn everybody_is_answered_as_it_is_written() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let columns: Vec<_> = everybody()
        .into_iter()
        .map(|(name, who)| {
            let (server, run) = with_content();
            let (app, shown) = entered(&server, &who);
            (name, runtime.block_on(answers(app, shown.as_deref(), &run)))
        })
        .collect();
    let mut table = format!("{:<32}", "");
    for (name, _) in &columns {
        write!(table, "{name:<18}").unwrap();
    }
    table.truncate(table.trim_end().len());
    for (row, operation) in OPERATIONS.iter().enumerate() {
        let name = format!("{} {}", operation.method, operation.path);
        write!(table, "\n{name:<32}").unwrap();
        for (_, answers) in &columns {
            write!(table, "{:<18}", answers[row]).unwrap();
        }
        table.truncate(table.trim_end().len());
    }
    table.push('\n');
    if std::env::var_os("CUSTODY_GENERATE").is_some() {
        std::fs::write(PLACE, &table).unwrap();
    }
    let written = std::fs::read_to_string(PLACE).unwrap_or_default();
    for (told, written) in table.lines().zip(written.lines()) {
        assert_eq!(told, written, "read what became another in {PLACE}");
    }
    assert_eq!(table, written);
}
