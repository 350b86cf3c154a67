//! Who gets in, by what, and what everybody else is told.

use std::collections::BTreeSet;

use axum::body::Body;
use custody_observe::RequestId;
use custody_types::Kind;
use http::{Method, StatusCode};

use crate::server::{Browser, PASSWORD, Server};

/// Every page, as somebody asks for it.
const PAGES: &[&str] = &[
    "/home",
    "/projects",
    "/projects/demo",
    "/versions/demo/note/1",
    "/lineage/demo/note/1",
    "/figures/demo/note/1",
    "/data/demo/note/1",
    "/evaluation/demo/note/1",
    "/compare",
    "/approvals",
    "/runs",
    "/runs/0198c7f2-0000-7000-8000-000000000000",
    "/runs/0198c7f2-0000-7000-8000-000000000000/course",
    "/ledger",
    "/ledger/0",
    "/ledger/0/proof",
    "/policies",
    "/accounts",
    "/own",
];
const ACTS: &[&str] = &[
    "/approvals",
    "/rejections",
    "/runs/0198c7f2-0000-7000-8000-000000000000/cancel",
    "/changes",
    "/own/purpose",
    "/own/tokens",
    "/sign-out",
];

/// A page that is in none of the lists above would be looked at by no test below.
#[test]
fn every_page_and_every_act_is_listed_here() {
    let fits = |pattern: &str, path: &str| {
        let (pattern, path): (Vec<_>, Vec<_>) =
            (pattern.split('/').collect(), path.split('/').collect());
        let mut pairs = pattern.iter().zip(&path);
        pattern.len() == path.len()
            && pairs.all(|(one, other)| one == other || one.starts_with('{'))
    };
    for (method, pattern) in custody_web::paths().filter(|(_, path)| *path != "/") {
        let list = if *method == Method::GET { PAGES } else { ACTS };
        assert!(
            list.iter().any(|path| fits(pattern, path)),
            "{method} {pattern}"
        );
    }
}

/// A server with a note, a data scientist, an auditor, and somebody with no role.
fn server() -> Server {
    let server = Server::new();
    server.add("ada", Some("data_scientist"));
    server.add("grace", Some("auditor"));
    server.add("eve", None);
    server.put("owner", "demo/note", Kind::Report, "note.txt", "a note");
    server
}

#[test]
fn who_watches_over_the_server_learns_the_page_and_a_person_the_id_of_what_failed() {
    let server = server();
    let mut ada = server.browser("ada");
    for (path, route) in [
        ("/home", Some("/home")),
        (
            "/versions/demo/note/1",
            Some("/versions/{project}/{artifact}/{selector}"),
        ),
        (
            "/versions/demo/none/1",
            Some("/versions/{project}/{artifact}/{selector}"),
        ),
        ("/nowhere", None),
        ("/assets/none", None),
        ("/health", Some("/health")),
        ("/metrics", Some("/metrics")),
    ] {
        assert_eq!(ada.get(path).route, route, "{path}");
    }
    let id = RequestId::draw(server.world.clock.as_ref(), server.world.entropy.as_ref());
    let mut request = ada
        .request(Method::GET, "/versions/demo/none/1")
        .body(Body::empty())
        .unwrap();
    request.extensions_mut().insert(id);
    let failed = server.send(request);
    assert_eq!(failed.status, StatusCode::NOT_FOUND);
    assert!(
        failed.text.contains(&format!("<code>{id}</code>")),
        "{}",
        failed.text
    );
}

#[test]
fn every_answer_has_the_fields_that_keep_browsers_safe() {
    let server = server();
    let mut ada = server.browser("ada");
    let style = ada.get("/home").text;
    let style = style
        .split("<link rel=\"stylesheet\" href=\"")
        .nth(1)
        .unwrap();
    let style = style.split('"').next().unwrap().to_owned();
    let mut stranger = Browser::new(&server);
    let wrong_host = server.send(
        http::Request::builder()
            .uri("/home")
            .header("host", "evil.example")
            .body(Body::empty())
            .unwrap(),
    );
    assert_eq!(wrong_host.status, StatusCode::MISDIRECTED_REQUEST);
    let foreign = server.send(
        ada.request(Method::POST, "/sign-out")
            .header("origin", "https://evil.example")
            .body(Body::empty())
            .unwrap(),
    );
    assert_eq!(foreign.status, StatusCode::FORBIDDEN);
    let put = server.send(
        ada.request(Method::PUT, "/home")
            .body(Body::empty())
            .unwrap(),
    );
    assert!(put.status.is_client_error());
    let asset = ada.get(&style);
    assert!(asset.status == StatusCode::OK && asset.header("cache-control").contains("immutable"));
    let replies = [
        ada.get("/home"),
        ada.get("/nowhere"),
        ada.get("/versions/demo/none/1"),
        asset,
        stranger.get("/sign-in"),
        stranger.get("/home"),
        stranger.get("/v1/versions"),
        stranger.get("/health"),
        wrong_host,
        foreign,
        put,
    ];
    for (place, reply) in replies.iter().enumerate() {
        let policy = reply.header("content-security-policy");
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(part), "{place}: {policy}");
        }
        assert!(!policy.contains("unsafe"));
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(reply.header(name), value, "{place}");
        }
        assert!(
            reply
                .header("strict-transport-security")
                .contains("max-age=")
        );
        assert!(
            place == 3 || reply.header("cache-control") == "no-store",
            "{place}"
        );
    }
}

#[test]
fn the_cookie_is_for_this_host_alone_and_another_after_signing_in() {
    let server = server();
    let mut browser = Browser::new(&server);
    let form = browser.get("/sign-in");
    let cookie = form.header("set-cookie").to_owned();
    assert!(cookie.starts_with("__Host-custody="), "{cookie}");
    for part in ["; Path=/", "; Secure", "; HttpOnly", "; SameSite=Strict"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Domain"));
    let before = browser.cookie.clone();
    // Somebody who fixed the id before learns nothing by it.
    let mut ada = server.browser("ada");
    assert_ne!(ada.cookie, before);
    let mut fixed = Browser {
        server: &server,
        cookie: before,
    };
    assert_eq!(fixed.get("/home").status, StatusCode::SEE_OTHER);
    // Signing out ends the session for whoever has the id or its token.
    let token = ada.token();
    let kept = ada.cookie.clone();
    assert_eq!(
        ada.get("/sign-out").status,
        StatusCode::NOT_FOUND,
        "a GET changes nothing"
    );
    assert_eq!(ada.get("/home").status, StatusCode::OK);
    let out = ada.post("/sign-out", &[("token", token)]);
    assert_eq!(
        (out.status, out.header("location")),
        (StatusCode::SEE_OTHER, "/sign-in?done=signed-out")
    );
    assert_eq!(ada.cookie, None);
    let mut again = Browser {
        server: &server,
        cookie: kept,
    };
    assert_eq!(again.get("/home").status, StatusCode::SEE_OTHER);
}

#[test]
fn the_cookie_opens_no_api_and_a_token_opens_no_page() {
    let server = server();
    let ada = server.browser("ada");
    let asked = server.send(
        ada.request(Method::GET, "/v1/versions")
            .body(Body::empty())
            .unwrap(),
    );
    assert_eq!(asked.status, StatusCode::UNAUTHORIZED, "{}", asked.text);
    let request = custody_wire::TokenRequest {
        account: Some("ada".parse().unwrap()),
        days: 1,
        note: String::new(),
        actions: BTreeSet::new(),
        projects: BTreeSet::new(),
        purpose: None,
        networks: BTreeSet::new(),
    };
    let secret = server.here("owner").create_token(&request).unwrap().secret;
    let bearer = |path: &str| {
        let stranger = Browser::new(&server);
        let request = stranger
            .request(Method::GET, path)
            .header("authorization", format!("Bearer {secret}"));
        server.send(request.body(Body::empty()).unwrap())
    };
    assert_eq!(bearer("/v1/versions").status, StatusCode::OK);
    assert_eq!(bearer("/home").header("location"), "/sign-in");
    let mut shown = Browser {
        server: &server,
        cookie: Some(format!("__Host-custody={secret}")),
    };
    assert_eq!(shown.get("/home").status, StatusCode::SEE_OTHER);
}

#[test]
fn whoever_has_not_signed_in_is_led_there_and_told_nothing() {
    let server = server();
    let mut stranger = Browser::new(&server);
    for path in PAGES.iter().chain(&[
        "/nowhere",
        "/versions/none/none/1",
        "//home",
        "/HOME",
        "/home/",
    ]) {
        let reply = stranger.get(path);
        assert_eq!(reply.status, StatusCode::SEE_OTHER, "{path}");
        assert!(reply.header("location").starts_with("/sign-in"), "{path}");
        assert_eq!(reply.text, "", "{path}");
    }
    for path in ACTS {
        let reply = stranger.post(path, &[("token", "00".repeat(32))]);
        assert_eq!(
            (reply.status, reply.header("location")),
            (StatusCode::SEE_OTHER, "/sign-in"),
            "{path}"
        );
    }
    let head = stranger
        .request(Method::HEAD, "/home")
        .body(Body::empty())
        .unwrap();
    assert_eq!(server.send(head).status, StatusCode::SEE_OTHER);
}

#[test]
fn a_form_that_no_page_of_this_browser_sent_does_nothing() {
    let server = server();
    let mut ada = server.browser("ada");
    let mut grace = server.browser("grace");
    let (token, foreign) = (ada.token(), grace.token());
    let fields = |token: &str| {
        serde_urlencoded::to_string([
            ("token", token),
            ("reason", "x"),
            ("reference", "demo/note@1"),
        ])
        .unwrap()
    };
    let send = |path: &str, token: &str, headers: &[(&str, &str)]| {
        let mut request = ada.request(Method::POST, path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        server
            .send(request.body(Body::from(fields(token))).unwrap())
            .status
            .as_u16()
    };
    let form = ("content-type", "application/x-www-form-urlencoded");
    let ours = ("sec-fetch-site", "same-origin");
    for path in ACTS {
        for (headers, shown, expected) in [
            (
                &[form, ("origin", "https://evil.example")][..],
                token.as_str(),
                403,
            ),
            (
                &[form, ("origin", "https://sibling.localhost:8443")],
                &token,
                403,
            ),
            (&[form, ("sec-fetch-site", "same-site")], &token, 403),
            (&[form, ("origin", "null")], &token, 403),
            (&[form], &token, 403),
            (&[("content-type", "text/plain"), ours], &token, 415),
            (&[("content-type", "application/json"), ours], &token, 415),
            (&[form, ours], "", 403),
            (&[form, ours], &foreign, 403),
        ] {
            assert_eq!(send(path, shown, headers), expected, "{path} {headers:?}");
        }
    }
    assert_eq!(
        ada.get("/home").status,
        StatusCode::OK,
        "nobody signed her out"
    );
    // Signing in itself is no exception.
    let mut stranger = Browser::new(&server);
    let sign_in = stranger.post(
        "/sign-in",
        &[("token", "00".repeat(32)), ("account", "ada".to_owned())],
    );
    assert_eq!(sign_in.status, StatusCode::FORBIDDEN);
    let twice = format!("{}&{}", fields(&token), fields(&token));
    let twice = ada
        .request(Method::POST, "/approvals")
        .header(form.0, form.1)
        .header(ours.0, ours.1)
        .body(Body::from(twice))
        .unwrap();
    assert_eq!(server.send(twice).status, StatusCode::BAD_REQUEST);
    let large = ada
        .request(Method::POST, "/approvals")
        .header(form.0, form.1)
        .header(ours.0, ours.1)
        .body(Body::from("a".repeat(65 << 10)))
        .unwrap();
    assert_eq!(server.send(large).status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[test]
fn what_is_not_there_and_what_is_not_theirs_look_the_same() {
    let server = server();
    let mut eve = server.browser("eve");
    let page = |browser: &mut Browser<'_>, path: &str, name: &str| {
        let reply = browser.get(path);
        (reply.status, reply.text.replace(name, "NAME"))
    };
    for part in ["versions", "lineage", "figures", "data", "evaluation"] {
        let theirs = page(&mut eve, &format!("/{part}/demo/note/1"), "demo/note@1");
        let absent = page(
            &mut eve,
            &format!("/{part}/nowhere/none/1"),
            "nowhere/none@1",
        );
        assert_eq!(theirs, absent, "{part}");
        assert_ne!(theirs.0, StatusCode::OK, "{part}");
    }
    let theirs = page(&mut eve, "/projects/demo", "demo");
    let absent = page(&mut eve, "/projects/nowhere", "nowhere");
    assert_eq!(theirs, absent);
    // A decision is refused as the API refuses it, and entered.
    let mut grace = server.browser("grace");
    let token = grace.token();
    let fields = [
        ("token", token),
        ("reference", "demo/note@1".to_owned()),
        ("reason", "looked at".to_owned()),
    ];
    let refused = grace.post("/approvals", &fields);
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.text);
    assert!(refused.text.contains("role=\"alert\""), "{}", refused.text);
    let entries = server
        .here("owner")
        .ledger_entries(&custody_wire::EntryQuery {
            actor: Some("grace".to_owned()),
            action: Some("model.approve".to_owned()),
            ..custody_wire::EntryQuery::default()
        });
    let entries = entries.unwrap().entries;
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].entry["sub"]["via"], "http");
    assert_eq!(entries[0].entry["out"], "denied", "{:?}", entries[0]);
}

#[test]
fn a_person_sets_a_password_and_an_authenticator_and_signs_in() {
    let server = server();
    let mut browser = Browser::new(&server);
    let party = "ada".parse().unwrap();
    let request = custody_wire::InviteRequest { account: party };
    let invitation = server.here("owner").invite(&request).unwrap().code;
    let form = browser.get("/invitation");
    let secret = form.field("authenticator");
    assert!(form.text.contains("<svg class=\"code\"") && form.text.contains(secret.split_at(4).0));
    let send = |browser: &mut Browser<'_>, password: &str, again: &str, code: &str| {
        let token = browser.get("/invitation").field("token");
        let fields = [
            ("token", token),
            ("account", "ada".to_owned()),
            ("invitation", invitation.clone()),
            ("authenticator", secret.clone()),
            ("password", password.to_owned()),
            ("again", again.to_owned()),
            ("code", code.to_owned()),
        ];
        browser.post("/invitation", &fields)
    };
    let code = server.code(&secret);
    let differ = send(&mut browser, PASSWORD, "other", &code);
    assert!(
        differ.status == StatusCode::UNPROCESSABLE_ENTITY
            && differ.text.contains("the two passwords differ")
    );
    // What was typed and drawn stays; passwords do not.
    assert_eq!(
        (differ.field("authenticator"), differ.field("account")),
        (secret.clone(), "ada".to_owned())
    );
    assert!(!differ.text.contains(PASSWORD));
    let weak = send(&mut browser, "password1234", "password1234", &code);
    assert!(
        weak.text.contains("aria-invalid=\"true\"") && weak.text.contains("CUS-DOOR-029"),
        "{}",
        weak.text
    );
    let wrong = send(&mut browser, PASSWORD, PASSWORD, "000000");
    assert!(wrong.text.contains("CUS-DOOR-030"), "{}", wrong.text);
    // Apps show the code in two halves.
    let (first, second) = code.split_at(3);
    let entered = send(
        &mut browser,
        PASSWORD,
        PASSWORD,
        &format!("{first} {second}"),
    );
    assert_eq!(
        (entered.status, entered.header("location")),
        (StatusCode::SEE_OTHER, "/home")
    );
    assert_eq!(browser.get("/home").status, StatusCode::OK);

    // Once more, by what was set; a wrong one is told as the API tells it.
    let mut other = Browser::new(&server);
    server.world.clock.advance(30);
    let token = other.get("/sign-in?to=%2Fruns").field("token");
    let fields = |password: &str, code: String| {
        [
            ("token", token.clone()),
            ("account", "ada".to_owned()),
            ("password", password.to_owned()),
            ("code", code),
            ("to", "/runs".to_owned()),
        ]
    };
    let wrong = other.post("/sign-in", &fields("wrong", server.code(&secret)));
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    assert!(
        wrong
            .text
            .contains("the account, the password or the code is not right")
            && !wrong.text.contains("value=\"wrong\"")
    );
    let right = other.post("/sign-in", &fields(PASSWORD, server.code(&secret)));
    assert_eq!(
        (right.status, right.header("location")),
        (StatusCode::SEE_OTHER, "/runs")
    );
    // Elsewhere is no page of ours.
    assert!(
        !other
            .get("/sign-in?to=https%3A%2F%2Fevil.example")
            .text
            .contains("evil")
    );
}

#[test]
fn a_session_that_ended_at_the_api_opens_no_page_and_one_nobody_uses_ends() {
    let server = server();
    let mut ada = server.browser("ada");
    assert_eq!(ada.get("/home").status, StatusCode::OK);
    let request = custody_wire::InviteRequest {
        account: "ada".parse().unwrap(),
    };
    server.here("owner").invite(&request).unwrap();
    let ended = ada.get("/home");
    assert_eq!(
        (ended.status, ended.header("location")),
        (StatusCode::SEE_OTHER, "/sign-in")
    );
    assert_eq!(ada.cookie, None);
    let mut grace = server.browser("grace");
    assert_eq!(grace.get("/home").status, StatusCode::OK);
    // What a page asks by itself is no use, and leads the whole page away once it is over.
    let path = "/runs/0198c7f2-0000-7000-8000-000000000000/course";
    let polled = |browser: &Browser<'_>| {
        let request = browser
            .request(Method::GET, path)
            .header("hx-request", "true");
        server.send(request.body(Body::empty()).unwrap())
    };
    server.world.clock.advance(29 * 60);
    assert_eq!(polled(&grace).status, StatusCode::NOT_FOUND);
    server.world.clock.advance(2 * 60);
    assert_eq!(polled(&grace).header("hx-redirect"), "/sign-in");
    assert_eq!(grace.get("/home").status, StatusCode::SEE_OTHER);
}

#[test]
fn every_page_is_shown_to_who_may_see_it() {
    let server = server();
    let mut owner = server.browser("owner");
    for path in PAGES {
        let reply = owner.get(path);
        let is_run = path.contains("/runs/");
        // A note has no table, and measures nothing.
        let is_table = path.starts_with("/data/") || path.starts_with("/evaluation/");
        let expected = if is_run {
            StatusCode::NOT_FOUND
        } else {
            StatusCode::OK
        };
        assert!(
            reply.status == expected || is_table,
            "{path}: {} {}",
            reply.status,
            reply.text
        );
        if !path.ends_with("/proof") {
            assert_eq!(reply.text.matches("<h1").count(), 1, "{path}");
            assert!(
                reply.text.contains("<title>") && reply.text.contains("<main"),
                "{path}"
            );
            for inline in [
                " style=",
                "<style",
                "<script>",
                "javascript:",
                " onclick=",
                " onload=",
                " onsubmit=",
            ] {
                assert!(!reply.text.contains(inline), "{path}: {inline}");
            }
        }
    }
    let proof = owner.get("/ledger/0/proof");
    assert!(
        proof
            .header("content-disposition")
            .starts_with("attachment; filename=\"entry-0.json\"")
    );
    let proof: serde_json::Value = serde_json::from_str(&proof.text).unwrap();
    assert_eq!(proof["schema"], "custody/ledger-entry/1");
    assert!(
        proof["checkpoint"]
            .as_str()
            .unwrap()
            .starts_with("example.com/log\n")
    );
    assert_eq!(owner.get("/ledger/100000").status, StatusCode::NOT_FOUND);
    assert_eq!(
        owner.get("/ledger?since=yesterday").status,
        StatusCode::BAD_REQUEST
    );
}
