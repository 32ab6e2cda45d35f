//! What the sections of the figures share: files to send, and what is read off the service.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::Path;
use std::time::{Duration, Instant};

use dropcast::batch::Moment;
use serde_json::Value;

use crate::service::{self, Outcome, Service, wait_for};

pub(crate) mod fairness;
pub(crate) mod latency;
pub(crate) mod rates;
pub(crate) mod senders;
pub(crate) mod waiting;

/// A number from the environment.
fn setting(name: &str, usual: u64) -> u64 {
    let set = std::env::var(name).ok().and_then(|text| text.parse().ok());
    set.unwrap_or(usual)
}

/// A row of about 180 bytes with five placeholders.
fn row(to: &str, from: &str, number: u64) -> String {
    let mut row = format!(r#"{{"to":"{to}","#);
    if !from.is_empty() {
        let _ = write!(row, r#""from":"{from}","#);
    }
    let _ = write!(
        row,
        r#""reference":"R-{number:08}","placeholders":{{"first":"Ana","ref":"A-{number:08}","items":"{}","city":"Rotterdam","day":"Monday 23 November"}}}}"#,
        number % 9 + 1,
    );
    row
}

/// A recipient that the stand-in does not watch; there are ten million.
fn recipient(number: u64) -> String {
    format!("+3161{:07}", number % 10_000_000)
}

/// A file with these rows. The name makes it differ from all others; `head` is more of its keys.
fn write_batch(
    mut out: impl io::Write,
    (name, head): (&str, &str),
    rows: impl Iterator<Item = String>,
) -> io::Result<()> {
    write!(
        out,
        r#"{{"campaignName":"{name}","templateName":"parcel","templateLanguage":"en",{head}"data":["#
    )?;
    for (number, row) in rows.enumerate() {
        let comma = if number == 0 { "" } else { "," };
        write!(out, "{comma}\n{row}")?;
    }
    writeln!(out, "\n]}}")?;
    out.flush()
}

/// Writes so many rows of one number into a file of this name in `folder`, and uploads it.
fn upload(service: &Service, home: &Path, (tenant, name, rows): (&str, &str, u64)) -> Outcome<()> {
    let rows = (0..rows).map(|number| row(&recipient(number), service::SENDER, number));
    upload_rows(service, home, (tenant, name), rows)
}

/// Writes rows into a file of this name in `home`, and uploads it.
fn upload_rows(
    service: &Service,
    home: &Path,
    (tenant, name): (&str, &str),
    rows: impl Iterator<Item = String>,
) -> Outcome<()> {
    let path = home.join(name);
    write_batch(BufWriter::new(File::create(&path)?), (name, ""), rows)?;
    let put = format!("put {} whatsapp/{name}\n", path.display());
    service::sftp(tenant, service.port, &home.join("key"), &[], &put)?;
    fs::remove_file(path)?;
    Ok(())
}

/// The status of a file once `good` says so.
fn status(home: &Path, (tenant, name): (&str, &str), good: impl Fn(&Value) -> bool) -> Value {
    let results = format!("data/tenants/{tenant}/whatsapp/results");
    let path = home.join(results).join(format!("{name}.status.json"));
    wait_for(|| {
        let text = fs::read(&path).ok()?;
        let status = serde_json::from_slice(&text).ok()?;
        good(&status).then_some(status)
    })
}

/// Messages a second of a batch that has ended, and how many were accepted.
fn rate_of(status: &Value) -> Outcome<(f64, u64)> {
    let moment = |key: &str| {
        let text = status[key].as_str().unwrap_or_default();
        Moment::parse(text)
            .map(Moment::as_millis)
            .ok_or(format!("no {key} in the status"))
    };
    let sending_ms = (moment("finishedAt")? - moment("startedAt")?).max(1);
    let accepted = status["counts"]["accepted"].as_u64().unwrap_or(0);
    Ok((accepted as f64 * 1000.0 / sending_ms as f64, accepted))
}

/// The processor time that a process has used, in seconds.
fn cpu_seconds(pid: u32) -> Outcome<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in brackets may hold spaces.
    let (_, fields) = text.rsplit_once(") ").ok_or("a process's times")?;
    let mut ticks = fields.split(' ').skip(11).take(2);
    let mut next = || ticks.next().unwrap_or_default().parse::<f64>();
    Ok((next()? + next()?) / 100.0)
}

/// The middle one of what was measured.
fn middle(mut measured: Vec<f64>) -> f64 {
    measured.sort_by(f64::total_cmp);
    measured[measured.len() / 2]
}

/// Median, 99th percentile and most of these times, in words.
fn spread(mut times: Vec<Duration>) -> String {
    times.sort();
    let ms = |share: f64| {
        let place = ((times.len() as f64 * share).ceil() as usize).clamp(1, times.len());
        times[place - 1].as_secs_f64() * 1000.0
    };
    format!(
        "median {:>7.1} ms, p99 {:>7.1} ms, most {:>7.1} ms of {}",
        ms(0.5),
        ms(0.99),
        ms(1.0),
        times.len()
    )
}

/// Waits for a fact without holding up the others; gives up after a minute.
async fn soon<T>(what: &str, mut fact: impl FnMut() -> Option<T>) -> Outcome<T> {
    let began = Instant::now();
    loop {
        if let Some(found) = fact() {
            return Ok(found);
        }
        if began.elapsed() > Duration::from_mins(1) {
            return Err(format!("no {what} within a minute").into());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
