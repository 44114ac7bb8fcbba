//! Events whose text wants to be code.
#![expect(clippy::unwrap_used, reason = "test code")]

use crate::support;
use kintsugi_domain::event::{Event, Frame};
use kintsugi_domain::id::IssueId;
use kintsugi_repair::{NotReproducible, Source, candidates, files_needed, regression_test};
use proptest::prelude::*;
use serde_json::{Value, json};

fn product() -> Vec<Source> {
    let text = "def share(part, whole, name=\"x\"):\n    return part / whole\n\n\n\
                def outer(rows, *rest):\n    return [share(a, b) for a, b in rows]\n\n\n\
                class Box:\n    def share(self, whole):\n        return 1 / whole\n\n\n\
                async def later(whole):\n    return 1 / whole\n\n\n\
                def rebound(whole):\n    whole = whole - 1\n    return 1 / whole\n";
    vec![Source {
        path: "app/parts.py".into(),
        text: text.into(),
    }]
}

fn frame(function: &str, line: u32, vars: Value) -> Frame {
    Frame {
        file: "app/parts.py".into(),
        module: Some("app.parts".into()),
        function: function.into(),
        line: Some(line),
        in_app: true,
        vars: serde_json::from_value(vars).unwrap(),
        ..Frame::default()
    }
}

fn issue() -> IssueId {
    "feedface".parse().unwrap()
}

fn tested(event: &Event) -> Result<String, NotReproducible> {
    regression_test(event, &issue(), &product(), "tests").map(|test| test.text)
}

#[test]
fn a_message_with_quotes_and_line_ends_stays_one_comment() {
    let value = "x\"\"\"\nimport os\n'''\\\u{2028}__import__('os')\r\u{0}# -*- coding: utf-7 -*-";
    let event = support::event(
        "ZeroDivisionError",
        value,
        vec![frame("share", 2, json!({"part": "1", "whole": "0"}))],
    );
    let text = tested(&event).unwrap();
    assert!(text.is_ascii());
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("import os"))
        .collect();
    assert_eq!(lines.len(), 1);
    assert!(lines[0].trim_start().starts_with("# Reported as: "));
    assert!(lines[0].chars().all(|next| (' '..='~').contains(&next)));
    assert!(!lines[0].contains(['"', '\'', '\\']));
    assert!(text.lines().take(3).all(|line| !line.contains("coding")));
}

#[test]
fn a_type_that_is_not_a_name_is_not_written() {
    let kind = "Error\"\"\"\nimport os";
    let event = support::event(
        kind,
        "",
        vec![frame("share", 2, json!({"part": "1", "whole": "0"}))],
    );
    let text = tested(&event).unwrap();
    assert!(!text.contains("import os"));
    assert!(text.contains("an exception"));
}

#[test]
fn values_that_are_not_literals_refuse_the_call_with_the_reason() {
    for (value, why) in [
        ("__import__('os').system('x')", "plain value"),
        ("<app.Thing object at 0x7f>", "plain value"),
        ("[Filtered]", "removed"),
        ("'aaaa...", "cut off"),
        ("Popen(args='x')", "no known data class"),
        ("1 if exit() else 0", "plain value"),
    ] {
        let event = support::event(
            "ZeroDivisionError",
            "",
            vec![frame("share", 2, json!({"part": "1", "whole": value}))],
        );
        let refused = tested(&event).unwrap_err();
        assert_eq!(refused.code(), "repair.no_call");
        assert!(refused.to_string().contains(why), "{value}: {refused}");
    }
}

#[test]
fn frames_that_cannot_be_called_again_are_refused_with_the_reason() {
    for (function, line, vars, why) in [
        (
            "outer",
            6,
            json!({"rows": [], "rest": []}),
            "any number of arguments",
        ),
        (
            "share",
            11,
            json!({"self": "Box()", "whole": "0"}),
            "method",
        ),
        ("later", 15, json!({"whole": "0"}), "asynchronous"),
        ("rebound", 20, json!({"whole": "0"}), "bound anew"),
        ("share", 2, json!({"part": "1"}), "not reported"),
        ("exit", 2, json!({}), "without a name"),
        ("<module>", 2, json!({}), "without a name"),
    ] {
        let event = support::event("ZeroDivisionError", "", vec![frame(function, line, vars)]);
        let refused = tested(&event).unwrap_err().to_string();
        assert!(refused.contains(why), "{function}: {refused}");
    }
    let event = support::event("ZeroDivisionError", "", vec![]);
    assert_eq!(tested(&event), Err(NotReproducible::NoStack));
}

#[test]
fn frames_of_the_interpreter_and_of_the_entry_point_are_passed_over() {
    let mut frozen = frame("_run_code", 88, json!({}));
    frozen.file = "<frozen runpy>".into();
    let mut entry = frame("<module>", 1, json!({}));
    entry.module = Some("__main__".into());
    let called = frame("share", 2, json!({"part": "1", "whole": "0"}));
    let event = support::event("ZeroDivisionError", "", vec![called, entry, frozen]);
    assert!(tested(&event).unwrap().contains("share(part=1, whole=0)"));
}

#[test]
fn no_file_outside_the_product_is_asked_for() {
    let mut frames = Vec::new();
    for file in [
        "/etc/passwd.py",
        "../../x.py",
        "a/../../b.py",
        "~/x.py",
        "a b.py",
        "C:\\x.py",
        ".git/hooks.py",
    ] {
        let mut frame = frame("f", 1, json!({}));
        frame.file = file.into();
        frame.module = Some("os; x".into());
        frames.push(frame);
    }
    let event = support::event("KeyError", "", frames);
    let suspects = kintsugi_domain::diagnosis::suspects(&event);
    assert!(files_needed(&event, &suspects).is_empty());
}

proptest! {
    #[test]
    fn no_event_text_becomes_code(
        kind in ".{0,40}",
        message in ".{0,80}",
        function in "(share|outer|rebound|.{0,12})",
        part in "([0-9]|'[^']{0,12}'|.{0,30})",
        line in 0_u32..30,
    ) {
        let marked = format!("{message}\n\"\"\"\nPAYLOAD = 1\n");
        let vars = json!({"part": part, "whole": "0", "name": format!("{message}PAYLOAD")});
        let event = support::event(&kind, &marked, vec![frame(&function, line, vars)]);
        if let Ok(text) = tested(&event) {
            prop_assert!(text.is_ascii());
            let code: Vec<&str> = text
                .lines()
                .filter(|line| line.contains("PAYLOAD"))
                .filter(|line| !line.trim_start().starts_with("# Reported as: "))
                .collect();
            prop_assert!(code.is_empty(), "{:?}", code);
        }
        for candidate in candidates(&event, &[], &product(), 60) {
            prop_assert!(!candidate.new_text.contains("PAYLOAD"));
        }
    }
}
