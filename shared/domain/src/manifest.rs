//! The manifest: what the server says is for this device.
//!
//! **Invariant: a manifest only points.** Each of its fields can be derived from the signed channel
//! document, and the updater does derive them and compares; what the server adds of its own is where to
//! load from and the ticket, and neither can change what is installed.

use crate::Timestamp;
use crate::channel::{ChannelRelease, DeltaTarget, Grant, HealthCheck, Package, Priority, Target};
use crate::job::Content;
use semver::Version;
use serde::{Deserialize, Serialize};

/// The version of [`Manifest`]'s written form.
pub const MANIFEST_FORMAT: u16 = 1;
/// Largest manifest that is read, bytes.
pub const MANIFEST_BYTES_MAX: usize = 256 * 1024;

/// The answer to an update check. Unknown fields are ignored: nothing here is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`MANIFEST_FORMAT`].
    pub format: u16,
    /// The version to install.
    pub version: Version,
    /// When it was built.
    pub date: Timestamp,
    /// Its changelog section.
    pub notes: String,
    /// How urgent it is.
    pub priority: Priority,
    /// Whether the product must be restarted.
    pub restart: bool,
    /// The full package.
    pub full: Target,
    /// What a device has after unpacking.
    pub content: Content,
    /// The delta from the version the device has, where there is one.
    #[serde(default)]
    pub delta: Option<DeltaTarget>,
    /// How the device tells that the installed version works.
    pub health: HealthCheck,
    /// The release statement: compact JWS, ES384.
    pub statement: String,
    /// The rollback grant where the version is lower: compact JWS, ES384.
    #[serde(default)]
    pub grant: Option<String>,
    /// Where targets are, absolute or relative to the home; by default `/tuf/{project}/targets/`.
    #[serde(default)]
    pub url: Option<String>,
    /// The ticket, for clients that do not read the `kintsugi-ticket` header.
    #[serde(default)]
    pub ticket: Option<String>,
}

impl Manifest {
    /// The manifest of a release for a device that has `installed`.
    pub fn of(
        release: &ChannelRelease,
        package: &Package,
        installed: &Version,
        grant: Option<&Grant>,
    ) -> Self {
        Self {
            format: MANIFEST_FORMAT,
            version: release.version.clone(),
            date: release.date,
            notes: release.notes.clone(),
            priority: release.priority,
            restart: release.restart,
            full: package.full.clone(),
            content: package.content.clone(),
            delta: package
                .deltas
                .iter()
                .find(|delta| delta.from == *installed)
                .cloned(),
            health: release.health.clone(),
            statement: package.statement.clone(),
            grant: grant.map(|grant| grant.statement.clone()),
            url: None,
            ticket: None,
        }
    }

    /// The first field that is not as in the other manifest; `url` and `ticket` may differ.
    pub fn first_difference(&self, other: &Self) -> Option<&'static str> {
        [
            ("format", self.format == other.format),
            ("version", self.version == other.version),
            ("date", self.date == other.date),
            ("notes", self.notes == other.notes),
            ("priority", self.priority == other.priority),
            ("restart", self.restart == other.restart),
            ("full", self.full == other.full),
            ("content", self.content == other.content),
            ("delta", self.delta == other.delta),
            ("health", self.health == other.health),
            ("statement", self.statement == other.statement),
            ("grant", self.grant == other.grant),
        ]
        .into_iter()
        .find_map(|(field, agrees)| (!agrees).then_some(field))
    }
}
