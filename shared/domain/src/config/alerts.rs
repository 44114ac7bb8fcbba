//! `[[alerts]]`: where alerts go. **The topic and the mail of a home are named without an address**: that is the home's to know.

use serde::{Deserialize, Serialize};

/// Where alerts go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum AlertChannel {
    /// A POST with the alert as JSON.
    Webhook {
        /// Where to.
        url: String,
    },
    /// The home's own topic; only homes in AWS have one.
    Topic,
    /// Mail to those whom the home mails to; only homes in AWS mail.
    Mail,
}

impl AlertChannel {
    /// A name for logs and records, without secrets.
    pub fn name(&self) -> String {
        match self {
            Self::Webhook { url } => {
                let host = url
                    .split("//")
                    .nth(1)
                    .and_then(|rest| rest.split('/').next());
                format!("webhook {}", host.unwrap_or_default())
            }
            Self::Topic => "topic".to_owned(),
            Self::Mail => "mail".to_owned(),
        }
    }
}
