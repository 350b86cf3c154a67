use std::sync::LazyLock;

use proptest::prelude::*;

use super::super::protobuf::build::{bytes, message, number};
use crate::scan;
use custody_findings::{Report, Rules, Verdict};

static RULES: LazyLock<Rules> = LazyLock::new(|| Rules::built_in().unwrap());

fn report(name: &str, bytes: &[u8]) -> Report {
    scan(name, &bytes, &RULES)
}

fn node(operator: &str) -> Vec<u8> {
    message(1, &node_fields(operator))
}

fn node_fields(operator: &str) -> Vec<Vec<u8>> {
    vec![bytes(1, "n"), bytes(2, operator), bytes(3, "x")]
}

fn attribute(key: &str, value: &[Vec<u8>]) -> Vec<u8> {
    message(5, &[bytes(1, key), message(2, value)])
}

fn function(name: &str, operator: &str) -> Vec<u8> {
    let signature = message(1, &[bytes(1, name)]);
    message(1, &[signature, message(3, &node_fields(operator))])
}

fn library(functions: &[Vec<u8>]) -> Vec<u8> {
    message(2, functions)
}

fn meta(graph: &[Vec<u8>], more: &[Vec<u8>]) -> Vec<u8> {
    let info = message(1, &[bytes(4, "serve"), bytes(5, "2.16.1")]);
    [info, message(2, graph), more.concat()].concat()
}

fn saved(graph: &[Vec<u8>], more: &[Vec<u8>]) -> Vec<u8> {
    [number(1, 1), bytes(2, meta(graph, more))].concat()
}

fn check(what: &str, file: &[u8], verdict: Verdict, expected: &str) {
    let report = report("saved_model.pb", file);
    let rules: Vec<_> = report.findings.iter().map(|found| &found.rule).collect();
    assert_eq!(report.verdict, verdict, "{what}: {report:?}");
    assert!(
        rules.iter().any(|rule| *rule == expected) || (expected.is_empty() && rules.is_empty()),
        "{what}: {rules:?}"
    );
}

fn ordinary() -> Vec<Vec<u8>> {
    let call = [
        node_fields("StatefulPartitionedCall"),
        vec![attribute("f", &[message(10, &[bytes(1, "__inference_1")])])],
    ]
    .concat();
    let print = [
        node_fields("PrintV2"),
        vec![attribute("output_stream", &[bytes(2, "stderr")])],
    ]
    .concat();
    vec![
        node("VarHandleOp"),
        node("MatMul"),
        node("SaveV2"),
        node("__inference_1"),
        message(1, &call),
        message(1, &print),
        library(&[function("__inference_1", "Relu")]),
    ]
}

#[test]
fn ordinary_models_are_clean_in_every_wrapping() {
    let asset = message(6, &[bytes(2, "vocabulary.txt")]);
    let layer = message(
        4,
        &[
            bytes(1, "_tf_keras_layer"),
            bytes(
                3,
                r#"{"class_name": "Dense", "config": {"name": "Lambda", "rate": [0.5, null]}}"#,
            ),
        ],
    );
    let objects = message(7, &[message(1, &[layer])]);
    let file = saved(&ordinary(), &[asset, objects]);
    for (format, file) in [
        ("TensorFlow SavedModel", file),
        ("TensorFlow MetaGraph", meta(&ordinary(), &[])),
        ("TensorFlow graph", ordinary().concat()),
    ] {
        check(format, &file, Verdict::Clean, "");
        let part = &report("m.pb", &file).parts[0];
        assert_eq!(
            (part.format.as_str(), part.understood),
            (format, part.bytes)
        );
    }
}

#[test]
fn operators_that_reach_out_are_malicious_wherever_they_stand() {
    for operator in [
        "ReadFile",
        "WriteFile",
        "MatchingFiles",
        "PyFunc",
        "PyFuncStateless",
        "EagerPyFunc",
        "LoadLibrary",
        "CreateSummaryFileWriter",
        "TextLineDatasetV2",
        "TFRecordDataset",
        "ImmutableConst",
        "DebugIdentityV2",
        "DataServiceDatasetV4",
    ] {
        let rule = "tensorflow/sink";
        check(
            operator,
            &saved(&[node(operator)], &[]),
            Verdict::Malicious,
            rule,
        );
        check(operator, &node(operator), Verdict::Malicious, rule);
        check(
            operator,
            &meta(&[node(operator)], &[]),
            Verdict::Malicious,
            rule,
        );
        let inner = [node("Relu"), library(&[function("f", operator)])];
        check(operator, &saved(&inner, &[]), Verdict::Malicious, rule);
        // A function by the name of an operator does not hide it.
        let named = [node(operator), library(&[function(operator, "Relu")])];
        check(operator, &saved(&named, &[]), Verdict::Malicious, rule);
        let passed = attribute("f", &[message(10, &[bytes(1, operator)])]);
        let call = message(1, &[node_fields("PartitionedCall"), vec![passed]].concat());
        check(operator, &saved(&[call], &[]), Verdict::Malicious, rule);
    }
}

#[test]
fn unknown_operators_need_a_person() {
    let rule = "tensorflow/unknown-operator";
    let nameless = [
        message(1, &[bytes(1, "n")]),
        library(&[function("", "Relu")]),
    ];
    check("nameless", &saved(&nameless, &[]), Verdict::Review, rule);
    check(
        "node",
        &saved(&[node("EvilOp")], &[]),
        Verdict::Review,
        rule,
    );
    let inner = [node("Relu"), library(&[function("f", "EvilOp")])];
    check("function", &saved(&inner, &[]), Verdict::Review, rule);
    let nameless = message(1, &[bytes(1, "n")]);
    check("nameless", &saved(&[nameless], &[]), Verdict::Review, rule);
    let second = [
        saved(&[node("Relu")], &[]),
        bytes(2, meta(&[node("EvilOp")], &[])),
    ]
    .concat();
    check("second meta graph", &second, Verdict::Review, rule);
}

#[test]
fn printing_to_a_file_is_malicious() {
    let print = |stream: &str| {
        let stream = attribute("output_stream", &[bytes(2, stream)]);
        saved(
            &[message(1, &[node_fields("PrintV2"), vec![stream]].concat())],
            &[],
        )
    };
    let rule = "tensorflow/print-to-file";
    check("file", &print("file:///tmp/x"), Verdict::Malicious, rule);
    check(
        "odd",
        &print("elsewhere"),
        Verdict::Review,
        "tensorflow/print-to",
    );
    let turned = message(
        5,
        &[
            message(2, &[bytes(2, "file:///x")]),
            bytes(1, "output_stream"),
        ],
    );
    let node = message(1, &[node_fields("PrintV2"), vec![turned]].concat());
    check("turned", &saved(&[node], &[]), Verdict::Malicious, rule);
}

#[test]
fn assets_outside_of_the_folder_are_malicious() {
    for file in ["../../etc/passwd", "/etc/passwd", "C:\\x", "a\\..\\b"] {
        let asset = message(6, &[bytes(2, file)]);
        check(
            file,
            &saved(&[node("Relu")], &[asset]),
            Verdict::Malicious,
            "tensorflow/asset-escape",
        );
    }
}

#[test]
fn lambda_layers_are_malicious() {
    for (what, json, verdict, rule) in [
        (
            "plain",
            r#"{"class_name": "Lambda"}"#,
            Verdict::Malicious,
            "keras/class",
        ),
        (
            "escaped",
            r#"{"class\u005fname": "L\u0061mbda"}"#,
            Verdict::Malicious,
            "keras/class",
        ),
        (
            "nested",
            r#"{"a": [{"b": {"class_name": "Lambda"}}]}"#,
            Verdict::Malicious,
            "keras/class",
        ),
        (
            "twice",
            r#"{"class_name": "Lambda", "class_name": "Dense"}"#,
            Verdict::Malicious,
            "keras/class",
        ),
        (
            "Keras 3",
            r#"{"class_name": "__lambda__"}"#,
            Verdict::Malicious,
            "keras/class",
        ),
        (
            "package",
            r#"{"class_name": "Custom>Lambda"}"#,
            Verdict::Malicious,
            "keras/class",
        ),
        (
            "function",
            r#"{"function_type": "lambda"}"#,
            Verdict::Malicious,
            "keras/class",
        ),
        (
            "cut after",
            r#"{"class_name": "Lambda""#,
            Verdict::Malicious,
            "keras/class",
        ),
        (
            "no JSON",
            r#"{"class_name": NaN, "Lambda"}"#,
            Verdict::Review,
            "keras/metadata",
        ),
        (
            "a name",
            r#"{"class_name": "Dense", "name": "Lambda"}"#,
            Verdict::Clean,
            "",
        ),
    ] {
        let layer = message(4, &[bytes(1, "_tf_keras_layer"), bytes(3, json)]);
        let objects = message(7, &[message(1, &[layer])]);
        check(what, &saved(&[node("Relu")], &[objects]), verdict, rule);
        let beside = message(
            1,
            &[
                number(2, 1),
                bytes(3, "root.layer-1"),
                bytes(4, "_tf_keras_layer"),
                bytes(5, json),
            ],
        );
        check(what, &beside, verdict, rule);
    }
}

#[test]
fn what_is_no_part_of_a_model_is_never_clean() {
    let good = saved(&[node("Relu")], &[]);
    for (what, more) in [
        ("an unknown field", bytes(99, "hidden")),
        ("a pickle behind", b"\x80\x04}.".to_vec()),
        ("zeros behind", vec![0; 8]),
    ] {
        let file = [good.clone(), more].concat();
        check(what, &file, Verdict::Unscannable, "format/malformed");
    }
    let cut = &good[..good.len() - 1];
    check("cut", cut, Verdict::Unscannable, "format/truncated");
    let twice = [good.clone(), number(1, 1)].concat();
    check("twice", &twice, Verdict::Unscannable, "format/field-twice");
    let text = b"saved_model_schema_version: 1\nmeta_graphs { ";
    check("text", text, Verdict::Unscannable, "format/truncated");
}

#[test]
fn a_fingerprint_is_one_by_its_name_alone() {
    let file = [number(1, 7), number(2, u64::MAX), bytes(7, "uuid")].concat();
    let named = report("m/fingerprint.pb", &file);
    assert_eq!(named.verdict, Verdict::Clean);
    assert_eq!(named.parts[0].format, "TensorFlow fingerprint");
    assert_eq!(report("m/other.pb", &file).verdict, Verdict::Unscannable);
    assert_eq!(report("m/other.bin", &file).parts[0].format, "opaque bytes");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn changed_models_end_without_a_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut file = saved(&ordinary(), &[message(6, &[bytes(2, "../x")])]);
        let before = report("saved_model.pb", &file);
        prop_assert_eq!(before.verdict, Verdict::Malicious);
        for (index, byte) in changes {
            let index = index.index(file.len());
            file[index] = byte;
        }
        file.truncate(cut.index(file.len()) + 1);
        let after = report("saved_model.pb", &file);
        prop_assert!(after.parts[0].understood <= file.len() as u64);
    }
}

#[test]
fn the_text_form_is_judged_as_the_binary_one() {
    let check = |text: &str, verdict: Verdict, rule: &str| {
        for name in [
            "saved_model.pbtxt",
            "graph.PBTXT",
            "net.prototxt",
            "a.textproto",
        ] {
            let report = report(name, text.as_bytes());
            assert_eq!(report.verdict, verdict, "{name} {text} {report:?}");
            let found = report.findings.iter().any(|found| found.rule == rule);
            assert!(found || rule.is_empty(), "{name} {text} {report:?}");
        }
    };
    let reads = "node { name: \"r\" op: \"ReadFile\" }";
    for text in [
        reads.to_owned(),
        format!("meta_graphs {{ graph_def {{ {reads} }} }}"),
        format!("saved_model_schema_version: 1\nmeta_graphs {{ graph_def {{ {reads} }} }}"),
        format!("# a comment }}\n{reads}"),
        "node < op: 'Read' \"File\" >".to_owned(),
        "node: { op: \"\\122\\x65adFile\" }".to_owned(),
        "node { op: \"Relu\" } node { op: # {\n'\\u0052eadFile', };".to_owned(),
        "node [ { op: 'Relu' }, < op: 'ReadFile' > ]".to_owned(),
        "library { function { signature { name: 'f' } node_def { op: 'ReadFile' } } }".to_owned(),
        "node { op: 'Relu' attr { key: 'f' value { func { name: 'ReadFile' } } } }".to_owned(),
        "node { op: 'Relu' attr { key: 'f' value { list { func [{ name: 'ReadFile' }] } } } }"
            .to_owned(),
        "any_info { [type.googleapis.com/tensorflow.GraphDef] { node { op: 'ReadFile' } } }"
            .to_owned(),
        format!("{reads} node {{"),
        "node { op: 'ReadFile' op: 'Relu' }".to_owned(),
    ] {
        check(&text, Verdict::Malicious, "tensorflow/sink");
    }
    check(
        "node { op: 'PrintV2' attr { key: 'output_stream' value { s: 'file:///x' } } }",
        Verdict::Malicious,
        "tensorflow/print-to-file",
    );
    check(
        "meta_graphs { asset_file_def { filename: '../../x' } }",
        Verdict::Malicious,
        "tensorflow/asset-escape",
    );
    check(
        "meta_graphs { object_graph_def { nodes { user_object { identifier: '_tf_keras_layer' metadata: '{\"class_name\": \"Lam' 'bda\"}' } } } }",
        Verdict::Malicious,
        "keras/class",
    );
    check(
        "node { op: 'EvilOp' }",
        Verdict::Review,
        "tensorflow/unknown-operator",
    );
    check(
        "node { name: 'p' op: 'Const' attr { key: 'value' value { tensor { dtype: DT_STRING string_val: '/x' } } } } node { name: 's' op: 'RestoreV2' input: 'p' }",
        Verdict::Review,
        "tensorflow/fixed-path",
    );
    check(
        "layer { name: 'a' type: 'Python' python_param { module: 'm' layer: 'L' } }",
        Verdict::Review,
        "caffe/python",
    );
    check(
        "name: 'm'\nbackend: 'python'\n",
        Verdict::Review,
        "triton/python",
    );
    for plain in [
        "item { id: 1 name: 'cat' }",
        "name: 'x' layer { name: 'c' type: 'Convolution' param { lr_mult: 1.5e-3 } top: 'a' } # end",
        "node { name: 'p' op: 'Const' attr { key: 'value' value { tensor { dtype: DT_STRING string_val: 'model' } } } } node { name: 's' op: 'RestoreV2' input: 'p' }",
        "node { op: 'f' } library { function { signature { name: 'f' } node_def { op: 'Relu' } } } versions { producer: 38 }",
        "node { op: 'Const' attr { key: 'v' value { tensor { float_val: -inf float_val: [1, -2.0, .5e+3] } } } }",
        "a: b\n",
        "",
    ] {
        check(plain, Verdict::Clean, "");
    }
    for broken in [
        "node { op: 'Relu' ",
        "node { op: 'Relu' >",
        "node { op: 'Re\nlu' }",
        "node { op: '\\q' }",
        "node op",
        "node { op: }",
        "}",
        "\u{1}",
        "{}",
        "node { op_type: 'Add' }",
    ] {
        let report = report("graph.pbtxt", broken.as_bytes());
        assert_eq!(report.verdict, Verdict::Unscannable, "{broken} {report:?}");
    }
    let deep = "a {".repeat(2000);
    assert_eq!(
        report("a.pbtxt", deep.as_bytes()).verdict,
        Verdict::Unscannable
    );
}

/// A node with a constant text.
fn text(name: &str, texts: &[&str]) -> Vec<u8> {
    let mut tensor = vec![number(1, 7), message(2, &[])];
    tensor.extend(texts.iter().map(|text| bytes(8, *text)));
    let value = attribute("value", &[message(8, &tensor)]);
    message(1, &[bytes(1, name), bytes(2, "Const"), value])
}

fn wired(name: &str, operator: &str, inputs: &[&str]) -> Vec<u8> {
    let mut fields = vec![bytes(1, name), bytes(2, operator)];
    fields.extend(inputs.iter().map(|input| bytes(3, *input)));
    message(1, &fields)
}

#[test]
fn the_places_that_a_saver_has_itself_are_told_by_its_caller() {
    let part = "_temp_0123456789abcdef0123456789abcdef/part";
    let shards = [
        message(
            1,
            &[
                bytes(1, "n"),
                bytes(2, "Const"),
                attribute("value", &[message(8, &[number(1, 3), number(7, 1)])]),
            ],
        ),
        wired("join", "StringJoin", &["save/Const", "part"]),
        wired("shard", "ShardedFilename", &["join", "n", "n"]),
        wired("s", "SaveV2", &["shard", "names"]),
        wired("all", "Pack", &["shard", "^s"]),
        wired("m", "MergeV2Checkpoints", &["all", "save/Const"]),
    ];
    let plain = wired("s", "RestoreV2", &["save/Const", "names"]);
    let default = [
        text("in", &["model"]),
        wired("save/Const", "PlaceholderWithDefault", &["in"]),
    ];
    for graph in [
        vec![text("save/Const", &["model"]), plain.clone()],
        [&default[..], std::slice::from_ref(&plain)].concat(),
        [&default[..], &[text("part", &[part])], &shards[..]].concat(),
    ] {
        check("usual", &saved(&graph, &[]), Verdict::Clean, "");
    }
    let other = [text("in", &["/etc/x"]), default[1].clone()];
    let packed = message(
        1,
        &[
            bytes(1, "save/Const"),
            bytes(2, "Const"),
            attribute(
                "value",
                &[message(
                    8,
                    &[number(1, 7), bytes(4, "\u{6}/etc/x"), bytes(8, "model")],
                )],
            ),
        ],
    );
    for graph in [
        vec![text("save/Const", &["models"]), plain.clone()],
        vec![text("save/Const", &["model", "/etc/x"]), plain.clone()],
        vec![packed, plain.clone()],
        [&other[..], &[plain]].concat(),
        [&default[..], &[text("part", &["/../../x"])], &shards[..]].concat(),
        [&other[..], &[text("part", &[part])], &shards[5..]].concat(),
    ] {
        check(
            "its own",
            &saved(&graph, &[]),
            Verdict::Review,
            "tensorflow/fixed-path",
        );
    }
}

#[test]
fn a_checkpoint_at_a_place_of_the_graphs_own_is_found() {
    let node = |name: &str, operator: &str, inputs: &[&str]| {
        let mut fields = vec![bytes(1, name), bytes(2, operator)];
        fields.extend(inputs.iter().map(|input| bytes(3, *input)));
        fields
    };
    let graph = |nodes: &[Vec<Vec<u8>>]| {
        let nodes: Vec<_> = nodes.iter().map(|fields| message(1, fields)).collect();
        saved(&nodes, &[])
    };
    let constant = node("place", "Const", &[]);
    let inside = |nodes: &[Vec<Vec<u8>>]| {
        let mut fields = vec![message(1, &[bytes(1, "f")])];
        fields.extend(nodes.iter().map(|fields| message(3, fields)));
        library(&[message(1, &fields)])
    };
    let function = inside(&[
        constant.clone(),
        node("s", "RestoreV2", &["place:output:0", "names"]),
    ]);
    let around = [
        vec![message(1, &constant), inside(&[])],
        vec![message(1, &node("s", "SaveV2", &["place"]))],
    ]
    .concat();
    for (what, file) in [
        (
            "saves",
            graph(&[constant.clone(), node("s", "SaveV2", &["place", "names"])]),
        ),
        (
            "before its constant, by a copy",
            graph(&[
                node("s", "RestoreV2", &["copy:0", "^place"]),
                node("copy", "Identity", &["place"]),
                constant.clone(),
            ]),
        ),
        ("in a function", saved(&[function], &[])),
        ("around a library", saved(&around, &[])),
    ] {
        check(what, &file, Verdict::Review, "tensorflow/fixed-path");
    }
    let asked = [
        node("place", "Placeholder", &[]),
        node("names", "Const", &[]),
        node("s", "SaveV2", &["place", "names"]),
    ];
    check("told by its caller", &graph(&asked), Verdict::Clean, "");
    let elsewhere = [
        vec![message(1, &node("s", "SaveV2", &["place"]))],
        vec![inside(&[constant])],
    ]
    .concat();
    check(
        "another graph's",
        &saved(&elsewhere, &[]),
        Verdict::Clean,
        "",
    );
}
