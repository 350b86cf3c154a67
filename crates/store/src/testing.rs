//! Doubles of the ports, and what every implementation of them must do.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "it is for tests, which may panic"
)]

use std::collections::BTreeMap;
use std::io;
use std::ops::{Bound, Range};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Barrier, Mutex, Weak};

use crate::ids::PackId;
use crate::ports::{BlobError, Blobs, all_packs};

/// A place for packs in memory, which outlives the processes that use it.
#[derive(Debug, Clone, Default)]
pub struct Place(Arc<Mutex<Packs>>);

#[derive(Debug, Default)]
struct Packs {
    published: BTreeMap<PackId, Vec<u8>>,
    /// What was put, by the process that did; it has ended once nobody holds it.
    put: Vec<(Weak<()>, PackId, Vec<u8>)>,
}

/// Packs in memory, for one process of several at a [`Place`].
#[derive(Debug)]
pub struct MemoryBlobs {
    place: Place,
    process: Arc<()>,
}

impl Place {
    /// Begins a process at the place; it ends when what is returned is dropped.
    pub fn open(&self) -> MemoryBlobs {
        MemoryBlobs {
            place: self.clone(),
            process: Arc::new(()),
        }
    }
}

impl MemoryBlobs {
    fn is_own(&self, process: &Weak<()>) -> bool {
        process.ptr_eq(&Arc::downgrade(&self.process))
    }

    fn find<T>(&self, pack: &PackId, look: impl FnOnce(&[u8]) -> T) -> Result<T, BlobError> {
        let packs = self.place.0.lock().unwrap();
        let mut own = packs.put.iter();
        let own = own.find(|(process, id, _)| self.is_own(process) && id == pack);
        let bytes = packs.published.get(pack).or(own.map(|(_, _, bytes)| bytes));
        bytes
            .map(|bytes| look(bytes))
            .ok_or_else(|| BlobError::Missing {
                name: self.name(pack),
            })
    }
}

impl Blobs for MemoryBlobs {
    fn put(&self, pack: &PackId, bytes: &[u8]) -> Result<(), BlobError> {
        match self.find(pack, |there| there == bytes) {
            Ok(true) => Ok(()),
            Ok(false) => Err(BlobError::Exists {
                name: self.name(pack),
            }),
            Err(_) => {
                let put = (Arc::downgrade(&self.process), *pack, bytes.to_vec());
                self.place.0.lock().unwrap().put.push(put);
                Ok(())
            }
        }
    }

    fn publish(&self, packs: &[PackId]) -> Result<(), BlobError> {
        let mut all = self.place.0.lock().unwrap();
        for pack in packs {
            let own = all.put.iter();
            let mut own = own.enumerate();
            let own = own.find(|(_, (process, id, _))| self.is_own(process) && id == pack);
            let own = own.map(|(at, _)| at);
            let name = || self.name(pack);
            match (own, all.published.contains_key(pack)) {
                (None, true) => {}
                (None, false) => return Err(BlobError::Missing { name: name() }),
                (Some(at), there) => {
                    let (_, _, bytes) = all.put.remove(at);
                    if there && all.published[pack] != bytes {
                        return Err(BlobError::Exists { name: name() });
                    }
                    all.published.insert(*pack, bytes);
                }
            }
        }
        Ok(())
    }

    fn discard(&self, packs: &[PackId]) -> Result<(), BlobError> {
        let mut all = self.place.0.lock().unwrap();
        all.put
            .retain(|(process, id, _)| !(self.is_own(process) && packs.contains(id)));
        Ok(())
    }

    fn read(&self, pack: &PackId, range: Range<u64>) -> Result<Vec<u8>, BlobError> {
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        let found = self.find(pack, |bytes| {
            let part = bytes.get(place(range.start)..place(range.end));
            part.map(<[u8]>::to_vec)
        })?;
        found.ok_or_else(|| BlobError::Short {
            name: self.name(pack),
        })
    }

    fn size(&self, pack: &PackId) -> Result<u64, BlobError> {
        self.find(pack, |bytes| bytes.len() as u64)
    }

    fn list(&self, after: Option<&PackId>, limit: usize) -> Result<Vec<PackId>, BlobError> {
        let packs = self.place.0.lock().unwrap();
        let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(*after));
        let page = packs.published.range((from, Bound::Unbounded)).take(limit);
        Ok(page.map(|(pack, _)| *pack).collect())
    }

    fn sweep(&self) -> Result<(), BlobError> {
        let mut packs = self.place.0.lock().unwrap();
        packs
            .put
            .retain(|(process, _, _)| process.strong_count() > 0);
        Ok(())
    }

    fn name(&self, pack: &PackId) -> String {
        pack.to_string()
    }
}

/// When the write that fails does so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Nothing of it is done.
    Before,
    /// It is done; its reply is lost.
    After,
}

impl Mode {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Before, Self::After];
}

/// Lets one write of all that share it fail, and no other.
#[derive(Debug)]
pub struct Faults {
    left: AtomicI64,
    mode: Mode,
}

impl Faults {
    /// Lets the write number `at` fail, counted from 0; a negative one: none.
    pub fn at(at: i64, mode: Mode) -> Arc<Self> {
        Arc::new(Self {
            left: AtomicI64::new(at),
            mode,
        })
    }

    /// Does a write, or fails in its place.
    ///
    /// # Errors
    /// That of the write, or `error()`.
    pub fn write<T, E>(
        &self,
        error: impl Fn() -> E,
        done: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        if self.left.fetch_sub(1, Ordering::SeqCst) != 0 {
            return done();
        }
        if self.mode == Mode::After {
            done()?;
        }
        Err(error())
    }

    /// Whether the write that fails was reached.
    pub fn met(&self) -> bool {
        self.left.load(Ordering::SeqCst) < 0
    }
}

/// Packs of which one write fails.
#[derive(Debug)]
pub struct FaultyBlobs<B>(pub B, pub Arc<Faults>);

impl<B> FaultyBlobs<B> {
    fn error() -> BlobError {
        BlobError::Failed {
            name: "pack".to_owned(),
            source: io::Error::other("a fault"),
        }
    }
}

impl<B: Blobs> Blobs for FaultyBlobs<B> {
    fn put(&self, pack: &PackId, bytes: &[u8]) -> Result<(), BlobError> {
        self.1.write(Self::error, || self.0.put(pack, bytes))
    }

    fn publish(&self, packs: &[PackId]) -> Result<(), BlobError> {
        self.1.write(Self::error, || self.0.publish(packs))
    }

    fn discard(&self, packs: &[PackId]) -> Result<(), BlobError> {
        self.1.write(Self::error, || self.0.discard(packs))
    }

    fn read(&self, pack: &PackId, range: Range<u64>) -> Result<Vec<u8>, BlobError> {
        self.0.read(pack, range)
    }

    fn size(&self, pack: &PackId) -> Result<u64, BlobError> {
        self.0.size(pack)
    }

    fn list(&self, after: Option<&PackId>, limit: usize) -> Result<Vec<PackId>, BlobError> {
        self.0.list(after, limit)
    }

    fn sweep(&self) -> Result<(), BlobError> {
        self.1.write(Self::error, || self.0.sweep())
    }

    fn name(&self, pack: &PackId) -> String {
        self.0.name(pack)
    }
}

/// Checks what all [`Blobs`] must do. `open` opens the same empty place each time, as another process would.
pub fn check_blobs<B: Blobs>(open: &dyn Fn() -> B) {
    let one = open();
    puts_and_publishes(&one);
    never_overwrites(&one, open);
    lists_by_pages(&one);
    sweeps_what_is_left(one, open);
}

fn id(number: u16) -> PackId {
    let mut bytes = [0; 16];
    let [high, low] = number.to_be_bytes();
    // Ids are random, so neighbours in time are none in order.
    bytes[0] = low;
    bytes[15] = high;
    PackId::from_bytes(bytes)
}

fn is_missing<T: std::fmt::Debug>(answer: &Result<T, BlobError>) {
    assert!(
        matches!(answer, Err(BlobError::Missing { .. })),
        "{answer:?}"
    );
}

fn exists<T: std::fmt::Debug>(answer: &Result<T, BlobError>) {
    assert!(
        matches!(answer, Err(BlobError::Exists { .. })),
        "{answer:?}"
    );
}

fn puts_and_publishes(blobs: &dyn Blobs) {
    let pack = id(1);
    is_missing(&blobs.read(&pack, 0..0));
    is_missing(&blobs.size(&pack));
    is_missing(&blobs.publish(&[pack]));
    blobs.publish(&[]).unwrap();
    blobs.put(&pack, b"some bytes").unwrap();
    assert_eq!(blobs.list(None, 10).unwrap(), []);
    for _ in 0..2 {
        assert_eq!(blobs.read(&pack, 0..10).unwrap(), b"some bytes");
        assert_eq!(blobs.read(&pack, 5..7).unwrap(), b"by");
        assert_eq!(blobs.read(&pack, 10..10).unwrap(), b"");
        assert_eq!(blobs.size(&pack).unwrap(), 10);
        let beyond = blobs.read(&pack, 5..11);
        assert!(matches!(beyond, Err(BlobError::Short { .. })), "{beyond:?}");
        // Both may be done again.
        blobs.put(&pack, b"some bytes").unwrap();
        blobs.publish(&[pack]).unwrap();
        blobs.discard(&[pack]).unwrap();
        assert_eq!(blobs.list(None, 10).unwrap(), [pack]);
    }
    let other = id(2);
    blobs.put(&other, b"others").unwrap();
    blobs.discard(&[other, other, id(3)]).unwrap();
    is_missing(&blobs.read(&other, 0..1));
    is_missing(&blobs.publish(&[other]));
    blobs.put(&other, b"").unwrap();
    blobs.publish(&[other]).unwrap();
    assert_eq!(blobs.size(&other).unwrap(), 0);
    assert!(!blobs.name(&pack).is_empty() && blobs.name(&pack) != blobs.name(&other));
}

fn never_overwrites<B: Blobs>(one: &B, open: &dyn Fn() -> B) {
    let pack = id(10);
    one.put(&pack, b"first").unwrap();
    exists(&one.put(&pack, b"other"));
    one.publish(&[pack]).unwrap();
    exists(&one.put(&pack, b"other"));
    let two = open();
    exists(&two.put(&pack, b"other"));
    two.put(&pack, b"first").unwrap();
    two.publish(&[pack]).unwrap();
    assert_eq!(two.read(&pack, 0..5).unwrap(), b"first");
    // Of several processes that come to one id, one is there, whole.
    for number in 11..19 {
        let pack = id(number);
        let processes: Vec<_> = (0..4_u8).map(|process| (process, open())).collect();
        let start = Barrier::new(processes.len());
        let published: Vec<_> = std::thread::scope(|scope| {
            let each: Vec<_> = processes
                .iter()
                .map(|(process, blobs)| {
                    let start = &start;
                    scope.spawn(move || {
                        start.wait();
                        let bytes = vec![*process; 100];
                        let done = blobs.put(&pack, &bytes);
                        done.and_then(|()| blobs.publish(&[pack])).map(|()| bytes)
                    })
                })
                .collect();
            each.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let there = one.read(&pack, 0..100).unwrap();
        let won: Vec<_> = published
            .iter()
            .filter_map(|done| done.as_ref().ok())
            .collect();
        assert_eq!(won, [&there], "{published:?}");
        published
            .iter()
            .filter(|done| done.is_err())
            .for_each(exists);
    }
}

fn lists_by_pages(blobs: &dyn Blobs) {
    const MANY: u16 = 300;
    let packs: Vec<_> = (1000..1000 + MANY).map(id).collect();
    for pack in &packs {
        blobs.put(pack, b"x").unwrap();
    }
    blobs.publish(&packs).unwrap();
    let mut all = all_packs(blobs).unwrap();
    assert!(all.is_sorted() && packs.iter().all(|pack| all.contains(pack)));
    all.dedup();
    for limit in [1, 2, 7, all.len(), all.len() + 1] {
        let mut seen: Vec<PackId> = Vec::new();
        loop {
            let page = blobs.list(seen.last(), limit).unwrap();
            assert!(page.len() <= limit);
            let last = page.len() < limit;
            seen.extend(page);
            if last {
                break;
            }
            // What comes meanwhile is there or not; nothing else is left out or told twice.
            let new = id(u16::try_from(2000 + seen.len()).unwrap());
            if limit == 7 {
                blobs.put(&new, b"y").unwrap();
                blobs.publish(&[new]).unwrap();
            }
        }
        assert!(seen.is_sorted_by(|a, b| a < b), "{limit}");
        assert!(
            all.iter().all(|pack| seen.binary_search(pack).is_ok()),
            "{limit}"
        );
        all = all_packs(blobs).unwrap();
    }
}

fn sweeps_what_is_left<B: Blobs>(one: B, open: &dyn Fn() -> B) {
    let (pack, other) = (id(5000), id(5001));
    one.put(&pack, b"begun").unwrap();
    let two = open();
    two.put(&other, b"begun as well").unwrap();
    // Who is at work is left alone, by others and by itself.
    two.sweep().unwrap();
    one.sweep().unwrap();
    assert_eq!(one.read(&pack, 0..5).unwrap(), b"begun");
    two.publish(&[other]).unwrap();
    drop(one);
    let three = open();
    three.sweep().unwrap();
    is_missing(&three.read(&pack, 0..1));
    is_missing(&three.publish(&[pack]));
    three.put(&pack, b"begun anew").unwrap();
    three.publish(&[pack]).unwrap();
    assert_eq!(two.read(&pack, 0..10).unwrap(), b"begun anew");
    assert_eq!(three.read(&other, 0..5).unwrap(), b"begun");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_double_does_what_every_implementation_must() {
        let place = Place::default();
        check_blobs(&|| place.open());
    }

    #[test]
    fn of_a_faulty_double_one_write_fails() {
        for mode in Mode::ALL {
            let place = Place::default();
            let faults = Faults::at(1, mode);
            let blobs = FaultyBlobs(place.open(), faults.clone());
            blobs.put(&id(1), b"one").unwrap();
            assert!(!faults.met());
            blobs.publish(&[id(1)]).unwrap_err();
            assert!(faults.met());
            let there = blobs.list(None, 10).unwrap().len();
            assert_eq!(there, usize::from(mode == Mode::After));
            blobs.publish(&[id(1)]).unwrap();
        }
    }
}
