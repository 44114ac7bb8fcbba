//! References in data: addresses, jump tables, and distances of 32 bits.

use super::layout::{Kind, Layout, Near, Region};
use super::refs::{Form, Reference, Search};

/// The positions of data that code takes the address of: where jump tables may begin.
pub(super) fn labels(references: &[Reference], layout: &Layout) -> Vec<u32> {
    let mut labels: Vec<u32> = references
        .iter()
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

/// Those of some labels where a jump table begins, as far as one can tell: the first number leads into code.
pub(super) fn tables(content: &[u8], layout: &Layout, labels: &[u32]) -> Vec<u32> {
    let mut near = Near::new(layout);
    let mut begins = |label: &&u32| {
        let rest = content.get(**label as usize..)?;
        let region = layout.region_at(**label)?;
        let is_aligned = region.address_of(**label).is_multiple_of(4);
        table_entry(rest, **label, **label, region, &mut near).filter(|_| is_aligned)
    };
    let tables = labels.iter().filter(|label| begins(label).is_some());
    let mut tables: Vec<u32> = tables.copied().collect();
    // A table has an entry.
    tables.dedup_by(|next, one| *next - *one < 4);
    tables
}

/// Finds addresses, and entries of jump tables that begin at some of `tables`.
pub(super) fn find(search: Search<'_, '_>, tables: &[u32]) {
    let Search {
        content,
        part: (from, until),
        region,
        near,
        found,
        along: _,
    } = search;
    let bytes = content.get(..until as usize).unwrap_or_default();
    let before = tables.partition_point(|table| *table <= from);
    let (before, mut tables) = tables.split_at_checked(before).unwrap_or((tables, &[]));
    let mut base = before.last().copied();
    // What the file aligns is what the address aligns.
    let skew = region.address.wrapping_sub(u64::from(region.start)) & 7;
    let skew = u32::try_from(skew).unwrap_or_default();
    let mut at = from + (from.wrapping_add(skew).wrapping_neg() & 3);
    let has_words = region.kind != Kind::Tables;
    while let Some(rest) = bytes.get(at as usize..).filter(|rest| rest.len() >= 4) {
        while let Some((first, after)) = tables.split_first().filter(|(first, _)| **first <= at) {
            base = Some(*first);
            tables = after;
        }
        let word = rest.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        let word = word.filter(|_| has_words && at.wrapping_add(skew).is_multiple_of(8));
        if let Some((_, target)) = word.and_then(|word| near.find(region.image, word)) {
            found.push(Reference::new(at, target, Form::Word));
            at += 8;
            continue;
        }
        if let Some(reference) = base
            .filter(|base| *base >= region.start)
            .and_then(|base| table_entry(rest, at, base, region, near))
        {
            found.push(reference);
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

/// Finds distances of 32 bits, from their own place or from one that the region names.
pub(super) fn find_offsets(search: Search<'_, '_>, layout: &Layout) {
    let Search {
        content,
        part: (from, until),
        region,
        near,
        found,
        along: _,
    } = search;
    let base = layout.region_at(region.base);
    let base = base.map(|owner| owner.address_of(region.base));
    let mut at = from + (region.start.wrapping_sub(from) & 3);
    let bytes = content.get(at as usize..until as usize).unwrap_or_default();
    for word in bytes.chunks_exact(4) {
        let (form, start) = if region.kind == Kind::Based {
            (Form::Offset, base)
        } else {
            (Form::Own, Some(region.address_of(at)))
        };
        let value = form.read(word).filter(|value| *value != 0);
        let target = start
            .zip(value)
            .and_then(|(start, value)| near.find(region.image, start.wrapping_add_signed(value)));
        if let Some((_, target)) = target {
            found.push(Reference {
                base: region.base,
                ..Reference::new(at, target, form)
            });
        }
        at += 4;
    }
}

#[cfg(test)]
mod tests {
    use super::super::refs::Finder;
    use super::*;

    #[test]
    fn entries_of_a_jump_table_are_found_in_any_part_by_where_it_begins() {
        let region = |start, kind| Region {
            start,
            length: 256,
            address: 0x1000 + u64::from(start),
            image: 0,
            kind,
            base: 0,
        };
        let regions = vec![region(0, Kind::X64), region(256, Kind::Tables)];
        let layout = Layout::new(regions).unwrap();
        let mut content = vec![0x90; 512];
        let mut put = |at: usize, value: i32| {
            content[at..at + 4].copy_from_slice(&value.to_le_bytes());
        };
        // A table at 300 leads to 44 and 60, and one at 308 to 8; a text begins at 400.
        for (at, value) in [(300, -256), (304, -240), (308, -300), (400, 0x2020_2020)] {
            put(at, value);
        }
        assert_eq!(tables(&content, &layout, &[300, 308, 400]), [300, 308]);
        let found = |part| {
            let mut found = Vec::new();
            let tables = [300, 308];
            Finder::new(&content, &layout, &tables).find(part, (0, 0), &mut found);
            let found = found.iter().map(|one| (one.at, one.base, one.target));
            found.collect::<Vec<_>>()
        };
        let all = [(300, 300, 44), (304, 300, 60), (308, 308, 8)];
        assert_eq!(found((0, 512)), all);
        assert_eq!(found((304, 512)), all[1..]);
        assert_eq!(found((301, 311)), all[1..2]);
    }
}
