//! Signatures of others: what a version must bear is checked against what was stored of it, before it is
//! valid, and kept with a signed statement of what was found.

use custody_attest::statement::ResourceDescriptor;
use custody_signing::tree::Model;
use custody_signing::verification_policy::VerificationPolicy;
use custody_signing::verify::Verified;
use custody_store::Version;
use custody_types::{Digest, FileEntry, Problem, Timestamp, VersionFiles};
use custody_wire::SignatureView;
use serde::{Deserialize, Serialize};

use crate::door::Inner;
use crate::evidence::Evidence;

/// The predicate type of the statement about somebody else's signature.
pub const PUBLISHER: &str = "https://custody.dev/vendor-signature/v1";
/// Under this name a version carries the signature of somebody else.
pub(crate) const SIGNATURE: &str = "vendor-signature";
/// Under this name a version carries, and its entry names, the statement about that signature.
pub(crate) const CHECK: &str = "vendor-check";

/// The statement about somebody else's signature: the predicate [`PUBLISHER`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublisherStatement {
    /// `key`, `certificate` or `sigstore`.
    pub method: String,
    /// Who signed, as the caller trusted them.
    pub signer: String,
    /// When a trusted log or timestamp authority saw the signature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed_on: Option<Timestamp>,
    /// The SHA-256 of the signature file, which is kept with the version.
    pub bundle: Digest,
    /// How many files it covers.
    pub covered: u64,
    /// The files that it does not.
    pub not_covered: Vec<String>,
    /// When it was checked.
    pub checked_on: Timestamp,
}

/// A signature of somebody else that holds.
#[derive(Debug)]
pub(crate) struct Publisher {
    pub(crate) bundle: String,
    pub(crate) verified: Verified,
}

impl Publisher {
    pub(crate) fn view(&self) -> SignatureView {
        SignatureView {
            method: self.verified.method.as_str().to_owned(),
            signer: self.verified.signer.to_string(),
            time: self.verified.time.proven(),
            not_covered: self.not_covered(),
        }
    }

    fn not_covered(&self) -> Vec<String> {
        let paths = self.verified.not_covered.iter();
        paths.map(|(path, _)| path.clone()).collect()
    }

    /// Returns the statement, once the signature is kept as `bundle`.
    pub(crate) fn statement(&self, bundle: Digest, now: Timestamp) -> PublisherStatement {
        let view = self.view();
        PublisherStatement {
            method: view.method,
            signer: view.signer,
            signed_on: view.time,
            bundle,
            covered: self.verified.covered.len() as u64,
            not_covered: view.not_covered,
            checked_on: now,
        }
    }
}

impl Inner {
    /// Verifies the signature that `files` must bear.
    pub(crate) fn check_publisher(
        &self,
        name: &str,
        files: &dyn VersionFiles,
        expected: VerificationPolicy,
    ) -> Result<Publisher, Problem> {
        // Only the very signature is left out of what it must cover.
        let bundle = Digest::of(expected.bundle.as_bytes());
        let is_signature =
            |file: &FileEntry| file.path.as_str() == expected.path && file.sha256 == bundle;
        let signature = if files.files().iter().any(is_signature) {
            expected.path.as_str()
        } else {
            ""
        };
        let model = Model::Stored {
            name,
            files: files.files(),
            content: Some(files),
        };
        let verified = expected
            .verify(model, signature.as_ref(), self.parts.clock.now())
            .map_err(|error| error.problem(name))?;
        Ok(Publisher {
            bundle: expected.bundle,
            verified,
        })
    }
}

impl Evidence<'_> {
    /// Returns the statement about somebody else's signature of a version, if it was checked when it came
    /// in, after the statement's own signature was.
    ///
    /// # Errors
    /// What does not hold, in words.
    pub fn publisher(&self, version: &Version) -> Option<Result<PublisherStatement, String>> {
        let digest = version.record.extra.get(CHECK)?;
        Some(self.publisher_statement(version, digest))
    }

    fn publisher_statement(
        &self,
        version: &Version,
        digest: &Digest,
    ) -> Result<PublisherStatement, String> {
        let told = self
            .statement(digest)
            .map_err(|problem| problem.to_string())?;
        let name = version.name().to_string();
        let about = |subject: &ResourceDescriptor| {
            subject.name == name && subject.sha256() == Some(version.record.digest)
        };
        if told.predicate_type != PUBLISHER || !told.subject.iter().any(about) {
            return Err("the statement about its publisher is about something else".to_owned());
        }
        let statement: PublisherStatement =
            serde_json::from_value(told.predicate).map_err(|error| error.to_string())?;
        if version.record.extra.get(SIGNATURE) == Some(&statement.bundle) {
            Ok(statement)
        } else {
            Err("the publisher's signature is not the one that was checked".to_owned())
        }
    }
}
