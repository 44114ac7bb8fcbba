//! Requests: what one person asked for and another must confirm.

use super::frame::{Asked, Place, address, name, next, reason_form, table, time};
use super::session::Visitor;
use super::{Home, Shown, Trouble, of, shown};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, State};
use kintsugi_app::admin::{Part, RequestView};
use kintsugi_domain::id::{ProjectId, RequestId};
use kintsugi_domain::request::RequestState;
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
    let mut page = views.requests(&part).await?;
    page.items
        .sort_by_key(|request| std::cmp::Reverse(request.asked_at));
    let project = views.project();
    let columns = ["Asked", "What", "On", "By", "State"];
    let content = html! {
        @if page.items.is_empty() { p { "None yet." } } @else {
            (table("Requests, the newest of the page first", &columns, &html! {
                @for request in &page.items {
                    tr {
                        td { (time(request.asked_at)) }
                        th scope="row" {
                            a href=(address(project.id, "requests", &request.id)) { (request.what.name()) }
                        }
                        td { (request.on) }
                        td { (request.asked_by) }
                        td { (name(request.state)) }
                    }
                }
            }))
        }
        (next(&page, &format!("/console/projects/{}/requests?", project.id)))
    };
    let place = Place {
        title: "Requests",
        project: Some(&project),
        done: None,
    };
    Ok(shown(&visitor, &place, &content))
}

pub(super) async fn one(
    State(home): State<Home>,
    visitor: Visitor,
    path: Result<Path<(ProjectId, RequestId)>, PathRejection>,
    Query(asked): Query<Asked>,
) -> Shown {
    let Path((project, id)) = path?;
    let views = of(&home, &visitor, project).await?;
    let found = views.request(&id).await?;
    let request = found.ok_or_else(|| Trouble::missing("request"))?;
    let content = html! {
        dl {
            dt { "State" } dd { (name(request.state)) }
            dt { "On" } dd { (request.on) }
            dt { "Why" } dd { (request.why) }
            dt { "Asked for by" } dd { (request.asked_by) ", " (time(request.asked_at)) }
            dt { "Waits until" } dd { (time(request.expires_at)) }
            @if let Some(by) = &request.ended_by { dt { "Ended by" } dd { (by) } }
            @if let Some(at) = request.ended_at { dt { "Ended" } dd { (time(at)) } }
            @if !request.ended_why.is_empty() { dt { "Reason" } dd { (request.ended_why) } }
        }
        @if let Some(action) = &request.action {
            h2 { "As it was asked for" }
            pre tabindex="0" aria-label="The action" { code { (pretty(action)) } }
        }
        (decide(&visitor, project, &request))
    };
    let place = Place {
        title: request.what.name(),
        project: Some(&views.project()),
        done: asked.done,
    };
    Ok(shown(&visitor, &place, &content))
}

fn pretty(action: &serde_json::Value) -> String {
    serde_json::to_string_pretty(action).unwrap_or_default()
}

fn decide(visitor: &Visitor, project: ProjectId, request: &RequestView) -> Markup {
    if request.state != RequestState::Waiting {
        return html! {};
    }
    // Who may see the action may confirm it.
    if request.action.is_none() {
        return html! { h2 { "Decide" } p { "It waits for somebody whose role may do it." } };
    }
    let own = visitor.token.sub == request.asked_by;
    let page = address(project, "requests", &request.id);
    html! {
        h2 { "Decide" }
        @if own {
            p { "You asked for it: somebody else must confirm." }
        } @else {
            form method="post" action=(format!("{page}/confirm")) {
                input type="hidden" name="form" value=(visitor.form);
                button type="submit" { "Confirm: do it now" }
            }
        }
        @let (heading, button) = if own { ("Take it back", "Take back") } else { ("Refuse it", "Refuse") };
        (reason_form(visitor, &format!("{page}/refuse"), heading, button, false))
    }
}
