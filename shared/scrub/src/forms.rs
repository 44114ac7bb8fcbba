//! Values whose names stand before them in other ways than with a sign between: elements of XML, parts of forms, passwords in statements
//! and on command lines.

use crate::blank::is_made_up;
use crate::keys;
use crate::pairs::{
    ESCAPES_MAX, NAME_MAX, PASSWORD, PASSWORD_MAX, Value, Written, remove, value_at,
};
use crate::text::{Hit, Text, is_name, is_quote};

/// Longest tag that is looked at, bytes.
const TAG_MAX: usize = 128;

/// The content of an element of XML whose opening tag ends here: `<password>…</password>`.
pub(crate) fn element(text: Text<'_>, close: usize, floor: usize) -> Option<Hit> {
    let open = text.run_back(close, floor, TAG_MAX, |byte| {
        !matches!(byte, b'<' | b'>' | b'\n')
    });
    if text.before(open) != b'<' {
        return None;
    }
    let tag = text.slice(open, close);
    let name = tag.split(' ').next()?;
    let local = name.rsplit_once(':').map_or(name, |(_, local)| local);
    let promise = keys::promise(text.rules(), local).filter(|_| local.bytes().all(is_name))?;
    let quoted = text.has(close + 1, CDATA);
    let start = close + 1 + if quoted { CDATA.len() } else { 0 };
    let end = text.run(start, |byte| !matches!(byte, b'<' | b']'));
    let closing = end + if quoted { b"]]>".len() } else { 0 };
    let closed = text.has(end, if quoted { b"]]></" } else { b"</" })
        && text.has(closing + 2, name.as_bytes());
    let value = Value {
        start,
        end,
        written: Written::Quoted,
    };
    closed
        .then(|| remove(text, value, promise, false))
        .flatten()
}

/// What begins text in which nothing is escaped (XML 1.0 §2.7).
const CDATA: &[u8] = b"<![CDATA[";

/// The value of a part of a form (RFC 7578 §4.2), whose name begins behind this sign: what stands on the line after the empty one.
pub(crate) fn form_part(text: Text<'_>, separator: usize) -> Option<Hit> {
    let (name_start, name_end) = match value_at(text, separator + 1, PASSWORD)? {
        Value {
            start,
            end,
            written: Written::Quoted,
        } if end - start <= NAME_MAX => (start, end),
        _ => return None,
    };
    let promise = keys::promise(text.rules(), text.slice(name_start, name_end))?;
    let mut from = text.run(name_end, |byte| is_quote(byte) || byte == b'\\');
    // Inside of another text a line break is written as two characters or four.
    from -= usize::from(text.before(from) == b'\\');
    let mut breaks = 0;
    for _ in 0..8 {
        let sign = text.run_to(from, 2, |byte| byte == b'\\');
        match text.at(sign) {
            b'\n' => breaks += 1,
            b'n' if sign > from => breaks += 1,
            b'\r' => {}
            b'r' if sign > from => {}
            _ => break,
        }
        from = sign + 1;
    }
    if breaks < 2 {
        return None;
    }
    let end = text.run(from, |byte| !matches!(byte, b'\r' | b'\n' | b'\\'));
    let value = Value {
        start: from,
        end,
        written: Written::Quoted,
    };
    remove(text, value, promise, false)
}

/// The password that a sentence or a statement quotes behind this word: `password 'hunter2'`, `IDENTIFIED BY '…'`, and the bare one of
/// `login bob password …` in a `.netrc`.
pub(crate) fn stated(text: Text<'_>, start: usize, end: usize) -> Option<Hit> {
    let word = text.slice(start, end);
    let (from, statement) = if word.eq_ignore_ascii_case("password") {
        (end, word == "PASSWORD")
    } else if word.eq_ignore_ascii_case("identified") {
        let by = text.slice(end, end + 3).eq_ignore_ascii_case(" by");
        (by.then_some(end + 3)?, true)
    } else {
        return None;
    };
    if text.at(from) != b' ' {
        return None;
    }
    let opening = text.run_to(from + 1, ESCAPES_MAX, |byte| byte == b'\\');
    let quote = text.at(opening);
    let quoted = is_quote(quote);
    let value_start = opening + usize::from(quoted);
    let value_end = text.run_to(value_start, PASSWORD_MAX, |byte| {
        byte > b' ' && !is_quote(byte) && byte != b'\\'
    });
    let content = text.slice(value_start, value_end);
    let is_value = if quoted {
        // A sentence quotes names of fields as well.
        let closing = text.run_to(value_end, ESCAPES_MAX, |byte| byte == b'\\');
        text.at(closing) == quote && (statement || is_made_up(text.rules(), content))
    } else {
        follows_login(text, start) && value_end - value_start <= PASSWORD_MAX
    };
    let promise = keys::promise(text.rules(), "password")?;
    let value = Value {
        start: value_start,
        end: value_end,
        written: Written::Quoted,
    };
    is_value
        .then(|| remove(text, value, promise, false))
        .flatten()
}

fn follows_login(text: Text<'_>, start: usize) -> bool {
    let user_end = start.saturating_sub(1);
    let user = text.run_back(user_end, 0, NAME_MAX, |byte| byte > b' ');
    text.at(user_end) == b' ' && text.has_before(user, b"login ")
}

/// The password in `-u name:password` and `--user name:password` of a client for HTTP, whose value begins here.
pub(crate) fn user_flag(text: Text<'_>, dash: usize, from: usize) -> Option<Hit> {
    let line = text.run_back(dash, 0, CLIENT_BEFORE_MAX, |byte| byte != b'\n');
    let before = text.slice(line, dash);
    if !["curl ", "wget ", "http "]
        .iter()
        .any(|client| before.contains(client))
    {
        return None;
    }
    let quote = text.at(from);
    let start = from + usize::from(is_quote(quote));
    let end = text.run_to(start, PASSWORD_MAX, |byte| {
        byte > b' ' && !is_quote(byte) && byte != b'\\'
    });
    let (user, _) = text.slice(start, end).split_once(':')?;
    let value = Value {
        start: start + user.len() + 1,
        end,
        written: Written::Quoted,
    };
    remove(text, value, PASSWORD, false)
}

/// How far before its flag a command is looked for, bytes.
const CLIENT_BEFORE_MAX: usize = 96;
