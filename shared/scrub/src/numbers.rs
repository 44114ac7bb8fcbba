//! Numbers that carry their own proof: cards, IBANs, US social security numbers, phone numbers.

use crate::text::{Hit, Rule, Text, is_word};

/// Group sizes in which card numbers are written, longest first.
const CARD_LAYOUTS: [&[usize]; 6] = [
    &[4, 4, 4, 4, 3],
    &[4, 4, 4, 4],
    &[4, 6, 5],
    &[4, 5, 6],
    &[4, 6, 4],
    &[4, 3, 3, 3],
];

/// Where a card number that begins here ends.
pub(crate) fn card(text: Text<'_>, start: usize) -> Option<usize> {
    let first_end = text.run(start, |byte| byte.is_ascii_digit());
    match first_end - start {
        12..=19 => valid_card(text, start, first_end).then_some(first_end),
        4 if is_separator(text.at(first_end)) => CARD_LAYOUTS
            .into_iter()
            .filter_map(|layout| grouped(text, start, layout))
            .find(|end| valid_card(text, start, *end)),
        _ => None,
    }
}

/// What stands between groups; in forms a space is written `+`.
fn is_separator(byte: u8) -> bool {
    matches!(byte, b' ' | b'-' | b'+')
}

/// Where groups of these sizes, separated alike, end.
fn grouped(text: Text<'_>, start: usize, layout: &[usize]) -> Option<usize> {
    let mut position = start;
    let mut separator = None;
    for (index, size) in layout.iter().enumerate() {
        if index > 0 {
            let found = text.at(position);
            if !is_separator(found) || *separator.get_or_insert(found) != found {
                return None;
            }
            position += 1;
        }
        let end = text.run(position, |byte| byte.is_ascii_digit());
        if end - position != *size {
            return None;
        }
        position = end;
    }
    Some(position)
}

fn valid_card(text: Text<'_>, start: usize, end: usize) -> bool {
    let digits = || {
        text.slice(start, end)
            .bytes()
            .filter(u8::is_ascii_digit)
            .map(|byte| u32::from(byte - b'0'))
    };
    let count = digits().count();
    stands_alone(text, start, end)
        && is_brand(
            digits()
                .take(6)
                .fold(0, |number, digit| number * 10 + digit),
            count,
            count < end - start,
        )
        && luhn(digits())
        && !(end - start == ARTICLE_DIGITS && is_said_before(text, start, 0, &ARTICLES))
}

/// Digits of an international article number, EAN-13; one in ten passes for an old card.
const ARTICLE_DIGITS: usize = 13;

/// Words before an article number.
const ARTICLES: [&str; 6] = ["ean", "gtin", "isbn", "barcode", "upc", "article"];

/// Whether a number is not a part of a longer one: a decimal fraction, a dashed id, an address.
fn stands_alone(text: Text<'_>, start: usize, end: usize) -> bool {
    let (before, after) = (text.before(start), text.at(end));
    let open = match before {
        b'.' => !text.second_before(start).is_ascii_digit(),
        b'-' => !is_word(text.second_before(start)),
        byte => !is_word(byte),
    };
    let closed = match after {
        b'.' => !text.at(end + 1).is_ascii_digit(),
        b'-' => !is_word(text.at(end + 1)),
        b'@' => false,
        byte => !is_word(byte),
    };
    open && closed
}

/// Whether a card brand issues numbers with these first six digits and this length.
/// Ranges: ISO/IEC 7812 issuer identification numbers as the networks publish them.
fn is_brand(prefix: u32, length: usize, is_grouped: bool) -> bool {
    let first = |digits: u32| prefix / 10_u32.pow(6 - digits);
    let is_diners = || matches!(first(3), 300..=305 | 309) || matches!(first(2), 36 | 38 | 39);
    match length {
        12 => is_maestro(first(4)),
        13 => first(1) == 4,
        14 => is_diners(),
        // UATP has no more than its 1 and how it is written.
        15 => matches!(first(2), 34 | 37) || (is_grouped && first(1) == 1),
        16..=19 => {
            let is_of_16 = length == 16
                && (matches!(first(2), 51..=55)
                    || matches!(first(4), 2221..=2720)
                    || is_national(prefix));
            is_of_16
                || (first(1) == 4 && matches!(length, 16 | 19))
                || is_diners()
                || matches!(first(2), 62 | 65)
                || matches!(first(3), 644..=649)
                || matches!(first(4), 2200..=2205 | 3528..=3589 | 6011)
                || is_maestro(first(4))
        }
        _ => false,
    }
}

/// Brands of one country: Dankort, Elo, Hipercard, Humo, `RuPay`, Troy, Uzcard, Verve.
fn is_national(prefix: u32) -> bool {
    matches!(prefix / 100, 5019 | 5614 | 8600 | 9792 | 9860)
        || matches!(
            prefix,
            504_175
                | 506_099..=506_198
                | 506_699..=506_778
                | 507_865..=507_964
                | 508_500..=509_999
                | 606_282
                | 606_985..=608_500
                | 627_780
                | 636_297
                | 636_368
                | 637_095
                | 637_568
                | 637_599
                | 637_609
                | 637_612
        )
}

fn is_maestro(prefix: u32) -> bool {
    matches!(
        prefix,
        5018 | 5020 | 5038 | 5893 | 6304 | 6759 | 6761 | 6762 | 6763
    )
}

/// The Luhn check (ISO/IEC 7812-1, annex B).
fn luhn(digits: impl Iterator<Item = u32>) -> bool {
    // The weights alternate from the right; two sums from the left cover both parities.
    let (mut doubled_even, mut doubled_odd, mut count) = (0, 0, 0);
    for digit in digits {
        let doubled = if digit > 4 { digit * 2 - 9 } else { digit * 2 };
        let (even, odd) = if count % 2 == 0 {
            (doubled, digit)
        } else {
            (digit, doubled)
        };
        doubled_even += even;
        doubled_odd += odd;
        count += 1;
    }
    let sum = if count % 2 == 0 {
        doubled_even
    } else {
        doubled_odd
    };
    sum % 10 == 0
}

/// Where a US social security number that begins here ends: `ddd-dd-dddd`, or with spaces when it is
/// not one of a list of numbers. Never issued: areas 000, 666 and 9xx, group 00, serial 0000.
pub(crate) fn ssn(text: Text<'_>, start: usize, floor: usize) -> Option<usize> {
    let separator = text.at(start + 3);
    if !matches!(separator, b'-' | b' ') {
        return None;
    }
    let end = grouped(text, start, &[3, 2, 4])?;
    let (area, group, serial) = (
        text.slice(start, start + 3),
        text.slice(start + 4, start + 6),
        text.slice(start + 7, end),
    );
    let issued = !matches!(area, "000" | "666")
        && !area.starts_with('9')
        && group != "00"
        && serial != "0000";
    let in_list = separator == b' '
        && ((text.before(start) == b' ' && text.second_before(start).is_ascii_digit())
            || (text.at(end) == b' ' && text.at(end + 1).is_ascii_digit()));
    let stands = !in_list && stands_alone(text, start, end);
    (issued && stands && !is_part_number(text, start, floor)).then_some(end)
}

/// Words after which a number of that form counts things.
const THINGS: [&str; 20] = [
    "part",
    "parts",
    "sku",
    "order",
    "item",
    "model",
    "serial",
    "ticket",
    "invoice",
    "ref",
    "reference",
    "catalog",
    "product",
    "article",
    "tracking",
    "isbn",
    "lot",
    "batch",
    "build",
    "case",
];

/// Whether one of the two words before says that this is the number of a thing.
fn is_part_number(text: Text<'_>, start: usize, floor: usize) -> bool {
    is_said_before(text, start, floor, &THINGS)
}

/// Whether one of the two words before is one of these.
fn is_said_before(text: Text<'_>, start: usize, floor: usize, words: &[&str]) -> bool {
    let mut end = start;
    for _ in 0..2 {
        let gap = text.run_back(end, floor, 4, |byte| {
            matches!(
                byte,
                b' ' | b'+' | b'.' | b':' | b'=' | b'#' | b'-' | b'_' | b'"'
            )
        });
        let (word, start) = text.word_before(gap, floor);
        if words.contains(&word.as_str()) {
            return true;
        }
        end = start;
    }
    false
}

/// Lengths of the IBANs of each country (SWIFT IBAN registry).
const IBAN_LENGTHS: &[u8] = b"AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22\
DJ27DK18DO28EE20EG29ES24FI18FK18FO18FR27GB22GE22GI23GL18GR27GT28HN28HR21HU28IE22IL23IQ23IS26IT27JO30\
KW30KZ20LB28LC32LI21LT20LU20LV21LY25MC27MD24ME22MK19MN20MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25\
QA29RO24RS22RU33SA24SC31SD18SE24SI19SK24SM27SO23ST25SV28TL23TN24TR26UA29VA22VG24XK20YE30";

fn iban_length(country: [u8; 2]) -> Option<usize> {
    IBAN_LENGTHS.as_chunks::<4>().0.iter().find_map(|entry| {
        let [first, second, tens, ones] = *entry;
        ([first, second] == country)
            .then(|| usize::from(tens - b'0') * 10 + usize::from(ones - b'0'))
    })
}

/// An IBAN (ISO 13616) that begins here: compact, or in groups of four.
pub(crate) fn iban(text: Text<'_>, start: usize) -> Option<Hit> {
    let head = [text.at(start), text.at(start + 1)];
    let upper = head.iter().all(u8::is_ascii_uppercase);
    if !(upper || head.iter().all(u8::is_ascii_lowercase))
        || !text.at(start + 2).is_ascii_digit()
        || !text.at(start + 3).is_ascii_digit()
    {
        return None;
    }
    let length = iban_length(head.map(|byte| byte.to_ascii_uppercase()))?;
    // These countries have digits only, and their codes are digits themselves where numbers are written to the base of 16.
    let digits_only = matches!(
        &head.map(|byte| byte.to_ascii_uppercase()),
        b"AE" | b"BA" | b"BE" | b"DE" | b"EE"
    );
    let mut position = start + 4;
    let mut taken = 4;
    let mut remainder = 0;
    while taken < length {
        if taken % 4 == 0 && is_separator(text.at(position)) {
            position += 1;
        }
        let byte = text.at(position);
        if !byte.is_ascii_alphanumeric() || (digits_only && !byte.is_ascii_digit()) {
            return None;
        }
        remainder = append(remainder, byte);
        position += 1;
        taken += 1;
    }
    // The country and the check digits go to the end, then the whole number is 1 modulo 97.
    for offset in 0..4 {
        remainder = append(remainder, text.at(start + offset));
    }
    let closed = !is_word(text.at(position));
    (closed && remainder == 1).then_some(Hit {
        start,
        end: position,
        rule: Rule::Iban,
    })
}

/// A number modulo 97 with one more character: letters count from A = 10.
fn append(remainder: u32, byte: u8) -> u32 {
    if byte.is_ascii_digit() {
        (remainder * 10 + u32::from(byte - b'0')) % 97
    } else {
        (remainder * 100 + u32::from(byte.to_ascii_uppercase() - b'A') + 10) % 97
    }
}

/// Digits of an international phone number (ITU-T E.164 §6), country code included.
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 9..=15;

/// A phone number in international form that begins with this `+`.
pub(crate) fn phone(text: Text<'_>, plus: usize) -> Option<Hit> {
    // In a form a `+` after a word's dot is a space.
    if is_word(text.before(plus)) || matches!(text.before(plus), b'+' | b'.') {
        return None;
    }
    let mut digits: Vec<u8> = Vec::with_capacity(16);
    let (mut position, mut end, mut dots, mut best) = (plus + 1, plus + 1, 0_u32, None);
    // Where the last group, or what stands for none, ended.
    let mut near = plus + 1;
    while digits.len() <= *PHONE_DIGITS.end() {
        let byte = text.at(position);
        if byte.is_ascii_digit() {
            digits.push(byte - b'0');
            position += 1;
            end = position;
            near = position;
            continue;
        }
        // A group has ended: what was read so far may be the number.
        if end == position && is_phone(&digits, dots) && !is_word(byte) && byte != b'@' {
            best = Some(end);
        }
        let separates = match byte {
            b' ' | b'-' | b'.' | b'/' | b'(' | b')' => position < near + 2,
            _ => false,
        };
        if !separates || digits.is_empty() {
            break;
        }
        // `(0)` is dialled only inside the country.
        if text.has(position, b"(0)") && near == end {
            position += 2;
            near = position + 1;
        }
        dots += u32::from(byte == b'.');
        position += 1;
    }
    let dense = |end: usize| text.run(plus + 1, |byte| byte.is_ascii_digit()) == end;
    best.filter(|end| !(dense(*end) && is_count(text, *end)))
        .map(|end| Hit {
            start: plus,
            end,
            rule: Rule::Phone,
        })
}

/// Words that announce a phone number.
const CALLS: [&str; 20] = [
    "phone",
    "telephone",
    "tel",
    "telefon",
    "mobile",
    "mobil",
    "cell",
    "fax",
    "sms",
    "whatsapp",
    "call",
    "called",
    "calling",
    "callback",
    "dial",
    "dialed",
    "dialled",
    "dialing",
    "dialling",
    "ring",
];

/// Most groups of digits in a phone number.
const PHONE_GROUPS_MAX: usize = 6;

/// Where a phone number that begins with this zero ends, as it is dialled inside of a country (`030 901820`) or out of one
/// (`0049 30 901820`). The first needs a word before it that announces it, the second groups or such a word.
pub(crate) fn trunk_phone(text: Text<'_>, start: usize, floor: usize) -> Option<usize> {
    if is_word(text.before(start)) || matches!(text.before(start), b'.' | b'-' | b':') {
        return None;
    }
    let mut digits: Vec<u8> = Vec::with_capacity(24);
    let (mut position, mut end, mut separator, mut fours) = (start, start, 0, true);
    let mut groups = 0;
    while groups < PHONE_GROUPS_MAX {
        let group_end = text.run_to(position, TRUNK_DIGITS_MAX, |byte| byte.is_ascii_digit());
        let group = text.slice(position, group_end);
        let long = digits.len() + group.len() > TRUNK_DIGITS_MAX;
        if group.is_empty() || long || is_word(text.at(group_end)) {
            break;
        }
        digits.extend(group.bytes().map(|byte| byte - b'0'));
        fours &= group.len() == 4;
        (end, position, groups) = (group_end, group_end + 1, groups + 1);
        let next = text.at(group_end);
        // `0171/901 820`: only behind the area another mark may stand.
        let fits = matches!(next, b' ' | b'-' | b'/' | b'.' | b'+')
            && (groups == 1 || next == separator || separator == b'/');
        if !fits {
            break;
        }
        separator = next;
    }
    // One dot is a decimal point, and no area has one digit.
    let decimal = separator == b'.' && groups < 3;
    if decimal || !text.at(start + 1).is_ascii_digit() {
        return None;
    }
    let time = text.at(end) == b':' && text.at(end + 1).is_ascii_digit();
    let closed = !is_word(text.at(end)) && text.at(end) != b'@' && !time;
    // `phone=030…` is for those who know names. In forms a space is written `+`.
    let gap = text.run_back(start, floor, 2, |byte| matches!(byte, b' ' | b'+'));
    let named = gap == start || matches!(text.before(gap), b':' | b'=' | b'"' | b'\'');
    let announced = || !named && is_said_before(text, start, floor, &CALLS);
    let fits = match digits.as_slice() {
        [0, 0, abroad @ ..] => is_phone(abroad, 0) && ((groups > 1 && !fours) || announced()),
        [0, national @ ..] => (8..=11).contains(&national.len()) && announced(),
        _ => false,
    };
    (closed && fits).then_some(end)
}

/// Most digits of a number that begins with zeros: two and those of an international one.
const TRUNK_DIGITS_MAX: usize = 17;

/// Whether the word after a number says that it counts something: `+469998434 bytes`.
fn is_count(text: Text<'_>, end: usize) -> bool {
    if !matches!(text.at(end), b' ' | b'+') {
        return false;
    }
    let unit = text.run(end + 1, |byte| byte.is_ascii_alphabetic());
    let unit = text.slice(end + 1, unit.min(end + 16)).to_ascii_lowercase();
    matches!(
        unit.as_str(),
        "b" | "byte"
            | "bytes"
            | "kb"
            | "mb"
            | "gb"
            | "kib"
            | "mib"
            | "gib"
            | "ns"
            | "us"
            | "ms"
            | "s"
            | "sec"
            | "seconds"
            | "rows"
            | "row"
            | "items"
            | "lines"
            | "records"
            | "entries"
            | "times"
            | "requests"
            | "points"
            | "units"
            | "cycles"
            | "ticks"
            | "bits"
            | "files"
            | "tokens"
    )
}

/// Where a number of the North American Numbering Plan that begins here, written as people there
/// write it (`415-555-2671`, `1-415-555-2671`, `415.555.2671`), ends.
pub(crate) fn domestic_phone(text: Text<'_>, start: usize) -> Option<usize> {
    let from = if text.at(start) == b'1' && matches!(text.at(start + 1), b'-' | b'.') {
        start + 2
    } else {
        start
    };
    let separator = text.at(from + 3);
    if !matches!(separator, b'-' | b'.') || (from != start && text.at(start + 1) != separator) {
        return None;
    }
    let end = from + 12;
    let fits = (0..12).all(|place| match (place, text.at(from + place)) {
        (3 | 7, byte) => byte == separator,
        (0 | 4, byte) => matches!(byte, b'2'..=b'9'),
        (_, byte) => byte.is_ascii_digit(),
    });
    let services = is_service_code(text, from) || is_service_code(text, from + 4);
    (fits && !services && stands_alone(text, start, end)).then_some(end)
}

/// `N11` is a service of the network, no area and no exchange.
fn is_service_code(text: Text<'_>, start: usize) -> bool {
    text.has(start + 1, b"11")
}

/// A number of the North American Numbering Plan whose area stands in these brackets.
pub(crate) fn bracketed_phone(text: Text<'_>, bracket: usize) -> Option<Hit> {
    let area = bracket + 1;
    if !matches!(text.at(area), b'2'..=b'9')
        || text.at(area + 3) != b')'
        || is_word(text.before(bracket))
    {
        return None;
    }
    let exchange = area + 4 + usize::from(matches!(text.at(area + 4), b' ' | b'+'));
    let fits = (0..8).all(|place| match (place, text.at(exchange + place)) {
        (0, byte) => matches!(byte, b'2'..=b'9'),
        (3, byte) => matches!(byte, b'-' | b' ' | b'.'),
        (_, byte) => byte.is_ascii_digit(),
    });
    let digits = text
        .slice(area + 1, area + 3)
        .bytes()
        .all(|byte| byte.is_ascii_digit());
    let end = exchange + 8;
    let services = is_service_code(text, area) || is_service_code(text, exchange);
    (fits && digits && !services && !is_word(text.at(end))).then_some(Hit {
        start: bracket,
        end,
        rule: Rule::Phone,
    })
}

fn is_phone(digits: &[u8], dots: u32) -> bool {
    // One dot is a decimal point.
    if !PHONE_DIGITS.contains(&digits.len()) || dots == 1 {
        return false;
    }
    let Some(code) = country_code_digits(digits) else {
        return false;
    };
    let Some(national) = digits.get(code..) else {
        return false;
    };
    match (digits, national) {
        // North American Numbering Plan: area and exchange begin with 2 to 9.
        ([1, ..], [area, _, _, exchange, ..]) => {
            national.len() == 10 && *area >= 2 && *exchange >= 2
        }
        // Italian numbers keep their zero; elsewhere it is only dialled inside the country.
        ([3, 9, ..], _) => true,
        (_, [first, ..]) => *first != 0,
        (_, []) => false,
    }
}

/// How many digits the country code has, if it is assigned (ITU-T E.164 annex).
fn country_code_digits(digits: &[u8]) -> Option<usize> {
    let (one, two, three) = match digits {
        [a, b, c, ..] => {
            let [a, b, c] = [a, b, c].map(|digit| u32::from(*digit));
            (a, a * 10 + b, a * 100 + b * 10 + c)
        }
        _ => return None,
    };
    if matches!(one, 1 | 7) {
        return Some(1);
    }
    if matches!(
        two,
        20 | 27 | 30..=34 | 36 | 39..=41 | 43..=49 | 51..=58 | 60..=66 | 81 | 82 | 84 | 86
            | 90..=95 | 98
    ) {
        return Some(2);
    }
    matches!(
        three,
        211..=213 | 216 | 218 | 220..=258 | 260..=269 | 290 | 291 | 297..=299 | 350..=359
            | 370..=378 | 380..=383 | 385..=387 | 389 | 420 | 421 | 423 | 500..=509 | 590..=599
            | 670 | 672..=683 | 685..=692 | 850 | 852 | 853 | 855 | 856 | 880 | 886 | 960..=968
            | 970..=977 | 992..=996 | 998
    )
    .then_some(3)
}
