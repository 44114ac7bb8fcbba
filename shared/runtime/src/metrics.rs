//! What each invocation came to, in CloudWatch's
//! [embedded metric format](https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html):
//! one JSON line on standard output, from which CloudWatch makes metrics. No call, no agent.
//!
//! | Metric | Unit | Meaning |
//! |---|---|---|
//! | `Handled` | count | messages, ticks or requests that were answered |
//! | `Retried` | count | messages that went back and may work the next time |
//! | `Parked` | count | messages that were set aside with their cause, and what came in place of a message; also summed over the home |
//! | `Failed` | count | messages that could not even be set aside, ticks that failed, requests answered with 5xx |
//! | `Duration` | milliseconds | the invocation, with the relay of the outbox |
//! | `ColdStart` | count | 1 on the first invocation of a process |
//!
//! Namespace `Kintsugi`, dimensions `Home` and `Stage`; `Parked` also under `Home` alone, for one alarm. **Invariant: nothing about persons, projects or contents**: a
//! dimension is a bill for each of its values. For the same reason a count of zero is not written.
//!
//! Not here: what CloudWatch counts by itself (invocations, throttles, depth and age of queues), logs.

use kintsugi_domain::Timestamp;
use kintsugi_domain::ports::Clock;
use serde_json::{Map, Value, json};
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What one invocation came to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) handled: u64,
    pub(crate) retried: u64,
    pub(crate) parked: u64,
    pub(crate) failed: u64,
}

impl Counts {
    /// One thing was done, or failed.
    pub(crate) fn one(is_handled: bool) -> Self {
        Self {
            handled: u64::from(is_handled),
            failed: u64::from(!is_handled),
            ..Self::default()
        }
    }
}

/// Most requests that one line tells of: the format takes 100 values of a metric.
const GATHERED_MAX: usize = 100;
/// The longest that the first of them waits for the next request to bring its line out, milliseconds.
const GATHERED_MS: i64 = 60_000;

/// Measures the invocations of a process.
///
/// Requests that were answered are gathered and written by the hundred: a line of their own would cost as much as the rest of
/// an update check (`docs/cost.md`). What Lambda ends a process with is lost, a minute of metrics at most, never a failure.
pub(crate) struct Meter {
    home: String,
    stage: &'static str,
    clock: Arc<dyn Clock>,
    is_cold: AtomicBool,
    gathered: Mutex<Gathered>,
}

/// What no line has told yet.
#[derive(Default)]
struct Gathered {
    since_ms: i64,
    counts: Counts,
    is_cold: bool,
    durations: Vec<u64>,
}

/// An invocation under way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begun {
    at: Timestamp,
    is_cold: bool,
}

impl Meter {
    /// A meter for a process that has done nothing yet.
    pub(crate) fn new(home: &str, stage: &'static str, clock: Arc<dyn Clock>) -> Self {
        Self {
            home: home.to_owned(),
            stage,
            clock,
            is_cold: AtomicBool::new(true),
            gathered: Mutex::default(),
        }
    }

    /// An invocation begins.
    pub(crate) fn begin(&self) -> Begun {
        Begun {
            at: self.clock.now(),
            is_cold: self.is_cold.swap(false, Ordering::Relaxed),
        }
    }

    /// It ends: its line is written, with what was gathered. A full pipe loses the line and nothing else.
    pub(crate) fn end(&self, begun: Begun, counts: Counts) {
        let now = self.clock.now().as_millisecond();
        write(&self.ended(begun, counts, now));
    }

    /// A request ends: its line is written when it failed, was the first, or enough were gathered.
    pub(crate) fn end_request(&self, begun: Begun, counts: Counts) {
        if let Some(line) = self.request_ended(begun, counts) {
            write(&line);
        }
    }

    fn request_ended(&self, begun: Begun, counts: Counts) -> Option<Value> {
        let now = self.clock.now().as_millisecond();
        if counts.failed > 0 || begun.is_cold {
            return Some(self.ended(begun, counts, now));
        }
        let mut gathered = self.gather(begun, counts, now);
        let is_due = gathered.durations.len() >= GATHERED_MAX
            || now.saturating_sub(gathered.since_ms) >= GATHERED_MS;
        is_due.then(|| self.line(std::mem::take(&mut *gathered), now))
    }

    fn ended(&self, begun: Begun, counts: Counts, now: i64) -> Value {
        let gathered = std::mem::take(&mut *self.gather(begun, counts, now));
        self.line(gathered, now)
    }

    fn gather(&self, begun: Begun, counts: Counts, now: i64) -> MutexGuard<'_, Gathered> {
        // Nothing in here can be left half done by a panic.
        let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        let began = begun.at.as_millisecond();
        if gathered.durations.is_empty() {
            gathered.since_ms = began;
        }
        gathered.counts.handled += counts.handled;
        gathered.counts.retried += counts.retried;
        gathered.counts.parked += counts.parked;
        gathered.counts.failed += counts.failed;
        gathered.is_cold |= begun.is_cold;
        let took = u64::try_from(now.saturating_sub(began)).unwrap_or(0);
        gathered.durations.push(took);
        gathered
    }

    fn line(&self, gathered: Gathered, now: i64) -> Value {
        let Gathered {
            counts,
            is_cold,
            durations,
            since_ms: _,
        } = gathered;
        let all = [
            ("Handled", counts.handled),
            ("Retried", counts.retried),
            ("Parked", counts.parked),
            ("Failed", counts.failed),
            ("ColdStart", u64::from(is_cold)),
        ];
        let counted = all.into_iter().filter(|(_, value)| *value > 0);
        let written: Vec<_> = counted
            .map(|(name, value)| (name, "Count", json!(value)))
            .chain([("Duration", "Milliseconds", one_or_all(&durations))])
            .collect();
        let metrics: Vec<Value> = written
            .iter()
            .map(|(name, unit, _)| json!({"Name": name, "Unit": unit}))
            .collect();
        let mut directives = vec![directive(&json!(["Home", "Stage"]), &metrics)];
        if counts.parked > 0 {
            let parked = [json!({"Name": "Parked", "Unit": "Count"})];
            directives.push(directive(&json!(["Home"]), &parked));
        }
        let mut line = Map::new();
        line.insert(
            "_aws".into(),
            json!({"Timestamp": now, "CloudWatchMetrics": directives}),
        );
        line.insert("Home".into(), json!(self.home));
        line.insert("Stage".into(), json!(self.stage));
        for (name, _, value) in written {
            line.insert(name.into(), value);
        }
        Value::Object(line)
    }
}

/// Which metrics CloudWatch makes of a line, under which dimensions.
fn directive(dimensions: &Value, metrics: &[Value]) -> Value {
    json!({"Namespace": "Kintsugi", "Dimensions": [dimensions], "Metrics": metrics})
}

fn one_or_all(values: &[u64]) -> Value {
    match values {
        [one] => json!(one),
        all => json!(all),
    }
}

fn write(line: &Value) {
    let line = format!("{line}\n");
    let _ = std::io::stdout().lock().write_all(line.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicI64;

    /// A clock that goes on by 40 ms each time it is asked.
    #[derive(Default)]
    struct Steps(AtomicI64);

    impl Clock for Steps {
        fn now(&self) -> Timestamp {
            let ms = self.0.fetch_add(40, Ordering::Relaxed);
            Timestamp::from_millisecond(1_795_233_600_000 + ms).unwrap()
        }
    }

    fn ended(meter: &Meter, counts: Counts) -> Value {
        let begun = meter.begin();
        meter.ended(begun, counts, meter.clock.now().as_millisecond())
    }

    #[test]
    fn answered_requests_share_a_line_and_a_failure_brings_it_out() {
        let meter = Meter::new("prod", "manifest", Arc::new(Steps::default()));
        let request = |is_answered| meter.request_ended(meter.begin(), Counts::one(is_answered));
        // The first is a cold start, which is told at once.
        assert_eq!(request(true).unwrap()["ColdStart"], json!(1));
        assert!((1..GATHERED_MAX).all(|_| request(true).is_none()));
        let line = request(true).unwrap();
        assert_eq!(line["Handled"], json!(GATHERED_MAX));
        assert_eq!(line["Duration"], json!(vec![40; GATHERED_MAX]));
        assert_eq!(line.get("ColdStart"), None);
        assert!(request(true).is_none());
        let line = request(false).unwrap();
        assert_eq!((&line["Handled"], &line["Failed"]), (&json!(1), &json!(1)));
        assert_eq!(line["Duration"], json!([40, 40]));
    }

    #[test]
    fn answered_requests_do_not_wait_for_long() {
        let clock = Arc::new(Steps::default());
        let meter = Meter::new("prod", "manifest", clock.clone());
        let request = || meter.request_ended(meter.begin(), Counts::one(true));
        assert!(request().is_some());
        assert!(request().is_none());
        clock.0.fetch_add(GATHERED_MS, Ordering::Relaxed);
        assert_eq!(request().unwrap()["Handled"], json!(2));
    }

    #[test]
    fn the_line_has_the_form_that_cloudwatch_reads() {
        let meter = Meter::new("prod", "triage", Arc::new(Steps::default()));
        let counts = Counts {
            handled: 8,
            retried: 1,
            ..Counts::default()
        };
        assert_eq!(
            ended(&meter, counts),
            json!({
                "_aws": {
                    "Timestamp": 1_795_233_600_040_i64,
                    "CloudWatchMetrics": [{
                        "Namespace": "Kintsugi",
                        "Dimensions": [["Home", "Stage"]],
                        "Metrics": [
                            {"Name": "Handled", "Unit": "Count"},
                            {"Name": "Retried", "Unit": "Count"},
                            {"Name": "ColdStart", "Unit": "Count"},
                            {"Name": "Duration", "Unit": "Milliseconds"},
                        ],
                    }],
                },
                "Home": "prod",
                "Stage": "triage",
                "Handled": 8,
                "Retried": 1,
                "ColdStart": 1,
                "Duration": 40,
            })
        );
    }

    #[test]
    fn what_was_parked_is_also_counted_for_the_whole_home() {
        let meter = Meter::new("prod", "triage", Arc::new(Steps::default()));
        let counts = Counts {
            parked: 2,
            ..Counts::default()
        };
        let line = ended(&meter, counts);
        assert_eq!(line["Parked"], 2);
        assert_eq!(
            line["_aws"]["CloudWatchMetrics"][1],
            json!({
                "Namespace": "Kintsugi",
                "Dimensions": [["Home"]],
                "Metrics": [{"Name": "Parked", "Unit": "Count"}],
            })
        );
    }

    #[test]
    fn only_the_first_invocation_is_a_cold_start_and_zeros_are_not_written() {
        let meter = Meter::new("prod", "manifest", Arc::new(Steps::default()));
        let first = ended(&meter, Counts::one(true));
        let second = ended(&meter, Counts::one(false));
        assert_eq!(first.get("ColdStart"), Some(&json!(1)));
        assert_eq!(first.get("Failed"), None);
        assert_eq!(second.get("ColdStart"), None);
        assert_eq!(second.get("Handled"), None);
        assert_eq!(second.get("Failed"), Some(&json!(1)));
    }
}
