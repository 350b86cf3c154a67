//! Runs on snapshots: through the client and the API, over a door on doubles. There is no folder of a project anywhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use custody_api::{App, Credentials, Entrance, router};
use custody_client::{Client, Transport};
use custody_guard::testing::World;
use custody_pipeline::testing::runner;
use custody_types::{Classification, Code, Kind, Problem, VersionName, code};
use custody_wire::{
    ListQuery, OriginOfPut, PutQuery, RunMark, RunMomentQuery, RunQuery, RunRequest, RunState,
    Snapshot, StatusRequest, StepState, TraceQuery,
};

const FILE: &str = "
project: demo
steps:
  collect:
    source:
      file: ../rows/*.csv
      output: rows
      origin: {publisher: us, url: 'https://rows.example', licence: own, legal_basis: contract, classification: internal}
  sums:
    sql:
      inputs: {rows: rows}
      outputs: {sums: SELECT sum(amount) AS amount FROM rows}
";

/// A server of a workspace in memory.
pub(crate) struct Server {
    pub(crate) world: World,
    pub(crate) app: App,
}

impl Server {
    pub(crate) fn new() -> Self {
        let world = World::default();
        let door = world.open();
        let runner = Arc::new(runner(&world, &door, &[]));
        let entrance = Entrance::Machine(Credentials::OperatingSystem {
            account: "owner".to_owned(),
        });
        let app = App {
            door,
            runner,
            entrance,
        };
        Self { world, app }
    }

    /// The same server, as somebody else sees it.
    pub(crate) fn seen_by(&self, account: &str) -> Self {
        let account = account.to_owned();
        let entrance = Entrance::Machine(Credentials::OperatingSystem { account });
        let app = App {
            entrance,
            ..self.app.clone()
        };
        Self {
            world: self.world.clone(),
            app,
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(Transport::InProcess(router(self.app.clone()))).unwrap()
    }

    /// Makes a version of files.
    pub(crate) fn put(
        &self,
        artifact: &str,
        kind: Kind,
        class: Classification,
        files: &[(&str, &str)],
    ) -> VersionName {
        self.put_as((artifact, kind), class, "", files)
    }

    /// Makes a dataset that serves one purpose alone.
    fn put_for(
        &self,
        artifact: &str,
        class: Classification,
        purpose: &str,
        files: &[(&str, &str)],
    ) -> VersionName {
        self.put_as((artifact, Kind::Dataset), class, purpose, files)
    }

    fn put_as(
        &self,
        (artifact, kind): (&str, Kind),
        class: Classification,
        purposes: &str,
        files: &[(&str, &str)],
    ) -> VersionName {
        let origin = (kind == Kind::Dataset).then(|| {
            let declared = serde_json::json!({
                "publisher": "us", "url": "https://rows.example", "licence": "own",
                "legal_basis": "contract", "classification": class,
            });
            let origin = OriginOfPut {
                declared,
                what: "../rows/*.csv".to_owned(),
                sha256: custody_types::Digest::of(b"rows"),
                files: Vec::new(),
            };
            serde_json::to_string(&origin).unwrap()
        });
        let query = PutQuery {
            artifact: artifact.parse().unwrap(),
            kind,
            classification: class,
            purposes: purposes.to_owned(),
            origin,
        };
        let files: Vec<_> = files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()))
            .collect();
        let write = move |out: &mut custody_wire::stream::PieceWriter| {
            let mut archive = tar::Builder::new(out);
            for (path, bytes) in &files {
                let mut header = tar::Header::new_gnu();
                header.set_size(bytes.len() as u64);
                header.set_mode(0o644);
                archive.append_data(&mut header, path, bytes.as_slice())?;
            }
            archive.finish()
        };
        self.client().put(&query, write).unwrap().version.name
    }

    fn folder(&self, file: &str) -> VersionName {
        let files = [("custody.yaml", file)];
        self.put(
            "demo/snapshot",
            Kind::Code,
            Classification::Internal,
            &files,
        )
    }

    fn rows(&self, class: Classification) -> VersionName {
        let files = [
            ("a.csv", "id,amount\n1,10\n"),
            ("b.csv", "id,amount\n2,20\n"),
        ];
        self.put("demo/collect-files", Kind::Dataset, class, &files)
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot {
            folder: self.folder(FILE),
            code: BTreeMap::new(),
            sources: BTreeMap::from([(
                "../rows/*.csv".to_owned(),
                self.rows(Classification::Internal),
            )]),
            commit: None,
        }
    }

    /// Runs a pipeline that makes `demo/sums@1`, and returns the run.
    pub(crate) fn ran(&self) -> String {
        let client = self.client();
        let done = client.run(&on(&self.snapshot()), |_| {}).unwrap();
        assert!(done.ok, "{done:?}");
        done.run
    }

    /// Starts a run, and waits for its end. Returns how each step ended, and the run.
    fn run(&self, snapshot: &Snapshot) -> (Vec<(String, RunState)>, RunState) {
        let client = self.client();
        let started = client.start_run(&on(snapshot)).unwrap();
        let (mut steps, mut end) = (Vec::new(), RunState::Running);
        client
            .follow_run(&started.run, &RunMomentQuery::default(), |moment| {
                match moment.what {
                    RunMark::StepEnded { step, state, .. } => steps.push((step, state)),
                    RunMark::Ended { state, .. } => end = state,
                    _ => {}
                }
                Ok(())
            })
            .unwrap();
        (steps, end)
    }
}

fn on(snapshot: &Snapshot) -> RunRequest {
    RunRequest {
        snapshot: Some(snapshot.clone()),
        ..RunRequest::default()
    }
}

fn names(client: &Client) -> Vec<String> {
    let listed = client.list(&ListQuery::default()).unwrap().versions;
    listed
        .iter()
        .map(|version| version.name.to_string())
        .collect()
}

#[test]
fn a_run_on_a_snapshot_goes_on_by_itself_and_needs_no_folder() {
    let server = Server::new();
    let client = server.client();
    let nothing = client.run(&RunRequest::default(), |_| {}).unwrap_err();
    assert_eq!(nothing.code, code::PIPE_003, "{nothing}");
    let snapshot = server.snapshot();
    let (steps, end) = server.run(&snapshot);
    let done = |step: &str| (step.to_owned(), RunState::Done);
    assert_eq!(
        (steps, end),
        (vec![done("collect"), done("sums")], RunState::Done)
    );
    let expected = [
        "demo/collect-files@1",
        "demo/rows@1",
        "demo/snapshot@1",
        "demo/sums@1",
    ];
    assert_eq!(names(&client), expected);
    // What the source was taken from is evidence, and so is known of what was made of it.
    let query = TraceQuery {
        reference: "demo/sums@1".to_owned(),
        down: false,
    };
    let edges = client.trace(&query).unwrap().edges;
    let edges = edges.iter().map(|edge| {
        (
            edge.from.to_string(),
            edge.to.to_string(),
            edge.role.as_str(),
        )
    });
    let edges: Vec<_> = edges.collect();
    let edge = |from: &str, to: &str, role| (from.to_owned(), to.to_owned(), role);
    let original = edge("demo/collect-files@1", "demo/rows@1", "original");
    assert!(edges.contains(&original), "{edges:?}");
    // Asked to tell how it goes on, it answers with every event; and what was made is made once.
    let again = client.run(&on(&snapshot), |_| {}).unwrap();
    let states: Vec<_> = again.steps.iter().map(|step| step.state).collect();
    assert_eq!(states, [StepState::Reused, StepState::Reused]);
    let status = StatusRequest {
        snapshot: Some(snapshot),
        ..StatusRequest::default()
    };
    let status = client.status(&status).unwrap();
    assert!(status.steps.iter().all(|step| !step.runs), "{status:?}");
    assert_eq!(names(&client), expected);
    // Every grant has one outcome, those by which the sources' files were read too.
    let world = server.world.clone();
    drop((client, server));
    let (grants, outcomes) = World::grants_and_outcomes(&world.open());
    assert_eq!(grants, outcomes);
}

/// What a run on a snapshot that is not sound, or not for this person, ends with before it begins.
fn refused(server: &Server, snapshot: &Snapshot) -> (Code, Problem) {
    let client = server.client();
    let runs = client.runs(&RunQuery::default()).unwrap().runs.len();
    let problem = client.start_run(&on(snapshot)).unwrap_err();
    let after = client.runs(&RunQuery::default()).unwrap().runs;
    assert_eq!(after.len(), runs, "{problem}");
    let told = client.run(&on(snapshot), |_| {}).unwrap_err();
    assert_eq!(told.code, problem.code);
    (problem.code, problem)
}

#[test]
fn what_is_no_snapshot_of_the_project_is_refused_before_anything_runs() {
    let server = Server::new();
    let good = server.snapshot();
    let data = Snapshot {
        folder: good.sources["../rows/*.csv"].clone(),
        ..good.clone()
    };
    assert_eq!(refused(&server, &data).0, code::PIPE_028);
    let missing = Snapshot {
        folder: "demo/snapshot@7".parse().unwrap(),
        ..good.clone()
    };
    assert_eq!(refused(&server, &missing).0, code::DOOR_002);
    let files = [("readme.md", "no pipeline")];
    let empty = Snapshot {
        folder: server.put(
            "demo/snapshot",
            Kind::Code,
            Classification::Internal,
            &files,
        ),
        ..good.clone()
    };
    assert_eq!(refused(&server, &empty).0, code::PIPE_027);
    let other = Snapshot {
        folder: server.folder(&FILE.replace("project: demo", "project: other")),
        ..good.clone()
    };
    assert_eq!(refused(&server, &other).0, code::PIPE_028);
    let files = [("custody.yaml", FILE)];
    let of_two = Snapshot {
        folder: server.put(
            "else/snapshot",
            Kind::Code,
            Classification::Internal,
            &files,
        ),
        ..good.clone()
    };
    assert_eq!(refused(&server, &of_two).0, code::PIPE_028);
    // A source that it does not have is missed when the run has begun, and the ledger says so.
    let lacking = Snapshot {
        sources: BTreeMap::new(),
        ..good
    };
    let (steps, end) = server.run(&lacking);
    assert_eq!((steps, end), (Vec::new(), RunState::Failed));
    let last = server.client().runs(&RunQuery::default()).unwrap().runs;
    let why = last.first().and_then(|run| run.error.as_deref());
    assert_eq!(why, Some("CUS-PIPE-027"), "{last:?}");
}

#[test]
fn a_source_is_as_sensitive_as_its_files_whatever_it_declares() {
    let server = Server::new();
    let mut snapshot = server.snapshot();
    let secret = server.rows(Classification::Confidential);
    snapshot.sources.insert("../rows/*.csv".to_owned(), secret);
    let reply = server.client().run(&on(&snapshot), |_| {}).unwrap();
    let problem = reply.problem.unwrap();
    assert_eq!(problem.code, code::PIPE_029, "{problem}");
    assert!(
        !names(&server.client())
            .iter()
            .any(|name| name == "demo/rows@1")
    );
    let declared = FILE.replace("classification: internal", "classification: confidential");
    snapshot.folder = server.folder(&declared);
    let reply = server.client().run(&on(&snapshot), |_| {}).unwrap();
    assert!(reply.ok, "{reply:?}");
    let shown = server.client().show("demo/rows").unwrap().version;
    assert_eq!(shown.classification, Classification::Confidential);
}

#[test]
fn a_source_serves_no_purpose_that_its_files_may_not_serve() {
    let server = Server::new();
    let mut snapshot = server.snapshot();
    let files = [("a.csv", "id,amount\n3,30\n")];
    let bound = server.put_for(
        "demo/collect-files",
        Classification::Internal,
        "investigation",
        &files,
    );
    snapshot.sources.insert("../rows/*.csv".to_owned(), bound);
    let with = |line: &str| {
        let file = FILE.replace("project: demo", "project: demo\npurpose: investigation");
        server.folder(&file.replace("      output: rows", &format!("      output: rows\n{line}")))
    };
    snapshot.folder = with("      purposes: [model-development]");
    let reply = server.client().run(&on(&snapshot), |_| {}).unwrap();
    let problem = reply.problem.unwrap();
    assert_eq!(problem.code, code::PIPE_031, "{problem}");
    for line in ["", "      purposes: [investigation, model-development]"] {
        snapshot.folder = with(line);
        let reply = server.client().run(&on(&snapshot), |_| {}).unwrap();
        assert!(reply.ok, "{reply:?}");
        let purposes = server.client().show("demo/rows").unwrap().version.purposes;
        let purposes: Vec<_> = purposes.iter().map(ToString::to_string).collect();
        assert_eq!(purposes, ["investigation"]);
    }
}

#[test]
fn a_stranger_runs_nothing_and_learns_nothing() {
    let server = Server::new();
    let snapshot = server.snapshot();
    let stranger = server.seen_by("stranger");
    let told = stranger.client().start_run(&on(&snapshot)).unwrap_err();
    let absent = Snapshot {
        folder: "nowhere/snapshot@1".parse().unwrap(),
        ..snapshot
    };
    let same = stranger.client().start_run(&on(&absent)).unwrap_err();
    assert_eq!(told.code, same.code, "{told}\n{same}");
    let told = told.to_string().replace("demo/", "nowhere/");
    assert_eq!(told, same.to_string());
}
