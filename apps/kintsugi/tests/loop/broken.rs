//! Nothing in the demo is scripted to succeed: a product that cannot heal does not, and a product that
//! does not crash has nothing to heal.

use crate::support::{ask, stderr, stdout};
use crate::till::Till;
use serde_json::Value;

/// Declares the crash to be wanted behaviour; from the sample's README.
const PINNED: &str = "\
import unittest

from till.journal import Entry
from till.settings import Settings
from till.totals import average_sale, summarise


class Pinned(unittest.TestCase):
    def test_a_day_without_sales_is_an_error(self) -> None:
        with self.assertRaises(ZeroDivisionError):
            average_sale(0, 0)
        with self.assertRaises(ZeroDivisionError):
            summarise([Entry(\"09:00:00\", \"refund\", \"R1\", \"food\", 100)], Settings())
";

#[test]
fn a_crash_that_the_suite_wants_is_not_healed() {
    let till = Till::copy();
    till.add("tests/test_pinned.py", PINNED);
    let sample = till.folder().to_str().unwrap();
    let done = ask(till.folder(), &["demo", "--json", "--sample", sample]);
    let said = stderr(&done);
    assert_eq!(done.status.code(), Some(1), "{said}{}", stdout(&done));
    let told: Value = serde_json::from_str(&stdout(&done)).unwrap();
    let why = told["why_not"].as_str().unwrap();
    assert!(why.contains("NO_VALID_FIX"), "{why}");
    assert_eq!(told["healed"], false);
    for key in ["fix_id", "fix_commit", "release", "bad_release"] {
        assert!(told[key].is_null(), "{key} in {told:#}");
    }
    assert!(said.contains("device 1 crashed"), "{said}");
    assert!(!said.contains("1.0.1"), "{said}");
}

#[test]
fn a_product_that_was_mended_by_hand_sends_no_report() {
    let till = Till::copy();
    let defect = "    return (total_cents + count // 2) // count\n";
    let mended = format!("    if count == 0:\n        return 0\n{defect}");
    till.replace("product/till/totals.py", defect, &mended);
    let sample = till.folder().to_str().unwrap();
    let done = ask(till.folder(), &["demo", "--sample", sample]);
    let said = stderr(&done);
    assert_eq!(done.status.code(), Some(1), "{said}{}", stdout(&done));
    assert!(said.contains("refunds only does not crash"), "{said}");
    let story = stdout(&done);
    let last = story.lines().last().unwrap();
    assert!(
        last.starts_with("It did not heal: a report did not come"),
        "{story}"
    );
    assert!(!story.contains("It healed"), "{story}");
}

#[test]
fn a_broken_configuration_of_the_sample_is_named_by_file_line_and_key() {
    let till = Till::copy();
    let file = "product/kintsugi.toml";
    till.replace(file, "soak_seconds = 2\n", "soak_seconds = \"two\"\n");
    let text = till.read(file);
    let line = text.lines().position(|it| it.starts_with("soak_")).unwrap() + 1;
    let done = ask(till.folder(), &["demo", "--sample", "."]);
    let said = stderr(&done);
    assert_eq!(done.status.code(), Some(3), "{said}");
    let last = said.lines().last().unwrap();
    let place = format!("/{file}:{line}: rollout.soak_seconds: ");
    for word in ["failed: ", &place, "expected u64", "[config_broken]"] {
        assert!(last.contains(word), "{word:?} is not in {said}");
    }
    assert_eq!(stdout(&done), "");
}
