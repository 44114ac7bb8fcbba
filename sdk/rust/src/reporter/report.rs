//! One report, as the product makes it.

use super::trace::Trace;
use super::{Crumbs, Level, ReportKind};
use kintsugi_domain::Timestamp;
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

/// Causes that are followed.
const CAUSES_MAX: usize = 20;

/// One report. Its texts may hold anything: personal data and secrets are removed before it is stored or sent.
#[derive(Debug, Default)]
pub struct Report {
    pub(super) kind: ReportKind,
    pub(super) level: Option<Level>,
    pub(super) message: Option<String>,
    /// Type and message, the cause first.
    pub(super) exceptions: Vec<(String, String)>,
    pub(super) is_unhandled: bool,
    pub(super) trace: Option<Trace>,
    /// Where it happened: file and line.
    pub(super) place: Option<(String, u32)>,
    pub(super) user: Option<String>,
    pub(super) transaction: Option<String>,
    pub(super) tags: BTreeMap<String, String>,
    /// The session that it belongs to.
    pub(super) sid: Option<String>,
    pub(super) at: Option<Timestamp>,
    pub(super) crumbs: Arc<Crumbs>,
    /// How often consent had been withdrawn when it was made.
    pub(super) withdrawals: u64,
}

impl Report {
    /// A report of a kind.
    pub fn new(kind: ReportKind) -> Self {
        Self {
            kind,
            ..Self::default()
        }
    }

    /// Something failed, by its type and message.
    pub fn error(kind: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            exceptions: vec![(kind.into(), message.into())],
            ..Self::default()
        }
    }

    /// Something failed, with its causes. `T`'s name is the type; causes have only messages.
    pub fn of<T: Error + 'static>(error: &T) -> Self {
        let name = std::any::type_name::<T>();
        let mut chain = vec![(name.to_owned(), error.to_string())];
        let mut cause = error.source();
        while let Some(found) = cause.filter(|_| chain.len() < CAUSES_MAX) {
            chain.push(("cause".to_owned(), found.to_string()));
            cause = found.source();
        }
        chain.reverse();
        Self {
            exceptions: chain,
            ..Self::default()
        }
    }

    /// Source that did not compile, by the compiler's own code (`E0308`).
    pub fn compilation_error(code: impl Into<String>, message: impl Into<String>) -> Self {
        let mut report = Self::new(ReportKind::CompilationError).tag("compiler.code", code);
        report.exceptions = vec![("CompilationError".to_owned(), message.into())];
        report
    }

    /// A setting was changed. Its value is not told.
    pub fn setting(name: impl Into<String>) -> Self {
        Self::new(ReportKind::ConfigurationChange).tag("setting", name)
    }

    /// A feature was used.
    pub fn feature(name: impl Into<String>) -> Self {
        Self::new(ReportKind::FeatureUsage).tag("feature", name)
    }

    /// With a message.
    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = Some(message.into());
        self
    }

    /// With a level other than that of its kind.
    #[must_use]
    pub fn level(mut self, level: Level) -> Self {
        self.level = Some(level);
        self
    }

    /// With a label that people can search for.
    #[must_use]
    pub fn tag(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(name.into(), value.into());
        self
    }

    /// With who met it. Only a salted hash leaves the machine.
    #[must_use]
    pub fn user(mut self, id: impl Into<String>) -> Self {
        self.user = Some(id.into());
        self
    }

    /// With what was running.
    #[must_use]
    pub fn transaction(mut self, name: impl Into<String>) -> Self {
        self.transaction = Some(name.into());
        self
    }

    /// With where this is called. Taking it costs the caller microseconds; names are found by the worker.
    #[must_use]
    pub fn with_backtrace(mut self) -> Self {
        self.trace = Some(Trace::here());
        self
    }
}
