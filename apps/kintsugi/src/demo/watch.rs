//! Watching what the home says of the product until something is so, with what happens on the way told once.

use super::tell::Teller;
use crate::client::Client;
use crate::error::Error;
use crate::home::LocalHome;
use kintsugi_app::admin::Page;
use kintsugi_domain::alert::Alert;
use kintsugi_domain::id::ProjectId;
use serde::de::DeserializeOwned;
use std::fmt::Display;
use std::time::Duration;

/// How often the home is asked.
const PAUSE: Duration = Duration::from_millis(250);
/// How often it is asked anew where it does not answer: what it runs on may break many times in a row.
const ASKS: u32 = 10;
/// The pause between.
const ASK_PAUSE: Duration = Duration::from_secs(1);

/// How a look ended.
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

/// What the home has of the product, read as its people read it.
#[derive(Debug, Clone)]
pub(super) struct Records {
    client: Client,
    project: ProjectId,
}

impl Records {
    pub(super) fn of(client: &Client, project: ProjectId) -> Self {
        Self {
            client: client.clone(),
            project,
        }
    }

    /// All of a kind, such as `releases`, in the order of their keys.
    pub(super) async fn all<T: DeserializeOwned>(&self, kind: &str) -> Result<Vec<T>, Error> {
        let list = format!("projects/{}/{kind}", self.project);
        let mut page: Page<T> = self.read(&list).await?;
        let mut found = page.items;
        while let Some(after) = page.next {
            page = self.read(&format!("{list}?after={after}")).await?;
            found.append(&mut page.items);
        }
        Ok(found)
    }

    /// One of a kind, which is there.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        kind: &str,
        id: impl Display,
    ) -> Result<T, Error> {
        let path = format!("projects/{}/{kind}/{id}", self.project);
        self.read(&path).await
    }

    /// One of a kind, if it is there.
    pub(super) async fn find<T: DeserializeOwned>(
        &self,
        kind: &str,
        id: impl Display,
    ) -> Result<Option<T>, Error> {
        let path = format!("projects/{}/{kind}/{id}", self.project);
        asked(async || self.client.find(&path).await).await
    }

    async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        asked(async || self.client.get(path).await).await
    }
}

/// Asks until the home answers, or does not for long.
async fn asked<T>(ask: impl AsyncFn() -> Result<T, Error>) -> Result<T, Error> {
    for _ in 1..ASKS {
        match ask().await {
            Err(Error::Home { .. }) => tokio::time::sleep(ASK_PAUSE).await,
            answered => return answered,
        }
    }
    ask().await
}

/// Watches a home.
pub(super) struct Watch<'a> {
    pub(super) records: Records,
    /// The home, where it runs in this process.
    here: Option<&'a mut LocalHome>,
}

impl<'a> Watch<'a> {
    pub(super) fn new(records: Records, here: Option<&'a mut LocalHome>) -> Self {
        Self { records, here }
    }

    /// Whether the home is the demo's own.
    pub(super) fn is_here(&self) -> bool {
        self.here.is_some()
    }

    /// Looks until it is so, at most for `limit`. Alerts that come meanwhile are told.
    pub(super) async fn until<T>(
        &mut self,
        teller: &Teller,
        limit: Duration,
        what: &str,
        mut look: impl AsyncFnMut(&Records) -> Result<Seen<T>, Error>,
    ) -> Result<Result<T, Missed>, Error> {
        let started = teller.seconds();
        loop {
            self.tell_alerts(teller).await?;
            match look(&self.records).await? {
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
                error = failed(self.here.as_deref_mut()) => return Err(error),
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    async fn tell_alerts(&mut self, teller: &Teller) -> Result<(), Error> {
        for alert in self.records.all::<Alert>("alerts").await? {
            teller.note(&format!("alert {}: {}", alert.code, alert.text));
        }
        Ok(())
    }
}

/// Waits until a part of the home in this process ends; for ever where there is none.
async fn failed(here: Option<&mut LocalHome>) -> Error {
    match here {
        Some(home) => home.failed().await,
        None => std::future::pending().await,
    }
}
