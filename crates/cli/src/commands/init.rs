//! `custody init`.

use custody_backends::key_file;
use custody_backends::machine::{SystemClock, SystemEntropy};
use custody_backends::workspace::{About, FOLDER, Keyring, Workspace, WorkspaceError};
use custody_crypto::key_file::{FileKey, KeyFile};
use custody_crypto::keys::{LocalKey, seal_text};
use custody_crypto::sign::SigningKey;
use custody_crypto::{KeyContext, KeyError, KeyService, Secret};
use custody_host::{key_problem, workspace_problem};
use custody_types::{Clock, Digest, Entropy, ExitCode, Problem, code};
use custody_wire::Schema;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::args::Init;
use crate::context::Context;
use crate::secrets::ask_new;

/// What was made.
#[derive(Serialize)]
struct Made {
    workspace: String,
    id: String,
    key_file: String,
    key_id: String,
    next: Vec<String>,
}

impl Schema for Made {
    const NAME: &'static str = "custody/init/1";
}

pub(crate) fn run(context: &Context, args: &Init) -> Result<ExitCode, Problem> {
    let folder = context.folder();
    if folder.join(FOLDER).join("workspace.json").exists() {
        return Err(workspace_problem(&WorkspaceError::Exists(
            folder.display().to_string(),
        )));
    }
    let (clock, entropy) = (SystemClock::start(), SystemEntropy);
    let mut random = [0; 16];
    entropy.fill(&mut random);
    let id: String = Digest::of(&random).to_hex().chars().take(16).collect();
    let key = FileKey::generate(&entropy);
    let passphrase = if args.passphrase {
        Some(passphrase(context)?)
    } else {
        None
    };
    let path = context.key_file(&id);
    let passphrase = passphrase.as_ref().map(|text| text.as_str());
    let file = KeyFile::new(key.clone(), passphrase, &entropy)
        .map_err(|error| key_problem(&error.into()))?;
    key_file::create(&path, &file, &entropy).map_err(|error| key_problem(&error))?;
    let service = LocalKey::new(
        key.id.clone(),
        key.key.clone(),
        std::sync::Arc::new(SystemEntropy),
    );
    let about = About::new(
        id.clone(),
        clock.now(),
        key.id.clone(),
        context.settings.account.clone(),
    );
    let keyring = keyring(&service, &about.binding(), &entropy).map_err(|error| {
        Problem::new(code::KEY_012, "the workspace's keys cannot be made").because(error)
    })?;
    let workspace = Workspace::create(&folder, about, &keyring).map_err(|error| {
        // A key without a workspace opens nothing.
        key_file::discard(&path);
        workspace_problem(&error)
    })?;
    let made = Made {
        workspace: workspace.root().display().to_string(),
        id,
        key_file: path.display().to_string(),
        key_id: key.id,
        next: next(&folder),
    };
    context.output.answer(made, |made, text| {
        text.line(format!("workspace {} in {}", made.id, made.workspace));
        text.line(format!("key file {}", made.key_file));
        text.line(
            "keep a copy of the key file in a safe place: without it nobody can read the data",
        );
        text.line("next:");
        for command in &made.next {
            text.line(format!("  {command}"));
        }
        Ok(())
    })?;
    Ok(ExitCode::Done)
}

/// Returns the commands that come next.
fn next(folder: &std::path::Path) -> Vec<String> {
    let begun = folder.join(custody_pipeline::file::NAME).exists();
    let next = if begun {
        [
            "custody run --dry-run                  # what the pipeline in custody.yaml will run, and why",
            "custody run                            # run it; what it makes is signed and registered",
            "custody doctor                         # what this machine offers for isolation, keys, clock, disk",
        ]
    } else {
        [
            "custody new FILE --label COLUMN        # a first project from a table: CSV, Parquet, JSON lines …",
            "custody run                            # run it, from the data to a signed model",
            "custody doctor                         # what this machine offers for isolation, keys, clock, disk",
        ]
    };
    next.map(ToOwned::to_owned).to_vec()
}

fn keyring(
    service: &dyn KeyService,
    workspace: &str,
    entropy: &dyn Entropy,
) -> Result<Keyring, KeyError> {
    let seal = |purpose, bytes: &[u8]| {
        let context = KeyContext {
            workspace: workspace.to_owned(),
            domain: String::new(),
            purpose,
            epoch: 0,
        };
        seal_text(service, &context, bytes)
    };
    let signing = SigningKey::generate().map_err(|error| KeyError::Service(error.to_string()))?;
    Ok(Keyring::new(
        seal("attest", &signing)?,
        seal("ledger", Secret::<32>::generate(entropy).expose())?,
        seal("pseudonym", Secret::<32>::generate(entropy).expose())?,
    ))
}

/// Takes the passphrase from `CUSTODY_PASSPHRASE`, or asks for it.
fn passphrase(context: &Context) -> Result<Zeroizing<String>, Problem> {
    let given = context.settings.passphrase.clone();
    match given.filter(|text| !text.is_empty()) {
        Some(passphrase) => Ok(Zeroizing::new(passphrase)),
        None => ask_new("passphrase", code::KEY_013).map_err(|problem| {
            problem.hint("set CUSTODY_PASSPHRASE, type it, or write it on standard input")
        }),
    }
}
