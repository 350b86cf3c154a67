//! The commands about models from elsewhere: scans, approvals, signatures, bills of materials, rules.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCompleter;
use custody_types::{ProjectName, Reference};

use crate::completions;

/// Scan model files: what would loading them do?
///
/// Works on files and folders anywhere and needs no workspace. Formats are recognised by content; nothing is loaded
/// or executed. Only files that are understood to the last byte and allowed by the rules are `clean`; what the rules
/// do not cover needs `review`, and what cannot be read completely is `unscannable`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody scan model.pkl\n  custody scan downloads/ --json\n  custody scan model/ --format sarif > scan.sarif\n  custody scan model.joblib --rules acme.json --rules-key acme.pub\n  custody scan model.joblib --trial-load --environment requirements.lock\n\nExit codes: 0 clean, 1 something was found, 2 could not tell."
)]
pub(crate) struct Scan {
    /// The files and folders
    #[arg(required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// The output format
    #[arg(long, value_enum, default_value_t = ScanFormat::Text)]
    pub(crate) format: ScanFormat,
    /// Also write the findings to this file as SARIF 2.1.0
    #[arg(long, value_name = "FILE")]
    pub(crate) sarif: Option<PathBuf>,
    /// Also list clean files and notes
    #[arg(long)]
    pub(crate) all: bool,
    /// The rules.
    #[command(flatten)]
    pub(crate) rules: RulesOptions,
    /// The trial.
    #[command(flatten)]
    pub(crate) trial: TrialOptions,
}

/// Whether and how models are loaded on trial.
#[derive(Debug, Args)]
pub(crate) struct TrialOptions {
    /// Also load each model with its own library in the sandbox, and report what it reaches for
    #[arg(long)]
    pub(crate) trial_load: bool,
    /// The lock file of the Python packages for the trial, with hashes [default: the system's Python]
    #[arg(long, value_name = "LOCK", requires = "trial_load")]
    pub(crate) environment: Option<PathBuf>,
    /// The version of Python for the trial
    #[arg(
        long,
        value_name = "VERSION",
        default_value = "3.11",
        requires = "environment"
    )]
    pub(crate) python: String,
}

/// Scan stored models again
///
/// New rules may judge stored models differently. Identical contents are scanned once, in the sandbox. The result is
/// signed and recorded, and a model that is no longer clean goes into quarantine.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody rescan                     # models that were scanned by other rules than those in force\n  custody rescan --all\n  custody rescan employment/model@1\n\nExit codes: 0 all may be used, 1 one may not, 6 one waits for an approval."
)]
pub(crate) struct Rescan {
    /// The version [default: every model]
    #[arg(add = ArgValueCompleter::new(completions::references))]
    pub(crate) reference: Option<Reference>,
    /// Include models already scanned by the rules in force
    #[arg(long)]
    pub(crate) all: bool,
}

/// Let a version out of quarantine
///
/// Approves a model whose scan left the decision to a person, or data that broke its contract, by its bytes. The
/// reason is kept in a signed statement. The same findings in the same bytes, or the same contract broken by them,
/// need no second approval: the next run continues with them, and `verify` says who approved what. Nobody can approve
/// what they made themselves, unless they own the workspace. Malicious or unscannable models cannot be approved.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody ls --quarantine\n  custody show publisher/model@1\n  custody approve publisher/model@1 --reason \"publisher.layers read line by line, ticket 4711\""
)]
pub(crate) struct Approve {
    /// The version
    #[arg(add = ArgValueCompleter::new(completions::references))]
    pub(crate) reference: Reference,
    /// What was checked, and why it may be used
    #[arg(long)]
    pub(crate) reason: String,
}

/// Keep a version in quarantine for good
///
/// Nobody can approve it afterwards, nothing reads it, and `verify` no longer lists it as waiting. The reason is kept in
/// a signed statement. If the same files are added again, they wait for an approval of their own.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody ls --quarantine\n  custody reject publisher/model@1 --reason \"publisher.layers downloads what it runs, ticket 4712\""
)]
pub(crate) struct Reject {
    /// The version
    #[arg(add = ArgValueCompleter::new(completions::references))]
    pub(crate) reference: Reference,
    /// What was found
    #[arg(long)]
    pub(crate) reason: String,
}

/// Take the bytes of a rejected version away for good
///
/// Its record, the list of its files and all that was said about it stay, so that the history can be checked as before. Bytes
/// that other versions of the project have too stay, and so does what copies of the workspace hold.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody reject publisher/model@1 --reason \"publisher.layers downloads what it runs, ticket 4712\"\n  custody remove publisher/model@1"
)]
pub(crate) struct Remove {
    /// The version
    #[arg(add = ArgValueCompleter::new(completions::references))]
    pub(crate) reference: Reference,
}

/// Destroy the keys of a project, so that nothing stored in it can be read again
///
/// Its datasets, models, code and records are gone for good, and its packs are deleted. What the ledger says stays: that there
/// were these versions, who did what with them, and who shredded them and why, in a signed statement. A model in another
/// project that was made from them can still be verified by itself; of its history it is said what was shredded. What was taken
/// out (`custody ledger log --action object.export`), and copies of the workspace that still have its keys, are not reached.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody ls --project trial\n  custody shred trial --reason \"end of the study, request 4713 of the data subjects\" --yes"
)]
pub(crate) struct Shred {
    /// The project
    pub(crate) project: ProjectName,
    /// Why, and who asked for it
    #[arg(long)]
    pub(crate) reason: String,
    /// Say that you mean it: it cannot be undone
    #[arg(long)]
    pub(crate) yes: bool,
}

/// Sign a model on disk, following the OpenSSF Model Signing specification 1.0
///
/// Works anywhere and needs neither a workspace nor a network. The key is in a file or in a PKCS#11 token, or it is the
/// key of your organisation's authority, which then issues a certificate for this one signature. Such a certificate is
/// valid for ten minutes and names the account that runs the command.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody sign model/ --key signer.pem\n  custody sign model.onnx --key signer.pem --certificates chain.pem\n  custody sign model/ --token 'pkcs11:token=team;object=models?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=pin.txt'\n  custody sign model/ --key authority.pem --authority authority.crt --identity ada@example.org\n  custody sign employment/model@1 --stored --key signer.pem --signature model.sig\n\nThe passphrase of an encrypted key comes from CUSTODY_PASSPHRASE."
)]
pub(crate) struct SignArgs {
    /// The file or folder
    pub(crate) path: PathBuf,
    /// PATH is a version in the workspace, as `employment/model@1`: signed by its recorded digests, without
    /// reading its files again
    #[arg(long, requires = "signature")]
    pub(crate) stored: bool,
    /// Where to write the signature [default: model.sig in the folder, or FILE.sig]
    #[arg(long, value_name = "FILE")]
    pub(crate) signature: Option<PathBuf>,
    /// The private key in PEM: P-256, P-384 or P-521
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    pub(crate) key: Option<PathBuf>,
    /// The key in a PKCS#11 token, by its URI (RFC 7512)
    #[arg(long, value_name = "URI")]
    pub(crate) token: Option<String>,
    /// The certificate of the key and those above it, in PEM
    #[arg(long, value_name = "FILE", conflicts_with = "authority")]
    pub(crate) certificates: Option<PathBuf>,
    /// The key belongs to this authority: its certificate and those above it, in PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) authority: Option<PathBuf>,
    /// The identity that the authority's certificate names [default: custody://accounts/ACCOUNT]
    #[arg(long, value_name = "NAME", requires = "authority")]
    pub(crate) identity: Option<String>,
    /// The hash function for files
    #[arg(long, value_enum, default_value_t = SignHash::Sha256)]
    pub(crate) hash: SignHash,
    /// Hash files in pieces of this many bytes instead of as a whole
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) shards: Option<u64>,
}

/// The functions that digest files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SignHash {
    /// SHA-256: what every verifier knows.
    Sha256,
    /// BLAKE3.
    Blake3,
}

/// Verify the signature of a model on disk
///
/// Works anywhere and needs neither a workspace nor a network. Fails closed: on an unexpected signer, an expired
/// certificate, a changed, missing or additional file, and on files that the signer left out.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody verify-signature model/ --public-key signer.pub\n  custody verify-signature model/ --root authority.crt --signer ada@example.org\n  custody verify-signature model.onnx --signature model.onnx.sig --public-key signer.pub\n  custody verify-signature model/ --trusted-root sigstore.dev --signer ada@example.org --issuer https://accounts.google.com\n\nExit codes: 0 it holds, 4 it does not."
)]
pub(crate) struct VerifySignature {
    /// The file or folder
    pub(crate) path: PathBuf,
    /// PATH is a version in the workspace: verified by its recorded digests, without reading its files again
    #[arg(long, requires = "signature")]
    pub(crate) stored: bool,
    /// Whom you trust.
    #[command(flatten)]
    pub(crate) trust: SignatureTrust,
}

/// Whose signature is asked for.
#[derive(Debug, Args)]
#[command(next_help_heading = "Whose signature")]
pub(crate) struct SignatureTrust {
    /// The signature [default: model.sig in the folder, or FILE.sig]
    #[arg(long, value_name = "FILE")]
    pub(crate) signature: Option<PathBuf>,
    /// A public key that you trust, in PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) public_key: Vec<PathBuf>,
    /// A root certificate that you trust, in PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) root: Vec<PathBuf>,
    /// A revocation list of an authority, in PEM or DER
    #[arg(long, value_name = "FILE")]
    pub(crate) crl: Vec<PathBuf>,
    /// A Sigstore instance that you trust: its trusted root in JSON, or `sigstore.dev` for the public one as
    /// this program knows it
    #[arg(long, value_name = "FILE")]
    pub(crate) trusted_root: Option<PathBuf>,
    /// A timestamp authority that you trust: its certificate and those above it, in PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) timestamp_authority: Vec<PathBuf>,
    /// Who must have signed, as the certificate names it: an address, a URI or a domain
    #[arg(long, value_name = "NAME")]
    pub(crate) signer: Vec<String>,
    /// Who must have vouched for the signer
    #[arg(long, value_name = "NAME", requires = "signer")]
    pub(crate) issuer: Option<String>,
    /// Accept any signer that a trusted authority vouches for
    #[arg(long, conflicts_with = "signer")]
    pub(crate) any_identity: bool,
    /// Report files that were not signed instead of refusing them
    #[arg(long)]
    pub(crate) allow_unlisted: bool,
    /// A path that the signer is allowed to have left out
    #[arg(long, value_name = "PATH")]
    pub(crate) may_leave_out: Vec<String>,
}

/// Have a timestamp authority prove when a signature was made (RFC 3161)
///
/// A signature with a certificate is valid only as long as the certificate, unless the time of signing is proven.
/// Custody does not use the network: write the request to a file, send it to the authority yourself, and add the
/// response to the signature. The response is verified before it is added.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody timestamp model.sig --query request.tsq\n  curl --data-binary @request.tsq --header 'Content-Type: application/timestamp-query' --output response.tsr https://tsa.example.org\n  custody timestamp model.sig --response response.tsr --timestamp-authority tsa.pem"
)]
pub(crate) struct TimestampArgs {
    /// The signature
    pub(crate) signature: PathBuf,
    /// Write the timestamp request to this file
    #[arg(long, value_name = "FILE", required_unless_present = "response")]
    pub(crate) query: Option<PathBuf>,
    /// The authority's response
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "query",
        requires = "timestamp_authority"
    )]
    pub(crate) response: Option<PathBuf>,
    /// The authority's certificate and those above it, in PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) timestamp_authority: Option<PathBuf>,
}

impl SignatureTrust {
    /// Returns whether anything is said.
    pub(crate) fn is_given(&self) -> bool {
        let lists = [
            &self.public_key,
            &self.root,
            &self.crl,
            &self.timestamp_authority,
        ];
        let texts = [&self.signer, &self.may_leave_out];
        lists.iter().any(|list| !list.is_empty())
            || texts.iter().any(|list| !list.is_empty())
            || self.signature.is_some()
            || self.trusted_root.is_some()
            || self.any_identity
            || self.allow_unlisted
    }
}

/// Print what a model was made from, as a CycloneDX 1.6 document
///
/// The document is built from the evidence: the model with its files, parameters and measured figures; the data, code
/// and packages that went into it, with licences and origins; and the attestations. The same version always gives the
/// same bytes.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody bom employment/model@1 > model.cdx.json\n  custody bom employment/model@production --to model.cdx.json"
)]
pub(crate) struct Bom {
    /// The version of a model
    #[arg(add = ArgValueCompleter::new(completions::references))]
    pub(crate) reference: Reference,
    /// Write it to this file instead
    #[arg(long, value_name = "FILE")]
    pub(crate) to: Option<PathBuf>,
}

/// Print the attestations about a version, one Sigstore bundle per line
///
/// They say how it was made, what scans found and who approved it. Anyone with the workspace's public key can check
/// them anywhere. `custody get` writes them next to the folder of a model.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody claims employment/model@1 > model.claims.jsonl\n  custody claims employment/model@1 --to model.claims.jsonl"
)]
pub(crate) struct Claims {
    /// The version
    #[arg(add = ArgValueCompleter::new(completions::references))]
    pub(crate) reference: Reference,
    /// Write them to this file instead
    #[arg(long, value_name = "FILE")]
    pub(crate) to: Option<PathBuf>,
}

/// The forms of a scan's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScanFormat {
    /// For people; with `--json` one JSON document.
    Text,
    /// SARIF 2.1.0.
    Sarif,
}

/// Which rules are used.
#[derive(Debug, Args)]
pub(crate) struct RulesOptions {
    /// A rule pack of your own, added to the built-in one; signed, with the signature in FILE.sig
    #[arg(long, value_name = "FILE")]
    pub(crate) rules: Vec<PathBuf>,
    /// The public key that your rule packs are signed by
    #[arg(long, value_name = "FILE")]
    pub(crate) rules_key: Option<PathBuf>,
    /// Use rule packs without a signature, while you are writing them
    #[arg(long, conflicts_with = "rules_key")]
    pub(crate) unsigned_rules: bool,
}

/// The commands on rules.
#[derive(Debug, Subcommand)]
pub(crate) enum RulesCommand {
    Show(RulesShow),
    Test(RulesTest),
    Sign(RulesSign),
    Apply(RulesApply),
}

/// Apply rule packs in this workspace, after the built-in one
///
/// They replace the packs applied before. To scan stored models by them, use `custody rescan`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody rules apply acme.json --rules-key acme.pub\n  custody rules apply                # the built-in pack alone"
)]
pub(crate) struct RulesApply {
    /// The packs; the signature of each is in FILE.sig
    pub(crate) packs: Vec<PathBuf>,
    /// The public key that they are signed by
    #[arg(long, value_name = "FILE")]
    pub(crate) rules_key: Option<PathBuf>,
}

/// Print a rule pack
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  custody rules show\n  custody rules show acme.json")]
pub(crate) struct RulesShow {
    /// The pack [default: the built-in one]
    pub(crate) pack: Option<PathBuf>,
}

/// Show what the rules say about names
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody rules test os:system sklearn.svm._classes:SVC\n  custody rules test acme.models:Scorer --rules acme.json --unsigned-rules\n  custody rules test ReadFile MatMul --section tensorflow\n\nExit code 0 if all are allowed, 1 otherwise."
)]
pub(crate) struct RulesTest {
    /// The names; in the section `pickle` they are module:name
    #[arg(required = true)]
    pub(crate) names: Vec<String>,
    /// The section of the rules
    #[arg(long, default_value = "pickle", value_parser = clap::builder::PossibleValuesParser::new(custody_findings::rules::SECTIONS))]
    pub(crate) section: String,
    /// The rules.
    #[command(flatten)]
    pub(crate) rules: RulesOptions,
}

/// Sign a rule pack
///
/// Writes the signature next to the pack, with `.sig` appended to its name.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  custody rules sign acme.json --key acme.pem")]
pub(crate) struct RulesSign {
    /// The pack
    pub(crate) pack: PathBuf,
    /// The P-256 private key, PKCS#8 in PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
}
