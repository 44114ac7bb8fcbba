//! The audit log: who changed what, when and why. One line per action that a person or program took
//! through the admin interface, written in the commit that did it.
//!
//! Not here: what the pipeline decided by itself; that is told in the [`crate::story`] of the record it
//! concerns.
//!
//! **Invariant: a line is created once and never rewritten.** Every store refuses it. Somebody who writes to a store past
//! this program can do it all the same, so **each line holds the SHA-384 of the line before it** and lines are numbered without gaps:
//! [`Chain`] finds the first line that was changed, removed or put in. Whoever writes every later line anew as well is found
//! by a [`ChainHead`] that was kept elsewhere, and by nothing else: there is no key in it.
//!
//! Two that write at once take the same number, so the same key: the store gives it to one of them, and the other decides again.

use crate::Timestamp;
use crate::id::ProjectId;
use crate::record::{Kind, Record};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha384};

/// The home itself, where a thing belongs to no single project: lines about a whole queue, and the key
/// that signs admin tokens. **No project has this id**: it is not a valid one in an address or a DSN.
pub const HOME: ProjectId = ProjectId(0);

/// Beyond every number of a line. Ids are what is left of it, so that the newest line has the smallest; those of lines from before
/// the chain, which begin with microseconds, are greater than all of them.
const NUMBERS_MAX: u64 = 1_000_000_000_000_000_000;
/// What the digest of a line begins with, so that it is the digest of nothing else.
const LINE: &[u8] = b"kintsugi audit line 1";

/// One line of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// Its id: the newest line has the smallest, so a list in the order of keys begins with today.
    pub id: String,
    /// Its place in the log of its project: 1, 2, 3 … 0 of lines from before there was a chain.
    #[serde(default)]
    pub number: u64,
    /// [`Audit::digest`] of the line before; nothing in the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// The project, or [`HOME`].
    pub project: ProjectId,
    /// When it was done.
    pub at: Timestamp,
    /// Who did it: the subject of the token.
    pub by: String,
    /// The id of the token it was done with.
    pub token: String,
    /// What was done, a stable name: `rollout.pause`, `release.order` …
    pub what: String,
    /// On what it was done: `rollout 3f…`, `queue signing` …
    pub on: String,
    /// Why, as far as they said, and what it amounted to.
    pub why: String,
    /// Who asked for it, where two people were needed; [`Audit::by`] is then who confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_by: Option<String>,
}

impl Audit {
    /// The line after the newest one of a project's log, or its first.
    pub fn after(newest: Option<&Self>, project: ProjectId, at: Timestamp) -> Self {
        let number = newest.map_or(0, |line| line.number).saturating_add(1);
        Self {
            id: id(number),
            number,
            before: newest.map(Self::digest),
            project,
            at,
            by: String::new(),
            token: String::new(),
            what: String::new(),
            on: String::new(),
            why: String::new(),
            asked_by: None,
        }
    }

    /// SHA-384 over every field, as 96 hex digits: a fixed text, then each field as bytes after its length (8 bytes, big-endian):
    /// number and project (8 bytes each), time, `by`, `token`, `what`, `on`, `why`, and `asked_by` and `before` where they are, each
    /// behind one byte, 1, or that byte alone, 0.
    pub fn digest(&self) -> String {
        let mut hasher = Sha384::new();
        let mut part = |bytes: &[u8]| {
            hasher.update((bytes.len() as u64).to_be_bytes());
            hasher.update(bytes);
        };
        part(LINE);
        part(&self.number.to_be_bytes());
        part(&self.project.0.to_be_bytes());
        part(self.at.to_string().as_bytes());
        for text in [&self.by, &self.token, &self.what, &self.on, &self.why] {
            part(text.as_bytes());
        }
        for text in [&self.asked_by, &self.before] {
            match text {
                Some(text) => {
                    part(&[1]);
                    part(text.as_bytes());
                }
                None => part(&[0]),
            }
        }
        hex::encode(hasher.finalize())
    }
}

fn id(number: u64) -> String {
    format!("{:020}", NUMBERS_MAX.saturating_sub(number))
}

/// The end of a log as somebody saw it. Kept where the home cannot write, it shows whether the log still has that line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainHead {
    /// The number of the newest line; 0 where there is none.
    pub number: u64,
    /// Its digest; empty where there is none.
    pub digest: String,
}

/// Where a log is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum BrokenLink {
    /// The line that stands before is not the one that this line was written after: one of the two was changed, or lines between
    /// were removed or put in.
    #[error("line {number} was not written after the line that stands before it")]
    NotAfter {
        /// The later of the two.
        number: u64,
    },
    /// A number has no line.
    #[error("line {number} is missing")]
    Missing {
        /// Its number.
        number: u64,
    },
    /// A line stands where it cannot.
    #[error("line {number} stands at a place that is not its own")]
    Misplaced {
        /// Its number, as it says.
        number: u64,
    },
    /// A line is not the one that was seen once.
    #[error("line {number} is not the one that was seen before")]
    NotAsSeen {
        /// Its number.
        number: u64,
    },
}

/// Reads a project's log, the newest line first, and finds where it is broken. Bounded memory, however long the log is.
#[derive(Debug, Clone)]
pub struct Chain {
    project: ProjectId,
    seen: Option<ChainHead>,
    head: Option<ChainHead>,
    newer: Option<Audit>,
    broken: Option<BrokenLink>,
    unchained: u64,
}

/// What a whole log turned out to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Chained {
    /// Its end.
    pub head: ChainHead,
    /// Lines from before there was a chain: nothing but the first link holds them.
    pub unchained: u64,
    /// The first place where it is broken, from its beginning on; nothing: it holds.
    pub broken: Option<BrokenLink>,
}

impl Chain {
    /// The log of a project, of which an end was perhaps seen before.
    pub fn new(project: ProjectId, seen: Option<ChainHead>) -> Self {
        Self {
            project,
            seen: seen.filter(|it| it.number > 0),
            head: None,
            newer: None,
            broken: None,
            unchained: 0,
        }
    }

    /// The next older line.
    pub fn line(&mut self, line: Audit) {
        if self.head.is_none() {
            self.head = Some(ChainHead {
                number: line.number,
                digest: line.digest(),
            });
        }
        let own_id = line.number == 0 || line.id == id(line.number);
        if line.project != self.project || !own_id {
            let number = line.number;
            self.broken = Some(BrokenLink::Misplaced { number });
        } else if let Some(broken) = self.link(&line) {
            self.broken = Some(broken);
        }
        if let Some(seen) = self.seen.take_if(|seen| seen.number >= line.number)
            && (seen.number, &seen.digest) != (line.number, &line.digest())
        {
            let number = seen.number;
            self.broken = Some(BrokenLink::NotAsSeen { number });
        }
        self.unchained += u64::from(line.number == 0);
        self.newer = Some(line);
    }

    /// What is wrong between the newer line and this one. Lines from before the chain hold together by nothing.
    fn link(&self, line: &Audit) -> Option<BrokenLink> {
        let newer = self.newer.as_ref().filter(|newer| newer.number > 0)?;
        if line.number >= newer.number {
            return Some(BrokenLink::Misplaced {
                number: line.number,
            });
        }
        if line.number + 1 < newer.number {
            return Some(BrokenLink::Missing {
                number: line.number + 1,
            });
        }
        let follows = newer.before.as_ref() == Some(&line.digest());
        (!follows).then_some(BrokenLink::NotAfter {
            number: newer.number,
        })
    }

    /// That was the oldest.
    pub fn finish(mut self) -> Chained {
        if let Some(seen) = self.seen {
            // Nothing as old as that was left.
            let number = seen.number;
            self.broken = Some(BrokenLink::NotAsSeen { number });
        }
        if let Some(oldest) = self.newer.filter(|it| it.number > 0) {
            if oldest.number > 1 {
                self.broken = Some(BrokenLink::Missing { number: 1 });
            } else if oldest.before.is_some() {
                self.broken = Some(BrokenLink::NotAfter { number: 1 });
            }
        }
        Chained {
            head: self.head.unwrap_or(ChainHead {
                number: 0,
                digest: String::new(),
            }),
            unchained: self.unchained,
            broken: self.broken,
        }
    }
}

impl Record for Audit {
    const KIND: Kind = Kind::Audit;

    fn project(&self) -> ProjectId {
        self.project
    }

    fn key(&self) -> String {
        self.id.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROJECT: ProjectId = ProjectId(7);

    /// A log, the oldest line first.
    fn log(lines: u64) -> Vec<Audit> {
        let mut log: Vec<Audit> = Vec::new();
        for number in 0..lines {
            let mut line = Audit::after(log.last(), PROJECT, Timestamp::UNIX_EPOCH);
            line.why = format!("reason {number}");
            log.push(line);
        }
        log
    }

    fn read(log: &[Audit], seen: Option<ChainHead>) -> Chained {
        let mut chain = Chain::new(PROJECT, seen);
        // In the order of keys, as a store gives them.
        let mut lines = log.to_vec();
        lines.sort_by(|a, b| a.id.cmp(&b.id));
        for line in lines {
            chain.line(line);
        }
        chain.finish()
    }

    /// Writes every line after that one anew, as somebody would who hides a change.
    fn forge_after(log: &mut [Audit], index: usize) {
        for later in index + 1..log.len() {
            log[later].before = Some(log[later - 1].digest());
        }
    }

    #[test]
    fn the_newest_line_comes_first_and_a_whole_log_holds() {
        let log = log(3);
        assert!(log[2].id < log[1].id && log[1].id < log[0].id);
        let found = read(&log, None);
        assert_eq!((found.head.number, found.broken), (3, None));
        assert_eq!(found.head.digest, log[2].digest());
        assert_eq!(read(&[], None).head.number, 0);
        // The digest is a promise: a log that was written stays verifiable.
        assert_eq!(log[0].digest().len(), 96);
    }

    #[test]
    fn the_first_broken_link_is_found_whatever_was_done_to_a_line() {
        for victim in 0..5 {
            let mut changed = log(6);
            changed[victim].why = "as it suits".to_owned();
            let number = victim as u64 + 2;
            let broken = Some(BrokenLink::NotAfter { number });
            assert_eq!(read(&changed, None).broken, broken);

            let mut removed = log(6);
            removed.remove(victim);
            let number = victim as u64 + 1;
            let broken = Some(BrokenLink::Missing { number });
            assert_eq!(read(&removed, None).broken, broken);
        }
        let mut swapped = log(6);
        let (why, other) = (swapped[1].why.clone(), swapped[2].why.clone());
        (swapped[1].why, swapped[2].why) = (other, why);
        let broken = Some(BrokenLink::NotAfter { number: 3 });
        assert_eq!(read(&swapped, None).broken, broken);
        let mut elsewhere = log(2);
        elsewhere[0].project = ProjectId(8);
        assert!(read(&elsewhere, None).broken.is_some());
        let mut put_in = log(3);
        let mut line = put_in[1].clone();
        line.id.push('x');
        put_in.push(line);
        assert!(read(&put_in, None).broken.is_some());
    }

    #[test]
    fn every_field_is_under_the_digest() {
        let line = log(2).remove(1);
        let digest = line.digest();
        let changes: [fn(&mut Audit); 10] = [
            |it| it.number += 1,
            |it| it.before = None,
            |it| it.project = ProjectId(8),
            |it| it.at = Timestamp::MAX,
            |it| it.by.push('x'),
            |it| it.token.push('x'),
            |it| it.what.push('x'),
            |it| it.on.push('x'),
            |it| it.why.push('x'),
            |it| it.asked_by = Some(String::new()),
        ];
        for change in changes {
            let mut other = line.clone();
            change(&mut other);
            assert_ne!(other.digest(), digest, "{other:?}");
        }
    }

    #[test]
    fn who_writes_all_later_lines_anew_or_cuts_the_end_off_is_found_by_a_head_that_was_seen() {
        let whole = log(6);
        let seen = read(&whole[..4], None).head;
        assert_eq!(read(&whole, Some(seen.clone())).broken, None);

        let mut forged = whole.clone();
        forged[2].why = "as it suits".to_owned();
        forge_after(&mut forged, 2);
        assert_eq!(read(&forged, None).broken, None, "nothing else can tell");
        let broken = Some(BrokenLink::NotAsSeen { number: 4 });
        assert_eq!(read(&forged, Some(seen.clone())).broken, broken);
        for left in [0, 3] {
            let cut = read(&whole[..left], Some(seen.clone()));
            assert_eq!(cut.broken, broken, "{left}");
        }
    }

    #[test]
    fn lines_from_before_the_chain_are_counted_and_stand_at_its_beginning() {
        let old = |id: &str| Audit {
            id: id.to_owned(),
            number: 0,
            why: format!("before {id}"),
            ..Audit::after(None, PROJECT, Timestamp::UNIX_EPOCH)
        };
        let old = [
            old("09221608000000000000-00000000000000aa"),
            old("09221607999999999999-00000000000000ab"),
        ];
        let newest = &old[1];
        let mut log = vec![Audit::after(Some(newest), PROJECT, Timestamp::UNIX_EPOCH)];
        log.push(Audit::after(log.last(), PROJECT, Timestamp::UNIX_EPOCH));
        log.extend(old);
        let found = read(&log, None);
        assert_eq!((found.head.number, found.unchained), (2, 2));
        assert_eq!(found.broken, None);
        // The newest of them is held by the first link, as long as it is there.
        log.pop();
        let broken = Some(BrokenLink::NotAfter { number: 1 });
        assert_eq!(read(&log, None).broken, broken);
    }

    #[test]
    fn the_home_is_not_a_project() {
        assert!(HOME.to_string().parse::<ProjectId>().is_err());
    }
}
