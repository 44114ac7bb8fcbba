//! What a stage is: one command in, one recorded answer out.
//!
//! Not here: where commands come from (`kintsugi-runtime`, the local home) and what a stage decides by
//! (`kintsugi-domain`).

use async_trait::async_trait;
use kintsugi_domain::ports::PortError;

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
    type Done;

    /// Does it. A refusal is a [`Stage::Done`]; an error means only that the world failed.
    async fn run(&self, command: Self::Command) -> Result<Self::Done, PortError>;
}
