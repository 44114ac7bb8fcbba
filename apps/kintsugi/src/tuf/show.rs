//! What people and programs get to read of a root.

use crate::print;
use kintsugi_trust::tuf::{Count, Role, Root, RootDraft};
use serde_json::{Map, Value, json};
use std::path::Path;

/// Prints what a root says and who signed it; answers whether devices would take it.
pub(super) fn show(path: &Path, draft: &RootDraft, before: Option<&Root>, json: bool) -> bool {
    let root = draft.root();
    let own = draft.count(root);
    let former = before.map(|before| draft.count(before));
    let complete = own.is_reached() && former.is_none_or(Count::is_reached);
    if json {
        let count = |it: Count| json!({"signed": it.signed, "threshold": it.threshold});
        let roles: Map<String, Value> = Role::ALL
            .into_iter()
            .map(|role| {
                let keys = root.roles.of(role);
                let ids: Vec<_> = keys.keys().keys().collect();
                let of_role = json!({"keys": ids, "threshold": keys.threshold()});
                (role.name().to_owned(), of_role)
            })
            .collect();
        print::object(&json!({
            "file": path, "version": root.version, "expires": root.expires, "roles": roles,
            "signers": draft.signers().collect::<Vec<_>>(), "own": count(own),
            "before": former.map(count), "complete": complete, "sha384": draft.digest(),
        }));
        return complete;
    }
    print::out(&format_args!(
        "{}: version {}, ends {}",
        path.display(),
        root.version,
        root.expires
    ));
    for role in Role::ALL {
        let keys = root.roles.of(role);
        let known = before.map(|before| before.roles.of(role).keys());
        print::out(&format_args!("  {role}: {} of", keys.threshold()));
        for id in keys.keys().keys() {
            let is_new = known.is_some_and(|known| !known.contains_key(id));
            print::out(&format_args!(
                "    {id}{}",
                if is_new { "  new" } else { "" }
            ));
        }
        for id in known.into_iter().flat_map(|known| known.keys()) {
            if !keys.keys().contains_key(id) {
                print::out(&format_args!("    {id}  gone"));
            }
        }
    }
    print::out(&format_args!("  to sign, SHA-384: {}", draft.digest()));
    print::out(&format_args!(
        "signed by {} of its own keys, {} needed",
        own.signed, own.threshold
    ));
    if let Some(former) = former {
        let (signed, threshold) = (former.signed, former.threshold);
        print::out(&format_args!(
            "signed by {signed} of the keys before, {threshold} needed"
        ));
    }
    print::out(if complete {
        "complete: devices take it"
    } else {
        "not complete"
    });
    complete
}
