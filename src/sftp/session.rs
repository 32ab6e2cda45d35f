//! One SSH connection: who is let in, and which channels there are. Only the `sftp` subsystem is
//! served; shells, commands and forwarding are refused.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use russh::keys::Certificate;
use russh::server::{
    Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Session as Ssh, VerifiedPublicKey,
};
use russh::{Channel, ChannelId, ChannelOpenFailure, ChannelWriteHalf, MethodKind, MethodSet, Pty};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::House;
use super::channel::{Conversation, HANDLES_MAX};
use super::conduct::Conduct;
use super::connection::{SessionPlace, Warden};
use super::files::Tree;
use super::logins::{Heard, KeyBefore, Opening, Visitor};
use super::penalties::Misdeed;
use super::{replies, transport};
use crate::batch::TenantName;

/// By what somebody has entered.
const CERTIFICATE: &str = "certificate";

/// How many channels a connection may have.
const CHANNELS_MAX: usize = 4;
/// How many channels a connection may have had in its life. The transport remembers some kilobytes
/// of each that we closed before its client did, as we do after an EOF.
const CHANNELS_EVER_MAX: usize = 4096;

/// What is known of a connection.
pub(super) struct Session {
    house: Arc<House>,
    peer: IpAddr,
    warden: Warden,
    /// Cancelled once somebody is in.
    entered: CancellationToken,
    /// Who is in, and under which name.
    tenant: Option<(TenantName, String)>,
    /// The user who has shown the right key and has still to give the password.
    half_way: Option<String>,
    conduct: Conduct,
    tree: Option<Arc<Tree>>,
    channels: HashMap<ChannelId, Line>,
    channels_ever: usize,
    handles: Arc<Semaphore>,
    place: SessionPlace,
}

/// A channel of the connection.
enum Line {
    /// Open, and no subsystem asked for.
    Idle(ChannelWriteHalf<Msg>),
    /// Talking SFTP.
    Talking(Box<Conversation>, Delivery),
    /// The client has said all it wants; the last replies are on their way.
    Ending(Delivery),
}

/// The task that sends a channel's replies. It waits for the client's window, so it has to be
/// ended with its channel.
struct Delivery(JoinHandle<()>);

impl Drop for Delivery {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Session {
    pub(super) fn new(
        house: Arc<House>,
        (peer, warden): (IpAddr, Warden),
        entered: CancellationToken,
        wrong: Arc<AtomicU32>,
    ) -> Self {
        Self {
            place: SessionPlace::new(Arc::clone(&house)),
            house,
            peer,
            warden,
            entered,
            tenant: None,
            half_way: None,
            conduct: Conduct::new(wrong),
            tree: None,
            channels: HashMap::new(),
            channels_ever: 0,
            handles: Arc::new(Semaphore::new(HANDLES_MAX)),
        }
    }

    /// The tree of whoever has logged in; opened once for all channels.
    fn tree(&mut self) -> Option<Arc<Tree>> {
        if self.tree.is_none() {
            let tenant = self.tenant.clone()?;
            match self.house.open_tree(tenant) {
                Ok(tree) => self.tree = Some(Arc::new(tree)),
                Err(error) => tracing::debug!(%error, "failed to open a tenant's folder"),
            }
        }
        self.tree.clone()
    }

    fn visitor<'a>(&'a self, user: &'a str) -> Visitor<'a> {
        Visitor {
            user,
            peer: self.peer,
            warden: &self.warden,
        }
    }

    /// Forgets how far another user had come: a client may change the name between tries.
    fn turn_to(&mut self, user: &str) {
        if self.half_way.as_deref().is_some_and(|half| half != user) {
            self.half_way = None;
        }
    }

    fn enter(&mut self, user: &str, tenant: TenantName, by: &'static str) -> Auth {
        tracing::info!(
            tenant.name = %tenant, %user, peer = %self.peer, by,
            "user {user} of tenant {tenant} has logged in by {by} from {}", self.peer
        );
        let forgiven = self.conduct.entered(user);
        self.warden.forgive(Misdeed::WrongCredentials(forgiven));
        self.tenant = Some((tenant, user.to_owned()));
        Auth::Accept
    }

    /// Lets a user in whose key or certificate is right, or asks for the password too.
    fn open(&mut self, user: &str, opening: Opening, by: &'static str) -> Auth {
        match opening {
            Opening::Folder(tenant) => self.enter(user, tenant, by),
            Opening::HalfWay => {
                self.half_way = Some(user.to_owned());
                Auth::Reject {
                    proceed_with_methods: Some(self.methods()),
                    partial_success: true,
                }
            }
            Opening::Nothing => {
                self.conduct.wrong_key(user);
                if by == CERTIFICATE {
                    let logins = &self.house.logins;
                    logins.tell_refused(self.visitor(user), "the certificate opens nothing");
                }
                self.refuse()
            }
        }
    }

    /// The answer to all who are wrong, whatever it was that was wrong.
    fn refuse(&self) -> Auth {
        Auth::Reject {
            proceed_with_methods: Some(self.methods()),
            partial_success: false,
        }
    }

    /// What may be tried next.
    fn methods(&self) -> MethodSet {
        match self.half_way {
            Some(_) => MethodSet::from(&[MethodKind::Password][..]),
            None => transport::methods(),
        }
    }

    /// Begins the SFTP conversation of a channel; says whether it did.
    fn begin(&mut self, id: ChannelId, subsystem: &str) -> bool {
        if subsystem != "sftp" || !matches!(self.channels.get(&id), Some(Line::Idle(_))) {
            return false;
        }
        let Some(tree) = self.tree() else {
            return false;
        };
        let Some(Line::Idle(channel)) = self.channels.remove(&id) else {
            return false;
        };
        let waiting = tree.premises.shares.waiting();
        let (outbox, outgoing) = replies::outbox(waiting);
        let delivery = Delivery(tokio::spawn(replies::deliver(outgoing, channel)));
        let conversation = Conversation::new(tree, Arc::clone(&self.handles), outbox);
        let line = Line::Talking(Box::new(conversation), delivery);
        self.channels.insert(id, line);
        true
    }
}

impl Handler for Session {
    type Error = russh::Error;

    async fn auth_none(&mut self, user: &str) -> Result<Auth, Self::Error> {
        self.turn_to(user);
        Ok(self.refuse())
    }

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, Self::Error> {
        self.turn_to(user);
        let key = match self.half_way {
            Some(_) => KeyBefore::Shown,
            None => KeyBefore::NotShown,
        };
        let visitor = self.visitor(user);
        match self.house.logins.by_password(visitor, password, key).await {
            Heard::Right(tenant) => {
                let by = match key {
                    KeyBefore::Shown => "key and password",
                    KeyBefore::NotShown => "password",
                };
                Ok(self.enter(user, tenant, by))
            }
            Heard::Wrong => {
                self.conduct.wrong_password(user);
                let logins = &self.house.logins;
                logins.tell_refused(self.visitor(user), "the password does not open it");
                Ok(self.refuse())
            }
            // Its address is refused by now, so it need not go on to ask.
            Heard::Not => Err(russh::Error::Disconnect),
        }
    }

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        self.turn_to(user);
        let (logins, visitor) = (&self.house.logins, self.visitor(user));
        // Nobody is in yet: the client has still to prove that the key is its own.
        if logins.may_go_on(visitor, offer.public_key, offer.algorithm) {
            return Ok(Auth::Accept);
        }
        let why = logins.why_not(visitor, offer.public_key);
        logins.tell_refused(visitor, why);
        self.conduct.wrong_key(user);
        Ok(self.refuse())
    }

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        self.turn_to(user);
        let (logins, visitor) = (&self.house.logins, self.visitor(user));
        let opening = logins.by_key(visitor, key.public_key, key.algorithm);
        if opening == Opening::Nothing {
            logins.tell_refused(visitor, logins.why_not(visitor, key.public_key));
        }
        Ok(self.open(user, opening, "key"))
    }

    async fn auth_openssh_certificate(
        &mut self,
        user: &str,
        certificate: &Certificate,
    ) -> Result<Auth, Self::Error> {
        self.turn_to(user);
        let (logins, visitor) = (&self.house.logins, self.visitor(user));
        let opening = logins.by_certificate(visitor, certificate);
        Ok(self.open(user, opening, CERTIFICATE))
    }

    async fn auth_succeeded(&mut self, ssh: &mut Ssh) -> Result<(), Self::Error> {
        let (tenant, _) = self.tenant.as_ref().ok_or(russh::Error::Inconsistent)?;
        if !self.place.take(tenant) {
            let words = "this tenant has too many sessions";
            ssh.disconnect(russh::Disconnect::TooManyConnections, words, "en")?;
        }
        self.entered.cancel();
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        ssh: &mut Ssh,
    ) -> Result<(), Self::Error> {
        // Nobody says when a channel that we have closed is gone.
        self.channels
            .retain(|_, line| !matches!(line, Line::Ending(delivery) if delivery.0.is_finished()));
        let is_worn = self.channels_ever >= CHANNELS_EVER_MAX;
        if is_worn || self.channels.len() >= CHANNELS_MAX {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            if is_worn && self.channels.is_empty() {
                // A client that shares one connection among its jobs makes a fresh one.
                let words = "this connection has had its share of channels";
                ssh.disconnect(russh::Disconnect::TooManyConnections, words, "en")?;
            }
            return Ok(());
        }
        self.channels_ever += 1;
        // Without its reading half a channel's data comes to `data` alone. A reading half that
        // nobody empties would make the connection wait for it.
        let (_, write_half) = channel.split();
        self.channels
            .insert(write_half.id(), Line::Idle(write_half));
        reply.accept().await;
        Ok(())
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        ssh: &mut Ssh,
    ) -> Result<(), Self::Error> {
        if self.begin(channel, name) {
            ssh.channel_success(channel)
        } else {
            ssh.channel_failure(channel)
        }
    }

    async fn data(
        &mut self,
        channel: ChannelId,
        data: &[u8],
        ssh: &mut Ssh,
    ) -> Result<(), Self::Error> {
        if let Some(Line::Talking(conversation, _)) = self.channels.get_mut(&channel)
            && let Err(end) = conversation.take(data).await
        {
            tracing::debug!(peer = %self.peer, error = %end, "an SFTP channel is ended");
            self.channels.remove(&channel);
            ssh.close(channel)?;
        }
        Ok(())
    }

    async fn channel_eof(&mut self, channel: ChannelId, ssh: &mut Ssh) -> Result<(), Self::Error> {
        match self.channels.remove(&channel) {
            // Open uploads stay as they are: neither EOF nor close says that they are whole.
            Some(Line::Talking(_, delivery)) => {
                self.channels.insert(channel, Line::Ending(delivery));
            }
            Some(Line::Idle(_)) => ssh.close(channel)?,
            Some(line) => {
                self.channels.insert(channel, line);
            }
            None => {}
        }
        Ok(())
    }

    async fn channel_close(
        &mut self,
        channel: ChannelId,
        _ssh: &mut Ssh,
    ) -> Result<(), Self::Error> {
        self.channels.remove(&channel);
        Ok(())
    }

    async fn shell_request(&mut self, id: ChannelId, ssh: &mut Ssh) -> Result<(), Self::Error> {
        ssh.channel_failure(id)
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        _command: &[u8],
        ssh: &mut Ssh,
    ) -> Result<(), Self::Error> {
        ssh.channel_failure(id)
    }

    async fn pty_request(
        &mut self,
        id: ChannelId,
        _term: &str,
        _columns: u32,
        _rows: u32,
        _width: u32,
        _height: u32,
        _modes: &[(Pty, u32)],
        ssh: &mut Ssh,
    ) -> Result<(), Self::Error> {
        ssh.channel_failure(id)
    }

    async fn env_request(
        &mut self,
        id: ChannelId,
        _name: &str,
        _value: &str,
        ssh: &mut Ssh,
    ) -> Result<(), Self::Error> {
        ssh.channel_failure(id)
    }

    async fn x11_request(
        &mut self,
        id: ChannelId,
        _single: bool,
        _protocol: &str,
        _cookie: &str,
        _screen: u32,
        ssh: &mut Ssh,
    ) -> Result<(), Self::Error> {
        ssh.channel_failure(id)
    }
}
