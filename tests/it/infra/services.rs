//! What services of AWS ask of the template that neither `cfn-lint` nor the emulator asks.

use super::template::{Template, text, texts};

/// What the pages of each service ask of a key's policy, with the calls that they leave open.
#[test]
fn the_services_that_use_the_data_key_by_themselves_may() {
    let template = Template::read();
    let statements = template.at("/Resources/DataKey/Properties/KeyPolicy/Statement");
    let actions = |sid: &str| {
        let mut statements = statements.as_array().unwrap().iter();
        let statement = statements.find(|it| it["Sid"] == sid).unwrap();
        texts(&statement["Action"])
    };
    let logs = [
        "Encrypt*",
        "Decrypt*",
        "ReEncrypt*",
        "GenerateDataKey*",
        "Describe*",
    ];
    assert_eq!(actions("Logs"), logs.map(|it| format!("kms:{it}")));
    assert_eq!(actions("Alarms"), ["kms:Decrypt", "kms:GenerateDataKey*"]);
    assert_eq!(actions("Edge"), ["kms:Decrypt"]);
}

/// S3 reads a plus sign in a path as a space. Versions have them, and so have the names of targets.
#[test]
fn the_edge_asks_the_bucket_for_plus_signs_as_s3_reads_them() {
    let template = Template::read();
    let behaviours =
        template.at("/Resources/Distribution/Properties/DistributionConfig/CacheBehaviors");
    let mut of_bucket = 0;
    for behaviour in behaviours.as_array().unwrap() {
        if behaviour["TargetOriginId"] != "bucket" {
            continue;
        }
        of_bucket += 1;
        let functions = behaviour["FunctionAssociations"].as_array().unwrap();
        assert_eq!(functions.len(), 1);
        assert_eq!(functions[0]["EventType"], "viewer-request");
        assert_eq!(
            text(&functions[0]["FunctionARN"]),
            "${PlusSigns.FunctionARN}"
        );
    }
    assert_eq!(of_bucket, 1);
    let function = template.at("/Resources/PlusSigns/Properties");
    assert_eq!(function["AutoPublish"], true);
    let code = text(&function["FunctionCode"]);
    assert!(code.contains(r#".replace(/\+/g, "%2B")"#), "{code}");
}
