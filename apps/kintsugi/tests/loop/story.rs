//! The story that the demo tells, with what differs from run to run covered.
//!
//! **What a rule decided is never covered**: bounds, shares, versions, scores and the order of the steps
//! stay as they are. Covered are time, the port, ids, sizes, and the counts that a rollout was decided
//! on, which depend on how many devices reported before the home looked.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::fs;
use std::path::Path;

/// Set, it has golden files written anew.
const BLESS: &str = "KINTSUGI_BLESS";
/// Shorter runs of hexadecimal digits are words and numbers.
const ID_CHARS_MIN: usize = 12;
/// Before a number that a rule fixes, in a sentence with counts.
const FIXED_AFTER: [&str; 3] = ["≥ ", "= ", "within "];
/// What a sentence with counts has in it.
const COUNTED: &str = " installs ";

/// Compares a story with its golden file, or writes the file where that is asked for.
#[track_caller]
pub(crate) fn assert_golden(name: &str, story: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/loop/golden");
    let path = path.join(name);
    let told = cover(story);
    if std::env::var_os(BLESS).is_some() {
        fs::write(&path, &told).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        told == golden,
        "the story is not the one in {}; {BLESS}=1 writes it anew\n--- golden\n{golden}\n--- told\n{told}",
        path.display()
    );
}

/// Covers what differs from run to run.
pub(crate) fn cover(story: &str) -> String {
    story.lines().map(|line| cover_line(line) + "\n").collect()
}

fn cover_line(line: &str) -> String {
    let line = match line.split_once(" s  ") {
        Some((time, rest)) if time.trim().parse::<f64>().is_ok() => format!("<time>  {rest}"),
        Some(_) | None => line.to_owned(),
    };
    let line = ports(&line);
    let line = ids(&line);
    let line = sizes(&line);
    match line.split_once(" %: ") {
        Some((decided, why)) if why.contains(COUNTED) => format!("{decided} %: {}", counts(why)),
        Some(_) | None => line,
    }
}

fn ports(line: &str) -> String {
    const HOST: &str = "http://127.0.0.1:";
    let Some((before, after)) = line.split_once(HOST) else {
        return line.to_owned();
    };
    let rest = after.trim_start_matches(|it: char| it.is_ascii_digit());
    format!("{before}{HOST}<port>{rest}")
}

/// Replaces each longest run of characters of one kind, where `by` has something else for it.
fn runs(
    line: &str,
    of: impl Fn(char) -> bool,
    by: impl Fn(&str, &str, &str) -> Option<&'static str>,
) -> String {
    let mut covered = String::new();
    let mut rest = line;
    while let Some(start) = rest.find(&of) {
        let (before, from) = rest.split_at(start);
        covered.push_str(before);
        let end = from.find(|it| !of(it)).unwrap_or(from.len());
        let (run, after) = from.split_at(end);
        let new = by(&covered, run, after).unwrap_or(run);
        covered.push_str(new);
        rest = after;
    }
    covered + rest
}

fn ids(line: &str) -> String {
    runs(
        line,
        |it| it.is_ascii_hexdigit(),
        |_, run, _| (run.len() >= ID_CHARS_MIN).then_some("<id>"),
    )
}

fn sizes(line: &str) -> String {
    runs(
        line,
        |it| it.is_ascii_digit(),
        |_, _, after| after.starts_with(" bytes").then_some("<size>"),
    )
}

fn counts(why: &str) -> String {
    runs(
        why,
        |it| it.is_ascii_digit() || it == '.',
        |before, run, _| {
            let is_number = run.starts_with(|it: char| it.is_ascii_digit());
            // A version is no count.
            let is_version = run.matches('.').count() > 1;
            let is_fixed = FIXED_AFTER.iter().any(|it| before.ends_with(it));
            (is_number && !is_version && !is_fixed).then_some("<n>")
        },
    )
}

#[test]
fn only_what_differs_from_run_to_run_is_covered() {
    for (told, golden) in [
        (
            "   0.3 s  the home runs at http://127.0.0.1:34967",
            "<time>  the home runs at http://127.0.0.1:<port>",
        ),
        (
            "  58.2 s  version 1.0.1 is published: full 6206 bytes, delta 312 bytes",
            "<time>  version 1.0.1 is published: full <size> bytes, delta <size> bytes",
        ),
        (
            "  56.2 s  “Fix it” is proven by 7 gates and committed on kintsugi/fix/9bd28f51561bb41d6e1d",
            "<time>  “Fix it” is proven by 7 gates and committed on kintsugi/fix/<id>",
        ),
        (
            "  80.5 s  1.0.1: Ramping, 90 %: 6 of 6 installs healthy (100.0 % ≥ 90 %), confidence 21.9 ≥ 20.0 that failures stay within 40 points",
            "<time>  1.0.1: Ramping, 90 %: <n> of <n> installs healthy (<n> % ≥ 90 %), confidence <n> ≥ 20.0 that failures stay within 40 points",
        ),
        (
            "  45.9 s  the report became issue “ZeroDivisionError”, High, score 313",
            "<time>  the report became issue “ZeroDivisionError”, High, score 313",
        ),
        (
            "  99.2 s  all 60 devices verified and installed 1.0.1",
            "<time>  all 60 devices verified and installed 1.0.1",
        ),
    ] {
        assert_eq!(cover(told), format!("{golden}\n"));
    }
}
