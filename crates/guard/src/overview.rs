//! What there is at a glance: the projects, and the decisions of gates that wait for approvals.

use custody_types::{Kind, Problem, ProjectName, Reference};
use custody_wire::{ProjectQuery, ProjectsReply, WaitingReply, WaitingView};

use crate::act::{ActionMarker, List};
use crate::endorsements::When;
use crate::evidence::Evidence;
use crate::grant::Grant;
use crate::target::ResourceRef;

/// How many projects a page has when nothing else is asked, and at most.
const PAGE: u64 = 100;
const MOST_LISTED: u64 = 1_000;
/// How many projects or artifacts are read at once.
const READ_AT_ONCE: usize = 64;
/// In how many artifacts decisions are looked for.
const LOOKED_AT: usize = 2_000;

impl Grant<List> {
    /// Lists the projects in which the session's person may see something, a page at a time.
    ///
    /// # Errors
    /// A [`Problem`] when the catalog fails, or a record is damaged.
    pub fn projects(&self, query: &ProjectQuery) -> Result<ProjectsReply, Problem> {
        let limit = query.limit.unwrap_or(PAGE).clamp(1, MOST_LISTED);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut found = Vec::new();
        let mut after = query.after.clone();
        // One more, to know whether there are more that the person may see.
        while found.len() <= limit {
            let page = self.door.0.projects(after.as_ref(), READ_AT_ONCE)?;
            let Some(last) = page.last() else { break };
            after = Some(last.clone());
            for project in page {
                if self.sees_something(&project)? {
                    found.push(project);
                }
            }
        }
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).cloned();
        Ok(ProjectsReply {
            projects: found,
            next,
        })
    }

    /// Whether the policy lets the person list the project, or one of the versions that are looked at.
    fn sees_something(&self, project: &ProjectName) -> Result<bool, Problem> {
        let facts = ResourceRef::Project(project.clone()).facts(None);
        let inner = &self.door.0;
        if inner
            .decide(&self.session, List::ACTION, &facts, None)
            .permit
        {
            return Ok(true);
        }
        let listed = inner.list_versions((Some(project), None), false, None, READ_AT_ONCE)?;
        for one in &listed {
            let version = inner.read(one)?;
            if version.is_some_and(|version| inner.may_list(&self.session, &version)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Lists the decisions of gates that ask for more approvals than they have: of each gate the newest, of those that the
    /// session's person may see.
    ///
    /// # Errors
    /// A [`Problem`] when the catalog fails, or a record is damaged.
    pub fn waiting(&self) -> Result<WaitingReply, Problem> {
        let mut waiting = Vec::new();
        let (mut left, mut project) = (LOOKED_AT, None);
        while let Some(next) = self.door.0.projects(project.as_ref(), 1)?.pop() {
            let mut artifact = None;
            loop {
                let page = self
                    .door
                    .0
                    .artifacts(&next, artifact.as_ref(), READ_AT_ONCE)?;
                let Some(last) = page.last() else { break };
                artifact = Some(last.clone());
                for one in &page {
                    if left == 0 {
                        return Ok(WaitingReply {
                            waiting,
                            more: true,
                        });
                    }
                    left -= 1;
                    let newest = self.door.0.highest(one)?;
                    let found = newest.map(|name| self.wait_of(&name.into()));
                    waiting.extend(found.transpose()?.flatten());
                }
            }
            project = Some(next);
        }
        Ok(WaitingReply {
            waiting,
            more: false,
        })
    }

    /// Tells what a version waits for, if it is a decision that does.
    fn wait_of(&self, reference: &Reference) -> Result<Option<WaitingView>, Problem> {
        let inner = &self.door.0;
        let Some(version) = inner.resolve(reference)? else {
            return Ok(None);
        };
        let is_decision = version.record.kind == Kind::Report && !version.quarantined;
        if !is_decision || !inner.may_list(&self.session, &version) {
            return Ok(None);
        }
        let evidence = Evidence::for_door(&self.door, &self.session);
        let Some(asked) = evidence.asked(&version, &When::Now)? else {
            return Ok(None);
        };
        let given = evidence.endorsements(&asked, &When::Now)?;
        if given.len() >= asked.needed {
            return Ok(None);
        }
        let person = inner.pseudonym(self.session.person());
        let counts =
            !asked.requesters.contains(&person) && given.iter().all(|one| one.by != person);
        Ok(Some(WaitingView {
            name: version.name(),
            created: version.record.created,
            author: evidence.name_of(&version.record.author),
            needed: asked.needed,
            given: given.len(),
            may_approve: counts && inner.may_approve(&self.session, &version),
        }))
    }
}
