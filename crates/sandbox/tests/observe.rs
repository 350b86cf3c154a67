//! What is seen of a step that is observed, and that observing changes nothing else.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may panic"
)]

#[path = "support/nobody.rs"]
mod nobody;
mod support;
#[path = "support/written.rs"]
mod written;

use std::collections::BTreeMap;

use custody_sandbox::{
    Act, Answer, Event, Exit, Finished, Interrupt, Limits, MOST_EVENTS, Observe, Spec, Subject, run,
};
use custody_types::ByteSize;
use nobody::as_nobody;
use support::{Memory, launcher};
use written::{Written, run_and_hold};

const MARK: &str = "/mark";

fn observe(program: &str, observe: Observe) -> (Finished, Written) {
    let program = format!(
        "import os, socket, ctypes, threading, _posixsubprocess\nlibc = ctypes.CDLL(None, use_errno=True)\ndef trying(act):\n    try: act()\n    except OSError as error: print(error.errno)\ntrying(lambda: open('{MARK}'))\n{program}"
    );
    let spec = Spec {
        argv: ["/usr/bin/python3.11", "-I", "-B", "-c", program.as_str()]
            .map(ToOwned::to_owned)
            .to_vec(),
        env: BTreeMap::new(),
        environment: None,
        code: Some(Memory::of(&[("main.py", "print('code')")])),
        inputs: BTreeMap::from([("data".to_owned(), Memory::of(&[("a.txt", "declared")]))]),
        outputs: vec!["made".to_owned()],
        network: None,
        limits: Limits {
            time_ms: 60_000,
            memory: ByteSize::from_mebibytes(1024),
            output: ByteSize::from_mebibytes(64),
            ..Limits::default()
        },
        observe,
        interrupt: Interrupt::default(),
    };
    let (finished, written) = run_and_hold(&spec).unwrap();
    assert_eq!(
        finished.exit,
        Exit::Code(0),
        "{}",
        String::from_utf8_lossy(&finished.log)
    );
    (finished, written)
}

/// Returns what a program does after the mark, and what it prints.
fn after(program: &str) -> (Vec<Event>, String) {
    let (finished, _) = observe(program, Observe::From(MARK.to_owned()));
    assert_eq!(finished.observed.more, 0);
    let mut events = finished.observed.events.into_iter();
    let mark = events.next().unwrap();
    assert_eq!(
        (mark.act, mark.subject),
        (Act::Read, Subject::Path(MARK.to_owned()))
    );
    let log = String::from_utf8_lossy(&finished.log).into_owned();
    (events.collect(), log)
}

fn path(text: &str) -> Subject {
    Subject::Path(text.to_owned())
}

/// Programs, the call that they make, and what it does to what.
const CALLS: &[(&str, &str, Act, &str)] = &[
    (
        "open('/in/data/a.txt')",
        "openat",
        Act::Read,
        "/in/data/a.txt",
    ),
    (
        "open('/etc/../root/.ssh/id')",
        "openat",
        Act::Read,
        "/root/.ssh/id",
    ),
    ("open('main.py')", "openat", Act::Read, "/code/main.py"),
    (
        "os.open('a.txt', 0, dir_fd=os.open('/in/data', 0))",
        "openat",
        Act::Read,
        "/in/data/a.txt",
    ),
    (
        "open('/out/made/x', 'w')",
        "openat",
        Act::Write,
        "/out/made/x",
    ),
    ("open('/tmp/x', 'a+')", "openat", Act::Write, "/tmp/x"),
    (
        "libc.syscall(2, b'/secret', 0)",
        "open",
        Act::Read,
        "/secret",
    ),
    (
        "libc.syscall(85, b'/tmp/new', 0)",
        "creat",
        Act::Write,
        "/tmp/new",
    ),
    (
        "libc.syscall(437, -100, b'/other', (ctypes.c_uint64 * 3)(), 24)",
        "openat2",
        Act::Read,
        "/other",
    ),
    (
        "libc.syscall(257, -100, 8, 0)",
        "openat",
        Act::Read,
        "unreadable",
    ),
    (
        "os.execv('/bin/true', ['true'])",
        "execve",
        Act::Execute,
        "/bin/true",
    ),
    (
        "os.waitpid(os.posix_spawn('/bin/true', ['true'], {}), 0)",
        "execve",
        Act::Execute,
        "/bin/true",
    ),
    (
        "(lambda pid: os._exit(0) if pid == 0 else os.waitpid(pid, 0))(os.fork())",
        "clone",
        Act::Fork,
        "",
    ),
    ("socket.socket()", "socket", Act::Socket, "IPv4"),
    (
        "socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(b'x', ('::1', 53))",
        "sendto",
        Act::Reach,
        "[::1]:53",
    ),
    (
        "socket.socket().connect(('10.1.2.3', 443))",
        "connect",
        Act::Reach,
        "10.1.2.3:443",
    ),
    (
        "socket.socket(socket.AF_UNIX).connect('/run/docker.sock')",
        "connect",
        Act::Reach,
        "unix /run/docker.sock",
    ),
    (
        "socket.socket(socket.AF_UNIX).bind('\\0name')",
        "bind",
        Act::Reach,
        "unix @name",
    ),
    (
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendmsg([b'x'], [], 0, ('9.9.9.9', 53))",
        "sendmsg",
        Act::Reach,
        "9.9.9.9:53",
    ),
    ("os.unlink('/tmp/a')", "unlink", Act::Change, "/tmp/a"),
    (
        "os.rename('/tmp/a', '/tmp/b')",
        "rename",
        Act::Change,
        "/tmp/b",
    ),
    (
        "os.symlink('/etc', '/tmp/link')",
        "symlink",
        Act::Change,
        "/tmp/link",
    ),
    (
        "os.link('/in/data/a.txt', '/tmp/hard')",
        "linkat",
        Act::Change,
        "/in/data/a.txt",
    ),
    ("os.mkdir('/tmp/d')", "mkdir", Act::Change, "/tmp/d"),
    ("os.mkfifo('/tmp/p')", "mknodat", Act::Change, "/tmp/p"),
    (
        "os.chmod('/in/data/a.txt', 0o777)",
        "chmod",
        Act::Change,
        "/in/data/a.txt",
    ),
    (
        "os.truncate('/in/data/a.txt', 0)",
        "truncate",
        Act::Write,
        "/in/data/a.txt",
    ),
    (
        "os.utime('/in/data/a.txt')",
        "utimensat",
        Act::Change,
        "/in/data/a.txt",
    ),
    ("os.memfd_create('x')", "memfd_create", Act::Memory, ""),
    ("os.kill(1, 0)", "kill", Act::Signal, "process 1"),
    ("os.kill(os.getpid(), 0)", "kill", Act::Signal, "itself"),
];
fn text(subject: &Subject) -> String {
    match subject {
        Subject::Nothing => String::new(),
        Subject::Path(text) | Subject::Address(text) => text.clone(),
        Subject::Itself => "itself".to_owned(),
        Subject::Process(number) => format!("process {number}"),
        Subject::Unreadable => "unreadable".to_owned(),
    }
}

#[test]
fn each_call_is_seen_with_what_it_is_about() {
    for (program, call, act, subject) in CALLS {
        let (events, log) = after(&format!("trying(lambda: {program})"));
        let found = events.iter().any(|event| {
            (event.act, text(&event.subject).as_str(), event.answer)
                == (*act, *subject, Answer::Passed)
                && event.call.starts_with(call.trim_end_matches("at"))
        });
        assert!(found, "{program}: {events:?}\n{log}");
    }
}

#[test]
fn calls_that_no_step_may_make_are_refused_and_seen() {
    let (events, log) = after(
        "for number in (101, 165, 272, 321, 425, 310, 317, 9999):\n    print(libc.syscall(number, 0, 0, 0, 0, 0), ctypes.get_errno())\nprint(libc.syscall(56, 0x10000011, 0, 0, 0, 0), ctypes.get_errno())\ntrying(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))",
    );
    let calls: Vec<_> = events
        .iter()
        .map(|event| (event.call.as_str(), event.act, event.answer))
        .collect();
    let forbidden = |call| (call, Act::Forbidden, Answer::Refused);
    assert_eq!(
        calls,
        [
            forbidden("ptrace"),
            forbidden("mount"),
            forbidden("unshare"),
            forbidden("bpf"),
            forbidden("io_uring_setup"),
            forbidden("process_vm_readv"),
            forbidden("seccomp"),
            forbidden("system call 9999"),
            ("clone", Act::Fork, Answer::Refused),
            ("socket", Act::Socket, Answer::Refused),
        ]
    );
    assert_eq!(log.matches("-1 1\n").count(), 9, "{log}");
    assert!(log.ends_with("\n1\n"), "{log}");
}

#[test]
fn harmless_work_leaves_no_event() {
    let (events, _) = after(
        "thread = threading.Thread(target=lambda: sum(range(10)))\nthread.start()\nthread.join()\nx = bytearray(64 << 20)\nprint(os.getpid(), os.stat('/in/data/a.txt').st_size, os.pipe())",
    );
    assert_eq!(events, []);
}

#[test]
fn what_the_step_may_do_stays_the_same() {
    let program = "trying(lambda: open('/etc/passwd', 'w'))\ntrying(lambda: open('/in/data/a.txt', 'w'))\ntrying(lambda: open('/root/x'))\nopen('/out/made/y', 'w').write('result')\nprint(open('/in/data/a.txt').read())";
    let (seen, written) = observe(program, Observe::Everything);
    let (not, as_well) = observe(program, Observe::Nothing);
    assert_eq!(written, as_well);
    assert_eq!(
        String::from_utf8_lossy(&seen.log),
        String::from_utf8_lossy(&not.log)
    );
    assert_eq!(seen.enforced, not.enforced);
    assert!(not.observed.events.is_empty());
    // The first two are the fork and the start of the step itself.
    let acts: Vec<_> = seen.observed.events.iter().map(|event| event.act).collect();
    assert!(acts.starts_with(&[Act::Fork, Act::Execute]), "{acts:?}");
}

#[test]
fn what_is_kept_is_bounded() {
    let count = MOST_EVENTS + 500;
    let (finished, _) = observe(
        &format!("for _ in range({count}):\n    os.close(os.open('/dev/null', 0))"),
        Observe::From(MARK.to_owned()),
    );
    assert_eq!(finished.observed.events.len(), MOST_EVENTS);
    assert_eq!(finished.observed.more, 501);
}

#[test]
fn the_step_has_no_hand_on_the_listener() {
    let (_, log) = after(
        "print(sorted(os.listdir('/proc/self/fd')))\ntrying(lambda: os.listdir('/proc/1/fd'))",
    );
    assert!(
        log.contains("['0', '1', '2', '3']") && log.ends_with("\n13\n"),
        "{log}"
    );
}

#[test]
fn a_step_that_is_killed_is_observed_to_its_end() {
    let finished = run(
        &launcher(),
        &Spec {
            argv: [
                "/usr/bin/python3.11",
                "-I",
                "-c",
                "open('/tmp/z', 'w'); import time\nwhile True: time.sleep(1)",
            ]
            .map(ToOwned::to_owned)
            .to_vec(),
            env: BTreeMap::new(),
            environment: None,
            code: None,
            inputs: BTreeMap::new(),
            outputs: Vec::new(),
            network: None,
            limits: Limits {
                time_ms: 1500,
                ..Limits::default()
            },
            observe: Observe::Everything,
            interrupt: Interrupt::default(),
        },
        &mut |_| {},
        &mut |_| Ok(()),
    )
    .unwrap();
    assert_eq!(finished.exit, Exit::TimedOut);
    assert!(
        finished
            .observed
            .events
            .iter()
            .any(|event| event.subject == path("/tmp/z"))
    );
}

#[test]
fn the_same_is_seen_by_an_ordinary_user() {
    as_nobody("the_same_is_seen_by_an_ordinary_user", "7 passed");
}
