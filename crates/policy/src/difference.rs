//! What one set of policies would change against another.

use std::collections::{BTreeMap, BTreeSet};

use custody_types::{Action, ResourceKind};

use crate::grid::Case;
use crate::set::PolicySet;

/// What one set changes against another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// The policies that are there in one alone, or say something else: their ids, with their texts before and after.
    pub policies: BTreeMap<String, (Option<String>, Option<String>)>,
    /// What is permitted that was not, or the other way round.
    pub cells: Vec<Flipped>,
    /// How many cells were compared.
    pub compared: usize,
}

/// A cell of the grid that comes out otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flipped {
    /// The role; [`NO_ROLE`](crate::NO_ROLE): none.
    pub role: String,
    /// The action.
    pub action: Action,
    /// What it is asked on.
    pub on: ResourceKind,
    /// In which case.
    pub case: Case,
    /// Whether it is permitted now.
    pub permits: bool,
}

impl PolicySet {
    /// Returns what this set changes against `before`.
    pub fn difference(&self, before: &Self) -> Difference {
        let (then, now) = (before.texts(), self.texts());
        let ids: BTreeSet<_> = then.keys().chain(now.keys()).collect();
        let changed = ids.into_iter().filter(|id| then.get(*id) != now.get(*id));
        let policies = changed
            .map(|id| (id.clone(), (then.get(id).cloned(), now.get(id).cloned())))
            .collect();
        let roles: BTreeSet<String> = before.roles().union(self.roles()).cloned().collect();
        let rows = before.grid(&roles).into_iter().zip(self.grid(&roles));
        let mut cells = Vec::new();
        let mut compared = 0;
        for (then, now) in rows {
            for (case, (was, is)) in Case::ALL.iter().zip(then.permits.iter().zip(now.permits)) {
                compared += 1;
                if *was != is {
                    cells.push(Flipped {
                        role: now.role.clone(),
                        action: now.action,
                        on: now.on,
                        case: *case,
                        permits: is,
                    });
                }
            }
        }
        Difference {
            policies,
            cells,
            compared,
        }
    }

    /// Lists the policies by their ids, as they are written.
    fn texts(&self) -> BTreeMap<String, String> {
        let policies = self.policies.policies();
        policies
            .map(|policy| (policy.id().to_string(), policy.to_string()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use custody_identity::Directory;
    use custody_types::Actor;

    use super::*;
    use crate::set::Source;

    #[test]
    fn what_differs_is_named_and_what_comes_of_it() {
        let set = |cedar: &str| {
            let own = Source {
                name: "own.cedar".to_owned(),
                text: cedar.to_owned(),
            };
            PolicySet::parse(&[own], Directory::of_owner(&Actor::user("root"))).unwrap()
        };
        let kept = r#"@id("kept") permit (principal in Role::"curator", action == Action::"list", resource);"#;
        let one = r#"@id("one") permit (principal in Role::"curator", action == Action::"export", resource);"#;
        let before = set(&format!("{kept} {one}"));
        assert_eq!(before.difference(&before).cells, []);
        assert!(before.difference(&before).policies.is_empty());
        let narrower = one.replace(");", ") when { resource.classification == \"public\" };");
        let two = r#"@id("two") forbid (principal in Role::"reader", action == Action::"list", resource is Project);"#;
        let found = set(&format!("{kept} {narrower} {two}")).difference(&before);
        let ids: Vec<_> = found
            .policies
            .iter()
            .map(|(id, (was, is))| (id.as_str(), was.is_some(), is.is_some()))
            .collect();
        assert_eq!(ids, [("one", true, true), ("two", false, true)]);
        let lost = |role: &str, action: Action| {
            let cells = found.cells.iter();
            let cells = cells.filter(|cell| cell.role == role && cell.action == action);
            cells.map(|cell| (cell.on, cell.case)).collect::<Vec<_>>()
        };
        // Personal data is exported for a purpose alone, before as after.
        assert_eq!(
            lost("curator", Action::Export),
            [(ResourceKind::Artifact, Case::PersonalForPurpose)]
        );
        let listed = lost("reader", Action::List);
        assert!(listed.iter().all(|(on, _)| *on == ResourceKind::Project));
        assert_eq!(
            listed.len(),
            Case::ALL.len() - 1,
            "steps list nothing: {listed:?}"
        );
        assert!(found.cells.iter().all(|cell| !cell.permits));
    }
}
