//! Damages deltas at random and applies them: `cargo run --release -p kintsugi-delta --example fuzz --
//! EXECUTIONS [SEED]`.
//!
//! Half of the executions damage the bytes of a good delta behind its digests; the others put streams
//! of several good deltas together, with random lengths. Some of the good deltas are between zip and gzip files, by
//! member: there the lengths of the opened forms and the opening are damaged too. **An execution fails if it panics, if it writes
//! more than was declared, or if it succeeds with content of another digest.** The same seed gives the same
//! executions, so a failure is found again.

use kintsugi_delta::archive::{File, pack};
use kintsugi_delta::{DeltaError, Expected, apply_to, make};
use kintsugi_domain::digest::Digest;
use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write;

#[path = "../tests/support/zip.rs"]
mod support;
use support::{Packing, gzip, zip};

/// Bytes before what is damaged: magic, format and digests. How the new bytes are packed comes next.
const FIXED: usize = 69;
/// Where the lengths stand: of the base, of the result, three of opened archives, of the plan, and of each part of the corrections.
const LENGTHS: usize = FIXED + 1;
/// Set in how the new bytes are packed if archives are opened.
const OPENED: u8 = 0x10;
/// Added to how the new bytes are packed for each part of the corrections after the first.
const MORE: u8 = 0x20;

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

/// A pair of contents and its delta.
struct Seed {
    old: Vec<u8>,
    new: Vec<u8>,
    delta: Vec<u8>,
}

/// Counts, and forgets the rest.
struct Counter(u64);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Text, a program of each machine in an archive, and noise.
fn seeds(random: &mut Random) -> Result<Vec<Seed>, Box<dyn Error>> {
    let text: Vec<u8> = (0..300_u32)
        .flat_map(|n| format!("{n} {}\n", n * n % 97).into_bytes())
        .collect();
    let noise: Vec<u8> = (0..2_000).map(|_| random.byte()).collect();
    let mut pairs = vec![(text.clone(), text.repeat(2)), (noise.clone(), text)];
    for machine in [62, 183] {
        let old = program(machine, 0);
        pairs.push((old.clone(), program(machine, 24)));
        let archive = |program: Vec<u8>| {
            let file = File {
                content: program,
                executable: true,
            };
            pack(&BTreeMap::from([("bin/app".to_owned(), file)]), 0)
        };
        pairs.push((archive(old)?, archive(program(machine, 40))?));
    }
    pairs.extend(archives(random));
    let mut seeds = Vec::new();
    for (old, new) in pairs {
        let delta = make(&old, &new)?;
        seeds.push(Seed { old, new, delta });
    }
    Ok(seeds)
}

/// Zip and gzip files: members that change, come, go, are stored, have their sizes behind them.
fn archives(random: &mut Random) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut text = |lines: u32| -> Vec<u8> {
        let line = |at: u32, byte: u8| format!("{at} {byte} and so on\n").into_bytes();
        (0..lines).flat_map(|at| line(at, random.byte())).collect()
    };
    let (first, second, third) = (text(40), text(30), text(20));
    let mut other = first.clone();
    other.splice(100..103, *b"longer than before");
    let (six, nine) = (Packing::Level(6), Packing::Level(9));
    let program_member = |more| program(62, more);
    let (old_program, new_program) = (program_member(0), program_member(24));
    vec![
        (
            zip(
                b"",
                &[
                    ("a", &first, nine),
                    ("b", &second, nine),
                    ("c", &third, Packing::Stored),
                ],
            ),
            zip(
                b"",
                &[
                    ("a", &other, nine),
                    ("b", &second, nine),
                    ("c", &third, Packing::Stored),
                ],
            ),
        ),
        (
            zip(
                b"Cr24",
                &[
                    ("a", &first, six),
                    ("x/app", &old_program, six),
                    ("gone", &third, nine),
                ],
            ),
            zip(
                b"Cr24",
                &[
                    ("come", &other, nine),
                    ("x/app", &new_program, six),
                    ("empty", b"", six),
                ],
            ),
        ),
        (
            zip(
                b"",
                &[
                    ("a", &first, Packing::Later(6)),
                    ("b", &second, Packing::Blocks),
                ],
            ),
            zip(
                b"",
                &[
                    ("a", &other, Packing::Later(6)),
                    ("b", &third, Packing::Blocks),
                ],
            ),
        ),
        (gzip(&first, 6), gzip(&other, 6)),
    ]
}

/// A small ELF file: 64 functions that call each other, the first of them longer by `more` bytes.
fn program(machine: u16, more: usize) -> Vec<u8> {
    let mut text = vec![0x90; more];
    for at in 0..64_i32 {
        let to = (at * 37 % 64 - at) * 16
            + if at * 37 % 64 == 0 {
                -i32::try_from(more).unwrap_or(0)
            } else {
                0
            };
        if machine == 62 {
            text.extend([0x48, 0x8d, 0x05]);
            text.extend((0x2000 - at * 16 - 7).to_le_bytes());
            text.push(0xe8);
            text.extend((to - 12).to_le_bytes());
            text.extend([0x90, 0x90, 0x90, 0xc3]);
        } else {
            let far = (to >> 2).cast_unsigned() & 0x3ff_ffff;
            for word in [
                0x9000_0000_u32,
                0x9100_0000 | 0x400,
                0x9400_0000 | far,
                0xd65f_03c0,
            ] {
                text.extend(word.to_le_bytes());
            }
        }
    }
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0".to_vec();
    file.extend(machine.to_le_bytes());
    file.resize(256, 0);
    let names = b"\0.text\0.names\0";
    let text_end = file.len() + text.len();
    let sections = [
        (1_u32, 1_u32, 6_u64, 256, text.len()),
        (7, 3, 2, text_end, names.len()),
    ];
    file.extend(text);
    file.extend(names);
    let table = file.len() as u64;
    file.extend([0; 64]);
    for (name, kind, flags, start, length) in sections {
        file.extend(name.to_le_bytes());
        file.extend(kind.to_le_bytes());
        for value in [flags, start as u64, start as u64, length as u64, 0, 0, 0] {
            file.extend(value.to_le_bytes());
        }
    }
    for (at, bytes) in [
        (40, table.to_le_bytes().as_slice()),
        (58, &[64, 0, 3, 0, 2, 0]),
    ] {
        if let Some(place) = file.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }
    file
}

/// Where so many lengths from [`LENGTHS`] on end.
fn after_lengths(delta: &[u8], count: usize) -> usize {
    let lengths = delta.get(LENGTHS..).unwrap_or_default().iter();
    let ends = lengths.enumerate().filter(|(_, byte)| **byte < 0x80);
    let last = ends.take(count).last();
    LENGTHS + last.map_or(0, |(at, _)| at + 1)
}

fn length_bytes(mut length: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while length >= 0x80 {
        bytes.push(0x80 | u8::try_from(length & 0x7f).unwrap_or_default());
        length >>= 7;
    }
    bytes.push(u8::try_from(length).unwrap_or_default());
    bytes
}

/// How many lengths a delta has before its streams, and how many of them are of streams.
fn lengths_of(delta: &[u8]) -> usize {
    let packing = delta.get(FIXED).copied().unwrap_or_default();
    let count = if packing & OPENED != 0 { 7 } else { 4 };
    count + usize::from(packing / MORE)
}

/// A delta that nobody made.
fn damaged(random: &mut Random, seeds: &[Seed], seed: &Seed) -> Vec<u8> {
    let mut delta = seed.delta.clone();
    if random.below(2) == 0 {
        let other = seeds.get(random.below(seeds.len())).unwrap_or(seed);
        let theirs = other
            .delta
            .get(after_lengths(&other.delta, lengths_of(&other.delta))..);
        let theirs = theirs.unwrap_or_default();
        let from = random.below(theirs.len());
        let count = lengths_of(&delta);
        // An opened delta mostly keeps the lengths of its opened forms: few others lead further.
        let kept = if count >= 7 && random.below(4) > 0 {
            5
        } else {
            2
        };
        let (start, end) = (after_lengths(&delta, kept), after_lengths(&delta, count));
        let ours = delta.get(end..).unwrap_or_default();
        let keep = random.below(ours.len() + 1);
        let mut streams = ours.get(..keep).unwrap_or_default().to_vec();
        streams.extend(theirs.get(from..).unwrap_or_default());
        let lengths = delta.get(start..end).unwrap_or_default().to_vec();
        delta.truncate(start);
        if random.below(3) > 0 {
            let more = random.below(4).saturating_sub(1);
            if let Some(packing) = delta.get_mut(FIXED) {
                *packing += MORE * u8::try_from(more).unwrap_or_default();
            }
            for _ in kept..count + more {
                delta.extend(length_bytes(random.next() % (streams.len() as u64 + 1)));
            }
        } else {
            delta.extend(lengths);
        }
        delta.extend(streams);
    }
    for _ in 0..=random.below(6) {
        let at = FIXED + random.below(delta.len() - FIXED + 1);
        match random.below(4) {
            0 => delta.truncate(at.max(LENGTHS)),
            1 => {
                let byte = random.byte();
                delta.insert(at.min(delta.len()), byte);
            }
            _ => {
                let mask = random.byte();
                if let Some(byte) = delta.get_mut(at) {
                    *byte ^= mask;
                }
            }
        }
    }
    delta
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let executions: u64 = words.first().map_or(Ok(100_000), |it| it.parse())?;
    let start: u64 = words.get(1).map_or(Ok(1), |it| it.parse())?;
    let mut random = Random(start.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let seeds = seeds(&mut random)?;
    let mut refused: BTreeMap<String, u64> = BTreeMap::new();
    for execution in 0..executions {
        let Some(seed) = seeds.get(random.below(seeds.len())) else {
            continue;
        };
        let delta = damaged(&mut random, &seeds, seed);
        let expected = Expected {
            base: Digest::of(&seed.old),
            digest: Digest::of(&seed.new),
            length: seed.new.len() as u64,
        };
        let mut counter = Counter(0);
        let outcome = apply_to(&seed.old, &delta, &expected, &mut counter);
        if counter.0 > expected.length {
            return Err(format!("execution {execution} wrote {} bytes", counter.0).into());
        }
        let name = match outcome {
            Ok(()) => "arrived all the same".to_owned(),
            Err(DeltaError::Corrupt { why }) => why.to_owned(),
            Err(other) => other.code().to_owned(),
        };
        *refused.entry(name).or_default() += 1;
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "{executions} executions from seed {start}")?;
    for (name, count) in refused {
        writeln!(out, "{count:>10}  {name}")?;
    }
    Ok(())
}
