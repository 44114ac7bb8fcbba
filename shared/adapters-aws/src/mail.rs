//! Alerts by mail, through SES, from an address of the home's own identity to the people whom the home names.
//!
//! **A mail says what happened and how bad it is, and nothing that reports brought**: no title of an issue, no cause of a failure,
//! no name of a person. Mail passes through servers that are nobody's here, and lies in boxes for years; what happened in
//! detail is behind the console's door, to which it has the link. **No project can name an address**: what its configuration
//! says is the products' people's, and a home that mails to anyone is a sender of spam.
//!
//! **At least once**: the stage writes down that a mail was taken by SES and does not mail again; a function that dies between the two
//! does. SES has nothing to tell the second by; the header `X-Kintsugi-Alert` of both has the alert's id, and so has their text.
//!
//! Not here: the identity, which a person verifies once; bounces and complaints, which SES sends to the sender's address; topics
//! and webhooks.

use crate::failure::failed;
use crate::lazy::Lazy;
use async_trait::async_trait;
use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::error::BuildError;
use aws_sdk_sesv2::types::{Body, Content, Destination, EmailContent, Message, MessageHeader};
use kintsugi_domain::alert::Alert;
use kintsugi_domain::config::AlertChannel;
use kintsugi_domain::ports::{Notifier, PortError};
use std::fmt;
use std::sync::Arc;

/// Most addresses that a home mails to; SES takes 50 of one message.
pub const RECIPIENTS_MAX: usize = 10;

/// Who mails to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The sender, of an identity that SES has verified: `kintsugi@example.org`.
    pub from: String,
    /// The addresses, 1 to [`RECIPIENTS_MAX`]. They see each other.
    pub to: Vec<String>,
    /// Where the home is, for the links: `https://home.example.org`, without a slash at its end. Not known: no link.
    pub home: Option<String>,
}

/// Mails alerts, and hands those for other channels on.
#[derive(Clone)]
pub struct MailNotifier {
    client: Lazy<Client>,
    mail: Option<Mail>,
    others: Arc<dyn Notifier>,
}

impl fmt::Debug for MailNotifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailNotifier")
            .field("mail", &self.mail)
            .finish_non_exhaustive()
    }
}

impl MailNotifier {
    /// A notifier that mails as `mail` says, if the home mails at all; other channels are those of `others`.
    pub fn new(client: Lazy<Client>, mail: Option<Mail>, others: Arc<dyn Notifier>) -> Self {
        Self {
            client,
            mail,
            others,
        }
    }

    async fn send(&self, channel: &AlertChannel, alert: &Alert) -> Result<(), PortError> {
        let name = channel.name();
        let Some(mail) = &self.mail else {
            return Err(PortError::broken(name, "this home mails nobody"));
        };
        let content = content(mail, alert).map_err(|error| PortError::broken(&name, error))?;
        let to = Destination::builder().set_to_addresses(Some(mail.to.clone()));
        let sent = self
            .client
            .send_email()
            .from_email_address(&mail.from)
            .destination(to.build())
            .content(content)
            .send()
            .await;
        sent.map_err(|error| failed(name, &error))?;
        Ok(())
    }
}

/// What happened, how bad it is, and to which project.
fn subject(alert: &Alert) -> String {
    format!(
        "Kintsugi {}: {}, project {}",
        alert.urgency.name(),
        alert.meaning(),
        alert.project
    )
}

fn text(mail: &Mail, alert: &Alert) -> String {
    let mut text = format!(
        "Project {}: {}.\n\n{}, {}\nraised at {}\nalert {}\n",
        alert.project,
        alert.meaning(),
        alert.urgency.name(),
        alert.code,
        alert.at,
        alert.id
    );
    match &mail.home {
        Some(home) => {
            let page = format!("\n{home}/console/projects/{}/alerts\n", alert.project);
            text.push_str(&page);
        }
        None => text.push_str("\nThe console says more: `kintsugi console`.\n"),
    }
    text
}

fn content(mail: &Mail, alert: &Alert) -> Result<EmailContent, BuildError> {
    let utf8 = |data: String| Content::builder().data(data).charset("UTF-8").build();
    let id = MessageHeader::builder().name("X-Kintsugi-Alert");
    // Answers of machines ("out of office") to a machine help nobody (RFC 3834).
    let by_machine = MessageHeader::builder().name("Auto-Submitted");
    let message = Message::builder()
        .subject(utf8(subject(alert))?)
        .body(Body::builder().text(utf8(text(mail, alert))?).build())
        .headers(id.value(alert.id.as_str()).build()?)
        .headers(by_machine.value("auto-generated").build()?);
    Ok(EmailContent::builder().simple(message.build()).build())
}

#[async_trait]
impl Notifier for MailNotifier {
    async fn notify(&self, channel: &AlertChannel, alert: &Alert) -> Result<(), PortError> {
        match channel {
            AlertChannel::Mail => self.send(channel, alert).await,
            AlertChannel::Topic | AlertChannel::Webhook { .. } => {
                self.others.notify(channel, alert).await
            }
        }
    }
}
