//! Queues in SQS: for each queue of the domain a standard queue `<prefix><name>` and its dead-letter queue
//! `<prefix><name>-dead`.
//!
//! Depths are what SQS counts, which after a change may be wrong for about a minute.
//!
//! A lease is the visibility timeout, a delivery's receipt is that of SQS behind the name of its queue. SQS does not know
//! that two messages are the same, so a message that is sent twice is delivered twice.
//!
//! **Parked messages lie in the table**, not in SQS, which can neither list nor order them. A function puts what it cannot
//! handle there itself, with the cause, and needs no call to SQS for it: SQS ends the delivery when the function answers. The
//! dead-letter queue is the way there for messages whose reader never got to park them: a function that died.
//!
//! Bounds of SQS: 1 MiB for a message or a batch, 12 hours for a lease, 14 days for a message nobody takes. No message of
//! the domain comes near the first (reports ride in it up to 128 KiB), so a longer one is refused; there is no way round
//! through S3, which the functions, woken by SQS itself, would not know.

use crate::blobs::S3Blobs;
use crate::bodies::{Bodies, MESSAGES};
use crate::failure::{failed, is};
use crate::lazy::Lazy;
use crate::place::Places;
use crate::table::Table;
use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::BuildError;
use aws_sdk_sqs::types::{
    Message as SqsMessage, MessageSystemAttributeName, MessageSystemAttributeNameForSends,
    MessageSystemAttributeValue, QueueAttributeName, SendMessageBatchRequestEntry,
};
use kintsugi_domain::envelope::{Envelope, Queue};
use kintsugi_domain::ports::{Clock, Delivery, Letter, Parked, PortError, Queues};
use kintsugi_domain::trace::TraceId;
use parking::Parking;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

mod parking;

/// Most messages of one batch, by SQS.
const BATCH_MESSAGES_MAX: usize = 10;
/// Most bytes of one message, and of one batch, by SQS.
const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// The longest time that SQS hides a message, seconds.
const HIDDEN_SECONDS_MAX: u64 = 12 * 60 * 60;
/// How long a message stays hidden while it is parked.
const PARKING_TIME: Duration = Duration::from_mins(1);
/// What SQS says of a receipt that is not that of the newest delivery of a waiting message.
const OLD_RECEIPT: &[&str] = &[
    "InvalidParameterValue",
    "InvalidParameterValueException",
    "MessageNotInflight",
    "ReceiptHandleIsInvalid",
];
/// Why a message lies in a dead-letter queue, as far as anybody can know.
const READERS_DIED: &str = "its readers died or ran out of time on every delivery";
/// The ending of a dead-letter queue's name.
const DEAD: &str = "-dead";

/// Queues in SQS. Clones share the addresses that were asked for.
#[derive(Clone)]
pub struct SqsQueues {
    client: Lazy<Client>,
    prefix: String,
    wait: Duration,
    parking: Parking,
    places: Places,
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Addresses of queues by their names. They never change.
    addresses: Mutex<BTreeMap<String, String>>,
}

impl fmt::Debug for SqsQueues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqsQueues")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

/// A receipt of ours: the queue and SQS's receipt handle.
fn read_receipt(receipt: &str) -> Option<(Queue, &str)> {
    let (queue, handle) = receipt.split_once('/')?;
    Some((Queue::named(queue)?, handle))
}

/// Whole seconds as SQS takes them, rounded up: never shorter than asked for.
fn seconds(time: Duration) -> i32 {
    let whole = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    i32::try_from(whole.min(HIDDEN_SECONDS_MAX)).unwrap_or(i32::MAX)
}

/// A message as it is sent.
struct Outgoing {
    body: String,
    /// Its trace, for X-Ray: the system attribute `AWSTraceHeader`, which counts neither as length nor on the bill.
    trace: Option<TraceId>,
}

/// An envelope as it travels. SQS takes the characters of XML 1.0 only, of which serialised JSON can break two.
fn written(envelope: &Envelope) -> Result<String, PortError> {
    let what = || format!("message {}", envelope.id);
    let body = serde_json::to_string(envelope).map_err(|error| PortError::broken(what(), error))?;
    let body = body
        .replace('\u{fffe}', "\\ufffe")
        .replace('\u{ffff}', "\\uffff");
    if body.len() > BATCH_BYTES_MAX {
        let why = format!("{} bytes where SQS takes {BATCH_BYTES_MAX}", body.len());
        return Err(PortError::broken(what(), why));
    }
    Ok(body)
}

/// Bodies in the order given, in groups that fit into one call.
fn batches<T>(messages: Vec<T>, length: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
    let mut batches: Vec<Vec<T>> = Vec::new();
    let mut bytes = 0_usize;
    for message in messages {
        let length = length(&message);
        bytes = bytes.saturating_add(length);
        match batches.last_mut() {
            Some(batch) if batch.len() < BATCH_MESSAGES_MAX && bytes <= BATCH_BYTES_MAX => {
                batch.push(message);
            }
            Some(_) | None => {
                bytes = length;
                batches.push(vec![message]);
            }
        }
    }
    batches
}

/// A message as an entry of a batch; beside it, what X-Ray reads of its trace.
fn entry(number: usize, message: Outgoing) -> Result<SendMessageBatchRequestEntry, BuildError> {
    let mut entry = SendMessageBatchRequestEntry::builder()
        .id(number.to_string())
        .message_body(message.body);
    if let Some(trace) = message.trace {
        let header = MessageSystemAttributeValue::builder()
            .data_type("String")
            .string_value(trace.to_amazon())
            .build()?;
        let name = MessageSystemAttributeNameForSends::AwsTraceHeader;
        entry = entry.message_system_attributes(name, header);
    }
    entry.build()
}

impl SqsQueues {
    /// The queues whose names begin with `prefix`; parked messages lie in `table`, the longest of them in `blobs`.
    ///
    /// `wait` is how long SQS may look for a message before it answers that there is none. Zero makes SQS ask only some of its
    /// servers, so a message may be overlooked; a second or more asks all of them.
    pub fn new(
        client: Lazy<Client>,
        table: Table,
        blobs: S3Blobs,
        prefix: impl Into<String>,
        wait: Duration,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            client,
            prefix: prefix.into(),
            wait,
            parking: Parking::new(table, Bodies::new(blobs, MESSAGES)),
            places: Places::new(clock),
            inner: Arc::default(),
        }
    }

    /// The address of a queue, asked for once.
    async fn address(&self, name: &str) -> Result<String, PortError> {
        let lock = || {
            let addresses = &self.inner.addresses;
            addresses.lock().unwrap_or_else(PoisonError::into_inner)
        };
        if let Some(known) = lock().get(name) {
            return Ok(known.clone());
        }
        let full = format!("{}{name}", self.prefix);
        let found = self.client.get_queue_url().queue_name(&full).send().await;
        let found = found.map_err(|error| failed(format!("find queue {full}"), &error))?;
        let Some(address) = found.queue_url else {
            return Err(PortError::unavailable(full, "SQS told no address"));
        };
        lock().insert(name.to_owned(), address.clone());
        Ok(address)
    }

    async fn send_all(&self, queue: Queue, messages: Vec<Outgoing>) -> Result<(), PortError> {
        let what = || format!("send to queue {queue}");
        let address = self.address(queue.name()).await?;
        for batch in batches(messages, |message| message.body.len()) {
            let mut send = self.client.send_message_batch().queue_url(&address);
            for (number, message) in batch.into_iter().enumerate() {
                let entry = entry(number, message);
                send = send.entries(entry.map_err(|error| PortError::broken(what(), error))?);
            }
            let answer = send.send().await.map_err(|error| failed(what(), &error))?;
            if let Some(refused) = answer.failed.first() {
                let why = refused.message().unwrap_or(refused.code());
                return Err(if refused.sender_fault() {
                    PortError::broken(what(), why)
                } else {
                    PortError::unavailable(what(), why)
                });
            }
        }
        Ok(())
    }

    /// Messages of a queue, hidden for `lease`.
    async fn take(
        &self,
        name: &str,
        max: usize,
        lease: Duration,
        wait: Duration,
    ) -> Result<Vec<SqsMessage>, PortError> {
        let max = i32::try_from(max.min(BATCH_MESSAGES_MAX)).unwrap_or(1);
        if max == 0 {
            return Ok(Vec::new());
        }
        let receive = self
            .client
            .receive_message()
            .queue_url(self.address(name).await?)
            .max_number_of_messages(max)
            .visibility_timeout(seconds(lease))
            .wait_time_seconds(seconds(wait).min(20))
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp);
        let answer = receive.send().await;
        let answer = answer.map_err(|error| failed(format!("receive from {name}"), &error))?;
        Ok(answer.messages.unwrap_or_default())
    }

    /// Hides the message of a receipt for `time`; says whether the receipt is that of its newest delivery.
    async fn hide(&self, queue: Queue, handle: &str, time: Duration) -> Result<bool, PortError> {
        let change = self
            .client
            .change_message_visibility()
            .queue_url(self.address(queue.name()).await?)
            .receipt_handle(handle)
            .visibility_timeout(seconds(time));
        match change.send().await {
            Ok(_) => Ok(true),
            Err(error) if is(&error, OLD_RECEIPT) => Ok(false),
            Err(error) => Err(failed(format!("hide a message of {queue}"), &error)),
        }
    }

    async fn delete(&self, name: &str, handle: &str) -> Result<(), PortError> {
        let address = self.address(name).await?;
        let delete = self.client.delete_message();
        match delete
            .queue_url(address)
            .receipt_handle(handle)
            .send()
            .await
        {
            Ok(_) => Ok(()),
            Err(error) if is(&error, OLD_RECEIPT) => Ok(()),
            Err(error) => Err(failed(format!("end a message of {name}"), &error)),
        }
    }

    /// Moves what SQS has put into the dead-letter queue to the parked messages.
    async fn collect_dead(&self, queue: Queue) -> Result<(), PortError> {
        let name = format!("{}{DEAD}", queue.name());
        loop {
            let dead = self
                .take(&name, BATCH_MESSAGES_MAX, PARKING_TIME, Duration::ZERO)
                .await?;
            if dead.is_empty() {
                return Ok(());
            }
            for message in dead {
                let Some((body, handle)) = message.body().zip(message.receipt_handle()) else {
                    continue;
                };
                let id = message.message_id().unwrap_or_default();
                // The same message has the same place, should this end between the two calls, or should its function have set
                // it aside before it died.
                let place = place(sent_at(&message).saturating_mul(1_000), id);
                let read = Envelope::read(body);
                let cause =
                    read.map_or_else(|error| error.to_string(), |_| READERS_DIED.to_owned());
                let body = body.to_owned();
                self.parking.keep(queue, &place, body, &cause).await?;
                self.delete(&name, handle).await?;
            }
        }
    }
}

/// The place of a message that is known by SQS's name for it.
fn place(sent_at_microsecond: i64, id: &str) -> String {
    Places::at(sent_at_microsecond, id)
}

/// SQS's name of a message, from its place.
fn name_in(place: &str) -> &str {
    place.split_once('-').map_or(place, |(_, name)| name)
}

fn number(message: &SqsMessage, name: &MessageSystemAttributeName) -> Option<i64> {
    message.attributes()?.get(name)?.parse().ok()
}

/// When a message was sent, milliseconds since 1970.
fn sent_at(message: &SqsMessage) -> i64 {
    number(message, &MessageSystemAttributeName::SentTimestamp).unwrap_or(0)
}

fn attempt(message: &SqsMessage) -> u32 {
    let count = number(
        message,
        &MessageSystemAttributeName::ApproximateReceiveCount,
    );
    count
        .and_then(|count| u32::try_from(count).ok())
        .unwrap_or(1)
}

#[async_trait]
impl Queues for SqsQueues {
    async fn send(&self, envelopes: &[Envelope]) -> Result<(), PortError> {
        let mut messages: BTreeMap<Queue, Vec<Outgoing>> = BTreeMap::new();
        for envelope in envelopes {
            let (body, trace) = (written(envelope)?, envelope.trace);
            let message = Outgoing { body, trace };
            messages.entry(envelope.queue()).or_default().push(message);
        }
        for (queue, messages) in messages {
            self.send_all(queue, messages).await?;
        }
        Ok(())
    }

    async fn receive(
        &self,
        queue: Queue,
        max: usize,
        lease: Duration,
    ) -> Result<Vec<Delivery>, PortError> {
        let mut deliveries = Vec::new();
        for message in self.take(queue.name(), max, lease, self.wait).await? {
            let attempt = attempt(&message);
            let (Some(body), Some(handle)) = (message.body, message.receipt_handle) else {
                continue;
            };
            // What is no envelope is nobody's message: SQS moves it to the dead-letter queue, and the others go on.
            let Ok(envelope) = Envelope::read(&body) else {
                continue;
            };
            deliveries.push(Delivery {
                envelope,
                receipt: format!("{}/{handle}", queue.name()),
                attempt,
            });
        }
        Ok(deliveries)
    }

    async fn extend(&self, receipt: &str, lease: Duration) -> Result<(), PortError> {
        let newest = match read_receipt(receipt) {
            Some((queue, handle)) => self.hide(queue, handle, lease).await?,
            None => false,
        };
        if !newest {
            let what = format!("delivery {receipt}");
            return Err(PortError::Conflict { what });
        }
        Ok(())
    }

    async fn done(&self, receipt: &str) -> Result<(), PortError> {
        let Some((queue, handle)) = read_receipt(receipt) else {
            return Ok(());
        };
        self.delete(queue.name(), handle).await
    }

    async fn retry(&self, receipt: &str, delay: Duration) -> Result<(), PortError> {
        let Some((queue, handle)) = read_receipt(receipt) else {
            return Ok(());
        };
        self.hide(queue, handle, delay).await?;
        Ok(())
    }

    async fn park(&self, delivery: &Delivery, cause: &str) -> Result<(), PortError> {
        let Some((queue, handle)) = read_receipt(&delivery.receipt) else {
            return Ok(());
        };
        let body = written(&delivery.envelope)?;
        // An old receipt must not park a message that another reader holds, nor may the lease end meanwhile.
        if self.hide(queue, handle, PARKING_TIME).await? {
            let place = self.places.draw();
            self.parking.keep(queue, &place, body, cause).await?;
            self.delete(queue.name(), handle).await?;
        }
        Ok(())
    }

    async fn set_aside(&self, letter: &Letter, cause: &str) -> Result<(), PortError> {
        let place = place(letter.sent_at.as_microsecond(), &letter.id);
        let body = letter.body.clone();
        self.parking.keep(letter.queue, &place, body, cause).await
    }

    async fn parked(&self, queue: Queue) -> Result<Vec<Parked>, PortError> {
        self.collect_dead(queue).await?;
        let lots = self.parking.list(queue).await?.into_iter();
        let parked = lots.map(|lot| {
            let envelope = Envelope::read(&lot.body).ok();
            let id = envelope.as_ref().map(|envelope| envelope.id.to_string());
            Parked {
                id: id.unwrap_or_else(|| name_in(&lot.place).to_owned()),
                envelope,
                queue,
                cause: lot.cause,
            }
        });
        Ok(parked.collect())
    }

    async fn redrive(&self, queue: Queue) -> Result<usize, PortError> {
        self.collect_dead(queue).await?;
        let mut count = 0;
        for lot in self.parking.list(queue).await? {
            // What is no message would only come back.
            let Ok(envelope) = Envelope::read(&lot.body) else {
                continue;
            };
            let back = Outgoing {
                body: lot.body,
                trace: envelope.trace,
            };
            self.send_all(envelope.queue(), vec![back]).await?;
            // Sent first: should this end here, the message is sent twice and not lost.
            count += usize::from(self.parking.remove(queue, &lot.place).await?);
        }
        Ok(count)
    }

    async fn depth(&self, queue: Queue) -> Result<usize, PortError> {
        let counted = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
            QueueAttributeName::ApproximateNumberOfMessagesDelayed,
        ];
        let get = self
            .client
            .get_queue_attributes()
            .queue_url(self.address(queue.name()).await?)
            .set_attribute_names(Some(counted.to_vec()));
        let answer = get.send().await;
        let answer = answer.map_err(|error| failed(format!("count queue {queue}"), &error))?;
        let counts = answer.attributes.unwrap_or_default();
        let count = |name| counts.get(name).and_then(|n| n.parse::<usize>().ok());
        Ok(counted.iter().filter_map(count).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_keep_the_bounds_of_sqs_and_the_order() {
        let many: Vec<String> = (0..25).map(|n| n.to_string()).collect();
        let batches = |bodies| batches(bodies, String::len);
        let sizes: Vec<usize> = batches(many.clone()).iter().map(Vec::len).collect();
        assert_eq!(sizes, [10, 10, 5]);
        assert_eq!(batches(many.clone()).concat(), many);
        let long = vec!["x".repeat(BATCH_BYTES_MAX / 2); 3];
        let sizes: Vec<usize> = batches(long).iter().map(Vec::len).collect();
        assert_eq!(sizes, [2, 1]);
        assert!(batches(Vec::new()).is_empty());
    }

    /// The emulator drops what batches carry beside their bodies, so it is shown here.
    #[test]
    fn a_message_carries_its_trace_for_x_ray() {
        let sent = |trace: Option<&str>| {
            let message = Outgoing {
                body: "{}".to_owned(),
                trace: trace.and_then(|trace| trace.parse().ok()),
            };
            let attributes = entry(3, message).unwrap().message_system_attributes;
            let mut attributes = attributes.unwrap_or_default();
            let header = attributes.remove(&MessageSystemAttributeNameForSends::AwsTraceHeader)?;
            Some((header.data_type, header.string_value?))
        };
        let header = "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736";
        assert_eq!(
            sent(Some("4bf92f3577b34da6a3ce929d0e0e4736")),
            Some(("String".to_owned(), header.to_owned()))
        );
        assert_eq!(sent(None), None);
    }

    #[test]
    fn a_lease_is_never_shorter_than_asked_for_nor_longer_than_sqs_allows() {
        assert_eq!(seconds(Duration::ZERO), 0);
        assert_eq!(seconds(Duration::from_millis(1)), 1);
        assert_eq!(seconds(Duration::from_secs(30)), 30);
        assert_eq!(seconds(Duration::from_hours(100)), 43_200);
    }
}
