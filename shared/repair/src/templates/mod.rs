//! Templates: what an exception of a known type usually asks for.
//!
//! Each file knows one family of faults. All of them read the exception's message and the reported
//! variables to find the expression that raised, then put [`crate::guard`]s around it and add the
//! rewrites that only this family has. **Text of the event only selects; it is never written.**

mod absent;
mod division;
mod form;
mod index;
mod key;
mod names;
mod size;

use crate::edit::{Crash, Draft, Drafts};
use crate::guard;

/// The drafts of all templates that know the exception, for one place.
pub(crate) fn drafts(crash: Crash<'_>) -> Vec<Draft> {
    let (family, template, builtin): (&'static str, fn(&mut Drafts<'_>), &str) = match crash.kind {
        "ZeroDivisionError" => ("zero-division", division::draft, "ZeroDivisionError"),
        "KeyError" => ("key", key::draft, "KeyError"),
        "IndexError" => ("index", index::draft, "IndexError"),
        "AttributeError" => ("absent", absent::draft, "AttributeError"),
        "TypeError" => ("absent", absent::draft, "TypeError"),
        "ValueError" | "StatisticsError" | "JSONDecodeError" => ("form", form::draft, "ValueError"),
        "UnboundLocalError" => ("unset", names::draft_unset, "UnboundLocalError"),
        "NameError" => ("name", names::draft_unknown, "NameError"),
        "RuntimeError" => ("size", size::draft_changed, "RuntimeError"),
        "RecursionError" => ("recursion", size::draft_endless, "RecursionError"),
        "StopIteration" => ("exhausted", size::draft_exhausted, "StopIteration"),
        _ => return Vec::new(),
    };
    let mut drafts = Drafts::new(crash, family);
    template(&mut drafts);
    let catchable = matches!(
        builtin,
        "ZeroDivisionError"
            | "KeyError"
            | "IndexError"
            | "AttributeError"
            | "TypeError"
            | "ValueError"
    );
    if catchable && crash.raising {
        guard::catch(&mut drafts, builtin);
    }
    drafts.found
}

/// What stands between the first pair of single quotes in a message, and after it the next pair.
fn quoted_in(message: &str) -> Vec<&str> {
    message.split('\'').skip(1).step_by(2).collect()
}

#[cfg(test)]
mod tests {
    use crate::{Candidate, Source, candidates};
    use kintsugi_domain::Timestamp;
    use kintsugi_domain::event::{Event, Exception, Frame, Level};
    use kintsugi_domain::id::ProjectId;
    use kintsugi_domain::job::FixClass::{self, Corrects, Guards, Suppresses};
    use serde_json::{Value, json};
    use std::collections::BTreeMap;

    /// What is drafted when the line that ends with `# here` raises.
    fn drafted(kind: &str, message: &str, text: &str, vars: Value) -> Vec<Candidate> {
        let line = text
            .lines()
            .position(|line| line.ends_with("# here"))
            .unwrap();
        let function = text
            .lines()
            .take(line)
            .filter_map(|line| line.trim_start().strip_prefix("def "))
            .last()
            .and_then(|rest| rest.split('(').next())
            .unwrap();
        let Value::Object(vars) = vars else {
            panic!("variables are an object");
        };
        let frame = Frame {
            file: "a.py".into(),
            function: function.into(),
            line: Some(u32::try_from(line).unwrap() + 1),
            in_app: true,
            vars: vars.into_iter().collect(),
            ..Frame::default()
        };
        let event = Event {
            id: "a".parse().unwrap(),
            project: ProjectId(1),
            occurred_at: Timestamp::UNIX_EPOCH,
            received_at: Timestamp::UNIX_EPOCH,
            level: Level::Error,
            platform: "python".into(),
            release: None,
            environment: None,
            transaction: None,
            message: None,
            exceptions: vec![Exception {
                kind: kind.into(),
                value: message.into(),
                frames: vec![frame],
                ..Exception::default()
            }],
            breadcrumbs: vec![],
            user: None,
            fingerprint: vec![],
            tags: BTreeMap::new(),
            system: BTreeMap::new(),
            sdk: None,
            details: BTreeMap::new(),
            remarks: vec![],
            category: kintsugi_domain::accounting::Category::Error,
        };
        let source = Source {
            path: "a.py".into(),
            text: text.into(),
        };
        candidates(&event, &[], &[source], 60)
    }

    /// That a change is drafted, as what, and how early.
    #[track_caller]
    fn expect(found: &[Candidate], added: &str, class: FixClass, rank_max: usize) {
        let rank = found.iter().position(|candidate| {
            let lines: Vec<&str> = candidate
                .diff
                .lines()
                .filter(|line| line.starts_with('+') && !line.starts_with("+++"))
                .map(|line| {
                    line.trim_start_matches('+')
                        .trim_end_matches("# here")
                        .trim()
                })
                .collect();
            lines.join("; ") == added
        });
        let all: Vec<String> = found
            .iter()
            .map(|next| format!("{:.2} {} {}", next.prior, next.rule, next.diff))
            .collect();
        let rank = rank.unwrap_or_else(|| panic!("{added} is not among\n{}", all.join("\n")));
        assert_eq!(found[rank].class, class, "{added}");
        assert!(rank < rank_max, "{added}: {rank}\n{}", all.join("\n"));
    }

    #[test]
    fn zero_divisors_are_kept_out() {
        let text = "def f(a, b):\n    \"\"\"The share, or 0 if there is none.\"\"\"\n    x = a // 2\n    return x / b  # here\n";
        let found = drafted(
            "ZeroDivisionError",
            "division by zero",
            text,
            json!({"b": "0"}),
        );
        expect(&found, "if b == 0:; return 0", Corrects, 1);
        expect(&found, "return x / (b or 1)", Guards, 5);
        expect(&found, "if b == 0:; return None", Suppresses, 60);
        let text = "def f(xs):\n    mean = sum(xs) / len(xs)  # here\n    return [mean]\n";
        let found = drafted(
            "ZeroDivisionError",
            "division by zero",
            text,
            json!({"xs": []}),
        );
        expect(&found, "mean = sum(xs) / len(xs) if xs else 0", Guards, 3);
        let text =
            "def f(a, b):\n    if a and a / b > 2:  # here\n        return 1\n    return 2\n";
        let found = drafted("ZeroDivisionError", "division by zero", text, json!({}));
        expect(&found, "if a and b != 0 and a / b > 2:", Guards, 4);
    }

    #[test]
    fn missing_keys_get_a_form_a_start_or_a_value() {
        let text = "PRICES = {\"a\": 1, \"other\": 2}\n\ndef f(k: str) -> int:\n    return PRICES[k]  # here\n";
        let found = drafted("KeyError", "'A'", text, json!({"k": "'A'"}));
        expect(&found, "return PRICES[k.lower()]", Corrects, 1);
        expect(&found, "return PRICES.get(k, PRICES[\"other\"])", Guards, 3);
        expect(&found, "return PRICES.get(k, 0)", Guards, 4);
        let text = "def f(d, k, x):\n    d[k].append(x)  # here\n";
        let found = drafted("KeyError", "'A'", text, json!({"k": "'A'", "x": "1"}));
        expect(&found, "d.setdefault(k, []).append(x)", Corrects, 1);
        let text = "def f(d, k):\n    del d[k]  # here\n    return d\n";
        let found = drafted("KeyError", "'A'", text, json!({"k": "'A'"}));
        expect(&found, "d.pop(k, None)", Guards, 2);
        let text = "def f(names, k):\n    names.remove(k)  # here\n";
        let found = drafted("KeyError", "'A'", text, json!({"k": "'A'"}));
        expect(&found, "names.discard(k)", Guards, 2);
        let text = "def f(d, a, b):\n    return d[a] + d[b]  # here\n";
        let found = drafted("KeyError", "'B'", text, json!({"a": "'A'", "b": "'B'"}));
        expect(&found, "return d[a] + d.get(b, 0)", Guards, 3);
        assert!(
            !found
                .iter()
                .any(|next| next.rule.starts_with("key.key") && next.diff.contains("get(a"))
        );
    }

    #[test]
    fn short_sequences_are_asked_for_their_length() {
        let text = "def f(xs: list[str]) -> str:\n    return xs[2]  # here\n";
        let found = drafted(
            "IndexError",
            "list index out of range",
            text,
            json!({"xs": []}),
        );
        expect(&found, "if len(xs) <= 2:; return \"\"", Guards, 1);
        let text = "def f(xs, c):\n    i = 0\n    while xs[i] != c:  # here\n        i += 1\n    return i\n";
        let found = drafted(
            "IndexError",
            "list index out of range",
            text,
            json!({"xs": ["'a'"], "i": "1"}),
        );
        expect(&found, "while i < len(xs) and xs[i] != c:", Guards, 2);
        let text = "def f(xs):\n    out = []\n    for i in range(len(xs) + 1):\n        out.append(xs[i])  # here\n    return out\n";
        let found = drafted(
            "IndexError",
            "list index out of range",
            text,
            json!({"xs": ["1"], "i": "1"}),
        );
        expect(&found, "for i in range(len(xs)):", Corrects, 2);
        let text = "def f(xs):\n    return xs.pop()  # here\n";
        let found = drafted("IndexError", "pop from empty list", text, json!({"xs": []}));
        expect(&found, "if not xs:; return None", Suppresses, 60);
    }

    #[test]
    fn absent_values_get_a_value() {
        let text = "def f(xs: list[int] | None) -> int:\n    total = 0\n    for x in xs:  # here\n        total += x\n    return total\n";
        let message = "'NoneType' object is not iterable";
        let found = drafted("TypeError", message, text, json!({"xs": "None"}));
        expect(&found, "if xs is None:; xs = []", Guards, 3);
        expect(&found, "for x in (xs or ()):", Guards, 4);
        let text = "def f(d):\n    return d.get(\"name\").title() + \"!\"  # here\n";
        let message = "'NoneType' object has no attribute 'title'";
        let found = drafted("AttributeError", message, text, json!({"d": {}}));
        expect(
            &found,
            "return d.get(\"name\", \"\").title() + \"!\"",
            Guards,
            3,
        );
        let text = "def f(a, b):\n    return a + b * 2  # here\n";
        let message = "unsupported operand type(s) for *: 'NoneType' and 'int'";
        let found = drafted("TypeError", message, text, json!({"a": "1", "b": "None"}));
        expect(&found, "return a + (b or 0) * 2", Guards, 3);
    }

    #[test]
    fn types_that_meet_are_converted_and_misspelt_attributes_replaced() {
        let text = "def f(n):\n    return \"no. \" + n  # here\n";
        let message = "can only concatenate str (not \"int\") to str";
        let found = drafted("TypeError", message, text, json!({"n": "3"}));
        expect(&found, "return \"no. \" + str(n)", Corrects, 1);
        let text = "def f(xs):\n    return \",\".join(xs)  # here\n";
        let message = "sequence item 0: expected str instance, int found";
        let found = drafted("TypeError", message, text, json!({"xs": ["1"]}));
        expect(&found, "return \",\".join(map(str, xs))", Corrects, 1);
        let text = "def g(p):\n    return p.height\n\ndef f(p):\n    return p.heigth  # here\n";
        let message = "'Point' object has no attribute 'heigth'";
        let found = drafted("AttributeError", message, text, json!({}));
        expect(&found, "return p.height", Corrects, 1);
    }

    #[test]
    fn texts_of_another_form_are_cleaned_split_or_given_a_default() {
        let text = "def f(s):\n    return int(s)  # here\n";
        let message = "invalid literal for int() with base 10: '1.5'";
        let found = drafted("ValueError", message, text, json!({"s": "'1.5'"}));
        expect(&found, "return int(float(s))", Corrects, 1);
        let message = "invalid literal for int() with base 10: ''";
        let found = drafted("ValueError", message, text, json!({"s": "''"}));
        expect(&found, "if not s.strip():; return 0", Guards, 2);
        let text = "def f(s):\n    a, b = s.split(\":\")  # here\n    return a\n";
        let message = "not enough values to unpack (expected 2, got 1)";
        let found = drafted("ValueError", message, text, json!({"s": "'x'"}));
        expect(&found, "a, b = s.partition(\":\")[::2]", Guards, 2);
        let text = "def f(xs):\n    \"\"\"The longest, 0 for nothing.\"\"\"\n    return max(len(x) for x in xs)  # here\n";
        let message = "max() arg is an empty sequence";
        let found = drafted("ValueError", message, text, json!({"xs": []}));
        expect(
            &found,
            "return max((len(x) for x in xs), default=0)",
            Corrects,
            1,
        );
        let text = "def f(xs, x):\n    xs.remove(x)  # here\n";
        let message = "list.remove(x): x not in list";
        let found = drafted("ValueError", message, text, json!({"xs": [], "x": "1"}));
        expect(&found, "if x in xs:; xs.remove(x)", Guards, 3);
    }

    #[test]
    fn unset_names_are_set_before_they_are_read() {
        let text = "def f(xs):\n    for x in xs:\n        best = x * 2\n    return best  # here\n";
        let message = "cannot access local variable 'best' where it is not associated with a value";
        let found = drafted("UnboundLocalError", message, text, json!({"xs": []}));
        expect(&found, "best = 0", Guards, 2);
        let text = "COUNT = 0\n\ndef f():\n    COUNT += 1  # here\n    return COUNT\n";
        let message =
            "cannot access local variable 'COUNT' where it is not associated with a value";
        let found = drafted("UnboundLocalError", message, text, json!({}));
        expect(&found, "global COUNT", Corrects, 2);
        let text = "import os\n\ndef f():\n    return math.pi  # here\n";
        let found = drafted("NameError", "name 'math' is not defined", text, json!({}));
        expect(&found, "import math", Corrects, 1);
    }

    #[test]
    fn loops_and_recursions_end() {
        let text =
            "def f(d):\n    for k, v in d.items():  # here\n        if v:\n            d.pop(k)\n";
        let message = "dictionary changed size during iteration";
        let found = drafted("RuntimeError", message, text, json!({}));
        expect(&found, "for k, v in list(d.items()):", Corrects, 1);
        let text = "def f(n):\n    if n == 0:\n        return 1\n    return n * f(n - 2)  # here\n";
        let found = drafted(
            "RecursionError",
            "maximum recursion depth exceeded",
            text,
            json!({}),
        );
        expect(&found, "if n <= 0:", Corrects, 1);
        let text = "def f(xs):\n    return next(x for x in xs if x) + 1  # here\n";
        let found = drafted("StopIteration", "", text, json!({}));
        expect(
            &found,
            "return next((x for x in xs if x), 0) + 1",
            Guards,
            2,
        );
    }

    #[test]
    fn tabs_line_ends_and_layout_of_the_file_are_kept() {
        let text = "def f(a, b) -> int:\r\n\treturn a / b  # here\r\n";
        let found = drafted("ZeroDivisionError", "division by zero", text, json!({}));
        let guarded =
            "def f(a, b) -> int:\r\n\tif b == 0:\r\n\t\treturn 0\r\n\treturn a / b  # here\r\n";
        assert!(found.iter().any(|next| next.new_text == guarded));
        assert!(found.iter().all(|next| next.prior <= 1.0 && next.size > 0));
        assert!(found.is_sorted_by(|a, b| a.prior >= b.prior));
    }
}
