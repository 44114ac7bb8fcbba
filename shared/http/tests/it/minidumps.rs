//! Minidumps of crash reporters.

use crate::home::{Home, KEY, home};
use kintsugi_domain::envelope::{Message, Queue};
use kintsugi_domain::event::Event;
use kintsugi_domain::limits::REQUEST_BYTES_MAX;
use minidump_synth::{
    DumpString, Exception, Memory, Module, SynthMinidump, SystemInfo, Thread, amd64_context,
};
use test_assembler::{Endian, Section};

const FORM: (&str, &str) = ("content-type", "multipart/form-data; boundary=XyZ");

/// A dump of a null pointer in `/opt/till/bin/till`, with a secret on the stack.
fn dump() -> Vec<u8> {
    let endian = Endian::Little;
    let name = DumpString::new("/opt/till/bin/till", endian);
    let module = Module::new(endian, 0x40_0000, 0x10_0000, &name, 1, 1, None);
    let stack = Section::with_endian(endian).append_bytes(b"password=hunter2");
    let memory = Memory::with_section(stack, 0x7fff_0000_0000);
    let context = amd64_context(endian, 0x40_1234, 0x7fff_0000_0000);
    let mut exception = Exception::new(endian);
    exception.thread_id = 7;
    exception.exception_record.exception_code = 11;
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

fn form(name: &str, content: &[u8]) -> Vec<u8> {
    let head = format!(
        "--XyZ\r\nContent-Disposition: form-data; name=\"sentry[release]\"\r\n\r\ntill@1.0.0\r\n\
         --XyZ\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"x.dmp\"\r\n\r\n"
    );
    [head.as_bytes(), content, b"\r\n--XyZ--\r\n"].concat()
}

async fn events(home: &Home) -> Vec<Event> {
    let waiting = home.handed_on(Queue::Events).await;
    let events = waiting.into_iter().map(|envelope| {
        let Message::Reported { events } = envelope.message else {
            panic!("not a report");
        };
        events
    });
    events.flatten().map(|body| body.event().unwrap()).collect()
}

#[tokio::test]
async fn a_minidump_is_taken_with_and_without_the_last_slash_and_nothing_of_its_memory_stays() {
    for path in ["/api/1/minidump/", "/api/1/minidump"] {
        let home = home().await;
        let path = format!("{path}?sentry_key={KEY}");
        let body = form("upload_file_minidump", &dump());
        let answer = home.post(&path, &[FORM], body).await;
        assert_eq!(answer.status, 200, "{path}");
        let events = events(&home).await;
        assert_eq!(events.len(), 1);
        let crash = &events[0].exceptions[0];
        assert_eq!(crash.kind, "SIGSEGV");
        assert_eq!(crash.frames.last().unwrap().function, "till+0x1234");
        assert_eq!(events[0].release.as_deref(), Some("till@1.0.0"));
        // Crash reporters read the id of the event as text.
        assert!(
            String::from_utf8(answer.body)
                .unwrap()
                .contains(events[0].id.as_str())
        );
        assert!(!format!("{events:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn what_is_no_minidump_is_refused_with_its_reason() {
    let home = home().await;
    let path = format!("/api/1/minidump/?sentry_key={KEY}");
    for (body, reason) in [
        (form("upload_file_minidump", b""), 400),
        (form("something_else", &dump()), 400),
        (b"neither form nor dump".to_vec(), 400),
        (vec![b'x'; REQUEST_BYTES_MAX + 1], 413),
    ] {
        let answer = home.post(&path, &[FORM], body).await;
        assert_eq!(answer.status, reason);
    }
    let nobody = home.post(
        "/api/1/minidump/?sentry_key=00",
        &[FORM],
        form("upload_file_minidump", &dump()),
    );
    assert_eq!(nobody.await.status, 403);
    assert!(events(&home).await.is_empty());
}
