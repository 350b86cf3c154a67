//! The statement of a model signature: which bytes, under which names.
//!
//! Sources: `spec/v1.0.md` §5 and §6 and `schemas/v1.0/{statement,predicate}.schema.json` of the
//! specification. INVARIANT: a [`Manifest`] names every path once, its shards leave no gap, and its root
//! is that of its resources.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU64;

use custody_types::Digest;
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{PREDICATE, json};
use crate::{AttestError, malformed};

/// How many resources a signature may name.
pub const MAX_RESOURCES: usize = 1_000_000;
/// The size of a shard unless another is asked for, in bytes (spec §6.3.2).
pub const SHARD_BYTES: NonZeroU64 = NonZeroU64::new(1_000_000_000).unwrap();
const STATEMENT: &str = "https://in-toto.io/Statement/v1";
const WHAT: &str = "model signature";

/// Which function digests the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HashType {
    /// SHA-256, which every verifier knows.
    Sha256,
    /// `BLAKE2b` with 64 bytes; only read.
    Blake2b,
    /// BLAKE3 with 32 bytes.
    Blake3,
}

impl HashType {
    const fn bytes(self) -> usize {
        match self {
            Self::Sha256 | Self::Blake3 => 32,
            Self::Blake2b => 64,
        }
    }
}

impl fmt::Display for HashType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sha256 => "sha256",
            Self::Blake2b => "blake2b",
            Self::Blake3 => "blake3",
        })
    }
}

/// What is digested by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Each file.
    Files,
    /// Each range of so many bytes of a file; files without bytes are not named at all.
    Shards(NonZeroU64),
}

/// A file or a range of one, with its digest. Ordered as the specification orders: by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// The path within the model, with `/`; of a model of one file its name.
    pub path: String,
    /// The first byte and the one after the last, where the model is signed by shards.
    pub range: Option<(u64, u64)>,
    /// The raw digest.
    pub digest: Vec<u8>,
}

impl Resource {
    /// Returns the name in the statement: the path, with the range where there is one.
    pub fn name(&self) -> String {
        self.range.map_or_else(
            || self.path.clone(),
            |(start, end)| format!("{}:{start}:{end}", self.path),
        )
    }
}

/// What a model signature says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// What the signer called the model.
    pub name: String,
    /// What is digested by itself.
    pub method: Method,
    /// With which function.
    pub hash: HashType,
    /// The paths that the signer says it left out.
    pub ignore_paths: Vec<String>,
    resources: Vec<Resource>,
    root: Digest,
}

impl Manifest {
    /// Builds a manifest of resources in any order.
    ///
    /// # Errors
    /// [`AttestError::Malformed`] when there are none or a rule of the form is broken.
    pub fn new(
        name: &str,
        method: Method,
        hash: HashType,
        ignore_paths: Vec<String>,
        mut resources: Vec<Resource>,
    ) -> Result<Self, AttestError> {
        resources.sort_by_cached_key(Resource::name);
        let manifest = Self {
            root: root(&resources),
            name: name.to_owned(),
            method,
            hash,
            ignore_paths,
            resources,
        };
        manifest.check()?;
        Ok(manifest)
    }

    /// Reads the payload of a signature.
    ///
    /// # Errors
    /// [`AttestError::Malformed`] naming the rule that is broken.
    pub fn parse(payload: &[u8]) -> Result<Self, AttestError> {
        let Form {
            kind,
            predicate,
            predicate_type,
            subject,
        } = json::read(WHAT, payload)?;
        if kind != STATEMENT || predicate_type != PREDICATE {
            return Err(malformed(
                WHAT,
                format!("it is a statement `{kind}` of `{predicate_type}`, not of `{PREDICATE}`"),
            ));
        }
        let [subject] = <[SubjectForm; 1]>::try_from(subject).map_err(|subject| {
            malformed(
                WHAT,
                format!("it has {} subjects, not exactly one", subject.len()),
            )
        })?;
        let scheme = predicate.serialization;
        let method = scheme.method()?;
        let resources = predicate
            .resources
            .into_iter()
            .map(|form| form.read(method, scheme.hash_type))
            .collect::<Result<Vec<_>, _>>()?;
        let manifest = Self {
            root: root(&resources),
            name: subject.name,
            method,
            hash: scheme.hash_type,
            ignore_paths: scheme.ignore_paths,
            resources,
        };
        manifest.check()?;
        if subject.digest.get("sha256") == Some(&manifest.root.to_hex()) {
            Ok(manifest)
        } else {
            Err(malformed(
                WHAT,
                "its root digest is not that of its resources",
            ))
        }
    }

    /// Writes the payload in the form of RFC 8785.
    ///
    /// # Errors
    /// [`AttestError::Malformed`] for a shard size that JSON cannot hold.
    pub fn to_payload(&self) -> Result<Vec<u8>, AttestError> {
        let resource = |resource: &Resource| ResourceForm {
            algorithm: self.hash.to_string(),
            digest: hex(&resource.digest),
            name: resource.name(),
        };
        let (method, shard_size) = match self.method {
            Method::Files => ("files", None),
            Method::Shards(size) => ("shards", Some(size)),
        };
        let form = Form {
            kind: STATEMENT.to_owned(),
            predicate: PredicateForm {
                resources: self.resources.iter().map(resource).collect(),
                serialization: SerializationForm {
                    allow_symlinks: false,
                    hash_type: self.hash,
                    ignore_paths: self.ignore_paths.clone(),
                    method: method.to_owned(),
                    shard_size,
                },
            },
            predicate_type: PREDICATE.to_owned(),
            subject: vec![SubjectForm {
                digest: BTreeMap::from([("sha256".to_owned(), self.root.to_hex())]),
                name: self.name.clone(),
            }],
        };
        serde_json_canonicalizer::to_vec(&form).map_err(|error| malformed(WHAT, error))
    }

    /// Returns what is signed, in the order of the statement.
    pub fn resources(&self) -> &[Resource] {
        &self.resources
    }

    /// Returns the SHA-256 over the raw digests in their order. It does not bind the names.
    pub const fn root(&self) -> Digest {
        self.root
    }

    fn check(&self) -> Result<(), AttestError> {
        let count = self.resources.len();
        if count == 0 || count > MAX_RESOURCES {
            return Err(malformed(
                WHAT,
                format!("it names {count} files or shards, not 1 to {MAX_RESOURCES}"),
            ));
        }
        if self.name.is_empty() || self.name.chars().any(custody_types::steers) {
            return Err(malformed(
                WHAT,
                "the model has an empty name, or one with hidden characters",
            ));
        }
        for resource in &self.resources {
            check_path(&resource.path)?;
            if resource.digest.len() != self.hash.bytes() {
                return Err(malformed(
                    WHAT,
                    format!("the digest of `{}` is no {}", resource.name(), self.hash),
                ));
            }
        }
        self.check_order()?;
        match self.method {
            Method::Files => Ok(()),
            Method::Shards(size) => self.check_shards(size.get()),
        }
    }

    /// Checks that the resources stand in the order of the specification (code points of the names),
    /// or else in that of `model_signing` 1.x: parts of the path, then the range as numbers.
    fn check_order(&self) -> Result<(), AttestError> {
        let names: Vec<_> = self.resources.iter().map(Resource::name).collect();
        let ordered = |less: &dyn Fn(usize, usize) -> bool| {
            (1..names.len()).all(|index| less(index.saturating_sub(1), index))
        };
        let by_name = |a: usize, b: usize| names.get(a) < names.get(b);
        let by_parts = |a: usize, b: usize| match (self.resources.get(a), self.resources.get(b)) {
            (Some(a), Some(b)) => compare_parts(a, b) == Ordering::Less,
            _ => false,
        };
        if ordered(&by_name) || ordered(&by_parts) {
            Ok(())
        } else {
            Err(malformed(
                WHAT,
                "its resources are not in order, or one is named twice",
            ))
        }
    }

    /// Checks that the shards of each file follow each other from its start, all but the last full.
    fn check_shards(&self, size: u64) -> Result<(), AttestError> {
        let mut files: BTreeMap<&str, Vec<(u64, u64)>> = BTreeMap::new();
        for resource in &self.resources {
            let range = resource
                .range
                .ok_or_else(|| malformed(WHAT, format!("`{}` is no shard", resource.path)))?;
            files.entry(&resource.path).or_default().push(range);
        }
        for (path, mut ranges) in files {
            ranges.sort_unstable();
            let mut expected = 0;
            for (index, (start, end)) in ranges.iter().copied().enumerate() {
                let full = start.checked_add(size) == Some(end);
                let last = index.checked_add(1) == Some(ranges.len());
                let short = last && end > start && end.saturating_sub(start) < size;
                if start != expected || !(full || short) {
                    return Err(malformed(
                        WHAT,
                        format!("the shards of `{path}` do not follow each other"),
                    ));
                }
                expected = end;
            }
        }
        Ok(())
    }
}

fn compare_parts(a: &Resource, b: &Resource) -> Ordering {
    (a.path.split('/').cmp(b.path.split('/'))).then_with(|| a.range.cmp(&b.range))
}

/// The root: SHA-256 over the raw digests in order.
fn root(resources: &[Resource]) -> Digest {
    let mut hasher = Sha256::new();
    for resource in resources {
        hasher.update(&resource.digest);
    }
    Digest::from_bytes(hasher.finalize().into())
}

/// Checks that a path is relative, in its shortest form, and stays within the model (spec §6.1).
fn check_path(path: &str) -> Result<(), AttestError> {
    let single = path == ".";
    let part = |part: &str| !part.is_empty() && part != "." && part != "..";
    if single || (path.split('/').all(part) && !path.chars().any(custody_types::steers)) {
        Ok(())
    } else {
        Err(malformed(
            WHAT,
            format!(
                "`{}` is not a path within a model",
                path.chars().take(200).collect::<String>()
            ),
        ))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Form {
    #[serde(rename = "_type")]
    kind: String,
    predicate: PredicateForm,
    predicate_type: String,
    subject: Vec<SubjectForm>,
}

/// Other members are allowed by the schema, and mean nothing.
#[derive(Serialize, Deserialize)]
struct SubjectForm {
    digest: BTreeMap<String, String>,
    name: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PredicateForm {
    resources: Vec<ResourceForm>,
    serialization: SerializationForm,
}

/// Other members are allowed by the schema, and mean nothing.
#[derive(Serialize, Deserialize)]
struct ResourceForm {
    algorithm: String,
    digest: String,
    name: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SerializationForm {
    allow_symlinks: bool,
    hash_type: HashType,
    #[serde(default)]
    ignore_paths: Vec<String>,
    method: String,
    #[serde(
        default,
        deserialize_with = "shard_size",
        skip_serializing_if = "Option::is_none"
    )]
    shard_size: Option<NonZeroU64>,
}

/// Reads an integer, which `model_signing` 1.x writes as `1000.0`: JSON knows one kind of number.
fn shard_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NonZeroU64>, D::Error> {
    let number = serde_json::Number::deserialize(deserializer)?;
    let text = number.to_string();
    text.strip_suffix(".0")
        .unwrap_or(&text)
        .parse()
        .map(Some)
        .map_err(|_| de::Error::custom(format!("the shard size `{text}` is no positive integer")))
}

impl SerializationForm {
    fn method(&self) -> Result<Method, AttestError> {
        match (self.method.as_str(), self.shard_size) {
            ("files", None) => Ok(Method::Files),
            ("shards", Some(size)) => Ok(Method::Shards(size)),
            ("files", Some(_)) => Err(malformed(WHAT, "it signs files, yet has a shard size")),
            ("shards", None) => Err(malformed(WHAT, "it signs shards without their size")),
            (other, _) => Err(malformed(
                WHAT,
                format!("its method is `{other}`, not `files` or `shards`"),
            )),
        }
    }
}

impl ResourceForm {
    fn read(self, method: Method, hash: HashType) -> Result<Resource, AttestError> {
        // `model_signing` 1.x writes the size of the shards into the name of the function.
        let other = match method {
            Method::Files => None,
            Method::Shards(size) => Some(format!("{hash}-sharded-{size}")),
        };
        if self.algorithm != hash.to_string() && Some(&self.algorithm) != other.as_ref() {
            return Err(malformed(
                WHAT,
                format!(
                    "`{}` is digested by {}, not by {hash}",
                    self.name, self.algorithm
                ),
            ));
        }
        let digest = unhex(&self.digest).ok_or_else(|| {
            malformed(
                WHAT,
                format!("the digest of `{}` is not hexadecimal", self.name),
            )
        })?;
        let (path, range) = match method {
            Method::Files => (self.name, None),
            Method::Shards(_) => {
                let (path, range) = split_shard(&self.name).ok_or_else(|| {
                    malformed(
                        WHAT,
                        format!("`{}` is not written `path:start:end`", self.name),
                    )
                })?;
                (path.to_owned(), Some(range))
            }
        };
        Ok(Resource {
            path,
            range,
            digest,
        })
    }
}

/// Splits `path:start:end`; the path may have colons itself.
fn split_shard(name: &str) -> Option<(&str, (u64, u64))> {
    let (rest, end) = name.rsplit_once(':')?;
    let (path, start) = rest.rsplit_once(':')?;
    Some((path, (number(start)?, number(end)?)))
}

/// Reads a number in its one form: digits without a sign or leading zeros.
fn number(text: &str) -> Option<u64> {
    text.parse::<u64>()
        .ok()
        .filter(|number| number.to_string() == text)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        for digit in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(u32::from(digit), 16));
        }
        text
    })
}

/// Reads lower-case hexadecimal.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte.wrapping_sub(b'0')),
        b'a'..=b'f' => Some(byte.wrapping_sub(b'a').wrapping_add(10)),
        _ => None,
    };
    let mut digits = text.bytes();
    let mut bytes = Vec::with_capacity(text.len() / 2);
    while let Some(high) = digits.next() {
        bytes.push((digit(high)? << 4) | digit(digits.next()?)?);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(path: &str, range: Option<(u64, u64)>, byte: u8) -> Resource {
        Resource {
            path: path.to_owned(),
            range,
            digest: vec![byte; 32],
        }
    }

    fn shards(size: u64) -> Method {
        Method::Shards(NonZeroU64::new(size).unwrap())
    }

    fn build(method: Method, resources: &[Resource]) -> Result<Manifest, AttestError> {
        Manifest::new(
            "m",
            method,
            HashType::Sha256,
            Vec::new(),
            resources.to_vec(),
        )
    }

    /// Puts the right root into a payload, as a signer would that breaks another rule.
    fn with_root(payload: &str) -> String {
        let form: Form = serde_json::from_str(payload).unwrap();
        let mut hasher = Sha256::new();
        for resource in &form.predicate.resources {
            hasher.update(unhex(&resource.digest).unwrap_or_default());
        }
        let old = form.subject[0].digest["sha256"].clone();
        payload.replace(&old, &Digest::from_bytes(hasher.finalize().into()).to_hex())
    }

    #[test]
    fn a_manifest_reads_back_as_it_was_written() {
        for (method, resources) in [
            (
                Method::Files,
                vec![resource("b", None, 1), resource("a/c", None, 2)],
            ),
            (
                shards(10),
                vec![
                    resource("a:b", Some((10, 13)), 1),
                    resource("a:b", Some((0, 10)), 2),
                ],
            ),
            (Method::Files, vec![resource(".", None, 3)]),
        ] {
            let manifest = build(method, &resources).unwrap();
            assert_eq!(
                Manifest::parse(&manifest.to_payload().unwrap()),
                Ok(manifest)
            );
        }
    }

    #[test]
    fn resources_stand_in_the_order_of_code_points() {
        let manifest = build(
            Method::Files,
            &[
                resource("\u{10000}", None, 1),
                resource("\u{ffff}", None, 2),
                resource("a/b", None, 3),
                resource("a.b", None, 4),
            ],
        )
        .unwrap();
        let names: Vec<_> = manifest.resources().iter().map(Resource::name).collect();
        assert_eq!(names, ["a.b", "a/b", "\u{ffff}", "\u{10000}"]);
    }

    #[test]
    fn the_order_of_the_reference_signer_is_read_and_no_other() {
        let plain = r#"{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"m","digest":{"sha256":"root"}}],"predicateType":"https://model_signing/signature/v1.0","predicate":{"serialization":{"method":"files","hash_type":"sha256","allow_symlinks":false},"resources":[R]}}"#;
        let digest = "11".repeat(32);
        let check = |names: &[&str], well: bool| {
            let resources: Vec<_> = names
                .iter()
                .map(|name| {
                    format!(r#"{{"name":"{name}","digest":"{digest}","algorithm":"sha256"}}"#)
                })
                .collect();
            let payload = with_root(&plain.replace('R', &resources.join(",")));
            assert_eq!(
                Manifest::parse(payload.as_bytes()).is_ok(),
                well,
                "{names:?}"
            );
        };
        check(&["a.b", "a/b"], true);
        check(&["a/b", "a.b"], true);
        check(&["b", "a"], false);
        check(&["a", "a"], false);
        check(&["a", "a/../b"], false);
        check(&["/a"], false);
        check(&["a//b"], false);
        check(&["../a"], false);
        check(&["a", "./b"], false);
        check(&["a\\nb"], false);
        check(&["a\\u0000"], false);
        check(&["gpj.\\u202eexe"], false);
        check(&[], false);
    }

    #[test]
    fn shards_leave_no_gap() {
        let a = |start, end| resource("a", Some((start, end)), 1);
        for (resources, well) in [
            (vec![a(0, 10), a(10, 20), a(20, 21)], true),
            (vec![a(0, 7)], true),
            (vec![a(0, 10), a(20, 30)], false),
            (vec![a(10, 20)], false),
            (vec![a(0, 7), a(7, 10)], false),
            (vec![a(0, 11)], false),
            (vec![a(0, 0)], false),
            (vec![a(0, 10), a(10, 10)], false),
            (vec![resource("a", None, 1)], false),
        ] {
            assert_eq!(build(shards(10), &resources).is_ok(), well, "{resources:?}");
        }
    }

    #[test]
    fn every_rule_of_the_form_is_kept() {
        let payload = build(Method::Files, &[resource("a", None, 1)])
            .unwrap()
            .to_payload()
            .unwrap();
        let payload = String::from_utf8(payload).unwrap();
        let check = |from: &str, to: &str, because: &str| {
            assert!(payload.contains(from), "{from}");
            let text = payload.replacen(from, to, 1);
            match Manifest::parse(text.as_bytes()) {
                Ok(_) => assert_eq!(because, "", "{text}"),
                Err(error) => assert!(
                    !because.is_empty() && error.to_string().contains(because),
                    "{error}: {text}"
                ),
            }
        };
        let digest = "01".repeat(32);
        for (from, to, because) in [
            (r#""ignore_paths":[],"#, "", ""),
            (r#""name":"a""#, r#""name":"a","annotations":{}"#, ""),
            (r#""name":"m""#, r#""name":"m","uri":"x""#, ""),
            (r#""name":"m""#, r#""name":"""#, "empty name"),
            (
                "in-toto.io/Statement/v1",
                "in-toto.io/Statement/v0.1",
                "is a statement",
            ),
            ("signature/v1.0", "signature/v2.0", "is a statement"),
            (r#""resources":"#, r#""x":1,"resources":"#, "unknown field"),
            (r#""method":"#, r#""x":1,"method":"#, "unknown field"),
            (r#""_type":"#, r#""x":1,"_type":"#, "unknown field"),
            (
                r#""method":"files""#,
                r#""method":"bytes""#,
                "its method is",
            ),
            (
                r#""method":"files""#,
                r#""method":"shards""#,
                "without their size",
            ),
            (
                r#""method":"files""#,
                r#""method":"files","shard_size":5"#,
                "yet has a shard size",
            ),
            (
                r#""method":"files""#,
                r#""method":"shards","shard_size":0"#,
                "no positive integer",
            ),
            (
                r#""hash_type":"sha256""#,
                r#""hash_type":"md5""#,
                "unknown variant",
            ),
            (
                r#""hash_type":"sha256""#,
                r#""hash_type":"blake3""#,
                "not by blake3",
            ),
            (r#""allow_symlinks":false,"#, "", "missing field"),
            (digest.as_str(), "0101", "is no sha256"),
            (digest.as_str(), "0g", "not hexadecimal"),
            (digest.as_str(), "0A", "not hexadecimal"),
            (r#""name":"a""#, r#""name":"b","name":"a""#, "twice"),
            (
                r#""subject":["#,
                r#""subject":[{"name":"n","digest":{"sha256":"00"}},"#,
                "2 subjects",
            ),
        ] {
            check(from, to, because);
        }
        let swapped = payload.replace(&digest, &"02".repeat(32));
        assert!(
            Manifest::parse(swapped.as_bytes())
                .unwrap_err()
                .to_string()
                .contains("root digest")
        );
    }

    #[test]
    fn the_shards_of_the_reference_signer_are_read() {
        let range = Some((0, 10));
        let manifest = build(shards(10), &[resource("a", range, 1)]).unwrap();
        let payload = String::from_utf8(manifest.to_payload().unwrap()).unwrap();
        let theirs = payload
            .replace(
                r#""algorithm":"sha256""#,
                r#""algorithm":"sha256-sharded-10""#,
            )
            .replace(r#""shard_size":10"#, r#""shard_size":10.0"#);
        assert_ne!(payload, theirs);
        assert_eq!(Manifest::parse(theirs.as_bytes()), Ok(manifest));
        let other = theirs.replace("sharded-10", "sharded-11");
        assert!(Manifest::parse(other.as_bytes()).is_err());
    }

    #[test]
    fn the_names_of_shards_end_in_two_numbers() {
        for (name, expected) in [
            ("a:0:5", Some(("a", (0, 5)))),
            ("a:b:c:0:5", Some(("a:b:c", (0, 5)))),
            ("a:0", None),
            ("a:+0:5", None),
            ("a:00:5", None),
            ("a:0:99999999999999999999", None),
        ] {
            assert_eq!(split_shard(name), expected, "{name}");
        }
    }
}
