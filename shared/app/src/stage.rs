//! What a stage is: one command in, one recorded answer out.
//!
//! Not here: where commands come from (`kintsugi-runtime`, [`crate::worker`]) and what a stage decides
//! by (`kintsugi-domain`).

use async_trait::async_trait;
use kintsugi_domain::envelope::{Envelope, Message};
use kintsugi_domain::limits::CONFLICT_RETRIES_MAX;
use kintsugi_domain::ports::PortError;
use kintsugi_domain::state::IllegalTransition;
use std::sync::Arc;

/// One stage of the pipeline.
///
/// **Running the same command twice is the same as running it once.** Delivery is at least once.
#[async_trait]
pub trait Stage: Send + Sync {
    /// The stage's name in logs, tables and templates.
    const NAME: &'static str;
    /// What it is asked to do.
    type Command: Send;
    /// What was done, or why nothing was: every command ends in one of these.
    type Done: Send;

    /// Does it. A refusal is a [`Stage::Done`]; an error means only that the world failed.
    async fn run(&self, command: Self::Command) -> Result<Self::Done, PortError>;
}

/// What wakes a stage that is not behind HTTP.
#[derive(Debug, Clone, PartialEq)]
pub enum Wake {
    /// A message of one of its queues.
    Message(Arc<Envelope>),
    /// The clock: look at what time alone changes.
    Tick,
}

impl Wake {
    /// The message and its envelope, if it is one.
    pub fn message(&self) -> Option<(&Envelope, &Message)> {
        match self {
            Self::Message(envelope) => Some((envelope, &envelope.message)),
            Self::Tick => None,
        }
    }
}

/// How a wake ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// Something changed, and what.
    Did(String),
    /// Nothing had to change, and why: it was done before, or what it was about is gone or moved on.
    Nothing(String),
}

impl Done {
    /// Something changed.
    pub fn did(what: impl Into<String>) -> Self {
        Self::Did(what.into())
    }

    /// Nothing had to change.
    pub fn nothing(why: impl Into<String>) -> Self {
        Self::Nothing(why.into())
    }
}

/// A message that came too late, or twice: the state machine has no such move from where the record is
/// now, so there is nothing to do.
impl From<IllegalTransition> for Done {
    fn from(refused: IllegalTransition) -> Self {
        Self::Nothing(refused.to_string())
    }
}

/// Makes a move on a record inside a function that answers with [`Done`]; a move that the record's
/// state machine does not have ends it with [`Done::Nothing`].
macro_rules! step {
    ($record:expr, $move:expr, $at:expr, $by:expr, $why:expr) => {
        if let Err(refused) = $record.step($move, $at, $by, $why) {
            return Ok(crate::stage::Done::from(refused));
        }
    };
}
pub(crate) use step;

/// Runs a stage until its decision holds: a commit that lost against another one is decided again on
/// what is there now.
pub async fn settle<S>(stage: &S, wake: &Wake) -> Result<Done, PortError>
where
    S: Stage<Command = Wake, Done = Done>,
{
    let mut lost = 0;
    loop {
        match stage.run(wake.clone()).await {
            Err(PortError::Conflict { .. }) if lost < CONFLICT_RETRIES_MAX => lost += 1,
            ended => return ended,
        }
    }
}

/// The error for a message that went to the wrong stage: somebody wired the queues wrongly.
pub(crate) fn not_mine(stage: &str, wake: &Wake) -> PortError {
    match wake {
        Wake::Message(envelope) => PortError::broken(
            format!("message {} of queue {}", envelope.id, envelope.queue()),
            format!("it came to the {stage} stage, which does not read that queue"),
        ),
        Wake::Tick => PortError::broken("a tick", format!("the {stage} stage has no schedule")),
    }
}
