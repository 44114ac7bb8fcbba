//! Attacks by and on delegated roles, each test named for one.

use crate::repository::{Repository, later, now, past, public, sign};
use kintsugi_domain::digest::Digest;
use kintsugi_trust::tuf::{
    DELEGATIONS_MAX, DelegatedRole, Delegations, MetaFile, Metadata as _, Role, RoleKeys, Scope,
    SearchStep, Snapshot, TargetInfo, TargetPath, Targets, Trusted, TufError, quoted,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Delegated roles by name: their metadata and who signs it.
type Shelf = BTreeMap<String, (Targets, Vec<u8>)>;

fn role(name: &str, pattern: &str) -> DelegatedRole {
    DelegatedRole {
        name: name.to_owned(),
        keys: RoleKeys::new(Role::Targets, &[public(10)], 1).unwrap(),
        terminating: false,
        scope: Scope::Paths(vec![pattern.to_owned()]),
    }
}

fn targets(names: &[&str], to: Vec<DelegatedRole>) -> Targets {
    let info = |name: &str| TargetInfo::new(name.len() as u64, Digest::of(name.as_bytes()));
    Targets {
        version: 1,
        expires: later(),
        targets: names
            .iter()
            .map(|name| (name.parse().unwrap(), info(name)))
            .collect(),
        delegations: Some(Delegations::new(to).unwrap()),
    }
}

/// A client that is refreshed on a repository with these delegations.
fn client(to: Vec<DelegatedRole>, shelf: &Shelf) -> Trusted {
    let top = targets(&[], to);
    let file = MetaFile::of(1, sign(&top, &[4]).as_bytes());
    let mut snapshot = Snapshot::new(1, later(), file);
    for (name, (of, signers)) in shelf {
        let file = MetaFile::of(of.version, sign(of, signers).as_bytes());
        snapshot.meta.insert(format!("{name}.json"), file);
    }
    Repository::with_snapshot(1, top, snapshot).refreshed()
}

/// Searches, and says who was asked.
fn search(
    client: &Trusted,
    shelf: &Shelf,
    path: &str,
) -> (Result<Option<TargetInfo>, TufError>, Vec<String>) {
    let path: TargetPath = path.parse().unwrap();
    let mut search = client.search(&path).unwrap();
    let mut asked = Vec::new();
    let found = loop {
        match search.step(client) {
            Err(error) => break Err(error),
            Ok(SearchStep::NotFound) => break Ok(None),
            Ok(SearchStep::Found(info)) => break Ok(Some(info)),
            Ok(SearchStep::Fetch { role, wanted }) => {
                assert_eq!(wanted.name, format!("1.{}.json", quoted(&role)));
                let (of, signers) = &shelf[&role];
                asked.push(role);
                let text = sign(of, signers);
                if let Err(error) = search.take(client, text.as_bytes(), now()) {
                    break Err(error);
                }
            }
        }
    };
    (found, asked)
}

fn shelf<const N: usize>(roles: [(&str, Targets); N]) -> Shelf {
    let entry = |(name, of): (&str, Targets)| (name.to_owned(), (of, vec![10]));
    roles.into_iter().map(entry).collect()
}

#[test]
fn a_target_of_a_delegated_role_is_found_by_the_way_that_leads_there() {
    let shelf = shelf([
        ("a", targets(&[], vec![role("b", "x/*")])),
        ("b", targets(&["x/1", "y"], vec![])),
    ]);
    let client = client(vec![role("a", "*/*")], &shelf);
    let (found, asked) = search(&client, &shelf, "x/1");
    assert_eq!(found.unwrap().unwrap().length, 3);
    assert_eq!(asked, ["a", "b"]);
    let (found, asked) = search(&client, &shelf, "y");
    assert_eq!((found, asked), (Ok(None), vec![]), "not delegated");
}

#[test]
fn roles_that_delegate_in_a_circle_are_each_asked_once() {
    let shelf = shelf([
        ("a", targets(&[], vec![role("b", "*"), role("a", "*")])),
        ("b", targets(&[], vec![role("a", "*")])),
    ]);
    let client = client(vec![role("a", "*")], &shelf);
    let (found, asked) = search(&client, &shelf, "t");
    assert_eq!(found, Ok(None));
    assert_eq!(asked, ["a", "b"]);
}

#[test]
fn endless_delegations_end_at_a_bound() {
    let name = |number: usize| format!("r{number}");
    let mut shelf = Shelf::new();
    for number in 0..=DELEGATIONS_MAX {
        let below = targets(&[], vec![role(&name(number + 1), "*")]);
        shelf.insert(name(number), (below, vec![10]));
    }
    let client = client(vec![role("r0", "*")], &shelf);
    let (found, asked) = search(&client, &shelf, "t");
    assert_eq!(found, Err(TufError::TooManyDelegations));
    assert_eq!(asked.len(), DELEGATIONS_MAX);
}

#[test]
fn a_terminating_delegation_shuts_out_those_after_it() {
    let shelf = shelf([("a", targets(&[], vec![])), ("b", targets(&["t"], vec![]))]);
    let end = DelegatedRole {
        terminating: true,
        ..role("a", "*")
    };
    let client = client(vec![end, role("b", "*")], &shelf);
    let (found, asked) = search(&client, &shelf, "t");
    assert_eq!(found, Ok(None));
    assert_eq!(asked, ["a"]);
}

#[test]
fn hash_bins_go_by_the_digest_of_the_path() {
    let digest = Digest::of(b"t").to_string();
    let bin = |name: &str, prefix: &str| DelegatedRole {
        scope: Scope::HashPrefixes(vec![prefix.to_owned()]),
        ..role(name, "")
    };
    let shelf = shelf([
        ("near", targets(&["t"], vec![])),
        ("far", targets(&[], vec![])),
    ]);
    let other = if digest.starts_with("00") { "01" } else { "00" };
    let client = client(vec![bin("far", other), bin("near", &digest[..3])], &shelf);
    let (found, asked) = search(&client, &shelf, "t");
    assert!(found.unwrap().is_some());
    assert_eq!(asked, ["near"]);
}

#[test]
fn delegated_metadata_that_does_not_hold_ends_the_search() {
    let good = targets(&["t"], vec![]);
    let refused = |of: Targets, signers: Vec<u8>| {
        let shelf = Shelf::from([("a".to_owned(), (of, signers))]);
        let client = client(vec![role("a", "*"), role("b", "*")], &shelf);
        let (found, asked) = search(&client, &shelf, "t");
        assert_eq!(asked, ["a"]);
        let error = found.unwrap_err();
        assert!(matches!(&error, TufError::Delegated { name, .. } if name == "a"));
        error.code()
    };
    assert_eq!(refused(good.clone(), vec![]), "tuf.threshold");
    assert_eq!(refused(good.clone(), vec![4]), "tuf.threshold");
    let mut old = good;
    old.expires = past();
    assert_eq!(refused(old, vec![10]), "tuf.expired");
}

#[test]
fn delegated_metadata_of_another_moment_is_mix_and_match() {
    let shelf = shelf([("a", targets(&["t"], vec![]))]);
    let client = client(vec![role("a", "*")], &shelf);
    let path: TargetPath = "t".parse().unwrap();
    let mut search = client.search(&path).unwrap();
    search.step(&client).unwrap();
    let other = sign(&targets(&["t", "u"], vec![]), &[10]);
    let error = search.take(&client, other.as_bytes(), now()).unwrap_err();
    assert_eq!(error.code(), "tuf.length_mismatch");
    let good = sign(&targets(&["t"], vec![]), &[10]);
    search.take(&client, good.as_bytes(), now()).unwrap();
    assert!(matches!(search.step(&client), Ok(SearchStep::Found(_))));
}

#[test]
fn a_role_that_the_snapshot_does_not_list_is_refused() {
    let client = client(vec![role("a", "*")], &Shelf::new());
    let (found, _) = search(&client, &Shelf::new(), "t");
    assert_eq!(found.unwrap_err().code(), "tuf.malformed");
}

#[test]
fn delegations_that_make_no_sense_are_refused() {
    type Spoil = fn(&mut Value);
    let spoils: [Spoil; 8] = [
        |it| it["name"] = json!("root"),
        |it| it["name"] = json!("timestamp"),
        |it| it["name"] = json!(""),
        |it| it["name"] = json!("b"),
        |it| it["threshold"] = json!(0),
        |it| it["path_hash_prefixes"] = json!(["0"]),
        |it| {
            it.as_object_mut().unwrap().remove("paths");
        },
        |it| it["keyids"] = json!([it["keyids"][0], it["keyids"][0]]),
    ];
    let good = targets(&[], vec![role("a", "*"), role("b", "*")]);
    let signed = good.to_signed().unwrap();
    assert_eq!(Targets::from_signed(&signed), Ok(good));
    for (number, spoil) in spoils.into_iter().enumerate() {
        let mut signed = signed.clone();
        spoil(&mut signed["delegations"]["roles"][0]);
        let error = Targets::from_signed(&signed).unwrap_err();
        assert_eq!(error.code(), "tuf.malformed", "{number}");
    }
}

#[test]
fn the_name_of_a_role_leads_nowhere_else() {
    assert_eq!(quoted("../a b?#/ä"), "..%2Fa%20b%3F%23%2F%C3%A4");
    assert_eq!(quoted("A-z_0.9~"), "A-z_0.9~");
}
