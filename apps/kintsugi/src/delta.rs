//! `kintsugi delta`: the deltas of packages by hand, from file to file.
//!
//! A delta that is applied here is held to what it says of itself. A device holds it to signed metadata
//! instead (`kintsugi-updater`).

use crate::args::Delta;
use crate::error::Error;
use crate::exit::Exit;
use crate::print;
use crate::whole::write_whole;
use kintsugi_delta::{DeltaError, Info, Prepared, is_worthwhile, make};
use memmap2::MmapMut;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::{panic, thread};

/// Does what was asked about a delta.
pub(crate) fn run(asked: &Delta, json: bool) -> Result<Exit, Error> {
    match asked {
        Delta::Make { old, new, out } => make_file(old, new, out, json),
        Delta::Apply { old, delta, out } => apply_file(old, delta, out, json),
        Delta::Info { delta } => info_of_file(delta, json),
    }
}

fn make_file(old: &Path, new: &Path, out: &Path, json: bool) -> Result<Exit, Error> {
    let (old, new) = (read(old)?, read(new)?);
    let delta = make(&old, &new).map_err(refused)?;
    let info = Info::read(&delta).map_err(refused)?;
    // Worth waiting for the disk, since making it takes long. What a delta leads to can be had again.
    write_whole(out, |file| {
        let written = file.write_all(&delta);
        let written = written.and_then(|()| file.as_file().sync_all());
        written.map_err(|error| Error::write(out, &error))
    })?;
    if json {
        print::object(&as_json(out, delta.len(), &info));
        return Ok(Exit::Done);
    }
    let share = percent(delta.len() as u64, info.length);
    print::out(&format_args!(
        "{}: {} bytes, {share} of the {} bytes that it leads to",
        out.display(),
        delta.len(),
        info.length
    ));
    // The full package is compressed; what it comes to is not known here.
    if !is_worthwhile(delta.len() as u64, info.length) {
        let sentence = "it saves less than a fifth even of the unpacked content";
        print::warning(sentence, json);
    }
    Ok(Exit::Done)
}

fn apply_file(old: &Path, delta: &Path, out: &Path, json: bool) -> Result<Exit, Error> {
    let delta = read(delta)?;
    let (base, prepared) = thread::scope(|scope| {
        let reading = thread::Builder::new().spawn_scoped(scope, || read_base(old));
        let prepared = Prepared::read(&delta);
        let base = reading.map_or_else(
            |_| read_base(old),
            |reading| {
                reading
                    .join()
                    .unwrap_or_else(|panic| panic::resume_unwind(panic))
            },
        );
        (base, prepared)
    });
    let base = base.map_err(|error| Error::read(old, &error))?;
    let prepared = prepared.map_err(refused)?;
    let expected = prepared.expected();
    write_whole(out, |file| {
        let applied = prepared.apply_to((*base).as_ref(), file);
        applied.map_err(|error| match error {
            DeltaError::NotWritten { why } => Error::write(out, &why),
            DeltaError::NotADelta
            | DeltaError::UnknownFormat { .. }
            | DeltaError::WrongBase { .. }
            | DeltaError::WrongDelta { .. }
            | DeltaError::Corrupt { .. }
            | DeltaError::WrongResult
            | DeltaError::TooLarge { .. }
            | DeltaError::NotMade { .. } => refused(error),
        })
    })?;
    if json {
        let file = out.display().to_string();
        print::object(&json!({"file": file, "bytes": expected.length, "digest": expected.digest}));
    } else {
        print::out(&format_args!(
            "{}: {} bytes, sha256 {}",
            out.display(),
            expected.length,
            expected.digest
        ));
    }
    Ok(Exit::Done)
}

fn info_of_file(path: &Path, json: bool) -> Result<Exit, Error> {
    let delta = read(path)?;
    let info = Info::read(&delta).map_err(refused)?;
    if json {
        print::object(&as_json(path, delta.len(), &info));
        return Ok(Exit::Done);
    }
    let opened = info.opened.map_or_else(
        || "no".to_owned(),
        |[from, to]| {
            let bytes = info.opening_bytes;
            format!("{from} to {to} bytes unpacked, said in {bytes} bytes")
        },
    );
    for (name, value) in [
        ("format", info.format.to_string()),
        (
            "from",
            format!("{} ({} bytes)", info.base, info.base_length),
        ),
        ("to", format!("{} ({} bytes)", info.digest, info.length)),
        ("by member", opened),
        (
            "copied",
            format!("{} bytes in {} parts", info.copied_bytes, info.copies),
        ),
        ("code", format!("{} bytes of the base", info.code_bytes)),
        ("plan", format!("{} bytes", info.plan_bytes)),
        ("corrections", format!("{} bytes", info.correction_bytes)),
        ("new content", format!("{} bytes, packed", info.fresh_bytes)),
    ] {
        print::out(&format_args!("{name:<12}{value}"));
    }
    Ok(Exit::Done)
}

fn as_json(file: &Path, bytes: usize, info: &Info) -> Value {
    json!({
        "file": file.display().to_string(),
        "bytes": bytes,
        "format": info.format,
        "from": {"digest": info.base, "bytes": info.base_length},
        "to": {"digest": info.digest, "bytes": info.length},
        "opened": info.opened,
        "opening_bytes": info.opening_bytes,
        "copies": info.copies,
        "copied_bytes": info.copied_bytes,
        "code_bytes": info.code_bytes,
        "plan_bytes": info.plan_bytes,
        "correction_bytes": info.correction_bytes,
        "fresh_bytes": info.fresh_bytes,
    })
}

fn percent(part: u64, whole: u64) -> String {
    let thousandths = u128::from(part) * 1_000 / u128::from(whole.max(1));
    format!("{}.{} %", thousandths / 10, thousandths % 10)
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|error| Error::read(path, &error))
}

/// From this length on a base is read into large pages, bytes: one of those.
const LARGE: u64 = 2 << 20;

/// Reads the base of a delta, into large pages if it is long and they can be had: parts of it are copied from all over it, and
/// small pages have to be looked up for each.
fn read_base(path: &Path) -> io::Result<Box<dyn AsRef<[u8]> + Send>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let map = usize::try_from(length).ok().filter(|_| length >= LARGE);
    if let Some(Ok(mut map)) = map.map(MmapMut::map_anon) {
        // Without them it is read all the same.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        file.read_exact(&mut map)?;
        if file.read(&mut [0])? == 0 {
            return Ok(Box::new(map));
        }
        // It became longer meanwhile.
    }
    Ok(Box::new(fs::read(path)?))
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn refused(error: DeltaError) -> Error {
    Error::Refused {
        code: error.code().to_owned(),
        why: error.to_string(),
    }
}
