//! `custody cache`.

use custody_backends::environment::Environments;
use custody_host::environment_problem;
use custody_types::{ByteSize, ExitCode, Problem};
use custody_wire::Schema;
use serde::Serialize;

use crate::args::CacheClean;
use crate::context::Context;

/// An installed environment.
#[derive(Serialize)]
struct Entry {
    folder: String,
    files: u64,
    size: ByteSize,
    in_use: bool,
}

/// What is in the cache.
#[derive(Serialize)]
struct Entries {
    environments: Vec<Entry>,
}

impl Schema for Entries {
    const NAME: &'static str = "custody/cache/1";
}

/// What was removed.
#[derive(Serialize)]
struct Cleaned {
    dry_run: bool,
    removed: Vec<Entry>,
    size: ByteSize,
}

impl Schema for Cleaned {
    const NAME: &'static str = "custody/cache-clean/1";
}

fn environments(context: &Context) -> Environments {
    // What is removed need not be believed.
    Environments::new(context.settings.cache.join("environments"), None)
}

pub(crate) fn ls(context: &Context) -> Result<ExitCode, Problem> {
    let cached = environments(context)
        .cached()
        .map_err(|error| environment_problem(&error))?;
    let environments = cached.into_iter().map(|one| Entry {
        folder: one.folder.display().to_string(),
        files: one.files,
        size: one.size,
        in_use: one.in_use,
    });
    let entries = Entries {
        environments: environments.collect(),
    };
    context.output.answer(entries, |entries, text| {
        let head = ["size", "files", "in use", "folder"].map(ToOwned::to_owned);
        let mut rows = vec![head.to_vec()];
        rows.extend(entries.environments.iter().map(|one| {
            let in_use = if one.in_use { "yes" } else { "no" };
            vec![
                one.size.to_string(),
                one.files.to_string(),
                in_use.to_owned(),
                one.folder.clone(),
            ]
        }));
        text.table(&rows);
        Ok(())
    })?;
    Ok(ExitCode::Done)
}

pub(crate) fn clean(context: &Context, args: &CacheClean) -> Result<ExitCode, Problem> {
    let environments = environments(context);
    let failed = |error| environment_problem(&error);
    let (mut removed, mut bytes) = (Vec::new(), 0_u64);
    for one in environments.cached().map_err(failed)? {
        let gone = if args.dry_run {
            !one.in_use
        } else {
            environments.remove(&one).map_err(failed)?
        };
        if gone {
            bytes = bytes.saturating_add(one.size.bytes());
            removed.push(Entry {
                folder: one.folder.display().to_string(),
                files: one.files,
                size: one.size,
                in_use: false,
            });
        }
    }
    let cleaned = Cleaned {
        dry_run: args.dry_run,
        removed,
        size: ByteSize::from_bytes(bytes),
    };
    context.output.answer(cleaned, |cleaned, text| {
        let would = if cleaned.dry_run {
            "would remove"
        } else {
            "removed"
        };
        for one in &cleaned.removed {
            text.line(format!("  {would} {} ({})", one.folder, one.size));
        }
        text.line(format!(
            "{would} {} environments, {}",
            cleaned.removed.len(),
            cleaned.size
        ));
        Ok(())
    })?;
    Ok(ExitCode::Done)
}
