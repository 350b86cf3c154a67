//! The ledger in local files.
