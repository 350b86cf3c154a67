//! Who there is: accounts of people and of services, groups, the roles and purposes that they have; and how somebody
//! proved to be one of them.
//!
//! A [`Directory`] is a state of its own beside the policies: it is changed by [`Change`]s, kept as versions of an
//! artifact, and what is in force is what the ledger names last. It knows nothing of policies: what a role permits is
//! theirs to say. [`Credentials`] become an [`Authentication`] in one place.
#![forbid(unsafe_code)]

mod attempts;
mod authentication;
mod change;
mod directory;
mod provider;
mod role;
mod sign_in;
mod token;

pub use attempts::{Attempts, Guesser, counted_address};
pub use authentication::{Authentication, Credentials, LOCAL, Method, REMOTE, ShownToken};
pub use change::{Change, Right};
pub use directory::{Account, Directory, Group, IdentityError, Party, Rights};
pub use provider::{Asserted, ProviderIdentity};
pub use role::RoleBinding;
pub use sign_in::{Invitation, Password, SignInRecord, SignIns, WeakPassword};
pub use token::{NoToken, Token, TokenId, TokenRecord, Tokens};
