//! The certificates of a server that was given none: its own authority, kept in the workspace.

use std::path::{Path, PathBuf};

use custody_backends::user_files;
use custody_crypto::KeyContext;
use custody_crypto::keys::{open_text, seal_text};
use custody_tls::{Authority, Created};
use custody_types::{Problem, Timestamp, code};
use serde::{Deserialize, Serialize};

use crate::composition::Unlocked;
use crate::problems::user_files_problem;

/// What the sealed key is for.
const PURPOSE: &str = "server-authority";
/// How many bytes the file has at most.
const LIMIT: u64 = 1 << 20;

/// The file of the authority.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    /// The issuing certificate and the root, in PEM.
    certificates: String,
    /// Until when the issuing one counts.
    ends: Timestamp,
    /// The private key of the issuing one, sealed by the key service.
    key: String,
}

fn unusable(because: impl std::fmt::Display) -> Problem {
    Problem::new(code::SERVE_003, "the server's own authority cannot be used").because(because)
}

impl Unlocked {
    fn authority_file(&self) -> PathBuf {
        self.workspace.root().join("server").join("authority.json")
    }

    fn authority_context(&self) -> KeyContext {
        KeyContext {
            workspace: self.workspace.about().binding(),
            domain: String::new(),
            purpose: PURPOSE,
            epoch: 0,
        }
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
        let text =
            user_files::read_text(&path, LIMIT).map_err(|error| user_files_problem(&error))?;
        let kept: Kept = serde_json::from_str(&text).map_err(|error| {
            unusable(error).hint(format!("put `{}` back from a copy", path.display()))
        })?;
        let key = open_text(self.service.as_ref(), &self.authority_context(), &kept.key);
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
        let sealed = seal_text(
            self.service.as_ref(),
            &self.authority_context(),
            &issuing_key,
        );
        let kept = Kept {
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
