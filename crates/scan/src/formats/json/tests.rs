use proptest::prelude::*;

use crate::{FileKind, Files, scan, scan_among};
use custody_findings::{Report, Rules, Verdict};

fn scanned(name: &str, bytes: &[u8]) -> Report {
    scan(name, &bytes, &Rules::built_in().unwrap())
}

fn check(text: &str, verdict: Verdict, rule: &str) {
    let report = scanned("config.json", text.as_bytes());
    assert_eq!(report.verdict, verdict, "{text}: {:?}", report.findings);
    assert!(
        rule.is_empty() || report.findings.iter().any(|f| f.rule == rule),
        "{text}: {:?}",
        report.findings
    );
}

fn layer(class: &str, module: &str, config: &str) -> String {
    format!(
        r#"{{"module":"keras","class_name":"Sequential","config":{{"layers":[{{"module":"{module}","class_name":"{class}","config":{config},"registered_name":null}}]}}}}"#
    )
}

#[test]
fn the_parts_of_a_pipeline_come_from_known_libraries() {
    let check = |text: &str, expected| {
        let report = scanned("m/model_index.json", text.as_bytes());
        assert_eq!(report.verdict, expected, "{text} {:?}", report.findings);
        let elsewhere = scanned("m/config.json", text.as_bytes());
        assert_eq!(elsewhere.verdict, Verdict::Clean, "{text}");
    };
    check(
        r#"{"_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.30.0",
            "feature_extractor": ["transformers", "CLIPImageProcessor"], "requires_safety_checker": true,
            "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
            "image_encoder": [null, null], "unet": ["diffusers", "UNet2DConditionModel"]}"#,
        Verdict::Clean,
    );
    for other in [
        r#"{"_class_name": "P", "unet": ["my_unet", "MyUNet"]}"#,
        r#"{"unet": ["os", "system"], "_class_name": "P"}"#,
        r#"{"unet": ["diffusers", "utils.load"]}"#,
        r#"{"_class_name": ["pipeline", "MyPipeline"]}"#,
        r#"{"_class_name": "my_pipeline"}"#,
        r#"{"unet": ["diffusers", "_Private"]}"#,
    ] {
        check(other, Verdict::Review);
    }
}

#[test]
fn the_shards_of_a_model_are_there() {
    let rules = Rules::built_in().unwrap();
    let index: &[u8] = br#"{"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}"#;
    let verdict = |files: &Files| scan_among("m/i.json", &index, &rules, files).verdict;
    let mut files = Files::default();
    files.add("m/one.safetensors", FileKind::File { size: 8 });
    assert_eq!(verdict(&files), Verdict::Review);
    files.add("m/two.safetensors", FileKind::Link);
    assert_eq!(verdict(&files), Verdict::Clean);
    files.add("m/two.safetensors", FileKind::Other);
    assert_eq!(verdict(&files), Verdict::Review);
}

#[test]
fn plain_documents_are_clean() {
    for text in [
        "{}",
        r#"{"a": [1, 2.5, NaN, null, true], "model_type": "bert", "_commit_hash": "abc"}"#,
        r#"{"learner": {"gradient_booster": {"name": "gbtree"}}, "version": [2, 0, 0]}"#,
        r#"{"metadata": {"total_size": 1}, "weight_map": {"a": "model-00001-of-00002.safetensors"}}"#,
        r#"{"vocab": {"eval": 0, "os.system": 1}, "merges": ["a b"]}"#,
        r#"{"chat_template": "{% for m in messages %}{{ m['content'] }}{% endfor %}"}"#,
        r#"{"__class__":"LogisticRegression","__module__":"sklearn.linear_model._logistic","__loader__":"ObjectNode","content":{"__class__":"dict","__module__":"builtins","__loader__":"DictNode","content":{}}}"#,
        "{\"class_name\": \"cat\", \"score\": 1}",
    ] {
        check(text, Verdict::Clean, "");
    }
    check(
        &layer("Dense", "keras.layers", "{\"activation\":\"relu\"}"),
        Verdict::Clean,
        "",
    );
    let function = r#"{"activation":{"module":"builtins","class_name":"function","config":"relu","registered_name":"function"}}"#;
    check(
        &layer("Dense", "keras.layers", function),
        Verdict::Clean,
        "",
    );
}

#[test]
fn keras_configurations_are_judged_at_any_depth() {
    let bad = Verdict::Malicious;
    check(&layer("Lambda", "keras.layers", "{}"), bad, "keras/class");
    let nested = layer(
        "TimeDistributed",
        "keras.layers",
        &format!("{{\"layer\":{}}}", layer("Lambda", "keras.layers", "{}")),
    );
    check(&nested, bad, "keras/class");
    check(
        &layer("TFSMLayer", "keras.layers", "{\"filepath\":\"/x\"}"),
        bad,
        "keras/class",
    );
    check(&layer("Popen", "subprocess", "{}"), bad, "keras/module");
    check(
        &layer("Thing", "mine.layers", "{}"),
        Verdict::Review,
        "keras/module",
    );
    check(
        &layer("Mine", "keras.layers", "{}"),
        Verdict::Review,
        "keras/class",
    );
    check(
        &layer("function", "keras.utils", "\"get_file\""),
        bad,
        "keras/function",
    );
    check(
        &layer("function", "builtins", "\"eval\""),
        bad,
        "keras/module",
    );
    check(
        &layer("__lambda__", "builtins", "{\"value\":\"x\"}"),
        bad,
        "keras/class",
    );
    check(
        &layer(
            "StringLookup",
            "keras.layers",
            "{\"vocabulary\":\"/etc/passwd\"}",
        ),
        bad,
        "keras/vocabulary",
    );
    check(
        &layer("StringLookup", "keras.layers", "{\"vocabulary\":\"v.txt\"}"),
        Verdict::Review,
        "keras/vocabulary",
    );
    check(
        &layer("StringLookup", "keras.layers", "{\"vocabulary\":[\"a\"]}"),
        Verdict::Clean,
        "",
    );
    check(
        &layer(
            "function",
            "keras.config",
            "\"enable_unsafe_deserialization\"",
        ),
        bad,
        "keras/unsafe-deserialization",
    );
    let custom = layer("Dense", "keras.layers", "{}").replace("null", "\"Custom>Dense\"");
    check(&custom, Verdict::Review, "keras/custom");
    check(
        &layer("L\\u0061mbda", "keras.layers", "{}"),
        bad,
        "keras/class",
    );
}

#[test]
fn functions_of_tensorflow_are_judged_by_their_names() {
    let lambda = |name: &str| {
        format!(
            r#"{{"class_name":"Functional","config":{{"layers":[{{"class_name":"TFOpLambda","config":{{"name":"tf.x","function":"{name}"}},"inbound_nodes":[["in",0,0,{{"y":1.0,"name":null}}]]}}]}}}}"#
        )
    };
    for name in [
        "math.multiply",
        "compat.v1.nn.conv2d",
        "__operators__.add",
        "expand_dims",
        "image.resize",
        "strings.as_string",
        "debugging.check_numerics",
        "io.decode_jpeg",
    ] {
        check(&lambda(name), Verdict::Clean, "");
        let slicing = lambda(name).replace("TFOpLambda", "SlicingOpLambda");
        check(&slicing, Verdict::Clean, "");
    }
    let rule = "keras/function";
    for name in [
        "io.read_file",
        "compat.v1.read_file",
        "py_function",
        "numpy_function",
        "load_op_library",
        "keras.utils.get_file",
        "saved_model.load",
        "data.experimental.save",
        "debugging.experimental.enable_dump_debug_info",
        "raw_ops.ReadFile",
        "compat.v1.raw_ops.WriteFile",
        "compat.v1.gfile.Open",
    ] {
        check(&lambda(name), Verdict::Malicious, rule);
    }
    for name in [
        "print",
        "raw_ops.MatMul",
        "map_fn",
        "math.a.b",
        "mathx.add",
        "",
        "compat.v1.compat.v1.math.add",
    ] {
        check(&lambda(name), Verdict::Review, rule);
    }
    for other in [
        r#"{"class_name":"TFOpLambda","config":{}}"#,
        r#"{"class_name":"TFOpLambda","config":["math.add"]}"#,
        r#"{"class_name":"TFOpLambda","config":{"function":["math.add"]}}"#,
        r#"{"class_name":"TFOpLambda","config":{"a":{"function":"math.add"}}}"#,
        r#"{"class_name":"InstanceMethod","config":{"function":"math.add"}}"#,
    ] {
        check(other, Verdict::Review, "keras/class");
    }
    let twice =
        r#"{"class_name":"TFOpLambda","config":{"function":"io.read_file","function":"math.add"}}"#;
    check(twice, Verdict::Review, "json/duplicate-key");
}

#[test]
fn optimizers_that_keras_registers_are_its_own() {
    let optimizer = |name: &str| format!(r#"{{"class_name":"{name}","config":{{"name":"a"}}}}"#);
    for name in ["Adam", "SGD", "LossScaleOptimizer"] {
        let text = optimizer(&format!("Custom>{name}"));
        check(&text, Verdict::Clean, "");
        let text = text.replace(
            "\"config\"",
            &format!("\"registered_name\":\"Custom>{name}\",\"config\""),
        );
        check(&text, Verdict::Clean, "");
    }
    for name in [
        "Custom>Adamant",
        "Mine>Adam",
        "Custom>Custom>Adam",
        "Custom>Dense",
    ] {
        check(&optimizer(name), Verdict::Review, "keras/class");
    }
}

#[test]
fn what_one_key_hides_behind_another_is_judged_too() {
    let text = r#"{"class_name":"Lambda","class_name":"Dense","config":{}}"#;
    check(text, Verdict::Review, "json/duplicate-key");
    let text = r#"{"config":{},"class_name":"Lambda","class_name":"Dense"}"#;
    check(text, Verdict::Malicious, "json/duplicate-key");
}

#[test]
fn what_no_rule_asks_about_may_stand_twice() {
    let text = r#"{"a": 1, "b": {"words": 1, "words": 2}, "a": {"auto_map": {"A": "b"}}, "a": 2}"#;
    check(text, Verdict::Review, "huggingface/remote-code");
    let text = r#"{"a": 1, "b": {"words": 1, "words": 2}, "a": 3, "a": 2}"#;
    check(text, Verdict::Clean, "json/duplicate-key");
    let report = scanned("config.json", text.as_bytes());
    assert_eq!(report.findings.len(), 1, "{report:?}");
    assert!(report.findings[0].what.starts_with("3 keys"), "{report:?}");
    for key in [
        "type",
        "config",
        "chat_template",
        "trust_remote_code",
        "split_indices",
    ] {
        let text = format!(r#"{{"{key}": "", "{key}": ""}}"#);
        check(&text, Verdict::Review, "json/duplicate-key");
    }
}

#[test]
fn the_state_of_a_booster_is_looked_into() {
    let node = |text: &str| {
        let inner = serde_json::Value::from(text).to_string();
        let content = serde_json::json!({"_handle": {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "content": inner}});
        content.to_string()
    };
    for broken in [
        "tree\nversion=v4\nTree=0\nnum_leaves=5\n",
        "x\nTree=0\nsplit_feature=-9\n",
    ] {
        let report = scanned("schema.json", node(broken).as_bytes());
        assert!(report.verdict >= Verdict::Unscannable, "{report:?}");
    }
    check(&node("words"), Verdict::Clean, "");
    check(
        r#"{"learner": {"gradient_booster": {"gbtree_model_param": {"num_trees": "3"}}}}"#,
        Verdict::Clean,
        "",
    );
    check(
        r#"{"learner": {"gradient_booster": {"model": {"gbtree_model_param": {"num_trees": "3"}, "trees": []}}}}"#,
        Verdict::Unscannable,
        "xgboost/place",
    );
}

#[test]
fn several_values_and_a_mark_before_them_are_told() {
    check("{\"a\": 1}\n{\"a\": 2}\n", Verdict::Clean, "json/several");
    check("\u{feff}{\"a\": 1}", Verdict::Clean, "json/bom");
    let second = "{\"a\": 1}\n{\"trust_remote_code\": true}\n";
    check(second, Verdict::Review, "huggingface/remote-code");
}

#[test]
fn a_template_in_lines_is_judged_as_one() {
    let check = |lines: &[&str], verdict, rule| {
        for text in [
            serde_json::json!({"chat_template": lines}),
            serde_json::json!({"chat_template": [{"name": "default", "template": lines}]}),
        ] {
            check(&text.to_string(), verdict, rule);
        }
    };
    check(
        &[
            "{% for m in messages %}",
            "{{ m['content'] }}\n",
            "{% endfor %}",
        ],
        Verdict::Clean,
        "",
    );
    check(&["{%- if true", "-%}a{% endif %}"], Verdict::Clean, "");
    check(
        &["{{ x.__cl", "ass__.__mro__ }}"],
        Verdict::Malicious,
        "jinja/injection",
    );
    check(
        &["{% raw %}", "{{ ''.__class__ }}", "{% endraw %}"],
        Verdict::Malicious,
        "jinja/injection",
    );
    check(
        &["{% for m in", "messages"],
        Verdict::Review,
        "jinja/unparsed",
    );
}

#[test]
fn skops_nodes_are_judged() {
    let node = |loader: &str, module: &str, class: &str, content: &str| {
        format!(
            r#"{{"__class__":"{class}","__module__":"{module}","__loader__":"{loader}","content":{content}}}"#
        )
    };
    let bad = Verdict::Malicious;
    check(
        &node("OperatorFuncNode", "builtins", "call", "{}"),
        bad,
        "skops/operator",
    );
    check(&node("ObjectNode", "os", "system", "{}"), bad, "skops/sink");
    check(
        &node("FunctionNode", "subprocess", "run", "{}"),
        bad,
        "skops/sink",
    );
    check(
        &node("ObjectNode", "mine", "Model", "{}"),
        Verdict::Review,
        "skops/unknown",
    );
    check(
        &node("MagicNode", "builtins", "dict", "{}"),
        Verdict::Review,
        "skops/loader",
    );
    let inner = node("ObjectNode", "numpy", "ndarray", "{}");
    let content = format!("{{\"func\":\"fit\",\"obj\":{inner}}}");
    check(
        &node("MethodNode", "builtins", "int", &content),
        bad,
        "skops/method",
    );
    check(
        &node("MethodNode", "numpy", "ndarray", &content),
        Verdict::Review,
        "skops/method",
    );
    let dunder = content.replace("fit", "__reduce__");
    check(
        &node("MethodNode", "numpy", "ndarray", &dunder),
        bad,
        "skops/method",
    );
}

#[test]
fn what_loaders_of_models_act_upon_is_found() {
    check(
        r#"{"auto_map": {"AutoModel": "m.M"}}"#,
        Verdict::Review,
        "huggingface/remote-code",
    );
    check(
        r#"{"trust_remote_code": true}"#,
        Verdict::Review,
        "huggingface/remote-code",
    );
    check(r#"{"trust_remote_code": false}"#, Verdict::Clean, "");
    check(
        r#"{"chat_template": "{{ ''.__class__.__mro__ }}"}"#,
        Verdict::Malicious,
        "",
    );
    check(
        r#"{"chat_template": [{"name": "a", "template": "{{ x.__class__ }}"}]}"#,
        Verdict::Malicious,
        "",
    );
    check(
        r#"{"weight_map": {"a": "../../x.bin"}}"#,
        Verdict::Malicious,
        "weights/outside",
    );
    check(
        r#"{"m": {"_target_": "os.system"}}"#,
        Verdict::Malicious,
        "hydra/sink",
    );
}

#[test]
fn encodings_and_broken_documents_are_never_clean() {
    let wide: Vec<u8> = "{\"a\":1}"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    assert_eq!(scanned("config.json", &wide).verdict, Verdict::Unscannable);
    check("{\"a\":1", Verdict::Unscannable, "format/truncated");
    check("{\"a\":1 \"b\"", Verdict::Unscannable, "format/malformed");
    check(
        "{\"_target_\": os.system}",
        Verdict::Malicious,
        "hydra/sink",
    );
    assert_eq!(scanned("a.jsonl", b"{}\n{}\n").verdict, Verdict::Clean);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_damaged_document_never_panics(at: usize, byte: u8, cut: usize) {
        let mut bytes = layer("Dense", "keras.layers", "{\"a\":[1,\"\\u00e9\"]}").into_bytes();
        let place = at % bytes.len();
        bytes[place] = byte;
        bytes.truncate(1 + cut % bytes.len());
        scanned("config.json", &bytes);
    }
}

#[test]
fn what_a_name_reaches_through_another_module_is_judged() {
    let function = layer("function", "keras.utils.io_utils.sys", "\"exit\"");
    check(&function, Verdict::Malicious, "keras/module");
    let file = r#"{"__class__":"ndarray","__module__":"numpy","__loader__":"NdArrayNode","type":"numpy","file":"../x.npy"}"#;
    check(file, Verdict::Malicious, "skops/outside");
    let inside = file.replace("../x.npy", "1.npy");
    check(&inside, Verdict::Clean, "");
    let kernel = r#"{"model_type":"llama","_attn_implementation":"some/kernel:attend"}"#;
    check(kernel, Verdict::Review, "huggingface/remote-code");
    check(
        &kernel.replace("some/kernel:attend", "sdpa"),
        Verdict::Clean,
        "",
    );
    let adapter = r#"{"auto_mapping":{"base_model_class":"system","parent_library":"os"}}"#;
    check(adapter, Verdict::Review, "huggingface/module");
    let own = adapter.replace("\"os\"", "\"transformers.models.llama.modeling_llama\"");
    check(&own, Verdict::Clean, "");
    let notebook = r#"{"cells":[{"cell_type":"code","source":["!true"]}],"nbformat":4}"#;
    check(notebook, Verdict::Review, "text/code");
    let module = r#"[{"idx":0,"name":"0","path":"","type":"mine.Net"}]"#;
    check(module, Verdict::Review, "huggingface/module");
    let own = module.replace("mine.Net", "sentence_transformers.models.Pooling");
    check(&own, Verdict::Clean, "");
}
