//! What people see of what was reported beside events: the account of everything that arrived, how releases do, how long actions take,
//! what users said, logs and monitors.

use super::shown::{Page, Part};
use super::views::ProjectViews;
use crate::ingest::COUNTER;
use kintsugi_domain::accounting::Account;
use kintsugi_domain::health::ReleaseHealth;
use kintsugi_domain::kept::{Attachment, Feedback, Logs, Monitor};
use kintsugi_domain::ports::PortError;
use kintsugi_domain::record::Record as _;
use kintsugi_domain::series::{Durations, Measure, Series};
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

impl ProjectViews<'_> {
    /// What became of everything that arrived, by category and reason.
    pub async fn stats(&self) -> Result<StatsView, PortError> {
        let fields = self.ports.store.counter(self.project.id, COUNTER).await?;
        let account = Account::of(&fields);
        let adds_up = account.adds_up();
        Ok(StatsView { account, adds_up })
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

    /// Texts that came with events.
    pub async fn attachments(&self, part: &Part) -> Result<Page<Attachment>, PortError> {
        self.page(None, part).await
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
