//! What all pages share: the frame around them and the small parts they are made of.

use super::session::Visitor;
use kintsugi_app::admin::{Page, ProjectView};
use kintsugi_domain::Timestamp;
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::job::Gate;
use kintsugi_domain::limits::REASON_CHARS_MAX;
use kintsugi_domain::story::Story;
use maud::{DOCTYPE, Markup, html};
use serde::{Deserialize, Serialize};

/// Where a page stands.
#[derive(Debug, Default)]
pub(super) struct Place<'a> {
    /// Its heading, also its title.
    pub(super) title: &'a str,
    /// Its project, if it is of one.
    pub(super) project: Option<&'a ProjectView>,
    /// What was just done, if the visitor comes from a form.
    pub(super) done: Option<Outcome>,
}

/// What a form came to, as the address of the next page carries it: one of these, never a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// It is done.
    Changed,
    /// A stage was told.
    Ordered,
    /// Messages are back in their queue.
    Redriven,
    /// It waits for a second person.
    Asked,
}

impl Outcome {
    /// The value in the address.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Ordered => "ordered",
            Self::Redriven => "redriven",
            Self::Asked => "asked",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Changed => "Done.",
            Self::Ordered => "Ordered. The pipeline does the rest; reload to see how it stands.",
            Self::Redriven => "The messages are back in their queue.",
            Self::Asked => {
                "Asked. A second person must confirm it: see the requests of the project."
            }
        }
    }
}

/// What the address of a page may ask for.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    /// What was just done.
    pub(super) done: Option<Outcome>,
    /// Of a list: what follows this key.
    pub(super) after: Option<String>,
    /// Of a list: things in this state.
    pub(super) state: Option<String>,
}

fn document(title: &str, top: &Markup, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " – Kintsugi" }
                link rel="stylesheet" href="/console/style.css";
            }
            body {
                a class="skip" href="#main" { "Skip to content" }
                header { (top) }
                main id="main" tabindex="-1" {
                    h1 { (title) }
                    (content)
                }
            }
        }
    }
}

/// A page for somebody who is let in.
pub(super) fn page(visitor: &Visitor, place: &Place<'_>, content: &Markup) -> Markup {
    let top = html! {
        nav aria-label="Home" {
            ul {
                li { a href="/console" { "Kintsugi" } }
                li { a href="/console/parked" { "Parked messages" } }
            }
        }
        @if let Some(project) = place.project {
            nav aria-label=(format!("Project {}", project.name)) {
                ul {
                    li { (project.name) }
                    @for part in ["issues", "fixes", "releases", "rollouts", "requests", "alerts", "audit"] {
                        li { a href=(format!("/console/projects/{}/{part}", project.id)) { (part) } }
                    }
                }
            }
        }
        p class="who" { (visitor.token.sub) ", " (visitor.token.role) }
    };
    let content = html! {
        @if let Some(done) = place.done {
            p class="notice" role="status" { (done.text()) }
        }
        (content)
    };
    document(place.title, &top, &content)
}

/// A page for anybody: it shows nothing of the home.
pub(super) fn bare(title: &str, content: &Markup) -> Markup {
    document(title, &html! { p { "Kintsugi" } }, content)
}

/// The address of a thing of a project.
pub(super) fn address(project: ProjectId, part: &str, id: &impl std::fmt::Display) -> String {
    format!("/console/projects/{project}/{part}/{id}")
}

/// A table with a caption, its columns named. Wide ones scroll, with the keyboard too.
pub(super) fn table(caption: &str, columns: &[&str], rows: &Markup) -> Markup {
    html! {
        div class="scroll" role="region" aria-label=(caption) tabindex="0" {
            table {
                caption { (caption) }
                thead { tr { @for column in columns { th scope="col" { (column) } } } }
                tbody { (rows) }
            }
        }
    }
}

/// A time.
pub(super) fn time(at: Timestamp) -> Markup {
    html! { time datetime=(at) { (at.strftime("%Y-%m-%d %H:%M:%S UTC")) } }
}

/// The name of a state, level or class, as people read it.
pub(super) fn name(of: impl Serialize) -> String {
    let value = serde_json::to_value(of).unwrap_or_default();
    value.as_str().unwrap_or_default().replace('_', " ")
}

/// A number of bytes.
pub(super) fn bytes(count: u64) -> String {
    match count {
        0..10_000 => format!("{count} B"),
        10_000..10_000_000 => format!("{} kB", count / 1_000),
        _ => format!("{} MB", count / 1_000_000),
    }
}

/// What happened to a record.
pub(super) fn story(story: &Story) -> Markup {
    html! {
        h2 { "Story" }
        @if story.steps().is_empty() {
            p { "Nothing has happened yet." }
        } @else {
            (table("What happened, when and why", &["When", "What", "Why", "By"], &html! {
                @for step in story.steps() {
                    tr {
                        td { (time(step.at)) }
                        th scope="row" { (step.what) }
                        td { (step.why) }
                        td { (step.by) }
                    }
                }
            }))
        }
    }
}

/// Gates that were passed or not.
pub(super) fn gates(gates: &[Gate]) -> Markup {
    table(
        "Gates, in the order they were tried",
        &["Gate", "Result", "What was seen"],
        &html! {
            @for gate in gates {
                tr {
                    th scope="row" { (gate.name.replace('_', " ")) }
                    td { (if gate.passed { "passed" } else { "failed" }) }
                    td { (gate.detail) }
                }
            }
        },
    )
}

/// The link to what follows a page of a list.
pub(super) fn next<T>(page: &Page<T>, address: &str) -> Markup {
    html! {
        @if let Some(next) = &page.next {
            p { a rel="next" href=(format!("{address}after={next}")) { "Next page" } }
        }
    }
}

/// A form that asks for a reason and does one thing.
pub(super) fn reason_form(
    visitor: &Visitor,
    action: &str,
    heading: &str,
    button: &str,
    is_needed: bool,
) -> Markup {
    let id = action.rsplit('/').next().unwrap_or_default();
    html! {
        form method="post" action=(action) {
            h3 { (heading) }
            input type="hidden" name="form" value=(visitor.form);
            label for=(format!("{id}-reason")) {
                "Reason" @if !is_needed { " (optional)" }
            }
            input type="text" id=(format!("{id}-reason")) name="reason" maxlength=(REASON_CHARS_MAX)
                autocomplete="off" required[is_needed];
            button type="submit" { (button) }
        }
    }
}
