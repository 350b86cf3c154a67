//! Packs: many chunks in one opaque ciphertext.

use std::ops::Range;
use std::sync::Arc;

use custody_crypto::aead::Aead;
use custody_crypto::floe::{Decryptor, HEADER_BYTES, Parameters, SEGMENT_OVERHEAD, Sealer};
use custody_crypto::{DomainKeys, Secret};
use custody_types::Entropy;

use crate::chunker::LONGEST;
use crate::error::StoreError;
use crate::ids::{ChunkId, DomainId, PackId};
use crate::ports::{ALIGNMENT, BlobError, Blobs};
use crate::store::Domain;

/// The stored bytes at which a pack is closed.
const FULL: u64 = 32 << 20;
/// The room for a pack: stored bytes, the last chunk that makes it full, padding, trailer and what sealing adds.
/// A pack of very many small chunks needs more, gets it, and is then written in the ordinary way.
const ROOM: usize = (40 << 20) + ALIGNMENT;
const MAGIC: &[u8; 8] = b"CSTPACK1";
const SUITE: u8 = 1;
const PREAMBLE: usize = 45;
const SEGMENT: usize = 16 << 10;
const END_MAGIC: &[u8; 4] = b"CST1";
const ROW: usize = 48;
const END: usize = 8;
/// The longest record, and so the longest chunk of all.
pub(crate) const LONGEST_RECORD: usize = 4 << 20;
const COMPRESSED: u32 = 1 << 31;
const PROBE: usize = 4 << 10;

/// What a chunk holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChunkKind {
    /// A piece of a file.
    Data,
    /// A manifest or a piece of one.
    Manifest,
    /// A small document.
    Record,
    /// A signed version record.
    Version,
}

impl ChunkKind {
    /// Returns the byte that stands for it.
    pub const fn byte(self) -> u8 {
        match self {
            Self::Data => 0,
            Self::Manifest => 1,
            Self::Record => 2,
            Self::Version => 3,
        }
    }

    /// Finds the kind that `byte` stands for.
    pub const fn of_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Data),
            1 => Some(Self::Manifest),
            2 => Some(Self::Record),
            3 => Some(Self::Version),
            _ => None,
        }
    }

    const fn longest(self) -> usize {
        match self {
            Self::Data | Self::Manifest => LONGEST,
            Self::Record | Self::Version => LONGEST_RECORD,
        }
    }
}

/// A chunk as a pack's trailer tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackChunk {
    /// The id.
    pub id: ChunkId,
    /// What it holds.
    pub kind: ChunkKind,
    /// Where its stored bytes begin in the pack's plaintext.
    pub offset: u64,
    /// How many stored bytes there are.
    pub stored: u32,
    /// Whether they are compressed.
    pub compressed: bool,
    /// How many plain bytes there are.
    pub length: u32,
}

/// Computes a chunk's id.
pub(crate) fn chunk_id(key: &Secret<32>, kind: ChunkKind, plain: &[u8]) -> ChunkId {
    let mut hasher = blake3::Hasher::new_keyed(key.expose());
    hasher.update(&[kind.byte()]).update(plain);
    ChunkId(*hasher.finalize().as_bytes())
}

pub(crate) fn parameters() -> Result<Parameters, StoreError> {
    Parameters::new(SEGMENT).map_err(|error| unstorable(&error))
}

pub(crate) fn unstorable(error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Unstorable {
        what: "pack".to_owned(),
        because: error.to_string(),
    }
}

pub(crate) fn preamble(domain: &DomainId, epoch: u32, pack: &PackId) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.push(SUITE);
    bytes.extend(domain.as_bytes());
    bytes.extend(epoch.to_be_bytes());
    bytes.extend(pack.as_bytes());
    bytes
}

/// Padmé (Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs",
/// 2019, §4): the length to which `length` is padded, so that it tells only O(log log n) bits.
fn padded(length: u64) -> u64 {
    if length < 2 {
        return length;
    }
    let exponent = length.ilog2();
    let significant = exponent.checked_ilog2().unwrap_or(0) + 1;
    let mask = (1_u64 << exponent.saturating_sub(significant)) - 1;
    length.saturating_add(mask) & !mask
}

/// Compresses where a probe of the beginning says that it pays. Keeps its room from one chunk to the next.
#[derive(Default)]
struct Squeeze {
    compressor: Option<zstd::bulk::Compressor<'static>>,
    out: Vec<u8>,
}

impl Squeeze {
    const LEVEL: i32 = 1;

    /// Returns the compressed bytes; `None` where they are hardly fewer.
    fn compress(&mut self, plain: &[u8]) -> Option<&[u8]> {
        let probe = plain.get(..PROBE).unwrap_or(plain);
        if !self.pays(probe) {
            return None;
        }
        if (probe.len() == plain.len()) || self.pays(plain) {
            Some(&self.out)
        } else {
            None
        }
    }

    /// Compresses to `out` and returns whether more than a twentieth is saved.
    fn pays(&mut self, plain: &[u8]) -> bool {
        self.out.clear();
        self.out
            .reserve(zstd::zstd_safe::compress_bound(plain.len()));
        let compressor = match &mut self.compressor {
            Some(compressor) => compressor,
            None => match zstd::bulk::Compressor::new(Self::LEVEL) {
                Ok(compressor) => self.compressor.insert(compressor),
                Err(_) => return false,
            },
        };
        let written = compressor.compress_to_buffer(plain, &mut self.out);
        written.is_ok_and(|count| count < plain.len() - plain.len() / 20)
    }
}

impl std::fmt::Debug for Squeeze {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Squeeze")
    }
}

/// What packs of a domain are sealed with.
pub(crate) struct Sealing {
    pub(crate) domain: Arc<Domain>,
    pub(crate) aead: Arc<dyn Aead>,
    pub(crate) entropy: Arc<dyn Entropy>,
}

/// A pack that was begun.
struct OpenPack {
    id: PackId,
    sealer: Sealer,
    chunks: Vec<PackChunk>,
    /// How many bytes stand before the pack in its buffer, so that it begins at a multiple of [`ALIGNMENT`].
    skip: usize,
}

/// Seals chunks into a pack as they come, then into the next. Its room is kept from pack to pack: fresh memory
/// costs more than what is done with it. Of what it took, at most one segment is there in clear.
pub(crate) struct PackBuilder {
    sealing: Sealing,
    open: Option<OpenPack>,
    squeeze: Squeeze,
    room: Vec<u8>,
}

impl PackBuilder {
    pub(crate) fn new(sealing: Sealing) -> Self {
        Self {
            sealing,
            open: None,
            squeeze: Squeeze::default(),
            room: Vec::new(),
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        let stored = self.open.as_ref().map(|open| open.sealer.plain_bytes());
        stored.is_some_and(|stored| stored >= FULL)
    }

    fn begin(&mut self) -> Result<&mut OpenPack, StoreError> {
        let open = match self.open.take() {
            Some(open) => open,
            None => self.new_pack()?,
        };
        Ok(self.open.insert(open))
    }

    /// Begins a pack under the newest content key, at an aligned place of the room.
    fn new_pack(&mut self) -> Result<OpenPack, StoreError> {
        let Sealing {
            domain,
            aead,
            entropy,
        } = &self.sealing;
        let (epoch, key) = domain
            .keys
            .newest()
            .ok_or_else(|| unstorable(&"the domain has no content key"))?;
        let mut id = [0; 16];
        entropy.fill(&mut id);
        let id = PackId(id);
        let mut room = std::mem::take(&mut self.room);
        room.clear();
        room.reserve_exact(ROOM);
        // Where alignment is impossible the pack is written in the ordinary way.
        let skip = Some(room.as_ptr().align_offset(ALIGNMENT)).filter(|skip| *skip < ALIGNMENT);
        let skip = skip.unwrap_or(0);
        room.resize(skip, 0);
        let preamble = preamble(&domain.id, epoch, &id);
        room.extend_from_slice(&preamble);
        let entropy = entropy.as_ref();
        let sealer = Sealer::start(parameters()?, aead.clone(), key, &preamble, entropy, room);
        Ok(OpenPack {
            id,
            sealer,
            chunks: Vec::new(),
            skip,
        })
    }

    /// Takes a chunk and returns how many bytes it has when it is stored.
    pub(crate) fn add(
        &mut self,
        id: ChunkId,
        kind: ChunkKind,
        plain: &[u8],
    ) -> Result<u64, StoreError> {
        let too_long = || unstorable(&"a chunk is too long");
        if plain.len() > kind.longest() {
            return Err(too_long());
        }
        let length = u32::try_from(plain.len()).map_err(|_| too_long())?;
        self.begin()?;
        let packed = self.squeeze.compress(plain);
        let compressed = packed.is_some();
        let bytes = packed.unwrap_or(plain);
        let open = self
            .open
            .as_mut()
            .ok_or_else(|| unstorable(&"no pack was begun"))?;
        let offset = open.sealer.plain_bytes();
        open.sealer
            .push(bytes, self.sealing.entropy.as_ref())
            .map_err(|error| unstorable(&error))?;
        open.chunks.push(PackChunk {
            id,
            kind,
            offset,
            stored: u32::try_from(bytes.len()).map_err(|_| too_long())?,
            compressed,
            length,
        });
        Ok(bytes.len() as u64)
    }

    /// Ends the pack that was begun and hands its bytes to `put`. `None` when there is none.
    pub(crate) fn seal(
        &mut self,
        put: impl FnOnce(&PackId, &[u8]) -> Result<(), BlobError>,
    ) -> Result<Option<(PackId, Vec<PackChunk>)>, StoreError> {
        let Some(open) = self.open.take() else {
            return Ok(None);
        };
        let OpenPack {
            id,
            mut sealer,
            chunks,
            skip,
        } = open;
        let entropy = self.sealing.entropy.as_ref();
        let mut trailer = Vec::with_capacity(chunks.len() * ROW + END);
        for chunk in &chunks {
            write_row(&mut trailer, chunk);
        }
        let count = u32::try_from(chunks.len()).map_err(|error| unstorable(&error))?;
        trailer.extend(count.to_be_bytes());
        trailer.extend(END_MAGIC);
        let stored = sealer.plain_bytes() + trailer.len() as u64;
        let padding =
            usize::try_from(padded(stored) - stored).map_err(|error| unstorable(&error))?;
        let sealed = sealer
            .push_zeros(padding, entropy)
            .and_then(|()| sealer.push(&trailer, entropy))
            .and_then(|()| sealer.finish(entropy));
        self.room = sealed.map_err(|error| unstorable(&error))?;
        let bytes = self.room.get(skip..);
        put(&id, bytes.ok_or_else(|| unstorable(&"it was not sealed"))?)?;
        Ok(Some((id, chunks)))
    }
}

fn write_row(out: &mut Vec<u8>, chunk: &PackChunk) {
    let flag = if chunk.compressed { COMPRESSED } else { 0 };
    out.extend(chunk.id.as_bytes());
    out.extend(chunk.offset.to_be_bytes());
    out.extend((chunk.stored | flag).to_be_bytes());
    // The length fits into three bytes: a chunk has at most 4 MiB.
    out.extend(chunk.length.to_be_bytes().iter().skip(1));
    out.push(chunk.kind.byte());
}

/// Writes a row alone.
#[cfg(any(test, fuzzing))]
pub(crate) fn written(chunk: &PackChunk) -> [u8; ROW] {
    let mut out = Vec::new();
    write_row(&mut out, chunk);
    out.try_into().unwrap_or([0; ROW])
}

pub(crate) fn read_row(row: &[u8; ROW]) -> Option<PackChunk> {
    let (id, rest) = row.split_first_chunk::<32>()?;
    let (offset, rest) = rest.split_first_chunk::<8>()?;
    let (stored, rest) = rest.split_first_chunk::<4>()?;
    let (length, kind) = rest.split_first_chunk::<3>()?;
    let stored = u32::from_be_bytes(*stored);
    let [high, middle, low] = *length;
    Some(PackChunk {
        id: ChunkId(*id),
        kind: ChunkKind::of_byte(*kind.first()?)?,
        offset: u64::from_be_bytes(*offset),
        stored: stored & !COMPRESSED,
        compressed: stored & COMPRESSED != 0,
        length: u32::from_be_bytes([0, high, middle, low]),
    })
}

/// Reads the preamble: which domain and epoch a pack belongs to, before any key is at hand.
pub(crate) fn read_preamble(
    blobs: &dyn Blobs,
    pack: &PackId,
) -> Result<(DomainId, u32), StoreError> {
    let bytes = blobs.read(pack, 0..PREAMBLE as u64)?;
    parse_preamble(&bytes, pack).ok_or_else(|| {
        damaged(
            blobs,
            pack,
            "its beginning is not that of a pack of this name",
        )
    })
}

fn parse_preamble(bytes: &[u8], pack: &PackId) -> Option<(DomainId, u32)> {
    let rest = bytes.strip_prefix(MAGIC)?.strip_prefix(&[SUITE])?;
    let (domain, rest) = rest.split_first_chunk::<16>()?;
    let (epoch, rest) = rest.split_first_chunk::<4>()?;
    (rest.first_chunk::<16>()? == pack.as_bytes())
        .then(|| (DomainId(*domain), u32::from_be_bytes(*epoch)))
}

fn damaged(blobs: &dyn Blobs, pack: &PackId, because: impl std::fmt::Display) -> StoreError {
    StoreError::Damaged {
        what: blobs.name(pack),
        because: because.to_string(),
    }
}

/// An open pack.
#[derive(Debug)]
pub(crate) struct PackReader {
    pack: PackId,
    blobs: Arc<dyn Blobs>,
    decryptor: Decryptor,
    /// The length of the plaintext.
    plain: u64,
    last_segment: u64,
}

impl PackReader {
    pub(crate) fn open(
        blobs: Arc<dyn Blobs>,
        pack: PackId,
        keys: &DomainKeys,
        aead: Arc<dyn Aead>,
    ) -> Result<Self, StoreError> {
        const HEAD: u64 = (PREAMBLE + HEADER_BYTES) as u64;
        let head = blobs.read(&pack, 0..HEAD)?;
        let (start, header) = head
            .split_at_checked(PREAMBLE)
            .ok_or_else(|| damaged(blobs.as_ref(), &pack, "it is too short"))?;
        let (_, epoch) = parse_preamble(start, &pack).ok_or_else(|| {
            damaged(
                blobs.as_ref(),
                &pack,
                "its beginning is not that of a pack of this name",
            )
        })?;
        let key = keys.content.get(&epoch).ok_or_else(|| {
            damaged(
                blobs.as_ref(),
                &pack,
                format!("there is no key of epoch {epoch}"),
            )
        })?;
        let decryptor = Decryptor::start(parameters()?, aead, key, start, header)
            .map_err(|error| damaged(blobs.as_ref(), &pack, error))?;
        let body = blobs.size(&pack)?.saturating_sub(HEAD);
        let segments = body.div_ceil(SEGMENT as u64).max(1);
        let plain = body
            .checked_sub(segments * SEGMENT_OVERHEAD as u64)
            .ok_or_else(|| damaged(blobs.as_ref(), &pack, "it was cut short"))?;
        Ok(Self {
            pack,
            blobs,
            decryptor,
            plain,
            last_segment: segments - 1,
        })
    }

    /// Decrypts `range` of the plaintext: the segments that it touches, read in one piece.
    fn read(&self, range: Range<u64>) -> Result<Vec<u8>, StoreError> {
        const SEGMENT_PLAIN: u64 = (SEGMENT - SEGMENT_OVERHEAD) as u64;
        const START: u64 = (PREAMBLE + HEADER_BYTES) as u64;
        if range.is_empty() {
            return Ok(Vec::new());
        }
        if range.end > self.plain {
            return Err(damaged(
                self.blobs.as_ref(),
                &self.pack,
                "it is shorter than the index says",
            ));
        }
        let (first, last) = (range.start / SEGMENT_PLAIN, (range.end - 1) / SEGMENT_PLAIN);
        let end = if last == self.last_segment {
            START + self.plain + (self.last_segment + 1) * SEGMENT_OVERHEAD as u64
        } else {
            START + (last + 1) * SEGMENT as u64
        };
        let sealed = self
            .blobs
            .read(&self.pack, START + first * SEGMENT as u64..end)?;
        let mut plain = Vec::with_capacity(sealed.len());
        for (position, segment) in (first..).zip(sealed.chunks(SEGMENT)) {
            let opened = self
                .decryptor
                .open(position, position == self.last_segment, segment);
            plain.extend(opened.map_err(|error| damaged(self.blobs.as_ref(), &self.pack, error))?);
        }
        let skip = usize::try_from(range.start - first * SEGMENT_PLAIN).unwrap_or(usize::MAX);
        let count = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        plain.drain(..skip.min(plain.len()));
        plain.truncate(count);
        Ok(plain)
    }

    /// Reads a chunk and checks it against its id.
    pub(crate) fn chunk(
        &self,
        chunk: &PackChunk,
        id_key: &Secret<32>,
    ) -> Result<Vec<u8>, StoreError> {
        let wrong = |because: &str| {
            damaged(
                self.blobs.as_ref(),
                &self.pack,
                format!("chunk {}: {because}", chunk.id),
            )
        };
        let length = usize::try_from(chunk.length).unwrap_or(usize::MAX);
        if length > chunk.kind.longest() {
            return Err(wrong("it is longer than any chunk"));
        }
        let stored =
            self.read(chunk.offset..chunk.offset.saturating_add(u64::from(chunk.stored)))?;
        let plain = if chunk.compressed {
            zstd::bulk::decompress(&stored, length).map_err(|_| wrong("it does not decompress"))?
        } else {
            stored
        };
        if plain.len() == length && chunk_id(id_key, chunk.kind, &plain) == chunk.id {
            Ok(plain)
        } else {
            Err(wrong("its bytes are not those of its id"))
        }
    }

    /// Decrypts the whole pack, so that a flipped byte in its padding is found as well.
    pub(crate) fn check_padding(&self) -> Result<(), StoreError> {
        const STEP: u64 = 1 << 20;
        let mut at = 0;
        while at < self.plain {
            let end = (at + STEP).min(self.plain);
            self.read(at..end)?;
            at = end;
        }
        Ok(())
    }

    /// Decrypts everything.
    #[cfg(test)]
    pub(crate) fn plaintext(&self) -> Result<Vec<u8>, StoreError> {
        self.read(0..self.plain)
    }

    /// Reads the trailer: what the pack holds.
    pub(crate) fn trailer(&self) -> Result<Vec<PackChunk>, StoreError> {
        let wrong = || {
            damaged(
                self.blobs.as_ref(),
                &self.pack,
                "its trailer cannot be read",
            )
        };
        let end_at = self.plain.checked_sub(END as u64).ok_or_else(wrong)?;
        let end = self.read(end_at..self.plain)?;
        let (count, magic) = end.split_first_chunk::<4>().ok_or_else(wrong)?;
        if magic != END_MAGIC {
            return Err(wrong());
        }
        let bytes = u64::from(u32::from_be_bytes(*count)) * ROW as u64;
        let rows = self.read(end_at.checked_sub(bytes).ok_or_else(wrong)?..end_at)?;
        rows.as_chunks::<ROW>()
            .0
            .iter()
            .map(|row| read_row(row).ok_or_else(wrong))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_costs_little_and_hides_the_length() {
        for length in [0_u64, 1, 2, 9, 100, 1000, 16 << 20, (32 << 20) + 1] {
            let to = padded(length);
            assert!(
                to >= length && to <= length + length / 8,
                "{length} -> {to}"
            );
        }
        let lengths: std::collections::BTreeSet<_> =
            (1_000_000..2_000_000).step_by(97).map(padded).collect();
        assert!(lengths.len() <= 64, "{}", lengths.len());
    }

    /// An empty file in the place of a pack would be acknowledged, and its chunks lost.
    #[test]
    fn a_pack_without_bytes_is_never_put() {
        let mut builder = crate::fuzzing::builder();
        let id = ChunkId([1; 32]);
        builder.add(id, ChunkKind::Data, b"bytes").unwrap();
        builder.open.as_mut().unwrap().skip = usize::MAX;
        let sealed = builder.seal(|_, _| panic!("nothing is to be put"));
        assert!(matches!(sealed, Err(StoreError::Unstorable { .. })));
    }

    #[test]
    fn a_row_reads_back() {
        let chunk = PackChunk {
            id: ChunkId([9; 32]),
            kind: ChunkKind::Record,
            offset: 1 << 33,
            stored: 77,
            compressed: true,
            length: (4 << 20) - 1,
        };
        let mut row = Vec::new();
        write_row(&mut row, &chunk);
        assert_eq!(read_row(row.as_chunks().0.first().unwrap()), Some(chunk));
    }
}
