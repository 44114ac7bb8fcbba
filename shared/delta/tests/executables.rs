//! Executables: when something moves, what names it follows.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use kintsugi_delta::{Expected, Info, apply, make};
use kintsugi_domain::digest::Digest;

const TEXT: usize = 0x1000;
const FUNCTIONS: usize = 400;

#[derive(Clone, Copy, PartialEq)]
enum Machine {
    X64,
    A64,
}

/// A program whose functions call each other and name strings; `grown` makes one of them longer.
struct Program {
    text: Vec<u8>,
    strings: Vec<u8>,
    pointers: Vec<u8>,
}

fn number(seed: usize) -> u32 {
    u32::try_from(seed).unwrap().wrapping_mul(0x9e37_79b1)
}

fn program(machine: Machine, base: usize, grown: bool) -> Program {
    let lengths: Vec<usize> = (0..FUNCTIONS)
        .map(|at| 64 + if grown && at == 40 { 48 } else { 0 })
        .collect();
    let start = |wanted: usize| base + TEXT + lengths[..wanted].iter().sum::<usize>();
    let strings_at = start(FUNCTIONS).next_multiple_of(0x1000);
    let string = |at: usize| strings_at + at * 24 + if grown && at > 99 { 24 } else { 0 };
    let mut text = Vec::new();
    for (at, length) in lengths.iter().enumerate() {
        let own = start(at);
        let mut code = Vec::new();
        for step in 0..3 {
            let callee = start(number(at * 3 + step) as usize % FUNCTIONS);
            let said = string(number(at * 7 + step) as usize % 200);
            let here = own + code.len();
            match machine {
                Machine::X64 => {
                    code.extend([0x48, 0x8d, 0x05]);
                    code.extend(distance(said, here + 7).to_le_bytes());
                    code.push(0xe8);
                    code.extend(distance(callee, here + 12).to_le_bytes());
                    code.push(0xb8);
                    code.extend(number(at * 11 + step).to_le_bytes());
                }
                Machine::A64 => {
                    let pages = distance(said >> 12, here >> 12).cast_unsigned();
                    let page = 0x9000_0000 | (pages & 3) << 29 | (pages >> 2 & 0x7_ffff) << 5;
                    let low = u32::try_from(said & 0xfff).unwrap();
                    let far = distance(callee, here + 8).cast_unsigned() >> 2 & 0x3ff_ffff;
                    for word in [page, 0x9100_0000 | low << 10, 0x9400_0000 | far] {
                        code.extend(word.to_le_bytes());
                    }
                }
            }
        }
        let filler: &[u8] = match machine {
            Machine::X64 => &[0x90],
            Machine::A64 => &[0x1f, 0x20, 0x03, 0xd5],
        };
        let missing = length - code.len();
        code.extend(filler.iter().cycle().take(missing));
        text.extend(code);
    }
    let mut strings = Vec::new();
    for at in 0..200 {
        if grown && at == 100 {
            strings.extend(b"a string that is new now");
        }
        strings.extend(format!("{:<24}", format!("string {}", number(at))).as_bytes());
    }
    let pointers =
        (0..FUNCTIONS).flat_map(|at| (start(number(at) as usize % FUNCTIONS) as u64).to_le_bytes());
    Program {
        text,
        strings,
        pointers: pointers.collect(),
    }
}

fn distance(to: usize, from: usize) -> i32 {
    i32::try_from(to.cast_signed() - from.cast_signed()).unwrap()
}

fn put(file: &mut [u8], at: usize, bytes: &[u8]) {
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

/// An ELF file with the sections of a program. Addresses are offsets.
fn elf(machine: Machine, grown: bool) -> Vec<u8> {
    let program = program(machine, 0, grown);
    let mut file = vec![0; TEXT];
    put(&mut file, 0, b"\x7fELF\x02\x01\x01");
    let number: u16 = if machine == Machine::X64 { 62 } else { 183 };
    put(&mut file, 18, &number.to_le_bytes());
    let names = b"\0.text\0.rodata\0.data\0.shstrtab\0";
    let mut headers = vec![0; 64];
    for (name, kind, flags, bytes) in [
        (1_u32, 1_u32, 6_u64, program.text.as_slice()),
        (7, 1, 2, &program.strings),
        (15, 1, 3, &program.pointers),
        (21, 3, 0, names),
    ] {
        file.resize(file.len().next_multiple_of(0x1000), 0);
        let mut header = vec![0; 64];
        put(&mut header, 0, &name.to_le_bytes());
        put(&mut header, 4, &kind.to_le_bytes());
        put(&mut header, 8, &flags.to_le_bytes());
        put(&mut header, 16, &(file.len() as u64).to_le_bytes());
        put(&mut header, 24, &(file.len() as u64).to_le_bytes());
        put(&mut header, 32, &(bytes.len() as u64).to_le_bytes());
        headers.extend(header);
        file.extend(bytes);
    }
    file.resize(file.len().next_multiple_of(8), 0);
    let table = file.len() as u64;
    put(&mut file, 40, &table.to_le_bytes());
    put(&mut file, 58, &64_u16.to_le_bytes());
    put(&mut file, 60, &5_u16.to_le_bytes());
    put(&mut file, 62, &4_u16.to_le_bytes());
    file.extend(headers);
    file
}

/// A PE file with the same sections, loaded at 5 GiB.
fn pe(grown: bool) -> Vec<u8> {
    let base = 0x1_4000_0000_usize;
    let program = program(Machine::X64, base, grown);
    let mut file = vec![0; TEXT];
    put(&mut file, 0, b"MZ");
    put(&mut file, 60, &128_u32.to_le_bytes());
    put(&mut file, 128, b"PE\0\0\x64\x86\x03\0");
    put(&mut file, 128 + 20, &240_u16.to_le_bytes());
    put(&mut file, 128 + 24, &0x20b_u16.to_le_bytes());
    put(&mut file, 128 + 48, &(base as u64).to_le_bytes());
    put(&mut file, 128 + 84, &0x400_u32.to_le_bytes());
    let sections: [(&[u8], u32, &[u8]); 3] = [
        (b".text", 0x6000_0020, &program.text),
        (b".rdata", 0x4000_0040, &program.strings),
        (b".data", 0xc000_0040, &program.pointers),
    ];
    for (at, (name, flags, bytes)) in sections.into_iter().enumerate() {
        file.resize(file.len().next_multiple_of(0x1000), 0);
        let header = 128 + 24 + 240 + at * 40;
        let (length, start) = (bytes.len(), file.len());
        put(&mut file, header, name);
        for (field, value) in [(8, length), (12, start), (16, length), (20, start)] {
            let value = u32::try_from(value).unwrap();
            put(&mut file, header + field, &value.to_le_bytes());
        }
        put(&mut file, header + 36, &flags.to_le_bytes());
        file.extend(bytes);
    }
    file
}

fn expected(old: &[u8], new: &[u8]) -> Expected {
    Expected {
        base: Digest::of(old),
        digest: Digest::of(new),
        length: new.len() as u64,
    }
}

/// Makes and applies a delta.
#[track_caller]
fn arrives(old: &[u8], new: &[u8]) -> Vec<u8> {
    let delta = make(old, new).unwrap();
    assert_eq!(apply(old, &delta, &expected(old, new)).unwrap(), new);
    delta
}

/// Makes and applies a delta, and says how long it is and how much code it knows of.
#[track_caller]
fn delta(old: &[u8], new: &[u8]) -> (usize, u64) {
    let delta = arrives(old, new);
    assert_eq!(delta, make(old, new).unwrap());
    (delta.len(), Info::read(&delta).unwrap().code_bytes)
}

/// The same bytes without the mark of an executable: nothing is known of their references.
fn unmarked(file: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    put(&mut file, 0, b"...");
    file
}

#[track_caller]
fn assert_follows(old: &[u8], new: &[u8]) {
    let (with, code) = delta(old, new);
    let (without, no_code) = delta(&unmarked(old), &unmarked(new));
    assert!(
        code >= FUNCTIONS as u64 * 64 && no_code == 0,
        "{code} {no_code}"
    );
    assert!(with < 800 && with * 3 < without, "{with} {without}");
}

#[test]
fn references_in_elf_code_for_x86_64_follow_what_moved() {
    assert_follows(&elf(Machine::X64, false), &elf(Machine::X64, true));
}

#[test]
fn references_in_elf_code_for_aarch64_follow_what_moved() {
    assert_follows(&elf(Machine::A64, false), &elf(Machine::A64, true));
}

#[test]
fn references_in_pe_code_follow_what_moved() {
    assert_follows(&pe(false), &pe(true));
}

#[test]
fn executables_in_a_tar_archive_are_followed_although_they_change_places() {
    let tar = |members: &[(&str, Vec<u8>)]| {
        let files = members.iter().map(|(name, content)| {
            let file = kintsugi_delta::archive::File {
                content: content.clone(),
                executable: true,
            };
            ((*name).to_owned(), file)
        });
        kintsugi_delta::archive::pack(&files.collect(), 0).unwrap()
    };
    let old = tar(&[
        ("bin/a", elf(Machine::X64, false)),
        ("bin/b", elf(Machine::A64, false)),
    ]);
    let new = tar(&[
        ("bin/0", b"something short".to_vec()),
        ("bin/c", elf(Machine::A64, true)),
        ("bin/d", elf(Machine::X64, true)),
    ]);
    let (bytes, code) = delta(&old, &new);
    assert!(code >= 2 * FUNCTIONS as u64 * 64, "{code}");
    assert!(bytes < 1_800, "{bytes}");
}

#[test]
fn headers_that_lie_make_a_larger_delta_and_nothing_else() {
    let (old, new) = (elf(Machine::X64, false), elf(Machine::X64, true));
    let table = usize::try_from(u64::from_le_bytes(*old[40..].first_chunk().unwrap())).unwrap();
    for at in [
        16,
        24,
        32,
        40,
        58,
        60,
        62,
        table + 64 + 16,
        table + 64 + 24,
        table + 64 + 32,
    ] {
        for value in [u64::MAX, 0x7fff_ffff] {
            let mut lying = old.clone();
            put(&mut lying, at, &value.to_le_bytes());
            arrives(&lying, &new);
            arrives(&new, &lying);
        }
    }
    for length in [1, 20, 64, 0x1000, old.len() - 1] {
        arrives(&old[..length], &new);
        arrives(&new, &old[..length]);
    }
}
