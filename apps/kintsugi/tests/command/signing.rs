//! `tuf status`, `order`, `wanted`, `bring` and `skip` against a home that runs, with the reference client beside it.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use crate::support::{Running, kintsugi, sample, stderr, stdout, write};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A home with a published repository, and a person who is logged in.
struct Desk {
    home: Running,
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = fs::read_to_string(sample().join("kintsugi.toml")).unwrap();
        write(folder.path(), &[("product/kintsugi.toml", &config)]);
        let product = folder.path().join("product");
        let data = folder.path().join("home");
        let home = Running::start(&data, &["--project", product.to_str().unwrap()]);
        fs::write(folder.path().join("token"), home.token()).unwrap();
        let desk = Self { home, folder };
        desk.till(|status| status["timestamp"].as_u64() > Some(0));
        desk
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Runs `kintsugi tuf` with the home where it asks one.
    fn tuf(&self, words: &[&str], asks: bool) -> Output {
        let mut command = kintsugi();
        command.env("KINTSUGI_CONFIG", self.path().join("config"));
        // Of the holders' folders; the home's own is not sealed with one.
        if !words.iter().any(|it| it.contains("home/keys")) {
            command.env("KINTSUGI_KEY_PASSPHRASE", "of all holders");
        }
        command.current_dir(self.path()).arg("tuf").args(words);
        let url = self.home.url();
        if asks {
            command.args(["--home", &url, "--token-file", "token"]);
        }
        command.output().unwrap()
    }

    #[track_caller]
    fn done(&self, words: &[&str], asks: bool) -> String {
        let output = self.tuf(words, asks);
        assert!(output.status.success(), "{words:?}: {}", stderr(&output));
        stdout(&output)
    }

    fn status(&self) -> Value {
        let output = self.tuf(&["status", "--json"], true);
        serde_json::from_str(&stdout(&output)).unwrap_or_default()
    }

    /// Asks until it is so.
    fn till(&self, is_so: impl Fn(&Value) -> bool) -> Value {
        loop {
            let status = self.status();
            if is_so(&status) {
                return status;
            }
        }
    }

    /// A client of python-tuf with its own folder, which begins with the first root and remembers what it has seen. Answers with the
    /// versions of root and timestamp that it trusts then.
    fn reference(&self, name: &str) -> Result<(u64, u64), String> {
        let script = r#"
import os, sys, urllib.request
from tuf.ngclient import Updater
url, folder = sys.argv[1], sys.argv[2]
os.makedirs(folder, exist_ok=True)
first = urllib.request.urlopen(url + "1.root.json").read()
updater = Updater(folder, url, folder, url, bootstrap=first)
updater.refresh()
trusted = updater._trusted_set
print(trusted.root.version, trusted.timestamp.version)
"#;
        let python =
            std::env::var_os("KINTSUGI_TEST_PYTHON").map_or("python3".into(), PathBuf::from);
        let url = format!("{}/tuf/1/metadata/", self.home.url());
        let output = Command::new(python)
            .args(["-c", script, &url])
            .arg(self.path().join(name))
            .output()
            .unwrap();
        if !output.status.success() {
            return Err(stderr(&output));
        }
        let said = stdout(&output);
        let mut numbers = said.split_whitespace().map(|it| it.parse().unwrap());
        Ok((numbers.next().unwrap(), numbers.next().unwrap()))
    }
}

#[test]
fn a_key_is_replaced_on_order_and_the_reference_client_follows_from_the_first_root() {
    let desk = Desk::new();
    assert_eq!(desk.reference("on").unwrap().0, 1);
    for (place, role) in ["timestamp", "snapshot", "targets"].iter().enumerate() {
        let said = desk.done(&["order", role, "--reason", "a laptop was stolen"], true);
        assert_eq!(said, format!("{role} key 2: ordered\n"));
        let root = place as u64 + 2;
        let status = desk.till(|status| status["root"] == root);
        let keys = status["keys"].as_array().unwrap();
        let key = keys.iter().find(|it| it["role"] == *role).unwrap();
        assert_eq!((&key["in_force"], &key["ordered"]), (&2.into(), &2.into()));
        assert_eq!(desk.reference("on").unwrap().0, root);
    }
    // One that was off all the while.
    assert_eq!(desk.reference("off").unwrap().0, 4);
    let shown = desk.done(&["status"], true);
    assert!(shown.contains("  timestamp: key 2\n"), "{shown}");
    let refused = desk.tuf(&["order", "timestamp", "--reason", " "], true);
    assert!(stderr(&refused).contains("[reason.missing]"));
    let unwanted = desk.tuf(&["wanted", "5.root.json"], true);
    assert!(stderr(&unwanted).contains("[root.not_wanted]"));
}

impl Desk {
    /// A root that gives the root to three holders, signed by nobody, beside the one before it.
    fn to_holders(&self) {
        self.reference("on").unwrap();
        let first: Value =
            serde_json::from_str(&fs::read_to_string(self.path().join("on/root.json")).unwrap())
                .unwrap();
        let own: Vec<&str> = first["signed"]["roles"]["root"]["keyids"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it.as_str().unwrap())
            .collect();
        for name in ["ada", "bo", "cy"] {
            self.done(&["key", name, "--pem", &format!("{name}.pem")], false);
        }
        fs::copy(
            self.path().join("on/root.json"),
            self.path().join("1.root.json"),
        )
        .unwrap();
        let mut words = vec!["rotate", "1.root.json", "2.root.json"];
        for pem in ["ada.pem", "bo.pem", "cy.pem"] {
            words.extend(["--add-root", pem]);
        }
        for id in &own {
            words.extend(["--drop-root", id]);
        }
        self.done(&words, false);
    }

    fn sign(&self, file: &str, after: &str, keys: &str, key_use: &str) {
        let words = [
            "sign", file, "--after", after, "--keys", keys, "--use", key_use,
        ];
        self.done(&words, false);
    }
}

#[test]
fn with_an_offline_root_the_holders_sign_what_the_home_asks_for() {
    let desk = Desk::new();
    desk.to_holders();
    desk.sign("2.root.json", "1.root.json", "home/keys", "root-0");
    desk.sign("2.root.json", "1.root.json", "home/keys", "root-1");
    desk.sign("2.root.json", "1.root.json", "ada", "root-0");
    // Two of the holders must: nothing is sent that devices would refuse.
    let early = desk.tuf(&["bring", "2.root.json"], true);
    assert!(
        stderr(&early).contains("[tuf.threshold]"),
        "{}",
        stderr(&early)
    );
    desk.sign("2.root.json", "1.root.json", "cy", "root-0");
    desk.done(&["bring", "2.root.json"], true);
    desk.till(|status| status["root"] == 2);

    desk.done(&["order", "targets", "--reason", "the yearly change"], true);
    let status = desk.till(|status| !status["wanted_root"].is_null());
    assert_eq!(status["root"], 2);
    assert_eq!(
        desk.reference("on").unwrap().0,
        2,
        "nothing is broken meanwhile"
    );
    let said = desk.done(&["wanted", "3.root.json"], true);
    assert!(
        said.contains("  new\n") && said.contains("not complete"),
        "{said}"
    );
    desk.sign("3.root.json", "2.root.json", "bo", "root-0");
    desk.sign("3.root.json", "2.root.json", "cy", "root-0");
    desk.done(
        &["bring", "3.root.json", "--reason", "signed by Bo and Cy"],
        true,
    );
    let status = desk.till(|status| status["root"] == 3);
    let key = &status["keys"][0];
    assert_eq!(
        (&key["role"], &key["in_force"]),
        (&"targets".into(), &2.into())
    );
    assert_eq!(desk.reference("on").unwrap().0, 3);
    assert_eq!(desk.reference("off").unwrap().0, 3);
}

#[test]
fn a_home_goes_on_above_the_numbers_that_devices_have_seen() {
    let desk = Desk::new();
    let (_, before) = desk.reference("on").unwrap();
    desk.done(&["skip", "--above", "7000", "--reason", "restored"], true);
    desk.till(|status| status["timestamp"].as_u64() > Some(7000));
    let (_, after) = desk.reference("on").unwrap();
    assert!(before < 7000 && after > 7000);
    let far = ["skip", "--above", "9999999999999999", "--reason", "a slip"];
    assert!(stderr(&desk.tuf(&far, true)).contains("[version.too_high]"));
    let far = ["skip", "--root", "4000", "--reason", "a slip"];
    assert!(stderr(&desk.tuf(&far, true)).contains("[root.too_high]"));
}
