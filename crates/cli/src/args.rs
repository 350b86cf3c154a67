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
mod policies;
mod servers;

pub(crate) use models::*;
pub(crate) use policies::*;
pub(crate) use servers::*;

/// The chain of custody for machine learning: from collected data to a signed model, with proof.
///
/// Every command works on the workspace in the current folder or the nearest folder above it. The workspace's
/// policy decides each access, and its ledger records the decision before the access happens.
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
    /// Act as another account, with its rights alone: `ada`, `service:nightly`
    #[arg(long = "as", value_name = "NAME", global = true)]
    pub(crate) act_as: Option<String>,
    /// The purpose of the access. It must be declared, allowed for the data and, unless you own the workspace, granted
    /// to you
    #[arg(long, value_name = "PURPOSE", global = true)]
    pub(crate) purpose: Option<Purpose>,
    /// The folder of the workspace [default: this folder, or the nearest one above that has a workspace]
    #[arg(short = 'C', long, value_name = "DIR", global = true)]
    pub(crate) workspace: Option<PathBuf>,
    /// The key file [default: CUSTODY_KEY_FILE, or keys/WORKSPACE.key in the user's settings folder]
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) key_file: Option<PathBuf>,
    /// Do not wait for another process that is using the workspace
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
    Evaluation(Evaluation),
    Compare(Compare),
    Trace(Trace),
    Verify(Verify),
    Reproduce(Reproduce),
    Scan(Scan),
    Rescan(Rescan),
    /// List the decisions of gates that wait for approvals
    #[command(after_help = "Example:\n  custody approvals")]
    Approvals,
    Approve(Approve),
    Reject(Reject),
    Remove(Remove),
    Shred(Shred),
    Sign(SignArgs),
    VerifySignature(VerifySignature),
    #[command(alias = "stamp")]
    Timestamp(TimestampArgs),
    Bom(Bom),
    Claims(Claims),
    /// Show, test, sign and apply the rules by which models are scanned
    #[command(subcommand)]
    Rules(RulesCommand),
    /// Read, check and copy the ledger
    #[command(subcommand)]
    Ledger(Ledger),
    /// Show and change the policies in force
    #[command(subcommand)]
    Policy(Policy),
    /// Show and change who there is: accounts, groups, and the roles and purposes that they have
    #[command(subcommand)]
    Account(Account),
    Serve(Serve),
    /// Give a server that was started without the passphrase of its key file what it waits for, on its machine
    ///
    /// The passphrase comes from CUSTODY_PASSPHRASE, or is asked for. Run it as the user that runs the server.
    #[command(after_help = "Example:\n  custody unseal")]
    Unseal,
    /// See what a server counts of its work
    #[command(subcommand)]
    Server(ServerCommand),
    Login(LoginArgs),
    /// Forget the server that somebody logged in to; its token goes on to count until it is revoked
    #[command(after_help = "Example:\n  custody logout")]
    Logout,
    /// Make, list and take back tokens, by which accounts are known over the network
    #[command(subcommand)]
    Token(Token),
    /// Show which keys are in use, and let new ones take their place
    #[command(subcommand)]
    Keys(Keys),
    /// Maintain the index, which can be rebuilt from the store and the ledger
    #[command(subcommand)]
    Index(Index),
    /// List and remove installed environments, which are stored unencrypted outside the workspace
    #[command(subcommand)]
    Cache(Cache),
    Doctor(Doctor),
    Completions(Completions),
}

/// Create a workspace in this folder
///
/// Creates the folder `.custody` with the encrypted store and the ledger, and outside of it a key file that only
/// you can read. If you lose the key file, you lose the data: keep a copy in a safe place.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody init\n  custody init --passphrase     # from CUSTODY_PASSPHRASE or standard input\n  custody init --key-file /media/stick/team.key"
)]
pub(crate) struct Init {
    /// Also protect the key file with a passphrase
    #[arg(long)]
    pub(crate) passphrase: bool,
}

/// Start a project from a table: writes a complete pipeline that runs as it is
///
/// Reads every row and writes `custody.yaml` - column types, a contract that the table meets, a split, training,
/// evaluation, a gate, registration - together with the training program and the list of packages it needs. Existing
/// files are never overwritten. The files are a proposal for you to edit: they contain values from your table (limits,
/// lists of allowed values), and comments say how to change each part.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody new loans.csv --label defaulted\n  custody new iris.csv --label species --kind multiclass\n  custody new ../exports/houses.parquet --label price --to houses\n  custody new loans.csv --label defaulted --csv '{nulls: [NA]}'\n  custody new people.csv                        # source and contract, no model\n\nThen `custody init`, `custody run`, `custody verify PROJECT/model@1`."
)]
pub(crate) struct New {
    /// The file with the table: Parquet, CSV, TSV, JSON lines or Arrow
    pub(crate) file: PathBuf,
    /// The column that the model should predict; without it, no model is trained
    #[arg(long, value_name = "COLUMN")]
    pub(crate) label: Option<String>,
    /// The task: binary, multiclass, regression or none [default: determined by the label]
    #[arg(long)]
    pub(crate) kind: Option<Task>,
    /// The project [default: the name of the file]
    #[arg(long, value_name = "NAME")]
    pub(crate) project: Option<ProjectName>,
    /// The folder to write to [default: the workspace's folder, or this one]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) to: Option<PathBuf>,
    /// The format of the file: parquet, csv, tsv, jsonl or arrow [default: by content and name]
    #[arg(long, value_parser = format)]
    pub(crate) format: Option<Format>,
    /// How to read delimited text, as in a source in `custody.yaml`: `{nulls: [NA]}`
    #[arg(long, value_name = "YAML")]
    pub(crate) csv: Option<String>,
}

/// Add files or folders as a new version
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody put employment/raw data/people.parquet\n  custody put loans/model model/ --kind model\n  custody put loans/raw a.csv b.csv --classification personal\n  custody put loans/raw 2026/ --origin origin.yaml --purposes credit-scoring\n  custody put publisher/model model/ --kind model --verify --public-key publisher.pub\n\nA model is scanned before it is taken; exit code 6: it waits in quarantine for `custody approve`.\nTables of a dataset (CSV, TSV, JSON lines, Arrow) become Parquet."
)]
pub(crate) struct Put {
    /// The artifact to add the version to: project/artifact
    #[arg(add = ArgValueCompleter::new(completions::artifacts))]
    pub(crate) artifact: ArtifactName,
    /// The files and folders; for a folder, its contents are added
    #[arg(required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// What it is: dataset, features, code, model, report or baseline
    #[arg(long, default_value = "dataset")]
    pub(crate) kind: Kind,
    /// How sensitive it is: public, internal, confidential, personal or special [default: confidential, or what
    /// the origin says]
    #[arg(long)]
    pub(crate) classification: Option<Classification>,
    /// The purposes it may be used for [default: any]
    #[arg(long, value_delimiter = ',', value_name = "PURPOSE")]
    pub(crate) purposes: Vec<Purpose>,
    /// Where it came from: a file with `publisher`, `url`, `licence`, `legal_basis` and `classification`
    #[arg(long, value_name = "FILE")]
    pub(crate) origin: Option<PathBuf>,
    /// The format of a dataset's files: parquet, csv, tsv, jsonl, arrow, or files to keep them unchanged [default:
    /// by content and name]
    #[arg(long, value_parser = format)]
    pub(crate) format: Option<Format>,
    /// How to read delimited text, as in a source in `custody.yaml`: '{header: true}'
    #[arg(long, value_name = "YAML")]
    pub(crate) csv: Option<String>,
    /// The column types, as in a source in `custody.yaml`: '{id: integer}'
    #[arg(long, value_name = "YAML")]
    pub(crate) columns: Option<String>,
    /// Add the model only if its signature is valid
    #[arg(long)]
    pub(crate) verify: bool,
    /// Whom you trust.
    #[command(flatten)]
    pub(crate) trust: SignatureTrust,
}

/// Export the files of a version from the workspace
///
/// Exported files are unencrypted and no longer under Custody's control: the policy decides on the action `export`,
/// and the ledger records who exported them. A model comes with its signature, `model.sig`, and with the
/// attestations about it in `FOLDER.claims.jsonl` next to its folder.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody get employment/model@1\n  custody get employment/model@production --to /srv/model\n  custody get employment/raw@1 --purpose model-development"
)]
pub(crate) struct Get {
    /// The version: project/artifact, @number, @alias or @sha256:…
    #[arg(add = ArgValueCompleter::new(completions::references))]
    pub(crate) reference: Reference,
    /// The folder to create [default: the artifact's name and number]
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
    /// Only those in quarantine
    #[arg(long)]
    pub(crate) quarantine: bool,
    /// The projects alone
    #[arg(long, conflicts_with_all = ["name", "kind", "quarantine"])]
    pub(crate) projects: bool,
    /// At most this many
    #[arg(short = 'n', long, default_value_t = PAGE, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: u64,
    /// Continue after the page that gave this cursor
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
/// Column names and types are not values: whoever may list a version may see them.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  custody data schema employment/raw@1")]
pub(crate) struct DataSchema {
    /// The version: project/artifact, @number, @alias or @sha256:…
    #[arg(add = ArgValueCompleter::new(completions::references))]
    pub(crate) reference: Reference,
}

/// Show the first rows of a table
///
/// This shows values, so the policy must allow both `read` and `readLog` (seeing the output of steps).
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
/// All figures are exact and computed over all rows. This shows values, so the policy must allow both `read` and
/// `readLog` (seeing the output of steps). That a column looks personal is a hint from its name and values; the
/// absence of a hint proves nothing.
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
/// Shows columns that were added, removed or changed type; rows that were added, removed or changed; and how far each
/// column has drifted: by the Kolmogorov-Smirnov distance for numbers, dates and times, and by the population
/// stability index for texts and booleans. The policy must allow both `read` and `readLog` for both versions.
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
    /// The column whose values identify a row; repeat it for a key of several columns
    #[arg(long, value_name = "COLUMN", required = true)]
    pub(crate) key: Vec<String>,
}

/// Point an alias at a version
///
/// A gated alias (`production`, unless the policy says otherwise) moves only to a model that passed its gate, or to
/// data that passed its contract, with exactly these bytes.
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
    /// The number of the version to point to
    #[arg(value_parser = version_number)]
    pub(crate) to: VersionNumber,
    /// Move it only if it points to this version now
    #[arg(long, value_name = "NUMBER", value_parser = version_number)]
    pub(crate) expect: Option<VersionNumber>,
}

/// Run the pipeline of custody.yaml
///
/// Steps whose declaration and inputs have not changed are not run again; their earlier outputs are reused. An
/// interrupted run continues where it stopped.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody run\n  custody run --dry-run        # says what would run, and why\n  custody run strict           # this step and what it needs\n  custody run --set train.C=0.1 --set train.seed=7\n  custody run --jobs 1         # one step after the other\n\nCtrl-C ends the steps; what was made before is kept, and the next run goes on from there."
)]
pub(crate) struct Run {
    /// The steps to reach [default: all that are not marked as manual]
    pub(crate) targets: Vec<String>,
    /// Show what would run and why, but run nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Set a parameter of a `run` step for this run only; the value is YAML
    #[arg(long, value_name = "STEP.PARAMETER=VALUE")]
    pub(crate) set: Vec<String>,
    /// How many steps may run at once [default: as many as there are processors]
    #[arg(short = 'j', long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) jobs: Option<u32>,
    /// Run a copy of what the project's folder holds now, which is kept: the pipeline file, the code, the lock files and the
    /// sources' files become versions. What changes in the folder meanwhile changes nothing
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) snapshot: bool,
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
/// Compares files, parameters, inputs, packages and declarations with those of the last run, step by step.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody status\n  custody status train         # this step and what it needs"
)]
pub(crate) struct Status {
    /// The steps to check, including those they depend on [default: all]
    pub(crate) targets: Vec<String>,
}

/// Show the figures of models, evaluations and runs
///
/// Lists what programs logged and what evaluations measured, by step and name.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody metrics                        # the newest models and evaluations of this project\n  custody metrics employment/model@1 employment/model@2\n  custody metrics 0198f2c4-…              # everything that a run made"
)]
pub(crate) struct Metrics {
    /// Versions (project/artifact, @number, @alias) or ids of runs [default: the newest of each model and report of the
    /// project]
    #[arg(add = ArgValueCompleter::new(completions::references))]
    pub(crate) references: Vec<String>,
    /// The project whose newest are shown [default: the one of `custody.yaml`]
    #[arg(long, conflicts_with = "references")]
    pub(crate) project: Option<ProjectName>,
    /// At most this many models and reports of the project
    #[arg(short = 'n', long, default_value_t = METRICS_PAGE, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: u64,
    /// Those after the page that said so
    #[arg(long, value_name = "CURSOR", conflicts_with = "references")]
    pub(crate) after: Option<String>,
}

/// How many models and reports `metrics` shows when nothing else is said.
pub(crate) const METRICS_PAGE: u64 = 100;

/// Show what an evaluation measured, as its report has it
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  custody evaluation employment/evaluation@1\n  custody evaluation employment/evaluation --json"
)]
pub(crate) struct Evaluation {
    /// The report: project/artifact, @number, @alias or @sha256:…
    #[arg(add = ArgValueCompleter::new(completions::references))]
    pub(crate) reference: Reference,
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
    /// Also show what is equal
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
    /// Draw it as SVG to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
}

/// Verify a version: bytes, signatures, provenance, contract, gates, its place in the ledger
///
/// Takes the same time however long the ledger is; `custody ledger verify` and `--all` read all of it. Needs no
/// network. Reports which kinds of evidence do not exist. The exit code is 0 if every check passes and no required
/// evidence is missing; 4 if a check fails, with the name of what is broken; 1 if only required evidence is missing,
/// with its name; 3 if part of its history belongs to projects that you may not verify. The policy can require evidence for every version of a kind: `require` in `settings.json`.
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
    /// The evidence that must exist: gate, contract, scan, signature; with `--all`, for every model
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
    Show(LedgerShow),
    /// Check the whole ledger: every entry, tile, proof and the signed checkpoint
    #[command(after_help = "Example:\n  custody ledger verify")]
    Verify,
    Export(LedgerExport),
    AcceptRollback(AcceptRollback),
}

/// Accept a ledger that was rolled back or replaced
///
/// Every other command is refused if the workspace is an older copy than the one you saw last, or a different one.
/// Restore the newest copy if there is one: otherwise everything recorded after this copy is lost for good. The ledger
/// records who accepted the rollback, and why.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  custody ledger accept-rollback 0198c7f2-… --reason \"the disk died; the copy of Monday is the newest\""
)]
pub(crate) struct AcceptRollback {
    /// The id of the workspace, to confirm that you mean this one; the error message contains it
    #[arg(value_name = "WORKSPACE")]
    pub(crate) id: String,
    /// What happened to the newer state
    #[arg(long)]
    pub(crate) reason: String,
}

/// Show one entry of the ledger as it stands there
///
/// With `--json` also the proof that it is in the ledger (RFC 6962), and the signed checkpoint that the proof leads to.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  custody ledger show 12\n  custody ledger show 12 --json")]
pub(crate) struct LedgerShow {
    /// Its place, counted from 0
    pub(crate) index: u64,
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
    /// Only those on resources whose name starts with this; with a number, only on that version
    #[arg(long)]
    pub(crate) resource: Option<String>,
    /// Only those with this outcome
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
    /// Continue with entries older than the page that gave this cursor
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
/// The layout is that of C2SP tlog-tiles: `checkpoint` and `tile/…`, plus `vkey`, the key that verifies the
/// checkpoint.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  custody ledger export audit/")]
pub(crate) struct LedgerExport {
    /// The folder to create
    pub(crate) to: PathBuf,
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
/// They contain public packages and none of your data. The next run reinstalls what it needs from its lock file and the
/// package registry; `reproduce` takes it from the store.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  custody cache clean --dry-run\n  custody cache clean")]
pub(crate) struct CacheClean {
    /// Show what would be removed, but remove nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Check what this machine offers (isolation, keys, clock, disk) and say how to fix what is missing
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  custody doctor")]
pub(crate) struct Doctor {}

/// Print the completion script for a shell
///
/// It also completes the names of artifacts and versions.
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
