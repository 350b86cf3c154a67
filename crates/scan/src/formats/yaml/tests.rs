use std::fmt::Write;

use crate::scan;
use custody_findings::{Report, Rules, Verdict};

fn scanned(name: &str, text: &str) -> Report {
    scan(name, &text.as_bytes(), &Rules::built_in().unwrap())
}

fn check(text: &str, verdict: Verdict, rule: &str) {
    let report = scanned("config.yaml", text);
    assert_eq!(report.verdict, verdict, "{text}: {:?}", report.findings);
    assert!(
        rule.is_empty() || report.findings.iter().any(|f| f.rule == rule),
        "{text}: {:?}",
        report.findings
    );
}

const MLMODEL: &str = "artifact_path: model\nflavors:\n  python_function:\n    env:\n      conda: conda.yaml\n      virtualenv: python_env.yaml\n    loader_module: mlflow.sklearn\n    model_path: model.pkl\n    predict_fn: predict\n    python_version: 3.11.7\n  sklearn:\n    code: null\n    pickled_model: model.pkl\n    serialization_format: cloudpickle\n    sklearn_version: 1.5.0\nmlflow_version: 2.16.0\nmodel_size_bytes: 1000\n";

#[test]
fn plain_configurations_are_clean() {
    check(MLMODEL, Verdict::Clean, "");
    check(
        "name: env\nchannels:\n- conda-forge\ndependencies:\n- python=3.11\n- pip:\n  - scikit-learn==1.5\n",
        Verdict::Clean,
        "",
    );
    check(
        "model:\n  encoder:\n    _target_: nemo.collections.asr.modules.ConformerEncoder\n    layers: 3\n  act: &a relu\n  act2: *a\n",
        Verdict::Clean,
        "",
    );
    check("a: !!str 1\nb: !!python/tuple [1, 2]\n", Verdict::Clean, "");
}

#[test]
fn what_builds_or_imports_is_judged_in_every_spelling() {
    let bad = Verdict::Malicious;
    check("a:\n  _target_: os.system\n", bad, "hydra/sink");
    check("a: {\"_target_\": 'os.system'}\n", bad, "hydra/sink");
    check("x: &t os.system\na:\n  _target_: *t\n", bad, "hydra/sink");
    check(
        "x: &k _target_\na:\n  *k : subprocess.Popen\n",
        bad,
        "hydra/sink",
    );
    check("a:\n  \"\\x5ftarget_\": builtins.eval\n", bad, "hydra/sink");
    check("a:\n  ? _target_\n  : os.system\n", bad, "hydra/sink");
    check("{a: {_target_: os.system}}\n", bad, "hydra/sink");
    check("a:\n  _target_: exec\n", bad, "hydra/sink");
    check("a:\n  _target_: nemo.core.os.system\n", bad, "hydra/sink");
    check(
        "a:\n  _target_: mine.Thing\n",
        Verdict::Review,
        "hydra/unknown",
    );
    check(
        "a: !!python/object/apply:os.system [id]\n",
        bad,
        "yaml/python",
    );
    check(
        "%TAG !p! tag:yaml.org,2002:python/\n---\na: !p!object/apply:os.system [id]\n",
        bad,
        "yaml/python",
    );
    check(
        "a: !<tag:yaml.org,2002:python/name:os.system> ''\n",
        bad,
        "yaml/python",
    );
    check("a: !mine {b: 1}\n", Verdict::Review, "yaml/tag");
    check(
        &MLMODEL.replace("mlflow.sklearn", "os"),
        bad,
        "mlflow/loader",
    );
    check(
        &MLMODEL.replace("mlflow.sklearn", "evil"),
        Verdict::Review,
        "mlflow/loader",
    );
    check(
        &MLMODEL.replace("code: null", "code: code"),
        Verdict::Review,
        "mlflow/code",
    );
}

#[test]
fn aliases_that_explode_are_counted_and_not_expanded() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let below = level - 1;
        let items = vec![format!("*a{below}"); 10].join(", ");
        writeln!(text, "a{level}: &a{level} [{items}]").unwrap();
    }
    check(&text, Verdict::Malicious, "yaml/expansion");
}

#[test]
fn what_is_no_yaml_and_has_a_mark_is_not_clean() {
    check(
        "a: [\n# _target_\n",
        Verdict::Unscannable,
        "format/malformed",
    );
    let deep = format!("a: {}", "[".repeat(5000));
    assert_ne!(
        scanned("a.yaml", &(deep + "\n_target_: 1\n")).verdict,
        Verdict::Clean
    );
}

#[test]
fn architectures_name_known_modules() {
    use Verdict::{Clean, Malicious, Review};
    let with = |row: &str| {
        format!(
            "nc: 80\nbackbone:\n  - [-1, 1, Conv, [64, 3, 2]]\n  - {row}\nhead:\n  - [[15, 18], 1, Detect, [nc]]\n"
        )
    };
    for (row, verdict) in [
        ("[-1, 3, C2f, [128, True, None, 0.5]]", Clean),
        ("[-1, 1, nn.Upsample, [None, 2, \"nearest\"]]", Clean),
        ("[[-1, 6], 1, Concat, [1]]", Clean),
        ("[-1, 1, MyModule, [1]]", Review),
        ("[-1, 1, torch.hub, [1]]", Review),
        ("[-1, 1, Conv, [\"a b\"]]", Review),
        ("[-1, 1, \"eval('1')\", [1]]", Malicious),
        (
            "[-1, 1, Conv, [\"__import__('os').system('true')\"]]",
            Malicious,
        ),
        ("[\"print(1)\", 1, Conv, [1]]", Malicious),
    ] {
        check(&with(row), verdict, "");
    }
    for (line, verdict) in [
        ("activation: nn.SiLU()", Clean),
        ("activation: torch.nn.LeakyReLU(0.1, inplace=True)", Clean),
        ("activation: relu", Clean),
        ("activation: exec(open('x').read())", Malicious),
        ("activation: nn.SiLU(exec('x'))", Malicious),
        ("download: false", Clean),
        ("download:", Clean),
        ("download: bash get.sh", Review),
        ("download: https://example.org/a.zip", Review),
    ] {
        check(&format!("nc: 1\n{line}\n"), verdict, "");
    }
    // A list of another program is no architecture.
    check("head:\n  layers: [a b, c d, e f]\n", Clean, "");
}
