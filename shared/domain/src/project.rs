//! A product under care: its configuration, its reporting keys, its source.

use crate::Timestamp;
use crate::batch::BatchKeys;
use crate::config::Config;
use crate::id::{DsnKey, ProjectId};
use crate::record::{Kind, Record};
use serde::{Deserialize, Serialize};

/// A product under care.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// Its configuration.
    pub config: Config,
    /// Keys that may report for it.
    pub keys: Vec<DsnKey>,
    /// Where its source lives: a folder (local home) or a URL. Absent: reports only.
    pub repository: Option<String>,
    /// Which keys open its sealed batches.
    #[serde(default)]
    pub batch_keys: BatchKeys,
    /// When it was added.
    pub added_at: Timestamp,
}

impl Record for Project {
    const KIND: Kind = Kind::Project;

    fn project(&self) -> ProjectId {
        self.id
    }

    fn key(&self) -> String {
        "project".to_owned()
    }
}
