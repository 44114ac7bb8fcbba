//! What holds for every text and every event, and what a scrubbed event looks like.
#![expect(clippy::unwrap_used, reason = "test code")]

use kintsugi_domain::Timestamp;
use kintsugi_domain::event::{Breadcrumb, Event, Exception, Frame, Level, Remark};
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::limits::TEXT_CHARS_MAX;
use kintsugi_scrub::{REMARK_PATH_BYTES_MAX, REMARKS_MAX, Scrubber};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What scanners react to; texts made of it are worse than any real one.
#[rustfmt::skip]
const PIECES: &[&str] = &[
    "password", "token", "api_key", "Cookie", "Authorization", "session", "author", "ssn",
    "credit card", "=", ":", "::", ": ", "://", "==", "=>", "@", ".", "-", "--", "+", "/", "\\",
    " ", "\n", "'", "\"", "\\\"", "(", ")", "[", "]", "{", "}", ",", ";", "%40", "<", ">",
    "Bearer ", "Basic ", "eyJhbGciOiJIUzI1NiJ9.", "/home/", "/Users/", "C:\\Users\\", "é", "…",
    "-----BEGIN KEY-----", "-----END KEY-----", "4111 1111 1111 1111", "4111111111111111",
    "DE89370400440532013000", "219-09-9998", "10.1.2.3", "2001:db8::1", "00:1B:44:11:3A:B7",
    "+14155552671", "a@b.co", "[email]", "[secret]", "[", "1", "12", "f", "beef", "abc", "http",
    "%2F", "%3A", "%FF", "+", "4111+1111+1111+1111", "a%40b.co", "415-234-2671", "(415) 234-2671", "phone",
    "001b.4411.3ab7", "Cookie: a=b", "-us1", "bot", ":AA", "git", "example", ".com", "sk_live_", "0123456789abcdef", "GET ", "v", "version ",
    "\\n", "\\", "%5B", "%5D=", "<token>", "</token>", "<![CDATA[", "]]>", "name", "key", "value", "Some(", "Digest ", "a=\"",
    "password '", "IDENTIFIED BY '", "login ", "curl -u ", "@tcp(", ":thin:", "call ", "030 9856436", "0049 171 2908438", "(0)", "$TOKEN",
    "form-data; name=\"token\"", "&sig=", "auth:8080", "a1b2c3d4", "config.token", "PWD=/x", "TokenException",
];

fn piece() -> impl Strategy<Value = String> {
    let fixed = prop::sample::select(PIECES).prop_map(str::to_owned);
    prop_oneof![8 => fixed, 1 => any::<String>().prop_map(|text| text.chars().take(6).collect())]
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(piece(), 0..24).prop_map(|pieces| pieces.concat())
}

/// JSON of any shape, with names and texts that scanners react to.
fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        4 => text().prop_map(Value::String),
        1 => any::<u64>().prop_map(|number| json!(number)),
        1 => any::<i32>().prop_map(|number| json!(f64::from(number) / 8.0)),
        1 => Just(json!(4_111_111_111_111_111_u64)),
        1 => prop::sample::select(vec![json!(null), json!(true), json!([]), json!({})]),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        let name = prop_oneof![2 => piece(), 1 => text()];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            prop::collection::vec((name, inner), 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn scrub(text: &str) -> (String, Vec<Remark>) {
    Scrubber::new(b"salt").scrub_text("message", text)
}

/// A name that must go makes the scrubber read the whole document and write it again.
#[test]
fn a_number_beside_what_is_removed_stays_what_it_was() {
    for number in [
        "1.1111111111111109e+94",
        "0.1",
        "9007199254740993",
        "2.2250738585072014e-308",
    ] {
        let text = format!(r#"{{"a@b.co":1,"n":{number}}}"#);
        let (scrubbed, _) = Scrubber::new(b"salt").scrub_json(&text).unwrap();
        assert_eq!(scrubbed, format!(r#"{{"[email]":1,"n":{number}}}"#));
    }
}

/// Found by damaged seeds: the placeholder for credentials promised a secret the second time.
#[test]
fn what_stands_for_a_part_of_a_name_promises_as_much_the_first_time_as_the_second() {
    let scrubber = Scrubber::new(b"salt");
    for text in [
        r#"["https://u:p@h/","sid=1e91"]"#,
        r#"{"name":"https://u:p@h/","value":"sid=1e91"}"#,
    ] {
        let (once, _) = scrubber.scrub_json(text).unwrap();
        let (twice, remarks) = scrubber.scrub_json(&once).unwrap();
        assert_eq!(twice, once);
        assert!(remarks.is_empty(), "{remarks:?}");
        let mut value: Value = serde_json::from_str(text).unwrap();
        scrubber.scrub_value("", &mut value);
        assert_eq!(value.to_string(), once);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn scrubbing_what_was_scrubbed_changes_nothing(text in text()) {
        let (once, _) = scrub(&text);
        let (twice, remarks) = scrub(&once);
        prop_assert_eq!(&twice, &once, "from {:?}", text);
        prop_assert!(remarks.is_empty());
    }

    #[test]
    fn every_remark_names_the_placeholder_it_left(text in text()) {
        let (scrubbed, remarks) = scrub(&text);
        for remark in &remarks {
            let placeholder = scrubbed.get(remark.range.0..remark.range.1).unwrap();
            prop_assert!(placeholder.starts_with('[') && placeholder.ends_with(']'),
                "{:?} of {:?} is {:?}", remark, scrubbed, placeholder);
        }
        prop_assert_eq!(remarks.is_empty(), scrubbed == text);
    }

    #[test]
    fn a_text_grows_by_no_more_than_a_placeholder_for_each_byte(text in text()) {
        let (scrubbed, _) = scrub(&text);
        prop_assert!(scrubbed.len() <= 16 * text.len());
    }

    #[test]
    fn json_scrubbed_as_it_is_read_is_json_scrubbed_in_memory(value in json_value()) {
        let scrubber = Scrubber::new(b"salt");
        let (scrubbed, remarks) = scrubber.scrub_json(&value.to_string()).unwrap();
        let mut expected = value;
        let expected_remarks = scrubber.scrub_value("", &mut expected);
        prop_assert_eq!(serde_json::from_str::<Value>(&scrubbed).unwrap(), expected);
        prop_assert_eq!(remarks, expected_remarks);
    }

    #[test]
    fn what_is_no_json_is_refused_or_stays_none(text in text()) {
        let scrubber = Scrubber::new(b"salt");
        if let Ok((scrubbed, _)) = scrubber.scrub_json(&text)
            && serde_json::from_str::<Value>(&text).is_ok()
        {
            prop_assert!(serde_json::from_str::<Value>(&scrubbed).is_ok());
        } else {
            prop_assert!(serde_json::from_str::<Value>(&text).is_err());
        }
    }

    #[test]
    fn any_json_comes_to_rest(leaves in prop::collection::vec((text(), text()), 0..6)) {
        let mut value = Value::Object(
            leaves.iter().map(|(name, text)| (name.clone(), json!([text, {"password": text}]))).collect(),
        );
        let scrubber = Scrubber::new(b"salt");
        scrubber.scrub_value("", &mut value);
        let once = value.clone();
        let remarks = scrubber.scrub_value("", &mut value);
        prop_assert_eq!(value, once);
        prop_assert!(remarks.is_empty());
    }
}

fn event() -> Event {
    Event {
        id: "a".parse().unwrap(),
        project: ProjectId(1),
        occurred_at: Timestamp::UNIX_EPOCH,
        received_at: Timestamp::UNIX_EPOCH,
        level: Level::Error,
        platform: "python".into(),
        release: Some("till@1.2.3.4".into()),
        environment: Some("production".into()),
        transaction: Some("/pay/alice@example.org".into()),
        message: Some("mail to alice@example.org failed".into()),
        exceptions: vec![Exception {
            kind: "ValueError".into(),
            value: "bad card 4111 1111 1111 1111".into(),
            frames: vec![Frame {
                file: "till/pay.py".into(),
                path: Some("/home/alice/till/pay.py".into()),
                source: Some("    password = read(password=\"hunter2\")".into()),
                vars: BTreeMap::from([
                    ("count".into(), json!("0")),
                    ("items".into(), json!("[1, 2]")),
                    ("map".into(), json!({"a": "3"})),
                    ("printed".into(), json!("{'a': '3'}")),
                    ("password".into(), json!("'hunter2'")),
                    (
                        "settings".into(),
                        json!("Settings(api_key='abc', width=42)"),
                    ),
                    ("number".into(), json!(4_111_111_111_111_111_u64)),
                    (
                        "by_user".into(),
                        json!({"alice@example.org": "1", "bob@example.org": "2"}),
                    ),
                    ("argv".into(), json!(["'--token'", "'abc'", "'x'"])),
                    (
                        "headers".into(),
                        json!([["Cookie", "sid=1"], ["Accept", "*/*"]]),
                    ),
                ]),
                ..Frame::default()
            }],
            ..Exception::default()
        }],
        breadcrumbs: vec![Breadcrumb {
            at: None,
            category: "http".into(),
            message: "GET https://u:pw@example.org/?token=abc".into(),
        }],
        user: None,
        fingerprint: vec!["alice@example.org".into()],
        tags: BTreeMap::from([
            ("client".into(), "10.1.2.3".into()),
            ("session_id".into(), "abc".into()),
        ]),
        system: BTreeMap::from([("os".into(), "Linux 6.1".into())]),
        sdk: Some("sentry.python 2.75.0".into()),
        details: BTreeMap::new(),
        remarks: vec![],
        category: kintsugi_domain::accounting::Category::Error,
    }
}

#[test]
fn an_event_is_scrubbed_everywhere_and_stays_useful() {
    let scrubber = Scrubber::new(b"salt");
    let mut event = event();
    scrubber.scrub_event(&mut event);
    let exception = &event.exceptions[0];
    let frame = &exception.frames[0];
    assert_eq!(event.message.as_deref(), Some("mail to [email] failed"));
    assert_eq!(event.transaction.as_deref(), Some("/pay/[email]"));
    assert_eq!(event.release.as_deref(), Some("till@1.2.3.4"));
    assert_eq!(exception.value, "bad card [card]");
    assert_eq!(frame.path.as_deref(), Some("/home/[user]/till/pay.py"));
    assert_eq!(
        frame.source.as_deref(),
        Some("    password = read(password=\"[secret]\")")
    );
    assert_eq!(
        serde_json::to_value(&frame.vars).unwrap(),
        json!({
            "argv": ["'--token'", "'[secret]'", "'x'"],
            "by_user": {"[email]": "1", "[email-2]": "2"},
            "count": "0",
            "headers": [["Cookie", "[secret]"], ["Accept", "*/*"]],
            "items": "[1, 2]",
            "map": {"a": "3"},
            "number": "[card]",
            "password": "'[secret]'",
            "printed": "{'a': '3'}",
            "settings": "Settings(api_key='[secret]', width=42)",
        })
    );
    assert_eq!(
        event.breadcrumbs[0].message,
        "GET https://[credentials]@example.org/?token=[secret]"
    );
    assert_eq!(event.fingerprint, ["[email]"]);
    assert_eq!(event.tags["client"], "[ip]");
    assert_eq!(event.tags["session_id"], "[secret]");
    assert_eq!(event.system["os"], "Linux 6.1");
    let remark = event
        .remarks
        .iter()
        .find(|remark| remark.path == "exceptions.0.value")
        .unwrap();
    assert_eq!((remark.rule.as_str(), remark.range), ("card", (9, 15)));

    let once = event.clone();
    scrubber.scrub_event(&mut event);
    assert_eq!(event, once);
}

#[test]
fn an_over_long_text_is_cut_with_a_mark_and_nothing_leaks_at_the_cut() {
    let text = "x".repeat(TEXT_CHARS_MAX - 20) + " 4111 1111 1111 1111 and more and more";
    let (cut, remarks) = scrub(&text);
    assert!(cut.chars().count() <= TEXT_CHARS_MAX);
    assert!(cut.ends_with("…[cut]") && !cut.contains("4111"), "{cut}");
    assert_eq!(remarks.last().unwrap().rule, "length");
    assert_eq!(scrub(&cut), (cut.clone(), vec![]));
}

#[test]
fn remarks_are_bounded() {
    let mut event = event();
    event.message = Some("a@b.co ".repeat(1_000));
    Scrubber::new(b"").scrub_event(&mut event);
    assert_eq!(event.remarks.len(), REMARKS_MAX);
    assert_eq!(event.remarks.last().unwrap().rule, "more");
    assert!(!event.message.unwrap().contains('@'));
}

/// Found by reading for the fuzz targets: a hundred names of ten thousand bytes around ten thousand addresses wrote a path of a megabyte
/// for each, and kept two hundred of them.
#[test]
fn long_names_around_many_finds_are_neither_written_for_each_nor_kept_whole() {
    let mut value = json!(vec!["a@b.co"; 10_000]);
    for _ in 0..100 {
        value = json!({ "n".repeat(TEXT_CHARS_MAX): value });
    }
    let scrubber = Scrubber::new(b"");
    let text = value.to_string();
    let (scrubbed, remarks) = scrubber.scrub_json(&text).unwrap();
    assert_eq!(remarks, scrubber.scrub_value("", &mut value));
    assert_eq!(scrubbed, value.to_string());
    assert_eq!(remarks.len(), REMARKS_MAX);
    let (first, last) = (&remarks[0], &remarks[REMARKS_MAX - 1]);
    assert!(first.path.starts_with("…n") && first.path.ends_with("n.0"));
    assert_eq!(last.rule, "more");
    let longest = remarks.iter().map(|remark| remark.path.len()).max();
    assert_eq!(longest, Some(REMARK_PATH_BYTES_MAX));
}

/// Found by doubling repeated words: two dashes behind any sign look like a flag of a command line, whose name was read to its end, and so
/// were credentials in a form. Read to the end from each place these would take minutes, and the megabytes of an attachment hours.
#[test]
fn a_text_of_beginnings_is_not_read_to_its_end_from_each() {
    for piece in [".--", "--.", "a.--", "--a-.", "/--", "--é--", "basic+"] {
        let text = piece.repeat(256 * 1024 / piece.len());
        let (scrubbed, remarks) = Scrubber::new(b"").scrub_long_text("", &text);
        assert!(remarks.is_empty() && scrubbed == text);
    }
}

/// A value that may stay is read again from its next sign: nothing is looked at to its end for that.
#[test]
fn a_line_of_parameters_is_not_read_to_its_end_from_each() {
    let line = "a?token=".repeat(256 * 1024 / 8);
    let text = json!({ "context_line": line }).to_string();
    let (_, remarks) = Scrubber::new(b"").scrub_json(&text).unwrap();
    assert!(remarks.iter().all(|remark| remark.rule == "length"));
}

#[test]
fn values_nested_deeper_than_any_parser_goes_are_removed() {
    let mut value = json!("alice@example.org");
    for _ in 0..300 {
        value = json!([value]);
    }
    Scrubber::new(b"").scrub_value("", &mut value);
    assert!(!value.to_string().contains("alice"));
}

#[test]
fn a_pair_or_a_listed_name_makes_the_value_beside_it_a_secret_if_it_can_be_one() {
    let scrubber = Scrubber::new(b"");
    for (given, expected) in [
        // Queries, tags and headers as Sentry's SDKs write them.
        (
            r#"[["page","2"],["api_key","a1b2c3d4"],["tax_id","123456789"]]"#,
            r#"[["page","2"],["api_key","[secret]"],["tax_id","[tax-id]"]]"#,
        ),
        // Lists of names, and of more than two.
        (
            r#"[["password","email"],["password","password2"],["token","a1b2c3","x"]]"#,
            r#"[["password","email"],["password","password2"],["token","a1b2c3","x"]]"#,
        ),
        (
            r#"[{"name":"DB_PASS","value":"x y"},{"key":"otp","value":123456}]"#,
            r#"[{"name":"DB_PASS","value":"[secret]"},{"key":"otp","value":"[secret]"}]"#,
        ),
        (
            r#"{"name":"total","value":"x y"}"#,
            r#"{"name":"total","value":"x y"}"#,
        ),
        // In any order, and the first name that promises something.
        (
            r#"[{"value":"x y","name":"secret"}]"#,
            r#"[{"value":"[secret]","name":"secret"}]"#,
        ),
        (
            r#"{"key":"ssn","value":"1 2","name":"secret"}"#,
            r#"{"key":"ssn","value":"[secret]","name":"secret"}"#,
        ),
        (
            r#"{"name":"password","value":""}"#,
            r#"{"name":"password","value":""}"#,
        ),
    ] {
        let expected: Value = serde_json::from_str(expected).unwrap();
        let (text, _) = scrubber.scrub_json(given).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
        let mut value: Value = serde_json::from_str(given).unwrap();
        scrubber.scrub_value("", &mut value);
        assert_eq!(value, expected);
        assert!(scrubber.scrub_value("", &mut value).is_empty());
    }
}

#[test]
fn a_literal_of_a_source_line_may_hold_a_password_among_its_parameters() {
    for (given, expected) in [
        (
            r#"conn = "Server=db;Password=hunter22;Encrypt=True""#,
            r#"conn = "Server=db;Password=[secret];Encrypt=True""#,
        ),
        (
            r#"get("https://example.com/?a=1&api_key=a1b2c3d4&x=1")"#,
            r#"get("https://example.com/?a=1&api_key=[secret]&x=1")"#,
        ),
        // What programs made shorter look like.
        (
            "a?token=t:b;password=e;c=d&secret=f",
            "a?token=t:b;password=e;c=d&secret=f",
        ),
    ] {
        let mut value = json!({ "context_line": given });
        Scrubber::new(b"").scrub_value("", &mut value);
        assert_eq!(value, json!({ "context_line": expected }));
    }
}

#[test]
fn only_a_flag_or_the_name_of_a_header_makes_the_next_text_a_secret() {
    let scrubber = Scrubber::new(b"");
    for (given, expected) in [
        (
            json!(["--password", "a", "b"]),
            json!(["--password", "[secret]", "b"]),
        ),
        (
            json!(["--password=a", "b"]),
            json!(["--password=[secret]", "b"]),
        ),
        (
            json!(["--password::-----BEGIN KEY-----\nAB", {"a": "b"}]),
            json!(["--password::[pem]", {"a": "b"}]),
        ),
        (
            json!([
                ["Cookie", "sid"],
                ["Accept", "x"],
                ["Cookie", "sid", "x"],
                ["sid", "Cookie"]
            ]),
            json!([
                ["Cookie", "[secret]"],
                ["Accept", "x"],
                ["Cookie", "sid", "x"],
                ["sid", "Cookie"]
            ]),
        ),
    ] {
        let (text, _) = scrubber.scrub_json(&given.to_string()).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
        let mut value = given;
        scrubber.scrub_value("", &mut value);
        assert_eq!(value, expected);
        assert!(scrubber.scrub_value("", &mut value).is_empty());
    }
}
