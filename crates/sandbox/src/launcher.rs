//! The side of the launcher: a process of its own that confines itself and runs the step.
#![expect(
    clippy::disallowed_methods,
    reason = "everything that is written here is in the memory of the sandbox"
)]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;

use landlock::{
    ABI, Access, AccessFs, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetStatus,
};

use custody_types::ByteSize;

use crate::network;
use crate::outputs;
use crate::seccomp::Filters;
use crate::spec::{Enforced, Exit, Limits};
use crate::sys;
use crate::usage::{self, Usage};
use crate::wire::{self, FRAME, Orders, Report};

/// Where the new root is built; hidden below it afterwards.
const ROOT: &str = "/tmp";
/// Folders of the host that programs need: interpreters, tools, libraries, time zones. Nothing below them
/// is the user's, so `/usr/src`, `/usr/share` and `/usr/local/share` are not among them.
pub(crate) const SYSTEM: [&str; 13] = [
    "usr/bin",
    "usr/sbin",
    "usr/lib",
    "usr/lib64",
    "usr/lib32",
    "usr/local/bin",
    "usr/local/lib",
    "usr/share/zoneinfo",
    "bin",
    "sbin",
    "lib",
    "lib64",
    "lib32",
];
/// What the host says of its processors; which of them may be used, a step is told otherwise.
const PROCESSORS: &str = "sys/devices/system/cpu";
/// Ways to what is open already.
const LINKS: [(&str, &str); 4] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];
/// The name of the machine that a step sees.
const HOST: &str = "custody";
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];
const SEARCH: [&str; 4] = ["/env/bin", "/usr/local/bin", "/usr/bin", "/bin"];
/// The exit code of the process that could not become the step's program.
const NOT_STARTED: i32 = 127;
/// The exit code of a part of this program that broke off.
const PANICKED: i32 = 101;
/// The descriptors of the first process: what it says to the launcher, and the socket of the launcher.
const STATUS: RawFd = 3;
const SOCKET: RawFd = 4;
/// The first descriptor that it closes.
const AFTER: RawFd = 5;

/// A part of the launcher's own program that can be a step: `argv` names it, and no file is executed.
#[derive(Debug, Clone, Copy)]
pub struct BuiltIn {
    /// The first word of the command. No file can have it: it ends with a colon.
    pub name: &'static str,
    /// What it does, given the other words; returns the exit code.
    pub run: fn(&[String]) -> u8,
}

/// What a step is.
enum Program {
    File(String),
    BuiltIn(BuiltIn),
}

/// Turns the process into the launcher. The caller does nothing before. `built_in`: what steps may be
/// beside files.
pub fn launcher_main(built_in: &[BuiltIn]) -> ExitCode {
    // Descriptor 0 is the socket that the supervisor left there.
    let Ok(mut socket) = take_socket() else {
        return ExitCode::FAILURE;
    };
    match launch(&mut socket, built_in) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let told = wire::tell(&mut socket, &Report::Unavailable(error.to_string()));
            ExitCode::from(if told.is_ok() { 125 } else { 1 })
        }
    }
}

#[expect(
    unsafe_code,
    reason = "takes over the descriptor that the supervisor left at 0"
)]
fn take_socket() -> io::Result<UnixStream> {
    // SAFETY: descriptor 0 was opened by the supervisor for this and is used nowhere else.
    let socket = unsafe { OwnedFd::from_raw_fd(0) };
    // A copy above the standard ones: 0 becomes the step's empty input.
    let copy = socket.try_clone()?;
    let null = File::open("/dev/null")?;
    drop(socket);
    sys::place(null.as_raw_fd(), 0)?;
    Ok(UnixStream::from(copy))
}

/// Says what was being done when it failed.
fn at(what: &str) -> impl FnOnce(io::Error) -> io::Error + '_ {
    move |error| io::Error::new(error.kind(), format!("{what}: {error}"))
}

fn launch(socket: &mut UnixStream, built_in: &[BuiltIn]) -> io::Result<()> {
    sys::die_with_parent()?;
    let orders: Orders = wire::hear(socket)?;
    sys::unshare_all().map_err(at("no new namespaces"))?;
    // In the new mount namespace, whose mounts alone may be mounted again, but still as the old user, who
    // may enter the folders of the environment.
    let host = Host::open(&orders)?;
    wire::tell(socket, &Report::Unshared)?;
    wire::receive(socket)?;
    sys::become_user(orders.uid).map_err(at("no user in the new namespace"))?;
    // Becoming another user forgets the wish.
    sys::die_with_parent()?;
    sys::raise_loopback().map_err(at("no loopback of its own"))?;
    network::listen(socket, &orders.endpoints).map_err(at("an endpoint cannot be listened at"))?;
    let memory = build(&host, &orders)?;
    drop(host);
    for (place, files) in &orders.trees {
        fill(socket, place, files)?;
        sys::seal(&format!("{ROOT}{place}")).map_err(at("inputs cannot be made read-only"))?;
    }
    for place in ["/in", ""] {
        sys::seal(&format!("{ROOT}{place}")).map_err(at("the root cannot be made read-only"))?;
    }
    sys::name_host(HOST).map_err(at("no host name of its own"))?;
    let program = match program(&orders.argv, built_in) {
        Ok(program) => program,
        Err(because) => return wire::tell(socket, &Report::NoCommand(because)),
    };
    let exit = run(socket, &orders, &program, memory)?;
    if exit == Exit::Code(0) {
        for output in &orders.outputs {
            if let Some(refused) = outputs::survey(Path::new("/out"), output, &orders.limits)? {
                return wire::tell(socket, &refused);
            }
        }
        for output in &orders.outputs {
            outputs::send(socket, Path::new("/out"), output)?;
        }
    }
    wire::tell(socket, &Report::Done)
}

/// What is taken over from the host, opened before it goes out of sight.
struct Host {
    system: Vec<(&'static str, Result<OwnedFd, std::path::PathBuf>)>,
    devices: Vec<(&'static str, OwnedFd)>,
    loader_cache: Option<OwnedFd>,
    /// Which processors the machine could have, and which it has.
    processors: Vec<(&'static str, String)>,
    environment: Option<OwnedFd>,
}

impl Host {
    fn open(orders: &Orders) -> io::Result<Self> {
        let mut system = Vec::new();
        for name in SYSTEM {
            let path = Path::new("/").join(name);
            match fs::symlink_metadata(&path) {
                Ok(metadata) if metadata.is_symlink() => {
                    system.push((name, Err(fs::read_link(&path)?)));
                }
                Ok(_) => system.push((name, Ok(sys::open_path(&path)?))),
                Err(_) => {}
            }
        }
        let devices = DEVICES
            .iter()
            .map(|name| Ok((*name, sys::open_path(&Path::new("/dev").join(name))?)))
            .collect::<io::Result<_>>()?;
        let environment = orders
            .environment
            .as_ref()
            .map(|path| sys::open_path(path))
            .transpose()
            .map_err(at("the environment is not there"))?;
        Ok(Self {
            system,
            devices,
            loader_cache: sys::open_path(Path::new("/etc/ld.so.cache")).ok(),
            processors: ["possible", "present"]
                .into_iter()
                .filter_map(|name| {
                    let text = fs::read_to_string(format!("/{PROCESSORS}/{name}")).ok()?;
                    Some((name, text))
                })
                .collect(),
            environment,
        })
    }
}

fn folder(path: &str) -> io::Result<()> {
    let full = format!("{ROOT}{path}");
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(&full)
        .map_err(at(&full))
}

fn file(path: &str, text: &str) -> io::Result<()> {
    fs::write(format!("{ROOT}{path}"), text).map_err(at(path))
}

/// Mounts a folder in memory that is never swapped. Returns which kind it is.
fn memory(place: &str, orders: &Orders) -> io::Result<&'static str> {
    mount_memory(place, orders, orders.limits.output, 0, "0755")
}

fn mount_memory(
    place: &str,
    orders: &Orders,
    size: ByteSize,
    flags: libc::c_ulong,
    mode: &str,
) -> io::Result<&'static str> {
    let target = format!("{ROOT}{place}");
    let flags = libc::MS_NOSUID | libc::MS_NODEV | flags;
    let (mode, size) = (format!("mode={mode}"), size.bytes());
    // One more than files and folders: the folder itself.
    let files = u64::from(orders.limits.files) + 1;
    let data = format!("{mode},size={size},nr_inodes={files}");
    if !orders.swap {
        return sys::mount("tmpfs", &target, "tmpfs", flags, &data)
            .map(|()| "tmpfs, no swap on this machine");
    }
    if sys::mount("tmpfs", &target, "tmpfs", flags, &format!("{data},noswap")).is_ok() {
        return Ok("tmpfs noswap");
    }
    sys::mount("ramfs", &target, "ramfs", flags, &mode).map(|()| "ramfs")
}

fn build(host: &Host, orders: &Orders) -> io::Result<&'static str> {
    sys::mount("", "/", "", libc::MS_REC | libc::MS_PRIVATE, "")
        .map_err(at("mounts cannot be made private"))?;
    sys::mount(
        "tmpfs",
        ROOT,
        "tmpfs",
        libc::MS_NOSUID | libc::MS_NODEV,
        "mode=0755,size=4m",
    )
    .map_err(at("no root in memory"))?;
    for (name, what) in &host.system {
        let path = format!("/{name}");
        match what {
            Err(link) => {
                if let Some((above, _)) =
                    path.rsplit_once('/').filter(|(above, _)| !above.is_empty())
                {
                    folder(above)?;
                }
                symlink(link, format!("{ROOT}{path}"))?;
            }
            Ok(source) => {
                folder(&path)?;
                sys::bind(source, &format!("{ROOT}{path}"), true).map_err(at(&path))?;
            }
        }
    }
    for path in [
        "/etc", "/dev", "/dev/shm", "/proc", "/in", "/code", "/out", "/tmp", "/env",
    ] {
        folder(path)?;
    }
    file(
        "/etc/passwd",
        &format!("step:x:{0}:{0}:step:/tmp:/usr/sbin/nologin\n", orders.uid),
    )?;
    file("/etc/group", &format!("step:x:{}:\n", orders.uid))?;
    file(
        "/etc/hosts",
        &format!(
            "127.0.0.1 localhost {HOST}\n::1 localhost\n{}",
            network::hosts(&orders.endpoints)?
        ),
    )?;
    // A name may have an address of each kind.
    file("/etc/host.conf", "multi on\n")?;
    // Names are looked up in these files alone: there is nobody to ask.
    file(
        "/etc/nsswitch.conf",
        "passwd: files\ngroup: files\nhosts: files\n",
    )?;
    processors(host, orders)?;
    if let Some(cache) = &host.loader_cache {
        file("/etc/ld.so.cache", "")?;
        sys::bind(cache, &format!("{ROOT}/etc/ld.so.cache"), true)
            .map_err(at("/etc/ld.so.cache"))?;
    }
    for (name, source) in &host.devices {
        file(&format!("/dev/{name}"), "")?;
        sys::bind(source, &format!("{ROOT}/dev/{name}"), false).map_err(at(name))?;
    }
    for (name, to) in LINKS {
        symlink(to, format!("{ROOT}/dev/{name}")).map_err(at(name))?;
    }
    let (size, flags) = (orders.limits.memory, libc::MS_NOEXEC);
    mount_memory("/dev/shm", orders, size, flags, "1777").map_err(at("/dev/shm"))?;
    if let Some(environment) = &host.environment {
        sys::show(environment, &format!("{ROOT}/env")).map_err(at("/env"))?;
    }
    let kind = memory("/tmp", orders)?;
    for output in &orders.outputs {
        let place = format!("/out/{output}");
        folder(&place)?;
        memory(&place, orders).map_err(at(&place))?;
    }
    sys::mount(
        "ramfs",
        &format!("{ROOT}/in"),
        "ramfs",
        libc::MS_NOSUID | libc::MS_NODEV,
        "mode=0755",
    )
    .map_err(at("/in"))?;
    for place in orders.trees.keys() {
        folder(place)?;
        sys::mount(
            "ramfs",
            &format!("{ROOT}{place}"),
            "ramfs",
            libc::MS_NOSUID | libc::MS_NODEV,
            "mode=0755",
        )
        .map_err(at(place))?;
    }
    Ok(kind)
}

/// Says which processors there are, where libraries look for it.
fn processors(host: &Host, orders: &Orders) -> io::Result<()> {
    if orders.processors.is_empty() {
        return Ok(());
    }
    folder(&format!("/{PROCESSORS}"))?;
    for (name, text) in &host.processors {
        file(&format!("/{PROCESSORS}/{name}"), text)?;
    }
    let numbers: Vec<_> = orders.processors.iter().map(u32::to_string).collect();
    file(
        &format!("/{PROCESSORS}/online"),
        &format!("{}\n", numbers.join(",")),
    )
}

/// Writes the files that the supervisor sends, in the order that both know.
fn fill(
    socket: &mut UnixStream,
    place: &str,
    files: &[custody_types::FileEntry],
) -> io::Result<()> {
    let mut buffer = vec![0; FRAME];
    for entry in files {
        let path = format!("{ROOT}{place}/{}", entry.path);
        if let Some(folder) = Path::new(&path).parent() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(folder)?;
        }
        let mode = if entry.executable { 0o555 } else { 0o444 };
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&path)?;
        let mut left = entry.size.bytes();
        while left > 0 {
            let count = usize::try_from(left).unwrap_or(FRAME).min(FRAME);
            let part = buffer.get_mut(..count).unwrap_or_default();
            socket.read_exact(part)?;
            file.write_all(part)?;
            left -= count as u64;
        }
    }
    Ok(())
}

/// Runs the step below a process that is the first of its namespace and takes everything with it.
fn run(
    socket: &mut UnixStream,
    orders: &Orders,
    program: &Program,
    memory: &str,
) -> io::Result<Exit> {
    let filters = Filters::new(orders.observe).map_err(io::Error::other)?;
    let (mut status, mut status_end) = io::pipe()?;
    let Some(init) = sys::fork()? else {
        drop(status);
        let failed = confine_and_wait(orders, program, &filters, &status_end, socket);
        // What went wrong is told before the step's first instruction.
        let text = failed.map_or_else(|error| error.to_string(), |()| String::new());
        let _ = wire::tell(&mut status_end, &Status::Failed(text));
        sys::exit(1)
    };
    drop(status_end);
    let landlock = match wire::hear(&mut status) {
        Ok(Status::Confined { landlock }) => landlock,
        Ok(Status::Failed(error)) => return Err(io::Error::other(error)),
        Ok(Status::Ended(_)) | Err(_) => {
            return Err(io::Error::other("the step's first process broke off"));
        }
    };
    wire::tell(
        socket,
        &Report::Started(enforced(orders, memory, &landlock)),
    )?;
    let waited = wait(init, socket, orders)?;
    sys::kill(init);
    // The first process of a namespace is gone when all others are.
    sys::wait_for(init)?;
    let exit = match wire::hear(&mut status) {
        _ if waited == Stopped::TimedOut => Exit::TimedOut,
        _ if waited == Stopped::OutOfMemory => Exit::OutOfMemory,
        Ok(Status::Ended(exit)) => exit,
        _ => Exit::Signal(libc::SIGKILL),
    };
    wire::tell(socket, &Report::Ended(exit))?;
    Ok(exit)
}

/// Why a step need not be waited for any longer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stopped {
    /// It ended, or nobody wants it any more.
    Ended,
    TimedOut,
    OutOfMemory,
}

/// Waits for the end of the step's first process, as long as time and memory are not over.
fn wait(init: libc::pid_t, socket: &UnixStream, orders: &Orders) -> io::Result<Stopped> {
    let usage = Usage::works().then(|| Usage::new(orders.limits.memory, &orders.outputs));
    let began = sys::monotonic_ms();
    let mut pause = if usage.is_some() {
        usage::LOOK_MS
    } else {
        u64::MAX
    };
    loop {
        let left = orders
            .limits
            .time_ms
            .saturating_sub(sys::monotonic_ms().saturating_sub(began));
        match sys::ends_within(init, socket, left.min(pause))? {
            sys::Waited::TimedOut if left <= pause => return Ok(Stopped::TimedOut),
            sys::Waited::TimedOut => {}
            sys::Waited::Ended | sys::Waited::HungUp => return Ok(Stopped::Ended),
        }
        if let Some(usage) = &usage {
            let looked = sys::monotonic_ms();
            if usage.is_over() {
                return Ok(Stopped::OutOfMemory);
            }
            pause = Usage::pause_ms(sys::monotonic_ms().saturating_sub(looked));
        }
    }
}

/// What the first process of the namespace says to the launcher.
#[derive(serde::Serialize, serde::Deserialize)]
enum Status {
    Confined { landlock: String },
    Failed(String),
    Ended(Exit),
}

fn confine_and_wait(
    orders: &Orders,
    program: &Program,
    filters: &Filters,
    status: &io::PipeWriter,
    socket: &UnixStream,
) -> io::Result<()> {
    sys::die_with_parent()?;
    sys::new_session()?;
    // Before the old root goes: the kernel shows processes only where they were seen before. It refuses in
    // some containers; a step does without its own view of itself then.
    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    let _ = sys::mount("proc", &format!("{ROOT}/proc"), "proc", flags, "");
    // Takes the launcher along, which is in the same mount namespace.
    sys::pivot(ROOT).map_err(at("no root of its own"))?;
    // The old one is none that this root shows, so that Landlock would not let it be opened again.
    sys::place(File::open("/dev/null")?.as_raw_fd(), 0)?;
    let status = sys::above(status.as_raw_fd(), AFTER)?;
    let socket = sys::above(socket.as_raw_fd(), AFTER)?;
    sys::place(status, STATUS)?;
    sys::place(socket, SOCKET)?;
    sys::close_from(AFTER.unsigned_abs())?;
    set_limits(&orders.limits).map_err(at("limits"))?;
    if !orders.processors.is_empty() {
        sys::stay_on(&orders.processors).map_err(at("processors"))?;
    }
    sys::give_up_privileges().map_err(at("privileges cannot be given up"))?;
    let landlock = landlock(&orders.outputs)
        .map_err(|error| io::Error::other(format!("Landlock: {error}")))?;
    let listener = filters
        .install()
        .map_err(|error| io::Error::other(format!("seccomp: {error}")))?;
    let (mut status, socket) = placed();
    match listener {
        Some(listener) => {
            hand_over(socket, &listener).map_err(at("nobody can listen to the calls"))?;
        }
        None => drop(socket),
    }
    wire::tell(&mut status, &Status::Confined { landlock })?;
    // Under observation this waits until the supervisor has the listener and answers.
    let Some(step) = sys::fork()? else {
        let _ = sys::close_from(STATUS.unsigned_abs());
        sys::exit(become_step(orders, program))
    };
    let exit = sys::wait_for(step)?;
    wire::tell(&mut status, &Status::Ended(exit))?;
    sys::exit(0)
}

/// Goes on as the step. Returns only where the step is a part of this program, or could not start.
fn become_step(orders: &Orders, program: &Program) -> i32 {
    match program {
        Program::BuiltIn(built_in) => {
            let words = orders.argv.get(1..).unwrap_or_default();
            std::panic::catch_unwind(|| (built_in.run)(words)).map_or(PANICKED, i32::from)
        }
        Program::File(path) => {
            let env: Vec<_> = orders
                .env
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            if orders.trees.contains_key("/code") {
                let _ = std::env::set_current_dir("/code");
            }
            let error = sys::execute(path, &orders.argv, &env);
            let _ = writeln!(io::stderr(), "`{path}` could not be started: {error}");
            NOT_STARTED
        }
    }
}

/// Gives the supervisor the place at which calls are told, and keeps no copy: neither this process nor the
/// step answers calls. The socket is a file here, written by `write`: nobody answers a `sendto` yet.
fn hand_over(mut socket: File, listener: &OwnedFd) -> io::Result<()> {
    wire::tell(&mut socket, &Report::Listener)?;
    sys::send_descriptor(&socket, listener)
}

#[expect(
    unsafe_code,
    reason = "takes over the descriptors that were placed at 3 and 4"
)]
fn placed() -> (File, File) {
    // SAFETY: descriptors 3 and 4 were placed there just before, and have no other owner now.
    unsafe {
        (
            File::from(OwnedFd::from_raw_fd(STATUS)),
            File::from(OwnedFd::from_raw_fd(SOCKET)),
        )
    }
}

fn set_limits(limits: &Limits) -> io::Result<()> {
    sys::limit(libc::RLIMIT_CORE, 0)?;
    sys::limit(libc::RLIMIT_NOFILE, 4096)?;
    sys::limit(libc::RLIMIT_FSIZE, limits.output.bytes())?;
    sys::limit(libc::RLIMIT_NPROC, u64::from(limits.processes))?;
    sys::limit(libc::RLIMIT_AS, limits.memory.bytes())
}

/// Lets the step read and run what it sees, and write its outputs, `/tmp` and `/dev/shm` alone.
fn landlock(outputs: &[String]) -> Result<String, landlock::RulesetError> {
    let abi = ABI::V5;
    let rule = |path: &str, access| PathFd::new(path).map(|fd| PathBeneath::new(fd, access));
    let mut ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(abi))?
        .create()?;
    let writable: Vec<_> = outputs
        .iter()
        .map(|output| format!("/out/{output}"))
        .chain(["/tmp".to_owned(), "/dev/shm".to_owned()])
        .collect();
    let rules = [
        ("/", AccessFs::from_read(abi)),
        ("/dev", AccessFs::from_read(abi) | AccessFs::WriteFile),
    ];
    let rules = rules.into_iter().chain(
        writable
            .iter()
            .map(|path| (path.as_str(), AccessFs::from_all(abi))),
    );
    for (path, access) in rules {
        if let Ok(rule) = rule(path, access) {
            ruleset = ruleset.add_rule(rule)?;
        }
    }
    Ok(match ruleset.restrict_self()?.ruleset {
        RulesetStatus::FullyEnforced => "Landlock".to_owned(),
        RulesetStatus::PartiallyEnforced => "Landlock, in part: the kernel is older".to_owned(),
        RulesetStatus::NotEnforced => {
            "read-only mounts alone: the kernel has no Landlock".to_owned()
        }
    })
}

/// Finds the program of a command; an error says why there is none.
fn program(argv: &[String], built_in: &[BuiltIn]) -> Result<Program, String> {
    let name = argv
        .first()
        .ok_or_else(|| "the step has no command".to_owned())?;
    if let Some(built_in) = built_in.iter().find(|known| known.name == name) {
        return Ok(Program::BuiltIn(*built_in));
    }
    if name.contains('/') {
        return Ok(Program::File(name.clone()));
    }
    let found = SEARCH
        .iter()
        .map(|folder| format!("{folder}/{name}"))
        .find(|path| {
            fs::metadata(format!("{ROOT}{path}")).is_ok_and(|metadata| {
                metadata.is_file() && metadata.permissions().mode() & 0o111 != 0
            })
        });
    found
        .map(Program::File)
        .ok_or_else(|| format!("there is no command `{name}` in {}", SEARCH.join(", ")))
}

fn enforced(orders: &Orders, memory: &str, landlock: &str) -> Vec<Enforced> {
    let limits = &orders.limits;
    let list = [
        (
            "sees only its declared inputs, code and environment",
            "mount namespace, pivot_root".to_owned(),
        ),
        (
            "inputs and outputs in memory only",
            format!("ramfs; {memory}"),
        ),
        (
            "writes only its outputs, /tmp and /dev/shm",
            format!("read-only mounts; {landlock}"),
        ),
        network::enforced(&orders.endpoints),
        (
            "sees and signals no other process",
            "process and IPC namespaces".to_owned(),
        ),
        (
            "no privileges",
            "user namespace, no capabilities, no_new_privs".to_owned(),
        ),
        ("few system calls", "seccomp".to_owned()),
        (
            "memory of each process",
            format!("RLIMIT_AS {}", limits.memory),
        ),
        ("memory of all processes", all_memory(limits)),
        ("processes", format!("RLIMIT_NPROC {}", limits.processes)),
        ("threads", threads(orders)),
        ("time", format!("{} s", limits.time_ms / 1000)),
        ("size of outputs", limits.output.to_string()),
        ("files of outputs", limits.files.to_string()),
    ];
    list.into_iter()
        .map(|(what, by)| Enforced {
            what: what.to_owned(),
            by,
        })
        .collect()
}

fn all_memory(limits: &Limits) -> String {
    if Usage::works() {
        format!("{}, looked at every {} ms", limits.memory, usage::LOOK_MS)
    } else {
        "not counted: this machine lets no /proc be mounted".to_owned()
    }
}

fn threads(orders: &Orders) -> String {
    let (wanted, there) = (orders.limits.threads, orders.processors.len());
    match there {
        0 => format!("{wanted}, by variables alone: the machine does not tell its processors"),
        _ if u32::try_from(there).is_ok_and(|there| there < wanted) => {
            format!("{wanted} on all of the machine's {there} processors")
        }
        _ => format!("{wanted} on as many processors"),
    }
}
