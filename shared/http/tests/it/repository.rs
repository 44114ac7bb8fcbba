//! The signed repository over HTTP: a TUF client walks it, and downloads go on where they stopped.

use crate::home::{Home, PROJECT, document, home};
use kintsugi_domain::Timestamp as Time;
use kintsugi_domain::channel::ChannelDocument;
use kintsugi_domain::digest::Digest;
use kintsugi_domain::ports::{Blobs as _, Clock as _, KeyName, KeyUse, Signer as _};
use kintsugi_trust::key::PublicKey;
use kintsugi_trust::tuf::{
    MetaFile, Metadata, Role, RoleKeys, Roles, Root, Snapshot, TargetInfo, TargetPath, Targets,
    Timestamp, Trusted, assemble, canonical,
};
use std::time::Duration;

const TARGET: &str = "channels/stable.json";

fn name(key_use: KeyUse) -> KeyName {
    KeyName {
        project: PROJECT,
        key_use,
    }
}

async fn public(home: &Home, key_use: KeyUse) -> PublicKey {
    let pem = home.signer.public_key(&name(key_use)).await.unwrap();
    PublicKey::from_pem(&pem).unwrap()
}

async fn sign<T: Metadata>(home: &Home, metadata: &T, key_use: KeyUse) -> String {
    let bytes = canonical(metadata).unwrap();
    let signature = home.signer.sign(&name(key_use), &bytes).await.unwrap();
    let id = public(home, key_use).await.key_id();
    assemble(metadata, &[(id, signature)]).unwrap()
}

async fn put(home: &Home, path: &str, content: &str) {
    let key = format!("tuf/1/{path}");
    home.blobs.put(&key, content.into()).await.unwrap();
}

/// Signs and stores a repository with one target, and answers with its root.
async fn publish(home: &Home, document: &ChannelDocument) -> String {
    let expires = home
        .clock
        .now()
        .saturating_add(Duration::from_hours(24))
        .unwrap();
    let content = serde_json::to_vec(document).unwrap();
    let info = TargetInfo::new(content.len() as u64, Digest::of(&content));
    let targets = Targets {
        version: 1,
        expires,
        targets: [(TARGET.parse().unwrap(), info)].into(),
        delegations: None,
    };
    let targets = sign(home, &targets, KeyUse::Targets(1)).await;
    let snapshot = Snapshot::new(1, expires, MetaFile::of(1, targets.as_bytes()));
    let snapshot = sign(home, &snapshot, KeyUse::Snapshot(1)).await;
    let timestamp = Timestamp::new(1, expires, MetaFile::of(1, snapshot.as_bytes()));
    let timestamp = sign(home, &timestamp, KeyUse::Timestamp(1)).await;
    let root = sign(home, &root(home, expires).await, KeyUse::Root(1)).await;
    put(home, "metadata/1.targets.json", &targets).await;
    put(home, "metadata/1.snapshot.json", &snapshot).await;
    put(home, "metadata/1.root.json", &root).await;
    home.publish(document, &timestamp).await;
    root
}

async fn root(home: &Home, expires: Time) -> Root {
    let keys =
        async |role, key_use| RoleKeys::new(role, &[public(home, key_use).await], 1).unwrap();
    let roles = Roles {
        root: keys(Role::Root, KeyUse::Root(1)).await,
        targets: keys(Role::Targets, KeyUse::Targets(1)).await,
        snapshot: keys(Role::Snapshot, KeyUse::Snapshot(1)).await,
        timestamp: keys(Role::Timestamp, KeyUse::Timestamp(1)).await,
    };
    Root::new(1, expires, roles)
}

#[tokio::test]
async fn a_client_walks_from_its_root_to_the_channel_document() {
    let home = home().await;
    let document = document();
    let root = publish(&home, &document).await;
    let now = home.clock.now();
    let metadata = async |name: &str| home.get(&format!("/tuf/1/metadata/{name}")).await;
    let mut client = Trusted::new(root.as_bytes()).unwrap();
    assert_eq!(metadata("1.root.json").await.body, root.as_bytes());
    let next = metadata(&client.next_root().name).await;
    next.is_problem(404, "file.unknown");

    let timestamp = metadata("timestamp.json").await;
    assert_eq!(
        timestamp.header("cache-control"),
        Some("public, max-age=30")
    );
    client.update_timestamp(&timestamp.body, now).unwrap();
    let wanted = client.next_snapshot().unwrap().name;
    let snapshot = metadata(&wanted).await;
    let forever = Some("public, max-age=31536000, immutable");
    assert_eq!(snapshot.header("cache-control"), forever);
    client.update_snapshot(&snapshot.body, now).unwrap();
    let wanted = client.next_targets().unwrap().name;
    client
        .update_targets(&metadata(&wanted).await.body, now)
        .unwrap();

    let path: TargetPath = TARGET.parse().unwrap();
    let name = client.target_name(&path).unwrap();
    let target = home.get(&format!("/tuf/1/targets/{name}")).await;
    assert_eq!(target.header("cache-control"), forever);
    assert_eq!(
        Some(Digest::of(&target.body)),
        client.target(&path).unwrap().hashes.sha256
    );
    let found: ChannelDocument = serde_json::from_slice(&target.body).unwrap();
    assert_eq!(found, document);
}

#[tokio::test]
async fn names_that_are_not_the_repositorys_own_are_not_found() {
    let home = home().await;
    publish(&home, &document()).await;
    let digest = Digest::of(b"secret");
    // Real blobs beside the repository and in it, under names that must not be served.
    for key in [
        format!("events/1/{digest}.json"),
        format!("tuf/1/{digest}.json"),
        format!("tuf/2/targets/{digest}.json"),
        "tuf/1/targets/plain.json".to_owned(),
        "tuf/1/metadata/root.json".to_owned(),
    ] {
        home.blobs.put(&key, b"secret".to_vec()).await.unwrap();
    }
    for path in [
        "/tuf/1/metadata/root.json".to_owned(),
        "/tuf/1/metadata/01.root.json".to_owned(),
        "/tuf/1/metadata/..%2Fmetadata%2F1.root.json".to_owned(),
        "/tuf/1/metadata/1.root.json%00".to_owned(),
        "/tuf/1/metadata/%FF".to_owned(),
        "/tuf/1/targets/plain.json".to_owned(),
        format!("/tuf/1/targets/../{digest}.json"),
        format!("/tuf/1/targets/..%2F{digest}.json"),
        format!("/tuf/1/targets/..%2F..%2F..%2Fevents%2F1%2F{digest}.json"),
        format!("/tuf/1/targets/%2Ftuf/2/targets/{digest}.json"),
        format!("/tuf/1/targets/a//{digest}.json"),
        format!("/tuf/1/targets/..%5C{digest}.json"),
        format!("/tuf/1/targets/{digest}.js on"),
        format!("/tuf/1/targets/{}.json", digest.to_string().to_uppercase()),
        format!("/tuf/x/targets/{digest}.json"),
        format!("/tuf/0/targets/{digest}.json"),
    ] {
        let path = path.replace(' ', "%20");
        let answer = home.get(&path).await;
        answer.is_problem(404, "file.unknown");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
    }
    let other = home.get("/tuf/3/metadata/timestamp.json").await;
    other.is_problem(404, "file.unknown");
}

#[tokio::test]
async fn a_download_goes_on_where_it_stopped() {
    let home = home().await;
    let content = "0123456789";
    let path = format!("{}.till.tar.zst", Digest::of(content.as_bytes()));
    put(&home, &format!("targets/{path}"), content).await;
    let url = format!("/tuf/1/targets/{path}");
    let whole = home.get(&url).await;
    assert_eq!(whole.body, content.as_bytes());
    assert_eq!(whole.header("accept-ranges"), Some("bytes"));
    let tag = whole.header("etag").unwrap();

    let going_on = [("range", "bytes=4-"), ("if-range", tag)];
    let rest = home.get_with(&url, &going_on).await;
    assert_eq!(rest.status, 206);
    assert_eq!(rest.header("content-range"), Some("bytes 4-9/10"));
    assert_eq!(rest.header("etag"), Some(tag));
    assert_eq!(rest.body, b"456789");

    let changed = [("range", "bytes=4-"), ("if-range", "\"other\"")];
    assert_eq!(home.get_with(&url, &changed).await.status, 200);
    let beyond = home.get_with(&url, &[("range", "bytes=10-")]).await;
    assert_eq!(beyond.status, 416);
    assert_eq!(beyond.header("content-range"), Some("bytes */10"));
    let known = home.get_with(&url, &[("if-none-match", tag)]).await;
    assert_eq!(known.status, 304);
    assert!(known.body.is_empty());
}
