//! A batch of messages: each handled by itself, what failed reported by itself.

use crate::event::{BatchAnswer, ItemFailure, Record};
use crate::function::Handler;
use crate::metrics::Counts;
use futures::stream::{self, StreamExt};
use kintsugi_domain::Timestamp;
use kintsugi_domain::envelope::{ENVELOPE_FORMAT, Envelope};
use kintsugi_domain::ports::Clock;
use kintsugi_domain::trace::in_trace;
use std::sync::Arc;
use std::time::Duration;
use tracing::Instrument;
use tracing::field::{Empty, display};

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

/// Handles a batch, at most [`IN_WORK_MAX`] messages at once; what failed, and how many ended how.
pub(crate) async fn handle(
    handler: &Arc<dyn Handler>,
    stage: &'static str,
    records: Vec<Record>,
    deadline: &Deadline,
) -> (BatchAnswer, Counts) {
    let mut ended = stream::iter(records)
        .map(|record| one(Arc::clone(handler), stage, record, deadline.clone()))
        .buffer_unordered(IN_WORK_MAX);
    let mut counts = Counts::default();
    let mut answer = BatchAnswer::default();
    while let Some(one) = ended.next().await {
        let Err((item, kind)) = one else {
            counts.handled += 1;
            continue;
        };
        match kind {
            Kind::Later => counts.retried += 1,
            Kind::Never => counts.failed += 1,
        }
        answer.batch_item_failures.push(item);
    }
    answer.batch_item_failures.sort();
    (answer, counts)
}

async fn one(
    handler: Arc<dyn Handler>,
    stage: &'static str,
    record: Record,
    deadline: Deadline,
) -> Result<(), (ItemFailure, Kind)> {
    let attempt = record.attempt();
    let span = tracing::info_span!(
        "command",
        stage,
        command.id = %record.message_id,
        attempt,
        trace_id = Empty,
    );
    let Err(failure) = attempt_one(handler, &record.body, &deadline)
        .instrument(span.clone())
        .await
    else {
        return Ok(());
    };
    span.in_scope(|| match failure.kind {
        Kind::Later => {
            tracing::warn!(reason = %failure.reason, "the message goes back to its queue");
        }
        Kind::Never => tracing::error!(
            reason = %failure.reason,
            "the message cannot be handled and will be set aside"
        ),
    });
    let item_identifier = record.message_id;
    Err((ItemFailure { item_identifier }, failure.kind))
}

/// Why a message was not handled. Both kinds go back: SQS counts the deliveries and sets aside.
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

async fn attempt_one(
    handler: Arc<dyn Handler>,
    body: &str,
    deadline: &Deadline,
) -> Result<(), Failure> {
    let never = |reason: String| Failure {
        kind: Kind::Never,
        reason,
    };
    let later = |reason: String| Failure {
        kind: Kind::Later,
        reason,
    };
    let envelope: Envelope =
        serde_json::from_str(body).map_err(|error| never(format!("not an envelope: {error}")))?;
    if envelope.format != ENVELOPE_FORMAT {
        return Err(never(format!(
            "an envelope of format {}, and this function reads {ENVELOPE_FORMAT}",
            envelope.format
        )));
    }
    let trace = envelope.trace;
    if let Some(trace) = trace {
        tracing::Span::current().record("trace_id", display(trace));
    }
    let left = deadline.left();
    if left.is_zero() {
        return Err(later("no time is left in this invocation".into()));
    }
    // A task of its own: a panic ends this message and no other.
    let work = in_trace(trace, async move { handler.message(envelope).await });
    let mut task = tokio::spawn(work.in_current_span());
    match tokio::time::timeout(left, &mut task).await {
        Ok(Ok(Ok(()))) => Ok(()),
        Ok(Ok(Err(error))) if error.is_transient() => Err(later(error.to_string())),
        Ok(Ok(Err(error))) => Err(never(error.to_string())),
        Ok(Err(panic)) => Err(never(format!("the stage broke: {panic}"))),
        Err(_) => {
            // Commits are whole or absent, so work can be cut at any point.
            task.abort();
            Err(later("the invocation's time ran out".into()))
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
    struct Scripted(Mutex<Vec<String>>);

    #[async_trait]
    impl Handler for Scripted {
        async fn message(&self, envelope: Envelope) -> Result<(), PortError> {
            let Message::Publish { channel } = envelope.message else {
                return Err(PortError::broken("a message", "not for this stage"));
            };
            self.0.lock().unwrap().push(channel.clone());
            match channel.as_str() {
                "panics" => panic!("a defect"),
                "hangs" => std::future::pending().await,
                "busy" => Err(PortError::unavailable("the store", "locked")),
                _ => Ok(()),
            }
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
        let scripted = Arc::new(Scripted::default());
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
        let mut seen = scripted.0.lock().unwrap().clone();
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
    fn each_message_is_handled_in_its_own_trace() {
        struct Traces(Mutex<Vec<(String, Option<TraceId>)>>);

        #[async_trait]
        impl Handler for Traces {
            async fn message(&self, envelope: Envelope) -> Result<(), PortError> {
                // Lets the others have their turn before it looks.
                tokio::task::yield_now().await;
                let mut seen = self.0.lock().unwrap();
                seen.push((envelope.cause, TraceId::current()));
                Ok(())
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
