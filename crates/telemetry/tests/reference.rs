//! `docs/reference/metrics.md` is made of the table of what is counted. `make generate` writes it anew.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test may read and write files, and panic"
)]

use custody_telemetry::{METRICS, MetricKind, reference};

/// Set by `make generate`: the test writes the file instead of comparing it.
const GENERATE: &str = "CUSTODY_GENERATE";

#[test]
fn the_reference_is_what_is_counted() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/reference/metrics.md"
    );
    let text = reference();
    if std::env::var_os(GENERATE).is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == text, "run `make generate`");
}

#[test]
fn names_are_as_prometheus_has_them() {
    for metric in METRICS {
        let plain = metric
            .name
            .bytes()
            .all(|letter| letter.is_ascii_lowercase() || letter == b'_');
        assert!(plain, "{}", metric.name);
        let ends = |end: &str| metric.name.ends_with(end);
        let fits = match metric.kind {
            MetricKind::Counter => ends("_total"),
            MetricKind::Histogram => ends("_seconds"),
            MetricKind::Info => ends("_info"),
            MetricKind::Gauge => !ends("_total"),
        };
        assert!(fits, "{}", metric.name);
        let own = metric.name.starts_with("custody_") || metric.name.starts_with("process_");
        assert!(own && !metric.help.ends_with('.'), "{}", metric.name);
    }
}
