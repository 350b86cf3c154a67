//! The adapters of the store's index keep to what every one must do.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use custody_backends::catalog::{PlaceSeal, SqliteCatalog};
use custody_backends::machine::SystemEntropy;
use custody_crypto::aead::{Aead, Ring};
use custody_store::testing::check_catalog;

#[test]
fn the_index_in_sqlite_does_what_every_one_must() {
    for seed in 0..4 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalog.sqlite");
        let open = || {
            let seal = PlaceSeal::new(Ring.key(&[5; 32]), Arc::new(SystemEntropy));
            SqliteCatalog::open(&path, Arc::new(seal)).unwrap()
        };
        check_catalog(&open, seed);
    }
}
