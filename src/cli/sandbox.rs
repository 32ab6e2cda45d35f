//! `dropcast sandbox`: the stand-in of a provider as an HTTP server of its own, until it is told to
//! stop. How it behaves is `provider::sandbox`'s.

use std::error::Error;
use std::fs;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::steering::how_long;
use super::{EXIT_NO, EXIT_USAGE, complain};
use crate::provider::Kind;
use crate::provider::sandbox::{
    Behaviour, Callbacks, Errors, Misbehaviour, Numbers, Record, Sandbox, Share,
};

/// Which stand-in, and how it behaves.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The provider that it stands in for.
    #[arg(long, value_name = "NAME", value_parser = kinds(),
        default_value = Kind::MetaCloud.as_str())]
    provider: Kind,
    /// The address and port to listen on; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9090")]
    listen: SocketAddr,
    /// How long every answer takes, as in `50ms`.
    #[arg(long, value_name = "DURATION", value_parser = how_long)]
    latency: Option<Duration>,
    /// Up to how much longer than that an answer takes, by chance.
    #[arg(long, value_name = "DURATION", value_parser = how_long)]
    spread: Option<Duration>,
    /// How many messages a second each sender may send before it is throttled; without it any
    /// number.
    #[arg(long, value_name = "NUMBER", value_parser = rate)]
    rate: Option<f64>,
    /// Which shares of all requests are refused with which HTTP status, in the provider's words:
    /// `429=0.05,500=0.01`.
    #[arg(long, value_name = "SHARES", default_value = "", hide_default_value = true,
        value_parser = errors)]
    errors: Errors,
    /// Of which share of all requests the connection is cut: of one half before they are taken, of
    /// the other after.
    #[arg(
        long,
        value_name = "SHARE",
        default_value = "0",
        hide_default_value = true
    )]
    drop: Share,
    /// Of which share of all requests only half an answer comes.
    #[arg(
        long,
        value_name = "SHARE",
        default_value = "0",
        hide_default_value = true
    )]
    half: Share,
    /// What chance begins with: with the same seed the same requests go wrong. Without it another
    /// one each time, which is said.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// The folder with the definitions of the account's templates, in the Cloud API's form, one or
    /// several in each `*.json`. Without it any template is taken.
    #[arg(long, value_name = "DIR")]
    templates: Option<PathBuf>,
    /// A file that every request is written to, a line of JSON each, without its headers.
    #[arg(long, value_name = "PATH")]
    record: Option<PathBuf>,
    /// Says later what became of messages, in callbacks to this address, such as
    /// `http://127.0.0.1:9080/receipts/sandbox`.
    #[arg(long, value_name = "URL", requires = "app_secret_file")]
    callbacks: Option<String>,
    /// The file with the secret that callbacks are signed with.
    #[arg(long, value_name = "PATH", requires = "callbacks")]
    app_secret_file: Option<PathBuf>,
}

fn kinds() -> impl TypedValueParser<Value = Kind> {
    let of = |name: String| Kind::ALL.into_iter().find(|kind| kind.as_str() == name);
    PossibleValuesParser::new(Kind::ALL.map(Kind::as_str))
        .map(move |name| of(name).expect("only names of kinds are taken"))
}

fn rate(text: &str) -> Result<f64, &'static str> {
    match text.parse() {
        Ok(rate) if rate > 0.0 && f64::is_finite(rate) => Ok(rate),
        _ => Err("write how many messages a second, such as `80` or `0.5`"),
    }
}

fn errors(text: &str) -> Result<Errors, &'static str> {
    match text {
        "" => Ok(Errors::default()),
        text => text.parse(),
    }
}

/// Serves until SIGINT or SIGTERM, then prints what was seen.
pub(super) fn run(options: Options) -> ExitCode {
    let misbehaviour = Misbehaviour {
        spread: options.spread.unwrap_or_default(),
        errors: options.errors,
        cut: options.drop,
        halved: options.half,
        seed: options.seed.unwrap_or_else(|| fastrand::u64(..)),
    };
    if !misbehaviour.is_possible() {
        complain(&"dropcast sandbox: the shares of --errors, --drop and --half are more than 1");
        return ExitCode::from(EXIT_USAGE);
    }
    let read = options.templates.as_deref().map(definitions).transpose();
    let record = options.record.as_deref().map(Record::create).transpose();
    let (templates, record) = match (read, record) {
        (Ok(templates), Ok(record)) => (templates.unwrap_or_default(), record),
        (Err(error), _) => return refuse(&error),
        (_, Err(error)) => return refuse(&error),
    };
    let behaviour = Behaviour {
        latency: options.latency.unwrap_or_default(),
        rate: options.rate,
        numbers: Numbers::Scripted,
        misbehaviour,
        templates: templates.into(),
        record,
        ..Behaviour::default()
    };
    let callbacks = options.callbacks.zip(options.app_secret_file);
    match serve((options.listen, options.provider), behaviour, callbacks) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(error.as_ref()),
    }
}

fn refuse(error: &dyn Error) -> ExitCode {
    complain(&format!("dropcast sandbox: {}", chain(error)));
    ExitCode::from(EXIT_NO)
}

/// The definitions in the files of a folder: one in each, an array of them, or a whole answer.
fn definitions(folder: &Path) -> io::Result<Vec<Value>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|ending| ending != "json") {
            continue;
        }
        let read: Value = serde_json::from_slice(&fs::read(&path)?)?;
        match read {
            Value::Array(several) => found.extend(several),
            Value::Object(mut answer) => match answer.remove("data") {
                Some(Value::Array(several)) => found.extend(several),
                _ => found.push(Value::Object(answer)),
            },
            _ => {}
        }
    }
    Ok(found)
}

/// Serves; `callbacks` are where it says later what became of messages, and the file with the
/// secret that they are signed with.
fn serve(
    (listen, provider): (SocketAddr, Kind),
    behaviour: Behaviour,
    callbacks: Option<(String, PathBuf)>,
) -> Result<(), Box<dyn Error>> {
    let callbacks = match callbacks {
        Some((url, secret)) => {
            let secret = fs::read_to_string(secret)?;
            Some(Callbacks::new(url, secret.trim())?)
        }
        None => None,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let seed = behaviour.misbehaviour.seed;
        let mut sandbox = Sandbox::open(listen, provider, behaviour).await?;
        if let Some(callbacks) = callbacks {
            sandbox = sandbox.calling_back(callbacks);
        }
        let mut out = io::stdout();
        writeln!(out, "listening on {}", sandbox.base_url())?;
        out.flush()?;
        let stop = CancellationToken::new();
        let served = tokio::spawn(sandbox.serve(stop.clone()));
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.cancel();
        writeln!(out, "{}\n  seed {seed}", served.await?)?;
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
