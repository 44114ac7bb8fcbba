//! Alerts to the SNS topic of a home: whoever subscribes hears of them, by e-mail, as a text message, or as JSON.
//!
//! The topic is the home's own and named by the template. **No project can name another**: what a project's configuration says is
//! the products' people's, and a role that may publish anywhere would be theirs too.
//!
//! Not here: who is subscribed, and mail and webhooks, which are handed to another notifier.

use crate::failure::failed;
use crate::lazy::Lazy;
use async_trait::async_trait;
use aws_sdk_sns::Client;
use aws_sdk_sns::types::MessageAttributeValue;
use kintsugi_domain::alert::Alert;
use kintsugi_domain::config::AlertChannel;
use kintsugi_domain::ports::{Notifier, PortError};
use serde_json::json;
use std::fmt;
use std::sync::Arc;

/// Most characters of a subject, by SNS.
const SUBJECT_CHARS_MAX: usize = 100;
/// Most characters of a text message; a longer one would be several.
const SMS_CHARS_MAX: usize = 140;

/// Publishes alerts to the home's topic, and hands those for other channels on.
///
/// The attributes `id`, `code`, `urgency` and `project` are for the filters of subscriptions; `id` also lets a receiver tell a
/// second delivery of the same alert. E-mail gets lines to read, text messages one line, everything else the alert as JSON, as a
/// webhook gets it.
#[derive(Clone)]
pub struct TopicNotifier {
    client: Lazy<Client>,
    topic: Option<String>,
    others: Arc<dyn Notifier>,
}

impl fmt::Debug for TopicNotifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TopicNotifier")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

impl TopicNotifier {
    /// A notifier for the topic of that name (its ARN), if the home has one; other channels are those of `others`.
    pub fn new(client: Lazy<Client>, topic: Option<String>, others: Arc<dyn Notifier>) -> Self {
        Self {
            client,
            topic,
            others,
        }
    }

    async fn publish(&self, channel: &AlertChannel, alert: &Alert) -> Result<(), PortError> {
        let name = channel.name();
        let Some(topic) = &self.topic else {
            return Err(PortError::broken(name, "this home has no topic for alerts"));
        };
        let message = message(alert).map_err(|error| PortError::broken(&name, error))?;
        let mut publish = self
            .client
            .publish()
            .topic_arn(topic)
            .subject(subject(alert))
            .message_structure("json")
            .message(message);
        let attributes = [
            ("id", alert.id.to_string()),
            ("code", alert.code.clone()),
            ("urgency", alert.urgency.name().to_owned()),
            ("project", alert.project.to_string()),
        ];
        for (key, value) in attributes {
            let value = MessageAttributeValue::builder()
                .data_type("String")
                .string_value(value)
                .build()
                .map_err(|error| PortError::broken(&name, error))?;
            publish = publish.message_attributes(key, value);
        }
        let sent = publish.send().await;
        sent.map_err(|error| failed(name, &error))?;
        Ok(())
    }
}

/// Text for people on one line: what strangers wrote can make no line of its own, and no control character reaches a terminal.
fn one_line(text: &str) -> String {
    let blank = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(blank).collect()
}

/// Nothing that strangers wrote: SNS takes printable ASCII only.
fn subject(alert: &Alert) -> String {
    let subject = format!(
        "Kintsugi {}: {}, project {}",
        alert.urgency.name(),
        alert.code,
        alert.project
    );
    let printable = subject.chars().filter(|c| matches!(c, ' '..='~'));
    printable.take(SUBJECT_CHARS_MAX).collect()
}

/// What each kind of subscription gets.
fn message(alert: &Alert) -> Result<String, serde_json::Error> {
    let text = one_line(&alert.text);
    let email = format!(
        "{text}\n\nproject {}, {}, {}\nraised at {}\nalert {}\n",
        alert.project,
        alert.urgency.name(),
        alert.code,
        alert.at,
        alert.id
    );
    let sms: String = format!("{}: {text}", alert.code)
        .chars()
        .take(SMS_CHARS_MAX)
        .collect();
    let message = json!({
        "default": serde_json::to_string(alert)?,
        "email": email,
        "sms": sms,
    });
    Ok(message.to_string())
}

#[async_trait]
impl Notifier for TopicNotifier {
    async fn notify(&self, channel: &AlertChannel, alert: &Alert) -> Result<(), PortError> {
        match channel {
            AlertChannel::Topic => self.publish(channel, alert).await,
            AlertChannel::Mail | AlertChannel::Webhook { .. } => {
                self.others.notify(channel, alert).await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kintsugi_domain::Timestamp;
    use kintsugi_domain::alert::Urgency;
    use kintsugi_domain::id::ProjectId;
    use serde_json::Value;

    #[test]
    fn what_strangers_wrote_makes_no_line_of_its_own_and_no_subject() {
        let text = "“boom\r\nSubject: pay\u{1b}[2J” is back";
        let alert = Alert::new(
            ProjectId(7),
            Urgency::Page,
            "issue.regressed",
            &"i-1",
            text,
            Timestamp::UNIX_EPOCH,
        );
        assert_eq!(subject(&alert), "Kintsugi page: issue.regressed, project 7");
        let message: Value = serde_json::from_str(&message(&alert).unwrap()).unwrap();
        let email = message["email"].as_str().unwrap();
        assert_eq!(
            email.lines().next(),
            Some("“boom  Subject: pay [2J” is back")
        );
        let sms = message["sms"].as_str().unwrap();
        assert_eq!(sms, "issue.regressed: “boom  Subject: pay [2J” is back");
        let whole: Alert = serde_json::from_str(message["default"].as_str().unwrap()).unwrap();
        assert_eq!(whole, alert);
    }
}
