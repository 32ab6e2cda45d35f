//! What keeps the door shut, in the operator's words. What a client is told is for `refusal` to
//! know.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why the door does not open.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is taken, or not this machine's.
    #[error("failed to listen on `{address}`; set `sftp.listen` to a free address")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The folder of the host keys cannot be made.
    #[error("failed to make the folder `{folder}` for host keys")]
    HostKeyFolder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A host key is there and cannot be read.
    #[error("failed to read the host key `{path}`; its owner must be who runs the daemon")]
    ReadHostKey {
        /// The key's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A host key is there and is none.
    #[error(
        "failed to understand the host key `{path}`; restore it from a backup, or remove it to have another made, which every client will have to accept"
    )]
    GarbledHostKey {
        /// The key's file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<russh::keys::ssh_key::Error>,
    },
    /// A host key can be read by others.
    #[error(
        "failed to use the host key `{path}`, which others can read and pretend to be this door with; run `chmod 600 {path}`, or replace it if they have"
    )]
    OpenHostKey {
        /// The key's file.
        path: PathBuf,
    },
    /// A host key wants a passphrase, which a daemon cannot give.
    #[error("failed to use the host key `{path}`; remove its passphrase with `ssh-keygen -p`")]
    LockedHostKey {
        /// The key's file.
        path: PathBuf,
    },
    /// There are no keys that could be replaced.
    #[error("there are no host keys in `{folder}`; the first start makes them")]
    NoHostKeys {
        /// The folder.
        folder: PathBuf,
    },
    /// The next set is there already.
    #[error(
        "the next host keys are there already, in `{folder}`; `dropcast host-key show` lists them, `dropcast host-key rotate --finish` puts them in force"
    )]
    NextHostKeysThere {
        /// Their folder.
        folder: PathBuf,
    },
    /// There is no next set.
    #[error(
        "there are no next host keys in `{folder}`; make them with `dropcast host-key rotate`, and let every client learn them first"
    )]
    NoNextHostKeys {
        /// Where they would be.
        folder: PathBuf,
    },
    /// Another command is at it.
    #[error("another command is changing the host keys in `{folder}`")]
    HostKeysBusy {
        /// The folder.
        folder: PathBuf,
    },
    /// The keys cannot be replaced.
    #[error("failed to replace host keys in `{folder}`; run the command again")]
    RotateHostKeys {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A host key cannot be made.
    #[error("failed to make the host key `{path}`")]
    MakeHostKey {
        /// The key's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
