//! Roles that end, and questions about policies, through a door on doubles of everything behind it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use std::collections::BTreeSet;
use std::io;

use custody_guard::testing::World;
use custody_guard::{
    Door, Export, List, NewVersion, ReadLedger, ResourceRef, Session, VersionBuilder, Write,
};
use custody_types::{Action, ArtifactName, Classification, Code, Kind, Problem, code};
use custody_wire::{
    Change, ExplainQuestion, ExplainReply, ExplainRequest, PolicySource, ReplayReply,
    ReplayRequest, Right, RoleBinding,
};

fn add(who: &str) -> Change {
    Change::Add {
        who: who.parse().unwrap(),
    }
}

fn grant(who: &str, role: &str, seconds: Option<u32>) -> Change {
    Change::Grant {
        who: who.parse().unwrap(),
        right: Right::Role(RoleBinding::everywhere(role)),
        seconds,
    }
}

fn source(name: &str, text: &str) -> PolicySource {
    PolicySource {
        name: name.to_owned(),
        text: text.to_owned(),
    }
}

fn own(text: &str) -> Vec<PolicySource> {
    vec![source("own.cedar", text)]
}

/// Starts a version; it is there once it is committed.
fn making(
    door: &Door,
    session: &Session,
    class: Classification,
    size: usize,
) -> Result<VersionBuilder, Problem> {
    let artifact: ArtifactName = "demo/a".parse().unwrap();
    let kind = Kind::Dataset;
    let target = ResourceRef::New {
        artifact: artifact.clone(),
        kind,
        classification: class,
    };
    let grant = door.ask::<Write>(session, target)?;
    let mut making = VersionBuilder::start(&grant)?;
    // Not the same again and again, so that it is as large when it is stored.
    let bytes: Vec<u8> = (0..size)
        .map(|at| (at.wrapping_mul(at) >> 7).to_le_bytes()[0])
        .collect();
    making.file("file".parse().unwrap(), false, &mut bytes.as_slice())?;
    making.finish(grant, NewVersion::new(artifact, kind, class))?;
    Ok(making)
}

fn list(door: &Door, session: &Session) -> Result<(), Problem> {
    let target = ResourceRef::Named("demo/a@1".parse().unwrap());
    door.ask::<List>(session, target)?.finish()
}

fn take_out(door: &Door, session: &Session, out: &mut dyn io::Write) -> Result<(), String> {
    let target = ResourceRef::Named("demo/a@1".parse().unwrap());
    let grant = door.ask::<Export>(session, target);
    let grant = grant.map_err(|problem| problem.to_string())?;
    grant.write_tar(out).map_err(|error| error.to_string())
}

/// Lets time go by once the first bytes came.
struct Slow<'a> {
    world: &'a World,
    seconds: i64,
    bytes: usize,
}

impl io::Write for Slow<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.world.clock.advance(std::mem::take(&mut self.seconds));
        self.bytes += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_role_is_there_until_it_ends_and_never_after() {
    const SIZE: usize = 20 << 20;
    let world = World::default();
    let door = world.open();
    let (owner, ada) = (world.person("owner"), world.person("ada"));
    let versions = making(&door, &owner, Classification::Internal, SIZE).unwrap();
    versions.commit(None).unwrap();
    let changes = |changes: Vec<Change>| door.change_accounts(&owner, changes);
    changes(vec![add("ada"), grant("ada", "data_scientist", Some(600))]).unwrap();
    // The same again is no change; a shorter one is told.
    let again = changes(vec![grant("ada", "data_scientist", Some(60))]).unwrap_err();
    assert_eq!(again.code, code::IDENTITY_002);
    assert!(
        again
            .hint
            .unwrap()
            .contains("account revoke ada --role data_scientist")
    );

    list(&door, &ada).unwrap();
    let mut fast = Slow {
        world: &world,
        seconds: 0,
        bytes: 0,
    };
    take_out(&door, &ada, &mut fast).unwrap();
    assert!(fast.bytes > SIZE);
    // What is being sent or taken out when it ends comes to nothing.
    let unfinished = making(&door, &ada, Classification::Internal, 10).unwrap();
    let mut slow = Slow {
        world: &world,
        seconds: 601,
        bytes: 0,
    };
    let cut = take_out(&door, &ada, &mut slow).unwrap_err();
    assert!(cut.contains("may not take out"), "{cut}");
    assert!(slow.bytes < SIZE, "{} of {SIZE} bytes came", slow.bytes);
    let late = unfinished.commit(None).unwrap_err();
    assert_eq!(late.code, code::DOOR_001);
    let told = list(&door, &ada).unwrap_err();
    assert_eq!(
        told.code,
        code::DOOR_002,
        "who may not list is told that there is nothing"
    );
    let told = door
        .ask::<ReadLedger>(&ada, ResourceRef::Ledger)
        .unwrap_err();
    assert!(
        told.hint
            .as_ref()
            .unwrap()
            .contains("you had the role `data_scientist until"),
        "{told:?}"
    );
    assert!(
        door.ask::<List>(&owner, ResourceRef::Named("demo/a@2".parse().unwrap()))
            .is_err()
    );

    // A clock that goes back gives nothing back, in this process or in the next.
    world.clock.advance(-100_000);
    assert!(list(&door, &ada).is_err());
    drop(door);
    let door = world.open();
    assert!(list(&door, &ada).is_err());
    // It is seen as ended until it is given anew or taken away.
    let reply = door.change_accounts(&owner, Vec::new()).unwrap();
    let held = reply.directory.users["ada"].roles.iter().next().unwrap();
    assert!(held.has_ended(reply.now.unwrap()));
    door.change_accounts(&owner, vec![grant("ada", "data_scientist", None)])
        .unwrap();
    list(&door, &ada).unwrap();
    let taken = Change::Revoke {
        who: "ada".parse().unwrap(),
        right: Right::Role(RoleBinding::everywhere("data_scientist")),
    };
    door.change_accounts(&owner, vec![taken]).unwrap();
    assert!(list(&door, &ada).is_err());
}

#[test]
fn an_owner_for_a_time_is_none_afterwards() {
    let world = World::default();
    let door = world.open();
    let (owner, ada) = (world.person("owner"), world.person("ada"));
    let changes = vec![add("ada"), add("dan"), grant("ada", "owner", Some(60))];
    door.change_accounts(&owner, changes).unwrap();
    door.act_as(&ada, "dan").unwrap();
    door.change_accounts(&ada, vec![grant("dan", "reader", None)])
        .unwrap();
    world.clock.advance(61);
    let told = door.act_as(&ada, "dan").unwrap_err();
    assert_eq!(told.code, code::DOOR_003);
    assert!(
        door.change_accounts(&ada, vec![grant("dan", "auditor", None)])
            .is_err()
    );
}

const TESTS: &str = r#"{"tests": [{"name": "scientists take out what is public", "principal": {"roles": ["data_scientist"]},
    "action": "export", "resource": {"classification": "public"}, "expect": "permit", "by": "data-scientist-export"}]}"#;
const NO_EXPORT: &str = r#"@id("no-export") @because("nothing leaves") forbid (principal, action == Action::"export", resource) unless { principal in Role::"owner" };"#;

#[test]
fn policies_whose_tests_fail_are_not_put_in_force() {
    let world = World::default();
    let door = world.open();
    let owner = world.person("owner");
    let tests = source("tests.json", TESTS);
    door.change_policies(&owner, vec![tests.clone()]).unwrap();
    let in_force = door.policy_digest();
    let broken = || vec![tests.clone(), own(NO_EXPORT).remove(0)];
    let refused = door.change_policies(&owner, broken()).unwrap_err();
    assert_eq!(refused.code, code::POLICY_009);
    assert!(
        refused.because[0].contains("decided by `no-export`"),
        "{refused:?}"
    );
    assert_eq!(door.policy_digest(), in_force);

    // Nothing is changed by asking.
    let checked = door.validate_policies(&owner, broken()).unwrap();
    assert!(!checked.valid && checked.with_accounts);
    let [found] = &checked.findings[..] else {
        panic!("{checked:?}")
    };
    assert_eq!(
        (found.file.as_deref(), found.line),
        (Some("tests.json"), Some(1))
    );
    let tested = door.test_policies(&owner, broken()).unwrap();
    assert_eq!(
        (tested.ok, tested.checked, tested.failed.len()),
        (false, 1, 1)
    );
    let tested = door.test_policies(&owner, Vec::new()).unwrap();
    assert!(tested.ok && tested.checked > 100, "{tested:?}");
    let none = door.test_policies(&owner, own(NO_EXPORT)).unwrap_err();
    assert_eq!(none.code, code::POLICY_008);
    let compared = door.compare_policies(&owner, broken()).unwrap();
    let changed: Vec<_> = compared
        .policies
        .iter()
        .map(|one| (one.id.as_str(), one.change.as_str()))
        .collect();
    assert_eq!(changed, [("no-export", "added")]);
    let effects: Vec<_> = compared
        .effects
        .iter()
        .map(|one| (one.role.as_str(), one.action, one.permit))
        .collect();
    assert_eq!(effects, [("data_scientist", Action::Export, false)]);
    assert_eq!(compared.effects[0].cases, ["public", "own", "gated"]);
    assert_eq!(door.policy_digest(), in_force);

    // Nor by a second person.
    let change = |changes: Vec<Change>| door.change_accounts(&owner, changes).unwrap();
    change(vec![add("olga"), grant("olga", "security_officer", None)]);
    let two = source("settings.json", r#"{"second_person": true}"#);
    door.change_policies(&owner, vec![two.clone(), tests.clone()])
        .unwrap();
    let proposed = door.change_policies(&owner, [broken(), vec![two]].concat());
    assert_eq!(proposed.unwrap_err().code, code::POLICY_009);
    // Whoever may not see the policies is told nothing of them.
    change(vec![add("dan")]);
    assert!(
        door.validate_policies(&world.person("dan"), broken())
            .is_err()
    );
    assert!(
        door.compare_policies(&world.person("dan"), broken())
            .is_err()
    );
}

fn question(actor: Option<&str>, action: Action, resource: Option<&str>) -> ExplainRequest {
    ExplainRequest::Question(ExplainQuestion {
        actor: actor.map(|actor| actor.parse().unwrap()),
        action,
        resource: resource.map(ToOwned::to_owned),
        kind: None,
        classification: None,
        purpose: None,
        alias: None,
    })
}

/// Returns the place of the newest entry of a decision on an action.
fn last(door: &Door, action: Action) -> u64 {
    let entries = World::entries(door);
    let place = entries
        .iter()
        .rposition(|entry| entry.action() == Some(action) && entry.decision.is_some());
    u64::try_from(place.unwrap()).unwrap()
}

/// Lets Ada take out a version, by a group's role that lasts ten minutes. Returns the entry of the decision. Grace is an auditor, Rex a
/// reader.
fn taken_out(world: &World, door: &Door) -> u64 {
    let owner = world.person("owner");
    let made = making(door, &owner, Classification::Internal, 10).unwrap();
    made.commit(None).unwrap();
    let join = Change::Grant {
        who: "ada".parse().unwrap(),
        right: Right::Group("lab".to_owned()),
        seconds: None,
    };
    let changes = vec![
        add("ada"),
        add("grace"),
        add("rex"),
        add("group:lab"),
        grant("rex", "reader", None),
        grant("group:lab", "data_scientist", Some(600)),
        grant("grace", "auditor", None),
        join,
    ];
    door.change_accounts(&owner, changes).unwrap();
    take_out(door, &world.person("ada"), &mut io::sink()).unwrap();
    last(door, Action::Export)
}

#[test]
fn why_something_was_decided_is_told_by_the_policies_and_accounts_of_the_time() {
    let world = World::default();
    let door = world.open();
    let (owner, grace) = (world.person("owner"), world.person("grace"));
    let change = |changes: Vec<Change>| door.change_accounts(&owner, changes).unwrap();
    let entry = taken_out(&world, &door);
    let told = door.explain(&owner, &ExplainRequest::Entry(entry)).unwrap();
    let (then, now) = (told.then.unwrap(), told.now.unwrap());
    assert!(then.permit && now.permit && !told.differs);
    assert_eq!(then.policies[0].id, "data-scientist-export");
    assert_eq!(
        then.policies[0].facts["resource.classification"],
        "internal"
    );
    assert_eq!(then.roles[0].group.as_deref(), Some("lab"));
    assert_eq!(told.recorded.unwrap().policies, ["data-scientist-export"]);

    // Other policies, other accounts, and the role has ended.
    door.change_policies(&owner, own(NO_EXPORT)).unwrap();
    change(vec![Change::Remove {
        who: "group:lab".parse().unwrap(),
    }]);
    world.clock.advance(601);
    let asked = ExplainRequest::Entry(entry);
    let told = door.explain(&grace, &asked).unwrap();
    let then = told.then.unwrap();
    assert!(then.permit && then.roles[0].counts && told.differs);
    assert_eq!(told.withheld, [""; 0]);
    let now = told.now.unwrap();
    assert!(!now.permit && now.roles.is_empty());
    assert_eq!(
        (
            now.policies[0].id.as_str(),
            now.policies[0].because.as_deref()
        ),
        ("no-export", Some("nothing leaves"))
    );
}

#[test]
fn what_would_be_decided_is_told_to_who_may_know_it() {
    let world = World::default();
    let door = world.open();
    let owner = world.person("owner");
    let (grace, rex) = (world.person("grace"), world.person("rex"));
    let asked = ExplainRequest::Entry(taken_out(&world, &door));
    // What would be decided, of oneself and of others.
    let mine = door
        .explain(&grace, &question(None, Action::Read, Some("demo/a@1")))
        .unwrap();
    assert!(!mine.now.as_ref().unwrap().permit && mine.now.unwrap().policies.is_empty());
    let theirs = door
        .explain(&grace, &question(Some("ada"), Action::ReadLedger, None))
        .unwrap();
    assert!(!theirs.now.unwrap().permit);
    let codes = |session: &Session, request: &ExplainRequest| -> Code {
        door.explain(session, request).unwrap_err().code
    };
    // Readers see no policies; who sees policies alone asks about themselves.
    assert_eq!(codes(&rex, &asked), code::DOOR_001);
    let policies_alone = r#"@id("p") permit (principal == User::"rex", action == Action::"readPolicy", resource);
        @id("hidden") forbid (principal == User::"grace", action == Action::"list", resource in Project::"demo");"#;
    door.change_policies(&owner, own(policies_alone)).unwrap();
    assert_eq!(codes(&rex, &asked), code::DOOR_001);
    assert_eq!(
        codes(&rex, &question(Some("ada"), Action::List, None)),
        code::DOOR_001
    );
    assert_eq!(
        codes(&rex, &question(Some("nobody-there"), Action::List, None)),
        code::DOOR_001
    );
    door.explain(&rex, &question(None, Action::Read, Some("demo/a@1")))
        .unwrap();
    // Who may not list a thing is told nothing of it, whoever the question is about.
    for name in ["demo/a@1", "demo/a@7"] {
        assert_eq!(
            codes(&grace, &question(Some("owner"), Action::Read, Some(name))),
            code::DOOR_002
        );
    }
    let hidden: ExplainReply = door.explain(&grace, &asked).unwrap();
    assert!(hidden.withheld[0].contains("not told"), "{hidden:?}");
    let facts = &hidden.then.unwrap().policies[0].facts;
    assert!(facts["resource.classification"].starts_with("not told"));
    assert!(!serde_json::to_string(facts).unwrap().contains("internal"));
    // What is no decision, or is not there; what is never asked on that.
    assert_eq!(
        codes(&owner, &ExplainRequest::Entry(1_000_000)),
        code::POLICY_010
    );
    let outcome = World::entries(&door)
        .iter()
        .position(|entry| entry.decision.is_none());
    let outcome = u64::try_from(outcome.unwrap()).unwrap();
    assert_eq!(
        codes(&owner, &ExplainRequest::Entry(outcome)),
        code::POLICY_010
    );
    assert_eq!(
        codes(&owner, &question(None, Action::Read, None)),
        code::POLICY_011
    );
    assert_eq!(
        codes(&owner, &question(None, Action::Read, Some("demo"))),
        code::POLICY_011
    );
}

fn replay(door: &Door, session: &Session, sources: Vec<PolicySource>) -> Vec<ReplayReply> {
    let mut request = ReplayRequest {
        sources,
        seconds: None,
        limit: Some(2),
        after: None,
    };
    let mut pages = Vec::new();
    loop {
        let page = door.replay(session, request.clone()).unwrap();
        request.after.clone_from(&page.next);
        pages.push(page);
        if request.after.is_none() {
            return pages;
        }
    }
}

#[test]
fn decisions_are_made_again_under_other_policies_for_the_accounts_of_the_time() {
    let world = World::default();
    let door = world.open();
    let (owner, ada) = (world.person("owner"), world.person("ada"));
    let change = |changes: Vec<Change>| door.change_accounts(&owner, changes).unwrap();
    change(vec![add("ada"), grant("ada", "data_scientist", Some(600))]);
    making(&door, &ada, Classification::Internal, 10)
        .unwrap()
        .commit(None)
        .unwrap();
    for _ in 0..3 {
        take_out(&door, &ada, &mut io::sink()).unwrap();
        take_out(&door, &owner, &mut io::sink()).unwrap();
    }
    world.clock.advance(601);
    take_out(&door, &ada, &mut io::sink()).unwrap_err();
    let decisions = World::entries(&door)
        .iter()
        .filter(|entry| entry.decision.is_some())
        .count();
    // Under what is in force everything comes out as it did, though the role has ended since.
    let alike = replay(&door, &owner, vec![source("settings.json", "{}")]);
    let sum =
        |pages: &[ReplayReply], of: fn(&ReplayReply) -> u64| pages.iter().map(of).sum::<u64>();
    let total = u64::try_from(decisions).unwrap();
    assert_eq!(sum(&alike, |page| page.decisions), total);
    assert_eq!(
        (
            sum(&alike, |page| page.same),
            sum(&alike, |page| page.otherwise)
        ),
        (total, 0)
    );
    assert!(
        alike
            .iter()
            .all(|page| page.unknown.is_empty() && page.accounts == "then")
    );

    let pages = replay(&door, &owner, own(NO_EXPORT));
    assert!(
        pages.len() >= 2 && pages.iter().all(|page| page.changed.len() <= 2),
        "{pages:?}"
    );
    let changed: Vec<_> = pages.iter().flat_map(|page| &page.changed).collect();
    assert_eq!(changed.len(), 3);
    for one in &changed {
        assert_eq!(
            (one.actor.as_str(), one.action, one.resource.as_str()),
            ("ada", Action::Export, "demo/a@1")
        );
        assert!(one.before && !one.after);
        assert_eq!(
            (one.policies.as_slice(), one.because.as_slice()),
            (
                &["no-export".to_owned()][..],
                &["nothing leaves".to_owned()][..]
            )
        );
        let entry = &World::entries(&door)[usize::try_from(one.entry).unwrap()];
        assert_eq!(entry.action(), Some(Action::Export));
    }
    // For other accounts, where they are part of it.
    let listed = source(
        "principals.json",
        r#"{"users": {"ada": {"roles": ["auditor"]}}}"#,
    );
    let pages = replay(&door, &owner, vec![listed]);
    assert!(pages.iter().all(|page| page.accounts == "candidate"));
    let actions: BTreeSet<_> = pages
        .iter()
        .flat_map(|page| &page.changed)
        .map(|one| (one.actor.as_str(), one.action.name(), one.after))
        .collect();
    assert!(
        actions.contains(&("ada", "export", false)) && actions.contains(&("ada", "write", false)),
        "{actions:?}"
    );
    // Since a moment ago there is nothing; a cursor of another list is refused.
    world.clock.advance(3600);
    let mut request = ReplayRequest {
        sources: own(NO_EXPORT),
        seconds: Some(60),
        limit: None,
        after: None,
    };
    let none = door.replay(&owner, request.clone()).unwrap();
    assert_eq!((none.decisions, none.next), (0, None));
    request.after = Some("00".to_owned());
    assert_eq!(
        door.replay(&owner, request.clone()).unwrap_err().code,
        code::DOOR_017
    );
    // It needs policies and ledger.
    change(vec![grant("ada", "data_scientist", None)]);
    request.after = None;
    assert_eq!(door.replay(&ada, request).unwrap_err().code, code::DOOR_001);
}

#[test]
fn what_cannot_be_known_is_counted_and_not_guessed() {
    let world = World::default();
    let door = world.open();
    let owner = world.person("owner");
    making(&door, &owner, Classification::Personal, 10)
        .unwrap()
        .commit(None)
        .unwrap();
    let stated = Session::new(
        owner.authentication().clone(),
        Some("care".parse().unwrap()),
        "test",
    );
    // Refused before it was looked up what it is: under other settings it might have been permitted, or not.
    let read = |session: &Session| {
        let target = ResourceRef::Named("demo/a@1".parse().unwrap());
        door.ask::<custody_guard::Read>(session, target).map(drop)
    };
    assert!(read(&stated).is_err() && read(&owner).is_err());
    let declared = || {
        vec![source(
            "settings.json",
            r#"{"purposes": {"care": "to care"}}"#,
        )]
    };
    let pages = replay(&door, &owner, declared());
    let unknown: Vec<_> = pages.iter().flat_map(|page| page.unknown.clone()).collect();
    assert_eq!(
        unknown,
        [(
            "it was refused before it was looked up what it was asked on".to_owned(),
            1
        )]
    );
    // Where the purpose stays undeclared, it would be refused as it was.
    let pages = replay(&door, &owner, own(NO_EXPORT));
    assert!(
        pages
            .iter()
            .all(|page| page.unknown.is_empty() && page.otherwise == 0),
        "{pages:?}"
    );
    // The keys of the project go, and with them what its versions were.
    let shred = door
        .ask::<custody_guard::Shred>(&owner, ResourceRef::Project("demo".parse().unwrap()))
        .unwrap();
    let shredded = shred.shred("a test");
    shredded.unwrap();
    let pages = replay(&door, &owner, own(NO_EXPORT));
    let unknown: Vec<_> = pages
        .iter()
        .flat_map(|page| page.unknown.keys().cloned())
        .collect();
    assert_eq!(
        unknown,
        ["the record of the version cannot be had any more"]
    );
    let entry = last(&door, Action::Read);
    let told = door.explain(&owner, &ExplainRequest::Entry(entry)).unwrap();
    assert!(told.then.is_none() && told.now.is_none() && told.withheld.len() == 1);
}

#[test]
fn a_decision_on_whatever_it_was_is_made_again_and_explained() {
    let world = World::default();
    let door = world.open();
    let owner = world.person("owner");
    let asked: [(Action, ResourceRef); 7] = [
        (Action::ReadKeys, ResourceRef::Keys),
        (Action::ReadMetrics, ResourceRef::Server),
        (Action::ReadIdentity, ResourceRef::Identity),
        (Action::ReadPolicy, ResourceRef::Policy),
        (Action::ReadLedger, ResourceRef::Ledger),
        (Action::List, ResourceRef::Workspace),
        (Action::List, ResourceRef::Project("demo".parse().unwrap())),
    ];
    for (action, target) in asked {
        let done = match action {
            Action::ReadKeys => door
                .ask::<custody_guard::ReadKeys>(&owner, target)
                .map(drop),
            Action::ReadMetrics => door
                .ask::<custody_guard::ReadMetrics>(&owner, target)
                .map(drop),
            Action::ReadIdentity => door
                .ask::<custody_guard::ReadIdentity>(&owner, target)
                .map(drop),
            Action::ReadPolicy => door
                .ask::<custody_guard::ReadPolicy>(&owner, target)
                .map(drop),
            Action::ReadLedger => door.ask::<ReadLedger>(&owner, target).map(drop),
            _ => door.ask::<List>(&owner, target).map(drop),
        };
        done.unwrap();
        let told = door.explain(&owner, &question(None, action, None)).unwrap();
        assert!(told.now.unwrap().permit, "{action}");
        let entry = ExplainRequest::Entry(last(&door, action));
        let told = door.explain(&owner, &entry).unwrap();
        assert!(
            told.then.unwrap().permit && told.withheld.is_empty(),
            "{action}"
        );
    }
    let text = r#"@id("no-keys") forbid (principal, action == Action::"readKeys", resource);"#;
    let pages = replay(&door, &owner, own(text));
    assert!(
        pages.iter().all(|page| page.unknown.is_empty()),
        "{pages:?}"
    );
    let changed: Vec<_> = pages.iter().flat_map(|page| &page.changed).collect();
    assert!(
        matches!(changed[..], [one] if one.action == Action::ReadKeys),
        "{changed:?}"
    );
}

#[test]
fn an_alias_is_moved_by_a_grant_for_it_alone() {
    let world = World::default();
    let door = world.open();
    let (owner, ops, ina) = (
        world.person("owner"),
        world.person("ops"),
        world.person("ina"),
    );
    making(&door, &owner, Classification::Public, 10)
        .unwrap()
        .commit(None)
        .unwrap();
    let changes = vec![
        add("ops"),
        grant("ops", "operator", None),
        add("ina"),
        grant("ina", "data_engineer", None),
    ];
    door.change_accounts(&owner, changes).unwrap();
    let ask = |session: &Session, alias: &str| {
        let target = ResourceRef::Named("demo/a@1".parse().unwrap());
        door.ask_alias(session, target, &alias.parse().unwrap())
    };
    let newest = "newest".parse().unwrap();
    ask(&ina, "newest").unwrap().set(&newest, None).unwrap();
    assert_eq!(ask(&ina, "production").unwrap_err().code, code::DOOR_001);
    assert_eq!(ask(&ops, "newest").unwrap_err().code, code::DOOR_001);
    // A grant for a gated alias moves no other, and that one only onto what passed its gate.
    let other = ask(&ops, "production").unwrap().set(&newest, None);
    assert_eq!(other.unwrap_err().code, code::DOOR_010);
    let production = "production".parse().unwrap();
    let gated = ask(&ops, "production").unwrap().set(&production, None);
    assert_eq!(gated.unwrap_err().code, code::DOOR_005);
    let told = door
        .explain(
            &owner,
            &ExplainRequest::Entry(last(&door, Action::SetAlias)),
        )
        .unwrap();
    let facts = &told.then.unwrap().policies[0].facts;
    assert_eq!(facts["context.gated"], "true");
}
