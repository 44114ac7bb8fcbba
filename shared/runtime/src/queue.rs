//! A batch of messages: each handled by itself, what failed reported by itself.

use crate::event::{BatchAnswer, ItemFailure, Record};
use crate::function::Handler;
use crate::metrics::Counts;
use futures::stream::{self, StreamExt};
use kintsugi_domain::Timestamp;
use kintsugi_domain::envelope::{ENVELOPE_FORMAT, Envelope};
use kintsugi_domain::ports::{Clock, PortError};
use kintsugi_domain::trace::in_trace;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tracing::field::{Empty, display};
use tracing::{Instrument, Span};

/// Most messages of one batch in work at once. More would only wait for each other's locks.
const IN_WORK_MAX: usize = 8;

/// Kept back from the invocation's time to relay the outbox and to answer, milliseconds.
const RESERVE_MS: u64 = 2_000;

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
        let left_ms = self.at.as_millisecond() - self.clock.now().as_millisecond();
        let left_ms = u64::try_from(left_ms).unwrap_or(0);
        Duration::from_millis(left_ms.saturating_sub(RESERVE_MS))
    }
}

/// Handles a batch, at most [`IN_WORK_MAX`] messages at once, or all of them together where the handler is joint; what
/// failed, and how many ended how.
pub(crate) async fn handle(
    handler: &Arc<dyn Handler>,
    stage: &'static str,
    records: Vec<Record>,
    deadline: &Deadline,
) -> (BatchAnswer, Counts) {
    let mut ended = Ended::default();
    let mut items = Vec::with_capacity(records.len());
    for record in records {
        match Item::read(stage, record) {
            Ok(item) => items.push(item),
            Err((id, span, failure)) => ended.note(id, &span, Err(failure)),
        }
    }
    let groups: Vec<Vec<Item>> = if handler.is_joint() {
        vec![items]
    } else {
        items.into_iter().map(|item| vec![item]).collect()
    };
    let mut groups = stream::iter(groups)
        .map(|group| one_group(handler, group, deadline))
        .buffer_unordered(IN_WORK_MAX);
    while let Some(group) = groups.next().await {
        for (item, end) in group {
            ended.note(item.id, &item.span, end);
        }
    }
    ended.answer.batch_item_failures.sort();
    (ended.answer, ended.counts)
}

/// How the messages of a batch ended.
#[derive(Default)]
struct Ended {
    answer: BatchAnswer,
    counts: Counts,
}

impl Ended {
    fn note(&mut self, item_identifier: String, span: &Span, end: Result<(), Failure>) {
        let Err(Failure { kind, reason }) = end else {
            self.counts.handled += 1;
            return;
        };
        span.in_scope(|| match kind {
            Kind::Later => {
                self.counts.retried += 1;
                tracing::warn!(%reason, "the message goes back to its queue");
            }
            Kind::Never => {
                self.counts.failed += 1;
                tracing::error!(%reason, "the message cannot be handled and will be set aside");
            }
        });
        let failed = ItemFailure { item_identifier };
        self.answer.batch_item_failures.push(failed);
    }
}

/// Why a message was not handled. Both kinds go back: SQS counts the deliveries and sets aside.
#[derive(Clone)]
struct Failure {
    kind: Kind,
    reason: String,
}

#[derive(Clone, Copy)]
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

/// A message of the batch.
struct Item {
    /// Names it in the answer.
    id: String,
    /// What is logged about it is logged in here.
    span: Span,
    envelope: Envelope,
}

impl Item {
    fn read(stage: &'static str, record: Record) -> Result<Self, (String, Span, Failure)> {
        let span = tracing::info_span!(
            "command",
            stage,
            command.id = %record.message_id,
            attempt = record.attempt(),
            trace_id = Empty,
        );
        let id = record.message_id;
        match envelope(&record.body) {
            Ok(envelope) => {
                if let Some(trace) = envelope.trace {
                    span.record("trace_id", display(trace));
                }
                Ok(Self { id, span, envelope })
            }
            Err(reason) => Err((id, span, Failure::never(&reason))),
        }
    }
}

fn envelope(body: &str) -> Result<Envelope, String> {
    let envelope: Envelope =
        serde_json::from_str(body).map_err(|error| format!("not an envelope: {error}"))?;
    if envelope.format == ENVELOPE_FORMAT {
        return Ok(envelope);
    }
    let format = envelope.format;
    Err(format!(
        "an envelope of format {format}, and this function reads {ENVELOPE_FORMAT}"
    ))
}

/// Handles messages together. When that breaks the handler, each is tried by itself, so that only one of them is to blame.
async fn one_group(
    handler: &Arc<dyn Handler>,
    group: Vec<Item>,
    deadline: &Deadline,
) -> Vec<(Item, Result<(), Failure>)> {
    let ends = match attempt(handler, &group, deadline).await {
        Ok(ends) => ends,
        Err(failure) if group.len() == 1 => vec![Err(failure)],
        Err(_) => {
            let mut ends = Vec::with_capacity(group.len());
            for item in &group {
                let end = attempt(handler, std::slice::from_ref(item), deadline).await;
                let end = end.map(|ends| ends.into_iter().next());
                ends.push(end.and_then(|end| end.unwrap_or(Ok(()))));
            }
            ends
        }
    };
    group.into_iter().zip(ends).collect()
}

/// One try; fails where the handler broke.
async fn attempt(
    handler: &Arc<dyn Handler>,
    items: &[Item],
    deadline: &Deadline,
) -> Result<Vec<Result<(), Failure>>, Failure> {
    let all_later = |why: &str| Ok(items.iter().map(|_| Err(Failure::later(&why))).collect());
    let left = deadline.left();
    if left.is_zero() {
        return all_later("no time is left in this invocation");
    }
    let envelopes = items.iter().map(|item| item.envelope.clone()).collect();
    // Messages that are handled together share no trace and no span: the handler knows whose is whose.
    let (trace, span) = match items {
        [item] => (item.envelope.trace, item.span.clone()),
        _ => (None, Span::none()),
    };
    let handler = Arc::clone(handler);
    // A task of its own: a panic ends these messages and no others.
    let work = in_trace(trace, async move { handler.messages(envelopes).await });
    let mut task = tokio::spawn(work.instrument(span));
    match tokio::time::timeout(left, &mut task).await {
        Ok(Ok(ends)) => Ok(ends
            .into_iter()
            .map(|end| end.map_err(|error| Failure::of(&error)))
            .collect()),
        Ok(Err(panic)) => Err(Failure::never(&format_args!("the stage broke: {panic}"))),
        Err(_) => {
            // Commits are whole or absent, so work can be cut at any point.
            task.abort();
            all_later("the invocation's time ran out")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use kintsugi_domain::envelope::Message;
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

    fn record(id: &str, body: &str) -> Record {
        serde_json::from_value(serde_json::json!({"messageId": id, "body": body})).unwrap()
    }

    fn publish(id: &str, channel: &str) -> Record {
        let channel = channel.into();
        let envelope = Envelope::new(id, ProjectId(1), Message::Publish { channel });
        record(id, &serde_json::to_string(&envelope).unwrap())
    }

    /// Handles the records `left_ms` before the end of the invocation.
    fn run(records: Vec<Record>, left_ms: u64) -> (Vec<String>, Vec<String>, Counts) {
        run_by(Scripted::default(), records, left_ms)
    }

    fn run_by(
        scripted: Scripted,
        records: Vec<Record>,
        left_ms: u64,
    ) -> (Vec<String>, Vec<String>, Counts) {
        let scripted = Arc::new(scripted);
        let handler: Arc<dyn Handler> = scripted.clone();
        let deadline = Deadline::new(Arc::new(At(1_000)), 1_000_000 + left_ms);
        let (answer, counts) = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
            .block_on(handle(&handler, "test", records, &deadline));
        let failed = answer
            .batch_item_failures
            .into_iter()
            .map(|failure| failure.item_identifier)
            .collect();
        let mut seen = scripted.seen.lock().unwrap().clone();
        seen.sort();
        (failed, seen, counts)
    }

    #[test]
    fn every_good_message_is_handled_whatever_the_others_do() {
        let mut old = Envelope::new(
            "c",
            ProjectId(1),
            Message::Publish {
                channel: "x".into(),
            },
        );
        old.format = 9;
        let records = vec![
            publish("good-1", "stable"),
            record("garbage", "{"),
            record("format", &serde_json::to_string(&old).unwrap()),
            publish("panic", "panics"),
            publish("busy", "busy"),
            publish("good-2", "beta"),
        ];
        let (failed, seen, counts) = run(records, 30_000);
        let wanted = Counts {
            handled: 2,
            retried: 1,
            failed: 3,
        };
        assert_eq!(counts, wanted);
        assert_eq!(failed, ["busy", "format", "garbage", "panic"]);
        assert_eq!(seen, ["beta", "busy", "panics", "stable"]);
    }

    #[test]
    fn a_batch_that_is_handled_together_and_breaks_is_handled_one_by_one() {
        let joint = || Scripted {
            is_joint: true,
            ..Scripted::default()
        };
        let good = || vec![publish("good-1", "stable"), publish("good-2", "beta")];
        let (failed, seen, _) = run_by(joint(), good(), 30_000);
        assert_eq!(
            (failed.len(), seen),
            (0, vec!["beta".into(), "stable".into()])
        );
        let mut records = good();
        records.insert(1, publish("panic", "panics"));
        records.insert(2, record("garbage", "{"));
        records.push(publish("busy", "busy"));
        let (failed, seen, counts) = run_by(joint(), records, 30_000);
        let wanted = Counts {
            handled: 2,
            retried: 1,
            failed: 2,
        };
        assert_eq!(counts, wanted);
        assert_eq!(failed, ["busy", "garbage", "panic"]);
        // Together up to the one that broke it, then each by itself.
        assert_eq!(
            seen,
            ["beta", "busy", "panics", "panics", "stable", "stable"]
        );
        assert_eq!(run_by(joint(), vec![], 30_000).0.len(), 0);
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
                record("m", &serde_json::to_string(&envelope).unwrap())
            })
            .collect();
        let traces = Arc::new(Traces(Mutex::default()));
        let handler: Arc<dyn Handler> = traces.clone();
        let deadline = Deadline::new(Arc::new(At(0)), 1_000_000);
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
            .block_on(handle(&handler, "test", records, &deadline));
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
        let (failed, seen, _) = run(batch, RESERVE_MS + 1_000);
        assert_eq!(failed, ["slow"]);
        assert_eq!(seen, ["hangs", "stable"]);
    }

    #[test]
    fn near_the_deadline_nothing_is_begun_and_everything_goes_back() {
        let (failed, seen, _) = run(
            vec![publish("a", "stable"), publish("b", "beta")],
            RESERVE_MS,
        );
        assert_eq!(failed, ["a", "b"]);
        assert!(seen.is_empty());
    }

    #[test]
    fn more_messages_than_may_be_in_work_at_once_are_all_handled() {
        let records = (0..50)
            .map(|n| publish(&format!("m{n}"), "stable"))
            .collect();
        let (failed, seen, _) = run(records, 30_000);
        assert!(failed.is_empty());
        assert_eq!(seen.len(), 50);
    }
}
