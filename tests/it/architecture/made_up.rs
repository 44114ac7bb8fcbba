//! Every rule fails on a made-up violation, and passes on the same thing put right.

use super::facts::{Function, Manifest, Package, Text};
use super::{rules, table};

fn package(name: &str, dependencies: &[&str]) -> Package {
    Package {
        name: name.into(),
        dependencies: dependencies.iter().map(|&name| name.to_owned()).collect(),
    }
}

fn text(path: &str, content: &str) -> Text {
    Text {
        path: path.into(),
        content: content.into(),
    }
}

#[test]
fn an_arrow_against_the_table_is_found() {
    let wrong = [
        package("kintsugi-domain", &["kintsugi-app", "serde"]),
        package("kintsugi-app", &["kintsugi-domain"]),
    ];
    assert_eq!(
        rules::directions(&wrong, table::DIRECTIONS),
        ["kintsugi-domain must not depend on kintsugi-app"]
    );
    let right = [
        package("kintsugi-domain", &["serde"]),
        package("kintsugi-app", &["kintsugi-domain"]),
    ];
    assert!(rules::directions(&right, table::DIRECTIONS).is_empty());
}

#[test]
fn a_stage_that_names_another_stage_is_found() {
    let wrong = [
        package("kintsugi-fn-triage", &["kintsugi-fn-ingest"]),
        package("kintsugi-fn-ingest", &["kintsugi-app"]),
    ];
    assert_eq!(
        rules::directions(&wrong, table::DIRECTIONS),
        ["kintsugi-fn-triage must not depend on kintsugi-fn-ingest"]
    );
}

#[test]
fn a_crate_that_nobody_placed_is_found() {
    assert_eq!(
        rules::directions(&[package("kintsugi-misc", &[])], table::DIRECTIONS),
        ["kintsugi-misc has no row in the table of directions"]
    );
}

#[test]
fn a_foreign_crate_away_from_home_is_found() {
    let wrong = [
        package("kintsugi-app", &["aws-sdk-dynamodb", "rusqlite"]),
        package("kintsugi-fn-ingest", &["lambda_http"]),
    ];
    let problems = rules::third_parties(&wrong, table::HOMES);
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(problems[2].contains("kintsugi-fn-ingest names lambda_http"));
    let right = [package("kintsugi-runtime", &["lambda_http", "axum"])];
    assert!(rules::third_parties(&right, table::HOMES).is_empty());
}

#[test]
fn a_pure_crate_with_a_socket_is_found() {
    let wrong = [
        package("kintsugi-trust", &["ureq"]),
        package("kintsugi-http", &["tokio"]),
    ];
    assert_eq!(
        rules::purity(&wrong, table::PURE, table::IMPURE),
        ["kintsugi-trust computes only and names ureq"]
    );
}

#[test]
fn a_manifest_that_goes_its_own_way_is_found() {
    let manifest = |content: &str| Manifest {
        path: "x/Cargo.toml".into(),
        content: toml::from_str(content).unwrap(),
    };
    let head = "[package]\nname = 'x'\nversion.workspace = true\nedition.workspace = true\nlicense.workspace = true\n";
    let right =
        format!("{head}[lints]\nworkspace = true\n[dependencies]\nserde.workspace = true\n");
    assert!(rules::manifests(&[manifest(&right)]).is_empty());
    let wrong = format!("{head}[dependencies]\nserde = '1'\n");
    assert_eq!(
        rules::manifests(&[manifest(&wrong)]),
        [
            "x/Cargo.toml lacks [lints] workspace = true",
            "x/Cargo.toml names its own version of serde"
        ]
    );
}

/// A function as it should be.
fn function(name: &str) -> Function {
    Function {
        folder: name.into(),
        package: format!("kintsugi-fn-{name}"),
        binaries: vec![name.into()],
        files: table::FUNCTION_FILES.map(str::to_owned).to_vec(),
        main: format!("fn main() {{ start(\"{name}\") }}\n"),
        events: 1,
    }
}

#[test]
fn functions_of_one_shape_pass() {
    assert!(rules::functions(&[function("sign"), function("ingest")]).is_empty());
}

#[test]
fn a_function_with_a_fourth_file_is_found() {
    let mut wrong = function("sign");
    wrong.files.push("util.rs".into());
    let problems = rules::functions(&[wrong]);
    assert!(problems[0].contains("util.rs"), "{problems:?}");
}

#[test]
fn a_main_that_decides_something_is_found() {
    let mut wrong = function("sign");
    wrong.main.push_str("// and one thing more\n");
    let problems = rules::functions(&[function("ingest"), wrong]);
    assert_eq!(
        problems,
        ["main.rs differs by more than the name: compare ingest, sign"]
    );
}

#[test]
fn a_main_longer_than_twenty_lines_is_found() {
    let mut wrong = function("sign");
    wrong.main.push_str(&"\n".repeat(20));
    let problems = rules::functions(&[wrong]);
    assert!(problems[0].contains("21 lines"), "{problems:?}");
}

#[test]
fn a_function_without_a_sample_trigger_or_with_another_name_is_found() {
    let mut wrong = function("sign");
    wrong.events = 0;
    wrong.package = "sign".into();
    wrong.binaries = vec!["bootstrap".into()];
    assert_eq!(rules::functions(&[wrong]).len(), 3);
}

#[test]
fn a_missing_and_an_unknown_stage_are_found() {
    assert_eq!(
        rules::stages(&[function("sign"), function("extra")], &["sign", "ingest"]),
        ["functions/ingest is missing", "functions/extra is no stage"]
    );
}

#[test]
fn a_file_that_is_too_long_is_found() {
    let sources = [
        text("a.rs", &"x\n".repeat(11)),
        text("b.rs", &"x\n".repeat(10)),
    ];
    assert_eq!(
        rules::lengths(&sources, 10),
        ["a.rs has 11 lines, more than 10"]
    );
}

#[test]
fn a_stored_key_is_found_and_talk_about_keys_is_not() {
    let body = "MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDBx";
    let key = format!("-----BEGIN {}-----\n{body}\n", "PRIVATE KEY");
    let access = format!("id = {}{}", "AKIA", "QWERTYUIOPASDF12");
    let texts = [
        text("key.pem", &key),
        text("env", &access),
        text(
            "talk.md",
            &format!(
                "A file with `-----BEGIN {}-----` is refused.\n",
                "PRIVATE KEY"
            ),
        ),
        text("manual.md", "AKIAIOSFODNN7EXAMPLE"),
    ];
    assert_eq!(
        rules::secrets(&texts, &[]),
        [
            "key.pem:2 holds a private key",
            "env:1 holds a cloud access key"
        ]
    );
}

#[test]
fn a_path_of_this_machine_is_found() {
    let texts = [
        text("notes.md", "see /made/up/checkout/src"),
        text("other.md", "see src"),
    ];
    assert_eq!(
        rules::secrets(&texts, &["/made/up/checkout".into()]),
        ["notes.md:1 names a path of this machine"]
    );
}
