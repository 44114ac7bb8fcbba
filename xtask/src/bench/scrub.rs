//! `bench scrub`: the scrubber beside `sentry-relay` from PyPI, on the same events and the same labelled
//! corpus in the same run, each on one thread, text in and text out.
//!
//! The corpus, the events and the judge are `shared/scrub/benches/scrub`. Relay runs twice: with what a
//! new Sentry project gets, and with every built-in rule that can help it, on every field.

#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value that has no such member reads as null"
)]

use super::machine::Machine;
use super::{built, output};
use crate::checks::target_folder;
use crate::summary::say;
use crate::{Failure, tools};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// The other side. A bench has an environment of its own, so that the tests stay light.
const RELAY: tools::Environment = tools::Environment {
    name: "bench-scrub",
    packages: &[],
    requirements: include_str!("requirements-scrub.txt"),
    options: &[],
    shows: "import sentry_relay.processing",
};
/// How often the scrubbers take turns: a machine whose speed changes with what else it does is equally fast for both within a turn.
const TURNS: usize = 5;
/// How long each scrubber is measured in a turn, seconds.
const SECONDS: &str = "3";
/// The bound on the ratio of throughputs.
const RATIO_MIN: f64 = 10.0;
/// The bound on precision and on recall.
const SHARE_MIN: f64 = 0.99;
/// Relay's configurations.
const RELAYS: [&str; 2] = ["default", "widest"];

/// Measures, and says whether the bounds are held.
pub(crate) fn run(root: &Path, json: bool) -> Result<(), Failure> {
    let target = target_folder(root);
    let python = RELAY.ready(&target).map_err(Failure::Tools)?;
    let result = measured(root, &target, &python).map_err(Failure::Check)?;
    if json {
        say(&result.to_string());
    } else {
        say(&spoken(&result));
    }
    match missed(&result).as_slice() {
        [] => Ok(()),
        missed => Err(Failure::Check(format!("missed: {}", missed.join("; ")))),
    }
}

fn measured(root: &Path, target: &Path, python: &Path) -> Result<Value, String> {
    let program = built(root, "kintsugi-scrub", "scrub")?;
    let folder = target.join("kintsugi-bench").join("scrub");
    let parse = |text: String| -> Result<Value, String> {
        serde_json::from_str(&text).map_err(|error| format!("what a bench printed: {error}"))
    };
    let machine = Machine::of(root);
    output(Command::new(&program).arg("inputs").arg(&folder))?;
    let script = root.join("shared/scrub/benches/scrub/relay.py");
    let mut turns = Vec::new();
    for _ in 0..TURNS {
        let mut ours = Command::new(&program);
        let mut theirs = Command::new(python);
        turns.push((
            parse(output(ours.arg("measure").arg(&folder).arg(SECONDS))?)?,
            parse(output(theirs.arg(&script).arg(&folder).arg(SECONDS))?)?,
        ));
    }
    let in_turns = |of: &dyn Fn(&Value, &Value) -> f64| {
        let mut values: Vec<f64> = turns
            .iter()
            .map(|(ours, theirs)| of(ours, theirs))
            .collect();
        values.sort_by(f64::total_cmp);
        json!(values[TURNS / 2])
    };
    let (mut ours, mut theirs) = turns[0].clone();
    let mut ratio = json!({});
    for clock in ["events_per_second", "events_per_processor_second"] {
        ours[clock] = in_turns(&|ours, _| number(&ours[clock]));
        ours["in_memory"][clock] = in_turns(&|ours, _| number(&ours["in_memory"][clock]));
        for name in RELAYS {
            let relay = |theirs: &Value| number(&theirs["speed"][name][clock]);
            theirs["speed"][name][clock] = in_turns(&|_, theirs| relay(theirs));
            ratio[name][clock] = in_turns(&|ours, theirs| number(&ours[clock]) / relay(theirs));
        }
    }
    let mut relay = json!({});
    for name in RELAYS {
        let score = parse(output(
            Command::new(&program)
                .arg("score")
                .arg(&folder)
                .arg(format!("relay-{name}")),
        )?)?;
        relay[name] = theirs["speed"][name].clone();
        relay[name]["score"] = score;
    }
    let versions = &theirs["versions"];
    Ok(json!({
        "bench": "scrub", "machine": machine.json(), "machine_line": machine.line(), "versions": versions,
        "kintsugi": ours, "relay": relay, "ratio": ratio,
    }))
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

/// The bounds that were not held.
fn missed(result: &Value) -> Vec<String> {
    let mut missed = Vec::new();
    let ours = &result["kintsugi"]["score"]["total"];
    for share in ["precision", "recall"] {
        let value = number(&ours[share]);
        let best = RELAYS
            .iter()
            .map(|name| number(&result["relay"][name]["score"]["total"][share]))
            .fold(0.0, f64::max);
        if value.is_nan() || value < SHARE_MIN || value <= best {
            missed.push(format!("{share} {value:.4}, relay {best:.4}"));
        }
    }
    for name in RELAYS {
        // Time of the processor, since others may work on this machine as well.
        let ratio = number(&result["ratio"][name]["events_per_processor_second"]);
        if ratio.is_nan() || ratio < RATIO_MIN {
            missed.push(format!("{ratio:.1} times relay ({name}), not {RATIO_MIN}"));
        }
    }
    missed
}

/// The result for people, as a table that documents can take.
fn spoken(result: &Value) -> String {
    let text = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    let versions = &result["versions"];
    let mut lines = vec![
        text(&result["machine_line"]),
        format!(
            "sentry-relay {}, Python {}; {} bytes an event, one thread each",
            text(&versions["sentry-relay"]),
            text(&versions["python"]),
            result["kintsugi"]["event_bytes"],
        ),
        String::new(),
        "| scrubber | events/s | events/s of processor time | ratio | precision | recall |"
            .to_owned(),
        "|---|---:|---:|---:|---:|---:|".to_owned(),
    ];
    let row = |name: &str, side: &Value, ratio: String| {
        let total = &side["score"]["total"];
        format!(
            "| {name} | {:.0} | {:.0} | {ratio} | {:.4} | {:.4} |",
            number(&side["events_per_second"]),
            number(&side["events_per_processor_second"]),
            number(&total["precision"]),
            number(&total["recall"]),
        )
    };
    lines.push(row("kintsugi", &result["kintsugi"], String::new()));
    let in_memory = &result["kintsugi"]["in_memory"];
    lines.push(format!(
        "| kintsugi, event in memory | {:.0} | {:.0} | | | |",
        number(&in_memory["events_per_second"]),
        number(&in_memory["events_per_processor_second"]),
    ));
    for name in RELAYS {
        let ratio = number(&result["ratio"][name]["events_per_processor_second"]);
        let name_of = format!("sentry-relay, {name}");
        lines.push(row(&name_of, &result["relay"][name], format!("{ratio:.1}")));
    }
    lines.push(String::new());
    lines.extend(by_kind(result));
    lines.join("\n")
}

/// What of each kind was found, or spared, by whom.
fn by_kind(result: &Value) -> Vec<String> {
    let kinds = |side: &Value| side["score"]["kinds"].clone();
    let ours = kinds(&result["kintsugi"]);
    let relays = RELAYS.map(|name| kinds(&result["relay"][name]));
    let mut lines = vec![
        "| kind | cases | kintsugi | relay, default | relay, widest |".to_owned(),
        "|---|---:|---:|---:|---:|".to_owned(),
    ];
    let names: Vec<&String> = ours
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, _)| name)
        .collect();
    let count = |tally: &Value, name: &str| tally[name].as_u64().unwrap_or_default();
    for wanted in ["found", "spared"] {
        for name in &names {
            let (right, wrong) = match wanted {
                "found" => ("found", "missed"),
                _ => ("spared", "false_alarms"),
            };
            let cases = count(&ours[name.as_str()], right) + count(&ours[name.as_str()], wrong);
            if cases > 0 {
                let cells: Vec<String> = std::iter::once(&ours)
                    .chain(&relays)
                    .map(|side| count(&side[name.as_str()], right).to_string())
                    .collect();
                lines.push(format!(
                    "| {wanted}: {name} | {cases} | {} |",
                    cells.join(" | ")
                ));
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(precision: f64, ratio: f64) -> Value {
        let total = |precision: f64| json!({"score": {"total": {"precision": precision, "recall": precision}}});
        json!({
            "kintsugi": total(precision),
            "relay": {"default": total(0.5), "widest": total(0.6)},
            "ratio": {
                "default": {"events_per_processor_second": 20.0},
                "widest": {"events_per_processor_second": ratio},
            },
        })
    }

    #[test]
    fn every_bound_that_is_missed_is_named_and_so_is_a_number_that_is_none() {
        assert!(missed(&result(0.995, 10.5)).is_empty());
        assert_eq!(missed(&result(0.98, 10.5)).len(), 2);
        assert_eq!(
            missed(&result(0.995, 9.9)),
            ["9.9 times relay (widest), not 10"]
        );
        assert_eq!(missed(&json!({})).len(), 4);
    }
}
