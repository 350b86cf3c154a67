//! `custody sign`, `custody verify-signature` and `custody timestamp`: model signatures of the OpenSSF, on files
//! anywhere and on versions of a workspace.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::time::Duration;

use custody_backends::machine::{SystemClock, SystemEntropy};
use custody_backends::user_files;
use custody_host::user_files_problem;
use custody_signing::authority::{Authority, Certified, Holder};
use custody_signing::certificate::{Certificate, Subject as Name};
use custody_signing::hash::Scheme;
use custody_signing::keys::{FileKey, ModelSigner};
use custody_signing::pkcs11::{TokenKey, TokenUri};
use custody_signing::sign::{SignError, sign};
use custody_signing::timestamp::{self, TimestampAuthority};
use custody_signing::tree::Model;
use custody_signing::verification_policy::{Named, PUBLIC_INSTANCE, VerificationPolicy};
use custody_signing::verify::{NotCovered, Verified};
use custody_signing::{Bundle, HashType, Method};
use custody_types::{Clock, Digest, ExitCode, FileEntry, Problem, Timestamp, code, counted};
use custody_wire::{Schema, SigningRequest};
use serde::Serialize;

use crate::args::{SignArgs, SignHash, SignatureTrust, TimestampArgs, VerifySignature};
use crate::context::Context;
use crate::output::Text;

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
    let subject = if args.stored {
        let reference = args.path.to_string_lossy().into_owned();
        let reply = context.client()?.signable(&SigningRequest { reference })?;
        Subject::Stored {
            name: reply.name.to_string(),
            files: reply.files,
        }
    } else {
        Subject::Path(args.path.clone())
    };
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
    let inside = match subject {
        Subject::Path(_) => signature.as_path(),
        Subject::Stored { .. } => Path::new(""),
    };
    let signed = sign(subject.model(), inside, scheme, signer.as_ref(), &|_| {})
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
        code::SIGN_001,
        format!("`{}` cannot be signed", path.display()),
    )
    .because_of(error)
    .hint("nothing was written; correct what is named and sign again")
}

fn unusable(what: &Path, error: &(dyn std::error::Error + 'static)) -> Problem {
    Problem::new(
        code::SIGN_002,
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
                Problem::new(code::SIGN_003, "the token cannot be used")
                    .because_of(&error)
                    .hint("name it as `pkcs11:token=NAME;object=KEY?module-path=LIBRARY&pin-source=FILE`")
            })?;
        return Ok(Box::new(token));
    }
    let Some(path) = &args.key else {
        return Err(Problem::new(code::SIGN_004, "there is no key to sign with")
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
            Some(identity) => Name::of(identity),
            None => Name::Uri(format!("custody://accounts/{}", context.settings.account)),
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
    /// When a trusted log or timestamp authority saw the signature.
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<Timestamp>,
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
    let subject = Subject::to_verify(context, &args.path, args.stored)?;
    let verified = holds(&subject, &args.path, &args.trust)?;
    let checked = Checked {
        model: args.path.clone(),
        time: verified.time.proven(),
        method: verified.method.as_str(),
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
        summary(checked, text);
        Ok(())
    })?;
    Ok(ExitCode::Done)
}

fn summary(checked: &Checked, text: &mut Text) {
    text.line(format!(
        "{} is as {} signed it: {}, {}, {}",
        checked.model.display(),
        checked.signer,
        counted(checked.covered.len(), "file"),
        counted(checked.covered_bytes, "byte"),
        checked.hash
    ));
    if let Some(time) = checked.time {
        text.line(format!("  signed by {}", time.to_seconds_text()));
    }
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

fn holds(subject: &Subject, path: &Path, given: &SignatureTrust) -> Result<Verified, Problem> {
    let expected = verification_policy(path, given)?;
    let signature = match subject {
        Subject::Path(_) => signature_path(path, given.signature.as_deref()),
        Subject::Stored { files, .. } => within(files, &expected.bundle),
    };
    expected
        .verify(subject.model(), &signature, SystemClock::start().now())
        .map_err(|error| error.problem(&path.display().to_string()))
}

/// Returns where the very signature lies among stored files, if it does.
fn within(files: &[FileEntry], bundle: &str) -> PathBuf {
    let digest = Digest::of(bundle.as_bytes());
    let found = files.iter().find(|file| file.sha256 == digest);
    found.map_or_else(PathBuf::new, |file| PathBuf::from(file.path.as_str()))
}

/// Reads the signature of the model at `path`, and whose it must be.
pub(crate) fn verification_policy(
    path: &Path,
    given: &SignatureTrust,
) -> Result<VerificationPolicy, Problem> {
    let all = |paths: &[PathBuf]| {
        let named = paths.iter().map(|path| named(path));
        named.collect::<Result<Vec<_>, _>>()
    };
    let lists = given.crl.iter().map(|path| {
        let bytes =
            user_files::read_bytes(path, KEY_BYTES).map_err(|error| user_files_problem(&error))?;
        Ok(Named::revocation_list(path.display().to_string(), bytes))
    });
    let signature = signature_path(path, given.signature.as_deref());
    let inside = match Model::Path(path).signature_path(&signature) {
        Ok(inside) => inside.unwrap_or_default(),
        Err(_) => String::new(),
    };
    Ok(VerificationPolicy {
        bundle: signature_text(&signature)?,
        path: inside,
        keys: all(&given.public_key)?,
        roots: all(&given.root)?,
        revocations: lists.collect::<Result<_, Problem>>()?,
        timestamp_authorities: all(&given.timestamp_authority)?,
        trusted_root: given
            .trusted_root
            .as_deref()
            .map(trusted_root)
            .transpose()?,
        signers: given.signer.clone(),
        issuer: given.issuer.clone(),
        any_identity: given.any_identity,
        allow_unlisted: given.allow_unlisted,
        may_leave_out: given.may_leave_out.clone(),
    })
}

fn named(path: &Path) -> Result<Named, Problem> {
    Ok(Named {
        name: path.display().to_string(),
        text: text(path)?,
    })
}

fn trusted_root(path: &Path) -> Result<Named, Problem> {
    if path == Path::new(PUBLIC_INSTANCE) {
        let name = PUBLIC_INSTANCE.to_owned();
        let text = name.clone();
        return Ok(Named { name, text });
    }
    named(path)
}

fn signature_text(path: &Path) -> Result<String, Problem> {
    user_files::read_text(path, SIGNATURE_BYTES).map_err(|error| user_files_problem(&error))
}

/// What a signature is about.
enum Subject {
    /// A file or folder.
    Path(PathBuf),
    /// A version of the workspace.
    Stored { name: String, files: Vec<FileEntry> },
}

impl Subject {
    fn to_verify(context: &Context, path: &Path, stored: bool) -> Result<Self, Problem> {
        if !stored {
            return Ok(Self::Path(path.to_owned()));
        }
        let shown = context.client()?.show(&path.to_string_lossy())?;
        let name = shown.version.name.to_string();
        if shown.version.quarantined {
            return Err(
                Problem::new(code::SIGN_007, format!("`{name}` is in quarantine"))
                    .hint("somebody who may can let it out with `custody approve`"),
            );
        }
        if shown.listing.is_empty() {
            return Err(Problem::new(
                code::SIGN_008,
                format!("you may not see the files of `{name}`"),
            )
            .hint("ask somebody who may read it; `--purpose` states for what"));
        }
        if u64::try_from(shown.listing.len()).ok() != Some(shown.version.files) {
            return Err(Problem::new(
                code::SIGN_006,
                format!("`{name}` has more files than are listed"),
            )
            .hint("take it out with `custody get` and verify the folder"));
        }
        Ok(Self::Stored {
            name,
            files: shown.listing,
        })
    }

    fn model(&self) -> Model<'_> {
        match self {
            Self::Path(path) => Model::Path(path),
            Self::Stored { name, files } => Model::Stored {
                name,
                files,
                content: None,
            },
        }
    }
}

#[derive(Debug, Serialize)]
struct Timetimestamped {
    signature: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<Timestamp>,
}

impl Schema for Timetimestamped {
    const NAME: &'static str = "custody/stamp/1";
}

pub(crate) fn add_timestamp(context: &Context, args: &TimestampArgs) -> Result<ExitCode, Problem> {
    let mut bundle =
        Bundle::parse(signature_text(&args.signature)?.as_bytes()).map_err(|error| {
            unusable(&args.signature, &error).hint("give a signature as `custody sign` writes it")
        })?;
    let mut timestamped = Timetimestamped {
        signature: args.signature.clone(),
        query: args.query.clone(),
        time: None,
    };
    let write = |path: &Path, bytes: &[u8]| {
        user_files::write_file(path, bytes).map_err(|error| user_files_problem(&error))
    };
    if let Some(path) = &args.query {
        write(path, &timestamp::query(&bundle))?;
    }
    if let (Some(path), Some(authority)) = (&args.response, &args.timestamp_authority) {
        let token =
            user_files::read_bytes(path, KEY_BYTES).map_err(|error| user_files_problem(&error))?;
        let chain = certificates(authority)?;
        let authority =
            TimestampAuthority::new(&chain).map_err(|error| unusable(authority, &error))?;
        let authorities = [authority];
        let time = timestamp::verify(&token, &bundle.signature, &authorities).map_err(|error| {
            unusable(path, &error)
                .hint("the response must be this authority's, to the request for this signature")
        })?;
        timestamped.time = Some(time);
        bundle.timestamps.push(token);
        let text = bundle
            .to_json()
            .map_err(|error| unusable(&args.signature, &error))?;
        write(&args.signature, text.as_bytes())?;
    }
    context.output.answer(timestamped, |timestamped, text| {
        if let Some(query) = &timestamped.query {
            text.line(format!(
                "{} is the timestamp request for {}",
                query.display(),
                timestamped.signature.display()
            ));
        }
        if let Some(time) = timestamped.time {
            text.line(format!(
                "{} was signed by {}",
                timestamped.signature.display(),
                time.to_seconds_text()
            ));
        }
        Ok(())
    })?;
    Ok(ExitCode::Done)
}
