//! Offers that must not be taken: statements, grants, versions and manifests that do not hold.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use crate::home::{Home, built, reply};
use crate::installs::{V100, V101, V110, installed, run, running};
use crate::refusals::{offering, refused};
use kintsugi_domain::Timestamp;
use kintsugi_domain::digest::Digest;
use kintsugi_sdk::updater::Manifest;

/// Lets the server change each manifest before it is sent.
fn forge(home: &Home, change: impl Fn(&mut Manifest) + Send + 'static) {
    home.shelf().forge = Some(Box::new(move |mut manifest| {
        change(&mut manifest);
        serde_json::to_vec(&manifest).unwrap()
    }));
}

fn honest_manifest(home: &Home) -> Manifest {
    let release = home.document.releases.last().unwrap();
    Manifest::of(release, &release.packages[0], &V100, None)
}

/// Lets the server answer every check with this manifest.
fn always(home: &Home, manifest: &Manifest) {
    let body = serde_json::to_vec(manifest).unwrap();
    home.shelf().lie = Some(Box::new(move |path| {
        path.contains("/updates/").then(|| reply(body.clone()))
    }));
}

#[test]
fn a_statement_by_another_key() {
    let (mut home, _dir, settings) = installed();
    home.targets_key = 9;
    home.release(&built(V101, true), &[]);
    home.targets_key = 2;
    home.publish();
    refused(&home, &settings, "statement_refused");
}

#[test]
fn an_expired_statement() {
    let (mut home, _dir, settings) = installed();
    home.statement_days = 1;
    home.release(&built(V101, true), &[]);
    home.metadata_days = 30;
    home.publish();
    home.set_day(2);
    refused(&home, &settings, "statement_refused");
}

#[test]
fn a_statement_of_another_version_or_package() {
    let (mut home, _dir, settings) = installed();
    home.release(&built(V101, true), &[]);
    let package = home.document.releases[1].packages[0].clone();
    let other = home.statement(&V110, &package.full, &package.content);
    home.document.releases[1].packages[0].statement = other;
    home.publish();
    refused(&home, &settings, "statement_refused");
    let other = home.document.releases[0].packages[0].full.clone();
    let other = home.statement(&V101, &other, &package.content);
    home.document.releases[1].packages[0].statement = other;
    home.publish();
    refused(&home, &settings, "statement_refused");
}

#[test]
fn a_statement_that_says_otherwise_whether_it_is_a_required_stop() {
    let (mut home, _dir, settings) = installed();
    home.release(&built(V101, true), &[]);
    home.document.releases[1].required_stop = true;
    home.publish();
    refused(&home, &settings, "statement_refused");
}

#[test]
fn a_revoked_version() {
    let (mut home, _dir, settings) = offering();
    let manifest = honest_manifest(&home);
    home.document.revoked = vec![V101];
    home.publish();
    always(&home, &manifest);
    refused(&home, &settings, "revoked_version");
}

#[test]
fn a_lower_version_without_a_grant_or_with_the_wrong_one() {
    let mut home = Home::start();
    home.release(&built(V100, true), &[]);
    home.release(&built(V101, true), &[]);
    home.publish();
    let dir = tempfile::tempdir().unwrap();
    let settings = home.device(dir.path(), "d1");
    run(&home, &settings).unwrap();
    let release = &home.document.releases[0];
    let mut manifest = Manifest::of(release, &release.packages[0], &V101, None);
    let code = |manifest: &Manifest| {
        always(&home, manifest);
        let error = run(&home, &settings).unwrap_err();
        assert_eq!(running(dir.path()).as_deref(), Some("1.0.1"));
        error.code()
    };
    assert_eq!(code(&manifest), "downgrade_without_grant");
    // By a key that is not of the targets role; for another step; too old.
    manifest.grant = Some(home.grant(&V101, &V100, 4).statement);
    assert_eq!(code(&manifest), "grant_refused");
    manifest.grant = Some(home.grant(&V110, &V100, 2).statement);
    assert_eq!(code(&manifest), "grant_refused");
    manifest.grant = Some(manifest.statement.clone());
    assert_eq!(code(&manifest), "grant_refused");
    // A good one, but the document does not revoke what is installed.
    manifest.grant = Some(home.grant(&V101, &V100, 2).statement);
    assert_eq!(code(&manifest), "offer_not_in_document");
}

#[test]
fn a_jump_over_a_required_stop() {
    let (mut home, _dir, settings) = offering();
    home.release(&built(V110, true), &[]);
    home.publish();
    let jump = Manifest::of(
        &home.document.releases[2],
        &home.document.releases[2].packages[0],
        &V100,
        None,
    );
    home.document.releases[1].required_stop = true;
    home.publish();
    always(&home, &jump);
    refused(&home, &settings, "required_stop_skipped");
}

#[test]
fn a_version_that_the_document_does_not_offer_this_device() {
    let (mut home, _dir, settings) = offering();
    let manifest = honest_manifest(&home);
    home.rollout(&V101).offering = false;
    home.publish();
    always(&home, &manifest);
    refused(&home, &settings, "offer_not_in_document");
}

#[test]
fn a_manifest_that_differs_from_the_document_in_any_field() {
    type Change = fn(&mut Manifest);
    let changes: [(&str, Change); 8] = [
        ("date", |manifest| manifest.date = Timestamp::UNIX_EPOCH),
        ("notes", |manifest| manifest.notes.push('!')),
        ("restart", |manifest| manifest.restart = false),
        ("full", |manifest| {
            manifest.full.digest = Digest::of(b"other");
        }),
        ("content", |manifest| manifest.content.length += 1),
        ("health", |manifest| {
            manifest.health.command = vec!["true".into()];
        }),
        ("statement", |manifest| manifest.statement.push('x')),
        ("grant", |manifest| manifest.grant = Some("x".into())),
    ];
    let (home, _dir, settings) = offering();
    for (field, change) in changes {
        forge(&home, change);
        refused(&home, &settings, "manifest_differs");
        let error = run(&home, &settings).unwrap_err().to_string();
        assert!(error.contains(field), "{error}");
    }
}

#[test]
fn a_manifest_that_is_none() {
    let (home, _dir, settings) = offering();
    home.shelf().forge = Some(Box::new(|_| b"<html>".to_vec()));
    refused(&home, &settings, "manifest_invalid");
    forge(&home, |manifest| manifest.format = 2);
    refused(&home, &settings, "manifest_invalid");
    home.shelf().forge = Some(Box::new(|_| vec![b' '; 300_000]));
    refused(&home, &settings, "too_large");
    forge(&home, |manifest| manifest.url = Some("file:///etc/".into()));
    refused(&home, &settings, "manifest_invalid");
}
