//! Packs in local files.
