//! A workspace served over HTTPS, and commands that work with it from elsewhere.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::world::{World, check, text};

/// A server of a workspace, and a place elsewhere from which it is worked with.
pub(crate) struct Served {
    pub(crate) world: World,
    pub(crate) elsewhere: World,
    process: Child,
    address: String,
    root: String,
    /// That of the owner, at the first start.
    invitation: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn start(world: &World, more: &[&str]) -> (Child, Value) {
    let arguments = [&["--json", "serve", "--listen", "127.0.0.1:0"], more].concat();
    let mut process = world
        .command(&arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let output = process.stdout.take().unwrap();
    let mut told = serde_json::Deserializer::from_reader(output).into_iter();
    let Some(Ok(serving)) = told.next() else {
        let mut told = String::new();
        let mut errors = process.stderr.take().unwrap();
        errors.read_to_string(&mut told).unwrap();
        panic!("it did not start: {told}");
    };
    (process, serving)
}

impl Served {
    fn new() -> Self {
        let world = World::empty();
        world.yes(&["init"]);
        world.yes(&["account", "add", "ada", "--role", "data_scientist"]);
        world.yes(&["account", "add", "eve"]);
        Self::of(world)
    }

    pub(crate) fn of(world: World) -> Self {
        let (process, serving) = start(&world, &[]);
        let elsewhere = World::empty();
        let root = serving["root"].as_str().unwrap().to_owned();
        elsewhere.write("root.pem", &root);
        Self {
            world,
            elsewhere,
            process,
            address: serving["address"].as_str().unwrap().to_owned(),
            root,
            invitation: serving["invitation"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        }
    }

    /// Works with the server, ends it, and returns its workspace.
    pub(crate) fn used(mut self, work: impl FnOnce(&Self)) -> World {
        work(&self);
        std::mem::replace(&mut self.world, World::empty())
    }

    fn port(&self) -> &str {
        self.address.rsplit(':').next().unwrap()
    }

    /// Makes a token on the machine of the server.
    pub(crate) fn token(&self, arguments: &[&str]) -> (String, String) {
        let made = self.world.json(&[&["token", "create"], arguments].concat());
        let part = |value: &Value| value.as_str().unwrap().to_owned();
        (part(&made["token"]["id"]), part(&made["secret"]))
    }

    /// Builds a command elsewhere, with a token.
    fn command(&self, token: &str, arguments: &[&str]) -> Command {
        let mut command = self.elsewhere.command(arguments);
        command
            .env("CUSTODY_SERVER", &self.address)
            .env("CUSTODY_TOKEN", token)
            .env("CUSTODY_SERVER_ROOT", self.elsewhere.path("root.pem"));
        command
    }

    fn run(&self, token: &str, arguments: &[&str]) -> Output {
        self.command(token, arguments).output().unwrap()
    }

    pub(crate) fn told(&self, token: &str, arguments: &[&str], code: i32, says: &str) -> String {
        check(&self.run(token, arguments), code, says)
    }

    /// Sends a request as it stands, without a client of ours, and returns the answer.
    fn curl(&self, arguments: &[&str]) -> String {
        let output = Command::new("curl")
            .args([
                "--silent",
                "--show-error",
                "--include",
                "--max-time",
                "20",
                "--cacert",
            ])
            .arg(self.elsewhere.path("root.pem"))
            .args(arguments)
            .output()
            .unwrap();
        text(&output)
    }
}

const PIPELINE: &str = "project: demo
purpose: testing
steps:
  rows:
    source:
      file: rows.csv
      output: rows
      origin: {publisher: us, url: 'https://example.com/t', licence: CC0-1.0, legal_basis: contract, classification: internal}
";
const QUERY: &str = "  few:
    sql:
      inputs: {rows: rows}
      outputs: {few: SELECT id FROM rows WHERE id < 3}
";
const PROGRAM: &str = "  few:
    run:
      command: [/bin/sh, -c, 'sleep 3; cp /in/rows/* /out/few/']
      inputs: {rows: rows}
      outputs: {few: {artifact: few, kind: report}}
";

#[test]
fn what_is_done_here_is_done_elsewhere_with_a_token() {
    let served = Served::new();
    let (_, owner) = served.token(&[]);
    let (_, ada) = served.token(&["--for", "ada", "--note", "laptop"]);
    let (_, eve) = served.token(&["--for", "eve"]);
    let there = |name: &str, content: &str| served.elsewhere.write(name, content);
    there("note.txt", "a note");
    served.told(&ada, &["put", "demo/note", "note.txt"], 0, "demo/note@1");
    served.told(&ada, &["ls"], 0, "demo/note@1");
    served.told(&eve, &["ls"], 3, "may not list");
    served.told(&eve, &["show", "demo/note@1"], 5, "there is no version");
    served.told(&owner, &["get", "demo/note@1", "--to", "out"], 0, "");
    let got = std::fs::read_to_string(served.elsewhere.path("out/note.txt")).unwrap();
    assert_eq!(got, "a note");

    // A project that lies elsewhere is run there; nothing of it lies on the server's machine.
    there("rows.csv", "id,name\n1,a\n2,b\n3,c\n");
    there("custody.yaml", &[PIPELINE, QUERY].concat());
    served.told(&ada, &["status"], 0, "2 steps would run");
    let ran = served.told(&ada, &["run"], 0, "demo/few@1");
    assert!(ran.contains("demo/rows@1"), "{ran}");
    served.told(&ada, &["run"], 0, "reused");
    served.told(&ada, &["trace", "demo/few@1"], 0, "demo/rows@1");
    served.told(&ada, &["verify", "demo/few@1"], 0, "everything holds");
    served.told(&ada, &["runs"], 0, "demo");
    served.told(&owner, &["data", "head", "demo/few@1"], 0, "2");
    served.told(&owner, &["verify", "--all"], 0, "everything holds");
    served.told(&owner, &["ledger", "export", "copy"], 0, "");
    assert!(served.elsewhere.path("copy/checkpoint").is_file());

    // On the machine of the server commands go on beside it, and the ledger tells who did what by which way.
    let log = served
        .world
        .json(&["ledger", "log", "--actor", "ada", "--action", "run.start"]);
    let entry = &log["entries"][0]["entry"];
    assert_eq!(
        (&log["entries"][0]["actor"], &entry["sub"]["via"]),
        (&"ada".into(), &"http".into()),
        "{log}"
    );
    served.world.told(&["ls"], 0, "demo/few@1");
    served
        .world
        .told(&["serve", "--listen", "127.0.0.1:0"], 75, "another");
}

#[test]
fn nobody_is_let_in_without_a_token_that_counts() {
    let served = Served::new();
    let (id, ada) = served.token(&["--for", "ada"]);
    served.told(&ada, &["ls"], 0, "");
    let (head, end) = ada.split_at(ada.len() - 20);
    let flipped = format!("{head}{}", end.chars().rev().collect::<String>());
    for token in ["", "x", &flipped, head, "cst_", &id] {
        served.told(token, &["ls"], 3, "it is not known who asks");
    }
    // Whatever is asked, and however: the same words for everybody who is not known.
    let mut answers = std::collections::BTreeSet::new();
    for operation in custody_api::OPERATIONS {
        let path = operation
            .path
            .replace("{id}", "0190a3c4-0000-7000-8000-000000000000");
        let url = format!("https://localhost:{}{path}", served.port());
        for header in [
            "x: y",
            "Authorization: Bearer x",
            &format!("Authorization: Basic {ada}"),
            &format!("X-Forwarded-For: {ada}"),
            &format!("Cookie: token={ada}"),
        ] {
            let answer = served.curl(&[
                "--request",
                operation.method.as_str(),
                "--header",
                header,
                &url,
            ]);
            assert!(answer.starts_with("HTTP/1.1 401"), "{url}: {answer}");
            let (_, body) = answer.split_once("\r\n\r\n").unwrap();
            let mut body: Value = serde_json::from_str(body).unwrap();
            // Each has a name of its own.
            let instance = body.as_object_mut().unwrap().remove("instance").unwrap();
            assert!(instance.as_str().unwrap().starts_with("urn:uuid:"), "{url}");
            answers.insert(body.to_string());
        }
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
    let versions = format!("https://localhost:{}/v1/versions", served.port());
    let bearer = format!("Authorization: Bearer {ada}");
    let ask = |more: &[&str]| served.curl(&[&["--header", &bearer, &versions], more].concat());
    assert!(ask(&[]).starts_with("HTTP/1.1 200"));
    // Nobody acts as another, and what is not clear is refused.
    let refused = ask(&["--header", "custody-as: root"]);
    assert!(
        refused.starts_with("HTTP/1.1 403") && refused.contains("CUS-DOOR-024"),
        "{refused}"
    );
    let twice = ask(&["--header", &bearer]);
    assert!(twice.starts_with("HTTP/1.1 400"), "{twice}");
    let body = ask(&["--request", "GET", "--data", "{}"]);
    assert!(body.starts_with("HTTP/1.1 400"), "{body}");
    // What is not what it says, or does not say it, is refused.
    for media_type in [
        "Content-Type:",
        "Content-Type: text/plain",
        "Content-Type: application/x-www-form-urlencoded",
    ] {
        let status = format!("https://localhost:{}/v1/status", served.port());
        let answer = served.curl(&[
            "--header", &bearer, "--header", media_type, "--data", "{}", &status,
        ]);
        assert!(answer.starts_with("HTTP/1.1 415"), "{media_type}: {answer}");
    }
    // Who sends much and is refused at its beginning hears it all the same.
    served.elsewhere.write("large", &"x".repeat(900_000));
    let large = format!("@{}", served.elsewhere.path("large").display());
    for _ in 0..20 {
        let answer = served.curl(&["--header", "Expect:", "--data-binary", &large, &versions]);
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    }
    for path in [
        "/v1/versions/",
        "//v1/versions",
        "/V1/versions",
        "/v1/versions%2f",
        "/v1",
    ] {
        let answer = served.curl(&[
            "--path-as-is",
            &format!("https://localhost:{}{path}", served.port()),
        ]);
        // What is none of the API's paths is a page, which leads whoever did not sign in to where they can.
        let is_page = answer.starts_with("HTTP/1.1 303") && answer.contains("location: /sign-in");
        let is_none = answer.starts_with("HTTP/1.1 404");
        assert!(is_none || is_page, "{path}: {answer}");
        assert_eq!(is_none, path.starts_with("/v1"), "{path}: {answer}");
    }
    // From the moment when it is taken back it opens nothing.
    served.world.yes(&["token", "revoke", &id]);
    served.told(&ada, &["ls"], 3, "it is not known who asks");
    served.world.told(&["token", "ls"], 0, "no token counts");
}

#[test]
fn a_token_is_good_for_what_it_was_made_for() {
    let served = Served::new();
    served.elsewhere.write("note.txt", "a note");
    let (_, owner) = served.token(&[]);
    served.told(&owner, &["put", "demo/note", "note.txt"], 0, "");
    served.told(&owner, &["put", "other/note", "note.txt"], 0, "");
    let (_, reads) = served.token(&["--action", "list"]);
    served.told(&reads, &["ls"], 0, "demo/note");
    served.told(
        &reads,
        &["put", "demo/note", "note.txt"],
        3,
        "the token is not for this action",
    );
    let (_, one) = served.token(&["--project", "demo"]);
    let listed = served.told(&one, &["ls"], 0, "demo/note");
    assert!(!listed.contains("other/note"), "{listed}");
    served.told(
        &one,
        &["put", "other/note", "note.txt"],
        3,
        "the token is not for this project",
    );
    served.told(
        &one,
        &["ledger", "log"],
        3,
        "the token is not for this project",
    );
    let (_, purpose) = served.token(&["--only-for", "audit"]);
    served.told(
        &purpose,
        &["get", "demo/note", "--to", "a", "--purpose", "research"],
        5,
        "there is no version",
    );
    served.told(&purpose, &["get", "demo/note", "--to", "a"], 0, "");
    let (_, far) = served.token(&["--network", "192.0.2.0/24"]);
    served.told(&far, &["ls"], 3, "it is not known who asks");
    let (_, near) = served.token(&["--network", "127.0.0.0/8", "--network", "::1/128"]);
    served.told(&near, &["ls"], 0, "");
    // What is for people is for people, the owner's token or not.
    for arguments in [
        "account add zoe",
        "policy apply policies",
        "token create",
        "token revoke x",
        "approve demo/note@1 --reason none",
        "rules apply",
    ] {
        served.elsewhere.write("policies/settings.json", "{}");
        let arguments: Vec<_> = arguments.split(' ').collect();
        served.told(&owner, &arguments, 3, "it is for a person");
    }
    let id = served.world.id();
    served.told(
        &owner,
        &["policy", "break-glass", &id, "--reason", "none"],
        3,
        "without `--as`",
    );
    // Who does not own the workspace makes tokens of nobody else.
    let officer = ["account", "add", "olga", "--role", "security_officer"];
    served.world.yes(&officer);
    served.world.told(
        &["--as", "olga", "token", "create", "--for", "ada"],
        3,
        "may not make tokens",
    );
    served
        .world
        .told(&["token", "create", "--days", "91"], 2, "1 to 90 days");
    served.world.told(
        &["token", "create", "--for", "nobody"],
        2,
        "there is no account",
    );
    served.world.told(
        &["token", "create", "--network", "here"],
        2,
        "is no network",
    );
    // Whose account is disabled is nobody.
    let (_, ada) = served.token(&["--for", "ada"]);
    served.told(&ada, &["ls"], 0, "");
    served.world.yes(&["account", "disable", "ada"]);
    served.told(&ada, &["ls"], 3, "the account is disabled");
}

#[test]
fn a_login_is_kept_for_its_user_alone_and_trusts_one_server() {
    use std::os::unix::fs::PermissionsExt;

    let served = Served::new();
    let (_, ada) = served.token(&["--for", "ada"]);
    let told = served.world.path("custody-root.key");
    let mode = std::fs::metadata(&told).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let log_in = |arguments: &[&str], token: &str| {
        let all = [&["login", &served.address], arguments].concat();
        served
            .elsewhere
            .command(&all)
            .env("CUSTODY_TOKEN", token)
            .output()
            .unwrap()
    };
    check(
        &served.elsewhere.run(&["ls"]),
        5,
        "make one with `custody init`",
    );
    let other = format!("sha256:{}", "0".repeat(64));
    check(
        &log_in(&["--fingerprint", &other], &ada),
        2,
        "shows no certificate with the fingerprint",
    );
    check(
        &log_in(&["--root", "root.pem"], "cst_x"),
        3,
        "it is not known who asks",
    );
    let root = served.elsewhere.path("root.pem");
    let fingerprint = Command::new("openssl")
        .args(["x509", "-noout", "-fingerprint", "-sha256", "-in"])
        .arg(root)
        .output()
        .unwrap();
    let fingerprint = String::from_utf8(fingerprint.stdout).unwrap();
    let digits: String = fingerprint
        .trim()
        .rsplit('=')
        .next()
        .unwrap()
        .replace(':', "")
        .to_lowercase();
    check(
        &log_in(&["--fingerprint", &format!("sha256:{digits}")], &ada),
        0,
        "commands work with",
    );
    let kept = served
        .elsewhere
        .folder
        .path()
        .join("home/.config/custody/server.json");
    let mode = std::fs::metadata(&kept).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    served.elsewhere.write("note.txt", "a note");
    served
        .elsewhere
        .told(&["put", "demo/note", "note.txt"], 0, "demo/note@1");
    // Another server at the same place is not spoken to.
    let mut login: Value = serde_json::from_slice(&std::fs::read(&kept).unwrap()).unwrap();
    let own = World::empty();
    own.yes(&["init"]);
    let other = Served::of(own);
    login["root"] = other.root.clone().into();
    std::fs::write(&kept, login.to_string()).unwrap();
    served.elsewhere.told(&["ls"], 75, "does not answer");
    served.elsewhere.told(&["logout"], 0, "");
    served
        .elsewhere
        .told(&["ls"], 5, "make one with `custody init`");
    for address in [
        "http://localhost:1",
        "localhost:1",
        "https://a@localhost",
        "https://localhost/x",
        "https://",
    ] {
        let arguments = ["login", address, "--root", "root.pem"];
        served
            .elsewhere
            .told(&arguments, 2, "is no address of a server");
    }
}

#[test]
fn what_runs_when_the_server_ends_is_finished() {
    let mut served = Served::new();
    let (_, ada) = served.token(&["--for", "ada"]);
    served.elsewhere.write("rows.csv", "id\n1\n");
    let slow = [PIPELINE, PROGRAM].concat();
    served.elsewhere.write("custody.yaml", &slow);
    let running = served
        .command(&ada, &["run"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while !served.world.yes(&["runs"]).contains("running") {
        assert!(begun.elapsed() < Duration::from_mins(1));
        std::thread::sleep(Duration::from_millis(100));
    }
    let pid = Pid::from_child(&served.process);
    kill_process(pid, Signal::TERM).unwrap();
    let ended = running.wait_with_output().unwrap();
    check(&ended, 0, "demo/few@1");
    assert!(served.process.wait().unwrap().success());
    served.told(&ada, &["ls"], 75, "does not answer");
    served.world.told(&["ls"], 0, "demo/few@1");
    served
        .world
        .told(&["verify", "--all"], 0, "everything holds");
    // It starts again with the same root.
    let (mut process, serving) = start(&served.world, &[]);
    assert_eq!(serving["root"].as_str(), Some(served.root.as_str()));
    assert_eq!(serving["root_key"], Value::Null);
    process.kill().unwrap();
    process.wait().unwrap();
}

#[test]
fn tls_1_3_alone_is_spoken_and_who_is_slow_holds_up_nobody() {
    let served = Served::new();
    let (_, ada) = served.token(&["--for", "ada"]);
    let place = format!("127.0.0.1:{}", served.port());
    let client = |more: &[&str]| {
        let output = Command::new("openssl")
            .args(["s_client", "-connect", &place, "-CAfile"])
            .arg(served.elsewhere.path("root.pem"))
            .args(["-verify_return_error", "-verify_hostname", "localhost"])
            .args(more)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        (output.status.success(), text(&output))
    };
    let (done, told) = client(&["-tls1_3"]);
    assert!(
        done && told.contains("Verify return code: 0 (ok)"),
        "{told}"
    );
    for old in ["-tls1_2", "-tls1_1"] {
        let (done, told) = client(&[old]);
        assert!(!done && told.contains("alert"), "{told}");
    }
    let (_, told) = client(&["-tls1_3", "-verify_hostname", "elsewhere.example"]);
    assert!(told.contains("hostname mismatch"), "{told}");
    // What is no TLS is closed, and whoever says nothing is in nobody's way.
    let mut plain = TcpStream::connect(&place).unwrap();
    plain
        .write_all(b"GET /v1/versions HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    plain
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    let silent: Vec<_> = (0..200)
        .map(|_| TcpStream::connect(&place).unwrap())
        .collect();
    served.told(&ada, &["ls"], 0, "");
    drop(silent);
    // A request that names no host is refused, whoever sends it.
    let hostless = format!("https://localhost:{}/v1/versions", served.port());
    let answer = served.curl(&["--header", "Host:", &hostless]);
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    // A head that is too large is not read.
    let url = format!("https://localhost:{}/v1/versions", served.port());
    let large = format!("x: {}", "y".repeat(32 << 10));
    let answer = served.curl(&["--header", &large, &url]);
    assert!(
        !answer.starts_with("HTTP/1.1 2") && !answer.starts_with("HTTP/1.1 401"),
        "{answer}"
    );
    served.told(&ada, &["ls"], 0, "");
}

/// An authority without the key of its root could never be followed by another under the same root.
#[test]
fn no_authority_is_made_whose_root_key_is_not_kept() {
    let world = World::empty();
    world.yes(&["init"]);
    world.write("custody-root.key", "somebody's");
    let listen = ["serve", "--listen", "127.0.0.1:0"];
    let told = text(&world.run(&listen));
    assert!(told.contains("custody-root.key"), "{told}");
    let kept = world.path(".custody/server/authority.json");
    assert!(!kept.exists());
    let left = std::fs::read_to_string(world.path("custody-root.key")).unwrap();
    assert_eq!(left, "somebody's");
    // With a certificate of one's own none is made.
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
        ])
        .args([
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
        ])
        .args(["-keyout", "own.key", "-out", "own.pem"])
        .current_dir(world.path(""))
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", text(&made));
    let files = ["--certificate", "own.pem", "--certificate-key", "own.key"];
    let (mut process, serving) = start(&world, &files);
    assert_eq!(serving["fingerprint"], Value::Null);
    let port = serving["address"]
        .as_str()
        .unwrap()
        .rsplit(':')
        .next()
        .unwrap()
        .to_owned();
    let answer = Command::new("curl")
        .args(["--silent", "--include", "--max-time", "20", "--cacert"])
        .arg(world.path("own.pem"))
        .arg(format!("https://localhost:{port}/v1/versions"))
        .output();
    let answer = text(&answer.unwrap());
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert!(!kept.exists());
    process.kill().unwrap();
    process.wait().unwrap();
    std::fs::remove_file(world.path("custody-root.key")).unwrap();
    let (mut process, serving) = start(&world, &[]);
    assert!(serving["root_key"].is_string() && kept.exists());
    process.kill().unwrap();
    process.wait().unwrap();
}

/// The secret of everybody's authenticator here, as bytes and in base32.
const SECRET: (&str, &str) = ("12345678901234567890", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
const PASSWORD: &str = "tulpen aus amsterdam 1956";

/// Shows the code of a step of time from now, by another's HMAC.
fn code(steps: u64) -> String {
    let now = std::time::SystemTime::now();
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap();
    let counter = (now.as_secs() / 30 + steps).to_be_bytes();
    let key = format!("key:{}", SECRET.0);
    let mut process = Command::new("openssl")
        .args(["dgst", "-sha1", "-mac", "HMAC", "-macopt", &key, "-binary"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    process.stdin.take().unwrap().write_all(&counter).unwrap();
    let mac = process.wait_with_output().unwrap().stdout;
    // RFC 4226, section 5.3.
    let at = usize::from(mac[19] & 0xf);
    let number = u32::from_be_bytes(mac[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

impl Served {
    fn post(&self, path: &str, body: &Value) -> String {
        let url = format!("https://localhost:{}{path}", self.port());
        let json = "Content-Type: application/json";
        self.curl(&["--header", json, "--data", &body.to_string(), &url])
    }

    /// Sets a person's password and authenticator, and returns the token of their session.
    pub(crate) fn enrol(&self, account: &str, invitation: &str) -> String {
        let answer = self.post(
            "/v1/sessions/enrolments",
            &serde_json::json!({"account": account, "invitation": invitation, "password": PASSWORD,
                "authenticator": SECRET.1, "code": code(0)}),
        );
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let reply: Value = serde_json::from_str(body).unwrap();
        let token = reply["token"].as_str();
        token.unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// Ends a session.
    pub(crate) fn sign_out(&self, token: &str) {
        let url = format!("https://localhost:{}/v1/sessions/end", self.port());
        let bearer = format!("Authorization: Bearer {token}");
        let answer = self.curl(&["--request", "POST", "--header", &bearer, &url]);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    pub(crate) fn invited(&self, account: &str) -> String {
        let invited = self.world.json(&["account", "invite", account]);
        invited["code"].as_str().unwrap().to_owned()
    }
}

/// Does the same with a workspace in the folder of the project, and with one that a server has, to which its owner logged in.
pub(crate) fn in_both(work: impl Fn(&World)) {
    work(&World::of_words());
    let world = World::empty();
    world.yes(&["init"]);
    let served = Served::of(world);
    let owner = served.world.json(&["account", "ls"]);
    let owner = owner["users"].as_object().unwrap().keys().next().unwrap();
    let token = served.enrol(owner, &served.invitation);
    let there = World::without_workspace();
    there.write("../root.pem", &served.root);
    let login = ["login", &served.address, "--root", "../root.pem"];
    let login = there.command(&login).env("CUSTODY_TOKEN", token).output();
    check(&login.unwrap(), 0, "");
    work(&there);
    assert!(!there.path(".custody").exists());
}

#[test]
fn people_sign_in_and_decide_from_elsewhere() {
    let served = Served::new();
    let officer = ["account", "add", "olga", "--role", "security_officer"];
    served.world.yes(&officer);
    served
        .world
        .write("policies/settings.json", r#"{"second_person": true}"#);
    served.world.yes(&["policy", "apply", "policies"]);
    let change = ["account", "add", "zoe"];
    let approve = ["policy", "approve", "custody/changes@1"];
    served.world.told(&change, 6, "custody/changes@1");

    let olga = served.enrol("olga", &served.invited("olga"));
    // Who signs in is not acted for by the owner, and decides by herself.
    let acting = [&["--as", "olga"], approve.as_slice()].concat();
    served.world.told(&acting, 3, "decides without you");
    served.told(&olga, &["policy", "proposals"], 0, "zoe");
    served.told(&olga, &approve, 0, "");
    served.world.told(&["account", "ls"], 0, "zoe");
    let log = [
        "ledger",
        "log",
        "--actor",
        "olga",
        "--action",
        "admin.identity",
    ];
    let log = served.world.json(&log);
    let entries = log["entries"].as_array().unwrap();
    let vias = entries
        .iter()
        .map(|one| one["entry"]["sub"]["via"].as_str());
    assert!(vias.flatten().any(|via| via == "http"), "{log}");

    // At a terminal: the secrets come from standard input here, a line each.
    let log_in = |lines: &str, more: &[&str]| {
        let login = [
            "login",
            &served.address,
            "--root",
            "root.pem",
            "--user",
            "ada",
        ];
        let mut process = served
            .elsewhere
            .command(&[login.as_slice(), more].concat())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = process.stdin.take().unwrap();
        input.write_all(lines.as_bytes()).unwrap();
        drop(input);
        process.wait_with_output().unwrap()
    };
    let invitation = served.invited("ada");
    let lines = format!("{invitation}\n{PASSWORD}\nanother {PASSWORD}\n");
    check(
        &log_in(&lines, &["--invited"]),
        2,
        "the two passwords differ",
    );
    let lines = format!("{invitation}\n{PASSWORD}\n{PASSWORD}\n000000\n");
    let told = check(&log_in(&lines, &["--invited"]), 2, "another code");
    assert!(told.contains("otpauth://totp/"), "{told}");
    served.enrol("ada", &invitation);
    check(&log_in("wrong\n000000\n", &[]), 3, "is not right");
    check(&log_in(&format!("{PASSWORD}\n"), &[]), 2, "is missing");
    let lines = format!("{PASSWORD}\n{}\n", code(1));
    check(&log_in(&lines, &[]), 0, "commands work with");
    served.elsewhere.write("note.txt", "a note");
    served
        .elsewhere
        .told(&["put", "demo/note", "note.txt"], 0, "demo/note@1");
    check(&log_in(&lines, &[]), 3, "is not right");
    served
        .elsewhere
        .told(&["logout"], 0, "the session has ended");
    served
        .elsewhere
        .told(&["ls"], 5, "make one with `custody init`");

    // The first start invites the owner.
    let id = Command::new("id").arg("-un").output().unwrap().stdout;
    let owner = String::from_utf8(id).unwrap();
    let session = served.enrol(owner.trim(), &served.invitation);
    served.told(&session, &["ls"], 0, "demo/note");
    served.told(&session, &["token", "ls"], 0, "");
    served.told(&session, &["verify", "--all"], 0, "everything holds");
}

#[test]
fn a_stranger_learns_nothing_at_the_door_and_waits_after_some_tries() {
    let served = Served::new();
    served.enrol("ada", &served.invited("ada"));
    let attempt = |account: &str, password: &str, code: &str| {
        let body = serde_json::json!({"account": account, "password": password, "code": code});
        served.post("/v1/sessions", &body)
    };
    let body = |answer: &str| answer.split_once("\r\n\r\n").unwrap().1.to_owned();
    let answers: std::collections::BTreeSet<_> = [
        attempt("ada", "wrong", "000000"),
        attempt("ada", PASSWORD, "000000"),
        attempt("eve", PASSWORD, &code(1)),
        attempt("nobody", PASSWORD, &code(1)),
        attempt("", "", ""),
    ]
    .iter()
    .map(|answer| {
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
        // Each has a name of its own.
        let mut body: Value = serde_json::from_str(&body(answer)).unwrap();
        body.as_object_mut().unwrap().remove("instance").unwrap();
        body.to_string()
    })
    .collect();
    assert_eq!(answers.len(), 1, "{answers:?}");
    for _ in 0..4 {
        attempt("ada", "wrong", "000000");
    }
    let waits = attempt("ada", PASSWORD, &code(1));
    assert!(waits.starts_with("HTTP/1.1 429"), "{waits}");
    assert!(attempt("eve", "wrong", "1").starts_with("HTTP/1.1 401"));
    let large = serde_json::json!({"account": "x".repeat(20_000), "password": "", "code": ""});
    let large = served.post("/v1/sessions", &large);
    assert!(large.starts_with("HTTP/1.1 413"), "{large}");
    let more = serde_json::json!({"account": "ada", "password": "", "code": "", "role": "owner"});
    assert!(
        served
            .post("/v1/sessions", &more)
            .starts_with("HTTP/1.1 400")
    );
    let at = |path: &str| served.curl(&[&format!("https://localhost:{}{path}", served.port())]);
    let method = at("/v1/sessions");
    assert!(
        method.starts_with("HTTP/1.1 405") && method.contains("allow: POST"),
        "{method}"
    );
    // Whoever keeps it running is told that it runs, and no more.
    for path in ["/health", "/ready"] {
        let well = at(path);
        assert!(
            well.starts_with("HTTP/1.1 200") && body(&well) == "ok\n",
            "{well}"
        );
    }
    // On the machine nobody signs in by these.
    let denied = [
        "ledger",
        "log",
        "--action",
        "session.sign_in",
        "--outcome",
        "denied",
    ];
    let denied = served.world.json(&denied);
    assert!(denied["entries"].as_array().unwrap().len() >= 9, "{denied}");
    let told = denied.to_string();
    assert!(!told.contains(PASSWORD), "{told}");
}
