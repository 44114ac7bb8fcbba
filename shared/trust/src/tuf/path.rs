//! Names of targets, safe to join to a folder or an address.

use serde::{Deserialize, Serialize};
use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

/// Longest target path, bytes.
const PATH_BYTES_MAX: usize = 512;

/// A text that is not a safe target path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("target path {path:?} {why}")]
pub struct InvalidTargetPath {
    /// The text.
    pub path: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl InvalidTargetPath {
    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        "tuf.target_path"
    }
}

/// The name of a target: relative, `/`-separated, without `.`, `..`, empty parts, backslashes, colons
/// and control characters, at most 512 bytes. It cannot leave the folder it is joined to, on any system.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TargetPath(String);

impl TargetPath {
    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name under which a repository with consistent snapshots serves it: `dir/<digest>.<name>`.
    pub fn hashed_name(&self, digest: &impl fmt::Display) -> String {
        match self.0.rsplit_once('/') {
            Some((folder, name)) => format!("{folder}/{digest}.{name}"),
            None => format!("{digest}.{}", self.0),
        }
    }
}

impl FromStr for TargetPath {
    type Err = InvalidTargetPath;

    fn from_str(text: &str) -> Result<Self, InvalidTargetPath> {
        let why = if text.is_empty() || text.len() > PATH_BYTES_MAX {
            "must have 1 to 512 bytes"
        } else if text.contains(['\\', ':']) {
            "has a backslash or a colon"
        } else if text.chars().any(char::is_control) {
            "has a control character"
        } else if text.split('/').any(|part| matches!(part, "" | "." | "..")) {
            "is absolute, or has an empty part, `.` or `..`"
        } else {
            return Ok(Self(text.to_owned()));
        };
        Err(InvalidTargetPath {
            path: text.chars().take(PATH_BYTES_MAX).collect(),
            why,
        })
    }
}

impl TryFrom<String> for TargetPath {
    type Error = InvalidTargetPath;

    fn try_from(text: String) -> Result<Self, InvalidTargetPath> {
        text.parse()
    }
}

impl From<TargetPath> for String {
    fn from(path: TargetPath) -> Self {
        path.0
    }
}

impl Borrow<str> for TargetPath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TargetPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
