//! Starts a furnished room, feeds and reads it, and ends it in time.
//!
//! **One thread starts, watches and buries a box.** The kernel ties "die with the parent" to the
//! thread that started a child, and the system call filters must cover that thread and no other.
//! Not here: what the room looks like (`room`).

use std::io::{self, Read, Write};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use hakoniwa::{Child, Command, ExitStatus};
use seccompiler::BpfProgram;

use crate::census::{Census, Count};
use crate::room::{self, OWN_PROCESSES, READY};
use crate::{Breach, Exit, Finished, Job, Limits, SandboxError, syscalls};

/// How often the whole box is counted. A limit of the whole box can be overrun for this long.
const CENSUS_PERIOD: Duration = Duration::from_millis(25);
/// How many counts in a row may fail before the box counts as unwatched and is killed.
const CENSUS_FAILURES_MAX: u32 = 3;
/// How long the killed processes of a box may take to be gone.
const BURIAL_MAX: Duration = Duration::from_secs(5);
const PAUSE_MIN: Duration = Duration::from_micros(500);
const PAUSE_MAX: Duration = Duration::from_millis(10);
const SIGNALS_MAX: i32 = 64;
const SIGKILL: i32 = 9;

/// Runs `job` in a room of its own and waits until nothing of it is left.
pub(crate) fn run(job: &Job, landlock: bool) -> Result<Finished, SandboxError> {
    job.check()?;
    let command = room::furnish(job, landlock)?;
    let filters = syscalls::filters()?;
    thread::scope(|scope| {
        thread::Builder::new()
            .name("sandbox".into())
            .spawn_scoped(scope, || start(job, command, &filters))
            .map_err(SandboxError::io("could not start the supervising thread"))?
            .join()
            .map_err(|_| SandboxError::set_up("the supervising thread panicked"))?
    })
}

fn start(
    job: &Job,
    mut command: Command,
    filters: &[BpfProgram],
) -> Result<Finished, SandboxError> {
    syscalls::confine(filters)?;
    let started = now();
    let child = Boxed(
        command
            .spawn()
            .map_err(|error| SandboxError::set_up(error.to_string()))?,
    );
    attend(job, child, started)
}

/// Reads and writes while the box runs, so that neither side waits for a full pipe.
fn attend(job: &Job, mut child: Boxed, started: Instant) -> Result<Finished, SandboxError> {
    let input = child.0.stdin.take();
    let (output, errors) = (child.0.stdout.take(), child.0.stderr.take());
    let keep = job.limits.output_bytes;
    // The child is moved in, so that on every way out it dies before the threads are waited for.
    thread::scope(move |scope| {
        // A program need not read its input to the end: a broken pipe is no failure.
        scope.spawn(move || input.map(|mut pipe| pipe.write_all(&job.stdin)));
        let output = scope.spawn(move || keep_first(output, keep.saturating_add(1)));
        let errors = scope.spawn(move || keep_first(errors, keep));
        let ended = supervise(child, &job.limits, started)?;
        finish(ended, collect(output)?, collect(errors)?, started)
    })
}

fn collect(reader: ScopedJoinHandle<'_, io::Result<Kept>>) -> Result<Kept, SandboxError> {
    reader
        .join()
        .map_err(|_| SandboxError::set_up("an output reader panicked"))?
        .map_err(SandboxError::io("could not read the output"))
}

/// How the watching came to an end.
enum Ended {
    ByItself(Box<ExitStatus>),
    InTime,
    For(Breach),
}

fn supervise(mut child: Boxed, limits: &Limits, started: Instant) -> Result<Ended, SandboxError> {
    let mut watch = Watch::new(child.0.id());
    let mut pause = PAUSE_MIN;
    loop {
        if let Some(status) = child
            .0
            .try_wait()
            .map_err(|error| SandboxError::set_up(error.to_string()))?
        {
            return Ok(Ended::ByItself(Box::new(status)));
        }
        let elapsed = started.elapsed();
        let ended = if elapsed >= limits.wall {
            Some(Ended::InTime)
        } else {
            watch.look(elapsed, limits)?.map(Ended::For)
        };
        if let Some(ended) = ended {
            drop(child);
            watch.bury()?;
            return Ok(ended);
        }
        thread::sleep(pause.min(limits.wall.saturating_sub(elapsed)));
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Looks at the whole box from time to time.
struct Watch {
    monitor: u32,
    census: Option<Census>,
    next: Duration,
    failures: u32,
}

impl Watch {
    fn new(monitor: u32) -> Self {
        Self {
            monitor,
            census: None,
            next: Duration::ZERO,
            failures: 0,
        }
    }

    fn look(&mut self, elapsed: Duration, limits: &Limits) -> Result<Option<Breach>, SandboxError> {
        if elapsed < self.next {
            return Ok(None);
        }
        self.next = elapsed + CENSUS_PERIOD;
        match self.count() {
            Ok(count) => {
                self.failures = 0;
                Ok(breach(count, limits))
            }
            // A box that is just ending cannot be counted; one that keeps hiding is not left alone.
            Err(_) if self.failures < CENSUS_FAILURES_MAX => {
                self.failures += 1;
                Ok(None)
            }
            Err(error) => Err(SandboxError::io("could not watch the box")(error)),
        }
    }

    fn count(&mut self) -> io::Result<Count> {
        let census = match self.census.take() {
            Some(census) => census,
            None => Census::of_child_of(self.monitor)?,
        };
        self.census.insert(census).count()
    }

    /// Waits until the killed processes are gone: the kernel ends them soon, but not at once.
    fn bury(&self) -> Result<(), SandboxError> {
        let Some(census) = &self.census else {
            return Ok(());
        };
        let killed = now();
        while census
            .count()
            .map_err(SandboxError::io("could not watch the box"))?
            .tasks
            > 0
        {
            if killed.elapsed() > BURIAL_MAX {
                return Err(SandboxError::set_up("killed processes of a box do not end"));
            }
            thread::sleep(PAUSE_MIN);
        }
        Ok(())
    }
}

fn breach(count: Count, limits: &Limits) -> Option<Breach> {
    if count.tasks > limits.processes.saturating_add(OWN_PROCESSES) {
        Some(Breach::Processes)
    } else if count.memory_bytes > limits.memory_bytes {
        Some(Breach::Memory)
    } else {
        None
    }
}

fn finish(
    ended: Ended,
    mut output: Kept,
    errors: Kept,
    started: Instant,
) -> Result<Finished, SandboxError> {
    let was_ready = output.bytes.first() == Some(&READY);
    if was_ready {
        output.bytes.remove(0);
    }
    let (status, cpu, breach) = match ended {
        Ended::InTime => (Exit::TimedOut, None, None),
        Ended::For(breach) => (Exit::Signal(SIGKILL), None, Some(breach)),
        Ended::ByItself(status) if was_ready => (
            exit(&status),
            status.rusage.map(|it| it.user_time + it.system_time),
            None,
        ),
        Ended::ByItself(status) => {
            let words = String::from_utf8_lossy(&errors.bytes);
            return Err(SandboxError::set_up(format!(
                "{} {}",
                status.reason,
                words.trim()
            )));
        }
    };
    Ok(Finished {
        status,
        stdout: output.bytes,
        stdout_truncated: output.truncated,
        stderr: errors.bytes,
        stderr_truncated: errors.truncated,
        wall: started.elapsed(),
        cpu,
        breach,
    })
}

/// The shell inside reports a signal of its child as 128 and the number.
fn exit(status: &ExitStatus) -> Exit {
    match status.code - 128 {
        signal @ 1..=SIGNALS_MAX => Exit::Signal(signal),
        _ => Exit::Code(status.code),
    }
}

/// A running box that does not outlive its handle.
struct Boxed(Child);

impl Drop for Boxed {
    /// Killing the process that holds the box ends everyone inside: they die with it.
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    truncated: bool,
}

/// Keeps the first `limit` bytes and reads on to the end, so that the writer never waits.
fn keep_first(pipe: Option<impl Read>, limit: usize) -> io::Result<Kept> {
    let mut kept = Kept::default();
    let Some(mut pipe) = pipe else {
        return Ok(kept);
    };
    let first = u64::try_from(limit).unwrap_or(u64::MAX);
    pipe.by_ref().take(first).read_to_end(&mut kept.bytes)?;
    kept.truncated = io::copy(&mut pipe, &mut io::sink())? > 0;
    Ok(kept)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a wall limit needs the machine's own clock"
)]
fn now() -> Instant {
    Instant::now()
}
