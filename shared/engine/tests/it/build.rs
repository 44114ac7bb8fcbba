//! Builds of the sample product.
#![expect(clippy::unwrap_used, clippy::panic, reason = "test code")]

use crate::product::{DEFECT, Product, RIGHT, at};
use kintsugi_delta::archive::{Limits, unpack};
use kintsugi_delta::{Expected, apply, compression};
use kintsugi_domain::digest::Digest;
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::job::{BuildOrder, BuildReport, Built, Job, Order, PatchToApply, Report};
use kintsugi_domain::ports::{Blobs, BuildEngine};
use kintsugi_testkit::git_http::GitHttp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;

const NOTES: &str = "Days without sales are quieter.";

fn order(commit: &str, version: &str, fixes: &[(&str, &str)]) -> BuildOrder {
    BuildOrder {
        bundle: "bundle".parse().unwrap(),
        commit: commit.to_owned(),
        fixes: fixes
            .iter()
            .map(|(fix, commit)| PatchToApply {
                fix: fix.parse().unwrap(),
                commit: (*commit).to_owned(),
                title: format!("fix: {fix}"),
            })
            .collect(),
        version: version.parse().unwrap(),
        at: at(),
        delta_bases: vec![],
        platform_bases: vec![],
        since: None,
        build: 0,
        notes: NOTES.to_owned(),
    }
}

async fn build(product: &Product, order: &BuildOrder) -> BuildReport {
    let order = Order::Build(Box::new(order.clone()));
    match product.run(order).await.unwrap() {
        Report::Build(report) => report,
        Report::Search(report) => panic!("{report:?}"),
    }
}

async fn stored(product: &Product, key: &str) -> Vec<u8> {
    product.blobs.get(key, 1 << 30).await.unwrap().unwrap()
}

/// The files of a built package.
async fn content(product: &Product, built: &Built) -> (Vec<u8>, BTreeMap<String, Vec<u8>>) {
    let package = stored(product, &built.full.blob).await;
    assert_eq!(built.full.digest, Digest::of(&package));
    assert_eq!(built.full.length, package.len() as u64);
    let archive = compression::decompress(&package, built.content.length).unwrap();
    assert_eq!(built.content.digest, Digest::of(&archive));
    let files = unpack(&archive, &Limits::default())
        .unwrap()
        .into_iter()
        .map(|entry| (entry.path, entry.content.to_vec()))
        .collect();
    (archive, files)
}

fn right_fix(product: &Product) -> String {
    product.on_branch("right", &product.head(), |product| {
        product.replace("till/totals.py", DEFECT, RIGHT);
    })
}

#[tokio::test]
async fn a_fix_becomes_a_version_with_notes_package_and_delta() {
    let product = Product::sample();
    let base = product.head();
    let first = build(&product, &order(&base, "1.0.0", &[]))
        .await
        .built
        .unwrap();
    let fix = right_fix(&product);
    let mut order = order(&base, "1.0.1", &[("right", &fix)]);
    order.delta_bases = vec![
        ("1.0.0".parse().unwrap(), first.full.blob.clone()),
        ("0.9.0".parse().unwrap(), "tuf/1/targets/gone".to_owned()),
    ];
    let report = build(&product, &order).await;
    let built = report.built.clone().unwrap();
    assert_eq!(report.applied, ["right".parse().unwrap()]);
    assert!(
        report.gates.iter().all(|gate| gate.passed),
        "{:?}",
        report.gates
    );
    let name = built
        .full
        .blob
        .strip_prefix(&format!("tuf/1/targets/{}.", built.full.digest));
    assert_eq!(name, Some("till-1.0.1.tar.zst"));

    let (archive, files) = content(&product, &built).await;
    assert_eq!(files["till/VERSION"], b"1.0.1\n");
    assert!(String::from_utf8_lossy(&files["till/totals.py"]).contains(RIGHT));
    assert!(
        files
            .keys()
            .all(|path| path.starts_with("till/") || path == "kintsugi-package.json")
    );
    let description: Value = serde_json::from_slice(&files["kintsugi-package.json"]).unwrap();
    let health = json!({"command": ["python3", "-m", "till", "health"], "timeout_seconds": 20});
    let expected = json!({"format": 1, "app": "till", "version": "1.0.1", "health": health});
    assert_eq!(description, expected);

    let [delta] = built.deltas.as_slice() else {
        panic!("{:?}", report.gates);
    };
    assert!(delta.artifact.length < built.full.length);
    assert!(
        delta.artifact.blob.ends_with(".till-1.0.0-1.0.1.delta"),
        "{delta:?}"
    );
    let (old, _) = content(&product, &first).await;
    let bytes = stored(&product, &delta.artifact.blob).await;
    let expected = Expected {
        base: delta.base,
        digest: built.content.digest,
        length: built.content.length,
    };
    assert_eq!(apply(&old, &bytes, &expected).unwrap(), archive);

    // The fix stood on the tip, so its commit is the release's parent.
    assert_eq!(
        product.git(&["rev-parse", "kintsugi/release/1.0.1"]),
        built.commit
    );
    assert_eq!(product.git(&["rev-parse", "kintsugi/release/1.0.1^"]), fix);
    let changelog = product.git(&["show", &format!("{}:CHANGELOG.md", built.commit)]);
    let fixed = "### Fixed\n\n- fix: right";
    let section =
        format!("## [Unreleased]\n\n## [1.0.1] - 2026-11-21\n\n{NOTES}\n\n{fixed}\n\n## [1.0.0]");
    assert!(changelog.contains(&section), "{changelog}");
    let message = product.git(&["log", "-1", "--format=%an <%ae> %at%n%B", &built.commit]);
    let expected = "Kintsugi <kintsugi@localhost> 1795233600\nrelease: till 1.0.1\n\n- fix: right";
    assert_eq!(message, expected);
    assert_eq!(product.git(&["status", "--porcelain"]), "");
}

#[tokio::test]
async fn a_delta_is_made_from_every_supported_version_and_each_gives_the_same_content() {
    let product = Product::sample();
    let base = product.head();
    let mut supported = Vec::new();
    for patch in (0..7).rev() {
        let version = format!("0.9.{patch}");
        let report = build(&product, &order(&base, &version, &[])).await;
        supported.push((version.parse().unwrap(), report.built.unwrap()));
    }
    let fix = right_fix(&product);
    let mut order = order(&base, "1.0.0", &[("right", &fix)]);
    let bases = supported.iter();
    order.delta_bases = bases
        .map(|(version, built)| (semver::Version::clone(version), built.full.blob.clone()))
        .collect();
    let report = build(&product, &order).await;
    let built = report.built.clone().unwrap();
    let (archive, _) = content(&product, &built).await;
    let from: Vec<_> = built.deltas.iter().map(|delta| &delta.from).collect();
    let ordered: Vec<_> = order.delta_bases.iter().map(|(from, _)| from).collect();
    assert_eq!(from, ordered, "{:?}", report.gates);
    for (delta, (version, old)) in built.deltas.iter().zip(&supported) {
        assert!(delta.artifact.length * 5 <= built.full.length * 4);
        let (old, _) = content(&product, old).await;
        assert_eq!(delta.base, Digest::of(&old), "{version}");
        let expected = Expected {
            base: delta.base,
            digest: built.content.digest,
            length: built.content.length,
        };
        let bytes = stored(&product, &delta.artifact.blob).await;
        assert_eq!(apply(&old, &bytes, &expected).unwrap(), archive);
    }
    assert_eq!(build(&product, &order).await, report);
}

#[tokio::test]
async fn no_older_package_is_read_for_a_version_that_fails() {
    let product = Product::sample();
    let mut order = order(&product.head(), "1.0.1", &[]);
    order.delta_bases = vec![("1.0.0".parse().unwrap(), "no/../key".to_owned())];
    let ordered = Order::Build(Box::new(order.clone()));
    let error = product.run(ordered).await.unwrap_err();
    assert!(error.to_string().contains("no/../key"), "{error}");
    product.replace(
        "till/totals.py",
        "    if whole == 0:\n",
        "    if whole == 1:\n",
    );
    order.commit = product.commit("feat: broken");
    let Report::Build(report) = product.run(Order::Build(Box::new(order))).await.unwrap() else {
        panic!("it is a build");
    };
    assert_eq!(report.built.unwrap_err().code, "TEST_FAILURE");
}

#[tokio::test]
async fn the_same_order_gives_the_same_commit_and_bytes() {
    let (one, other) = (Product::sample(), Product::sample());
    let fix = right_fix(&one);
    assert_eq!(right_fix(&other), fix);
    let order = order(&one.head(), "1.0.1", &[("right", &fix)]);
    let first = build(&one, &order).await;
    assert_eq!(build(&one, &order).await, first);
    assert_eq!(build(&other, &order).await, first);
    assert_eq!(one.blobs.keys(), other.blobs.keys());
}

#[tokio::test]
async fn a_build_clones_from_a_host_and_pushes_the_version_to_it_with_the_operators_credential() {
    let product = Product::sample();
    let fix = right_fix(&product);
    product.git(&["clone", "--quiet", "--bare", ".", "../till.git"]);
    let folder = product.repository().parent().unwrap().to_owned();
    let host = GitHttp::of(&folder)
        .login("ada", "hunter2:%'")
        .serve()
        .unwrap();
    let file = folder.join("it's secret");
    let order = order(&product.head(), "1.0.1", &[("right", &fix)]);
    let order = Order::Build(Box::new(order));
    let job = Job::order(
        ProjectId(1),
        host.url("till.git"),
        order.clone(),
        product.config.clone(),
        at(),
    );
    let engine = product.engine().with_git_credentials(Some(file.clone()));
    for wrong in ["", "http://ada:hunter2@%\n"] {
        let lines = wrong.replace('%', &host.host());
        fs::write(&file, &lines).unwrap();
        let refusal = engine.run(&job).await.unwrap_err().to_string();
        assert!(!refusal.contains("hunter2"), "{refusal}");
        assert_eq!(
            fs::read_to_string(&file).unwrap(),
            lines,
            "git changed the file"
        );
    }
    fs::write(
        &file,
        format!("http://ada:hunter2%3a%25'@{}\n", host.host()),
    )
    .unwrap();
    let report = engine.run(&job).await.unwrap();
    let Report::Build(BuildReport {
        built: Ok(built), ..
    }) = &report
    else {
        panic!("{report:?}");
    };
    let pushed = [
        "--git-dir",
        "../till.git",
        "rev-parse",
        "kintsugi/release/1.0.1",
    ];
    assert_eq!(product.git(&pushed), built.commit);
    // Where the repository lies makes no difference to what is built.
    assert_eq!(product.run(order).await.unwrap(), report);
}

#[tokio::test]
async fn a_fix_of_an_older_commit_is_made_anew_on_the_tip() {
    let product = Product::sample();
    let fix = right_fix(&product);
    product.write("NEWS", "news\n");
    product.write("run.sh", "#!/bin/sh\n");
    let base = product.commit("docs: news");
    let report = build(&product, &order(&base, "1.0.1", &[("right", &fix)])).await;
    let built = report.built.unwrap();
    let tip = format!("{}^", built.commit);
    assert_ne!(product.git(&["rev-parse", &tip]), fix);
    assert_eq!(product.git(&["rev-parse", &format!("{tip}^")]), base);
    let message = product.git(&["log", "-1", "--format=%an %cn %s", &tip]);
    assert_eq!(message, "Mara Kintsugi fix: right");
    assert_eq!(
        product.git(&["diff", "--stat", "--name-only", &base, &tip]),
        "till/totals.py"
    );
}

#[tokio::test]
async fn a_conflict_and_a_failing_fix_are_set_aside_and_the_rest_goes_on() {
    let product = Product::sample();
    let base = product.head();
    let right = right_fix(&product);
    let conflict = product.on_branch("conflict", &base, |product| {
        product.replace(
            "till/totals.py",
            DEFECT,
            "    return total_cents // max(count, 1)\n",
        );
    });
    let failing = product.on_branch("failing", &base, |product| {
        product.replace(
            "till/totals.py",
            "    if whole == 0:\n",
            "    if whole == 1:\n",
        );
    });
    let other = product.on_branch("other", &base, |product| {
        product.write("till/extra.py", "EXTRA = 1\n");
    });
    let missing = "1".repeat(40);
    let fixes = [
        ("right", right.as_str()),
        ("conflict", &conflict),
        ("failing", &failing),
        ("missing", &missing),
        ("other", &other),
    ];
    let report = build(&product, &order(&base, "1.0.1", &fixes)).await;
    let built = report.built.clone().unwrap();
    assert_eq!(
        report.applied,
        ["right".parse().unwrap(), "other".parse().unwrap()]
    );
    let aside: BTreeMap<&str, &str> = report
        .set_aside
        .iter()
        .map(|(fix, why)| (fix.as_str(), why.lines().next().unwrap()))
        .collect();
    assert_eq!(aside["conflict"], "conflict in till/totals.py");
    assert_eq!(aside["failing"], "TEST_FAILURE: ended with code 1");
    assert_eq!(
        aside["missing"],
        format!("its commit {missing} is not in the repository")
    );
    let (_, files) = content(&product, &built).await;
    assert_eq!(files["till/extra.py"], b"EXTRA = 1\n");
    let totals = String::from_utf8_lossy(&files["till/totals.py"]).into_owned();
    assert!(
        totals.contains(RIGHT) && totals.contains("if whole == 0:"),
        "{totals}"
    );
    assert_eq!(
        product.git(&["log", "--format=%s", &format!("{base}..{}", built.commit)]),
        "release: till 1.0.1\nfix: other\nfix: right"
    );
}

#[tokio::test]
async fn nothing_is_built_when_no_fix_is_left() {
    let product = Product::sample();
    let failing = product.on_branch("failing", &product.head(), |product| {
        product.replace(
            "till/totals.py",
            "    if whole == 0:\n",
            "    if whole == 1:\n",
        );
    });
    let report = build(
        &product,
        &order(&product.head(), "1.0.1", &[("failing", &failing)]),
    )
    .await;
    let failure = report.built.unwrap_err();
    assert_eq!(failure.code, "NOTHING_LEFT");
    assert_eq!(
        failure.why,
        "every fix was set aside: failing: TEST_FAILURE: ended with code 1"
    );
    assert!(product.blobs.keys().is_empty());
    assert_eq!(product.git(&["branch", "--list", "kintsugi/*"]), "");
}

#[tokio::test]
async fn a_product_that_fails_without_any_fix_blames_none() {
    let product = Product::sample();
    let fix = right_fix(&product);
    product.replace(
        "till/totals.py",
        "    if whole == 0:\n",
        "    if whole == 1:\n",
    );
    product.commit("feat: broken");
    for fixes in [vec![], vec![("right", fix.as_str())]] {
        let report = build(&product, &order(&product.head(), "1.0.1", &fixes)).await;
        let failure = report.built.unwrap_err();
        assert_eq!(failure.code, "TEST_FAILURE");
        assert!(
            failure
                .why
                .starts_with("without any fix the suite ended with code 1"),
            "{failure:?}"
        );
        assert!(report.set_aside.is_empty());
    }
}

#[tokio::test]
async fn a_build_command_is_boxed_and_what_it_leaves_is_packaged() {
    let mut product = Product::sample();
    let script = "mkdir -p out/__pycache__; echo built > out/app; chmod +x out/app; echo x > out/__pycache__/y; ls -a /w > out/list";
    product.config.package.include = vec!["out/".to_owned()];
    product.config.build = Some(kintsugi_domain::config::Command {
        command: ["sh", "-c", script].map(str::to_owned).to_vec(),
        timeout_seconds: 10,
    });
    let report = build(&product, &order(&product.head(), "1.0.1", &[])).await;
    let (archive, files) = content(&product, &report.built.unwrap()).await;
    assert_eq!(
        files.keys().collect::<Vec<_>>(),
        ["kintsugi-package.json", "out/app", "out/list"]
    );
    assert!(
        !String::from_utf8_lossy(&files["out/list"])
            .lines()
            .any(|name| name == ".git")
    );
    let entries = unpack(&archive, &Limits::default()).unwrap();
    assert!(
        entries
            .iter()
            .any(|entry| entry.path == "out/app" && entry.executable)
    );

    for (script, why) in [
        ("echo no >&2; exit 4", "ended with code 4\nno"),
        (
            "mkdir out; ln -s /etc/passwd out/app",
            "out/app is a symbolic link; a package holds regular files",
        ),
        (
            "mkdir out; mkfifo out/app",
            "what the build left: out/app is neither a file nor a folder",
        ),
        ("true", "package.include: there is no file at out/"),
        (
            "mkdir out; echo > 'out/a:b'",
            "archive_bad_path: the path \"out/a:b\" holds a backslash, a colon or a control character",
        ),
    ] {
        product.config.build.as_mut().unwrap().command[2] = script.to_owned();
        let report = build(&product, &order(&product.head(), "1.0.2", &[])).await;
        let failure = report.built.unwrap_err();
        assert_eq!(
            (failure.code.as_str(), failure.why.as_str()),
            ("BUILD_FAILURE", why)
        );
    }
    assert_eq!(
        product.git(&["branch", "--list", "kintsugi/*"]),
        "kintsugi/release/1.0.1"
    );
}

#[tokio::test]
async fn a_link_in_place_of_the_version_file_is_not_written_through() {
    let product = Product::sample();
    let path = product.repository().join("till/VERSION");
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/tmp/kintsugi-version", &path).unwrap();
    product.commit("feat: a link");
    let report = build(&product, &order(&product.head(), "1.0.1", &[])).await;
    let failure = report.built.unwrap_err();
    assert_eq!(
        failure.why,
        "package.version_file: till/VERSION is a symbolic link"
    );
}

#[tokio::test]
async fn a_branch_of_ours_that_holds_something_else_is_replaced() {
    let product = Product::sample();
    product.on_branch("kintsugi/release/1.0.1", "HEAD~2", |product| {
        product.write("other", "something else");
    });
    // What a killed engine left is removed by the next one.
    fs::create_dir_all(product.work_dir().join("kintsugi-job-old/run-1/till")).unwrap();
    let report = build(&product, &order(&product.head(), "1.0.1", &[])).await;
    let commit = report.built.unwrap().commit;
    assert_eq!(
        product.git(&["rev-parse", "kintsugi/release/1.0.1"]),
        commit
    );
}

#[tokio::test]
async fn what_is_tested_is_what_is_released() {
    let product = Product::sample();
    product.write(
        "tests/test_release.py",
        "import unittest
class Release(unittest.TestCase):
    def test_version_and_notes(self):
        self.assertEqual(open('till/VERSION').read(), '1.0.1\\n')
        self.assertIn('## [1.0.1]', open('CHANGELOG.md').read())
",
    );
    product.commit("test: the release");
    let report = build(&product, &order(&product.head(), "1.0.1", &[])).await;
    assert!(report.built.is_ok(), "{report:?}");
    let report = build(&product, &order(&product.head(), "1.0.2", &[])).await;
    assert_eq!(report.built.unwrap_err().code, "TEST_FAILURE");
}

#[tokio::test]
async fn commits_since_the_release_before_are_grouped_in_changelog_and_notes() {
    let product = Product::sample();
    let since = product.head();
    let fix = product.on_branch("right", &since, |product| {
        product.replace("till/totals.py", DEFECT, RIGHT);
    });
    for (name, message) in [
        ("a", "feat(cli): taxes"),
        ("b", "docs: a word"),
        (
            "c",
            "perf!: faster\n\nBody: x\n\nRequires: migration add the table takings",
        ),
        ("d", "fix: a typo"),
    ] {
        product.write(name, name);
        product.commit(message);
    }
    let mut order = order(&product.head(), "1.1.0", &[("right", &fix)]);
    order.since = Some(since.clone());
    order.build = 7;
    let report = build(&product, &order).await;
    let built = report.built.clone().unwrap();
    let expected = format!(
        "{NOTES}\n\n### Added\n\n- cli: taxes\n\n### Changed\n\n- **Breaking:** faster\n\n\
         ### Fixed\n\n- fix: right\n- a typo\n\n### Required actions\n\n- Migration: add the table takings"
    );
    assert_eq!(order.notes_with(&report.applied, &report.changes), expected);
    let changelog = product.git(&["show", &format!("{}:CHANGELOG.md", built.commit)]);
    let section = format!("## [1.1.0] - 2026-11-21\n\n{expected}\n\n## [1.0.0]");
    assert!(changelog.contains(&section), "{changelog}");

    order.since = Some("1".repeat(40));
    let report = build(&product, &order).await;
    assert!(
        report.changes.is_empty(),
        "a commit that is not there says nothing"
    );
    assert!(report.built.is_ok());
}
