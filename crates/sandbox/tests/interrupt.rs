//! A step that is interrupted is gone, with every process that it started.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may panic"
)]

#[path = "support/nobody.rs"]
mod nobody;
mod support;

use std::collections::BTreeMap;

use custody_sandbox::{Exit, Interrupt, Limits, Observe, OutputFile, SandboxError, Spec, run};
use nobody::as_nobody;
use support::{Memory, launcher};

fn spec(program: &str, mark: &str, observe: Observe) -> Spec {
    Spec {
        argv: ["/usr/bin/python3.11", "-I", "/code/main.py", mark]
            .map(ToOwned::to_owned)
            .to_vec(),
        env: BTreeMap::new(),
        environment: None,
        code: Some(Memory::of(&[("main.py", program)])),
        inputs: BTreeMap::new(),
        outputs: Vec::new(),
        network: None,
        limits: Limits::default(),
        observe,
        interrupt: Interrupt::default(),
    }
}

/// Counts the processes of the machine whose arguments have `mark`.
fn alive(mark: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap();
    processes
        .filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok())
        .filter(|line| String::from_utf8_lossy(line).contains(mark))
        .count()
}

/// Children that are deaf to signals, have sessions of their own and hold nothing that the supervisor waits for.
const DEAF: &str = "import os, signal, time
for number in range(1, 65):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
here, there = os.pipe()
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork(): os._exit(0)
        os.write(there, b'x')
        os.closerange(0, 100)
        time.sleep(600)
os.read(here, 1); os.read(here, 1); os.read(here, 1)
print('ready', flush=True)
time.sleep(600)";

#[test]
fn every_process_is_gone() {
    for (number, observe) in [Observe::Nothing, Observe::Everything]
        .into_iter()
        .enumerate()
    {
        let mark = format!("custody-mark-{}-{number}", std::process::id());
        let spec = spec(DEAF, &mark, observe);
        let mut most = 0;
        let mut heard = |_: &[u8]| {
            most = alive(&mark);
            spec.interrupt.raise();
        };
        let ended = run(&launcher(), &spec, &mut heard, &mut |_| Ok(()));
        assert!(matches!(ended, Err(SandboxError::Interrupted)), "{ended:?}");
        assert!(most >= 4, "{most}");
        assert_eq!(alive(&mark), 0);
    }
}

#[test]
fn what_is_being_taken_when_it_comes_does_not_hide_it() {
    let mut program = spec(
        "open('/out/made/x', 'w').write('x')",
        "custody-mark-taken",
        Observe::Nothing,
    );
    program.outputs = vec!["made".to_owned()];
    let mut taken = false;
    let mut take = |_: OutputFile<'_>| {
        taken = true;
        program.interrupt.raise();
        Err(std::io::Error::other("it was cut off"))
    };
    let ended = run(&launcher(), &program, &mut |_| {}, &mut take);
    assert!(matches!(ended, Err(SandboxError::Interrupted)), "{ended:?}");
    assert!(taken);
}

#[test]
fn nothing_starts_after_it_and_what_ended_before_it_counts() {
    let mark = "custody-mark-none";
    let stopped = spec("print('ran')", mark, Observe::Nothing);
    stopped.interrupt.raise();
    let mut said = Vec::new();
    let mut heard = |bytes: &[u8]| said.extend_from_slice(bytes);
    let ended = run(&launcher(), &stopped, &mut heard, &mut |_| Ok(()));
    assert!(matches!(ended, Err(SandboxError::Interrupted)) && said.is_empty());
    let through = spec("print('ran')", mark, Observe::Nothing);
    let finished = run(&launcher(), &through, &mut |_| {}, &mut |_| Ok(())).unwrap();
    through.interrupt.raise();
    assert_eq!(finished.exit, Exit::Code(0));
}

/// Runs all the tests above again as `nobody`. Who is not root has run them as an ordinary user already.
#[test]
fn the_same_holds_for_an_ordinary_user() {
    as_nobody("the_same_holds_for_an_ordinary_user", "3 passed");
}
