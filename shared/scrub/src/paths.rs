//! Names of users in paths of files. The rest of the path stays: it says where in the product.

use crate::text::{Hit, Rule, Text, is_word};

/// Longest user name looked for, bytes.
const NAME_MAX: usize = 64;

/// Folders beside those of people.
const NOT_PEOPLE: [&str; 6] = ["Shared", "Public", "Default", "All Users", "All", "Guest"];

/// The user's name in a path of which this slash may begin the home folder.
#[inline]
pub(crate) fn user(text: Text<'_>, slash: usize) -> Option<Hit> {
    if !matches!(text.at(slash + 1), b'h' | b'U' | b'D' | b'\\') {
        return None;
    }
    if text.at(slash) == b'/' {
        unix(text, slash)
    } else {
        windows(text, slash)
    }
}

fn unix(text: Text<'_>, slash: usize) -> Option<Hit> {
    let start = [b"/home/".as_slice(), b"/Users/"]
        .into_iter()
        .find(|home| text.has(slash, home))
        .map(|home| slash + home.len())?;
    let before = text.before(slash);
    let drive = before == b':' && text.second_before(slash).is_ascii_alphabetic();
    if !drive && !begins_path(text, slash) {
        return None;
    }
    let end = name_end(text, start, drive || is_mounted(text, slash));
    let name = text.slice(start, end);
    // A page of a site, not a folder of a machine.
    let is_page = [".html", ".htm", ".php", ".js", ".css", ".aspx", ".jsp"]
        .iter()
        .any(|extension| name.ends_with(extension));
    named(name, start, end).filter(|_| !is_page && !is_route(text, slash))
}

/// Whether a slash begins a path of a file, and is not the middle of another path or a URL.
fn begins_path(text: Text<'_>, slash: usize) -> bool {
    let before = text.before(slash);
    // `file:///home/…`, `webpack:///Users/…`: a URL without a host.
    if text.has_before(slash, b"://")
        || [b"/var".as_slice(), b"/usr", b"/export", b"/private"]
            .iter()
            .any(|folder| text.has_before(slash, folder))
        || is_mounted(text, slash)
    {
        return true;
    }
    !(is_word(before)
        || matches!(
            before,
            b'.' | b'~' | b'-' | b'%' | b'/' | b'}' | b']' | b')'
        ))
        && before < 0x80
}

/// `/mnt/c/Users/…`: a Windows disk seen from Linux.
fn is_mounted(text: Text<'_>, slash: usize) -> bool {
    text.before(slash).is_ascii_alphabetic() && text.has_before(slash - 1, b"/mnt/")
}

/// `GET /home/…`: a route of a site.
fn is_route(text: Text<'_>, slash: usize) -> bool {
    let space = slash.saturating_sub(1);
    let verb = text.run_back(space, 0, 8, |byte| byte.is_ascii_uppercase());
    text.at(space) == b' '
        && matches!(
            text.slice(verb, space),
            "GET" | "POST" | "PUT" | "DELETE" | "PATCH" | "HEAD" | "OPTIONS"
        )
}

fn windows(text: Text<'_>, slash: usize) -> Option<Hit> {
    // In source text and JSON each backslash is written twice.
    let step = if text.at(slash + 1) == b'\\' { 2 } else { 1 };
    let folder = slash + step;
    let length = [b"Users".as_slice(), b"Documents and Settings", b"home"]
        .into_iter()
        .find(|home| text.has(folder, home))
        .map(<[u8]>::len)?;
    let after = folder + length;
    if text.at(after) != b'\\' {
        return None;
    }
    let start = text.run(after, |byte| byte == b'\\');
    let end = name_end(text, start, true);
    named(text.slice(start, end), start, end)
}

/// Where a user's name ends. A name with a space counts only when the path goes on after it.
fn name_end(text: Text<'_>, start: usize, spaces: bool) -> usize {
    let mut budget = NAME_MAX;
    let mut fits = |byte: u8| {
        budget = budget.saturating_sub(1);
        budget > 0
            && byte > b' '
            && !matches!(
                byte,
                b'/' | b'\\'
                    | b'"'
                    | b'\''
                    | b'`'
                    | b':'
                    | b';'
                    | b','
                    | b'<'
                    | b'>'
                    | b'|'
                    | b'('
                    | b')'
                    | b'['
                    | b']'
                    | b'{'
                    | b'}'
                    | b'*'
                    | b'?'
                    | b'='
                    | b'&'
                    | 0x7f
            )
    };
    let word = text.run(start, &mut fits);
    if !spaces || text.at(word) != b' ' {
        return boundary(text, start, word);
    }
    let whole = text.run(start, |byte| byte == b' ' || fits(byte));
    if matches!(text.at(whole), b'\\' | b'/') && text.before(whole) != b' ' {
        boundary(text, start, whole)
    } else {
        boundary(text, start, word)
    }
}

/// The last position up to `end` that is not inside a character.
fn boundary(text: Text<'_>, start: usize, end: usize) -> usize {
    (start..=end)
        .rev()
        .take(4)
        .find(|position| !text.slice(start, *position).is_empty())
        .unwrap_or(start)
}

fn named(name: &str, start: usize, end: usize) -> Option<Hit> {
    let name = name.trim_end_matches('.');
    let end = end.min(start + name.len());
    (!name.is_empty() && !NOT_PEOPLE.contains(&name) && !name.starts_with('.')).then_some(Hit {
        start,
        end,
        rule: Rule::UserPath,
    })
}
