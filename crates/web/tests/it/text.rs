//! What somebody wrote stays text, wherever it is shown.

use std::collections::BTreeSet;

use custody_types::Kind;
use custody_wire::TokenRequest;

use crate::server::{MARKUP, Server};

#[test]
fn markup_in_every_free_text_stays_text() {
    let server = Server::new();
    server.add("<b>eve & \"co\"", Some("data_scientist"));
    server.put("owner", "demo/rows", Kind::Dataset, "<i>rows.txt", "rows");
    let request = TokenRequest {
        account: Some("owner".parse().unwrap()),
        days: 1,
        note: MARKUP.to_owned(),
        actions: BTreeSet::new(),
        projects: BTreeSet::new(),
        purpose: None,
        networks: BTreeSet::new(),
    };
    server.here("owner").create_token(&request).unwrap();
    let mut owner = server.browser("owner");
    let shown = |page: &crate::server::Reply| {
        for raw in ["<script>alert", "<img src=x", "<b>eve", "<i>rows", "/<b>"] {
            assert!(!page.text.contains(raw), "{raw}: {}", page.text);
        }
    };
    let escaped = "&#60;script&#62;alert(1)";
    let version = owner.get("/versions/demo/rows/1");
    shown(&version);
    assert!(
        version.text.matches(escaped).count() >= 3,
        "{}",
        version.text
    );
    assert!(version.text.contains("&#60;i&#62;rows.txt"));
    let own = owner.get("/own");
    shown(&own);
    assert!(own.text.contains(escaped));
    let accounts = owner.get("/accounts");
    shown(&accounts);
    assert!(
        accounts.text.contains("&#60;b&#62;eve &#38; &#34;co&#34;"),
        "{}",
        accounts.text
    );
    // What is asked for comes back as text too.
    let query = serde_urlencoded::to_string([("actor", MARKUP), ("resource", MARKUP)]).unwrap();
    let ledger = owner.get(&format!("/ledger?{query}"));
    shown(&ledger);
    assert!(
        ledger.text.contains("value=\"&#60;script&#62;"),
        "{}",
        ledger.text
    );
    shown(&owner.get(&format!(
        "/projects/demo?{}",
        serde_urlencoded::to_string([("artifact", MARKUP)]).unwrap()
    )));
    shown(&owner.get(&format!(
        "/runs?{}",
        serde_urlencoded::to_string([("project", MARKUP)]).unwrap()
    )));
    shown(&owner.get(&format!(
        "/compare?{}",
        serde_urlencoded::to_string([("a", MARKUP), ("b", MARKUP)]).unwrap()
    )));
    // A reason that is refused comes back in its field, and a reference in what is told.
    let token = owner.token();
    for reference in ["demo/rows@1".to_owned(), MARKUP.to_owned()] {
        let fields = [
            ("token", token.clone()),
            ("reference", reference),
            ("reason", MARKUP.to_owned()),
        ];
        let refused = owner.post("/approvals", &fields);
        assert!(refused.status.is_client_error(), "{}", refused.text);
        shown(&refused);
    }
    let mut stranger = crate::server::Browser::new(&server);
    let token = stranger.get("/sign-in").field("token");
    let fields = [
        ("token", token),
        ("account", MARKUP.to_owned()),
        ("password", MARKUP.to_owned()),
        ("code", "1".to_owned()),
    ];
    let refused = stranger.post("/sign-in", &fields);
    shown(&refused);
    assert!(refused.text.contains("value=\"&#60;script&#62;"));
}
