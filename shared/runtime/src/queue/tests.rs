use super::*;
use async_trait::async_trait;
use kintsugi_domain::envelope::{Message, Queue};
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::ports::PortError;
use kintsugi_domain::trace::TraceId;
use std::sync::Mutex;

struct At(i64);

impl Clock for At {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0).unwrap()
    }
}

/// Handles what the channel's name asks for, and remembers what came.
#[derive(Default)]
struct Scripted {
    seen: Mutex<Vec<String>>,
    is_joint: bool,
}

#[async_trait]
impl Handler for Scripted {
    async fn messages(&self, envelopes: Vec<Envelope>) -> Vec<Result<(), PortError>> {
        let mut ended = Vec::new();
        for envelope in envelopes {
            let Message::Publish { channel } = envelope.message else {
                ended.push(Err(PortError::broken("a message", "not for this stage")));
                continue;
            };
            self.seen.lock().unwrap().push(channel.clone());
            ended.push(match channel.as_str() {
                "panics" => panic!("a defect"),
                "hangs" => std::future::pending().await,
                "wrong" => Err(PortError::broken("a message", "it cannot be right")),
                "busy" => Err(PortError::unavailable("the store", "locked")),
                _ => Ok(()),
            });
        }
        ended
    }

    fn is_joint(&self) -> bool {
        self.is_joint
    }
}

/// Remembers what was set aside: the letter's id, the project of its message, the cause.
#[derive(Default)]
struct Lots {
    parked: Mutex<Vec<(Letter, Option<ProjectId>, String)>>,
    is_broken: bool,
}

#[async_trait]
impl Park for Lots {
    async fn park(
        &self,
        letter: &Letter,
        envelope: Option<&Envelope>,
        cause: &str,
    ) -> Result<(), PortError> {
        if self.is_broken {
            return Err(PortError::unavailable("the table", "throttled"));
        }
        let project = envelope.map(|envelope| envelope.project);
        let lot = (letter.clone(), project, cause.to_owned());
        self.parked.lock().unwrap().push(lot);
        Ok(())
    }
}

fn record(id: &str, body: &str, attempt: u32) -> Record {
    serde_json::from_value(serde_json::json!({
        "messageId": id,
        "body": body,
        "attributes": {"ApproximateReceiveCount": attempt.to_string(), "SentTimestamp": "7000"},
        "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:kintsugi-prod-signing",
    }))
    .unwrap()
}

fn written(channel: &str) -> Envelope {
    let channel = channel.into();
    Envelope::new("c", ProjectId(1), Message::Publish { channel })
}

fn publish_again(id: &str, channel: &str, attempt: u32) -> Record {
    let body = serde_json::to_string(&written(channel)).unwrap();
    record(id, &body, attempt)
}

fn publish(id: &str, channel: &str) -> Record {
    publish_again(id, channel, 1)
}

struct Ran {
    /// Ids of what goes back.
    back: Vec<String>,
    /// Channels that the stage saw.
    seen: Vec<String>,
    /// What was set aside, in the order of ids.
    parked: Vec<(Letter, Option<ProjectId>, String)>,
    counts: Counts,
}

/// Handles the records `left_ms` before the end of the invocation.
fn run_by(scripted: Scripted, lots: Lots, records: Vec<Record>, left_ms: u64) -> Ran {
    let (scripted, lots) = (Arc::new(scripted), Arc::new(lots));
    let batch = Batch {
        stage: "test",
        handler: scripted.clone(),
        aside: lots.clone(),
        deadline: Deadline::new(Arc::new(At(1_000)), 1_000_000 + left_ms),
    };
    let (answer, counts) = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(batch.handle(records));
    let back = answer
        .batch_item_failures
        .into_iter()
        .map(|failure| failure.item_identifier)
        .collect();
    let mut seen = scripted.seen.lock().unwrap().clone();
    seen.sort();
    let mut parked = lots.parked.lock().unwrap().clone();
    parked.sort_by(|(one, ..), (other, ..)| one.id.cmp(&other.id));
    Ran {
        back,
        seen,
        parked,
        counts,
    }
}

fn run(records: Vec<Record>, left_ms: u64) -> Ran {
    run_by(Scripted::default(), Lots::default(), records, left_ms)
}

#[test]
fn every_good_message_is_handled_whatever_the_others_do() {
    let mut newer = written("x");
    newer.format = 9;
    let records = vec![
        publish("good-1", "stable"),
        record("garbage", "{", 1),
        record("format", &serde_json::to_string(&newer).unwrap(), 1),
        record("newer", "{\"format\": 2, \"what\": 1}", 1),
        publish("panic", "panics"),
        publish("busy", "busy"),
        publish("wrong", "wrong"),
        publish("good-2", "beta"),
    ];
    let ran = run(records, 30_000);
    let wanted = Counts {
        handled: 2,
        retried: 4,
        parked: 2,
        failed: 0,
    };
    assert_eq!(ran.counts, wanted);
    assert_eq!(ran.back, ["busy", "format", "newer", "panic"]);
    assert_eq!(ran.seen, ["beta", "busy", "panics", "stable", "wrong"]);
    let [
        (garbage, None, not_read),
        (wrong, Some(ProjectId(1)), cause),
    ] = ran.parked.as_slice()
    else {
        panic!("{:?}", ran.parked);
    };
    assert_eq!(
        *garbage,
        Letter {
            queue: Queue::Signing,
            id: "garbage".into(),
            sent_at: Timestamp::from_second(7).unwrap(),
            body: "{".into(),
        }
    );
    assert!(not_read.starts_with("not an envelope"), "{not_read}");
    assert_eq!(wrong.id, "wrong");
    assert_eq!(cause, "a message: it cannot be right");
}

#[test]
fn on_its_last_delivery_a_message_is_parked_with_the_cause_of_that_one() {
    let mut newer = written("x");
    newer.format = 9;
    let last = DELIVERIES_MAX;
    let records = vec![
        publish_again("busy", "busy", last),
        publish_again("busy-before", "busy", last - 1),
        publish_again("good", "stable", last),
        publish_again("panic", "panics", last + 1),
        record("format", &serde_json::to_string(&newer).unwrap(), last),
        publish_again("slow", "hangs", last),
    ];
    let ran = run(records, RESERVE_MS + 1_000);
    assert_eq!(ran.back, ["busy-before"]);
    let causes = ran
        .parked
        .iter()
        .map(|(letter, _, cause)| (&*letter.id, &**cause));
    let causes: Vec<(&str, &str)> = causes.collect();
    let [busy, format, panicked, slow] = causes.as_slice() else {
        panic!("{causes:?}");
    };
    assert_eq!(*busy, ("busy", "the store: locked"));
    assert_eq!(
        *format,
        (
            "format",
            "an envelope of format 9, and this function reads 1"
        )
    );
    assert!(panicked.1.contains("a defect"), "{panicked:?}");
    assert_eq!(*slow, ("slow", "the invocation's time ran out"));
}

#[test]
fn what_cannot_be_set_aside_goes_back_to_its_queue() {
    let lots = Lots {
        is_broken: true,
        ..Lots::default()
    };
    let records = vec![
        publish("wrong", "wrong"),
        record("garbage", "{", DELIVERIES_MAX),
        publish("good", "stable"),
    ];
    let ran = run_by(Scripted::default(), lots, records, 30_000);
    assert_eq!(ran.back, ["garbage", "wrong"]);
    assert_eq!((ran.counts.handled, ran.counts.failed), (1, 2));
}

#[test]
fn a_batch_that_is_handled_together_and_breaks_is_handled_one_by_one() {
    let joint = || Scripted {
        is_joint: true,
        ..Scripted::default()
    };
    let good = || vec![publish("good-1", "stable"), publish("good-2", "beta")];
    let run = |records| run_by(joint(), Lots::default(), records, 30_000);
    let ran = run(good());
    assert!(ran.back.is_empty());
    assert_eq!(ran.seen, ["beta", "stable"]);
    let mut records = good();
    records.insert(1, publish("panic", "panics"));
    records.insert(2, record("garbage", "{", 1));
    records.push(publish("busy", "busy"));
    let ran = run(records);
    let wanted = Counts {
        handled: 2,
        retried: 2,
        parked: 1,
        failed: 0,
    };
    assert_eq!(ran.counts, wanted);
    assert_eq!(ran.back, ["busy", "panic"]);
    // Together up to the one that broke it, then each by itself.
    assert_eq!(
        ran.seen,
        ["beta", "busy", "panics", "panics", "stable", "stable"]
    );
    assert!(run(vec![]).back.is_empty());
}

#[test]
fn each_message_is_handled_in_its_own_trace() {
    struct Traces(Mutex<Vec<(String, Option<TraceId>)>>);

    #[async_trait]
    impl Handler for Traces {
        async fn messages(&self, envelopes: Vec<Envelope>) -> Vec<Result<(), PortError>> {
            // Lets the others have their turn before it looks.
            tokio::task::yield_now().await;
            let mut seen = self.0.lock().unwrap();
            let causes = envelopes.into_iter().map(|envelope| envelope.cause);
            seen.extend(causes.map(|cause| (cause, TraceId::current())));
            vec![Ok(())]
        }
    }

    let trace = |digit: u8| format!("{digit:032x}").parse::<TraceId>().ok();
    let records = (0..20)
        .map(|n| {
            let channel = "stable".into();
            let message = Message::Publish { channel };
            let mut envelope = Envelope::new(n.to_string(), ProjectId(1), message);
            envelope.trace = trace(n);
            record("m", &serde_json::to_string(&envelope).unwrap(), 1)
        })
        .collect();
    let traces = Arc::new(Traces(Mutex::default()));
    let batch = Batch {
        stage: "test",
        handler: traces.clone(),
        aside: Arc::new(Lots::default()),
        deadline: Deadline::new(Arc::new(At(0)), 1_000_000),
    };
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(batch.handle(records));
    let seen = traces.0.lock().unwrap();
    assert_eq!(seen.len(), 20);
    for (cause, current) in seen.iter() {
        // The first is a message from before there were traces.
        assert_eq!(*current, trace(cause.parse().unwrap()), "{cause}");
    }
}

#[test]
fn a_message_that_outlasts_the_invocation_goes_back_and_the_rest_is_done() {
    let batch = vec![publish("slow", "hangs"), publish("good", "stable")];
    let ran = run(batch, RESERVE_MS + 1_000);
    assert_eq!(ran.back, ["slow"]);
    assert_eq!(ran.seen, ["hangs", "stable"]);
}

#[test]
fn near_the_deadline_nothing_is_begun_and_everything_goes_back() {
    let batch = vec![publish("a", "stable"), publish("b", "beta")];
    let ran = run(batch, RESERVE_MS);
    assert_eq!(ran.back, ["a", "b"]);
    assert!(ran.seen.is_empty());
}

#[test]
fn more_messages_than_may_be_in_work_at_once_are_all_handled() {
    let records = (0..50)
        .map(|n| publish(&format!("m{n}"), "stable"))
        .collect();
    let ran = run(records, 30_000);
    assert!(ran.back.is_empty());
    assert_eq!(ran.seen.len(), 50);
}
