//! The commands, one short file each.

mod account;
mod alias;
mod approvals;
mod approve;
mod bom;
mod cache;
mod compare;
mod data;
mod doctor;
mod get;
mod index;
mod init;
mod keys;
mod ledger;
mod login;
mod ls;
mod metrics;
mod new;
mod policy;
mod policy_tools;
mod providers;
mod put;
mod reject;
mod remove;
mod reproduce;
mod rescan;
mod rules;
mod run;
mod runs;
pub(crate) mod scan;
mod serve;
mod server;
mod show;
mod shred;
mod sign;
mod snapshot;
mod status;
mod token;
mod trace;
mod unseal;
mod verify;
mod watching;

use custody_types::{ExitCode, Problem};

use crate::args::{
    Cache, Command, Data, Index, Keys, Ledger, Policy, RulesCommand, ServerCommand, Token,
};
use crate::completions;
use crate::context::Context;

/// Carries out a command and returns the exit code of its answer.
pub(crate) fn dispatch(context: &Context, command: Command) -> Result<ExitCode, Problem> {
    match command {
        Command::Init(args) => init::run(context, &args),
        Command::New(args) => new::run(context, args),
        Command::Put(args) => put::run(context, args),
        Command::Get(args) => get::run(context, args),
        Command::Ls(args) => ls::run(context, &args),
        Command::Show(args) => show::run(context, &args),
        Command::Data(Data::Schema(args)) => data::schema(context, &args),
        Command::Data(Data::Head(args)) => data::head(context, &args),
        Command::Data(Data::Profile(args)) => data::profile(context, &args),
        Command::Data(Data::Diff(args)) => data::diff(context, &args),
        Command::Alias(args) => alias::run(context, args),
        Command::Run(args) => run::run(context, args),
        Command::Runs(args) => runs::run(context, args),
        Command::Status(args) => status::run(context, args),
        Command::Metrics(args) => metrics::run(context, args),
        Command::Evaluation(args) => metrics::evaluation(context, &args),
        Command::Compare(args) => compare::run(context, args),
        Command::Trace(args) => trace::run(context, args),
        Command::Verify(args) => verify::run(context, &args),
        Command::Reproduce(args) => reproduce::run(context, &args),
        Command::Scan(args) => scan::run(context, &args),
        Command::Rescan(args) => rescan::run(context, args),
        Command::Approvals => approvals::run(context),
        Command::Approve(args) => approve::run(context, args),
        Command::Reject(args) => reject::run(context, args),
        Command::Remove(args) => remove::run(context, args),
        Command::Shred(args) => shred::run(context, args),
        Command::Sign(args) => sign::run(context, &args),
        Command::VerifySignature(args) => sign::check(context, &args),
        Command::Timestamp(args) => sign::add_timestamp(context, &args),
        Command::Bom(args) => bom::run(context, &args),
        Command::Claims(args) => bom::claims(context, &args),
        Command::Rules(RulesCommand::Show(args)) => rules::show(&args),
        Command::Rules(RulesCommand::Test(args)) => rules::test(context, &args),
        Command::Rules(RulesCommand::Sign(args)) => rules::sign(context, &args),
        Command::Rules(RulesCommand::Apply(args)) => rules::apply(context, &args),
        Command::Ledger(Ledger::Log(args)) => ledger::log(context, args),
        Command::Ledger(Ledger::Show(args)) => ledger::show(context, &args),
        Command::Ledger(Ledger::Verify) => verify::ledger(context),
        Command::Ledger(Ledger::Export(args)) => ledger::export(context, args),
        Command::Ledger(Ledger::AcceptRollback(args)) => ledger::accept_rollback(context, args),
        Command::Policy(Policy::Show) => policy::show(context),
        Command::Policy(Policy::Apply(args)) => policy::apply(context, args),
        Command::Policy(Policy::Validate(args)) => policy_tools::validate(context, &args),
        Command::Policy(Policy::Test(args)) => policy_tools::test(context, args),
        Command::Policy(Policy::Diff(args)) => policy_tools::diff(context, args),
        Command::Policy(Policy::Explain(args)) => policy_tools::explain(context, args),
        Command::Policy(Policy::Replay(args)) => policy_tools::replay(context, &args),
        Command::Policy(Policy::Proposals) => policy::proposals(context),
        Command::Policy(Policy::Approve(args)) => policy::approve(context, args),
        Command::Policy(Policy::BreakGlass(args)) => policy::break_glass(context, args),
        Command::Account(args) => account::run(context, args),
        Command::Serve(args) => serve::run(context, &args),
        Command::Unseal => unseal::run(context),
        Command::Server(ServerCommand::Metrics) => server::metrics(context),
        Command::Login(args) => login::login(context, &args),
        Command::Logout => login::logout(context),
        Command::Token(Token::Ls) => token::list(context),
        Command::Token(Token::Create(args)) => token::create(context, args),
        Command::Token(Token::Revoke(args)) => token::revoke(context, &args),
        Command::Keys(Keys::Status) => keys::status(context),
        Command::Keys(Keys::Rotate(args)) => keys::rotate(context, args),
        Command::Keys(Keys::Passphrase(args)) => keys::passphrase(context, &args),
        Command::Index(Index::Rebuild) => index::rebuild(context),
        Command::Cache(Cache::Ls) => cache::ls(context),
        Command::Cache(Cache::Clean(args)) => cache::clean(context, &args),
        Command::Doctor(_) => doctor::run(context),
        Command::Completions(args) => completions::print(&args),
    }
}
