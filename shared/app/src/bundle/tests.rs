//! What a build is ordered with.

use super::*;
use crate::stage::settle;
use crate::testing::{PROJECT, all};
use futures::executor::block_on;
use kintsugi_domain::Timestamp;
use kintsugi_domain::platform::PlatformKind;
use kintsugi_domain::ports::Store as _;
use kintsugi_domain::train::Train;
use kintsugi_testkit::memory::MemoryHome;
use kintsugi_testkit::product;
use serde_json::json;
use std::sync::Arc;

/// A release of the patch number, with packages for platforms from 1.0.3 on.
fn release(patch: u64, channel: &str, state: &str) -> Release {
    let version = Version::new(1, 0, patch);
    let artifact = |name: &str| json!({"blob": format!("tuf/1/targets/{name}-{version}"), "digest": "0".repeat(64), "length": 1});
    let platforms = json!([
        {"kind": {"kind": "app_image", "arch": "x86_64"}, "artifact": artifact("appimage"), "deltas": []},
        {"kind": {"kind": "windows_installer"}, "artifact": artifact("setup"), "deltas": []},
    ]);
    let platforms = if patch < 3 { json!([]) } else { platforms };
    let release = json!({
        "id": Release::id_of(PROJECT, &version), "project": PROJECT, "version": version,
        "channel": channel, "state": state, "train": "patch", "bundle": "b", "fixes": [],
        "issues": [], "previous": null, "built": {
            "commit": format!("commit of {version}"), "deltas": [], "full": artifact("full"),
            "content": {"digest": "0".repeat(64), "length": 1}, "platforms": platforms,
        },
        "notes": "", "statement": null, "required_actions": [],
        "built_at": "2026-01-01T00:00:00Z", "story": [],
    });
    serde_json::from_value(release).unwrap()
}

/// The order of version 1.0.9 in a home with eight published versions below it, one of them revoked, and one on another channel.
fn ordered(supported: usize) -> BuildOrder {
    let home = MemoryHome::new(1);
    let mut config = product::config("");
    config.package.supported_versions = supported;
    let mut project = product::project(PROJECT, config);
    project.repository = Some("/src/till".to_owned());
    let version = Version::new(1, 0, 9);
    let at = Timestamp::UNIX_EPOCH;
    let bundle = Bundle::cut(
        PROJECT,
        Train::Patch,
        "stable",
        "c0ffee".to_owned(),
        version,
        vec![],
        at,
    );
    let mut commit = Commit::new().create(&project).create(&bundle);
    for patch in (0..9).filter(|it| *it != 5 && *it != 7) {
        commit = commit.create(&release(patch, "stable", "published"));
    }
    let commit = commit
        .create(&release(5, "stable", "revoked"))
        .create(&release(7, "beta", "published"))
        .create(&release(10, "stable", "published"));
    block_on(home.store.commit(commit)).unwrap();
    let message = Message::BuildBundle { bundle: bundle.id };
    let wake = Wake::Message(Arc::new(Envelope::new("train-1", PROJECT, message)));
    block_on(settle(&Bundles::new(home.ports()), &wake)).unwrap();
    let Order::Build(order) = all::<Job>(&home.store).remove(0).order else {
        panic!("it is a build");
    };
    *order
}

/// The patch numbers of versions.
fn patches<'a>(versions: impl Iterator<Item = &'a Version>) -> Vec<u64> {
    versions.map(|version| version.patch).collect()
}

#[test]
fn deltas_are_ordered_from_exactly_the_supported_versions() {
    for (supported, expected) in [
        (1, &[8][..]),
        (4, &[8, 6, 4, 3]),
        (6, &[8, 6, 4, 3, 2, 1]),
        (20, &[8, 6, 4, 3, 2, 1, 0]),
    ] {
        let order = ordered(supported);
        let bases = order.delta_bases.iter();
        assert_eq!(patches(bases.map(|(from, _)| from)), expected);
        let of = |wanted: fn(&PlatformKind) -> bool| {
            let bases = order.platform_bases.iter();
            let bases = bases.filter(move |base| wanted(&base.kind));
            patches(bases.map(|base| &base.version))
        };
        let with_platforms: Vec<u64> = expected.iter().copied().filter(|it| *it >= 3).collect();
        let appimages = of(|kind| matches!(kind, PlatformKind::AppImage { .. }));
        assert_eq!(appimages, with_platforms);
        let installers = of(|kind| matches!(kind, PlatformKind::WindowsInstaller));
        assert_eq!(installers, with_platforms);
    }
}

#[test]
fn a_revoked_version_is_not_supported_and_does_not_count() {
    let order = ordered(3);
    let bases: Vec<String> = order.delta_bases.into_iter().map(|(_, key)| key).collect();
    assert_eq!(
        bases,
        ["full-1.0.8", "full-1.0.6", "full-1.0.4"].map(|it| format!("tuf/1/targets/{it}"))
    );
    // The notes begin at the newest of them, however few are supported.
    assert_eq!(ordered(1).since, order.since);
    assert_eq!(order.since.as_deref(), Some("commit of 1.0.8"));
}
