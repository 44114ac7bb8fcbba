//! `[ingest]`: what is kept of reports beyond what always is.

use serde::{Deserialize, Serialize};

/// What is kept of reports beyond what always is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IngestRules {
    /// Whether attachments that are no text are kept: screenshots, archives. **Nobody can look into them for what must not be
    /// stored**, so they are dropped unless a project says otherwise.
    pub keep_binary_attachments: bool,
}
