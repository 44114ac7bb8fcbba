//! Tokens, the keys that sign them, and what is taken back.

use super::super::auth::access;
use super::*;
use kintsugi_trust::access::{TOKEN_DAYS_MAX, TOKEN_LIFE_MAX};
use kintsugi_trust::jws;

impl Home {
    fn token(&self, subject: &str, hours: u32) -> String {
        let action = Action::IssueToken {
            subject: subject.into(),
            role: Role::Releaser,
            hours,
            reason: String::new(),
        };
        let answer = self.take(action);
        let Answer::Token { token, .. } = answer else {
            panic!("{answer:?}");
        };
        token.0
    }

    fn is_taken(&self, token: &str) -> bool {
        block_on(authenticate(&self.admin.ports, token)).is_ok()
    }

    fn why_not(&self, token: &str) -> &'static str {
        match block_on(authenticate(&self.admin.ports, token)) {
            Err(AuthError::Token(error)) => error.code(),
            other => panic!("{other:?}"),
        }
    }
}

fn rotate() -> Action {
    Action::RotateKeys {
        reason: String::new(),
    }
}

#[test]
fn after_a_rotation_older_tokens_stay_good_until_they_end_and_new_ones_have_the_new_key() {
    let home = home();
    let old = home.token("ada", 24 * TOKEN_DAYS_MAX);
    let Answer::TokenKey { key } = home.take(rotate()) else {
        panic!("not a key");
    };
    let new = home.token("ada", 1);
    assert_eq!(key.generation, 2);
    assert_eq!(jws::key_id(&new).unwrap(), key.kid);
    assert_ne!(jws::key_id(&old).unwrap(), key.kid);
    assert!(home.is_taken(&old) && home.is_taken(&new));
    home.clock
        .advance(TOKEN_LIFE_MAX.saturating_sub(Duration::from_mins(1)));
    assert!(home.is_taken(&old), "until its own end");
    home.clock.advance(Duration::from_mins(2));
    assert_eq!(home.why_not(&old), "token.expired");
    home.clock.advance(Duration::from_hours(24));
    assert_eq!(home.why_not(&old), "jws.unknown_key", "its key is gone too");
}

#[test]
fn a_key_that_is_retired_ends_every_token_it_signed_at_once() {
    let home = home();
    let old = home.token("ada", 1);
    let kid = jws::key_id(&old).unwrap();
    let retire = || Action::RetireKey {
        kid: kid.clone(),
        reason: "it leaked".into(),
    };
    assert_eq!(home.refused(retire()), "token_key.current");
    home.take(rotate());
    let new = home.token("ada", 1);
    home.take(retire());
    assert_eq!(home.why_not(&old), "jws.unknown_key");
    assert!(home.is_taken(&new));
    assert_eq!(home.refused(retire()), "token_key.unknown");
    let told: Vec<String> = home.audit().into_iter().map(|line| line.what).collect();
    let wanted = [
        "token_key.retire",
        "token.issue",
        "token_key.rotate",
        "token.issue",
    ];
    assert_eq!(told, wanted, "the newest first");
}

#[test]
fn a_key_that_the_record_does_not_name_is_not_even_made() {
    let home = home();
    let kid = |generation| {
        let ports = &home.admin.ports;
        let key = block_on(auth::public_key(ports, generation));
        key.unwrap().key_id().to_string()
    };
    // The home's own signer would sign with it, but it was never made current.
    let mut foreseen = block_on(access(&home.admin.ports)).unwrap().value;
    foreseen.rotate(kid(2), home.admin.ports.now()).unwrap();
    let hour = Duration::from_hours(1);
    let sign = auth::sign_token(&home.admin.ports, &foreseen, "eve", Role::Admin, hour);
    let (_, token) = block_on(sign).unwrap();
    assert_eq!(home.why_not(&token), "jws.unknown_key");
    home.take(rotate());
    assert!(home.is_taken(&token));
}

#[test]
fn a_token_is_taken_back_by_its_id_and_others_stay() {
    let home = home();
    let (one, other) = (home.token("ada", 1), home.token("ada", 1));
    let id = block_on(authenticate(&home.admin.ports, &one)).unwrap().jti;
    let revoke = |id: &str| Action::RevokeToken {
        id: id.into(),
        reason: "lost laptop".into(),
    };
    home.take(revoke(&id));
    assert_eq!(home.why_not(&one), "token.revoked");
    assert!(home.is_taken(&other));
    assert_eq!(home.refused(revoke("")), "token.id");
    assert_eq!(home.refused(revoke("a b")), "token.id");
    let line = home.audit().into_iter().next().unwrap();
    assert!(
        line.on.contains(&id) && line.why.contains("lost laptop"),
        "{line:?}"
    );
}

#[test]
fn everything_of_a_subject_is_taken_back_and_what_is_made_afterwards_is_good() {
    let home = home();
    let (ada, bob) = (home.token("ada", 1), home.token("bob", 1));
    home.take(Action::RevokeSubject {
        subject: "ada".into(),
        reason: String::new(),
    });
    assert_eq!(home.why_not(&ada), "token.revoked");
    assert!(home.is_taken(&bob));
    // In the very same second, too.
    let hour = Duration::from_hours(1);
    let again = block_on(issue_token(&home.admin.ports, "ada", Role::Viewer, hour)).unwrap();
    assert!(home.is_taken(&again));
}

#[test]
fn only_admins_issue_revoke_and_rotate_and_every_time_is_bounded() {
    let home = home();
    let issue = |subject: &str, hours| Action::IssueToken {
        subject: subject.into(),
        role: Role::Viewer,
        hours,
        reason: String::new(),
    };
    for action in [
        issue("eve", 1),
        rotate(),
        Action::RevokeSubject {
            subject: "ada".into(),
            reason: String::new(),
        },
        Action::RemoveIssuer { url: String::new() },
    ] {
        let Done::Refused(refusal) = home.run_as(Role::Releaser, action) else {
            panic!("taken");
        };
        assert_eq!(refusal.code, "token.role");
    }
    for (subject, hours, code) in [
        ("eve", 0, "token.hours"),
        ("eve", 24 * TOKEN_DAYS_MAX + 1, "token.hours"),
        ("", 1, "token.subject"),
        ("eve|https://issuer.example", 1, "token.subject"),
        ("a\nb", 1, "token.subject"),
    ] {
        assert_eq!(home.refused(issue(subject, hours)), code, "{subject:?}");
    }
    assert!(home.audit().is_empty());
}

#[test]
fn no_log_shows_a_token() {
    let home = home();
    let answer = home.take(Action::IssueToken {
        subject: "ada".into(),
        role: Role::Viewer,
        hours: 1,
        reason: String::new(),
    });
    let Answer::Token { token, .. } = &answer else {
        panic!("not a token");
    };
    assert!(!format!("{answer:?}").contains(&token.0));
    assert!(serde_json::to_string(&answer).unwrap().contains(&token.0));
}

#[test]
fn whoever_deploys_the_home_gets_an_admins_token_of_a_day_at_most() {
    let home = home();
    let order = |hours| FirstToken {
        subject: "ada".into(),
        hours,
    };
    let done = block_on(home.admin.first_token(&order(24))).unwrap();
    let Done::Answer(Answer::Token { token, role, .. }) = done else {
        panic!("{done:?}");
    };
    assert_eq!(role, Role::Admin);
    assert!(home.is_taken(&token.0));
    let line = home.audit().into_iter().next().unwrap();
    assert_eq!(line.by, "whoever deploys the home");
    let done = block_on(home.admin.first_token(&order(25))).unwrap();
    assert!(matches!(done, Done::Refused(_)), "{done:?}");
}

#[test]
fn an_issuer_is_kept_once_and_only_with_addresses_that_are_safe() {
    let home = home();
    let issuer = |keys: &str| kintsugi_trust::access::Issuer {
        url: "https://login.example".into(),
        audience: "kintsugi".into(),
        keys: keys.into(),
        claim: "groups".into(),
        roles: [("releasers".to_owned(), Role::Releaser)].into(),
    };
    let put = |keys: &str| Action::PutIssuer {
        issuer: issuer(keys),
    };
    home.take(put("https://login.example/keys"));
    home.take(put("https://login.example/other"));
    let known = block_on(access(&home.admin.ports)).unwrap().value.issuers;
    assert_eq!(known, [issuer("https://login.example/other")]);
    for hostile in [
        "http://login.example/keys",
        "file:///etc/passwd",
        "http://127.0.0.1:x@login.example/keys",
        "http://localhost.login.example/keys",
        "https://login.example/ keys",
    ] {
        assert_eq!(home.refused(put(hostile)), "issuer.invalid", "{hostile}");
    }
    let remove = || Action::RemoveIssuer {
        url: "https://login.example".into(),
    };
    home.take(remove());
    assert_eq!(home.refused(remove()), "issuer.unknown");
}
