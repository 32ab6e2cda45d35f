//! One SFTP conversation: requests in, replies out, in order. What the requests do to files is for
//! `files` to know, how the replies leave for `replies`.
//!
//! Requests are carried out as they come in, on the session's own task, and everything that may
//! block for long goes to a blocking thread first.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::files::{Tree, timestamps};
use super::jail;
use super::listing::{Listing, shown_file};
use super::packet::{
    self, Attributes, Broken, DATA_BYTES_MAX, Framer, HandleId, Names, OpenFlags, PACKET_BYTES_MAX,
    Piece, Request, Status,
};
use super::pending::Pending;
use super::refusal::{Refusal, fixed};
use super::renaming::Onto;
use super::replies::{Outbox, Source, Unsent};
use super::shares::Seat;
use super::uploads::{Unfit, Upload};

/// How many files and listings a session may have open.
pub(super) const HANDLES_MAX: usize = 128;

/// Why a conversation is over.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error("failed to read a packet")]
    Broken(#[from] Broken),
    #[error("a request came before the version, or the version twice")]
    Disorder,
    #[error(transparent)]
    Unsent(#[from] Unsent),
}

/// The state of a conversation.
pub(super) struct Conversation {
    tree: Arc<Tree>,
    framer: Framer,
    stage: Stage,
    handles: HashMap<HandleId, Handle>,
    next_handle: u32,
    seats: Arc<Semaphore>,
    replies: Outbox,
    /// Closes that are not answered yet.
    pending: Pending,
}

/// How far a conversation is.
enum Stage {
    /// The client has yet to say its version.
    Fresh,
    /// Requests may come.
    Open,
    /// The body of a WRITE is coming in.
    Writing(Writing),
}

struct Writing {
    id: u32,
    /// Where the next bytes go; a refusal is kept until the body has gone by.
    target: Result<(Arc<Upload>, u64), Refusal>,
}

struct Handle {
    opened: Opened,
    /// Given back with the handle, or when the last READ that waits for the client is answered.
    seat: Arc<Seat>,
}

enum Opened {
    File(jail::Place, Arc<File>),
    Upload(Arc<Upload>),
    Listing(Box<Listing>),
}

impl Conversation {
    /// A conversation about `tree`; `seats` are the handles that are left to the session.
    pub(super) fn new(tree: Arc<Tree>, seats: Arc<Semaphore>, replies: Outbox) -> Self {
        Self {
            tree,
            framer: Framer::new(),
            stage: Stage::Fresh,
            handles: HashMap::new(),
            next_handle: 0,
            seats,
            replies,
            pending: Pending::new(),
        }
    }

    /// Takes what has come in.
    pub(super) async fn take(&mut self, mut input: &[u8]) -> Result<(), End> {
        while let Some(piece) = self.framer.next(&mut input)? {
            match (piece, &mut self.stage) {
                (Piece::Init(_), Stage::Fresh) => {
                    self.stage = Stage::Open;
                    self.replies.push(packet::version())?;
                }
                (Piece::Init(_), _) | (_, Stage::Fresh) => return Err(End::Disorder),
                (Piece::WriteBytes(bytes), Stage::Writing(writing)) => writing.write(bytes),
                (Piece::WriteEnd, Stage::Writing(writing)) => {
                    let outcome = match &writing.target {
                        Ok(_) => packet::status(writing.id, Status::Ok, ""),
                        Err(refusal) => refusal.reply(writing.id),
                    };
                    self.stage = Stage::Open;
                    self.replies.push(outcome)?;
                }
                (
                    Piece::WriteBegin {
                        id,
                        handle,
                        offset,
                        length,
                    },
                    _,
                ) => {
                    let target = self.target(handle, offset, length).await;
                    self.stage = Stage::Writing(Writing { id, target });
                }
                (Piece::Refused { id, status }, _) => {
                    let words = match status {
                        Status::OpUnsupported => "this is not supported",
                        _ => "this request makes no sense",
                    };
                    self.replies.push(packet::status(id, status, words))?;
                }
                (Piece::Request { id, request }, _) => self.answer(id, request).await?,
                (Piece::WriteBytes(_) | Piece::WriteEnd, Stage::Open) => {
                    unreachable!("the framer gives the body of a WRITE after its beginning")
                }
            }
        }
        Ok(())
    }

    async fn answer(&mut self, id: u32, request: Request) -> Result<(), End> {
        if let Request::Read {
            handle,
            offset,
            length,
        } = request
        {
            return match self.source(handle) {
                Ok(source) => Ok(self.replies.push_data(id, source, offset, length)?),
                Err(refusal) => Ok(self.replies.push(refusal.reply(id))?),
            };
        }
        if let Request::Close(handle) = request {
            return self.close(id, handle).await;
        }
        self.wait_for_closes(&request).await;
        let reply = self.carry_out(id, request).await;
        let reply = reply.unwrap_or_else(|refusal| refusal.reply(id));
        Ok(self.replies.push(reply)?)
    }

    /// Does what a request asks and says what to reply.
    async fn carry_out(&mut self, id: u32, request: Request) -> Result<Vec<u8>, Refusal> {
        let ok = || packet::status(id, Status::Ok, "");
        match request {
            Request::Read { .. } | Request::Close(_) => {
                unreachable!("these are answered through the queue")
            }
            Request::Open { path, flags } => self.open(id, &path, flags).await,
            Request::Stat(path) => {
                let shown = self.tree.stat(&jail::place(&path))?;
                Ok(packet::attributes(id, &shown))
            }
            Request::Fstat(handle) => {
                let shown = self.fstat(handle)?;
                Ok(packet::attributes(id, &shown))
            }
            Request::Setstat(path, wanted) => {
                self.tree.set(&jail::place(&path), &wanted)?;
                Ok(ok())
            }
            Request::Fsetstat(handle, wanted) => {
                self.set_open(handle, wanted).await?;
                Ok(ok())
            }
            Request::Opendir(path) => {
                let seat = self.seat()?;
                let listing = self.tree.list(&jail::place(&path))?;
                Ok(self.keep(id, Opened::Listing(Box::new(listing)), seat))
            }
            Request::Readdir(handle) => self.list(id, handle).await,
            Request::Remove(path) => {
                let place = jail::place(&path);
                self.away(move |tree| tree.remove(&place)).await?;
                Ok(ok())
            }
            Request::Rename { from, to } => {
                self.rename(&from, &to, Onto::Nothing).await?;
                Ok(ok())
            }
            Request::PosixRename { from, to } => {
                self.rename(&from, &to, Onto::Anything).await?;
                Ok(ok())
            }
            Request::Mkdir(_) | Request::Rmdir(_) | Request::Link => Err(fixed()),
            Request::Readlink(path) => {
                self.tree.stat(&jail::place(&path))?;
                Err(Refusal::failure("this is not a link"))
            }
            Request::Realpath(path) | Request::ExpandPath(path)
                if path.len() > jail::PATH_BYTES_MAX =>
            {
                Err(Refusal::failure("this path is too long"))
            }
            Request::Realpath(path) => Ok(packet::real_path(id, &jail::real_path(&path))),
            Request::Fsync(handle) => {
                self.sync(handle).await?;
                Ok(ok())
            }
            Request::Limits => {
                let limits = [PACKET_BYTES_MAX, DATA_BYTES_MAX, DATA_BYTES_MAX].map(u64::from);
                let [packet, read, write] = limits;
                let numbers = [packet, read, write, HANDLES_MAX as u64];
                Ok(packet::numbers(id, &numbers))
            }
            Request::Statvfs(path) => {
                self.tree.stat(&jail::place(&path))?;
                let room = self.away(Tree::room).await?;
                Ok(packet::numbers(id, &room))
            }
            Request::Fstatvfs(handle) => {
                self.opened(handle)?;
                let room = self.away(Tree::room).await?;
                Ok(packet::numbers(id, &room))
            }
            Request::ExpandPath(path) => {
                let expanded = self.tree.expand(&path);
                let nobody = || Refusal::failure("there is no such user here");
                Ok(packet::real_path(id, &expanded.ok_or_else(nobody)?))
            }
        }
    }

    /// Waits until what a request will see has happened. Only what is done to files that are open
    /// under other names goes on beside a close.
    async fn wait_for_closes(&mut self, request: &Request) {
        match request {
            Request::Open { path, .. } => {
                if let jail::Place::Upload(folder, name) = jail::place(path) {
                    self.pending.ended(folder, &name).await;
                }
            }
            Request::Stat(_)
            | Request::Setstat(..)
            | Request::Opendir(_)
            | Request::Remove(_)
            | Request::Rename { .. }
            | Request::PosixRename { .. }
            | Request::Readlink(_)
            | Request::Statvfs(_)
            | Request::Fstatvfs(_) => self.pending.all_ended().await,
            _ => {}
        }
    }

    async fn open(&mut self, id: u32, path: &[u8], flags: OpenFlags) -> Result<Vec<u8>, Refusal> {
        let seat = self.seat()?;
        let place = jail::place(path);
        let opened = if flags.has(OpenFlags::WRITE | OpenFlags::APPEND) {
            let upload = self.away(move |tree| tree.begin_upload(&place, flags));
            Opened::Upload(upload.await?)
        } else {
            let file = self.tree.open_to_read(&place)?;
            Opened::File(place, file)
        };
        Ok(self.keep(id, opened, seat))
    }

    /// Closes a handle. That of an upload takes a few syncs; other requests go on meanwhile.
    async fn close(&mut self, id: u32, handle: Option<HandleId>) -> Result<(), End> {
        let handle = handle.and_then(|handle| self.handles.remove(&handle));
        let reply = match handle {
            None => no_such_handle().reply(id),
            Some(Handle {
                opened: Opened::Upload(upload),
                seat,
            }) => {
                let closing = (Arc::clone(&self.tree), upload, seat);
                let reply = self.pending.begin(id, closing).await;
                return Ok(self.replies.push_later(id, reply)?);
            }
            Some(_) => packet::status(id, Status::Ok, ""),
        };
        Ok(self.replies.push(reply)?)
    }

    async fn sync(&self, handle: Option<HandleId>) -> Result<(), Refusal> {
        match self.opened(handle)? {
            Opened::File(_, file) => {
                let file = Arc::clone(file);
                self.away(move |_| Ok(file.sync_all()?)).await
            }
            Opened::Upload(upload) => {
                let upload = Arc::clone(upload);
                self.away(move |_| upload.sync()).await
            }
            Opened::Listing(_) => Err(is_a_folder()),
        }
    }

    fn fstat(&self, handle: Option<HandleId>) -> Result<Attributes, Refusal> {
        let (place, file) = match self.opened(handle)? {
            Opened::File(place, file) => (place.clone(), file),
            Opened::Upload(upload) => {
                let key = &upload.key;
                let place = jail::Place::Upload(key.folder, key.name.clone());
                (place, &upload.file)
            }
            Opened::Listing(_) => return Err(is_a_folder()),
        };
        Ok(shown_file(&place, &rustix::fs::fstat(file)?))
    }

    async fn set_open(
        &mut self,
        handle: Option<HandleId>,
        wanted: Attributes,
    ) -> Result<(), Refusal> {
        let upload = self.upload_to_write(handle)?;
        // Cutting a large file frees its blocks, which may take a while.
        self.away(move |tree| {
            if let Some(size) = wanted.size {
                tree.with_room(|| upload.set_size(size))?;
            }
            if let Some(times) = wanted.times {
                rustix::fs::futimens(&upload.file, &timestamps(times))?;
            }
            Ok(())
        })
        .await
    }

    async fn list(&mut self, id: u32, handle: Option<HandleId>) -> Result<Vec<u8>, Refusal> {
        self.opened(handle)?;
        let handle = handle.ok_or_else(no_such_handle)?;
        let kept = self.handles.remove(&handle).ok_or_else(no_such_handle)?;
        let Handle { opened, seat } = kept;
        let Opened::Listing(mut listing) = opened else {
            self.handles.insert(handle, Handle { opened, seat });
            return Err(Refusal::failure("this is not a folder"));
        };
        let filled = self.away(move |_| {
            let mut names = Names::new(id);
            listing.fill(&mut names)?;
            Ok((listing, names))
        });
        let (listing, names) = filled.await?;
        let opened = Opened::Listing(listing);
        self.handles.insert(handle, Handle { opened, seat });
        if names.is_empty() {
            return Err(Refusal::new(Status::Eof, "no more names"));
        }
        Ok(names.finish())
    }

    async fn rename(&mut self, from: &[u8], to: &[u8], onto: Onto) -> Result<(), Refusal> {
        let (from, to) = (jail::place(from), jail::place(to));
        self.away(move |tree| tree.rename(&from, &to, onto)).await
    }

    /// Does on a blocking thread what may take long, so that other sessions go on meanwhile.
    async fn away<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Tree) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let tree = Arc::clone(&self.tree);
        tokio::task::spawn_blocking(move || work(&tree))
            .await
            .unwrap_or_else(|_| Err(Refusal::failure("the server is going down")))
    }

    fn seat(&self) -> Result<Seat, Refusal> {
        let seat = self.tree.premises.shares.seat(&self.seats);
        seat.ok_or_else(|| Refusal::failure("too many files are open"))
    }

    fn keep(&mut self, id: u32, opened: Opened, seat: Seat) -> Vec<u8> {
        // Numbers come round again after four thousand million; one that is still open is passed.
        let handle = loop {
            let handle = HandleId::new(self.next_handle);
            self.next_handle = self.next_handle.wrapping_add(1);
            if !self.handles.contains_key(&handle) {
                break handle;
            }
        };
        let seat = Arc::new(seat);
        self.handles.insert(handle, Handle { opened, seat });
        packet::handle(id, handle)
    }

    fn kept(&self, handle: Option<HandleId>) -> Result<&Handle, Refusal> {
        let handle = handle.and_then(|handle| self.handles.get(&handle));
        handle.ok_or_else(no_such_handle)
    }

    fn opened(&self, handle: Option<HandleId>) -> Result<&Opened, Refusal> {
        Ok(&self.kept(handle)?.opened)
    }

    fn source(&self, handle: Option<HandleId>) -> Result<Source, Refusal> {
        let file = self.file_to_read(handle)?;
        let seat = Arc::clone(&self.kept(handle)?.seat);
        Ok(Source { file, _seat: seat })
    }

    fn file_to_read(&self, handle: Option<HandleId>) -> Result<Arc<File>, Refusal> {
        match self.opened(handle)? {
            Opened::File(_, file) => Ok(Arc::clone(file)),
            Opened::Upload(upload) => Ok(Arc::clone(&upload.file)),
            Opened::Listing(_) => Err(is_a_folder()),
        }
    }

    /// Where the bytes of a WRITE go, once there is room for them.
    async fn target(
        &self,
        handle: Option<HandleId>,
        offset: u64,
        length: u32,
    ) -> Result<(Arc<Upload>, u64), Refusal> {
        let upload = self.upload_to_write(handle)?;
        let taken = match upload.takes(offset, length) {
            // Batches may have ended since the files were counted. Reading the folders takes too
            // long to be done here.
            Err(Unfit::Full(_)) if self.tree.may_have_room() => {
                self.away(Tree::count).await?;
                upload.takes(offset, length)
            }
            done => done,
        };
        match taken {
            Ok(at) => {
                if upload.overwrites(at) {
                    // To cut a large file takes a while.
                    let upload = Arc::clone(&upload);
                    self.away(move |_| upload.cut_before(at)).await?;
                }
                Ok((upload, at))
            }
            Err(unfit) => {
                let refusal = Refusal::from(unfit);
                upload.lacks_bytes(&refusal);
                Err(refusal)
            }
        }
    }

    fn upload_to_write(&self, handle: Option<HandleId>) -> Result<Arc<Upload>, Refusal> {
        match self.opened(handle)? {
            Opened::Upload(upload) => Ok(Arc::clone(upload)),
            Opened::File(..) | Opened::Listing(_) => Err(Refusal::new(
                Status::PermissionDenied,
                "this is not open for writing",
            )),
        }
    }
}

impl Writing {
    /// Straight to the page cache, on the session's own task: a hand-over to another thread for
    /// every 32 KiB costs half as much again as the write.
    fn write(&mut self, bytes: &[u8]) {
        if let Ok((upload, at)) = &mut self.target {
            match upload.write(*at, bytes) {
                Ok(()) => *at += bytes.len() as u64,
                Err(refusal) => self.target = Err(refusal),
            }
        }
    }
}

fn is_a_folder() -> Refusal {
    Refusal::failure("this is a folder")
}

fn no_such_handle() -> Refusal {
    Refusal::failure("no such handle")
}
