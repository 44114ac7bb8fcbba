//! What the bytes of instructions and data are for, and how bytes of one role change.
//!
//! Opcodes seldom change; distances on the stack change together when a frame grows. So each role has its
//! own memory of whether its bytes changed, and by how much.

use super::coder::{Bit, ByteModel, Coder, code_byte_pair};
use super::x64;

/// How many roles there are.
pub(super) const COUNT: usize = 27;
/// The role of a byte of a branch distance.
const DISTANCE: usize = 14;
/// The role of the first byte of an `AArch64` instruction.
pub(super) const ARM: usize = 15;
/// The role of the first byte of a word of data.
pub(super) const DATA: usize = 19;

/// What was learnt about bytes of one role.
#[derive(Debug, Clone, Default)]
pub(super) struct RoleModel {
    /// By whether a byte of the unit differs already, and whether the last two of this role did.
    differs: [Bit; 8],
    differed: usize,
    same: [Bit; 4],
    was_same: usize,
    last: u8,
    by_old: Vec<ByteModel>,
    by_last: Vec<ByteModel>,
}

impl RoleModel {
    /// Codes by how much a byte changes.
    pub(super) fn byte(
        &mut self,
        coder: &mut impl Coder,
        old: u8,
        truth: Option<u8>,
        any: bool,
        must: bool,
        before: u8,
    ) -> u8 {
        let change = truth.map_or(0, |truth| truth.wrapping_sub(old));
        if !must {
            let Some(model) = self.differs.get_mut(usize::from(any) << 2 | self.differed) else {
                return 0;
            };
            let differs = model.code(coder, change != 0);
            self.differed = (self.differed << 1 | usize::from(differs)) & 3;
            if !differs {
                return 0;
            }
        }
        let same = change == self.last;
        let model = self.same.get_mut(self.was_same);
        let same = model.is_some_and(|model| model.code(coder, same));
        self.was_same = (self.was_same << 1 | usize::from(same)) & 3;
        if same {
            return self.last;
        }
        if self.by_old.is_empty() {
            self.by_old.resize(256, ByteModel::default());
            self.by_last.resize(256, ByteModel::default());
        }
        let a = self.by_old.get_mut(usize::from(old));
        let b = self.by_last.get_mut(usize::from(before));
        if let (Some(a), Some(b)) = (a, b) {
            self.last = code_byte_pair(coder, change, a, b);
        }
        self.last
    }
}

/// A number below 512 for how an instruction begins.
pub(super) fn first_bytes(code: &[u8]) -> usize {
    let first = usize::from(code.first().copied().unwrap_or_default());
    if first & 0xf0 == 0x40 || first == 0x0f {
        256 + usize::from(code.get(1).copied().unwrap_or_default())
    } else {
        first
    }
}

/// What a byte of an instruction of x86-64 is for.
pub(super) fn of_x64(instruction: x64::Instruction, index: usize) -> usize {
    let within = |start: u8, bytes: u8| {
        let start = usize::from(start);
        (start..start + usize::from(bytes))
            .contains(&index)
            .then(|| index - start)
    };
    if let Some(at) = within(instruction.displacement, instruction.displacement_bytes) {
        return if instruction.displacement_bytes == 1 {
            4
        } else {
            5 + (at & 3)
        };
    }
    if let Some(at) = within(instruction.immediate, instruction.immediate_bytes) {
        return match (instruction.target, instruction.immediate_bytes) {
            (
                x64::Target::Call | x64::Target::Jump | x64::Target::Branch | x64::Target::Short,
                _,
            ) => DISTANCE,
            (_, 1) => 9,
            _ => 10 + (at & 3),
        };
    }
    let modrm = usize::from(instruction.modrm);
    if modrm != 0 && index >= modrm {
        return 2 + usize::from(index > modrm);
    }
    usize::from(index >= usize::from(instruction.opcode))
}
