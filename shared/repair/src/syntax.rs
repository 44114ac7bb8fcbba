//! Python source as a syntax tree, and the questions the rest of this crate asks it.
//!
//! Everything here reads; edits are made in [`crate::edit`].

use crate::Source;
use tree_sitter::{Node, Parser, Tree};

/// Kinds of nodes that hold statements.
const BLOCKS: [&str; 2] = ["block", "module"];
/// Kinds of nodes that open a scope of their own inside an expression.
pub(crate) const INNER_SCOPES: [&str; 5] = [
    "list_comprehension",
    "set_comprehension",
    "dictionary_comprehension",
    "generator_expression",
    "lambda",
];

/// A parsed file.
#[derive(Debug)]
pub(crate) struct Module<'s> {
    /// The file.
    pub(crate) source: &'s Source,
    tree: Tree,
}

impl<'s> Module<'s> {
    /// Parses a file, if the parser takes it at all.
    pub(crate) fn parse(source: &'s Source) -> Option<Self> {
        let tree = parse(&source.text)?;
        Some(Self { source, tree })
    }

    /// The root.
    pub(crate) fn root(&self) -> Node<'_> {
        self.tree.root_node()
    }

    /// The text of a node.
    pub(crate) fn text(&self, node: Node<'_>) -> &'s str {
        self.source.text.get(node.byte_range()).unwrap_or_default()
    }

    /// The text of a row, from 0.
    pub(crate) fn line(&self, row: usize) -> &'s str {
        self.source.text.lines().nth(row).unwrap_or_default()
    }

    /// All functions, outer ones first.
    pub(crate) fn functions(&self) -> Vec<Node<'_>> {
        descendants(self.root())
            .into_iter()
            .filter(|node| node.kind() == "function_definition")
            .collect()
    }

    /// The name of a function or class.
    pub(crate) fn name(&self, node: Node<'_>) -> &'s str {
        node.child_by_field_name("name")
            .map_or("", |name| self.text(name))
    }

    /// The docstring of a function, quotes removed.
    pub(crate) fn docstring(&self, function: Node<'_>) -> Option<&'s str> {
        let body = function.child_by_field_name("body")?;
        let first = body.named_child(0)?;
        let string = first
            .named_child(0)
            .filter(|node| node.kind() == "string")?;
        (first.kind() == "expression_statement")
            .then(|| self.text(string).trim_matches(['"', '\'', 'r', 'R']))
    }

    /// The dotted name it is imported by; nothing where a part is not a name, or it is a program's entry.
    pub(crate) fn dotted(&self) -> Option<String> {
        dotted(&self.source.path)
    }
}

/// The dotted module name of a path.
pub(crate) fn dotted(path: &str) -> Option<String> {
    let path = path.strip_prefix("src/").unwrap_or(path);
    let stem = path.strip_suffix(".py")?;
    let stem = stem.strip_suffix("/__init__").unwrap_or(stem);
    let named = stem
        .split('/')
        .all(|part| is_name(part) && part != "__main__");
    named.then(|| stem.replace('/', "."))
}

/// Parses Python text.
pub(crate) fn parse(text: &str) -> Option<Tree> {
    let mut parser = Parser::new();
    parser
        .set_language(&tree_sitter_python::LANGUAGE.into())
        .ok()?;
    parser.parse(text, None)
}

/// Whether a text is an ASCII identifier that is not a keyword.
pub(crate) fn is_name(text: &str) -> bool {
    const KEYWORDS: [&str; 35] = [
        "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class",
        "continue", "def", "del", "elif", "else", "except", "finally", "for", "from", "global",
        "if", "import", "in", "is", "lambda", "nonlocal", "not", "or", "pass", "raise", "return",
        "try", "while", "with", "yield",
    ];
    let first = text.bytes().next();
    first.is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !KEYWORDS.contains(&text)
}

/// The children of a node.
pub(crate) fn children(node: Node<'_>) -> Vec<Node<'_>> {
    let mut cursor = node.walk();
    node.children(&mut cursor).collect()
}

/// The named children of a node, without comments.
pub(crate) fn named(node: Node<'_>) -> Vec<Node<'_>> {
    let mut cursor = node.walk();
    node.named_children(&mut cursor)
        .filter(|child| child.kind() != "comment")
        .collect()
}

/// The node and all below it, in the order of the text.
pub(crate) fn descendants(node: Node<'_>) -> Vec<Node<'_>> {
    descendants_where(node, |_| true)
}

/// The node and all below it that are reached through nodes for which `enter` holds.
pub(crate) fn descendants_where<'t>(
    node: Node<'t>,
    enter: impl Fn(Node<'t>) -> bool,
) -> Vec<Node<'t>> {
    let mut found = Vec::new();
    let mut open = vec![node];
    while let Some(next) = open.pop() {
        found.push(next);
        if next == node || enter(next) {
            open.extend(children(next).into_iter().rev());
        }
    }
    found
}

/// What a statement evaluates itself: not the blocks inside it, not the bodies of functions.
pub(crate) fn own(statement: Node<'_>) -> Vec<Node<'_>> {
    let mut found = Vec::new();
    let mut open = vec![statement];
    while let Some(next) = open.pop() {
        if next.kind() == "block" {
            continue;
        }
        found.push(next);
        open.extend(children(next).into_iter().rev());
    }
    found
}

/// The nodes of a function's body without those of functions and classes inside it.
pub(crate) fn body_of(function: Node<'_>) -> Vec<Node<'_>> {
    let Some(body) = function.child_by_field_name("body") else {
        return Vec::new();
    };
    descendants_where(body, |node| {
        !matches!(
            node.kind(),
            "function_definition" | "class_definition" | "lambda"
        )
    })
}

/// The innermost statement that covers a row.
pub(crate) fn statement_at(root: Node<'_>, row: usize) -> Option<Node<'_>> {
    let covers =
        |node: Node<'_>| node.start_position().row <= row && row <= node.end_position().row;
    let mut best = None;
    let mut open = vec![root];
    while let Some(next) = open.pop() {
        if !covers(next) {
            continue;
        }
        let is_statement = next.is_named()
            && next.kind() != "comment"
            && next
                .parent()
                .is_some_and(|parent| BLOCKS.contains(&parent.kind()));
        if is_statement {
            best = Some(next);
        }
        open.extend(children(next));
    }
    best
}

/// The ancestors of a node, nearest first.
pub(crate) fn ancestors(node: Node<'_>) -> impl Iterator<Item = Node<'_>> {
    std::iter::successors(node.parent(), Node::parent)
}

/// The function around a node.
pub(crate) fn function_of(node: Node<'_>) -> Option<Node<'_>> {
    ancestors(node).find(|node| node.kind() == "function_definition")
}

/// The loops around a node, inside its function.
pub(crate) fn loops_of(node: Node<'_>) -> Vec<Node<'_>> {
    ancestors(node)
        .take_while(|node| node.kind() != "function_definition")
        .filter(|node| matches!(node.kind(), "for_statement" | "while_statement"))
        .collect()
}

/// Whether a node lies in another, or is it.
pub(crate) fn within(inner: Node<'_>, outer: Node<'_>) -> bool {
    outer.start_byte() <= inner.start_byte() && inner.end_byte() <= outer.end_byte()
}

/// The operator between the two sides of an operation or comparison.
pub(crate) fn operator(node: Node<'_>) -> Option<Node<'_>> {
    match node.kind() {
        "comparison_operator" => {
            let signs: Vec<Node<'_>> = children(node)
                .into_iter()
                .filter(|child| !child.is_named() || child.kind().contains("not in"))
                .collect();
            match signs.as_slice() {
                [only] => Some(*only),
                _ => None,
            }
        }
        _ => node.child_by_field_name("operator"),
    }
}

/// The syntax without layout and comments: equal for texts that mean the same to Python.
pub(crate) fn normal_form(root: Node<'_>, text: &str) -> String {
    let mut form = String::new();
    let mut open = vec![(root, 0_usize)];
    while let Some((node, depth)) = open.pop() {
        if node.kind() == "comment" {
            continue;
        }
        let content = if node.child_count() == 0 {
            text.get(node.byte_range()).unwrap_or_default()
        } else {
            node.kind()
        };
        form.extend([&depth.to_string(), " ", content, "\u{1}"]);
        open.extend(
            children(node)
                .into_iter()
                .rev()
                .map(|child| (child, depth + 1)),
        );
    }
    form
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> String {
        normal_form(parse(text).unwrap().root_node(), text)
    }

    #[test]
    fn layout_and_comments_do_not_change_the_normal_form() {
        let one = form("def f(a,b):\n    return a+b  # sum\n");
        let other = form("def f(a, b):\n        # adds\n        return a + b\n");
        assert_eq!(one, other);
        assert_ne!(one, form("def f(a, b):\n    return a - b\n"));
        assert_ne!(
            form("if a:\n    b()\nc()\n"),
            form("if a:\n    b()\n    c()\n")
        );
    }

    #[test]
    fn the_innermost_statement_of_a_row_is_found() {
        let text = "def f(xs):\n    for x in xs:\n        if x:\n            y = (1 +\n                 x)\n";
        let tree = parse(text).unwrap();
        let kinds: Vec<&str> = (0..5)
            .map(|row| statement_at(tree.root_node(), row).unwrap().kind())
            .collect();
        let expected = [
            "function_definition",
            "for_statement",
            "if_statement",
            "expression_statement",
            "expression_statement",
        ];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn entry_points_and_odd_paths_are_not_modules() {
        assert_eq!(dotted("till/totals.py").as_deref(), Some("till.totals"));
        assert_eq!(dotted("src/till/__init__.py").as_deref(), Some("till"));
        for path in [
            "till/__main__.py",
            "a-b.py",
            "till/class.py",
            "x.txt",
            "../x.py",
        ] {
            assert_eq!(dotted(path), None, "{path}");
        }
    }
}
