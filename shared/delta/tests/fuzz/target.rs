//! Damaged archives for the archive reader. The example `fuzz_archive` runs it for long, the test
//! `fuzz_archive` for a moment.
//!
//! Headers of good archives are changed field by field, and most often get a right checksum again; entries
//! are doubled, swapped and cut. **An execution fails if anything panics, if a path that is yielded could
//! lead out of its folder or is claimed twice, or if the files that were read are packed and read as others.**
//! The same seed gives the same executions.

use kintsugi_delta::archive::{ArchiveError, Entry, File, Limits, pack, unpack};
use std::collections::{BTreeMap, BTreeSet};

/// What became of the executions, and how many there were of each.
pub(crate) type Outcomes = BTreeMap<String, u64>;

const BLOCK: usize = 512;
/// Where a header has its fields, and how long they are.
const FIELDS: [(usize, usize); 13] = [
    (0, 100),
    (100, 8),
    (108, 8),
    (116, 8),
    (124, 12),
    (136, 12),
    (148, 8),
    (156, 1),
    (157, 100),
    (257, 8),
    (265, 64),
    (345, 155),
    (500, 12),
];
const CHECKSUM: (usize, usize) = (148, 8);

/// Xorshift (G. Marsaglia, 2003): enough to choose damage.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        let bound = bound.max(1) as u64;
        usize::try_from((self.next() >> 20) % bound).unwrap_or_default()
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.next() >> 24 & 0xff).unwrap_or_default()
    }
}

/// Good archives: one file, several in folders, long paths, empty files, none.
fn seeds() -> Result<Vec<Vec<u8>>, ArchiveError> {
    let long = format!("{}/{}", "folder".repeat(20), "n".repeat(99));
    let sets: [&[(&str, usize)]; 5] = [
        &[("VERSION", 6)],
        &[
            ("bin/app", 700),
            ("lib/a.py", 0),
            ("lib/b/c.py", 512),
            ("z", 513),
        ],
        &[(&long, 10), ("a", 1)],
        &[("a/b", 0), ("a/c", 0), ("ab", 0), ("\u{e4}/\u{1F600}", 3)],
        &[],
    ];
    sets.iter()
        .map(|set| {
            let file = |&(path, length): &(&str, usize)| {
                let file = File {
                    content: path.bytes().cycle().take(length).collect(),
                    executable: length > 600,
                };
                (path.to_owned(), file)
            };
            pack(&set.iter().map(file).collect(), 1_700_000_000)
        })
        .collect()
}

/// Something that a field of a header could hold.
fn field(random: &mut Random) -> Vec<u8> {
    const TEXTS: [&[u8]; 24] = [
        b"..",
        b"../x",
        b"/x",
        b"a/../b",
        b"a//b",
        b"a/",
        b".",
        b"a\\b",
        b"c:x",
        b"\0",
        b"",
        b"a",
        b"a/b",
        b"ab\x01",
        b"00000000000",
        b"77777777777",
        b"00000001000",
        b"0000644\0",
        b"0000755\0",
        b"1",
        b"2",
        b"5",
        b"x",
        b"\xff\xfe",
    ];
    match random.below(3) {
        0 => (0..random.below(12)).map(|_| random.byte()).collect(),
        1 => format!("{:011o}", random.next() >> random.below(64)).into_bytes(),
        _ => TEXTS
            .get(random.below(TEXTS.len()))
            .map(|text| text.to_vec())
            .unwrap_or_default(),
    }
}

/// Changes a header, and most often gives it a right checksum.
fn damage_header(random: &mut Random, block: &mut [u8]) {
    let (start, width) = FIELDS
        .get(random.below(FIELDS.len()))
        .copied()
        .unwrap_or(CHECKSUM);
    let value = field(random);
    let padded = value.into_iter().chain(std::iter::repeat(0)).take(width);
    for (at, byte) in (start..).zip(padded) {
        if let Some(place) = block.get_mut(at) {
            *place = byte;
        }
    }
    if random.below(8) == 0 {
        return;
    }
    let (start, width) = CHECKSUM;
    let is_own = |at: usize| (start..start + width).contains(&at);
    let sum: u32 = block
        .iter()
        .enumerate()
        .map(|(at, byte)| if is_own(at) { 32 } else { u32::from(*byte) })
        .sum();
    for (at, byte) in (start..).zip(format!("{sum:06o}\0 ").into_bytes()) {
        if let Some(place) = block.get_mut(at) {
            *place = byte;
        }
    }
}

fn damaged(random: &mut Random, seed: &[u8], other: &[u8]) -> Vec<u8> {
    let mut archive = seed.to_vec();
    for _ in 0..=random.below(3) {
        let blocks = archive.len() / BLOCK;
        let at = random.below(blocks + 1) * BLOCK;
        match random.below(9) {
            0 => archive.truncate(random.below(archive.len() + 1)),
            1 => archive.truncate(at),
            2 => {
                // Entries of another archive, or the same ones again.
                let from = random.below(other.len() / BLOCK + 1) * BLOCK;
                let part = other.get(from..).unwrap_or_default().to_vec();
                archive.splice(at..at, part);
            }
            3 => {
                archive.splice(at..at, [0; BLOCK]);
            }
            4 => {
                let mask = random.byte();
                let place = random.below(archive.len());
                if let Some(byte) = archive.get_mut(place) {
                    *byte ^= mask;
                }
            }
            _ => {
                if let Some(block) = archive.get_mut(at..at + BLOCK) {
                    damage_header(random, block);
                }
            }
        }
    }
    archive
}

/// What must hold of files that were yielded.
fn check(entries: &[Entry<'_>], length: usize) -> Result<(), String> {
    let mut files = BTreeSet::new();
    let mut folders = BTreeSet::new();
    let mut bytes = 0;
    for entry in entries {
        let path = entry.path.as_str();
        let parts: Vec<&str> = path.split('/').collect();
        let is_odd =
            |part: &&str| matches!(*part, "" | "." | "..") || part.contains(['\\', ':', '\0']);
        if parts.iter().any(is_odd) {
            return Err(format!("the path {path:?} could lead elsewhere"));
        }
        if !files.insert(path) {
            return Err(format!("the path {path:?} is claimed twice"));
        }
        folders.extend(path.match_indices('/').filter_map(|(at, _)| path.get(..at)));
        bytes += entry.content.len();
    }
    if let Some(path) = files.intersection(&folders).next() {
        return Err(format!("{path:?} is a file and a folder"));
    }
    if bytes > length {
        return Err(format!("{bytes} bytes from {length}"));
    }
    let as_file = |entry: &Entry<'_>| {
        let file = File {
            content: entry.content.to_vec(),
            executable: entry.executable,
        };
        (entry.path.clone(), file)
    };
    let set: BTreeMap<String, File> = entries.iter().map(as_file).collect();
    let again = pack(&set, 0).map_err(|error| error.to_string())?;
    let again = unpack(&again, &Limits::default()).map_err(|error| error.to_string())?;
    if again.iter().map(as_file).collect::<BTreeMap<_, _>>() == set {
        Ok(())
    } else {
        Err("packed and read again it is another".to_owned())
    }
}

/// Damages archives so often; answers with what became of them, or with what failed.
pub(crate) fn run(executions: u64, start: u64) -> Result<Outcomes, String> {
    let mut random = Random(start.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let seeds = seeds().map_err(|error| error.to_string())?;
    let limits = Limits {
        entries_max: 12,
        entry_bytes_max: 1 << 20,
    };
    let mut outcomes = Outcomes::new();
    for execution in 0..executions {
        let seed = seeds
            .get(random.below(seeds.len()))
            .cloned()
            .unwrap_or_default();
        let other = seeds
            .get(random.below(seeds.len()))
            .cloned()
            .unwrap_or_default();
        let archive = damaged(&mut random, &seed, &other);
        let failed = |why: String| format!("execution {execution} from seed {start}: {why}");
        let outcome = match unpack(&archive, &limits) {
            Ok(entries) if entries.len() > limits.entries_max => {
                return Err(failed("more files than allowed".to_owned()));
            }
            Ok(entries) => {
                check(&entries, archive.len()).map_err(failed)?;
                "read: it is an archive all the same".to_owned()
            }
            Err(ArchiveError::Corrupt { why, .. }) => why.to_owned(),
            Err(other) => other.code().to_owned(),
        };
        *outcomes.entry(outcome).or_default() += 1;
    }
    Ok(outcomes)
}
