//! The template of the AWS home, read by `cfn-lint`'s own reader.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "test code")]

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Prints a template as JSON, short forms of functions written out: `!Ref A` as `{"Ref": "A"}`.
const READ: &str = "import json, sys; from cfnlint.decode import cfn_yaml; \
                    print(json.dumps(cfn_yaml.load(sys.argv[1])))";

/// The template.
pub(super) struct Template(Value);

/// One statement of a policy.
pub(super) struct Statement {
    pub(super) sid: String,
    pub(super) actions: Vec<String>,
    pub(super) resources: Vec<String>,
    pub(super) condition: Value,
}

/// The repository.
pub(super) fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap().to_owned()
}

/// Where the template lies.
pub(super) fn path() -> PathBuf {
    root().join("infra/template.yaml")
}

pub(super) fn interpreter() -> PathBuf {
    let named = std::env::var_os("KINTSUGI_TEST_PYTHON");
    named
        .expect("KINTSUGI_TEST_PYTHON must name a Python with cfn-lint: run `cargo xtask test`")
        .into()
}

/// Runs `cfn-lint` over the template.
pub(super) fn lint() -> Output {
    let program = interpreter().with_file_name("cfn-lint");
    Command::new(program).arg(path()).output().unwrap()
}

impl Template {
    pub(super) fn read() -> Self {
        let python = Command::new(interpreter())
            .args(["-c", READ])
            .arg(path())
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&python.stderr);
        assert!(python.status.success(), "{error}");
        Self(serde_json::from_slice(&python.stdout).unwrap())
    }

    /// What lies at a JSON pointer; null where nothing is.
    pub(super) fn at(&self, pointer: &str) -> &Value {
        self.0.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// The resources of a type by their names.
    pub(super) fn of_type(&self, kind: &str) -> BTreeMap<&str, &Value> {
        let all = self.at("/Resources").as_object().unwrap();
        all.iter()
            .filter(|(_, resource)| resource.get("Type").is_some_and(|it| it == kind))
            .map(|(name, resource)| (name.as_str(), resource))
            .collect()
    }

    /// What a role's own policies allow, or a managed policy.
    pub(super) fn statements(&self, name: &str) -> Vec<Statement> {
        self.of_effect(name, "Allow")
    }

    /// What they deny, whatever else is allowed.
    pub(super) fn denials(&self, name: &str) -> Vec<Statement> {
        self.of_effect(name, "Deny")
    }

    fn of_effect(&self, name: &str, effect: &str) -> Vec<Statement> {
        let properties = self.at(&format!("/Resources/{name}/Properties"));
        let own = properties.get("Policies").and_then(Value::as_array);
        let documents = own.into_iter().flatten().chain([properties]);
        documents
            .filter_map(|policy| policy.pointer("/PolicyDocument/Statement")?.as_array())
            .flatten()
            // One that a parameter turns off counts as one that is there.
            .map(|statement| statement.pointer("/Fn::If/1").unwrap_or(statement))
            .filter(|statement| statement.get("Effect").is_some_and(|it| it == effect))
            .map(|statement| {
                let part = |name| statement.get(name).unwrap_or(&Value::Null);
                Statement {
                    sid: text(part("Sid")),
                    actions: texts(part("Action")),
                    resources: texts(part("Resource")),
                    condition: part("Condition").clone(),
                }
            })
            .collect()
    }
}

/// A value as text: `Fn::Sub` as it stands, `Ref` as `${Name}`, `Fn::GetAtt` as `${Name.Attribute}`.
pub(super) fn text(value: &Value) -> String {
    if let Some(plain) = value.as_str() {
        return plain.to_owned();
    }
    if let Some(template) = value.get("Fn::Sub").and_then(Value::as_str) {
        return template.to_owned();
    }
    if let Some(name) = value.get("Ref").and_then(Value::as_str) {
        return format!("${{{name}}}");
    }
    if let Some(parts) = value.get("Fn::GetAtt").and_then(Value::as_array) {
        let parts: Vec<&str> = parts.iter().filter_map(Value::as_str).collect();
        return format!("${{{}}}", parts.join("."));
    }
    value.to_string()
}

/// One text, or a list of them.
pub(super) fn texts(value: &Value) -> Vec<String> {
    match value.as_array() {
        Some(list) => list.iter().map(text).collect(),
        None => vec![text(value)],
    }
}

/// The name of a thing as resources begin with it: `events` as `Events`.
pub(super) fn titled(name: &str) -> String {
    let (first, rest) = name.split_at(1);
    format!("{}{rest}", first.to_uppercase())
}
