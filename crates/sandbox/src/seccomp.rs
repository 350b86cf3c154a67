//! Which system calls a step may make: a list; any other answers `EPERM`.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use crate::{sys, watch};

const CLONE_NAMESPACES: u64 = 0x7E02_0080;
const CLONE_THREAD: u64 = 0x1_0000;
/// The kinds of sockets that a step may make, of its own network namespace alone: no netlink, packets or
/// virtual machine sockets.
const FAMILIES: [i32; 3] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6];
/// Their protocols: the usual one of a family, TCP and UDP. Others are code of the kernel that nobody needs here.
const PROTOCOLS: [i32; 3] = [0, libc::IPPROTO_TCP, libc::IPPROTO_UDP];
/// Stands in a filter for the answer "ask the supervisor" until it is installed.
const ASK: SeccompAction = SeccompAction::Trace(0xA5C);
/// The instruction that returns a constant.
const RETURN: u16 = 0x06;

macro_rules! numbers {
    ($($name:ident)*) => { &[$(libc::$name),*] };
}

/// Calls of ordinary programs: files, memory, threads, time, signals, pipes, waiting.
const ALLOWED: &[libc::c_long] = numbers![
    SYS_read SYS_write SYS_close SYS_fstat SYS_lseek SYS_mmap SYS_mprotect SYS_munmap SYS_brk SYS_rt_sigaction SYS_rt_sigprocmask SYS_rt_sigreturn
    SYS_pread64 SYS_pwrite64 SYS_readv SYS_writev SYS_preadv SYS_pwritev SYS_preadv2 SYS_pwritev2 SYS_sched_yield SYS_mremap SYS_msync SYS_mincore SYS_madvise
    SYS_dup SYS_dup3 SYS_nanosleep SYS_getitimer SYS_setitimer SYS_getpid SYS_sendfile SYS_bind SYS_listen SYS_accept SYS_accept4
    SYS_connect SYS_getsockname SYS_getpeername SYS_sendto SYS_recvfrom SYS_setsockopt SYS_getsockopt SYS_shutdown SYS_sendmsg SYS_recvmsg SYS_sendmmsg SYS_recvmmsg
    SYS_execve SYS_exit SYS_exit_group SYS_wait4 SYS_waitid SYS_kill SYS_tkill SYS_tgkill SYS_uname SYS_flock SYS_fsync SYS_fdatasync SYS_truncate
    SYS_ftruncate SYS_getdents64 SYS_getcwd SYS_chdir SYS_fchdir SYS_fchmod SYS_fchmodat SYS_fchown SYS_fchownat SYS_umask SYS_gettimeofday SYS_getrlimit SYS_getrusage
    SYS_sysinfo SYS_times SYS_getuid SYS_getgid SYS_geteuid SYS_getegid SYS_setpgid SYS_getppid SYS_setsid SYS_getpgid SYS_getsid SYS_getgroups
    SYS_getresuid SYS_getresgid SYS_capget SYS_rt_sigpending SYS_rt_sigtimedwait SYS_rt_sigqueueinfo SYS_rt_sigsuspend SYS_sigaltstack SYS_statfs SYS_fstatfs
    SYS_getpriority SYS_setpriority SYS_sched_setparam SYS_sched_getparam SYS_sched_setscheduler SYS_sched_getscheduler SYS_sched_get_priority_max
    SYS_sched_get_priority_min SYS_sched_rr_get_interval SYS_mlock SYS_munlock SYS_prctl SYS_setrlimit SYS_gettid SYS_readahead SYS_futex
    SYS_sched_setaffinity SYS_sched_getaffinity SYS_set_tid_address SYS_fadvise64 SYS_timer_create SYS_timer_settime SYS_timer_gettime SYS_timer_getoverrun
    SYS_timer_delete SYS_clock_gettime SYS_clock_getres SYS_clock_nanosleep SYS_openat SYS_openat2 SYS_mkdirat SYS_newfstatat SYS_unlinkat SYS_renameat
    SYS_renameat2 SYS_linkat SYS_symlinkat SYS_readlinkat SYS_faccessat SYS_faccessat2 SYS_pselect6 SYS_ppoll SYS_set_robust_list SYS_get_robust_list
    SYS_splice SYS_tee SYS_sync_file_range SYS_utimensat SYS_epoll_create1 SYS_epoll_ctl SYS_epoll_pwait SYS_epoll_pwait2 SYS_timerfd_create SYS_timerfd_settime
    SYS_timerfd_gettime SYS_eventfd2 SYS_signalfd4 SYS_fallocate SYS_pipe2 SYS_prlimit64 SYS_syncfs SYS_getcpu SYS_sched_setattr SYS_sched_getattr SYS_getrandom
    SYS_memfd_create SYS_membarrier SYS_copy_file_range SYS_statx SYS_rseq SYS_close_range SYS_clone3 SYS_mlock2 SYS_restart_syscall SYS_getxattr
    SYS_lgetxattr SYS_fgetxattr SYS_listxattr SYS_llistxattr SYS_flistxattr SYS_get_mempolicy
    SYS_execveat SYS_mknodat
];

#[cfg(target_arch = "x86_64")]
const ALLOWED_HERE: &[libc::c_long] = numbers![
    SYS_open SYS_stat SYS_lstat SYS_poll SYS_access SYS_pipe SYS_select SYS_dup2 SYS_pause SYS_alarm SYS_rename SYS_mkdir SYS_rmdir SYS_creat SYS_link SYS_unlink
    SYS_symlink SYS_readlink SYS_chmod SYS_chown SYS_lchown SYS_getpgrp SYS_utime SYS_utimes SYS_time SYS_epoll_create SYS_epoll_wait SYS_eventfd SYS_arch_prctl
    SYS_getdents SYS_futimesat SYS_vfork SYS_fork SYS_mknod
];
#[cfg(not(target_arch = "x86_64"))]
const ALLOWED_HERE: &[libc::c_long] = &[];

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn condition(
    argument: u8,
    length: SeccompCmpArgLen,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<SeccompRule, String> {
    SeccompRule::new(vec![
        SeccompCondition::new(argument, length, operator, value).map_err(text)?,
    ])
    .map_err(text)
}

/// Allows a socket of this family and protocol.
fn socket(family: i32, protocol: i32) -> Result<SeccompRule, String> {
    let is = |argument, value: i32| {
        SeccompCondition::new(
            argument,
            SeccompCmpArgLen::Dword,
            SeccompCmpOp::Eq,
            u64::from(value.unsigned_abs()),
        )
    };
    SeccompRule::new(vec![
        is(0, family).map_err(text)?,
        is(2, protocol).map_err(text)?,
    ])
    .map_err(text)
}

/// What confines a step: filters, of which the last may tell calls instead of answering them.
pub(crate) struct Filters {
    first: BpfProgram,
    pretend: BpfProgram,
    list: BpfProgram,
    observe: bool,
}

impl Filters {
    /// Builds them. With `observe` the calls of [`watch::numbers`] and all that are not on the list are told
    /// to the holder of the listener.
    pub(crate) fn new(observe: bool) -> Result<Self, String> {
        let arch: TargetArch = std::env::consts::ARCH.try_into().map_err(text)?;
        let errno = |number: i32| SeccompAction::Errno(number.unsigned_abs());
        let other = if observe { ASK } else { errno(libc::EPERM) };
        let list =
            SeccompFilter::new(rules(observe)?, other, SeccompAction::Allow, arch).map_err(text)?;
        // `clone3` hides its flags from a filter: programs that are told that it is not there use `clone`.
        let clone3 = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
        let clone3 = SeccompFilter::new(clone3, SeccompAction::Allow, errno(libc::ENOSYS), arch)
            .map_err(text)?;
        // Which processors a step uses is decided before it starts. Libraries that spread their threads over the
        // machine take a refusal as a fault of theirs and say so; they are told that it was done.
        let pretend = BTreeMap::from([(libc::SYS_sched_setaffinity, Vec::new())]);
        let pretend =
            SeccompFilter::new(pretend, SeccompAction::Allow, errno(0), arch).map_err(text)?;
        let mut list: BpfProgram = list.try_into().map_err(text)?;
        if observe {
            let ask = u32::from(ASK);
            for step in list.iter_mut().filter(|step| step.code == RETURN) {
                if step.k == ask {
                    step.k = libc::SECCOMP_RET_USER_NOTIF;
                }
            }
        }
        Ok(Self {
            first: clone3.try_into().map_err(text)?,
            pretend: pretend.try_into().map_err(text)?,
            list,
            observe,
        })
    }

    /// Puts this process under them for ever; returns the listener when calls are told.
    pub(crate) fn install(&self) -> Result<Option<OwnedFd>, String> {
        seccompiler::apply_filter(&self.first).map_err(text)?;
        seccompiler::apply_filter(&self.pretend).map_err(text)?;
        if self.observe {
            return sys::listen_for_calls(&self.list).map(Some).map_err(text);
        }
        seccompiler::apply_filter(&self.list).map_err(text)?;
        Ok(None)
    }
}

/// Says whether a call that the filter told of goes on: those that are told of though they are on the list.
pub(crate) fn goes_on(number: i32, arguments: [u64; 6]) -> bool {
    let number = libc::c_long::from(number);
    let [first, _, third, ..] = arguments;
    match number {
        libc::SYS_clone => first & CLONE_NAMESPACES == 0,
        libc::SYS_socket => {
            FAMILIES.contains(&watch::int(first)) && PROTOCOLS.contains(&watch::int(third))
        }
        _ => {
            watch::numbers().any(|watched| watched == number)
                && ALLOWED
                    .iter()
                    .chain(ALLOWED_HERE)
                    .any(|known| *known == number)
        }
    }
}

/// What goes on without a question.
fn rules(observe: bool) -> Result<BTreeMap<i64, Vec<SeccompRule>>, String> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = ALLOWED
        .iter()
        .chain(ALLOWED_HERE)
        .map(|number| (*number, Vec::new()))
        .collect();
    // A thread or process, but no namespace.
    let (mask, value) = if observe {
        (CLONE_NAMESPACES | CLONE_THREAD, CLONE_THREAD)
    } else {
        (CLONE_NAMESPACES, 0)
    };
    let clone = condition(
        0,
        SeccompCmpArgLen::Qword,
        SeccompCmpOp::MaskedEq(mask),
        value,
    )?;
    let sockets = FAMILIES
        .iter()
        .flat_map(|family| PROTOCOLS.map(|protocol| socket(*family, protocol)));
    rules.insert(libc::SYS_socket, sockets.collect::<Result<_, _>>()?);
    let pair = condition(
        0,
        SeccompCmpArgLen::Dword,
        SeccompCmpOp::Eq,
        u64::from(libc::AF_UNIX.unsigned_abs()),
    )?;
    rules.insert(libc::SYS_socketpair, vec![pair]);
    let tty = [libc::TIOCSTI, libc::TIOCLINUX];
    let ioctl = tty.iter().map(|request| {
        SeccompCondition::new(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, *request).map_err(text)
    });
    rules.insert(
        libc::SYS_ioctl,
        vec![SeccompRule::new(ioctl.collect::<Result<_, _>>()?).map_err(text)?],
    );
    // Notes about what others do in a folder, and about who opens a file: what `inotify` tells.
    let notes = [libc::F_NOTIFY, libc::F_SETLEASE].map(|command| {
        let command = u64::from(command.unsigned_abs());
        SeccompCondition::new(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, command).map_err(text)
    });
    let notes = notes.into_iter().collect::<Result<_, _>>()?;
    rules.insert(
        libc::SYS_fcntl,
        vec![SeccompRule::new(notes).map_err(text)?],
    );
    rules.insert(
        libc::SYS_personality,
        vec![condition(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, 0)?],
    );
    if observe {
        for number in watch::numbers() {
            rules.remove(&number);
        }
    }
    rules.insert(libc::SYS_clone, vec![clone]);
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel gives to a filter: number, architecture, instruction, arguments.
    fn data(number: u32, arguments: [u64; 6]) -> Vec<u8> {
        const X86_64: u32 = 0xC000_003E;
        const AARCH64: u32 = 0xC000_00B7;
        let arch = if cfg!(target_arch = "x86_64") {
            X86_64
        } else {
            AARCH64
        };
        let mut data = [number.to_ne_bytes(), arch.to_ne_bytes(), [0; 4], [0; 4]].concat();
        for argument in arguments {
            data.extend_from_slice(&argument.to_ne_bytes());
        }
        data
    }

    /// Runs a filter as the kernel does.
    fn answer(program: &BpfProgram, data: &[u8]) -> u32 {
        let (mut value, mut at) = (0_u32, 0);
        loop {
            let step = &program[at];
            at += 1;
            let mut jump = |holds: bool| at += usize::from(if holds { step.jt } else { step.jf });
            match step.code {
                0x20 => {
                    let place = usize::try_from(step.k).unwrap();
                    value = u32::from_ne_bytes(data[place..place + 4].try_into().unwrap());
                }
                0x54 => value &= step.k,
                0x05 => at += usize::try_from(step.k).unwrap(),
                0x15 => jump(value == step.k),
                0x25 => jump(value > step.k),
                0x35 => jump(value >= step.k),
                RETURN => return step.k,
                other => panic!("unknown instruction {other:#x}"),
            }
        }
    }

    /// Every call and argument that the rules tell apart is answered under observation as without it.
    #[test]
    fn observing_allows_exactly_what_the_list_allows() {
        let (seen, plain) = (Filters::new(true).unwrap(), Filters::new(false).unwrap());
        let refused = libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs();
        let firsts = [
            0,
            1,
            2,
            10,
            16,
            17,
            40,
            CLONE_THREAD,
            0x7E02_0080,
            0x1000_0000,
        ]
        .into_iter()
        .flat_map(|first| [first, first | CLONE_THREAD, first | 1 << 40]);
        let arguments: Vec<[u64; 6]> = firsts
            .flat_map(|first| {
                let commands = [libc::F_NOTIFY, libc::F_SETLEASE];
                let commands = commands.map(|command| u64::from(command.unsigned_abs()));
                [0, libc::TIOCSTI, libc::TIOCLINUX, libc::TIOCSTI | 1 << 33]
                    .into_iter()
                    .chain(commands)
                    .map(move |second| [first, second])
            })
            .flat_map(|[first, second]| {
                [0, 1, 6, 17, 132, 6 | 1 << 33].map(|third| [first, second, third, 0, 0, 0])
            })
            .collect();
        let (mut asked, mut goes) = (0, 0);
        for number in (0..700).chain([1 << 30, (1 << 30) | 0x3B, u32::MAX]) {
            let protocols = i64::from(number) == libc::SYS_socket;
            for arguments in arguments.iter().filter(|all| all[2] == 0 || protocols) {
                let data = data(number, *arguments);
                let allowed = match answer(&plain.list, &data) {
                    libc::SECCOMP_RET_ALLOW => true,
                    other => {
                        assert_eq!(other, refused);
                        false
                    }
                };
                let observed = match answer(&seen.list, &data) {
                    libc::SECCOMP_RET_ALLOW => true,
                    libc::SECCOMP_RET_USER_NOTIF => {
                        asked += 1;
                        goes_on(number.cast_signed(), *arguments)
                    }
                    other => panic!("{other:#x}"),
                };
                assert_eq!(allowed, observed, "{number} {arguments:x?}");
                goes += u32::from(observed);
            }
        }
        assert!(asked > 0 && goes > 0);
        assert_eq!((&seen.first, &seen.pretend), (&plain.first, &plain.pretend));
    }

    #[test]
    fn every_watched_call_is_told_of() {
        let seen = Filters::new(true).unwrap();
        for number in watch::numbers() {
            let number = u32::try_from(number).unwrap();
            let told = answer(&seen.list, &data(number, [0; 6]));
            assert_eq!(told, libc::SECCOMP_RET_USER_NOTIF, "{number}");
        }
    }
}
