//! News for people: an alert is raised once, whatever is run again.

use crate::records;
use crate::stage::{Done, step};
use kintsugi_domain::alert::{Alert, Urgency};
use kintsugi_domain::envelope::{Envelope, Message};
use kintsugi_domain::issue::{Issue, IssueMove};
use kintsugi_domain::ports::{Commit, PortError, Ports};
use kintsugi_domain::record::Stored;

/// Adds an alert and its message to a commit, unless it was raised before.
pub(crate) async fn raise(
    ports: &Ports,
    commit: Commit,
    cause: &str,
    alert: Alert,
) -> Result<Commit, PortError> {
    let known =
        records::get::<Alert>(ports.store.as_ref(), alert.project, alert.id.as_str()).await?;
    if known.is_some() {
        return Ok(commit);
    }
    let message = Message::Alert {
        alert: alert.id.clone(),
    };
    let envelope = Envelope::new(cause, alert.project, message);
    Ok(commit.create(&alert).send(envelope))
}

/// The pipeline is at its end with an issue, and people are told.
pub(crate) async fn give_up(
    ports: &Ports,
    cause: &Envelope,
    mut issue: Stored<Issue>,
    (by, why): (&str, &str),
) -> Result<Done, PortError> {
    let at = ports.now();
    step!(issue.value, IssueMove::GiveUp, at, by, why);
    let id = &issue.value.id;
    let alert = Alert::new(
        cause.project,
        Urgency::Warning,
        "issue.needs_human",
        &format!("{id}@{}", cause.id),
        format!("“{}” needs a person: {why}", issue.value.title),
        at,
    );
    let commit = Commit::new().update(&issue);
    let commit = raise(ports, commit, cause.id.as_str(), alert).await?;
    ports.store.commit(commit).await?;
    Ok(Done::did(format!("issue {id} needs a person: {why}")))
}
