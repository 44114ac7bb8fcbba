//! One report, followed: everything that it brings about names its trace.

use super::mirror::Mirror;
use super::observed::Sabotage;
use super::people::People;
use super::random::Random;
use super::world::{World, at_once};
use kintsugi_domain::envelope::{Envelope, Queue};
use kintsugi_domain::ports::{Queues as _, Store as _};
use kintsugi_domain::trace::{TraceId, in_trace};
use semver::Version;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Messages until the queues must be empty.
const TURNS_MAX: usize = 1_000;

/// The same report about a hole in security: its fix departs at once, by no tick.
fn urgent(body: &[u8]) -> Vec<u8> {
    let mut lines: Vec<String> = String::from_utf8(body.to_vec())
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    for at in (1..lines.len() - 1).step_by(2) {
        let mut event: Value = serde_json::from_str(&lines[at + 1]).unwrap();
        event["exception"]["values"][0]["value"] = json!("security: the session is not checked");
        lines[at + 1] = event.to_string();
        lines[at] = json!({"type": "event", "length": lines[at + 1].len()}).to_string();
    }
    format!("{}\n", lines.join("\n")).into_bytes()
}

/// Handles messages until there are none.
fn work_off(world: &World) {
    for _ in 0..TURNS_MAX {
        let waiting = at_once(world.store.outbox(100)).unwrap();
        at_once(world.queues.send(&waiting)).unwrap();
        let sent: Vec<_> = waiting.into_iter().map(|envelope| envelope.id).collect();
        at_once(world.store.sent(&sent)).unwrap();
        let mut busy = Queue::ALL
            .into_iter()
            .filter(|queue| at_once(world.queues.depth(*queue)).unwrap() > 0);
        let Some(queue) = busy.next() else {
            return;
        };
        world.drain(queue, 20).finish();
    }
    panic!("the queues do not drain");
}

/// Everything that is handed on after one report came in that trace to a product with one release, while the clock does
/// not strike.
fn handed_on(seed: u64, trace: TraceId) -> Vec<Envelope> {
    let world = World::new(seed, Sabotage::None);
    let mut random = Random::new(seed);
    let mut people = People::new(seed, &mut random);
    people.order(&world, &Mirror::default());
    work_off(&world);
    // What the release brought about is another trace.
    world.store.take();

    let old = [Version::new(1, 0, 0)];
    let (body, events) = people.report(&world, &Mirror::default(), &old, &mut random);
    let request = world.ingest(urgent(&body), events);
    at_once(in_trace(Some(trace), async { request.finish() }));
    work_off(&world);
    // The report itself went straight to its queue, and is gone from there.
    let commits = world.store.take().into_iter();
    commits.flat_map(|commit| commit.messages).collect()
}

#[test]
fn one_report_is_followed_by_its_trace_from_ingest_to_the_rollout_of_its_fix() {
    let trace: TraceId = "4bf92f3577b34da6a3ce929d0e0e4736".parse().unwrap();
    let mut reached = BTreeSet::new();
    for seed in 0..40 {
        let messages = handed_on(seed, trace);
        assert!(!messages.is_empty(), "seed {seed}");
        for envelope in messages {
            assert_eq!(envelope.trace, Some(trace), "seed {seed}: {envelope:?}");
            reached.insert(envelope.queue());
        }
    }
    // All of the loop but what devices and people say: their requests are traces of their own.
    let mut wanted: BTreeSet<Queue> = Queue::ALL.into_iter().collect();
    wanted.remove(&Queue::Outcomes);
    wanted.remove(&Queue::Rollbacks);
    // The report's own message is in no commit. That it has the trace is tested with the routes.
    wanted.remove(&Queue::Events);
    assert_eq!(reached, wanted);
}

#[test]
fn the_trace_is_no_part_of_any_message_s_name() {
    let names = |trace: &str| -> BTreeSet<_> {
        handed_on(3, trace.parse().unwrap())
            .into_iter()
            .map(|envelope| envelope.id)
            .collect()
    };
    let one = names("4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(one, names("00000000000000000000000000000001"));
    assert!(one.len() > 1);
}
