//! What comes of a sign-in: a session, or a refusal, and the entry of either.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use custody_identity::{
    Asserted, Authentication, Change, Guesser, Party, ProviderIdentity, Right, Token,
};
use custody_ledger::{Outcome, Phase};
use custody_policy::Decision;
use custody_types::{Action, Actor, Code, Digest, Problem, code};
use custody_wire::SessionReply;

use super::{Chosen, Said, Stopped};
use crate::act::{ChangeIdentity, SignIn};
use crate::admin::identity_problem;
use crate::door::{Door, lock};
use crate::people::{OpenSession, SESSION};
use crate::session::Session;
use crate::target::ResourceRef;

/// The facts that name the provider, how somebody signed in, what their groups give them, and why they are refused.
const PROVIDER: &str = "provider";
const METHOD: &str = "method";
const ROLES: &str = "roles";
const REASON: &str = "reason";
/// What decides that somebody gets an account.
pub(crate) const JOINED_BY: &str = "provider-accounts";
/// How many bytes of roles an entry has.
const ROLES_BYTES: usize = 1000;

impl Door {
    /// Enters why a sign-in comes to nothing. Returns what who asks is told.
    pub(super) fn stopped(&self, chosen: &Chosen, stopped: Stopped, guesser: &Guesser) -> Problem {
        let (told, word, outcome) = match stopped {
            Stopped::Again(failure) => return failure.problem(&chosen.name),
            Stopped::Failed(failure) => {
                let told = failure.problem(&chosen.name);
                (told, failure.word(), Outcome::Error)
            }
            Stopped::Refused(word) => (not_believed(), word, Outcome::Denied),
        };
        if outcome == Outcome::Denied {
            self.count_wrong(guesser);
        }
        let issuer = chosen.provider.issuer.as_str();
        self.enter_refusal((chosen.name.as_str(), issuer), (told.code, word, outcome))
            .map_or_else(|problem| problem, |()| told)
    }

    /// Enters that something came which no provider is known by. Returns what who asks is told.
    pub(super) fn of_nobody(&self, word: &'static str, guesser: &Guesser) -> Problem {
        let told = not_believed();
        self.count_wrong(guesser);
        self.enter_refusal(("", ""), (told.code, word, Outcome::Denied))
            .map_or_else(|problem| problem, |()| told)
    }

    fn count_wrong(&self, guesser: &Guesser) {
        let now_ms = self.monotonic_ms();
        lock(&self.0.people.addresses).failed(guesser.of_anybody(), now_ms);
    }

    /// Enters that somebody was not let in, who is known by the provider's words alone.
    fn enter_refusal(
        &self,
        (provider, who): (&str, &str),
        (code, word, outcome): (Code, &str, Outcome),
    ) -> Result<(), Problem> {
        let inner = &self.0;
        let (_, session) = self.begin(&stranger(who), self.now());
        let facts = ResourceRef::Identity.facts(None);
        let mut draft = inner.draft(&session, Action::SignIn, Phase::Grant, &facts);
        draft.outcome = Some(outcome);
        draft.error = Some(code);
        draft.facts = BTreeMap::from([
            (PROVIDER.to_owned(), provider.to_owned()),
            (REASON.to_owned(), word.to_owned()),
        ]);
        inner.append(draft).map(drop)
    }

    /// Lets in whom a provider's token is about, where an account is theirs.
    pub(super) fn let_in_by_provider(
        &self,
        said: Said,
        guesser: &Guesser,
    ) -> Result<SessionReply, Problem> {
        let inner = &self.0;
        let provider = &said.chosen.provider;
        let issuer = provider.issuer.as_str();
        let Ok(identity) = ProviderIdentity::new(issuer, &said.claims.subject) else {
            return Err(self.stopped(&said.chosen, Stopped::Refused("claim"), guesser));
        };
        let known = inner
            .policies()
            .directory()
            .person_of(&identity)
            .map(ToOwned::to_owned);
        let account = match known {
            Some(account) => account,
            None if provider.gives_account(&said.claims.groups) => self.join(&said, &identity)?,
            None => {
                self.enter_refusal(
                    (said.chosen.name.as_str(), &identity.to_string()),
                    (code::DOOR_033, "unbound", Outcome::Denied),
                )?;
                return Err(unbound(&identity));
            }
        };
        self.check_enabled(&said.chosen, &identity, &account)?;
        let now = self.now();
        let ends = now.plus_seconds(SESSION);
        let named: BTreeSet<_> = provider
            .groups
            .iter()
            .flat_map(|groups| groups.roles.keys())
            .collect();
        let asserted = Arc::new(Asserted {
            provider: said.chosen.name.to_string(),
            identity,
            groups: said
                .claims
                .groups
                .iter()
                .filter(|one| named.contains(one))
                .cloned()
                .collect(),
            two_factors: provider.two_factors.are_shown(&said.claims),
            until: ends,
        });
        let roles: BTreeSet<_> = provider
            .roles(&asserted.groups)
            .map(ToString::to_string)
            .collect();
        let token = Token::draw(inner.parts.entropy.as_ref());
        let authentication = Authentication::by_provider(
            &account,
            token.id().clone(),
            said.method,
            asserted.clone(),
            now,
        );
        let session = Session::new(authentication, None, "http");
        let mut grant = self.ask::<SignIn>(&session, ResourceRef::Identity)?;
        let mut draft = grant.outcome(Outcome::Ok);
        let mut given = roles.iter().cloned().collect::<Vec<_>>().join(", ");
        given.truncate(given.floor_char_boundary(ROLES_BYTES));
        draft.facts = BTreeMap::from([
            (PROVIDER.to_owned(), said.chosen.name.to_string()),
            (METHOD.to_owned(), said.method.to_string()),
            (ROLES.to_owned(), given),
        ]);
        grant.finished = true;
        inner.append(draft)?;
        self.open_session(
            &token,
            OpenSession {
                account: account.clone(),
                hash: token.hash(),
                since: now,
                ends,
                last_ms: self.monotonic_ms(),
                method: said.method,
                asserted: Some(asserted),
            },
        );
        Ok(SessionReply {
            account: Party::User(account),
            token: token.expose().to_string(),
            ends,
            provider: Some(said.chosen.name.to_string()),
            roles: roles.into_iter().collect(),
        })
    }

    /// Refuses, by an entry, whose account may do nothing.
    fn check_enabled(
        &self,
        chosen: &Chosen,
        identity: &ProviderIdentity,
        account: &str,
    ) -> Result<(), Problem> {
        let is_disabled = {
            let policies = self.0.policies();
            let known = policies.directory().account(&Actor::user(account));
            known.is_none_or(|known| known.disabled)
        };
        if !is_disabled {
            return Ok(());
        }
        self.enter_refusal(
            (chosen.name.as_str(), &identity.to_string()),
            (code::DOOR_001, "disabled", Outcome::Denied),
        )?;
        let what = format!("`{account}` may not sign in");
        Err(Problem::new(code::DOOR_001, what)
            .because("the account is disabled")
            .hint("ask who keeps the accounts to enable it: `custody account enable`"))
    }

    /// Makes the account of somebody who has none, since the settings say that their group gets one. Its name is the
    /// provider's and the subject: what the provider calls them names nobody.
    fn join(&self, said: &Said, identity: &ProviderIdentity) -> Result<String, Problem> {
        let inner = &self.0;
        let provider = &said.chosen.name;
        let whole = format!("{provider}:{}", identity.subject());
        let name = match whole.parse() {
            Ok(Party::User(name)) => name,
            _ => {
                let digest = Digest::of(identity.subject().as_bytes()).to_hex();
                format!("{provider}:{digest}")
            }
        };
        let _changing = lock(&inner.changing);
        let before = inner.policies().clone();
        // Of two who come at once as the same, the first makes it.
        if let Some(known) = before.directory().person_of(identity) {
            return Ok(known.to_owned());
        }
        let session = self.begin(&name, self.now()).1;
        let facts = ResourceRef::Identity.facts(None);
        let mut draft = inner.draft(&session, Action::ChangeIdentity, Phase::Grant, &facts);
        let decision = Decision {
            permit: true,
            policies: vec![JOINED_BY.to_owned()],
            ..Decision::default()
        };
        draft.decision = Some(inner.decision_fact(&decision, None));
        let grant =
            self.let_in::<ChangeIdentity>(&session, (ResourceRef::Identity, facts, None), draft)?;
        let who = Party::User(name.clone());
        let changes = [
            Change::Add { who: who.clone() },
            Change::Grant {
                who,
                right: Right::Identity(identity.clone()),
                seconds: None,
            },
        ];
        let mut directory = before.directory().clone();
        for change in changes {
            // An account of the name that is bound to nobody, or to somebody else, is not theirs.
            if let Err(error) = directory.change(change, &inner.parts.owner, self.now()) {
                let problem = identity_problem(&error, Some(&directory));
                grant.fail(problem.code);
                return Err(problem.hint("ask an owner to bind the account: `custody account grant NAME --oidc ISSUER SUBJECT`"));
            }
        }
        let set = before.with_directory(directory);
        let facts = BTreeMap::from([(PROVIDER.to_owned(), provider.to_string())]);
        grant.keep(&before, facts, set)?;
        Ok(name)
    }
}

/// What is told of whatever came back from a provider and is not believed.
fn not_believed() -> Problem {
    Problem::new(code::DOOR_032, "the sign-in at the provider did not succeed").hint(
        "sign in again from the beginning; an operator sees the reason: `custody ledger log --action session.sign_in --outcome denied`",
    )
}

fn unbound(identity: &ProviderIdentity) -> Problem {
    Problem::new(code::DOOR_033, "no account is bound to this identity")
        .because(format!(
            "the provider `{}` says that it is `{}`",
            identity.issuer(),
            identity.subject()
        ))
        .hint(format!(
            "ask an owner to bind your account to it: `custody account grant NAME --oidc {} '{}'`; or to add one: `custody account add NAME --oidc …`",
            identity.issuer(),
            identity.subject().replace('\'', r"'\''")
        ))
}

/// Returns what stands for somebody who has no account. No name of an account begins with a space.
fn stranger(who: &str) -> String {
    format!(" {who}")
}
