//! The updater: checks, verifies, installs, tries, keeps or goes back.
//!
//! ```no_run
//! use kintsugi_sdk::updater::{Settings, Updater};
//! # fn main() -> Result<(), kintsugi_sdk::updater::UpdateError> {
//! let settings = Settings::load("/opt/till".as_ref())?;
//! let summary = Updater::open(settings)?.run_once()?;
//! println!("{:?}", summary.installed);
//! # Ok(()) }
//! ```
//!
//! What a server says is a hint. The channel document, a target of the signed repository, says which
//! versions there are and which of them is for this device; [`kintsugi_domain::channel::decide`] is run
//! here again, and an offer that it does not agree with is refused.
//!
//! **Invariants: nothing is unpacked before its digest was compared with signed metadata. What runs is
//! always a version that was confirmed here, or one on trial that is put back whatever happens. Never
//! down without a signed grant, never a revoked version, never again one that failed here.**
//!
//! Not here: when to run (the command line's loop), maintenance windows, and systems without symbolic
//! links: the swap needs them, so Windows is refused for now.

pub(crate) mod error;
pub(crate) mod folder;
mod health;
pub(crate) mod http;
mod install;
mod metadata;
mod obtain;
mod offer;
mod report;
mod run;
mod settings;
mod state;

pub use error::{ErrorKind, UpdateError};
pub use http::TICKET_HEADER;
pub use install::Installation;
pub use kintsugi_domain::id::{DeviceId, InvalidId, ProjectId};
pub use kintsugi_domain::manifest::{MANIFEST_BYTES_MAX, MANIFEST_FORMAT, Manifest};
pub use kintsugi_domain::outcome::{OutcomeReport, REPORT_FORMAT};
pub use metadata::MetadataVersions;
pub use obtain::Source;
pub use offer::Offer;
pub use run::{Outcome, Summary};
pub use settings::{ROOT_FILE, SETTINGS_FILE, SETTINGS_FORMAT, Settings};
pub use state::{Installed, Quarantine, State};

use folder::{Folder, Lock};
use http::Http;
use install::failed;
use kintsugi_domain::Timestamp;
use kintsugi_domain::channel::{ChannelDocument, Decision, HealthCheck};
use kintsugi_domain::cohort::Arm;
use kintsugi_domain::id::RolloutId;
use kintsugi_domain::outcome::Progress;
use kintsugi_domain::ports::Clock;
use metadata::Repository;
use offer::{Facts, check_document};
use semver::Version;
use serde::Serialize;
use state::{Journal, Recovered};
use std::path::Path;
use std::sync::Arc;

/// Times a check is made again because the server published between its two halves.
const CHECKS_MAX: u32 = 2;

/// A point between two effects of a run, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The folder is in order.
    Recovered,
    /// The metadata is fresh and verified.
    Refreshed,
    /// An offer was found good.
    Offered,
    /// The content is here and verified.
    Verified,
    /// The tree is unpacked beside its place.
    Unpacked,
    /// Tree and archive have their names.
    Placed,
    /// The journal says that a trial begins.
    Journaled,
    /// `current` points at the new version.
    Swapped,
    /// The health check of the new version has ended.
    Checked,
    /// The new version is the installed one.
    Confirmed,
    /// The journal says that the old version is put back.
    GoingBack,
    /// `current` points at the old version again.
    SwappedBack,
    /// The failed version is not tried again.
    Quarantined,
    /// The home was told, or the report is stored.
    Reported,
}

/// What a check found.
#[derive(Debug, Clone)]
pub enum Checked {
    /// A version to install.
    Update(Box<Offer>),
    /// Nothing to install.
    Stay(Box<Stay>),
}

/// Nothing to install.
#[derive(Debug, Clone)]
pub struct Stay {
    /// Why.
    pub why: String,
    /// What was offered and is not taken because it failed here before.
    pub declined: Option<Version>,
    /// The ticket to answer a comparison with.
    ticket: Option<String>,
    /// The comparison this device is part of: rollout and arm.
    enrolment: Option<(RolloutId, Arm)>,
    /// The health check of the installed version, as the document has it.
    health: Option<HealthCheck>,
}

/// An updater at work in a device's folder; others are kept out while it lives.
pub struct Updater {
    settings: Settings,
    folder: Folder,
    state: State,
    http: Http,
    clock: Arc<dyn Clock>,
    observer: Box<dyn FnMut(Step) + Send>,
    versions: Option<MetadataVersions>,
    _lock: Lock,
}

impl std::fmt::Debug for Updater {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Updater")
            .field("settings", &self.settings)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy)]
struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the updater reads the clock"
    )]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

impl Stay {
    fn new(facts: &Facts<'_>, why: String, ticket: Option<String>) -> Self {
        let enrolment = match facts.decision() {
            Decision::Stay { enrolment, .. } => enrolment.map(|(rollout, _, arm)| (rollout, arm)),
            Decision::Update { .. } => None,
        };
        let health = facts
            .document
            .release(facts.installed)
            .map(|release| release.health.clone());
        Self {
            why,
            declined: None,
            ticket,
            enrolment,
            health,
        }
    }
}

impl Updater {
    /// Opens a device's folder, keeps other updaters out, and puts in order what an earlier run left.
    pub fn open(settings: Settings) -> Result<Self, UpdateError> {
        Self::open_with_clock(settings, Arc::new(SystemClock))
    }

    /// [`Self::open`] with a clock of the caller's.
    pub fn open_with_clock(
        mut settings: Settings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, UpdateError> {
        settings.check()?;
        let folder = Folder::open(&settings.dir)?;
        settings.dir = folder.absolute()?;
        let folder = Folder::open(&settings.dir)?;
        let lock = folder.lock()?;
        let state = State::load(&folder)?;
        let mut updater = Self {
            settings,
            folder,
            state,
            http: Http::new(),
            clock,
            observer: Box::new(|_| ()),
            versions: None,
            _lock: lock,
        };
        updater.recover()?;
        Ok(updater)
    }

    /// Lets the caller watch the steps as they are done.
    pub fn watch(&mut self, observer: impl FnMut(Step) + Send + 'static) {
        self.observer = Box::new(observer);
    }

    /// What is installed and what must not be.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What is installed in a folder, without keeping anybody out and without changing anything.
    pub fn look(dir: &Path) -> Result<State, UpdateError> {
        State::load_from(dir)
    }

    fn step(&mut self, step: Step) {
        (self.observer)(step);
    }

    /// Finishes or undoes what an earlier run had begun, and says so to the home.
    fn recover(&mut self) -> Result<(), UpdateError> {
        let now = self.clock.now();
        let recovered = state::recover(&self.folder, &mut self.state, now)?;
        match recovered {
            Recovered::Clean => {}
            // It will be offered again, with a ticket of its own.
            Recovered::CutOff(_) => Journal::clear(&self.folder)?,
            Recovered::Confirmed(journal) => self.settle(&journal, Progress::Healthy)?,
            Recovered::WentBack(journal, why) => {
                if let Some(rollout) = &journal.rollout {
                    self.state.answer(rollout);
                    self.state.save(&self.folder)?;
                }
                self.settle(&journal, failed(&why.step, &why.reason))?;
            }
        }
        self.step(Step::Recovered);
        Ok(())
    }

    /// Asks the home, verifies, and decides. Changes nothing but the cached metadata.
    pub fn check(&mut self) -> Result<Checked, UpdateError> {
        let mut attempt = 1;
        loop {
            let found = self.check_once();
            // The document and the manifest are two answers: a publication between them makes them
            // differ, and is over the next time.
            let is_race = matches!(
                found,
                Err(UpdateError::OfferNotInDocument { .. }
                    | UpdateError::ManifestDiffers { .. }
                    | UpdateError::Revoked { .. }
                    | UpdateError::DowngradeWithoutGrant { .. }
                    | UpdateError::RequiredStopSkipped { .. })
            );
            if !is_race || attempt == CHECKS_MAX {
                return found;
            }
            attempt += 1;
        }
    }

    fn check_once(&mut self) -> Result<Checked, UpdateError> {
        let now = self.clock.now();
        let mut repository = Repository::refresh(&self.settings, &self.folder, &self.http, now)?;
        self.versions = Some(repository.versions());
        let document = self.document(&mut repository, now)?;
        self.step(Step::Refreshed);
        let installed = self.state.version();
        let (manifest, ticket) = self.ask(&installed)?;
        if let Some(manifest) = &manifest {
            let delta = manifest.delta.iter().map(|delta| &delta.target);
            for target in delta.chain([&manifest.full]) {
                repository.look_up(&self.http, &target.path, now)?;
            }
        }
        let facts = Facts {
            settings: &self.settings,
            repository: &repository,
            document: &document,
            installed: &installed,
            now,
        };
        let Some(manifest) = manifest else {
            let stay = Stay::new(&facts, "the home offers nothing".to_owned(), ticket);
            return Ok(Checked::Stay(Box::new(stay)));
        };
        let offer = facts.judge(manifest, ticket)?;
        if let Some(why) = self.state.quarantined.get(offer.version()) {
            let why = format!("{} failed here: {}", offer.version(), why.reason);
            let mut stay = Stay::new(&facts, why, None);
            stay.declined = Some(offer.version().clone());
            return Ok(Checked::Stay(Box::new(stay)));
        }
        self.step(Step::Offered);
        Ok(Checked::Update(Box::new(offer)))
    }

    /// The verified channel document.
    fn document(
        &self,
        repository: &mut Repository,
        now: Timestamp,
    ) -> Result<ChannelDocument, UpdateError> {
        let path = format!("channels/{}.json", self.settings.channel);
        let bytes = repository.fetch_small(&self.http, &path, now)?;
        let document = serde_json::from_slice(&bytes).map_err(|error| UpdateError::Document {
            why: error.to_string(),
        })?;
        check_document(&document, &self.settings)?;
        Ok(document)
    }

    /// What the server says: a manifest or nothing, and maybe a ticket.
    fn ask(&self, installed: &Version) -> Result<(Option<Manifest>, Option<String>), UpdateError> {
        let s = &self.settings;
        // A `+` would be read as a space by some servers.
        let version = installed.to_string().replace('+', "%2B");
        let url = format!(
            "{}/v1/{}/updates/{}/{}/{}/{version}?device={}",
            s.home, s.project, s.channel, s.platform, s.arch, s.device
        );
        let answer = self.http.get(&url, MANIFEST_BYTES_MAX)?;
        match answer.status {
            200 => serde_json::from_slice(&answer.body)
                .map(|manifest| (Some(manifest), answer.ticket))
                .map_err(|error| UpdateError::Manifest {
                    why: error.to_string(),
                }),
            204 => Ok((None, answer.ticket)),
            status => Err(UpdateError::Status { url, status }),
        }
    }

    /// Answers a comparison this device is part of without installing anything: checks the health of what
    /// is installed and reports it with the ticket. Once per rollout; nothing where there is nothing to
    /// answer.
    pub fn check_health_and_report(
        &mut self,
        stay: &Stay,
    ) -> Result<Option<Result<(), String>>, UpdateError> {
        let (Some(ticket), Some((rollout, _))) = (&stay.ticket, &stay.enrolment) else {
            return Ok(None);
        };
        let Some(installed) = &mut self.state.installed else {
            return Ok(None);
        };
        if self.state.answered.contains(rollout) {
            return Ok(None);
        }
        if let Some(health) = &stay.health {
            installed.health = health.clone();
        }
        let started_at = self.clock.now();
        self.report(Some(ticket), Progress::Started, started_at)?;
        let checked = self.check_installed().unwrap_or(Ok(()));
        let progress = match &checked {
            Ok(()) => Progress::Healthy,
            Err(reason) => failed("health", reason),
        };
        self.report(Some(ticket), progress, started_at)?;
        self.state.answer(rollout);
        self.state.save(&self.folder)?;
        self.step(Step::Reported);
        Ok(Some(checked))
    }
}
