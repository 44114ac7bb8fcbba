//! How urgent an issue is: a priority score with its reasons, and the E1 score of a fix.

use crate::config::TriageRules;
use crate::event::Event;
use crate::issue::Issue;
use serde::{Deserialize, Serialize};

/// How bad an issue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Cosmetic or caught.
    Low,
    /// Something does not work.
    Medium,
    /// A feature fails.
    High,
    /// Security, or the program ends.
    Critical,
}

/// A number and what it is made of.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// 0 to 1000.
    pub value: u32,
    /// One line per term, in the order they were applied.
    pub reasons: Vec<String>,
}

/// The largest value the published weights can reach before scaling:
/// (100 × 2.0 + 50) × 1.5 × 1.3.
const UNSCALED_MAX: f64 = 487.5;
/// The cap of the score.
const SCORE_MAX: f64 = 1000.0;

/// The level of an event, from the words in it and how it ended.
pub fn level(event: &Event, rules: &TriageRules) -> (Level, String) {
    let text = words(event);
    if let Some(word) = rules
        .critical_words
        .iter()
        .find(|word| text.contains(word.as_str()))
    {
        return (
            Level::Critical,
            format!("contains “{word}”, a critical word"),
        );
    }
    if event.is_unhandled() {
        return (Level::High, "the program did not catch it".to_owned());
    }
    if let Some(word) = rules
        .high_words
        .iter()
        .find(|word| text.contains(word.as_str()))
    {
        return (
            Level::High,
            format!("contains “{word}”, a word of high severity"),
        );
    }
    match event.level {
        crate::event::Level::Fatal => (Level::Critical, "reported as fatal".to_owned()),
        crate::event::Level::Error => (Level::Medium, "reported as error, and caught".to_owned()),
        crate::event::Level::Warning | crate::event::Level::Info | crate::event::Level::Debug => {
            (Level::Low, "reported below error".to_owned())
        }
    }
}

/// The priority score of an issue (ledger C2): severity weight × impact + frequency bonus, × 1.5 when
/// it blocks, × 1.3 in a core feature.
///
/// The published weights reach 487.5 at most, so the published thresholds of 600 and 800 could never
/// fire. The sum is therefore scaled by 1000 / 487.5, which keeps the order of all issues and makes the
/// whole range reachable.
///
/// `fleet` is the number of devices or users known to the project, 0 when unknown.
pub fn priority(issue: &Issue, event: &Event, rules: &TriageRules, fleet: u64) -> Score {
    let mut reasons = Vec::new();
    let severity = match issue.level {
        Level::Critical => 100.0,
        Level::High => 75.0,
        Level::Medium => 50.0,
        Level::Low => 25.0,
    };
    reasons.push(format!("severity {:?}: {severity}", issue.level));
    let text = words(event);
    let found = |list: &[String]| {
        list.iter()
            .find(|word| text.contains(word.as_str()))
            .cloned()
    };
    let (impact, name) = if found(&rules.security_words).is_some() {
        (2.0, "security")
    } else if found(&rules.data_loss_words).is_some() {
        (1.8, "data loss")
    } else if issue.level >= Level::High {
        (1.5, "feature failure")
    } else if found(&rules.performance_words).is_some() {
        (1.2, "performance")
    } else if issue.level == Level::Low {
        (0.8, "cosmetic")
    } else {
        (1.0, "none named")
    };
    reasons.push(format!("impact {name}: × {impact}"));
    let users = issue.users.len() as u64;
    let share = share_of(users, fleet);
    let bonus = match share {
        share if share > 0.5 => 50.0,
        share if share >= 0.2 => 30.0,
        share if share >= 0.05 => 15.0,
        _ => 5.0,
    };
    reasons.push(format!("seen by {users} of {fleet} users: + {bonus}"));
    let mut score = severity * impact + bonus;
    if let Some(word) = found(&rules.blocking_words) {
        score *= 1.5;
        reasons.push(format!("blocking (“{word}”): × 1.5"));
    }
    let place = issue.culprit.clone().unwrap_or_default();
    if let Some(core) = rules
        .core_features
        .iter()
        .find(|core| place.contains(core.as_str()))
    {
        score *= 1.3;
        reasons.push(format!("core feature “{core}”: × 1.3"));
    }
    let scaled = (score * SCORE_MAX / UNSCALED_MAX).min(SCORE_MAX).round();
    reasons.push(format!("scaled by 1000 / {UNSCALED_MAX}: {scaled}"));
    // Between 0 and 1000 by the line above.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 ..= 1000"
    )]
    let value = scaled as u32;
    Score { value, reasons }
}

#[expect(clippy::cast_precision_loss, reason = "a share, not a count")]
fn share_of(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

/// All words of an event that say what it is about, lowercase.
fn words(event: &Event) -> String {
    let mut text = event.title();
    for exception in &event.exceptions {
        text.push(' ');
        text.push_str(&exception.value);
    }
    if let Some(message) = &event.message {
        text.push(' ');
        text.push_str(message);
    }
    text.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_decide_the_level_before_anything_else() {
        let event = |message: &str, level: &str, handled: bool| -> Event {
            serde_json::from_value(serde_json::json!({
                "id": "a", "project": 1, "occurred_at": "2026-01-01T00:00:00Z",
                "received_at": "2026-01-01T00:00:00Z", "level": level, "platform": "python",
                "message": message, "breadcrumbs": [], "fingerprint": [], "tags": {}, "system": {},
                "remarks": [],
                "exceptions": [{"kind": "E", "value": "v", "handled": handled, "frames": []}],
            }))
            .unwrap()
        };
        let rules = TriageRules::default();
        for (message, expected) in [
            ("a security hole", Level::Critical),
            ("stored XSS", Level::Critical),
            ("SQL injection", Level::Critical),
            ("Unauthorized", Level::Critical),
            ("the crash of the till", Level::Critical),
            ("feature failed", Level::High),
            ("Network error", Level::High),
            ("Timeout after 3 s", Level::High),
            ("permission denied", Level::High),
            ("something else", Level::Medium),
        ] {
            let found = level(&event(message, "error", true), &rules).0;
            assert_eq!(found, expected, "{message}");
        }
        let uncaught = event("something else", "error", false);
        assert_eq!(level(&uncaught, &rules).0, Level::High);
        let warning = event("something else", "warning", true);
        assert_eq!(level(&warning, &rules).0, Level::Low);
    }
}
