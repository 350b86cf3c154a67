//! The certificates of a server that was given none: its own authority, kept in the workspace.

use std::path::PathBuf;

use custody_backends::user_files;
use custody_crypto::KeyContext;
use custody_crypto::keys::{open_text, seal_text};
use custody_tls::{Authority, Created};
use custody_types::{Problem, Timestamp, code};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

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

/// The authority of a workspace's server.
#[derive(Debug)]
pub struct ServerAuthority {
    /// It.
    pub authority: Authority,
    /// The root's private key in PEM, where the authority was just made: it belongs elsewhere.
    pub root_key: Option<Zeroizing<String>>,
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

    /// Opens the authority of the workspace's server, or makes it. The caller has the workspace for itself.
    ///
    /// # Errors
    /// A [`Problem`] when it cannot be read, opened or kept.
    pub fn server_authority(&self) -> Result<ServerAuthority, Problem> {
        let path = self.authority_file();
        let id = &self.workspace.about().id;
        if !path.exists() {
            return self.make_authority();
        }
        let text =
            user_files::read_text(&path, LIMIT).map_err(|error| user_files_problem(&error))?;
        let kept: Kept = serde_json::from_str(&text).map_err(|error| {
            unusable(error).hint(format!("put `{}` back from a copy", path.display()))
        })?;
        let key = open_text(self.service.as_ref(), &self.authority_context(), &kept.key);
        let key = key.map_err(unusable)?;
        let authority = Authority::open(id, &kept.certificates, &key, kept.ends);
        Ok(ServerAuthority {
            authority: authority.map_err(unusable)?,
            root_key: None,
        })
    }

    fn make_authority(&self) -> Result<ServerAuthority, Problem> {
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
        let write = || {
            user_files::make_folder(path.parent().unwrap_or(&path))?;
            user_files::write_new_file(&path, text.as_bytes())
        };
        write().map_err(|error| user_files_problem(&error))?;
        Ok(ServerAuthority {
            authority,
            root_key: Some(root_key),
        })
    }
}
