//! Ending a run from outside.

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

use custody_guard::{CancelRun, Session, StepResult};
use custody_sandbox::Interrupt;
use custody_types::{Problem, code};
use custody_wire::{CancelReply, RunReply};

use super::Runner;

/// A run of this process, as long as it goes on.
#[derive(Debug)]
pub(super) struct Running<'a> {
    runner: &'a Runner,
    id: String,
    /// What ends it, and no other.
    pub(super) interrupt: Interrupt,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.runner.all_running().remove(&self.id);
    }
}

impl Runner {
    fn all_running(&self) -> MutexGuard<'_, BTreeMap<String, Interrupt>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether no run goes on in this process.
    pub fn is_idle(&self) -> bool {
        self.all_running().is_empty()
    }

    /// Makes the run known to who cancels it.
    pub(super) fn running(&self, id: &str) -> Running<'_> {
        let interrupt = self.interrupt.part();
        self.all_running().insert(id.to_owned(), interrupt.clone());
        Running {
            runner: self,
            id: id.to_owned(),
            interrupt,
        }
    }

    /// Ends the steps of a run, and lets none start. Returns before they have ended.
    ///
    /// # Errors
    /// A [`Problem`] when the policy refuses, there is no such run, or it has ended.
    pub fn cancel(&self, session: &Session, id: &str) -> Result<CancelReply, Problem> {
        let grant = self.door.ask_run::<CancelRun>(session, id)?;
        let running = self.all_running().get(id).cloned();
        let Some(interrupt) = running else {
            let told = Problem::new(code::RUN_042, format!("the run `{id}` has ended"))
                .hint(format!("see how with `custody runs show {id}`"));
            grant.fail(told.code);
            return Err(told);
        };
        interrupt.raise();
        let done = StepResult {
            ok: true,
            ..StepResult::default()
        };
        Ok(CancelReply {
            run: id.to_owned(),
            entry: grant.conclude(&done)?,
        })
    }

    /// Tells that a run was ended before its steps were.
    pub(super) fn interrupted(&self, running: &Running<'_>, reply: &RunReply) -> Problem {
        let kept = reply.steps.iter().filter(|step| step.went_well());
        let kept: Vec<_> = kept
            .flat_map(|step| &step.versions)
            .map(ToString::to_string)
            .collect();
        let kept = if kept.is_empty() {
            "nothing was made before".to_owned()
        } else {
            format!("what was made before is kept: {}", kept.join(", "))
        };
        let cancelled = running.interrupt.is_raised() && !self.interrupt.is_raised();
        let problem = if cancelled {
            Problem::new(code::RUN_043, "the run was cancelled")
        } else {
            Problem::new(code::RUN_040, "the run was interrupted")
        };
        problem
            .because(kept)
            .hint("go on with `custody run`: what was made is reused")
    }
}
