//! What a host takes: one ref, from what it was to what it shall be, and the objects for it (gitprotocol-pack).

use crate::fault::{Fault, words_of};
use crate::line::{Band, Lines, push_flush, push_line};
use crate::pack::{self, Object};
use crate::transport::{Service, Session};
use gix_hash::ObjectId;
use kintsugi_domain::ports::PortError;
use std::io::Read;

/// Most bytes that are read of what a host says of itself; only the first ref is looked at.
const ADVERTISEMENT_BYTES_MAX: u64 = 262_144;
/// Most bytes of a host's report.
const REPORT_BYTES_MAX: u64 = 1024 * 1024;

/// How a push ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// The ref is what it shall be.
    Done,
    /// The host did not take it, and why.
    Refused {
        why: String,
        /// Whether it may take it the next time.
        passing: bool,
    },
}

/// A change of one ref.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change<'a> {
    /// Its full name.
    pub(crate) reference: &'a str,
    /// What it names now; nothing where it is to be made.
    pub(crate) old: Option<ObjectId>,
    /// What it shall name.
    pub(crate) new: ObjectId,
}

impl Session<'_> {
    /// Sends a change. **The host makes it only if the ref still is what it was**, so nothing is lost by a race.
    pub(crate) fn push(&self, change: Change<'_>, objects: &[Object]) -> Result<Pushed, PortError> {
        let what = self.what();
        let body = self.ask(Service::Receive)?;
        let said = abilities(&mut Lines::new(body, ADVERTISEMENT_BYTES_MAX));
        let said = said.map_err(|fault| fault.port(&what))?;
        let said: Vec<&str> = said.split(' ').collect();
        let format = said.iter().find(|it| it.starts_with("object-format="));
        if format.is_some_and(|it| *it != "object-format=sha1") {
            let why = "it names its objects by SHA-256; only repositories with SHA-1 names work";
            return Err(PortError::broken(what, why));
        }
        if !said.contains(&"report-status") {
            let why = "the host does not tell whether it took a change";
            return Err(PortError::broken(what, why));
        }
        let banded = said.contains(&"side-band-64k");
        let pack = pack::write(objects.iter()).map_err(|fault| fault.port(&what))?;
        let order = order(change, banded, format.is_some(), &pack);
        let body = self.order(Service::Receive, &order)?;
        let lines = Lines::new(body, REPORT_BYTES_MAX);
        let report = if banded {
            let mut band = Band::new(lines);
            let report = report(
                &mut Lines::new(&mut band, REPORT_BYTES_MAX),
                change.reference,
            );
            let remarks = words_of(band.remarks());
            report.map(|report| report.with(&remarks))
        } else {
            let mut lines = lines;
            report(&mut lines, change.reference)
        };
        report.map_err(|fault| fault.port(&what))
    }
}

impl Pushed {
    /// The refusal with what the host said to people.
    fn with(self, remarks: &str) -> Self {
        match self {
            Self::Refused { why, passing } if !remarks.is_empty() => Self::Refused {
                why: format!("{why} ({remarks})"),
                passing,
            },
            Self::Refused { .. } | Self::Done => self,
        }
    }
}

/// What the host can do, which stands behind its first ref.
fn abilities(lines: &mut Lines<impl Read>) -> Result<String, Fault> {
    for _ in 0..4 {
        let Some(line) = lines.text()? else {
            continue;
        };
        if let Some((_, abilities)) = line.split_once('\0') {
            return Ok(abilities.to_owned());
        }
        if !line.starts_with("# service=") && line != "version 1" {
            break;
        }
    }
    Err(Fault::malformed("the host does not say what it can do"))
}

fn order(change: Change<'_>, banded: bool, named_hash: bool, pack: &[u8]) -> Vec<u8> {
    let absent = ObjectId::null(gix_hash::Kind::Sha1);
    let (old, new) = (change.old.unwrap_or(absent), change.new);
    let mut line = format!("{old} {new} {}\0 report-status", change.reference);
    if banded {
        line.push_str(" side-band-64k");
    }
    if named_hash {
        line.push_str(" object-format=sha1");
    }
    line.push_str(" agent=kintsugi");
    let mut order = Vec::new();
    push_line(&mut order, line.as_bytes());
    push_flush(&mut order);
    order.extend_from_slice(pack);
    order
}

/// Whether a host's reason to refuse is one of the moment: another push holds the ref, or its disk is full.
fn passes(why: &str) -> bool {
    let why = why.to_ascii_lowercase();
    let moment = [
        "lock",
        "failed to update ref",
        "incorrect old value",
        "timeout",
        "timed out",
    ];
    moment.iter().any(|word| why.contains(word))
}

fn report(lines: &mut Lines<impl Read>, reference: &str) -> Result<Pushed, Fault> {
    let unpacked = lines.text()?.unwrap_or_default();
    let Some(unpacked) = unpacked.strip_prefix("unpack ") else {
        return Err(Fault::malformed("a report does not begin as one"));
    };
    if unpacked != "ok" {
        return Ok(Pushed::Refused {
            why: format!(
                "it could not read our objects: {}",
                words_of(unpacked.as_bytes())
            ),
            passing: true,
        });
    }
    while let Some(line) = lines.text()? {
        if line.strip_prefix("ok ") == Some(reference) {
            return Ok(Pushed::Done);
        }
        let refused = line
            .strip_prefix("ng ")
            .and_then(|rest| rest.strip_prefix(reference)?.strip_prefix(' '));
        if let Some(why) = refused {
            return Ok(Pushed::Refused {
                passing: passes(why),
                why: words_of(why.as_bytes()),
            });
        }
    }
    Err(Fault::malformed("a report says nothing of the ref"))
}
