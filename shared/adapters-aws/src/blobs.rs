//! Content in S3, one object per key.
//!
//! S3 shows an object as a whole or not at all and reads back what was written last, so nothing is added here but bounds.
//! Each object carries a checksum that the client writes and checks.
//!
//! **No key of the port begins with `~`** ([`check_blob_key`]): names below `~` belong to the adapters themselves, see
//! [`crate::store`].

use crate::failure::{failed, is};
use crate::lazy::Lazy;
use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use kintsugi_domain::ports::{Blobs, PortError, check_blob_key};

/// Content in a bucket. Clones share the client's connections.
#[derive(Debug, Clone)]
pub struct S3Blobs {
    client: Lazy<Client>,
    bucket: String,
}

impl S3Blobs {
    /// The content of a bucket.
    pub fn new(client: Lazy<Client>, bucket: impl Into<String>) -> Self {
        Self {
            client,
            bucket: bucket.into(),
        }
    }

    /// Stores an object under any name, also those below `~`.
    pub(crate) async fn put_object(&self, name: &str, content: Vec<u8>) -> Result<(), PortError> {
        let put = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(name)
            .body(ByteStream::from(content));
        match put.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(failed(format!("store blob {name}"), &error)),
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
}
