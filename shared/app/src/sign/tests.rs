//! Roots of a home, and roots that come from those who hold the keys offline.

use super::*;
use crate::stage::settle;
use futures::executor::block_on;
use kintsugi_domain::channel::Head;
use kintsugi_domain::config::Config;
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::ports::{Blobs as _, KeyName, KeyUse, Signer as _, Store as _};
use kintsugi_testkit::fault::{Crashing, Faults};
use kintsugi_testkit::memory::{MemoryHome, MemorySigner};
use kintsugi_trust::key::{PublicKey, SecretKey};
use kintsugi_trust::tuf::{KeyChange, Role, Root, RootDraft, Trusted};
use std::sync::Arc;
use std::time::Duration;

const PROJECT: ProjectId = ProjectId(1);
const CONFIG: &str = r#"
[product]
name = "till"
language = "python"
[test]
command = ["true"]
[package]
include = ["till"]
[health]
command = ["true"]
"#;

struct World {
    home: MemoryHome,
    sign: Sign,
}

fn world() -> World {
    let home = MemoryHome::new(1);
    let project = Project {
        id: PROJECT,
        config: Config::parse("kintsugi.toml", CONFIG).unwrap(),
        keys: vec![],
        batch_keys: kintsugi_domain::batch::BatchKeys::default(),
        repository: None,
        added_at: home.ports().now(),
    };
    block_on(home.store.commit(Commit::new().create(&project))).unwrap();
    let sign = Sign::new(home.ports());
    World { home, sign }
}

fn offline(number: u8) -> SecretKey {
    SecretKey::from_random(&[number; 48]).unwrap()
}

impl World {
    /// Publishes after so many days, and answers with the version of the root.
    fn publish_after(&self, days: u64) -> u64 {
        self.home.clock.advance(Duration::from_hours(24 * days));
        block_on(self.sign.publish(PROJECT)).unwrap();
        let head = records::need::<Head>(&self.home.store, PROJECT, "head");
        block_on(head).unwrap().value.root
    }

    fn root(&self, version: u64) -> Option<Vec<u8>> {
        let key = format!("tuf/1/metadata/{version}.root.json");
        block_on(self.home.blobs.get(&key, 1 << 20)).unwrap()
    }

    /// What a device has that follows every root from the first.
    fn device(&self) -> Trusted {
        let mut device = Trusted::new(&self.root(1).unwrap()).unwrap();
        while let Some(next) = self.root(device.root().version + 1) {
            device.update_root(&next).unwrap();
        }
        device
    }

    /// A key of the home: its id, and its signature.
    fn home_signs(&self, number: u8, message: &[u8]) -> (PublicKey, Vec<u8>) {
        let name = KeyName {
            project: PROJECT,
            key_use: KeyUse::Root(number),
        };
        let pem = block_on(self.home.signer.public_key(&name)).unwrap();
        let der = block_on(self.home.signer.sign(&name, message)).unwrap();
        (PublicKey::from_pem(&pem).unwrap(), der)
    }

    /// Takes the root keys out of the home: those of the home sign for the last time.
    fn take_offline(&self) -> Root {
        let before = self.device().root().clone();
        let mut next = before.next(before.expires + Duration::from_hours(24 * 365));
        let keys = [1, 2, 3].map(|number| offline(number).public_key().unwrap());
        let change = KeyChange {
            add: keys.to_vec(),
            drop: before.roles.root.keys().keys().cloned().collect(),
            threshold: None,
        };
        next.roles.root = next.roles.root.changed(Role::Root, &change).unwrap();
        let mut draft = RootDraft::new(next).unwrap();
        let message = draft.message().to_vec();
        for number in [0, 2] {
            let (key, der) = self.home_signs(number, &message);
            draft.add(&key.key_id(), der, Some(&before)).unwrap();
        }
        for number in [1, 3] {
            let (key, der) = (offline(number), offline(number).sign(&message).unwrap());
            let id = key.public_key().unwrap().key_id();
            draft.add(&id, der, Some(&before)).unwrap();
        }
        self.bring(&draft);
        draft.root().clone()
    }

    fn bring(&self, draft: &RootDraft) {
        let key = format!("tuf/1/metadata/{}.root.json", draft.root().version);
        let text = draft.to_text().unwrap().into_bytes();
        block_on(self.home.blobs.put(&key, text)).unwrap();
    }
}

mod rotation;

#[test]
fn a_home_renews_its_root_as_long_as_its_own_keys_are_named() {
    let world = world();
    assert_eq!(world.publish_after(0), 1);
    assert_eq!(world.publish_after(180), 1);
    assert_eq!(world.publish_after(10), 2);
    assert_eq!(world.device().root().version, 2);
}

#[test]
fn a_root_of_offline_keys_is_taken_and_none_is_signed_over_it() {
    let world = world();
    world.publish_after(0);
    let taken = world.take_offline();
    assert_eq!(world.device().root(), &taken);
    assert_eq!(world.publish_after(0), 2, "as soon as it is there");
    assert_eq!(world.publish_after(190), 2);
    let day = || world.publish_after(1);
    assert_eq!(world.publish_after(400), 2, "the second is due");
    assert_eq!((day(), day()), (2, 2));
    assert_eq!(world.root(3), None, "the home has no say in it");

    let mut next =
        RootDraft::new(taken.next(taken.expires + Duration::from_hours(24 * 365))).unwrap();
    let message = next.message().to_vec();
    for number in [2, 3] {
        let id = offline(number).public_key().unwrap().key_id();
        let der = offline(number).sign(&message).unwrap();
        next.add(&id, der, Some(&taken)).unwrap();
    }
    world.bring(&next);
    assert_eq!(day(), 3);
    assert_eq!(world.device().root(), next.root());
}

#[test]
fn a_root_that_nobody_can_renew_publishes_nothing_by_itself() {
    let world = world();
    world.publish_after(0);
    world.take_offline();
    world.publish_after(190);
    world.publish_after(400);
    let done = block_on(world.sign.publish(PROJECT)).unwrap();
    assert_eq!(
        done,
        Done::nothing("what is served is what the records say")
    );
}

#[test]
fn what_a_former_key_signed_is_signed_anew_at_once() {
    let world = world();
    world.publish_after(0);
    let before = block_on(records::need::<Head>(&world.home.store, PROJECT, "head"));
    // Other keys under the same names.
    let other = MemoryHome {
        signer: MemorySigner::new(2),
        ..world.home.clone()
    };
    let sign = Sign::new(other.ports());
    let done = block_on(sign.publish(PROJECT)).unwrap();
    assert_ne!(
        done,
        Done::nothing("what is served is what the records say")
    );
    let after = block_on(records::need::<Head>(&world.home.store, PROJECT, "head"));
    let (before, after) = (before.unwrap().value, after.unwrap().value);
    assert!(after.targets > before.targets && after.snapshot > before.snapshot);
    assert!(after.timestamp > before.timestamp);
    let done = block_on(sign.publish(PROJECT)).unwrap();
    assert_eq!(
        done,
        Done::nothing("what is served is what the records say")
    );
}

#[test]
fn a_tick_that_meets_a_publication_lets_it_pass() {
    let world = world();
    let stage = || {
        let faults = Faults::interleaved();
        let mut ports = world.home.ports();
        ports.store = Arc::new(Crashing::new(ports.store, &faults));
        ports.blobs = Arc::new(Crashing::new(ports.blobs, &faults));
        // Signing takes longer than all before it: the number is taken early, and may be overtaken for long.
        for _ in 0..20 {
            ports.signer = Arc::new(Crashing::new(ports.signer, &faults));
        }
        Sign::new(ports)
    };
    world.publish_after(0);
    world.home.clock.advance(Duration::from_hours(24 * 100));
    let message = Message::Publish {
        channel: "stable".to_owned(),
    };
    let wake = Wake::Message(Arc::new(Envelope::new("test", PROJECT, message)));
    let (ticking, publishing) = (stage(), stage());
    let both = futures::future::join(settle(&ticking, &Wake::Tick), settle(&publishing, &wake));
    let (ticked, published) = block_on(both);
    assert_eq!(ticked.unwrap(), Done::nothing("nothing expires soon"));
    assert_eq!(published.unwrap(), Done::did("published stable 1"));
}
