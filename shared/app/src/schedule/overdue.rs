//! Issues whose time has run out: people are told once of each, and together of those that are found together.

#[cfg(test)]
mod tests;

use crate::news;
use crate::records;
use kintsugi_domain::alert::{Alert, Urgency};
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::issue::Issue;
use kintsugi_domain::limits::PAGE_RECORDS_MAX;
use kintsugi_domain::ports::{Commit, PortError, Ports};
use kintsugi_domain::record::Stored;
use kintsugi_domain::score::Level;
use kintsugi_domain::sla::{Promise, Target};
use std::cmp::Reverse;
use std::fmt::Write as _;

/// Most issues that one alert is about, and one commit writes.
const TOGETHER_MAX: usize = 50;
/// Most issues that an alert names.
const NAMED_MAX: usize = 5;

/// An issue with what was due of it.
struct Overdue {
    issue: Stored<Issue>,
    late: Vec<Target>,
}

/// Tells of every issue of a project that is newly overdue; how many there were.
pub(super) async fn tell(
    ports: &Ports,
    cause: &str,
    project: ProjectId,
) -> Result<usize, PortError> {
    let found = find(ports, project).await?;
    if found.is_empty() {
        return Ok(0);
    }
    let Some(owner) = records::project(ports.store.as_ref(), project).await? else {
        return Ok(0);
    };
    let rules = &owner.value.config.sla;
    for together in found.chunks(TOGETHER_MAX) {
        let mut commit = Commit::new();
        for overdue in together {
            commit = commit.update(&overdue.issue);
        }
        let alert = alert(ports, project, together, |level| rules.promise(level));
        let commit = news::raise(ports, commit, cause, alert).await?;
        ports.store.commit(commit).await?;
    }
    Ok(found.len())
}

/// What is newly overdue, worst first. Each issue says so already; nothing is stored yet.
async fn find(ports: &Ports, project: ProjectId) -> Result<Vec<Overdue>, PortError> {
    let (store, at) = (ports.store.as_ref(), ports.now());
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let index = Some(Issue::owed());
        let page: Vec<Stored<Issue>> =
            records::page(store, project, index, after, PAGE_RECORDS_MAX).await?;
        let is_last = page.len() < PAGE_RECORDS_MAX;
        after = page.last().map(|last| last.value.id.to_string());
        for mut issue in page {
            let late = issue.value.clocks.run_out(at);
            if !late.is_empty() {
                found.push(Overdue { issue, late });
            }
        }
        if is_last {
            break;
        }
    }
    found.sort_by_key(|it| Reverse((it.issue.value.level, it.issue.value.score.value)));
    Ok(found)
}

/// One piece of news about all of them. **The same issues overdue in the same way are the same news.**
fn alert(
    ports: &Ports,
    project: ProjectId,
    together: &[Overdue],
    promise: impl Fn(Level) -> Promise,
) -> Alert {
    let mut subject = String::new();
    let mut text = match together.len() {
        1 => "An issue is overdue:".to_owned(),
        count => format!("{count} issues are overdue:"),
    };
    for (place, Overdue { issue, late }) in together.iter().enumerate() {
        let issue = &issue.value;
        let since = issue.clocks.since.unwrap_or(issue.first_seen);
        for target in late {
            // Writing to a string never fails.
            let _ = write!(subject, "{}@{since}/{target} ", issue.id);
        }
        if place < NAMED_MAX {
            let promise = promise(issue.level);
            let missed = if late.contains(&Target::Deployment) {
                format!(
                    "no version without it within {} h",
                    promise.deployment_hours
                )
            } else {
                format!(
                    "nothing was done about it within {} h",
                    promise.response_hours
                )
            };
            let level = format!("{:?}", issue.level).to_lowercase();
            let _ = write!(text, " “{}” ({level}): {missed};", issue.title);
        }
    }
    match together.len().saturating_sub(NAMED_MAX) {
        0 => {
            text.pop();
        }
        more => {
            let _ = write!(text, " and {more} more");
        }
    }
    let worst = together.iter().map(|overdue| overdue.issue.value.level);
    let urgency = match worst.max() {
        Some(Level::Critical) => Urgency::Page,
        Some(Level::High) => Urgency::Warning,
        Some(Level::Medium | Level::Low) | None => Urgency::Notice,
    };
    let code = "issue.overdue";
    Alert::new(project, urgency, code, &subject, text, ports.now())
}
