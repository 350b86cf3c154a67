//! Where the outputs of a step go, a file at a time.

use std::collections::BTreeMap;
use std::io::{self, Write};

use custody_guard::{Door, Grant, NewVersion, Session, VersionBuilder, WriteAccess};
use custody_types::{
    ByteSize, Digest, FileEntry, FilePath, NameError, Problem, ProjectName, listing_digest,
};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::produce::fault;

/// Writes the content of a file.
pub(crate) type Fill<'a> = dyn FnMut(&mut (dyn Write + Send)) -> Result<(), Problem> + 'a;

/// Takes the outputs of a step.
pub(crate) trait Outputs {
    /// Takes a file of the output `name`. All files of one output come before those of the next.
    ///
    /// # Errors
    /// A [`Problem`] when it cannot be kept; that of `fill`.
    fn file(
        &mut self,
        name: &str,
        path: FilePath,
        executable: bool,
        fill: &mut Fill<'_>,
    ) -> Result<(), Problem>;
}

impl dyn Outputs + '_ {
    /// Takes a document as the file `path` of the output `name`.
    ///
    /// # Errors
    /// A [`Problem`] when it cannot be kept.
    pub(crate) fn json(
        &mut self,
        name: &str,
        path: &str,
        document: &impl Serialize,
    ) -> Result<(), Problem> {
        let path = path
            .parse()
            .map_err(|error: NameError| fault(&error.to_string()))?;
        let mut text =
            serde_json::to_vec_pretty(document).map_err(|error| fault(&error.to_string()))?;
        text.push(b'\n');
        self.file(name, path, false, &mut |out| {
            out.write_all(&text)
                .map_err(|error| fault(&error.to_string()))
        })
    }
}

/// Outputs that are sealed as they come. They become versions when that is granted; before that nobody reads them, and
/// dropping this takes them away.
#[derive(Debug)]
pub(crate) struct Sealed {
    making: VersionBuilder,
    /// The output whose files come.
    coming: Option<String>,
}

impl Sealed {
    pub(crate) fn open(
        door: &Door,
        session: &Session,
        project: &ProjectName,
    ) -> Result<Self, Problem> {
        Ok(Self {
            making: VersionBuilder::open(door, session, project)?,
            coming: None,
        })
    }

    /// Ends the outputs: nothing more comes.
    pub(crate) fn end(mut self) -> Result<Granting, Problem> {
        self.turn_to(None)?;
        Ok(Granting(Box::new(self.making)))
    }

    fn turn_to(&mut self, next: Option<&str>) -> Result<(), Problem> {
        if self.coming.as_deref() != next {
            if let Some(ended) = self.coming.take() {
                self.making.set_aside(&ended)?;
            }
            self.coming = next.map(ToOwned::to_owned);
        }
        Ok(())
    }
}

impl Outputs for Sealed {
    fn file(
        &mut self,
        name: &str,
        path: FilePath,
        executable: bool,
        fill: &mut Fill<'_>,
    ) -> Result<(), Problem> {
        self.turn_to(Some(name))?;
        self.making.write_file(path, executable, fill).map(drop)
    }
}

/// All outputs of a step, to be granted one by one.
#[derive(Debug)]
pub(crate) struct Granting(Box<VersionBuilder>);

impl Granting {
    /// Makes the output `name` the version that `grant` is for.
    pub(crate) fn grant<A: WriteAccess>(
        &mut self,
        name: &str,
        grant: Grant<A>,
        new: NewVersion,
    ) -> Result<(), Problem> {
        self.0.finish_waiting(grant, new, name).map(drop)
    }

    pub(crate) fn into_builder(self) -> VersionBuilder {
        *self.0
    }
}

/// The identities of outputs; their bytes are not kept.
#[derive(Debug, Default)]
pub(crate) struct Identities(BTreeMap<String, Vec<FileEntry>>);

impl Identities {
    /// Returns the identity that a version of the output `name` has.
    pub(crate) fn of(&self, name: &str) -> Digest {
        listing_digest(self.0.get(name).map(Vec::as_slice).unwrap_or_default())
    }
}

impl Outputs for Identities {
    fn file(
        &mut self,
        name: &str,
        path: FilePath,
        executable: bool,
        fill: &mut Fill<'_>,
    ) -> Result<(), Problem> {
        let mut hashed = Hashed::default();
        fill(&mut hashed)?;
        self.0.entry(name.to_owned()).or_default().push(FileEntry {
            path,
            size: ByteSize::from_bytes(hashed.size),
            sha256: Digest::from_bytes(hashed.hasher.finalize().into()),
            executable,
        });
        Ok(())
    }
}

#[derive(Default)]
struct Hashed {
    hasher: Sha256,
    size: u64,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
