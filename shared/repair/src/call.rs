//! One frame of a stack as a call that can be made again.
//!
//! **A call is rebuilt only where the variables of the frame still are its arguments**: a parameter
//! that the function bound anew before it crashed refuses the frame. A parameter whose value was changed
//! in place does not: whether the call still crashes is seen when the test runs on the unchanged product.

use crate::hint::Hint;
use crate::literal::Literal;
use crate::place;
use crate::syntax::{self, Module};
use crate::values::{self, Classes};
use kintsugi_domain::event::Frame;
use std::collections::BTreeSet;
use tree_sitter::Node;

/// A call with rebuilt arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    /// The module of the function.
    pub(crate) module: String,
    /// The file of the function.
    pub(crate) path: String,
    /// The function.
    pub(crate) function: String,
    /// The arguments: a name, where they are given by name, and the value.
    pub(crate) arguments: Vec<(Option<String>, Literal)>,
    /// Classes that the arguments need, as (module, name).
    pub(crate) imports: BTreeSet<(String, String)>,
    /// Whether the result must be consumed for the body to run.
    pub(crate) generator: bool,
    /// What is known of the result.
    pub(crate) result: Expected,
}

impl Call {
    /// The arguments as source: in one line where they fit, else one a line.
    pub(crate) fn arguments(&self, indent: usize, lead: usize, width: usize) -> String {
        let one = |(name, value): &(Option<String>, Literal)| match name {
            Some(name) => format!("{name}={}", value.write()),
            None => value.write(),
        };
        let line: Vec<String> = self.arguments.iter().map(one).collect();
        let line = line.join(", ");
        if indent + lead + line.len() <= width {
            return line;
        }
        let inner = " ".repeat(indent + 4);
        let lines: Vec<String> = self
            .arguments
            .iter()
            .map(|(name, value)| {
                let name = name
                    .as_ref()
                    .map(|name| format!("{name}="))
                    .unwrap_or_default();
                let value = value.write_lines(indent + 4, name.len() + 1, width);
                format!("{inner}{name}{value},\n")
            })
            .collect();
        format!("\n{}{}", lines.concat(), " ".repeat(indent))
    }
}

/// What a call must give back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// An instance of this; the second argument of `isinstance` as source.
    Instance(&'static str),
    /// Anything but `None`.
    Something,
    /// `None` is a proper result.
    Anything,
}

/// One parameter of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parameter {
    /// Its name.
    pub(crate) name: String,
    /// Its annotation as source.
    pub(crate) hint: String,
    /// Its default as source.
    pub(crate) default: Option<String>,
    /// Whether it can be given by place only.
    pub(crate) by_place: bool,
}

/// The parameters of a function, or why they cannot be given.
pub(crate) fn parameters(
    module: &Module<'_>,
    function: Node<'_>,
) -> Result<Vec<Parameter>, String> {
    let mut parameters: Vec<Parameter> = Vec::new();
    let Some(list) = function.child_by_field_name("parameters") else {
        return Ok(parameters);
    };
    for node in syntax::named(list) {
        let name = node
            .child_by_field_name("name")
            .or_else(|| node.named_child(0));
        let field = |name: &str| node.child_by_field_name(name).map(|node| module.text(node));
        match node.kind() {
            "identifier" => parameters.push(Parameter {
                name: module.text(node).to_owned(),
                hint: String::new(),
                default: None,
                by_place: false,
            }),
            "typed_parameter" | "default_parameter" | "typed_default_parameter"
                if name.is_some_and(|name| name.kind() == "identifier") =>
            {
                parameters.push(Parameter {
                    name: name
                        .map(|name| module.text(name))
                        .unwrap_or_default()
                        .to_owned(),
                    hint: field("type").unwrap_or_default().to_owned(),
                    default: field("value").map(str::to_owned),
                    by_place: false,
                });
            }
            "positional_separator" => {
                for parameter in &mut parameters {
                    parameter.by_place = true;
                }
            }
            "keyword_separator" => {}
            _ => return Err("it takes any number of arguments".to_owned()),
        }
    }
    Ok(parameters)
}

/// Rebuilds the call of a frame, or says why it cannot be.
pub(crate) fn rebuild(
    frame: &Frame,
    module: &Module<'_>,
    classes: &Classes,
) -> Result<Call, String> {
    let dotted = module.dotted().ok_or("its file cannot be imported")?;
    let row = place::row_of(module, frame).ok_or("the line is not in this version")?;
    let statement = syntax::statement_at(module.root(), row).ok_or("the line is empty")?;
    let function = function_around(module, statement, &frame.function)?;
    let mut imports = BTreeSet::new();
    let mut arguments = Vec::new();
    for parameter in parameters(module, function)? {
        let name = &parameter.name;
        let Some(value) = frame.vars.get(name) else {
            if parameter.default.is_some() && !parameter.by_place {
                continue;
            }
            return Err(format!("`{name}` was not reported"));
        };
        if is_rebound(module, function, statement, name) {
            return Err(format!("`{name}` was bound anew before the crash"));
        }
        let literal = values::rebuild(value, &Hint::read(&parameter.hint))
            .map_err(|why| format!("`{name}`: {why}"))?;
        let needed = classes
            .imports(&literal)
            .map_err(|why| format!("`{name}`: {why}"))?;
        imports.extend(needed);
        let name = (!parameter.by_place).then(|| parameter.name.clone());
        arguments.push((name, literal));
    }
    Ok(Call {
        module: dotted,
        path: module.source.path.clone(),
        function: module.name(function).to_owned(),
        arguments,
        imports,
        generator: is_generator(function),
        result: expected(module, function),
    })
}

/// The function of a frame, if a test can call it by name.
fn function_around<'t>(
    module: &'t Module<'_>,
    statement: Node<'t>,
    reported: &str,
) -> Result<Node<'t>, String> {
    let function = match syntax::function_of(statement) {
        Some(function) => function,
        None if statement.kind() == "function_definition" => statement,
        None => return Err("it is not in a function".to_owned()),
    };
    let name = module.name(function);
    if reported.rsplit('.').next() != Some(name) {
        return Err("it is a function without a name of its own".to_owned());
    }
    if !syntax::is_name(name) {
        return Err("its name cannot be written in ASCII".to_owned());
    }
    let mut holder = function.parent();
    if let Some(decorated) = holder.filter(|node| node.kind() == "decorated_definition") {
        let transparent = syntax::named(decorated)
            .into_iter()
            .filter(|child| child.kind() == "decorator")
            .all(|child| {
                let text = module.text(child).trim_start_matches("@functools.");
                let text = text.trim_start_matches('@');
                text.starts_with("lru_cache") || text == "cache"
            });
        if !transparent {
            return Err("it is decorated".to_owned());
        }
        holder = decorated.parent();
    }
    if holder.is_none_or(|node| node.kind() != "module") {
        return Err("it is a method, or inside another function".to_owned());
    }
    if syntax::children(function)
        .first()
        .is_some_and(|first| first.kind() == "async")
    {
        return Err("it is asynchronous".to_owned());
    }
    Ok(function)
}

/// Whether a function binds `name` anew on the way to `crash`.
fn is_rebound(module: &Module<'_>, function: Node<'_>, crash: Node<'_>, name: &str) -> bool {
    let loops = syntax::loops_of(crash);
    syntax::body_of(function)
        .into_iter()
        .filter(|node| binds(module, *node, name))
        .any(|node| {
            let earlier = node.end_byte() <= crash.start_byte();
            // The header of a compound statement binds before its body runs.
            let around = syntax::within(crash, node) && node != crash;
            earlier || around || loops.iter().any(|round| syntax::within(node, *round))
        })
}

/// Whether a node itself binds a name.
pub(crate) fn binds(module: &Module<'_>, node: Node<'_>, name: &str) -> bool {
    let names = |target: Node<'_>| {
        syntax::descendants_where(target, |node| {
            !matches!(node.kind(), "attribute" | "subscript" | "call")
        })
        .into_iter()
        .any(|node| node.kind() == "identifier" && module.text(node) == name)
    };
    let field = |field: &str| node.child_by_field_name(field).is_some_and(names);
    match node.kind() {
        "assignment" | "augmented_assignment" | "for_statement" => node
            .child_by_field_name("left")
            .is_some_and(|left| !matches!(left.kind(), "attribute" | "subscript") && names(left)),
        "as_pattern_target" | "delete_statement" | "global_statement" | "nonlocal_statement" => {
            names(node)
        }
        "import_statement" | "import_from_statement" => node
            .children_by_field_name("name", &mut node.walk())
            .any(names),
        "named_expression" | "function_definition" | "class_definition" => field("name"),
        "case_pattern" => names(node),
        _ => false,
    }
}

/// Whether calling a function only makes a generator.
pub(crate) fn is_generator(function: Node<'_>) -> bool {
    syntax::body_of(function)
        .iter()
        .any(|node| node.kind() == "yield")
}

/// What a function gives back, by its annotation or else by its `return` statements.
fn expected(module: &Module<'_>, function: Node<'_>) -> Expected {
    if is_generator(function) {
        return Expected::Something;
    }
    if let Some(annotation) = function.child_by_field_name("return_type") {
        let hint = Hint::read(module.text(annotation));
        return match hint.checkable() {
            _ if hint.optional || hint.name == "none" || hint.name == "noreturn" => {
                Expected::Anything
            }
            Some(instance) => Expected::Instance(instance),
            None => Expected::Something,
        };
    }
    let returns: Vec<Node<'_>> = syntax::body_of(function)
        .into_iter()
        .filter(|node| node.kind() == "return_statement")
        .collect();
    let all_give = returns.iter().all(|node| {
        node.named_child(0)
            .is_some_and(|value| value.kind() != "none")
    });
    if !returns.is_empty() && all_give {
        Expected::Something
    } else {
        Expected::Anything
    }
}
