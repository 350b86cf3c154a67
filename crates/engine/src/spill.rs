//! What a query cannot hold in memory, sealed before it meets a disk.
//!
//! A spilled file is a row of frames: the length of the sealed bytes (4 bytes, big-endian), then the
//! bytes under AES-256-GCM with their tag. The key is drawn for one query and never leaves memory; the
//! vector is the number of the file (4 bytes) and of the frame in it (8 bytes), so that none repeats
//! and a frame opens only in its own place. The files have no name and are gone with the process.
//! Nothing is made durable: a crash leaves nothing that could be read.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use bytes::Bytes;
use custody_crypto::Secret;
use custody_crypto::aead::{Aead, AeadKey, IV_BYTES, TAG_BYTES};
use custody_types::{ByteSize, Entropy, Scratch};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SpillFile, SpillWriter, TempFileFactory};
use futures::Stream;

/// The most plaintext of a frame.
const FRAME: usize = 64 << 10;

/// Where a query's overflow goes, and how it is sealed.
#[derive(Debug, Clone)]
pub struct Spill {
    /// Gives unnamed files.
    pub scratch: Arc<dyn Scratch>,
    /// The cipher.
    pub aead: Arc<dyn Aead>,
    /// Draws each query's key.
    pub entropy: Arc<dyn Entropy>,
    /// The most that one query may spill; more ends it with an error.
    pub limit: ByteSize,
}

impl Spill {
    /// Draws a key of 128 bits.
    pub(crate) fn secret(&self) -> [u8; 16] {
        let mut secret = [0; 16];
        self.entropy.fill(&mut secret);
        secret
    }

    /// Prepares the files of one query, with a key of their own.
    pub(crate) fn of_one_query(&self) -> Arc<dyn TempFileFactory> {
        let key = Secret::generate(self.entropy.as_ref());
        Arc::new(Query {
            shared: Arc::new(Shared {
                key: self.aead.key(key.expose()),
                limit: self.limit.bytes(),
                used: AtomicU64::new(0),
            }),
            scratch: self.scratch.clone(),
            files: AtomicU32::new(0),
        })
    }
}

/// What all files of a query share.
struct Shared {
    key: Box<dyn AeadKey>,
    limit: u64,
    used: AtomicU64,
}

struct Query {
    shared: Arc<Shared>,
    scratch: Arc<dyn Scratch>,
    files: AtomicU32,
}

struct Spilled {
    shared: Arc<Shared>,
    file: File,
    number: u32,
    /// Bytes of whole frames on the disk, and how many frames.
    bytes: AtomicU64,
    frames: AtomicU64,
}

struct Writer {
    file: Arc<Spilled>,
    waiting: Vec<u8>,
}

fn spoiled() -> DataFusionError {
    DataFusionError::Execution("what the query had put aside came back changed".to_owned())
}

impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Query(…)")
    }
}

impl TempFileFactory for Query {
    fn create_temp_file(&self, _: &str) -> Result<Arc<dyn SpillFile>> {
        let number = self
            .files
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |number| {
                number.checked_add(1)
            })
            .map_err(|_| {
                DataFusionError::ResourcesExhausted("too many spilled files".to_owned())
            })?;
        let file = self.scratch.file().map_err(DataFusionError::IoError)?;
        Ok(Arc::new(SpillHandle(Arc::new(Spilled {
            shared: self.shared.clone(),
            file,
            number,
            bytes: AtomicU64::new(0),
            frames: AtomicU64::new(0),
        }))))
    }
}

/// A handle of the file; a trait object cannot hand itself out.
struct SpillHandle(Arc<Spilled>);

impl SpillFile for SpillHandle {
    fn size(&self) -> Option<u64> {
        Some(self.0.bytes.load(Ordering::Acquire))
    }

    fn read_stream(&self) -> Result<Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>> {
        let start = (self.0.clone(), 0_u64, 0_u64);
        Ok(Box::pin(futures::stream::try_unfold(
            start,
            |(file, offset, frame)| async move {
                let next = file.frame(offset, frame)?;
                Ok(next.map(|(bytes, after)| (bytes, (file, after, frame + 1))))
            },
        )))
    }

    fn open_writer(&self) -> Result<Box<dyn SpillWriter>> {
        Ok(Box::new(Writer {
            file: self.0.clone(),
            waiting: Vec::with_capacity(FRAME),
        }))
    }
}

impl Drop for Spilled {
    fn drop(&mut self) {
        let bytes = self.bytes.load(Ordering::Acquire);
        self.shared.used.fetch_sub(bytes, Ordering::AcqRel);
    }
}

impl Spilled {
    fn vector(&self, frame: u64) -> [u8; IV_BYTES] {
        let mut vector = [0; IV_BYTES];
        let (file, place) = vector.split_at_mut(4);
        file.copy_from_slice(&self.number.to_be_bytes());
        place.copy_from_slice(&frame.to_be_bytes());
        vector
    }

    /// Reads the frame at `offset`; also returns where the next begins. `None` behind the last.
    fn frame(&self, offset: u64, frame: u64) -> Result<Option<(Bytes, u64)>> {
        if offset >= self.bytes.load(Ordering::Acquire) {
            return Ok(None);
        }
        let mut length = [0; 4];
        self.file.read_exact_at(&mut length, offset)?;
        let length = u32::from_be_bytes(length);
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| spoiled())?];
        if bytes.len() > FRAME + TAG_BYTES {
            return Err(spoiled());
        }
        self.file.read_exact_at(&mut bytes, offset + 4)?;
        let plain = self
            .shared
            .key
            .open(self.vector(frame), &[], &mut bytes)
            .map_err(|_| spoiled())?;
        bytes.truncate(plain);
        Ok(Some((Bytes::from(bytes), offset + 4 + u64::from(length))))
    }

    /// Seals `plain` as the next frame. One writer at a time: the engine opens one for each file.
    fn append(&self, plain: &mut Vec<u8>) -> io::Result<()> {
        let length = u32::try_from(plain.len() + TAG_BYTES).map_err(io::Error::other)?;
        let grown = 4 + u64::from(length);
        let used = self.shared.used.fetch_add(grown, Ordering::AcqRel) + grown;
        let written = self.seal_at_end(plain, length, used);
        if written.is_err() {
            self.shared.used.fetch_sub(grown, Ordering::AcqRel);
        }
        plain.clear();
        written
    }

    fn seal_at_end(&self, plain: &mut Vec<u8>, length: u32, used: u64) -> io::Result<()> {
        if used > self.shared.limit {
            return Err(io::Error::other(DataFusionError::ResourcesExhausted(
                "the query spills more than it may".to_owned(),
            )));
        }
        let frame = self.frames.fetch_add(1, Ordering::AcqRel);
        let tag = self
            .shared
            .key
            .seal(self.vector(frame), &[], plain)
            .map_err(io::Error::other)?;
        plain.extend_from_slice(&tag);
        let offset = self.bytes.load(Ordering::Acquire);
        self.file.write_all_at(&length.to_be_bytes(), offset)?;
        self.file.write_all_at(plain, offset + 4)?;
        // Readers may follow the writer: a frame counts when it is whole.
        self.bytes
            .store(offset + 4 + u64::from(length), Ordering::Release);
        Ok(())
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (now, _) = bytes.split_at(bytes.len().min(FRAME - self.waiting.len()));
        self.waiting.extend_from_slice(now);
        if self.waiting.len() == FRAME {
            self.file.append(&mut self.waiting)?;
        }
        Ok(now.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        self.file.append(&mut self.waiting)
    }
}

impl SpillWriter for Writer {
    fn finish(&mut self) -> Result<()> {
        self.flush().map_err(DataFusionError::IoError)
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "the test looks at the bytes on the disk"
)]
mod tests {
    use std::path::PathBuf;

    use custody_crypto::aead::Ring;
    use futures::TryStreamExt;

    use super::*;

    #[derive(Debug)]
    struct Named(PathBuf);

    impl Scratch for Named {
        fn file(&self) -> io::Result<File> {
            File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&self.0)
        }
    }

    #[derive(Debug)]
    struct Ones;

    impl Entropy for Ones {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(1);
        }
    }

    fn read(file: &Arc<dyn SpillFile>) -> Result<Vec<u8>> {
        let parts: Vec<Bytes> =
            futures::executor::block_on(file.read_stream().unwrap().try_collect())?;
        Ok(parts.concat())
    }

    #[test]
    fn what_is_put_aside_comes_back_or_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spilled");
        let spill = Spill {
            scratch: Arc::new(Named(path.clone())),
            aead: Arc::new(Ring),
            entropy: Arc::new(Ones),
            limit: ByteSize::from_bytes(400 << 10),
        };
        let file = spill.of_one_query().create_temp_file("").unwrap();
        let plain = b"canary ".repeat(30_000);
        let mut writer = file.open_writer().unwrap();
        writer.write_all(&plain).unwrap();
        assert_eq!(read(&file).unwrap().len(), 3 * FRAME, "whole frames only");
        writer.finish().unwrap();
        assert_eq!(read(&file).unwrap(), plain);

        let sealed = std::fs::read(&path).unwrap();
        assert_eq!(file.size(), Some(sealed.len() as u64));
        assert!(!sealed.windows(7).any(|window| window == b"canary "));
        let frame = 4 + FRAME + TAG_BYTES;
        let mut swapped = sealed.clone();
        let (first, rest) = swapped.split_at_mut(frame);
        first.swap_with_slice(&mut rest[..frame]);
        let mut flipped = sealed.clone();
        flipped[frame + 100] ^= 1;
        for bad in [swapped, flipped] {
            std::fs::write(&path, bad).unwrap();
            assert!(read(&file).is_err());
        }
        let full = writer.write_all(&vec![0; 400 << 10]).unwrap_err();
        assert!(full.to_string().contains("more than it may"), "{full}");
    }
}
