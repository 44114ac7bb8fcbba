//! Triage: events become issues, with a level, a score and the reasons for both.
//!
//! An event is filed once: its record is created together with what it changes, so an event that comes again changes nothing.
//! `accepted` of the counter [`crate::ingest::COUNTER`] is added to by the same commit, so that it counts events and not tries.
//!
//! **What is delivered together is filed together**: the events of one issue in one commit where they fit, since each commit
//! reads and writes its issues whatever the number of their events, and commits that write the same issue meet each other.
//! A message that cannot be filed fails alone.
//!
//! Not here: similarity between groups, anomalies, SLA clocks, ownership (ledger C).

mod filing;

use crate::events::batch;
use crate::records;
use crate::stage::{Done, Stage, Wake, not_mine};
use async_trait::async_trait;
use filing::{Filing, Report, parts};
use kintsugi_domain::envelope::{Envelope, Message};
use kintsugi_domain::event::Event;
use kintsugi_domain::id::{EventId, ProjectId};
use kintsugi_domain::limits::CONFLICT_RETRIES_MAX;
use kintsugi_domain::ports::{PortError, Ports};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The triage stage.
#[derive(Debug, Clone)]
pub struct Triage {
    ports: Ports,
}

/// A message with the events that it reports.
struct Reports<'m> {
    /// Its place among those that were delivered together.
    place: usize,
    message: &'m Envelope,
    events: Cow<'m, [Event]>,
    /// The batch in which they lie already.
    batch: Option<&'m str>,
}

impl Reports<'_> {
    fn done(&self, filed: &BTreeSet<EventId>) -> Done {
        let count = self
            .events
            .iter()
            .filter(|it| filed.contains(&it.id))
            .count();
        let known = self.events.len() - count;
        match count {
            0 => Done::nothing(format!("{known} events were filed before")),
            _ => Done::did(format!("filed {count} events, {known} were filed before")),
        }
    }
}

impl Triage {
    /// The stage of a home.
    pub fn new(ports: Ports) -> Self {
        Self { ports }
    }

    /// Files what messages report that were delivered together; one answer for each, in their order. A commit that loses
    /// against another one is decided again, as [`crate::stage::settle`] does.
    pub async fn run_all(&self, messages: &[&Envelope]) -> Vec<Result<Done, PortError>> {
        let mut answers = Vec::new();
        let mut projects: BTreeMap<ProjectId, Vec<Reports<'_>>> = BTreeMap::new();
        for (place, message) in messages.iter().enumerate() {
            match self.read(place, message).await {
                Ok(reports) => {
                    projects.entry(message.project).or_default().push(reports);
                }
                Err(error) => answers.push((place, Err(error))),
            }
        }
        for reports in projects.into_values() {
            answers.extend(self.file_together(&reports).await);
        }
        answers.sort_by_key(|(place, _)| *place);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    /// The events of a message.
    async fn read<'m>(
        &self,
        place: usize,
        message: &'m Envelope,
    ) -> Result<Reports<'m>, PortError> {
        let (events, batch) = if let Message::Reported { events } = &message.message {
            (Cow::Borrowed(events.as_slice()), None)
        } else if let Message::ReportedBatch { blob } = &message.message {
            let missing = || PortError::broken(format!("batch {blob}"), "it is not stored");
            let events = batch(self.ports.blobs.as_ref(), blob).await?;
            (Cow::Owned(events.ok_or_else(missing)?), Some(blob.as_str()))
        } else {
            let wake = Wake::Message(Arc::new(message.clone()));
            return Err(not_mine(Self::NAME, &wake));
        };
        Ok(Reports {
            place,
            message,
            events,
            batch,
        })
    }

    /// Files the reports of one project. What fails for good is somebody's alone: then each is tried by itself.
    async fn file_together(&self, all: &[Reports<'_>]) -> Vec<(usize, Result<Done, PortError>)> {
        let mut answers = Vec::with_capacity(all.len());
        match self.settled(all).await {
            Ok(done) => answers.extend(all.iter().zip(done).map(|(it, done)| (it.place, Ok(done)))),
            Err(error) if error.is_transient() || all.len() < 2 => {
                answers.extend(all.iter().map(|it| (it.place, Err(error.clone()))));
            }
            Err(_) => {
                for one in all {
                    let done = self.settled(std::slice::from_ref(one)).await;
                    let done = done.map(|done| done.into_iter().next());
                    let done = done.map(|done| done.unwrap_or_else(|| one.done(&BTreeSet::new())));
                    answers.push((one.place, done));
                }
            }
        }
        answers
    }

    async fn settled(&self, all: &[Reports<'_>]) -> Result<Vec<Done>, PortError> {
        let mut filed = BTreeSet::new();
        let mut lost = 0;
        loop {
            match self.file(all, &mut filed).await {
                Err(PortError::Conflict { .. }) if lost < CONFLICT_RETRIES_MAX => lost += 1,
                ended => return ended,
            }
        }
    }

    /// Files what is not filed yet, and adds it to `filed`.
    async fn file(
        &self,
        all: &[Reports<'_>],
        filed: &mut BTreeSet<EventId>,
    ) -> Result<Vec<Done>, PortError> {
        let Some(first) = all.first() else {
            return Ok(Vec::new());
        };
        let store = self.ports.store.as_ref();
        let Some(project) = records::project(store, first.message.project).await? else {
            let gone = || Done::nothing("the project does not exist");
            return Ok(all.iter().map(|_| gone()).collect());
        };
        let rules = &project.value.config.triage;
        let reports = all.iter().flat_map(|reports| {
            let report = |event| Report::new(reports.message, event, reports.batch, rules);
            reports.events.iter().map(report)
        });
        for part in parts(reports.collect()) {
            let mut filing = Filing::begin(&self.ports, &project.value, &part).await?;
            for report in &part {
                filing.add(report).await?;
            }
            filed.extend(filing.commit().await?);
        }
        Ok(all.iter().map(|reports| reports.done(filed)).collect())
    }
}

#[async_trait]
impl Stage for Triage {
    const NAME: &'static str = "triage";
    type Command = Wake;
    type Done = Done;

    async fn run(&self, wake: Wake) -> Result<Done, PortError> {
        let Some((message, _)) = wake.message() else {
            return Err(not_mine(Self::NAME, &wake));
        };
        let reports = self.read(0, message).await?;
        let done = self.file(&[reports], &mut BTreeSet::new()).await?;
        Ok(done
            .into_iter()
            .next()
            .unwrap_or_else(|| Done::nothing("no events")))
    }
}

#[cfg(test)]
mod tests;
