//! Names of fields that were met: most documents have few, and each of them many times.

use crate::keys::Promise;

/// How many are remembered at most: a few times as many as most documents have.
const PLACES: usize = 512;

/// Longest one that is remembered, bytes.
const NAME_MAX: usize = 24;

/// What a name of a field says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Named {
    /// There is something in it that has to go.
    MustChange,
    /// That this stands under it.
    Promises(Promise),
    /// Nothing.
    Nothing,
}

#[derive(Clone, Copy)]
struct Known {
    name: [u8; NAME_MAX],
    length: usize,
    says: Named,
}

/// The names that were met, each in the one place where it can be.
#[derive(Default)]
pub(crate) struct Names(Vec<Option<Known>>);

impl Names {
    /// The place of a name: its length, its ends and its middle tell most names apart.
    #[inline]
    fn place(name: &str) -> usize {
        let bytes = name.as_bytes();
        let byte = |place: usize| bytes.get(place).copied().unwrap_or(0);
        let [length, ..] = bytes.len().to_le_bytes();
        let (middle, last) = (bytes.len() / 2, bytes.len().saturating_sub(1));
        let telling = u32::from_le_bytes([length, byte(0), byte(middle), byte(last)]);
        // Multiplying spreads them into the upper bits.
        telling.wrapping_mul(0x9e37_79b1) as usize >> 20 & (PLACES - 1)
    }

    #[inline]
    pub(crate) fn get(&self, name: &str) -> Option<Named> {
        let known = self.0.get(Self::place(name))?.as_ref()?;
        (known.name.get(..known.length)? == name.as_bytes()).then_some(known.says)
    }

    pub(crate) fn put(&mut self, name: &str, says: Named) {
        // A walk over one text meets none.
        if self.0.is_empty() {
            self.0.resize(PLACES, None);
        }
        let mut bytes = [0; NAME_MAX];
        let (Some(place), Some(to)) = (
            self.0.get_mut(Self::place(name)),
            bytes.get_mut(..name.len()),
        ) else {
            return;
        };
        to.copy_from_slice(name.as_bytes());
        *place = Some(Known {
            name: bytes,
            length: name.len(),
            says,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_known_by_all_of_it_and_says_what_it_said() {
        let mut names = Names::default();
        assert_eq!(names.get("filename"), None);
        names.put("filename", Named::Nothing);
        names.put("", Named::MustChange);
        let long = "n".repeat(NAME_MAX + 1);
        names.put(&long, Named::Nothing);
        assert_eq!(names.get("filename"), Some(Named::Nothing));
        assert_eq!(names.get(""), Some(Named::MustChange));
        assert_eq!(names.get(&long), None);
        // The same length, ends and middle.
        assert_eq!(Names::place("filename"), Names::place("fxxxnxxe"));
        assert_eq!(names.get("fxxxnxxe"), None);
        names.put("fxxxnxxe", Named::MustChange);
        assert_eq!(names.get("fxxxnxxe"), Some(Named::MustChange));
        assert_eq!(names.get("filename"), None);
    }
}
