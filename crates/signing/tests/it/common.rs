//! A model, keys, authorities.

use std::fs;
use std::path::{Path, PathBuf};

use custody_signing::Material;
use custody_signing::certificate::{Certificate, Subject};
use custody_signing::hash::Scheme;
use custody_signing::keys::{Curve, FileKey, KeyError, ModelSigner, PublicKey};
use custody_signing::sign::sign;
use custody_signing::tree::Model;
use custody_signing::verify::{
    ExpectedSigner, Options, Signers, Trust, Verified, VerifyError, verify,
};
use custody_types::{Entropy, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, SerialNumber,
};

/// A folder with a model, removed at the end.
pub(crate) struct Folder {
    pub(crate) temporary: tempfile::TempDir,
    pub(crate) path: PathBuf,
    pub(crate) signature: PathBuf,
}

impl Folder {
    pub(crate) fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("model");
        fs::create_dir_all(path.join("sub")).unwrap();
        let folder = Self {
            signature: path.join("model.sig"),
            path,
            temporary,
        };
        folder.write("weights.bin", &vec![7; 2_500]);
        folder.write("sub/config.json", b"{}");
        folder.write("sub.json", b"[]");
        folder.write("empty", b"");
        folder
    }

    pub(crate) fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.path.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub(crate) fn sign(&self, scheme: Scheme, signer: &dyn ModelSigner) -> String {
        let model = Model::Path(&self.path);
        let signed = sign(model, &self.signature, scheme, signer, &|_| {}).unwrap();
        fs::write(&self.signature, &signed.bundle).unwrap();
        signed.bundle
    }

    pub(crate) fn verify(&self, bundle: &str, trust: &Trust) -> Result<Verified, VerifyError> {
        self.verify_with(bundle, trust, &Options::default(), time(NOW))
    }

    pub(crate) fn verify_with(
        &self,
        bundle: &str,
        trust: &Trust,
        options: &Options,
        now: Timestamp,
    ) -> Result<Verified, VerifyError> {
        let model = Model::Path(&self.path);
        let bytes = bundle.as_bytes();
        verify(model, &self.signature, bytes, trust, options, now, &|_| {})
    }

    pub(crate) fn refused(&self, bundle: &str, trust: &Trust) -> String {
        self.verify(bundle, trust).unwrap_err().to_string()
    }
}

pub(crate) const NOW: &str = "2026-06-01T12:00:00Z";

pub(crate) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn key(curve: Curve) -> FileKey {
    FileKey::generate(curve).unwrap()
}

pub(crate) fn trust_key(key: &PublicKey) -> Trust {
    Trust {
        keys: vec![key.clone()],
        ..Trust::default()
    }
}

pub(crate) fn trust_root(root: &Certificate, signer: &str) -> Trust {
    Trust {
        roots: vec![root.clone()],
        signers: only(signer, None),
        ..Trust::default()
    }
}

pub(crate) fn only(subject: &str, issuer: Option<&str>) -> Signers {
    Signers::Only(vec![ExpectedSigner {
        subject: Subject::of(subject),
        issuer: issuer.map(ToOwned::to_owned),
    }])
}

/// Counts: predictable, and different each time.
#[derive(Debug, Default)]
pub(crate) struct Counting(std::sync::atomic::AtomicU8);

impl Entropy for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
    }
}

pub(crate) const TRAINER: &str = "trainer@example.org";

/// An authority that issues whatever it is told to.
pub(crate) struct Foreign {
    pub(crate) params: CertificateParams,
    pub(crate) key: KeyPair,
    pub(crate) certificate: Certificate,
}

fn read(certificate: &rcgen::Certificate) -> Certificate {
    Certificate::from_der(certificate.der()).unwrap()
}

/// A signer that puts any bytes at all into the chain.
#[derive(Debug)]
struct Claiming(FileKey, Vec<Vec<u8>>);

impl ModelSigner for Claiming {
    fn public(&self) -> &PublicKey {
        self.0.public()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.0.sign(message)
    }

    fn material(&self) -> Material {
        Material::Certificates(self.1.clone())
    }
}

pub(crate) fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    params.not_after = rcgen::date_time_ymd(2030, 1, 1);
    params
}

pub(crate) fn leaf_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params
        .distinguished_name
        .push(DnType::CommonName, "trainer");
    params.subject_alt_names = vec![SanType::Rfc822Name(TRAINER.try_into().unwrap())];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    params.not_before = rcgen::date_time_ymd(2026, 5, 1);
    params.not_after = rcgen::date_time_ymd(2026, 7, 1);
    params.serial_number = Some(SerialNumber::from(77_u64));
    params
}

impl Foreign {
    pub(crate) fn root(params: CertificateParams, key: KeyPair) -> Self {
        let certificate = read(&params.self_signed(&key).unwrap());
        Self {
            params,
            key,
            certificate,
        }
    }

    pub(crate) fn new(name: &str) -> Self {
        Self::root(authority_params(name), KeyPair::generate().unwrap())
    }

    pub(crate) fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }

    /// Makes an authority below this one; its certificate may be one that is not read.
    pub(crate) fn below(&self, params: CertificateParams) -> (Self, Vec<u8>) {
        let key = KeyPair::generate().unwrap();
        let der = params
            .signed_by(&key, &self.issuer())
            .unwrap()
            .der()
            .to_vec();
        let certificate = self.certificate.clone();
        let below = Self {
            params,
            key,
            certificate,
        };
        (below, der)
    }

    /// Issues a leaf for a signer; `above` stands in the bundle too.
    pub(crate) fn signer(
        &self,
        params: CertificateParams,
        above: &[&[u8]],
    ) -> impl ModelSigner + use<> {
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &self.issuer()).unwrap();
        let mut chain = vec![leaf.der().to_vec()];
        chain.extend(above.iter().map(|der| der.to_vec()));
        Claiming(
            FileKey::from_pem(&key.serialize_pem(), None).unwrap(),
            chain,
        )
    }
}

pub(crate) fn link(target: &Path, link: &Path) {
    std::os::unix::fs::symlink(target, link).unwrap();
}
