//! Searches on the event that the sample product really sent.
#![expect(clippy::unwrap_used, clippy::panic, reason = "test code")]

use crate::product::{DEFECT, Product, RIGHT, event};
use kintsugi_domain::diagnosis::suspects;
use kintsugi_domain::fix::{Verdict, choose};
use kintsugi_domain::job::{Order, Report, SearchOrder, SearchReport};

async fn search(product: &Product) -> SearchReport {
    let event = event();
    let order = SearchOrder {
        issue: "0123456789abcdef".parse().unwrap(),
        commit: product.head(),
        suspects: suspects(&event),
        event,
    };
    match product.run(Order::Search(Box::new(order))).await.unwrap() {
        Report::Search(report) => report,
        Report::Build(report) => panic!("{report:?}"),
    }
}

fn verdict(report: &SearchReport) -> String {
    match choose(report) {
        Verdict::Chosen { why, .. } => format!("chosen: {why}"),
        Verdict::None { why } => why,
    }
}

#[tokio::test]
async fn the_crash_of_the_sample_ends_with_a_proven_fix() {
    let report = search(&Product::sample()).await;
    assert_eq!(report.refused, None);
    let base: Vec<(&str, bool)> = report
        .base
        .iter()
        .map(|gate| (gate.name.as_str(), gate.passed))
        .collect();
    assert_eq!(
        base,
        [("suite", true), ("regression_before", true)],
        "{report:?}"
    );
    let Verdict::Chosen { candidate, .. } = choose(&report) else {
        panic!("{}: {:#?}", verdict(&report), report.candidates);
    };
    let gates: Vec<&str> = candidate
        .gates
        .iter()
        .map(|gate| gate.name.as_str())
        .collect();
    assert_eq!(
        gates,
        ["lint", "syntax", "regression_after", "suite", "runtime"]
    );
    assert_eq!(candidate.files[0].path, "till/totals.py");
    assert!(
        candidate.diff.contains("\n+    if count == 0:\n"),
        "{}",
        candidate.diff
    );
}

#[tokio::test]
async fn nothing_is_proven_where_the_product_wants_the_crash() {
    let mut product = Product::sample();
    product.config.fix.candidates_max = 20;
    product.write(
        "tests/test_pinned.py",
        "import unittest

from till.journal import Entry
from till.settings import Settings
from till.totals import average_sale, summarise


class Pinned(unittest.TestCase):
    def test_a_day_without_sales_is_an_error(self) -> None:
        with self.assertRaises(ZeroDivisionError):
            average_sale(0, 0)
        with self.assertRaises(ZeroDivisionError):
            summarise([Entry('09:00:00', 'refund', 'R1', 'food', 100)], Settings())
",
    );
    product.commit("test: pin the crash");
    let report = search(&product).await;
    assert_eq!(report.refused, None);
    assert!(!report.candidates.is_empty());
    for candidate in &report.candidates {
        assert!(!candidate.is_proven(), "{candidate:#?}");
        let failed: Vec<bool> = candidate.gates.iter().map(|gate| gate.passed).collect();
        assert_eq!(
            failed.iter().filter(|passed| !**passed).count(),
            1,
            "{candidate:#?}"
        );
        assert_eq!(failed.last(), Some(&false));
    }
    assert!(
        verdict(&report).starts_with("none of "),
        "{}",
        verdict(&report)
    );
}

#[tokio::test]
async fn a_product_that_does_not_crash_any_more_gets_no_fix() {
    let product = Product::sample();
    product.replace("till/totals.py", DEFECT, RIGHT);
    product.commit("fix: by hand");
    let report = search(&product).await;
    assert!(report.candidates.is_empty());
    let why = report.refused.clone().unwrap();
    assert!(
        why.starts_with("before any change: regression_before: the event could not be reproduced"),
        "{why}"
    );
}

#[tokio::test]
async fn an_event_without_a_stack_is_refused_with_the_reason() {
    let product = Product::sample();
    let mut event = event();
    event.exceptions.clear();
    let order = SearchOrder {
        issue: "0123456789abcdef".parse().unwrap(),
        commit: product.head(),
        suspects: vec![],
        event,
    };
    let report = product.run(Order::Search(Box::new(order))).await.unwrap();
    let Report::Search(report) = report else {
        panic!("{report:?}");
    };
    let why = report.refused.unwrap();
    assert!(why.starts_with("repair.no_stack: "), "{why}");
    assert_eq!(report.regression_test, None);
}

#[tokio::test]
async fn a_suite_that_hangs_ends_at_its_time_limit() {
    let mut product = Product::sample();
    product.config.test.timeout_seconds = 2;
    product.write("tests/test_hang.py", "while True:\n    pass\n");
    product.commit("test: hang");
    let report = search(&product).await;
    assert!(!report.base[0].passed);
    assert!(
        report.base[0]
            .detail
            .starts_with("did not end within 2 seconds"),
        "{report:?}"
    );
    assert!(report.candidates.is_empty());
}

#[tokio::test]
async fn a_suite_without_tests_proves_nothing() {
    let mut product = Product::sample();
    let nothing = [
        "python3", "-m", "unittest", "discover", "-s", "till", "-t", ".",
    ];
    product.config.test.command = nothing.map(str::to_owned).to_vec();
    let report = search(&product).await;
    assert!(!report.base[0].passed, "{report:?}");
}

/// Prints what it can see and do, then fails, so that the words end in the gate.
const HOSTILE: &str = "import os, socket, sys, time
print('x' * 3_000_000)
seen = [p for p in ('/w/.git', 'REPOSITORY', '/etc/shadow') if os.path.exists(p)]
try:
    socket.create_connection(('127.0.0.1', 22), 1)
    seen.append('network')
except OSError:
    pass
if seen:
    print(seen, file=sys.stderr, flush=True)
    os._exit(7)
sys.stderr.write('y' * 3_000_000)
os.chmod('/w', 0)
for _ in range(500):
    try:
        if os.fork() == 0:
            time.sleep(60)
    except OSError:
        break
os._exit(3)
";

#[tokio::test]
async fn a_hostile_suite_reaches_nothing_and_ends_as_a_failed_gate() {
    let mut product = Product::sample();
    product.config.test.timeout_seconds = 20;
    let repository = product.repository().display().to_string();
    product.write(
        "tests/test_hostile.py",
        HOSTILE.replace("REPOSITORY", &repository),
    );
    product.commit("test: hostile");
    let report = search(&product).await;
    assert_eq!(report.base.len(), 1);
    let gate = &report.base[0];
    assert!(!gate.passed);
    assert!(gate.detail.len() <= 2_048, "{}", gate.detail.len());
    assert!(!gate.detail.starts_with("ended with code 7"), "{gate:?}");
}

#[tokio::test]
async fn a_suite_that_puts_links_in_place_of_folders_leads_the_engine_nowhere() {
    let product = Product::sample();
    let outside = tempfile::tempdir().unwrap();
    let script = "import atexit, os
def mess():
    for name in ('/w/tests', '/w/till'):
        os.rename(name, name + '-away')
        os.symlink('OUTSIDE', name)
atexit.register(mess)
";
    let target = outside.path().display().to_string();
    product.write("tests/test_mess.py", script.replace("OUTSIDE", &target));
    product.commit("test: mess");
    let report = search(&product).await;
    assert!(
        verdict(&report).starts_with("chosen: "),
        "{}",
        verdict(&report)
    );
    assert_eq!(outside.path().read_dir().unwrap().count(), 0);
}

#[tokio::test]
async fn links_in_the_product_are_carried_into_the_box_and_followed_nowhere_else() {
    let product = Product::sample();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), "secret").unwrap();
    std::os::unix::fs::symlink(outside.path(), product.repository().join("away")).unwrap();
    std::os::unix::fs::symlink("till/VERSION", product.repository().join("version")).unwrap();
    product.write(
        "tests/test_links.py",
        "import os, unittest
class Links(unittest.TestCase):
    def test_links(self):
        self.assertEqual(open('version').read().strip(), '1.0.0')
        self.assertTrue(os.path.islink('away'))
        self.assertFalse(os.path.exists('away/secret'))
",
    );
    product.commit("test: links");
    let report = search(&product).await;
    assert!(report.base[0].passed, "{report:?}");
}

#[tokio::test]
async fn a_missing_commit_and_a_missing_repository_are_errors_with_a_sentence() {
    let product = Product::sample();
    let order = |commit: &str| {
        Order::Search(Box::new(SearchOrder {
            issue: "0123456789abcdef".parse().unwrap(),
            commit: commit.to_owned(),
            suspects: vec![],
            event: event(),
        }))
    };
    for commit in ["0".repeat(40), "main".to_owned(), "--help".to_owned()] {
        let error = product.run(order(&commit)).await.unwrap_err();
        assert!(!error.is_transient());
        assert_eq!(
            error.to_string(),
            format!("the commit {commit:?}: it is not in the repository")
        );
    }
    let head = product.head();
    std::fs::rename(product.repository(), product.work_dir().join("../gone")).unwrap();
    let error = product.run(order(&head)).await.unwrap_err();
    assert!(error.is_transient());
    assert!(
        error.to_string().starts_with("cloning the repository "),
        "{error}"
    );
}
