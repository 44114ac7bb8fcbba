//! Each language's own form, what is cut or mixed, and what is hostile.

use super::*;
use proptest::prelude::*;

/// `function@file:line` of each frame of each exception, and `!` where it is not the product's.
fn shown(trace: &Trace) -> Vec<(String, String, Vec<String>)> {
    let frame = |frame: &Frame| {
        let line = frame.line.map_or_else(String::new, |line| line.to_string());
        let mark = if frame.in_app { "" } else { "!" };
        format!("{mark}{}@{}:{line}", frame.function, frame.file)
    };
    let exceptions = trace.exceptions.iter();
    exceptions
        .map(|it| {
            (
                it.kind.clone(),
                it.value.clone(),
                it.frames.iter().map(frame).collect(),
            )
        })
        .collect()
}

#[track_caller]
fn check(text: &str, language: Language, expected: &[(&str, &str, &[&str])]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|(kind, value, frames)| {
            let frames = frames.iter().map(ToString::to_string).collect();
            ((*kind).to_owned(), (*value).to_owned(), frames)
        })
        .collect();
    for known in [None, Some(language)] {
        let trace = parse(text, known).unwrap();
        assert_eq!(trace.language, language);
        assert_eq!(shown(&trace), expected);
    }
}

#[test]
fn python_with_a_cause_and_marks_below_the_source() {
    let text = "Traceback (most recent call last):\n  File \"till/a.py\", line 3, in load\n    open(path)\n\
        FileNotFoundError: [Errno 2] No such file: 'x'\n\nThe above exception was the direct cause of the following exception:\n\n\
        Traceback (most recent call last):\n  File \"till/main.py\", line 9, in <module>\n    run()\n    ~~~^^\n  \
        File \"/usr/lib/python3.11/json/x.py\", line 5, in run\n    boom()\ntill.errors.LoadError: cannot load: x\n";
    check(
        text,
        Language::Python,
        &[
            (
                "FileNotFoundError",
                "[Errno 2] No such file: 'x'",
                &["load@till/a.py:3"],
            ),
            (
                "LoadError",
                "cannot load: x",
                &[
                    "<module>@till/main.py:9",
                    "!run@/usr/lib/python3.11/json/x.py:5",
                ],
            ),
        ],
    );
    let trace = parse(text, None).unwrap();
    assert_eq!(
        trace.exceptions[0].frames[0].source.as_deref(),
        Some("open(path)")
    );
    assert_eq!(
        trace.exceptions[1].frames[0].source.as_deref(),
        Some("run()")
    );
    assert_eq!(trace.exceptions[1].module.as_deref(), Some("till.errors"));
}

#[test]
fn java_with_causes_modules_and_suppressed_ones() {
    let text = "Exception in thread \"main\" com.acme.ShopException: order 7: failed\n\tat com.acme.Shop.order(Shop.java:12)\n\
        \tat app//com.acme.Main.main(Main.kt:3)\n\tSuppressed: java.io.IOException: close\n\t\tat com.acme.R.close(R.java:1)\n\
        Caused by: java.lang.IllegalStateException\n\tat com.acme.Cart.lambda$total$0(Cart.java:5)\n\
        \tat java.base/java.lang.Thread.run(Thread.java:840)\n\tat com.acme.N.n(Native Method)\n\t... 2 more\n";
    check(
        text,
        Language::Java,
        &[
            (
                "IllegalStateException",
                "",
                &[
                    "n@Native Method:",
                    "!run@Thread.java:840",
                    "lambda$total$0@Cart.java:5",
                ],
            ),
            (
                "ShopException",
                "order 7: failed",
                &["main@Main.kt:3", "order@Shop.java:12"],
            ),
        ],
    );
}

#[test]
fn javascript_of_v8_and_of_firefox() {
    check(
        "TypeError: x is not a function\n    at Cart.total [as sum] (/app/cart.js:10:5)\n    at async run (file:///app/main.mjs:3:1)\n\
            \x20   at new Promise (<anonymous>)\n    at /app/b.js:3:7\n    at node:internal/process/task_queues:95:5\n",
        Language::JavaScript,
        &[(
            "TypeError",
            "x is not a function",
            &[
                "!<anonymous>@node:internal/process/task_queues:95",
                "<anonymous>@/app/b.js:3",
                "!new Promise@<anonymous>:",
                "run@/app/main.mjs:3",
                "Cart.total@/app/cart.js:10",
            ],
        )],
    );
    check(
        "total@https://example.org/cart.js:10:5\n@https://example.org/main.js:3:1\n",
        Language::JavaScript,
        &[(
            "",
            "",
            &[
                "<anonymous>@https://example.org/main.js:3",
                "total@https://example.org/cart.js:10",
            ],
        )],
    );
}

#[test]
fn dotnet_with_an_inner_exception() {
    let text = "System.InvalidOperationException: order failed\n ---> System.IO.IOException: disk full\n   \
        at Acme.Store.Save(String path) in C:\\src\\Store.cs:line 12\n   --- End of inner exception stack trace ---\n   \
        at Acme.Shop.Order(Int32 id, String s) in /src/Shop.cs:line 40\n   at System.Threading.Tasks.Task.Run()\n";
    check(
        text,
        Language::DotNet,
        &[
            ("System.IO.IOException", "disk full", &["Save@Store.cs:12"]),
            (
                "System.InvalidOperationException",
                "order failed",
                &["!Run@System.Threading.Tasks.Task:", "Order@Shop.cs:40"],
            ),
        ],
    );
}

#[test]
fn go_takes_the_goroutine_that_panicked() {
    let text = "panic: runtime error: index out of range [5] with length 3 [recovered]\n\ngoroutine 1 [running]:\n\
        panic({0x1, 0x2})\n\t/usr/lib/go/src/runtime/panic.go:884 +0x212\nmain.(*Server).handle(0xc000010000, {0x1, 0x2})\n\
        \t/app/main.go:12 +0x1d\ngithub.com/acme/shop/cart.Total(...)\n\t/app/cart/cart.go:5\n\
        created by main.main in goroutine 1\n\t/app/main.go:30 +0x20\n\ngoroutine 2 [sleep]:\nmain.other()\n\t/app/other.go:1 +0x1\n";
    check(
        text,
        Language::Go,
        &[(
            "panic",
            "runtime error: index out of range [5] with length 3",
            &[
                "main@/app/main.go:30",
                "Total@/app/cart/cart.go:5",
                "(*Server).handle@/app/main.go:12",
            ],
        )],
    );
}

#[test]
fn rust_with_and_without_the_panics_lines() {
    let frames = "   0: std::panicking::begin_panic::h0123456789abcdef\n             at /rustc/abc/library/std/src/panicking.rs:600:5\n   \
        1: till::totals::average\n             at ./src/totals.rs:9:5\n   2: <till::Cart as core::ops::Add>::add\n   \
        3: serde_json::de::from_str\n             at /home/x/.cargo/registry/src/i/serde_json-1/src/de.rs:2:1\n";
    let expected = [
        "!serde_json::de::from_str@/home/x/.cargo/registry/src/i/serde_json-1/src/de.rs:2",
        "<till::Cart as core::ops::Add>::add@<unknown>:",
        "till::totals::average@./src/totals.rs:9",
        "!std::panicking::begin_panic@/rustc/abc/library/std/src/panicking.rs:600",
    ];
    check(frames, Language::Rust, &[("", "", &expected)]);
    let panic =
        format!("thread 'main' panicked at src/totals.rs:9:5:\nboom\nstack backtrace:\n{frames}");
    check(&panic, Language::Rust, &[("panic", "boom", &expected)]);
    assert_eq!(rust_backtrace(frames).len(), 4);
}

#[test]
fn what_has_no_frame_is_no_trace() {
    for text in [
        "",
        "TypeError: x",
        "at the office",
        "goroutine 1 [running]:",
        "Traceback (most recent call last):",
        "0:",
    ] {
        assert_eq!(parse(text, None), None, "{text:?}");
        for language in Language::ALL {
            assert_eq!(parse(text, Some(language)), None, "{text:?}");
        }
    }
}

#[test]
fn a_wrong_language_does_not_hide_what_can_be_read() {
    let text = "  File \"a.py\", line 1, in f\nE: x\n";
    assert_eq!(
        parse(text, Some(Language::Go)).unwrap().language,
        Language::Python
    );
}

#[test]
fn deep_stacks_long_lines_and_many_causes_are_bounded() {
    let deep = "  File \"a.py\", line 1, in f\n".repeat(30_000) + "E: x\n";
    let trace = parse(&deep, None).unwrap();
    assert_eq!(trace.exceptions[0].frames.len(), FRAMES_MAX);
    let chained = "  File \"a.py\", line 1, in f\nE: x\n".repeat(1_000);
    assert_eq!(
        parse(&chained, None).unwrap().exceptions.len(),
        EXCEPTIONS_MAX
    );
    let long = format!(
        "  File \"{}ä\", line 1, in f\n",
        "x".repeat(LINE_BYTES_MAX - 9)
    );
    assert_eq!(parse(&long, None), None);
    let arrows = "E: x ".to_owned() + &"---> ".repeat(1_000_000) + "\n   at A.B()\n";
    assert!(parse(&arrows, Some(Language::DotNet)).is_some());
}

proptest! {
    #[test]
    fn hostile_texts_end_without_a_panic(parts in proptest::collection::vec(
        prop_oneof![
            Just("at "), Just("File \""), Just("\", line "), Just(", in "), Just("("), Just(")"), Just(":"), Just("\n"),
            Just("\n\t"), Just("0: "), Just("::h0123456789abcdef"), Just("---> "), Just("Caused by: "), Just("E: x"), Just("@"),
            Just("goroutine 1 [r]:"), Just(".go:1 +0x1"), Just("a.b"), Just(".java:1"), Just("ä"), Just("/"), Just("created by "),
            Just("99999999999999999999"), Just(" in "), Just(":line 3"), Just("panic: "), Just("thread '' panicked at "),
        ], 0..60,
    )) {
        let text = parts.concat();
        for language in Language::ALL {
            let _ = parse(&text, Some(language));
        }
    }
}

/// Found by the fuzz target: the only exception with frames was the oldest of a long chain, and the trace came without any.
#[test]
fn a_chain_that_is_too_long_loses_its_exceptions_without_frames_first() {
    let outer: Vec<String> = (0..40).map(|place| format!("E{place}: x ---> ")).collect();
    let outer = outer.concat();
    let text = format!("{outer}A.Inner: y\n   at A.B.C(String s) in /app/a.cs:line 3\n");
    let trace = parse(&text, None).unwrap();
    assert_eq!(trace.language, Language::DotNet);
    let frames: usize = trace
        .exceptions
        .iter()
        .map(|found| found.frames.len())
        .sum();
    assert_eq!(frames, 1);
    assert!(trace.exceptions.len() <= EXCEPTIONS_MAX);
    assert_eq!(trace.exceptions.last().unwrap().kind, "E0");
}

#[test]
fn python_with_an_exception_group_names_the_group_last() {
    let text = "  + Exception Group Traceback (most recent call last):\n  |   File \"a.py\", line 9, in <module>\n  |     run()\n  \
        | ExceptionGroup: eg (3 sub-exceptions)\n  +-+---------------- 1 ----------------\n    | Traceback (most recent call last):\n    \
        |   File \"b.py\", line 3, in one\n    |     one | two\n    | ValueError: 1\n    +---------------- 2 ----------------\n    \
        | Exception Group Traceback (most recent call last):\n    |   File \"d.py\", line 5, in two\n    | ExceptionGroup: inner (1 sub-exception)\n    \
        +-+---------------- 1 ----------------\n      | KeyError: 'k'\n      +------------------------------------\n    \
        +---------------- 3 ----------------\n    | TypeError: never raised\n    +------------------------------------\n\n\
        During handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  \
        File \"c.py\", line 4, in last\n    | None\nOSError: end\n";
    check(
        text,
        Language::Python,
        &[
            ("KeyError", "'k'", &[]),
            ("ValueError", "1", &["one@b.py:3"]),
            ("ExceptionGroup", "inner (1 sub-exception)", &["two@d.py:5"]),
            ("TypeError", "never raised", &[]),
            (
                "ExceptionGroup",
                "eg (3 sub-exceptions)",
                &["<module>@a.py:9"],
            ),
            ("OSError", "end", &["last@c.py:4"]),
        ],
    );
}

#[test]
fn java_does_not_take_the_cause_of_what_was_suppressed_for_its_own() {
    let text = "com.acme.A: a\n\tat com.acme.S$$SpringCGLIB$$0.save(<generated>)\n\tSuppressed: com.acme.S: s\n\t\tat com.acme.S.s(S.java:1)\n\
        \tCaused by: com.acme.T: t\n\t\tat com.acme.T.t(T.java:2)\n\t\t... 1 more\nCaused by: com.acme.B: b\n\tat com.acme.B.b(B.java:3)\n";
    check(
        text,
        Language::Java,
        &[
            ("B", "b", &["b@B.java:3"]),
            ("A", "a", &["save@<generated>:"]),
        ],
    );
}

#[test]
fn javascript_of_eval_of_safari_and_of_asynchronous_calls() {
    check(
        "Uncaught (in promise) TypeError: x\n    at eval (eval at build (/app/tpl.js:7:3), <anonymous>:1:1)\n    \
            at Object.f (eval at a (eval at b (/app/t.js:8:3), <anonymous>:1:1), <anonymous>:2:1)\n    at g (/app/a.js:1:1)\n",
        Language::JavaScript,
        &[(
            "TypeError",
            "x",
            &[
                "g@/app/a.js:1",
                "Object.f@/app/t.js:8",
                "eval@/app/tpl.js:7",
            ],
        )],
    );
    check(
        "get total@https://x.example/a.js:1:2\nsetTimeout handler*run@https://x.example/b.js:3:1\nasync*main@https://x.example/c.js:4:1\n\
            made@https://x.example/t.js line 12 > eval:1:5\nasync later@https://x.example/l.js:5:1\neval@[native code]\nmodule code@https://x.example/m.js:6:1\n\
            ask us at help@https://x.example/y.js:1:1\n",
        Language::JavaScript,
        &[(
            "",
            "",
            &[
                "module code@https://x.example/m.js:6",
                "!eval@<native code>:",
                "later@https://x.example/l.js:5",
                "made@https://x.example/t.js:12",
                "main@https://x.example/c.js:4",
                "run@https://x.example/b.js:3",
                "get total@https://x.example/a.js:1",
            ],
        )],
    );
}

#[test]
fn dotnet_with_numbers_of_errors_and_causes_beside_each_other() {
    let text = "System.AggregateException: One or more errors occurred. (a) (b)\n \
        ---> System.Net.Sockets.SocketException (111): Connection refused\n   at Acme.Net..ctor(String host) in /src/Net.cs:line 5\n   \
        --- End of inner exception stack trace ---\n   at Acme.Main.Run() in /src/Main.cs:line 9\n \
        ---> (Inner Exception #1) System.FormatException: b\n   at Acme.B.Two() in /src/B.cs:line 2<---\n\n";
    check(
        text,
        Language::DotNet,
        &[
            (
                "System.Net.Sockets.SocketException",
                "Connection refused",
                &[".ctor@Net.cs:5"],
            ),
            ("System.FormatException", "b", &["Two@B.cs:2"]),
            (
                "System.AggregateException",
                "One or more errors occurred. (a) (b)",
                &["Run@Main.cs:9"],
            ),
        ],
    );
}

#[test]
fn rust_of_other_versions_and_with_causes_in_numbered_lines() {
    let frames = "   0: till::open\n             at ./src/open.rs:3:5\n";
    for (head, kind, value) in [
        (
            "thread 'main' (4242) panicked at src/main.rs:4:5:\nboom\nstack backtrace:\n",
            "panic",
            "boom",
        ),
        (
            "thread 'main' panicked at 'it's broken', src/main.rs:4:5\nstack backtrace:\n",
            "panic",
            "it's broken",
        ),
        (
            "no drawer\n\nCaused by:\n    0: cannot read\n    1: no such file\n\nStack backtrace:\n",
            "",
            "",
        ),
    ] {
        let text = format!("{head}{frames}stack backtrace:\n   0: till::again\n");
        check(
            &text,
            Language::Rust,
            &[(kind, value, &["till::open@./src/open.rs:3"])],
        );
    }
}
