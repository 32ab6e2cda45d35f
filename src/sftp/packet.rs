//! Bytes become SFTP version 3 requests, replies become bytes: the words that both are made of.
//! What a request does is for `channel` and `files` to know.

mod answer;
mod framer;
mod request;

pub(super) use answer::{
    DATA_HEAD_BYTES, Names, attributes, data_head, handle, numbers, real_path, status, version,
};
pub(super) use framer::{Broken, Framer, Piece};
pub(super) use request::Request;

/// The longest packet taken, without its length field; what is longer ends the channel.
pub(super) const PACKET_BYTES_MAX: u32 = 256 << 10;
/// The most data that one READ returns or one WRITE should carry.
pub(super) const DATA_BYTES_MAX: u32 = 255 << 10;

/// The longest handle looked at; ours are shorter.
const HANDLE_BYTES_MAX: usize = 256;

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
