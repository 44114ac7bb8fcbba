//! What the state machines allow, judged from the records alone.

use super::mirror::{Check, violated};
use kintsugi_domain::bundle::{Bundle, BundleMove, BundleState};
use kintsugi_domain::fix::{Fix, FixMove, FixState};
use kintsugi_domain::issue::{Issue, IssueMove, IssueState};
use kintsugi_domain::record::Record;
use kintsugi_domain::release::{Release, ReleaseMove, ReleaseState};
use kintsugi_domain::rollout::{Rollout, RolloutMove, RolloutState};
use kintsugi_domain::story::Story;
use std::fmt::Debug;

/// A record with a state machine and a story.
pub(super) trait Machine: Record {
    /// Its states.
    type State: Copy + PartialEq + Debug;
    /// Where each begins.
    const FIRST: Self::State;
    /// Where this one stands.
    fn state(&self) -> Self::State;
    /// What happened to it.
    fn story(&self) -> &Story;
    /// The states one move away.
    fn after(state: Self::State) -> Vec<Self::State>;
}

macro_rules! machine {
    ($record:ty, $state:ident, $move:ident, $first:ident, [$($name:ident),+]) => {
        impl Machine for $record {
            type State = $state;
            const FIRST: $state = $state::$first;
            fn state(&self) -> $state {
                self.state
            }
            fn story(&self) -> &Story {
                &self.story
            }
            fn after(state: $state) -> Vec<$state> {
                [$($move::$name),+]
                    .into_iter()
                    .filter_map(|it| state.next(it).ok())
                    .collect()
            }
        }
    };
}

machine!(
    Issue,
    IssueState,
    IssueMove,
    New,
    [
        Triage, Diagnose, StartFix, Prove, Release, Resolve, Recur, Escalate, Mute, Unmute, GiveUp
    ]
);
machine!(
    Fix,
    FixState,
    FixMove,
    Candidate,
    [
        Validate, Approve, Bundle, Unbundle, Release, Prove, Refute, Reject
    ]
);
machine!(
    Bundle,
    BundleState,
    BundleMove,
    Collecting,
    [Order, Build, Package, Sign, Fail]
);
machine!(Release, ReleaseState, ReleaseMove, Draft, [Publish, Revoke]);
machine!(
    Rollout,
    RolloutState,
    RolloutMove,
    Pending,
    [Start, Widen, Finalise, Pause, Resume, Halt, RollBack]
);

/// Whether a write keeps the story and tells a chain of moves from the old state to the new one, each of them
/// allowed. Answers with the moves for the trace.
pub(super) fn check<T: Machine>(old: Option<&T>, new: &T) -> Check<String> {
    let name = || format!("{} {}", T::KIND, new.key());
    let known = old.map(|old| old.story().steps()).unwrap_or_default();
    let Some(told) = new.story().steps().strip_prefix(known) else {
        return violated("a story only grows", name());
    };
    let mut state = old.map_or(T::FIRST, Machine::state);
    let mut path = format!("{state:?}");
    for (place, step) in told.iter().enumerate() {
        let word = step.what.split([',', ' ']).next().unwrap_or_default();
        // Some records tell their beginning, which is no move.
        if place == 0 && old.is_none() && word == format!("{state:?}") {
            continue;
        }
        let next = T::after(state)
            .into_iter()
            .find(|next| word == format!("{next:?}"));
        let Some(next) = next else {
            let detail = format!("{}: {path}, then “{}”", name(), step.what);
            return violated("no transition outside the state machines", detail);
        };
        state = next;
        path = format!("{path} → {state:?}");
    }
    if state != new.state() {
        let detail = format!("{}: told {path}, is {:?}", name(), new.state());
        return violated("no transition outside the state machines", detail);
    }
    Ok(format!("{}: {path}", name()))
}
