//! Alerts, the audit log and parked messages.

use super::frame::{Asked, Place, name, next, table, time};
use super::session::Visitor;
use super::{Home, Shown, Trouble, of, shown};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, State};
use kintsugi_app::admin::Part;
use kintsugi_domain::envelope::Queue;
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::limits::{PAGE_RECORDS_MAX, REASON_CHARS_MAX};
use kintsugi_trust::token::Role;
use maud::{Markup, html};

pub(super) async fn alerts(
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
    let mut page = views.alerts(&part).await?;
    page.items.sort_by_key(|alert| std::cmp::Reverse(alert.at));
    let project = views.project();
    let columns = ["When", "Urgency", "What", "Code", "Told"];
    let content = html! {
        @if page.items.is_empty() { p { "None." } } @else {
            (table("Alerts, the newest of the page first", &columns, &html! {
                @for alert in &page.items {
                    tr {
                        td { (time(alert.at)) }
                        td { (name(alert.urgency)) }
                        th scope="row" { (alert.text) }
                        td { code { (alert.code) } }
                        td { (alert.delivered.join(", ")) }
                    }
                }
            }))
        }
        (next(&page, &format!("/console/projects/{}/alerts?", project.id)))
    };
    let place = Place {
        title: "Alerts",
        project: Some(&project),
        done: None,
    };
    Ok(shown(&visitor, &place, &content))
}

pub(super) async fn audit(
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
    let page = views.audit(&part).await?;
    let project = views.project();
    let content = html! {
        @if page.items.is_empty() { p { "Nobody did anything yet." } } @else {
            (table("What people did, the newest first", &["When", "Who", "What", "On", "Why"], &html! {
                @for line in &page.items {
                    tr {
                        td { (time(line.at)) }
                        td { (line.by) }
                        th scope="row" { (line.what) }
                        td { (line.on) }
                        td { (line.why) }
                    }
                }
            }))
        }
        (next(&page, &format!("/console/projects/{}/audit?", project.id)))
    };
    let place = Place {
        title: "Audit log",
        project: Some(&project),
        done: None,
    };
    Ok(shown(&visitor, &place, &content))
}

pub(super) async fn parked(
    State(home): State<Home>,
    visitor: Visitor,
    Query(asked): Query<Asked>,
) -> Shown {
    let views = home.admin.views(&visitor.token).map_err(Trouble::from)?;
    let messages = views.parked().await?;
    let queues = Queue::ALL
        .into_iter()
        .filter(|queue| messages.iter().any(|m| m.queue == *queue));
    let content = html! {
        p { "Messages that could not be handled wait here. Mend the cause, then redrive the queue." }
        @if messages.is_empty() { p { "None." } }
        @for queue in queues {
            h2 { "Queue " (queue) }
            (table(&format!("Parked messages of queue {queue}"), &["Message", "Asks for", "Project", "Why"], &html! {
                @for message in messages.iter().filter(|message| message.queue == queue) {
                    tr {
                        th scope="row" { code { (message.id) } }
                        td { (message.kind.replace('_', " ")) }
                        td { @if let Some(project) = message.project { (project) } }
                        td { (message.cause) }
                    }
                }
            }))
            (redrive(&visitor, queue))
        }
    };
    let place = Place {
        title: "Parked messages",
        project: None,
        done: asked.done,
    };
    Ok(shown(&visitor, &place, &content))
}

fn redrive(visitor: &Visitor, queue: Queue) -> Markup {
    if !visitor.may(Role::Admin) {
        return html! { p { "Redriving needs role admin." } };
    }
    html! {
        form method="post" action="/console/redrive" {
            input type="hidden" name="form" value=(visitor.form);
            input type="hidden" name="queue" value=(queue);
            label for=(format!("reason-{queue}")) { "Reason (optional)" }
            input type="text" id=(format!("reason-{queue}")) name="reason" maxlength=(REASON_CHARS_MAX)
                autocomplete="off";
            button type="submit" { "Redrive queue " (queue) }
        }
    }
}
