//! What people and programs get to read: results on standard output, steps and faults on standard error.
//! A reader that went away is no reason to stop, so nothing here fails.

use kintsugi_sdk::updater::{Outcome, Source, State, Step, Summary, UpdateError};
use serde_json::{Value, json};
use std::io::Write as _;

/// A step, as it is done.
pub(crate) fn step(step: Step) {
    let text = match step {
        Step::Recovered => "folder in order",
        Step::Refreshed => "metadata verified",
        Step::Offered => "offer verified",
        Step::Verified => "content verified",
        Step::Unpacked => "unpacked",
        Step::Placed => "in place",
        Step::Journaled => "restore point set",
        Step::Swapped => "on trial",
        Step::Checked => "health checked",
        Step::Confirmed => "confirmed",
        Step::GoingBack => "going back",
        Step::SwappedBack => "the version before runs again",
        Step::Quarantined => "version set aside",
        Step::Reported => "reported",
    };
    say(text);
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn out(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn out_json(value: &Value) {
    out(&value.to_string());
}

/// What a run came to.
pub(crate) fn summary(summary: &Summary, json: bool) {
    if json {
        out_json(&serde_json::to_value(summary).unwrap_or_default());
        return;
    }
    out(&match &summary.outcome {
        Outcome::Installed {
            version,
            source,
            delta_refused,
            downloaded_bytes,
        } => {
            let how = match source {
                Source::Kept => "from what was kept",
                Source::Delta => "by a delta",
                Source::Full => "by the full package",
            };
            let why = delta_refused.iter().fold(String::new(), |_, why| {
                format!("; the delta was not taken: {why}")
            });
            format!("installed {version} {how}, {downloaded_bytes} bytes loaded{why}")
        }
        Outcome::WentBack {
            version,
            step,
            reason,
            previous_healthy,
        } => {
            let before = match (&summary.installed, previous_healthy) {
                (Some(before), Some(false)) => format!("{before} runs again and is not healthy"),
                (Some(before), Some(true) | None) => format!("{before} runs again"),
                (None, _) => "nothing is installed".to_owned(),
            };
            format!("{version} failed at {step} ({reason}); {before}")
        }
        Outcome::Stayed {
            why,
            healthy,
            reason,
            ..
        } => {
            let now = shown(summary);
            match (healthy, reason) {
                (Some(false), Some(reason)) => format!("{now} is not healthy: {reason}"),
                (Some(_), _) => format!("{now}: {why}; its health was checked and reported"),
                (None, _) => format!("{now}: {why}"),
            }
        }
    });
}

fn shown(summary: &Summary) -> String {
    let installed = summary.installed.as_ref();
    installed.map_or_else(|| "nothing installed".to_owned(), ToString::to_string)
}

/// A refusal or a fault.
pub(crate) fn error(error: &UpdateError, json: bool) {
    if json {
        out_json(&json!({"error": {"code": error.code(), "message": error.to_string()}}));
    } else {
        say(&format!("failed: {error} [{}]", error.code()));
    }
}

/// What is installed.
pub(crate) fn state(state: &State, json: bool) {
    if json {
        out_json(&serde_json::to_value(state).unwrap_or_default());
        return;
    }
    match &state.installed {
        Some(installed) => out(&format!("{} since {}", installed.version, installed.at)),
        None => out("nothing installed"),
    }
    if let Some(previous) = &state.previous {
        out(&format!("{} before, kept", previous.version));
    }
    for (version, why) in &state.quarantined {
        out(&format!("{version} failed at {}: {}", why.step, why.reason));
    }
}
