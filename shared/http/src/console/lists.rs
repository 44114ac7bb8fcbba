//! Alerts, the audit log and parked messages.

use super::frame::{Asked, Place, name, table, time};
use super::pages::Listed;
use super::session::Visitor;
use super::{Home, Shown, Trouble, shown};
use axum::extract::{Query, State};
use kintsugi_app::admin::{Page, Part, ProjectViews};
use kintsugi_domain::alert::Alert;
use kintsugi_domain::audit::Audit;
use kintsugi_domain::envelope::Queue;
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::limits::{PAGE_RECORDS_MAX, REASON_CHARS_MAX};
use kintsugi_domain::ports::PortError;
use kintsugi_trust::token::Role;
use maud::{Markup, html};

impl Listed for Alert {
    const TITLE: &'static str = "Alerts";
    const PART: &'static str = "alerts";
    const CAPTION: &'static str = "Alerts, the newest of the page first";
    const COLUMNS: &'static [&'static str] = &["When", "Urgency", "What", "Code", "Told"];
    const NONE: &'static str = "None.";
    const ROWS_MAX: Option<usize> = Some(PAGE_RECORDS_MAX);

    async fn read(
        views: &ProjectViews<'_>,
        _: &Asked,
        part: &Part,
    ) -> Result<Page<Self>, PortError> {
        let mut page = views.alerts(part).await?;
        page.items.sort_by_key(|alert| std::cmp::Reverse(alert.at));
        Ok(page)
    }

    fn row(&self, _: ProjectId) -> Markup {
        html! {
            tr {
                td { (time(self.at)) }
                td { (name(self.urgency)) }
                th scope="row" { (self.text) }
                td { code { (self.code) } }
                td { (self.delivered.join(", ")) }
            }
        }
    }
}

impl Listed for Audit {
    const TITLE: &'static str = "Audit log";
    const PART: &'static str = "audit";
    const CAPTION: &'static str = "What people did, the newest first";
    const COLUMNS: &'static [&'static str] = &["When", "Who", "What", "On", "Why"];
    const NONE: &'static str = "Nobody did anything yet.";

    async fn read(
        views: &ProjectViews<'_>,
        _: &Asked,
        part: &Part,
    ) -> Result<Page<Self>, PortError> {
        views.audit(part).await
    }

    fn row(&self, _: ProjectId) -> Markup {
        html! {
            tr {
                td { (time(self.at)) }
                td { (self.by) }
                th scope="row" { (self.what) }
                td { (self.on) }
                td { (self.why) }
            }
        }
    }
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
