//! What generators make: a text in which `⟦…⟧` marks what must go.

/// Where something that was made can stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fits {
    /// In any sentence, quotation, query or body.
    Anywhere,
    /// It is a whole text of its own.
    Alone,
    /// It is the value of the field of that name.
    Field(&'static str),
}

/// One thing that was made.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    /// The rule that it belongs to; for a look-alike, what it is.
    pub(crate) kind: &'static str,
    /// The text, with marks.
    pub(crate) text: String,
    /// Where it can stand.
    pub(crate) fits: Fits,
}

impl Made {
    /// A value that can stand anywhere; without marks all of it must go.
    pub(crate) fn free(kind: &'static str, text: String) -> Self {
        let text = if text.contains('⟦') {
            text
        } else {
            format!("⟦{text}⟧")
        };
        Self {
            kind,
            text,
            fits: Fits::Anywhere,
        }
    }

    /// A text of its own, with marks.
    pub(crate) fn alone(kind: &'static str, text: String) -> Self {
        Self {
            kind,
            text,
            fits: Fits::Alone,
        }
    }

    /// The value of a field, all of which must go.
    pub(crate) fn field(kind: &'static str, name: &'static str, value: &str) -> Self {
        Self {
            kind,
            text: format!("⟦{value}⟧"),
            fits: Fits::Field(name),
        }
    }

    /// Something that must stay, inside other text.
    pub(crate) fn harmless(kind: &'static str, text: String) -> Self {
        Self {
            kind,
            text,
            fits: Fits::Anywhere,
        }
    }
}

/// A text in groups of these sizes; what is left over is the last group.
pub(crate) fn in_groups(text: &str, sizes: &[usize], separator: &str) -> String {
    let mut groups = Vec::new();
    let mut rest = text;
    for size in sizes {
        if rest.is_empty() {
            break;
        }
        let (group, tail) = rest.split_at((*size).min(rest.len()));
        groups.push(group);
        rest = tail;
    }
    if !rest.is_empty() {
        groups.push(rest);
    }
    groups.join(separator)
}

/// The plain text, and the byte ranges that must go.
pub(crate) fn unmarked(text: &str) -> (String, Vec<(usize, usize)>) {
    let mut plain = String::with_capacity(text.len());
    let mut spans = Vec::new();
    let mut start = 0;
    for character in text.chars() {
        match character {
            '⟦' => start = plain.len(),
            '⟧' => spans.push((start, plain.len())),
            other => plain.push(other),
        }
    }
    (plain, spans)
}
