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
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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

/// Measures the invocations of a process.
pub(crate) struct Meter {
    home: String,
    stage: &'static str,
    clock: Arc<dyn Clock>,
    is_cold: AtomicBool,
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
        }
    }

    /// An invocation begins.
    pub(crate) fn begin(&self) -> Begun {
        Begun {
            at: self.clock.now(),
            is_cold: self.is_cold.swap(false, Ordering::Relaxed),
        }
    }

    /// It ends: its line is written. A full pipe loses the line and nothing else.
    pub(crate) fn end(&self, begun: Begun, counts: Counts) {
        let line = format!("{}\n", self.line(begun, counts));
        let _ = std::io::stdout().lock().write_all(line.as_bytes());
    }

    fn line(&self, begun: Begun, counts: Counts) -> Value {
        let now = self.clock.now().as_millisecond();
        let took = u64::try_from(now - begun.at.as_millisecond()).unwrap_or(0);
        let all = [
            ("Handled", "Count", counts.handled),
            ("Retried", "Count", counts.retried),
            ("Parked", "Count", counts.parked),
            ("Failed", "Count", counts.failed),
            ("ColdStart", "Count", u64::from(begun.is_cold)),
        ];
        let counted = all.into_iter().filter(|(_, _, value)| *value > 0);
        let written: Vec<_> = counted
            .chain([("Duration", "Milliseconds", took)])
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
            line.insert(name.into(), json!(value));
        }
        Value::Object(line)
    }
}

/// Which metrics CloudWatch makes of a line, under which dimensions.
fn directive(dimensions: &Value, metrics: &[Value]) -> Value {
    json!({"Namespace": "Kintsugi", "Dimensions": [dimensions], "Metrics": metrics})
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

    #[test]
    fn the_line_has_the_form_that_cloudwatch_reads() {
        let meter = Meter::new("prod", "triage", Arc::new(Steps::default()));
        let counts = Counts {
            handled: 8,
            retried: 1,
            ..Counts::default()
        };
        assert_eq!(
            meter.line(meter.begin(), counts),
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
        let line = meter.line(meter.begin(), counts);
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
        let first = meter.line(meter.begin(), Counts::one(true));
        let second = meter.line(meter.begin(), Counts::one(false));
        assert_eq!(first.get("ColdStart"), Some(&json!(1)));
        assert_eq!(first.get("Failed"), None);
        assert_eq!(second.get("ColdStart"), None);
        assert_eq!(second.get("Handled"), None);
        assert_eq!(second.get("Failed"), Some(&json!(1)));
    }
}
