//! The certificates of a server that was given none: its own authority, kept in the workspace.
//!
//! Its key is sealed under a secret of the workspace, so that it stays as it is when the key-encryption key rotates.

use std::path::{Path, PathBuf};

use custody_backends::user_files;
use custody_crypto::keys::{LocalKey, open_text, seal_text};
use custody_tls::{Authority, Created};
use custody_types::{Problem, Timestamp, code};
use serde::{Deserialize, Serialize};

use crate::composition::{Unlocked, workspace_problem};
use crate::problems::user_files_problem;

/// What the sealed key is for.
const PURPOSE: &str = "server-authority";
/// The use of the secret that seals it.
const SEAL: &str = "custody 2026 key of the server's authority";
/// The form of the file. The first had no name, and its key under the key-encryption key itself.
const FORMAT: &str = "custody-authority/2";
/// Where it is kept, below `.custody`.
const AUTHORITY: &str = "server/authority.json";
/// How many bytes the file has at most.
const LIMIT: u64 = 1 << 20;

/// The file of the authority.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    /// The form.
    #[serde(default)]
    format: String,
    /// The issuing certificate and the root, in PEM.
    certificates: String,
    /// Until when the issuing one counts.
    ends: Timestamp,
    /// The private key of the issuing one, sealed.
    key: String,
}

fn unusable(because: impl std::fmt::Display) -> Problem {
    Problem::new(code::SERVE_003, "the server's own authority cannot be used").because(because)
}

fn read_authority(path: &Path) -> Result<Kept, Problem> {
    let text = user_files::read_text(path, LIMIT).map_err(|error| user_files_problem(&error))?;
    serde_json::from_str(&text)
        .map_err(|error| unusable(error).hint(format!("put `{}` back from a copy", path.display())))
}

impl Unlocked {
    fn authority_file(&self) -> PathBuf {
        self.workspace.root().join(AUTHORITY)
    }

    fn seal(&self) -> Result<LocalKey, Problem> {
        let secret = self.keys.pseudonyms()?.derive(SEAL);
        Ok(LocalKey::new(SEAL.to_owned(), secret, self.entropy.clone()))
    }

    /// Seals the key of an authority anew that is still under the key-encryption key. The caller has the workspace for itself.
    pub(crate) fn move_authority(&self) -> Result<(), Problem> {
        let path = self.authority_file();
        if !path.exists() {
            return Ok(());
        }
        let mut kept = read_authority(&path)?;
        if kept.format == FORMAT {
            return Ok(());
        }
        let context = self.keys.context(PURPOSE);
        let key = open_text(self.keys.service(), &context, &kept.key).map_err(unusable)?;
        kept.key = seal_text(&self.seal()?, &context, &key).map_err(unusable)?;
        FORMAT.clone_into(&mut kept.format);
        let text = serde_json::to_string_pretty(&kept).map_err(unusable)?;
        // CRASH: durable before the key can rotate that the old form needs.
        self.workspace
            .write(AUTHORITY, text.as_bytes())
            .map_err(|error| workspace_problem(&error))
    }

    /// Opens the authority of the workspace's server, or makes it: then the root's private key is written to `root_key`, where
    /// nothing may be, and `true` returned. The caller has the workspace for itself.
    ///
    /// # Errors
    /// A [`Problem`] when it cannot be read, opened or kept: then there is none.
    pub fn server_authority(&self, root_key: &Path) -> Result<(Authority, bool), Problem> {
        let path = self.authority_file();
        let id = &self.workspace.about().id;
        if !path.exists() {
            return Ok((self.make_authority(root_key)?, true));
        }
        self.move_authority()?;
        let kept = read_authority(&path)?;
        let key = open_text(&self.seal()?, &self.keys.context(PURPOSE), &kept.key);
        let key = key.map_err(unusable)?;
        let authority = Authority::open(id, &kept.certificates, &key, kept.ends);
        Ok((authority.map_err(unusable)?, false))
    }

    fn make_authority(&self, place: &Path) -> Result<Authority, Problem> {
        let Created {
            authority,
            root_key,
            issuing_key,
        } = Authority::create(&self.workspace.about().id, self.clock.now()).map_err(unusable)?;
        let sealed = seal_text(&self.seal()?, &self.keys.context(PURPOSE), &issuing_key);
        let kept = Kept {
            format: FORMAT.to_owned(),
            certificates: authority.chain(),
            ends: authority.ends(),
            key: sealed.map_err(unusable)?,
        };
        let text = serde_json::to_string_pretty(&kept).map_err(unusable)?;
        let path = self.authority_file();
        // CRASH: the root's key is there before the authority is, so that none is without it; what is left of it is named by
        // the next start.
        let write = || {
            user_files::write_new_private_file(place, root_key.as_bytes())?;
            user_files::make_folder(path.parent().unwrap_or(&path))?;
            user_files::write_new_file(&path, text.as_bytes())
        };
        write().map_err(|error| user_files_problem(&error))?;
        Ok(authority)
    }
}
