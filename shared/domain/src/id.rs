//! Typed identifiers: one newtype per noun, so that no id can stand where another belongs.
//!
//! Ids of things that Kintsugi derives are made from content (see each constructor's caller), so a
//! retried stage makes the same id again and collides safely instead of doing its work twice.

use crate::digest::Digest;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A text that is not a valid id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {what}: {expected}")]
pub struct InvalidId {
    /// The noun, as people call it.
    pub what: &'static str,
    /// What would have been accepted.
    pub expected: &'static str,
}

/// A project. A number, because Sentry SDKs accept only numeric project ids in a DSN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProjectId(pub u32);

impl fmt::Display for ProjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ProjectId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let expected = "a number from 1 to 4294967295";
        match text.parse() {
            Ok(number) if number > 0 => Ok(Self(number)),
            Ok(_) | Err(_) => Err(InvalidId {
                what: "project id",
                expected,
            }),
        }
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// An id named by content: the same content gives the same id.
            pub fn from_digest(digest: Digest) -> Self {
                Self(digest.short(32))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let fits = (1..=64).contains(&text.len())
                    && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
                if fits {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(InvalidId { what: $what, expected: "1 to 64 letters, digits, '-' or '_'" })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

text_id!(
    /// One report. Chosen by the client; 32 hex digits for Sentry SDKs (dashes removed).
    EventId, "event id"
);
text_id!(
    /// Events with one cause. Named by project and fingerprint.
    IssueId, "issue id"
);
text_id!(
    /// One candidate change to the product. Named by issue and patch.
    FixId, "fix id"
);
text_id!(
    /// Fixes that depart together. Named by project, base and fixes.
    BundleId, "bundle id"
);
text_id!(
    /// One version of one project. Named by project and version.
    ReleaseId, "release id"
);
text_id!(
    /// One release on one channel. Named by release and channel.
    RolloutId, "rollout id"
);
text_id!(
    /// One order to the build engine. Named by what is ordered.
    JobId, "job id"
);
text_id!(
    /// One message. Named by its cause and its place among that cause's messages.
    MessageId, "message id"
);
text_id!(
    /// One alert. Named by what it is about.
    AlertId, "alert id"
);
text_id!(
    /// One action that waits for a second person. Named by what was asked, by whom and when.
    RequestId, "request id"
);
text_id!(
    /// One install of the product on one machine: anonymous, stable, made by the client.
    DeviceId, "device id"
);
text_id!(
    /// One sealed batch of reports. Drawn by the client.
    BatchId, "batch id"
);
text_id!(
    /// The public key of a DSN: names a project's reporting key, is not a secret.
    DsnKey, "DSN key"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_refuse_what_could_be_a_path_or_markup() {
        for text in ["", "../x", "a/b", "<b>", "a b", &"x".repeat(65)] {
            assert!(text.parse::<DeviceId>().is_err(), "{text:?}");
        }
        assert!("device-1_A".parse::<DeviceId>().is_ok());
    }

    #[test]
    fn project_zero_is_not_a_project() {
        assert!("0".parse::<ProjectId>().is_err());
        assert_eq!("7".parse(), Ok(ProjectId(7)));
    }
}
