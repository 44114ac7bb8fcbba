//! Releases: what is new, what devices download.

use super::frame::{Asked, address, bytes, name, story, table, time};
use super::pages::{Listed, Single};
use super::session::Visitor;
use kintsugi_app::admin::{Page, Part, ProjectViews, RolloutView};
use kintsugi_domain::hotfix::HotfixPath;
use kintsugi_domain::id::{ProjectId, ReleaseId};
use kintsugi_domain::job::Artifact;
use kintsugi_domain::limits::PAGE_RECORDS_MAX;
use kintsugi_domain::ports::PortError;
use kintsugi_domain::release::Release;
use maud::{Markup, html};

impl Listed for Release {
    const TITLE: &'static str = "Releases";
    const PART: &'static str = "releases";
    const CAPTION: &'static str = "Releases, the highest version first";
    const COLUMNS: &'static [&'static str] =
        &["Version", "State", "Channel", "Train", "Fixes", "Built"];
    const NONE: &'static str = "None yet.";
    const ROWS_MAX: Option<usize> = Some(PAGE_RECORDS_MAX);

    async fn read(
        views: &ProjectViews<'_>,
        _: &Asked,
        part: &Part,
    ) -> Result<Page<Self>, PortError> {
        let mut page = views.releases(part).await?;
        page.items.sort_by(|a, b| b.version.cmp(&a.version));
        Ok(page)
    }

    fn row(&self, project: ProjectId) -> Markup {
        html! {
            tr {
                th scope="row" {
                    a href=(address(project, "releases", &self.id)) { (self.version) }
                }
                td { (name(self.state)) }
                td { (self.channel) }
                td { (name(self.train)) }
                td { (self.fixes.len()) }
                td { (time(self.built_at)) }
            }
        }
    }
}

/// A release with what became of it.
pub(super) struct ReleaseView {
    release: Release,
    rollouts: Vec<RolloutView>,
}

impl Single for ReleaseView {
    type Id = ReleaseId;
    const WHAT: &'static str = "release";

    async fn find(views: &ProjectViews<'_>, id: &ReleaseId) -> Result<Option<Self>, PortError> {
        let Some(release) = views.get::<Release>(id.as_str()).await? else {
            return Ok(None);
        };
        let mut rollouts = views.rollouts(&Part::default()).await?.items;
        rollouts.retain(|view| view.rollout.release == *id);
        Ok(Some(Self { release, rollouts }))
    }

    fn title(&self) -> String {
        format!("Release {}", self.release.version)
    }

    fn content(&self, _: &Visitor, project: ProjectId) -> Markup {
        let release = &self.release;
        html! {
            dl {
                dt { "State" } dd { (name(release.state)) }
                dt { "Channel" } dd { (release.channel) }
                dt { "Train" } dd { (name(release.train)) }
                @if release.build > 0 { dt { "Build" } dd { (release.build) } }
                dt { "Commit" } dd { code { (release.built.commit) } }
                @if let Some(previous) = &release.previous { dt { "Goes back to" } dd { (previous) } }
                dt { "Built" } dd { (time(release.built_at)) }
                @for view in &self.rollouts {
                    dt { "Rollout" }
                    dd {
                        a href=(address(project, "rollouts", &view.rollout.id)) {
                            (name(view.rollout.state)) ", " (view.rollout.share)
                        }
                    }
                }
            }
            h2 { "Notes" }
            p class="notes" { (release.notes) }
            h2 { "Packages" }
            (packages(release))
            h2 { "Fixes and issues" }
            ul {
                @for fix in &release.fixes {
                    li { "Fix " a href=(address(project, "fixes", fix)) { (fix) } }
                }
                @for issue in &release.issues {
                    li { "Issue " a href=(address(project, "issues", issue)) { (issue) } }
                }
            }
            @if let Some(path) = &release.hotfix { (hotfix(path)) }
            (story(&release.story))
        }
    }
}

/// The way of a hotfix from the report to the first offer.
fn hotfix(path: &HotfixPath) -> Markup {
    let minutes = path.seconds / 60;
    let columns = ["What", "When"];
    html! {
        h2 { "From the report to the first offer" }
        p { (minutes) " minutes" @if path.late { ", longer than a hotfix may take" } }
        (table("The way of this hotfix", &columns, &html! {
            @for point in &path.points {
                tr { th scope="row" { (point.what) } td { (time(point.at)) } }
            }
        }))
    }
}

fn packages(release: &Release) -> Markup {
    let full = &release.built.full;
    let columns = ["Package", "Size", "Of the full package", "SHA-256"];
    table(
        "What devices download",
        &columns,
        &html! {
            tr {
                th scope="row" { "full" }
                td { (bytes(full.length)) }
                td { "100 %" }
                td { code { (full.digest) } }
            }
            @for delta in &release.built.deltas {
                tr {
                    th scope="row" { "delta from " (delta.from) }
                    td { (bytes(delta.artifact.length)) }
                    td { (percent(delta.artifact.length, full.length)) }
                    td { code { (delta.artifact.digest) } }
                }
            }
            @for package in &release.built.platforms {
                tr {
                    th scope="row" { (file_name(&package.artifact)) }
                    td { (bytes(package.artifact.length)) }
                    td { "" }
                    td { code { (package.artifact.digest) } }
                }
            }
        },
    )
}

/// The name that an artifact is downloaded by.
fn file_name(artifact: &Artifact) -> &str {
    let name = artifact.blob.rsplit('/').next().unwrap_or_default();
    name.split_once('.').map_or(name, |(_, name)| name)
}

/// A part of a whole, in per mille shown as percent: exact enough for people, without floats.
fn percent(part: u64, whole: u64) -> String {
    match part.saturating_mul(1000).checked_div(whole) {
        Some(mille) => format!("{}.{} %", mille / 10, mille % 10),
        None => String::new(),
    }
}
