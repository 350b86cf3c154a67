//! How both sides speak.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use custody_types::Digest;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, cipher_suite, kx_group};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig, SignatureScheme,
};

/// What is spoken over it.
const PROTOCOL: &[u8] = b"http/1.1";

/// Returns the ciphers, key exchanges and signatures, each in the order in which they are preferred.
pub fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        ],
        kx_groups: vec![
            kx_group::X25519MLKEM768,
            kx_group::X25519,
            kx_group::SECP256R1,
            kx_group::SECP384R1,
        ],
        ..aws_lc_rs::default_provider()
    }
}

/// The certificate that a server shows now. Another one counts from the next connection on; those that are open go on.
#[derive(Debug)]
pub struct Shown(RwLock<Arc<CertifiedKey>>);

impl Shown {
    /// Begins with a certificate.
    pub fn new(certificate: CertifiedKey) -> Self {
        Self(RwLock::new(Arc::new(certificate)))
    }

    /// Shows another one.
    pub fn replace(&self, certificate: CertifiedKey) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(certificate);
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(
            self.0
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        )
    }
}

/// Returns how a server speaks. Nothing of a session outlives its connection, so that nobody resumes one that was ended.
///
/// # Errors
/// [`Error`] when the library cannot.
pub fn server(shown: Arc<Shown>) -> Result<ServerConfig, Error> {
    let config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&TLS13])?;
    let mut config = config.with_no_client_auth().with_cert_resolver(shown);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(config)
}

/// Returns how a client speaks to a server that shows a certificate below one of `roots`.
///
/// # Errors
/// [`Error`] when the library cannot.
pub fn client(roots: RootCertStore) -> Result<ClientConfig, Error> {
    let config = ClientConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&TLS13])?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(config)
}

/// Returns how a client speaks that trusts the certificates of a text in PEM.
///
/// # Errors
/// [`Error`] when the text has none, or one that cannot be an authority.
pub fn trusting(roots: &str) -> Result<ClientConfig, Error> {
    let mut store = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(roots.as_bytes()) {
        store.add(root.map_err(|error| Error::General(error.to_string()))?)?;
    }
    if store.is_empty() {
        return Err(Error::General("there is no certificate in it".to_owned()));
    }
    client(store)
}

/// Reads a certificate with those above it, and its key, both in PEM.
///
/// # Errors
/// [`Error`] when they cannot be read or do not belong together.
pub fn given(certificates: &[u8], key: &[u8]) -> Result<CertifiedKey, Error> {
    let unreadable = |error: rustls::pki_types::pem::Error| Error::General(error.to_string());
    let chain = CertificateDer::pem_slice_iter(certificates);
    let chain: Vec<_> = chain.collect::<Result<_, _>>().map_err(unreadable)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(unreadable)?;
    CertifiedKey::from_der(chain, key, &provider())
}

/// Returns how a client speaks once, to learn which root a server shows: nothing is sent to it before it was compared.
/// Afterwards [`root_of`] finds it in what `seen` holds.
///
/// # Errors
/// [`Error`] when the library cannot.
pub fn looking(seen: Arc<Mutex<Vec<CertificateDer<'static>>>>) -> Result<ClientConfig, Error> {
    let config = ClientConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&TLS13])?;
    let looker = Arc::new(Looker { seen });
    let config = config.dangerous().with_custom_certificate_verifier(looker);
    let mut config = config.with_no_client_auth();
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(config)
}

/// Notes the certificates that a server shows, and accepts none.
#[derive(Debug)]
struct Looker {
    seen: Arc<Mutex<Vec<CertificateDer<'static>>>>,
}

impl ServerCertVerifier for Looker {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = std::iter::once(leaf).chain(above);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) =
            shown.map(|one| one.clone().into_owned()).collect();
        Err(Error::General("it was only looked at".to_owned()))
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("it was only looked at".to_owned()))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// Finds among the certificates that a server showed the one with a fingerprint, the SHA-256 of its bytes, in PEM.
pub fn root_of(seen: &[CertificateDer<'_>], fingerprint: &Digest) -> Option<String> {
    let found = seen.iter().find(|one| Digest::of(one) == *fingerprint);
    found.map(crate::authority::pem)
}
