//! What can go wrong in the store.

use crate::ports::{BlobError, CatalogError};

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such thing.
    #[error("there is no {what} `{name}`")]
    NotFound {
        /// What kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// What is there is not what the caller expected.
    #[error("`{name}` is not as expected: {because}")]
    Conflict {
        /// The thing.
        name: String,
        /// How it differs.
        because: String,
    },
    /// Stored bytes were changed, are missing, or do not belong here.
    #[error("`{what}` is damaged: {because}")]
    Damaged {
        /// The file or record.
        what: String,
        /// What is wrong with it.
        because: String,
    },
    /// The disk is full.
    #[error("there is no room left to store `{what}`")]
    NoSpace {
        /// What was to be written.
        what: String,
    },
    /// The keys of a project are not at hand.
    #[error("the keys of `{domain}` are not at hand: {because}")]
    KeyMissing {
        /// The project.
        domain: String,
        /// Why.
        because: String,
    },
    /// Something was asked that the format has no room for.
    #[error("`{what}` cannot be stored: {because}")]
    Unstorable {
        /// What it is.
        what: String,
        /// Why.
        because: String,
    },
    /// The storage did not answer.
    #[error("the storage failed")]
    Blob(#[source] BlobError),
    /// The catalog did not answer.
    #[error("the catalog failed")]
    Catalog(#[source] CatalogError),
}

impl From<BlobError> for StoreError {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::NoSpace { name } => Self::NoSpace { what: name },
            BlobError::Missing { name } => Self::Damaged {
                what: name,
                because: "the file is missing".to_owned(),
            },
            BlobError::Short { name } => Self::Damaged {
                what: name,
                because: "the file is shorter than it must be".to_owned(),
            },
            other @ (BlobError::Exists { .. } | BlobError::Failed { .. }) => Self::Blob(other),
        }
    }
}

impl From<CatalogError> for StoreError {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::NoSpace => Self::NoSpace {
                what: "catalog".to_owned(),
            },
            CatalogError::Damaged { because } => Self::Damaged {
                what: "catalog".to_owned(),
                because,
            },
            CatalogError::Conflict { name, because } => Self::Conflict { name, because },
            other @ CatalogError::Failed { .. } => Self::Catalog(other),
        }
    }
}
