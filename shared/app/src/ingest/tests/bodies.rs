//! What becomes of bodies: every encoding, cut off, damaged, far too large, or made of anything.

use super::{BTreeMap, PROJECT, encoded, envelope_of, home, request, sample_envelope};
use crate::ingest::{Done, Endpoint};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kintsugi_domain::limits::{REQUEST_BYTES_MAX, REQUEST_DECODED_BYTES_MAX};
use proptest::prelude::*;
use serde_json::Value;
use std::io::Write as _;

fn compressed(encoding: &str, body: &[u8]) -> Vec<u8> {
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    match encoding {
        "gzip" => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        "deflate" => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        "raw deflate" => {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        "zstd" => zstd::encode_all(body, 3).unwrap(),
        _ => unreachable!("no such encoding"),
    }
}

#[test]
fn every_encoding_is_decoded_and_a_cut_off_body_is_refused() {
    let plain = sample_envelope();
    for (name, encoding) in [
        ("gzip", "gzip"),
        ("x-gzip", "gzip"),
        ("GZIP", "gzip"),
        ("deflate", "deflate"),
        ("deflate", "raw deflate"),
        ("zstd", "zstd"),
    ] {
        let body = compressed(encoding, &plain);
        let done = home().run(encoded(name, body.clone()));
        assert!(
            matches!(done, Done::Accepted { events: 1, .. }),
            "{name}: {done:?}"
        );
        for keep in [0, 1, 5, body.len() / 2, body.len() - 1] {
            let home = home();
            let (status, code) = home.refused(encoded(name, &body[..keep]));
            assert_eq!(
                (status, code),
                (400, "body_damaged"),
                "{encoding} cut to {keep}"
            );
            assert_eq!(
                home.counters(PROJECT),
                BTreeMap::from([
                    ("received/request".to_owned(), 1),
                    (format!("refused/request/{code}"), 1)
                ])
            );
        }
    }
    assert!(matches!(
        home().run(encoded("identity", plain.clone())),
        Done::Accepted { events: 1, .. }
    ));
    let twice = compressed("gzip", &compressed("zstd", &plain));
    assert!(matches!(
        home().run(encoded("zstd, gzip", twice)),
        Done::Accepted { events: 1, .. }
    ));
    for unknown in ["lzma", "gzip, gzip, gzip"] {
        let refused = home().refused(encoded(unknown, plain.clone()));
        assert_eq!(refused, (400, "encoding_unknown"));
    }
}

#[test]
fn a_gzip_body_of_several_members_is_one_body_and_one_of_very_many_is_refused() {
    let plain = sample_envelope();
    let (first, second) = plain.split_at(plain.len() / 2);
    let mut body = compressed("gzip", first);
    body.extend(compressed("gzip", second));
    let done = home().run(encoded("gzip", body.clone()));
    assert!(matches!(done, Done::Accepted { events: 1, .. }), "{done:?}");
    let many = compressed("gzip", b"").repeat(1_000);
    for broken in [[&body[..], b"more"].concat(), many] {
        let refused = home().refused(encoded("gzip", broken));
        assert_eq!(refused, (400, "body_damaged"));
    }
}

/// An envelope with one event whose message is `brotli`, written by the reference encoder.
const BROTLI: &[u8] = include_bytes!("brotli.bin");

#[test]
fn brotli_is_decoded_and_a_cut_off_body_is_refused() {
    let home = home();
    let done = home.run(encoded("br", BROTLI));
    assert!(matches!(done, Done::Accepted { events: 1, .. }), "{done:?}");
    assert_eq!(home.events()[0].message.as_deref(), Some("brotli"));
    for keep in 0..BROTLI.len() {
        let refused = home.refused(encoded("br", &BROTLI[..keep]));
        assert_eq!(refused, (400, "body_damaged"), "cut to {keep}");
    }
}

#[test]
fn a_body_that_unfolds_into_too_much_is_refused_at_the_cap() {
    let bomb = vec![b' '; REQUEST_DECODED_BYTES_MAX + 1];
    for encoding in ["gzip", "zstd", "deflate"] {
        let body = compressed(encoding, &bomb);
        assert!(body.len() < 100_000);
        assert_eq!(
            home().refused(encoded(encoding, body)),
            (413, "body_too_large")
        );
    }
    let too_large = vec![b' '; REQUEST_BYTES_MAX + 1];
    assert_eq!(home().refused(request(too_large)), (413, "body_too_large"));
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let names = prop::sample::select(vec![
            "values",
            "type",
            "value",
            "stacktrace",
            "frames",
            "filename",
            "lineno",
            "vars",
            "id",
            "message",
            "formatted",
            "name",
            "version",
            "password",
            "timestamp",
            "data",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(names.prop_map(str::to_owned), inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_bytes_end_accepted_or_refused(
        body in prop::collection::vec(any::<u8>(), 0..200),
        encoding in prop::sample::select(vec!["", "gzip", "deflate", "br", "zstd", "x"]),
        cut in 0_usize..400,
        damage in 0_usize..400,
    ) {
        let home = home();
        let mut store = encoded(encoding, body.clone());
        store.endpoint = Endpoint::Store;
        home.run(encoded(encoding, body.clone()));
        home.run(store);
        home.run(encoded("", [b"{}\n".to_vec(), body].concat()));
        let mut damaged = BROTLI.to_vec();
        damaged.truncate(cut.max(1));
        let place = damage % damaged.len();
        damaged[place] ^= 0x55;
        home.run(encoded("br", damaged.clone()));
        let mut damaged = envelope_of(&[("event", "{\"message\":1}".into()), ("session", "{}".into())]);
        let place = damage % damaged.len();
        damaged[place] ^= 0x55;
        home.run(request(damaged));
    }

    #[test]
    fn any_json_is_an_event(
        fields in prop::collection::hash_map(
            prop::sample::select(vec![
                "event_id", "timestamp", "level", "platform", "release", "message", "logentry",
                "exception", "threads", "stacktrace", "breadcrumbs", "user", "fingerprint",
                "tags", "contexts", "sdk", "transaction", "environment",
            ]).prop_map(str::to_owned),
            json_value(),
            0..8,
        ),
    ) {
        let event = Value::Object(fields.into_iter().collect());
        let home = home();
        let done = home.run(request(envelope_of(&[("event", event.to_string())])));
        let accepted = matches!(done, Done::Accepted { events: 1, .. });
        prop_assert!(accepted, "{done:?}");
    }
}

#[test]
fn an_event_of_a_client_of_before_envelopes_may_be_zlib_and_base64() {
    let event = b"{\"message\": \"from long ago\"}";
    let packed = compressed("deflate", event);
    let mut lines = STANDARD.encode(&packed);
    lines.insert(20, '\n');
    for body in [
        event.to_vec(),
        packed.clone(),
        STANDARD.encode(event).into_bytes(),
        STANDARD.encode(&packed).into_bytes(),
        lines.into_bytes(),
    ] {
        let home = home();
        let mut request = request(body);
        request.endpoint = Endpoint::Store;
        home.run(request);
        assert_eq!(home.events()[0].message.as_deref(), Some("from long ago"));
    }
    let bomb = compressed("deflate", &vec![0; REQUEST_DECODED_BYTES_MAX + 1]);
    for (body, refusal) in [
        (STANDARD.encode(bomb).into_bytes(), (413, "body_too_large")),
        (packed[..packed.len() - 5].to_vec(), (400, "body_damaged")),
        (b"eA==".to_vec(), (400, "item_broken")),
    ] {
        let mut request = request(body);
        request.endpoint = Endpoint::Store;
        assert_eq!(home().refused(request), refusal);
    }
}
