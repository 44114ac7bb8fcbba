//! The console, `/console`: pages for people, made on the server. They need no script.
//!
//! People enter by an address with a code that is good once (`kintsugi up` and `kintsugi console` print one): a token for
//! the visit goes into a cookie. Every page checks it as the admin API does, every form carries a value that only
//! our own pages know.
//!
//! **Invariants: whatever came from outside is shown as text, never as markup (the templates escape
//! everything, and the content security policy allows no script, no style but ours, no image, no frame);
//! nothing is changed by GET; every page has one `h1`, and works with a keyboard and a screen reader.**
//!
//! Not here: what is decided (`kintsugi_app::admin`) and JSON ([`mod@crate::admin`]).

mod actions;
mod fixes;
mod frame;
mod issues;
mod lists;
mod overview;
mod pages;
mod releases;
mod requests;
mod rollouts;
mod session;
#[cfg(test)]
mod tests;

use crate::dress::staged;
use axum::extract::rejection::{FormRejection, PathRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, extract::DefaultBodyLimit, middleware};
use kintsugi_app::admin::{
    Admin, FixLine, IssueLine, IssueView, ProjectViews, Refusal, RefusalKind, RequestView,
    RolloutView,
};
use kintsugi_domain::alert::Alert;
use kintsugi_domain::audit::Audit;
use kintsugi_domain::fix::Fix;
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::ports::PortError;
use kintsugi_domain::ports::Ports;
use kintsugi_domain::release::Release;
use maud::{Markup, html};
use pages::{list, one};
use releases::ReleaseView;
use session::Visitor;

pub use session::Transport;

/// Largest form, bytes.
const FORM_BYTES_MAX: usize = 64 * 1024;
/// What a page may load and do.
const POLICY: &str = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";
const STYLE: &str = include_str!("console/style.css");

/// What every handler has at hand.
#[derive(Debug, Clone)]
struct Home {
    admin: Admin,
    transport: Transport,
}

/// The console of a home that browsers reach over `transport`.
pub(crate) fn routes(ports: &Ports, transport: Transport) -> Router {
    let project = Router::new()
        .route("/issues", get(list::<IssueLine>))
        .route("/issues/{id}", get(one::<IssueView>))
        .route("/issues/{id}/mute", post(actions::mute))
        .route("/issues/{id}/unmute", post(actions::unmute))
        .route("/fixes", get(list::<FixLine>))
        .route("/fixes/{id}", get(one::<Fix>))
        .route("/fixes/{id}/review", post(actions::review))
        .route("/releases", get(list::<Release>))
        .route("/releases/{id}", get(one::<ReleaseView>))
        .route("/rollouts", get(list::<RolloutView>))
        .route("/rollouts/{id}", get(one::<RolloutView>))
        .route("/rollouts/{id}/pause", post(actions::pause))
        .route("/rollouts/{id}/resume", post(actions::resume))
        .route("/rollouts/{id}/rollback", post(actions::roll_back))
        .route("/requests", get(list::<RequestView>))
        .route("/requests/{id}", get(one::<RequestView>))
        .route("/requests/{id}/confirm", post(actions::confirm))
        .route("/requests/{id}/refuse", post(actions::refuse))
        .route("/alerts", get(list::<Alert>))
        .route("/audit", get(list::<Audit>));
    let routes = Router::new()
        // No redirect from the one to the other: a gateway that takes the slash off would make it a circle. Links of ours are without it:
        // an HTTP API of AWS has no route that ends in a slash.
        .route("/console", get(overview::page))
        .route("/console/", get(overview::page))
        .route("/console/style.css", get(style))
        .route("/console/parked", get(lists::parked))
        .route("/console/redrive", post(actions::redrive))
        .nest("/console/projects/{project}", project)
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .layer(middleware::map_response(guarded))
        .with_state(Home {
            admin: Admin::new(ports.clone()),
            transport,
        });
    staged(routes, "console", &ports.ids)
}

/// Puts the headers on that make browsers careful.
async fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Pages are for who asked, now; the style sheet says for itself how long it is good for.
    let no_store = HeaderValue::from_static("no-store");
    headers.entry(header::CACHE_CONTROL).or_insert(no_store);
    response
}

async fn style() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/css; charset=utf-8"),
        (header::CACHE_CONTROL, "max-age=300"),
    ];
    (headers, STYLE).into_response()
}

/// A page that says why there is no other page.
#[derive(Debug)]
struct Trouble {
    status: StatusCode,
    title: &'static str,
    text: String,
}

impl Trouble {
    fn new(status: StatusCode, title: &'static str, text: impl Into<String>) -> Self {
        Self {
            status,
            title,
            text: text.into(),
        }
    }

    fn missing(what: &str) -> Self {
        let text = format!("There is no such {what} in this home.");
        Self::new(StatusCode::NOT_FOUND, "Not found", text)
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let page = frame::bare(
            self.title,
            &html! {
                p { (self.text) }
                p { a href="/console" { "Back to the overview" } }
            },
        );
        (self.status, Html(page.into_string())).into_response()
    }
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        let (status, title) = match refusal.kind {
            RefusalKind::Forbidden => (StatusCode::FORBIDDEN, "Not allowed"),
            RefusalKind::NotFound => (StatusCode::NOT_FOUND, "Not found"),
            RefusalKind::Conflict => (StatusCode::CONFLICT, "Not done"),
            RefusalKind::Invalid => (StatusCode::UNPROCESSABLE_ENTITY, "Not done"),
        };
        Self::new(status, title, format!("{} ({})", refusal.why, refusal.code))
    }
}

impl From<PortError> for Trouble {
    fn from(error: PortError) -> Self {
        tracing::error!(reason = %error, "a console page could not be made");
        let text = "Something this home depends on did not answer as it should. Its log says what.";
        let status = if error.is_transient() {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::INTERNAL_SERVER_ERROR
        };
        Self::new(status, "The home is in trouble", text)
    }
}

impl From<PathRejection> for Trouble {
    fn from(_: PathRejection) -> Self {
        Self::missing("page")
    }
}

impl From<FormRejection> for Trouble {
    fn from(error: FormRejection) -> Self {
        Self::new(error.status(), "Not done", error.body_text())
    }
}

type Shown = Result<Html<String>, Trouble>;

/// A page inside the frame, with what is said at its top.
fn shown(visitor: &Visitor, place: &frame::Place<'_>, content: &Markup) -> Html<String> {
    Html(frame::page(visitor, place, content).into_string())
}

/// What the visitor may look at in a project.
async fn of<'a>(
    home: &'a Home,
    visitor: &Visitor,
    project: ProjectId,
) -> Result<ProjectViews<'a>, Trouble> {
    let found = home.admin.views(&visitor.token)?.project(project).await?;
    found.ok_or_else(|| Trouble::missing("project"))
}
