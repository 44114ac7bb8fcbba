//! Reports that are too long to be sent: a search carries every changed file of every candidate, whole, and only those of the
//! candidate that will be chosen are read again. Each keeps its diff and its gates.

use kintsugi_domain::fix::{Verdict, choose};
use kintsugi_domain::job::{Report, SearchReport};

/// The length of a report as it is sent, bytes.
pub(super) fn length(report: &Report) -> usize {
    serde_json::to_vec(report).map_or(usize::MAX, |bytes| bytes.len())
}

/// The report, without the files that nobody reads again where it is longer than `bytes_max`.
pub(super) fn fit(mut report: Report, bytes_max: usize) -> Report {
    if length(&report) > bytes_max
        && let Report::Search(search) = &mut report
    {
        drop_files(search);
    }
    report
}

fn drop_files(search: &mut SearchReport) {
    let chosen = match choose(search) {
        Verdict::Chosen { candidate, .. } => Some(candidate.diff.clone()),
        Verdict::None { .. } => None,
    };
    for candidate in &mut search.candidates {
        if chosen.as_ref() != Some(&candidate.diff) {
            candidate.files.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kintsugi_domain::job::{CandidateReport, FixClass, Gate, SourceFile};

    fn file(length: usize) -> SourceFile {
        SourceFile {
            path: "till/a.py".to_owned(),
            content: "x".repeat(length),
        }
    }

    fn gates(passed: bool) -> Vec<Gate> {
        let gate = |name: &str, passed| Gate {
            name: name.to_owned(),
            passed,
            detail: String::new(),
        };
        vec![gate("lint", true), gate("suite", passed)]
    }

    fn search() -> Report {
        let candidate = |number: usize| CandidateReport {
            rule: format!("rule-{number}"),
            class: FixClass::Corrects,
            prior: 0.5,
            files: vec![file(10_000)],
            diff: format!("+{number}"),
            size: 1,
            gates: gates(number == 3),
        };
        Report::Search(SearchReport {
            regression_test: Some(file(10)),
            base: gates(true),
            candidates: (0..5).map(candidate).collect(),
            refused: None,
        })
    }

    #[test]
    fn what_fits_is_sent_as_it_is_and_else_only_the_chosen_files_go() {
        let whole = search();
        assert_eq!(fit(search(), length(&whole)), whole);
        let fitted = fit(search(), 20_000);
        assert!(length(&fitted) < 20_000);
        let Report::Search(fitted) = fitted else {
            panic!("it is a search");
        };
        let kept: Vec<usize> = fitted.candidates.iter().map(|it| it.files.len()).collect();
        assert_eq!(kept, [0, 0, 0, 1, 0]);
        assert!(fitted.candidates.iter().all(|it| it.gates.len() == 2));
    }
}
