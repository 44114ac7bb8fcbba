//! The instructions of `AArch64` that name an address (Arm ARM, C4 and C6).
//!
//! All instructions have 32 bits. An address that is far away takes two of them: `adrp` names its page,
//! and a later `add`, load or store with the same register adds the low twelve bits.

use super::layout::{Layout, Near, Region};
use super::refs::{Form, Reference};

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

/// The field of an instruction that adds the low bits to the register, and whether it is done with it.
fn low(word: u32, register: u32) -> Option<Field> {
    if word >> 5 & 0x1f != register {
        return None;
    }
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

/// Finds the references of a part of a region of code, sorted by place; the part begins at `offset` in the region. Two
/// instructions that name an address together are found if both are in the part.
pub(super) fn scan(
    code: &[u8],
    offset: u32,
    region: &Region,
    layout: &Layout,
    found: &mut Vec<Reference>,
) {
    let before = found.len();
    let words: Vec<u32> = code
        .chunks_exact(4)
        .filter_map(|bytes| bytes.first_chunk().map(|bytes| u32::from_le_bytes(*bytes)))
        .collect();
    let mut near = Near::new(layout);
    let mut push = |at: u32, address: u64, field: Field| {
        if let Some((_, target)) = near.find(region.image, address) {
            found.push(Reference::new(at, target, Form::Arm(field)));
        }
    };
    let mut low_taken = vec![false; words.len()];
    let mut at = region.start + offset;
    for (index, word) in words.iter().enumerate() {
        let own = region.address_of(at);
        if let Some(field) = direct(*word) {
            let value = field.read(*word);
            let distance = if field == Field::Byte {
                value
            } else {
                value << 2
            };
            push(at, own.wrapping_add_signed(distance), field);
        } else if word & 0x9f00_0000 == 0x9000_0000 {
            let page = (own & !0xfff).wrapping_add_signed(Field::Page.read(*word) << 12);
            let register = word & 0x1f;
            let mut first = None;
            for ahead in 1..=PAIR_WITHIN {
                let Some(next) = words.get(index + ahead) else {
                    break;
                };
                if next & 0x9f00_001f == 0x9000_0000 | register {
                    break;
                }
                let Some(field) = low(*next, register) else {
                    continue;
                };
                let Some(taken) = low_taken.get_mut(index + ahead).filter(|taken| !**taken) else {
                    continue;
                };
                *taken = true;
                let Field::Low(shift) = field else { continue };
                let address = page.wrapping_add_signed(field.read(*next) << shift);
                first = first.or(Some(address));
                push(
                    at + u32::try_from(ahead * 4).unwrap_or_default(),
                    address,
                    field,
                );
                // The register holds something else from here on.
                if next & 0xffc0_001f == 0x9100_0000 | register {
                    break;
                }
            }
            push(at, first.unwrap_or(page), Field::Page);
        }
        at += 4;
    }
    let found = found.get_mut(before..).unwrap_or_default();
    found.sort_by_key(|one| one.at);
}

#[cfg(test)]
mod tests {
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
}
