//! What holds for every file in a format of ours, or in one that others sign or write for us. The fuzzer drives it; the
//! properties of what is private to a crate are in that crate (`fuzzing.rs`).

use std::sync::LazyLock;

use custody_attest::Check;
use custody_attest::dsse::{Envelope, IN_TOTO};
use custody_attest::lock::Lock;
use custody_attest::statement::Statement;
use custody_ledger::fuzzing::write_ahead_log;
use custody_observe::Remote;
use custody_oidc::{Expected, IdToken, Issuer, KeySet, Metadata, read_json};
use custody_signing::certificate::{Certificate, RevocationList, Times, verify_chain};
use custody_signing::{Bundle, Manifest};
use custody_store::fuzzing::{manifest, pack};
use custody_tlog::checkpoint::Checkpoint;
use custody_tlog::note::{NoteSigner, NoteVerifier};
use custody_types::Timestamp;
use custody_wire::archive::read_tar;

use crate::file::PipelineFile;

pub(crate) type Property = fn(&[u8]) -> Result<bool, String>;

/// The targets, and their corpora. A property tells whether the input was of the format.
pub(crate) const TARGETS: &[(&str, Property)] = &[
    ("format_dsse", dsse),
    ("format_id_token", id_token),
    ("format_lock", lock),
    ("format_manifest", manifest),
    ("format_model_signature", model_signature),
    ("format_note", note),
    ("format_pack", pack),
    ("format_pipeline", pipeline),
    ("format_provider", provider),
    ("format_tar", tar),
    ("format_traceparent", traceparent),
    ("format_write_ahead_log", write_ahead_log),
    ("format_x509", x509),
];

/// Believes every signature, so that what is signed is reached.
struct Any;

impl Check for Any {
    fn check(&self, _key: &str, _message: &[u8], _signature: &[u8]) -> bool {
        true
    }
}

fn dsse(input: &[u8]) -> Result<bool, String> {
    let Ok(envelope) = Envelope::parse(input) else {
        return Ok(false);
    };
    let bytes = envelope
        .to_bytes()
        .map_err(|error| format!("it is written: {error}"))?;
    match Envelope::parse(&bytes) {
        Ok(again) if again == envelope => {}
        _ => return Err("an envelope reads back as it was written".to_owned()),
    }
    let opened = envelope.open(IN_TOTO, &Any).is_ok();
    if Statement::open(input, &Any).is_ok() && !opened {
        return Err("no statement is in an envelope that does not open".to_owned());
    }
    Ok(opened)
}

fn model_signature(input: &[u8]) -> Result<bool, String> {
    let Ok(bundle) = Bundle::parse(input) else {
        return Ok(false);
    };
    let text = bundle
        .to_json()
        .map_err(|error| format!("it is written: {error}"))?;
    if Bundle::parse(text.as_bytes()).as_ref() != Ok(&bundle) {
        return Err("a bundle reads back as it was written".to_owned());
    }
    if let Ok(signed) = Manifest::parse(&bundle.payload) {
        let payload = signed
            .to_payload()
            .map_err(|error| format!("it is written: {error}"))?;
        if Manifest::parse(&payload).as_ref() != Ok(&signed) {
            return Err("what was signed reads back as it was written".to_owned());
        }
    }
    Ok(true)
}

fn lock(input: &[u8]) -> Result<bool, String> {
    let Some(lock) = std::str::from_utf8(input)
        .ok()
        .and_then(|text| Lock::parse(text).ok())
    else {
        return Ok(false);
    };
    if lock.packages().any(|(_, hashes)| hashes.is_empty()) {
        return Err("every package has a hash".to_owned());
    }
    Ok(lock.packages().next().is_some())
}

static SIGNER: LazyLock<Option<NoteSigner>> =
    LazyLock::new(|| NoteSigner::new("example.com/log", &[1; 32]).ok());

/// After a zero a note as it is, or a key; after any other byte a text, which is signed first.
fn note(input: &[u8]) -> Result<bool, String> {
    let signer = SIGNER.as_ref().ok_or("the key is made")?;
    let Some((mode, text)) = input
        .split_first()
        .and_then(|(mode, rest)| Some((mode, std::str::from_utf8(rest).ok()?)))
    else {
        return Ok(false);
    };
    if let Ok(key) = NoteVerifier::parse(text)
        && NoteVerifier::parse(&key.vkey()).map(|key| key.vkey()) != Ok(key.vkey())
    {
        return Err("a key reads back as it was written".to_owned());
    }
    let note = if *mode == 0 {
        text.to_owned()
    } else {
        signer.sign(text)
    };
    let Ok(checkpoint) = Checkpoint::open(&note, signer.verifier()) else {
        return Ok(false);
    };
    match Checkpoint::open(&checkpoint.sign(signer), signer.verifier()) {
        Ok(again) if again == checkpoint => Ok(true),
        _ => Err("a checkpoint reads back as it was written".to_owned()),
    }
}

fn pipeline(input: &[u8]) -> Result<bool, String> {
    let Ok(text) = std::str::from_utf8(input) else {
        return Ok(false);
    };
    let file = PipelineFile::parse(text);
    if let Ok(file) = &file
        && crate::graph::build(file).is_err()
    {
        return Err("a file that is read has an order of steps".to_owned());
    }
    Ok(file.is_ok())
}

/// Whatever a stranger says of traces is sixteen and eight bytes of it, or nothing.
fn traceparent(input: &[u8]) -> Result<bool, String> {
    let Some(remote) = Remote::read(input) else {
        return Ok(false);
    };
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
    let said = format!("-{}-{}-", hex(&remote.trace.0), hex(&remote.span.0));
    if input.get(2..53) != Some(said.as_bytes()) {
        return Err("what is read is what was written".to_owned());
    }
    Ok(true)
}

fn tar(input: &[u8]) -> Result<bool, String> {
    let mut count = 0_usize;
    let mut wrong = false;
    let _ = read_tar(input, |member| {
        let path = member.path.as_str();
        wrong |=
            path.starts_with('/') || path.split('/').any(|part| ["", ".", ".."].contains(&part));
        count += 1;
        std::io::copy(member.content, &mut std::io::sink()).map(drop)
    });
    if wrong {
        return Err("every path stays inside".to_owned());
    }
    Ok(count > 0)
}

static ROOTS: LazyLock<Vec<Certificate>> = LazyLock::new(|| {
    let text = include_str!("../../crates/signing/tests/data/root.pem");
    Certificate::from_pem(text).unwrap_or_default()
});

/// A certificate, a list of revoked ones, and a chain: the first byte cuts it. No one signs for the fuzzer, so what is
/// believed is a seed.
fn x509(input: &[u8]) -> Result<bool, String> {
    let _ = RevocationList::read(input);
    let read = Certificate::from_der(input);
    if let Ok(certificate) = &read {
        let _ = certificate.identity();
        let again = Certificate::from_pem(&certificate.to_pem());
        if again.as_deref() != Ok(std::slice::from_ref(certificate)) {
            return Err("a certificate reads back as it was written".to_owned());
        }
    }
    let Some((length, rest)) = input.split_first_chunk::<2>() else {
        return Ok(false);
    };
    let Some((leaf, above)) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
    else {
        return Ok(read.is_ok());
    };
    let at: Timestamp = include_str!("../../crates/signing/tests/data/signed-at")
        .trim()
        .parse()
        .map_err(|_| "the time is read")?;
    let times = Times {
        signed: at,
        now: at,
    };
    let chain = [leaf.to_vec(), above.to_vec()];
    if verify_chain(&chain, &[], &[], times).is_ok() {
        return Err("without a root nothing is believed".to_owned());
    }
    let genuine = include_bytes!("../corpus/format_x509/chain");
    if verify_chain(&chain, &ROOTS, &[], times).is_ok() && input != genuine {
        return Err("what no authority signed is not believed".to_owned());
    }
    Ok(read.is_ok() || Certificate::from_der(leaf).is_ok())
}

/// The keys of RFC 7515, appendix A.3, and RFC 8037, appendix A.4.
const KEYS: &str = include_str!("../corpus/format_provider/keys");

/// A token by which a provider says who somebody is. Nobody signs for the fuzzer, and what the standards have signed is for
/// nobody: none is believed.
fn id_token(input: &[u8]) -> Result<bool, String> {
    let Some(token) = std::str::from_utf8(input).ok().map(IdToken::read) else {
        return Ok(false);
    };
    let Ok(token) = token else { return Ok(false) };
    let keys = KeySet::read(KEYS.as_bytes())?;
    let expected = Expected {
        issuer: "joe",
        client: "custody",
        nonce: None,
        access_token: None,
        began: 1_300_819_370,
        now: 1_300_819_370,
        groups: Some("groups"),
    };
    match token.verify(&keys, &expected) {
        Ok(_) => Err("what nobody signed for this client is not believed".to_owned()),
        Err(_) => Ok(true),
    }
}

/// What a provider says of itself, or its keys.
fn provider(input: &[u8]) -> Result<bool, String> {
    if let Ok(read) = read_json(input)
        && serde_json::from_slice::<serde_json::Value>(input).ok() != Some(read)
    {
        return Err("JSON is read as others read it".to_owned());
    }
    let issuer: Issuer = "https://issuer.example"
        .parse()
        .map_err(|_| "the issuer is one")?;
    if let Ok(read) = Metadata::read(input, &issuer, &std::collections::BTreeSet::new()) {
        let own = [&read.authorization, &read.token, &read.keys];
        let foreign = |url: &&url::Url| {
            url.scheme() != "https"
                || url.host_str() != Some("issuer.example")
                || url.port_or_known_default() != Some(443)
        };
        if own.into_iter().chain(&read.device).any(|url| foreign(&url)) {
            return Err("requests go to the issuer's own host".to_owned());
        }
        return Ok(true);
    }
    Ok(KeySet::read(input).is_ok())
}
