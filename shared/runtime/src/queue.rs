//! A batch of messages: each handled by itself, or all together where the stage does better so; what failed goes back by
//! itself, and what cannot be handled is set aside with its cause by the function itself.
//!
//! A failure that may pass sends the message back to SQS, which delivers it [`DELIVERIES_MAX`] times. On the last of these,
//! or at once where trying again cannot help, the message is parked and people are told, as a local home does
//! (`kintsugi_app::deliveries`); to SQS it is then done. **SQS's dead-letter queue gets only what no function lived to
//! answer for.**

use crate::event::{BatchAnswer, ItemFailure, Record};
use crate::function::{Handler, Park};
use crate::metrics::Counts;
use futures::stream::{self, StreamExt};
use kintsugi_domain::Timestamp;
use kintsugi_domain::envelope::{ENVELOPE_FORMAT, Envelope};
use kintsugi_domain::limits::DELIVERIES_MAX;
use kintsugi_domain::ports::{Clock, Letter, PortError};
use kintsugi_domain::trace::in_trace;
use serde::Deserialize;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tracing::field::{Empty, display};
use tracing::{Instrument, Span};

/// Most messages of one batch in work at once. More would only wait for each other's locks.
const IN_WORK_MAX: usize = 8;

/// Kept back from the invocation's time to set messages aside, relay the outbox and answer, milliseconds.
const RESERVE_MS: u64 = 3_000;
/// The part of it for what comes after the setting aside, milliseconds.
const ANSWER_MS: u64 = 1_500;

/// When the invocation ends, and the clock that says how near that is.
#[derive(Clone)]
pub(crate) struct Deadline {
    clock: Arc<dyn Clock>,
    at: Timestamp,
}

impl Deadline {
    /// The deadline that Lambda names: milliseconds since 1970.
    pub(crate) fn new(clock: Arc<dyn Clock>, epoch_ms: u64) -> Self {
        let at = i64::try_from(epoch_ms)
            .ok()
            .and_then(|ms| Timestamp::from_millisecond(ms).ok())
            .unwrap_or(Timestamp::MAX);
        Self { clock, at }
    }

    /// What is left for work; zero when no more should be begun.
    pub(crate) fn left(&self) -> Duration {
        self.left_before(RESERVE_MS)
    }

    fn left_before(&self, reserve_ms: u64) -> Duration {
        let left_ms = self.at.as_millisecond() - self.clock.now().as_millisecond();
        let left_ms = u64::try_from(left_ms).unwrap_or(0);
        Duration::from_millis(left_ms.saturating_sub(reserve_ms))
    }
}

/// What a batch is handled with.
pub(crate) struct Batch {
    pub(crate) stage: &'static str,
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) aside: Arc<dyn Park>,
    pub(crate) deadline: Deadline,
}

/// How one message ended.
enum Ended {
    Handled,
    Parked,
    /// It goes back, to be delivered again.
    Retried(ItemFailure),
    /// It cannot be handled and could not be set aside: it goes back, and in the end SQS sets it aside.
    Failed(ItemFailure),
}

impl Batch {
    /// Handles a batch, at most [`IN_WORK_MAX`] messages at once, or all of them together where the handler is joint; what
    /// goes back, and how many ended how.
    pub(crate) async fn handle(&self, records: Vec<Record>) -> (BatchAnswer, Counts) {
        let (mut items, mut unread) = (Vec::with_capacity(records.len()), Vec::new());
        for record in records {
            let read = read(&record.body);
            let delivery = Delivery::new(self.stage, record, read.as_ref().ok());
            match read {
                Ok(envelope) => items.push(Item { delivery, envelope }),
                Err(failure) => unread.push((delivery, None, Err(failure))),
            }
        }
        let groups: Vec<Vec<Item>> = if self.handler.is_joint() {
            vec![items]
        } else {
            items.into_iter().map(|item| vec![item]).collect()
        };
        let mut ended = stream::iter(groups)
            .map(|group| self.group(group))
            .buffer_unordered(IN_WORK_MAX)
            .flat_map(stream::iter)
            .chain(stream::iter(unread))
            .map(|(delivery, envelope, end)| self.end(delivery, envelope, end))
            .buffer_unordered(IN_WORK_MAX);
        let mut counts = Counts::default();
        let mut answer = BatchAnswer::default();
        while let Some(one) = ended.next().await {
            let (count, back) = match one {
                Ended::Handled => (&mut counts.handled, None),
                Ended::Parked => (&mut counts.parked, None),
                Ended::Retried(item) => (&mut counts.retried, Some(item)),
                Ended::Failed(item) => (&mut counts.failed, Some(item)),
            };
            *count += 1;
            answer.batch_item_failures.extend(back);
        }
        answer.batch_item_failures.sort();
        (answer, counts)
    }

    /// Handles messages together. When that breaks the handler, each is tried by itself, so that only one of them is to
    /// blame.
    async fn group(&self, group: Vec<Item>) -> Vec<Worked> {
        let ends = match self.attempt(&group).await {
            Ok(ends) => ends,
            Err(failure) if group.len() == 1 => vec![Err(failure)],
            Err(_) => {
                let mut ends = Vec::with_capacity(group.len());
                for item in &group {
                    let end = self.attempt(std::slice::from_ref(item)).await;
                    let end = end.map(|ends| ends.into_iter().next());
                    ends.push(end.and_then(|end| end.unwrap_or(Ok(()))));
                }
                ends
            }
        };
        let ended = group.into_iter().zip(ends);
        ended
            .map(|(item, end)| (item.delivery, Some(item.envelope), end))
            .collect()
    }

    /// One try; fails where the handler broke.
    async fn attempt(&self, items: &[Item]) -> Result<Vec<Result<(), Failure>>, Failure> {
        let all_later = |why: &str| Ok(items.iter().map(|_| Err(Failure::later(&why))).collect());
        let left = self.deadline.left();
        if left.is_zero() {
            return all_later("no time is left in this invocation");
        }
        let envelopes = items.iter().map(|item| item.envelope.clone()).collect();
        // Messages that are handled together share no trace and no span: the handler knows whose is whose.
        let (trace, span) = match items {
            [item] => (item.envelope.trace, item.delivery.span.clone()),
            _ => (None, Span::none()),
        };
        let handler = Arc::clone(&self.handler);
        // A task of its own: a panic ends these messages and no others.
        let work = in_trace(trace, async move { handler.messages(envelopes).await });
        let mut task = tokio::spawn(work.instrument(span));
        match tokio::time::timeout(left, &mut task).await {
            Ok(Ok(ends)) => Ok(ends
                .into_iter()
                .map(|end| end.map_err(|error| Failure::of(&error)))
                .collect()),
            // A defect may depend on what else there is, and may be mended before the last delivery.
            Ok(Err(panic)) => Err(Failure::later(&format_args!("the stage broke: {panic}"))),
            Err(_) => {
                // Commits are whole or absent, so work can be cut at any point.
                task.abort();
                all_later("the invocation's time ran out")
            }
        }
    }

    /// Decides what becomes of a message, and sets it aside where that is it.
    async fn end(
        &self,
        delivery: Delivery,
        envelope: Option<Envelope>,
        end: Result<(), Failure>,
    ) -> Ended {
        let Err(Failure { kind, reason }) = end else {
            return Ended::Handled;
        };
        let Delivery { record, span } = delivery;
        let back = ItemFailure {
            item_identifier: record.message_id.clone(),
        };
        if matches!(kind, Kind::Later) && record.attempt() < DELIVERIES_MAX {
            span.in_scope(|| tracing::warn!(%reason, "the message goes back to its queue"));
            return Ended::Retried(back);
        }
        let parked = self.park(record, envelope.as_ref(), &reason);
        match parked.instrument(span.clone()).await {
            Ok(()) => {
                span.in_scope(|| tracing::error!(%reason, "the message was parked"));
                Ended::Parked
            }
            Err(why) => {
                span.in_scope(|| {
                    tracing::error!(%reason, why, "the message cannot be handled, and was not parked");
                });
                Ended::Failed(back)
            }
        }
    }

    async fn park(
        &self,
        record: Record,
        envelope: Option<&Envelope>,
        cause: &str,
    ) -> Result<(), String> {
        let queue = record.queue().or_else(|| envelope.map(Envelope::queue));
        let letter = Letter {
            queue: queue.ok_or("it does not say by which queue it came")?,
            sent_at: record.sent_at(),
            id: record.message_id,
            body: record.body,
        };
        let left = self.deadline.left_before(ANSWER_MS);
        let trace = envelope.and_then(|envelope| envelope.trace);
        let parking = in_trace(trace, self.aside.park(&letter, envelope, cause));
        match tokio::time::timeout(left, parking).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("no time is left in this invocation".to_owned()),
        }
    }
}

/// A message of the batch, as SQS delivered it.
struct Delivery {
    record: Record,
    /// What is logged about it is logged in here.
    span: Span,
}

impl Delivery {
    fn new(stage: &'static str, record: Record, envelope: Option<&Envelope>) -> Self {
        let span = tracing::info_span!(
            "command",
            stage,
            command.id = %record.message_id,
            attempt = record.attempt(),
            trace_id = Empty,
        );
        if let Some(trace) = envelope.and_then(|envelope| envelope.trace) {
            span.record("trace_id", display(trace));
        }
        Self { record, span }
    }
}

/// A message that was read.
struct Item {
    delivery: Delivery,
    envelope: Envelope,
}

/// A message, what was read of it, and how its handling ended.
type Worked = (Delivery, Option<Envelope>, Result<(), Failure>);

/// Why a message was not handled.
struct Failure {
    kind: Kind,
    reason: String,
}

enum Kind {
    /// It may work the next time.
    Later,
    /// It will fail again.
    Never,
}

impl Failure {
    fn later(reason: &dyn fmt::Display) -> Self {
        let (kind, reason) = (Kind::Later, reason.to_string());
        Self { kind, reason }
    }

    fn never(reason: &dyn fmt::Display) -> Self {
        let (kind, reason) = (Kind::Never, reason.to_string());
        Self { kind, reason }
    }

    fn of(error: &PortError) -> Self {
        if error.is_transient() {
            Self::later(error)
        } else {
            Self::never(error)
        }
    }
}

/// Reads what came. What says that it is an envelope and cannot be read may be of a newer version of this function, which is
/// perhaps being deployed: it is tried again.
fn read(body: &str) -> Result<Envelope, Failure> {
    #[derive(Deserialize)]
    struct Written {
        format: u16,
    }

    match Envelope::read(body) {
        Ok(envelope) if envelope.format == ENVELOPE_FORMAT => Ok(envelope),
        Ok(Envelope { format, .. }) => Err(Failure::later(&format_args!(
            "an envelope of format {format}, and this function reads {ENVELOPE_FORMAT}"
        ))),
        Err(error) => match serde_json::from_str::<Written>(body) {
            Ok(Written { format }) => Err(Failure::later(&format_args!(
                "{error} (of format {format})"
            ))),
            Err(_) => Err(Failure::never(&error)),
        },
    }
}

#[cfg(test)]
mod tests {
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
}
