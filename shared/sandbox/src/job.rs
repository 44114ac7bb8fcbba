//! The values that go into a box and come out of it.
//!
//! Not here: how they are enforced (`room`, `syscalls`, `supervise`).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::SandboxError;

/// One program to run in a box of its own.
#[derive(Clone, Debug)]
pub struct Job {
    /// The program and its arguments. A bare name is looked up along the `PATH` in `env`.
    pub argv: Vec<String>,
    /// The one host folder the job may write: it is `/w` inside, and the current folder.
    pub workdir: PathBuf,
    /// Further host folders or files, visible read-only at the same path.
    pub read_only: Vec<PathBuf>,
    /// The environment. Nothing is inherited; the box adds only `PWD`.
    pub env: BTreeMap<String, String>,
    /// What the job may use up.
    pub limits: Limits,
    /// Bytes for its standard input, which ends after them.
    pub stdin: Vec<u8>,
}

impl Job {
    /// A job with nothing but a command and a folder: no extra paths, no environment, no input,
    /// the default limits.
    pub fn new<S: Into<String>>(
        argv: impl IntoIterator<Item = S>,
        workdir: impl Into<PathBuf>,
    ) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            workdir: workdir.into(),
            read_only: Vec::new(),
            env: BTreeMap::new(),
            limits: Limits::default(),
            stdin: Vec::new(),
        }
    }

    /// Refuses what could not be carried into the box exactly as written.
    pub(crate) fn check(&self) -> Result<(), SandboxError> {
        if self.argv.first().is_none_or(String::is_empty) {
            return Err(SandboxError::bad_job("the command is empty"));
        }
        if self
            .argv
            .iter()
            .chain(self.env.values())
            .any(|text| text.contains('\0'))
        {
            return Err(SandboxError::bad_job(
                "an argument or variable holds a NUL byte",
            ));
        }
        // The shell that starts the program drops variables it could not name itself.
        if let Some(name) = self.env.keys().find(|name| !is_variable_name(name)) {
            return Err(SandboxError::bad_job(format!(
                "{name:?} cannot name a variable"
            )));
        }
        let limits = &self.limits;
        if limits.wall.is_zero()
            || [
                limits.cpu_seconds,
                limits.memory_bytes,
                limits.processes,
                limits.open_files,
            ]
            .contains(&0)
        {
            return Err(SandboxError::bad_job("a limit of zero lets nothing run"));
        }
        Ok(())
    }
}

fn is_variable_name(name: &str) -> bool {
    let mut letters = name.chars();
    letters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

/// What one job may use up. The module docs of the crate say how firmly each of these holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Real time from start to end, set-up included; then everything in the box is killed.
    pub wall: Duration,
    /// Processor time of each single process, in seconds; then it gets `SIGXCPU`.
    pub cpu_seconds: u64,
    /// Address space of each single process, in bytes, and private memory of the whole box.
    pub memory_bytes: u64,
    /// Size of each single file the job writes, in bytes.
    pub file_bytes: u64,
    /// Processes and threads of the whole box at one time.
    pub processes: u64,
    /// Open files of each single process.
    pub open_files: u64,
    /// How much of each of the two output streams is kept, in bytes; the rest is read and dropped.
    pub output_bytes: usize,
}

impl Default for Limits {
    /// A test suite of moderate size: a minute, 2 GiB, 64 MiB files, 128 processes.
    fn default() -> Self {
        Self {
            wall: Duration::from_mins(1),
            cpu_seconds: 60,
            memory_bytes: 2 << 30,
            file_bytes: 64 << 20,
            processes: 128,
            open_files: 512,
            output_bytes: 1 << 20,
        }
    }
}

/// What became of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// How the program ended.
    pub status: Exit,
    /// The first bytes it wrote to standard output.
    pub stdout: Vec<u8>,
    /// Whether there was more output than `stdout` holds.
    pub stdout_truncated: bool,
    /// The first bytes it wrote to standard error.
    pub stderr: Vec<u8>,
    /// Whether there was more output than `stderr` holds.
    pub stderr_truncated: bool,
    /// Real time it took, set-up included.
    pub wall: Duration,
    /// Processor time of its processes; too low, or unknown, when the box had to be killed.
    pub cpu: Option<Duration>,
    /// Why the supervisor killed the box, other than for time. Then `status` is `Signal(9)`.
    pub breach: Option<Breach>,
}

impl Finished {
    /// Whether the program ended by itself with code zero.
    pub fn success(&self) -> bool {
        self.status == Exit::Code(0)
    }
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code. 127: no such program; 126: it cannot be executed.
    Code(i32),
    /// By this signal. Codes 129 to 192 are read as signals 1 to 64, as a shell does.
    Signal(i32),
    /// At its wall limit; it and everything it started are gone.
    TimedOut,
}

/// A limit of the whole box, for which the supervisor kills all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breach {
    /// More processes and threads than allowed. Only a caller who is root gets here: for all
    /// others the kernel refuses the process itself.
    Processes,
    /// More private memory in all its processes together than allowed.
    Memory,
}
