//! What a tenant is shown of its files: attributes, and the lines of a listing.

use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Dir, FileType, Stat, statat};

use super::files::{hidden, is_regular};
use super::jail::{Folder, Name, Place, README, Tray};
use super::packet::{Attributes, Names};
use super::refusal::Refusal;
use crate::batch::Moment;
use crate::clock;
use crate::disk::UPLOAD_PREFIX;

/// `ls -l` shows the year instead of the time of day from this age on, in milliseconds.
const YEAR_SHOWN_AFTER_MS: i64 = 182 * 24 * 3600 * 1000;

/// The attributes of a file as its owner sees it. Modes say what may be done through this door, not
/// what stands on disk.
pub(super) fn shown_file(place: &Place, stat: &Stat) -> Attributes {
    let mode = match place {
        Place::Upload(..) => 0o100_644,
        _ => 0o100_444,
    };
    shown(mode, stat)
}

/// The attributes of a folder as its owner sees it.
pub(super) fn shown_folder(folder: Folder, stat: &Stat) -> Attributes {
    let mode = match folder {
        Folder::Root | Folder::Tray(Tray::Templates) => 0o040_555,
        Folder::Inlet(_) | Folder::Tray(_) => 0o040_755,
    };
    shown(mode, stat)
}

fn shown(mode: u32, stat: &Stat) -> Attributes {
    let seconds = |at: i64| at.clamp(0, i64::from(u32::MAX)) as u32;
    Attributes {
        size: Some(stat.st_size.max(0) as u64),
        owner: Some((0, 0)),
        mode: Some(mode),
        times: Some((seconds(stat.st_atime), seconds(stat.st_mtime))),
    }
}

/// A folder being listed, reply by reply.
pub(super) struct Listing {
    folder: Folder,
    entries: Dir,
    folders: std::vec::IntoIter<Folder>,
    owner: String,
}

impl Listing {
    pub(super) fn new(folder: Folder, opened: OwnedFd, owner: &str) -> Result<Self, Refusal> {
        Ok(Self {
            folder,
            entries: Dir::new(opened)?,
            folders: folder.folders().into_iter(),
            owner: owner.to_owned(),
        })
    }

    /// Fills a reply with the next entries; it stays empty when there are no more.
    pub(super) fn fill(&mut self, names: &mut Names) -> Result<(), Refusal> {
        while !names.is_full() {
            let Some((name, attributes)) = self.next_entry()? else {
                break;
            };
            let line = long_line(&name, &attributes, &self.owner, clock::now());
            names.add(name.as_bytes(), &line, &attributes);
        }
        Ok(())
    }

    fn next_entry(&mut self) -> Result<Option<(String, Attributes)>, Refusal> {
        for folder in self.folders.by_ref() {
            let name = folder.own_name();
            // One that a local hand removed is not shown.
            if let Ok(stat) = statat(self.entries.fd()?, name, AtFlags::SYMLINK_NOFOLLOW)
                && FileType::from_raw_mode(stat.st_mode) == FileType::Directory
            {
                return Ok(Some((name.to_owned(), shown_folder(folder, &stat))));
            }
        }
        while let Some(entry) = self.entries.read() {
            let entry = entry?;
            if !matches!(entry.file_type(), FileType::RegularFile | FileType::Unknown) {
                continue;
            }
            if let Some(file) = self.file(entry.file_name().to_bytes())? {
                return Ok(Some(file));
            }
        }
        Ok(None)
    }

    /// The file behind an entry of the folder as it is shown; `None` when it is not shown.
    fn file(&self, entry: &[u8]) -> Result<Option<(String, Attributes)>, Refusal> {
        let here = self.entries.fd()?;
        let as_drop = matches!(self.folder, Folder::Inlet(_));
        let partial = entry.strip_prefix(UPLOAD_PREFIX.as_bytes());
        let parsed = if as_drop {
            Name::parse(partial.unwrap_or(entry))
        } else {
            Name::parse_written(entry)
        };
        let Ok(name) = parsed else {
            return Ok(None);
        };
        if self.folder == Folder::Root && name.as_str() != README {
            return Ok(None);
        }
        let is_upload = as_drop && partial.is_some();
        if as_drop && !is_upload && is_there(here, &hidden(&name)) {
            // Its owner sees one file under this name: the one that is being written.
            return Ok(None);
        }
        match statat(here, entry, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if is_regular(&stat) => {
                let place = match self.folder {
                    Folder::Inlet(inlet) => Place::Upload(inlet, name.clone()),
                    Folder::Tray(tray) => Place::Written(tray, name.clone()),
                    Folder::Root => Place::Readme,
                };
                Ok(Some((name.as_str().to_owned(), shown_file(&place, &stat))))
            }
            // Not a file, or gone since the folder was read.
            _ => Ok(None),
        }
    }
}

fn is_there(folder: impl std::os::fd::AsFd, name: &str) -> bool {
    statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| is_regular(&stat))
}

/// The line that `ls -l` prints of a file.
fn long_line(name: &str, attributes: &Attributes, owner: &str, now: Moment) -> String {
    let mode = attributes.mode.unwrap_or_default();
    let kind = if mode & 0o040_000 == 0 { '-' } else { 'd' };
    let mut rights = String::from(kind);
    for shift in [6, 3, 0] {
        for (bit, letter) in [(4, 'r'), (2, 'w'), (1, 'x')] {
            let is_set = mode >> shift & bit != 0;
            rights.push(if is_set { letter } else { '-' });
        }
    }
    let (_, changed) = attributes.times.unwrap_or_default();
    let date = date(Moment::from_millis(i64::from(changed) * 1000), now);
    let size = attributes.size.unwrap_or_default();
    format!("{rights}    1 {owner:<8} {owner:<8} {size:>10} {date} {name}")
}

/// `Nov 21 09:15`, or `Nov 21  2026` for what is older or in the future.
fn date(moment: Moment, now: Moment) -> String {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let text = moment.to_string();
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    let month = part(5, 7).parse::<usize>().unwrap_or(1);
    let month = MONTHS.get(month.wrapping_sub(1)).unwrap_or(&"Jan");
    let day = part(8, 10).trim_start_matches('0');
    let age = now.as_millis() - moment.as_millis();
    if (0..YEAR_SHOWN_AFTER_MS).contains(&age) {
        format!("{month} {day:>2} {}", part(11, 16))
    } else {
        format!("{month} {day:>2}  {}", part(0, 4))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scripts cut these lines into columns, and people read them.
    #[test]
    fn a_line_reads_as_ls_writes_it() {
        let now = Moment::parse("2026-11-21T10:00:00Z").expect("a moment");
        let seconds = |text| Moment::parse(text).expect("a moment").as_millis() / 1000;
        let line = |mode, changed| {
            let attributes = Attributes {
                size: Some(1234),
                owner: Some((0, 0)),
                mode: Some(mode),
                times: Some((0, seconds(changed) as u32)),
            };
            long_line("a b.json", &attributes, "acme", now)
        };
        assert_eq!(
            line(0o100_644, "2026-11-01T09:15:02Z"),
            "-rw-r--r--    1 acme     acme           1234 Nov  1 09:15 a b.json"
        );
        assert_eq!(
            line(0o040_555, "2025-02-21T09:15:02Z"),
            "dr-xr-xr-x    1 acme     acme           1234 Feb 21  2025 a b.json"
        );
    }
}
