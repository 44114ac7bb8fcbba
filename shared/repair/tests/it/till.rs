//! The sample product and the event its crash really sent.

use crate::support::{self, Checkout};
use kintsugi_domain::config::FixRules;
use kintsugi_domain::diagnosis::suspects;
use kintsugi_domain::id::IssueId;
use kintsugi_domain::job::FixClass;
use kintsugi_repair::{candidates, lint, regression_test};

#[test]
fn the_real_event_leads_to_the_documented_fix_among_the_first_ten() {
    let event = support::sent(&support::repository("samples/till/sample-event.json"));
    let files = support::files(&support::repository("samples/till/product"));
    let sources = support::sources(&files, &event);
    let issue: IssueId = "0123456789abcdef".parse().unwrap();
    let test = regression_test(&event, &issue, &sources, "tests").unwrap();
    assert_eq!(test.argv_module, "tests.test_regression_01234567");

    let checkout = Checkout::of(&files);
    checkout.write(&test.path, &test.text);
    let before = checkout.unittest(&[&test.argv_module]).unwrap_err();
    assert!(before.contains("ZeroDivisionError"), "{before}");

    let drafted = candidates(&event, &suspects(&event), &sources, 12);
    let mut passing = Vec::new();
    for (index, candidate) in drafted.iter().enumerate() {
        let original = sources
            .iter()
            .find(|source| source.path == candidate.path)
            .unwrap();
        if lint(candidate, original, &FixRules::default()).is_err() {
            continue;
        }
        checkout.write(&candidate.path, &candidate.new_text);
        if checkout.unittest(&[&test.argv_module]).is_ok() && checkout.suite().is_ok() {
            passing.push((index + 1, candidate));
        }
        checkout.write(&original.path, &original.text);
    }
    for (rank, candidate) in &passing {
        println!(
            "{rank} {} {:?} {:.2}\n{}",
            candidate.rule, candidate.class, candidate.prior, candidate.diff
        );
    }
    println!("{}\n{} candidates", test.text, drafted.len());
    let (rank, best) = passing.first().unwrap();
    assert!(*rank <= 10, "{rank}");
    assert!(best.class >= FixClass::Guards);
    assert!(
        best.diff
            .contains("+    if count == 0:\n+        return 0\n"),
        "{}",
        best.diff
    );
}
