//! Content in S3, one object per key.
//!
//! S3 shows an object as a whole or not at all and reads back what was written last, so nothing is added here but bounds.
//! Each object carries a checksum that the client writes and checks.
//!
//! **Links are presigned requests** (AWS Signature Version 4 in the query): for one object and one method; a link to store also
//! for one length and one SHA-256.
//!
//! **Signed metadata is locked** (S3 Object Lock, mode governance) where the home says for how long: below `tuf/<project>/metadata/`
//! each version of an object can be neither deleted nor overwritten until then, by no function's role. The bucket must have
//! been made for it.
//!
//! **A number is given once**: metadata whose name begins with the number of its publication is stored only where nothing is yet
//! (`If-None-Match`). After a table was restored from a backup its numbers begin again, and would replace what devices have seen.
//!
//! **No key of the port begins with `~`** ([`check_blob_key`]): names below `~` belong to the adapters themselves, see
//! [`crate::store`].

use crate::failure::{failed, is};
use crate::lazy::Lazy;
use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::presigning::{PresignedRequest, PresigningConfig};
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::ObjectLockMode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kintsugi_domain::digest::{Digest, Hashing};
use kintsugi_domain::ports::{Blobs, Clock, Link, PortError, check_blob_key};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Content in a bucket. Clones share the client's connections.
#[derive(Debug, Clone)]
pub struct S3Blobs {
    client: Lazy<Client>,
    bucket: String,
    retention: Option<Retention>,
}

/// For how long signed metadata is locked.
#[derive(Clone)]
struct Retention {
    days: u32,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} days", self.days)
    }
}

impl Retention {
    fn until(&self) -> DateTime {
        let seconds = i64::from(self.days).saturating_mul(86_400);
        DateTime::from_secs(self.clock.now().as_second().saturating_add(seconds))
    }
}

/// Whether a key is that of signed metadata.
fn is_metadata(key: &str) -> bool {
    let mut parts = key.split('/');
    parts.next() == Some("tuf") && parts.nth(1) == Some("metadata")
}

/// Whether a key is that of metadata that bears the number of its publication. A root bears its own, and one that a crash cut off
/// is written again.
fn is_written_once(key: &str) -> bool {
    is_metadata(key) && !key.ends_with(".root.json")
}

impl S3Blobs {
    /// The content of a bucket.
    pub fn new(client: Lazy<Client>, bucket: impl Into<String>) -> Self {
        Self {
            client,
            bucket: bucket.into(),
            retention: None,
        }
    }

    /// The same, with signed metadata locked for so many days from when it is stored.
    #[must_use]
    pub fn with_retention(mut self, days: u32, clock: Arc<dyn Clock>) -> Self {
        self.retention = Some(Retention { days, clock });
        self
    }

    /// Stores an object under any name, also those below `~`.
    pub(crate) async fn put_object(&self, name: &str, content: Vec<u8>) -> Result<(), PortError> {
        let retention = self.retention.as_ref().filter(|_| is_metadata(name));
        let once = is_written_once(name).then(|| content.clone());
        let put = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(name)
            .set_object_lock_mode(retention.map(|_| ObjectLockMode::Governance))
            .set_object_lock_retain_until_date(retention.map(Retention::until))
            .set_if_none_match(once.as_ref().map(|_| "*".to_owned()))
            .body(ByteStream::from(content));
        match (put.send().await, once) {
            (Ok(_), _) => Ok(()),
            (Err(error), Some(ours)) if is(&error, &["PreconditionFailed"]) => {
                self.is_stored(name, &ours).await
            }
            (Err(error), _) => Err(failed(format!("store blob {name}"), &error)),
        }
    }

    /// Something is stored there: ours, where only the answer was lost, or another's.
    async fn is_stored(&self, name: &str, content: &[u8]) -> Result<(), PortError> {
        match self.get_object(name, content.len()).await {
            Ok(Some(stored)) if stored == content => Ok(()),
            Ok(_) | Err(PortError::Broken { .. }) => Err(PortError::Conflict {
                what: format!("blob {name}"),
            }),
            Err(error) => Err(error),
        }
    }

    /// Reads an object of any name, also those below `~`.
    pub(crate) async fn get_object(
        &self,
        name: &str,
        bytes_max: usize,
    ) -> Result<Option<Vec<u8>>, PortError> {
        let get = self.client.get_object().bucket(&self.bucket).key(name);
        match get.send().await {
            Ok(object) => read(name, object, bytes_max).await.map(Some),
            Err(error) if is(&error, &["NoSuchKey"]) => Ok(None),
            Err(error) => Err(failed(format!("read blob {name}"), &error)),
        }
    }
}

/// Reads an object, unless it says or turns out that it is too long.
async fn read(name: &str, object: GetObjectOutput, bytes_max: usize) -> Result<Vec<u8>, PortError> {
    let what = || format!("read blob {name}");
    let too_long = |length: usize| {
        let why = format!("{length} bytes where at most {bytes_max} are allowed");
        PortError::broken(what(), why)
    };
    let announced = object.content_length().unwrap_or(0);
    let announced = usize::try_from(announced).unwrap_or(0);
    if announced > bytes_max {
        return Err(too_long(announced));
    }
    let mut content = Vec::with_capacity(announced);
    let mut body = object.body;
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| PortError::unavailable(what(), error))?;
        if content.len().saturating_add(chunk.len()) > bytes_max {
            return Err(too_long(content.len().saturating_add(chunk.len())));
        }
        content.extend_from_slice(&chunk);
    }
    Ok(content)
}

#[async_trait]
impl Blobs for S3Blobs {
    async fn put(&self, key: &str, content: Vec<u8>) -> Result<(), PortError> {
        check_blob_key(key)?;
        self.put_object(key, content).await
    }

    async fn get(&self, key: &str, bytes_max: usize) -> Result<Option<Vec<u8>>, PortError> {
        check_blob_key(key)?;
        self.get_object(key, bytes_max).await
    }

    async fn length(&self, key: &str) -> Result<Option<u64>, PortError> {
        check_blob_key(key)?;
        let what = || format!("look at blob {key}");
        let head = self.client.head_object().bucket(&self.bucket).key(key);
        match head.send().await {
            Ok(object) => match object.content_length().map(u64::try_from) {
                Some(Ok(length)) => Ok(Some(length)),
                Some(Err(_)) | None => Err(PortError::unavailable(what(), "S3 told no length")),
            },
            // The answer to HEAD has no body, so no code either: the client makes it from the status.
            Err(error) if is(&error, &["NotFound", "NoSuchKey"]) => Ok(None),
            Err(error) => Err(failed(what(), &error)),
        }
    }

    async fn digest(&self, key: &str) -> Result<Option<(Digest, u64)>, PortError> {
        check_blob_key(key)?;
        let what = || format!("read blob {key}");
        let get = self.client.get_object().bucket(&self.bucket).key(key);
        let mut body = match get.send().await {
            Ok(object) => object.body,
            Err(error) if is(&error, &["NoSuchKey"]) => return Ok(None),
            Err(error) => return Err(failed(what(), &error)),
        };
        let mut hashing = Hashing::new();
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| PortError::unavailable(what(), error))?;
            hashing.update(&chunk);
        }
        Ok(Some(hashing.finish()))
    }

    async fn download_link(&self, key: &str, life: Duration) -> Result<Option<Link>, PortError> {
        check_blob_key(key)?;
        let what = || format!("link to blob {key}");
        let get = self.client.get_object().bucket(&self.bucket).key(key);
        let signed = get.presigned(lasting(life, key)?).await;
        let signed = signed.map_err(|error| failed(what(), &error))?;
        Ok(Some(link(&signed)))
    }

    /// S3 computes the checksum of what arrives and refuses other content than was announced.
    async fn upload_link(
        &self,
        key: &str,
        (digest, length): (Digest, u64),
        life: Duration,
    ) -> Result<Option<Link>, PortError> {
        check_blob_key(key)?;
        let what = || format!("link to store blob {key}");
        let length = i64::try_from(length).map_err(|error| PortError::broken(what(), error))?;
        let put = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .content_length(length)
            .checksum_sha256(STANDARD.encode(digest.as_bytes()));
        let signed = put.presigned(lasting(life, key)?).await;
        let signed = signed.map_err(|error| failed(what(), &error))?;
        Ok(Some(link(&signed)))
    }
}

fn lasting(life: Duration, key: &str) -> Result<PresigningConfig, PortError> {
    PresigningConfig::expires_in(life)
        .map_err(|error| PortError::broken(format!("link to blob {key}"), error))
}

fn link(signed: &PresignedRequest) -> Link {
    let headers = signed.headers();
    Link {
        url: signed.uri().to_owned(),
        headers: headers
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_s3::config::{BehaviorVersion, Builder, Credentials, Region};

    const KEY: &str = "tuf/1/targets/a.till-1.0.0.tar.zst";
    const LIFE: Duration = Duration::from_mins(15);

    /// A bucket that nobody asks: signing needs no network.
    fn bucket() -> S3Blobs {
        let config = Builder::new()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .credentials_provider(Credentials::new("id", "secret", None, None, "test"))
            .build();
        S3Blobs::new(Lazy::new(|| Client::from_conf(config)), "home")
    }

    /// The value of a parameter of a link's query.
    fn parameter<'l>(link: &'l Link, name: &str) -> Option<&'l str> {
        let (_, query) = link.url.split_once('?')?;
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs
            .find(|(found, _)| *found == name)
            .map(|(_, value)| value)
    }

    #[tokio::test]
    async fn a_link_is_signed_for_one_object_and_ends() {
        let down = bucket().download_link(KEY, LIFE).await.unwrap().unwrap();
        let at = format!("https://home.s3.eu-central-1.amazonaws.com/{KEY}?");
        assert!(down.url.starts_with(&at), "{}", down.url);
        assert_eq!(parameter(&down, "X-Amz-Expires"), Some("900"));
        assert_eq!(
            parameter(&down, "X-Amz-Algorithm"),
            Some("AWS4-HMAC-SHA256")
        );
        assert_eq!(parameter(&down, "X-Amz-SignedHeaders"), Some("host"));
        assert_eq!(parameter(&down, "X-Amz-Signature").unwrap().len(), 64);
        let headers: Vec<_> = down
            .headers
            .iter()
            .filter(|(name, _)| name != "host")
            .collect();
        assert!(headers.is_empty(), "{headers:?}");
        assert!(!format!("{down:?}").contains("Signature"));
    }

    #[tokio::test]
    async fn a_link_to_store_is_signed_for_one_length_and_one_digest() {
        let digest = Digest::of(b"package");
        let up = bucket().upload_link(KEY, (digest, 7), LIFE).await;
        let up = up.unwrap().unwrap();
        assert_eq!(parameter(&up, "X-Amz-Expires"), Some("900"));
        let signed = parameter(&up, "X-Amz-SignedHeaders").unwrap();
        for name in ["content-length", "x-amz-checksum-sha256"] {
            assert!(signed.contains(name), "{name} is not in {signed}");
        }
        let header = |name: &str| {
            let mut headers = up.headers.iter();
            headers
                .find(|(found, _)| found == name)
                .map(|(_, value)| value.clone())
        };
        assert_eq!(header("content-length").as_deref(), Some("7"));
        let checksum = STANDARD.encode(digest.as_bytes());
        assert_eq!(header("x-amz-checksum-sha256"), Some(checksum));
        let other = bucket().upload_link(KEY, (digest, 8), LIFE).await;
        let other = other.unwrap().unwrap();
        assert_ne!(
            parameter(&up, "X-Amz-Signature"),
            parameter(&other, "X-Amz-Signature")
        );
    }
}
