//! An archive made again out of its opened form ([`super::opening`]), as that form arrives.
//!
//! **Invariant: it holds at most [`HELD_BYTES_MAX`] bytes of packed data, one head, and 16 bytes for each
//! member.** Not here: how much may be written, which the place that it writes to sees to.

use super::deflate::Deflater;
use super::opening::{Member, Recipe};
use super::parts::{Kind, TRAILER};
use super::{DeltaError, corrupt};
use flate2::Crc;

/// Longest member, bytes unpacked, whose head waits until its data are packed, so that it can say how long
/// they became. The head of a longer one says it in the delta.
pub(super) const HELD_BYTES_MAX: u32 = 4 << 20;
const ENTRY: usize = 46;
const END: usize = 22;

/// What follows from a member and is said about it in other places.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Facts {
    place: u32,
    checksum: u32,
    packed: u32,
    pub(super) length: u32,
}

impl Facts {
    /// What follows from the data of an open member.
    pub(super) fn of(place: u32, data: &[u8], packed: usize) -> Self {
        let mut crc = Crc::new();
        crc.update(data);
        Self {
            place,
            checksum: crc.sum(),
            packed: short(packed),
            length: short(data.len()),
        }
    }

    /// What the head of a member says.
    pub(super) fn said(place: u32, head: &[u8]) -> Self {
        Self {
            place,
            checksum: field(head, 14),
            packed: field(head, 18),
            length: field(head, 22),
        }
    }

    /// What the end says of the directory.
    pub(super) fn of_directory(place: usize, length: usize) -> Option<Self> {
        Some(Self {
            place: u32::try_from(place).ok()?,
            length: u32::try_from(length).ok()?,
            ..Self::default()
        })
    }
}

fn short(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn field(bytes: &[u8], at: usize) -> u32 {
    let bytes = bytes.get(at..).and_then(|bytes| bytes.first_chunk());
    bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// A place that repeats what follows from a member.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    /// The head of a member.
    Local,
    /// Its entry in the directory.
    Entry,
    /// The end of the directory.
    End,
    /// What follows the data of a gzip file.
    Trailer,
}

impl Place {
    /// The length of an entry of a directory.
    pub(super) fn entry_length(entry: &[u8]) -> Option<usize> {
        let lengths = entry.get(28..34)?.chunks_exact(2);
        let rest: usize = lengths
            .map(|pair| {
                pair.iter()
                    .rev()
                    .fold(0, |sum, byte| sum << 8 | usize::from(*byte))
            })
            .sum();
        Some(ENTRY + rest)
    }

    fn mark(self) -> &'static [u8] {
        match self {
            Self::Local => b"PK\x03\x04",
            Self::Entry => b"PK\x01\x02",
            Self::End => b"PK\x05\x06",
            Self::Trailer => b"",
        }
    }
}

/// Takes facts out of a place, or puts them into it. What is not such a place stays as it is.
pub(super) fn patch(bytes: &mut [u8], place: Place, facts: &Facts, with: fn(u32, u32) -> u32) {
    if !bytes.starts_with(place.mark()) {
        return;
    }
    let Facts {
        place: at,
        checksum,
        packed,
        length,
    } = *facts;
    let fields: &[(usize, u32)] = match place {
        Place::Local => &[(14, checksum), (18, packed), (22, length)],
        Place::Entry => &[(16, checksum), (20, packed), (24, length), (42, at)],
        Place::End => &[(12, length), (16, at)],
        Place::Trailer => &[(0, checksum), (4, length)],
    };
    for (offset, fact) in fields {
        let field = bytes
            .get_mut(*offset..)
            .and_then(|rest| rest.first_chunk_mut());
        if let Some(field) = field {
            *field = with(u32::from_le_bytes(*field), *fact).to_le_bytes();
        }
    }
}

/// What comes next in the opened form.
enum Step {
    /// Bytes that are handed on.
    Pass(u32),
    /// The head of a member, as far as it came.
    Head(Vec<u8>),
    /// The data of an open member.
    Data(Box<Data>),
    /// An entry of the directory, the end of it, or what follows the data of a gzip file, as far as it came.
    Said(Vec<u8>, Place),
    /// All that follows.
    Rest,
}

struct Data {
    left: u32,
    crc: Crc,
    place: u32,
    packed: u32,
    length: u32,
    /// The head, if it waits.
    head: Option<Vec<u8>>,
    deflater: Deflater<Vec<u8>>,
}

/// Makes the archive.
pub(super) struct Rebuild<'a> {
    recipe: &'a Recipe,
    /// The member that is worked on.
    number: usize,
    step: Step,
    /// Whether the bytes that are handed on lie before a head (or the directory) or are its data.
    before_head: bool,
    facts: Vec<Facts>,
    /// How many places of the directory came.
    entries: usize,
    written: u32,
    /// Where the directory begins, once that is known.
    directory: Option<u32>,
}

/// Where bytes go.
type Give<'g> = dyn FnMut(&[u8]) -> Result<(), DeltaError> + 'g;

impl<'a> Rebuild<'a> {
    pub(super) fn new(recipe: &'a Recipe) -> Self {
        let first = recipe
            .members
            .first()
            .map_or(recipe.gap, |member| member.gap);
        Self {
            recipe,
            number: 0,
            step: Step::Pass(first),
            before_head: true,
            facts: Vec::new(),
            entries: 0,
            written: 0,
            directory: None,
        }
    }

    fn give(&mut self, give: &mut Give<'_>, bytes: &[u8]) -> Result<(), DeltaError> {
        let length = short(bytes.len());
        self.written = self.written.saturating_add(length);
        give(bytes)
    }

    fn member(&self) -> Option<Member> {
        self.recipe.members.get(self.number).copied()
    }

    /// Takes the next bytes of the opened form.
    pub(super) fn take(&mut self, mut bytes: &[u8], give: &mut Give<'_>) -> Result<(), DeltaError> {
        loop {
            // A step ends when it has its bytes, which may be none; otherwise all that came was taken.
            let step = std::mem::replace(&mut self.step, Step::Rest);
            let (step, is_done) = match step {
                Step::Pass(left) => self.pass(left, &mut bytes, give)?,
                Step::Head(head) => self.head(head, &mut bytes, give)?,
                Step::Data(data) => self.data(data, &mut bytes, give)?,
                Step::Said(said, place) => self.said(said, place, &mut bytes, give)?,
                Step::Rest => {
                    self.give(give, bytes)?;
                    return Ok(());
                }
            };
            self.step = step;
            if !is_done {
                return Ok(());
            }
        }
    }

    fn pass(
        &mut self,
        left: u32,
        bytes: &mut &[u8],
        give: &mut Give<'_>,
    ) -> Result<(Step, bool), DeltaError> {
        let part = split(bytes, left as usize);
        self.give(give, part)?;
        let left = left - short(part.len());
        if left > 0 {
            return Ok((Step::Pass(left), false));
        }
        let step = if !self.before_head {
            self.next_member()
        } else if self.member().is_some() {
            Step::Head(Vec::new())
        } else {
            self.directory.get_or_insert(self.written);
            self.next_entry()
        };
        Ok((step, true))
    }

    fn next_member(&mut self) -> Step {
        self.number += 1;
        self.before_head = true;
        Step::Pass(self.member().map_or(self.recipe.gap, |member| member.gap))
    }

    fn next_entry(&self) -> Step {
        let place = match self.recipe.kind {
            Kind::Gzip if self.entries > 0 => return Step::Rest,
            Kind::Gzip => Place::Trailer,
            Kind::Zip if self.entries < self.facts.len() => Place::Entry,
            Kind::Zip if self.entries == self.facts.len() => Place::End,
            Kind::Zip => return Step::Rest,
        };
        Step::Said(Vec::new(), place)
    }

    fn head(
        &mut self,
        mut head: Vec<u8>,
        bytes: &mut &[u8],
        give: &mut Give<'_>,
    ) -> Result<(Step, bool), DeltaError> {
        let member = self.member().unwrap_or_default();
        let wanted = member.head as usize;
        head.extend(split(bytes, wanted - head.len()));
        if head.len() < wanted {
            return Ok((Step::Head(head), false));
        }
        let place = self.written;
        let Some(level) = member.level else {
            self.facts.push(Facts::said(place, &head));
            self.give(give, &head)?;
            self.before_head = false;
            return Ok((Step::Pass(member.length), true));
        };
        let length = Facts {
            length: member.length,
            ..Facts::default()
        };
        let waits = length.are_in_head(self.recipe.kind, &head);
        if !waits {
            self.give(give, &head)?;
        }
        let data = Data {
            left: member.length,
            crc: Crc::new(),
            place,
            packed: 0,
            length: member.length,
            head: waits.then_some(head),
            deflater: Deflater::new(level, Vec::new()),
        };
        Ok((Step::Data(Box::new(data)), true))
    }

    fn data(
        &mut self,
        mut data: Box<Data>,
        bytes: &mut &[u8],
        give: &mut Give<'_>,
    ) -> Result<(Step, bool), DeltaError> {
        let failed = |_| corrupt("a member of it does not pack");
        let part = split(bytes, data.left as usize);
        data.left -= short(part.len());
        data.crc.update(part);
        data.deflater.write(part).map_err(failed)?;
        if data.left > 0 {
            if data.head.is_none() {
                let packed = std::mem::take(data.deflater.out());
                data.packed = data.packed.saturating_add(short(packed.len()));
                self.give(give, &packed)?;
            }
            return Ok((Step::Data(data), false));
        }
        let packed = data.deflater.finish().map_err(failed)?;
        let facts = Facts {
            place: data.place,
            checksum: data.crc.sum(),
            packed: data.packed.saturating_add(short(packed.len())),
            length: data.length,
        };
        if let Some(mut head) = data.head {
            patch(&mut head, Place::Local, &facts, u32::wrapping_add);
            self.give(give, &head)?;
        }
        self.give(give, &packed)?;
        self.facts.push(facts);
        Ok((self.next_member(), true))
    }

    fn said(
        &mut self,
        mut said: Vec<u8>,
        place: Place,
        bytes: &mut &[u8],
        give: &mut Give<'_>,
    ) -> Result<(Step, bool), DeltaError> {
        let wanted = match place {
            Place::Trailer => TRAILER,
            Place::End => END,
            Place::Entry | Place::Local => ENTRY,
        };
        said.extend(split(bytes, wanted.saturating_sub(said.len())));
        if said.len() < wanted {
            return Ok((Step::Said(said, place), false));
        }
        let mut rest = 0;
        let known = match place {
            Place::End => {
                let place = self.directory.unwrap_or_default();
                Facts {
                    place,
                    length: self.written - place,
                    ..Facts::default()
                }
            }
            Place::Entry | Place::Local | Place::Trailer => {
                self.facts.get(self.entries).copied().unwrap_or_default()
            }
        };
        if matches!(place, Place::Entry) {
            rest = Place::entry_length(&said).unwrap_or(ENTRY) - ENTRY;
        }
        patch(&mut said, place, &known, u32::wrapping_add);
        self.give(give, &said)?;
        self.entries += 1;
        // The names of an entry are handed on; then comes the next.
        if rest > 0 {
            return Ok((Step::Pass(short(rest)), true));
        }
        Ok((self.next_entry(), true))
    }

    /// Ends: what waited for more is handed on.
    pub(super) fn finish(self, give: &mut Give<'_>) -> Result<(), DeltaError> {
        match self.step {
            Step::Said(said, _) => give(&said),
            Step::Pass(0) | Step::Rest => Ok(()),
            Step::Pass(_) | Step::Head(_) | Step::Data(_) => {
                Err(corrupt("its members are longer than what it gives"))
            }
        }
    }
}

/// Takes up to so many bytes from the front.
fn split<'b>(bytes: &mut &'b [u8], most: usize) -> &'b [u8] {
    let (part, rest) = bytes.split_at_checked(most).unwrap_or((bytes, &[]));
    *bytes = rest;
    part
}
