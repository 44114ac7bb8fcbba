//! Minidumps: `kintsugi_minidump`, which stands between strangers' dumps and a library for them.

use kintsugi_minidump::{Crash, FRAMES_MAX, read};
use minidump_synth::{
    DumpString, Exception, Memory, Module, SynthMinidump, SystemInfo, Thread, amd64_context,
    x86_context,
};
use test_assembler::{Endian, Section};

pub(crate) const WORDS: &[&str] = &[
    "MDMP",
    "/lib/",
    "/usr/lib",
    "c:\\windows\\",
    "\u{1}\u{0}\u{0}\u{0}",
    "\u{3}\u{0}\u{0}\u{0}",
    "\u{4}\u{0}\u{0}\u{0}",
    "\u{5}\u{0}\u{0}\u{0}",
    "\u{6}\u{0}\u{0}\u{0}",
    "\u{7}\u{0}\u{0}\u{0}",
    "\u{9}\u{0}\u{0}\u{0}",
    "\u{f}\u{0}\u{0}\u{0}",
    "RSDS",
    "\u{0}\u{0}\u{0}\u{0}",
    "\u{7f}\u{7f}\u{7f}\u{7f}",
];

/// A name is UTF-16 in the dump, so that its text is at most one and a half times as long; and one text stands for many frames.
const NAME_GROWS: usize = 2;

pub(crate) fn one(input: &[u8]) {
    let Ok(crash) = read(input) else {
        return;
    };
    let Crash {
        reason,
        detail,
        system,
        processor,
        thread: _,
        frames,
    } = &crash;
    assert!(frames.len() <= FRAMES_MAX);
    let words = [
        reason.as_deref().unwrap_or_default(),
        detail,
        system,
        processor,
    ];
    for text in words {
        assert!(text.len() <= 200, "{text}");
    }
    for frame in frames {
        assert!(frame.module.len() <= NAME_GROWS * input.len());
        let build = frame.build.as_deref().unwrap_or_default();
        assert!(build.len() <= 64, "{build}");
        assert!(frame.trust.len() <= 20 && !(frame.is_program && frame.module.is_empty()));
    }
    // What is said of a dump is said again.
    assert_eq!(read(input).as_ref(), Ok(&crash));
}

const PROGRAM: u64 = 0x40_0000;
const LIBRARY: u64 = 0x7f00_0000_0000;
const STACK: u64 = 0x7fff_0000_0000;

/// A small dump of a crash, as Breakpad and Crashpad write them.
fn dump(endian: Endian, platform: u32, is_64: bool, code: u32, depth: u64) -> Vec<u8> {
    let names = [
        DumpString::new("/opt/till/bin/till", endian),
        DumpString::new("/usr/lib/libc.so.6", endian),
    ];
    let (program, library, stack) = if is_64 {
        (PROGRAM, LIBRARY, STACK)
    } else {
        (PROGRAM, 0x7000_0000, 0xbf00_0000)
    };
    let [first, second] = &names;
    let modules = [
        Module::new(endian, program, 0x10_0000, first, 1, 1, None),
        Module::new(endian, library, 0x10_0000, second, 1, 1, None),
    ];
    let context = if is_64 {
        amd64_context(endian, program + 0x1234, stack)
    } else {
        x86_context(endian, 0x40_1234, 0xbf00_0000)
    };
    let mut section = Section::with_endian(endian);
    for place in 0..depth {
        let back = if place % 2 == 0 { program } else { library };
        section = section
            .D64(stack + 16 * (place + 1))
            .D64(back + 0x2000 + place);
    }
    let memory = Memory::with_section(section.D64(0).D64(0), stack);
    let thread = Thread::new(endian, 7, &memory, &context);
    let mut exception = Exception::new(endian);
    exception.thread_id = 7;
    exception.exception_record.exception_code = code;
    exception.exception_record.exception_flags = 1;
    exception.exception_record.exception_address = 8;
    let system = SystemInfo::new(endian)
        .set_processor_architecture(if is_64 { 9 } else { 0 })
        .set_platform_id(platform);
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

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    vec![
        dump(Endian::Little, 0x8201, true, 11, 6),
        dump(Endian::Little, 2, true, 0xc000_0005, 4),
        dump(Endian::Little, 0x8101, true, 1, 4),
        dump(Endian::Little, 0x8201, false, 6, 4),
        dump(Endian::Big, 0x8201, true, 8, 2),
        SynthMinidump::with_endian(Endian::Little).finish().unwrap(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_are_dumps_with_frames_but_for_the_empty_one() {
        let mut seeds = seeds();
        assert!(read(&seeds.pop().unwrap()).is_err());
        for (place, seed) in seeds.iter().enumerate() {
            let crash = read(seed).unwrap();
            assert!(
                crash.reason.is_some() && crash.frames.len() > 1,
                "{place}: {crash:?}"
            );
        }
    }
}
