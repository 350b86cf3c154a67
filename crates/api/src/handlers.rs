//! What each operation does: read the request, ask the door, write the answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use axum::body::Body;
use custody_guard::{
    Approve, ChangeRules, Collect, CommittedVersion, Export, ExportLedger, List, NewToken,
    NewVersion, ReadIdentity, ReadKeys, ReadLedger, ReadPolicy, ReadRun, RebuildIndex, Reject,
    Remove, ResourceRef, RotateKeys, ScanModel, Session, Shred, SignModel, VersionBuilder, Write,
    WriteAccess,
};
use custody_pipeline::collect;
use custody_pipeline::file::Origin;
use custody_pipeline::run::Runner;
use custody_types::{Kind, Problem, Reference};
use custody_wire::{
    AcceptRollbackReply, AcceptRollbackRequest, AliasReply, AliasRequest, ApproveChangeRequest,
    ApproveRequest, ArtifactQuery, BreakGlassRequest, CandidateRequest, CompareRequest, DataQuery,
    DevicePollRequest, DeviceRequest, DiffRequest, Document, EnrolRequest, EntryQuery,
    ExplainRequest, IdentityRequest, InviteRequest, LedgerVerifyReply, ListQuery, ListReply,
    MetricsRequest, OriginOfPut, PassphraseRequest, PolicySource, ProjectQuery, ProviderQuery,
    PutQuery, PutReply, RejectReply, RejectRequest, RemoveRequest, ReplayRequest, RescanReply,
    RescanRequest, RevokeTokenRequest, RotateKeysRequest, RulesReply, RunEvent, RunMomentQuery,
    RunQuery, RunRequest, ShredRequest, SignInRequest, SignOutReply, StatusRequest, TokenRequest,
    TraceQuery, VerifyRequest,
};
use http::header::SET_COOKIE;
use http::{HeaderValue, Response};

use crate::app::App;
use crate::call::{self, Arrival, Call, created, reply, stream};
use crate::operations::sign_in_cookie;

type Answer = Result<Response<Body>, Problem>;

pub(crate) fn list(app: &App, call: Call) -> Answer {
    let query: ListQuery = call.query()?;
    let target = match (&query.project, &query.artifact) {
        (Some(project), _) => ResourceRef::Project(project.clone()),
        (None, Some(artifact)) => ResourceRef::Project(artifact.project().clone()),
        (None, None) => ResourceRef::Workspace,
    };
    let grant = app.door.ask::<List>(&call.session, target)?;
    let listed = grant.views(&query)?;
    grant.finish()?;
    reply(listed)
}

pub(crate) fn projects(app: &App, call: Call) -> Answer {
    let query: ProjectQuery = call.query()?;
    let grant = app
        .door
        .ask::<List>(&call.session, ResourceRef::Workspace)?;
    let listed = grant.projects(&query)?;
    grant.finish()?;
    reply(listed)
}

pub(crate) fn waiting(app: &App, call: Call) -> Answer {
    let grant = app
        .door
        .ask::<List>(&call.session, ResourceRef::Workspace)?;
    let waiting = grant.waiting()?;
    grant.finish()?;
    reply(waiting)
}

pub(crate) fn show(app: &App, call: Call) -> Answer {
    let reference = reference(&call)?;
    let grant = app
        .door
        .ask::<List>(&call.session, ResourceRef::Named(reference))?;
    let shown = grant.show()?;
    grant.finish()?;
    reply(shown)
}

pub(crate) fn sign(app: &App, call: Call) -> Answer {
    let session = call.session.clone();
    let ArtifactQuery { reference } = call.document()?;
    let target = ResourceRef::Named(parse_reference(&reference)?);
    let grant = app.door.ask::<SignModel>(&session, target)?;
    let files = grant.signable()?;
    grant.finish()?;
    reply(files)
}

pub(crate) fn put(app: &App, call: Call) -> Answer {
    let PutQuery {
        artifact,
        kind,
        classification,
        purposes,
        origin,
    } = call.query()?;
    let mut new = NewVersion::new(artifact, kind, classification);
    for purpose in purposes.split(',').filter(|purpose| !purpose.is_empty()) {
        new.purposes
            .push(purpose.parse().map_err(|error: custody_types::NameError| {
                Problem::new(custody_types::code::API_016, error.to_string())
            })?);
    }
    let made = match origin {
        None => made::<Write>(app, call, new)?,
        Some(origin) => {
            let (declared, put) = origin_of(&origin)?;
            new.classification = declared.classification;
            new.origin = Some(collect::origin(
                &declared,
                &put.what,
                (put.sha256, put.files),
                (app.door.now(), app.door.pseudonym(call.session.actor())),
            ));
            made::<Collect>(app, call, new)?
        }
    };
    let made =
        made.ok_or_else(|| Problem::new(custody_types::code::API_015, "nothing was made"))?;
    reply(PutReply {
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
    call: Call,
    new: NewVersion,
) -> Result<Option<CommittedVersion>, Problem> {
    let target = ResourceRef::New {
        artifact: new.artifact.clone(),
        kind: new.kind,
        classification: new.classification,
    };
    let grant = app.door.ask::<A>(&call.session, target)?;
    let mut making = VersionBuilder::start(&grant)?;
    making.tar(call.into_stream())?;
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

pub(crate) fn export(app: &App, call: Call) -> Answer {
    let reference = reference(&call)?;
    let grant = app
        .door
        .ask::<Export>(&call.session, ResourceRef::Named(reference))?;
    stream("application/x-tar", move |out| grant.write_tar(out))
}

pub(crate) fn data_schema(app: &App, call: Call) -> Answer {
    let query: DataQuery = call.query()?;
    let reference = parse_reference(&query.reference)?;
    reply(app.runner.schema(&call.session, reference)?)
}

pub(crate) fn data_head(app: &App, call: Call) -> Answer {
    let query: DataQuery = call.query()?;
    let reference = parse_reference(&query.reference)?;
    reply(app.runner.head(&call.session, reference, query.rows)?)
}

pub(crate) fn data_profile(app: &App, call: Call) -> Answer {
    let query: DataQuery = call.query()?;
    let reference = parse_reference(&query.reference)?;
    reply(app.runner.profile(&call.session, reference)?)
}

pub(crate) fn data_diff(app: &App, call: Call) -> Answer {
    let session = call.session.clone();
    let request: DiffRequest = call.document()?;
    reply(app.runner.diff(&session, &request)?)
}

pub(crate) fn set_alias(app: &App, call: Call) -> Answer {
    let session = call.session.clone();
    let AliasRequest {
        artifact,
        alias,
        to,
        expected,
    } = call.document()?;
    let version = artifact.version(to);
    let grant = app
        .door
        .ask_alias(&session, ResourceRef::Named(version.clone().into()), &alias)?;
    let entry = grant.set(&alias, expected)?;
    reply(AliasReply {
        alias,
        version,
        entry,
    })
}

pub(crate) fn trace(app: &App, call: Call) -> Answer {
    let query: TraceQuery = call.query()?;
    reply(app.runner.trace(&call.session, &query)?)
}

/// Answers with a CycloneDX document.
pub(crate) fn bom(app: &App, call: Call) -> Answer {
    let query: ArtifactQuery = call.query()?;
    let document = app.runner.bom(&call.session, &query.reference)?;
    stream(custody_attest::cyclonedx::MEDIA_TYPE, move |out| {
        out.write_all(&document)
    })
}

/// Answers with the lines of a file of claims.
pub(crate) fn claims(app: &App, call: Call) -> Answer {
    let query: ArtifactQuery = call.query()?;
    let lines = app.runner.claims(&call.session, &query.reference)?;
    stream("application/x-ndjson", move |out| out.write_all(&lines))
}

pub(crate) fn verify(app: &App, call: Call) -> Answer {
    let session = call.session.clone();
    let request: VerifyRequest = call.document()?;
    reply(app.runner.verify(&session, &request)?)
}

pub(crate) fn reproduce(app: &App, call: Call) -> Answer {
    let session = call.session.clone();
    let request: VerifyRequest = call.document()?;
    let reference: Reference = parse_reference(request.reference.as_deref().unwrap_or_default())?;
    reply(app.runner.reproduce(&session, &reference)?)
}

pub(crate) fn status(app: &App, call: Call) -> Answer {
    let session = call.session.clone();
    let request: StatusRequest = call.document()?;
    reply(app.runner.status(&session, &request)?)
}

pub(crate) fn metrics(app: &App, call: Call) -> Answer {
    let session = call.session.clone();
    let request: MetricsRequest = call.document()?;
    reply(app.runner.metrics(&session, &request)?)
}

pub(crate) fn evaluation(app: &App, call: Call) -> Answer {
    let reference = reference(&call)?;
    reply(app.runner.evaluation(&call.session, &reference)?)
}

pub(crate) fn compare(app: &App, call: Call) -> Answer {
    let session = call.session.clone();
    let request: CompareRequest = call.document()?;
    reply(app.runner.compare(&session, &request)?)
}

/// Answers with a line for each event, the last of them the result.
pub(crate) fn run(app: &App, call: Call) -> Answer {
    let session = call.session.clone();
    let request: RunRequest = call.document()?;
    let runner = app.runner.clone();
    if request.detached {
        return accepted(&runner, session, request);
    }
    stream("application/x-ndjson", move |out| {
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
    })
}

/// Starts a run that goes on by itself, and answers once it has its entry, or says why it could not start.
fn accepted(runner: &Arc<Runner>, session: Session, request: RunRequest) -> Answer {
    let runner = runner.clone();
    let (sender, started) = sync_channel(1);
    // A thread of its own: of those for blocking work, all may wait here.
    let thread = std::thread::Builder::new().name("run".to_owned());
    let work = thread.spawn(move || {
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
    });
    let ended = || {
        Problem::new(custody_types::code::API_021, "the run did not start")
            .hint("see what was done with `custody runs`, then start it again")
    };
    work.map_err(|error| ended().because(error))?;
    let started = started.recv().map_err(|_| ended())?;
    let started = started?;
    let place = format!("/v1/runs/{}", started.run);
    created(&place, started)
}

pub(crate) fn runs(app: &App, call: Call) -> Answer {
    let query: RunQuery = call.query()?;
    let target = query
        .project
        .clone()
        .map_or(ResourceRef::Workspace, ResourceRef::Project);
    let grant = app.door.ask::<ReadRun>(&call.session, target)?;
    let listed = grant.runs(&query)?;
    grant.finish()?;
    reply(listed)
}

pub(crate) fn show_run(app: &App, call: Call) -> Answer {
    let grant = app.door.ask_run::<ReadRun>(&call.session, &call.id()?)?;
    let shown = grant.run()?;
    grant.finish()?;
    reply(shown)
}

/// Tells what happens in a run, a line each, from the entry after the given one to the end of the run.
pub(crate) fn run_events(app: &App, call: Call) -> Answer {
    const PAUSE: Duration = Duration::from_millis(100);
    let RunMomentQuery { mut after } = call.query()?;
    let grant = app.door.ask_run::<ReadRun>(&call.session, &call.id()?)?;
    stream("application/x-ndjson", move |out| {
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
    })
}

pub(crate) fn cancel_run(app: &App, call: Call) -> Answer {
    reply(app.runner.cancel(&call.session, &call.id()?)?)
}

pub(crate) fn ledger_entries(app: &App, call: Call) -> Answer {
    let query: EntryQuery = call.query()?;
    let grant = app
        .door
        .ask::<ReadLedger>(&call.session, ResourceRef::Ledger)?;
    let entries = grant.entries(&query)?;
    grant.finish()?;
    reply(entries)
}

pub(crate) fn ledger_entry(app: &App, call: Call) -> Answer {
    let index = call.id()?;
    let grant = app
        .door
        .ask::<ReadLedger>(&call.session, ResourceRef::Ledger)?;
    let index = index.parse::<u64>().map_err(|_| {
        Problem::new(
            custody_types::code::API_014,
            format!("`{index}` is no place in the ledger"),
        )
        .hint("entries are counted from 0")
    });
    let entry = match index.and_then(|index| grant.proved(index)) {
        Ok(entry) => entry,
        Err(problem) => {
            grant.fail(problem.code);
            return Err(problem);
        }
    };
    grant.finish()?;
    reply(entry)
}

pub(crate) fn verify_ledger(app: &App, call: Call) -> Answer {
    let grant = app
        .door
        .ask::<ReadLedger>(&call.session, ResourceRef::Ledger)?;
    let checks = grant.verify();
    grant.finish()?;
    let ok = checks
        .iter()
        .all(|check| check.result != custody_wire::CheckResult::Broken);
    reply(LedgerVerifyReply { ok, checks })
}

pub(crate) fn accept_rollback(app: &App, call: Call) -> Answer {
    let session = call.session.clone();
    let request: AcceptRollbackRequest = call.document()?;
    let entry = app
        .door
        .accept_rollback(&session, &request.workspace, &request.reason)?;
    reply(AcceptRollbackReply { entry })
}

pub(crate) fn export_ledger(app: &App, call: Call) -> Answer {
    let grant = app
        .door
        .ask::<ExportLedger>(&call.session, ResourceRef::Ledger)?;
    stream("application/x-tar", move |out| grant.write_tar(out))
}

pub(crate) fn policy(app: &App, call: Call) -> Answer {
    let grant = app
        .door
        .ask::<ReadPolicy>(&call.session, ResourceRef::Policy)?;
    let policies = grant.policies();
    grant.finish()?;
    reply(policies)
}

pub(crate) fn change_policy(app: &App, call: Call) -> Answer {
    let session = call.session.clone();
    let sources: Vec<PolicySource> = call.document()?;
    reply(app.door.change_policies(&session, sources)?)
}

pub(crate) fn proposals(app: &App, call: Call) -> Answer {
    reply(app.door.proposals(&call.session)?)
}

pub(crate) fn approve_change(app: &App, call: Call) -> Answer {
    let session = call.session.clone();
    let request: ApproveChangeRequest = call.document()?;
    let reference = parse_reference(&request.reference)?;
    reply(app.door.approve_change(&session, &reference)?)
}

pub(crate) fn break_glass(app: &App, call: Call) -> Answer {
    let session = call.session.clone();
    let request: BreakGlassRequest = call.document()?;
    let door = &app.door;
    reply(door.break_glass(&session, &request.workspace, &request.reason)?)
}

pub(crate) fn validate_policies(app: &App, call: Call) -> Answer {
    let session = call.session.clone();
    let CandidateRequest { sources } = call.document()?;
    reply(app.door.validate_policies(&session, sources)?)
}

pub(crate) fn test_policies(app: &App, call: Call) -> Answer {
    let session = call.session.clone();
    let CandidateRequest { sources } = call.document()?;
    reply(app.door.test_policies(&session, sources)?)
}

pub(crate) fn compare_policies(app: &App, call: Call) -> Answer {
    let session = call.session.clone();
    let CandidateRequest { sources } = call.document()?;
    reply(app.door.compare_policies(&session, sources)?)
}

pub(crate) fn explain(app: &App, call: Call) -> Answer {
    let session = call.session.clone();
    let request: ExplainRequest = call.document()?;
    reply(app.door.explain(&session, &request)?)
}

pub(crate) fn replay(app: &App, call: Call) -> Answer {
    let session = call.session.clone();
    let request: ReplayRequest = call.document()?;
    reply(app.door.replay(&session, request)?)
}

pub(crate) fn identity(app: &App, call: Call) -> Answer {
    let grant = app
        .door
        .ask::<ReadIdentity>(&call.session, ResourceRef::Identity)?;
    let identity = grant.identity();
    grant.finish()?;
    reply(identity)
}

pub(crate) fn change_identity(app: &App, call: Call) -> Answer {
    let session = call.session.clone();
    let request: IdentityRequest = call.document()?;
    reply(app.door.change_accounts(&session, request.changes)?)
}

pub(crate) fn tokens(app: &App, call: Call) -> Answer {
    reply(app.door.tokens(&call.session)?)
}

pub(crate) fn create_token(app: &App, call: Call) -> Answer {
    let session = call.session.clone();
    let request: TokenRequest = call.document()?;
    let new = NewToken {
        account: request.account,
        days: request.days,
        note: request.note,
        actions: request.actions,
        projects: request.projects,
        purpose: request.purpose,
        networks: request.networks,
    };
    reply(app.door.create_token(&session, new)?)
}

pub(crate) fn revoke_token(app: &App, call: Call) -> Answer {
    let session = call.session.clone();
    let request: RevokeTokenRequest = call.document()?;
    reply(app.door.revoke_token(&session, &request.id)?)
}

pub(crate) fn rescan(app: &App, call: Call) -> Answer {
    let session = call.session.clone();
    let request: RescanRequest = call.document()?;
    let target = match &request.reference {
        Some(text) => ResourceRef::Named(parse_reference(text)?),
        None => ResourceRef::Workspace,
    };
    let grant = app.door.ask::<List>(&session, target)?;
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
            .ask::<ScanModel>(&session, ResourceRef::Version(Box::new(version)))?;
        scanned.push(grant.rescan(&mut known)?);
    }
    grant.finish()?;
    reply(RescanReply {
        rules: in_force
            .iter()
            .map(|pack| format!("{} {}", pack.name, pack.version))
            .collect(),
        scanned,
        current,
    })
}

pub(crate) fn approve(app: &App, call: Call) -> Answer {
    let session = call.session.clone();
    let request: ApproveRequest = call.document()?;
    let reference = parse_reference(&request.reference)?;
    let grant = app
        .door
        .ask::<Approve>(&session, ResourceRef::Named(reference))?;
    reply(grant.approve(&request.reason)?)
}

pub(crate) fn reject(app: &App, call: Call) -> Answer {
    let session = call.session.clone();
    let request: RejectRequest = call.document()?;
    let reference = parse_reference(&request.reference)?;
    let grant = app
        .door
        .ask::<Reject>(&session, ResourceRef::Named(reference))?;
    let (version, entry) = grant.reject(&request.reason)?;
    reply(RejectReply { version, entry })
}

pub(crate) fn remove(app: &App, call: Call) -> Answer {
    let session = call.session.clone();
    let request: RemoveRequest = call.document()?;
    let reference = parse_reference(&request.reference)?;
    let grant = app
        .door
        .ask::<Remove>(&session, ResourceRef::Named(reference))?;
    reply(grant.remove()?)
}

pub(crate) fn shred(app: &App, call: Call) -> Answer {
    let session = call.session.clone();
    let request: ShredRequest = call.document()?;
    let target = ResourceRef::Project(request.project);
    let grant = app.door.ask::<Shred>(&session, target)?;
    reply(grant.shred(&request.reason)?)
}

pub(crate) fn keys(app: &App, call: Call) -> Answer {
    let grant = app.door.ask::<ReadKeys>(&call.session, ResourceRef::Keys)?;
    reply(grant.keys()?)
}

pub(crate) fn rotate_keys(app: &App, call: Call) -> Answer {
    let session = call.session.clone();
    let request: RotateKeysRequest = call.document()?;
    let grant = app.door.ask::<RotateKeys>(&session, ResourceRef::Keys)?;
    reply(grant.rotate(&request)?)
}

pub(crate) fn change_passphrase(app: &App, call: Call) -> Answer {
    let session = call.session.clone();
    let request: PassphraseRequest = call.document()?;
    let grant = app.door.ask::<RotateKeys>(&session, ResourceRef::Keys)?;
    reply(grant.change_passphrase(&request)?)
}

pub(crate) fn change_rules(app: &App, call: Call) -> Answer {
    let session = call.session.clone();
    let sources: Vec<PolicySource> = call.document()?;
    let grant = app.door.ask::<ChangeRules>(&session, ResourceRef::Policy)?;
    reply(RulesReply {
        rules: grant.apply(&sources)?,
    })
}

pub(crate) fn rebuild_index(app: &App, call: Call) -> Answer {
    let grant = app
        .door
        .ask::<RebuildIndex>(&call.session, ResourceRef::Workspace)?;
    let versions = grant.rebuild()?;
    reply(ListReply {
        versions,
        held_back: 0,
        lacking: 0,
        next: None,
    })
}

fn reference(call: &Call) -> Result<Reference, Problem> {
    let query: ArtifactQuery = call.query()?;
    parse_reference(&query.reference)
}

fn parse_reference(text: &str) -> Result<Reference, Problem> {
    text.parse().map_err(|error: custody_types::NameError| {
        Problem::new(custody_types::code::API_014, error.to_string())
            .hint("write `project/artifact`, with `@` and a number, an alias or a digest after it")
    })
}

pub(crate) fn invite(app: &App, call: Call) -> Answer {
    let session = call.session.clone();
    let request: InviteRequest = call.document()?;
    reply(app.door.invite(&session, &request.account)?)
}

pub(crate) fn sign_in(app: &App, arrival: Arrival) -> Answer {
    let address = arrival.address;
    let request: SignInRequest = arrival.document()?;
    reply(app.door.sign_in_person(&request, address)?)
}

pub(crate) fn enrol(app: &App, arrival: Arrival) -> Answer {
    let address = arrival.address;
    let request: EnrolRequest = arrival.document()?;
    reply(app.door.enrol(&request, address)?)
}

pub(crate) fn sign_out(app: &App, arrival: Arrival) -> Answer {
    app.door
        .sign_out(arrival.token.as_deref().unwrap_or_default())?;
    reply(SignOutReply {})
}

pub(crate) fn providers(app: &App, _: Arrival) -> Answer {
    reply(app.door.providers())
}

pub(crate) fn begin_in_browser(app: &App, arrival: Arrival) -> Answer {
    let query: ProviderQuery = arrival.query()?;
    let begun = app
        .door
        .begin_in_browser(query.provider.as_deref(), arrival.address)?;
    call::sent(
        &begun.location,
        &sign_in_cookie(&begun.cookie, begun.seconds),
    )
}

pub(crate) fn return_to_browser(app: &App, arrival: Arrival) -> Answer {
    let cookie = arrival.cookie.as_deref();
    let session = app
        .door
        .return_to_browser(&arrival.query, cookie, arrival.address)?;
    let mut response = reply(session)?;
    // What was kept for it is of no use any more.
    let gone = HeaderValue::from_str(&sign_in_cookie("", 0));
    if let Ok(gone) = gone {
        response.headers_mut().insert(SET_COOKIE, gone);
    }
    Ok(response)
}

pub(crate) fn begin_device(app: &App, arrival: Arrival) -> Answer {
    let address = arrival.address;
    let request: DeviceRequest = arrival.document()?;
    reply(app.door.begin_device(&request, address)?)
}

pub(crate) fn poll_device(app: &App, arrival: Arrival) -> Answer {
    let address = arrival.address;
    let request: DevicePollRequest = arrival.document()?;
    reply(app.door.poll_device(&request, address)?)
}
