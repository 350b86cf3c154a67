//! Checks the test vectors of the specification: `vectors DIR [PUBLIC-KEY.pem]`, where `DIR` has the
//! folders `valid`, `invalid` and `invalid-payload`.
//!
//! Valid bundles must be read, and their signatures hold as far as the vector has what is needed: the key
//! of a key bundle is not in it and may be given; a chain is followed to the last certificate that it has;
//! a Sigstore bundle is one of the public instance.
#![expect(clippy::print_stdout, reason = "it speaks to a person")]

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use custody_signing::certificate::{Certificate, Times, verify_chain};
use custody_signing::keys::PublicKey;
use custody_signing::sigstore::TrustedRoot;
use custody_signing::{Bundle, Manifest, Material};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let mut words = std::env::args().skip(1);
    let folder = words.next().map(PathBuf::from).ok_or("vectors DIR [KEY]")?;
    let key = match words.next() {
        Some(path) => Some(PublicKey::from_pem(&fs::read_to_string(path)?)?),
        None => None,
    };
    let mut wrong = 0_usize;
    let mut count = 0_usize;
    for kind in ["valid", "invalid", "invalid-payload"] {
        for path in files(&folder.join(kind))? {
            let outcome = check(&path, key.as_ref());
            let as_expected = outcome.is_ok() == (kind == "valid");
            let said = outcome.unwrap_or_else(|error| format!("refused: {error}"));
            let verdict = if as_expected { "ok" } else { "WRONG" };
            println!("{verdict}  {}  {said}", path.display());
            wrong = wrong.saturating_add(usize::from(!as_expected));
            count = count.saturating_add(1);
        }
    }
    println!("{count} vectors, {wrong} wrong");
    if wrong == 0 && count > 0 {
        Ok(())
    } else {
        Err("a vector was not judged as it should be".into())
    }
}

fn files(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let mut paths = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()?;
    paths.sort();
    Ok(paths)
}

fn check(path: &Path, key: Option<&PublicKey>) -> Outcome<String> {
    let bundle = Bundle::parse(&fs::read(path)?)?;
    let manifest = Manifest::parse(&bundle.payload)?;
    let files = format!(
        "{} files of `{}`",
        manifest.resources().len(),
        manifest.name
    );
    let message = bundle.signed_bytes();
    let holds = |key: &PublicKey| key.verify(&message, &bundle.signature);
    match (&bundle.material, key) {
        (Material::Key { hint }, Some(key)) if key.id() == hint && holds(key) => {
            Ok(format!("{files}; the key signed"))
        }
        (Material::Key { .. }, Some(_)) => Err("the key did not sign".into()),
        (Material::Key { hint }, None) => Ok(format!("{files}; the key {hint} was not given")),
        (Material::Certificates(chain), _) => {
            let root = chain.last().ok_or("no certificate")?;
            let at = "2025-06-01T00:00:00Z".parse()?;
            let times = Times {
                signed: at,
                now: at,
            };
            let leaf = verify_chain(chain, &[Certificate::from_der(root)?], &[], times)?;
            if holds(&leaf.key) {
                Ok(format!("{files}; {} signed", leaf.identity))
            } else {
                Err("the certificate's key did not sign".into())
            }
        }
        (Material::Sigstore(_), _) => {
            let bytes = fs::read(path)?;
            let (identity, at) =
                TrustedRoot::public()?.verify(&bytes, &message, &manifest.root())?;
            Ok(format!("{files}; {identity} signed, logged at {at}"))
        }
    }
}
