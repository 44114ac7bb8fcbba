//! The project's own commands: `cargo xtask <command>`.
//!
//! **Invariant: what the automatic check runs is what a person runs.** `.ci/run` calls
//! `cargo xtask test` and nothing else.
//!
//! Not here: anything that the product does for its users (that is `kintsugi`), and any choice of
//! toolchain: the one that started this program is the one that is used.

mod bench;
mod checks;
mod summary;
mod tools;

use std::path::PathBuf;
use std::process::ExitCode;

const HELP: &str = "\
cargo xtask <command>

  test            installs what the tests need, then runs every check
  test --quick    the same without documentation tests and documentation
  bench NAME      measures, and prints a table; NAME is delta
  bench NAME --json
                  the same as one JSON object
  help            this text

Exit codes: 0 all is well, 1 a check failed, 2 the command was not understood,
3 something that the tests need is missing and could not be installed.
";

/// What a person asked for.
#[derive(Debug, PartialEq, Eq)]
enum Command {
    Test { quick: bool },
    Bench { name: String, json: bool },
    Help,
}

fn parse(words: &[String]) -> Result<Command, String> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["test"] => Ok(Command::Test { quick: false }),
        ["test", "--quick"] => Ok(Command::Test { quick: true }),
        ["bench", name] => Ok(Command::Bench {
            name: (*name).to_owned(),
            json: false,
        }),
        ["bench", name, "--json"] => Ok(Command::Bench {
            name: (*name).to_owned(),
            json: true,
        }),
        [] | ["help" | "--help" | "-h"] => Ok(Command::Help),
        _ => Err(format!("there is no command \"{}\"", words.join(" "))),
    }
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
        Ok(Command::Bench { name, json }) => bench::run(&root(), &name, json),
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
        for (line, json) in [("bench delta", false), ("bench delta --json", true)] {
            let name = "delta".to_owned();
            assert_eq!(parse(&words(line)), Ok(Command::Bench { name, json }));
        }
        assert!(bench::NAMES.iter().all(|name| HELP.contains(name)));
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
        assert!(parse(&words("deploy")).unwrap_err().contains("deploy"));
    }
}
