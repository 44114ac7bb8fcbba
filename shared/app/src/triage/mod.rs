//! Triage: events become issues, with a level, a score and the reasons for both.
//!
//! An event is filed once: its record is created together with what it changes, so an event that comes again changes nothing.
//! The same commit counts it as received and accepted, so that events are counted and not tries.
//!
//! **What is delivered together is filed together**: the events of one issue in one commit where they fit, since each commit
//! reads and writes its issues whatever the number of their events, and commits that write the same issue meet each other.
//! Commits that have no issue in common do not wait for each other. A message that cannot be filed fails alone.
//!
//! Not here: similarity between groups, anomalies, ownership (ledger C).

mod filing;

use crate::events::batch;
use crate::records;
use crate::stage::{Done, Stage, Wake, not_mine};
use async_trait::async_trait;
use filing::{Bodies, BodyIn, Filing, Report, is_continued, parts};
use futures::future::join_all;
use kintsugi_domain::envelope::{Envelope, Message};
use kintsugi_domain::event::Event;
use kintsugi_domain::id::{EventId, ProjectId};
use kintsugi_domain::limits::CONFLICT_RETRIES_MAX;
use kintsugi_domain::ports::{PortError, Ports};
use kintsugi_domain::project::Project;
use kintsugi_domain::record::Stored;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The triage stage.
#[derive(Debug, Clone)]
pub struct Triage {
    ports: Ports,
}

/// How a message ended, and its place among those that were delivered together.
type Answer = (usize, Result<Done, PortError>);

fn is_report(message: &Envelope) -> bool {
    matches!(
        message.message,
        Message::Reported { .. } | Message::ReportedBatch { .. }
    )
}

/// It is for another stage.
fn astray(message: &Envelope) -> PortError {
    not_mine(Triage::NAME, &Wake::Message(Arc::new(message.clone())))
}

/// A message with the events that it reports.
struct Reports<'m> {
    /// Its place among those that were delivered together.
    place: usize,
    message: &'m Envelope,
    events: Vec<(Event, BodyIn<'m>)>,
}

impl Reports<'_> {
    fn done(&self, filed: &BTreeSet<EventId>) -> Done {
        let count = self
            .events
            .iter()
            .filter(|(it, _)| filed.contains(&it.id))
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
        let mut projects: BTreeMap<ProjectId, Vec<(usize, &Envelope)>> = BTreeMap::new();
        for (place, message) in messages.iter().enumerate() {
            let of_project = projects.entry(message.project).or_default();
            of_project.push((place, message));
        }
        let mut answers = Vec::with_capacity(messages.len());
        for (project, messages) in projects {
            match self.of_project(project, &messages).await {
                Ok(ended) => answers.extend(ended),
                Err(error) => {
                    let all = messages.iter();
                    answers.extend(all.map(|(place, _)| (*place, Err(error.clone()))));
                }
            }
        }
        answers.sort_by_key(|(place, _)| *place);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    /// The same for the messages of one project. An error is all of them's.
    async fn of_project(
        &self,
        id: ProjectId,
        messages: &[(usize, &Envelope)],
    ) -> Result<Vec<Answer>, PortError> {
        let project = records::project(self.ports.store.as_ref(), id).await?;
        let Some(Stored { value: project, .. }) = project else {
            let gone = |message| {
                if is_report(message) {
                    Ok(Done::nothing("the project does not exist"))
                } else {
                    Err(astray(message))
                }
            };
            let all = messages.iter();
            return Ok(all
                .map(|(place, message)| (*place, gone(message)))
                .collect());
        };
        let (mut reports, mut answers) = (Vec::new(), Vec::new());
        for (place, message) in messages {
            match self.read(*place, message).await {
                Ok(read) => reports.push(read),
                Err(error) => answers.push((*place, Err(error))),
            }
        }
        answers.extend(self.file_together(&project, &reports).await);
        Ok(answers)
    }

    /// The events of a message.
    async fn read<'m>(
        &self,
        place: usize,
        message: &'m Envelope,
    ) -> Result<Reports<'m>, PortError> {
        let events = if let Message::Reported { events } = &message.message {
            let read = events.iter().map(|body| match body.event() {
                Ok(event) => Ok((event, BodyIn::Message(body))),
                Err(error) => Err(PortError::broken(format!("message {}", message.id), error)),
            });
            read.collect::<Result<_, _>>()?
        } else if let Message::ReportedBatch { blob } = &message.message {
            let missing = || PortError::broken(format!("batch {blob}"), "it is not stored");
            let events = batch(self.ports.blobs.as_ref(), blob).await?;
            let events = events.ok_or_else(missing)?.into_iter();
            events.map(|event| (event, BodyIn::Batch(blob))).collect()
        } else {
            return Err(astray(message));
        };
        Ok(Reports {
            place,
            message,
            events,
        })
    }

    /// Files reports. What fails for good is somebody's alone: then each message is tried by itself.
    async fn file_together(&self, project: &Project, all: &[Reports<'_>]) -> Vec<Answer> {
        match self.settled(project, all).await {
            Ok(done) => {
                let places = all.iter().map(|reports| reports.place);
                places.zip(done.into_iter().map(Ok)).collect()
            }
            Err(error) if error.is_transient() || all.len() < 2 => {
                let places = all.iter().map(|reports| reports.place);
                places.map(|place| (place, Err(error.clone()))).collect()
            }
            Err(_) => {
                let mut answers = Vec::with_capacity(all.len());
                for one in all {
                    let done = self.settled(project, std::slice::from_ref(one)).await;
                    answers.push((one.place, done.map(first)));
                }
                answers
            }
        }
    }

    async fn settled(
        &self,
        project: &Project,
        all: &[Reports<'_>],
    ) -> Result<Vec<Done>, PortError> {
        let mut filed = BTreeSet::new();
        let mut lost = 0;
        loop {
            match self.file(project, all, &mut filed).await {
                Err(PortError::Conflict { .. }) if lost < CONFLICT_RETRIES_MAX => lost += 1,
                ended => return ended,
            }
        }
    }

    /// Files parts one after the other, a commit each, up to the first that fails; the events that were filed.
    async fn file_line(
        &self,
        project: &Project,
        line: &[Vec<&Report<'_>>],
        bodies: &Bodies,
    ) -> (Vec<EventId>, Result<(), PortError>) {
        let mut filed = Vec::new();
        for part in line {
            match self.file_part(project, part, bodies).await {
                Ok(events) => filed.extend(events),
                Err(error) => return (filed, Err(error)),
            }
        }
        (filed, Ok(()))
    }

    async fn file_part(
        &self,
        project: &Project,
        part: &[&Report<'_>],
        bodies: &Bodies,
    ) -> Result<Vec<EventId>, PortError> {
        let mut filing = Filing::begin(&self.ports, project, part, bodies).await?;
        for report in part {
            filing.add(report).await?;
        }
        filing.commit().await
    }

    /// Files what is not filed yet, and adds it to `filed`.
    async fn file(
        &self,
        project: &Project,
        all: &[Reports<'_>],
        filed: &mut BTreeSet<EventId>,
    ) -> Result<Vec<Done>, PortError> {
        let rules = &project.config.triage;
        let reports = all.iter().flat_map(|reports| {
            let events = reports.events.iter();
            events.map(|(event, body)| Report::new(reports.message, event, *body, rules))
        });
        let mut reports: Vec<Report<'_>> = reports.collect();
        // Of those that say to be the same event the first counts, wherever it is filed and its body lies.
        let mut events = BTreeSet::new();
        reports.retain(|report| events.insert(report.event()));
        let bodies = Bodies::keep(&self.ports, project.id, &reports).await?;
        let parts = parts(&mut reports);
        let lines = parts.chunk_by(|part, next| is_continued(part, next));
        let lines = lines.map(|line| self.file_line(project, line, &bodies));
        let mut ended = Ok(());
        for (events, end) in join_all(lines).await {
            filed.extend(events);
            ended = worse(ended, end);
        }
        ended?;
        Ok(all.iter().map(|reports| reports.done(filed)).collect())
    }
}

/// What two ends are together: what is broken for good says more than what may pass.
fn worse(one: Result<(), PortError>, other: Result<(), PortError>) -> Result<(), PortError> {
    match (&one, &other) {
        (Err(error), Err(_)) if !error.is_transient() => one,
        (Err(_), Ok(())) => one,
        (_, Err(_)) | (Ok(()), Ok(())) => other,
    }
}

fn first(done: Vec<Done>) -> Done {
    let none = || Done::nothing("no message");
    done.into_iter().next().unwrap_or_else(none)
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
        match self.run_all(&[message]).await.pop() {
            Some(ended) => ended,
            None => Ok(Done::nothing("no message")),
        }
    }
}

#[cfg(test)]
mod tests;
