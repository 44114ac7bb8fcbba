//! Reads a pack from a host that may lie.
//!
//! Every object is whole before the next is read, deltas included, so no chain of deltas is followed and none can turn in a
//! circle. **Memory is bounded by what is kept; what is not wanted is inflated and dropped, and that is bounded too.**
//! Objects are known by the names that are computed from their content (with git's own detection of SHA-1 collisions): an
//! object under a wrong name does not exist here.

use super::delta;
use crate::fault::Fault;
use flate2::bufread::ZlibDecoder;
use gix_hash::ObjectId;
use gix_object::Kind;
use std::collections::{HashMap, HashSet};
use std::io::{self, BufRead, Read};
use std::sync::Arc;

/// Most objects of a pack.
const OBJECTS_MAX: u32 = 300_000;
/// Largest object that is kept, bytes: the largest source file.
pub(crate) const OBJECT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most bytes of objects and of waiting deltas in memory.
const KEPT_BYTES_MAX: usize = 48 * 1024 * 1024;
/// What an object costs beside its content, about, bytes.
const OBJECT_COST_BYTES: usize = 128;
/// Most bytes that are inflated, kept or not.
const INFLATED_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Bytes of a SHA-1 name.
const ID_BYTES: usize = 20;

/// Which objects are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// All.
    All,
    /// Commits and trees.
    Trees,
    /// Commits.
    Commits,
}

impl Keep {
    fn wants(self, kind: Kind) -> bool {
        match kind {
            Kind::Commit => true,
            Kind::Tree => matches!(self, Self::All | Self::Trees),
            Kind::Blob | Kind::Tag => matches!(self, Self::All),
        }
    }
}

/// One object.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) kind: Kind,
    pub(crate) data: Arc<[u8]>,
}

/// The wanted objects of a pack, by their names.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    by_id: HashMap<ObjectId, Object>,
    /// Whether the pack held nothing at all.
    pub(crate) was_empty: bool,
    /// What they take in memory, bytes.
    pub(crate) bytes: usize,
}

impl Objects {
    pub(crate) fn get(&self, id: &gix_hash::oid) -> Option<&Object> {
        self.by_id.get(id)
    }
}

/// What a delta stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Base {
    At(u64),
    Named(ObjectId),
}

/// A delta whose base was not there yet.
struct Waiting {
    at: u64,
    delta: Vec<u8>,
}

/// Reads a whole pack and checks its sum.
pub(crate) fn read(reader: impl BufRead, keep: Keep) -> Result<Objects, Fault> {
    let mut reading = Reading {
        stream: Stream::new(reader),
        keep,
        inflated: 0,
        kept: 0,
        objects: Objects::default(),
        ids: HashMap::new(),
        skipped: HashSet::new(),
        waiting: HashMap::new(),
    };
    reading.run()?;
    let mut objects = reading.objects;
    objects.bytes = reading.kept;
    Ok(objects)
}

struct Reading<R> {
    stream: Stream<R>,
    keep: Keep,
    inflated: u64,
    kept: usize,
    objects: Objects,
    /// Kept objects by where they begin.
    ids: HashMap<u64, ObjectId>,
    /// Where objects begin that are not kept.
    skipped: HashSet<u64>,
    waiting: HashMap<Base, Vec<Waiting>>,
}

impl<R: BufRead> Reading<R> {
    fn run(&mut self) -> Result<(), Fault> {
        let [magic, version, count] = [self.word()?, self.word()?, self.word()?];
        if magic != *b"PACK" || !matches!(u32::from_be_bytes(version), 2 | 3) {
            return Err(Fault::malformed("it is no pack"));
        }
        let count = u32::from_be_bytes(count);
        if count > OBJECTS_MAX {
            return Err(Fault::TooLarge(format!("a pack of {count} objects")));
        }
        self.objects.was_empty = count == 0;
        for _ in 0..count {
            self.entry()?;
        }
        self.stream.check_sum()?;
        // Where only some kinds are kept, the others' deltas wait for ever.
        if self.keep == Keep::All && !self.waiting.is_empty() {
            return Err(Fault::malformed("a delta's base is missing"));
        }
        Ok(())
    }

    fn word(&mut self) -> Result<[u8; 4], Fault> {
        let mut word = [0; 4];
        self.stream.read_exact(&mut word)?;
        Ok(word)
    }

    fn byte(&mut self) -> Result<u8, Fault> {
        let mut byte = [0];
        self.stream.read_exact(&mut byte)?;
        let [byte] = byte;
        Ok(byte)
    }

    fn entry(&mut self) -> Result<(), Fault> {
        let at = self.stream.at;
        let first = self.byte()?;
        let size = self.size(first)?;
        let kind = match (first >> 4) & 7 {
            1 => Kind::Commit,
            2 => Kind::Tree,
            3 => Kind::Blob,
            4 => Kind::Tag,
            6 => {
                let back = self.back()?;
                let base = at.checked_sub(back).filter(|_| back > 0);
                let base = base.ok_or_else(|| Fault::malformed("a delta's base is nowhere"))?;
                return self.delta(at, Base::At(base), size);
            }
            7 => {
                let mut id = [0; ID_BYTES];
                self.stream.read_exact(&mut id)?;
                return self.delta(at, Base::Named(ObjectId::Sha1(id)), size);
            }
            _ => return Err(Fault::malformed("an object has no kind")),
        };
        if !self.keep.wants(kind) {
            return self.skip(at, size);
        }
        let data = self.inflate(size)?;
        self.add(at, kind, data)
    }

    fn size(&mut self, first: u8) -> Result<u64, Fault> {
        let mut size = u64::from(first & 0x0f);
        let (mut byte, mut shift) = (first, 4);
        while byte & 0x80 != 0 {
            byte = self.byte()?;
            if shift > 53 {
                return Err(Fault::malformed("an object's size is no number"));
            }
            size |= u64::from(byte & 0x7f) << shift;
            shift += 7;
        }
        Ok(size)
    }

    /// How far before a delta its base begins.
    fn back(&mut self) -> Result<u64, Fault> {
        let mut byte = self.byte()?;
        let mut back = u64::from(byte & 0x7f);
        while byte & 0x80 != 0 {
            byte = self.byte()?;
            if back > u64::MAX >> 8 {
                return Err(Fault::malformed("a delta's base is nowhere"));
            }
            back = ((back + 1) << 7) | u64::from(byte & 0x7f);
        }
        Ok(back)
    }

    fn delta(&mut self, at: u64, base: Base, size: u64) -> Result<(), Fault> {
        if matches!(base, Base::At(base) if self.skipped.contains(&base)) {
            return self.skip(at, size);
        }
        let delta = self.inflate(size)?;
        if let Some(object) = self.base(base) {
            let data = delta::apply(&object.data, &delta, OBJECT_BYTES_MAX)?;
            return self.add(at, object.kind, data);
        }
        self.pay(delta.len())?;
        let waiting = self.waiting.entry(base).or_default();
        waiting.push(Waiting { at, delta });
        Ok(())
    }

    fn base(&self, base: Base) -> Option<Object> {
        let id = match base {
            Base::At(at) => self.ids.get(&at)?,
            Base::Named(ref id) => id,
        };
        self.objects.by_id.get(id).cloned()
    }

    /// Keeps an object, and every one that waited for it.
    fn add(&mut self, at: u64, kind: Kind, data: Vec<u8>) -> Result<(), Fault> {
        self.pay(data.len())?;
        let mut whole = vec![(at, kind, data)];
        while let Some((at, kind, data)) = whole.pop() {
            let id = gix_object::compute_hash(gix_hash::Kind::Sha1, kind, &data)
                .map_err(|error| Fault::malformed(error.to_string()))?;
            for base in [Base::At(at), Base::Named(id)] {
                for waiting in self.waiting.remove(&base).unwrap_or_default() {
                    let made = delta::apply(&data, &waiting.delta, OBJECT_BYTES_MAX)?;
                    // Here and not when it is kept: all of them are in memory before.
                    self.pay(made.len())?;
                    whole.push((waiting.at, kind, made));
                }
            }
            let data = data.into();
            self.ids.insert(at, id);
            self.objects.by_id.insert(id, Object { kind, data });
        }
        Ok(())
    }

    fn pay(&mut self, bytes: usize) -> Result<(), Fault> {
        self.kept = self.kept.saturating_add(bytes + OBJECT_COST_BYTES);
        if self.kept > KEPT_BYTES_MAX {
            let why = format!("more than {KEPT_BYTES_MAX} bytes of objects");
            return Err(Fault::TooLarge(why));
        }
        Ok(())
    }

    fn inflate(&mut self, size: u64) -> Result<Vec<u8>, Fault> {
        let fits = usize::try_from(size).is_ok_and(|size| size <= OBJECT_BYTES_MAX);
        if !fits {
            return Err(Fault::TooLarge(format!("an object of {size} bytes")));
        }
        let mut data = Vec::new();
        self.inflate_into(size, &mut data)?;
        Ok(data)
    }

    fn skip(&mut self, at: u64, size: u64) -> Result<(), Fault> {
        self.skipped.insert(at);
        self.inflate_into(size, &mut io::sink())
    }

    fn inflate_into(&mut self, size: u64, into: &mut impl io::Write) -> Result<(), Fault> {
        self.inflated = self.inflated.saturating_add(size);
        if self.inflated > INFLATED_BYTES_MAX {
            let why = format!("more than {INFLATED_BYTES_MAX} bytes inflated");
            return Err(Fault::TooLarge(why));
        }
        let mut decoder = ZlibDecoder::new(&mut self.stream);
        // One more than is there, so that the end of the stream and its sum are read and checked.
        let copied = io::copy(&mut (&mut decoder).take(size + 1), into);
        let copied = copied.map_err(|error| {
            let of_the_data = [io::ErrorKind::InvalidInput, io::ErrorKind::InvalidData];
            if of_the_data.contains(&error.kind()) {
                return Fault::malformed("an object does not inflate");
            }
            Fault::from(error)
        })?;
        if copied == size {
            return Ok(());
        }
        if copied < size && self.stream.fill_buf()?.is_empty() {
            return Err(Fault::Cut("in the middle of an object".to_owned()));
        }
        Err(Fault::malformed("an object has another size than it says"))
    }
}

/// The bytes of a pack, counted and summed.
struct Stream<R> {
    reader: R,
    at: u64,
    hasher: gix_hash::Hasher,
}

impl<R: BufRead> Stream<R> {
    fn new(reader: R) -> Self {
        Self {
            reader,
            at: 0,
            hasher: gix_hash::hasher(gix_hash::Kind::Sha1),
        }
    }

    /// Compares the sum of all that was read with the one that follows.
    fn check_sum(&mut self) -> Result<(), Fault> {
        let sum = self.hasher.clone().try_finalize();
        let sum = sum.map_err(|error| Fault::malformed(error.to_string()))?;
        let mut expected = [0; ID_BYTES];
        self.reader.read_exact(&mut expected)?;
        if sum.as_slice() == expected {
            return Ok(());
        }
        Err(Fault::malformed("the sum of the pack is another"))
    }
}

impl<R: BufRead> Read for Stream<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(into)?;
        self.hasher.update(into.get(..count).unwrap_or_default());
        self.at = self
            .at
            .saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Stream<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.reader.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        let Ok(read) = self.reader.fill_buf() else {
            return;
        };
        self.hasher.update(read.get(..amount).unwrap_or_default());
        self.at = self
            .at
            .saturating_add(u64::try_from(amount).unwrap_or(u64::MAX));
        self.reader.consume(amount);
    }
}

#[cfg(test)]
mod tests;
