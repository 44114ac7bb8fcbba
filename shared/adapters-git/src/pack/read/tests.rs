//! Packs as git makes them, and as nobody should.

use super::*;
use crate::pack::write;
use std::path::Path;
use std::process::{Command, Stdio};

fn git(folder: &Path, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("git")
        .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.org"])
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    io::Write::write_all(&mut child.stdin.take().unwrap(), input).unwrap();
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {arguments:?}: {errors}");
    output.stdout
}

/// A history of ten commits over files that resemble each other, all its objects by `id kind`, and its pack.
fn history(options: &[&str]) -> (tempfile::TempDir, Vec<String>, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    git(path, &["init", "--quiet"], b"");
    for round in 0..10 {
        for file in 0..30 {
            let lines =
                (0..60).map(|line| format!("line {line} of {}\n", (line * file) % (7 + round)));
            let folder = path.join(format!("folder{}", file % 3));
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(format!("{file}.py")), lines.collect::<String>()).unwrap();
        }
        git(path, &["add", "."], b"");
        git(path, &["commit", "--quiet", "--message", "next"], b"");
    }
    git(path, &["repack", "-adfq", "--depth=50", "--window=50"], b"");
    let all = git(
        path,
        &["rev-list", "--objects", "--all", "--no-object-names"],
        b"",
    );
    let listed = git(
        path,
        &["cat-file", "--batch-check=%(objectname) %(objecttype)"],
        &all,
    );
    let listed = String::from_utf8(listed).unwrap();
    let arguments = [&["pack-objects", "--stdout", "-q"], options].concat();
    let pack = git(path, &arguments, &all);
    (folder, listed.lines().map(str::to_owned).collect(), pack)
}

fn kinds(pack: &[u8]) -> Vec<u8> {
    let mut kinds = Vec::new();
    let mut reading = Reading {
        stream: Stream::new(pack),
        keep: Keep::All,
        inflated: 0,
        kept: 0,
        objects: Objects::default(),
        ids: HashMap::new(),
        skipped: HashSet::new(),
        waiting: HashMap::new(),
    };
    for _ in 0..3 {
        reading.word().unwrap();
    }
    while reading.stream.reader.len() > ID_BYTES {
        kinds.push((reading.stream.reader[0] >> 4) & 7);
        reading.entry().unwrap();
    }
    kinds
}

#[test]
fn every_object_of_a_pack_with_deltas_is_there_under_its_name() {
    for (options, delta) in [(&["--delta-base-offset"][..], 6), (&[][..], 7)] {
        let (_folder, listed, pack) = history(options);
        assert!(kinds(&pack).contains(&delta), "the pack has no such deltas");
        let objects = read(&*pack, Keep::All).unwrap();
        assert_eq!(objects.by_id.len(), listed.len());
        for line in &listed {
            let (id, kind) = line.split_once(' ').unwrap();
            let id = ObjectId::from_hex(id.as_bytes()).unwrap();
            assert_eq!(objects.get(&id).unwrap().kind.to_string(), kind);
        }
    }
}

#[test]
fn what_is_not_wanted_is_not_kept_and_the_rest_is_whole() {
    for options in [&["--delta-base-offset"][..], &[][..]] {
        let (_folder, listed, pack) = history(options);
        for (keep, wanted) in [
            (Keep::Trees, &["commit", "tree"][..]),
            (Keep::Commits, &["commit"]),
        ] {
            let objects = read(&*pack, keep).unwrap();
            let expected = listed.iter().filter(|line| {
                let (_, kind) = line.split_once(' ').unwrap();
                wanted.contains(&kind)
            });
            assert_eq!(objects.by_id.len(), expected.count(), "{keep:?}");
        }
    }
}

#[test]
fn what_is_written_is_read_by_git_and_by_us() {
    let folder = tempfile::tempdir().unwrap();
    git(folder.path(), &["init", "--quiet"], b"");
    let contents = [vec![], b"x".to_vec(), b"long ".repeat(100_000)];
    let objects = contents.map(|data| Object {
        kind: Kind::Blob,
        data: data.into(),
    });
    let pack = write(objects.iter()).unwrap();
    git(folder.path(), &["index-pack", "--stdin", "--strict"], &pack);
    let read_back = read(&*pack, Keep::All).unwrap();
    assert_eq!(read_back.by_id.len(), 3);
    let empty = write([].iter()).unwrap();
    assert!(read(&*empty, Keep::All).unwrap().was_empty);
}

/// A pack of entries that are given as they are, with a right sum.
fn pack_of(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut pack = b"PACK\0\0\0\x02".to_vec();
    pack.extend(u32::try_from(entries.len()).unwrap().to_be_bytes());
    pack.extend(entries.concat());
    let mut hasher = gix_hash::hasher(gix_hash::Kind::Sha1);
    hasher.update(&pack);
    pack.extend_from_slice(hasher.try_finalize().unwrap().as_slice());
    pack
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    io::Write::write_all(&mut encoder, data).unwrap();
    encoder.finish().unwrap()
}

/// An entry of a kind that says it has `size` bytes (below 16).
fn entry(kind: u8, size: u8, between: &[u8], data: &[u8]) -> Vec<u8> {
    assert!(size < 16);
    [&[(kind << 4) | size], between, &zlib(data)].concat()
}

fn refusal(pack: &[u8], keep: Keep) -> String {
    read(pack, keep).unwrap_err().to_string()
}

#[test]
fn deltas_that_stand_on_each_other_are_refused() {
    let one = entry(7, 3, &[1; 20], b"\x01\x01x");
    let two = entry(7, 3, &[2; 20], b"\x01\x01y");
    let told = refusal(&pack_of(&[one, two]), Keep::All);
    assert!(told.contains("a delta's base is missing"), "{told}");
    let itself = entry(6, 3, &[0], b"\x01\x01x");
    let told = refusal(&pack_of(&[itself]), Keep::All);
    assert!(told.contains("base is nowhere"), "{told}");
    let before = entry(6, 3, &[100], b"\x01\x01x");
    let told = refusal(&pack_of(&[before]), Keep::All);
    assert!(told.contains("base is nowhere"), "{told}");
}

#[test]
fn a_size_that_lies_is_refused() {
    for (size, data) in [(3, &b"four"[..]), (5, b"four"), (0, b"four")] {
        let told = refusal(&pack_of(&[entry(3, size, &[], data)]), Keep::All);
        assert!(told.contains("another size"), "{told}");
        let told = refusal(&pack_of(&[entry(3, size, &[], data)]), Keep::Commits);
        assert!(told.contains("another size"), "{told}");
    }
}

#[test]
fn what_is_too_large_is_refused_before_it_is_read() {
    let mut many = b"PACK\0\0\0\x02".to_vec();
    many.extend(u32::MAX.to_be_bytes());
    assert!(refusal(&many, Keep::All).contains("too large"));
    // 2^40 bytes, as a blob, as a skipped blob and as a delta.
    let huge = |kind: u8| vec![0x80 | (kind << 4), 0x80, 0x80, 0x80, 0x80, 0x80, 0x02];
    let packs = [(3, Keep::All), (3, Keep::Commits), (7, Keep::All)];
    for (kind, keep) in packs {
        let entry = [huge(kind), vec![0; 20], zlib(b"x")].concat();
        assert!(refusal(&pack_of(&[entry]), keep).contains("too large"));
    }
    let endless = [vec![0xbf], vec![0xff; 12]].concat();
    assert!(refusal(&pack_of(&[endless]), Keep::All).contains("no number"));
}

#[test]
fn deltas_that_blow_up_end_at_the_bound() {
    // Each delta makes 16 MiB of a base of 64 KiB.
    let base = vec![b'x'; 0x10000];
    let id = gix_object::compute_hash(gix_hash::Kind::Sha1, Kind::Blob, &base).unwrap();
    let size = base.len();
    let head = [0xb0 | u8::try_from(size & 15).unwrap(), 0x80, 0x20];
    let base = [&head[..], &zlib(&base)].concat();
    let copies = [0x80_u8].repeat(255);
    let delta = [&[0x80, 0x80, 0x04, 0x80, 0x80, 0xfc, 0x07][..], &copies].concat();
    let length = delta.len();
    let first = 0xf0 | u8::try_from(length & 15).unwrap();
    let head = [
        &[first, u8::try_from(length >> 4).unwrap()][..],
        id.as_slice(),
    ]
    .concat();
    let delta = [head, zlib(&delta)].concat();
    let told = refusal(
        &pack_of(&[&[base][..], &vec![delta; 8]].concat()),
        Keep::All,
    );
    assert!(told.contains("too large: more than"), "{told}");
}

#[test]
fn a_pack_that_is_cut_or_changed_anywhere_is_refused() {
    let (_folder, _, pack) = history(&["--delta-base-offset"]);
    for end in (0..pack.len()).step_by(97) {
        assert!(read(&pack[..end], Keep::All).is_err(), "cut at {end}");
    }
    let sum = pack.len() - ID_BYTES..pack.len();
    for place in (0..pack.len()).step_by(131).chain(sum) {
        let mut pack = pack.clone();
        pack[place] ^= 0x10;
        assert!(read(&*pack, Keep::All).is_err(), "changed at {place}");
        assert!(read(&*pack, Keep::Commits).is_err(), "changed at {place}");
    }
}
