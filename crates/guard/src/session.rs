//! Who asks, for what purpose, by which way, and how they proved to be who they are.

use std::sync::Arc;

use custody_identity::Authentication;
use custody_policy::StepScope;
use custody_types::{Actor, Purpose};

/// One principal with one purpose, from authentication to the end of its work.
#[derive(Debug, Clone)]
pub struct Session {
    pub(crate) actor: Actor,
    pub(crate) on_behalf_of: Option<Actor>,
    pub(crate) purpose: Option<Purpose>,
    pub(crate) via: &'static str,
    pub(crate) authentication: Arc<Authentication>,
    pub(crate) run: Option<String>,
    pub(crate) scope: Option<Arc<StepScope>>,
}

impl Session {
    /// Starts the session of who proved to be who they are, and came in by `via`: `cli`, `http`.
    pub fn new(
        authentication: Authentication,
        purpose: Option<Purpose>,
        via: &'static str,
    ) -> Self {
        Self {
            actor: authentication.actor.clone(),
            on_behalf_of: None,
            purpose,
            via,
            authentication: Arc::new(authentication),
            run: None,
            scope: None,
        }
    }

    /// Returns who asks.
    pub const fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Returns the purpose.
    pub const fn purpose(&self) -> Option<&Purpose> {
        self.purpose.as_ref()
    }

    /// Returns how it was proved who asks.
    pub fn authentication(&self) -> &Authentication {
        &self.authentication
    }

    /// Returns the account that acts, of a step the one that started its run.
    pub(crate) fn person(&self) -> &Actor {
        self.on_behalf_of.as_ref().unwrap_or(&self.actor)
    }

    /// Returns the account that proved to be somebody else than the one that it acts as.
    pub(crate) fn acts_by(&self) -> Option<&Actor> {
        Some(&self.authentication.actor).filter(|actor| *actor != self.person())
    }

    /// Replaces the purpose where none was stated.
    #[must_use]
    pub fn or_purpose(mut self, purpose: Option<Purpose>) -> Self {
        self.purpose = self.purpose.or(purpose);
        self
    }

    /// Ties the session to a run: its entries name the run.
    #[must_use]
    pub fn in_run(mut self, run: &str) -> Self {
        self.run = Some(run.to_owned());
        self
    }

    /// Returns the session of the person, for what a step does not do of its own.
    pub(crate) fn of_person(&self) -> Self {
        let mut session = self.clone();
        if let Some(person) = session.on_behalf_of.take() {
            session.actor = person;
        }
        session.scope = None;
        session
    }

    /// Derives the session of a step, a principal of its own that acts for this session's person and
    /// may do no more than `scope` says.
    #[must_use]
    pub fn step(&self, run: &str, step: &str, scope: StepScope) -> Self {
        Self {
            actor: Actor::step(run, step),
            on_behalf_of: Some(
                self.on_behalf_of
                    .clone()
                    .unwrap_or_else(|| self.actor.clone()),
            ),
            purpose: self.purpose.clone(),
            via: self.via,
            authentication: self.authentication.clone(),
            run: Some(run.to_owned()),
            scope: Some(Arc::new(scope)),
        }
    }
}
