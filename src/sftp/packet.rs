//! Bytes become SFTP version 3 requests, replies become bytes. What a request does is for `channel`
//! and `files` to know.
//!
//! The framer takes its input in pieces of any size and keeps at most one packet of it. The body of
//! a WRITE is never put together: it is handed on as it arrives, so that it can go to the disk
//! straight from the receive buffer.

/// The longest packet taken, without its length field; what is longer ends the channel.
pub(super) const PACKET_BYTES_MAX: u32 = 256 << 10;
/// The most data that one READ returns or one WRITE should carry.
pub(super) const DATA_BYTES_MAX: u32 = 255 << 10;

/// The longest handle looked at; ours are shorter.
const HANDLE_BYTES_MAX: usize = 256;
/// A buffer that has grown past this is given back after its packet.
const KEPT_BYTES_MAX: usize = 4 << 10;

mod kind {
    pub(super) const INIT: u8 = 1;
    pub(super) const VERSION: u8 = 2;
    pub(super) const OPEN: u8 = 3;
    pub(super) const CLOSE: u8 = 4;
    pub(super) const READ: u8 = 5;
    pub(super) const WRITE: u8 = 6;
    pub(super) const LSTAT: u8 = 7;
    pub(super) const FSTAT: u8 = 8;
    pub(super) const SETSTAT: u8 = 9;
    pub(super) const FSETSTAT: u8 = 10;
    pub(super) const OPENDIR: u8 = 11;
    pub(super) const READDIR: u8 = 12;
    pub(super) const REMOVE: u8 = 13;
    pub(super) const MKDIR: u8 = 14;
    pub(super) const RMDIR: u8 = 15;
    pub(super) const REALPATH: u8 = 16;
    pub(super) const STAT: u8 = 17;
    pub(super) const RENAME: u8 = 18;
    pub(super) const READLINK: u8 = 19;
    pub(super) const SYMLINK: u8 = 20;
    pub(super) const STATUS: u8 = 101;
    pub(super) const HANDLE: u8 = 102;
    pub(super) const DATA: u8 = 103;
    pub(super) const NAME: u8 = 104;
    pub(super) const ATTRS: u8 = 105;
    pub(super) const EXTENDED: u8 = 200;
    pub(super) const EXTENDED_REPLY: u8 = 201;
}

/// The answers of a STATUS reply that version 3 knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Ok = 0,
    Eof = 1,
    NoSuchFile = 2,
    PermissionDenied = 3,
    Failure = 4,
    BadMessage = 5,
    OpUnsupported = 8,
}

/// How a file is to be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OpenFlags(pub(super) u32);

impl OpenFlags {
    pub(super) const WRITE: u32 = 0x02;
    pub(super) const APPEND: u32 = 0x04;
    pub(super) const CREATE: u32 = 0x08;
    pub(super) const TRUNCATE: u32 = 0x10;
    pub(super) const EXCLUSIVE: u32 = 0x20;

    pub(super) fn has(self, flag: u32) -> bool {
        self.0 & flag != 0
    }
}

/// The attributes of a file, as far as they were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) size: Option<u64>,
    pub(super) owner: Option<(u32, u32)>,
    pub(super) mode: Option<u32>,
    /// Last access and last change, in seconds since 1970.
    pub(super) times: Option<(u32, u32)>,
}

impl Attributes {
    const SIZE: u32 = 0x1;
    const OWNER: u32 = 0x2;
    const MODE: u32 = 0x4;
    const TIMES: u32 = 0x8;
    const EXTENDED: u32 = 0x8000_0000;

    fn read(fields: &mut Fields<'_>) -> Result<Self, Status> {
        let flags = fields.u32()?;
        let mut attributes = Self::default();
        if flags & Self::SIZE != 0 {
            attributes.size = Some(fields.u64()?);
        }
        if flags & Self::OWNER != 0 {
            attributes.owner = Some((fields.u32()?, fields.u32()?));
        }
        if flags & Self::MODE != 0 {
            attributes.mode = Some(fields.u32()?);
        }
        if flags & Self::TIMES != 0 {
            attributes.times = Some((fields.u32()?, fields.u32()?));
        }
        if flags & Self::EXTENDED != 0 {
            // Each pair takes at least eight bytes, so a false count ends with the packet.
            for _ in 0..fields.u32()? {
                fields.text()?;
                fields.text()?;
            }
        }
        Ok(attributes)
    }

    fn write(&self, out: &mut Vec<u8>) {
        let mut flags = 0;
        for (given, flag) in [
            (self.size.is_some(), Self::SIZE),
            (self.owner.is_some(), Self::OWNER),
            (self.mode.is_some(), Self::MODE),
            (self.times.is_some(), Self::TIMES),
        ] {
            if given {
                flags |= flag;
            }
        }
        put_u32(out, flags);
        if let Some(size) = self.size {
            put_u64(out, size);
        }
        for (first, second) in [self.owner].into_iter().flatten() {
            put_u32(out, first);
            put_u32(out, second);
        }
        if let Some(mode) = self.mode {
            put_u32(out, mode);
        }
        for (first, second) in [self.times].into_iter().flatten() {
            put_u32(out, first);
            put_u32(out, second);
        }
    }
}

/// A handle, as far as it has our form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct HandleId(u32);

impl HandleId {
    /// A number no other handle of the channel has.
    pub(super) fn new(number: u32) -> Self {
        Self(number)
    }

    /// Eight hexadecimal digits: some clients keep handles as text.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let digits = bytes.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let text = std::str::from_utf8(bytes).ok()?;
        (digits && bytes.len() == 8).then(|| u32::from_str_radix(text, 16).ok().map(Self))?
    }

    fn text(self) -> String {
        format!("{:08x}", self.0)
    }
}

/// What a client asks, except for WRITE, which comes in pieces.
///
/// A handle that cannot be one of ours is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    Open {
        path: Vec<u8>,
        flags: OpenFlags,
    },
    Close(Option<HandleId>),
    Read {
        handle: Option<HandleId>,
        offset: u64,
        length: u32,
    },
    Stat(Vec<u8>),
    Fstat(Option<HandleId>),
    Setstat(Vec<u8>, Attributes),
    Fsetstat(Option<HandleId>, Attributes),
    Opendir(Vec<u8>),
    Readdir(Option<HandleId>),
    Remove(Vec<u8>),
    Mkdir(Vec<u8>),
    Rmdir(Vec<u8>),
    Realpath(Vec<u8>),
    Rename {
        from: Vec<u8>,
        to: Vec<u8>,
    },
    PosixRename {
        from: Vec<u8>,
        to: Vec<u8>,
    },
    Readlink(Vec<u8>),
    Link,
    Fsync(Option<HandleId>),
    Limits,
    Statvfs(Vec<u8>),
}

/// What the framer makes of its input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// The client speaks this version.
    Init(u32),
    /// A whole request.
    Request { id: u32, request: Request },
    /// A WRITE begins; its bytes follow as pieces of their own, then its end.
    WriteBegin {
        id: u32,
        handle: Option<HandleId>,
        offset: u64,
        length: u32,
    },
    /// Some bytes of the WRITE that has begun.
    WriteBytes(&'a [u8]),
    /// The WRITE that has begun is whole.
    WriteEnd,
    /// A request that is answered with this status and otherwise left alone.
    Refused { id: u32, status: Status },
}

/// The input cannot be cut into packets any more; the channel has to end.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    #[error("a packet of {0} bytes is longer than {PACKET_BYTES_MAX}")]
    TooLong(u32),
    #[error("a packet is too short to hold a request")]
    TooShort,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Collecting a packet, from its length field on.
    Packet,
    /// Handing on the bytes of a WRITE: those still to come, and those after them that belong to
    /// nothing.
    Write { left: u32, beyond: u32 },
    /// Passing over the rest of a packet that was answered.
    Skip { left: u32 },
}

/// Cuts the input into pieces.
#[derive(Debug)]
pub(super) struct Framer {
    state: State,
    held: Vec<u8>,
}

impl Framer {
    pub(super) fn new() -> Self {
        Self {
            state: State::Packet,
            held: Vec::new(),
        }
    }

    /// Takes the next piece from the front of `input`; `None` when all of it is used up.
    pub(super) fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Piece<'a>>, Broken> {
        loop {
            match &mut self.state {
                State::Write { left: 0, beyond } => {
                    self.state = State::Skip { left: *beyond };
                    return Ok(Some(Piece::WriteEnd));
                }
                State::Skip { left: 0 } => self.state = State::Packet,
                _ if input.is_empty() => return Ok(None),
                State::Write { left, .. } => {
                    let bytes = split(input, *left as usize);
                    *left -= bytes.len() as u32;
                    return Ok(Some(Piece::WriteBytes(bytes)));
                }
                State::Skip { left } => *left -= split(input, *left as usize).len() as u32,
                State::Packet => match self.packet(input)? {
                    Some(piece) => return Ok(Some(piece)),
                    None if input.is_empty() => return Ok(None),
                    None => {}
                },
            }
        }
    }

    /// Goes on with a packet; `None` when it needs more, or was one that needs no answer.
    fn packet<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Piece<'a>>, Broken> {
        // Most packets lie whole in the input and are read where they lie.
        if self.held.is_empty()
            && let Some(length) = length_of(input)?
            && let Some(body) = input.get(4..4 + length as usize)
            && body[0] != kind::WRITE
        {
            *input = &input[4 + length as usize..];
            return read_packet(body).map(Some);
        }
        if !self.hold_up_to(4, input) {
            return Ok(None);
        }
        let length = length_of(&self.held)?.expect("four bytes are held");
        if !self.hold_up_to(5, input) {
            return Ok(None);
        }
        if self.held[4] == kind::WRITE {
            return self.write_head(length, input);
        }
        if !self.hold_up_to(4 + length as usize, input) {
            return Ok(None);
        }
        let piece = read_packet(&self.held[4..]);
        self.release();
        piece.map(Some)
    }

    /// Collects the head of a WRITE: type, id, handle, offset and length of the data.
    fn write_head<'a>(
        &mut self,
        length: u32,
        input: &mut &'a [u8],
    ) -> Result<Option<Piece<'a>>, Broken> {
        const BEFORE_HANDLE: usize = 4 + 1 + 4 + 4;
        const AFTER_HANDLE: usize = 8 + 4;
        let whole = 4 + length as usize;
        if length < 5 {
            return Err(Broken::TooShort);
        }
        if whole < BEFORE_HANDLE {
            return Ok(self.refuse_write(whole, input));
        }
        if !self.hold_up_to(BEFORE_HANDLE, input) {
            return Ok(None);
        }
        let handle_bytes = u32_at(&self.held, BEFORE_HANDLE - 4) as usize;
        let head_bytes = BEFORE_HANDLE + handle_bytes.min(HANDLE_BYTES_MAX) + AFTER_HANDLE;
        if handle_bytes > HANDLE_BYTES_MAX || head_bytes > whole {
            return Ok(self.refuse_write(whole, input));
        }
        if !self.hold_up_to(head_bytes, input) {
            return Ok(None);
        }
        let mut fields = Fields(&self.held[5..]);
        let id = fields.u32().expect("the head is held");
        let handle = HandleId::parse(fields.text().expect("the head is held"));
        let offset = fields.u64().expect("the head is held");
        let data_bytes = fields.u32().expect("the head is held");
        let rest = (whole - head_bytes) as u32;
        if data_bytes > rest {
            return Ok(self.refuse_write(whole, input));
        }
        self.release();
        self.state = State::Write {
            left: data_bytes,
            beyond: rest - data_bytes,
        };
        Ok(Some(Piece::WriteBegin {
            id,
            handle,
            offset,
            length: data_bytes,
        }))
    }

    /// Answers a WRITE whose head makes no sense, and passes over the rest of it.
    fn refuse_write(&mut self, whole: usize, input: &mut &[u8]) -> Option<Piece<'static>> {
        if !self.hold_up_to(9, input) {
            return None;
        }
        let id = u32_at(&self.held, 5);
        let left = (whole - self.held.len()) as u32;
        self.release();
        self.state = State::Skip { left };
        Some(Piece::Refused {
            id,
            status: Status::BadMessage,
        })
    }

    /// Moves bytes from the input until `count` are held; says whether they are.
    fn hold_up_to(&mut self, count: usize, input: &mut &[u8]) -> bool {
        let missing = count.saturating_sub(self.held.len());
        self.held.extend_from_slice(split(input, missing));
        self.held.len() >= count
    }

    fn release(&mut self) {
        self.held.clear();
        if self.held.capacity() > KEPT_BYTES_MAX {
            self.held = Vec::new();
        }
    }
}

/// Takes up to `count` bytes off the front.
fn split<'a>(input: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at(count.min(input.len()));
    *input = rest;
    taken
}

/// The length field of the packet that begins here, checked; `None` when not all of it is there.
fn length_of(bytes: &[u8]) -> Result<Option<u32>, Broken> {
    let Some(field) = bytes.first_chunk::<4>() else {
        return Ok(None);
    };
    match u32::from_be_bytes(*field) {
        0 => Err(Broken::TooShort),
        length if length > PACKET_BYTES_MAX => Err(Broken::TooLong(length)),
        length => Ok(Some(length)),
    }
}

/// Reads a whole packet other than WRITE: its type, id and fields.
fn read_packet(packet: &[u8]) -> Result<Piece<'static>, Broken> {
    let (&kind, body) = packet.split_first().ok_or(Broken::TooShort)?;
    let mut fields = Fields(body);
    let id = fields.u32().map_err(|_| Broken::TooShort)?;
    if kind == kind::INIT {
        return Ok(Piece::Init(id));
    }
    Ok(match read_request(kind, &mut fields) {
        Ok(request) => Piece::Request { id, request },
        Err(status) => Piece::Refused { id, status },
    })
}

/// The request of this kind, or the status that answers it when it cannot be read.
fn read_request(kind: u8, fields: &mut Fields<'_>) -> Result<Request, Status> {
    Ok(match kind {
        kind::OPEN => {
            let path = fields.path()?;
            let flags = OpenFlags(fields.u32()?);
            // The attributes of a file that is made are ours to choose, but must be there.
            Attributes::read(fields)?;
            Request::Open { path, flags }
        }
        kind::CLOSE => Request::Close(fields.handle()?),
        kind::READ => Request::Read {
            handle: fields.handle()?,
            offset: fields.u64()?,
            length: fields.u32()?,
        },
        kind::STAT | kind::LSTAT => Request::Stat(fields.path()?),
        kind::FSTAT => Request::Fstat(fields.handle()?),
        kind::SETSTAT => Request::Setstat(fields.path()?, Attributes::read(fields)?),
        kind::FSETSTAT => Request::Fsetstat(fields.handle()?, Attributes::read(fields)?),
        kind::OPENDIR => Request::Opendir(fields.path()?),
        kind::READDIR => Request::Readdir(fields.handle()?),
        kind::REMOVE => Request::Remove(fields.path()?),
        kind::MKDIR => Request::Mkdir(fields.path()?),
        kind::RMDIR => Request::Rmdir(fields.path()?),
        kind::REALPATH => Request::Realpath(fields.path()?),
        kind::RENAME => Request::Rename {
            from: fields.path()?,
            to: fields.path()?,
        },
        kind::READLINK => Request::Readlink(fields.path()?),
        kind::SYMLINK => Request::Link,
        kind::EXTENDED => match fields.text()? {
            b"posix-rename@openssh.com" => Request::PosixRename {
                from: fields.path()?,
                to: fields.path()?,
            },
            b"fsync@openssh.com" => Request::Fsync(fields.handle()?),
            b"statvfs@openssh.com" => Request::Statvfs(fields.path()?),
            b"limits@openssh.com" => Request::Limits,
            b"hardlink@openssh.com" => Request::Link,
            _ => return Err(Status::OpUnsupported),
        },
        _ => return Err(Status::OpUnsupported),
    })
}

/// The fields of a packet, read from the front; one that is not all there is a bad message.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Status> {
        let cut = self.0.split_at_checked(count);
        let (taken, rest) = cut.ok_or(Status::BadMessage)?;
        self.0 = rest;
        Ok(taken)
    }

    fn u32(&mut self) -> Result<u32, Status> {
        Ok(u32_at(self.take(4)?, 0))
    }

    fn u64(&mut self) -> Result<u64, Status> {
        Ok(u64::from(self.u32()?) << 32 | u64::from(self.u32()?))
    }

    fn text(&mut self) -> Result<&'a [u8], Status> {
        let count = self.u32()?;
        self.take(count as usize)
    }

    fn path(&mut self) -> Result<Vec<u8>, Status> {
        self.text().map(<[u8]>::to_vec)
    }

    fn handle(&mut self) -> Result<Option<HandleId>, Status> {
        self.text().map(HandleId::parse)
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let field = bytes[at..].first_chunk::<4>();
    u32::from_be_bytes(*field.expect("the caller has checked the length"))
}

fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn put_text(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u32(out, bytes.len() as u32);
    out.extend_from_slice(bytes);
}

/// Begins a reply; `finish` gives it its length.
fn begin(kind: u8, id: u32) -> Vec<u8> {
    let mut out = vec![0, 0, 0, 0, kind];
    put_u32(&mut out, id);
    out
}

fn finish(mut out: Vec<u8>) -> Vec<u8> {
    let length = out.len() as u32 - 4;
    out[..4].copy_from_slice(&length.to_be_bytes());
    out
}

/// The answer to INIT: version 3 and the extensions that are understood.
pub(super) fn version() -> Vec<u8> {
    let mut out = begin(kind::VERSION, 3);
    for (name, version) in [
        ("posix-rename@openssh.com", "1"),
        ("statvfs@openssh.com", "2"),
        ("fsync@openssh.com", "1"),
        ("limits@openssh.com", "1"),
    ] {
        put_text(&mut out, name.as_bytes());
        put_text(&mut out, version.as_bytes());
    }
    finish(out)
}

/// A STATUS reply with a sentence for the person at the other end.
pub(super) fn status(id: u32, status: Status, words: &str) -> Vec<u8> {
    let mut out = begin(kind::STATUS, id);
    put_u32(&mut out, status as u32);
    put_text(&mut out, words.as_bytes());
    put_text(&mut out, b"en");
    finish(out)
}

/// A HANDLE reply.
pub(super) fn handle(id: u32, handle: HandleId) -> Vec<u8> {
    let mut out = begin(kind::HANDLE, id);
    put_text(&mut out, handle.text().as_bytes());
    finish(out)
}

/// An ATTRS reply.
pub(super) fn attributes(id: u32, attributes: &Attributes) -> Vec<u8> {
    let mut out = begin(kind::ATTRS, id);
    attributes.write(&mut out);
    finish(out)
}

/// How many bytes stand before the data of a DATA reply.
pub(super) const DATA_HEAD_BYTES: usize = 4 + 1 + 4 + 4;

/// What stands before `length` bytes of data in a DATA reply.
pub(super) fn data_head(id: u32, length: u32) -> [u8; DATA_HEAD_BYTES] {
    let mut head = [0; DATA_HEAD_BYTES];
    head[..4].copy_from_slice(&(length + DATA_HEAD_BYTES as u32 - 4).to_be_bytes());
    head[4] = kind::DATA;
    head[5..9].copy_from_slice(&id.to_be_bytes());
    head[9..].copy_from_slice(&length.to_be_bytes());
    head
}

/// A NAME reply, filled entry by entry.
#[derive(Debug)]
pub(super) struct Names {
    out: Vec<u8>,
    count: u32,
}

impl Names {
    /// A listing is sent in replies of about this size.
    pub(super) const BYTES_AIM: usize = 48 << 10;

    pub(super) fn new(id: u32) -> Self {
        let mut out = begin(kind::NAME, id);
        put_u32(&mut out, 0);
        Self { out, count: 0 }
    }

    /// Adds an entry: its name, the line that `ls -l` shows of it, its attributes.
    pub(super) fn add(&mut self, name: &[u8], line: &str, attributes: &Attributes) {
        put_text(&mut self.out, name);
        put_text(&mut self.out, line.as_bytes());
        attributes.write(&mut self.out);
        self.count += 1;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn is_full(&self) -> bool {
        // An entry is at most a name twice and a line's other columns.
        self.out.len() + 1024 > Self::BYTES_AIM
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.out[9..13].copy_from_slice(&self.count.to_be_bytes());
        finish(self.out)
    }
}

/// The reply to REALPATH: one name, and no attributes.
pub(super) fn real_path(id: u32, path: &[u8]) -> Vec<u8> {
    let mut out = begin(kind::NAME, id);
    put_u32(&mut out, 1);
    put_text(&mut out, path);
    put_text(&mut out, path);
    Attributes::default().write(&mut out);
    finish(out)
}

/// The reply to an extended request that answers with numbers.
pub(super) fn numbers(id: u32, numbers: &[u64]) -> Vec<u8> {
    let mut out = begin(kind::EXTENDED_REPLY, id);
    for number in numbers {
        put_u64(&mut out, *number);
    }
    finish(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
        let body = parts.concat();
        let mut out = ((body.len() + 1) as u32).to_be_bytes().to_vec();
        out.push(kind);
        out.extend(body);
        out
    }

    fn text(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        put_text(&mut out, bytes);
        out
    }

    fn write(id: u32, handle: &[u8], offset: u64, declared: u32, data: &[u8]) -> Vec<u8> {
        let (id, offset) = (id.to_be_bytes(), offset.to_be_bytes());
        let declared = declared.to_be_bytes();
        packet(kind::WRITE, &[&id, &text(handle), &offset, &declared, data])
    }

    /// Everything the framer says of an input that comes in these pieces; the bytes of a WRITE are
    /// put together, since their cuts follow those of the input.
    fn read(chunks: &[&[u8]]) -> (Vec<String>, Option<Broken>) {
        let mut framer = Framer::new();
        let (mut said, mut body) = (Vec::new(), Vec::new());
        for chunk in chunks {
            let mut input = *chunk;
            loop {
                match framer.next(&mut input) {
                    Ok(None) => break,
                    Ok(Some(Piece::WriteBytes(bytes))) => body.extend_from_slice(bytes),
                    Ok(Some(Piece::WriteEnd)) => {
                        said.push(format!("WriteEnd {:?}", std::mem::take(&mut body)));
                    }
                    Ok(Some(piece)) => said.push(format!("{piece:?}")),
                    Err(broken) => return (said, Some(broken)),
                }
            }
        }
        (said, None)
    }

    fn one(bytes: &[u8]) -> Piece<'_> {
        let mut input = bytes;
        let piece = Framer::new().next(&mut input).expect("can be cut");
        piece.expect("a whole packet")
    }

    /// A request that we cannot serve gets its own id back, or its client waits for ever.
    #[test]
    fn what_cannot_be_served_is_answered_under_its_own_id() {
        let id = 77_u32.to_be_bytes();
        let refused = |status| Piece::Refused { id: 77, status };
        let cases = [
            (packet(42, &[&id, b"anything"]), Status::OpUnsupported),
            (
                packet(kind::EXTENDED, &[&id, &text(b"x@y")]),
                Status::OpUnsupported,
            ),
            (packet(kind::OPEN, &[&id, &text(b"/a")]), Status::BadMessage),
            (packet(kind::STAT, &[&id]), Status::BadMessage),
            (
                packet(kind::STAT, &[&id, &[0xff; 4], b"short"]),
                Status::BadMessage,
            ),
            (packet(kind::READ, &[&id, &text(b"h")]), Status::BadMessage),
            (packet(kind::WRITE, &[&id]), Status::BadMessage),
            (packet(kind::WRITE, &[&id, &[0xff; 12]]), Status::BadMessage),
            (write(77, b"00000001", 0, 900, b"less"), Status::BadMessage),
            (
                packet(
                    kind::SETSTAT,
                    &[
                        &id,
                        &text(b"/a"),
                        &Attributes::EXTENDED.to_be_bytes(),
                        &[0xff; 4],
                    ],
                ),
                Status::BadMessage,
            ),
        ];
        for (bytes, status) in cases {
            assert_eq!(one(&bytes), refused(status), "{bytes:?}");
            // What follows is read as if nothing had happened.
            let next = packet(kind::STAT, &[&id, &text(b"/b")]);
            let (said, broken) = read(&[&bytes, &next]);
            assert_eq!((said.len(), broken), (2, None), "{bytes:?}");
        }
    }

    /// A length that no packet can have must end the channel, not fill the memory.
    #[test]
    fn impossible_lengths_end_the_channel() {
        for (length, broken) in [
            (0, Broken::TooShort),
            (PACKET_BYTES_MAX + 1, Broken::TooLong(PACKET_BYTES_MAX + 1)),
            (u32::MAX, Broken::TooLong(u32::MAX)),
        ] {
            let bytes = length.to_be_bytes();
            assert_eq!(read(&[&bytes]), (vec![], Some(broken)));
        }
        for kind in [kind::STAT, kind::WRITE, 42] {
            let bytes = packet(kind, &[&[1, 2]]);
            assert_eq!(read(&[&bytes]), (vec![], Some(Broken::TooShort)), "{kind}");
        }
    }

    /// A number far beyond any file must reach the one who checks it, unchanged.
    #[test]
    fn a_write_keeps_its_offset_and_its_handle() {
        let bytes = write(9, b"0000beef", u64::MAX, 3, b"abc");
        let (said, _) = read(&[&bytes]);
        let begin = Piece::WriteBegin {
            id: 9,
            handle: Some(HandleId(0xbeef)),
            offset: u64::MAX,
            length: 3,
        };
        let want = vec![format!("{begin:?}"), "WriteEnd [97, 98, 99]".to_owned()];
        assert_eq!(said, want);
        for strange in [&b"0000BEEF"[..], b"+000beef", b"", b"0000beef0"] {
            assert_eq!(HandleId::parse(strange), None);
        }
        assert_eq!(
            HandleId::parse(HandleId(7).text().as_bytes()),
            Some(HandleId(7))
        );
    }

    /// Bytes after the data of a WRITE must not become the next packet.
    #[test]
    fn bytes_beyond_the_data_of_a_write_are_passed_over() {
        let long = write(1, b"00000001", 0, 2, b"abcdef");
        let next = packet(kind::LSTAT, &[&2_u32.to_be_bytes(), &text(b"/")]);
        let (said, broken) = read(&[&long, &next]);
        assert_eq!((said.len(), broken), (3, None));
        assert_eq!(said[1], "WriteEnd [97, 98]");
    }

    fn any_packet() -> impl Strategy<Value = Vec<u8>> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..40);
        prop_oneof![
            (any::<u32>(), any::<u64>(), bytes()).prop_map(|(id, offset, data)| write(
                id,
                b"00000003",
                offset,
                data.len() as u32,
                &data
            )),
            (any::<u32>(), bytes(), 0..60_u32, bytes())
                .prop_map(|(id, handle, n, data)| write(id, &handle, 5, n, &data)),
            (any::<u8>(), any::<u32>(), bytes())
                .prop_map(|(kind, id, rest)| packet(kind, &[&id.to_be_bytes(), &rest])),
            (any::<u32>(), bytes())
                .prop_map(|(id, path)| packet(kind::REMOVE, &[&id.to_be_bytes(), &text(&path)])),
            (any::<u8>(), bytes()).prop_map(|(kind, rest)| packet(kind, &[&rest])),
        ]
    }

    proptest! {
        /// The network cuts where it likes; a client must get the same answers for all that.
        #[test]
        fn cuts_in_the_input_change_nothing(
            packets in prop::collection::vec(any_packet(), 0..8),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let bytes = packets.concat();
            let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            places.extend([0, bytes.len()]);
            places.sort_unstable();
            let chunks: Vec<_> = places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            let single: Vec<_> = bytes.chunks(1).collect();
            let whole = read(&[&bytes]);
            prop_assert_eq!(&read(&chunks), &whole);
            prop_assert_eq!(&read(&single), &whole);
        }

        /// Whatever a stranger sends, nothing panics and no more than a packet is kept.
        #[test]
        fn noise_neither_panics_nor_grows(noise in prop::collection::vec(any::<u8>(), 0..2000)) {
            let mut framer = Framer::new();
            let mut input = &noise[..];
            while let Ok(Some(_)) = framer.next(&mut input) {}
            prop_assert!(framer.held.len() <= 4 + PACKET_BYTES_MAX as usize);
        }
    }
}
