//! `cargo xtask fuzz TARGET`: builds one of the programs in `fuzz/` with coverage counters and lets libFuzzer guide it.
//!
//! A stable toolchain has everything for this but a name for it: the counters are a pass of LLVM. There is no sanitizer of memory, which
//! needs a nightly one; our code has no `unsafe`. The code is built as it ships, without `--cfg fuzzing`, but with overflow checks and debug
//! assertions.
//!
//! What was found stays in `target/fuzz/corpus/TARGET` for the next run, and an input that fails in `target/fuzz/failures`.

use crate::Failure;
use crate::checks::{cargo, target_folder};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Longest input, bytes.
const INPUT_BYTES_MAX: usize = 65_536;
/// Longest time for one input, seconds: what takes longer does not grow in proportion to its length.
const INPUT_SECONDS_MAX: usize = 5;
/// Most memory of the whole program, MB.
const MEMORY_MB_MAX: usize = 1_024;

/// The counters that guide, and the comparisons that it learns from.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// What to fuzz, and how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fuzz {
    target: String,
    runs: Option<u64>,
    seconds: Option<u64>,
}

/// Reads what follows `fuzz`.
pub(crate) fn parse(words: &[&str]) -> Result<Fuzz, String> {
    let [target, options @ ..] = words else {
        return Err("fuzz what? Its targets are the programs of fuzz/fuzz_targets".to_owned());
    };
    let mut fuzz = Fuzz {
        target: (*target).to_owned(),
        runs: None,
        seconds: None,
    };
    for pair in options.chunks(2) {
        let place = match pair.first() {
            Some(&"--runs") => &mut fuzz.runs,
            Some(&"--seconds") => &mut fuzz.seconds,
            other => return Err(format!("fuzz has no option {other:?}")),
        };
        let number = pair.get(1).and_then(|number| number.parse().ok());
        *place = Some(number.ok_or_else(|| format!("a number is missing after {pair:?}"))?);
    }
    Ok(fuzz)
}

/// Builds and runs.
pub(crate) fn run(fuzz: &Fuzz, root: &Path) -> Result<(), Failure> {
    let name = &fuzz.target;
    let program = root.join("fuzz/fuzz_targets").join(format!("{name}.rs"));
    if !program.is_file() {
        return Err(Failure::Check(format!(
            "there is no fuzz target \"{name}\""
        )));
    }
    let folder = target_folder(root).join("fuzz");
    let corpus = folder.join("corpus").join(name);
    let failures = folder.join("failures");
    for made in [&corpus, &failures] {
        fs::create_dir_all(made).map_err(|error| {
            Failure::Tools(format!("{} cannot be made: {error}", made.display()))
        })?;
    }
    let start = folder.join("start").join(name);
    let mut seeds = Command::new(cargo());
    seeds.args([
        "run",
        "-q",
        "-p",
        "kintsugi-fuzzing",
        "--example",
        "seeds",
        "--",
        name,
    ]);
    done(seeds.arg(&start).current_dir(root))?;

    let host = host()?;
    let mut build = Command::new(cargo());
    build.args(["build", "--release", "--target", &host, "--bin", name]);
    build.arg("--target-dir").arg(&folder);
    // With a target named, programs that only help to build get no counters.
    build
        .current_dir(root.join("fuzz"))
        .env("RUSTFLAGS", COVERAGE);
    done(&mut build)?;

    let mut run = Command::new(folder.join(&host).join("release").join(name));
    run.arg(&corpus).arg(start.join("seeds"));
    run.arg(format!("-dict={}", start.join("words").display()));
    run.arg(format!("-artifact_prefix={}/{name}-", failures.display()));
    run.arg(format!("-max_len={INPUT_BYTES_MAX}"));
    run.arg(format!("-timeout={INPUT_SECONDS_MAX}"));
    run.arg(format!("-rss_limit_mb={MEMORY_MB_MAX}"));
    run.arg("-print_final_stats=1");
    run.args(fuzz.runs.map(|runs| format!("-runs={runs}")));
    run.args(
        fuzz.seconds
            .map(|seconds| format!("-max_total_time={seconds}")),
    );
    done(&mut run)
}

/// The platform of the toolchain that is used.
fn host() -> Result<String, Failure> {
    let asked = Command::new("rustc")
        .arg("-vV")
        .stdin(Stdio::null())
        .output();
    let said = asked.map_err(|error| Failure::Tools(format!("rustc does not start: {error}")))?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned)
        .ok_or_else(|| Failure::Tools("rustc does not say its platform".to_owned()))
}

fn done(command: &mut Command) -> Result<(), Failure> {
    let line = format!("{command:?}");
    match command.stdin(Stdio::null()).status() {
        Ok(ended) if ended.success() => Ok(()),
        Ok(ended) => Err(Failure::Check(format!("{line} ended with {ended}"))),
        Err(error) => Err(Failure::Tools(format!("{line} does not start: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_to_fuzz_can_be_said_in_runs_and_in_seconds() {
        let fuzz = |runs, seconds| Fuzz {
            target: "otlp".to_owned(),
            runs,
            seconds,
        };
        assert_eq!(parse(&["otlp"]), Ok(fuzz(None, None)));
        let both = ["otlp", "--runs", "10", "--seconds", "5"];
        assert_eq!(parse(&both), Ok(fuzz(Some(10), Some(5))));
        assert!(parse(&[]).unwrap_err().contains("what"));
        for words in [
            &["otlp", "--fast", "1"][..],
            &["otlp", "--runs"],
            &["otlp", "--runs", "x"],
        ] {
            assert!(parse(words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn a_target_that_does_not_exist_is_named() {
        let fuzz = parse(&["nothing"]).unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        assert!(matches!(run(&fuzz, &root), Err(Failure::Check(why)) if why.contains("nothing")));
    }
}
