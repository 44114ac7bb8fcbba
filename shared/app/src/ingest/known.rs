//! Which projects there are, which keys may report for them, and their scrubbers, kept in memory so
//! that the hot path reads no store.

use kintsugi_domain::Timestamp;
use kintsugi_domain::batch::BatchKeys;
use kintsugi_domain::config::IngestRules;
use kintsugi_domain::id::{DsnKey, ProjectId};
use kintsugi_domain::ports::{KeyName, KeyUse, PortError, RecordKey, Signer, Store};
use kintsugi_domain::project::Project;
use kintsugi_domain::quota::QuotaRules;
use kintsugi_domain::record::Record;
use kintsugi_scrub::Scrubber;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Seconds for which a project and its keys may be answered from memory.
pub const PROJECT_CACHE_SECONDS: i64 = 30;
/// Seconds for which a project or key that is not there may be answered from memory: whoever adds one
/// should not have to wait for it.
const MISSING_CACHE_SECONDS: i64 = 2;
/// Most projects remembered. Strangers can ask for any number, so the memory is bounded.
const PROJECTS_MAX: usize = 1_024;

/// A project that may report.
pub(super) struct Known {
    pub(super) keys: Vec<DsnKey>,
    pub(super) scrubber: Scrubber,
    pub(super) quota: QuotaRules,
    pub(super) rules: IngestRules,
    pub(super) batch_keys: BatchKeys,
}

#[derive(Clone)]
struct Entry {
    read_at: Timestamp,
    known: Option<Arc<Known>>,
}

/// The projects that were asked for lately.
pub(super) struct Projects {
    store: Arc<dyn Store>,
    signer: Arc<dyn Signer>,
    entries: Mutex<BTreeMap<ProjectId, Entry>>,
}

impl Projects {
    pub(super) fn new(store: Arc<dyn Store>, signer: Arc<dyn Signer>) -> Self {
        Self {
            store,
            signer,
            entries: Mutex::default(),
        }
    }

    /// The project, if there is one. `key` is what the request brought: one that is not among the
    /// remembered keys makes the project be read again sooner.
    pub(super) async fn known(
        &self,
        project: ProjectId,
        key: Option<&DsnKey>,
        at: Timestamp,
    ) -> Result<Option<Arc<Known>>, PortError> {
        let remembered = self.entries().get(&project).cloned();
        if let Some(entry) = remembered.filter(|entry| is_fresh(entry, key, at)) {
            return Ok(entry.known);
        }
        self.look(project, at).await
    }

    /// The project as the store has it now, if there is one: for what must not be answered from an older look.
    pub(super) async fn look(
        &self,
        project: ProjectId,
        at: Timestamp,
    ) -> Result<Option<Arc<Known>>, PortError> {
        let known = self.read(project).await?.map(Arc::new);
        let entry = Entry {
            read_at: at,
            known: known.clone(),
        };
        let mut entries = self.entries();
        if entries.len() >= PROJECTS_MAX {
            entries.clear();
        }
        entries.insert(project, entry);
        Ok(known)
    }

    /// The project as it was at most [`MISSING_CACHE_SECONDS`] ago: for a request that names something which may be new.
    pub(super) async fn lately(
        &self,
        project: ProjectId,
        at: Timestamp,
    ) -> Result<Option<Arc<Known>>, PortError> {
        let remembered = self.entries().get(&project).cloned();
        let is_late = |entry: &Entry| is_younger(entry, MISSING_CACHE_SECONDS, at);
        match remembered.filter(is_late) {
            Some(entry) => Ok(entry.known),
            None => self.look(project, at).await,
        }
    }

    /// Whether the last look found no such project.
    pub(super) fn is_unknown(&self, project: ProjectId) -> bool {
        self.entries()
            .get(&project)
            .is_none_or(|entry| entry.known.is_none())
    }

    async fn read(&self, project: ProjectId) -> Result<Option<Known>, PortError> {
        let key = RecordKey {
            project,
            kind: Project::KIND,
            key: "project".to_owned(),
        };
        let Some(raw) = self.store.get(&key).await? else {
            return Ok(None);
        };
        let record: Project = serde_json::from_str(&raw.body)
            .map_err(|error| PortError::broken(format!("reading {key}"), error))?;
        let name = KeyName {
            project,
            key_use: KeyUse::Users,
        };
        let salt = self.signer.secret(&name).await?;
        // Rules were checked when they were given; such that cannot be used stop ingestion, since
        // without them things would be stored that must not be.
        let scrubber = Scrubber::with_rules(&salt, &record.config.scrub)
            .map_err(|error| PortError::broken(format!("the scrubbing rules of {key}"), error))?;
        Ok(Some(Known {
            keys: record.keys,
            scrubber,
            quota: record.config.quota,
            rules: record.config.ingest,
            batch_keys: record.batch_keys,
        }))
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<ProjectId, Entry>> {
        // Nothing in here can be left half done by a panic.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_fresh(entry: &Entry, key: Option<&DsnKey>, at: Timestamp) -> bool {
    let found = entry
        .known
        .as_ref()
        .is_some_and(|known| key.is_none_or(|key| known.keys.contains(key)));
    let seconds = if found {
        PROJECT_CACHE_SECONDS
    } else {
        MISSING_CACHE_SECONDS
    };
    is_younger(entry, seconds, at)
}

/// Whether an entry was read less than so many seconds ago.
fn is_younger(entry: &Entry, seconds: i64, at: Timestamp) -> bool {
    // A clock that was set back makes an entry old, not young for ever.
    let age = at.duration_since(entry.read_at);
    !age.is_negative() && age.as_secs() < seconds
}
