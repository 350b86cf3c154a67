//! What a writer relies upon, and what it leaves: packs that are lost or damaged are stored again, and what is
//! never made a version leaves no bytes.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may panic and write files"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use custody_backends::blobs::LocalBlobs;
use custody_backends::catalog::{PlaceSeal, SqliteCatalog};
use custody_backends::machine::SystemEntropy;
use custody_crypto::DomainKeys;
use custody_crypto::aead::{Aead, Ring};
use custody_crypto::sign::SigningKey;
use custody_store::{
    Blobs, Catalog, ChunkKind, ChunkPlace, DomainId, PackId, Store, StoreDeps, StoreError, Tree,
    Version, VersionDraft, Writer,
};
use custody_types::{Classification, Digest, Kind, Timestamp, VersionNumber};

struct World {
    folder: tempfile::TempDir,
    signing: Arc<SigningKey>,
    keys: DomainKeys,
    made: Vec<Digest>,
}

/// Where the chunks of data lie.
fn data_places(catalog: &SqliteCatalog) -> Vec<(DomainId, ChunkPlace)> {
    let all = catalog.places(None, usize::MAX).unwrap().into_iter();
    all.filter(|(_, place)| place.chunk.kind == ChunkKind::Data)
        .collect()
}

impl World {
    fn new() -> Self {
        let signing = SigningKey::read(&SigningKey::generate().unwrap()).unwrap();
        Self {
            folder: tempfile::tempdir().unwrap(),
            signing: Arc::new(signing),
            keys: DomainKeys::generate(&SystemEntropy),
            made: Vec::new(),
        }
    }

    fn blobs(&self) -> LocalBlobs {
        LocalBlobs::open(&self.folder.path().join("packs")).unwrap()
    }

    fn catalog(&self) -> SqliteCatalog {
        let seal = PlaceSeal::new(Ring.key(&[5; 32]), Arc::new(SystemEntropy));
        SqliteCatalog::open(&self.folder.path().join("catalog.sqlite"), Arc::new(seal)).unwrap()
    }

    /// Opens the store as a new process does.
    fn store(&self) -> Store {
        let store = Store::new(StoreDeps {
            blobs: Arc::new(self.blobs()),
            catalog: Arc::new(self.catalog()),
            aead: Arc::new(Ring),
            entropy: Arc::new(SystemEntropy),
            signing: self.signing.clone(),
        });
        store.add_project(
            "p".parse().unwrap(),
            DomainId::from_bytes([7; 16]),
            self.keys.clone(),
        );
        store.sweep().unwrap();
        store
    }

    /// Makes `content` the next version, in a pack of its own: version records lie in another.
    fn put(&mut self, content: &[u8]) -> (Version, u64) {
        let store = self.store();
        let (mut writer, tree) = taken(&store, content);
        writer.settle().unwrap();
        let stored = tree.stored.bytes();
        let version = store.stage(writer, vec![draft(tree)]).unwrap().remove(0);
        self.made.push(version.record_digest);
        store.unstage(&[version.name()]).unwrap();
        (version, stored)
    }

    fn read(&self, version: &Version) -> Result<u64, StoreError> {
        self.store().verify_version(version)
    }

    /// The packs in which data lies.
    fn data_packs(&self) -> Vec<(PackId, PathBuf)> {
        let places = data_places(&self.catalog());
        let packs: BTreeSet<_> = places.iter().map(|(_, place)| place.pack).collect();
        let blobs = self.blobs();
        let named = packs.into_iter();
        named.map(|pack| (pack, blobs.name(&pack).into())).collect()
    }

    /// Goes on with what the disk has, as after the end of the process that held its locks.
    fn crash(&mut self) {
        let after = tempfile::tempdir().unwrap();
        let copied = std::process::Command::new("cp")
            .arg("--archive")
            .arg(self.folder.path().join("."))
            .arg(after.path())
            .status();
        assert!(copied.unwrap().success());
        self.folder = after;
    }

    fn files_on_disk(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.folder.path().join("packs")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.push(path.strip_prefix(self.folder.path()).unwrap().to_owned());
                }
            }
        }
        found.sort();
        found
    }
}

fn noise(seed: u8, length: usize) -> Vec<u8> {
    let mut state = u64::from(seed) + 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

/// Takes in one file, of which nothing is named yet.
fn taken(store: &Store, content: &[u8]) -> (Writer, Tree) {
    let mut writer = store.writer(&"p".parse().unwrap()).unwrap();
    writer.begin_file("file".parse().unwrap(), false);
    writer.write(content).unwrap();
    writer.end_file().unwrap();
    let tree = writer.finish_tree().unwrap();
    (writer, tree)
}

fn draft(tree: Tree) -> VersionDraft {
    VersionDraft {
        artifact: "p/data".parse().unwrap(),
        number: VersionNumber::FIRST,
        kind: Kind::Dataset,
        tree,
        classification: Classification::Internal,
        purposes: Vec::new(),
        created: Timestamp::UNIX_EPOCH,
        author: "someone".to_owned(),
        origin: None,
        statement: None,
        run: None,
        step: None,
        extra: BTreeMap::new(),
    }
}

/// What can befall a pack.
#[derive(Debug, Clone, Copy)]
enum Harm {
    Lost,
    /// So many bytes are left.
    Cut(usize),
    /// A byte in the middle is another; a read has found it.
    FlippedAndRead,
}

const HARMS: [Harm; 6] = [
    Harm::Lost,
    Harm::Cut(0),
    Harm::Cut(100),
    Harm::Cut(16_384 + 159),
    Harm::Cut(1_000_000),
    Harm::FlippedAndRead,
];

#[test]
fn what_a_lost_or_damaged_pack_held_is_stored_again_and_older_versions_read_again() {
    let content = noise(1, 2_500_000);
    for harm in HARMS {
        let mut world = World::new();
        let (first, all) = world.put(&content);
        let (again, nothing) = world.put(&content);
        assert!(nothing == 0 && all > 2_000_000, "{all}, then {nothing}");
        assert_eq!(world.read(&again).unwrap(), 2_500_000);
        let packs = world.data_packs();
        let [(pack, path)] = packs.as_slice() else {
            panic!("{packs:?}")
        };
        let bytes = std::fs::read(path).unwrap();
        match harm {
            Harm::Lost => std::fs::remove_file(path).unwrap(),
            Harm::Cut(end) => std::fs::write(path, &bytes[..end]).unwrap(),
            Harm::FlippedAndRead => {
                let mut changed = bytes.clone();
                changed[1_200_000] ^= 1;
                std::fs::write(path, changed).unwrap();
                assert!(world.read(&first).is_err());
            }
        }
        let (third, stored) = world.put(&content);
        assert!(stored >= all, "{harm:?}: {stored} of {all}");
        for version in [&first, &again, &third] {
            assert_eq!(world.read(version).unwrap(), 2_500_000, "{harm:?}");
        }
        assert_ne!(world.data_packs()[0].0, *pack, "{harm:?}");
        let broken: Vec<_> = world
            .store()
            .verify_packs(&BTreeSet::new())
            .unwrap()
            .into_iter()
            .filter(|check| check.broken.is_some())
            .map(|check| check.name)
            .collect();
        match harm {
            Harm::Lost => assert!(broken.is_empty(), "nothing lacks any more: {broken:?}"),
            _ => assert_eq!(broken, [path.display().to_string()], "{harm:?}"),
        }
        // The index made anew does not fall back to the damaged pack, and needs no repair by hand.
        std::fs::remove_file(world.folder.path().join("catalog.sqlite")).unwrap();
        let rebuilt = world
            .store()
            .rebuild(&world.made, &BTreeSet::new(), &BTreeSet::new())
            .unwrap_or_else(|error| panic!("{harm:?}: {error}"));
        assert!(rebuilt.damaged.is_none(), "{harm:?}: {rebuilt:?}");
        assert!(rebuilt.lacking.is_empty(), "{harm:?}: {rebuilt:?}");
        for version in [&first, &again, &third] {
            assert_eq!(world.read(version).unwrap(), 2_500_000, "{harm:?}");
        }
    }
}

#[test]
fn a_pack_that_is_needed_and_damaged_is_named_and_stops_nothing_else() {
    let mut world = World::new();
    let (_, _) = world.put(&noise(2, 500_000));
    let path = world.data_packs().remove(0).1;
    let (whole, _) = world.put(&noise(4, 500_000));
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..200_000]).unwrap();
    let store = world.store();
    let rebuilt = store
        .rebuild(&world.made, &BTreeSet::new(), &BTreeSet::new())
        .unwrap();
    let damaged = rebuilt.damaged.unwrap().to_string();
    assert!(damaged.contains(&path.display().to_string()), "{damaged}");
    assert_eq!(world.read(&whole).unwrap(), 500_000);
}

#[test]
fn a_pack_that_was_put_back_is_relied_upon_again() {
    let mut world = World::new();
    let content = noise(3, 500_000);
    let (version, _) = world.put(&content);
    let (pack, path) = world.data_packs().remove(0);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(world.read(&version).is_err());
    assert!(world.catalog().is_condemned(&pack).unwrap());
    std::fs::write(&path, bytes).unwrap();
    let checks = world.store().verify_packs(&BTreeSet::new()).unwrap();
    assert!(checks.iter().all(|check| check.broken.is_none()));
    assert_eq!(world.put(&content).1, 0);
}

#[test]
fn what_is_settled_and_never_named_leaves_no_bytes_not_even_after_a_crash() {
    let mut world = World::new();
    let shared = noise(4, 400_000);
    let (live, _) = world.put(&shared);
    let before = world.files_on_disk();
    let chunks = data_places(&world.catalog());
    // The start is that of a live version, the rest is new.
    let refused = [shared.clone(), noise(5, 1_500_000)].concat();
    for crashes in [false, true] {
        let store = world.store();
        let (mut writer, tree) = taken(&store, &refused);
        writer.settle().unwrap();
        let files = writer.tree_files(&tree).unwrap();
        let size = refused.len() as u64;
        let read = files.read(&"file".parse().unwrap(), 0..size).unwrap();
        assert!(read == refused, "it is read before it is named");
        assert!(world.files_on_disk().len() > before.len());
        if crashes {
            std::mem::forget((writer, files));
            drop(store);
            world.crash();
            world.store();
        } else {
            drop((writer, files));
        }
        assert_eq!(world.files_on_disk(), before, "crash: {crashes}");
        let kept = data_places(&world.catalog());
        assert_eq!(kept, chunks, "crash: {crashes}");
        assert_eq!(world.read(&live).unwrap(), 400_000);
    }
}

#[test]
fn a_writer_that_relies_on_a_pack_which_is_lost_meanwhile_makes_no_version() {
    for forgotten in [false, true] {
        let mut world = World::new();
        let content = noise(6, 400_000);
        world.put(&content);
        let packs: Vec<_> = world
            .data_packs()
            .into_iter()
            .map(|(pack, _)| pack)
            .collect();
        let store = world.store();
        let (writer, tree) = taken(&store, &content);
        assert_eq!(tree.stored.bytes(), 0, "all of it was there");
        let catalog = world.catalog();
        if forgotten {
            catalog.forget(&packs).unwrap();
        } else {
            catalog.condemn(&packs[0]).unwrap();
        }
        let refused = store.stage(writer, vec![draft(tree)]).unwrap_err();
        assert!(matches!(refused, StoreError::Conflict { .. }), "{refused}");
        assert!(store.staged().unwrap().is_empty());
        // Put again it is stored again, and reads.
        let (again, stored) = world.put(&content);
        assert!(stored > 0);
        assert_eq!(world.read(&again).unwrap(), 400_000);
    }
}

#[test]
fn a_document_of_two_projects_is_read_by_the_keys_of_either() {
    let world = World::new();
    let both = world.store();
    let other = "q".parse().unwrap();
    let keys = DomainKeys::generate(&SystemEntropy);
    both.add_project(other, DomainId::from_bytes([3; 16]), keys);
    let mut digests = Vec::new();
    for project in ["p", "q"] {
        let mut writer = both.writer(&project.parse().unwrap()).unwrap();
        digests.push(writer.put_record(b"the same").unwrap());
        writer.keep().unwrap();
    }
    assert_eq!(digests[0], digests[1]);
    let projects = both.projects_of(&digests[0]).unwrap();
    assert_eq!(projects.len(), 2);
    // That of the first domain has no keys here.
    let one = world.store();
    assert_eq!(one.record(&digests[0]).unwrap(), b"the same");
    assert_eq!(one.projects_of(&digests[0]).unwrap().len(), 1);
}
