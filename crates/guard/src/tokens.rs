//! Tokens: by which accounts are known over the network.
//!
//! They are kept as versions of an artifact of the reserved project, each by the SHA-256 of its secret; what counts is what the
//! ledger names last. Whoever shows one is its account, within its limits.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::PoisonError;

use custody_identity::{Authentication, Party, Token, TokenId, TokenRecord, Tokens};
use custody_policy::Source;
use custody_types::{
    Action, Actor, ArtifactName, Classification, Digest, Kind, NameError, Problem, Purpose,
    Timestamp, code,
};
use custody_wire::{TokenReply, TokenView, TokensReply};

use crate::act::{ActionMarker, CreateToken, ReadIdentity, RevokeToken};
use crate::admin::identity_problem;
use crate::door::{Door, Inner, lock, write};
use crate::grant::Grant;
use crate::making::{NewVersion, VersionBuilder};
use crate::session::Session;
use crate::target::ResourceRef;

/// The artifact whose newest version has the tokens.
const TOKENS: &str = "custody/tokens";
/// The file in it.
const FILE: &str = "tokens.json";
/// The fact that names the token which a change is about, and that with the pseudonym of its account.
const TOKEN: &str = "token";
const ACCOUNT: &str = "account";
/// How long a token counts at most, in days.
const MOST_DAYS: u32 = 90;
const DAY: i64 = 24 * 60 * 60;
/// How long the note of a token may be, in bytes.
const MOST_NOTE: usize = 200;

/// What a token shall be.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Whose; none: of who asks.
    pub account: Option<Party>,
    /// How long it counts, in days.
    pub days: u32,
    /// What it is for, in somebody's words.
    pub note: String,
    /// What may be done with it; empty: all that its account may.
    pub actions: BTreeSet<Action>,
    /// The projects in which it counts; empty: all.
    pub projects: BTreeSet<custody_types::ProjectName>,
    /// The one purpose that it may state.
    pub purpose: Option<Purpose>,
    /// The networks from which it counts; empty: all.
    pub networks: BTreeSet<String>,
}

fn not_made(because: impl std::fmt::Display) -> Problem {
    Problem::new(code::DOOR_022, "the token cannot be made").because(because)
}

impl NewToken {
    /// Returns what is kept of it, once it is drawn.
    fn record(self, account: Party, token: &Token, now: Timestamp) -> Result<TokenRecord, Problem> {
        if self.days == 0 || self.days > MOST_DAYS {
            let because = format!("it would last {} days", self.days);
            return Err(not_made(because).hint(format!("let it last 1 to {MOST_DAYS} days")));
        }
        if self.note.len() > MOST_NOTE || self.note.chars().any(char::is_control) {
            let because =
                format!("its note has control characters, or more than {MOST_NOTE} bytes");
            return Err(not_made(because).hint("say shortly what it is for"));
        }
        let networks = self.networks.iter().map(|text| {
            let wrong = |_| {
                not_made(format!("`{text}` is no network"))
                    .hint("write it as `192.0.2.0/24`, one address as `192.0.2.7/32`")
            };
            text.parse().map_err(wrong)
        });
        Ok(TokenRecord {
            account,
            hash: token.hash(),
            created: now,
            expires: now.plus_seconds(i64::from(self.days) * DAY),
            note: self.note,
            actions: self.actions,
            projects: self.projects,
            purpose: self.purpose,
            networks: networks.collect::<Result<_, _>>()?,
        })
    }
}

impl Inner {
    /// Checks that how somebody proved to be who they are still counts: it has not ended, nor was its token taken back.
    pub(crate) fn check_session(&self, session: &Session) -> Result<(), Problem> {
        let shown = &session.authentication;
        let was_revoked = shown.token.as_ref().is_some_and(|token| {
            let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
            tokens.1.tokens.get(&token.id) != Some(&token.record)
        });
        if was_revoked || self.was_ended(shown) || shown.is_over(self.now()) {
            return Err(Problem::new(code::DOOR_019, "the session is over").hint("log in again"));
        }
        Ok(())
    }

    /// Lets the tokens count that the ledger names last, unless they do.
    pub(crate) fn load_tokens(&self) -> Result<(), Problem> {
        let mut tokens = write(&self.tokens);
        let named = self.in_force(Action::CreateToken)?;
        if tokens.0 == named {
            return Ok(());
        }
        let read = named.map_or(Ok(Tokens::default()), |record| {
            let sources = self.sources_in_force(&record)?;
            let file = sources.iter().find(|source| source.name == FILE);
            let read = file.map(|file| Tokens::read(&file.text));
            read.and_then(Result::ok)
                .ok_or_else(|| Problem::new(code::POLICY_003, format!("`{TOKENS}` cannot be read")))
        });
        // Where they cannot be read nobody is let in by one; on the machine itself everything goes on.
        *tokens = (named, read.unwrap_or_default());
        Ok(())
    }
}

impl Inner {
    /// Reads the files of a version that is in force.
    pub(crate) fn sources_in_force(&self, record: &Digest) -> Result<Vec<Source>, Problem> {
        self.read_sources(record).or_else(|_| {
            // The index may lead astray: the packs tell where things are.
            self.rebuild()?;
            self.read_sources(record)
        })
    }
}

impl Door {
    /// Keeps a state of the workspace about people as the next version of its artifact, which is one file.
    pub(crate) fn keep_state<A: ActionMarker>(
        &self,
        grant: Grant<A>,
        (artifact, file): (&str, &str),
        text: &str,
        facts: BTreeMap<String, String>,
    ) -> Result<(), Problem> {
        let unnamed = |error: NameError| Problem::new(code::DOOR_012, error.to_string());
        let artifact: ArtifactName = artifact.parse().map_err(unnamed)?;
        let mut making = VersionBuilder::start_at(self, artifact.project())?;
        let path = file.parse().map_err(unnamed)?;
        making.file(path, false, &mut text.as_bytes())?;
        let new = NewVersion::new(artifact, Kind::Policy, Classification::Personal);
        making.finish_admin(grant, new, facts)?;
        making.commit(None).map(drop)
    }

    /// Lets in who shows a token, of an account or of a session, from an address, for a purpose or for none.
    ///
    /// # Errors
    /// A [`Problem`], the same whatever is wrong with it.
    pub fn sign_in(
        &self,
        shown: Option<&str>,
        address: IpAddr,
        purpose: Option<Purpose>,
    ) -> Result<Session, Problem> {
        let now = self.0.now();
        let tokens = self.0.tokens.read().unwrap_or_else(PoisonError::into_inner);
        let found = shown.and_then(|text| tokens.1.shown(text, now, address));
        drop(tokens);
        let Some(authentication) = found.and_then(|found| Authentication::by_token(found, now))
        else {
            let token = shown.and_then(|text| text.parse().ok());
            let session = token.and_then(|token| self.session_of(&token, purpose));
            if let Some(session) = session {
                return Ok(session);
            }
            return Err(Problem::new(code::DOOR_020, "it is not known who asks")
                .hint("log in with a token that counts: `custody login`"));
        };
        let only = authentication.token.as_ref();
        let only = only.and_then(|token| token.record.purpose.clone());
        Ok(Session::new(authentication, purpose.or(only), "http"))
    }

    /// Makes a token, and returns it: it is shown this once.
    ///
    /// # Errors
    /// A [`Problem`] when the session may not make it, or it cannot be as it shall.
    pub fn create_token(&self, session: &Session, new: NewToken) -> Result<TokenReply, Problem> {
        let grant = self.ask::<CreateToken>(session, ResourceRef::Identity)?;
        let inner = &self.0;
        let _changing = lock(&inner.changing);
        let token = Token::draw(inner.parts.entropy.as_ref());
        let made = self.new_record(session, new, &token);
        let record = match made {
            Ok(record) => record,
            Err(problem) => {
                grant.fail(problem.code);
                return Err(problem);
            }
        };
        let mut tokens = inner
            .tokens
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .1
            .clone();
        // What is over is forgotten with the next one.
        let now = self.now();
        tokens.tokens.retain(|_, known| now < known.expires);
        tokens.tokens.insert(token.id().clone(), record.clone());
        self.keep_tokens(grant, tokens, token.id(), &record)?;
        Ok(TokenReply {
            token: view(token.id(), &record),
            secret: token.expose().to_string(),
        })
    }

    fn new_record(
        &self,
        session: &Session,
        new: NewToken,
        token: &Token,
    ) -> Result<TokenRecord, Problem> {
        let own = Party::of(session.person());
        let party = new.account.clone().or_else(|| own.clone());
        let Some(party) = party else {
            return Err(not_made("a step of a run has no tokens"));
        };
        {
            let policies = self.0.policies();
            let directory = policies.directory();
            let is_unknown = |actor: Actor| directory.account(&actor).is_none();
            if party.actor().is_none_or(is_unknown) {
                let error = custody_identity::IdentityError::Unknown(party);
                return Err(identity_problem(&error, Some(directory)));
            }
            // Whoever has the token of an account is taken for it.
            if own.as_ref() != Some(&party) && !directory.is_owner(session.person(), self.0.now()) {
                return Err(Problem::new(
                    code::DOOR_021,
                    format!("a token of `{party}` is for an owner to make"),
                )
                .hint("ask an owner of the workspace"));
            }
        }
        self.check_purposes(new.purpose.as_slice())?;
        new.record(party, token, self.now())
    }

    /// Takes a token back: whoever comes with it is not let in any more, and what goes on with it ends at its next question.
    ///
    /// # Errors
    /// A [`Problem`] when the session may not do it, or there is no such token.
    pub fn revoke_token(&self, session: &Session, id: &str) -> Result<TokensReply, Problem> {
        let grant = self.ask::<RevokeToken>(session, ResourceRef::Identity)?;
        let inner = &self.0;
        let _changing = lock(&inner.changing);
        let mut tokens = inner
            .tokens
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .1
            .clone();
        let taken = id.parse().ok().and_then(|id: TokenId| {
            let record = tokens.tokens.remove(&id)?;
            Some((id, record))
        });
        let Some((id, record)) = taken else {
            let problem = Problem::new(code::DOOR_023, "there is no such token")
                .hint("see which there are with `custody token ls`");
            grant.fail(problem.code);
            return Err(problem);
        };
        self.keep_tokens(grant, tokens, &id, &record)?;
        Ok(self.listed())
    }

    /// Takes back all tokens of an account. The caller has the turn to change who there is.
    ///
    /// # Errors
    /// A [`Problem`] when the session may not do it, or the ledger does not take it.
    pub(crate) fn forget_tokens(&self, session: &Session, actor: &Actor) -> Result<(), Problem> {
        loop {
            let mut tokens = self
                .0
                .tokens
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .1
                .clone();
            let own = tokens
                .tokens
                .iter()
                .find(|(_, record)| record.account.actor().as_ref() == Some(actor));
            let Some((id, record)) = own.map(|(id, record)| (id.clone(), record.clone())) else {
                return Ok(());
            };
            let grant = self.ask::<RevokeToken>(session, ResourceRef::Identity)?;
            tokens.tokens.remove(&id);
            self.keep_tokens(grant, tokens, &id, &record)?;
        }
    }

    /// Lists the tokens that count, without their secrets.
    ///
    /// # Errors
    /// A [`Problem`] when the session may not see the accounts.
    pub fn tokens(&self, session: &Session) -> Result<TokensReply, Problem> {
        let grant = self.ask::<ReadIdentity>(session, ResourceRef::Identity)?;
        let listed = self.listed();
        grant.finish()?;
        Ok(listed)
    }

    fn listed(&self) -> TokensReply {
        let now = self.now();
        let tokens = self.0.tokens.read().unwrap_or_else(PoisonError::into_inner);
        let counting = tokens
            .1
            .tokens
            .iter()
            .filter(|(_, record)| now < record.expires);
        TokensReply {
            tokens: counting.map(|(id, record)| view(id, record)).collect(),
        }
    }

    fn keep_tokens<A: ActionMarker>(
        &self,
        grant: Grant<A>,
        tokens: Tokens,
        id: &TokenId,
        record: &TokenRecord,
    ) -> Result<(), Problem> {
        let inner = &self.0;
        let text = tokens
            .to_text()
            .map_err(|error| Problem::new(code::DOOR_012, error.to_string()))?;
        let account = record.account.actor().map(|actor| inner.pseudonym(&actor));
        let facts = BTreeMap::from([
            (TOKEN.to_owned(), id.to_string()),
            (ACCOUNT.to_owned(), account.unwrap_or_default()),
        ]);
        self.keep_state(grant, (TOKENS, FILE), &text, facts)?;
        let mut counting = write(&inner.tokens);
        *counting = (inner.in_force(Action::CreateToken)?, tokens);
        Ok(())
    }
}

fn view(id: &TokenId, record: &TokenRecord) -> TokenView {
    TokenView {
        id: id.to_string(),
        account: record.account.clone(),
        created: record.created,
        expires: record.expires,
        note: record.note.clone(),
        actions: record.actions.clone(),
        projects: record.projects.clone(),
        purpose: record.purpose.clone(),
        networks: record.networks.iter().map(ToString::to_string).collect(),
    }
}

#[cfg(test)]
mod tests {
    use custody_identity::{Change, Right, RoleBinding};

    use super::*;
    use crate::act::{List, Write};
    use crate::testing::World;

    const NEAR: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn token(account: &str) -> NewToken {
        NewToken {
            account: Some(account.parse().unwrap()),
            days: 30,
            note: String::new(),
            actions: BTreeSet::new(),
            projects: BTreeSet::new(),
            purpose: None,
            networks: BTreeSet::new(),
        }
    }

    /// A workspace with a data scientist, and a token of hers.
    fn opened() -> (World, Door, TokenReply) {
        let world = World::default();
        let door = world.open();
        let owner = world.person("owner");
        let who: Party = "ada".parse().unwrap();
        let right = Right::Role(RoleBinding::everywhere("data_scientist"));
        let changes = vec![
            Change::Add { who: who.clone() },
            Change::Grant {
                who,
                right,
                seconds: None,
            },
        ];
        door.change_accounts(&owner, changes).unwrap();
        let made = door.create_token(&owner, token("ada")).unwrap();
        (world, door, made)
    }

    fn is_let_in(door: &Door, secret: &str) -> bool {
        door.sign_in(Some(secret), NEAR, None).is_ok()
    }

    #[test]
    fn a_token_is_its_account_until_it_ends_and_after_a_restart() {
        let (world, door, made) = opened();
        let session = door.sign_in(Some(&made.secret), NEAR, None).unwrap();
        assert_eq!(*session.actor(), Actor::user("ada"));
        door.ask::<List>(&session, ResourceRef::Workspace)
            .unwrap()
            .finish()
            .unwrap();
        drop(door);
        let door = world.open();
        assert!(is_let_in(&door, &made.secret));
        // What is kept tells nobody the secret.
        let kept = door.0.in_force(Action::CreateToken).unwrap().unwrap();
        let text = door.0.read_sources(&kept).unwrap().remove(0).text;
        assert!(!text.contains(&made.secret) && text.contains(&made.token.id));
        world.clock.advance(30 * DAY);
        assert!(!is_let_in(&door, &made.secret));
        let over = door.ask::<List>(&session, ResourceRef::Workspace);
        assert_eq!(over.map(drop).unwrap_err().code, code::DOOR_019);
        assert!(
            door.tokens(&world.person("owner"))
                .unwrap()
                .tokens
                .is_empty()
        );
    }

    #[test]
    fn a_token_does_not_count_for_who_comes_under_the_name_later() {
        let (world, door, made) = opened();
        let owner = world.person("owner");
        let second = door.create_token(&owner, token("ada")).unwrap();
        let who: Party = "ada".parse().unwrap();
        let change = |change: Change| door.change_accounts(&owner, vec![change]).unwrap();
        change(Change::Remove { who: who.clone() });
        change(Change::Add { who });
        for door in [door.clone(), {
            drop(door);
            world.open()
        }] {
            for made in [&made, &second] {
                let session = door.sign_in(Some(&made.secret), NEAR, None);
                assert_eq!(session.map(drop).unwrap_err().code, code::DOOR_020);
            }
        }
    }

    #[test]
    fn what_goes_on_with_a_token_that_is_taken_back_ends() {
        let (world, door, made) = opened();
        let owner = world.person("owner");
        let session = door.sign_in(Some(&made.secret), NEAR, None).unwrap();
        // An upload that was let in before does not become a version after.
        let artifact: ArtifactName = "p/data".parse().unwrap();
        let target = ResourceRef::New {
            artifact: artifact.clone(),
            kind: Kind::Dataset,
            classification: Classification::Internal,
        };
        let grant = door.ask::<Write>(&session, target).unwrap();
        let mut making = VersionBuilder::open(&door, &session, artifact.project()).unwrap();
        making
            .file("file".parse().unwrap(), false, &mut b"bytes".as_slice())
            .unwrap();
        making
            .finish(
                grant,
                NewVersion::new(artifact, Kind::Dataset, Classification::Internal),
            )
            .unwrap();
        door.revoke_token(&owner, &made.token.id).unwrap();
        let refused = making.commit(None).map(drop).unwrap_err();
        assert_eq!(refused.code, code::DOOR_019);
        assert!(!is_let_in(&door, &made.secret));
        let over = door.ask::<List>(&session, ResourceRef::Workspace);
        assert_eq!(over.map(drop).unwrap_err().code, code::DOOR_019);
        let again = door.revoke_token(&owner, &made.token.id).unwrap_err();
        assert_eq!(again.code, code::DOOR_023);
        drop(door);
        assert!(!is_let_in(&world.open(), &made.secret));
    }

    #[test]
    fn nobody_makes_tokens_of_others_but_an_owner_and_none_is_of_nobody() {
        let (world, door, made) = opened();
        let owner = world.person("owner");
        let made_by = |session: &Session, new: NewToken| {
            let made = door.create_token(session, new);
            made.map(drop).map_err(|problem| problem.code)
        };
        let by_token = door.sign_in(Some(&made.secret), NEAR, None).unwrap();
        assert_eq!(made_by(&by_token, token("ada")), Err(code::DOOR_001));
        assert_eq!(made_by(&owner, token("nobody")), Err(code::DOOR_004));
        assert_eq!(made_by(&owner, token("group:all")), Err(code::DOOR_004));
        for days in [0, 91] {
            assert_eq!(
                made_by(
                    &owner,
                    NewToken {
                        days,
                        ..token("ada")
                    }
                ),
                Err(code::DOOR_022)
            );
        }
        let note = "two\nlines".to_owned();
        assert_eq!(
            made_by(
                &owner,
                NewToken {
                    note,
                    ..token("ada")
                }
            ),
            Err(code::DOOR_022)
        );
        let purpose = Some("unheard-of".parse().unwrap());
        assert_eq!(
            made_by(
                &owner,
                NewToken {
                    purpose,
                    ..token("ada")
                }
            ),
            Err(code::DOOR_007)
        );
        // A policy may let others make tokens: their own.
        let source = custody_wire::PolicySource {
            name: "own.cedar".to_owned(),
            text:
                r#"permit (principal == User::"ada", action == Action::"createToken", resource);"#
                    .to_owned(),
        };
        door.change_policies(&owner, vec![source]).unwrap();
        let ada = world.person("ada");
        assert_eq!(made_by(&ada, token("owner")), Err(code::DOOR_021));
        assert_eq!(made_by(&ada, token("ada")), Ok(()));
        let listed = door.tokens(&owner).unwrap().tokens;
        assert_eq!(listed.len(), 2);
    }
}
