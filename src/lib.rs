//! dropcast takes batch files in over SFTP, checks every row, keeps every message, sends it through
//! the tenant's provider and answers in files.
//!
//! # The story of one file
//!
//! A client logs in at the door ([`sftp`]) and writes `orders.json` into its drop folder. The bytes
//! go under a hidden name; at the close they are synced, the inode is linked into the spool, the
//! spool is synced, the hidden name becomes the visible one, and only then does the client hear
//! `OK`. What a local job writes into the folder instead is copied into the spool once it lies
//! still. The [`inbox`] finds the spool entry, and the arrival gets its row in the [`store`]. The
//! file is read twice as a stream by [`batch`]: once for its head and its form, once for its rows,
//! each of which becomes a message or a list of faults. Messages are kept in compressed chunks, a
//! thousand together. When the file was read to its end its batch is admitted; until then a crash
//! begins the reading anew and nothing was sent. A feeder takes message after message, waits for a
//! permit and for the sender's turn ([`delivery::pace`]), commits the intent, lets the request
//! leave through the tenant's [`provider`], and commits the outcome: one pure step
//! ([`delivery::after`]) says where the message stands next. When nothing is left to send,
//! [`report`] turns what is committed into result lines, and they are put into the tenant's
//! folder: announced, renamed into place, noted as done. The file moves to `processed/`, the last
//! status says `final`, the batch has ended, and the spool entry goes. A message whose answer never
//! came holds its batch for a while: its receipt may come in ([`receipts`]), or the provider may
//! say when it is asked, and what follows is decided once more ([`delivery::settling`]).
//!
//! ```text
//! client ─▶ sftp ─▶ [file] ─▶ inbox ─▶ batch ─▶ [rows] ─▶ provider ─▶ [rows] ─▶ report ─▶ [file]
//! ─▶ client
//!                                └── refused: Faults ───────────────────────────▶ report ─▶ [file]
//! ```
//!
//! Every arrow into brackets is a durable fact: a renamed file or a committed transaction. Loops
//! ([`daemon`]) carry data from fact to fact; they wake each other with nudges that hold no data,
//! and by themselves, so that a lost nudge costs a delay and never a message.
//!
//! # Rooms
//!
//! A room is core or edge. Core rooms ([`batch`], [`delivery`], [`report`]) are plain functions
//! over plain values. An edge room owns one outside thing and the crate that speaks to it, and
//! edges never know each other; only [`daemon`] knows two.
//!
//! # What is absent on purpose
//!
//! - Data in channels between rooms: a crash would lose it.
//! - A clock or a random number in a core room: what is decided can be decided again.
//! - Two edges that know each other, and a connection that is handed out of its room.
//! - A phone number, a text or a secret in the journal.
//! - A file that is deleted before its report is in place.
//! - A message that is sent again because nobody knows what became of it.

pub mod cli;
pub mod config;

pub mod sftp;

pub mod inbox;

pub mod batch;

pub mod store;

pub mod delivery;

pub mod provider;

pub mod receipts;

pub mod report;

pub mod admin;

pub mod daemon;

pub mod clock;
pub mod crash;
pub mod disk;
pub mod listener;
