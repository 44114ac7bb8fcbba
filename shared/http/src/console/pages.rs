//! The two pages that things of a project have: the list of them, and one of them.
//!
//! A kind of thing says what is its own ([`Listed`], [`Single`]); who may see it, how a list goes on and what
//! stands around it is the same for all.

use super::frame::{Asked, Place, next, table};
use super::session::Visitor;
use super::{Home, Shown, Trouble, of, shown};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, State};
use kintsugi_app::admin::{Page, Part, ProjectViews};
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::ports::PortError;
use maud::{Markup, html};
use serde::de::DeserializeOwned;

/// What is listed, a row each.
pub(super) trait Listed: Sized + Send {
    /// The heading of the page.
    const TITLE: &'static str;
    /// The last part of the list's address.
    const PART: &'static str;
    /// What the table holds, in which order.
    const CAPTION: &'static str;
    /// The names of the columns.
    const COLUMNS: &'static [&'static str];
    /// What is said of an empty list.
    const NONE: &'static str;
    /// Most rows of a page, where they are not as many as everywhere. A list that is put in another order than that of
    /// the keys takes as many as it can, because only the rows of one page are in that order.
    const ROWS_MAX: Option<usize> = None;

    /// Reads a page, in the order in which it is shown.
    fn read(
        views: &ProjectViews<'_>,
        asked: &Asked,
        part: &Part,
    ) -> impl Future<Output = Result<Page<Self>, PortError>> + Send;

    /// A row of the table.
    fn row(&self, project: ProjectId) -> Markup;

    /// What stands above the table of the list at the address `here`.
    fn controls(_here: &str, _asked: &Asked) -> Markup {
        Markup::default()
    }

    /// What the address of the next page repeats, each `name=value&`.
    fn repeated(_asked: &Asked) -> String {
        String::new()
    }
}

/// Things in a table.
pub(super) fn rows<T: Listed>(project: ProjectId, caption: &str, items: &[T]) -> Markup {
    let rows = html! { @for item in items { (item.row(project)) } };
    table(caption, T::COLUMNS, &rows)
}

/// The page that lists them.
pub(super) async fn list<T: Listed>(
    State(home): State<Home>,
    visitor: Visitor,
    project: Result<Path<ProjectId>, PathRejection>,
    Query(asked): Query<Asked>,
) -> Shown {
    let views = of(&home, &visitor, project?.0).await?;
    let part = Part {
        after: asked.after.clone(),
        limit: T::ROWS_MAX,
    };
    let page = T::read(&views, &asked, &part).await?;
    let project = views.project();
    let here = format!("/console/projects/{}/{}", project.id, T::PART);
    let content = html! {
        (T::controls(&here, &asked))
        @if page.items.is_empty() { p { (T::NONE) } } @else {
            (rows(project.id, T::CAPTION, &page.items))
        }
        (next(&page, &format!("{here}?{}", T::repeated(&asked))))
    };
    let place = Place {
        title: T::TITLE,
        project: Some(&project),
        done: None,
    };
    Ok(shown(&visitor, &place, &content))
}

/// What has a page of its own.
pub(super) trait Single: Sized + Send {
    /// How the address names it.
    type Id: DeserializeOwned + Send + Sync;
    /// What it is called where there is none of that name.
    const WHAT: &'static str;

    /// Reads it, if it is there.
    fn find(
        views: &ProjectViews<'_>,
        id: &Self::Id,
    ) -> impl Future<Output = Result<Option<Self>, PortError>> + Send;

    /// The heading of its page.
    fn title(&self) -> String;

    /// What its page says.
    fn content(&self, visitor: &Visitor, project: ProjectId) -> Markup;
}

/// The page of one.
pub(super) async fn one<T: Single>(
    State(home): State<Home>,
    visitor: Visitor,
    path: Result<Path<(ProjectId, T::Id)>, PathRejection>,
    Query(asked): Query<Asked>,
) -> Shown {
    let Path((project, id)) = path?;
    let views = of(&home, &visitor, project).await?;
    let found = T::find(&views, &id).await?;
    let thing = found.ok_or_else(|| Trouble::missing(T::WHAT))?;
    let place = Place {
        title: &thing.title(),
        project: Some(&views.project()),
        done: asked.done,
    };
    let content = thing.content(&visitor, project);
    Ok(shown(&visitor, &place, &content))
}
