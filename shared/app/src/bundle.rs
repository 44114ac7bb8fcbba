//! Bundles: orders the build, judges it, and turns what was built into a draft release.
//!
//! Not here: applying, testing, building and deltas (`kintsugi-engine`).

use crate::news;
use crate::records;
use crate::stage::{Done, Stage, Wake, not_mine, step};
use async_trait::async_trait;
use kintsugi_domain::alert::{Alert, Urgency};
use kintsugi_domain::bundle::{Bundle, BundleMove};
use kintsugi_domain::change::required_actions;
use kintsugi_domain::envelope::{Envelope, Message};
use kintsugi_domain::fix::{Fix, FixMove};
use kintsugi_domain::id::{BundleId, FixId, IssueId, JobId, ProjectId};
use kintsugi_domain::issue::{Issue, IssueMove};
use kintsugi_domain::job::{BuildOrder, Built, Failure, Job, Order, PatchToApply, Report};
use kintsugi_domain::platform::PlatformBase;
use kintsugi_domain::ports::{Commit, PortError, Ports};
use kintsugi_domain::record::Stored;
use kintsugi_domain::release::{Release, ReleaseState, RequiredAction};
use kintsugi_domain::story::Story;
use semver::Version;
use std::collections::BTreeMap;

/// The bundle stage.
#[derive(Debug, Clone)]
pub struct Bundles {
    ports: Ports,
}

impl Bundles {
    /// The stage of a home.
    pub fn new(ports: Ports) -> Self {
        Self { ports }
    }

    /// Orders the build of a bundle.
    async fn order(&self, cause: &Envelope, id: &BundleId) -> Result<Done, PortError> {
        let (store, at) = (self.ports.store.as_ref(), self.ports.now());
        let Some(mut bundle) = records::get::<Bundle>(store, cause.project, id.as_str()).await?
        else {
            return Ok(Done::nothing("the bundle does not exist"));
        };
        if let Err(refused) = bundle.value.state.next(BundleMove::Order) {
            return Ok(refused.into());
        }
        let Some((project, repository)) = records::sourced(store, cause.project).await? else {
            return Ok(Done::nothing("the project names no repository"));
        };
        let config = project.value.config;
        let fixes = self.fixes(cause.project, &bundle.value.fixes).await?;
        let mut supported = self.published_below(&bundle.value).await?;
        let since = supported.first().map(|it| it.built.commit.clone());
        supported.truncate(config.package.supported_versions);
        let order = Order::Build(Box::new(BuildOrder {
            bundle: id.clone(),
            commit: bundle.value.commit.clone(),
            fixes: fixes.iter().filter_map(|fix| patch(&fix.value)).collect(),
            version: bundle.value.version.clone(),
            at: bundle.value.cut_at,
            delta_bases: delta_bases(&supported),
            platform_bases: platform_bases(&supported),
            notes: bundle.value.notes.clone(),
            since,
            build: bundle.value.build,
        }));
        let job = Job::order(cause.project, repository, order, config, at);
        bundle.value.job = Some(job.id.clone());
        let why = format!("build {}", job.id);
        step!(bundle.value, BundleMove::Order, at, Self::NAME, why);
        let run = Message::RunJob {
            job: job.id.clone(),
        };
        let envelope = Envelope::new(cause.id.to_string(), cause.project, run);
        let commit = Commit::new().update(&bundle).create(&job).send(envelope);
        store.commit(commit).await?;
        Ok(Done::did(format!(
            "ordered build {} of bundle {id}",
            job.id
        )))
    }

    async fn fixes(
        &self,
        project: ProjectId,
        ids: &[FixId],
    ) -> Result<Vec<Stored<Fix>>, PortError> {
        let mut fixes = Vec::new();
        for id in ids {
            fixes.push(records::need(self.ports.store.as_ref(), project, id.as_str()).await?);
        }
        Ok(fixes)
    }

    /// Published releases below the bundle's version on its channel, the newest first.
    async fn published_below(&self, bundle: &Bundle) -> Result<Vec<Release>, PortError> {
        let store = self.ports.store.as_ref();
        let mut releases: Vec<Release> = records::all::<Release>(store, bundle.project, None)
            .await?
            .into_iter()
            .map(|stored| stored.value)
            .filter(|release| {
                release.state == ReleaseState::Published
                    && release.channel == bundle.channel
                    && release.version < bundle.version
            })
            .collect();
        releases.sort_by(|a, b| b.version.cmp(&a.version));
        Ok(releases)
    }

    /// Judges a build.
    async fn judge(&self, cause: &Envelope, id: &JobId) -> Result<Done, PortError> {
        let store = self.ports.store.as_ref();
        let Some(job) = records::get::<Job>(store, cause.project, id.as_str()).await? else {
            return Ok(Done::nothing("the job does not exist"));
        };
        let (Order::Build(order), Some(Report::Build(report))) =
            (job.value.order, job.value.report)
        else {
            return Ok(Done::nothing("the job is not a build that has ended"));
        };
        let mut bundle: Stored<Bundle> =
            records::need(store, cause.project, order.bundle.as_str()).await?;
        if let Err(refused) = bundle.value.state.next(BundleMove::Build) {
            return Ok(refused.into());
        }
        bundle.value.set_aside.clone_from(&report.set_aside);
        match report.built {
            Ok(built) => {
                let notes = order.notes_with(&report.applied, &report.changes);
                let actions = required_actions(&report.changes);
                self.package(cause, bundle, built, notes, actions).await
            }
            Err(failure) => self.fail(cause, bundle, failure).await,
        }
    }

    /// What was built becomes a draft release.
    async fn package(
        &self,
        cause: &Envelope,
        mut bundle: Stored<Bundle>,
        built: Built,
        notes: String,
        required_actions: Vec<RequiredAction>,
    ) -> Result<Done, PortError> {
        let (store, at) = (self.ports.store.as_ref(), self.ports.now());
        let project = bundle.value.project;
        let why = format!("suite passed, commit {}", built.commit);
        step!(bundle.value, BundleMove::Build, at, Self::NAME, why);
        let sizes: Vec<String> = built
            .deltas
            .iter()
            .map(|delta| format!("delta from {}: {} bytes", delta.from, delta.artifact.length))
            .collect();
        let why = format!("full: {} bytes; {}", built.full.length, sizes.join(", "));
        step!(bundle.value, BundleMove::Package, at, Self::NAME, &why);
        let kept: Vec<FixId> = bundle
            .value
            .fixes
            .iter()
            .filter(|fix| !bundle.value.set_aside.contains_key(*fix))
            .cloned()
            .collect();
        let issues: Vec<IssueId> = self
            .fixes(project, &kept)
            .await?
            .into_iter()
            .map(|fix| fix.value.issue)
            .collect();
        let previous = self.published_below(&bundle.value).await?;
        let mut story = Story::default();
        story.tell(at, Self::NAME, "Draft", why);
        let release = Release {
            id: Release::id_of(project, &bundle.value.version),
            project,
            version: bundle.value.version.clone(),
            build: bundle.value.build,
            channel: bundle.value.channel.clone(),
            state: ReleaseState::Draft,
            train: bundle.value.train,
            bundle: bundle.value.id.clone(),
            fixes: kept,
            issues,
            previous: previous.first().map(|release| release.version.clone()),
            built,
            notes,
            statement: None,
            provenance: None,
            required_actions,
            hotfix: None,
            built_at: bundle.value.cut_at,
            story,
        };
        bundle.value.release = Some(release.id.clone());
        let message = Message::SignRelease {
            release: release.id.clone(),
        };
        let commit = Commit::new()
            .update(&bundle)
            .create(&release)
            .send(Envelope::new(cause.id.to_string(), project, message));
        let set_aside = bundle.value.set_aside.clone();
        let commit = self.reject(cause, commit, &set_aside).await?;
        store.commit(commit).await?;
        Ok(Done::did(format!(
            "release {} is packaged",
            release.version
        )))
    }

    /// A build that gave nothing. Its fixes do not wait for the next train: each would fail it again,
    /// and a person must see why.
    async fn fail(
        &self,
        cause: &Envelope,
        mut bundle: Stored<Bundle>,
        failure: Failure,
    ) -> Result<Done, PortError> {
        let at = self.ports.now();
        let why = format!("{}: {}", failure.code, failure.why);
        step!(bundle.value, BundleMove::Fail, at, Self::NAME, &why);
        let mut rejected = bundle.value.set_aside.clone();
        for fix in &bundle.value.fixes {
            rejected.entry(fix.clone()).or_insert_with(|| why.clone());
        }
        bundle.value.failure = Some(failure);
        let alert = Alert::new(
            bundle.value.project,
            Urgency::Page,
            "bundle.failed",
            &bundle.value.id,
            format!("Version {} could not be built: {why}", bundle.value.version),
            at,
        );
        let commit = Commit::new().update(&bundle);
        let commit = news::raise(&self.ports, commit, cause.id.as_str(), alert).await?;
        let commit = self.reject(cause, commit, &rejected).await?;
        self.ports.store.commit(commit).await?;
        Ok(Done::did(format!(
            "bundle {} failed: {why}",
            bundle.value.id
        )))
    }

    /// Rejects fixes that did not get through a build, and says so on their issues.
    async fn reject(
        &self,
        cause: &Envelope,
        mut commit: Commit,
        fixes: &BTreeMap<FixId, String>,
    ) -> Result<Commit, PortError> {
        let (store, at) = (self.ports.store.as_ref(), self.ports.now());
        for (id, why) in fixes {
            let mut fix: Stored<Fix> = records::need(store, cause.project, id.as_str()).await?;
            if fix
                .value
                .step(FixMove::Reject, at, Self::NAME, why)
                .is_err()
            {
                continue;
            }
            commit = commit.update(&fix);
            let issue = fix.value.issue.as_str();
            let mut issue: Stored<Issue> = records::need(store, cause.project, issue).await?;
            let text = format!("fix {id} did not get through the build: {why}");
            if issue
                .value
                .step(IssueMove::GiveUp, at, Self::NAME, &text)
                .is_ok()
            {
                commit = commit.update(&issue);
            }
            let code = "fix.rejected";
            let text = format!("“{}”: {text}", fix.value.title);
            let alert = Alert::new(cause.project, Urgency::Warning, code, id, text, at);
            commit = news::raise(&self.ports, commit, cause.id.as_str(), alert).await?;
        }
        Ok(commit)
    }
}

/// What deltas are made from.
fn delta_bases(supported: &[Release]) -> Vec<(Version, String)> {
    let bases = supported.iter();
    let bases = bases.map(|it| (it.version.clone(), it.built.full.blob.clone()));
    bases.collect()
}

/// What deltas of packages for platforms are made from.
fn platform_bases(supported: &[Release]) -> Vec<PlatformBase> {
    let mut bases = Vec::new();
    for release in supported {
        for package in &release.built.platforms {
            bases.push(PlatformBase {
                version: release.version.clone(),
                kind: package.kind,
                blob: package.artifact.blob.clone(),
            });
        }
    }
    bases
}

fn patch(fix: &Fix) -> Option<PatchToApply> {
    Some(PatchToApply {
        fix: fix.id.clone(),
        commit: fix.commit.clone()?,
        title: fix.title.clone(),
    })
}

#[async_trait]
impl Stage for Bundles {
    const NAME: &'static str = "bundle";
    type Command = Wake;
    type Done = Done;

    async fn run(&self, wake: Wake) -> Result<Done, PortError> {
        match wake.message() {
            Some((envelope, Message::BuildBundle { bundle })) => self.order(envelope, bundle).await,
            Some((envelope, Message::BuildDone { job })) => self.judge(envelope, job).await,
            _ => Err(not_mine(Self::NAME, &wake)),
        }
    }
}

#[cfg(test)]
mod tests;
