//! What devices say about their installs: each report with the ticket of an offer that was made.
//!
//! The ticket says which device, rollout and arm the report is about; the report itself only says how
//! far the install came. So strangers can neither halt a good rollout nor hide a bad one.
//!
//! A report that is sent twice is the same message. A device that reports twice in other words counts
//! once: that is the rollout stage's rule ([`kintsugi_domain::outcome::counts`]).
//!
//! Counters (`outcomes`, per project): `accepted` reports and `refused/<code>`. Reports for projects that
//! do not exist are counted under project 0, which can never be one.
//!
//! **Invariants: the ticket is opened before anything else of the report is believed. Error texts are
//! scrubbed and cut before they are handed on.**

use crate::records;
use crate::stage::Stage;
use crate::tickets::Tickets;
use async_trait::async_trait;
use kintsugi_domain::digest::Digest;
use kintsugi_domain::envelope::{ENVELOPE_FORMAT, Envelope, Message};
use kintsugi_domain::id::{MessageId, ProjectId};
use kintsugi_domain::outcome::{Outcome, OutcomeReport, Progress, REPORT_FORMAT};
use kintsugi_domain::ports::{Commit, KeyName, KeyUse, PortError, Ports};
use kintsugi_scrub::Scrubber;
use kintsugi_trust::ticket::Ticket;
pub use kintsugi_trust::ticket::TicketError;
use std::fmt;
use std::time::Duration;

/// The counter of this stage.
pub const COUNTER: &str = "outcomes";
/// Largest report, bytes.
pub const OUTCOME_BYTES_MAX: usize = 64 * 1024;
/// Greatest age of a ticket: a device may be offline for weeks between the offer and its report.
pub const TICKET_AGE_MAX: Duration = Duration::from_hours(30 * 24);
/// Characters kept of the name of a failed step.
const STEP_CHARS_MAX: usize = 64;
/// Characters kept of an error.
const ERROR_CHARS_MAX: usize = 2_000;

/// A device reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The project in the request's path.
    pub project: ProjectId,
    /// The body: an [`OutcomeReport`] as JSON. One byte over [`OUTCOME_BYTES_MAX`] is enough of a
    /// larger one.
    pub body: Vec<u8>,
}

/// What became of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// It was taken.
    Accepted,
    /// It was not, and nothing of it was kept.
    Refused(Refusal),
}

/// Why a report is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such project.
    #[error("there is no such project")]
    UnknownProject,
    /// The body is too large.
    #[error("the report is larger than {OUTCOME_BYTES_MAX} bytes")]
    TooLarge,
    /// The body is not a report of a known format.
    #[error("the body is not a report of format {REPORT_FORMAT}")]
    Malformed,
    /// Only the rollout stage may say that a device was silent.
    #[error("a device cannot report its own silence")]
    Silent,
    /// The ticket is not taken.
    #[error(transparent)]
    Ticket(#[from] TicketError),
    /// The ticket is of another project.
    #[error("the ticket is of another project")]
    OtherProject,
}

impl Refusal {
    /// A stable name for programs and counters.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownProject => "project.unknown",
            Self::TooLarge => "outcome.too_large",
            Self::Malformed => "outcome.malformed",
            Self::Silent => "outcome.silent",
            Self::Ticket(error) => error.code(),
            Self::OtherProject => "ticket.other_project",
        }
    }
}

/// The outcomes stage.
pub struct Outcomes {
    ports: Ports,
    tickets: Tickets,
}

impl Outcomes {
    /// The stage of a home.
    pub fn new(ports: Ports) -> Self {
        Self {
            tickets: Tickets::new(ports.clone()),
            ports,
        }
    }

    /// The outcome that a report stands for, its progress as the device wrote it.
    async fn admit(&self, command: &Command) -> Result<Result<Outcome, Refusal>, PortError> {
        let Some(secret) = self.tickets.secret(command.project).await? else {
            return Ok(Err(Refusal::UnknownProject));
        };
        Ok(self.read(command, &secret))
    }

    fn read(&self, command: &Command, secret: &[u8; 32]) -> Result<Outcome, Refusal> {
        if command.body.len() > OUTCOME_BYTES_MAX {
            return Err(Refusal::TooLarge);
        }
        let report: OutcomeReport =
            serde_json::from_slice(&command.body).map_err(|_| Refusal::Malformed)?;
        if report.format != REPORT_FORMAT {
            return Err(Refusal::Malformed);
        }
        let now = self.ports.now();
        let ticket = Ticket::open(&report.ticket, secret, now, TICKET_AGE_MAX)?;
        if ticket.project != command.project {
            return Err(Refusal::OtherProject);
        }
        if report.progress == Progress::Silent {
            return Err(Refusal::Silent);
        }
        Ok(Outcome {
            project: ticket.project,
            rollout: ticket.rollout,
            version: ticket.version,
            device: ticket.device,
            arm: ticket.arm,
            progress: report.progress,
            at: now,
            duration_ms: report.duration_ms,
        })
    }

    /// What is kept of a device's words: paths and messages hold people's names.
    async fn cleaned(&self, project: ProjectId, progress: Progress) -> Result<Progress, PortError> {
        let (step, error) = match progress {
            Progress::Failed { step, error } => (step, error),
            Progress::Started | Progress::Healthy | Progress::Silent => return Ok(progress),
        };
        let name = KeyName {
            project,
            key_use: KeyUse::Users,
        };
        let salt = self.ports.signer.secret(&name).await?;
        let stored = records::project(self.ports.store.as_ref(), project).await?;
        let rules = stored.map(|stored| stored.value.config.scrub);
        let scrubber =
            Scrubber::with_rules(&salt, &rules.unwrap_or_default()).map_err(|error| {
                PortError::broken(format!("the scrubbing rules of {project}"), error)
            })?;
        let clean = |path, text: &str, chars_max| {
            let (text, _) = scrubber.scrub_text(path, text);
            text.chars().take(chars_max).collect()
        };
        Ok(Progress::Failed {
            step: clean("step", &step, STEP_CHARS_MAX),
            error: clean("error", &error, ERROR_CHARS_MAX),
        })
    }

    async fn accept(&self, command: &Command, mut outcome: Outcome) -> Result<Done, PortError> {
        let project = outcome.project;
        outcome.progress = self.cleaned(project, outcome.progress).await?;
        let cause = format!("outcome/{}", Digest::of(&command.body));
        // Named by the report alone: the time of arrival is in the outcome, and a report that is sent
        // again must still be the same message.
        let id = Digest::of_parts(&[cause.as_bytes(), &project.0.to_be_bytes()]);
        let envelope = Envelope {
            format: ENVELOPE_FORMAT,
            id: MessageId::from_digest(id),
            cause,
            project,
            message: Message::Install { outcome },
            trace: None,
        };
        let commit = Commit::new()
            .add(project, COUNTER, "accepted", 1)
            .send(envelope);
        self.ports.store.commit(commit).await?;
        Ok(Done::Accepted)
    }

    async fn refuse(&self, project: ProjectId, refusal: Refusal) -> Result<Done, PortError> {
        let project = match refusal {
            Refusal::UnknownProject => ProjectId(0),
            Refusal::TooLarge
            | Refusal::Malformed
            | Refusal::Silent
            | Refusal::Ticket(_)
            | Refusal::OtherProject => project,
        };
        let field = format!("refused/{}", refusal.code());
        let commit = Commit::new().add(project, COUNTER, &field, 1);
        self.ports.store.commit(commit).await?;
        tracing::debug!(project.id = %project, code = refusal.code(), "outcome refused");
        Ok(Done::Refused(refusal))
    }
}

#[async_trait]
impl Stage for Outcomes {
    const NAME: &'static str = "outcomes";
    type Command = Command;
    type Done = Done;

    async fn run(&self, command: Command) -> Result<Done, PortError> {
        match self.admit(&command).await? {
            Ok(outcome) => self.accept(&command, outcome).await,
            Err(refusal) => self.refuse(command.project, refusal).await,
        }
    }
}

impl fmt::Debug for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outcomes").finish_non_exhaustive()
    }
}
