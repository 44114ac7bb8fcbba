//! Signatures: TUF metadata and compact JWS by keys that never leave the signer.

use crate::records;
use kintsugi_domain::channel::Head;
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::ports::{KeyName, KeyUse, PortError, Ports};
use kintsugi_domain::signing::{OnlineRole, Signing};
use kintsugi_trust::attestation;
use kintsugi_trust::key::{KeyId, PublicKey};
use kintsugi_trust::tuf::{Metadata, Role, RoleKeys, Roles, assemble, canonical};
use std::fmt;

/// Keys of the root role.
const ROOT_KEYS: u8 = 3;
/// How many of them must sign.
const ROOT_THRESHOLD: usize = 2;

/// The key of an online role, by its generation.
pub(super) fn key_use(role: OnlineRole, generation: u32) -> KeyUse {
    match role {
        OnlineRole::Targets => KeyUse::Targets(generation),
        OnlineRole::Snapshot => KeyUse::Snapshot(generation),
        OnlineRole::Timestamp => KeyUse::Timestamp(generation),
    }
}

/// The online role of that name; none for the root.
pub(super) fn online(role: Role) -> Option<OnlineRole> {
    match role {
        Role::Root => None,
        Role::Targets => Some(OnlineRole::Targets),
        Role::Snapshot => Some(OnlineRole::Snapshot),
        Role::Timestamp => Some(OnlineRole::Timestamp),
    }
}

/// The keys that sign a role's metadata: the one in force, and the one that is on its way.
fn uses(role: Role, signing: &Signing) -> Vec<KeyUse> {
    match online(role) {
        None => (0..ROOT_KEYS).map(KeyUse::Root).collect(),
        Some(role) => {
            let generations = signing.of(role).signing();
            generations.map(|it| key_use(role, it)).collect()
        }
    }
}

/// How a project's repository is signed now.
pub(super) async fn signing(ports: &Ports, project: ProjectId) -> Result<Signing, PortError> {
    let head = records::get::<Head>(ports.store.as_ref(), project, "head").await?;
    Ok(head.map(|head| head.value.signing).unwrap_or_default())
}

async fn public(
    ports: &Ports,
    project: ProjectId,
    key_use: KeyUse,
) -> Result<PublicKey, PortError> {
    let name = KeyName { project, key_use };
    let pem = ports.signer.public_key(&name).await?;
    PublicKey::from_pem(&pem).map_err(|error| PortError::broken(format!("key {name}"), error))
}

/// The id of the key that signs for the home now.
pub(super) async fn online_key(
    ports: &Ports,
    project: ProjectId,
    key_use: KeyUse,
) -> Result<KeyId, PortError> {
    Ok(public(ports, project, key_use).await?.key_id())
}

async fn role_keys(
    ports: &Ports,
    project: ProjectId,
    role: Role,
    uses: &[KeyUse],
) -> Result<RoleKeys, PortError> {
    let mut keys = Vec::new();
    for key_use in uses {
        keys.push(public(ports, project, *key_use).await?);
    }
    let threshold = if role == Role::Root {
        ROOT_THRESHOLD
    } else {
        1
    };
    RoleKeys::new(role, &keys, threshold)
        .map_err(|error| PortError::broken(format!("keys of role {role}"), error))
}

/// The home's own root keys.
pub(super) async fn root_keys(ports: &Ports, project: ProjectId) -> Result<RoleKeys, PortError> {
    let uses: Vec<KeyUse> = (0..ROOT_KEYS).map(KeyUse::Root).collect();
    role_keys(ports, project, Role::Root, &uses).await
}

/// Who speaks for each role of a project's repository, with these generations of the online keys.
pub(super) async fn roles(
    ports: &Ports,
    project: ProjectId,
    generation: impl Fn(OnlineRole) -> u32,
) -> Result<Roles, PortError> {
    let key = |role| key_use(role, generation(role));
    let [targets, snapshot, timestamp] = OnlineRole::ALL.map(key);
    Ok(Roles {
        root: root_keys(ports, project).await?,
        targets: role_keys(ports, project, Role::Targets, &[targets]).await?,
        snapshot: role_keys(ports, project, Role::Snapshot, &[snapshot]).await?,
        timestamp: role_keys(ports, project, Role::Timestamp, &[timestamp]).await?,
    })
}

/// The file to serve: metadata with the signatures of its role's keys.
pub(super) async fn signed<T: Metadata + Sync>(
    ports: &Ports,
    project: ProjectId,
    metadata: &T,
    signing: &Signing,
) -> Result<String, PortError> {
    let what = || format!("{} metadata of project {project}", T::ROLE);
    let text = canonical(metadata).map_err(|error| PortError::broken(what(), error))?;
    let mut signatures = Vec::new();
    for key_use in uses(T::ROLE, signing) {
        let key = public(ports, project, key_use).await?;
        let der = ports
            .signer
            .sign(&KeyName { project, key_use }, &text)
            .await?;
        signatures.push((key.key_id(), der));
    }
    assemble(metadata, &signatures).map_err(|error| PortError::broken(what(), error))
}

/// A DSSE envelope of an in-toto statement, by the targets key of a generation.
pub(super) async fn envelope(
    ports: &Ports,
    (project, generation): (ProjectId, u32),
    payload: &[u8],
) -> Result<String, PortError> {
    let key_use = KeyUse::Targets(generation);
    let key = public(ports, project, key_use).await?;
    let message = attestation::pre_authentication_encoding(payload);
    let name = KeyName { project, key_use };
    let der = ports.signer.sign(&name, &message).await?;
    Ok(attestation::assemble(payload, &[(key.key_id(), der)]))
}

/// The keys of targets up to a generation.
pub(super) async fn targets_keys(
    ports: &Ports,
    project: ProjectId,
    generation: u32,
) -> Result<Vec<PublicKey>, PortError> {
    let mut keys = Vec::new();
    for generation in 1..=generation {
        keys.push(public(ports, project, KeyUse::Targets(generation)).await?);
    }
    Ok(keys)
}

/// A compact JWS by the targets key of a generation. `input` makes what is signed from the key's id.
pub(super) async fn jws<E: fmt::Display>(
    ports: &Ports,
    (project, generation): (ProjectId, u32),
    what: &str,
    input: impl FnOnce(&str) -> Result<String, E> + Send,
) -> Result<String, PortError> {
    let key_use = KeyUse::Targets(generation);
    let key = public(ports, project, key_use).await?;
    let input = input(key.key_id().as_str()).map_err(|error| PortError::broken(what, error))?;
    let der = ports
        .signer
        .sign(&KeyName { project, key_use }, input.as_bytes())
        .await?;
    kintsugi_trust::jws::assemble(&input, &der).map_err(|error| PortError::broken(what, error))
}
