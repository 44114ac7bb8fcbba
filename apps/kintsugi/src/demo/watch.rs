//! Watching the home's records until something is so, with what happens on the way told once.

use super::tell::Teller;
use crate::error::Error;
use crate::home::LocalHome;
use kintsugi_app::records;
use kintsugi_domain::alert::Alert;
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::ports::Store;
use std::time::Duration;

/// How often the records are looked at.
const PAUSE: Duration = Duration::from_millis(100);

/// How a look at the records ended.
pub(super) enum Seen<T> {
    /// It is so.
    Yes(T),
    /// It will never be so, and why.
    Never(String),
    /// Not yet.
    NotYet,
}

/// Why something did not come about.
pub(super) struct Missed(pub(super) String);

/// Watches a home.
pub(super) struct Watch<'a> {
    home: &'a mut LocalHome,
    project: ProjectId,
}

impl<'a> Watch<'a> {
    pub(super) fn new(home: &'a mut LocalHome, project: ProjectId) -> Self {
        Self { home, project }
    }

    pub(super) fn project(&self) -> ProjectId {
        self.project
    }

    pub(super) fn store(&self) -> &dyn Store {
        self.home.ports.store.as_ref()
    }

    pub(super) fn home(&self) -> &LocalHome {
        self.home
    }

    /// Looks until it is so, at most for `limit`. Alerts that come meanwhile are told.
    pub(super) async fn until<T>(
        &mut self,
        teller: &Teller,
        limit: Duration,
        what: &str,
        mut look: impl AsyncFnMut(&dyn Store, ProjectId) -> Result<Seen<T>, Error>,
    ) -> Result<Result<T, Missed>, Error> {
        let started = teller.seconds();
        loop {
            self.tell_alerts(teller).await?;
            match look(self.home.ports.store.as_ref(), self.project).await? {
                Seen::Yes(found) => return Ok(Ok(found)),
                Seen::Never(why) => return Ok(Err(Missed(why))),
                Seen::NotYet if teller.seconds() - started > limit.as_secs_f64() => {
                    let seconds = limit.as_secs();
                    let why = format!("{what} did not come about within {seconds} s");
                    return Ok(Err(Missed(why)));
                }
                Seen::NotYet => {}
            }
            tokio::select! {
                error = self.home.failed() => return Err(error),
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    async fn tell_alerts(&mut self, teller: &Teller) -> Result<(), Error> {
        let alerts = records::all::<Alert>(self.store(), self.project, None)
            .await
            .map_err(Error::Store)?;
        for alert in alerts.into_iter().map(|stored| stored.value) {
            teller.note(&format!("alert {}: {}", alert.code, alert.text));
        }
        Ok(())
    }
}
