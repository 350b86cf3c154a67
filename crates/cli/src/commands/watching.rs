//! What a server tells of its work: the log and the traces, as the operator asks for them.

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::sync::Arc;

use custody_backends::machine::{SystemClock, SystemEntropy};
use custody_backends::user_files;
use custody_host::user_files_problem;
use custody_outgoing::{Connector, Reach, System, Trust};
use custody_telemetry::{
    Format, HttpCollector, Level, Settings, Telemetry, TraceSettings, tell_panics,
};
use custody_types::{Problem, code};
use http::{HeaderName, HeaderValue};
use url::{Host, Url};
use zeroize::Zeroizing;

use crate::args::{LogFormat, LogLevel, Watching};
use crate::context::Context;

/// How many bytes a file of fields, and a file of roots, have at most.
const HEADER_BYTES: u64 = 16 << 10;
const ROOT_BYTES: u64 = 4 << 20;
/// How many fields the collector may ask for.
const MOST_HEADERS: usize = 16;

fn unusable(what: impl Into<String>) -> Problem {
    Problem::new(code::SERVE_009, what)
}

/// Begins to tell what the server does.
pub(crate) fn start(context: &Context, args: &Watching) -> Result<Telemetry, Problem> {
    let (log, is_terminal): (Box<dyn Write + Send>, _) = match &args.log_file {
        None => {
            let errors = std::io::stderr();
            let is_terminal = errors.is_terminal();
            (Box::new(errors), is_terminal)
        }
        Some(path) => {
            let path = context.settings.here.join(path);
            let file = user_files::open_log(&path);
            let file = file.map_err(|error| {
                unusable("the file of the log cannot be written").because_of(&error)
            })?;
            (Box::new(file), false)
        }
    };
    let format = match args.log {
        Some(LogFormat::Text) => Format::Text,
        None if is_terminal => Format::Text,
        Some(LogFormat::Json) | None => Format::Json,
    };
    let level = match args.log_level {
        LogLevel::Error => Level::Error,
        LogLevel::Warn => Level::Warn,
        LogLevel::Info => Level::Info,
        LogLevel::Debug => Level::Debug,
    };
    let traces = args.otlp.as_deref();
    let traces = traces.map(|address| traces_to(context, args, address));
    let telemetry = Telemetry::start(Settings {
        version: env!("CARGO_PKG_VERSION"),
        level,
        format,
        log,
        traces: traces.transpose()?,
        clock: Arc::new(SystemClock::start()),
        entropy: Arc::new(SystemEntropy),
    });
    let telemetry = telemetry
        .map_err(|error| Problem::new(code::CLI_030, "no threads can be started").because(error))?;
    tell_panics(telemetry.observer().clone());
    Ok(telemetry)
}

fn traces_to(context: &Context, args: &Watching, address: &str) -> Result<TraceSettings, Problem> {
    let here = &context.settings.here;
    if !(0.0..=1.0).contains(&args.otlp_share) {
        let what = format!("`{}` is no share of all traces", args.otlp_share);
        return Err(unusable(what).hint("name one from 0 to 1 with `--otlp-share`"));
    }
    let trust = match &args.otlp_root {
        None => Trust::System,
        Some(path) => {
            let text = user_files::read_text(&here.join(path), ROOT_BYTES);
            Trust::Roots(text.map_err(|error| user_files_problem(&error))?)
        }
    };
    let networks = args.otlp_networks.iter().map(|text| {
        text.parse().map_err(|_| {
            unusable(format!("`{text}` is no network"))
                .hint("write it as `10.1.0.0/16`, one address as `10.1.2.3/32`")
        })
    });
    let (url, plain) = traces_url(address)?;
    let reach = Reach {
        networks: networks.collect::<Result<_, _>>()?,
        plain,
    };
    let connector = Connector::new(reach, &trust, HttpCollector::LIMITS, Arc::new(System));
    let connector = connector.map_err(|error| {
        unusable("the certificate of the collector cannot be checked")
            .because(error)
            .hint("name the roots that are trusted: `--otlp-root FILE`")
    })?;
    let headers = match &args.otlp_headers {
        None => Vec::new(),
        Some(path) => {
            let text = user_files::read_text(&here.join(path), HEADER_BYTES);
            let text = Zeroizing::new(text.map_err(|error| user_files_problem(&error))?);
            fields(&text).ok_or_else(|| {
                unusable(format!("`{}` names no fields", path.display()))
                    .hint("write each on a line: `Authorization: Bearer …`")
            })?
        }
    };
    Ok(TraceSettings {
        collector: Box::new(HttpCollector::new(connector, url, headers)),
        share: args.otlp_share,
    })
}

/// Reads where traces go, and what of it is asked without TLS: an address of this machine alone.
fn traces_url(address: &str) -> Result<(Url, BTreeSet<String>), Problem> {
    let is_loopback = |url: &Url| match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        _ => false,
    };
    let is_plain = |url: &Url| url.scheme() == "http" && is_loopback(url);
    let url = Url::parse(address).ok().filter(|url| {
        let is_bare = url.query().is_none() && url.fragment().is_none();
        let is_nobody = url.username().is_empty() && url.password().is_none();
        is_bare && is_nobody && (url.scheme() == "https" || is_plain(url))
    });
    let mut url = url.ok_or_else(|| {
        unusable(format!("`{address}` is no address of a collector"))
            .hint("write it as `https://host:4318`; without TLS, on this machine alone, as `http://127.0.0.1:4318`")
    })?;
    let plain = is_plain(&url).then(|| url.origin().ascii_serialization());
    // As every exporter of OpenTelemetry does with an address that is for all signals.
    let path = format!("{}/v1/traces", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Ok((url, plain.into_iter().collect()))
}

fn fields(text: &str) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let fields: Option<Vec<_>> = lines
        .map(|line| {
            let (name, value) = line.split_once(':')?;
            let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
            Some((name, HeaderValue::from_str(value.trim()).ok()?))
        })
        .collect();
    fields.filter(|fields| (1..=MOST_HEADERS).contains(&fields.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_go_by_tls_or_stay_on_this_machine() {
        let url = |text| traces_url(text).map(|(url, plain)| (url.to_string(), plain.len()));
        let https = "https://collector.example:4318/v1/traces".to_owned();
        for text in [
            "https://collector.example:4318",
            "https://collector.example:4318/",
        ] {
            assert_eq!(url(text).unwrap(), (https.clone(), 0));
        }
        let below = "https://collector.example/otlp/v1/traces".to_owned();
        assert_eq!(url("https://collector.example/otlp").unwrap(), (below, 0));
        let plain = "http://127.0.0.1:4318/v1/traces".to_owned();
        assert_eq!(url("http://127.0.0.1:4318").unwrap(), (plain, 1));
        for bad in [
            "http://collector.example:4318",
            "http://localhost:4318",
            "http://10.0.0.1:4318",
            "https://user:secret@collector.example",
            "https://collector.example?x=y",
            "ftp://127.0.0.1",
            "collector.example:4318",
            "",
        ] {
            assert!(url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn fields_are_read_a_line_each() {
        let read = fields("Authorization: Bearer a:b\n\nx-tenant: one\n").unwrap();
        assert_eq!(read[0].1, "Bearer a:b");
        assert_eq!((read.len(), read[1].0.as_str()), (2, "x-tenant"));
        for bad in [
            "",
            "no field",
            "na me: x",
            "a: x\u{7f}",
            &"a: b\n".repeat(17),
        ] {
            assert!(fields(bad).is_none(), "{bad}");
        }
    }
}
