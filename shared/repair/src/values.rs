//! Values of a report, rebuilt as literals.
//!
//! A client prints each leaf with `repr` and keeps lists and mappings as JSON; tuples and sets become
//! lists and keys become text on the way, which annotations restore. Objects are refused, with one
//! exception: data classes of the product whose printed form names only their own fields.
//! Containers that the client cut short (ten members) cannot be told from whole ones: such a call is
//! kept, because a test that does not fail before the fix is refused later anyway.

use crate::Source;
use crate::hint::Hint;
use crate::literal::Literal;
use crate::syntax::{self, Module};
use serde_json::Value;
use std::collections::BTreeMap;

/// Deepest nesting of JSON that is rebuilt.
const DEPTH_MAX: usize = 12;

/// Rebuilds one value, or says what stands in the way.
pub(crate) fn rebuild(value: &Value, hint: &Hint) -> Result<Literal, String> {
    rebuild_to(value, hint, DEPTH_MAX)
}

fn rebuild_to(value: &Value, hint: &Hint, depth: usize) -> Result<Literal, String> {
    let depth = depth.checked_sub(1).ok_or("nested too deep")?;
    match value {
        Value::Null => Ok(Literal::None),
        Value::Bool(known) => Ok(Literal::Bool(*known)),
        Value::Number(number) => Literal::parse(&number.to_string()).map_err(|why| why.to_string()),
        Value::String(text) if text == "[Filtered]" => Err("removed from the report".to_owned()),
        Value::String(text) => match Literal::parse(text) {
            Ok(Literal::Str(text)) if text == "[Filtered]" => {
                Err("removed from the report".to_owned())
            }
            Ok(literal) => Ok(literal),
            Err(why) => Err(why.to_string()),
        },
        Value::Array(items) => {
            let items: Result<Vec<Literal>, String> = items
                .iter()
                .enumerate()
                .map(|(index, item)| rebuild_to(item, &hint.member(index), depth))
                .collect();
            let items = items?;
            Ok(if hint.is_tuple() {
                Literal::Tuple(items)
            } else if hint.is_set() {
                Literal::Set(items)
            } else {
                Literal::List(items)
            })
        }
        Value::Object(members) => {
            let key_is_int = hint.arguments.first().is_some_and(|key| key.name == "int");
            let inner = hint.arguments.get(1).cloned().unwrap_or_default();
            let mut pairs = Vec::new();
            for (key, member) in members {
                let key = match Literal::int(key) {
                    Some(number) if key_is_int => number,
                    Some(_) | None => Literal::Str(key.clone()),
                };
                pairs.push((key, rebuild_to(member, &inner, depth)?));
            }
            Ok(Literal::Dict(pairs))
        }
    }
}

/// The data classes of the product, by name.
#[derive(Debug, Default)]
pub(crate) struct Classes {
    known: BTreeMap<String, Option<DataClass>>,
}

#[derive(Debug)]
struct DataClass {
    module: String,
    fields: Vec<String>,
}

impl Classes {
    /// Finds them. A name that two files define is ambiguous and stands for neither.
    pub(crate) fn find(sources: &[Source]) -> Self {
        let mut classes = Self::default();
        for module in sources.iter().filter_map(Module::parse) {
            let Some(dotted) = module.dotted() else {
                continue;
            };
            for node in syntax::named(module.root()) {
                if let Some((name, fields)) = data_class(&module, node) {
                    let class = DataClass {
                        module: dotted.clone(),
                        fields,
                    };
                    classes
                        .known
                        .entry(name)
                        .and_modify(|known| *known = None)
                        .or_insert(Some(class));
                }
            }
        }
        classes
    }

    /// The imports that a literal needs, as (module, name), or what stands in the way.
    pub(crate) fn imports(&self, literal: &Literal) -> Result<Vec<(String, String)>, String> {
        let mut used = Vec::new();
        literal.classes(&mut used);
        let mut imports = Vec::new();
        for (name, fields) in used {
            let Some(class) = self.known.get(name).and_then(Option::as_ref) else {
                return Err(format!("an object of {name}, which is no known data class"));
            };
            if !fields
                .iter()
                .all(|field| class.fields.iter().any(|known| known == field))
            {
                return Err(format!(
                    "an object of {name} with other fields than its class"
                ));
            }
            imports.push((class.module.clone(), name.to_owned()));
        }
        Ok(imports)
    }
}

/// Name and constructor fields of a plain data class at the top of a file.
fn data_class(module: &Module<'_>, node: tree_sitter::Node<'_>) -> Option<(String, Vec<String>)> {
    if node.kind() != "decorated_definition" {
        return None;
    }
    let decorators: Vec<&str> = syntax::named(node)
        .into_iter()
        .filter(|child| child.kind() == "decorator")
        .map(|child| module.text(child))
        .collect();
    let [decorator] = decorators.as_slice() else {
        return None;
    };
    let decorator = decorator.split('(').next().unwrap_or_default().trim();
    if !matches!(decorator, "@dataclass" | "@dataclasses.dataclass") {
        return None;
    }
    let class = node.child_by_field_name("definition")?;
    if class.kind() != "class_definition" || class.child_by_field_name("superclasses").is_some() {
        return None;
    }
    let mut fields = Vec::new();
    for statement in syntax::named(class.child_by_field_name("body")?) {
        let Some(assignment) = statement.named_child(0) else {
            continue;
        };
        let annotated =
            assignment.kind() == "assignment" && assignment.child_by_field_name("type").is_some();
        let text = module.text(assignment);
        let given = !text.contains("init=False") && !text.contains("ClassVar");
        if annotated && given {
            let left = assignment.child_by_field_name("left")?;
            fields.push(module.text(left).to_owned());
        }
    }
    let name = module.name(class);
    syntax::is_name(name).then(|| (name.to_owned(), fields))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn written(value: &Value, hint: &str) -> String {
        match rebuild(value, &Hint::read(hint)) {
            Ok(literal) => literal.write(),
            Err(why) => format!("refused: {why}"),
        }
    }

    #[test]
    fn annotations_restore_what_the_report_lost() {
        let value = json!([["1", "'a'"]]);
        assert_eq!(written(&value, ""), "[[1, \"a\"]]");
        assert_eq!(written(&value, "list[tuple[int, str]]"), "[(1, \"a\")]");
        assert_eq!(written(&json!({"1": "2"}), "dict[int, int]"), "{1: 2}");
        assert_eq!(written(&json!({"1": "2"}), "dict[str, int]"), "{\"1\": 2}");
        assert_eq!(written(&json!([]), "set[int]"), "set()");
    }

    #[test]
    fn what_was_removed_or_is_an_object_is_refused() {
        for value in [
            json!("[Filtered]"),
            json!("'[Filtered]'"),
            json!("<object object at 0x1>"),
            json!(["1", "<cyclic>"]),
            json!({"a": "'cut ..."}),
        ] {
            assert!(written(&value, "").starts_with("refused"), "{value}");
        }
    }

    #[test]
    fn only_data_classes_of_the_product_are_rebuilt() {
        let source = Source {
            path: "shop/model.py".into(),
            text: "from dataclasses import dataclass\n\n@dataclass\nclass Line:\n    name: str\n    count: int = 0\n\nclass Plain:\n    x: int\n".into(),
        };
        let classes = Classes::find(&[source]);
        let imports = |text: &str| classes.imports(&Literal::parse(text).unwrap());
        let line = vec![("shop.model".to_owned(), "Line".to_owned())];
        assert_eq!(imports("[Line(name='a', count=1)]"), Ok(line));
        assert!(imports("Line(other=1)").is_err());
        assert!(imports("Plain(x=1)").is_err());
        assert!(imports("Popen(args='x')").is_err());
    }
}
