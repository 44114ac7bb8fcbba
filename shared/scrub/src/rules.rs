//! The rules of a project, ready for use.

use crate::keys;
use crate::text::{Hit, Rule, Text, is_known_placeholder, unnumbered};
use kintsugi_domain::scrub_rules::{RULES, ScrubRules};
use regex::Regex;
use std::collections::BTreeSet;

/// Why the rules of a project cannot be used. [`ScrubRules::check`] says the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {expected}")]
pub struct RulesError {
    /// The key of the configuration.
    pub key: &'static str,
    /// What was expected, and what was found.
    pub expected: String,
}

impl RulesError {
    /// The stable name of this failure.
    pub fn code(&self) -> &'static str {
        "scrub_rules"
    }
}

/// A pattern of a project's own.
pub(crate) struct Own {
    pub(crate) pattern: Regex,
    name: String,
    placeholder: String,
}

/// What a project changes, compiled.
#[derive(Default)]
pub(crate) struct Rules {
    off: Vec<Rule>,
    secret_names: Vec<String>,
    safe_names: BTreeSet<String>,
    allow: BTreeSet<String>,
    own: Vec<Own>,
}

impl Rules {
    pub(crate) fn new(rules: &ScrubRules) -> Result<Self, RulesError> {
        let refused = |(key, expected)| RulesError { key, expected };
        rules.check().map_err(refused)?;
        let mut own = Vec::with_capacity(rules.patterns.len());
        for pattern in &rules.patterns {
            own.push(Own {
                pattern: pattern
                    .compile()
                    .map_err(|why| refused(("scrub.patterns.pattern", why)))?,
                name: pattern.name.clone(),
                placeholder: format!("[{}]", pattern.name),
            });
        }
        let off = Rule::OPTIONAL
            .into_iter()
            .zip(RULES)
            .filter(|(_, name)| rules.off.iter().any(|off| off == name))
            .map(|(rule, _)| rule)
            .collect();
        Ok(Self {
            off,
            secret_names: rules
                .secret_names
                .iter()
                .map(|name| keys::words(name))
                .collect(),
            safe_names: rules
                .safe_names
                .iter()
                .map(|name| keys::words(name))
                .collect(),
            allow: rules.allow.iter().cloned().collect(),
            own,
        })
    }

    /// Whether a find is to be removed: its rule is on, and its text is none that may stay.
    #[inline]
    pub(crate) fn removes(&self, hit: Hit, text: Text<'_>) -> bool {
        self.is_on(hit.rule)
            && (self.allow.is_empty() || !self.allows(text.slice(hit.start, hit.end)))
    }

    #[inline]
    pub(crate) fn is_on(&self, rule: Rule) -> bool {
        self.off.is_empty() || !self.off.contains(&rule)
    }

    #[inline]
    pub(crate) fn allows(&self, value: &str) -> bool {
        !self.allow.is_empty() && self.allow.contains(value)
    }

    pub(crate) fn has_own(&self) -> bool {
        !self.own.is_empty()
    }

    /// The patterns of the project, each with its rule.
    pub(crate) fn own(&self) -> impl Iterator<Item = (Rule, &Own)> {
        (0_u8..).map(Rule::Own).zip(&self.own)
    }

    fn own_of(&self, rule: Rule) -> Option<&Own> {
        let Rule::Own(place) = rule else {
            return None;
        };
        self.own.get(usize::from(place))
    }

    /// The name of a rule in remarks.
    pub(crate) fn name(&self, rule: Rule) -> &str {
        self.own_of(rule).map_or(rule.words().0, |own| &own.name)
    }

    /// What a rule leaves in the text.
    pub(crate) fn placeholder(&self, rule: Rule) -> &str {
        self.own_of(rule)
            .map_or(rule.words().1, |own| &own.placeholder)
    }

    /// Whether a text is a placeholder, with or without a number, and nothing else.
    pub(crate) fn is_placeholder(&self, text: &str) -> bool {
        self.is_bare_placeholder(text)
            || unnumbered(text).is_some_and(|text| self.is_bare_placeholder(&text))
    }

    fn is_bare_placeholder(&self, text: &str) -> bool {
        is_known_placeholder(text) || self.own.iter().any(|own| own.placeholder == text)
    }

    /// Whether the project names a name as one that promises a secret (yes) or none (no).
    #[inline]
    pub(crate) fn says_of(&self, name: &str) -> Option<bool> {
        if self.secret_names.is_empty() && self.safe_names.is_empty() {
            None
        } else {
            self.looked_up(name)
        }
    }

    fn looked_up(&self, name: &str) -> Option<bool> {
        let words = keys::words(name);
        if self.safe_names.contains(&words) {
            return Some(false);
        }
        let padded = format!(" {words} ");
        self.secret_names
            .iter()
            .any(|secret| padded.contains(&format!(" {secret} ")))
            .then_some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_the_rules_are_those_of_the_configuration_in_the_same_order() {
        let names = Rule::OPTIONAL.map(|rule| rule.words().0);
        assert_eq!(names, RULES);
    }
}
