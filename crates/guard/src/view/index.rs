//! Finding entries: by actor, action, answer, run, resource, content and input.
//!
//! A *term* is one such word. For each term there is a row for each bundle of 256 entries in which it occurs, with
//! the places in the bundle, one byte each: entries are read by the bundle, too. The rows of a bundle are written once,
//! when it is full; the entries of the last, which is not, are looked at one by one.

use std::collections::{BTreeMap, BTreeSet};

use custody_ledger::{Entry, Outcome};
use custody_types::Digest;

use crate::view::map::{Map, ViewError};

/// How many entries a row is about.
pub(crate) const WIDTH: u64 = 256;
/// How many terms that begin alike are looked for one by one.
const MOST_ALIKE: usize = 64;

type Answer<T> = Result<T, ViewError>;

/// Terms of which an entry must have one.
pub(crate) type AnyOf = Vec<String>;

pub(crate) fn actor(pseudonym: &str) -> String {
    format!("by {pseudonym}")
}

pub(crate) fn verb(verb: &str) -> String {
    format!("act {verb}")
}

pub(crate) fn outcome(outcome: &str) -> String {
    format!("out {outcome}")
}

pub(crate) fn run(run: &str) -> String {
    format!("run {run}")
}

/// Entries that say something of a content in a project.
pub(crate) fn about(project: &str, content: &Digest) -> String {
    format!("about {project} {}", content.to_hex())
}

/// Entries of what a content went into.
pub(crate) fn input(content: &Digest) -> String {
    format!("input {}", content.to_hex())
}

fn resource(name: &str) -> String {
    // What is longer than a project alone, and what is longer than an artifact, are apart, so that few terms begin alike.
    match (name.contains('/'), name.contains('@')) {
        (false, _) => format!("project {name}"),
        (true, false) => format!("artifact {name}"),
        (true, true) => format!("version {name}"),
    }
}

/// Returns how an answer is called.
pub(crate) const fn outcome_name(outcome: Option<Outcome>) -> &'static str {
    match outcome {
        Some(Outcome::Ok) => "ok",
        Some(Outcome::Denied) => "denied",
        Some(Outcome::Error) => "error",
        Some(Outcome::Unknown) => "unknown",
        None => "",
    }
}

fn terms(entry: &Entry) -> BTreeSet<String> {
    let mut terms = BTreeSet::from([actor(&entry.subject.reference), verb(&entry.verb)]);
    terms.extend(entry.subject.on_behalf_of.as_deref().map(actor));
    terms.extend(entry.subject.by.as_deref().map(actor));
    terms.extend(entry.lineage.run.as_deref().map(run));
    if entry.outcome.is_some() {
        terms.insert(outcome(outcome_name(entry.outcome)));
    }
    for object in &entry.objects {
        let name = object.name.as_str();
        let artifact = name.split_once('@').map_or(name, |(artifact, _)| artifact);
        let project = artifact
            .split_once('/')
            .map_or(artifact, |(project, _)| project);
        terms.extend([name, artifact, project].map(resource));
    }
    let content = entry.objects.first().and_then(|object| object.digest);
    if let (Some(Outcome::Ok), Some(project), Some(content)) =
        (entry.outcome, &entry.project, content)
    {
        terms.insert(about(project, &content));
    }
    terms.extend(entry.lineage.inputs.iter().map(input));
    terms
}

fn beginning(term: &str) -> String {
    format!("entries {term} ")
}

fn row_of(term: &str, bundle: u64) -> String {
    format!("{}{bundle:016}", beginning(term))
}

/// Takes in the entries of a full bundle.
pub(crate) fn enter<'e>(
    map: &mut Map<'_>,
    entries: impl Iterator<Item = (u64, &'e Entry)>,
) -> Answer<()> {
    let mut rows: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for (index, entry) in entries {
        // The last byte of the index is its place: a bundle has 256 entries.
        let [.., place] = index.to_be_bytes();
        for term in terms(entry) {
            let row = rows.entry(row_of(&term, index / WIDTH)).or_default();
            row.push(place);
        }
    }
    rows.into_iter()
        .try_for_each(|(key, places)| map.put(&key, places))
}

/// Returns whether an entry has one term of each of `all`.
pub(crate) fn has(entry: &Entry, all: &[AnyOf]) -> bool {
    let terms = terms(entry);
    all.iter()
        .all(|any| any.iter().any(|term| terms.contains(term)))
}

/// Returns terms of which every entry has one that is about a resource whose name begins with `name`, or is that of a
/// version; none: there are too many.
pub(crate) fn resources(map: &mut Map<'_>, name: &str) -> Answer<Option<AnyOf>> {
    if name.contains('@') {
        return Ok(Some(vec![resource(name)]));
    }
    let prefix = format!("entries {}", resource(name));
    let mut terms: AnyOf = Vec::new();
    let mut at = prefix.clone();
    while let Some(row) = map.after(&at)?.filter(|row| row.key.starts_with(&prefix)) {
        let Some((term, _)) = row.key.rsplit_once(' ') else {
            return Err(ViewError::Wrong("a row names no entries"));
        };
        if terms.len() == MOST_ALIKE {
            return Ok(None);
        }
        at = format!("{term} ~");
        terms.extend(term.strip_prefix("entries ").map(ToOwned::to_owned));
    }
    Ok(Some(terms))
}

/// Returns the places of the newest entries of full bundles before `end` that have one term of each of `all`, newest
/// first, in at most one bundle; none: there are no more. `all` is not empty.
pub(crate) fn newest(map: &mut Map<'_>, all: &[AnyOf], end: u64) -> Answer<Option<Vec<u64>>> {
    let mut end = end;
    'bundles: while let Some(last) = end.checked_sub(1) {
        let mut bundle = last / WIDTH;
        for terms in all {
            let mut found = None;
            for term in terms {
                found = found.max(last_bundle(map, term, bundle)?);
            }
            let Some(found) = found else {
                return Ok(None);
            };
            if found < bundle {
                // The others need not have anything after it.
                bundle = found;
                end = (bundle + 1) * WIDTH;
                continue 'bundles;
            }
        }
        let mut places: Option<BTreeSet<u8>> = None;
        for terms in all {
            let mut these = BTreeSet::new();
            for term in terms {
                these.extend(map.get(&row_of(term, bundle))?.into_iter().flatten());
            }
            places = Some(match places {
                Some(places) => &places & &these,
                None => these,
            });
        }
        let places = places.into_iter().flatten().rev();
        let places = places.map(|place| bundle * WIDTH + u64::from(place));
        let places: Vec<_> = places.filter(|place| *place < end).collect();
        if !places.is_empty() {
            return Ok(Some(places));
        }
        end = bundle * WIDTH;
    }
    Ok(None)
}

/// Returns the last bundle up to `bundle` in which a term occurs.
fn last_bundle(map: &mut Map<'_>, term: &str, bundle: u64) -> Answer<Option<u64>> {
    let row = map.before(&row_of(term, bundle + 1))?;
    let Some(row) = row.filter(|row| row.key.starts_with(&beginning(term))) else {
        return Ok(None);
    };
    let number = row
        .key
        .rsplit(' ')
        .next()
        .and_then(|text| text.parse().ok());
    number
        .map(Some)
        .ok_or(ViewError::Wrong("a row names no entries"))
}
