//! Sealed batches that wait, in a folder or in memory, bounded in bytes.
//!
//! A file is named `<when sealed, ms>-<reports>.<sessions>.<metrics>-<batch id>.batch`, so names sort by age. It is written aside, flushed and
//! renamed: a file that is there is whole. Several processes may share a folder: a batch that two of them send is taken
//! once by the home, and what is written aside belongs to somebody until it is old.

use super::StartError;
use super::crashes;
use super::encode::{Batch, random};
use super::metrics::Contents;
use super::session;
use kintsugi_domain::Timestamp;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The file that names this install.
const DEVICE_FILE: &str = "device";
const ENDING: &str = ".batch";
/// What is written aside: batches and the install's name; marks of sessions and native crashes.
const ASIDE: [&str; 2] = [".new", ".part"];
/// From when on nobody is writing a file any more: it takes milliseconds, on a slow disk seconds. Whoever was stopped meanwhile finds it gone,
/// and counts a batch as lost.
const ABANDONED_AFTER: Duration = Duration::from_hours(1);
/// Largest batch that is read back, bytes.
const BATCH_BYTES_MAX: u64 = 20 * 1024 * 1024;

pub(super) struct Outbox {
    place: Place,
    /// The name of this install in this run.
    device: Option<String>,
    bytes_max: u64,
}

enum Place {
    Folder(PathBuf),
    Memory(BTreeMap<String, Vec<u8>>),
}

impl Outbox {
    pub(super) fn open(folder: Option<&Path>, bytes_max: u64) -> Result<Self, StartError> {
        let place = match folder {
            Some(folder) => {
                fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
                Place::Folder(folder.to_owned())
            }
            None => Place::Memory(BTreeMap::new()),
        };
        Ok(Self {
            place,
            device: None,
            bytes_max,
        })
    }

    /// Whether batches outlive the process.
    pub(super) fn is_durable(&self) -> bool {
        matches!(self.place, Place::Folder(_))
    }

    /// The anonymous name of this install: drawn once, and kept in the folder once there is consent.
    pub(super) fn device(&mut self, has_consent: bool) -> Result<Option<String>, StartError> {
        let path = match &self.place {
            Place::Folder(folder) => Some(folder.join(DEVICE_FILE)),
            Place::Memory(_) => None,
        };
        let is_name =
            |text: &String| text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let known = path.as_ref().and_then(|path| fs::read_to_string(path).ok());
        if let Some(known) = known.filter(is_name) {
            return Ok(Some(known));
        }
        let name = if let Some(name) = self.device.take() {
            name
        } else {
            let bytes = random::<16>().ok_or(StartError::Randomness)?;
            format!("{:032x}", u128::from_be_bytes(bytes))
        };
        if let Some(path) = path.filter(|_| has_consent) {
            write(&path, name.as_bytes()).map_err(|error| failed(&path, &error))?;
        }
        self.device = Some(name.clone());
        Ok(Some(name))
    }

    /// Puts a batch in, and says what is lost: older ones that had to go for it, and the batch itself where it would not
    /// fit into an empty outbox or cannot be written.
    pub(super) fn put(&mut self, batch: &Batch) -> Contents {
        let length = batch.body.len() as u64;
        if length > self.bytes_max {
            return batch.contents;
        }
        let at = batch.created.as_millisecond().max(0);
        let Contents {
            reports,
            sessions,
            metrics,
        } = batch.contents;
        let name = format!(
            "{at:015}-{reports}.{sessions}.{metrics}-{}{ENDING}",
            batch.id
        );
        let gone = self.make_room(length);
        match &mut self.place {
            Place::Folder(folder) => {
                if write(&folder.join(name), &batch.body).is_err() {
                    return gone.and(batch.contents);
                }
            }
            Place::Memory(batches) => {
                batches.insert(name, batch.body.clone());
            }
        }
        gone
    }

    fn make_room(&mut self, bytes: u64) -> Contents {
        let mut waiting = self.sizes();
        let mut all: u64 = waiting.iter().map(|(_, length)| length).sum();
        let mut gone = Contents::default();
        waiting.reverse();
        while all.saturating_add(bytes) > self.bytes_max {
            let Some((oldest, length)) = waiting.pop() else {
                break;
            };
            self.remove(&oldest);
            all = all.saturating_sub(length);
            gone = gone.and(contents(&oldest));
        }
        gone
    }

    /// The batches that wait with their lengths, oldest first.
    fn sizes(&self) -> Vec<(String, u64)> {
        let mut found: Vec<(String, u64)> = match &self.place {
            Place::Memory(batches) => batches
                .iter()
                .map(|(name, body)| (name.clone(), body.len() as u64))
                .collect(),
            Place::Folder(folder) => fs::read_dir(folder)
                .into_iter()
                .flatten()
                .flatten()
                .filter_map(|entry| {
                    let name = entry.file_name().into_string().ok()?;
                    let length = entry.metadata().ok()?.len();
                    name.ends_with(ENDING).then_some((name, length))
                })
                .collect(),
        };
        found.sort();
        found
    }

    /// The names of the batches that wait, oldest first.
    pub(super) fn waiting(&self) -> Vec<String> {
        self.sizes().into_iter().map(|(name, _)| name).collect()
    }

    /// A batch; nothing where another process has sent it meanwhile.
    pub(super) fn read(&self, name: &str) -> Option<Vec<u8>> {
        match &self.place {
            Place::Memory(batches) => batches.get(name).cloned(),
            Place::Folder(folder) => {
                let mut body = Vec::new();
                let file = File::open(folder.join(name)).ok()?;
                file.take(BATCH_BYTES_MAX).read_to_end(&mut body).ok()?;
                Some(body)
            }
        }
    }

    /// Takes a batch out.
    pub(super) fn remove(&mut self, name: &str) {
        match &mut self.place {
            Place::Memory(batches) => {
                batches.remove(name);
            }
            Place::Folder(folder) => {
                let _ = fs::remove_file(folder.join(name));
            }
        }
    }

    /// Deletes what processes that were killed left half written.
    pub(super) fn tidy(&self, now: Timestamp) {
        self.remove_aside(|written| {
            // A time that is to come is one of a clock that was wrong.
            now.duration_since(written).unsigned_abs() >= ABANDONED_AFTER
        });
    }

    /// Deletes what is written aside, by when it was written.
    fn remove_aside(&self, goes: impl Fn(Timestamp) -> bool) {
        let Place::Folder(folder) = &self.place else {
            return;
        };
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let is_aside = entry.file_name().to_str().is_some_and(is_aside);
            let written = entry.metadata().and_then(|data| data.modified());
            let written = written.ok().and_then(|at| Timestamp::try_from(at).ok());
            if is_aside && written.is_some_and(&goes) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Deletes everything that waits, saved crashes and the marks of sessions too, and the name of the install.
    pub(super) fn clear(&mut self) {
        for name in self.waiting() {
            self.remove(&name);
        }
        if let Place::Folder(folder) = &self.place {
            // Without this file no crash is saved any more.
            let _ = fs::remove_file(folder.join(DEVICE_FILE));
            session::clear(folder);
            for crash in crashes::waiting(folder) {
                let _ = fs::remove_file(crash);
            }
            self.remove_aside(|_| true);
        }
    }
}

/// What a batch holds, by its name. Those of an earlier version name only reports.
pub(super) fn contents(name: &str) -> Contents {
    let counts = name.split('-').nth(1).unwrap_or_default();
    let mut counts = counts.split('.').map(|count| count.parse().ok());
    let mut next = || counts.next().flatten();
    Contents {
        reports: next().unwrap_or(1),
        sessions: next().unwrap_or(0),
        metrics: next().unwrap_or(0),
    }
}

/// The batch's id, by its name.
pub(super) fn id(name: &str) -> Option<&str> {
    name.strip_suffix(ENDING)?.splitn(3, '-').nth(2)
}

fn failed(folder: &Path, error: &io::Error) -> StartError {
    StartError::Folder {
        folder: folder.display().to_string(),
        why: error.to_string(),
    }
}

/// Whether a file is one of those that are written aside: named by numbers and ids, or the install's name. Other programs call theirs `film.part`.
fn is_aside(name: &str) -> bool {
    let mut stems = ASIDE.iter().filter_map(|ending| name.strip_suffix(ending));
    stems.any(|stem| {
        let is_ours = |b: u8| b.is_ascii_hexdigit() || b == b'-' || b == b'.';
        stem == DEVICE_FILE || stem.bytes().all(is_ours)
    })
}

/// Writes a file whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let aside = path.with_extension("new");
    let written = File::create(&aside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&aside, path)
    });
    if written.is_err() {
        // Where the disk is full, half a file is in the way of the next.
        let _ = fs::remove_file(&aside);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use kintsugi_domain::digest::Digest;
    use kintsugi_domain::id::BatchId;

    #[test]
    fn what_cannot_be_written_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        // Nothing can take the place of a folder.
        let path = folder.path().join("taken.batch");
        fs::create_dir(&path).unwrap();
        assert!(write(&path, b"whole").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_went_for_a_batch_that_cannot_be_written_is_lost_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut outbox = Outbox::open(Some(folder.path()), 10).unwrap();
        let id = BatchId::from_digest(Digest::of(b"the second"));
        let batch = |id: &BatchId, reports| Batch {
            id: id.clone(),
            created: Timestamp::UNIX_EPOCH,
            contents: Contents::reports(reports),
            body: vec![0; 6],
        };
        let first = BatchId::from_digest(Digest::of(b"the first"));
        assert_eq!(outbox.put(&batch(&first, 2)), Contents::default());
        // Where it would be written aside there is a folder.
        fs::create_dir(folder.path().join(format!("{:015}-3.0.0-{id}.new", 0))).unwrap();
        assert_eq!(outbox.put(&batch(&id, 3)), Contents::reports(5));
    }
}
