//! Archives that are diffed by member.
#![expect(clippy::unwrap_used, reason = "test code")]

use kintsugi_delta::{Expected, Info, apply, make};
use kintsugi_domain::digest::Digest;
use proptest::prelude::*;

#[path = "support/zip.rs"]
mod support;
use support::{Packing, gzip, zip};

/// A text that packs to about a third, another one for each seed.
fn text(seed: u32, lines: u32) -> Vec<u8> {
    let line = |at: u32| {
        let number = at.wrapping_add(seed << 16).wrapping_mul(0x9e37_79b1);
        format!("line {at} of {seed} says {number:08x} {}\n", number % 77)
    };
    (0..lines).flat_map(|at| line(at).into_bytes()).collect()
}

fn changed(text: &[u8]) -> Vec<u8> {
    let mut text = text.to_vec();
    let middle = text.len() / 2;
    text.splice(middle..middle + 3, *b"a change that moves what follows");
    text
}

/// Makes a delta, applies it, compares, and says what it is.
fn there(old: &[u8], new: &[u8]) -> (usize, Info) {
    let delta = make(old, new).unwrap();
    let expected = Expected {
        base: Digest::of(old),
        digest: Digest::of(new),
        length: new.len() as u64,
    };
    assert!(apply(old, &delta, &expected).unwrap() == new);
    (delta.len(), Info::read(&delta).unwrap())
}

#[test]
fn a_changed_member_of_a_zip_costs_its_change() {
    let names: Vec<String> = (0..60).map(|at| format!("folder/file-{at}.txt")).collect();
    let texts: Vec<Vec<u8>> = (0..60).map(|at| text(at, 300)).collect();
    let archive = |before: &[u8], changed_text: &[u8], packing: Packing| {
        let members = names.iter().zip(&texts).enumerate();
        let members = members.map(|(at, (name, text))| {
            let text = if at == 20 { changed_text } else { text };
            (name.as_str(), text, packing)
        });
        zip(before, &members.collect::<Vec<_>>())
    };
    let other = changed(&texts[20]);
    for (packing, most) in [
        (Packing::Level(9), 200),
        (Packing::Level(6), 200),
        (Packing::Level(1), 200),
        // The sizes behind the data are not foretold.
        (Packing::Later(9), 215),
    ] {
        let (old, new) = (
            archive(b"", &texts[20], packing),
            archive(b"", &other, packing),
        );
        let (bytes, info) = there(&old, &new);
        assert!(bytes < most, "{packing:?}: {bytes}");
        // Only the member that changed is unpacked.
        let [from, to] = info.opened.unwrap();
        let unpacked = texts[20].len() as u64;
        assert!((info.base_length..info.base_length + unpacked).contains(&from));
        assert!((info.length..info.length + other.len() as u64).contains(&to));
        let before = b"Cr24 and a signature of any length";
        let (bytes, info) = there(
            &archive(before, &texts[20], packing),
            &archive(before, &other, packing),
        );
        assert!(
            info.opened.is_some() && bytes < most + 5,
            "{packing:?}: {bytes}"
        );
    }
    // By nobody's compressor: nothing can be opened, and the plain delta is made.
    let (old, new) = (
        archive(b"", &texts[20], Packing::Blocks),
        archive(b"", &other, Packing::Blocks),
    );
    assert_eq!(there(&old, &new).1.opened, None);
}

#[test]
fn members_that_come_go_and_get_another_name_are_found() {
    let texts: Vec<Vec<u8>> = (0..8).map(|at| text(at, 400)).collect();
    let level = Packing::Level(6);
    let old = zip(
        b"",
        &[
            ("app-1.0/readme", &texts[0], level),
            ("app-1.0/library", &texts[1], level),
            ("gone", &texts[2], level),
            ("same", &texts[3], level),
            ("picture", &texts[4], Packing::Stored),
        ],
    );
    let (readme, library) = (changed(&texts[0]), changed(&texts[1]));
    let new = zip(
        b"",
        &[
            ("same", &texts[3], level),
            ("app-1.1/library", &library, level),
            ("app-1.1/readme", &readme, Packing::Level(9)),
            ("come", b"something short", level),
            ("empty", b"", level),
            ("picture", &texts[4], Packing::Stored),
        ],
    );
    let (bytes, info) = there(&old, &new);
    assert!(info.opened.is_some() && bytes < 500, "{bytes}");
}

#[test]
fn what_a_gzip_file_holds_is_compared_unpacked() {
    let content = text(1, 2_000);
    let (bytes, info) = there(&gzip(&content, 6), &gzip(&changed(&content), 6));
    assert!(info.opened.is_some() && bytes < 200, "{bytes}");
}

#[test]
fn a_member_too_long_to_wait_for_is_packed_as_it_comes() {
    let long: Vec<u8> = (0..17_u32 << 16)
        .flat_map(|at| (at / 9).to_le_bytes())
        .collect();
    let other = changed(&long);
    let (old, new) = (
        zip(b"", &[("long", &long, Packing::Level(9))]),
        zip(b"", &[("long", &other, Packing::Level(9))]),
    );
    let (bytes, info) = there(&old, &new);
    assert!(info.opened.is_some() && bytes < 300, "{info:?} {bytes}");
}

#[test]
fn archives_that_lie_about_themselves_get_a_larger_delta_and_nothing_else() {
    let (first, second) = (text(1, 60), text(2, 60));
    let archive = |first: &[u8]| {
        zip(
            b"",
            &[
                ("first", first, Packing::Level(6)),
                ("second", &second, Packing::Level(6)),
            ],
        )
    };
    let (old, new) = (archive(&first), archive(&changed(&first)));
    assert!(there(&old, &new).1.opened.is_some());
    // Heads, the directory and its end; the data are damaged here and there.
    let heads = (0..40)
        .chain((40..new.len() - 160).step_by(97))
        .chain(new.len() - 160..new.len());
    for at in heads {
        for mask in [0xff, 1] {
            let mut bad = new.clone();
            bad[at] ^= mask;
            there(&old, &bad);
            let mut base = old.clone();
            if let Some(byte) = base.get_mut(at) {
                *byte ^= mask;
            }
            there(&base, &new);
        }
    }
}

#[test]
fn damaged_deltas_of_archives_never_give_another_result() {
    let first = text(1, 60);
    let other = text(2, 60);
    let archive = |first: &[u8]| {
        zip(
            b"",
            &[
                ("first", first, Packing::Level(6)),
                ("second", &other, Packing::Level(6)),
            ],
        )
    };
    let (old, new) = (archive(&first), archive(&changed(&first)));
    let delta = make(&old, &new).unwrap();
    assert!(Info::read(&delta).unwrap().opened.is_some());
    let expected = Expected {
        base: Digest::of(&old),
        digest: Digest::of(&new),
        length: new.len() as u64,
    };
    for bit in 0..delta.len() * 8 {
        let mut bad = delta.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        if let Ok(result) = apply(&old, &bad, &expected) {
            assert_eq!(result, new, "bit {bit}");
        }
    }
    for length in 0..delta.len() {
        assert!(
            apply(&old, &delta[..length], &expected).is_err(),
            "{length}"
        );
    }
}

fn any_member() -> impl Strategy<Value = (u8, Vec<u8>, u8)> {
    (0_u8..6, proptest::collection::vec(0_u8..4, 0..400), 0_u8..5)
}

fn any_zip(members: &[(u8, Vec<u8>, u8)]) -> Vec<u8> {
    let names: Vec<String> = members
        .iter()
        .map(|(name, _, _)| format!("n{name}"))
        .collect();
    let members = names
        .iter()
        .zip(members)
        .map(|(name, (_, content, packing))| {
            let packing = match packing {
                0 => Packing::Stored,
                1 => Packing::Later(6),
                2 => Packing::Blocks,
                level => Packing::Level(u32::from(*level)),
            };
            (name.as_str(), content.as_slice(), packing)
        });
    zip(b"", &members.collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_archive_leads_to_any_other(
        old in proptest::collection::vec(any_member(), 0..6),
        new in proptest::collection::vec(any_member(), 0..6),
    ) {
        there(&any_zip(&old), &any_zip(&new));
    }
}
