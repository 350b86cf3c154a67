//! The step `check`.

use custody_stats::contract::Check;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Place, Wrong};

/// Checks a dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// The dataset.
    pub input: String,
    /// The column whose values name rows in the report.
    #[serde(default)]
    pub key: Option<String>,
    /// What must hold.
    pub checks: Vec<Check>,
}

impl Contract {
    /// Returns where something of the contract stands: of a check, or of the key. `place`: where the contract stands.
    pub(crate) fn place(place: &Place, check: Option<usize>, path: &[String]) -> Place {
        match check {
            None => place.key("key"),
            Some(number) => path
                .iter()
                .fold(place.key("checks").item(number), |place, part| {
                    place.key(part)
                }),
        }
    }

    /// Finds what makes the contract meaningless whatever the data is.
    pub(super) fn check(&self, place: &Place) -> Result<(), Wrong> {
        if self.checks.is_empty() {
            return Err(Wrong::new(place.key("checks"), "it checks nothing"));
        }
        for (number, check) in self.checks.iter().enumerate() {
            let examined = check.examine();
            examined.map_err(|fault| {
                Wrong::new(Self::place(place, Some(number), &fault.path), fault.because)
            })?;
        }
        Ok(())
    }
}
