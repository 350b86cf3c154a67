//! What a step cannot do, tried by steps. Each attack prints `ESCAPED` when it succeeds; each has a control
//! that shows that the same code works where it is allowed.
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

use custody_sandbox::{Exit, Finished, Limits, Observe, SandboxError, Spec, run};
use custody_types::ByteSize;
use nobody::as_nobody;
use support::{Memory, launcher};

fn spec(program: &str) -> Spec {
    Spec {
        argv: vec![
            "/usr/bin/python3.11".to_owned(),
            "-I".to_owned(),
            "-c".to_owned(),
            program.to_owned(),
        ],
        env: BTreeMap::from([("DECLARED".to_owned(), "yes".to_owned())]),
        environment: None,
        code: Some(Memory::of(&[("main.py", "print('code')")])),
        inputs: BTreeMap::from([(
            "data".to_owned(),
            Memory::of(&[("a.txt", "declared"), ("sub/b.txt", "too")]),
        )]),
        outputs: vec!["made".to_owned()],
        limits: Limits {
            time_ms: 60_000,
            memory: ByteSize::from_mebibytes(1024),
            output: ByteSize::from_mebibytes(64),
            ..Limits::default()
        },
        observe: Observe::Nothing,
    }
}

fn start(spec: &Spec) -> Result<Finished, SandboxError> {
    run(&launcher(), spec, &mut |_| {})
}

fn says(program: &str) -> String {
    let finished = start(&spec(program)).unwrap();
    let log = String::from_utf8_lossy(&finished.log).into_owned();
    assert_eq!(finished.exit, Exit::Code(0), "{log}");
    log
}

/// Runs `attack`, which must raise an error, and `control`, which must not.
fn blocked(attack: &str, control: &str) {
    let program = format!(
        "import os, socket, ctypes\ntry:\n    {attack}\n    print('ESCAPED')\nexcept (OSError, ValueError) as error:\n    print('blocked', error)\n{control}\nprint('control')"
    );
    let log = says(&program);
    assert!(
        log.contains("blocked") && !log.contains("ESCAPED") && log.contains("control"),
        "{attack}: {log}"
    );
}

#[test]
fn a_step_sees_its_inputs_and_its_outputs_are_taken() {
    let program = "import os, pathlib\nassert pathlib.Path('/in/data/a.txt').read_text() == 'declared'\nassert os.getcwd() == '/code' and os.environ['DECLARED'] == 'yes' and len(os.environ) <= 2\nos.makedirs('/out/made/x')\npathlib.Path('/out/made/x/y.txt').write_text('result')\nprint('said')";
    let finished = start(&spec(program)).unwrap();
    assert_eq!(
        (finished.exit, finished.log.as_slice()),
        (Exit::Code(0), b"said\n".as_slice())
    );
    let files = finished.outputs.get("made").unwrap();
    assert_eq!(files.len(), 1);
    assert_eq!(
        (
            files.first().unwrap().path.as_str(),
            files.first().unwrap().bytes.as_slice()
        ),
        ("x/y.txt", b"result".as_slice())
    );
    assert!(finished.enforced.iter().any(|one| one.what == "no network"));
}

#[test]
fn files_of_the_host_are_out_of_sight() {
    for path in [
        "/root",
        "/home",
        "/etc/shadow",
        "/var",
        "/proc/1/root/root",
        "/sys",
        "/dev/mem",
        "/run",
    ] {
        blocked(
            &format!("os.listdir('{path}') if os.path.isdir('{path}') else open('{path}')"),
            "open('/in/data/a.txt')",
        );
    }
}

#[test]
fn inputs_code_and_system_cannot_be_written() {
    for path in [
        "/in/data/a.txt",
        "/in/data/new",
        "/in/new",
        "/code/main.py",
        "/out/undeclared",
        "/usr/new",
        "/new",
        "/etc/passwd",
    ] {
        blocked(
            &format!("open('{path}', 'w')"),
            "open('/out/made/ok', 'w'); open('/tmp/ok', 'w')",
        );
    }
    blocked(
        "os.chmod('/in/data/a.txt', 0o777); open('/in/data/a.txt', 'w')",
        "",
    );
}

#[test]
fn there_is_no_network() {
    for attack in [
        "socket.create_connection(('127.0.0.1', 22), 1)",
        "socket.create_connection(('1.1.1.1', 53), 1)",
        "socket.getaddrinfo('example.com', 80)",
        "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
        "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
        "socket.socket(40, socket.SOCK_STREAM)",
        "socket.socket(socket.AF_UNIX).connect('\\0/tmp/.X11-unix/X0')",
    ] {
        blocked(attack, "socket.socketpair()");
    }
}

#[test]
fn dangerous_system_calls_are_refused() {
    let call = |number: i32, arguments: &str| {
        format!(
            "libc = ctypes.CDLL(None, use_errno=True); r = libc.syscall({number}, {arguments})\n    if r == -1: raise OSError(ctypes.get_errno(), 'refused')"
        )
    };
    // ptrace, mount, unshare, bpf, keyctl, io_uring_setup, userfaultfd, setns, perf_event_open, add_key,
    // open_by_handle_at, process_vm_readv, pivot_root, chroot, init_module, kexec_load, reboot
    for number in [
        101, 165, 272, 321, 250, 425, 323, 308, 298, 248, 304, 310, 155, 161, 175, 246, 169,
    ] {
        blocked(&call(number, "0, 0, 0, 0, 0"), "ctypes.CDLL(None).getpid()");
    }
    blocked(
        &call(56, "0x10000011, 0, 0, 0, 0"),
        "pid = os.fork()\nif pid == 0: os._exit(0)\nos.waitpid(pid, 0)",
    );
}

#[test]
fn no_privilege_can_be_had() {
    for attack in [
        "os.setuid(0)",
        "os.chown('/out/made', 0, 0)",
        "os.mknod('/out/made/d', 0o20666, os.makedev(1, 1))",
        "os.chroot('/tmp')",
    ] {
        blocked(attack, "");
    }
    let log = says(
        "status = open('/proc/self/status').read()\nfor name in ('CapEff', 'CapPrm', 'CapBnd', 'CapAmb'):\n    line = [l for l in status.splitlines() if l.startswith(name)][0]\n    assert int(line.split()[1], 16) == 0, line\nassert 'NoNewPrivs:\\t1' in status and 'Seccomp:\\t2' in status\nprint('none')",
    );
    assert!(log.contains("none"), "{log}");
}

#[test]
fn other_processes_are_out_of_sight() {
    let log = says(
        "import os\npids = [p for p in os.listdir('/proc') if p.isdigit()] if os.path.isdir('/proc/self') else ['1', '2']\nassert len(pids) <= 2, pids\nassert os.getpid() < 10\nprint('alone')",
    );
    assert!(log.contains("alone"), "{log}");
    blocked("os.kill(os.getppid() + 1000, 9)", "");
}

#[test]
fn what_is_no_plain_file_is_not_taken() {
    for (program, expected) in [
        (
            "import os; os.symlink('/etc/passwd', '/out/made/link')",
            "symbolic link",
        ),
        (
            "import os; open('/out/made/a', 'w'); os.link('/out/made/a', '/out/made/b')",
            "hard link",
        ),
        ("import os; os.mkfifo('/out/made/pipe')", "no plain file"),
        (
            "import socket; socket.socket(socket.AF_UNIX).bind('/out/made/s')",
            "no plain file",
        ),
    ] {
        match start(&spec(program)) {
            Err(SandboxError::BadOutput { because, .. }) => {
                assert!(because.contains(expected), "{because}");
            }
            other => panic!("{program}: {other:?}"),
        }
    }
}

#[test]
fn limits_hold() {
    let mut short = spec("import time\nwhile True: time.sleep(1)");
    short.limits.time_ms = 500;
    assert_eq!(start(&short).unwrap().exit, Exit::TimedOut);
    let finished = start(&spec("x = bytearray(2 << 30)")).unwrap();
    assert!(
        finished.exit == Exit::Code(1)
            && String::from_utf8_lossy(&finished.log).contains("MemoryError")
    );
    let finished = start(&spec("open('/out/made/big', 'wb').truncate(0); f = open('/out/made/big', 'wb')\nfor _ in range(80): f.write(bytes(1 << 20))")).unwrap();
    assert_ne!(finished.exit, Exit::Code(0));
    assert!(finished.outputs.is_empty());
    let mut bomb = spec(
        "import os, time\nn = 0\ntry:\n    while n < 500:\n        if os.fork() == 0:\n            time.sleep(30); os._exit(0)\n        n += 1\n    print('ESCAPED')\nexcept OSError:\n    print('stopped')",
    );
    bomb.limits.processes = 50;
    let log = start(&bomb).unwrap().log;
    assert!(
        String::from_utf8_lossy(&log).contains("stopped"),
        "{}",
        String::from_utf8_lossy(&log)
    );
}

#[test]
fn nothing_is_inherited() {
    let log = says(
        "import os\nfds = sorted(int(f) for f in os.listdir('/proc/self/fd'))\nassert fds[:3] == [0, 1, 2] and len(fds) <= 4, fds\nassert os.read(0, 1) == b''\nassert set(os.environ) <= {'DECLARED', 'LC_CTYPE'}, os.environ\nprint(os.uname().nodename)",
    );
    assert!(log.contains("custody"), "{log}");
}

#[test]
fn how_a_step_ends_is_told() {
    assert_eq!(
        start(&spec("raise SystemExit(3)")).unwrap().exit,
        Exit::Code(3)
    );
    assert_eq!(
        start(&spec("import os; os.abort()")).unwrap().exit,
        Exit::Signal(6)
    );
    let mut none = spec("");
    none.argv = vec!["no-such-program".to_owned()];
    assert!(
        matches!(start(&none), Err(SandboxError::NoCommand { because }) if because.contains("no-such-program"))
    );
}

/// Runs all the tests above again as `nobody`. Who is not root has run them as an ordinary user already.
#[test]
fn the_same_holds_for_an_ordinary_user() {
    as_nobody("the_same_holds_for_an_ordinary_user", "11 passed");
}
