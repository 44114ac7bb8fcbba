//! What keys that were changed ask of a home: what must be signed anew.

use super::Sign;
use super::metadata::{key_use, online_key};
use super::publish::metadata_key;
use kintsugi_domain::channel::Head;
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::limits::METADATA_BYTES_MAX;
use kintsugi_domain::ports::PortError;
use kintsugi_domain::release::Statement;
use kintsugi_domain::signing::OnlineRole;
use kintsugi_trust::key::KeyId;
use kintsugi_trust::tuf::Role;
use serde_json::Value;

impl Sign {
    /// The roles whose served metadata is not signed by every key that signs for them now: the one that the root names,
    /// without which devices take nothing, and the one that it will name, without which the next root may not come.
    pub(super) async fn signed_by_all(
        &self,
        head: &Head,
        id: ProjectId,
    ) -> Result<Vec<Role>, PortError> {
        let mut found = Vec::new();
        if head.timestamp == 0 {
            return Ok(found);
        }
        let timestamp = head.timestamp_body.as_bytes().to_vec();
        if !self.is_own(head, &timestamp, OnlineRole::Timestamp).await? {
            found.push(Role::Timestamp);
        }
        let others = [
            (Role::Targets, head.targets, OnlineRole::Targets),
            (Role::Snapshot, head.snapshot, OnlineRole::Snapshot),
        ];
        for (role, version, of_home) in others {
            let key = metadata_key(id, role, version);
            let file = self.ports.blobs.get(&key, METADATA_BYTES_MAX).await?;
            if let Some(file) = file
                && !self.is_own(head, &file, of_home).await?
            {
                found.push(role);
            }
        }
        Ok(found)
    }

    async fn is_own(&self, head: &Head, file: &[u8], role: OnlineRole) -> Result<bool, PortError> {
        let file: Value = serde_json::from_slice(file)
            .map_err(|error| PortError::broken(format!("{role} metadata"), error))?;
        let signatures = file.get("signatures").and_then(Value::as_array);
        let ids: Vec<&str> = signatures
            .into_iter()
            .flatten()
            .filter_map(|it| it.get("keyid")?.as_str())
            .collect();
        for generation in head.signing.of(role).signing() {
            let own = online_key(&self.ports, head.project, key_use(role, generation)).await?;
            if !ids.contains(&own.as_str()) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Whether a statement or grant names another key than this.
pub(super) fn is_by_another(statement: &Statement, own: &KeyId) -> bool {
    kintsugi_trust::jws::key_id(&statement.jws).is_ok_and(|id| id != own.as_str())
}
