//! Deltas: honest ones arrive, all others are refused with a reason.

use kintsugi_delta::{DeltaError, Expected, Info, apply, is_worthwhile, make};
use kintsugi_domain::digest::Digest;
use proptest::prelude::*;

/// Magic, format, both digests.
const DIGESTS_END: usize = 4 + 1 + 32 + 32;

fn expected(old: &[u8], new: &[u8]) -> Expected {
    Expected {
        base: Digest::of(old),
        digest: Digest::of(new),
        length: new.len() as u64,
    }
}

fn contents() -> (Vec<u8>, Vec<u8>) {
    let old: Vec<u8> = (0..900_u32)
        .flat_map(|n| format!("{n} {}\n", n * n % 97).into_bytes())
        .collect();
    let mut new = old.clone();
    new.splice(3_000..3_010, *b"something new in the middle");
    new.extend(b"and at the end");
    (old, new)
}

#[test]
fn a_delta_is_small_deterministic_and_leads_to_the_new_content() {
    let (old, new) = contents();
    let delta = make(&old, &new).unwrap();
    assert!(delta.len() < 200, "{}", delta.len());
    assert_eq!(delta, make(&old, &new).unwrap());
    assert_eq!(apply(&old, &delta, &expected(&old, &new)).unwrap(), new);
}

#[test]
fn empty_contents_are_contents() {
    for (old, new) in [("", ""), ("", "new"), ("old", ""), ("a", "a")] {
        let (old, new) = (old.as_bytes(), new.as_bytes());
        let delta = make(old, new).unwrap();
        assert_eq!(apply(old, &delta, &expected(old, new)).unwrap(), new);
    }
}

#[test]
fn the_same_content_costs_next_to_nothing() {
    let (old, _) = contents();
    assert!(make(&old, &old).unwrap().len() < 130);
}

#[test]
fn words_that_are_named_anew_cost_their_first_place_and_little_more() {
    let name = |at: u32| format!("v{}", at.wrapping_mul(0x9e37_79b1) >> 22);
    let code = |from: u32| -> String {
        let calls = (0..2_000_u32).map(|at| {
            let callee = at.wrapping_mul(at) % 40;
            format!("{}({},x{at});", name(from + callee), at * 7 % 1_000)
        });
        calls.collect()
    };
    let old = code(0).into_bytes();
    // Every name is another of the same length in the new content.
    let mut new = code(0);
    for at in 0..40 {
        new = new.replace(&format!("{}(", name(at)), &format!("{}<", name(at + 100)));
    }
    let new = new.replace('<', "(").into_bytes();
    let differing = old.iter().zip(&new).filter(|(old, new)| old != new).count();
    assert!(differing > 3_000, "{differing}");
    let delta = make(&old, &new).unwrap();
    assert!(delta.len() < 900, "{}", delta.len());
    assert_eq!(apply(&old, &delta, &expected(&old, &new)).unwrap(), new);
}

#[test]
fn content_that_has_nothing_of_the_base_is_packed_by_itself() {
    let (old, _) = contents();
    let new = b"nothing of this was there before. ".repeat(300);
    let delta = make(&old, &new).unwrap();
    assert!(delta.len() < 300, "{}", delta.len());
    assert_eq!(apply(&old, &delta, &expected(&old, &new)).unwrap(), new);
}

#[test]
fn a_delta_says_what_it_is() {
    let (old, new) = contents();
    let info = Info::read(&make(&old, &new).unwrap()).unwrap();
    let lengths = (old.len() as u64, new.len() as u64);
    assert_eq!((info.base_length, info.length), lengths);
    assert_eq!(
        (info.base, info.digest),
        (Digest::of(&old), Digest::of(&new))
    );
    assert_eq!((info.format, info.code_bytes), (6, 0));
    assert!(info.copies >= 2 && info.copied_bytes > info.length - 60);
    assert_eq!(Info::read(b"no delta"), Err(DeltaError::NotADelta));
}

#[test]
fn a_delta_that_saves_less_than_a_fifth_is_not_worthwhile() {
    assert!(is_worthwhile(80, 100) && is_worthwhile(0, 0));
    assert!(!is_worthwhile(81, 100) && !is_worthwhile(u64::MAX, u64::MAX));
}

#[test]
fn the_wrong_base_is_refused_before_any_work() {
    let (old, new) = contents();
    let delta = make(&old, &new).unwrap();
    let error = apply(b"another version", &delta, &expected(&old, &new)).unwrap_err();
    let (needed, found) = (Digest::of(&old), Digest::of(b"another version"));
    assert_eq!(error, DeltaError::WrongBase { needed, found });
}

#[test]
fn a_delta_that_the_metadata_does_not_name_is_refused() {
    let (old, new) = contents();
    let delta = make(&old, &new).unwrap();
    let right = expected(&old, &new);
    let other = Digest::of(b"x");
    let (base, digest, length) = (other, other, right.length + 1);
    for (what, wrong) in [
        ("base", Expected { base, ..right }),
        ("result", Expected { digest, ..right }),
        ("length", Expected { length, ..right }),
    ] {
        let refused = Err(DeltaError::WrongDelta { what });
        assert_eq!(apply(&old, &delta, &wrong), refused);
    }
    let mut later = delta.clone();
    later[4] = 7;
    let refused = Err(DeltaError::UnknownFormat { format: 7 });
    assert_eq!(apply(&old, &later, &right), refused);
    assert_eq!(apply(&old, b"BSDIFF40", &right), Err(DeltaError::NotADelta));
    assert_eq!(apply(&old, b"", &right), Err(DeltaError::NotADelta));
}

#[test]
fn a_declared_length_that_no_machine_has_is_refused() {
    let (old, new) = contents();
    let length = 1 << 62;
    let right = Expected {
        length,
        ..expected(&old, &new)
    };
    let mut delta = make(&old, &new).unwrap();
    // After the packing and the length of the base, which takes two bytes.
    let at = DIGESTS_END + 1 + 2;
    delta.splice(at..at + 2, [0x80; 8].into_iter().chain([0x40]));
    assert_eq!(
        apply(&old, &delta, &right).unwrap_err().code(),
        "delta_too_large"
    );
}

#[test]
fn every_cut_is_noticed() {
    let (old, new) = contents();
    let delta = make(&old, &new).unwrap();
    for length in 0..delta.len() {
        let cut = &delta[..length];
        assert!(apply(&old, cut, &expected(&old, &new)).is_err(), "{length}");
    }
}

#[test]
fn no_flipped_bit_gives_another_result() {
    let (old, new) = contents();
    let delta = make(&old, &new).unwrap();
    for bit in 0..delta.len() * 8 {
        let mut bad = delta.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        if let Ok(result) = apply(&old, &bad, &expected(&old, &new)) {
            assert_eq!(result, new, "bit {bit}");
        }
    }
}

/// Replaces, inserts or removes at a place.
fn edited(old: &[u8], edits: &[(usize, usize, Vec<u8>)]) -> Vec<u8> {
    let mut new = old.to_vec();
    for (at, removed, inserted) in edits {
        let at = at % (new.len() + 1);
        let end = (at + removed).min(new.len());
        new.splice(at..end, inserted.iter().copied());
    }
    new
}

proptest! {
    #[test]
    fn any_content_leads_to_any_other(old in any::<Vec<u8>>(), new in any::<Vec<u8>>()) {
        let delta = make(&old, &new).unwrap();
        prop_assert_eq!(apply(&old, &delta, &expected(&old, &new)).unwrap(), new);
    }

    #[test]
    fn any_edits_arrive(
        old in proptest::collection::vec(0_u8..20, 0..3_000),
        edits in proptest::collection::vec((any::<usize>(), 0_usize..200, any::<Vec<u8>>()), 0..8),
    ) {
        let new = edited(&old, &edits);
        let delta = make(&old, &new).unwrap();
        prop_assert_eq!(apply(&old, &delta, &expected(&old, &new)).unwrap(), new);
    }

    #[test]
    fn damaged_deltas_never_panic_and_never_give_another_result(
        edits in proptest::collection::vec((any::<usize>(), 0_usize..4, proptest::collection::vec(any::<u8>(), 0..4)), 1..4),
    ) {
        let (old, new) = contents();
        let mut bad = make(&old, &new).unwrap();
        let streams = edited(&bad[DIGESTS_END..], &edits);
        bad.truncate(DIGESTS_END);
        bad.extend(streams);
        if let Ok(result) = apply(&old, &bad, &expected(&old, &new)) {
            prop_assert_eq!(result, new);
        }
    }
}
