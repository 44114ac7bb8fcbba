//! Addresses: e-mail, IP, MAC, and the credentials in front of a host.

use crate::blank::is_blank;
use crate::text::{Hit, Rule, Text, is_hex, is_word};
use std::net::Ipv6Addr;

/// Longest local part of an e-mail address, bytes (RFC 5321 §4.5.3.1.1).
const LOCAL_PART_MAX: usize = 64;
/// Longest domain, bytes (RFC 5321 §4.5.3.1.2).
const DOMAIN_MAX: usize = 255;

/// Last parts of names that are files or services, not domains: `app@main.js`, `icon@2x.png`.
const NOT_DOMAINS: [&str; 42] = [
    "js", "mjs", "cjs", "ts", "jsx", "tsx", "vue", "svelte", "css", "scss", "html", "htm", "map",
    "json", "png", "jpg", "jpeg", "gif", "svg", "webp", "ico", "pdf", "rb", "java", "kt", "cpp",
    "hpp", "php", "exe", "dll", "txt", "log", "yml", "yaml", "toml", "service", "timer", "socket",
    "target", "mount", "slice", "scope",
];

/// The e-mail address around an `@` (or `%40`, `sign` bytes long) (RFC 5322 §3.4.1, dot-atoms only).
pub(crate) fn email(text: Text<'_>, at: usize, sign: usize, floor: usize) -> Option<Hit> {
    let start = local_part(text, at, floor)?;
    let (end, last_label) = domain(text, at + sign)?;
    let lower = last_label.to_ascii_lowercase();
    if NOT_DOMAINS.contains(&lower.as_str()) {
        return None;
    }
    // `https://$USER:$PASS@host`
    if text.before(start) == b'$' && is_blank(text.slice(start - 1, at)) {
        return None;
    }
    let after = text.at(end);
    // `git@host:path` is a remote, `run@lib.py:12` a place in a file.
    let git = text.slice(start, at) == "git";
    if git && text.has_before(start, b"://") {
        return None;
    }
    if after == b':'
        && (git
            || (matches!(lower.as_str(), "py" | "rs" | "go" | "sh" | "so" | "pl")
                && text.at(end + 1).is_ascii_digit()))
    {
        return None;
    }
    Some(Hit {
        start,
        end,
        rule: Rule::Email,
    })
}

fn local_part(text: Text<'_>, at: usize, floor: usize) -> Option<usize> {
    let head = text.slice(floor, at);
    let mut start = at;
    let mut first_letter = None;
    for (offset, character) in head.char_indices().rev() {
        let fits = character.is_alphanumeric() || "._+-'!#$&*?^~|".contains(character);
        if !fits || at - (floor + offset) > LOCAL_PART_MAX {
            break;
        }
        start = floor + offset;
        if character.is_alphanumeric() {
            first_letter = Some(start);
        }
    }
    // Leading marks belong to the sentence (`'alice@…`), trailing ones make it no address.
    let last = text.before(at);
    if start == at || matches!(last, b'.' | b'\'') {
        return None;
    }
    first_letter
        .map(|first| first + usize::from(text.ends_escape(first)))
        .filter(|first| *first < at)
}

/// Where a domain name that begins here ends, and its last label.
fn domain(text: Text<'_>, start: usize) -> Option<(usize, &str)> {
    let limit = (start + DOMAIN_MAX).min(text.len());
    let mut end = start;
    let rest = text.slice(start, text.len());
    let mut previous = '.';
    for (offset, character) in rest.char_indices() {
        let fits = character.is_alphanumeric()
            || (character == '-' && previous != '.')
            || (character == '.' && previous != '.');
        if !fits || start + offset >= limit {
            break;
        }
        previous = character;
        end = start + offset + character.len_utf8();
    }
    let name = text.slice(start, end);
    let name = name.trim_end_matches(['.', '-']);
    let (_, last_label) = name.rsplit_once('.')?;
    let is_label = last_label.chars().count() >= 2
        && (last_label.starts_with("xn--") || last_label.chars().all(char::is_alphabetic));
    is_label.then_some((start + name.len(), last_label))
}

/// Words after which four numbers with dots are a version.
const VERSION_WORDS: [&str; 13] = [
    "v", "ver", "version", "versions", "build", "release", "rev", "revision", "firmware", "driver",
    "fw", "assembly", "oid",
];

/// An IPv4 address (RFC 3986 `IPv4address`) that begins here. A port or prefix length after it stays.
pub(crate) fn ipv4(text: Text<'_>, start: usize, floor: usize) -> Option<Hit> {
    let mut octets = [0_u16; 4];
    let mut position = start;
    for (index, octet) in octets.iter_mut().enumerate() {
        if index > 0 {
            if text.at(position) != b'.' {
                return None;
            }
            position += 1;
        }
        let end = text.run(position, |byte| byte.is_ascii_digit());
        let digits = text.slice(position, end);
        if digits.len() > 3 || (digits.len() > 1 && digits.starts_with('0')) {
            return None;
        }
        *octet = digits.parse().ok().filter(|value| *value <= 255)?;
        position = end;
    }
    let after = text.at(position);
    let next = text.at(position + 1);
    let continues = is_word(after)
        || (after == b'.' && is_word(next))
        || (after == b'-' && next.is_ascii_alphabetic());
    // Nobody is named by: this host, loopback, masks, and `x.0.0.0`, which is a version or a network.
    let impersonal = matches!(octets, [0 | 127 | 255, ..] | [_, 0, 0, 0]);
    if continues || impersonal || is_version_place(text, start, position, floor) {
        return None;
    }
    Some(Hit {
        start,
        end: position,
        rule: Rule::Ip,
    })
}

/// Whether what stands before says that four numbers with dots are a version.
fn is_version_place(text: Text<'_>, start: usize, end: usize, floor: usize) -> bool {
    let second = text.second_before(start);
    match text.before(start) {
        b'.' => return is_word(second),
        // `lib-1.2.3.4`, but not the end of a range of addresses.
        b'-' => return is_word(second) && start - 1 != floor,
        // `Browser/1.2.3.4`, but not `host.name/1.2.3.4` nor `localhost/1.2.3.4:80`.
        b'/' if is_word(second) => {
            let slash = start - 1;
            let product = text.run_back(slash, floor, 64, |byte| is_word(byte) || byte == b'.');
            let product = text.slice(product, slash);
            let is_host = product.contains('.') || matches!(product, "localhost" | "tcp" | "udp");
            let port = text.at(end) == b':' && text.at(end + 1).is_ascii_digit();
            return !is_host && !port;
        }
        _ => {}
    }
    // `>= 1.2.3.4`
    let sign = text.run_back(start, floor, 1, |byte| byte == b' ');
    if [b">=", b"<=", b"~>", b"~="]
        .iter()
        .any(|compares| text.has_before(sign, *compares))
    {
        return true;
    }
    let gap = text.run_back(start, floor, 4, |byte| {
        matches!(byte, b' ' | b'+' | b':' | b'=' | b'"' | b'\'' | b'.')
    });
    let (word, _) = text.word_before(gap, floor);
    VERSION_WORDS.contains(&word.as_str()) || word.ends_with("version")
}

/// Longest written IPv6 address, bytes (RFC 4291 §2.2, with an embedded IPv4 address).
const IPV6_MAX: usize = 45;

/// An IPv6 address (RFC 4291 §2.2), whole: with an embedded IPv4 address and a zone (RFC 4007 §11).
/// `Foo::bar`, slices (`[1::2]`) and times are not addresses.
pub(crate) fn ipv6(text: Text<'_>, start: usize) -> Option<Hit> {
    let first = text.run(start, |byte| byte.is_ascii_hexdigit());
    if text.at(first) != b':' || first - start > 4 {
        return None;
    }
    if is_word(text.before(start)) || matches!(text.before(start), b':' | b'.') {
        return None;
    }
    let mut budget = IPV6_MAX + 1;
    let run = text.run(start, |byte| {
        budget = budget.saturating_sub(1);
        budget > 0 && (byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'))
    });
    let colons = || {
        let bytes = text.slice(start, run).bytes();
        bytes.filter(|byte| *byte == b':').count()
    };
    // Times have few colons and no two in a row.
    if is_word(text.at(run)) || (!text.slice(start, run).contains("::") && colons() < 6) {
        return None;
    }
    // A sentence may end in a mark that could belong to the address.
    let (end, address) = (0..=2).find_map(|cut| {
        let end = run.checked_sub(cut).filter(|end| *end > start)?;
        let trimmed = text
            .slice(end, run)
            .bytes()
            .all(|byte| matches!(byte, b':' | b'.'));
        let address: Ipv6Addr = text.slice(start, end).parse().ok()?;
        trimmed.then_some((end, address))
    })?;
    if address.is_loopback() || address.is_unspecified() || !is_plausible(text.slice(start, end)) {
        return None;
    }
    let end = match text.at(end) {
        b'%' => text.run(end + 1, |byte| byte.is_ascii_alphanumeric()),
        _ => end,
    };
    Some(Hit {
        start,
        end,
        rule: Rule::Ip,
    })
}

/// Whether a text that parses as an address was meant as one.
fn is_plausible(written: &str) -> bool {
    let groups = written.split(':').filter(|group| !group.is_empty());
    let count = groups.clone().count();
    let digits = written.bytes().any(|byte| byte.is_ascii_digit());
    if written.contains('.') || count >= 4 {
        return true;
    }
    let first = groups.clone().next().unwrap_or_default();
    // Global unicast, unique local, link-local and multicast addresses have a long first group.
    let global = first.len() == 4
        && matches!(first.bytes().next(), Some(b'2' | b'3' | b'f' | b'F'))
        && written.bytes().next() != Some(b':');
    digits && (global || (count == 3 && first.len() >= 2))
}

/// A MAC address (IEEE 802, EUI-48) that begins here: six pairs, `:` or `-` between them.
pub(crate) fn mac(text: Text<'_>, start: usize) -> Option<Hit> {
    let separator = text.at(start + 2);
    if !matches!(separator, b':' | b'-') || matches!(text.before(start), b':' | b'-') {
        return None;
    }
    let mut position = start;
    let (mut zeros, mut ones) = (0, 0);
    for pair in 0..6 {
        if pair > 0 {
            if text.at(position) != separator {
                return None;
            }
            position += 1;
        }
        let digits = [text.at(position), text.at(position + 1)];
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        zeros += usize::from(digits == *b"00");
        ones += usize::from(digits.eq_ignore_ascii_case(b"ff"));
        position += 2;
    }
    let after = text.at(position);
    let goes_on = is_word(after) || (after == separator && is_word(text.at(position + 1)));
    // All zeros and broadcast name no device.
    (!goes_on && zeros < 6 && ones < 6).then_some(Hit {
        start,
        end: position,
        rule: Rule::Mac,
    })
}

/// A MAC address as some routers print it: `001b.4411.3ab7`. One of digits alone is a number.
pub(crate) fn dotted_mac(text: Text<'_>, start: usize) -> Option<Hit> {
    if text.before(start) == b'.' {
        return None;
    }
    let mut position = start;
    let mut letters = false;
    for group in 0..3 {
        if group > 0 {
            if text.at(position) != b'.' {
                return None;
            }
            position += 1;
        }
        let end = text.run(position, |byte| {
            letters |= byte.is_ascii_alphabetic();
            is_hex(byte)
        });
        if end - position != 4 {
            return None;
        }
        position = end;
    }
    let after = text.at(position);
    let goes_on = is_word(after) || (after == b'.' && is_word(text.at(position + 1)));
    (letters && !goes_on).then_some(Hit {
        start,
        end: position,
        rule: Rule::Mac,
    })
}

/// The user information of a URL (RFC 3986 §3.2.1) whose scheme ends at this colon.
pub(crate) fn url_credentials(text: Text<'_>, colon: usize) -> Option<Hit> {
    if !text.before(colon).is_ascii_alphanumeric() {
        return None;
    }
    let start = colon + 3;
    let end = text.run(start, |byte| {
        !(byte.is_ascii_whitespace()
            || matches!(
                byte,
                b'/' | b'?' | b'#' | b'"' | b'\'' | b'`' | b'<' | b'>' | b'\\'
            ))
    });
    let authority = text.slice(start, end);
    // A password may hold an `@` that its writer forgot to encode: the host comes after the last one.
    let (user, _) = authority.rsplit_once('@')?;
    if user.is_empty()
        || user == "git"
        || text.rules().is_placeholder(user)
        || (user.contains(',') && !user.contains(':'))
        || is_blank(user.split_once(':').map_or(user, |(_, password)| password))
    {
        return None;
    }
    Some(Hit {
        start,
        end: start + user.len(),
        rule: Rule::UrlCredentials,
    })
}

/// Longest user and password before the `@` of a driver's address, bytes.
const LOGIN_MAX: usize = 128;

/// The password before this `@` in the addresses of two drivers that are no URLs: `name:password@tcp(host)/` of Go's for one database and
/// `jdbc:oracle:thin:name/password@host`.
pub(crate) fn driver_password(text: Text<'_>, at: usize, floor: usize) -> Option<Hit> {
    let start = text.run_back(at, floor, LOGIN_MAX, |byte| {
        byte > b' ' && !matches!(byte, b'"' | b'\'' | b'`')
    });
    let login = text.slice(start, at);
    let mysql = text.has(at + 1, b"tcp(") || text.has(at + 1, b"unix(");
    let (name, password) = if mysql {
        login.split_once(':')?
    } else {
        let (driver, _) = login.split_once('/')?;
        let oracle = driver.contains(":thin:") || driver.contains(":oci:");
        oracle.then(|| login.split_once('/')).flatten()?
    };
    (!password.is_empty() && !is_blank(password) && !text.rules().is_placeholder(password))
        .then_some(Hit {
            start: start + name.len() + 1,
            end: at,
            rule: Rule::UrlCredentials,
        })
}
