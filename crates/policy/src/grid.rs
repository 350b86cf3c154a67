//! Who may do what: every role, every action, and the facts upon which it turns most often.

use std::collections::{BTreeMap, BTreeSet};

use custody_identity::{Account, Authentication, Credentials, Directory, RoleBinding};
use custody_types::{
    Action, Actor, Alias, Classification, Digest, Kind, Purpose, Resource, ResourceKind, Timestamp,
};

use crate::decide::{Request, ResourceFacts, StepScope};
use crate::set::PolicySet;
use crate::settings::INVESTIGATION;

/// The row of who has no role.
pub const NO_ROLE: &str = "(no role)";
/// The account that owns the workspace of a grid; it is in no row.
const OWNER: &str = "owner of the grid";
/// The project in which everything is asked.
const PROJECT: &str = "project";
/// What is connected to.
const ENDPOINT: &str = "api.example.com:443";
/// The aliases that are asked to be moved: one that nothing guards unless the settings say so, and others that may be gated.
const OPEN_ALIAS: &str = "candidate";

/// What is asked upon, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Case {
    /// Something public, that somebody else made.
    Public,
    /// Something personal, for a purpose that who asks holds.
    PersonalForPurpose,
    /// Something personal, for no purpose.
    Personal,
    /// Something in quarantine.
    Quarantined,
    /// Something public that who asks made.
    Own,
    /// Something public, by a step of a run within its declaration.
    Step,
    /// An alias that is gated is to be moved onto something public.
    Gated,
}

impl Case {
    /// Every case, in the order of the columns.
    pub const ALL: [Self; 7] = [
        Self::Public,
        Self::PersonalForPurpose,
        Self::Personal,
        Self::Quarantined,
        Self::Own,
        Self::Step,
        Self::Gated,
    ];

    /// Returns the word that stands for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::PersonalForPurpose => "personal-for-purpose",
            Self::Personal => "personal",
            Self::Quarantined => "quarantined",
            Self::Own => "own",
            Self::Step => "step",
            Self::Gated => "gated",
        }
    }

    /// Returns a case whose request is the same, for policies see no more of a thing of this kind.
    fn plainest(self, kind: ResourceKind, action: Action) -> Self {
        match self {
            Self::Gated if action != Action::SetAlias => Self::Public,
            Self::Personal if kind == ResourceKind::Endpoint => Self::Personal,
            Self::Personal | Self::Quarantined | Self::Gated if kind != ResourceKind::Artifact => {
                Self::Public
            }
            case => case,
        }
    }
}

/// What one role may do by one action to one kind of thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GridRow {
    /// The role; [`NO_ROLE`]: none.
    pub role: String,
    /// The action.
    pub action: Action,
    /// What it is asked on.
    pub on: ResourceKind,
    /// Whether it is permitted, in the order of [`Case::ALL`].
    pub permits: [bool; Case::ALL.len()],
}

impl PolicySet {
    /// Decides what each of `roles` may, by every action, in every case, and what who has none may.
    pub fn grid(&self, roles: &BTreeSet<String>) -> Vec<GridRow> {
        let asked = Asked::of(self, roles);
        let names = roles.iter().map(String::as_str);
        let names: Vec<_> = std::iter::once(NO_ROLE).chain(names).collect();
        let mut rows = Vec::new();
        for role in names {
            for action in Action::ALL {
                for on in action.resources() {
                    rows.push(asked.row(role, *action, *on));
                }
            }
        }
        rows
    }
}

/// What is asked of one set.
struct Asked {
    set: PolicySet,
    purpose: Option<Purpose>,
    gated: Option<Alias>,
    open: Option<Alias>,
    authentication: Authentication,
    now: Timestamp,
}

impl Asked {
    fn of(set: &PolicySet, roles: &BTreeSet<String>) -> Self {
        let purposes = set.purposes().keys();
        let purpose = purposes
            .filter(|purpose| purpose.as_str() != INVESTIGATION)
            .max_by_key(|purpose| purpose.as_str() == "model-development")
            .cloned();
        let account = |role: &str| Account {
            roles: BTreeSet::from([RoleBinding::everywhere(role)]),
            purposes: purpose.iter().cloned().collect(),
            disabled: false,
            identities: BTreeSet::new(),
        };
        let mut directory = Directory::of_owner(&Actor::user(OWNER));
        let nobody = Account {
            roles: BTreeSet::new(),
            ..account(NO_ROLE)
        };
        let users: BTreeMap<_, _> = roles
            .iter()
            .map(|role| (role.clone(), account(role)))
            .chain([(NO_ROLE.to_owned(), nobody)])
            .collect();
        directory.users.extend(users);
        let project = PROJECT.parse().ok();
        let gated = project
            .as_ref()
            .map(|project| set.settings().gated_aliases(Some(project)));
        let gated = gated.into_iter().flatten().next();
        let now = Timestamp::UNIX_EPOCH.plus_seconds(1_800_000_000);
        let credentials = Credentials::OperatingSystem {
            account: OWNER.to_owned(),
        };
        Self {
            set: set.with_directory(directory),
            purpose,
            gated: gated.and_then(|alias| alias.parse().ok()),
            open: OPEN_ALIAS.parse().ok(),
            authentication: credentials.authenticate(now),
            now,
        }
    }

    fn row(&self, role: &str, action: Action, on: ResourceKind) -> GridRow {
        let mut known = BTreeMap::new();
        let permits = Case::ALL.map(|case| {
            let case = case.plainest(on, action);
            *known
                .entry(case)
                .or_insert_with(|| self.permits(role, action, on, case))
        });
        GridRow {
            role: role.to_owned(),
            action,
            on,
            permits,
        }
    }

    fn permits(&self, role: &str, action: Action, on: ResourceKind, case: Case) -> bool {
        let facts = facts(on, case);
        let actor = Actor::user(role);
        let step = Actor::step("run", "step");
        let scope = StepScope {
            inputs: facts.resource.digest.into_iter().collect(),
            outputs: BTreeSet::from([format!("{PROJECT}/it")]),
            endpoints: ENDPOINT.parse().into_iter().collect(),
        };
        let by_step = case == Case::Step;
        let alias = if case == Case::Gated {
            self.gated.as_ref()
        } else {
            self.open.as_ref()
        };
        let decision = self.set.decide(&Request {
            actor: if by_step { &step } else { &actor },
            on_behalf_of: by_step.then_some(&actor),
            action,
            resource: &facts,
            purpose: self
                .purpose
                .as_ref()
                .filter(|_| case == Case::PersonalForPurpose),
            scope: by_step.then_some(&scope),
            own: case == Case::Own,
            alias: alias.filter(|_| action == Action::SetAlias),
            via: "cli",
            authentication: &self.authentication,
            now: self.now,
        });
        decision.permit
    }
}

fn facts(on: ResourceKind, case: Case) -> ResourceFacts {
    let artifact = on == ResourceKind::Artifact;
    let classification = match case {
        Case::PersonalForPurpose | Case::Personal => Classification::Personal,
        _ => Classification::Public,
    };
    let project = matches!(
        on,
        ResourceKind::Artifact | ResourceKind::Project | ResourceKind::Run | ResourceKind::Endpoint
    );
    let sensitive = artifact || on == ResourceKind::Endpoint;
    let name = match on {
        ResourceKind::Artifact => "project/it@1",
        ResourceKind::Endpoint => ENDPOINT,
        _ => PROJECT,
    };
    let resource = Resource::new(on, name);
    ResourceFacts {
        resource: if artifact {
            resource.with_digest(Digest::of(b"it"))
        } else {
            resource
        },
        project: if project { PROJECT.parse().ok() } else { None },
        kind: artifact.then_some(Kind::Dataset),
        classification: sensitive.then_some(classification),
        quarantined: case == Case::Quarantined,
        purposes: Vec::new(),
    }
}

/// Writes a grid as a table that a person can read: for each role its actions, for each action its cases.
pub fn grid_text(rows: &[GridRow]) -> String {
    let cases = Case::ALL.map(|case| format!("{:<21}", case.as_str()));
    let heading = format!("{:<20}{:<10}{}", "action", "on", cases.concat());
    let mut lines = Vec::new();
    let mut role = "";
    for row in rows {
        if row.role != role {
            if !role.is_empty() {
                lines.push(String::new());
            }
            role = &row.role;
            lines.push(format!("## {role}"));
            lines.push(heading.trim_end().to_owned());
        }
        let cells = row.permits.map(|permits| {
            let cell = if permits { "permit" } else { "forbid" };
            format!("{cell:<21}")
        });
        let line = format!(
            "{:<20}{:<10}{}",
            row.action.name(),
            row.on.as_str(),
            cells.concat()
        );
        lines.push(line.trim_end().to_owned());
    }
    lines.push(String::new());
    lines.join("\n")
}
