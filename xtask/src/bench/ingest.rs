//! `bench ingest`: reports into a local home, drained all the way to issues.
//!
//! `reports.py` makes reports of 48 KB beforehand; four connections send them as fast as they are answered to `kintsugi up`,
//! built for release, on the same machine. A report counts when triage has filed it, durably; what was only accepted is said
//! beside it. Peer figures are not to be had in the same run: small trackers that people run themselves state 30 to 50 a second
//! on two cores.

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value that has no such member reads as null"
)]

use super::lambda::Ended;
use super::machine::{Machine, kilobytes};
use super::output;
use super::stats::{milliseconds, percentile};
use crate::Failure;
use crate::checks::{cargo, target_folder};
use crate::summary::say;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const REPORTS: &str = "xtask/src/bench/reports.py";
const PRODUCT: &str = "samples/till/product/kintsugi.toml";
/// Reports that are sent.
const COUNT: usize = 12_000;
/// Issues that they belong to.
const ISSUES: usize = 100;
const CONNECTIONS: usize = 4;
/// Between two looks at how far triage is.
const LOOK: Duration = Duration::from_millis(50);
/// A home that takes longer hangs.
const PATIENCE: Duration = Duration::from_mins(10);
/// The bound on reports drained a second.
const DRAINED_MIN: f64 = 1_000.0;
/// The bound on the home's memory, MiB.
const MEMORY_MAX: f64 = 256.0;

/// Measures, and says whether the bounds are held.
pub(crate) fn run(root: &Path, json: bool) -> Result<(), Failure> {
    let machine = Machine::of(root);
    let mut result = measured(root).map_err(Failure::Check)?;
    result["machine"] = machine.json();
    if json {
        say(&result.to_string());
    } else {
        say(&format!("{}\n{}", machine.line(), spoken(&result)));
    }
    match missed(&result).as_slice() {
        [] => Ok(()),
        missed => Err(Failure::Check(format!("missed: {}", missed.join("; ")))),
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench measures")]
fn now() -> Instant {
    Instant::now()
}

fn measured(root: &Path) -> Result<Value, String> {
    let target = target_folder(root);
    let folder = target.join("kintsugi-bench").join("ingest");
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(failed)?;
    }
    fs::create_dir_all(&folder).map_err(failed)?;
    let build = ["build", "--quiet", "--release", "--package", "kintsugi"];
    output(Command::new(cargo()).args(build).current_dir(root))?;
    let file = folder.join("reports");
    let (count, issues) = (COUNT.to_string(), ISSUES.to_string());
    let make = [count.as_str(), issues.as_str()];
    output(
        Command::new("python3")
            .arg(root.join(REPORTS))
            .args(make)
            .arg(&file),
    )?;
    let bodies = bodies(&fs::read(&file).map_err(failed)?)?;
    let home = Home::start(root, &target, &folder)?;

    let begun = now();
    let next = AtomicUsize::new(0);
    let mut times = Vec::with_capacity(bodies.len());
    thread::scope(|scope| {
        let senders: Vec<_> = (0..CONNECTIONS)
            .map(|_| scope.spawn(|| home.send(&bodies, &next)))
            .collect();
        for sender in senders {
            times.extend(sender.join().map_err(|_| "a connection broke")??);
        }
        Ok::<_, String>(())
    })?;
    let accepted = begun.elapsed();
    while home.filed()? < COUNT as u64 {
        if begun.elapsed() > PATIENCE {
            return Err(format!("{} of {COUNT} reports were filed", home.filed()?));
        }
        thread::sleep(LOOK);
    }
    let drained = begun.elapsed();
    let bytes: usize = bodies.iter().map(Vec::len).sum();
    Ok(json!({
        "bench": "ingest",
        "reports": COUNT,
        "issues": ISSUES,
        "connections": CONNECTIONS,
        "bytes_each_on_the_wire": bytes / COUNT,
        "drained_per_second": per_second(drained),
        "ratio_to_bound": (per_second(drained) / DRAINED_MIN * 100.0).round() / 100.0,
        "accepted_per_second": per_second(accepted),
        "answer_ms": {
            "p50": milliseconds(percentile(&times, 50)),
            "p99": milliseconds(percentile(&times, 99)),
        },
        "peak_mib": home.peak_mib()?,
    }))
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn per_second(took: Duration) -> f64 {
    (COUNT as f64 / took.as_secs_f64()).round()
}

/// The bodies in the file that `reports.py` writes.
fn bodies(file: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let mut bodies = Vec::new();
    let mut rest = file;
    while let Some((length, after)) = rest.split_first_chunk() {
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let (body, after) = after.split_at_checked(length).ok_or("a report is cut")?;
        bodies.push(body.to_vec());
        rest = after;
    }
    Ok(bodies)
}

/// The home under load.
struct Home {
    process: Ended,
    address: String,
    project: u64,
    key: String,
    token: String,
}

impl Home {
    fn start(root: &Path, target: &Path, folder: &Path) -> Result<Self, String> {
        let program = target.join("release/kintsugi");
        let mut child = Command::new(&program)
            .args(["up", "--json", "--listen", "127.0.0.1:0", "--data"])
            .arg(folder.join("home"))
            .arg("--project")
            .arg(root.join(PRODUCT))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(folder.join("log")).map_err(|error| error.to_string())?)
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let out = child.stdout.take().ok_or("the home has no output")?;
        let process = Ended(child);
        let (mut home, mut project) = (Value::Null, Value::Null);
        for line in BufReader::new(out).lines() {
            let line = line.map_err(|error| error.to_string())?;
            let said: Value = serde_json::from_str(&line).map_err(|error| error.to_string())?;
            match said["event"].as_str() {
                Some("home") => home = said,
                Some("project") => project = said,
                Some("ready") => break,
                _ => {}
            }
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let token = fs::read_to_string(text(&home["token"]))
            .map_err(|error| format!("the home did not start: {error}"))?;
        let dsn = text(&project["dsn"]);
        let (_, rest) = dsn.split_once("://").ok_or("the project has no DSN")?;
        let (key, _) = rest.split_once('@').ok_or("the DSN has no key")?;
        Ok(Self {
            process,
            address: text(&home["address"]).replace("http://", ""),
            project: project["project"].as_u64().unwrap_or_default(),
            key: key.to_owned(),
            token: token.trim().to_owned(),
        })
    }

    /// Sends reports over one connection until there are no more; how long each answer took.
    fn send(&self, bodies: &[Vec<u8>], next: &AtomicUsize) -> Result<Vec<Duration>, String> {
        let mut link = Link::open(&self.address)?;
        let mut times = Vec::new();
        while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
            let head = format!(
                "POST /api/{}/envelope/ HTTP/1.1\r\nHost: {}\r\nContent-Encoding: gzip\r\n\
                 X-Sentry-Auth: Sentry sentry_key={}, sentry_version=7\r\nContent-Length: {}\r\n\r\n",
                self.project,
                self.address,
                self.key,
                body.len()
            );
            let begun = now();
            let (status, answer) = link.ask(&head, body)?;
            times.push(begun.elapsed());
            if status != 200 {
                let answer = String::from_utf8_lossy(&answer);
                return Err(format!("a report was answered with {status}: {answer}"));
            }
        }
        Ok(times)
    }

    /// How many reports triage has filed.
    fn filed(&self) -> Result<u64, String> {
        let head = format!(
            "GET /admin/v1/projects/{}/counters HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\r\n",
            self.project, self.address, self.token
        );
        let (status, answer) = Link::open(&self.address)?.ask(&head, &[])?;
        let counters: Value = serde_json::from_slice(&answer)
            .map_err(|error| format!("counters, status {status}: {error}"))?;
        Ok(counters["accepted/error"].as_u64().unwrap_or_default())
    }

    fn peak_mib(&self) -> Result<f64, String> {
        let status = format!("/proc/{}/status", self.process.0.id());
        let status = fs::read_to_string(status).map_err(|error| error.to_string())?;
        let peak = kilobytes(&status, "VmHWM").ok_or("the kernel does not say the peak memory")?;
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        Ok((peak as f64 / 102.4).round() / 10.0)
    }
}

/// A connection that is kept.
struct Link(BufReader<TcpStream>);

impl Link {
    fn open(address: &str) -> Result<Self, String> {
        let stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
        stream
            .set_nodelay(true)
            .map_err(|error| error.to_string())?;
        Ok(Self(BufReader::new(stream)))
    }

    /// The status and the body of the answer.
    fn ask(&mut self, head: &str, body: &[u8]) -> Result<(u16, Vec<u8>), String> {
        self.exchange(head, body)
            .map_err(|error| format!("the home: {error}"))
    }

    fn exchange(&mut self, head: &str, body: &[u8]) -> std::io::Result<(u16, Vec<u8>)> {
        let stream = self.0.get_mut();
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line)?;
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            if let Some(rest) = line.strip_prefix("HTTP/1.1 ") {
                status = rest.get(..3).and_then(|it| it.parse().ok()).unwrap_or(0);
            } else if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut answer = vec![0; length];
        self.0.read_exact(&mut answer)?;
        Ok((status, answer))
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

/// The bounds that were not held; a number that is none holds no bound.
fn missed(result: &Value) -> Vec<String> {
    let mut missed = Vec::new();
    let drained = number(&result["drained_per_second"]);
    if drained.is_nan() || drained < DRAINED_MIN {
        missed.push(format!(
            "{drained} reports drained a second, not {DRAINED_MIN}"
        ));
    }
    let peak = number(&result["peak_mib"]);
    if peak.is_nan() || peak > MEMORY_MAX {
        missed.push(format!("{peak} MiB of memory, not {MEMORY_MAX}"));
    }
    missed
}

fn spoken(result: &Value) -> String {
    let answer = &result["answer_ms"];
    format!(
        "{COUNT} reports of 48 KB ({} bytes on the wire), {ISSUES} issues, {CONNECTIONS} connections\n\
         drained   {} a second (bound {DRAINED_MIN}; {} times that)\n\
         accepted  {} a second, answered in p50 {} ms, p99 {} ms\n\
         memory    {} MiB at most (bound {MEMORY_MAX})",
        result["bytes_each_on_the_wire"],
        result["drained_per_second"],
        result["ratio_to_bound"],
        result["accepted_per_second"],
        answer["p50"],
        answer["p99"],
        result["peak_mib"],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_read_as_they_were_written_and_a_cut_one_is_an_error() {
        let file = [&[0, 0, 0, 2][..], b"ab", &[0, 0, 0, 1], b"c"].concat();
        assert_eq!(bodies(&file).unwrap(), [b"ab".to_vec(), b"c".to_vec()]);
        bodies(file.get(..5).unwrap()).unwrap_err();
    }

    #[test]
    fn a_bound_that_is_missed_or_was_not_measured_is_named() {
        let result =
            |drained: f64, peak: f64| json!({"drained_per_second": drained, "peak_mib": peak});
        assert!(missed(&result(1_000.0, 256.0)).is_empty());
        assert_eq!(missed(&result(999.0, 100.0)).len(), 1);
        assert_eq!(missed(&result(2_000.0, 257.0)).len(), 1);
        assert_eq!(missed(&json!({})).len(), 2);
    }
}
