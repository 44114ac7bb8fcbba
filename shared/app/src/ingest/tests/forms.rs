//! Minidumps as crash reporters send them: in a form, alone, and in an envelope.

use super::{Home, home, request};
use crate::ingest::{Done, Endpoint, Request};
use kintsugi_domain::event::Level;
use kintsugi_domain::limits::EVENT_BYTES_MAX;
use kintsugi_domain::record::Kind;
use minidump_synth::{
    DumpString, Exception, Memory, Module, SynthMinidump, SystemInfo, Thread, amd64_context,
};
use proptest::prelude::*;
use serde_json::json;
use test_assembler::{Endian, Section};

/// A dump of a null pointer in `/opt/till/bin/till`, with a secret on the stack.
pub(in crate::ingest) fn dump() -> Vec<u8> {
    let endian = Endian::Little;
    let name = DumpString::new("/home/alice/till/bin/till", endian);
    let module = Module::new(endian, 0x40_0000, 0x10_0000, &name, 1, 1, None);
    let stack = Section::with_endian(endian)
        .D64(0)
        .D64(0x40_2000)
        .append_bytes(b"password=hunter2");
    let memory = Memory::with_section(stack, 0x7fff_0000_0000);
    let context = amd64_context(endian, 0x40_1234, 0x7fff_0000_0000);
    let mut exception = Exception::new(endian);
    exception.thread_id = 7;
    exception.exception_record.exception_code = 11;
    exception.exception_record.exception_flags = 1;
    let system = SystemInfo::new(endian)
        .set_processor_architecture(9)
        .set_platform_id(0x8201);
    let dump = SynthMinidump::with_endian(endian)
        .add_system_info(system)
        .add_exception(exception)
        .add_thread(Thread::new(endian, 7, &memory, &context))
        .add_memory(memory)
        .add(context)
        .add(name)
        .add_module(module);
    dump.finish().unwrap()
}

fn form(parts: &[(&str, Option<&str>, &[u8])]) -> Request {
    let mut body = Vec::new();
    for (name, file, content) in parts {
        body.extend(b"--XyZ\r\n");
        let file = file
            .map(|file| format!("; filename=\"{file}\""))
            .unwrap_or_default();
        body.extend(
            format!("Content-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n").bytes(),
        );
        body.extend(*content);
        body.extend(b"\r\n");
    }
    body.extend(b"--XyZ--\r\n");
    sent("multipart/form-data; boundary=XyZ", body)
}

fn sent(content_type: &str, body: Vec<u8>) -> Request {
    let mut sent = request(body);
    sent.endpoint = Endpoint::Minidump;
    sent.headers
        .push(("Content-Type".into(), content_type.into()));
    sent
}

pub(in crate::ingest) fn crash(home: &Home) {
    let events = home.events();
    assert_eq!(events.len(), 1);
    let event = &events[0];
    assert_eq!(
        (event.level, event.platform.as_str()),
        (Level::Fatal, "native")
    );
    assert_eq!(event.title(), "SIGSEGV: SEGV_MAPERR near null");
    assert!(event.is_unhandled());
    let culprit = event.culprit().unwrap();
    assert_eq!(
        (culprit.file.as_str(), culprit.function.as_str()),
        ("till", "till+0x1234")
    );
    assert!(culprit.in_app);
    assert_eq!(event.details["contexts"]["crash"], json!({"thread": 7}));
    let stored = format!("{:?}", home.messages());
    for secret in ["hunter2", "alice"] {
        assert!(!stored.contains(secret), "{secret} in {stored}");
    }
    assert!(home.account().adds_up());
}

#[test]
fn a_minidump_becomes_an_event_of_where_it_crashed() {
    let home = home();
    let done = home.run(form(&[
        ("upload_file_minidump", Some("x.dmp"), &dump()),
        (
            "sentry",
            None,
            br#"{"release": "till@1.0.0", "event_id": "8992c60fe83744e8bba14fccec5c99cd"}"#,
        ),
        ("sentry[environment]", None, b"production"),
        ("sentry[tags][till]", None, b"7"),
        ("prod", None, b"Till"),
        ("log", Some("till.log"), b"alice@example.org logged in"),
    ]));
    assert!(
        matches!(
            done,
            Done::Accepted {
                events: 1,
                items_skipped: 0,
                ..
            }
        ),
        "{done:?}"
    );
    crash(&home);
    let event = home.events().remove(0);
    assert_eq!(event.id.as_str(), "8992c60fe83744e8bba14fccec5c99cd");
    assert_eq!(event.release.as_deref(), Some("till@1.0.0"));
    assert_eq!(event.environment.as_deref(), Some("production"));
    assert_eq!(
        (event.tags["till"].as_str(), event.tags["prod"].as_str()),
        ("7", "Till")
    );
    assert_eq!(event.system["os"], "linux");
    let attached = home.memory.store.records(Kind::Attachment);
    assert_eq!(attached.len(), 1);
    assert!(
        attached[0]
            .body
            .contains("8992c60fe83744e8bba14fccec5c99cd")
    );
}

#[test]
fn a_minidump_may_come_alone_and_in_an_envelope() {
    let alone = home();
    alone.run(sent("application/octet-stream", dump()));
    crash(&alone);

    let dump = dump();
    let mut body = b"{}\n".to_vec();
    let head = json!({"type": "attachment", "length": dump.len(), "attachment_type": "event.minidump", "filename": "x.dmp"});
    body.extend(format!("{head}\n").bytes());
    body.extend(&dump);
    let enveloped = home();
    enveloped.run(request(body));
    crash(&enveloped);
}

#[test]
fn a_form_without_a_good_minidump_is_refused_and_counted() {
    for sent in [
        form(&[("sentry", None, b"{}")]),
        sent("multipart/form-data", dump().split_off(4)),
        sent("text/plain", b"x".to_vec()),
        sent(
            "multipart/form-data; boundary=XyZ",
            b"--XyZ\r\n\r\n".to_vec(),
        ),
    ] {
        let home = home();
        assert_eq!(home.refused(sent), (400, "minidump_missing"));
        assert!(home.account().adds_up());
    }
    let home = home();
    let broken = form(&[("upload_file_minidump", Some("x.dmp"), b"MDMP and no more")]);
    assert_eq!(home.refused(broken), (400, "item_broken"));
    assert_eq!(home.account().categories["error"].dropped["broken"], 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_form_ends_accepted_or_refused(
        damage in prop::collection::vec((any::<usize>(), any::<u8>()), 0..10),
        keep in 0_usize..=100,
    ) {
        let mut request = form(&[
            ("upload_file_minidump", Some("x.dmp"), &dump()),
            ("sentry[a][b][c][d][e]", None, b"x"),
            ("sentry", None, b"{\"contexts\": 7, \"tags\": []}"),
        ]);
        for (place, value) in damage {
            let end = request.body.len();
            request.body[place % end] = value;
        }
        request.body.truncate(request.body.len() * keep / 100);
        let home = home();
        home.run(request);
        prop_assert!(home.account().adds_up());
    }
}

#[test]
fn the_event_of_a_form_may_come_in_pieces_after_other_fields() {
    let home = home();
    home.run(form(&[
        ("prod", None, b"Till"),
        (
            "sentry__2",
            None,
            b"\"till@1.0.0\", \"tags\": {\"till\": \"7\"}}",
        ),
        ("sentry__1", None, b"{\"release\": "),
        ("sentry___scope", None, b"{\"environment\": \"production\"}"),
        ("upload_file_minidump", Some("x.dmp"), &dump()),
    ]));
    let event = home.events().remove(0);
    assert_eq!(event.release.as_deref(), Some("till@1.0.0"));
    assert_eq!(event.environment.as_deref(), Some("production"));
    let tags: Vec<_> = event.tags.into_iter().collect();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(tags, [pair("prod", "Till"), pair("till", "7")]);
}

#[test]
fn what_sentry_native_writes_beside_a_dump_completes_its_event() {
    // {"release": "till@1.0.0", "tags": {"till": "7"}}
    let said = b"\x82\xa7release\xaatill@1.0.0\xa4tags\x81\xa4till\xa17";
    // {"message": …, "timestamp": …}, the older one in the second file.
    let newer = b"\x82\xa7message\xa5newer\xa9timestamp\xb42027-01-15T07:00:02Z";
    let older = b"\x82\xa7message\xa5older\xa9timestamp\xb42027-01-15T07:00:01Z";
    let home = home();
    home.run(form(&[
        ("__sentry-event", Some("__sentry-event"), said),
        ("__sentry-breadcrumb1", Some("__sentry-breadcrumb1"), newer),
        ("__sentry-breadcrumb2", Some("__sentry-breadcrumb2"), older),
        ("upload_file_minidump", Some("x.dmp"), &dump()),
    ]));
    crash(&home);
    let event = home.events().remove(0);
    assert_eq!(event.release.as_deref(), Some("till@1.0.0"));
    assert_eq!(event.tags["till"], "7");
    let crumbs: Vec<&str> = event
        .breadcrumbs
        .iter()
        .map(|it| it.message.as_str())
        .collect();
    assert_eq!(crumbs, ["older", "newer"]);
    assert_eq!(
        home.account().categories.len(),
        1,
        "they are no attachments"
    );
}

#[test]
fn what_parts_of_a_form_say_of_the_event_has_room_for_one_event() {
    let long = "0,".repeat(EVENT_BYTES_MAX / 4);
    let said = |name: &str| format!("{{\"tags\":{{\"{name}\":\"yes\"}},\"{name}\":[{long}0]}}");
    let packed = [&b"\xdd\x00\x08\x00\x00"[..], &b"\xc0".repeat(0x80000)].concat();
    let home = home();
    home.run(form(&[
        ("sentry___a", None, said("first").as_bytes()),
        ("sentry___b", None, said("second").as_bytes()),
        ("__sentry-breadcrumb1", Some("crumbs"), &packed),
        ("sentry___c", None, b"{\"tags\":{\"third\":\"yes\"}}"),
        ("upload_file_minidump", Some("x.dmp"), &dump()),
    ]));
    let event = home.events().remove(0);
    let tags: Vec<&str> = event.tags.keys().map(String::as_str).collect();
    assert_eq!(tags, ["first", "third"]);
    assert!(home.account().adds_up());
}

/// An envelope with an event and an attachment that says it is a dump.
fn with_event(dump: &[u8]) -> Request {
    let event = json!({"event_id": "8992c60fe83744e8bba14fccec5c99cd", "release": "till@1.0.0"})
        .to_string();
    let head = json!({"type": "attachment", "length": dump.len(), "attachment_type": "event.minidump", "event": {"release": "no"}});
    let mut body = format!("{{}}\n{head}\n").into_bytes();
    body.extend(dump);
    body.extend(format!("\n{}\n{event}", json!({"type": "event"})).bytes());
    request(body)
}

#[test]
fn a_dump_in_an_envelope_completes_the_event_beside_it() {
    let home = home();
    home.run(with_event(&dump()));
    crash(&home);
    let event = home.events().remove(0);
    assert_eq!(event.id.as_str(), "8992c60fe83744e8bba14fccec5c99cd");
    assert_eq!(event.release.as_deref(), Some("till@1.0.0"));
    assert_eq!(home.account().categories["error"].received, 1);
}

#[test]
fn a_dump_that_cannot_be_read_does_not_take_the_event_with_it() {
    let home = home();
    home.run(with_event(b"MDMP and no more"));
    let event = home.events().remove(0);
    assert_eq!(event.release.as_deref(), Some("till@1.0.0"));
    let account = home.account();
    assert!(account.adds_up());
    assert_eq!(account.categories["error"].received, 1);
    assert_eq!(account.categories["attachment"].dropped["broken"], 1);
}
