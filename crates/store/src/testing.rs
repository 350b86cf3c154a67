//! Doubles of the ports, and what every implementation of them must do.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "it is for tests, which may panic"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::{Bound, Range};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Barrier, Mutex, Weak};

use custody_types::{ArtifactName, Digest, VersionName, VersionNumber};

use crate::ids::{ChunkId, DomainId, PackId};
use crate::memory_rows::MemoryRows;
use crate::pack::{ChunkKind, PackChunk};
use crate::ports::{
    BlobError, Blobs, Catalog, CatalogError, ChunkPlace, RecordPlace, StagedRow, Staging, ViewRow,
    ViewRows, all_packs,
};

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

    /// Tells how many packs are published, and how many were put and are not.
    pub fn count(&self) -> (usize, usize) {
        let packs = self.0.lock().unwrap();
        (packs.published.len(), packs.put.len())
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

    fn delete(&self, packs: &[PackId]) -> Result<(), BlobError> {
        let mut all = self.place.0.lock().unwrap();
        all.published.retain(|id, _| !packs.contains(id));
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

/// An index in memory, which outlives the processes that use it.
#[derive(Debug, Clone, Default)]
pub struct MemoryCatalog(Arc<Mutex<Index>>);

#[derive(Debug, Default)]
struct Index {
    chunks: BTreeMap<(DomainId, ChunkId), ChunkPlace>,
    records: BTreeSet<(Digest, DomainId, ChunkId)>,
    staged: BTreeMap<VersionName, Digest>,
    lacking: BTreeSet<Digest>,
    condemned: BTreeSet<PackId>,
    view: MemoryRows,
}

impl MemoryCatalog {
    #[allow(clippy::unnecessary_wraps, reason = "what memory does never fails")]
    fn with<T>(&self, work: impl FnOnce(&mut Index) -> T) -> Result<T, CatalogError> {
        Ok(work(&mut self.0.lock().unwrap()))
    }
}

impl Catalog for MemoryCatalog {
    fn stage(&self, staging: &Staging) -> Result<(), CatalogError> {
        let mut index = self.0.lock().unwrap();
        for chunk in &staging.relied_upon {
            let place = index.chunks.get(&(staging.domain, *chunk));
            if place.is_none_or(|place| index.condemned.contains(&place.pack)) {
                return Err(CatalogError::Conflict {
                    name: chunk.to_string(),
                    because: "it was relied upon".to_owned(),
                });
            }
        }
        let mut staged = index.staged.clone();
        for row in &staging.versions {
            if staged.insert(row.name.clone(), row.record).is_some() {
                return Err(CatalogError::Conflict {
                    name: row.name.to_string(),
                    because: "there is such a version already".to_owned(),
                });
            }
        }
        index.staged = staged;
        for (pack, chunks) in &staging.packs {
            for chunk in chunks {
                let place = ChunkPlace {
                    pack: *pack,
                    chunk: *chunk,
                };
                index.chunks.insert((staging.domain, chunk.id), place);
            }
        }
        for record in &staging.records {
            let own = |(digest, domain, _): &(Digest, DomainId, ChunkId)| {
                (*digest, *domain) == (record.digest, staging.domain)
            };
            index.records.retain(|known| !own(known));
            let place = (record.digest, staging.domain, record.chunk);
            index.records.insert(place);
        }
        Ok(())
    }

    fn unstage(&self, versions: &[VersionName]) -> Result<(), CatalogError> {
        self.with(|index| index.staged.retain(|name, _| !versions.contains(name)))
    }

    fn staged(&self) -> Result<Vec<StagedRow>, CatalogError> {
        self.with(|index| {
            let rows = index.staged.iter().map(|(name, record)| StagedRow {
                name: name.clone(),
                record: *record,
            });
            rows.collect()
        })
    }

    fn chunks(
        &self,
        domain: &DomainId,
        chunks: &[ChunkId],
    ) -> Result<Vec<Option<ChunkPlace>>, CatalogError> {
        self.with(|index| {
            let chunks = chunks.iter();
            let places = chunks.map(|chunk| index.chunks.get(&(*domain, *chunk)).cloned());
            places.collect()
        })
    }

    fn record(&self, digest: &Digest) -> Result<Vec<(DomainId, ChunkId)>, CatalogError> {
        self.with(|index| {
            let own = index.records.iter().filter(|(known, ..)| known == digest);
            own.map(|(_, domain, chunk)| (*domain, *chunk)).collect()
        })
    }

    fn highest(&self, artifact: &ArtifactName) -> Result<u32, CatalogError> {
        self.with(|index| {
            let own = index
                .staged
                .keys()
                .filter(|name| name.artifact == *artifact);
            own.map(|name| name.number.number()).max().unwrap_or(0)
        })
    }

    fn view(
        &self,
        work: &mut dyn FnMut(&dyn ViewRows) -> Result<bool, CatalogError>,
    ) -> Result<(), CatalogError> {
        let mut index = self.0.lock().unwrap();
        let changed = index.view.clone();
        if work(&changed)? {
            index.view = changed;
        }
        Ok(())
    }

    fn set_lacking(&self, records: &[Digest]) -> Result<(), CatalogError> {
        self.with(|index| index.lacking = records.iter().copied().collect())
    }

    fn is_lacking(&self, record: &Digest) -> Result<bool, CatalogError> {
        self.with(|index| index.lacking.contains(record))
    }

    fn condemn(&self, pack: &PackId) -> Result<(), CatalogError> {
        self.with(|index| index.condemned.insert(*pack)).map(drop)
    }

    fn absolve(&self, pack: &PackId) -> Result<(), CatalogError> {
        self.with(|index| index.condemned.remove(pack)).map(drop)
    }

    fn is_condemned(&self, pack: &PackId) -> Result<bool, CatalogError> {
        self.with(|index| index.condemned.contains(pack))
    }

    fn packs(&self, after: Option<&PackId>, limit: usize) -> Result<Vec<PackId>, CatalogError> {
        self.with(|index| {
            let packs: BTreeSet<_> = index.chunks.values().map(|place| place.pack).collect();
            let late = packs
                .into_iter()
                .filter(|pack| after.is_none_or(|after| pack > after));
            late.take(limit).collect()
        })
    }

    fn places(
        &self,
        after: Option<(&DomainId, &ChunkId)>,
        limit: usize,
    ) -> Result<Vec<(DomainId, ChunkPlace)>, CatalogError> {
        self.with(|index| {
            let from = after.map_or(Bound::Unbounded, |(domain, chunk)| {
                Bound::Excluded((*domain, *chunk))
            });
            let late = index.chunks.range((from, Bound::Unbounded)).take(limit);
            late.map(|((domain, _), place)| (*domain, place.clone()))
                .collect()
        })
    }

    fn forget(&self, packs: &[PackId]) -> Result<(), CatalogError> {
        self.with(|index| {
            index.chunks.retain(|_, place| !packs.contains(&place.pack));
            let Index {
                chunks, records, ..
            } = index;
            records.retain(|(_, domain, chunk)| chunks.contains_key(&(*domain, *chunk)));
        })
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

    fn delete(&self, packs: &[PackId]) -> Result<(), BlobError> {
        self.1.write(Self::error, || self.0.delete(packs))
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

/// An index of which one write fails.
#[derive(Debug)]
pub struct FaultyCatalog<C>(pub C, pub Arc<Faults>);

macro_rules! faulty_catalog {
    (writes { $(fn $write:ident($($name:ident: $kind:ty),*);)* } reads { $(fn $read:ident($($of:ident: $type:ty),*) -> $answer:ty;)* }) => {
        impl<C: Catalog> Catalog for FaultyCatalog<C> {
            $(fn $write(&self, $($name: $kind),*) -> Result<(), CatalogError> {
                let error = || CatalogError::Failed { source: "a fault".into() };
                self.1.write(error, || self.0.$write($($name),*))
            })*
            $(fn $read(&self, $($of: $type),*) -> Result<$answer, CatalogError> {
                self.0.$read($($of),*)
            })*
        }
    };
}

faulty_catalog! {
    writes {
        fn stage(staging: &Staging);
        fn unstage(versions: &[VersionName]);
        fn view(work: &mut dyn FnMut(&dyn ViewRows) -> Result<bool, CatalogError>);
        fn set_lacking(records: &[Digest]);
        fn condemn(pack: &PackId);
        fn absolve(pack: &PackId);
        fn forget(packs: &[PackId]);
    }
    reads {
        fn staged() -> Vec<StagedRow>;
        fn chunks(domain: &DomainId, chunks: &[ChunkId]) -> Vec<Option<ChunkPlace>>;
        fn record(digest: &Digest) -> Vec<(DomainId, ChunkId)>;
        fn highest(artifact: &ArtifactName) -> u32;
        fn is_lacking(record: &Digest) -> bool;
        fn is_condemned(pack: &PackId) -> bool;
        fn packs(after: Option<&PackId>, limit: usize) -> Vec<PackId>;
        fn places(after: Option<(&DomainId, &ChunkId)>, limit: usize) -> Vec<(DomainId, ChunkPlace)>;
    }
}

/// Checks what all [`Blobs`] must do. `open` opens the same empty place each time, as another process would.
pub fn check_blobs<B: Blobs>(open: &dyn Fn() -> B) {
    let one = open();
    puts_and_publishes(&one);
    never_overwrites(&one, open);
    lists_by_pages(&one);
    deletes_what_is_published(&one);
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

fn deletes_what_is_published(blobs: &dyn Blobs) {
    let [gone, stays, unpublished] = [id(500), id(501), id(502)];
    for pack in [gone, stays, unpublished] {
        blobs.put(&pack, b"some bytes").unwrap();
    }
    blobs.publish(&[gone, stays]).unwrap();
    for _ in 0..2 {
        blobs.delete(&[gone, id(503), unpublished]).unwrap();
        is_missing(&blobs.read(&gone, 0..1));
        is_missing(&blobs.size(&gone));
        let listed = all_packs(blobs).unwrap();
        assert!(!listed.contains(&gone) && listed.contains(&stays));
        assert_eq!(blobs.read(&unpublished, 0..4).unwrap(), b"some");
    }
    blobs.discard(&[unpublished]).unwrap();
    // What is gone leaves its id free.
    blobs.put(&gone, b"others").unwrap();
    blobs.publish(&[gone]).unwrap();
    assert_eq!(blobs.read(&gone, 0..6).unwrap(), b"others");
    blobs.delete(&[gone, stays]).unwrap();
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

/// Checks what every [`Catalog`] must do: over random histories it answers as the one in memory, and another process
/// that opens the same place finds the same. `open` opens the same empty place each time.
pub fn check_catalog<C: Catalog>(open: &dyn Fn() -> C, seed: u64) {
    const STEPS: u64 = 400;
    const AGAIN: u64 = 100;
    let model = MemoryCatalog::default();
    let mut catalog = open();
    let mut dice = Dice(seed);
    for step in 1..=STEPS {
        let (done, expected) = change(&catalog, &model, &mut dice);
        assert_eq!(done, expected, "step {step}");
        compare(&catalog, &model, step);
        if step % AGAIN == 0 {
            catalog = open();
            compare(&catalog, &model, step);
        }
    }
    undone_or_kept(&catalog);
    counted_by_many(&catalog);
    staged_by_two(open);
}

/// Numbers that follow from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        // The generator of Knuth's MMIX; its high bits are the better ones.
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn byte(&mut self, sides: u64) -> u8 {
        u8::try_from(self.below(sides)).unwrap()
    }

    fn domain(&mut self) -> DomainId {
        DomainId::from_bytes([self.byte(2); 16])
    }

    fn chunk(&mut self) -> ChunkId {
        ChunkId::from_bytes([self.byte(12); 32])
    }

    fn pack(&mut self) -> PackId {
        PackId::from_bytes([self.byte(6); 16])
    }

    fn digest(&mut self) -> Digest {
        Digest::from_bytes([self.byte(8); 32])
    }

    fn version(&mut self) -> VersionName {
        let artifact: ArtifactName = ["p/a", "p/b", "q/a"][usize::from(self.byte(3))]
            .parse()
            .unwrap();
        artifact.version(VersionNumber::new(1 + u32::from(self.byte(9))).unwrap())
    }

    fn staging(&mut self) -> Staging {
        let domain = self.domain();
        let kinds = [
            ChunkKind::Data,
            ChunkKind::Manifest,
            ChunkKind::Record,
            ChunkKind::Version,
        ];
        let packs = (0..self.below(3)).map(|_| {
            let chunks = (0..self.below(4)).map(|_| PackChunk {
                id: self.chunk(),
                kind: kinds[usize::from(self.byte(4))],
                offset: self.below(1 << 40),
                stored: u32::from(self.byte(200)),
                compressed: self.below(2) == 1,
                length: u32::from(self.byte(250)),
            });
            let chunks = chunks.collect();
            (self.pack(), chunks)
        });
        let packs = packs.collect();
        let records = (0..self.below(3)).map(|_| RecordPlace {
            digest: self.digest(),
            chunk: self.chunk(),
        });
        let records = records.collect();
        let versions = (0..self.below(3)).map(|_| StagedRow {
            name: self.version(),
            record: self.digest(),
        });
        let versions = versions.collect();
        let relied_upon = (0..self.below(5) / 3).map(|_| self.chunk());
        let relied_upon = relied_upon.collect();
        Staging {
            domain,
            relied_upon,
            packs,
            records,
            versions,
        }
    }
}

/// Makes one change of both. Returns what they say to it.
fn change(catalog: &dyn Catalog, model: &MemoryCatalog, dice: &mut Dice) -> (String, String) {
    let both = |change: &dyn Fn(&dyn Catalog) -> Result<(), CatalogError>| {
        let told = |done: Result<(), CatalogError>| match done {
            Ok(()) => "done".to_owned(),
            Err(CatalogError::Conflict { name, .. }) => format!("`{name}` is there"),
            Err(error) => panic!("{error}"),
        };
        (told(change(catalog)), told(change(model)))
    };
    match dice.below(9) {
        0..=2 => {
            let staging = dice.staging();
            both(&|catalog| catalog.stage(&staging))
        }
        3 => {
            let versions: Vec<_> = (0..4).map(|_| dice.version()).collect();
            both(&|catalog| catalog.unstage(&versions))
        }
        4 => {
            let records: Vec<_> = (0..dice.below(4)).map(|_| dice.digest()).collect();
            both(&|catalog| catalog.set_lacking(&records))
        }
        5 => {
            let pack = dice.pack();
            both(&|catalog| catalog.condemn(&pack))
        }
        6 => {
            let pack = dice.pack();
            both(&|catalog| catalog.absolve(&pack))
        }
        7 => {
            let packs: Vec<_> = (0..dice.below(3)).map(|_| dice.pack()).collect();
            both(&|catalog| catalog.forget(&packs))
        }
        _ => {
            let (number, kept) = (dice.below(40), dice.below(4) > 0);
            let kind = dice.below(12);
            both(&|catalog| catalog.view(&mut |rows| write_rows(rows, kind, number).map(|()| kept)))
        }
    }
}

/// Writes something into a view.
fn write_rows(rows: &dyn ViewRows, kind: u64, number: u64) -> Result<(), CatalogError> {
    let key = format!("k{}", number * 7 % 40);
    match kind {
        0 => rows.clear(),
        1 => rows.set_root(&format!("root {number}")),
        2 => rows.set_node(u32::try_from(number).unwrap(), &number.to_be_bytes()),
        3 | 4 => rows.remove(&key),
        _ => rows.set(
            u16::try_from(number % 3).unwrap(),
            &ViewRow {
                next: format!("{key}+"),
                value: vec![u8::try_from(kind).unwrap(); usize::try_from(number).unwrap()],
                key,
            },
        ),
    }
}

/// Tells all that is in a view.
fn read_rows(catalog: &dyn Catalog) -> Vec<String> {
    let mut told = Vec::new();
    let read = catalog.view(&mut |rows| {
        told.push(format!("{:?}", rows.root()?));
        for id in 0..40 {
            told.push(format!("{:?}", rows.node(id)?));
            told.push(format!("{:?}", rows.before(&format!("k{id}"))?));
        }
        told.push(format!("{:?}", rows.buckets()?));
        for bucket in 0..4 {
            told.push(format!("{:?}", rows.bucket(bucket)?));
        }
        Ok(false)
    });
    read.unwrap();
    told
}

/// Compares all that both answer.
fn compare(catalog: &dyn Catalog, model: &MemoryCatalog, step: u64) {
    let both = |ask: &dyn Fn(&dyn Catalog) -> String| {
        assert_eq!(ask(catalog), ask(model), "step {step}");
    };
    both(&|catalog| format!("{:?}", catalog.staged().unwrap()));
    for limit in [1, 2, 100] {
        both(&|catalog| {
            let pages = pages(|after, limit| catalog.packs(after, limit), limit);
            format!("{pages:?}")
        });
        both(&|catalog| {
            let list = |after: Option<&(DomainId, ChunkPlace)>, limit| {
                let after = after.map(|(domain, place)| (domain, &place.chunk.id));
                catalog.places(after, limit)
            };
            format!("{:?}", pages(list, limit))
        });
    }
    for artifact in ["p/a", "p/b", "q/a", "q/none"] {
        both(&|catalog| format!("{:?}", catalog.highest(&artifact.parse().unwrap())));
    }
    for number in 0..12 {
        let (chunk, digest) = (
            ChunkId::from_bytes([number; 32]),
            Digest::from_bytes([number; 32]),
        );
        let pack = PackId::from_bytes([number; 16]);
        for domain in [0, 1, 2] {
            let domain = DomainId::from_bytes([domain; 16]);
            both(&|catalog| format!("{:?}", catalog.chunk(&domain, &chunk).unwrap()));
            let several = [chunk, ChunkId::from_bytes([3; 32]), chunk];
            both(&|catalog| format!("{:?}", catalog.chunks(&domain, &several).unwrap()));
        }
        both(&|catalog| format!("{:?}", catalog.record(&digest).unwrap()));
        both(&|catalog| format!("{:?}", catalog.is_lacking(&digest).unwrap()));
        both(&|catalog| format!("{:?}", catalog.is_condemned(&pack).unwrap()));
    }
    assert_eq!(read_rows(catalog), read_rows(model), "step {step}");
}

/// Lists everything a page of `limit` at a time, each as long as it must be.
fn pages<T, E: std::fmt::Debug>(
    list: impl Fn(Option<&T>, usize) -> Result<Vec<T>, E>,
    limit: usize,
) -> Vec<T> {
    let mut all = Vec::new();
    loop {
        let page = list(all.last(), limit).unwrap();
        assert!(page.len() <= limit);
        let more = page.len() == limit;
        all.extend(page);
        if !more {
            return all;
        }
    }
}

/// What the work on a view fails with comes back, and nothing of it is kept.
fn undone_or_kept(catalog: &dyn Catalog) {
    let before = read_rows(catalog);
    let failed = catalog.view(&mut |rows| {
        rows.clear()?;
        rows.set_root("another")?;
        Err(CatalogError::Damaged {
            because: "the work says so".to_owned(),
        })
    });
    let told = failed.unwrap_err().to_string();
    assert!(told.contains("the work says so"), "{told}");
    assert_eq!(read_rows(catalog), before);
}

/// Of what several do at once nothing is lost.
fn counted_by_many(catalog: &dyn Catalog) {
    const THREADS: u64 = 4;
    const EACH: u64 = 8;
    let zero = catalog.view(&mut |rows| rows.set_root("0").map(|()| true));
    zero.unwrap();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..EACH {
                    let counted = catalog.view(&mut |rows| {
                        let root = rows.root()?.unwrap_or_default();
                        let more = root.parse::<u64>().unwrap() + 1;
                        rows.set_root(&more.to_string()).map(|()| true)
                    });
                    counted.unwrap();
                }
            });
        }
    });
    let mut root = None;
    let read = catalog.view(&mut |rows| {
        root = rows.root()?;
        Ok(false)
    });
    read.unwrap();
    assert_eq!(root, Some((THREADS * EACH).to_string()));
}

/// Of several that stage one name at once, from two processes, one does; what the others relied upon stays.
fn staged_by_two<C: Catalog>(open: &dyn Fn() -> C) {
    const THREADS: u8 = 4;
    const EACH: u32 = 10;
    let (one, two) = (open(), open());
    let artifact: ArtifactName = "p/at-once".parse().unwrap();
    let taken = std::thread::scope(|scope| {
        let each = (0..THREADS).map(|thread| {
            let catalog = if thread % 2 == 0 { &one } else { &two };
            let artifact = &artifact;
            scope.spawn(move || {
                let numbers = (1..=EACH).filter(|number| {
                    let number = VersionNumber::new(*number).unwrap();
                    let staged = catalog.stage(&Staging {
                        domain: DomainId::from_bytes([9; 16]),
                        relied_upon: Vec::new(),
                        packs: Vec::new(),
                        records: Vec::new(),
                        versions: vec![StagedRow {
                            name: artifact.version(number),
                            record: Digest::from_bytes([thread; 32]),
                        }],
                    });
                    assert!(
                        matches!(staged, Ok(()) | Err(CatalogError::Conflict { .. })),
                        "{staged:?}"
                    );
                    assert!(catalog.highest(artifact).unwrap() >= number.number());
                    staged.is_ok()
                });
                numbers.count()
            })
        });
        let each: Vec<_> = each.collect();
        each.into_iter()
            .map(|one| one.join().unwrap())
            .sum::<usize>()
    });
    assert_eq!(taken, usize::try_from(EACH).unwrap());
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
    fn the_index_in_memory_does_what_every_implementation_must() {
        let catalog = MemoryCatalog::default();
        check_catalog(&|| catalog.clone(), 7);
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
