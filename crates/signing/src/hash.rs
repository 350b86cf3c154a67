//! The digests of a model's files or shards: in parallel over the files, in bounded memory.

use std::io::Read as _;

use aws_lc_rs::digest::{Context, SHA256};
use custody_attest::oms::manifest::{HashType, MAX_RESOURCES, Method, Resource};
use rayon::prelude::*;

use crate::tree::{ModelFile, Opened, Tree, TreeError};

/// How many bytes are read at once: they stay in the core's own cache until they are digested.
const BUFFER_BYTES: usize = 256 << 10;
/// From this size on, the cores share one file under BLAKE3.
const SHARED_BYTES: u64 = 16 << 20;
/// How many bytes of such a file are read at once.
const SHARED_BUFFER_BYTES: usize = 4 << 20;

/// How the bytes of a model become digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scheme {
    /// What is digested by itself.
    pub method: Method,
    /// With which function.
    pub hash: HashType,
}

impl Default for Scheme {
    /// Whole files by SHA-256: what every verifier knows.
    fn default() -> Self {
        Self {
            method: Method::Files,
            hash: HashType::Sha256,
        }
    }
}

/// Why the digests cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// A file cannot be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The function is not one that this program computes.
    #[error("digests by {0} are not computed here; sign with sha256 or blake3")]
    Unsupported(HashType),
    /// The bytes are in a store, which keeps another digest.
    #[error("only the sha256 of the whole file `{0}` is known, not what the signature needs")]
    Unknown(String),
}

/// Digests `files` of `tree`, in no particular order. `progress` is told of bytes as they are read.
///
/// # Errors
/// [`HashError`]; the first that is met.
pub fn resources(
    tree: &Tree<'_>,
    files: &[&ModelFile],
    scheme: Scheme,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Vec<Resource>, HashError> {
    if scheme.hash == HashType::Blake2b {
        return Err(HashError::Unsupported(scheme.hash));
    }
    let count = files
        .iter()
        .map(|file| shards(file, scheme))
        .fold(0, u64::saturating_add);
    if !usize::try_from(count).is_ok_and(|count| count <= MAX_RESOURCES) {
        return Err(TreeError::TooMany.into());
    }
    let mut jobs: Vec<_> = files.iter().flat_map(|file| jobs(file, scheme)).collect();
    // The longest first, so that no core is left with a long one at the end.
    jobs.sort_by_key(|job| std::cmp::Reverse(job.bytes()));
    jobs.into_par_iter()
        .with_max_len(1)
        .map_init(
            || vec![0; BUFFER_BYTES],
            |buffer, job| job.run(tree, scheme.hash, buffer, progress),
        )
        .collect()
}

struct Job<'a> {
    file: &'a ModelFile,
    range: Option<(u64, u64)>,
}

fn shards(file: &ModelFile, scheme: Scheme) -> u64 {
    match scheme.method {
        Method::Files => 1,
        Method::Shards(size) => file.size.div_ceil(size.get()),
    }
}

fn jobs(file: &ModelFile, scheme: Scheme) -> Vec<Job<'_>> {
    let Method::Shards(size) = scheme.method else {
        return vec![Job { file, range: None }];
    };
    let mut jobs = Vec::new();
    let mut start = 0_u64;
    while start < file.size {
        let end = start.saturating_add(size.get()).min(file.size);
        jobs.push(Job {
            file,
            range: Some((start, end)),
        });
        start = end;
    }
    jobs
}

impl Job<'_> {
    fn bytes(&self) -> u64 {
        self.range
            .map_or(self.file.size, |(start, end)| end.saturating_sub(start))
    }

    fn run(
        &self,
        tree: &Tree<'_>,
        hash: HashType,
        buffer: &mut [u8],
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Resource, HashError> {
        let digest = match (self.file.sha256, self.range, hash) {
            (Some(known), None, HashType::Sha256) => {
                progress(self.file.size);
                known.as_bytes().to_vec()
            }
            _ => self.read(tree, hash, buffer, progress)?,
        };
        Ok(Resource {
            path: self.file.path.clone(),
            range: self.range,
            digest,
        })
    }

    fn read(
        &self,
        tree: &Tree<'_>,
        hash: HashType,
        buffer: &mut [u8],
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Vec<u8>, HashError> {
        let start = self.range.map_or(0, |(start, _)| start);
        let mut file = tree
            .open(self.file, start)?
            .ok_or_else(|| HashError::Unknown(self.file.path.clone()))?;
        let mut hasher = Hasher::new(hash);
        let shared = hash == HashType::Blake3 && self.bytes() >= SHARED_BYTES;
        let mut large = if shared {
            vec![0; SHARED_BUFFER_BYTES]
        } else {
            Vec::new()
        };
        let buffer = if shared { large.as_mut_slice() } else { buffer };
        self.feed(&mut file, &mut hasher, buffer, progress)?;
        Ok(hasher.finish())
    }

    /// Reads exactly the bytes of the job; fewer, or more of a whole file, mean that it changed.
    fn feed(
        &self,
        file: &mut Opened<'_>,
        hasher: &mut Hasher,
        buffer: &mut [u8],
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<(), TreeError> {
        let io = |error| TreeError::io(&self.file.path, error);
        let changed = || TreeError::Changed(self.file.path.clone());
        let mut left = self.bytes();
        while left > 0 {
            let room = usize::try_from(left)
                .unwrap_or(usize::MAX)
                .min(buffer.len());
            let part = buffer.get_mut(..room).ok_or_else(changed)?;
            let read = file.read(part).map_err(io)?;
            if read == 0 {
                return Err(changed());
            }
            hasher.update(part.get(..read).ok_or_else(changed)?);
            let read = u64::try_from(read).unwrap_or(u64::MAX);
            left = left.saturating_sub(read);
            progress(read);
        }
        if file.length().map_err(io)? == self.file.size {
            Ok(())
        } else {
            Err(changed())
        }
    }
}

enum Hasher {
    Sha256(Context),
    Blake3(Box<blake3::Hasher>),
}

impl Hasher {
    fn new(hash: HashType) -> Self {
        if hash == HashType::Blake3 {
            Self::Blake3(Box::default())
        } else {
            Self::Sha256(Context::new(&SHA256))
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(context) => context.update(bytes),
            Self::Blake3(hasher) if bytes.len() > BUFFER_BYTES => {
                hasher.update_rayon(bytes);
            }
            Self::Blake3(hasher) => {
                hasher.update(bytes);
            }
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Self::Sha256(context) => context.finish().as_ref().to_vec(),
            Self::Blake3(hasher) => hasher.finalize().as_bytes().to_vec(),
        }
    }
}
