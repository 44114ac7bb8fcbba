//! After the faults: everything must come to rest, and nothing may be missing.

use super::mirror::{Check, must, violated};
use super::run::Run;
use super::world::at_once;
use kintsugi_domain::bundle::Bundle;
use kintsugi_domain::envelope::Queue;
use kintsugi_domain::fix::FixState;
use kintsugi_domain::guard::Tally;
use kintsugi_domain::issue::IssueState;
use kintsugi_domain::ports::{Queues, Store};
use kintsugi_domain::release::ReleaseState;
use kintsugi_domain::rollout::{RolloutState, Step, plan};

/// Turns of everybody until there must be rest.
const ROUNDS_MAX: usize = 150;
/// Messages until a queue must be empty.
const TURNS_MAX: usize = 20_000;

/// Lets everybody go on without faults until nothing changes, and checks what is there then.
pub(super) fn settle(run: &mut Run) -> Check {
    let mut quiet = 0;
    for round in 0..ROUNDS_MAX {
        let before = run.mirror.commits;
        work_off(run)?;
        run.fleet
            .act_all(&run.world, &mut run.watcher, &mut run.random)?;
        run.fleet.arrive_all(&run.world);
        run.people.catch_up(&run.world, &run.mirror);
        run.look()?;
        work_off(run)?;
        // Long enough for a soak; each third time for the slowest train.
        run.pass(if round % 3 == 2 { 90_000 } else { 1_500 });
        let tick = run.world.tick();
        run.end(tick)?;
        quiet = if run.mirror.commits == before {
            quiet + 1
        } else {
            0
        };
        if quiet == 4 {
            work_off(run)?;
            return at_rest(run);
        }
    }
    violated("it comes to rest", format!("not after {ROUNDS_MAX} rounds"))
}

/// Handles messages until there are none.
fn work_off(run: &mut Run) -> Check {
    for _ in 0..TURNS_MAX {
        run.world.queues.release_leases();
        let relay = at_once(run.world.store.outbox(1)).unwrap();
        let mut busy = false;
        for queue in Queue::ALL {
            at_once(run.world.queues.redrive(queue)).unwrap();
            if at_once(run.world.queues.depth(queue)).unwrap() > 0 {
                busy = true;
                let process = run.world.drain(queue, 20);
                run.end(process)?;
            }
        }
        if !busy && relay.is_empty() {
            return Ok(());
        }
        if !busy {
            let tick = run.world.tick();
            run.end(tick)?;
        }
    }
    violated("the queues drain", format!("not after {TURNS_MAX} turns"))
}

fn at_rest(run: &Run) -> Check {
    let waiting = at_once(run.world.store.outbox(1)).unwrap();
    must(waiting.is_empty(), "the outbox drains", || {
        format!("{waiting:?}")
    })?;
    check_reports(run)?;
    check_issues(run)?;
    check_rollouts(run)?;
    check_served(run)?;
    check_devices(run)
}

fn check_reports(run: &Run) -> Check {
    for event in &run.accepted {
        must(
            run.mirror.filed.contains_key(event),
            "no accepted event is lost",
            || format!("event {event}"),
        )?;
    }
    for (rollout, device, arm) in &run.fleet.ended {
        let counted = run.mirror.outcomes.values().any(|outcome| {
            outcome.rollout == *rollout
                && outcome.device == *device
                && outcome.arm == *arm
                && outcome.progress.is_final()
        });
        must(
            counted,
            "every install that was reported is counted",
            || format!("{device} in rollout {rollout}, {arm:?}"),
        )?;
    }
    for alert in run.mirror.alerts.values() {
        must(
            !alert.delivered.is_empty(),
            "every alert is delivered",
            || alert.text.clone(),
        )?;
    }
    Ok(())
}

fn check_issues(run: &Run) -> Check {
    let mirror = &run.mirror;
    must(
        !mirror.bundles.values().any(Bundle::is_open),
        "every bundle comes to its end",
        || format!("{:?}", mirror.bundles.keys()),
    )?;
    for (id, issue) in &mirror.issues {
        let fix = issue
            .fix
            .as_ref()
            .and_then(|fix| mirror.fixes.get(fix.as_str()));
        let rests = match issue.state {
            // Where its rollout is held is checked there.
            IssueState::Released
            | IssueState::Resolved
            | IssueState::NeedsHuman
            | IssueState::Muted => true,
            // Its train has not come: nothing but time is waited for.
            IssueState::Fixed => fix.is_some_and(|fix| fix.state == FixState::Approved),
            IssueState::New
            | IssueState::Triaged
            | IssueState::Diagnosed
            | IssueState::Fixing
            | IssueState::Regressed
            | IssueState::Escalating => false,
        };
        must(rests, "every issue comes to rest", || {
            format!("issue {id} is {:?}: {:#?}", issue.state, issue.story.last())
        })?;
    }
    Ok(())
}

fn check_rollouts(run: &Run) -> Check {
    let mirror = &run.mirror;
    let rules = &super::world::config(run.world.seed).rollout;
    let watched = || mirror.rollouts.values().filter(|it| it.state.is_watched());
    for rollout in watched() {
        if rollout.state == RolloutState::Pending {
            let waits = watched().any(|other| {
                other.version < rollout.version && other.state != RolloutState::Pending
            });
            must(waits, "a rollout waits for another", || {
                format!("version {} waits for none", rollout.version)
            })?;
            continue;
        }
        let tally = Tally::from_fields(&mirror.tally(rollout));
        let step = plan(rollout, &tally, rules, run.world.now());
        must(
            matches!(step, Step::Hold { .. }),
            "what the plan says is done",
            || format!("version {}: {step:?}", rollout.version),
        )?;
    }
    for release in mirror.releases.values() {
        let rollout = mirror.rollouts.values().find(|it| it.release == release.id);
        let state = rollout.map(|it| it.state);
        let agrees = match release.state {
            ReleaseState::Draft => false,
            ReleaseState::Published => !matches!(
                state,
                None | Some(RolloutState::Halted | RolloutState::RolledBack)
            ),
            ReleaseState::Revoked => {
                matches!(state, Some(RolloutState::Halted | RolloutState::RolledBack))
            }
        };
        must(agrees, "every release comes to rest", || {
            format!(
                "version {}: {:?}, {state:?}",
                release.version, release.state
            )
        })?;
    }
    Ok(())
}

/// What is served is what the records say.
fn check_served(run: &Run) -> Check {
    let Some(document) = run.watcher.documents.last() else {
        return must(
            run.mirror.rollouts.is_empty(),
            "what is served is what the records say",
            || "nothing is served".to_owned(),
        );
    };
    for release in run.mirror.releases.values() {
        let version = &release.version;
        let listed = document.release(version).is_some();
        let revoked = document.revoked.contains(version);
        let expected = match release.state {
            ReleaseState::Draft => (false, false),
            ReleaseState::Published => (true, false),
            ReleaseState::Revoked => (false, true),
        };
        must(
            (listed, revoked) == expected,
            "what is served is what the records say",
            || format!("version {version} is {:?}", release.state),
        )?;
    }
    for rollout in run.mirror.rollouts.values() {
        let served = document
            .rollouts
            .iter()
            .find(|it| it.version == rollout.version);
        let agrees = served.is_none_or(|served| {
            served.share == rollout.share && served.offering == rollout.state.is_offering()
        });
        must(agrees, "what is served is what the records say", || {
            format!("rollout of {}: {served:?}", rollout.version)
        })?;
    }
    Ok(())
}

/// No device stays on a version that was called back while there is a good one below it.
fn check_devices(run: &Run) -> Check {
    for device in &run.fleet.devices {
        let releases = run.mirror.releases.values();
        let revoked = releases
            .clone()
            .any(|it| it.version == device.version && it.state == ReleaseState::Revoked);
        let good = releases.clone().find(|it| {
            it.version < device.version
                && it.state == ReleaseState::Published
                && run.mirror.rollouts.values().any(|rollout| {
                    rollout.version == it.version && rollout.state == RolloutState::Finalised
                })
        });
        if let (true, Some(good)) = (revoked, good) {
            return violated(
                "no device stays on a revoked version if there is a way back",
                format!("{} stays, {} is good", device.version, good.version),
            );
        }
    }
    Ok(())
}
