//! The `git` program, run without a shell, without hooks, prompts or anybody's configuration but the repository's own.

use kintsugi_domain::Timestamp;
use kintsugi_domain::ports::PortError;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Settings of every call: no hooks, no helper programs, and objects and refs flushed to the disk.
const SETTINGS: [&str; 5] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.fsync=committed,loose-object,reference",
    "gc.auto=0",
    "i18n.commitEncoding=UTF-8",
];

/// A repository on this machine.
pub(crate) struct Repository {
    folder: PathBuf,
    path: OsString,
    index: Option<PathBuf>,
    date: String,
}

/// What git said.
pub(crate) struct Said {
    pub(crate) ok: bool,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Said {
    /// The answer as one line of text.
    pub(crate) fn line(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim().to_owned()
    }
}

impl Repository {
    /// The repository of a folder: a bare one, or one with a working tree.
    pub(crate) fn open(folder: &str) -> Result<Self, PortError> {
        let what = format!("repository {folder}");
        let canonical = fs::canonicalize(folder).ok().filter(|path| path.is_dir());
        let Some(canonical) = canonical else {
            let why = "expected a folder on this machine with a git repository in it";
            return Err(PortError::broken(what, why));
        };
        let repository = Self {
            folder: canonical,
            // Not a setting: only the way to the program, as any shell finds it.
            path: std::env::var_os("PATH").unwrap_or_default(),
            index: None,
            date: "@0 +0000".to_owned(),
        };
        let said = repository.run(&["rev-parse", "--git-dir"], b"")?;
        if said.ok {
            return Ok(repository);
        }
        let why = match said.stderr.lines().next() {
            Some(line) => format!("git cannot use it: {line}"),
            None => "git cannot use it".to_owned(),
        };
        Err(PortError::broken(what, why))
    }

    /// The same repository with an index and a date for a commit.
    pub(crate) fn for_commit(&self, index: &Path, at: Timestamp) -> Self {
        Self {
            folder: self.folder.clone(),
            path: self.path.clone(),
            index: Some(index.to_owned()),
            date: format!("@{} +0000", at.as_second()),
        }
    }

    /// Runs git and returns what it said, whether it succeeded or not.
    pub(crate) fn run(&self, arguments: &[&str], input: &[u8]) -> Result<Said, PortError> {
        let output = self.spawn(arguments, input).map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound {
                let why = "the program `git` is missing; install git and try again";
                return PortError::unavailable("git", why);
            }
            PortError::unavailable("git", error)
        })?;
        Ok(Said {
            ok: output.status.success(),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }

    /// Runs git and returns its answer; a failure is an error that names what was being done.
    pub(crate) fn ask(
        &self,
        what: &str,
        arguments: &[&str],
        input: &[u8],
    ) -> Result<String, PortError> {
        let said = self.run(arguments, input)?;
        if said.ok {
            return Ok(said.line());
        }
        Err(PortError::broken(
            what,
            format!("git refused: {}", said.stderr),
        ))
    }

    fn spawn(&self, arguments: &[&str], input: &[u8]) -> io::Result<Output> {
        let mut command = Command::new("git");
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        command
            .args(arguments)
            .current_dir(&self.folder)
            .env_clear()
            .env("PATH", &self.path)
            .env("LC_ALL", "C")
            .env("HOME", "/nonexistent")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_LITERAL_PATHSPECS", "1")
            .env("GIT_AUTHOR_NAME", "Kintsugi")
            .env("GIT_AUTHOR_EMAIL", "kintsugi@localhost")
            .env("GIT_AUTHOR_DATE", &self.date)
            .env("GIT_COMMITTER_NAME", "Kintsugi")
            .env("GIT_COMMITTER_EMAIL", "kintsugi@localhost")
            .env("GIT_COMMITTER_DATE", &self.date)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(parent) = self.folder.parent() {
            // A folder inside another repository is not that repository.
            command.env("GIT_CEILING_DIRECTORIES", parent);
        }
        if let Some(index) = &self.index {
            command.env("GIT_INDEX_FILE", index);
        }
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // Git reads its input before it answers, so writing all of it first cannot block for ever. A git that ended
            // early says why on its own.
            match stdin.write_all(input) {
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        child.wait_with_output()
    }
}
