//! The words of Custody: identities, names, times, actions and the user's error.
//!
//! Everything here is plain data without input or output. A value of one of these types is valid by
//! construction: text is parsed once, at the edge, and never checked again. The words are those of
//! `docs/glossary.md`.
//!
//! Enter at [`Reference`] (how a user names a version), [`Digest`] (what a version is), [`Action`]
//! (what may be asked of the door) and [`Problem`] (what a user is told).
#![forbid(unsafe_code)]

mod action;
pub mod code;
mod digest;
mod endpoint;
mod files;
mod listing;
mod name;
mod nearest;
mod ports;
mod problem;
mod size;
mod time;
mod visible;

pub use action::{Action, Actor, ActorKind, Purpose, Resource, ResourceKind};
pub use code::{Code, ProblemKind, UnknownCode};
pub use digest::{Digest, DigestError};
pub use endpoint::{Endpoint, Host, embedded, is_public};
pub use files::{ReadError, VersionFiles};
pub use listing::{FileEntry, FilePath, listing_digest};
pub use name::{
    Alias, ArtifactName, Classification, EvidenceKind, Kind, NameError, ProjectName, Reference,
    Selector, VersionName, VersionNumber,
};
pub use nearest::nearest;
pub use ports::{Clock, Entropy, Scratch};
pub use problem::{ExitCode, Problem, Retry, causes, is_no_room};
pub use size::{ByteSize, counted};
pub use time::Timestamp;
pub use visible::{steers, visible, visible_json, visible_line, without_styles};
