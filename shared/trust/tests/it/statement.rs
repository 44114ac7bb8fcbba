//! Release statements and rollback grants: what they bind, and what must not pass for them.

use crate::repository::{at, later, now, past, public, secret};
use kintsugi_domain::channel::{Package, Target};
use kintsugi_domain::digest::Digest;
use kintsugi_domain::id::ProjectId;
use kintsugi_domain::job::Content;
use kintsugi_trust::jws::{self, JwsError};
use kintsugi_trust::key::PublicKey;
use kintsugi_trust::statement::{
    RELEASE_TYP, ReleaseExpectation, ReleaseStatement, RollbackExpectation, RollbackGrant,
    STATEMENT_FORMAT, StatementError,
};
use semver::Version;
use serde_json::json;

fn statement() -> ReleaseStatement {
    ReleaseStatement {
        format: STATEMENT_FORMAT,
        project: ProjectId(1),
        app: "till".into(),
        channel: "stable".into(),
        platform: "linux".into(),
        arch: "x86_64".into(),
        version: Version::new(1, 0, 1),
        build: 7,
        target: "packages/till-1.0.1.tar.zst".parse().unwrap(),
        digest: Digest::of(b"package"),
        length: 7,
        content_digest: Digest::of(b"content"),
        content_length: 8,
        required_stop: false,
        issued_at: past(),
        expires: later(),
    }
}

fn grant() -> RollbackGrant {
    RollbackGrant {
        format: STATEMENT_FORMAT,
        project: ProjectId(1),
        app: "till".into(),
        channel: "stable".into(),
        from: Version::new(1, 0, 1),
        to: Version::new(1, 0, 0),
        reason: "the new version does not start".into(),
        issued_at: past(),
        expires: later(),
    }
}

fn kid() -> String {
    public(4).key_id().to_string()
}

fn keys(id: &str) -> Option<PublicKey> {
    (id == kid()).then(|| public(4))
}

fn sign(input: &str) -> String {
    jws::assemble(input, &secret(4).sign(input.as_bytes()).unwrap()).unwrap()
}

fn field(result: Result<(), StatementError>) -> &'static str {
    let StatementError::Mismatch { field, .. } = result.unwrap_err() else {
        panic!("not a mismatch")
    };
    field
}

#[test]
fn a_statement_comes_back_as_it_was_signed() {
    let token = sign(&statement().signing_input(&kid()).unwrap());
    assert_eq!(ReleaseStatement::verify(&token, keys), Ok(statement()));
    let token = sign(&grant().signing_input(&kid()).unwrap());
    assert_eq!(RollbackGrant::verify(&token, keys), Ok(grant()));
}

#[test]
fn a_statement_about_anything_else_is_refused_by_name() {
    let version = Version::new(1, 0, 1);
    let expected = ReleaseExpectation {
        project: ProjectId(1),
        app: "till",
        channel: "stable",
        platform: "linux",
        arch: "x86_64",
        version: &version,
    };
    assert_eq!(statement().check(&expected, now()), Ok(()));
    let older = Version::new(1, 0, 0);
    for (name, expected) in [
        (
            "project",
            ReleaseExpectation {
                project: ProjectId(2),
                ..expected
            },
        ),
        (
            "app",
            ReleaseExpectation {
                app: "other",
                ..expected
            },
        ),
        (
            "channel",
            ReleaseExpectation {
                channel: "beta",
                ..expected
            },
        ),
        (
            "platform",
            ReleaseExpectation {
                platform: "windows",
                ..expected
            },
        ),
        (
            "arch",
            ReleaseExpectation {
                arch: "aarch64",
                ..expected
            },
        ),
        (
            "version",
            ReleaseExpectation {
                version: &older,
                ..expected
            },
        ),
    ] {
        assert_eq!(field(statement().check(&expected, now())), name);
    }
    let any = ReleaseStatement {
        platform: "any".into(),
        arch: "any".into(),
        ..statement()
    };
    assert_eq!(any.check(&expected, now()), Ok(()));
}

#[test]
fn a_package_other_than_the_stated_one_is_refused_by_name() {
    type Spoil = fn(&mut Package);
    let package = || Package {
        platform: "linux".into(),
        arch: "x86_64".into(),
        full: Target {
            path: "packages/till-1.0.1.tar.zst".into(),
            digest: Digest::of(b"package"),
            length: 7,
        },
        content: Content {
            digest: Digest::of(b"content"),
            length: 8,
        },
        deltas: vec![],
        statement: String::new(),
    };
    assert_eq!(statement().check_package(&package()), Ok(()));
    let spoils: [(&str, Spoil); 5] = [
        ("target", |p| {
            p.full.path = "packages/till-1.0.0.tar.zst".into();
        }),
        ("digest", |p| p.full.digest = Digest::of(b"other")),
        ("length", |p| p.full.length = 1),
        ("content_digest", |p| {
            p.content.digest = Digest::of(b"other");
        }),
        ("content_length", |p| p.content.length = 1),
    ];
    for (name, spoil) in spoils {
        let mut package = package();
        spoil(&mut package);
        assert_eq!(field(statement().check_package(&package)), name);
    }
}

#[test]
fn a_grant_for_another_step_is_refused_by_name() {
    let (from, to) = (Version::new(1, 0, 1), Version::new(1, 0, 0));
    let other = Version::new(0, 9, 0);
    let expected = RollbackExpectation {
        project: ProjectId(1),
        app: "till",
        channel: "stable",
        from: &from,
        to: &to,
    };
    assert_eq!(grant().check(&expected, now()), Ok(()));
    for (name, expected) in [
        (
            "project",
            RollbackExpectation {
                project: ProjectId(2),
                ..expected
            },
        ),
        (
            "app",
            RollbackExpectation {
                app: "other",
                ..expected
            },
        ),
        (
            "channel",
            RollbackExpectation {
                channel: "beta",
                ..expected
            },
        ),
        (
            "from",
            RollbackExpectation {
                from: &other,
                ..expected
            },
        ),
        (
            "to",
            RollbackExpectation {
                to: &other,
                ..expected
            },
        ),
    ] {
        assert_eq!(field(grant().check(&expected, now())), name);
    }
}

#[test]
fn an_expired_statement_is_refused() {
    let version = Version::new(1, 0, 1);
    let expected = ReleaseExpectation {
        project: ProjectId(1),
        app: "till",
        channel: "stable",
        platform: "linux",
        arch: "x86_64",
        version: &version,
    };
    let expires = later();
    assert_eq!(
        statement().check(&expected, later()),
        Err(StatementError::Expired { expires })
    );
    let before = at("2026-11-22T11:59:59Z");
    assert_eq!(statement().check(&expected, before), Ok(()));
}

#[test]
fn a_grant_cannot_stand_for_a_release_nor_the_other_way_round() {
    let release = sign(&statement().signing_input(&kid()).unwrap());
    let rollback = sign(&grant().signing_input(&kid()).unwrap());
    let is_type = |error| matches!(error, StatementError::Jws(JwsError::Type { .. }));
    assert!(is_type(
        ReleaseStatement::verify(&rollback, keys).unwrap_err()
    ));
    assert!(is_type(RollbackGrant::verify(&release, keys).unwrap_err()));
}

#[test]
fn a_statement_with_an_unknown_field_or_format_is_refused() {
    let mut more = serde_json::to_value(statement()).unwrap();
    more["also"] = json!(true);
    let token = sign(&jws::signing_input(&kid(), RELEASE_TYP, &more).unwrap());
    let error = ReleaseStatement::verify(&token, keys).unwrap_err();
    assert_eq!(error.code(), "jws.claims");
    let newer = ReleaseStatement {
        format: 2,
        ..statement()
    };
    let token = sign(&newer.signing_input(&kid()).unwrap());
    assert_eq!(
        ReleaseStatement::verify(&token, keys),
        Err(StatementError::Format { found: 2 })
    );
}

#[test]
fn a_statement_with_an_unsafe_target_is_refused() {
    let mut hostile = serde_json::to_value(statement()).unwrap();
    hostile["target"] = json!("../../etc/cron.d/x");
    let token = sign(&jws::signing_input(&kid(), RELEASE_TYP, &hostile).unwrap());
    assert!(ReleaseStatement::verify(&token, keys).is_err());
}
