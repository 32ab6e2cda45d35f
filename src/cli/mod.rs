//! The command line: what can be asked for, and what the exit code says. Each command has a file of
//! its own.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::crash;

mod against;
mod asking;
mod batch;
mod config;
mod demo;
mod explain;
mod hash_password;
mod host_key;
mod message;
mod sandbox;
mod sender;
mod serve;
mod steering;
mod table;
mod template;
mod tenant;
mod validate;
mod watch;

use demo::Afterwards;

/// Done.
pub const EXIT_DONE: u8 = 0;
/// The answer is no.
pub const EXIT_NO: u8 = 1;
/// Wrong usage: the command line itself is wrong.
pub const EXIT_USAGE: u8 = 2;
/// The daemon cannot be reached.
pub const EXIT_UNREACHABLE: u8 = 69;
/// The settings are wrong. The unit file does not restart after this one.
pub const EXIT_CONFIG: u8 = 78;

const CONFIG_PATH: &str = "/etc/dropcast/dropcast.toml";
const CONFIG_VARIABLE: &str = "DROPCAST_CONFIG";

/// Takes batch files in over SFTP, checks every row, keeps every message, sends it through the
/// tenant's provider and answers in files.
#[derive(Debug, Parser)]
#[command(
    name = "dropcast",
    version,
    max_term_width = 100,
    arg_required_else_help = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the daemon.
    Serve {
        /// The settings file.
        #[arg(long, value_name = "PATH", env = CONFIG_VARIABLE, default_value = CONFIG_PATH)]
        config: PathBuf,
    },
    /// Shows everything at work in a temporary folder, against the built-in sandbox.
    Demo {
        /// Leaves it running, and says how to reach it with `sftp`.
        #[arg(long)]
        keep: bool,
    },
    /// Checks files as uploads of them would be, without a service.
    ///
    /// Exits with 0 if all is good, with 1 if anything is wrong, with 2 if a file cannot be read.
    /// What only a service can know is left out: whether the content was sent before, and whether
    /// a checksum beside the file fits.
    Validate(validate::Validate),
    /// Shows batches, and pauses, resumes, cancels or retries them.
    #[command(subcommand)]
    Batch(batch::Asked),
    /// Says why a batch is not faster, which limit binds, and when it will have ended.
    Explain(explain::Explain),
    /// Finds and shows single messages.
    #[command(subcommand)]
    Message(message::Asked),
    /// Shows senders, and pauses, resumes, limits or retries them.
    #[command(subcommand)]
    Sender(sender::Asked),
    /// Pauses, resumes or retries all that a tenant sends.
    #[command(subcommand)]
    Tenant(tenant::Asked),
    /// Shows templates, how batch files use them, and pauses, resumes or retries them.
    #[command(subcommand)]
    Template(template::Asked),
    /// Looks at the settings.
    #[command(subcommand)]
    Config(Config),
    /// Shows and replaces the keys by which clients know the door.
    #[command(subcommand)]
    HostKey(HostKey),
    /// Makes the hash of a password for `password_hash`.
    ///
    /// The password is asked for on a terminal, and read from the first line of the input anywhere
    /// else. It is never taken from the command line, where other users could see it.
    HashPassword,
    /// Runs the stand-in of a provider as a server of its own, to try and to test against.
    ///
    /// What it checks, and what the last digits of recipients' numbers do, stands in
    /// docs/providers/sandbox.md. At SIGINT or SIGTERM it ends and prints what it saw.
    Sandbox(sandbox::Options),
}

#[derive(Debug, Subcommand)]
enum Config {
    /// Does all that a start does, short of opening the door; says everything that is wrong.
    Check(ConfigPath),
    /// Shows the settings that hold, defaults included and secrets hidden.
    Show {
        #[command(flatten)]
        path: ConfigPath,
        /// Writes JSON instead of TOML.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
enum HostKey {
    /// Shows file, kind and fingerprint of each key, and its line for `known_hosts`.
    Show {
        #[command(flatten)]
        config: ConfigOption,
        /// The name by which clients know this machine, for `known_hosts`.
        #[arg(long, value_name = "NAME")]
        host: Option<String>,
        /// Writes JSON instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Makes the next keys beside the present ones, which stay in force.
    Rotate {
        #[command(flatten)]
        config: ConfigOption,
        /// Puts the next keys in force at the next start, and keeps the former ones as `*.old`.
        #[arg(long)]
        finish: bool,
    },
}

#[derive(Clone, Debug, Args)]
struct ConfigOption {
    /// The settings file.
    #[arg(long = "config", value_name = "PATH", env = CONFIG_VARIABLE, default_value = CONFIG_PATH)]
    path: PathBuf,
}

#[derive(Debug, Args)]
struct ConfigPath {
    /// The settings file.
    #[arg(env = CONFIG_VARIABLE, default_value = CONFIG_PATH)]
    path: PathBuf,
}

/// Runs the command that the program was called with.
pub fn run() -> ExitCode {
    crash::arm();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let is_wrong = error.use_stderr();
            // Help that nobody reads to its end is no failure.
            let _ = error.print();
            return ExitCode::from(if is_wrong { EXIT_USAGE } else { EXIT_DONE });
        }
    };
    let done = match arguments.command {
        Command::Serve { config } => return serve::run(&config),
        Command::Demo { keep } => {
            return demo::run(if keep {
                Afterwards::Keep
            } else {
                Afterwards::Stop
            });
        }
        Command::Validate(asked) => validate::run(&asked),
        Command::Batch(asked) => batch::run(asked),
        Command::Explain(asked) => explain::run(asked),
        Command::Message(asked) => message::run(asked),
        Command::Sender(asked) => sender::run(asked),
        Command::Tenant(asked) => tenant::run(asked),
        Command::Template(asked) => template::run(asked),
        Command::Config(Config::Check(ConfigPath { path })) => config::check(&path),
        Command::Config(Config::Show { path, json }) => {
            let form = if json {
                config::Form::Json
            } else {
                config::Form::Toml
            };
            config::show(&path.path, form)
        }
        Command::HostKey(HostKey::Show { config, host, json }) => {
            let form = if json {
                host_key::Form::Json
            } else {
                host_key::Form::Text
            };
            host_key::show(&config.path, host.as_deref(), form)
        }
        Command::HostKey(HostKey::Rotate { config, finish }) => {
            let step = if finish {
                host_key::Step::Finish
            } else {
                host_key::Step::Prepare
            };
            host_key::rotate(&config.path, step)
        }
        Command::HashPassword => hash_password::run(),
        Command::Sandbox(options) => return sandbox::run(options),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        // The reader has seen enough, as `head` does.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::from(EXIT_DONE),
        Err(error) => {
            complain(&error);
            ExitCode::from(EXIT_NO)
        }
    }
}

/// Writes a line for the one who asked.
fn say(line: &dyn std::fmt::Display) -> io::Result<()> {
    writeln!(io::stdout(), "{line}")
}

/// Writes a line about what went wrong. Where that cannot be written either, the exit code says it.
fn complain(line: &dyn std::fmt::Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// A slip in the definition would only be seen by the one who uses that argument.
    #[test]
    fn the_command_line_is_well_defined() {
        Arguments::command().debug_assert();
    }

    /// Unit files and runbooks hold these words.
    #[test]
    fn the_commands_are_called_as_the_manual_says() {
        for line in [
            "dropcast serve --config /a.toml",
            "dropcast demo --keep",
            "dropcast validate a.json b.jsonl.gz --templates t --sender +15550001111 --strict --json",
            "dropcast validate a.json --config /a.toml --tenant acme",
            "dropcast validate - --as a.json --phone-check valid --phone-lenient",
            "dropcast template list --templates t --json",
            "dropcast template schema order_update --language en_US --templates t",
            "dropcast template example order_update --config /a.toml --tenant acme",
            "dropcast batch list --tenant acme --state sending --file a.json --since 2h --limit 9",
            "dropcast batch list --sha256 9f2c --since 2026-11-21T09:00:00Z --json",
            "dropcast batch show 7kq2xm --config /a.toml --json",
            "dropcast batch watch orders.json --json",
            "dropcast batch pause 7kq2xm --for 30m --reason texts",
            "dropcast batch resume 7kq2xm",
            "dropcast batch cancel 7kq2xm",
            "dropcast batch retry 7kq2xm",
            "dropcast explain 7kq2xm --json",
            "dropcast message find --to +31612345678 --reference A-1 --batch 7kq2xm --json",
            "dropcast message show 7kq2xm 14",
            "dropcast sender list --tenant acme --json",
            "dropcast sender pause +15550001111 --tenant acme --for 2h",
            "dropcast sender resume +15550001111",
            "dropcast sender retry +15550001111",
            "dropcast sender limit +15550001111 20",
            "dropcast sender limit +15550001111 off",
            "dropcast tenant pause acme --reason invoice",
            "dropcast tenant resume acme",
            "dropcast tenant retry acme",
            "dropcast template pause order_update --language en --tenant acme",
            "dropcast template resume order_update",
            "dropcast template retry order_update",
            "dropcast template pull --tenant acme --config /a.toml",
            "dropcast template create sale.json --tenant acme",
            "dropcast template edit sale sale.json --language nl",
            "dropcast template delete sale --language nl",
            "dropcast config check /a.toml",
            "dropcast config show --json /a.toml",
            "dropcast host-key show --config /a.toml --host files.example.com --json",
            "dropcast host-key rotate --config /a.toml --finish",
            "dropcast hash-password",
            "dropcast sandbox --listen 127.0.0.1:0 --provider infobip",
            "dropcast sandbox --latency 50ms --spread 20ms --rate 80 --seed 7",
            "dropcast sandbox --errors 429=0.05,500=0.01 --drop 0.01 --half 0.01",
        ] {
            let parsed = Arguments::try_parse_from(line.split(' '));
            assert!(parsed.is_ok(), "{line}");
        }
        for line in [
            "dropcast batch pause 7kq2xm --for soon",
            "dropcast batch list --limit 0",
            "dropcast message find --batch 7kq2xm",
            "dropcast tenant pause Acme",
            "dropcast sandbox --callbacks http://127.0.0.1:1/",
            "dropcast sandbox --provider whatsup",
            "dropcast sandbox --rate 0",
            "dropcast sandbox --errors 200=0.5",
        ] {
            assert!(
                Arguments::try_parse_from(line.split(' ')).is_err(),
                "{line}"
            );
        }
        // A password on the command line is shown to every user by `ps`.
        assert!(Arguments::try_parse_from(["dropcast", "hash-password", "x"]).is_err());
    }
}
