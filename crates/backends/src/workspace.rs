//! A workspace's folder: what it is, and its wrapped keys.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use custody_crypto::SealedDomainKeys;
use custody_store::DomainId;
use custody_types::{Digest, ProjectName, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::disk;

/// The folder's name.
pub const FOLDER: &str = ".custody";
const FORMAT: &str = "custody-workspace/1";
const KEYRING_FORMAT: &str = "custody-keyring/1";

/// Why a workspace cannot be made or opened.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    /// There is none.
    #[error("there is no workspace in `{0}` or a folder above it")]
    Missing(String),
    /// There is one already.
    #[error("there is already a workspace in `{0}`")]
    Exists(String),
    /// It was made by a newer program.
    #[error("`{file}` has the format `{format}`, which this program does not know")]
    Newer {
        /// The file.
        file: String,
        /// Its format.
        format: String,
    },
    /// A file is not what was written.
    #[error("`{file}` cannot be understood: {because}")]
    Damaged {
        /// The file.
        file: String,
        /// Why.
        because: String,
    },
    /// A file cannot be read or written.
    #[error("`{file}` cannot be read or written")]
    Io {
        /// The file.
        file: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// What a workspace is: `workspace.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The format.
    pub format: String,
    /// The id.
    pub id: String,
    /// When it was made.
    pub created: Timestamp,
    /// The key-encryption key under which its keys were wrapped at first.
    pub key_id: String,
    /// The account that owns it.
    pub owner: String,
}

impl About {
    /// Describes a new workspace.
    pub fn new(id: String, created: Timestamp, key_id: String, owner: String) -> Self {
        Self {
            format: FORMAT.to_owned(),
            id,
            created,
            key_id,
            owner,
        }
    }
}

impl About {
    /// Returns what the workspace's keys are bound to: the digest of everything that is said here. With
    /// anything of it changed no key unwraps.
    pub fn binding(&self) -> String {
        let text = [
            &self.format,
            &self.id,
            &self.created.to_string(),
            &self.key_id,
            &self.owner,
        ]
        .map(|part| format!("{}:{part}", part.len()));
        Digest::of(text.concat().as_bytes()).to_hex()
    }
}

/// The wrapped keys of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectKeys {
    /// The domain.
    pub domain: DomainId,
    /// Its keys.
    pub keys: SealedDomainKeys,
}

/// All wrapped keys: `keyring.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keyring {
    /// The format.
    pub format: String,
    /// The key-encryption key under which these are wrapped; none: the one that `workspace.json` names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// The key that signs statements, version records and models.
    pub attest: String,
    /// The key that signs the ledger's checkpoints.
    pub ledger: String,
    /// The key that makes pseudonyms.
    pub pseudonyms: String,
    /// The keys of the projects.
    pub projects: BTreeMap<ProjectName, ProjectKeys>,
}

impl Keyring {
    /// Begins a keyring without projects.
    pub fn new(attest: String, ledger: String, pseudonyms: String) -> Self {
        Self {
            format: KEYRING_FORMAT.to_owned(),
            key_id: None,
            attest,
            ledger,
            pseudonyms,
            projects: BTreeMap::new(),
        }
    }
}

/// A workspace's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    root: PathBuf,
    about: About,
}

impl Workspace {
    /// Makes a workspace in the folder `project`.
    ///
    /// # Errors
    /// [`WorkspaceError::Exists`]; [`WorkspaceError::Io`].
    pub fn create(project: &Path, about: About, keyring: &Keyring) -> Result<Self, WorkspaceError> {
        let root = project.join(FOLDER);
        if root.join("workspace.json").exists() {
            return Err(WorkspaceError::Exists(project.display().to_string()));
        }
        disk::create_folder(&root).map_err(|source| WorkspaceError::Io {
            file: root.display().to_string(),
            source,
        })?;
        let workspace = Self { root, about };
        // CRASH: `workspace.json` is written last; a folder without it is no workspace and is filled anew.
        workspace.write(".gitignore", b"*\n")?;
        workspace.save(keyring)?;
        workspace.write("workspace.json", &json(&workspace.about)?)?;
        Ok(workspace)
    }

    /// Finds the workspace of the folder `from`, or of the nearest folder above it.
    ///
    /// # Errors
    /// [`WorkspaceError::Missing`]; [`WorkspaceError::Newer`]; [`WorkspaceError::Damaged`].
    pub fn find(from: &Path) -> Result<Self, WorkspaceError> {
        let found = from
            .ancestors()
            .map(|folder| folder.join(FOLDER))
            .find(|root| root.join("workspace.json").exists());
        let root = found.ok_or_else(|| WorkspaceError::Missing(from.display().to_string()))?;
        let about: About = read(&root.join("workspace.json"))?;
        if about.format != FORMAT {
            return Err(WorkspaceError::Newer {
                file: root.join("workspace.json").display().to_string(),
                format: about.format,
            });
        }
        Ok(Self { root, about })
    }

    /// Returns the folder `.custody`.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the project's folder, in which `.custody` is.
    pub fn project(&self) -> &Path {
        self.root.parent().unwrap_or(&self.root)
    }

    /// Returns what the workspace is.
    pub const fn about(&self) -> &About {
        &self.about
    }

    /// Reads the wrapped keys.
    ///
    /// # Errors
    /// [`WorkspaceError`].
    pub fn keyring(&self) -> Result<Keyring, WorkspaceError> {
        let path = self.root.join("keyring.json");
        let keyring: Keyring = read(&path)?;
        if keyring.format == KEYRING_FORMAT {
            Ok(keyring)
        } else {
            Err(WorkspaceError::Newer {
                file: path.display().to_string(),
                format: keyring.format,
            })
        }
    }

    /// Replaces the wrapped keys, atomically and durably.
    ///
    /// # Errors
    /// [`WorkspaceError::Io`]; the old ones are still there then.
    pub fn save(&self, keyring: &Keyring) -> Result<(), WorkspaceError> {
        self.write("keyring.json", &json(keyring)?)
    }

    /// Replaces a file below `.custody`, atomically and durably.
    ///
    /// # Errors
    /// [`WorkspaceError::Io`]; what was there is still there then, or what was to be.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), WorkspaceError> {
        let path = self.root.join(name);
        disk::replace(&path, bytes).map_err(|source| WorkspaceError::Io {
            file: path.display().to_string(),
            source,
        })
    }
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, WorkspaceError> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(|error| WorkspaceError::Damaged {
        file: FOLDER.to_owned(),
        because: error.to_string(),
    })?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Reads a JSON file; a format that is newer may have other fields, so the format is looked at first.
fn read<T: DeserializeOwned>(path: &Path) -> Result<T, WorkspaceError> {
    #[derive(Deserialize)]
    struct Format {
        format: String,
    }
    let file = path.display().to_string();
    let bytes = disk::read(path).map_err(|source| WorkspaceError::Io {
        file: file.clone(),
        source,
    })?;
    let bytes = bytes.ok_or_else(|| WorkspaceError::Damaged {
        file: file.clone(),
        because: "it is missing".to_owned(),
    })?;
    serde_json::from_slice(&bytes).map_err(|error| match serde_json::from_slice::<Format>(&bytes) {
        Ok(Format { format }) if ![FORMAT, KEYRING_FORMAT].contains(&format.as_str()) => {
            WorkspaceError::Newer {
                file: file.clone(),
                format,
            }
        }
        _ => WorkspaceError::Damaged {
            file: file.clone(),
            because: error.to_string(),
        },
    })
}
