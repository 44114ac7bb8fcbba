//! References: the places of a content that name another place.
//!
//! [`scan`] finds them in a content with its layout; nothing is sure about them, because data looks like
//! code and numbers look like addresses. A wrong find costs a correction, never correctness.

use super::layout::{Kind, Layout, Near, Region};
use super::moves::Map;
use super::{a64, beside, data, x64, x64_walk};

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
    /// The position that it names; once that is known ([`Scan::resolve`]), where it went.
    pub(super) target: u32,
    /// What an [`Form::Offset`] counts from; the same holds.
    pub(super) base: u32,
    /// How it is written.
    pub(super) form: Form,
    /// From the field to the end of the instruction.
    pub(super) to_end: u8,
    /// Whether the target was copied, so that it is sure where it went.
    pub(super) is_sure: bool,
}

impl Reference {
    /// A reference of which is not known yet where its target went.
    pub(super) fn new(at: u32, target: u32, form: Form) -> Self {
        Self {
            at,
            target,
            base: 0,
            form,
            to_end: 0,
            is_sure: false,
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

/// What a scan finds.
#[derive(Debug, Default, Clone)]
pub(super) struct Scan {
    /// Sorted by place; they do not overlap.
    pub(super) references: Vec<Reference>,
    /// For each block of positions, the first reference at or after its start.
    blocks: Vec<u32>,
    /// One bit for each position: whether an instruction begins there.
    starts: Vec<u64>,
}

/// Positions per entry of the index of references, as a power of two: few references, so that finding one takes one
/// look into memory that is far away.
const BLOCK: u32 = 7;

impl Scan {
    /// The references at and after a position.
    pub(super) fn after(&self, position: u32) -> usize {
        let block = (position >> BLOCK) as usize;
        let end = self.references.len();
        let at = |block: usize| self.blocks.get(block).map_or(end, |at| *at as usize);
        let from = at(block);
        let within = self.references.get(from..at(block + 1));
        from + within
            .unwrap_or_default()
            .partition_point(|one| one.at < position)
    }

    /// Brings what is known of a part of the content near, before it is needed: copies are from all over the
    /// content, and memory takes long to answer a first question but answers many at once.
    pub(super) fn fetch(&self, position: u32, first: usize) -> u64 {
        let one = self.references.get(first).map_or(0, |one| one.target);
        let starts = self.starts.get((position >> 6) as usize);
        u64::from(one) ^ starts.copied().unwrap_or_default()
    }

    /// Finds where all targets and bases went, on two threads if `threads` says so.
    pub(super) fn resolve(&mut self, map: &Map, threads: bool) {
        let resolve = |part: &mut [Reference]| {
            let mut base = (0, map.get(0).0);
            for one in part {
                (one.target, one.is_sure) = map.get(one.target);
                if one.form == Form::Offset {
                    if one.base != base.0 {
                        base = (one.base, map.get(one.base).0);
                    }
                    one.base = base.1;
                }
            }
        };
        let middle = self.references.len() / 2;
        if let Some((first, second)) = self.references.split_at_mut_checked(middle) {
            beside::both(threads, || resolve(second), || resolve(first));
        }
    }

    /// Puts together what was found in a content of this length, and makes an index of it.
    fn of(found: &[&Walked], length: usize) -> Self {
        let mut runs: Vec<Run<'_>> = found.iter().flat_map(|it| it.runs()).collect();
        runs.sort_unstable_by_key(|(position, _)| *position);
        let count = found.iter().map(|it| it.references.len()).sum();
        let mut scan = Self {
            references: Vec::with_capacity(count),
            blocks: Vec::with_capacity((length >> BLOCK) + 1),
            starts: vec![0; length / 64 + 1],
        };
        for (_, run) in runs {
            scan.references.extend_from_slice(run);
        }
        for (at, bits) in found.iter().flat_map(|it| &it.starts) {
            if let Some(word) = scan.starts.get_mut(*at as usize) {
                *word |= bits;
            }
        }
        let mut next = 0;
        for block in 0..=length >> BLOCK {
            let start = block << BLOCK;
            while let Some(one) = scan.references.get(next) {
                if one.at as usize >= start {
                    break;
                }
                next += 1;
            }
            scan.blocks.push(u32::try_from(next).unwrap_or(u32::MAX));
        }
        scan
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

/// Bytes of code that are walked by themselves, so that several threads can walk.
const WALK: u32 = 1 << 16;

/// References of a part of the content, and where it begins. The parts do not overlap.
type Run<'r> = (u32, &'r [Reference]);

/// Finds the references of a content, on two threads if `threads` says so.
pub(super) fn scan(content: &[u8], layout: &Layout, threads: bool) -> Scan {
    let within = |region: &Region| {
        let bytes = content.get(region.start as usize..);
        let bytes = bytes.unwrap_or_default();
        bytes.get(..region.length as usize).unwrap_or(bytes)
    };
    let parts = |kind: Kind| -> Vec<(&Region, u32)> {
        let regions = layout.regions().iter().filter(|it| it.kind == kind);
        let parts = regions.flat_map(|region| {
            let blocks = (0..region.length).step_by(WALK as usize);
            blocks.map(move |offset| (region, offset))
        });
        parts.collect()
    };
    let walk = |parts: &[(&Region, u32)]| {
        let (first, second) = parts.split_at(parts.len() / 2);
        let mut lanes = [first, second].map(|parts| Lane::new(content, layout, parts));
        let [one, other] = &mut lanes;
        // Each step waits for the one before it: two at once take little longer than one.
        while one.step() & other.step() {}
        while one.step() || other.step() {}
        lanes.map(|lane| lane.found)
    };
    let words = |parts: &[(&Region, u32)]| {
        let mut found = Walked::new(parts.len());
        for (region, offset) in parts {
            let code = within(region).get(*offset as usize..).unwrap_or_default();
            let code = code.get(..WALK as usize).unwrap_or(code);
            found.begin(region.start + offset);
            a64::scan(code, *offset, region, layout, &mut found.references);
        }
        found
    };
    let (x64, a64) = (parts(Kind::X64), parts(Kind::A64));
    let (first, second) = x64.split_at(x64.len() / 2);
    let (third, fourth) = a64.split_at(a64.len() / 2);
    let (theirs, ours) = beside::both(
        threads,
        || (walk(second), words(fourth)),
        || (walk(first), words(third)),
    );
    let halves = [Some(ours), theirs].into_iter().flatten();
    let code: Vec<Walked> = halves
        .flat_map(|(x64, a64)| x64.into_iter().chain([a64]))
        .collect();
    let labels = data::labels(code.iter().flat_map(|it| &it.references), layout);
    let search = |regions: &[&Region]| {
        let mut found = Walked::new(0);
        for region in regions {
            found.begin(region.start);
            data::scan(
                within(region),
                region,
                layout,
                &labels,
                &mut found.references,
            );
        }
        found
    };
    let regions = layout.regions().iter().filter(|it| !it.kind.is_code());
    let regions: Vec<&Region> = regions.collect();
    let (first, second) = halve(&regions);
    let (theirs, ours) = beside::both(threads, || search(second), || search(first));
    let found = [Some(ours), theirs];
    let all: Vec<&Walked> = code.iter().chain(found.iter().flatten()).collect();
    Scan::of(&all, content.len())
}

/// Divides regions where half of their bytes are before.
fn halve<'r, 'l>(regions: &'r [&'l Region]) -> (&'r [&'l Region], &'r [&'l Region]) {
    let bytes = |regions: &[&Region]| regions.iter().map(|it| u64::from(it.length)).sum::<u64>();
    let all = bytes(regions);
    let at = (0..regions.len()).find(|at| {
        let (before, _) = regions.split_at(at + 1);
        bytes(before) * 2 > all
    });
    // The region in the middle goes where less is.
    let at = at.map_or(0, |at| {
        let (before, rest) = regions.split_at(at);
        let after = rest.split_first().map_or(0, |(_, after)| bytes(after));
        at + usize::from(bytes(before) < after)
    });
    regions.split_at(at)
}

/// What a walk over code finds.
struct Walked {
    references: Vec<Reference>,
    /// Where each part begins, and how many references come before it.
    parts: Vec<(u32, usize)>,
    /// Where instructions begin: 64 positions each, and which of them.
    starts: Vec<(u32, u64)>,
}

impl Walked {
    /// Takes how many parts of code there will be, for the memory that is taken at once.
    fn new(parts: usize) -> Self {
        Self {
            references: Vec::with_capacity(parts * WALK as usize / REFERENCE_EACH),
            parts: Vec::with_capacity(parts),
            starts: Vec::new(),
        }
    }

    fn begin(&mut self, position: u32) {
        self.parts.push((position, self.references.len()));
    }

    fn runs(&self) -> impl Iterator<Item = Run<'_>> {
        let ends = self.parts.iter().skip(1).map(|(_, end)| *end);
        let ends = ends.chain([self.references.len()]);
        self.parts.iter().zip(ends).map(|((position, start), end)| {
            let run = self.references.get(*start..end);
            (*position, run.unwrap_or_default())
        })
    }
}

/// Bytes of code for each reference, about: memory is taken at once, at most that of the code.
const REFERENCE_EACH: usize = 16;

/// A walk over some parts of the code.
struct Lane<'w> {
    content: &'w [u8],
    near: Near<'w>,
    parts: std::slice::Iter<'w, (&'w Region, u32)>,
    region: Option<&'w Region>,
    /// What is left of the part, and its position.
    code: &'w [u8],
    at: u32,
    /// Which 64 positions are worked on, and the starts in them.
    word: u32,
    bits: u64,
    found: Walked,
}

impl<'w> Lane<'w> {
    fn new(content: &'w [u8], layout: &'w Layout, parts: &'w [(&'w Region, u32)]) -> Self {
        Self {
            content,
            near: Near::new(layout),
            parts: parts.iter(),
            region: None,
            code: &[],
            at: 0,
            word: 0,
            bits: 0,
            found: Walked {
                starts: Vec::with_capacity(parts.len() * WALK as usize / 64),
                ..Walked::new(parts.len())
            },
        }
    }

    /// Begins the next part, if there is one.
    fn next(&mut self) -> bool {
        if self.bits != 0 {
            self.found.starts.push((self.word, self.bits));
            self.bits = 0;
        }
        let Some((region, offset)) = self.parts.next() else {
            return false;
        };
        self.region = Some(region);
        self.at = region.start + offset;
        self.found.begin(self.at);
        self.word = self.at >> 6;
        let end = self.at.saturating_add(WALK).min(region.end()) as usize;
        let end = end.min(self.content.len());
        let code = self.content.get(self.at as usize..end);
        self.code = code.unwrap_or_default();
        true
    }

    /// Takes one instruction; says whether there may be more.
    #[inline]
    fn step(&mut self) -> bool {
        if self.code.is_empty() {
            return self.next();
        }
        if self.at >> 6 != self.word {
            self.found.starts.push((self.word, self.bits));
            (self.word, self.bits) = (self.at >> 6, 0);
        }
        self.bits |= 1 << (self.at & 63);
        let step = x64_walk::step(self.code);
        if let Some(form) = form_of(step.target) {
            self.reference(form, step);
        }
        self.code = self
            .code
            .get(usize::from(step.length)..)
            .unwrap_or_default();
        self.at += u32::from(step.length);
        true
    }

    #[inline]
    fn reference(&mut self, form: Form, step: x64_walk::Step) {
        let field = self.code.get(usize::from(step.field)..);
        let value = field.and_then(|field| form.read(field)).unwrap_or_default();
        let Some(region) = self.region else { return };
        let end = region.address_of(self.at + u32::from(step.length));
        let address = end.wrapping_add_signed(value);
        if let Some((_, target)) = self.near.find(region.image, address) {
            self.found.references.push(Reference {
                to_end: step.length.saturating_sub(step.field),
                ..Reference::new(self.at + u32::from(step.field), target, form)
            });
        }
    }
}

fn form_of(target: x64::Target) -> Option<Form> {
    match target {
        // Jumps of 8 bits stay in their function and seldom change; following them was measured to cost
        // more than it saves.
        x64::Target::None | x64::Target::Short => None,
        x64::Target::Call => Some(Form::Call),
        x64::Target::Jump => Some(Form::Jump),
        x64::Target::Branch => Some(Form::Branch),
        x64::Target::Data => Some(Form::Data),
        x64::Target::Lea => Some(Form::Lea),
    }
}
