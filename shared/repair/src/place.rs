//! Where a crash happened: a frame of the event, found again in the source.

use crate::Source;
use crate::syntax::{self, Module};
use kintsugi_domain::event::Frame;
use tree_sitter::Node;

/// The paths a frame's file may have in the product's repository, likeliest first.
///
/// Reports name files relative to where the program ran; names that are absolute or leave the product
/// are dropped, and what the module name says is tried as well.
pub(crate) fn paths_of(file: &str, module: Option<&str>) -> Vec<String> {
    let mut paths = Vec::new();
    let mut add = |path: String| {
        if crate::language_of(&path).is_some() && !paths.contains(&path) {
            paths.push(path);
        }
    };
    let file = file.replace('\\', "/");
    let file = file.trim_start_matches("./");
    if is_inside(file) {
        add(file.to_owned());
        add(format!("src/{file}"));
    }
    if let Some(module) = module.filter(|module| module.split('.').all(syntax::is_name)) {
        let path = module.replace('.', "/");
        add(format!("{path}.py"));
        add(format!("src/{path}.py"));
    }
    paths
}

/// Whether a path stays inside the product and has only plain characters.
fn is_inside(path: &str) -> bool {
    !path.starts_with('/')
        && path.split('/').all(|part| {
            !part.is_empty()
                && !part.starts_with('.')
                && part
                    .chars()
                    .all(|next| next.is_ascii_alphanumeric() || "._-".contains(next))
        })
}

/// Whether a frame is the product's own, and not how the interpreter got there.
pub(crate) fn is_product(frame: &Frame) -> bool {
    frame.in_app
        && !frame.file.starts_with('<')
        && !frame.file.ends_with("__main__.py")
        && frame.module.as_deref() != Some("__main__")
}

/// The source a file name of an event means.
pub(crate) fn source_of<'s>(
    sources: &'s [Source],
    file: &str,
    module: Option<&str>,
) -> Option<&'s Source> {
    paths_of(file, module)
        .iter()
        .find_map(|path| sources.iter().find(|source| source.path == *path))
}

/// The row of a frame in today's source: where the reported line stands, or where it moved to.
pub(crate) fn row_of(module: &Module<'_>, frame: &Frame) -> Option<usize> {
    let reported = frame
        .line
        .and_then(|line| usize::try_from(line).ok()?.checked_sub(1));
    let functions = functions_named(module, &frame.function);
    let inside = |row: usize| {
        functions.is_empty()
            || functions
                .iter()
                .any(|node| node.start_position().row <= row && row <= node.end_position().row)
    };
    let Some(text) = frame
        .source
        .as_deref()
        .map(str::trim)
        .filter(|text| !text.is_empty())
    else {
        return reported.filter(|row| inside(*row));
    };
    let says = |row: usize| module.line(row).trim() == text;
    if let Some(row) = reported.filter(|row| says(*row)) {
        return Some(row);
    }
    let rows = module.source.text.lines().count();
    let moved: Vec<usize> = (0..rows).filter(|row| says(*row) && inside(*row)).collect();
    match moved.as_slice() {
        [only] => Some(*only),
        _ => None,
    }
}

/// Functions of that name; none for what Python calls `<module>`, `<listcomp>` and the like.
fn functions_named<'t>(module: &'t Module<'_>, name: &str) -> Vec<Node<'t>> {
    let name = name.rsplit('.').next().unwrap_or_default();
    module
        .functions()
        .into_iter()
        .filter(|node| module.name(*node) == name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside_the_product() {
        let paths = paths_of("./till/totals.py", Some("till.totals"));
        assert_eq!(paths, ["till/totals.py", "src/till/totals.py"]);
        for file in [
            "/etc/x.py",
            "../x.py",
            "a/../b.py",
            "a//b.py",
            "<frozen x>.py",
            "a b.py",
            ".git/x.py",
        ] {
            assert!(paths_of(file, Some("a; b")).is_empty(), "{file}");
        }
        assert_eq!(paths_of("C:\\x\\a.py", Some("a")), ["a.py", "src/a.py"]);
    }

    #[test]
    fn a_line_that_moved_is_found_again() {
        let source = Source {
            path: "a.py".into(),
            text: "# new\n\ndef f(x):\n    return 1 / x\n".into(),
        };
        let module = Module::parse(&source).unwrap();
        let mut frame = Frame {
            function: "f".into(),
            line: Some(2),
            source: Some("    return 1 / x".into()),
            ..Frame::default()
        };
        assert_eq!(row_of(&module, &frame), Some(3));
        frame.source = Some("return 2 / x".into());
        assert_eq!(row_of(&module, &frame), None);
    }
}
