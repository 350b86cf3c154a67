//! The view of the ledger: what its entries say, kept so that nobody needs to read them all.
//!
//! Which versions and runs there are, where aliases point, what is in quarantine and why, what was approved, scanned and
//! checked, which policies and rules are in force, what steps made, and which entries are about what.
//!
//! INVARIANT: it decides nothing of its own. It follows from the entries alone, is applied entry by entry in the order
//! of the ledger, with its position in the same transaction, and can be made anew from them at any time. Its root is
//! authenticated by a key of the workspace and bound to a checkpoint of the ledger; every row is compared with the root
//! when it is read ([`map`]). What is not as it was written is made anew before anything is decided.
//!
//! CRASH: between an entry and the view, the view lags; whoever asks next applies what is missing.

mod apply;
mod index;
mod key;
mod map;
mod rows;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use custody_crypto::{Secret, pseudonym};
use custody_ledger::{Entry, LedgerError, Snapshot};
use custody_store::{CatalogError, MemoryRows, StoreError};
use custody_tlog::checkpoint::Checkpoint;
use custody_types::{
    Action, Alias, ArtifactName, Digest, Problem, ProjectName, Selector, VersionName,
    VersionNumber, code,
};
use serde::{Deserialize, Serialize};

use crate::door::{Inner, lock};
use crate::problem;
pub(crate) use apply::{
    ALIAS, CODE_STEP, CONTRACT, ENDORSES, FINDINGS, HELD, NAMED, QUARANTINE, REJECTED, RELEASE,
    REMOVED, SCAN_FACT, SHREDDED, WAITS, judges, record_of, statements,
};
pub(crate) use index::{AnyOf, WIDTH, about, actor, has, input, outcome, outcome_name, run, verb};
use map::{Map, Tree, ViewError};
pub use rows::Waiver;
pub(crate) use rows::{Contract, Endorsement, Hold, Listed, RunFacts, Shredded};

/// The format of the view; one of another format is made anew.
const FORMAT: u8 = 3;
/// The use of the key that authenticates the root.
const ROOT_KEY: &str = "custody 2026 the view of the ledger";
/// How many entries are applied in one transaction at most: four bundles.
const AT_ONCE: u64 = 4 * WIDTH;

/// The root, as it is written.
#[derive(Debug, Serialize, Deserialize)]
struct Root {
    v: u8,
    /// How many entries are applied.
    position: u64,
    /// A signed checkpoint over them and perhaps more.
    checkpoint: String,
    /// The root of the tree over the rows.
    tree: Digest,
}

/// How far the view goes, with what was read of it.
#[derive(Debug)]
struct Reached {
    position: u64,
    tree: Tree,
}

/// The view of the ledger. Every use of it applies first what the ledger has more.
#[derive(Debug)]
pub(crate) struct LedgerView {
    key: Secret<32>,
    /// None: it was not read yet, or the last write failed.
    reached: Option<Reached>,
    /// What was noticed in a row that was used, and is to be told: the view was made anew since.
    noticed: Option<&'static str>,
}

/// What was found of the view that an earlier process left.
#[derive(Debug)]
pub(crate) enum Found {
    /// It is that of this ledger.
    Sound,
    /// There is none, or it is of no use.
    Nothing,
    /// It knows more entries than the ledger has.
    Newer(LedgerError),
}

type Answer<T> = Result<T, ViewError>;

/// An entry with its place.
type Placed = (u64, Entry);

impl LedgerView {
    pub(crate) fn new(pseudonyms: &Secret<32>) -> Self {
        Self {
            key: pseudonyms.derive(ROOT_KEY),
            reached: None,
            noticed: None,
        }
    }

    fn sealed(&self, root: &Root) -> Answer<String> {
        let text = serde_json::to_string(root)
            .map_err(|_| ViewError::Wrong("the root cannot be written"))?;
        Ok(format!("{}\n{text}", pseudonym(&self.key, &text)))
    }

    fn opened(&self, text: &str) -> Option<Root> {
        let (tag, text) = text.split_once('\n')?;
        let root: Root = serde_json::from_str(text).ok()?;
        (tag == pseudonym(&self.key, text) && root.v == FORMAT).then_some(root)
    }
}

fn wrong(error: ViewError) -> Problem {
    problem::store(&match error {
        ViewError::Catalog(error) => StoreError::from(error),
        ViewError::Wrong(because) => StoreError::from(CatalogError::Damaged {
            because: because.to_owned(),
        }),
    })
}

/// Tells what entries say that cannot be read.
fn unread_in(entries: &[Placed]) -> impl Iterator<Item = String> {
    let each = entries.iter();
    each.flat_map(|(index, entry)| apply::unread(*index, entry))
}

/// Tells of each version whose name another one has, and whose content no other version of its artifact has.
fn doubled(map: &mut Map<'_>) -> Answer<Vec<String>> {
    let mut told = Vec::new();
    for (name, facts) in rows::overtaken(map, None)? {
        let artifact = &name.artifact;
        let same = rows::with_content(map, artifact.project(), &facts.digest)?;
        let later = rows::version(map, &name)?.map(|later| later.entry);
        if let Some(later) = later
            && !same.iter().any(|same| same.artifact == *artifact)
        {
            told.push(format!(
                "the entries {} and {later} name two versions `{name}`: it means the later, and the other is `{artifact}@{}`; take that one out with `custody get` and put it again, which gives it a name of its own",
                facts.entry, facts.digest
            ));
        }
    }
    Ok(told)
}

impl Inner {
    /// Reads the root that an earlier process left.
    pub(crate) fn open_view(&self) -> Result<Found, Problem> {
        let mut view = lock(&self.view);
        view.reached = None;
        let mut text = None;
        let read = self.parts.store.catalog().view(&mut |rows| {
            text = rows.root()?;
            Ok(false)
        });
        match read {
            Ok(()) => {}
            Err(CatalogError::Damaged { .. }) => return Ok(Found::Nothing),
            Err(error) => return Err(wrong(ViewError::Catalog(error))),
        }
        let Some(root) = text.and_then(|text| view.opened(&text)) else {
            return Ok(Found::Nothing);
        };
        let ledger = self.parts.ledger.snapshot();
        match ledger.extends(&root.checkpoint) {
            Ok(()) => {}
            Err(error @ LedgerError::RolledBack { .. }) => return Ok(Found::Newer(error)),
            Err(LedgerError::Damaged { .. }) => return Ok(Found::Nothing),
            Err(error) => return Err(problem::ledger(&error)),
        }
        let covered = Checkpoint::open(&root.checkpoint, ledger.verifier());
        if covered.map_or(0, |checkpoint| checkpoint.size) < root.position {
            return Ok(Found::Nothing);
        }
        view.reached = Some(Reached {
            position: root.position,
            tree: Tree::of_root(root.tree),
        });
        Ok(Found::Sound)
    }

    /// Makes the view anew from the entries of the ledger.
    pub(crate) fn make_view_anew(&self) -> Result<(), Problem> {
        self.anew(&mut lock(&self.view))
    }

    fn anew(&self, view: &mut LedgerView) -> Result<(), Problem> {
        view.reached = None;
        let cleared = self.parts.store.catalog().view(&mut |rows| {
            rows.clear()?;
            Ok(true)
        });
        cleared.map_err(|error| wrong(ViewError::Catalog(error)))?;
        view.reached = Some(Reached {
            position: 0,
            tree: Tree::default(),
        });
        self.catch_up(view)?.map_err(wrong)
    }

    /// Applies the entries that the view has not. The inner error: it is to be made anew.
    fn catch_up(&self, view: &mut LedgerView) -> Result<Answer<()>, Problem> {
        loop {
            let Some(reached) = &view.reached else {
                return Ok(Err(ViewError::Wrong("it broke off")));
            };
            let position = reached.position;
            if position >= self.parts.ledger.size() {
                return Ok(Ok(()));
            }
            let ledger = self.parts.ledger.snapshot();
            // It ends where a bundle does, or the ledger.
            let end = (position / AT_ONCE + 1) * AT_ONCE;
            let entries = read_entries(&ledger, position, end)?;
            let start = position / WIDTH * WIDTH;
            let fills = end.min(ledger.size()) >= start + WIDTH;
            let earlier = read_entries(&ledger, start, if fills { position } else { start })?;
            match self.apply(view, (&earlier, &entries), ledger.checkpoint()) {
                Ok(()) => {}
                Err(ViewError::Catalog(error)) => return Err(wrong(ViewError::Catalog(error))),
                Err(error) => {
                    if let ViewError::Wrong(because) = error {
                        view.noticed = Some(because);
                    }
                    return Ok(Err(error));
                }
            }
        }
    }

    fn apply(
        &self,
        view: &mut LedgerView,
        (earlier, entries): (&[Placed], &[Placed]),
        checkpoint: &str,
    ) -> Answer<()> {
        // Where it breaks off, what is in memory is worth nothing; it is read again.
        let Some(Reached { position, mut tree }) = view.reached.take() else {
            return Err(ViewError::Wrong("it broke off"));
        };
        let position = position + entries.len() as u64;
        let mut applied: Answer<()> = Ok(());
        let kept = self.parts.store.catalog().view(&mut |rows| {
            applied = (|| {
                let mut map = Map::new(&mut tree, rows);
                apply::entries(&mut map, earlier, entries)?;
                map.finish()?;
                let root = Root {
                    v: FORMAT,
                    position,
                    checkpoint: checkpoint.to_owned(),
                    tree: tree.root(),
                };
                Ok(rows.set_root(&view.sealed(&root)?)?)
            })();
            Ok(applied.is_ok())
        });
        applied?;
        kept?;
        view.reached = Some(Reached { position, tree });
        Ok(())
    }

    /// Asks the view, as the ledger is now. Where a row is not what was written, the view is made anew and asked again.
    fn ask_view<T>(&self, mut ask: impl FnMut(&mut Map<'_>) -> Answer<T>) -> Result<T, Problem> {
        let mut view = lock(&self.view);
        if view.reached.is_none() {
            drop(view);
            if !matches!(self.open_view()?, Found::Sound) {
                self.make_view_anew()?;
            }
            view = lock(&self.view);
        }
        if self.catch_up(&mut view)?.is_err() {
            self.anew(&mut view)?;
        }
        match self.read_view(&mut view, &mut ask) {
            Err(ViewError::Wrong(because)) => {
                if view.reached.is_some() {
                    view.noticed = Some(because);
                }
                self.anew(&mut view)?;
                self.read_view(&mut view, &mut ask).map_err(wrong)
            }
            answer => answer.map_err(wrong),
        }
    }

    fn read_view<T>(
        &self,
        view: &mut LedgerView,
        ask: &mut dyn FnMut(&mut Map<'_>) -> Answer<T>,
    ) -> Answer<T> {
        let Some(reached) = &mut view.reached else {
            return Err(ViewError::Wrong("it broke off"));
        };
        let mut answer = Err(ViewError::Wrong("it was not asked"));
        self.parts.store.catalog().view(&mut |rows| {
            answer = ask(&mut Map::new(&mut reached.tree, rows));
            Ok(false)
        })?;
        answer
    }

    /// Compares all rows with what the entries say. Returns the names of the versions and what differs.
    pub(crate) fn check_view(&self) -> Result<(BTreeMap<Digest, u64>, Vec<String>), Problem> {
        let ledger = self.parts.ledger.snapshot();
        let memory = MemoryRows::default();
        let mut tree = Tree::default();
        let mut map = Map::new(&mut tree, &memory);
        let (mut at, mut unread) = (0, Vec::new());
        while at + AT_ONCE <= ledger.size() {
            let entries = read_entries(&ledger, at, at + AT_ONCE)?;
            apply::entries(&mut map, &[], &entries).map_err(wrong)?;
            unread.extend(unread_in(&entries));
            at += AT_ONCE;
        }
        // It may have been mended by who asked before; it is compared as it is, up to the entry that it has reached.
        let mut view = lock(&self.view);
        let caught_up = self.catch_up(&mut view)?;
        let ledger = self.parts.ledger.snapshot();
        let reached = view.reached.as_ref();
        let position = reached.map_or(ledger.size(), |reached| reached.position);
        while at < position {
            let end = position.min(at + AT_ONCE);
            let entries = read_entries(&ledger, at, end)?;
            apply::entries(&mut map, &[], &entries).map_err(wrong)?;
            unread.extend(unread_in(&entries));
            at = end;
        }
        let valid = rows::records(&mut map).map_err(wrong)?;
        let doubled = doubled(&mut map).map_err(wrong)?;
        map.finish().map_err(wrong)?;
        let noticed = view.noticed.take().into_iter();
        let mut differing: Vec<_> = noticed
            .map(|because| {
                format!("the index differs from the ledger: {because}; it was made anew")
            })
            .collect();
        let more = unread.len().saturating_sub(MOST_TOLD);
        differing.extend(unread.into_iter().take(MOST_TOLD));
        if more > 0 {
            differing.push(format!("{more} more facts of entries cannot be read"));
        }
        differing.extend(doubled);
        if caught_up.is_err() {
            differing.push("the index lags behind the ledger and cannot go on".to_owned());
        }
        let Some(reached) = &mut view.reached else {
            return Ok((valid, differing));
        };
        // Nodes that were read before are compared with the disk too.
        let mut fresh = Tree::of_root(reached.tree.root());
        let mut all = Ok(BTreeMap::new());
        let read = self.parts.store.catalog().view(&mut |rows| {
            all = Map::new(&mut fresh, rows).all();
            Ok(false)
        });
        read.map_err(|error| wrong(ViewError::Catalog(error)))?;
        match all {
            Err(ViewError::Catalog(error)) => return Err(wrong(ViewError::Catalog(error))),
            Err(ViewError::Wrong(because)) => {
                differing.push(format!("the index differs from the ledger: {because}"));
            }
            Ok(all) => {
                let expected = memory.all();
                let keys = all.keys().chain(expected.keys());
                let unlike = keys.filter(|key| all.get(*key) != expected.get(*key));
                let unlike: std::collections::BTreeSet<_> = unlike.collect();
                differing.extend(
                    unlike
                        .iter()
                        .take(MOST_TOLD)
                        .map(|key| format!("the index and the ledger differ on `{key}`")),
                );
            }
        }
        Ok((valid, differing))
    }

    /// Finds the version that a selector of an artifact means, and whether it is in quarantine.
    pub(crate) fn find_version(
        &self,
        artifact: &ArtifactName,
        selector: &Selector,
    ) -> Result<Option<Listed>, Problem> {
        self.ask_view(|map| {
            let found = rows::resolve(map, artifact, selector)?;
            let Some((name, facts)) = found else {
                return Ok(None);
            };
            let held = rows::is_held(map, &name, &facts.digest)?;
            Ok(Some((name, facts, held)))
        })
    }

    /// Lists versions in the order of artifact and number, at most `most`.
    pub(crate) fn list_versions(
        &self,
        of: (Option<&ProjectName>, Option<&ArtifactName>),
        held: bool,
        after: Option<&VersionName>,
        most: usize,
    ) -> Result<Vec<Listed>, Problem> {
        self.ask_view(|map| rows::list(map, of, held, after, most))
    }

    /// Lists the projects that come after one, in order, at most `most`.
    pub(crate) fn projects(
        &self,
        after: Option<&ProjectName>,
        most: usize,
    ) -> Result<Vec<ProjectName>, Problem> {
        self.ask_view(|map| rows::projects(map, after, most))
    }

    /// Lists the artifacts of a project that come after one, in order, at most `most`.
    pub(crate) fn artifacts(
        &self,
        project: &ProjectName,
        after: Option<&ArtifactName>,
        most: usize,
    ) -> Result<Vec<ArtifactName>, Problem> {
        self.ask_view(|map| rows::artifacts(map, project, after, most))
    }

    /// Returns what the ledger says of a run.
    pub(crate) fn run(&self, id: &str) -> Result<Option<RunFacts>, Problem> {
        self.ask_view(|map| rows::run(map, id))
    }

    /// Lists the runs before one, the newest first, at most `most`.
    pub(crate) fn runs(
        &self,
        project: Option<&ProjectName>,
        before: Option<&str>,
        most: usize,
    ) -> Result<Vec<(String, RunFacts)>, Problem> {
        self.ask_view(|map| rows::runs(map, project, before, most))
    }

    /// Returns the highest number of an artifact.
    pub(crate) fn highest(&self, artifact: &ArtifactName) -> Result<Option<VersionName>, Problem> {
        self.ask_view(|map| rows::highest(map, artifact))
    }

    /// Returns the entry that makes a version record valid, if one does.
    pub(crate) fn entry_of(&self, record: &Digest) -> Result<Option<u64>, Problem> {
        self.ask_view(|map| rows::entry_of(map, record))
    }

    /// Lists the version records that are valid, with their entries.
    pub(crate) fn valid_records(&self) -> Result<BTreeMap<Digest, u64>, Problem> {
        self.ask_view(rows::records)
    }

    /// Returns the aliases of an artifact.
    pub(crate) fn aliases(
        &self,
        artifact: &ArtifactName,
    ) -> Result<BTreeMap<Alias, VersionNumber>, Problem> {
        self.ask_view(|map| rows::aliases(map, artifact))
    }

    /// Lists the versions of a project that have a content.
    pub(crate) fn names_of(
        &self,
        project: &ProjectName,
        content: &Digest,
    ) -> Result<Vec<VersionName>, Problem> {
        self.ask_view(|map| rows::with_content(map, project, content))
    }

    /// Returns whether a version with this content is held: by its scan or for its content.
    pub(crate) fn is_held(&self, name: &VersionName, content: &Digest) -> Result<bool, Problem> {
        self.ask_view(|map| rows::is_held(map, name, content))
    }

    /// Returns whether a scan holds a version.
    pub(crate) fn scan_holds(&self, name: &VersionName) -> Result<bool, Problem> {
        self.ask_view(|map| rows::waits(map, name))
    }

    /// Returns the rejection of a version, if it was rejected.
    pub(crate) fn rejection(&self, name: &VersionName) -> Result<Option<Waiver>, Problem> {
        self.ask_view(|map| rows::rejection(map, name))
    }

    /// Returns the entry by which the bytes of a version were taken away, if they were.
    pub(crate) fn removal(&self, name: &VersionName) -> Result<Option<u64>, Problem> {
        self.ask_view(|map| rows::removal(map, name))
    }

    /// Lists the approvals of a gate's decision, by what they bind.
    pub(crate) fn endorsements(&self, bound: &Digest) -> Result<Vec<Endorsement>, Problem> {
        self.ask_view(|map| rows::endorsements(map, bound))
    }

    /// Returns the step of time of the last code by which an account signed in, by its pseudonym.
    pub(crate) fn last_code(&self, account: &str) -> Result<Option<u64>, Problem> {
        self.ask_view(|map| rows::last_code(map, account))
    }

    /// Returns what the ledger says of a project's being shredded, if it was.
    pub(crate) fn shredded(&self, project: &ProjectName) -> Result<Option<Shredded>, Problem> {
        self.ask_view(|map| rows::shredded(map, project))
    }

    /// Lists the projects that were shredded.
    pub(crate) fn all_shredded(&self) -> Result<Vec<(ProjectName, Shredded)>, Problem> {
        self.ask_view(rows::all_shredded)
    }

    /// Returns why a content is held in a project, if it is.
    pub(crate) fn hold(
        &self,
        project: &ProjectName,
        content: &Digest,
    ) -> Result<Option<Hold>, Problem> {
        self.ask_view(|map| rows::hold(map, project, content))
    }

    /// Lists the contents that are held in a project.
    pub(crate) fn held_contents(&self, project: &ProjectName) -> Result<Vec<Digest>, Problem> {
        self.ask_view(|map| rows::held_contents(map, project))
    }

    /// Returns what the last contract said of a content.
    pub(crate) fn last_contract(
        &self,
        project: &ProjectName,
        content: &Digest,
    ) -> Result<Option<Contract>, Problem> {
        self.ask_view(|map| rows::contract(map, project, content))
    }

    /// Returns whether findings in a content were approved in a project.
    pub(crate) fn was_approved(
        &self,
        project: &ProjectName,
        content: &Digest,
        findings: &Digest,
    ) -> Result<bool, Problem> {
        let found = self.ask_view(|map| rows::approval(map, project, content, findings))?;
        Ok(found.is_some())
    }

    /// Returns whether findings in a content are approved in a project, under the policies in force.
    pub(crate) fn is_approved(
        &self,
        project: &ProjectName,
        content: &Digest,
        findings: &Digest,
    ) -> Result<bool, Problem> {
        let found = self.ask_view(|map| {
            let found = rows::approval(map, project, content, findings)?;
            rows::unless_void(map, found)
        })?;
        Ok(found.is_some())
    }

    /// Returns the approval of a content for all that it breaks the contract of a step key, if there is one; `void`: also
    /// one that no longer counts.
    pub(crate) fn waiver(
        &self,
        project: &ProjectName,
        content: &Digest,
        step_key: &Digest,
        void: bool,
    ) -> Result<Option<Waiver>, Problem> {
        self.ask_view(|map| {
            let found = rows::waiver(map, project, content, step_key)?;
            if void {
                return Ok(found);
            }
            rows::unless_void(map, found)
        })
    }

    /// Returns the statement of the last scan of a version.
    pub(crate) fn scan_of(&self, name: &VersionName) -> Result<Option<Digest>, Problem> {
        self.ask_view(|map| rows::scan(map, name))
    }

    /// Returns the statement of the last success of a step.
    pub(crate) fn step(
        &self,
        project: &ProjectName,
        step_key: &Digest,
    ) -> Result<Option<Digest>, Problem> {
        self.ask_view(|map| rows::step(map, project, step_key))
    }

    /// Returns the record of the version that the last `change` made: of the policies, the accounts or the rules.
    pub(crate) fn in_force(&self, change: Action) -> Result<Option<Digest>, Problem> {
        self.ask_view(|map| rows::in_force(map, change))
    }

    /// Lists the entries of the grants that have no outcome.
    pub(crate) fn open_grants(&self) -> Result<Vec<u64>, Problem> {
        self.ask_view(|map| Ok(rows::open_grants(map)?.into_values().collect()))
    }

    /// Returns terms of which every entry about a resource of this name has one; see [`index::resources`].
    pub(crate) fn resource_terms(&self, name: &str) -> Result<Option<AnyOf>, Problem> {
        self.ask_view(|map| index::resources(map, name))
    }

    /// Returns the places of the newest entries of full bundles before `end` that have one term of each of `all`,
    /// newest first; none: there are no more.
    pub(crate) fn newest(&self, all: &[AnyOf], end: u64) -> Result<Option<Vec<u64>>, Problem> {
        self.ask_view(|map| index::newest(map, all, end))
    }
}

/// How many differences are told.
const MOST_TOLD: usize = 20;

/// Reads the entries from `start` to `end`.
pub(crate) fn read_entries(
    ledger: &Snapshot,
    start: u64,
    end: u64,
) -> Result<Vec<(u64, Entry)>, Problem> {
    let (mut entries, mut unread) = (Vec::new(), None);
    ledger
        .entries(start, end, &mut |index, bytes| {
            match parsed(index, bytes) {
                Ok(entry) => entries.push((index, entry)),
                Err(problem) => unread = Some(problem),
            }
            unread.is_none()
        })
        .map_err(|error| problem::ledger(&error))?;
    unread.map_or(Ok(entries), Err)
}

/// Reads one entry.
pub(crate) fn read_entry(ledger: &Snapshot, index: u64) -> Result<Entry, Problem> {
    let bytes = ledger.entry(index);
    let bytes = bytes.map_err(|error| problem::ledger(&error))?;
    parsed(index, &bytes)
}

/// Reads an entry from its bytes.
pub(crate) fn parsed(index: u64, bytes: &[u8]) -> Result<Entry, Problem> {
    let unreadable = |because: String| {
        Problem::new(code::LEDGER_005, format!("entry {index} cannot be read")).because(because)
    };
    Entry::parse(bytes).map_err(unreadable)
}
