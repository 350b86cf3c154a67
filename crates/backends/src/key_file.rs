//! The key service over a key file.
