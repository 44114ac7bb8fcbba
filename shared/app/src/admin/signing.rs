//! Orders about the signed repository: a new key, a root from elsewhere, numbers that go on higher.
//!
//! An order is written into the head and its stage is woken; that stage makes keys, checks roots and signs. **What is brought here is only
//! looked at as far as it tells a mistake at once; the sign stage checks it as devices do.**

use super::{
    Answer, Call, Change, Decided, Decision, Refusal, RefusalKind, Stop, projects, reason,
};
use crate::records;
use kintsugi_domain::Timestamp;
use kintsugi_domain::channel::Head;
use kintsugi_domain::envelope::Message;
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::ports::Commit;
use kintsugi_domain::record::Stored;
use kintsugi_domain::signing::{Generations, OnlineRole, Skip};
use kintsugi_trust::tuf::{ROOT_UPDATES_MAX, Role, RootDraft};
use serde::Serialize;

/// Longest root that can be brought, bytes: a few kilobytes for each key.
const ROOT_BYTES_MAX: usize = 64 * 1024;
/// Highest number that can be skipped to: programs of other languages read no larger ones exactly.
const VERSION_MAX: u64 = 1 << 52;

/// How a role's key stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyState {
    /// The role.
    pub role: OnlineRole,
    /// The generation that the root names.
    pub in_force: u32,
    /// The generation that was ordered; the same where nothing is on its way.
    pub ordered: u32,
}

/// How a project's repository is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SigningView {
    /// The version of the root.
    pub root: u64,
    /// When it ends.
    pub root_expires: Timestamp,
    /// The version of the timestamp; 0 before the first publication.
    pub timestamp: u64,
    /// When the timestamp ends, if there is one.
    pub timestamp_expires: Option<Timestamp>,
    /// The highest number that was taken.
    pub claimed: u64,
    /// The keys of the online roles.
    pub keys: Vec<KeyState>,
    /// The next root, unsigned, where those who hold the root keys must sign it.
    pub wanted_root: Option<String>,
    /// Whether a root that was brought waits to be published.
    pub brought: bool,
    /// Why the last root that was brought was not taken.
    pub refused_root: Option<String>,
    /// Whether an order to go on under higher numbers waits.
    pub skips: bool,
}

impl SigningView {
    pub(super) fn of(head: &Head) -> Self {
        let signing = &head.signing;
        let state = |role| {
            let Generations { in_force, ordered } = signing.of(role);
            KeyState {
                role,
                in_force,
                ordered,
            }
        };
        Self {
            root: head.root,
            root_expires: head.root_expires,
            timestamp: head.timestamp,
            timestamp_expires: (head.timestamp > 0).then_some(head.expires),
            claimed: head.claimed,
            keys: OnlineRole::ALL.map(state).to_vec(),
            wanted_root: signing.wanted_root.clone(),
            brought: signing.brought_root.is_some(),
            refused_root: signing.refused_root.clone(),
            skips: signing.skip.is_some(),
        }
    }
}

fn conflict(code: &'static str, why: impl Into<String>) -> Stop {
    Refusal::new(RefusalKind::Conflict, code, why).into()
}

fn invalid(code: &'static str, why: impl Into<String>) -> Stop {
    Refusal::new(RefusalKind::Invalid, code, why).into()
}

async fn head(call: &Call<'_>, project: ProjectId) -> Result<Stored<Head>, Stop> {
    projects::need(call, project).await?;
    let found = records::get::<Head>(call.ports.store.as_ref(), project, "head").await?;
    found.ok_or_else(|| {
        let why = "the project's repository was never published: there is nothing to change yet";
        conflict("repository.none", why)
    })
}

/// The head with an order in it, and its stage woken.
fn ordered(call: &Call<'_>, head: &Stored<Head>, on: String, why: String) -> Decided {
    let project = head.value.project;
    // The stage publishes every channel, whichever is named.
    let channel = head.value.documents.keys().next().cloned();
    let publish = Message::Publish {
        channel: channel.unwrap_or_default(),
    };
    Decided::Change(Box::new(Change {
        project,
        on: on.clone(),
        why,
        commit: Commit::new()
            .update(head)
            .send(call.envelope(project, publish)),
        answer: Answer::Ordered { on },
    }))
}

pub(super) async fn rotate(
    call: &Call<'_>,
    project: ProjectId,
    role: OnlineRole,
    why: &str,
) -> Decision {
    let why = reason(why, true)?;
    let mut head = head(call, project).await?;
    let generation = head.value.signing.rotate(role);
    let generation = generation.map_err(|error| conflict(error.code(), error.to_string()))?;
    let on = format!("{role} key {generation}");
    Ok(ordered(call, &head, on, why))
}

pub(super) async fn bring(call: &Call<'_>, project: ProjectId, root: &str, why: &str) -> Decision {
    let why = reason(why, false)?;
    let mut head = head(call, project).await?;
    if root.len() > ROOT_BYTES_MAX {
        let why = format!("a root has at most {ROOT_BYTES_MAX} bytes");
        return Err(invalid("root.too_long", why));
    }
    let version = version(root)?;
    let next = head.value.root + 1;
    if version != next {
        let why = format!("it has version {version}, and the next one is {next}");
        return Err(conflict("root.version", why));
    }
    let on = format!("root {version}");
    if head.value.signing.brought_root.as_deref() == Some(root) {
        return Ok(Decided::AsItWas(Answer::Ordered { on }));
    }
    head.value.signing.brought_root = Some(root.to_owned());
    head.value.signing.refused_root = None;
    Ok(ordered(call, &head, on, why))
}

/// The version of a root file that this program understands whole. Signatures of keys that the root before it names cannot be
/// judged here: they are left out of what is read.
fn version(text: &str) -> Result<u64, Stop> {
    let not_json = |error: serde_json::Error| invalid("root.malformed", error.to_string());
    let mut file: serde_json::Value = serde_json::from_str(text).map_err(not_json)?;
    if let Some(signatures) = file.get_mut("signatures") {
        *signatures = serde_json::json!([]);
    }
    let unsigned = serde_json::to_vec(&file).map_err(not_json)?;
    let draft = RootDraft::read(&unsigned, None);
    let draft = draft.map_err(|error| invalid("root.malformed", error.to_string()))?;
    let online = [Role::Targets, Role::Snapshot, Role::Timestamp];
    let roles = &draft.root().roles;
    if let Some(role) = online
        .into_iter()
        .find(|role| roles.of(*role).threshold() != 1)
    {
        let why = format!("role {role} asks for more than one signature, and the home makes one");
        return Err(invalid("root.threshold", why));
    }
    Ok(draft.root().version)
}

pub(super) async fn skip(
    call: &Call<'_>,
    project: ProjectId,
    (above, root): (u64, u64),
    why: &str,
) -> Decision {
    let why = reason(why, true)?;
    let mut head = head(call, project).await?;
    if above > VERSION_MAX {
        let why = format!("no version is above {VERSION_MAX}");
        return Err(invalid("version.too_high", why));
    }
    if root
        > head
            .value
            .root
            .saturating_add(u64::from(ROOT_UPDATES_MAX) / 2)
    {
        let why = "devices take a few hundred roots at once: that one is too far ahead";
        return Err(invalid("root.too_high", why));
    }
    // An order that waits is not lost by a lower one.
    let before = head.value.signing.skip.unwrap_or_default();
    head.value.signing.skip = Some(Skip {
        above: above.max(before.above),
        root: root.max(before.root),
    });
    let on = format!("versions above {}", above.max(head.value.claimed));
    Ok(ordered(call, &head, on, why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_repository_that_was_never_published_has_no_timestamp_that_ends() {
        let mut head: Head = serde_json::from_value(json!({
            "project": 1, "claimed": 0, "root": 1, "targets": 0, "snapshot": 0, "timestamp": 0,
            "timestamp_body": "", "root_expires": "2027-11-22T00:00:00Z", "targets_expires": "1970-01-01T00:00:00Z",
            "snapshot_expires": "1970-01-01T00:00:00Z", "expires": "1970-01-01T00:00:00Z", "documents": {},
        }))
        .unwrap();
        let view = serde_json::to_value(SigningView::of(&head)).unwrap();
        assert!(view["timestamp_expires"].is_null(), "{view}");
        (head.timestamp, head.expires) = (1, head.root_expires);
        assert_eq!(
            SigningView::of(&head).timestamp_expires,
            Some(head.root_expires)
        );
    }
}
