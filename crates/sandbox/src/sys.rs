//! System calls, each in a function that is safe to call.
#![expect(
    unsafe_code,
    reason = "system calls that no safe library offers together; each block says why it is sound"
)]

use std::ffi::{CString, OsStr};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

use crate::event::Answer;
use crate::spec::Exit;
use crate::watch::Waiting;

fn c_string(bytes: impl AsRef<OsStr>) -> io::Result<CString> {
    CString::new(bytes.as_ref().as_bytes()).map_err(io::Error::other)
}

fn done(result: libc::c_int) -> io::Result<()> {
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Returns the effective user and group of this process.
pub(crate) fn effective_ids() -> (u32, u32) {
    // SAFETY: these calls take nothing and cannot fail.
    unsafe { (libc::geteuid(), libc::getegid()) }
}

/// Makes new namespaces: user, mount, network, IPC, host name, control groups, and processes for the
/// children.
pub(crate) fn unshare_all() -> io::Result<()> {
    let flags = libc::CLONE_NEWUSER
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWCGROUP
        | libc::CLONE_NEWPID;
    // SAFETY: takes a number; the launcher has one thread.
    done(unsafe { libc::unshare(flags) })
}

/// Becomes the user and group `id` of the user namespace and keeps its privileges there.
pub(crate) fn become_user(id: u32) -> io::Result<()> {
    const NO_SETUID_FIXUP: libc::c_ulong = 1 << 2;
    // SAFETY: these calls take numbers only.
    unsafe {
        done(libc::prctl(
            libc::PR_SET_SECUREBITS,
            NO_SETUID_FIXUP,
            0,
            0,
            0,
        ))?;
        done(libc::setresgid(id, id, id))?;
        done(libc::setresuid(id, id, id))
    }
}

/// Asks to be killed when the process that started this one ends.
pub(crate) fn die_with_parent() -> io::Result<()> {
    // SAFETY: takes numbers only.
    done(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) })
}

/// Opens a path without reading it, to be mounted elsewhere.
pub(crate) fn open_path(path: &Path) -> io::Result<OwnedFd> {
    let path = c_string(path)?;
    // SAFETY: `path` is a string that ends with a zero and outlives the call.
    let fd = unsafe { libc::open(path.as_ptr(), libc::O_PATH | libc::O_CLOEXEC) };
    done(fd)?;
    // SAFETY: the call just returned this descriptor and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Mounts. Empty texts stand for none.
pub(crate) fn mount(
    source: &str,
    target: &str,
    kind: &str,
    flags: libc::c_ulong,
    data: &str,
) -> io::Result<()> {
    let (source, target, kind, data) = (
        c_string(source)?,
        c_string(target)?,
        c_string(kind)?,
        c_string(data)?,
    );
    let pointer = |text: &CString| {
        if text.is_empty() {
            ptr::null()
        } else {
            text.as_ptr()
        }
    };
    // SAFETY: each pointer is null or a string that ends with a zero and outlives the call.
    done(unsafe {
        libc::mount(
            pointer(&source),
            target.as_ptr(),
            pointer(&kind),
            flags,
            pointer(&data).cast(),
        )
    })
}

/// Mounts what `source` is at `target`, and makes it read-only.
pub(crate) fn bind(source: &OwnedFd, target: &str, read_only: bool) -> io::Result<()> {
    mount(
        &format!("/proc/self/fd/{}", source.as_raw_fd()),
        target,
        "",
        libc::MS_BIND | libc::MS_REC,
        "",
    )?;
    if read_only { seal(target) } else { Ok(()) }
}

/// Mounts the folder that `source` is at `target`, an empty folder, read-only. A layer above it hides where on the
/// host it lies (`/proc/self/mountinfo` tells of other mounts) and takes the locks that are put on its files. Where
/// there are no such layers (Linux before 5.11, some file systems) it is mounted as [`bind`] does.
pub(crate) fn show(source: &OwnedFd, target: &str) -> io::Result<()> {
    let data = format!("lowerdir=/proc/self/fd/{}:{target}", source.as_raw_fd());
    let flags = libc::MS_RDONLY | libc::MS_NOSUID | libc::MS_NODEV;
    mount("overlay", target, "overlay", flags, &data).or_else(|_| bind(source, target, true))
}

/// Makes a mount read-only, keeping the flags that the kernel will not let go.
pub(crate) fn seal(target: &str) -> io::Result<()> {
    let path = c_string(target)?;
    // SAFETY: all-zero is a value of this plain struct.
    let mut stat: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: `path` ends with a zero, and `stat` is a valid place for the answer.
    done(unsafe { libc::statvfs(path.as_ptr(), &raw mut stat) })?;
    let kept = [
        (libc::ST_NOSUID, libc::MS_NOSUID),
        (libc::ST_NODEV, libc::MS_NODEV),
        (libc::ST_NOEXEC, libc::MS_NOEXEC),
        (libc::ST_NOATIME, libc::MS_NOATIME),
        (libc::ST_NODIRATIME, libc::MS_NODIRATIME),
        (libc::ST_RELATIME, libc::MS_RELATIME),
    ];
    let kept = kept
        .iter()
        .filter(|(seen, _)| stat.f_flag & seen != 0)
        .fold(0, |all, (_, flag)| all | flag);
    mount(
        "",
        target,
        "",
        libc::MS_REMOUNT
            | libc::MS_BIND
            | libc::MS_RDONLY
            | libc::MS_NOSUID
            | libc::MS_NODEV
            | kept,
        "",
    )
}

/// Makes the folder `root` the root, and lets the old one go.
pub(crate) fn pivot(root: &str) -> io::Result<()> {
    let (root, here, top) = (c_string(root)?, c_string(".")?, c_string("/")?);
    // SAFETY: every pointer is a string that ends with a zero and outlives the calls.
    unsafe {
        done(libc::chdir(root.as_ptr()))?;
        if libc::syscall(libc::SYS_pivot_root, here.as_ptr(), here.as_ptr()) == -1 {
            return Err(io::Error::last_os_error());
        }
        done(libc::umount2(here.as_ptr(), libc::MNT_DETACH))?;
        done(libc::chdir(top.as_ptr()))
    }
}

/// Sets the host name.
pub(crate) fn name_host(name: &str) -> io::Result<()> {
    // SAFETY: pointer and length are those of one living string.
    done(unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) })
}

/// Forks. Returns the child's process id in the parent, and `None` in the child.
pub(crate) fn fork() -> io::Result<Option<libc::pid_t>> {
    // SAFETY: the process has one thread, so that the child may do anything.
    let pid = unsafe { libc::fork() };
    done(pid)?;
    Ok((pid != 0).then_some(pid))
}

/// Ends this process at once.
pub(crate) fn exit(code: i32) -> ! {
    // SAFETY: ends the process without touching its memory.
    unsafe { libc::_exit(code) }
}

/// Closes every descriptor from `first` on.
pub(crate) fn close_from(first: libc::c_uint) -> io::Result<()> {
    // SAFETY: takes numbers only. No owner of such a descriptor is used afterwards.
    done(unsafe { libc::close_range(first, libc::c_uint::MAX, 0) })
}

/// Puts a copy of `from` at the number `to`.
pub(crate) fn place(from: RawFd, to: RawFd) -> io::Result<()> {
    // SAFETY: takes numbers only.
    done(unsafe { libc::dup2(from, to) })
}

/// Makes a copy of `from` at the first free number from `least` on.
pub(crate) fn above(from: RawFd, least: RawFd) -> io::Result<RawFd> {
    // SAFETY: takes numbers only.
    let copy = unsafe { libc::fcntl(from, libc::F_DUPFD, least) };
    done(copy)?;
    Ok(copy)
}

/// Sets a limit of this process and its children.
pub(crate) fn limit(what: libc::__rlimit_resource_t, to: u64) -> io::Result<()> {
    let limit = libc::rlimit {
        rlim_cur: to,
        rlim_max: to,
    };
    // SAFETY: `limit` is a valid struct that outlives the call.
    done(unsafe { libc::setrlimit(what, &raw const limit) })
}

/// Gives up every privilege for ever.
pub(crate) fn give_up_privileges() -> io::Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: libc::c_int,
    }
    const VERSION_3: u32 = 0x2008_0522;
    // SAFETY: `prctl` takes numbers; `capset` gets pointers to living structs of the layout of version 3.
    unsafe {
        for capability in 0..64 {
            if libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) == -1 {
                break;
            }
        }
        done(libc::prctl(
            libc::PR_CAP_AMBIENT,
            libc::PR_CAP_AMBIENT_CLEAR_ALL,
            0,
            0,
            0,
        ))?;
        let header = Header {
            version: VERSION_3,
            pid: 0,
        };
        let none = [0_u32; 6];
        if libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()) == -1 {
            return Err(io::Error::last_os_error());
        }
        done(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
        done(libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0))
    }
}

/// Starts a session of its own.
pub(crate) fn new_session() -> io::Result<()> {
    // SAFETY: takes nothing.
    done(unsafe { libc::setsid() })
}

/// Becomes another program. Returns only when that fails.
pub(crate) fn execute(program: &str, argv: &[String], env: &[String]) -> io::Error {
    let texts = |list: &[String]| list.iter().map(c_string).collect::<io::Result<Vec<_>>>();
    let (program, argv, env) = match (c_string(program), texts(argv), texts(env)) {
        (Ok(program), Ok(argv), Ok(env)) => (program, argv, env),
        (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => return error,
    };
    let pointers = |list: &[CString]| {
        list.iter()
            .map(|text| text.as_ptr())
            .chain([ptr::null()])
            .collect::<Vec<_>>()
    };
    let (arguments, variables) = (pointers(&argv), pointers(&env));
    // SAFETY: both lists end with null and point to strings that outlive the call.
    unsafe { libc::execve(program.as_ptr(), arguments.as_ptr(), variables.as_ptr()) };
    io::Error::last_os_error()
}

fn exit_of(status: libc::c_int) -> Exit {
    if libc::WIFSIGNALED(status) {
        Exit::Signal(libc::WTERMSIG(status))
    } else {
        Exit::Code(libc::WEXITSTATUS(status))
    }
}

/// Waits until the child `pid` ends, and takes in every other child that ends before.
pub(crate) fn wait_for(pid: libc::pid_t) -> io::Result<Exit> {
    loop {
        let mut status = 0;
        // SAFETY: `status` is a valid place for the answer.
        let ended = unsafe { libc::waitpid(-1, &raw mut status, 0) };
        if ended == pid {
            return Ok(exit_of(status));
        }
        if ended == -1 {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }
}

/// What came first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waited {
    /// The process ended.
    Ended,
    /// The time was over.
    TimedOut,
    /// The other end of the socket was closed.
    HungUp,
}

/// Waits at most `time_ms` for the end of the child `pid`, or until the other end of `socket` is closed.
pub(crate) fn ends_within(
    pid: libc::pid_t,
    socket: &impl AsRawFd,
    time_ms: u64,
) -> io::Result<Waited> {
    // SAFETY: takes numbers only.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
    done(fd)?;
    // SAFETY: the call just returned this descriptor and nobody else has it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let waits_for = |fd, events| libc::pollfd {
        fd,
        events,
        revents: 0,
    };
    let mut polls = [
        waits_for(fd.as_raw_fd(), libc::POLLIN),
        waits_for(socket.as_raw_fd(), libc::POLLRDHUP),
    ];
    let timeout = libc::c_int::try_from(time_ms).unwrap_or(libc::c_int::MAX);
    // SAFETY: two valid structs that outlive the call.
    let ready = unsafe { libc::poll(polls.as_mut_ptr(), 2, timeout) };
    done(ready)?;
    let [process, _] = polls;
    Ok(match (ready, process.revents) {
        (0, _) => Waited::TimedOut,
        (_, 0) => Waited::HungUp,
        _ => Waited::Ended,
    })
}

/// Returns a time that only grows, in milliseconds.
pub(crate) fn monotonic_ms() -> u64 {
    // SAFETY: all-zero is a value of this plain struct.
    let mut time: libc::timespec = unsafe { std::mem::zeroed() };
    // SAFETY: `time` is a valid place for the answer; this clock is always there.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    let (seconds, rest) = (time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs());
    seconds
        .saturating_mul(1000)
        .saturating_add(rest / 1_000_000)
}

/// Returns how many bytes the file system at `place` holds; none where it does not say.
pub(crate) fn used(place: &str) -> u64 {
    let Ok(path) = c_string(place) else { return 0 };
    // SAFETY: all-zero is a value of this plain struct.
    let mut stat: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: `path` ends with a zero, and `stat` is a valid place for the answer.
    let asked = done(unsafe { libc::statvfs(path.as_ptr(), &raw mut stat) });
    match asked {
        Ok(()) => stat
            .f_blocks
            .saturating_sub(stat.f_bfree)
            .saturating_mul(stat.f_frsize),
        Err(_) => 0,
    }
}

/// Space for the numbers of 8,192 processors, the most that Linux is built for.
const PROCESSOR_WORDS: usize = 8192 / 64;

/// Returns the processors that this process may use, in order.
pub(crate) fn processors() -> io::Result<Vec<u32>> {
    let mut words = [0_u64; PROCESSOR_WORDS];
    // SAFETY: the size is that of `words`, which is a valid place for the answer.
    let size = unsafe {
        libc::syscall(
            libc::SYS_sched_getaffinity,
            0,
            size_of_val(&words),
            words.as_mut_ptr(),
        )
    };
    if size == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok((0..)
        .zip(words)
        .flat_map(|(at, word)| {
            (0..64)
                .filter(move |bit| word >> bit & 1 == 1)
                .map(move |bit| at * 64 + bit)
        })
        .collect())
}

/// Lets this process and its children use these processors alone.
pub(crate) fn stay_on(processors: &[u32]) -> io::Result<()> {
    let mut words = [0_u64; PROCESSOR_WORDS];
    for number in processors {
        let place = usize::try_from(number / 64).map_err(io::Error::other)?;
        let word = words
            .get_mut(place)
            .ok_or_else(|| io::Error::other("a processor of too high a number"))?;
        *word |= 1 << (number % 64);
    }
    // SAFETY: the size is that of `words`, which outlives the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_sched_setaffinity,
            0,
            size_of_val(&words),
            words.as_ptr(),
        )
    };
    if result == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Opens a socket by which the interfaces of the network namespace are set.
fn interfaces(family: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: takes numbers only.
    let fd = unsafe { libc::socket(family, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    done(fd)?;
    // SAFETY: the call just returned this descriptor and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Makes a request about an interface, whose name is shorter than 16 bytes.
fn about(interface: &str) -> libc::ifreq {
    // SAFETY: all-zero is a value of this plain struct.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    let name = interface.bytes().take(libc::IFNAMSIZ - 1);
    for (place, letter) in request.ifr_name.iter_mut().zip(name) {
        *place = libc::c_char::from_ne_bytes([letter]);
    }
    request
}

/// Gives the loopback of the network namespace a further address, its own alone; `number`: which one it is, from 1.
pub(crate) fn add_address(number: u32, address: IpAddr) -> io::Result<()> {
    match address {
        IpAddr::V4(four) => add_four(number, four),
        IpAddr::V6(six) => add_six(six),
    }
}

fn add_four(number: u32, address: Ipv4Addr) -> io::Result<()> {
    let fd = interfaces(libc::AF_INET)?;
    // The whole network around the address would be here, until its mask says that it stands for itself alone.
    for (what, octets) in [
        (libc::SIOCSIFADDR, address.octets()),
        (libc::SIOCSIFNETMASK, [255; 4]),
    ] {
        let mut request = about(&format!("lo:{number}"));
        let mut data = [0; 14];
        // After the port.
        for (place, byte) in data.iter_mut().skip(2).zip(octets) {
            *place = libc::c_char::from_ne_bytes([byte]);
        }
        request.ifr_ifru.ifru_addr = libc::sockaddr {
            sa_family: libc::AF_INET.try_into().map_err(io::Error::other)?,
            sa_data: data,
        };
        // SAFETY: the request reads this struct, whose name ends with a zero, and it outlives the call.
        done(unsafe { libc::ioctl(fd.as_raw_fd(), what, &raw const request) })?;
    }
    Ok(())
}

fn add_six(address: Ipv6Addr) -> io::Result<()> {
    let fd = interfaces(libc::AF_INET6)?;
    let request = libc::in6_ifreq {
        ifr6_addr: libc::in6_addr {
            s6_addr: address.octets(),
        },
        ifr6_prefixlen: 128,
        // The loopback is the first interface of its namespace.
        ifr6_ifindex: 1,
    };
    // SAFETY: the request reads this struct, which outlives the call.
    done(unsafe { libc::ioctl(fd.as_raw_fd(), libc::SIOCSIFADDR, &raw const request) })
}

/// Raises the loopback of the network namespace, which has no other way.
pub(crate) fn raise_loopback() -> io::Result<()> {
    let fd = interfaces(libc::AF_INET)?;
    let mut request = about("lo");
    request.ifr_ifru.ifru_flags = libc::IFF_UP
        .try_into()
        .map_err(|_| io::Error::other("a flag that is no short number"))?;
    // SAFETY: the request reads this struct, whose name ends with a zero, and it outlives the call.
    done(unsafe { libc::ioctl(fd.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) })
}

/// Kills a process; the first of a process namespace takes all others with it.
pub(crate) fn kill(pid: libc::pid_t) {
    // SAFETY: takes numbers only. A process that is gone already is no fault.
    unsafe { libc::kill(pid, libc::SIGKILL) };
}

/// Puts this process under a filter that may ask; returns where the questions arrive.
pub(crate) fn listen_for_calls(filter: &[seccompiler::sock_filter]) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Program {
        length: libc::c_ushort,
        steps: *const seccompiler::sock_filter,
    }
    let program = Program {
        length: filter.len().try_into().map_err(io::Error::other)?,
        steps: filter.as_ptr(),
    };
    let install = |flags: libc::c_ulong| {
        // SAFETY: `program` has the layout of `sock_fprog`; it and the steps outlive the call, which copies
        // them.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                flags,
                &raw const program,
            )
        };
        let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
        done(fd)?;
        // SAFETY: the call just returned this descriptor and nobody else has it.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    };
    let listener = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    // Kernels before 5.19 tell a call again that a signal broke off; newer ones need not.
    install(listener | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)
        .or_else(|_: io::Error| install(listener))
}

/// Space for one descriptor beside a message, aligned as its header.
#[repr(C, align(8))]
struct Beside([u8; 64]);

/// A message of one byte, and space beside it.
fn message(byte: &mut libc::iovec, beside: &mut Beside) -> libc::msghdr {
    // SAFETY: all-zero is a value of this plain struct.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = byte;
    message.msg_iovlen = 1;
    message.msg_control = beside.0.as_mut_ptr().cast();
    message
}

/// Sends a copy of a descriptor, with a byte. By `sendmmsg`, which is not told of.
pub(crate) fn send_descriptor(socket: &impl AsRawFd, fd: &OwnedFd) -> io::Result<()> {
    let size = u32::try_from(size_of::<RawFd>()).map_err(io::Error::other)?;
    let (mut byte, mut beside) = ([0_u8; 1], Beside([0; 64]));
    let mut vector = libc::iovec {
        iov_base: byte.as_mut_ptr().cast(),
        iov_len: 1,
    };
    let mut header = message(&mut vector, &mut beside);
    // SAFETY: `beside` is larger than the space of one descriptor with its header, which is therefore not
    // null and writable; vector, byte and space outlive the call.
    let sent = unsafe {
        header.msg_controllen = libc::CMSG_SPACE(size) as _;
        let first = libc::CMSG_FIRSTHDR(&raw const header);
        (*first).cmsg_level = libc::SOL_SOCKET;
        (*first).cmsg_type = libc::SCM_RIGHTS;
        (*first).cmsg_len = libc::CMSG_LEN(size) as _;
        libc::CMSG_DATA(first)
            .cast::<RawFd>()
            .write_unaligned(fd.as_raw_fd());
        let mut messages = libc::mmsghdr {
            msg_hdr: header,
            msg_len: 0,
        };
        libc::sendmmsg(socket.as_raw_fd(), &raw mut messages, 1, 0)
    };
    done(sent)
}

/// Receives a byte, and the descriptor beside it.
pub(crate) fn receive_descriptor(socket: &impl AsRawFd) -> io::Result<OwnedFd> {
    let (mut byte, mut beside) = ([0_u8; 1], Beside([0; 64]));
    let mut vector = libc::iovec {
        iov_base: byte.as_mut_ptr().cast(),
        iov_len: 1,
    };
    let mut header = message(&mut vector, &mut beside);
    header.msg_controllen = size_of::<Beside>() as _;
    // SAFETY: the header points to living memory of the lengths that it says.
    let count =
        unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, libc::MSG_CMSG_CLOEXEC) };
    if count == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel wrote the header and the space beside it; a header that it returns lies inside, and
    // one of these rights of at least this length holds a descriptor that is ours alone now.
    let fd = unsafe {
        let first = libc::CMSG_FIRSTHDR(&raw const header);
        let size = u32::try_from(size_of::<RawFd>()).map_err(io::Error::other)?;
        if first.is_null()
            || (*first).cmsg_level != libc::SOL_SOCKET
            || (*first).cmsg_type != libc::SCM_RIGHTS
            || (*first).cmsg_len < libc::CMSG_LEN(size) as _
        {
            return Err(io::Error::other("no descriptor came"));
        }
        OwnedFd::from_raw_fd(libc::CMSG_DATA(first).cast::<RawFd>().read_unaligned())
    };
    Ok(fd)
}

/// What there is at a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// A call waits.
    Waiting,
    /// Nothing came in time.
    Nothing,
    /// Nobody is under the filter any more.
    Gone,
}

/// Waits at most `time_ms` for a call.
pub(crate) fn told_within(listener: &OwnedFd, time_ms: libc::c_int) -> io::Result<Told> {
    let mut poll = libc::pollfd {
        fd: listener.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one valid struct that outlives the call.
    match done(unsafe { libc::poll(&raw mut poll, 1, time_ms) }) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(Told::Nothing),
        other => other?,
    }
    Ok(if poll.revents & libc::POLLIN != 0 {
        Told::Waiting
    } else if poll.revents == 0 {
        Told::Nothing
    } else {
        Told::Gone
    })
}

/// Takes the next call that waits, and the number under which it is answered.
pub(crate) fn next_call(listener: &OwnedFd) -> io::Result<(u64, Waiting)> {
    // SAFETY: all-zero is a value of this plain struct, and the one that the kernel asks for.
    let mut call: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: the request says the size of the struct, which is a valid place for the answer.
    done(unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_RECV,
            &raw mut call,
        )
    })?;
    let waiting = Waiting {
        thread: call.pid,
        number: call.data.nr,
        arguments: call.data.args,
    };
    Ok((call.id, waiting))
}

/// Says whether a call still waits, so that what was read of its process was its own.
pub(crate) fn still_waits(listener: &OwnedFd, id: u64) -> bool {
    // SAFETY: the request reads one number, which outlives the call.
    let answer = unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_ID_VALID,
            &raw const id,
        )
    };
    answer == 0
}

/// Lets a call go on, or refuses it.
pub(crate) fn answer_call(listener: &OwnedFd, id: u64, answer: Answer) -> io::Result<()> {
    let goes_on =
        u32::try_from(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE).map_err(io::Error::other)?;
    let (error, flags) = match answer {
        Answer::Passed => (0, goes_on),
        Answer::Refused => (-libc::EPERM, 0),
    };
    let mut reply = libc::seccomp_notif_resp {
        id,
        val: 0,
        error,
        flags,
    };
    // SAFETY: the request says the size of the struct, which outlives the call.
    done(unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_SEND,
            &raw mut reply,
        )
    })
}
