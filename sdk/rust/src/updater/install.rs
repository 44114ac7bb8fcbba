//! Putting a version in place, trying it, and keeping it or going back.
//!
//! The order is what makes it safe: the new tree is whole and flushed before it has its name; the journal
//! is written before `current` moves; the state is written after the trial; a report is stored before the
//! journal is deleted. After any of these the process may end: see [`super::state::recover`].

use super::error::{ErrorKind, UpdateError};
use super::obtain::{Obtained, Source, obtain, unpack};
use super::offer::Offer;
use super::state::{Installed, Journal, Phase, Quarantine};
use super::{Step, Updater, health, report};
use kintsugi_domain::Timestamp;
use kintsugi_domain::outcome::Progress;
use semver::Version;

/// How an install ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Installation {
    /// The new version runs and is healthy.
    Installed {
        /// How its content was got.
        source: Source,
        /// Why the delta was not taken, where there was one.
        delta_refused: Option<String>,
        /// What came over the network, bytes.
        downloaded: u64,
    },
    /// The new version failed, is quarantined, and the one before runs again.
    WentBack {
        /// The step that failed.
        step: String,
        /// What happened.
        reason: String,
        /// Whether the version before works; nothing where none was installed.
        previous_healthy: Option<bool>,
    },
}

impl Updater {
    /// Installs an offer. An error leaves what was installed untouched.
    pub fn install(&mut self, offer: &Offer) -> Result<Installation, UpdateError> {
        let started_at = self.clock.now();
        self.report(offer.ticket.as_deref(), Progress::Started, started_at)?;
        let obtained = obtain(&self.folder, &self.http, offer, &self.state);
        let step = match &obtained {
            Err(error) if error.kind() == ErrorKind::Refused => "verify",
            Ok(_) | Err(_) => "download",
        };
        let obtained = self.on_failure(offer, step, started_at, obtained)?;
        self.step(Step::Verified);
        let placed = self.place(offer, &obtained);
        self.on_failure(offer, "apply", started_at, placed)?;
        let journal = Journal::trial(
            self.state.installed.as_ref().map(|one| one.version.clone()),
            Installed {
                version: offer.version().clone(),
                content: offer.manifest.content.clone(),
                health: offer.manifest.health.clone(),
                at: started_at,
            },
            offer.ticket.clone(),
            offer.rollout.clone(),
            started_at,
        );
        journal.save(&self.folder)?;
        self.step(Step::Journaled);
        self.folder.point_at(Some(offer.version()))?;
        self.step(Step::Swapped);
        let tree = self.folder.version(offer.version());
        let checked = health::check(&self.settings, &journal.to.health, &tree);
        self.step(Step::Checked);
        match checked {
            Ok(()) => self.keep(&journal, obtained),
            Err(reason) => self.go_back(journal, "health", &reason),
        }
    }

    /// Unpacks beside, flushes, and gives tree and archive their names.
    fn place(&mut self, offer: &Offer, obtained: &Obtained) -> Result<(), UpdateError> {
        unpack(&self.folder, offer, &obtained.content)?;
        self.step(Step::Unpacked);
        self.folder.adopt_content(offer.version())?;
        self.folder.adopt_version(offer.version())?;
        self.step(Step::Placed);
        Ok(())
    }

    /// Reports a failure before the trial. Content that is signed and cannot be used will not be better
    /// the next time, so its version is not tried again; what the network did may well be.
    fn on_failure<T>(
        &mut self,
        offer: &Offer,
        step: &str,
        started_at: Timestamp,
        result: Result<T, UpdateError>,
    ) -> Result<T, UpdateError> {
        let error = match result {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        if error.kind() == ErrorKind::Unreachable {
            return Err(error);
        }
        let is_unusable = matches!(
            error,
            UpdateError::Package { .. } | UpdateError::ContentTampered { .. }
        );
        if is_unusable {
            let why = Quarantine {
                step: step.to_owned(),
                reason: error.to_string(),
                at: self.clock.now(),
            };
            self.state.quarantine(offer.version().clone(), why);
            self.state.save(&self.folder)?;
        }
        // Tidied first: a report needs a little room too. The error at hand is the telling one.
        let failed = failed(step, &error.to_string());
        let _ = self
            .state
            .tidy(&self.folder)
            .and_then(|()| self.report(offer.ticket.as_deref(), failed, started_at));
        Err(error)
    }

    /// The new version works: it is what is installed now.
    fn keep(&mut self, journal: &Journal, obtained: Obtained) -> Result<Installation, UpdateError> {
        let mut to = journal.to.clone();
        to.at = self.clock.now();
        self.state.confirm(to);
        if let Some(rollout) = &journal.rollout {
            self.state.answer(rollout);
        }
        self.state.save(&self.folder)?;
        self.step(Step::Confirmed);
        self.settle(journal, Progress::Healthy)?;
        self.folder.clear_downloads()?;
        Ok(Installation::Installed {
            source: obtained.source,
            delta_refused: obtained.delta_refused,
            downloaded: obtained.downloaded,
        })
    }

    /// The new version failed: the one before runs again and is checked, the new one is quarantined.
    fn go_back(
        &mut self,
        mut journal: Journal,
        step: &str,
        reason: &str,
    ) -> Result<Installation, UpdateError> {
        journal.phase = Phase::GoingBack {
            step: step.to_owned(),
            reason: reason.to_owned(),
        };
        journal.save(&self.folder)?;
        self.step(Step::GoingBack);
        self.folder.point_at(journal.from.as_ref())?;
        self.step(Step::SwappedBack);
        let why = Quarantine {
            step: step.to_owned(),
            reason: reason.to_owned(),
            at: self.clock.now(),
        };
        self.state.quarantine(journal.to.version.clone(), why);
        if let Some(rollout) = &journal.rollout {
            self.state.answer(rollout);
        }
        self.state.save(&self.folder)?;
        self.step(Step::Quarantined);
        self.settle(&journal, failed(step, reason))?;
        self.folder.clear_downloads()?;
        Ok(Installation::WentBack {
            step: step.to_owned(),
            reason: reason.to_owned(),
            previous_healthy: self.check_installed().map(|checked| checked.is_ok()),
        })
    }

    /// The end of every install that came as far as a trial: report, then forget the journal.
    pub(super) fn settle(
        &mut self,
        journal: &Journal,
        progress: Progress,
    ) -> Result<(), UpdateError> {
        self.report(journal.ticket.as_deref(), progress, journal.started_at)?;
        self.step(Step::Reported);
        Journal::clear(&self.folder)?;
        self.state.tidy(&self.folder)
    }

    /// Stores a report and tries to send it; without a ticket there is nobody to tell.
    pub(super) fn report(
        &mut self,
        ticket: Option<&str>,
        progress: Progress,
        started_at: Timestamp,
    ) -> Result<(), UpdateError> {
        let Some(ticket) = ticket else { return Ok(()) };
        let since = self.clock.now().duration_since(started_at).as_millis();
        let duration_ms = u64::try_from(since).unwrap_or(0);
        let report = report::of(ticket, progress, duration_ms);
        report::store(&self.folder, &report)?;
        self.send_reports()?;
        Ok(())
    }

    /// Sends the reports that wait; answers with how many still do.
    pub fn send_reports(&self) -> Result<usize, UpdateError> {
        let settings = &self.settings;
        let url = format!("{}/v1/{}/outcomes", settings.home, settings.project);
        report::send(&self.folder, &self.http, &url)
    }

    /// Runs the health check of the installed version; nothing where none is installed.
    pub(super) fn check_installed(&self) -> Option<Result<(), String>> {
        let installed = self.state.installed.as_ref()?;
        let tree = self.folder.version(&installed.version);
        Some(health::check(&self.settings, &installed.health, &tree))
    }
}

/// What a failed step is called in a report.
pub(super) fn failed(step: &str, reason: &str) -> Progress {
    Progress::Failed {
        step: step.to_owned(),
        error: reason.to_owned(),
    }
}

/// The version as people read it: none for 0.0.0.
pub(super) fn shown(version: Version) -> Option<Version> {
    (version != Version::new(0, 0, 0)).then_some(version)
}
