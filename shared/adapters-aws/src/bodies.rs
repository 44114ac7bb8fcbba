//! Bodies in items of at most 400 KB: short ones as they are, longer ones compressed, the longest in S3.
//!
//! A body in S3 is named by its content, below `~records/` or `~messages/`, and read only when it has that name: writing it twice is writing it once, and a
//! transaction that fails leaves at most an object that nobody names. **Such objects are never removed here**; what lies below
//! `~messages/` may expire after the 30 days for which messages are remembered, what lies below `~records/` may not.

use crate::blobs::S3Blobs;
use crate::table::{Item, string, text};
use aws_sdk_dynamodb::types::AttributeValue;
use kintsugi_domain::digest::Digest;
use kintsugi_domain::ports::PortError;
use std::io::Read;

/// The attribute of a body that is in the item: text, or bytes when it is compressed.
const BODY: &str = "body";
/// The attribute of a body that is in S3: the object's name.
const BLOB: &str = "blob";

/// Longer bodies are compressed: DynamoDB counts and prices every kilobyte that is written.
const PLAIN_BYTES_MAX: usize = 1024;
/// Bodies that are longer when compressed go to S3. The rest of an item has 50 KB below DynamoDB's 400 KB.
pub(crate) const PACKED_BYTES_MAX: usize = 350 * 1024;
/// The longest body that is read back; far above what the domain allows.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A body on its way into an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Body {
    /// Text.
    Plain(String),
    /// Text, compressed with zstd (RFC 8878).
    Packed(Vec<u8>),
    /// The same, for S3.
    Spilled { name: String, content: Vec<u8> },
}

/// Where the longest bodies of records lie in the bucket.
pub(crate) const RECORDS: &str = "~records";
/// Where the longest bodies of messages lie in the bucket.
pub(crate) const MESSAGES: &str = "~messages";

/// Where bodies too long for an item go.
#[derive(Debug, Clone)]
pub(crate) struct Bodies {
    blobs: S3Blobs,
    folder: &'static str,
}

impl Body {
    /// How many bytes of the item it takes.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Plain(text) => text.len(),
            Self::Packed(content) => content.len(),
            Self::Spilled { name, .. } => name.len(),
        }
    }

    /// The attribute of the item.
    pub(crate) fn attribute(self) -> (String, AttributeValue) {
        match self {
            Self::Plain(body) => (BODY.to_owned(), text(body)),
            Self::Packed(content) => (BODY.to_owned(), AttributeValue::B(content.into())),
            Self::Spilled { name, .. } => (BLOB.to_owned(), text(name)),
        }
    }
}

fn unpack(what: &str, packed: &[u8]) -> Result<String, PortError> {
    let failed = |error: std::io::Error| PortError::broken(what, error);
    let mut text = String::new();
    zstd::Decoder::with_buffer(packed)
        .map_err(failed)?
        .take(BODY_BYTES_MAX as u64)
        .read_to_string(&mut text)
        .map_err(failed)?;
    if text.len() >= BODY_BYTES_MAX {
        let why = format!("its body is longer than {BODY_BYTES_MAX} bytes");
        return Err(PortError::broken(what, why));
    }
    Ok(text)
}

impl Bodies {
    /// Bodies whose longest lie below `folder`.
    pub(crate) fn new(blobs: S3Blobs, folder: &'static str) -> Self {
        Self { blobs, folder }
    }

    /// A body as it fits into an item.
    pub(crate) fn pack(&self, what: &str, text: String) -> Result<Body, PortError> {
        if text.len() <= PLAIN_BYTES_MAX {
            return Ok(Body::Plain(text));
        }
        if text.len() >= BODY_BYTES_MAX {
            let why = format!("{} bytes where {BODY_BYTES_MAX} are too many", text.len());
            return Err(PortError::broken(what, why));
        }
        let packed = zstd::bulk::compress(text.as_bytes(), 0);
        let packed = packed.map_err(|error| PortError::broken(what, error))?;
        let body = if packed.len() < text.len() {
            Body::Packed(packed)
        } else {
            Body::Plain(text)
        };
        if body.bytes() <= PACKED_BYTES_MAX {
            return Ok(body);
        }
        self.spill(what, body)
    }

    /// The same body for S3.
    pub(crate) fn spill(&self, what: &str, body: Body) -> Result<Body, PortError> {
        let content = match body {
            Body::Plain(text) => zstd::bulk::compress(text.as_bytes(), 0)
                .map_err(|error| PortError::broken(what, error))?,
            Body::Packed(content) => content,
            Body::Spilled { .. } => return Ok(body),
        };
        let name = self.named(&content);
        Ok(Body::Spilled { name, content })
    }

    /// The name of an object with that content.
    fn named(&self, content: &[u8]) -> String {
        format!("{}/{}", self.folder, Digest::of(content))
    }

    /// Puts what belongs there into S3. Must end before the item is written.
    pub(crate) async fn store(&self, body: &Body) -> Result<(), PortError> {
        match body {
            Body::Plain(_) | Body::Packed(_) => Ok(()),
            Body::Spilled { name, content } => self.blobs.put_object(name, content.clone()).await,
        }
    }

    /// The body of an item.
    pub(crate) async fn read(&self, what: &str, item: &Item) -> Result<String, PortError> {
        if let Some(name) = string(item, BLOB) {
            let packed = self.blobs.get_object(name, BODY_BYTES_MAX).await?;
            let lost = || PortError::broken(what, format_args!("its body {name} is gone"));
            let packed = packed.ok_or_else(lost)?;
            // Every function may write there, also over what only one may write into the table.
            if self.named(&packed) != name {
                let why = format!("its body {name} is not what was written");
                return Err(PortError::broken(what, why));
            }
            return unpack(what, &packed);
        }
        let body = item.get(BODY);
        if let Some(plain) = body.and_then(|body| body.as_s().ok()) {
            return Ok(plain.clone());
        }
        match body.and_then(|body| body.as_b().ok()) {
            Some(packed) => unpack(what, packed.as_ref()),
            None => Err(PortError::broken(what, "it has no body")),
        }
    }
}
