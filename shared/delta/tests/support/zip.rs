//! A small writer of zip files, for tests and fuzzing: members deflated by the compressor of our packages at
//! any level, or stored; sizes before or behind the data.

use flate2::write::{DeflateEncoder, GzEncoder};
use flate2::{Compression, Crc};
use std::io::Write as _;

/// How a member is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    /// As it is.
    Stored,
    /// Deflated at a level.
    Level(u32),
    /// Deflated, with the sizes behind the data.
    Later(u32),
    /// Deflated by nobody: as blocks of at most 1,000 bytes that are stored.
    Blocks,
}

/// Writes a zip file behind some other bytes, which do not count in its offsets.
pub(crate) fn zip(before: &[u8], members: &[(&str, &[u8], Packing)]) -> Vec<u8> {
    let mut out = before.to_vec();
    let mut directory = Vec::new();
    for (name, content, packing) in members {
        let offset = short(out.len() - before.len());
        let (method, flags, packed) = match packing {
            Packing::Stored => (0_u16, 0_u16, content.to_vec()),
            Packing::Level(level) => (8, 0, deflate(content, *level)),
            Packing::Later(level) => (8, 8, deflate(content, *level)),
            Packing::Blocks => (8, 0, blocks(content)),
        };
        let mut crc = Crc::new();
        crc.update(content);
        let sizes = [crc.sum(), short(packed.len()), short(content.len())];
        let sizes: Vec<u8> = sizes.into_iter().flat_map(u32::to_le_bytes).collect();
        let mut start = vec![20, 0];
        start.extend(
            [flags, method, 0x6000, 0x5d75]
                .into_iter()
                .flat_map(u16::to_le_bytes),
        );
        let names = u32::to_le_bytes(short(name.len()));
        out.extend(b"PK\x03\x04");
        out.extend(&start);
        out.extend(if flags == 0 {
            sizes.clone()
        } else {
            vec![0; 12]
        });
        out.extend(names);
        out.extend(name.as_bytes());
        out.extend(packed);
        if flags != 0 {
            out.extend(b"PK\x07\x08");
            out.extend(&sizes);
        }
        directory.extend(b"PK\x01\x02\x14\x03");
        directory.extend(&start);
        directory.extend(&sizes);
        directory.extend(names);
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let offset = short(out.len() - before.len());
    let count = u16::to_le_bytes(u16::try_from(members.len()).unwrap_or(u16::MAX));
    out.extend(&directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend(count);
    out.extend(count);
    out.extend(short(directory.len()).to_le_bytes());
    out.extend(offset.to_le_bytes());
    out.extend([0, 0]);
    out
}

fn short(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Writes a gzip file.
pub(crate) fn gzip(content: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
    let written = encoder.write_all(content);
    written.and_then(|()| encoder.finish()).unwrap_or_default()
}

fn deflate(content: &[u8], level: u32) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(level));
    let written = encoder.write_all(content);
    written.and_then(|()| encoder.finish()).unwrap_or_default()
}

fn blocks(content: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    for block in content.chunks(1_000) {
        let length = u16::try_from(block.len()).unwrap_or_default();
        packed.push(0);
        packed.extend(length.to_le_bytes());
        packed.extend((!length).to_le_bytes());
        packed.extend(block);
    }
    packed.extend([1, 0, 0, 0xff, 0xff]);
    packed
}
