//! Stack traces as text: `kintsugi_domain::stacktrace`. The first byte says which language is claimed.

use kintsugi_domain::event::Frame;
use kintsugi_domain::limits::{EXCEPTIONS_MAX, FRAMES_MAX};
use kintsugi_domain::stacktrace::{Language, parse, rust_backtrace};

/// Longest line that is looked at, bytes.
const LINE_BYTES_MAX: usize = 4_096;

pub(crate) const WORDS: &[&str] = &[
    "Traceback (most recent call last):\n",
    "  File \"",
    "\", line ",
    ", in ",
    "During handling of the above exception, another exception occurred:",
    "Exception in thread \"main\" ",
    "Caused by: ",
    "\tat ",
    "    at ",
    "\t... 3 more",
    "Suppressed: ",
    ".java:",
    "(Native Method)",
    "   at ",
    " in ",
    ":line ",
    " ---> ",
    "--- End of stack trace from previous location ---",
    "goroutine 1 [running]:\n",
    "panic: ",
    "fatal error: ",
    " [recovered]",
    "created by ",
    " in goroutine ",
    " +0x1d",
    ".go:",
    "thread 'main' panicked at ",
    "   0: ",
    "             at ",
    "::h0123456789abcdef",
    "stack backtrace:",
    "@http://",
    "eval at ",
    "async ",
    "new ",
    "<anonymous>",
    "(",
    ")",
    ":",
    "\n",
];

pub(crate) fn one(input: &[u8]) {
    let Some((first, rest)) = input.split_first() else {
        return;
    };
    let text = String::from_utf8_lossy(rest);
    let claimed = Language::ALL.get(usize::from(*first) % 7).copied();
    let most = 8 * text.len() + 64;
    if let Some(trace) = parse(&text, claimed) {
        assert!((1..=EXCEPTIONS_MAX).contains(&trace.exceptions.len()));
        let mut kept = 0;
        let mut has_frames = false;
        for exception in &trace.exceptions {
            assert!(exception.frames.len() <= FRAMES_MAX);
            has_frames |= !exception.frames.is_empty();
            for text in [&exception.kind, &exception.value] {
                assert!(text.len() <= LINE_BYTES_MAX, "{text}");
                kept += text.len();
            }
            kept += frames(&exception.frames);
        }
        assert!(has_frames, "a trace without a frame: {trace:?}");
        assert!(kept <= most, "{kept} bytes of {}", text.len());
        // What was read of a known language is read of the same text again without knowing it, unless another form fits before.
        assert!(parse(&text, None).is_some());
    } else {
        assert!(parse(&text, None).is_none());
    }
    let backtrace = rust_backtrace(&text);
    assert!(backtrace.len() <= FRAMES_MAX);
    assert!(frames(&backtrace) <= most);
}

/// The bytes that frames keep. Names that are made up have 9 of them.
fn frames(frames: &[Frame]) -> usize {
    let mut kept = 0;
    for frame in frames {
        assert_ne!(frame.line, Some(0));
        let more = [&frame.path, &frame.module, &frame.source];
        for text in [&frame.file, &frame.function]
            .into_iter()
            .chain(more.into_iter().flatten())
        {
            assert!(text.len() <= LINE_BYTES_MAX + 16, "{text}");
            kept += text.len().saturating_sub(9);
        }
    }
    kept
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "1Traceback (most recent call last):\n  File \"till/a.py\", line 3, in f\n    return 1 / 0\n           ~~^~~\nZeroDivisionError: division by zero\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File \"/usr/lib/python3.11/runpy.py\", line 9, in <module>\ntill.LoadError: for x\n",
        "4Exception in thread \"main\" java.lang.RuntimeException: outer\n\tat com.acme.A.b(A.java:3)\n\tat java.base/java.lang.Thread.run(Thread.java:840)\nCaused by: com.acme.Inner: inner\n\tat com.acme.C.<init>(C.java:12)\n\t... 2 more\n",
        "6TypeError: x is not a function\n    at f (/app/a.js:3:1)\n    at async Promise.all (index 0)\n    at /app/node_modules/b.js:10:5\n    at new Foo (file:///app/c.mjs:1:2)\n",
        "6f@http://example.org/a.js:3:1\n@http://example.org/b.js:10:2\n",
        "5System.Exception: outer ---> System.IO.IOException: inner\n   at A.B.C(String s) in /app/a.cs:line 3\n   --- End of inner exception stack trace ---\n   at A.Main(String[] args)\n",
        "3panic: runtime error: index out of range [recovered]\n\ngoroutine 1 [running]:\nmain.(*Server).handle(0xc000010000, {0x1, 0x2})\n\t/app/main.go:12 +0x1d\ncreated by main.main in goroutine 1\n\t/app/main.go:30 +0x2b\n",
        "2thread 'main' panicked at src/main.rs:3:5:\nindex out of bounds\nstack backtrace:\n   0: rust_begin_unwind\n             at /rustc/abc/library/std/src/panicking.rs:665:5\n   1: app::run::h0123456789abcdef\n             at ./src/main.rs:3:5\n",
        "0nothing of the kind\nat all: 3\n",
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}
