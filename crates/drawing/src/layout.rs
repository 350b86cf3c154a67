//! Where the boxes of a graph stand, and how its edges run between them.
//!
//! The layers, the order in them and the places are those of dagre. It places, for an edge over several layers, a point in each
//! layer between, apart from the boxes there. INVARIANT: an edge runs straight through a layer, at that point, and bends only between
//! layers, where no boxes are; so no edge crosses a box that is not its end.

use std::collections::BTreeMap;

use dagre::graph::{Graph, GraphOptions};
use dagre::{EdgeLabel, LayoutOptions, NodeLabel, RankDir};

/// How far the boxes of a layer are apart, an edge from what is beside it, and the layers from one another.
const BETWEEN_BOXES: f64 = 26.0;
const BESIDE_EDGES: f64 = 16.0;
const BETWEEN_LAYERS: f64 = 84.0;
/// The room around everything.
const MARGIN: f64 = 16.0;
/// How far apart edges begin and end at a box, at most.
const BETWEEN_ENDS: f64 = 12.0;

/// A point: from the left, from the top.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) y: f64,
}

/// A box.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Placed {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

impl Placed {
    fn middle(&self) -> Point {
        Point {
            x: self.x + self.width / 2.0,
            y: self.y + self.height / 2.0,
        }
    }
}

/// The boxes in the order in which they were given, and for each edge the points that it runs through: between the first and the
/// second it bends, between the second and the third it is straight, and so on, a bend being the last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layout {
    pub(crate) boxes: Vec<Placed>,
    pub(crate) routes: Vec<Vec<Point>>,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

/// Places boxes of one width and these heights, from the left to the right along the edges. Edges name boxes by their places; an
/// edge from a box to itself, or of a box that is not there, has no route.
pub(crate) fn place(width: f64, heights: &[f64], edges: &[(usize, usize)]) -> Layout {
    if heights.is_empty() {
        return Layout::default();
    }
    let mut graph = Graph::with_options(GraphOptions {
        directed: true,
        multigraph: false,
        compound: false,
    });
    for (index, height) in heights.iter().enumerate() {
        let label = NodeLabel {
            width,
            height: *height,
            ..NodeLabel::default()
        };
        graph.set_node(index.to_string(), Some(label));
    }
    let is_drawn =
        |(from, to): &(usize, usize)| from != to && *from < heights.len() && *to < heights.len();
    for (from, to) in edges.iter().filter(|edge| is_drawn(edge)) {
        // Two that are made from one another stand in nobody's lineage; the second edge runs along the first.
        if !graph.has_edge(&to.to_string(), &from.to_string(), None) {
            let label = EdgeLabel::default();
            graph.set_edge(from.to_string(), to.to_string(), Some(label), None);
        }
    }
    let options = LayoutOptions {
        rankdir: RankDir::LR,
        nodesep: BETWEEN_BOXES,
        edgesep: BESIDE_EDGES,
        ranksep: BETWEEN_LAYERS,
        marginx: MARGIN,
        marginy: MARGIN,
        ..LayoutOptions::default()
    };
    dagre::layout(&mut graph, Some(options));
    let boxes: Vec<_> = heights
        .iter()
        .enumerate()
        .map(|(index, height)| {
            let label = graph.node(&index.to_string());
            let at = |of: fn(&NodeLabel) -> Option<f64>| label.and_then(of).unwrap_or_default();
            Placed {
                x: at(|label| label.x) - width / 2.0,
                y: at(|label| label.y) - height / 2.0,
                width,
                height: *height,
            }
        })
        .collect();
    let waypoints = edges.iter().map(|(from, to)| {
        let there = graph.edge(&from.to_string(), &to.to_string(), None);
        let back = || graph.edge(&to.to_string(), &from.to_string(), None);
        let points = |label: &EdgeLabel| -> Vec<Point> {
            let all = label.points.iter();
            all.map(|point| Point {
                x: point.x,
                y: point.y,
            })
            .collect()
        };
        there.map(points).or_else(|| {
            let mut points = back().map(points)?;
            points.reverse();
            Some(points)
        })
    });
    let waypoints: Vec<_> = waypoints
        .zip(edges)
        .map(|(points, edge)| points.filter(|_| is_drawn(edge)))
        .collect();
    routed(boxes, edges, &waypoints)
}

fn routed(
    boxes: Vec<Placed>,
    edges: &[(usize, usize)],
    waypoints: &[Option<Vec<Point>>],
) -> Layout {
    let mut inner: Vec<Option<Vec<Point>>> = Vec::with_capacity(edges.len());
    for ((from, to), points) in edges.iter().zip(waypoints) {
        let ends = boxes.get(*from).zip(boxes.get(*to));
        inner.push(
            ends.zip(points.as_deref())
                .map(|((from, to), points)| through_layers(&boxes, (from, to), points)),
        );
    }
    let begins = ends(&boxes, edges, &inner, true);
    let finishes = ends(&boxes, edges, &inner, false);
    let routes = inner.into_iter().enumerate().map(|(index, inner)| {
        let (Some(inner), Some(begin), Some(finish)) =
            (inner, begins.get(&index), finishes.get(&index))
        else {
            return Vec::new();
        };
        let mut route = vec![*begin];
        route.extend(inner);
        route.push(*finish);
        route
    });
    let routes: Vec<Vec<Point>> = routes.collect();
    let far = |of: fn(&Placed) -> f64| boxes.iter().map(of).fold(0.0, f64::max);
    let lowest = routes.iter().flatten().map(|point| point.y);
    Layout {
        width: far(|one| one.x + one.width) + MARGIN,
        height: lowest.fold(far(|one| one.y + one.height), f64::max) + MARGIN,
        boxes,
        routes,
    }
}

/// Returns where an edge enters and leaves each layer between its ends.
fn through_layers(
    boxes: &[Placed],
    (from, to): (&Placed, &Placed),
    points: &[Point],
) -> Vec<Point> {
    let forward = from.x < to.x;
    let mut through = Vec::new();
    for point in points {
        // A layer is where boxes are from left to right; all have one width.
        let layer = boxes
            .iter()
            .find(|one| (one.middle().x - point.x).abs() < 1.0);
        let Some(layer) =
            layer.filter(|layer| (layer.x - from.x).abs() > 1.0 && (layer.x - to.x).abs() > 1.0)
        else {
            continue;
        };
        let (left, right) = (layer.x, layer.x + layer.width);
        let (enter, leave) = if forward {
            (left, right)
        } else {
            (right, left)
        };
        through.push(Point {
            x: enter,
            y: point.y,
        });
        through.push(Point {
            x: leave,
            y: point.y,
        });
    }
    through
}

/// Returns where edges begin (or end): one below the other along the side of the box, in the order in which they go on.
fn ends(
    boxes: &[Placed],
    edges: &[(usize, usize)],
    inner: &[Option<Vec<Point>>],
    begins: bool,
) -> BTreeMap<usize, Point> {
    let mut sides: BTreeMap<(usize, bool), Vec<(f64, usize)>> = BTreeMap::new();
    for (index, ((from, to), through)) in edges.iter().zip(inner).enumerate() {
        let Some(through) = through else { continue };
        let (here, there) = if begins { (*from, *to) } else { (*to, *from) };
        let next = if begins {
            through.first()
        } else {
            through.last()
        };
        let other = boxes.get(there).map(Placed::middle);
        let (Some(next), Some(near)) = (next.copied().or(other), boxes.get(here)) else {
            continue;
        };
        let is_right = other.is_some_and(|other| other.x > near.middle().x);
        let side = sides.entry((here, is_right)).or_default();
        side.push((next.y, index));
    }
    let mut found = BTreeMap::new();
    for ((here, is_right), mut edges) in sides {
        let Some(near) = boxes.get(here) else {
            continue;
        };
        edges.sort_by(|(y, index), (other, second)| y.total_cmp(other).then(index.cmp(second)));
        let count = u32::try_from(edges.len()).map_or(f64::MAX, f64::from);
        let apart = BETWEEN_ENDS.min(near.height / (count + 1.0));
        let mut y = near.middle().y - apart * (count - 1.0) / 2.0;
        let x = if is_right {
            near.x + near.width
        } else {
            near.x
        };
        for (_, index) in edges {
            found.insert(index, Point { x, y });
            y += apart;
        }
    }
    found
}
