//! Type annotations, read as far as they help to rebuild values and to name neutral ones.
//!
//! Reports lose the difference between list, tuple and set and between kinds of keys; annotations
//! often restore it. Not here: type checking.

/// An annotation: `dict[str, tuple[int, ...]]` is `dict` with two arguments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Hint {
    /// The last part of the name, lower case; empty where nothing is known.
    pub(crate) name: String,
    /// What stands in the brackets.
    pub(crate) arguments: Vec<Hint>,
    /// Whether `None` is allowed too.
    pub(crate) optional: bool,
}

/// Deepest nesting that is read.
const DEPTH_MAX: usize = 8;

impl Hint {
    /// Reads an annotation.
    pub(crate) fn read(text: &str) -> Self {
        Self::read_to(text, DEPTH_MAX)
    }

    fn read_to(text: &str, depth: usize) -> Self {
        let text = text.trim().trim_matches(['"', '\'']).trim();
        if depth == 0 || text.is_empty() {
            return Self::default();
        }
        if text == "..." {
            return Self {
                name: text.to_owned(),
                ..Self::default()
            };
        }
        let choices = split(text, '|');
        if choices.len() > 1 {
            let optional = choices.iter().any(|choice| choice.trim() == "None");
            let first = choices.iter().find(|choice| choice.trim() != "None");
            let mut hint =
                first.map_or_else(Self::default, |first| Self::read_to(first, depth - 1));
            hint.optional |= optional;
            return hint;
        }
        let (name, inner) = match text.split_once('[') {
            Some((name, rest)) => (name, rest.strip_suffix(']').unwrap_or(rest)),
            None => (text, ""),
        };
        let name = name.trim().rsplit('.').next().unwrap_or_default();
        let arguments: Vec<Self> = split(inner, ',')
            .into_iter()
            .filter(|part| !part.trim().is_empty())
            .map(|part| Self::read_to(part, depth - 1))
            .collect();
        if name == "Optional" {
            let mut hint = arguments.into_iter().next().unwrap_or_default();
            hint.optional = true;
            return hint;
        }
        Self {
            name: name.to_ascii_lowercase(),
            arguments,
            optional: name == "None" || name == "Any" || name == "object",
        }
    }

    /// The hint of the `index`-th member of a sequence.
    pub(crate) fn member(&self, index: usize) -> Self {
        let by_place =
            self.name == "tuple" && !self.arguments.iter().any(|hint| hint.name == "...");
        let place = if by_place { index } else { 0 };
        self.arguments.get(place).cloned().unwrap_or_default()
    }

    /// Whether it says a tuple.
    pub(crate) fn is_tuple(&self) -> bool {
        self.name == "tuple"
    }

    /// Whether it says a set.
    pub(crate) fn is_set(&self) -> bool {
        matches!(
            self.name.as_str(),
            "set" | "frozenset" | "abstractset" | "mutableset"
        )
    }

    /// The value of this type that changes nothing: 0, an empty text, an empty list.
    pub(crate) fn neutral(&self) -> Option<&'static str> {
        match self.name.as_str() {
            "int" => Some("0"),
            "float" => Some("0.0"),
            "str" => Some("\"\""),
            "bytes" => Some("b\"\""),
            "bool" => Some("False"),
            "list" | "sequence" | "iterable" | "mutablesequence" | "collection" => Some("[]"),
            "dict" | "mapping" | "mutablemapping" => Some("{}"),
            "tuple"
                if self.arguments.is_empty()
                    || self.arguments.len() > 1
                        && self.arguments.iter().any(|hint| hint.name == "...") =>
            {
                Some("()")
            }
            "set" | "abstractset" => Some("set()"),
            "frozenset" => Some("frozenset()"),
            _ if self.optional => Some("None"),
            _ => None,
        }
    }

    /// What `isinstance` can check of it: the text of the second argument.
    pub(crate) fn checkable(&self) -> Option<&'static str> {
        match self.name.as_str() {
            "int" => Some("int"),
            "float" => Some("(int, float)"),
            "str" => Some("str"),
            "bytes" => Some("bytes"),
            "bool" => Some("bool"),
            "list" => Some("list"),
            "dict" => Some("dict"),
            "tuple" => Some("tuple"),
            "set" => Some("set"),
            _ => None,
        }
    }

    /// Whether a literal, as source, can be a value of this type; unknown types take anything.
    pub(crate) fn takes(&self, literal: &str) -> bool {
        let first = literal.chars().next().unwrap_or_default();
        let is_number = first.is_ascii_digit() || first == '-';
        match self.name.as_str() {
            _ if literal == "None" => self.optional || self.name.is_empty(),
            "int" => is_number && !literal.contains('.'),
            "float" => is_number,
            "str" => first == '"' || first == '\'',
            "bool" => literal == "True" || literal == "False",
            "list" => first == '[',
            "dict" => first == '{',
            "tuple" => first == '(',
            _ => true,
        }
    }
}

/// Splits at `at` outside brackets.
fn split(text: &str, at: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0_usize, 0);
    for (index, next) in text.char_indices() {
        match next {
            '[' | '(' => depth += 1,
            ']' | ')' => depth = depth.saturating_sub(1),
            _ if next == at && depth == 0 => {
                parts.push(text.get(start..index).unwrap_or_default());
                start = index + next.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(text.get(start..).unwrap_or_default());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_are_read_with_their_arguments() {
        let hint = Hint::read("dict[int, tuple[str, ...]] | None");
        assert!(hint.optional);
        assert_eq!(hint.name, "dict");
        assert_eq!(hint.arguments[0].name, "int");
        assert!(hint.arguments[1].is_tuple());
        assert_eq!(hint.arguments[1].member(5).name, "str");
        assert_eq!(
            Hint::read("typing.Optional['list[int]']").neutral(),
            Some("[]")
        );
        assert_eq!(Hint::read("Entry").neutral(), None);
        assert_eq!(Hint::read("[").name, "");
    }
}
