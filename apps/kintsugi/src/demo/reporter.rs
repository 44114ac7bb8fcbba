//! The product on a device: run as its user would, with the unmodified `sentry-sdk` from `PyPI` beside it.

use crate::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The client library and what it needs, as published on `PyPI`; pip checks the hashes.
const REQUIREMENTS: &str = include_str!("requirements.txt");
/// Gets the same files where Python came without pip, as Debian's does.
const FETCH: &str = include_str!("fetch.py");

/// A Python with the client library.
#[derive(Debug)]
pub(super) struct Reporter {
    python: PathBuf,
    packages: PathBuf,
}

/// How a run of the product ended.
#[derive(Debug)]
pub(super) struct Ran {
    /// Whether it ended well.
    pub(super) ok: bool,
    /// Its last line on standard error.
    pub(super) last_line: String,
}

impl Reporter {
    /// Installs the client library into a folder.
    pub(super) fn install(python: &Path, folder: &Path) -> Result<Self, Error> {
        let packages = folder.join("packages");
        let list = folder.join("requirements.txt");
        std::fs::write(&list, REQUIREMENTS).map_err(|error| Error::write(&list, &error))?;
        let pip = Command::new(python)
            .args(["-m", "pip", "install", "--quiet", "--no-input"])
            .args(["--disable-pip-version-check", "--root-user-action=ignore"])
            .args(["--no-deps", "--only-binary=:all:", "--require-hashes"])
            .arg("--target")
            .arg(&packages)
            .arg("--requirement")
            .arg(&list)
            .output();
        let reporter = Self {
            python: python.to_owned(),
            packages,
        };
        let why_not_pip = match pip {
            Ok(output) if output.status.success() => return Ok(reporter),
            Ok(output) => last_line(&output.stderr),
            Err(error) => error.to_string(),
        };
        let fetched = Command::new(python)
            .args(["-c", FETCH])
            .arg(&list)
            .arg(&reporter.packages)
            .output()
            .map_err(|error| Error::Tool {
                name: "python3",
                why: format!("python3 does not run: {error}"),
            })?;
        if fetched.status.success() {
            return Ok(reporter);
        }
        Err(Error::Download {
            what: "sentry-sdk from PyPI",
            why: format!("{} (pip: {why_not_pip})", last_line(&fetched.stderr)),
        })
    }

    /// Runs the product's report on a journal, in the folder of the installed version.
    pub(super) fn run(
        &self,
        version: &Path,
        journal: &Path,
        env: &[(&str, String)],
    ) -> Result<Ran, Error> {
        let output = Command::new(&self.python)
            .args(["-m", "till", "report"])
            .arg(journal)
            .current_dir(version)
            .env("PYTHONPATH", &self.packages)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .envs(env.iter().map(|(name, value)| (*name, value)))
            .stdin(Stdio::null())
            .output()
            .map_err(|error| Error::Tool {
                name: "python3",
                why: format!("python3 does not run: {error}"),
            })?;
        Ok(Ran {
            ok: output.status.success(),
            last_line: last_line_of_the_product(&output.stderr),
        })
    }
}

fn last_line(text: &[u8]) -> String {
    last_line_but(text, &[])
}

/// The client library has the last words where sending takes a moment; they are not the product's.
fn last_line_of_the_product(text: &[u8]) -> String {
    let waiting = ["Sentry is attempting", "Waiting up to", "Press Ctrl-C"];
    last_line_but(text, &waiting)
}

fn last_line_but(text: &[u8], left_out: &[&str]) -> String {
    let text = String::from_utf8_lossy(text);
    let fits = |line: &&str| {
        let is_left_out = left_out.iter().any(|start| line.starts_with(start));
        !line.is_empty() && !is_left_out
    };
    let line = text.lines().rev().map(str::trim).find(fits);
    line.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_the_products_and_not_the_client_librarys() {
        let said =
            b"Traceback\nZeroDivisionError: x\nSentry is attempting to send 1 pending events\n\
            Waiting up to 2 seconds\nPress Ctrl-C to quit\n\n";
        assert_eq!(last_line_of_the_product(said), "ZeroDivisionError: x");
        assert_eq!(last_line(said), "Press Ctrl-C to quit");
        assert_eq!(last_line(b"\n"), "");
    }
}
