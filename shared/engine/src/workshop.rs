//! Runs commands of the product in the box, each in a fresh folder with the product's files.
//!
//! A fresh folder for each run, because product code may leave anything behind: a link in place of a
//! folder would lead the engine's next write out of it. Not here: what the outcome means to a job.

use crate::Site;
use crate::tree::Tree;
use kintsugi_domain::config::Command;
use kintsugi_domain::job::Gate;
use kintsugi_domain::limits::PACKAGE_BYTES_MAX;
use kintsugi_domain::ports::PortError;
use kintsugi_sandbox::{Breach, Exit, Finished, Job, Limits, SandboxError, Toolchain};
use std::cell::Cell;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest detail of a gate, bytes.
const DETAIL_BYTES_MAX: usize = 2_048;
/// The name that stands for the machine's Python in a configuration.
const PYTHON: &str = "python3";
/// Stands for the folder of the installed version in a configuration.
const APP: &str = "{app}";
/// Where the product's files are in the box.
const APP_FOLDER: &str = "/w";

/// How long a program of the machine may take.
const TOOL_WALL: Duration = Duration::from_mins(10);

/// A program of the machine that makes one file from a tree.
#[derive(Default)]
pub(crate) struct Tool {
    pub(crate) argv: Vec<String>,
    /// Files of the machine that it sees besides.
    pub(crate) read_only: Vec<PathBuf>,
    /// What it hears; never told.
    pub(crate) stdin: Vec<u8>,
    /// What it makes: a name in its folder.
    pub(crate) output: &'static str,
}

/// Runs commands for one job.
pub(crate) struct Workshop<'a> {
    site: &'a Site,
    python: Result<Toolchain, String>,
    /// The date of builds, for tools that know `SOURCE_DATE_EPOCH`.
    epoch: i64,
    runs: Cell<u32>,
}

impl<'a> Workshop<'a> {
    pub(crate) fn open(site: &'a Site, epoch: i64) -> Self {
        Self {
            site,
            python: kintsugi_sandbox::python_toolchain().map_err(|error| error.to_string()),
            epoch,
            runs: Cell::new(0),
        }
    }

    /// The folder of the job, which no product code sees.
    pub(crate) fn folder(&self) -> &Path {
        self.site.path()
    }

    /// Runs a command of the configuration on a tree.
    pub(crate) fn run(&self, tree: &Tree, command: &Command) -> Result<Finished, PortError> {
        self.run_for(tree, &command.command, wall(command))
    }

    /// Runs a command for at most `wall`.
    pub(crate) fn run_for(
        &self,
        tree: &Tree,
        argv: &[String],
        wall: Duration,
    ) -> Result<Finished, PortError> {
        let (finished, folder) = self.start(tree, argv, wall)?;
        discard(&folder);
        Ok(finished)
    }

    /// Runs a command and reads back what the folder holds afterwards; the inner error is the product's.
    pub(crate) fn run_and_read(
        &self,
        tree: &Tree,
        command: &Command,
    ) -> Result<(Finished, Result<Tree, String>), PortError> {
        let (finished, folder) = self.start(tree, &command.command, wall(command))?;
        let read = Tree::read(&folder);
        discard(&folder);
        Ok((finished, read))
    }

    /// Runs a program of the machine in the box and returns the file that it made, if it made one.
    pub(crate) fn tool(
        &self,
        tree: &Tree,
        tool: Tool,
    ) -> Result<(Finished, Option<Vec<u8>>), PortError> {
        self.runs.set(self.runs.get() + 1);
        let folder = self.site.path().join(format!("run-{}", self.runs.get()));
        tree.write(&folder)?;
        let mut job = self.job(&tool.argv, &folder, TOOL_WALL)?;
        job.read_only.extend(tool.read_only);
        job.stdin = tool.stdin;
        job.limits.file_bytes = PACKAGE_BYTES_MAX;
        let finished = self.site.sandbox.run(&job).map_err(sandbox_error);
        let made = folder.join(tool.output);
        // No product code ran in this folder; a link would be the tool's own, and is not followed.
        let is_file = made.symlink_metadata().is_ok_and(|it| it.is_file());
        let made = is_file.then(|| fs::read(&made)).transpose();
        discard(&folder);
        let made =
            made.map_err(|error| PortError::unavailable("reading what a tool made", error))?;
        Ok((finished?, made))
    }

    fn start(
        &self,
        tree: &Tree,
        argv: &[String],
        wall: Duration,
    ) -> Result<(Finished, PathBuf), PortError> {
        self.runs.set(self.runs.get() + 1);
        let folder = self.site.path().join(format!("run-{}", self.runs.get()));
        tree.write(&folder)?;
        let job = self.job(argv, &folder, wall)?;
        let finished = self.site.sandbox.run(&job).map_err(sandbox_error);
        if finished.is_err() {
            discard(&folder);
        }
        Ok((finished?, folder))
    }

    fn job(&self, argv: &[String], folder: &Path, wall: Duration) -> Result<Job, PortError> {
        let mut argv: Vec<String> = argv
            .iter()
            .map(|word| word.replace(APP, APP_FOLDER))
            .collect();
        let mut path = "/usr/local/bin:/usr/bin:/bin".to_owned();
        let mut read_only = Vec::new();
        match (&self.python, argv.first_mut()) {
            (Ok(python), program) => {
                if let Some(program) = program.filter(|program| *program == PYTHON) {
                    *program = python.program.to_string_lossy().into_owned();
                }
                if let Some(bin) = python.program.parent() {
                    path = format!("{}:{path}", bin.display());
                }
                read_only.clone_from(&python.read_only);
            }
            (Err(why), Some(program)) if program == PYTHON => {
                return Err(PortError::broken("starting the product's tests", why));
            }
            (Err(_), _) => {}
        }
        let mut job = Job::new(argv, folder);
        job.read_only = read_only;
        for (name, value) in [
            ("PATH", path.as_str()),
            ("HOME", "/tmp"),
            ("TMPDIR", "/tmp"),
            ("LANG", "C.UTF-8"),
            ("TZ", "UTC"),
            ("PYTHONDONTWRITEBYTECODE", "1"),
            ("PYTHONHASHSEED", "0"),
            ("SOURCE_DATE_EPOCH", &self.epoch.max(0).to_string()),
        ] {
            job.env.insert(name.to_owned(), value.to_owned());
        }
        job.limits = Limits {
            wall,
            cpu_seconds: wall.as_secs().max(1),
            ..Limits::default()
        };
        Ok(job)
    }
}

/// How long a command of the configuration may take.
pub(crate) fn wall(command: &Command) -> Duration {
    Duration::from_secs(command.timeout_seconds.max(1).into())
}

/// The gate of a run that should end well.
pub(crate) fn gate(name: &str, finished: &Finished) -> Gate {
    let detail = if finished.success() {
        "passed".to_owned()
    } else {
        explain(finished)
    };
    Gate {
        name: name.to_owned(),
        passed: finished.success(),
        detail,
    }
}

/// How a run ended, and the end of what it said.
pub(crate) fn explain(finished: &Finished) -> String {
    let ended = match (finished.breach, finished.status) {
        (Some(Breach::Processes), _) => "started more processes than it may".to_owned(),
        (Some(Breach::Memory), _) => "took more memory than it may".to_owned(),
        (None, Exit::Code(code)) => format!("ended with code {code}"),
        (None, Exit::Signal(signal)) => format!("was ended by signal {signal}"),
        (None, Exit::TimedOut) => {
            format!("did not end within {} seconds", finished.wall.as_secs())
        }
    };
    let words = output(finished);
    if words.is_empty() {
        return ended;
    }
    let space = DETAIL_BYTES_MAX.saturating_sub(ended.len() + 8);
    format!("{ended}\n{}", tail(&words, space))
}

/// What a run said: standard error, where test runners talk, or else standard output.
pub(crate) fn output(finished: &Finished) -> String {
    let bytes = if finished.stderr.is_empty() {
        &finished.stdout
    } else {
        &finished.stderr
    };
    let text = String::from_utf8_lossy(bytes);
    let kept = text
        .chars()
        .filter(|c| matches!(c, '\n' | '\t') || !c.is_control());
    kept.collect::<String>().trim().to_owned()
}

/// At most `bytes` of the end of a text, with a mark where something was cut off.
fn tail(text: &str, bytes: usize) -> String {
    let cut = text.len().saturating_sub(bytes);
    let at = (cut..=text.len()).find(|at| text.is_char_boundary(*at));
    match at.and_then(|at| text.get(at..)) {
        Some(end) if cut > 0 => format!("…{end}"),
        Some(end) => end.to_owned(),
        None => String::new(),
    }
}

fn sandbox_error(error: SandboxError) -> PortError {
    if error.is_transient() {
        PortError::unavailable("the sandbox", error)
    } else {
        PortError::broken("the sandbox", error)
    }
}

/// Removes a folder that product code has written to, as far as that is possible: it may have taken our
/// own rights to it away.
pub(crate) fn discard(folder: &Path) {
    if fs::remove_dir_all(folder).is_ok() {
        return;
    }
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        let _ = fs::set_permissions(&at, fs::Permissions::from_mode(0o700));
        for entry in fs::read_dir(&at).into_iter().flatten().flatten() {
            // Not followed: a link is not a folder here.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
            }
        }
    }
    if let Err(error) = fs::remove_dir_all(folder) {
        tracing::warn!(folder = %folder.display(), %error, "could not remove a work folder");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(status: Exit, stderr: &str) -> Finished {
        Finished {
            status,
            stdout: b"out".to_vec(),
            stdout_truncated: false,
            stderr: stderr.as_bytes().to_vec(),
            stderr_truncated: false,
            wall: Duration::from_secs(7),
            cpu: None,
            breach: None,
        }
    }

    #[test]
    fn a_detail_is_short_readable_and_shows_the_end() {
        let long = format!("{}é\u{1b}[31mthe end", "é".repeat(5_000));
        let detail = explain(&finished(Exit::Code(1), &long));
        assert!(detail.len() <= DETAIL_BYTES_MAX, "{}", detail.len());
        assert!(detail.starts_with("ended with code 1\n…é"), "{detail}");
        assert!(detail.ends_with("é[31mthe end"), "{detail}");
    }

    #[test]
    fn each_end_has_its_words() {
        assert_eq!(
            explain(&finished(Exit::TimedOut, "")),
            "did not end within 7 seconds\nout"
        );
        assert_eq!(
            explain(&finished(Exit::Signal(9), "x")),
            "was ended by signal 9\nx"
        );
        let mut breach = finished(Exit::Signal(9), "x");
        breach.breach = Some(Breach::Processes);
        assert_eq!(explain(&breach), "started more processes than it may\nx");
    }

    #[test]
    fn a_folder_without_rights_is_removed_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        fs::create_dir_all(path.join("a/b")).unwrap();
        fs::set_permissions(path.join("a"), fs::Permissions::from_mode(0o000)).unwrap();
        discard(&path);
        assert!(!path.exists());
    }
}
