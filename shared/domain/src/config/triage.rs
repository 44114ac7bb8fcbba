//! `[triage]`: how issues are ranked.

use super::list;
use serde::{Deserialize, Serialize};

/// How issues are ranked (ledger A13, C2). Words are matched in lowercase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TriageRules {
    /// Modules or functions that the product cannot do without.
    pub core_features: Vec<String>,
    /// Words of critical severity.
    pub critical_words: Vec<String>,
    /// Words of high severity.
    pub high_words: Vec<String>,
    /// Words that mean a security impact.
    pub security_words: Vec<String>,
    /// Words that mean a loss of data.
    pub data_loss_words: Vec<String>,
    /// Words that mean a performance impact.
    pub performance_words: Vec<String>,
    /// Words that mean that users cannot go on.
    pub blocking_words: Vec<String>,
    /// Devices or users of the product, for shares; 0 when unknown.
    pub fleet: u64,
}

impl Default for TriageRules {
    fn default() -> Self {
        Self {
            core_features: Vec::new(),
            critical_words: list(&["security", "xss", "injection", "unauthorized", "crash"]),
            high_words: list(&[
                "feature fail",
                "network error",
                "timeout",
                "permission denied",
            ]),
            security_words: list(&["security", "xss", "injection", "unauthorized"]),
            data_loss_words: list(&["data loss", "corrupt", "lost data"]),
            performance_words: list(&["slow", "timeout", "performance"]),
            blocking_words: list(&["cannot start", "blocked", "deadlock"]),
            fleet: 0,
        }
    }
}
