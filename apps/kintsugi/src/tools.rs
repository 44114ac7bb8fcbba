//! The programs that a home runs: git, and the language of the products.

use crate::error::Error;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

/// What git calls its version.
pub(crate) fn git() -> Result<String, Error> {
    version("git", &["--version"])
}

/// Runs git in a folder, without the machine's and the user's configuration, and gives what it printed.
pub(crate) fn run_git(
    folder: &Path,
    env: &[(&str, &str)],
    arguments: &[&str],
) -> Result<String, Error> {
    let mut command = Command::new("git");
    command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .envs(env.iter().copied());
    start_git(command, folder, arguments)
}

/// Runs git in a folder as its user does, whose configuration knows how to reach a server. Asks nothing.
pub(crate) fn run_git_as_user(folder: &Path, arguments: &[&str]) -> Result<String, Error> {
    let mut command = Command::new("git");
    command.env("GIT_TERMINAL_PROMPT", "0");
    start_git(command, folder, arguments)
}

fn start_git(mut command: Command, folder: &Path, arguments: &[&str]) -> Result<String, Error> {
    let output = command
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Error::Tool {
            name: "git",
            why: format!("the program git does not start: {error}"),
        })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let act = arguments.first().copied().unwrap_or_default();
    let words = String::from_utf8_lossy(&output.stderr);
    Err(Error::Tool {
        name: "git",
        why: format!("git {act} failed: {}", words.trim()),
    })
}

/// What Python calls its version, if it is one that can be used in the sandbox.
pub(crate) fn python() -> Result<String, Error> {
    let version = version("python3", &["-I", "--version"])?;
    match kintsugi_sandbox::python_toolchain() {
        Ok(_) => Ok(version),
        Err(error) => Err(Error::Tool {
            name: "python3",
            why: error.to_string(),
        }),
    }
}

fn version(name: &'static str, arguments: &[&str]) -> Result<String, Error> {
    let failed = |why: String| Error::Tool { name, why };
    let said = Command::new(name)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| {
            failed(if error.kind() == io::ErrorKind::NotFound {
                format!("the program {name} is missing")
            } else {
                format!("the program {name} does not start: {error}")
            })
        })?;
    if said.status.success() {
        return Ok(String::from_utf8_lossy(&said.stdout).trim().to_owned());
    }
    let words = String::from_utf8_lossy(&said.stderr);
    let first = words.trim().lines().next().unwrap_or_default();
    Err(failed(format!(
        "the program {name} does not work ({}): {first}",
        said.status
    )))
}
