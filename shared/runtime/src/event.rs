//! What wakes a function, as AWS writes it: a batch from SQS or a tick from EventBridge.
//!
//! Only the fields that are used are read; AWS adds fields without notice. HTTP requests are not
//! here: `lambda_http` reads those.

use kintsugi_domain::Timestamp;
use kintsugi_domain::envelope::Queue;
use serde::{Deserialize, Serialize};

/// One message as SQS delivers it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    /// Names the message in the answer.
    pub(crate) message_id: String,
    /// An envelope, JSON.
    pub(crate) body: String,
    #[serde(default)]
    pub(crate) attributes: Attributes,
    /// The queue that it came by, as AWS names resources.
    #[serde(default, rename = "eventSourceARN")]
    source: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Attributes {
    /// A number, written as text.
    approximate_receive_count: Option<String>,
    /// Milliseconds since 1970, written as text.
    sent_timestamp: Option<String>,
}

impl Record {
    /// Which delivery of the message this is; 1 when SQS does not say.
    pub(crate) fn attempt(&self) -> u32 {
        self.attributes
            .approximate_receive_count
            .as_deref()
            .and_then(|count| count.parse().ok())
            .unwrap_or(1)
    }

    /// When it was sent; 1970 when SQS does not say.
    pub(crate) fn sent_at(&self) -> Timestamp {
        let written = self.attributes.sent_timestamp.as_deref();
        written
            .and_then(|ms| Timestamp::from_millisecond(ms.parse().ok()?).ok())
            .unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// The queue of the domain that it came by: its name ends the name of the queue in SQS.
    pub(crate) fn queue(&self) -> Option<Queue> {
        Queue::named(self.source.rsplit(['-', ':']).next()?)
    }
}

/// The clock struck.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Tick {
    /// This tick; the same for every delivery of it.
    pub id: String,
    /// When it was due.
    #[serde(rename = "time")]
    pub at: Timestamp,
}

/// What woke the function.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    Batch(Vec<Record>),
    Tick(Tick),
}

/// A payload that is none of the events which a function knows.
#[derive(Debug, thiserror::Error)]
#[error("not a batch of messages (Records) and not a tick (id, time): {0}")]
pub(crate) struct UnknownEvent(#[from] serde_json::Error);

impl Event {
    /// Reads a payload.
    pub(crate) fn read(mut payload: serde_json::Value) -> Result<Self, UnknownEvent> {
        match payload.get_mut("Records").map(serde_json::Value::take) {
            Some(records) => Ok(Self::Batch(serde_json::from_value(records)?)),
            None => Ok(Self::Tick(serde_json::from_value(payload)?)),
        }
    }
}

/// The answer to a batch (`ReportBatchItemFailures`): what was not handled. Everything else is done.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BatchAnswer {
    pub(crate) batch_item_failures: Vec<ItemFailure>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ItemFailure {
    pub(crate) item_identifier: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_batch_is_read_with_its_attempts() {
        let payload = json!({"Records": [
            {"messageId": "m-1", "body": "{}", "awsRegion": "x",
             "attributes": {"ApproximateReceiveCount": "3", "SentTimestamp": "1795233600000"},
             "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:kintsugi-prod-2-rollouts"},
            {"messageId": "m-2", "body": "not json"}
        ]});
        let Ok(Event::Batch(records)) = Event::read(payload) else {
            panic!("not a batch")
        };
        assert_eq!(
            records.iter().map(Record::attempt).collect::<Vec<_>>(),
            [3, 1]
        );
        assert_eq!(records[0].sent_at().as_second(), 1_795_233_600);
        assert_eq!(records[0].queue(), Some(Queue::Rollouts));
        assert_eq!(records[1].message_id, "m-2");
        assert_eq!(records[1].sent_at(), Timestamp::UNIX_EPOCH);
        assert_eq!(records[1].queue(), None);
    }

    #[test]
    fn a_scheduled_event_is_a_tick() {
        let payload = json!({
            "version": "0", "id": "t-1", "detail-type": "Scheduled Event", "source": "aws.events",
            "time": "2026-11-21T04:00:00Z", "resources": [], "detail": {}
        });
        let Ok(Event::Tick(tick)) = Event::read(payload) else {
            panic!("not a tick")
        };
        assert_eq!(
            (tick.id.as_str(), tick.at.to_string()),
            ("t-1", "2026-11-21T04:00:00Z".into())
        );
    }

    #[test]
    fn anything_else_is_refused_with_what_was_expected() {
        let error = Event::read(json!({"hello": 1})).unwrap_err().to_string();
        assert!(
            error.contains("Records") && error.contains("time"),
            "{error}"
        );
    }

    #[test]
    fn the_answer_has_the_form_that_aws_reads() {
        let answer = BatchAnswer {
            batch_item_failures: vec![ItemFailure {
                item_identifier: "m-2".into(),
            }],
        };
        assert_eq!(
            serde_json::to_value(answer).unwrap(),
            json!({"batchItemFailures": [{"itemIdentifier": "m-2"}]})
        );
    }
}
