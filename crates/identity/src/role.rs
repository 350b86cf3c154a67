//! A role, in every project or in one.

use std::fmt;

use custody_types::ProjectName;
use serde::{Deserialize, Serialize};

/// A role that somebody has: in every project, or in one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "RoleText", into = "RoleText")]
pub struct RoleBinding {
    /// The role.
    pub role: String,
    /// The project, if it is for one.
    pub project: Option<ProjectName>,
}

impl RoleBinding {
    /// Builds the role `role` in every project.
    pub fn everywhere(role: &str) -> Self {
        Self {
            role: role.to_owned(),
            project: None,
        }
    }

    /// Whether who has this one has `other`.
    pub fn covers(&self, other: &Self) -> bool {
        self.role == other.role && (self.project.is_none() || self.project == other.project)
    }
}

impl fmt::Display for RoleBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.project {
            None => f.write_str(&self.role),
            Some(project) => write!(f, "{} of {project}", self.role),
        }
    }
}

/// As it is written: `"auditor"` or `{"role": "data_scientist", "project": "employment"}`.
#[derive(Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "a role is a text, or an object with `role` and `project`"
)]
enum RoleText {
    Everywhere(String),
    InProject(InProject),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct InProject {
    role: String,
    project: ProjectName,
}

impl From<RoleText> for RoleBinding {
    fn from(text: RoleText) -> Self {
        match text {
            RoleText::Everywhere(role) => Self {
                role,
                project: None,
            },
            RoleText::InProject(InProject { role, project }) => Self {
                role,
                project: Some(project),
            },
        }
    }
}

impl From<RoleBinding> for RoleText {
    fn from(binding: RoleBinding) -> Self {
        let role = binding.role;
        match binding.project {
            None => Self::Everywhere(role),
            Some(project) => Self::InProject(InProject { role, project }),
        }
    }
}
