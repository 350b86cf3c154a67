//! What there is at a glance, and the proof of an entry: through the client and the API, over a door on doubles.

use custody_tlog::tree::{check_inclusion, leaf_hash};
use custody_types::{Classification, Kind, code};
use custody_wire::{Change, EntryQuery, ProjectQuery, Right, RoleBinding};

use crate::runs::Server;

fn projects(server: &Server, limit: u64, after: Option<&str>) -> (Vec<String>, Option<String>) {
    let query = ProjectQuery {
        limit: Some(limit),
        after: after.map(|name| name.parse().unwrap()),
    };
    let reply = server.client().projects(&query).unwrap();
    let names = reply.projects.iter().map(ToString::to_string).collect();
    (names, reply.next.map(|name| name.to_string()))
}

#[test]
fn everybody_sees_the_projects_in_which_they_see_something() {
    let server = Server::new();
    for project in ["a", "a-b", "b", "c"] {
        let files = [("note.txt", project)];
        for artifact in ["one", "two"] {
            let name = format!("{project}/{artifact}");
            server.put(&name, Kind::Report, Classification::Internal, &files);
        }
    }
    let add = |name: &str, role: Option<RoleBinding>| {
        let who: custody_wire::Party = name.parse().unwrap();
        let mut changes = vec![Change::Add { who: who.clone() }];
        changes.extend(role.map(|role| Change::Grant {
            who,
            right: Right::Role(role),
            seconds: None,
        }));
        server.client().change_identity(changes).unwrap();
    };
    let of_b = RoleBinding {
        project: Some("b".parse().unwrap()),
        ..RoleBinding::everywhere("reader")
    };
    add("ada", Some(of_b));
    add("eve", None);
    // The reserved project has the accounts.
    let all = ["a", "a-b", "b", "c", "custody"]
        .map(str::to_owned)
        .to_vec();
    assert_eq!(projects(&server, 100, None), (all.clone(), None));
    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let (page, next) = projects(&server, 2, after.as_deref());
        paged.extend(page);
        after = next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(paged, all);
    assert_eq!(
        projects(&server.seen_by("ada"), 1, None),
        (vec!["b".to_owned()], None)
    );
    let refused = server
        .seen_by("eve")
        .client()
        .projects(&ProjectQuery::default());
    assert_eq!(refused.unwrap_err().code, code::DOOR_001);
    assert!(server.client().waiting().unwrap().waiting.is_empty());
    assert_eq!(
        server.seen_by("eve").client().waiting().unwrap_err().code,
        code::DOOR_001
    );
}

#[test]
fn an_entry_comes_with_what_proves_it() {
    let server = Server::new();
    let files = [("note.txt", "x")];
    for _ in 0..5 {
        server.put("demo/note", Kind::Report, Classification::Internal, &files);
    }
    let client = server.client();
    for index in 0..6 {
        let reply = client.ledger_entry(index).unwrap();
        let leaf = leaf_hash(reply.bytes.as_bytes());
        assert_eq!(leaf, *reply.view.leaf.as_bytes());
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&reply.bytes).unwrap(),
            reply.view.entry
        );
        let proof: Vec<_> = reply.proof.iter().map(|hash| *hash.as_bytes()).collect();
        check_inclusion(&leaf, index, reply.size, reply.root.as_bytes(), &proof).unwrap();
        let mut lines = reply.checkpoint.lines().skip(1);
        assert_eq!(lines.next().unwrap(), reply.size.to_string());
    }
    let none = client.ledger_entry(1_000_000).unwrap_err();
    assert_eq!(none.code, code::LEDGER_013);
    let stranger = server
        .seen_by("stranger")
        .client()
        .ledger_entry(0)
        .unwrap_err();
    assert_eq!(stranger.code, code::DOOR_001);
    // That there is none is the outcome of a grant.
    let query = EntryQuery {
        action: Some("ledger.read".to_owned()),
        outcome: Some("error".to_owned()),
        ..EntryQuery::default()
    };
    assert_eq!(client.ledger_entries(&query).unwrap().entries.len(), 1);
    let wrong = client.evaluation("demo/note@1").unwrap_err();
    assert_eq!(wrong.code, code::RUN_014);
}
