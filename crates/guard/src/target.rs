//! What is asked for.

use custody_policy::ResourceFacts;
use custody_store::Version;
use custody_types::{
    ArtifactName, Classification, Endpoint, Kind, ProjectName, Reference, Resource, ResourceKind,
};

/// What an action is asked on.
#[derive(Debug, Clone)]
pub enum ResourceRef {
    /// A project as a whole.
    Project(ProjectName),
    /// A version named as a user names it; the door looks it up.
    Named(Reference),
    /// A version already looked up.
    Version(Box<Version>),
    /// A version that shall be made.
    New {
        /// The artifact that gets it.
        artifact: ArtifactName,
        /// What it will be.
        kind: Kind,
        /// How sensitive it will be.
        classification: Classification,
    },
    /// A run, or a step of one.
    Run {
        /// The project.
        project: ProjectName,
        /// The run's id, or `<run>/<step>`.
        id: String,
    },
    /// Something outside that a step connects to.
    Endpoint {
        /// The project of the step.
        project: ProjectName,
        /// The host and the port.
        endpoint: Endpoint,
        /// How sensitive what goes into the step is.
        classification: Classification,
    },
    /// The ledger.
    Ledger,
    /// The policies.
    Policy,
    /// The accounts and groups.
    Identity,
    /// The keys.
    Keys,
    /// The process that works in the workspace.
    Server,
    /// The whole workspace.
    Workspace,
}

impl ResourceRef {
    /// Tells the policy what it is, given the version where it names one.
    pub(crate) fn facts(&self, version: Option<&Version>) -> ResourceFacts {
        if let Some(version) = version {
            return version_facts(version);
        }
        match self {
            Self::Project(project) => plain(
                ResourceKind::Project,
                project.as_str(),
                Some(project.clone()),
            ),
            Self::Named(reference) => plain(
                ResourceKind::Artifact,
                &reference.to_string(),
                Some(reference.artifact.project().clone()),
            ),
            Self::Version(version) => version_facts(version),
            Self::New {
                artifact,
                kind,
                classification,
            } => ResourceFacts {
                kind: Some(*kind),
                classification: Some(*classification),
                ..plain(
                    ResourceKind::Artifact,
                    &artifact.to_string(),
                    Some(artifact.project().clone()),
                )
            },
            Self::Run { project, id } => plain(ResourceKind::Run, id, Some(project.clone())),
            Self::Endpoint {
                project,
                endpoint,
                classification,
            } => ResourceFacts {
                classification: Some(*classification),
                ..plain(
                    ResourceKind::Endpoint,
                    &endpoint.to_string(),
                    Some(project.clone()),
                )
            },
            Self::Ledger => plain(ResourceKind::Ledger, "ledger", None),
            Self::Policy => plain(ResourceKind::Policy, "policy", None),
            Self::Identity => plain(ResourceKind::Identity, "identity", None),
            Self::Keys => plain(ResourceKind::Keys, "keys", None),
            Self::Server => plain(ResourceKind::Server, "server", None),
            Self::Workspace => plain(ResourceKind::Project, "*", None),
        }
    }
}

/// Tells the policy of a run that is not there.
pub(crate) fn unknown_run(id: &str) -> ResourceFacts {
    plain(ResourceKind::Run, id, None)
}

fn plain(kind: ResourceKind, name: &str, project: Option<ProjectName>) -> ResourceFacts {
    ResourceFacts {
        resource: Resource::new(kind, name),
        project,
        kind: None,
        classification: None,
        quarantined: false,
        purposes: Vec::new(),
    }
}

fn version_facts(version: &Version) -> ResourceFacts {
    let record = &version.record;
    ResourceFacts {
        resource: Resource::new(ResourceKind::Artifact, version.name().to_string())
            .with_digest(record.digest),
        project: Some(record.artifact.project().clone()),
        kind: Some(record.kind),
        classification: Some(record.classification),
        quarantined: version.quarantined,
        purposes: record.purposes.clone(),
    }
}

/// Returns the pseudonym of who made what is asked for, where it is a version.
pub(crate) fn author<'a>(target: &'a ResourceRef, version: Option<&'a Version>) -> Option<&'a str> {
    let version = match target {
        ResourceRef::Version(version) => Some(version.as_ref()),
        _ => version,
    };
    version.map(|version| version.record.author.as_str())
}
