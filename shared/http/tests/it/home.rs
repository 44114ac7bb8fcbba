//! A home in memory behind the routes of the local server.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use kintsugi_app::records;
use kintsugi_domain::Timestamp;
use kintsugi_domain::accounting::Category;
use kintsugi_domain::channel::{
    CHANNEL_FORMAT, ChannelDocument, ChannelRelease, ChannelRollout, Head, HealthCheck, Package,
    Priority, Target,
};
use kintsugi_domain::cohort::Share;
use kintsugi_domain::digest::Digest;
use kintsugi_domain::envelope::{Envelope, Queue};
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::job::Content;
use kintsugi_domain::ports::{Commit, KeyName, KeyUse, Ports, Signer as _, Store as _};
use kintsugi_domain::project::Project;
use kintsugi_domain::record::Stored;
use kintsugi_testkit::memory::{
    FixedClock, MemoryBlobs, MemoryHome, MemoryQueues, MemorySigner, MemoryStore,
};
use kintsugi_testkit::product;
use semver::Version;
use serde_json::Value;
use std::collections::BTreeMap;
use tower::ServiceExt as _;

pub(crate) const KEY: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const PROJECT: ProjectId = ProjectId(1);

/// An answer, read whole.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Asserts that it is a problem of that status and code, complete as RFC 9457 has it.
    #[track_caller]
    pub(crate) fn is_problem(&self, status: u16, code: &str) {
        let text = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status.as_u16(), status, "{text}");
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json")
        );
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert_eq!(problem["code"], code);
        assert_eq!(problem["type"], "about:blank");
        assert!(problem["title"].is_string() && problem["detail"].is_string());
    }
}

/// A home with one project.
pub(crate) struct Home {
    pub(crate) store: MemoryStore,
    pub(crate) blobs: MemoryBlobs,
    pub(crate) queues: MemoryQueues,
    pub(crate) clock: FixedClock,
    pub(crate) signer: MemorySigner,
    pub(crate) ports: Ports,
    pub(crate) router: Router,
}

pub(crate) async fn home() -> Home {
    let home = MemoryHome::new(1);
    let ports = home.ports();
    let MemoryHome {
        store,
        blobs,
        queues,
        clock,
        signer,
        ..
    } = home;
    store
        .commit(Commit::new().create(&project(PROJECT, KEY)))
        .await
        .unwrap();
    let router = kintsugi_http::everything(&ports, kintsugi_http::Transport::Loopback);
    Home {
        store,
        blobs,
        queues,
        clock,
        signer,
        ports,
        router,
    }
}

pub(crate) fn project(id: ProjectId, key: &str) -> Project {
    Project {
        keys: vec![key.parse().unwrap()],
        ..product::project(id, product::config(""))
    }
}

impl Home {
    pub(crate) async fn ask(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        Answer {
            status: head.status,
            headers: head.headers,
            body: body.collect().await.unwrap().to_bytes().to_vec(),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(Request::get(path).body(Body::empty()).unwrap())
            .await
    }

    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.ask(request.body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::post(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.ask(request.body(body.into()).unwrap()).await
    }

    /// Lets each key of the project send so many items of a category a minute. Before the first request: projects are remembered.
    pub(crate) async fn limit(&self, category: Category, per_minute: u32) {
        let mut value = project(PROJECT, KEY);
        value.config.quota.categories = [(category, per_minute)].into();
        let commit = Commit::new().update(&Stored { value, version: 1 });
        self.store.commit(commit).await.unwrap();
    }

    /// What a stage handed on, whether or not the relay has been by.
    pub(crate) async fn handed_on(&self, queue: Queue) -> Vec<Envelope> {
        kintsugi_app::outbox::relay(&self.ports).await.unwrap();
        self.queues.waiting(queue)
    }

    pub(crate) async fn counter(&self, project: u32, counter: &str) -> BTreeMap<String, i64> {
        self.store
            .counter(ProjectId(project), counter)
            .await
            .unwrap()
    }

    pub(crate) async fn ticket_secret(&self) -> [u8; 32] {
        let key_use = KeyUse::Tickets;
        let name = KeyName {
            project: PROJECT,
            key_use,
        };
        self.signer.secret(&name).await.unwrap()
    }

    /// Puts a document in force, as the sign stage does: the blob first, then the head.
    pub(crate) async fn publish(&self, document: &ChannelDocument, timestamp_body: &str) {
        use kintsugi_domain::ports::Blobs as _;
        let content = serde_json::to_vec(document).unwrap();
        let digest = Digest::of(&content);
        let channel = &document.channel;
        let blob = format!("tuf/1/targets/channels/{digest}.{channel}.json");
        self.blobs.put(&blob, content).await.unwrap();
        let store = self.ports.store.as_ref();
        let head = Head {
            project: PROJECT,
            claimed: document.serial,
            root: 1,
            targets: document.serial,
            snapshot: document.serial,
            timestamp: document.serial,
            timestamp_body: timestamp_body.to_owned(),
            expires: Timestamp::MAX,
            documents: [(channel.clone(), (blob, document.serial))].into(),
            root_expires: Timestamp::MAX,
            targets_expires: Timestamp::MAX,
            snapshot_expires: Timestamp::MAX,
            signing: kintsugi_domain::signing::Signing::default(),
        };
        let before = records::get::<Head>(store, PROJECT, "head").await.unwrap();
        let commit = match before {
            None => Commit::new().create(&head),
            Some(mut before) => {
                before.value = head;
                Commit::new().update(&before)
            }
        };
        self.store.commit(commit).await.unwrap();
    }
}

/// A channel on which 1.0.0 is for everybody and 1.1.0 rolls out to half of the fleet.
pub(crate) fn document() -> ChannelDocument {
    let rollout = |id: &str, version, percent, finalised| ChannelRollout {
        id: id.parse().unwrap(),
        version,
        share: Share::from_percent(percent),
        holdout: Share::NONE,
        offering: true,
        finalised,
    };
    let (old, new) = (Version::new(1, 0, 0), Version::new(1, 1, 0));
    ChannelDocument {
        format: CHANNEL_FORMAT,
        project: PROJECT,
        app: "till".into(),
        channel: "stable".into(),
        serial: 1,
        issued_at: Timestamp::UNIX_EPOCH,
        releases: vec![release(&old), release(&new)],
        rollouts: vec![
            rollout("rollout-old", old, 100, true),
            rollout("rollout-new", new, 50, false),
        ],
        revoked: vec![],
        grants: vec![],
    }
}

fn release(version: &Version) -> ChannelRelease {
    let path = format!("packages/till-{version}.tar.zst");
    ChannelRelease {
        version: version.clone(),
        date: Timestamp::UNIX_EPOCH,
        notes: format!("## {version}"),
        priority: Priority::Normal,
        restart: true,
        required_stop: false,
        health: HealthCheck {
            command: vec!["{app}/till".into(), "health".into()],
            timeout_seconds: 5,
        },
        packages: vec![Package {
            platform: "linux".into(),
            arch: "any".into(),
            full: Target {
                digest: Digest::of(path.as_bytes()),
                path,
                length: 7,
            },
            content: Content {
                digest: Digest::of(b"content"),
                length: 7,
            },
            deltas: vec![],
            statement: "statement".into(),
        }],
    }
}
