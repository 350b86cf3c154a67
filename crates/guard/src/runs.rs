//! Runs of pipelines, as the ledger tells them: which there are, how they go, and how they ended.
//!
//! INVARIANT: nothing of a run is kept but its entries. A run whose process was killed has no outcome until the next
//! start enters that none is known, so no run goes on for ever.

use custody_ledger::{Entry, Outcome, Phase};
use custody_types::{Action, Code, Problem, ProblemKind, ProjectName, VersionName, code};
use custody_wire::{RunListReply, RunMark, RunMoment, RunQuery, RunShowReply, RunState, RunView};

use crate::act::{ActionMarker, ReadRun};
use crate::cursor;
use crate::door::Door;
use crate::grant::Grant;
use crate::problem;
use crate::session::Session;
use crate::target::ResourceRef;
use crate::view::{self, NAMED, RunFacts, read_entry};

/// How many runs a page has when nothing else is asked.
const PAGE: u64 = 20;
/// How many runs a page has at most.
const MOST_LISTED: u64 = 1_000;
/// How many rows are read at once.
const READ_AT_ONCE: usize = 256;
/// The length of an id: a UUID as text.
const ID_LENGTH: usize = 36;

/// Returns whether a text has the form of a run's id.
pub(crate) fn is_id(text: &str) -> bool {
    let good = |byte: u8| byte == b'-' || byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == ID_LENGTH && text.bytes().all(good)
}

impl Door {
    /// Asks to do `A` to the run `id`, whichever project it is of. Who may not see it is told the same as if it were
    /// not there.
    ///
    /// # Errors
    /// As [`Door::ask`]; also when there is no such run.
    pub fn ask_run<A: ActionMarker>(
        &self,
        session: &Session,
        id: &str,
    ) -> Result<Grant<A>, Problem> {
        if !is_id(id) {
            return Err(problem::no_run(id));
        }
        if let Some(fault) = self.fault() {
            return Err(fault);
        }
        match self.0.run(id)? {
            Some(run) => self.ask(session, target(id, &run)),
            None => Err(self.no_run(A::ACTION, session, id)),
        }
    }

    /// Returns whether the session's person may see the run.
    fn may_see(&self, session: &Session, id: &str, run: &RunFacts) -> bool {
        let facts = target(id, run).facts(None);
        self.0.decide(session, ReadRun::ACTION, &facts, None).permit
    }
}

fn target(id: &str, run: &RunFacts) -> ResourceRef {
    ResourceRef::Run {
        project: run.project.clone(),
        id: id.to_owned(),
    }
}

impl Grant<ReadRun> {
    /// Returns the project of the run.
    ///
    /// # Errors
    /// A [`Problem`] when the grant is for no run; a fault of the program.
    pub fn project(&self) -> Result<&ProjectName, Problem> {
        match &self.target {
            ResourceRef::Run { project, .. } => Ok(project),
            _ => Err(Problem::new(code::DOOR_010, "the grant is for no run")),
        }
    }

    /// Lists the runs that the session's person may see, newest first, a page at a time.
    ///
    /// # Errors
    /// A [`Problem`] when an entry is damaged, or the cursor is not one of this list.
    pub fn runs(&self, query: &RunQuery) -> Result<RunListReply, Problem> {
        let limit = query.limit.unwrap_or(PAGE).clamp(1, MOST_LISTED);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut before = query.after.as_deref().map(cursor::run).transpose()?;
        let mut found = Vec::new();
        // One more, to know whether there are more that the person may see.
        'pages: loop {
            let project = query.project.as_ref();
            let page = self
                .door
                .0
                .runs(project, before.as_deref(), READ_AT_ONCE.min(limit + 1))?;
            if page.is_empty() {
                break;
            }
            for (id, run) in page {
                if self.door.may_see(&self.session, &id, &run) {
                    found.push((id.clone(), run));
                }
                if found.len() > limit {
                    break 'pages;
                }
                before = Some(id);
            }
        }
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more);
        let next = next.map(|(id, _)| cursor::of_run(id));
        let views = found.iter().map(|(id, run)| self.view(id, run));
        Ok(RunListReply {
            runs: views.collect::<Result<_, _>>()?,
            next,
        })
    }

    /// Shows the run and what happened in it until now.
    ///
    /// # Errors
    /// A [`Problem`] when an entry is damaged.
    pub fn run(&self) -> Result<RunShowReply, Problem> {
        let (id, run) = self.found()?;
        Ok(RunShowReply {
            run: self.view(id, &run)?,
            moments: self.moments(None)?.0,
        })
    }

    /// Tells what happened in the run after the entry `after`, and whether it has ended.
    ///
    /// # Errors
    /// A [`Problem`] when an entry is damaged.
    pub fn moments(&self, after: Option<u64>) -> Result<(Vec<RunMoment>, bool), Problem> {
        let (id, run) = self.found()?;
        let entries = self.door.0.entries_of(&[vec![view::run(id)]])?;
        let entries = entries
            .iter()
            .filter(|(index, _)| after.is_none_or(|after| *index > after));
        let moments = entries.filter_map(|(index, entry)| self.moment(*index, entry));
        Ok((moments.collect(), run.ended.is_some()))
    }

    /// Returns how many entries the ledger has: without more of them nothing more has happened.
    pub fn ledger_size(&self) -> u64 {
        self.door.ledger_size()
    }

    fn found(&self) -> Result<(&str, RunFacts), Problem> {
        let id = match &self.target {
            ResourceRef::Run { id, .. } => id.as_str(),
            _ => return Err(Problem::new(code::DOOR_010, "the grant is for no run")),
        };
        let run = self.door.0.run(id)?;
        run.map(|run| (id, run)).ok_or_else(|| problem::no_run(id))
    }

    fn view(&self, id: &str, run: &RunFacts) -> Result<RunView, Problem> {
        let ledger = self.door.0.parts.ledger.snapshot();
        let first = read_entry(&ledger, run.entry)?;
        let last = run.ended.map(|index| read_entry(&ledger, index));
        let last = last.transpose()?;
        let person = first.subject.on_behalf_of.as_ref();
        Ok(RunView {
            id: id.to_owned(),
            project: run.project.clone(),
            state: last.as_ref().map_or(RunState::Running, state),
            actor: self
                .door
                .0
                .name_of(person.unwrap_or(&first.subject.reference)),
            started: first.ts,
            ended: last.as_ref().map(|entry| entry.ts),
            entries: (run.entry, run.ended),
            error: last.and_then(|entry| entry.error),
        })
    }

    fn moment(&self, at: u64, entry: &Entry) -> Option<RunMoment> {
        let step = || {
            let name = entry.objects.first()?.name.as_str();
            name.split_once('/').map(|(_, step)| step.to_owned())
        };
        let what = match (entry.action()?, entry.phase) {
            (Action::StartRun, Phase::Grant) => RunMark::Started,
            (Action::StartRun, Phase::Outcome) => RunMark::Ended {
                state: state(entry),
                error: entry.error.clone(),
            },
            (Action::RunStep, Phase::Grant) if entry.outcome.is_none() => {
                RunMark::StepStarted { step: step()? }
            }
            (Action::RunStep, _) => RunMark::StepEnded {
                step: step()?,
                state: state(entry),
                reused: entry.facts.contains_key("reused"),
                versions: self.made(entry),
                error: entry.error.clone(),
            },
            _ => return None,
        };
        Some(RunMoment {
            at,
            time: entry.ts,
            what,
        })
    }

    /// Names the versions that a step came to, those that the session's person may see.
    fn made(&self, entry: &Entry) -> Vec<VersionName> {
        let names = entry.facts.get(NAMED).into_iter();
        let names = names.flat_map(|names| names.split(' '));
        let names = names.filter_map(|name| name.parse::<VersionName>().ok());
        let seen = names.filter(|name| {
            let version = self.door.0.resolve(&name.clone().into()).ok().flatten();
            version.is_some_and(|version| {
                entry.lineage.outputs.contains(&version.record.digest)
                    && self.door.0.may_list(&self.session, &version)
            })
        });
        seen.collect()
    }
}

/// Returns how what an outcome is about ended.
fn state(entry: &Entry) -> RunState {
    match entry.outcome {
        None => RunState::Running,
        Some(Outcome::Ok) => RunState::Done,
        Some(Outcome::Denied) => RunState::Refused,
        Some(Outcome::Unknown) => RunState::Unknown,
        Some(Outcome::Error) => {
            let known = entry.error.as_deref().map(str::parse::<Code>);
            match known.and_then(Result::ok).map(Code::kind) {
                Some(ProblemKind::Interrupted) => RunState::Interrupted,
                Some(ProblemKind::Refused | ProblemKind::Held) => RunState::Refused,
                _ => RunState::Failed,
            }
        }
    }
}
