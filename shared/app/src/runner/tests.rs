//! Jobs that are leased, lost, reported twice, forged and given back.

use super::*;
use crate::sign::Sign;
use crate::stage::{Wake, settle};
use crate::testing::{PROJECT, all};
use futures::executor::block_on;
use kintsugi_domain::Timestamp;
use kintsugi_domain::alert::Alert;
use kintsugi_domain::bundle::{Bundle, BundleMove};
use kintsugi_domain::envelope::Envelope;
use kintsugi_domain::job::{BuildReport, Content, Delta, SearchReport};
use kintsugi_domain::platform::{PlatformBase, PlatformKind, PlatformPackage};
use kintsugi_domain::ports::{Blobs as _, Commit, Queues as _, Store as _};
use kintsugi_domain::release::Release;
use kintsugi_domain::train::Train;
use kintsugi_testkit::memory::MemoryHome;
use kintsugi_testkit::product;
use semver::Version;
use std::sync::Arc;

const BASE: &str = "tuf/1/targets/0.base";
const ALERTS: &str = "[[alerts]]\nkind = \"webhook\"\nurl = \"https://chat.example.com/secret\"\n";

struct World {
    home: MemoryHome,
    runners: Runners,
    job: Job,
}

fn token(name: &str, role: Role) -> Token {
    Token {
        iss: "kintsugi".to_owned(),
        aud: "kintsugi-admin".to_owned(),
        sub: name.to_owned(),
        role,
        iat: 0,
        exp: i64::MAX,
        jti: format!("token of {name}"),
    }
}

fn runner(name: &str) -> Token {
    token(name, Role::Runner)
}

/// A home with one build ordered.
fn world() -> World {
    let home = MemoryHome::new(1);
    let config = product::config(ALERTS);
    let version = Version::new(1, 0, 1);
    let mut bundle = Bundle::cut(
        PROJECT,
        Train::Patch,
        "stable",
        "c0ffee".to_owned(),
        version.clone(),
        vec![],
        Timestamp::UNIX_EPOCH,
    );
    let order = Order::Build(Box::new(BuildOrder {
        bundle: bundle.id.clone(),
        commit: "c0ffee".to_owned(),
        fixes: vec![],
        version,
        at: Timestamp::UNIX_EPOCH,
        delta_bases: vec![(Version::new(1, 0, 0), BASE.to_owned())],
        platform_bases: vec![],
        since: None,
        build: 0,
        notes: String::new(),
    }));
    let at = Timestamp::UNIX_EPOCH;
    let job = Job::order(PROJECT, "/src/till".to_owned(), order, config.clone(), at);
    bundle.job = Some(job.id.clone());
    bundle
        .step(BundleMove::Order, at, "test", "ordered")
        .unwrap();
    let project = product::project(PROJECT, config);
    let commit = Commit::new()
        .create(&project)
        .create(&bundle)
        .create(&job)
        .send(ordered(&job.id));
    block_on(home.store.commit(commit)).unwrap();
    block_on(home.blobs.put(BASE, b"base".to_vec())).unwrap();
    let runners = Runners::new(home.ports());
    let world = World { home, runners, job };
    world.relay();
    world
}

fn ordered(job: &JobId) -> Envelope {
    let job = job.clone();
    Envelope::new("bundle-1", PROJECT, Message::RunJob { job })
}

fn artifact(name: &str, content: &[u8]) -> Artifact {
    let digest = Digest::of(content);
    Artifact {
        blob: artifact_key(PROJECT, &digest, name),
        digest,
        length: content.len() as u64,
    }
}

const FULL: &[u8] = b"the full package";
const DELTA: &[u8] = b"the delta";

/// A build that went well.
fn built() -> Report {
    Report::Build(BuildReport {
        applied: vec![],
        set_aside: [].into(),
        gates: vec![],
        changes: vec![],
        built: Ok(Built {
            commit: "d0d0".to_owned(),
            full: artifact("till-1.0.1.tar.zst", FULL),
            content: Content {
                digest: Digest::of(b"content"),
                length: 7,
            },
            deltas: vec![Delta {
                from: Version::new(1, 0, 0),
                base: Digest::of(b"base"),
                artifact: artifact("till-1.0.0-1.0.1.delta", DELTA),
            }],
            zips: vec![],
            platforms: vec![],
            inputs: vec![],
            builder: String::new(),
        }),
    })
}

/// The same with something changed.
fn built_but(change: impl FnOnce(&mut Built)) -> Report {
    let mut report = built();
    let Report::Build(build) = &mut report else {
        panic!("it is a build");
    };
    change(build.built.as_mut().unwrap());
    report
}

impl World {
    fn relay(&self) {
        block_on(crate::outbox::relay(&self.home.ports())).unwrap();
    }

    fn lease(&self, name: &str) -> Option<Leased> {
        block_on(self.runners.lease(&runner(name), 60)).unwrap()
    }

    fn report(&self, name: &str, lease: &Leased, report: Report) -> OrError<Reported> {
        block_on(self.runners.report(&runner(name), &lease.lease, report))
    }

    /// What a runner uploads before it reports.
    fn upload(&self, name: &str, lease: &Leased) {
        for (file, content) in [
            ("till-1.0.1.tar.zst", FULL),
            ("till-1.0.0-1.0.1.delta", DELTA),
        ] {
            let key = artifact(file, content).blob;
            let me = runner(name);
            let stored = self
                .runners
                .store(&me, &lease.lease, &key, content.to_vec());
            block_on(stored).unwrap();
        }
    }

    fn job(&self) -> Job {
        let id = self.job.id.as_str();
        let job = records::get::<Job>(&self.home.store, PROJECT, id);
        block_on(job).unwrap().unwrap().value
    }

    fn waiting(&self, queue: Queue) -> usize {
        self.relay();
        block_on(self.home.queues.depth(queue)).unwrap()
    }

    fn alerts(&self) -> Vec<Alert> {
        all(&self.home.store)
    }
}

fn code<T: std::fmt::Debug>(answer: OrError<T>) -> &'static str {
    match answer.unwrap_err() {
        RunnerError::Refused(refusal) => refusal.code,
        RunnerError::Port(error) => panic!("{error}"),
    }
}

#[test]
fn a_job_is_leased_done_and_reported_once() {
    let world = world();
    let leased = world.lease("a").unwrap();
    assert_eq!((leased.attempt, leased.seconds), (1, 60));
    let mut expected = world.job.clone();
    expected.config.alerts.clear();
    assert_eq!(leased.job, expected, "where alerts go is a secret");
    assert!(world.lease("b").is_none(), "it is in a's hands");
    world.upload("a", &leased);
    let accepted = world.report("a", &leased, built()).unwrap();
    assert!(accepted.accepted);
    let job = world.job();
    assert_eq!((job.state, job.report), (JobState::Done, Some(built())));
    assert_eq!(world.waiting(Queue::Bundles), 1);
    assert_eq!(world.waiting(Queue::Jobs), 0);
    // Its answer was lost on the way: it asks again.
    let again = world.report("a", &leased, built()).unwrap();
    assert!(!again.accepted);
    assert_eq!(world.waiting(Queue::Bundles), 1);
}

#[test]
fn a_job_whose_runner_died_goes_to_the_next_and_is_done_once() {
    let world = world();
    let first = world.lease("a").unwrap();
    world.home.clock.advance(Duration::from_secs(59));
    assert!(world.lease("b").is_none());
    world.home.clock.advance(Duration::from_secs(2));
    let second = world.lease("b").unwrap();
    assert_eq!((second.attempt, &second.job), (2, &first.job));
    let alive = block_on(world.runners.heartbeat(&runner("a"), &first.lease));
    assert_eq!(code(alive), "lease.lost");
    world.upload("b", &second);
    assert!(world.report("b", &second, built()).unwrap().accepted);
    assert!(!world.report("a", &first, built()).unwrap().accepted);
    assert_eq!(world.waiting(Queue::Bundles), 1);
    assert_eq!(world.waiting(Queue::Jobs), 0);
}

#[test]
fn a_report_that_comes_late_counts_if_it_is_the_first() {
    let world = world();
    let first = world.lease("a").unwrap();
    world.home.clock.advance(Duration::from_mins(5));
    let second = world.lease("b").unwrap();
    world.upload("a", &first);
    assert!(world.report("a", &first, built()).unwrap().accepted);
    // The other learns it at its next sign of life, and can store nothing more.
    let alive = block_on(world.runners.heartbeat(&runner("b"), &second.lease));
    assert_eq!(code(alive), "lease.lost");
    let key = artifact("till-1.0.1.tar.zst", b"other").blob;
    let other = runner("b");
    let store = world
        .runners
        .store(&other, &second.lease, &key, b"other".to_vec());
    assert_eq!(code(block_on(store)), "lease.lost");
    assert!(!world.report("b", &second, built()).unwrap().accepted);
    assert_eq!(world.job().report, Some(built()));
    assert_eq!(world.waiting(Queue::Bundles), 1);
    world.home.clock.advance(Duration::from_hours(1));
    assert!(world.lease("c").is_none(), "it is not done again");
}

#[test]
fn signs_of_life_keep_a_job() {
    let world = world();
    let leased = world.lease("a").unwrap();
    for _ in 0..10 {
        world.home.clock.advance(Duration::from_secs(50));
        let alive = block_on(world.runners.heartbeat(&runner("a"), &leased.lease));
        assert_eq!(alive.unwrap(), 60);
        assert!(world.lease("b").is_none());
    }
}

#[test]
fn a_message_that_comes_twice_is_settled_and_the_next_job_is_found() {
    let world = world();
    let leased = world.lease("a").unwrap();
    world.upload("a", &leased);
    world.report("a", &leased, built()).unwrap();
    world.home.queues.duplicate(&ordered(&world.job.id));
    let gone = "gone".parse().unwrap();
    world.home.queues.duplicate(&ordered(&gone));
    let mut other = world.job.clone();
    other.id = "job-2".parse().unwrap();
    block_on(world.home.store.commit(Commit::new().create(&other))).unwrap();
    world.home.queues.duplicate(&ordered(&other.id));
    assert_eq!(world.lease("b").unwrap().job.id, other.id);
    assert_eq!(world.waiting(Queue::Jobs), 1);
    assert!(world.alerts().is_empty());
}

#[test]
fn only_a_runner_gets_in_and_only_with_its_own_lease() {
    let world = world();
    for role in [Role::Viewer, Role::Triager, Role::Releaser, Role::Admin] {
        let ada = token("ada", role);
        let asked = world.runners.lease(&ada, 60);
        assert_eq!(code(block_on(asked)), "token.role");
    }
    let leased = world.lease("a").unwrap();
    let as_admin = token("a", Role::Admin);
    let report = world.runners.report(&as_admin, &leased.lease, built());
    assert_eq!(code(block_on(report)), "token.role");
    assert_eq!(code(world.report("b", &leased, built())), "lease.not_yours");
    // Whoever makes a lease of their own would settle any delivery of any queue.
    let delivery = Delivery {
        envelope: ordered(&world.job.id),
        receipt: "0/1".to_owned(),
        attempt: 1,
    };
    let forged = Lease {
        holder: "b".to_owned(),
        seconds: 60,
        delivery,
    };
    let forged = Leased {
        lease: forged.seal(&[0; 32]).unwrap(),
        ..leased.clone()
    };
    assert_eq!(code(world.report("b", &forged, built())), "lease.forged");
    let garbage = Leased {
        lease: "x".to_owned(),
        ..leased
    };
    assert_eq!(
        code(world.report("b", &garbage, built())),
        "lease.malformed"
    );
    assert_eq!(world.job().state, JobState::Ordered);
    assert_eq!(world.waiting(Queue::Jobs), 1);
}

#[test]
fn a_report_of_another_kind_or_of_what_is_not_stored_is_refused() {
    let world = world();
    let leased = world.lease("a").unwrap();
    assert_eq!(
        code(world.report("a", &leased, built())),
        "artifact.missing"
    );
    world.upload("a", &leased);
    let search = Report::Search(SearchReport {
        regression_test: None,
        base: vec![],
        candidates: vec![],
        refused: None,
    });
    assert_eq!(code(world.report("a", &leased, search)), "report.kind");
    let cut = built_but(|built| built.full.length -= 1);
    assert_eq!(code(world.report("a", &leased, cut)), "artifact.missing");
    let wrong: [fn(&mut Built); 5] = [
        |built| built.full = artifact("other-1.0.1.tar.zst", FULL),
        |built| BASE.clone_into(&mut built.full.blob),
        |built| built.full.digest = Digest::of(b"x"),
        |built| built.deltas[0].from = Version::new(0, 9, 0),
        |built| built.deltas.push(built.deltas[0].clone()),
    ];
    for change in wrong {
        let report = world.report("a", &leased, built_but(change));
        assert_eq!(code(report), "report.artifacts");
    }
    assert_eq!(world.job().state, JobState::Ordered);
    assert!(world.report("a", &leased, built()).unwrap().accepted);
}

#[test]
fn a_delta_of_a_version_that_was_not_ordered_is_refused_and_every_ordered_one_is_taken() {
    let versions = |count: u64| (0..count).map(|patch| Version::new(0, 9, patch));
    let kind = PlatformKind::WindowsInstaller;
    let windows = "[package.windows]\nprogram = \"till/till.exe\"\npublisher = \"Till\"\n";
    let mut job = world().job;
    job.config = product::config(windows);
    let Order::Build(order) = &mut job.order else {
        panic!("it is a build");
    };
    order.delta_bases = versions(20).map(|it| (it, BASE.to_owned())).collect();
    // The oldest of them had no installer.
    let with_installer = versions(20).skip(1);
    let with_installer = with_installer.map(|version| PlatformBase {
        version,
        kind,
        blob: BASE.to_owned(),
    });
    order.platform_bases = with_installer.collect();
    let delta = |from: Version, end: &str| Delta {
        artifact: artifact(&format!("till-{from}-1.0.1{end}"), DELTA),
        base: Digest::of(b"base"),
        from,
    };
    let report = |deltas: &[Version], of_installers: &[Version]| {
        let of = |versions: &[Version], end: &str| {
            let versions = versions.iter().cloned();
            versions.map(|from| delta(from, end)).collect()
        };
        built_but(|built| {
            built.deltas = of(deltas, ".delta");
            built.platforms = vec![PlatformPackage {
                kind,
                artifact: artifact("till-1.0.1-setup.exe", FULL),
                deltas: of(of_installers, "-setup.exe.delta"),
            }];
        })
    };
    let check = |report: &Report| {
        let (Order::Build(order), Report::Build(report)) = (&job.order, report) else {
            panic!("it is a build");
        };
        check_names(&job, order, report.built.as_ref().unwrap())
    };
    let all: Vec<Version> = versions(20).collect();
    check(&report(&all, &all[1..])).unwrap();
    check(&report(&[], &[])).unwrap();
    let stranger = [Version::new(0, 8, 0)];
    let twice = [all[3].clone(), all[3].clone()];
    for (deltas, of_installers) in [
        (&stranger[..], &[][..]),
        (&[], &stranger),
        (&[], &all[..1]),
        (&twice, &[]),
        (&[], &twice),
    ] {
        let refused = check(&report(deltas, of_installers));
        assert_eq!(code(refused), "report.artifacts");
    }
    // What may not be reported cannot be stored either.
    let key = |from: &Version| artifact(&format!("till-{from}-1.0.1-setup.exe.delta"), DELTA).blob;
    assert!(job.artifact_digest(&key(&all[1])).is_some());
    assert_eq!(job.artifact_digest(&key(&all[0])), None);
    assert_eq!(job.artifact_digest(&key(&stranger[0])), None);
}

#[test]
fn a_runner_reads_and_writes_only_what_its_job_names() {
    let world = world();
    let leased = world.lease("a").unwrap();
    let me = runner("a");
    let read = |key: &str| block_on(world.runners.download(&me, &leased.lease, key));
    assert_eq!(read(BASE).unwrap(), Download::Content(b"base".to_vec()));
    let digest = Digest::of(b"x");
    let hex = digest.to_string();
    for key in [
        "events/1/batch.json".to_owned(),
        "tuf/1/metadata/1.root.json".to_owned(),
        artifact("till-1.0.1.tar.zst", FULL).blob,
        "../etc/passwd".to_owned(),
    ] {
        assert_eq!(code(read(&key)), "blob.not_of_job", "{key}");
    }
    let write = |key: &str| {
        let content = b"x".to_vec();
        block_on(world.runners.store(&me, &leased.lease, key, content))
    };
    for key in [
        BASE.to_owned(),
        format!("tuf/2/targets/{hex}.till-1.0.1.tar.zst"),
        format!("tuf/1/targets/{hex}.till-1.0.2.tar.zst"),
        format!("tuf/1/targets/{hex}.till-0.9.0-1.0.1.delta"),
        format!("tuf/1/targets/{}.till-1.0.1.tar.zst", hex.to_uppercase()),
        format!("tuf/1/targets/channels/{hex}.stable.json"),
        format!("tuf/1/targets/../targets/{hex}.till-1.0.1.tar.zst"),
        format!("{hex}.till-1.0.1.tar.zst"),
    ] {
        assert_eq!(code(write(&key)), "blob.not_of_job", "{key}");
        let link = world.runners.upload(&me, &leased.lease, &key, 1);
        assert_eq!(code(block_on(link)), "blob.not_of_job", "{key}");
    }
    let other = artifact("till-1.0.1.tar.zst", FULL).blob;
    assert_eq!(code(write(&other)), "blob.digest");
    let long = world
        .runners
        .upload(&me, &leased.lease, &other, PACKAGE_BYTES_MAX + 1);
    assert_eq!(code(block_on(long)), "blob.too_long");
    assert_eq!(world.home.blobs.keys(), [BASE]);
    write(&format!("tuf/1/targets/{hex}.till-1.0.1.tar.zst")).unwrap();
}

#[test]
fn what_is_given_back_is_tried_again_or_parked_with_its_reason() {
    let world = world();
    let leased = world.lease("a").unwrap();
    let back = |lease: &Leased, may_pass| {
        let me = runner("a");
        block_on(
            world
                .runners
                .give_back(&me, &lease.lease, "no disk", may_pass),
        )
    };
    assert!(back(&leased, true).unwrap().again);
    world.home.clock.advance(Duration::from_secs(2));
    let leased = world.lease("b").unwrap();
    assert_eq!(leased.attempt, 2);
    world.home.clock.advance(Duration::from_mins(5));
    let leased = world.lease("a").unwrap();
    assert!(!back(&leased, false).unwrap().again);
    let parked = block_on(world.home.queues.parked(Queue::Jobs)).unwrap();
    assert_eq!(parked.len(), 1);
    assert!(parked[0].cause.contains("on runner a: no disk"));
    let alerts = world.alerts();
    assert_eq!(alerts.len(), 1);
    assert_eq!(alerts[0].code, "message.parked");
}

#[test]
fn a_job_that_every_runner_dies_of_is_parked_and_people_are_told() {
    let world = world();
    for attempt in 1..=DELIVERIES_MAX {
        assert_eq!(world.lease("a").unwrap().attempt, attempt);
        world.home.clock.advance(Duration::from_mins(5));
    }
    assert!(world.lease("a").is_none());
    assert_eq!(world.alerts().len(), 1);
    let parked = block_on(world.home.queues.parked(Queue::Jobs)).unwrap();
    assert!(parked[0].cause.contains("died with it"), "{:?}", parked[0]);
}

#[test]
fn what_broke_on_its_way_into_the_home_is_never_signed() {
    let world = world();
    let ports = world.home.ports();
    let leased = world.lease("a").unwrap();
    world.upload("a", &leased);
    world.report("a", &leased, built()).unwrap();
    world.relay();
    let bundles = crate::bundle::Bundles::new(ports.clone());
    let taken = block_on(ports.queues.receive(Queue::Bundles, 9, LINK_LIFE)).unwrap();
    let wake = Wake::Message(Arc::new(taken[0].envelope.clone()));
    block_on(settle(&bundles, &wake)).unwrap();
    world.relay();
    let delta = artifact("till-1.0.0-1.0.1.delta", DELTA).blob;
    block_on(ports.blobs.put(&delta, b"the DELTA".to_vec())).unwrap();
    let taken = block_on(ports.queues.receive(Queue::Signing, 9, LINK_LIFE)).unwrap();
    let wake = Wake::Message(Arc::new(taken[0].envelope.clone()));
    let sign = Sign::new(ports.clone());
    let error = block_on(settle(&sign, &wake)).unwrap_err();
    assert!(!error.is_transient(), "{error}");
    assert!(error.to_string().contains("1.0.1.delta"), "{error}");
    let release = || all::<Release>(&world.home.store).remove(0);
    assert!(release().statement.is_none());
    // Mended, it goes on.
    block_on(ports.blobs.put(&delta, DELTA.to_vec())).unwrap();
    block_on(settle(&sign, &wake)).unwrap();
    assert!(release().statement.is_some());
}
