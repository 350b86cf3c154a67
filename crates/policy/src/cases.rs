//! Tests of policies, written beside them: who asks for what, and what must come of it (`docs/formats/policy-tests.md`).

use std::collections::{BTreeMap, BTreeSet};

use custody_identity::{
    Account, Authentication, Directory, Group, LOCAL, Method, Party, REMOTE, RoleBinding,
};
use custody_types::{
    Action, Actor, Alias, Classification, Digest, Endpoint, Kind, ProjectName, Purpose, Resource,
    ResourceKind, Timestamp,
};
use serde::{Deserialize, Deserializer};

use crate::decide::{Decision, Request, ResourceFacts, StepScope};
use crate::set::{PolicySet, Source};

/// The file of the tests.
pub const TESTS: &str = "tests.json";
/// The tests of the built-in policy alone.
pub const BUILTIN_TESTS: &str = include_str!("builtin.tests.json");
/// The most tests that a set may have.
const MOST_TESTS: usize = 10_000;
/// The account that owns the workspace of a test; no test is about it.
const OWNER: &str = "owner of the tests";
/// What is connected to, where a test does not say.
const ENDPOINT: &str = "api.example.com:443";
/// Who asks in a test.
const WHO: &str = "who asks";

/// The file `tests.json`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tests {
    tests: Vec<Test>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Test {
    name: String,
    #[serde(default)]
    principal: Principal,
    action: OneOrMore<Action>,
    #[serde(default)]
    resource: Thing,
    #[serde(default)]
    context: Circumstances,
    expect: Expected,
    #[serde(default)]
    by: Option<OneOrMore<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "one of them, or a list of several")]
enum OneOrMore<T> {
    One(T),
    More(Vec<T>),
}

impl<T> OneOrMore<T> {
    fn as_slice(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::More(more) => more,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Expected {
    Permit,
    Deny,
}

/// Who asks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Principal {
    #[serde(rename = "type")]
    kind: PrincipalKind,
    id: Option<String>,
    roles: BTreeSet<RoleBinding>,
    groups: BTreeSet<String>,
    purposes: BTreeSet<Purpose>,
    disabled: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
enum PrincipalKind {
    #[default]
    User,
    Service,
}

/// What is acted upon.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Thing {
    #[serde(rename = "type", deserialize_with = "by_entity")]
    on: Option<ResourceKind>,
    project: Option<ProjectName>,
    kind: Kind,
    classification: Classification,
    purposes: Vec<Purpose>,
    quarantined: bool,
    endpoint: Option<Endpoint>,
}

impl Default for Thing {
    fn default() -> Self {
        Self {
            on: None,
            project: None,
            kind: Kind::Dataset,
            classification: Classification::Internal,
            purposes: Vec::new(),
            quarantined: false,
            endpoint: None,
        }
    }
}

/// Reads a kind of thing by the type of the entity that stands for it in policies.
fn by_entity<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<ResourceKind>, D::Error> {
    let name = String::deserialize(reader)?;
    let known = ResourceKind::ALL.map(ResourceKind::entity);
    let place = known.iter().position(|entity| *entity == name);
    let kind = place.and_then(|place| ResourceKind::ALL.get(place).copied());
    kind.map(Some)
        .ok_or_else(|| not_one_of("type of a thing", &name, &known))
}

/// Reads how somebody proved to be who they are by the word that policies have for it.
fn by_word<'de, D: Deserializer<'de>>(reader: D) -> Result<Method, D::Error> {
    let word = String::deserialize(reader)?;
    let known = Method::ALL.map(Method::as_str);
    Method::named(&word).ok_or_else(|| not_one_of("method", &word, &known))
}

fn not_one_of<E: serde::de::Error>(what: &str, text: &str, known: &[&str]) -> E {
    let known = known.join("`, `");
    E::custom(format!("`{text}` is no {what}: there are `{known}`"))
}

/// Under which circumstances.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Circumstances {
    purpose: Option<Purpose>,
    own: bool,
    step: bool,
    alias: Option<Alias>,
    via: Via,
    #[serde(deserialize_with = "by_word")]
    method: Method,
    network: Network,
    now: Timestamp,
    signed_in: Option<Timestamp>,
    expires: Option<Timestamp>,
}

impl Default for Circumstances {
    fn default() -> Self {
        Self {
            purpose: None,
            own: false,
            step: false,
            alias: None,
            via: Via::Cli,
            method: Method::OperatingSystem,
            network: Network::Local,
            // A day in the middle of a week, in the middle of the day.
            now: Timestamp::UNIX_EPOCH.plus_seconds(1_800_014_400),
            signed_in: None,
            expires: None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Via {
    Cli,
    Http,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Network {
    Local,
    Remote,
}

/// A test that came out otherwise than it must.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedTest {
    /// Its name.
    pub name: String,
    /// The action.
    pub action: Action,
    /// What was expected, and what came of it, in words.
    pub because: String,
}

/// How the tests of a set came out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TestReport {
    /// How many decisions were checked.
    pub checked: usize,
    /// Those that came out otherwise.
    pub failed: Vec<FailedTest>,
}

/// Reads `tests.json`.
pub(crate) fn read(text: &str) -> Result<Tests, String> {
    let read: Tests = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if read.tests.len() > MOST_TESTS {
        return Err(format!(
            "it has {} tests; at most {MOST_TESTS} are taken",
            read.tests.len()
        ));
    }
    let mut names = BTreeSet::new();
    for test in &read.tests {
        if !names.insert(&test.name) {
            return Err(format!("two tests have the name `{}`", test.name));
        }
        for action in test.action.as_slice() {
            test.on(*action)?;
        }
        if test.action.as_slice().is_empty() {
            return Err(format!("the test `{}` names no action", test.name));
        }
    }
    Ok(read)
}

impl Test {
    /// Returns what an action is asked on.
    fn on(&self, action: Action) -> Result<ResourceKind, String> {
        let on = action.resources();
        let first = on.iter().copied();
        match self.resource.on {
            // Of what several things may be asked on, an artifact is meant, or the first.
            None => Ok(first
                .clone()
                .find(|on| *on == ResourceKind::Artifact)
                .or(first.into_iter().next())
                .unwrap_or(ResourceKind::Artifact)),
            Some(given) if on.contains(&given) => Ok(given),
            Some(_) => Err(format!(
                "the test `{}` asks `{action}` on what it is never asked on",
                self.name
            )),
        }
    }
}

impl PolicySet {
    /// Checks what the tests beside the policies demand.
    pub fn test(&self) -> TestReport {
        let own = self.sources().iter().find(|source| source.name == TESTS);
        // It was read when the set was.
        own.and_then(|source| read(&source.text).ok())
            .map(|tests| self.run(&tests))
            .unwrap_or_default()
    }

    /// Checks what the tests of the built-in policy demand of it, whatever the workspace's own policies say.
    pub fn test_builtin() -> TestReport {
        let set = Self::builtin(Directory::of_owner(&Actor::user(OWNER)));
        let tests = read(BUILTIN_TESTS);
        match (set, tests) {
            (Ok(set), Ok(tests)) => set.run(&tests),
            // A test shows that neither comes about.
            _ => TestReport::default(),
        }
    }

    fn run(&self, tests: &Tests) -> TestReport {
        let mut report = TestReport::default();
        for test in &tests.tests {
            for action in test.action.as_slice() {
                report.checked += 1;
                if let Some(because) = self.fails(test, *action) {
                    report.failed.push(FailedTest {
                        name: test.name.clone(),
                        action: *action,
                        because,
                    });
                }
            }
        }
        report
    }

    /// Returns how a test comes out otherwise than it must, if it does.
    fn fails(&self, test: &Test, action: Action) -> Option<String> {
        let decision = match self.asked(test, action) {
            Ok(decision) => decision,
            Err(because) => return Some(because),
        };
        if !decision.errors.is_empty() {
            let errors = decision.errors.join("; ");
            return Some(format!("a policy could not be evaluated: {errors}"));
        }
        let by = decision.policies.join("`, `");
        let by = if by.is_empty() {
            "no policy permits it".to_owned()
        } else {
            format!("decided by `{by}`")
        };
        if decision.permit != (test.expect == Expected::Permit) {
            let is = if decision.permit {
                "permitted"
            } else {
                "denied"
            };
            return Some(format!("it is {is}: {by}"));
        }
        let named = test.by.as_ref().map_or(&[][..], OneOrMore::as_slice);
        let lacking = named.iter().find(|id| !decision.policies.contains(id));
        lacking.map(|id| format!("`{id}` does not decide it: {by}"))
    }

    fn asked(&self, test: &Test, action: Action) -> Result<Decision, String> {
        let (actor, directory) = test.principal.account();
        let set = self.with_directory(directory);
        let on = test.on(action)?;
        let facts = test.resource.facts(on);
        let context = &test.context;
        let authentication = Authentication {
            actor: actor.clone(),
            method: context.method,
            time: context.signed_in.unwrap_or(context.now),
            network: match context.network {
                Network::Local => LOCAL,
                Network::Remote => REMOTE,
            },
            expires: context.expires,
            token: None,
            session: None,
            asserted: None,
        };
        let step = Actor::step("run", "step");
        let scope = StepScope {
            inputs: facts.resource.digest.into_iter().collect(),
            endpoints: facts.resource.name.parse().into_iter().collect(),
            outputs: facts
                .resource
                .name
                .split('@')
                .next()
                .map(ToOwned::to_owned)
                .into_iter()
                .collect(),
        };
        Ok(set.decide(&Request {
            actor: if context.step { &step } else { &actor },
            on_behalf_of: context.step.then_some(&actor),
            action,
            resource: &facts,
            purpose: context.purpose.as_ref(),
            scope: context.step.then_some(&scope),
            own: context.own,
            alias: context.alias.as_ref(),
            via: match context.via {
                Via::Cli => "cli",
                Via::Http => "http",
            },
            authentication: &authentication,
            now: context.now,
        }))
    }
}

impl Principal {
    /// Returns who asks, and a directory in which they have what the test says.
    fn account(&self) -> (Actor, Directory) {
        let id = self.id.clone().unwrap_or_else(|| WHO.to_owned());
        let account = Account {
            roles: self.roles.clone(),
            purposes: self.purposes.clone(),
            disabled: self.disabled,
            identities: BTreeSet::new(),
        };
        let mut directory = Directory::of_owner(&Actor::user(OWNER));
        let (actor, party) = match self.kind {
            PrincipalKind::User => {
                directory.users.insert(id.clone(), account);
                (Actor::user(&id), Party::User(id))
            }
            PrincipalKind::Service => {
                directory.services.insert(id.clone(), account);
                (Actor::service(&id), Party::Service(id))
            }
        };
        let group = Group {
            members: BTreeSet::from([party]),
            ..Group::default()
        };
        let groups = self.groups.iter().map(|name| (name.clone(), group.clone()));
        directory.groups = groups.collect::<BTreeMap<_, _>>();
        (actor, directory)
    }
}

impl Thing {
    fn facts(&self, on: ResourceKind) -> ResourceFacts {
        let artifact = on == ResourceKind::Artifact;
        let of_project = matches!(
            on,
            ResourceKind::Artifact
                | ResourceKind::Run
                | ResourceKind::Project
                | ResourceKind::Endpoint
        );
        let sensitive = artifact || on == ResourceKind::Endpoint;
        let project = self.project.clone().or_else(|| "project".parse().ok());
        let project = project.filter(|_| of_project);
        let within = project.as_ref().map_or("", ProjectName::as_str);
        let resource = if artifact {
            let name = format!("{within}/artifact@1");
            Resource::new(on, name).with_digest(Digest::of(b"artifact"))
        } else if on == ResourceKind::Endpoint {
            let named = self.endpoint.as_ref().map(ToString::to_string);
            Resource::new(on, named.as_deref().unwrap_or(ENDPOINT))
        } else {
            Resource::new(
                on,
                if within.is_empty() {
                    on.as_str()
                } else {
                    within
                },
            )
        };
        ResourceFacts {
            resource,
            project,
            kind: artifact.then_some(self.kind),
            classification: sensitive.then_some(self.classification),
            quarantined: artifact && self.quarantined,
            purposes: self.purposes.clone(),
        }
    }
}

/// Checks that the tests beside policies can be read.
pub(crate) fn check_readable(source: &Source) -> Result<(), String> {
    read(&source.text).map(drop)
}
