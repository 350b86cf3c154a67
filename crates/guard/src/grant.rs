//! Grants: what the door hands out.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::marker::PhantomData;
use std::sync::{Arc, Mutex};

use custody_ledger::{EntryDraft, Outcome, Phase, Receipt};
use custody_policy::ResourceFacts;
use custody_store::Version;
use custody_types::{
    Action, Alias, Code, Problem, ProjectName, VersionFiles, VersionName, VersionNumber, code,
};
use custody_wire::{EntryRef, ListQuery, ListReply, Origin, ShowReply, SigningReply, VersionView};

use crate::act::{
    ActionMarker, Export, List, MetadataAccess, ReadAccess, RebuildIndex, SetAlias, SignModel,
};
use crate::cursor;
use crate::door::{Asked, Door, who};
use crate::evidence::{Evidence, FIGURES, Scope};
use crate::problem;
use crate::session::Session;
use crate::target::{ResourceRef, author};
use crate::view::{ALIAS, SCAN_FACT, judges};

/// How many versions a page has when nothing else is asked.
const PAGE: u64 = 100;
/// How many versions a page has at most.
const MOST_LISTED: u64 = 10_000;
/// How many versions in quarantine are counted at most beside a list of the others.
const MOST_COUNTED: usize = 100;
/// How many rows are read at once.
const READ_AT_ONCE: usize = 256;

/// Leave to do `A` to one thing, entered in the ledger. Dropping it without [`Grant::finish`] enters that
/// what it was for did not succeed.
#[derive(Debug)]
pub struct Grant<A: ActionMarker> {
    pub(crate) door: Door,
    pub(crate) session: Session,
    pub(crate) target: ResourceRef,
    pub(crate) facts: ResourceFacts,
    pub(crate) version: Option<Version>,
    pub(crate) receipt: Receipt,
    /// The alias that it is for.
    pub(crate) alias: Option<Alias>,
    pub(crate) finished: bool,
    /// The other projects that its evidence entered (`true`), or found closed.
    pub(crate) entered: Mutex<BTreeMap<ProjectName, bool>>,
    pub(crate) action: PhantomData<A>,
}

impl<A: ActionMarker> Grant<A> {
    /// Returns the position of the entry that let it through.
    pub const fn entry(&self) -> u64 {
        self.receipt.index()
    }

    /// Returns the version that it is for.
    ///
    /// # Errors
    /// A [`Problem`] when it is for no version; a fault of the program.
    pub fn version(&self) -> Result<&Version, Problem> {
        self.version
            .as_ref()
            .ok_or_else(|| Problem::new(code::DOOR_010, "the grant is for no version"))
    }

    /// Checks that what it lets through may go on: the session counts, and it would be decided alike now. Somebody who takes
    /// their time may have lost the right meanwhile.
    ///
    /// # Errors
    /// A [`Problem`] that says why it ends.
    pub fn goes_on(&self) -> Result<(), Problem> {
        let inner = &self.door.0;
        inner.check_session(&self.session)?;
        let asked = Asked {
            author: author(&self.target, self.version.as_ref()),
            alias: self.alias.as_ref(),
        };
        let decision = inner.decide_asked(&self.session, A::ACTION, &self.facts, asked);
        if decision.permit {
            return Ok(());
        }
        let who = who(&self.session);
        let resource = &self.facts.resource;
        Err(problem::refused(A::ACTION, resource, &who, &decision))
    }

    /// Starts the entry of the outcome.
    pub(crate) fn outcome(&self, outcome: Outcome) -> EntryDraft {
        let mut draft = self
            .door
            .0
            .draft(&self.session, A::ACTION, Phase::Outcome, &self.facts);
        draft.outcome = Some(outcome);
        draft.relates_to = Some(self.receipt.id().to_owned());
        draft
    }

    /// Enters that it was done; the entry is written within a second.
    ///
    /// # Errors
    /// A [`Problem`] when the entry would be too large.
    pub fn finish(self) -> Result<(), Problem> {
        self.finish_with(BTreeMap::new())
    }

    /// Enters that it was done, with short facts by name.
    ///
    /// # Errors
    /// As [`Grant::finish`].
    pub fn finish_with(mut self, facts: BTreeMap<String, String>) -> Result<(), Problem> {
        self.finished = true;
        let draft = EntryDraft {
            facts,
            ..self.outcome(Outcome::Ok)
        };
        self.door.0.later(draft)
    }

    /// Enters at once that it was done, with lineage and facts, and returns the entry.
    ///
    /// # Errors
    /// A [`Problem`] when the ledger does not take it.
    pub fn conclude(mut self, done: &crate::making::StepResult) -> Result<EntryRef, Problem> {
        let door = self.door.clone();
        let project = self.facts.project.clone();
        let judged = project.filter(|_| judges(&done.facts));
        let _turn = judged.as_ref().map(|project| door.0.locks.project(project));
        self.finished = true;
        let mut draft = self.outcome(if done.ok { Outcome::Ok } else { Outcome::Error });
        draft.error = done.error;
        draft.facts.clone_from(&done.facts);
        draft.lineage.step.clone_from(&done.step);
        draft.lineage.statement = done.statement;
        draft.lineage.inputs.clone_from(&done.inputs);
        draft.lineage.outputs.clone_from(&done.outputs);
        let receipt = self.door.0.append(draft)?;
        Ok(EntryRef {
            index: receipt.index(),
            id: receipt.id().to_owned(),
        })
    }

    /// Enters that it was not done, and why.
    pub fn fail(self, code: Code) {
        self.fail_with(code, BTreeMap::new());
    }

    /// Enters that it was not done, or broke off, and why, with short facts by name.
    pub fn fail_with(mut self, code: Code, facts: BTreeMap<String, String>) {
        self.finished = true;
        let draft = EntryDraft {
            error: Some(code),
            facts,
            ..self.outcome(Outcome::Error)
        };
        // With no more than short facts it is little larger than the grant's own entry.
        let _ = self.door.0.later(draft);
    }
}

impl<A: ActionMarker> Drop for Grant<A> {
    fn drop(&mut self) {
        if !self.finished {
            let draft = EntryDraft {
                error: Some(code::DOOR_011),
                ..self.outcome(Outcome::Error)
            };
            let _ = self.door.0.later(draft);
        }
    }
}

impl<A: ReadAccess> Grant<A> {
    /// Opens the version's files.
    ///
    /// # Errors
    /// A [`Problem`] when the version is damaged, or its bytes were removed.
    pub fn files(&self) -> Result<Arc<dyn VersionFiles>, Problem> {
        self.door.0.has_bytes(self.version()?)?;
        self.door
            .0
            .parts
            .store
            .files(self.version()?)
            .map_err(|error| problem::store(&error))
    }
}

impl<A: MetadataAccess> Grant<A> {
    /// Returns the view of the records.
    pub fn evidence(&self) -> Evidence<'_> {
        Evidence {
            door: &self.door,
            session: &self.session,
            scope: Scope::Granted {
                project: self.facts.project.as_ref(),
                verifies: A::ACTION == Action::Verify,
                entered: &self.entered,
            },
        }
    }
}

impl Grant<Export> {
    /// Writes the version's files, and the model's signature beside them, as a tar stream.
    ///
    /// # Errors
    /// An I/O error when `out` fails or the version is damaged; nothing after it is sound then.
    pub fn write_tar(self, out: &mut dyn Write) -> io::Result<()> {
        const PIECE: u64 = 4 << 20;
        let files = self.files().map_err(io::Error::other)?;
        let mut tar = tar::Builder::new(out);
        let mut sent = 0;
        for file in files.files() {
            let mut header = header(file.size.bytes(), file.executable);
            let reader = RangeReader {
                files: files.as_ref(),
                path: &file.path,
                at: 0,
                end: file.size.bytes(),
                piece: PIECE,
                held: Vec::new().into_iter(),
                check: &|| self.goes_on(),
            };
            tar.append_data(&mut header, file.path.as_str(), reader)?;
            sent += file.size.bytes();
        }
        let signature = self
            .version()
            .map_err(io::Error::other)?
            .record
            .extra
            .get("signature")
            .copied();
        if let Some(digest) = signature {
            let bytes = self
                .door
                .0
                .parts
                .store
                .record(&digest)
                .map_err(io::Error::other)?;
            tar.append_data(
                &mut header(bytes.len() as u64, false),
                custody_attest::oms::FILE,
                bytes.as_slice(),
            )?;
        }
        tar.finish()?;
        drop(tar);
        self.finish_with(BTreeMap::from([("bytes".to_owned(), sent.to_string())]))
            .map_err(io::Error::other)
    }
}

fn header(size: u64, executable: bool) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_size(size);
    header.set_mode(if executable { 0o755 } else { 0o644 });
    header.set_mtime(0);
    header
}

struct RangeReader<'a> {
    files: &'a dyn VersionFiles,
    path: &'a custody_types::FilePath,
    at: u64,
    end: u64,
    piece: u64,
    held: std::vec::IntoIter<u8>,
    /// Whether whoever takes it may still have more.
    check: &'a dyn Fn() -> Result<(), Problem>,
}

impl io::Read for RangeReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.held.as_slice().is_empty() && self.at < self.end {
            (self.check)().map_err(io::Error::other)?;
            let to = self.end.min(self.at + self.piece);
            let bytes = self
                .files
                .read(self.path, self.at..to)
                .map_err(io::Error::other)?;
            self.held = Vec::from(bytes).into_iter();
            self.at = to;
        }
        let mut held = self.held.as_slice();
        let count = held.read(buffer)?;
        if count > 0 {
            self.held.nth(count - 1);
        }
        Ok(count)
    }
}

impl Grant<List> {
    /// Opens the version's files for their structure alone: what tables they are, their columns and how many rows.
    /// INVARIANT: values stay behind [`Read`](crate::Read); only `custody data schema` and the look at a pipeline file before a run call this.
    ///
    /// # Errors
    /// A [`Problem`] when the version is damaged, or its bytes were removed.
    pub fn structure(&self) -> Result<Arc<dyn VersionFiles>, Problem> {
        self.door.0.has_bytes(self.version()?)?;
        self.door
            .0
            .parts
            .store
            .files(self.version()?)
            .map_err(|error| problem::store(&error))
    }

    /// Lists the versions that match and that the session's person may see, those in quarantine or the others, a page
    /// at a time.
    ///
    /// # Errors
    /// A [`Problem`] when a record is damaged, or the cursor is not one of this list.
    pub fn views(&self, query: &ListQuery) -> Result<ListReply, Problem> {
        let limit = query.limit.unwrap_or(PAGE).clamp(1, MOST_LISTED);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let after = query.after.as_deref();
        let after = after.map(|cursor| cursor::version(cursor, query.quarantine));
        let after = after.transpose()?;
        let held_back = if query.quarantine || after.is_some() {
            0
        } else {
            self.matching(query, true, None, MOST_COUNTED)?.0.len()
        };
        // One more, to know whether there are more that the person may see.
        let (mut found, lacking) =
            self.matching(query, query.quarantine, after, limit.saturating_add(1))?;
        let more = found.len() > limit;
        found.truncate(limit);
        let last = found.last().filter(|_| more);
        Ok(ListReply {
            next: last.map(|version| cursor::of_version(&version.name(), query.quarantine)),
            versions: found
                .iter()
                .map(|version| self.evidence().view(version))
                .collect::<Result<_, _>>()?,
            held_back,
            lacking,
        })
    }

    /// Finds the first versions after `after` that match and that the session's person may see, at most `most`: those
    /// in quarantine, or the others. Says beside how many that are listed by the ledger no pack has.
    fn matching(
        &self,
        query: &ListQuery,
        held: bool,
        mut after: Option<VersionName>,
        most: usize,
    ) -> Result<(Vec<Version>, usize), Problem> {
        let inner = &self.door.0;
        let of = (query.project.as_ref(), query.artifact.as_ref());
        let (mut found, mut lacking) = (Vec::new(), 0);
        loop {
            let page = inner.list_versions(of, held, after.as_ref(), most.min(READ_AT_ONCE))?;
            if page.is_empty() {
                return Ok((found, lacking));
            }
            for listed in page {
                after = Some(listed.0.clone());
                if listed.2 != held {
                    continue;
                }
                let Some(version) = inner.read(&listed)? else {
                    let named = ResourceRef::Named(listed.0.into());
                    lacking += usize::from(inner.may_list_named(&self.session, &named));
                    continue;
                };
                let wanted = query.kind.is_none_or(|kind| version.record.kind == kind);
                if wanted && inner.may_list(&self.session, &version) {
                    found.push(version);
                }
                if found.len() == most {
                    return Ok((found, lacking));
                }
            }
        }
    }

    /// Shows the version with its files and evidence.
    ///
    /// # Errors
    /// A [`Problem`] when a record is damaged.
    pub fn show(&self) -> Result<ShowReply, Problem> {
        const MOST_LISTED: usize = 10_000;
        let version = self.version()?;
        let evidence = self.evidence();
        let files = self
            .door
            .0
            .parts
            .store
            .files(version)
            .map_err(|error| problem::store(&error))?;
        let mut told = BTreeMap::new();
        let mut withheld = Vec::new();
        let statement = version.record.statement.as_ref();
        let statement = statement.map(|digest| evidence.statement(digest));
        let statement = statement.transpose()?;
        let sees_figures = match evidence.provenance(version)? {
            Some(made) => evidence.may_read_inputs(&made)?,
            None => true,
        };
        let reads = self.door.0.may_read(&self.session, version);
        // Who decides on what a scan found must see it.
        let judges = reads || self.door.0.may_approve(&self.session, version);
        if let Some(last) = evidence.last_scan(version)?.filter(|_| judges) {
            let value = serde_json::to_value(&last.statement).map_err(|error| {
                Problem::new(code::ATTEST_003, "the scan cannot be shown").because(error)
            })?;
            told.insert(SCAN_FACT.to_owned(), value);
        }
        for (name, digest) in &version.record.extra {
            if name == SCAN_FACT || name == FIGURES && !sees_figures {
                continue;
            }
            let bytes = evidence.record(digest)?;
            let value = serde_json::from_slice(&bytes)
                .unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into_owned().into());
            told.insert(name.clone(), value);
        }
        if let Some(statement) = &statement {
            let results = statement.predicate.pointer("/runDetails/byproducts");
            let results = results.filter(|results| *results != &serde_json::json!([]));
            match results {
                Some(results) if sees_figures => {
                    told.insert("results".to_owned(), results.clone());
                }
                Some(_) => withheld.push(
                    "results: they are for who may read, for a stated purpose, what they were computed from".to_owned(),
                ),
                None => {}
            }
            let commit = "/buildDefinition/internalParameters/commit";
            let commit = statement.predicate.pointer(commit);
            told.extend(commit.map(|commit| ("commit".to_owned(), commit.clone())));
            let overrides = "/buildDefinition/externalParameters/overrides";
            let overrides = statement.predicate.pointer(overrides);
            told.extend(overrides.map(|given| ("overrides".to_owned(), given.clone())));
        }
        let origin = version
            .record
            .origin
            .clone()
            .and_then(|origin| serde_json::from_value::<Origin>(origin).ok())
            .map(|mut origin| {
                if !reads {
                    origin.files.clear();
                }
                origin
            });
        let mut listing = Vec::new();
        if reads {
            listing.extend(files.files().iter().take(MOST_LISTED).cloned());
        } else {
            withheld.push("names of files: they are for who may read the version".to_owned());
        }
        Ok(ShowReply {
            version: evidence.view(version)?,
            listing,
            withheld,
            origin,
            evidence: told,
            approvals: evidence.approvals(version)?,
        })
    }
}

impl Grant<SetAlias> {
    /// Points the alias at the grant's version. `expected`: where it must point now, if that matters.
    ///
    /// # Errors
    /// A [`Problem`] when it points elsewhere, the grant is for another alias, or the ledger does not take the entry.
    pub fn set(
        mut self,
        alias: &Alias,
        expected: Option<VersionNumber>,
    ) -> Result<EntryRef, Problem> {
        if self.alias.as_ref() != Some(alias) {
            let what = format!("the grant is not for the alias `{alias}`");
            return Err(Problem::new(code::DOOR_010, what));
        }
        let door = self.door.clone();
        let name = self.version()?.name();
        let artifacts = BTreeSet::from([name.artifact.clone()]);
        let _turn = door.0.locks.artifacts(name.artifact.project(), artifacts);
        if let Some(refused) = self.gated(alias)? {
            let mut draft = self.outcome(Outcome::Denied);
            draft.error = Some(refused.code);
            draft.facts.insert(ALIAS.to_owned(), alias.to_string());
            self.finished = true;
            door.0.append(draft)?;
            return Err(refused);
        }
        let now = door.0.aliases(&name.artifact)?.get(alias).copied();
        if let Some(expected) = expected
            && now != Some(expected)
        {
            let at = now.map_or_else(
                || "nowhere".to_owned(),
                |number| format!("at version {number}"),
            );
            return Err(Problem::new(
                code::STORE_010,
                format!("the alias `{alias}` points {at}, not at version {expected}"),
            )
            .hint("look with `custody ls`, then decide again"));
        }
        let mut draft = self.outcome(Outcome::Ok);
        draft.facts.insert(ALIAS.to_owned(), alias.to_string());
        self.finished = true;
        let receipt = door.0.append(draft)?;
        Ok(EntryRef {
            index: receipt.index(),
            id: receipt.id().to_owned(),
        })
    }
}

impl Grant<SetAlias> {
    /// Returns why the alias may not move onto the version: it is gated, and the gate was not passed by this
    /// content; or the version went into quarantine meanwhile.
    fn gated(&self, alias: &Alias) -> Result<Option<Problem>, Problem> {
        let inner = &self.door.0;
        let version = inner.confirmed(self.version()?.clone())?;
        let name = version.name();
        let refused = |because: String, hint: String| {
            Problem::new(
                code::DOOR_005,
                format!("the alias `{alias}` may not move onto `{name}`"),
            )
            .because(because)
            .hint(hint)
            .subject(&name)
        };
        if version.quarantined {
            let hint = "see what waits with `custody ls --quarantine`".to_owned();
            return Ok(Some(refused("it is in quarantine".to_owned(), hint)));
        }
        let project = version.record.artifact.project();
        if !inner.policies().is_gated(project, alias) {
            return Ok(None);
        }
        let evidence = Evidence::for_door(&self.door, &self.session);
        Ok(evidence.transition(&version).err().map(|missing| {
            refused(
                format!("`{alias}` is gated, and {}", missing.what),
                format!("{}; which aliases are gated is said in `settings.json` of the policies: `custody policy show`", missing.way_out),
            )
        }))
    }
}

impl Grant<SignModel> {
    /// Lists the version's files with their digests, which are what a signature is about.
    ///
    /// # Errors
    /// A [`Problem`] when the version is damaged.
    pub fn signable(&self) -> Result<SigningReply, Problem> {
        let version = self.version()?;
        let files = self.door.0.parts.store.files(version);
        let files = files.map_err(|error| problem::store(&error))?;
        Ok(SigningReply {
            name: version.name(),
            files: files.files().to_vec(),
        })
    }
}

impl Grant<RebuildIndex> {
    /// Rebuilds the index from the store and the ledger.
    ///
    /// # Errors
    /// A [`Problem`] when a pack is damaged or an entry names a version that no pack holds; the index has all
    /// others then.
    pub fn rebuild(self) -> Result<Vec<VersionView>, Problem> {
        if let Some(problem) = self.door.0.index_anew()? {
            self.fail(problem.code);
            return Err(problem);
        }
        let evidence = Evidence::for_door(&self.door, &self.session);
        let versions = evidence.versions()?;
        let views = versions
            .iter()
            .map(|version| evidence.view(version))
            .collect::<Result<_, _>>()?;
        self.finish()?;
        Ok(views)
    }
}
