//! Deltas that no maker writes.

use super::apply::applied;
use super::coder::Encoder;
use super::header::{self, Header, Streams};
use super::layout::{Kind, Layout, Region};
use super::moves::{self, Copy};
use super::pack::Packing;
use super::plan::Plan;
use super::{DeltaError, Expected, apply, apply_to, make};
use kintsugi_domain::digest::Digest;
use proptest::prelude::*;

const OLD: &[u8] = b"0123456789";
const NEW: &[u8] = b"abcdefgh";

fn expected(old: &[u8], new: &[u8]) -> Expected {
    Expected {
        base: Digest::of(old),
        digest: Digest::of(new),
        length: new.len() as u64,
    }
}

/// A delta from `OLD` to `NEW` with a right header and the given streams.
fn crafted(plan: &[u8], corrections: &[u8], fresh: &[u8], packing: Packing) -> Vec<u8> {
    let header = Header {
        base: Digest::of(OLD),
        result: Digest::of(NEW),
        length: NEW.len() as u64,
        base_length: 10,
        packing,
        opened: None,
    };
    let streams = Streams {
        opening: b"",
        plan,
        corrections: vec![corrections],
        fresh,
    };
    header::write(&header, &streams).unwrap()
}

/// A plan written for contents of other lengths than `OLD` and `NEW`, so that nothing is checked.
fn plan(copies: &[Copy]) -> Vec<u8> {
    let mut encoder = Encoder::new();
    Layout::default().code(&mut encoder).unwrap();
    Layout::default().code(&mut encoder).unwrap();
    let _ = moves::code(&mut encoder, copies, u32::MAX, u32::MAX);
    moves::code_places(&mut encoder, &[], 0).unwrap();
    encoder.finish()
}

fn copy(old: u32, new: u32, length: u32) -> Copy {
    Copy { old, new, length }
}

fn refused(delta: &[u8]) -> DeltaError {
    apply(OLD, delta, &expected(OLD, NEW)).unwrap_err()
}

fn corrupt(why: &'static str) -> DeltaError {
    DeltaError::Corrupt { why }
}

#[test]
fn new_bytes_alone_make_a_delta() {
    let delta = crafted(&plan(&[]), b"", NEW, Packing::None);
    assert_eq!(apply(OLD, &delta, &expected(OLD, NEW)).unwrap(), NEW);
}

#[test]
fn copies_that_leave_their_bounds_are_refused_with_the_reason() {
    for (copies, why) in [
        (copy(5, 0, 8), "it reads outside the base"),
        (copy(u32::MAX - 4, 0, 8), "it reads outside the base"),
        (copy(0, 0, 9), "it writes more than the declared length"),
        (copy(0, 8, 1), "it writes more than the declared length"),
        (
            copy(0, u32::MAX - 2, 2),
            "it writes more than the declared length",
        ),
        (copy(0, 0, 0), "its instructions get nowhere"),
    ] {
        let delta = crafted(&plan(&[copies]), b"", NEW, Packing::None);
        assert_eq!(refused(&delta), corrupt(why), "{copies:?}");
    }
}

#[test]
fn streams_that_are_too_short_or_too_long_are_refused_with_the_reason() {
    let nothing = plan(&[]);
    let cut_off = corrupt("it is cut off");
    let too_much = corrupt("it holds more than it uses");
    for (plan, corrections, fresh, why) in [
        (&nothing, &b""[..], &b"abc"[..], &cut_off),
        (&nothing, b"", b"abcdefghi", &too_much),
        (&nothing, b"0123456789", NEW, &too_much),
        (&[nothing.clone(), vec![1; 9]].concat(), b"", NEW, &too_much),
        (&nothing, b"", b"abcdefgX", &DeltaError::WrongResult),
    ] {
        let delta = crafted(plan, corrections, fresh, Packing::None);
        assert_eq!(refused(&delta), *why);
    }
    let unreadable = corrupt("a compressed stream in it is not readable");
    for (packing, start) in [(Packing::Lzma, &[93, 12][..]), (Packing::Zstd, b"")] {
        let bad = [start, NEW].concat();
        assert_eq!(refused(&crafted(&nothing, b"", &bad, packing)), unreadable);
        assert_eq!(refused(&crafted(&nothing, b"", b"", packing)), cut_off);
    }
}

#[test]
fn nothing_may_follow_the_packed_bytes() {
    let nothing = plan(&[]);
    let lzma = super::pack::quick(NEW).unwrap();
    let zstd = zstd::bulk::compress(NEW, 3).unwrap();
    let unreadable = corrupt("a compressed stream in it is not readable");
    for (packing, packed) in [(Packing::Lzma, lzma), (Packing::Zstd, zstd)] {
        let with = |more: &[u8]| crafted(&nothing, b"", &[&packed, more].concat(), packing);
        assert_eq!(apply(OLD, &with(b""), &expected(OLD, NEW)).unwrap(), NEW);
        // The last one is a frame that Zstandard skips (RFC 8878, section 3.1.2).
        for more in [
            &b"\0"[..],
            b"something",
            &packed,
            b"\x50\x2a\x4d\x18\0\0\0\0",
        ] {
            assert_eq!(refused(&with(more)), unreadable, "{packing:?} {more:?}");
        }
    }
}

#[test]
fn a_plan_that_promises_more_copies_than_it_has_is_refused() {
    let copies: Vec<Copy> = (0..200).map(|at| copy(0, at, 1)).collect();
    let whole = plan(&copies);
    // The last bytes only end the stream; what they hold is zero as well. Zeros alone are a plan of nothing.
    let first = whole.iter().position(|byte| *byte != 0).unwrap();
    for length in first + 1..whole.len() - 8 {
        let plan = Plan::read(whole.get(..length).unwrap(), 10, 1 << 30);
        assert!(plan.is_err(), "{length}");
    }
    let error = Plan::read(&whole, 10, 100).unwrap_err();
    assert_eq!(error, corrupt("it names more copies than bytes"));
}

#[test]
fn a_header_is_read_field_by_field() {
    let good = crafted(&plan(&[]), b"", NEW, Packing::None);
    let with = |at: usize, byte: u8| {
        let mut bad = good.clone();
        *bad.get_mut(at).unwrap() = byte;
        refused(&bad)
    };
    assert_eq!(with(0, b'x'), DeltaError::NotADelta);
    assert_eq!(with(4, 2), DeltaError::UnknownFormat { format: 2 });
    assert_eq!(with(5, 0), DeltaError::WrongDelta { what: "base" });
    assert_eq!(with(37, 0), DeltaError::WrongDelta { what: "result" });
    let packing = corrupt("its new bytes are packed in an unknown way");
    assert_eq!(with(69, 3), packing);
    assert_eq!(with(70, 9), corrupt("it names a wrong length of its base"));
    assert_eq!(with(71, 1), DeltaError::WrongDelta { what: "length" });
    assert_eq!(with(72, 100), corrupt("it is cut off"));
    assert_eq!(with(73, 100), corrupt("it is cut off"));
    let earlier = refused(b"KTSGDELT\0\x02 and so on");
    assert_eq!(earlier, DeltaError::UnknownFormat { format: 68 });
}

#[test]
fn a_length_has_one_form_and_fits() {
    let good = crafted(&plan(&[]), b"", NEW, Packing::None);
    let (before, after) = good.split_at(70);
    let with = |length: &[u8]| {
        let after = after.get(1..).unwrap();
        refused(&[before, length, after].concat())
    };
    let longer = corrupt("a length in it is not of the shortest form");
    assert_eq!(with(&[0x8a, 0]), longer);
    let too_long = corrupt("a length in it does not fit");
    assert_eq!(with(&[0xff, 0xff, 0xff, 0xff, 0x10]), too_long);
    assert_eq!(with(&[0xff; 9]), too_long);
    assert_eq!(with(&[[0xff; 9].as_slice(), &[2]].concat()), too_long);
    for length in 0_u64..300 {
        let mut bytes = Vec::new();
        header::write_length(&mut bytes, length << 40);
        assert!(bytes.len() <= 8);
    }
}

#[test]
fn lzma_with_options_that_no_maker_takes_is_refused() {
    let nothing = plan(&[]);
    let odd = corrupt("a compressed stream in it has odd options");
    for options in [[225, 12], [44, 12], [93, 27], [93, 11]] {
        let delta = crafted(&nothing, b"", &[&options[..], NEW].concat(), Packing::Lzma);
        assert_eq!(refused(&delta), odd, "{options:?}");
    }
}

#[test]
fn a_place_that_takes_nothing_is_named() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the disk is full"))
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let delta = make(OLD, NEW).unwrap();
    let error = apply_to(OLD, &delta, &expected(OLD, NEW), &mut Full).unwrap_err();
    assert_eq!(error.code(), "delta_not_written");
    assert!(error.to_string().ends_with("the disk is full"));
}

fn any_region() -> impl Strategy<Value = (u32, u32, u64, u8, u32)> {
    (0_u32..60, 0_u32..300, 0_u64..600, 0_u8..8, 0_u32..500)
}

fn layout(parts: &[(u32, u32, u64, u8, u32)]) -> Layout {
    let mut end = 0;
    let regions = parts.iter().map(|(gap, length, address, kind, base)| {
        let start = end + gap;
        end = start + length;
        Region {
            start,
            length: *length,
            address: *address,
            image: 0,
            kind: match kind {
                0 => Kind::Plain,
                1 => Kind::X64,
                2 => Kind::A64,
                3 => Kind::Words,
                4 => Kind::Tables,
                5 => Kind::Data,
                6 => Kind::Relative,
                _ => Kind::Based,
            },
            base: *base,
        }
    });
    Layout::new(regions.collect()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn arbitrary_streams_never_panic_and_never_give_another_result(
        plan in any::<Vec<u8>>(),
        corrections in any::<Vec<u8>>(),
        fresh in any::<Vec<u8>>(),
        packing in 0_u8..3,
    ) {
        let packing = Packing::from_number(packing).unwrap();
        if let Ok(result) = apply(OLD, &crafted(&plan, &corrections, &fresh, packing), &expected(OLD, NEW)) {
            prop_assert_eq!(result, NEW);
        }
    }

    #[test]
    fn arbitrary_plans_with_arbitrary_layouts_never_panic(
        old_parts in proptest::collection::vec(any_region(), 0..6),
        new_parts in proptest::collection::vec(any_region(), 0..6),
        copies in proptest::collection::vec((0_u32..900, 0_u32..50, 1_u32..400), 0..6),
        old in proptest::collection::vec(prop_oneof![Just(0xe8), Just(0), Just(0x48), any::<u8>()], 1_000),
        tables_each in 4_usize..500,
        corrections in any::<Vec<u8>>(),
    ) {
        let mut end = 0;
        let copies: Vec<Copy> = copies.iter().map(|(old, gap, length)| {
            let one = copy(*old, end + gap, (*length).min(1_000 - old));
            end = one.new_end();
            one
        }).collect();
        let tables = (0..1_000).step_by(tables_each).collect();
        let plan = Plan { old_layout: layout(&old_parts), new_layout: layout(&new_parts), copies, tables };
        let length = end + 10;
        let plan = plan.write(1_000, length).unwrap();
        let header = Header {
            base: Digest::of(&old),
            result: Digest::of(NEW),
            length: u64::from(length),
            base_length: 1_000,
            packing: Packing::None,
            opened: None,
        };
        let fresh = vec![0; length as usize];
        let streams = Streams { opening: b"", plan: &plan, corrections: vec![&corrections], fresh: &fresh };
        let delta = header::write(&header, &streams).unwrap();
        let right = Expected { base: Digest::of(&old), digest: Digest::of(NEW), length: u64::from(length) };
        let mut written = Vec::new();
        prop_assert!(apply_to(&old, &delta, &right, &mut written).is_err());
        prop_assert!(written.len() <= length as usize);
    }
}

/// A content that is long enough for threads, all new bytes: what it takes to apply a delta to it with these.
fn long(fresh: &[u8], out: &mut dyn std::io::Write) -> Result<(), DeltaError> {
    let new = vec![7; 3 << 20];
    let header = Header {
        base: Digest::of(OLD),
        result: Digest::of(&new),
        length: new.len() as u64,
        base_length: 10,
        packing: Packing::None,
        opened: None,
    };
    let streams = Streams {
        opening: b"",
        plan: &plan(&[]),
        corrections: vec![b""],
        fresh,
    };
    let delta = header::write(&header, &streams).unwrap();
    apply_to(OLD, &delta, &expected(OLD, &new), out)
}

#[test]
fn a_long_result_arrives_or_is_refused_for_the_same_reasons() {
    let new = vec![7; 3 << 20];
    let mut written = Vec::new();
    long(&new, &mut written).unwrap();
    assert!(written == new);
    let mut sink = std::io::sink();
    let cut = new.get(1..).unwrap();
    assert_eq!(long(cut, &mut sink), Err(corrupt("it is cut off")));
    let more = [new.as_slice(), b"7"].concat();
    let too_much = Err(corrupt("it holds more than it uses"));
    assert_eq!(long(&more, &mut sink), too_much);
    let mut other = new;
    *other.last_mut().unwrap() = 8;
    assert_eq!(long(&other, &mut sink), Err(DeltaError::WrongResult));
}

#[test]
fn nothing_is_written_for_a_long_base_that_is_the_wrong_one() {
    let old = vec![1; 3 << 20];
    let delta = make(&old, NEW).unwrap();
    let mut wrong = old.clone();
    *wrong.last_mut().unwrap() = 2;
    let mut written = Vec::new();
    let error = apply_to(&wrong, &delta, &expected(&old, NEW), &mut written).unwrap_err();
    assert_eq!((error.code(), written.len()), ("delta_wrong_base", 0));
}

#[test]
fn what_a_delta_declares_is_read_from_its_header_alone() {
    let delta = make(OLD, NEW).unwrap();
    assert_eq!(Expected::declared_by(&delta), Ok(expected(OLD, NEW)));
    assert_eq!(
        Expected::declared_by(b"KTSG"),
        Err(corrupt("it is cut off"))
    );
}

/// Contents above a mebibyte that differ in so many places that the corrections come in parts.
fn divided() -> (Vec<u8>, Vec<u8>) {
    let mut state = 1_u32;
    let mut byte = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    let old: Vec<u8> = (0..1_400_000).map(|_| byte()).collect();
    let mut new = old.clone();
    for at in (0..new.len()).step_by(40) {
        new[at] = byte();
    }
    new.splice(700_000..700_000, b"something new".repeat(9));
    (old, new)
}

#[test]
fn corrections_in_parts_give_the_same_on_one_thread_and_on_several() {
    let (old, new) = divided();
    let delta = make(&old, &new).unwrap();
    let (header, streams) = header::read(&delta).unwrap();
    assert_eq!(streams.corrections.len(), 2);
    assert!(apply(&old, &delta, &expected(&old, &new)).unwrap() == new);
    let here = applied(&old, &delta, &expected(&old, &new), false);
    assert!(here.unwrap() == new);
    // Each part alone is missed or too long, and the error is the same.
    let [first, second] = [0, 1].map(|part| streams.corrections[part]);
    for (corrections, why) in [
        (vec![&first[..first.len() / 2], second], "it is cut off"),
        (vec![first, &second[..second.len() / 2]], "it is cut off"),
        (vec![first], "it is cut off"),
    ] {
        let streams = Streams {
            corrections,
            ..streams.clone()
        };
        let delta = header::write(&header, &streams).unwrap();
        for threads in [true, false] {
            let found = applied(&old, &delta, &expected(&old, &new), threads);
            assert_eq!(found, Err(DeltaError::Corrupt { why }), "{threads}");
        }
    }
    let longer = [second, b"and more"].concat();
    let streams = Streams {
        corrections: vec![first, &longer],
        ..streams.clone()
    };
    let delta = header::write(&header, &streams).unwrap();
    for threads in [true, false] {
        let found = applied(&old, &delta, &expected(&old, &new), threads);
        let why = "it holds more than it uses";
        assert_eq!(found, Err(DeltaError::Corrupt { why }), "{threads}");
    }
}
