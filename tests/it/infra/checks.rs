//! What other programs check in the template. checkov itself runs in `cargo xtask aws-e2e`.

use super::template::{self, Template, text};
use std::collections::BTreeSet;
use std::fs;

#[test]
fn cfn_lint_finds_nothing() {
    let output = template::lint();
    let said = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}{error}");
}

#[test]
fn whatever_checkov_skips_stands_in_the_template_with_its_reason() {
    let settings = fs::read_to_string(template::root().join("infra/.checkov.yaml")).unwrap();
    let skipped: BTreeSet<&str> = settings
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- "))
        .collect();
    let template = Template::read();
    let reasons = template.at("/Metadata/Skipped").as_object().unwrap();
    assert_eq!(
        reasons.keys().map(String::as_str).collect::<BTreeSet<_>>(),
        skipped
    );
    for (check, reason) in reasons {
        assert!(text(reason).ends_with('.'), "{check} without a reason");
    }
}
