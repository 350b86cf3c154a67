//! What would run, and why.

use custody_types::{Problem, VersionName};
use custody_wire::PlannedStep;

use super::{Context, Runner};

impl Runner {
    /// Plans the steps in their order.
    pub(crate) fn plan(
        &self,
        context: &Context<'_>,
        steps: &[String],
    ) -> Result<Vec<PlannedStep>, Problem> {
        let plan = self.plan_with_reuse(context, steps)?.into_iter();
        Ok(plan.map(|(planned, _)| planned).collect())
    }

    /// Plans the steps in their order, each with what it reuses, which is known to those after it.
    pub(crate) fn plan_with_reuse(
        &self,
        context: &Context<'_>,
        steps: &[String],
    ) -> Result<Vec<(PlannedStep, Vec<VersionName>)>, Problem> {
        let mut context = context.clone();
        let mut plan: Vec<(PlannedStep, Vec<VersionName>)> = Vec::new();
        for name in steps {
            let Some(step) = context.file.steps.get(name) else {
                continue;
            };
            let needs = context.graph.needs.get(name);
            let before: Vec<_> = plan
                .iter()
                .map(|(planned, _)| planned)
                .filter(|planned| planned.runs)
                .filter(|planned| needs.is_some_and(|needs| needs.contains(&planned.step)))
                .map(|planned| planned.step.clone())
                .collect();
            let (pieces, reuse) = if before.is_empty() {
                let (inputs, reuse) = self.reusable(&context, name, step)?;
                (Some(inputs.pieces), reuse)
            } else {
                (None, None)
            };
            let (reasons, reuses) = match &reuse {
                Some(reuse) => {
                    let names = reuse.versions.values().map(|known| known.name.clone());
                    (Vec::new(), names.collect::<Vec<_>>())
                }
                None => (
                    self.reasons(&context, name, step, &before, pieces)?,
                    Vec::new(),
                ),
            };
            let names: Vec<_> = reuses.iter().map(ToString::to_string).collect();
            let planned = PlannedStep {
                step: name.clone(),
                action: step.action().to_owned(),
                runs: reuse.is_none(),
                why: match reuse {
                    Some(_) => format!("reuses {}", names.join(", ")),
                    None => reasons.join("; "),
                },
                reasons,
            };
            context
                .made
                .extend(reuse.into_iter().flat_map(|reuse| reuse.versions));
            plan.push((planned, reuses));
        }
        Ok(plan)
    }
}
