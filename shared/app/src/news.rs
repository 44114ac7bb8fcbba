//! News for people: an alert is raised once, whatever is run again.

use crate::records;
use kintsugi_domain::alert::Alert;
use kintsugi_domain::envelope::{Envelope, Message};
use kintsugi_domain::ports::{Commit, PortError, Ports};

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
