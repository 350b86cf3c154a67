//! What each operation does: read the request, ask the door, write the answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use custody_guard::{
    Approve, ChangeRules, Collect, CommittedVersion, Export, ExportLedger, List, NewToken,
    NewVersion, ReadIdentity, ReadKeys, ReadLedger, ReadPolicy, ReadRun, RebuildIndex, Reject,
    Remove, ResourceRef, RotateKeys, ScanModel, Session, Shred, SignModel, VersionBuilder, Write,
    WriteAccess,
};
use custody_observe::carried;
use custody_pipeline::collect;
use custody_pipeline::file::Origin;
use custody_pipeline::run::Runner;
use custody_types::{Kind, Problem, Reference};
use custody_wire::stream::PieceReader;
use custody_wire::{
    AcceptRollbackReply, AcceptRollbackRequest, AliasReply, AliasRequest, ApproveChangeRequest,
    ApproveReply, ApproveRequest, ArtifactQuery, BreakGlassReply, BreakGlassRequest, CancelReply,
    CandidateRequest, CompareReply, CompareRequest, DataQuery, DevicePollReply, DevicePollRequest,
    DeviceReply, DeviceRequest, DiffReply, DiffRequest, Document, EnrolRequest, EntryProofReply,
    EntryQuery, EvaluationReply, ExplainReply, ExplainRequest, HeadReply, IdentityReply,
    IdentityRequest, InviteReply, InviteRequest, KeysReply, LedgerReply, LedgerVerifyReply,
    ListQuery, ListReply, MetricsReply, MetricsRequest, OriginOfPut, PassphraseReply,
    PassphraseRequest, PolicyDiffReply, PolicyReply, PolicySource, PolicyTestReply, ProfileReply,
    ProjectQuery, ProjectsReply, ProposalsReply, ProviderQuery, ProvidersReply, PutQuery, PutReply,
    RejectReply, RejectRequest, RemoveReply, RemoveRequest, ReplayReply, ReplayRequest,
    ReproduceReply, ReproduceRequest, RescanReply, RescanRequest, RevokeTokenRequest,
    RotateKeysRequest, RotationReply, RulesReply, RunEvent, RunListReply, RunMoment,
    RunMomentQuery, RunQuery, RunRequest, RunShowReply, RunStarted, SchemaReply, SessionReply,
    ShowReply, ShredReply, ShredRequest, SignInRequest, SignOutReply, SigningReply, SigningRequest,
    StatusReply, StatusRequest, TokenReply, TokenRequest, TokensReply, TraceQuery, TraceReply,
    ValidateReply, VerifyReply, VerifyRequest, WaitingReply,
};

use crate::app::App;
use crate::asked::{Json, Named, Query, RawQuery, Upload};
use crate::call::Visitor;
use crate::operations::sign_in_cookie;
use crate::told::{Bom, Claims, Forgetting, Lines, OpenMetrics, RunAnswer, Sent, Stream, Tar};

type Answer<T> = Result<T, Problem>;

pub(crate) fn list_versions(
    app: &App,
    session: &Session,
    Query(query): Query<ListQuery>,
) -> Answer<ListReply> {
    let target = match (&query.project, &query.artifact) {
        (Some(project), _) => ResourceRef::Project(project.clone()),
        (None, Some(artifact)) => ResourceRef::Project(artifact.project().clone()),
        (None, None) => ResourceRef::Workspace,
    };
    let grant = app.door.ask::<List>(session, target)?;
    let listed = grant.views(&query)?;
    grant.finish()?;
    Ok(listed)
}

pub(crate) fn list_projects(
    app: &App,
    session: &Session,
    Query(query): Query<ProjectQuery>,
) -> Answer<ProjectsReply> {
    let grant = app.door.ask::<List>(session, ResourceRef::Workspace)?;
    let listed = grant.projects(&query)?;
    grant.finish()?;
    Ok(listed)
}

pub(crate) fn list_approvals(app: &App, session: &Session, (): ()) -> Answer<WaitingReply> {
    let grant = app.door.ask::<List>(session, ResourceRef::Workspace)?;
    let waiting = grant.waiting()?;
    grant.finish()?;
    Ok(waiting)
}

pub(crate) fn show_version(
    app: &App,
    session: &Session,
    Query(query): Query<ArtifactQuery>,
) -> Answer<ShowReply> {
    let reference = parse_reference(&query.reference)?;
    let grant = app
        .door
        .ask::<List>(session, ResourceRef::Named(reference))?;
    let shown = grant.show()?;
    grant.finish()?;
    Ok(shown)
}

pub(crate) fn list_signable(
    app: &App,
    session: &Session,
    Json(SigningRequest { reference }): Json<SigningRequest>,
) -> Answer<SigningReply> {
    let target = ResourceRef::Named(parse_reference(&reference)?);
    let grant = app.door.ask::<SignModel>(session, target)?;
    let files = grant.signable()?;
    grant.finish()?;
    Ok(files)
}

pub(crate) fn put_version(
    app: &App,
    session: &Session,
    asked: Upload<PutQuery>,
) -> Answer<PutReply> {
    let Upload(
        PutQuery {
            artifact,
            kind,
            classification,
            purposes,
            origin,
        },
        files,
    ) = asked;
    let mut new = NewVersion::new(artifact, kind, classification);
    for purpose in purposes.split(',').filter(|purpose| !purpose.is_empty()) {
        new.purposes
            .push(purpose.parse().map_err(|error: custody_types::NameError| {
                Problem::new(custody_types::code::API_016, error.to_string())
            })?);
    }
    let made = match origin {
        None => made::<Write>(app, session, new, files)?,
        Some(origin) => {
            let (declared, put) = origin_of(&origin)?;
            new.classification = declared.classification;
            new.origin = Some(collect::origin(
                &declared,
                &put.what,
                (put.sha256, put.files),
                (app.door.now(), app.door.pseudonym(session.actor())),
            ));
            made::<Collect>(app, session, new, files)?
        }
    };
    let made =
        made.ok_or_else(|| Problem::new(custody_types::code::API_015, "nothing was made"))?;
    Ok(PutReply {
        version: made.view,
        stored: made.stored,
        entry: made.entry,
        scan: made.scan,
        signature: made.signature,
    })
}

/// Makes a version of the files that come.
fn made<A: WriteAccess>(
    app: &App,
    session: &Session,
    new: NewVersion,
    files: PieceReader,
) -> Result<Option<CommittedVersion>, Problem> {
    let target = ResourceRef::New {
        artifact: new.artifact.clone(),
        kind: new.kind,
        classification: new.classification,
    };
    let grant = app.door.ask::<A>(session, target)?;
    let mut making = VersionBuilder::start(&grant)?;
    making.tar(files)?;
    making.finish(grant, new)?;
    Ok(making.commit(None)?.pop())
}

/// Reads where files that are put came from.
fn origin_of(text: &str) -> Result<(Origin, OriginOfPut), Problem> {
    let wrong = |error: serde_json::Error| {
        Problem::new(
            custody_types::code::API_017, "the origin is not complete",
        )
        .because(error)
        .hint("it has `publisher`, `url`, `licence`, `legal_basis` and `classification`, as in `custody.yaml`")
    };
    let put: OriginOfPut = serde_json::from_str(text).map_err(wrong)?;
    let declared = serde_json::from_value(put.declared.clone()).map_err(wrong)?;
    Ok((declared, put))
}

pub(crate) fn export_version(
    app: &App,
    session: &Session,
    Query(query): Query<ArtifactQuery>,
) -> Answer<Stream<Tar>> {
    let reference = parse_reference(&query.reference)?;
    let grant = app
        .door
        .ask::<Export>(session, ResourceRef::Named(reference))?;
    Ok(Stream::new(move |out| grant.write_tar(out)))
}

pub(crate) fn data_schema(
    app: &App,
    session: &Session,
    Query(query): Query<DataQuery>,
) -> Answer<SchemaReply> {
    let reference = parse_reference(&query.reference)?;
    app.runner.schema(session, reference)
}

pub(crate) fn data_head(
    app: &App,
    session: &Session,
    Query(query): Query<DataQuery>,
) -> Answer<HeadReply> {
    let reference = parse_reference(&query.reference)?;
    app.runner.head(session, reference, query.rows)
}

pub(crate) fn data_profile(
    app: &App,
    session: &Session,
    Query(query): Query<DataQuery>,
) -> Answer<ProfileReply> {
    let reference = parse_reference(&query.reference)?;
    app.runner.profile(session, reference)
}

pub(crate) fn data_diff(
    app: &App,
    session: &Session,
    Json(request): Json<DiffRequest>,
) -> Answer<DiffReply> {
    app.runner.diff(session, &request)
}

pub(crate) fn set_alias(
    app: &App,
    session: &Session,
    Json(AliasRequest {
        artifact,
        alias,
        to,
        expected,
    }): Json<AliasRequest>,
) -> Answer<AliasReply> {
    let version = artifact.version(to);
    let grant = app
        .door
        .ask_alias(session, ResourceRef::Named(version.clone().into()), &alias)?;
    let entry = grant.set(&alias, expected)?;
    Ok(AliasReply {
        alias,
        version,
        entry,
    })
}

pub(crate) fn trace(
    app: &App,
    session: &Session,
    Query(query): Query<TraceQuery>,
) -> Answer<TraceReply> {
    app.runner.trace(session, &query)
}

pub(crate) fn bom(
    app: &App,
    session: &Session,
    Query(query): Query<ArtifactQuery>,
) -> Answer<Stream<Bom>> {
    let document = app.runner.bom(session, &query.reference)?;
    Ok(Stream::new(move |out| out.write_all(&document)))
}

pub(crate) fn claims(
    app: &App,
    session: &Session,
    Query(query): Query<ArtifactQuery>,
) -> Answer<Stream<Claims>> {
    let lines = app.runner.claims(session, &query.reference)?;
    Ok(Stream::new(move |out| out.write_all(&lines)))
}

pub(crate) fn verify(
    app: &App,
    session: &Session,
    Json(request): Json<VerifyRequest>,
) -> Answer<VerifyReply> {
    app.runner.verify(session, &request)
}

pub(crate) fn reproduce(
    app: &App,
    session: &Session,
    Json(request): Json<ReproduceRequest>,
) -> Answer<ReproduceReply> {
    let reference = parse_reference(&request.reference)?;
    app.runner.reproduce(session, &reference)
}

pub(crate) fn show_status(
    app: &App,
    session: &Session,
    Json(request): Json<StatusRequest>,
) -> Answer<StatusReply> {
    app.runner.status(session, &request)
}

pub(crate) fn list_metrics(
    app: &App,
    session: &Session,
    Json(request): Json<MetricsRequest>,
) -> Answer<MetricsReply> {
    app.runner.metrics(session, &request)
}

pub(crate) fn show_evaluation(
    app: &App,
    session: &Session,
    Query(query): Query<ArtifactQuery>,
) -> Answer<EvaluationReply> {
    let reference = parse_reference(&query.reference)?;
    app.runner.evaluation(session, &reference)
}

pub(crate) fn compare_models(
    app: &App,
    session: &Session,
    Json(request): Json<CompareRequest>,
) -> Answer<CompareReply> {
    app.runner.compare(session, &request)
}

/// Answers with a line for each event, the last of them the result.
pub(crate) fn start_run(
    app: &App,
    session: &Session,
    Json(request): Json<RunRequest>,
) -> Answer<RunAnswer> {
    let (runner, session) = (app.runner.clone(), session.clone());
    if request.detached {
        return started(&runner, session, request).map(RunAnswer::GoesOn);
    }
    Ok(RunAnswer::Told(Stream::new(move |out| {
        let mut broken = None;
        let mut tell = |event: RunEvent| {
            let written = serde_json::to_vec(&Document::new(event))
                .map_err(std::io::Error::other)
                .and_then(|mut line| {
                    line.push(b'\n');
                    out.write_all(&line)?;
                    out.flush()
                });
            // A run goes on when nobody listens any more: what it makes is kept.
            if let Err(error) = written {
                broken.get_or_insert(error);
            }
        };
        let last = match runner.run(&session, &request, &mut tell) {
            Ok(reply) => RunEvent::Finished(Box::new(reply)),
            Err(problem) => RunEvent::Problem(Box::new(problem)),
        };
        tell(last);
        broken.map_or(Ok(()), Err)
    })))
}

/// Starts a run that goes on by itself, and returns once it has its entry, or says why it could not start.
fn started(runner: &Arc<Runner>, session: Session, request: RunRequest) -> Answer<RunStarted> {
    let runner = runner.clone();
    let (sender, started) = sync_channel(1);
    // A thread of its own: of those for blocking work, all may wait here.
    let thread = std::thread::Builder::new().name("run".to_owned());
    let work = thread.spawn(carried(move || {
        let mut tell = |event: RunEvent| {
            if let RunEvent::Started(started) = event {
                // Where nobody waits for it any more, the run goes on all the same.
                let _ = sender.try_send(Ok(started));
            }
        };
        if let Err(problem) = runner.run(&session, &request, &mut tell) {
            // One that began before has said so in the ledger.
            let _ = sender.try_send(Err(problem));
        }
    }));
    let ended = || {
        Problem::new(custody_types::code::API_021, "the run did not start")
            .hint("see what was done with `custody runs`, then start it again")
    };
    work.map_err(|error| ended().because(error))?;
    started.recv().map_err(|_| ended())?
}

pub(crate) fn list_runs(
    app: &App,
    session: &Session,
    Query(query): Query<RunQuery>,
) -> Answer<RunListReply> {
    let target = query
        .project
        .clone()
        .map_or(ResourceRef::Workspace, ResourceRef::Project);
    let grant = app.door.ask::<ReadRun>(session, target)?;
    let listed = grant.runs(&query)?;
    grant.finish()?;
    Ok(listed)
}

pub(crate) fn show_run(
    app: &App,
    session: &Session,
    Named(id, ()): Named<String>,
) -> Answer<RunShowReply> {
    let grant = app.door.ask_run::<ReadRun>(session, &id)?;
    let shown = grant.run()?;
    grant.finish()?;
    Ok(shown)
}

/// Tells what happens in a run, a line each, from the entry after the given one to the end of the run.
pub(crate) fn run_events(
    app: &App,
    session: &Session,
    Named(id, Query(RunMomentQuery { mut after })): Named<String, Query<RunMomentQuery>>,
) -> Answer<Stream<Lines<RunMoment>>> {
    const PAUSE: Duration = Duration::from_millis(100);
    let grant = app.door.ask_run::<ReadRun>(session, &id)?;
    Ok(Stream::new(move |out| {
        loop {
            let size = grant.ledger_size();
            let (moments, ended) = grant.moments(after).map_err(std::io::Error::other)?;
            for moment in moments {
                after = Some(moment.at);
                serde_json::to_writer(&mut *out, &Document::new(moment))?;
                out.write_all(b"\n")?;
            }
            // Where nobody listens any more, this fails.
            out.flush()?;
            if ended {
                return grant.finish().map_err(std::io::Error::other);
            }
            while grant.ledger_size() == size {
                grant.goes_on().map_err(std::io::Error::other)?;
                std::thread::sleep(PAUSE);
            }
        }
    }))
}

pub(crate) fn cancel_run(
    app: &App,
    session: &Session,
    Named(id, ()): Named<String>,
) -> Answer<CancelReply> {
    app.runner.cancel(session, &id)
}

pub(crate) fn ledger_entries(
    app: &App,
    session: &Session,
    Query(query): Query<EntryQuery>,
) -> Answer<LedgerReply> {
    let grant = app.door.ask::<ReadLedger>(session, ResourceRef::Ledger)?;
    let entries = grant.entries(&query)?;
    grant.finish()?;
    Ok(entries)
}

pub(crate) fn ledger_entry(
    app: &App,
    session: &Session,
    Named(index, ()): Named<u64>,
) -> Answer<EntryProofReply> {
    let grant = app.door.ask::<ReadLedger>(session, ResourceRef::Ledger)?;
    match grant.proved(index) {
        Ok(entry) => {
            grant.finish()?;
            Ok(entry)
        }
        Err(problem) => {
            grant.fail(problem.code);
            Err(problem)
        }
    }
}

pub(crate) fn verify_ledger(app: &App, session: &Session, (): ()) -> Answer<LedgerVerifyReply> {
    let grant = app.door.ask::<ReadLedger>(session, ResourceRef::Ledger)?;
    let checks = grant.verify();
    grant.finish()?;
    let ok = checks
        .iter()
        .all(|check| check.result != custody_wire::CheckResult::Broken);
    Ok(LedgerVerifyReply { ok, checks })
}

pub(crate) fn accept_rollback(
    app: &App,
    session: &Session,
    Json(request): Json<AcceptRollbackRequest>,
) -> Answer<AcceptRollbackReply> {
    let entry = app
        .door
        .accept_rollback(session, &request.workspace, &request.reason)?;
    Ok(AcceptRollbackReply { entry })
}

pub(crate) fn export_ledger(app: &App, session: &Session, (): ()) -> Answer<Stream<Tar>> {
    let grant = app.door.ask::<ExportLedger>(session, ResourceRef::Ledger)?;
    Ok(Stream::new(move |out| grant.write_tar(out)))
}

pub(crate) fn show_policy(app: &App, session: &Session, (): ()) -> Answer<PolicyReply> {
    let grant = app.door.ask::<ReadPolicy>(session, ResourceRef::Policy)?;
    let policies = grant.policies();
    grant.finish()?;
    Ok(policies)
}

pub(crate) fn change_policy(
    app: &App,
    session: &Session,
    Json(sources): Json<Vec<PolicySource>>,
) -> Answer<PolicyReply> {
    app.door.change_policies(session, sources)
}

pub(crate) fn list_proposals(app: &App, session: &Session, (): ()) -> Answer<ProposalsReply> {
    app.door.proposals(session)
}

pub(crate) fn approve_change(
    app: &App,
    session: &Session,
    Json(request): Json<ApproveChangeRequest>,
) -> Answer<PolicyReply> {
    let reference = parse_reference(&request.reference)?;
    app.door.approve_change(session, &reference)
}

pub(crate) fn break_glass(
    app: &App,
    session: &Session,
    Json(request): Json<BreakGlassRequest>,
) -> Answer<BreakGlassReply> {
    let door = &app.door;
    door.break_glass(session, &request.workspace, &request.reason)
}

pub(crate) fn validate_policies(
    app: &App,
    session: &Session,
    Json(CandidateRequest { sources }): Json<CandidateRequest>,
) -> Answer<ValidateReply> {
    app.door.validate_policies(session, sources)
}

pub(crate) fn test_policies(
    app: &App,
    session: &Session,
    Json(CandidateRequest { sources }): Json<CandidateRequest>,
) -> Answer<PolicyTestReply> {
    app.door.test_policies(session, sources)
}

pub(crate) fn compare_policies(
    app: &App,
    session: &Session,
    Json(CandidateRequest { sources }): Json<CandidateRequest>,
) -> Answer<PolicyDiffReply> {
    app.door.compare_policies(session, sources)
}

pub(crate) fn explain(
    app: &App,
    session: &Session,
    Json(request): Json<ExplainRequest>,
) -> Answer<ExplainReply> {
    app.door.explain(session, &request)
}

pub(crate) fn replay(
    app: &App,
    session: &Session,
    Json(request): Json<ReplayRequest>,
) -> Answer<ReplayReply> {
    app.door.replay(session, request)
}

pub(crate) fn show_identity(app: &App, session: &Session, (): ()) -> Answer<IdentityReply> {
    let grant = app
        .door
        .ask::<ReadIdentity>(session, ResourceRef::Identity)?;
    let identity = grant.identity();
    grant.finish()?;
    Ok(identity)
}

pub(crate) fn change_identity(
    app: &App,
    session: &Session,
    Json(request): Json<IdentityRequest>,
) -> Answer<IdentityReply> {
    app.door.change_accounts(session, request.changes)
}

pub(crate) fn list_tokens(app: &App, session: &Session, (): ()) -> Answer<TokensReply> {
    app.door.tokens(session)
}

pub(crate) fn create_token(
    app: &App,
    session: &Session,
    Json(request): Json<TokenRequest>,
) -> Answer<TokenReply> {
    let new = NewToken {
        account: request.account,
        days: request.days,
        note: request.note,
        actions: request.actions,
        projects: request.projects,
        purpose: request.purpose,
        networks: request.networks,
    };
    app.door.create_token(session, new)
}

pub(crate) fn revoke_token(
    app: &App,
    session: &Session,
    Json(request): Json<RevokeTokenRequest>,
) -> Answer<TokensReply> {
    app.door.revoke_token(session, &request.id)
}

pub(crate) fn rescan(
    app: &App,
    session: &Session,
    Json(request): Json<RescanRequest>,
) -> Answer<RescanReply> {
    let target = match &request.reference {
        Some(text) => ResourceRef::Named(parse_reference(text)?),
        None => ResourceRef::Workspace,
    };
    let grant = app.door.ask::<List>(session, target)?;
    let evidence = grant.evidence();
    let versions = match &request.reference {
        Some(_) => vec![grant.version()?.clone()],
        None => evidence.versions()?,
    };
    let in_force = evidence.rules_in_force()?;
    let (mut known, mut scanned, mut current) = (BTreeMap::new(), Vec::new(), 0);
    for version in versions {
        if version.record.kind != Kind::Model || !evidence.may_list(&version) {
            continue;
        }
        // There is nothing to scan of what was removed; whoever asks for it is told so.
        if request.reference.is_none() && evidence.removal(&version)?.is_some() {
            continue;
        }
        // A statement that does not hold is no reason to leave the model alone.
        let last = evidence.last_scan(&version).ok().flatten();
        if !request.all && last.is_some_and(|last| last.is_current(&version, &in_force)) {
            current += 1;
            continue;
        }
        let grant = app
            .door
            .ask::<ScanModel>(session, ResourceRef::Version(Box::new(version)))?;
        scanned.push(grant.rescan(&mut known)?);
    }
    grant.finish()?;
    Ok(RescanReply {
        rules: in_force
            .iter()
            .map(|pack| format!("{} {}", pack.name, pack.version))
            .collect(),
        scanned,
        current,
    })
}

pub(crate) fn approve(
    app: &App,
    session: &Session,
    Json(request): Json<ApproveRequest>,
) -> Answer<ApproveReply> {
    let reference = parse_reference(&request.reference)?;
    let grant = app
        .door
        .ask::<Approve>(session, ResourceRef::Named(reference))?;
    grant.approve(&request.reason)
}

pub(crate) fn reject(
    app: &App,
    session: &Session,
    Json(request): Json<RejectRequest>,
) -> Answer<RejectReply> {
    let reference = parse_reference(&request.reference)?;
    let grant = app
        .door
        .ask::<Reject>(session, ResourceRef::Named(reference))?;
    let (version, entry) = grant.reject(&request.reason)?;
    Ok(RejectReply { version, entry })
}

pub(crate) fn remove(
    app: &App,
    session: &Session,
    Json(request): Json<RemoveRequest>,
) -> Answer<RemoveReply> {
    let reference = parse_reference(&request.reference)?;
    let grant = app
        .door
        .ask::<Remove>(session, ResourceRef::Named(reference))?;
    grant.remove()
}

pub(crate) fn shred(
    app: &App,
    session: &Session,
    Json(request): Json<ShredRequest>,
) -> Answer<ShredReply> {
    let target = ResourceRef::Project(request.project);
    let grant = app.door.ask::<Shred>(session, target)?;
    grant.shred(&request.reason)
}

pub(crate) fn show_keys(app: &App, session: &Session, (): ()) -> Answer<KeysReply> {
    let grant = app.door.ask::<ReadKeys>(session, ResourceRef::Keys)?;
    grant.keys()
}

pub(crate) fn rotate_keys(
    app: &App,
    session: &Session,
    Json(request): Json<RotateKeysRequest>,
) -> Answer<RotationReply> {
    let grant = app.door.ask::<RotateKeys>(session, ResourceRef::Keys)?;
    grant.rotate(&request)
}

pub(crate) fn change_passphrase(
    app: &App,
    session: &Session,
    Json(request): Json<PassphraseRequest>,
) -> Answer<PassphraseReply> {
    let grant = app.door.ask::<RotateKeys>(session, ResourceRef::Keys)?;
    grant.change_passphrase(&request)
}

pub(crate) fn change_rules(
    app: &App,
    session: &Session,
    Json(sources): Json<Vec<PolicySource>>,
) -> Answer<RulesReply> {
    let grant = app.door.ask::<ChangeRules>(session, ResourceRef::Policy)?;
    Ok(RulesReply {
        rules: grant.apply(&sources)?,
    })
}

/// Writes the figures of the process.
pub(crate) fn server_metrics(app: &App, session: &Session, (): ()) -> Answer<OpenMetrics> {
    app.door.metrics(session).map(OpenMetrics)
}

pub(crate) fn rebuild_index(app: &App, session: &Session, (): ()) -> Answer<ListReply> {
    let grant = app
        .door
        .ask::<RebuildIndex>(session, ResourceRef::Workspace)?;
    let versions = grant.rebuild()?;
    Ok(ListReply {
        versions,
        held_back: 0,
        lacking: 0,
        next: None,
    })
}

pub(crate) fn invite(
    app: &App,
    session: &Session,
    Json(request): Json<InviteRequest>,
) -> Answer<InviteReply> {
    app.door.invite(session, &request.account)
}

pub(crate) fn sign_in(
    app: &App,
    visitor: &Visitor,
    Json(request): Json<SignInRequest>,
) -> Answer<SessionReply> {
    app.door.sign_in_person(&request, visitor.address)
}

pub(crate) fn enrol(
    app: &App,
    visitor: &Visitor,
    Json(request): Json<EnrolRequest>,
) -> Answer<SessionReply> {
    app.door.enrol(&request, visitor.address)
}

pub(crate) fn sign_out(app: &App, visitor: &Visitor, (): ()) -> Answer<SignOutReply> {
    app.door
        .sign_out(visitor.token.as_deref().unwrap_or_default())?;
    Ok(SignOutReply {})
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "every handler may fail but this one"
)]
pub(crate) fn providers(app: &App, _: &Visitor, (): ()) -> Answer<ProvidersReply> {
    Ok(app.door.providers())
}

pub(crate) fn begin_in_browser(
    app: &App,
    visitor: &Visitor,
    Query(query): Query<ProviderQuery>,
) -> Answer<Sent> {
    let begun = app
        .door
        .begin_in_browser(query.provider.as_deref(), visitor.address)?;
    Ok(Sent {
        place: begun.location,
        cookie: sign_in_cookie(&begun.cookie, begun.seconds),
    })
}

pub(crate) fn return_to_browser(
    app: &App,
    visitor: &Visitor,
    RawQuery(query): RawQuery,
) -> Answer<Forgetting<SessionReply>> {
    let cookie = visitor.cookie.as_deref();
    let body = app
        .door
        .return_to_browser(&query, cookie, visitor.address)?;
    let cookie = sign_in_cookie("", 0);
    Ok(Forgetting { body, cookie })
}

pub(crate) fn begin_device(
    app: &App,
    visitor: &Visitor,
    Json(request): Json<DeviceRequest>,
) -> Answer<DeviceReply> {
    app.door.begin_device(&request, visitor.address)
}

pub(crate) fn poll_device(
    app: &App,
    visitor: &Visitor,
    Json(request): Json<DevicePollRequest>,
) -> Answer<DevicePollReply> {
    app.door.poll_device(&request, visitor.address)
}

fn parse_reference(text: &str) -> Result<Reference, Problem> {
    text.parse().map_err(|error: custody_types::NameError| {
        Problem::new(custody_types::code::API_014, error.to_string())
            .hint("write `project/artifact`, with `@` and a number, an alias or a digest after it")
    })
}
