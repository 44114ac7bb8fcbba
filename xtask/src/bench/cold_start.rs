//! `cargo xtask bench cold-start`: how long each function takes to its first request for an event, beside a function that
//! does nothing; how much memory it has used after its first event; how large it is.
//!
//! Programs are built as `cargo lambda build --release` builds them, so `sam build` deploys these very bytes. They run
//! against AWS on loopback over plain HTTP. **Not measured here**: what Lambda adds (download, start of the virtual
//! machine), TLS handshakes, and the share of a processor that goes with small memory.

use crate::bench::emulator::Emulator;
use crate::bench::lambda;
use crate::bench::machine::{Machine, locked_version};
use crate::bench::stats::{milliseconds, percentile};
use crate::summary::say;
use crate::{Failure, checks, tools};
use flate2::Compression;
use flate2::write::DeflateEncoder;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// How often each function is started. The programs take turns, so that what else the machine does falls on all.
const ROUNDS: usize = 25;

/// A function's init may take so many times that of the bare function.
const INIT_RATIO_MAX: f64 = 1.5;
/// Largest package, bytes.
const ZIPPED_BYTES_MAX: u64 = 8_000_000;
/// Most memory of a function that answers HTTP, bytes.
const HTTP_MEMORY_BYTES_MAX: u64 = 64_000_000;

/// The target and the settings that `cargo lambda build --release` (1.9) adds to cargo's, and what our workspace's manifest
/// asks of it (`workspace.metadata.lambda.build`).
const TARGET: &str = "x86_64-unknown-linux-gnu";
const LAMBDA_BUILD: &[&str] = &[
    "--release",
    "--no-default-features",
    "--config",
    "profile.release.strip=\"symbols\"",
    "--config",
    "profile.release.lto=\"thin\"",
    "--config",
    "profile.release.codegen-units=1",
    "--config",
    "build.rustflags=[\"-C\", \"target-cpu=haswell\"]",
];

/// A program to measure.
struct Program {
    name: String,
    path: PathBuf,
    event: Value,
    http: bool,
}

/// What was measured of one program.
struct Measured {
    name: String,
    http: bool,
    bytes: u64,
    zipped: u64,
    init: Vec<Duration>,
    first_answer: Vec<Duration>,
    peak_kib: u64,
}

/// Builds, measures, prints.
pub(super) fn run(root: &Path, json: bool) -> Result<(), Failure> {
    let target = checks::target_folder(root);
    let python = tools::ready(&target).map_err(Failure::Tools)?.python;
    let programs = programs(root, &target, json).map_err(Failure::Check)?;
    let emulator = Emulator::start(root, &python, &target).map_err(Failure::Tools)?;
    let measured = measure(&programs, &emulator, json).map_err(Failure::Check)?;
    let report = Report {
        machine: Machine::of(root),
        lambda_runtime: locked_version(root, "lambda_runtime"),
        measured,
    };
    if json {
        say(&report.json().to_string());
    } else {
        say(&report.table());
    }
    Ok(())
}

/// Builds everything that is measured: the bare function first, then ours.
fn programs(root: &Path, target: &Path, quiet: bool) -> Result<Vec<Program>, String> {
    let built = target.join(TARGET).join("release");
    let functions = root.join("functions");
    build(&functions, &["-p", "kintsugi-runtime", "--example", "bare"])?;
    let mut programs = vec![Program {
        name: "bare".into(),
        path: built.join("examples/bare"),
        event: json!({}),
        http: false,
    }];
    for stage in stages(root)? {
        if !quiet {
            say(&format!("build      {stage}"));
        }
        let package = format!("kintsugi-fn-{stage}");
        build(&functions, &["-p", &package, "--bin", &stage])?;
        let event = sample(&root.join("events").join(&stage))?;
        programs.push(Program {
            path: built.join(&stage),
            http: event.pointer("/requestContext/http").is_some(),
            event,
            name: stage,
        });
    }
    Ok(programs)
}

/// Cargo reads the settings of functions where it starts: `functions/.cargo/config.toml`.
fn build(functions: &Path, what: &[&str]) -> Result<(), String> {
    let status = Command::new(checks::cargo())
        .args(["build", "--quiet", "--locked", "--target", TARGET])
        .args(LAMBDA_BUILD)
        .args(what)
        .current_dir(functions)
        .env("RUSTUP_DIST_SERVER", "http://127.0.0.1:9")
        .stdin(Stdio::null())
        .status()
        .map_err(|error| format!("cargo does not run: {error}"))?;
    if status.success() {
        return Ok(());
    }
    Err(format!("{} does not build", what.join(" ")))
}

/// The stages that have a function.
fn stages(root: &Path) -> Result<Vec<String>, String> {
    let functions = root.join("functions");
    let mut names = names_in(&functions)?;
    names.retain(|name| functions.join(name).join("Cargo.toml").is_file());
    Ok(names)
}

fn names_in(folder: &Path) -> Result<Vec<String>, String> {
    let cannot = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(cannot)? {
        let name = entry.map_err(cannot)?.file_name();
        names.push(name.to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// The first of a stage's sample triggers.
fn sample(folder: &Path) -> Result<Value, String> {
    let names = names_in(folder)?;
    let name = names
        .first()
        .ok_or_else(|| format!("{}: no sample", folder.display()))?;
    let path = folder.join(name);
    let bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_slice(&bytes).map_err(|error| format!("{}: {error}", path.display()))
}

fn measure(
    programs: &[Program],
    emulator: &Emulator,
    quiet: bool,
) -> Result<Vec<Measured>, String> {
    let environment = emulator.environment();
    let mut measured = Vec::new();
    for program in programs {
        // Read once before the first round: no program pays for a cold disk.
        let content = fs::read(&program.path)
            .map_err(|error| format!("{}: {error}", program.path.display()))?;
        measured.push(Measured {
            name: program.name.clone(),
            http: program.http,
            bytes: content.len() as u64,
            zipped: deflated(&content)?,
            init: Vec::with_capacity(ROUNDS),
            first_answer: Vec::with_capacity(ROUNDS),
            peak_kib: 0,
        });
    }
    for round in 1..=ROUNDS {
        for (program, measured) in programs.iter().zip(&mut measured) {
            let start = lambda::start(&program.path, &environment, &program.event)?;
            check(program, &start.answer)?;
            measured.init.push(start.init);
            measured.first_answer.push(start.first_answer);
            measured.peak_kib = measured.peak_kib.max(start.peak_kib);
        }
        if !quiet && round % 5 == 0 {
            say(&format!("measure    {round} of {ROUNDS} rounds"));
        }
    }
    Ok(measured)
}

/// Whether the function did what the sample asks for: a failed one would be measured for doing less.
fn check(program: &Program, answer: &Value) -> Result<(), String> {
    let bad = if program.http {
        answer
            .get("statusCode")
            .and_then(Value::as_u64)
            .is_none_or(|status| status >= 500)
    } else {
        answer
            .get("batchItemFailures")
            .and_then(Value::as_array)
            .is_some_and(|failures| !failures.is_empty())
    };
    if bad {
        return Err(format!("{} failed its sample: {answer}", program.name));
    }
    Ok(())
}

/// How long a program is in a ZIP file, as `sam package` makes it (deflate, its default level).
fn deflated(content: &[u8]) -> Result<u64, String> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder
        .write_all(content)
        .and_then(|()| encoder.finish())
        .map(|zipped| zipped.len() as u64)
        .map_err(|error| format!("deflate: {error}"))
}

struct Report {
    machine: Machine,
    lambda_runtime: String,
    measured: Vec<Measured>,
}

/// The numbers of one function that are compared with the budgets.
struct Line<'a> {
    of: &'a Measured,
    init: Duration,
    ratio: f64,
    peak_bytes: u64,
}

impl Line<'_> {
    /// What is over budget; nothing when all is within. The bare function has no budget.
    fn over(&self) -> Vec<&'static str> {
        let mut over = Vec::new();
        if self.ratio > INIT_RATIO_MAX {
            over.push("init");
        }
        if self.of.zipped > ZIPPED_BYTES_MAX {
            over.push("size");
        }
        if self.of.http && self.peak_bytes > HTTP_MEMORY_BYTES_MAX {
            over.push("memory");
        }
        over
    }
}

impl Report {
    fn lines(&self) -> Vec<Line<'_>> {
        let init = |of: &Measured| percentile(&of.init, 50);
        let bare = self.measured.first().map_or(Duration::ZERO, init);
        let line = |of| {
            let init = init(of);
            Line {
                of,
                init,
                ratio: init.as_secs_f64() / bare.as_secs_f64().max(f64::EPSILON),
                peak_bytes: of.peak_kib * 1024,
            }
        };
        self.measured.iter().map(line).collect()
    }

    fn json(&self) -> Value {
        let functions: Vec<Value> = self
            .lines()
            .iter()
            .map(|line| {
                json!({
                    "name": line.of.name,
                    "http": line.of.http,
                    "init_ms_median": milliseconds(line.init),
                    "init_ms_p90": milliseconds(percentile(&line.of.init, 90)),
                    "init_ratio": (line.ratio * 100.0).round() / 100.0,
                    "first_answer_ms_median": milliseconds(percentile(&line.of.first_answer, 50)),
                    "bytes": line.of.bytes,
                    "zipped_bytes": line.of.zipped,
                    "peak_bytes": line.peak_bytes,
                    "over_budget": line.over(),
                })
            })
            .collect();
        json!({
            "bench": "cold-start",
            "rounds": ROUNDS,
            "machine": self.machine.json(),
            "lambda_runtime": self.lambda_runtime,
            "budgets": {
                "init_ratio": INIT_RATIO_MAX,
                "zipped_bytes": ZIPPED_BYTES_MAX,
                "http_peak_bytes": HTTP_MEMORY_BYTES_MAX,
            },
            "functions": functions,
        })
    }

    fn table(&self) -> String {
        let mut text = format!(
            "\n{}; lambda_runtime {}; {ROUNDS} rounds\n\n{}",
            self.machine.line(),
            self.lambda_runtime,
            "| function | init, median | p90 | ratio | first answer | memory | program | zipped | within budget |\n\
             |---|---:|---:|---:|---:|---:|---:|---:|---|\n"
        );
        for line in self.lines() {
            let over = line.over();
            let verdict = if over.is_empty() {
                "yes".to_owned()
            } else {
                format!("NO: {}", over.join(", "))
            };
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "| {} | {:.2} ms | {:.2} ms | {:.2} | {:.2} ms | {} | {} | {} | {verdict} |",
                line.of.name,
                milliseconds(line.init),
                milliseconds(percentile(&line.of.init, 90)),
                line.ratio,
                milliseconds(percentile(&line.of.first_answer, 50)),
                megabytes(line.peak_bytes),
                megabytes(line.of.bytes),
                megabytes(line.of.zipped),
            );
        }
        text
    }
}

/// Millions of bytes, one digit after the point.
fn megabytes(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(name: &str, http: bool, init_ms: u64, zipped: u64, peak_kib: u64) -> Measured {
        Measured {
            name: name.into(),
            http,
            bytes: zipped * 2,
            zipped,
            init: vec![Duration::from_millis(init_ms); 3],
            first_answer: vec![Duration::from_millis(20); 3],
            peak_kib,
        }
    }

    fn report(measured: Vec<Measured>) -> Report {
        Report {
            machine: Machine::of(Path::new(".")),
            lambda_runtime: "1.5.0".into(),
            measured,
        }
    }

    #[test]
    fn each_budget_is_judged_by_itself() {
        let report = report(vec![
            measured("bare", false, 10, 1_000_000, 9_000),
            measured("good", true, 15, 8_000_000, 62_500),
            measured("slow", true, 16, 1_000_000, 9_000),
            measured("large", false, 10, 8_000_001, 9_000),
            measured("hungry", true, 10, 1_000_000, 62_501),
            // A stage behind a queue has no bound of memory but its function's own.
            measured("worker", false, 10, 1_000_000, 90_000),
        ]);
        let over: Vec<_> = report.lines().iter().map(Line::over).collect();
        let none: Vec<&str> = Vec::new();
        assert_eq!(
            over,
            [
                none.clone(),
                none.clone(),
                vec!["init"],
                vec!["size"],
                vec!["memory"],
                none
            ]
        );
        let table = report.table();
        assert!(
            table.contains("| slow | 16.00 ms | 16.00 ms | 1.60 |"),
            "{table}"
        );
        assert!(table.contains("NO: memory"), "{table}");
        let first = report.json()["functions"][1].clone();
        assert_eq!(first["init_ratio"], json!(1.5));
        assert_eq!(first["over_budget"], json!([]));
    }

    #[test]
    fn a_function_that_fails_its_sample_is_not_measured() {
        let program = |http| Program {
            name: "x".into(),
            path: PathBuf::new(),
            event: Value::Null,
            http,
        };
        assert!(check(&program(true), &json!({"statusCode": 403})).is_ok());
        assert!(check(&program(true), &json!({"statusCode": 503})).is_err());
        assert!(check(&program(true), &Value::Null).is_err());
        assert!(check(&program(false), &json!({"batchItemFailures": []})).is_ok());
        let failed = json!({"batchItemFailures": [{"itemIdentifier": "m"}]});
        assert!(check(&program(false), &failed).is_err());
    }

    #[test]
    fn sizes_are_counted_as_a_zip_file_has_them() {
        assert!(deflated(&vec![0; 100_000]).unwrap() < 1_000);
        assert_eq!(megabytes(7_960_000), "7.9 MB");
    }

    #[test]
    fn every_function_has_a_sample_to_be_started_with() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let names = stages(&root).unwrap();
        assert!(names.len() >= 14);
        for name in names {
            let event = sample(&root.join("events").join(&name)).unwrap();
            assert!(event.is_object(), "{name}");
        }
    }
}
