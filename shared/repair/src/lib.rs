//! Drafts fixes for a crash by templates and edit search, and the regression test that judges them.
//!
//! Pure: source texts and the facts of an event go in, whole new texts come out. Reading a checkout,
//! running tests and choosing among proven candidates belong to the build engine.
//!
//! **Invariants.** The text of an event is hostile: it reaches generated code only as a literal that
//! was parsed strictly and written anew, or as a cleaned comment. A candidate always parses. A
//! candidate says honestly whether it corrects, guards or suppresses.

mod call;
mod candidate;
mod donors;
mod edit;
mod guard;
mod hint;
mod lint;
mod literal;
mod mutate;
mod place;
mod reproduce;
mod rules;
mod syntax;
mod templates;
mod values;

pub use candidate::{Candidate, candidates};
pub use lint::lint;
pub use reproduce::{NotReproducible, RegressionTest, regression_test};

use kintsugi_domain::config::Language;
use kintsugi_domain::diagnosis::Suspect;
use kintsugi_domain::event::Event;

/// A file of the product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Relative to the product's root, with forward slashes.
    pub path: String,
    /// Its whole text.
    pub text: String,
}

/// The language of a file by its name, if fixes can be searched in it.
pub fn language_of(path: &str) -> Option<Language> {
    match path.rsplit_once('.') {
        Some((stem, "py")) if !stem.is_empty() => Some(Language::Python),
        Some(_) | None => None,
    }
}

/// The files that the search wants to read, relative to the product's root, likeliest first.
///
/// Not every name need exist: reports name files as the program knew them, so each is also tried
/// under `src/`. Names that leave the product are dropped.
pub fn files_needed(event: &Event, suspects: &[Suspect]) -> Vec<String> {
    let mut files: Vec<String> = Vec::new();
    let mut add = |paths: Vec<String>| {
        for path in paths {
            if !files.contains(&path) {
                files.push(path);
            }
        }
    };
    for suspect in suspects {
        add(place::paths_of(&suspect.file, None));
    }
    let frames = event.raised().map_or(&[][..], |raised| &raised.frames);
    for frame in frames.iter().rev().filter(|frame| place::is_product(frame)) {
        add(place::paths_of(&frame.file, frame.module.as_deref()));
    }
    files.truncate(FILES_MAX);
    files
}

/// The product files that `sources` import from, without those already there: classes whose values
/// appear in an event are defined in them. A second, optional round of reading; not every name need exist.
pub fn files_imported(sources: &[Source]) -> Vec<String> {
    let mut files: Vec<String> = Vec::new();
    for module in sources.iter().filter_map(syntax::Module::parse) {
        let package = module.dotted().unwrap_or_default();
        let package = package.rsplit_once('.').map_or("", |(package, _)| package);
        for import in syntax::descendants(module.root()) {
            let Some(name) = import.child_by_field_name("module_name") else {
                continue;
            };
            let name = module.text(name);
            let dotted = match name.strip_prefix('.') {
                Some(rest) if !rest.starts_with('.') && !package.is_empty() => {
                    format!("{package}.{rest}")
                }
                Some(_) => continue,
                None => name.to_owned(),
            };
            for path in place::paths_of("", Some(&dotted)) {
                let known = sources.iter().any(|source| source.path == path);
                if !known && !files.contains(&path) {
                    files.push(path);
                }
            }
        }
    }
    files.truncate(FILES_MAX);
    files
}

/// Most files that are asked for.
const FILES_MAX: usize = 60;
