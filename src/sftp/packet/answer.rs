//! Replies become bytes.

use super::{Attributes, HandleId, Status, kind, put_text, put_u32, put_u64};

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
pub(in crate::sftp) fn version() -> Vec<u8> {
    let mut out = begin(kind::VERSION, 3);
    for (name, version) in [
        ("posix-rename@openssh.com", "1"),
        ("statvfs@openssh.com", "2"),
        ("fstatvfs@openssh.com", "2"),
        ("fsync@openssh.com", "1"),
        ("lsetstat@openssh.com", "1"),
        ("limits@openssh.com", "1"),
        ("expand-path@openssh.com", "1"),
    ] {
        put_text(&mut out, name.as_bytes());
        put_text(&mut out, version.as_bytes());
    }
    finish(out)
}

/// A STATUS reply with a sentence for the person at the other end.
pub(in crate::sftp) fn status(id: u32, status: Status, words: &str) -> Vec<u8> {
    let mut out = begin(kind::STATUS, id);
    put_u32(&mut out, status as u32);
    put_text(&mut out, words.as_bytes());
    put_text(&mut out, b"en");
    finish(out)
}

/// A HANDLE reply.
pub(in crate::sftp) fn handle(id: u32, handle: HandleId) -> Vec<u8> {
    let mut out = begin(kind::HANDLE, id);
    put_text(&mut out, handle.text().as_bytes());
    finish(out)
}

/// An ATTRS reply.
pub(in crate::sftp) fn attributes(id: u32, attributes: &Attributes) -> Vec<u8> {
    let mut out = begin(kind::ATTRS, id);
    attributes.write(&mut out);
    finish(out)
}

/// How many bytes stand before the data of a DATA reply.
pub(in crate::sftp) const DATA_HEAD_BYTES: usize = 4 + 1 + 4 + 4;

/// What stands before `length` bytes of data in a DATA reply.
pub(in crate::sftp) fn data_head(id: u32, length: u32) -> [u8; DATA_HEAD_BYTES] {
    let mut head = [0; DATA_HEAD_BYTES];
    head[..4].copy_from_slice(&(length + DATA_HEAD_BYTES as u32 - 4).to_be_bytes());
    head[4] = kind::DATA;
    head[5..9].copy_from_slice(&id.to_be_bytes());
    head[9..].copy_from_slice(&length.to_be_bytes());
    head
}

/// A NAME reply, filled entry by entry.
#[derive(Debug)]
pub(in crate::sftp) struct Names {
    out: Vec<u8>,
    count: u32,
}

impl Names {
    /// A listing is sent in replies of about this size.
    pub(in crate::sftp) const BYTES_AIM: usize = 48 << 10;

    pub(in crate::sftp) fn new(id: u32) -> Self {
        let mut out = begin(kind::NAME, id);
        put_u32(&mut out, 0);
        Self { out, count: 0 }
    }

    /// Adds an entry: its name, the line that `ls -l` shows of it, its attributes.
    pub(in crate::sftp) fn add(&mut self, name: &[u8], line: &str, attributes: &Attributes) {
        put_text(&mut self.out, name);
        put_text(&mut self.out, line.as_bytes());
        attributes.write(&mut self.out);
        self.count += 1;
    }

    pub(in crate::sftp) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(in crate::sftp) fn is_full(&self) -> bool {
        // An entry is at most a name twice and a line's other columns.
        self.out.len() + 1024 > Self::BYTES_AIM
    }

    pub(in crate::sftp) fn finish(mut self) -> Vec<u8> {
        self.out[9..13].copy_from_slice(&self.count.to_be_bytes());
        finish(self.out)
    }
}

/// The reply to REALPATH: one name, and no attributes.
pub(in crate::sftp) fn real_path(id: u32, path: &[u8]) -> Vec<u8> {
    let mut out = begin(kind::NAME, id);
    put_u32(&mut out, 1);
    put_text(&mut out, path);
    put_text(&mut out, path);
    Attributes::default().write(&mut out);
    finish(out)
}

/// The reply to an extended request that answers with numbers.
pub(in crate::sftp) fn numbers(id: u32, numbers: &[u64]) -> Vec<u8> {
    let mut out = begin(kind::EXTENDED_REPLY, id);
    for number in numbers {
        put_u64(&mut out, *number);
    }
    finish(out)
}
