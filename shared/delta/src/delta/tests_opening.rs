//! Deltas of archives that no maker writes.

use super::coder::Encoder;
use super::header::{self, Header, Streams};
use super::opening::{self, Member, OPENED_BYTES_MAX, Recipe};
use super::pack::Packing;
use super::parts::{self, Kind};
use super::plan::Plan;
use super::{DeltaError, Expected, apply_to};
use kintsugi_domain::digest::Digest;
use proptest::prelude::*;
use std::collections::HashSet;

#[path = "../../tests/support/zip.rs"]
#[expect(dead_code, reason = "other tests take other parts of it")]
mod support;
use support::{Packing as Packed, zip};

const TEXT: &[u8] = b"a text, a text, a text, a text and another text";

fn archive() -> Vec<u8> {
    let level = Packed::Level(6);
    zip(b"", &[("first", TEXT, level), ("second", TEXT, level)])
}

/// An opening with the second member of the base open and this recipe.
fn opening(old: &[u8], members: Vec<Member>, gap: u32) -> Vec<u8> {
    let archive = parts::find(old).unwrap();
    let mut encoder = Encoder::new();
    let flags = opening::code_flags(&mut encoder, &archive, &HashSet::from([1]));
    let recipe = Recipe {
        kind: Kind::Zip,
        members,
        gap,
    };
    let old = opening::forms(&archive, &flags);
    let _ = opening::code_recipe(&mut encoder, &old, Some((&recipe, &[])), u32::MAX);
    encoder.finish()
}

fn member(gap: u32, head: u32, length: u32, level: Option<u32>) -> Member {
    Member {
        gap,
        head,
        length,
        level,
    }
}

/// A delta whose opened result is `fresh`, and what comes of it: the error, and how much was written.
fn outcome(
    old: &[u8],
    opening: &[u8],
    lengths: [u32; 2],
    fresh: &[u8],
    length: u64,
) -> (Result<(), DeltaError>, usize) {
    let plan = Plan::default().write(lengths[0], lengths[1]).unwrap();
    let expected = Expected {
        base: Digest::of(old),
        digest: Digest::of(TEXT),
        length,
    };
    let header = Header {
        base: expected.base,
        result: expected.digest,
        length,
        base_length: u32::try_from(old.len()).unwrap(),
        packing: Packing::None,
        opened: Some(lengths),
    };
    let streams = Streams {
        opening,
        plan: &plan,
        corrections: vec![b""],
        fresh,
    };
    let delta = header::write(&header, &streams).unwrap();
    let mut written = Vec::new();
    let result = apply_to(old, &delta, &expected, &mut written);
    (result, written.len())
}

/// The length of the base with its second member open.
fn opened_length(old: &[u8]) -> u32 {
    let archive = parts::find(old).unwrap();
    let packed = archive.parts[1].end - archive.parts[1].start;
    u32::try_from(old.len() - packed + TEXT.len()).unwrap()
}

fn corrupt(why: &'static str) -> Result<(), DeltaError> {
    Err(DeltaError::Corrupt { why })
}

#[test]
fn what_does_not_fit_the_base_is_refused_with_the_reason() {
    let old = archive();
    let nothing = opening(&old, vec![], 0);
    let length = opened_length(&old);
    let of = |old: &[u8], opening: &[u8], base: u32| outcome(old, opening, [base, 4], b"four", 4).0;
    assert_eq!(of(&old, &nothing, length), Err(DeltaError::WrongResult));
    assert_eq!(
        of(TEXT, &nothing, length),
        corrupt("its base is not an archive")
    );
    let wrong = corrupt("it names a wrong length of its opened base");
    assert_eq!(of(&old, &nothing, length + 1), wrong);
    assert_eq!(of(&old, &nothing, length - 1), wrong);
    let longer = corrupt("its base is longer unpacked than declared");
    assert_eq!(of(&old, &nothing, 10), longer);
    let bytes = u64::from(OPENED_BYTES_MAX) + 1;
    let too_large = Err(DeltaError::TooLarge { bytes });
    assert_eq!(of(&old, &nothing, OPENED_BYTES_MAX + 1), too_large);
    // A stream ends in zeros that it leaves away.
    let more = [nothing.as_slice(), &[0; 8], &[1; 9]].concat();
    assert_eq!(
        of(&old, &more, length),
        corrupt("it holds more than it uses")
    );
    // The second member no longer is what a compressor gives.
    let mut broken = old.clone();
    let start = parts::find(&old).unwrap().parts[1].start;
    broken[start] ^= 0xff;
    assert_eq!(
        of(&broken, &nothing, length),
        corrupt("a member of its base does not unpack")
    );
}

#[test]
fn a_recipe_that_leads_nowhere_is_refused_with_the_reason() {
    let old = archive();
    let base = opened_length(&old);
    let too_long = "its members are longer than the declared length";
    let odd = "a member is described in an odd way";
    for (members, gap, why) in [
        (vec![member(0, 0, 5, None)], 0, too_long),
        (
            vec![member(u32::MAX, u32::MAX, u32::MAX, None)],
            0,
            too_long,
        ),
        (vec![member(1, 1, 2, None)], 1, too_long),
        (vec![member(0, 0, 4, Some(10))], 0, odd),
        (
            vec![member(0, 0, 0, None); 70_000],
            0,
            "it names too many members",
        ),
    ] {
        let opening = opening(&old, members, gap);
        let (result, _) = outcome(&old, &opening, [base, 4], b"four", 4);
        assert_eq!(result, corrupt(why));
    }
    let wide = opening(&old, vec![member(0, 200_000, 0, None)], 0);
    let fresh = vec![0; 200_000];
    let (result, _) = outcome(&old, &wide, [base, 200_000], &fresh, 4);
    assert_eq!(result, corrupt(odd));
}

#[test]
fn no_more_is_written_than_declared_although_members_grow_when_packed() {
    let old = archive();
    let base = opened_length(&old);
    let too_much = corrupt("it writes more than the declared length");
    // Deflated, one byte takes three.
    let opening_of = |members| opening(&old, members, 0);
    let grows = opening_of(vec![member(0, 0, 1, Some(9)); 4]);
    // What does not fit is not even begun.
    assert_eq!(
        outcome(&old, &grows, [base, 4], b"four", 4),
        (too_much.clone(), 0)
    );
    let (result, written) = outcome(&old, &grows, [base, 4], b"four", 12);
    assert_eq!((result, written), (Err(DeltaError::WrongResult), 12));
    // A long member is packed as it comes, and is stopped as it comes.
    let mut noise = 1_u32;
    let mut next = |_| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        noise.to_be_bytes()[0]
    };
    let long: Vec<u8> = (0..5_u32 << 20).map(&mut next).collect();
    let length = u32::try_from(long.len()).unwrap();
    let opening = opening_of(vec![member(0, 0, length, Some(9))]);
    let (result, written) = outcome(&old, &opening, [base, length], &long, 100_000);
    assert!(result == too_much && written <= 100_000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn arbitrary_openings_never_panic_and_never_write_more_than_declared(
        opening in any::<Vec<u8>>(),
        members in proptest::collection::vec((0_u32..40, 0_u32..80, 0_u32..300, 0_u32..12), 0..8),
        fresh in proptest::collection::vec(prop_oneof![Just(b'P'), Just(b'K'), Just(1), Just(2), any::<u8>()], 0..600),
        gap in 0_u32..40,
        length in 0_u64..700,
    ) {
        let old = archive();
        let base = opened_length(&old);
        let size = u32::try_from(fresh.len()).unwrap();
        let members = members.iter().map(|(gap, head, length, level)| {
            member(*gap, *head, *length, (*level < 10).then_some(*level))
        });
        for opening in [opening, self::opening(&old, members.collect(), gap)] {
            let (result, written) = outcome(&old, &opening, [base, size], &fresh, length);
            prop_assert!(result.is_err());
            prop_assert!(written as u64 <= length);
        }
    }
}
