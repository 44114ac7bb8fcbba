//! The project's own commands: `cargo xtask <command>`.
//!
//! **Invariant: what the automatic check runs is what a person runs.** `.ci/run` calls
//! `cargo xtask test` and nothing else.
//!
//! Not here: anything that the product does for its users (that is `kintsugi`), and any choice of
//! toolchain: the one that started this program is the one that is used.

mod bench;
mod checks;
mod disk;
mod e2e;
mod fuzz;
mod summary;
mod tools;

use std::path::PathBuf;
use std::process::ExitCode;

const HELP: &str = "\
cargo xtask <command>

  test            installs what the tests need, then runs every check
  test --quick    the same without documentation tests and documentation
  aws-e2e         builds the functions, deploys them to an AWS emulator on loopback, and has the
                  demo play against that home; part of test, unless --quick
  bench NAME      measures something on this machine; --json ends with one object.
                  cold-start: every function beside a bare one
                  delta: deltas beside HDiffPatch, zstd, bsdiff and xdelta3
                  cost: events and update checks on AWS's bill, counted at the emulator
                  ingest: reports into a local home, drained to issues
                  scrub: the scrubber beside sentry-relay
                  sdk: reports and panics on the caller's thread, beside the sentry crate
  fuzz TARGET     one of fuzz/fuzz_targets, guided by coverage; --runs N and --seconds S end it
  help            this text

Exit codes: 0 all is well, 1 a check failed or a bound was missed, 2 the command was not understood,
3 something that the tests need is missing and could not be installed.
";

/// What a person asked for.
#[derive(Debug, PartialEq, Eq)]
enum Command {
    Test { quick: bool },
    AwsE2e,
    Bench { bench: bench::Bench, json: bool },
    Fuzz(fuzz::Fuzz),
    Help,
}

fn parse(words: &[String]) -> Result<Command, String> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["test"] => Ok(Command::Test { quick: false }),
        ["test", "--quick"] => Ok(Command::Test { quick: true }),
        ["aws-e2e"] => Ok(Command::AwsE2e),
        ["bench", name] => bench_named(name, false),
        ["bench", name, "--json"] => bench_named(name, true),
        ["fuzz", words @ ..] => fuzz::parse(words).map(Command::Fuzz),
        [] | ["help" | "--help" | "-h"] => Ok(Command::Help),
        _ => Err(format!("there is no command \"{}\"", words.join(" "))),
    }
}

fn bench_named(name: &str, json: bool) -> Result<Command, String> {
    let bench = bench::named(name).ok_or_else(|| format!("there is no bench \"{name}\""))?;
    Ok(Command::Bench { bench, json })
}

/// Why a command ended badly; decides the exit code.
#[derive(Debug)]
enum Failure {
    /// A check found something.
    Check(String),
    /// What the tests need is not there.
    Tools(String),
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match parse(&words) {
        Ok(Command::Help) => {
            summary::say(HELP.trim_end());
            return ExitCode::SUCCESS;
        }
        Ok(Command::Test { quick }) => checks::run(&root(), quick),
        Ok(Command::AwsE2e) => e2e::aws_e2e(&root()),
        Ok(Command::Bench { bench, json }) => bench::run(bench, &root(), json),
        Ok(Command::Fuzz(fuzz)) => fuzz::run(&fuzz, &root()),
        Err(problem) => {
            summary::say(&format!("xtask: {problem}\n\n{}", HELP.trim_end()));
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Check(problem)) => {
            summary::say(&format!("\nxtask: {problem}"));
            ExitCode::from(1)
        }
        Err(Failure::Tools(problem)) => {
            summary::say(&format!("\nxtask: {problem}"));
            ExitCode::from(3)
        }
    }
}

/// The repository: the folder above this package, as cargo names it when it starts us.
fn root() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR")
        .map(PathBuf::from)
        .and_then(|package| package.parent().map(PathBuf::from))
        .unwrap_or_else(|| PathBuf::from("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn every_command_in_the_help_is_understood() {
        assert_eq!(parse(&words("test")), Ok(Command::Test { quick: false }));
        assert_eq!(
            parse(&words("test --quick")),
            Ok(Command::Test { quick: true })
        );
        assert_eq!(parse(&words("aws-e2e")), Ok(Command::AwsE2e));
        for (name, bench) in bench::ALL {
            for (flag, json) in [("", false), (" --json", true)] {
                let line = format!("bench {name}{flag}");
                assert_eq!(parse(&words(&line)), Ok(Command::Bench { bench, json }));
            }
            assert!(HELP.contains(name), "{name}");
        }
        assert!(matches!(
            parse(&words("fuzz otlp --runs 5")),
            Ok(Command::Fuzz(_))
        ));
        assert_eq!(parse(&words("help")), Ok(Command::Help));
        assert_eq!(parse(&[]), Ok(Command::Help));
    }

    #[test]
    fn a_word_too_many_or_unknown_is_refused_with_the_word() {
        assert!(parse(&words("test --fast")).unwrap_err().contains("--fast"));
        assert!(
            parse(&words("test --quick x"))
                .unwrap_err()
                .contains("--quick x")
        );
        assert!(parse(&words("bench ink")).unwrap_err().contains("ink"));
        assert!(parse(&words("deploy")).unwrap_err().contains("deploy"));
    }
}
