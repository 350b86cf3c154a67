//! The grammar of the command line. The doc comments are the help texts.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCompleter;
use custody_pipeline::draft::Task;
use custody_tabular::Format;
use custody_types::{
    Alias, ArtifactName, Classification, EvidenceKind, Kind, ProjectName, Purpose, Reference,
    Timestamp, VersionNumber,
};

use crate::completions;

/// The chain of custody for machine learning: from collected data to a signed model, with a proof.
///
/// Every command acts in the workspace of the current folder or of a folder above it. Each access is
/// decided by the workspace's policy and entered in its ledger before it happens.
#[derive(Debug, Parser)]
#[command(
    name = "custody",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
#[command(
    after_help = "Exit codes: 0 yes or done, 1 the answer is no, 2 bad usage or settings, 3 denied by policy,\n\
4 integrity broken, 5 not found or conflict, 6 waits for an approval, 70 a fault of the program,\n\
75 try again later, 124 a step ran out of time, 125 the sandbox could not be set up, 130 interrupted."
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Options of every command.
    #[command(flatten)]
    pub(crate) global: Global,
}

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// Print one JSON document (`run`: a line for each event); errors are JSON too, on standard error
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Act as a narrower principal of the workspace's policy
    #[arg(long = "as", value_name = "NAME", global = true)]
    pub(crate) act_as: Option<String>,
    /// The purpose of the access: a declared one that the data admits and, unless you own the workspace, that you hold
    #[arg(long, value_name = "PURPOSE", global = true)]
    pub(crate) purpose: Option<Purpose>,
    /// The folder of the workspace [default: this folder or the nearest above with one]
    #[arg(short = 'C', long, value_name = "DIR", global = true)]
    pub(crate) workspace: Option<PathBuf>,
    /// The key file [default: CUSTODY_KEY_FILE, or keys/WORKSPACE.key in the user's settings folder]
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) key_file: Option<PathBuf>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(Init),
    New(New),
    Put(Put),
    Get(Get),
    Ls(Ls),
    Show(Show),
    /// Look at the tables of versions: columns, first rows, profile, differences
    #[command(subcommand)]
    Data(Data),
    Alias(AliasArgs),
    Run(Run),
    Status(Status),
    Metrics(Metrics),
    Compare(Compare),
    Trace(Trace),
    Verify(Verify),
    Reproduce(Reproduce),
    Scan(Scan),
    Rescan(Rescan),
    Approve(Approve),
    Sign(SignArgs),
    VerifySignature(VerifySignature),
    Stamp(Stamp),
    Bom(Bom),
    Claims(Claims),
    /// See, try, sign and put in force the rules that models are scanned by
    #[command(subcommand)]
    Rules(RulesCommand),
    /// Read, check and copy the ledger
    #[command(subcommand)]
    Ledger(Ledger),
    /// See and change the policies in force
    #[command(subcommand)]
    Policy(Policy),
    /// Look after the index, which can be rebuilt from the store and the ledger
    #[command(subcommand)]
    Index(Index),
    Doctor(Doctor),
    Completions(Completions),
}

/// Make a workspace in this folder
///
/// Makes the folder `.custody` for the encrypted store and the ledger, and a key file outside of it,
/// readable by you alone. Whoever loses the key file loses the data: keep a copy in a safe place.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody init\n  custody init --passphrase     # from CUSTODY_PASSPHRASE or standard input\n  custody init --key-file /media/stick/team.key"
)]
pub(crate) struct Init {
    /// Protect the key file with a passphrase as well
    #[arg(long)]
    pub(crate) passphrase: bool,
}

/// Begin a project from a table: a whole pipeline that runs as it is, to be read and changed
///
/// Looks at every row, and writes `custody.yaml` - the types of the columns, a contract that the table meets, a split,
/// training, evaluation, a gate, registration - with the program that trains and the packages that it needs. Nothing is
/// written over. The files are a proposal: they hold values of your table (bounds, lists of what is allowed), and
/// say with each part how to change it.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody new loans.csv --label defaulted\n  custody new iris.csv --label species --kind multiclass\n  custody new ../exports/houses.parquet --label price --to houses\n  custody new loans.csv --label defaulted --csv '{nulls: [NA]}'\n  custody new people.csv                        # source and contract, no model\n\nThen `custody init`, `custody run`, `custody verify PROJECT/model@1`."
)]
pub(crate) struct New {
    /// The file with the table: Parquet, CSV, TSV, JSON lines or Arrow
    pub(crate) file: PathBuf,
    /// The column that the model is to tell; without it there is no model
    #[arg(long, value_name = "COLUMN")]
    pub(crate) label: Option<String>,
    /// What the model is to say: binary, multiclass, regression or none [default: what the label tells]
    #[arg(long)]
    pub(crate) kind: Option<Task>,
    /// The project [default: the name of the file]
    #[arg(long, value_name = "NAME")]
    pub(crate) project: Option<ProjectName>,
    /// The folder to write into [default: that of the workspace, or this one]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) to: Option<PathBuf>,
    /// The format of the file: parquet, csv, tsv, jsonl or arrow [default: by content and name]
    #[arg(long, value_parser = format)]
    pub(crate) format: Option<Format>,
    /// How text with delimiters is read, as in a source of `custody.yaml`: `{nulls: [NA]}`
    #[arg(long, value_name = "YAML")]
    pub(crate) csv: Option<String>,
}

/// Add files or folders as a new version
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody put employment/raw data/people.parquet\n  custody put loans/model model/ --kind model\n  custody put loans/raw a.csv b.csv --classification personal\n  custody put loans/raw 2026/ --origin origin.yaml --purposes credit-scoring\n  custody put vendor/model model/ --kind model --verify --public-key vendor.pub\n\nA model is scanned before it is taken; exit code 6: it waits in quarantine for `custody approve`.\nTables of a dataset (CSV, TSV, JSON lines, Arrow) become Parquet."
)]
pub(crate) struct Put {
    /// The artifact that gets the version: project/artifact
    #[arg(add = ArgValueCompleter::new(completions::artifacts))]
    pub(crate) artifact: ArtifactName,
    /// The files and folders; of a folder its content is taken
    #[arg(required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// What it is: dataset, features, code, model, report or baseline
    #[arg(long, default_value = "dataset")]
    pub(crate) kind: Kind,
    /// How sensitive it is: public, internal, confidential, personal or special [default: confidential, or what
    /// the origin says]
    #[arg(long)]
    pub(crate) classification: Option<Classification>,
    /// The purposes that it may serve; without them any
    #[arg(long, value_delimiter = ',', value_name = "PURPOSE")]
    pub(crate) purposes: Vec<Purpose>,
    /// Where it came from: a file with `publisher`, `url`, `licence`, `legal_basis` and `classification`
    #[arg(long, value_name = "FILE")]
    pub(crate) origin: Option<PathBuf>,
    /// The format of a dataset's files: parquet, csv, tsv, jsonl, arrow, or files to keep them as they are [default:
    /// by content and name]
    #[arg(long, value_parser = format)]
    pub(crate) format: Option<Format>,
    /// How text with delimiters is read, as in a source of `custody.yaml`: '{header: true}'
    #[arg(long, value_name = "YAML")]
    pub(crate) csv: Option<String>,
    /// The types of columns, as in a source of `custody.yaml`: '{id: integer}'
    #[arg(long, value_name = "YAML")]
    pub(crate) columns: Option<String>,
    /// Take the model only if its signature holds
    #[arg(long)]
    pub(crate) verify: bool,
    /// Whom you trust.
    #[command(flatten)]
    pub(crate) trust: SignatureTrust,
}

/// Take the files of a version out of the workspace
///
/// What is taken out is in clear and no longer under control: the policy decides on it as `export`,
/// and the ledger says who took it. A model is accompanied by its signature, `model.sig`,
/// and by the attestations about it in `FOLDER.claims.jsonl` beside its folder.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody get employment/model@1\n  custody get employment/model@production --to /srv/model\n  custody get employment/raw@1 --purpose model-development"
)]
pub(crate) struct Get {
    /// The version: project/artifact, @number, @alias or @sha256:…
    #[arg(add = ArgValueCompleter::new(completions::references))]
    pub(crate) reference: Reference,
    /// The folder to make [default: the artifact's name and number]
    #[arg(long, value_name = "DIR")]
    pub(crate) to: Option<PathBuf>,
}

/// List versions
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody ls\n  custody ls employment/raw\n  custody ls --kind model\n  custody ls --quarantine     # what broke its contract or waits for an approval, and why"
)]
pub(crate) struct Ls {
    /// Only those of this project or artifact
    #[arg(add = ArgValueCompleter::new(completions::artifacts))]
    pub(crate) name: Option<String>,
    /// Only those of this kind
    #[arg(long)]
    pub(crate) kind: Option<Kind>,
    /// Those in quarantine
    #[arg(long)]
    pub(crate) quarantine: bool,
}

/// Show a version: its files, origin, results and signatures
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody show employment/model@1\n  custody show employment/checked --json"
)]
pub(crate) struct Show {
    /// The version: project/artifact, @number, @alias or @sha256:…
    #[arg(add = ArgValueCompleter::new(completions::references))]
    pub(crate) reference: Reference,
}

/// Commands that look at data.
#[derive(Debug, Subcommand)]
pub(crate) enum Data {
    Schema(DataSchema),
    Head(DataHead),
    Profile(DataProfile),
    Diff(DataDiff),
}

/// Show the columns of a table and how many rows it has
///
/// Columns are no values: who may list a version may see them.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  custody data schema employment/raw@1")]
pub(crate) struct DataSchema {
    /// The version: project/artifact, @number, @alias or @sha256:…
    #[arg(add = ArgValueCompleter::new(completions::references))]
    pub(crate) reference: Reference,
}

/// Show the first rows of a table
///
/// Shows values: the policy decides on it as `read` and as `readLog`, by which a step's output is seen.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody data head employment/raw@1\n  custody data head employment/raw --rows 50 --purpose model-development"
)]
pub(crate) struct DataHead {
    /// The version: project/artifact, @number, @alias or @sha256:…
    #[arg(add = ArgValueCompleter::new(completions::references))]
    pub(crate) reference: Reference,
    /// How many rows, at most 1000
    #[arg(short = 'n', long, default_value_t = 10)]
    pub(crate) rows: u64,
}

/// Show what a table looks like: missing values, quantiles, frequent values, repeated rows, personal columns
///
/// All figures are exact and computed over all rows. Shows values: the policy decides on it as `read` and as
/// `readLog`, by which a step's output is seen. That a column looks personal is a hint from its name and values;
/// that none does is no finding.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody data profile employment/raw@1\n  custody data profile employment/raw --column age --column sex\n  custody data profile employment/raw --json"
)]
pub(crate) struct DataProfile {
    /// The version: project/artifact, @number, @alias or @sha256:…
    #[arg(add = ArgValueCompleter::new(completions::references))]
    pub(crate) reference: Reference,
    /// Show everything about this column: frequent values and histogram too
    #[arg(long = "column", value_name = "NAME")]
    pub(crate) columns: Vec<String>,
}

/// Show what differs between two versions, row by row by a key
///
/// Columns that came, went or changed their type; rows that came, went or changed; how far each column moved: by the
/// distance of Kolmogorov and Smirnov for numbers, dates and times, by the population stability index for texts and
/// booleans. Shows figures made of values: the policy decides on it as `read` and as `readLog` of both versions.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody data diff employment/raw@1 employment/raw@2 --key id\n  custody data diff loans/raw@1 loans/raw@2 --key branch --key number --json"
)]
pub(crate) struct DataDiff {
    /// The version before: project/artifact, @number, @alias or @sha256:…
    #[arg(add = ArgValueCompleter::new(completions::references))]
    pub(crate) before: Reference,
    /// The version after
    #[arg(add = ArgValueCompleter::new(completions::references))]
    pub(crate) after: Reference,
    /// The column whose values say which rows are the same; several times where it takes several
    #[arg(long, value_name = "COLUMN", required = true)]
    pub(crate) key: Vec<String>,
}

/// Point an alias at a version
///
/// A gated alias, `production` where the policy says nothing else, moves only onto a model that passed its
/// gate and onto data that passed its contract, by these very bytes.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody alias employment/model staging 1\n  custody alias employment/model production 1    # gated: only what passed its gate\n  custody alias employment/model production 2 --expect 1    # only if it points to 1 now"
)]
pub(crate) struct AliasArgs {
    /// The artifact: project/artifact
    #[arg(add = ArgValueCompleter::new(completions::artifacts))]
    pub(crate) artifact: ArtifactName,
    /// The alias
    pub(crate) alias: Alias,
    /// The number of the version that it shall point to
    #[arg(value_parser = version_number)]
    pub(crate) to: VersionNumber,
    /// Move it only if it points to this version now
    #[arg(long, value_name = "NUMBER", value_parser = version_number)]
    pub(crate) expect: Option<VersionNumber>,
}

/// Run the pipeline of custody.yaml
///
/// Steps whose declaration and inputs have not changed are not run again: what they made is used. A
/// run that was interrupted goes on where it stopped.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody run\n  custody run --dry-run        # says what would run, and why\n  custody run strict           # this step and what it needs\n  custody run --set train.C=0.1 --set train.seed=7\n  custody run --jobs 1         # one step after the other\n\nCtrl-C ends the steps; what was made before is kept, and the next run goes on from there."
)]
pub(crate) struct Run {
    /// The steps to reach [default: all that are not marked as manual]
    pub(crate) targets: Vec<String>,
    /// Say what would run, and why; run nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Give a parameter of a `run` step another value, in YAML, for this run
    #[arg(long, value_name = "STEP.PARAMETER=VALUE")]
    pub(crate) set: Vec<String>,
    /// How many steps may run at once [default: as many as there are processors]
    #[arg(short = 'j', long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) jobs: Option<u32>,
}

/// Show what changed since the last run, and what would run
///
/// Compares files, parameters, inputs, packages and declarations with those of the last time, step by step.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody status\n  custody status train         # this step and what it needs"
)]
pub(crate) struct Status {
    /// The steps to look at, with what they need [default: all]
    pub(crate) targets: Vec<String>,
}

/// Show the figures of models, evaluations and runs
///
/// What programs logged and what was measured, by the step and the name of the figure.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody metrics                        # the newest models and evaluations of this project\n  custody metrics employment/model@1 employment/model@2\n  custody metrics 0198f2c4-…              # everything that a run made"
)]
pub(crate) struct Metrics {
    /// Versions (project/artifact, @number, @alias) or ids of runs
    #[arg(add = ArgValueCompleter::new(completions::references))]
    pub(crate) references: Vec<String>,
}

/// Show two models or runs side by side: parameters, figures, data, code, environment
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody compare employment/model@1 employment/model@2\n  custody compare employment/model@production employment/model --all"
)]
pub(crate) struct Compare {
    /// A version, or the id of a run
    #[arg(add = ArgValueCompleter::new(completions::references))]
    pub(crate) a: String,
    /// Another
    #[arg(add = ArgValueCompleter::new(completions::references))]
    pub(crate) b: String,
    /// Show what is equal, too
    #[arg(long)]
    pub(crate) all: bool,
}

/// Show what a version was made from, back to the source
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody trace employment/model@1\n  custody trace employment/raw@1 --down       # everything made from it\n  custody trace employment/model@1 --svg lineage.svg"
)]
pub(crate) struct Trace {
    /// The version: project/artifact, @number, @alias or @sha256:…
    #[arg(add = ArgValueCompleter::new(completions::references))]
    pub(crate) reference: Reference,
    /// Show what was made from it instead
    #[arg(long)]
    pub(crate) down: bool,
    /// Draw it into this file
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
}

/// Verify a version: bytes, signatures, provenance, contract, gates, ledger
///
/// Needs no network. Says which kinds of evidence do not exist. Ends with 0 only if every check holds and
/// nothing that is required is missing; with 4 and the name of the broken thing if one does not hold; with 1
/// and the name of the missing evidence if all hold. The policy may require evidence of every version of a
/// kind: `require` in `settings.json`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody verify employment/model@1\n  custody verify employment/model@1 --require gate,contract,scan,signature\n  custody verify --all"
)]
pub(crate) struct Verify {
    /// The version: project/artifact, @number, @alias or @sha256:…
    #[arg(required_unless_present = "all", add = ArgValueCompleter::new(completions::references))]
    pub(crate) reference: Option<Reference>,
    /// Everything in the workspace
    #[arg(long, conflicts_with = "reference")]
    pub(crate) all: bool,
    /// The evidence that must be there: gate, contract, scan, signature; with `--all`, of every model
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    pub(crate) require: Vec<EvidenceKind>,
}

/// Run the steps that made a version again and compare, bit for bit
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  custody reproduce employment/model@1")]
pub(crate) struct Reproduce {
    /// The version: project/artifact, @number, @alias or @sha256:…
    #[arg(add = ArgValueCompleter::new(completions::references))]
    pub(crate) reference: Reference,
}

/// Commands on the ledger.
#[derive(Debug, Subcommand)]
pub(crate) enum Ledger {
    Log(LedgerLog),
    /// Check the whole ledger: every entry, tile, proof and the signed checkpoint
    #[command(after_help = "Example:\n  custody ledger verify")]
    Verify,
    Export(LedgerExport),
    AcceptRollback(AcceptRollback),
}

/// Go on with a ledger that is not the one that was here before
///
/// Every other command is refused when the workspace is an older copy, or another, than the one that you
/// saw last. Put the newest copy back where there is one: what came after it is lost otherwise, and nobody
/// can tell any more what it said. Who accepted what, and why, is entered in the ledger.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  custody ledger accept-rollback 0198c7f2-… --reason \"the disk died; the copy of Monday is the newest\""
)]
pub(crate) struct AcceptRollback {
    /// The id of the workspace, to say that you mean this one: the refusal tells it
    #[arg(value_name = "WORKSPACE")]
    pub(crate) id: String,
    /// What happened to the newer state
    #[arg(long)]
    pub(crate) reason: String,
}

/// Show entries of the ledger, oldest first
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody ledger log\n  custody ledger log --actor ada --since 2026-11-01T00:00:00Z\n  custody ledger log --action object.read --resource employment/raw\n  custody ledger log --outcome denied"
)]
pub(crate) struct LedgerLog {
    /// Only those of this actor: an account name or a pseudonym
    #[arg(long)]
    pub(crate) actor: Option<String>,
    /// Only those with this verb, or the part before its dot
    #[arg(long)]
    pub(crate) action: Option<String>,
    /// Only those on resources whose name starts so
    #[arg(long)]
    pub(crate) resource: Option<String>,
    /// Only those that ended so
    #[arg(long)]
    pub(crate) outcome: Option<OutcomeArg>,
    /// Not before this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Timestamp>,
    /// Before this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<Timestamp>,
    /// At most this many, the newest
    #[arg(short = 'n', long, default_value_t = 50)]
    pub(crate) limit: u64,
}

/// How an access ended.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum OutcomeArg {
    /// It was done.
    Ok,
    /// The policy refused it.
    Denied,
    /// It failed.
    Error,
}

/// Copy the ledger into a folder, in the static layout that third-party verifiers read
///
/// The layout is that of C2SP tlog-tiles: `checkpoint`, `tile/…`; beside it `vkey`, the key that
/// signs the checkpoint.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  custody ledger export audit/")]
pub(crate) struct LedgerExport {
    /// The folder to make
    pub(crate) to: PathBuf,
}

/// Commands on the policies.
#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Show the policies in force
    #[command(after_help = "Example:\n  custody policy show")]
    Show,
    Apply(PolicyApply),
}

/// Put the files of a folder in force, beside the built-in policy
///
/// The files are validated first; with any fault nothing changes.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  custody policy apply policies/")]
pub(crate) struct PolicyApply {
    /// The folder with `*.cedar` files and `principals.json`
    #[arg(default_value = "policies")]
    pub(crate) folder: PathBuf,
}

/// Commands on the index.
#[derive(Debug, Subcommand)]
pub(crate) enum Index {
    /// Rebuild the index from the store and the ledger
    #[command(after_help = "Example:\n  custody index rebuild")]
    Rebuild,
}

/// Say what this machine offers: isolation, keys, clock, disk; and what to do where something lacks
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  custody doctor")]
pub(crate) struct Doctor {}

/// Print the completion script for a shell
///
/// Completes the names of artifacts and versions, too.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  source <(custody completions bash)\n  custody completions zsh > ~/.zfunc/_custody"
)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: ShellArg,
}

/// The shells.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ShellArg {
    /// GNU Bash.
    Bash,
    /// Z shell.
    Zsh,
    /// Fish.
    Fish,
    /// PowerShell.
    Powershell,
    /// Elvish.
    Elvish,
}

/// Scan model files: what would loading them do?
///
/// Works on files and folders anywhere, without a workspace. Formats are recognised by content; nothing
/// is loaded or executed. Only what is understood to its last byte and allowed by the rules is `clean`;
/// what the rules do not know is for `review`, what cannot be read whole is `unscannable`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody scan model.pkl\n  custody scan downloads/ --json\n  custody scan model/ --format sarif > scan.sarif\n  custody scan model.joblib --rules acme.json --rules-key acme.pub\n  custody scan model.joblib --trial-load --environment requirements.lock\n\nExit codes: 0 clean, 1 something was found, 2 could not tell."
)]
pub(crate) struct Scan {
    /// The files and folders
    #[arg(required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t = ScanFormat::Text)]
    pub(crate) format: ScanFormat,
    /// Write the findings as SARIF 2.1.0 to this file as well
    #[arg(long, value_name = "FILE")]
    pub(crate) sarif: Option<PathBuf>,
    /// Tell of clean files and of notes, too
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
    /// Load each model with its own library in the sandbox as well, and tell what it reaches for
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
/// New rules may think otherwise of a model that is there already. Each content is scanned once, in the
/// sandbox; what came out is signed and entered, and a model that is not clean any more goes into quarantine.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody rescan                     # models that were scanned by other rules than those in force\n  custody rescan --all\n  custody rescan employment/model@1\n\nExit codes: 0 all may be used, 1 one may not, 6 one waits for an approval."
)]
pub(crate) struct Rescan {
    /// The version [default: every model]
    #[arg(add = ArgValueCompleter::new(completions::references))]
    pub(crate) reference: Option<Reference>,
    /// Those too that were scanned by the rules in force
    #[arg(long)]
    pub(crate) all: bool,
}

/// Let a version out of quarantine
///
/// A model that a scan left to a person, or data that broke its contract, by its bytes. The reason is kept in a
/// signed statement, and the same findings in the same bytes, or the same contract broken by them, need no
/// second approval. Steps that wait for a broken contract go on waiting: a step that is to read an approved batch names
/// its version. Nobody approves what they made, unless they own the workspace; what is malicious or unscannable nobody
/// can approve.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody ls --quarantine\n  custody show vendor/model@1\n  custody approve vendor/model@1 --reason \"vendor.layers read line by line, ticket 4711\""
)]
pub(crate) struct Approve {
    /// The version
    #[arg(add = ArgValueCompleter::new(completions::references))]
    pub(crate) reference: Reference,
    /// What was looked at, and why it may be used
    #[arg(long)]
    pub(crate) reason: String,
}

/// Sign a model on the disk, as the OpenSSF Model Signing specification 1.0 asks
///
/// Works anywhere, without a workspace and without a network. The key is a file, lies in a PKCS#11 token, or is
/// that of your organisation's authority, which then issues a certificate for this one signature, valid for ten
/// minutes and bound to who calls.
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
    /// Where the signature is written [default: model.sig in the folder, or FILE.sig]
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
    /// The key is that of this authority: its certificate and those above it, in PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) authority: Option<PathBuf>,
    /// Whom the authority's certificate names [default: custody://accounts/ACCOUNT]
    #[arg(long, value_name = "NAME", requires = "authority")]
    pub(crate) identity: Option<String>,
    /// With which function files are digested
    #[arg(long, value_enum, default_value_t = SignHash::Sha256)]
    pub(crate) hash: SignHash,
    /// Digest files in pieces of so many bytes instead of whole
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

/// Verify the signature of a model on the disk
///
/// Works anywhere, without a workspace and without a network. Fails closed: on a signer that is not the
/// expected one, an expired certificate, a changed, missing or additional file, and on files that the signer
/// left out.
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
    /// Whoever a trusted authority vouches for will do
    #[arg(long, conflicts_with = "signer")]
    pub(crate) any_identity: bool,
    /// Tell of files that were not signed instead of refusing them
    #[arg(long)]
    pub(crate) allow_unlisted: bool,
    /// A path that the signer may have left out
    #[arg(long, value_name = "PATH")]
    pub(crate) may_leave_out: Vec<String>,
}

/// Have a timestamp authority prove when a signature was made (RFC 3161)
///
/// A signature with a certificate holds only while the certificate does, unless its time is proven. Without a
/// network of its own: write the question, send it, and put the answer into the signature, where it is
/// verified first.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody stamp model.sig --query stamp.tsq\n  curl --data-binary @stamp.tsq --header 'Content-Type: application/timestamp-query' --output stamp.tsr https://tsa.example.org\n  custody stamp model.sig --response stamp.tsr --timestamp-authority tsa.pem"
)]
pub(crate) struct Stamp {
    /// The signature
    pub(crate) signature: PathBuf,
    /// Write the question to this file
    #[arg(long, value_name = "FILE", required_unless_present = "response")]
    pub(crate) query: Option<PathBuf>,
    /// The answer of the authority
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

/// Print what a model was made of, as a CycloneDX 1.6 document
///
/// Told from the evidence: the model with its files, parameters and measured figures; the data, code and
/// packages that went in, with licences and origins; the attestations. The same version gives the same bytes.
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

/// Print the attestations about a version, a Sigstore bundle a line
///
/// How it was made, what the scans said, who approved it: whoever has the workspace's public key can check
/// them anywhere. `custody get` of a model writes them beside its folder.
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
    /// Use rule packs without a signature: while you write them
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

/// Put rule packs in force in this workspace, after the built-in one
///
/// They replace the packs that were in force before. Models already stored are scanned by them with
/// `custody rescan`.
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

/// Ask what the rules say of names
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody rules test os:system sklearn.svm._classes:SVC\n  custody rules test acme.models:Scorer --rules acme.json --unsigned-rules\n  custody rules test ReadFile MatMul --section tensorflow\n\nExit code 0 if all are allowed, 1 otherwise."
)]
pub(crate) struct RulesTest {
    /// The names; in the section `pickle` they are module:name
    #[arg(required = true)]
    pub(crate) names: Vec<String>,
    /// The section of the rules
    #[arg(long, default_value = "pickle", value_parser = clap::builder::PossibleValuesParser::new(custody_scan::rules::SECTIONS))]
    pub(crate) section: String,
    /// The rules.
    #[command(flatten)]
    pub(crate) rules: RulesOptions,
}

/// Sign a rule pack
///
/// Writes the signature beside the pack, with `.sig` at the end of its name.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  custody rules sign acme.json --key acme.pem")]
pub(crate) struct RulesSign {
    /// The pack
    pub(crate) pack: PathBuf,
    /// The P-256 private key, PKCS#8 in PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
}

/// Reads `employment` as a project and `employment/raw` as an artifact.
pub(crate) fn project_or_artifact(
    text: Option<&str>,
) -> Result<(Option<ProjectName>, Option<ArtifactName>), custody_types::NameError> {
    match text {
        None => Ok((None, None)),
        Some(text) if text.contains('/') => Ok((None, Some(text.parse()?))),
        Some(text) => Ok((Some(text.parse()?), None)),
    }
}

fn version_number(text: &str) -> Result<VersionNumber, String> {
    let number: u32 = text
        .parse()
        .map_err(|_| "write a number, such as 1".to_owned())?;
    VersionNumber::new(number).ok_or_else(|| "versions count from 1".to_owned())
}

/// Reads the word of a format.
fn format(word: &str) -> Result<Format, String> {
    serde_json::from_value(serde_json::Value::from(word))
        .map_err(|_| "there are parquet, csv, tsv, jsonl, arrow and files".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_grammar_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example() {
        fn check(command: &clap::Command) {
            if command.has_subcommands() {
                command
                    .get_subcommands()
                    .filter(|c| c.get_name() != "help")
                    .for_each(check);
            } else {
                let help = command
                    .get_after_help()
                    .map(ToString::to_string)
                    .unwrap_or_default();
                assert!(
                    help.contains("Example"),
                    "`{}` has no example",
                    command.get_name()
                );
            }
        }
        check(&Cli::command());
    }
}
