//! References in code of x86-64, found by how they look: the opcodes of calls and jumps, and operands beside the
//! instruction pointer, that lead to a place of the image. Zucchini (Chromium) looks for them in the same way. Nothing is read
//! instruction by instruction, so a part of code can be looked into wherever it begins; eight bytes are looked at at once.

use super::layout::Region;
use super::refs::{Form, Reference, Search};
use super::x64::{self, Tail};

/// The high bit of each byte.
const HIGH: u64 = 0x8080_8080_8080_8080;
/// A byte in all places.
const EACH: u64 = 0x0101_0101_0101_0101;

// How long the immediate is that follows an operand, and these.
/// One of the length of the low bits, if the register field is 0 or 1.
const TEST: u8 = 8;
/// There is no operand, or it is not one that code has.
const NONE: u8 = 0x80;

/// By opcode: of the first map, then of the second (after `0f`).
#[expect(
    clippy::indexing_slicing,
    reason = "computed when this is compiled, which fails beside the table"
)]
const OPERANDS: [u8; 512] = {
    let mut all = [NONE; 512];
    let (mut opcode, mut is_done) = (0_u8, false);
    while !is_done {
        // Arithmetic on single bytes hardly occurs, and its opcodes are common as other bytes.
        if opcode >= 0x40 || opcode & 1 != 0 {
            all[opcode as usize] = operand(x64::tail(opcode));
        }
        all[256 + opcode as usize] = operand(x64::tail_0f(opcode));
        (opcode, is_done) = opcode.overflowing_add(1);
    }
    all
};

const fn operand(tail: Tail) -> u8 {
    match tail {
        Tail::M => 0,
        Tail::M1 => 1,
        Tail::Mz => 4,
        Tail::Mt1 => TEST | 1,
        Tail::Mtz => TEST | 4,
        Tail::Bare
        | Tail::I1
        | Tail::I2
        | Tail::I3
        | Tail::Iz
        | Tail::Iv
        | Tail::A8
        | Tail::R1
        | Tail::R4
        | Tail::Bad => NONE,
    }
}

/// Which bytes may be the last one before a distance, or `0f`: the high bits of those.
#[inline]
fn marks(word: u64) -> u64 {
    let zeros = |bytes: u64| !(((bytes & !HIGH) + !HIGH) | bytes) & HIGH;
    let beside = (word & (0xc7 * EACH)) ^ (0x05 * EACH);
    let calls = (word & (0xfe * EACH)) ^ (0xe8 * EACH);
    zeros(beside) | zeros(calls) | zeros(word ^ (0x0f * EACH))
}

/// Finds the references of a part of a region of code.
pub(super) fn find(mut search: Search<'_, '_>) {
    let code = search.bytes();
    // The first byte that is no part of a reference.
    let mut free = 0;
    for (number, word) in code.chunks(8).enumerate() {
        let word = word.first_chunk().copied().unwrap_or_else(|| {
            let mut padded = [0; 8];
            for (byte, given) in padded.iter_mut().zip(word) {
                *byte = *given;
            }
            padded
        });
        let mut marks = marks(u64::from_le_bytes(word));
        while marks != 0 {
            let at = number * 8 + (marks.trailing_zeros() / 8) as usize;
            marks &= marks - 1;
            if at >= free
                && let Some(end) = reference(code, at, &mut search)
            {
                free = end;
            }
        }
    }
}

/// Takes a reference by the byte before its field, if there is one; says where its field ends.
#[inline]
fn reference(code: &[u8], at: usize, search: &mut Search<'_, '_>) -> Option<usize> {
    let (form, field, after) = match *code.get(at)? {
        0xe8 => (Form::Call, at + 1, 0),
        0xe9 => (Form::Jump, at + 1, 0),
        0x0f if code.get(at + 1)? & 0xf0 == 0x80 => (Form::Branch, at + 2, 0),
        0x0f => return None,
        modrm => {
            let opcode = *code.get(at.checked_sub(1)?)?;
            let escaped = at.checked_sub(2).and_then(|at| code.get(at)) == Some(&0x0f);
            let operand = *OPERANDS.get(usize::from(escaped) << 8 | usize::from(opcode))?;
            if operand & NONE != 0 {
                return None;
            }
            let has_none = operand & TEST != 0 && modrm & 0x30 != 0;
            let form = if !escaped && opcode == 0x8d {
                Form::Lea
            } else {
                Form::Data
            };
            (form, at + 1, if has_none { 0 } else { operand & 7 })
        }
    };
    let value = i32::from_le_bytes(*code.get(field..)?.first_chunk()?);
    let place = search.part.0 + u32::try_from(field).ok()?;
    let to_end = 4 + after;
    let region = search.region;
    let end = place.wrapping_add(u32::from(to_end));
    let target = end.wrapping_add_signed(value);
    let target = if target.wrapping_sub(region.start) < region.length {
        if search.is_along(target) {
            return Some(field + 4);
        }
        target
    } else {
        let address = region.address_of(end);
        let address = address.wrapping_add_signed(i64::from(value));
        elsewhere(form, region, address, search)?
    };
    search.found.push(Reference {
        to_end,
        ..Reference::new(place, target, form)
    });
    Some(field + 4)
}

/// The position of an address in another region that code may name in this form.
fn elsewhere(
    form: Form,
    region: &Region,
    address: u64,
    search: &mut Search<'_, '_>,
) -> Option<u32> {
    if form == Form::Branch {
        return None;
    }
    let (owner, target) = search.near.find(region.image, address)?;
    let is_jump = matches!(form, Form::Call | Form::Jump);
    (!is_jump || owner.kind.is_code()).then_some(target)
}

#[cfg(test)]
mod tests {
    use super::super::layout::{Kind, Layout, Near};
    use super::super::refs::Span;
    use super::*;

    fn layout() -> Layout {
        let region = |start, kind| Region {
            start,
            length: 4_096,
            address: 0x10_0000 + u64::from(start),
            image: 0,
            kind,
            base: 0,
        };
        Layout::new(vec![region(0, Kind::X64), region(4_096, Kind::Data)]).unwrap()
    }

    /// Positions, targets, forms, and what follows the start of the field.
    fn found(code: &[u8], part: Span, along: Span) -> Vec<(u32, u32, Form, u8)> {
        let layout = layout();
        let mut found = Vec::new();
        find(Search {
            content: code,
            part,
            region: &layout.regions()[0],
            along,
            near: &mut Near::new(&layout),
            found: &mut found,
        });
        let found = found.iter();
        found
            .map(|it| (it.at, it.target, it.form, it.to_end))
            .collect()
    }

    fn all(code: &[u8]) -> Vec<(u32, u32, Form, u8)> {
        found(code, (0, u32::try_from(code.len()).unwrap()), (0, 0))
    }

    #[test]
    fn calls_jumps_and_operands_are_found_where_their_fields_are() {
        for (code, one) in [
            (&[0xe8, 10, 0, 0, 0][..], (1, 15, Form::Call, 4)),
            (&[0xe9, 10, 0, 0, 0], (1, 15, Form::Jump, 4)),
            (&[0x0f, 0x84, 10, 0, 0, 0], (2, 16, Form::Branch, 4)),
            (&[0x48, 0x8d, 0x05, 10, 0, 0, 0], (3, 17, Form::Lea, 4)),
            (&[0x48, 0x8b, 0x3d, 0, 16, 0, 0], (3, 4_103, Form::Data, 4)),
            // The distance counts from behind the immediate.
            (
                &[0xc7, 0x05, 0, 16, 0, 0, 1, 2, 3, 4],
                (2, 4_106, Form::Data, 8),
            ),
            (&[0xf6, 0x05, 0, 16, 0, 0, 1], (2, 4_103, Form::Data, 5)),
            (&[0xf7, 0x1d, 0, 16, 0, 0], (2, 4_102, Form::Data, 4)),
            (&[0x0f, 0x28, 0x0d, 0, 16, 0, 0], (3, 4_103, Form::Data, 4)),
        ] {
            assert_eq!(all(code), [one], "{code:x?}");
        }
    }

    #[test]
    fn what_leads_nowhere_is_none() {
        for code in [
            // Before the image, behind it, and a call and a branch into data.
            &[0xe8, 0, 0, 0, 0xf0][..],
            &[0xe8, 0, 0, 1, 0],
            &[0xe8, 0, 16, 0, 0],
            &[0x0f, 0x84, 0, 16, 0, 0],
            // No operand beside the instruction pointer.
            &[0x90, 0x05, 0, 16, 0, 0],
            // Cut off.
            &[0xe8, 1, 0, 0],
        ] {
            assert_eq!(all(code), [], "{code:x?}");
        }
    }

    #[test]
    fn what_moves_along_is_left_out_and_the_rest_found_in_any_part() {
        let code: Vec<u8> = (0..200_u8).flat_map(|at| [0xe8, at, 0, 0, 0]).collect();
        let whole = all(&code);
        assert_eq!(whole.len(), 200);
        let apart = |range: Span| found(&code, (500, 1_000), range);
        assert_eq!(apart((0, 0)), whole[100..]);
        let beside = whole[100..].iter().filter(|it| it.1 >= 1_000);
        assert_eq!(apart((500, 1_000)), beside.copied().collect::<Vec<_>>());
    }

    #[test]
    fn fields_are_no_part_of_other_references() {
        let code = [0xe8, 0x0f, 0x05, 0, 0, 0xe8, 0, 0, 0, 0];
        let starts: Vec<u32> = all(&code).iter().map(|it| it.0).collect();
        assert_eq!(starts, [1, 6]);
    }

    #[test]
    fn marks_are_on_all_bytes_that_may_precede_a_distance_and_on_no_others() {
        for byte in 0..=255_u8 {
            let marked = matches!(byte, 0xe8 | 0xe9 | 0x0f) || byte & 0xc7 == 5;
            for others in [0x0000_0000_0000_0000, u64::MAX, 0x05e8_0f80_7f01_0005] {
                for place in 0..8 {
                    let word = others & !(0xff << (8 * place)) | u64::from(byte) << (8 * place);
                    let mark = marks(word) >> (8 * place) & 0xff;
                    assert_eq!(mark, if marked { 0x80 } else { 0 }, "{byte:x} {place}");
                }
            }
        }
    }
}
