//! What depends on what.

use std::collections::{BTreeMap, BTreeSet};

use super::document::Dependency;
use crate::{AttestError, malformed};

/// The things of a document by their references, and what each depends on.
pub(super) struct Graph {
    root: String,
    edges: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    pub(super) fn new(root: &str) -> Self {
        Self {
            root: root.to_owned(),
            edges: BTreeMap::from([(root.to_owned(), BTreeSet::new())]),
        }
    }

    /// Adds a thing; each once.
    pub(super) fn add(&mut self, reference: &str) -> Result<(), AttestError> {
        let before = self.edges.insert(reference.to_owned(), BTreeSet::new());
        before.map_or(Ok(()), |_| {
            Err(malformed(
                "bill of materials",
                format!("`{reference}` is listed twice"),
            ))
        })
    }

    /// Adds that one thing depends on another.
    pub(super) fn connect(&mut self, from: &str, to: &str) -> Result<(), AttestError> {
        let missing = |reference: &str| {
            malformed(
                "bill of materials",
                format!("an edge names `{reference}`, which is not listed"),
            )
        };
        if from == to {
            return Err(malformed(
                "bill of materials",
                format!("`{from}` depends on itself"),
            ));
        }
        if !self.edges.contains_key(to) {
            return Err(missing(to));
        }
        let edges = self.edges.get_mut(from).ok_or_else(|| missing(from))?;
        edges.insert(to.to_owned());
        Ok(())
    }

    /// Makes the root depend on what it does not reach: first on what nothing depends on, then on one thing of each
    /// circle that is left.
    fn complete(&mut self) {
        let targets: BTreeSet<String> = self.edges.values().flatten().cloned().collect();
        let (inner, outer): (Vec<String>, Vec<String>) = self
            .edges
            .keys()
            .filter(|reference| **reference != self.root)
            .cloned()
            .partition(|reference| targets.contains(reference));
        let root = self.root.clone();
        let mut reached = BTreeSet::new();
        self.reach(&root, &mut reached);
        for reference in outer.into_iter().chain(inner) {
            if !reached.contains(&reference) {
                self.reach(&reference, &mut reached);
                if let Some(edges) = self.edges.get_mut(&root) {
                    edges.insert(reference);
                }
            }
        }
    }

    fn reach(&self, from: &str, reached: &mut BTreeSet<String>) {
        let mut open = vec![from.to_owned()];
        while let Some(reference) = open.pop() {
            if reached.insert(reference.clone()) {
                open.extend(self.edges.get(&reference).into_iter().flatten().cloned());
            }
        }
    }

    /// Returns an item for each thing, in the order of the references.
    pub(super) fn dependencies(mut self) -> Vec<Dependency> {
        self.complete();
        self.edges
            .into_iter()
            .map(|(of, on)| Dependency {
                of,
                depends_on: on.into_iter().collect(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_reaches_everything_by_the_fewest_edges() {
        for (edges, expect) in [
            ("", "r>a r>b r>c"),
            ("a>b b>c", "a>b b>c r>a"),
            ("r>c", "r>a r>b r>c"),
            ("c>a", "c>a r>b r>c"),
            ("a>b b>a", "a>b b>a r>a r>c"),
            ("b>c c>b a>c", "a>c b>c c>b r>a"),
            ("a>r", "a>r r>a r>b r>c"),
        ] {
            let mut graph = Graph::new("r");
            for name in ["c", "a", "b"] {
                graph.add(name).unwrap();
            }
            for edge in edges.split_whitespace() {
                let (from, to) = edge.split_once('>').unwrap();
                graph.connect(from, to).unwrap();
            }
            let found: Vec<_> = graph
                .dependencies()
                .into_iter()
                .flat_map(|item| {
                    let of = item.of;
                    item.depends_on
                        .into_iter()
                        .map(move |on| format!("{of}>{on}"))
                })
                .collect();
            assert_eq!(found.join(" "), expect, "{edges}");
        }
    }

    #[test]
    fn a_long_chain_takes_no_stack() {
        let mut graph = Graph::new("r");
        let name = |number: u32| format!("{number:06}");
        for number in 0..20_000 {
            graph.add(&name(number)).unwrap();
            if let Some(before) = number.checked_sub(1) {
                graph.connect(&name(before), &name(number)).unwrap();
            }
        }
        assert_eq!(graph.dependencies().last().unwrap().depends_on, [name(0)]);
    }

    #[test]
    fn a_thing_twice_and_an_edge_to_nothing_are_refused() {
        let mut graph = Graph::new("r");
        graph.add("a").unwrap();
        for (result, because) in [
            (graph.add("a"), "`a` is listed twice"),
            (graph.add("r"), "`r` is listed twice"),
            (graph.connect("r", "x"), "names `x`, which is not listed"),
            (graph.connect("x", "a"), "names `x`, which is not listed"),
            (graph.connect("a", "a"), "`a` depends on itself"),
        ] {
            assert!(result.unwrap_err().to_string().ends_with(because));
        }
    }
}
