//! People: users whose product reports, and the team that approves, orders, pauses and calls back.

use super::mirror::Mirror;
use super::random::{Random, percent_of};
use super::world::{CHANNEL, PROJECT, REPOSITORY, SOURCES, World, at_once};
use kintsugi_domain::bundle::Bundle;
use kintsugi_domain::envelope::{Envelope, Message};
use kintsugi_domain::fix::FixState;
use kintsugi_domain::id::EventId;
use kintsugi_domain::issue::IssueState;
use kintsugi_domain::ports::{Commit, Forge, RecordKey, Store};
use kintsugi_domain::project::Project;
use kintsugi_domain::record::{Kind, Record, Stored};
use kintsugi_domain::rollout::{Rollout, RolloutMove, RolloutState};
use kintsugi_domain::train::Train;
use semver::Version;
use serde_json::{Value, json};
use std::sync::OnceLock;

const SAMPLE: &str = include_str!("../../../samples/till/sample-event.json");

/// A product's errors, each an issue: type, function, file. The last lies in no file of the source.
const ERRORS: [(&str, &str, &str); 5] = [
    ("ZeroDivisionError", "average_sale", SOURCES[0]),
    ("KeyError", "price_of", SOURCES[0]),
    ("IndexError", "last_sale", SOURCES[1]),
    ("TypeError", "print_receipt", SOURCES[1]),
    ("ValueError", "generated", "build/generated.py"),
];

/// The people of a run.
#[derive(Debug)]
pub(super) struct People {
    /// How many errors the product has.
    errors: usize,
    /// Whether they also call back, pause and order.
    busy: bool,
    acts: usize,
    /// Requests that were sent: body and events.
    requests: Vec<(Vec<u8>, Vec<EventId>)>,
}

/// The sample, cut to what the simulation needs.
fn sample() -> &'static Value {
    static SAMPLE_EVENT: OnceLock<Value> = OnceLock::new();
    SAMPLE_EVENT.get_or_init(|| {
        let mut event: Value = serde_json::from_str(SAMPLE).unwrap();
        let fields = event.as_object_mut().unwrap();
        for name in ["modules", "extra", "contexts", "breadcrumbs", "server_name"] {
            fields.remove(name);
        }
        let frames = event
            .pointer_mut("/exception/values/0/stacktrace/frames")
            .and_then(Value::as_array_mut)
            .unwrap();
        frames.drain(..frames.len() - 2);
        for frame in frames.iter_mut().filter_map(Value::as_object_mut) {
            for name in ["vars", "pre_context", "post_context"] {
                frame.remove(name);
            }
        }
        event
    })
}

impl People {
    /// The people of a seed.
    pub(super) fn new(seed: u64, random: &mut Random) -> Self {
        Self {
            errors: random.between(1, ERRORS.len()),
            busy: percent_of(seed, &["busy"]) < 50,
            acts: 0,
            requests: Vec::new(),
        }
    }

    /// A request with one event or a few, or one that was sent before.
    pub(super) fn report(
        &mut self,
        world: &World,
        mirror: &Mirror,
        versions: &[Version],
        random: &mut Random,
    ) -> (Vec<u8>, Vec<EventId>) {
        if random.chance(20)
            && let Some(known) = random.pick(&self.requests)
        {
            return known.clone();
        }
        let count = if random.chance(15) {
            random.between(2, 6)
        } else {
            1
        };
        let mut body = b"{}\n".to_vec();
        let mut ids = Vec::new();
        for _ in 0..count {
            let (id, event) = self.event(world, mirror, versions, random);
            let event = event.to_string();
            let head = json!({"type": "event", "length": event.len()});
            body.extend(format!("{head}\n{event}\n").into_bytes());
            ids.push(id);
        }
        self.requests.push((body.clone(), ids.clone()));
        (body, ids)
    }

    fn event(
        &self,
        world: &World,
        mirror: &Mirror,
        versions: &[Version],
        random: &mut Random,
    ) -> (EventId, Value) {
        let number = random.below(self.errors);
        let (kind, function, file) = ERRORS[number];
        let mut version = random.pick(versions).cloned();
        let fixed = mirror
            .issues
            .values()
            .find(|issue| issue.title.starts_with(kind))
            .and_then(|issue| issue.fixed_in.clone());
        // A fix that works keeps the error away; one in four does not.
        if let Some(fixed) = fixed
            && version.as_ref().is_some_and(|version| *version >= fixed)
            && percent_of(world.seed, &["recurs", kind, &fixed.to_string()]) >= 25
        {
            version = Some(Version::new(1, 0, 0));
        }
        let version = version.unwrap_or(Version::new(1, 0, 0));
        // Now and then an id that was used before.
        let id = if random.chance(10) {
            random.pick(&self.requests).and_then(|(_, ids)| ids.first())
        } else {
            None
        };
        let fresh = || format!("{:016x}{:016x}", world.seed, random.number());
        let id = id.map_or_else(fresh, ToString::to_string);
        let mut event = sample().clone();
        event["event_id"] = json!(id);
        event["release"] = json!(format!("till@{version}"));
        event["timestamp"] = json!(world.now().to_string());
        let user = id.get(..1).unwrap_or_default();
        event["user"] = json!({"id": format!("user-{user}")});
        let raised = &mut event["exception"]["values"][0];
        raised["type"] = json!(kind);
        let frame = raised["stacktrace"]["frames"]
            .as_array_mut()
            .and_then(|frames| frames.last_mut())
            .unwrap();
        frame["function"] = json!(function);
        frame["filename"] = json!(file);
        frame["module"] = Value::Null;
        (id.parse().unwrap(), event)
    }

    fn say(&mut self, world: &World, message: Message) {
        self.acts += 1;
        let cause = format!("person/{}", self.acts);
        let envelope = Envelope::new(cause, PROJECT, message);
        world.commit(Commit::new().send(envelope)).unwrap();
    }

    /// Somebody of the team does something.
    pub(super) fn act(&mut self, world: &World, mirror: &Mirror, random: &mut Random) -> String {
        let what = random.below(if self.busy { 8 } else { 2 });
        match what {
            0 => self.review(world, mirror, random),
            1 => self.order(world, mirror),
            2 | 3 => self.call_back(world, mirror, random),
            4 | 5 => self.pause(world, mirror, random),
            6 => self.diagnose_again(world, mirror, random),
            _ => push(world, random),
        }
    }

    /// What waits for people gets its answer. Answers with whether anything waited.
    pub(super) fn catch_up(&mut self, world: &World, mirror: &Mirror) -> bool {
        let mut any = false;
        for fix in mirror.fixes.values() {
            if fix.state == FixState::Validated {
                let fix = fix.id.clone();
                let by = "team".to_owned();
                let approved = true;
                self.say(world, Message::FixReviewed { fix, approved, by });
                any = true;
            }
        }
        for rollout in mirror.rollouts.values() {
            if rollout.state == RolloutState::Paused {
                self.switch(world, rollout.clone(), RolloutMove::Resume);
                any = true;
            }
        }
        if mirror.releases.is_empty() && mirror.bundles.values().all(|it| !it.is_open()) {
            self.order(world, mirror);
            any = true;
        }
        any
    }

    fn review(&mut self, world: &World, mirror: &Mirror, random: &mut Random) -> String {
        let rash = random.chance(20);
        let fixes: Vec<_> = mirror
            .fixes
            .values()
            .filter(|fix| rash || fix.state == FixState::Validated)
            .collect();
        let Some(fix) = random.pick(&fixes) else {
            return "no fix to review".to_owned();
        };
        let approved = random.chance(if rash { 30 } else { 85 });
        let line = format!("reviews fix {} ({:?}): {approved}", fix.id, fix.state);
        let (fix, by) = (fix.id.clone(), "team".to_owned());
        self.say(world, Message::FixReviewed { fix, approved, by });
        line
    }

    /// Orders a release from the branch, as the admin stage does.
    pub(super) fn order(&mut self, world: &World, mirror: &Mirror) -> String {
        let first = mirror.releases.is_empty();
        if mirror.bundles.values().any(Bundle::is_open) || (!first && !self.busy) {
            return "a bundle is under way".to_owned();
        }
        let last = mirror.releases.values().map(|it| &it.version).max();
        let version = match last {
            Some(last) => Train::Minor.version_after(last),
            None => Version::new(1, 0, 0),
        };
        // The commit must be another after a build that failed, or the bundle would be the same one.
        self.acts += 1;
        let note = format!("{}\n", self.acts);
        let head = world.forge.push(REPOSITORY, "main", &[("NOTES", &note)]);
        let bundle = Bundle::cut(
            PROJECT,
            Train::Minor,
            CHANNEL,
            head,
            version.clone(),
            vec![],
            world.now(),
        );
        let key = RecordKey {
            project: PROJECT,
            kind: Kind::Project,
            key: "project".to_owned(),
        };
        let raw = at_once(world.store.get(&key)).unwrap().unwrap();
        let project: Stored<Project> = Stored {
            value: serde_json::from_str(&raw.body).unwrap(),
            version: raw.version,
        };
        let message = Message::BuildBundle {
            bundle: bundle.id.clone(),
        };
        let envelope = Envelope::new(format!("order/{}", self.acts), PROJECT, message);
        let commit = Commit::new()
            .create(&bundle)
            .update(&project)
            .send(envelope);
        world.commit(commit).unwrap();
        format!("orders version {version}")
    }

    fn call_back(&mut self, world: &World, mirror: &Mirror, random: &mut Random) -> String {
        let rollouts: Vec<_> = mirror.rollouts.values().collect();
        let Some(rollout) = random.pick(&rollouts).filter(|_| random.chance(40)) else {
            return "calls nothing back".to_owned();
        };
        let line = format!("calls version {} back", rollout.version);
        let message = Message::RollBack {
            rollout: rollout.id.clone(),
            reason: "a person's word".to_owned(),
            by: "team".to_owned(),
        };
        self.say(world, message);
        line
    }

    fn pause(&mut self, world: &World, mirror: &Mirror, random: &mut Random) -> String {
        let rollouts: Vec<_> = mirror.rollouts.values().collect();
        let Some(rollout) = random.pick(&rollouts) else {
            return "no rollout to pause".to_owned();
        };
        let event = if rollout.state == RolloutState::Paused {
            RolloutMove::Resume
        } else {
            RolloutMove::Pause
        };
        self.switch(world, (*rollout).clone(), event)
    }

    fn switch(&mut self, world: &World, mut rollout: Rollout, event: RolloutMove) -> String {
        let line = format!("{event:?} of version {}", rollout.version);
        let now = world.now();
        if rollout.step(event, now, "team", "a person's word").is_err() {
            return format!("{line}: not now");
        }
        let key = RecordKey {
            project: PROJECT,
            kind: Kind::Rollout,
            key: rollout.key(),
        };
        let version = at_once(world.store.get(&key)).unwrap().unwrap().version;
        let channel = rollout.channel.clone();
        self.acts += 1;
        let cause = format!("person/{}", self.acts);
        let envelope = Envelope::new(cause, PROJECT, Message::Publish { channel });
        let commit = Commit::new()
            .update(&Stored {
                value: rollout,
                version,
            })
            .send(envelope);
        world.commit(commit).unwrap();
        line
    }

    fn diagnose_again(&mut self, world: &World, mirror: &Mirror, random: &mut Random) -> String {
        let issues: Vec<_> = mirror
            .issues
            .values()
            .filter(|issue| issue.state == IssueState::NeedsHuman)
            .collect();
        let Some(issue) = random.pick(&issues) else {
            return "no issue needs a person".to_owned();
        };
        let issue = issue.id.clone();
        let line = format!("wants issue {issue} looked at again");
        self.say(world, Message::Diagnose { issue });
        line
    }
}

fn push(world: &World, random: &mut Random) -> String {
    let content = format!("# {}\n", random.number());
    let tip = world
        .forge
        .push(REPOSITORY, "main", &[("README", &content)]);
    let head = at_once(world.forge.head(REPOSITORY, "main"));
    format!("pushes {tip}, head {head:?}")
}
