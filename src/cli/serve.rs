//! `dropcast serve`: the service, until it is told to stop.

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{EXIT_CONFIG, EXIT_NO, complain};
use crate::{config, daemon};

/// How long threads that wait for the disk may hold up an end that was drained.
const LINGER_MAX: Duration = Duration::from_millis(500);

/// Runs the service with the settings at `path`.
pub(super) fn run(path: &Path) -> ExitCode {
    let config = match config::load(path) {
        Ok(config) => config,
        Err(error) => {
            error.lines().iter().for_each(|line| complain(line));
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    log_to_stderr();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format_args!("failed to start the runtime: {error}"));
            return ExitCode::from(EXIT_NO);
        }
    };
    let end = runtime.block_on(async {
        let stop = CancellationToken::new();
        stop_on_signals(&stop);
        outlive_hangups();
        let daemon = tokio::select! {
            // A start may wait long for a full disk.
            () = stop.cancelled() => return Ok(()),
            started = daemon::start(config) => started?,
        };
        daemon.run(stop).await
    });
    runtime.shutdown_timeout(LINGER_MAX);
    match end {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error.sentence());
            ExitCode::from(EXIT_NO)
        }
    }
}

/// Cancels `stop` at SIGTERM or SIGINT.
pub(super) fn stop_on_signals(stop: &CancellationToken) {
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let stop = stop.clone();
        let mut signals = signal(kind).expect("the runtime can listen for signals");
        tokio::spawn(async move {
            signals.recv().await;
            stop.cancel();
        });
    }
}

/// A hang-up, by habit the signal to read settings again, ends nothing.
fn outlive_hangups() {
    let mut signals = signal(SignalKind::hangup()).expect("the runtime can listen for signals");
    tokio::spawn(async move {
        while signals.recv().await.is_some() {
            daemon::journal::settings_stay();
        }
    });
}

/// The journal goes to standard error: as text to a terminal or file, as JSON with
/// `DROPCAST_LOG_FORMAT=json`; `DROPCAST_LOG` chooses what is told (`info` by default).
fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("DROPCAST_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let line = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let started = if std::env::var_os("DROPCAST_LOG_FORMAT").is_some_and(|form| form == "json") {
        line.json().try_init()
    } else {
        line.with_target(false).try_init()
    };
    // Somebody who embeds the service may have a journal of their own.
    drop(started);
}
