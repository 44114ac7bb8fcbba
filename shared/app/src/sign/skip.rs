//! Numbers that clients may have seen from a repository that is gone, after a restore: everything is signed anew above them.

use super::Sign;
use super::publish::metadata_key;
use kintsugi_domain::channel::Head;
use kintsugi_domain::ports::PortError;
use kintsugi_trust::tuf::Role;

/// How far above the highest known number the repository goes on: a timestamp leaves no file, so more may have been signed
/// than is stored.
const MARGIN: u64 = 1_000;
/// After so many numbers without a file no more are expected. Between two snapshots lie a few timestamps.
const GAP_MAX: u64 = 64;

impl Sign {
    /// Moves the numbers of a head above every one that clients can have seen, as far as people said and files show. Answers
    /// whether that was ordered.
    pub(super) async fn skip(&self, head: &mut Head) -> Result<bool, PortError> {
        let Some(skip) = head.signing.skip else {
            return Ok(false);
        };
        let stored = self.highest_stored(head).await?;
        let highest = head.claimed.max(skip.above).max(stored);
        head.claimed = highest.saturating_add(MARGIN);
        Ok(true)
    }

    /// The highest number from the head's own on under which a snapshot is stored.
    async fn highest_stored(&self, head: &Head) -> Result<u64, PortError> {
        let mut highest = head.claimed;
        let mut next = highest.saturating_add(1);
        while next <= highest.saturating_add(GAP_MAX) {
            let key = metadata_key(head.project, Role::Snapshot, next);
            if self.ports.blobs.length(&key).await?.is_some() {
                highest = next;
            }
            next = next.saturating_add(1);
        }
        Ok(highest)
    }
}
