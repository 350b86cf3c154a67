//! What an installed Python package says of itself: the `METADATA` file of its `.dist-info` folder.
//!
//! Source: Python's [core metadata](https://packaging.python.org/en/latest/specifications/core-metadata/), 1.0 to
//! 2.x: headers in the manner of RFC 822 until the first empty line. A package's text is not trusted: its size, the
//! number of its headers and the length of what is kept are bounded, and what says two names says none.

mod classifier;

use crate::licence::Licence;
use crate::package::{PackageId, shown};
use crate::{AttestError, malformed};

/// The most bytes that headers may take. The description that follows them is not read.
pub const MAX_HEADER_BYTES: usize = 1 << 20;
/// The most classifiers or licence files that are kept; a package with more is refused.
pub const MAX_REPEATED: usize = 256;
/// The longest path of a licence file, in bytes.
pub const MAX_PATH_BYTES: usize = 512;
const CLASSIFIER: &str = "License :: ";

/// What a package's metadata says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DistInfo {
    /// Which package it is.
    pub package: PackageId,
    /// Its licences, as it declares them; all of them apply or may be chosen from, which only an expression tells.
    /// Empty where it declares none.
    pub licences: Vec<Licence>,
    /// The files with the licences' texts, relative to the package's folder of licences.
    pub licence_files: Vec<String>,
}

/// The headers that matter, as they stand in the file.
#[derive(Default)]
struct Headers {
    metadata_version: Option<String>,
    name: Option<String>,
    version: Option<String>,
    expression: Option<String>,
    licence: Option<String>,
    classifiers: Vec<String>,
    files: Vec<String>,
}

impl DistInfo {
    /// Reads the content of a `METADATA` file.
    ///
    /// The licence is that of `License-Expression`; else those of the classifiers, where each means exactly one
    /// licence; else that of `License`, where it is one of SPDX; else the names that the classifiers or `License`
    /// give, where that is one line.
    ///
    /// # Errors
    /// [`AttestError::Malformed`] when it is no core metadata, says twice what it may say once, or goes beyond
    /// [`MAX_HEADER_BYTES`], [`MAX_REPEATED`] or [`MAX_PATH_BYTES`].
    pub fn parse(bytes: &[u8]) -> Result<Self, AttestError> {
        let headers = Headers::read(bytes)?;
        let version = headers.metadata_version.as_deref().unwrap_or_default();
        if !matches!(version.split_once('.'), Some(("1" | "2", minor)) if minor.len() == 1 && minor.bytes().all(|byte| byte.is_ascii_digit()))
        {
            return Err(wrong(format!("its version is {}", shown(version))));
        }
        let missing = |what| move || wrong(format!("it has no `{what}`"));
        let name = headers.name.as_ref().ok_or_else(missing("Name"))?;
        let number = headers.version.as_ref().ok_or_else(missing("Version"))?;
        Ok(Self {
            package: PackageId::new(name, number)?,
            licences: headers.licences(),
            licence_files: headers.files,
        })
    }
}

impl Headers {
    fn read(bytes: &[u8]) -> Result<Self, AttestError> {
        let mut headers = Self::default();
        let mut open: Option<(String, Vec<u8>)> = None;
        let mut read = 0_usize;
        let lines = bytes.split(|byte| *byte == b'\n');
        for line in lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line)) {
            if line.is_empty() {
                break;
            }
            read = read.saturating_add(line.len()).saturating_add(1);
            if read > MAX_HEADER_BYTES {
                return Err(wrong(format!(
                    "its headers are longer than {MAX_HEADER_BYTES} bytes"
                )));
            }
            if let [b' ' | b'\t', ..] = line {
                let (_, value) = open
                    .as_mut()
                    .ok_or_else(|| wrong("it begins with a folded line"))?;
                value.push(b'\n');
                value.extend_from_slice(line);
                continue;
            }
            headers.close(open.take())?;
            let colon = line.iter().position(|byte| *byte == b':');
            let (name, value) = colon
                .and_then(|colon| line.split_at_checked(colon))
                .ok_or_else(|| wrong("it has a line that is no header"))?;
            let value = value.strip_prefix(b":").unwrap_or(value);
            open = Some((
                String::from_utf8_lossy(name).to_ascii_lowercase(),
                value.to_vec(),
            ));
        }
        headers.close(open)?;
        Ok(headers)
    }

    /// Keeps a header that ended, if it is one that matters.
    fn close(&mut self, header: Option<(String, Vec<u8>)>) -> Result<(), AttestError> {
        let Some((name, value)) = header else {
            return Ok(());
        };
        let (once, many) = match name.as_str() {
            "metadata-version" => (Some(&mut self.metadata_version), None),
            "name" => (Some(&mut self.name), None),
            "version" => (Some(&mut self.version), None),
            "license-expression" => (Some(&mut self.expression), None),
            "license" => (Some(&mut self.licence), None),
            "classifier" => (None, Some(&mut self.classifiers)),
            "license-file" => (None, Some(&mut self.files)),
            _ => return Ok(()),
        };
        let value = String::from_utf8(value).map_err(|_| wrong(format!("`{name}` is no UTF-8")))?;
        let value = value.trim().to_owned();
        if let Some(once) = once
            && once.replace(value.clone()).is_some()
        {
            return Err(wrong(format!("it says `{name}` twice")));
        }
        let Some(many) = many else {
            return Ok(());
        };
        if name == "license-file" && !is_inside(&value) {
            return Err(wrong(format!("{} is no licence file", shown(&value))));
        }
        if many.len() == MAX_REPEATED {
            return Err(wrong(format!("it has more than {MAX_REPEATED} `{name}`")));
        }
        many.push(value);
        Ok(())
    }

    fn licences(&self) -> Vec<Licence> {
        let text = self.licence.as_deref().filter(|text| {
            !["", "UNKNOWN"]
                .iter()
                .any(|no| text.eq_ignore_ascii_case(no))
        });
        if let Some(licence) = self.expression.as_deref().and_then(Licence::of) {
            return vec![licence];
        }
        let mut classified: Vec<_> = self
            .classifiers
            .iter()
            .filter_map(|classifier| classifier.strip_prefix(CLASSIFIER))
            .filter_map(classifier::licence)
            .collect();
        classified.sort();
        classified.dedup();
        let exact = !classified.is_empty()
            && classified
                .iter()
                .all(|licence| matches!(licence, Licence::Id(_)));
        let written = text.and_then(Licence::of);
        match written {
            _ if exact => classified,
            Some(Licence::Named(_)) | None if !classified.is_empty() => classified,
            other => other.into_iter().collect(),
        }
    }
}

/// Whether a path stays inside the folder that it is relative to, and can be written on one line.
fn is_inside(path: &str) -> bool {
    path.len() <= MAX_PATH_BYTES
        && !path.contains(|letter: char| letter.is_control() || letter == '\\')
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

fn wrong(because: impl std::fmt::Display) -> AttestError {
    malformed("package's metadata", because)
}

#[cfg(test)]
mod tests;
