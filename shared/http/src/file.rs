//! Serving a file: validators, caches and ranges (RFC 9110 §13 and §14, RFC 9111, RFC 8246), so that a
//! download that broke off goes on where it stopped.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use kintsugi_app::repository::File;
use kintsugi_domain::limits::CHANNEL_CACHE_SECONDS_MAX;

/// What a `Range` header asks of a file.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    /// All of it: there is no range, or one that may be ignored (RFC 9110 §14.2).
    All,
    /// From the first to the last byte, both included.
    Some(usize, usize),
    /// Nothing that is there.
    Nothing,
}

/// The file, the part of it that was asked for, or that the client has it already.
pub(crate) fn answer(file: File, kind: &'static str, asked: &HeaderMap) -> Response {
    let tag = format!("\"{}\"", file.tag);
    let cache = if file.is_immutable {
        "public, max-age=31536000, immutable".to_owned()
    } else {
        format!("public, max-age={CHANNEL_CACHE_SECONDS_MAX}")
    };
    let content = Bytes::from(file.content);
    let length = content.len();
    let mut response = if has_it(text(asked, &header::IF_NONE_MATCH), &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        match part(asked, &tag, length) {
            Part::All => Body::from(content).into_response(),
            Part::Some(first, last) => {
                // Both lie within the content: see `part`.
                let body = content.slice(first..=last);
                let mut response = (StatusCode::PARTIAL_CONTENT, Body::from(body)).into_response();
                let range = format!("bytes {first}-{last}/{length}");
                set(&mut response, header::CONTENT_RANGE, range);
                response
            }
            Part::Nothing => {
                let mut response = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
                set(
                    &mut response,
                    header::CONTENT_RANGE,
                    format!("bytes */{length}"),
                );
                return response;
            }
        }
    };
    set(&mut response, header::CONTENT_TYPE, kind.to_owned());
    set(&mut response, header::ETAG, tag);
    set(&mut response, header::CACHE_CONTROL, cache);
    set(&mut response, header::ACCEPT_RANGES, "bytes".to_owned());
    response
}

/// Whether one of the tags in `If-None-Match` is this one (weak comparison, RFC 9110 §13.1.2).
pub(crate) fn has_it(if_none_match: Option<&str>, tag: &str) -> bool {
    if_none_match.is_some_and(|tags| {
        tags.split(',').map(str::trim).any(|candidate| {
            candidate == "*" || candidate.strip_prefix("W/").unwrap_or(candidate) == tag
        })
    })
}

/// The part that is asked for. Several ranges at once are answered with all of it.
fn part(asked: &HeaderMap, tag: &str, length: usize) -> Part {
    // A weak tag does not promise the same bytes, so it never equals ours (RFC 9110 §13.1.5).
    if text(asked, &header::IF_RANGE).is_some_and(|since| since != tag) {
        return Part::All;
    }
    let Some((first, last)) = text(asked, &header::RANGE)
        .and_then(|range| range.strip_prefix("bytes="))
        .and_then(|range| range.split_once('-'))
    else {
        return Part::All;
    };
    match (number(first), number(last)) {
        (Number::Is(first), Number::None) => within(first, usize::MAX, length),
        (Number::Is(first), Number::Is(last)) if first <= last => within(first, last, length),
        (Number::None, Number::Is(0)) => Part::Nothing,
        (Number::None, Number::Is(count)) => {
            within(length.saturating_sub(count), usize::MAX, length)
        }
        (Number::Is(_), Number::Is(_))
        | (Number::None, Number::None)
        | (Number::Bad, _)
        | (_, Number::Bad) => Part::All,
    }
}

fn within(first: usize, last: usize, length: usize) -> Part {
    match length.checked_sub(1) {
        Some(end) if first <= end => Part::Some(first, last.min(end)),
        Some(_) | None => Part::Nothing,
    }
}

enum Number {
    None,
    Is(usize),
    Bad,
}

fn number(text: &str) -> Number {
    if text.is_empty() {
        return Number::None;
    }
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(number) if is_number => Number::Is(number),
        Ok(_) | Err(_) => Number::Bad,
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

fn set(response: &mut Response, name: HeaderName, value: String) {
    // Digests, numbers and constants: always a header's value.
    if let Ok(value) = HeaderValue::try_from(value) {
        response.headers_mut().insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(range: &str, if_range: Option<&str>) -> Part {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, range.parse().unwrap());
        if let Some(tag) = if_range {
            headers.insert(header::IF_RANGE, tag.parse().unwrap());
        }
        part(&headers, "\"a\"", 10)
    }

    #[test]
    fn a_range_is_the_part_that_is_there() {
        for (range, expected) in [
            ("bytes=0-", Part::Some(0, 9)),
            ("bytes=4-", Part::Some(4, 9)),
            ("bytes=4-5", Part::Some(4, 5)),
            ("bytes=4-99", Part::Some(4, 9)),
            ("bytes=-3", Part::Some(7, 9)),
            ("bytes=-99", Part::Some(0, 9)),
            ("bytes=10-", Part::Nothing),
            ("bytes=-0", Part::Nothing),
            ("bytes=5-4", Part::All),
            ("bytes=-", Part::All),
            ("bytes=+1-", Part::All),
            ("bytes=0-1,3-4", Part::All),
            ("bytes=99999999999999999999999-", Part::All),
            ("pages=1-2", Part::All),
        ] {
            assert_eq!(asked(range, None), expected, "{range}");
        }
        assert_eq!(part(&HeaderMap::new(), "\"a\"", 0), Part::All);
    }

    #[test]
    fn a_file_that_changed_is_sent_whole() {
        assert_eq!(asked("bytes=4-", Some("\"a\"")), Part::Some(4, 9));
        assert_eq!(asked("bytes=4-", Some("\"b\"")), Part::All);
        assert_eq!(asked("bytes=4-", Some("W/\"a\"")), Part::All);
    }

    #[test]
    fn a_client_that_has_the_file_is_told_so() {
        assert!(has_it(Some("\"b\", W/\"a\""), "\"a\""));
        assert!(has_it(Some("*"), "\"a\""));
        assert!(!has_it(Some("\"b\""), "\"a\""));
        assert!(!has_it(None, "\"a\""));
    }
}
