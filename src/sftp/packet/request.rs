//! What a client asks.

use super::{Attributes, Fields, HandleId, OpenFlags, Status, kind};

/// What a client asks, except for WRITE, which comes in pieces.
///
/// A handle that cannot be one of ours is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sftp) enum Request {
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
    Fstatvfs(Option<HandleId>),
    ExpandPath(Vec<u8>),
}

/// The request of this kind, or the status that answers it when it cannot be read.
pub(super) fn read_request(kind: u8, fields: &mut Fields<'_>) -> Result<Request, Status> {
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
            b"fstatvfs@openssh.com" => Request::Fstatvfs(fields.handle()?),
            b"limits@openssh.com" => Request::Limits,
            // There are no links, so it means the same with and without following them.
            b"lsetstat@openssh.com" => Request::Setstat(fields.path()?, Attributes::read(fields)?),
            b"expand-path@openssh.com" => Request::ExpandPath(fields.path()?),
            b"hardlink@openssh.com" => Request::Link,
            _ => return Err(Status::OpUnsupported),
        },
        _ => return Err(Status::OpUnsupported),
    })
}
