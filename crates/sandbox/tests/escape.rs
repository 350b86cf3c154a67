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
#[path = "support/written.rs"]
mod written;

use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use custody_sandbox::{
    Exit, Finished, Interrupt, Limits, Observe, OutputFile, SandboxError, Spec, run,
};
use custody_types::ByteSize;
use nobody::as_nobody;
use support::{Memory, launcher};
use written::run_and_hold;

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
        network: None,
        limits: Limits {
            time_ms: 60_000,
            memory: ByteSize::from_mebibytes(1024),
            output: ByteSize::from_mebibytes(64),
            ..Limits::default()
        },
        observe: Observe::Nothing,
        interrupt: Interrupt::default(),
    }
}

fn start(spec: &Spec) -> Result<Finished, SandboxError> {
    run(&launcher(), spec, &mut |_| {}, &mut |_| Ok(()))
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
    let (finished, written) = run_and_hold(&spec(program)).unwrap();
    assert_eq!(
        (finished.exit, finished.log.as_slice()),
        (Exit::Code(0), b"said\n".as_slice())
    );
    let file = ("x/y.txt".to_owned(), b"result".to_vec());
    assert_eq!(written, BTreeMap::from([("made".to_owned(), vec![file])]));
    assert!(finished.enforced.iter().any(|one| one.what == "no network"));
}

#[test]
fn an_output_that_is_not_taken_ends_the_step_and_what_is_not_read_is_skipped() {
    let program = "import os\nfor name in 'abc':\n    with open(f'/out/made/{name}', 'wb') as file: file.write(name.encode() * (5 << 20))";
    let mut taken = Vec::new();
    let mut some = |file: OutputFile<'_>| {
        let mut first = [0; 3];
        file.content.read_exact(&mut first)?;
        taken.push((file.path.to_string(), file.size.bytes(), first));
        Ok(())
    };
    let finished = run(&launcher(), &spec(program), &mut |_| {}, &mut some).unwrap();
    assert_eq!(finished.exit, Exit::Code(0));
    let expected = ["a", "b", "c"].map(|name| (name.to_owned(), 5 << 20, [name.as_bytes()[0]; 3]));
    assert_eq!(taken, expected);
    let mut none = |file: OutputFile<'_>| match file.path.as_str() {
        "a" => Ok(()),
        _ => Err(io::Error::other("no room")),
    };
    let ended = run(&launcher(), &spec(program), &mut |_| {}, &mut none);
    match ended {
        Err(SandboxError::NotTaken {
            output,
            path,
            source,
        }) => assert_eq!(
            (output.as_str(), path.as_str(), source.to_string().as_str()),
            ("made", "b", "no room")
        ),
        other => panic!("{other:?}"),
    }
}

#[test]
fn files_of_the_host_are_out_of_sight() {
    for path in [
        "/root",
        "/home",
        "/etc/shadow",
        "/var",
        "/proc/1/root/root",
        "/sys/kernel",
        "/sys/class",
        "/sys/devices/system/node",
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
        "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)",
        // SCTP, MPTCP, ICMP: protocols that nobody needs here.
        "socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132)",
        "socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 1)",
        "socket.socketpair(30, socket.SOCK_STREAM)",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('1.1.1.1', 53))",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('255.255.255.255', 53))",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('224.0.0.1', 53))",
        "socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(b'x', ('2606:4700:4700::1111', 53))",
        "socket.socket().bind(('10.0.0.1', 0))",
        // The address and the flags of the loopback, a route through it.
        "import fcntl; fcntl.ioctl(socket.socket(), 0x8916, b'lo'.ljust(40, bytes(1)))",
        "import fcntl; fcntl.ioctl(socket.socket(), 0x8914, b'lo'.ljust(40, bytes(1)))",
        "import fcntl; fcntl.ioctl(socket.socket(), 0x890b, bytes(120))",
        "socket.socket(socket.AF_UNIX).connect('\\0/tmp/.X11-unix/X0')",
    ] {
        blocked(attack, "socket.socketpair()");
    }
}

/// What the machine listens at is not the loopback of a step.
#[test]
fn the_loopback_of_the_machine_is_out_of_reach() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = tcp.local_addr().unwrap().port();
    let name = format!("custody-test-{port}");
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let _unix = UnixListener::bind_addr(&address).unwrap();
    blocked(
        &format!("socket.create_connection(('127.0.0.1', {port}), 5)"),
        &format!(
            "one = socket.create_server(('127.0.0.1', {port}))\nsocket.create_connection(('127.0.0.1', {port}), 5)"
        ),
    );
    blocked(
        &format!("socket.socket(socket.AF_UNIX).connect('\\0{name}')"),
        &format!(
            "one = socket.socket(socket.AF_UNIX)\none.bind('\\0{name}')\none.listen()\nsocket.socket(socket.AF_UNIX).connect('\\0{name}')"
        ),
    );
    // No way leads anywhere: the table of routes has its head alone.
    let routes = says("print(len(open('/proc/self/net/route').read().splitlines()))");
    assert_eq!(routes, "1\n");
}

/// While one step runs, another looks for its memory and its sockets.
#[test]
fn shared_memory_and_sockets_are_of_one_step_alone() {
    let name = format!("custody-test-{}", std::process::id());
    let one = format!(
        "import socket, time\nopen('/dev/shm/{name}', 'w').write('secret')\ntcp = socket.create_server(('127.0.0.1', 5005))\nunix = socket.socket(socket.AF_UNIX)\nunix.bind('\\0{name}')\nunix.listen()\nprint('ready', flush=True)\ntime.sleep(60)"
    );
    let one = spec(&one);
    let mut seen = false;
    let mut heard = |said: &[u8]| {
        assert_eq!(said, b"ready\n");
        assert!(!std::path::Path::new("/dev/shm").join(&name).exists());
        for attack in [
            format!("open('/dev/shm/{name}')"),
            "socket.create_connection(('127.0.0.1', 5005), 5)".to_owned(),
            format!("socket.socket(socket.AF_UNIX).connect('\\0{name}')"),
        ] {
            blocked(
                &attack,
                "open('/dev/shm/own', 'w'); assert os.listdir('/dev/shm') == ['own']",
            );
        }
        seen = true;
        one.interrupt.raise();
    };
    let ended = run(&launcher(), &one, &mut heard, &mut |_| Ok(()));
    assert!(
        seen && matches!(ended, Err(SandboxError::Interrupted)),
        "{ended:?}"
    );
}

#[test]
fn shared_memory_is_within_the_limit_and_runs_nothing() {
    let mut large = spec(
        "total = 0\ntry:\n    for number in range(100):\n        with open(f'/dev/shm/{number}', 'wb', buffering=0) as file:\n            for _ in range(32): total += file.write(bytes(1 << 20))\n    print('ESCAPED')\nexcept OSError as error:\n    print(error.errno, total <= 256 << 20 and total > 200 << 20)",
    );
    large.limits.memory = ByteSize::from_mebibytes(256);
    let log = start(&large).unwrap().log;
    assert_eq!(String::from_utf8_lossy(&log), "28 True\n");
    // One file is no larger than an output.
    blocked(
        "open('/dev/shm/one', 'wb').truncate(65 << 20)",
        "open('/dev/shm/one', 'wb').truncate(64 << 20)",
    );
    let program = |folder: &str| {
        format!(
            "import shutil, subprocess; shutil.copy('/bin/true', '{folder}/p'); os.chmod('{folder}/p', 0o755); subprocess.run(['{folder}/p'], check=True)"
        )
    };
    blocked(&program("/dev/shm"), &program("/tmp"));
    // System V's memory and messages, which no limit counts.
    for number in [29, 68, 240] {
        blocked(
            &format!(
                "r = ctypes.CDLL(None, use_errno=True).syscall({number}, 0, 4096, 0o1600)\n    if r == -1: raise OSError(ctypes.get_errno(), 'refused')"
            ),
            "",
        );
    }
}

/// `sched_setaffinity` is answered and does nothing.
#[test]
fn no_more_processors_can_be_had() {
    let log = says(
        "import os\nbefore = os.sched_getaffinity(0)\nassert len(before) == 1\nos.sched_setaffinity(0, range(64))\nassert os.sched_getaffinity(0) == before\nprint('one')",
    );
    assert_eq!(log, "one\n");
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
    let (finished, written) = run_and_hold(&spec("open('/out/made/big', 'wb').truncate(0); f = open('/out/made/big', 'wb')\nfor _ in range(80): f.write(bytes(1 << 20))")).unwrap();
    assert_ne!(finished.exit, Exit::Code(0));
    assert!(written.is_empty());
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

#[test]
fn the_host_is_neither_named_nor_watched_nor_locked() {
    let environment = tempfile::tempdir().unwrap();
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(environment.path(), open).unwrap();
    let file = std::fs::File::create_new(environment.path().join("file")).unwrap();
    file.lock().unwrap();
    let place = environment.path().display();
    let program = format!(
        "import ctypes, fcntl, os
told = open('/proc/self/mountinfo').read()
assert '/env' in told and '{place}' not in told, told
# The host holds this lock on its own file.
fcntl.flock(open('/env/file'), fcntl.LOCK_EX | fcntl.LOCK_NB)
libc = ctypes.CDLL(None, use_errno=True)
for call in (lambda: libc.inotify_init(), lambda: libc.inotify_init1(0)):
    assert call() == -1 and ctypes.get_errno() == 1
folder = os.open('/usr/lib', os.O_RDONLY)
for command in (fcntl.F_NOTIFY, fcntl.F_SETLEASE):
    try:
        fcntl.fcntl(folder, command, 0)
        raise SystemExit('ESCAPED')
    except PermissionError:
        pass
print('hidden')"
    );
    let mut spec = spec(&program);
    spec.environment = Some(environment.path().to_owned());
    let finished = start(&spec).unwrap();
    let log = String::from_utf8_lossy(&finished.log);
    assert!(log.contains("hidden"), "{log}");
}

/// Runs all the tests above again as `nobody`. Who is not root has run them as an ordinary user already.
#[test]
fn the_same_holds_for_an_ordinary_user() {
    as_nobody("the_same_holds_for_an_ordinary_user", "17 passed");
}
