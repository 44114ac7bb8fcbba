//! Starts a furnished room, feeds and reads it, and ends it in time.
//!
//! **One thread starts, watches and buries a box.** The kernel ties "die with the parent" to the
//! thread that started a child, and the system call filters must cover that thread and no other.
//! Not here: what the room looks like (`room`).

use std::io::{self, Read, Write};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use hakoniwa::{Child, Command, ExitStatus};
use rustix::process::{Pid, Signal, kill_process};
use seccompiler::BpfProgram;

use crate::census::{Census, Count};
use crate::room::{self, OWN_PROCESSES, READY};
use crate::{Breach, Exit, Finished, Job, Limits, SandboxError, syscalls};

/// How often the whole box is counted. A limit of the whole box can be overrun for this long.
const CENSUS_PERIOD: Duration = Duration::from_millis(25);
/// How many counts in a row may fail before the box counts as unwatched and is killed.
const CENSUS_FAILURES_MAX: u32 = 3;
/// How much later than the supervisor the monitor would end a box.
const ALARM_AFTER: Duration = Duration::from_secs(5);
/// How long the monitor may take to end a box when asked.
const ANSWER_MAX: Duration = Duration::from_secs(5);
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
    // A second alarm clock, in the monitor: it also rings when this process is stopped. It is what
    // makes the monitor listen to `stop`, too.
    command.wait_timeout(job.limits.wall.saturating_add(ALARM_AFTER).as_secs());
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

/// Why the watching came to an end.
#[derive(Clone, Copy)]
enum Cause {
    Itself,
    Time,
    Breach(Breach),
}

type Ended = (Cause, Option<Box<ExitStatus>>);

/// Watches until the box is gone, and tells why and, where it is known, how.
fn supervise(mut child: Boxed, limits: &Limits, started: Instant) -> Result<Ended, SandboxError> {
    let mut watch = Watch::new(child.0.id());
    let mut pause = PAUSE_MIN;
    loop {
        if let Some(status) = child.status()? {
            return Ok((Cause::Itself, Some(status)));
        }
        let elapsed = started.elapsed();
        let cause = if elapsed >= limits.wall {
            Some(Cause::Time)
        } else {
            watch.look(elapsed, limits)?.map(Cause::Breach)
        };
        if let Some(cause) = cause {
            return Ok((cause, stop(child, &watch)?));
        }
        thread::sleep(pause.min(limits.wall.saturating_sub(elapsed)));
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Ends a box now. The monitor is asked first, because it waits for the last process to be gone
/// and knows the processor time; if it does not answer, it is killed, and the box dies with it.
fn stop(mut child: Boxed, watch: &Watch) -> Result<Option<Box<ExitStatus>>, SandboxError> {
    let asked = now();
    if let Some(monitor) = i32::try_from(child.0.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process(monitor, Signal::ALARM);
    }
    while asked.elapsed() < ANSWER_MAX {
        match child.status() {
            Ok(Some(status)) => return Ok(Some(status)),
            Ok(None) => thread::sleep(PAUSE_MIN),
            Err(_) => break,
        }
    }
    drop(child);
    watch.bury()?;
    Ok(None)
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
            .running
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
    let (cause, report) = ended;
    let (status, breach) = match (cause, &report) {
        (Cause::Time, _) => (Exit::TimedOut, None),
        (Cause::Breach(breach), _) => (Exit::Signal(SIGKILL), Some(breach)),
        (Cause::Itself, Some(report)) if was_ready => (exit(report), None),
        (Cause::Itself, report) => {
            let reason = report.as_ref().map_or("", |it| it.reason.as_str());
            let words = String::from_utf8_lossy(&errors.bytes);
            return Err(SandboxError::set_up(format!("{reason} {}", words.trim())));
        }
    };
    Ok(Finished {
        status,
        stdout: output.bytes,
        stdout_truncated: output.truncated,
        stderr: errors.bytes,
        stderr_truncated: errors.truncated,
        wall: started.elapsed(),
        cpu: report
            .and_then(|it| it.rusage)
            .map(|it| it.user_time + it.system_time),
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

impl Boxed {
    fn status(&mut self) -> Result<Option<Box<ExitStatus>>, SandboxError> {
        let status = self.0.try_wait();
        status
            .map(|it| it.map(Box::new))
            .map_err(|error| SandboxError::set_up(error.to_string()))
    }
}

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
