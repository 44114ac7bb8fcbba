//! The first page: what needs a person now, and how every project is doing.

use super::frame::{Asked, Place, address, name, time};
use super::session::{Stranger, Visitor, enter};
use super::{Home, Trouble, frame, pages, shown};
use axum::extract::{FromRequestParts as _, Query, Request, State};
use axum::response::{IntoResponse as _, Response};
use kintsugi_app::admin::{Needs, ProjectView};
use maud::{Markup, html};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
struct Ticket {
    code: Option<String>,
}

/// Lets somebody in who brings a code in the address; shows the page to who is in.
pub(super) async fn page(State(home): State<Home>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let ticket = Query::<Ticket>::try_from_uri(&parts.uri).ok();
    if let Some(code) = ticket.and_then(|Query(ticket)| ticket.code) {
        return enter(&home, &code).await.into_response();
    }
    let asked = Query::<Asked>::try_from_uri(&parts.uri).ok();
    let asked = asked.map(|Query(asked)| asked).unwrap_or_default();
    match Visitor::from_request_parts(&mut parts, &home).await {
        Ok(visitor) => projects(&home, &visitor, &asked).await.into_response(),
        Err(stranger) => Stranger::into_response(stranger),
    }
}

async fn projects(home: &Home, visitor: &Visitor, asked: &Asked) -> super::Shown {
    let views = home.admin.views(&visitor.token).map_err(Trouble::from)?;
    let mut sections = Vec::new();
    for project in views.projects().await? {
        if let Some(views) = views.project(project.id).await? {
            sections.push((project, views.needs().await?));
        }
    }
    let place = Place {
        title: "Overview",
        done: asked.done,
        ..Place::default()
    };
    let content = html! {
        @if sections.is_empty() {
            p { "No project yet. Add one with " code { "kintsugi project add" } "." }
        }
        @for (project, needs) in &sections {
            (section(project, needs))
        }
    };
    Ok(shown(visitor, &place, &content))
}

fn section(project: &ProjectView, needs: &Needs) -> Markup {
    let id = project.id;
    html! {
        section aria-labelledby=(format!("project-{id}")) {
            h2 id=(format!("project-{id}")) {
                a href=(format!("/console/projects/{id}/issues")) { (project.name) }
            }
            p {
                "Project " (id) ", channel " (project.channel)
                @if let Some(repository) = &project.repository { ", source " code { (repository) } }
                @for key in &project.keys { ", key " code { (key) } }
            }
            h3 { "Needs a person now" }
            (waiting(project, needs))
            h3 { "Rollouts under way" }
            @if needs.rollouts.is_empty() {
                p { "None." }
            } @else {
                (pages::rows(id, &format!("Rollouts of {}", project.name), &needs.rollouts))
            }
            h3 { "Last releases" }
            @if needs.releases.is_empty() {
                p { "None yet." }
            } @else {
                (frame::table(
                    &format!("Releases of {}, the highest version first", project.name),
                    &["Version", "State", "Train", "Built"],
                    &html! {
                        @for release in &needs.releases {
                            tr {
                                th scope="row" {
                                    a href=(address(id, "releases", &release.id)) { (release.version) }
                                }
                                td { (name(release.state)) }
                                td { (name(release.train)) }
                                td { (time(release.built_at)) }
                            }
                        }
                    },
                ))
            }
        }
    }
}

fn waiting(project: &ProjectView, needs: &Needs) -> Markup {
    let id = project.id;
    let nothing = needs.fixes_to_review.is_empty()
        && needs.requests.is_empty()
        && needs.issues_for_people.is_empty()
        && needs.parked.is_empty();
    if nothing {
        return html! { p { "Nothing." } };
    }
    html! {
        ul {
            @for fix in &needs.fixes_to_review {
                li { "Review: " a href=(address(id, "fixes", &fix.id)) { (fix.title) } }
            }
            @for request in &needs.requests {
                li {
                    "Confirm: " a href=(address(id, "requests", &request.id)) { (request.what.name()) " on " (request.on) }
                    ", asked for by " (request.asked_by)
                }
            }
            @for issue in &needs.issues_for_people {
                li { "Fix by hand: " a href=(address(id, "issues", &issue.id)) { (issue.title) } }
            }
            @if !needs.parked.is_empty() {
                li {
                    a href="/console/parked" { "Parked messages: " (needs.parked.len()) }
                    "; mend the cause, then redrive"
                }
            }
        }
    }
}
