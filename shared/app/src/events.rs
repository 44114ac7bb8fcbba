//! Bodies of events. They lie in batches, one blob for what was accepted or filed together: a record of each would cost what
//! all the rest of a report costs together (`docs/cost.md`), and few are ever read again.
//!
//! A batch is a JSON array of events, compressed with zstd (RFC 8878), and named by its content: to keep it twice is to keep it
//! once. **A batch is stored before anything names it.** One whose filing failed may stay, and nothing names it then.

use crate::records;
use kintsugi_domain::digest::Digest;
use kintsugi_domain::event::{Event, FiledEvent};
use kintsugi_domain::id::{EventId, ProjectId};
use kintsugi_domain::limits::{REPORTS_FOLDER, REQUEST_DECODED_BYTES_MAX};
use kintsugi_domain::ports::{Blobs, PortError, Ports};
use kintsugi_domain::record::Stored;
use std::io::Read;

/// A batch is at most what one request decodes to, written anew; JSON grows a little when rewritten.
const BATCH_BYTES_MAX: usize = 2 * REQUEST_DECODED_BYTES_MAX;

/// How hard a batch is compressed: 3, zstd's usual, makes it two hundredths smaller for a third more time.
const LEVEL: i32 = 1;

/// Stores a batch, the JSON of a list of events, and returns its key.
pub async fn keep(blobs: &dyn Blobs, project: ProjectId, json: &[u8]) -> Result<String, PortError> {
    let what = "write a batch of events";
    if json.len() > BATCH_BYTES_MAX {
        let why = format!("{} bytes where {BATCH_BYTES_MAX} are allowed", json.len());
        return Err(PortError::broken(what, why));
    }
    let packed =
        zstd::bulk::compress(json, LEVEL).map_err(|error| PortError::broken(what, error))?;
    let key = format!(
        "{REPORTS_FOLDER}/{project}/{}.json.zst",
        Digest::of(&packed)
    );
    blobs.put(&key, packed).await?;
    Ok(key)
}

/// The events of a batch, or nothing when it is not stored, or no longer.
pub async fn batch(blobs: &dyn Blobs, key: &str) -> Result<Option<Vec<Event>>, PortError> {
    let what = || format!("batch {key}");
    let broken = |error: std::io::Error| PortError::broken(what(), error);
    let Some(packed) = blobs.get(key, BATCH_BYTES_MAX).await? else {
        return Ok(None);
    };
    let mut json = Vec::new();
    zstd::Decoder::with_buffer(packed.as_slice())
        .map_err(broken)?
        .take(BATCH_BYTES_MAX as u64 + 1)
        .read_to_end(&mut json)
        .map_err(broken)?;
    if json.len() > BATCH_BYTES_MAX {
        let why = format!("it unfolds into more than {BATCH_BYTES_MAX} bytes");
        return Err(PortError::broken(what(), why));
    }
    let events = serde_json::from_slice(&json);
    events
        .map(Some)
        .map_err(|error| PortError::broken(what(), error))
}

/// An event that was filed, or nothing when it was not, or its body is no longer kept.
pub async fn filed(
    ports: &Ports,
    project: ProjectId,
    id: &EventId,
) -> Result<Option<Event>, PortError> {
    let filed: Option<Stored<FiledEvent>> =
        records::get(ports.store.as_ref(), project, id.as_str()).await?;
    let Some(Stored { value: filed, .. }) = filed else {
        return Ok(None);
    };
    let Some(events) = batch(ports.blobs.as_ref(), &filed.batch).await? else {
        return Ok(None);
    };
    match events.into_iter().find(|event| event.id == *id) {
        Some(event) => Ok(Some(event)),
        None => Err(PortError::broken(
            format!("event {id} of project {project}"),
            format!("its batch {} has no such event", filed.batch),
        )),
    }
}

/// The event that an issue names as its sample.
pub async fn sample(ports: &Ports, project: ProjectId, id: &EventId) -> Result<Event, PortError> {
    let missing = || {
        PortError::broken(
            format!("event {id} of project {project}"),
            "an issue names it, and its body is not stored, or no longer",
        )
    };
    filed(ports, project, id).await?.ok_or_else(missing)
}
