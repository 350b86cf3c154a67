//! Plots: a curve over two axes, and values with their intervals.

use std::fmt::Write as _;

use crate::svg::{escape, number};

/// The room for the plot itself, and around it.
const SIDE: f64 = 300.0;
const LEFT: f64 = 56.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 44.0;
const RIGHT: f64 = 16.0;

/// An axis: its name, and from where to where it goes.
#[derive(Debug, Clone, Copy)]
pub struct Axis<'a> {
    /// The name.
    pub name: &'a str,
    /// The least and the greatest value.
    pub range: (f64, f64),
}

/// How a curve is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// As a line.
    Line,
    /// As a line with a dot at each point.
    Dots,
}

/// Draws points as a curve, over the diagonal where both axes are alike. Points that are not finite are left out.
pub fn line(
    title: &str,
    id: &str,
    (x, y): (Axis<'_>, Axis<'_>),
    points: &[(f64, f64)],
    mark: Mark,
) -> String {
    let (width, height) = (LEFT + SIDE + RIGHT, TOP + SIDE + BOTTOM);
    let mut svg = head(title, id, (width, height));
    let across = |value: f64| LEFT + SIDE * share(value, x.range);
    let down = |value: f64| TOP + SIDE - SIDE * share(value, y.range);
    for step in 0..=4 {
        let part = f64::from(step) / 4.0;
        let (at_x, at_y) = (between(x.range, part), between(y.range, part));
        let (column, row) = (number(across(at_x)), number(down(at_y)));
        let _infallible = write!(
            svg,
            r##"<path class="gridline" d="M{LEFT} {row}H{}M{column} {TOP}V{}" stroke="#d0d7de" fill="none"/><text class="axis-text" x="{}" y="{row}" dy="4" text-anchor="end" fill="#57606a">{}</text><text class="axis-text" x="{column}" y="{}" text-anchor="middle" fill="#57606a">{}</text>"##,
            LEFT + SIDE,
            TOP + SIDE,
            LEFT - 6.0,
            tick(at_y),
            TOP + SIDE + 17.0,
            tick(at_x),
        );
    }
    if x.range == y.range {
        let _infallible = write!(
            svg,
            r##"<path class="chance" d="M{LEFT} {}L{} {TOP}" stroke="#8c959f" stroke-dasharray="4 4" fill="none"/>"##,
            TOP + SIDE,
            LEFT + SIDE
        );
    }
    let shown: Vec<_> = points
        .iter()
        .filter(|(x, y)| x.is_finite() && y.is_finite())
        .map(|(x, y)| (number(across(*x)), number(down(*y))))
        .collect();
    let path: Vec<_> = shown.iter().map(|(x, y)| format!("{x} {y}")).collect();
    if !path.is_empty() {
        let _infallible = write!(
            svg,
            r##"<path class="curve" d="M{}" stroke="#0969da" stroke-width="2" fill="none"/>"##,
            path.join("L")
        );
    }
    for (x, y) in shown.iter().filter(|_| mark == Mark::Dots) {
        let _infallible = write!(
            svg,
            r##"<circle class="dot" cx="{x}" cy="{y}" r="3.5" fill="#0969da"/>"##
        );
    }
    let _infallible = write!(
        svg,
        r##"<text class="axis-text" x="{}" y="{}" text-anchor="middle" fill="#57606a">{}</text><text class="axis-text" transform="translate(14 {}) rotate(-90)" text-anchor="middle" fill="#57606a">{}</text>"##,
        LEFT + SIDE / 2.0,
        height - 8.0,
        escape(x.name),
        TOP + SIDE / 2.0,
        escape(y.name),
    );
    svg.push_str("</svg>\n");
    svg
}

/// A value with its interval.
#[derive(Debug, Clone, PartialEq)]
pub struct Interval {
    /// What it is of.
    pub name: String,
    /// The value.
    pub value: f64,
    /// Where it may lie, by the data.
    pub interval: Option<(f64, f64)>,
}

/// Draws values with their intervals, one below the other, over an axis.
pub fn intervals(title: &str, id: &str, axis: Axis<'_>, rows: &[Interval]) -> String {
    const ROW: f64 = 24.0;
    const NAMES: f64 = 130.0;
    let count = u32::try_from(rows.len()).map_or(0.0, f64::from);
    let (width, height) = (NAMES + SIDE + RIGHT, TOP + ROW * count + BOTTOM);
    let mut svg = head(title, id, (width, height));
    let across = |value: f64| number(NAMES + SIDE * share(value, axis.range));
    let bottom = number(TOP + ROW * count);
    for step in 0..=4 {
        let at = between(axis.range, f64::from(step) / 4.0);
        let column = across(at);
        let _infallible = write!(
            svg,
            r##"<path class="gridline" d="M{column} {TOP}V{bottom}" stroke="#d0d7de" fill="none"/><text class="axis-text" x="{column}" y="{}" text-anchor="middle" fill="#57606a">{}</text>"##,
            TOP + ROW * count + 17.0,
            tick(at),
        );
    }
    let mut y = TOP + ROW / 2.0;
    for row in rows.iter().filter(|row| row.value.is_finite()) {
        let name: String = row.name.chars().take(18).collect();
        let at = number(y);
        if let Some((low, high)) = row.interval {
            let _infallible = write!(
                svg,
                r##"<path class="bar-mark" d="M{} {at}H{}" stroke="#0969da" stroke-width="2" fill="none"/>"##,
                across(low),
                across(high)
            );
        }
        let _infallible = write!(
            svg,
            r##"<circle class="dot" cx="{}" cy="{at}" r="4" fill="#0969da"/><text x="{}" y="{at}" dy="4" text-anchor="end">{}</text>"##,
            across(row.value),
            NAMES - 10.0,
            escape(&name),
        );
        y += ROW;
    }
    let _infallible = write!(
        svg,
        r##"<text class="axis-text" x="{}" y="{}" text-anchor="middle" fill="#57606a">{}</text>"##,
        NAMES + SIDE / 2.0,
        height - 8.0,
        escape(axis.name),
    );
    svg.push_str("</svg>\n");
    svg
}

fn head(title: &str, id: &str, (width, height): (f64, f64)) -> String {
    let (width, height, id) = (number(width), number(height), escape(id));
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-labelledby="{id}" font-family="system-ui, sans-serif" font-size="12"><title id="{id}">{}</title><rect class="ground" width="{width}" height="{height}" fill="#ffffff"/>"##,
        escape(title)
    )
}

fn share(value: f64, (low, high): (f64, f64)) -> f64 {
    if high > low {
        ((value - low) / (high - low)).clamp(0.0, 1.0)
    } else {
        0.5
    }
}

fn between((low, high): (f64, f64), part: f64) -> f64 {
    low + (high - low) * part
}

fn tick(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_lies_within_its_axes_and_its_texts_are_escaped() {
        let axis = |name| Axis {
            name,
            range: (0.0, 1.0),
        };
        let points = [(0.0, 0.0), (0.5, 2.0), (f64::NAN, 0.5), (1.0, 1.0)];
        let svg = line(
            "<i>",
            "roc",
            (axis("x & y"), axis("y")),
            &points,
            Mark::Dots,
        );
        assert!(svg.contains("M56 312L206 12L356 12"), "{svg}");
        assert_eq!(svg.matches("<circle").count(), 3);
        assert!(svg.contains("&lt;i&gt;") && svg.contains("x &amp; y") && !svg.contains("NaN"));
        let flat = Axis {
            name: "x",
            range: (1.0, 1.0),
        };
        assert!(!line("t", "t", (flat, flat), &[(1.0, 1.0)], Mark::Line).contains("NaN"));
    }

    #[test]
    fn a_value_stands_within_its_interval() {
        let row = |name: &str, value, interval| Interval {
            name: name.to_owned(),
            value,
            interval,
        };
        let rows = [
            row("<b>", 0.5, Some((0.25, 0.75))),
            row("x", f64::NAN, None),
        ];
        let svg = intervals(
            "t",
            "t",
            Axis {
                name: "rate",
                range: (0.0, 1.0),
            },
            &rows,
        );
        assert!(
            svg.contains("M205 24H355") && svg.contains("cx=\"280\""),
            "{svg}"
        );
        assert!(svg.contains("&lt;b&gt;") && !svg.contains("NaN"));
    }
}
