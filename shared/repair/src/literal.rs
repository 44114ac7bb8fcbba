//! Python literals: read strictly from a `repr`, written anew.
//!
//! This is the gate between the text of an event and generated code. What it does not understand to
//! the last character is refused; what it writes is made from parsed values, never copied.
//! Not here: any evaluation of names, operators or calls. The one call form that is read,
//! `Name(field=literal, …)`, is only a value here; [`crate::values`] decides whether such a class exists.

mod read;

pub(crate) use read::NotLiteral;

/// Most digits of a number; Python itself refuses to read more than 4,300.
const DIGITS_MAX: usize = 400;

/// A Python value that needs no names to write down, except for the class of a [`Literal::Made`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Literal {
    /// `None`.
    None,
    /// `True`, `False`.
    Bool(bool),
    /// A whole number, as digits with an optional minus.
    Int(String),
    /// A finite float, in Python's notation.
    Float(String),
    /// `str`.
    Str(String),
    /// `bytes`.
    Bytes(Vec<u8>),
    /// `tuple`.
    Tuple(Vec<Literal>),
    /// `list`.
    List(Vec<Literal>),
    /// `set`.
    Set(Vec<Literal>),
    /// `dict`, in order.
    Dict(Vec<(Literal, Literal)>),
    /// `Name(field=value, …)`: how a data class prints.
    Made(String, Vec<(String, Literal)>),
}

impl Literal {
    /// Reads the whole text as one literal.
    pub(crate) fn parse(text: &str) -> Result<Self, NotLiteral> {
        read::whole(text)
    }

    /// A whole number from text, if it is one.
    pub(crate) fn int(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let fits = !digits.is_empty()
            && digits.len() <= DIGITS_MAX
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && (digits == "0" || !digits.starts_with('0'));
        fits.then(|| Self::Int(text.to_owned()))
    }

    /// The literal as Python source: one line of printable ASCII.
    pub(crate) fn write(&self) -> String {
        match self {
            Self::None => "None".to_owned(),
            Self::Bool(true) => "True".to_owned(),
            Self::Bool(false) => "False".to_owned(),
            Self::Int(text) | Self::Float(text) => text.clone(),
            Self::Str(text) => quoted(text),
            Self::Bytes(bytes) => quoted_bytes(bytes),
            Self::Tuple(items) => match items.as_slice() {
                [only] => format!("({},)", only.write()),
                items => format!("({})", joined(items)),
            },
            Self::List(items) => format!("[{}]", joined(items)),
            Self::Set(items) if items.is_empty() => "set()".to_owned(),
            Self::Set(items) => format!("{{{}}}", joined(items)),
            Self::Dict(pairs) => {
                let pairs: Vec<String> = pairs
                    .iter()
                    .map(|(key, value)| format!("{}: {}", key.write(), value.write()))
                    .collect();
                format!("{{{}}}", pairs.join(", "))
            }
            Self::Made(name, fields) => {
                let fields: Vec<String> = fields
                    .iter()
                    .map(|(field, value)| format!("{field}={}", value.write()))
                    .collect();
                format!("{name}({})", fields.join(", "))
            }
        }
    }

    /// The literal as Python source, broken into lines where it does not fit beside `lead` characters
    /// on a line of `width`; `indent` is the indentation of the line it begins on.
    pub(crate) fn write_lines(&self, indent: usize, lead: usize, width: usize) -> String {
        let line = self.write();
        if indent + lead + line.len() < width {
            return line;
        }
        let inner = indent + 4;
        let item = |item: &Self, lead: usize| item.write_lines(inner, lead, width);
        let (open, close, items): (&str, &str, Vec<String>) = match self {
            Self::None
            | Self::Bool(_)
            | Self::Int(_)
            | Self::Float(_)
            | Self::Str(_)
            | Self::Bytes(_) => return line,
            Self::Tuple(items) => ("(", ")", items.iter().map(|next| item(next, 1)).collect()),
            Self::List(items) => ("[", "]", items.iter().map(|next| item(next, 1)).collect()),
            Self::Set(items) => ("{", "}", items.iter().map(|next| item(next, 1)).collect()),
            Self::Dict(pairs) => {
                let pairs = pairs.iter().map(|(key, value)| {
                    let key = key.write();
                    let value = item(value, key.len() + 3);
                    format!("{key}: {value}")
                });
                ("{", "}", pairs.collect())
            }
            Self::Made(name, fields) => {
                let fields = fields
                    .iter()
                    .map(|(field, value)| format!("{field}={}", item(value, field.len() + 2)));
                return broken(&format!("{name}("), ")", fields.collect(), indent);
            }
        };
        broken(open, close, items, indent)
    }

    /// Every class that is needed to write it, with the fields it is given.
    pub(crate) fn classes<'a>(&'a self, found: &mut Vec<(&'a str, Vec<&'a str>)>) {
        match self {
            Self::None
            | Self::Bool(_)
            | Self::Int(_)
            | Self::Float(_)
            | Self::Str(_)
            | Self::Bytes(_) => {}
            Self::Tuple(items) | Self::List(items) | Self::Set(items) => {
                for item in items {
                    item.classes(found);
                }
            }
            Self::Dict(pairs) => {
                for (key, value) in pairs {
                    key.classes(found);
                    value.classes(found);
                }
            }
            Self::Made(name, fields) => {
                found.push((
                    name,
                    fields.iter().map(|(field, _)| field.as_str()).collect(),
                ));
                for (_, value) in fields {
                    value.classes(found);
                }
            }
        }
    }

    /// Whether it can be a key of a `dict` or a member of a `set`.
    fn is_hashable(&self) -> bool {
        match self {
            Self::None
            | Self::Bool(_)
            | Self::Int(_)
            | Self::Float(_)
            | Self::Str(_)
            | Self::Bytes(_) => true,
            Self::Tuple(items) => items.iter().all(Self::is_hashable),
            Self::List(_) | Self::Set(_) | Self::Dict(_) | Self::Made(..) => false,
        }
    }
}

/// Items between brackets, one a line.
fn broken(open: &str, close: &str, items: Vec<String>, indent: usize) -> String {
    if items.is_empty() {
        return format!("{open}{close}");
    }
    let inner = " ".repeat(indent + 4);
    let lines: Vec<String> = items
        .into_iter()
        .map(|item| format!("{inner}{item},\n"))
        .collect();
    format!("{open}\n{}{}{close}", lines.concat(), " ".repeat(indent))
}

fn joined(items: &[Literal]) -> String {
    let items: Vec<String> = items.iter().map(Literal::write).collect();
    items.join(", ")
}

/// `text` as a Python string in double quotes, printable ASCII only.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            ' '..='~' => out.push(character),
            _ => {
                let code = u32::from(character);
                let escape = match code {
                    0..=0xff => format!("\\x{code:02x}"),
                    0x100..=0xffff => format!("\\u{code:04x}"),
                    _ => format!("\\U{code:08x}"),
                };
                out.push_str(&escape);
            }
        }
    }
    out.push('"');
    out
}

fn quoted_bytes(bytes: &[u8]) -> String {
    let mut out = String::from("b\"");
    for byte in bytes {
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b' '..=b'~' => out.push(char::from(*byte)),
            _ => out.extend(format!("\\x{byte:02x}").chars()),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_repr_prints_is_read_and_written_anew() {
        for (repr, written) in [
            ("None", "None"),
            ("-12", "-12"),
            ("1e-07", "1e-07"),
            ("\"it's\"", "\"it's\""),
            ("'a\\n\\x00\\u20ac'", "\"a\\n\\x00\\u20ac\""),
            ("b'\\xff\"'", "b\"\\xff\\\"\""),
            ("(1,)", "(1,)"),
            ("()", "()"),
            ("[1, (2, 'x'), {}]", "[1, (2, \"x\"), {}]"),
            ("{'a': [1.5], 2: None}", "{\"a\": [1.5], 2: None}"),
            ("{1, 2}", "{1, 2}"),
            ("set()", "set()"),
            ("Point(x=1, y=(2, 3))", "Point(x=1, y=(2, 3))"),
        ] {
            let read = Literal::parse(repr).map(|literal| literal.write());
            assert_eq!(read.unwrap_or_default(), written, "{repr}");
        }
    }

    #[test]
    fn what_is_not_a_literal_is_refused() {
        for text in [
            "<object object at 0x7f>",
            "[Filtered]",
            "'cut off...",
            "[1, 2, ...",
            "[1, 2]...",
            "inf",
            "nan",
            "1_000",
            "0x10",
            "007",
            "1+2",
            "--1",
            "1e999",
            "(1)",
            "{[]: 1}",
            "{[1]}",
            "__import__('os')",
            "print()",
            "Point(1, 2)",
            "Point(x=1, x=2)",
            "Point(x=exit())",
            "a.B(x=1)",
            "'\\N{BULLET}'",
            "'\\ud800'",
            "f'{1}'",
            "'a' 'b'",
            "1\n2",
            "",
            "PosixPath('a')",
        ] {
            assert!(Literal::parse(text).is_err(), "{text}");
        }
        let deep = "[".repeat(5_000);
        assert!(Literal::parse(&deep).is_err());
        assert!(Literal::parse(&"9".repeat(5_000)).is_err());
    }

    fn literals() -> impl Strategy<Value = Literal> {
        let leaf = prop_oneof![
            Just(Literal::None),
            any::<bool>().prop_map(Literal::Bool),
            any::<i64>().prop_map(|number| Literal::Int(number.to_string())),
            any::<String>().prop_map(Literal::Str),
            any::<Vec<u8>>().prop_map(Literal::Bytes),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Literal::List),
                prop::collection::vec(inner.clone(), 0..5).prop_map(Literal::Tuple),
                prop::collection::vec((any::<String>().prop_map(Literal::Str), inner), 0..4)
                    .prop_map(Literal::Dict),
            ]
        })
    }

    #[test]
    fn long_values_are_broken_into_lines_that_mean_the_same() {
        let text = "[P(name='aaaaaaaaaaaaaaaaaaaa', tags={'k': (1, 2)}), P(name='b', tags={})]";
        let lines = Literal::parse(text).unwrap().write_lines(0, 0, 40);
        assert!(lines.lines().all(|line| line.len() <= 40), "{lines}");
        let compact: String = lines.split_whitespace().collect();
        let expected =
            "[P(name=\"aaaaaaaaaaaaaaaaaaaa\",tags={\"k\":(1,2)},),P(name=\"b\",tags={}),]";
        assert_eq!(compact, expected);
    }

    proptest! {
        #[test]
        fn writing_is_one_ascii_line_and_reads_back(literal in literals()) {
            let text = literal.write();
            prop_assert!(text.chars().all(|next| (' '..='~').contains(&next)));
            prop_assert_eq!(Literal::parse(&text), Ok(literal));
        }

        #[test]
        fn no_text_breaks_the_reader(text in "[\\[\\](){}'\"\\\\,:=bnxuU0-9a-eA-F. -]{0,60}") {
            if let Ok(literal) = Literal::parse(&text) {
                prop_assert_eq!(Literal::parse(&literal.write()), Ok(literal));
            }
        }
    }
}
