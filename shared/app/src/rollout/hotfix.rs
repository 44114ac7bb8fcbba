//! How long a hotfix took, told when it is first offered (ledger E8). Not here: the rule ([`kintsugi_domain::hotfix`]).

use super::Rollouts;
use crate::news;
use crate::records;
use kintsugi_domain::Timestamp;
use kintsugi_domain::alert::{Alert, Urgency};
use kintsugi_domain::bundle::Bundle;
use kintsugi_domain::fix::Fix;
use kintsugi_domain::hotfix::{HOTFIX_SECONDS_MAX, HotfixPath};
use kintsugi_domain::issue::Issue;
use kintsugi_domain::ports::{Commit, PortError};
use kintsugi_domain::record::Stored;
use kintsugi_domain::release::Release;
use kintsugi_domain::rollout::Rollout;
use kintsugi_domain::train::Train;

impl Rollouts {
    /// Measures the path of a hotfix that is offered from now on, and tells people where it was too long.
    pub(super) async fn first_offer(
        &self,
        cause: &str,
        rollout: &Rollout,
        at: Timestamp,
    ) -> Result<Commit, PortError> {
        let store = self.ports.store.as_ref();
        let project = rollout.project;
        let id = rollout.release.as_str();
        let mut release: Stored<Release> = records::need(store, project, id).await?;
        if release.value.train != Train::Hotfix || release.value.hotfix.is_some() {
            return Ok(Commit::new());
        }
        let bundle = release.value.bundle.as_str();
        let Some(bundle) = records::get::<Bundle>(store, project, bundle).await? else {
            return Ok(Commit::new());
        };
        let (mut fixes, mut issues): (Vec<Fix>, Vec<Issue>) = (Vec::new(), Vec::new());
        for id in &release.value.fixes {
            let fix: Stored<Fix> = records::need(store, project, id.as_str()).await?;
            fixes.push(fix.value);
        }
        for id in &release.value.issues {
            let issue: Stored<Issue> = records::need(store, project, id.as_str()).await?;
            issues.push(issue.value);
        }
        let path = HotfixPath::of(&release.value, &bundle.value, &fixes, &issues, at);
        let Some(path) = path else {
            return Ok(Commit::new());
        };
        let late = path.late.then(|| {
            let slowest = path.slowest().map(|(what, seconds)| {
                let minutes = seconds / 60;
                format!("; longest, until {what}: {minutes} minutes")
            });
            format!(
                "Hotfix {} was first offered {} minutes after the report that made its issue critical, more than {}{}",
                release.value.version,
                path.seconds / 60,
                HOTFIX_SECONDS_MAX / 60,
                slowest.unwrap_or_default()
            )
        });
        release.value.hotfix = Some(path);
        let commit = Commit::new().update(&release);
        let Some(text) = late else {
            return Ok(commit);
        };
        let alert = Alert::new(
            project,
            Urgency::Warning,
            "hotfix.late",
            &release.value.id,
            text,
            at,
        );
        news::raise(&self.ports, commit, cause, alert).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{Stage as _, Wake};
    use crate::testing::{PROJECT, all};
    use futures::executor::block_on;
    use kintsugi_domain::digest::Digest;
    use kintsugi_domain::envelope::{Envelope, Message};
    use kintsugi_domain::record::Record;
    use kintsugi_testkit::memory::MemoryHome;
    use kintsugi_testkit::product;
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};
    use std::sync::Arc;

    fn put<T: Record + DeserializeOwned>(home: &MemoryHome, value: Value) {
        let record: T = serde_json::from_value(value).unwrap();
        block_on(home.ports().store.commit(Commit::new().create(&record))).unwrap();
    }

    /// A hotfix that is published, `waited` minutes after the report that made its issue critical; a person approved it just before.
    fn published(waited: i64) -> (MemoryHome, Release) {
        let home = MemoryHome::new(1);
        let start = home.ports().now();
        let at = |minutes: i64| start + jiff::SignedDuration::from_mins(minutes);
        home.clock.advance(std::time::Duration::from_secs(
            u64::try_from(waited * 60).unwrap(),
        ));
        let config = product::config(
            "[[alerts]]\nkind = \"webhook\"\nurl = \"https://chat.example.com/a\"\n",
        );
        let project = product::project(PROJECT, config);
        block_on(home.ports().store.commit(Commit::new().create(&project))).unwrap();
        let step = |minutes, what: &str| json!({"at": at(minutes), "what": what, "why": "", "by": "a test"});
        put::<Issue>(
            &home,
            json!({
                "id": "issue1", "project": 1, "state": "released", "title": "x", "culprit": null,
                "fingerprint": {"rule": "message", "parts": []}, "level": "critical", "score": {"value": 1, "reasons": []},
                "sample": "event1", "events": 1, "first_seen": at(-600), "last_seen": at(0), "critical_since": at(0),
                "users": [], "releases": [], "handled": false, "fix": "fix1", "fixed_in": null,
                "story": [step(-600, "Diagnosed"), step(1, "Diagnosed")],
            }),
        );
        put::<Fix>(
            &home,
            json!({
                "id": "fix1", "project": 1, "issue": "issue1", "state": "released", "title": "x", "rule": "guard",
                "class": "guards", "base": "", "files": [], "diff": "", "gates": [], "branch": null, "commit": null,
                "priority": null, "bundle": "bundle1",
                "story": [step(4, "Validated"), step(waited - 3, "Approved")],
            }),
        );
        put::<Bundle>(
            &home,
            json!({
                "id": "bundle1", "project": 1, "train": "hotfix", "channel": "stable", "state": "signed", "commit": "c",
                "version": "1.0.1", "fixes": ["fix1"], "set_aside": {}, "job": null, "release": null, "failure": null,
                "notes": "", "cut_at": at(waited - 3), "story": [step(waited - 1, "Packaged")],
            }),
        );
        let version = "1.0.1".parse().unwrap();
        let release = json!({
            "id": Release::id_of(PROJECT, &version), "project": 1, "version": version, "channel": "stable",
            "state": "published", "train": "hotfix", "bundle": "bundle1", "fixes": ["fix1"], "issues": ["issue1"],
            "previous": null, "notes": "", "statement": null, "required_actions": [], "built_at": at(0),
            "built": {
                "commit": "d", "deltas": [], "full": {"blob": "x", "digest": Digest::of(b"x"), "length": 1},
                "content": {"digest": Digest::of(b"x"), "length": 1},
            },
            "story": [step(waited, "Published")],
        });
        put::<Release>(&home, release.clone());
        let release: Release = serde_json::from_value(release).unwrap();
        (home, release)
    }

    /// Starts the rollout and returns the path that the release then has, in minutes from the report.
    fn offered(waited: i64) -> (MemoryHome, HotfixPath, Vec<(String, i64)>) {
        let (home, release) = published(waited);
        let start = Envelope::new(
            "a test",
            PROJECT,
            Message::StartRollout {
                release: release.id,
            },
        );
        for _ in 0..2 {
            let wake = Wake::Message(Arc::new(start.clone()));
            block_on(Rollouts::new(home.ports()).run(wake)).unwrap();
        }
        let [release] = all::<Release>(home.ports().store.as_ref())
            .try_into()
            .unwrap();
        let path = release.hotfix.unwrap();
        let first = path.points[0].at;
        let minutes = path.points.iter().map(|point| {
            let since = point.at.duration_since(first).as_mins();
            (point.what.clone(), since)
        });
        let minutes = minutes.collect();
        (home, path, minutes)
    }

    #[test]
    fn a_hotfix_tells_when_each_stage_came_about_from_the_report_to_the_offer() {
        let (home, path, minutes) = offered(29);
        let expected = [
            ("reported", 0),
            ("diagnosed", 1),
            ("proven", 4),
            ("approved", 26),
            ("cut", 26),
            ("built", 28),
            ("published", 29),
            ("offered", 29),
        ];
        assert_eq!(minutes, expected.map(|(what, at)| (what.to_owned(), at)));
        assert_eq!((path.seconds, path.late), (29 * 60, false));
        assert!(all::<Alert>(home.ports().store.as_ref()).is_empty());
    }

    #[test]
    fn a_hotfix_that_took_more_than_half_an_hour_is_told_to_people_once_with_what_took_longest() {
        let (home, path, _) = offered(47);
        assert!(path.late);
        let [alert] = all::<Alert>(home.ports().store.as_ref())
            .try_into()
            .unwrap();
        assert_eq!(alert.code, "hotfix.late");
        assert_eq!(
            alert.text,
            "Hotfix 1.0.1 was first offered 47 minutes after the report that made its issue critical, more than 30; \
             longest, until approved: 40 minutes"
        );
        let (home, path, _) = offered(30);
        assert!(!path.late, "thirty minutes are allowed");
        assert!(all::<Alert>(home.ports().store.as_ref()).is_empty());
    }
}
