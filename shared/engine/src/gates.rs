//! What a built version must pass besides its suite: scans, tests of its own choice, and the scope of an extension's permissions.
//!
//! All gates run, whatever the ones before said, so that a report is whole. **What is checked is the tree that is packaged.** Not here: the
//! suite that decides between fixes ([`crate::build`]), and the rule about permissions (`kintsugi_domain::permissions`).

use crate::depot::Depot;
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
use semver::Version;

/// The gate that compares permissions.
const PERMISSIONS: &str = "permissions";

/// What the published version before asks for.
pub(crate) struct Before {
    version: Version,
    /// Its manifest, or why it cannot be read.
    manifest: Result<Vec<u8>, String>,
}

impl Before {
    /// The manifest of the newest version that deltas are made from, where the rules compare permissions and there is one.
    pub(crate) fn of(
        rules: &GateRules,
        order: &BuildOrder,
        depot: &Depot,
    ) -> Result<Option<Self>, PortError> {
        let newest = order.delta_bases.iter().max_by(|(a, _), (b, _)| a.cmp(b));
        let Some((version, key)) = newest.filter(|_| !rules.manifest.is_empty()) else {
            return Ok(None);
        };
        Ok(Some(Self {
            version: version.clone(),
            manifest: manifest(depot.fetch(key)?, &rules.manifest),
        }))
    }
}

/// The results of all gates, and the failure where one was not passed.
pub(crate) fn run(
    workshop: &Workshop<'_>,
    product: &Tree,
    rules: &GateRules,
    order: &BuildOrder,
    before: Option<&Before>,
) -> Result<(Vec<Gate>, Option<Failure>), PortError> {
    let mut results = Vec::new();
    if !rules.manifest.is_empty() {
        let (passed, detail) = match permissions(product, &rules.manifest, order, before) {
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
    before: Option<&Before>,
) -> Result<String, String> {
    let Some(Node::File { content: new, .. }) = product.get(path) else {
        return Err(format!("failed: there is no file {path}"));
    };
    let Some(before) = before else {
        return Ok("passed: there is no version before".to_owned());
    };
    let from = &before.version;
    let old = before
        .manifest
        .as_ref()
        .map_err(|why| format!("failed: {path} of version {from}: {why}"))?;
    let wider = widened(old, new).map_err(|error| format!("failed: {error}"))?;
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
fn manifest(package: Option<Vec<u8>>, path: &str) -> Result<Vec<u8>, String> {
    let package = package.ok_or("the package is not stored")?;
    let archive =
        compression::decompress(&package, PACKAGE_BYTES_MAX).map_err(|error| error.to_string())?;
    let entries = unpack(&archive, &Limits::default()).map_err(|error| error.to_string())?;
    let found = entries.into_iter().find(|entry| entry.path == path);
    found
        .map(|entry| entry.content.to_vec())
        .ok_or_else(|| "it is not in the package".to_owned())
}
