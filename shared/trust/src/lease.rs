//! The lease of a job: a runner that reports on a job shows that this home gave it that job.
//!
//! It carries the delivery of the job's message, receipt included, so that the home need not remember who works on what, and any
//! process of it can settle the delivery. A MAC as in [`crate::ticket`], because only the home reads it.
//! Form: `base64url(JSON) . base64url(HMAC-SHA-256)`.
//!
//! **Invariants: nothing of a lease is read before its MAC was checked, in constant time; a lease is good for its holder only.**
//! Not here: when it ends. That is the queue's business, which knows the newest delivery of each message.

use crate::json;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use kintsugi_domain::ports::Delivery;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// The version of the lease's written form.
pub const LEASE_FORMAT: u16 = 1;
/// Longest lease that is written or read, bytes: it travels in a header, of which gateways take about 10 KB in all.
pub const LEASE_BYTES_MAX: usize = 6 * 1024;
/// Goes into the MAC first, so that no other MAC under the same secret can be a lease.
const CONTEXT: &[u8] = b"kintsugi lease\0";

/// Why a lease is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// Not the form of a lease, or longer than [`LEASE_BYTES_MAX`].
    #[error("not a lease")]
    Malformed,
    /// Not made with this secret, or changed since.
    #[error("the lease was not made here")]
    Forged,
    /// Made for somebody else.
    #[error("the lease is another runner's")]
    NotYours,
    /// It could not be written.
    #[error("the lease cannot be written: {why}")]
    Encoding {
        /// What is wrong.
        why: String,
    },
}

impl LeaseError {
    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "lease.malformed",
            Self::Forged => "lease.forged",
            Self::NotYours => "lease.not_yours",
            Self::Encoding { .. } => "lease.encoding",
        }
    }
}

/// A job in the hands of a runner.
#[derive(Debug, Clone, PartialEq)]
pub struct Lease {
    /// Whose it is: the subject of the token it was asked for with.
    pub holder: String,
    /// How long the job stays with its holder after each sign of life, seconds.
    pub seconds: u32,
    /// The message that orders the job, as it was delivered.
    pub delivery: Delivery,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    f: u16,
    h: String,
    s: u32,
    d: Delivery,
}

impl Lease {
    /// The lease as text.
    pub fn seal(&self, secret: &[u8; 32]) -> Result<String, LeaseError> {
        let encoding = |why: String| LeaseError::Encoding { why };
        let wire = Wire {
            f: LEASE_FORMAT,
            h: self.holder.clone(),
            s: self.seconds,
            d: self.delivery.clone(),
        };
        let body = serde_json::to_string(&wire).map_err(|error| encoding(error.to_string()))?;
        let body = URL_SAFE_NO_PAD.encode(body);
        let tag = mac(secret, &body)?.finalize().into_bytes();
        let text = format!("{body}.{}", URL_SAFE_NO_PAD.encode(tag));
        if text.len() > LEASE_BYTES_MAX {
            return Err(encoding(format!("it would have {} bytes", text.len())));
        }
        Ok(text)
    }

    /// Reads a lease that was sealed with this secret for `holder`.
    pub fn open(text: &str, secret: &[u8; 32], holder: &str) -> Result<Self, LeaseError> {
        if text.len() > LEASE_BYTES_MAX {
            return Err(LeaseError::Malformed);
        }
        let (body, tag) = text.split_once('.').ok_or(LeaseError::Malformed)?;
        let tag = URL_SAFE_NO_PAD
            .decode(tag)
            .map_err(|_| LeaseError::Malformed)?;
        mac(secret, body)?
            .verify_slice(&tag)
            .map_err(|_| LeaseError::Forged)?;
        let lease = Self::read(body).ok_or(LeaseError::Malformed)?;
        if lease.holder == holder {
            Ok(lease)
        } else {
            Err(LeaseError::NotYours)
        }
    }

    fn read(body: &str) -> Option<Self> {
        let body = URL_SAFE_NO_PAD.decode(body).ok()?;
        let value = json::parse(&body, LEASE_BYTES_MAX).ok()?;
        let wire: Wire = serde_json::from_value(value).ok()?;
        (wire.f == LEASE_FORMAT).then_some(Self {
            holder: wire.h,
            seconds: wire.s,
            delivery: wire.d,
        })
    }
}

fn mac(secret: &[u8; 32], body: &str) -> Result<Hmac<Sha256>, LeaseError> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).map_err(|error| LeaseError::Encoding {
        why: error.to_string(),
    })?;
    mac.update(CONTEXT);
    mac.update(body.as_bytes());
    Ok(mac)
}
