//! Archives opened: the members whose packed bytes are another are unpacked, so that what did not change in
//! them can be copied.
//!
//! The *opened* form of an archive has, in place of each opened member, its data unpacked. Of what an archive
//! says about its members twice (checksum, lengths, places), only the difference from what follows from
//! the members is kept, which is zero in a sound archive; so a changed member costs its change and nothing
//! else. [`super::rebuild`] makes the archive again out of the opened form. A delta names which members of
//! the base are open, and lists the members of the result ([`Recipe`]).
//!
//! **Invariants: a recipe that was read fits the declared length of the opened result; members of a base
//! are unpacked only up to the declared length of the opened base.**

use super::coder::{Bit, Coder, Decoder, Number};
use super::deflate::{self, LEVEL_MAX};
use super::parts::{self, Archive, Kind, LOCAL, Part};
use super::rebuild::{Facts, Place, patch};
use super::{CUT_OFF, DeltaError, corrupt};
use std::collections::{HashMap, HashSet};

/// Longest form of an opened archive, bytes.
pub(super) const OPENED_BYTES_MAX: u32 = 256 << 20;
/// Longest head of a member: names and extra fields have 16 bits for their lengths.
const HEAD_MAX: u32 = 30 + 2 * 0xffff;
const MEMBERS_MAX: u32 = 0xffff;

/// A member of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Member {
    /// Bytes between the member before and its head.
    pub(super) gap: u32,
    /// Bytes of its head.
    pub(super) head: u32,
    /// Bytes of its data in the opened form.
    pub(super) length: u32,
    /// The level that packs the data, if they are open.
    pub(super) level: Option<u32>,
}

/// How a result is made from its opened form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Recipe {
    pub(super) kind: Kind,
    pub(super) members: Vec<Member>,
    /// Bytes between the last member and the directory.
    pub(super) gap: u32,
}

/// An opened content.
#[derive(Debug, Default)]
pub(super) struct Opened {
    pub(super) bytes: Vec<u8>,
    /// Where data of members begin in it.
    pub(super) starts: Vec<u32>,
}

/// Unpacked members by their number.
pub(super) type Open = HashMap<usize, Vec<u8>>;

/// Opens a base as a delta says.
pub(super) fn open(
    old: &[u8],
    stream: &[u8],
    lengths: [u32; 2],
) -> Result<(Opened, Recipe), DeltaError> {
    let [old_length, new_length] = lengths;
    if let Some(bytes) = lengths.into_iter().find(|it| *it > OPENED_BYTES_MAX) {
        let bytes = u64::from(bytes);
        return Err(DeltaError::TooLarge { bytes });
    }
    let archive = parts::find(old).ok_or_else(|| corrupt("its base is not an archive"))?;
    let mut decoder = Decoder::new(stream);
    let flags = code_flags(&mut decoder, &archive, &HashSet::new());
    let forms = forms(&archive, &flags);
    let total: u64 = forms.iter().map(|member| u64::from(member.length)).sum();
    if total > u64::from(old_length) {
        return Err(corrupt("its base is longer unpacked than declared"));
    }
    let recipe = code_recipe(&mut decoder, &forms, None, new_length).map_err(corrupt)?;
    if decoder.is_exhausted() {
        return Err(CUT_OFF);
    }
    if !decoder.is_finished() {
        return Err(corrupt("it holds more than it uses"));
    }
    let mut unpacked = Open::new();
    for number in flags {
        let bytes = archive.parts.get(number).and_then(|part| unpack(old, part));
        let bytes = bytes.ok_or_else(|| corrupt("a member of its base does not unpack"))?;
        unpacked.insert(number, bytes);
    }
    let opened = expand(old, &archive, &unpacked);
    let opened = opened.filter(|opened| opened.bytes.len() as u64 == u64::from(old_length));
    let opened = opened.ok_or_else(|| corrupt("it names a wrong length of its opened base"))?;
    Ok((opened, recipe))
}

pub(super) fn packed<'c>(content: &'c [u8], part: &Part) -> Option<&'c [u8]> {
    content.get(part.start..part.end)
}

pub(super) fn unpack(content: &[u8], part: &Part) -> Option<Vec<u8>> {
    deflate::inflate(packed(content, part)?, part.unpacked?)
}

/// The opened form of a content.
pub(super) fn expand(content: &[u8], archive: &Archive, open: &Open) -> Option<Opened> {
    let mut opened = Opened::default();
    let mut facts = Vec::new();
    let mut end = 0;
    for (number, part) in archive.parts.iter().enumerate() {
        opened.bytes.extend(content.get(end..part.head)?);
        let mut head = content.get(part.head..part.start)?.to_vec();
        let packed = packed(content, part)?;
        let place = u32::try_from(part.head).ok()?;
        if let Some(data) = open.get(&number) {
            let known = Facts::of(place, data, packed.len());
            if known.are_in_head(archive.kind, &head) {
                patch(&mut head, Place::Local, &known, u32::wrapping_sub);
            }
            facts.push(known);
            opened.bytes.extend(head);
            opened.starts.push(u32::try_from(opened.bytes.len()).ok()?);
            opened.bytes.extend(data);
        } else {
            facts.push(Facts::said(place, &head));
            opened.bytes.extend(head);
            opened.starts.push(u32::try_from(opened.bytes.len()).ok()?);
            opened.bytes.extend(packed);
        }
        end = part.end;
    }
    opened.bytes.extend(content.get(end..archive.directory)?);
    expand_directory(
        content.get(archive.directory..)?,
        archive,
        &facts,
        &mut opened.bytes,
    )?;
    u32::try_from(opened.bytes.len())
        .is_ok_and(|length| length <= OPENED_BYTES_MAX)
        .then_some(opened)
}

fn expand_directory(
    directory: &[u8],
    archive: &Archive,
    facts: &[Facts],
    out: &mut Vec<u8>,
) -> Option<()> {
    let mut rest = directory.to_vec();
    if archive.kind == Kind::Gzip {
        patch(&mut rest, Place::Trailer, facts.first()?, u32::wrapping_sub);
        out.extend(rest);
        return Some(());
    }
    let mut at = 0;
    for known in facts {
        let entry = rest.get_mut(at..)?;
        patch(entry, Place::Entry, known, u32::wrapping_sub);
        at += Place::entry_length(entry)?;
    }
    let known = Facts::of_directory(archive.directory, at)?;
    patch(rest.get_mut(at..)?, Place::End, &known, u32::wrapping_sub);
    out.extend(rest);
    Some(())
}

/// The members of an archive in its opened form; those of these numbers are open.
pub(super) fn forms(archive: &Archive, open: &[usize]) -> Vec<Member> {
    let open: HashSet<usize> = open.iter().copied().collect();
    let short = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    let mut end = 0;
    let parts = archive.parts.iter().enumerate();
    let member = parts.map(|(number, part)| {
        let unpacked = part.unpacked.filter(|_| open.contains(&number));
        let member = Member {
            gap: short(part.head - end),
            head: short(part.start - part.head),
            length: short(unpacked.unwrap_or(part.end - part.start)),
            level: unpacked.map(|_| 0),
        };
        end = part.end;
        member
    });
    member.collect()
}

/// Codes which members of a base are open; the numbers of those that are.
pub(super) fn code_flags(
    coder: &mut impl Coder,
    archive: &Archive,
    open: &HashSet<usize>,
) -> Vec<usize> {
    let mut models = [Bit::NEW; 2];
    let mut was_open = false;
    let mut found = Vec::new();
    for (number, part) in archive.parts.iter().enumerate() {
        let Some(model) = models.get_mut(usize::from(was_open)) else {
            continue;
        };
        if part.unpacked.is_some() {
            was_open = model.code(coder, open.contains(&number));
            if was_open {
                found.push(number);
            }
        }
    }
    found
}

/// What was learnt about the members of a recipe.
#[derive(Default)]
struct RecipeModels {
    follows: [Bit; 2],
    jumps: Number,
    /// By whether the member of the base is open.
    open: [Bit; 2],
    same_level: Bit,
    levels: Number,
    /// Whether a number of the member is that of the base's: gap, head, length.
    same: [Bit; 3],
    numbers: [Number; 3],
}

/// Codes a recipe. Each member is foretold from a member of the base; a writer gives its recipe and which.
pub(super) fn code_recipe(
    coder: &mut impl Coder,
    old: &[Member],
    given: Option<(&Recipe, &[Option<usize>])>,
    length: u32,
) -> Result<Recipe, &'static str> {
    let mut models = RecipeModels::default();
    let (mut kind, mut count, mut gap) = (Number::default(), Number::default(), Number::default());
    let (recipe, partners) = given.unzip();
    let is_gzip = recipe.is_some_and(|recipe| recipe.kind == Kind::Gzip);
    let is_gzip = kind.code(coder, u32::from(is_gzip)) != 0;
    let stored = recipe.map_or(0, |recipe| recipe.members.len());
    let stored = count.code(coder, u32::try_from(stored).unwrap_or(u32::MAX));
    if stored > MEMBERS_MAX {
        return Err("it names too many members");
    }
    let mut members = Vec::new();
    let (mut cursor, mut total, mut followed, mut level) = (0_u32, 0_u64, false, LEVEL_MAX);
    for number in 0..stored as usize {
        let member = recipe
            .and_then(|recipe| recipe.members.get(number))
            .copied();
        let partner = partners
            .and_then(|partners| partners.get(number))
            .copied()
            .flatten();
        let partner = partner
            .and_then(|it| u32::try_from(it).ok())
            .unwrap_or(cursor);
        let model = models.follows.get_mut(usize::from(followed));
        followed = model.is_some_and(|model| model.code(coder, partner == cursor));
        if !followed {
            let jump = partner.wrapping_sub(cursor).cast_signed();
            let jump = models.jumps.code_signed(coder, jump);
            cursor = cursor.wrapping_add_signed(jump);
        }
        let like = old.get(cursor as usize).copied().unwrap_or_default();
        cursor = cursor.wrapping_add(1);
        let member = models.member(coder, &like, member.unwrap_or_default(), &mut level);
        total += u64::from(member.gap) + u64::from(member.head) + u64::from(member.length);
        if total > u64::from(length) {
            return Err("its members are longer than the declared length");
        }
        if member.head > HEAD_MAX || member.level.is_some_and(|level| level > LEVEL_MAX) {
            return Err("a member is described in an odd way");
        }
        if coder.is_exhausted() {
            return Err("it is cut off");
        }
        members.push(member);
    }
    let gap = gap.code(coder, recipe.map_or(0, |recipe| recipe.gap));
    if total + u64::from(gap) > u64::from(length) {
        return Err("its members are longer than the declared length");
    }
    let kind = if is_gzip { Kind::Gzip } else { Kind::Zip };
    Ok(Recipe { kind, members, gap })
}

impl RecipeModels {
    fn member(
        &mut self,
        coder: &mut impl Coder,
        like: &Member,
        member: Member,
        level: &mut u32,
    ) -> Member {
        let mut open = member.level.is_some();
        if let Some(model) = self.open.get_mut(usize::from(like.level.is_some())) {
            open = model.code(coder, open);
        }
        if open {
            let wanted = member.level.unwrap_or_default();
            if !self.same_level.code(coder, wanted == *level) {
                *level = self.levels.code(coder, wanted);
            }
        }
        let given = [member.gap, member.head, member.length];
        let known = [like.gap, like.head, like.length];
        let mut numbers = known;
        for (((number, given), same), model) in numbers
            .iter_mut()
            .zip(given)
            .zip(&mut self.same)
            .zip(&mut self.numbers)
        {
            if !same.code(coder, given == *number) {
                let change = given.wrapping_sub(*number).cast_signed();
                *number = number.wrapping_add_signed(model.code_signed(coder, change));
            }
        }
        let [gap, head, length] = numbers;
        Member {
            gap,
            head,
            length,
            level: open.then_some(*level),
        }
    }
}

impl Facts {
    /// Whether a head says what follows from the member, so that only the difference is kept there.
    pub(super) fn are_in_head(&self, kind: Kind, head: &[u8]) -> bool {
        const LATER: u8 = 8;
        kind == Kind::Zip
            && self.length <= super::rebuild::HELD_BYTES_MAX
            && head.len() >= LOCAL
            && head.get(6).is_some_and(|flags| flags & LATER == 0)
    }
}
