//! A client that does what no sound client does: it sends any bytes cut anywhere, reads nothing if
//! it is told to, and lets its connection die. SSH is russh's; what goes over the channel is given
//! by the tests byte by byte, and what comes back is kept as it came.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::{fs, io};

use russh::client::{self, Msg};
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg};
use russh::{ChannelId, ChannelWriteHalf};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use super::packet::{self, Packet, Reply, say};
use crate::world::{SOON, World};

/// The window that a client gives unless a test starves it.
const WINDOW_BYTES: u32 = 2 << 20;

/// One SSH connection of a tenant.
pub(crate) struct Line {
    ssh: client::Handle<Ear>,
    valve: Arc<Valve>,
    heard: Arc<Heard>,
}

/// One channel of it, on which SFTP is spoken.
pub(crate) struct Wire {
    half: ChannelWriteHalf<Msg>,
    heard: Arc<Heard>,
    next_id: u32,
}

impl Line {
    /// Logs in with the key of this tenant.
    pub(crate) fn new(world: &World, tenant: &str) -> Self {
        Self::with_window(world, tenant, WINDOW_BYTES)
    }

    /// The same, where each channel has this window. A window of one byte is never opened again;
    /// any other is as soon as half of it is used, unless the line is deaf.
    pub(crate) fn with_window(world: &World, tenant: &str, window_size: u32) -> Self {
        Self::try_new(world, tenant, window_size).expect("a session")
    }

    /// The same; `None` when the daemon ends the connection at the login.
    pub(crate) fn try_new(world: &World, tenant: &str, window_size: u32) -> Option<Self> {
        let key = fs::read(world.path(&format!("{tenant}.key"))).expect("the tenant's key");
        let key = PrivateKey::from_openssh(key).expect("a key");
        let config = Arc::new(client::Config {
            window_size,
            ..client::Config::default()
        });
        let port = world.port();
        let valve = Arc::new(Valve::default());
        let heard = Arc::new(Heard::default());
        let (tap, ear) = (Arc::clone(&valve), Ear(Arc::clone(&heard)));
        let ssh = soon(async move {
            let socket = TcpStream::connect(("127.0.0.1", port)).await;
            let socket = socket.expect("connected");
            socket.set_nodelay(true).expect("a socket");
            // A connection that is cut ends without a goodbye, as when a machine goes away.
            socket.set_zero_linger().expect("a socket");
            let stream = Tapped { socket, valve: tap };
            let ssh = client::connect_stream(config, stream, ear).await;
            let mut ssh = ssh.ok()?;
            let key = PrivateKeyWithHashAlg::new(Arc::new(key), None);
            let outcome = ssh.authenticate_publickey(tenant, key).await.ok()?;
            assert!(outcome.success(), "the key of the tenant opens its door");
            Some(ssh)
        })?;
        Some(Self { ssh, valve, heard })
    }

    /// Opens a channel and asks for SFTP on it; `None` when there is no room for a channel.
    pub(crate) fn channel(&self) -> Option<Wire> {
        let channel = soon(self.ssh.channel_open_session()).ok()?;
        let (_, half) = channel.split();
        self.heard.lock().insert(half.id(), Said::default());
        soon(half.request_subsystem(true, "sftp")).expect("sent");
        let wire = Wire {
            half,
            heard: Arc::clone(&self.heard),
            next_id: 1,
        };
        assert!(wire.until("answer", |said| said.granted), "no SFTP here");
        Some(wire)
    }

    /// A channel on which INIT has been said and answered.
    pub(crate) fn sftp(&self) -> Wire {
        let wire = self.channel().expect("room for a channel");
        wire.send(&packet::init(3));
        let reply = wire.reply();
        assert_eq!((reply.kind, reply.id), (say::VERSION, 3));
        wire
    }

    /// Returns once the daemon has taken everything that was sent so far.
    pub(crate) fn settle(&self) {
        soon(self.ssh.send_ping()).expect("answered");
        assert!(!self.ssh.is_closed(), "the daemon ended the connection");
    }

    /// Whether the connection has ended.
    pub(crate) fn is_gone(&self) -> bool {
        self.ssh.is_closed()
    }

    /// Reads nothing from the network from now on.
    pub(crate) fn go_deaf(&self) {
        self.valve.turn(Flow::Held);
    }

    /// Reads from the network again.
    pub(crate) fn listen(&self) {
        self.valve.turn(Flow::Open);
    }

    /// Lets the connection die; returns once its socket is gone.
    pub(crate) fn cut(self) {
        self.valve.turn(Flow::Cut);
        // Whether it ended well is no question here.
        let _ = soon(self.ssh);
    }
}

impl Wire {
    /// Sends these bytes, in as few SSH packets as they fit into.
    pub(crate) fn send(&self, bytes: &[u8]) {
        soon(self.half.data(bytes)).expect("sent");
    }

    /// Sends a request; gives its id.
    pub(crate) fn send_packet(&mut self, packet: &Packet) -> u32 {
        let id = self.next_id;
        self.next_id += 1;
        self.send(&packet.bytes(id));
        id
    }

    /// Sends a request and gives the reply, which must be the one to it.
    pub(crate) fn ask(&mut self, packet: &Packet) -> Reply {
        let id = self.send_packet(packet);
        let reply = self.reply();
        assert_eq!(reply.id, id, "{packet:?} was answered by {reply:?}");
        reply
    }

    /// Sends a request that is answered by a STATUS; gives its code.
    pub(crate) fn status(&mut self, packet: &Packet) -> u32 {
        self.ask(packet).status()
    }

    /// Opens a file; gives the handle.
    pub(crate) fn open(&mut self, path: &[u8], flags: u32) -> Vec<u8> {
        self.ask(&packet::open(path, flags)).handle()
    }

    /// Uploads a file whole; gives the code that its close was answered with.
    pub(crate) fn put(&mut self, path: &[u8], bytes: &[u8]) -> u32 {
        let handle = self.open(path, packet::NEW);
        assert_eq!(self.status(&packet::write(&handle, 0, bytes)), packet::OK);
        self.status(&packet::close(&handle))
    }

    /// The next reply. Panics when the channel ends before it is whole.
    pub(crate) fn reply(&self) -> Reply {
        let reply = self.until("reply", |said| {
            let whole = Reply::first(&said.bytes);
            if let Some((reply, length)) = whole {
                said.bytes.drain(..length);
                return Some(Some(reply));
            }
            said.over.then_some(None)
        });
        reply.expect("the channel ended instead of a reply")
    }

    /// Waits until the daemon has ended the channel.
    pub(crate) fn wait_for_end(&self) {
        self.until("end of the channel", |said| said.over.then_some(()));
    }

    /// Whether the daemon has ended the channel.
    pub(crate) fn is_over(&self) -> bool {
        let heard = self.heard.lock();
        heard.get(&self.half.id()).is_none_or(|said| said.over)
    }

    /// How many bytes of replies have come in and were not looked at.
    pub(crate) fn unread_bytes(&self) -> usize {
        let heard = self.heard.lock();
        heard
            .get(&self.half.id())
            .map_or(0, |said| said.bytes.len())
    }

    /// Says that nothing more is sent.
    pub(crate) fn eof(&self) {
        soon(self.half.eof()).expect("sent");
    }

    /// Closes the channel.
    pub(crate) fn close(&self) {
        soon(self.half.close()).expect("sent");
    }

    /// Waits until `fact` yields something of what was said on this channel.
    fn until<T>(&self, what: &str, mut fact: impl FnMut(&mut Said) -> Option<T>) -> T {
        let mut found = None;
        let heard = self.heard.lock();
        let id = self.half.id();
        let (heard, late) = self
            .heard
            .changed
            .wait_timeout_while(heard, SOON, |heard| {
                let said = heard.get_mut(&id).expect("a channel of ours");
                found = fact(said);
                found.is_none()
            })
            .unwrap_or_else(PoisonError::into_inner);
        drop(heard);
        assert!(!late.timed_out(), "no {what} within {SOON:?}");
        found.expect("it was found")
    }
}

/// What the daemon has said on the channels of a line.
#[derive(Default)]
struct Heard {
    channels: Mutex<HashMap<ChannelId, Said>>,
    changed: Condvar,
}

#[derive(Default)]
struct Said {
    bytes: Vec<u8>,
    /// Whether the subsystem was granted, once that is known.
    granted: Option<bool>,
    over: bool,
}

impl Heard {
    fn lock(&self) -> MutexGuard<'_, HashMap<ChannelId, Said>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, channel: ChannelId, what: impl FnOnce(&mut Said)) {
        what(self.lock().entry(channel).or_default());
        self.changed.notify_all();
    }
}

/// Takes any host key, and keeps what it hears.
struct Ear(Arc<Heard>);

impl Drop for Ear {
    fn drop(&mut self) {
        for said in self.0.lock().values_mut() {
            said.over = true;
            said.granted.get_or_insert(false);
        }
        self.0.changed.notify_all();
    }
}

impl client::Handler for Ear {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        _: &russh::keys::PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        Ok(true)
    }

    async fn channel_success(
        &mut self,
        channel: ChannelId,
        _: &mut client::Session,
    ) -> Result<(), Self::Error> {
        self.0.note(channel, |said| said.granted = Some(true));
        Ok(())
    }

    async fn channel_failure(
        &mut self,
        channel: ChannelId,
        _: &mut client::Session,
    ) -> Result<(), Self::Error> {
        self.0.note(channel, |said| said.granted = Some(false));
        Ok(())
    }

    async fn data(
        &mut self,
        channel: ChannelId,
        data: &[u8],
        _: &mut client::Session,
    ) -> Result<(), Self::Error> {
        self.0
            .note(channel, |said| said.bytes.extend_from_slice(data));
        Ok(())
    }

    async fn channel_close(
        &mut self,
        channel: ChannelId,
        _: &mut client::Session,
    ) -> Result<(), Self::Error> {
        self.0.note(channel, |said| said.over = true);
        Ok(())
    }
}

/// What is let through of a connection.
#[derive(Clone, Copy, Default, PartialEq)]
enum Flow {
    #[default]
    Open,
    /// Nothing is read.
    Held,
    /// Every step fails.
    Cut,
}

#[derive(Default)]
struct Valve(Mutex<(Flow, Option<Waker>)>);

impl Valve {
    fn turn(&self, flow: Flow) {
        let mut valve = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        valve.0 = flow;
        if let Some(waker) = valve.1.take() {
            waker.wake();
        }
    }

    /// How things stand; the reader is woken at the next turn.
    fn look(&self, reader: &Context<'_>) -> Flow {
        let mut valve = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        valve.1 = Some(reader.waker().clone());
        valve.0
    }

    fn is_cut(&self) -> bool {
        let valve = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        valve.0 == Flow::Cut
    }
}

/// A socket behind a valve.
struct Tapped {
    socket: TcpStream,
    valve: Arc<Valve>,
}

impl AsyncRead for Tapped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.valve.look(context) {
            Flow::Open => Pin::new(&mut self.socket).poll_read(context, buffer),
            Flow::Held => Poll::Pending,
            Flow::Cut => Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
        }
    }
}

impl AsyncWrite for Tapped {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.valve.is_cut() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

/// Waits for what should not take long, on the threads of all clients.
fn soon<T>(work: impl Future<Output = T>) -> T {
    static THREADS: OnceLock<Runtime> = OnceLock::new();
    let threads = THREADS.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime")
    });
    let bounded = threads.block_on(async { tokio::time::timeout(SOON, work).await });
    bounded.unwrap_or_else(|_| panic!("the daemon did not answer within {SOON:?}"))
}
