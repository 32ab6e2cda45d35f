//! One test binary, its modules in reading order.

mod world;

mod story;
mod torture;

mod clients;
mod packets;

mod shown;
mod tidy;
