//! The lineage as a drawing.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use custody_types::{VersionName, counted};
use custody_wire::{Node, TraceReply};

const BOX_WIDTH: usize = 260;
const BOX_HEIGHT: usize = 76;
const GAP_X: usize = 70;
const GAP_Y: usize = 24;
const MARGIN: usize = 20;

/// Draws the graph of `reply`: what went in on the left, what came out on the right.
///
/// Each box names the version, its kind, the step that made it, the beginning of its identity and its
/// ledger entry; the same facts are in the text that `custody trace` prints.
pub(crate) fn lineage(reply: &TraceReply) -> String {
    let columns = columns(reply);
    let mut rows: BTreeMap<usize, usize> = BTreeMap::new();
    let mut places = BTreeMap::new();
    for node in &reply.nodes {
        let column = columns.get(&node.version).copied().unwrap_or(0);
        let row = rows.entry(column).or_insert(0);
        let place = (
            MARGIN + column * (BOX_WIDTH + GAP_X),
            MARGIN + *row * (BOX_HEIGHT + GAP_Y),
        );
        *row += 1;
        places.insert(&node.version, place);
    }
    let column_count = rows.keys().max().map_or(1, |last| last + 1);
    let row_count = rows.values().max().copied().unwrap_or(1);
    let width = 2 * MARGIN + column_count * (BOX_WIDTH + GAP_X) - GAP_X;
    let height = 2 * MARGIN + row_count * (BOX_HEIGHT + GAP_Y) - GAP_Y;
    let mut svg = head(width, height, &reply.root);
    for edge in &reply.edges {
        if let (Some(from), Some(to)) = (places.get(&edge.from), places.get(&edge.to)) {
            arrow(&mut svg, *from, *to, &edge.role);
        }
    }
    for node in &reply.nodes {
        if let Some(place) = places.get(&node.version) {
            node_box(&mut svg, *place, node, node.version == reply.root);
            let closed = reply.closed.iter().filter(|one| one.to == node.version);
            closed_door(&mut svg, *place, closed.count());
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// Gives each version the column after the last of those that it was made from.
fn columns(reply: &TraceReply) -> BTreeMap<VersionName, usize> {
    let mut columns: BTreeMap<_, usize> = reply
        .nodes
        .iter()
        .map(|node| (node.version.clone(), 0))
        .collect();
    for _ in 0..reply.nodes.len() {
        let mut settled = true;
        for edge in &reply.edges {
            let least = columns.get(&edge.from).map_or(0, |column| column + 1);
            if let Some(column) = columns.get_mut(&edge.to)
                && *column < least
            {
                *column = least;
                settled = false;
            }
        }
        if settled {
            break;
        }
    }
    columns
}

fn head(width: usize, height: usize, root: &VersionName) -> String {
    let root = escape(&root.to_string());
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-labelledby="title" font-family="system-ui, sans-serif" font-size="12">
<title id="title">Lineage of {root}</title>
<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0 8 4 0 8z" fill="#57606a"/></marker></defs>
<rect width="{width}" height="{height}" fill="#ffffff"/>
"##
    )
}

fn arrow(svg: &mut String, from: (usize, usize), to: (usize, usize), role: &str) {
    let (x1, y1) = (from.0 + BOX_WIDTH, from.1 + BOX_HEIGHT / 2);
    let (x2, y2) = (to.0, to.1 + BOX_HEIGHT / 2);
    let middle = usize::midpoint(x1, x2);
    let _infallible = writeln!(
        svg,
        r##"<path d="M{x1} {y1} C{middle} {y1} {middle} {y2} {x2} {y2}" fill="none" stroke="#57606a" marker-end="url(#tip)"><title>{}</title></path>"##,
        escape(role)
    );
}

fn node_box(svg: &mut String, (x, y): (usize, usize), node: &Node, root: bool) {
    let (fill, stroke) = if root {
        ("#ddf4ff", "#0969da")
    } else {
        ("#f6f8fa", "#57606a")
    };
    let (left, first, second, third) = (x + 12, y + 22, y + 42, y + 62);
    let short: String = node.digest.to_hex().chars().take(16).collect();
    let _infallible = writeln!(
        svg,
        r#"<g><rect x="{x}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6" fill="{fill}" stroke="{stroke}"/><text x="{left}" y="{first}" font-weight="600">{}</text><text x="{left}" y="{second}">{} by {} {}</text><text x="{left}" y="{third}" font-family="monospace">{short}… entry {}</text></g>"#,
        escape(&node.version.to_string()),
        escape(&node.kind),
        escape(&node.action),
        escape(&node.step),
        node.entry,
    );
}

/// Writes above a box that some of what it was made from may not be looked at.
fn closed_door(svg: &mut String, (x, y): (usize, usize), inputs: usize) {
    if inputs == 0 {
        return;
    }
    let _infallible = writeln!(
        svg,
        r##"<text x="{x}" y="{}" font-size="11" fill="#57606a">closed or shredded: {}</text>"##,
        y.saturating_sub(5),
        counted(inputs, "input"),
    );
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use custody_types::Digest;
    use custody_wire::Edge;

    use super::*;

    fn node(version: &str) -> Node {
        Node {
            version: version.parse().unwrap(),
            kind: "dataset".into(),
            digest: Digest::of(version.as_bytes()),
            step: "<b>&".into(),
            action: "sql".into(),
            run: String::new(),
            actor: String::new(),
            finished: String::new(),
            parameters: serde_json::Value::Null,
            isolation: Vec::new(),
            commit: None,
            statement: None,
            entry: 7,
        }
    }

    fn edge(from: &str, to: &str) -> Edge {
        Edge {
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            role: "data".into(),
        }
    }

    #[test]
    fn what_went_in_stands_left_of_what_came_out_and_text_is_escaped() {
        let reply = TraceReply {
            root: "p/c@1".parse().unwrap(),
            down: false,
            nodes: ["p/c@1", "p/b@1", "p/a@1"].map(node).to_vec(),
            closed: vec![custody_wire::ClosedInput {
                digest: Digest::of(b"elsewhere"),
                to: "p/b@1".parse().unwrap(),
                shredded: None,
                role: "data".into(),
            }],
            more: false,
            edges: vec![
                edge("p/b@1", "p/c@1"),
                edge("p/a@1", "p/b@1"),
                edge("p/a@1", "p/c@1"),
            ],
        };
        let columns = columns(&reply);
        let column = |name: &str| columns[&name.parse::<VersionName>().unwrap()];
        assert_eq!(
            (column("p/a@1"), column("p/b@1"), column("p/c@1")),
            (0, 1, 2)
        );
        let svg = lineage(&reply);
        assert!(svg.contains("&lt;b&gt;&amp;") && !svg.contains("<b>"));
        assert_eq!(svg.matches("<path d=\"M").count(), 3 + 1);
    }

    #[test]
    fn a_graph_with_a_cycle_is_still_drawn() {
        let reply = TraceReply {
            root: "p/a@1".parse().unwrap(),
            down: false,
            nodes: ["p/a@1", "p/b@1"].map(node).to_vec(),
            closed: Vec::new(),
            more: false,
            edges: vec![edge("p/a@1", "p/b@1"), edge("p/b@1", "p/a@1")],
        };
        assert!(lineage(&reply).ends_with("</svg>\n"));
    }
}
