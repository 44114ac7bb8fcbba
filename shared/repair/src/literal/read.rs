//! The reader of literals.

use super::Literal;

/// Longest text that is read, bytes.
const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Deepest nesting that is read.
const DEPTH_MAX: usize = 16;
/// Most values in one text.
const VALUES_MAX: usize = 4_000;

/// Why a text is not a literal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NotLiteral(&'static str);

/// Reads the whole text as one literal.
pub(super) fn whole(text: &str) -> Result<Literal, NotLiteral> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(NotLiteral("too long"));
    }
    let mut reader = Reader {
        rest: text,
        values: 0,
    };
    let literal = reader.value(0)?;
    if reader.rest.is_empty() {
        Ok(literal)
    } else {
        Err(NotLiteral("cut off, or not a plain value"))
    }
}

struct Reader<'a> {
    rest: &'a str,
    values: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let mut characters = self.rest.chars();
        let next = characters.next();
        self.rest = characters.as_str();
        next
    }

    /// Takes `token` if the text goes on with it.
    fn take(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn take_while(&mut self, fits: impl Fn(char) -> bool) -> String {
        let taken: String = self.rest.chars().take_while(|next| fits(*next)).collect();
        self.rest = self.rest.get(taken.len()..).unwrap_or_default();
        taken
    }

    fn spaces(&mut self) {
        self.take_while(|next| next == ' ');
    }

    fn value(&mut self, depth: usize) -> Result<Literal, NotLiteral> {
        self.values += 1;
        if depth > DEPTH_MAX || self.values > VALUES_MAX {
            return Err(NotLiteral("too large"));
        }
        match self.peek() {
            Some('\'' | '"') => self.text().map(Literal::Str),
            Some('0'..='9' | '-') => self.number(),
            Some('(') => self.tuple(depth),
            Some('[') => {
                self.next();
                self.items(depth, "]")
                    .map(|(items, _)| Literal::List(items))
            }
            Some('{') => self.braces(depth),
            Some('a'..='z' | 'A'..='Z' | '_') => self.word(depth),
            Some(_) => Err(NotLiteral("not a plain value")),
            None => Err(NotLiteral("cut off, or empty")),
        }
    }

    fn word(&mut self, depth: usize) -> Result<Literal, NotLiteral> {
        if self.rest.starts_with("b'") || self.rest.starts_with("b\"") {
            self.next();
            return self.bytes();
        }
        let word = self.take_while(|next| next.is_ascii_alphanumeric() || next == '_');
        match word.as_str() {
            "None" => return Ok(Literal::None),
            "True" => return Ok(Literal::Bool(true)),
            "False" => return Ok(Literal::Bool(false)),
            "set" if self.take("()") => return Ok(Literal::Set(Vec::new())),
            _ => {}
        }
        if !word.starts_with(|first: char| first.is_ascii_uppercase()) || !self.take("(") {
            return Err(NotLiteral("not a plain value"));
        }
        let mut fields: Vec<(String, Literal)> = Vec::new();
        while !self.take(")") {
            if !fields.is_empty() && !self.take(", ") {
                return Err(NotLiteral("not a plain value"));
            }
            let field = self.take_while(|next| next.is_ascii_alphanumeric() || next == '_');
            let named = field.starts_with(|first: char| !first.is_ascii_digit());
            if !named || fields.iter().any(|(known, _)| *known == field) || !self.take("=") {
                return Err(NotLiteral("an object"));
            }
            fields.push((field, self.value(depth + 1)?));
        }
        Ok(Literal::Made(word, fields))
    }

    fn number(&mut self) -> Result<Literal, NotLiteral> {
        let text = self.take_while(|next| next.is_ascii_digit() || "+-.e".contains(next));
        if let Some(int) = Literal::int(&text) {
            return Ok(int);
        }
        let unsigned = text.strip_prefix('-').unwrap_or(&text);
        let (mantissa, exponent) = match unsigned.split_once('e') {
            Some((mantissa, exponent)) => (
                mantissa,
                exponent.strip_prefix(['+', '-']).unwrap_or(exponent),
            ),
            None => (unsigned, "0"),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let fits = digits(whole) && digits(fraction) && digits(exponent) && text.len() < 40;
        let is_float = unsigned.contains(['.', 'e']);
        if fits && is_float && text.parse::<f64>().is_ok_and(f64::is_finite) {
            Ok(Literal::Float(text))
        } else {
            Err(NotLiteral("not a finite number"))
        }
    }

    fn tuple(&mut self, depth: usize) -> Result<Literal, NotLiteral> {
        self.next();
        let (items, trailing_comma) = self.items(depth, ")")?;
        if items.len() == 1 && !trailing_comma {
            return Err(NotLiteral("not a plain value"));
        }
        Ok(Literal::Tuple(items))
    }

    /// Items up to the closing token, and whether a comma stood before it.
    fn items(&mut self, depth: usize, close: &str) -> Result<(Vec<Literal>, bool), NotLiteral> {
        let mut items = Vec::new();
        self.spaces();
        loop {
            if self.take(close) {
                return Ok((items, true));
            }
            items.push(self.value(depth + 1)?);
            self.spaces();
            if self.take(close) {
                return Ok((items, false));
            }
            if !self.take(",") {
                return Err(NotLiteral("cut off, or not a plain value"));
            }
            self.spaces();
        }
    }

    fn braces(&mut self, depth: usize) -> Result<Literal, NotLiteral> {
        self.next();
        if self.take("}") {
            return Ok(Literal::Dict(Vec::new()));
        }
        let first = self.value(depth + 1)?;
        if !self.take(":") {
            let mut members = vec![first];
            if !self.take("}") {
                if !self.take(",") {
                    return Err(NotLiteral("cut off, or not a plain value"));
                }
                members.extend(self.items(depth, "}")?.0);
            }
            return if members.iter().all(Literal::is_hashable) {
                Ok(Literal::Set(members))
            } else {
                Err(NotLiteral("not a plain value"))
            };
        }
        let mut pairs = Vec::new();
        let mut key = first;
        loop {
            self.spaces();
            let value = self.value(depth + 1)?;
            if !key.is_hashable() {
                return Err(NotLiteral("not a plain value"));
            }
            pairs.push((key, value));
            self.spaces();
            if self.take("}") {
                return Ok(Literal::Dict(pairs));
            }
            if !self.take(",") {
                return Err(NotLiteral("cut off, or not a plain value"));
            }
            self.spaces();
            key = self.value(depth + 1)?;
            if !self.take(":") {
                return Err(NotLiteral("cut off, or not a plain value"));
            }
        }
    }

    fn text(&mut self) -> Result<String, NotLiteral> {
        let quote = self.next();
        let mut text = String::new();
        loop {
            match self.next() {
                None => return Err(NotLiteral("cut off")),
                next if next == quote => return Ok(text),
                Some('\\') => {
                    let code = self.escape()?;
                    text.push(char::from_u32(code).ok_or(NotLiteral("half a character"))?);
                }
                Some(next) if next.is_control() => return Err(NotLiteral("not a plain value")),
                Some(next) => text.push(next),
            }
        }
    }

    fn bytes(&mut self) -> Result<Literal, NotLiteral> {
        let quote = self.next();
        let mut bytes = Vec::new();
        loop {
            let code = match self.next() {
                None => return Err(NotLiteral("cut off")),
                next if next == quote => return Ok(Literal::Bytes(bytes)),
                Some('\\') => self.escape()?,
                Some(next @ ' '..='~') => u32::from(next),
                Some(_) => return Err(NotLiteral("not a plain value")),
            };
            bytes.push(u8::try_from(code).map_err(|_| NotLiteral("not a byte"))?);
        }
    }

    /// What follows a backslash: only the escapes that `repr` writes.
    fn escape(&mut self) -> Result<u32, NotLiteral> {
        let digits = match self.next() {
            Some('n') => return Ok(u32::from('\n')),
            Some('r') => return Ok(u32::from('\r')),
            Some('t') => return Ok(u32::from('\t')),
            Some(same @ ('\\' | '\'' | '"')) => return Ok(u32::from(same)),
            Some('x') => 2,
            Some('u') => 4,
            Some('U') => 8,
            Some(_) | None => return Err(NotLiteral("an escape that repr does not write")),
        };
        let mut code = 0;
        for _ in 0..digits {
            let digit = self.next().and_then(|next| next.to_digit(16));
            code = code * 16 + digit.ok_or(NotLiteral("cut off"))?;
        }
        Ok(code)
    }
}
