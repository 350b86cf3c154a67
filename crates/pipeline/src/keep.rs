//! What a run keeps as versions: the outputs of steps, and the code and environments that they ran with.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use custody_attest::slsa::Provenance;
use custody_attest::statement::ResourceDescriptor;
use custody_guard::{
    Collect, Declassify, FIGURES, Grant, NewVersion, RegisterModel, ResourceRef, Session,
    SignModel, VersionBuilder, Write,
};
use custody_types::{
    ArtifactName, Classification, Digest, Kind, Problem, Purpose, Reference, Timestamp, code,
};
use custody_wire::ScanView;

use crate::collect::{self, Collected};
use crate::file::Step;
use crate::memory::MadeFile;
use crate::outputs::Granting;
use crate::ports::Installed;
use crate::produce::fault;
use crate::run::{Context, Inputs, Known, Runner, Wanted, artifact};
use crate::step::{Class, Makes};

/// What a step made, not yet granted.
pub(crate) enum Products<'a> {
    /// Files of the user, which are taken once that is granted.
    Collected(&'a [Collected]),
    /// Files that were sealed while the step made them.
    Sealed(Granting),
}

fn target(new: &NewVersion) -> ResourceRef {
    ResourceRef::New {
        artifact: new.artifact.clone(),
        kind: new.kind,
        classification: new.classification,
    }
}

/// Binds what a source makes to the version that its files stand in: it is no less sensitive, and serves no other purpose.
fn bind(new: &mut NewVersion, original: &Known) -> Result<(), Problem> {
    if new.classification < original.classification {
        return Err(Problem::new(
            code::PIPE_029,
            format!(
                "the source is declared `{}`, and its files `{}` are `{}`",
                new.classification, original.name, original.classification
            ),
        )
        .hint(format!(
            "declare `classification: {}` for it; a step after it may make something less sensitive, where the policy grants `declassify`",
            original.classification
        )));
    }
    let declared = new.purposes.clone();
    narrow(&mut new.purposes, &original.purposes);
    // None left would stand for any.
    if new.purposes.is_empty() && !declared.is_empty() {
        return Err(Problem::new(
            code::PIPE_031,
            format!(
                "the source serves none of the purposes that its files `{}` may serve",
                original.name
            ),
        )
        .hint("declare under `purposes` some of those that `custody show` says of the files"));
    }
    Ok(())
}

/// Leaves the purposes that both lists have; an empty list stands for any.
fn narrow(purposes: &mut Vec<Purpose>, bound: &[Purpose]) {
    if purposes.is_empty() {
        purposes.extend_from_slice(bound);
    } else if !bound.is_empty() {
        purposes.retain(|purpose| bound.contains(purpose));
    }
}

/// An output that became a version.
pub(crate) struct StepOutput {
    pub(crate) artifact: String,
    pub(crate) statement: Option<Digest>,
    pub(crate) known: Known,
    pub(crate) scan: Option<ScanView>,
}

impl Runner {
    /// Keeps the outputs as versions, all or none, with the statement about them.
    #[expect(
        clippy::too_many_arguments,
        reason = "everything that a version is described by"
    )]
    pub(crate) fn save(
        &self,
        context: &Context<'_>,
        name: &str,
        step: &Step,
        session: &Session,
        inputs: &Inputs,
        products: Products<'_>,
        (rows, figures): (Option<u64>, Option<&[u8]>),
        provenance: &dyn Fn(Timestamp) -> Provenance,
    ) -> Result<Vec<StepOutput>, Problem> {
        let declared = step.outputs(name);
        let mut news = Vec::new();
        for makes in &declared {
            let few = rows.is_some_and(|rows| rows < self.door.fewest_rows());
            let mut new = self.new_version(context, name, step, makes, inputs, few)?;
            let record = figures.map(|figures| (FIGURES.to_owned(), figures.to_vec()));
            new.extra.extend(record);
            news.push((makes, new));
        }
        let mut signs = Vec::new();
        let making = match products {
            Products::Collected(files) => {
                let mut making: Option<VersionBuilder> = None;
                for (_, new) in news {
                    let grant = self.door.ask::<Collect>(session, target(&new))?;
                    let making = match &mut making {
                        Some(making) => making,
                        None => making.insert(VersionBuilder::start(&grant)?),
                    };
                    files
                        .iter()
                        .try_for_each(|file| collect::keep(file, making))?;
                    making.finish(grant, new)?;
                }
                making.ok_or_else(|| fault("the step makes nothing"))?
            }
            Products::Sealed(mut sealed) => {
                for (makes, new) in news {
                    if matches!(step, Step::Register(_)) {
                        signs.push(self.door.ask::<SignModel>(session, target(&new))?);
                        let grant = self.door.ask::<RegisterModel>(session, target(&new))?;
                        sealed.grant(&makes.name, grant, new)?;
                    } else {
                        let grant = self.door.ask::<Write>(session, target(&new))?;
                        sealed.grant(&makes.name, grant, new)?;
                    }
                }
                sealed.into_builder()
            }
        };
        let finished = self.door.now();
        let made = making.commit(Some(&|names| {
            let subject = names
                .iter()
                .map(|(name, digest)| ResourceDescriptor::version(name, *digest))
                .collect();
            provenance(finished)
                .statement(subject)
                .map_err(|error| fault(&error.to_string()))
        }))?;
        signs.into_iter().try_for_each(Grant::finish)?;
        let made = declared
            .into_iter()
            .zip(made)
            .map(|(makes, made)| StepOutput {
                artifact: makes.artifact,
                statement: made.version.record.statement,
                known: Known::of(&made.version),
                scan: made.scan,
            });
        Ok(made.collect())
    }

    fn new_version(
        &self,
        context: &Context<'_>,
        name: &str,
        step: &Step,
        makes: &Makes,
        inputs: &Inputs,
        few_rows: bool,
    ) -> Result<NewVersion, Problem> {
        let artifact = artifact(context.file, &makes.artifact)?;
        // A registered model has the bytes of the model, and nothing of the decision about it.
        let model = inputs.versions.get("model");
        let model = model.filter(|_| matches!(step, Step::Register(_)));
        let inherited = model.map_or_else(|| inputs.classification(), |model| model.classification);
        let (classification, free) = match makes.class {
            Class::OfInputs => (inherited, false),
            Class::Figures if few_rows => (inherited, false),
            Class::Figures => (Classification::Internal, true),
            Class::Declared(declared) => (declared, declared < inherited),
        };
        let mut new = NewVersion::new(artifact, makes.kind, classification);
        // It may serve what everything that it was made from may serve, unless it was freed from that.
        let bound = inputs.versions.values().filter(|_| !free);
        let bound = bound.filter(|known| model.is_none_or(|model| model.name == known.name));
        for known in bound {
            narrow(&mut new.purposes, &known.purposes);
        }
        if let (Step::Source(source), Some(files)) = (step, &inputs.source) {
            new.classification = source.origin.classification;
            new.purposes.clone_from(&source.purposes);
            if let Some(original) = inputs.original() {
                bind(&mut new, &original)?;
            }
            new.origin = Some(collect::origin(
                &source.origin,
                &source.file,
                (collect::digest(files), collect::described(files)),
                (
                    self.door.now(),
                    self.door.pseudonym(context.session.actor()),
                ),
            ));
        }
        new.step = Some(name.to_owned());
        new.sign = matches!(step, Step::Register(_));
        Ok(new)
    }

    /// Asks for every output that is declared to be less sensitive than what it is made from.
    pub(crate) fn declassify(
        &self,
        context: &Context<'_>,
        name: &str,
        step: &Step,
        inputs: &Inputs,
    ) -> Result<(), Problem> {
        let inherited = inputs.classification();
        for makes in step.outputs(name) {
            let Class::Declared(declared) = makes.class else {
                continue;
            };
            if declared >= inherited {
                continue;
            }
            let target = ResourceRef::New {
                artifact: artifact(context.file, &makes.artifact)?,
                kind: makes.kind,
                classification: inherited,
            };
            let grant = self.door.ask::<Declassify>(context.session, target)?;
            grant.finish_with(BTreeMap::from([
                ("from".to_owned(), inherited.to_string()),
                ("to".to_owned(), declared.to_string()),
            ]))?;
        }
        Ok(())
    }

    /// Keeps a step's code as a version, or finds it where it did not change.
    pub(crate) fn code(
        &self,
        context: &Context<'_>,
        name: &str,
        files: &[MadeFile],
    ) -> Result<Known, Problem> {
        let artifact = artifact(context.file, &format!("{name}-code"))?;
        self.snapshot(
            context,
            &artifact,
            Kind::Code,
            crate::memory::digest(files),
            &mut |making| {
                files.iter().try_for_each(|file| {
                    making
                        .file(
                            file.path.clone(),
                            file.executable,
                            &mut file.bytes.as_slice(),
                        )
                        .map(|_| ())
                })
            },
        )
    }

    /// Installs the environment where it is not there, and keeps it as a version. `announce` says so before.
    pub(crate) fn environment(
        &self,
        context: &Context<'_>,
        wanted: &Wanted,
        announce: &dyn Fn(),
    ) -> Result<(Known, Installed), Problem> {
        let _one = self
            .installing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let name = match &wanted.pieces.name {
            Some(name) => format!("environment-{name}"),
            None => "environment".to_owned(),
        };
        let artifact = artifact(context.file, &name)?;
        let installed = match self.environments.find(&wanted.key)? {
            Some(installed) => installed,
            None => {
                announce();
                let target = ResourceRef::New {
                    artifact: artifact.clone(),
                    kind: Kind::Environment,
                    classification: Classification::Internal,
                };
                let grant = self
                    .door
                    .ask::<custody_guard::InstallEnvironment>(context.session, target)?;
                let installed = self.environments.install(&wanted.key, &wanted.locked)?;
                grant.finish()?;
                installed
            }
        };
        let known = self.snapshot(
            context,
            &artifact,
            Kind::Environment,
            installed.digest,
            &mut |making| {
                for file in &installed.files {
                    let host = installed.folder.join(file.path.as_str());
                    let mut content = std::fs::File::open(&host).map_err(|error| {
                        Problem::new(
                            code::RUN_020,
                            format!("the environment's file `{}` cannot be read", host.display()),
                        )
                        .because(error)
                    })?;
                    making.file(file.path.clone(), file.executable, &mut content)?;
                }
                Ok(())
            },
        )?;
        if known.digest != installed.digest {
            return Err(Problem::new(
                code::RUN_021,
                "the environment changed while it was kept",
            )
            .hint(format!(
                "run again; if it stays, look at `{}`: it holds packages alone and nothing of yours, and once it is removed the next run installs it again from the lock file and the package registry",
                installed.folder.display()
            )));
        }
        Ok((known, installed))
    }

    fn snapshot(
        &self,
        context: &Context<'_>,
        artifact: &ArtifactName,
        kind: Kind,
        digest: Digest,
        fill: &mut dyn FnMut(&mut VersionBuilder) -> Result<(), Problem>,
    ) -> Result<Known, Problem> {
        let reference = Reference {
            artifact: artifact.clone(),
            selector: custody_types::Selector::Digest(digest),
        };
        if let Some(version) = context.evidence.find(&reference)? {
            return Ok(Known::of(&version));
        }
        let new = NewVersion::new(artifact.clone(), kind, Classification::Internal);
        let grant = self.door.ask::<Write>(context.session, target(&new))?;
        let mut making = VersionBuilder::start(&grant)?;
        fill(&mut making)?;
        making.finish(grant, new)?;
        let made = making.commit(None)?;
        made.first()
            .map(|made| Known::of(&made.version))
            .ok_or_else(|| fault("nothing was kept"))
    }
}
