//! What a minidump says of a crash: why, in which thread, and through which frames.
//!
//! Minidumps of Breakpad, Crashpad and Windows are read by `minidump` and walked by `minidump-unwind`, the same library that stands behind
//! Mozilla's crash reports. There are no symbols here, so a frame is a module and an offset in it, which a build's own symbols name.
//!
//! `minidump-processor`, which is made of the two, is left out: it walks every thread with its whole stack, where one
//! thread and a bound are wanted. What else it has is a report as JSON, an analysis of the instructions that crashed (a disassembler, on by
//! default) and, as an option, symbols fetched by HTTP; nothing of that would be used here.
//!
//! **Invariants: of the memory in a dump nothing goes out but addresses of code. A dump is a stranger's: nothing here fails but by an
//! answer, and what is kept while reading is bounded** by the dump's length, by [`STACK_BYTES_MAX`] of stack to walk, and by
//! [`FRAMES_MAX`] frames to give.
//!
//! Not here: multipart bodies, and the event that is made of it (`kintsugi_app::ingest`). Only the crashing thread is walked.

mod symbols;

use minidump::system_info::{Cpu, Os};
use minidump::{
    Minidump, MinidumpException, MinidumpMemory, MinidumpMiscInfo, MinidumpModuleList,
    MinidumpSystemInfo, MinidumpThreadList, Module as _, UnifiedMemory,
};
use minidump_unwind::{CallStack, SystemInfo, walk_stack};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use symbols::NoSymbols;

/// Most of a stack that is walked, bytes. A frame is at least 16 of them and costs about a kilobyte while walking.
pub const STACK_BYTES_MAX: usize = 128 * 1024;
/// Most frames that are given, from the one that crashed outwards.
pub const FRAMES_MAX: usize = 250;
/// Addresses below this one are null and an offset in what it should have pointed to.
const NEAR_NULL: u64 = 0x1_0000;

/// Why nothing can be said of a dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotADump {
    /// It does not begin as one, or its directory is cut off.
    #[error("it is no minidump")]
    Unreadable,
    /// It does not say on what it was made.
    #[error("it does not name its system")]
    NoSystem,
}

impl NotADump {
    /// A stable name.
    pub fn code(self) -> &'static str {
        match self {
            Self::Unreadable => "minidump_unreadable",
            Self::NoSystem => "minidump_without_system",
        }
    }
}

/// What a dump says of a crash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crash {
    /// Why: `SIGSEGV`, `EXCEPTION_ACCESS_VIOLATION_READ`. Absent where nothing crashed and a dump was asked for.
    pub reason: Option<String>,
    /// What more is known of it: `SEGV_MAPERR near null`.
    pub detail: String,
    /// The operating system: `linux`, `windows`, `macos` …
    pub system: String,
    /// The processor: `amd64`, `arm64` …
    pub processor: String,
    /// The number of the thread that crashed.
    pub thread: Option<u32>,
    /// Its frames, the one that crashed first.
    pub frames: Vec<Frame>,
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The module's file with its folders; empty where the address is in none.
    pub module: String,
    /// The identity of the module's build, for whoever has its symbols.
    pub build: Option<String>,
    /// The offset in the module, or the address itself where there is none.
    pub offset: u64,
    /// How the frame was found: `context`, `cfi`, `frame pointer`, `scan`.
    pub trust: &'static str,
    /// Whether the module is the program itself or lies beside it, and not the system's.
    pub is_program: bool,
}

/// Reads a dump.
pub fn read(bytes: &[u8]) -> Result<Crash, NotADump> {
    let dump = Minidump::read(bytes).map_err(|_| NotADump::Unreadable)?;
    let system = dump
        .get_stream::<MinidumpSystemInfo>()
        .map_err(|_| NotADump::NoSystem)?;
    let exception = dump.get_stream::<MinidumpException<'_>>().ok();
    let (reason, detail) = exception
        .as_ref()
        .map(|exception| reason(exception, system.os, system.cpu))
        .unzip();
    Ok(Crash {
        reason,
        detail: detail.unwrap_or_default(),
        system: system.os.to_string(),
        processor: system.cpu.to_string(),
        thread: exception
            .as_ref()
            .map(MinidumpException::get_crashing_thread_id),
        frames: frames(&dump, &system, exception.as_ref()),
    })
}

/// Why it crashed, as a name for its kind and what more is known. The address is told only as far as it says something: it differs from
/// crash to crash, and one far from null may be a piece of somebody's data.
fn reason(exception: &MinidumpException<'_>, os: Os, cpu: Cpu) -> (String, String) {
    let full = exception.get_crash_reason(os, cpu).to_string();
    let (kind, mut detail) = match full.split_once('/') {
        Some((kind, detail)) => (kind.trim().to_owned(), detail.trim().to_owned()),
        None => (full.trim().to_owned(), String::new()),
    };
    // Some codes are told with the number itself, which is an address in some of them.
    if let Some((name, _)) = detail.split_once("0x") {
        detail = name.trim().to_owned();
    }
    let is_access = [
        "SIGSEGV",
        "SIGBUS",
        "EXC_BAD_ACCESS",
        "EXCEPTION_ACCESS_VIOLATION",
    ]
    .iter()
    .any(|name| kind.starts_with(name));
    if is_access && exception.get_crash_address(os, cpu) < NEAR_NULL {
        detail.push_str(if detail.is_empty() {
            "near null"
        } else {
            " near null"
        });
    }
    (kind, detail)
}

/// The frames of the thread that crashed, or of the first thread.
fn frames(
    dump: &Minidump<'_, &[u8]>,
    system: &MinidumpSystemInfo,
    exception: Option<&MinidumpException<'_>>,
) -> Vec<Frame> {
    let misc = dump.get_stream::<MinidumpMiscInfo>().ok();
    let threads = dump.get_stream::<MinidumpThreadList<'_>>().ok();
    let thread = threads.as_ref().and_then(|threads| match exception {
        Some(exception) => threads.get_thread(exception.get_crashing_thread_id()),
        None => threads.threads.first(),
    });
    // The context of the crash, not that of the handler which wrote the dump.
    let context = exception
        .and_then(|exception| exception.context(system, misc.as_ref()))
        .or_else(|| thread?.context(system, misc.as_ref()));
    let Some(context) = context else {
        return Vec::new();
    };
    let modules = dump
        .get_stream::<MinidumpModuleList>()
        .unwrap_or_else(|_| MinidumpModuleList::new());
    let memory = dump.get_memory().unwrap_or_default();
    let pointer = context.get_stack_pointer();
    let stack = memory
        .memory_at_address(pointer)
        .or_else(|| thread?.stack_memory(&memory));
    let short = stack.and_then(|stack| from_pointer(&stack, pointer));
    let facts = facts(system);
    let mut calls = CallStack::with_context(context.into_owned());
    let walking = walk_stack(
        0,
        (),
        &mut calls,
        short.as_ref().map(UnifiedMemory::Memory),
        &modules,
        &facts,
        &NoSymbols,
    );
    // There are no symbols to wait for, so it is ready at once.
    let ready = pin!(walking).poll(&mut Context::from_waker(Waker::noop()));
    if ready == Poll::Pending {
        return Vec::new();
    }
    let program = modules
        .main_module()
        .map(|module| folder(&module.code_file()));
    let walked = calls.frames.iter().take(FRAMES_MAX);
    walked
        .map(|walked| frame(walked, program.as_deref()))
        .collect()
}

/// The part of a stack that is walked: from the stack pointer on, as far as the bound goes.
fn from_pointer<'m>(stack: &UnifiedMemory<'_, 'm>, pointer: u64) -> Option<MinidumpMemory<'m>> {
    let (base, bytes, endian) = match stack {
        UnifiedMemory::Memory(memory) => (memory.base_address, memory.bytes, memory.endian),
        UnifiedMemory::Memory64(memory) => (memory.base_address, memory.bytes, memory.endian),
    };
    let skip = usize::try_from(pointer.saturating_sub(base)).ok()?;
    let bytes = bytes.get(skip..)?;
    let bytes = bytes.get(..STACK_BYTES_MAX).unwrap_or(bytes);
    Some(MinidumpMemory {
        desc: minidump::format::MINIDUMP_MEMORY_DESCRIPTOR::default(),
        base_address: base.max(pointer.min(base.saturating_add(skip as u64))),
        size: bytes.len() as u64,
        bytes,
        endian,
    })
}

fn facts(system: &MinidumpSystemInfo) -> SystemInfo {
    SystemInfo {
        os: system.os,
        os_version: None,
        os_build: None,
        cpu: system.cpu,
        cpu_info: None,
        cpu_microcode_version: None,
        cpu_count: 1,
    }
}

fn frame(walked: &minidump_unwind::StackFrame, program: Option<&str>) -> Frame {
    let address = walked.instruction;
    let Some(module) = &walked.module else {
        return Frame {
            module: String::new(),
            build: None,
            offset: address,
            trust: walked.trust.as_str(),
            is_program: false,
        };
    };
    let file = module.code_file().into_owned();
    Frame {
        is_program: !file.is_empty() && program == Some(&*folder(&file)) && !is_systems(&file),
        build: module
            .debug_identifier()
            .map(|id| id.breakpad().to_string()),
        offset: address.saturating_sub(module.base_address()),
        trust: walked.trust.as_str(),
        module: file,
    }
}

fn folder(file: &str) -> String {
    let end = file.rfind(['/', '\\']).unwrap_or(0);
    file.get(..end).unwrap_or_default().to_ascii_lowercase()
}

fn is_systems(file: &str) -> bool {
    let file = file.to_ascii_lowercase();
    ["/lib/", "/lib64/", "/usr/lib", "/system/", "c:\\windows\\"]
        .iter()
        .any(|folder| file.starts_with(folder))
}
