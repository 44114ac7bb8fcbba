//! The layout of a content: the executables in it, as their headers describe them (System V ABI, chapter
//! 4; Microsoft PE/COFF specification).
//!
//! Only the maker of a delta reads headers. What does not parse is left out: its references are not
//! predicted, and nothing else follows.

use super::layout::{Kind, Layout, REGIONS_MAX, Region, UNLOADED};

const TAR_BLOCK: usize = 512;

/// A part of an image before it has a place among the others.
struct Part {
    name: Vec<u8>,
    /// Offset in the image; none for memory that no file fills.
    offset: Option<u64>,
    length: u64,
    address: u64,
    kind: Kind,
}

/// A content and where members begin in it, if any are known.
pub(super) type Content<'a> = (&'a [u8], &'a [u32]);

/// Finds the layouts of two contents. Memory that no file fills is matched by its order.
pub(super) fn layouts(
    (old, old_starts): Content<'_>,
    (new, new_starts): Content<'_>,
) -> (Layout, Layout) {
    let (old_images, new_images) = (images(old, old_starts), images(new, new_starts));
    let blank = |images: &[(usize, Vec<Part>)]| {
        let parts = images.iter().flat_map(|(_, parts)| parts);
        parts.filter(|part| part.offset.is_none()).count()
    };
    let pairs = blank(&old_images).min(blank(&new_images));
    (
        place(old, &old_images, pairs),
        place(new, &new_images, pairs),
    )
}

fn place(content: &[u8], images: &[(usize, Vec<Part>)], mut blanks: usize) -> Layout {
    let mut regions = Vec::new();
    let mut virtual_end = content.len() as u64;
    for (image, (start, parts)) in images.iter().enumerate() {
        let based_on = |name: &[u8]| {
            let part = parts.iter().find(|part| part.name == name);
            part.and_then(|part| part.offset)
                .and_then(|offset| u32::try_from(offset.saturating_add(*start as u64)).ok())
        };
        for part in parts {
            let position = match part.offset {
                Some(offset) => offset.saturating_add(*start as u64),
                None if blanks == 0 => continue,
                None => {
                    blanks -= 1;
                    let start = virtual_end;
                    virtual_end = virtual_end.saturating_add(part.length);
                    start
                }
            };
            let end = position.saturating_add(part.length);
            let is_inside = part.offset.is_none() || end <= content.len() as u64;
            let base = match part.name.as_slice() {
                b".gopclntab" => based_on(b".text"),
                b".typelink" => based_on(b".rodata"),
                b".pdata" | b"headers" => based_on(b"headers"),
                name => based_on(name),
            };
            if let (Ok(start), Ok(length), Ok(image), true) = (
                u32::try_from(position),
                u32::try_from(part.length),
                u32::try_from(image),
                is_inside && part.length > 0,
            ) {
                regions.push(Region {
                    start,
                    length,
                    address: part.address,
                    image,
                    kind: part.kind,
                    base: base.unwrap_or_default(),
                });
            }
        }
    }
    regions.sort_by_key(|region| region.start);
    let mut end = 0;
    regions.retain(|region| {
        let free = region.start >= end;
        if free {
            end = region.end();
        }
        free
    });
    regions.truncate(REGIONS_MAX as usize);
    Layout::new(regions).unwrap_or_default()
}

/// The executables in a content: itself, its members, or members of a tar archive.
fn images(content: &[u8], starts: &[u32]) -> Vec<(usize, Vec<Part>)> {
    let mut found = std::collections::BTreeMap::new();
    for start in [0]
        .into_iter()
        .chain(starts.iter().map(|start| *start as usize))
    {
        let is_tar = content.get(start + 257..start + 262) == Some(b"ustar".as_slice());
        let last = if is_tar { content.len() } else { start + 1 };
        for start in (start..last).step_by(TAR_BLOCK) {
            let bytes = content.get(start..).unwrap_or_default();
            if let Some(parts) = elf(bytes).or_else(|| pe(bytes)) {
                found.insert(start, parts);
            }
        }
    }
    found.into_iter().collect()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u16::from_le_bytes(*bytes))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u64::from_le_bytes(*bytes))
}

/// The name of a section from a table of names.
fn name_at(bytes: &[u8], at: usize) -> Vec<u8> {
    let name = bytes.get(at..).unwrap_or_default().iter();
    name.take(64)
        .take_while(|byte| **byte != 0)
        .copied()
        .collect()
}

/// The sections of a little-endian ELF file of 64 bits.
fn elf(bytes: &[u8]) -> Option<Vec<Part>> {
    if bytes.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let code = match u16_at(bytes, 18)? {
        62 => Kind::X64,
        183 => Kind::A64,
        _ => return None,
    };
    let table = usize::try_from(u64_at(bytes, 40)?).ok()?;
    let size = usize::from(u16_at(bytes, 58)?);
    let count = usize::from(u16_at(bytes, 60)?);
    let names = usize::from(u16_at(bytes, 62)?);
    let header = |at: usize| bytes.get(table.checked_add(at.checked_mul(size)?)?..);
    let names = usize::try_from(u64_at(header(names)?, 24)?).ok()?;
    let mut parts = Vec::new();
    for at in 0..count {
        let head = header(at)?;
        let name = names.checked_add(u32_at(head, 0)? as usize)?;
        let name = name_at(bytes, name);
        let (kind, flags) = (u32_at(head, 4)?, u64_at(head, 8)?);
        let (address, offset) = (u64_at(head, 16)?, u64_at(head, 24)?);
        let length = u64_at(head, 32)?;
        let (is_loaded, is_code) = (flags & 2 != 0, flags & 4 != 0);
        let is_thread_local = flags & 0x400 != 0;
        if kind == 0 || is_thread_local && kind == 8 || kind == 8 && !is_loaded {
            continue;
        }
        parts.push(Part {
            kind: if is_code {
                code
            } else {
                elf_kind(&name, kind, flags)
            },
            name,
            offset: (kind != 8).then_some(offset),
            length,
            // What is not loaded has no address; it gets one that nothing names.
            address: if is_loaded {
                address
            } else {
                offset | UNLOADED
            },
        });
    }
    let is_go = parts.iter().any(|part| part.name == b".gopclntab");
    for part in parts
        .iter_mut()
        .filter(|part| is_go && part.kind == Kind::Tables)
    {
        part.kind = Kind::Words;
    }
    Some(parts)
}

fn elf_kind(name: &[u8], kind: u32, flags: u64) -> Kind {
    match (name, kind) {
        (b".eh_frame", _) => Kind::Relative,
        (b".eh_frame_hdr" | b".gopclntab" | b".typelink", _) => Kind::Based,
        (b".rodata", _) => Kind::Tables,
        // Symbols, relocations, the dynamic section, arrays of functions.
        (_, 2 | 4 | 6 | 11 | 14 | 15 | 16) => Kind::Words,
        (_, 1) if flags & 3 == 3 => Kind::Words,
        _ => Kind::Plain,
    }
}

/// The sections of a PE file of 64 bits.
fn pe(bytes: &[u8]) -> Option<Vec<Part>> {
    if bytes.get(..2)? != b"MZ" {
        return None;
    }
    let head = usize::try_from(u32_at(bytes, 60)?).ok()?;
    let head = bytes.get(head..)?;
    if head.get(..4)? != b"PE\0\0" || u16_at(head, 24)? != 0x20b {
        return None;
    }
    let code = match u16_at(head, 4)? {
        0x8664 => Kind::X64,
        0xaa64 => Kind::A64,
        _ => return None,
    };
    let sections = head.get(24 + usize::from(u16_at(head, 20)?)..)?;
    let base = u64_at(head, 48)?;
    let mut parts = vec![Part {
        name: b"headers".to_vec(),
        offset: Some(0),
        length: u64::from(u32_at(head, 84)?),
        address: base,
        kind: Kind::Plain,
    }];
    for at in 0..usize::from(u16_at(head, 6)?) {
        let section = sections.get(at * 40..)?;
        let name = name_at(section.get(..8)?, 0);
        let (memory, file) = (u32_at(section, 8)?, u32_at(section, 16)?);
        let address = base.checked_add(u64::from(u32_at(section, 12)?))?;
        let flags = u32_at(section, 36)?;
        let kind = match name.as_slice() {
            _ if flags & 0x2000_0000 != 0 => code,
            b".pdata" => Kind::Based,
            b".rdata" | b".data" => Kind::Data,
            _ => Kind::Plain,
        };
        let length = u64::from(memory.min(file));
        parts.push(Part {
            name,
            offset: Some(u64::from(u32_at(section, 20)?)),
            length,
            address,
            kind,
        });
        if memory > file {
            parts.push(Part {
                name: Vec::new(),
                offset: None,
                length: u64::from(memory - file),
                address: address.checked_add(length)?,
                kind: Kind::Plain,
            });
        }
    }
    Some(parts)
}
