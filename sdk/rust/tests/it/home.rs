//! A home to test against: signs a repository with real keys and serves it, and does what a lying or
//! broken server would do where a test says so.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    unreachable_pub,
    reason = "test code"
)]
#![allow(
    dead_code,
    unused_imports,
    reason = "each test program uses a part of it"
)]

#[path = "server.rs"]
mod server;

pub use server::{Reply, Shelf, reply};

use kintsugi_delta::archive::{self, File};
use kintsugi_delta::compression;
use kintsugi_domain::Timestamp;
use kintsugi_domain::channel::{
    CHANNEL_FORMAT, ChannelDocument, ChannelRelease, ChannelRollout, DeltaTarget, Grant,
    HealthCheck, Package, Priority, Target,
};
use kintsugi_domain::cohort::Share;
use kintsugi_domain::digest::Digest;
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::job::Content;
use kintsugi_domain::ports::Clock;
use kintsugi_sdk::updater::Settings;
use kintsugi_trust::key::SecretKey;
use kintsugi_trust::statement::{ReleaseStatement, RollbackGrant, STATEMENT_FORMAT};
use kintsugi_trust::tuf::{
    MetaFile, Metadata, Role, RoleKeys, Roles, Root, Snapshot, TargetInfo, Targets,
    Timestamp as TimestampRole, assemble, canonical,
};
use semver::Version;
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

pub const PROJECT: ProjectId = ProjectId(1);

/// A key that is the same in every run.
pub fn key(seed: u8) -> SecretKey {
    SecretKey::from_random(&[seed; 48]).unwrap()
}

/// A point in time, days after the beginning of the tests' story.
pub fn day(number: i64) -> Timestamp {
    Timestamp::from_second(1_750_000_000 + number * 86_400).unwrap()
}

/// A clock that stands where it was put.
#[derive(Debug, Clone)]
pub struct Standing(pub Arc<Mutex<Timestamp>>);

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

/// A built version: shell scripts and enough of other bytes that a delta pays.
#[derive(Debug, Clone)]
pub struct Built {
    pub version: Version,
    pub content: Vec<u8>,
    pub full: Vec<u8>,
}

/// A version whose health check passes, or does not.
pub fn built(version: Version, healthy: bool) -> Built {
    let check = if healthy {
        "exit 0"
    } else {
        "echo tax_number is missing >&2; exit 3"
    };
    with_health(version, check)
}

/// A version with a health script of its own.
pub fn with_health(version: Version, script: &str) -> Built {
    let file = |content: Vec<u8>, executable| File {
        content,
        executable,
    };
    // Bytes that do not compress, so that the full package is much larger than the delta.
    let ballast: Vec<u8> = (0_u32..2_000)
        .flat_map(|number| *Digest::of(&number.to_be_bytes()).as_bytes())
        .collect();
    let files = BTreeMap::from([
        (
            "VERSION".to_owned(),
            file(format!("{version}\n").into(), false),
        ),
        (
            "bin/health".to_owned(),
            file(format!("#!/bin/sh\n{script}\n").into(), true),
        ),
        ("data/ballast".to_owned(), file(ballast, false)),
    ]);
    pack(version, archive::pack(&files, 0).unwrap())
}

/// A version of any content at all.
pub fn pack(version: Version, content: Vec<u8>) -> Built {
    Built {
        version,
        full: compression::compress(&content).unwrap(),
        content,
    }
}

/// The home: edit the document, publish, let updaters come.
pub struct Home {
    pub url: String,
    pub shelf: Arc<Mutex<Shelf>>,
    pub document: ChannelDocument,
    pub targets: BTreeMap<String, Vec<u8>>,
    pub clock: Standing,
    pub root: Vec<u8>,
    /// Signs targets and statements.
    pub targets_key: u8,
    pub timestamp_key: u8,
    pub metadata_days: i64,
    pub statement_days: i64,
    revision: u64,
}

impl Home {
    pub fn start() -> Self {
        let document = ChannelDocument {
            format: CHANNEL_FORMAT,
            project: PROJECT,
            app: "till".into(),
            channel: "stable".into(),
            serial: 0,
            issued_at: day(0),
            releases: vec![],
            rollouts: vec![],
            revoked: vec![],
            grants: vec![],
        };
        let shelf = Arc::new(Mutex::new(Shelf {
            files: BTreeMap::new(),
            published: document.clone(),
            forge: None,
            lie: None,
            asked: vec![],
            outcomes: vec![],
            takes_outcomes: true,
        }));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let served = Arc::clone(&shelf);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let served = Arc::clone(&served);
                std::thread::spawn(move || {
                    let _ = server::serve(&stream.unwrap(), &served);
                });
            }
        });
        let mut home = Self {
            url,
            shelf,
            document,
            targets: BTreeMap::new(),
            clock: Standing(Arc::new(Mutex::new(day(0)))),
            root: vec![],
            targets_key: 2,
            timestamp_key: 4,
            metadata_days: 10,
            statement_days: 10,
            revision: 0,
        };
        home.root = home.sign_root(1, &[1]);
        home
    }

    pub fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap()
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub fn set_day(&self, number: i64) {
        *self.clock.0.lock().unwrap() = day(number);
    }

    fn in_days(&self, days: i64) -> Timestamp {
        Timestamp::from_second(self.now().as_second() + days * 86_400).unwrap()
    }

    /// A root that names the home's present keys, signed with the given ones.
    pub fn sign_root(&self, version: u64, signers: &[u8]) -> Vec<u8> {
        let of = |role, seed| RoleKeys::new(role, &[key(seed).public_key().unwrap()], 1).unwrap();
        let roles = Roles {
            root: of(Role::Root, 1),
            targets: of(Role::Targets, self.targets_key),
            snapshot: of(Role::Snapshot, 3),
            timestamp: of(Role::Timestamp, self.timestamp_key),
        };
        let expires = Timestamp::from_second(day(3_650).as_second()).unwrap();
        signed(&Root::new(version, expires, roles), signers)
    }

    /// Adds a release for everybody, with deltas from these versions.
    pub fn release(&mut self, built: &Built, bases: &[&Built]) {
        let version = &built.version;
        let full = self.target(&format!("releases/till-{version}.tar.zst"), &built.full);
        let deltas = bases
            .iter()
            .map(|base| {
                let name = format!("releases/till-{}-to-{version}.delta", base.version);
                let delta = kintsugi_delta::make(&base.content, &built.content).unwrap();
                DeltaTarget {
                    from: base.version.clone(),
                    base: Digest::of(&base.content),
                    target: self.target(&name, &delta),
                }
            })
            .collect();
        let content = Content {
            digest: Digest::of(&built.content),
            length: built.content.len() as u64,
        };
        let package = Package {
            platform: "any".into(),
            arch: "any".into(),
            statement: self.statement(version, &full, &content),
            full,
            content,
            deltas,
        };
        self.document.releases.push(ChannelRelease {
            version: version.clone(),
            date: day(0),
            notes: format!("What is new in {version}."),
            priority: Priority::Normal,
            restart: true,
            required_stop: false,
            health: HealthCheck {
                command: ["sh", "{app}/bin/health"].map(str::to_owned).to_vec(),
                timeout_seconds: 60,
            },
            packages: vec![package],
        });
        let id = format!("rollout-{version}").replace('.', "-");
        self.document.rollouts.push(ChannelRollout {
            id: id.parse().unwrap(),
            version: version.clone(),
            share: Share::ALL,
            holdout: Share::NONE,
            offering: true,
            finalised: false,
        });
    }

    /// Puts a file among the targets.
    pub fn target(&mut self, path: &str, bytes: &[u8]) -> Target {
        self.targets.insert(path.to_owned(), bytes.to_owned());
        Target {
            path: path.to_owned(),
            digest: Digest::of(bytes),
            length: bytes.len() as u64,
        }
    }

    pub fn statement(&self, version: &Version, full: &Target, content: &Content) -> String {
        let statement = ReleaseStatement {
            format: STATEMENT_FORMAT,
            project: PROJECT,
            app: "till".into(),
            channel: "stable".into(),
            platform: "any".into(),
            arch: "any".into(),
            version: version.clone(),
            build: 0,
            target: full.path.parse().unwrap(),
            digest: full.digest,
            length: full.length,
            content_digest: content.digest,
            content_length: content.length,
            required_stop: false,
            issued_at: self.now(),
            expires: self.in_days(self.statement_days),
        };
        let key = key(self.targets_key);
        let kid = key.public_key().unwrap().key_id();
        let input = statement.signing_input(kid.as_str()).unwrap();
        kintsugi_trust::jws::assemble(&input, &key.sign(input.as_bytes()).unwrap()).unwrap()
    }

    /// The permission to go down, signed by a key.
    pub fn grant(&self, from: &Version, to: &Version, signer: u8) -> Grant {
        let grant = RollbackGrant {
            format: STATEMENT_FORMAT,
            project: PROJECT,
            app: "till".into(),
            channel: "stable".into(),
            from: from.clone(),
            to: to.clone(),
            reason: "the guard halted it".into(),
            issued_at: self.now(),
            expires: self.in_days(self.statement_days),
        };
        let key = key(signer);
        let kid = key.public_key().unwrap().key_id();
        let input = grant.signing_input(kid.as_str()).unwrap();
        let der = key.sign(input.as_bytes()).unwrap();
        Grant {
            from: from.clone(),
            to: to.clone(),
            statement: kintsugi_trust::jws::assemble(&input, &der).unwrap(),
        }
    }

    /// The rollout of a version.
    pub fn rollout(&mut self, version: &Version) -> &mut ChannelRollout {
        let rollouts = &mut self.document.rollouts;
        rollouts
            .iter_mut()
            .find(|one| one.version == *version)
            .unwrap()
    }

    /// Signs the document and the targets and serves them.
    pub fn publish(&mut self) {
        self.publish_with(&[self.targets_key], &[self.timestamp_key]);
    }

    /// [`Self::publish`] with signatures of any keys.
    pub fn publish_with(&mut self, targets_signers: &[u8], timestamp_signers: &[u8]) {
        self.revision += 1;
        self.document.serial = self.revision;
        let document = serde_json::to_vec(&self.document).unwrap();
        self.target("channels/stable.json", &document);
        let expires = self.in_days(self.metadata_days);
        let targets = Targets {
            version: self.revision,
            expires,
            targets: self
                .targets
                .iter()
                .map(|(path, bytes)| {
                    let info = TargetInfo::new(bytes.len() as u64, Digest::of(bytes));
                    (path.parse().unwrap(), info)
                })
                .collect(),
            delegations: None,
        };
        let targets = signed(&targets, targets_signers);
        let meta = MetaFile::of(self.revision, &targets);
        let snapshot = signed(&Snapshot::new(self.revision, expires, meta), &[3]);
        let meta = MetaFile::of(self.revision, &snapshot);
        let timestamp = TimestampRole::new(self.revision, expires, meta);
        let timestamp = signed(&timestamp, timestamp_signers);
        let revision = self.revision;
        let mut shelf = self.shelf.lock().unwrap();
        let files = &mut shelf.files;
        for (path, bytes) in &self.targets {
            let (folder, name) = path.rsplit_once('/').unwrap();
            let digest = Digest::of(bytes);
            files.insert(format!("targets/{folder}/{digest}.{name}"), bytes.clone());
        }
        files.insert(format!("metadata/{revision}.targets.json"), targets);
        files.insert(format!("metadata/{revision}.snapshot.json"), snapshot);
        files.insert("metadata/timestamp.json".into(), timestamp);
        files.insert("metadata/1.root.json".into(), self.root.clone());
        shelf.published = self.document.clone();
    }

    /// Signs the timestamp anew, as the clock does, with everything else as it is.
    pub fn refresh_timestamp(&mut self, version: u64) {
        let expires = self.in_days(self.metadata_days);
        let mut shelf = self.shelf.lock().unwrap();
        let snapshot = format!("metadata/{}.snapshot.json", self.revision);
        let meta = MetaFile::of(self.revision, &shelf.files[&snapshot]);
        let timestamp = TimestampRole::new(version, expires, meta);
        let timestamp = signed(&timestamp, &[self.timestamp_key]);
        shelf
            .files
            .insert("metadata/timestamp.json".into(), timestamp);
    }

    /// The path that a target is served under.
    pub fn served(&self, ending: &str) -> String {
        let shelf = self.shelf();
        let found: Vec<_> = shelf
            .files
            .keys()
            .filter(|path| path.ends_with(ending))
            .collect();
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].clone()
    }

    /// Settings of a device of this home.
    pub fn device(&self, dir: &Path, name: &str) -> Settings {
        let device = name.parse().unwrap();
        let mut settings =
            Settings::new(dir, &self.url, PROJECT, "stable", device, self.root.clone());
        settings.platform = "linux".into();
        settings.arch = "x86_64".into();
        settings
    }

    /// What was reported, shortly.
    pub fn reported(&self) -> Vec<String> {
        use kintsugi_domain::outcome::Progress;
        let outcomes = &self.shelf().outcomes;
        outcomes
            .iter()
            .map(|outcome| match &outcome.progress {
                Progress::Started => format!("{} started", outcome.ticket),
                Progress::Healthy => format!("{} healthy", outcome.ticket),
                Progress::Failed { step, .. } => format!("{} failed {step}", outcome.ticket),
                Progress::Silent => panic!("a device says nothing when it is silent"),
            })
            .collect()
    }
}

/// Metadata with signatures, as served.
pub fn signed<T: Metadata>(metadata: &T, signers: &[u8]) -> Vec<u8> {
    let message = canonical(metadata).unwrap();
    let signatures: Vec<_> = signers
        .iter()
        .map(|seed| {
            let key = key(*seed);
            let id = key.public_key().unwrap().key_id();
            (id, key.sign(&message).unwrap())
        })
        .collect();
    assemble(metadata, &signatures).unwrap().into_bytes()
}
