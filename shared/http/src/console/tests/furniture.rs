//! A home with one of everything, and a stranger's hand in every text.

use crate::admin::tests::{Home, home};
use kintsugi_app::events::keep;
use kintsugi_domain::Timestamp;
use kintsugi_domain::alert::{Alert, Urgency};
use kintsugi_domain::cohort::Share;
use kintsugi_domain::config::RolloutRules;
use kintsugi_domain::envelope::Queue;
use kintsugi_domain::event::FiledEvent;
use kintsugi_domain::fix::Fix;
use kintsugi_domain::id::{ProjectId, ReleaseId};
use kintsugi_domain::issue::Issue;
use kintsugi_domain::record::Record;
use kintsugi_domain::release::Release;
use kintsugi_domain::request::Request;
use kintsugi_domain::rollout::{Rollout, RolloutState};
use kintsugi_testkit::memory::FixedClock;
use semver::Version;
use serde_json::{Value, json};

/// What a stranger may put into every text of a report.
pub(super) const HOSTILE: &str =
    "</code><script>alert(1)</script><img src=x onerror='y'>\" onclick=\"z\" &amp;";
const AT: &str = "2026-01-05T08:00:00Z";
const PROJECT: ProjectId = ProjectId(1);
const VERSION: Version = Version::new(1, 0, 1);

pub(super) async fn furnished() -> Home {
    let home = home();
    home.project().await;
    put::<Issue>(&home, issue()).await;
    let json = serde_json::to_vec(&json!([event()])).unwrap();
    let batch = keep(home.ports.blobs.as_ref(), PROJECT, &json)
        .await
        .unwrap();
    let filed =
        json!({"id": "event1", "project": 1, "issue": "issue1", "received_at": AT, "batch": batch});
    put::<FiledEvent>(&home, filed).await;
    put::<Fix>(&home, fix()).await;
    put::<Release>(&home, release()).await;
    home.put(&canary(home.ports.now())).await;
    put::<Request>(&home, request()).await;
    let urgency = Urgency::Page;
    let now = home.ports.now();
    let alert = Alert::new(PROJECT, urgency, "rollout.halted", &"x", HOSTILE, now);
    home.put(&alert).await;
    home.waiting(Queue::Signing).await;
    home
}

async fn put<T: Record>(home: &Home, record: Value) {
    home.put(&serde_json::from_value::<T>(record).unwrap())
        .await;
}

fn request() -> Value {
    let action = json!({
        "action": "order_release", "project": 1, "from": HOSTILE, "version": "1.0.2", "notes": HOSTILE,
    });
    json!({
        "id": "request1", "project": 1, "state": "waiting", "what": "release.order", "action": action,
        "on": HOSTILE, "why": HOSTILE, "basis": "00".repeat(32), "asked_by": HOSTILE, "asked_at": AT,
        "expires_at": "2999-01-05T08:00:00Z",
    })
}

fn issue() -> Value {
    json!({
        "id": "issue1", "project": 1, "state": "needs_human", "title": HOSTILE, "culprit": HOSTILE,
        "fingerprint": {"rule": "explicit", "parts": [HOSTILE]}, "level": "high",
        "score": {"value": 420, "reasons": [HOSTILE]}, "sample": "event1", "events": 3,
        "first_seen": AT, "last_seen": AT, "users": ["u"], "releases": [HOSTILE], "handled": false,
        "fix": "fix1", "fixed_in": null,
        "story": [{"at": AT, "what": "Triaged", "why": HOSTILE, "by": "triage"}],
    })
}

fn event() -> Value {
    json!({
        "id": "event1", "project": 1, "occurred_at": AT, "received_at": AT, "level": "error",
        "platform": "python", "release": HOSTILE, "environment": HOSTILE,
        "transaction": HOSTILE, "message": HOSTILE, "user": null, "fingerprint": [],
        "tags": {}, "system": {}, "sdk": null, "remarks": [],
        "exceptions": [{"kind": HOSTILE, "value": HOSTILE, "module": null, "handled": false,
            "frames": [{"file": HOSTILE, "path": null, "function": HOSTILE, "module": null,
                "line": 7, "source": HOSTILE, "in_app": true, "vars": {HOSTILE: HOSTILE}}]}],
        "breadcrumbs": [{"at": null, "category": HOSTILE, "message": HOSTILE}],
    })
}

fn fix() -> Value {
    json!({
        "id": "fix1", "project": 1, "issue": "issue1", "state": "validated", "title": HOSTILE,
        "rule": "guard", "class": "guards", "base": "b", "files": [],
        "diff": format!("--- a\n+++ b\n+{HOSTILE}\n-old\n"),
        "gates": [{"name": "suite", "passed": true, "detail": HOSTILE}], "branch": null,
        "commit": null, "priority": null, "bundle": null, "story": [],
    })
}

fn release_id() -> ReleaseId {
    Release::id_of(PROJECT, &VERSION)
}

fn release() -> Value {
    let digest = "0".repeat(64);
    json!({
        "id": release_id(), "project": 1, "version": VERSION, "channel": "stable",
        "state": "published", "train": "patch", "bundle": "b", "fixes": ["fix1"],
        "issues": ["issue1"], "previous": "1.0.0", "built": {
            "commit": "c",
            "full": {"blob": "x", "digest": digest, "length": 200_000},
            "content": {"digest": digest, "length": 1},
            "deltas": [{"from": "1.0.0", "base": digest,
                "artifact": {"blob": "d", "digest": digest, "length": 5_000}}],
        },
        "notes": HOSTILE, "statement": null, "required_actions": [], "built_at": AT, "story": [],
    })
}

fn canary(at: Timestamp) -> Rollout {
    let (id, rules) = (release_id(), RolloutRules::default());
    let previous = Some(Version::new(1, 0, 0));
    let mut rollout = Rollout::new(PROJECT, &id, VERSION, previous, "stable", &rules, at);
    (rollout.state, rollout.share) = (RolloutState::Canary, Share::from_percent(5));
    rollout
}

/// The id of the rollout.
pub(super) fn rollout() -> String {
    use kintsugi_domain::ports::Clock as _;
    canary(FixedClock::default().now()).id.to_string()
}

/// Every page, below `/console/`.
pub(super) fn pages() -> Vec<String> {
    let parts = [
        "issues".to_owned(),
        "issues?state=needs_human".to_owned(),
        "issues/issue1?done=changed".to_owned(),
        "fixes".to_owned(),
        "fixes/fix1".to_owned(),
        "releases".to_owned(),
        format!("releases/{}", release_id()),
        "rollouts".to_owned(),
        format!("rollouts/{}", rollout()),
        "requests".to_owned(),
        "requests/request1".to_owned(),
        "alerts".to_owned(),
        "audit".to_owned(),
    ];
    let of_project = parts.iter().map(|part| format!("projects/1/{part}"));
    of_project
        .chain([String::new(), "parked".to_owned()])
        .collect()
}
