//! `custody keys`.

use custody_types::{ExitCode, Problem, code, counted};
use custody_wire::{KeysReply, PassphraseRequest, RotateKeysRequest};
use zeroize::Zeroizing;

use crate::args::{KeysPassphrase, KeysRotate};
use crate::context::Context;
use crate::secrets::ask_new;

pub(crate) fn status(context: &Context) -> Result<ExitCode, Problem> {
    let reply = context.client()?.keys()?;
    context.output.answer(reply, |reply, text| {
        let place = if reply.is_under_passphrase {
            "in a key file under a passphrase"
        } else {
            "in a key file in clear"
        };
        text.line(format!("key-encryption key {}, {place}", reply.key));
        text.line(format!("  {}", since(reply)));
        if reply.is_between {
            text.line(
                "  the key of before is in the key file too: a rotation was cut off, and the file could not be written since",
            );
        }
        for project in &reply.projects {
            text.line(format!(
                "{:<24} content key {}; {} can be read",
                project.project.to_string(),
                project.epoch,
                counted(project.epochs, "epoch")
            ));
        }
        Ok(())
    })?;
    Ok(ExitCode::Done)
}

fn since(reply: &KeysReply) -> String {
    match (&reply.since, reply.entry) {
        (Some(at), Some(entry)) => {
            format!("since {}, ledger entry {entry}", at.to_seconds_text())
        }
        _ => "not rotated yet, as far as the ledger tells".to_owned(),
    }
}

pub(crate) fn rotate(context: &Context, args: KeysRotate) -> Result<ExitCode, Problem> {
    let reply = context.client()?.rotate_keys(&RotateKeysRequest {
        project: args.project,
    })?;
    context.output.answer(reply, |reply, text| {
        if let Some(key) = &reply.key {
            text.line(format!(
                "all keys are wrapped under the new key {key}; the old one is destroyed in the key file"
            ));
        }
        text.line(format!(
            "new content keys for {}, ledger entry {}",
            counted(reply.projects, "project"),
            reply.entry
        ));
        if reply.key.is_some() {
            text.line("keep a copy of the key file as it is now: older ones only open copies of the workspace from before this rotation");
        }
        Ok(())
    })?;
    Ok(ExitCode::Done)
}

pub(crate) fn passphrase(context: &Context, args: &KeysPassphrase) -> Result<ExitCode, Problem> {
    let new = match (&context.settings.new_passphrase, args.none) {
        (_, true) => None,
        (Some(new), false) => Some(new.clone()),
        (None, false) => Some(new_passphrase()?.to_string()),
    };
    let reply = context.client()?.change_passphrase(&PassphraseRequest {
        old: context.settings.passphrase.clone(),
        new,
    })?;
    context.output.answer(reply, |reply, text| {
        let what = if reply.is_under_passphrase {
            "the key file is under the new passphrase"
        } else {
            "the key file is in clear: whoever reads it has the key"
        };
        text.line(format!("{what}, ledger entry {}", reply.entry));
        Ok(())
    })?;
    Ok(ExitCode::Done)
}

fn new_passphrase() -> Result<Zeroizing<String>, Problem> {
    ask_new("new passphrase", code::KEY_013).map_err(|problem| {
        problem.hint("set CUSTODY_NEW_PASSPHRASE, type it, or write it on standard input; `--none` puts the key file under none")
    })
}
