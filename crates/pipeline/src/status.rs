//! Where the steps of a project stand: what changed since they last ran, and what would run.

use std::collections::BTreeMap;

use custody_guard::{ResourceRef, Session, Trace};
use custody_types::Problem;
use custody_wire::{StatusReply, StatusRequest, StepStatus};

use crate::run::{Context, Declared, Runner, last};

impl Runner {
    /// Tells what would run, and why.
    ///
    /// # Errors
    /// A [`Problem`] when the pipeline file does not hold up, or something that it names is missing.
    pub fn status(
        &self,
        session: &Session,
        request: &StatusRequest,
    ) -> Result<StatusReply, Problem> {
        let runner = self.on(session, request.snapshot.as_ref())?;
        runner.status_declared(session, request)
    }

    fn status_declared(
        &self,
        session: &Session,
        request: &StatusRequest,
    ) -> Result<StatusReply, Problem> {
        let declared = Declared::read(self.folder.as_ref())?;
        let steps = if request.targets.is_empty() {
            declared.graph.order.clone()
        } else {
            declared.steps(&request.targets)?
        };
        let session = session.clone().or_purpose(declared.file.purpose.clone());
        let project = declared.file.project.clone();
        let target = ResourceRef::Project(project.clone());
        let grant = self.door.ask::<Trace>(&session, target)?;
        let prepared = self.prepare(&session, &declared, &steps)?;
        let context = Context {
            interrupt: self.interrupt.clone(),
            file: &declared.file,
            graph: &declared.graph,
            session: &session,
            run: String::new(),
            evidence: grant.evidence(),
            prepared: &prepared,
            made: BTreeMap::new(),
        };
        let mut told = Vec::new();
        for (planned, reuses) in self.plan_with_reuse(&context, &steps)? {
            let Some(step) = declared.file.steps.get(&planned.step) else {
                continue;
            };
            let last = last(&context, &planned.step, step)?;
            let record = last.as_ref().map(|last| &last.version.record);
            told.push(StepStatus {
                manual: step.is_manual(),
                reuses,
                last: last.as_ref().map(|last| last.version.name()),
                last_made: record.map(|record| record.created.to_seconds_text()),
                last_run: record.and_then(|record| record.run.clone()),
                step: planned.step,
                action: planned.action,
                runs: planned.runs,
                reasons: planned.reasons,
            });
        }
        let reply = StatusReply {
            project: project.to_string(),
            notes: prepared.notes.clone(),
            steps: told,
        };
        grant.finish()?;
        Ok(reply)
    }
}
