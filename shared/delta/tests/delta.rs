//! Deltas: honest ones arrive, all others are refused with a reason.
#![expect(clippy::unwrap_used, reason = "test code")]

use bzip2::read::BzEncoder;
use kintsugi_delta::{DeltaError, Expected, apply, make};
use kintsugi_domain::digest::Digest;
use proptest::prelude::*;
use std::io::Read;

const HEADER: usize = 8 + 2 + 32 + 32 + 8;

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

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    BzEncoder::new(bytes, bzip2::Compression::best())
        .read_to_end(&mut packed)
        .unwrap();
    packed
}

/// A delta with a right header and the given instructions and streams.
fn crafted(
    expected: &Expected,
    controls: &[[i64; 3]],
    differences: &[u8],
    fresh: &[u8],
) -> Vec<u8> {
    let number = |value: i64| {
        let sign = if value < 0 { 1 << 63 } else { 0 };
        (value.unsigned_abs() | sign).to_le_bytes()
    };
    let controls: Vec<u8> = controls
        .iter()
        .flatten()
        .flat_map(|value| number(*value))
        .collect();
    let (controls, differences) = (bzip2(&controls), bzip2(differences));
    let mut delta = b"KTSGDELT\0\x01".to_vec();
    delta.extend(expected.base.as_bytes());
    delta.extend(expected.digest.as_bytes());
    delta.extend(expected.length.to_be_bytes());
    delta.extend(b"BSDIFF40");
    delta.extend(number(i64::try_from(controls.len()).unwrap()));
    delta.extend(number(i64::try_from(differences.len()).unwrap()));
    delta.extend(number(i64::try_from(expected.length).unwrap()));
    delta.extend(controls);
    delta.extend(differences);
    delta.extend(bzip2(fresh));
    delta
}

fn corrupt(why: &'static str) -> Result<Vec<u8>, DeltaError> {
    Err(DeltaError::Corrupt { why })
}

#[test]
fn a_delta_is_small_deterministic_and_leads_to_the_new_content() {
    let (old, new) = contents();
    let delta = make(&old, &new).unwrap();
    assert!(delta.len() < 500, "{}", delta.len());
    assert_eq!(delta, make(&old, &new).unwrap());
    assert_eq!(apply(&old, &delta, &expected(&old, &new)).unwrap(), new);
}

#[test]
fn the_published_reader_agrees() {
    let (old, new) = contents();
    let delta = make(&old, &new).unwrap();
    let mut theirs = Vec::new();
    qbsdiff::Bspatch::new(&delta[HEADER..])
        .unwrap()
        .apply(&old, &mut theirs)
        .unwrap();
    assert_eq!(theirs, new);
}

#[test]
fn empty_contents_are_contents() {
    for (old, new) in [("", ""), ("", "new"), ("old", "")] {
        let (old, new) = (old.as_bytes(), new.as_bytes());
        let delta = make(old, new).unwrap();
        assert_eq!(apply(old, &delta, &expected(old, new)).unwrap(), new);
    }
}

#[test]
fn the_wrong_base_is_refused_before_any_work() {
    let (old, new) = contents();
    let mut delta = make(&old, &new).unwrap();
    delta.truncate(HEADER);
    let error = apply(b"another version", &delta, &expected(&old, &new)).unwrap_err();
    let (needed, found) = (Digest::of(&old), Digest::of(b"another version"));
    assert_eq!(error, DeltaError::WrongBase { needed, found });
}

#[test]
fn a_delta_that_the_metadata_does_not_name_is_refused() {
    let (old, new) = contents();
    let delta = make(&old, &new).unwrap();
    let right = expected(&old, &new);
    for (what, wrong) in [
        (
            "base",
            Expected {
                base: Digest::of(b"x"),
                ..right
            },
        ),
        (
            "result",
            Expected {
                digest: Digest::of(b"x"),
                ..right
            },
        ),
        (
            "length",
            Expected {
                length: right.length + 1,
                ..right
            },
        ),
    ] {
        assert_eq!(
            apply(&old, &delta, &wrong),
            Err(DeltaError::WrongDelta { what })
        );
    }
    let mut later = delta.clone();
    later[9] = 2;
    assert_eq!(
        apply(&old, &later, &right),
        Err(DeltaError::UnknownFormat { format: 2 })
    );
    assert_eq!(apply(&old, b"BSDIFF40", &right), Err(DeltaError::NotADelta));
    assert_eq!(apply(&old, b"", &right), Err(DeltaError::NotADelta));
}

#[test]
fn instructions_that_leave_their_bounds_are_refused_with_the_reason() {
    let (old, new) = (b"0123456789".as_slice(), b"abcdefgh".as_slice());
    let right = expected(old, new);

    for (controls, why) in [
        (vec![[9, 0, 0]], "it writes more than the declared length"),
        (vec![[0, 9, 0]], "it writes more than the declared length"),
        (
            vec![[i64::MAX, 0, 0]],
            "it writes more than the declared length",
        ),
        (vec![[0, 0, 5], [8, 0, 0]], "it reads outside the base"),
        (vec![[0, 0, -1]], "it seeks outside the base"),
        (vec![[1, 0, i64::MAX]], "it seeks outside the base"),
        (vec![[-1, 0, 0]], "an instruction has a negative length"),
        (vec![[0, -1, 0]], "an instruction has a negative length"),
        (vec![[1, 1, 0]], "it ends before the declared length"),
        (vec![[8, 0, 0]], "it holds more than it uses"),
        (vec![], "it ends before the declared length"),
        (vec![[0, 0, 0]; 17], "its instructions get nowhere"),
    ] {
        let delta = crafted(&right, &controls, &[0; 100], &[0; 100]);
        assert_eq!(apply(old, &delta, &right), corrupt(why), "{controls:?}");
    }
    let delta = crafted(&right, &[[0, 8, 0]], b"", b"abc");
    assert_eq!(apply(old, &delta, &right), corrupt("it is cut off"));
    let delta = crafted(&right, &[[0, 8, 0]], b"", b"abcdefgX");
    assert_eq!(apply(old, &delta, &right), Err(DeltaError::WrongResult));
}

#[test]
fn lengths_in_the_patch_header_cannot_overflow() {
    let right = expected(b"old", b"new");
    let good = crafted(&right, &[[0, 3, 0]], b"", b"new");
    assert_eq!(apply(b"old", &good, &right).unwrap(), b"new");
    for field in [8, 16, 24] {
        for value in [u64::MAX, u64::MAX >> 1, 1 << 63 | 5, 1 << 40] {
            let mut bad = good.clone();
            bad[HEADER + field..HEADER + field + 8].copy_from_slice(&value.to_le_bytes());
            assert_eq!(
                apply(b"old", &bad, &right).unwrap_err().code(),
                "delta_corrupt"
            );
        }
    }
}

#[test]
fn a_declared_length_that_no_machine_has_is_refused() {
    let right = Expected {
        length: 1 << 62,
        ..expected(b"old", b"new")
    };
    let delta = crafted(&right, &[[0, 3, 0]], b"", b"new");
    assert_eq!(
        apply(b"old", &delta, &right).unwrap_err().code(),
        "delta_too_large"
    );
}

#[test]
fn every_cut_is_noticed() {
    let (old, new) = contents();
    let delta = make(&old, &new).unwrap();
    for length in 0..delta.len() {
        assert!(
            apply(&old, &delta[..length], &expected(&old, &new)).is_err(),
            "{length}"
        );
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

proptest! {
    #[test]
    fn any_content_leads_to_any_other(old in any::<Vec<u8>>(), new in any::<Vec<u8>>()) {
        let delta = make(&old, &new).unwrap();
        prop_assert_eq!(apply(&old, &delta, &expected(&old, &new)).unwrap(), new);
    }

    #[test]
    fn arbitrary_instructions_never_panic(
        controls in proptest::collection::vec([-20_i64..60, -20_i64..60, -60_i64..60], 0..6),
        differences in any::<Vec<u8>>(),
        fresh in any::<Vec<u8>>(),
        length in 0_u64..200,
    ) {
        let old = [7; 64];
        let right = Expected { length, ..expected(&old, b"") };
        let delta = crafted(&right, &controls, &differences, &fresh);
        let _ = apply(&old, &delta, &right);
    }

    #[test]
    fn arbitrary_bytes_after_a_right_header_never_panic(tail in any::<Vec<u8>>(), streams in any::<Vec<u8>>()) {
        let right = expected(b"old", b"new");
        let mut delta = crafted(&right, &[], b"", b"");
        delta.truncate(HEADER);
        delta.extend(&tail);
        prop_assert!(apply(b"old", &delta, &right).is_err());
        let mut delta = crafted(&right, &[], b"", b"");
        delta.truncate(HEADER + 32);
        delta.extend(&streams);
        prop_assert!(apply(b"old", &delta, &right).is_err());
    }
}
