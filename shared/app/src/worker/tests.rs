//! What becomes of messages that cannot be handled.

use super::*;
use crate::testing::{PROJECT, all};
use async_trait::async_trait;
use futures::executor::block_on;
use kintsugi_domain::alert::Alert;
use kintsugi_domain::config::AlertChannel;
use kintsugi_domain::envelope::Message;
use kintsugi_domain::job::{Job, Report};
use kintsugi_domain::limits::DELIVERIES_MAX;
use kintsugi_domain::ports::{Commit, Notifier};
use kintsugi_testkit::memory::MemoryHome;
use kintsugi_testkit::product;

const ALERTS: &str = "[[alerts]]\nkind = \"webhook\"\nurl = \"http://127.0.0.1:1/\"\n";

/// An engine that is never asked.
struct NoEngine;

#[async_trait]
impl BuildEngine for NoEngine {
    async fn run(&self, job: &Job) -> Result<Report, PortError> {
        Err(PortError::broken(&job.id, "no job is ordered here"))
    }
}

/// People who cannot be told, for good or for now.
struct Deaf {
    is_transient: bool,
}

#[async_trait]
impl Notifier for Deaf {
    async fn notify(&self, channel: &AlertChannel, _: &Alert) -> Result<(), PortError> {
        let name = channel.name();
        Err(if self.is_transient {
            PortError::unavailable(name, "no answer")
        } else {
            PortError::broken(name, "it answers 404")
        })
    }
}

struct World {
    home: MemoryHome,
    worker: Worker,
}

fn world(notifier: Option<Deaf>) -> World {
    let home = MemoryHome::new(1);
    let mut ports = home.ports();
    if let Some(notifier) = notifier {
        ports.notifier = Arc::new(notifier);
    }
    let project = product::project(PROJECT, product::config(ALERTS));
    block_on(ports.store.commit(Commit::new().create(&project))).unwrap();
    let worker = Worker::new(&ports, Arc::new(NoEngine));
    World { home, worker }
}

impl World {
    /// Works until nothing waits, at most for a day of the clock; answers with how many messages it handled.
    fn settle(&self) -> usize {
        let mut handled = 0;
        for _ in 0..24 * 60 {
            for queue in Queue::ALL {
                handled += block_on(self.worker.drain(queue, 10)).unwrap();
            }
            self.home.clock.advance(Duration::from_mins(1));
        }
        handled
    }

    fn send(&self, message: Message) {
        let envelope = Envelope::new("test", PROJECT, message);
        block_on(self.worker.ports.queues.send(&[envelope])).unwrap();
    }

    fn parked(&self, queue: Queue) -> usize {
        block_on(self.worker.ports.queues.parked(queue))
            .unwrap()
            .len()
    }

    fn alerts(&self) -> Vec<Alert> {
        all(&self.home.store)
    }
}

#[test]
fn what_can_never_be_handled_is_parked_at_once_and_people_are_told() {
    let world = world(None);
    let blob = "events/1/gone.json.zst".to_owned();
    world.send(Message::ReportedBatch { blob });
    world.settle();
    assert_eq!(world.parked(Queue::Events), 1);
    let told = world.home.notifier.delivered();
    let [(_, alert)] = told.as_slice() else {
        panic!("{told:?}");
    };
    assert_eq!(alert.code, "message.parked");
    assert!(
        alert.text.contains("events/1/gone.json.zst"),
        "{}",
        alert.text
    );
}

#[test]
fn an_alert_that_nobody_takes_raises_no_other() {
    for is_transient in [false, true] {
        let world = world(Some(Deaf { is_transient }));
        let blob = "events/1/gone.json.zst".to_owned();
        world.send(Message::ReportedBatch { blob });
        let handled = world.settle();
        assert_eq!(world.parked(Queue::Alerts), 1);
        assert_eq!(world.alerts().len(), 1);
        let tries = if is_transient { DELIVERIES_MAX } else { 1 };
        assert_eq!(handled, 1 + tries as usize);
    }
}

#[test]
fn a_parked_message_goes_on_after_a_redrive() {
    let world = world(None);
    let blob = "events/1/late.json.zst".to_owned();
    world.send(Message::ReportedBatch { blob: blob.clone() });
    world.settle();
    let ports = &world.worker.ports;
    let empty = zstd::bulk::compress(b"[]", 0).unwrap();
    block_on(ports.blobs.put(&blob, empty)).unwrap();
    block_on(ports.queues.redrive(Queue::Events)).unwrap();
    world.settle();
    assert_eq!(world.parked(Queue::Events), 0);
}
