//! A workspace that was put back: told at every question, until a person accepts it.

use std::collections::BTreeMap;

use custody_ledger::Outcome;
use custody_tlog::checkpoint::Checkpoint;
use custody_types::{ArtifactName, Digest, Problem, Timestamp, code};
use custody_wire::EntryRef;
use serde::Serialize;

use crate::act::AcceptRollback;
use crate::door::{Door, Index, POLICY};
use crate::grant::Grant;
use crate::problem::is_reason;
use crate::session::Session;
use crate::target::ResourceRef;
use crate::view;

/// The predicate type of the statement that accepts an older state of the ledger.
pub const ROLLBACK: &str = "https://custody.dev/rollback/v1";
/// How much of what was kept is repeated in the statement, in characters.
const MOST_KEPT: usize = 4000;

/// The predicate [`ROLLBACK`].
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Rollback {
    accepted_by: String,
    reason: String,
    /// The checkpoint that was seen before, as it was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    seen: Option<String>,
    /// The checkpoint from which the ledger goes on.
    found: String,
    accepted_on: Timestamp,
}

impl Door {
    /// Accepts that the ledger is not the one that was here before, and goes on with it. `workspace`: the
    /// workspace's id, repeated by the person who accepts it. The ledger says who accepted what, and why.
    ///
    /// # Errors
    /// A [`Problem`] when the policy refuses, there is nothing to accept, the id is another's, or the reason
    /// is missing; everything is refused as before then.
    pub fn accept_rollback(
        &self,
        session: &Session,
        workspace: &str,
        reason: &str,
    ) -> Result<EntryRef, Problem> {
        let _changing = crate::door::lock(&self.0.changing);
        if self.fault().is_none() {
            let grant = self.ask::<AcceptRollback>(session, ResourceRef::Ledger)?;
            grant.fail(code::LEDGER_009);
            return Err(Problem::new(
                code::LEDGER_009,
                "there is nothing to accept: the ledger goes on from what was seen before",
            )
            .hint("look with `custody ledger verify`"));
        }
        self.check_meant(workspace, reason)?;
        // The index is a cache; the policies are those of the ledger that is accepted.
        self.start(Index::MadeAnew)?;
        let grant = self.ask::<AcceptRollback>(session, ResourceRef::Ledger)?;
        grant.accept(reason)
    }

    /// Checks that a person repeated the id of the workspace, to say that they mean this one, and gave a reason.
    pub(crate) fn check_meant(&self, workspace: &str, reason: &str) -> Result<(), Problem> {
        let id = self.workspace_id();
        if workspace != id {
            return Err(Problem::new(
                code::LEDGER_011,
                format!("`{workspace}` is not the id of this workspace"),
            )
            .hint(format!(
                "repeat its id, to say that you mean this one: `{id}`"
            )));
        }
        if !is_reason(reason) {
            return Err(
                Problem::new(code::LEDGER_012, "it needs a reason of at most 2000 bytes")
                    .hint("say with `--reason` what happened"),
            );
        }
        Ok(())
    }
}

impl Grant<AcceptRollback> {
    fn accept(mut self, reason: &str) -> Result<EntryRef, Problem> {
        let door = self.door.clone();
        let parts = &door.0.parts;
        let seen = parts.anchor.load()?;
        let found = parts.ledger.checkpoint();
        let size = |note: &str| {
            let checkpoint = Checkpoint::open(note, parts.ledger.verifier()).ok()?;
            Some((checkpoint.size, Digest::from_bytes(checkpoint.root)))
        };
        let (found_size, root) = size(&found).ok_or_else(|| {
            Problem::new(
                code::LEDGER_003,
                "the checkpoint of the ledger is not signed by this workspace's key",
            )
            .hint("see what is wrong with `custody ledger verify`")
        })?;
        let mut facts = BTreeMap::from([("found_size".to_owned(), found_size.to_string())]);
        if let Some((seen_size, seen_root)) = seen.as_deref().and_then(size) {
            facts.insert("seen_size".to_owned(), seen_size.to_string());
            facts.insert("seen_root".to_owned(), seen_root.to_string());
        }
        let statement = Rollback {
            accepted_by: door.0.pseudonym(&self.session.actor),
            reason: reason.to_owned(),
            seen: seen.map(|note| note.chars().take(MOST_KEPT).collect()),
            found,
            accepted_on: parts.clock.now(),
        };
        let envelope = door.0.seal("ledger", root, ROLLBACK, &statement)?;
        let own: ArtifactName = POLICY.parse().map_err(|error: custody_types::NameError| {
            Problem::new(code::DOOR_012, error.to_string())
        })?;
        let project = own.project();
        door.ensure_project(None, project)?;
        let mut draft = self.outcome(Outcome::Ok);
        draft.lineage.statement = Some(door.0.keep_record(project, &envelope)?);
        draft.facts = facts;
        self.finished = true;
        // CRASH: with the entry and without the new checkpoint the next start refuses as before.
        let receipt = door.0.append(draft)?;
        door.accept()?;
        Ok(EntryRef {
            index: receipt.index(),
            id: receipt.id().to_owned(),
        })
    }
}

/// Lists the entries that accepted an older state.
pub(crate) fn accepted(door: &Door) -> Result<Vec<u64>, Problem> {
    let action = view::verb(custody_types::Action::AcceptRollback.verb());
    let ok = view::outcome(view::outcome_name(Some(Outcome::Ok)));
    let found: Vec<_> = door
        .0
        .entries_of(&[vec![action], vec![ok]])?
        .into_iter()
        .filter(|(_, entry)| entry.phase == custody_ledger::Phase::Outcome)
        .map(|(index, _)| index)
        .collect();
    Ok(found)
}
