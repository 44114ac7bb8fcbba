//! Issues. Nearly everything here was written by strangers.

use super::frame::{Asked, address, name, reason_form, story, table, time};
use super::pages::{Listed, Single};
use super::session::Visitor;
use kintsugi_app::admin::{IssueLine, IssueView, Page, Part, ProjectViews};
use kintsugi_domain::event::{Event, Exception, Frame};
use kintsugi_domain::id::{IssueId, ProjectId};
use kintsugi_domain::issue::IssueState;
use kintsugi_domain::limits::PAGE_RECORDS_MAX;
use kintsugi_domain::ports::PortError;
use kintsugi_trust::token::Role;
use maud::{Markup, html};
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

fn written(state: IssueState) -> String {
    name(state).replace(' ', "_")
}

/// The state to filter by. What names none filters nothing.
fn chosen(asked: &Asked) -> Option<IssueState> {
    let wanted = asked.state.as_deref()?;
    STATES.into_iter().find(|&state| written(state) == wanted)
}

impl Listed for IssueLine {
    const TITLE: &'static str = "Issues";
    const PART: &'static str = "issues";
    const CAPTION: &'static str = "Issues, the most urgent of the page first";
    const COLUMNS: &'static [&'static str] = &[
        "Issue",
        "Score",
        "Level",
        "State",
        "Events",
        "Users",
        "Last seen",
    ];
    const NONE: &'static str = "None.";
    const ROWS_MAX: Option<usize> = Some(PAGE_RECORDS_MAX);

    async fn read(
        views: &ProjectViews<'_>,
        asked: &Asked,
        part: &Part,
    ) -> Result<Page<Self>, PortError> {
        let mut page = views.issues(chosen(asked), part).await?;
        page.items
            .sort_by(|a, b| b.score.cmp(&a.score).then(b.last_seen.cmp(&a.last_seen)));
        Ok(page)
    }

    fn row(&self, project: ProjectId) -> Markup {
        html! {
            tr {
                th scope="row" {
                    a href=(address(project, "issues", &self.id)) { (self.title) }
                    @if let Some(culprit) = &self.culprit { br; code { (culprit) } }
                }
                td { (self.score) }
                td { (name(self.level)) }
                td { (name(self.state)) }
                td { (self.events) }
                td { (self.users) }
                td { (time(self.last_seen)) }
            }
        }
    }

    fn controls(here: &str, asked: &Asked) -> Markup {
        let chosen = chosen(asked);
        html! {
            form method="get" action=(here) class="line" {
                label for="state" { "State" }
                select id="state" name="state" {
                    option value="" { "all" }
                    @for state in STATES {
                        option value=(written(state)) selected[chosen == Some(state)] { (name(state)) }
                    }
                }
                button type="submit" { "Show" }
            }
        }
    }

    fn repeated(asked: &Asked) -> String {
        chosen(asked).map_or_else(String::new, |state| format!("state={}&", written(state)))
    }
}

impl Single for IssueView {
    type Id = IssueId;
    const WHAT: &'static str = "issue";

    async fn find(views: &ProjectViews<'_>, id: &IssueId) -> Result<Option<Self>, PortError> {
        views.issue(id).await
    }

    fn title(&self) -> String {
        match self.issue.title.trim() {
            "" => "Issue without a title".to_owned(),
            title => title.to_owned(),
        }
    }

    fn content(&self, visitor: &Visitor, project: ProjectId) -> Markup {
        html! {
            (facts(project, self))
            h2 { "Score " (self.issue.score.value) }
            ul { @for reason in &self.issue.score.reasons { li { (reason) } } }
            (diagnosis(self))
            h2 { "Fixes" }
            @if self.fixes.is_empty() { p { "None yet." } }
            ul {
                @for fix in &self.fixes {
                    li {
                        a href=(address(project, "fixes", &fix.id)) { (fix.title) }
                        ", " (name(fix.state))
                    }
                }
            }
            @if let Some(event) = &self.sample { (sample(event)) }
            (story(&self.issue.story))
            (actions(visitor, project, self))
        }
    }
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
            @if let Some(due) = issue.clocks.response { dt { "Response due" } dd { (time(due)) } }
            @if let Some(due) = issue.clocks.deployment { dt { "Deployment due" } dd { (time(due)) } }
            @for missed in &issue.clocks.missed { dt { "Overdue" } dd { (missed) } }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_of_issues_is_of_the_state_that_was_chosen() {
        let repeated = |state: Option<&str>| {
            IssueLine::repeated(&Asked {
                state: state.map(str::to_owned),
                ..Asked::default()
            })
        };
        for state in STATES {
            assert_eq!(
                repeated(Some(&written(state))),
                format!("state={}&", written(state))
            );
        }
        // What a stranger put there is not repeated.
        for state in [None, Some(""), Some("odd\"><script>")] {
            assert_eq!(repeated(state), "");
        }
    }
}
