//! The search for fixes: gates on the unchanged product, then candidates, each through the gates until
//! one fails, cheap gates first.
//!
//! **Invariant: a candidate is proven only if the regression test failed on the unchanged product as the
//! event says, passes with the candidate, and the whole suite passes with both.** Not here: drafting
//! (`kintsugi-repair`), choosing among proven candidates (`kintsugi_domain::fix::choose`), and replaying
//! the original input: an event does not carry it.

use crate::Site;
use crate::git::Git;
use crate::tree::Tree;
use crate::workshop::{self, Workshop};
use kintsugi_domain::config::Config;
use kintsugi_domain::job::{CandidateReport, Gate, Job, SearchOrder, SearchReport, SourceFile};
use kintsugi_domain::ports::PortError;
use kintsugi_repair::{Candidate, RegressionTest, Source};
use kintsugi_sandbox::{Exit, Finished};
use std::time::Duration;

/// So many proven candidates end a search: enough to choose from.
const PROVEN_MAX: usize = 3;
/// A search stops starting new candidates after so much time in the box.
const SEARCH_WALL_MAX: Duration = Duration::from_mins(20);
/// A run of a candidate may take this many times as long as the same run before any change …
const PATIENCE_FACTOR: u32 = 10;
/// … and this much more, but never longer than the configuration says.
const PATIENCE_MIN: Duration = Duration::from_secs(10);
/// A suite may take this share of the unchanged product's time, percent …
const RUNTIME_PERCENT_MAX: u32 = 120;
/// … and this much more, so that noise of short suites fails nobody.
const RUNTIME_NOISE: Duration = Duration::from_secs(2);
/// Longest source file that is read for a search, bytes.
const SOURCE_BYTES_MAX: usize = 1024 * 1024;

/// Does a search.
pub(crate) fn run(site: &Site, job: &Job, order: &SearchOrder) -> Result<SearchReport, PortError> {
    let git = Git::clone(&job.repository, site)?;
    if git.commit(&order.commit)?.is_none() {
        let what = format!("the commit {:?}", order.commit);
        return Err(PortError::broken(what, "it is not in the repository"));
    }
    let tree = git.tree(&order.commit)?;
    let sources = sources(&tree, order);
    let config = &job.config;
    let test = kintsugi_repair::regression_test(
        &order.event,
        &order.issue,
        &sources,
        &config.fix.tests_folder,
    );
    let mut report = SearchReport {
        regression_test: None,
        base: Vec::new(),
        candidates: Vec::new(),
        refused: None,
    };
    let test = match test {
        Ok(test) => test,
        Err(error) => {
            report.refused = Some(format!("{}: {error}", error.code()));
            return Ok(report);
        }
    };
    let with_test = match tree.with_text(&test.path, &test.text) {
        Ok(tree) => tree,
        Err(why) => {
            report.refused = Some(format!("the regression test has no place: {why}"));
            return Ok(report);
        }
    };
    report.regression_test = Some(SourceFile {
        path: test.path.clone(),
        content: test.text.clone(),
    });
    let workshop = Workshop::open(site, job.ordered_at.as_second());
    let mut bench = Bench {
        workshop: &workshop,
        config,
        test: &test,
        spent: Duration::ZERO,
    };
    let Some(before) = bench.before(&tree, &with_test, order, &mut report)? else {
        return Ok(report);
    };
    bench.candidates(&with_test, &sources, order, &before, &mut report)?;
    Ok(report)
}

/// The files that the search may want, as far as the product has them.
fn sources(tree: &Tree, order: &SearchOrder) -> Vec<Source> {
    let read = |paths: Vec<String>| {
        paths.into_iter().filter_map(|path| {
            let text = tree.text(&path)?;
            (text.len() <= SOURCE_BYTES_MAX).then(|| Source {
                text: text.to_owned(),
                path,
            })
        })
    };
    let mut sources: Vec<Source> =
        read(kintsugi_repair::files_needed(&order.event, &order.suspects)).collect();
    let imported: Vec<Source> = read(kintsugi_repair::files_imported(&sources)).collect();
    sources.extend(imported);
    sources
}

/// What the unchanged product took.
struct Before {
    suite: Finished,
    regression: Finished,
}

struct Bench<'a> {
    workshop: &'a Workshop<'a>,
    config: &'a Config,
    test: &'a RegressionTest,
    spent: Duration,
}

impl Bench<'_> {
    /// The gates before any change. Nothing: one failed, and the report says which.
    fn before(
        &mut self,
        tree: &Tree,
        with_test: &Tree,
        order: &SearchOrder,
        report: &mut SearchReport,
    ) -> Result<Option<Before>, PortError> {
        let (suite, gate) = self.suite_before(tree)?;
        let passed = gate.passed;
        report.base.push(gate);
        if !passed {
            refuse(report);
            return Ok(None);
        }
        let wall = workshop::wall(&self.config.test);
        let regression = self.python(with_test, &self.unittest(), wall)?;
        let kind = order
            .event
            .raised()
            .map_or("", |raised| raised.kind.as_str());
        let gate = regression_before(&regression, kind, &self.test.what);
        let passed = gate.passed;
        report.base.push(gate);
        if !passed {
            refuse(report);
            return Ok(None);
        }
        Ok(Some(Before { suite, regression }))
    }

    /// The suite of the unchanged product; a second run tells a broken suite from a flaky one.
    fn suite_before(&mut self, tree: &Tree) -> Result<(Finished, Gate), PortError> {
        let suite = self.suite(tree, workshop::wall(&self.config.test))?;
        let mut gate = suite_gate(&suite);
        if !gate.passed && matches!(suite.status, Exit::Code(_)) {
            let again = self.suite(tree, workshop::wall(&self.config.test))?;
            if suite_gate(&again).passed {
                gate.detail = format!(
                    "the suite is flaky: it passed when run again; at first it {}",
                    gate.detail
                );
            }
        }
        Ok((suite, gate))
    }

    fn candidates(
        &mut self,
        with_test: &Tree,
        sources: &[Source],
        order: &SearchOrder,
        before: &Before,
        report: &mut SearchReport,
    ) -> Result<(), PortError> {
        let limit = self.config.fix.candidates_max;
        let drafts = kintsugi_repair::candidates(&order.event, &order.suspects, sources, limit);
        let mut proven = 0;
        for draft in drafts.into_iter().take(limit) {
            if proven >= PROVEN_MAX || self.spent > SEARCH_WALL_MAX {
                break;
            }
            let gates = self.candidate(with_test, sources, &draft, before)?;
            let tried = CandidateReport {
                rule: draft.rule,
                class: draft.class,
                prior: draft.prior,
                files: vec![SourceFile {
                    path: draft.path,
                    content: draft.new_text,
                }],
                diff: draft.diff,
                size: draft.size,
                gates,
            };
            proven += usize::from(tried.is_proven());
            report.candidates.push(tried);
        }
        if report.candidates.is_empty() {
            report.refused = Some("no rule drafts a change for this failure".to_owned());
        }
        Ok(())
    }

    /// Takes one candidate through the gates, to the first that it does not pass.
    fn candidate(
        &mut self,
        with_test: &Tree,
        sources: &[Source],
        draft: &Candidate,
        before: &Before,
    ) -> Result<Vec<Gate>, PortError> {
        let mut gates = Vec::new();
        let original = sources.iter().find(|source| source.path == draft.path);
        let linted = match original {
            Some(original) => kintsugi_repair::lint(draft, original, &self.config.fix),
            None => Err(format!(
                "{} was not among the files it may change",
                draft.path
            )),
        };
        let changed = linted.and_then(|detail| {
            let tree = with_test.with_text(&draft.path, &draft.new_text)?;
            Ok((detail, tree))
        });
        let (passed, detail, tree) = match changed {
            Ok((detail, tree)) => (true, detail, Some(tree)),
            Err(why) => (false, why, None),
        };
        gates.push(Gate {
            name: "lint".to_owned(),
            passed,
            detail,
        });
        let Some(tree) = tree else {
            return Ok(gates);
        };
        let wall = self.patience(&before.regression);
        let compile = ["-m", "py_compile", &draft.path].map(str::to_owned);
        let syntax = self.python(&tree, &compile, wall)?;
        gates.push(workshop::gate("syntax", &syntax));
        if !syntax.success() {
            return Ok(gates);
        }
        let regression = self.python(&tree, &self.unittest(), wall)?;
        gates.push(ran_tests(
            workshop::gate("regression_after", &regression),
            &regression,
        ));
        if gates.last().is_none_or(|gate| !gate.passed) {
            return Ok(gates);
        }
        let suite = self.suite(&tree, self.patience(&before.suite))?;
        gates.push(suite_gate(&suite));
        if gates.last().is_some_and(|gate| gate.passed) {
            gates.push(runtime(&before.suite, &suite));
        }
        Ok(gates)
    }

    fn suite(&mut self, tree: &Tree, wall: Duration) -> Result<Finished, PortError> {
        let finished = self
            .workshop
            .run_for(tree, &self.config.test.command, wall)?;
        self.spent += finished.wall;
        Ok(finished)
    }

    fn python(
        &mut self,
        tree: &Tree,
        arguments: &[String],
        wall: Duration,
    ) -> Result<Finished, PortError> {
        let mut argv = vec!["python3".to_owned()];
        argv.extend_from_slice(arguments);
        let finished = self.workshop.run_for(tree, &argv, wall)?;
        self.spent += finished.wall;
        Ok(finished)
    }

    fn unittest(&self) -> [String; 3] {
        ["-m", "unittest", &self.test.argv_module].map(str::to_owned)
    }

    fn patience(&self, before: &Finished) -> Duration {
        let patience = before.wall * PATIENCE_FACTOR + PATIENCE_MIN;
        patience.min(workshop::wall(&self.config.test))
    }
}

/// Says that there are no candidates because of the last gate.
fn refuse(report: &mut SearchReport) {
    if let Some(gate) = report.base.last() {
        let line = gate.detail.lines().next().unwrap_or_default();
        report.refused = Some(format!("before any change: {}: {line}", gate.name));
    }
}

fn suite_gate(finished: &Finished) -> Gate {
    ran_tests(workshop::gate("suite", finished), finished)
}

/// A run in which no test ran proves nothing, whatever it ended with.
fn ran_tests(mut gate: Gate, finished: &Finished) -> Gate {
    if gate.passed && ran_none(finished) {
        gate.passed = false;
        "no test ran".clone_into(&mut gate.detail);
    }
    gate
}

/// Whether Python's `unittest` says that there was nothing to run, or that all of it was skipped.
pub(crate) fn ran_none(finished: &Finished) -> bool {
    ran_none_of(&workshop::output(finished))
}

fn ran_none_of(output: &str) -> bool {
    let number = |line: &str, before: &str| -> Option<u64> {
        let (_, rest) = line.split_once(before)?;
        let end = rest.find(|c: char| !c.is_ascii_digit());
        rest.get(..end.unwrap_or(rest.len()))?.parse().ok()
    };
    let last = |starts: &str| output.lines().rev().find(|line| line.starts_with(starts));
    let ran = last("Ran ").and_then(|line| number(line, "Ran "));
    let skipped = last("OK (").and_then(|line| number(line, "skipped="));
    ran.is_some_and(|ran| ran <= skipped.unwrap_or(0))
}

/// The regression test must fail on the unchanged product, and for the reason of the event.
fn regression_before(finished: &Finished, kind: &str, what: &str) -> Gate {
    let seen =
        matches!(finished.status, Exit::Code(_)) && raises(&workshop::output(finished), kind);
    let (passed, detail) = if finished.success() {
        (
            false,
            format!("the event could not be reproduced, nothing fails: {what}"),
        )
    } else if seen {
        (true, format!("fails with {kind}, as reported: {what}"))
    } else {
        let explained = workshop::explain(finished);
        (
            false,
            format!("it does not fail with {kind}: it {explained}"),
        )
    };
    Gate {
        name: "regression_before".to_owned(),
        passed,
        detail,
    }
}

/// Whether a traceback ends with an exception of that type: `module.Kind: message` at a line's start.
fn raises(output: &str, kind: &str) -> bool {
    let short = |name: &str| name.rsplit('.').next().map(str::to_owned);
    !kind.is_empty()
        && output
            .lines()
            .filter_map(|line| line.split(':').next())
            .any(|name| short(name) == short(kind))
}

/// The suite must not become slow. Processor time where it is known, because it is steadier.
fn runtime(before: &Finished, after: &Finished) -> Gate {
    let time = |finished: &Finished| finished.cpu.unwrap_or(finished.wall);
    let (before, after) = (time(before), time(after));
    let most = before * RUNTIME_PERCENT_MAX / 100 + RUNTIME_NOISE;
    Gate {
        name: "runtime".to_owned(),
        passed: after <= most,
        detail: format!(
            "the suite took {:.1} s before, {:.1} s after; up to {:.1} s is allowed",
            before.as_secs_f64(),
            after.as_secs_f64(),
            most.as_secs_f64()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_is_known_by_the_last_line_of_its_traceback() {
        let output = "Traceback (most recent call last):\n  File \"t.py\", line 3\n    raise KeyError: no\nshop.errors.Refused: no\n";
        assert!(raises(output, "Refused"));
        assert!(raises(output, "shop.errors.Refused"));
        assert!(!raises(output, "KeyError"));
        assert!(!raises(output, "Error"));
        assert!(!raises("", ""));
    }

    #[test]
    fn a_run_without_tests_or_with_skipped_ones_only_is_none() {
        for (output, none) in [
            ("Ran 0 tests in 0.000s\n\nOK", true),
            ("ss\nRan 2 tests in 0.001s\n\nOK (skipped=2)", true),
            ("s.\nRan 2 tests in 0.001s\n\nOK (skipped=1)", false),
            ("..\nRan 12 tests in 0.001s\n\nOK", false),
            ("12 passed", false),
            ("", false),
        ] {
            assert_eq!(ran_none_of(output), none, "{output}");
        }
    }
}
