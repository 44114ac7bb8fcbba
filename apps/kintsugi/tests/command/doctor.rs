//! `doctor` beside products: which programs and certificates they need, and how those are had.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use crate::machine::script;
use crate::support::{ANY_PORT, ask, kintsugi, stdout, write};
use serde_json::Value;
use std::process::Output;

/// A product that is packaged for both platforms, and tested by a program that no machine has.
const PACKAGED: &str = r#"
[product]
name = "till"
language = "python"
[test]
command = ["tester-of-no-machine", "-v"]
[health]
command = ["python3", "-m", "till"]
[package]
include = ["till"]
[package.appimage]
runtime = "packaging/runtime"
runtime_sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
command = ["python3", "{app}/till"]
icon = "packaging/till.png"
[package.windows]
program = "till/__main__.py"
publisher = "Till"
"#;

/// The checks of a doctor's answer that are about products.
fn of_products(done: &Output) -> Vec<(String, bool, String)> {
    let object: Value = serde_json::from_str(&stdout(done)).unwrap();
    let checks = object["checks"].as_array().unwrap().iter().skip(6);
    let of = |check: &Value, name: &str| check[name].as_str().unwrap_or_default().to_owned();
    checks
        .map(|check| {
            let told = format!("{}; {}", of(check, "found"), of(check, "help"));
            (of(check, "name"), check["ok"] == true, told)
        })
        .collect()
}

#[test]
fn doctor_looks_for_what_the_packages_and_gates_of_a_product_need() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[("kintsugi.toml", PACKAGED)]);
    let words = ["doctor", "--json", "--listen", ANY_PORT];
    let done = ask(folder.path(), &words);
    assert_eq!(done.status.code(), Some(6), "{}", stdout(&done));
    let checks = of_products(&done);
    let found: Vec<(&str, bool)> = checks
        .iter()
        .map(|(name, ok, _)| (name.as_str(), *ok))
        .collect();
    let expected = [
        ("makensis", true),
        ("mksquashfs", true),
        ("osslsigncode", true),
        ("tester-of-no-machine", false),
        ("certificate", false),
    ];
    assert_eq!(found, expected);
    let all = format!("{checks:?}");
    for words in [
        "/usr/bin/makensis, for package.windows of till",
        "is missing, for test of till; install it where the sandbox sees it",
        "there is none that signs till; set KINTSUGI_CODE_SIGNING to the folder",
    ] {
        assert!(all.contains(words), "{words}: {all}");
    }
    let mut command = kintsugi();
    command.current_dir(folder.path()).args(words);
    command.env("KINTSUGI_CODE_SIGNING", folder.path());
    let signed = of_products(&command.output().unwrap());
    assert!(signed.last().is_some_and(|(_, ok, _)| *ok), "{signed:?}");
    let none = ask(
        folder.path(),
        &[&words[..], &["--project", "nowhere"]].concat(),
    );
    let checks = of_products(&none);
    assert_eq!(checks.len(), 1, "{checks:?}");
    assert!(
        checks[0].2.contains("there is no file nowhere"),
        "{checks:?}"
    );
}

#[test]
fn doctor_says_how_a_missing_packaging_tool_is_installed() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[("product/kintsugi.toml", PACKAGED)]);
    let text = format!(
        "for tool in mksquashfs makensis osslsigncode; do mount --bind /dev/null /usr/bin/$tool; done; \
         exec \"$0\" doctor --listen {ANY_PORT} --project product"
    );
    let done = script(folder.path(), &text).output().unwrap();
    assert_eq!(done.status.code(), Some(6), "{}", stdout(&done));
    let said = stdout(&done);
    for (program, key, package) in [
        ("mksquashfs", "package.appimage", "squashfs-tools"),
        ("makensis", "package.windows", "nsis"),
        ("osslsigncode", "package.windows", "osslsigncode"),
    ] {
        let expected = format!(
            "the program {program} is missing, for {key} of till; install the Debian package {package} (Debian: apt install {package})"
        );
        assert!(said.contains(&expected), "{expected}: {said}");
    }
}
