//! The files of the tenant that a row names: each is looked at before anything is sent.

use super::Notes;
use super::row::Keys;
use crate::batch::Message;
use crate::batch::address::Place;
use crate::batch::content::{Media, MediaFile, MediaKind, MediaPlace, MediaSource};
use crate::batch::dialect::Dialect;
use crate::batch::fault::{Code, Trouble};
use crate::batch::media;
use crate::batch::read::{Checker, Head};
use crate::batch::terms::Part;
use crate::batch::tree::Node;

/// Looks at the files of a message that is good in every other respect, and takes into it what they
/// are. Where a file is named at the top, its faults stand at `row_at`.
pub(super) fn look(
    message: &mut Message,
    keys: &Keys<'_>,
    (head, checker, row_at): (&Head, Checker<'_>, usize),
    notes: &mut Notes<'_>,
) {
    for (place, kind, media) in message.content.media_mut() {
        let MediaSource::File(file) = &media.source else {
            continue;
        };
        match look_at(file, (place, kind), head, checker) {
            Ok(found) => take(media, kind, found),
            Err(trouble) => {
                let node = named(keys, place);
                notes.fault(trouble, node.map_or(row_at, |node| node.at));
            }
        }
    }
}

fn look_at(
    file: &MediaFile,
    (place, kind): (MediaPlace, MediaKind),
    head: &Head,
    checker: Checker<'_>,
) -> Result<MediaFile, Trouble> {
    if head.dialect != Dialect::Native {
        let trouble = Trouble::new(Code::BatchUnknownKey, "`link` or `id`", "`file`");
        return Err(trouble.hint("only the native form names files in /whatsapp/media/"));
    }
    let terms = checker.rules.terms.as_ref();
    if !terms.takes_files() {
        let expected = format!("a link: {} takes no files", terms.provider());
        let trouble = Trouble::new(Code::MediaNoUpload, expected, "a file in /whatsapp/media/");
        return Err(trouble.hint("put the file on a web server and write its address"));
    }
    let place = match place {
        MediaPlace::Header | MediaPlace::Card(_) => Place::Template,
        MediaPlace::Content => Place::Message,
    };
    media::look(&file.name, kind, place, checker.files)
}

/// Without a name of its own, a document has that of its file.
fn take(media: &mut Media, kind: MediaKind, file: MediaFile) {
    if kind == MediaKind::Document && media.filename.is_none() {
        media.filename = Some(file.name.clone());
    }
    media.source = MediaSource::File(file);
}

/// Where the row names the file that stands in this place.
fn named<'n>(keys: &Keys<'n>, place: MediaPlace) -> Option<&'n Node<'n>> {
    let node = match place {
        MediaPlace::Header => keys.part(Part::Header)?,
        MediaPlace::Card(at) => keys.part(Part::Cards)?.items().get(at)?.get("header")?,
        MediaPlace::Content => keys.part(Part::Content)?,
    };
    node.get("file").or(Some(node))
}
