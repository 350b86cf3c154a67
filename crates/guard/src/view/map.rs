//! A map in the order of its keys whose rows are authenticated one by one.
//!
//! Rows lie in 65,536 buckets, by the SHA-256 of their keys. A tree of hashes, sixteen to a node and four levels
//! high, stands over the buckets; whoever owns the map seals its root. Each row names the key after it, so that a row
//! that is not there is known not to be there.
//!
//! INVARIANT: nothing that is returned was read without being compared, up the tree, with the root. A row that was
//! changed, added, taken away or put back from another moment is [`ViewError::Wrong`].

use std::collections::{BTreeMap, BTreeSet, HashMap};

use custody_store::{CatalogError, ViewRow, ViewRows};
use custody_types::Digest;

/// How many children a node has.
const FANOUT: usize = 16;
/// The bits that choose a child.
const BITS: u32 = 4;
/// The id of the first node of the lowest level: nodes are numbered from 1, level by level.
const LOWEST: u32 = 1 << 12;

type Hash = [u8; 32];
type Node = [Hash; FANOUT];

/// What stands for a bucket or a node in which there is nothing.
const NOTHING: Hash = [0; 32];

/// Why the view could not answer.
#[derive(Debug)]
pub(crate) enum ViewError {
    /// A row is not what was written.
    Wrong(&'static str),
    /// The catalog failed.
    Catalog(CatalogError),
}

impl From<CatalogError> for ViewError {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::Damaged { .. } => Self::Wrong("a row cannot be read"),
            error => Self::Catalog(error),
        }
    }
}

type Answer<T> = Result<T, ViewError>;

/// The root of the map, and the nodes that were compared with it.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tree {
    root: Hash,
    nodes: HashMap<u32, Node>,
}

impl Tree {
    pub(crate) fn of_root(root: Digest) -> Self {
        Self {
            root: *root.as_bytes(),
            nodes: HashMap::new(),
        }
    }

    pub(crate) fn root(&self) -> Digest {
        Digest::from_bytes(self.root)
    }
}

/// The map within one transaction.
pub(crate) struct Map<'a> {
    tree: &'a mut Tree,
    rows: &'a dyn ViewRows,
    /// The buckets that were compared with the tree, or changed.
    buckets: HashMap<u16, BTreeMap<String, ViewRow>>,
    changed: BTreeSet<u16>,
}

impl<'a> Map<'a> {
    pub(crate) fn new(tree: &'a mut Tree, rows: &'a dyn ViewRows) -> Self {
        Self {
            tree,
            rows,
            buckets: HashMap::new(),
            changed: BTreeSet::new(),
        }
    }

    /// Returns what the row with this key says.
    pub(crate) fn get(&mut self, key: &str) -> Answer<Option<Vec<u8>>> {
        Ok(self.row(key)?.map(|row| row.value.clone()))
    }

    /// Returns whether there is a row with this key.
    pub(crate) fn has(&mut self, key: &str) -> Answer<bool> {
        Ok(self.row(key)?.is_some())
    }

    /// Returns the last row before `key`.
    pub(crate) fn before(&mut self, key: &str) -> Answer<Option<ViewRow>> {
        let found = self.neighbour(key)?;
        Ok(found.filter(|row| !row.key.is_empty()))
    }

    /// Returns the first row after `key`, which need not be there.
    pub(crate) fn after(&mut self, key: &str) -> Answer<Option<ViewRow>> {
        let here = match self.row(key)? {
            Some(row) => Some(row.clone()),
            None => self.neighbour(key)?,
        };
        let Some(next) = here.map(|row| row.next).filter(|next| !next.is_empty()) else {
            return Ok(None);
        };
        let row = self.row(&next)?.cloned();
        row.map(Some)
            .ok_or(ViewError::Wrong("a row that another names is missing"))
    }

    /// Returns the rows after `after` whose keys begin with `prefix`, at most `most`.
    pub(crate) fn list(
        &mut self,
        prefix: &str,
        after: Option<&str>,
        most: usize,
    ) -> Answer<Vec<ViewRow>> {
        let mut found = Vec::new();
        let mut at = after.unwrap_or(prefix).to_owned();
        while found.len() < most
            && let Some(row) = self.after(&at)?.filter(|row| row.key.starts_with(prefix))
        {
            at.clone_from(&row.key);
            found.push(row);
        }
        Ok(found)
    }

    /// Puts a row in the place of the one with its key, if there is one.
    pub(crate) fn put(&mut self, key: &str, value: Vec<u8>) -> Answer<()> {
        if let Some(row) = self.row(key)? {
            let next = row.next.clone();
            return self.set(ViewRow {
                key: key.to_owned(),
                value,
                next,
            });
        }
        let before = match self.neighbour(key)? {
            Some(row) => row,
            // The row with the empty key is before all others.
            None => ViewRow {
                key: String::new(),
                value: Vec::new(),
                next: String::new(),
            },
        };
        let next = before.next.clone();
        self.set(ViewRow {
            next: key.to_owned(),
            ..before
        })?;
        self.set(ViewRow {
            key: key.to_owned(),
            value,
            next,
        })
    }

    /// Takes a row away. One that is not there is no error.
    pub(crate) fn remove(&mut self, key: &str) -> Answer<()> {
        let Some(row) = self.row(key)?.cloned() else {
            return Ok(());
        };
        let before = self.neighbour(key)?;
        let before = before.filter(|before| before.next == key);
        let before = before.ok_or(ViewError::Wrong("the row before another is missing"))?;
        self.set(ViewRow {
            next: row.next,
            ..before
        })?;
        let number = bucket_of(key);
        self.bucket(number)?.remove(key);
        self.changed.insert(number);
        Ok(self.rows.remove(key)?)
    }

    /// Writes the nodes over what changed; the root is in the tree then.
    pub(crate) fn finish(mut self) -> Answer<()> {
        let mut hashes: BTreeMap<u32, Hash> = BTreeMap::new();
        for number in std::mem::take(&mut self.changed) {
            let bucket = self.buckets.get(&number);
            let bucket = bucket.ok_or(ViewError::Wrong("a bucket that changed was not read"))?;
            let hash = hash_of_bucket(bucket);
            hashes.insert(bucket_id(number), hash);
        }
        while hashes.keys().next().is_some_and(|id| *id > 1) {
            let mut above = BTreeMap::new();
            for (id, hash) in hashes {
                let parent = id >> BITS;
                let mut node = self.node(parent)?;
                if let Some(child) = node.get_mut(child_of(id)) {
                    *child = hash;
                }
                self.tree.nodes.insert(parent, node);
                above.insert(parent, NOTHING);
            }
            for (id, hash) in &mut above {
                let node = self.node(*id)?;
                self.rows.set_node(*id, node.as_flattened())?;
                *hash = hash_of_node(&node);
            }
            hashes = above;
        }
        if let Some(root) = hashes.get(&1) {
            self.tree.root = *root;
        }
        Ok(())
    }

    /// Compares every row and node with the root. Returns all rows.
    pub(crate) fn all(&mut self) -> Answer<BTreeMap<String, ViewRow>> {
        let mut all = BTreeMap::new();
        let there: BTreeSet<_> = self.rows.buckets()?.into_iter().collect();
        for number in 0..=u16::MAX {
            // Most buckets of a young workspace have nothing, which the tree says without a question to the database.
            let empty = !there.contains(&number) && !self.buckets.contains_key(&number);
            if empty && self.child(bucket_id(number))? == NOTHING {
                continue;
            }
            all.append(&mut self.bucket(number)?.clone());
            self.buckets.remove(&number);
        }
        let mut expected = all.first_key_value().map(|_| String::new());
        for row in all.values() {
            if expected.as_ref() != Some(&row.key) {
                return Err(ViewError::Wrong("a row that another names is missing"));
            }
            expected = Some(row.next.clone());
        }
        all.remove("");
        Ok(all)
    }

    /// Returns the last row before `key`, that with the empty key included; none: the map is empty.
    fn neighbour(&mut self, key: &str) -> Answer<Option<ViewRow>> {
        let missing = ViewError::Wrong("the row before another is missing");
        let Some(found) = self.rows.before(key)? else {
            // Without a first row there is no other.
            return match self.row("")? {
                Some(_) => Err(missing),
                None => Ok(None),
            };
        };
        let row = self.row(&found)?.cloned();
        let row = row.filter(|row| row.next.is_empty() || row.next.as_str() >= key);
        row.map(Some).ok_or(missing)
    }

    fn row(&mut self, key: &str) -> Answer<Option<&ViewRow>> {
        Ok(self.bucket(bucket_of(key))?.get(key))
    }

    fn set(&mut self, row: ViewRow) -> Answer<()> {
        let number = bucket_of(&row.key);
        self.rows.set(number, &row)?;
        self.bucket(number)?.insert(row.key.clone(), row);
        self.changed.insert(number);
        Ok(())
    }

    fn bucket(&mut self, number: u16) -> Answer<&mut BTreeMap<String, ViewRow>> {
        if !self.buckets.contains_key(&number) {
            let expected = self.child(bucket_id(number))?;
            let rows = self.rows.bucket(number)?.into_iter();
            let rows: BTreeMap<_, _> = rows.map(|row| (row.key.clone(), row)).collect();
            if hash_of_bucket(&rows) != expected {
                return Err(ViewError::Wrong("a row is not what was written"));
            }
            self.buckets.insert(number, rows);
        }
        Ok(self.buckets.entry(number).or_default())
    }

    /// Returns what stands in the tree for the node or bucket `id`.
    fn child(&mut self, id: u32) -> Answer<Hash> {
        if id == 1 {
            return Ok(self.tree.root);
        }
        let node = self.node(id >> BITS)?;
        let hash = node.get(child_of(id)).copied();
        hash.ok_or(ViewError::Wrong("a node has too few children"))
    }

    fn node(&mut self, id: u32) -> Answer<Node> {
        if let Some(node) = self.tree.nodes.get(&id) {
            return Ok(*node);
        }
        let expected = self.child(id)?;
        let node = if expected == NOTHING {
            [NOTHING; FANOUT]
        } else {
            let bytes = self.rows.node(id)?.unwrap_or_default();
            let (hashes, rest) = bytes.as_chunks::<32>();
            let node = Node::try_from(hashes).ok().filter(|_| rest.is_empty());
            node.filter(|node| hash_of_node(node) == expected)
                .ok_or(ViewError::Wrong("a node is not what was written"))?
        };
        self.tree.nodes.insert(id, node);
        Ok(node)
    }
}

fn child_of(id: u32) -> usize {
    (id % 16) as usize
}

fn bucket_of(key: &str) -> u16 {
    let hash = Digest::of(key.as_bytes());
    let [high, low, ..] = *hash.as_bytes();
    u16::from_be_bytes([high, low])
}

/// Returns the place of a bucket below the nodes.
fn bucket_id(number: u16) -> u32 {
    LOWEST * 16 + u32::from(number)
}

fn hash_of_bucket(rows: &BTreeMap<String, ViewRow>) -> Hash {
    if rows.is_empty() {
        return NOTHING;
    }
    let mut bytes = b"bucket".to_vec();
    for row in rows.values() {
        for part in [row.key.as_bytes(), &row.value, row.next.as_bytes()] {
            bytes.extend((part.len() as u64).to_be_bytes());
            bytes.extend(part);
        }
    }
    *Digest::of(&bytes).as_bytes()
}

fn hash_of_node(node: &Node) -> Hash {
    if node.iter().all(|hash| *hash == NOTHING) {
        return NOTHING;
    }
    let bytes = [b"node", node.as_flattened()].concat();
    *Digest::of(&bytes).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use custody_store::MemoryRows;

    /// A bucket that was not read has rows all the same: without them the root would be one of fewer.
    #[test]
    fn a_bucket_that_was_not_read_is_not_taken_for_an_empty_one() {
        let (mut tree, rows) = (Tree::default(), MemoryRows::default());
        let mut map = Map::new(&mut tree, &rows);
        map.changed.insert(3);
        assert!(matches!(map.finish(), Err(ViewError::Wrong(_))));
    }
}
