//! What kinds of things our own reporter tells of, and how bad a text sounds.
//!
//! A kind rides in the member `kind` of an event. Kinds that tell of trouble become events and issues; the others are only
//! counted.
//!
//! Not here: the severity that triage gives an issue ([`crate::score`]), which knows more than one text.

use crate::event::Level;
use serde::{Deserialize, Serialize};

/// What a report tells of.
#[derive(
    Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum ReportKind {
    /// Something failed and the program went on.
    #[default]
    Error,
    /// The program ended: an exception that nobody caught, a panic.
    UnhandledException,
    /// Source that did not compile.
    CompilationError,
    /// Input that is not what it must be.
    ValidationError,
    /// Something is slower than it should be.
    PerformanceDegradation,
    /// A limit of requests is nearly used up.
    RateLimitApproaching,
    /// Memory runs low.
    MemoryPressure,
    /// A query took too long.
    SlowQuery,
    /// A feature was used.
    FeatureUsage,
    /// A setting was changed.
    ConfigurationChange,
    /// A session began.
    SessionStart,
    /// A session ended.
    SessionEnd,
}

impl ReportKind {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::Error,
        Self::UnhandledException,
        Self::CompilationError,
        Self::ValidationError,
        Self::PerformanceDegradation,
        Self::RateLimitApproaching,
        Self::MemoryPressure,
        Self::SlowQuery,
        Self::FeatureUsage,
        Self::ConfigurationChange,
        Self::SessionStart,
        Self::SessionEnd,
    ];

    /// The name on the wire and in counters.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::UnhandledException => "unhandled_exception",
            Self::CompilationError => "compilation_error",
            Self::ValidationError => "validation_error",
            Self::PerformanceDegradation => "performance_degradation",
            Self::RateLimitApproaching => "rate_limit_approaching",
            Self::MemoryPressure => "memory_pressure",
            Self::SlowQuery => "slow_query",
            Self::FeatureUsage => "feature_usage",
            Self::ConfigurationChange => "configuration_change",
            Self::SessionStart => "session_start",
            Self::SessionEnd => "session_end",
        }
    }

    /// The kind of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether it tells of trouble: such become events. The others are counted.
    pub fn is_trouble(self) -> bool {
        match self {
            Self::Error
            | Self::UnhandledException
            | Self::CompilationError
            | Self::ValidationError
            | Self::PerformanceDegradation
            | Self::RateLimitApproaching
            | Self::MemoryPressure
            | Self::SlowQuery => true,
            Self::FeatureUsage
            | Self::ConfigurationChange
            | Self::SessionStart
            | Self::SessionEnd => false,
        }
    }

    /// The level of such a report where nobody says more.
    pub fn level(self) -> Level {
        match self {
            Self::UnhandledException => Level::Fatal,
            Self::Error | Self::CompilationError | Self::ValidationError => Level::Error,
            Self::PerformanceDegradation
            | Self::RateLimitApproaching
            | Self::MemoryPressure
            | Self::SlowQuery => Level::Warning,
            Self::FeatureUsage
            | Self::ConfigurationChange
            | Self::SessionStart
            | Self::SessionEnd => Level::Info,
        }
    }
}

/// How bad a text sounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Nothing in it says more.
    Medium,
    /// A feature, the network or a permission failed.
    High,
    /// Security, or the program's end: it is sent at once.
    Critical,
}

impl Severity {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// Words of trouble that cannot wait, lowercase; a word counts where no letter or digit stands right before it.
const CRITICAL: [&str; 10] = [
    "security",
    "xss",
    "injection",
    "unauthorized",
    "unauthorised",
    "crash",
    "segfault",
    "segmentation fault",
    "out of memory",
    "data loss",
];
/// Words of serious trouble.
const HIGH: [&str; 12] = [
    "feature fail",
    "failed to load",
    "network error",
    "connection refused",
    "connection reset",
    "timeout",
    "timed out",
    "time-out",
    "permission denied",
    "access denied",
    "forbidden",
    "unreachable",
];
/// Bytes of a text that are looked at: what matters stands in front, and the caller waits.
const LOOKED_AT_BYTES_MAX: usize = 4_096;

/// How bad a text sounds, by the words in its first 4 KiB. Case does not matter.
pub fn severity(text: &str) -> Severity {
    let bytes = text.as_bytes();
    let bytes = bytes.get(..LOOKED_AT_BYTES_MAX).unwrap_or(bytes);
    let text = bytes.to_ascii_lowercase();
    if CRITICAL.iter().any(|word| holds(&text, word)) {
        Severity::Critical
    } else if HIGH.iter().any(|word| holds(&text, word)) {
        Severity::High
    } else {
        Severity::Medium
    }
}

/// Whether a word begins somewhere in a text.
fn holds(text: &[u8], word: &str) -> bool {
    let word = word.as_bytes();
    let mut before = b' ';
    text.windows(word.len()).any(|window| {
        let begins = !before.is_ascii_alphanumeric();
        before = window.first().copied().unwrap_or(b' ');
        begins && window == word
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_names_of_their_own() {
        for kind in ReportKind::ALL {
            assert_eq!(ReportKind::named(kind.name()), Some(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
        assert_eq!(ReportKind::named("other"), None);
    }

    #[test]
    fn words_say_how_bad_it_is() {
        for (text, severity_of) in [
            ("SQL Injection in login", Severity::Critical),
            ("401 Unauthorized", Severity::Critical),
            ("the app crashed", Severity::Critical),
            ("possible XSS", Severity::Critical),
            ("request timeout after 30 s", Severity::High),
            ("EACCES: permission denied", Severity::High),
            ("Network Error", Severity::High),
            ("division by zero", Severity::Medium),
            ("insecurity", Severity::Medium),
            ("", Severity::Medium),
            ("größe über", Severity::Medium),
        ] {
            assert_eq!(severity(text), severity_of, "{text}");
        }
        let far = format!("{} security", "x".repeat(LOOKED_AT_BYTES_MAX));
        assert_eq!(severity(&far), Severity::Medium);
    }
}
