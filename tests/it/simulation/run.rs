//! One run: the scheduler of a seed, and the trace of what it did.

use super::fleet::Fleet;
use super::mirror::{Check, Mirror, Violation};
use super::observed::Sabotage;
use super::people::People;
use super::random::Random;
use super::rest;
use super::served::Watcher;
use super::world::{Ended, Process, World, at_once};
use kintsugi_app::ingest::Done as Ingested;
use kintsugi_domain::digest::Digest;
use kintsugi_domain::envelope::Queue;
use kintsugi_domain::id::EventId;
use kintsugi_domain::ports::Queues as _;
use semver::Version;
use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::time::Duration;

/// Lines of the trace that a failure shows.
const LINES_SHOWN: usize = 30;
/// Processes that live at once.
const PROCESSES_MAX: usize = 3;

/// A run that broke a rule.
#[derive(Debug)]
pub(super) struct Failure {
    seed: u64,
    step: usize,
    pub(super) violation: Violation,
    lines: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation { invariant, detail } = &self.violation;
        writeln!(f, "seed {}, step {}: {invariant}", self.seed, self.step)?;
        writeln!(f, "{detail}")?;
        writeln!(f, "the last {} lines of the trace:", self.lines.len())?;
        for line in &self.lines {
            writeln!(f, "  {line}")?;
        }
        write!(
            f,
            "again: KINTSUGI_SEED={} cargo nextest run -p kintsugi-tests one_seed --no-capture",
            self.seed
        )
    }
}

/// What a run was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Summary {
    /// The digest of the whole trace.
    pub(super) digest: Digest,
    /// How often what came about: so that the tests can see that the runs are not empty.
    pub(super) counts: [usize; 6],
}

/// A run under way.
pub(super) struct Run {
    pub(super) world: World,
    pub(super) random: Random,
    pub(super) mirror: Mirror,
    pub(super) watcher: Watcher,
    pub(super) fleet: Fleet,
    pub(super) people: People,
    /// Events of requests that were answered with an acceptance.
    pub(super) accepted: BTreeSet<EventId>,
    processes: Vec<Process>,
    step: usize,
    shown: bool,
    lines: VecDeque<String>,
    digest: Digest,
}

/// Runs a seed to its end.
pub(super) fn run(seed: u64, sabotage: Sabotage, shown: bool) -> Result<Summary, Failure> {
    let mut random = Random::new(seed);
    let mut run = Run {
        world: World::new(seed, sabotage),
        mirror: Mirror::default(),
        watcher: Watcher::default(),
        fleet: Fleet::new(&mut random),
        people: People::new(seed, &mut random),
        random,
        accepted: BTreeSet::new(),
        processes: Vec::new(),
        step: 0,
        shown,
        lines: VecDeque::new(),
        digest: Digest::of(&seed.to_be_bytes()),
    };
    match run.go() {
        Ok(()) => Ok(run.summary()),
        Err(violation) => Err(Failure {
            seed,
            step: run.step,
            violation,
            lines: run.lines.into(),
        }),
    }
}

impl Run {
    fn go(&mut self) -> Check {
        let steps = self.random.between(250, 750);
        for _ in 0..steps {
            self.step += 1;
            self.act()?;
            self.look()?;
        }
        self.tell("the faults stop");
        for process in std::mem::take(&mut self.processes) {
            // Half of them die where they are, the others come to their end.
            if self.random.chance(50) {
                self.end(process)?;
            }
        }
        self.look()?;
        rest::settle(self)
    }

    /// Writes a line of the trace.
    pub(super) fn tell(&mut self, line: impl Into<String>) {
        let line = format!("{} {}", self.step, line.into());
        self.digest = Digest::of_parts(&[self.digest.as_bytes(), line.as_bytes()]);
        if self.shown {
            #[expect(clippy::print_stderr, reason = "a replay is read by a person")]
            {
                eprintln!("{line}");
            }
        }
        if self.lines.len() == LINES_SHOWN {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// Takes over what was committed, and checks it.
    pub(super) fn look(&mut self) -> Check {
        for commit in self.world.store.take() {
            for line in self.mirror.see(&commit)? {
                self.tell(line);
            }
            self.watcher.look(&self.world, &self.mirror)?;
        }
        Ok(())
    }

    /// One step of the scheduler.
    fn act(&mut self) -> Check {
        match self.random.below(100) {
            0..40 => self.go_on(),
            40..62 => self.start(),
            62..66 => {
                self.kill();
                Ok(())
            }
            66..71 => {
                self.advance();
                Ok(())
            }
            71..75 => {
                self.duplicate();
                Ok(())
            }
            75..88 => {
                let line = self
                    .fleet
                    .act(&self.world, &mut self.watcher, &mut self.random)?;
                self.tell(line);
                Ok(())
            }
            88..90 => {
                let line = self.fleet.arrive(&self.world, &mut self.random);
                self.tell(line);
                Ok(())
            }
            90..96 => {
                let line = self.people.act(&self.world, &self.mirror, &mut self.random);
                self.tell(line);
                Ok(())
            }
            _ => {
                // Readers died: what they held is shown at once.
                self.world.queues.release_leases();
                self.tell("leases end");
                Ok(())
            }
        }
    }

    /// Some process goes on by a few effects.
    fn go_on(&mut self) -> Check {
        if self.processes.is_empty() {
            return self.start();
        }
        let place = self.random.below(self.processes.len());
        for _ in 0..self.random.between(1, 40) {
            let Some(process) = self.processes.get_mut(place) else {
                break;
            };
            if let Some(ended) = process.poll() {
                let process = self.processes.swap_remove(place);
                return self.ended(&process.label, &ended);
            }
        }
        Ok(())
    }

    /// A process begins; some will end before their end.
    fn start(&mut self) -> Check {
        if self.processes.len() >= PROCESSES_MAX {
            return self.go_on();
        }
        let process = match self.random.below(20) {
            0 | 1 => self.world.tick(),
            2 | 3 => self.report(),
            _ => {
                let waiting: Vec<Queue> = Queue::ALL
                    .into_iter()
                    .filter(|queue| at_once(self.world.queues.depth(*queue)).unwrap() > 0)
                    .collect();
                let Some(queue) = self.random.pick(&waiting).copied() else {
                    return Ok(());
                };
                let max = self.random.between(1, 3);
                self.world.drain(queue, max)
            }
        };
        let n = u64::try_from(self.random.between(1, 30)).unwrap_or(1);
        let fate = match self.random.below(20) {
            0 | 1 => {
                process.faults.crash_before(n);
                format!(", will die before effect {n}")
            }
            2 | 3 => {
                process.faults.crash_after(n);
                format!(", will die after effect {n}")
            }
            4 => {
                process.faults.fail(n);
                format!(", effect {n} will fail")
            }
            _ => String::new(),
        };
        self.tell(format!("{} begins{fate}", process.label));
        self.processes.push(process);
        Ok(())
    }

    fn report(&mut self) -> Process {
        let versions: Vec<Version> = self
            .fleet
            .devices
            .iter()
            .map(|device| device.version.clone())
            .filter(|version| version.major > 0)
            .collect();
        let (body, events) =
            self.people
                .report(&self.world, &self.mirror, &versions, &mut self.random);
        self.world.ingest(body, events)
    }

    /// Some process dies between two effects.
    fn kill(&mut self) {
        if !self.processes.is_empty() {
            let place = self.random.below(self.processes.len());
            let process = self.processes.swap_remove(place);
            let line = format!(
                "{} dies after {} effects",
                process.label,
                process.faults.effects()
            );
            self.tell(line);
        }
    }

    fn advance(&mut self) {
        const SECONDS: [u64; 9] = [1, 5, 60, 200, 700, 1_000, 4_000, 10_000, 50_000];
        let seconds = self.random.pick(&SECONDS).copied().unwrap_or(1);
        self.pass(seconds);
    }

    /// Time passes.
    pub(super) fn pass(&mut self, seconds: u64) {
        self.world.clock.advance(Duration::from_secs(seconds));
        self.tell(format!("{seconds} s pass, it is {}", self.world.now()));
    }

    fn duplicate(&mut self) {
        if let Some(envelope) = self.random.pick(&self.mirror.messages) {
            let line = format!("a second {} on {}", envelope.id, envelope.queue());
            self.world.queues.duplicate(envelope);
            self.tell(line);
        }
    }

    /// A process goes on to its end, and what it did is checked.
    pub(super) fn end(&mut self, process: Process) -> Check {
        let label = process.label.clone();
        let ended = process.finish();
        self.ended(&label, &ended)?;
        self.look()
    }

    fn ended(&mut self, label: &str, ended: &Ended) -> Check {
        match ended {
            Ended::Worked(result) => self.tell(format!("{label} ends: {result:?}")),
            Ended::Reported(events, result) => {
                if let Ok(Ingested::Accepted { .. }) = result {
                    self.accepted.extend(events.iter().cloned());
                }
                self.tell(format!("{label} ends: {result:?}"));
            }
        }
        self.check_parked()
    }

    /// Only what failed for a time may be set aside; people send it again.
    fn check_parked(&self) -> Check {
        for queue in Queue::ALL {
            let parked = at_once(self.world.queues.parked(queue)).unwrap();
            for message in parked {
                let passes = message.cause.contains("crash") || message.cause.contains("this once");
                super::mirror::must(
                    passes || message.cause.ends_with("changed meanwhile"),
                    "nothing is set aside that trying again cannot mend",
                    || format!("{}: {:?}", message.cause, message.envelope),
                )?;
            }
        }
        Ok(())
    }

    fn summary(&self) -> Summary {
        Summary {
            digest: self.digest,
            counts: [
                self.mirror.filed.len(),
                self.mirror.fixes.len(),
                self.mirror.releases.len(),
                self.mirror.outcomes.len(),
                self.watcher.documents.len(),
                self.mirror.alerts.len(),
            ],
        }
    }
}
