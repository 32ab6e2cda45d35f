//! What must hold of the pure parts of the door for any input at all. `fuzz/` feeds these functions
//! with what its engine makes up; the tests below with the inputs that are kept there, and with
//! some of their own. They panic when something does not hold, and say nothing otherwise.

use super::jail::{self, Folder, Name, PATH_BYTES_MAX, Place};
use super::packet::{self, Attributes, Framer, HandleId, Names, PACKET_BYTES_MAX, Piece, Status};
use crate::batch::name::NAME_BYTES_MAX;
use crate::disk::HIDDEN_PREFIX;

/// Bytes from a client: the first says how many cuts follow, one byte each, and the rest is the
/// stream. Wherever it is cut, the door must make the same of it and keep no more than a packet;
/// and whatever is in it must come back whole from the replies that tell it.
pub fn framer(input: &[u8]) {
    let Some((&count, rest)) = input.split_first() else {
        return;
    };
    let (cuts, stream) = rest.split_at(usize::from(count % 32).min(rest.len()));
    let whole = said(std::iter::once(stream));
    assert_eq!(said(pieces(stream, cuts)), whole, "cuts {cuts:?} matter");
    assert_eq!(said(stream.chunks(1)), whole, "single bytes matter");
    replies(stream);
}

/// A client's path. Whatever it says, it means a place in the tree or nothing, and its real path
/// means the same.
pub fn paths(input: &[u8]) {
    let real = jail::real_path(input);
    assert_eq!(real.first(), Some(&b'/'));
    assert_eq!(jail::real_path(&real), real, "a real path is its own");
    let detour = [input, b"/into/.."].concat();
    assert_eq!(jail::real_path(&detour), real, "into a folder and out");
    if real != b"/" {
        for part in real[1..].split(|&byte| byte == b'/') {
            assert!(!matches!(part, b"" | b"." | b".."), "{real:?}");
        }
    }
    let place = jail::place(input);
    if input.len() < PATH_BYTES_MAX {
        assert_eq!(jail::place(&real), place, "{real:?}");
    }
    match &place {
        Place::Upload(_, name) => check_name(name, NAME_BYTES_MAX),
        Place::Written(_, name) => check_name(name, 255),
        Place::Folder(folder) => check_folder(*folder, &real),
        Place::Readme => assert_eq!(real, b"/README.txt"),
        Place::Misnamed(_) | Place::Nowhere => {}
    }
    if let Place::Upload(_, name) | Place::Written(_, name) = &place {
        let last = real.rsplit(|&byte| byte == b'/').next();
        assert_eq!(last, Some(name.as_str().as_bytes()), "a name is kept");
    }
}

fn check_name(name: &Name, bytes_max: usize) {
    let name = name.as_str();
    assert!(!name.is_empty() && name.len() <= bytes_max, "{name:?}");
    assert!(!name.contains('/') && name != "." && name != "..");
    assert!(!name.starts_with(HIDDEN_PREFIX), "{name:?} is ours");
    assert!(!name.chars().any(char::is_control), "{name:?}");
}

fn check_folder(folder: Folder, real: &[u8]) {
    assert_eq!(&real[1..], folder.path().as_bytes());
}

/// The stream in pieces of these lengths; what is left is one more.
fn pieces<'a>(stream: &'a [u8], lengths: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = stream;
    let mut lengths = lengths.iter();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let length = lengths.next().map_or(rest.len(), |&length| length.into());
        let (piece, after) = rest.split_at(length.min(rest.len()));
        rest = after;
        Some(piece)
    })
}

/// Everything the framer says of a stream that comes in these pieces, its last word included; the
/// bytes of a WRITE are put together, since their cuts follow those of the stream.
fn said<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
    let mut framer = Framer::new();
    let (mut said, mut body) = (Vec::new(), Vec::new());
    let mut left = None;
    for piece in pieces {
        let mut input = piece;
        loop {
            let next = framer.next(&mut input);
            assert!(framer.held_bytes() <= 4 + PACKET_BYTES_MAX as usize);
            match next {
                Ok(None) => break,
                Ok(Some(Piece::WriteBytes(bytes))) => {
                    let left = left.as_mut().expect("a WRITE has begun");
                    *left -= bytes.len();
                    body.extend_from_slice(bytes);
                }
                Ok(Some(Piece::WriteEnd)) => {
                    assert_eq!(left.take(), Some(0), "as long as it said");
                    said.push(format!("WriteEnd {:?}", std::mem::take(&mut body)));
                }
                Ok(Some(piece)) => {
                    if let Piece::WriteBegin { length, .. } = piece {
                        left = Some(length as usize);
                    }
                    said.push(format!("{piece:?}"));
                }
                Err(broken) => {
                    said.push(broken.to_string());
                    return said;
                }
            }
        }
        assert!(input.is_empty(), "all of the input is used up");
    }
    said.push(format!("unfinished {body:?}"));
    said
}

/// Writes replies from these bytes and reads them back.
fn replies(seed: &[u8]) {
    let mut fields = Reader(seed);
    let (id, first, second) = (fields.u32(), fields.u64(), fields.u64());
    let text = String::from_utf8_lossy(fields.0).into_owned();
    let attributes = Attributes {
        size: (first & 1 == 0).then_some(second),
        owner: (first & 2 == 0).then_some((second as u32, id)),
        mode: (first & 4 == 0).then_some(id),
        times: (first & 8 == 0).then_some((id, first as u32)),
    };

    let reply = packet::status(id, Status::Failure, &text);
    let mut fields = Reader::of_reply(&reply, 101, id);
    assert_eq!(fields.u32(), 4);
    assert_eq!(fields.text(), text.as_bytes());
    assert_eq!(fields.text(), b"en");
    fields.end();

    let reply = packet::handle(id, HandleId::new(id));
    let mut fields = Reader::of_reply(&reply, 102, id);
    let asked = [&8_u32.to_be_bytes()[..], fields.text()].concat();
    fields.end();
    let read = [&[0, 0, 0, 17, 4][..], &id.to_be_bytes(), &asked].concat();
    let piece = Framer::new().next(&mut &read[..]).expect("a packet");
    let request = packet::Request::Close(Some(HandleId::new(id)));
    assert_eq!(piece, Some(Piece::Request { id, request }));

    let reply = packet::attributes(id, &attributes);
    let mut fields = Reader::of_reply(&reply, 105, id);
    assert_eq!(fields.attributes(), attributes);
    fields.end();

    let mut names = Names::new(id);
    while !names.is_full() {
        names.add(seed.get(..200).unwrap_or(seed), "a line", &attributes);
    }
    let reply = names.finish();
    assert!(reply.len() <= Names::BYTES_AIM, "one entry too many");
    let mut fields = Reader::of_reply(&reply, 104, id);
    for _ in 0..fields.u32() {
        assert_eq!(fields.text(), seed.get(..200).unwrap_or(seed));
        assert_eq!(fields.text(), b"a line");
        assert_eq!(fields.attributes(), attributes);
    }
    fields.end();

    let reply = packet::numbers(id, &[first, second]);
    let mut fields = Reader::of_reply(&reply, 201, id);
    assert_eq!((fields.u64(), fields.u64()), (first, second));
    fields.end();

    let reply = [&packet::data_head(id, seed.len() as u32)[..], seed].concat();
    let mut fields = Reader::of_reply(&reply, 103, id);
    assert_eq!(fields.text(), seed);
    fields.end();
}

/// Reads fields by itself, so that a mistake in the writing is not made twice. Of bytes that are
/// not there it makes zeroes: some inputs are too short to say everything.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn of_reply(reply: &'a [u8], kind: u8, id: u32) -> Self {
        let mut fields = Self(reply);
        assert_eq!(fields.u32() as usize, reply.len() - 4, "a false length");
        assert_eq!(fields.0[0], kind);
        fields.0 = &fields.0[1..];
        assert_eq!(fields.u32(), id);
        fields
    }

    fn u32(&mut self) -> u32 {
        let (field, rest) = self.0.split_at(self.0.len().min(4));
        self.0 = rest;
        let start = field
            .iter()
            .fold(0, |sum, &byte| sum << 8 | u32::from(byte));
        start << (8 * (4 - field.len())).min(31)
    }

    fn u64(&mut self) -> u64 {
        u64::from(self.u32()) << 32 | u64::from(self.u32())
    }

    fn text(&mut self) -> &'a [u8] {
        let length = self.u32() as usize;
        let (field, rest) = self.0.split_at(length);
        self.0 = rest;
        field
    }

    fn attributes(&mut self) -> Attributes {
        let flags = self.u32();
        assert_eq!(flags & !0xf, 0, "flags that version 3 does not know");
        Attributes {
            size: (flags & 1 != 0).then(|| self.u64()),
            owner: (flags & 2 != 0).then(|| (self.u32(), self.u32())),
            mode: (flags & 4 != 0).then(|| self.u32()),
            times: (flags & 8 != 0).then(|| (self.u32(), self.u32())),
        }
    }

    fn end(&self) {
        assert!(self.0.is_empty(), "bytes behind the fields: {:?}", self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// How many inputs each target is given beside those that are kept.
    const INPUTS: usize = 3_000;

    /// The inputs that are kept for a target; each once found something, or covers a case.
    fn kept(target: &str) -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
        let entries = std::fs::read_dir(folder.join(target)).expect("a folder of inputs");
        let read = |path: &Path| std::fs::read(path).expect("an input");
        let inputs: Vec<_> = entries
            .map(|entry| read(&entry.expect("an entry").path()))
            .collect();
        assert!(inputs.len() > 10, "only {} inputs", inputs.len());
        inputs
    }

    /// Gives a target the inputs that are kept, and mixtures of them.
    fn feed(target: &str, check: fn(&[u8])) {
        let kept = kept(target);
        for input in &kept {
            check(input);
        }
        let mut random = fastrand::Rng::with_seed(17);
        for _ in 0..INPUTS {
            check(&mixture(&kept, &mut random));
        }
    }

    fn mixture(kept: &[Vec<u8>], random: &mut fastrand::Rng) -> Vec<u8> {
        let mut mixture = Vec::new();
        for _ in 0..random.usize(1..4) {
            let input = &kept[random.usize(..kept.len())];
            let from = random.usize(..=input.len());
            mixture.extend_from_slice(&input[if random.bool() { 0 } else { from }..]);
        }
        for _ in 0..random.usize(..6) {
            if !mixture.is_empty() {
                let at = random.usize(..mixture.len());
                match random.u8(..4) {
                    0 => drop(mixture.remove(at)),
                    1 => mixture.insert(at, random.u8(..)),
                    2 => mixture[at] = *random.choice(b"\0\xff/.\x7f").expect("some"),
                    _ => mixture[at] ^= 1 << random.u8(..8),
                }
            }
        }
        mixture
    }

    /// What a client sends may come in any pieces and hold anything: a panic would end its session,
    /// a difference would lose its file.
    #[test]
    fn the_framer_holds_for_what_is_kept() {
        feed("framer", framer);
    }

    /// A path that leads out of a tenant's folder would open the folders of all.
    #[test]
    fn paths_hold_for_what_is_kept() {
        feed("paths", paths);
    }
}
