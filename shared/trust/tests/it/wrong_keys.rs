//! Keys of another curve or algorithm: refused, and named as what they are. `openssl` drew them.

use crate::repository::{later, public};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kintsugi_trust::key::{KeyError, PublicKey, SecretKey};
use kintsugi_trust::tuf::{Role, RoleKeys, Roles, Root, RootDraft};
use serde_json::Value;

const OTHER_CURVES: [(&str, &str); 6] = [
    (
        "P-256 (1.2.840.10045.3.1.7)",
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE6ijSPh79RkQlrF+mQnZidX4pdqgWd2+F7fn0w9CmViTMTdsug2CzRR06kGHniTclNmjnhI1EKT8jUK2bMTp7VQ==",
    ),
    (
        "P-521 (1.3.132.0.35)",
        "MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQAvDRMeaHaj98ivYJvlaEIRDTcm1mecOtqQy9dh2T8bloTzboTLuMY80XYb/aagdyMjk3YLkUys/c4Sl/hVqOrrVIAa1yE0Vo6xXh7WHbkYHGP/CZ2RELvHtqyscx10KtEFtZzVdNQ70+hCMHAvy1N0EQ/Oc9QzAy6TaHtJbO0gdWZf90=",
    ),
    (
        "secp256k1 (1.3.132.0.10)",
        "MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAEvI11Z8rM7HGCdxRYumZJonzSlb3jEDXqjmVGQQeQX+jLkZ0HX7Rf7WfNDQYrtziLQf66K2LiYDRma8MAtVyW5Q==",
    ),
    (
        "brainpoolP384r1 (1.3.36.3.3.2.8.1.1.11)",
        "MHowFAYHKoZIzj0CAQYJKyQDAwIIAQELA2IABBzxWYrVeF+RcSElpB7U1Se9NcBmDSxq2BspokSTvTLj18+zCwVp12jZV1sTdsJurE/39lVExXb6sLIGL6kbxPlRKh0QRRtemPZRGSyzy6tZ+XQ9BVKLBVmq8rBCucmTyA==",
    ),
    (
        "1.3.132.0.16",
        "MF4wEAYHKoZIzj0CAQYFK4EEABADSgAEAgjGhpuDAuU1fHKYmPWWfVzX8UwZA/7oBIABEqkGU2+Ot/urBw5001LzGWicq0+6iFzPy5G/Q+1USHk0exXRPOP7Klep0R3N",
    ),
    (
        "without a name",
        "MIIBSzCCAQMGByqGSM49AgEwgfcCAQEwLAYHKoZIzj0BAQIhAP////8AAAABAAAAAAAAAAAAAAAA////////////////MFsEIP////8AAAABAAAAAAAAAAAAAAAA///////////////8BCBaxjXYqjqT57PrvVV2mIa8ZR0GsMxTsPY7zjw+J9JgSwMVAMSdNgiG5wSTamZ44ROdJreBn36QBEEEaxfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9QIhAP////8AAAAA//////////+85vqtpxeehPO5ysL8YyVRAgEBA0IABH8o4awz1eCkPubvkOhbsqbYEsrdjBl7QgajSHnQxNGT98phB1BfFXcIMoN3Vm08fVhVUWXHWZ12xqY8kelNtF4=",
    ),
];
const OTHER_ALGORITHMS: [(&str, &str); 2] = [
    (
        "Ed25519 (1.3.101.112)",
        "MCowBQYDK2VwAyEAZSOnwiF9uhPZQB2fvx8fNEK4jwzXG55XsJ0b8l3srTU=",
    ),
    (
        "RSA (1.2.840.113549.1.1.1)",
        "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCh1AuayGYsSqIKVG+T1eBk+OIMRsKdCLbiC1ndN+kj0AHOY2fcyKpxBQu+fmBzkJBPNAboWtI38qv/XhSGyNp+frlEaSXr2K/5M9Q4HkaXO2/CNH8YAwgQsmuNn2Oj7xhlsALD91SsvFzssgzaEb5tNoGjhDLzHG39QtNXGcUAEwIDAQAB",
    ),
];

/// DER in base64 as PEM.
fn pem(base64: &str) -> String {
    let mut text = "-----BEGIN PUBLIC KEY-----\n".to_owned();
    for line in base64.as_bytes().chunks(64) {
        text.push_str(std::str::from_utf8(line).unwrap());
        text.push('\n');
    }
    text + "-----END PUBLIC KEY-----\n"
}

#[test]
fn empty_lines_after_a_key_mean_nothing() {
    let key = public(1);
    for more in ["", "\n", "\r\n\r\n", " \n\n"] {
        let text = format!("{}{more}", key.pem());
        assert_eq!(PublicKey::from_pem(&text).as_ref(), Ok(&key), "{more:?}");
        let mut value = key.to_value();
        value["keyval"]["public"] = text.into();
        assert_eq!(PublicKey::from_value(&value).as_ref(), Some(&key));
    }
}

#[test]
fn a_key_of_the_wrong_curve_is_refused_with_the_curve_that_it_names() {
    for (found, der) in OTHER_CURVES {
        let error = PublicKey::from_pem(&pem(der)).unwrap_err();
        let expected =
            format!("a key on the curve {found}, where one on P-384 (1.3.132.0.34) is needed");
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.code(), "key.wrong_curve");
    }
    for (found, der) in OTHER_ALGORITHMS {
        let error = PublicKey::from_pem(&pem(der)).unwrap_err();
        let expected = format!("a key for {found}, where one for ECDSA on P-384 is needed");
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.code(), "key.wrong_algorithm");
    }
}

#[test]
fn a_private_key_of_the_wrong_curve_is_refused_with_the_curve_that_it_names() {
    let der = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgAaSSHRoCM8siQXxfSgId5bi+hTpPs6v/K3d3Fcqfj/+hRANCAASfo5HHHD8I/UoPFZhYupGq8ACxuynG+7kO8rzVX/2Vr/DM4CoNZgeBrNx1Dx14/WmjIa9SohpNRl9++N2D9HqL";
    let der = STANDARD.decode(der).unwrap();
    let error = SecretKey::from_pkcs8_der(&der).unwrap_err();
    let found = "P-256 (1.2.840.10045.3.1.7)".to_owned();
    assert_eq!(error, KeyError::WrongCurve { found });
}

#[test]
fn what_is_no_key_at_all_is_called_that() {
    let point_of_no_curve = STANDARD.decode(OTHER_CURVES[0].1).unwrap();
    let (cut, _) = point_of_no_curve.split_at(40);
    let right = public(1).pem().replace("BEGIN PUBLIC", "BEGIN PRIVATE");
    for text in [
        String::new(),
        pem(""),
        pem(&STANDARD.encode(cut)),
        pem(OTHER_CURVES[0].1).replace("PUBLIC", "EC PRIVATE"),
        right,
    ] {
        let error = PublicKey::from_pem(&text);
        assert_eq!(error, Err(KeyError::NotAPublicKey), "{text}");
    }
}

#[test]
fn a_root_with_a_key_of_the_wrong_curve_says_which_key_and_which_curve() {
    let of = |role| RoleKeys::new(role, &[public(1)], 1).unwrap();
    let [root, targets, snapshot, timestamp] =
        [Role::Root, Role::Targets, Role::Snapshot, Role::Timestamp].map(of);
    let roles = Roles {
        root,
        targets,
        snapshot,
        timestamp,
    };
    let draft = RootDraft::new(Root::new(1, later(), roles)).unwrap();
    let mut file: Value = serde_json::from_str(&draft.to_text().unwrap()).unwrap();
    let id = public(1).key_id();
    file["signed"]["keys"][id.as_str()]["keyval"]["public"] = pem(OTHER_CURVES[0].1).into();
    let error = RootDraft::read(file.to_string().as_bytes(), None).unwrap_err();
    let expected = format!(
        "key {id}: a key on the curve P-256 (1.2.840.10045.3.1.7), where one on P-384 (1.3.132.0.34) is needed"
    );
    assert_eq!(error.to_string(), expected);
    assert_eq!(error.code(), "key.wrong_curve");
}
