//! References in data: addresses, jump tables, and distances of 32 bits.

use super::layout::{Kind, Layout, Near, Region};
use super::refs::{Form, Reference};

/// Finds the references of a region of data; `labels` are of the whole content.
pub(super) fn scan(
    bytes: &[u8],
    region: &Region,
    layout: &Layout,
    labels: &[u32],
    references: &mut Vec<Reference>,
) {
    match region.kind {
        Kind::Plain | Kind::X64 | Kind::A64 => {}
        Kind::Words => scan_data(bytes, region, layout, None, references),
        Kind::Tables | Kind::Data => scan_data(bytes, region, layout, Some(labels), references),
        Kind::Relative | Kind::Based => scan_offsets(bytes, region, layout, references),
    }
}

/// The positions of data that code takes the address of: where jump tables begin.
pub(super) fn labels<'r>(
    references: impl Iterator<Item = &'r Reference>,
    layout: &Layout,
) -> Vec<u32> {
    let mut labels: Vec<u32> = references
        .filter(|one| matches!(one.form, Form::Lea | Form::Arm(_)))
        .map(|one| one.target)
        .collect();
    labels.sort_unstable();
    labels.dedup();
    labels.retain(|label| {
        layout
            .region_at(*label)
            .is_some_and(|region| matches!(region.kind, Kind::Tables | Kind::Data))
    });
    labels
}

fn scan_data(
    bytes: &[u8],
    region: &Region,
    layout: &Layout,
    labels: Option<&[u32]>,
    references: &mut Vec<Reference>,
) {
    // What the file aligns is what the address aligns.
    let skew = u32::try_from(region.address.wrapping_neg() & 7).unwrap_or_default();
    let mut at = skew;
    let mut labels = labels.unwrap_or_default();
    let mut base = None;
    let mut near = Near::new(layout);
    let has_words = region.kind != Kind::Tables;
    while let Some(rest) = bytes.get(at as usize..).filter(|rest| rest.len() >= 4) {
        let position = region.start + at;
        while let Some((first, after)) = labels
            .split_first()
            .filter(|(first, _)| **first <= position)
        {
            base = Some(*first);
            labels = after;
        }
        let word = rest.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        let word = word.filter(|_| has_words && (at ^ skew).is_multiple_of(8));
        if let Some((_, target)) = word.and_then(|word| near.find(region.image, word)) {
            references.push(Reference::new(position, target, Form::Word));
            at += 8;
            continue;
        }
        if let Some(reference) = base
            .filter(|base| *base >= region.start)
            .and_then(|base| table_entry(rest, position, base, region, &mut near))
        {
            references.push(reference);
        }
        at += 4;
    }
}

/// An entry of a jump table, if it leads into code.
fn table_entry(
    rest: &[u8],
    at: u32,
    base: u32,
    region: &Region,
    near: &mut Near<'_>,
) -> Option<Reference> {
    let distance = Form::Offset.read(rest)?;
    let address = region.address_of(base).wrapping_add_signed(distance);
    let (owner, target) = near.find(region.image, address)?;
    owner.kind.is_code().then_some(Reference {
        base,
        ..Reference::new(at, target, Form::Offset)
    })
}

fn scan_offsets(bytes: &[u8], region: &Region, layout: &Layout, references: &mut Vec<Reference>) {
    let base = layout.region_at(region.base);
    let base = base.map(|owner| owner.address_of(region.base));
    let mut at = region.start;
    let mut near = Near::new(layout);
    for word in bytes.chunks_exact(4) {
        let (form, from) = if region.kind == Kind::Based {
            (Form::Offset, base)
        } else {
            (Form::Own, Some(region.address_of(at)))
        };
        let value = form.read(word).filter(|value| *value != 0);
        let target = from
            .zip(value)
            .and_then(|(from, value)| near.find(region.image, from.wrapping_add_signed(value)));
        if let Some((_, target)) = target {
            references.push(Reference {
                base: region.base,
                ..Reference::new(at, target, form)
            });
        }
        at += 4;
    }
}
