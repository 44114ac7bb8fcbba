//! One secret text that people put into Secrets Manager, such as the credentials for git hosts.
//!
//! Not here: the secrets that the home draws itself ([`crate::signer`]).

use crate::failure::{failed, is};
use crate::lazy::Lazy;
use kintsugi_domain::Timestamp;
use kintsugi_domain::ports::{Clock, PortError};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How long a text is used before it is read again, seconds: so long after a change the old one may be used.
const FRESH_SECONDS: i64 = 300;

/// A text secret. Read when it is first needed, kept for five minutes. Clones share what was read.
#[derive(Clone)]
pub struct SecretText {
    secrets: Lazy<aws_sdk_secretsmanager::Client>,
    name: String,
    clock: Arc<dyn Clock>,
    known: Arc<Mutex<Option<Known>>>,
}

/// What was read, and when.
struct Known {
    at: Timestamp,
    text: Option<String>,
}

impl Known {
    fn is_fresh(&self, now: Timestamp) -> bool {
        let age = now.as_second().saturating_sub(self.at.as_second());
        (0..FRESH_SECONDS).contains(&age)
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretText")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl SecretText {
    /// The secret of that name. Connects to nothing yet.
    pub fn new(
        secrets: Lazy<aws_sdk_secretsmanager::Client>,
        name: &str,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            secrets,
            name: name.to_owned(),
            clock,
            known: Arc::default(),
        }
    }

    /// The text; nothing when there is no such secret.
    pub async fn read(&self) -> Result<Option<String>, PortError> {
        let now = self.clock.now();
        if let Some(known) = self.known().as_ref().filter(|known| known.is_fresh(now)) {
            return Ok(known.text.clone());
        }
        let what = format!("secret {}", self.name);
        let read = self.secrets.get_secret_value().secret_id(&self.name);
        let text = match read.send().await {
            Ok(found) => match found.secret_string {
                Some(text) => Some(text),
                None => return Err(PortError::broken(what, "it holds bytes and not text")),
            },
            Err(error) if is(&error, &["ResourceNotFoundException"]) => None,
            Err(error) => return Err(failed(what, &error)),
        };
        *self.known() = Some(Known {
            at: now,
            text: text.clone(),
        });
        Ok(text)
    }

    fn known(&self) -> MutexGuard<'_, Option<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
