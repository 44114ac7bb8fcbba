//! The fleet: devices that are a folder each, every one driven by the real updater.

use crate::error::Error;
use kintsugi_domain::id::ProjectId;
use kintsugi_sdk::updater::{Outcome, Settings, Summary, UpdateError, Updater};
use semver::Version;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Updaters that run at the same time; each waits for a health check most of its time.
const AT_ONCE: usize = 4;

/// Where the fleet gets its updates.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// The home's address.
    pub(super) home: String,
    /// The project.
    pub(super) project: ProjectId,
    /// The channel.
    pub(super) channel: String,
    /// The first root, as it ships with the product.
    pub(super) root: Vec<u8>,
    /// What the product needs in its environment.
    pub(super) env: Vec<(String, String)>,
    /// The machine's Python.
    pub(super) python: PathBuf,
}

/// Devices.
#[derive(Debug)]
pub(super) struct Fleet {
    devices: Vec<Settings>,
}

/// What one updater came to in a round.
pub(super) type Run = Result<Summary, UpdateError>;

impl Fleet {
    /// Sets devices up, with nothing installed.
    pub(super) fn set_up(folder: &Path, count: usize, source: &Source) -> Result<Self, Error> {
        let mut devices = Vec::new();
        for number in 1..=count {
            let name = format!("device-{number:03}");
            let id = name
                .parse()
                .map_err(|error| Error::unexpected("name a device", &error))?;
            let mut settings = Settings::new(
                folder.join(&name),
                &source.home,
                source.project,
                &source.channel,
                id,
                source.root.clone(),
            );
            settings.env.extend(source.env.iter().cloned());
            settings
                .interpreters
                .insert("python3".to_owned(), source.python.clone());
            settings
                .save()
                .map_err(|error| Error::unexpected("set up a device", &error))?;
            devices.push(settings);
        }
        Ok(Self { devices })
    }

    /// Runs every device's updater once.
    pub(super) async fn round(&self) -> Result<Vec<Run>, Error> {
        let devices = self.devices.clone();
        tokio::task::spawn_blocking(move || run_all(devices))
            .await
            .map_err(|error| Error::unexpected("run the updaters", &error))
    }

    /// The folder of the version that a device runs.
    pub(super) fn current(&self, device: usize) -> Option<PathBuf> {
        Some(self.devices.get(device)?.dir.join("current"))
    }

    /// The id of a device.
    pub(super) fn name(&self, device: usize) -> Option<&str> {
        Some(self.devices.get(device)?.device.as_str())
    }

    /// How many devices there are.
    pub(super) fn len(&self) -> usize {
        self.devices.len()
    }

    /// The version that each device runs, read from its folder.
    pub(super) fn versions(&self) -> Result<Vec<Option<Version>>, Error> {
        let look = |settings: &Settings| {
            Updater::look(&settings.dir)
                .map(|state| state.installed.map(|installed| installed.version))
                .map_err(|error| Error::unexpected("look at a device", &error))
        };
        self.devices.iter().map(look).collect()
    }
}

fn run_all(devices: Vec<Settings>) -> Vec<Run> {
    let count = devices.len();
    let devices = Arc::new(devices);
    let next = Arc::new(AtomicUsize::new(0));
    let runs: Arc<Mutex<Vec<(usize, Run)>>> = Arc::default();
    let threads: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let (devices, next, runs) =
                (Arc::clone(&devices), Arc::clone(&next), Arc::clone(&runs));
            thread::spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(settings) = devices.get(index) else {
                        return;
                    };
                    let run = Updater::open(settings.clone()).and_then(|mut it| it.run_once());
                    runs.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push((index, run));
                }
            })
        })
        .collect();
    for thread in threads {
        // A thread that panicked has left fewer runs than devices, which the caller sees.
        let _ = thread.join();
    }
    let mut runs = std::mem::take(&mut *runs.lock().unwrap_or_else(PoisonError::into_inner));
    runs.sort_by_key(|(index, _)| *index);
    debug_assert_eq!(runs.len(), count);
    runs.into_iter().map(|(_, run)| run).collect()
}

/// The devices that were offered a version in a round: they installed it, went back from it, or declined
/// it because it had failed before.
pub(super) fn offered(runs: &[Run], version: &Version) -> BTreeSet<String> {
    let took = |summary: &&Summary| match &summary.outcome {
        Outcome::Installed { version: it, .. } | Outcome::WentBack { version: it, .. } => {
            it == version
        }
        Outcome::Stayed { declined, .. } => declined.as_ref() == Some(version),
    };
    runs.iter()
        .filter_map(|run| run.as_ref().ok())
        .filter(took)
        .map(|summary| summary.device.to_string())
        .collect()
}

/// What the updaters said that failed.
pub(super) fn failures(runs: &[Run]) -> Vec<String> {
    runs.iter()
        .filter_map(|run| run.as_ref().err())
        .map(ToString::to_string)
        .collect()
}
