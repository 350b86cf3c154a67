//! Trial loads of hostile and harmless models in the real sandbox. Every hostile one is a harmless payload,
//! and is loaded nowhere else.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test may panic"
)]

mod support;
#[path = "support/written.rs"]
mod written;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use custody_sandbox::trial::{BeyondKind, ENVIRONMENT, PROGRAM, START, Trial, VARIABLES, judge};
use custody_sandbox::{Exit, Interrupt, Limits, Observe, Spec, run};
use custody_types::ByteSize;
use support::{Memory, launcher};
use written::run_and_hold;

/// A Python environment with the libraries of models, where there is one; set to use another.
const PYTHON: &str = "CUSTODY_TEST_PYTHON";
/// Runs a program with the libraries of the environment, whose own interpreter may be out of sight.
const WITH_LIBRARIES: &str = "import runpy, sys; sys.path.append('/env/lib/python3.11/site-packages'); sys.argv.pop(0); runpy.run_path(sys.argv[0], run_name='__main__')";

/// Returns the environment that `scripts/test.sh` makes, if it is there.
fn environment() -> Option<PathBuf> {
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/python");
    let folder = std::env::var_os(PYTHON).map_or(made, PathBuf::from);
    let libraries = folder.join("lib/python3.11/site-packages/sklearn");
    libraries.exists().then_some(folder)
}

/// A step that runs a program of `/code` with arguments.
fn spec(environment: Option<PathBuf>, files: &[(&str, &[u8])], words: &[&str]) -> Spec {
    let with: &[&str] = match environment {
        Some(_) => &["-c", WITH_LIBRARIES],
        None => &[],
    };
    Spec {
        argv: ["/usr/bin/python3.11", "-I", "-B"]
            .iter()
            .chain(with)
            .chain(words)
            .map(|word| (*word).to_owned())
            .collect(),
        env: VARIABLES
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        environment,
        code: Some(Memory::of(&[("trial_load.py", PROGRAM)])),
        inputs: BTreeMap::from([("model".to_owned(), Memory::of(files))]),
        outputs: Vec::new(),
        network: None,
        limits: Limits {
            time_ms: 60_000,
            output: ByteSize::from_mebibytes(64),
            ..Limits::default()
        },
        observe: Observe::From(START.to_owned()),
        interrupt: Interrupt::default(),
    }
}

/// Loads the first file. Returns what was judged, how it ended, what it printed.
fn trial(
    environment: Option<PathBuf>,
    kind: &str,
    files: &[(&str, &[u8])],
) -> (Trial, Exit, String) {
    let (name, _) = files.first().unwrap();
    let path = format!("/in/model/{name}");
    let spec = spec(environment, files, &["/code/trial_load.py", &path, kind]);
    let finished = run(&launcher(), &spec, &mut |_| {}, &mut |_| Ok(())).unwrap();
    (
        judge(&finished.observed, &["/in/model"], &ENVIRONMENT),
        finished.exit,
        String::from_utf8_lossy(&finished.log).into_owned(),
    )
}

/// A pickle that calls a function with texts.
fn calls(module: &str, name: &str, arguments: &[&str]) -> Vec<u8> {
    let mut bytes = format!("c{module}\n{name}\n(").into_bytes();
    for argument in arguments {
        bytes.push(b'X');
        bytes.extend_from_slice(&u32::try_from(argument.len()).unwrap().to_le_bytes());
        bytes.extend_from_slice(argument.as_bytes());
    }
    bytes.extend_from_slice(b"tR.");
    bytes
}

fn code(text: &str) -> Vec<u8> {
    calls("__builtin__", "exec", &[text])
}

/// Hostile pickles without code of their own: what they are reported for, and about what.
fn plain_calls() -> Vec<(Vec<u8>, BeyondKind, &'static str)> {
    use BeyondKind::{Executes, Reads, StartsProcess, Writes};
    vec![
        (
            calls("posix", "system", &["touch /tmp/x"]),
            StartsProcess,
            "",
        ),
        (
            calls("posix", "system", &["touch /tmp/x"]),
            Executes,
            "/bin/sh",
        ),
        (
            calls("posix", "system", &["touch /tmp/x"]),
            Writes,
            "/tmp/x",
        ),
        (
            calls("__builtin__", "open", &["/etc/passwd"]),
            Reads,
            "/etc/passwd",
        ),
        (
            calls("__builtin__", "open", &["/root/.ssh/id_rsa"]),
            Reads,
            "/root/.ssh/id_rsa",
        ),
        (
            calls("__builtin__", "open", &["/in/model/../../etc/group"]),
            Reads,
            "/etc/group",
        ),
        (
            calls("__builtin__", "open", &["/proc/self/environ"]),
            Reads,
            "/proc/self/environ",
        ),
        (
            calls("__builtin__", "open", &["/tmp/x", "w"]),
            Writes,
            "/tmp/x",
        ),
        (
            calls("__builtin__", "open", &["/out/x", "w"]),
            Writes,
            "/out/x",
        ),
        (
            calls("__builtin__", "open", &["/in/model/m.pkl", "a"]),
            Writes,
            "/in/model/m.pkl",
        ),
        (
            calls("posix", "unlink", &["/in/model/m.pkl"]),
            Writes,
            "/in/model/m.pkl",
        ),
    ]
}

/// Hostile pickles that run code.
fn codes() -> Vec<(Vec<u8>, BeyondKind, &'static str)> {
    use BeyondKind::{
        Executes, Forbidden, Forges, HidesFile, Network, ReachesProcess, Reads, StartsProcess,
    };
    vec![
        (
            code("import socket; socket.create_connection(('10.0.0.1', 80), 1)"),
            Network,
            "10.0.0.1:80",
        ),
        (code("import socket; socket.socket()"), Network, "IPv4"),
        (
            code("import socket; socket.socket(socket.AF_NETLINK, 3)"),
            Network,
            "netlink",
        ),
        (
            code("import os\nif os.fork() == 0: os._exit(0)\nos.wait()"),
            StartsProcess,
            "",
        ),
        (
            code("import os; os.execv('/bin/true', ['true'])"),
            Executes,
            "/bin/true",
        ),
        (
            code("import os; os.kill(1, 0)"),
            ReachesProcess,
            "process 1",
        ),
        (code("import os; os.memfd_create('x')"), HidesFile, ""),
        // Without Python's own doors, and with them out of the way.
        (
            code("import ctypes; ctypes.CDLL(None).open(b'/etc/shadow', 0)"),
            Reads,
            "/etc/shadow",
        ),
        (
            code("import ctypes; ctypes.CDLL(None).syscall(101, 16, 1, 0, 0)"),
            ReachesProcess,
            "",
        ),
        (
            code("import ctypes; ctypes.CDLL(None).syscall(165, 0, 0, 0, 0, 0)"),
            Forbidden,
            "",
        ),
        // At the exit, and by a thread that waits.
        (
            code("import atexit\natexit.register(lambda: open('/etc/exit'))"),
            Reads,
            "/etc/exit",
        ),
        (
            code("import atexit\natexit.register(lambda: open('/etc/exit'))\nraise ValueError"),
            Reads,
            "/etc/exit",
        ),
        (
            code(
                "import threading\nt = threading.Timer(0.2, open, ['/etc/timer'])\nt.daemon = True\nt.start()",
            ),
            Reads,
            "/etc/timer",
        ),
        // In a thread, as a finaliser, and after it seems to be over.
        (
            code(
                "import threading\nt = threading.Thread(target=lambda: open('/etc/hosts'))\nt.start(); t.join()",
            ),
            Reads,
            "/etc/hosts",
        ),
        (
            code("class Late:\n    def __del__(self): open('/etc/group')\nLate()"),
            Reads,
            "/etc/group",
        ),
        (
            code(
                "import os, sys\ntry: open('/custody-trial-load/end')\nexcept OSError: pass\ntry: open('/etc/late')\nexcept OSError: pass\nos._exit(0)",
            ),
            Reads,
            "/etc/late",
        ),
        (
            code("try: open('/custody-trial-load/start')\nexcept OSError: pass"),
            Forges,
            START,
        ),
        (
            code("import os\ntry: open('/etc/quiet')\nexcept OSError: pass\nraise SystemExit(0)"),
            Reads,
            "/etc/quiet",
        ),
    ]
}

#[test]
fn every_hostile_model_is_reported_for_what_it_does() {
    for (pickle, kind, subject) in plain_calls().into_iter().chain(codes()) {
        let (trial, exit, log) = trial(None, "pickle", &[("m.pkl", &pickle)]);
        assert!(trial.started, "{exit:?} {log}");
        let found = trial
            .beyond
            .iter()
            .any(|beyond| (beyond.kind, beyond.subject.as_str()) == (kind, subject));
        assert!(
            found,
            "{}\n{kind:?} {subject}: {trial:?}",
            String::from_utf8_lossy(&pickle)
        );
    }
}

#[test]
fn harmless_pickles_are_loaded_without_a_word() {
    let thread = code(
        "import threading, json, decimal\nt = threading.Thread(target=int)\nt.start(); t.join()",
    );
    let several = b"I1\n.I2\n.(lp0\nI3\na.".to_vec();
    for pickle in [
        b"(dp0\nS'a'\nI1\ns.".to_vec(),
        several,
        thread,
        calls("collections", "OrderedDict", &[]),
        calls("datetime", "timedelta", &[]),
        calls("fractions", "Fraction", &["1/3"]),
    ] {
        let (trial, exit, log) = trial(None, "pickle", &[("m.pkl", &pickle)]);
        assert_eq!((exit, log.as_str()), (Exit::Code(0), "loaded\n"));
        assert!(trial.started && trial.ended && trial.more == 0);
        assert_eq!(trial.beyond, [], "{}", String::from_utf8_lossy(&pickle));
    }
}

#[test]
fn how_a_load_ended_is_told_without_its_data() {
    let prints = code("import os; print('data'); os.write(1, b'data'); os.write(2, b'data')");
    let fails = code("raise type('Secret\\n\\x1b[31m', (Exception,), {})('the data')");
    for (kind, bytes, exit, log, started) in [
        ("pickle", &b"I1\n."[..], 0, "loaded\n", true),
        ("pickle", prints.as_slice(), 0, "loaded\n", true),
        ("pickle", b"I1\n", 4, "failed: EOFError\n", true),
        ("pickle", b"\x80\x63.", 4, "failed: ValueError\n", true),
        (
            "pickle",
            fails.as_slice(),
            4,
            "failed: Secret???31m\n",
            true,
        ),
        (
            "pickle",
            &code("raise SystemExit(0)"),
            4,
            "failed: SystemExit\n",
            true,
        ),
        ("keras", b"x", 3, "not installed: keras\n", false),
        ("onnx", b"x", 3, "not installed: onnx\n", false),
        ("torch", b"x", 3, "not installed: torch\n", false),
    ] {
        let (trial, ended, said) = trial(None, kind, &[("m", bytes)]);
        assert_eq!((ended, said.as_str()), (Exit::Code(exit), log));
        assert_eq!((trial.started, trial.ended), (started, started));
        assert_eq!(trial.beyond, []);
    }
    let (trial, ended, said) = trial(None, "nothing", &[("m", b"x")]);
    assert_eq!((ended, trial.started), (Exit::Code(2), false));
    assert!(said.starts_with("usage"), "{said}");
}

#[test]
fn a_model_that_ends_the_process_is_told_from_one_that_was_loaded() {
    for text in [
        "import os; os._exit(0)",
        "import os; os.kill(os.getpid(), 9)",
    ] {
        let (trial, _, _) = trial(None, "pickle", &[("m", &code(text))]);
        assert!(trial.started && !trial.ended, "{text}");
    }
}

/// Writes models with the libraries of the environment, in the sandbox.
const MAKE: &str = "
import pickle, numpy, joblib, pandas
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
x = numpy.random.default_rng(1).normal(size=(60, 4)); y = (x[:, 0] > 0).astype(int)
numpy.save('/out/made/plain.npy', x)
numpy.save('/out/made/object.npy', numpy.array([{'a': 1}, None], dtype=object), allow_pickle=True)
numpy.savez_compressed('/out/made/many.npz', x=x, y=y)
models = {
    'forest': RandomForestClassifier(5), 'network': MLPClassifier(max_iter=5), 'pipeline': make_pipeline(StandardScaler(), LogisticRegression()),
}
for name, model in models.items():
    joblib.dump(model.fit(x, y), f'/out/made/{name}.joblib', compress=3 if name == 'forest' else 0)
    pickle.dump(model, open(f'/out/made/{name}.pkl', 'wb'))
pickle.dump(pandas.DataFrame(x), open('/out/made/frame.pkl', 'wb'))
";

/// Writes models of the libraries that may be there.
const MAKE_MORE: &str = "
import contextlib, numpy
x = numpy.random.default_rng(1).normal(size=(60, 4)); y = (x[:, 0] > 0).astype(int)
with contextlib.suppress(ImportError):
    import joblib, xgboost
    model = xgboost.XGBClassifier(n_estimators=3).fit(x, y)
    for ending in ('json', 'ubj'):
        model.save_model(f'/out/made/a.xgboost.{ending}')
    joblib.dump(model, '/out/made/boosted.joblib')
with contextlib.suppress(ImportError):
    import lightgbm, pickle
    model = lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(x, y)
    model.booster_.save_model('/out/made/a.lightgbm.txt')
    pickle.dump(model, open('/out/made/light.pkl', 'wb'))
with contextlib.suppress(ImportError):
    import onnx
    from onnx import TensorProto, helper
    value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4])
    graph = helper.make_graph([helper.make_node('Relu', ['x'], ['y'])], 'g', [value('x')], [value('y')])
    onnx.save(helper.make_model(graph), '/out/made/a.onnx.onnx')
with contextlib.suppress(ImportError):
    from safetensors.numpy import save_file
    save_file({'x': x}, '/out/made/a.safetensors.bin')
with contextlib.suppress(ImportError):
    import skops.io
    from sklearn.linear_model import LogisticRegression
    skops.io.dump(LogisticRegression().fit(x, y), '/out/made/a.skops.zip')
with contextlib.suppress(ImportError):
    import h5py
    with h5py.File('/out/made/a.hdf5.h5', 'w') as file: file['x'] = x
with contextlib.suppress(ImportError):
    import gguf
    writer = gguf.GGUFWriter('/out/made/a.gguf.gguf', 'llama'); writer.add_tensor('x', x.astype('float32'))
    writer.write_header_to_file(); writer.write_kv_data_to_file(); writer.write_tensors_to_file(); writer.close()
print('made')
";

/// Writes models in the sandbox and loads each of them; returns how many.
fn make_and_load(folder: &Path, program: &str) -> usize {
    let mut make = spec(
        Some(folder.to_owned()),
        &[("none", b"")],
        &["/code/make.py"],
    );
    make.code = Some(Memory::of(&[("make.py", program)]));
    make.outputs = vec!["made".to_owned()];
    make.observe = Observe::Nothing;
    let (made, written) = run_and_hold(&make).unwrap();
    assert_eq!(
        made.exit,
        Exit::Code(0),
        "{}",
        String::from_utf8_lossy(&made.log)
    );
    let files: &[_] = written.get("made").map_or(&[], Vec::as_slice);
    for (name, bytes) in files {
        let mut parts = name.split('.');
        let kind = match parts.next_back().unwrap() {
            "pkl" => "pickle",
            "joblib" => "joblib",
            "npy" | "npz" => "numpy",
            _ => parts.next_back().unwrap(),
        };
        let (trial, exit, log) = trial(Some(folder.to_owned()), kind, &[(name, bytes)]);
        assert_eq!((exit, log.as_str()), (Exit::Code(0), "loaded\n"), "{name}");
        assert!(trial.started && trial.ended, "{name}");
        assert_eq!(trial.beyond, [], "{name}");
    }
    files.len()
}

#[test]
fn models_of_real_libraries_are_loaded_without_a_word() {
    let Some(folder) = environment() else {
        eprintln!(
            "no Python environment with libraries: only that they lack is checked; set {PYTHON}"
        );
        for (kind, name) in [("joblib", "joblib"), ("numpy", "numpy")] {
            let (trial, exit, log) = trial(None, kind, &[("m", b"x")]);
            assert_eq!(
                (exit, log),
                (Exit::Code(3), format!("not installed: {name}\n"))
            );
            assert!(!trial.started);
        }
        return;
    };
    assert_eq!(make_and_load(&folder, MAKE), 10);
    let more = make_and_load(&folder, MAKE_MORE);
    eprintln!("{more} models of further libraries");
}
