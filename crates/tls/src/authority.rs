//! Certificates of a server that was given none: a root whose key is kept elsewhere, an issuing authority below it, and
//! leaves that live for a month.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use custody_types::{Digest, Timestamp};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    SanType,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

use crate::speech;

/// How long the root counts.
const ROOT: Duration = Duration::days(3650);
/// How long the issuing authority counts.
const ISSUING: Duration = Duration::days(730);
/// How long a leaf counts, if the issuing authority does.
const LEAF: Duration = Duration::days(30);
/// How long before now it begins: clocks differ.
const EARLIER: Duration = Duration::minutes(10);

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A name that no certificate can have.
    #[error("`{0}` is no name of a server: use a host name or an address, without a port")]
    Name(String),
    /// What was kept of the authority is not what it must be.
    #[error("the certificates of the server's own authority cannot be used: {0}")]
    Unusable(String),
    /// It counts no more.
    #[error("the server's own issuing authority counted until {0}")]
    Over(Timestamp),
    /// The library failed.
    #[error("a certificate could not be made")]
    Failed(#[from] rcgen::Error),
}

/// A name under which a server is reached: a host, or an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(String);

impl FromStr for Name {
    type Err = AuthorityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.to_ascii_lowercase();
        match ServerName::try_from(text.as_str()) {
            Ok(_) => Ok(Self(text)),
            Err(_) => Err(AuthorityError::Name(text)),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Name {
    fn subject(&self) -> Result<SanType, AuthorityError> {
        if let Ok(address) = self.0.parse::<IpAddr>() {
            return Ok(SanType::IpAddress(address));
        }
        Ok(SanType::DnsName(self.0.as_str().try_into()?))
    }
}

/// An authority that was just made, with the keys that are to be kept.
#[derive(Debug)]
pub struct Created {
    /// It.
    pub authority: Authority,
    /// The root's private key in PEM: to be kept away from the server. It is needed for the next issuing authority alone.
    pub root_key: Zeroizing<String>,
    /// The issuing authority's private key in PKCS #8.
    pub issuing_key: Zeroizing<Vec<u8>>,
}

/// A server's own authority.
pub struct Authority {
    root: CertificateDer<'static>,
    issuing: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    /// Until when the issuing authority counts.
    ends: Timestamp,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("fingerprint", &self.fingerprint())
            .field("ends", &self.ends)
            .finish_non_exhaustive()
    }
}

fn at(moment: Timestamp) -> Result<OffsetDateTime, AuthorityError> {
    let seconds = moment.unix_micros().div_euclid(1_000_000);
    OffsetDateTime::from_unix_timestamp(seconds)
        .map_err(|error| AuthorityError::Unusable(error.to_string()))
}

fn authority(name: &str, from: OffsetDateTime, to: OffsetDateTime, below: u8) -> CertificateParams {
    let mut named = DistinguishedName::new();
    named.push(DnType::OrganizationName, "Custody");
    named.push(DnType::CommonName, name);
    let mut params = CertificateParams::default();
    params.not_before = from - EARLIER;
    params.not_after = to;
    params.distinguished_name = named;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(below));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    params
}

/// The issuing authority of the workspace `workspace`.
fn issuing(workspace: &str, from: OffsetDateTime, to: OffsetDateTime) -> CertificateParams {
    authority(
        &format!("Custody issuing authority of {workspace}"),
        from,
        to,
        0,
    )
}

impl Authority {
    /// Makes a root and an issuing authority for the workspace `workspace`.
    ///
    /// # Errors
    /// [`AuthorityError::Failed`].
    pub fn create(workspace: &str, now: Timestamp) -> Result<Created, AuthorityError> {
        let from = at(now)?;
        let root_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let named = format!("Custody root of {workspace}");
        let params = authority(&named, from, from + ROOT, 1);
        let root = params.self_signed(&root_key)?;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let below = issuing(workspace, from, from + ISSUING);
        let signed: Certificate =
            below.signed_by(&key, &Issuer::from_params(&params, &root_key))?;
        let issuing_key = Zeroizing::new(key.serialize_der());
        let ends = now.plus_seconds(ISSUING.whole_seconds());
        let authority = Self {
            root: root.der().clone(),
            issuing: signed.der().clone(),
            issuer: Issuer::new(below, key),
            ends,
        };
        Ok(Created {
            authority,
            root_key: Zeroizing::new(root_key.serialize_pem()),
            issuing_key,
        })
    }

    /// Opens the authority of the workspace `workspace`: `chain`, the certificates in PEM, the issuing one first; the key
    /// of the issuing one in PKCS #8; and until when that counts.
    ///
    /// # Errors
    /// [`AuthorityError::Unusable`].
    pub fn open(
        workspace: &str,
        chain: &str,
        key: &[u8],
        ends: Timestamp,
    ) -> Result<Self, AuthorityError> {
        let unusable = |because: &str| AuthorityError::Unusable(because.to_owned());
        let certificates = CertificateDer::pem_slice_iter(chain.as_bytes());
        let certificates: Result<Vec<_>, _> = certificates.collect();
        let Ok([issued, root]) = certificates.as_deref() else {
            return Err(unusable("they are not two certificates"));
        };
        let key = PrivatePkcs8KeyDer::from(key);
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&key, &PKCS_ECDSA_P256_SHA256)?;
        let params = issuing(workspace, OffsetDateTime::UNIX_EPOCH, at(ends)?);
        Ok(Self {
            root: root.clone(),
            issuing: issued.clone(),
            issuer: Issuer::new(params, key),
            ends,
        })
    }

    /// Returns the certificates in PEM, the issuing one first, as [`Authority::open`] takes them.
    pub fn chain(&self) -> String {
        [&self.issuing, &self.root].map(pem).concat()
    }

    /// Returns the root in PEM: what who connects trusts.
    pub fn root(&self) -> String {
        pem(&self.root)
    }

    /// Returns the SHA-256 of the root, by which a person recognises it.
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&self.root)
    }

    /// Returns until when the issuing authority counts.
    pub const fn ends(&self) -> Timestamp {
        self.ends
    }

    /// Makes a certificate for a server of these names, with a new key that is in memory alone, and returns until when it
    /// counts. It is checked as who connects will.
    ///
    /// # Errors
    /// [`AuthorityError::Over`]; [`AuthorityError::Unusable`] when the chain does not hold.
    pub fn leaf(
        &self,
        names: &[Name],
        now: Timestamp,
    ) -> Result<(CertifiedKey, Timestamp), AuthorityError> {
        if now >= self.ends {
            return Err(AuthorityError::Over(self.ends));
        }
        let ends = now.plus_seconds(LEAF.whole_seconds()).min(self.ends);
        let subjects = names.iter().map(Name::subject);
        let mut params = CertificateParams::default();
        params.not_before = at(now)? - EARLIER;
        params.not_after = at(ends)?;
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = subjects.collect::<Result<_, _>>()?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let leaf = params.signed_by(&key, &self.issuer)?;
        self.check(leaf.der(), names, now)?;
        let unusable = |error: rustls::Error| AuthorityError::Unusable(error.to_string());
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        // The root is sent too: who knows its fingerprint alone takes it from there.
        let chain = vec![leaf.der().clone(), self.issuing.clone(), self.root.clone()];
        let certified =
            CertifiedKey::from_der(chain, key, &speech::provider()).map_err(unusable)?;
        Ok((certified, ends))
    }

    fn check(
        &self,
        leaf: &CertificateDer<'_>,
        names: &[Name],
        now: Timestamp,
    ) -> Result<(), AuthorityError> {
        let unusable = |error: &dyn fmt::Display| AuthorityError::Unusable(error.to_string());
        let mut roots = RootCertStore::empty();
        roots
            .add(self.root.clone())
            .map_err(|error| unusable(&error))?;
        let provider = Arc::new(speech::provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        let verifier = verifier.build().map_err(|error| unusable(&error))?;
        let seconds = u64::try_from(now.unix_micros() / 1_000_000).unwrap_or(0);
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        for name in names {
            let name = ServerName::try_from(name.0.as_str()).map_err(|error| unusable(&error))?;
            verifier
                .verify_server_cert(leaf, std::slice::from_ref(&self.issuing), &name, &[], now)
                .map_err(|error| unusable(&error))?;
        }
        Ok(())
    }
}

pub(crate) fn pem(certificate: &CertificateDer<'_>) -> String {
    ::pem::encode_config(
        &::pem::Pem::new("CERTIFICATE", certificate.as_ref()),
        ::pem::EncodeConfig::new().set_line_ending(::pem::LineEnding::LF),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(days: i64) -> Timestamp {
        let start = Timestamp::from_unix_micros(1_767_225_600_000_000).unwrap();
        start.plus_seconds(days * 24 * 60 * 60)
    }

    fn names(texts: &[&str]) -> Vec<Name> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn an_authority_opens_again_and_no_leaf_outlives_it() {
        let made = Authority::create("workspace", at(0)).unwrap();
        let reached = names(&["localhost", "127.0.0.1", "::1", "custody.example.org"]);
        let (_, ends) = made.authority.leaf(&reached, at(0)).unwrap();
        assert_eq!(ends, at(30));
        let chain = made.authority.chain();
        let ends = made.authority.ends();
        let again = Authority::open("workspace", &chain, &made.issuing_key, ends).unwrap();
        assert_eq!(again.fingerprint(), made.authority.fingerprint());
        let (_, ends) = again.leaf(&reached, at(720)).unwrap();
        assert_eq!(ends, at(730));
        assert!(matches!(
            again.leaf(&reached, at(730)),
            Err(AuthorityError::Over(_))
        ));
        // A leaf that does not hold is noticed before it is shown: by another key, under another root.
        let other = Authority::create("workspace", at(0)).unwrap();
        let mixed = Authority::open("workspace", &chain, &other.issuing_key, at(730)).unwrap();
        assert!(matches!(
            mixed.leaf(&reached, at(0)),
            Err(AuthorityError::Unusable(_))
        ));
        for chain in ["", &other.authority.root(), "-----BEGIN"] {
            assert!(Authority::open("workspace", chain, &made.issuing_key, at(1)).is_err());
        }
    }

    #[test]
    fn names_are_hosts_and_addresses() {
        for text in ["", "a b", "https://a", "a:1", "-a", "a..b", "*"] {
            assert!(text.parse::<Name>().is_err(), "{text}");
        }
        assert_eq!(
            "Custody.Example.ORG".parse::<Name>().unwrap().to_string(),
            "custody.example.org"
        );
    }

    /// Both sides agree on the key exchange that holds against quantum computers too; a client that knows none is served.
    #[test]
    fn the_key_exchange_is_hybrid_where_both_sides_can() {
        use rustls::crypto::aws_lc_rs::kx_group;
        use rustls::{ClientConnection, NamedGroup, ServerConnection};

        let made = Authority::create("workspace", Timestamp::from_unix_micros(now()).unwrap());
        let authority = made.unwrap().authority;
        let moment = Timestamp::from_unix_micros(now()).unwrap();
        let (leaf, _) = authority.leaf(&names(&["localhost"]), moment).unwrap();
        let shown = Arc::new(crate::Shown::new(leaf));
        let server = Arc::new(crate::server(shown).unwrap());
        let ours = crate::trusting(&authority.root()).unwrap();
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(authority.root().as_bytes()).unwrap())
            .unwrap();
        let mut old = speech::provider();
        old.kx_groups = vec![kx_group::X25519];
        let old = rustls::ClientConfig::builder_with_provider(Arc::new(old))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        for (client, group) in [
            (ours, NamedGroup::X25519MLKEM768),
            (old, NamedGroup::X25519),
        ] {
            let name = ServerName::try_from("localhost").unwrap();
            let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
            let mut server = ServerConnection::new(server.clone()).unwrap();
            while client.is_handshaking() || server.is_handshaking() {
                let mut wire = Vec::new();
                client.write_tls(&mut wire).unwrap();
                server.read_tls(&mut wire.as_slice()).unwrap();
                server.process_new_packets().unwrap();
                wire.clear();
                server.write_tls(&mut wire).unwrap();
                client.read_tls(&mut wire.as_slice()).unwrap();
                client.process_new_packets().unwrap();
            }
            let agreed = server.negotiated_key_exchange_group().unwrap().name();
            assert_eq!(agreed, group);
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the library asks the system's clock whether a certificate counts"
    )]
    fn now() -> i64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        i64::try_from(since.unwrap().as_micros()).unwrap()
    }
}
