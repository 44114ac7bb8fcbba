//! Delegations: other roles that speak for some of the targets (TUF specification §4.5).
//!
//! **Invariant: a delegated role never has the name of a top-level role**, or its file would take the
//! place of that one. Not here: the order in which roles are asked ([`super::search`]), and writing succinct
//! hash bins (TAP 15).

use crate::key::KeyId;
use crate::tuf::keys::RoleKeys;
use crate::tuf::{Role, TargetPath, TufError};
use kintsugi_domain::digest::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The roles that targets metadata delegates to, in the order in which they are asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct Delegations {
    roles: Vec<DelegatedRole>,
    /// In place of roles.
    succinct: Option<SuccinctBins>,
}

/// Hash bins, as many as a power of two, that have their keys in common and are named by their number (TAP 15).
#[derive(Debug, Clone, PartialEq, Eq)]
struct SuccinctBins {
    name_prefix: String,
    /// 1 to 32.
    bits: u32,
    keys: RoleKeys,
}

impl SuccinctBins {
    /// The name of the bin that a target belongs to: by the first bits of its path's SHA-256, in as many hex digits as the
    /// last bin needs.
    fn name(&self, path: &TargetPath) -> String {
        let hash = Digest::of(path.as_str().as_bytes());
        let [a, b, c, d, ..] = *hash.as_bytes();
        let (number, digits) = (
            u32::from_be_bytes([a, b, c, d]) >> (u32::BITS - self.bits),
            self.bits.div_ceil(4) as usize,
        );
        format!("{}-{number:0digits$x}", self.name_prefix)
    }
}

/// A role that speaks for some of the targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DelegatedRole {
    /// Its name, which its metadata file is named after.
    pub name: String,
    /// Who speaks for it.
    pub keys: RoleKeys,
    /// Whether the search for a target of this role ends with it and what it delegates to.
    pub terminating: bool,
    /// The targets it speaks for.
    pub scope: Scope,
}

/// The targets that a delegated role speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Those whose path matches one of these: `*` stands for any characters, `?` for one, `[a-z]` for one of those and
    /// `[!a-z]` for one of the others, none of them for `/`.
    Paths(Vec<String>),
    /// Those whose path's SHA-256 begins with one of these hex digits: hash bins.
    HashPrefixes(Vec<String>),
}

impl Delegations {
    /// Delegations to these roles. Names are not empty, differ, and are none of a top-level role.
    pub fn new(roles: Vec<DelegatedRole>) -> Result<Self, TufError> {
        let malformed = |why: String| TufError::Malformed {
            role: Role::Targets,
            why,
        };
        let mut names = BTreeSet::new();
        for role in &roles {
            let is_taken = Role::ALL.iter().any(|top| top.name() == role.name);
            if role.name.is_empty() || is_taken {
                return Err(malformed(format!(
                    "{:?} cannot be a delegated role",
                    role.name
                )));
            }
            if !names.insert(&role.name) {
                return Err(malformed(format!("role {:?} is there twice", role.name)));
            }
        }
        Ok(Self {
            roles,
            succinct: None,
        })
    }

    /// The roles in order. Succinct hash bins are not among them.
    pub fn roles(&self) -> &[DelegatedRole] {
        &self.roles
    }

    /// The roles that may speak for a target, in order: name, keys, and whether the search ends with it.
    pub(super) fn covering(
        &self,
        path: &TargetPath,
    ) -> impl Iterator<Item = (String, &RoleKeys, bool)> {
        let roles = self.roles.iter().filter(|role| role.scope.covers(path));
        let roles = roles.map(|role| (role.name.clone(), &role.keys, role.terminating));
        let bins = self.succinct.iter();
        roles.chain(bins.map(|bins| (bins.name(path), &bins.keys, true)))
    }
}

impl Scope {
    /// Whether a target belongs to it.
    pub fn covers(&self, path: &TargetPath) -> bool {
        match self {
            Self::Paths(patterns) => patterns.iter().any(|it| matches(it, path.as_str())),
            Self::HashPrefixes(prefixes) => {
                let hash = Digest::of(path.as_str().as_bytes()).to_string();
                prefixes
                    .iter()
                    .any(|prefix| hash.starts_with(prefix.as_str()))
            }
        }
    }
}

/// Part by part, so that no wildcard stands for a separator.
fn matches(pattern: &str, path: &str) -> bool {
    let mut parts = path.split('/');
    let all = pattern
        .split('/')
        .all(|pattern| parts.next().is_some_and(|part| part_matches(pattern, part)));
    all && parts.next().is_none()
}

/// What a pattern has for a part of a path: glob(7) without escapes, as python-tuf reads it.
#[derive(Debug, Clone, Copy)]
enum Token<'a> {
    /// `*`
    Any,
    /// `?`
    One,
    /// `[a-z]`, or `[!a-z]` for every other character.
    Set { characters: &'a str, not: bool },
    /// A character that stands for itself.
    Itself(char),
}

impl Token<'_> {
    /// Whether it can stand for that one character.
    fn is(self, found: char) -> bool {
        match self {
            Self::Any | Self::One => true,
            Self::Set { characters, not } => has(characters, found) != not,
            Self::Itself(wanted) => wanted == found,
        }
    }
}

/// Whether a set has a character, by itself or in a range. A `-` at either end stands for itself.
fn has(set: &str, found: char) -> bool {
    let mut rest = set.chars();
    while let Some(first) = rest.next() {
        let mut ahead = rest.clone();
        let last = (ahead.next() == Some('-')).then(|| ahead.next()).flatten();
        if last.is_some() {
            rest = ahead;
        }
        if (first..=last.unwrap_or(first)).contains(&found) {
            return true;
        }
    }
    false
}

/// The set that begins behind a `[`, and what comes after it; nothing where no `]` ends it. One that comes first is of the set.
fn set(text: &str) -> Option<(Token<'_>, &str)> {
    let bare = text.strip_prefix('!');
    let (not, text) = (bare.is_some(), bare.unwrap_or(text));
    let first = text.chars().next()?.len_utf8();
    let end = first + text.get(first..)?.find(']')?;
    let characters = text.get(..end)?;
    Some((Token::Set { characters, not }, text.get(end + 1..)?))
}

fn tokens(pattern: &str) -> Vec<Token<'_>> {
    // Looked for once, so that many `[` without an end take no longer than anything else.
    let last = pattern.rfind(']').unwrap_or_default();
    let (mut tokens, mut rest) = (Vec::new(), pattern.chars());
    while let Some(character) = rest.next() {
        let text = rest.as_str();
        let may_end = pattern.len() - text.len() <= last;
        tokens.push(match character {
            '*' => Token::Any,
            '?' => Token::One,
            '[' if may_end && let Some((set, after)) = set(text) => {
                rest = after.chars();
                set
            }
            itself => Token::Itself(itself),
        });
    }
    tokens
}

/// Goes back to the last `*` alone, so it takes at most the product of both lengths.
fn part_matches(pattern: &str, part: &str) -> bool {
    let tokens = tokens(pattern);
    let (mut pattern, mut part) = (tokens.iter(), part.chars());
    let mut retry = None;
    loop {
        let left = part.clone();
        match (pattern.next(), part.next()) {
            (None, None) => return true,
            (Some(Token::Any), _) => {
                retry = Some((pattern.clone(), left.clone()));
                part = left;
            }
            (Some(wanted), Some(found)) if wanted.is(found) => {}
            (Some(_) | None, Some(_)) => {
                let Some((after, mut from)) = retry.take() else {
                    return false;
                };
                from.next();
                (pattern, part) = (after.clone(), from.clone());
                retry = Some((after, from));
            }
            // Nothing is left that the rest of the pattern could stand for.
            (Some(_), None) => return false,
        }
    }
}

/// The written form.
#[derive(Serialize, Deserialize)]
struct Wire {
    keys: BTreeMap<String, Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    roles: Option<Vec<RoleWire>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    succinct_roles: Option<SuccinctWire>,
}

#[derive(Serialize, Deserialize)]
struct SuccinctWire {
    keyids: Vec<KeyId>,
    threshold: usize,
    bit_length: u32,
    name_prefix: String,
}

#[derive(Serialize, Deserialize)]
struct RoleWire {
    name: String,
    keyids: Vec<KeyId>,
    threshold: usize,
    terminating: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    paths: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path_hash_prefixes: Option<Vec<String>>,
}

impl TryFrom<Wire> for Delegations {
    type Error = TufError;

    fn try_from(wire: Wire) -> Result<Self, TufError> {
        let malformed = |why: &str| TufError::Malformed {
            role: Role::Targets,
            why: why.to_owned(),
        };
        if let Some(bins) = wire.succinct_roles {
            if wire.roles.is_some() {
                return Err(malformed("it has both roles and succinct_roles"));
            }
            if !(1..=u32::BITS).contains(&bins.bit_length) {
                return Err(malformed("bit_length of succinct_roles is not 1 to 32"));
            }
            let listed = (bins.keyids.as_slice(), bins.threshold);
            let keys = RoleKeys::listed(Role::Targets, &bins.name_prefix, &wire.keys, listed)?;
            return Ok(Self {
                roles: Vec::new(),
                succinct: Some(SuccinctBins {
                    name_prefix: bins.name_prefix,
                    bits: bins.bit_length,
                    keys,
                }),
            });
        }
        let mut roles = Vec::new();
        for role in wire.roles.unwrap_or_default() {
            let scope = match (role.paths, role.path_hash_prefixes) {
                (Some(paths), None) => Scope::Paths(paths),
                (None, Some(prefixes)) => Scope::HashPrefixes(prefixes),
                (Some(_), Some(_)) | (None, None) => {
                    return Err(TufError::Malformed {
                        role: Role::Targets,
                        why: format!(
                            "role {:?} needs either paths or path_hash_prefixes",
                            role.name
                        ),
                    });
                }
            };
            let listed = (role.keyids.as_slice(), role.threshold);
            let keys = RoleKeys::listed(Role::Targets, &role.name, &wire.keys, listed)?;
            roles.push(DelegatedRole {
                name: role.name,
                keys,
                terminating: role.terminating,
                scope,
            });
        }
        Self::new(roles)
    }
}

impl From<Delegations> for Wire {
    fn from(delegations: Delegations) -> Self {
        let mut keys = BTreeMap::new();
        let mut list = |of: &RoleKeys| {
            let of_role = of.keys().iter();
            keys.extend(of_role.map(|(id, key)| (id.to_string(), key.to_value())));
            (of.keys().keys().cloned().collect(), of.threshold())
        };
        if let Some(bins) = delegations.succinct {
            let (keyids, threshold) = list(&bins.keys);
            return Self {
                keys,
                roles: None,
                succinct_roles: Some(SuccinctWire {
                    keyids,
                    threshold,
                    bit_length: bins.bits,
                    name_prefix: bins.name_prefix,
                }),
            };
        }
        let mut roles = Vec::with_capacity(delegations.roles.len());
        for role in delegations.roles {
            let (keyids, threshold) = list(&role.keys);
            let (paths, path_hash_prefixes) = match role.scope {
                Scope::Paths(paths) => (Some(paths), None),
                Scope::HashPrefixes(prefixes) => (None, Some(prefixes)),
            };
            roles.push(RoleWire {
                name: role.name,
                keyids,
                threshold,
                terminating: role.terminating,
                paths,
                path_hash_prefixes,
            });
        }
        Self {
            keys,
            roles: Some(roles),
            succinct_roles: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn succinct_bins_are_named_as_the_reference_client_names_them() {
        for (bits, names) in [
            (1, ["bin-1", "bin-0"]),
            (4, ["bin-a", "bin-2"]),
            (5, ["bin-15", "bin-04"]),
            (8, ["bin-aa", "bin-22"]),
            (13, ["bin-155b", "bin-0449"]),
            (32, ["bin-aadf327c", "bin-22491b63"]),
        ] {
            let written = succinct(bits);
            let bins: Delegations = serde_json::from_value(written.clone()).unwrap();
            let name = |path: &str| {
                let path = path.parse().unwrap();
                let found: Vec<_> = bins.covering(&path).collect();
                assert_eq!(found.len(), 1);
                found[0].0.clone()
            };
            assert_eq!([name("file.txt"), name("dir/ä")], names);
            assert_eq!(serde_json::to_value(&bins).unwrap(), written);
        }
    }

    fn succinct(bits: u32) -> Value {
        let bins = json!({"keyids": [], "threshold": 1, "bit_length": bits, "name_prefix": "bin"});
        json!({"keys": {}, "succinct_roles": bins})
    }

    #[test]
    fn succinct_bins_that_cannot_be_are_refused() {
        let mut both = succinct(4);
        both["roles"] = json!([]);
        for odd in [succinct(0), succinct(33), both] {
            assert!(
                serde_json::from_value::<Delegations>(odd.clone()).is_err(),
                "{odd}"
            );
        }
    }

    #[test]
    fn a_wildcard_stands_for_anything_but_a_separator() {
        let yes = [
            ("*", "a"),
            ("*", ""),
            ("*.zip", "a.b.zip"),
            ("a*b*c", "aXbYbZc"),
            ("a?c", "abc"),
            ("d/*/f", "d/e/f"),
            ("*/*", "d/e"),
            ("ä?", "äö"),
            ("**", "a"),
            ("[ab]", "b"),
            ("v[0-9].*", "v7.zip"),
            ("[!0-9]*", "x1"),
            ("*[!a]", "aab"),
            ("[]x]", "]"),
            ("[!]x]", "a"),
            ("[a-]", "-"),
            ("[-a]", "-"),
            ("[a-cx-z]", "y"),
            ("[ä-ü]", "ö"),
            ("[[?*]", "?"),
            ("a[", "a["),
            ("[]", "[]"),
            ("[!]", "[!]"),
            ("[a/b]", "[a/b]"),
        ];
        let no = [
            ("*", "a/b"),
            ("*.zip", "a.zip.x"),
            ("a?c", "a/c"),
            ("a?", "a"),
            ("d/*", "d/e/f"),
            ("d/*/f", "d/f"),
            ("a*b", "ac"),
            ("", "a"),
            ("[ab]", "[ab]"),
            ("[ab]", "c"),
            ("[0-9]", "x"),
            ("[!0-9]", "5"),
            ("[!0-9]", ""),
            ("[z-a]", "m"),
            ("[]x]", "a"),
            ("[!]x]", "]"),
            ("[[?*]", "a"),
        ];
        for (pattern, path) in yes {
            assert!(matches(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in no {
            assert!(!matches(pattern, path), "{pattern} {path}");
        }
    }

    #[test]
    fn a_pattern_full_of_wildcards_ends_soon() {
        let pattern = "*a".repeat(2_000) + "b";
        assert!(!matches(&pattern, &"a".repeat(512)));
        let pattern = format!("]*{}", "[".repeat(1_000_000));
        assert!(!matches(&pattern, &format!("]{}", "[".repeat(511))));
    }
}
