//! `custody sign` and `custody verify-signature`: model signatures of the OpenSSF, on files anywhere.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::time::Duration;

use custody_backends::machine::{SystemClock, SystemEntropy};
use custody_backends::user_files;
use custody_signing::authority::{Authority, Certified, Holder};
use custody_signing::certificate::{Certificate, RevocationList, Subject};
use custody_signing::hash::Scheme;
use custody_signing::keys::{FileKey, ModelSigner, PublicKey};
use custody_signing::pkcs11::{TokenKey, TokenUri};
use custody_signing::sign::{SignError, sign};
use custody_signing::tree::Model;
use custody_signing::verify::{
    ExpectedSigner, NotCovered, Options, Signers, SigningMethod, Trust, Unlisted, Verified, When,
    verify,
};
use custody_signing::{HashType, Method};
use custody_types::{Clock, Digest, ExitCode, Problem};
use custody_wire::Schema;
use serde::Serialize;

use crate::args::{SignArgs, SignHash, SignatureTrust, VerifySignature};
use crate::context::Context;
use crate::output::Text;
use crate::problems::user_files_problem;

/// The name of the signature beside the files that it is about.
const SIGNATURE: &str = "model.sig";
/// How large a key, a certificate or a list may be, in bytes.
const KEY_BYTES: u64 = 4 << 20;
/// How large a signature may be, in bytes.
const SIGNATURE_BYTES: u64 = 64 << 20;
/// How long a leaf of the authority is valid.
const LEAF: Duration = Duration::from_mins(10);

#[derive(Debug, Serialize)]
struct Made {
    model: String,
    signature: PathBuf,
    signer: String,
    root: Digest,
    resources: usize,
    not_covered: Vec<String>,
}

impl Schema for Made {
    const NAME: &'static str = "custody/sign/1";
}

pub(crate) fn run(context: &Context, args: &SignArgs) -> Result<ExitCode, Problem> {
    let signature = signature_path(&args.path, args.signature.as_deref());
    let signer = signer(context, args)?;
    let scheme = Scheme {
        method: args
            .shards
            .and_then(NonZeroU64::new)
            .map_or(Method::Files, Method::Shards),
        hash: match args.hash {
            SignHash::Sha256 => HashType::Sha256,
            SignHash::Blake3 => HashType::Blake3,
        },
    };
    let signed = sign(
        Model::Path(&args.path),
        &signature,
        scheme,
        signer.as_ref(),
        &|_| {},
    )
    .map_err(|error| unsigned(&args.path, &error))?;
    user_files::write_file(&signature, signed.bundle.as_bytes())
        .map_err(|error| user_files_problem(&error))?;
    let made = Made {
        model: signed.manifest.name.clone(),
        signature,
        signer: signer.public().id().to_owned(),
        root: signed.manifest.root(),
        resources: signed.manifest.resources().len(),
        not_covered: signed.not_covered,
    };
    context.output.answer(made, |made, text| {
        text.line(format!(
            "signed {}: {} files or shards, by the key {}",
            made.model, made.resources, made.signer
        ));
        text.line(format!("  {}", made.signature.display()));
        if !made.not_covered.is_empty() {
            text.line(format!("  not covered: {}", made.not_covered.join(", ")));
        }
        Ok(())
    })?;
    Ok(ExitCode::Done)
}

/// The signature lies in a folder, or beside a single file.
fn signature_path(path: &Path, given: Option<&Path>) -> PathBuf {
    match given {
        Some(given) => given.to_owned(),
        None if path.is_dir() => path.join(SIGNATURE),
        None => {
            let mut name = path.as_os_str().to_owned();
            name.push(".sig");
            PathBuf::from(name)
        }
    }
}

fn unsigned(path: &Path, error: &SignError) -> Problem {
    Problem::new(
        "CUS-SIGN-001",
        ExitCode::Usage,
        format!("`{}` cannot be signed", path.display()),
    )
    .because_of(error)
    .hint("nothing was written; correct what is named and sign again")
}

fn unusable(what: &Path, error: &(dyn std::error::Error + 'static)) -> Problem {
    Problem::new(
        "CUS-SIGN-002",
        ExitCode::Usage,
        format!("`{}` cannot be used", what.display()),
    )
    .because_of(error)
    .hint("give keys and certificates in PEM; make a key with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out KEY`")
}

fn text(path: &Path) -> Result<String, Problem> {
    user_files::read_text(path, KEY_BYTES).map_err(|error| user_files_problem(&error))
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, Problem> {
    Certificate::from_pem(&text(path)?).map_err(|error| unusable(path, &error))
}

fn key(context: &Context, args: &SignArgs) -> Result<Box<dyn ModelSigner>, Problem> {
    if let Some(uri) = &args.token {
        let token = TokenUri::parse(uri)
            .and_then(|uri| TokenKey::open(&uri))
            .map_err(|error| {
                Problem::new("CUS-SIGN-003", ExitCode::Usage, "the token cannot be used")
                    .because_of(&error)
                    .hint("name it as `pkcs11:token=NAME;object=KEY?module-path=LIBRARY&pin-source=FILE`")
            })?;
        return Ok(Box::new(token));
    }
    let Some(path) = &args.key else {
        return Err(Problem::new(
            "CUS-SIGN-004",
            ExitCode::Usage,
            "there is no key to sign with",
        )
        .hint("name one with `--key FILE` or `--token pkcs11:…`"));
    };
    let password = context.settings.passphrase.as_deref().map(str::as_bytes);
    let key = FileKey::from_pem(&text(path)?, password).map_err(|error| unusable(path, &error))?;
    Ok(Box::new(key))
}

fn signer(context: &Context, args: &SignArgs) -> Result<Box<dyn ModelSigner>, Problem> {
    let key = key(context, args)?;
    if let Some(path) = &args.certificates {
        let chain = certificates(path)?;
        let certified = Certified::new(key, &chain).map_err(|error| unusable(path, &error))?;
        return Ok(Box::new(certified));
    }
    let Some(path) = &args.authority else {
        return Ok(key);
    };
    let authority =
        Authority::open(key, certificates(path)?).map_err(|error| unusable(path, &error))?;
    let holder = Holder {
        subject: match &args.identity {
            Some(identity) => Subject::of(identity),
            None => Subject::Uri(format!("custody://accounts/{}", context.settings.account)),
        },
        issuer: None,
    };
    let now = SystemClock::start().now();
    let once = authority
        .issue(&holder, now, LEAF, &SystemEntropy)
        .map_err(|error| unusable(path, &error))?;
    Ok(Box::new(once))
}

#[derive(Debug, Serialize)]
struct Checked {
    model: PathBuf,
    method: &'static str,
    signer: String,
    name: String,
    root: Digest,
    hash: String,
    covered: Vec<String>,
    covered_bytes: u64,
    not_covered: Vec<(String, &'static str)>,
}

impl Schema for Checked {
    const NAME: &'static str = "custody/verify-signature/1";
}

pub(crate) fn check(context: &Context, args: &VerifySignature) -> Result<ExitCode, Problem> {
    let verified = holds(&args.path, &args.trust)?;
    let checked = Checked {
        model: args.path.clone(),
        method: match verified.method {
            SigningMethod::Key => "key",
            SigningMethod::Certificate => "certificate",
            SigningMethod::Sigstore => "sigstore",
        },
        signer: verified.signer.to_string(),
        name: verified.name,
        root: verified.root,
        hash: verified.hash.to_string(),
        covered: verified.covered,
        covered_bytes: verified.covered_bytes,
        not_covered: verified
            .not_covered
            .into_iter()
            .map(|(path, why)| (path, because(why)))
            .collect(),
    };
    context.output.answer(checked, |checked, text| {
        told(checked, text);
        Ok(())
    })?;
    Ok(ExitCode::Done)
}

fn told(checked: &Checked, text: &mut Text) {
    text.line(format!(
        "{} is as {} signed it: {} files, {} bytes, {}",
        checked.model.display(),
        checked.signer,
        checked.covered.len(),
        checked.covered_bytes,
        checked.hash
    ));
    for (path, why) in &checked.not_covered {
        text.line(format!("  not covered: {path} ({why})"));
    }
}

fn because(why: NotCovered) -> &'static str {
    match why {
        NotCovered::Default => "never signed",
        NotCovered::Signature => "the signature",
        NotCovered::LeftOut => "left out by the signer",
        NotCovered::Empty => "empty",
        NotCovered::Unlisted => "not signed",
    }
}

/// Verifies the signature of a model on the disk.
pub(crate) fn holds(path: &Path, given: &SignatureTrust) -> Result<Verified, Problem> {
    let signature = signature_path(path, given.signature.as_deref());
    let bundle = user_files::read_text(&signature, SIGNATURE_BYTES)
        .map_err(|error| user_files_problem(&error))?;
    let options = Options {
        unlisted: if given.allow_unlisted {
            Unlisted::Allow
        } else {
            Unlisted::Refuse
        },
        may_leave_out: given.may_leave_out.clone(),
    };
    let when = When {
        now: SystemClock::start().now(),
        proven: None,
    };
    verify(
        Model::Path(path),
        &signature,
        bundle.as_bytes(),
        &trust(given)?,
        &options,
        &when,
        &|_| {},
    )
    .map_err(|error| {
        let problem = Problem::new(
            "CUS-SIGN-005",
            ExitCode::Integrity,
            format!("the signature of `{}` does not hold", path.display()),
        )
        .because_of(&error);
        match error.hint() {
            Some(hint) => problem.hint(hint),
            None => problem,
        }
    })
}

fn trust(given: &SignatureTrust) -> Result<Trust, Problem> {
    let mut trust = Trust::default();
    for path in &given.public_key {
        let key = PublicKey::from_pem(&text(path)?).map_err(|error| unusable(path, &error))?;
        trust.keys.push(key);
    }
    for path in &given.root {
        trust.roots.extend(certificates(path)?);
    }
    for path in &given.crl {
        let bytes =
            user_files::read_bytes(path, KEY_BYTES).map_err(|error| user_files_problem(&error))?;
        let list = RevocationList::read(&bytes).map_err(|error| unusable(path, &error))?;
        trust.revocations.push(list);
    }
    trust.signers = if given.any_identity {
        Signers::Any
    } else {
        let expected = given.signer.iter().map(|text| ExpectedSigner {
            subject: Subject::of(text),
            issuer: given.issuer.clone(),
        });
        Signers::Only(expected.collect())
    };
    Ok(trust)
}
