//! The search for a target through delegations (TUF specification §5.6.7): first the role itself, then
//! what it delegates to, in order, depth first.
//!
//! **Invariants: no role is asked twice, so cycles end; at most [`DELEGATIONS_MAX`] delegated roles are
//! read for one target; metadata that does not hold ends the search.**

use crate::tuf::client::{check_content, check_expiry, check_version, listed, wanted};
use crate::tuf::envelope::File;
use crate::tuf::keys::RoleKeys;
use crate::tuf::{Role, TargetInfo, TargetPath, Targets, Trusted, TufError, Wanted};
use kintsugi_domain::Timestamp as Time;
use kintsugi_domain::limits::METADATA_BYTES_MAX;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Most delegated roles that are read for one target.
pub const DELEGATIONS_MAX: usize = 32;

/// A search that is under way.
#[derive(Debug)]
pub struct Search {
    path: TargetPath,
    found: Option<TargetInfo>,
    /// Roles still to be asked; the next one is the last.
    pending: Vec<Pending>,
    asked: BTreeSet<String>,
}

#[derive(Debug)]
struct Pending {
    name: String,
    keys: RoleKeys,
}

/// What a search needs, or what it came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SearchStep {
    /// A role lists the target.
    Found(TargetInfo),
    /// The metadata of a delegated role: give it to [`Search::take`].
    Fetch {
        /// The role.
        role: String,
        /// Its file.
        wanted: Wanted,
    },
    /// No role that may speak for the target lists it.
    NotFound,
}

impl Search {
    pub(super) fn new(path: &TargetPath, targets: &Targets) -> Self {
        let mut search = Self {
            path: path.clone(),
            found: None,
            pending: Vec::new(),
            asked: BTreeSet::new(),
        };
        search.visit(targets);
        search
    }

    /// What to do next.
    pub fn step(&mut self, trusted: &Trusted) -> Result<SearchStep, TufError> {
        if let Some(found) = &self.found {
            return Ok(SearchStep::Found(found.clone()));
        }
        // Roles that were asked already are passed over.
        while let Some(next) = self.pending.last()
            && self.asked.contains(&next.name)
        {
            self.pending.pop();
        }
        let Some(next) = self.pending.last() else {
            return Ok(SearchStep::NotFound);
        };
        if self.asked.len() >= DELEGATIONS_MAX {
            return Err(TufError::TooManyDelegations);
        }
        let of_role = |error| in_role(&next.name, error);
        let snapshot = trusted.snapshot_of_refresh().map_err(of_role)?;
        let listing = listed(&snapshot.meta, &file(&next.name), Role::Snapshot).map_err(of_role)?;
        let name = quoted(&next.name);
        Ok(SearchStep::Fetch {
            wanted: wanted(&trusted.root, &name, listing),
            role: next.name.clone(),
        })
    }

    /// Takes the metadata of the role that [`Search::step`] asked for.
    pub fn take(&mut self, trusted: &Trusted, text: &[u8], now: Time) -> Result<(), TufError> {
        let Some(next) = self.pending.last() else {
            return Err(TufError::OutOfOrder {
                needs: Role::Targets,
            });
        };
        let targets = read(trusted, next, text, now).map_err(|error| in_role(&next.name, error))?;
        if let Some(done) = self.pending.pop() {
            self.asked.insert(done.name);
        }
        self.visit(&targets);
        Ok(())
    }

    /// Looks into a role: either the target is there, or those it delegates to are next.
    fn visit(&mut self, targets: &Targets) {
        if let Some(found) = targets.targets.get(&self.path) {
            self.found = Some(found.clone());
            return;
        }
        let delegations = targets.delegations.iter();
        let mut next = Vec::new();
        for (name, keys, terminating) in delegations.flat_map(|it| it.covering(&self.path)) {
            next.push(Pending {
                name,
                keys: keys.clone(),
            });
            if terminating {
                self.pending.clear();
                break;
            }
        }
        next.reverse();
        self.pending.append(&mut next);
    }
}

fn read(trusted: &Trusted, of: &Pending, text: &[u8], now: Time) -> Result<Targets, TufError> {
    let snapshot = trusted.snapshot_of_refresh()?;
    let listing = listed(&snapshot.meta, &file(&of.name), Role::Snapshot)?;
    check_content(Role::Targets, listing, text)?;
    let envelope = File::<Targets>::read(text, METADATA_BYTES_MAX)?;
    envelope.check(Role::Targets, &of.keys)?;
    let targets = envelope.metadata()?;
    check_version(Role::Targets, listing, targets.version)?;
    check_expiry(&targets, now)?;
    Ok(targets)
}

fn in_role(name: &str, error: TufError) -> TufError {
    TufError::Delegated {
        name: name.to_owned(),
        error: Box::new(error),
    }
}

/// The name of a role's file in a snapshot.
fn file(role: &str) -> String {
    format!("{role}.json")
}

/// A text as one part of an address or one file name: everything but letters, digits, `_`, `.`, `-` and
/// `~` is written as `%XX` (RFC 3986 §2), so a role's name cannot lead anywhere else.
pub fn quoted(text: &str) -> String {
    text.bytes().fold(String::new(), |mut quoted, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'~') {
            quoted.push(char::from(byte));
        } else {
            // Writing to a text cannot fail.
            let _ = write!(quoted, "%{byte:02X}");
        }
        quoted
    })
}
