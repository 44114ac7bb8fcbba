//! How long instructions of x86-64 are, quickly where they are ordinary: by one load of eight bytes and two looks into
//! tables. What is not ordinary goes to [`x64::read`].
//!
//! **Invariant: what is found is what [`x64::read`] finds.**

use super::x64;

/// Bytes that there have to be for a quick look; an ordinary instruction is not longer.
const WINDOW: usize = 16;

// What is known of an opcode: how long its immediate is, and these.
const IMMEDIATE: u8 = 7;
/// The immediate has two bytes less after the prefix `66`.
const SIZED: u8 = 8;
const MODRM: u8 = 0x10;
/// The immediate has eight bytes if the operand is wide.
const WIDE: u8 = 0x40;
/// To be read in full.
const SLOW: u8 = 0x80;

/// By opcode: of the first map, then of the second (after `0f`).
#[expect(
    clippy::indexing_slicing,
    reason = "computed when this is compiled, which fails beside the table"
)]
const OPCODES: [u8; 512] = {
    let mut all = [SLOW; 512];
    let (mut opcode, mut is_done) = (0_u8, false);
    while !is_done {
        all[opcode as usize] = known(x64::tail(opcode));
        // What leads to another map is read in full.
        if opcode != 0x38 && opcode != 0x3a {
            all[256 + opcode as usize] = known(x64::tail_0f(opcode));
        }
        (opcode, is_done) = opcode.overflowing_add(1);
    }
    all
};

const fn known(tail: x64::Tail) -> u8 {
    match tail {
        x64::Tail::Bare => 0,
        x64::Tail::M => MODRM,
        x64::Tail::M1 => MODRM | 1,
        x64::Tail::Mz => MODRM | SIZED | 4,
        x64::Tail::I1 | x64::Tail::R1 => 1,
        x64::Tail::I2 => 2,
        x64::Tail::Iz => SIZED | 4,
        x64::Tail::Iv => WIDE | SIZED | 4,
        x64::Tail::R4 => 4,
        x64::Tail::Mt1 | x64::Tail::Mtz | x64::Tail::I3 | x64::Tail::A8 | x64::Tail::Bad => SLOW,
    }
}

/// By `ModRM` byte: the bytes from it to the end of the displacement, without what a SIB byte adds to those.
#[expect(
    clippy::indexing_slicing,
    reason = "computed when this is compiled, which fails beside the table"
)]
const OPERANDS: [u8; 256] = {
    let mut all = [0; 256];
    let mut at = 0;
    while at < 256 {
        let (mode, low) = (at >> 6, at & 7);
        let sib = if mode != 3 && low == 4 { 1 } else { 0 };
        let displacement = match mode {
            0 if low == 5 => 4,
            1 => 1,
            2 => 4,
            _ => 0,
        };
        all[at] = 1 + sib + displacement;
        at += 1;
    }
    all
};

/// The length of the instruction at the start of `code`, at least one.
#[inline]
pub(super) fn length(code: &[u8]) -> u32 {
    let quick = code
        .first_chunk::<WINDOW>()
        .and_then(|window| window.first_chunk())
        .and_then(|head| quick(u64::from_le_bytes(*head)));
    u32::from(quick.unwrap_or_else(|| x64::read(code).length))
}

/// The low byte.
#[inline]
fn low(bytes: u64) -> u8 {
    (bytes & 0xff) as u8
}

/// Computes rather than branches: what comes next in code is hard to foretell.
#[inline]
fn quick(head: u64) -> Option<u8> {
    let first = low(head);
    let prefix = u8::from(first == 0x66) | u8::from(first & 0xfe == 0xf2);
    let mut rest = head >> (8 * prefix);
    let rex = u8::from(low(rest) & 0xf0 == 0x40);
    let wide = rex & low(rest) >> 3;
    rest >>= 8 * rex;
    let escape = u8::from(low(rest) == 0x0f);
    rest >>= 8 * escape;
    let opcode = usize::from(escape) << 8 | usize::from(low(rest));
    let known = OPCODES.get(opcode).copied().unwrap_or(SLOW);
    if known & (SLOW | (wide * WIDE)) != 0 {
        return None;
    }
    let field = prefix + rex + escape + 1;
    let sized = u8::from(first == 0x66) & (1 ^ wide) & (known / SIZED);
    let modrm = low(rest >> 8);
    let has_modrm = (known / MODRM) & 1;
    let based = u8::from(modrm & 0xc7 == 4) & u8::from(low(rest >> 16) & 7 == 5);
    let operand = OPERANDS.get(usize::from(modrm)).copied().unwrap_or(1) + 4 * based;
    Some(field + operand * has_modrm + (known & IMMEDIATE) - 2 * (sized & 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn assert_same(code: &[u8]) {
        assert_eq!(length(code), u32::from(x64::read(code).length), "{code:x?}");
    }

    #[test]
    fn a_quick_look_finds_what_reading_in_full_finds_for_every_opcode_and_operand() {
        let mut code = [0x5c; WINDOW];
        for prefix in [
            &[][..],
            &[0x66],
            &[0xf3],
            &[0x48],
            &[0x66, 0x48],
            &[0x66, 0x40],
            &[0xf0],
            &[0x48, 0x66],
        ] {
            for escape in [&[][..], &[0x0f]] {
                let start = [prefix, escape].concat();
                code[..start.len()].copy_from_slice(&start);
                for opcode in 0..=255 {
                    for modrm in 0..=255 {
                        for sib in [0x25, 0x5c] {
                            code[start.len()..start.len() + 3]
                                .copy_from_slice(&[opcode, modrm, sib]);
                            assert_same(&code);
                        }
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn a_quick_look_finds_what_reading_in_full_finds_in_any_bytes(code in proptest::collection::vec(any::<u8>(), 0..24)) {
            assert_same(&code);
        }
    }
}
