//! Dumps of crashes, whole and damaged.
#![expect(clippy::unwrap_used, reason = "test code")]

use kintsugi_minidump::{FRAMES_MAX, NotADump, read};
use minidump_synth::{
    DumpString, Exception, Memory, Module, SynthMinidump, SystemInfo, Thread, amd64_context,
};
use proptest::prelude::*;
use test_assembler::{Endian, Section};

const PROGRAM: u64 = 0x40_0000;
const LIBRARY: u64 = 0x7f00_0000_0000;
const STACK: u64 = 0x7fff_0000_0000;
const SECRET: &[u8] = b"password=hunter2";

/// A stack of `depth` frames of 16 bytes: the saved frame pointer and the return address of each, in turn in program and library.
fn stack(depth: u64) -> Section {
    let mut section = Section::with_endian(Endian::Little);
    for place in 0..depth {
        let next = STACK + 16 * (place + 1);
        let back = if place % 2 == 0 {
            PROGRAM + 0x2000
        } else {
            LIBRARY + 0x3000
        };
        section = section.D64(next).D64(back + place % 64);
    }
    section.D64(0).D64(0).append_bytes(SECRET)
}

fn dump(code: u32, address: u64, depth: u64) -> Vec<u8> {
    dump_of(
        ["/opt/till/bin/till", "/usr/lib/libc.so.6"],
        code,
        address,
        depth,
    )
}

fn dump_of(files: [&str; 2], code: u32, address: u64, depth: u64) -> Vec<u8> {
    let endian = Endian::Little;
    let names = files.map(|file| DumpString::new(file, endian));
    let modules = [
        Module::new(endian, PROGRAM, 0x10_0000, &names[0], 1, 1, None),
        Module::new(endian, LIBRARY, 0x10_0000, &names[1], 1, 1, None),
    ];
    let context = amd64_context(endian, PROGRAM + 0x1234, STACK);
    let memory = Memory::with_section(stack(depth), STACK);
    let thread = Thread::new(endian, 7, &memory, &context);
    let mut exception = Exception::new(endian);
    exception.thread_id = 7;
    exception.exception_record.exception_code = code;
    exception.exception_record.exception_flags = 1;
    exception.exception_record.exception_address = address;
    let system = SystemInfo::new(endian)
        .set_processor_architecture(9)
        .set_platform_id(0x8201);
    let mut dump = SynthMinidump::with_endian(endian)
        .add_system_info(system)
        .add_exception(exception)
        .add_thread(thread)
        .add_memory(memory)
        .add(context);
    for name in names {
        dump = dump.add(name);
    }
    for module in modules {
        dump = dump.add_module(module);
    }
    dump.finish().unwrap()
}

#[test]
fn a_crash_has_its_reason_its_thread_and_its_frames() {
    let crash = read(&dump(11, 8, 6)).unwrap();
    assert_eq!(crash.reason.as_deref(), Some("SIGSEGV"));
    assert_eq!(crash.detail, "SEGV_MAPERR near null");
    assert_eq!(
        (crash.system.as_str(), crash.processor.as_str()),
        ("linux", "amd64")
    );
    assert_eq!(crash.thread, Some(7));
    let first = &crash.frames[0];
    assert_eq!(
        (first.module.as_str(), first.offset),
        ("/opt/till/bin/till", 0x1234)
    );
    assert!(first.is_program);
    assert_eq!(first.trust, "context");
    let library = crash
        .frames
        .iter()
        .find(|it| it.module.ends_with("libc.so.6"));
    assert!(!library.unwrap().is_program);
    assert!(crash.frames.len() > 2, "{:?}", crash.frames);
}

#[test]
fn nothing_of_the_memory_of_a_crash_goes_out() {
    let text = format!("{:?}", read(&dump(11, 0x7fff_1234_5678, 3)).unwrap());
    assert!(!text.contains("hunter2"), "{text}");
    assert!(
        !text.contains("12345678") && !text.contains("305419896"),
        "{text}"
    );
}

#[test]
fn a_very_deep_stack_is_walked_as_far_as_the_bound() {
    let crash = read(&dump(6, 0, 500_000)).unwrap();
    assert_eq!(crash.reason.as_deref(), Some("SIGABRT"));
    assert_eq!(crash.frames.len(), FRAMES_MAX);
}

/// Found by the fuzz target: a module without a name, beside a program without a folder, was the product's.
#[test]
fn a_module_without_a_name_is_not_the_program() {
    let crash = read(&dump_of(["", ""], 11, 8, 6)).unwrap();
    assert!(crash.frames.len() > 2, "{:?}", crash.frames);
    assert!(!crash.frames.iter().any(|frame| frame.is_program));
}

#[test]
fn what_is_no_dump_is_refused() {
    for bytes in [&b""[..], b"MDMP", b"MDMP\0\0\0\0", &[0; 4_096]] {
        assert!(read(bytes).is_err());
    }
    let empty = SynthMinidump::with_endian(Endian::Little).finish().unwrap();
    assert_eq!(read(&empty), Err(NotADump::NoSystem));
    assert_eq!(NotADump::NoSystem.code(), "minidump_without_system");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_damaged_dump_ends_in_an_answer(
        damage in prop::collection::vec((any::<usize>(), any::<u8>()), 1..12),
        keep in 0_usize..=100,
    ) {
        let mut bytes = dump(11, 8, 20);
        for (place, value) in damage {
            // Half of the damage goes to the directory and the counts, which decide about everything.
            let end = if value % 2 == 0 { bytes.len() } else { 400 };
            bytes[place % end] = value;
        }
        bytes.truncate(bytes.len() * keep / 100);
        let _ = read(&bytes);
    }
}
