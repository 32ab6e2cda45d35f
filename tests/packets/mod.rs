//! The door at the level of packets: what no sound client sends, and clients that die anywhere.
//! Each test speaks to the built binary over SSH and writes every byte of SFTP itself.

mod packet;
mod wire;

mod channels;
mod cutting;
mod framing;
mod handles;
mod names;
mod starving;
mod writing;
