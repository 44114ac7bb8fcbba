//! Signatures: TUF metadata and compact JWS by keys that never leave the signer.

use kintsugi_domain::id::ProjectId;
use kintsugi_domain::ports::{KeyName, KeyUse, PortError, Ports};
use kintsugi_trust::attestation;
use kintsugi_trust::key::{KeyId, PublicKey};
use kintsugi_trust::tuf::{Metadata, Role, RoleKeys, Roles, assemble, canonical};
use std::fmt;

/// Keys of the root role.
const ROOT_KEYS: u8 = 3;
/// How many of them must sign.
const ROOT_THRESHOLD: usize = 2;

/// The keys that sign a role's metadata.
fn uses(role: Role) -> Vec<KeyUse> {
    match role {
        Role::Root => (0..ROOT_KEYS).map(KeyUse::Root).collect(),
        Role::Targets => vec![KeyUse::Targets],
        Role::Snapshot => vec![KeyUse::Snapshot],
        Role::Timestamp => vec![KeyUse::Timestamp],
    }
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

async fn role_keys(ports: &Ports, project: ProjectId, role: Role) -> Result<RoleKeys, PortError> {
    let mut keys = Vec::new();
    for key_use in uses(role) {
        keys.push(public(ports, project, key_use).await?);
    }
    let threshold = if role == Role::Root {
        ROOT_THRESHOLD
    } else {
        1
    };
    RoleKeys::new(role, &keys, threshold)
        .map_err(|error| PortError::broken(format!("keys of role {role}"), error))
}

/// Who speaks for each role of a project's repository.
pub(super) async fn roles(ports: &Ports, project: ProjectId) -> Result<Roles, PortError> {
    Ok(Roles {
        root: role_keys(ports, project, Role::Root).await?,
        targets: role_keys(ports, project, Role::Targets).await?,
        snapshot: role_keys(ports, project, Role::Snapshot).await?,
        timestamp: role_keys(ports, project, Role::Timestamp).await?,
    })
}

/// The file to serve: metadata with the signatures of its role's keys.
pub(super) async fn signed<T: Metadata + Sync>(
    ports: &Ports,
    project: ProjectId,
    metadata: &T,
) -> Result<String, PortError> {
    let what = || format!("{} metadata of project {project}", T::ROLE);
    let text = canonical(metadata).map_err(|error| PortError::broken(what(), error))?;
    let mut signatures = Vec::new();
    for key_use in uses(T::ROLE) {
        let key = public(ports, project, key_use).await?;
        let der = ports
            .signer
            .sign(&KeyName { project, key_use }, &text)
            .await?;
        signatures.push((key.key_id(), der));
    }
    assemble(metadata, &signatures).map_err(|error| PortError::broken(what(), error))
}

/// A DSSE envelope of an in-toto statement, by the targets key.
pub(super) async fn envelope(
    ports: &Ports,
    project: ProjectId,
    payload: &[u8],
) -> Result<String, PortError> {
    let key = public(ports, project, KeyUse::Targets).await?;
    let name = KeyName {
        project,
        key_use: KeyUse::Targets,
    };
    let message = attestation::pre_authentication_encoding(payload);
    let der = ports.signer.sign(&name, &message).await?;
    Ok(attestation::assemble(payload, &[(key.key_id(), der)]))
}

/// A compact JWS by the targets key. `input` makes what is signed from the key's id.
pub(super) async fn jws<E: fmt::Display>(
    ports: &Ports,
    project: ProjectId,
    what: &str,
    input: impl FnOnce(&str) -> Result<String, E> + Send,
) -> Result<String, PortError> {
    let key = public(ports, project, KeyUse::Targets).await?;
    let input = input(key.key_id().as_str()).map_err(|error| PortError::broken(what, error))?;
    let name = KeyName {
        project,
        key_use: KeyUse::Targets,
    };
    let der = ports.signer.sign(&name, input.as_bytes()).await?;
    kintsugi_trust::jws::assemble(&input, &der).map_err(|error| PortError::broken(what, error))
}
