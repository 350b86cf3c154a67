//! What lies beside a scanned file: some models are several files, and one names the others.

use std::collections::BTreeMap;

/// The files that are scanned together, by the names under which they are handed to the scanner: with
/// them, what a model says of another file is held against that file.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Files {
    entries: BTreeMap<String, FileKind>,
}

/// What lies at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A plain file.
    File {
        /// Its length in bytes.
        size: u64,
    },
    /// A link to a file that may lie anywhere.
    Link,
    /// Anything else.
    Other,
}

/// What is known of a file that a model names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beside {
    /// Nothing: the scanner was not told what lies beside the model.
    Unknown,
    /// It is not there.
    Missing,
    /// It is there.
    There(FileKind),
}

impl Files {
    /// Adds what lies at `path`, whose parts are parted by `/` and begin as the scanned file's name does.
    pub fn add(&mut self, path: impl Into<String>, kind: FileKind) {
        self.entries.insert(path.into(), kind);
    }

    /// Returns what lies at `name` beside `file`.
    pub(crate) fn beside(&self, file: &str, name: &str) -> Beside {
        let folder = file.rsplit_once('/').map(|(folder, _)| folder);
        let inside: Vec<_> = name
            .split('/')
            .filter(|part| !part.is_empty() && *part != ".")
            .collect();
        let inside = inside.join("/");
        let path = folder.map_or_else(|| inside.clone(), |folder| format!("{folder}/{inside}"));
        self.entries
            .get(&path)
            .map_or(Beside::Missing, |kind| Beside::There(*kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_up_in_the_folder_of_the_file() {
        let mut files = Files::default();
        files.add("models/a/w.bin", FileKind::File { size: 3 });
        files.add("models/a/b/link", FileKind::Link);
        files.add("w.bin", FileKind::Other);
        for (file, name, expected) in [
            (
                "models/a/m.onnx",
                "w.bin",
                Beside::There(FileKind::File { size: 3 }),
            ),
            (
                "models/a/m.onnx",
                "./w.bin",
                Beside::There(FileKind::File { size: 3 }),
            ),
            ("models/a/m.onnx", "b//link", Beside::There(FileKind::Link)),
            ("m.onnx", "w.bin", Beside::There(FileKind::Other)),
            ("models/m.onnx", "w.bin", Beside::Missing),
            ("models/a/m.onnx", "a/w.bin", Beside::Missing),
            ("models/a/m.onnx", "", Beside::Missing),
        ] {
            assert_eq!(files.beside(file, name), expected, "{file} {name}");
        }
    }
}
