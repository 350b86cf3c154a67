//! What a file is.

use std::io::{self, BufReader, Read, Seek, SeekFrom};

use crate::error::{Refusal, TabularError};
use crate::options::Format;

/// A file that can be read more than once.
pub trait Original: Read + Seek + Send {}

impl<R: Read + Seek + Send> Original for R {}

/// How a file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    None,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

/// The format of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// Parquet.
    Parquet,
    /// Text with the delimiter that its content shows, or a tab.
    Text {
        /// Whether the name or what was declared says that fields are divided by tabs.
        tabs: bool,
    },
    /// A JSON object on each line.
    JsonLines,
    /// Arrow's file format.
    ArrowFile,
    /// Arrow's stream format.
    ArrowStream,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recognised {
    /// A table.
    Table {
        /// Its format.
        table: Table,
        /// How the file is packed.
        packing: Packing,
    },
    /// No table: a file that is kept as it is.
    NoTable,
}

/// How many bytes at the beginning are looked at.
const HEAD: u64 = 1 << 13;
const PARQUET: &[u8] = b"PAR1";
const ARROW: &[u8] = b"ARROW1\0\0";
const STREAM: &[u8] = &[0xff; 4];
const HOW: &str = "say what it is with `format:` (`parquet`, `csv`, `tsv`, `jsonl`, `arrow`), or `format: files` to keep it as it is";

/// Takes the ending off a name: `data/a.CSV.gz` is `data/a`, and `csv`.
fn parts(name: &str) -> (&str, String) {
    let mut bare = name;
    for packed in [".gz", ".gzip", ".zst", ".zstd"] {
        bare = without(bare, packed).unwrap_or(bare);
    }
    let file = bare.rsplit('/').next().unwrap_or(bare);
    match file.rsplit_once('.') {
        Some((stem, ending)) if !stem.is_empty() => {
            let cut = bare.len() - ending.len() - 1;
            (bare.get(..cut).unwrap_or(bare), ending.to_ascii_lowercase())
        }
        _ => (bare, String::new()),
    }
}

fn without<'a>(name: &'a str, ending: &str) -> Option<&'a str> {
    let (before, found) = name.split_at_checked(name.len().checked_sub(ending.len())?)?;
    (found.eq_ignore_ascii_case(ending) && !before.is_empty() && !before.ends_with('/'))
        .then_some(before)
}

fn by_ending(ending: &str) -> Option<Format> {
    match ending {
        "parquet" | "pq" => Some(Format::Parquet),
        "csv" => Some(Format::Csv),
        "tsv" | "tab" => Some(Format::Tsv),
        "jsonl" | "ndjson" => Some(Format::Jsonl),
        "arrow" | "arrows" | "ipc" | "feather" => Some(Format::Arrow),
        _ => None,
    }
}

/// Returns the name that the Parquet file of a table has: `a/b.csv.gz` becomes `a/b.parquet`.
pub fn parquet_name(name: &str) -> String {
    let (stem, ending) = parts(name);
    let known = by_ending(&ending).is_some()
        || matches!(ending.as_str(), "" | "txt" | "data" | "json" | "dat");
    let end = stem.len() + if known { 0 } else { 1 + ending.len() };
    let stem = name.get(..end).unwrap_or(stem);
    format!("{stem}.parquet")
}

/// Opens what is packed.
pub(crate) fn unpack<'a>(
    file: &'a mut dyn Original,
    packing: Packing,
) -> io::Result<Box<dyn Read + Send + 'a>> {
    file.seek(SeekFrom::Start(0))?;
    let file = BufReader::with_capacity(1 << 16, file);
    Ok(match packing {
        Packing::None => Box::new(file),
        Packing::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
        Packing::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(file)?),
    })
}

/// Turns an error of reading into one of the file, where it was packed.
pub(crate) fn reading(error: io::Error, packing: Packing) -> TabularError {
    match packing {
        Packing::None => TabularError::Read(error),
        Packing::Gzip => Refusal::new("its gzip compression is damaged or cut off").into(),
        Packing::Zstd => Refusal::new("its zstd compression is damaged or cut off").into(),
    }
}

fn head(file: &mut dyn Original, packing: Packing) -> Result<Vec<u8>, TabularError> {
    let mut head = Vec::new();
    unpack(file, packing)
        .and_then(|content| content.take(HEAD).read_to_end(&mut head))
        .map_err(|error| reading(error, packing))?;
    Ok(head)
}

fn packing(head: &[u8]) -> Packing {
    if head.starts_with(&[0x1f, 0x8b, 8]) {
        Packing::Gzip
    } else if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        Packing::Zstd
    } else {
        Packing::None
    }
}

/// Returns what the first bytes say for sure, in words.
fn binary(head: &[u8]) -> Option<&'static str> {
    let signs: &[(&[u8], &str)] = &[
        (PARQUET, "Parquet"),
        (b"PARE", "encrypted Parquet"),
        (ARROW, "Arrow"),
        (b"FEA1", "an old Feather file"),
        (b"PK\x03\x04", "a zip archive (as `.xlsx` files are)"),
        (b"\xd0\xcf\x11\xe0", "an old Office document"),
        (b"%PDF", "a PDF document"),
        (b"ORC", "ORC"),
        (b"Obj\x01", "Avro"),
        (b"SQLite format 3", "a SQLite database"),
        (b"\x89HDF", "HDF5"),
        (b"\x93NUMPY", "a NumPy array"),
        (b"BZh", "compressed with bzip2"),
        (b"\xfd7zXZ", "compressed with xz"),
        (&[0x1f, 0x8b, 8], "compressed with gzip twice"),
    ];
    let found = signs.iter().find(|(sign, _)| head.starts_with(sign));
    found.map(|(_, word)| *word)
}

fn ends_with_parquet(file: &mut dyn Original, size: u64) -> Result<bool, TabularError> {
    if size < 12 {
        return Ok(false);
    }
    let mut tail = [0; 4];
    file.seek(SeekFrom::End(-4))
        .and_then(|_| file.read_exact(&mut tail))
        .map_err(TabularError::Read)?;
    Ok(tail == PARQUET)
}

/// Finds out what a file is: by its content first, by its name where content alone cannot say, and by what was
/// declared before either.
///
/// # Errors
/// [`TabularError::Refused`] when it is empty, or not what its name or declaration says.
pub fn recognise(
    name: &str,
    file: &mut dyn Original,
    declared: Option<Format>,
) -> Result<Recognised, TabularError> {
    let (_, ending) = parts(name);
    if declared == Some(Format::Files) {
        return Ok(Recognised::NoTable);
    }
    let expected = declared.or_else(|| by_ending(&ending));
    let size = file.seek(SeekFrom::End(0)).map_err(TabularError::Read)?;
    if size == 0 {
        return match expected {
            Some(_) => Err(Refusal::new("it is empty").hint("an empty file is no table: remove it, or keep it as it is with `format: files`").into()),
            None => Ok(Recognised::NoTable),
        };
    }
    let outer = head(file, Packing::None)?;
    let packing = packing(&outer);
    let inner = match (packing, expected) {
        (Packing::None, _) => outer,
        // Whatever else is packed stays packed.
        (_, None) => return Ok(Recognised::NoTable),
        (packing, Some(_)) => head(file, packing)?,
    };
    let said = match declared {
        Some(format) => format!("declared to be `{}`", format.word()),
        None => format!("its name says `.{ending}`"),
    };
    let table = |table| Ok(Recognised::Table { table, packing });
    let refuse = |because: String| Err(Refusal::new(because).hint(HOW).into());
    if inner.is_empty() {
        return refuse("there is nothing in it".to_owned());
    }
    let found = binary(&inner);
    if packing == Packing::None
        && inner.starts_with(PARQUET)
        && (expected.is_none() || expected == Some(Format::Parquet))
    {
        return if ends_with_parquet(file, size)? {
            table(Table::Parquet)
        } else if expected.is_some() {
            Err(
                Refusal::new("it begins as Parquet and does not end so: it is cut off")
                    .hint("fetch it again")
                    .into(),
            )
        } else {
            Ok(Recognised::NoTable)
        };
    }
    if inner.starts_with(ARROW) && (expected.is_none() || expected == Some(Format::Arrow)) {
        return if packing == Packing::None {
            table(Table::ArrowFile)
        } else {
            refuse(
                "it is an Arrow file that is compressed as a whole, which cannot be read"
                    .to_owned(),
            )
        };
    }
    match (expected, found) {
        (None, _) | (Some(Format::Files), None) => Ok(Recognised::NoTable),
        (Some(Format::Parquet), Some("Parquet")) => {
            Err(Refusal::new("it is Parquet that is compressed as a whole")
                .hint("decompress it first: Parquet is compressed inside")
                .into())
        }
        (Some(Format::Parquet), Some("encrypted Parquet")) => {
            Err(Refusal::new("it is encrypted Parquet")
                .hint("decrypt it first")
                .into())
        }
        (Some(Format::Arrow), None) if inner.starts_with(STREAM) => table(Table::ArrowStream),
        (Some(_), Some(other)) => refuse(format!("{said}, but its content is {other}")),
        (Some(Format::Parquet | Format::Arrow), None) => {
            refuse(format!("{said}, and its content is something else"))
        }
        (Some(Format::Jsonl), None) => table(Table::JsonLines),
        (Some(Format::Csv), None) => table(Table::Text { tabs: false }),
        (Some(Format::Tsv), None) => table(Table::Text { tabs: true }),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 1).unwrap()
    }

    fn check(name: &str, content: &[u8], declared: Option<Format>, expected: &str) {
        let mut file = Cursor::new(content.to_vec());
        let found = match recognise(name, &mut file, declared) {
            Ok(Recognised::NoTable) => "no table".to_owned(),
            Ok(Recognised::Table { table, packing }) => format!("{table:?} {packing:?}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected, "{name}");
    }

    #[test]
    fn content_is_asked_first_and_names_must_be_true() {
        let csv = b"a,b\n1,2\n".as_slice();
        let parquet = b"PAR1xxxxxxxxPAR1".as_slice();
        let text = "Text { tabs: false } None";
        for (name, content, expected) in [
            ("a.csv", csv.to_vec(), text),
            ("A.CSV", csv.to_vec(), text),
            ("a.tsv", csv.to_vec(), "Text { tabs: true } None"),
            ("a.csv.gz", gzip(csv), "Text { tabs: false } Gzip"),
            ("a.csv.zst", zstd(csv), "Text { tabs: false } Zstd"),
            ("a.csv", gzip(csv), "Text { tabs: false } Gzip"),
            ("a.jsonl", b"{}".to_vec(), "JsonLines None"),
            ("a.parquet", parquet.to_vec(), "Parquet None"),
            ("noname", parquet.to_vec(), "Parquet None"),
            ("a.arrow", b"ARROW1\0\0....".to_vec(), "ArrowFile None"),
            (
                "a.arrow",
                b"\xff\xff\xff\xff\x10\0\0\0".to_vec(),
                "ArrowStream None",
            ),
            ("words.txt", csv.to_vec(), "no table"),
            ("noname", csv.to_vec(), "no table"),
            ("a.tar.gz", gzip(csv), "no table"),
            ("empty.txt", Vec::new(), "no table"),
            ("a.csv", Vec::new(), "it is empty"),
            ("a.parquet", Vec::new(), "it is empty"),
            ("a.csv.gz", gzip(b""), "there is nothing in it"),
            (
                "a.csv.gz",
                gzip(csv)[..12].to_vec(),
                "its gzip compression is damaged or cut off",
            ),
            (
                "a.csv",
                parquet.to_vec(),
                "its name says `.csv`, but its content is Parquet",
            ),
            (
                "a.csv",
                b"PK\x03\x04....".to_vec(),
                "its name says `.csv`, but its content is a zip archive (as `.xlsx` files are)",
            ),
            (
                "a.parquet",
                csv.to_vec(),
                "its name says `.parquet`, and its content is something else",
            ),
            (
                "a.parquet",
                b"PAR1xxxxxxxxxxxx".to_vec(),
                "it begins as Parquet and does not end so: it is cut off",
            ),
            (
                "a.parquet",
                b"PAR1PAR1".to_vec(),
                "it begins as Parquet and does not end so: it is cut off",
            ),
            (
                "a.parquet.gz",
                gzip(parquet),
                "it is Parquet that is compressed as a whole",
            ),
            (
                "a.feather",
                b"FEA1....".to_vec(),
                "its name says `.feather`, but its content is an old Feather file",
            ),
        ] {
            check(name, &content, None, expected);
        }
        check("words.txt", csv, Some(Format::Csv), text);
        check("a.csv", csv, Some(Format::Files), "no table");
        check(
            "a.csv",
            csv,
            Some(Format::Parquet),
            "declared to be `parquet`, and its content is something else",
        );
        check("a.parquet", b"", Some(Format::Files), "no table");
    }

    #[test]
    fn a_table_has_a_name_that_says_parquet() {
        for (name, expected) in [
            ("a.csv", "a.parquet"),
            ("d/a.b.CSV.gz", "d/a.b.parquet"),
            ("a.txt", "a.parquet"),
            ("a.d/noname", "a.d/noname.parquet"),
            ("a.2020", "a.2020.parquet"),
            (".csv", ".csv.parquet"),
            ("ü.csv", "ü.parquet"),
        ] {
            assert_eq!(parquet_name(name), expected);
        }
    }
}
