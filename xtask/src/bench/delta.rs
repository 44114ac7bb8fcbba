//! Deltas between successive real releases, beside the tools that people ship.
//!
//! The releases come from PyPI and npm through their own clients, pinned by version and by the digest of
//! what is compared. Every delta is applied and the result compared before its row counts. CPU seconds
//! stand beside the wall clock, so that a busy machine can be told from a slow program.

use super::machine::Machine;
use super::output;
use super::releases::{PAIRS, Pair, Release, Source};
use crate::checks::{cargo, target_folder};
use crate::tools::Environment;
use crate::{Failure, summary::say};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const HELPER: &str = include_str!("delta.py");
/// The other tools: one from PyPI, the rest from Debian.
const OTHERS: Environment = Environment {
    name: "bench-delta",
    packages: &[
        ("zstd", &["zstd", "--version"]),
        ("xdelta3", &["xdelta3", "-V"]),
        (
            "bsdiff",
            &["sh", "-c", "command -v bsdiff && command -v bspatch"],
        ),
        ("npm", &["npm", "--version"]),
    ],
    requirements: include_str!("requirements-delta.txt"),
    options: &[],
    shows: "import hdiffpatch",
};
/// The bounds: each name among the ratios of a pair, what it may be at most, and of what.
const BOUNDS: [(&str, f64, &str); 4] = [
    (
        "bytes_of_smallest",
        0.9,
        "the bytes of the smallest other tool",
    ),
    ("make_seconds", 3.0, "the time of HDiffPatch to make it"),
    ("make_peak_megabytes", 3_000.0, "a megabyte to make it"),
    ("apply_seconds", 2.0, "the time of zstd to apply it"),
];

/// A tool: its name, how it makes `DELTA` from `OLD` and `NEW`, and how it applies that to give `OUT`.
struct Tool {
    name: &'static str,
    make: &'static [&'static str],
    apply: &'static [&'static str],
}

const OURS: &str = "kintsugi";
const FASTEST_TO_APPLY: &str = "zstd -19 --patch-from";
const FASTEST_TO_MAKE: &str = "HDiffPatch lzma2";

const TOOLS: &[Tool] = &[
    Tool {
        name: OURS,
        make: &["KINTSUGI", "delta", "make", "OLD", "NEW", "DELTA"],
        apply: &["KINTSUGI", "delta", "apply", "OLD", "DELTA", "OUT"],
    },
    Tool {
        name: FASTEST_TO_MAKE,
        make: &[
            "PYTHON",
            "HELPER",
            "hdiffpatch",
            "make",
            "lzma2",
            "OLD",
            "NEW",
            "DELTA",
        ],
        apply: &[
            "PYTHON",
            "HELPER",
            "hdiffpatch",
            "apply",
            "lzma2",
            "OLD",
            "DELTA",
            "OUT",
        ],
    },
    Tool {
        name: "HDiffPatch zstd -22",
        make: &[
            "PYTHON",
            "HELPER",
            "hdiffpatch",
            "make",
            "zstd",
            "OLD",
            "NEW",
            "DELTA",
        ],
        apply: &[
            "PYTHON",
            "HELPER",
            "hdiffpatch",
            "apply",
            "zstd",
            "OLD",
            "DELTA",
            "OUT",
        ],
    },
    Tool {
        name: FASTEST_TO_APPLY,
        make: &[
            "zstd",
            "-q",
            "-f",
            "-19",
            "--long=27",
            "--patch-from=OLD",
            "NEW",
            "-o",
            "DELTA",
        ],
        apply: &[
            "zstd",
            "-q",
            "-f",
            "-d",
            "--long=27",
            "--patch-from=OLD",
            "DELTA",
            "-o",
            "OUT",
        ],
    },
    Tool {
        name: "bsdiff 4.3",
        make: &["bsdiff", "OLD", "NEW", "DELTA"],
        apply: &["bspatch", "OLD", "OUT", "DELTA"],
    },
    Tool {
        name: "xdelta3 -9 -S lzma",
        make: &[
            "xdelta3",
            "-e",
            "-f",
            "-9",
            "-S",
            "lzma",
            "-B",
            "268435456",
            "-W",
            "16777216",
            "-s",
            "OLD",
            "NEW",
            "DELTA",
        ],
        apply: &[
            "xdelta3",
            "-d",
            "-f",
            "-B",
            "268435456",
            "-s",
            "OLD",
            "DELTA",
            "OUT",
        ],
    },
];

/// How often a delta is applied; the fastest counts. It takes hundredths of a second, and whatever else the machine does adds to it.
const APPLY_ROUNDS: usize = 9;

/// Where everything of this bench is.
struct Place {
    folder: PathBuf,
    python: PathBuf,
    helper: PathBuf,
    kintsugi: PathBuf,
}

/// Measures every pair with every tool.
pub(crate) fn run(root: &Path, json: bool) -> Result<(), Failure> {
    let place = Place::ready(root).map_err(Failure::Tools)?;
    let mut pairs = Vec::new();
    for pair in PAIRS {
        let old = place.fetch(pair, &pair.old).map_err(Failure::Tools)?;
        let new = place.fetch(pair, &pair.new).map_err(Failure::Tools)?;
        let sizes = (bytes_of(&old), bytes_of(&new));
        if !json {
            say(&format!(
                "\n{}, {} to {}, {} to {} bytes",
                pair.name, pair.old.version, pair.new.version, sizes.0, sizes.1
            ));
            say("| tool | bytes | make: s, CPU s, MB | apply: s, CPU s, MB |\n|---|---|---|---|");
        }
        let mut rows = Vec::new();
        for tool in TOOLS {
            let row = place.measure(tool, &old, &new).map_err(Failure::Check)?;
            if !json {
                say(&line(&row));
            }
            rows.push(row);
        }
        let bounds = bounds(&rows);
        if !json {
            say(&format!("bounds: {bounds}"));
        }
        pairs.push(json!({
            "pair": pair.name,
            "versions": [pair.old.version, pair.new.version],
            "bytes": [sizes.0, sizes.1],
            "tools": rows,
            "bounds": bounds,
        }));
    }
    let missed = missed(&pairs);
    if json {
        let machine = Machine::of(root);
        say(
            &json!({"bench": "delta", "machine": machine.json(), "pairs": pairs, "missed": missed})
                .to_string(),
        );
    }
    match missed.as_slice() {
        [] => Ok(()),
        missed => Err(Failure::Check(format!("missed: {}", missed.join("; ")))),
    }
}

/// What a step took.
fn seconds(measured: &Value) -> f64 {
    let seconds = measured.get("seconds").and_then(Value::as_f64);
    seconds.unwrap_or(f64::INFINITY)
}

/// The bounds that are not held, with the pair.
fn missed(pairs: &[Value]) -> Vec<String> {
    let mut missed = Vec::new();
    for pair in pairs {
        let name = pair.get("pair").and_then(Value::as_str).unwrap_or_default();
        for (bound, most, of) in BOUNDS {
            let found = pair
                .pointer(&format!("/bounds/{bound}"))
                .and_then(Value::as_f64);
            if found.is_none_or(|found| found > most) {
                let found = found.unwrap_or(f64::NAN);
                missed.push(format!("{name}: {found} times {of}, at most {most}"));
            }
        }
    }
    missed
}

fn bytes_of(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |data| data.len())
}

/// A row of the table.
fn line(row: &Value) -> String {
    let step = |name: &str| {
        let step = row.get(name).cloned().unwrap_or_default();
        let number = |key: &str| step.get(key).and_then(Value::as_f64).unwrap_or_default();
        format!(
            "{:.2}, {:.2}, {:.0}",
            number("seconds"),
            number("cpu_seconds"),
            number("peak_kilobytes") / 1_000.0
        )
    };
    let bytes = row.get("bytes").and_then(Value::as_u64).unwrap_or_default();
    let tool = row.get("tool").and_then(Value::as_str).unwrap_or_default();
    format!(
        "| {tool} | {bytes} | {} | {} |",
        step("make"),
        step("apply")
    )
}

/// How we stand to the bounds: ours divided by theirs, rounded to thousandths.
fn bounds(rows: &[Value]) -> Value {
    let of = |tool: &str, path: &str| {
        let row = rows
            .iter()
            .find(|row| row.get("tool").is_some_and(|name| name == tool));
        row.and_then(|row| row.pointer(path))
            .and_then(Value::as_f64)
    };
    let smallest = rows
        .iter()
        .filter(|row| row.get("tool").is_some_and(|name| name != OURS))
        .filter_map(|row| row.get("bytes").and_then(Value::as_f64))
        .fold(f64::INFINITY, f64::min);
    let ratio = |ours: Option<f64>, theirs: Option<f64>| {
        let ratio = ours.zip(theirs).map(|(ours, theirs)| ours / theirs);
        ratio.map(|ratio| (ratio * 1_000.0).round() / 1_000.0)
    };
    let beside = |path: &str, tool: &str| ratio(of(OURS, path), of(tool, path));
    json!({
        "bytes_of_smallest": ratio(of(OURS, "/bytes"), Some(smallest)),
        "make_seconds": beside("/make/seconds", FASTEST_TO_MAKE),
        "make_cpu": beside("/make/cpu_seconds", FASTEST_TO_MAKE),
        "make_peak_megabytes": of(OURS, "/make/peak_kilobytes").map(|it| (it / 1_000.0).round()),
        "apply_seconds": beside("/apply/seconds", FASTEST_TO_APPLY),
        "apply_cpu": beside("/apply/cpu_seconds", FASTEST_TO_APPLY),
    })
}

impl Place {
    fn ready(root: &Path) -> Result<Self, String> {
        let target = target_folder(root);
        let python = OTHERS.ready(&target)?;
        let folder = target.join("kintsugi-bench").join("delta");
        fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let helper = folder.join("helper.py");
        fs::write(&helper, HELPER).map_err(|error| error.to_string())?;
        output(Command::new(cargo()).current_dir(root).args([
            "build",
            "--release",
            "--quiet",
            "--package",
            "kintsugi",
        ]))?;
        Ok(Self {
            kintsugi: target.join("release/kintsugi"),
            folder,
            python,
            helper,
        })
    }

    /// Fetches a release unless it is there, and compares it with its digest.
    fn fetch(&self, pair: &Pair, release: &Release) -> Result<PathBuf, String> {
        let file = self.folder.join(release.sha256);
        if !file.exists() {
            let inbox = self.folder.join("inbox");
            drop(fs::remove_dir_all(&inbox));
            fs::create_dir_all(&inbox).map_err(|error| error.to_string())?;
            let mut client;
            match pair.source {
                Source::Npm(package) => {
                    client = Command::new("npm");
                    client.args(["pack", "--silent"]);
                    client.arg(format!("{package}@{}", release.version));
                }
                Source::Wheel(package, platforms) => {
                    client = Command::new(&self.python);
                    client.args(["-m", "pip", "download", "--quiet", "--no-deps"]);
                    client.arg("--only-binary=:all:");
                    for platform in platforms {
                        client.args(["--platform", platform]);
                    }
                    client.arg(format!("{package}=={}", release.version));
                }
            }
            output(client.current_dir(&inbox))?;
            let archive = fs::read_dir(&inbox)
                .ok()
                .and_then(|mut found| found.next()?.ok())
                .ok_or_else(|| format!("{}: nothing was fetched", pair.name))?;
            let mut take = Command::new(&self.python);
            take.arg(&self.helper).arg("take").arg(archive.path());
            output(take.arg(pair.member).arg(inbox.join("content")))?;
            fs::rename(inbox.join("content"), &file).map_err(|error| error.to_string())?;
        }
        let content = fs::read(&file).map_err(|error| error.to_string())?;
        let found = hex::encode(Sha256::digest(content));
        if found == release.sha256 {
            Ok(file)
        } else {
            let version = release.version;
            drop(fs::remove_file(&file));
            Err(format!(
                "{} {version}: its content has the digest {found}",
                pair.name
            ))
        }
    }

    /// Makes a delta, applies it, and compares the result.
    fn measure(&self, tool: &Tool, old: &Path, new: &Path) -> Result<Value, String> {
        let (delta, out) = (self.folder.join("delta"), self.folder.join("out"));
        drop(fs::remove_file(&delta));
        drop(fs::remove_file(&out));
        let run = |words: &[&str]| {
            let mut command = Command::new(&self.python);
            command.arg(&self.helper).arg("measure");
            for word in words {
                let mut word = (*word).to_owned();
                for (name, path) in [
                    ("KINTSUGI", &self.kintsugi),
                    ("PYTHON", &self.python),
                    ("HELPER", &self.helper),
                    ("OLD", &old.to_owned()),
                    ("NEW", &new.to_owned()),
                    ("DELTA", &delta),
                    ("OUT", &out),
                ] {
                    let is_option = word.ends_with(&format!("={name}"));
                    if word == name || is_option {
                        word = word.replace(name, &path.display().to_string());
                        break;
                    }
                }
                command.arg(word);
            }
            let done = command.stdin(Stdio::null()).output();
            let done = done.map_err(|error| error.to_string())?;
            let measured: Value = serde_json::from_slice(&done.stdout)
                .map_err(|error| format!("{}: {error}", tool.name))?;
            if measured.get("exit").and_then(Value::as_i64) == Some(0) {
                return Ok(measured);
            }
            let why = String::from_utf8_lossy(&done.stderr);
            Err(format!("{} failed: {measured} {why}", tool.name))
        };
        let make = run(tool.make)?;
        let mut apply = run(tool.apply)?;
        for _ in 1..APPLY_ROUNDS {
            // An update is a new file: nobody waits until the pages of another are freed.
            drop(fs::remove_file(&out));
            let again = run(tool.apply)?;
            if seconds(&again) < seconds(&apply) {
                apply = again;
            }
        }
        if fs::read(&out).ok() != fs::read(new).ok() {
            return Err(format!("{}: the result is not the new content", tool.name));
        }
        Ok(json!({"tool": tool.name, "bytes": bytes_of(&delta), "make": make, "apply": apply}))
    }
}

/// Runs a step that must succeed.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_release_is_pinned_by_a_digest_of_its_own() {
        let mut digests: Vec<&str> = PAIRS
            .iter()
            .flat_map(|pair| [pair.old.sha256, pair.new.sha256])
            .collect();
        assert!(
            digests
                .iter()
                .all(|it| it.len() == 64 && hex::decode(it).is_ok())
        );
        digests.sort_unstable();
        digests.dedup();
        assert_eq!(digests.len(), PAIRS.len() * 2);
    }

    #[test]
    fn the_bounds_compare_with_the_right_tools() {
        let row = |tool: &str, bytes: u64, cpu: f64| {
            let step = json!({"seconds": cpu, "cpu_seconds": cpu, "peak_kilobytes": 2_000});
            json!({"tool": tool, "bytes": bytes, "make": step, "apply": step})
        };
        let rows = [
            row(OURS, 50, 3.0),
            row(FASTEST_TO_MAKE, 100, 2.0),
            row(FASTEST_TO_APPLY, 200, 1.0),
        ];
        let bounds = bounds(&rows);
        assert_eq!(bounds["bytes_of_smallest"], 0.5);
        assert_eq!(bounds["make_cpu"], 1.5);
        assert_eq!(bounds["apply_seconds"], 3.0);
        assert_eq!(bounds["make_peak_megabytes"], 2.0);
        let pairs = [json!({"pair": "a pair", "bounds": bounds})];
        assert_eq!(
            missed(&pairs),
            ["a pair: 3 times the time of zstd to apply it, at most 2"]
        );
        assert_eq!(
            line(&rows[0]),
            "| kintsugi | 50 | 3.00, 3.00, 2 | 3.00, 3.00, 2 |"
        );
    }
}
