//! `custody rules`: see, try and sign rule packs; and how every command reads them.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use custody_attest::dsse::Envelope;
use custody_attest::{Check, Sign};
use custody_backends::user_files;
use custody_crypto::sign::{SigningKey, VerifyingKey};
use custody_findings::Rules;
use custody_findings::rules::{Judgement, MAX_BYTES, Pack, RulesError};
use custody_host::user_files_problem;
use custody_types::{ExitCode, Problem, code};
use custody_wire::PolicySource;
use serde::Serialize;

use crate::args::{RulesApply, RulesOptions, RulesShow, RulesSign, RulesTest};
use crate::context::Context;
use crate::output::{Output, Text};

/// The type of what a pack's signature covers.
const PAYLOAD_TYPE: &str = "application/vnd.custody.rules.v1+json";
/// The largest key file, in bytes.
const KEY_BYTES: u64 = 64 << 10;
/// The largest signature file, in bytes: the pack is in it, in base64.
const SIGNATURE_BYTES: u64 = 2 * MAX_BYTES as u64;

/// Reads the packs that the options name, after the one of the program, and checks their signatures.
pub(crate) fn read(options: &RulesOptions) -> Result<Rules, Problem> {
    let key = options.rules_key.as_deref().map(public_key).transpose()?;
    let texts = options
        .rules
        .iter()
        .map(|path| signed(path, key.as_ref(), options.unsigned_rules))
        .collect::<Result<Vec<_>, _>>()?;
    let texts: Vec<_> = texts.iter().map(String::as_str).collect();
    Rules::new(&texts).map_err(|error| malformed(&error, None))
}

fn signed(path: &Path, key: Option<&VerifyingKey>, unsigned: bool) -> Result<String, Problem> {
    let text = user_files::read_text(path, MAX_BYTES as u64)
        .map_err(|error| user_files_problem(&error))?;
    // Read it first, so that a mistake in the pack is told before one in its signature.
    Pack::parse(&text).map_err(|error| malformed(&error, Some(path)))?;
    let Some(key) = key else {
        if unsigned {
            return Ok(text);
        }
        return Err(Problem::new(
            code::SCAN_003,
            format!("the rule pack `{}` has no key to be checked by", path.display()),
        )
        .because("a pack says what passes; whoever can change it unseen can let anything pass")
        .hint("name the public key with `--rules-key FILE`, or say `--unsigned-rules` while you write the pack"));
    };
    let wrong = |because: String| {
        Problem::new(
            code::SCAN_004,
            format!(
                "the rule pack `{}` is not signed by the given key",
                path.display()
            ),
        )
        .because(because)
        .hint("sign it with `custody rules sign PACK --key FILE`, and look at who changed it")
    };
    let signature = user_files::read_text(&signature_path(path), SIGNATURE_BYTES)
        .map_err(|error| wrong(error.to_string()))?;
    let envelope =
        Envelope::parse(signature.as_bytes()).map_err(|error| wrong(error.to_string()))?;
    let covered = envelope
        .open(PAYLOAD_TYPE, &Key(key))
        .map_err(|error| wrong(error.to_string()))?;
    if covered == text.as_bytes() {
        Ok(text)
    } else {
        Err(wrong("its content is not what was signed".to_owned()))
    }
}

fn signature_path(pack: &Path) -> PathBuf {
    let mut name = pack.as_os_str().to_owned();
    name.push(".sig");
    PathBuf::from(name)
}

fn malformed(error: &RulesError, path: Option<&Path>) -> Problem {
    let problem = Problem::new(code::SCAN_002, "the rules cannot be used");
    let problem = match path {
        Some(path) => problem.because(format!("`{}`", path.display())),
        None => problem,
    };
    problem
        .because_of(error)
        .hint("see `custody rules show` for a pack that works, and docs/formats/rules.md")
}

fn public_key(path: &Path) -> Result<VerifyingKey, Problem> {
    let pem = user_files::read_text(path, KEY_BYTES).map_err(|error| user_files_problem(&error))?;
    VerifyingKey::read(&pem).map_err(|error| {
        Problem::new(
            code::SCAN_005,
            format!("`{}` is no key to check a signature by", path.display()),
        )
        .because(error)
        .hint("make one with `openssl ec -in KEY -pubout`")
    })
}

/// Reads a P-256 private key in PKCS#8 and PEM.
fn private_key(path: &Path) -> Result<SigningKey, Problem> {
    let wrong = |because: String| {
        Problem::new(
            code::SCAN_006,
            format!("`{}` is no key to sign with", path.display()),
        )
        .because(because)
        .hint("make one with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out KEY`")
    };
    let pem = user_files::read_text(path, KEY_BYTES).map_err(|error| user_files_problem(&error))?;
    let body: String = pem
        .lines()
        .skip_while(|line| *line != "-----BEGIN PRIVATE KEY-----")
        .skip(1)
        .take_while(|line| *line != "-----END PRIVATE KEY-----")
        .collect();
    let der = BASE64
        .decode(body)
        .map_err(|error| wrong(error.to_string()))?;
    SigningKey::read(&der).map_err(|error| wrong(error.to_string()))
}

struct Key<'a>(&'a VerifyingKey);

impl Check for Key<'_> {
    fn check(&self, key_id: &str, message: &[u8], signature: &[u8]) -> bool {
        key_id == self.0.id() && self.0.verify(message, signature)
    }
}

struct Signer(SigningKey);

impl Sign for Signer {
    fn key_id(&self) -> &str {
        self.0.public().id()
    }

    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        self.0.sign(message).ok()
    }
}

pub(crate) fn sign(context: &Context, args: &RulesSign) -> Result<ExitCode, Problem> {
    let text = user_files::read_text(&args.pack, MAX_BYTES as u64)
        .map_err(|error| user_files_problem(&error))?;
    let pack = Pack::parse(&text).map_err(|error| malformed(&error, Some(&args.pack)))?;
    let signer = Signer(private_key(&args.key)?);
    let fault =
        |error| Problem::new(code::SCAN_007, "the rule pack cannot be signed").because_of(&error);
    let envelope = Envelope::seal(PAYLOAD_TYPE, text.as_bytes(), &signer)
        .and_then(|envelope| envelope.to_bytes())
        .map_err(fault)?;
    let path = signature_path(&args.pack);
    user_files::write_file(&path, &envelope).map_err(|error| user_files_problem(&error))?;
    context.output.note(&format!(
        "signed {} {} by the key {}: {}",
        pack.name,
        pack.version,
        signer.key_id(),
        path.display()
    ));
    Ok(ExitCode::Done)
}

pub(crate) fn show(args: &RulesShow) -> Result<ExitCode, Problem> {
    let pack = match &args.pack {
        Some(path) => {
            let text = user_files::read_text(path, MAX_BYTES as u64)
                .map_err(|error| user_files_problem(&error))?;
            Pack::parse(&text)
        }
        None => Pack::built_in(),
    };
    let text = pack
        .and_then(|pack| pack.to_json())
        .map_err(|error| malformed(&error, args.pack.as_deref()))?;
    Output::json(&format!("{text}\n"))?;
    Ok(ExitCode::Done)
}

pub(crate) fn apply(context: &Context, args: &RulesApply) -> Result<ExitCode, Problem> {
    let key = args.rules_key.as_deref().map(public_key).transpose()?;
    let mut sources = Vec::new();
    for path in &args.packs {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        sources.push(PolicySource {
            name: name.into_owned(),
            text: signed(path, key.as_ref(), false)?,
        });
    }
    let reply = context.client()?.change_rules(&sources)?;
    context.output.answer(reply, |reply, text: &mut Text| {
        text.line(format!("in force now: {}", reply.rules.join(", ")));
        text.line("scan the models that are stored by them with `custody rescan`");
        Ok(())
    })?;
    Ok(ExitCode::Done)
}

/// What the rules say of names.
#[derive(Debug, Serialize)]
struct Judged {
    section: String,
    names: Vec<JudgedName>,
}

#[derive(Debug, Serialize)]
struct JudgedName {
    name: String,
    judgement: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<String>,
}

impl custody_wire::Schema for Judged {
    const NAME: &'static str = "custody/rules-test/1";
}

pub(crate) fn test(context: &Context, args: &RulesTest) -> Result<ExitCode, Problem> {
    let rules = read(&args.rules)?;
    let judge = |name: &String| {
        let (judgement, because) = match rules.judge(&args.section, name) {
            Judgement::Allowed(allow) => (
                "allowed",
                allow.role.clone().map(|role| format!("as a {role}")),
            ),
            Judgement::Sink(sink) => ("sink", Some(format!("it can {}", sink.can))),
            Judgement::Unknown => ("unknown", None),
        };
        JudgedName {
            name: name.clone(),
            judgement,
            because,
        }
    };
    let judged = Judged {
        section: args.section.clone(),
        names: args.names.iter().map(judge).collect(),
    };
    let all = judged.names.iter().all(|name| name.judgement == "allowed");
    context.output.answer(judged, |judged, text: &mut Text| {
        for name in &judged.names {
            let because = name
                .because
                .as_deref()
                .map(|because| format!(": {because}"));
            text.line(format!(
                "{}  {}{}",
                name.judgement,
                name.name,
                because.unwrap_or_default()
            ));
        }
        Ok(())
    })?;
    Ok(if all { ExitCode::Done } else { ExitCode::No })
}
