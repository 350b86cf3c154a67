//! Which calls are written down, and how their arguments are read.

use std::fs::{self, File};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;

use custody_types::visible_line;

use crate::event::{Act, Answer, Event, Subject};

/// The longest path that the kernel takes, in bytes.
const PATH: usize = 4096;
/// The longest address that is read, in bytes.
const ADDRESS: usize = 128;
/// How much of a text is kept, in characters.
const TEXT: usize = 1024;

/// Where in the arguments it stands what a call is about.
#[derive(Debug, Clone, Copy)]
enum Shape {
    /// Opens: the folder, the path, the flags.
    Open(Option<u8>, u8, u8),
    /// Opens: the path and flags in a struct.
    OpenHow,
    /// Does this to a path, which is meant from a folder.
    To(Act, Option<u8>, u8),
    /// Reaches the address at the first, of the length at the second.
    Reach(u8, u8),
    /// Reaches the address in the header at the second argument.
    Message,
    /// Makes a socket of the family in the first argument.
    Family,
    /// Sends a signal to the process in the first argument.
    Signal,
    /// Does this to nothing that has a name.
    Plain(Act),
}

use Shape::{Family, Message, Open, OpenHow, Plain, Reach, Signal, To};

type Row = (libc::c_long, &'static str, &'static [Shape]);

/// The calls that are written down on every machine. `sendmmsg` is not one of them: the step's first process
/// hands the listener over by it, and the socket that it needs was told of when it was made.
const CALLS: &[Row] = &[
    (libc::SYS_openat, "openat", &[Open(Some(0), 1, 2)]),
    (libc::SYS_openat2, "openat2", &[OpenHow]),
    (libc::SYS_execve, "execve", &[To(Act::Execute, None, 0)]),
    (
        libc::SYS_execveat,
        "execveat",
        &[To(Act::Execute, Some(0), 1)],
    ),
    (libc::SYS_clone, "clone", &[Plain(Act::Fork)]),
    (libc::SYS_socket, "socket", &[Family]),
    (libc::SYS_connect, "connect", &[Reach(1, 2)]),
    (libc::SYS_bind, "bind", &[Reach(1, 2)]),
    (libc::SYS_sendto, "sendto", &[Reach(4, 5)]),
    (libc::SYS_sendmsg, "sendmsg", &[Message]),
    (
        libc::SYS_unlinkat,
        "unlinkat",
        &[To(Act::Change, Some(0), 1)],
    ),
    (libc::SYS_renameat, "renameat", RENAME),
    (libc::SYS_renameat2, "renameat2", RENAME),
    (libc::SYS_linkat, "linkat", RENAME),
    (
        libc::SYS_symlinkat,
        "symlinkat",
        &[To(Act::Change, Some(1), 2)],
    ),
    (libc::SYS_mkdirat, "mkdirat", &[To(Act::Change, Some(0), 1)]),
    (libc::SYS_mknodat, "mknodat", &[To(Act::Change, Some(0), 1)]),
    (
        libc::SYS_fchmodat,
        "fchmodat",
        &[To(Act::Change, Some(0), 1)],
    ),
    (
        libc::SYS_fchownat,
        "fchownat",
        &[To(Act::Change, Some(0), 1)],
    ),
    (
        libc::SYS_utimensat,
        "utimensat",
        &[To(Act::Change, Some(0), 1)],
    ),
    (libc::SYS_truncate, "truncate", &[To(Act::Write, None, 0)]),
    (
        libc::SYS_memfd_create,
        "memfd_create",
        &[Plain(Act::Memory)],
    ),
    (libc::SYS_kill, "kill", &[Signal]),
    (libc::SYS_tkill, "tkill", &[Signal]),
    (libc::SYS_tgkill, "tgkill", &[Signal]),
    (libc::SYS_rt_sigqueueinfo, "rt_sigqueueinfo", &[Signal]),
];

const RENAME: &[Shape] = &[To(Act::Change, Some(0), 1), To(Act::Change, Some(2), 3)];

/// The older calls of this machine.
#[cfg(target_arch = "x86_64")]
const CALLS_HERE: &[Row] = &[
    (libc::SYS_open, "open", &[Open(None, 0, 1)]),
    (libc::SYS_creat, "creat", &[To(Act::Write, None, 0)]),
    (libc::SYS_fork, "fork", &[Plain(Act::Fork)]),
    (libc::SYS_vfork, "vfork", &[Plain(Act::Fork)]),
    (libc::SYS_unlink, "unlink", &[To(Act::Change, None, 0)]),
    (libc::SYS_rmdir, "rmdir", &[To(Act::Change, None, 0)]),
    (libc::SYS_rename, "rename", BOTH),
    (libc::SYS_link, "link", BOTH),
    (libc::SYS_symlink, "symlink", &[To(Act::Change, None, 1)]),
    (libc::SYS_mkdir, "mkdir", &[To(Act::Change, None, 0)]),
    (libc::SYS_mknod, "mknod", &[To(Act::Change, None, 0)]),
    (libc::SYS_chmod, "chmod", &[To(Act::Change, None, 0)]),
    (libc::SYS_chown, "chown", &[To(Act::Change, None, 0)]),
    (libc::SYS_lchown, "lchown", &[To(Act::Change, None, 0)]),
    (libc::SYS_utime, "utime", &[To(Act::Change, None, 0)]),
    (libc::SYS_utimes, "utimes", &[To(Act::Change, None, 0)]),
    (
        libc::SYS_futimesat,
        "futimesat",
        &[To(Act::Change, Some(0), 1)],
    ),
];
#[cfg(target_arch = "x86_64")]
const BOTH: &[Shape] = &[To(Act::Change, None, 0), To(Act::Change, None, 1)];
#[cfg(not(target_arch = "x86_64"))]
const CALLS_HERE: &[Row] = &[];

macro_rules! named {
    ($($name:ident)*) => { &[$((libc::$name, stringify!($name))),*] };
}

/// Names of calls that no step may make, for the reader.
const FORBIDDEN: &[(libc::c_long, &str)] = named![
    SYS_ptrace SYS_process_vm_readv SYS_process_vm_writev SYS_pidfd_open SYS_pidfd_getfd SYS_pidfd_send_signal SYS_process_madvise SYS_kcmp
    SYS_mount SYS_umount2 SYS_move_mount SYS_open_tree SYS_fsopen SYS_fsmount SYS_mount_setattr SYS_pivot_root SYS_chroot SYS_unshare SYS_setns
    SYS_bpf SYS_keyctl SYS_add_key SYS_request_key SYS_io_uring_setup SYS_io_uring_enter SYS_io_uring_register SYS_userfaultfd SYS_perf_event_open
    SYS_init_module SYS_finit_module SYS_delete_module SYS_kexec_load SYS_reboot SYS_swapon SYS_swapoff SYS_acct SYS_quotactl SYS_seccomp
    SYS_open_by_handle_at SYS_name_to_handle_at SYS_fanotify_init SYS_fanotify_mark SYS_syslog SYS_sethostname SYS_setdomainname SYS_settimeofday
    SYS_clock_settime SYS_clock_adjtime SYS_adjtimex SYS_setuid SYS_setgid SYS_setreuid SYS_setregid SYS_setresuid SYS_setresgid SYS_setgroups
    SYS_setfsuid SYS_setfsgid SYS_capset SYS_personality SYS_ioctl SYS_fchmodat2 SYS_setxattr SYS_lsetxattr SYS_fsetxattr SYS_removexattr
    SYS_mbind SYS_set_mempolicy SYS_migrate_pages SYS_move_pages SYS_mlockall SYS_munlockall SYS_pkey_alloc SYS_pkey_free SYS_pkey_mprotect SYS_ioprio_set
    SYS_ioprio_get SYS_shmget SYS_shmat SYS_shmctl SYS_msgget SYS_semget SYS_mq_open SYS_io_setup SYS_vhangup SYS_lookup_dcookie
];

/// Returns the numbers of the calls that are written down, all of which a step may make.
pub(crate) fn numbers() -> impl Iterator<Item = libc::c_long> {
    CALLS.iter().chain(CALLS_HERE).map(|(number, ..)| *number)
}

/// The low half of an argument, as the kernel takes whole numbers.
pub(crate) fn int(argument: u64) -> i32 {
    let [a, b, c, d, ..] = argument.to_le_bytes();
    i32::from_le_bytes([a, b, c, d])
}

/// A call that waits for its answer.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// The thread, as seen from here.
    pub(crate) thread: u32,
    pub(crate) number: i32,
    pub(crate) arguments: [u64; 6],
}

impl Waiting {
    fn argument(&self, at: u8) -> u64 {
        self.arguments
            .get(usize::from(at))
            .copied()
            .unwrap_or_default()
    }

    /// Reads what the call is about.
    pub(crate) fn events(&self, answer: Answer) -> Vec<Event> {
        let number = libc::c_long::from(self.number);
        let row = CALLS
            .iter()
            .chain(CALLS_HERE)
            .find(|(known, ..)| *known == number);
        let event = |call: &str, (act, subject)| Event {
            call: call.to_owned(),
            act,
            subject,
            answer,
        };
        match row {
            Some((_, name, shapes)) => shapes
                .iter()
                .map(|shape| event(name, self.read(*shape)))
                .collect(),
            None => {
                let name = FORBIDDEN
                    .iter()
                    .find(|(known, _)| *known == number)
                    .map_or_else(
                        || format!("system call {number}"),
                        |(_, name)| name.trim_start_matches("SYS_").to_owned(),
                    );
                vec![event(&name, (Act::Forbidden, Subject::Nothing))]
            }
        }
    }

    fn read(&self, shape: Shape) -> (Act, Subject) {
        match shape {
            Open(folder, path, flags) => (opened(self.argument(flags)), self.path(folder, path)),
            OpenHow => {
                let flags = self.memory::<8>(self.argument(2)).map(u64::from_ne_bytes);
                (flags.map_or(Act::Write, opened), self.path(Some(0), 1))
            }
            To(act, folder, path) => (act, self.path(folder, path)),
            Reach(at, length) => (
                Act::Reach,
                self.address(self.argument(at), self.argument(length)),
            ),
            Message => (Act::Reach, self.message()),
            Family => (Act::Socket, Subject::Address(family(int(self.argument(0))))),
            Signal => (Act::Signal, self.signalled()),
            Plain(act) => (act, Subject::Nothing),
        }
    }

    /// Reads exactly `N` bytes.
    fn memory<const N: usize>(&self, at: u64) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        let file = File::open(format!("/proc/{}/mem", self.thread)).ok()?;
        file.read_exact_at(&mut bytes, at).ok()?;
        Some(bytes)
    }

    fn path(&self, folder: Option<u8>, path: u8) -> Subject {
        let Some(given) = self.text(self.argument(path)) else {
            return Subject::Unreadable;
        };
        if given.starts_with(b"/") {
            return Subject::Path(plain(&given));
        }
        let folder = folder.map_or(libc::AT_FDCWD, |at| int(self.argument(at)));
        let link = if folder == libc::AT_FDCWD {
            format!("/proc/{}/cwd", self.thread)
        } else {
            format!("/proc/{}/fd/{folder}", self.thread)
        };
        let Ok(above) = fs::read_link(link) else {
            return Subject::Unreadable;
        };
        let mut whole = above.as_os_str().as_bytes().to_vec();
        if !given.is_empty() {
            whole.push(b'/');
            whole.extend_from_slice(&given);
        }
        Subject::Path(plain(&whole))
    }

    /// Reads the bytes up to a zero.
    fn text(&self, at: u64) -> Option<Vec<u8>> {
        let file = File::open(format!("/proc/{}/mem", self.thread)).ok()?;
        let mut bytes = vec![0; PATH];
        // A text at the end of what is mapped reads short.
        let count = file.read_at(&mut bytes, at).ok()?;
        bytes.truncate(count);
        let end = bytes.iter().position(|byte| *byte == 0)?;
        bytes.truncate(end);
        Some(bytes)
    }

    fn address(&self, at: u64, length: u64) -> Subject {
        if at == 0 {
            return Subject::Nothing;
        }
        let length = usize::try_from(int(length)).unwrap_or(0).min(ADDRESS);
        let mut bytes = vec![0; length];
        let read = File::open(format!("/proc/{}/mem", self.thread))
            .and_then(|file| file.read_exact_at(&mut bytes, at));
        match (read, address(&bytes)) {
            (Ok(()), Some(address)) => Subject::Address(address),
            _ => Subject::Unreadable,
        }
    }

    fn message(&self) -> Subject {
        // The header begins with a pointer to the address and its length.
        let header = self.argument(1);
        let at = self.memory(header).map(u64::from_ne_bytes);
        let length = header
            .checked_add(8)
            .and_then(|place| self.memory(place))
            .map(u32::from_ne_bytes);
        match (at, length) {
            (Some(at), Some(length)) => self.address(at, u64::from(length)),
            _ => Subject::Unreadable,
        }
    }

    fn signalled(&self) -> Subject {
        let target = int(self.argument(0));
        let status = fs::read_to_string(format!("/proc/{}/status", self.thread));
        // The numbers that it has in its own namespace are the last ones.
        let own = status.iter().flat_map(|text| text.lines()).any(|line| {
            (line.starts_with("NStgid:") || line.starts_with("NSpid:"))
                && line
                    .split_ascii_whitespace()
                    .next_back()
                    .is_some_and(|number| number.parse() == Ok(target))
        });
        if own {
            Subject::Itself
        } else {
            Subject::Process(target)
        }
    }
}

/// Whether an opening with these flags reads alone.
fn opened(flags: u64) -> Act {
    let flags = int(flags);
    let making = libc::O_CREAT | libc::O_TRUNC | (libc::O_TMPFILE & !libc::O_DIRECTORY);
    if flags & libc::O_ACCMODE == libc::O_RDONLY && flags & making == 0 {
        Act::Read
    } else {
        Act::Write
    }
}

/// Takes `.` and `..` and empty parts out of an absolute path, and makes a text of it.
fn plain(path: &[u8]) -> String {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let mut whole = vec![b'/'];
    whole.extend_from_slice(&parts.join(&b'/'));
    printable(&whole)
}

fn printable(bytes: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(bytes).chars().take(TEXT).collect();
    visible_line(&text)
}

fn family(number: i32) -> String {
    let name = match number {
        libc::AF_UNIX => "unix",
        libc::AF_INET => "IPv4",
        libc::AF_INET6 => "IPv6",
        libc::AF_NETLINK => "netlink",
        libc::AF_PACKET => "packet",
        libc::AF_VSOCK => "vsock",
        other => return format!("family {other}"),
    };
    name.to_owned()
}

/// Makes a text of a socket's address; `None` where it is cut off.
fn address(bytes: &[u8]) -> Option<String> {
    let (number, rest) = bytes.split_first_chunk()?;
    let number = i32::from(u16::from_ne_bytes(*number));
    Some(match number {
        libc::AF_UNIX => {
            let (mark, name) = match rest.split_first() {
                Some((0, name)) => ("@", name),
                _ => ("", rest),
            };
            let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
            format!("unix {mark}{}", printable(name))
        }
        libc::AF_INET => {
            let (port, rest) = rest.split_first_chunk()?;
            let host: [u8; 4] = *rest.first_chunk()?;
            SocketAddr::from((Ipv4Addr::from(host), u16::from_be_bytes(*port))).to_string()
        }
        libc::AF_INET6 => {
            let (port, rest) = rest.split_first_chunk()?;
            // After the flow.
            let (_, rest) = rest.split_first_chunk::<4>()?;
            let host: [u8; 16] = *rest.first_chunk()?;
            SocketAddr::from((Ipv6Addr::from(host), u16::from_be_bytes(*port))).to_string()
        }
        other => family(other),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_plain() {
        for (given, expect) in [
            ("/a/./b//c", "/a/b/c"),
            ("/usr/lib/../../etc/passwd", "/etc/passwd"),
            ("/../..", "/"),
            ("/a\n\u{1b}[31m", "/a\\n\\u{1b}[31m"),
        ] {
            assert_eq!(plain(given.as_bytes()), expect);
        }
        assert_eq!(plain(&[b'/', 0xFF]), "/\u{FFFD}");
        assert_eq!(plain(&[b'x'; 5000]).chars().count(), TEXT);
    }

    #[test]
    fn flags_tell_reading_from_writing() {
        for (flags, expect) in [
            (libc::O_RDONLY | libc::O_CLOEXEC, Act::Read),
            (libc::O_RDONLY | libc::O_DIRECTORY, Act::Read),
            (libc::O_PATH, Act::Read),
            (libc::O_WRONLY, Act::Write),
            (libc::O_RDWR, Act::Write),
            (libc::O_RDONLY | libc::O_CREAT, Act::Write),
            (libc::O_RDONLY | libc::O_TRUNC, Act::Write),
            (libc::O_TMPFILE | libc::O_RDWR, Act::Write),
            (3, Act::Write),
        ] {
            assert_eq!(opened(u64::from(flags.unsigned_abs())), expect, "{flags:o}");
        }
    }

    #[test]
    fn addresses_become_text() {
        let with = |family: i32, rest: &[u8]| {
            let mut bytes = u16::try_from(family).unwrap().to_ne_bytes().to_vec();
            bytes.extend_from_slice(rest);
            bytes
        };
        let six = [&[0, 80, 0, 0, 0, 0][..], &[0; 15], &[1]].concat();
        for (bytes, expect) in [
            (
                with(libc::AF_INET, &[1, 187, 10, 0, 0, 7, 0, 0]),
                Some("10.0.0.7:443"),
            ),
            (with(libc::AF_INET6, &six), Some("[::1]:80")),
            (with(libc::AF_UNIX, b"/run/x\0\0"), Some("unix /run/x")),
            (with(libc::AF_UNIX, b"\0hidden"), Some("unix @hidden")),
            (with(libc::AF_UNIX, b""), Some("unix ")),
            (with(libc::AF_NETLINK, b""), Some("netlink")),
            (with(99, b""), Some("family 99")),
            (with(libc::AF_INET, &[1, 187, 10]), None),
            (vec![2], None),
        ] {
            assert_eq!(address(&bytes).as_deref(), expect);
        }
    }

    #[test]
    fn no_call_is_listed_twice() {
        let mut all: Vec<_> = numbers().collect();
        all.sort_unstable();
        let count = all.len();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn what_is_not_there_cannot_be_read() {
        let waiting = Waiting {
            thread: u32::MAX,
            number: i32::try_from(libc::SYS_openat).unwrap(),
            arguments: [0, 1, u64::from(libc::O_RDWR.unsigned_abs()), 0, 0, 0],
        };
        let events = waiting.events(Answer::Passed);
        assert_eq!(events.len(), 1);
        assert_eq!(
            (events[0].act, &events[0].subject),
            (Act::Write, &Subject::Unreadable)
        );
    }
}
