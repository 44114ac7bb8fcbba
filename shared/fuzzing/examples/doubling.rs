//! Looks for inputs whose time grows faster than they do: `cargo run --release -p kintsugi-fuzzing --example doubling -- TARGET`.
//!
//! Every word that the target's code compares with, and every two of them, are repeated to a length inside of what the target takes, and
//! run at that length and at four times as much. The slowest are run again while the length doubles, and that table is printed.
#![expect(clippy::disallowed_methods, reason = "a program that measures")]

use kintsugi_fuzzing::Target;
use std::error::Error;
use std::io::Write as _;
use std::time::{Duration, Instant};

/// Where the search begins, bytes.
const SMALL: usize = 8 * 1024;
/// The lengths of the table, bytes.
const DOUBLING: [usize; 6] = [1 << 15, 1 << 16, 1 << 17, 1 << 18, 1 << 19, 1 << 20];
/// How many of the slowest are shown.
const SHOWN: usize = 5;

/// What stands around the repeated words.
fn frames(target: &str) -> Vec<(&'static [u8], &'static [u8])> {
    match target {
        "envelope" => vec![
            (b"\x00{}\n", b""),
            (b"\x00{}\n{\"type\":\"event\"}\n{\"message\":\"", b"\"}"),
            (b"\x01{\"message\":\"", b"\"}"),
            (b"\x01{\"tags\":{\"a\":\"", b"\"}}"),
            (b"\x01{\"request\":{\"query_string\":\"", b"\"}}"),
            (b"\x01{\"extra\":{\"a\":[", b"0]}}"),
            (b"\x03--b\r\n", b"\r\n--b--"),
            (b"\x04\x08", b""),
            (b"\x04\x0a{\"items\":[{\"body\":\"", b"\"}]}"),
        ],
        "batch_content" => vec![(b"\x02", b""), (b"\x02{\"message\":\"", b"\"}")],
        "otlp" => vec![
            (b"\x02{\"resourceLogs\":[", b"{}]}"),
            (
                b"\x06{\"attributes\":[{\"key\":\"exception.type\",\"value\":{\"stringValue\":\"",
                b"\"}}]}",
            ),
            (
                b"\x06{\"attributes\":[{\"key\":\"exception.type\",\"value\":{\"stringValue\":\"E\"}},{\"key\":\"exception.stacktrace\",\"value\":{\"stringValue\":\"",
                b"\"}}]}",
            ),
            (b"\x00", b""),
            (b"\x04", b""),
        ],
        "scrub" => vec![(b"", b""), (b"{\"a\":\"", b"\"}"), (b"[", b"0]")],
        "scrub_rules" => vec![
            (b"\x01(a+)+$\n\n", b"b"),
            (b"\x02(x+x+)+y\n\n", b""),
            (b"\x03(.*)*=$\n\n", b""),
            (b"\x04[a-z]+@(?:[a-z]+\\.)+x\n\n", b""),
            (b"\x05\\b\\w{1,200}\\b!\nref\n", b""),
            (b"\x06(?s).*M-\\d{6}\n\n", b""),
        ],
        "stacktrace" => vec![
            (b"0", b""),
            (b"1Traceback (most recent call last):\n  File \"a\", line 3, in f\n", b""),
            (b"2   0: a\n", b""),
            (b"3goroutine 1 [running]:\nmain.f(", b")\n\t/a.go:3 +0x1"),
            (b"4a.B: c\n\tat a.b.c(", b"C.java:3)\n"),
            (b"5   at A.B(", b") in a.cs:line 3\n"),
            (b"6    at ", b" (a.js:1:2)\n"),
        ],
        _ => vec![(b"", b"")],
    }
}

fn input((head, tail): (&[u8], &[u8]), word: &str, length: usize) -> Vec<u8> {
    let times = length / word.len().max(1);
    [head, word.repeat(times).as_bytes(), tail].concat()
}

/// The shortest of three runs.
fn time(target: &Target, input: &[u8]) -> Duration {
    let once = || {
        let start = Instant::now();
        (target.one)(input);
        start.elapsed()
    };
    once().min(once()).min(once())
}

fn main() -> Result<(), Box<dyn Error>> {
    let name = std::env::args().nth(1).unwrap_or_default();
    let target = kintsugi_fuzzing::target(&name).ok_or("there is no such target")?;
    let mut words: Vec<String> = Vec::new();
    for word in target.words {
        words.push((*word).to_owned());
        words.extend(target.words.iter().map(|other| format!("{word}{other}")));
    }
    let mut out = std::io::stdout().lock();
    let mut found = Vec::new();
    for frame in frames(target.name) {
        for word in &words {
            let start = Instant::now();
            (target.one)(&input(frame, word, SMALL));
            let small = start.elapsed();
            let start = Instant::now();
            (target.one)(&input(frame, word, 4 * SMALL));
            found.push((start.elapsed(), small, frame, word));
        }
    }
    writeln!(
        out,
        "{} inputs of {} and {} bytes",
        found.len(),
        SMALL,
        4 * SMALL
    )?;
    found.sort_by_key(|(large, ..)| std::cmp::Reverse(*large));
    let mut shown: Vec<_> = found.iter().take(SHOWN).copied().collect();
    found.sort_by_key(|(large, small, ..)| {
        let times = large.as_nanos() * 1_000 / small.as_nanos().max(50_000);
        std::cmp::Reverse(times)
    });
    shown.extend(found.iter().take(SHOWN));
    for (large, small, frame, word) in shown {
        let (head, _) = frame;
        writeln!(
            out,
            "{small:?} {large:?} {:?} x {word:?}",
            head.escape_ascii().to_string()
        )?;
        for length in DOUBLING {
            let took = time(&target, &input(frame, word, length));
            writeln!(
                out,
                "  {:>8} KB {:>9.2} ms",
                length / 1024,
                took.as_secs_f64() * 1e3
            )?;
            if took > Duration::from_secs(3) {
                break;
            }
        }
    }
    Ok(())
}
