//! Requests: what one person asked for and another must confirm.

use super::frame::{Asked, address, name, reason_form, time};
use super::pages::{Listed, Single};
use super::session::Visitor;
use kintsugi_app::admin::{Page, Part, ProjectViews, RequestView};
use kintsugi_domain::id::{ProjectId, RequestId};
use kintsugi_domain::ports::PortError;
use kintsugi_domain::request::RequestState;
use maud::{Markup, html};

impl Listed for RequestView {
    const TITLE: &'static str = "Requests";
    const PART: &'static str = "requests";
    const CAPTION: &'static str = "Requests, the newest of the page first";
    const COLUMNS: &'static [&'static str] = &["Asked", "What", "On", "By", "State"];
    const NONE: &'static str = "None yet.";

    async fn read(
        views: &ProjectViews<'_>,
        _: &Asked,
        part: &Part,
    ) -> Result<Page<Self>, PortError> {
        let mut page = views.requests(part).await?;
        page.items
            .sort_by_key(|request| std::cmp::Reverse(request.asked_at));
        Ok(page)
    }

    fn row(&self, project: ProjectId) -> Markup {
        html! {
            tr {
                td { (time(self.asked_at)) }
                th scope="row" {
                    a href=(address(project, "requests", &self.id)) { (self.what.name()) }
                }
                td { (self.on) }
                td { (self.asked_by) }
                td { (name(self.state)) }
            }
        }
    }
}

impl Single for RequestView {
    type Id = RequestId;
    const WHAT: &'static str = "request";

    async fn find(views: &ProjectViews<'_>, id: &RequestId) -> Result<Option<Self>, PortError> {
        views.request(id).await
    }

    fn title(&self) -> String {
        self.what.name().to_owned()
    }

    fn content(&self, visitor: &Visitor, project: ProjectId) -> Markup {
        html! {
            dl {
                dt { "State" } dd { (name(self.state)) }
                dt { "On" } dd { (self.on) }
                dt { "Why" } dd { (self.why) }
                dt { "Asked for by" } dd { (self.asked_by) ", " (time(self.asked_at)) }
                dt { "Waits until" } dd { (time(self.expires_at)) }
                @if let Some(by) = &self.ended_by { dt { "Ended by" } dd { (by) } }
                @if let Some(at) = self.ended_at { dt { "Ended" } dd { (time(at)) } }
                @if !self.ended_why.is_empty() { dt { "Reason" } dd { (self.ended_why) } }
            }
            @if let Some(action) = &self.action {
                h2 { "As it was asked for" }
                pre tabindex="0" aria-label="The action" { code { (pretty(action)) } }
            }
            (decide(visitor, project, self))
        }
    }
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
