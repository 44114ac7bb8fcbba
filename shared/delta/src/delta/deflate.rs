//! Deflate (RFC 1951), out of and back into the very same bytes.
//!
//! Packing again gives the same bytes only with the same compressor and level. This one is the compressor
//! of the packages that are built here; a maker tries its levels, and a member that none of them gives
//! stays packed. (At level 1 what the compressor gives for a long member depends on how it was handed in; such a member
//! mostly stays packed.) A reader with another version of the compressor may get other bytes: then the digest of the
//! result differs and the delta is refused.

use flate2::write::DeflateEncoder;
use flate2::{Compression, Decompress, FlushDecompress, Status};
use std::io::Write;

/// Highest level of the compressor.
pub(super) const LEVEL_MAX: u32 = 9;
/// The levels in the order in which they are tried: those that packages have first.
const LEVELS: [u32; 9] = [9, 6, 1, 5, 4, 8, 7, 3, 2];
/// Bytes that the compressor gets at once, so that what it gives depends on nothing else.
const BLOCK: usize = 1 << 15;

/// Unpacks a member; none unless it has exactly this length, and nothing follows it.
pub(super) fn inflate(packed: &[u8], length: usize) -> Option<Vec<u8>> {
    let mut inflater = Decompress::new(false);
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length).ok()?;
    loop {
        let (read, written) = (inflater.total_in(), inflater.total_out());
        let rest = packed.get(usize::try_from(read).ok()?..)?;
        if bytes.len() == bytes.capacity() {
            // Full: what remains may only be the end mark.
            bytes.try_reserve_exact(1).ok()?;
        }
        let status = inflater.decompress_vec(rest, &mut bytes, FlushDecompress::Finish);
        if bytes.len() > length {
            return None;
        }
        match status.ok()? {
            Status::StreamEnd => break,
            Status::Ok | Status::BufError => {
                if (inflater.total_in(), inflater.total_out()) == (read, written) {
                    return None;
                }
            }
        }
    }
    let all = inflater.total_in() == packed.len() as u64 && bytes.len() == length;
    all.then_some(bytes)
}

/// The level that packs these bytes as they were packed, if there is one; `likely` is tried first.
pub(super) fn level_of(bytes: &[u8], packed: &[u8], likely: Option<u32>) -> Option<u32> {
    let others = LEVELS.into_iter().filter(|level| Some(*level) != likely);
    likely.into_iter().chain(others).find(|level| {
        let mut deflater = Deflater::new(*level, Comparer { wanted: packed });
        deflater.write(bytes).is_ok()
            && deflater
                .finish()
                .is_ok_and(|comparer| comparer.wanted.is_empty())
    })
}

/// Takes what is wanted, and nothing else.
struct Comparer<'a> {
    wanted: &'a [u8],
}

impl Write for Comparer<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self.wanted.strip_prefix(bytes) {
            Some(rest) => {
                self.wanted = rest;
                Ok(bytes.len())
            }
            None => Err(std::io::ErrorKind::InvalidData.into()),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Packs bytes as they come.
pub(super) struct Deflater<W: Write> {
    encoder: DeflateEncoder<W>,
    block: Vec<u8>,
}

impl<W: Write> Deflater<W> {
    pub(super) fn new(level: u32, out: W) -> Self {
        Self {
            encoder: DeflateEncoder::new(out, Compression::new(level)),
            block: Vec::new(),
        }
    }

    pub(super) fn write(&mut self, mut bytes: &[u8]) -> std::io::Result<()> {
        while !bytes.is_empty() {
            let room = (BLOCK - self.block.len()).min(bytes.len());
            let (part, rest) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            self.block.extend(part);
            bytes = rest;
            if self.block.len() == BLOCK {
                self.encoder.write_all(&self.block)?;
                self.block.clear();
            }
        }
        Ok(())
    }

    /// What was packed so far and can be taken.
    pub(super) fn out(&mut self) -> &mut W {
        self.encoder.get_mut()
    }

    pub(super) fn finish(mut self) -> std::io::Result<W> {
        self.encoder.write_all(&self.block)?;
        self.encoder.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_of_a_member_is_found_however_it_was_written() {
        let line = |at: u32| format!("{at} {}\n", at.wrapping_mul(0x9e37_79b1) % 9_973);
        let bytes: Vec<u8> = (0..30_000).flat_map(|at| line(at).into_bytes()).collect();
        for level in 1..=LEVEL_MAX {
            for chunk in [bytes.len(), 1_000, 65_536] {
                let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(level));
                for part in bytes.chunks(chunk) {
                    encoder.write_all(part).unwrap();
                }
                let packed = encoder.finish().unwrap();
                assert_eq!(inflate(&packed, bytes.len()).unwrap(), bytes);
                for likely in [None, Some(3)] {
                    assert!(level_of(&bytes, &packed, likely).is_some());
                }
            }
        }
    }

    #[test]
    fn only_the_whole_of_a_member_unpacks() {
        let bytes = b"what is packed ".repeat(400);
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(6));
        encoder.write_all(&bytes).unwrap();
        let packed = encoder.finish().unwrap();
        assert_eq!(inflate(&packed, bytes.len()).unwrap(), bytes);
        for length in [0, 1, bytes.len() - 1, bytes.len() + 1, 1 << 20] {
            assert_eq!(inflate(&packed, length), None, "{length}");
        }
        for length in 0..packed.len() {
            assert_eq!(inflate(&packed[..length], bytes.len()), None, "{length}");
        }
        let more = [packed.as_slice(), b"x"].concat();
        assert_eq!(inflate(&more, bytes.len()), None);
        assert_eq!(inflate(&[3, 0], 0).unwrap(), b"");
    }
}
