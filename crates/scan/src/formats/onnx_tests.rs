use std::sync::LazyLock;

use proptest::prelude::*;

use super::super::protobuf::build::{bytes, message, number};
use crate::{FileKind, Files, scan, scan_among};
use custody_findings::{Report, Rules, Verdict};

static RULES: LazyLock<Rules> = LazyLock::new(|| Rules::built_in().unwrap());

fn report(bytes: &[u8]) -> Report {
    scan("m.onnx", &bytes, &RULES)
}

fn model(graph: &[Vec<u8>], more: &[Vec<u8>]) -> Vec<u8> {
    [
        number(1, 10),
        bytes(2, "tests"),
        message(7, graph),
        message(8, &[bytes(1, ""), number(2, 21)]),
        more.concat(),
    ]
    .concat()
}

fn node(name: &str, domain: &str) -> Vec<u8> {
    message(1, &node_fields(name, domain))
}

fn node_fields(name: &str, domain: &str) -> Vec<Vec<u8>> {
    vec![
        bytes(1, "x"),
        bytes(2, "y"),
        bytes(4, name),
        bytes(7, domain),
    ]
}

fn entry(key: &str, value: &str) -> Vec<u8> {
    message(13, &[bytes(1, key), bytes(2, value)])
}

fn outside(location: &str) -> Vec<Vec<u8>> {
    vec![
        number(1, 4),
        number(2, 1),
        entry("location", location),
        entry("offset", "0"),
        entry("length", "16"),
        number(14, 1),
    ]
}

fn tensor(fields: &[Vec<u8>]) -> Vec<u8> {
    message(5, fields)
}

/// Checks the verdict and that the rule `expected` speaks, or that none does where it is empty.
fn check(what: &str, file: &[u8], verdict: Verdict, expected: &str) {
    let report = report(file);
    let rules: Vec<_> = report.findings.iter().map(|found| &found.rule).collect();
    assert_eq!(report.verdict, verdict, "{what}: {:?}", report.findings);
    assert_eq!(report.parts[0].format, "ONNX model", "{what}");
    assert!(
        rules.iter().any(|rule| *rule == expected) || (expected.is_empty() && rules.is_empty()),
        "{what}: {rules:?}"
    );
}

#[test]
fn ordinary_models_are_clean() {
    let full = model(
        &[
            node("Add", ""),
            node("MatMul", "ai.onnx"),
            node("TreeEnsembleClassifier", "ai.onnx.ml"),
            node("Attention", "com.microsoft"),
            node("Twice", "mine"),
            tensor(&[bytes(1, [2, 3]), number(2, 1), bytes(9, [0; 24])]),
            tensor(&[number(1, 2), number(2, 1), bytes(4, [0; 8])]),
            tensor(&[number(1, 3), number(2, 22), bytes(5, [1, 2])]),
            tensor(&[number(1, 3), number(2, 21), bytes(9, [1, 2])]),
            tensor(&[number(2, 7), number(7, 5)]),
            tensor(&[number(1, 2), number(2, 8), bytes(6, "a"), bytes(6, "b")]),
            tensor(&[number(1, 1), number(2, 14), bytes(4, [0; 8])]),
            tensor(&[number(1, 0), number(2, 11), bytes(9, "")]),
        ],
        &[
            message(8, &[bytes(1, "mine"), number(2, 1)]),
            message(
                25,
                &[
                    bytes(1, "Twice"),
                    bytes(10, "mine"),
                    message(7, &node_fields("Add", "")),
                ],
            ),
        ],
    );
    check("full", &full, Verdict::Clean, "");
    let report = report(&full);
    assert_eq!(report.parts[0].understood, full.len() as u64);
}

#[test]
fn operators_that_no_rule_knows_need_a_person() {
    let foreign = model(&[node("Evil", "evil.example")], &[]);
    check("foreign", &foreign, Verdict::Review, "onnx/foreign-domain");
    check(
        "foreign",
        &foreign,
        Verdict::Review,
        "onnx/unknown-operator",
    );
    let unknown = model(&[node("NoSuchOperator", "")], &[]);
    check(
        "unknown",
        &unknown,
        Verdict::Review,
        "onnx/unknown-operator",
    );
    let body = message(7, &node_fields("Add", ""));
    let nameless = model(&[node("", "")], &[message(25, &[body])]);
    check(
        "nameless",
        &nameless,
        Verdict::Review,
        "onnx/unknown-operator",
    );
    let imported = model(&[], &[message(8, &[bytes(1, "ai.onnx.contrib")])]);
    check("import", &imported, Verdict::Review, "onnx/foreign-domain");
    let inner = message(7, &node_fields("Evil", "evil.example"));
    let function = model(
        &[],
        &[message(25, &[bytes(1, "F"), bytes(10, "mine"), inner])],
    );
    check(
        "function",
        &function,
        Verdict::Review,
        "onnx/unknown-operator",
    );
    let branch = bytes(6, node("Evil", "evil.example"));
    let mut fields = node_fields("If", "");
    fields.push(bytes(5, &branch));
    let subgraph = model(&[message(1, &fields)], &[]);
    check(
        "branch",
        &subgraph,
        Verdict::Review,
        "onnx/unknown-operator",
    );
    let graphs = bytes(11, node("Evil", "evil.example"));
    fields[4] = bytes(5, &graphs);
    check(
        "graphs",
        &model(&[message(1, &fields)], &[]),
        Verdict::Review,
        "onnx/unknown-operator",
    );
    let training = message(20, &[bytes(2, node("Evil", "evil.example"))]);
    check(
        "training",
        &model(&[], &[training]),
        Verdict::Review,
        "onnx/unknown-operator",
    );
}

#[test]
fn operators_that_run_code_are_malicious() {
    for (name, domain) in [
        ("PyOp", "ai.onnx.contrib"),
        ("PythonOp", "com.microsoft"),
        ("PyOp", "anything"),
        ("ExternalGradient", "com.microsoft"),
        ("EPContext", "com.microsoft"),
    ] {
        let file = model(&[node(name, domain)], &[]);
        check(name, &file, Verdict::Malicious, "onnx/sink");
    }
}

#[test]
fn an_operator_of_pytorch_is_judged_by_its_name() {
    let node = |attributes: &[Vec<u8>]| {
        let fields = node_fields("ATen", "org.pytorch.aten");
        message(1, &[&fields[..], attributes].concat())
    };
    let attribute =
        |name: &str, text: &str| message(5, &[bytes(1, name), bytes(4, text), number(20, 3)]);
    let clean = |attributes: &[Vec<u8>]| {
        let wanted = message(8, &[bytes(1, "org.pytorch.aten"), number(2, 1)]);
        model(&[node(attributes)], &[wanted])
    };
    for name in ["embedding_bag", "aten::repeat_interleave"] {
        let named = attribute("operator", name);
        let file = clean(&[named.clone(), attribute("overload_name", "")]);
        check(name, &file, Verdict::Clean, "");
        let turned = message(5, &[bytes(4, name), number(20, 3), bytes(1, "operator")]);
        check(name, &clean(&[turned]), Verdict::Clean, "");
        let twice = clean(&[named.clone(), attribute("operator", "from_file")]);
        check(name, &twice, Verdict::Review, "onnx/sink");
        // The attribute of a node around it says nothing of this one.
        let inner = message(5, &[bytes(1, "a"), bytes(6, node(&[]))]);
        check(name, &clean(&[named, inner]), Verdict::Review, "onnx/sink");
    }
    for name in ["from_file", "aten::save", "load"] {
        let file = clean(&[attribute("operator", name)]);
        check(name, &file, Verdict::Malicious, "onnx/sink");
    }
    let long = "x".repeat(200);
    for name in ["", "mine::relu", "aten::aten::relu", &long] {
        let file = clean(&[attribute("operator", name)]);
        check(name, &file, Verdict::Review, "onnx/sink");
    }
    check("none", &clean(&[]), Verdict::Review, "onnx/sink");
    let other = clean(&[attribute("operators", "relu")]);
    check("other", &other, Verdict::Review, "onnx/sink");
}

#[test]
fn messages_beside_a_model_are_read() {
    let part = |name: &str, file: &[u8], verdict: Verdict| {
        let report = scan(name, &file, &RULES);
        assert_eq!(report.verdict, verdict, "{name} {report:?}");
        report.parts[0].format.clone()
    };
    let plain = [
        number(1, 1),
        number(1, 3),
        number(2, 1),
        bytes(8, "x"),
        bytes(9, [0; 12]),
    ];
    let tensor = plain.concat();
    let kind = message(
        1,
        &[number(1, 1), message(2, &[message(1, &[number(1, 3)])])],
    );
    let info = [bytes(1, "x"), message(2, std::slice::from_ref(&kind))].concat();
    let graph = [
        node("MatMul", ""),
        bytes(2, "g"),
        bytes(5, &tensor),
        bytes(11, &info),
    ]
    .concat();
    for (what, file) in [
        ("tensor", tensor.clone()),
        (
            "sequence",
            [
                bytes(1, "s"),
                number(2, 1),
                bytes(3, &tensor),
                bytes(3, &tensor),
            ]
            .concat(),
        ),
        ("empty", [bytes(1, "s"), number(2, 1)].concat()),
        (
            "map",
            [
                number(2, 7),
                number(3, 1),
                message(5, &[number(2, 1), bytes(3, &tensor)]),
            ]
            .concat(),
        ),
        ("type", kind),
        ("value", info),
        ("node", node_fields("Add", "").concat()),
        ("graph", graph.clone()),
        (
            "attribute",
            [bytes(1, "a"), bytes(5, &tensor), number(20, 4)].concat(),
        ),
    ] {
        assert_eq!(
            part("input_0.pb", &file, Verdict::Clean),
            "ONNX part",
            "{what}"
        );
        let cut = &file[..file.len() - 1];
        assert_ne!(
            part("input_0.pb", cut, Verdict::Unscannable),
            "ONNX part",
            "{what}"
        );
    }
    part("t.pb", &outside("/etc/passwd").concat(), Verdict::Malicious);
    let wrong = [number(1, 9), number(2, 1), bytes(9, [0; 12])].concat();
    part("t.pb", &wrong, Verdict::Malicious);
    part(
        "n.pb",
        &node_fields("Evil", "evil").concat(),
        Verdict::Review,
    );
    // What TensorFlow would read is judged as such, whatever it is named.
    let reads = [
        bytes(1, "n"),
        bytes(2, "ReadFile"),
        bytes(3, "x"),
        bytes(4, "Add"),
    ];
    for name in ["graph.pb", "graph.bin"] {
        part(name, &message(1, &reads), Verdict::Malicious);
        let hidden = [node("Add", ""), bytes(2, message(1, &reads))].concat();
        assert!(scan(name, &hidden.as_slice(), &RULES).parts[0].format != "ONNX part");
    }
    for hidden in [
        [bytes(1, reads.concat()), number(2, 1)].concat(),
        [bytes(1, reads[..2].concat()), number(2, 1), bytes(9, "")].concat(),
    ] {
        part("graph.pb", &hidden, Verdict::Malicious);
    }
}

#[test]
fn files_outside_of_the_folder_are_malicious() {
    for location in [
        "../../etc/passwd",
        "a/../../b",
        "/etc/passwd",
        "C:\\w.bin",
        "C:w.bin",
        "..\\w.bin",
        "file:///etc/passwd",
        "https://example.org/w",
        "~/w.bin",
    ] {
        let graph = [tensor(&outside(location))];
        check(
            location,
            &model(&graph, &[]),
            Verdict::Malicious,
            "onnx/external-escape",
        );
        let values = message(15, &[message(1, &outside(location))]);
        check(
            location,
            &model(&[values], &[]),
            Verdict::Malicious,
            "onnx/external-escape",
        );
        let attribute = bytes(5, message(5, &outside(location)));
        let inner = message(7, &[node_fields("Constant", ""), vec![attribute]].concat());
        let function = model(&[], &[message(25, &[bytes(1, "F"), bytes(10, "m"), inner])]);
        check(
            location,
            &function,
            Verdict::Malicious,
            "onnx/external-escape",
        );
    }
    let beside = model(&[tensor(&outside("weights.bin"))], &[]);
    check("beside", &beside, Verdict::Clean, "onnx/external-data");
    let last_entry_wins = [tensor(
        &[
            outside("weights.bin"),
            vec![entry("location", "/etc/passwd")],
        ]
        .concat(),
    )];
    check(
        "two",
        &model(&last_entry_wins, &[]),
        Verdict::Malicious,
        "onnx/external-escape",
    );
}

#[test]
fn odd_external_data_is_never_clean() {
    use Verdict::{Malicious, Unscannable};
    let with = |entries: &[Vec<u8>]| {
        let fields = [vec![number(1, 4), number(2, 1)], entries.to_vec()].concat();
        model(&[tensor(&fields)], &[])
    };
    for (entries, verdict, rule) in [
        (
            vec![entry("location", "")],
            Malicious,
            "onnx/external-location",
        ),
        (
            vec![entry("location", "a"), entry("length", "-1")],
            Malicious,
            "onnx/external-range",
        ),
        (
            vec![entry("location", "a"), entry("offset", "1e3")],
            Malicious,
            "onnx/external-range",
        ),
        (
            vec![entry("location", "a"), entry("__class__", "x")],
            Unscannable,
            "onnx/external-key",
        ),
        (
            vec![entry("location", "a"), entry("length", "17")],
            Malicious,
            "onnx/tensor-length",
        ),
        (
            vec![entry("location", "a"), bytes(9, [0; 16])],
            Malicious,
            "onnx/tensor-length",
        ),
    ] {
        let entries = [entries, vec![number(14, 1)]].concat();
        check(rule, &with(&entries), verdict, rule);
    }
    let rule = "onnx/tensor-odd";
    check(rule, &with(&[number(14, 1)]), Unscannable, rule);
    check(rule, &with(&[entry("location", "a")]), Unscannable, rule);
}

#[test]
fn data_in_another_file_is_there_plain_and_long_enough() {
    let at = |location: &str, offset: &str, length: Option<&str>| {
        let mut fields = vec![number(1, 4), number(2, 1), entry("location", location)];
        fields.push(entry("offset", offset));
        fields.extend(length.map(|length| entry("length", length)));
        fields.push(number(14, 1));
        model(&[tensor(&fields)], &[])
    };
    let mut files = Files::default();
    files.add("m/w.bin", FileKind::File { size: 24 });
    files.add("m/link.bin", FileKind::Link);
    files.add("w2.bin", FileKind::File { size: 24 });
    for (file, verdict, rule) in [
        (at("w.bin", "8", Some("16")), Verdict::Clean, ""),
        (at("./w.bin", "8", None), Verdict::Clean, ""),
        (
            at("w.bin", "9", Some("16")),
            Verdict::Malicious,
            "onnx/external-beyond",
        ),
        (
            at("w.bin", "9", None),
            Verdict::Malicious,
            "onnx/external-beyond",
        ),
        (
            at("w.bin", "18446744073709551615", None),
            Verdict::Malicious,
            "onnx/external-beyond",
        ),
        (
            at("link.bin", "0", None),
            Verdict::Review,
            "onnx/external-link",
        ),
        (
            at("w2.bin", "0", None),
            Verdict::Review,
            "onnx/external-missing",
        ),
    ] {
        let report = scan_among("m/m.onnx", &file, &RULES, &files);
        assert_eq!(report.verdict, verdict, "{report:?}");
        let told = report.findings.iter().any(|found| found.rule == rule);
        assert!(told || rule.is_empty(), "{report:?}");
    }
}

/// Writes a tar archive.
fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, bytes) in members {
        let mut header = [0u8; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..107].copy_from_slice(b"0000644");
        header[124..135].copy_from_slice(format!("{:011o}", bytes.len()).as_bytes());
        header[148..156].fill(b' ');
        header[156] = b'0';
        header[257..265].copy_from_slice(b"ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        archive.extend_from_slice(&header);
        archive.extend_from_slice(bytes);
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive.resize(archive.len() + 1024, 0);
    archive
}

#[test]
fn data_in_another_member_of_an_archive_is_there_and_long_enough() {
    let file = model(&[tensor(&outside("w.bin"))], &[]);
    let short = &[1; 15][..];
    for (archive, verdict) in [
        (
            tar(&[("m/a.onnx", &file), ("m/w.bin", &[1; 16])]),
            Verdict::Clean,
        ),
        (
            tar(&[("m/w.bin", short), ("m/a.onnx", &file)]),
            Verdict::Malicious,
        ),
        (
            tar(&[("m/a.onnx", &file), ("w.bin", &[1; 16])]),
            Verdict::Review,
        ),
        (tar(&[("m/a.onnx", &file)]), Verdict::Review),
    ] {
        let report = scan("m.tar", &archive, &RULES);
        assert_eq!(report.verdict, verdict, "{:?}", report.findings);
        // What lies around an archive is not what lies in it.
        let around = tar(&[
            ("w.bin", &[1; 16]),
            ("m/w.bin", &[1; 16]),
            ("x.tar", &archive),
        ]);
        let report = scan("around.tar", &around, &RULES);
        assert_eq!(report.verdict, verdict, "{:?}", report.findings);
    }
}

#[test]
fn tensors_hold_what_their_shape_says() {
    for (what, fields) in [
        (
            "less raw",
            vec![number(1, 4), number(2, 1), bytes(9, [0; 12])],
        ),
        (
            "more raw",
            vec![number(1, 4), number(2, 1), bytes(9, [0; 20])],
        ),
        ("nothing", vec![number(1, 1 << 40), number(2, 1)]),
        (
            "another field",
            vec![number(1, 1), number(2, 1), number(7, 1)],
        ),
        (
            "both",
            vec![
                number(1, 1),
                number(2, 1),
                bytes(9, [0; 4]),
                bytes(4, [0; 4]),
            ],
        ),
        (
            "negative",
            vec![number(1, u64::MAX), number(2, 1), bytes(9, [0; 4])],
        ),
        (
            "overflow",
            vec![
                number(1, 1 << 62),
                number(1, 8),
                number(2, 1),
                bytes(9, [0; 4]),
            ],
        ),
        ("no type", vec![number(1, 1), bytes(9, [0; 4])]),
        (
            "a type beyond",
            vec![number(1, 1), number(2, 99), bytes(9, [0; 4])],
        ),
        (
            "many dims",
            vec![bytes(1, [1; 70]), number(2, 1), bytes(9, [0; 4])],
        ),
    ] {
        let file = model(&[tensor(&fields)], &[]);
        let (verdict, rule) = match what {
            "no type" | "a type beyond" => (Verdict::Unscannable, "onnx/tensor-odd"),
            _ => (Verdict::Malicious, "onnx/tensor-length"),
        };
        check(what, &file, verdict, rule);
    }
}

#[test]
fn what_is_no_part_of_a_model_is_never_clean() {
    let good = model(&[node("Add", "")], &[]);
    for (what, more) in [
        ("an unknown field", bytes(99, "hidden")),
        ("bytes behind", b"\x80\x04}.".to_vec()),
        ("zeros behind", vec![0; 16]),
    ] {
        let file = [good.clone(), more].concat();
        check(what, &file, Verdict::Unscannable, "format/malformed");
    }
    let again = [good.clone(), message(7, &[node("PyOp", "x")])].concat();
    check("a graph again", &again, Verdict::Malicious, "onnx/sink");
    check(
        "a graph again",
        &again,
        Verdict::Malicious,
        "format/field-twice",
    );
    let late = [message(7, &[node("Add", "")]), number(1, 8)].concat();
    check("a late version", &late, Verdict::Unscannable, "onnx/order");
    let cut = &good[..good.len() - 1];
    check("cut", cut, Verdict::Unscannable, "format/truncated");
    let deep = (0..200).fold(node("Add", ""), |graph, _| {
        let attribute = bytes(5, bytes(6, graph));
        message(1, &[node_fields("If", ""), vec![attribute]].concat())
    });
    check(
        "deep",
        &model(&[deep], &[]),
        Verdict::Unscannable,
        "limits/size",
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn changed_models_end_without_a_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut file = model(
            &[node("Add", ""), tensor(&outside("w.bin")), node("Evil", "evil")],
            &[message(25, &[bytes(1, "F"), message(7, &node_fields("Add", ""))])],
        );
        for (index, byte) in changes {
            let index = index.index(file.len());
            file[index] = byte;
        }
        file.truncate(cut.index(file.len()) + 1);
        let report = report(&file);
        prop_assert_ne!(report.verdict, Verdict::Clean);
    }
}
