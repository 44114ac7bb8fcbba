//! Keys that are replaced on order, numbers that go on after a restore, and what people are told of the root.

use super::*;
use kintsugi_domain::ports::Clock as _;
use kintsugi_domain::signing::{OnlineRole, Skip};
use kintsugi_trust::tuf::{
    MetaFile, Snapshot as TufSnapshot, Timestamp as TufTimestamp, assemble, canonical,
};

impl World {
    fn head(&self) -> Stored<Head> {
        block_on(records::need::<Head>(&self.home.store, PROJECT, "head")).unwrap()
    }

    fn order(&self, change: impl FnOnce(&mut Head)) {
        let mut head = self.head();
        change(&mut head.value);
        block_on(self.home.store.commit(Commit::new().update(&head))).unwrap();
    }

    fn rotate(&self, role: OnlineRole) -> u32 {
        let mut generation = 0;
        self.order(|head| generation = head.signing.rotate(role).unwrap());
        generation
    }

    fn publish(&self) -> Done {
        block_on(self.sign.publish(PROJECT)).unwrap()
    }

    fn file(&self, name: &str) -> Vec<u8> {
        let key = format!("tuf/1/metadata/{name}");
        block_on(self.home.blobs.get(&key, 1 << 20))
            .unwrap()
            .unwrap()
    }

    /// A whole refresh of a device from what is served, as the specification has it.
    fn refresh(&self, device: &mut Trusted) -> Result<(), kintsugi_trust::tuf::TufError> {
        self.refresh_at(device, self.home.clock.now())
    }

    fn refresh_at(
        &self,
        device: &mut Trusted,
        now: Timestamp,
    ) -> Result<(), kintsugi_trust::tuf::TufError> {
        while let Some(next) = self.root(device.root().version + 1) {
            device.update_root(&next)?;
        }
        device.update_timestamp(self.head().value.timestamp_body.as_bytes(), now)?;
        let snapshot = self.file(&device.next_snapshot()?.name);
        device.update_snapshot(&snapshot, now)?;
        let targets = self.file(&device.next_targets()?.name);
        device.update_targets(&targets, now)
    }

    fn device_of(&self, root: u64) -> Trusted {
        Trusted::new(&self.root(root).unwrap()).unwrap()
    }

    fn alerts(&self, code: &str) -> Vec<Alert> {
        let all = block_on(records::all::<Alert>(&self.home.store, PROJECT, None)).unwrap();
        let all = all.into_iter().map(|it| it.value);
        all.filter(|it| it.code == code).collect()
    }

    /// A timestamp and a snapshot by keys of the home of these generations, far ahead of what it serves.
    fn forged(&self, generation: u32) -> (String, String) {
        let end = self.home.clock.now() + Duration::from_hours(24);
        let targets = self.file(&format!("{}.targets.json", self.head().value.targets));
        let targets = MetaFile::of(self.head().value.targets, &targets);
        let snapshot = TufSnapshot::new(9_000, end, targets);
        let snapshot = self.by(KeyUse::Snapshot(generation), &snapshot);
        let listed = MetaFile::of(9_000, snapshot.as_bytes());
        let timestamp = TufTimestamp::new(9_000, end, listed);
        (self.by(KeyUse::Timestamp(generation), &timestamp), snapshot)
    }

    fn by(&self, key_use: KeyUse, metadata: &impl kintsugi_trust::tuf::Metadata) -> String {
        let project = PROJECT;
        let name = KeyName { project, key_use };
        let pem = block_on(self.home.signer.public_key(&name)).unwrap();
        let der = block_on(self.home.signer.sign(&name, &canonical(metadata).unwrap())).unwrap();
        let id = PublicKey::from_pem(&pem).unwrap().key_id();
        assemble(metadata, &[(id, der)]).unwrap()
    }
}

#[test]
fn a_key_that_was_ordered_signs_and_devices_with_the_first_root_follow() {
    let world = world();
    world.publish_after(0);
    let mut device = world.device_of(1);
    world.refresh(&mut device).unwrap();
    for role in OnlineRole::ALL {
        let before = world.head().value;
        assert_eq!(world.rotate(role), 2);
        assert_ne!(world.publish(), Done::nothing(""));
        let head = world.head().value;
        assert_eq!(head.root, before.root + 1);
        assert_eq!(head.signing.of(role).in_force, 2, "{role}");
        assert!(!head.signing.is_changing());
        world.refresh(&mut device).unwrap();
        // One that was off since before everything follows too.
        world.refresh(&mut world.device_of(1)).unwrap();
        let done = Done::nothing("what is served is what the records say");
        assert_eq!(world.publish(), done, "and it is over");
    }
    assert_eq!(device.root().version, 4);
    let again = world.rotate(OnlineRole::Timestamp);
    world.publish();
    assert_eq!((again, world.head().value.root), (3, 5));
}

#[test]
fn what_is_served_holds_under_the_old_root_and_the_new_one_when_the_new_one_comes() {
    let world = world();
    world.publish_after(0);
    world.rotate(OnlineRole::Timestamp);
    world.rotate(OnlineRole::Snapshot);
    let (done, more) = block_on(world.sign.publish_once(PROJECT)).unwrap();
    assert!(matches!(done, Done::Did(_)) && more);
    assert_eq!(world.head().value.root, 1, "both keys sign first");
    let served = world.head().value;
    block_on(world.sign.publish_once(PROJECT)).unwrap();
    // Root 2 is there, and the head as it was before it.
    let now = world.home.clock.now();
    for root in [1, 2] {
        let mut device = world.device_of(root);
        device
            .update_timestamp(served.timestamp_body.as_bytes(), now)
            .unwrap();
        let snapshot = world.file(&device.next_snapshot().unwrap().name);
        device.update_snapshot(&snapshot, now).unwrap();
    }
}

#[test]
fn a_stolen_key_that_was_replaced_signs_nothing_that_is_taken() {
    let world = world();
    world.publish_after(0);
    let now = world.home.clock.now();
    let (timestamp, snapshot) = world.forged(1);
    // A device that the thief reached takes it, and nothing of the home after it.
    let mut reached = world.device_of(1);
    reached.update_timestamp(timestamp.as_bytes(), now).unwrap();
    reached.update_snapshot(snapshot.as_bytes(), now).unwrap();
    assert!(world.refresh(&mut reached).is_err());
    world.rotate(OnlineRole::Timestamp);
    world.rotate(OnlineRole::Snapshot);
    world.publish();
    world.refresh(&mut reached).unwrap();
    let error = reached
        .update_timestamp(timestamp.as_bytes(), now)
        .unwrap_err();
    assert_eq!(error.code(), "tuf.threshold");
    let mut fresh = world.device_of(1);
    world.refresh(&mut fresh).unwrap();
    assert!(fresh.update_timestamp(timestamp.as_bytes(), now).is_err());
}

#[test]
fn a_rotation_that_is_cut_off_anywhere_leaves_a_whole_repository_and_goes_on() {
    let mut seen = Vec::new();
    // Before each effect on records and files, which is after the one before it.
    for step in 1..200 {
        let world = world();
        world.publish_after(0);
        world.rotate(OnlineRole::Timestamp);
        let faults = Faults::new();
        faults.crash_before(step);
        let mut ports = world.home.ports();
        ports.store = Arc::new(Crashing::new(ports.store, &faults));
        ports.blobs = Arc::new(Crashing::new(ports.blobs, &faults));
        let ended = block_on(Sign::new(ports).publish(PROJECT));
        let stands = (world.head().version, world.root(2).is_some());
        if faults.crashed() && seen.last() == Some(&stands) {
            continue;
        }
        seen.push(stands);
        let mut device = world.device_of(1);
        let held = world.refresh(&mut device);
        held.unwrap_or_else(|error| panic!("step {step}: {error}"));
        world.publish();
        let held = world.refresh(&mut device);
        held.unwrap_or_else(|error| panic!("after step {step}: {error}"));
        let head = world.head().value;
        let now = (head.root, head.signing.is_changing());
        assert_eq!(now, (2, false), "step {step}");
        if !faults.crashed() {
            assert!(ended.is_ok());
            assert!(seen.len() > 4, "cut off at the same place only: {seen:?}");
            return;
        }
    }
    panic!("it has no end");
}

#[test]
fn a_crash_while_signing_leaves_the_last_complete_repository_served() {
    let mut cut_off = 0;
    // Before each signature and each effect on records and files, which is after the one before it.
    for step in 1..200 {
        let world = world();
        world.publish_after(0);
        let (before, then) = (world.head().value, world.home.clock.now());
        // Targets, snapshot and timestamp are all signed anew.
        world.home.clock.advance(Duration::from_hours(24 * 46));
        let faults = Faults::new();
        faults.crash_before(step);
        let mut ports = world.home.ports();
        ports.store = Arc::new(Crashing::new(ports.store, &faults));
        ports.blobs = Arc::new(Crashing::new(ports.blobs, &faults));
        ports.signer = Arc::new(Crashing::new(ports.signer, &faults));
        let ended = block_on(Sign::new(ports).publish(PROJECT));
        let served = world.head().value;
        let mut device = world.device_of(1);
        if served.timestamp == before.timestamp {
            assert_eq!(served.timestamp_body, before.timestamp_body);
            let held = world.refresh_at(&mut device, then);
            held.unwrap_or_else(|error| panic!("step {step}: {error}"));
            cut_off += 1;
        } else {
            let held = world.refresh(&mut device);
            held.unwrap_or_else(|error| panic!("step {step}: {error}"));
            assert!(served.targets > before.targets && served.snapshot > before.snapshot);
        }
        // The next look of the stage finishes it, and a device that read in between follows.
        world.publish();
        let held = world.refresh(&mut device);
        held.unwrap_or_else(|error| panic!("after step {step}: {error}"));
        assert!(world.head().value.targets > before.targets);
        if !faults.crashed() {
            assert!(ended.is_ok());
            assert!(cut_off > 8, "cut off at {cut_off} places only");
            return;
        }
    }
    panic!("it has no end");
}

/// The next root as those who hold the root keys sign it.
fn sign_offline(world: &World, text: &str, keys: &[u8]) -> String {
    let before = world.device().root().clone();
    let mut draft = RootDraft::read(text.as_bytes(), Some(&before)).unwrap();
    let message = draft.message().to_vec();
    for number in keys {
        let id = offline(*number).public_key().unwrap().key_id();
        let der = offline(*number).sign(&message).unwrap();
        draft.add(&id, der, Some(&before)).unwrap();
    }
    draft.to_text().unwrap()
}

#[test]
fn where_the_root_is_offline_its_holders_are_asked_and_what_they_sign_is_taken() {
    let world = world();
    world.publish_after(0);
    world.take_offline();
    world.publish();
    let mut device = world.device_of(1);
    world.refresh(&mut device).unwrap();
    world.rotate(OnlineRole::Targets);
    world.publish();
    world.publish();
    assert_eq!(world.alerts("root.signatures_wanted").len(), 1, "once");
    let wanted = world.head().value.signing.wanted_root.unwrap();
    world.refresh(&mut device).unwrap();

    // Too few signatures: refused with the reason, and asked for again.
    let few = sign_offline(&world, &wanted, &[1]);
    world.order(|head| head.signing.brought_root = Some(few));
    world.publish();
    let signing = world.head().value.signing;
    assert_eq!(
        signing.refused_root.as_deref(),
        Some("root: 1 valid signatures of 2 needed")
    );
    assert_eq!(world.alerts("root.refused").len(), 1);
    assert_eq!((signing.brought_root, world.head().value.root), (None, 2));

    let whole = sign_offline(&world, &wanted, &[1, 3]);
    world.order(|head| head.signing.brought_root = Some(whole));
    world.publish();
    let head = world.head().value;
    assert_eq!((head.root, head.signing.targets.in_force), (3, 2));
    assert_eq!(
        head.signing,
        kintsugi_domain::signing::Signing {
            targets: head.signing.targets,
            ..Default::default()
        }
    );
    world.refresh(&mut device).unwrap();
    world.refresh(&mut world.device_of(1)).unwrap();
}

#[test]
fn a_root_that_names_a_key_of_nobody_here_is_refused() {
    let world = world();
    world.publish_after(0);
    let before = world.take_offline();
    world.publish();
    let mut next = before.next(before.expires);
    let strange = KeyChange {
        add: vec![offline(9).public_key().unwrap()],
        drop: before.roles.timestamp.keys().keys().cloned().collect(),
        threshold: None,
    };
    next.roles.timestamp = next
        .roles
        .timestamp
        .changed(Role::Timestamp, &strange)
        .unwrap();
    let text = RootDraft::new(next).unwrap().to_text().unwrap();
    let text = sign_offline(&world, &text, &[1, 2]);
    world.order(|head| head.signing.brought_root = Some(text));
    world.publish();
    let why = world.head().value.signing.refused_root.unwrap();
    assert!(why.starts_with("role timestamp: it names no key"), "{why}");
    assert_eq!(world.head().value.root, 2);
}

#[test]
fn after_a_restore_devices_follow_again_only_above_what_they_have_seen() {
    let world = world();
    world.publish_after(0);
    let backup = world.head();
    let mut device = world.device_of(1);
    for _ in 0..5 {
        world.publish_after(1);
        world.refresh(&mut device).unwrap();
    }
    let seen = device.timestamp().unwrap().version;
    assert_eq!(seen, backup.value.timestamp + 5);

    // The records of the first day come back, under their own numbers.
    let mut restored = world.head();
    restored.value = backup.value.clone();
    block_on(world.home.store.commit(Commit::new().update(&restored))).unwrap();
    world.publish();
    let stuck = world.refresh(&mut device).unwrap_err();
    assert_eq!(stuck.code(), "tuf.rollback", "without the order");
    let serial = |world: &World| world.head().value.documents.values().next().unwrap().1;
    let before = serial(&world);

    world.order(|head| {
        head.signing.skip = Some(Skip {
            above: seen,
            root: 0,
        });
    });
    world.publish();
    world.refresh(&mut device).unwrap();
    assert!(device.timestamp().unwrap().version > seen);
    assert!(serial(&world) > seen.max(before), "documents too");
    assert_eq!(world.head().value.signing.skip, None, "once");
    let done = Done::nothing("what is served is what the records say");
    assert_eq!(world.publish(), done);
}

#[test]
fn files_of_the_repository_that_is_gone_say_how_far_it_came() {
    let world = world();
    world.publish_after(0);
    let end = world.home.clock.now() + Duration::from_hours(24);
    let targets = MetaFile::of(1, b"");
    for number in [40, 90] {
        let file = world.by(
            KeyUse::Snapshot(1),
            &TufSnapshot::new(number, end, targets.clone()),
        );
        let key = format!("tuf/1/metadata/{number}.snapshot.json");
        block_on(world.home.blobs.put(&key, file.into_bytes())).unwrap();
    }
    world.order(|head| head.signing.skip = Some(Skip::default()));
    world.publish();
    assert!(world.head().value.timestamp > 90 + 8);
}

#[test]
fn roots_go_on_above_those_that_devices_have() {
    let world = world();
    world.publish_after(0);
    world.order(|head| head.signing.skip = Some(Skip { above: 0, root: 4 }));
    world.publish();
    assert_eq!(world.head().value.root, 5);
    world.refresh(&mut world.device_of(1)).unwrap();
}

#[test]
fn people_are_told_three_times_and_at_the_end_of_a_root_that_the_home_cannot_renew() {
    let world = world();
    world.publish_after(0);
    let taken = world.take_offline();
    world.publish();
    // Once at each step, however often the clock ticks.
    let steps = [(91, 0), (90, 1), (60, 1), (30, 2), (8, 2), (7, 3), (3, 3)];
    for (days, told) in steps {
        let left = taken.expires.duration_since(world.home.clock.now());
        let wait = left.as_hours() - days * 24;
        let wait = Duration::from_hours(wait.try_into().unwrap());
        world.home.clock.advance(wait);
        world.publish();
        world.publish();
        let news = world.alerts("root.expires");
        assert_eq!(news.len(), told, "{days} days before");
    }
    let mut news = world.alerts("root.expires");
    news.sort_by_key(|it| it.at);
    let urgencies: Vec<Urgency> = news.iter().map(|it| it.urgency).collect();
    assert_eq!(
        urgencies,
        [Urgency::Warning, Urgency::Warning, Urgency::Page]
    );
    assert!(
        news.iter()
            .all(|it| it.text.contains("Root version 2 ends at"))
    );
}

#[test]
fn a_home_that_signs_its_root_itself_is_told_nothing_of_its_end() {
    let world = world();
    world.publish_after(0);
    for _ in 0..8 {
        world.publish_after(100);
    }
    assert!(world.alerts("root.expires").is_empty());
}
