//! `kintsugi release verify`: the whole chain from a root that is trusted to an artifact, from files, without a network.
//!
//! Root → timestamp → snapshot → targets (TUF specification §5), and delegated roles where those list the file → the artifact's digest and length → the attestation's digest →
//! its signature by a key of the targets role → the artifact among its subjects. **The first check that fails ends it, and is named.**
//! Not here: fetching, and what devices check (`kintsugi-sdk`).

mod delegated;

use crate::error::Error;
use crate::exit::Exit;
use crate::print;
use clap::Args;
use kintsugi_adapters_local::SystemClock;
use kintsugi_domain::Timestamp;
use kintsugi_domain::digest::Digest;
use kintsugi_domain::limits::PACKAGE_BYTES_MAX;
use kintsugi_domain::ports::Clock as _;
use kintsugi_trust::attestation::{self, ENVELOPE_BYTES_MAX, Statement};
use kintsugi_trust::tuf::{ROOT_BYTES_MAX, Role, TargetPath, Trusted, TufError};
use serde_json::json;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Longest timestamp that is read, bytes.
const TIMESTAMP_BYTES_MAX: usize = kintsugi_trust::tuf::TIMESTAMP_BYTES_MAX;

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The file: a package or a delta.
    artifact: PathBuf,
    /// A root of the product's repository that you trust.
    #[arg(long, value_name = "ROOT.json")]
    root: PathBuf,
    /// The folder with the repository's metadata: timestamp.json, and the others with or without their version in the name.
    #[arg(long, value_name = "DIR")]
    metadata: PathBuf,
    /// The release's attestation: the target whose name ends in .intoto.json.
    #[arg(long, value_name = "FILE")]
    attestation: PathBuf,
    /// The time at which metadata must hold, such as 2026-12-24T09:00:00Z; now if absent.
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
}

/// What was found to be so, step by step.
struct Checks {
    passed: Vec<(&'static str, String)>,
    json: bool,
}

impl Checks {
    fn pass(&mut self, check: &'static str, what: String) {
        if !self.json {
            print::out(&format_args!("ok  {check:<12}{what}"));
        }
        self.passed.push((check, what));
    }
}

fn refused(code: &str, why: impl Into<String>) -> Error {
    Error::Refused {
        code: code.to_owned(),
        why: why.into(),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn by_tuf(error: TufError) -> Error {
    refused(error.code(), error.to_string())
}

/// Checks everything, and tells what each check found.
pub(crate) fn run(asked: &Verify, json: bool) -> Result<Exit, Error> {
    let now = asked.at.unwrap_or_else(|| SystemClock.now());
    let passed = Vec::new();
    let mut checks = Checks { passed, json };
    let trusted = repository(asked, now, &mut checks)?;

    let bytes_max = usize::try_from(PACKAGE_BYTES_MAX).unwrap_or(usize::MAX);
    let artifact = read(&asked.artifact, bytes_max)?;
    let listed = |content: &[u8], file: &Path| listed(asked, &trusted, now, (content, file));
    let (targets, digest) = listed(&artifact, &asked.artifact)?;
    let names = joined(&targets);
    checks.pass(
        "artifact",
        format!("{names}, {} bytes, sha256 {digest}", artifact.len()),
    );

    let envelope = read(&asked.attestation, ENVELOPE_BYTES_MAX)?;
    let (attestations, _) = listed(&envelope, &asked.attestation)?;
    checks.pass("attestation", joined(&attestations));
    let key = |id: &str| trusted.key(Role::Targets, id).cloned();
    let statement = attestation::verify(&envelope, key)
        .map_err(|error| refused(error.code(), error.to_string()))?;
    checks.pass(
        "signature",
        "by a key of the targets role, P-384".to_owned(),
    );
    let subjects: Vec<&str> = statement.names(&digest).collect();
    let Some(target) = targets.iter().find(|it| subjects.contains(&it.as_str())) else {
        let why = match subjects.first() {
            Some(subject) => {
                format!("the attestation calls it {subject:?}, the repository {names}")
            }
            None => format!("the attestation is not about {names} with digest {digest}"),
        };
        return Err(refused("attestation.subject", why));
    };
    checks.pass("subject", target.to_string());
    tell(&statement, target, digest, &checks);
    Ok(Exit::Done)
}

/// Targets of one content.
fn joined(targets: &[TargetPath]) -> String {
    let names: Vec<&str> = targets.iter().map(TargetPath::as_str).collect();
    names.join(" = ")
}

/// The repository as of its metadata.
fn repository(asked: &Verify, now: Timestamp, checks: &mut Checks) -> Result<Trusted, Error> {
    let mut trusted = Trusted::new(&read(&asked.root, ROOT_BYTES_MAX)?).map_err(by_tuf)?;
    let folder = &asked.metadata;
    while let Some(next) = find(&folder.join(&trusted.next_root().name), ROOT_BYTES_MAX)? {
        trusted.update_root(&next).map_err(by_tuf)?;
    }
    checks.pass("root", format!("version {}", trusted.root().version));
    let text = read(&folder.join("timestamp.json"), TIMESTAMP_BYTES_MAX)?;
    trusted.update_timestamp(&text, now).map_err(by_tuf)?;
    let timestamp = trusted.timestamp();
    let until = timestamp.map(|it| format!("version {}, until {}", it.version, it.expires));
    checks.pass("timestamp", until.unwrap_or_default());
    let wanted = trusted.next_snapshot().map_err(by_tuf)?;
    let text = delegated::metadata(folder, &wanted, Role::Snapshot.name())?;
    trusted.update_snapshot(&text, now).map_err(by_tuf)?;
    checks.pass("snapshot", format!("version {}", wanted.version));
    let wanted = trusted.next_targets().map_err(by_tuf)?;
    let text = delegated::metadata(folder, &wanted, Role::Targets.name())?;
    trusted.update_targets(&text, now).map_err(by_tuf)?;
    checks.pass("targets", format!("version {}", wanted.version));
    Ok(trusted)
}

/// The targets that a file is, by its digest and length: one at least. Two releases may have a file with the same bytes, and
/// so may one release under two names.
fn listed(
    asked: &Verify,
    trusted: &Trusted,
    now: Timestamp,
    (content, file): (&[u8], &Path),
) -> Result<(Vec<TargetPath>, Digest), Error> {
    let digest = Digest::of(content);
    let length = content.len() as u64;
    let targets = trusted.targets().map(|targets| &targets.targets);
    let found = targets
        .into_iter()
        .flatten()
        .filter(|(_, info)| info.hashes.sha256 == Some(digest) && info.length == length);
    let mut found: Vec<TargetPath> = found.map(|(path, _)| path.clone()).collect();
    if found.is_empty() {
        found = delegated::listed(trusted, &asked.metadata, (digest, length), now)?;
    }
    if !found.is_empty() {
        return Ok((found, digest));
    }
    let file = file.display();
    let why = format!(
        "{file}: the repository lists no target with its {length} bytes and sha256 {digest}"
    );
    Err(refused("target.not_listed", why))
}

fn read(path: &Path, bytes_max: usize) -> Result<Vec<u8>, Error> {
    match find(path, bytes_max)? {
        Some(content) => Ok(content),
        None => Err(Error::read(path, &"there is no such file")),
    }
}

/// A file's content, or nothing where there is none.
fn find(path: &Path, bytes_max: usize) -> Result<Option<Vec<u8>>, Error> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::read(path, &error)),
    };
    let mut content = Vec::new();
    let mut bounded = file.take((bytes_max as u64).saturating_add(1));
    let read = bounded.read_to_end(&mut content);
    read.map_err(|error| Error::read(path, &error))?;
    if content.len() > bytes_max {
        let why = format!("it is longer than {bytes_max} bytes");
        return Err(Error::read(path, &why));
    }
    Ok(Some(content))
}

/// What the attestation says of the release. What others wrote is shown as Debug, so that it commands no terminal.
fn tell(statement: &Statement, target: &TargetPath, digest: Digest, checks: &Checks) {
    let definition = &statement.predicate.build_definition;
    let run = &statement.predicate.run_details;
    if checks.json {
        let passed: Vec<_> = checks
            .passed
            .iter()
            .map(|(check, what)| json!({"check": check, "what": what}))
            .collect();
        print::object(&json!({
            "target": target.to_string(), "digest": digest, "checks": passed, "statement": statement,
        }));
        return;
    }
    let asked = &definition.external_parameters;
    print::out(&format_args!(
        "{:?} version {:?}, {:?} for channel {:?}, commit {:?}",
        asked.product, asked.version, asked.train, asked.channel, asked.commit
    ));
    for fix in &asked.fixes {
        print::out(&format_args!(
            "  fix {:?} of issue {:?}: rule {:?}, {} gates, approved by {:?}",
            fix.id,
            fix.issue,
            fix.rule,
            fix.gates.len(),
            fix.approved_by
        ));
    }
    for input in &definition.resolved_dependencies {
        print::out(&format_args!(
            "  input {:?}: {:?}",
            input.name, input.digest
        ));
    }
    for test in &run.byproducts {
        let passed = test.annotations.get("passed") == Some(&json!(true));
        let ended = if passed { "passed" } else { "failed" };
        print::out(&format_args!("  {ended}: {:?}", test.name));
    }
    print::out(&format_args!(
        "  built by {:?} {:?}, job {:?}",
        run.builder.id, run.builder.version, run.metadata.invocation_id
    ));
}
