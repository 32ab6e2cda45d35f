//! SFTP version 3 as bytes, written and read by hand. It shares no code with the door, so that the
//! two cannot agree on the same mistake; nothing here checks what it is told to write.

/// The types of requests.
pub(crate) mod ask {
    pub(crate) const INIT: u8 = 1;
    pub(crate) const OPEN: u8 = 3;
    pub(crate) const CLOSE: u8 = 4;
    pub(crate) const READ: u8 = 5;
    pub(crate) const WRITE: u8 = 6;
    pub(crate) const LSTAT: u8 = 7;
    pub(crate) const FSTAT: u8 = 8;
    pub(crate) const SETSTAT: u8 = 9;
    pub(crate) const FSETSTAT: u8 = 10;
    pub(crate) const OPENDIR: u8 = 11;
    pub(crate) const READDIR: u8 = 12;
    pub(crate) const REMOVE: u8 = 13;
    pub(crate) const MKDIR: u8 = 14;
    pub(crate) const RMDIR: u8 = 15;
    pub(crate) const REALPATH: u8 = 16;
    pub(crate) const STAT: u8 = 17;
    pub(crate) const RENAME: u8 = 18;
    pub(crate) const READLINK: u8 = 19;
    pub(crate) const SYMLINK: u8 = 20;
    pub(crate) const EXTENDED: u8 = 200;
}

/// The types of replies.
pub(crate) mod say {
    pub(crate) const VERSION: u8 = 2;
    pub(crate) const STATUS: u8 = 101;
    pub(crate) const HANDLE: u8 = 102;
    pub(crate) const DATA: u8 = 103;
    pub(crate) const NAME: u8 = 104;
    pub(crate) const ATTRS: u8 = 105;
}

/// The codes of a STATUS.
pub(crate) const OK: u32 = 0;
pub(crate) const EOF: u32 = 1;
pub(crate) const NO_SUCH_FILE: u32 = 2;
pub(crate) const DENIED: u32 = 3;
pub(crate) const FAILURE: u32 = 4;
pub(crate) const BAD_MESSAGE: u32 = 5;
pub(crate) const OP_UNSUPPORTED: u32 = 8;

/// The flags of OPEN.
pub(crate) const READ: u32 = 0x01;
pub(crate) const WRITE: u32 = 0x02;
pub(crate) const APPEND: u32 = 0x04;
pub(crate) const CREATE: u32 = 0x08;
pub(crate) const EXCLUSIVE: u32 = 0x20;
/// What clients open a new file with.
pub(crate) const NEW: u32 = WRITE | CREATE | 0x10;

/// A request without its length and its id.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    kind: u8,
    body: Vec<u8>,
}

impl Packet {
    /// A request of this type whose fields after the id are these bytes.
    pub(crate) fn new(kind: u8, fields: &[&[u8]]) -> Self {
        let body = fields.concat();
        Self { kind, body }
    }

    /// The request as it goes over the wire.
    pub(crate) fn bytes(&self, id: u32) -> Vec<u8> {
        framed(&[&[self.kind], &id.to_be_bytes(), &self.body])
    }

    /// The same request with only the first `count` bytes of its fields.
    pub(crate) fn cut(&self, count: usize) -> Self {
        let body = self.body[..count].to_vec();
        Self { body, ..*self }
    }

    /// How many bytes its fields have.
    pub(crate) fn field_bytes(&self) -> usize {
        self.body.len()
    }
}

/// Bytes with the length field that is right for them.
pub(crate) fn framed(parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    [&(body.len() as u32).to_be_bytes()[..], &body].concat()
}

/// A string field.
pub(crate) fn text(bytes: &[u8]) -> Vec<u8> {
    framed(&[bytes])
}

/// A request whose only field is a path, a handle or a name.
pub(crate) fn one(kind: u8, bytes: &[u8]) -> Packet {
    Packet::new(kind, &[&text(bytes)])
}

/// A request with two paths.
pub(crate) fn two(kind: u8, first: &[u8], second: &[u8]) -> Packet {
    Packet::new(kind, &[&text(first), &text(second)])
}

pub(crate) fn init(version: u32) -> Vec<u8> {
    framed(&[&[ask::INIT], &version.to_be_bytes()])
}

pub(crate) fn open(path: &[u8], flags: u32) -> Packet {
    Packet::new(ask::OPEN, &[&text(path), &flags.to_be_bytes(), &[0; 4]])
}

pub(crate) fn close(handle: &[u8]) -> Packet {
    one(ask::CLOSE, handle)
}

pub(crate) fn write(handle: &[u8], offset: u64, data: &[u8]) -> Packet {
    let fields = [&text(handle)[..], &offset.to_be_bytes(), &text(data)];
    Packet::new(ask::WRITE, &fields)
}

pub(crate) fn read(handle: &[u8], offset: u64, length: u32) -> Packet {
    let numbers = [&offset.to_be_bytes()[..], &length.to_be_bytes()].concat();
    Packet::new(ask::READ, &[&text(handle), &numbers])
}

/// SETSTAT or FSETSTAT of these attributes.
pub(crate) fn set(kind: u8, what: &[u8], attributes: &[u8]) -> Packet {
    Packet::new(kind, &[&text(what), attributes])
}

/// Attributes that say a size and nothing else.
pub(crate) fn size(size: u64) -> Vec<u8> {
    [&1_u32.to_be_bytes()[..], &size.to_be_bytes()].concat()
}

/// EXTENDED with this name and these fields.
pub(crate) fn extended(name: &[u8], fields: &[u8]) -> Packet {
    Packet::new(ask::EXTENDED, &[&text(name), fields])
}

/// A reply as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) kind: u8,
    /// The request it answers; of VERSION the version.
    pub(crate) id: u32,
    body: Vec<u8>,
}

impl Reply {
    /// The first whole reply among these bytes, and how many bytes it takes.
    pub(crate) fn first(bytes: &[u8]) -> Option<(Self, usize)> {
        let length = number(bytes.get(..4)?) as usize;
        let packet = bytes.get(4..4 + length)?;
        assert!(length >= 5, "a reply without type and id: {packet:?}");
        let reply = Self {
            kind: packet[0],
            id: number(&packet[1..5]),
            body: packet[5..].to_vec(),
        };
        Some((reply, 4 + length))
    }

    /// The code of a STATUS. Panics when it is none, or says nothing for a person to read.
    pub(crate) fn status(&self) -> u32 {
        assert_eq!(self.kind, say::STATUS, "no status: {self:?}");
        let code = number(&self.body[..4]);
        assert!(code == OK || !self.words().is_empty(), "no reason given");
        code
    }

    /// The sentence of a STATUS.
    pub(crate) fn words(&self) -> String {
        let words = field(&self.body[4..]).to_vec();
        String::from_utf8(words).expect("a sentence in UTF-8")
    }

    /// The handle of a HANDLE.
    pub(crate) fn handle(&self) -> Vec<u8> {
        assert_eq!(self.kind, say::HANDLE, "no handle: {self:?}");
        field(&self.body).to_vec()
    }

    /// The bytes of a DATA.
    pub(crate) fn data(&self) -> &[u8] {
        assert_eq!(self.kind, say::DATA, "no data: {:?}", self.kind);
        field(&self.body)
    }

    /// The size that an ATTRS tells.
    pub(crate) fn size(&self) -> u64 {
        assert_eq!(self.kind, say::ATTRS, "no attributes: {self:?}");
        assert_eq!(number(&self.body[..4]) & 1, 1, "no size: {self:?}");
        u64::from(number(&self.body[4..8])) << 32 | u64::from(number(&self.body[8..12]))
    }

    /// The names of a NAME.
    pub(crate) fn names(&self) -> Vec<Vec<u8>> {
        assert_eq!(self.kind, say::NAME, "no names: {self:?}");
        let mut rest = &self.body[4..];
        let count = number(&self.body[..4]);
        let mut names = Vec::new();
        for _ in 0..count {
            let name = field(rest);
            names.push(name.to_vec());
            rest = &rest[4 + name.len()..];
            let line = field(rest);
            rest = &rest[4 + line.len()..];
            let flags = number(&rest[..4]);
            let attributes = [(1, 8), (2, 8), (4, 4), (8, 8)];
            let given = attributes.iter().filter(|(flag, _)| flags & flag != 0);
            rest = &rest[4 + given.map(|(_, bytes)| bytes).sum::<usize>()..];
        }
        assert!(rest.is_empty(), "bytes behind the names: {rest:?}");
        names
    }
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes.try_into().expect("four bytes"))
}

fn field(bytes: &[u8]) -> &[u8] {
    let length = number(&bytes[..4]) as usize;
    &bytes[4..4 + length]
}
