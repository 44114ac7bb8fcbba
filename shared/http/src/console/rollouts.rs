//! Rollouts: how far, on what evidence, and the brakes.

use super::frame::{self, Asked, Place, address, name, next, reason_form, story};
use super::session::Visitor;
use super::{Home, Shown, Trouble, of, shown};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, State};
use kintsugi_app::admin::{Part, RolloutView, TallyView};
use kintsugi_domain::id::{ProjectId, RolloutId};
use kintsugi_domain::rollout::RolloutMove;
use kintsugi_trust::token::Role;
use maud::{Markup, html};

/// More evidence than this is not told apart.
const EVIDENCE_SHOWN_MAX: f64 = 1e12;

pub(super) async fn list(
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
    let page = views.rollouts(&part).await?;
    let project = views.project();
    let content = html! {
        @if page.items.is_empty() { p { "None yet." } } @else {
            (table(project.id, "Rollouts", &page.items))
        }
        (next(&page, &format!("/console/projects/{}/rollouts?", project.id)))
    };
    let place = Place {
        title: "Rollouts",
        project: Some(&project),
        done: None,
    };
    Ok(shown(&visitor, &place, &content))
}

/// Rollouts with their numbers.
pub(super) fn table(project: ProjectId, caption: &str, rollouts: &[RolloutView]) -> Markup {
    let columns = [
        "Version", "Channel", "State", "Share", "Healthy", "Failed", "Evidence",
    ];
    frame::table(
        caption,
        &columns,
        &html! {
            @for view in rollouts {
                @let rollout = &view.rollout;
                @let [_, healthy, failed] = view.tally.new;
                tr {
                    th scope="row" {
                        a href=(address(project, "rollouts", &rollout.id)) { (rollout.version) }
                    }
                    td { (rollout.channel) }
                    td { (name(rollout.state)) }
                    td { (rollout.share) }
                    td { (healthy) }
                    td { (failed) }
                    td { (evidence(&view.tally)) }
                }
            }
        },
    )
}

fn evidence(tally: &TallyView) -> String {
    let shown = tally.evidence.min(EVIDENCE_SHOWN_MAX);
    format!("{shown:.1} of {:.0}", tally.evidence_to_halt)
}

pub(super) async fn one(
    State(home): State<Home>,
    visitor: Visitor,
    path: Result<Path<(ProjectId, RolloutId)>, PathRejection>,
    Query(asked): Query<Asked>,
) -> Shown {
    let Path((project, id)) = path?;
    let views = of(&home, &visitor, project).await?;
    let found = views.rollout(&id).await?;
    let view = found.ok_or_else(|| Trouble::missing("rollout"))?;
    let rollout = &view.rollout;
    let content = html! {
        dl {
            dt { "State" } dd { (name(rollout.state)) }
            dt { "Offered to" } dd { (rollout.share) }
            dt { "Holdout" } dd { (rollout.holdout) }
            dt { "Release" }
            dd { a href=(address(project, "releases", &rollout.release)) { (rollout.version) } }
            @if let Some(previous) = &rollout.previous { dt { "Compared with" } dd { (previous) } }
            @if let Some(reason) = &rollout.halt_reason { dt { "Halted" } dd { (reason) } }
            @if let Some(version) = &rollout.rolled_back_to {
                dt { "Rolled back to" } dd { (version) }
            }
            dt { "Next" } dd { (view.next) }
        }
        h2 { "Numbers" }
        (numbers(&view))
        p {
            "Evidence that the new version fails more often: " (evidence(&view.tally))
            " that would halt it (1 is none)."
        }
        (brakes(&visitor, project, &view))
        (story(&rollout.story))
    };
    let title = format!("Rollout of {} on {}", rollout.version, rollout.channel);
    let place = Place {
        title: &title,
        project: Some(&views.project()),
        done: asked.done,
    };
    Ok(shown(&visitor, &place, &content))
}

fn numbers(view: &RolloutView) -> Markup {
    let arms = [
        ("new version", view.tally.new),
        ("version before", view.tally.control),
    ];
    let columns = ["Devices of the", "Began", "Healthy", "Failed"];
    frame::table(
        "Installs that reported",
        &columns,
        &html! {
            @for (arm, counts) in arms {
                tr {
                    th scope="row" { (arm) }
                    @for count in counts { td { (count) } }
                }
            }
        },
    )
}

fn brakes(visitor: &Visitor, project: ProjectId, view: &RolloutView) -> Markup {
    let state = view.rollout.state;
    let may = |event| state.next(event).is_ok();
    let any = may(RolloutMove::Pause) || may(RolloutMove::Resume) || may(RolloutMove::Halt);
    if !any || !visitor.may(Role::Releaser) {
        return html! {};
    }
    let at = |verb: &str| format!("{}/{verb}", address(project, "rollouts", &view.rollout.id));
    html! {
        h2 { "Actions" }
        @if may(RolloutMove::Pause) {
            (reason_form(visitor, &at("pause"), "Offer it to nobody for now", "Pause", true))
        }
        @if may(RolloutMove::Resume) {
            (reason_form(visitor, &at("resume"), "Go on", "Resume", true))
        }
        @if may(RolloutMove::Halt) {
            (reason_form(
                visitor, &at("rollback"), "Stop it for good and bring devices back",
                "Halt and roll back", true,
            ))
        }
    }
}
