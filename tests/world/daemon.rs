//! The built binary as a process: started, watched, asked to end, killed.

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::wait_for;

/// How long a start may take, on a machine that is busy with other tests.
const START: Duration = Duration::from_secs(30);

/// How long a process may take to end before a story gives up on it.
const END: Duration = Duration::from_secs(30);

/// A daemon that runs; it is killed when let go.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    log: PathBuf,
    /// Where its door is.
    pub(crate) sftp_port: u16,
}

impl Daemon {
    /// Starts it by this command and waits until it says where its door is. `fail_points` says
    /// where it dies and how long it waits, in a build that has such points.
    pub(crate) fn start(command: Command, log: PathBuf, fail_points: &str) -> Self {
        let shown = log.clone();
        Self::try_start(command, log, fail_points).unwrap_or_else(|status| panic_of(status, &shown))
    }

    /// The same for one that may end before its door is open; says how it ended if it did.
    pub(crate) fn try_start(
        mut command: Command,
        log: PathBuf,
        fail_points: &str,
    ) -> Result<Self, ExitStatus> {
        let out = File::create(&log).expect("the daemon's log is made");
        let err = out.try_clone().expect("one log for both");
        let child = command
            .env("FAILPOINTS", fail_points)
            .stdout(out)
            .stderr(err)
            .spawn()
            .expect("the binary starts");
        let mut daemon = Self {
            child,
            log,
            sftp_port: 0,
        };
        daemon.sftp_port = wait_for("line that says where the door is", START, || {
            if let Some(status) = daemon.ended() {
                return Some(Err(status));
            }
            let text = fs::read_to_string(&daemon.log).expect("the log is text");
            door(&text).map(Ok)
        })?;
        Ok(daemon)
    }

    /// Panics with the log when the process has ended.
    pub(crate) fn assert_running(&mut self) {
        if let Some(status) = self.ended() {
            panic_of(status, &self.log);
        }
    }

    /// How it has ended, if it has by itself.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the process is known")
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let sent = kill_process(Pid::from_child(&self.child), signal);
        sent.expect("the process is there, ended or not");
    }

    /// Waits until it has ended by itself.
    #[cfg(feature = "fail-points")]
    pub(crate) fn wait_for_end(mut self) {
        ended(&mut self.child, END).expect("the process is known");
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it without a chance to finish anything.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("the process is killed");
        self.child.wait().expect("the process is gone");
    }

    /// Asks it to end; gives its exit code and how long that took.
    pub(crate) fn stop(mut self) -> (Option<i32>, Duration) {
        let begun = Instant::now();
        // One that has died has its exit code already.
        if self.ended().is_none() {
            self.signal(Signal::TERM);
        }
        let status = ended(&mut self.child, END).expect("the process is known");
        (status.code(), begun.elapsed())
    }
}

fn panic_of(status: ExitStatus, log: &Path) -> ! {
    let log = fs::read_to_string(log).unwrap_or_default();
    panic!("the daemon ended with {status}:\n{log}");
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself, which is no harm here.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// `dropcast serve --config …`, deaf to the environment of the tests.
pub(crate) fn serve(config: &Path) -> Command {
    let mut command = dropcast();
    command.arg("serve").arg("--config").arg(config);
    command
}

/// The same command, run by a root that may not pass over the modes of files.
#[cfg(feature = "fail-points")]
pub(crate) fn bound_by_modes(command: &Command) -> Command {
    let mut bound = Command::new("setpriv");
    bound
        .arg("--bounding-set=-dac_override,-dac_read_search")
        .arg(command.get_program())
        .args(command.get_args())
        .env_remove("RUST_LOG")
        .env_remove("CREDENTIALS_DIRECTORY")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null());
    bound
}

/// The binary that was built with the tests, or the one that `DROPCAST_BIN` names, deaf to the
/// environment of the tests.
pub(crate) fn dropcast() -> Command {
    let built = env!("CARGO_BIN_EXE_dropcast").into();
    let mut command = Command::new(env::var_os("DROPCAST_BIN").unwrap_or(built));
    command
        .env_remove("RUST_LOG")
        .env_remove("CREDENTIALS_DIRECTORY")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null());
    command
}

/// Waits for a process to end; kills it and panics after `limit`.
pub(crate) fn ended(child: &mut Child, limit: Duration) -> io::Result<ExitStatus> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if begun.elapsed() > limit {
            child.kill()?;
            panic!("a process did not end within {limit:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The port in the last line that says where SFTP is listening. The last line counts only when it
/// is whole: a port may be half written.
fn door(log: &str) -> Option<u16> {
    let whole = &log[..=log.rfind('\n')?];
    let line = whole
        .lines()
        .rfind(|line| line.to_lowercase().contains("sftp") && line.contains("listening on "))?;
    let (_, address) = line.rsplit_once("listening on ")?;
    let (_, port) = address.split_whitespace().next()?.rsplit_once(':')?;
    let digits: String = port.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// A misread port would fail every story with a riddle.
#[test]
fn the_door_is_found_in_the_log() {
    let log = "INFO sftp: sftp listening on 127.0.0.1:40123\n\
               INFO admin: listening on 127.0.0.1:9\n\
               INFO the sftp door is listening on 127.0.0.1:40124 port=1\n\
               sftp listening on 1.1.1.1:4";
    assert_eq!(door(log), Some(40124));
    assert_eq!(door("INFO sftp listening on 127.0.0.1:40123"), None);
}
