//! Signs and verifies a model by command line, beside other tools.
//!
//! ```text
//! model_sign sign MODEL SIGNATURE --key PEM [--password TEXT] [--certificates PEM]
//!                                 [--token URI] [--hash sha256|blake3] [--shards BYTES]
//! model_sign verify MODEL SIGNATURE [--key PEM]… [--root PEM]… [--crl FILE]… [--identity NAME]
//!                                 [--any-identity] [--allow-unlisted] [--may-leave-out PATH]… [--at TIME]
//! ```
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a program of its own: it tells the time, writes the signature and speaks to a person"
)]

use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::num::NonZeroU64;
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use custody_signing::authority::Certified;
use custody_signing::certificate::{Certificate, RevocationList, Subject};
use custody_signing::hash::Scheme;
use custody_signing::keys::{FileKey, ModelSigner, PublicKey};
use custody_signing::pkcs11::{TokenKey, TokenUri};
use custody_signing::sign::sign;
use custody_signing::tree::Model;
use custody_signing::verify::{ExpectedSigner, Options, Signers, Trust, Unlisted, verify};
use custody_signing::{HashType, Method};
use custody_types::Timestamp;

type Outcome<T> = Result<T, Box<dyn Error>>;
type Given = HashMap<String, Vec<String>>;

fn main() -> Outcome<()> {
    let mut words = std::env::args().skip(1);
    let (Some(verb), Some(model), Some(signature)) = (words.next(), words.next(), words.next())
    else {
        return Err("model_sign sign|verify MODEL SIGNATURE …".into());
    };
    let mut given = Given::new();
    while let Some(name) = words.next() {
        let flag = ["--any-identity", "--allow-unlisted"].contains(&name.as_str());
        let value = if flag {
            Some(String::new())
        } else {
            words.next()
        };
        let value = value.ok_or_else(|| format!("`{name}` needs a value"))?;
        given.entry(name).or_default().push(value);
    }
    let begun = Instant::now();
    match verb.as_str() {
        "sign" => make(Path::new(&model), Path::new(&signature), &given)?,
        "verify" => check(Path::new(&model), Path::new(&signature), &given)?,
        other => return Err(format!("`{other}` is neither `sign` nor `verify`").into()),
    }
    println!("{:.3} s", begun.elapsed().as_secs_f64());
    Ok(())
}

fn one<'a>(given: &'a Given, name: &str) -> Option<&'a str> {
    given.get(name)?.last().map(String::as_str)
}

fn all<'a>(given: &'a Given, name: &str) -> impl Iterator<Item = &'a String> {
    given.get(name).into_iter().flatten()
}

fn make(model: &Path, signature: &Path, given: &Given) -> Outcome<()> {
    let mut signer: Box<dyn ModelSigner> = match (one(given, "--key"), one(given, "--token")) {
        (Some(path), None) => Box::new(FileKey::from_pem(
            &fs::read_to_string(path)?,
            one(given, "--password").map(str::as_bytes),
        )?),
        (None, Some(uri)) => Box::new(TokenKey::open(&TokenUri::parse(uri)?)?),
        _ => return Err("give one of `--key` and `--token`".into()),
    };
    if let Some(path) = one(given, "--certificates") {
        let chain = Certificate::from_pem(&fs::read_to_string(path)?)?;
        signer = Box::new(Certified::new(signer, &chain)?);
    }
    let size = one(given, "--shards")
        .map(str::parse::<NonZeroU64>)
        .transpose()?;
    let scheme = Scheme {
        method: size.map_or(Method::Files, Method::Shards),
        hash: match one(given, "--hash") {
            Some("blake3") => HashType::Blake3,
            None | Some("sha256") => HashType::Sha256,
            Some(other) => return Err(format!("`{other}` is not a hash").into()),
        },
    };
    let signed = sign(
        Model::Path(model),
        signature,
        scheme,
        signer.as_ref(),
        &|_| {},
    )?;
    fs::write(signature, &signed.bundle)?;
    println!(
        "signed {} files or shards of `{}` with {} on {}; not covered: {:?}",
        signed.manifest.resources().len(),
        signed.manifest.name,
        signer.public().id(),
        signer.algorithm(),
        signed.not_covered
    );
    Ok(())
}

fn trust(given: &Given) -> Outcome<Trust> {
    let mut trust = Trust::default();
    for path in all(given, "--key") {
        trust
            .keys
            .push(PublicKey::from_pem(&fs::read_to_string(path)?)?);
    }
    for path in all(given, "--root") {
        trust
            .roots
            .extend(Certificate::from_pem(&fs::read_to_string(path)?)?);
    }
    for path in all(given, "--crl") {
        trust
            .revocations
            .push(RevocationList::read(&fs::read(path)?)?);
    }
    let expected = all(given, "--identity").map(|text| ExpectedSigner {
        subject: Subject::of(text),
        issuer: one(given, "--issuer").map(ToOwned::to_owned),
    });
    trust.signers = match one(given, "--any-identity") {
        Some(_) => Signers::Any,
        None => Signers::Only(expected.collect()),
    };
    Ok(trust)
}

fn check(model: &Path, signature: &Path, given: &Given) -> Outcome<()> {
    let now = match one(given, "--at") {
        Some(text) => text.parse()?,
        None => {
            let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
            Timestamp::from_unix_micros(i64::try_from(since.as_micros())?).ok_or("no such time")?
        }
    };
    let options = Options {
        unlisted: match one(given, "--allow-unlisted") {
            Some(_) => Unlisted::Allow,
            None => Unlisted::Refuse,
        },
        may_leave_out: all(given, "--may-leave-out").cloned().collect(),
    };
    let verified = verify(
        Model::Path(model),
        signature,
        &fs::read(signature)?,
        &trust(given)?,
        &options,
        now,
        &|_| {},
    )
    .map_err(|error| match error.hint() {
        Some(hint) => format!("{error}; {hint}"),
        None => error.to_string(),
    })?;
    println!(
        "`{}` was signed by {}: {} files, {} bytes by {}; not covered: {:?}; time: {:?}",
        verified.name,
        verified.signer,
        verified.covered.len(),
        verified.covered_bytes,
        verified.hash,
        verified.not_covered,
        verified.time
    );
    Ok(())
}
