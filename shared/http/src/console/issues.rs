//! Issues. Nearly everything here was written by strangers.

use super::frame::{Asked, Place, address, name, next, reason_form, story, table, time};
use super::session::Visitor;
use super::{Home, Shown, Trouble, of, shown};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, State};
use kintsugi_app::admin::{IssueView, Part};
use kintsugi_domain::event::{Event, Exception, Frame};
use kintsugi_domain::id::{IssueId, ProjectId};
use kintsugi_domain::issue::IssueState;
use kintsugi_domain::limits::PAGE_RECORDS_MAX;
use kintsugi_trust::token::Role;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

/// States that people filter by.
const STATES: [IssueState; 11] = [
    IssueState::New,
    IssueState::Triaged,
    IssueState::Diagnosed,
    IssueState::Fixing,
    IssueState::Fixed,
    IssueState::Released,
    IssueState::Resolved,
    IssueState::Regressed,
    IssueState::Escalating,
    IssueState::Muted,
    IssueState::NeedsHuman,
];

#[derive(Debug, Deserialize)]
pub(super) struct Filter {
    state: Option<String>,
    after: Option<String>,
}

fn written(state: IssueState) -> String {
    name(state).replace(' ', "_")
}

pub(super) async fn list(
    State(home): State<Home>,
    visitor: Visitor,
    project: Result<Path<ProjectId>, PathRejection>,
    Query(filter): Query<Filter>,
) -> Shown {
    let views = of(&home, &visitor, project?.0).await?;
    let chosen = filter.state.unwrap_or_default();
    let state = STATES.into_iter().find(|state| written(*state) == chosen);
    let part = Part {
        after: filter.after,
        limit: Some(PAGE_RECORDS_MAX),
    };
    let mut page = views.issues(state, &part).await?;
    page.items
        .sort_by(|a, b| b.score.cmp(&a.score).then(b.last_seen.cmp(&a.last_seen)));
    let project = views.project();
    let here = format!("/console/projects/{}/issues", project.id);
    let rest = state.map_or_else(String::new, |state| format!("state={}&", written(state)));
    let columns = [
        "Issue",
        "Score",
        "Level",
        "State",
        "Events",
        "Users",
        "Last seen",
    ];
    let content = html! {
        form method="get" action=(here) class="line" {
            label for="state" { "State" }
            select id="state" name="state" {
                option value="" { "all" }
                @for state in STATES {
                    option value=(written(state)) selected[written(state) == chosen] { (name(state)) }
                }
            }
            button type="submit" { "Show" }
        }
        @if page.items.is_empty() {
            p { "None." }
        } @else {
            (table("Issues, the most urgent of the page first", &columns, &html! {
                @for issue in &page.items {
                    tr {
                        th scope="row" {
                            a href=(address(project.id, "issues", &issue.id)) { (issue.title) }
                            @if let Some(culprit) = &issue.culprit { br; code { (culprit) } }
                        }
                        td { (issue.score) }
                        td { (name(issue.level)) }
                        td { (name(issue.state)) }
                        td { (issue.events) }
                        td { (issue.users) }
                        td { (time(issue.last_seen)) }
                    }
                }
            }))
        }
        (next(&page, &format!("{here}?{rest}")))
    };
    let place = Place {
        title: "Issues",
        project: Some(&project),
        done: None,
    };
    Ok(shown(&visitor, &place, &content))
}

pub(super) async fn one(
    State(home): State<Home>,
    visitor: Visitor,
    path: Result<Path<(ProjectId, IssueId)>, PathRejection>,
    Query(asked): Query<Asked>,
) -> Shown {
    let Path((project, id)) = path?;
    let views = of(&home, &visitor, project).await?;
    let found = views.issue(&id).await?;
    let view = found.ok_or_else(|| Trouble::missing("issue"))?;
    let content = html! {
        (facts(project, &view))
        h2 { "Score " (view.issue.score.value) }
        ul { @for reason in &view.issue.score.reasons { li { (reason) } } }
        (diagnosis(&view))
        h2 { "Fixes" }
        @if view.fixes.is_empty() { p { "None yet." } }
        ul {
            @for fix in &view.fixes {
                li {
                    a href=(address(project, "fixes", &fix.id)) { (fix.title) }
                    ", " (name(fix.state))
                }
            }
        }
        @if let Some(event) = &view.sample { (sample(event)) }
        (story(&view.issue.story))
        (actions(&visitor, project, &view))
    };
    let place = Place {
        title: &view.issue.title,
        project: Some(&views.project()),
        done: asked.done,
    };
    Ok(shown(&visitor, &place, &content))
}

fn facts(project: ProjectId, view: &IssueView) -> Markup {
    let issue = &view.issue;
    html! {
        dl {
            dt { "State" } dd { (name(issue.state)) }
            dt { "Level" } dd { (name(issue.level)) }
            @if let Some(culprit) = &issue.culprit { dt { "Where" } dd { code { (culprit) } } }
            dt { "Events" } dd { (issue.events) }
            dt { "Users" } dd { (issue.users.len()) }
            dt { "First seen" } dd { (time(issue.first_seen)) }
            dt { "Last seen" } dd { (time(issue.last_seen)) }
            dt { "Releases" }
            dd { @for release in &issue.releases { code { (release) } " " } }
            @if let Some(fix) = &issue.fix {
                dt { "Fix" } dd { a href=(address(project, "fixes", fix)) { (fix) } }
            }
            @if let Some(version) = &issue.fixed_in { dt { "Fixed in" } dd { (version) } }
            dt { "Grouped by" }
            dd { (issue.fingerprint.rule) ": " (issue.fingerprint.parts.join(" · ")) }
        }
    }
}

fn diagnosis(view: &IssueView) -> Markup {
    let Some(diagnosis) = &view.diagnosis else {
        return html! { h2 { "Diagnosis" } p { "None yet." } };
    };
    html! {
        h2 { "Diagnosis" }
        @if let Some(pattern) = &diagnosis.pattern {
            p { "Known pattern " strong { (pattern.name) } ": " (pattern.meaning) "." }
        }
        (table("Where the cause may be, likeliest first", &["Place", "Weight", "Why"], &html! {
            @for suspect in &diagnosis.suspects {
                tr {
                    th scope="row" {
                        code {
                            (suspect.file)
                            @if let Some(line) = suspect.line { ":" (line) }
                            " " (suspect.function)
                        }
                    }
                    td { (format!("{:.2}", suspect.weight)) }
                    td { (suspect.why) }
                }
            }
        }))
    }
}

fn sample(event: &Event) -> Markup {
    html! {
        h2 { "Sample event" }
        p {
            code { (event.id) } ", " (time(event.occurred_at))
            @if let Some(release) = &event.release { ", release " code { (release) } }
            @if let Some(environment) = &event.environment { ", " (environment) }
        }
        @for exception in event.exceptions.iter().rev() { (stack(exception)) }
        @if !event.breadcrumbs.is_empty() {
            h3 { "What happened before" }
            ol {
                @for crumb in &event.breadcrumbs {
                    li { (crumb.category) ": " (crumb.message) }
                }
            }
        }
    }
}

fn stack(exception: &Exception) -> Markup {
    html! {
        h3 { (exception.kind) ": " (exception.value) }
        ol class="stack" {
            @for frame in exception.frames.iter().rev() { li { (line(frame)) } }
        }
    }
}

fn line(frame: &Frame) -> Markup {
    html! {
        code {
            (frame.file)
            @if let Some(line) = frame.line { ":" (line) }
            " " (frame.function)
        }
        @if !frame.in_app { " (library)" }
        @if let Some(source) = &frame.source { pre { code { (source) } } }
        @if !frame.vars.is_empty() {
            details {
                summary { "Variables of " (frame.function) }
                dl {
                    @for (variable, value) in &frame.vars {
                        dt { code { (variable) } }
                        dd { code { (text(value)) } }
                    }
                }
            }
        }
    }
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn actions(visitor: &Visitor, project: ProjectId, view: &IssueView) -> Markup {
    if !visitor.may(Role::Triager) {
        return html! {};
    }
    let at = |verb: &str| format!("{}/{verb}", address(project, "issues", &view.issue.id));
    html! {
        @match view.issue.state {
            IssueState::Muted => {
                h2 { "Actions" }
                (reason_form(visitor, &at("unmute"), "Hear of it again", "Unmute", false))
            }
            IssueState::New | IssueState::Triaged | IssueState::Diagnosed | IssueState::Regressed
            | IssueState::Escalating | IssueState::NeedsHuman | IssueState::Resolved => {
                h2 { "Actions" }
                (reason_form(visitor, &at("mute"), "Stop hearing of it", "Mute", false))
            }
            IssueState::Fixing | IssueState::Fixed | IssueState::Released => {}
        }
    }
}
