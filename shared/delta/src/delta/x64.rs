//! Where instructions of x86-64 end and which of their bytes are what (Intel SDM volume 2, chapter 2 and
//! the opcode maps of appendix A).
//!
//! Only lengths and fields are known here, no meaning. Bytes that are no instruction count as one of a
//! single byte, so a sweep over anything ends; data between functions costs a few wrong guesses and no
//! more, because guesses are corrected.

/// The fields of an instruction; a length of zero means that there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Instruction {
    /// All of it, bytes.
    pub(super) length: u8,
    /// Where the opcode's last byte is.
    pub(super) opcode: u8,
    /// Where the `ModRM` byte is, or 0.
    pub(super) modrm: u8,
    /// Where the displacement is.
    pub(super) displacement: u8,
    /// How long it is.
    pub(super) displacement_bytes: u8,
    /// Where the immediate is: the branch distance of branches.
    pub(super) immediate: u8,
    /// How long it is.
    pub(super) immediate_bytes: u8,
    /// Where it leads.
    pub(super) target: Target,
}

/// How an instruction names an address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Target {
    /// Not at all.
    #[default]
    None,
    /// A call.
    Call,
    /// A jump of 32 bits.
    Jump,
    /// A conditional jump of 32 bits.
    Branch,
    /// A jump of 8 bits.
    Short,
    /// Memory beside the instruction pointer.
    Data,
    /// The address itself of memory beside the instruction pointer (`lea`).
    Lea,
}

/// What follows an opcode.
#[derive(Clone, Copy)]
pub(super) enum Tail {
    /// Nothing.
    Bare,
    /// A `ModRM` byte.
    M,
    /// A `ModRM` byte and an immediate of one byte.
    M1,
    /// A `ModRM` byte and an immediate of operand size.
    Mz,
    /// A `ModRM` byte, and an immediate (one byte, or operand size) if its register field is 0 or 1.
    Mt1,
    Mtz,
    /// An immediate.
    I1,
    I2,
    I3,
    Iz,
    /// An immediate of operand size, up to eight bytes.
    Iv,
    /// An address of eight bytes.
    A8,
    /// A branch distance.
    R1,
    R4,
    Bad,
}

/// The tail of an opcode of the first map.
pub(super) const fn tail(opcode: u8) -> Tail {
    match opcode {
        0x00..=0x3f => match opcode & 7 {
            0..=3 => Tail::M,
            4 => Tail::I1,
            5 => Tail::Iz,
            _ => Tail::Bad,
        },
        0x50..=0x5f
        | 0x6c..=0x6f
        | 0x90..=0x99
        | 0x9b..=0x9f
        | 0xa4..=0xa7
        | 0xaa..=0xaf
        | 0xc3
        | 0xc9
        | 0xcb
        | 0xcc
        | 0xcf
        | 0xd7
        | 0xec..=0xef
        | 0xf1
        | 0xf4
        | 0xf5
        | 0xf8..=0xfd => Tail::Bare,
        0x63 | 0x84..=0x8f | 0xd0..=0xd3 | 0xd8..=0xdf | 0xfe | 0xff => Tail::M,
        0x68 | 0xa9 => Tail::Iz,
        0x69 | 0x81 | 0xc7 => Tail::Mz,
        0x6a | 0xa8 | 0xb0..=0xb7 | 0xcd | 0xe4..=0xe7 => Tail::I1,
        0x6b | 0x80 | 0x83 | 0xc0 | 0xc1 | 0xc6 => Tail::M1,
        0x70..=0x7f | 0xe0..=0xe3 | 0xeb => Tail::R1,
        0xa0..=0xa3 => Tail::A8,
        0xb8..=0xbf => Tail::Iv,
        0xc2 | 0xca => Tail::I2,
        0xc8 => Tail::I3,
        0xe8 | 0xe9 => Tail::R4,
        0xf6 => Tail::Mt1,
        0xf7 => Tail::Mtz,
        _ => Tail::Bad,
    }
}

/// The tail of an opcode of the second map (after `0f`).
pub(super) const fn tail_0f(opcode: u8) -> Tail {
    match opcode {
        0x05..=0x09
        | 0x0b
        | 0x0e
        | 0x30..=0x37
        | 0x77
        | 0xa0..=0xa2
        | 0xa8..=0xaa
        | 0xc8..=0xcf => Tail::Bare,
        0x80..=0x8f => Tail::R4,
        0x0f | 0x70..=0x73 | 0xa4 | 0xac | 0xba | 0xc2 | 0xc4..=0xc6 => Tail::M1,
        0x04 | 0x0a | 0x0c | 0x24..=0x27 | 0x39 | 0x3b..=0x3f => Tail::Bad,
        _ => Tail::M,
    }
}

/// The tail in one of the maps of VEX and EVEX.
fn tail_vex(map: u8, opcode: u8) -> Tail {
    match map {
        1 => tail_0f(opcode),
        2 | 5 | 6 => Tail::M,
        3 => Tail::M1,
        _ => Tail::Bad,
    }
}

/// A walk over the bytes of one instruction.
struct Walk<'a> {
    code: &'a [u8],
    at: u8,
    wide: bool,
    small: bool,
}

impl Walk<'_> {
    fn peek(&self, ahead: u8) -> Option<u8> {
        self.code.get(usize::from(self.at + ahead)).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek(0)?;
        self.at += 1;
        Some(byte)
    }

    /// Skips prefixes, reads the opcode and says what follows it.
    fn opcode(&mut self) -> Option<(Tail, bool, u8)> {
        let mut byte = self.next()?;
        while matches!(
            byte,
            0x66 | 0x67 | 0xf0 | 0xf2 | 0xf3 | 0x2e | 0x36 | 0x3e | 0x26 | 0x64 | 0x65
        ) {
            self.small |= byte == 0x66;
            byte = self.next()?;
            if self.at > 8 {
                return None;
            }
        }
        if byte & 0xf0 == 0x40 {
            self.wide = byte & 8 != 0;
            byte = self.next()?;
        }
        match byte {
            0x0f => match self.next()? {
                0x38 => self.next().map(|opcode| (Tail::M, true, opcode)),
                0x3a => self.next().map(|opcode| (Tail::M1, true, opcode)),
                opcode => Some((tail_0f(opcode), true, opcode)),
            },
            0xc5 => {
                self.next()?;
                let opcode = self.next()?;
                Some((tail_vex(1, opcode), true, opcode))
            }
            0xc4 => {
                let map = self.next()? & 0x1f;
                self.next()?;
                let opcode = self.next()?;
                Some((tail_vex(map, opcode), true, opcode))
            }
            0x62 => {
                let map = self.next()? & 7;
                self.next()?;
                self.next()?;
                let opcode = self.next()?;
                Some((tail_vex(map, opcode), true, opcode))
            }
            opcode => Some((tail(opcode), false, opcode)),
        }
    }

    /// Reads a `ModRM` byte, a SIB byte if there is one, and finds the displacement. Says the register
    /// field and whether the operand is beside the instruction pointer.
    fn modrm(&mut self, found: &mut Instruction) -> Option<(u8, bool)> {
        found.modrm = self.at;
        let modrm = self.next()?;
        let (mode, low) = (modrm >> 6, modrm & 7);
        let mut bytes = match mode {
            1 => 1,
            2 => 4,
            _ => 0,
        };
        let mut beside = false;
        if mode != 3 {
            if low == 4 {
                let sib = self.next()?;
                if mode == 0 && sib & 7 == 5 {
                    bytes = 4;
                }
            } else if mode == 0 && low == 5 {
                bytes = 4;
                beside = true;
            }
        }
        found.displacement = self.at;
        found.displacement_bytes = bytes;
        self.at += bytes;
        Some((modrm >> 3 & 7, beside))
    }
}

/// Reads the instruction at the start of `code`.
pub(super) fn read(code: &[u8]) -> Instruction {
    let single = Instruction {
        length: 1,
        ..Instruction::default()
    };
    instruction(code)
        .filter(|found| usize::from(found.length) <= code.len() && found.length <= 15)
        .unwrap_or(single)
}

fn instruction(code: &[u8]) -> Option<Instruction> {
    let mut walk = Walk {
        code,
        at: 0,
        wide: false,
        small: false,
    };
    let (tail, extended, opcode) = walk.opcode()?;
    let mut found = Instruction {
        opcode: walk.at - 1,
        ..Instruction::default()
    };
    let operand = if walk.small && !walk.wide { 2 } else { 4 };
    let mut register = 7;
    if matches!(tail, Tail::M | Tail::M1 | Tail::Mz | Tail::Mt1 | Tail::Mtz) {
        let (field, beside) = walk.modrm(&mut found)?;
        register = field;
        if beside {
            let is_lea = !extended && opcode == 0x8d;
            found.target = if is_lea { Target::Lea } else { Target::Data };
        }
    }
    let immediate = match tail {
        Tail::Bare | Tail::M => 0,
        Tail::M1 | Tail::I1 => 1,
        Tail::Mz | Tail::Iz => operand,
        Tail::Mt1 => u8::from(register < 2),
        Tail::Mtz => {
            if register < 2 {
                operand
            } else {
                0
            }
        }
        Tail::I2 => 2,
        Tail::I3 => 3,
        Tail::Iv => {
            if walk.wide {
                8
            } else {
                operand
            }
        }
        Tail::A8 => 8,
        Tail::R1 => {
            found.target = Target::Short;
            1
        }
        Tail::R4 => {
            found.target = match (extended, opcode) {
                (true, _) => Target::Branch,
                (false, 0xe8) => Target::Call,
                (false, _) => Target::Jump,
            };
            4
        }
        Tail::Bad => return None,
    };
    found.immediate = walk.at;
    found.immediate_bytes = immediate;
    found.length = walk.at + immediate;
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(code: &[u8]) -> u8 {
        let mut padded = code.to_vec();
        padded.extend([0x90; 16]);
        read(&padded).length
    }

    #[test]
    fn lengths_are_those_of_an_assembler() {
        for code in [
            &[0xc3][..],
            &[0x55],
            &[0x48, 0x89, 0xe5],
            &[0x48, 0x83, 0xec, 0x20],
            &[0x48, 0x81, 0xec, 0, 1, 0, 0],
            &[0x48, 0x8b, 0x05, 1, 2, 3, 4],
            &[0x48, 0x8d, 0x4c, 0x24, 0x08],
            &[0x48, 0x8d, 0x8c, 0x24, 8, 0, 0, 0],
            &[0x8b, 0x04, 0x25, 1, 2, 3, 4],
            &[0xe8, 1, 2, 3, 4],
            &[0x0f, 0x84, 1, 2, 3, 4],
            &[0x74, 5],
            &[0x66, 0xb8, 1, 2],
            &[0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8],
            &[0xf6, 0xc1, 1],
            &[0xf7, 0xd8],
            &[0x66, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0],
            &[0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0],
            &[0xc5, 0xf8, 0x28, 0x45, 0xf0],
            &[0xc4, 0xe3, 0x7d, 0x39, 0xc1, 1],
            &[0x62, 0xf1, 0xfe, 0x48, 0x6f, 0x06],
            &[0x0f, 0x0b],
            &[0x66, 0x0f, 0x3a, 0x0f, 0xc1, 8],
            &[0xc7, 0x05, 1, 2, 3, 4, 5, 6, 7, 8],
        ] {
            assert_eq!(usize::from(length(code)), code.len(), "{code:x?}");
        }
    }

    #[test]
    fn what_is_beside_the_instruction_pointer_is_found_with_its_immediate() {
        let found = read(&[0xc7, 0x05, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!((found.displacement, found.displacement_bytes), (2, 4));
        assert_eq!((found.immediate, found.immediate_bytes), (6, 4));
        assert_eq!((found.target, found.length), (Target::Data, 10));
    }

    #[test]
    fn no_bytes_take_longer_than_they_are() {
        for first in 0..=255 {
            for rest in 0..=255 {
                let code = [first, rest, rest, first];
                for end in 1..=4 {
                    let found = read(&code[..end]);
                    assert!((1..=end).contains(&usize::from(found.length)), "{code:x?}");
                }
            }
        }
    }
}
