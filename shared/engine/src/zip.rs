//! Zip files of regular files (PKWARE APPNOTE 6.3.3, the part that ISO/IEC 21320-1 allows): what people unpack by hand, and what
//! stores of browser extensions take.
//!
//! Names are sorted, the time is one for all and each file is deflated where that is shorter, so **the same files give the same
//! bytes**. Not here: reading (devices unpack the tar package), which files there are, and whether their paths are safe: the archive of
//! the same files was packed first and refuses those (`kintsugi_delta::archive`).

use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};
use kintsugi_delta::archive::File;
use kintsugi_domain::Timestamp;
use std::collections::BTreeMap;
use std::io::Write as _;

/// What is needed to read it: folders and deflate.
const VERSION_NEEDED: u16 = 20;
/// Made on Unix, which says how the mode is to be read, by that version.
const VERSION_MADE: u16 = 3 << 8 | VERSION_NEEDED;
/// Names are UTF-8.
const FLAGS: u16 = 1 << 11;
const STORED: u16 = 0;
const DEFLATED: u16 = 8;
/// Most files without the extension for more.
const ENTRIES_MAX: usize = 0xffff - 1;

/// Packs files; the error says why there can be no such zip file. `at` is the time that all of them get, by a clock of two seconds from
/// 1980 on.
pub(crate) fn pack(files: &BTreeMap<String, File>, at: Timestamp) -> Result<Vec<u8>, String> {
    if files.len() > ENTRIES_MAX {
        return Err(format!("a zip file holds at most {ENTRIES_MAX} files"));
    }
    let too_long = || "a zip file holds at most 4 GiB".to_owned();
    let time = dos_time(at);
    let mut zip = Vec::new();
    let mut directory = Vec::new();
    for (path, file) in files {
        let offset = u32::try_from(zip.len()).map_err(|_| too_long())?;
        let entry = Entry::of(path, file, time).ok_or_else(too_long)?;
        zip.extend(b"PK\x03\x04");
        zip.extend(&entry.common);
        zip.extend(0_u16.to_le_bytes()); // no extra field
        zip.extend(path.as_bytes());
        zip.extend(&entry.content);
        directory.extend(b"PK\x01\x02");
        directory.extend(VERSION_MADE.to_le_bytes());
        directory.extend(&entry.common);
        // No extra field, no comment, the first disk, not known to be text.
        directory.extend([0; 8]);
        let mode: u32 = if file.executable {
            0o100_755
        } else {
            0o100_644
        };
        directory.extend((mode << 16).to_le_bytes());
        directory.extend(offset.to_le_bytes());
        directory.extend(path.as_bytes());
    }
    let offset = u32::try_from(zip.len()).map_err(|_| too_long())?;
    let length = u32::try_from(directory.len()).map_err(|_| too_long())?;
    let count = u16::try_from(files.len()).map_err(|_| too_long())?;
    zip.extend(directory);
    zip.extend(b"PK\x05\x06");
    zip.extend([0; 4]); // the first disk
    zip.extend(count.to_le_bytes());
    zip.extend(count.to_le_bytes());
    zip.extend(length.to_le_bytes());
    zip.extend(offset.to_le_bytes());
    zip.extend(0_u16.to_le_bytes()); // no comment
    Ok(zip)
}

/// A file as it is written.
struct Entry {
    /// What both of its headers say: from the version that is needed to the length of the name.
    common: Vec<u8>,
    content: Vec<u8>,
}

impl Entry {
    fn of(path: &str, file: &File, (time, date): (u16, u16)) -> Option<Self> {
        let length = u32::try_from(file.content.len()).ok()?;
        let mut crc = Crc::new();
        crc.update(&file.content);
        let deflated = deflate(&file.content)?;
        let (method, content) = if deflated.len() < file.content.len() {
            (DEFLATED, deflated)
        } else {
            (STORED, file.content.clone())
        };
        let mut common = Vec::new();
        for number in [VERSION_NEEDED, FLAGS, method, time, date] {
            common.extend(number.to_le_bytes());
        }
        common.extend(crc.sum().to_le_bytes());
        common.extend(u32::try_from(content.len()).ok()?.to_le_bytes());
        common.extend(length.to_le_bytes());
        common.extend(u16::try_from(path.len()).ok()?.to_le_bytes());
        Some(Self { common, content })
    }
}

fn deflate(content: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    // Memory takes whatever is written to it.
    encoder.write_all(content).ok()?;
    encoder.finish().ok()
}

/// Time and date as MS-DOS wrote them, in UTC; before 1980 it is 1980.
fn dos_time(at: Timestamp) -> (u16, u16) {
    let at = jiff::tz::TimeZone::UTC.to_datetime(at);
    let number = |value: i8| u16::try_from(value).unwrap_or_default();
    match u16::try_from(at.year() - 1980) {
        Ok(year) if year < 128 => (
            number(at.hour()) << 11 | number(at.minute()) << 5 | (number(at.second()) / 2),
            year << 9 | number(at.month()) << 5 | number(at.day()),
        ),
        Ok(_) | Err(_) => (0, 1 << 5 | 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> BTreeMap<String, File> {
        let file = |content: &[u8], executable| File {
            content: content.to_vec(),
            executable,
        };
        BTreeMap::from([
            (
                "manifest.json".to_owned(),
                file(b"{\"name\": \"till\"}\n", false),
            ),
            (
                "bin/grüße".to_owned(),
                file(&b"#!/bin/sh\n".repeat(500), true),
            ),
            ("empty".to_owned(), file(b"", false)),
        ])
    }

    #[test]
    fn the_same_files_give_the_same_zip_that_python_reads() {
        let at: Timestamp = "2026-11-21T13:45:59Z".parse().unwrap();
        let zip = pack(&files(), at).unwrap();
        assert_eq!(pack(&files(), at).unwrap(), zip);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.zip");
        std::fs::write(&path, &zip).unwrap();
        let script = "import sys, zipfile\n\
            zip = zipfile.ZipFile(sys.argv[1])\n\
            assert zip.testzip() is None\n\
            for item in zip.infolist():\n    \
            print(item.filename, oct(item.external_attr >> 16), item.date_time, len(zip.read(item)), item.compress_type)\n";
        let done = std::process::Command::new("python3")
            .args(["-c", script])
            .arg(&path)
            .env("PYTHONIOENCODING", "utf-8")
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{error}");
        let time = "(2026, 11, 21, 13, 45, 58)";
        let expected = format!(
            "bin/grüße 0o100755 {time} 5000 8\nempty 0o100644 {time} 0 0\nmanifest.json 0o100644 {time} 17 0\n"
        );
        assert_eq!(String::from_utf8_lossy(&done.stdout), expected);
    }

    #[test]
    fn a_time_that_the_format_does_not_have_is_its_first() {
        assert_eq!(dos_time(Timestamp::UNIX_EPOCH), (0, 33));
        assert_eq!(dos_time(Timestamp::MAX), (0, 33));
    }
}
