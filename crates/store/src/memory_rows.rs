//! The rows of a view in memory: to make what a view must be, and compare it with one that is kept.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::ports::{CatalogError, ViewRow, ViewRows};

#[derive(Debug, Default, Clone)]
struct Content {
    root: Option<String>,
    nodes: BTreeMap<u32, Vec<u8>>,
    rows: BTreeMap<String, (u16, ViewRow)>,
    buckets: BTreeMap<u16, BTreeSet<String>>,
}

/// The rows of a view in memory.
#[derive(Debug, Default, Clone)]
pub struct MemoryRows(RefCell<Content>);

impl MemoryRows {
    /// Returns all rows but the one before the first.
    pub fn all(&self) -> BTreeMap<String, ViewRow> {
        let content = self.0.borrow();
        let rows = content.rows.values().map(|(_, row)| row);
        rows.filter(|row| !row.key.is_empty())
            .map(|row| (row.key.clone(), row.clone()))
            .collect()
    }
}

impl ViewRows for MemoryRows {
    fn root(&self) -> Result<Option<String>, CatalogError> {
        Ok(self.0.borrow().root.clone())
    }

    fn set_root(&self, root: &str) -> Result<(), CatalogError> {
        self.0.borrow_mut().root = Some(root.to_owned());
        Ok(())
    }

    fn node(&self, id: u32) -> Result<Option<Vec<u8>>, CatalogError> {
        Ok(self.0.borrow().nodes.get(&id).cloned())
    }

    fn set_node(&self, id: u32, bytes: &[u8]) -> Result<(), CatalogError> {
        self.0.borrow_mut().nodes.insert(id, bytes.to_vec());
        Ok(())
    }

    fn buckets(&self) -> Result<Vec<u16>, CatalogError> {
        let content = self.0.borrow();
        let buckets: BTreeSet<_> = content.rows.values().map(|(bucket, _)| *bucket).collect();
        Ok(buckets.into_iter().collect())
    }

    fn bucket(&self, bucket: u16) -> Result<Vec<ViewRow>, CatalogError> {
        let content = self.0.borrow();
        let keys = content.buckets.get(&bucket).into_iter().flatten();
        let rows = keys.filter_map(|key| content.rows.get(key));
        Ok(rows.map(|(_, row)| row.clone()).collect())
    }

    fn before(&self, key: &str) -> Result<Option<String>, CatalogError> {
        let content = self.0.borrow();
        let before = (Bound::Unbounded, Bound::Excluded(key));
        let last = content.rows.range::<str, _>(before).next_back();
        Ok(last.map(|(key, _)| key.clone()))
    }

    fn set(&self, bucket: u16, row: &ViewRow) -> Result<(), CatalogError> {
        let mut content = self.0.borrow_mut();
        content
            .buckets
            .entry(bucket)
            .or_default()
            .insert(row.key.clone());
        content.rows.insert(row.key.clone(), (bucket, row.clone()));
        Ok(())
    }

    fn remove(&self, key: &str) -> Result<(), CatalogError> {
        let mut content = self.0.borrow_mut();
        if let Some((bucket, _)) = content.rows.remove(key)
            && let Some(keys) = content.buckets.get_mut(&bucket)
        {
            keys.remove(key);
        }
        Ok(())
    }

    fn clear(&self) -> Result<(), CatalogError> {
        *self.0.borrow_mut() = Content::default();
        Ok(())
    }
}
