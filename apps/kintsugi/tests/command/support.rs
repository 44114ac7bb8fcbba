//! Runs the program, and looks at what it did.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};

/// Any free port of this machine alone.
pub(crate) const ANY_PORT: &str = "127.0.0.1:0";

pub(crate) fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/till/product")
}

/// The program, without the settings of whoever runs the tests.
pub(crate) fn kintsugi() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kintsugi"));
    command.env_remove("KINTSUGI_KEY_PASSPHRASE");
    command.env_remove("KINTSUGI_LOG");
    command.env_remove("KINTSUGI_CONFIG");
    command
}

/// Runs the program to its end in a folder.
pub(crate) fn ask<S: AsRef<OsStr>>(folder: &Path, arguments: &[S]) -> Output {
    let mut command = kintsugi();
    command.current_dir(folder).args(arguments);
    command.output().unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Checks that a command failed as it should: the exit code, one line on standard error with all of
/// `words` and the stable code, and nothing on standard output.
#[track_caller]
pub(crate) fn assert_failed(output: &Output, exit: i32, code: &str, words: &[&str]) {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(exit), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with("failed: "), "{said}");
    assert!(said.ends_with(&format!(" [{code}]\n")), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in {said}");
    }
    assert_eq!(stdout(output), "");
}

/// A home that runs until it is stopped, at the latest when this is dropped.
pub(crate) struct Running {
    child: Child,
    lines: BufReader<ChildStdout>,
    /// What it printed before it was ready.
    pub(crate) events: Vec<Value>,
}

impl Running {
    /// Starts a home and waits until it is ready.
    pub(crate) fn start(data: &Path, more: &[&str]) -> Self {
        let mut command = kintsugi();
        command.args(["up", "--json", "--listen", ANY_PORT, "--data"]);
        command.arg(data).args(more);
        Self::of(command)
    }

    /// The same for a command that ends in such a home.
    pub(crate) fn of(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let mut running = Self {
            child,
            lines,
            events: Vec::new(),
        };
        loop {
            let mut line = String::new();
            let length = running.lines.read_line(&mut line).unwrap();
            assert!(length > 0, "it ended: {:?}", running.child.wait());
            let event: Value = serde_json::from_str(&line).unwrap();
            let is_ready = event["event"] == "ready";
            running.events.push(event);
            if is_ready {
                return running;
            }
        }
    }

    /// The first event of that kind.
    #[track_caller]
    pub(crate) fn event(&self, kind: &str) -> &Value {
        let mut events = self.events.iter();
        events.find(|event| event["event"] == kind).unwrap()
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> String {
        self.url().strip_prefix("http://").unwrap().to_owned()
    }

    /// The same as a URL without a path.
    pub(crate) fn url(&self) -> String {
        let address = self.event("home")["address"].as_str().unwrap();
        address.to_owned()
    }

    /// The token that it left for its owner.
    pub(crate) fn token(&self) -> String {
        let file = self.event("home")["token"].as_str().unwrap();
        fs::read_to_string(file).unwrap()
    }

    /// Sends a GET and returns the whole response.
    pub(crate) fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.address()).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: home\r\nconnection: close\r\n\r\n"
        )
        .unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response
    }

    /// Sends a signal and waits for the end; returns how it ended and the last words.
    pub(crate) fn signal(mut self, signal: Signal) -> (ExitStatus, String) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap(), rest)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already where the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes files below a folder.
pub(crate) fn write(folder: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

/// Runs git in a folder, without anybody's configuration.
pub(crate) fn git(folder: &Path, arguments: &[&str]) -> String {
    let done = Command::new("git")
        .current_dir(folder)
        .args(["-c", "user.name=Mara", "-c", "user.email=mara@example.com"])
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", stderr(&done));
    stdout(&done).trim().to_owned()
}
