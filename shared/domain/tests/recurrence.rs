//! python-dateutil as the judge of recurrence rules: the same rules, the same days.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "test code"
)]

use jiff::Span;
use jiff::civil::{Date, date};
use kintsugi_domain::recurrence::Recurrence;
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

const RULES: usize = 2_000;

/// A small generator (splitmix64): the same rules in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    fn one_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }

    /// A few numbers up to a bound, some counted from the end.
    fn numbers(&mut self, max: u64, signed: bool) -> String {
        let some: Vec<String> = (0..=self.roll(3))
            .map(|_| {
                let sign = if signed && self.one_in(3) { "-" } else { "" };
                format!("{sign}{}", self.roll(max) + 1)
            })
            .collect();
        some.join(",")
    }

    /// All with a number or all without: python-dateutil asks for both at once where they are mixed, RFC 5545 for either.
    fn weekdays(&mut self, ordinals: u64) -> String {
        let numbered = ordinals > 0 && self.one_in(2);
        let names = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];
        let some: Vec<String> = (0..=self.roll(3))
            .map(|_| {
                let name = names[usize::try_from(self.roll(7)).unwrap()];
                let sign = if self.one_in(2) { "-" } else { "" };
                if numbered {
                    format!("{sign}{}{name}", self.roll(ordinals) + 1)
                } else {
                    name.to_owned()
                }
            })
            .collect();
        some.join(",")
    }

    fn rule(&mut self) -> String {
        let names = ["DAILY", "WEEKLY", "MONTHLY", "YEARLY"];
        let name = names[usize::try_from(self.roll(4)).unwrap()];
        let mut rule = vec![format!("FREQ={name}")];
        let mut narrowed = false;
        if self.one_in(2) {
            rule.push(format!("INTERVAL={}", self.roll(5) + 1));
        }
        let by_month = self.one_in(3);
        if by_month {
            rule.push(format!("BYMONTH={}", self.numbers(12, false)));
            narrowed = true;
        }
        if name != "WEEKLY" && self.one_in(3) {
            rule.push(format!("BYMONTHDAY={}", self.numbers(28, true)));
            narrowed = true;
        }
        if name == "YEARLY" && !by_month && self.one_in(4) {
            rule.push(format!("BYYEARDAY={}", self.numbers(365, true)));
            narrowed = true;
        }
        if self.one_in(2) {
            let ordinals = match name {
                "MONTHLY" => 5,
                "YEARLY" if by_month => 5,
                "YEARLY" => 52,
                _ => 0,
            };
            rule.push(format!("BYDAY={}", self.weekdays(ordinals)));
            narrowed = true;
        }
        if narrowed && self.one_in(4) {
            rule.push(format!("BYSETPOS={}", self.numbers(6, true)));
        }
        if self.one_in(3) {
            rule.push(format!("COUNT={}", self.roll(60) + 1));
        }
        if self.one_in(4) {
            rule.push("WKST=SU".to_owned());
        }
        rule.join(";")
    }
}

fn plus(day: Date, days: u64) -> Date {
    day.checked_add(Span::new().days(i64::try_from(days).unwrap()))
        .unwrap()
}

#[test]
fn rules_give_the_days_that_python_dateutil_gives() {
    let mut dice = Dice(1);
    let asked: Vec<(String, Date, Date, Date)> = (0..RULES)
        .map(|_| {
            let start = plus(date(2019, 1, 1), dice.roll(1_500));
            let from = plus(start, dice.roll(900));
            (dice.rule(), start, from, plus(from, dice.roll(780)))
        })
        .collect();
    let judged = judge(&asked);
    assert_eq!(judged.len(), RULES);
    let mut days = 0;
    for ((rule, start, from, to), expected) in asked.iter().zip(judged) {
        let parsed: Recurrence = rule.parse().unwrap();
        let found = parsed.days(*start, *from, *to);
        days += found.len();
        let found = json!(found);
        assert_eq!(found, expected, "{rule} from {start}, {from} to {to}");
    }
    // The rules are not all empty ones.
    assert!(days > 10 * RULES, "{days}");
}

fn judge(asked: &[(String, Date, Date, Date)]) -> Vec<Value> {
    #[expect(clippy::disallowed_methods, reason = "the test's only setting")]
    let interpreter = std::env::var("KINTSUGI_TEST_PYTHON").expect(
        "KINTSUGI_TEST_PYTHON must name a Python with python-dateutil: run `cargo xtask test`",
    );
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recurrence.py");
    let mut child = Command::new(interpreter)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let text = serde_json::to_vec(asked).unwrap();
    child.stdin.take().unwrap().write_all(&text).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}
