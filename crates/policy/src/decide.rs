//! Deciding one request.

use std::collections::{BTreeSet, HashMap, HashSet};

use cedar_policy::{
    Authorizer, Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, PolicyId,
    RestrictedExpression,
};
use custody_identity::{Authentication, Method, RoleBinding};
use custody_types::{
    Action, Actor, ActorKind, Alias, Classification, Digest, Endpoint, Kind, ProjectName, Purpose,
    Resource, ResourceKind, Timestamp,
};

use crate::set::PolicySet;

/// What decides that a step reaches no further than its declaration.
pub const STEP_SCOPE: &str = "step-scope";
/// What decides that a token reaches no further than its limits.
pub const TOKEN_SCOPE: &str = "token-scope";
/// What decides that a code which was confirmed at an identity provider is not for what is for people alone.
pub const DEVICE_SCOPE: &str = "device-scope";
/// The name of the one organisation.
const ORGANISATION: &str = "organisation";

/// What the policy is told about the thing that is acted upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceFacts {
    /// The thing.
    pub resource: Resource,
    /// Its project.
    pub project: Option<ProjectName>,
    /// What it is.
    pub kind: Option<Kind>,
    /// How sensitive it is.
    pub classification: Option<Classification>,
    /// Whether it is in quarantine.
    pub quarantined: bool,
    /// The purposes that it admits; empty: any.
    pub purposes: Vec<Purpose>,
}

/// What a step may touch: its declared inputs and outputs, nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StepScope {
    /// The versions that it may read.
    pub inputs: BTreeSet<Digest>,
    /// The artifacts that it may make versions of: `project/name`.
    pub outputs: BTreeSet<String>,
    /// What it may connect to.
    pub endpoints: BTreeSet<Endpoint>,
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Who asks.
    pub actor: &'a Actor,
    /// The person for whom a step acts.
    pub on_behalf_of: Option<&'a Actor>,
    /// What is to be done.
    pub action: Action,
    /// To what.
    pub resource: &'a ResourceFacts,
    /// Why.
    pub purpose: Option<&'a Purpose>,
    /// What a step may touch.
    pub scope: Option<&'a StepScope>,
    /// Whether the person who asks made the thing.
    pub own: bool,
    /// The alias that is to be moved.
    pub alias: Option<&'a Alias>,
    /// The way in: `cli`, `http`.
    pub via: &'a str,
    /// How who asks proved to be who they are.
    pub authentication: &'a Authentication,
    /// When it is asked.
    pub now: Timestamp,
}

/// The answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decision {
    /// Yes or no.
    pub permit: bool,
    /// The policies that decided.
    pub policies: Vec<String>,
    /// What they say for themselves.
    pub reasons: Vec<String>,
    /// Which policies could not be evaluated, and why; any of these means no.
    pub errors: Vec<String>,
    /// The way out of a refusal.
    pub hint: Option<String>,
}

impl PolicySet {
    /// Decides one request.
    pub fn decide(&self, request: &Request<'_>) -> Decision {
        let person = match (request.actor.kind, request.on_behalf_of, request.scope) {
            (ActorKind::Step, Some(person), Some(scope)) => {
                if let Some(refused) = outside(request, scope) {
                    return refused;
                }
                person
            }
            (ActorKind::Step, _, _) => {
                return refuse(
                    STEP_SCOPE,
                    "a step acts only for a person and within its declaration",
                );
            }
            _ => request.actor,
        };
        if let Some(refused) = beyond_token(request).or_else(|| beyond_device(request)) {
            return refused;
        }
        let mut decision = self.decide_within_limits(person, request);
        if decision.permit && request.actor.kind == ActorKind::Step {
            decision.policies.push(STEP_SCOPE.to_owned());
        }
        decision
    }

    /// Decides again what was decided before: it lay within the declaration of the step and the limits of the token, which no
    /// policies change.
    pub fn decide_again(&self, request: &Request<'_>) -> Decision {
        self.decide_within_limits(request.on_behalf_of.unwrap_or(request.actor), request)
    }

    /// Decides what lies within the declaration of a step and the limits of a token. `person`: who asks, of a step the person
    /// for whom it acts.
    fn decide_within_limits(&self, person: &Actor, request: &Request<'_>) -> Decision {
        if let Some(refused) = request.purpose.and_then(|one| self.undeclared(one)) {
            return refused;
        }
        self.evaluate(person, request)
            .unwrap_or_else(|error| Decision {
                errors: vec![error],
                ..Decision::default()
            })
    }

    /// Returns whether an alias that somebody asks to move is gated.
    pub(crate) fn asks_gated(&self, request: &Request<'_>) -> bool {
        let project = request.resource.project.as_ref();
        let asked = project.zip(request.alias);
        asked.is_some_and(|(project, alias)| self.is_gated(project, alias))
    }

    /// Refuses a purpose that nobody declared, whoever states it for whatever.
    pub fn undeclared(&self, purpose: &Purpose) -> Option<Decision> {
        if self.purposes().contains_key(purpose) {
            return None;
        }
        let mut refused = refuse(
            "purpose-declared",
            &format!("the purpose `{purpose}` is not declared"),
        );
        refused.hint = Some(self.nearest_purpose(purpose).map_or_else(
            || "see the declared purposes with `custody policy show`; declare others in `settings.json` and `custody policy apply`".to_owned(),
            |name| format!("is `{name}` meant? see the declared purposes with `custody policy show`"),
        ));
        Some(refused)
    }

    fn evaluate(&self, person: &Actor, request: &Request<'_>) -> Result<Decision, String> {
        let Some(mut known) = self.directory.rights(person, request.now) else {
            return Ok(match self.directory.account(person) {
                Some(_) => refuse("account-enabled", "the account is disabled"),
                None => refuse("principal", "the workspace does not know this principal"),
            });
        };
        known.roles.extend(self.roles_of_session(person, request));
        if let Some(role) = self.unknown_role(&known) {
            return Ok(Decision {
                hint: Some("see the roles with `custody policy show`; take it away with `custody account revoke`".to_owned()),
                ..refuse("role-known", &format!("the principal has the role `{role}`, which no policy knows"))
            });
        }
        let entity = match person.kind {
            ActorKind::Service => "Service",
            ActorKind::User | ActorKind::Step => "User",
        };
        let principal = uid(entity, &person.id)?;
        let action = uid("Action", request.action.name())?;
        let resource = uid(
            request.resource.resource.kind.entity(),
            &request.resource.resource.name,
        )?;
        let roles = known.roles.iter().filter(|binding| holds(binding, request));
        let roles = roles.map(|binding| uid("Role", &binding.role));
        let groups = known.groups.iter().map(|name| uid("Group", name));
        let parents = roles.chain(groups).collect::<Result<HashSet<_>, _>>()?;
        let purposes = strings(known.purposes.iter().map(|purpose| purpose.as_str()));
        let user = Entity::new(
            principal.clone(),
            HashMap::from([("purposes".to_owned(), purposes)]),
            parents.clone(),
        )
        .map_err(text)?;
        let mut entities = vec![user];
        entities.extend(self.resource_entities(&resource, request.resource)?);
        entities.extend(parents.into_iter().map(Entity::with_uid));
        let entities = Entities::from_entities(entities, Some(&self.schema)).map_err(text)?;
        let mut context = vec![
            (
                "via".to_owned(),
                RestrictedExpression::new_string(request.via.to_owned()),
            ),
            (
                "own".to_owned(),
                RestrictedExpression::new_bool(request.own),
            ),
            (
                "step".to_owned(),
                RestrictedExpression::new_bool(request.actor.kind == ActorKind::Step),
            ),
            (
                "gated".to_owned(),
                RestrictedExpression::new_bool(self.asks_gated(request)),
            ),
            ("now".to_owned(), datetime(request.now)),
            ("session".to_owned(), session(request.authentication)?),
        ];
        if let Some(purpose) = request.purpose {
            context.push((
                "purpose".to_owned(),
                RestrictedExpression::new_string(purpose.as_str().to_owned()),
            ));
        }
        if let Some(alias) = request.alias {
            let alias = RestrictedExpression::new_string(alias.as_str().to_owned());
            context.push(("alias".to_owned(), alias));
        }
        let context = Context::from_pairs(context).map_err(text)?;
        let asked =
            cedar_policy::Request::new(principal, action, resource, context, Some(&self.schema))
                .map_err(text)?;
        let response = Authorizer::new().is_authorized(&asked, &self.policies, &entities);
        let mut policies: Vec<PolicyId> = response.diagnostics().reason().cloned().collect();
        policies.sort();
        let errors: Vec<_> = response
            .diagnostics()
            .errors()
            .map(ToString::to_string)
            .collect();
        let permit = response.decision() == cedar_policy::Decision::Allow && errors.is_empty();
        let hint = self.annotations(&policies, "hint").into_iter().next();
        let ended = || self.ended(person, request.now);
        Ok(Decision {
            permit,
            reasons: self.annotations(&policies, "because"),
            hint: hint.or_else(|| ended().filter(|_| !permit && policies.is_empty())),
            policies: policies.iter().map(ToString::to_string).collect(),
            errors,
        })
    }

    /// Lists the roles that somebody has by what an identity provider said when it let them in, as long as their session
    /// counts and the provider is declared. Who acts as another has none of them.
    pub(crate) fn roles_of_session<'a>(
        &'a self,
        person: &Actor,
        request: &Request<'a>,
    ) -> impl Iterator<Item = &'a RoleBinding> {
        let shown = request.authentication;
        let said = shown.asserted.as_deref();
        let said = said.filter(|said| shown.actor == *person && request.now < said.until);
        let provider = said.and_then(|said| Some((self.settings().provider_of(said)?, said)));
        provider
            .into_iter()
            .flat_map(|(provider, said)| provider.roles(&said.groups))
            .filter(|role| !role.has_ended(request.now))
    }

    /// The thing that is acted upon, and what it is in: a project, and all of them in one organisation.
    fn resource_entities(
        &self,
        uid: &EntityUid,
        facts: &ResourceFacts,
    ) -> Result<Vec<Entity>, String> {
        let string = |text: &str| RestrictedExpression::new_string(text.to_owned());
        let mut attributes = HashMap::new();
        let kind = facts.resource.kind;
        if kind == ResourceKind::Artifact {
            // What is not known counts as the most sensitive.
            let classification = facts.classification.unwrap_or(Classification::Special);
            attributes.insert(
                "project".to_owned(),
                string(facts.project.as_ref().map_or("", ProjectName::as_str)),
            );
            attributes.insert(
                "kind".to_owned(),
                string(facts.kind.map_or("", Kind::as_str)),
            );
            attributes.insert("classification".to_owned(), string(classification.as_str()));
            attributes.insert(
                "quarantined".to_owned(),
                RestrictedExpression::new_bool(facts.quarantined),
            );
            attributes.insert(
                "purposes".to_owned(),
                strings(facts.purposes.iter().map(Purpose::as_str)),
            );
        }
        if kind == ResourceKind::Endpoint {
            attributes = self.endpoint_attributes(facts)?;
        }
        let organisation = self::uid("Organisation", ORGANISATION)?;
        let mut entities = vec![Entity::with_uid(organisation.clone())];
        let is_of_project = matches!(
            kind,
            ResourceKind::Artifact | ResourceKind::Run | ResourceKind::Endpoint
        );
        let parent = match &facts.project {
            Some(project) if is_of_project => {
                let project = self::uid("Project", project.as_str())?;
                let above = HashSet::from([organisation]);
                entities.push(Entity::new(project.clone(), HashMap::new(), above).map_err(text)?);
                Some(project)
            }
            None if is_of_project => None,
            _ => Some(organisation),
        };
        let parents = parent.into_iter().collect();
        entities.push(Entity::new(uid.clone(), attributes, parents).map_err(text)?);
        Ok(entities)
    }

    /// What policies are told of an endpoint. One whose name cannot be read is none that is listed.
    fn endpoint_attributes(
        &self,
        facts: &ResourceFacts,
    ) -> Result<HashMap<String, RestrictedExpression>, String> {
        let endpoint: Endpoint = facts.resource.name.parse().map_err(text)?;
        let string = |text: &str| RestrictedExpression::new_string(text.to_owned());
        let classification = facts.classification.unwrap_or(Classification::Special);
        let listed = self.lists(facts, &endpoint);
        let attributes = [
            (
                "project",
                string(facts.project.as_ref().map_or("", ProjectName::as_str)),
            ),
            ("host", string(&endpoint.host().to_string())),
            (
                "port",
                RestrictedExpression::new_long(endpoint.port().into()),
            ),
            ("classification", string(classification.as_str())),
            (
                "private",
                RestrictedExpression::new_bool(endpoint.is_private()),
            ),
            ("listed", RestrictedExpression::new_bool(listed)),
        ];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value));
        Ok(attributes.into())
    }

    /// Whether the settings name an endpoint of a network that is not public.
    pub(crate) fn lists(&self, facts: &ResourceFacts, endpoint: &Endpoint) -> bool {
        let listed = self.settings().private_endpoints(facts.project.as_ref());
        listed.contains(endpoint)
    }

    /// Tells who may not do what no policy permits which of their roles has ended.
    fn ended(&self, person: &Actor, now: Timestamp) -> Option<String> {
        let rights = self.directory.rights_at_any_time(person)?;
        let ended = rights.roles.iter().find(|role| role.has_ended(now))?;
        Some(format!(
            "you had the role `{ended}`; ask for it again where you still need it"
        ))
    }

    fn annotations(&self, policies: &[PolicyId], name: &str) -> Vec<String> {
        policies
            .iter()
            .filter_map(|id| {
                self.policies
                    .policy(id)?
                    .annotation(name)
                    .map(ToOwned::to_owned)
            })
            .collect()
    }
}

fn refuse(policy: &str, reason: &str) -> Decision {
    Decision {
        policies: vec![policy.to_owned()],
        reasons: vec![reason.to_owned()],
        ..Decision::default()
    }
}

/// Refuses what a token is not for. A person who decides, and who gives others what they may, shows more than a token.
fn beyond_token(request: &Request<'_>) -> Option<Decision> {
    let token = &request.authentication.token.as_ref()?.record;
    let refused = |reason: &str, hint: &str| {
        Some(Decision {
            hint: Some(hint.to_owned()),
            ..refuse(TOKEN_SCOPE, reason)
        })
    };
    if FOR_PEOPLE.contains(&request.action) {
        return refused(
            "it is for a person, and a token may be anybody's",
            "sign in as a person: `custody login ADDRESS --user NAME`; or do it on the machine where the workspace is",
        );
    }
    let other = "see what the token is for with `custody token ls`; use another";
    if !token.actions.is_empty() && !token.actions.contains(&request.action) {
        return refused("the token is not for this action", other);
    }
    if !token.projects.is_empty() {
        let project = request.resource.project.as_ref();
        // Of the workspace as a whole what is in the projects may be listed.
        let listed = project.is_none() && request.action == Action::List;
        if !listed && project.is_none_or(|project| !token.projects.contains(project)) {
            return refused("the token is not for this project", other);
        }
    }
    if let (Some(only), Some(stated)) = (&token.purpose, request.purpose)
        && only != stated
    {
        return refused("the token is for another purpose", other);
    }
    None
}

/// Refuses what a session is not for that somebody else may have begun: whoever shows a person a code of theirs, and gets
/// them to confirm it, has the session.
fn beyond_device(request: &Request<'_>) -> Option<Decision> {
    let is_weak = request.authentication.method == Method::Device;
    (is_weak && FOR_PEOPLE.contains(&request.action)).then(|| Decision {
        hint: Some("sign in by the browser or by a password for it: `custody login ADDRESS --user NAME`; or do it on the machine where the workspace is".to_owned()),
        ..refuse(
            DEVICE_SCOPE,
            "it asks for more than a code that was confirmed at an identity provider",
        )
    })
}

/// What nobody does by a token, nor by a code that was confirmed at an identity provider.
const FOR_PEOPLE: [Action; 14] = [
    Action::Approve,
    Action::Reject,
    Action::Remove,
    Action::Shred,
    Action::AcceptRollback,
    Action::ChangePolicy,
    Action::ProposeChange,
    Action::ChangeIdentity,
    Action::ChangeRules,
    Action::CreateToken,
    Action::RevokeToken,
    Action::Invite,
    Action::RotateKeys,
    Action::Unseal,
];

/// Refuses what lies outside a step's declaration.
fn outside(request: &Request<'_>, scope: &StepScope) -> Option<Decision> {
    let resource = &request.resource.resource;
    let is_input = || {
        resource
            .digest
            .is_some_and(|digest| scope.inputs.contains(&digest))
    };
    let is_output = || {
        let artifact = resource.name.split('@').next().unwrap_or_default();
        scope.outputs.contains(artifact)
    };
    let is_endpoint = || {
        let endpoint = resource.name.parse();
        endpoint.is_ok_and(|endpoint| scope.endpoints.contains(&endpoint))
    };
    let outside = match request.action {
        action if !action.is_for_steps() => "a step may only read its inputs and make its outputs",
        Action::Read | Action::Validate | Action::EvaluateModel | Action::DecideGate
            if !is_input() =>
        {
            "the version is not a declared input of the step"
        }
        Action::Collect
        | Action::Write
        | Action::RegisterModel
        | Action::SignModel
        | Action::InstallEnvironment
            if !is_output() =>
        {
            "the artifact is not a declared output of the step"
        }
        Action::Connect if !is_endpoint() => "the endpoint is not declared by the step",
        _ => return None,
    };
    Some(refuse(STEP_SCOPE, outside))
}

/// Whether a role that somebody has counts for what is asked. Who has one in a project may list the workspace: of
/// what is there, they see what they may see.
pub(crate) fn holds(binding: &RoleBinding, request: &Request<'_>) -> bool {
    let facts = request.resource;
    let whole = facts.resource.kind == ResourceKind::Project && facts.project.is_none();
    binding.project.is_none()
        || binding.project == facts.project
        || whole && request.action == Action::List
}

/// How who asks proved to be who they are.
fn session(shown: &Authentication) -> Result<RestrictedExpression, String> {
    let string = |text: &str| RestrictedExpression::new_string(text.to_owned());
    let strength = i64::from(shown.strength());
    let expires = shown
        .expires
        .map(|time| ("expires".to_owned(), datetime(time)));
    let fields = [
        ("method".to_owned(), string(shown.method.as_str())),
        (
            "strength".to_owned(),
            RestrictedExpression::new_long(strength),
        ),
        ("time".to_owned(), datetime(shown.time)),
        ("network".to_owned(), string(shown.network)),
    ];
    RestrictedExpression::new_record(fields.into_iter().chain(expires)).map_err(text)
}

fn datetime(time: Timestamp) -> RestrictedExpression {
    RestrictedExpression::new_datetime(time.to_seconds_text())
}

fn strings<'a>(texts: impl Iterator<Item = &'a str>) -> RestrictedExpression {
    RestrictedExpression::new_set(
        texts.map(|text| RestrictedExpression::new_string(text.to_owned())),
    )
}

fn uid(kind: &str, id: &str) -> Result<EntityUid, String> {
    let kind: EntityTypeName = kind.parse().map_err(text)?;
    Ok(EntityUid::from_type_name_and_id(kind, EntityId::new(id)))
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use custody_identity::{Credentials, Directory};

    use super::*;
    use crate::set::{PolicyError, Source};

    fn owner() -> Actor {
        Actor::user("root")
    }

    fn directory(text: &str) -> Directory {
        Directory::parse(text, &owner()).unwrap()
    }

    fn nobody_else() -> Directory {
        Directory::of_owner(&owner())
    }

    fn now() -> Timestamp {
        Timestamp::from_unix_micros(1_763_890_200_000_001).unwrap()
    }

    fn shown() -> Authentication {
        let account = "somebody".to_owned();
        Credentials::OperatingSystem { account }.authenticate(now())
    }

    fn source(name: &str, text: &str) -> Source {
        Source {
            name: name.to_owned(),
            text: text.to_owned(),
        }
    }

    /// A session that an identity provider let in.
    fn let_in(account: &str, groups: &[&str], method: Method, two_factors: bool) -> Authentication {
        let asserted = custody_identity::Asserted {
            provider: "corp".to_owned(),
            identity: custody_identity::ProviderIdentity::new("https://a.example", "1").unwrap(),
            groups: groups.iter().map(|one| (*one).to_owned()).collect(),
            two_factors,
            until: Timestamp::from_unix_micros(now().unix_micros() + 1).unwrap(),
        };
        let session = "4nVqgfY0B5hQ3k8ZrYxT1c".parse().unwrap();
        Authentication::by_provider(account, session, method, asserted.into(), now())
    }

    #[test]
    fn groups_of_a_provider_give_what_is_declared_as_long_as_the_session() {
        let settings = r#"{"sign_in": {"corp": {"issuer": "https://a.example", "client_id": "c", "groups": {"claim": "groups",
            "roles": {"risk": ["auditor", {"role": "data_scientist", "project": "loans"}]}}}}}"#;
        let other = settings.replace("a.example", "b.example");
        let with = |settings: &str| {
            let strong = r#"@id("strong") forbid (principal, action == Action::"exportLedger", resource) when { context.session.strength < 2 };"#;
            let sources = [
                source("settings.json", settings),
                source("own.cedar", strong),
            ];
            PolicySet::parse(&sources, directory(r#"{"users": {"ada": {}, "bob": {}}}"#)).unwrap()
        };
        let decided = |set: &PolicySet,
                       shown: &Authentication,
                       who: &str,
                       action,
                       facts: &ResourceFacts,
                       later: i64| {
            set.decide(&Request {
                actor: &Actor::user(who),
                on_behalf_of: None,
                action,
                resource: facts,
                purpose: None,
                scope: None,
                own: false,
                alias: None,
                via: "http",
                authentication: shown,
                now: Timestamp::from_unix_micros(now().unix_micros() + later).unwrap(),
            })
            .permit
        };
        let (set, data) = (with(settings), data(Classification::Internal));
        let ledger = plain(ResourceKind::Ledger);
        let risk = let_in("ada", &["risk", "other"], Method::Provider, false);
        assert!(decided(&set, &risk, "ada", Action::ReadLedger, &ledger, 0));
        assert!(decided(&set, &risk, "ada", Action::Read, &data, 0));
        let elsewhere = ResourceFacts {
            project: Some("care".parse().unwrap()),
            ..data.clone()
        };
        assert!(!decided(&set, &risk, "ada", Action::Read, &elsewhere, 0));
        // Neither after it, nor for another account, nor without the group, nor by another provider of the name.
        assert!(!decided(&set, &risk, "ada", Action::ReadLedger, &ledger, 1));
        assert!(!decided(&set, &risk, "bob", Action::ReadLedger, &ledger, 0));
        let none = let_in("ada", &["Risk"], Method::Provider, false);
        assert!(!decided(&set, &none, "ada", Action::ReadLedger, &ledger, 0));
        for settings in [other.as_str(), "{}"] {
            assert!(!decided(
                &with(settings),
                &risk,
                "ada",
                Action::ReadLedger,
                &ledger,
                0
            ));
        }
        // What led to it is told with it.
        let told = |action, facts: &ResourceFacts| {
            let request = Request {
                actor: &Actor::user("ada"),
                on_behalf_of: None,
                action,
                resource: facts,
                purpose: None,
                scope: None,
                own: false,
                alias: None,
                via: "http",
                authentication: &risk,
                now: now(),
            };
            set.explain(&request, set.decide(&request))
        };
        let roles = told(Action::Read, &elsewhere).roles;
        let roles: Vec<_> = roles
            .iter()
            .map(|held| {
                (
                    held.role.role.as_str(),
                    held.provider.as_deref(),
                    held.counts,
                )
            })
            .collect();
        let corp = Some("corp");
        assert_eq!(
            roles,
            [("auditor", corp, true), ("data_scientist", corp, false)]
        );
        let policies = told(Action::ReadLedger, &ledger).policies;
        let mut facts = policies.iter().flat_map(|one| &one.facts);
        assert!(
            facts
                .any(|fact| fact.name == r#"principal in Role::"auditor""# && fact.value == "true")
        );
        // Policies see how strong it was.
        let strong = let_in("ada", &["risk"], Method::Provider, true);
        let device = let_in("ada", &["risk"], Method::Device, true);
        for (shown, is_strong) in [(&risk, false), (&strong, true), (&device, false)] {
            let exported = decided(&set, shown, "ada", Action::ExportLedger, &ledger, 0);
            assert_eq!(exported, is_strong, "{}", shown.method);
        }
    }

    #[test]
    fn what_is_for_people_is_not_for_a_code_that_was_confirmed() {
        let set = set(&[]);
        for action in FOR_PEOPLE {
            let facts = action.resources().first().map(|kind| plain(*kind)).unwrap();
            let by = |method| {
                let decision = set.decide(&Request {
                    actor: &owner(),
                    on_behalf_of: None,
                    action,
                    resource: &facts,
                    purpose: None,
                    scope: None,
                    own: false,
                    alias: None,
                    via: "http",
                    authentication: &let_in("root", &[], method, false),
                    now: now(),
                });
                (decision.permit, decision.policies.join(" "))
            };
            assert_eq!(by(Method::Device), (false, "device-scope".to_owned()));
            assert!(by(Method::Provider).0, "{action}");
        }
    }

    const PRINCIPALS: &str = r#"{"users": {
        "ada": {"roles": ["data_scientist"], "purposes": ["model-development"]},
        "grace": {"roles": ["auditor"]}, "rex": {"roles": ["reader"]}, "sol": {"roles": ["security_officer"]}}}"#;

    fn set(extra: &[Source]) -> PolicySet {
        PolicySet::parse(extra, directory(PRINCIPALS)).unwrap()
    }

    fn data(classification: Classification) -> ResourceFacts {
        ResourceFacts {
            resource: Resource::new(ResourceKind::Artifact, "loans/raw@1")
                .with_digest(Digest::of(b"raw")),
            project: Some("loans".parse().unwrap()),
            kind: Some(Kind::Dataset),
            classification: Some(classification),
            quarantined: false,
            purposes: Vec::new(),
        }
    }

    fn plain(kind: ResourceKind) -> ResourceFacts {
        let endpoint = kind == ResourceKind::Endpoint;
        let name = if endpoint { "api.example.com:443" } else { "x" };
        ResourceFacts {
            resource: Resource::new(kind, name),
            kind: None,
            classification: endpoint.then_some(Classification::Public),
            ..data(Classification::Public)
        }
    }

    fn ask(
        set: &PolicySet,
        who: &str,
        action: Action,
        facts: &ResourceFacts,
        purpose: Option<&str>,
    ) -> Decision {
        let purpose = purpose.map(|purpose| purpose.parse().unwrap());
        let actor = Actor::user(who);
        set.decide(&Request {
            actor: &actor,
            on_behalf_of: None,
            action,
            resource: facts,
            purpose: purpose.as_ref(),
            scope: None,
            own: false,
            alias: None,
            via: "cli",
            authentication: &shown(),
            now: now(),
        })
    }

    #[test]
    fn the_table_of_who_may_do_what() {
        use Action::{ChangePolicy, Export, List, Read, ReadLedger, StartRun, Verify};
        let set = set(&[]);
        let personal = data(Classification::Personal);
        let internal = data(Classification::Internal);
        let development = Some("model-development");
        let cases: &[(&str, Action, &ResourceFacts, Option<&str>, bool)] = &[
            ("root", Read, &personal, None, false),
            ("root", Read, &personal, development, true),
            (
                "root",
                ChangePolicy,
                &plain(ResourceKind::Policy),
                None,
                true,
            ),
            ("ada", Read, &personal, development, true),
            ("ada", Read, &personal, Some("publication"), false),
            ("ada", Read, &personal, None, false),
            ("ada", Export, &personal, development, false),
            ("ada", Export, &internal, None, true),
            ("ada", StartRun, &plain(ResourceKind::Run), None, true),
            ("ada", ReadLedger, &plain(ResourceKind::Ledger), None, false),
            (
                "ada",
                ChangePolicy,
                &plain(ResourceKind::Policy),
                None,
                false,
            ),
            (
                "grace",
                ReadLedger,
                &plain(ResourceKind::Ledger),
                None,
                true,
            ),
            ("grace", Verify, &personal, None, true),
            ("grace", Read, &personal, development, false),
            ("rex", List, &personal, None, true),
            ("rex", Verify, &personal, None, false),
            (
                "sol",
                ChangePolicy,
                &plain(ResourceKind::Policy),
                None,
                true,
            ),
            ("nobody", List, &internal, None, false),
        ];
        for (who, action, facts, purpose, expected) in cases {
            let decision = ask(&set, who, *action, facts, *purpose);
            assert_eq!(
                decision.permit, *expected,
                "{who} {action} {purpose:?}: {decision:?}"
            );
            assert!(decision.errors.is_empty(), "{decision:?}");
        }
    }

    #[test]
    fn a_refusal_says_why_and_how_to_go_on() {
        let decision = ask(
            &set(&[]),
            "root",
            Action::Read,
            &data(Classification::Personal),
            None,
        );
        assert_eq!(
            decision.reasons,
            ["personal and special data may be read only for a stated purpose"]
        );
        assert!(decision.hint.unwrap().contains("--purpose"));
    }

    #[test]
    fn quarantine_and_admitted_purposes_hold_for_the_owner_too() {
        let set = set(&[]);
        let quarantined = ResourceFacts {
            quarantined: true,
            ..data(Classification::Internal)
        };
        assert!(!ask(&set, "root", Action::Read, &quarantined, None).permit);
        assert!(
            ask(
                &set,
                "root",
                Action::Read,
                &quarantined,
                Some("investigation")
            )
            .permit
        );
        let bound = ResourceFacts {
            purposes: vec!["research".parse().unwrap()],
            ..data(Classification::Personal)
        };
        assert!(!ask(&set, "root", Action::Read, &bound, Some("marketing")).permit);
        assert!(ask(&set, "root", Action::Read, &bound, Some("research")).permit);
    }

    #[test]
    fn what_is_misspelt_passes_for_nobody() {
        let set = set(&[]);
        let internal = data(Classification::Internal);
        for who in ["root", "ada", "rex"] {
            let decision = ask(&set, who, Action::List, &internal, Some("model-developmnt"));
            assert!(!decision.permit, "{who}");
            assert!(decision.hint.unwrap().contains("`model-development`"));
            assert!(
                ask(
                    &set,
                    who,
                    Action::List,
                    &internal,
                    Some("model-development")
                )
                .permit
            );
        }
        // A step states the purpose of its person.
        assert!(!ask(&set, "root", Action::Read, &internal, Some("marketing")).permit);
        let principals = |roles: &str, purposes: &str| {
            directory(&format!(
                r#"{{"users": {{"ada": {{"roles": {roles}, "purposes": {purposes}}}}}}}"#
            ))
        };
        let parse = |sources: &[Source], directory| PolicySet::parse(sources, directory).unwrap();
        let misspelt = parse(&[], principals(r#"["data_scientst"]"#, "[]"));
        assert!(
            matches!(misspelt.check_names(), Err(PolicyError::UnknownRole { nearest: Some(name), .. }) if name == "data_scientist")
        );
        assert!(!ask(&misspelt, "ada", Action::List, &internal, None).permit);
        assert!(ask(&misspelt, "root", Action::List, &internal, None).permit);
        let misspelt = parse(&[], principals("[]", r#"["model-developmnt"]"#));
        assert!(
            matches!(misspelt.check_names(), Err(PolicyError::UnknownPurpose { nearest: Some(name), .. }) if name == "model-development")
        );
        // A project's own roles are those that its policies name.
        let own = source(
            "own.cedar",
            "permit (principal in Role::\"curator\", action, resource);",
        );
        let known = parse(&[own], principals(r#"["curator"]"#, r#"["care"]"#));
        known.check_names().unwrap();
        assert!(ask(&known, "ada", Action::List, &internal, Some("care")).permit);
    }

    #[test]
    fn a_declared_list_of_purposes_is_the_list() {
        let settings = source(
            "settings.json",
            r#"{"purposes": {"care": "to care"}, "gated_aliases": ["production", "canary"],
                "projects": {"lab": {"gated_aliases": [], "require": {"model": ["scan"]}}}}"#,
        );
        let set = PolicySet::parse(&[settings], nobody_else()).unwrap();
        let internal = data(Classification::Internal);
        for (purpose, known) in [
            ("care", true),
            ("investigation", true),
            ("model-development", false),
        ] {
            assert_eq!(
                ask(&set, "root", Action::List, &internal, Some(purpose)).permit,
                known,
                "{purpose}"
            );
        }
        let alias = |text: &str| text.parse().unwrap();
        let (lab, loans) = ("lab".parse().unwrap(), "loans".parse().unwrap());
        assert!(
            set.is_gated(&loans, &alias("canary")) && !set.is_gated(&lab, &alias("production"))
        );
        assert_eq!(set.required(&lab, Kind::Model).len(), 1);
        assert!(
            set.required(&loans, Kind::Model).is_empty()
                && set.required(&lab, Kind::Dataset).is_empty()
        );
        assert!(
            PolicySet::builtin(nobody_else())
                .unwrap()
                .is_gated(&loans, &alias("production"))
        );
        for wrong in [
            r#"{"purpose": {}}"#,
            r#"{"projects": {"lab": {"gated": []}}}"#,
            r#"{"require": {"model": ["gates"]}}"#,
        ] {
            assert!(
                matches!(
                    PolicySet::parse(&[source("settings.json", wrong)], nobody_else()),
                    Err(PolicyError::Settings(_))
                ),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_step_exceeds_neither_its_declaration_nor_its_person() {
        let set = set(&[]);
        let step = Actor::step("run", "train");
        let (ada, rex) = (Actor::user("ada"), Actor::user("rex"));
        let purpose = "model-development".parse().unwrap();
        let scope = StepScope {
            endpoints: BTreeSet::from(["api.example.com:443".parse().unwrap()]),
            inputs: [Digest::of(b"raw")].into(),
            outputs: ["loans/model".to_owned()].into(),
        };
        let mut other = data(Classification::Personal);
        other.resource.digest = Some(Digest::of(b"other"));
        let mut output = data(Classification::Internal);
        output.resource = Resource::new(ResourceKind::Artifact, "loans/model");
        let decide = |person: Option<&Actor>,
                      action,
                      resource: &ResourceFacts,
                      scope: Option<&StepScope>| {
            set.decide(&Request {
                actor: &step,
                on_behalf_of: person,
                action,
                resource,
                purpose: Some(&purpose),
                scope,
                own: false,
                alias: None,
                via: "cli",
                authentication: &shown(),
                now: now(),
            })
            .permit
        };
        let input = data(Classification::Personal);
        assert!(decide(Some(&ada), Action::Read, &input, Some(&scope)));
        assert!(decide(Some(&ada), Action::Write, &output, Some(&scope)));
        assert!(!decide(Some(&ada), Action::Read, &other, Some(&scope)));
        assert!(!decide(Some(&ada), Action::Write, &input, Some(&scope)));
        assert!(!decide(Some(&ada), Action::Export, &input, Some(&scope)));
        assert!(!decide(
            Some(&ada),
            Action::ReadLedger,
            &plain(ResourceKind::Ledger),
            Some(&scope)
        ));
        let declared = plain(ResourceKind::Endpoint);
        let mut undeclared = declared.clone();
        undeclared.resource.name = "api.example.com:80".to_owned();
        assert!(decide(Some(&ada), Action::Connect, &declared, Some(&scope)));
        assert!(!decide(
            Some(&ada),
            Action::Connect,
            &undeclared,
            Some(&scope)
        ));
        assert!(!decide(
            Some(&rex),
            Action::Connect,
            &declared,
            Some(&scope)
        ));
        assert!(!decide(Some(&rex), Action::Read, &input, Some(&scope)));
        assert!(!decide(None, Action::Read, &input, Some(&scope)));
        assert!(!decide(Some(&ada), Action::Read, &input, None));
    }

    /// Settings let addresses in, letter by letter and project by project; policies decide about what is sensitive.
    #[test]
    fn an_endpoint_is_let_in_by_settings_and_by_policies() {
        use Classification::{Confidential, Internal, Personal, Public, Special};

        let set = set(&[
            source(
                "settings.json",
                r#"{"private_endpoints": ["10.0.0.1:5432"], "projects": {"care": {"private_endpoints": []}}}"#,
            ),
            source(
                "own.cedar",
                r#"permit (principal in Role::"data_scientist", action == Action::"connect", resource == Endpoint::"scores.example:443")
                   when { resource.project == "loans" && resource.host == "scores.example" && resource.port == 443 };"#,
            ),
        ]);
        for (who, project, endpoint, class, permit) in [
            ("ada", "loans", "api.example:443", Public, true),
            ("ada", "loans", "api.example:443", Internal, true),
            ("ada", "loans", "api.example:443", Confidential, false),
            ("ada", "loans", "scores.example:443", Personal, true),
            ("ada", "loans", "scores.example:80", Personal, false),
            ("ada", "care", "scores.example:443", Personal, false),
            ("ada", "loans", "10.0.0.1:5432", Internal, true),
            ("ada", "loans", "10.0.0.1:5433", Internal, false),
            ("ada", "loans", "10.0.0.2:5432", Internal, false),
            ("ada", "care", "10.0.0.1:5432", Internal, false),
            ("ada", "loans", "10.0.0.1:5432", Confidential, false),
            ("ada", "loans", "169.254.169.254:80", Public, false),
            ("root", "loans", "api.example:443", Internal, true),
            ("root", "loans", "api.example:443", Confidential, false),
            ("root", "loans", "api.example:443", Special, false),
            ("root", "care", "127.0.0.1:80", Public, false),
            ("rex", "loans", "api.example:443", Public, false),
            ("sol", "loans", "api.example:443", Public, false),
        ] {
            let facts = ResourceFacts {
                resource: Resource::new(ResourceKind::Endpoint, endpoint),
                project: Some(project.parse().unwrap()),
                ..data(class)
            };
            let decision = ask(&set, who, Action::Connect, &facts, None);
            assert_eq!(
                decision.permit, permit,
                "{who} {project} {endpoint} {class}"
            );
            assert_eq!(decision.errors, [""; 0]);
            let told = set.explain(
                &Request {
                    actor: &Actor::user(who),
                    on_behalf_of: None,
                    action: Action::Connect,
                    resource: &facts,
                    purpose: None,
                    scope: None,
                    own: false,
                    alias: None,
                    via: "cli",
                    authentication: &shown(),
                    now: now(),
                },
                decision,
            );
            let facts = told.policies.iter().flat_map(|one| &one.facts);
            for fact in facts {
                assert!(!fact.value.is_empty(), "{fact:?}");
            }
        }
        let listed = |text: &str| {
            let settings = format!(r#"{{"private_endpoints": [{text}]}}"#);
            PolicySet::parse(&[source("settings.json", &settings)], nobody_else())
        };
        for (text, because) in [
            (r#""db.example:5432""#, "no address of a network"),
            (r#""1.1.1.1:443""#, "no address of a network"),
            (r#""10.0.0.0/8""#, "no endpoint"),
            (r#""10.0.0.1""#, "no endpoint"),
        ] {
            let told = listed(text).unwrap_err().to_string();
            assert!(told.contains(because), "{told}");
        }
        assert!(listed(r#""127.0.0.1:80", "[fd00::1]:443""#).is_ok());
    }

    #[test]
    fn policies_that_do_not_hold_up_are_refused_with_their_place() {
        let parse = |text: &str| PolicySet::parse(&[source("own.cedar", text)], nobody_else());
        match parse("permit (principal, action,\n  resurce);").unwrap_err() {
            PolicyError::Syntax {
                file,
                line,
                excerpt,
                ..
            } => {
                assert_eq!((file.as_str(), line), ("own.cedar", 2));
                assert!(
                    excerpt.contains("resurce") && excerpt.contains('^'),
                    "{excerpt}"
                );
            }
            other => panic!("{other}"),
        }
        for text in [
            "permit (principal, action == Action::\"reed\", resource);",
            "forbid (principal, action == Action::\"read\", resource) when { resource.colour == \"red\" };",
        ] {
            assert!(
                matches!(parse(text), Err(PolicyError::Invalid(_))),
                "{text}"
            );
        }
        assert!(matches!(
            parse("@id(\"owner\") permit (principal, action, resource);"),
            Err(PolicyError::SameId(_))
        ));
        assert!(matches!(
            PolicySet::parse(&[source("x.txt", "")], nobody_else()),
            Err(PolicyError::UnknownFile(_))
        ));
    }

    #[test]
    fn a_policy_that_cannot_be_evaluated_means_no() {
        // The sum overflows for every request: nothing is decided on the strength of the rest.
        let text = "forbid (principal, action, resource) when { 9223372036854775807 + 1 > context.via.contains(\"x\") };";
        assert!(PolicySet::parse(&[source("own.cedar", text)], nobody_else()).is_err());
        let text = "forbid (principal, action, resource) when { 9223372036854775807 + 1 > 0 };";
        let set = set(&[source("own.cedar", text)]);
        let decision = ask(
            &set,
            "root",
            Action::List,
            &data(Classification::Internal),
            None,
        );
        assert!(
            !decision.permit && !decision.errors.is_empty(),
            "{decision:?}"
        );
    }

    #[test]
    fn roles_are_had_in_every_project_or_in_one() {
        let principals =
            r#"{"users": {"ada": {"roles": [{"role": "data_scientist", "project": "loans"}]}}}"#;
        let set = PolicySet::parse(&[], directory(principals)).unwrap();
        let own = data(Classification::Internal);
        let other = ResourceFacts {
            resource: Resource::new(ResourceKind::Artifact, "care/raw@1"),
            project: Some("care".parse().unwrap()),
            ..own.clone()
        };
        let whole = ResourceFacts {
            resource: Resource::new(ResourceKind::Project, "*"),
            project: None,
            ..plain(ResourceKind::Project)
        };
        let may = |action, facts: &ResourceFacts| ask(&set, "ada", action, facts, None).permit;
        assert!(may(Action::Read, &own) && may(Action::List, &own));
        assert!(!may(Action::Read, &other) && !may(Action::List, &other));
        assert!(may(Action::List, &whole) && !may(Action::Verify, &whole));
        for wrong in [
            r#"{"role": "reader"}"#,
            r#"{"role": "reader", "project": "A B"}"#,
            r#"{"role": "reader", "projects": ["loans"]}"#,
            "1",
        ] {
            let text = format!(r#"{{"users": {{"ada": {{"roles": [{wrong}]}}}}}}"#);
            assert!(Directory::parse(&text, &owner()).is_err(), "{text}");
        }
    }

    #[test]
    fn things_are_in_their_project_and_projects_in_the_organisation() {
        let text = r#"
            @id("in") forbid (principal, action == Action::"read", resource in Project::"loans");
            @id("run") forbid (principal, action == Action::"startRun", resource in Project::"loans");
            @id("all") forbid (principal, action == Action::"export", resource in Organisation::"organisation");
            @id("steps") forbid (principal, action == Action::"write", resource) when { context.step };"#;
        let set = set(&[source("own.cedar", text)]);
        let may = |action, facts: &ResourceFacts| ask(&set, "root", action, facts, None).permit;
        let own = data(Classification::Internal);
        let other = ResourceFacts {
            project: Some("care".parse().unwrap()),
            ..own.clone()
        };
        assert!(!may(Action::Read, &own) && may(Action::Read, &other));
        let run = plain(ResourceKind::Run);
        assert!(!may(Action::StartRun, &run));
        assert!(!may(Action::Export, &other) && may(Action::Write, &own));
    }

    #[test]
    fn every_action_of_the_table_is_decided() {
        let set = set(&[]);
        for action in Action::ALL {
            for kind in action.resources() {
                let mut facts = plain(*kind);
                if *kind == ResourceKind::Artifact {
                    facts.classification = Some(Classification::Public);
                }
                let decision = ask(&set, "root", *action, &facts, None);
                assert!(decision.permit, "{action} on {kind:?}: {decision:?}");
            }
        }
    }

    #[test]
    fn the_digest_depends_on_content_not_on_order() {
        let (a, b) = (
            source(
                "a.cedar",
                "@id(\"a\") permit (principal, action, resource);",
            ),
            source("settings.json", "{}"),
        );
        let one = PolicySet::parse(&[a.clone(), b.clone()], nobody_else()).unwrap();
        let two = PolicySet::parse(&[b, a], directory(PRINCIPALS)).unwrap();
        assert_eq!(one.digest(), two.digest());
        assert_ne!(
            one.digest(),
            PolicySet::builtin(nobody_else()).unwrap().digest()
        );
    }

    #[test]
    fn groups_and_services_are_decided_about_and_what_is_disabled_may_nothing() {
        let text = r#"{"users": {"ada": {}, "eve": {"roles": ["data_scientist"], "disabled": true}},
            "services": {"ci": {"roles": ["reader"]}},
            "groups": {"risk": {"roles": ["auditor"], "members": ["ada", "service:ci"]}}}"#;
        let own = r#"forbid (principal in Group::"risk", action == Action::"exportLedger", resource);
            forbid (principal is Service, action == Action::"trace", resource);"#;
        let set = PolicySet::parse(&[source("own.cedar", own)], directory(text)).unwrap();
        let data = data(Classification::Internal);
        let ledger = plain(ResourceKind::Ledger);
        let ask = |actor: Actor, action, resource: &ResourceFacts| {
            set.decide(&Request {
                actor: &actor,
                on_behalf_of: None,
                action,
                resource,
                purpose: None,
                scope: None,
                own: false,
                alias: None,
                via: "cli",
                authentication: &shown(),
                now: now(),
            })
        };
        let ci = || Actor::service("ci");
        assert!(ask(Actor::user("ada"), Action::Trace, &data).permit);
        assert!(ask(Actor::user("ada"), Action::ReadLedger, &ledger).permit);
        assert!(!ask(Actor::user("ada"), Action::ExportLedger, &ledger).permit);
        assert!(ask(ci(), Action::List, &data).permit && ask(ci(), Action::Verify, &data).permit);
        assert!(!ask(ci(), Action::Trace, &data).permit);
        assert!(!ask(Actor::user("ci"), Action::List, &data).permit);
        let disabled = ask(Actor::user("eve"), Action::List, &data);
        assert_eq!(disabled.policies, ["account-enabled"]);
    }

    #[test]
    fn policies_see_how_and_when_somebody_proved_to_be_who_they_are() {
        let text = r#"
            @id("weak") forbid (principal, action == Action::"export", resource) when { context.session.strength < 2 };
            @id("remote") forbid (principal, action == Action::"read", resource) unless { context.session.network == "local" };
            @id("stale") forbid (principal, action == Action::"verify", resource)
            when { context.now.durationSince(context.session.time) > duration("8h") };"#;
        let set = set(&[source("own.cedar", text)]);
        let may = |action, hours: i64| {
            let later = now().unix_micros() + hours * 3_600_000_000;
            set.decide(&Request {
                actor: &owner(),
                on_behalf_of: None,
                action,
                resource: &data(Classification::Internal),
                purpose: None,
                scope: None,
                own: false,
                alias: None,
                via: "cli",
                authentication: &shown(),
                now: Timestamp::from_unix_micros(later).unwrap(),
            })
            .permit
        };
        assert!(!may(Action::Export, 0) && may(Action::Read, 0));
        assert!(may(Action::Verify, 8) && !may(Action::Verify, 9));
    }
}
