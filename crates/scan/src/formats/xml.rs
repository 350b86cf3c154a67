//! XML: PMML, `OpenVINO` and others, pulled through a bounded reader; entities are never expanded.

use std::io::{self, BufRead, BufReader, Read};

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::cursor::Stop;
use crate::scan::{Found, Scan, Understood, shown};
use crate::sniff::{Format, Head};
use crate::source::{Sequence, Source};
use custody_findings::Severity;

pub(crate) const FORMAT: Format = Format {
    name: "XML",
    recognises,
    parse,
};

/// How long one tag, text or comment may be, in bytes.
const MAX_EVENT: usize = 16 << 20;
/// How deep elements may lie in each other.
const MAX_DEPTH: usize = 10_000;

/// Whether it begins as an XML document does; a page or a fragment of HTML is text.
fn recognises(head: &Head<'_>) -> bool {
    if utf16(head.bytes) {
        return true;
    }
    let bytes = head
        .bytes
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(head.bytes);
    let start: Vec<u8> = bytes
        .iter()
        .skip_while(|byte| byte.is_ascii_whitespace())
        .take(64)
        .map(u8::to_ascii_lowercase)
        .collect();
    let starts = |text: &str| start.starts_with(text.as_bytes());
    [
        "<?xml", "<pmml", "<net ", "<net>", "<svg", "<java ", "<!entity",
    ]
    .iter()
    .any(|text| starts(text))
        || (starts("<!doctype") && !starts("<!doctype html"))
}

fn utf16(bytes: &[u8]) -> bool {
    matches!(
        bytes,
        [0xff, 0xfe, b'<', 0, ..]
            | [0xfe, 0xff, 0, b'<', ..]
            | [b'<', 0, b'?', 0, ..]
            | [0, b'<', 0, b'?', ..]
    )
}

/// Reads from a source and stops where one event takes too much.
struct Bounded<'a> {
    inner: BufReader<Sequence<'a>>,
    since: usize,
}

impl Read for Bounded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Bounded<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.since > MAX_EVENT {
            return Err(io::Error::other(format!(
                "one tag or text is longer than {MAX_EVENT} bytes"
            )));
        }
        self.inner.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.since = self.since.saturating_add(count);
        self.inner.consume(count);
    }
}

fn parse(source: &dyn Source, scan: &mut Scan<'_>) -> Result<Understood, Stop> {
    let mut start = vec![0; 4];
    let count = source.read_at(0, &mut start)?;
    start.truncate(count);
    if utf16(&start) {
        return Err(Stop::malformed(
            "is in UTF-16, which hides it from text tools",
            0,
        ));
    }
    let mut reader = Reader::from_reader(Bounded {
        inner: BufReader::new(Sequence::new(source)),
        since: 0,
    });
    let mut walk = Walk::default();
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        reader.get_mut().since = 0;
        let at = reader.buffer_position();
        let event = reader
            .read_event_into(&mut buffer)
            .map_err(|error| Stop::malformed(format!("is no XML: {error}"), at))?;
        if !walk.take(&event, at, scan)? {
            break;
        }
    }
    if walk.depth > 0 || !walk.rooted {
        return Err(Stop::Truncated {
            what: "an element",
            at: source.len(),
        });
    }
    Ok(Understood {
        format: walk.format,
        bytes: source.len(),
    })
}

#[derive(Debug)]
struct Walk {
    depth: usize,
    rooted: bool,
    format: &'static str,
    /// How deep inside of elements that may bear scripts.
    extension: usize,
}

impl Default for Walk {
    fn default() -> Self {
        Self {
            depth: 0,
            rooted: false,
            format: "XML",
            extension: 0,
        }
    }
}

impl Walk {
    /// Takes an event; `false` at the end.
    fn take(&mut self, event: &Event<'_>, at: u64, scan: &mut Scan<'_>) -> Result<bool, Stop> {
        match event {
            Event::Start(tag) => {
                self.open(tag, at, scan);
                self.depth = self.depth.saturating_add(1);
                if self.depth > MAX_DEPTH {
                    return Err(Stop::limit("the depth of the XML", MAX_DEPTH, at));
                }
                if self.extension > 0 || tag.local_name().as_ref() == "Extension" {
                    self.extension = self.extension.saturating_add(1);
                }
            }
            Event::Empty(tag) => self.open(tag, at, scan),
            Event::End(_) => {
                self.depth = self.depth.saturating_sub(1);
                self.extension = self.extension.saturating_sub(1);
            }
            Event::Text(text) if self.extension > 0 => {
                script(text, at, scan);
            }
            Event::CData(text) if self.extension > 0 => {
                script(text, at, scan);
            }
            Event::DocType(text) => doctype(text, at, scan),
            Event::PI(instruction) if instruction.starts_with("xml-stylesheet") => scan.found(
                Found::review("xml/stylesheet", "it names a style sheet")
                    .why("a processor fetches it and can run it")
                    .see(&["CWE-829"])
                    .at(at),
            ),
            Event::GeneralRef(name) => {
                let name: &str = name;
                let known = ["lt", "gt", "amp", "quot", "apos"].contains(&name);
                if !known && !name.starts_with('#') {
                    scan.found(
                        Found::malicious(
                            "xml/entity",
                            format!("it refers to the entity `{}`", shown(name)),
                        )
                        .severity(Severity::High)
                        .why("a model defines no entities")
                        .see(&["CWE-611", "CWE-776"])
                        .at(at),
                    );
                }
            }
            Event::Eof => return Ok(false),
            _ => {}
        }
        Ok(true)
    }

    fn open(&mut self, tag: &BytesStart<'_>, at: u64, scan: &mut Scan<'_>) {
        let name = tag.local_name();
        let local = name.as_ref().to_ascii_lowercase();
        let text: &str = tag;
        if !self.rooted {
            self.rooted = true;
            self.root(&local, text, at, scan);
        }
        let hostile = match local.as_str() {
            "include" if text.contains("href") && text.contains(':') => {
                Some("it includes other files")
            }
            "java" if text.contains("XMLDecoder") => {
                Some("it is a program for Java's `XMLDecoder`")
            }
            "dynamic-proxy" | "processbuilder" | "java.lang.processbuilder" => {
                Some("it builds Java objects that run commands")
            }
            _ => None,
        };
        if let Some(what) = hostile {
            scan.found(
                Found::malicious("xml/active", what)
                    .why("reading it reads other files or runs code")
                    .see(&["CWE-611", "CWE-502", "AML.T0011.000"])
                    .at(at),
            );
        }
        if local == "script" || text.contains("javascript:") || handler(text) {
            scan.found(
                Found::review(
                    "xml/script",
                    format!("the element `{}` has a script", shown(&local)),
                )
                .severity(Severity::High)
                .why("a viewer or an extension of the loader runs it")
                .see(&["CWE-79", "CWE-94"])
                .at(at),
            );
        }
        if local == "extension" {
            script(text, at, scan);
        }
        if self.format == "OpenVINO" && local == "layer" {
            layer(tag, at, scan);
        }
    }

    fn root(&mut self, local: &str, text: &str, at: u64, scan: &mut Scan<'_>) {
        match local {
            "pmml" => {
                self.format = "PMML";
                if !text.contains("http://www.dmg.org/PMML-") {
                    scan.found(
                        Found::note("pmml/namespace", "it is PMML of no namespace that is known")
                            .why("readers take it by the names of its elements")
                            .at(at),
                    );
                }
            }
            "net" => self.format = "OpenVINO",
            "svg" => self.format = "SVG",
            _ => {}
        }
    }
}

/// A layer is of one of OpenVINO's own sets of operations; any other comes from a library that the loader is given.
fn layer(tag: &BytesStart<'_>, at: u64, scan: &mut Scan<'_>) {
    let version = tag.attributes().flatten().find_map(|attribute| {
        (attribute.key.as_ref() == "version").then(|| attribute.value.to_string())
    });
    // IR before version 10 names no set, and its layers are all the loader's own.
    let is_own = version.as_deref().is_none_or(|version| {
        version
            .strip_prefix("opset")
            .is_some_and(|number| number.parse::<u8>().is_ok_and(|number| number >= 1))
    });
    if !is_own {
        let of = shown(version.as_deref().unwrap_or_default());
        scan.found(
            Found::review("openvino/extension", format!("a layer of `{of}`"))
                .why("the loader needs native code for it that is not part of the file")
                .see(&["CWE-829"])
                .at(at),
        );
    }
}

/// Whether a tag has an attribute that runs on an event, such as `onload=`.
fn handler(tag: &str) -> bool {
    [
        "onload=",
        "onclick=",
        "onerror=",
        "onbegin=",
        "onmouseover=",
    ]
    .iter()
    .any(|name| tag.to_ascii_lowercase().contains(name))
}

fn doctype(text: &str, at: u64, scan: &mut Scan<'_>) {
    let entity = text.to_ascii_uppercase().contains("<!ENTITY");
    let w3c = text.contains("-//W3C//DTD SVG") && !text.contains('[');
    if w3c {
        return;
    }
    let what = if entity {
        "a document type that defines entities"
    } else {
        "a document type"
    };
    scan.found(
        Found::malicious("xml/doctype", what)
            .severity(Severity::High)
            .why("a loader that follows it reads other files, asks other hosts or runs out of memory")
            .see(&["CWE-611", "CWE-776"])
            .at(at),
    );
}

/// Looks for code in an extension.
fn script(text: &str, at: u64, scan: &mut Scan<'_>) {
    const MARKS: [&str; 12] = [
        "<script",
        "javascript:",
        "eval(",
        "exec(",
        "os.system",
        "subprocess",
        "Runtime.getRuntime",
        "ProcessBuilder",
        "__import__",
        "import ",
        "System.exit",
        "Function(",
    ];
    if let Some(mark) = MARKS.iter().find(|mark| text.contains(**mark)) {
        scan.found(
            Found::review("xml/extension", format!("an extension has code: `{mark}`"))
                .severity(Severity::High)
                .why("a program that knows the extension runs it")
                .see(&["CWE-94", "AML.T0011"])
                .at(at),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan;
    use custody_findings::{Rules, Verdict};

    const PMML: &str = "<?xml version=\"1.0\"?>\n<PMML xmlns=\"http://www.dmg.org/PMML-4_4\" version=\"4.4\"><Header><Extension name=\"x\" value=\"1\"/></Header><DataDictionary/></PMML>\n";

    fn check(text: &str, verdict: Verdict, rule: &str) {
        let report = scan("m.pmml", &text.as_bytes(), &Rules::built_in().unwrap());
        assert_eq!(report.verdict, verdict, "{text}: {:?}", report.findings);
        assert!(
            rule.is_empty() || report.findings.iter().any(|f| f.rule == rule),
            "{text}"
        );
    }

    #[test]
    fn each_offence_is_found_and_a_plain_document_is_clean() {
        check(PMML, Verdict::Clean, "");
        check(
            "<net name=\"m\"><layers><layer id=\"0\" type=\"Parameter\" version=\"opset1\"/></layers></net>",
            Verdict::Clean,
            "",
        );
        let doctype = |inner: &str| PMML.replace("?>\n", &format!("?>\n<!DOCTYPE PMML {inner}>\n"));
        check(
            &doctype("[<!ENTITY x SYSTEM \"file:///etc/passwd\">]"),
            Verdict::Malicious,
            "xml/doctype",
        );
        check(
            &doctype("SYSTEM \"http://e/x.dtd\""),
            Verdict::Malicious,
            "xml/doctype",
        );
        check(
            &PMML.replace("<Header>", "<Header>&x;"),
            Verdict::Malicious,
            "xml/entity",
        );
        check(
            &PMML.replace("value=\"1\"", "value=\"eval(1)\""),
            Verdict::Review,
            "xml/extension",
        );
        check(
            &PMML.replace("/PMML-4_4", "/other"),
            Verdict::Clean,
            "pmml/namespace",
        );
        check(
            &PMML.replace("<DataDictionary/>", "<script>x</script>"),
            Verdict::Review,
            "xml/script",
        );
        check(
            &PMML.replace("</PMML>", ""),
            Verdict::Unscannable,
            "format/truncated",
        );
        check(
            "<?xml version=\"1.0\"?><java class=\"java.beans.XMLDecoder\"/>",
            Verdict::Malicious,
            "xml/active",
        );
        for (version, verdict) in [
            ("version=\"opset1\"", Verdict::Clean),
            ("version=\"opset16\"", Verdict::Clean),
            ("", Verdict::Clean),
            ("version=\"extension\"", Verdict::Review),
            ("version=\"opset\"", Verdict::Review),
            ("version='custom_opset'", Verdict::Review),
        ] {
            let net = format!(
                "<net name=\"n\"><layers><layer id=\"0\" {version} type=\"x\"/></layers></net>"
            );
            let report = scan("m.xml", &net.as_bytes(), &Rules::built_in().unwrap());
            assert_eq!(report.verdict, verdict, "{net}");
        }
        check(&"<net>".repeat(20_000), Verdict::Unscannable, "limits/size");
    }

    #[test]
    fn a_text_without_an_end_is_not_held() {
        let long = format!("<net>{}", "a".repeat(MAX_EVENT + (1 << 20)));
        check(&long, Verdict::Unscannable, "");
    }
}
