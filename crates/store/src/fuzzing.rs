//! What holds for every pack and every manifest, whatever bytes it has. `scripts/fuzz.sh` drives it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use custody_crypto::aead::{Aead, Ring};
use custody_crypto::floe::Sealer;
use custody_crypto::{DomainKeys, Secret};
use custody_types::Entropy;

use crate::error::StoreError;
use crate::ids::{DomainId, PackId};
use crate::manifest::{self, Piece};
use crate::pack::{self, PackReader};
use crate::ports::{BlobError, Blobs};

const PACK: PackId = PackId([7; 16]);
const DOMAIN: DomainId = DomainId([8; 16]);
const EPOCH: u32 = 1;

/// Randomness that is none, so that an input means the same each time.
#[derive(Debug)]
struct Sevens;

impl Entropy for Sevens {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(7);
    }
}

/// A storage that holds one pack.
#[derive(Debug)]
struct One(Vec<u8>);

impl Blobs for One {
    fn put(&self, _: &PackId, _: &[u8]) -> Result<(), BlobError> {
        Ok(())
    }

    fn publish(&self, _: &[PackId]) -> Result<(), BlobError> {
        Ok(())
    }

    fn discard(&self, _: &[PackId]) -> Result<(), BlobError> {
        Ok(())
    }

    fn delete(&self, _: &[PackId]) -> Result<(), BlobError> {
        Ok(())
    }

    fn read(&self, pack: &PackId, range: Range<u64>) -> Result<Vec<u8>, BlobError> {
        let short = || BlobError::Short {
            name: self.name(pack),
        };
        let start = usize::try_from(range.start).map_err(|_| short())?;
        let end = usize::try_from(range.end).map_err(|_| short())?;
        let bytes = self.0.get(start..end).ok_or_else(short)?;
        Ok(bytes.to_vec())
    }

    fn size(&self, _: &PackId) -> Result<u64, BlobError> {
        Ok(self.0.len() as u64)
    }

    fn list(&self, after: Option<&PackId>, _: usize) -> Result<Vec<PackId>, BlobError> {
        Ok(after.is_none().then_some(PACK).into_iter().collect())
    }

    fn sweep(&self) -> Result<(), BlobError> {
        Ok(())
    }

    fn name(&self, pack: &PackId) -> String {
        pack.to_string()
    }
}

fn keys() -> DomainKeys {
    DomainKeys {
        content: BTreeMap::from([(EPOCH, Secret::generate(&Sevens))]),
        id: Secret::generate(&Sevens),
        chunking: Secret::generate(&Sevens),
    }
}

/// Begins packs under the keys of the fuzzer.
#[cfg(test)]
pub(crate) fn builder() -> pack::PackBuilder {
    let keys = keys();
    let domain = crate::store::Domain {
        id: DOMAIN,
        chunker: crate::chunker::Chunker::new(&keys.chunking),
        keys,
    };
    pack::PackBuilder::new(pack::Sealing {
        domain: Arc::new(domain),
        aead: Arc::new(Ring),
        entropy: Arc::new(Sevens),
    })
}

/// Seals any bytes as the plaintext of a pack.
fn seal(plain: &[u8]) -> Result<Vec<u8>, StoreError> {
    let keys = keys();
    let (epoch, key) = keys.newest().ok_or_else(|| pack::unstorable(&"no key"))?;
    let preamble = pack::preamble(&DOMAIN, epoch, &PACK);
    let aead: Arc<dyn Aead> = Arc::new(Ring);
    let room = preamble.clone();
    let parameters = pack::parameters()?;
    let mut sealer = Sealer::start(parameters, aead, key, &preamble, &Sevens, room);
    sealer
        .push(plain, &Sevens)
        .and_then(|()| sealer.finish(&Sevens))
        .map_err(|error| pack::unstorable(&error))
}

/// Reads a pack: after a zero, its file as it is; after any other byte, its plaintext, which is sealed first. Tells whether
/// its trailer was read.
///
/// # Errors
/// The property that does not hold.
pub fn pack(input: &[u8]) -> Result<bool, String> {
    let Some((mode, rest)) = input.split_first() else {
        return Ok(false);
    };
    let file = if *mode == 0 {
        rest.to_vec()
    } else {
        seal(rest).map_err(|error| format!("any bytes can be sealed: {error}"))?
    };
    let keys = keys();
    let blobs = Arc::new(One(file));
    let Ok(reader) = PackReader::open(blobs, PACK, &keys, Arc::new(Ring)) else {
        return if *mode == 0 {
            Ok(false)
        } else {
            Err("what was sealed opens".to_owned())
        };
    };
    let Ok(rows) = reader.trailer() else {
        return Ok(false);
    };
    for row in &rows {
        let written = pack::written(row);
        if pack::read_row(&written).as_ref() != Some(row) {
            return Err("a row reads back as it was written".to_owned());
        }
        if let Ok(bytes) = reader.chunk(row, &keys.id)
            && pack::chunk_id(&keys.id, row.kind, &bytes) != row.id
        {
            return Err("a chunk has the bytes of its id".to_owned());
        }
    }
    if *mode != 0 && reader.check_padding().is_err() {
        return Err("what was sealed opens to its end".to_owned());
    }
    Ok(true)
}

/// Reads a manifest, or an index over one; tells whether it was one.
///
/// # Errors
/// The property that does not hold.
pub fn manifest(input: &[u8]) -> Result<bool, String> {
    let written = match manifest::decode(input) {
        Err(_) => return Ok(false),
        Ok(Piece::Files(files)) => manifest::encode_files(&files),
        Ok(Piece::Index(pieces)) => manifest::encode_index(&pieces),
    };
    match written {
        Ok(bytes) if bytes == input => Ok(true),
        _ => Err("a manifest has one form".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use custody_types::{ByteSize, Digest, FileEntry};

    use super::*;
    use crate::ids::ChunkId;
    use crate::manifest::{Extent, FileExtents};
    use crate::pack::ChunkKind;

    /// Checks that `bytes` are the kept seed of a target; writes them with `CUSTODY_GENERATE=1`.
    #[expect(clippy::disallowed_methods, reason = "seeds are written on request")]
    fn seed(target: &str, name: &str, bytes: &[u8]) {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../fuzz/corpus")
            .join(target)
            .join(name);
        if std::env::var_os("CUSTODY_GENERATE").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, bytes).unwrap();
        }
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "{}", path.display());
    }

    fn packed() -> Vec<u8> {
        let keys = keys();
        let chunks = [
            (ChunkKind::Data, vec![1; 5_000]),
            (ChunkKind::Record, b"{\"a\":1}".to_vec()),
            (ChunkKind::Manifest, manifests().remove(0)),
            (ChunkKind::Version, Vec::new()),
        ];
        let mut builder = builder();
        for (kind, bytes) in chunks {
            let id = pack::chunk_id(&keys.id, kind, &bytes);
            builder.add(id, kind, &bytes).unwrap();
        }
        let mut file = Vec::new();
        builder
            .seal(|id, bytes| {
                assert_eq!(*id, PACK);
                file = bytes.to_vec();
                Ok(())
            })
            .unwrap();
        file
    }

    fn manifests() -> Vec<Vec<u8>> {
        let extent = |length| Extent {
            chunk: ChunkId([9; 32]),
            length,
        };
        let file = |path: &str, lengths: &[u32]| FileExtents {
            entry: FileEntry {
                path: path.parse().unwrap(),
                size: ByteSize::from_bytes(lengths.iter().copied().map(u64::from).sum()),
                sha256: Digest::of(path.as_bytes()),
                executable: lengths.is_empty(),
            },
            extents: lengths.iter().copied().map(extent).collect(),
        };
        vec![
            manifest::encode_files(&[file("a", &[]), file("b/c", &[5, 6])]).unwrap(),
            manifest::encode_files(&[]).unwrap(),
            manifest::encode_index(&[extent(1), extent(256 << 10)]).unwrap(),
        ]
    }

    #[test]
    fn the_seeds_are_real_packs_and_manifests() {
        let file = packed();
        let reader =
            PackReader::open(Arc::new(One(file.clone())), PACK, &keys(), Arc::new(Ring)).unwrap();
        assert_eq!(reader.trailer().unwrap().len(), 4);
        let plain = reader.plaintext().unwrap();
        for (name, mode, bytes) in [("file", 0, &file), ("plaintext", 1, &plain)] {
            let input = [&[mode], bytes.as_slice()].concat();
            assert_eq!(pack(&input), Ok(true), "{name}");
            seed("format_pack", name, &input);
        }
        for (name, bytes) in ["files", "empty", "index"].into_iter().zip(manifests()) {
            assert_eq!(manifest(&bytes), Ok(true), "{name}");
            seed("format_manifest", name, &bytes);
        }
    }
}
