//! Snapshots: what a project's folder holds, kept as versions, so that a run needs no folder on its machine.
//!
//! Who asks for a run gathers what the pipeline file names ([`gather`]), puts it as versions, and names those in a
//! [`Snapshot`]. The run reads them through the door, as who asked.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use custody_guard::{Door, Grant, List, Read as ReadData, ResourceRef, Session, Version};
use custody_tabular::Original;
use custody_types::{
    ArtifactName, ByteSize, Digest, FileEntry, FilePath, Kind, Problem, ProjectName, Purpose,
    VersionFiles, VersionName, code, listing_digest,
};
use custody_wire::{Commit, Snapshot};

use crate::collect::{self, SourceFile};
use crate::file::{NAME, Origin, Step};
use crate::memory::MadeFile;
use crate::ports::{Code, CodeFile, Folder, FoundFile, Standing};
use crate::run::{Declared, artifact, gather_code, read_file, tell_left_out};

/// The artifact that the folder's files are versions of.
const ARTIFACT: &str = "snapshot";
/// The most bytes of code, lock files and pipeline file that a run takes from a snapshot: they are in memory.
const MOST_BYTES: ByteSize = ByteSize::from_mebibytes(256);
/// How much of a source's file is read at once.
const WINDOW: u64 = 1 << 20;

/// What a project's folder holds of what its pipeline file names.
#[derive(Debug)]
pub struct Gathered {
    /// The artifact that the files become a version of, of the kind `code`.
    pub artifact: ArtifactName,
    /// The pipeline file, the lock files and the code, in the order of their paths.
    pub files: Vec<CodeFile>,
    /// The files that a path under `code` stands for.
    pub code: BTreeMap<String, Vec<FilePath>>,
    /// The files of the sources.
    pub sources: Vec<GatheredSource>,
    /// Where the folder stands in its history.
    pub commit: Option<Commit>,
    /// What a person should know, a line each.
    pub notes: Vec<String>,
}

impl Gathered {
    /// Returns the identity that a version of the files has.
    pub fn digest(&self) -> Digest {
        let entries = self.files.iter().map(|file| FileEntry {
            path: file.path.clone(),
            size: ByteSize::from_bytes(file.bytes.len() as u64),
            sha256: Digest::of(&file.bytes),
            executable: file.executable,
        });
        listing_digest(&entries.collect::<Vec<_>>())
    }
}

/// The files of a source, as they are in the folder.
#[derive(Debug)]
pub struct GatheredSource {
    /// What the pipeline file calls them.
    pub what: String,
    /// The artifact that they become a version of, of the kind `dataset`.
    pub artifact: ArtifactName,
    /// Where they come from, as declared.
    pub origin: Origin,
    /// The purposes that they may serve; none: any.
    pub purposes: Vec<Purpose>,
    /// The files, with their digests.
    pub files: Vec<SourceFile>,
}

impl GatheredSource {
    /// Returns the identity that a version of the files has.
    pub fn digest(&self) -> Digest {
        let entries = self.files.iter().map(|file| file.entry.clone());
        listing_digest(&entries.collect::<Vec<_>>())
    }
}

/// Tells the project and the purpose that the pipeline file in a folder states.
///
/// # Errors
/// A [`Problem`] when there is no pipeline file, or it does not hold up.
pub fn project(folder: &dyn Folder) -> Result<(ProjectName, Option<Purpose>), Problem> {
    let file = Declared::read(folder)?.file;
    Ok((file.project, file.purpose))
}

/// Gathers what a run of these steps needs of the folder; `targets`: as in a request for a run.
///
/// # Errors
/// A [`Problem`] when the pipeline file does not hold up, or something that it names is missing.
pub fn gather(folder: &dyn Folder, targets: &[String]) -> Result<Gathered, Problem> {
    let declared = Declared::read(folder)?;
    let steps = declared.steps(targets)?;
    let file = &declared.file;
    let mut files = BTreeMap::new();
    let mut plain = |path: &str| -> Result<(), Problem> {
        let bytes = read_file(folder, path)?;
        let path: FilePath = path.parse().map_err(|error: custody_types::NameError| {
            Problem::new(code::PIPE_005, error.to_string())
        })?;
        let made = CodeFile {
            path: path.clone(),
            executable: false,
            bytes,
        };
        files.insert(path, made);
        Ok(())
    };
    plain(NAME)?;
    let steps = || {
        let named = steps.iter();
        named.filter_map(|name| Some((name, file.steps.get(name)?)))
    };
    for (_, step) in steps() {
        if let Some((_, environment)) = file.environment_of(step) {
            plain(&environment.lock)?;
        }
    }
    let mut code = BTreeMap::new();
    let mut left_out = BTreeSet::new();
    let mut sources: BTreeMap<String, GatheredSource> = BTreeMap::new();
    for (name, step) in steps() {
        match step {
            Step::Run(run) => {
                for path in &run.code {
                    let found = gather_code(folder, std::slice::from_ref(path), &mut left_out)?;
                    let paths = found.iter().map(|file| file.path.clone());
                    code.insert(path.clone(), paths.collect());
                    files.extend(found.into_iter().map(of_code));
                }
            }
            Step::Source(source) => {
                let gathered = GatheredSource {
                    what: source.file.clone(),
                    artifact: artifact(file, &format!("{name}-files"))?,
                    origin: source.origin.clone(),
                    purposes: source.purposes.clone(),
                    files: collect::find(folder, source)?,
                };
                // Files that two sources collect are as sensitive as the more careful of them says.
                let known = sources.get(&source.file);
                let known = known.map(|known| known.origin.classification);
                if known.is_none_or(|known| known < gathered.origin.classification) {
                    sources.insert(source.file.clone(), gathered);
                }
            }
            _ => {}
        }
    }
    left_out.retain(|name| !files.keys().any(|path| path.as_str() == name));
    Ok(Gathered {
        artifact: artifact(file, ARTIFACT)?,
        files: files.into_values().collect(),
        code,
        sources: sources.into_values().collect(),
        commit: folder.commit(),
        notes: tell_left_out(&left_out).into_iter().collect(),
    })
}

fn of_code(made: MadeFile) -> (FilePath, CodeFile) {
    let file = CodeFile {
        path: made.path.clone(),
        executable: made.executable,
        bytes: made.bytes,
    };
    (made.path, file)
}

/// The folder that a snapshot kept.
#[derive(Debug)]
pub(crate) struct SnapshotFolder {
    files: BTreeMap<FilePath, CodeFile>,
    code: BTreeMap<String, Vec<FilePath>>,
    sources: BTreeMap<String, Arc<KeptFiles>>,
    commit: Option<Commit>,
}

impl SnapshotFolder {
    /// Reads the folder's version, and looks at those of the sources; their bytes are read when they are needed.
    ///
    /// # Errors
    /// A [`Problem`] when a version is missing, too large, of another project, or may not be read.
    pub(crate) fn open(
        door: &Door,
        session: &Session,
        snapshot: &Snapshot,
    ) -> Result<Self, Problem> {
        let project = snapshot.folder.artifact.project();
        let files = read_folder(door, session, &snapshot.folder)?;
        let mut folder = Self {
            files,
            code: snapshot.code.clone(),
            sources: BTreeMap::new(),
            commit: snapshot.commit.clone(),
        };
        let file = Declared::read(&folder)?.file;
        let others = snapshot
            .sources
            .values()
            .map(|name| name.artifact.project());
        if let Some(other) = [&file.project]
            .into_iter()
            .chain(others)
            .find(|name| *name != project)
        {
            return Err(of_two(&snapshot.folder, other));
        }
        let session = session.clone().or_purpose(file.purpose);
        for (what, name) in &snapshot.sources {
            let kept = KeptFiles::look(door, &session, name)?;
            folder.sources.insert(what.clone(), Arc::new(kept));
        }
        Ok(folder)
    }

    fn file(&self, path: &FilePath) -> Result<&CodeFile, Problem> {
        self.files.get(path).ok_or_else(|| lacking(path.as_str()))
    }
}

fn read_folder(
    door: &Door,
    session: &Session,
    name: &VersionName,
) -> Result<BTreeMap<FilePath, CodeFile>, Problem> {
    let grant = door.ask::<ReadData>(session, ResourceRef::Named(name.clone().into()))?;
    let version = grant.version()?;
    if version.record.kind != Kind::Code {
        return Err(Problem::new(
            code::PIPE_028,
            format!(
                "`{name}` is no snapshot: it is of the kind `{}`",
                version.record.kind
            ),
        )
        .hint("a snapshot is a version of the kind `code` with a `custody.yaml` in it"));
    }
    let kept = grant.files()?;
    let size = kept.files().iter().map(|file| file.size.bytes()).sum();
    let size = ByteSize::from_bytes(size);
    if size > MOST_BYTES {
        return Err(Problem::new(
            code::PIPE_024,
            format!("the code in `{name}` has {size}, more than {MOST_BYTES}"),
        )
        .hint("leave out by `.custodyignore` what is no code"));
    }
    let mut files = BTreeMap::new();
    for entry in kept.files() {
        let bytes = kept.read(&entry.path, 0..entry.size.bytes());
        let bytes = bytes.map_err(|error| {
            Problem::new(
                code::PIPE_003,
                format!("`{}` of `{name}` cannot be read", entry.path),
            )
            .because(error)
        })?;
        let file = CodeFile {
            path: entry.path.clone(),
            executable: entry.executable,
            bytes: bytes.to_vec(),
        };
        files.insert(entry.path.clone(), file);
    }
    grant.finish()?;
    Ok(files)
}

fn lacking(what: &str) -> Problem {
    Problem::new(code::PIPE_027, format!("the snapshot has no `{what}`"))
        .hint("a snapshot has what the steps need that were named when it was made: make one of these steps")
}

fn of_two(folder: &VersionName, other: &ProjectName) -> Problem {
    Problem::new(
        code::PIPE_028,
        format!("the snapshot `{folder}` is of another project than `{other}`"),
    )
    .hint("put the folder and the sources into the project that its `custody.yaml` names")
}

impl Folder for SnapshotFolder {
    fn root(&self) -> Option<&Path> {
        None
    }

    fn open(&self, path: &str) -> Result<Box<dyn Read>, Problem> {
        let inside: FilePath = path.parse().map_err(|_| lacking(path))?;
        Ok(Box::new(Cursor::new(self.file(&inside)?.bytes.clone())))
    }

    fn gather(&self, path: &str) -> Result<Code, Problem> {
        let paths = self.code.get(path).ok_or_else(|| lacking(path))?;
        let files = paths.iter().map(|path| self.file(path).cloned());
        Ok(Code {
            files: files.collect::<Result<_, _>>()?,
            left_out: Vec::new(),
        })
    }

    fn commit(&self) -> Option<Commit> {
        self.commit.clone()
    }

    fn find(&self, what: &str) -> Result<Vec<FoundFile>, Problem> {
        let kept = self.sources.get(what).ok_or_else(|| lacking(what))?;
        let found = kept.entries.iter().map(|entry| FoundFile {
            path: entry.path.clone(),
            standing: Arc::new(KeptFile {
                of: kept.clone(),
                entry: entry.clone(),
            }),
        });
        Ok(found.collect())
    }
}

/// The leave to read a version, and its files.
type Opened = (Grant<ReadData>, Arc<dyn VersionFiles>);

/// The files of a source, in their version.
#[derive(Debug)]
struct KeptFiles {
    door: Door,
    session: Session,
    version: Version,
    entries: Vec<FileEntry>,
    /// Asked for when the first byte is needed, and finished when nobody needs another.
    opened: Mutex<Option<Opened>>,
}

impl KeptFiles {
    fn look(door: &Door, session: &Session, name: &VersionName) -> Result<Self, Problem> {
        let grant = door.ask::<List>(session, ResourceRef::Named(name.clone().into()))?;
        let version = grant.version()?.clone();
        let entries = grant.evidence().files(&version)?;
        grant.finish()?;
        Ok(Self {
            door: door.clone(),
            session: session.clone(),
            version,
            entries,
            opened: Mutex::default(),
        })
    }

    fn files(&self) -> Result<Arc<dyn VersionFiles>, Problem> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, files)) = &*opened {
            return Ok(files.clone());
        }
        let target = ResourceRef::Version(Box::new(self.version.clone()));
        let grant = self.door.ask::<ReadData>(&self.session, target)?;
        let files = grant.files()?;
        *opened = Some((grant, files.clone()));
        Ok(files)
    }
}

impl Drop for KeptFiles {
    fn drop(&mut self) {
        let opened = self
            .opened
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some((grant, _)) = opened.take() {
            // Without facts it is no larger than the grant's own entry but for an id.
            let _ = grant.finish();
        }
    }
}

#[derive(Debug)]
struct KeptFile {
    of: Arc<KeptFiles>,
    entry: FileEntry,
}

impl Standing for KeptFile {
    fn open(&self) -> Result<(Box<dyn Original>, bool), Problem> {
        let reader = Windows {
            files: self.of.files()?,
            path: self.entry.path.clone(),
            size: self.entry.size.bytes(),
            at: 0,
            window: (0, Bytes::new()),
        };
        Ok((Box::new(reader), self.entry.executable))
    }

    fn kept(&self) -> Option<(&Version, &FileEntry)> {
        Some((&self.of.version, &self.entry))
    }
}

/// A file of a version as it is read: a window of it at a time.
struct Windows {
    files: Arc<dyn VersionFiles>,
    path: FilePath,
    size: u64,
    at: u64,
    /// Where the window begins, and its bytes.
    window: (u64, Bytes),
}

impl Read for Windows {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.size {
            return Ok(0);
        }
        let (start, bytes) = &self.window;
        let end = start + bytes.len() as u64;
        if !(*start..end).contains(&self.at) {
            let end = self.size.min(self.at.saturating_add(WINDOW));
            let bytes = self.files.read(&self.path, self.at..end);
            self.window = (self.at, bytes.map_err(io::Error::other)?);
        }
        let (start, bytes) = &self.window;
        let skipped = usize::try_from(self.at - start).map_err(io::Error::other)?;
        let mut rest = bytes.get(skipped..).unwrap_or_default();
        let count = rest.read(buffer)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Windows {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
