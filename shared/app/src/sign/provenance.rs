//! What a release was made from, by what, and what was tested, signed (ledger F6).
//!
//! One envelope names every artifact of a release, and lies beside them as a target of the repository. **It tells what devices may
//! know: no folder of a machine, no event, no output of a test.** Not here: its form and its verification (`kintsugi_trust::attestation`).

use super::document::target_path;
use super::metadata::{envelope, targets_keys};
use crate::records;
use kintsugi_domain::bundle::Bundle;
use kintsugi_domain::digest::Digest;
use kintsugi_domain::fix::{Fix, FixState};
use kintsugi_domain::job::{Artifact, BuildReport, Gate, Job, Order, Report, artifact_key};
use kintsugi_domain::ports::{PortError, Ports};
use kintsugi_domain::project::Project;
use kintsugi_domain::record::Stored;
use kintsugi_domain::release::Release;
use kintsugi_trust::attestation::{
    self, BUILD_TYPE, BuildDefinition, Builder, ENVELOPE_BYTES_MAX, FixMade, Parameters,
    Provenance, Resource, RunDetails, RunMetadata, Statement, Subject, TestRun, sha256,
};
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;

/// What the builder is called.
const BUILDER: &str = "urn:kintsugi:engine";

/// The file name of a version's provenance.
fn file_name(app: &str, version: &semver::Version) -> String {
    format!("{app}-{version}.intoto.json")
}

/// Signs and stores the provenance of a release.
pub(super) async fn provenance(
    ports: &Ports,
    project: &Project,
    release: &Release,
    bundle: &Bundle,
    generation: u32,
) -> Result<Artifact, PortError> {
    let statement = statement(ports, project, release, bundle).await?;
    store(ports, project, release, &statement, generation).await
}

async fn store(
    ports: &Ports,
    project: &Project,
    release: &Release,
    statement: &Statement,
    generation: u32,
) -> Result<Artifact, PortError> {
    let what = format!("provenance of release {}", release.version);
    let payload = statement
        .payload()
        .map_err(|error| PortError::broken(&what, error))?;
    let content = envelope(ports, (project.id, generation), &payload).await?;
    let content = content.into_bytes();
    let digest = Digest::of(&content);
    let name = file_name(&project.config.product.name, &release.version);
    let artifact = Artifact {
        blob: artifact_key(project.id, &digest, &name),
        digest,
        length: content.len() as u64,
    };
    ports.blobs.put(&artifact.blob, content).await?;
    Ok(artifact)
}

/// The provenance of a release as a former key of the home signed it, signed by the one in force: whoever verifies an old
/// release with the newest root finds its key there. **What it says stays**; nothing where it is not there or not the home's.
pub(super) async fn signed_anew(
    ports: &Ports,
    project: &Project,
    release: &Release,
    generation: u32,
) -> Result<Option<Artifact>, PortError> {
    let Some(former) = &release.provenance else {
        return Ok(None);
    };
    let Some(content) = ports.blobs.get(&former.blob, ENVELOPE_BYTES_MAX).await? else {
        return Ok(None);
    };
    let keys = targets_keys(ports, project.id, generation).await?;
    let own = |id: &str| keys.iter().find(|it| it.key_id().as_str() == id).cloned();
    let Ok(statement) = attestation::verify(&content, own) else {
        return Ok(None);
    };
    if Digest::of(&content) != former.digest {
        return Ok(None);
    }
    let stored = store(ports, project, release, &statement, generation).await?;
    Ok(Some(stored))
}

async fn statement(
    ports: &Ports,
    project: &Project,
    release: &Release,
    bundle: &Bundle,
) -> Result<Statement, PortError> {
    let store = ports.store.as_ref();
    let job: Option<Stored<Job>> = match &bundle.job {
        Some(id) => records::get(store, project.id, id.as_str()).await?,
        None => None,
    };
    let job = job.map(|stored| stored.value);
    let mut fixes = Vec::new();
    for id in &release.fixes {
        let fix: Stored<Fix> = records::need(store, project.id, id.as_str()).await?;
        fixes.push(made(&fix.value));
    }
    let mut subject = Vec::new();
    for artifact in release.built.artifacts() {
        subject.push(Subject {
            name: target_path(project.id, artifact)?,
            digest: sha256(&artifact.digest),
        });
    }
    let built = &release.built;
    subject.push(Subject {
        name: "content".to_owned(),
        digest: sha256(&built.content.digest),
    });
    let parameters = Parameters {
        product: project.config.product.name.clone(),
        version: release.version.to_string(),
        build: release.build,
        channel: release.channel.clone(),
        train: name_of(&release.train),
        predicate: bundle.predicate.as_ref().map(name_of),
        commit: built.commit.clone(),
        fixes,
        issues: release.issues.iter().map(ToString::to_string).collect(),
    };
    let build_definition = BuildDefinition {
        build_type: BUILD_TYPE.to_owned(),
        external_parameters: parameters,
        resolved_dependencies: inputs(project, release, bundle),
    };
    let predicate = Provenance {
        build_definition,
        run_details: run(release, job.as_ref()),
    };
    Ok(Statement::new(subject, predicate))
}

/// The commit that the build started from, and its lock files.
fn inputs(project: &Project, release: &Release, bundle: &Bundle) -> Vec<Resource> {
    // A folder is a name on the home's machine and says nothing to others.
    let host = project.repository.as_ref();
    let host = host.filter(|repository| repository.starts_with("https://"));
    let source = Resource {
        name: "source".to_owned(),
        uri: host.map(|repository| format!("git+{repository}@{}", bundle.commit)),
        digest: BTreeMap::from([("gitCommit".to_owned(), bundle.commit.clone())]),
        annotations: BTreeMap::new(),
    };
    let locks = release.built.inputs.iter().map(|input| Resource {
        name: input.path.clone(),
        uri: None,
        digest: sha256(&input.digest),
        annotations: BTreeMap::new(),
    });
    std::iter::once(source).chain(locks).collect()
}

fn run(release: &Release, job: Option<&Job>) -> RunDetails {
    let builder = Builder {
        id: BUILDER.to_owned(),
        version: match release.built.builder.split_once(' ') {
            Some((engine, machine)) => BTreeMap::from([
                ("engine".to_owned(), engine.to_owned()),
                ("machine".to_owned(), machine.to_owned()),
            ]),
            None => BTreeMap::new(),
        },
    };
    let gates = match job.map(|job| (&job.order, &job.report)) {
        Some((Order::Build(_), Some(Report::Build(BuildReport { gates, .. })))) => gates.as_slice(),
        Some(_) | None => &[],
    };
    RunDetails {
        builder,
        metadata: RunMetadata {
            invocation_id: job.map(|job| job.id.to_string()).unwrap_or_default(),
            started_on: job.map_or(release.built_at, |job| job.ordered_at),
        },
        byproducts: gates.iter().map(byproduct).collect(),
    }
}

/// A gate's result. What it said stays with the home, and can be compared with its digest.
fn byproduct(gate: &Gate) -> Resource {
    Resource {
        name: gate.name.clone(),
        uri: None,
        digest: sha256(&Digest::of(gate.detail.as_bytes())),
        annotations: BTreeMap::from([("passed".to_owned(), json!(gate.passed))]),
    }
}

fn made(fix: &Fix) -> FixMade {
    let approved = format!("{:?}", FixState::Approved);
    let mut approved_by: Vec<String> = Vec::new();
    for step in fix
        .story
        .steps()
        .iter()
        .filter(|step| step.what == approved)
    {
        approved_by.push(step.by.clone());
    }
    approved_by.dedup();
    FixMade {
        id: fix.id.to_string(),
        issue: fix.issue.to_string(),
        rule: fix.rule.clone(),
        class: name_of(&fix.class),
        commit: fix.commit.clone(),
        gates: fix
            .gates
            .iter()
            .map(|gate| TestRun {
                name: gate.name.clone(),
                passed: gate.passed,
            })
            .collect(),
        approved_by,
    }
}

/// The name of an enum's value as it is written.
fn name_of(value: &impl Serialize) -> String {
    let value = json!(value);
    value.as_str().unwrap_or_default().to_owned()
}
