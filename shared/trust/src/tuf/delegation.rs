//! Delegations: other roles that speak for some of the targets (TUF specification §4.5).
//!
//! **Invariant: a delegated role never has the name of a top-level role**, or its file would take the
//! place of that one. Not here: the order in which roles are asked ([`super::search`]), and succinct
//! hash bins (TAP 15): what only they list is not found.

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
    /// Those whose path matches one of these: `*` stands for any characters, `?` for one, neither for `/`.
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
        Ok(Self { roles })
    }

    /// The roles in order.
    pub fn roles(&self) -> &[DelegatedRole] {
        &self.roles
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

/// Goes back to the last `*` alone, so it takes at most the product of both lengths.
fn part_matches(pattern: &str, part: &str) -> bool {
    let (mut pattern, mut part) = (pattern.chars(), part.chars());
    let mut retry = None;
    loop {
        let left = part.clone();
        match (pattern.next(), part.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                retry = Some((pattern.clone(), left.clone()));
                part = left;
            }
            (Some(wanted), Some(found)) if wanted == '?' || wanted == found => {}
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
    #[serde(default)]
    roles: Vec<RoleWire>,
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
        let mut roles = Vec::with_capacity(wire.roles.len());
        for role in wire.roles {
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
        let mut roles = Vec::with_capacity(delegations.roles.len());
        for role in delegations.roles {
            let of_role = role.keys.keys().iter();
            keys.extend(of_role.map(|(id, key)| (id.to_string(), key.to_value())));
            let (paths, path_hash_prefixes) = match role.scope {
                Scope::Paths(paths) => (Some(paths), None),
                Scope::HashPrefixes(prefixes) => (None, Some(prefixes)),
            };
            roles.push(RoleWire {
                name: role.name,
                keyids: role.keys.keys().keys().cloned().collect(),
                threshold: role.keys.threshold(),
                terminating: role.terminating,
                paths,
                path_hash_prefixes,
            });
        }
        Self { keys, roles }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            ("[ab]", "[ab]"),
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
            ("[ab]", "a"),
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
    }
}
