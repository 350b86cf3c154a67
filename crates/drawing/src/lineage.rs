//! The lineage of a version as a drawing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use custody_types::{VersionName, counted};
use custody_wire::{Node, TraceReply};

use crate::layout::{self, Layout, Placed, Point};
use crate::svg::{escape, number};

const WIDTH: f64 = 264.0;
const HEIGHT: f64 = 76.0;
const LINE: f64 = 18.0;
/// How many versions are drawn at most, those first that are nearest to the one that was asked for. More would take long and be
/// looked at by nobody.
const MOST: usize = 250;

/// A drawing, and what is not in it.
#[derive(Debug, Clone)]
pub struct Drawn {
    /// The document.
    pub svg: String,
    /// How many versions are left out, since there are more than can be drawn.
    pub left_out: usize,
}

/// Draws the graph of `reply`: what went in on the left, what came out on the right; no edge runs across a box.
///
/// Each box names the version, its kind, the step that made it, the beginning of its identity and its ledger entry; the same facts
/// are in the text that `custody trace` prints. `link`: where a version leads to, if anywhere.
pub fn lineage(reply: &TraceReply, link: Option<&dyn Fn(&VersionName) -> String>) -> Drawn {
    let nodes = nearest(reply);
    let places: BTreeMap<_, _> = nodes
        .iter()
        .enumerate()
        .map(|(place, node)| (&node.version, place))
        .collect();
    // One arrow for all as what something went in.
    let mut roles: BTreeMap<(usize, usize), Vec<&str>> = BTreeMap::new();
    for edge in &reply.edges {
        if let (Some(from), Some(to)) = (places.get(&edge.from), places.get(&edge.to)) {
            roles.entry((*from, *to)).or_default().push(&edge.role);
        }
    }
    let edges: Vec<_> = roles.keys().copied().collect();
    let closed = |node: &Node| {
        let closed = reply.closed.iter().filter(|one| one.to == node.version);
        closed.count()
    };
    let heights: Vec<_> = nodes
        .iter()
        .map(|node| {
            if closed(node) > 0 {
                HEIGHT + LINE
            } else {
                HEIGHT
            }
        })
        .collect();
    let layout = layout::place(WIDTH, &heights, &edges);
    let mut svg = head(&layout, &reply.root, link.is_some());
    for (route, roles) in layout.routes.iter().zip(roles.values()) {
        arrow(&mut svg, route, roles);
    }
    for (node, place) in nodes.iter().zip(&layout.boxes) {
        let address = link.map(|link| link(&node.version));
        let is_root = node.version == reply.root;
        node_box(&mut svg, place, node, is_root, closed(node), address);
    }
    svg.push_str("</svg>\n");
    Drawn {
        svg,
        left_out: reply.nodes.len() - nodes.len(),
    }
}

/// Chooses what is drawn: all, or those versions that the fewest edges lead to from the root.
fn nearest(reply: &TraceReply) -> Vec<&Node> {
    if reply.nodes.len() <= MOST {
        return reply.nodes.iter().collect();
    }
    let mut beside: BTreeMap<&VersionName, Vec<&VersionName>> = BTreeMap::new();
    for edge in &reply.edges {
        let (here, there) = if reply.down {
            (&edge.from, &edge.to)
        } else {
            (&edge.to, &edge.from)
        };
        beside.entry(here).or_default().push(there);
    }
    let mut chosen = BTreeSet::from([&reply.root]);
    let mut next = vec![&reply.root];
    while !next.is_empty() && chosen.len() < MOST {
        let mut found = Vec::new();
        for there in next.iter().filter_map(|here| beside.get(*here)).flatten() {
            if chosen.len() < MOST && chosen.insert(*there) {
                found.push(*there);
            }
        }
        next = found;
    }
    let nodes = reply.nodes.iter();
    nodes
        .filter(|node| chosen.contains(&node.version))
        .collect()
}

fn head(layout: &Layout, root: &VersionName, has_links: bool) -> String {
    let (width, height) = (number(layout.width), number(layout.height));
    let root = escape(&root.to_string());
    // What has links in it is no picture.
    let role = if has_links { "group" } else { "img" };
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="{role}" aria-labelledby="lineage-title" font-family="system-ui, sans-serif" font-size="12">
<title id="lineage-title">Lineage of {root}</title>
<defs><marker id="lineage-tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path class="tip" d="M0 0 8 4 0 8z" fill="#57606a"/></marker></defs>
<rect class="ground" width="{width}" height="{height}" fill="#ffffff"/>
"##
    )
}

fn arrow(svg: &mut String, route: &[Point], roles: &[&str]) {
    let [first, rest @ ..] = route else { return };
    let mut path = format!("M{} {}", number(first.x), number(first.y));
    let mut before = first;
    for (place, point) in rest.iter().enumerate() {
        let (x, y) = (number(point.x), number(point.y));
        let _infallible = if place % 2 == 0 {
            let middle = number(f64::midpoint(before.x, point.x));
            let start = number(before.y);
            write!(path, " C{middle} {start} {middle} {y} {x} {y}")
        } else {
            write!(path, " L{x} {y}")
        };
        before = point;
    }
    let _infallible = writeln!(
        svg,
        r##"<path class="edge" d="{path}" fill="none" stroke="#57606a" marker-end="url(#lineage-tip)"><title>{}</title></path>"##,
        escape(&roles.join(", "))
    );
}

fn node_box(
    svg: &mut String,
    place: &Placed,
    node: &Node,
    is_root: bool,
    closed: usize,
    address: Option<String>,
) {
    let (class, fill, stroke) = if is_root {
        ("box root", "#ddf4ff", "#0969da")
    } else {
        ("box", "#f6f8fa", "#57606a")
    };
    let (open, close) = address.map_or((String::new(), ""), |address| {
        (format!(r#"<a href="{}">"#, escape(&address)), "</a>")
    });
    let short: String = node.digest.to_hex().chars().take(16).collect();
    let made = if node.step.is_empty() {
        node.kind.clone()
    } else {
        format!("{} by {} {}", node.kind, node.action, node.step)
    };
    let at = |line: f64| (number(place.x + 12.0), number(place.y + 22.0 + line * 20.0));
    let ((left, first), (_, second), (_, third)) = (at(0.0), at(1.0), at(2.0));
    let _infallible = write!(
        svg,
        r#"<g class="{class}">{open}<rect x="{}" y="{}" width="{}" height="{}" rx="6" fill="{fill}" stroke="{stroke}"/><text x="{left}" y="{first}" font-weight="600">{}</text><text x="{left}" y="{second}">{}</text><text x="{left}" y="{third}" font-family="monospace">{short}… entry {}</text>"#,
        number(place.x),
        number(place.y),
        number(place.width),
        number(place.height),
        escape(&fitting(&node.version.to_string())),
        escape(&fitting(&made)),
        node.entry,
    );
    if closed > 0 {
        // Some of what it was made from may not be looked at.
        let (_, fourth) = at(2.9);
        let _infallible = write!(
            svg,
            r##"<text class="note" x="{left}" y="{fourth}" font-size="11" fill="#57606a">closed or shredded: {}</text>"##,
            counted(closed, "input"),
        );
    }
    let _infallible = writeln!(svg, "{close}</g>");
}

/// Cuts a text to what a box has room for.
fn fitting(text: &str) -> String {
    const LETTERS: usize = 38;
    if text.chars().count() <= LETTERS {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(LETTERS - 1).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use custody_types::Digest;
    use custody_wire::{ClosedInput, Edge};
    use proptest::prelude::*;

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

    fn edge((from, to): (&str, &str)) -> Edge {
        Edge {
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            role: "data".into(),
        }
    }

    fn graph(names: &[&str], edges: &[(&str, &str)]) -> TraceReply {
        TraceReply {
            root: names[0].parse().unwrap(),
            down: false,
            nodes: names.iter().map(|name| node(name)).collect(),
            closed: Vec::new(),
            more: false,
            edges: edges.iter().map(|one| edge(*one)).collect(),
        }
    }

    type Range = (f64, f64);

    /// Returns what stands between two texts.
    fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
        let (_, rest) = text.split_once(start).unwrap();
        rest.split(end).next().unwrap()
    }

    /// Reads an attribute of an element.
    fn attribute(element: &str, name: &str) -> String {
        between(element, &format!(" {name}=\""), "\"").to_owned()
    }

    /// Reads the boxes back from a drawing: from left to right, from top to bottom.
    fn boxes(svg: &str) -> BTreeMap<String, (Range, Range)> {
        let groups = svg
            .lines()
            .filter(|line| line.starts_with("<g class=\"box"));
        groups
            .map(|group| {
                let (_, rect) = group.split_once("<rect").unwrap();
                let at = |name| attribute(rect, name).parse::<f64>().unwrap();
                let name = between(group, "font-weight=\"600\">", "<").to_owned();
                let (x, y) = (at("x"), at("y"));
                (name, ((x, x + at("width")), (y, y + at("height"))))
            })
            .collect()
    }

    /// Reads the edges back: for each, the ranges that its pieces lie in, from left to right and from top to bottom.
    fn edges(svg: &str) -> Vec<Vec<(Range, Range)>> {
        let paths = svg
            .lines()
            .filter(|line| line.starts_with("<path class=\"edge\""));
        let range = |values: &[f64]| {
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            (
                least,
                values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            )
        };
        paths
            .map(|path| {
                let text = attribute(path, "d");
                let mut pieces = Vec::new();
                let (mut x, mut y) = (0.0, 0.0);
                for piece in text.split(" C") {
                    for (place, part) in piece.split(" L").enumerate() {
                        let numbers: Vec<f64> = part
                            .trim_start_matches('M')
                            .split(' ')
                            .map(|number| number.parse().unwrap())
                            .collect();
                        let (across, down): (Vec<f64>, Vec<f64>) =
                            numbers.chunks(2).map(|pair| (pair[0], pair[1])).unzip();
                        let is_start = part.starts_with('M');
                        assert!(is_start || numbers.len() == if place == 0 { 6 } else { 2 });
                        // A curve lies within its end points and those that pull it.
                        if !is_start {
                            let across = [&[x][..], &across].concat();
                            let down = [&[y][..], &down].concat();
                            pieces.push((range(&across), range(&down)));
                        }
                        (x, y) = (*across.last().unwrap(), *down.last().unwrap());
                    }
                }
                pieces
            })
            .collect()
    }

    /// Returns the edges of a drawing that lead across a box which is not their end, or over none.
    fn crossings(reply: &TraceReply) -> Vec<String> {
        let svg = lineage(reply, None).svg;
        let (boxes, drawn) = (boxes(&svg), edges(&svg));
        assert_eq!(boxes.len(), reply.nodes.len());
        let places: BTreeMap<_, _> = reply
            .nodes
            .iter()
            .enumerate()
            .map(|(place, node)| (&node.version, place))
            .collect();
        let ends: BTreeSet<_> = reply
            .edges
            .iter()
            .map(|edge| {
                (
                    (places[&edge.from], places[&edge.to]),
                    (edge.from.to_string(), edge.to.to_string()),
                )
            })
            .collect();
        assert_eq!(ends.len(), drawn.len());
        let overlap = |(a, b): Range, (c, d): Range| a < d - 0.2 && c < b - 0.2;
        let mut found = Vec::new();
        for ((_, (from, to)), pieces) in ends.into_iter().zip(drawn) {
            assert!(!pieces.is_empty());
            for (name, (across, down)) in &boxes {
                let is_end = *name == from || *name == to;
                let hit = pieces
                    .iter()
                    .any(|(x, y)| overlap(*x, *across) && overlap(*y, *down));
                if hit && !is_end {
                    found.push(format!("{from} to {to} across {name}"));
                }
            }
        }
        for (name, (across, down)) in &boxes {
            for (other, (x, y)) in &boxes {
                if name < other && overlap(*across, *x) && overlap(*down, *y) {
                    found.push(format!("{name} upon {other}"));
                }
            }
        }
        found
    }

    const EXAMPLE: [(&str, &str); 14] = [
        ("employment/train-environment@1", "employment/candidate@1"),
        ("employment/train-code@1", "employment/candidate@1"),
        ("employment/train@1", "employment/candidate@1"),
        ("employment/raw@1", "employment/train@1"),
        ("employment/raw@1", "employment/holdout@1"),
        ("employment/contract@1", "employment/train@1"),
        ("employment/contract@1", "employment/holdout@1"),
        ("employment/raw@1", "employment/contract@1"),
        ("employment/candidate@1", "employment/evaluation@1"),
        ("employment/holdout@1", "employment/evaluation@1"),
        ("employment/candidate@1", "employment/release@1"),
        ("employment/evaluation@1", "employment/release@1"),
        ("employment/candidate@1", "employment/model@1"),
        ("employment/release@1", "employment/model@1"),
    ];

    #[test]
    fn no_edge_of_the_example_crosses_a_box() {
        let mut names = vec!["employment/model@1"];
        for (from, to) in EXAMPLE {
            for name in [from, to] {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        let reply = graph(&names, &EXAMPLE);
        assert_eq!(crossings(&reply), Vec::<String>::new());
        // What went in stands left of what came out.
        let boxes = boxes(&lineage(&reply, None).svg);
        for (from, to) in EXAMPLE {
            assert!(boxes[from].0.1 < boxes[to].0.0, "{from} {to}");
        }
        let svg = lineage(&reply, None).svg;
        assert_eq!(svg, lineage(&reply, None).svg, "twice the same");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_edge_of_any_graph_crosses_a_box(
            count in 1_usize..28,
            pairs in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..60),
            closed in any::<prop::sample::Index>(),
        ) {
            let names: Vec<String> = (1..=count).map(|number| format!("p/a{number}@1")).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let mut edges = BTreeSet::new();
            for (one, other) in pairs {
                let (one, other) = (one.index(count), other.index(count));
                // What is made is made of what was there.
                if one != other {
                    edges.insert((names[one.max(other)], names[one.min(other)]));
                }
            }
            let edges: Vec<_> = edges.into_iter().collect();
            let mut reply = graph(&names, &edges);
            reply.closed.push(ClosedInput {
                digest: Digest::of(b"elsewhere"),
                to: names[closed.index(count)].parse().unwrap(),
                shredded: None,
                role: "data".into(),
            });
            prop_assert_eq!(crossings(&reply), Vec::<String>::new());
        }
    }

    #[test]
    fn text_is_escaped_and_a_box_leads_to_its_version_where_it_shall() {
        let mut reply = graph(&["p/c@1", "p/a@1"], &[("p/a@1", "p/c@1")]);
        reply.edges[0].role = "<i>".into();
        let svg = lineage(&reply, None).svg;
        assert!(svg.contains("&lt;b&gt;&amp;") && svg.contains("&lt;i&gt;"));
        assert!(!svg.contains("<b>") && !svg.contains("<i>") && !svg.contains("<a "));
        let link = |name: &VersionName| format!("/versions/{name}\"><script>");
        let svg = lineage(&reply, Some(&link)).svg;
        assert!(
            svg.contains("<a href=\"/versions/p/a@1&quot;&gt;&lt;script&gt;\">"),
            "{svg}"
        );
    }

    #[test]
    fn a_graph_with_a_cycle_is_still_drawn() {
        let cycle = [
            ("p/a@1", "p/b@1"),
            ("p/b@1", "p/c@1"),
            ("p/c@1", "p/a@1"),
            ("p/b@1", "p/a@1"),
            ("p/a@1", "p/a@1"),
        ];
        let svg = lineage(&graph(&["p/a@1", "p/b@1", "p/c@1"], &cycle), None).svg;
        assert!(svg.ends_with("</svg>\n") && !svg.contains("NaN"));
        assert_eq!(boxes(&svg).len(), 3);
    }

    #[test]
    fn of_a_large_graph_what_is_nearest_is_drawn_and_what_is_not_is_told() {
        let names: Vec<String> = (0..600).map(|number| format!("p/a{number}@1")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let edges: Vec<_> = (1..600)
            .map(|place| (names[place], names[(place - 1) / 3]))
            .collect();
        let drawn = lineage(&graph(&names, &edges), None);
        assert_eq!(
            (boxes(&drawn.svg).len(), drawn.left_out),
            (MOST, 600 - MOST)
        );
        assert!(boxes(&drawn.svg).contains_key("p/a0@1"));
    }
}
