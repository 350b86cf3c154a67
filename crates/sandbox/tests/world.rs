//! What a step finds in its world, tried by steps: shared memory, the loopback, its own outputs, processors.
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

use custody_sandbox::{Exit, Interrupt, Limits, Observe, Spec, run};
use custody_types::ByteSize;
use nobody::as_nobody;
use support::{Memory, launcher};

/// Runs a program that has a file of its own, which `spawn` needs.
fn says(program: &str, threads: u32) -> String {
    let spec = Spec {
        argv: ["/usr/bin/python3.11", "-B", "-s", "/code/main.py"]
            .map(ToOwned::to_owned)
            .to_vec(),
        env: BTreeMap::from([("HOME".to_owned(), "/tmp".to_owned())]),
        environment: None,
        code: Some(Memory::of(&[("main.py", program)])),
        inputs: BTreeMap::new(),
        outputs: Vec::new(),
        network: None,
        limits: Limits {
            time_ms: 60_000,
            memory: ByteSize::from_mebibytes(1024),
            output: ByteSize::from_mebibytes(64),
            threads,
            ..Limits::default()
        },
        observe: Observe::Nothing,
        interrupt: Interrupt::default(),
    };
    let finished = run(&launcher(), &spec, &mut |_| {}, &mut |_| Ok(())).unwrap();
    let log = String::from_utf8_lossy(&finished.log).into_owned();
    assert_eq!(finished.exit, Exit::Code(0), "{log}");
    log
}

#[test]
fn processes_work_together_in_every_way_that_python_starts_them() {
    let program = r#"
import concurrent.futures, math, multiprocessing
from multiprocessing import shared_memory

def add(lock, total, queue, name):
    memory = shared_memory.SharedMemory(name)
    with lock:
        total.value += memory.buf[0]
    queue.put(memory.buf[0])
    memory.close()

if __name__ == "__main__":
    for way in ("fork", "spawn", "forkserver"):
        context = multiprocessing.get_context(way)
        memory = shared_memory.SharedMemory(create=True, size=1 << 20)
        memory.buf[0] = 7
        lock, total, queue, event = context.Lock(), context.Value("i", 0), context.Queue(), context.Event()
        children = [context.Process(target=add, args=(lock, total, queue, memory.name)) for _ in range(2)]
        for child in children: child.start()
        assert [queue.get(timeout=30) for _ in children] == [7, 7]
        for child in children: child.join()
        assert total.value == 14 and not event.is_set()
        memory.close(); memory.unlink()
        with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
            assert list(pool.map(math.sqrt, [4, 9])) == [2, 3]
        with context.Manager() as manager:
            shared = manager.dict(a=1)
            assert shared["a"] == 1
        print(way)
"#;
    assert_eq!(says(program, 2), "fork\nspawn\nforkserver\n");
}

/// As PyTorch's loaders hand tensors from process to process: a file in `/dev/shm` that has no name any more,
/// or one that never had one, whose descriptor goes through a socket.
#[test]
fn memory_goes_through_sockets() {
    let program = r#"
import mmap, os, socket

here, there = socket.socketpair()
for make in ("shm", "memfd"):
    if os.fork() == 0:
        if make == "shm":
            fd = os.open("/dev/shm/torch_1", os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
            os.unlink("/dev/shm/torch_1")
        else:
            fd = os.memfd_create("tensor")
        os.ftruncate(fd, 1 << 20)
        mmap.mmap(fd, 1 << 20)[:5] = b"batch"
        socket.send_fds(there, [b"x"], [fd])
        os._exit(0)
    _, [fd], _, _ = socket.recv_fds(here, 1, 1)
    print(mmap.mmap(fd, 1 << 20)[:5])
    os.wait()
"#;
    assert_eq!(says(program, 1), "b'batch'\nb'batch'\n");
}

#[test]
fn the_loopback_is_there() {
    let program = r#"
import socket, threading

for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
    server = socket.create_server((address, 0), family=family)
    client = socket.create_connection(server.getsockname()[:2], 5)
    server.accept()[0].sendall(b"hello")
    print(client.recv(5))
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
one.bind(("127.0.0.1", 0))
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"datagram", one.getsockname())
print(one.recv(100))
print(sorted({entry[4][0] for entry in socket.getaddrinfo("localhost", 80)}))
print(socket.gethostbyname(socket.gethostname()))
"#;
    assert_eq!(
        says(program, 1),
        "b'hello'\nb'hello'\nb'datagram'\n['127.0.0.1', '::1']\n127.0.0.1\n"
    );
}

#[test]
fn what_is_open_has_a_name() {
    let program = r#"
import os

print(open("/dev/stdin").read() == "", "3" in os.listdir("/dev/fd"), flush=True)
open("/dev/stdout", "w").write("out\n")
open("/dev/stderr", "w").write("err\n")
open("/dev/fd/1", "w").write("fd\n")
os.system("echo shell > /dev/stdout")
"#;
    assert_eq!(says(program, 1), "True True\nout\nerr\nfd\nshell\n");
}

#[test]
fn there_are_as_many_processors_as_the_limit_says() {
    let program = "import os\nprint(os.cpu_count(), len(os.sched_getaffinity(0)))";
    let machine = std::thread::available_parallelism().unwrap().get();
    for threads in [1, 2, 10_000] {
        let seen = usize::try_from(threads).unwrap().min(machine);
        assert_eq!(says(program, threads), format!("{seen} {seen}\n"));
    }
}

/// Runs all the tests above again as `nobody`. Who is not root has run them as an ordinary user already.
#[test]
fn the_same_holds_for_an_ordinary_user() {
    as_nobody("the_same_holds_for_an_ordinary_user", "5 passed");
}
