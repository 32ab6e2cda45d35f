//! `dropcast sandbox`: the stand-in of a provider as an HTTP server of its own, until it is told to
//! stop. How it behaves is `provider::sandbox`'s.

use std::error::Error;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::provider::sandbox::{Behaviour, Numbers, Sandbox, VERSION};

/// Serves on `listen` until SIGINT or SIGTERM, then prints what was seen.
pub(super) fn run(listen: SocketAddr) -> ExitCode {
    match serve(listen) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Without standard error there is nobody left to tell.
            let _ = writeln!(io::stderr(), "dropcast sandbox: {}", chain(error.as_ref()));
            ExitCode::from(1)
        }
    }
}

fn serve(listen: SocketAddr) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let behaviour = Behaviour {
            numbers: Numbers::Scripted,
            ..Behaviour::default()
        };
        let sandbox = Sandbox::open(listen, behaviour).await?;
        let mut out = io::stdout();
        writeln!(out, "listening on http://{}/{VERSION}", sandbox.address())?;
        out.flush()?;
        let stop = CancellationToken::new();
        let served = tokio::spawn(sandbox.serve(stop.clone()));
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.cancel();
        writeln!(out, "{}", served.await?)?;
        Ok(())
    })
}

/// The error and its causes, joined.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
