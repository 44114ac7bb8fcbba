//! Which parts of a content are loaded where, and what they hold.
//!
//! A *position* is an offset into the whole content, so that one space holds all members of an archive;
//! positions at and past the end of the content stand for memory that no file fills (`.bss`). An
//! *address* is what the code of one image uses for a position of that image.
//!
//! The maker finds the layouts in ELF and PE headers; the delta carries them, so that a device parses no
//! executables. **Invariant: regions are sorted, do not overlap and stay below 2^32, in positions and,
//! within an image, in addresses.**

use super::coder::{Coder, Number};

/// Most regions of one layout.
pub(super) const REGIONS_MAX: u32 = 4096;

/// Where addresses of regions begin that are not loaded: such a region has an address that nothing names.
pub(super) const UNLOADED: u64 = 7 << 60;

/// What a region holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing that names an address.
    Plain,
    /// Instructions of x86-64.
    X64,
    /// Instructions of `AArch64`.
    A64,
    /// Addresses of 64 bits among other things.
    Words,
    /// Jump tables: distances of 32 bits from the start of their table.
    Tables,
    /// Both of these.
    Data,
    /// Distances of 32 bits from their own place.
    Relative,
    /// Distances of 32 bits from the position `base`.
    Based,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Plain,
        Self::X64,
        Self::A64,
        Self::Words,
        Self::Tables,
        Self::Data,
        Self::Relative,
        Self::Based,
    ];

    pub(super) fn is_code(self) -> bool {
        matches!(self, Self::X64 | Self::A64)
    }

    fn number(self) -> u32 {
        let at = Self::ALL.iter().position(|kind| *kind == self);
        at.and_then(|at| u32::try_from(at).ok()).unwrap_or_default()
    }
}

/// A part of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Region {
    /// Its first position.
    pub(super) start: u32,
    /// Bytes.
    pub(super) length: u32,
    /// The address of its first byte.
    pub(super) address: u64,
    /// Which image it belongs to.
    pub(super) image: u32,
    /// What it holds.
    pub(super) kind: Kind,
    /// The position that [`Kind::Based`] counts from.
    pub(super) base: u32,
}

impl Region {
    /// The position after its last.
    pub(super) fn end(&self) -> u32 {
        self.start.saturating_add(self.length)
    }

    /// The address of a position; wraps, so that it can be asked for positions beside the region.
    pub(super) fn address_of(&self, position: u32) -> u64 {
        self.address
            .wrapping_add(u64::from(position))
            .wrapping_sub(u64::from(self.start))
    }
}

/// All regions of a content.
#[derive(Debug, Clone, Default)]
pub(super) struct Layout {
    regions: Vec<Region>,
    /// Indexes of `regions`, sorted by image and address.
    by_address: Vec<(u32, u64, usize)>,
    /// The lowest address of what is loaded, and the first one past it: most numbers lie beside them.
    bounds: (u64, u64),
}

impl Layout {
    /// Takes regions that keep the invariant of this module; the reason if they do not.
    pub(super) fn new(regions: Vec<Region>) -> Result<Self, &'static str> {
        let mut end = 0_u64;
        for region in &regions {
            if u64::from(region.start) < end {
                return Err("its regions overlap");
            }
            end = u64::from(region.start) + u64::from(region.length);
            if end > u64::from(u32::MAX)
                || region
                    .address
                    .checked_add(u64::from(region.length))
                    .is_none()
            {
                return Err("a region has no place");
            }
        }
        let mut by_address: Vec<_> = regions
            .iter()
            .enumerate()
            .map(|(at, region)| (region.image, region.address, at))
            .collect();
        by_address.sort_unstable();
        let loaded = regions.iter().filter(|region| region.address < UNLOADED);
        let starts = loaded.clone().map(|region| region.address);
        let ends = loaded.map(|region| region.address.saturating_add(u64::from(region.length)));
        let bounds = (
            starts.min().unwrap_or_default(),
            ends.max().unwrap_or_default(),
        );
        Ok(Self {
            regions,
            by_address,
            bounds,
        })
    }

    pub(super) fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// The region of a position.
    pub(super) fn region_at(&self, position: u32) -> Option<&Region> {
        let after = self
            .regions
            .partition_point(|region| region.start <= position);
        self.regions
            .get(after.checked_sub(1)?)
            .filter(|region| position < region.end())
    }

    /// The region of a position, or else the next one.
    pub(super) fn region_from(&self, position: u32) -> Option<&Region> {
        let before = self
            .regions
            .partition_point(|region| region.end() <= position);
        self.regions.get(before)
    }

    /// Whether an address is of nothing that is loaded, as most numbers are.
    #[inline]
    fn is_beside(&self, address: u64) -> bool {
        let (start, end) = self.bounds;
        address < UNLOADED && (address < start || address >= end)
    }

    /// The region and the position of an address of an image.
    pub(super) fn find(&self, image: u32, address: u64) -> Option<(&Region, u32)> {
        if self.is_beside(address) {
            return None;
        }
        let after = self
            .by_address
            .partition_point(|(at, start, _)| (*at, *start) <= (image, address));
        let (owner, start, at) = *self.by_address.get(after.checked_sub(1)?)?;
        let region = self.regions.get(at)?;
        let offset = u32::try_from(address.checked_sub(start)?).ok()?;
        (owner == image && offset < region.length).then(|| (region, region.start + offset))
    }

    /// Codes a layout; a reader gives an empty one.
    pub(super) fn code(&self, coder: &mut impl Coder) -> Result<Self, &'static str> {
        let mut models: [Number; 7] = Default::default();
        let [count, gap, length, low, high, kind, base] = &mut models;
        let stored = u32::try_from(self.regions.len()).unwrap_or(u32::MAX);
        let stored = count.code(coder, stored);
        if stored > REGIONS_MAX {
            return Err("it names too many regions");
        }
        let mut regions = Vec::new();
        let (mut end, mut image) = (0_u32, 0_u32);
        for at in 0..stored as usize {
            let region = self.regions.get(at).copied().unwrap_or(Region {
                start: end,
                length: 0,
                address: 0,
                image,
                kind: Kind::Plain,
                base: 0,
            });
            let start = end.checked_add(gap.code(coder, region.start.wrapping_sub(end)));
            let start = start.ok_or("a region has no place")?;
            let bytes = length.code(coder, region.length);
            let address = (
                high.code(coder, half(region.address >> 32)),
                low.code(coder, half(region.address)),
            );
            let next = kind.code(
                coder,
                region.kind.number() << 1 | u32::from(region.image != image),
            );
            image += next & 1;
            let found = Kind::ALL.get((next >> 1) as usize);
            let found = *found.ok_or("a region is of an unknown kind")?;
            let mut from = 0;
            if found == Kind::Based {
                from = base.code(coder, region.base);
            }
            end = start.checked_add(bytes).ok_or("a region has no place")?;
            if coder.is_exhausted() {
                return Err("it is cut off");
            }
            regions.push(Region {
                start,
                length: bytes,
                address: u64::from(address.0) << 32 | u64::from(address.1),
                image,
                kind: found,
                base: from,
            });
        }
        Self::new(regions)
    }
}

/// Regions that were found lately: neighbours lie in the same region, mostly.
#[derive(Debug)]
pub(super) struct Near<'l> {
    layout: &'l Layout,
    slots: [Option<&'l Region>; NEAR],
}

const NEAR: usize = 64;
/// Bytes that share a slot, as a power of two.
const NEAR_LOG: u32 = 16;

impl<'l> Near<'l> {
    pub(super) fn new(layout: &'l Layout) -> Self {
        let slots = [None; NEAR];
        Self { layout, slots }
    }

    /// The same as [`Layout::region_at`].
    #[inline]
    pub(super) fn region_at(&mut self, position: u32) -> Option<&'l Region> {
        let slot = self.slots.get_mut((position >> NEAR_LOG) as usize % NEAR)?;
        let held = slot.filter(|region| position.wrapping_sub(region.start) < region.length);
        if held.is_none() {
            *slot = Some(self.layout.region_at(position)?);
            return *slot;
        }
        held
    }

    /// The same as [`Layout::find`].
    #[inline]
    pub(super) fn find(&mut self, image: u32, address: u64) -> Option<(&'l Region, u32)> {
        if self.layout.is_beside(address) {
            return None;
        }
        let at = usize::try_from(address >> NEAR_LOG & (NEAR as u64 - 1));
        let slot = self.slots.get_mut(at.unwrap_or_default())?;
        if let Some(region) = *slot
            && region.image == image
            && let Ok(offset) = u32::try_from(address.wrapping_sub(region.address))
            && offset < region.length
        {
            return Some((region, region.start + offset));
        }
        let found = self.layout.find(image, address)?;
        *slot = Some(found.0);
        Some(found)
    }
}

/// The low half of a number.
fn half(value: u64) -> u32 {
    u32::try_from(value & 0xffff_ffff).unwrap_or_default()
}
