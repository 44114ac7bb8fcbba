//! The ticket of an offer: a device that reports an outcome shows that the offer was made to it.
//!
//! A MAC, not a signature: only the server that made the ticket reads it, and one is made per request.
//! Form: `base64url(JSON) . base64url(HMAC-SHA-256)`.
//!
//! **Invariant: nothing of a ticket is read before its MAC was checked, in constant time.**

use crate::json;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use kintsugi_domain::Timestamp;
use kintsugi_domain::cohort::Arm;
use kintsugi_domain::id::{DeviceId, ProjectId, RolloutId};
use semver::Version;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::time::Duration;

/// The version of the ticket's written form.
pub const TICKET_FORMAT: u16 = 1;
/// Longest ticket that is read, bytes.
pub const TICKET_BYTES_MAX: usize = 1024;
/// How far in the future a ticket may have been made, for servers whose clocks differ, seconds.
pub const CLOCK_SKEW_SECONDS_MAX: i64 = 300;
/// Goes into the MAC first, so that no other MAC under the same secret can be a ticket.
const CONTEXT: &[u8] = b"kintsugi ticket\0";

/// Why a ticket is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// Not the form of a ticket, or longer than [`TICKET_BYTES_MAX`].
    #[error("not a ticket")]
    Malformed,
    /// Not made with this secret, or changed since.
    #[error("the ticket was not made here")]
    Forged,
    /// Too old.
    #[error("the ticket is older than {seconds_max} s")]
    TooOld {
        /// The greatest age.
        seconds_max: u64,
    },
    /// Made in the future.
    #[error("the ticket was made in the future")]
    NotYet,
    /// It could not be written.
    #[error("the ticket cannot be written: {why}")]
    Encoding {
        /// What is wrong.
        why: String,
    },
}

impl TicketError {
    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "ticket.malformed",
            Self::Forged => "ticket.forged",
            Self::TooOld { .. } => "ticket.too_old",
            Self::NotYet => "ticket.not_yet",
            Self::Encoding { .. } => "ticket.encoding",
        }
    }
}

/// An offer that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// The project.
    pub project: ProjectId,
    /// The comparison that the device is part of.
    pub rollout: RolloutId,
    /// The version that rolls out.
    pub version: Version,
    /// The device.
    pub device: DeviceId,
    /// Its arm.
    pub arm: Arm,
    /// When the offer was made; kept to the second.
    pub issued_at: Timestamp,
}

/// The written form: short names, because a ticket travels with each manifest.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    f: u16,
    p: ProjectId,
    r: RolloutId,
    v: Version,
    d: DeviceId,
    a: Arm,
    t: i64,
}

impl Ticket {
    /// The ticket as text.
    pub fn seal(&self, secret: &[u8; 32]) -> Result<String, TicketError> {
        let wire = Wire {
            f: TICKET_FORMAT,
            p: self.project,
            r: self.rollout.clone(),
            v: self.version.clone(),
            d: self.device.clone(),
            a: self.arm,
            t: self.issued_at.as_second(),
        };
        let body = serde_json::to_string(&wire).map_err(|error| TicketError::Encoding {
            why: error.to_string(),
        })?;
        let body = URL_SAFE_NO_PAD.encode(body);
        let mac = mac(secret, &body)?.finalize().into_bytes();
        Ok(format!("{body}.{}", URL_SAFE_NO_PAD.encode(mac)))
    }

    /// Reads a ticket that was sealed with this secret, at most `max_age` ago.
    pub fn open(
        text: &str,
        secret: &[u8; 32],
        now: Timestamp,
        max_age: Duration,
    ) -> Result<Self, TicketError> {
        if text.len() > TICKET_BYTES_MAX {
            return Err(TicketError::Malformed);
        }
        let (body, tag) = text.split_once('.').ok_or(TicketError::Malformed)?;
        let tag = URL_SAFE_NO_PAD
            .decode(tag)
            .map_err(|_| TicketError::Malformed)?;
        mac(secret, body)?
            .verify_slice(&tag)
            .map_err(|_| TicketError::Forged)?;
        let ticket = Self::read(body).ok_or(TicketError::Malformed)?;
        let age = now.as_second().saturating_sub(ticket.issued_at.as_second());
        if age < -CLOCK_SKEW_SECONDS_MAX {
            return Err(TicketError::NotYet);
        }
        match u64::try_from(age) {
            Ok(age) if age > max_age.as_secs() => Err(TicketError::TooOld {
                seconds_max: max_age.as_secs(),
            }),
            Ok(_) | Err(_) => Ok(ticket),
        }
    }

    fn read(body: &str) -> Option<Self> {
        let body = URL_SAFE_NO_PAD.decode(body).ok()?;
        let value = json::parse(&body, TICKET_BYTES_MAX).ok()?;
        let wire: Wire = serde_json::from_value(value).ok()?;
        if wire.f != TICKET_FORMAT {
            return None;
        }
        Some(Self {
            project: wire.p,
            rollout: wire.r,
            version: wire.v,
            device: wire.d,
            arm: wire.a,
            issued_at: Timestamp::from_second(wire.t).ok()?,
        })
    }
}

fn mac(secret: &[u8; 32], body: &str) -> Result<Hmac<Sha256>, TicketError> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret).map_err(|error| TicketError::Encoding {
            why: error.to_string(),
        })?;
    mac.update(CONTEXT);
    mac.update(body.as_bytes());
    Ok(mac)
}
