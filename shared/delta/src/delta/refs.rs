//! References: the places of a content that name another place.
//!
//! [`scan`] finds them in a content with its layout; nothing is sure about them, because data looks like
//! code and numbers look like addresses. A wrong find costs a correction, never correctness.

use super::layout::{Kind, Layout, Region};
use super::{a64, x64};

/// How a reference is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// x86-64: 32 bits from the end of the instruction.
    Call,
    Jump,
    Branch,
    Data,
    Lea,
    /// An address of 64 bits.
    Word,
    /// 32 bits from the position `base`.
    Offset,
    /// 32 bits from its own place.
    Own,
    /// `AArch64`: see [`a64::Field`].
    Arm(a64::Field),
}

/// A place that names another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reference {
    /// The position of the field, or of the instruction on `AArch64`.
    pub(super) at: u32,
    /// The position that it names.
    pub(super) target: u32,
    /// What an [`Form::Offset`] counts from.
    pub(super) base: u32,
    /// How it is written.
    pub(super) form: Form,
    /// From the field to the end of the instruction.
    pub(super) to_end: u8,
}

impl Form {
    /// Bytes of the field.
    pub(super) fn width(self) -> u32 {
        match self {
            Self::Word => 8,
            Self::Call
            | Self::Jump
            | Self::Branch
            | Self::Data
            | Self::Lea
            | Self::Offset
            | Self::Own
            | Self::Arm(_) => 4,
        }
    }

    /// A small number for each form, to choose models by.
    pub(super) fn class(self) -> usize {
        match self {
            Self::Call => 0,
            Self::Jump => 1,
            Self::Branch => 2,
            Self::Data => 3,
            Self::Lea => 4,
            Self::Word => 5,
            Self::Offset => 6,
            Self::Own => 7,
            Self::Arm(field) => 8 + field.class(),
        }
    }

    /// Which corrections of one target agree: those of fields with the same part of the address. None for
    /// jumps within a function, whose targets have few others.
    pub(super) fn memory(self) -> Option<u32> {
        match self {
            Self::Branch | Self::Arm(a64::Field::Near | a64::Field::Test) => None,
            Self::Arm(a64::Field::Page) => Some(1),
            Self::Arm(a64::Field::Low(_)) => Some(2),
            Self::Arm(a64::Field::Far | a64::Field::Byte)
            | Self::Call
            | Self::Jump
            | Self::Data
            | Self::Lea
            | Self::Word
            | Self::Offset
            | Self::Own => Some(0),
        }
    }

    /// By how many bits a field leaves out of a distance.
    pub(super) fn scale(self) -> u8 {
        match self {
            Self::Arm(field) => field.scale(),
            Self::Call
            | Self::Jump
            | Self::Branch
            | Self::Data
            | Self::Lea
            | Self::Word
            | Self::Offset
            | Self::Own => 0,
        }
    }

    /// The number in the field.
    pub(super) fn read(self, bytes: &[u8]) -> Option<i64> {
        match self {
            Self::Word => bytes.first_chunk().map(|bytes| i64::from_le_bytes(*bytes)),
            Self::Arm(field) => bytes
                .first_chunk()
                .map(|bytes| field.read(u32::from_le_bytes(*bytes))),
            Self::Call
            | Self::Jump
            | Self::Branch
            | Self::Data
            | Self::Lea
            | Self::Offset
            | Self::Own => bytes
                .first_chunk()
                .map(|bytes| i64::from(i32::from_le_bytes(*bytes))),
        }
    }

    /// Writes a number into the field, cut to its width.
    pub(super) fn write(self, bytes: &mut [u8], value: i64) {
        let raw = value.to_le_bytes();
        if let Self::Arm(field) = self {
            if let Some(word) = bytes.first_chunk_mut() {
                *word = field.write(u32::from_le_bytes(*word), value).to_le_bytes();
            }
        } else {
            let width = self.width() as usize;
            for (byte, raw) in bytes.iter_mut().take(width).zip(raw) {
                *byte = raw;
            }
        }
    }

    /// The number that a field of this form holds when it names an address. `own` is the address of the
    /// field, `base` that of the base.
    pub(super) fn value(self, target: u64, own: u64, base: u64, to_end: u8) -> i64 {
        let distance = match self {
            Self::Word => target,
            Self::Offset => target.wrapping_sub(base),
            Self::Own => target.wrapping_sub(own),
            Self::Call | Self::Jump | Self::Branch | Self::Data | Self::Lea => {
                target.wrapping_sub(own.wrapping_add(u64::from(to_end)))
            }
            Self::Arm(field) => return field.value(target, own),
        };
        distance.cast_signed()
    }
}

/// What a scan finds.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Sorted by place; they do not overlap.
    pub(super) references: Vec<Reference>,
    /// For each block of positions, the first reference at or after its start.
    blocks: Vec<usize>,
    /// One bit for each position: whether an instruction begins there.
    starts: Vec<u64>,
}

/// Positions per entry of the index of references, as a power of two.
const BLOCK: u32 = 10;

impl Scan {
    /// The references at and after a position.
    pub(super) fn after(&self, position: u32) -> usize {
        let block = (position >> BLOCK) as usize;
        let end = self.references.len();
        let from = self.blocks.get(block).copied().unwrap_or(end);
        let to = self.blocks.get(block + 1).copied().unwrap_or(end);
        let within = self.references.get(from..to).unwrap_or_default();
        from + within.partition_point(|one| one.at < position)
    }

    /// Sorts the references and makes their index.
    fn finish(&mut self, length: usize) {
        // Regions come in runs that are sorted already, which a stable sort makes use of.
        self.references.sort_by_key(|one| one.at);
        let mut next = 0;
        for block in 0..=length >> BLOCK {
            let start = block << BLOCK;
            while let Some(one) = self.references.get(next) {
                if one.at as usize >= start {
                    break;
                }
                next += 1;
            }
            self.blocks.push(next);
        }
    }

    fn mark(&mut self, position: u32) {
        if let Some(word) = self.starts.get_mut((position >> 6) as usize) {
            *word |= 1 << (position & 63);
        }
    }

    /// The first start of an instruction after a position, at most `limit`.
    pub(super) fn next_start(&self, position: u32, limit: u32) -> u32 {
        let from = position + 1;
        let mut at = (from >> 6) as usize;
        let mut mask = u64::MAX << (from & 63);
        while (at as u64) << 6 < u64::from(limit) {
            let word = self.starts.get(at).copied().unwrap_or_default() & mask;
            if word != 0 {
                let found = u32::try_from(at << 6).unwrap_or(limit) + word.trailing_zeros();
                return found.min(limit);
            }
            mask = u64::MAX;
            at += 1;
        }
        limit
    }
}

/// Finds the references of a content.
pub(super) fn scan(content: &[u8], layout: &Layout) -> Scan {
    let mut scan = Scan {
        references: Vec::new(),
        blocks: Vec::new(),
        starts: vec![0; content.len() / 64 + 1],
    };
    let within = |region: &Region| {
        let bytes = content.get(region.start as usize..);
        let bytes = bytes.unwrap_or_default();
        bytes.get(..region.length as usize).unwrap_or(bytes)
    };
    for region in layout.regions() {
        match region.kind {
            Kind::X64 => scan_x64(within(region), region, layout, &mut scan),
            Kind::A64 => a64::scan(within(region), region, layout, &mut scan.references),
            Kind::Plain
            | Kind::Words
            | Kind::Tables
            | Kind::Data
            | Kind::Relative
            | Kind::Based => {}
        }
    }
    let labels = labels(&scan.references, layout);
    for region in layout.regions() {
        let bytes = within(region);
        let references = &mut scan.references;
        match region.kind {
            Kind::Plain | Kind::X64 | Kind::A64 => {}
            Kind::Words => scan_data(bytes, region, layout, None, references),
            Kind::Tables | Kind::Data => {
                scan_data(bytes, region, layout, Some(&labels), references);
            }
            Kind::Relative | Kind::Based => scan_offsets(bytes, region, layout, references),
        }
    }
    scan.finish(content.len());
    scan
}

fn scan_x64(code: &[u8], region: &Region, layout: &Layout, scan: &mut Scan) {
    let mut rest = code;
    let mut at = region.start;
    while !rest.is_empty() {
        scan.mark(at);
        let found = x64::read(rest);
        if let Some(reference) = x64_reference(rest, at, found, region, layout) {
            scan.references.push(reference);
        }
        rest = rest.get(usize::from(found.length)..).unwrap_or_default();
        at += u32::from(found.length);
    }
}

fn x64_reference(
    code: &[u8],
    at: u32,
    found: x64::Instruction,
    region: &Region,
    layout: &Layout,
) -> Option<Reference> {
    let (form, field) = match found.target {
        // Jumps of 8 bits stay in their function and seldom change; following them was measured to cost
        // more than it saves.
        x64::Target::None | x64::Target::Short => return None,
        x64::Target::Call => (Form::Call, found.immediate),
        x64::Target::Jump => (Form::Jump, found.immediate),
        x64::Target::Branch => (Form::Branch, found.immediate),
        x64::Target::Data => (Form::Data, found.displacement),
        x64::Target::Lea => (Form::Lea, found.displacement),
    };
    let value = form.read(code.get(usize::from(field)..)?)?;
    let end = region.address_of(at + u32::from(found.length));
    let (_, target) = layout.find(region.image, end.wrapping_add_signed(value))?;
    Some(Reference {
        at: at + u32::from(field),
        target,
        base: 0,
        form,
        to_end: found.length - field,
    })
}

/// The positions of data that code takes the address of: where jump tables begin.
fn labels(references: &[Reference], layout: &Layout) -> Vec<u32> {
    let mut labels: Vec<u32> = references
        .iter()
        .filter(|one| matches!(one.form, Form::Lea | Form::Arm(_)))
        .map(|one| one.target)
        .collect();
    labels.sort_unstable();
    labels.dedup();
    labels.retain(|label| {
        layout
            .region_at(*label)
            .is_some_and(|region| matches!(region.kind, Kind::Tables | Kind::Data))
    });
    labels
}

fn scan_data(
    bytes: &[u8],
    region: &Region,
    layout: &Layout,
    labels: Option<&[u32]>,
    references: &mut Vec<Reference>,
) {
    // What the file aligns is what the address aligns.
    let skew = u32::try_from(region.address.wrapping_neg() & 7).unwrap_or_default();
    let mut at = skew;
    let mut labels = labels.unwrap_or_default();
    let mut base = None;
    let has_words = region.kind != Kind::Tables;
    while let Some(rest) = bytes.get(at as usize..).filter(|rest| rest.len() >= 4) {
        let position = region.start + at;
        while let Some((first, after)) = labels
            .split_first()
            .filter(|(first, _)| **first <= position)
        {
            base = Some(*first);
            labels = after;
        }
        let word = rest.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        let word = word.filter(|_| has_words && (at ^ skew).is_multiple_of(8));
        if let Some((_, target)) = word.and_then(|word| layout.find(region.image, word)) {
            references.push(Reference {
                at: position,
                target,
                base: 0,
                form: Form::Word,
                to_end: 0,
            });
            at += 8;
            continue;
        }
        if let Some(reference) = base
            .filter(|base| *base >= region.start)
            .and_then(|base| table_entry(rest, position, base, region, layout))
        {
            references.push(reference);
        }
        at += 4;
    }
}

/// An entry of a jump table, if it leads into code.
fn table_entry(
    rest: &[u8],
    at: u32,
    base: u32,
    region: &Region,
    layout: &Layout,
) -> Option<Reference> {
    let distance = Form::Offset.read(rest)?;
    let address = region.address_of(base).wrapping_add_signed(distance);
    let (owner, target) = layout.find(region.image, address)?;
    owner.kind.is_code().then_some(Reference {
        at,
        target,
        base,
        form: Form::Offset,
        to_end: 0,
    })
}

fn scan_offsets(bytes: &[u8], region: &Region, layout: &Layout, references: &mut Vec<Reference>) {
    let base = layout.region_at(region.base);
    let base = base.map(|owner| owner.address_of(region.base));
    let mut at = region.start;
    for word in bytes.chunks_exact(4) {
        let (form, from) = if region.kind == Kind::Based {
            (Form::Offset, base)
        } else {
            (Form::Own, Some(region.address_of(at)))
        };
        let value = form.read(word).filter(|value| *value != 0);
        let target = from
            .zip(value)
            .and_then(|(from, value)| layout.find(region.image, from.wrapping_add_signed(value)));
        if let Some((_, target)) = target {
            references.push(Reference {
                at,
                target,
                base: region.base,
                form,
                to_end: 0,
            });
        }
        at += 4;
    }
}
