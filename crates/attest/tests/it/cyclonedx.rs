use std::num::NonZeroU32;

use custody_attest::cyclonedx::{Bom, Edge, Node};
use custody_attest::licence::Licence;
use custody_types::Digest;
use serde_json::{Value, json};

use crate::sample;

type Change<'a> = &'a dyn Fn(&mut Bom);

fn sample() -> Bom {
    sample::bom().unwrap()
}

fn read(bom: &Bom) -> Value {
    serde_json::from_slice(&bom.document().unwrap().to_bytes().unwrap()).unwrap()
}

#[test]
fn each_fact_stands_in_its_place() {
    let document = read(&sample());
    let component = |reference: &str| {
        let all = document["components"].as_array().unwrap().iter();
        all.clone()
            .find(|component| component["bom-ref"] == reference)
            .unwrap_or_else(|| panic!("{reference}"))
            .clone()
    };
    let model = &document["metadata"]["component"];
    let card = &model["modelCard"];
    let torch = component("pkg:pypi/torch@2.9%2Bcpu");
    let train = component("a/train@2");
    for (found, expect) in [
        (&document["bomFormat"], json!("CycloneDX")),
        (&document["specVersion"], json!("1.6")),
        (&document["version"], json!(1)),
        (
            &document["metadata"]["timestamp"],
            json!("2026-11-23T09:30:00.000000Z"),
        ),
        (&model["type"], json!("machine-learning-model")),
        (&model["group"], json!("a")),
        (&model["name"], json!("model")),
        (&model["version"], json!("1")),
        (
            &model["hashes"],
            json!([{"alg": "SHA-256", "content": Digest::of(b"model").to_hex()}]),
        ),
        (
            &model["licenses"],
            json!([{"license": {"id": "Apache-2.0", "acknowledgement": "declared"}}]),
        ),
        (
            &card["modelParameters"]["datasets"],
            json!([{"ref": "a/raw@1"}, {"ref": "a/test@2"}, {"ref": "a/train@2"}]),
        ),
        (
            &card["quantitativeAnalysis"]["performanceMetrics"][0],
            json!({"type": "accuracy", "value": "0.81", "confidenceInterval": {"lowerBound": "0.8", "upperBound": "0.82"}}),
        ),
        (
            &card["quantitativeAnalysis"]["performanceMetrics"][1],
            json!({"type": "accuracy", "value": "0.79", "slice": "sex=female"}),
        ),
        (
            &card["considerations"]["fairnessAssessments"],
            json!([{"groupAtRisk": "women", "benefits": "none beyond others", "harms": "lower recall"}]),
        ),
        (
            &card["properties"],
            json!([{"name": "custody:parameter:max_iter", "value": "200"}, {"name": "custody:parameter:seed", "value": "7"}]),
        ),
        (&torch["purl"], json!("pkg:pypi/torch@2.9%2Bcpu")),
        (
            &torch["licenses"],
            json!([
                {"license": {"id": "MIT", "acknowledgement": "declared"}},
                {"license": {"name": "BSD License", "acknowledgement": "declared"}},
            ]),
        ),
        (
            &component("pkg:pypi/numpy@2.4.6")["licenses"],
            json!([{"expression": "BSD-3-Clause AND 0BSD", "acknowledgement": "declared"}]),
        ),
        (
            &component("a/model@1#model.onnx")["properties"],
            json!([{"name": "custody:size-bytes", "value": "1024"}]),
        ),
        (&component("a/environment@1")["type"], json!("platform")),
        (
            &component("a/train-code@1")["externalReferences"][1],
            json!({"type": "vcs", "url": "https://example.org/repository.git"}),
        ),
        (&train["type"], json!("data")),
        (
            &train["data"],
            json!([{
                "type": "dataset", "name": "a/train@2", "classification": "personal", "sensitiveData": ["race", "sex"],
                "contents": {"url": "https://example.org/data%20set.csv"},
                "governance": {"owners": [{"organization": {"name": "data office"}}]},
            }]),
        ),
        (
            &train["externalReferences"],
            json!([{
                "type": "attestation", "url": "claims.jsonl", "comment": "https://slsa.dev/provenance/v1, ledger entry 2",
                "hashes": [{"alg": "SHA-256", "content": Digest::of(&2_u64.to_be_bytes()).to_hex()}],
            }]),
        ),
        (
            &document["compositions"],
            json!([{"aggregate": "complete", "assemblies": ["a/model@1"], "dependencies": ["a/model@1"]}]),
        ),
    ] {
        assert_eq!(*found, expect);
    }
}

#[test]
fn everything_is_reached_from_the_model() {
    let document = read(&sample());
    let on = |reference: &str| {
        let mut all = document["dependencies"].as_array().unwrap().iter();
        all.find(|item| item["ref"] == reference).unwrap()["dependsOn"].clone()
    };
    assert_eq!(
        on("a/model@1"),
        json!([
            "a/model@1#model.onnx",
            "a/model@1#sub/features.json",
            "a/test@2",
            "a/train-code@1",
            "a/train@2",
            "publisher/encoder@3"
        ])
    );
    assert_eq!(on("a/train@2"), json!(["a/raw@1"]));
    assert_eq!(on("a/environment@1").as_array().unwrap().len(), 4);
    assert_eq!(on("a/raw@1"), Value::Null);
    assert_eq!(
        document["dependencies"].as_array().unwrap().len(),
        document["components"].as_array().unwrap().len() + 1
    );
}

#[test]
fn the_same_facts_in_any_order_give_the_same_bytes() {
    let bom = sample();
    let bytes = |bom: &Bom| bom.document().unwrap().to_bytes().unwrap();
    let mut turned = bom.clone();
    turned.datasets.reverse();
    turned.packages.reverse();
    turned.edges.reverse();
    turned.model.files.reverse();
    turned.model.figures.reverse();
    turned.model.claims.reverse();
    for dataset in &mut turned.datasets {
        dataset.sensitive.reverse();
    }
    for package in &mut turned.packages {
        package.licences.reverse();
    }
    assert_eq!(bytes(&turned), bytes(&bom));
}

#[test]
fn the_serial_number_is_that_of_the_version() {
    let serial = |change: Change| {
        let mut bom = sample();
        change(&mut bom);
        bom.document().unwrap().serial_number().to_owned()
    };
    let same = serial(&|_| {});
    let hex = same.strip_prefix("urn:uuid:").unwrap();
    let parts: Vec<_> = hex.split('-').collect();
    assert_eq!(
        parts.iter().map(|part| part.len()).collect::<Vec<_>>(),
        [8, 4, 4, 4, 12]
    );
    assert!(parts[2].starts_with('8') && parts[3].starts_with(['8', '9', 'a', 'b']));
    assert_eq!(
        serial(&|bom| bom.revision = NonZeroU32::new(2).unwrap()),
        same
    );
    assert_eq!(serial(&|bom| bom.model.figures.clear()), same);
    assert_ne!(serial(&|bom| bom.model.sha256 = Digest::of(b"other")), same);
    assert_ne!(
        serial(&|bom| {
            bom.model.name = "b/model@1".parse().unwrap();
            bom.edges.clear();
        }),
        same
    );
}

#[test]
fn facts_that_contradict_each_other_are_refused() {
    let nothing = Edge {
        from: Node::Version("a/model@1".parse().unwrap()),
        to: Node::Version("a/other@1".parse().unwrap()),
    };
    let cases: [(Change, &str); 8] = [
        (
            &|bom| bom.datasets.push(bom.datasets[0].clone()),
            "`a/train@2` is listed twice",
        ),
        (
            &|bom| bom.datasets[0].name = bom.model.name.clone(),
            "`a/model@1` is listed twice",
        ),
        (
            &|bom| bom.packages.push(bom.packages[0].clone()),
            "`pkg:pypi/numpy@2.4.6` is listed twice",
        ),
        (
            &|bom| bom.edges.push(nothing.clone()),
            "an edge names `a/other@1`, which is not listed",
        ),
        (
            &|bom| bom.model.figures[0].value = f64::NAN,
            "the figure `accuracy` is no number",
        ),
        (
            &|bom| bom.model.figures[0].interval = Some((0.0, f64::INFINITY)),
            "the figure `accuracy` is no number",
        ),
        (
            &|bom| bom.model.claims[0].address = "javascript:alert(1)".to_owned(),
            "`javascript:alert(1)` is no address",
        ),
        (
            &|bom| bom.code[0].repository = Some("https://user:secret@a.org/".to_owned()),
            "is no address",
        ),
    ];
    for (change, because) in cases {
        let mut bom = sample();
        change(&mut bom);
        let error = bom.document().unwrap_err().to_string();
        assert!(error.ends_with(because), "{because}: {error}");
    }
}

#[test]
fn what_is_not_known_is_left_out() {
    let mut bom = sample();
    bom.model.figures.clear();
    bom.model.licences = vec![
        Licence::Named("ours".to_owned()),
        Licence::Expression("MIT OR Zlib".to_owned()),
    ];
    bom.datasets[0].origin.as_mut().unwrap().source = "a letter".to_owned();
    let document = read(&bom);
    let model = &document["metadata"]["component"];
    assert_eq!(model["modelCard"]["quantitativeAnalysis"], Value::Null);
    assert_eq!(
        model["licenses"],
        json!([
            {"license": {"name": "MIT OR Zlib", "acknowledgement": "declared"}},
            {"license": {"name": "ours", "acknowledgement": "declared"}},
        ])
    );
    let text = document.to_string();
    assert!(text.contains("a letter") && !text.contains("null"));
}
