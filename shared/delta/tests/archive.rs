//! Archives: what is written, what other programs make of it, and what is refused.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use kintsugi_delta::archive::{Entry, File, Limits, pack, unpack};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::process::Command;

fn files(list: &[(&str, &str, bool)]) -> BTreeMap<String, File> {
    list.iter()
        .map(|(path, content, executable)| {
            let file = File {
                content: content.as_bytes().to_vec(),
                executable: *executable,
            };
            ((*path).to_owned(), file)
        })
        .collect()
}

fn code(archive: &[u8]) -> &'static str {
    unpack(archive, &Limits::default()).unwrap_err().code()
}

/// Changes one header of an archive and makes its checksum right again.
fn forged(archive: &[u8], change: impl Fn(&mut [u8])) -> Vec<u8> {
    let mut archive = archive.to_vec();
    let header = &mut archive[..512];
    change(header);
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    archive
}

#[test]
fn files_come_back_sorted_with_their_mode() {
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(99));
    let files = files(&[
        ("b", "two", true),
        ("a/x", "", false),
        (&long, "deep", false),
    ]);
    let archive = pack(&files, 1_700_000_000).unwrap();
    let entries = unpack(&archive, &Limits::default()).unwrap();
    let expected: Vec<Entry<'_>> = files
        .iter()
        .map(|(path, file)| Entry {
            path: path.clone(),
            content: &file.content,
            executable: file.executable,
        })
        .collect();
    assert_eq!(entries, expected);
    assert_eq!(archive, pack(&files, 1_700_000_000).unwrap());
}

#[test]
fn an_ordinary_tar_program_reads_it() {
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(99));
    let archive = pack(
        &files(&[("bin/run", "#!", true), (&long, "deep", false)]),
        86_400,
    )
    .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("package.tar");
    std::fs::write(&path, archive).unwrap();
    let script = "import sys, tarfile
for m in tarfile.open(sys.argv[1]):
    print(m.name, oct(m.mode), m.uid, m.mtime, m.isreg(), m.size)";
    let told = Command::new("python3")
        .args(["-c", script])
        .arg(&path)
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8(told.stdout).unwrap(),
        format!("bin/run 0o755 0 86400 True 2\n{long} 0o644 0 86400 True 4\n")
    );
}

#[test]
fn paths_that_could_lead_elsewhere_are_neither_written_nor_read() {
    let good = pack(&files(&[("aa/bb/cc", "x", false)]), 0).unwrap();
    for path in [
        "/etc/pwd",
        "../../cc",
        "aa/../cc",
        "aa//bbcc",
        "./aa/bcc",
        "aa\\..\\cc",
        "C:/bb/cc",
        "aa/bb/c\n",
        "aa/bbcc/",
    ] {
        assert_eq!(
            pack(&files(&[(path, "", false)]), 0).unwrap_err().code(),
            "archive_bad_path",
            "{path}"
        );
        let bad = forged(&good, |header| header[..8].copy_from_slice(path.as_bytes()));
        assert_eq!(code(&bad), "archive_bad_path", "{path}");
    }
    assert_eq!(
        pack(&files(&[("", "", false)]), 0).unwrap_err().code(),
        "archive_bad_path"
    );
    assert_eq!(
        pack(&files(&[(&"x".repeat(101), "", false)]), 0)
            .unwrap_err()
            .code(),
        "archive_bad_path"
    );
}

#[test]
fn links_devices_folders_and_extensions_are_refused() {
    let good = pack(&files(&[("name", "x", false)]), 0).unwrap();
    for kind in *b"1234567LKxgSV\0" {
        let bad = forged(&good, |header| header[156] = kind);
        assert_eq!(code(&bad), "archive_not_a_file", "{}", kind as char);
    }
}

#[test]
fn a_place_is_claimed_once() {
    let one = pack(&files(&[("a", "x", false)]), 0).unwrap();
    let entry = &one[..1024];
    let end = &one[1024..];
    assert_eq!(code(&[entry, entry, end].concat()), "archive_duplicate");
    for pair in [["a", "a/b"], ["a/b/c", "a/b"]] {
        let parts: Vec<Vec<u8>> = pair
            .iter()
            .map(|path| pack(&files(&[(path, "x", false)]), 0).unwrap()[..1024].to_vec())
            .collect();
        assert_eq!(
            code(&[&parts[0], &parts[1], end].concat()),
            "archive_duplicate"
        );
        assert_eq!(
            code(&[&parts[1], &parts[0], end].concat()),
            "archive_duplicate"
        );
    }
    assert!(pack(&files(&[("a", "", false), ("a/b", "", false)]), 0).is_err());
}

#[test]
fn limits_hold() {
    let archive = pack(&files(&[("a", "12345", false), ("b", "", false)]), 0).unwrap();
    let few = Limits {
        entries_max: 1,
        ..Limits::default()
    };
    let short = Limits {
        entry_bytes_max: 4,
        ..Limits::default()
    };
    assert_eq!(
        unpack(&archive, &few).unwrap_err().code(),
        "archive_too_many_entries"
    );
    assert_eq!(
        unpack(&archive, &short).unwrap_err().code(),
        "archive_entry_too_large"
    );
    let huge = forged(&archive, |header| {
        header[124..135].copy_from_slice(b"77777777777");
    });
    assert_eq!(code(&huge), "archive_entry_too_large");
    let long = forged(&archive, |header| {
        header[124..135].copy_from_slice(b"00007777777");
    });
    assert_eq!(code(&long), "archive_corrupt");
}

#[test]
fn every_cut_and_every_flipped_header_bit_is_noticed() {
    let archive = pack(&files(&[("a", "x", false), ("b", "yy", true)]), 0).unwrap();
    for length in 0..archive.len() {
        assert!(
            unpack(&archive[..length], &Limits::default()).is_err(),
            "{length}"
        );
    }
    let contents = [512..513, 1536..1538];
    for bit in 0..archive.len() * 8 {
        let mut bad = archive.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let harmless = contents.iter().any(|range| range.contains(&(bit / 8)));
        assert_eq!(
            unpack(&bad, &Limits::default()).is_ok(),
            harmless,
            "bit {bit}"
        );
    }
}

proptest! {
    #[test]
    fn what_was_packed_is_what_is_read(
        list in proptest::collection::btree_map("[a-c]{1,3}(/[a-z]{1,60}){0,4}", (any::<Vec<u8>>(), any::<bool>()), 0..8),
        mtime in 0_u64..1 << 33,
    ) {
        let files: BTreeMap<String, File> = list
            .into_iter()
            .map(|(path, (content, executable))| (path, File { content, executable }))
            .collect();
        if let Ok(archive) = pack(&files, mtime) {
            let read: BTreeMap<String, File> = unpack(&archive, &Limits::default())
                .unwrap()
                .into_iter()
                .map(|entry| (entry.path, File { content: entry.content.to_vec(), executable: entry.executable }))
                .collect();
            prop_assert_eq!(read, files);
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2_048)) {
        let _ = unpack(&bytes, &Limits::default());
        let mut framed = bytes;
        if let Some(magic) = framed.get_mut(257..262) {
            magic.copy_from_slice(b"ustar");
        }
        let _ = unpack(&framed, &Limits::default());
    }
}
