//! What a copied part becomes: references follow what they name, the rest is corrected.
//!
//! Written once for both directions (see [`super::coder`]): a writer has the truth and a reader has not.
//! Each part goes in two steps. First every reference in it is predicted from where its target went; a
//! wrong prediction is corrected, and remembered for the next reference to the same target. Then the
//! part is walked in units (instructions, or words of data): one decision whether the unit differs, and
//! for those that do which bytes and how, in the context of what the byte is for.

use super::coder::{Bit, Coder, Number, code_pair};
use super::layout::{Kind, Layout, Near, Region};
use super::moves::Map;
use super::refs::{Finder, Form, Reference, Span};
use super::roles::{self, RoleModel};
use super::words::{self, Words};
use super::{x64, x64_walk};

/// Bytes about whose units one decision is made first.
const WINDOW: u32 = 32;
const CLASSES: usize = 14;
/// Everything that both sides know before the first copy.
pub(super) struct Known<'a> {
    pub(super) old: &'a [u8],
    pub(super) old_layout: &'a Layout,
    pub(super) new_layout: &'a Layout,
    /// Where old positions went.
    pub(super) map: &'a Map,
}

/// The last corrections of targets. A table of fixed size: the newer of two that claim a slot has it.
struct Memory {
    /// Keys and corrections of the slots that are taken.
    slots: Vec<(u32, i32)>,
    /// Which slots hold something: small enough to stay near, and most do not.
    taken: Vec<u64>,
    bits: u32,
}

impl Memory {
    /// Takes the length of the base, which decides how many targets there may be.
    fn new(length: usize) -> Self {
        let bits = length.max(1).ilog2().saturating_sub(6).clamp(4, 17);
        Self {
            // Zeros, of which memory is taken only where one is written; an empty slot is not looked at.
            slots: vec![(0, 0); 1 << bits],
            taken: vec![0; (1 << bits) / 64 + 1],
            bits,
        }
    }

    #[inline]
    fn slot(&self, key: u32) -> usize {
        (key.wrapping_mul(0x9e37_79b1) >> (32 - self.bits)) as usize
    }

    #[inline]
    fn get(&self, key: u32) -> Option<i32> {
        let slot = self.slot(key);
        if self.taken.get(slot >> 6)? >> (slot & 63) & 1 == 0 {
            return None;
        }
        let (owner, change) = self.slots.get(slot).copied()?;
        (owner == key).then_some(change)
    }

    #[inline]
    fn insert(&mut self, key: u32, change: i32) {
        let slot = self.slot(key);
        if let Some(taken) = self.taken.get_mut(slot >> 6) {
            *taken |= 1 << (slot & 63);
        }
        if let Some(slot) = self.slots.get_mut(slot) {
            *slot = (key, change);
        }
    }
}

/// What was learnt about one class of references.
#[derive(Clone, Default)]
struct ClassModel {
    /// By what is remembered, sureness and the last two outcomes.
    right: [Bit; 24],
    history: usize,
    unchanged: Bit,
    corrections: Number,
}

/// What was learnt so far.
pub(super) struct Models {
    classes: Vec<ClassModel>,
    roles: Vec<RoleModel>,
    /// The last correction of each target and class of field.
    memory: Memory,
    /// By kind of unit and the last eight units.
    differs: Vec<Bit>,
    /// By the first bytes of the unit and the last two units.
    differs_here: Vec<Bit>,
    recent: usize,
    /// By kind of unit and the last six windows.
    window_differs: Vec<Bit>,
    windows: usize,
    clean: [Bit; 2],
    was_clean: bool,
    /// The references of the piece.
    found: Vec<Reference>,
    /// Where their targets went, and whether that is sure.
    went: Vec<(u32, bool)>,
    /// Which bytes of the piece are known from their reference, or from their word.
    known: Vec<bool>,
    /// Where the references of the piece are that are known, as start and end.
    certain: Vec<(usize, usize)>,
    words: Words,
}

impl Models {
    /// Nothing learnt yet, for a base of this length.
    pub(super) fn new(old_length: usize) -> Self {
        Self {
            classes: vec![ClassModel::default(); CLASSES],
            roles: vec![RoleModel::default(); roles::COUNT],
            memory: Memory::new(old_length),
            differs: vec![Bit::NEW; 3 << 8],
            differs_here: vec![Bit::NEW; 1024 << 2],
            recent: 0,
            window_differs: vec![Bit::NEW; 3 << 6],
            windows: 0,
            clean: [Bit::NEW; 2],
            was_clean: false,
            found: Vec::new(),
            went: Vec::new(),
            known: Vec::new(),
            certain: Vec::new(),
            words: Words::default(),
        }
    }

    /// Finds the references of the next piece, a part of a copy that moves along as a whole, and where they lead now.
    pub(super) fn find(&mut self, finder: &mut Finder<'_>, map: &Map, piece: Span, whole: Span) {
        finder.find(piece, whole, &mut self.found);
        self.went.clear();
        let went = self.found.iter().map(|one| map.get(one.target));
        self.went.extend(went);
    }

    /// Turns a piece of the old content into what it becomes. `buffer` holds the old bytes at first; a
    /// writer gives the new ones as `truth`.
    pub(super) fn code(
        &mut self,
        coder: &mut impl Coder,
        known: &Known<'_>,
        near: &mut Near<'_>,
        (old, new): (u32, u32),
        buffer: &mut [u8],
        truth: Option<&[u8]>,
    ) {
        self.certain.clear();
        self.references(coder, known, near, (old, new), buffer, truth);
        let is_clean = truth.is_some_and(|truth| *truth == *buffer);
        let model = self.clean.get_mut(usize::from(self.was_clean));
        self.was_clean = model.is_some_and(|model| model.code(coder, is_clean));
        if !self.was_clean {
            self.known.clear();
            self.known.resize(buffer.len(), false);
            for (start, end) in &self.certain {
                let known = self.known.get_mut(*start..*end);
                known.unwrap_or_default().fill(true);
            }
            self.units(coder, known, old, buffer, truth);
        }
    }

    fn references(
        &mut self,
        coder: &mut impl Coder,
        known: &Known<'_>,
        near: &mut Near<'_>,
        (old, new): (u32, u32),
        buffer: &mut [u8],
        truth: Option<&[u8]>,
    ) {
        let mut region: Option<&Region> = None;
        let mut base = (0, known.map.get(0).0);
        let found = std::mem::take(&mut self.found);
        let went = std::mem::take(&mut self.went);
        for (one, (target, is_sure)) in found.iter().zip(&went) {
            let (target, is_sure) = (*target, *is_sure);
            let start = (one.at - old) as usize;
            let end = start + one.form.width() as usize;
            let Some(field) = buffer.get_mut(start..end) else {
                break;
            };
            let place = new + (one.at - old);
            region = region_of(known.new_layout, region, place);
            let (Some(own), Some(to)) = (region, near.region_at(target)) else {
                continue;
            };
            let from = if one.form == Form::Offset {
                if one.base != base.0 {
                    base = (one.base, known.map.get(one.base).0);
                }
                near.region_at(base.1).map(|it| it.address_of(base.1))
            } else {
                Some(0)
            };
            let Some(from) = from.filter(|_| own.image == to.image) else {
                continue;
            };
            let predicted = one.form.value(
                to.address_of(target),
                own.address_of(place),
                from,
                one.to_end,
            );
            let truth = truth.and_then(|truth| truth.get(start..end));
            if self.reference(coder, one.form, (target, is_sure), predicted, field, truth) {
                self.certain.push((start, end));
            }
        }
        (self.found, self.went) = (found, went);
    }

    /// Codes one reference and says whether its bytes are certain now.
    fn reference(
        &mut self,
        coder: &mut impl Coder,
        form: Form,
        (target, is_sure): (u32, bool),
        predicted: i64,
        field: &mut [u8],
        truth: Option<&[u8]>,
    ) -> bool {
        let Some(class) = self.classes.get_mut(form.class()) else {
            return false;
        };
        let unit = form.memory();
        let key = unit.map(|unit| target.wrapping_mul(4) ^ unit);
        let remembered = key.and_then(|key| self.memory.get(key));
        let state = match remembered {
            None => 0,
            Some(0) => 1,
            Some(_) => 2,
        };
        let believed = remembered.unwrap_or_default();
        let old = form.read(field);
        let change = truth.map(|truth| {
            let value = form.read(truth).unwrap_or_default();
            (value.wrapping_sub(predicted), Some(value) == old)
        });
        let scale = form.scale();
        let right = change.is_some_and(|(change, _)| change << scale == i64::from(believed));
        let slot = (state * 2 + usize::from(is_sure)) * 4 + class.history;
        let Some(model) = class.right.get_mut(slot) else {
            return false;
        };
        let right = model.code(coder, right);
        class.history = (class.history << 1 | usize::from(right)) & 3;
        if right {
            form.write(field, predicted.wrapping_add(i64::from(believed) >> scale));
            return !matches!(form, Form::Arm(_));
        }
        let small = change.and_then(|(change, _)| i32::try_from(change << scale).ok());
        let unchanged = change.is_some_and(|(_, unchanged)| unchanged) || small.is_none();
        if class.unchanged.code(coder, unchanged) {
            return false;
        }
        let small = small.unwrap_or_default() >> scale;
        let change = class.corrections.code_signed(coder, small);
        form.write(field, predicted.wrapping_add(i64::from(change)));
        if let Some(key) = key {
            self.memory.insert(key, change << scale);
        }
        !matches!(form, Form::Arm(_))
    }

    fn units(
        &mut self,
        coder: &mut impl Coder,
        known: &Known<'_>,
        old: u32,
        buffer: &mut [u8],
        truth: Option<&[u8]>,
    ) {
        let length = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
        let end = old.saturating_add(length);
        let mut region: Option<&Region> = None;
        let mut at = old;
        let mut certain = std::mem::take(&mut self.known);
        let mut walk = Walk::default();
        while at < end {
            region = region_of(known.old_layout, region, at);
            let kind = region.map_or(Kind::Plain, |region| region.kind);
            let limit = region.map_or(end, |region| region.end().min(end));
            let mut until = ((at | (WINDOW - 1)) + 1).min(limit);
            let is_text = kind == Kind::Plain;
            if is_text {
                until = end_of_word(known.old, until, limit);
            }
            let span = (at - old) as usize..(until - old) as usize;
            let text = known.old.get(at as usize..until as usize);
            let text = text.filter(|_| is_text).unwrap_or_default();
            if let (Some(part), Some(certain)) =
                (buffer.get_mut(span.clone()), certain.get_mut(span.clone()))
            {
                let truth = truth.and_then(|truth| truth.get(span.clone()));
                self.words.foretell(coder, text, part, certain, truth);
            }
            let differs =
                truth.is_some_and(|truth| truth.get(span.clone()) != buffer.get(span.clone()));
            if !self.window(coder, kind, differs) {
                at = until;
                continue;
            }
            while at < until {
                let (first, next) = match (kind, region) {
                    (Kind::X64, Some(region)) => walk.unit(known.old, region, at),
                    _ => (at, (at | within_unit(kind)) + 1),
                };
                let next = next.min(until);
                let span = (at - old) as usize..(next - old) as usize;
                let certain = certain.get(span.clone()).unwrap_or_default();
                let truth = truth.and_then(|truth| truth.get(span.clone()));
                let before = known.old.get(first as usize..).unwrap_or_default();
                let Some(unit) = buffer.get_mut(span) else {
                    return;
                };
                if certain.contains(&false) {
                    let index = (at - first) as usize;
                    self.unit(coder, kind, (at, index), before, unit, certain, truth);
                }
                at = next;
            }
            self.words.learn(text, buffer.get(span).unwrap_or_default());
        }
        self.known = certain;
    }

    /// Codes whether any unit of a window differs.
    fn window(&mut self, coder: &mut impl Coder, kind: Kind, differs: bool) -> bool {
        let slot = group_of(kind) << 6 | self.windows & 63;
        let differs = match self.window_differs.get_mut(slot) {
            Some(model) => model.code(coder, differs),
            None => true,
        };
        self.windows = self.windows << 1 | usize::from(differs);
        differs
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one step of the walk, with all it stands on"
    )]
    fn unit(
        &mut self,
        coder: &mut impl Coder,
        kind: Kind,
        (at, begun): (u32, usize),
        old: &[u8],
        unit: &mut [u8],
        known: &[bool],
        truth: Option<&[u8]>,
    ) {
        let group = group_of(kind);
        let here = match group {
            0 => roles::first_bytes(old),
            1 => 512 + usize::from(old.get(3).copied().unwrap_or_default()),
            _ => 768 + usize::from(old.first().copied().unwrap_or_default()),
        };
        let differs = truth.is_some_and(|truth| *truth != *unit);
        let a = self.differs.get_mut(group << 8 | self.recent & 0xff);
        let b = self.differs_here.get_mut(here << 2 | self.recent & 3);
        let (Some(a), Some(b)) = (a, b) else { return };
        let differs = code_pair(coder, differs, a, b);
        self.recent = self.recent << 1 | usize::from(differs);
        if !differs {
            return;
        }
        let instruction = if kind == Kind::X64 {
            x64::read(old)
        } else {
            x64::Instruction::default()
        };
        let last = known.iter().rposition(|known| !known).unwrap_or_default();
        let mut any = false;
        let mut before = 0_u8;
        let mut letter = None;
        for (index, byte) in unit.iter_mut().enumerate() {
            if known.get(index).copied().unwrap_or_default() {
                continue;
            }
            let must = index == last && !any;
            let truth = truth.and_then(|truth| truth.get(index)).copied();
            if kind == Kind::Plain && words::is_letter(*byte) {
                let new = self.words.letter(coder, *byte, truth, (any, must), letter);
                letter = (new != *byte).then_some(new);
                before = new.wrapping_sub(*byte);
                any |= before != 0;
                *byte = new;
                continue;
            }
            let role = match group {
                0 => roles::of_x64(instruction, begun + index),
                1 => roles::ARM + (index & 3),
                _ => roles::DATA + ((at as usize + index) & 7),
            };
            let Some(model) = self.roles.get_mut(role) else {
                continue;
            };
            let changed = model.byte(coder, *byte, truth, any, must, before);
            any |= changed != 0;
            before = changed;
            *byte = byte.wrapping_add(changed);
        }
    }
}

/// Which kind of unit a kind of region has: instructions of x86-64, of `AArch64`, or words.
fn group_of(kind: Kind) -> usize {
    match kind {
        Kind::X64 => 0,
        Kind::A64 => 1,
        Kind::Plain | Kind::Words | Kind::Tables | Kind::Data | Kind::Relative | Kind::Based => 2,
    }
}

/// The bits of a position within a unit that is no instruction of x86-64.
fn within_unit(kind: Kind) -> u32 {
    match kind {
        Kind::A64 => 3,
        Kind::X64
        | Kind::Plain
        | Kind::Words
        | Kind::Tables
        | Kind::Data
        | Kind::Relative
        | Kind::Based => 7,
    }
}

/// Bytes before a place where reading instructions of x86-64 begins: wherever it begins, it soon finds where instructions do.
const BEFORE: u32 = 48;

/// Where an instruction of x86-64 begins, as far as was read.
#[derive(Default)]
struct Walk(u32);

impl Walk {
    /// The instruction that a place of a region lies in: where it begins, and where the next one does.
    fn unit(&mut self, old: &[u8], region: &Region, at: u32) -> (u32, u32) {
        let is_near = self.0 >= region.start && at.wrapping_sub(self.0) <= BEFORE;
        let mut first = self.0;
        if !is_near {
            first = at.saturating_sub(BEFORE).max(region.start);
        }
        loop {
            let code = old.get(first as usize..region.end() as usize);
            let length = x64_walk::length(code.unwrap_or_default());
            let next = first.saturating_add(length);
            if next > at {
                self.0 = first;
                return (first, next);
            }
            first = next;
        }
    }
}

/// The end of a window of text: no word is cut in two, unless it is very long.
fn end_of_word(old: &[u8], until: u32, limit: u32) -> u32 {
    let rest = old.get(until as usize..limit as usize).unwrap_or_default();
    let letters = rest.iter().take(WINDOW as usize);
    let letters = letters.take_while(|byte| words::is_letter(**byte)).count();
    until + u32::try_from(letters).unwrap_or_default()
}

/// The region of a position, which is mostly the one of the last.
fn region_of<'a>(
    layout: &'a Layout,
    last: Option<&'a Region>,
    position: u32,
) -> Option<&'a Region> {
    last.filter(|region| region.start <= position && position < region.end())
        .or_else(|| layout.region_at(position))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_found_from_any_place_on() {
        // `lea rax, [rip + 1]; call 2; ret`, over and over.
        let one = [0x48, 0x8d, 5, 1, 0, 0, 0, 0xe8, 2, 0, 0, 0, 0xc3];
        let code = one.repeat(30);
        let region = Region {
            start: 0,
            length: 390,
            address: 0,
            image: 0,
            kind: Kind::X64,
            base: 0,
        };
        for at in 100..380 {
            let found = Walk::default().unit(&code, &region, at);
            let begun = at - at % 13;
            let [second, third, end] = [7, 12, 13].map(|offset| begun + offset);
            let wanted = match at % 13 {
                0..7 => (begun, second),
                7..12 => (second, third),
                _ => (third, end),
            };
            assert_eq!(found, wanted, "{at}");
        }
        // Going on, and from the start of the region.
        let mut walk = Walk::default();
        assert_eq!(walk.unit(&code, &region, 3), (0, 7));
        assert_eq!(walk.unit(&code, &region, 8), (7, 12));
    }
}
