//! A runner on doubles of the machine, for tests of it and of what stands in front of it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use custody_engine::Spill;
use custody_guard::Door;
use custody_guard::testing::World;
use custody_sandbox::Interrupt;
use custody_tabular::Original;
use custody_types::{ByteSize, Digest, FilePath, Problem, Scratch, VersionFiles, code};

use crate::ports::{
    Code, CodeFile, Commit, Described, Environments, Folder, FoundFile, Installed,
    LockedEnvironment, Standing,
};
use crate::run::Runner;

/// Builds a runner over a door of `world`, for the project with these files. It installs no environments, and its steps
/// cannot start programs.
pub fn runner(world: &World, door: &Door, files: &[(&str, &str)]) -> Runner {
    let files = files.iter();
    let files = files.map(|(path, text)| ((*path).to_owned(), Arc::from(text.as_bytes())));
    Runner::new(
        door.clone(),
        Arc::new(MemoryFolder(files.collect())),
        Arc::new(NoEnvironments),
        PathBuf::from("/nonexistent/launcher"),
        Interrupt::default(),
        Spill {
            scratch: Arc::new(NoScratch),
            aead: Arc::new(custody_guard::testing::Cipher),
            entropy: world.entropy.clone(),
            limit: ByteSize::from_mebibytes(1),
        },
    )
}

/// A file: its path and its bytes.
type MemoryFile = (FilePath, Arc<[u8]>);

/// The files of a project in memory, by their paths.
#[derive(Debug)]
struct MemoryFolder(BTreeMap<String, Arc<[u8]>>);

impl MemoryFolder {
    /// Lists the file at `path`, or those below it.
    fn below(&self, path: &str) -> Result<Vec<MemoryFile>, Problem> {
        let folder = format!("{path}/");
        let of = self.0.iter();
        let of = of.filter(|(name, _)| *name == path || name.starts_with(&folder));
        of.map(|(name, bytes)| {
            let path = name.parse().map_err(|error: custody_types::NameError| {
                Problem::new(code::PIPE_003, error.to_string())
            })?;
            Ok((path, bytes.clone()))
        })
        .collect()
    }
}

impl Folder for MemoryFolder {
    fn root(&self) -> Option<&Path> {
        None
    }

    fn open(&self, path: &str) -> Result<Box<dyn Read>, Problem> {
        let bytes = self.0.get(path).cloned();
        let bytes = bytes
            .ok_or_else(|| Problem::new(code::PIPE_003, format!("`{path}` cannot be read")))?;
        Ok(Box::new(Cursor::new(bytes)))
    }

    fn gather(&self, path: &str) -> Result<Code, Problem> {
        let files = self.below(path)?.into_iter().map(|(path, bytes)| CodeFile {
            path,
            executable: false,
            bytes: bytes.to_vec(),
        });
        Ok(Code {
            files: files.collect(),
            left_out: Vec::new(),
        })
    }

    fn commit(&self) -> Option<Commit> {
        None
    }

    fn find(&self, what: &str) -> Result<Vec<FoundFile>, Problem> {
        let found = self
            .below(what)?
            .into_iter()
            .map(|(path, bytes)| FoundFile {
                standing: Arc::new(InMemory(bytes)),
                path,
            });
        Ok(found.collect())
    }
}

#[derive(Debug)]
struct InMemory(Arc<[u8]>);

impl Standing for InMemory {
    fn open(&self) -> Result<(Box<dyn Original>, bool), Problem> {
        Ok((Box::new(Cursor::new(self.0.clone())), false))
    }
}

#[derive(Debug)]
struct NoEnvironments;

impl NoEnvironments {
    fn none<T>() -> Result<T, Problem> {
        Err(Problem::new(
            code::RUN_090,
            "there are no environments here",
        ))
    }
}

impl Environments for NoEnvironments {
    fn describe(&self, _: &LockedEnvironment) -> Result<Described, Problem> {
        Self::none()
    }

    fn find(&self, _: &Digest) -> Result<Option<Installed>, Problem> {
        Ok(None)
    }

    fn install(&self, _: &Digest, _: &LockedEnvironment) -> Result<Installed, Problem> {
        Self::none()
    }

    fn restore(&self, _: &Digest, _: &dyn VersionFiles) -> Result<Installed, Problem> {
        Self::none()
    }
}

#[derive(Debug)]
struct NoScratch;

impl Scratch for NoScratch {
    fn file(&self) -> io::Result<File> {
        Err(io::Error::other("nothing is put aside here"))
    }
}
