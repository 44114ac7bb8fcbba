//! Native crashes that an earlier run left in the folder, saved by the process that watched it (`kintsugi_native`).
//!
//! A file `*.crash` is a line of JSON, `{"format": 1, "at": <ms since 1970>, "release": …}`, and a minidump. One that cannot be read is
//! deleted: nobody else will want it.

use kintsugi_domain::Timestamp;
use serde::Deserialize;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

const ENDING: &str = ".crash";
/// Longest file that is read, bytes: the longest dump that is kept and its first line.
const BYTES_MAX: u64 = 16 * 1024 * 1024 + 4096;

/// A native crash.
pub(super) struct Crash {
    /// When it was saved.
    pub(super) at: Timestamp,
    /// What ran then, if that was said.
    pub(super) release: Option<String>,
    /// The minidump.
    pub(super) dump: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    format: u16,
    at: i64,
    release: Option<String>,
}

/// The crashes that wait, the oldest first.
pub(super) fn waiting(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().to_string_lossy().ends_with(ENDING))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

/// When a crash was saved, by the name of its file.
pub(super) fn at(path: &Path) -> Option<Timestamp> {
    let name = path.file_name()?.to_str()?;
    let millis = name.split('-').next()?.parse().ok()?;
    Timestamp::from_millisecond(millis).ok()
}

/// A crash; nothing where the file is none.
pub(super) fn read(path: &Path) -> Option<Crash> {
    let mut content = Vec::new();
    let file = File::open(path).ok()?;
    file.take(BYTES_MAX).read_to_end(&mut content).ok()?;
    let end = content.iter().position(|byte| *byte == b'\n')?;
    let dump = content.split_off(end.saturating_add(1));
    let header: Header = serde_json::from_slice(&content).ok()?;
    (header.format == 1).then_some(())?;
    Some(Crash {
        at: Timestamp::from_millisecond(header.at).ok()?,
        release: header.release,
        dump,
    })
}
