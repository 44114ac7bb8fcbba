//! Telling the home how an install went.
//!
//! A report is stored before it is sent and deleted when the home has taken it, so neither an
//! unreachable home nor the end of the process loses it. The home counts a device once per rollout, so
//! a report that is sent twice does no harm.

use super::error::{OnPath, UpdateError};
use super::folder::{Folder, list, remove_file, write_json};
use super::http::Http;
use kintsugi_domain::outcome::{OutcomeReport, Progress, REPORT_FORMAT};

/// Reports that wait at most; the oldest go first.
const WAITING_MAX: usize = 64;
/// Characters of an error that are sent.
const ERROR_CHARS_MAX: usize = 500;

/// The report of this machine.
pub(super) fn of(ticket: &str, progress: Progress, duration_ms: u64) -> OutcomeReport {
    let system = [
        ("platform", std::env::consts::OS),
        ("arch", std::env::consts::ARCH),
        ("updater", env!("CARGO_PKG_VERSION")),
    ];
    let cut = |text: String| text.chars().take(ERROR_CHARS_MAX).collect();
    OutcomeReport {
        format: REPORT_FORMAT,
        ticket: ticket.to_owned(),
        progress: match progress {
            Progress::Failed { step, error } => Progress::Failed {
                step,
                error: cut(error),
            },
            Progress::Started | Progress::Healthy | Progress::Silent => progress,
        },
        duration_ms,
        system: system
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
    }
}

/// Stores a report to be sent.
pub(super) fn store(folder: &Folder, report: &OutcomeReport) -> Result<(), UpdateError> {
    let waiting = list(&folder.outbox())?;
    let last = waiting
        .iter()
        .filter_map(|(name, _)| name.split('.').next()?.parse::<u64>().ok())
        .max()
        .unwrap_or(0);
    let too_many = (waiting.len() + 1).saturating_sub(WAITING_MAX);
    for (_, path) in waiting.iter().take(too_many) {
        remove_file(path)?;
    }
    let name = format!("{:020}.json", last + 1);
    write_json(&folder.outbox().join(name), report)
}

/// Sends what waits, oldest first, and answers with how many still wait. A home that cannot be reached
/// is no error: they wait for the next run.
pub(super) fn send(folder: &Folder, http: &Http, url: &str) -> Result<usize, UpdateError> {
    let waiting = list(&folder.outbox())?;
    let mut sent = 0;
    for (_, path) in &waiting {
        let body = std::fs::read(path).on("read", path)?;
        match http.post(url, &body) {
            // Taken, or refused for good: a ticket can be too old.
            Ok(200..=299 | 400..=407 | 409..=428 | 430..=499) => remove_file(path)?,
            Ok(_) | Err(_) => break,
        }
        sent += 1;
    }
    Ok(waiting.len() - sent)
}
