//! What keys that were changed ask of a home: who may sign a root, and what must be signed anew.

use super::Sign;
use super::metadata::{online_key, roles};
use super::publish::metadata_key;
use kintsugi_domain::channel::Head;
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::limits::METADATA_BYTES_MAX;
use kintsugi_domain::ports::{KeyUse, PortError};
use kintsugi_domain::release::Statement;
use kintsugi_trust::key::KeyId;
use kintsugi_trust::tuf::{ROOT_BYTES_MAX, Role, Trusted};
use serde_json::Value;

impl Sign {
    /// Whether the next root is to be taken or made: one that was brought is there, or the current one is
    /// old and this home can sign one that devices take. Where the root keys were taken offline it cannot,
    /// and leaves the root to those who hold them.
    pub(super) async fn wants_root(
        &self,
        head: &Head,
        id: ProjectId,
        is_old: bool,
    ) -> Result<bool, PortError> {
        let next = metadata_key(id, Role::Root, head.root + 1);
        let blobs = &self.ports.blobs;
        if blobs.get(&next, ROOT_BYTES_MAX).await?.is_some() {
            return Ok(true);
        }
        if !is_old {
            return Ok(false);
        }
        let key = metadata_key(id, Role::Root, head.root);
        let Some(text) = blobs.get(&key, ROOT_BYTES_MAX).await? else {
            return Ok(true);
        };
        let broken = |error| PortError::broken(format!("metadata {key}"), error);
        let current = Trusted::new(&text).map_err(broken)?;
        let named = &current.root().roles.root;
        let own = roles(&self.ports, id).await?.root;
        let shared = own
            .keys()
            .keys()
            .filter(|id| named.keys().contains_key(*id));
        Ok(shared.count() >= named.threshold())
    }

    /// The roles whose served metadata is signed by another key than the home has now: a root with the new
    /// one is on its way, or there already, and devices that follow it take nothing else.
    pub(super) async fn signed_by_others(
        &self,
        head: &Head,
        id: ProjectId,
    ) -> Result<Vec<Role>, PortError> {
        let mut found = Vec::new();
        if head.timestamp == 0 {
            return Ok(found);
        }
        let timestamp = head.timestamp_body.as_bytes().to_vec();
        if !self.is_own(&timestamp, id, KeyUse::Timestamp).await? {
            found.push(Role::Timestamp);
        }
        let others = [
            (Role::Targets, head.targets, KeyUse::Targets),
            (Role::Snapshot, head.snapshot, KeyUse::Snapshot),
        ];
        for (role, version, key_use) in others {
            let key = metadata_key(id, role, version);
            let file = self.ports.blobs.get(&key, METADATA_BYTES_MAX).await?;
            if let Some(file) = file
                && !self.is_own(&file, id, key_use).await?
            {
                found.push(role);
            }
        }
        Ok(found)
    }

    async fn is_own(&self, file: &[u8], id: ProjectId, key_use: KeyUse) -> Result<bool, PortError> {
        let own = online_key(&self.ports, id, key_use).await?;
        let file: Value = serde_json::from_slice(file)
            .map_err(|error| PortError::broken(format!("{key_use:?} metadata"), error))?;
        let signatures = file.get("signatures").and_then(Value::as_array);
        let mut ids = signatures.into_iter().flatten().map(|it| it.get("keyid"));
        Ok(ids.any(|it| it.and_then(Value::as_str) == Some(own.as_str())))
    }
}

/// Whether a statement or grant names another key than this.
pub(super) fn is_by_another(statement: &Statement, own: &KeyId) -> bool {
    kintsugi_trust::jws::key_id(&statement.jws).is_ok_and(|id| id != own.as_str())
}
