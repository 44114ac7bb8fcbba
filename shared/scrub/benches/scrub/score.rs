//! One judge for every scrubber: it sees the corpus and what came out, nothing else.
//!
//! A secret is **found** when no character of it is left in its place and no five characters of it in
//! what changed. A look-alike whose text changed at all is a **false alarm**.

use crate::corpus::Case;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What came out, counted.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Tally {
    /// Secrets that are gone.
    found: usize,
    /// Secrets of which something is left.
    missed: usize,
    /// Look-alikes that were changed.
    false_alarms: usize,
    /// Look-alikes that stayed.
    spared: usize,
    /// Texts with a secret of which only the secret went.
    exact: usize,
}

#[expect(clippy::cast_precision_loss, reason = "counts of thousands")]
fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        1.0
    } else {
        part as f64 / whole as f64
    }
}

impl Tally {
    /// Secrets found, of everything that was called one.
    pub(crate) fn precision(self) -> f64 {
        share(self.found, self.found + self.false_alarms)
    }

    /// Secrets found, of all secrets.
    pub(crate) fn recall(self) -> f64 {
        share(self.found, self.found + self.missed)
    }

    fn add(&mut self, other: Self) {
        self.found += other.found;
        self.missed += other.missed;
        self.false_alarms += other.false_alarms;
        self.spared += other.spared;
        self.exact += other.exact;
    }

    fn to_json(self) -> Value {
        json!({
            "found": self.found, "missed": self.missed,
            "false_alarms": self.false_alarms, "spared": self.spared,
            "precision": self.precision(), "recall": self.recall(),
            "nothing_else_lost": share(self.exact, self.found + self.missed),
        })
    }
}

/// The tallies by kind, and faults to look at.
pub(crate) struct Score {
    pub(crate) kinds: BTreeMap<&'static str, Tally>,
    pub(crate) faults: Vec<String>,
}

impl Score {
    /// Judges what came out for each case, in the order of the cases.
    pub(crate) fn of<'c>(cases: impl Iterator<Item = (&'c Case, &'c Value)>) -> Self {
        let mut score = Self {
            kinds: BTreeMap::new(),
            faults: Vec::new(),
        };
        for (case, event) in cases {
            let out = text_at(event, &case.path);
            let tally = score.kinds.entry(case.kind).or_default();
            let right = if case.secrets.is_empty() {
                let spared = out.as_deref() == Some(&case.text);
                tally.spared += usize::from(spared);
                tally.false_alarms += usize::from(!spared);
                spared
            } else {
                let left = case
                    .secrets
                    .iter()
                    .filter(|span| survives(&case.text, **span, out.as_deref()))
                    .count();
                tally.missed += left;
                tally.found += case.secrets.len() - left;
                tally.exact += usize::from(left == 0 && only_secrets_went(case, out.as_deref()));
                left == 0
            };
            if !right {
                let place = case.path.join(".");
                score.faults.push(format!(
                    "{}: {:?} at {place} became {out:?}",
                    case.kind, case.text
                ));
            }
        }
        score
    }

    pub(crate) fn total(&self) -> Tally {
        let mut total = Tally::default();
        for tally in self.kinds.values() {
            total.add(*tally);
        }
        total
    }

    pub(crate) fn to_json(&self) -> Value {
        let kinds: Map<String, Value> = self
            .kinds
            .iter()
            .map(|(kind, tally)| ((*kind).to_owned(), tally.to_json()))
            .collect();
        json!({"total": self.total().to_json(), "kinds": kinds})
    }
}

/// What stands at a path, as text. Some scrubbers turn a map into a list of pairs.
fn text_at(event: &Value, path: &[&str]) -> Option<String> {
    let mut value = event;
    for step in path {
        value = match value {
            Value::Object(fields) => fields.get(*step)?,
            Value::Array(items) => match step.parse::<usize>() {
                Ok(index) => items.get(index)?,
                Err(_) => items
                    .iter()
                    .find(|pair| {
                        pair.get(0)
                            .and_then(Value::as_str)
                            .is_some_and(|name| name.eq_ignore_ascii_case(step))
                    })?
                    .get(1)?,
            },
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return None,
        };
    }
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Some(value.to_string())
        }
    }
}

/// Bytes at the start, and at the end, in which two texts agree.
fn common(left: &str, right: &str) -> (usize, usize) {
    let pairs = left.bytes().zip(right.bytes());
    let head = pairs.take_while(|(left, right)| left == right).count();
    let pairs = left.bytes().rev().zip(right.bytes().rev());
    let tail = pairs.take_while(|(left, right)| left == right).count();
    (head, tail.min(right.len().saturating_sub(head)))
}

fn survives(text: &str, (start, end): (usize, usize), out: Option<&str>) -> bool {
    let Some(out) = out else {
        return false;
    };
    let (head, tail) = common(text, out);
    if head > start || text.len() - tail < end {
        // Both sides agree into the secret, unless what was put there looks alike by chance.
        return true;
    }
    let changed = without_placeholders(&out.as_bytes()[head..out.len() - tail]);
    let secret = &text.as_bytes()[start..end];
    secret
        .windows(5.min(secret.len()))
        .any(|part| changed.windows(part.len()).any(|window| window == part))
}

/// The bytes without `[placeholders]`, whose letters say nothing.
fn without_placeholders(bytes: &[u8]) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut rest = bytes;
    while let Some((first, tail)) = rest.split_first() {
        let name = tail
            .iter()
            .take_while(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'_'))
            .count();
        if *first == b'[' && tail.get(name) == Some(&b']') {
            kept.push(0);
            rest = &tail[name + 1..];
        } else {
            kept.push(*first);
            rest = tail;
        }
    }
    kept
}

/// Whether the text around the secrets is all there.
fn only_secrets_went(case: &Case, out: Option<&str>) -> bool {
    let (Some(out), Some(first), Some(last)) = (out, case.secrets.first(), case.secrets.last())
    else {
        return false;
    };
    let (head, tail) = common(&case.text, out);
    head >= first.0 && tail >= case.text.len() - last.1
}
