//! The archive inside a package: a tar file (POSIX ustar, IEEE Std 1003.1) of regular files only.
//!
//! Owner, mode and time are fixed and the files sorted, so the same files give the same bytes. Reading
//! is as strict as writing: what this module would not have written is refused, so that an archive has
//! one meaning for every reader. Any tar program can open it.
//!
//! **Invariant: every path that is yielded is relative, stays inside its folder on every operating
//! system, and is yielded once; no path is both a file and a folder.**
//!
//! Not here: links, devices, empty folders, and writing files.

use std::collections::{BTreeMap, BTreeSet};

const BLOCK: usize = 512;
const NAME_BYTES_MAX: usize = 100;
const PREFIX_BYTES_MAX: usize = 155;
/// Largest number that eleven octal digits hold.
const OCTAL_MAX: u64 = (1 << 33) - 1;

/// A file to pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its bytes.
    pub content: Vec<u8>,
    /// Whether it can be executed.
    pub executable: bool,
}

/// A file of an archive that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Where it goes: relative, `/`-joined.
    pub path: String,
    /// Its bytes.
    pub content: &'a [u8],
    /// Whether it can be executed.
    pub executable: bool,
}

/// What an archive may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most files.
    pub entries_max: usize,
    /// Longest file, bytes.
    pub entry_bytes_max: u64,
}

impl Default for Limits {
    /// 100,000 files of at most 1 GiB.
    fn default() -> Self {
        Self {
            entries_max: 100_000,
            entry_bytes_max: 1 << 30,
        }
    }
}

/// An archive that cannot be written or must not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// A path that could lead elsewhere or does not fit the format.
    #[error("the path {path:?} {why}")]
    BadPath {
        /// The path, as far as it is text.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Two entries claim one place.
    #[error("the path {path:?} occurs twice, or is both a file and a folder")]
    Duplicate {
        /// The path.
        path: String,
    },
    /// Something else than a regular file.
    #[error("{path:?} is {what}, not a regular file")]
    NotAFile {
        /// Its path.
        path: String,
        /// What it is.
        what: &'static str,
    },
    /// A file that is longer than allowed.
    #[error("{path:?} is longer than {bytes_max} bytes")]
    EntryTooLarge {
        /// Its path.
        path: String,
        /// What was allowed.
        bytes_max: u64,
    },
    /// More files than allowed.
    #[error("there are more than {entries_max} files")]
    TooManyEntries {
        /// What was allowed.
        entries_max: usize,
    },
    /// Not an archive of this form.
    #[error("the archive is damaged at byte {offset}: {why}")]
    Corrupt {
        /// Where.
        offset: usize,
        /// What is wrong.
        why: &'static str,
    },
}

impl ArchiveError {
    /// The stable name of this kind of failure.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadPath { .. } => "archive_bad_path",
            Self::Duplicate { .. } => "archive_duplicate",
            Self::NotAFile { .. } => "archive_not_a_file",
            Self::EntryTooLarge { .. } => "archive_entry_too_large",
            Self::TooManyEntries { .. } => "archive_too_many_entries",
            Self::Corrupt { .. } => "archive_corrupt",
        }
    }
}

/// Packs files. `mtime` is in seconds since 1970 and the same for all of them.
pub fn pack(files: &BTreeMap<String, File>, mtime: u64) -> Result<Vec<u8>, ArchiveError> {
    let limits = Limits::default();
    if files.len() > limits.entries_max {
        let entries_max = limits.entries_max;
        return Err(ArchiveError::TooManyEntries { entries_max });
    }
    let mut places = Places::default();
    let mut archive = Vec::new();
    for (path, file) in files {
        places.claim(path)?;
        let size = file.content.len() as u64;
        if size > limits.entry_bytes_max {
            return Err(ArchiveError::EntryTooLarge {
                path: path.clone(),
                bytes_max: limits.entry_bytes_max,
            });
        }
        archive.extend(header(path, size, file.executable, mtime)?);
        archive.extend(&file.content);
        archive.resize(archive.len().next_multiple_of(BLOCK), 0);
    }
    archive.resize(archive.len() + 2 * BLOCK, 0);
    Ok(archive)
}

/// Checks a whole archive and yields its files. The contents are borrowed, so a refusal costs nothing
/// and leaves nothing half written.
pub fn unpack<'a>(archive: &'a [u8], limits: &Limits) -> Result<Vec<Entry<'a>>, ArchiveError> {
    let mut places = Places::default();
    let mut entries = Vec::new();
    let mut rest = archive;
    loop {
        let offset = archive.len() - rest.len();
        let corrupt = |why| ArchiveError::Corrupt { offset, why };
        let cut_off = || corrupt("it is cut off");
        let (block, after) = rest.split_first_chunk::<BLOCK>().ok_or_else(cut_off)?;
        if block.iter().all(|byte| *byte == 0) {
            let ended = after.len() == BLOCK && after.iter().all(|byte| *byte == 0);
            return if ended {
                Ok(entries)
            } else {
                Err(corrupt("it does not end with two empty blocks"))
            };
        }
        if entries.len() >= limits.entries_max {
            let entries_max = limits.entries_max;
            return Err(ArchiveError::TooManyEntries { entries_max });
        }
        let head = Head::read(block).map_err(corrupt)?;
        head.check_kind()?;
        places.claim(&head.path)?;
        if head.size > limits.entry_bytes_max {
            return Err(ArchiveError::EntryTooLarge {
                path: head.path,
                bytes_max: limits.entry_bytes_max,
            });
        }
        if header(&head.path, head.size, head.executable, head.mtime)? != *block {
            return Err(corrupt("an entry's header is not of the form used here"));
        }
        let size = usize::try_from(head.size).map_err(|_| cut_off())?;
        let (content, after) = after.split_at_checked(size).ok_or_else(cut_off)?;
        let padding = size.next_multiple_of(BLOCK) - size;
        let (padding, after) = after.split_at_checked(padding).ok_or_else(cut_off)?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(corrupt("an entry is followed by something else"));
        }
        rest = after;
        entries.push(Entry {
            path: head.path,
            content,
            executable: head.executable,
        });
    }
}

/// Which paths are taken, as files and as folders.
#[derive(Default)]
struct Places {
    files: BTreeSet<String>,
    folders: BTreeSet<String>,
}

impl Places {
    fn claim(&mut self, path: &str) -> Result<(), ArchiveError> {
        check_path(path).map_err(|why| ArchiveError::BadPath {
            path: path.to_owned(),
            why,
        })?;
        let mut free = !self.folders.contains(path) && self.files.insert(path.to_owned());
        let mut folder = path;
        while let Some((parent, _)) = folder.rsplit_once('/') {
            free &= !self.files.contains(parent);
            if !self.folders.insert(parent.to_owned()) {
                break;
            }
            folder = parent;
        }
        if free {
            Ok(())
        } else {
            let path = path.to_owned();
            Err(ArchiveError::Duplicate { path })
        }
    }
}

/// What makes a path unfit, on any operating system.
fn check_path(path: &str) -> Result<(), &'static str> {
    if path.is_empty() {
        return Err("is empty");
    }
    if path.starts_with('/') {
        return Err("is absolute");
    }
    if path.contains(['\\', ':']) || path.contains(char::is_control) {
        return Err("holds a backslash, a colon or a control character");
    }
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err("has an empty part, “.” or “..”");
    }
    split(path).map(|_| ()).ok_or("is too long")
}

/// Splits a path into the prefix and the name of a header.
fn split(path: &str) -> Option<(&str, &str)> {
    if path.len() <= NAME_BYTES_MAX {
        return Some(("", path));
    }
    path.match_indices('/')
        .filter_map(|(at, _)| Some((path.get(..at)?, path.get(at + 1..)?)))
        .find(|(_, name)| name.len() <= NAME_BYTES_MAX)
        .filter(|(prefix, _)| prefix.len() <= PREFIX_BYTES_MAX)
}

/// The header of a regular file.
fn header(
    path: &str,
    size: u64,
    executable: bool,
    mtime: u64,
) -> Result<[u8; BLOCK], ArchiveError> {
    let bad = |why| ArchiveError::BadPath {
        path: path.to_owned(),
        why,
    };
    let (prefix, name) = split(path).ok_or_else(|| bad("is too long"))?;
    if size > OCTAL_MAX || mtime > OCTAL_MAX {
        return Err(bad("has a size or a time that does not fit the format"));
    }
    let mode = if executable { 0o755 } else { 0o644 };
    let compose = |checksum: &str| {
        let mut block = Vec::with_capacity(BLOCK);
        let mut field = |bytes: &[u8], width: usize| {
            block.extend(bytes.iter().chain(std::iter::repeat(&0)).take(width));
        };
        field(name.as_bytes(), NAME_BYTES_MAX);
        field(format!("{mode:07o}").as_bytes(), 8);
        field(b"0000000", 8); // user
        field(b"0000000", 8); // group
        field(format!("{size:011o}").as_bytes(), 12);
        field(format!("{mtime:011o}").as_bytes(), 12);
        field(checksum.as_bytes(), 8);
        field(b"0", 1); // a regular file
        field(b"", 100); // no link
        field(b"ustar\x0000", 8);
        field(b"", 64); // no names of user and group
        field(b"0000000", 8); // no device
        field(b"0000000", 8);
        field(prefix.as_bytes(), PREFIX_BYTES_MAX);
        field(b"", 12);
        block
    };
    // The checksum is the sum of all bytes with eight spaces in its own place.
    let sum: u32 = compose("        ")
        .iter()
        .map(|byte| u32::from(*byte))
        .sum();
    compose(&format!("{sum:06o}\0 "))
        .try_into()
        .map_err(|_| bad("does not fit a header"))
}

/// What a header says, before it is believed.
struct Head {
    path: String,
    size: u64,
    executable: bool,
    mtime: u64,
    kind: u8,
}

impl Head {
    fn read(block: &[u8; BLOCK]) -> Result<Self, &'static str> {
        let field = |start: usize, width: usize| {
            let bytes = block.get(start..start + width).unwrap_or_default();
            let end = bytes.iter().position(|byte| *byte == 0);
            bytes.get(..end.unwrap_or(width)).unwrap_or_default()
        };
        let text = |start, width| {
            std::str::from_utf8(field(start, width)).map_err(|_| "a path is not valid text")
        };
        let octal = |start, width| {
            text(start, width)
                .ok()
                .and_then(|digits| u64::from_str_radix(digits, 8).ok())
                .ok_or("a number is not octal")
        };
        if block.get(257..262) != Some(b"ustar".as_slice()) {
            return Err("an entry does not begin as a tar header does");
        }
        let (name, prefix) = (text(0, NAME_BYTES_MAX)?, text(345, PREFIX_BYTES_MAX)?);
        let path = match prefix {
            "" => name.to_owned(),
            prefix => format!("{prefix}/{name}"),
        };
        Ok(Self {
            path,
            size: octal(124, 12)?,
            executable: octal(100, 8)? == 0o755,
            mtime: octal(136, 12)?,
            kind: block.get(156).copied().unwrap_or_default(),
        })
    }

    fn check_kind(&self) -> Result<(), ArchiveError> {
        let what = match self.kind {
            b'0' => return Ok(()),
            b'1' => "a hard link",
            b'2' => "a symbolic link",
            b'3' | b'4' => "a device",
            b'5' => "a folder",
            b'6' => "a pipe",
            _ => "an extension of the format",
        };
        Err(ArchiveError::NotAFile {
            path: self.path.clone(),
            what,
        })
    }
}
