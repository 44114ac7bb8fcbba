//! A build engine that answers by the seed: the same job always gets the same answer, and no product code runs.

use super::random::percent_of;
use super::world::{PROJECT, REPOSITORY};
use async_trait::async_trait;
use kintsugi_domain::digest::Digest;
use kintsugi_domain::job::{
    Artifact, BuildOrder, BuildReport, Built, CandidateReport, Content, Delta, Failure, FixClass,
    Gate, Job, Order, Report, SearchOrder, SearchReport, SourceFile,
};
use kintsugi_domain::ports::{Blobs, BuildEngine, Forge, PortError, Proposal};
use kintsugi_testkit::memory::{MemoryBlobs, MemoryForge};
use semver::Version;
use std::collections::BTreeMap;

/// The engine of a run.
#[derive(Debug, Clone)]
pub(super) struct Scripted {
    pub(super) seed: u64,
    pub(super) blobs: MemoryBlobs,
    pub(super) forge: MemoryForge,
}

/// The content of a version: what a device has after installing it.
pub(super) fn content_of(version: &Version) -> Content {
    let content = format!("content of {version}");
    Content {
        digest: Digest::of(content.as_bytes()),
        length: content.len() as u64,
    }
}

fn gate(name: &str, passed: bool) -> Gate {
    Gate {
        name: name.to_owned(),
        passed,
        detail: String::new(),
    }
}

impl Scripted {
    fn search(&self, job: &Job, order: &SearchOrder) -> SearchReport {
        let draw = percent_of(self.seed, &["search", job.id.as_str()]);
        let file = order
            .suspects
            .first()
            .map_or("till/totals.py", |it| it.file.as_str());
        let (class, prior, proven) = match draw {
            0..65 => (FixClass::Corrects, 0.8, true),
            65..72 => (FixClass::Guards, 0.1, true),
            72..80 => (FixClass::Suppresses, 0.6, true),
            _ => (FixClass::Corrects, 0.8, false),
        };
        let change = format!("{} at {}", order.event.id, order.commit);
        let candidate = |class, prior, diff: String, proven| CandidateReport {
            rule: "scripted".to_owned(),
            class,
            prior,
            files: vec![SourceFile {
                path: file.to_owned(),
                content: format!("changed for {diff}\n"),
            }],
            diff,
            size: 2,
            gates: vec![gate("syntax", true), gate("regression_after", proven)],
        };
        SearchReport {
            regression_test: (draw < 90).then(|| SourceFile {
                path: format!("tests/test_{}.py", order.issue),
                content: change.clone(),
            }),
            base: vec![gate("suite", true)],
            candidates: vec![
                candidate(class, prior, change.clone(), proven),
                candidate(FixClass::Corrects, 0.9, format!("{change}, badly"), false),
            ],
            refused: (draw >= 95).then(|| "nothing to change".to_owned()),
        }
    }

    async fn build(&self, job: &Job, order: &BuildOrder) -> Result<BuildReport, PortError> {
        let draw = percent_of(self.seed, &["build", job.id.as_str()]);
        let mut applied: Vec<_> = order.fixes.iter().map(|patch| patch.fix.clone()).collect();
        let mut set_aside = BTreeMap::new();
        if draw < 20 && !applied.is_empty() {
            set_aside.insert(applied.remove(0), "TEST_FAILURE: scripted".to_owned());
        }
        let emptied = applied.is_empty() && !order.fixes.is_empty();
        if draw >= 92 || emptied {
            return Ok(BuildReport {
                applied,
                set_aside,
                gates: vec![gate("suite", false)],
                changes: vec![],
                built: Err(Failure {
                    code: "TEST_FAILURE".to_owned(),
                    why: "scripted".to_owned(),
                }),
            });
        }
        let proposal = Proposal {
            project: PROJECT,
            repository: REPOSITORY.to_owned(),
            branch: format!("kintsugi/release/{}", order.bundle),
            base: order.commit.clone(),
            files: BTreeMap::from([("VERSION".to_owned(), order.version.to_string())]),
            message: format!("Release {}", order.version),
            at: order.at,
        };
        let built = Built {
            commit: self.forge.propose(&proposal).await?,
            full: self.artifact(order, None).await?,
            content: content_of(&order.version),
            deltas: self.deltas(order).await?,
            zips: vec![],
            platforms: vec![],
            inputs: vec![],
            builder: "kintsugi-engine/0 simulated".to_owned(),
        };
        Ok(BuildReport {
            applied,
            set_aside,
            gates: vec![gate("suite", true)],
            changes: vec![],
            built: Ok(built),
        })
    }

    async fn deltas(&self, order: &BuildOrder) -> Result<Vec<Delta>, PortError> {
        let mut deltas = Vec::new();
        for (from, base) in &order.delta_bases {
            if self.blobs.get(base, 1024).await?.is_none() {
                return Err(PortError::broken(base, "a delta's base is not stored"));
            }
            deltas.push(Delta {
                from: from.clone(),
                base: content_of(from).digest,
                artifact: self.artifact(order, Some(from)).await?,
            });
        }
        Ok(deltas)
    }

    async fn artifact(
        &self,
        order: &BuildOrder,
        from: Option<&Version>,
    ) -> Result<Artifact, PortError> {
        let version = &order.version;
        let (name, content) = match from {
            None => (
                format!("till-{version}.tar.zst"),
                format!("{version} of {}", order.bundle),
            ),
            Some(from) => (
                format!("till-{from}-{version}.delta"),
                format!("{version} of {} from {from}", order.bundle),
            ),
        };
        let digest = Digest::of(content.as_bytes());
        let blob = format!("tuf/{PROJECT}/targets/{digest}.{name}");
        let length = content.len() as u64;
        self.blobs.put(&blob, content.into_bytes()).await?;
        Ok(Artifact {
            blob,
            digest,
            length,
        })
    }
}

#[async_trait]
impl BuildEngine for Scripted {
    async fn run(&self, job: &Job) -> Result<Report, PortError> {
        Ok(match &job.order {
            Order::Search(order) => Report::Search(self.search(job, order)),
            Order::Build(order) => Report::Build(self.build(job, order).await?),
        })
    }
}
