//! The runner in CodeBuild: what starts it, what it may do, and its commands, which are run here.
//!
//! The programs `aws` and `kintsugi` are stand-ins: AWS is not here, and what a runner does is shown by its own tests.

use super::template::{Template, text};
use super::{BTreeSet, Grant, grants, json};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

/// `aws`: copies what lies in the folder `bucket`, and tells secrets of the folder `secrets`.
const AWS: &str = r#"#!/bin/sh
case "$1 $2" in
  "s3 cp") cp "$HERE/bucket/${4##*/}" "$5" ;;
  "secretsmanager get-secret-value") cat "$HERE/secrets/${4##*/}" ;;
  *) exit 64 ;;
esac
"#;

/// `kintsugi`: does one of the jobs that are files of the folder `jobs`, and notes how it was called.
const KINTSUGI: &str = r#"#!/bin/sh
echo "$* $(cat runner.token) $(cat "$KINTSUGI_GIT_CREDENTIALS")" >> "$HERE/calls"
[ -e "$HERE/broken" ] && exit 5
job=$(ls "$HERE/jobs" | head -n 1)
[ -n "$job" ] || { echo '{"event":"idle"}'; exit 0; }
rm "$HERE/jobs/$job"
echo '{"event":"leased"}'
echo '{"event":"reported","accepted":true}'
"#;

/// The commands of the build, in their order.
fn commands(template: &Template) -> Vec<String> {
    let spec = text(template.at("/Resources/BuildProject/Properties/Source/BuildSpec"));
    let read = "import json, sys, yaml; spec = yaml.safe_load(sys.stdin); \
                print(json.dumps([it for name in ('install', 'build') for it in spec['phases'][name]['commands']]))";
    let python = super::template::interpreter();
    let mut child = Command::new(python)
        .args(["-c", read])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, spec.as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Runs the build in a folder, each command in the same shell as the one before, as CodeBuild does.
fn build(here: &Path, digest: &str) -> Output {
    let commands = commands(&Template::read()).join("\n");
    let path = format!("{}:/usr/bin:/bin", here.join("bin").display());
    Command::new("sh")
        .args(["-e", "-c", &commands])
        .current_dir(here.join("build"))
        .env_clear()
        .env("PATH", path)
        .env("HERE", here)
        .env("HOME_URL", "https://home.example.org")
        .env("PROGRAM", "s3://bucket/runner/kintsugi")
        .env("PROGRAM_SHA256", digest)
        .env("SECRETS", "kintsugi/dev")
        .output()
        .unwrap()
}

fn site() -> (tempfile::TempDir, String) {
    let site = tempfile::tempdir().unwrap();
    let at = |name: &str| site.path().join(name);
    for folder in ["bin", "bucket", "build", "jobs", "secrets"] {
        fs::create_dir(at(folder)).unwrap();
    }
    fs::write(at("bin/aws"), AWS).unwrap();
    fs::set_permissions(at("bin/aws"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(at("bucket/kintsugi"), KINTSUGI).unwrap();
    fs::write(at("secrets/runner"), "token").unwrap();
    let digest = kintsugi_domain::digest::Digest::of(KINTSUGI.as_bytes());
    (site, digest.to_string())
}

#[test]
fn a_build_runs_the_pinned_program_until_no_job_waits() {
    let (site, digest) = site();
    for job in ["a", "b"] {
        fs::write(site.path().join("jobs").join(job), "").unwrap();
    }
    fs::write(site.path().join("secrets/forge"), "git").unwrap();
    let output = build(site.path(), &digest);
    assert!(output.status.success(), "{output:?}");
    let call = "runner --home https://home.example.org --token-file runner.token --work work --once --json token git\n";
    let calls = fs::read_to_string(site.path().join("calls")).unwrap();
    assert_eq!(calls, call.repeat(3));
    let token = fs::metadata(site.path().join("build/runner.token")).unwrap();
    assert_eq!(token.permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_build_without_credentials_for_git_hosts_goes_on_and_one_that_cannot_work_fails() {
    let (site, digest) = site();
    assert!(build(site.path(), &digest).status.success());
    fs::write(site.path().join("broken"), "").unwrap();
    assert!(!build(site.path(), &digest).status.success());
}

#[test]
fn a_build_runs_no_other_program_than_the_one_that_is_named() {
    let (site, _) = site();
    let other = kintsugi_domain::digest::Digest::of(b"another").to_string();
    for digest in [other.as_str(), ""] {
        assert!(!build(site.path(), digest).status.success());
        assert!(!site.path().join("calls").exists());
    }
}

#[test]
fn builds_are_off_unless_asked_for_and_begin_when_a_job_waits() {
    let template = Template::read();
    assert_eq!(template.at("/Parameters/Builds/Default"), "false");
    let resources = template.at("/Resources").as_object().unwrap();
    let builds: BTreeSet<&str> = resources
        .iter()
        .filter(|(_, resource)| resource.get("Condition") == Some(&json!("HasBuilds")))
        .map(|(name, _)| name.as_str())
        .collect();
    let wanted = [
        "BuildLogs",
        "BuildProject",
        "BuildRole",
        "BuildStart",
        "BuildStartRole",
        "JobsWaitAlarm",
    ];
    assert_eq!(builds, BTreeSet::from(wanted));
    let rule = template.at("/Resources/BuildStart/Properties");
    let pattern = &rule["EventPattern"];
    assert_eq!(
        super::texts(&pattern["resources"]),
        ["${JobsWaitAlarm.Arn}", "${JobsAgeAlarm.Arn}"]
    );
    assert_eq!(pattern["detail"], json!({"state": {"value": ["ALARM"]}}));
    assert_eq!(text(&rule["Targets"][0]["Arn"]), "${BuildProject.Arn}");
    let alarm = template.at("/Resources/JobsWaitAlarm/Properties");
    assert_eq!(
        text(&alarm["Dimensions"][0]["Value"]),
        "${JobsQueue.QueueName}"
    );
    assert!(alarm.get("AlarmActions").is_none(), "no person is told");
}

#[test]
fn a_build_may_read_its_program_and_two_secrets_and_what_starts_it_may_start_it() {
    let template = Template::read();
    let grant = |action: &str, resource: &str| -> Grant { (action.into(), resource.into()) };
    let start = grant("codebuild:StartBuild", "${BuildProject.Arn}");
    assert_eq!(grants(&template, "BuildStartRole"), BTreeSet::from([start]));
    let secret = "arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:kintsugi/${HomeName}";
    let expected = BTreeSet::from([
        grant("logs:CreateLogStream", "${BuildLogs.Arn}"),
        grant("logs:PutLogEvents", "${BuildLogs.Arn}"),
        grant("s3:GetObject", "${Bucket.Arn}/runner/*"),
        grant(
            "secretsmanager:GetSecretValue",
            &format!("{secret}/runner-*"),
        ),
        grant(
            "secretsmanager:GetSecretValue",
            &format!("{secret}/forge-*"),
        ),
        grant("kms:Decrypt", "${DataKey.Arn}"),
    ]);
    assert_eq!(grants(&template, "BuildRole"), expected);
    // No function may write the program that a build runs.
    for uses in super::STAGES {
        for (action, resource) in uses.grants() {
            assert!(action != "s3:PutObject" || !resource.contains("/runner/"));
        }
    }
}
