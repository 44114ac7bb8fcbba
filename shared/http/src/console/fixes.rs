//! Fixes: what changed, what was tried, and whether a person lets it depart.

use super::frame::{Asked, address, gates, name, story};
use super::pages::{Listed, Single};
use super::session::Visitor;
use kintsugi_app::admin::{FixLine, Page, Part, ProjectViews};
use kintsugi_domain::fix::{Fix, FixMove, FixState};
use kintsugi_domain::id::{FixId, ProjectId};
use kintsugi_domain::limits::REASON_CHARS_MAX;
use kintsugi_domain::ports::PortError;
use kintsugi_trust::token::Role;
use maud::{Markup, html};

impl Listed for FixLine {
    const TITLE: &'static str = "Fixes";
    const PART: &'static str = "fixes";
    const CAPTION: &'static str = "Fixes";
    const COLUMNS: &'static [&'static str] = &["Fix", "State", "Kind", "Rule"];
    const NONE: &'static str = "None yet.";

    async fn read(
        views: &ProjectViews<'_>,
        _: &Asked,
        part: &Part,
    ) -> Result<Page<Self>, PortError> {
        views.fixes(part).await
    }

    fn row(&self, project: ProjectId) -> Markup {
        html! {
            tr {
                th scope="row" { a href=(address(project, "fixes", &self.id)) { (self.title) } }
                td { (name(self.state)) }
                td { (name(self.class)) }
                td { (self.rule) }
            }
        }
    }
}

impl Single for Fix {
    type Id = FixId;
    const WHAT: &'static str = "fix";

    async fn find(views: &ProjectViews<'_>, id: &FixId) -> Result<Option<Self>, PortError> {
        views.get(id.as_str()).await
    }

    fn title(&self) -> String {
        self.title.clone()
    }

    fn content(&self, visitor: &Visitor, project: ProjectId) -> Markup {
        html! {
            dl {
                dt { "State" } dd { (name(self.state)) }
                dt { "Issue" } dd { a href=(address(project, "issues", &self.issue)) { (self.issue) } }
                dt { "Kind" } dd { (name(self.class)) " the fault; made by rule " (self.rule) }
                dt { "Proven on" } dd { code { (self.base) } }
                @if let Some(commit) = &self.commit { dt { "Commit" } dd { code { (commit) } } }
                @if let Some(branch) = &self.branch { dt { "Branch" } dd { code { (branch) } } }
                @if let Some(priority) = &self.priority {
                    dt { "Train" }
                    dd { (name(priority.train)) ", score " (priority.value) ": " (priority.reasons.join(", ")) }
                }
            }
            h2 { "Change" }
            (diff(&self.diff))
            h2 { "Evidence" }
            (gates(&self.gates))
            (review(visitor, self))
            (story(&self.story))
        }
    }
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
            input type="text" id="reason" name="reason" maxlength=(REASON_CHARS_MAX) autocomplete="off";
            @if may_approve {
                button type="submit" name="approved" value="true" { "Approve: let it depart" }
            }
            @if may_refuse {
                button type="submit" name="approved" value="false" { "Refuse" }
            }
        }
    }
}
