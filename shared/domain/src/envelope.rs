//! Messages between stages. One envelope type; bodies carry ids, not things (except small reports).

mod read;

use crate::event::Body;
use crate::id::{
    AlertId, BundleId, FixId, IssueId, JobId, MessageId, ProjectId, ReleaseId, RolloutId,
};
use crate::outcome::Outcome;
use crate::trace::TraceId;
use serde::{Deserialize, Serialize};
use serde_json::error::Category;
use std::fmt;

/// The version of [`Envelope`]'s written form.
pub const ENVELOPE_FORMAT: u16 = 1;

/// The queues, named for what waits in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Queue {
    /// Accepted reports; read by triage.
    Events,
    /// Issues to diagnose; read by diagnose.
    Diagnoses,
    /// Issues to fix and finished searches; read by fix.
    Fixes,
    /// Orders for the build engine.
    Jobs,
    /// Approved fixes; read by schedule.
    Trains,
    /// Bundles to build and finished builds; read by bundle.
    Bundles,
    /// What to sign and publish; read by sign.
    Signing,
    /// Published releases; read by rollout.
    Rollouts,
    /// Install outcomes; read by rollout.
    Outcomes,
    /// Ordered rollbacks; read by rollback.
    Rollbacks,
    /// Alerts; read by notify.
    Alerts,
}

impl Queue {
    /// Every queue, in the order of the loop.
    pub const ALL: [Self; 11] = [
        Self::Events,
        Self::Diagnoses,
        Self::Fixes,
        Self::Jobs,
        Self::Trains,
        Self::Bundles,
        Self::Signing,
        Self::Rollouts,
        Self::Outcomes,
        Self::Rollbacks,
        Self::Alerts,
    ];

    /// The name used in tables, logs and templates.
    pub fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Diagnoses => "diagnoses",
            Self::Fixes => "fixes",
            Self::Jobs => "jobs",
            Self::Trains => "trains",
            Self::Bundles => "bundles",
            Self::Signing => "signing",
            Self::Rollouts => "rollouts",
            Self::Outcomes => "outcomes",
            Self::Rollbacks => "rollbacks",
            Self::Alerts => "alerts",
        }
    }

    /// The queue of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|queue| queue.name() == name)
    }
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A message with its address and its history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// [`ENVELOPE_FORMAT`].
    pub format: u16,
    /// This message. Sending the same message twice is the same message.
    pub id: MessageId,
    /// What brought it about: another message, an event, a tick or a request.
    pub cause: String,
    /// The project it concerns.
    pub project: ProjectId,
    /// What it says.
    pub message: Message,
    /// The trace of what brought it about, for those who follow it; decides nothing and is no part of the id. Messages
    /// from before there were traces have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceId>,
}

/// What came is not what it should be. Says where and never what: reports are written to logs and lists.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not {expected}: {kind} at line {line}, column {column}")]
pub struct Unreadable {
    expected: &'static str,
    kind: &'static str,
    line: usize,
    column: usize,
}

impl Unreadable {
    pub(crate) fn new(expected: &'static str, error: &serde_json::Error) -> Self {
        Self {
            expected,
            kind: match error.classify() {
                Category::Data => "something else than expected",
                Category::Eof => "the end",
                Category::Io | Category::Syntax => "no JSON",
            },
            line: error.line(),
            column: error.column(),
        }
    }
}

impl Envelope {
    /// An envelope around a message. Its id is derived from cause and content, so a stage that is run
    /// again for the same cause writes the same message.
    pub fn new(cause: impl Into<String>, project: ProjectId, message: Message) -> Self {
        let cause = cause.into();
        // A message is made of strings, numbers and maps with string keys: it always serialises.
        let body = serde_json::to_vec(&message).unwrap_or_default();
        let digest =
            crate::digest::Digest::of_parts(&[cause.as_bytes(), &project.0.to_be_bytes(), &body]);
        Self {
            format: ENVELOPE_FORMAT,
            id: MessageId::from_digest(digest),
            cause,
            project,
            message,
            trace: None,
        }
    }

    /// Reads what came by a queue.
    pub fn read(text: &str) -> Result<Self, Unreadable> {
        serde_json::from_str(text).map_err(|error| Unreadable::new("an envelope", &error))
    }

    /// The queue it goes to.
    pub fn queue(&self) -> Queue {
        self.message.queue()
    }
}

/// What stages say to each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", tag = "type", rename_all = "snake_case")]
pub enum Message {
    /// Reports were accepted and ride in the message.
    Reported {
        /// The reports.
        events: Vec<Body>,
    },
    /// Reports were accepted and lie in a stored batch (a JSON array of events).
    ReportedBatch {
        /// The blob's key.
        blob: String,
    },
    /// Diagnose an issue.
    Diagnose {
        /// The issue.
        issue: IssueId,
    },
    /// Find a fix for a diagnosed issue.
    FindFix {
        /// The issue.
        issue: IssueId,
    },
    /// A search for fixes has ended; judge it.
    SearchDone {
        /// The job.
        job: JobId,
    },
    /// A person approved or refused a fix.
    FixReviewed {
        /// The fix.
        fix: FixId,
        /// Whether it may depart.
        approved: bool,
        /// Who decided.
        by: String,
    },
    /// Work for the build engine.
    RunJob {
        /// The job.
        job: JobId,
    },
    /// A fix may depart.
    FixApproved {
        /// The fix.
        fix: FixId,
    },
    /// Build a bundle.
    BuildBundle {
        /// The bundle.
        bundle: BundleId,
    },
    /// A build has ended; judge it.
    BuildDone {
        /// The job.
        job: JobId,
    },
    /// Sign a packaged bundle's release and publish it.
    SignRelease {
        /// The release.
        release: ReleaseId,
    },
    /// Something that the channel document says has changed; publish a new one.
    Publish {
        /// The channel.
        channel: String,
    },
    /// A release was published; roll it out.
    StartRollout {
        /// The release.
        release: ReleaseId,
    },
    /// A device said how an install went.
    Install {
        /// What it said, its ticket checked.
        outcome: Outcome,
    },
    /// Bring devices back from a release.
    RollBack {
        /// The rollout.
        rollout: RolloutId,
        /// Why.
        reason: String,
        /// Who or what decided.
        by: String,
    },
    /// Tell people.
    Alert {
        /// The alert.
        alert: AlertId,
    },
}

impl Message {
    /// The queue this message goes to.
    pub fn queue(&self) -> Queue {
        match self {
            Self::Reported { .. } | Self::ReportedBatch { .. } => Queue::Events,
            Self::Diagnose { .. } => Queue::Diagnoses,
            Self::FindFix { .. } | Self::SearchDone { .. } | Self::FixReviewed { .. } => {
                Queue::Fixes
            }
            Self::RunJob { .. } => Queue::Jobs,
            Self::FixApproved { .. } => Queue::Trains,
            Self::BuildBundle { .. } | Self::BuildDone { .. } => Queue::Bundles,
            Self::SignRelease { .. } | Self::Publish { .. } => Queue::Signing,
            Self::StartRollout { .. } => Queue::Rollouts,
            Self::Install { .. } => Queue::Outcomes,
            Self::RollBack { .. } => Queue::Rollbacks,
            Self::Alert { .. } => Queue::Alerts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_cause_and_message_make_the_same_id() {
        let message = || Message::Publish {
            channel: "stable".into(),
        };
        let first = Envelope::new("tick-1", ProjectId(1), message());
        assert_eq!(
            first.id,
            Envelope::new("tick-1", ProjectId(1), message()).id
        );
        assert_ne!(
            first.id,
            Envelope::new("tick-2", ProjectId(1), message()).id
        );
    }

    #[test]
    fn a_message_from_before_there_were_traces_is_read_and_written_as_it_was() {
        let message = Message::Publish {
            channel: "stable".into(),
        };
        let mut envelope = Envelope::new("tick-1", ProjectId(1), message);
        let old = serde_json::to_string(&envelope).unwrap();
        assert!(!old.contains("trace"), "{old}");
        assert_eq!(serde_json::from_str::<Envelope>(&old).unwrap(), envelope);

        let id = envelope.id.clone();
        envelope.trace = "4bf92f3577b34da6a3ce929d0e0e4736".parse().ok();
        let new = serde_json::to_string(&envelope).unwrap();
        assert!(
            new.ends_with(r#","trace":"4bf92f3577b34da6a3ce929d0e0e4736"}"#),
            "{new}"
        );
        assert_eq!(serde_json::from_str::<Envelope>(&new).unwrap(), envelope);
        assert_eq!(envelope.id, id);
    }

    #[test]
    fn reports_are_read_wherever_their_type_stands_and_refused_where_they_are_none() {
        let event = r#"{"id":"0123456789abcdef0123456789abcdef","project":1,"occurred_at":"2026-01-01T00:00:00Z",
            "received_at":"2026-01-01T00:00:00Z","level":"error","platform":"python","exceptions":[],"breadcrumbs":[],
            "fingerprint":[],"tags":{},"system":{},"remarks":[]}"#;
        let read = |text: &str| serde_json::from_str::<Message>(text);
        let first = read(&format!(r#"{{"type":"reported","events":[{event}]}}"#)).unwrap();
        let Message::Reported { events } = &first else {
            panic!("{first:?}");
        };
        assert_eq!(events.len(), 1);
        for text in [
            format!(r#"{{"events":[{event}],"type":"reported"}}"#),
            format!(r#"{{"type":"reported","more":[1,{{}}],"events":[{event}]}}"#),
            serde_json::to_string(&first).unwrap(),
        ] {
            assert_eq!(read(&text).unwrap(), first, "{text}");
        }
        for text in [
            r#"{"type":"reported"}"#,
            r#"{"type":"reported","events":[],"events":[]}"#,
            r#"{"events":[]}"#,
            r#"{"type":"unknown","events":[]}"#,
            "[]",
            "{}",
        ] {
            read(text).unwrap_err();
        }
    }

    #[test]
    fn what_is_no_envelope_is_refused_with_its_place_and_without_its_content() {
        for (text, why) in [
            ("{\"format\": ", "the end at line 1, column 11"),
            ("secret", "no JSON at line 1, column 1"),
            (
                "{\"format\": \"secret\"}",
                "something else than expected at line 1, column 19",
            ),
        ] {
            let error = Envelope::read(text).unwrap_err();
            assert_eq!(error.to_string(), format!("not an envelope: {why}"));
        }
    }

    #[test]
    fn every_queue_is_found_by_its_name() {
        for queue in Queue::ALL {
            assert_eq!(Queue::named(queue.name()), Some(queue));
        }
    }
}
