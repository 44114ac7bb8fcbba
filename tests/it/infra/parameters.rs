//! What parameters of the template do to functions: a new value reaches the versions that requests go to, and mail is as narrow as
//! it was asked for.

#![expect(clippy::unwrap_used, reason = "test code")]

use super::template::{Template, text};
use serde_json::Value;
use std::collections::BTreeSet;

/// Most characters of a version's description.
const DESCRIPTION_CHARS_MAX: u64 = 256;

/// The parameters that a part of the template names.
fn named(template: &Template, part: &Value) -> BTreeSet<String> {
    let parameters = template.at("/Parameters").as_object().unwrap();
    let written = part.to_string();
    let is_named = |name: &&String| {
        let reference = format!(r#"{{"Ref":"{name}"}}"#);
        written.contains(&reference) || written.contains(&format!("${{{name}}}"))
    };
    parameters.keys().filter(is_named).cloned().collect()
}

/// How long the value of a parameter can be.
fn longest(parameter: &Value) -> u64 {
    if let Some(most) = parameter.get("MaxLength") {
        return most.as_u64().unwrap();
    }
    let allowed = parameter.get("AllowedValues").and_then(Value::as_array);
    if let Some(values) = allowed {
        return values.iter().map(|it| text(it).len() as u64).max().unwrap();
    }
    assert_eq!(parameter["Type"], "Number", "{parameter}: no bound");
    20
}

/// SAM publishes a version for new code. For a new value of a parameter it is `CloudFormation` that replaces the version, because its
/// description is another.
#[test]
fn a_new_value_of_a_parameter_is_another_version_of_every_function_that_has_it() {
    let template = Template::read();
    let globals = template.at("/Globals/Function");
    assert_eq!(globals["AutoPublishAlias"], "live");
    for (name, function) in template.of_type("AWS::Serverless::Function") {
        let own = function.get("Properties").unwrap();
        let mut given = BTreeSet::new();
        for part in ["Environment", "Tracing", "MemorySize", "Timeout"] {
            for properties in [globals, own] {
                given.extend(named(&template, &properties[part]));
            }
        }
        // Another name of the home is another function.
        given.remove("HomeName");
        assert!(given.contains("LogLevel"), "{name}");
        let description = &own["VersionDescription"];
        let told = named(&template, description);
        assert_eq!(told, given, "{name}: {description}");
        let mut longest_text = text(description).len() as u64;
        for parameter in &told {
            let declared = template.at(&format!("/Parameters/{parameter}"));
            longest_text = longest_text - parameter.len() as u64 - 3 + longest(declared);
        }
        assert!(
            longest_text <= DESCRIPTION_CHARS_MAX,
            "{name}: {longest_text}"
        );
    }
}

#[test]
fn mail_comes_from_one_address_of_one_identity_and_is_off_unless_it_is_asked_for() {
    let template = Template::read();
    let mails: Vec<_> = template
        .statements("NotifyRole")
        .into_iter()
        .filter(|it| it.actions == ["ses:SendEmail"])
        .collect();
    assert_eq!(mails.len(), 1);
    let from = mails[0].condition.pointer("/StringEquals/ses:FromAddress");
    assert_eq!(text(from.unwrap()), "${AlertMailFrom}");
    let statements = "/Resources/NotifyRole/Properties/Policies/0/PolicyDocument/Statement";
    let statements = template.at(statements).as_array().unwrap();
    let conditional: Vec<_> = statements
        .iter()
        .filter_map(|it| it.get("Fn::If"))
        .collect();
    assert_eq!(conditional.len(), 1);
    assert_eq!(conditional[0][0], "Mails");
    assert_eq!(conditional[0][1]["Action"], "ses:SendEmail");
    for parameter in ["AlertMailFrom", "AlertMailIdentity", "AlertMailTo"] {
        let default = template.at(&format!("/Parameters/{parameter}/Default"));
        assert_eq!(default, "", "{parameter}");
    }
}
