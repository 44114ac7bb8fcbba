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
mod tests;
