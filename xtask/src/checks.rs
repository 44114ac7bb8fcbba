//! `cargo xtask test`: the checks, in order, each with its duration; stops at the first that fails.
//!
//! Not here: what a check checks. Every rule is a lint or a test.

use crate::summary::{Stopwatch, Tally, say, spoken};
use crate::{Failure, disk, e2e, tools};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;

/// One check: a run of cargo.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Check {
    /// One word for the progress line.
    name: &'static str,
    arguments: Vec<&'static str>,
    environment: Vec<(&'static str, &'static str)>,
    /// Whether its output has test results to count.
    counts: bool,
    /// What to do when it fails.
    advice: &'static str,
}

fn check(name: &'static str, arguments: &[&'static str], advice: &'static str) -> Check {
    Check {
        name,
        arguments: arguments.to_vec(),
        environment: Vec::new(),
        counts: false,
        advice,
    }
}

fn plan(quick: bool, nextest: bool) -> Vec<Check> {
    let again = "the failing test and its output stand above";
    let tests: &[&str] = if nextest {
        &["nextest", "run", "--workspace", "--no-fail-fast"]
    } else {
        &[
            "test",
            "--workspace",
            "--lib",
            "--bins",
            "--tests",
            "--no-fail-fast",
        ]
    };
    let mut checks = vec![
        check(
            "format",
            &["fmt", "--all", "--check"],
            "run: cargo fmt --all",
        ),
        check(
            "lints",
            &[
                "clippy",
                "--workspace",
                "--all-targets",
                "--",
                "-D",
                "warnings",
            ],
            "warnings are errors here; each says what to change",
        ),
        // With the tests, so that nothing is compiled twice. `aws-e2e` builds programs as they are released.
        check(
            "programs",
            &["build", "--workspace", "--bins", "--tests"],
            "a program or a test does not build",
        ),
    ];
    if !quick {
        checks.push(Check {
            environment: vec![("RUSTDOCFLAGS", "-D warnings")],
            ..check(
                "docs",
                &[
                    "doc",
                    "--workspace",
                    "--no-deps",
                    "--document-private-items",
                ],
                "a link or a code block in the documentation is wrong",
            )
        });
    }
    checks.push(Check {
        counts: true,
        ..check("tests", tests, again)
    });
    if !quick {
        checks.push(Check {
            counts: true,
            ..check(
                "doc tests",
                &["test", "--workspace", "--doc", "--no-fail-fast"],
                again,
            )
        });
    }
    checks
}

/// Runs every check.
pub(crate) fn run(root: &Path, quick: bool) -> Result<(), Failure> {
    let whole = Stopwatch::start();
    let target = target_folder(root);
    if let Some(free) = disk::free(root) {
        say(&format!("{:<10} {}", "disk", disk::spoken(free)));
    }
    let ready = timed("tools", || tools::ready(&target)).map_err(Failure::Tools)?;
    let nextest = Command::new(cargo())
        .args(["nextest", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    let mut total = Tally::default();
    let mut report = Vec::new();
    for check in plan(quick, nextest) {
        say(&format!(
            "\n{:<10} cargo {}",
            check.name,
            check.arguments.join(" ")
        ));
        let watch = Stopwatch::start();
        let (status, tally) = execute(&check, root, &ready)
            .map_err(|error| Failure::Check(format!("{}: {error}", check.name)))?;
        let took = spoken(watch.elapsed());
        let counted = if check.counts {
            tally.line()
        } else {
            String::new()
        };
        say(&format!("{:<10} {took:>12}   {counted}", check.name));
        if !status.success() {
            return Err(Failure::Check(format!(
                "{} failed ({status}): {}{}",
                check.name,
                check.advice,
                disk::advice(disk::free(root))
            )));
        }
        total.passed += tally.passed;
        report.push(format!("  {:<10} {took:>12}   {counted}", check.name));
    }
    if !quick {
        let watch = Stopwatch::start();
        e2e::aws_e2e(root)?;
        report.push(format!(
            "  {:<10} {:>12}",
            "aws-e2e",
            spoken(watch.elapsed())
        ));
    }
    say(&format!("\n{}", report.join("\n")));
    say(&format!(
        "\nall checks passed: {} tests in {}",
        total.passed,
        spoken(whole.elapsed())
    ));
    Ok(())
}

/// Runs one check. Its output goes to the person as it comes; when results are to be counted, it
/// passes through us line by line.
fn execute(
    check: &Check,
    root: &Path,
    ready: &tools::Ready,
) -> Result<(ExitStatus, Tally), String> {
    let mut command = Command::new(cargo());
    command
        .args(&check.arguments)
        .current_dir(root)
        .stdin(Stdio::null())
        // The toolchain that started us is the one that is tested; a wish for another fails at once.
        .env("RUSTUP_DIST_SERVER", "http://127.0.0.1:9")
        .env("KINTSUGI_TEST_PYTHON", &ready.python)
        .env("KINTSUGI_TEST_NODE", &ready.modules)
        .env("KINTSUGI_TEST_BROWSER", ready.browser)
        // AWS on loopback; it lies beside the Python that runs it.
        .env(
            "KINTSUGI_TEST_AWS",
            ready.python.with_file_name("ministack"),
        );
    for (name, value) in &check.environment {
        command.env(name, value);
    }
    let stopped = |error: std::io::Error| format!("cargo does not run: {error}");
    if !check.counts {
        return Ok((command.status().map_err(stopped)?, Tally::default()));
    }
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(stopped)?;
    let out = child
        .stdout
        .take()
        .map(|pipe| pass_on(pipe, std::io::stdout()));
    let err = child
        .stderr
        .take()
        .map(|pipe| pass_on(pipe, std::io::stderr()));
    let status = child.wait().map_err(stopped)?;
    let mut tally = Tally::default();
    for reader in [out, err].into_iter().flatten() {
        let part = reader.join().unwrap_or_default();
        tally.passed += part.passed;
        tally.failed += part.failed;
        tally.closing = tally.closing.or(part.closing);
    }
    Ok((status, tally))
}

fn pass_on(
    pipe: impl Read + Send + 'static,
    mut to: impl Write + Send + 'static,
) -> thread::JoinHandle<Tally> {
    thread::spawn(move || {
        let mut tally = Tally::default();
        let mut reader = BufReader::new(pipe);
        let mut line = Vec::new();
        while reader
            .read_until(b'\n', &mut line)
            .is_ok_and(|length| length > 0)
        {
            let _ = to.write_all(&line);
            let _ = to.flush();
            tally.read(&String::from_utf8_lossy(&line));
            line.clear();
        }
        tally
    })
}

fn timed<T>(name: &str, work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    let watch = Stopwatch::start();
    let done = work()?;
    say(&format!("{name:<10} {:>12}", spoken(watch.elapsed())));
    Ok(done)
}

/// The cargo that started us.
pub(crate) fn cargo() -> PathBuf {
    std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from)
}

/// Cargo's target folder, absolute, so that children in other folders find it too.
pub(crate) fn target_folder(root: &Path) -> PathBuf {
    let named =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    std::path::absolute(&named).unwrap_or(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(quick: bool, nextest: bool) -> Vec<&'static str> {
        plan(quick, nextest)
            .iter()
            .map(|check| check.name)
            .collect()
    }

    #[test]
    fn the_fastest_checks_come_first_and_quick_leaves_documentation_out() {
        let all = ["format", "lints", "programs", "docs", "tests", "doc tests"];
        assert_eq!(names(false, true), all);
        assert_eq!(names(false, false), all);
        assert_eq!(names(true, true), ["format", "lints", "programs", "tests"]);
    }

    #[test]
    fn tests_run_with_or_without_nextest() {
        let runner = |nextest| plan(true, nextest)[3].arguments[0];
        assert_eq!(runner(true), "nextest");
        assert_eq!(runner(false), "test");
    }

    #[test]
    fn every_check_says_what_to_do_when_it_fails() {
        for check in plan(false, true) {
            assert!(!check.advice.is_empty(), "{}", check.name);
        }
    }

    #[test]
    fn output_is_passed_on_and_counted() {
        let text = "noise\ntest result: ok. 2 passed; 0 failed; 0 ignored\nlast line without end";
        let tally = pass_on(text.as_bytes(), std::io::sink()).join().unwrap();
        assert_eq!((tally.passed, tally.failed), (2, 0));
    }
}
