//! The one door. Nothing reads, writes, runs or administers but through [`Door::ask`]: it decides by
//! policy, enters the intent in the ledger, waits until that outlives a loss of power, and only then hands
//! out a [`Grant`]. What was done is entered afterwards.
//!
//! INVARIANT: functions that touch data take a [`Grant`], and only this crate can make one; it holds the
//! ledger's receipt. No ledger, no access.
//!
//! Enter at [`Door`]. [`VersionBuilder`] turns write grants into versions; [`Evidence`] looks at records without
//! touching the bytes of data.
#![forbid(unsafe_code)]

mod act;
mod admin;
mod break_glass;
mod candidate;
mod cursor;
mod door;
mod endorsements;
mod evidence;
mod explain;
mod gates;
mod grant;
mod keys;
mod locks;
mod making;
mod metrics;
mod overview;
mod past;
mod people;
mod ports;
mod problem;
mod proposals;
mod provider;
mod publisher;
mod reading;
mod removal;
mod replay;
mod rollback;
mod runs;
mod scanning;
mod session;
mod shredding;
mod target;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod tokens;
mod versions;
mod view;

pub use act::*;
pub use break_glass::BREAK_GLASS;
pub use candidate::{test_policies, validate_policies};
pub use custody_identity::{Authentication, Credentials, counted_address};
pub use custody_oidc::{Answer, Ask, Unreached, Web};
pub use custody_policy::StepScope;
pub use custody_store::Version;
pub use door::{Door, DoorDeps};
pub use evidence::{Evidence, FIGURES, Reach, Sound};
pub use gates::{Missing, dependency, role};
pub use grant::Grant;
pub use making::{CommittedVersion, NewVersion, StatementOf, StepResult, VersionBuilder};
pub use ports::{Keyring, KeysInUse, LastSeenCheckpoint};
pub use provider::{BegunSignIn, ProviderAccess};
pub use publisher::{PUBLISHER, PublisherStatement};
pub use rollback::ROLLBACK;
pub use scanning::{
    APPROVAL, Coverage, LastScan, SCAN, ScanStatement, Scanned, Scanner, ScannerId,
};
pub use session::Session;
pub use shredding::SHREDDING;
pub use target::ResourceRef;
pub use tokens::NewToken;
pub use view::Waiver;
