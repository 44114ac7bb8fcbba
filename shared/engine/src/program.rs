//! Starts the `git` program so that nothing of the caller reaches it and nothing waits for a person.
//!
//! Not here: what it is asked (`git`).

use kintsugi_domain::address;
use kintsugi_domain::ports::PortError;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Longest part of git's own words in an error, characters.
const WORDS_CHARS_MAX: usize = 300;

/// A `git` that nothing of the caller's environment or configuration reaches, and that never asks.
pub(crate) fn git() -> Command {
    let mut command = Command::new("git");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GIT_") {
            command.env_remove(name);
        }
    }
    command
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_ATTR_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env(
            "GIT_SSH_COMMAND",
            "ssh -o BatchMode=yes -o ConnectTimeout=20",
        )
        .env("LC_ALL", "C");
    for setting in [
        "core.hooksPath=/dev/null",
        "gc.auto=0",
        "maintenance.auto=false",
        "http.lowSpeedLimit=1000",
        "http.lowSpeedTime=60",
        "i18n.commitEncoding=UTF-8",
        "protocol.allow=never",
        "protocol.file.allow=always",
        "protocol.https.allow=always",
        "protocol.ssh.allow=always",
    ] {
        command.args(["-c", setting]);
    }
    command
}

/// A `git` that talks to a repository: a folder or a host, with the credentials of a file in the form of
/// `git-credential-store`. Without TLS only to this machine.
pub(crate) fn git_to(repository: &str, credentials: Option<&Path>) -> Command {
    let mut command = git();
    if is_loopback(repository) {
        command.args(["-c", "protocol.http.allow=always"]);
    }
    if let Some(file) = credentials {
        let file = file.display().to_string().replace('\'', r"'\''");
        // Only ever read: git would have the file forget a credential that a host refuses once.
        let helper = format!(
            "credential.helper=!f() {{ if test \"$1\" = get; then git credential-store --file='{file}' get; fi; }}; f"
        );
        command.args(["-c", &helper]);
    }
    command
}

/// Whether an address without TLS is one of this machine.
fn is_loopback(repository: &str) -> bool {
    address::check(repository).is_ok_and(|address| !address.is_tls)
}

/// Runs git with some input and returns its output; anything but success is an error of the world.
pub(crate) fn run(what: &str, command: &mut Command, input: &[u8]) -> Result<Vec<u8>, PortError> {
    let output = start(what, command, input)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let words: String = words
        .trim()
        .replace('\n', "; ")
        .chars()
        .take(WORDS_CHARS_MAX)
        .collect();
    Err(PortError::unavailable(what, words))
}

pub(crate) fn start(
    what: &str,
    command: &mut Command,
    input: &[u8],
) -> Result<std::process::Output, PortError> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| {
            if error.kind() == std::io::ErrorKind::NotFound {
                PortError::broken(
                    what,
                    "the program git is missing; install git 2.30 or later",
                )
            } else {
                PortError::unavailable(what, error)
            }
        })?;
    let pipe = child.stdin.take();
    std::thread::scope(|scope| {
        // Written beside the reading, so that neither side waits for a full pipe. A git that ends early
        // says itself why.
        scope.spawn(move || pipe.map(|mut pipe| pipe.write_all(input)));
        child
            .wait_with_output()
            .map_err(|error| PortError::unavailable(what, error))
    })
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn only_this_machine_is_asked_without_tls() {
        for address in [
            "http://127.0.0.1:80/a",
            "http://localhost/a",
            "http://[::1]:9/a",
        ] {
            assert!(is_loopback(address), "{address}");
        }
        for address in [
            "http://example.org/a",
            "http://127.0.0.1.example.org/a",
            "http://127.0.0.1:1@example.org/a",
            "http://127.0.0.1@example.org:80/a",
            "https://127.0.0.1/a",
            "/127.0.0.1",
        ] {
            assert!(!is_loopback(address), "{address}");
        }
    }
}
