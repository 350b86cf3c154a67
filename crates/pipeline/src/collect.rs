//! Collecting: files of the user become the files of a version, tables among them as Parquet. A source of the
//! pipeline does it, and so does `put`.

use std::io::{self, BufWriter, Read, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use custody_guard::VersionBuilder;
use custody_tabular::{
    Declared, Format, Original, Recognised, Refusal, Survey, TabularError, parquet_name, recognise,
    survey, unify, write_parquet,
};
use custody_types::{
    ByteSize, Digest, FileEntry, FilePath, Problem, Timestamp, code, listing_digest,
};
use serde_json::{Value, json};

use crate::file::{Origin, Source};
use crate::ports::{Folder, FoundFile, Standing};
use crate::produce::fault;

/// How much of a table waits between the thread that makes it and the one that stores it: pieces of `PIECE`.
const PIECES: usize = 16;
const PIECE: usize = 1 << 18;

/// A file that is collected.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// Where it stands.
    pub standing: Arc<dyn Standing>,
    /// What it is, under the path that it would have in the version.
    pub entry: FileEntry,
}

/// A file as it goes into the version.
#[derive(Debug)]
pub struct Collected {
    /// The file.
    pub from: SourceFile,
    /// The path that it gets.
    pub path: FilePath,
    /// What is known of the table in it.
    pub table: Option<Survey>,
}

/// What was found out about files before they are collected.
#[derive(Debug)]
pub struct Looked {
    /// The files, with the digests that they had.
    pub files: Vec<SourceFile>,
    /// What becomes of each.
    pub collected: Vec<Collected>,
    /// What a person should know.
    pub notes: Vec<String>,
}

impl Collected {
    /// Returns the table that is made anew as Parquet; `None` for a file that stays as it is.
    pub fn made(&self) -> Option<&Survey> {
        self.table.as_ref().filter(|table| !table.stays())
    }

    /// Writes the table as Parquet.
    ///
    /// # Errors
    /// A [`Problem`] when a row does not fit, or nobody takes the bytes.
    pub fn write(&self, table: &Survey, out: &mut (dyn Write + Send)) -> Result<(), Problem> {
        let (mut original, _) = self.from.standing.open()?;
        write_parquet(&mut original, table, out)
            .map(drop)
            .map_err(|error| refused(self.from.entry.path.as_str(), &error))
    }
}

/// Finds the files of a source and takes their digests.
pub(crate) fn find(folder: &dyn Folder, source: &Source) -> Result<Vec<SourceFile>, Problem> {
    let found = folder.find(&source.file)?;
    if found.is_empty() {
        return Err(Problem::new(
            code::PIPE_007,
            format!("there is no file in `{}`", source.file),
        )
        .hint("a source is a file, a folder with files, or a pattern like `data/*.csv`"));
    }
    hashed(found)
}

/// Takes the digests of files.
///
/// # Errors
/// A [`Problem`] when one cannot be read.
pub fn hashed(found: Vec<FoundFile>) -> Result<Vec<SourceFile>, Problem> {
    let files = found.into_iter().map(|found| {
        if let Some((_, entry)) = found.standing.kept() {
            return Ok(SourceFile {
                entry: entry.clone(),
                standing: found.standing,
            });
        }
        let (mut file, executable) = found.standing.open()?;
        let mut counted = Counted {
            inner: &mut file,
            count: 0,
        };
        let sha256 =
            Digest::of_all(&mut counted).map_err(|error| unreadable(&found.path, &error))?;
        Ok(SourceFile {
            entry: FileEntry {
                path: found.path,
                size: ByteSize::from_bytes(counted.count),
                sha256,
                executable,
            },
            standing: found.standing,
        })
    });
    files.collect()
}

/// Returns the digest of what is collected: of the one file, or of the listing of all.
pub fn digest(files: &[SourceFile]) -> Digest {
    match files {
        [one] => one.entry.sha256,
        many => {
            let entries: Vec<_> = many.iter().map(|file| file.entry.clone()).collect();
            listing_digest(&entries)
        }
    }
}

/// The most files that the origin of a version lists one by one.
const LISTED: usize = 1000;

/// Describes the files for the origin of the version; where there are too many, not at all.
pub fn described(files: &[SourceFile]) -> Vec<Value> {
    let one = |file: &SourceFile| {
        let FileEntry {
            path, size, sha256, ..
        } = &file.entry;
        json!({"path": path, "size": size, "sha256": sha256})
    };
    if files.len() > LISTED {
        return Vec::new();
    }
    files.iter().map(one).collect()
}

/// Puts together what is declared about files outside of a pipeline file; `csv` and `columns` are YAML, as there.
///
/// # Errors
/// A [`Problem`] when one of them does not hold up.
pub fn declared(
    format: Option<Format>,
    csv: Option<&str>,
    columns: Option<&str>,
) -> Result<Declared, Problem> {
    let wrong = |what: &str, text: Option<&str>, error: serde_saphyr::Error| {
        Problem::new(
            code::PIPE_012,
            format!("`{what}` does not hold up"),
        )
        .because(crate::file::yaml_error(&error, text.unwrap_or_default()))
        .hint(
            "write it as in `custody.yaml`: `--csv '{header: true}'`, `--columns '{id: integer}'`",
        )
    };
    let (text_of_csv, text_of_columns) = (csv, columns);
    let csv = csv
        .map(serde_saphyr::from_str)
        .transpose()
        .map_err(|error| wrong("csv", text_of_csv, error))?;
    let columns = columns
        .map(serde_saphyr::from_str)
        .transpose()
        .map_err(|error| wrong("columns", text_of_columns, error))?;
    Ok(Declared {
        format,
        csv: csv.unwrap_or_default(),
        columns: columns.unwrap_or_default(),
    })
}

/// Returns what the record of a version says of where its files came from.
pub fn origin(
    origin: &Origin,
    what: &str,
    files: (Digest, Vec<Value>),
    by: (Timestamp, String),
) -> Value {
    let (sha256, files) = files;
    let (collected_at, collected_by) = by;
    json!({
        "publisher": origin.publisher,
        "url": origin.url,
        "licence": origin.licence,
        "legal_basis": origin.legal_basis,
        "classification": origin.classification,
        "description": origin.description,
        "collected_at": collected_at,
        "collected_by": collected_by,
        "file": what,
        "sha256": sha256,
        "files": files,
    })
}

/// Looks at every file and decides what becomes of it.
///
/// # Errors
/// A [`Problem`] when a file is not what its name or declaration says, or a row does not fit.
pub fn look(what: &str, declared: &Declared, files: Vec<SourceFile>) -> Result<Looked, Problem> {
    let (mut collected, mut surveys) = (Vec::new(), Vec::new());
    for file in &files {
        let name = file.entry.path.as_str();
        let refused = |error| refused(name, &error);
        let (mut original, _) = file.standing.open()?;
        let found = recognise(name, &mut original, declared.format).map_err(refused)?;
        let table = match found {
            Recognised::NoTable => None,
            Recognised::Table { table, packing } => {
                Some(survey(&mut original, table, packing, declared).map_err(refused)?)
            }
        };
        let path = match &table {
            Some(table) if !table.stays() => {
                parquet_name(name)
                    .parse()
                    .map_err(|error: custody_types::NameError| {
                        Problem::new(code::PIPE_005, error.to_string())
                    })?
            }
            _ => file.entry.path.clone(),
        };
        collected.push((file.clone(), path));
        surveys.push(table);
    }
    let mut tables: Vec<Survey> = Vec::new();
    let mut places = Vec::new();
    for (place, survey) in surveys.into_iter().enumerate() {
        if let Some(survey) = survey {
            places.push(place);
            tables.push(survey);
        }
    }
    unify(&mut tables, declared).map_err(|error| refused(what, &error))?;
    let mut tables: std::collections::BTreeMap<_, _> = places.into_iter().zip(tables).collect();
    let collected: Vec<_> = collected
        .into_iter()
        .enumerate()
        .map(|(place, (from, path))| Collected {
            from,
            path,
            table: tables.remove(&place),
        })
        .collect();
    unique(&collected)?;
    Ok(Looked {
        notes: notes(declared, &collected),
        files,
        collected,
    })
}

/// Refuses two files that would have one name.
fn unique(collected: &[Collected]) -> Result<(), Problem> {
    let mut seen = std::collections::BTreeMap::new();
    for file in collected {
        if let Some(other) = seen.insert(&file.path, &file.from.entry.path) {
            return Err(Problem::new(
                code::PIPE_008,
                format!(
                    "`{other}` and `{}` would both become `{}`",
                    file.from.entry.path, file.path
                ),
            )
            .hint("rename one of them, or collect them in two sources"));
        }
    }
    Ok(())
}

/// Says what was found: rows, what was not declared, and the line that declares the types.
fn notes(declared: &Declared, collected: &[Collected]) -> Vec<String> {
    /// Files that are told one by one.
    const TOLD: usize = 10;
    let size: u64 = collected
        .iter()
        .map(|file| file.from.entry.size.bytes())
        .sum();
    let size = ByteSize::from_bytes(size);
    let mut notes = vec![match collected.len() {
        1 => format!("{size} collected"),
        count => format!("{count} files, {size} collected"),
    }];
    let several = collected.len() > 1;
    let mut pinned: Vec<String> = Vec::new();
    for (number, file) in collected.iter().enumerate() {
        let Some(table) = &file.table else { continue };
        let name = &file.from.entry.path;
        let before = if several {
            format!("{name}: ")
        } else {
            String::new()
        };
        if number < TOLD {
            if let Some(rows) = table.rows {
                notes.push(format!("{before}{rows} rows"));
            }
            notes.extend(table.notes.iter().map(|note| format!("{before}{note}")));
        }
        let line = table.pinned();
        if !pinned.contains(&line) {
            pinned.push(line);
        }
    }
    if collected.len() > TOLD {
        notes.push(format!("… and {} files more", collected.len() - TOLD));
    }
    match pinned.as_slice() {
        [] => notes.extend(
            declared
                .format
                .is_none()
                .then(|| "no table: kept as it is; if it is one, say so with `format:`".to_owned()),
        ),
        [line] => notes.push(line.clone()),
        lines => {
            notes.push(format!("its files have {} different schemas", lines.len()));
            notes.extend(lines.iter().take(TOLD).cloned());
        }
    }
    notes
}

/// Puts a file into the version that is being made.
pub(crate) fn keep(collected: &Collected, making: &mut VersionBuilder) -> Result<(), Problem> {
    let Collected { from, path, .. } = collected;
    let (mut original, executable) = from.standing.open()?;
    let changed = || {
        Problem::new(
            code::PIPE_010,
            format!("`{}` changed while it was collected", from.entry.path),
        )
        .hint("run again when nothing writes to it; nothing was kept")
    };
    if let Some(table) = collected.made() {
        converted(from, path, table, original, making)?;
        let (mut again, _) = from.standing.open()?;
        let sha256 =
            Digest::of_all(&mut again).map_err(|error| unreadable(&from.entry.path, &error))?;
        return if sha256 == from.entry.sha256 {
            Ok(())
        } else {
            Err(changed())
        };
    }
    let entry = making.file(path.clone(), executable, &mut original)?;
    if entry.sha256 == from.entry.sha256 {
        Ok(())
    } else {
        Err(changed())
    }
}

/// Makes a table in a thread of its own and stores it as it comes: it is never whole in memory, nor on a disk in
/// clear.
fn converted(
    from: &SourceFile,
    path: &FilePath,
    table: &Survey,
    mut original: Box<dyn Original>,
    making: &mut VersionBuilder,
) -> Result<(), Problem> {
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(PIECES);
        let worker = scope.spawn(move || {
            let mut out = BufWriter::with_capacity(PIECE, Pieces(sender));
            let written = write_parquet(&mut original, table, &mut out);
            written.and_then(|_| out.flush().map_err(TabularError::Write))
        });
        let stored = making.file(
            path.clone(),
            false,
            &mut Coming {
                receiver,
                piece: Vec::new(),
                at: 0,
            },
        );
        let written = worker
            .join()
            .map_err(|_| fault("a table could not be made"))?;
        // When storing failed, writing failed because of that.
        stored?;
        written.map_err(|error| refused(from.entry.path.as_str(), &error))
    })
}

struct Pieces(SyncSender<Vec<u8>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.0.send(bytes.to_vec()).map_err(gone)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Coming {
    receiver: Receiver<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
}

impl Read for Coming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at >= self.piece.len() {
            match self.receiver.recv() {
                Ok(piece) => {
                    self.piece = piece;
                    self.at = 0;
                }
                Err(_) => return Ok(0),
            }
        }
        let mut rest = self.piece.get(self.at..).unwrap_or_default();
        let count = rest.read(buffer)?;
        self.at += count;
        Ok(count)
    }
}

struct Counted<R> {
    inner: R,
    count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count += u64::try_from(count).unwrap_or(u64::MAX);
        Ok(count)
    }
}

fn unreadable(path: &FilePath, error: &io::Error) -> Problem {
    Problem::new(code::PIPE_003, format!("`{path}` cannot be read")).because(error)
}

/// Tells why a file is not read as a table. Values of it are not told.
fn refused(name: &str, error: &TabularError) -> Problem {
    match error {
        TabularError::Refused(refusal) => {
            let Refusal { hint, .. } = refusal.as_ref();
            let problem = Problem::new(code::PIPE_009, format!("`{name}` is not read as a table"))
                .because(refusal)
                .subject(name);
            match hint {
                Some(hint) => problem.hint(hint),
                None => problem,
            }
        }
        TabularError::Read(error) | TabularError::Write(error) => {
            Problem::new(code::PIPE_003, format!("`{name}` cannot be read")).because(error)
        }
    }
}
