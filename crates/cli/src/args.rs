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

mod models;

pub(crate) use models::*;

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
    /// Do not wait for another process that works in the workspace
    #[arg(long, global = true)]
    pub(crate) no_wait: bool,
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
    Runs(Runs),
    Status(Status),
    Metrics(Metrics),
    Compare(Compare),
    Trace(Trace),
    Verify(Verify),
    Reproduce(Reproduce),
    Scan(Scan),
    Rescan(Rescan),
    Approve(Approve),
    Reject(Reject),
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
    /// See and remove the installed environments, which stand in clear outside of the workspace
    #[command(subcommand)]
    Cache(Cache),
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
    /// At most this many
    #[arg(short = 'n', long, default_value_t = PAGE, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: u64,
    /// Those after the page that said so
    #[arg(long, value_name = "CURSOR")]
    pub(crate) after: Option<String>,
}

/// How many versions are listed when nothing else is said.
pub(crate) const PAGE: u64 = 100;

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

/// See which runs there are, how they go, and cancel one
///
/// All of it is read from the ledger, so it is told of runs of every process, and of those that a crash cut off.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  custody runs\n  custody runs --project employment\n  custody runs show 0190a3c4-…            # its steps, until now\n  custody runs show 0190a3c4-… --follow   # until it ends\n  custody runs cancel 0190a3c4-…"
)]
pub(crate) struct Runs {
    /// What to do [default: list them, the newest first]
    #[command(subcommand)]
    pub(crate) command: Option<RunsCommand>,
    /// Which to list.
    #[command(flatten)]
    pub(crate) list: RunsList,
}

/// Which runs to list.
#[derive(Debug, Args)]
pub(crate) struct RunsList {
    /// Only those of this project
    #[arg(long)]
    pub(crate) project: Option<ProjectName>,
    /// At most this many, the newest
    #[arg(short = 'n', long, default_value_t = RUNS_PAGE, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: u64,
    /// Older ones than those of the page that said so
    #[arg(long, value_name = "CURSOR")]
    pub(crate) after: Option<String>,
}

/// How many runs are listed when nothing else is said.
pub(crate) const RUNS_PAGE: u64 = 20;

/// What to do with a run.
#[derive(Debug, Subcommand)]
pub(crate) enum RunsCommand {
    Show(RunShow),
    Cancel(RunCancel),
}

/// Show a run and how its steps went
///
/// What the steps print is not kept, so it is shown by `custody run` alone.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody runs show 0190a3c4-…\n  custody runs show 0190a3c4-… --follow\n  custody --json runs show 0190a3c4-… --follow --after 120   # goes on after that entry"
)]
pub(crate) struct RunShow {
    /// The run's id, as `custody runs` says it
    pub(crate) id: String,
    /// Tell what happens until the run ends; with --json a line each
    #[arg(long)]
    pub(crate) follow: bool,
    /// Only what happened after this ledger entry
    #[arg(long, value_name = "ENTRY", requires = "follow")]
    pub(crate) after: Option<u64>,
}

/// End a run that goes on
///
/// Its steps are ended, and none starts any more. What was made before is kept, and the next run goes on from there.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  custody runs cancel 0190a3c4-…")]
pub(crate) struct RunCancel {
    /// The run's id, as `custody runs` says it
    pub(crate) id: String,
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

/// Verify a version: bytes, signatures, provenance, contract, gates, its place in the ledger
///
/// Takes the same time however long the ledger is; `custody ledger verify` and `--all` read all of it.
/// Needs no network. Says which kinds of evidence do not exist. Ends with 0 only if every check holds and
/// nothing that is required is missing; with 4 and the name of the broken thing if one does not hold; with 1
/// and the name of the missing evidence if all hold; with 3 if it was made from what is of projects that you
/// may not verify. The policy may require evidence of every version of a
/// kind: `require` in `settings.json`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody verify employment/model@1\n  custody verify employment/model@1 --require gate,contract,scan,signature\n  custody verify --all"
)]
pub(crate) struct Verify {
    /// The version: project/artifact, @number, @alias or @sha256:…
    #[arg(required_unless_present = "all", add = ArgValueCompleter::new(completions::references))]
    pub(crate) reference: Option<Reference>,
    /// Everything in the workspace, every entry of the ledger included
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
    /// Only those on resources whose name starts so; with a number, on that version
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
    #[arg(short = 'n', long, default_value_t = LOG_PAGE, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: u64,
    /// Older ones than those of the page that said so
    #[arg(long, value_name = "CURSOR")]
    pub(crate) after: Option<String>,
}

/// How many entries are shown when nothing else is said.
pub(crate) const LOG_PAGE: u64 = 50;

/// How an access ended.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum OutcomeArg {
    /// It was done.
    Ok,
    /// The policy refused it.
    Denied,
    /// It failed.
    Error,
    /// The process ended before it could say.
    Unknown,
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
/// The files are validated first; with any fault nothing changes. Policies that nobody could change any more are refused, and who
/// does not own the workspace can permit nothing that was not, nor take a role.
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

/// Commands on the cache.
#[derive(Debug, Subcommand)]
pub(crate) enum Cache {
    /// List the installed environments, with their sizes
    #[command(after_help = "Example:\n  custody cache ls")]
    Ls,
    Clean(CacheClean),
}

/// Remove the installed environments that no running command uses
///
/// They hold public packages and nothing of yours. The next run installs what it needs again from its lock file and the
/// package registry; `reproduce` takes it from the store.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  custody cache clean --dry-run\n  custody cache clean")]
pub(crate) struct CacheClean {
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
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
