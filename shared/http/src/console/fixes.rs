//! Fixes: what changed, what was tried, and whether a person lets it depart.

use super::frame::{Asked, Place, address, gates, name, next, story, table};
use super::session::Visitor;
use super::{Home, Shown, Trouble, of, shown};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, State};
use kintsugi_app::admin::Part;
use kintsugi_domain::fix::{Fix, FixMove, FixState};
use kintsugi_domain::id::{FixId, ProjectId};
use kintsugi_trust::token::Role;
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
        limit: None,
    };
    let page = views.fixes(&part).await?;
    let project = views.project();
    let columns = ["Fix", "State", "Kind", "Rule"];
    let content = html! {
        @if page.items.is_empty() { p { "None yet." } } @else {
            (table("Fixes", &columns, &html! {
                @for fix in &page.items {
                    tr {
                        th scope="row" { a href=(address(project.id, "fixes", &fix.id)) { (fix.title) } }
                        td { (name(fix.state)) }
                        td { (name(fix.class)) }
                        td { (fix.rule) }
                    }
                }
            }))
        }
        (next(&page, &format!("/console/projects/{}/fixes?", project.id)))
    };
    let place = Place {
        title: "Fixes",
        project: Some(&project),
        done: None,
    };
    Ok(shown(&visitor, &place, &content))
}

pub(super) async fn one(
    State(home): State<Home>,
    visitor: Visitor,
    path: Result<Path<(ProjectId, FixId)>, PathRejection>,
    Query(asked): Query<Asked>,
) -> Shown {
    let Path((project, id)) = path?;
    let views = of(&home, &visitor, project).await?;
    let found = views.get::<Fix>(id.as_str()).await?;
    let fix = found.ok_or_else(|| Trouble::missing("fix"))?;
    let content = html! {
        dl {
            dt { "State" } dd { (name(fix.state)) }
            dt { "Issue" } dd { a href=(address(project, "issues", &fix.issue)) { (fix.issue) } }
            dt { "Kind" } dd { (name(fix.class)) " the fault; made by rule " (fix.rule) }
            dt { "Proven on" } dd { code { (fix.base) } }
            @if let Some(commit) = &fix.commit { dt { "Commit" } dd { code { (commit) } } }
            @if let Some(branch) = &fix.branch { dt { "Branch" } dd { code { (branch) } } }
            @if let Some(priority) = &fix.priority {
                dt { "Train" }
                dd { (name(priority.train)) ", score " (priority.value) ": " (priority.reasons.join(", ")) }
            }
        }
        h2 { "Change" }
        (diff(&fix.diff))
        h2 { "Evidence" }
        (gates(&fix.gates))
        (review(&visitor, &fix))
        (story(&fix.story))
    };
    let place = Place {
        title: &fix.title,
        project: Some(&views.project()),
        done: asked.done,
    };
    Ok(shown(&visitor, &place, &content))
}

/// A unified diff, its added and removed lines marked for the style sheet.
fn diff(text: &str) -> Markup {
    html! {
        pre class="diff" tabindex="0" aria-label="Unified diff" {
            code {
                @for line in text.lines() {
                    @if line.starts_with('+') { ins { (line) } }
                    @else if line.starts_with('-') { del { (line) } }
                    @else { (line) }
                    "\n"
                }
            }
        }
    }
}

fn review(visitor: &Visitor, fix: &Fix) -> Markup {
    let may_approve = fix.state.next(FixMove::Approve).is_ok();
    let may_refuse = fix.state.next(FixMove::Reject).is_ok() && fix.state != FixState::Bundled;
    if !may_approve && !may_refuse {
        return html! {};
    }
    if !visitor.may(Role::Triager) {
        return html! { h2 { "Review" } p { "It waits for somebody with role triager." } };
    }
    let action = format!("{}/review", address(fix.project, "fixes", &fix.id));
    html! {
        h2 { "Review" }
        form method="post" action=(action) {
            input type="hidden" name="form" value=(visitor.form);
            label for="reason" { "Reason (optional)" }
            input type="text" id="reason" name="reason" maxlength="2000" autocomplete="off";
            @if may_approve {
                button type="submit" name="approved" value="true" { "Approve: let it depart" }
            }
            @if may_refuse {
                button type="submit" name="approved" value="false" { "Refuse" }
            }
        }
    }
}
