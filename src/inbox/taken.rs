//! What of a tenant's files the spool holds, and so has been taken. When that may be looked at is
//! for `sweep` to know.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use super::settle::Look;
use super::{Error, Inbox, fault};
use crate::batch::TenantName;
use crate::batch::name::{DropFolder, SpoolName};
use crate::batch::origin::{Identity, Origin, SpoolEntry};

/// What of a tenant's files has been taken.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Inodes that the door has put into the spool, or is about to.
    pub(super) inodes: HashSet<u64>,
    /// Files that were copied, or are to be moved away.
    files: HashSet<Identity>,
    /// Inodes of files that were copied.
    pub(super) copied: HashSet<u64>,
    /// Of `inodes`, and by their names, those that may have no row yet.
    pub(super) new_inodes: HashSet<u64>,
    pub(super) new_names: HashSet<(DropFolder, String)>,
}

impl Taken {
    pub(super) fn has(&self, look: &Look) -> bool {
        self.inodes.contains(&look.identity.inode) || self.files.contains(&look.identity)
    }
}

/// What of a tenant's files is in the spool.
pub(super) fn taken(inbox: &Inbox, tenant: &TenantName) -> Result<Taken, Error> {
    let mut taken = Taken::default();
    for part in [inbox.new_folder(), inbox.held_folder()] {
        let is_new = part == inbox.new_folder();
        let folder = part.join(tenant.as_str());
        let failed = |source| fault("list", &folder, source);
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let known = name.to_str().and_then(SpoolEntry::parse);
            let origin = known.as_ref().map(|known| known.origin);
            if let Some(known) = known.filter(|_| is_new) {
                let SpoolName { folder, name, .. } = known.name;
                taken.new_names.insert((folder, name));
            }
            if let Some(identity) = origin.and_then(Origin::identity) {
                if let Some(Origin::Copied(_)) = origin {
                    taken.copied.insert(identity.inode);
                }
                taken.files.insert(identity);
                continue;
            }
            // Whatever else lies there may be what the door is about to put in.
            match entry.metadata() {
                Ok(about) => {
                    taken.inodes.insert(about.ino());
                    if is_new {
                        taken.new_inodes.insert(about.ino());
                    }
                }
                // It went on to the next part, or was released.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }
    Ok(taken)
}
