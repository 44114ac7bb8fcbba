//! The instructions of `AArch64` that name an address (Arm ARM, C4 and C6).
//!
//! All instructions have 32 bits. An address that is far away takes two of them: `adrp` names its page,
//! and a later `add`, load or store with the same register adds the low twelve bits.

use super::refs::{Form, Reference, Search};

/// Instructions after an `adrp` among which the one that completes it is looked for.
const PAIR_WITHIN: usize = 12;

/// Which bits of an instruction name an address, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// `b`, `bl`: 26 bits, in words.
    Far,
    /// `b.cond`, `cbz`, `cbnz`, `ldr` of a literal: 19 bits, in words.
    Near,
    /// `tbz`, `tbnz`: 14 bits, in words.
    Test,
    /// `adr`: 21 bits, in bytes.
    Byte,
    /// `adrp`: 21 bits, in pages of 4 KiB.
    Page,
    /// `add`, loads and stores: the low twelve bits, shifted right by the number.
    Low(u8),
}

impl Field {
    pub(super) fn class(self) -> usize {
        match self {
            Self::Far => 0,
            Self::Near => 1,
            Self::Test => 2,
            Self::Byte => 3,
            Self::Page => 4,
            Self::Low(_) => 5,
        }
    }

    /// By how many bits it leaves out of a distance. A page has its own memory and counts as it is.
    pub(super) fn scale(self) -> u8 {
        match self {
            Self::Far | Self::Near | Self::Test => 2,
            Self::Byte | Self::Page => 0,
            Self::Low(shift) => shift,
        }
    }

    /// The number in the field.
    pub(super) fn read(self, word: u32) -> i64 {
        match self {
            Self::Far => signed(word, 26),
            Self::Near => signed(word >> 5, 19),
            Self::Test => signed(word >> 5, 14),
            Self::Byte | Self::Page => signed(word >> 3 & 0x1f_fffc | word >> 29 & 3, 21),
            Self::Low(_) => i64::from(word >> 10 & 0xfff),
        }
    }

    /// The instruction with another number in its field.
    pub(super) fn write(self, word: u32, value: i64) -> u32 {
        let low = u32::try_from(value & 0xffff_ffff).unwrap_or_default();
        let put = |bits: u32, shift: u32| {
            let mask = ((1 << bits) - 1) << shift;
            word & !mask | low << shift & mask
        };
        match self {
            Self::Far => put(26, 0),
            Self::Near => put(19, 5),
            Self::Test => put(14, 5),
            Self::Byte | Self::Page => {
                word & !0x60ff_ffe0 | (low & 3) << 29 | (low >> 2 & 0x7_ffff) << 5
            }
            Self::Low(_) => put(12, 10),
        }
    }

    /// The number that names an address from an instruction at `own`.
    pub(super) fn value(self, target: u64, own: u64) -> i64 {
        let distance = target.wrapping_sub(own).cast_signed();
        match self {
            Self::Far | Self::Near | Self::Test => distance >> 2,
            Self::Byte => distance,
            Self::Page => (target >> 12).wrapping_sub(own >> 12).cast_signed(),
            Self::Low(shift) => ((target & 0xfff) >> shift).cast_signed(),
        }
    }
}

/// The `bits` low bits as a number with a sign.
fn signed(word: u32, bits: u32) -> i64 {
    let up = 32 - bits;
    i64::from((word << up).cast_signed() >> up)
}

/// The field of an instruction that names an address by itself.
fn direct(word: u32) -> Option<Field> {
    if word & 0x7c00_0000 == 0x1400_0000 {
        Some(Field::Far)
    } else if word & 0xff00_0010 == 0x5400_0000
        || word & 0x7e00_0000 == 0x3400_0000
        || word & 0x3b00_0000 == 0x1800_0000
    {
        Some(Field::Near)
    } else if word & 0x7e00_0000 == 0x3600_0000 {
        Some(Field::Test)
    } else if word & 0x9f00_0000 == 0x1000_0000 {
        Some(Field::Byte)
    } else {
        None
    }
}

/// The field of an instruction that adds the low bits to a register.
#[inline]
fn low(word: u32) -> Option<Field> {
    if word & 0xffc0_0000 == 0x9100_0000 {
        return Some(Field::Low(0));
    }
    // Loads and stores with an unsigned offset, scaled by their size.
    if word & 0x3b00_0000 == 0x3900_0000 {
        let quad = word & 0x0480_0000 == 0x0480_0000 && word >> 30 == 0;
        let shift = if quad { 4 } else { word >> 30 };
        return u8::try_from(shift).ok().map(Field::Low);
    }
    None
}

/// What is known of a register: the page that it holds, and how many instructions ago it got it.
type Held = Option<(u64, usize)>;

/// Finds the references of a part of a region of code. Instructions beside the part tell what registers hold.
pub(super) fn find(search: Search<'_, '_>) {
    let Search {
        content,
        part,
        region,
        along,
        near,
        found,
    } = search;
    let end = (region.end() as usize).min(content.len());
    let code = content.get(region.start as usize..end).unwrap_or_default();
    let word = |at: usize| {
        let bytes = code.get(at * 4..).and_then(<[u8]>::first_chunk);
        bytes.map(|bytes| u32::from_le_bytes(*bytes))
    };
    let mut push = |at: u32, address: u64, field: Field| {
        let is_distance = !matches!(field, Field::Page | Field::Low(_));
        if let Some((owner, target)) = near.find(region.image, address)
            && !(is_distance && owner.start == region.start && is_within(along, target))
        {
            found.push(Reference::new(at, target, Form::Arm(field)));
        }
    };
    let first = (part.0 - region.start).div_ceil(4) as usize;
    let end = ((part.1 - region.start) / 4) as usize;
    let mut held: [Held; 32] = [None; 32];
    for index in first.saturating_sub(PAIR_WITHIN)..end {
        let Some(one) = word(index) else { break };
        if CLASSES.get((one >> 24) as usize) != Some(&true) {
            continue;
        }
        let at = region.start + u32::try_from(index * 4).unwrap_or_default();
        let own = region.address_of(at);
        if let Some(field) = direct(one) {
            if index >= first {
                let value = field.read(one);
                let shift = if field == Field::Byte { 0 } else { 2 };
                push(at, own.wrapping_add_signed(value << shift), field);
            }
        } else if one & 0x9f00_0000 == 0x9000_0000 {
            let page = (own & !0xfff).wrapping_add_signed(Field::Page.read(one) << 12);
            let register = one & 0x1f;
            if let Some(held) = held.get_mut(register as usize) {
                *held = Some((page, index));
            }
            if index >= first {
                let rest = (index + 1..=index + PAIR_WITHIN).map_while(word);
                push(
                    at,
                    page.wrapping_add(completed(rest, register)),
                    Field::Page,
                );
            }
        } else if let Some(slot) = held.get_mut((one >> 5 & 0x1f) as usize)
            && let Some((page, since)) = slot.filter(|(_, since)| index - since <= PAIR_WITHIN)
            && let Some(field) = low(one)
        {
            if index >= first {
                push(at, page.wrapping_add(offset(field, one)), field);
            }
            // An addition to the register itself: it holds something else from here on.
            if one & 0xffc0_0000 == 0x9100_0000 && one & 0x1f == one >> 5 & 0x1f {
                *slot = None;
            } else {
                *slot = Some((page, since));
            }
        }
    }
}

fn is_within((start, end): (u32, u32), position: u32) -> bool {
    (start..end).contains(&position)
}

/// What the first of the instructions after an `adrp` adds to its page.
fn completed(rest: impl Iterator<Item = u32>, register: u32) -> u64 {
    for next in rest {
        if next & 0x9f00_001f == 0x9000_0000 | register {
            break;
        }
        if let Some(field) = low(next).filter(|_| next >> 5 & 0x1f == register) {
            return offset(field, next);
        }
    }
    0
}

/// What an instruction adds to a page.
fn offset(field: Field, word: u32) -> u64 {
    let shift = field.scale();
    u64::try_from(field.read(word) << shift).unwrap_or_default()
}

/// By the high byte of an instruction: whether it may name an address.
#[expect(
    clippy::indexing_slicing,
    reason = "computed when this is compiled, which fails beside the table"
)]
const CLASSES: [bool; 256] = {
    let mut all = [false; 256];
    let mut high = 0_u32;
    while high < 256 {
        let word = high << 24;
        all[high as usize] = word & 0x7c00_0000 == 0x1400_0000
            || word & 0xff00_0000 == 0x5400_0000
            || word & 0x7e00_0000 == 0x3400_0000
            || word & 0x3b00_0000 == 0x1800_0000
            || word & 0x7e00_0000 == 0x3600_0000
            || word & 0x1f00_0000 == 0x1000_0000
            || word & 0xff00_0000 == 0x9100_0000
            || word & 0x3b00_0000 == 0x3900_0000;
        high += 1;
    }
    all
};

#[cfg(test)]
mod tests {
    use super::super::layout::{Kind, Layout, Near, Region};
    use super::*;

    #[test]
    fn a_field_holds_what_was_written_and_nothing_else_changes() {
        for (field, word) in [
            (Field::Far, 0x9400_0000_u32),
            (Field::Near, 0x5400_0001),
            (Field::Test, 0x3600_0003),
            (Field::Byte, 0x1000_0004),
            (Field::Page, 0x9000_0005),
        ] {
            for value in [-3, 0, 1, 100, -8_000] {
                let changed = field.write(word, value);
                assert_eq!(field.read(changed), value, "{field:?}");
                assert_eq!(field.write(changed, 0), word, "{field:?}");
            }
        }
        assert_eq!(
            Field::Low(3).read(Field::Low(3).write(0x9100_0000, 0x123)),
            0x123
        );
    }

    #[test]
    fn a_page_and_its_low_bits_name_one_address() {
        let (target, own) = (0x12_3458, 0x1_0ffc);
        assert_eq!(Field::Page.value(target, own), 0x123 - 0x10);
        assert_eq!(Field::Low(3).value(target, own), 0x458 >> 3);
        assert_eq!(Field::Far.value(own - 8, own), -2);
    }

    /// Positions, targets and forms in a part of code whose addresses begin at a mebibyte.
    fn found(words: &[u32], part: (u32, u32), along: (u32, u32)) -> Vec<(u32, u32, Field)> {
        let code: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let region = Region {
            start: 0,
            length: 1 << 20,
            address: 0x10_0000,
            image: 0,
            kind: Kind::A64,
            base: 0,
        };
        let layout = Layout::new(vec![region]).unwrap();
        let mut found = Vec::new();
        find(Search {
            content: &code,
            part,
            region: &layout.regions()[0],
            along,
            near: &mut Near::new(&layout),
            found: &mut found,
        });
        let fields = found.iter().filter_map(|one| {
            let Form::Arm(field) = one.form else {
                return None;
            };
            Some((one.at, one.target, field))
        });
        fields.collect()
    }

    /// `adrp x1` of the page two after this, something else, and `add x1, x1` and `ldr x2, [x1]` with low bits.
    const PAIR: [u32; 4] = [0xd000_0001, 0xd503_201f, 0x9101_0021, 0xf940_0822];

    #[test]
    fn a_page_is_found_with_what_completes_it_wherever_the_part_begins() {
        let page = (0, 0x2040, Field::Page);
        let low = (8, 0x2040, Field::Low(0));
        // The load is from another address: the register holds more than the page by then.
        assert_eq!(found(&PAIR, (0, 16), (0, 0)), [page, low]);
        assert_eq!(found(&PAIR, (4, 16), (0, 0)), [low]);
        assert_eq!(found(&PAIR, (0, 4), (0, 0)), [page]);
        let far = [&[PAIR[0]][..], &[PAIR[1]; 12], &[PAIR[2]]].concat();
        assert_eq!(found(&far, (0, 56), (0, 0)), [(0, 0x2000, Field::Page)]);
    }

    #[test]
    fn a_distance_to_what_moves_along_is_left_out() {
        // `b` by 8 and by 64 bytes.
        let code = [0x1400_0002, 0x1400_0010];
        let all = [(0, 8, Field::Far), (4, 68, Field::Far)];
        assert_eq!(found(&code, (0, 8), (0, 0)), all);
        assert_eq!(found(&code, (0, 8), (0, 64)), all[1..]);
        // A page counts from its own address, so it does not.
        assert_eq!(found(&PAIR, (0, 4), (0, 1 << 20)).len(), 1);
    }
}
