//! Sealed batches, from both sides: what arrives, opened with a key that is known, and what is inside when the seal is open.

use crate::envelope::full_event;
use crate::event;
use crate::home::{self, Home, PROJECT, headers, with_home};
use flate2::Compression as Level;
use flate2::write::GzEncoder;
use futures::executor::block_on;
use kintsugi_app::ingest::batch::{Done, Receipt, Request};
use kintsugi_domain::digest::Digest;
use kintsugi_domain::limits::BATCH_LINES_MAX;
use kintsugi_trust::batch::{
    BATCH_FORMAT, BatchHeader, BatchKey, Compression, SEAL_RANDOM_BYTES, SealedBatch, seal,
};
use serde_json::json;
use std::io::Write as _;
use std::sync::OnceLock;

#[rustfmt::skip]
pub(crate) const SEAL_WORDS: &[&str] = &[
    "{\"format\":1,", "\"project\":1,", "\"key\":\"", "\"batch\":\"", "\"created\":\"2027-01-15T08:00:00Z\"", "\"compression\":\"zstd\"}",
    "\"compression\":\"gzip\"}", "\n", "0000000000000000000000000000000000000000000000000000000000000000\n", "\u{4}",
];

#[rustfmt::skip]
pub(crate) const CONTENT_WORDS: &[&str] = &[
    "\"kind\":\"", "error", "crash", "anr", "resource_exhaustion", "performance", "usage", "update", "\"message\":", "\"discarded_events\":[",
    "\"reason\":\"sample_rate\"", "\"quantity\":9", "\"category\":\"error\"", "\"exception\":{\"values\":[", "\"event_id\":", "\"tags\":{",
    "\"metrics\":[", "\"type\":\"duration\"", "\"memory\"", "\"values\":[[1,2],", "\"name\":", "\"count\":", "session_start", "session_end",
    "feature_usage", "configuration_change", "\"sid\":\"s\"", "\"status\":\"crashed\"", "\"feature\":", "\"setting\":",
    "\"user\":{", "\"timestamp\":", "\n", "\n\n", "{", "}", "null", "\\ud800",
];

/// The batch that is damaged: its header and what is sealed in it.
struct Good {
    body: Vec<u8>,
    key: BatchKey,
}

fn header(key: &BatchKey, compression: Compression) -> BatchHeader {
    BatchHeader {
        format: BATCH_FORMAT,
        project: PROJECT,
        key: key.id().to_owned(),
        batch: "b1".parse().unwrap(),
        created: home::now(),
        compression,
    }
}

/// Sealed once: the same key and the same randomness every time.
fn good(home: &Home) -> &'static Good {
    static MADE: OnceLock<Good> = OnceLock::new();
    MADE.get_or_init(|| {
        let keys = block_on(home.ingest.batch_keys(PROJECT, home::now())).unwrap();
        let key: BatchKey = keys.unwrap().remove(0).key.parse().unwrap();
        let content = lines();
        let content = zstd::encode_all(content.as_bytes(), 1).unwrap();
        let header = header(&key, Compression::Zstd);
        let body = seal(&header, &content, &key, [7; SEAL_RANDOM_BYTES]).unwrap();
        Good { body, key }
    })
}

fn lines() -> String {
    let lines = [
        json!({"kind": "error", "message": "a", "platform": "native"}),
        json!({"kind": "usage"}),
        json!({"kind": "session_end", "sid": "s", "did": "d", "status": "crashed", "started": "2027-01-15T07:00:00Z", "duration": 1.5}),
        json!({"kind": "feature_usage", "tags": {"feature": "export"}}),
        json!({"release": "till@1.0.0", "metrics": [
            {"type": "duration", "name": "save", "values": [1.5, [2, 3]], "failed": 1}, {"type": "memory", "values": [1_048_576]},
            {"type": "feature", "name": "export", "count": 2}, {"type": "setting", "name": "theme"},
        ]}),
        json!({"timestamp": 1.0, "discarded_events": [{"reason": "sample_rate", "category": "error", "quantity": 3}]}),
        full_event(),
    ];
    lines.map(|line| line.to_string()).join("\n")
}

/// The second line made to fit the others again.
fn summed(body: &[u8]) -> Option<Vec<u8>> {
    let mut parts = body.splitn(3, |byte| *byte == b'\n');
    let (line, _, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let sum = Digest::of(&[line, rest].concat()).to_string();
    Some([line, b"\n", sum.as_bytes(), b"\n", rest].concat())
}

/// An input is edits of a good batch, behind a byte that says whether its checksum fits again; or a batch itself. An edit is three
/// bytes: where, in two, and what is put there; where the first bit of them is set, the batch ends there.
pub(crate) fn seal_one(input: &[u8]) {
    let Some((form, rest)) = input.split_first() else {
        return;
    };
    with_home(|home| {
        let good = good(home);
        let body = match form % 4 {
            0 => rest.to_vec(),
            1 => summed(rest).unwrap_or_else(|| rest.to_vec()),
            2 => edited(&good.body, rest),
            _ => {
                let body = edited(&good.body, rest);
                summed(&body).unwrap_or(body)
            }
        };
        if let Ok(read) = SealedBatch::read(&body) {
            assert_eq!(read.header().format, BATCH_FORMAT);
        }
        let is_same = body == good.body;
        let request = Request {
            project: PROJECT,
            query: None,
            headers: headers(&[]),
            body,
            at: home::now(),
        };
        let done = block_on(home.ingest.take_batch(request)).unwrap();
        let events = home.events();
        home.account();
        match done {
            // Nobody can change a bit of what was sealed, line and content alike, nor of what it is sealed with. Whoever
            // has the public key can seal something else, but a fuzzer cannot do so by chance.
            Done::Accepted(_) => assert!(is_same, "a damaged batch was opened"),
            Done::Refused(refusal) => {
                assert!(!is_same && events.is_empty(), "{refusal:?}");
            }
        }
    });
}

fn edited(body: &[u8], edits: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    for edit in edits.chunks_exact(3) {
        let &[high, low, byte] = edit else {
            continue;
        };
        let at = usize::from(u16::from_be_bytes([high & 0x7f, low])) % body.len().max(1);
        if high >= 0x80 {
            body.truncate(at);
        } else if let Some(place) = body.get_mut(at) {
            *place = byte;
        }
    }
    body
}

pub(crate) fn seal_seeds() -> Vec<Vec<u8>> {
    let body = with_home(|home| good(home).body.clone());
    let whole = [&[0], body.as_slice()].concat();
    let line = [&[1], body.as_slice()].concat();
    vec![
        whole,
        line,
        vec![2],
        vec![3],
        vec![2, 0, 1, b'x'],
        vec![3, 0, 10, b'2'],
        // The encapsulated key, the sealed content, the end.
        vec![3, 1, 0x10, 0],
        vec![3, 1, 0x80, 0],
        vec![3, 0x81, 0x20, 0],
        vec![3, 0, 0, b'{'],
    ]
}

/// An input is the lines of a batch between two good ones; or a compressed content as it is.
pub(crate) fn content_one(input: &[u8]) {
    let Some((form, rest)) = input.split_first() else {
        return;
    };
    with_home(|home| {
        let compression = if form % 4 == 1 {
            Compression::Zstd
        } else {
            Compression::Gzip
        };
        let is_lines = form % 4 > 1;
        let content = if is_lines {
            stored(
                &[
                    b"{\"message\":\"first\"}\n",
                    rest,
                    b"\n{\"message\":\"last\"}\n",
                ]
                .concat(),
            )
        } else {
            rest.to_vec()
        };
        let header = header(&good(home).key, compression);
        let taken = home.ingest.take_content(&header, content, home::now());
        let done = block_on(taken).unwrap();
        let events = home.events();
        home.account();
        events.iter().for_each(event::check);
        match done {
            Done::Accepted(receipt) => {
                assert_eq!(receipt.events, events.len());
                if is_lines {
                    every_line_has_an_end(rest, &receipt, &events);
                }
            }
            Done::Refused(refusal) => {
                assert!(events.is_empty() && !is_lines, "{refusal:?}");
            }
        }
    });
}

fn every_line_has_an_end(
    input: &[u8],
    receipt: &Receipt,
    events: &[kintsugi_domain::event::Event],
) {
    let full = |line: &&[u8]| !line.iter().all(u8::is_ascii_whitespace);
    let lines = 2 + input.split(|byte| *byte == b'\n').filter(full).count();
    let ended = receipt.events + receipt.counted + receipt.dropped;
    // What the client says that it discarded is a line without an end of its own here; of metrics each is an item, which takes
    // two bytes of a line at least.
    assert!(
        ended <= lines + input.len() / 2,
        "{receipt:?} of {lines} lines"
    );
    assert!(receipt.events <= BATCH_LINES_MAX);
    let said = |event: Option<&kintsugi_domain::event::Event>, words: &str| {
        event.is_some_and(|event| event.message.as_deref() == Some(words))
    };
    assert!(said(events.first(), "first"), "the first line is lost");
    if lines <= BATCH_LINES_MAX {
        assert!(said(events.last(), "last"), "the last line is lost");
    }
}

/// gzip without compression: quick, and what is inside stays as the fuzzer wrote it.
fn stored(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(content.len() + 64), Level::none());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn content_seeds() -> Vec<Vec<u8>> {
    let text = lines();
    let zstd = zstd::encode_all(text.as_bytes(), 1).unwrap();
    let mut seeds = vec![
        [&[2], text.as_bytes()].concat(),
        [&[1], zstd.as_slice()].concat(),
        [&[0], stored(text.as_bytes()).as_slice()].concat(),
    ];
    for line in text.lines() {
        seeds.push([&[3], line.as_bytes()].concat());
    }
    seeds
}
