//! One run, from the check to the report, and its summary for people and programs.

use super::install::{Installation, shown};
use super::{Checked, MetadataVersions, Source, UpdateError, Updater};
use kintsugi_domain::id::DeviceId;
use semver::Version;
use serde::Serialize;

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Outcome {
    /// Nothing to install.
    Stayed {
        /// Why.
        why: String,
        /// What was offered and not taken because it failed here before.
        declined: Option<Version>,
        /// The result of a health check that was asked for: nothing where none was.
        healthy: Option<bool>,
        /// What the health check said, where it failed.
        reason: Option<String>,
    },
    /// A version was installed and is healthy.
    Installed {
        /// The version.
        version: Version,
        /// How its content was got.
        source: Source,
        /// Why the delta was not taken, where there was one.
        delta_refused: Option<String>,
        /// What came over the network, bytes.
        downloaded_bytes: u64,
    },
    /// A version failed and the one before runs again.
    WentBack {
        /// The version that failed.
        version: Version,
        /// The step that failed.
        step: String,
        /// What happened.
        reason: String,
        /// Whether the version before works; nothing where none was installed.
        previous_healthy: Option<bool>,
    },
}

/// What a run came to, and what there is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The device.
    pub device: DeviceId,
    /// What was installed before; nothing for a first install.
    pub before: Option<Version>,
    /// What is installed now.
    pub installed: Option<Version>,
    /// What the run came to.
    pub outcome: Outcome,
    /// The verified metadata this rests on.
    pub metadata: Option<MetadataVersions>,
    /// Reports that the home has not taken yet.
    pub reports_waiting: usize,
}

impl Updater {
    /// Checks, then installs or answers a comparison, and sends what waits to be reported. An error is a
    /// refusal or a fault; what was installed is untouched.
    pub fn run_once(&mut self) -> Result<Summary, UpdateError> {
        let before = shown(self.state.version());
        self.send_reports()?;
        let outcome = match self.check()? {
            Checked::Update(offer) => {
                let version = offer.version().clone();
                match self.install(&offer)? {
                    Installation::Installed {
                        source,
                        delta_refused,
                        downloaded,
                    } => Outcome::Installed {
                        version,
                        source,
                        delta_refused,
                        downloaded_bytes: downloaded,
                    },
                    Installation::WentBack {
                        step,
                        reason,
                        previous_healthy,
                    } => Outcome::WentBack {
                        version,
                        step,
                        reason,
                        previous_healthy,
                    },
                }
            }
            Checked::Stay(stay) => {
                let checked = self.check_health_and_report(&stay)?;
                Outcome::Stayed {
                    healthy: checked.as_ref().map(Result::is_ok),
                    reason: checked.and_then(Result::err),
                    why: stay.why,
                    declined: stay.declined,
                }
            }
        };
        Ok(Summary {
            device: self.settings.device.clone(),
            before,
            installed: shown(self.state.version()),
            outcome,
            metadata: self.versions,
            reports_waiting: self.send_reports()?,
        })
    }
}
