//! Rollouts: how far, on what evidence, and the brakes.

use super::frame::{Asked, address, name, reason_form, story, table};
use super::pages::{Listed, Single};
use super::session::Visitor;
use kintsugi_app::admin::{Page, Part, ProjectViews, RolloutView, TallyView};
use kintsugi_domain::id::{ProjectId, RolloutId};
use kintsugi_domain::ports::PortError;
use kintsugi_domain::rollout::RolloutMove;
use kintsugi_trust::token::Role;
use maud::{Markup, html};

/// More evidence than this is not told apart.
const EVIDENCE_SHOWN_MAX: f64 = 1e12;

impl Listed for RolloutView {
    const TITLE: &'static str = "Rollouts";
    const PART: &'static str = "rollouts";
    const CAPTION: &'static str = "Rollouts";
    const COLUMNS: &'static [&'static str] = &[
        "Version", "Channel", "State", "Share", "Healthy", "Failed", "Evidence",
    ];
    const NONE: &'static str = "None yet.";

    async fn read(
        views: &ProjectViews<'_>,
        _: &Asked,
        part: &Part,
    ) -> Result<Page<Self>, PortError> {
        views.rollouts(part).await
    }

    fn row(&self, project: ProjectId) -> Markup {
        let rollout = &self.rollout;
        let [_, healthy, failed] = self.tally.new;
        html! {
            tr {
                th scope="row" {
                    a href=(address(project, "rollouts", &rollout.id)) { (rollout.version) }
                }
                td { (rollout.channel) }
                td { (name(rollout.state)) }
                td { (rollout.share) }
                td { (healthy) }
                td { (failed) }
                td { (evidence(&self.tally)) }
            }
        }
    }
}

fn evidence(tally: &TallyView) -> String {
    let shown = tally.evidence.min(EVIDENCE_SHOWN_MAX);
    format!("{shown:.1} of {:.0}", tally.evidence_to_halt)
}

impl Single for RolloutView {
    type Id = RolloutId;
    const WHAT: &'static str = "rollout";

    async fn find(views: &ProjectViews<'_>, id: &RolloutId) -> Result<Option<Self>, PortError> {
        views.rollout(id).await
    }

    fn title(&self) -> String {
        let Self { rollout, .. } = self;
        format!("Rollout of {} on {}", rollout.version, rollout.channel)
    }

    fn content(&self, visitor: &Visitor, project: ProjectId) -> Markup {
        let rollout = &self.rollout;
        html! {
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
                dt { "Next" } dd { (self.next) }
            }
            h2 { "Numbers" }
            (numbers(self))
            p {
                "Evidence that the new version fails more often: " (evidence(&self.tally))
                " that would halt it (1 is none)."
            }
            (brakes(visitor, project, self))
            (story(&rollout.story))
        }
    }
}

fn numbers(view: &RolloutView) -> Markup {
    let arms = [
        ("new version", view.tally.new),
        ("version before", view.tally.control),
    ];
    let columns = ["Devices of the", "Began", "Healthy", "Failed"];
    table(
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
