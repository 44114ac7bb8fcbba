//! Everything that can keep an update from happening, each with a stable code.
//!
//! **Invariant: an error leaves the installed version untouched.** What was begun is either undone at
//! once or finished by the recovery at the next start.

use semver::Version;
use std::path::{Path, PathBuf};

/// Why the updater stopped.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// The device's settings cannot be used.
    #[error("settings {path}: {why}")]
    Settings {
        /// The file, or the field.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// Another updater works in this folder.
    #[error("another updater is at work in {dir}")]
    Busy {
        /// The folder.
        dir: PathBuf,
    },
    /// The disk, or the rights on it.
    #[error("cannot {doing} {path}: {source}")]
    Disk {
        /// The verb.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The home did not answer.
    #[error("{url} cannot be reached: {why}")]
    Unreachable {
        /// What was asked.
        url: String,
        /// What happened.
        why: String,
    },
    /// The home answered something else than the protocol allows.
    #[error("{url} answered {status}")]
    Status {
        /// What was asked.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// A body is larger than it may be.
    #[error("{what} is larger than {limit} bytes")]
    TooLarge {
        /// What it was.
        what: String,
        /// The bound, bytes.
        limit: u64,
    },
    /// The signed metadata does not hold: signature, expiry, version, hash.
    #[error("metadata refused: {why}")]
    Metadata {
        /// The file: `root.json`, `timestamp.json` …
        file: String,
        /// What does not hold.
        why: String,
    },
    /// The channel document is not what its place says.
    #[error("channel document refused: {why}")]
    Document {
        /// What is wrong.
        why: String,
    },
    /// The manifest cannot be read.
    #[error("manifest refused: {why}")]
    Manifest {
        /// What is wrong.
        why: String,
    },
    /// The manifest says something else than the signed channel document.
    #[error("manifest refused: its {field} is not that of the signed channel document")]
    ManifestDiffers {
        /// The field.
        field: &'static str,
    },
    /// The server offers what the signed document does not offer to this device.
    #[error("{offered} is offered, but the signed channel document says: {decided}")]
    OfferNotInDocument {
        /// What the server offered.
        offered: Version,
        /// What the document's decision is.
        decided: String,
    },
    /// A revoked version is offered.
    #[error("{version} is offered and it is revoked")]
    Revoked {
        /// The version.
        version: Version,
    },
    /// A lower version is offered without permission.
    #[error("{to} is offered, which is lower than the installed {from}, without a signed grant")]
    DowngradeWithoutGrant {
        /// What is installed.
        from: Version,
        /// What is offered.
        to: Version,
    },
    /// The permission to go down does not hold.
    #[error("rollback grant refused: {why}")]
    Grant {
        /// What does not hold.
        why: String,
    },
    /// A version is offered that jumps over one that devices must pass through.
    #[error("{offered} is offered, which jumps over the required stop {stop}")]
    RequiredStopSkipped {
        /// What is offered.
        offered: Version,
        /// The stop.
        stop: Version,
    },
    /// The release statement does not hold.
    #[error("release statement refused: {why}")]
    Statement {
        /// What does not hold.
        why: String,
    },
    /// A file is not a signed target, or not as the channel document describes it.
    #[error("{path} is not listed in the signed targets as the channel document has it")]
    TargetNotListed {
        /// The target path.
        path: String,
    },
    /// A downloaded file is not the signed one.
    #[error("{path} is not the signed file: its digest differs")]
    FileTampered {
        /// The target path.
        path: String,
    },
    /// The unpacked archive is not the signed content.
    #[error("the content of {version} is not the signed one: its digest or length differs")]
    ContentTampered {
        /// The version.
        version: Version,
    },
    /// A package or delta that is signed, but cannot be used.
    #[error("{what} cannot be used: {why}")]
    Package {
        /// `package`, `delta` or `archive`.
        what: &'static str,
        /// What is wrong.
        why: String,
    },
    /// A file of the updater's own cannot be read.
    #[error("{path} is damaged: {why}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// There is nothing installed that could be checked.
    #[error("nothing is installed")]
    NothingInstalled,
    /// This system has no way to do it yet.
    #[error("{what} is not supported on this system")]
    Unsupported {
        /// What was wanted.
        what: &'static str,
    },
}

/// What a person can do about an error: one exit code of the command line each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorKind {
    /// Correct the settings.
    Settings,
    /// Wait: the home cannot be reached or is in trouble.
    Unreachable,
    /// Nothing: what came was refused.
    Refused,
    /// Make room, give rights.
    Disk,
    /// Wait for the other updater.
    Busy,
}

impl UpdateError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Settings { .. } => "settings_invalid",
            Self::Busy { .. } => "busy",
            Self::Disk { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                "disk_full"
            }
            Self::Disk { .. } => "disk",
            Self::Unreachable { .. } => "unreachable",
            Self::Status { .. } => "unexpected_status",
            Self::TooLarge { .. } => "too_large",
            Self::Metadata { .. } => "metadata_refused",
            Self::Document { .. } => "document_refused",
            Self::Manifest { .. } => "manifest_invalid",
            Self::ManifestDiffers { .. } => "manifest_differs",
            Self::OfferNotInDocument { .. } => "offer_not_in_document",
            Self::Revoked { .. } => "revoked_version",
            Self::DowngradeWithoutGrant { .. } => "downgrade_without_grant",
            Self::Grant { .. } => "grant_refused",
            Self::RequiredStopSkipped { .. } => "required_stop_skipped",
            Self::Statement { .. } => "statement_refused",
            Self::TargetNotListed { .. } => "target_not_listed",
            Self::FileTampered { .. } => "file_tampered",
            Self::ContentTampered { .. } => "content_tampered",
            Self::Package { .. } => "package_refused",
            Self::Damaged { .. } => "state_damaged",
            Self::NothingInstalled => "nothing_installed",
            Self::Unsupported { .. } => "unsupported",
        }
    }

    /// What a person can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Settings { .. } | Self::Unsupported { .. } | Self::NothingInstalled => {
                ErrorKind::Settings
            }
            Self::Busy { .. } => ErrorKind::Busy,
            Self::Disk { .. } | Self::Damaged { .. } => ErrorKind::Disk,
            Self::Unreachable { .. } | Self::Status { .. } => ErrorKind::Unreachable,
            Self::TooLarge { .. }
            | Self::Metadata { .. }
            | Self::Document { .. }
            | Self::Manifest { .. }
            | Self::ManifestDiffers { .. }
            | Self::OfferNotInDocument { .. }
            | Self::Revoked { .. }
            | Self::DowngradeWithoutGrant { .. }
            | Self::Grant { .. }
            | Self::RequiredStopSkipped { .. }
            | Self::Statement { .. }
            | Self::TargetNotListed { .. }
            | Self::FileTampered { .. }
            | Self::ContentTampered { .. }
            | Self::Package { .. } => ErrorKind::Refused,
        }
    }

    /// Whether the same attempt may work later without anybody's doing.
    pub fn is_transient(&self) -> bool {
        matches!(self.kind(), ErrorKind::Unreachable | ErrorKind::Busy)
    }
}

/// Adds what was being done, and to what, to an error of the system.
pub(crate) trait OnPath<T> {
    /// The same result with the verb and the path.
    fn on(self, doing: &'static str, path: &Path) -> Result<T, UpdateError>;
}

impl<T> OnPath<T> for std::io::Result<T> {
    fn on(self, doing: &'static str, path: &Path) -> Result<T, UpdateError> {
        self.map_err(|source| UpdateError::Disk {
            doing,
            path: path.to_owned(),
            source,
        })
    }
}
