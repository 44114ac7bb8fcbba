//! Sessions: from [`super::Reporter::start_session`] to the end of the process or [`super::Reporter::end_session`], told to the home
//! as Sentry's SDKs tell theirs, so that it knows how a release does.
//!
//! With a folder, a file `<id>.session` marks a session that goes on. Its process holds a lock on it, which the system lets go of however the process
//! ends; the next start finds a mark that nobody holds and tells how that session ended:
//!
//! - **crashed**: it had panicked, or a native crash was saved after it began;
//! - **abnormal**: it said nothing: killed, switched off.
//!
//! A panic that was caught is an error of its session and no crash: **what counts is how the process went on**. The mark is a line of JSON,
//! and another line once it panicked.

use super::crashes;
use super::encode::random;
use kintsugi_domain::Timestamp;
use kintsugi_domain::health::SessionStatus;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

const ENDING: &str = ".session";
/// Longest mark that is read, bytes.
const MARK_BYTES_MAX: u64 = 16 * 1024;
/// The second line of a mark.
const PANICKED: &[u8] = b"panicked\n";

/// What is known of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Word {
    /// Its id.
    pub(super) sid: String,
    /// When it began.
    pub(super) started: Timestamp,
    /// What ran then, if that was said.
    pub(super) release: Option<String>,
    /// Where it ran.
    pub(super) environment: Option<String>,
    /// How it is going.
    #[serde(default = "goes_on")]
    pub(super) status: SessionStatus,
    /// Errors that were reported in it.
    #[serde(default)]
    pub(super) errors: u32,
    /// Its length in milliseconds, where it ended.
    #[serde(default)]
    pub(super) duration_ms: Option<u64>,
}

fn goes_on() -> SessionStatus {
    SessionStatus::Ok
}

/// A session that goes on.
pub(super) struct Session {
    word: Word,
    mark: Option<(PathBuf, File)>,
}

impl Session {
    /// Begins one. Without a folder there is no mark, and nobody learns of an end without a word.
    pub(super) fn begin(
        (release, environment): (Option<&str>, Option<&str>),
        folder: Option<&Path>,
        now: Timestamp,
    ) -> Option<Self> {
        let sid = format!("{:032x}", u128::from_be_bytes(random::<16>()?));
        let word = Word {
            sid: sid.clone(),
            started: now,
            release: release.map(str::to_owned),
            environment: environment.map(str::to_owned),
            status: SessionStatus::Ok,
            errors: 0,
            duration_ms: None,
        };
        let mark = folder.and_then(|folder| {
            let (aside, path) = (
                folder.join(format!("{sid}.part")),
                folder.join(sid + ENDING),
            );
            let mut file = File::create_new(&aside).ok()?;
            // Locked before it has the name under which others look for it.
            file.lock().ok()?;
            let mut line = serde_json::to_vec(&word).ok()?;
            line.push(b'\n');
            file.write_all(&line).ok()?;
            fs::rename(&aside, &path).ok()?;
            Some((path, file))
        });
        Some(Self { word, mark })
    }

    /// Its id.
    pub(super) fn sid(&self) -> &str {
        &self.word.sid
    }

    /// What is known of it now.
    pub(super) fn word(&self) -> Word {
        self.word.clone()
    }

    /// An error was reported in it.
    pub(super) fn error(&mut self) {
        self.word.errors = self.word.errors.saturating_add(1);
    }

    /// It panicked. If nobody says more, it crashed.
    pub(super) fn panicked(&mut self) {
        if let Some((_, file)) = &mut self.mark {
            let _ = file.write_all(PANICKED);
        }
    }

    /// Ends it.
    pub(super) fn end(mut self, status: SessionStatus, now: Timestamp) -> Word {
        if let Some((path, file)) = self.mark.take() {
            let _ = fs::remove_file(path);
            drop(file);
        }
        let length = now.duration_since(self.word.started).as_millis();
        self.word.status = status;
        self.word.duration_ms = u64::try_from(length).ok();
        self.word
    }

    /// Forgets it: there is no consent any more.
    pub(super) fn forget(mut self) {
        if let Some((path, _)) = self.mark.take() {
            let _ = fs::remove_file(path);
        }
    }
}

/// How sessions ended whose processes are no more. Their marks are taken away.
pub(super) fn left_behind(folder: &Path) -> Vec<Word> {
    let mut words: Vec<(Word, bool)> = marks(folder)
        .iter()
        .filter_map(|path| taken(path))
        .collect();
    words.sort_by_key(|(word, _)| word.started);
    // Each dump is of the last session that had begun before it.
    for crash in crashes::waiting(folder).iter().rev() {
        let Some(at) = crashes::at(crash) else {
            continue;
        };
        let mut before = words.iter_mut().rev();
        let found = before.find(|(word, crashed)| word.started <= at && !crashed);
        if let Some((_, crashed)) = found {
            *crashed = true;
        }
    }
    let ended = words.into_iter().map(|(mut word, crashed)| {
        word.status = if crashed {
            SessionStatus::Crashed
        } else {
            SessionStatus::Abnormal
        };
        word
    });
    ended.collect()
}

/// Takes a mark away that nobody holds, and says whether its session had panicked.
fn taken(path: &Path) -> Option<(Word, bool)> {
    let file = File::open(path).ok()?;
    file.try_lock().ok()?;
    let mut content = Vec::new();
    let read = (&file).take(MARK_BYTES_MAX).read_to_end(&mut content);
    let _ = fs::remove_file(path);
    read.ok()?;
    let mut lines = content.splitn(2, |byte| *byte == b'\n');
    let word = serde_json::from_slice(lines.next()?).ok()?;
    Some((
        word,
        lines.next().is_some_and(|rest| rest.starts_with(PANICKED)),
    ))
}

/// Takes all marks away.
pub(super) fn clear(folder: &Path) {
    for mark in marks(folder) {
        let _ = fs::remove_file(mark);
    }
}

fn marks(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter(|entry| entry.file_name().to_string_lossy().ends_with(ENDING));
    names.map(|entry| entry.path()).collect()
}
