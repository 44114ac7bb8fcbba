//! References: the places of a content that name another place.
//!
//! [`Finder::find`] finds them in a part of a content with its layout, by itself: a device looks only into what it copies, when it
//! copies it, and keeps nothing. Nothing is sure about references, because data looks like
//! code and numbers look like addresses. A wrong find costs a correction, never correctness.

use super::layout::{Kind, Layout, Near, Region};
use super::{a64, data, x64_find};

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

impl Reference {
    /// A reference whose field ends its instruction.
    pub(super) fn new(at: u32, target: u32, form: Form) -> Self {
        Self {
            at,
            target,
            base: 0,
            form,
            to_end: 4,
        }
    }
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

/// A part of a content, as positions of its first byte and after its last.
pub(super) type Span = (u32, u32);

/// Where references are looked for.
pub(super) struct Search<'a, 'f> {
    /// The whole content.
    pub(super) content: &'a [u8],
    /// The part that fields lie in.
    pub(super) part: Span,
    /// The region that the part lies in.
    pub(super) region: &'a Region,
    /// What moves along: a reference that is a distance to a place in here stays as it is and is none.
    pub(super) along: Span,
    pub(super) near: &'f mut Near<'a>,
    pub(super) found: &'f mut Vec<Reference>,
}

impl<'a> Search<'a, '_> {
    /// The bytes of the part.
    pub(super) fn bytes(&self) -> &'a [u8] {
        let part = self.part.0 as usize..self.part.1 as usize;
        self.content.get(part).unwrap_or_default()
    }

    /// Whether a place moves along.
    #[inline]
    pub(super) fn is_along(&self, position: u32) -> bool {
        position.wrapping_sub(self.along.0) < self.along.1 - self.along.0
    }
}

/// Finds references in parts of a content.
pub(super) struct Finder<'a> {
    content: &'a [u8],
    layout: &'a Layout,
    /// Where jump tables begin, sorted.
    tables: &'a [u32],
    near: Near<'a>,
    region: Option<&'a Region>,
}

impl<'a> Finder<'a> {
    pub(super) fn new(content: &'a [u8], layout: &'a Layout, tables: &'a [u32]) -> Self {
        Self {
            content,
            layout,
            tables,
            near: Near::new(layout),
            region: None,
        }
    }

    /// The region at a position, or else the next.
    fn from(&mut self, position: u32) -> Option<&'a Region> {
        let last = self.region;
        let last = last.filter(|it| position.wrapping_sub(it.start) < it.length);
        self.region = last.or_else(|| self.layout.region_from(position));
        self.region
    }

    /// Finds the references whose fields lie in a part, sorted by place and without overlaps. Distances to what moves `along`
    /// are left out.
    pub(super) fn find(&mut self, part: Span, along: Span, found: &mut Vec<Reference>) {
        found.clear();
        let length = u32::try_from(self.content.len()).unwrap_or(u32::MAX);
        let (mut at, end) = (part.0, part.1.min(length));
        while at < end
            && let Some(region) = self.from(at).filter(|region| region.start < end)
        {
            let until = region.end().min(end);
            let search = Search {
                content: self.content,
                part: (at.max(region.start), until),
                region,
                along,
                near: &mut self.near,
                found: &mut *found,
            };
            match region.kind {
                Kind::Plain => {}
                Kind::X64 => x64_find::find(search),
                Kind::A64 => a64::find(search),
                Kind::Words => data::find(search, &[]),
                Kind::Tables | Kind::Data => data::find(search, self.tables),
                Kind::Relative | Kind::Based => data::find_offsets(search, self.layout),
            }
            at = until;
        }
    }
}

/// All references of a content, and where its jump tables begin: what a maker has to know.
pub(super) fn all(content: &[u8], layout: &Layout) -> (Vec<Reference>, Vec<u32>) {
    let end = u32::try_from(content.len()).unwrap_or(u32::MAX);
    let mut found = Vec::new();
    Finder::new(content, layout, &[]).find((0, end), (0, 0), &mut found);
    let labels = data::labels(&found, layout);
    let tables = data::tables(content, layout, &labels);
    Finder::new(content, layout, &tables).find((0, end), (0, 0), &mut found);
    (found, tables)
}
