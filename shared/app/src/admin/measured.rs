//! What people see of what was reported beside events: the account of everything that arrived, how releases do, how long actions take,
//! what users said, logs and monitors.

use super::shown::{Page, Part};
use super::views::{ProjectViews, Views};
use crate::ingest::COUNTER;
use crate::records;
use kintsugi_domain::Timestamp;
use kintsugi_domain::accounting::Account;
use kintsugi_domain::audit::HOME;
use kintsugi_domain::event::Remark;
use kintsugi_domain::health::ReleaseHealth;
use kintsugi_domain::id::{EventId, ProjectId};
use kintsugi_domain::kept::{Attachment, Feedback, Logs, Monitor};
use kintsugi_domain::limits::ATTACHMENT_BYTES_MAX;
use kintsugi_domain::ports::{PortError, Ports};
use kintsugi_domain::record::Record as _;
use kintsugi_domain::series::{COUNT, Durations, Measure, MemoryUse, Series};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What became of everything that arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatsView {
    /// By category, and there by reason.
    pub account: Account,
    /// Whether what arrived is what ended, in every category. Anything else is a defect of this home.
    pub adds_up: bool,
}

/// How a release does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HealthView {
    /// The release, as reported.
    pub release: Option<String>,
    /// The environment, as reported.
    pub environment: Option<String>,
    /// The numbers.
    pub health: ReleaseHealth,
}

/// How long an action takes with a release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DurationView {
    /// The action.
    pub name: String,
    /// Its kind.
    pub operation: String,
    /// The release, as reported.
    pub release: Option<String>,
    /// The environment, as reported.
    pub environment: Option<String>,
    /// The numbers.
    pub durations: Durations,
}

/// How much memory processes of a release use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MemoryView {
    /// The release, as reported.
    pub release: Option<String>,
    /// The environment, as reported.
    pub environment: Option<String>,
    /// The numbers.
    pub memory: MemoryUse,
}

/// How often a feature was used, or a setting changed, with a release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsageView {
    /// The feature or the setting.
    pub name: String,
    /// `feature` or `setting`.
    pub kind: String,
    /// The release, as reported.
    pub release: Option<String>,
    /// The environment, as reported.
    pub environment: Option<String>,
    /// How often.
    pub count: i64,
}

/// What came with an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachmentView {
    /// By what its content can be asked for.
    pub id: String,
    /// The event that it came with, if that was said.
    pub event: Option<EventId>,
    /// Its name.
    pub name: String,
    /// Its media type, as the client says.
    pub content_type: Option<String>,
    /// Whether it is no text. Then nothing in it was scrubbed.
    pub is_binary: bool,
    /// Its length, bytes.
    pub bytes: u64,
    /// When it arrived.
    pub at: Timestamp,
    /// What was removed before storing, and by which rule.
    pub remarks: Vec<Remark>,
}

/// What came with events, for those who may open it: bytes were not scrubbed, and whoever opens them trusts them.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    ports: &'a Ports,
}

impl<'a> Evidence<'a> {
    pub(super) fn new(ports: &'a Ports) -> Self {
        Self { ports }
    }

    /// An attachment and its content; nothing where there is none, or it is no longer kept.
    pub async fn attachment(
        &self,
        project: ProjectId,
        id: &str,
    ) -> Result<Option<(Attachment, Vec<u8>)>, PortError> {
        let store = self.ports.store.as_ref();
        let Some(found) = records::get::<Attachment>(store, project, id).await? else {
            return Ok(None);
        };
        let found = found.value;
        let content = self.ports.blobs.get(&found.blob, CONTENT_BYTES_MAX).await?;
        Ok(content.map(|content| (found, content)))
    }
}

/// Longest content that is read back, bytes: what was removed from a text left a longer mark.
const CONTENT_BYTES_MAX: usize = 4 * ATTACHMENT_BYTES_MAX;

async fn stats(ports: &Ports, project: ProjectId) -> Result<StatsView, PortError> {
    let fields = ports.store.counter(project, COUNTER).await?;
    let account = Account::of(&fields);
    let adds_up = account.adds_up();
    Ok(StatsView { account, adds_up })
}

impl Views<'_> {
    /// What became of everything that arrived for no project of this home.
    pub async fn stats(&self) -> Result<StatsView, PortError> {
        stats(self.ports, HOME).await
    }
}

impl ProjectViews<'_> {
    /// What became of everything that arrived, by category and reason.
    pub async fn stats(&self) -> Result<StatsView, PortError> {
        stats(self.ports, self.project.id).await
    }

    /// How releases do: sessions and users without a crash.
    pub async fn health(&self, part: &Part) -> Result<Page<HealthView>, PortError> {
        let (series, mut items) = (self.series(Measure::Health, part).await?, Vec::new());
        for series in series.items {
            items.push(HealthView {
                health: ReleaseHealth::of(&self.numbers(&series).await?),
                release: series.release,
                environment: series.environment,
            });
        }
        let next = series.next;
        Ok(Page { items, next })
    }

    /// How long actions take.
    pub async fn performance(&self, part: &Part) -> Result<Page<DurationView>, PortError> {
        let (series, mut items) = (self.series(Measure::Duration, part).await?, Vec::new());
        for series in series.items {
            items.push(DurationView {
                durations: Durations::of(&self.numbers(&series).await?),
                name: series.name,
                operation: series.operation,
                release: series.release,
                environment: series.environment,
            });
        }
        let next = series.next;
        Ok(Page { items, next })
    }

    /// How much memory is used.
    pub async fn memory(&self, part: &Part) -> Result<Page<MemoryView>, PortError> {
        let (series, mut items) = (self.series(Measure::Memory, part).await?, Vec::new());
        for series in series.items {
            items.push(MemoryView {
                memory: MemoryUse::of(&self.numbers(&series).await?),
                release: series.release,
                environment: series.environment,
            });
        }
        let next = series.next;
        Ok(Page { items, next })
    }

    /// How often features are used and settings changed.
    pub async fn usage(&self, part: &Part) -> Result<Page<UsageView>, PortError> {
        let (series, mut items) = (self.series(Measure::Usage, part).await?, Vec::new());
        for series in series.items {
            let numbers = self.numbers(&series).await?;
            items.push(UsageView {
                count: numbers.get(COUNT).copied().unwrap_or(0),
                name: series.name,
                kind: series.operation,
                release: series.release,
                environment: series.environment,
            });
        }
        let next = series.next;
        Ok(Page { items, next })
    }

    async fn series(&self, measure: Measure, part: &Part) -> Result<Page<Series>, PortError> {
        self.page(Some(Series::of(measure)), part).await
    }

    async fn numbers(&self, series: &Series) -> Result<BTreeMap<String, i64>, PortError> {
        let counter = Series::counter(&series.key());
        self.ports.store.counter(self.project.id, &counter).await
    }

    /// What users said.
    pub async fn feedback(&self, part: &Part) -> Result<Page<Feedback>, PortError> {
        self.page(None, part).await
    }

    /// What came with events: texts, and bytes where the project keeps such.
    pub async fn attachments(&self, part: &Part) -> Result<Page<AttachmentView>, PortError> {
        let found: Page<Attachment> = self.page(None, part).await?;
        Ok(found.map(|attachment| AttachmentView {
            id: attachment.key(),
            event: attachment.event,
            name: attachment.name,
            content_type: attachment.content_type,
            is_binary: attachment.is_binary,
            bytes: attachment.bytes,
            at: attachment.at,
            remarks: attachment.remarks,
        }))
    }

    /// Entries of logs, in the order in which they arrived.
    pub async fn logs(&self, part: &Part) -> Result<Page<Logs>, PortError> {
        self.page(None, part).await
    }

    /// Jobs that say how they run.
    pub async fn monitors(&self, part: &Part) -> Result<Page<Monitor>, PortError> {
        self.page(None, part).await
    }
}
