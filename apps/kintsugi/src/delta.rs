//! `kintsugi delta`: the deltas of packages by hand, from file to file.
//!
//! A delta that is applied here is held to what it says of itself. A device holds it to signed metadata
//! instead (`kintsugi-updater`).

use crate::args::Delta;
use crate::error::Error;
use crate::exit::Exit;
use crate::print;
use kintsugi_delta::{DeltaError, Expected, Info, apply_to, is_worthwhile, make};
use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use tempfile::NamedTempFile;

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
    write(out, |file| {
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
    let (old, delta) = (read(old)?, read(delta)?);
    let expected = Expected::declared_by(&delta).map_err(refused)?;
    write(out, |file| {
        apply_to(&old, &delta, &expected, file).map_err(|error| match error {
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

/// Writes a file whole or not at all, as far as programs can tell. What is worth waiting for the disk waits in `fill`: a
/// delta is, since making it takes long; what it leads to is not, since it can be had again.
fn write(
    path: &Path,
    fill: impl FnOnce(&mut NamedTempFile) -> Result<(), Error>,
) -> Result<(), Error> {
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    let failed = |error: std::io::Error| Error::write(path, &error);
    // Readable for whom the user's mask allows, as any other file: a temporary one is not.
    let mut file = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(failed)?;
    fill(&mut file)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn refused(error: DeltaError) -> Error {
    Error::Refused {
        code: error.code().to_owned(),
        why: error.to_string(),
    }
}
