//! Carrying what somebody says at a listener to its endpoint, and back, within limits.
//!
//! Each connection is asked for before anything is sent for it, and what became of it is told afterwards ([`Permits`]). A name is
//! resolved once for each connection; each address is judged, and what is connected to is one of those that were judged. A
//! literal address is what was asked for: whether it may be one that is not of the public network is decided by who is asked.
//!
//! INVARIANT: what ends otherwise than by both sides in turn is reset on both sides, so that nobody takes what was cut off for
//! the whole.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use custody_types::{Endpoint, Host, is_public};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;

use crate::connector::Resolve;

/// How long it is looked, at the end, whether somebody connected before it.
const LAST: Duration = Duration::from_millis(5);
/// How much is carried at once, in bytes.
const PIECE: usize = 64 << 10;

/// How much is carried, and how long is waited.
#[derive(Debug, Clone, Copy)]
pub struct RelayLimits {
    /// How many connections there are at once. Whoever connects beyond it waits until another ends.
    pub at_once: usize,
    /// How many connections are taken in all. Whoever connects beyond it is refused, and not asked for.
    pub in_all: usize,
    /// How many bytes are carried in all, both ways. At it every connection is cut, and none is taken any more.
    pub bytes: u64,
    /// How long it may take until a name is resolved, and then until an address answers.
    pub connection: Duration,
    /// How many addresses of a name are tried.
    pub addresses: usize,
    /// How long nothing may be carried either way, rounded up to `look`. A connection is cut then, also one whose other side does
    /// not take what is for it.
    pub idle: Duration,
    /// How often it is asked whether a connection may go on.
    pub look: Duration,
    /// How long what was said before the end may take to be carried after it.
    pub drain: Duration,
}

impl Default for RelayLimits {
    fn default() -> Self {
        Self {
            at_once: 32,
            in_all: 1_000,
            bytes: 1 << 30,
            connection: Duration::from_secs(10),
            addresses: 4,
            idle: Duration::from_mins(10),
            look: Duration::from_secs(2),
            drain: Duration::from_secs(2),
        }
    }
}

/// Decides about connections.
pub trait Permits: fmt::Debug + Send + Sync {
    /// Asks for a connection to `endpoint`. When it is permitted, that stands where it is not lost; so does a refusal.
    ///
    /// # Errors
    /// Why it is refused.
    fn ask(&self, endpoint: &Endpoint) -> Result<Arc<dyn Permit>, String>;
}

/// Leave for one connection.
pub trait Permit: Send + Sync {
    /// Whether the connection may go on.
    fn goes_on(&self) -> bool;

    /// Takes note of what became of it, once.
    fn end(&self, carried: &Carried);
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Both sides said all that they had to say.
    Closed,
    /// One side broke off.
    Broken,
    /// It was open when everything ended.
    Cut,
    /// It was not permitted, and why.
    Refused(String),
    /// The name is not known, or nobody said in time.
    Unresolved,
    /// It leads to this address: by a name to one that is not of the public network, or to the machine itself.
    Private(IpAddr),
    /// No address answered.
    Unreached,
    /// Nothing was carried for too long.
    Idle,
    /// All was carried that may be.
    Spent,
    /// It was permitted no longer.
    Withdrawn,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "closed by both sides",
            Self::Broken => "broken off by one side",
            Self::Cut => "open when the step ended",
            Self::Refused(because) => return write!(f, "refused: {because}"),
            Self::Unresolved => "the name is not known, or nobody said in time",
            Self::Private(address) => {
                return write!(
                    f,
                    "it leads to {address}, which is this machine or not of the public network"
                );
            }
            Self::Unreached => "no address answered",
            Self::Idle => "nothing was carried for too long",
            Self::Spent => "all was carried that may be",
            Self::Withdrawn => "it was permitted no longer",
        })
    }
}

/// What became of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// To what.
    pub endpoint: Endpoint,
    /// To which address, if one answered.
    pub address: Option<IpAddr>,
    /// How many bytes were sent there.
    pub sent: u64,
    /// How many bytes came back.
    pub received: u64,
    /// How it ended.
    pub end: End,
}

/// What became of all connections.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Carriage {
    /// Each connection that was asked for, in the order of the endpoints.
    pub connections: Vec<Carried>,
    /// Whether somebody was refused because [`RelayLimits::in_all`] had been taken.
    pub is_full: bool,
    /// Whether [`RelayLimits::bytes`] were carried.
    pub is_spent: bool,
}

/// Why one way of a connection ended before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// Who was heard broke off.
    From,
    /// Who was told is gone.
    To,
    /// All was carried that may be.
    Spent,
}

/// How far the work has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// What was said is carried, and nobody is listened to.
    Draining,
    Cut,
}

/// Carries until it is ended. Dropped, it cuts what is open and waits for that.
#[derive(Debug)]
pub struct Relay {
    phase: watch::Sender<Phase>,
    thread: Option<JoinHandle<Carriage>>,
}

impl Relay {
    /// Carries what is said at each listener to its endpoint from now on.
    ///
    /// # Errors
    /// When the machine gives no thread, or what is no listener was given.
    pub fn start(
        listeners: Vec<(Endpoint, std::net::TcpListener)>,
        permits: Arc<dyn Permits>,
        resolve: Arc<dyn Resolve>,
        limits: RelayLimits,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (phase, seen) = watch::channel(Phase::Open);
        let shared = Arc::new(Shared {
            permits,
            resolve,
            limits,
            room: Arc::new(Semaphore::new(limits.at_once)),
            taken: AtomicUsize::new(0),
            left: AtomicU64::new(limits.bytes),
            is_full: AtomicBool::new(false),
            is_spent: AtomicBool::new(false),
        });
        let listeners: Vec<_> = {
            let _within = runtime.enter();
            let listeners = listeners.into_iter().map(|(endpoint, listener)| {
                listener.set_nonblocking(true)?;
                Ok((endpoint, TcpListener::from_std(listener)?))
            });
            listeners.collect::<io::Result<_>>()?
        };
        let thread = std::thread::Builder::new()
            .name("relay".to_owned())
            .spawn(move || {
                let carriage = runtime.block_on(shared.work(listeners, seen));
                // A name that is still looked for is not waited for.
                runtime.shutdown_background();
                carriage
            })?;
        Ok(Self {
            phase,
            thread: Some(thread),
        })
    }

    /// Ends it, and tells what became of all connections: what was said before is carried still, for a moment.
    pub fn end(mut self) -> Carriage {
        self.finish(Phase::Draining)
    }

    /// Cuts everything at once.
    pub fn cut(mut self) -> Carriage {
        self.finish(Phase::Cut)
    }

    fn finish(&mut self, phase: Phase) -> Carriage {
        self.phase.send_replace(phase);
        let ended = self.thread.take().and_then(|thread| thread.join().ok());
        ended.unwrap_or_default()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.finish(Phase::Cut);
    }
}

#[derive(Debug)]
struct Shared {
    permits: Arc<dyn Permits>,
    resolve: Arc<dyn Resolve>,
    limits: RelayLimits,
    room: Arc<Semaphore>,
    /// How many connections were taken.
    taken: AtomicUsize,
    /// How many bytes may still be carried.
    left: AtomicU64,
    is_full: AtomicBool,
    is_spent: AtomicBool,
}

/// Waits until a phase that counts has come.
async fn reached(seen: &mut watch::Receiver<Phase>, counts: impl Fn(Phase) -> bool) {
    // Who is gone without a word is no longer interested.
    let _ = seen.wait_for(|phase| counts(*phase)).await;
}

/// Has the other side told that it was cut off.
fn reset(stream: &TcpStream) {
    // Where that cannot be had, the socket is gone already.
    let _ = stream.set_zero_linger();
}

impl Shared {
    async fn work(
        self: Arc<Self>,
        listeners: Vec<(Endpoint, TcpListener)>,
        mut seen: watch::Receiver<Phase>,
    ) -> Carriage {
        let (cut, cut_seen) = watch::channel(Phase::Open);
        let mut all = JoinSet::new();
        for (number, (endpoint, listener)) in listeners.into_iter().enumerate() {
            let listening = self.clone().listen(endpoint, listener, cut_seen.clone());
            all.spawn(async move { (number, listening.await) });
        }
        reached(&mut seen, |phase| phase != Phase::Open).await;
        let phase = *seen.borrow();
        cut.send_replace(phase);
        let mut ended = Vec::new();
        let mut join = async || {
            while let Some(one) = all.join_next().await {
                ended.extend(one.ok());
            }
        };
        if phase == Phase::Draining && timeout(self.limits.drain, join()).await.is_err() {
            cut.send_replace(Phase::Cut);
        }
        join().await;
        ended.sort_by_key(|(number, _)| *number);
        Carriage {
            connections: ended.into_iter().flat_map(|(_, carried)| carried).collect(),
            is_full: self.is_full.load(Ordering::Relaxed),
            is_spent: self.is_spent.load(Ordering::Relaxed),
        }
    }

    /// Takes who connects, until it is enough.
    async fn listen(
        self: Arc<Self>,
        endpoint: Endpoint,
        listener: TcpListener,
        mut seen: watch::Receiver<Phase>,
    ) -> Vec<Carried> {
        let (mut going, mut done) = (JoinSet::new(), Vec::new());
        let mut waits: Option<TcpStream> = None;
        let mut draining = false;
        loop {
            tokio::select! {
                biased;
                () = reached(&mut seen, |phase| phase == Phase::Cut || !draining && phase == Phase::Draining) => {
                    if *seen.borrow() == Phase::Cut {
                        break;
                    }
                    draining = true;
                }
                Some(one) = going.join_next() => done.extend(one.ok()),
                room = self.room.clone().acquire_owned(), if waits.is_some() => {
                    let (Some(stream), Ok(room)) = (waits.take(), room) else { break };
                    let (shared, endpoint, seen) = (self.clone(), endpoint.clone(), seen.clone());
                    going.spawn(async move { shared.carry(endpoint, stream, room, seen).await });
                }
                next = listener.accept(), if waits.is_none() => match next {
                    Ok((stream, _)) if self.takes() => waits = Some(stream),
                    Ok((stream, _)) => {
                        reset(&stream);
                        break;
                    }
                    // A connection that is gone already, or no more files: the next may be taken.
                    Err(_) => tokio::time::sleep(LAST).await,
                },
                () = tokio::time::sleep(LAST), if draining && waits.is_none() => break,
            }
        }
        waits.iter().for_each(reset);
        // From here on who connects is refused.
        drop((listener, waits));
        while let Some(one) = going.join_next().await {
            done.extend(one.ok());
        }
        done
    }

    /// Counts a connection, if one may still be taken.
    fn takes(&self) -> bool {
        let is_full = self.taken.fetch_add(1, Ordering::Relaxed) >= self.limits.in_all;
        self.is_full.fetch_or(is_full, Ordering::Relaxed);
        !is_full && !self.is_spent.load(Ordering::Relaxed)
    }

    async fn carry(
        &self,
        endpoint: Endpoint,
        mut inside: TcpStream,
        room: OwnedSemaphorePermit,
        mut seen: watch::Receiver<Phase>,
    ) -> Carried {
        let mut carried = Carried {
            endpoint,
            address: None,
            sent: 0,
            received: 0,
            end: End::Cut,
        };
        // Who decides waits for a disk.
        let (permits, asked) = (self.permits.clone(), carried.endpoint.clone());
        let asked = spawn_blocking(move || permits.ask(&asked)).await;
        let permit = match asked.unwrap_or_else(|_| Err("nobody could decide".to_owned())) {
            Ok(permit) => permit,
            Err(because) => {
                carried.end = End::Refused(because);
                reset(&inside);
                return carried;
            }
        };
        let connected = tokio::select! {
            biased;
            () = reached(&mut seen, |phase| phase == Phase::Cut) => Err(End::Cut),
            connected = self.connect(&carried.endpoint) => connected,
        };
        match connected {
            Ok((mut outside, address)) => {
                carried.address = Some(address);
                let all_sent = self
                    .talk(&mut inside, &mut outside, &permit, &mut seen, &mut carried)
                    .await;
                if carried.end != End::Closed {
                    reset(&inside);
                }
                if !all_sent {
                    reset(&outside);
                } else if carried.end != End::Closed {
                    self.take_leave(&mut outside, &mut seen).await;
                }
            }
            Err(end) => {
                carried.end = end;
                reset(&inside);
            }
        }
        drop((inside, room));
        let noted = carried.clone();
        // It is noted wherever this ends: nobody takes the task away.
        let _ = spawn_blocking(move || permit.end(&noted)).await;
        carried
    }

    /// Connects to an address of the endpoint that was judged. It is not resolved again.
    async fn connect(&self, endpoint: &Endpoint) -> Result<(TcpStream, IpAddr), End> {
        let limit = self.limits.connection;
        let addresses = match endpoint.host() {
            Host::Address(address) => vec![*address],
            Host::Name(name) => {
                let found = timeout(limit, self.resolve.addresses(name, endpoint.port())).await;
                let found = found.map_err(|_| End::Unresolved)?;
                found.map_err(|_| End::Unresolved)?
            }
        };
        let mut told = End::Unresolved;
        for address in addresses.into_iter().take(self.limits.addresses) {
            // Who asked for an address that is not public was permitted it; nobody is let in to this machine by its public one.
            let may_be = is_public(address) && !is_here(address)
                || endpoint.address().is_some() && !is_public(address);
            if !may_be {
                told = End::Private(address);
                continue;
            }
            let place = SocketAddr::new(address, endpoint.port());
            match timeout(limit, TcpStream::connect(place)).await {
                Ok(Ok(stream)) if stream.peer_addr().is_ok_and(|peer| peer == place) => {
                    return Ok((stream, address));
                }
                _ => told = End::Unreached,
            }
        }
        Err(told)
    }

    /// Carries both ways until it ends. Returns whether all that was said inside arrives outside.
    async fn talk(
        &self,
        inside: &mut TcpStream,
        outside: &mut TcpStream,
        permit: &Arc<dyn Permit>,
        seen: &mut watch::Receiver<Phase>,
        carried: &mut Carried,
    ) -> bool {
        // What is said is often little, and waited for.
        let _ = (inside.set_nodelay(true), outside.set_nodelay(true));
        let (sent, received, said) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
        let (from_inside, to_inside) = inside.split();
        let (from_outside, to_outside) = outside.split();
        let out = async {
            self.pump(from_inside, to_outside, &sent).await?;
            said.store(true, Ordering::Relaxed);
            Ok::<(), Stop>(())
        };
        let back = self.pump(from_outside, to_inside, &received);
        let both = async {
            tokio::pin!(out, back);
            tokio::select! {
                said = &mut out => {
                    said?;
                    back.await
                }
                answered = &mut back => match answered {
                    Ok(()) => out.await,
                    // Who is gone gets no answer; what they said before is carried still.
                    Err(Stop::To) => out.await.and(answered),
                    Err(stop) => Err(stop),
                },
            }
        };
        tokio::pin!(both);
        let mut look = tokio::time::interval(self.limits.look);
        // The first comes at once.
        look.tick().await;
        let (mut before, mut still) = (0, Duration::ZERO);
        let mut draining = false;
        carried.end = loop {
            // When all is over, nobody waits for an answer.
            if draining && said.load(Ordering::Relaxed) {
                break End::Cut;
            }
            tokio::select! {
                biased;
                () = reached(seen, |phase| phase == Phase::Cut || !draining && phase == Phase::Draining) => {
                    if *seen.borrow() == Phase::Cut {
                        break End::Cut;
                    }
                    draining = true;
                }
                ended = &mut both => break match ended {
                    Ok(()) => End::Closed,
                    Err(Stop::From | Stop::To) => End::Broken,
                    Err(Stop::Spent) => End::Spent,
                },
                _ = look.tick() => {
                    let moved = sent.load(Ordering::Relaxed) + received.load(Ordering::Relaxed);
                    still = if moved == before { still + self.limits.look } else { Duration::ZERO };
                    before = moved;
                    if still >= self.limits.idle {
                        break End::Idle;
                    }
                    if self.is_spent.load(Ordering::Relaxed) {
                        break End::Spent;
                    }
                    let permit = permit.clone();
                    let goes_on = spawn_blocking(move || permit.goes_on()).await;
                    if !goes_on.unwrap_or(false) {
                        break End::Withdrawn;
                    }
                }
            }
        };
        carried.sent = sent.load(Ordering::Relaxed);
        carried.received = received.load(Ordering::Relaxed);
        let ended = [End::Closed, End::Broken, End::Cut].contains(&carried.end);
        ended && said.load(Ordering::Relaxed)
    }

    /// Waits a moment until the other side has taken what was said, and ended: what is closed before may be lost.
    async fn take_leave(&self, outside: &mut TcpStream, seen: &mut watch::Receiver<Phase>) {
        let mut nothing = [0; 1024];
        let ended = async { while let Ok(1..) = outside.read(&mut nothing).await {} };
        tokio::select! {
            () = reached(seen, |phase| phase == Phase::Cut) => {}
            _ = timeout(self.limits.drain, ended) => {}
        }
    }

    /// Carries one way, to the end of what is said.
    async fn pump(
        &self,
        mut from: ReadHalf<'_>,
        mut to: WriteHalf<'_>,
        moved: &AtomicU64,
    ) -> Result<(), Stop> {
        let mut buffer = vec![0; PIECE];
        loop {
            let count = from.read(&mut buffer).await.map_err(|_| Stop::From)?;
            let mut rest = buffer.get(..count).unwrap_or_default();
            if rest.is_empty() {
                return to.shutdown().await.map_err(|_| Stop::To);
            }
            let wanted = count as u64;
            let enough = |left: u64| left.checked_sub(wanted);
            let taken = self
                .left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, enough);
            if taken.is_err() {
                self.is_spent.store(true, Ordering::Relaxed);
                return Err(Stop::Spent);
            }
            while !rest.is_empty() {
                let count = to.write(rest).await.map_err(|_| Stop::To)?;
                moved.fetch_add(count as u64, Ordering::Relaxed);
                rest = rest.get(count..).unwrap_or_default();
            }
        }
    }
}

/// Whether an address is one of this machine: who would go there comes from it. Nothing is sent.
fn is_here(address: IpAddr) -> bool {
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let from = || {
        let socket = UdpSocket::bind((any, 0))?;
        // Any port: nothing listens there, and nothing is sent.
        socket.connect((address, 9))?;
        socket.local_addr()
    };
    from().is_ok_and(|from| from.ip() == address)
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener as Listener, TcpStream as Stream};
    use std::pin::Pin;
    use std::sync::Mutex;
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Permits what `permits` says, and keeps what became of it.
    #[derive(Debug)]
    struct Book {
        permits: AtomicBool,
        asked: AtomicUsize,
        ended: Mutex<Vec<Carried>>,
    }

    impl Book {
        fn new() -> Arc<Self> {
            Arc::new(Self {
                permits: AtomicBool::new(true),
                asked: AtomicUsize::new(0),
                ended: Mutex::default(),
            })
        }
    }

    #[derive(Debug)]
    struct Asker(Arc<Book>);

    impl Permits for Asker {
        fn ask(&self, _: &Endpoint) -> Result<Arc<dyn Permit>, String> {
            self.0.asked.fetch_add(1, Ordering::SeqCst);
            if self.0.permits.load(Ordering::SeqCst) {
                Ok(Arc::new(Leave(self.0.clone())))
            } else {
                Err("nobody may".to_owned())
            }
        }
    }

    struct Leave(Arc<Book>);

    impl Permit for Leave {
        fn goes_on(&self) -> bool {
            self.0.permits.load(Ordering::SeqCst)
        }

        fn end(&self, carried: &Carried) {
            self.0.ended.lock().unwrap().push(carried.clone());
        }
    }

    /// Says these addresses, one list after the other, the last again and again; `None`: never.
    #[derive(Debug)]
    struct Says(Mutex<Vec<Option<Vec<IpAddr>>>>);

    impl Resolve for Says {
        fn addresses<'a>(
            &'a self,
            _: &'a str,
            _: u16,
        ) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>> {
            let mut all = self.0.lock().unwrap();
            let next = if all.len() > 1 {
                all.remove(0)
            } else {
                all[0].clone()
            };
            Box::pin(async move {
                match next {
                    Some(found) => Ok(found),
                    None => std::future::pending().await,
                }
            })
        }
    }

    fn limits() -> RelayLimits {
        RelayLimits {
            look: Duration::from_millis(10),
            ..RelayLimits::default()
        }
    }

    /// A server outside that hands each of its connections to the test.
    fn server() -> (Endpoint, Receiver<Stream>) {
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        let endpoint = listener.local_addr().unwrap().to_string().parse().unwrap();
        let (tell, told) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if Sender::send(&tell, stream.unwrap()).is_err() {
                    break;
                }
            }
        });
        (endpoint, told)
    }

    /// Relays to one endpoint. Returns where it listens.
    fn relay(
        book: &Arc<Book>,
        endpoint: &Endpoint,
        says: Vec<Option<Vec<IpAddr>>>,
        limits: RelayLimits,
    ) -> (Relay, SocketAddr) {
        let listener = Listener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let listeners = vec![(endpoint.clone(), listener)];
        let permits = Arc::new(Asker(book.clone()));
        let resolve = Arc::new(Says(Mutex::new(says)));
        let relay = Relay::start(listeners, permits, resolve, limits).unwrap();
        (relay, at)
    }

    /// Reads to the end, which must be a reset.
    fn is_reset(mut stream: &Stream) -> bool {
        let mut rest = Vec::new();
        let told = stream.read_to_end(&mut rest);
        told.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset)
    }

    /// Connects, which may be noticed as a reset before it is done.
    fn is_reset_at(at: SocketAddr) -> bool {
        match Stream::connect(at) {
            Ok(stream) => is_reset(&stream),
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }

    #[test]
    fn what_is_said_is_carried_both_ways_and_each_side_may_end_first() {
        let (book, (endpoint, outside)) = (Book::new(), server());
        let (relay, at) = relay(&book, &endpoint, vec![None], limits());
        let mut inside = Stream::connect(at).unwrap();
        let mut there = outside.recv().unwrap();
        inside.write_all(b"question").unwrap();
        inside.shutdown(Shutdown::Write).unwrap();
        let mut heard = String::new();
        there.read_to_string(&mut heard).unwrap();
        there.write_all(b"a longer answer").unwrap();
        drop(there);
        let mut answer = String::new();
        inside.read_to_string(&mut answer).unwrap();
        assert_eq!(
            (heard.as_str(), answer.as_str()),
            ("question", "a longer answer")
        );
        let carriage = relay.end();
        let expect = Carried {
            address: endpoint.address(),
            endpoint,
            sent: 8,
            received: 15,
            end: End::Closed,
        };
        assert_eq!(carriage.connections, [expect]);
        assert_eq!(*book.ended.lock().unwrap(), carriage.connections);
        assert!(!carriage.is_full && !carriage.is_spent);
        // Nobody is listened to any more.
        assert!(Stream::connect(at).is_err());
    }

    #[test]
    fn what_is_refused_or_not_reached_is_reset_and_nothing_is_sent() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let (_, outside) = server();
        for (says, end) in [
            (Some(vec![]), End::Unresolved),
            (None, End::Unresolved),
            (
                Some(vec![address("10.0.0.1")]),
                End::Private(address("10.0.0.1")),
            ),
            (
                Some(vec![address("127.0.0.1")]),
                End::Private(address("127.0.0.1")),
            ),
            (
                Some(vec![address("169.254.169.254")]),
                End::Private(address("169.254.169.254")),
            ),
            (
                Some(vec![address("::ffff:127.0.0.1")]),
                End::Private(address("::ffff:127.0.0.1")),
            ),
            (
                Some(vec![address("64:ff9b::7f00:1")]),
                End::Private(address("64:ff9b::7f00:1")),
            ),
            (
                Some(vec![address("fd00:ec2::254")]),
                End::Private(address("fd00:ec2::254")),
            ),
            (
                Some(vec![address("10.0.0.1"), address("100.64.0.1")]),
                End::Private(address("100.64.0.1")),
            ),
        ] {
            let book = Book::new();
            let endpoint = "flips.example:80".parse().unwrap();
            let limits = RelayLimits {
                connection: Duration::from_millis(300),
                ..limits()
            };
            let (relay, at) = relay(&book, &endpoint, vec![says], limits);
            assert!(is_reset_at(at), "{end}");
            let carriage = relay.end();
            let ends: Vec<_> = carriage.connections.iter().map(|one| &one.end).collect();
            assert_eq!(ends, [&end]);
            assert_eq!(*book.ended.lock().unwrap(), carriage.connections);
        }
        let book = Book::new();
        book.permits.store(false, Ordering::SeqCst);
        let (refusing, at) = relay(&book, &"127.0.0.1:9".parse().unwrap(), vec![None], limits());
        assert!(is_reset_at(at));
        let ended = refusing.end().connections;
        assert_eq!(ended[0].end, End::Refused("nobody may".to_owned()));
        assert!(book.ended.lock().unwrap().is_empty());
        // A port at which nobody listens.
        let free = Listener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let book = Book::new();
        let (dead, at) = relay(
            &book,
            &free.to_string().parse().unwrap(),
            vec![None],
            limits(),
        );
        assert!(is_reset_at(at));
        assert_eq!(dead.end().connections[0].end, End::Unreached);
        assert!(outside.try_recv().is_err());
    }

    #[test]
    fn a_name_is_resolved_once_for_each_connection_and_each_answer_is_judged() {
        let book = Book::new();
        // To the first nobody answers; the second would be the machine itself.
        let says = [["192.0.2.1"], ["127.0.0.1"]];
        let says = says.map(|all| Some(all.map(|text| text.parse().unwrap()).to_vec()));
        let endpoint: Endpoint = "flips.example:80".parse().unwrap();
        let (relay, at) = relay(&book, &endpoint, says.to_vec(), limits());
        for _ in 0..2 {
            assert!(is_reset_at(at));
        }
        let ends = relay.end().connections;
        let mut ends: Vec<_> = ends.iter().map(|one| one.end.to_string()).collect();
        ends.sort();
        let private = |text: &str| End::Private(text.parse().unwrap()).to_string();
        assert_eq!(ends, [private("127.0.0.1"), private("192.0.2.1")]);
        assert!(is_here("127.0.0.1".parse().unwrap()) && !is_here("192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn who_connects_beyond_what_there_may_be_at_once_waits() {
        let (book, (endpoint, outside)) = (Book::new(), server());
        let limits = RelayLimits {
            at_once: 2,
            ..limits()
        };
        let (relay, at) = relay(&book, &endpoint, vec![None], limits);
        let all: Vec<_> = (0..3).map(|_| Stream::connect(at).unwrap()).collect();
        let first = (outside.recv().unwrap(), outside.recv().unwrap());
        assert!(outside.recv_timeout(Duration::from_millis(100)).is_err());
        assert_eq!(book.asked.load(Ordering::SeqCst), 2);
        // One goes, on both sides, and the third comes.
        drop((all, first));
        outside.recv().unwrap();
        drop(relay);
    }

    #[test]
    fn no_more_is_taken_than_may_be_in_all() {
        let (book, (endpoint, _outside)) = (Book::new(), server());
        let limits = RelayLimits {
            in_all: 2,
            ..limits()
        };
        let (relay, at) = relay(&book, &endpoint, vec![None], limits);
        let _two = [Stream::connect(at).unwrap(), Stream::connect(at).unwrap()];
        assert!(is_reset_at(at));
        // The listener is gone with it.
        while Stream::connect(at).is_ok() {
            std::thread::yield_now();
        }
        let carriage = relay.cut();
        assert!(carriage.is_full && carriage.connections.len() == 2);
        assert_eq!(book.asked.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn no_more_bytes_are_carried_than_may_be() {
        let (book, (endpoint, outside)) = (Book::new(), server());
        let limits = RelayLimits {
            bytes: 1000,
            ..limits()
        };
        let (relay, at) = relay(&book, &endpoint, vec![None], limits);
        let mut inside = Stream::connect(at).unwrap();
        let mut there = outside.recv().unwrap();
        let other = Stream::connect(at).unwrap();
        let _also = outside.recv().unwrap();
        inside.write_all(&[1; 600]).unwrap();
        there.read_exact(&mut [0; 600]).unwrap();
        inside.write_all(&[1; 401]).unwrap();
        // Both are cut, whoever had how much of it, and what is cut is not taken for a whole.
        assert!(is_reset(&inside) && is_reset(&other) && is_reset(&there));
        let carriage = relay.end();
        assert!(carriage.is_spent);
        assert!(carriage.connections.iter().all(|one| one.end == End::Spent));
        let sent: u64 = carriage.connections.iter().map(|one| one.sent).sum();
        assert_eq!(sent, 600);
    }

    #[test]
    fn who_neither_says_nor_takes_anything_is_cut_and_nothing_heaps_up_for_them() {
        let (book, (endpoint, outside)) = (Book::new(), server());
        let limits = RelayLimits {
            idle: Duration::from_millis(100),
            ..limits()
        };
        let (relay, at) = relay(&book, &endpoint, vec![None], limits);
        let silent = Stream::connect(at).unwrap();
        let _there = outside.recv().unwrap();
        assert!(is_reset(&silent));
        // Nobody reads what the server writes, so that it cannot go on for long.
        let slow = Stream::connect(at).unwrap();
        let mut there = outside.recv().unwrap();
        let mut written = 0_u64;
        while let Ok(count) = there.write(&[0; 1 << 14]) {
            written += count as u64;
        }
        assert!(written < 256 << 20, "{written}");
        drop(slow);
        let ends = relay.end().connections;
        assert!(ends.iter().all(|one| one.end == End::Idle), "{ends:?}");
    }

    #[test]
    fn what_is_permitted_no_longer_is_cut() {
        let (book, (endpoint, outside)) = (Book::new(), server());
        let (relay, at) = relay(&book, &endpoint, vec![None], limits());
        let inside = Stream::connect(at).unwrap();
        let there = outside.recv().unwrap();
        book.permits.store(false, Ordering::SeqCst);
        assert!(is_reset(&inside) && is_reset(&there));
        assert!(is_reset_at(at));
        let ends = relay.end().connections;
        let ended = |end: &End| ends.iter().any(|one| one.end == *end);
        assert!(ended(&End::Withdrawn) && ended(&End::Refused("nobody may".to_owned())));
        assert_eq!(ends.len(), 2);
    }

    #[test]
    fn everything_ends_with_it_and_what_was_said_before_arrives() {
        let (book, (endpoint, outside)) = (Book::new(), server());
        let (first, at) = relay(&book, &endpoint, vec![None], limits());
        let mut inside = Stream::connect(at).unwrap();
        let mut there = outside.recv().unwrap();
        inside.write_all(b"x").unwrap();
        there.read_exact(&mut [0]).unwrap();
        assert_eq!(first.cut().connections[0].end, End::Cut);
        assert!(is_reset(&inside) && is_reset(&there));
        // A program says its last word and ends; the server says nothing.
        let (second, at) = relay(&book, &endpoint, vec![None], limits());
        let mut inside = Stream::connect(at).unwrap();
        inside.write_all(&vec![7; 1 << 20]).unwrap();
        let reader = std::thread::spawn(move || {
            let mut there = outside.recv().unwrap();
            let mut heard = vec![0; 1 << 20];
            there.read_exact(&mut heard).unwrap();
            heard.len()
        });
        drop(inside);
        let ended = second.end().connections;
        assert_eq!(ended[0].sent, 1 << 20);
        assert_eq!(reader.join().unwrap(), 1 << 20);
        // Dropped, it is cut.
        drop(relay(&book, &endpoint, vec![None], limits()));
    }
}
