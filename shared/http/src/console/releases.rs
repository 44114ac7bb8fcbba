//! Releases: what is new, what devices download.

use super::frame::{Asked, Place, address, bytes, name, next, story, table, time};
use super::session::Visitor;
use super::{Home, Shown, Trouble, of, shown};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, State};
use kintsugi_app::admin::Part;
use kintsugi_domain::id::{ProjectId, ReleaseId};
use kintsugi_domain::limits::PAGE_RECORDS_MAX;
use kintsugi_domain::release::Release;
use maud::{Markup, html};

pub(super) async fn list(
    State(home): State<Home>,
    visitor: Visitor,
    project: Result<Path<ProjectId>, PathRejection>,
    Query(asked): Query<Asked>,
) -> Shown {
    let views = of(&home, &visitor, project?.0).await?;
    let part = Part {
        after: asked.after,
        limit: Some(PAGE_RECORDS_MAX),
    };
    let mut page = views.releases(&part).await?;
    page.items.sort_by(|a, b| b.version.cmp(&a.version));
    let project = views.project();
    let columns = ["Version", "State", "Channel", "Train", "Fixes", "Built"];
    let content = html! {
        @if page.items.is_empty() { p { "None yet." } } @else {
            (table("Releases, the highest version first", &columns, &html! {
                @for release in &page.items {
                    tr {
                        th scope="row" {
                            a href=(address(project.id, "releases", &release.id)) { (release.version) }
                        }
                        td { (name(release.state)) }
                        td { (release.channel) }
                        td { (name(release.train)) }
                        td { (release.fixes.len()) }
                        td { (time(release.built_at)) }
                    }
                }
            }))
        }
        (next(&page, &format!("/console/projects/{}/releases?", project.id)))
    };
    let place = Place {
        title: "Releases",
        project: Some(&project),
        done: None,
    };
    Ok(shown(&visitor, &place, &content))
}

pub(super) async fn one(
    State(home): State<Home>,
    visitor: Visitor,
    path: Result<Path<(ProjectId, ReleaseId)>, PathRejection>,
) -> Shown {
    let Path((project, id)) = path?;
    let views = of(&home, &visitor, project).await?;
    let found = views.get::<Release>(id.as_str()).await?;
    let release = found.ok_or_else(|| Trouble::missing("release"))?;
    let rollouts = views.rollouts(&Part::default()).await?.items;
    let content = html! {
        dl {
            dt { "State" } dd { (name(release.state)) }
            dt { "Channel" } dd { (release.channel) }
            dt { "Train" } dd { (name(release.train)) }
            dt { "Commit" } dd { code { (release.built.commit) } }
            @if let Some(previous) = &release.previous { dt { "Goes back to" } dd { (previous) } }
            dt { "Built" } dd { (time(release.built_at)) }
            @for view in rollouts.iter().filter(|view| view.rollout.release == id) {
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
        (packages(&release))
        h2 { "Fixes and issues" }
        ul {
            @for fix in &release.fixes {
                li { "Fix " a href=(address(project, "fixes", fix)) { (fix) } }
            }
            @for issue in &release.issues {
                li { "Issue " a href=(address(project, "issues", issue)) { (issue) } }
            }
        }
        (story(&release.story))
    };
    let title = format!("Release {}", release.version);
    let place = Place {
        title: &title,
        project: Some(&views.project()),
        done: None,
    };
    Ok(shown(&visitor, &place, &content))
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
        },
    )
}

/// A part of a whole, in per mille shown as percent: exact enough for people, without floats.
fn percent(part: u64, whole: u64) -> String {
    match part.saturating_mul(1000).checked_div(whole) {
        Some(mille) => format!("{}.{} %", mille / 10, mille % 10),
        None => String::new(),
    }
}
