//! One test binary, its modules in reading order.

mod world;

mod story;

mod shown;
mod tidy;
