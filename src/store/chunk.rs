//! Messages as they are kept: JSON, one a line, compressed. Packing is the work of whoever reads a
//! file, so that the writer's thread only writes; where chunks lie is for the store's verbs to
//! know.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Read};

use crate::batch::{Message, Moment};
use crate::delivery::lane::Lane;

/// Speed matters more than the last per cent: rows of one file are very much alike.
const COMPRESSION_LEVEL: i32 = 1;

/// A chunk of so many bytes of lines takes no further message, so that whoever packs or reads one
/// holds a few MiB, however long its messages are.
const LINES_BYTES_MAX: usize = 4 << 20;

/// No chunk expands to more; a larger one is damaged. Far more than a full chunk and the longest
/// message that joins it.
const CHUNK_BYTES_MAX: u64 = 256 << 20;

/// A message, with about how much memory it takes.
pub(super) type Sized = (Message, usize);

/// A message takes about twice the memory of its line, and this much besides.
const MESSAGE_BYTES: usize = 400;

/// Up to a thousand messages, packed.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// The lanes of its messages, each once.
    pub(super) lanes: Vec<Lane>,
    /// When the earliest may go; the beginning of time for at once.
    pub(super) next_at: Moment,
    pub(super) first_index: u64,
    pub(super) last_index: u64,
    pub(super) message_count: u64,
    /// The tenant's own files that its messages need.
    pub(super) files: BTreeSet<String>,
    pub(super) content: Vec<u8>,
}

/// Packs messages, chunk after chunk.
pub struct Packer {
    compressor: zstd::bulk::Compressor<'static>,
    lines: Vec<u8>,
    /// Where chunks are compressed, before each gets a place of its own size.
    room: Vec<u8>,
    indices: Option<(u64, u64)>,
    message_count: u64,
    lanes: Vec<Lane>,
    /// Where a lane stands among those of the chunk; only if there are several.
    lane_places: HashMap<Lane, usize>,
    /// The lane of the last message.
    lane: usize,
    next_at: Option<Moment>,
    files: BTreeSet<String>,
    /// Chunks that are full.
    full: Vec<Chunk>,
}

impl Default for Packer {
    fn default() -> Self {
        let compressor = zstd::bulk::Compressor::new(COMPRESSION_LEVEL);
        Self {
            compressor: compressor.expect("the level is one of the library's"),
            lines: Vec::new(),
            room: Vec::new(),
            indices: None,
            message_count: 0,
            lanes: Vec::new(),
            lane_places: HashMap::new(),
            lane: 0,
            next_at: None,
            files: BTreeSet::new(),
            full: Vec::new(),
        }
    }
}

/// When a message may go.
pub(super) fn goes_at(message: &Message) -> Moment {
    message.scheduled_at.unwrap_or(AT_ONCE)
}

impl Packer {
    /// Adds the next message.
    pub fn add(&mut self, message: &Message) {
        let (first, _) = self.indices.unwrap_or((message.index, message.index));
        self.indices = Some((first, message.index));
        self.message_count += 1;
        self.label(message);
        for file in message.content.files() {
            if !self.files.contains(&file.sha256) {
                self.files.insert(file.sha256.clone());
            }
        }
        serde_json::to_writer(&mut self.lines, message).expect("our own types serialise");
        self.lines.push(b'\n');
        if self.lines.len() >= LINES_BYTES_MAX {
            self.seal();
        }
    }

    /// The messages added since they were last asked for, in their order: as many chunks as their
    /// bytes want, none if there were no messages.
    pub fn pack(&mut self) -> Vec<Chunk> {
        self.seal();
        std::mem::take(&mut self.full)
    }

    /// Notes what must be known of a message while its chunk is closed.
    fn label(&mut self, message: &Message) {
        let at = goes_at(message);
        self.next_at = Some(self.next_at.map_or(at, |before| before.min(at)));
        if self
            .lanes
            .get(self.lane)
            .is_some_and(|lane| lane.holds(message))
        {
            return;
        }
        let lane = Lane::of(message);
        let next = self.lanes.len();
        self.lane = *self.lane_places.entry(lane.clone()).or_insert(next);
        if self.lane == next {
            self.lanes.push(lane);
        }
    }

    fn seal(&mut self) {
        let Some((first_index, last_index)) = self.indices.take() else {
            return;
        };
        let most = zstd::zstd_safe::compress_bound(self.lines.len());
        self.room.resize(self.room.len().max(most), 0);
        let length = self
            .compressor
            .compress_to_buffer(&self.lines, &mut self.room[..])
            .expect("the buffer is as large as the library asks");
        self.lines.clear();
        self.lane_places.clear();
        self.lane = 0;
        self.full.push(Chunk {
            lanes: std::mem::take(&mut self.lanes),
            next_at: self.next_at.take().unwrap_or(AT_ONCE),
            first_index,
            last_index,
            message_count: std::mem::take(&mut self.message_count),
            files: std::mem::take(&mut self.files),
            content: self.room[..length].to_vec(),
        });
    }
}

impl Chunk {
    /// The lanes of its messages, each once.
    pub fn lanes(&self) -> &[Lane] {
        &self.lanes
    }

    /// These messages in chunks; none if there are no messages.
    pub fn of(messages: &[Message]) -> Vec<Self> {
        let mut packer = Packer::default();
        for message in messages {
            packer.add(message);
        }
        packer.pack()
    }
}

/// The moment of what may go at once.
const AT_ONCE: Moment = Moment::from_millis(0);

/// The messages of a chunk, from its content.
pub(super) fn unpack(content: &[u8]) -> io::Result<Vec<Sized>> {
    let mut text = Vec::new();
    zstd::Decoder::new(content)?
        .take(CHUNK_BYTES_MAX + 1)
        .read_to_end(&mut text)?;
    if text.len() as u64 > CHUNK_BYTES_MAX {
        return Err(io::Error::other("the chunk expands to more than any does"));
    }
    let lines = text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    let message = |line: &[u8]| {
        let message = serde_json::from_slice(line).map_err(io::Error::other)?;
        Ok((message, MESSAGE_BYTES + 2 * line.len()))
    };
    lines.map(message).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Content, Moment, Options, Phone, Priority};

    fn message(index: u64, bytes: usize) -> Message {
        let phone = |text| Phone::from_e164(text).expect("a number");
        Message {
            index,
            line: index + 1,
            to: phone("+31612345001"),
            from: phone("+15550001111"),
            reference: None,
            callback_data: None,
            scheduled_at: None,
            expires_at: Moment::from_millis(1_800_000_000_000),
            priority: Priority::default(),
            send_window: None,
            ignore_quiet_hours: false,
            options: Options::default(),
            content: Content::Text {
                body: "x".repeat(bytes),
                preview_url: false,
            },
        }
    }

    /// Were long messages put into one chunk, nobody could read it, or only with all the memory.
    #[test]
    fn chunks_of_long_messages_stay_small() {
        let mut packer = Packer::default();
        let messages: Vec<Message> = (0..200).map(|at| message(at * 2, 128 << 10)).collect();
        for message in &messages {
            packer.add(message);
            assert!(packer.lines.len() < LINES_BYTES_MAX);
        }
        let chunks = packer.pack();
        assert!(chunks.len() > 5, "{} chunks", chunks.len());
        let mut read = Vec::new();
        for chunk in &chunks {
            let found: Vec<Message> = unpack(&chunk.content)
                .expect("it can be read")
                .into_iter()
                .map(|(message, _)| message)
                .collect();
            assert_eq!(found.len() as u64, chunk.message_count);
            let ends = [found.first(), found.last()].map(|it| it.map(|message| message.index));
            assert_eq!(ends, [Some(chunk.first_index), Some(chunk.last_index)]);
            read.extend(found);
        }
        assert_eq!(read, messages);
        assert!(packer.pack().is_empty());
        assert_eq!(Chunk::of(&messages[..3]).len(), 1);
        assert!(packer.room.len() < 2 * LINES_BYTES_MAX);
    }
}
