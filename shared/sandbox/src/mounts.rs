//! What the host has mounted where: enough to bind folders into a box without weakening them.
//!
//! Two kernel rules make this necessary. A bind mount made read-only leaves the mounts *beneath* it
//! as writable as they were, so each of those must be bound again. And inside a user namespace a
//! mount may not shed the host's `noexec`, so that flag must be known before it is asked for.
//! Not here: which folders go into a box (`room`).

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::SandboxError;

/// The mounts this process sees.
#[derive(Debug)]
pub(crate) struct MountTable {
    mounts: Vec<Mounted>,
}

#[derive(Debug)]
struct Mounted {
    at: PathBuf,
    noexec: bool,
}

impl MountTable {
    /// Reads the table as it is now.
    pub(crate) fn read() -> Result<Self, SandboxError> {
        let text = fs::read("/proc/self/mountinfo")
            .map_err(SandboxError::io("could not read the mount table"))?;
        Ok(Self::parse(&text))
    }

    /// The fifth field of a line is the mount point, the sixth its options (see proc(5)).
    fn parse(text: &[u8]) -> Self {
        let mounts = text
            .split(|byte| *byte == b'\n')
            .filter_map(|line| {
                let mut fields = line.split(|byte| *byte == b' ').skip(4);
                let at = PathBuf::from(OsString::from_vec(unescape(fields.next()?)));
                let noexec = fields
                    .next()?
                    .split(|byte| *byte == b',')
                    .any(|it| it == b"noexec");
                Some(Mounted { at, noexec })
            })
            .collect();
        Self { mounts }
    }

    /// Whether nothing may be executed at `path`. Of mounts at one place the last one counts.
    pub(crate) fn is_noexec(&self, path: &Path) -> bool {
        self.mounts
            .iter()
            .filter(|mounted| path.starts_with(&mounted.at))
            .max_by_key(|mounted| mounted.at.components().count())
            .is_some_and(|mounted| mounted.noexec)
    }

    /// The mount points strictly beneath `path`.
    pub(crate) fn beneath<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = &'a Path> {
        self.mounts
            .iter()
            .map(|mounted| mounted.at.as_path())
            .filter(move |at| *at != path && at.starts_with(path))
    }
}

/// Undoes the octal escapes (`\040` for a space) of the mount table.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        let octal = (*first == b'\\').then(|| tail.get(..3)).flatten();
        let byte = octal
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        if byte.is_some() {
            rest = tail.get(3..).unwrap_or_default();
        }
        plain.push(byte.unwrap_or(*first));
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n\
        28 27 0:25 / /home rw,nosuid,noexec - tmpfs x rw\n\
        29 28 0:26 / /home/a\\040b rw,nosuid - tmpfs y rw\n\
        30 27 0:27 / /homely rw,noexec - tmpfs z rw\n";

    #[test]
    fn the_nearest_mount_decides_whether_files_may_be_executed() {
        let table = MountTable::parse(TABLE);
        assert!(!table.is_noexec(Path::new("/usr/bin")));
        assert!(table.is_noexec(Path::new("/home/me")));
        assert!(!table.is_noexec(Path::new("/home/a b/bin")));
    }

    #[test]
    fn only_mounts_inside_a_folder_are_beneath_it() {
        let table = MountTable::parse(TABLE);
        let beneath: Vec<_> = table.beneath(Path::new("/home")).collect();
        assert_eq!(beneath, [Path::new("/home/a b")]);
    }

    #[test]
    fn the_last_of_two_mounts_at_one_place_counts() {
        let table = MountTable::parse(b"1 0 0:1 / /x rw - a a rw\n2 1 0:2 / /x rw,noexec - b b rw");
        assert!(table.is_noexec(Path::new("/x/y")));
    }
}
