//! What one process may not do, several or empty files may not either: memory, sizes and numbers of outputs.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may panic and start processes"
)]

#[path = "support/nobody.rs"]
mod nobody;
mod support;
#[path = "support/written.rs"]
mod written;

use std::collections::BTreeMap;

use custody_sandbox::{Exit, Finished, Interrupt, Limits, Observe, Over, SandboxError, Spec, run};
use custody_types::ByteSize;
use nobody::as_nobody;
use support::{Memory, launcher};
use written::run_and_hold;

fn spec(program: &str) -> Spec {
    Spec {
        argv: ["/usr/bin/python3.11", "-I", "-c", program]
            .map(ToOwned::to_owned)
            .to_vec(),
        env: BTreeMap::new(),
        environment: None,
        code: Some(Memory::of(&[("main.py", "")])),
        inputs: BTreeMap::new(),
        outputs: vec!["made".to_owned()],
        network: None,
        limits: Limits {
            time_ms: 60_000,
            memory: ByteSize::from_mebibytes(256),
            output: ByteSize::from_mebibytes(512),
            files: 1000,
            ..Limits::default()
        },
        observe: Observe::Nothing,
        interrupt: Interrupt::default(),
    }
}

fn start(spec: &Spec) -> Result<Finished, SandboxError> {
    run(&launcher(), spec, &mut |_| {}, &mut |_| Ok(()))
}

/// The memory that this process holds, in bytes.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with("RssAnon:"))
        .unwrap();
    let number: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    number << 10
}

#[test]
fn an_output_of_holes_is_too_large_and_never_read() {
    let before = resident();
    // Each file is within the limit, none takes a page.
    let attack = spec(
        "for n in range(24):\n    with open(f'/out/made/{n}', 'wb') as file: file.truncate(500 << 20)",
    );
    match start(&attack) {
        Err(SandboxError::OverLimit { output, over }) => {
            assert_eq!((output.as_str(), over), ("made", Over::Size));
        }
        other => panic!("{other:?}"),
    }
    assert!(resident() < before + (64 << 20));
    let one = "with open('/out/made/x', 'wb') as file: file.truncate(600 << 20)";
    let finished = start(&spec(one)).unwrap();
    assert!(String::from_utf8_lossy(&finished.log).contains("File too large"));
    // The step after it.
    let (_, written) = run_and_hold(&spec("open('/out/made/x', 'w').write('x')")).unwrap();
    assert_eq!(written["made"][0].1, b"x");
}

#[test]
fn files_are_counted_while_they_are_made() {
    for place in ["/out/made", "/tmp", "/dev/shm"] {
        let program = format!(
            "import os\nmade = 0\ntry:\n    while made < 5000:\n        os.mkdir(f'{place}/{{made}}'); made += 1\nexcept OSError as error:\n    print(made, error)"
        );
        let finished = start(&spec(&program)).unwrap();
        let log = String::from_utf8_lossy(&finished.log);
        assert!(
            log.contains("1000 [Errno 28] No space left on device"),
            "{place}: {log}"
        );
    }
}

#[test]
fn an_output_that_lies_too_deep_is_told_as_that() {
    let attack = spec(
        "import os\nos.chdir('/out/made')\nfor _ in range(900):\n    os.mkdir('abcdefgh'); os.chdir('abcdefgh')\nopen('x', 'w')",
    );
    match start(&attack) {
        Err(SandboxError::BadOutput { path, because, .. }) => {
            assert!(because.contains("lies too deep"), "{because}");
            assert!(path.len() < 100, "{path}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn processes_take_no_more_memory_together_than_one() {
    for attack in [
        // Each within the address space that it may have.
        "import os, time\nfor _ in range(4):\n    if os.fork() == 0:\n        x = bytearray(100 << 20)\n        for at in range(0, len(x), 4096): x[at] = 1\n        time.sleep(50); os._exit(0)\ntime.sleep(50)",
        // Memory files, which nobody maps.
        "import os, time\nfile = os.memfd_create('x')\nfor _ in range(300): os.write(file, bytes(1 << 20))\ntime.sleep(50)",
        // Memory that processes share, mapped and not open.
        "import mmap, os, time\nfor _ in range(3):\n    if os.fork() == 0:\n        x = mmap.mmap(-1, 100 << 20)\n        for at in range(0, len(x), 4096): x[at] = 1\n        time.sleep(50); os._exit(0)\ntime.sleep(50)",
    ] {
        assert_eq!(
            start(&spec(attack)).unwrap().exit,
            Exit::OutOfMemory,
            "{attack}"
        );
    }
    let finished = start(&spec("print('next')")).unwrap();
    assert_eq!(finished.exit, Exit::Code(0));
}

#[test]
fn what_processes_share_is_counted_once() {
    for program in [
        // As workers that were forked share what their parent loaded.
        "import os, time\nx = bytearray(150 << 20)\nfor at in range(0, len(x), 4096): x[at] = 1\nfor _ in range(8):\n    if os.fork() == 0:\n        time.sleep(1); os._exit(0)\nfor _ in range(8): os.wait()",
        // A file in memory that is open and mapped; one of `/tmp`, which has a limit of its own.
        "import mmap, os, time\nfile = os.memfd_create('x')\nos.ftruncate(file, 150 << 20)\nx = mmap.mmap(file, 150 << 20)\nfor at in range(0, len(x), 4096): x[at] = 1\ntime.sleep(0.5)",
        "import mmap, time\nfile = open('/tmp/x', 'w+b')\nfor _ in range(400): file.write(bytes(1 << 20))\nfile.flush()\nx = mmap.mmap(file.fileno(), 180 << 20)\nfor at in range(0, len(x), 4096): x[at] = 1\ntime.sleep(0.5)",
    ] {
        let finished = start(&spec(program)).unwrap();
        assert_eq!(
            finished.exit,
            Exit::Code(0),
            "{program}: {}",
            String::from_utf8_lossy(&finished.log)
        );
    }
}

/// Runs all the tests above again as `nobody`. Who is not root has run them as an ordinary user already.
#[test]
fn the_same_holds_for_an_ordinary_user() {
    as_nobody("the_same_holds_for_an_ordinary_user", "5 passed");
}
