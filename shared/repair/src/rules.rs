//! The rules that draft changes, in one table: name, prior and class.
//!
//! A prior is the weight of a rule before any test has run, 0 to 1. A candidate's prior is the product
//! of its rule's, of its value's (see [`crate::donors`]) and of its place's (1 for the raising frame,
//! less outwards). The numbers are set by hand: rules that keep or restore a value stand over early
//! returns, those over swallowed exceptions, and edits that know the exception over blind ones.
//!
//! The class says what a change of this rule does to the fault. A rule that puts in a value takes the
//! class of the value: documented values correct, neutral ones guard, `None` suppresses. Blind edits
//! never claim more than to guard, whatever they turn out to do.

use kintsugi_domain::job::FixClass::{self, Corrects, Guards, Suppresses};

/// A rule.
#[derive(Debug, PartialEq)]
pub(crate) struct Rule {
    /// Its name, after the family of the fault: `guard-return`.
    pub(crate) name: &'static str,
    /// Its weight before any test.
    pub(crate) prior: f64,
    /// What its changes do at best.
    pub(crate) class: FixClass,
}

macro_rules! rules {
    ($($(#[$doc:meta])* $id:ident = $name:literal, $prior:literal, $class:expr;)*) => {
        $($(#[$doc])* pub(crate) const $id: Rule = Rule { name: $name, prior: $prior, class: $class };)*
        #[cfg(test)]
        pub(crate) const ALL: &[Rule] = &[$($id),*];
    };
}

rules! {
    // For every fault that one expression raises.
    /// `if bad: return value` before the statement.
    GUARD_RETURN = "guard-return", 0.90, Corrects;
    /// `good and condition` where the expression is part of a condition.
    GUARD_CONDITION = "guard-condition", 0.70, Guards;
    /// `expression if good else value` in place.
    GUARD_INLINE = "guard-inline", 0.60, Corrects;
    /// `if bad: continue` in a `for` loop.
    GUARD_CONTINUE = "guard-continue", 0.30, Guards;
    /// `if good:` around a statement that stands for its effect.
    GUARD_SKIP = "guard-skip", 0.35, Guards;
    /// `<` for `<=` and the like in a condition that speaks of the same variable.
    BOUNDARY = "boundary", 0.55, Corrects;
    /// `try` with the raised exception, and a value.
    CATCH = "catch", 0.25, Guards;
    /// `try` with the raised exception, and nothing.
    SWALLOW = "swallow", 0.02, Suppresses;

    // Missing keys.
    /// The key as the mapping has it: stripped, in lower case, as text or number.
    KEY_FORM = "key-form", 0.85, Corrects;
    /// `d[k] = d.get(k, 0) + n`, `d.setdefault(k, []).append(x)`: the neutral element of what follows.
    KEY_START = "key-start", 0.85, Corrects;
    /// `discard` for `remove`, `pop(k, None)` for `del` and `pop`.
    KEY_REMOVE = "key-remove", 0.70, Guards;
    /// The entry that the mapping keeps for all others: `default`, `other`.
    KEY_OTHER = "key-other-entry", 0.60, Guards;
    /// `d.get(k, value)`.
    KEY_GET = "key-get", 0.65, Corrects;

    // Short sequences.
    /// An index or bound one lower or higher.
    OFF_BY_ONE = "off-by-one", 0.50, Corrects;

    // Absent values.
    /// `if p is None: p = value` at the start, for a parameter.
    PARAMETER_DEFAULT = "parameter-default", 0.65, Guards;
    /// `(x or value)`.
    OR_VALUE = "or-value", 0.60, Guards;
    /// `.get(k, value)` where `.get(k)` gave the absent value.
    GET_VALUE = "get-value", 0.65, Guards;
    /// `str(x)`, `int(x)` where two types meet.
    CONVERT = "convert", 0.60, Corrects;
    /// Another attribute that the file uses, spelt almost the same.
    ATTRIBUTE = "attribute", 0.50, Corrects;

    // Values of another form.
    /// `max(xs, default=value)`.
    DEFAULT_ARGUMENT = "default-argument", 0.80, Corrects;
    /// `split(sep, n)`: as many parts as are taken.
    SPLIT_LIMIT = "split-limit", 0.70, Corrects;
    /// `partition(sep)[::2]`: an empty text for the part that is not there.
    PARTITION = "partition", 0.45, Guards;
    /// The text cleaned before it is parsed: spaces, thousands' commas, decimals.
    PARSE_FORM = "parse-form", 0.70, Corrects;
    /// `find` for `index`.
    FIND = "find", 0.30, Guards;

    // Unset variables.
    /// A value before the statement that may set it.
    INITIALISE = "initialise", 0.70, Guards;
    /// `global`, where the file has a variable of that name.
    GLOBAL = "global", 0.65, Corrects;

    // Changed while iterated, endless.
    /// Iterates over a copy.
    COPY = "copy", 0.90, Corrects;
    /// A base case for everything at or beyond it.
    BASE_CASE = "base-case", 0.70, Corrects;

    // Blind edits: nobody knows what they do beyond the tests, so none claims to correct.
    /// Another comparison.
    COMPARISON = "comparison", 0.20, Guards;
    /// Another operator.
    OPERATOR = "operator", 0.15, Guards;
    /// A condition negated.
    NEGATE = "negate", 0.12, Guards;
    /// Two neighbouring arguments swapped.
    SWAP_ARGUMENTS = "swap-arguments", 0.15, Guards;
    /// Another variable in scope.
    VARIABLE = "variable", 0.12, Guards;
    /// A number one lower or higher.
    CONSTANT = "constant", 0.10, Guards;
    /// A condition with one more part.
    CONDITION = "condition", 0.12, Guards;
    /// Another expression of the same function.
    DONOR = "donor", 0.06, Guards;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priors_are_shares_and_names_are_unique() {
        for rule in ALL {
            assert!(rule.prior > 0.0 && rule.prior <= 1.0, "{rule:?}");
            assert_eq!(
                ALL.iter().filter(|other| other.name == rule.name).count(),
                1,
                "{rule:?}"
            );
        }
    }

    #[test]
    fn what_suppresses_stands_under_everything_else() {
        let worst = ALL
            .iter()
            .filter(|rule| rule.class != Suppresses)
            .map(|rule| rule.prior);
        let best = ALL
            .iter()
            .filter(|rule| rule.class == Suppresses)
            .map(|rule| rule.prior);
        assert!(best.fold(0.0, f64::max) < worst.fold(1.0, f64::min));
    }
}
