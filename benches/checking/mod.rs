//! How fast files are checked and kept, and in how much memory; beside bare parsing and beside
//! other validators in the same run.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use dropcast::batch::media::NoFiles;
use dropcast::batch::name::{Container, DropFolder};
use dropcast::batch::origin::Origin;
use dropcast::batch::read::{Checker, Rules};
use dropcast::batch::template::Templates;
use dropcast::batch::{Arrival, BatchId, Moment, Phone, TenantName};
use dropcast::daemon::checking::{self, Keep, Wanted};
use dropcast::inbox::unpack;
use dropcast::store::{Start, Store};

use crate::service::{Outcome, SENDER, TEMPLATE, memory_kib};

/// The argument with which this program checks one file and says how much memory it took.
pub(crate) const ALONE: &str = "--check-alone";

/// What becomes of rows that repeat a recipient, in the head of the generated file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeats {
    Send,
    Skip,
}

/// Writes rows of about 180 bytes with five placeholders.
pub(crate) fn generate(path: &Path, rows: u64, repeats: Repeats) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    let word = match repeats {
        Repeats::Send => "send",
        Repeats::Skip => "skip",
    };
    write!(
        out,
        r#"{{"campaignName":"bench","templateName":"parcel","templateLanguage":"en","onDuplicateRecipient":"{word}","data":["#
    )?;
    for row in 0..rows {
        let comma = if row == 0 { "" } else { "," };
        write!(out, "{comma}\n{}", Row(row))?;
    }
    writeln!(out, "\n]}}")?;
    out.flush()
}

struct Row(u64);

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let row = self.0;
        write!(
            f,
            "{{\"to\":\"+3161{:07}\",\"reference\":\"R-{row:08}\",\"placeholders\":{{\"first\":\"Ana\",\"ref\":\"A-{row:08}\",\"items\":\"{}\",\"city\":\"Rotterdam\",\"day\":\"Monday 23 November\"}}}}",
            row % 10_000_000,
            row % 9 + 1,
        )
    }
}

#[derive(serde::Deserialize)]
struct BareRow<'a, P> {
    #[serde(borrow)]
    to: Cow<'a, str>,
    #[serde(borrow)]
    reference: Cow<'a, str>,
    placeholders: P,
}

/// Placeholders of a template that is known when the program is compiled.
#[derive(serde::Deserialize)]
struct Fixed<'a> {
    #[serde(borrow)]
    first: Cow<'a, str>,
    #[serde(borrow, rename = "ref")]
    order: Cow<'a, str>,
    #[serde(borrow)]
    items: Cow<'a, str>,
    #[serde(borrow)]
    city: Cow<'a, str>,
    #[serde(borrow)]
    day: Cow<'a, str>,
}

/// Placeholders of any template.
type Mapped<'a> = HashMap<Cow<'a, str>, Cow<'a, str>>;

/// Rows a second that serde_json parses on one core, `seen` looking at each line.
fn bare(path: &Path, seen: impl Fn(&[u8]) -> Option<usize>) -> Outcome<f64> {
    let began = Instant::now();
    let (mut rows, mut bytes) = (0_u64, 0_usize);
    let mut file = BufReader::with_capacity(1 << 17, File::open(path)?);
    let mut line = Vec::new();
    while file.read_until(b'\n', &mut line)? > 0 {
        let row = line.strip_suffix(b"\n").unwrap_or(&line);
        let row = row.strip_suffix(b",").unwrap_or(row);
        if let Some(length) = seen(row) {
            rows += 1;
            bytes += length;
        }
        line.clear();
    }
    // Whatever is seen is used, or the compiler would leave it out.
    std::hint::black_box(bytes);
    Ok(rows as f64 / began.elapsed().as_secs_f64())
}

fn fixed(row: &[u8]) -> Option<usize> {
    let row: BareRow<'_, Fixed<'_>> = serde_json::from_slice(row).ok()?;
    let values = &row.placeholders;
    let all = [&row.to, &row.reference, &values.first, &values.order];
    let rest = [&values.items, &values.city, &values.day];
    Some(all.into_iter().chain(rest).map(|text| text.len()).sum())
}

fn mapped(row: &[u8]) -> Option<usize> {
    let row: BareRow<'_, Mapped<'_>> = serde_json::from_slice(row).ok()?;
    let values: usize = row.placeholders.values().map(|text| text.len()).sum();
    Some(row.to.len() + row.reference.len() + values)
}

/// How often each figure is taken, one after the other, so that a slow moment meets them all.
const ROUNDS: usize = 5;

/// The middle one of what was measured.
fn middle(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// Check and store, beside bare parsing of the same file into borrowed structs.
pub(crate) fn figures(
    runtime: &tokio::runtime::Runtime,
    folder: &Path,
    million: &Path,
) -> Outcome<()> {
    let skipping = folder.join("skipping.json");
    generate(&skipping, 1_000_000, Repeats::Skip)?;
    let ours = [
        ("checked", million, Wanted::Faults),
        ("checked and stored", million, Wanted::Messages),
        ("the same, repeats skipped", &*skipping, Wanted::Messages),
    ];
    let (mut bare_fixed, mut bare_mapped) = (Vec::new(), Vec::new());
    let mut rates = ours.map(|_| Vec::new());
    for _ in 0..ROUNDS {
        bare_fixed.push(bare(million, fixed)?);
        bare_mapped.push(bare(million, mapped)?);
        for ((_, path, wanted), rates) in ours.iter().zip(&mut rates) {
            let took = check(runtime, path, &folder.join("bench.db"), *wanted)?;
            rates.push(1e6 / took.as_secs_f64());
            fs::remove_file(folder.join("bench.db"))?;
        }
    }
    fs::remove_file(&skipping)?;
    let (fixed, mapped) = (middle(bare_fixed), middle(bare_mapped));
    println!("bare parsing, fixed struct      {fixed:>12.0} rows/s");
    println!("bare parsing, map of values     {mapped:>12.0} rows/s");
    let rates = rates.map(middle);
    for ((what, ..), rate) in ours.iter().zip(rates) {
        println!(
            "{what:<32}{rate:>12.0} rows/s {:>6.2} x fixed struct {:>6.2} x map",
            rate / fixed,
            rate / mapped
        );
    }
    peers(folder, rates[0])
}

/// Python's `jsonschema` and `ajv` on the same rows and the template's schema, beside the rate at
/// which we check all of a row.
fn peers(folder: &Path, checked: f64) -> Outcome<()> {
    const ROWS: u64 = 100_000;
    let (schema, rows) = (folder.join("schema.json"), folder.join("rows.jsonl"));
    let (templates, _) = Templates::parse(&[("parcel.json".into(), TEMPLATE.into())]);
    let text = templates.schema("parcel", "en").ok_or("a schema")?;
    fs::write(&schema, text.to_string())?;
    let mut out = BufWriter::new(File::create(&rows)?);
    (0..ROWS).try_for_each(|row| writeln!(out, "{}", Row(row)))?;
    out.flush()?;
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
    let mut python = Command::new(target.join("peers/python/bin/python"));
    python.arg(root.join("benches/peers/validate.py"));
    let mut node = Command::new("node");
    node.env("NODE_PATH", target.join("peers/node/node_modules"));
    node.arg(root.join("benches/peers/validate.js"));
    for (what, mut peer, home) in [
        ("Python jsonschema", python, "peers/python/made-from"),
        ("ajv", node, "peers/node/made-from"),
    ] {
        if !target.join(home).exists() {
            println!("{what:<32}  not installed here");
            continue;
        }
        let said = peer.arg(&schema).arg(&rows).output()?;
        if !said.status.success() {
            return Err(format!("{what}: {}", String::from_utf8_lossy(&said.stderr)).into());
        }
        let rate: f64 = String::from_utf8(said.stdout)?.trim().parse()?;
        println!(
            "{what:<32}{rate:>12.0} rows/s {:>6.3} x checked",
            rate / checked
        );
    }
    Ok(())
}

/// The most memory that checking and storing takes, each time in a process of its own.
pub(crate) fn memory_figures(folder: &Path) -> Outcome<()> {
    for repeats in [Repeats::Send, Repeats::Skip] {
        let mut least = None;
        for rows in [10_000_u64, 1_000_000, 10_000_000] {
            let path = folder.join("rows.json");
            generate(&path, rows, repeats)?;
            let said = Command::new(std::env::current_exe()?)
                .arg(ALONE)
                .args([&path, &folder.join("alone.db")])
                .arg(rows.to_string())
                .output()?;
            let said = String::from_utf8(said.stdout)?;
            let (peak_kib, rate) = said.trim().split_once(' ').ok_or("two figures")?;
            let peak: u64 = peak_kib.parse()?;
            let least = *least.get_or_insert(peak);
            println!(
                "{rows:>9} rows, repeats {:<8}{rate:>12} rows/s, peak {:>4} MiB, {:>3} MiB above 10,000",
                format!("{repeats:?}").to_lowercase(),
                peak / 1024,
                peak.saturating_sub(least) / 1024,
            );
            fs::remove_file(folder.join("alone.db"))?;
        }
    }
    Ok(())
}

/// Checks and stores one file; prints the most memory taken, in KiB, and rows a second.
pub(crate) fn alone(path: &Path, database: &Path, rows: f64) -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().build()?;
    let took = check(&runtime, path, database, Wanted::Messages)?;
    let peak = memory_kib(std::process::id(), "VmHWM:")?;
    println!("{peak} {:.0}", rows / took.as_secs_f64());
    Ok(())
}

fn check(
    runtime: &tokio::runtime::Runtime,
    path: &Path,
    database: &Path,
    wanted: Wanted,
) -> Outcome<Duration> {
    let store = Store::open(database)?;
    let sender = Phone::from_e164(SENDER).ok_or("a number")?;
    let rules = Rules {
        senders: vec![sender],
        ..Rules::default()
    };
    let (templates, _) = Templates::parse(&[("parcel.json".into(), TEMPLATE.into())]);
    let received_at = Moment::from_millis(1_800_000_000_000);
    let checker = Checker {
        rules: &rules,
        templates: &templates,
        files: &NoFiles,
        received_at,
    };
    let batch = BatchId::new(received_at, 1);
    let size_bytes = fs::metadata(path)?.len();
    let arrival = Arrival {
        tenant: TenantName::parse("bench").ok_or("a name")?,
        batch: batch.clone(),
        folder: DropFolder::Whatsapp,
        name: "rows.json".into(),
        size_bytes,
        received_at,
        origin: Origin::Door,
    };
    runtime.block_on(store.receive(arrival, Start::AtOnce))?;
    runtime.block_on(store.begin_check(batch.clone()))?;
    let open = || unpack::open(File::open(path)?, "rows.json");
    let mut keeping = store.keeping(batch.clone());
    let mut piece = |piece| match wanted {
        Wanted::Faults => Ok(()),
        Wanted::Messages => runtime
            .block_on(keeping.keep(piece))
            .map_err(io::Error::other),
    };
    let mut keep = Keep {
        wanted,
        piece: &mut piece,
    };
    let began = Instant::now();
    let found = checking::check(&open, size_bytes, Container::Plain, checker, &mut keep)?;
    runtime.block_on(keeping.finish())?;
    if found.total == 0 || found.invalid != 0 {
        return Err(format!("{} rows, {} invalid", found.total, found.invalid).into());
    }
    Ok(began.elapsed())
}
