//! What a built version must pass besides its suite: scans, tests of its own choice, and the scope of an extension's permissions.
//!
//! All gates run, whatever the ones before said, so that a report is whole. **What is checked is the tree that is packaged.** Not here: the
//! suite that decides between fixes ([`crate::build`]), and the rule about permissions (`kintsugi_domain::permissions`).

use crate::package::Bases;
use crate::tree::{Node, Tree};
use crate::workshop::{self, Workshop};
use kintsugi_delta::archive::{Limits, unpack};
use kintsugi_delta::compression;
use kintsugi_domain::config::{GateRules, SCAN_FAILURE};
use kintsugi_domain::job::{BuildOrder, Failure, Gate};
use kintsugi_domain::limits::PACKAGE_BYTES_MAX;
use kintsugi_domain::permissions::widened;
use kintsugi_domain::ports::PortError;
use kintsugi_domain::train::Train;

/// The gate that compares permissions.
const PERMISSIONS: &str = "permissions";

/// The results of all gates, and the failure where one was not passed.
pub(crate) fn run(
    workshop: &Workshop<'_>,
    product: &Tree,
    rules: &GateRules,
    order: &BuildOrder,
    bases: &Bases,
) -> Result<(Vec<Gate>, Option<Failure>), PortError> {
    let mut results = Vec::new();
    if !rules.manifest.is_empty() {
        let (passed, detail) = match permissions(product, &rules.manifest, order, bases) {
            Ok(detail) => (true, detail),
            Err(why) => (false, why),
        };
        let name = PERMISSIONS.to_owned();
        results.push((
            SCAN_FAILURE,
            Gate {
                name,
                passed,
                detail,
            },
        ));
    }
    for gate in rules.commands() {
        let finished = workshop.run(product, &gate.command)?;
        results.push((gate.code, workshop::gate(gate.name, &finished)));
    }
    let mut failed = results.iter().filter(|(_, gate)| !gate.passed).peekable();
    let failure = failed
        .peek()
        .map(|(code, _)| (*code).to_owned())
        .map(|code| {
            let reasons = failed.map(|(_, gate)| format!("gate {} {}", gate.name, gate.detail));
            Failure {
                code,
                why: reasons.collect::<Vec<_>>().join("; "),
            }
        });
    let gates = results.into_iter().map(|(_, gate)| gate).collect();
    Ok((gates, failure))
}

/// What the gate found; the error is why it is not passed.
fn permissions(
    product: &Tree,
    path: &str,
    order: &BuildOrder,
    bases: &Bases,
) -> Result<String, String> {
    let Some(Node::File { content: new, .. }) = product.get(path) else {
        return Err(format!("failed: there is no file {path}"));
    };
    let Some((from, package)) = bases.iter().max_by(|(a, _), (b, _)| a.cmp(b)) else {
        return Ok("passed: there is no version before".to_owned());
    };
    let old = manifest(package.as_deref(), path)
        .map_err(|why| format!("failed: {path} of version {from}: {why}"))?;
    let wider = widened(&old, new).map_err(|error| format!("failed: {error}"))?;
    if wider.is_empty() {
        return Ok(format!("passed: no wider than version {from}"));
    }
    let list: Vec<String> = wider.iter().map(ToString::to_string).collect();
    let list = list.join(", ");
    match Train::between(from, &order.version) {
        Train::Hotfix | Train::Patch => Err(format!(
            "failed: a patch of version {from} is wider: it {list}"
        )),
        Train::Minor | Train::Major => Ok(format!("passed: wider than version {from}: it {list}")),
    }
}

/// The manifest in a package that was published.
fn manifest(package: Option<&[u8]>, path: &str) -> Result<Vec<u8>, String> {
    let package = package.ok_or("the package is not stored")?;
    let archive =
        compression::decompress(package, PACKAGE_BYTES_MAX).map_err(|error| error.to_string())?;
    let entries = unpack(&archive, &Limits::default()).map_err(|error| error.to_string())?;
    let found = entries.into_iter().find(|entry| entry.path == path);
    found
        .map(|entry| entry.content.to_vec())
        .ok_or_else(|| "it is not in the package".to_owned())
}
