//! What can go wrong with the box itself.
//!
//! Not here: what the boxed program does. A crash, a time-out or a refused write of the program is
//! a [`Finished`](crate::Finished), not an error.

use std::io;

/// Why a box could not be built, or could not be trusted.
///
/// **Whichever variant it is, nothing ran unboxed.**
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// This machine cannot build a box; the sentence names what is missing and what to do.
    #[error("no sandbox on this machine: {reason}")]
    Unavailable {
        /// What is missing and what to do about it.
        reason: String,
    },
    /// A box was built, but the probe inside saw something it must not see.
    #[error("the sandbox leaks: {what}")]
    Leaky {
        /// What the probe could see or do.
        what: String,
    },
    /// The box for this job could not be built; its program was not started.
    #[error("the box could not be set up: {detail}")]
    SetUp {
        /// The step that failed, as the kernel or the set-up reported it.
        detail: String,
    },
    /// The job itself makes no sense: a missing folder, an empty command, a bad variable name.
    #[error("bad job: {what}")]
    BadJob {
        /// What is wrong with it.
        what: String,
    },
    /// No usable Python on this machine.
    #[error("no python3: {detail}")]
    NoPython {
        /// What was tried and what came back.
        detail: String,
    },
    /// The host refused something the supervisor needs.
    #[error("{what}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// What the host said.
        #[source]
        source: io::Error,
    },
}

impl SandboxError {
    /// The stable name of this kind of failure, for records and logs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "sandbox_unavailable",
            Self::Leaky { .. } => "sandbox_leaky",
            Self::SetUp { .. } => "sandbox_set_up",
            Self::BadJob { .. } => "sandbox_bad_job",
            Self::NoPython { .. } => "sandbox_no_python",
            Self::Io { .. } => "sandbox_io",
        }
    }

    /// Whether the same job may well succeed later on the same machine.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::SetUp { .. } | Self::Io { .. } => true,
            Self::Unavailable { .. }
            | Self::Leaky { .. }
            | Self::BadJob { .. }
            | Self::NoPython { .. } => false,
        }
    }

    pub(crate) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }

    pub(crate) fn set_up(detail: impl Into<String>) -> Self {
        Self::SetUp {
            detail: detail.into(),
        }
    }

    pub(crate) fn bad_job(what: impl Into<String>) -> Self {
        Self::BadJob { what: what.into() }
    }
}
