//! Spool entries that the disk would not show to the daemon when their files arrived. Their clients
//! have heard that nothing is confirmed, and the files are as good as any: they are shown as soon
//! as the disk lets them be. After a crash `repair` does that.

use std::sync::Mutex;
use std::time::Duration;

use rustix::io::Errno;

use super::lock;
use super::spooling::Entry;

/// How often it is tried again.
pub(super) const RETRY_EVERY: Duration = Duration::from_secs(20);
/// How many entries of one tenant are remembered; the next start shows the others.
const UNSHOWN_MAX: usize = 4096;

/// What one tenant's sessions have left unshown.
#[derive(Debug, Default)]
pub(super) struct Unshown(Mutex<Vec<Entry>>);

impl Unshown {
    /// Remembers an entry.
    pub(super) fn remember(&self, entry: Entry) {
        let mut entries = lock(&self.0);
        if entries.len() < UNSHOWN_MAX {
            entries.push(entry);
        }
    }

    /// Whether there is anything to be shown.
    pub(super) fn is_waiting(&self) -> bool {
        !lock(&self.0).is_empty()
    }

    /// Tries again; says whether anything was shown.
    pub(super) fn show(&self) -> bool {
        let waiting = std::mem::take(&mut *lock(&self.0));
        let before = waiting.len();
        let still: Vec<Entry> = waiting
            .into_iter()
            // One that is not there any more is for nobody to show.
            .filter(|entry| !matches!(entry.show(), Ok(()) | Err(Errno::NOENT)))
            .collect();
        let has_shown = still.len() < before;
        lock(&self.0).extend(still);
        has_shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file whose close could not be confirmed must not lie there until somebody restarts.
    #[test]
    fn an_entry_is_shown_as_soon_as_it_can_be() {
        let spool = tempfile::tempdir().expect("a temporary folder");
        let entry = |name: &str| Entry {
            hidden: spool.path().join(format!(".{name}")),
            name: spool.path().join("closed").join(name),
        };
        let unshown = Unshown::default();
        assert!(!unshown.show());
        for name in ["one", "other"] {
            std::fs::write(spool.path().join(format!(".{name}")), b"[1]").expect("written");
            unshown.remember(entry(name));
        }
        std::fs::write(spool.path().join("closed"), b"in the way").expect("written");
        assert!(!unshown.show());
        assert!(unshown.is_waiting());
        std::fs::remove_file(spool.path().join("closed")).expect("removed");
        std::fs::create_dir(spool.path().join("closed")).expect("made");
        assert!(unshown.show());
        assert!(!unshown.is_waiting());
        for name in ["one", "other"] {
            assert!(spool.path().join("closed").join(name).exists());
        }
    }
}
