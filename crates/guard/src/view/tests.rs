use std::collections::BTreeMap;

use custody_store::{ViewRow, ViewRows};
use serde_json::{Value, json};

use super::*;

fn digest(text: &str) -> String {
    Digest::of(text.as_bytes()).to_string()
}

fn entry(index: usize, fields: Value) -> Entry {
    let mut all = json!({
        "v": 1, "id": format!("id{index}"), "ts": "2026-01-01T00:00:00Z", "prj": "p", "act": "object.write",
        "ph": "outcome", "sub": {"k": "user", "ref": "0011", "via": "test"},
        "obj": [{"k": "artifact", "n": "p/x@1"}], "out": "ok",
    });
    let target = all.as_object_mut().unwrap();
    target.extend(fields.as_object().unwrap().clone());
    Entry::parse(&serde_json::to_vec(&all).unwrap()).unwrap()
}

/// An entry about a content; `verb`, answer and facts as given.
fn about_content(action: Action, outcome: &str, facts: &[(&str, &str)], content: &str) -> Value {
    let facts: BTreeMap<_, _> = facts.iter().copied().collect();
    json!({
        "act": action.verb(), "out": outcome, "facts": facts, "lin": {"in": [digest(content)]},
        "obj": [{"k": "artifact", "n": "p/x@1", "ver": digest(content)}],
    })
}

/// The view of some entries, in memory.
#[derive(Default)]
struct View {
    rows: MemoryRows,
    tree: Tree,
    size: u64,
}

impl View {
    fn of(entries: &[Value]) -> Self {
        let mut view = Self::default();
        view.apply(entries);
        view
    }

    fn apply(&mut self, entries: &[Value]) {
        let mut map = Map::new(&mut self.tree, &self.rows);
        let places = self.size..;
        let entries = places.zip(entries).map(|(index, fields)| {
            let number = usize::try_from(index).unwrap();
            (index, entry(number, fields.clone()))
        });
        let entries: Vec<_> = entries.collect();
        self.size += entries.len() as u64;
        apply::entries(&mut map, &[], &entries).unwrap();
        map.finish().unwrap();
    }

    /// Asks as a process does that has read nothing yet.
    fn ask<T>(&self, ask: impl FnOnce(&mut Map<'_>) -> Answer<T>) -> Answer<T> {
        let mut tree = Tree::of_root(self.tree.root());
        ask(&mut Map::new(&mut tree, &self.rows))
    }

    fn is_held(&self, name: &str, content: &str) -> bool {
        let (name, content) = (name.parse().unwrap(), Digest::of(content.as_bytes()));
        self.ask(|map| rows::is_held(map, &name, &content)).unwrap()
    }
}

fn made(name: &str, content: &str, more: &[(&str, &str)]) -> Value {
    let record = digest(&format!("record of {name}"));
    let mut facts: BTreeMap<_, _> = more.iter().copied().collect();
    facts.insert("record", &record);
    json!({"facts": facts, "obj": [{"k": "artifact", "n": name, "ver": digest(content)}]})
}

#[test]
fn what_an_entry_says_in_an_unknown_form_is_told() {
    let told = |fields: Value| apply::unread(7, &entry(7, fields)).collect::<Vec<_>>();
    assert_eq!(told(made("p/a@1", "a", &[("bytes", "many")])), [""; 0]);
    let good = [
        (NAMED, "p/a@1 p/b@2"),
        ("passed", "p/a@1"),
        ("alias", "good"),
    ];
    assert_eq!(
        told(about_content(Action::RunStep, "ok", &good, "a")),
        [""; 0]
    );
    for (fact, text) in [
        ("record", "sha512:00"),
        (QUARANTINE, "p/a"),
        (NAMED, "p/a@1  p/b@2"),
        ("alias", "Not an alias"),
    ] {
        let told = told(about_content(Action::Write, "ok", &[(fact, text)], "a"));
        assert_eq!(told.len(), 1, "{fact}: {told:?}");
        assert!(told[0].starts_with("entry 7 says") && told[0].contains(fact));
    }
    let later = told(json!({"act": "object.fold"}));
    assert_eq!(
        later,
        ["entry 7 is of `object.fold`, which this program does not know"]
    );
}

#[test]
fn only_an_approval_or_a_passing_contract_lets_a_content_out() {
    let (key, other) = (digest("key"), digest("other"));
    let broken_by = |version: &str, key: &str| {
        let facts = [(QUARANTINE, version), ("step_key", key)];
        about_content(Action::RunStep, "error", &facts, "a")
    };
    let broken = || broken_by("p/a@1", &key);
    let passed = |content| about_content(Action::RunStep, "ok", &[("passed", "p/a@1")], content);
    let failed = about_content(Action::RunStep, "error", &[("passed", "p/a@1")], "a");
    let release = [(RELEASE, "p/a@1"), (CONTRACT, key.as_str())];
    let approved = || about_content(Action::Approve, "ok", &release, "a");
    let denied = about_content(Action::Approve, "denied", &release, "a");
    let rescanned = about_content(Action::ScanModel, "ok", &[(RELEASE, "p/a@1")], "a");
    let held = digest("a");
    let shares = [(QUARANTINE, "p/b@1"), (HELD, held.as_str())];
    let copy = about_content(Action::Write, "ok", &shares, "b");
    let check = |entries: &[Value], content: &str, held: bool| {
        let view = View::of(entries);
        assert_eq!(view.is_held("p/new@9", content), held, "{entries:?}");
        assert!(!view.is_held("q/new@9", content));
    };
    check(&[], "a", false);
    check(&[broken()], "a", true);
    check(&[broken()], "b", false);
    check(
        &[broken(), failed, denied, rescanned, passed("b")],
        "a",
        true,
    );
    check(&[broken(), passed("a")], "a", false);
    check(&[passed("a"), broken()], "a", true);
    check(&[broken(), approved()], "a", false);
    // The same contract broken by the same bytes was approved; another was not.
    check(&[broken(), approved(), broken()], "a", false);
    check(
        &[broken(), approved(), broken_by("p/a@2", &other)],
        "a",
        true,
    );
    // Under other policies the approval counts for nothing that comes after.
    let change = || change_of_policies(1);
    check(&[broken(), approved(), change()], "a", false);
    check(&[broken(), approved(), change(), broken()], "a", true);
    check(
        &[broken(), approved(), change(), broken(), approved()],
        "a",
        false,
    );
    // What has a file of it is held for itself.
    check(&[broken(), copy.clone()], "b", true);
    check(&[broken(), copy.clone(), passed("a")], "b", true);
    check(&[broken(), copy.clone(), passed("b")], "b", false);
    check(&[broken(), copy, passed("b")], "a", true);
}

#[test]
fn a_scan_holds_a_version_until_it_is_approved_or_scanned_anew() {
    let scan = digest("scan");
    let waits = about_content(
        Action::Write,
        "ok",
        &[(QUARANTINE, "p/m@1"), (SCAN_FACT, &scan)],
        "m",
    );
    let findings = digest("findings");
    let approved = about_content(
        Action::Approve,
        "ok",
        &[(RELEASE, "p/m@1"), (FINDINGS, &findings)],
        "m",
    );
    let of_contract = [(RELEASE, "p/m@1"), (CONTRACT, "-")];
    let contract = about_content(Action::Approve, "ok", &of_contract, "m");
    let held = View::of(&[waits.clone(), contract]);
    assert!(held.is_held("p/m@1", "m") && !held.is_held("p/m@2", "m"));
    let (project, content) = ("p".parse().unwrap(), Digest::of(b"m"));
    let approval = |view: &View| {
        let (found, counts) = view
            .ask(|map| {
                let found = rows::approval(map, &project, &content, &Digest::of(b"findings"))?;
                Ok((found, rows::unless_void(map, found)?))
            })
            .unwrap();
        (found.is_some(), counts.is_some())
    };
    let mut entries = vec![waits, approved.clone()];
    let released = View::of(&entries);
    assert!(!released.is_held("p/m@1", "m"));
    assert_eq!(approval(&released), (true, true));
    // Other policies put nothing back, and ask again.
    entries.push(change_of_policies(1));
    let changed = View::of(&entries);
    assert!(!changed.is_held("p/m@1", "m"));
    assert_eq!(approval(&changed), (true, false));
    entries.push(approved);
    assert_eq!(approval(&View::of(&entries)), (true, true));
}

#[test]
fn of_two_versions_of_one_name_the_later_has_it_and_the_other_is_found_by_its_content() {
    let mut entries = vec![
        made("p/a@1", "first", &[]),
        made("p/a@1", "second", &[]),
        made("p/a@1", "third", &[]),
        made("p/a-b@1", "first", &[]),
    ];
    let find = |view: &View, selector: &str| {
        let selector = selector
            .parse::<custody_types::Reference>()
            .unwrap()
            .selector;
        let found = view.ask(|map| rows::resolve(map, &"p/a".parse().unwrap(), &selector));
        found
            .unwrap()
            .map(|(name, facts)| (name.to_string(), facts.entry))
    };
    let by = |content: &str| format!("p/a@{}", digest(content));
    let view = View::of(&entries);
    let named = |entry| Some(("p/a@1".to_owned(), entry));
    for selector in ["p/a", "p/a@1", &by("third")] {
        assert_eq!(find(&view, selector), named(2), "{selector}");
    }
    assert_eq!(find(&view, &by("first")), named(0));
    assert_eq!(find(&view, &by("second")), named(1));
    assert_eq!(find(&view, &by("fourth")), None);
    let told = view.ask(doubled).unwrap();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told.iter().any(|told| told.contains(&by("first"))),
        "{told:?}"
    );
    // Put again, it has a name of its own.
    entries.push(made("p/a@2", "first", &[]));
    let view = View::of(&entries);
    assert_eq!(find(&view, &by("first")), Some(("p/a@2".to_owned(), 4)));
    let told = view.ask(doubled).unwrap();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains(&by("second")), "{told:?}");
}

#[test]
fn versions_are_listed_in_order_and_those_in_quarantine_apart() {
    let mut entries: Vec<_> = (1..=12)
        .rev()
        .map(|number| made(&format!("p/a@{number}"), &format!("{}", number % 3), &[]))
        .collect();
    entries.push(made("p/a-b@1", "x", &[]));
    entries.push(made("q/a@1", "x", &[]));
    let broken = about_content(Action::RunStep, "error", &[(QUARANTINE, "p/a@3")], "0");
    entries.push(broken);
    let mut view = View::of(&entries);
    let list = |view: &View, held: bool| {
        let (mut names, mut after) = (Vec::<String>::new(), None);
        loop {
            let of = (None, None);
            let page = view.ask(|map| rows::list(map, of, held, after.as_ref(), 5));
            let page = page.unwrap();
            let Some((last, ..)) = page.last() else {
                return names;
            };
            after = Some(last.clone());
            names.extend(page.iter().map(|(name, ..)| name.to_string()));
        }
    };
    let all = list(&view, false);
    assert_eq!(all.len(), 14);
    assert_eq!(all[..2], ["p/a@1", "p/a@2"]);
    assert_eq!(all[11..], ["p/a@12", "p/a-b@1", "q/a@1"]);
    assert_eq!(list(&view, true), ["p/a@3", "p/a@6", "p/a@9", "p/a@12"]);
    let latest = |view: &View| {
        let artifact = "p/a".parse().unwrap();
        let found = view.ask(|map| rows::resolve(map, &artifact, &Selector::Latest));
        found.unwrap().unwrap().0.to_string()
    };
    assert_eq!(latest(&view), "p/a@1");
    let named = [(NAMED, "p/a@7 p/a@6")];
    view.apply(&[about_content(Action::RunStep, "ok", &named, "z")]);
    assert_eq!(latest(&view), "p/a@7");
    let passed = about_content(Action::RunStep, "ok", &[("passed", "p/a@3")], "0");
    view.apply(&[passed]);
    assert_eq!(list(&view, true), Vec::<String>::new());
}

#[test]
fn entries_are_found_by_their_terms() {
    let verbs = [Action::Read, Action::Write, Action::List];
    let entries: Vec<_> = (0..1500_usize)
        .map(|index| {
            json!({
                "act": verbs[index % 3].verb(),
                "sub": {"k": "user", "ref": format!("{:04}", index / 500), "via": "test"},
                "obj": [{"k": "artifact", "n": format!("p{}/a@{}", index % 7, index % 5)}],
            })
        })
        .collect();
    let view = View::of(&entries);
    let check = |all: &[Vec<&str>], end: u64, expected: &dyn Fn(usize) -> bool| {
        let all: Vec<AnyOf> = all
            .iter()
            .map(|terms| terms.iter().map(ToString::to_string).collect())
            .collect();
        let (mut found, mut at) = (Vec::new(), end);
        while let Some(places) = view.ask(|map| index::newest(map, &all, at)).unwrap() {
            at = *places.last().unwrap();
            found.extend(places);
        }
        let places = (0..end).rev();
        let wanted: Vec<_> = places
            .filter(|place| expected(usize::try_from(*place).unwrap()))
            .collect();
        assert_eq!(found, wanted, "{all:?} before {end}");
    };
    let read = format!("act {}", Action::Read.verb());
    for end in [0, 1, 255, 256, 257, 701, 1280] {
        check(&[vec![&read]], end, &|index| index % 3 == 0);
        check(&[vec!["by 0002"], vec![&read]], end, &|index| {
            index >= 1000 && index % 3 == 0
        });
        check(
            &[vec!["by 0000", "by 0002"], vec!["project p3"]],
            end,
            &|index| !(500..1000).contains(&index) && index % 7 == 3,
        );
        check(&[vec!["version p3/a@2"]], end, &|index| {
            index % 7 == 3 && index % 5 == 2
        });
        check(&[vec!["by 0003"]], end, &|_| false);
    }
    let terms = |name: &str| view.ask(|map| index::resources(map, name)).unwrap();
    assert_eq!(terms("p").unwrap().len(), 7);
    assert_eq!(terms("p3/").unwrap(), ["artifact p3/a"]);
    assert_eq!(terms("x").unwrap(), Vec::<String>::new());
}

fn all_rows(map: &mut Map<'_>) -> Answer<BTreeMap<String, ViewRow>> {
    map.all()
}

/// An entry that puts the version of this number in force as the policies.
fn change_of_policies(number: u32) -> Value {
    let mut change = made(&format!("custody/policy@{number}"), "policy", &[]);
    let fields = change.as_object_mut().unwrap();
    fields.insert("act".to_owned(), Action::ChangePolicy.verb().into());
    change
}

/// Every kind of row there is.
fn everything() -> Vec<Value> {
    let (key, scan, findings) = (digest("key"), digest("scan"), digest("findings"));
    let held = digest("a");
    let change = change_of_policies(1);
    let approve = [(RELEASE, "p/a@1"), (CONTRACT, key.as_str())];
    let broken = [(QUARANTINE, "p/a@1"), ("step_key", key.as_str())];
    let other = [(QUARANTINE, "p/a@1"), ("step_key", scan.as_str())];
    vec![
        made("p/a@1", "a", &[]),
        made("p/a@2", "before b", &[]),
        made("p/a@2", "b", &[]),
        made("p/m@1", "m", &[(QUARANTINE, "p/m@1"), (SCAN_FACT, &scan)]),
        about_content(
            Action::Approve,
            "ok",
            &[(RELEASE, "p/n@1"), (FINDINGS, &findings)],
            "n",
        ),
        about_content(Action::RunStep, "error", &broken, "a"),
        about_content(Action::Approve, "ok", &approve, "a"),
        about_content(Action::RunStep, "error", &other, "a"),
        about_content(
            Action::Write,
            "ok",
            &[(QUARANTINE, "p/b@1"), (HELD, &held)],
            "b",
        ),
        about_content(Action::Reject, "ok", &[(REJECTED, "p/m@1")], "m"),
        about_content(Action::Remove, "ok", &[(REMOVED, "p/m@1")], "m"),
        json!({"act": Action::Approve.verb(), "facts": {ENDORSES: digest("bound")}}),
        json!({"act": Action::SignIn.verb(), "facts": {CODE_STEP: "7"}}),
        json!({"act": Action::Shred.verb(), "proj": "q", "facts": {SHREDDED: "ab".repeat(16)}}),
        json!({"act": Action::SetAlias.verb(), "facts": {"alias": "good"}, "obj": [{"k": "artifact", "n": "p/a@2"}]}),
        json!({"act": Action::RunStep.verb(), "facts": {"step_key": key}, "lin": {"att": digest("statement"), "run": "r"}}),
        json!({"act": Action::Read.verb(), "ph": "grant", "out": null}),
        change,
    ]
}

/// Whoever edits the rows, with a copy of older ones at hand, changes no answer.
#[test]
fn a_row_that_is_not_what_was_written_is_noticed_when_it_is_used() {
    let mut entries = everything();
    let said = entries.len();
    entries.resize(256, json!({}));
    let view = View::of(&entries);
    let rows = view.rows.all();
    let kinds: std::collections::BTreeSet<_> = rows
        .keys()
        .filter_map(|key| key.split(' ').next())
        .collect();
    let expected = [
        "aliases",
        "approved",
        "code",
        "content",
        "contract",
        "endorsed",
        "entries",
        "force",
        "hold",
        "made",
        "open",
        "overtaken",
        "quarantine",
        "record",
        "rejected",
        "removed",
        "scan",
        "shredded",
        "step",
        "version",
        "waits",
        "waived",
    ];
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), expected);
    let older = View::of(&entries[..said - 4]).rows.all();
    for (key, row) in &rows {
        let bucket = Digest::of(key.as_bytes());
        let bucket = u16::from_be_bytes(*bucket.as_bytes().first_chunk().unwrap());
        let others = [
            Some(ViewRow {
                value: b"0".to_vec(),
                ..row.clone()
            }),
            Some(ViewRow {
                next: String::new(),
                ..row.clone()
            }),
            older.get(key).cloned(),
            None,
        ];
        for other in others {
            if other.as_ref() == Some(row) {
                continue;
            }
            match &other {
                Some(other) => view.rows.set(bucket, other).unwrap(),
                None => view.rows.remove(key).unwrap(),
            }
            let got = view.ask(|map| map.get(key));
            assert!(matches!(got, Err(ViewError::Wrong(_))), "{key}: {other:?}");
            // Nor does a list pass over it, or end before it.
            let kind = key.split(' ').next().unwrap();
            let listed = view.ask(|map| map.list(kind, None, usize::MAX));
            assert!(
                matches!(listed, Err(ViewError::Wrong(_))),
                "{key}: {other:?}"
            );
            view.rows.set(bucket, row).unwrap();
        }
        assert!(view.ask(|map| map.get(key)).unwrap().is_some());
    }
    // A row that nobody wrote.
    let added = "quarantine p z 0000000001";
    let bucket = Digest::of(added.as_bytes());
    let bucket = u16::from_be_bytes(*bucket.as_bytes().first_chunk().unwrap());
    let row = ViewRow {
        key: added.to_owned(),
        value: Vec::new(),
        next: String::new(),
    };
    view.rows.set(bucket, &row).unwrap();
    let got = view.ask(|map| map.has(added));
    assert!(matches!(got, Err(ViewError::Wrong(_))), "{got:?}");
    let all = view.ask(all_rows);
    assert!(matches!(all, Err(ViewError::Wrong(_))));
    view.rows.remove(added).unwrap();
    assert_eq!(view.ask(all_rows).unwrap(), rows);
    // All of them gone.
    for key in view.rows.all().keys() {
        view.rows.remove(key).unwrap();
    }
    let listed = view.ask(|map| map.list("version", None, 1));
    assert!(matches!(listed, Err(ViewError::Wrong(_))), "{listed:?}");
}

/// The tree is the same however the rows came to be, and without rows there is none.
#[test]
fn the_root_is_that_of_the_rows_alone() {
    let mut keys: Vec<_> = (0..500)
        .map(|one: u32| format!("key {:04}", one * 7919 % 500))
        .collect();
    let build = |keys: &[String]| {
        let (rows, mut tree) = (MemoryRows::default(), Tree::default());
        for some in keys.chunks(37) {
            let mut map = Map::new(&mut tree, &rows);
            for key in some {
                map.put(key, b"old".to_vec()).unwrap();
                map.put(key, key.as_bytes().to_vec()).unwrap();
            }
            map.finish().unwrap();
        }
        (rows, tree)
    };
    let (rows, mut tree) = build(&keys);
    let root = tree.root();
    keys.reverse();
    assert_eq!(build(&keys).1.root(), root);
    let mut map = Map::new(&mut tree, &rows);
    for key in keys.iter().skip(1) {
        map.remove(key).unwrap();
        map.remove(key).unwrap();
    }
    map.finish().unwrap();
    assert_eq!(tree.root(), build(&keys[..1]).1.root());
    assert_eq!(rows.all().len(), 1);
}

#[test]
fn a_run_begins_with_its_grant_and_ends_with_its_outcome() {
    let of = |run: &str, fields: Value| {
        let mut all = json!({"act": Action::StartRun.verb(), "lin": {"run": run}});
        all.as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        all
    };
    let begun = |run| of(run, json!({"ph": "grant", "out": null}));
    let denied = of("c", json!({"ph": "grant", "out": "denied"}));
    let planned = of("b", json!({"facts": {"planned": "true"}}));
    let other = of("d", json!({"prj": "q", "ph": "grant", "out": null}));
    let entries = [
        begun("a"),
        begun("b"),
        denied,
        planned,
        other,
        of("a", json!({"out": "unknown"})),
    ];
    let view = View::of(&entries);
    let run = |id: &str| view.ask(|map| rows::run(map, id)).unwrap();
    let facts = |project: &str, entry, ended| {
        let project = project.parse().unwrap();
        Some(RunFacts {
            project,
            entry,
            ended,
        })
    };
    assert_eq!(run("a"), facts("p", 0, Some(5)));
    assert_eq!(run("d"), facts("q", 4, None));
    assert_eq!((run("b"), run("c")), (None, None));
    let listed = |project: Option<&str>, before: Option<&str>| {
        let project = project.map(|name| name.parse().unwrap());
        let listed = view
            .ask(|map| rows::runs(map, project.as_ref(), before, 9))
            .unwrap();
        listed.into_iter().map(|(id, _)| id).collect::<Vec<_>>()
    };
    assert_eq!(listed(None, None), ["d", "a"]);
    assert_eq!(listed(None, Some("d")), ["a"]);
    assert_eq!(listed(Some("p"), None), ["a"]);
    assert_eq!(listed(Some("q"), None), ["d"]);
}
