//! What a host gives: refs and objects, by version 2 of git's protocol (gitprotocol-v2).
//!
//! That version lets us ask for the refs that we want instead of all, and for any object by its name.

use crate::fault::Fault;
use crate::line::{Band, Line, Lines, push_delimiter, push_flush, push_line};
use crate::pack::{self, Keep, Objects};
use crate::transport::{Service, Session};
use gix_hash::ObjectId;
use kintsugi_domain::ports::PortError;

/// Most bytes of what a host says of itself.
const ADVERTISEMENT_BYTES_MAX: u64 = 65_536;
/// Most bytes of refs.
const REFS_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Most bytes of an answer with a pack.
const PACK_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// What a host can do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Abilities {
    /// Leaves objects out.
    filter: bool,
    /// Cuts the history.
    shallow: bool,
    /// Wants to hear which hash we mean.
    named_hash: bool,
}

/// A ref that a host has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) name: String,
    /// The commit, also behind an annotated tag.
    pub(crate) commit: ObjectId,
}

/// What is wanted of a host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Want<'a> {
    pub(crate) id: ObjectId,
    /// What is left out, with all that is reachable from it.
    pub(crate) have: Option<ObjectId>,
    /// Only the commit itself, without its history.
    pub(crate) alone: bool,
    /// What the host is asked to leave out, if it can.
    pub(crate) filter: Option<&'a str>,
    /// What is kept of what it sends.
    pub(crate) keep: Keep,
}

/// Reads a name of an object.
pub(crate) fn id(text: &str) -> Result<ObjectId, Fault> {
    match ObjectId::from_hex(text.as_bytes()) {
        Ok(id) if text.len() == 40 => Ok(id),
        Ok(_) | Err(_) => Err(Fault::malformed("a name of an object is none")),
    }
}

impl Session<'_> {
    /// What the host can do.
    pub(crate) fn abilities(&self) -> Result<Abilities, PortError> {
        let what = self.what();
        let body = self.ask(Service::Upload)?;
        let said = read_abilities(&mut Lines::new(body, ADVERTISEMENT_BYTES_MAX));
        let said = said.map_err(|fault| fault.port(&what))?;
        let Some(said) = said else {
            let why = "the host does not speak version 2 of git's protocol; git 2.18 and newer do";
            return Err(PortError::broken(what, why));
        };
        if said
            .iter()
            .any(|line| line.starts_with("object-format=") && line != "object-format=sha1")
        {
            let why = "it names its objects by SHA-256; only repositories with SHA-1 names work";
            return Err(PortError::broken(what, why));
        }
        let features = said.iter().find_map(|line| line.strip_prefix("fetch="));
        let feature = |name| features.is_some_and(|all| all.split(' ').any(|it| it == name));
        Ok(Abilities {
            filter: feature("filter"),
            shallow: feature("shallow"),
            named_hash: said.iter().any(|line| line == "object-format=sha1"),
        })
    }

    /// The refs of these full names, as far as they exist.
    pub(crate) fn refs(
        &self,
        abilities: Abilities,
        names: &[&str],
    ) -> Result<Vec<Reference>, PortError> {
        let mut order = command("ls-refs", abilities);
        push_line(&mut order, b"peel\n");
        for name in names {
            push_line(&mut order, format!("ref-prefix {name}\n").as_bytes());
        }
        push_flush(&mut order);
        let body = self.order(Service::Upload, &order)?;
        let found = read_refs(&mut Lines::new(body, REFS_BYTES_MAX), names);
        found.map_err(|fault| fault.port(&self.what()))
    }

    /// Objects. [`Fault::Missing`] where the host does not have what is wanted.
    pub(crate) fn fetch(
        &self,
        abilities: Abilities,
        want: Want<'_>,
    ) -> Result<Result<Objects, Fault>, PortError> {
        let mut order = command("fetch", abilities);
        let mut say = |line: &str| push_line(&mut order, line.as_bytes());
        say("no-progress\n");
        say("ofs-delta\n");
        say(&format!("want {}\n", want.id));
        if let Some(have) = want.have {
            say(&format!("have {have}\n"));
        }
        if want.alone && abilities.shallow {
            say("deepen 1\n");
        }
        if let Some(filter) = want.filter.filter(|_| abilities.filter) {
            say(&format!("filter {filter}\n"));
        }
        say("done\n");
        push_flush(&mut order);
        let body = self.order(Service::Upload, &order)?;
        Ok(read_pack(Lines::new(body, PACK_BYTES_MAX), want.keep))
    }
}

fn command(name: &str, abilities: Abilities) -> Vec<u8> {
    let mut order = Vec::new();
    push_line(&mut order, format!("command={name}\n").as_bytes());
    push_line(&mut order, b"agent=kintsugi\n");
    if abilities.named_hash {
        push_line(&mut order, b"object-format=sha1\n");
    }
    push_delimiter(&mut order);
    order
}

/// The abilities, one a line; nothing when the host speaks an older version.
fn read_abilities(lines: &mut Lines<impl std::io::Read>) -> Result<Option<Vec<String>>, Fault> {
    let mut first = lines.text()?;
    if first
        .as_deref()
        .is_some_and(|it| it.starts_with("# service="))
    {
        lines.text()?;
        first = lines.text()?;
    }
    if first.as_deref() != Some("version 2") {
        return Ok(None);
    }
    let mut said = Vec::new();
    while let Some(line) = lines.text()? {
        said.push(line);
    }
    Ok(Some(said))
}

fn read_refs(
    lines: &mut Lines<impl std::io::Read>,
    names: &[&str],
) -> Result<Vec<Reference>, Fault> {
    let mut found = Vec::new();
    while let Some(line) = lines.text()? {
        let mut words = line.split(' ');
        let (Some(named), Some(name)) = (words.next(), words.next()) else {
            return Err(Fault::malformed("a line is no ref"));
        };
        // A prefix finds longer names too.
        if !names.contains(&name) {
            continue;
        }
        let peeled = words.find_map(|word| word.strip_prefix("peeled:"));
        found.push(Reference {
            name: name.to_owned(),
            commit: id(peeled.unwrap_or(named))?,
        });
    }
    Ok(found)
}

fn read_pack(mut lines: Lines<impl std::io::Read>, keep: Keep) -> Result<Objects, Fault> {
    loop {
        match lines.next()?.text() {
            Some(b"packfile") => break,
            Some(b"shallow-info" | b"wanted-refs" | b"acknowledgments") => {
                while matches!(lines.next()?, Line::Data(_)) {}
            }
            Some(_) => return Err(Fault::malformed("an answer has an unknown part")),
            None => return Err(Fault::malformed("an answer has no pack")),
        }
    }
    pack::read(Band::new(lines), keep)
}
