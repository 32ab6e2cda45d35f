//! dropcast takes batch files in over SFTP, checks every row, keeps every message, sends it through
//! the tenant's provider and answers in files.

pub mod admin;
pub mod batch;
pub mod clock;
pub mod config;
pub mod delivery;
pub mod disk;
pub mod inbox;
pub mod listener;
pub mod provider;
pub mod report;
pub mod sftp;
pub mod store;
