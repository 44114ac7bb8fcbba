//! python-tuf as the judge in both directions: its client reads a repository that we write, we read one
//! that it writes. `joserfc` does the same for tokens.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "test code")]
#![expect(clippy::string_slice, reason = "test code")]

use kintsugi_domain::Timestamp as Time;
use kintsugi_domain::digest::Digest;
use kintsugi_domain::id::ProjectId;
use kintsugi_trust::jws;
use kintsugi_trust::key::{PublicKey, SecretKey};
use kintsugi_trust::statement::{
    RELEASE_TYP, ROLLBACK_TYP, ReleaseStatement, RollbackGrant, STATEMENT_FORMAT,
};
use kintsugi_trust::tuf::{
    DelegatedRole, Delegations, MetaFile, Metadata, Role, RoleKeys, Roles, Root, Scope, SearchStep,
    Snapshot, TargetInfo, TargetPath, Targets, Timestamp, Trusted, assemble, canonical, file_name,
};
use semver::Version;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;

fn now() -> Time {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

/// Far enough away for python-tuf, which asks the real clock.
fn far() -> Time {
    "2040-01-01T00:00:00Z".parse().unwrap()
}

/// Runs a command of the script and returns what it printed.
fn python(command: &str, folder: &Path) -> Value {
    #[expect(clippy::disallowed_methods, reason = "the test's only setting")]
    let interpreter = std::env::var("KINTSUGI_TEST_PYTHON").expect(
        "KINTSUGI_TEST_PYTHON must name a Python with python-tuf and joserfc: run `cargo xtask test`",
    );
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python_tuf.py");
    let output = Command::new(interpreter)
        .args([script.as_os_str(), command.as_ref(), folder.as_os_str()])
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {error}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn secret(number: u8) -> SecretKey {
    SecretKey::from_random(&[number; 48]).unwrap()
}

fn public(number: u8) -> PublicKey {
    secret(number).public_key().unwrap()
}

/// Writes signed metadata and returns its listing.
fn publish<T: Metadata>(folder: &Path, metadata: &T, keys: &[u8]) -> MetaFile {
    let bytes = canonical(metadata).unwrap();
    let signatures: Vec<_> = keys
        .iter()
        .map(|number| {
            let id = public(*number).key_id();
            (id, secret(*number).sign(&bytes).unwrap())
        })
        .collect();
    let text = assemble(metadata, &signatures).unwrap();
    let name = file_name(T::ROLE, metadata.version());
    fs::write(folder.join(name), &text).unwrap();
    MetaFile::of(metadata.version(), text.as_bytes())
}

/// A root whose own keys are these three (2 of 3).
fn root(version: u64, keys: [u8; 3]) -> Root {
    let of = |role, numbers: &[u8], threshold| {
        let keys: Vec<_> = numbers.iter().map(|number| public(*number)).collect();
        RoleKeys::new(role, &keys, threshold).unwrap()
    };
    let roles = Roles {
        root: of(Role::Root, &keys, 2),
        targets: of(Role::Targets, &[4], 1),
        snapshot: of(Role::Snapshot, &[5], 1),
        timestamp: of(Role::Timestamp, &[6], 1),
    };
    Root::new(version, far(), roles)
}

/// Names that a canonical form or an address gets wrong easily.
const NAMES: [&str; 7] = [
    "a",
    "a!",
    "a b",
    "packages/till-1.0.0+build.tar.zst",
    "quote\".txt",
    "e\u{301}.txt",
    "\u{1F600}",
];

/// Targets that only a delegated role lists: by path, and by the digest of the path.
const DELEGATED: [&str; 2] = ["shelf/one.bin", "far away"];

/// A target with its name as content, served.
fn serve(folder: &Path, name: &str) -> (TargetPath, TargetInfo) {
    let path: TargetPath = name.parse().unwrap();
    let digest = Digest::of(name.as_bytes());
    let served = folder.join("targets").join(path.hashed_name(&digest));
    fs::create_dir_all(served.parent().unwrap()).unwrap();
    fs::write(served, name).unwrap();
    (path, TargetInfo::new(name.len() as u64, digest))
}

/// Delegations to one role by path and to one by the digest of the path.
fn delegations() -> Delegations {
    let keys = |threshold| RoleKeys::new(Role::Targets, &[public(10), public(11)], threshold);
    let digest = Digest::of(DELEGATED[1].as_bytes()).to_string();
    let roles = [
        ("shelf", Scope::Paths(vec!["shelf/*.bin".into()]), 2),
        ("bin", Scope::HashPrefixes(vec![digest[..2].into()]), 1),
    ];
    let roles = roles.map(|(name, scope, threshold)| DelegatedRole {
        name: name.to_owned(),
        keys: keys(threshold).unwrap(),
        terminating: false,
        scope,
    });
    Delegations::new(roles.into()).unwrap()
}

/// Writes a delegated role with one target and returns its listing.
fn publish_delegated(folder: &Path, name: &str, target: &str) -> MetaFile {
    let targets = Targets {
        version: 3,
        expires: far(),
        targets: [serve(folder, target)].into(),
        delegations: None,
    };
    let bytes = canonical(&targets).unwrap();
    let sign = |number: u8| {
        (
            public(number).key_id(),
            secret(number).sign(&bytes).unwrap(),
        )
    };
    let text = assemble(&targets, &[sign(10), sign(11)]).unwrap();
    fs::write(folder.join(format!("metadata/3.{name}.json")), &text).unwrap();
    MetaFile::of(3, text.as_bytes())
}

/// Writes a repository with a rotated root.
fn write_repository(folder: &Path) {
    let metadata = folder.join("metadata");
    fs::create_dir_all(&metadata).unwrap();
    publish(&metadata, &root(1, [1, 2, 3]), &[1, 2]);
    fs::copy(
        metadata.join("1.root.json"),
        folder.join("trusted_root.json"),
    )
    .unwrap();
    publish(&metadata, &root(2, [7, 8, 9]), &[2, 3, 7, 8]);
    let mut targets = Targets {
        version: 4,
        expires: far(),
        targets: [].into(),
        delegations: Some(delegations()),
    };
    for name in NAMES {
        let (path, info) = serve(folder, name);
        let info = TargetInfo {
            custom: Some(json!({"name": name})),
            ..info
        };
        targets.targets.insert(path, info);
    }
    let listed = publish(&metadata, &targets, &[4]);
    let mut snapshot = Snapshot::new(5, far(), listed);
    for (name, target) in [("shelf", DELEGATED[0]), ("bin", DELEGATED[1])] {
        let listed = publish_delegated(folder, name, target);
        snapshot.meta.insert(format!("{name}.json"), listed);
    }
    let listed = publish(&metadata, &snapshot, &[5]);
    let delegated = serde_json::to_string(&DELEGATED).unwrap();
    fs::write(folder.join("delegated.json"), delegated).unwrap();
    publish(&metadata, &Timestamp::new(6, far(), listed), &[6]);
}

#[test]
fn a_second_library_takes_release_statements_and_rollback_grants_and_refuses_them_changed() {
    let folder = tempfile::tempdir().unwrap();
    let statement = ReleaseStatement {
        format: STATEMENT_FORMAT,
        project: ProjectId(1),
        app: "till".into(),
        channel: "stable".into(),
        platform: "linux".into(),
        arch: "x86_64".into(),
        version: Version::new(1, 0, 1),
        build: 7,
        target: "till-1.0.1.tar.zst".parse().unwrap(),
        digest: Digest::of(b"package"),
        length: 7,
        content_digest: Digest::of(b"content"),
        content_length: 7,
        required_stop: false,
        issued_at: now(),
        expires: far(),
    };
    let grant = RollbackGrant {
        format: STATEMENT_FORMAT,
        project: ProjectId(1),
        app: "till".into(),
        channel: "stable".into(),
        from: Version::new(1, 0, 1),
        to: Version::new(1, 0, 0),
        reason: "the guard halted it — ä".into(),
        issued_at: now(),
        expires: far(),
    };
    let id = public(4).key_id();
    let inputs = [
        ("release", statement.signing_input(id.as_str()).unwrap()),
        ("grant", grant.signing_input(id.as_str()).unwrap()),
    ];
    for (name, input) in inputs {
        let der = secret(4).sign(input.as_bytes()).unwrap();
        let token = jws::assemble(&input, &der).unwrap();
        fs::write(folder.path().join(format!("{name}.jws")), token).unwrap();
    }
    fs::write(folder.path().join("key.pem"), public(4).pem()).unwrap();
    let found = python("jws", folder.path());
    let header = |typ: &str| json!({"alg": "ES384", "kid": id, "typ": typ});
    let expected = json!({
        "release": {"header": header(RELEASE_TYP), "claims": statement},
        "grant": {"header": header(ROLLBACK_TYP), "claims": grant},
    });
    assert_eq!(found, expected);
}

/// Writes a token with its key, and returns what it claims.
fn write_token(folder: &Path) -> Value {
    let claims = json!({"n": 1, "text": "ä"});
    let input = jws::signing_input(public(4).key_id().as_str(), "test+jws", &claims).unwrap();
    let token = jws::assemble(&input, &secret(4).sign(input.as_bytes()).unwrap()).unwrap();
    fs::write(folder.join("token.jws"), token).unwrap();
    fs::write(folder.join("key.pem"), public(4).pem()).unwrap();
    claims
}

#[test]
fn the_reference_client_reads_what_we_write() {
    let folder = tempfile::tempdir().unwrap();
    write_repository(folder.path());
    let claims = write_token(folder.path());

    let report = python("read", folder.path());

    assert_eq!(report["root_version"], 2);
    for name in NAMES.into_iter().chain(DELEGATED) {
        let digest = Digest::of(name.as_bytes()).to_string();
        assert_eq!(report["targets"][name], digest, "{name}");
    }
    assert_eq!(report["claims"], claims);
    assert_eq!(report["typ"], "test+jws");
    for (name, digest) in report["canonical"].as_object().unwrap() {
        let text = fs::read(folder.path().join("metadata").join(name)).unwrap();
        let file: Value = serde_json::from_slice(&text).unwrap();
        let ours = kintsugi_trust::json::canonical(&file["signed"]).unwrap();
        assert_eq!(digest, &Digest::of(&ours).to_string(), "{name}");
    }
}

/// Writes a repository whose targets all lie in 32 hash bins.
fn write_bins(folder: &Path) -> Vec<String> {
    let metadata = folder.join("metadata");
    fs::create_dir_all(&metadata).unwrap();
    publish(&metadata, &root(1, [1, 2, 3]), &[1, 2]);
    let first = folder.join("trusted_root.json");
    fs::copy(metadata.join("1.root.json"), first).unwrap();
    let keys = RoleKeys::new(Role::Targets, &[public(10)], 1).unwrap();
    let bins = Delegations::hash_bins("bin", 5, &keys).unwrap();
    let names: Vec<String> = (0..40).map(|number| format!("dir/{number}")).collect();
    let all = names.iter().map(|name| serve(folder, name)).collect();
    let mut snapshot = Snapshot::new(1, far(), MetaFile::of(1, b""));
    for (name, share) in bins.share_out(all).unwrap() {
        let targets = Targets {
            version: 1,
            expires: far(),
            targets: share,
            delegations: None,
        };
        let der = secret(10).sign(&canonical(&targets).unwrap()).unwrap();
        let text = assemble(&targets, &[(public(10).key_id(), der)]).unwrap();
        fs::write(metadata.join(format!("1.{name}.json")), &text).unwrap();
        let file = MetaFile::of(1, text.as_bytes());
        snapshot.meta.insert(format!("{name}.json"), file);
    }
    let top = Targets {
        version: 1,
        expires: far(),
        targets: [].into(),
        delegations: Some(bins),
    };
    let listed = publish(&metadata, &top, &[4]);
    snapshot.meta.insert("targets.json".to_owned(), listed);
    let listed = publish(&metadata, &snapshot, &[5]);
    publish(&metadata, &Timestamp::new(1, far(), listed), &[6]);
    let listed = serde_json::to_string(&names).unwrap();
    fs::write(folder.join("delegated.json"), listed).unwrap();
    names
}

#[test]
fn the_reference_client_finds_targets_in_the_hash_bins_that_we_write() {
    let folder = tempfile::tempdir().unwrap();
    let names = write_bins(folder.path());
    write_token(folder.path());
    let report = python("read", folder.path());
    let found = report["targets"].as_object().unwrap();
    assert_eq!(found.len(), names.len());
    for name in names {
        let digest = Digest::of(name.as_bytes()).to_string();
        assert_eq!(found[&name], digest, "{name}");
    }
}

#[test]
fn we_read_what_the_reference_implementation_writes() {
    let folder = tempfile::tempdir().unwrap();
    let report = python("write", folder.path());
    let metadata = folder.path().join("metadata");
    let fetch = |name: &str| fs::read(metadata.join(name));

    let mut client = Trusted::new(&fetch("1.root.json").unwrap()).unwrap();
    while let Ok(next) = fetch(&client.next_root().name) {
        client.update_root(&next).unwrap();
    }
    assert_eq!(client.root().version, 2);
    let timestamp = fetch("timestamp.json").unwrap();
    client.update_timestamp(&timestamp, now()).unwrap();
    let snapshot = fetch(&client.next_snapshot().unwrap().name).unwrap();
    client.update_snapshot(&snapshot, now()).unwrap();
    let targets = fetch(&client.next_targets().unwrap().name).unwrap();
    client.update_targets(&targets, now()).unwrap();

    let written = report["targets"].as_object().unwrap();
    assert_eq!(client.targets().unwrap().targets.len(), written.len());
    for (name, digest) in written {
        let info = client.target(&name.parse().unwrap()).unwrap();
        assert_eq!(digest, &info.hashes.sha256.unwrap().to_string());
        assert_eq!(info.custom, Some(json!({"note": name})));
    }

    let find = |path: &str| {
        let mut search = client.search(&path.parse().unwrap()).unwrap();
        loop {
            match search.step(&client).unwrap() {
                SearchStep::Found(info) => return Some(info),
                SearchStep::NotFound => return None,
                SearchStep::Fetch { wanted, .. } => {
                    let text = fetch(&wanted.name).unwrap();
                    search.take(&client, &text, now()).unwrap();
                }
            }
        }
    };
    assert!(find("shelf/one").unwrap().hashes.fit(b"one"));
    assert_eq!(find("shelf/two"), None);
    for (name, path) in report["bins"].as_object().unwrap() {
        let info = find(path.as_str().unwrap()).unwrap();
        assert!(info.hashes.fit(name.as_bytes()));
    }

    let id = report["targets_key_id"].as_str().unwrap();
    let key = client.key(Role::Targets, id).unwrap();
    assert_eq!(key.key_id().as_str(), id);
    assert_eq!(key.pem(), report["targets_key_pem"].as_str().unwrap());

    let token = fs::read_to_string(folder.path().join("token.jws")).unwrap();
    let pem = fs::read_to_string(folder.path().join("key.pem")).unwrap();
    let theirs = |id: &str| (id == "theirs").then(|| PublicKey::from_pem(&pem).unwrap());
    let claims: Value = jws::verify(&token, "test+jws", theirs).unwrap();
    assert_eq!(claims, json!({"n": 1, "text": "ä"}));
}
