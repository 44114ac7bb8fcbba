//! Which members of two archives a maker opens ([`super::opening`]).
//!
//! Members are matched by their names: one that is there with the same packed bytes stays packed, since it is
//! copied as it is and costs a device nothing to pack again; one with other bytes is opened on both sides.
//! Members of new and of gone names are opened too, because they may have been renamed: the search for copies
//! runs over all that is open and finds what is alike, wherever it is. **Invariant: only what packs to the
//! same bytes again is opened in the result.**

use super::coder::Encoder;
use super::opening::{
    OPENED_BYTES_MAX, Open, Opened, Recipe, code_flags, code_recipe, expand, forms, packed, unpack,
};
use super::parts::{self, Archive, Part};
use super::rebuild::Rebuild;
use super::{corrupt, deflate};
use std::collections::{HashMap, HashSet};

/// Both contents opened, and how the second is made again.
pub(super) struct Prepared {
    pub(super) old: Opened,
    pub(super) new: Opened,
    pub(super) stream: Vec<u8>,
    recipe: Recipe,
}

impl Prepared {
    /// Whether the opened form gives exactly this content.
    pub(super) fn gives(&self, new: &[u8]) -> bool {
        let mut left = new;
        let mut give = |bytes: &[u8]| {
            let rest = left.strip_prefix(bytes);
            left = rest.ok_or_else(|| corrupt("it gives other content"))?;
            Ok(())
        };
        let mut rebuild = Rebuild::new(&self.recipe);
        let taken = rebuild.take(&self.new.bytes, &mut give);
        let done = taken.and_then(|()| rebuild.finish(&mut give));
        done.is_ok() && left.is_empty()
    }
}

/// Opens two contents where that can pay; none if they are not archives or nothing in them is to be opened.
pub(super) fn prepare(old: &[u8], new: &[u8]) -> Option<Prepared> {
    let (old_archive, new_archive) = (parts::find(old)?, parts::find(new)?);
    let mut choice = Choice {
        old: (old, &old_archive),
        new: (new, &new_archive),
        open_old: Open::new(),
        open_new: Open::new(),
        levels: HashMap::new(),
        likely: None,
        partners: Vec::new(),
        budget: (OPENED_BYTES_MAX as usize).checked_sub(old.len().max(new.len()))?,
    };
    choice.choose()?;
    let recipe = choice.recipe()?;
    Some(Prepared {
        old: expand(old, &old_archive, &choice.open_old)?,
        new: expand(new, &new_archive, &choice.open_new)?,
        stream: choice.write(&recipe),
        recipe,
    })
}

/// What is opened, and from which member of the base each member of the result is foretold.
struct Choice<'a> {
    old: (&'a [u8], &'a Archive),
    new: (&'a [u8], &'a Archive),
    open_old: Open,
    open_new: Open,
    levels: HashMap<usize, u32>,
    /// The level of the last member.
    likely: Option<u32>,
    partners: Vec<Option<usize>>,
    /// Bytes that may still be unpacked.
    budget: usize,
}

impl Choice<'_> {
    fn choose(&mut self) -> Option<()> {
        let ((old, old_archive), (_, new_archive)) = (self.old, self.new);
        let named = old_archive.parts.iter().enumerate();
        let named: HashMap<&[u8], usize> =
            named.map(|(at, part)| (part.name.as_slice(), at)).collect();
        let parts = old_archive.parts.iter();
        let known: HashSet<&[u8]> = parts.filter_map(|part| packed(old, part)).collect();
        let mut is_anything_new = false;
        for (number, part) in new_archive.parts.iter().enumerate() {
            let partner = named.get(part.name.as_slice()).copied();
            self.partners.push(partner);
            let is_open = self.open_new(number, part, partner, &known)?;
            is_anything_new |= is_open && partner.is_none();
            if let Some(partner) = partner.filter(|_| is_open) {
                self.open_old(partner);
            }
        }
        let parts = new_archive.parts.iter();
        let names: HashSet<&[u8]> = parts.map(|part| part.name.as_slice()).collect();
        for (number, part) in old_archive.parts.iter().enumerate() {
            if is_anything_new && !names.contains(part.name.as_slice()) {
                self.open_old(number);
            }
        }
        (!self.open_new.is_empty()).then_some(())
    }

    /// Opens a member of the result, if it is another than in the base and packs again as it was.
    fn open_new(
        &mut self,
        number: usize,
        part: &Part,
        partner: Option<usize>,
        known: &HashSet<&[u8]>,
    ) -> Option<bool> {
        let ((old, old_archive), (new, _)) = (self.old, self.new);
        let bytes = packed(new, part)?;
        let theirs = partner.and_then(|at| old_archive.parts.get(at));
        let is_there = match theirs {
            Some(theirs) => packed(old, theirs) == Some(bytes),
            None => known.contains(bytes),
        };
        if is_there || part.unpacked.is_none_or(|length| length > self.budget) {
            return Some(false);
        }
        let Some(data) = unpack(new, part) else {
            return Some(false);
        };
        let Some(level) = deflate::level_of(&data, bytes, self.likely) else {
            return Some(false);
        };
        self.budget -= data.len();
        self.likely = Some(level);
        self.levels.insert(number, level);
        self.open_new.insert(number, data);
        Some(true)
    }

    fn open_old(&mut self, number: usize) {
        let (old, archive) = self.old;
        let part = archive.parts.get(number);
        let part = part.filter(|part| part.unpacked.is_some_and(|length| length <= self.budget));
        if let Some(data) = part.and_then(|part| unpack(old, part)) {
            self.budget -= data.len();
            self.open_old.insert(number, data);
        }
    }

    fn recipe(&self) -> Option<Recipe> {
        let (_, archive) = self.new;
        let flags: Vec<usize> = self.open_new.keys().copied().collect();
        let mut members = forms(archive, &flags);
        for (number, member) in members.iter_mut().enumerate() {
            member.level = self.levels.get(&number).copied();
        }
        let last = archive.parts.last().map_or(0, |part| part.end);
        Some(Recipe {
            kind: archive.kind,
            members,
            gap: u32::try_from(archive.directory.checked_sub(last)?).ok()?,
        })
    }

    fn write(&self, recipe: &Recipe) -> Vec<u8> {
        let (_, archive) = self.old;
        let mut encoder = Encoder::new();
        let open = self.open_old.keys().copied().collect();
        let flags = code_flags(&mut encoder, archive, &open);
        let given = Some((recipe, self.partners.as_slice()));
        // What a writer gives was found in an archive and fits.
        let _ = code_recipe(&mut encoder, &forms(archive, &flags), given, u32::MAX);
        encoder.finish()
    }
}
