//! One test binary, its modules in reading order.

mod world;

mod story;

mod clients;
mod packets;

mod shown;
mod tidy;
