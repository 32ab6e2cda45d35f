//! The input is cut into packets and pieces of packets.
//!
//! The framer takes its input in pieces of any size and keeps at most one packet of it. The body of
//! a WRITE is never put together: it is handed on as it arrives, so that it can go to the disk
//! straight from the receive buffer.

use super::request::{Request, read_request};
use super::{Fields, HANDLE_BYTES_MAX, HandleId, PACKET_BYTES_MAX, Status, kind, u32_at};

/// A buffer that has grown past this is given back after its packet.
const KEPT_BYTES_MAX: usize = 4 << 10;

/// What the framer makes of its input.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::sftp) enum Piece<'a> {
    /// The client speaks this version.
    Init(u32),
    /// A whole request.
    Request { id: u32, request: Request },
    /// A WRITE begins; its bytes follow as pieces of their own, then its end.
    WriteBegin {
        id: u32,
        handle: Option<HandleId>,
        offset: u64,
        length: u32,
    },
    /// Some bytes of the WRITE that has begun.
    WriteBytes(&'a [u8]),
    /// The WRITE that has begun is whole.
    WriteEnd,
    /// A request that is answered with this status and otherwise left alone.
    Refused { id: u32, status: Status },
}

/// The input cannot be cut into packets any more; the channel has to end.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::sftp) enum Broken {
    #[error("a packet of {0} bytes is longer than {PACKET_BYTES_MAX}")]
    TooLong(u32),
    #[error("a packet is too short to hold a request")]
    TooShort,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Collecting a packet, from its length field on.
    Packet,
    /// Handing on the bytes of a WRITE: those still to come, and those after them that belong to
    /// nothing.
    Write { left: u32, beyond: u32 },
    /// Passing over the rest of a packet that was answered.
    Skip { left: u32 },
}

/// Cuts the input into pieces.
#[derive(Debug)]
pub(in crate::sftp) struct Framer {
    state: State,
    held: Vec<u8>,
}

impl Framer {
    pub(in crate::sftp) fn new() -> Self {
        Self {
            state: State::Packet,
            held: Vec::new(),
        }
    }

    /// Takes the next piece from the front of `input`; `None` when all of it is used up.
    pub(in crate::sftp) fn next<'a>(
        &mut self,
        input: &mut &'a [u8],
    ) -> Result<Option<Piece<'a>>, Broken> {
        loop {
            match &mut self.state {
                State::Write { left: 0, beyond } => {
                    self.state = State::Skip { left: *beyond };
                    return Ok(Some(Piece::WriteEnd));
                }
                State::Skip { left: 0 } => self.state = State::Packet,
                _ if input.is_empty() => return Ok(None),
                State::Write { left, .. } => {
                    let bytes = split(input, *left as usize);
                    *left -= bytes.len() as u32;
                    return Ok(Some(Piece::WriteBytes(bytes)));
                }
                State::Skip { left } => *left -= split(input, *left as usize).len() as u32,
                State::Packet => match self.packet(input)? {
                    Some(piece) => return Ok(Some(piece)),
                    None if input.is_empty() => return Ok(None),
                    None => {}
                },
            }
        }
    }

    /// Goes on with a packet; `None` when it needs more, or was one that needs no answer.
    fn packet<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Piece<'a>>, Broken> {
        // Most packets lie whole in the input and are read where they lie.
        if self.held.is_empty()
            && let Some(length) = length_of(input)?
            && let Some(body) = input.get(4..4 + length as usize)
            && body[0] != kind::WRITE
        {
            *input = &input[4 + length as usize..];
            return read_packet(body).map(Some);
        }
        if !self.hold_up_to(4, input) {
            return Ok(None);
        }
        let length = length_of(&self.held)?.expect("four bytes are held");
        if !self.hold_up_to(5, input) {
            return Ok(None);
        }
        if self.held[4] == kind::WRITE {
            return self.write_head(length, input);
        }
        if !self.hold_up_to(4 + length as usize, input) {
            return Ok(None);
        }
        let piece = read_packet(&self.held[4..]);
        self.release();
        piece.map(Some)
    }

    /// Collects the head of a WRITE: type, id, handle, offset and length of the data.
    fn write_head<'a>(
        &mut self,
        length: u32,
        input: &mut &'a [u8],
    ) -> Result<Option<Piece<'a>>, Broken> {
        const BEFORE_HANDLE: usize = 4 + 1 + 4 + 4;
        const AFTER_HANDLE: usize = 8 + 4;
        let whole = 4 + length as usize;
        if length < 5 {
            return Err(Broken::TooShort);
        }
        if whole < BEFORE_HANDLE {
            return Ok(self.refuse_write(whole, input));
        }
        if !self.hold_up_to(BEFORE_HANDLE, input) {
            return Ok(None);
        }
        let handle_bytes = u32_at(&self.held, BEFORE_HANDLE - 4) as usize;
        let head_bytes = BEFORE_HANDLE + handle_bytes.min(HANDLE_BYTES_MAX) + AFTER_HANDLE;
        if handle_bytes > HANDLE_BYTES_MAX || head_bytes > whole {
            return Ok(self.refuse_write(whole, input));
        }
        if !self.hold_up_to(head_bytes, input) {
            return Ok(None);
        }
        let mut fields = Fields(&self.held[5..]);
        let id = fields.u32().expect("the head is held");
        let handle = HandleId::parse(fields.text().expect("the head is held"));
        let offset = fields.u64().expect("the head is held");
        let data_bytes = fields.u32().expect("the head is held");
        let rest = (whole - head_bytes) as u32;
        if data_bytes > rest {
            return Ok(self.refuse_write(whole, input));
        }
        self.release();
        self.state = State::Write {
            left: data_bytes,
            beyond: rest - data_bytes,
        };
        Ok(Some(Piece::WriteBegin {
            id,
            handle,
            offset,
            length: data_bytes,
        }))
    }

    /// Answers a WRITE whose head makes no sense, and passes over the rest of it.
    fn refuse_write(&mut self, whole: usize, input: &mut &[u8]) -> Option<Piece<'static>> {
        if !self.hold_up_to(9, input) {
            return None;
        }
        let id = u32_at(&self.held, 5);
        let left = (whole - self.held.len()) as u32;
        self.release();
        self.state = State::Skip { left };
        Some(Piece::Refused {
            id,
            status: Status::BadMessage,
        })
    }

    /// How much of the input is kept.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(in crate::sftp) fn held_bytes(&self) -> usize {
        self.held.len()
    }

    /// Moves bytes from the input until `count` are held; says whether they are.
    fn hold_up_to(&mut self, count: usize, input: &mut &[u8]) -> bool {
        let missing = count.saturating_sub(self.held.len());
        self.held.extend_from_slice(split(input, missing));
        self.held.len() >= count
    }

    fn release(&mut self) {
        self.held.clear();
        if self.held.capacity() > KEPT_BYTES_MAX {
            self.held = Vec::new();
        }
    }
}

/// Takes up to `count` bytes off the front.
fn split<'a>(input: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at(count.min(input.len()));
    *input = rest;
    taken
}

/// The length field of the packet that begins here, checked; `None` when not all of it is there.
fn length_of(bytes: &[u8]) -> Result<Option<u32>, Broken> {
    let Some(field) = bytes.first_chunk::<4>() else {
        return Ok(None);
    };
    match u32::from_be_bytes(*field) {
        0 => Err(Broken::TooShort),
        length if length > PACKET_BYTES_MAX => Err(Broken::TooLong(length)),
        length => Ok(Some(length)),
    }
}

/// Reads a whole packet other than WRITE: its type, id and fields.
fn read_packet(packet: &[u8]) -> Result<Piece<'static>, Broken> {
    let (&kind, body) = packet.split_first().ok_or(Broken::TooShort)?;
    let mut fields = Fields(body);
    let id = fields.u32().map_err(|_| Broken::TooShort)?;
    if kind == kind::INIT {
        return Ok(Piece::Init(id));
    }
    Ok(match read_request(kind, &mut fields) {
        Ok(request) => Piece::Request { id, request },
        Err(status) => Piece::Refused { id, status },
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Attributes, put_text};
    use super::*;

    fn packet(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
        let body = parts.concat();
        let mut out = ((body.len() + 1) as u32).to_be_bytes().to_vec();
        out.push(kind);
        out.extend(body);
        out
    }

    fn text(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        put_text(&mut out, bytes);
        out
    }

    fn write(id: u32, handle: &[u8], offset: u64, declared: u32, data: &[u8]) -> Vec<u8> {
        let (id, offset) = (id.to_be_bytes(), offset.to_be_bytes());
        let declared = declared.to_be_bytes();
        packet(kind::WRITE, &[&id, &text(handle), &offset, &declared, data])
    }

    /// Everything the framer says of an input that comes in these pieces; the bytes of a WRITE are
    /// put together, since their cuts follow those of the input.
    fn read(chunks: &[&[u8]]) -> (Vec<String>, Option<Broken>) {
        let mut framer = Framer::new();
        let (mut said, mut body) = (Vec::new(), Vec::new());
        for chunk in chunks {
            let mut input = *chunk;
            loop {
                match framer.next(&mut input) {
                    Ok(None) => break,
                    Ok(Some(Piece::WriteBytes(bytes))) => body.extend_from_slice(bytes),
                    Ok(Some(Piece::WriteEnd)) => {
                        said.push(format!("WriteEnd {:?}", std::mem::take(&mut body)));
                    }
                    Ok(Some(piece)) => said.push(format!("{piece:?}")),
                    Err(broken) => return (said, Some(broken)),
                }
            }
        }
        (said, None)
    }

    fn one(bytes: &[u8]) -> Piece<'_> {
        let mut input = bytes;
        let piece = Framer::new().next(&mut input).expect("can be cut");
        piece.expect("a whole packet")
    }

    /// A request that we cannot serve gets its own id back, or its client waits for ever.
    #[test]
    fn what_cannot_be_served_is_answered_under_its_own_id() {
        let id = 77_u32.to_be_bytes();
        let refused = |status| Piece::Refused { id: 77, status };
        let cases = [
            (packet(42, &[&id, b"anything"]), Status::OpUnsupported),
            (
                packet(kind::EXTENDED, &[&id, &text(b"x@y")]),
                Status::OpUnsupported,
            ),
            (packet(kind::OPEN, &[&id, &text(b"/a")]), Status::BadMessage),
            (packet(kind::STAT, &[&id]), Status::BadMessage),
            (
                packet(kind::STAT, &[&id, &[0xff; 4], b"short"]),
                Status::BadMessage,
            ),
            (packet(kind::READ, &[&id, &text(b"h")]), Status::BadMessage),
            (packet(kind::WRITE, &[&id]), Status::BadMessage),
            (packet(kind::WRITE, &[&id, &[0xff; 12]]), Status::BadMessage),
            (write(77, b"00000001", 0, 900, b"less"), Status::BadMessage),
            (
                packet(
                    kind::SETSTAT,
                    &[
                        &id,
                        &text(b"/a"),
                        &Attributes::EXTENDED.to_be_bytes(),
                        &[0xff; 4],
                    ],
                ),
                Status::BadMessage,
            ),
        ];
        for (bytes, status) in cases {
            assert_eq!(one(&bytes), refused(status), "{bytes:?}");
            // What follows is read as if nothing had happened.
            let next = packet(kind::STAT, &[&id, &text(b"/b")]);
            let (said, broken) = read(&[&bytes, &next]);
            assert_eq!((said.len(), broken), (2, None), "{bytes:?}");
        }
    }

    /// A length that no packet can have must end the channel, not fill the memory.
    #[test]
    fn impossible_lengths_end_the_channel() {
        for (length, broken) in [
            (0, Broken::TooShort),
            (PACKET_BYTES_MAX + 1, Broken::TooLong(PACKET_BYTES_MAX + 1)),
            (u32::MAX, Broken::TooLong(u32::MAX)),
        ] {
            let bytes = length.to_be_bytes();
            assert_eq!(read(&[&bytes]), (vec![], Some(broken)));
        }
        for kind in [kind::STAT, kind::WRITE, 42] {
            let bytes = packet(kind, &[&[1, 2]]);
            assert_eq!(read(&[&bytes]), (vec![], Some(Broken::TooShort)), "{kind}");
        }
    }

    /// A number far beyond any file must reach the one who checks it, unchanged.
    #[test]
    fn a_write_keeps_its_offset_and_its_handle() {
        let bytes = write(9, b"0000beef", u64::MAX, 3, b"abc");
        let (said, _) = read(&[&bytes]);
        let begin = Piece::WriteBegin {
            id: 9,
            handle: Some(HandleId(0xbeef)),
            offset: u64::MAX,
            length: 3,
        };
        let want = vec![format!("{begin:?}"), "WriteEnd [97, 98, 99]".to_owned()];
        assert_eq!(said, want);
        for strange in [&b"0000BEEF"[..], b"+000beef", b"", b"0000beef0"] {
            assert_eq!(HandleId::parse(strange), None);
        }
        assert_eq!(
            HandleId::parse(HandleId(7).text().as_bytes()),
            Some(HandleId(7))
        );
    }

    /// Bytes after the data of a WRITE must not become the next packet.
    #[test]
    fn bytes_beyond_the_data_of_a_write_are_passed_over() {
        let long = write(1, b"00000001", 0, 2, b"abcdef");
        let next = packet(kind::LSTAT, &[&2_u32.to_be_bytes(), &text(b"/")]);
        let (said, broken) = read(&[&long, &next]);
        assert_eq!((said.len(), broken), (3, None));
        assert_eq!(said[1], "WriteEnd [97, 98]");
    }

    fn any_packet() -> impl Strategy<Value = Vec<u8>> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..40);
        prop_oneof![
            (any::<u32>(), any::<u64>(), bytes()).prop_map(|(id, offset, data)| write(
                id,
                b"00000003",
                offset,
                data.len() as u32,
                &data
            )),
            (any::<u32>(), bytes(), 0..60_u32, bytes())
                .prop_map(|(id, handle, n, data)| write(id, &handle, 5, n, &data)),
            (any::<u8>(), any::<u32>(), bytes())
                .prop_map(|(kind, id, rest)| packet(kind, &[&id.to_be_bytes(), &rest])),
            (any::<u32>(), bytes())
                .prop_map(|(id, path)| packet(kind::REMOVE, &[&id.to_be_bytes(), &text(&path)])),
            (any::<u8>(), bytes()).prop_map(|(kind, rest)| packet(kind, &[&rest])),
        ]
    }

    proptest! {
        /// The network cuts where it likes; a client must get the same answers for all that.
        #[test]
        fn cuts_in_the_input_change_nothing(
            packets in prop::collection::vec(any_packet(), 0..8),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let bytes = packets.concat();
            let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            places.extend([0, bytes.len()]);
            places.sort_unstable();
            let chunks: Vec<_> = places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            let single: Vec<_> = bytes.chunks(1).collect();
            let whole = read(&[&bytes]);
            prop_assert_eq!(&read(&chunks), &whole);
            prop_assert_eq!(&read(&single), &whole);
        }

        /// Whatever a stranger sends, nothing panics and no more than a packet is kept.
        #[test]
        fn noise_neither_panics_nor_grows(noise in prop::collection::vec(any::<u8>(), 0..2000)) {
            let mut framer = Framer::new();
            let mut input = &noise[..];
            while let Ok(Some(_)) = framer.next(&mut input) {}
            prop_assert!(framer.held.len() <= 4 + PACKET_BYTES_MAX as usize);
        }
    }
}
