//! From places to candidates: templates first, then edit search; each distinct change once.
//!
//! **Every candidate parses**: what the syntax tree of the new text has as an error is dropped here,
//! before anything is run. Two candidates whose trees are the same but for layout are one.

use crate::Source;
use crate::edit::{self, Crash, Draft};
use crate::place;
use crate::syntax::{self, Module};
use crate::{mutate, templates};
use kintsugi_domain::diagnosis::{self, Suspect};
use kintsugi_domain::event::{Event, Frame};
use kintsugi_domain::job::FixClass;
use similar::TextDiff;
use std::collections::BTreeSet;

/// Most suspects that are edited.
const PLACES_MAX: usize = 6;
/// Most lines of a file that is edited; larger ones are generated, mostly.
const LINES_MAX: usize = 20_000;

/// A drafted change of one file.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The rule that made it: `zero-division.guard-return`.
    pub rule: String,
    /// What kind of change it is.
    pub class: FixClass,
    /// How promising it is before any test, 0 to 1.
    pub prior: f64,
    /// The file, relative to the product's root.
    pub path: String,
    /// The whole new text of the file.
    pub new_text: String,
    /// The change as a unified diff with `a/` and `b/` names.
    pub diff: String,
    /// Lines added plus lines removed.
    pub size: usize,
}

/// Distinct candidates (by syntax tree, without layout and comments), most promising first, at most
/// `limit`. Without suspects, those of the event itself are taken.
pub fn candidates(
    event: &Event,
    suspects: &[Suspect],
    sources: &[Source],
    limit: usize,
) -> Vec<Candidate> {
    let Some(raised) = event.raised() else {
        return Vec::new();
    };
    let own = diagnosis::suspects(event);
    let suspects = if suspects.is_empty() { &own } else { suspects };
    let mut drafts: Vec<(&Source, Draft)> = Vec::new();
    let innermost = raised.frames.iter().rposition(place::is_product);
    for suspect in suspects.iter().take(PLACES_MAX) {
        let at = raised.frames.iter().rposition(|frame| {
            frame.file == suspect.file
                && frame.function == suspect.function
                && (suspect.line.is_none() || frame.line == suspect.line)
        });
        let frame = match at.and_then(|at| raised.frames.get(at)) {
            Some(frame) => frame.clone(),
            None => Frame {
                file: suspect.file.clone(),
                function: suspect.function.clone(),
                line: suspect.line,
                in_app: true,
                ..Frame::default()
            },
        };
        let source = place::source_of(sources, &frame.file, frame.module.as_deref());
        let Some(source) = source.filter(|source| source.text.lines().count() <= LINES_MAX) else {
            continue;
        };
        let raising = at.is_some() && at == innermost;
        let found = drafts_for(source, &frame, suspect.weight, raising, raised);
        drafts.extend(found.into_iter().map(|draft| (source, draft)));
    }
    // A stable sort: among equals the order of the templates stands.
    drafts.sort_by(|(_, a), (_, b)| b.prior.total_cmp(&a.prior));
    distinct(drafts, limit)
}

/// The drafts for one frame.
fn drafts_for(
    source: &Source,
    frame: &Frame,
    weight: f64,
    raising: bool,
    raised: &kintsugi_domain::event::Exception,
) -> Vec<Draft> {
    let Some(module) = Module::parse(source).filter(|module| !module.root().has_error()) else {
        return Vec::new();
    };
    let row = place::row_of(&module, frame);
    let Some((row, statement)) =
        row.and_then(|row| Some((row, syntax::statement_at(module.root(), row)?)))
    else {
        return Vec::new();
    };
    let crash = Crash {
        module: &module,
        function: syntax::function_of(statement),
        statement,
        row,
        vars: &frame.vars,
        weight: weight.clamp(0.0, 1.0),
        raising,
        kind: raised.kind.rsplit('.').next().unwrap_or_default(),
        message: &raised.value,
    };
    let mut drafts = Vec::new();
    if raising {
        drafts.extend(templates::drafts(crash));
    }
    drafts.extend(mutate::drafts(crash));
    drafts
}

/// Makes the texts, best first, and keeps what parses and is new.
fn distinct(drafts: Vec<(&Source, Draft)>, limit: usize) -> Vec<Candidate> {
    let mut seen: BTreeSet<(&str, String)> = BTreeSet::new();
    for (source, _) in &drafts {
        if let Some(tree) = syntax::parse(&source.text) {
            let form = syntax::normal_form(tree.root_node(), &source.text);
            seen.insert((&source.path, form));
        }
    }
    let mut candidates = Vec::new();
    for (source, draft) in drafts {
        if candidates.len() == limit {
            break;
        }
        let Some(new_text) = edit::apply(&source.text, &draft.edits) else {
            continue;
        };
        let Some(tree) = syntax::parse(&new_text).filter(|tree| !tree.root_node().has_error())
        else {
            continue;
        };
        let form = syntax::normal_form(tree.root_node(), &new_text);
        if !seen.insert((&source.path, form)) {
            continue;
        }
        let (diff, size) = unified(&source.path, &source.text, &new_text);
        candidates.push(Candidate {
            rule: draft.rule,
            class: draft.class,
            prior: draft.prior.clamp(0.0, 1.0),
            path: source.path.clone(),
            new_text,
            diff,
            size,
        });
    }
    candidates
}

/// A unified diff with three lines of context, and the number of lines added and removed.
pub(crate) fn unified(path: &str, old: &str, new: &str) -> (String, usize) {
    let diff = TextDiff::from_lines(old, new);
    let size = diff
        .iter_all_changes()
        .filter(|change| change.tag() != similar::ChangeTag::Equal)
        .count();
    let text = diff
        .unified_diff()
        .context_radius(3)
        .header(&format!("a/{path}"), &format!("b/{path}"))
        .to_string();
    (text, size)
}
