//! `tuf`: a ceremony of keys as people hold it, and a device that follows it.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use crate::support::{ask, assert_failed, kintsugi, stderr, stdout};
use kintsugi_adapters_local::signer::KeyFiles;
use kintsugi_domain::Timestamp;
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::ports::{KeyName, KeyUse, Signer as _};
use kintsugi_trust::key::{KeyId, PublicKey};
use kintsugi_trust::tuf::{
    MetaFile, Role, Timestamp as TimestampRole, Trusted, assemble, canonical,
};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Output;

/// Runs a command with the passphrase of one holder.
fn holder(folder: &Path, passphrase: &str, arguments: &[&str]) -> Output {
    let mut command = kintsugi();
    command.env("KINTSUGI_KEY_PASSPHRASE", passphrase);
    command.current_dir(folder).args(arguments);
    command.output().unwrap()
}

/// Makes a holder's key and answers with its id.
fn key(folder: &Path, name: &str, key_use: &str) -> String {
    let pem = format!("{name}.pem");
    let words = [
        "tuf", "key", name, "--use", key_use, "--pem", &pem, "--json",
    ];
    let made = holder(folder, name, &words);
    assert!(made.status.success(), "{}", stderr(&made));
    let made: Value = serde_json::from_str(&stdout(&made)).unwrap();
    made["id"].as_str().unwrap().to_owned()
}

fn done(output: &Output) -> Value {
    assert!(output.status.success(), "{}", stderr(output));
    serde_json::from_str(&stdout(output)).unwrap()
}

/// A holder signs a root; answers with what is said of it.
fn sign(folder: &Path, file: &str, after: Option<&str>, name: &str) -> Value {
    let mut words = vec!["tuf", "sign", file, "--keys", name, "--json"];
    words.extend(after.into_iter().flat_map(|after| ["--after", after]));
    done(&holder(folder, name, &words))
}

/// Three holders of root keys and three online keys, and a root that nobody has signed.
fn begin(folder: &Path) -> [String; 3] {
    for role in ["targets", "snapshot", "timestamp"] {
        key(folder, role, role);
    }
    let ids = ["ada", "bo", "cy"].map(|name| key(folder, name, "root-0"));
    let made = ask(
        folder,
        &[
            "tuf",
            "init",
            "1.root.json",
            "--json",
            "--root",
            "ada.pem",
            "--root",
            "bo.pem",
            "--root",
            "cy.pem",
            "--targets",
            "targets.pem",
            "--snapshot",
            "snapshot.pem",
            "--timestamp",
            "timestamp.pem",
        ],
    );
    let made = done(&made);
    assert_eq!(made["roles"]["root"]["threshold"], 2);
    assert_eq!(made["complete"], false);
    ids
}

fn read(folder: &Path, file: &str) -> Vec<u8> {
    fs::read(folder.join(file)).unwrap()
}

#[test]
fn two_of_three_sign_the_first_root_and_a_key_is_changed_and_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let [ada, bo, _] = begin(folder);
    assert!(Trusted::new(&read(folder, "1.root.json")).is_err());
    assert_eq!(sign(folder, "1.root.json", None, "ada")["complete"], false);
    assert_eq!(sign(folder, "1.root.json", None, "cy")["complete"], true);
    let mut device = Trusted::new(&read(folder, "1.root.json")).unwrap();

    // Bo left: his key is revoked, Dee's takes its place. The timestamp key leaked.
    let dee = key(folder, "dee", "root-0");
    key(folder, "timestamp2", "timestamp");
    let rotated = ask(
        folder,
        &[
            "tuf",
            "rotate",
            "1.root.json",
            "2.root.json",
            "--add-root",
            "dee.pem",
            "--drop-root",
            &bo,
            "--timestamp",
            "timestamp2.pem",
        ],
    );
    let said = stdout(&rotated);
    assert!(rotated.status.success(), "{}", stderr(&rotated));
    assert!(said.contains(&format!("{dee}  new\n")), "{said}");
    assert!(said.contains(&format!("{bo}  gone\n")), "{said}");
    let first = Some("1.root.json");
    let said = sign(folder, "2.root.json", first, "dee");
    assert_eq!(
        (&said["own"]["signed"], &said["before"]["signed"]),
        (&1.into(), &0.into())
    );
    let said = sign(folder, "2.root.json", first, "bo");
    assert_eq!(
        (&said["own"]["signed"], &said["before"]["signed"]),
        (&1.into(), &1.into())
    );
    assert!(device.update_root(&read(folder, "2.root.json")).is_err());
    assert_eq!(sign(folder, "2.root.json", first, "ada")["complete"], true);
    device.update_root(&read(folder, "2.root.json")).unwrap();

    // From now on Bo's key and Ada's are not enough, Ada's and Dee's are.
    let second = Some("2.root.json");
    done(&ask(
        folder,
        &["tuf", "refresh", "2.root.json", "3.root.json", "--json"],
    ));
    sign(folder, "3.root.json", second, "ada");
    let strange = [
        "tuf",
        "sign",
        "3.root.json",
        "--after",
        "2.root.json",
        "--keys",
        "bo",
    ];
    let strange = holder(folder, "bo", &strange);
    assert_failed(&strange, 1, "ceremony.stranger", &[&bo]);
    let shown = ask(
        folder,
        &["tuf", "show", "3.root.json", "--after", "2.root.json"],
    );
    assert_eq!(shown.status.code(), Some(1));
    assert!(stdout(&shown).ends_with("\nnot complete\n"));
    assert!(device.update_root(&read(folder, "3.root.json")).is_err());
    sign(folder, "3.root.json", second, "dee");
    device.update_root(&read(folder, "3.root.json")).unwrap();
    let named = device.root().roles.root.keys();
    assert!(named.contains_key(ada.as_str()) && !named.contains_key(bo.as_str()));
}

#[test]
fn the_leaked_timestamp_key_means_nothing_after_the_rotation() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    begin(folder);
    sign(folder, "1.root.json", None, "ada");
    sign(folder, "1.root.json", None, "bo");
    key(folder, "timestamp2", "timestamp");
    let words = [
        "tuf",
        "rotate",
        "1.root.json",
        "2.root.json",
        "--timestamp",
        "timestamp2.pem",
        "--json",
    ];
    done(&ask(folder, &words));
    sign(folder, "2.root.json", Some("1.root.json"), "bo");
    sign(folder, "2.root.json", Some("1.root.json"), "cy");
    let at: Timestamp = "2020-01-01T00:00:00Z".parse().unwrap();
    let later: Timestamp = "2020-01-02T00:00:00Z".parse().unwrap();
    let stamp = |version, name: &str| {
        let metadata = TimestampRole::new(version, later, MetaFile::of(1, b"{}"));
        let (id, der) = by_timestamp_key(folder, name, &canonical(&metadata).unwrap());
        assemble(&metadata, &[(id, der)]).unwrap()
    };
    let mut device = Trusted::new(&read(folder, "1.root.json")).unwrap();
    let far = stamp(1_000_000, "timestamp");
    device.update_timestamp(far.as_bytes(), at).unwrap();
    device.update_root(&read(folder, "2.root.json")).unwrap();
    let further = stamp(1_000_001, "timestamp");
    assert!(device.update_timestamp(further.as_bytes(), at).is_err());
    device
        .update_timestamp(stamp(7, "timestamp2").as_bytes(), at)
        .unwrap();
    assert_eq!(device.root().roles.of(Role::Timestamp).keys().len(), 1);
}

/// A signature with a timestamp key from its sealed folder, as a home makes it.
fn by_timestamp_key(folder: &Path, name: &str, message: &[u8]) -> (KeyId, Vec<u8>) {
    let keys = KeyFiles::open(&folder.join(name), Some(name)).unwrap();
    let key = KeyName {
        project: ProjectId(1),
        key_use: KeyUse::Timestamp(1),
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let pem = runtime.block_on(keys.public_key(&key)).unwrap();
    let der = runtime.block_on(keys.sign(&key, message)).unwrap();
    (PublicKey::from_pem(&pem).unwrap().key_id(), der)
}

#[test]
fn keys_are_sealed_and_nothing_is_signed_by_mistake() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let open = ask(folder, &["tuf", "key", "ada"]);
    assert_failed(&open, 3, "passphrase", &["would not be sealed"]);
    assert!(!folder.join("ada").exists());
    begin(folder);
    let signing = ["tuf", "sign", "1.root.json", "--keys", "ada"];
    let wrong = holder(folder, "bo", &signing);
    assert_failed(&wrong, 3, "passphrase", &["wrong"]);
    let none = holder(
        folder,
        "ada",
        &["tuf", "sign", "1.root.json", "--keys", "eve"],
    );
    assert_failed(&none, 3, "file", &["there is no such key"]);
    assert!(!folder.join("eve").exists(), "no key is made to sign with");
    let online = [
        "tuf",
        "sign",
        "1.root.json",
        "--keys",
        "timestamp",
        "--use",
        "timestamp",
    ];
    let online = holder(folder, "timestamp", &online);
    assert_failed(&online, 1, "ceremony.stranger", &[]);
    let again = ask(
        folder,
        &[
            "tuf",
            "init",
            "1.root.json",
            "--root",
            "ada.pem",
            "--root",
            "bo.pem",
            "--targets",
            "ada.pem",
            "--snapshot",
            "ada.pem",
            "--timestamp",
            "ada.pem",
        ],
    );
    assert_failed(&again, 1, "file_exists", &["1.root.json"]);
    let unsigned = ask(folder, &["tuf", "refresh", "1.root.json", "2.root.json"]);
    assert_failed(&unsigned, 1, "tuf.threshold", &["0 valid signatures of 2"]);

    // What was changed between two signatures is noticed by the second holder.
    sign(folder, "1.root.json", None, "ada");
    let text = String::from_utf8(read(folder, "1.root.json")).unwrap();
    let less = text.replacen("\"threshold\":2", "\"threshold\":1", 1);
    assert_ne!(text, less);
    fs::write(folder.join("1.root.json"), less).unwrap();
    let changed = holder(
        folder,
        "bo",
        &["tuf", "sign", "1.root.json", "--keys", "bo"],
    );
    assert_failed(&changed, 1, "key.wrong_signature", &["does not fit"]);
}

#[test]
fn a_signature_from_elsewhere_is_checked_and_taken() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let [ada, bo, _] = begin(folder);
    let copy = folder.join("copy.json");
    fs::copy(folder.join("1.root.json"), &copy).unwrap();
    sign(folder, "copy.json", None, "ada");
    let signed: Value = serde_json::from_slice(&fs::read(&copy).unwrap()).unwrap();
    let hex = signed["signatures"][0]["sig"].as_str().unwrap();
    let der: Vec<u8> = (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(hex.get(at..at + 2).unwrap(), 16).unwrap())
        .collect();
    fs::write(folder.join("ada.der"), der).unwrap();
    let by = format!("{bo}=ada.der");
    let wrong = ask(folder, &["tuf", "sign", "1.root.json", "--signature", &by]);
    assert_failed(&wrong, 1, "key.wrong_signature", &[&bo]);
    let by = format!("{ada}=ada.der");
    let taken = done(&ask(
        folder,
        &["tuf", "sign", "1.root.json", "--signature", &by, "--json"],
    ));
    assert_eq!(taken["signers"], serde_json::json!([ada]));
}

#[test]
fn a_key_of_the_wrong_curve_gets_into_no_root_and_its_curve_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    begin(folder);
    // P-256, which is what most tools draw by themselves.
    let other = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEnHxXHygKAEoqU7K6MpdKn+QEnTrx
ruBIjRTJ01xB016pgQr2udX3Yuw0usVQ26RcHsZYw/pQS9vfc2/f84Cq7Q==
-----END PUBLIC KEY-----
";
    fs::write(folder.join("p256.pem"), other).unwrap();
    let mut words = vec!["tuf", "init", "first.json", "--timestamp", "p256.pem"];
    for (role, pem) in [
        ("--root", "ada.pem"),
        ("--root", "bo.pem"),
        ("--targets", "targets.pem"),
        ("--snapshot", "snapshot.pem"),
    ] {
        words.extend([role, pem]);
    }
    let refused = ask(folder, &words);
    let words = ["p256.pem: a key on the curve P-256 (1.2.840.10045.3.1.7)"];
    assert_failed(&refused, 1, "key.wrong_curve", &words);
    assert!(!folder.join("first.json").exists());
}
