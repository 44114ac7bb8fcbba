//! The programs that a home runs: git, and the language of the products.

use crate::error::Error;
use std::io;
use std::process::{Command, Stdio};

/// What git calls its version.
pub(crate) fn git() -> Result<String, Error> {
    version("git", &["--version"])
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
