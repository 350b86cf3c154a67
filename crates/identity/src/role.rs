//! A role, in every project or in one, for good or until a time.

use std::fmt;

use custody_types::{ProjectName, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A role that somebody has: in every project, or in one; for good, or until a time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(from = "RoleText", into = "RoleText")]
pub struct RoleBinding {
    /// The role.
    pub role: String,
    /// The project, if it is for one.
    pub project: Option<ProjectName>,
    /// When it ends, if it does: from then on it is not there.
    pub until: Option<Timestamp>,
}

impl RoleBinding {
    /// Builds the role `role` in every project.
    pub fn everywhere(role: &str) -> Self {
        Self {
            role: role.to_owned(),
            project: None,
            until: None,
        }
    }

    /// Whether who has this one has `other`, and for as long.
    pub fn covers(&self, other: &Self) -> bool {
        self.role == other.role
            && (self.project.is_none() || self.project == other.project)
            && self
                .until
                .is_none_or(|until| other.until.is_some_and(|other| other <= until))
    }

    /// Whether both are the same role at the same place, however long.
    pub fn is_same_but_for_its_end(&self, other: &Self) -> bool {
        self.role == other.role && self.project == other.project
    }

    /// Whether it has ended at `now`.
    pub fn has_ended(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| now >= until)
    }
}

impl fmt::Display for RoleBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.role)?;
        if let Some(project) = &self.project {
            write!(f, " of {project}")?;
        }
        self.until.map_or(Ok(()), |until| {
            write!(f, " until {}", until.to_seconds_text())
        })
    }
}

/// As it is written: `"auditor"` or `{"role": "data_scientist", "project": "employment", "until": "2027-01-31T00:00:00Z"}`
/// with one of the last two at least.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "a role is a text, or an object with `role` and `project`, `until` or both"
)]
enum RoleText {
    Everywhere(String),
    Limited(Limited),
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, try_from = "Fields")]
struct Limited {
    role: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<ProjectName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

/// As [`Limited`], before it is known that it limits anything. A field that is there says something: `null` is nothing.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("anyOf" = [{"required": ["project"]}, {"required": ["until"]}]))]
struct Fields {
    role: String,
    #[serde(default, deserialize_with = "some")]
    #[schemars(with = "ProjectName")]
    project: Option<ProjectName>,
    #[serde(default, deserialize_with = "some")]
    #[schemars(with = "Timestamp")]
    until: Option<Timestamp>,
}

fn some<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl TryFrom<Fields> for Limited {
    type Error = &'static str;

    fn try_from(fields: Fields) -> Result<Self, Self::Error> {
        let Fields {
            role,
            project,
            until,
        } = fields;
        if project.is_none() && until.is_none() {
            return Err("a role without limits is a text");
        }
        Ok(Self {
            role,
            project,
            until,
        })
    }
}

impl From<RoleText> for RoleBinding {
    fn from(text: RoleText) -> Self {
        match text {
            RoleText::Everywhere(role) => Self {
                role,
                project: None,
                until: None,
            },
            RoleText::Limited(Limited {
                role,
                project,
                until,
            }) => Self {
                role,
                project,
                until,
            },
        }
    }
}

impl From<RoleBinding> for RoleText {
    fn from(binding: RoleBinding) -> Self {
        let RoleBinding {
            role,
            project,
            until,
        } = binding;
        if project.is_none() && until.is_none() {
            return Self::Everywhere(role);
        }
        Self::Limited(Limited {
            role,
            project,
            until,
        })
    }
}
