//! Lines of the audit log: the next one of a project's, and what is said of one that was written.
//!
//! **A digest of each line goes to the program's own log.** In AWS that is a log group that the function can add to and take nothing
//! from: whoever writes the audit log anew with the function's role leaves the old digests there.

use crate::records;
use kintsugi_domain::Timestamp;
use kintsugi_domain::audit::Audit;
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::ports::{PortError, Store};

/// The line that comes after the newest one now. Its commit conflicts when another was written meanwhile: then ask again.
pub(super) async fn next(
    store: &dyn Store,
    project: ProjectId,
    at: Timestamp,
) -> Result<Audit, PortError> {
    let newest = records::page::<Audit>(store, project, None, None, 1).await?;
    let newest = newest.first().map(|stored| &stored.value);
    Ok(Audit::after(newest, project, at))
}

/// Says that a line stands.
pub(super) fn written(line: &Audit) {
    let (project, number, digest) = (line.project, line.number, line.digest());
    tracing::info!(%project, audit.number = number, audit.digest = digest, "line of the audit log");
}
